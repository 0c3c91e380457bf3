//! Postfix in a folder of its own, its milters as `deploy/postfix` has them.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use calspamd::rules;
use calspamd::scan;
use calspamd::server::spamd::Settings;

use super::{Daemon, Sink, deployed, forged, gone, headers, listening, submit};
use crate::cli::Folder;
use crate::rspamd::{Rspamd, Site};
use crate::spamd::{Spamd, abusive, good};
use crate::support::{self, Service, load};

/// The services of Postfix that bring mail from a listener to a server.
const SERVICES: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

struct Postfix {
    address: SocketAddr,
    folder: Folder,
}

impl Postfix {
    /// Starts it with these lines of `main.cf`.
    fn start(sink: &Sink, lines: &str) -> Self {
        let folder = Folder::new();
        let root = folder.path();
        std::fs::set_permissions(root, PermissionsExt::from_mode(0o755)).unwrap();
        for name in ["etc", "queue", "data"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        let owned = Command::new("chown").arg("postfix").arg(root.join("data")).status().unwrap();
        assert!(owned.success(), "no Postfix: run `make tools`");
        let address = support::free_address();
        let place = root.display();
        let sink = sink.address.port();
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {place}/queue\n\
             data_directory = {place}/data\ndaemon_directory = /usr/lib/postfix/sbin\n\
             command_directory = /usr/sbin\nmail_owner = postfix\nsetgid_group = postdrop\n\
             myhostname = mx.rcpt.example\nmydestination =\nrelay_domains = rcpt.example\n\
             relay_recipient_maps =\nlocal_recipient_maps =\nalias_maps =\n\
             transport_maps = inline:{{ {{ rcpt.example = smtp:[127.0.0.1]:{sink} }} }}\n\
             smtpd_relay_restrictions = reject_unauth_destination\n\
             inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nsmtpd_peername_lookup = no\n\
             smtp_host_lookup = native\nmaillog_file = {place}/log\n\
             maillog_file_prefixes = {place}\n{}",
            lines.replace("/etc/postfix/", &format!("{place}/etc/"))
        );
        std::fs::write(root.join("etc/main.cf"), main).unwrap();
        let listener = format!("{address} inet n - n - - smtpd\n");
        std::fs::write(root.join("etc/master.cf"), listener + SERVICES).unwrap();
        std::fs::write(root.join("etc/calspamd_header_checks"), deployed("postfix/header_checks"))
            .unwrap();
        let postfix = Self { address, folder };
        assert!(postfix.run("start"), "{}", postfix.log());
        listening(address, || postfix.log());
        postfix
    }

    fn run(&self, command: &str) -> bool {
        let etc = self.folder.path().join("etc");
        Command::new("postfix").arg("-c").arg(etc).arg(command).status().unwrap().success()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.run("stop");
    }
}

/// spamass-milter as the unit of `deploy/postfix` starts it.
fn spamass_milter(milter: SocketAddr, spamd: SocketAddr, log: &Path) -> Daemon {
    let line = deployed("postfix/spamass-milter.default");
    let line = line.lines().find_map(|line| line.strip_prefix("OPTIONS=")).unwrap();
    let line = line.trim_matches('"').replace("11783", &spamd.port().to_string());
    let socket = format!("inet:{}@127.0.0.1", milter.port());
    let mut command = Command::new("spamass-milter");
    command.args(["-p", &socket]).args(line.split_whitespace());
    Daemon::start(&mut command, log, milter)
}

#[test]
fn spamass_milter_refuses_and_marks() {
    let sink = Sink::start();
    let spamd = Spamd::start(Settings::default());
    let folder = Folder::new();
    let milter = support::free_address();
    let _milter = spamass_milter(milter, spamd.address, &folder.path().join("log"));
    let lines = deployed("postfix/spamass-milter.cf");
    let postfix = Postfix::start(
        &sink,
        &lines.replace("unix:/spamass/spamass.sock", &format!("inet:{milter}")),
    );
    let said = submit(postfix.address, &forged(&abusive()));
    assert!(said.starts_with("550 5.7.1"), "{said}\n{}", postfix.log());

    let said = submit(postfix.address, &forged(&good()));
    assert!(said.starts_with("250"), "{said}\n{}", postfix.log());
    let mail = sink.next();
    assert!(headers(&mail, "X-Spam-Status")[0].starts_with("No, score="), "{mail}");
    // This milter brings no header but SpamAssassin's own; the sender's must not stay either.
    assert!(headers(&mail, "X-Calspam-Decision").is_empty(), "{mail}");

    gone(spamd.service, spamd.address);
    let said = submit(postfix.address, &good());
    assert!(said.starts_with("250"), "{said}\n{}", postfix.log());
    assert!(sink.next().contains("BEGIN:VCALENDAR"));
}

#[test]
fn rspamd_refuses_and_says_the_decision() {
    let sink = Sink::start();
    let service = Service::with(
        support::test_settings(),
        support::state(load(&rules::built_in()), scan::scan),
    );
    let mut site = Site::asking(service.address);
    let milter = support::free_address();
    site.milter = Some(milter);
    site.actions = "reject = 15; add_header = 12; greylist = null;".to_owned();
    let rspamd = Rspamd::start(&site);
    rspamd.wait(milter);
    let lines = deployed("postfix/rspamd.cf");
    let postfix =
        Postfix::start(&sink, &lines.replace("inet:127.0.0.1:11332", &format!("inet:{milter}")));
    let said = submit(postfix.address, &forged(&abusive()));
    assert!(said.starts_with("554 5.7.1"), "{said}\n{}", rspamd.log());

    let said = submit(postfix.address, &forged(&good()));
    assert!(said.starts_with("250"), "{said}\n{}", rspamd.log());
    let mail = sink.next();
    let decisions = headers(&mail, "X-Calspam-Decision");
    assert!(decisions.len() == 1 && decisions[0].contains("apply=create"), "{mail}");
}
