//! What the program asks of the network, as the system sees it: name servers and the store, and
//! nobody whom a message names.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::authentication::name_server::NameServer;
use crate::cli::Folder;
use crate::hostile::Program;
use crate::redis::Server;
use crate::support::{ask, assert_none, calendar, messages, post};

/// A mail with this address wherever a reader could follow it.
fn inviting(link: &str, host: &str) -> String {
    let event = format!(
        "SUMMARY;ALTREP=\"{link}/altrep\":Lunch\nURL:{link}/url\nATTACH:{link}/attach.ics\n\
         ATTACH;FMTTYPE=text/calendar:{link}/2\nCONFERENCE;VALUE=URI;FEATURE=VIDEO:{link}/call\n\
         IMAGE;VALUE=URI;DISPLAY=BADGE:{link}/badge.png\nSOURCE;VALUE=URI:{link}/source.ics\n\
         STRUCTURED-DATA;VALUE=URI:{link}/data\nDESCRIPTION:see {link}/text and {host}\n\
         ATTENDEE;DIR=\"{link}/dir\":mailto:bob@{host}\nX-ALT-DESC;FMTTYPE=text/html:\
         <img src='{link}/img'><iframe src='{link}/f'></iframe><link rel=stylesheet href='{link}/c'>\
         <script src='{link}/s'></script><meta http-equiv=refresh content='0;url={link}/m'>\n\
         BEGIN:VALARM\nACTION:AUDIO\nTRIGGER:-PT1M\nATTACH:{link}/bell.wav\nEND:VALARM"
    );
    let calendar = calendar("REQUEST", &[&event])
        .replace("VERSION:2.0\r\n", &format!("VERSION:2.0\r\nSOURCE;VALUE=URI:{link}/s\r\nURL:{link}/u\r\nREFRESH-INTERVAL;VALUE=DURATION:PT1M\r\n"));
    format!(
        "Received: from {host} ([192.0.2.7]) by mx.rcpt.example; Fri, 20 Nov 2026 10:00:00 +0000\r\n\
         DKIM-Signature: v=1; a=rsa-sha256; d={host}; s=s; h=from; bh=x; b=y\r\n\
         From: ann@{host}\r\nTo: bob@rcpt.example\r\nSubject: Lunch\r\n\
         Message-ID: <m1@{host}>\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n\
         List-Unsubscribe: <{link}/unsubscribe>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\
         Disposition-Notification-To: ann@{host}\r\nContent-Base: {link}/\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/html\r\n\r\n<base href='{link}/'><img src='{link}/pixel'>\
         <a href='{link}/a'>{link}</a><object data='{link}/o'></object>\r\n\
         --b\r\nContent-Type: message/external-body; access-type=URL; URL=\"{link}/body.ics\"\r\n\r\n\
         Content-Type: text/calendar\r\n\r\n\
         --b\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\n{link}/crl\r\n\
         --b\r\nContent-Type: text/calendar; method=REQUEST\r\nContent-Location: {link}/l\r\n\r\n\
         {calendar}\r\n--b--\r\n"
    )
}

/// Addresses that a line of strace names: `{sa_family=...}`.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.split("{sa_family=").skip(1).map(|rest| rest.split('}').next().unwrap_or(rest))
}

#[test]
fn nobody_is_asked_but_name_servers_and_the_store() {
    let (folder, store, names) = (Folder::new(), Server::start(), NameServer::new());
    let trace = folder.path().join("trace");
    let config = folder.write(
        "calspamd.toml",
        &format!(
            "[dns]\nservers = [\"{}\"]\n[reputation]\nstore = \"{}\"\n",
            names.address(),
            store.url()
        ),
    );
    let mut traced = Command::new("strace");
    traced
        // The program stays our child.
        .args(["-D", "-f", "-q", "-e", "trace=connect,sendto,sendmsg,sendmmsg"])
        .arg("-o")
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_calspamd"));
    let program = Program::start_by(traced, &["--config", &config]);

    // Whoever follows a link would come here.
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let port = canary.local_addr().unwrap().port();
    let mut mails: Vec<Vec<u8>> = [
        "http://127.0.0.1",
        "http://localhost",
        "https://[::1]",
        "ftp://127.1",
        "http://2130706433",
    ]
    .iter()
    .map(|link| inviting(&format!("{link}:{port}"), "www.sender.example").into_bytes())
    .collect();
    mails.push(inviting("//server.example/share", "xn--bcher-kva.example").into_bytes());
    mails.push(inviting("file:///etc/passwd", "bit.ly.example").into_bytes());
    for kind in ["spam", "ham"] {
        mails.extend(messages(kind).iter().step_by(20).map(|path| std::fs::read(path).unwrap()));
    }
    let headers = "IP: 192.0.2.7\r\nHelo: mail.sender.example\r\nFrom: ann@sender.example\r\n\
        Rcpt: bob@rcpt.example\r\nUser: bob@rcpt.example\r\n";
    for mail in &mails {
        for path in ["/checkv2", "/learnspam", "/calendar/report?reporter=abuse@rcpt.example"] {
            let reply = ask(program.address, &post(path, headers, mail));
            assert_eq!(reply.status, 200, "{path}: {reply:?}");
        }
    }
    for path in ["/reload", "/learncontacts", "/calendar/store/purge?address=http://127.0.0.1/"] {
        let reply = ask(program.address, &post(path, headers, b"http://127.0.0.1/\r\n"));
        assert!(matches!(reply.status, 200 | 400), "{path}: {reply:?}");
    }
    drop(program);

    // The tracer ends with the program, and writes the rest.
    let begun = Instant::now();
    let ended = || std::fs::read_to_string(&trace).unwrap().contains("+++ killed by SIGKILL +++");
    while !ended() {
        assert!(begun.elapsed() < Duration::from_secs(20), "strace does not end");
        thread::sleep(Duration::from_millis(20));
    }
    let SocketAddr::V4(server) = names.address() else { panic!("no IPv4") };
    let allowed = [
        format!("AF_INET, sin_port=htons({}), sin_addr=inet_addr(\"127.0.0.1\")", server.port()),
        format!("AF_UNIX, sun_path=\"{}\"", store.socket().display()),
    ];
    let text = std::fs::read_to_string(&trace).unwrap();
    let strangers = text.lines().flat_map(named).filter(|name| !allowed.iter().any(|a| a == name));
    let mut strangers: Vec<String> = strangers.map(str::to_owned).collect();
    strangers.sort_unstable();
    strangers.dedup();
    assert_none(&strangers);
    // What is allowed was seen, so that anything else would have been.
    for name in &allowed {
        let count = text.lines().flat_map(named).filter(|found| found == name).count();
        println!("{name}: {count} times");
        assert!(count > 0, "{name} was not asked");
    }
    assert!(canary.accept().is_err(), "somebody has followed a link");
}
