//! The texts that a selector selects.
//!
//! Comes in: the selector and the facts. Goes out: one text a field, or one a part of it.
//! Not an error: fields that hold no address, no host, no IP address; they give no text.

use crate::facts::Facts;
use crate::facts::domain::{has_known_suffix, registered};
use crate::facts::mail::relays::address;
use crate::facts::mail::{Networks, Relays, Zone, addresses, envelope, fields};
use crate::message::{Header, Message};

use super::{HostPart, MailboxPart, Pick, Selector, Source};

/// Octets of all fields together in `ALL`.
const LONGEST_HEADER: usize = 65_536;

/// Octets of a host in front of its last label.
const LONGEST_HOST: usize = 251;

impl Selector {
    /// The texts, one a field or part.
    pub(super) fn found(&self, facts: &Facts<'_>, networks: &Networks) -> Vec<Vec<u8>> {
        let message = facts.message;
        let relays = || facts.mail.relays(networks);
        let found = match self.source {
            Source::All => {
                return all(message, self.raw).into_iter().map(|(_, text)| text).collect();
            }
            Source::AllOf(zone) => return all_of(message, self.raw, zone, relays()),
            Source::Relays(zone) => vec![relays().text(zone).into_bytes()],
            Source::EnvelopeFrom => {
                envelope::sender(message, facts.envelope, relays()).into_iter().collect()
            }
            Source::ToCc => self.joined(message, &["To", "Cc"]),
            Source::MessageId => self.joined(
                message,
                &["X-Message-Id", "Resent-Message-Id", "X-Original-Message-ID", "Message-Id"],
            ),
            Source::Field => fields::named(message, &self.name)
                .map(|header| {
                    if self.raw || self.mailbox.is_some() {
                        fields::raw(header)
                    } else {
                        line(header)
                    }
                })
                .collect(),
        };
        let found: Vec<Vec<u8>> = match self.pick {
            Pick::Every => found,
            Pick::First => found.into_iter().take(1).collect(),
            Pick::Last => found.into_iter().next_back().into_iter().collect(),
        };
        let found = match self.mailbox {
            None => found,
            Some(part) => found.iter().flat_map(|value| self.mailboxes(value, part)).collect(),
        };
        match self.host {
            None => found,
            Some(part) => found.iter().filter_map(|value| self.host_in(value, part)).collect(),
        }
    }

