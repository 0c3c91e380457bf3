//! Entries as lines of text, to be moved from one store to another.
//!
//! Comes in: entries, or lines as `key octets`, both in hex. Goes out: the other. An error: a
//! line that is no entry.

use std::fmt::Write as _;

use super::entry::Entry;
use super::store::{KEY, Key};

/// A line that is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is no entry of a store")]
pub struct BadLine(pub usize);

pub(super) fn line(key: &Key, entry: &Entry) -> String {
    let mut line = key.to_string();
    line.push(' ');
    for octet in entry.encode() {
        // Writing to a string cannot fail.
        let _ = write!(line, "{octet:02x}");
    }
    line
}

pub(super) fn read<'l>(lines: impl Iterator<Item = &'l str>) -> Result<Vec<(Key, Entry)>, BadLine> {
    let numbered = lines.enumerate().filter(|(_, line)| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    });
    numbered.map(|(index, line)| parse(line.trim()).ok_or(BadLine(index + 1))).collect()
}

fn parse(line: &str) -> Option<(Key, Entry)> {
    let (key, octets) = line.split_once(' ')?;
    let key: [u8; KEY] = octets_of(key)?.try_into().ok()?;
    let key = Key(key);
    key.kind()?;
    Some((key, Entry::decode(&octets_of(octets)?)?))
}

fn octets_of(hex: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit =
        |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
