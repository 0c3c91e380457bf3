//! Names and addresses of a field, as `:addr` and `:name` rules see them.
//!
//! Comes in: the value of the field as sent. Goes out: mailboxes in order, broken ones
//! included. Not an error: anything; what cannot be read any further is left out, except
//! that addresses in angle brackets are still picked up.
//!
//! Other parts of the program ask [`Mailbox`](crate::message::Mailbox) and get what mail
//! programs show. This is what SpamAssassin 4.0.1 makes of the same octets, oddities
//! included: a list without spaces behind its commas is one broken address, an address may
//! stand in a quoted name.

use super::relays::address::is_space;

/// Mailboxes read from one field.
const MOST: usize = 1_000;

/// Closing brackets that are tried for one address.
const MOST_ENDS: usize = 50;

/// A mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mailbox {
    /// The name, not decoded; a comment where there is no name.
    pub name: Option<Vec<u8>>,
    /// The address; `None` where what stands in its place is none.
    pub address: Option<Vec<u8>>,
}

/// Reads the mailboxes of a value.
pub fn read(value: &[u8]) -> Vec<Mailbox> {
    let text = without_group(without_escaped_backslashes(value.trim_ascii_end()));
    let mut found = Vec::new();
    let mut rest: &[u8] = &text;
    while found.len() < MOST
        && let Some((entry, length)) = entry(rest)
    {
        found.push(entry.into_mailbox());
        rest = rest.get(length..).unwrap_or_default();
    }
    if rest.contains(&b'@') {
        leftovers(rest, &mut found);
    }
    found
}

/// Two backslashes stand for one, which means nothing to us.
fn without_escaped_backslashes(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((byte, tail)) = rest.split_first() {
        if *byte == b'\\' && tail.first() == Some(&b'\\') {
            rest = tail.get(1..).unwrap_or_default();
        } else {
            text.push(*byte);
            rest = tail;
        }
    }
    text
}

/// Takes the name of a group off; the end of an empty group goes with it.
fn without_group(text: Vec<u8>) -> Vec<u8> {
    let plain = text.iter().position(|b| matches!(b, b'"' | b'(' | b')' | b'<' | b'>'));
    let head = text.get(..plain.unwrap_or(text.len())).unwrap_or_default();
    let Some(colon) = head.iter().rposition(|byte| *byte == b':').filter(|at| *at > 0) else {
        return text;
    };
    let rest = trim_start(text.get(colon + 1..).unwrap_or_default());
    if rest.starts_with(b";") { Vec::new() } else { rest.to_vec() }
}

/// What stood between two commas.
#[derive(Debug, Default)]
struct Entry<'t> {
    phrase: Option<&'t [u8]>,
    /// What stands in angle brackets.
    bracketed: Option<&'t [u8]>,
    /// An address without brackets.
    plain: Option<&'t [u8]>,
    comment: Option<&'t [u8]>,
}

impl Entry<'_> {
    fn into_mailbox(self) -> Mailbox {
        let mut address = match self.bracketed {
            Some(inside) => Some(without_comments(inside)).filter(|inside| is_address(inside)),
            None => self.plain.map(<[u8]>::to_vec),
        };
        address = address.filter(|address| is_sound(address));
        let mut name = self.phrase.map(words);
        if let Some(words) = name.take() {
            if address.is_none() && is_address(&words) && is_sound(&words) && has_valid_host(&words)
            {
                address = Some(words);
            } else if !words.is_empty() && address.as_ref() != Some(&words) {
                name = Some(words);
            }
        }
        let name = name.or_else(|| self.comment.map(<[u8]>::to_vec));
        Mailbox { name, address: address.map(up_to_second_at) }
    }
}

/// Reads an entry and its comma; `None` when the text does not begin with one.
fn entry(text: &[u8]) -> Option<(Entry<'_>, usize)> {
    let start = text.len() - trim_start(text).len();
    // White space in front of a comma is a name of one blank.
    if let (Some(b',' | b';'), Some(blank)) = (text.get(start), start.checked_sub(1)) {
        let phrase = text.get(blank..start);
        return Some((Entry { phrase, ..Entry::default() }, start + 1));
    }
    let ends = phrase_ends(text, start);
    let longest = ends.last().copied().unwrap_or(start);
    for begin in [longest, start] {
        let phrase = text.get(start..begin).filter(|phrase| !phrase.is_empty());
        if let Some(found) = bracketed(text, begin, phrase) {
            return Some(found);
        }
        if begin == start {
            break;
        }
    }
    if let Some(end) = address_end(text, start)
        && let Some((comment, length)) = finish(text, end)
    {
        let plain = text.get(start..end);
        return Some((Entry { plain, comment, ..Entry::default() }, length));
    }
    ends.iter().rev().take(MOST_ENDS).find_map(|end| {
        let (comment, length) = finish(text, *end)?;
        Some((Entry { phrase: text.get(start..*end), comment, ..Entry::default() }, length))
    })
}

