//! Pieces of Received lines that stand anywhere in them: id, HELO, sender, date.
//!
//! Comes in: a line, tidied. Goes out: the piece, empty where there is none.
//! Not an error: anything.

use memchr::memmem;

use super::address::is_space;
use super::shape::is_edge;

/// White space runs made one space, none at the ends, no semicolons at the end.
pub(super) fn tidy(value: &[u8]) -> Vec<u8> {
    let mut line: Vec<u8> = Vec::with_capacity(value.len());
    for byte in value {
        if is_space(*byte) {
            if !line.ends_with(b" ") && !line.is_empty() {
                line.push(b' ');
            }
        } else {
            line.push(*byte);
        }
    }
    if line.ends_with(b" ") {
        line.pop();
    }
    while line.ends_with(b";") {
        line.pop();
        if line.ends_with(b" ") {
            line.pop();
        }
    }
    line
}

/// `from NAME by NAME;` tells no address.
pub(super) fn is_bare_handover(line: &[u8]) -> bool {
    if !starts_with(line, b"from ") {
        return false;
    }
    let mut words = line.get(5..).unwrap_or_default().splitn(3, |byte| *byte == b' ');
    let (Some(name), Some(by), Some(rest)) = (words.next(), words.next(), words.next()) else {
        return false;
    };
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b';')).unwrap_or(rest.len());
    let after = rest.get(end..).unwrap_or_default();
    let semicolon = after.starts_with(b";") || after.starts_with(b" ;");
    let numeric = name
        .strip_prefix(b"[")
        .and_then(|inside| inside.strip_suffix(b"]"))
        .is_some_and(|ip| !ip.is_empty() && ip.iter().all(|b| b.is_ascii_digit() || *b == b'.'));
    !name.is_empty() && by.eq_ignore_ascii_case(b"by") && end > 0 && semicolon && !numeric
}

/// Takes `; Tue, 23 May 2006 13:06:35 -0400` off the end.
pub(super) fn without_date(mut line: Vec<u8>) -> Vec<u8> {
    if let Some(start) = date_start(&line) {
        line.truncate(start);
    }
    line
}

fn date_start(line: &[u8]) -> Option<usize> {
    let last = |end: usize| -> Option<(&[u8], usize)> {
        let head = line.get(..end)?;
        let space = head.iter().rposition(|byte| *byte == b' ')?;
        Some((head.get(space + 1..)?, space))
    };
    let digits = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    let (_, zone) = last(line.len()).filter(|(word, _)| !word.is_empty())?;
    let (time, at_time) = last(zone)?;
    let parts: Vec<&[u8]> = time.split(|byte| *byte == b':').collect();
    if !(2..=3).contains(&parts.len()) || !parts.iter().all(|part| digits(part)) {
        return None;
    }
    let (year, at_year) = last(at_time)?;
    let (month, at_month) = last(at_year)?;
    let head = line.get(..at_month)?;
    let day = head.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    if !digits(year) || !is_month(month) || day == 0 {
        return None;
    }
    let mut start = head.len() - day;
    let weekday = line.get(..start)?.strip_suffix(b", ").and_then(|head| {
        let name = head.get(head.len().checked_sub(3)?..)?;
        let days = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
        let before = head.len().checked_sub(4).and_then(|index| head.get(index));
        (days.iter().any(|day| *day == name) && matches!(before, Some(b' ' | b';')))
            .then_some(head.len() - 3)
    });
    start = weekday.unwrap_or(start);
    let head = line.get(..start)?;
    let gap = head.iter().rev().take_while(|byte| matches!(byte, b' ' | b';')).count();
    (gap > 0).then_some(start - gap)
}

fn is_month(word: &[u8]) -> bool {
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        .iter()
        .any(|month| month.as_bytes() == word)
}

/// The id, three octets at least.
pub(super) fn id(line: &[u8]) -> String {
    memmem::find_iter(line, b" id ")
        .find_map(|at| {
            let rest = line.get(at + 4..)?;
            let rest = rest.strip_prefix(b"<").unwrap_or(rest);
            let end = rest.iter().position(|b| matches!(b, b' ' | b'<' | b'>' | b';'));
            rest.get(..end.unwrap_or(rest.len())).filter(|id| id.len() >= 3)
        })
        .map(text)
        .unwrap_or_default()
}

/// `helo=NAME`, else `HELO NAME` or `EHLO NAME`.
pub(super) fn helo(line: &[u8]) -> String {
    let name = |at: usize, length: usize| {
        let rest = line.get(at + length..).filter(|_| is_edge(line, at))?;
        let end = rest.iter().position(|b| !is_helo(*b)).unwrap_or(rest.len());
        rest.get(..end).filter(|name| !name.is_empty())
    };
    let small = memmem::find_iter(line, b"helo=").find_map(|at| name(at, 5));
    small
        .or_else(|| {
            memmem::find_iter(line, b"LO ")
                .filter_map(|at| at.checked_sub(2))
                .filter(|at| {
                    let rest = line.get(*at..).unwrap_or_default();
                    rest.starts_with(b"HELO ") || rest.starts_with(b"EHLO ")
                })
                .find_map(|at| name(at, 5))
        })
        .map(text)
        .unwrap_or_default()
}

