//! Whole messages as damage and attackers leave them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::{check, read, summary};
use crate::message::{Envelope, Settings, parse};

#[test]
fn damage() {
    check("", "empty-message");
    check("\r\n\r\n", "no-headers");
    check("just some words", "no-headers");
    check("\0\0\0\0", "no-headers");
    check("Subject: x", "");
    check("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhi", "truncated part[0]");
    check("Content-Type: multipart/mixed\n\n--b\n\nhi", "truncated part[0]");
    check(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; \
         boundary=c\n\n--c\nContent-Type: text/calendar\n\nBEGIN:VCALENDAR\n--b--",
        "text/calendar ICalendar typed; truncated part[1]",
    );
    check(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/calendar\n\
         BEGIN:VCALENDAR\n--b--",
        "text/calendar ICalendar typed",
    );
    check("A: b\nContent-Type: text/plain; charset=x-none\n\n\u{FC}", "bad-charset part[0]");
    check(b"A: b\n\n\xFC", "invalid-utf8 part[0]");
}

#[test]
fn limits() {
    let settings = Settings { calendar_text: 17, parts: 3, depth: 1, ..Settings::default() };
    let limited = |input: &str| {
        let message = parse(input.as_bytes(), false, &Envelope::default(), &settings);
        format!("{} {} {}", message.parts.len(), message.part_count, summary(&message))
    };
    let text = "Content-Type: text/calendar\n\nBEGIN:VCALENDAR\n\u{FC}\u{FC}\u{FC}";
    assert_eq!(limited(text), "1 1 text/calendar ICalendar typed; limit:text part[0]");
    let parts =
        format!("Content-Type: multipart/mixed; boundary=b\n\n{}--b--", "--b\n\nx\n".repeat(9));
    assert_eq!(limited(&parts), "3 10 limit:parts");
    let depth = "Content-Type: message/rfc822\n\n".repeat(3);
    assert_eq!(limited(&depth), "2 2 limit:depth part[1]");
    let fields = format!("{}Content-Type: text/calendar\n\nx", "A: b\n".repeat(10_001));
    let message = read(fields.as_bytes());
    assert_eq!(message.headers.len(), 10_000);
    assert_eq!(
        summary(&message),
        "text/calendar Other typed; limit:headers part[0]; not-calendar part[0]"
    );
}

/// Reads hostile input and gives the message's number of parts; slow reading fails.
fn check_quick(name: &str, input: &[u8]) -> usize {
    let started = Instant::now();
    let message = read(input);
    let count = message.part_count;
    drop(message);
    assert!(started.elapsed() < Duration::from_secs(2), "{name}: {:?}", started.elapsed());
    count
}

#[test]
fn hostile() {
    let head = "From: a@example.com\nContent-Type: multipart/mixed; boundary=b\n\n";
    let many = format!("{head}{}", "--b\nContent-Type: image/png\n\nx\n".repeat(10_000));
    assert_eq!(check_quick("parts", many.as_bytes()), 10_001);
    let base64 = "--b\nContent-Transfer-Encoding: base64\n\nQUJD\n".repeat(10_000);
    check_quick("base64 parts", format!("{head}{base64}").as_bytes());
    let missing = "--b\nContent-Type: multipart/mixed; boundary=gone\n\nx\n".repeat(10_000);
    check_quick("missing boundaries", format!("{head}{missing}").as_bytes());
    let same = "Content-Type: multipart/digest; boundary=b\n\n--b\n\n".repeat(100_000);
    check_quick("one boundary", same.as_bytes());
    let mut nested = String::new();
    for level in 0..10_000 {
        let _ = write!(nested, "Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n");
    }
    assert!(check_quick("multiparts", nested.as_bytes()) >= 1_000);
    let messages = "Content-Type: message/rfc822\n\n".repeat(200_000);
    check_quick("messages", messages.as_bytes());
    check_quick("dashes", format!("{head}{}", "\n--".repeat(300_000)).as_bytes());
    check_quick("spaces", format!("{head}{}", " ".repeat(1_000_000)).as_bytes());
    check_quick("fields", "A:\n".repeat(300_000).as_bytes());
    check_quick("folds", format!("Subject: x{}", "\n ".repeat(300_000)).as_bytes());
    let pieces = format!("Content-Type: a/b{}\n\n", ";n*0=x".repeat(100_000));
    check_quick("pieces", pieces.as_bytes());
    let words = format!("Subject: {}\n\n", "=?u?q?x".repeat(100_000));
    check_quick("words", words.as_bytes());
    let addresses = format!("From: {}\n\n", "a@b:(\"<".repeat(100_000));
    check_quick("addresses", addresses.as_bytes());
    let junk = format!("Content-Transfer-Encoding: base64\n\n{}", "=*A".repeat(300_000));
    check_quick("junk", junk.as_bytes());
}

#[test]
fn random_octets() {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    for _ in 0..50 {
        let octets: Vec<u8> = (0..2_048).map(|_| next()).collect();
        read(&octets);
    }
    // Every message cut at every place, and with one octet changed.
    let sample = "From: =?utf-8?b?w7w=?= <a@b>\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\
                  \r\n--b\r\nContent-Type: text/calendar; charset=utf-16; name*0*=utf-8''a%C3;\r\n \
                  name*1=\".ics\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nBEGIN=3A\
                  VCALENDAR\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nDate: x\r\n\r\n--b--\r\n";
    for end in 0..sample.len() {
        read(&sample.as_bytes()[..end]);
        let mut changed = sample.as_bytes().to_vec();
        changed[end] = next();
        read(&changed);
    }
}
