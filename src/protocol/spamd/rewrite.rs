//! The message with headers added, as PROCESS and HEADERS give it back.
//!
//! Headers of SpamAssassin's names that came with the message are removed: only the ones added
//! here are to be believed. Nothing else of the message changes, line ends included, so its
//! signatures still hold.

use crate::message::Envelope;

/// What becomes of spam in the answer of PROCESS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReportSafe {
    /// Headers are added, as for any mail.
    #[default]
    Headers,
    /// The mail becomes an attachment of a report.
    Attachment,
}

/// A message without the line that an mbox puts in front of it, which Exim sends too.
pub fn without_mbox_line(message: &[u8]) -> &[u8] {
    let end = message.starts_with(b"From ").then(|| memchr::memchr(b'\n', message)).flatten();
    end.and_then(|end| message.get(end + 1..)).unwrap_or(message)
}

/// The envelope that a delivery agent has written above the message's topmost `Received`: what
/// stands below came with the message, and may be anybody's word.
pub fn envelope(message: &[u8]) -> Envelope {
    let mut envelope = Envelope::default();
    for (name, field) in fields(message) {
        let value = field.get(name.len() + 1..).unwrap_or_default();
        let value = String::from_utf8_lossy(value).split_whitespace().collect::<Vec<_>>().join(" ");
        let address = |value: &str| value.trim().trim_matches(['<', '>']).to_owned();
        match String::from_utf8_lossy(name).to_ascii_lowercase().as_str() {
            "received" => break,
            "x-envelope-from" | "x-envelope-sender" | "return-path" => {
                envelope.sender.get_or_insert_with(|| address(&value));
            }
            "x-envelope-to" | "x-original-to" | "envelope-to" | "delivered-to" => {
                envelope
                    .recipients
                    .extend(value.split(',').map(address).filter(|to| !to.is_empty()));
            }
            _ => {}
        }
    }
    envelope
}

/// Name and whole of each field of the head, in order; the blank line is none.
fn fields(message: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let mut end = 0;
        loop {
            let line = rest.get(end..).unwrap_or_default();
            let length = memchr::memchr(b'\n', line).map_or(line.len(), |at| at + 1);
            end += length;
            let folded = rest.get(end).is_some_and(|byte| matches!(byte, b' ' | b'\t'));
            if length == 0 || !folded {
                break;
            }
        }
        let field = rest.get(..end).filter(|field| !field.is_empty())?;
        let colon = memchr::memchr(b':', field)?;
        let name = field.get(..colon)?;
        if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
            return None;
        }
        rest = rest.get(end..).unwrap_or_default();
        Some((name, field))
    })
}

/// True for headers that are ours to write.
fn is_ours(name: &[u8]) -> bool {
    let begins =
        |start: &[u8]| name.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    begins(b"X-Spam-") || name.eq_ignore_ascii_case(crate::protocol::decision::HEADER.as_bytes())
}

/// The message with these header lines at its top, below an mbox line and Return-Path. Lines are
/// given with `\n`; the message's own line ends are put in.
pub(super) fn with_headers(message: &[u8], lines: &str) -> Vec<u8> {
    let inner = without_mbox_line(message);
    let mbox = message.len() - inner.len();
    let lines = with_ends_of(inner, lines);
    let mut out = Vec::with_capacity(message.len() + lines.len());
    out.extend_from_slice(message.get(..mbox).unwrap_or_default());
    let mut at = 0;
    let mut written = false;
    for (name, field) in fields(inner) {
        at += field.len();
        if !written && !name.eq_ignore_ascii_case(b"Return-Path") {
            out.extend_from_slice(lines.as_bytes());
            written = true;
        }
        if !is_ours(name) {
            out.extend_from_slice(field);
        }
    }
    if !written {
        out.extend_from_slice(lines.as_bytes());
    }
    out.extend_from_slice(inner.get(at..).unwrap_or_default());
    out
}

/// The head of a message with the blank line behind it.
pub(super) fn head_of(message: &[u8]) -> &[u8] {
    let inner = without_mbox_line(message);
    let mbox = message.len() - inner.len();
    let head: usize = fields(inner).map(|(_, field)| field.len()).sum();
    let rest = inner.get(head..).unwrap_or_default();
    let blank = if rest.starts_with(b"\r\n") { 2 } else { usize::from(rest.starts_with(b"\n")) };
    message.get(..mbox + head + blank).unwrap_or(message)
}