    /// Fields of several names; with `:raw` only their folds are undone.
    fn joined(&self, message: &Message<'_>, names: &[&str]) -> Vec<Vec<u8>> {
        names
            .iter()
            .flat_map(|name| {
                fields::named(message, name)
                    .map(|header| if self.raw { unfolded(header) } else { line(header) })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    fn mailboxes(&self, value: &[u8], part: MailboxPart) -> Vec<Vec<u8>> {
        let mailboxes = addresses::read(value).into_iter();
        match part {
            MailboxPart::Address => mailboxes.filter_map(|mailbox| mailbox.address).collect(),
            MailboxPart::Name if self.raw => mailboxes.filter_map(|mailbox| mailbox.name).collect(),
            MailboxPart::Name => {
                mailboxes.filter_map(|mailbox| mailbox.name).map(|name| shown(&name)).collect()
            }
        }
    }

    fn host_in(&self, value: &[u8], part: HostPart) -> Option<Vec<u8>> {
        match part {
            HostPart::Host | HostPart::Domain => {
                let host = if self.mailbox == Some(MailboxPart::Address) {
                    let line = value.split(|byte| *byte == b'\n').next()?;
                    let at = line.iter().rposition(|byte| *byte == b'@')?;
                    let host = line.get(at + 1..)?;
                    let end = host.iter().position(|b| address::is_space(*b)).unwrap_or(host.len());
                    host.get(..end).filter(|host| !host.is_empty())?
                } else {
                    some_host(value)?
                };
                Some(if part == HostPart::Domain {
                    domain(&String::from_utf8_lossy(host))
                } else {
                    host.to_vec()
                })
            }
            HostPart::Ip => some_address(value).map(<[u8]>::to_vec),
            HostPart::ReversedIp => reversed(some_address(value)?),
        }
    }
}

/// The registered domain; dots too many are left out.
fn domain(host: &str) -> Vec<u8> {
    let labels: Vec<&str> = host.split('.').filter(|label| !label.is_empty()).collect();
    registered(&labels.join(".")).into_owned().into_bytes()
}

/// The decoded value with its line feed.
fn line(header: &Header<'_>) -> Vec<u8> {
    let mut value = fields::decoded(header);
    value.push(b'\n');
    value
}

/// The value as sent, a line feed and all white space behind it made one space.
fn unfolded(header: &Header<'_>) -> Vec<u8> {
    let mut value = Vec::new();
    let raw = fields::raw(header);
    let mut rest = raw.as_slice();
    while let Some((byte, tail)) = rest.split_first() {
        let blanks = tail.iter().take_while(|byte| address::is_space(**byte)).count();
        if *byte == b'\n' && blanks > 0 {
            value.push(b' ');
            rest = tail.get(blanks..).unwrap_or_default();
        } else {
            value.push(*byte);
            rest = tail;
        }
    }
    value
}

/// A name as it is shown: decoded, single spaces, no single quotes around.
fn shown(name: &[u8]) -> Vec<u8> {
    let decoded = fields::decode(name, true);
    let words: Vec<&[u8]> =
        decoded.split(|byte| address::is_space(*byte)).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return decoded;
    }
    let text = words.join(&b' ');
    match text.as_slice() {
        [b'\'', inside @ .., b'\''] => inside.to_vec(),
        _ => text,
    }
}

/// Every field with its name, and whether it is a Received field.
fn all(message: &Message<'_>, raw: bool) -> Vec<(bool, Vec<u8>)> {
    let is_received = |header: &Header<'_>| header.name.eq_ignore_ascii_case("Received");
    if raw {
        let mut texts: Vec<_> = message
            .headers
            .iter()
            .map(|header| {
                let text = [header.name.as_bytes(), b":", &header.raw].concat();
                (is_received(header), text)
            })
            .collect();
        // The line that ends the header is not empty where lines end with CRLF.
        if texts.last().is_some_and(|(_, text)| text.ends_with(b"\r\n")) {
            texts.push((false, b"\r\n".to_vec()));
        }
        return texts;
    }
    let headers: Vec<&Header<'_>> = fields::all(message).collect();
    let kept = within_limit(&headers);
    headers
        .into_iter()
        .zip(kept)
        .filter(|(_, kept)| *kept)
        .map(|(header, _)| {
            let text = [header.name.as_bytes(), b": ", &line(header)].concat();
            (is_received(header), text)
        })
        .collect()
}

/// Which fields `ALL` holds when not all of them have room: name by name, in the order in
/// which names appear first.
fn within_limit(headers: &[&Header<'_>]) -> Vec<bool> {
    let octets: usize = headers.iter().map(|h| h.name.len() + h.raw.len() + 2).sum();
    // Decoding may make a value longer, but never three times as long.
    if octets.saturating_mul(3) <= LONGEST_HEADER {
        return vec![true; headers.len()];
    }
    let mut order: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    let mut ranked: Vec<(usize, usize)> = Vec::with_capacity(headers.len());
    for (index, header) in headers.iter().enumerate() {
        let next = order.len();
        let rank = *order.entry(header.name.to_ascii_lowercase()).or_insert(next);
        ranked.push((rank, index));
    }
    ranked.sort_unstable();
    let mut kept = vec![false; headers.len()];
    let mut size = 0_usize;
    for (_, index) in ranked {
        if let Some(header) = headers.get(index) {
            size += header.name.len() + line(header).len() + 2;
        }
        if size > LONGEST_HEADER {
            break;
        }
        if let Some(slot) = kept.get_mut(index) {
            *slot = true;
        }
    }
    kept
}

/// Fields above, or from, the first Received field that the zone has not added. That field
/// itself belongs to both sides: it was added by a host that can be believed and tells of one
/// that cannot.
fn all_of(message: &Message<'_>, raw: bool, zone: Zone, relays: &Relays) -> Vec<Vec<u8>> {
    let (border, above) = match zone {
        Zone::Trusted => (relays.trusted_fields, true),
        Zone::Untrusted => (relays.trusted_fields, false),
        Zone::Internal => (relays.internal_fields, true),
        Zone::External => (relays.internal_fields, false),
    };
    // The hop of the envelope stands above all fields.
    let mut seen = usize::from(relays.from_envelope);
    let mut texts = Vec::new();
    for (received, text) in all(message, raw) {
        seen += usize::from(received);
        // Fields are counted from one here: `seen` fields, this one included.
        let at_border = seen == border + 1;
        if above {
            if seen > border && !(at_border && received) {
                break;
            }
            texts.push(text);
            if at_border {
                break;
            }
        } else if seen > border {
            texts.push(text);
        }
    }
    texts
}

/// The host of an address in a text, else any host.
fn some_host(value: &[u8]) -> Option<&[u8]> {
    let ends = host_ends(value);
    let after_at = memchr::memchr_iter(b'@', value)
        .rev()
        .find_map(|at| value.get(at + 1..longest_host(value, at + 1, &ends)?))
        .filter(|host| addresses::is_valid_host(host));
    if after_at.is_some() {
        return after_at;
    }
    let mut start = 0;
    while start < value.len() {
        let before = start.checked_sub(1).and_then(|at| value.get(at));
        let end = match before {
            Some(b'.' | b'_' | b'-') => None,
            Some(_) | None => longest_host(value, start, &ends),
        };
        match end {
            Some(end) => {
                let host = value.get(start..end).unwrap_or_default();
                if addresses::is_valid_host(host) {
                    return Some(host);
                }
                start = end;
            }
            None => start += 1,
        }
    }
    None
}

/// Where hosts may end: the last dot and the end of a known top-level domain.
fn host_ends(value: &[u8]) -> Vec<(usize, usize)> {
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    value
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'.')
        .filter_map(|(dot, _)| {
            let label = value.get(dot + 1..)?;
            let length = label.iter().take_while(|byte| name(byte)).count();
            let next = label.get(length);
            let label = label.get(..length).filter(|label| !label.is_empty())?;
            let fits = !matches!(next, Some(b'.' | b'_' | b'-')) && is_top_level(label);
            fits.then_some((dot, dot + 1 + length))
        })
        .collect()
}

fn is_top_level(label: &[u8]) -> bool {
    // Asked with a label in front, because a suffix alone has no domain.
    let host = format!("x.{}", String::from_utf8_lossy(label).to_ascii_lowercase());
    has_known_suffix(&host) || psl::suffix(host.as_bytes()).is_some_and(|suffix| suffix.is_known())
}

/// The farthest end of a host that starts at `start`.
fn longest_host(value: &[u8], start: usize, ends: &[(usize, usize)]) -> Option<usize> {
    let count = ends.partition_point(|(dot, _)| *dot <= start + LONGEST_HOST);
    let (dot, end) = ends.get(count.checked_sub(1)?)?;
    let word = value.get(start..*dot).filter(|word| !word.is_empty())?;
    if !word.iter().any(|byte| address::is_space(*byte)) {
        return Some(*end);
    }
    // The farthest one is in another word: look in this one.
    let word = value.get(start..)?;
    let limit = start + word.iter().take_while(|byte| !address::is_space(**byte)).count();
    let count = ends.partition_point(|(dot, _)| *dot < limit);
    let (dot, end) = ends.get(count.checked_sub(1)?)?;
    (*dot > start).then_some(*end)
}

/// An IP address that stands by itself.
fn some_address(value: &[u8]) -> Option<&[u8]> {
    let word = |at: Option<usize>| {
        at.and_then(|at| value.get(at)).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
    };
    let dot = |at: Option<usize>| at.and_then(|at| value.get(at)) == Some(&b'.');
    address::first_where(value, |start, end| {
        let (before, last) = (start.checked_sub(1), end.checked_sub(1));
        !dot(before)
            && word(before) != word(Some(start))
            && word(last) != word(Some(end))
            && !dot(Some(end))
    })
}

/// The address as DNS lists are asked for it.
fn reversed(ip: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(ip).ok()?;
    if let Ok(four) = text.parse::<std::net::Ipv4Addr>() {
        let [a, b, c, d] = four.octets();
        return Some(format!("{d}.{c}.{b}.{a}").into_bytes());
    }
    let six: std::net::Ipv6Addr = text.parse().ok()?;
    let nibbles = format!("{:032x}", six.to_bits());
    let reversed: Vec<String> = nibbles.chars().rev().map(String::from).collect();
    Some(reversed.join(".").into_bytes())
}
