//! What users teach Rspamd reaches the service: the hook of `deploy/rspamd/classifier-bayes.conf`.

use std::sync::Arc;

use calspamd::rules;
use calspamd::scan;
use calspamd::server::State;

use super::program::{Rspamd, Site, command, inside};
use super::{load, sum};
use crate::cli::Folder;
use crate::redis::Server;
use crate::spamd::memory;
use crate::support::{self, Service, repository};

/// An invitation of a campaign: everybody's is a little different.
fn invitation(name: &str) -> String {
    let event = format!(
        "SUMMARY:Dear {name} your portfolio bonus\nDESCRIPTION:Dear {name}, our brokers have kept a \
         seat for you in the gold circle of investors this spring, reply with your number to learn \
         what the second payment of the bonus programme brings to the early members"
    );
    let calendar = support::calendar("REQUEST", &[&event])
        .replace("u0@sender.example", &format!("{name}@sender.example"));
    // Rspamd's classifier wants some words of text.
    format!(
        "From: ann@sender.example\r\nTo: bob@rcpt.example\r\nSubject: Bonus for {name}\r\n\
         Message-ID: <{name}@sender.example>\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\
         Content-Type: text/plain\r\n\r\nOur brokers keep a seat for {name} in the gold circle of \
         investors this spring, reply with your number and your name, {name}.\r\n--b\r\n\
         Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\n{calendar}--b--\r\n"
    )
}

#[test]
fn what_users_teach_rspamd_weighs_here() {
    let folder = Folder::new();
    let settings = scan::Settings { reputation: memory(&folder), ..scan::Settings::default() };
    let state = State::new(load(&rules::built_in()), settings).unwrap();
    let service = Service::with(support::test_settings(), Arc::new(state));
    let redis = Server::start();
    let mut site = Site::asking(service.address);
    let controller = support::free_address();
    site.controller = Some(controller);
    let socket = inside(&redis.socket());
    site.add("redis.conf", &format!("servers = \"{}\";", socket.display()));
    let hook = repository("deploy/rspamd/classifier-bayes.conf");
    site.add("classifier-bayes.conf", &std::fs::read_to_string(hook).unwrap());
    let rspamd = Rspamd::start(&site);
    rspamd.wait(controller);

    let before = rspamd.check(invitation("Philippa").as_bytes(), "Queue-Id: L1\r\nLog: no\r\n");
    assert!(before["symbols"].get("CAL_REPORTED").is_none(), "{before:#}");
    // Six of them: Rspamd does not learn the very same mail twice.
    for name in ["Adalbert", "Benedetta", "Cornelius", "Dietlinde", "Esmeralda", "Friedhelm"] {
        let file = folder.write(&format!("{name}.eml"), &invitation(name));
        let output = command("rspamc")
            .args(["-h", &controller.to_string(), "-r", &format!("{name}@rcpt.example")])
            .arg("learn_spam")
            .arg(inside(file.as_ref()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("success = true"), "{said}\n{}", rspamd.log());
    }
    let after = rspamd.check(invitation("Ulrike").as_bytes(), "Queue-Id: L2\r\nLog: no\r\n");
    assert!(after["symbols"].get("CAL_REPORTED").is_some(), "{after:#}\n{}", rspamd.log());
    assert!(sum(&after) > sum(&before) + 1.0, "{after:#}");
}
