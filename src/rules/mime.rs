//! `mimeheader` rules: a header field of each MIME part.
//!
//! As in SpamAssassin: part 1 is the mail itself, containers are parts too, each part is tested
//! on its own (`tflags concat`: all as one text), `!~` holds when no part matches.

use std::sync::Arc;

use crate::facts::Facts;
use crate::message::Header;

use super::pattern::Pattern;

/// Which field, and what is asked of it.
#[derive(Debug)]
pub(super) struct MimeHeader {
    /// Name of the field; `ALL` for all of them.
    pub(super) name: String,
    /// `:raw`
    pub(super) raw: bool,
    /// Text of a field that is not there.
    pub(super) unset: String,
    /// `!~`
    pub(super) negated: bool,
    pub(super) pattern: Arc<Pattern>,
}

/// Which parts are looked at (`tflags range=…`), and whether as one text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    pub(super) range: Option<(u32, u32)>,
    pub(super) joined: bool,
}

impl MimeHeader {
    /// The texts to search, with the index of the part each is of.
    pub(super) fn texts(&self, facts: &Facts<'_>, parts: Parts) -> Vec<(usize, Vec<u8>)> {
        let (from, to) = parts.range.unwrap_or((0, u32::MAX));
        let numbered = (1_u32..).zip(0..facts.message.parts.len().max(1));
        let wanted = numbered.filter(|(number, _)| (from..=to).contains(number));
        let texts = wanted.map(|(_, part)| (part, self.text(facts.message.part_headers(part))));
        if parts.joined {
            let mut all = Vec::new();
            for (_, text) in texts {
                all.extend(text);
                if !all.ends_with(b"\n") {
                    all.push(b'\n');
                }
            }
            return vec![(0, all)];
        }
        texts.collect()
    }

    fn text(&self, headers: &[Header<'_>]) -> Vec<u8> {
        let every = self.name == "ALL";
        let wanted =
            headers.iter().filter(|header| every || header.name.eq_ignore_ascii_case(&self.name));
        let mut text = Vec::new();
        let mut found = false;
        for header in wanted {
            found = true;
            if every {
                text.extend_from_slice(header.name.as_bytes());
                text.extend_from_slice(if self.raw { b":" } else { b": " });
            }
            if self.raw {
                text.extend_from_slice(&header.raw);
            } else {
                text.extend_from_slice(header.decoded().as_bytes());
            }
            if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
        }
        if found { text } else { self.unset.clone().into_bytes() }
    }
}
