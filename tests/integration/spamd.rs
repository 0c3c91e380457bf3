//! SpamAssassin's protocol: the forms that each version of a client reads, faults in spamd's words,
//! and clients that are slow.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use calspamd::protocol::spamd::ReportSafe;
use calspamd::reputation::{Place, Reputation};
use calspamd::server::spamd::Settings;
use calspamd::server::{Address, Application, State};
use calspamd::{reputation, rules, scan};

use crate::cli::Folder;
use crate::controller::connect_from;
use crate::support::{self, Service, load};

// The program spamc with each of its flags, and Python's client.
mod clients;
// Recorded requests, sent again.
mod replay;

/// A service that answers both as spamd and over HTTP.
pub(crate) struct Spamd {
    pub(crate) address: SocketAddr,
    pub(crate) service: Service,
}

impl Spamd {
    pub(crate) fn start(settings: Settings) -> Self {
        Self::with(settings, scan::Settings::default())
    }

    pub(crate) fn with(settings: Settings, scan: scan::Settings) -> Self {
        let state = State::new(load(&rules::built_in()), scan).unwrap();
        let mut application =
            Application::build(support::test_settings(), Arc::new(state)).unwrap();
        let listen = Some("127.0.0.1:0".parse().unwrap());
        application.add_spamd(Settings { listen, ..settings }).unwrap();
        let Some(Address::Tcp(address)) = application.spamd_address().cloned() else {
            panic!("no address")
        };
        Self { address, service: Service::of(application) }
    }

    fn connect(&self) -> TcpStream {
        support::connect(self.address)
    }

    /// Sends bytes, ends, and reads all of the answer.
    fn ask(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        drop(stream.shutdown(Shutdown::Write));
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        reply
    }

    fn text(&self, request: &str) -> String {
        String::from_utf8(self.ask(request.as_bytes())).unwrap()
    }
}

const EVENT: &str = "SUMMARY:Payment\nATTACH:file://203.0.113.7/share/agenda.lnk";

pub(crate) fn abusive() -> String {
    support::mail("Payment", &support::calendar("REQUEST", &[EVENT])).replace("\r\n", "\n")
}

pub(crate) fn good() -> String {
    support::mail("Lunch", &support::calendar("REQUEST", &["SUMMARY:Lunch"])).replace("\r\n", "\n")
}

fn request(command: &str, version: &str, mail: &str) -> String {
    format!(
        "{command} SPAMC/{version}\r\nUser: nobody\r\nContent-length: {}\r\n\r\n{mail}",
        mail.len()
    )
}

/// A reply of headers, a blank line and a body.
fn split(reply: &str) -> (Vec<&str>, &str) {
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{reply:?}"));
    (head.split("\r\n").collect(), body)
}

fn length(head: &[&str]) -> usize {
    let length = head.iter().find_map(|line| line.strip_prefix("Content-length: "));
    length.unwrap_or_else(|| panic!("{head:?}")).parse().unwrap()
}

#[test]
fn one_client_leaves_places_to_others() {
    let spamd = Spamd::start(Settings { connections_per_client: 2, ..Settings::default() });
    let said = |client: u8| {
        let mut stream = connect_from(client, spamd.address);
        drop(stream.write_all(b"PING SPAMC/1.5\r\n\r\n"));
        let mut reply = String::new();
        drop(stream.read_to_string(&mut reply));
        reply
    };
    let idle = [connect_from(2, spamd.address), connect_from(2, spamd.address)];
    assert_eq!(said(2), "SPAMD/1.0 75 Service Unavailable: too many connections\r\n");
    assert_eq!(said(3), "SPAMD/1.5 0 PONG\r\n");
    drop(idle);
    let begun = Instant::now();
    while said(2) != "SPAMD/1.5 0 PONG\r\n" {
        assert!(begun.elapsed() < Duration::from_secs(10), "the places do not come back");
    }
    let metrics = spamd.service.ask(b"GET /metrics HTTP/1.0\r\n\r\n").body;
    assert!(!metrics.contains("rejected_total{reason=\"connections\"} 0\n"), "{metrics}");
}

