//! Rspamd's protocol as its clients speak it: packed bodies, packed replies, requests in parts,
//! the old commands, files instead of bodies.

use std::io::{Read, Write};

use calspamd::protocol::compression;
use calspamd::server;
use serde_json::Value;

use crate::cli::Folder;
use crate::support::{self, Service, load, post, state};

// The program rspamc, and what later versions of it were seen to send.
mod rspamc;

fn service() -> Service {
    Service::start(load(&calspamd::rules::built_in()))
}

fn mail() -> String {
    support::mail(
        "Payment",
        &support::calendar("REQUEST", &["SUMMARY:x\nATTACH:\\\\203.0.113.7\\share\\x"]),
    )
}

/// A reply whose body is no text.
pub(crate) struct Raw {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    /// Takes all that came on a connection apart.
    fn of(mut bytes: Vec<u8>) -> Self {
        let end = bytes.windows(4).position(|at| at == b"\r\n\r\n").unwrap();
        let body = bytes.split_off(end + 4);
        let head = String::from_utf8(bytes).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_ascii_lowercase(), body }
    }
}

/// Sends bytes on a connection that the service is to close, and reads one reply. A request that is
/// refused need not be taken whole.
pub(crate) fn ask(service: &Service, request: &[u8]) -> Raw {
    let mut stream = service.connect();
    drop(stream.write_all(request));
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes));
    Raw::of(bytes)
}

fn unpack(value: &[u8]) -> Value {
    rmp_serde::from_slice(value).unwrap()
}

/// Without the time a scan took.
fn settled(mut answer: Value) -> Value {
    answer["time_real"] = Value::Null;
    answer["calendar"]["provenance"] = Value::Null;
    answer
}

fn plain(service: &Service) -> Value {
    settled(service.post("/checkv2", "", &mail()).json())
}

const CLOSE: &str = "Connection: close\r\n";

#[test]
fn packed_messages_are_scanned_and_answered_packed() {
    let service = service();
    let packed = compression::zstd(mail().as_bytes()).unwrap();
    for header in ["Compression: zstd\r\n", "Content-Encoding: ZSTD\r\n"] {
        let reply = ask(&service, &post("/checkv2", &format!("{CLOSE}{header}"), &packed));
        assert_eq!(reply.status, 200, "{}", reply.head);
        assert!(reply.head.contains("\r\ncompression: zstd\r\n"), "{}", reply.head);
        assert!(reply.head.contains("\r\ncontent-encoding: zstd\r\n"), "{}", reply.head);
        let body = compression::undo("zstd", &reply.body, 1 << 20, &mut |_| true).unwrap();
        assert_eq!(settled(serde_json::from_slice(&body).unwrap()), plain(&service));
    }
    // As rspamc of Rspamd 4 does it: MessagePack would be taken too.
    let headers = format!(
        "{CLOSE}Compression: zstd\r\nContent-Encoding: zstd\r\nAccept: application/msgpack\r\n\
         Flags: body_block\r\nContent-Type: application/x-compressed\r\n"
    );
    let reply = ask(&service, &post("/checkv2", &headers, &packed));
    assert!(reply.head.contains("\r\ncontent-type: application/msgpack\r\n"), "{}", reply.head);
    let body = compression::undo("zstd", &reply.body, 1 << 20, &mut |_| true).unwrap();
    assert_eq!(settled(unpack(&body)), plain(&service));
    // It says so of no body at all too.
    let nothing = b"POST /checkv2 HTTP/1.0\r\nCompression: zstd\r\nContent-Length: 0\r\n\r\n";
    let body =
        compression::undo("zstd", &ask(&service, nothing).body, 1 << 20, &mut |_| true).unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["action"], "no action");
    let stat = b"GET /stat HTTP/1.0\r\nCompression: zstd\r\nContent-Encoding: zstd\r\n\r\n";
    assert_eq!(ask(&service, stat).status, 200);
}