/// Where a name may end that begins at `start`: after each quoted or plain piece of it.
fn phrase_ends(text: &[u8], start: usize) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut position = start;
    loop {
        let rest = text.get(position..).unwrap_or_default();
        let length = if rest.first() == Some(&b'"') {
            quoted(rest).unwrap_or(0)
        } else {
            rest.iter().take_while(|b| !matches!(b, b'"' | b',' | b';' | b'<')).count()
        };
        if length == 0 {
            return ends;
        }
        position += length;
        ends.push(position);
    }
}

/// Length of a quoted text with its quotes.
fn quoted(text: &[u8]) -> Option<usize> {
    let mut bytes = text.iter().enumerate().skip(1);
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(index + 1),
            b'\\' => {
                // A line feed cannot be escaped.
                bytes.next().filter(|(_, byte)| **byte != b'\n')?;
            }
            _ => {}
        }
    }
    None
}

/// Reads `<address>` at `begin`, what is repeated of it, the comment and the comma.
fn bracketed<'t>(
    text: &'t [u8],
    begin: usize,
    phrase: Option<&'t [u8]>,
) -> Option<(Entry<'t>, usize)> {
    let begin = skip_space(text, begin);
    if text.get(begin) != Some(&b'<') {
        return None;
    }
    let start = skip_space(text, begin + 1);
    closing(text, start, |byte| matches!(byte, b'>' | b'@')).find_map(|(end, close)| {
        let after = repeated(text, close + 1);
        let (comment, length) = finish(text, after).or_else(|| finish(text, close + 1))?;
        let bracketed = text.get(start..end);
        Some((Entry { phrase, bracketed, comment, ..Entry::default() }, length))
    })
}

/// Where an address that starts at `start` may end, and its closing bracket, in the order
/// in which they are tried. Only the part up to `@` may hold spaces; brackets inside the
/// rest are taken for part of it as long as what follows makes sense.
fn closing(
    text: &[u8],
    start: usize,
    stops: impl Fn(u8) -> bool,
) -> impl Iterator<Item = (usize, usize)> {
    let rest = text.get(start..).unwrap_or_default();
    let stop = start + rest.iter().take_while(|byte| !stops(**byte)).count();
    let word = text.get(stop..).unwrap_or_default();
    let word_end = stop + word.iter().take_while(|byte| !is_space(**byte)).count();
    let spaced = skip_space(text, word_end);
    let beyond = (word_end > stop && spaced > word_end && text.get(spaced) == Some(&b'>'))
        .then_some((word_end, spaced));
    let inside = (stop + 1..word_end)
        .rev()
        .filter(|at| text.get(*at) == Some(&b'>'))
        .take(MOST_ENDS)
        .map(|at| (at, at));
    let at_stop = (text.get(stop) == Some(&b'>')).then(|| {
        let head = text.get(start..stop).unwrap_or_default();
        (start + head.trim_ascii_end().len(), stop)
    });
    beyond.into_iter().chain(inside).chain(at_stop)
}

/// Skips further `<…>`: some programs write the address twice.
fn repeated(text: &[u8], position: usize) -> usize {
    let mut position = position;
    for _ in 0..MOST_ENDS {
        let begin = skip_space(text, position);
        if text.get(begin) != Some(&b'<') {
            break;
        }
        let mut start = skip_space(text, begin + 1);
        if text.get(start) == Some(&b'"') {
            start += quoted(text.get(start..).unwrap_or_default()).unwrap_or(0);
        }
        let found = closing(text, start, |_| true).find(|(_, close)| {
            let next = skip_space(text, close + 1);
            matches!(text.get(next), None | Some(b',' | b';' | b'<' | b'('))
        });
        let Some((_, close)) = found else {
            break;
        };
        position = close + 1;
    }
    position
}

/// The comment behind an entry, and the length up to behind the comma or to the end.
fn finish(text: &[u8], position: usize) -> Option<(Option<&[u8]>, usize)> {
    let terminated = |position: usize| {
        let next = skip_space(text, position);
        match text.get(next) {
            None => Some(next),
            Some(b',' | b';') => Some(next + 1),
            Some(_) => None,
        }
    };
    let open = skip_space(text, position);
    let rest = text.get(open..).unwrap_or_default();
    if let Some(length) = comment(rest)
        && let Some(end) = terminated(open + length)
    {
        return Some((rest.get(1..length - 1), end));
    }
    terminated(position).map(|end| (None, end))
}