#[test]
fn each_version_gets_the_form_it_reads() {
    let spamd = Spamd::start(Settings::default());
    let mail = abusive();
    assert_eq!(spamd.text("PING SPAMC/1.5\r\n\r\n"), "SPAMD/1.5 0 PONG\r\n");
    assert_eq!(spamd.text("PING SPAMC/1.2\r\n"), "SPAMD/1.5 0 PONG\r\n");
    assert_eq!(spamd.text(&request("SKIP", "1.5", &mail)), "");
    for version in ["1.0", "1.1", "1.2", "1.3", "1.5", "2.0"] {
        let ask = |command: &str| {
            let old = version == "1.0";
            let text = if old {
                format!("{command} SPAMC/1.0\r\n{mail}")
            } else {
                request(command, version, &mail)
            };
            spamd.text(&text)
        };
        let check = ask("CHECK");
        let (head, body) = split(&check);
        assert_eq!((head.len(), head[0], body), (2, "SPAMD/1.1 0 EX_OK", ""), "{check}");
        let spam = head[1];
        assert!(spam.starts_with("Spam: True ; ") && spam.ends_with(" / 6.0"), "{spam}");
        let counted = matches!(version, "1.3" | "1.5" | "2.0");

        let symbols = ask("SYMBOLS");
        let (head, body) = split(&symbols);
        assert!(head.contains(&spam), "{symbols}");
        assert!(body.contains("CAL_UNC_PATH,"), "{symbols}");
        assert_eq!(body.ends_with("\r\n"), !counted, "{symbols}");
        let mut sorted: Vec<&str> = body.trim_end().split(',').collect();
        sorted.sort_unstable();
        assert_eq!(sorted.join(","), body.trim_end());
        assert_eq!(head.len(), if counted { 3 } else { 2 });
        if counted {
            assert_eq!(length(&head), body.len());
        }

        let report = ask("REPORT");
        let (head, body) = split(&report);
        assert_eq!(head.len(), if counted { 3 } else { 2 });
        assert!(body.contains(" CAL_UNC_PATH           Windows network path"), "{body}");
        assert!(body.contains("VEVENT[0].ATTACH"), "{body}");
        assert!(body.ends_with("\n\n") && !body.contains('\r'), "{body:?}");
        if counted {
            assert_eq!(length(&head), body.len());
        }
        assert!(ask("REPORT_IFSPAM").contains("Spam: Yes ; "));

        let process = ask("PROCESS");
        if counted {
            let (head, body) = split(&process);
            assert_eq!(head.len(), 3);
            assert_eq!(length(&head), body.len());
            assert!(body.starts_with("X-Spam-Checker-Version: "), "{body}");
            assert!(body.ends_with("END:VCALENDAR\n"), "{body}");
            let headers = ask("HEADERS");
            let (head, cut) = split(&headers);
            assert_eq!(length(&head), cut.len());
            assert!(
                body.starts_with(cut) && cut.ends_with("\n\n") && !cut.contains("VCALENDAR\n"),
                "{cut}"
            );
        } else if version == "1.2" {
            let (head, body) = split(&process);
            assert_eq!((head.len(), head[0]), (2, "SPAMD/1.1 0 EX_OK"));
            assert_eq!(length(&head), body.len());
        } else {
            assert!(
                process.starts_with("SPAMD/1.0 0 EX_OK\r\nX-Spam-Checker-Version"),
                "{process}"
            );
        }
    }
    let ham = spamd.text(&request("REPORT_IFSPAM", "1.5", &good()));
    let (head, body) = split(&ham);
    assert!(head[2].starts_with("Spam: No ; ") && length(&head) == 0 && body.is_empty(), "{ham}");
}

#[test]
fn faults_are_in_the_words_of_spamd() {
    let spamd = Spamd::start(Settings::default());
    let mail = good();
    let at = mail.len();
    for (request, expected) in [
        (String::new(), "SPAMD/1.0 76 Bad header line: (closed before headers)\r\n"),
        (
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "SPAMD/1.0 76 Bad header line: GET / HTTP/1.1\r\n",
        ),
        (
            "CHECK SPAMC/1.5\r\nNoColon\r\n\r\n".to_owned(),
            "SPAMD/1.0 76 Bad header line: (header not in 'Name: value' format)\r\n",
        ),
        (
            format!("CHECK SPAMC/1.5\r\nContent-length: {}\r\n\r\n{mail}", at + 10),
            &*format!(
                "SPAMD/1.0 76 Bad header line: (Content-Length mismatch: Expected {} bytes, got {at} bytes)\r\n",
                at + 10
            ),
        ),
        (
            format!(
                "TELL SPAMC/1.5\r\nMessage-class: virus\r\nSet: local\r\nContent-length: {at}\r\n\r\n{mail}"
            ),
            "SPAMD/1.0 76 Bad header line: (Message-class is neither spam nor ham)\r\n",
        ),
        (
            format!(
                "TELL SPAMC/1.5\r\nMessage-class: spam\r\nSet: local\r\nRemove: local\r\nContent-length: {at}\r\n\r\n{mail}"
            ),
            "SPAMD/1.0 76 Bad header line: Unable to set local and remove local in the same operation.\r\n",
        ),
    ] {
        assert_eq!(spamd.text(&request), expected, "{request:.60}");
    }
    let closed = Spamd::start(Settings { allow_tell: false, ..Settings::default() });
    let tell = format!(
        "TELL SPAMC/1.5\r\nMessage-class: spam\r\nSet: local\r\nContent-length: {at}\r\n\r\n{mail}"
    );
    assert!(
        closed
            .text(&tell)
            .starts_with("SPAMD/1.0 69 Service Unavailable: TELL commands are not enabled")
    );
    let small = Spamd::start(Settings { max_message: 100, ..Settings::default() });
    assert!(small.text(&request("CHECK", "1.5", &mail)).starts_with("SPAMD/1.0 69 "));
}

