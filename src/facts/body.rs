//! The mail as `body` rules see it: SpamAssassin's paragraphs of the mail, and then the same
//! of the decoded calendar parts.

use std::borrow::Cow;

use super::mail::{Hints, uris};
use super::{Facts, LinkText, Origin, Paragraph, Place};

/// Octets of one paragraph; SpamAssassin cuts there too.
const LENGTH: usize = 2048;

/// Paragraphs made of the calendar parts of one message.
const LIMIT: usize = 2_000;

/// Makes the paragraphs.
pub(super) fn paragraphs<'f>(facts: &'f Facts<'f>) -> Vec<Paragraph<'f>> {
    let mut out = Vec::new();
    // The Subject has its place also when there is none: rules may leave out the first one.
    let subject = facts.message.subject.as_deref().unwrap_or_default();
    out.push(Paragraph {
        text: Cow::Owned(format!("{subject}\n").into_bytes()),
        place: Place::Name("Subject"),
        origin: Origin::Mail,
        event: None,
    });
    out.extend(facts.mail.rendered().paragraphs.iter().map(|chunk| Paragraph {
        text: Cow::Borrowed(&chunk.text),
        place: Place::Part(chunk.part),
        origin: Origin::Mail,
        event: None,
    }));
    let limit = out.len() + LIMIT;
    for event in &facts.events {
        for text in &event.texts {
            split(&text.visible, text.place, Some(event.index), limit, &mut out);
        }
    }
    out
}

/// Links of calendars, then those of the mail where `hints` asks for them.
pub(super) fn link_texts<'f>(facts: &'f Facts<'f>, hints: Option<Hints<'_>>) -> Vec<LinkText<'f>> {
    let calendar = facts.links.all.iter().filter(|link| link.origin == Origin::Calendar);
    let mut out: Vec<LinkText<'f>> = calendar
        .map(|link| LinkText {
            text: &link.url,
            place: link.place,
            origin: link.origin,
            event: link.event,
        })
        .collect();
    if let Some(hints) = hints {
        out.extend(uris::distinct(facts.mail.uris(hints)).map(|(uri, form)| LinkText {
            text: form,
            place: uri.part.map_or(Place::Name("Subject"), Place::Part),
            origin: Origin::Mail,
            event: None,
        }));
    }
    out
}

fn split<'f>(
    text: &'f str,
    place: Place<'f>,
    event: Option<usize>,
    limit: usize,
    out: &mut Vec<Paragraph<'f>>,
) {
    let mut paragraph = String::new();
    let mut flush = |paragraph: &mut String| {
        if !paragraph.is_empty() && out.len() < limit {
            let text = Cow::Owned(std::mem::take(paragraph).into_bytes());
            out.push(Paragraph { text, place, origin: Origin::Calendar, event });
        }
    };
    for line in text.split('\n') {
        if line.trim().is_empty() {
            flush(&mut paragraph);
            continue;
        }
        for word in line.split_ascii_whitespace() {
            if paragraph.len() + word.len() + 1 > LENGTH {
                flush(&mut paragraph);
            }
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(word);
        }
    }
    flush(&mut paragraph);
}