/// Length of a comment with its parentheses; there is no nesting.
fn comment(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'(') {
        return None;
    }
    let mut bytes = text.iter().enumerate().skip(1);
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b')' => return Some(index + 1),
            b'(' => return None,
            b'\\' => {
                bytes.next().filter(|(_, byte)| **byte != b'\n')?;
            }
            _ => {}
        }
    }
    None
}

fn without_comments(text: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    let mut rest = text;
    // An open parenthesis that is never closed is looked for once, not at every place.
    let last = text.iter().rposition(|byte| *byte == b')').map(|at| text.len() - at);
    while let Some((byte, tail)) = rest.split_first() {
        let possible = *byte == b'(' && last.is_some_and(|left| rest.len() >= left);
        if possible && let Some(length) = comment(rest) {
            rest = rest.get(length..).unwrap_or_default();
        } else {
            kept.push(*byte);
            rest = tail;
        }
    }
    kept
}

/// The words of a name: quotes, escapes and comments outside quotes taken away.
fn words(phrase: &[u8]) -> Vec<u8> {
    let mut words = Vec::with_capacity(phrase.len());
    let mut rest = phrase;
    while !rest.is_empty() {
        let length = if rest.first() == Some(&b'"') {
            let length = quoted(rest).unwrap_or(rest.len());
            let inside = rest.get(1..length - 1).unwrap_or_default();
            words.extend(inside.iter().filter(|byte| **byte != b'\\'));
            length
        } else {
            let length = rest.iter().take_while(|byte| **byte != b'"').count();
            words.extend(without_comments(rest.get(..length).unwrap_or_default()));
            length
        };
        rest = rest.get(length.max(1)..).unwrap_or_default();
    }
    words
}

/// Where an address ends that starts at `start`.
fn address_end(text: &[u8], start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    let quoted = quoted(rest)
        .filter(|length| rest.first() == Some(&b'"') && rest.get(*length) == Some(&b'@'));
    let user = quoted.or_else(|| {
        let length = rest.iter().take_while(|b| !ends_user(**b)).count();
        (length > 0 && rest.get(length) == Some(&b'@')).then_some(length)
    })?;
    let host = rest.get(user + 1..)?;
    let length =
        host.iter().take_while(|b| !(ends_user(**b) && **b != b'@') && **b != b'"').count();
    if length > 0 {
        return Some(start + user + 1 + length);
    }
    let inside = host.strip_prefix(b"[")?;
    let length =
        inside.iter().take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.')).count();
    (length > 0 && inside.get(length) == Some(&b']')).then_some(start + user + 1 + length + 2)
}

const fn ends_user(byte: u8) -> bool {
    is_space(byte)
        || matches!(byte, b'@' | b'<' | b'>' | b'(' | b')' | b'[' | b']' | b',' | b':' | b';')
}

/// True for an address and nothing else.
fn is_address(text: &[u8]) -> bool {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    address_end(text, 0) == Some(text.len())
}

fn is_sound(address: &[u8]) -> bool {
    !address.starts_with(b"\"\"@") && memchr::memchr_iter(b'"', address).take(2).count() != 1
}

/// `a@b@c` is `a@b`.
fn up_to_second_at(mut address: Vec<u8>) -> Vec<u8> {
    let second = address
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'@')
        .nth(1)
        .map(|(index, _)| index);
    if let Some(second) = second {
        address.truncate(second);
    }
    address
}

fn has_valid_host(address: &[u8]) -> bool {
    address.split(|byte| *byte == b'@').nth(1).is_some_and(is_valid_host)
}

/// True for a host name of two labels at least; its last label need not exist.
pub fn is_valid_host(host: &[u8]) -> bool {
    let end = host.iter().rposition(|byte| *byte != b'.').map_or(0, |at| at + 1);
    let host = host.get(..end).unwrap_or_default();
    let labels: Vec<&[u8]> = host.split(|byte| *byte == b'.').collect();
    let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    host.len() <= 253
        && labels.len() > 1
        && labels.iter().enumerate().all(|(index, label)| {
            (1..=63).contains(&label.len())
                && label.iter().all(inner)
                && !label.starts_with(b"-")
                && !label.ends_with(b"-")
                // Names of services have underscores, domains do not.
                && (labels.len() - index > 2 || !label.contains(&b'_'))
        })
}