#[test]
fn bodies_that_cannot_be_unpacked_are_refused() {
    let settings = server::Settings { max_message: 1 << 20, ..support::test_settings() };
    let rules = load(&calspamd::rules::built_in());
    let service = Service::with(settings, state(rules, calspamd::scan::scan));
    let bomb = compression::zstd(&vec![0; 200 << 20]).unwrap();
    assert!(bomb.len() < 100_000);
    for (header, body, status, error) in [
        ("Compression: lz4", &b"x"[..], 415, "Invalid compression method"),
        ("Content-Encoding: br", b"x", 415, "Invalid compression method"),
        ("Compression: zstd\r\nDictionary: 7", b"x", 415, "Invalid compression method"),
        ("Compression: zstd", b"no frame", 400, "Decompression error"),
        ("Content-Encoding: gzip", b"no gzip", 400, "Decompression error"),
        ("Compression: zstd", &bomb, 413, "message is larger"),
    ] {
        let reply = ask(&service, &post("/checkv2", &format!("{CLOSE}{header}\r\n"), body));
        let answer: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(reply.status, status, "{header}: {answer}");
        assert!(answer["error"].as_str().unwrap().starts_with(error), "{header}: {answer}");
    }
}

#[test]
fn replies_come_as_asked_for() {
    let service = service();
    let reply = ask(
        &service,
        &post("/checkv2", &format!("{CLOSE}Accept-Encoding: zstd\r\n"), mail().as_bytes()),
    );
    let body = compression::undo("zstd", &reply.body, 1 << 20, &mut |_| true).unwrap();
    assert_eq!(settled(serde_json::from_slice(&body).unwrap()), plain(&service));
    let reply = ask(
        &service,
        &post("/checkv2", &format!("{CLOSE}Accept: application/msgpack\r\n"), mail().as_bytes()),
    );
    assert_eq!(settled(unpack(&reply.body)), plain(&service));
}

#[test]
fn old_commands_answer_in_their_own_shape() {
    let service = service();
    let new = plain(&service);
    for path in ["/check", "/symbols", "/scan", "/process", "/report", "/REPORT_IFSPAM"] {
        let answer = service.post(path, "", &mail()).json();
        let default = answer["default"].as_object().unwrap();
        let keys: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(!keys.contains(&"symbols") && keys.contains(&"rmilter"), "{keys:?}");
        assert_eq!(default["score"], new["score"]);
        assert_eq!(default["is_spam"], false);
        for (name, symbol) in new["symbols"].as_object().unwrap() {
            assert_eq!(default[name]["score"], symbol["score"], "{name}");
            assert_eq!(default[name]["options"], symbol["options"], "{name}");
            assert!(default[name].get("metric_score").is_none());
        }
    }
}

/// A request of two parts.
fn parts(metadata: &str, message: &[u8], more: &str) -> Vec<u8> {
    let mut body = format!(
        "--B\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\
         Content-Type: application/json\r\n\r\n{metadata}\r\n--B\r\n\
         Content-Disposition: form-data; name=\"message\"\r\n\
         Content-Type: application/octet-stream\r\n{more}\r\n"
    )
    .into_bytes();
    body.extend_from_slice(message);
    body.extend_from_slice(b"\r\n--B--\r\n");
    body
}

