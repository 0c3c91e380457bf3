//! What a walk over a MIME tree gathers, and how it outlives the octets it came from.
//!
//! Comes in: parts that borrow from octets which may be decoded copies.
//! Goes out: the same parts owning what they hold, where the copy does not live on.
//! Not an error: nothing can fail here.

use std::borrow::Cow;

use super::{Body, CalendarPart, Defect, Header, Part};

/// What a walk has gathered.
#[derive(Default)]
pub(super) struct Tree<'b> {
    pub parts: Vec<Part<'b>>,
    pub calendar_parts: Vec<CalendarPart<'b>>,
    pub part_count: usize,
    pub defects: Vec<Defect>,
}

impl Tree<'_> {
    /// Cuts the ties to octets that were decoded from the message.
    pub(super) fn into_owned(self) -> Tree<'static> {
        let parts = self.parts.into_iter().map(own_part).collect();
        let calendar_parts = self
            .calendar_parts
            .into_iter()
            .map(|calendar| CalendarPart {
                text: Cow::Owned(calendar.text.into_owned()),
                ..calendar
            })
            .collect();
        Tree { parts, calendar_parts, part_count: self.part_count, defects: self.defects }
    }
}

fn own_part(part: Part<'_>) -> Part<'static> {
    let own_header = |header: Header<'_>| Header {
        name: Cow::Owned(header.name.into_owned()),
        raw: Cow::Owned(header.raw.into_owned()),
    };
    Part {
        headers: part.headers.into_iter().map(own_header).collect(),
        body: match part.body {
            Body::Container => Body::Container,
            Body::Calendar => Body::Calendar,
            Body::Html(text) => Body::Html(Cow::Owned(text.into_owned())),
            Body::Text(text) => Body::Text(Cow::Owned(text.into_owned())),
            Body::Binary(octets) => Body::Binary(Cow::Owned(octets.into_owned())),
        },
        encoded: Cow::Owned(part.encoded.into_owned()),
        content_type: part.content_type,
        name: part.name,
        disposition: part.disposition,
        method: part.method,
        parent: part.parent,
        message_depth: part.message_depth,
    }
}

/// At most `limit` octets, and whether any were cut.
pub(super) fn cut_octets(octets: Cow<'_, [u8]>, limit: usize) -> (Cow<'_, [u8]>, bool) {
    if octets.len() <= limit {
        return (octets, false);
    }
    let octets = match octets {
        Cow::Borrowed(octets) => Cow::Borrowed(octets.get(..limit).unwrap_or(octets)),
        Cow::Owned(mut octets) => {
            octets.truncate(limit);
            Cow::Owned(octets)
        }
    };
    (octets, true)
}

/// At most `limit` octets of text, cut between characters.
pub(super) fn cut_text(text: Cow<'_, str>, limit: usize) -> Cow<'_, str> {
    let end = text.floor_char_boundary(limit);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or_default()),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}
