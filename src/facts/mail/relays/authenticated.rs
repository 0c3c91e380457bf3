//! Whether a Received field says that the sender had proved who it is.
//!
//! Comes in: the line, tidied. Goes out: how it did, as mail systems put it.
//! Not an error: a line that says nothing of it.

use memchr::memmem;

use super::formats::AUTHENTICATED;
use super::lines::{find, text};
use super::received::fits;
use super::shape::{Effort, Field, is_edge};

/// How the sender has proved who it is; empty when it has not.
pub(super) fn authenticated(line: &[u8], effort: &mut Effort) -> String {
    let by = find(line, b" by ").is_some();
    if by && let Some(protocol) = protocol(line) {
        return text(protocol);
    }
    if let Some(transport) = gmail(line) {
        return transport;
    }
    let mut told = None;
    for (name, format) in AUTHENTICATED.iter() {
        if let Some(found) = fits(format, line, effort) {
            let how = found.get(Field::Auth).map(text).unwrap_or_default();
            told = Some(match *name {
                "" => how,
                "GMX" => {
                    format!("GMX ({how} / {})", found.get(Field::By).map(text).unwrap_or_default())
                }
                "Postfix" if how != "Postfix" => format!("Postfix ({how})"),
                name => name.to_owned(),
            });
            break;
        }
    }
    if let Some(told) = told {
        return told;
    }
    let communigate = ["HTTP", "SMTP", "XIMSS", "IMAP"]
        .iter()
        .any(|how| find(line, format!("CommuniGate Pro {how}").as_bytes()).is_some());
    if communigate && find(line, b" (account ").is_some() {
        return "Communigate".to_owned();
    }
    let dav = b" with Microsoft Exchange Server HTTP-DAV";
    if find(line, dav).is_some_and(|at| is_edge(line, at + dav.len())) {
        return "HTTP-DAV".to_owned();
    }
    if by && let Some(via) = via_http(line) {
        return text(via);
    }
    String::new()
}

/// The protocols of RFC 3848 and RFC 6531 that say so, and those of web mail.
fn protocol(line: &[u8]) -> Option<&[u8]> {
    let lower = line.to_ascii_lowercase();
    memmem::find_iter(&lower, b" with ").find_map(|at| {
        let word = line.get(at + 6..)?;
        let end = word.iter().position(|b| matches!(b, b' ' | b';')).unwrap_or(word.len());
        let word = word.get(..end)?;
        [
            "ESMTPA",
            "ESMTPSA",
            "LMTPA",
            "LMTPSA",
            "UTF8SMTPA",
            "UTF8SMTPSA",
            "UTF8LMTPA",
            "UTF8LMTPSA",
            "ASMTP",
            "HTTP",
            "HTTPS",
            "HTTPU",
        ]
        .iter()
        .any(|name| name.as_bytes().eq_ignore_ascii_case(word))
        .then_some(word)
    })
}

/// Gmail does not say ESMTPSA, but its ids of submissions look different.
fn gmail(line: &[u8]) -> Option<String> {
    let mark = b" by mx.google.com with ESMTPS id ";
    let submitted = memmem::find_iter(line, mark)
        .any(|at| line.get(at + mark.len()..).is_some_and(is_gmail_id));
    if !submitted {
        return None;
    }
    memmem::find_iter(line, b"(version=").find_map(|at| {
        let rest = line.get(at + b"(version=".len()..)?;
        let version = rest.split(|byte| *byte == b' ').next().filter(|v| !v.is_empty())?;
        let cipher = rest.get(version.len()..)?.strip_prefix(b" cipher=")?;
        let end = cipher.iter().position(|byte| *byte == b')').filter(|end| *end > 0)?;
        let cipher = cipher.get(..end)?;
        Some(format!("GMail - transport={} cipher={}", text(version), text(cipher)))
    })
}

/// `u14sm1234567abc.3.2024.01.02.03.04.05`
fn is_gmail_id(text: &[u8]) -> bool {
    let word = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    let mut parts = word.split(|byte| *byte == b'.');
    let digits = |part: Option<&[u8]>, least: usize, most: usize| {
        part.is_some_and(|p| (least..=most).contains(&p.len()) && p.iter().all(u8::is_ascii_digit))
    };
    let head = parts.next().is_some_and(|head| {
        let sm = memmem::find(head, b"sm").unwrap_or(0);
        let tail = head.get(sm + 2..).unwrap_or_default();
        let number = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let letters = tail.get(number..).unwrap_or_default();
        (1..=4).contains(&sm)
            && (2..=9).contains(&number)
            && letters.len() == 3
            && letters.iter().all(u8::is_ascii_lowercase)
    });
    let mut ok = head && digits(parts.next(), 1, 3) && digits(parts.next(), 4, 4);
    for index in 0..5 {
        let part =
            parts.next().map(|part| if index == 4 { part.get(..2).unwrap_or(part) } else { part });
        ok = ok && digits(part, 2, 2) && part.is_some_and(|p| p.first().is_some_and(|b| *b < b'7'));
    }
    ok
}

fn via_http(line: &[u8]) -> Option<&[u8]> {
    let lower = line.to_ascii_lowercase();
    memmem::find_iter(&lower, b"(via http").find_map(|at| {
        let how = line.get(at + 5..)?;
        let end = how.iter().take(6).position(|byte| *byte == b')')?;
        let fits = matches!(how.get(end + 1), None | Some(b' ' | b';'));
        how.get(..end).filter(|_| fits)
    })
}