#[test]
fn requests_in_parts_are_answered_in_parts() {
    let service = service();
    let packed = compression::zstd(mail().as_bytes()).unwrap();
    let head = format!("{CLOSE}Content-Type: multipart/form-data; boundary=B\r\n");
    let plain = plain(&service);
    for (message, more) in [(mail().into_bytes(), ""), (packed, "Content-Encoding: zstd\r\n")] {
        let body = parts("{}", &message, more);
        for (accept, kind) in [
            ("", "multipart/form-data"),
            ("Accept: multipart/form-data\r\n", "multipart/form-data"),
            ("Accept: message/rfc822\r\n", "multipart/mixed"),
        ] {
            let reply = ask(&service, &post("/checkv3", &format!("{head}{accept}"), &body));
            assert_eq!(reply.status, 200);
            assert!(
                reply.head.contains(&format!("\r\ncontent-type: {kind}; boundary=\"")),
                "{}",
                reply.head
            );
            assert!(reply.head.contains("\r\nvary: accept, accept-encoding\r\n"), "{}", reply.head);
            let text = String::from_utf8(reply.body).unwrap();
            let (part, result) = text.split_once("\r\n\r\n").unwrap();
            assert!(part.contains("name=\"result\"\r\nContent-Type: application/json"), "{part}");
            let (result, end) = result.rsplit_once("\r\n--").unwrap();
            assert!(end.ends_with("--\r\n"), "{end}");
            assert_eq!(settled(serde_json::from_str(result).unwrap()), plain);
        }
        let json =
            ask(&service, &post("/checkv3", &format!("{head}Accept: application/json\r\n"), &body));
        assert_eq!(settled(serde_json::from_slice(&json.body).unwrap()), plain);
        let packed = ask(
            &service,
            &post("/checkv3", &format!("{head}Accept: application/msgpack\r\n"), &body),
        );
        assert_eq!(settled(unpack(&packed.body)), plain);
        let zstd =
            ask(&service, &post("/checkv3", &format!("{head}Accept-Encoding: zstd\r\n"), &body));
        assert!(String::from_utf8_lossy(&zstd.body).contains("\r\nContent-Encoding: zstd\r\n\r\n"));
        let none = ask(&service, &post("/checkv3", &format!("{head}Accept: text/html\r\n"), &body));
        assert_eq!(none.status, 406);
    }
    // What stands in the metadata counts, what stands in the request's head does not.
    let outbound = parts(r#"{"user":"ann","headers":{"Scope":"calendar"}}"#, mail().as_bytes(), "");
    let reply = ask(
        &service,
        &post(
            "/checkv3",
            &format!("{head}Accept: application/json\r\nIP: 192.0.2.1\r\n"),
            &outbound,
        ),
    );
    let answer: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(answer["calendar"]["provenance"]["source_ip"], Value::Null);

    for (content_type, body, error) in [
        ("multipart/form-data; boundary=B", parts("{", b"x", ""), "cannot parse metadata"),
        ("multipart/form-data", parts("{}", b"x", ""), "cannot extract boundary"),
        ("multipart/form-data; boundary=C", parts("{}", b"x", ""), "missing 'metadata' part"),
    ] {
        let reply = ask(
            &service,
            &post("/checkv3", &format!("{CLOSE}Content-Type: {content_type}\r\n"), &body),
        );
        assert_eq!(reply.status, 400);
        let answer: Value = serde_json::from_slice(&reply.body).unwrap();
        assert!(answer["error"].as_str().unwrap().starts_with(error), "{answer}");
    }
}

#[test]
fn files_are_read_from_allowed_folders_only() {
    let folder = Folder::new();
    let message = folder.write("mail.eml", &mail());
    let outside = Folder::with("mail.eml", &mail());
    std::os::unix::fs::symlink(outside.path().join("mail.eml"), folder.path().join("link"))
        .unwrap();
    let rules = || load(&calspamd::rules::built_in());
    let settings = server::Settings {
        file_folders: vec![folder.path().to_owned()],
        ..support::test_settings()
    };
    let service = Service::with(settings, state(rules(), calspamd::scan::scan));
    let read = |headers: &str| {
        let request = format!("GET /checkv2 HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n");
        service.ask(request.as_bytes())
    };
    assert_eq!(settled(read(&format!("File: {message}")).json()), plain(&service));
    assert_eq!(settled(read(&format!("Path: {message}")).json()), plain(&service));
    // Padding before and after, as in shared memory.
    let text = mail();
    folder.write("padded", &format!("....{text}......"));
    let padded = folder.path().join("padded");
    let headers =
        format!("File: {}\r\nShm-Offset: 4\r\nShm-Length: {}", padded.display(), text.len());
    assert_eq!(settled(read(&headers).json()), plain(&service));
    for path in [
        "/etc/hostname".to_owned(),
        outside.path().join("mail.eml").display().to_string(),
        folder.path().join("link").display().to_string(),
        folder.path().join("../../etc/hostname").display().to_string(),
        folder.path().join("none").display().to_string(),
        folder.path().display().to_string(),
    ] {
        assert_eq!(read(&format!("File: {path}")).status, 400, "{path}");
    }
    assert_eq!(read("Shm: /none").status, 400);
    // By default nobody may.
    let closed = Service::start(rules());
    let request = format!("GET /checkv2 HTTP/1.1\r\nHost: x\r\nFile: {message}\r\n\r\n");
    assert_eq!(closed.ask(request.as_bytes()).status, 400);
}