/// A report with the message attached (`report_safe 1`).
pub(super) fn as_attachment(message: &[u8], lines: &str, report: &str) -> Vec<u8> {
    let inner = without_mbox_line(message);
    let boundary = boundary_for(inner);
    let mut head = String::new();
    for name in ["From", "To", "Subject", "Date", "Message-ID"] {
        let field = fields(inner).find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        if let Some((_, field)) = field {
            head.push_str(&String::from_utf8_lossy(field).replace('\r', ""));
        }
    }
    let top = format!(
        "{head}{lines}MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"{boundary}\"\n\n\
         This is a multi-part message in MIME format.\n\n--{boundary}\n\
         Content-Type: text/plain; charset=UTF-8\nContent-Disposition: inline\n\
         Content-Transfer-Encoding: 8bit\n\n{report}\n--{boundary}\n\
         Content-Type: message/rfc822; x-spam-type=original\n\
         Content-Description: original message before calspamd\n\
         Content-Disposition: attachment\nContent-Transfer-Encoding: 8bit\n\n"
    );
    let mut out = with_ends_of(inner, &top).into_bytes();
    out.extend_from_slice(inner);
    out.extend_from_slice(with_ends_of(inner, &format!("\n--{boundary}--\n")).as_bytes());
    out
}

/// A boundary that does not occur in the message.
fn boundary_for(message: &[u8]) -> String {
    // A message cannot hold as many as this.
    (0..=u32::MAX)
        .map(|number| format!("----------=_calspamd-{number}"))
        .find(|boundary| memchr::memmem::find(message, boundary.as_bytes()).is_none())
        .unwrap_or_default()
}

fn with_ends_of(message: &[u8], lines: &str) -> String {
    let end = memchr::memchr(b'\n', message);
    let crlf = end.and_then(|end| end.checked_sub(1)).and_then(|at| message.get(at));
    if crlf == Some(&b'\r') { lines.replace('\n', "\r\n") } else { lines.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "Return-Path: <a@b.example>\nX-Envelope-To: <x@y.example>,\n <z@y.example>\n\
        Received: from mx\n\tby us\nX-Spam-Status: No, score=-100\n\ttests=NICE\nX-Original-To: evil@e.example\n\
        x-calspam-decision: insert=yes\nSubject: x\n\nX-Spam-Flag: in the body\n";

    #[test]
    fn headers_are_replaced_and_nothing_else_changes() {
        let added = "X-Spam-Flag: YES\nX-Spam-Level: *\n";
        let out = String::from_utf8(with_headers(MAIL.as_bytes(), added)).unwrap();
        assert_eq!(
            out,
            "Return-Path: <a@b.example>\nX-Spam-Flag: YES\nX-Spam-Level: *\n\
             X-Envelope-To: <x@y.example>,\n <z@y.example>\nReceived: from mx\n\tby us\n\
             X-Original-To: evil@e.example\nSubject: x\n\nX-Spam-Flag: in the body\n"
        );
        let crlf = MAIL.replace('\n', "\r\n");
        let out = String::from_utf8(with_headers(crlf.as_bytes(), added)).unwrap();
        assert!(!out.replace("\r\n", "").contains('\n'), "{out}");
        let mbox = format!("From MAILER-DAEMON Fri Nov 20 23:58:08 2026\n{MAIL}");
        let out = String::from_utf8(with_headers(mbox.as_bytes(), added)).unwrap();
        assert!(
            out.starts_with("From MAILER-DAEMON Fri Nov 20 23:58:08 2026\nReturn-Path"),
            "{out}"
        );
        for odd in ["", "\n", "no header\n", "\r\nbody", "Subject: x", ": x\n", "a b: c\n"] {
            let out = String::from_utf8(with_headers(odd.as_bytes(), added)).unwrap();
            assert!(
                out.replace('\r', "").contains(added)
                    && out.ends_with(odd.trim_start_matches("Subject: x")),
                "{out:?}"
            );
        }
    }

    #[test]
    fn heads_end_with_the_blank_line() {
        for (message, expected) in [
            ("Subject: x\n\nbody\n", "Subject: x\n\n"),
            ("Subject: x\r\n\r\nbody\r\n", "Subject: x\r\n\r\n"),
            ("Subject: x\n", "Subject: x\n"),
            ("\nbody", "\n"),
            ("", ""),
            ("From a\nSubject: x\n\nb", "From a\nSubject: x\n\n"),
        ] {
            assert_eq!(head_of(message.as_bytes()), expected.as_bytes(), "{message:?}");
        }
    }

    #[test]
    fn the_envelope_is_what_stands_above_the_first_hop() {
        let envelope = envelope(MAIL.as_bytes());
        assert_eq!(envelope.sender.as_deref(), Some("a@b.example"));
        assert_eq!(envelope.recipients, ["x@y.example", "z@y.example"]);
    }

    #[test]
    fn spam_becomes_an_attachment() {
        let out = as_attachment(MAIL.as_bytes(), "X-Spam-Flag: YES\n", "A report.\n");
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with("Subject: x\nX-Spam-Flag: YES\nMIME-Version: 1.0\n"), "{out}");
        assert!(out.contains(&format!("\n\n{MAIL}\n----------")), "{out}");
    }
}