const fn is_helo(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'^'
                | b'+'
                | b'_'
                | b'&'
                | b':'
                | b'='
                | b'?'
                | b'!'
                | b'@'
                | b'%'
                | b'*'
                | b'$'
                | b'\\'
                | b'/'
        )
}

/// The first word, up to its last octet that no name has.
pub(super) fn guessed_helo(rest: &[u8]) -> String {
    let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let last = (1..=end).rev().find(|at| rest.get(*at).is_some_and(|byte| !name(*byte)));
    last.and_then(|at| rest.get(..at)).map(text).unwrap_or_default()
}

/// The sender that some systems note.
pub(super) fn sender(line: &[u8]) -> Option<String> {
    let lower = line.to_ascii_lowercase();
    let marks = [
        "return-path: ",
        "return-path:",
        "return-path ",
        "envelope-sender ",
        "envelope-sender=",
        "envelope-from ",
        "envelope-from=",
    ];
    let mut found: Option<(usize, &[u8])> = None;
    for mark in marks {
        for at in memmem::find_iter(&lower, mark) {
            if found.is_some_and(|(first, _)| first <= at) {
                break;
            }
            let start = at + mark.len();
            let word = line.get(start..)?;
            let end = word.iter().position(|byte| *byte == b' ').unwrap_or(word.len());
            // The word ends where the last letter or digit of it does.
            if let Some(end) = (1..=end).rev().find(|end| is_edge(line, start + end)) {
                found = Some((at, word.get(..end)?));
                break;
            }
        }
    }
    found.map(|(_, sender)| text(sender))
}

/// A line of Microsoft's servers that ends with the version.
pub(super) fn is_microsoft(line: &[u8]) -> bool {
    [&b" with Microsoft SMTP Server "[..], b" with mapi id "].into_iter().any(|mark| {
        memmem::find_iter(line, mark).any(|at| {
            let rest = line.get(at + mark.len()..).unwrap_or_default();
            let rest = match rest.strip_prefix(b"(") {
                Some(inside) => inside
                    .iter()
                    .position(|byte| *byte == b')')
                    .and_then(|end| inside.get(end + 1..)?.strip_prefix(b" "))
                    .unwrap_or_default(),
                None => rest,
            };
            let version = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
            let parts: Vec<&[u8]> = version.split(|byte| *byte == b'.').collect();
            parts.len() == 4
                && parts.iter().all(|p| !p.is_empty() && p.iter().all(u8::is_ascii_digit))
        })
    })
}

/// qmail-ldap looks like sendmail, but is not.
pub(super) fn is_qmail_ldap(line: &[u8]) -> bool {
    memmem::find_iter(line, b" (qmail-").any(|at| {
        let head = line.get(..at).unwrap_or_default();
        let word = head.iter().rposition(|byte| *byte == b' ').unwrap_or(0);
        let version = line.get(at + b" (qmail-".len()..).unwrap_or_default();
        let end = version.iter().position(|byte| *byte == b' ').unwrap_or(version.len());
        let closed = version.get(..end).is_some_and(|v| v.len() > 1 && v.ends_with(b")"));
        head.get(..word).is_some_and(|head| head.ends_with(b" by"))
            && closed
            && version.get(end..).is_some_and(|rest| rest.starts_with(b" with "))
    })
}

/// What stands between a mark and the `>` that ends its word.
pub(super) fn between<'l>(line: &'l [u8], mark: &[u8]) -> Option<&'l [u8]> {
    let word = word_after(line, mark)?;
    let end = word.iter().rposition(|byte| *byte == b'>')?;
    word.get(..end).filter(|word| !word.is_empty())
}

/// The word behind the first mark; it may be empty.
pub(super) fn word_after<'l>(line: &'l [u8], mark: &[u8]) -> Option<&'l [u8]> {
    let rest = line.get(find(line, mark)? + mark.len()..)?;
    let end = rest.iter().position(|byte| is_space(*byte)).unwrap_or(rest.len());
    rest.get(..end)
}

/// Fields are short: to prepare a search would cost more than the search.
pub(super) fn find(line: &[u8], part: &[u8]) -> Option<usize> {
    let (first, rest) = part.split_first()?;
    let mut places = memchr::memchr_iter(*first, line);
    places.find(|at| line.get(at + 1..).is_some_and(|tail| tail.starts_with(rest)))
}

pub(super) fn starts_with(line: &[u8], start: &[u8]) -> bool {
    line.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

pub(super) fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