#[test]
fn mail_comes_back_with_headers_of_ours_only() {
    let spamd = Spamd::start(Settings::default());
    let forged = abusive().replacen(
        "Subject:",
        "X-Spam-Status: No, score=-100\n\ttests=NONE autolearn=ham\nX-Spam-Flag: NO\n\
         X-Calspam-Decision: insert=yes\nSubject:",
        1,
    );
    for mail in [forged.clone(), forged.replace('\n', "\r\n")] {
        let reply = spamd.text(&request("PROCESS", "1.5", &mail));
        let (_, body) = split(&reply);
        let unfolded = body.replace("\r\n", "\n").replace("\n\t", " ");
        let lines: Vec<&str> = unfolded.lines().collect();
        let all = |name: &str| lines.iter().filter(|line| line.starts_with(name)).count();
        assert_eq!(
            (all("X-Spam-Status"), all("X-Spam-Flag"), all("X-Calspam-Decision")),
            (1, 1, 1)
        );
        let status = lines.iter().find(|line| line.starts_with("X-Spam-Status")).unwrap();
        assert!(status.starts_with("X-Spam-Status: Yes, score="), "{status}");
        assert!(
            status.contains(" tests=") && status.matches(" autolearn").count() == 1,
            "{status}"
        );
        assert!(
            lines.iter().any(|line| line.starts_with("X-Calspam-Decision: insert=no; ")),
            "{body}"
        );
        // The mail's own line ends, and nothing else of it, are kept.
        assert_eq!(body.contains("\r\n"), mail.contains("\r\n"));
        let (_, content) = mail.split_once("Subject:").unwrap();
        assert!(body.ends_with(content), "{body}");
    }
    let safe =
        Spamd::start(Settings { report_safe: ReportSafe::Attachment, ..Settings::default() });
    let reply = safe.text(&request("PROCESS", "1.5", &abusive()));
    let (_, body) = split(&reply);
    assert!(body.contains("Content-Type: message/rfc822; x-spam-type=original\n"), "{body}");
    assert!(body.contains(&abusive()) && body.contains("CAL_UNC_PATH"), "{body}");
    let reply = safe.text(&request("PROCESS", "1.5", &good()));
    assert!(!split(&reply).1.contains("message/rfc822"));
}

