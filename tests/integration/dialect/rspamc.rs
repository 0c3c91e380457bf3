//! `rspamc`, Rspamd's own client: everything it prints of an answer; and what its version 4.1.5 was
//! recorded to send, where the recordings are at hand.

use std::io::{Read, Write};
use std::process::Output;

use calspamd::protocol::compression;
use calspamd::scan;
use calspamd::server::State;
use serde_json::Value;

use super::{mail, service, unpack};
use crate::cli::Folder;
use crate::rspamd::{command, inside};
use crate::spamd::memory;
use crate::support::{self, Service, load, messages, name, rule_set};

fn rspamc(service: &Service, arguments: &[&str]) -> Output {
    let output =
        command("rspamc").args(["-h", &service.address.to_string()]).args(arguments).output();
    output.unwrap_or_else(|_| panic!("rspamc is missing: run `make tools`"))
}

/// A file of a folder, as the program sees it.
fn place(folder: &Folder, file: &str) -> String {
    inside(&folder.path().join(file)).display().to_string()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn rspamc_prints_what_the_service_says() {
    let service = service();
    let mails: Vec<_> = messages("spam")
        .into_iter()
        .chain(messages("ham"))
        .filter(|path| path.extension().unwrap() == "eml")
        .step_by(25)
        .take(30)
        .collect();
    assert!(mails.len() >= 30, "{}", mails.len());
    let folder = Folder::new();
    for path in mails {
        std::fs::copy(&path, folder.path().join("mail.eml")).unwrap();
        let file = &*place(&folder, "mail.eml");
        let envelope = [
            "-i",
            "192.0.2.7",
            "-F",
            "ann@sender.example",
            "-r",
            "bob@rcpt.example",
            "--helo",
            "mx.sender.example",
        ];
        let text = rspamc(&service, &[&envelope[..], &["symbols", file]].concat());
        let json = rspamc(&service, &[&envelope[..], &["--json", "symbols", file]].concat());
        let (text, json) = (printed(&text), printed(&json));
        let answer: Value =
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
        assert_eq!(answer["calendar"]["provenance"]["source_ip"], "192.0.2.7");
        let action = answer["action"].as_str().unwrap();
        assert!(text.contains(&format!("Action: {action}\n")), "{}: {text}", name(&path));
        let score = format!("Score: {:.2} / 15.00", answer["score"].as_f64().unwrap());
        assert!(text.contains(&score), "{}: {score} is not in {text}", name(&path));
        for (symbol, said) in answer["symbols"].as_object().unwrap() {
            let line = format!("Symbol: {symbol} ({:.2})", said["score"].as_f64().unwrap());
            assert!(text.contains(&line), "{}: {line} is not in {text}", name(&path));
        }
    }
}

#[test]
fn rspamc_takes_every_form_of_answer() {
    let service = service();
    let folder = Folder::with("mail.eml", &mail());
    let file = place(&folder, "mail.eml");
    let mime = printed(&rspamc(&service, &["--mime", "symbols", &file]));
    assert!(mime.contains("X-Spam-Scanner: rspamc") && mime.contains("CAL_UNC_PATH"), "{mime}");
    assert!(mime.contains("BEGIN:VCALENDAR"), "{mime}");
    let headers = printed(&rspamc(&service, &["--headers", "symbols", &file]));
    assert!(headers.to_ascii_lowercase().contains("server: calspamd/"), "{headers}");
    folder.write("empty", "");
    let empty = place(&folder, "empty");
    let text = printed(&rspamc(&service, &["symbols", &empty]));
    assert!(text.contains("Action: no action") && text.contains("Score: 0.00 / 15.00"), "{text}");
    let garbage: Vec<u8> =
        (0..2_048_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(folder.path().join("garbage"), garbage).unwrap();
    let garbage = place(&folder, "garbage");
    let text = printed(&rspamc(&service, &["symbols", &garbage]));
    assert!(text.contains("Action: no action"), "{text}");
    let stat = printed(&rspamc(&service, &["stat"]));
    assert!(stat.contains("Messages scanned: 4"), "{stat}");
}

/// Two rules whose scores nobody changes, for what is printed letter by letter.
const RULES: &str = "\
calendar CAL_WORD summary =~ /payment/i
describe CAL_WORD Speaks of money
score CAL_WORD 4.5
calendar CAL_UNSAID summary =~ /payment/i
score CAL_UNSAID 2
";

#[test]
fn rspamc_prints_letter_by_letter() {
    let service = Service::start(rule_set(RULES));
    let folder = Folder::with(
        "mail.eml",
        &support::mail(
            "Payment",
            &support::calendar("REQUEST", &["SUMMARY:Payment\nURL:https://pay.sender.example/1"]),
        ),
    );
    let file = place(&folder, "mail.eml");
    let settled = |arguments: &[&str]| {
        let text = printed(&rspamc(&service, &[arguments, &[&file]].concat()));
        // The first line says how long it took; 3.4 brings no header but its own to the mail.
        let varies = ["Results for file", "X-Spam-Scan", "X-Calspam-Decision"];
        let lines = text.lines().map(|line| line.trim_end_matches('\r'));
        let lines = lines.filter(|line| !varies.iter().any(|start| line.starts_with(start)));
        lines.map(|line| format!("{line}\n")).collect::<Vec<_>>().concat()
    };
    assert_eq!(settled(&["symbols"]), include_str!("symbols.txt"));
    assert_eq!(settled(&["--mime", "symbols"]), include_str!("mime.txt"));
    let headers = settled(&["--headers", "symbols"]);
    // Its version 4 takes other types than JSON.
    for line in ["content-type: application/", "server: calspamd/"] {
        assert!(headers.to_ascii_lowercase().contains(line), "{line} is not in {headers}");
    }
}

#[test]
fn what_rspamc_teaches_is_remembered() {
    let folder = Folder::with("mail.eml", &mail());
    let settings = scan::Settings { reputation: memory(&folder), ..scan::Settings::default() };
    let state = State::new(load(&calspamd::rules::built_in()), settings).unwrap();
    let service = Service::with(support::test_settings(), state.into());
    let file = place(&folder, "mail.eml");
    for user in ["ann", "bob", "carl", "dora"] {
        let learned = printed(&rspamc(&service, &["-u", user, "learn_spam", &file]));
        assert!(learned.contains("success = true"), "{learned}");
    }
    let text = printed(&rspamc(&service, &["symbols", &file]));
    assert!(text.contains("Symbol: CAL_REPORTED"), "{text}");
    let learned = printed(&rspamc(&service, &["learn_ham", &file]));
    assert!(learned.contains("success = true"), "{learned}");
}

/// What the client sent, of a recording with marks like `@@C>S 2373 bytes` before the bytes. The
/// requests know better than the marks how long they are.
fn sent(bytes: &[u8]) -> Vec<&[u8]> {
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|at| at == what);
    let mut requests = Vec::new();
    let mut rest = bytes;
    while let Some(mark) = find(rest, b"@@C>S ") {
        rest = &rest[mark..];
        rest = &rest[find(rest, b"\n").unwrap() + 1..];
        let head = find(rest, b"\r\n\r\n").unwrap() + 4;
        let text = String::from_utf8_lossy(&rest[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        let (request, behind) = rest.split_at(head + length);
        requests.push(request);
        rest = behind;
    }
    requests
}

/// The answer, in whichever form this client can read: packed or not, and by itself or as the one
/// part of several.
fn read(head: &str, body: &[u8], name: &str) -> Value {
    if head.contains("content-type: multipart/") {
        let part = body.windows(4).position(|at| at == b"\r\n\r\n").unwrap();
        let end = body.windows(4).rposition(|at| at == b"\r\n--").unwrap();
        let head = String::from_utf8_lossy(&body[..part]).to_ascii_lowercase();
        return read(&head, &body[part + 4..end], name);
    }
    let body = if head.contains("\r\ncontent-encoding: zstd") {
        compression::undo("zstd", body, 1 << 24, &mut |_| true)
            .unwrap_or_else(|_| panic!("{name}: {head}"))
    } else {
        body.to_owned()
    };
    if head.contains("content-type: application/msgpack") {
        return unpack(&body);
    }
    serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{name}: {error}: {head}"))
}

#[test]
fn recorded_requests_of_later_versions_are_answered() {
    let Some(corpus) = support::corpus() else { return };
    let folder = corpus.join("../reference/captures/rspamd41");
    if !folder.is_dir() {
        println!("no recordings at {}: nothing is replayed", folder.display());
        return;
    }
    let store = Folder::new();
    let settings = scan::Settings { reputation: memory(&store), ..scan::Settings::default() };
    let state = State::new(load(&calspamd::rules::built_in()), settings).unwrap();
    let service = Service::with(support::test_settings(), state.into());
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = name(&path);
        let is_wire = path.extension().is_some_and(|ending| ending == "wire");
        if !name.starts_with("rspamc_") || !is_wire {
            continue;
        }
        for request in sent(&std::fs::read(&path).unwrap()) {
            let first = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
            let expected: &[&str] = match first.split([' ', '?']).nth(1).unwrap() {
                "/checkv2" | "/checkv3" => &["action", "score", "required_score", "symbols"],
                "/learnspam" | "/learnham" => &["success"],
                // The controller's other pages have tests of their own.
                _ => continue,
            };
            let mut stream = service.connect();
            stream.write_all(request).unwrap();
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).unwrap();
            let reply = super::Raw::of(reply);
            assert_eq!(reply.status, 200, "{name}: {first}: {}", reply.head);
            let answer = read(&reply.head, &reply.body, &name);
            for key in expected {
                assert!(answer.get(key).is_some(), "{name}: no {key}: {answer:#}");
            }
            count += 1;
        }
    }
    println!("{count} recorded requests");
    assert!(count >= 15, "{count} recorded requests");
}