/// Addresses in angle brackets in what could not be read.
fn leftovers(text: &[u8], found: &mut Vec<Mailbox>) {
    let mut position = 0;
    while found.len() < MOST
        && let Some(open) = memchr::memchr(b'<', text.get(position..).unwrap_or_default())
    {
        let start = position + open + 1;
        position = start;
        let Some(end) = address_end(text, start).filter(|end| text.get(*end) == Some(&b'>')) else {
            continue;
        };
        position = end + 1;
        let address = text.get(start..end).unwrap_or_default().to_vec();
        if is_sound(&address) {
            found.push(Mailbox { name: None, address: Some(up_to_second_at(address)) });
        }
    }
}

fn trim_start(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| is_space(**byte)).count();
    text.get(blanks..).unwrap_or_default()
}

fn skip_space(text: &[u8], position: usize) -> usize {
    position
        + text
            .get(position..)
            .unwrap_or_default()
            .iter()
            .take_while(|byte| is_space(**byte))
            .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected`: name and address, `-` where there is none.
    #[track_caller]
    fn check(value: &str, expected: &[(&str, &str)]) {
        let found: Vec<(String, String)> = read(value.as_bytes())
            .into_iter()
            .map(|mailbox| {
                let text = |octets: Option<Vec<u8>>| {
                    octets.map_or_else(|| "-".to_owned(), |o| String::from_utf8(o).unwrap())
                };
                (text(mailbox.name), text(mailbox.address))
            })
            .collect();
        let found: Vec<_> = found.iter().map(|(n, a)| (n.as_str(), a.as_str())).collect();
        assert_eq!(found, expected, "{value}");
    }

    #[test]
    fn mailboxes() {
        check(" ann@a.example\n", &[("-", "ann@a.example")]);
        check(" Ann Lee <ann@a.example>\n", &[("Ann Lee ", "ann@a.example")]);
        check(
            "\"Lee, Ann\" <a@b.example>, c@d.example (Cee)",
            &[("Lee, Ann ", "a@b.example"), ("Cee", "c@d.example")],
        );
        check("\"A \\\"B\\\"\" <a@b.example>", &[("A \"B\" ", "a@b.example")]);
        check("Ann (me) Lee <a@b.example>", &[("Ann  Lee ", "a@b.example")]);
        check("<a@b.example> (Ann)", &[("Ann", "a@b.example")]);
        check("\"a@b.example\"<a@b.example>", &[("-", "a@b.example")]);
        check("\"a@b.example\" <a@b.example>", &[("a@b.example ", "a@b.example")]);
        check("\"a@b.example\"", &[("-", "a@b.example")]);
        check("Team: a@b.example, c@d.example;", &[("-", "a@b.example"), ("-", "c@d.example")]);
        check("undisclosed-recipients:;", &[]);
        check("Ann <>", &[("Ann ", "-")]);
        check("Ann", &[("Ann", "-")]);
        check("A <a@b.example> <a@b.example>", &[("A ", "a@b.example")]);
        check("<a @b.example>", &[("-", "-")]);
        check("<a@b.example>,<c@d.example>", &[("-", "-")]);
        check("<a@b.example>, <c@d.example>", &[("-", "a@b.example"), ("-", "c@d.example")]);
        check("a@b@c.example", &[("-", "a@b")]);
        check("<a@[192.0.2.1]>", &[("-", "a@[192.0.2.1]")]);
        check("", &[]);
        check(" , ,", &[(" ", "-"), (" ", "-")]);
        check(" ,a@b.example", &[(" ", "-"), ("-", "a@b.example")]);
        check(",a@b.example", &[]);
        check("=?x?q?\"A\"?=<a@b.example>", &[("=?x?q?A?=", "a@b.example")]);
        check("\"Ann <a@b.example>", &[("-", "a@b.example")]);
        check("a@b.example x", &[("a@b.example x", "-")]);
    }

    #[test]
    fn hosts() {
        for (host, expected) in [
            ("a.example", true),
            ("a.example.", true),
            ("example", false),
            ("a_b.c.example", true),
            ("a_b.example", false),
            ("-a.example", false),
            ("a..example", false),
            ("", false),
        ] {
            assert_eq!(is_valid_host(host.as_bytes()), expected, "{host}");
        }
    }

    #[test]
    fn hostile_lists() {
        let started = std::time::Instant::now();
        for piece in [
            "<",
            "<a@b>",
            "<a@b",
            "\"",
            "(",
            "a(",
            "\"a\"",
            ",",
            "<a@b.example>,",
            "a@",
            "\\(",
            "<a@b> <",
        ] {
            read(piece.repeat(8_192 / piece.len()).as_bytes());
        }
        assert!(started.elapsed().as_secs() < 5);
    }
}
