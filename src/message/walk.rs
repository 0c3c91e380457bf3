//! The walk over the MIME tree.
//!
//! Comes in: the octets of a message and the limits.
//! Goes out: a [`Tree`] of parts, in order of appearance, with their content decoded.
//! Not an error: missing, repeated and misplaced boundaries, absurd nesting, anything else.
//!
//! The header of a message, its own or that of a message inside it, belongs to its root
//! part; a `message/rfc822` container keeps only the fields it has in the part around it.
//!
//! mail-parser reads fields, transfer encodings and charsets, but the walk from boundary to
//! boundary is our own: `MessageParser::parse` does not survive hostile mail. A few
//! megabytes of nested `message/rfc822` overflow the stack when its result is dropped, which
//! ends the whole process; half a megabyte of multiparts whose boundary never comes takes
//! seconds, since each of them searches the rest of the mail. Neither can be seen before the
//! call, because the attack may sit inside base64. This walk reads every octet once, keeps
//! its own stack, and knows a boundary line from a line that merely begins like one
//! (`--part1` and `--part12`).

use std::borrow::Cow;
use std::collections::HashMap;

use memchr::{memchr, memmem};

use super::fields::{self, Block, Declared};
use super::transfer::{self, Encoding};
use super::tree::{Tree, cut_octets, cut_text};
use super::{
    Body, CalendarPart, Defect, DefectKind, Format, Header, Part, Settings, charset, format,
};

/// Header fields kept of one message, all parts together.
const MOST_FIELDS: usize = 10_000;

/// Nesting of messages in base64 or quoted-printable, each of which is a copy in memory.
/// RFC 2046 §5.2.1 forbids even the first.
const ENCODED_DEPTH: usize = 3;

/// Where a message or part starts and what it stands in.
#[derive(Clone, Copy, Default)]
struct Entity {
    start: usize,
    parent: Option<usize>,
    depth: usize,
    digest: bool,
}

/// A part whose header has been read and whose end is not known yet.
struct Leaf {
    index: usize,
    body: usize,
    depth: usize,
    declared: Declared,
}

/// A multipart that has not been closed yet.
struct Multipart {
    leaf: Leaf,
    boundary: Vec<u8>,
    /// True once a boundary line has been seen.
    seen: bool,
    /// An outer multipart with the same boundary.
    shadowed: Option<usize>,
}

/// A boundary line.
struct Delimiter {
    /// Index in [`Walk::open`].
    level: usize,
    closing: bool,
    /// End of the content before the line; its line break belongs to the boundary.
    content_end: usize,
    /// Start of the next line.
    next: usize,
}

/// A walk over the octets of one message.
pub(super) struct Walk<'b, 's> {
    data: &'b [u8],
    settings: &'s Settings,
    /// Index of this walk's first part in `Message::parts`.
    base: usize,
    /// Transfer encodings undone around [`Self::data`].
    encoded: usize,
    /// Header fields that may still be kept.
    room: usize,
    tree: Tree<'b>,
    open: Vec<Multipart>,
    /// Boundary to index in [`Self::open`].
    levels: HashMap<Vec<u8>, usize>,
}

impl<'b, 's> Walk<'b, 's> {
    /// Prepares a walk; nothing is read yet.
    pub(super) fn new(data: &'b [u8], settings: &'s Settings) -> Self {
        Self {
            data,
            settings,
            base: 0,
            encoded: 0,
            room: MOST_FIELDS,
            tree: Tree::default(),
            open: Vec::new(),
            levels: HashMap::new(),
        }
    }

