//! Exim, run where it stands and as its own user, with the files of `deploy/exim` included.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use calspamd::server::spamd::Settings;

use super::{Daemon, Sink, forged, gone, headers, submit};
use crate::cli::Folder;
use crate::spamd::{Spamd, abusive, good};
use crate::support::{self, repository};

struct Exim {
    address: SocketAddr,
    _daemon: Daemon,
    _folder: Folder,
}

impl Exim {
    /// Starts it with macros for the files of `deploy`.
    fn start(spamd: SocketAddr, sink: &Sink, macros: &str) -> Self {
        let folder = Folder::new();
        let root = folder.path();
        std::fs::set_permissions(root, PermissionsExt::from_mode(0o755)).unwrap();
        let spool = root.join("spool");
        std::fs::create_dir(&spool).unwrap();
        let owned = Command::new("chown").arg("Debian-exim:").arg(&spool).status().unwrap();
        assert!(owned.success(), "no user Debian-exim: run `make tools`");
        let program = repository("target/programs/exim/usr/sbin/exim4");
        let address = support::free_address();
        let deploy = repository("deploy/exim");
        let configuration = format!(
            "exim_path = {program}\nspool_directory = {spool}\n\
             log_file_path = {spool}/%slog\npid_file_path = {spool}/pid\n\
             primary_hostname = mx.rcpt.example\nlocal_interfaces = 127.0.0.1\n\
             daemon_smtp_ports = {port}\nkeep_environment =\ntls_advertise_hosts =\n\
             host_lookup =\nrfc1413_hosts =\n{macros}CALSPAMD_PORT = {spamd}\n\
             .include {deploy}/calspamd.main\n\
             acl_smtp_rcpt = rcpt\nacl_smtp_data = data\n\
             begin acl\nrcpt:\n  accept\ndata:\n.include {deploy}/calspamd.acl\n  accept\n\
             begin routers\nall:\n  driver = manualroute\n  route_list = * 127.0.0.1\n\
             self = send\n  transport = sink\n\
             begin transports\nsink:\n  driver = smtp\n  port = {sink}\n",
            program = program.display(),
            spool = spool.display(),
            port = address.port(),
            spamd = spamd.port(),
            deploy = deploy.display(),
            sink = sink.address.port(),
        );
        let file = root.join("exim.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new(&program);
        command.arg("-C").arg(&file).arg("-bdf");
        let daemon = Daemon::start(&mut command, &root.join("log"), address);
        Self { address, _daemon: daemon, _folder: folder }
    }
}

#[test]
fn the_worst_is_refused_and_the_rest_marked_in_both_dialects() {
    let sink = Sink::start();
    for macros in ["", "CALSPAMD_ENVELOPE = yes\n"] {
        let spamd = Spamd::start(Settings::default());
        let exim = Exim::start(spamd.address, &sink, macros);
        let said = submit(exim.address, &forged(&abusive()));
        assert!(said.starts_with("550 This invitation looks like spam ("), "{said}");

        let said = submit(exim.address, &forged(&good()));
        assert!(said.starts_with("250"), "{said}");
        let mail = sink.next();
        let score: f64 = headers(&mail, "X-Calspam-Score")[0].parse().unwrap();
        assert!(score < 6.0, "{mail}");
        let decisions = headers(&mail, "X-Calspam-Decision");
        assert!(decisions.len() == 1 && decisions[0].contains("apply=create"), "{mail}");
        assert!(headers(&mail, "X-Calspam-Report").is_empty(), "{mail}");

        // Mail goes on when nobody answers, and a decision of the sender's is still nobody's.
        gone(spamd.service, spamd.address);
        let said = submit(exim.address, &forged(&good()));
        assert!(said.starts_with("250"), "{said}");
        let mail = sink.next();
        assert!(!mail.contains("X-Calspam-"), "{mail}");
    }
}

#[test]
fn what_is_not_refused_carries_its_report() {
    let sink = Sink::start();
    let spamd = Spamd::start(Settings::default());
    for macros in ["", "CALSPAMD_ENVELOPE = yes\n"] {
        let macros = format!("{macros}CALSPAMD_REFUSE = 10000\n");
        let exim = Exim::start(spamd.address, &sink, &macros);
        let said = submit(exim.address, &abusive());
        assert!(said.starts_with("250"), "{said}");
        let mail = sink.next();
        let report = headers(&mail, "X-Calspam-Report");
        assert!(report[0].contains("CAL_UNC_PATH"), "{mail}");
        let decisions = headers(&mail, "X-Calspam-Decision");
        assert!(decisions.len() == 1 && decisions[0].contains("insert=no"), "{mail}");
        assert!(mail.contains("BEGIN:VCALENDAR\n"), "{mail}");
    }
}
