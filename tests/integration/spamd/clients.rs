//! Clients that others have written: spamc with each of its flags, and Python's aiospamc.

use std::process::{Command, Output};
use std::sync::Arc;

use calspamd::rules;
use calspamd::scan;
use calspamd::server::spamd::Settings;
use calspamd::server::{Application, State};

use super::{Spamd, abusive, good, memory};
use crate::cli::Folder;
use crate::support::{self, Service, load, repository};

/// Asks a service.
fn spamc(spamd: &Spamd, arguments: &[&str], mail: &str) -> Output {
    let port = spamd.address.port().to_string();
    support::spamc(&[&["-d", "127.0.0.1", "-p", &port, "-x"], arguments].concat(), mail)
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn spamc_understands_every_answer() {
    let folder = Folder::new();
    let scan = scan::Settings { reputation: memory(&folder), ..scan::Settings::default() };
    let spamd = Spamd::with(Settings::default(), scan);
    for (mail, is_spam) in [(abusive(), true), (good(), false)] {
        let check = spamc(&spamd, &["-c"], &mail);
        assert_eq!(check.status.code(), Some(i32::from(is_spam)), "{check:?}");
        assert!(printed(&check).trim_end().ends_with("/6.0"), "{check:?}");
        let symbols = printed(&spamc(&spamd, &["-y"], &mail));
        assert_eq!(symbols.contains("CAL_UNC_PATH"), is_spam, "{symbols}");
        let report = printed(&spamc(&spamd, &["-R"], &mail));
        assert!(report.contains("Content analysis details:"), "{report}");
        assert_eq!(printed(&spamc(&spamd, &["-r"], &mail)).contains("CAL_UNC_PATH"), is_spam);
        let whole = printed(&spamc(&spamd, &[], &mail));
        assert!(whole.starts_with("X-Spam-Checker-Version: calspamd"), "{whole}");
        assert_eq!(whole.contains("X-Spam-Flag: YES"), is_spam, "{whole}");
        let headers = printed(&spamc(&spamd, &["--headers"], &mail));
        assert!(
            headers.contains("X-Spam-Status: ") && headers.ends_with("END:VCALENDAR\n"),
            "{headers}"
        );
        assert_eq!(spamc(&spamd, &["-E"], &mail).status.code(), Some(i32::from(is_spam)));
    }
    assert!(printed(&spamc(&spamd, &["-K"], "")).starts_with("SPAMD/1.5 0"));
    for (class, expected) in [
        ("spam", "Message successfully un/learned"),
        ("forget", "Message successfully un/learned"),
        ("ham", "Message successfully un/learned"),
    ] {
        let learned = spamc(&spamd, &["-L", class], &good());
        assert!(printed(&learned).contains(expected), "{class}: {learned:?}");
    }
    // Nothing goes to collectors elsewhere, and spamc says so, as with a spamd without them.
    for what in ["report", "revoke"] {
        let reported = spamc(&spamd, &["-C", what], &abusive());
        assert!(printed(&reported).contains("Unable to report/revoke message"), "{reported:?}");
        assert_eq!(reported.status.code(), Some(0), "{reported:?}");
    }
}

#[test]
fn spamc_finds_the_service_however_it_is_told_to() {
    let spamd = Spamd::start(Settings::default());
    let port = spamd.address.port().to_string();
    let at: &[&str] = &["-d", "127.0.0.1", "-p", &port];
    for flags in [
        &["-H"] as &[&str],
        &["-4"],
        &["-l"],
        &["-t", "20", "-n", "20"],
        &["-u", "ann@rcpt.example"],
        &["--connect-retries=2", "--retry-sleep=1", "--filter-retries=2", "--filter-retry-sleep=1"],
        // A configuration file with the same.
        &["-F", "/dev/null"],
    ] {
        let output = support::spamc(&[at, flags, &["-x", "-c"]].concat(), &abusive());
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {output:?}");
        assert!(printed(&output).ends_with("/6.0\n"), "{flags:?}: {output:?}");
    }
    let folder = Folder::new();
    let path = folder.path().join("socket");
    let mut application = Application::build(
        support::test_settings(),
        Arc::new(State::new(load(&rules::built_in()), scan::Settings::default()).unwrap()),
    )
    .unwrap();
    let listen = Some(format!("unix:{}", path.display()).parse().unwrap());
    application.add_spamd(Settings { listen, ..Settings::default() }).unwrap();
    let _service = Service::of(application);
    for (mail, code) in [(abusive(), 1), (good(), 0)] {
        let output = support::spamc(&["-U", path.to_str().unwrap(), "-x", "-c"], &mail);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
}

#[test]
fn spamc_keeps_to_itself_what_it_need_not_ask() {
    let spamd = Spamd::start(Settings::default());
    let port = spamd.address.port().to_string();
    let at: &[&str] = &["-d", "127.0.0.1", "-p", &port];
    let nobody = support::free_address().port().to_string();
    let nowhere: &[&str] = &["-d", "127.0.0.1", "-p", &nobody, "--connect-retries=1"];
    let mail = abusive();
    // A batch as a mail system writes it comes back as one.
    let batch = format!(
        "HELO mx\nMAIL FROM:<ann@sender.example>\nRCPT TO:<bob@rcpt.example>\nDATA\n{mail}.\nQUIT\n"
    );
    for (arguments, text, code, expected) in [
        (&[at, &["-s", "100", "-c"]].concat(), &mail, 0, "0/0\n"),
        (&[at, &["-s", "100"]].concat(), &mail, 0, &*mail),
        (&[at, &["-c"]].concat(), &String::new(), 0, "0/0\n"),
        (&[nowhere, &["-c"]].concat(), &mail, 0, "0/0\n"),
        (&[nowhere, &[]].concat(), &mail, 0, &*mail),
        (&[nowhere, &["-x", "-c"]].concat(), &mail, 69, "0/0\n"),
        (&[nowhere, &["-x", "-X", "-c"]].concat(), &mail, 75, "0/0\n"),
        (&[nowhere, &["-L", "spam"]].concat(), &mail, 69, ""),
    ] {
        let output = support::spamc(arguments, text);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert_eq!(printed(&output), expected, "{arguments:?}");
    }
    let output = printed(&support::spamc(&[at, &["-x", "-B"]].concat(), &batch));
    assert!(output.starts_with("HELO mx") && output.ends_with("QUIT\n"), "{output}");
    assert!(output.contains("\nX-Spam-Flag: YES"), "{output}");
    let output = support::spamc(&[at, &["-x", "-e", "/bin/cat"]].concat(), &mail);
    assert!(printed(&output).contains("X-Spam-Flag: YES"), "{output:?}");
}

/// Asks with Python's client, all that it can.
const AIOSPAMC: &str = r#"
import asyncio, sys
import aiospamc

async def main(port, spam, ham):
    at = dict(host="127.0.0.1", port=port, timeout=aiospamc.Timeout(60))
    assert (await aiospamc.ping(host="127.0.0.1", port=port)).status_code == 0
    for path, is_spam in ((spam, True), (ham, False)):
        mail = open(path, "rb").read()
        for name in ("check", "symbols", "report", "report_if_spam", "process", "headers"):
            for packed in (False, True):
                ask = getattr(aiospamc, name)
                reply = await ask(mail, user="bob", compress=packed, **at)
                assert reply.status_code == 0, (name, reply)
                spam_header = reply.headers.spam
                assert spam_header.value is is_spam, (name, packed, spam_header)
                assert spam_header.threshold == 6.0, (name, spam_header)
                if name not in ("check", "report_if_spam"):
                    has = b"CAL_UNC_PATH" in reply.body
                    assert has is is_spam, (name, reply.body)
    for kind in (aiospamc.MessageClassOption.spam, aiospamc.MessageClassOption.ham):
        action = aiospamc.ActionOption(local=True, remote=False)
        reply = await aiospamc.tell(open(spam, "rb").read(), kind, set_action=action, user="bob", **at)
        assert reply.status_code == 0 and reply.headers.did_set.local, reply
    print("done")

asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
"#;

#[test]
fn pythons_client_understands_every_answer() {
    let folder = Folder::new();
    let scan = scan::Settings { reputation: memory(&folder), ..scan::Settings::default() };
    let spamd = Spamd::with(Settings::default(), scan);
    for (name, mail) in [("spam", abusive()), ("ham", good())] {
        std::fs::write(folder.path().join(name), mail).unwrap();
    }
    let python = repository("target/clients/python/bin/python");
    let output = Command::new(python)
        .args(["-c", AIOSPAMC, &spamd.address.port().to_string()])
        .args(["spam", "ham"].map(|name| folder.path().join(name)))
        .output()
        .unwrap_or_else(|_| panic!("aiospamc is missing: run `make tools`"));
    assert_eq!(printed(&output), "done\n", "{output:?}");
}