    /// Takes the data as one calendar without a mail around it.
    pub(super) fn bare(mut self) -> Tree<'b> {
        let declared = Declared { content_type: "text/calendar".to_owned(), ..Declared::default() };
        self.tree.part_count = 1;
        let leaf = self.push_part(&Entity::default(), Vec::new(), declared, 0);
        self.finish(&leaf, self.data);
        self.tree
    }

    /// Takes the data as a mail.
    pub(super) fn message(self) -> Tree<'b> {
        self.run(Entity::default())
    }

    fn run(mut self, root: Entity) -> Tree<'b> {
        let (mut pending, mut position) = self.enter(root);
        while let Some(delimiter) = self.next_delimiter(position) {
            if let Some(leaf) = pending.take() {
                let content = self.content(leaf.body, delimiter.content_end);
                self.finish(&leaf, content);
            }
            self.close_down_to(delimiter.level + 1, delimiter.content_end);
            position = delimiter.next;
            if delimiter.closing {
                self.close(true, delimiter.content_end);
            } else if let Some(multipart) = self.open.get_mut(delimiter.level) {
                multipart.seen = true;
                let entity = Entity {
                    start: position,
                    parent: Some(multipart.leaf.index),
                    depth: multipart.leaf.depth,
                    digest: multipart.leaf.declared.content_type == "multipart/digest",
                };
                (pending, position) = self.enter(entity);
            }
        }
        let end = self.data.len();
        if let Some(leaf) = pending.take() {
            let content = self.content(leaf.body, end);
            self.finish(&leaf, content);
        }
        self.close_down_to(0, end);
        self.tree
    }

    /// Reads the header at the start of an entity, and those of the messages it begins with.
    /// Gives the leaf that starts there, if any, and where to look for the next boundary.
    fn enter(&mut self, mut entity: Entity) -> (Option<Leaf>, usize) {
        loop {
            self.tree.part_count += 1;
            // The root is always read: a message without its header is worth nothing. Past
            // the limit a part is counted and not opened, so that what is inside it is not.
            if self.next_index() >= self.settings.parts.max(1) {
                return (None, entity.start);
            }
            let block = self.read_block(entity.start);
            let body = block.body;
            let declared = block.declared(entity.digest);
            let leaf = self.push_part(&entity, block.headers, declared, body);
            if leaf.declared.is_multipart() {
                if let Some(boundary) = leaf.declared.boundary.clone() {
                    self.open_multipart(leaf, boundary);
                    return (None, body);
                }
                self.defect(DefectKind::Truncated, leaf.index, "no boundary");
                return (Some(leaf), body);
            }
            let plain = matches!(leaf.declared.encoding, Encoding::Identity | Encoding::Unknown);
            if !leaf.declared.is_message()
                || !plain
                || format::starts_calendar(self.data.get(body..).unwrap_or_default())
            {
                return (Some(leaf), body);
            }
            if entity.depth >= self.settings.depth {
                self.defect(DefectKind::LimitDepth, leaf.index, "nested messages");
                return (Some(leaf), body);
            }
            entity = Entity {
                start: body,
                parent: Some(leaf.index),
                depth: entity.depth + 1,
                digest: false,
            };
        }
    }

    fn read_block(&mut self, start: usize) -> Block<'b> {
        let mut start = start;
        if start == 0 {
            // Blank lines in front of the message are left over from some copy and paste.
            while let Some(b'\r' | b'\n') = self.data.get(start) {
                start += 1;
            }
        }
        let block =
            fields::split(self.data, start, self.room, |line| self.level_of(line).is_some());
        self.room = self.room.saturating_sub(block.headers.len());
        if block.dropped > 0 {
            let index = self.next_index();
            self.defect(DefectKind::LimitHeaders, index, "header fields");
        }
        block
    }

    fn push_part(
        &mut self,
        entity: &Entity,
        headers: Vec<Header<'b>>,
        declared: Declared,
        body: usize,
    ) -> Leaf {
        let index = self.next_index();
        self.tree.parts.push(Part {
            content_type: declared.content_type.clone(),
            name: declared.name(),
            disposition: declared.disposition.clone(),
            method: declared.method.clone(),
            headers,
            parent: entity.parent,
            message_depth: entity.depth,
            body: Body::Container,
            encoded: Cow::Borrowed(&[]),
        });
        Leaf { index, body, depth: entity.depth, declared }
    }

    fn open_multipart(&mut self, leaf: Leaf, boundary: Vec<u8>) {
        let shadowed = self.levels.insert(boundary.clone(), self.open.len());
        self.open.push(Multipart { leaf, boundary, seen: false, shadowed });
    }

    fn close_down_to(&mut self, level: usize, content_end: usize) {
        while self.open.len() > level {
            self.close(false, content_end);
        }
    }

    /// Closes the innermost multipart; `properly` means by its own closing boundary.
    fn close(&mut self, properly: bool, content_end: usize) {
        let Some(multipart) = self.open.pop() else {
            return;
        };
        match multipart.shadowed {
            Some(level) => self.levels.insert(multipart.boundary, level),
            None => self.levels.remove(&multipart.boundary),
        };
        if !properly {
            self.defect(DefectKind::Truncated, multipart.leaf.index, "no closing boundary");
            if !multipart.seen {
                // Nothing but text without a single boundary line: it is shown as text.
                let content = self.content(multipart.leaf.body, content_end);
                self.finish(&multipart.leaf, content);
            }
        }
    }

    /// The next line, from the start of a line on, that is a boundary of an open multipart.
    fn next_delimiter(&self, from: usize) -> Option<Delimiter> {
        if self.open.is_empty() {
            return None;
        }
        let rest = self.data.get(from..)?;
        let at_start = rest.starts_with(b"--").then_some(from);
        at_start
            .into_iter()
            .chain(memmem::find_iter(rest, b"\n--").map(|found| from + found + 1))
            .find_map(|start| self.delimiter_at(start))
    }

    fn delimiter_at(&self, start: usize) -> Option<Delimiter> {
        let rest = self.data.get(start..)?;
        let length = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let (level, closing) = self.level_of(rest.get(..length)?)?;
        let before = self.data.get(..start)?;
        let before = before.strip_suffix(b"\n").unwrap_or(before);
        let before = before.strip_suffix(b"\r").unwrap_or(before);
        Some(Delimiter { level, closing, content_end: before.len(), next: start + length })
    }

    /// Which multipart a line (with `--` in front) is a boundary of, and whether it closes.
    fn level_of(&self, line: &[u8]) -> Option<(usize, bool)> {
        let boundary = line.get(2..)?.trim_ascii_end();
        if boundary.is_empty() || self.levels.is_empty() {
            return None;
        }
        if let Some(level) = self.levels.get(boundary) {
            return Some((*level, false));
        }
        let level = self.levels.get(boundary.strip_suffix(b"--")?)?;
        Some((*level, true))
    }

    /// Decodes a leaf and stores it.
    fn finish(&mut self, leaf: &Leaf, content: &'b [u8]) {
        let index = leaf.index;
        let declared = &leaf.declared;
        let (octets, clean) = transfer::undo(content, declared.encoding);
        if !clean {
            self.defect(DefectKind::BadEncoding, index, "transfer encoding");
        }
        let is_html = declared.content_type == "text/html";
        let typed = format::is_calendar_type(&declared.content_type);
        let named = declared.is_named();
        let body = if typed || named || (!is_html && format::starts_calendar(&octets)) {
            self.finish_calendar(leaf, octets, typed, named);
            Body::Calendar
        } else if declared.is_message() {
            if declared.encoding == Encoding::Identity || !self.enter_encoded(leaf, &octets) {
                Body::Binary(octets)
            } else {
                Body::Container
            }
        } else if is_html {
            Body::Html(self.decode(index, octets, declared.charset.as_deref(), false))
        } else if declared.content_type.starts_with("text/") || declared.is_multipart() {
            Body::Text(self.decode(index, octets, declared.charset.as_deref(), false))
        } else {
            Body::Binary(octets)
        };
        if let Some(part) = self.tree.parts.get_mut(index - self.base) {
            part.encoded =
                Cow::Borrowed(if matches!(body, Body::Container) { &[] } else { content });
            part.body = body;
        }
    }

    fn finish_calendar(&mut self, leaf: &Leaf, octets: Cow<'b, [u8]>, typed: bool, named: bool) {
        let declared = &leaf.declared;
        let limit = self.settings.calendar_text;
        // Two octets of UTF-16 may be one of UTF-8; what lies beyond need not be decoded.
        let (octets, mut cut) = cut_octets(octets, limit.saturating_mul(2).saturating_add(4));
        let mut text = self.decode(leaf.index, octets, declared.charset.as_deref(), true);
        if memchr(b'\n', text.as_bytes()).is_none() && text.contains('\r') {
            text = Cow::Owned(text.replace('\r', "\n"));
        }
        if text.len() > limit {
            text = cut_text(text, limit);
            cut = true;
        }
        let content_type = declared.content_type.as_str();
        let format = format::detect(&text, content_type);
        if cut {
            self.defect(DefectKind::LimitText, leaf.index, "calendar text");
        }
        if named && !typed && !["application/octet-stream", "text/plain"].contains(&content_type) {
            self.defect(DefectKind::TypeMismatch, leaf.index, "calendar file of another type");
        }
        match format {
            Format::Empty => self.defect(DefectKind::EmptyCalendar, leaf.index, ""),
            Format::Other => self.defect(DefectKind::NotCalendar, leaf.index, ""),
            Format::XCal => self.defect(DefectKind::XCal, leaf.index, ""),
            Format::ICalendar | Format::JCal | Format::JsCalendar => {}
        }
        self.tree.calendar_parts.push(CalendarPart {
            part: leaf.index,
            format,
            text,
            typed,
            named,
        });
    }

    /// Walks through a message that was base64 or quoted-printable. False: too deep.
    fn enter_encoded(&mut self, leaf: &Leaf, octets: &[u8]) -> bool {
        if leaf.depth >= self.settings.depth || self.encoded >= ENCODED_DEPTH {
            self.defect(DefectKind::LimitDepth, leaf.index, "nested messages");
            return false;
        }
        let mut walk = Walk::new(octets, self.settings);
        walk.base = self.next_index();
        walk.encoded = self.encoded + 1;
        walk.room = self.room;
        let tree = walk.run(Entity {
            start: 0,
            parent: Some(leaf.index),
            depth: leaf.depth + 1,
            digest: false,
        });
        let kept: usize = tree.parts.iter().map(|part| part.headers.len()).sum();
        self.room = self.room.saturating_sub(kept);
        let tree = tree.into_owned();
        self.tree.parts.extend(tree.parts);
        self.tree.calendar_parts.extend(tree.calendar_parts);
        self.tree.part_count += tree.part_count;
        self.tree.defects.extend(tree.defects);
        true
    }

    fn decode(
        &mut self,
        index: usize,
        octets: Cow<'b, [u8]>,
        charset: Option<&str>,
        calendar: bool,
    ) -> Cow<'b, str> {
        let (text, problem) = charset::decode(octets, charset, calendar);
        if let Some((kind, detail)) = problem {
            self.defect(kind, index, detail);
        }
        text
    }

    fn defect(&mut self, kind: DefectKind, index: usize, detail: &str) {
        let place = format!("part[{index}]");
        self.tree.defects.push(Defect::new(kind, place, detail));
    }

    fn next_index(&self) -> usize {
        self.base + self.tree.parts.len()
    }

    fn content(&self, start: usize, end: usize) -> &'b [u8] {
        self.data.get(start..end).unwrap_or_default()
    }
}