#[test]
fn exim_is_answered_in_both_of_its_dialects() {
    let spamd = Spamd::start(Settings::default());
    // An mbox line and the envelope stand above the mail.
    let mail = format!(
        "From MAILER-DAEMON Fri Nov 20 23:58:08 2026\nX-Envelope-From: <ann@sender.example>\n\
         X-Envelope-To: bob@rcpt.example\n{}",
        abusive()
    );
    let reply = spamd.text(&request("REPORT", "1.2", &mail));
    let (status, rest) = reply.split_once("\r\n").unwrap();
    let (spam, report) = rest.split_once("\r\n\r\n").unwrap();
    assert_eq!(status, "SPAMD/1.1 0 EX_OK");
    assert!(spam.starts_with("Spam: True ; ") && report.contains("CAL_UNC_PATH"), "{reply}");
    let old = format!(
        "CHECK RSPAMC/1.3\r\nContent-length: {}\r\nQueue-Id: 1abc\r\nFrom: <ann@sender.example>\r\n\
         Recipient-Number: 1\r\nRcpt: <bob@rcpt.example>\r\nHelo: mx\r\nIP: 192.0.2.7\r\n\r\n{}",
        abusive().len(),
        abusive()
    );
    // It does not say that it has ended.
    let mut stream = spamd.connect();
    stream.write_all(old.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let lines: Vec<&str> = reply.lines().collect();
    assert_eq!(lines[0], "RSPAMD/1.3 0 EX_OK");
    assert!(
        lines[1].starts_with("Metric: default; True; ") && lines[1].ends_with(" / 6.00 / 15.00"),
        "{reply}"
    );
    assert!(lines[2].starts_with("Action: "), "{reply}");
}

/// A store in memory; its secret is in the folder.
pub(crate) fn memory(folder: &Folder) -> Reputation {
    let settings = reputation::Settings {
        store: Some(Place::Memory),
        state: folder.path().to_owned(),
        ..reputation::Settings::default()
    };
    Reputation::start(&settings, Arc::new(calspamd::server::now)).unwrap().0
}

#[test]
fn what_users_tell_is_remembered() {
    let folder = Folder::new();
    let scan = scan::Settings { reputation: memory(&folder), ..scan::Settings::default() };
    let spamd = Spamd::with(Settings::default(), scan);
    let text = |name: &str| {
        let event = format!(
            "SUMMARY:Dear {name} your portfolio bonus\nDESCRIPTION:Dear {name}, our brokers have kept \
             a seat for you in the gold circle of investors this spring, reply with your number to \
             learn what the second payment of the bonus programme brings to the early members"
        );
        support::mail("x", &support::calendar("REQUEST", &[&event]))
            .replace("u0@sender.example", &format!("{name}@sender.example"))
            .replace("<m1@", &format!("<{name}@"))
            .replace("\r\n", "\n")
    };
    let symbols = |name: &str| spamd.text(&request("SYMBOLS", "1.5", &text(name)));
    let before = symbols("Zoe");
    assert!(!before.contains("CAL_REPORTED"), "{before}");
    for user in ["ann", "bob", "carol", "dave", "erin", "frank", "gina"] {
        let mail = text("Max");
        let tell = format!(
            "TELL SPAMC/1.5\r\nUser: {user}\r\nMessage-class: spam\r\nSet: local\r\n\
             Content-length: {}\r\n\r\n{mail}",
            mail.len()
        );
        assert_eq!(spamd.text(&tell), "SPAMD/1.1 0 EX_OK\r\nDidSet: local\r\n\r\n\r\n");
    }
    let after = symbols("Pia");
    assert!(after.contains("CAL_REPORTED"), "{after}");
}

#[test]
fn slow_clients_hold_up_nobody() {
    let settings = Settings {
        head_timeout: Duration::from_secs(1),
        body_timeout: Duration::from_secs(2),
        ..Settings::default()
    };
    let spamd = Spamd::start(settings);
    // 80 that say nothing, 50 that stop inside the head, 30 that stop inside the mail, 20 that go
    // on letter by letter, and 20 that do not read the long answer they have asked for.
    let long = good() + &"text\n".repeat(200_000);
    let (mut idle, mut slow, mut deaf) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..200 {
        let mut stream = spamd.connect();
        let text = match number {
            0..80 => String::new(),
            80..130 => "CHECK SPAMC/1.5\r\nUser: x\r\n".to_owned(),
            130..160 => "CHECK SPAMC/1.5\r\nContent-length: 1000\r\n\r\nSubject: x\n".to_owned(),
            160..180 => "CHECK SPAMC/1.5\r\nX: ".to_owned(),
            _ => request("PROCESS", "1.5", &long),
        };
        stream.write_all(text.as_bytes()).unwrap();
        match number {
            160..180 => {
                slow.push(stream.try_clone().unwrap());
                deaf.push(stream);
            }
            180.. => deaf.push(stream),
            _ => idle.push(stream),
        }
    }
    let letters = std::thread::spawn(move || {
        // Until nobody listens to any of them.
        while !slow.is_empty() {
            slow.retain_mut(|stream| stream.write_all(b"x").is_ok());
            std::thread::sleep(Duration::from_millis(30));
        }
    });
    let mut times: Vec<Duration> = (0..20)
        .map(|_| {
            let started = Instant::now();
            let reply = spamd.text(&request("CHECK", "1.5", &good()));
            assert!(reply.starts_with("SPAMD/1.1 0 EX_OK"), "{reply}");
            started.elapsed()
        })
        .collect();
    times.sort();
    // Far less than the second that the others have.
    assert!(times[10] < Duration::from_millis(900), "{times:?}");
    for mut stream in idle {
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("SPAMD/1.0 79 Timeout: (no "), "{reply:?}");
    }
    letters.join().unwrap();
    drop(deaf);
}
