//! Any bytes are a request in two parts, with metadata in JSON or `MessagePack`, and a message that
//! may be packed.

#![no_main]

use calspamd::protocol::rspamd::{self, v3};
use libfuzzer_sys::fuzz_target;

/// Most that a message may unpack to.
const LIMIT: usize = 1 << 20;

fn read(kind: &str, body: &[u8]) {
    if let Ok(parts) = v3::read(kind, body, LIMIT, &mut |_| true) {
        assert!(parts.message.len() <= LIMIT.max(body.len()));
        let headers = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let _ = rspamd::request(headers, &[], 1_795_000_000);
    }
}

fuzz_target!(|bytes: &[u8]| {
    // The whole body, its first line the type.
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (kind, body) = bytes.split_at(end);
    read(&String::from_utf8_lossy(kind), body.get(1..).unwrap_or_default());
    read("multipart/form-data; boundary=B", bytes);
    // The metadata alone, within good parts.
    for kind in ["json", "msgpack"] {
        let head = format!(
            "--B\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\
             Content-Type: application/{kind}\r\n\r\n"
        );
        let tail = "\r\n--B\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\nx\r\n--B--\r\n";
        read("multipart/form-data; boundary=B", &[head.as_bytes(), bytes, tail.as_bytes()].concat());
    }
    let _ = v3::Form::of(&String::from_utf8_lossy(bytes));
});
