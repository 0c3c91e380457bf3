//! From bytes to a [`Message`]: chooses between mail and bare calendar, has the MIME tree
//! walked, and reads the top-level fields.
//!
//! Comes in: the bytes of a message, the envelope and the limits.
//! Goes out: a [`Message`].
//! Not an error: anything, see the module above.

use std::borrow::Cow;

use memchr::memchr;

use super::tree::Tree;
use super::walk::Walk;
use super::{
    AuthenticationResults, Defect, DefectKind, Envelope, Message, Settings, encoded_words, fields,
    format,
};

pub(super) fn parse<'x>(
    bytes: &'x [u8],
    bare: bool,
    envelope: &Envelope,
    settings: &Settings,
) -> Message<'x> {
    let mut message = Message {
        raw: Cow::Borrowed(bytes),
        bare: bare || format::starts_calendar(bytes),
        ..Message::default()
    };
    if bytes.is_empty() {
        message.defects.push(Defect::new(DefectKind::EmptyMessage, "", ""));
    }
    if message.bare {
        take_tree(&mut message, Walk::new(bytes, settings).bare());
    } else if !bytes.is_empty() {
        let tree = if memchr(b'\n', bytes).is_none() && memchr(b'\r', bytes).is_some() {
            // Line ends of the Macintosh of old; too rare to read without a copy.
            let copy = with_line_feeds(bytes);
            Walk::new(&copy, settings).message().into_owned()
        } else {
            Walk::new(bytes, settings).message()
        };
        take_tree(&mut message, tree);
        read_fields(&mut message);
    }
    message.authentication = AuthenticationResults::gather(envelope, &message.headers, settings);
    message
}

pub(super) fn decode_header(raw: &[u8]) -> String {
    encoded_words::decode(raw)
}

fn with_line_feeds(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect()
}

fn take_tree<'x>(message: &mut Message<'x>, mut tree: Tree<'x>) {
    if let Some(root) = tree.parts.first_mut() {
        message.headers = std::mem::take(&mut root.headers);
    }
    if tree.part_count > tree.parts.len() {
        let detail = format!("{} parts", tree.part_count);
        tree.defects.push(Defect::new(DefectKind::LimitParts, "", detail));
    }
    message.parts = tree.parts;
    message.calendar_parts = tree.calendar_parts;
    message.part_count = tree.part_count;
    message.defects.append(&mut tree.defects);
}

/// Reads the top-level fields that have a place of their own in [`Message`].
fn read_fields(message: &mut Message<'_>) {
    let headers = &message.headers;
    if headers.is_empty() {
        message.defects.push(Defect::new(DefectKind::NoHeaders, "", ""));
        return;
    }
    let first = |name| fields::values(headers, name).next();
    message.subject = first("subject").map(decode_header);
    message.date = first("date").and_then(fields::timestamp);
    message.received = first("received").and_then(fields::received);
    message.message_id = first("message-id").and_then(fields::identifier);
    message.from = fields::mailboxes(headers, "from");
    message.sender = fields::mailboxes(headers, "sender").into_iter().next();
    message.reply_to = fields::mailboxes(headers, "reply-to");
    message.to = fields::mailboxes(headers, "to");
    message.to.extend(fields::mailboxes(headers, "cc"));
}
