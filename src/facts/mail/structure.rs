//! The MIME tree of a mail as SpamAssassin makes it, and what it notices on the way.
//!
//! Comes in: a [`Message`], of which only the octets count. Goes out: [`Structure`]: parts
//! with their declared types and their lines, and what was odd about headers and boundaries.
//! Not an error: anything. Limits cut the tree short.
//!
//! It is a tree of its own beside [`Message::parts`], because functions of rules ask for the
//! oddities of this very walk: which line counts as a field, where a part without a header
//! starts, which boundary was never closed. Calendar parts are in it: these functions count
//! parts, not text.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use memchr::memchr;

use super::source;
use crate::message::{Header, Message, base64_octets, quoted_printable_octets};

mod walk;

/// Nesting that is followed.
const DEPTH: u32 = 20;
/// Messages inside messages that were encoded as a whole, each of which is a copy.
const ENCODED: u32 = 3;
/// Parts of one mail; one multipart has at most 1000 in any case.
const PARTS: usize = 10_000;

/// What was odd about headers and boundaries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "these are separate observations")]
pub struct Oddities {
    /// A header field of the mail was so long that only its start counts.
    pub truncated_header: bool,
    /// The header of the mail does not end with a blank line.
    pub missing_head_body_separator: bool,
    /// A part starts without a header field.
    pub missing_mime_headers: bool,
    /// The header of a part does not end with a blank line.
    pub missing_mime_head_body_separator: bool,
    /// Something stands behind the last boundary.
    pub mime_epilogue_exists: bool,
    /// A multipart has more parts than are looked at.
    pub mimepart_limit_exceeded: bool,
    /// A boundary was opened and not closed, or closed and not opened.
    pub missing_boundary: bool,
}

/// A part.
#[derive(Debug, Default)]
pub struct Node {
    /// Type that the Content-Type declares; `text/plain` when there is none.
    pub declared: String,
    /// Type that the part is taken for; differs for digests and for multiparts without a
    /// boundary.
    pub kind: String,
    /// Charset as declared; `us-ascii` without a Content-Type.
    pub charset: Option<String>,
    /// File name; empty when there is none.
    pub name: String,
    /// Content-Transfer-Encoding in lower case.
    pub encoding: String,
    /// Content-Disposition in lower case.
    pub disposition: String,
    /// Parts inside, in order.
    pub children: Vec<usize>,
    /// True when it cannot hold parts.
    pub leaf: bool,
    span: Span,
}

impl Node {
    /// True for `multipart/alternative`.
    pub fn is_alternative(&self) -> bool {
        self.kind == "multipart/alternative"
    }

    /// True when the disposition mentions an attachment.
    pub fn is_attachment(&self) -> bool {
        self.disposition.contains("attachment")
    }
}

/// Where the content of a part stands.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    /// 0 for the message, else one more than the index in [`Structure::copies`].
    buffer: usize,
    start: usize,
    end: usize,
    /// Multiparts around it, each of which has cut long lines.
    cuts: usize,
}

/// The tree.
#[derive(Debug, Default)]
pub struct Structure {
    /// What was odd.
    pub odd: Oddities,
    /// Octets behind the header; `None` when there is no mail.
    pub body_length: Option<usize>,
    nodes: Vec<Node>,
    /// Octets that do not stand in the message as they are.
    copies: Vec<Vec<u8>>,
}

impl Structure {
    /// Reads a message. A bare calendar has no structure.
    pub(super) fn read(message: &Message<'_>) -> Self {
        if message.bare {
            return Self::default();
        }
        let raw: &[u8] = &message.raw;
        let mut reader = Reader {
            raw,
            out: Self::default(),
            queue: VecDeque::new(),
            boundaries: HashMap::new(),
            room: raw.len().saturating_mul(4).saturating_add(1 << 20),
        };
        let all = Span { end: raw.len(), ..Span::default() };
        reader.message(all, None, DEPTH, 0);
        while let Some(job) = reader.queue.pop_front() {
            reader.part(&job);
        }
        reader.out.odd.missing_boundary = reader.boundaries.values().any(|open| *open != 0);
        reader.out
    }

    /// All parts, containers too, as they stand in the mail.
    pub fn parts(&self) -> Vec<usize> {
        self.within(0, usize::MAX)
    }

    /// A part and those inside it, down to a depth.
    pub fn within(&self, root: usize, depth: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let mut open = vec![(root, depth)];
        while let Some((index, depth)) = open.pop() {
            let Some(node) = self.nodes.get(index) else { continue };
            found.push(index);
            if depth > 0 {
                open.extend(node.children.iter().rev().map(|child| (*child, depth - 1)));
            }
        }
        found
    }

    /// A part by index.
    pub fn node(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index)
    }

    /// Leaves as they stand in the mail.
    pub fn leaves(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.parts()
            .into_iter()
            .filter_map(|index| Some((index, self.nodes.get(index)?)))
            .filter(|(_, node)| node.leaf)
    }

    /// The lines of a leaf, transfer encoding and all; one kind of line end, long lines cut.
    pub fn lines<'l>(&'l self, message: &'l Message<'_>, node: &Node) -> Cow<'l, [u8]> {
        cut_lines(self.bytes(&message.raw, node.span), node.span.cuts)
    }

    /// The content of a leaf before long lines are cut, transfer encoding and all.
    pub fn as_it_stands<'l>(&'l self, message: &'l Message<'_>, index: usize) -> &'l [u8] {
        let node = self.nodes.get(index);
        node.map(|node| self.bytes(&message.raw, node.span)).unwrap_or_default()
    }

    fn bytes<'l>(&'l self, raw: &'l [u8], span: Span) -> &'l [u8] {
        let whole = match span.buffer.checked_sub(1) {
            None => Some(raw),
            Some(copy) => self.copies.get(copy).map(Vec::as_slice),
        };
        whole.and_then(|whole| whole.get(span.start..span.end)).unwrap_or_default()
    }

    /// The content of a leaf, transfer encoding undone.
    pub fn content<'l>(&'l self, message: &'l Message<'_>, node: &Node) -> Cow<'l, [u8]> {
        decoded(self.lines(message, node), node)
    }
}

fn decoded<'l>(lines: Cow<'l, [u8]>, node: &Node) -> Cow<'l, [u8]> {
    match node.encoding.as_str() {
        "quoted-printable" => Cow::Owned(source::without_returns(quoted_printable_octets(&lines))),
        "base64" => {
            let octets = base64_octets(&lines);
            let text = ["text", "message"]
                .iter()
                .any(|kind| node.kind.strip_prefix(kind).is_some_and(|rest| rest.starts_with('/')));
            Cow::Owned(if text { source::without_returns(octets) } else { octets })
        }
        _ => lines,
    }
}

/// Lines longer than 2048 octets in pieces, with a line end for each multipart around.
fn cut_lines(content: &[u8], cuts: usize) -> Cow<'_, [u8]> {
    let is_long = |line: &[u8]| line.len() > source::LONGEST_LINE;
    if cuts == 0 || !lines(content).any(is_long) {
        return Cow::Borrowed(content);
    }
    let mut out = Vec::with_capacity(content.len() + content.len() / 1024);
    for mut line in lines(content) {
        while is_long(line) {
            let (piece, rest) = line.split_at(source::LONGEST_LINE);
            out.extend_from_slice(piece);
            out.extend(std::iter::repeat_n(b'\n', cuts));
            line = rest;
        }
        out.extend_from_slice(line);
    }
    Cow::Owned(out)
}

/// Lines with their line ends.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let (line, tail) = rest.split_at(end);
        rest = tail;
        (!line.is_empty()).then_some(line)
    })
}

/// A part that is still to be looked into.
struct Job {
    node: usize,
    boundary: Option<Vec<u8>>,
    depth: u32,
    /// Encoded messages around it.
    encoded: u32,
    /// True when a blank line is to be thought in front of the content.
    blank_first: bool,
}

/// Header fields that matter, the last of each.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fields<'b> {
    content_type: Option<&'b [u8]>,
    encoding: Option<&'b [u8]>,
    disposition: Option<&'b [u8]>,
}

impl<'b> Fields<'b> {
    /// Keeps a field; true for a Content-Type.
    fn keep(&mut self, key: &[u8], value: &'b [u8]) -> bool {
        if key.eq_ignore_ascii_case(b"content-type") {
            self.content_type = Some(value);
            return true;
        } else if key.eq_ignore_ascii_case(b"content-transfer-encoding") {
            self.encoding = Some(value);
        } else if key.eq_ignore_ascii_case(b"content-disposition") {
            self.disposition = Some(value);
        }
        false
    }

    /// The part that the fields declare, and its boundary; the content is filled in later.
    fn node(&self, in_digest: bool) -> (Node, Option<Vec<u8>>) {
        let field = text(self.content_type);
        let disposition = text(self.disposition);
        let declared = source::content_type(&field);
        let missing = field.is_empty();
        let charset = if missing { Some("us-ascii") } else { source::parameter(&field, "charset") };
        let name = source::file_name(&disposition)
            .or_else(|| source::parameter(&field, "name"))
            .or_else(|| source::parameter(&field, "filename"));
        let kind =
            if missing && in_digest { "message/rfc822".to_owned() } else { declared.clone() };
        let node = Node {
            declared,
            kind,
            charset: charset.map(str::to_lowercase),
            name: name.unwrap_or_default().to_owned(),
            encoding: text(self.encoding).to_lowercase(),
            disposition: disposition.to_lowercase(),
            leaf: true,
            ..Node::default()
        };
        (node, boundary(&field))
    }
}

/// A value without folds, encoded words undone.
fn text(value: Option<&[u8]>) -> String {
    let field = |raw| Header { name: Cow::Borrowed(""), raw: Cow::Borrowed(raw) }.decoded();
    value.map(field).unwrap_or_default()
}

/// The boundary of a Content-Type: a quoted one up to the next quote, else a word.
fn boundary(field: &str) -> Option<Vec<u8>> {
    let lower = field.to_ascii_lowercase();
    lower.match_indices("boundary").find_map(|(at, name)| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if lower.get(..at)?.ends_with(word) {
            return None;
        }
        let rest = field.get(at + name.len()..)?.trim_start().strip_prefix('=')?.trim_start();
        let (value, ended) = if let Some(quoted) = rest.strip_prefix('"') {
            (quoted.split('"').next()?, true)
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || c == '"' || c == ';');
            let (value, after) = rest.split_at(end.unwrap_or(rest.len()));
            (value, !after.starts_with('"'))
        };
        (ended && !value.is_empty()).then(|| value.as_bytes().to_vec())
    })
}

/// Makes the tree, one level after the other.
struct Reader<'r> {
    raw: &'r [u8],
    out: Structure,
    queue: VecDeque<Job>,
    /// Boundaries and how often they were opened but not closed.
    boundaries: HashMap<Vec<u8>, i64>,
    /// Octets that may still be copied.
    room: usize,
}

impl Reader<'_> {
    fn bytes(&self, span: Span) -> &[u8] {
        self.out.bytes(self.raw, span)
    }

    /// Keeps octets of our own; `None` when there are too many of them.
    fn copy(&mut self, octets: Vec<u8>) -> Option<Span> {
        self.room = self.room.checked_sub(octets.len())?;
        let end = octets.len();
        self.out.copies.push(octets);
        Some(Span { buffer: self.out.copies.len(), end, ..Span::default() })
    }

    /// Reads the header of the mail, or of a message in `parent`.
    fn message(&mut self, span: Span, parent: Option<usize>, depth: u32, encoded: u32) {
        if self.out.nodes.len() >= PARTS {
            return;
        }
        let data = self.bytes(span);
        let head = walk::head(data);
        let body = data.get(head.body..).unwrap_or_default();
        let changed = walk::one_line_end(body, head.squash);
        let (mut node, boundary) = head.fields.node(false);
        let first = changed.as_deref().unwrap_or(body);
        let first = lines(first).next().unwrap_or_default();
        let alone = first.len() == changed.as_deref().unwrap_or(body).len();
        let blank_first = node.kind.starts_with("multipart/")
            && !alone
            && !source::is_blank(first)
            && boundary.as_deref().is_none_or(|boundary| {
                first.strip_prefix(b"--").is_none_or(|rest| !rest.starts_with(boundary))
            });
        let (odd, length) = (head.odd, body.len());
        let mut place = Span { start: span.start + head.body, cuts: 0, ..span };
        if let Some(octets) = changed {
            let Some(copied) = self.copy(octets) else { return };
            place = copied;
        }
        node.span = place;
        let index = self.out.nodes.len();
        if let Some(parent) = parent {
            if let Some(parent) = self.out.nodes.get_mut(parent) {
                parent.children.push(index);
                parent.leaf = false;
            }
        } else {
            self.out.odd = odd;
            self.out.body_length = Some(length);
        }
        self.out.nodes.push(node);
        self.queue.push_back(Job { node: index, boundary, depth, encoded, blank_first });
    }

    /// Looks into a part.
    fn part(&mut self, job: &Job) {
        let Some(node) = self.out.nodes.get_mut(job.node) else { return };
        let multipart = node.kind.starts_with("multipart/");
        match &job.boundary {
            Some(boundary) if multipart && job.depth > 0 => self.multipart(job, boundary),
            None if multipart => "text/plain".clone_into(&mut node.kind),
            Some(_) | None => {
                let known = matches!(node.kind.as_str(), "message/rfc822" | "message/global");
                if known && job.depth > 0 {
                    self.nested(job);
                }
            }
        }
    }

    fn nested(&mut self, job: &Job) {
        let Some(node) = self.out.nodes.get(job.node) else { return };
        let span = node.span;
        let lines = cut_lines(self.bytes(span), span.cuts);
        let octets = match decoded(lines, node) {
            Cow::Borrowed([]) => return,
            Cow::Borrowed(_) => {
                return self.message(span, Some(job.node), job.depth - 1, job.encoded);
            }
            Cow::Owned(octets) => octets,
        };
        if octets.is_empty() || job.encoded >= ENCODED {
            return;
        }
        if let Some(span) = self.copy(octets) {
            self.message(span, Some(job.node), job.depth - 1, job.encoded + 1);
        }
    }

    fn multipart(&mut self, job: &Job, boundary: &[u8]) {
        let Some(node) = self.out.nodes.get(job.node) else { return };
        let (span, digest) = (node.span, node.kind == "multipart/digest");
        let mut found = walk::multipart(self.bytes(span), boundary, job.blank_first);
        let children: Vec<_> = found
            .children
            .drain(..)
            .map(|child| (child.fields.node(digest), child.start, child.end))
            .collect();
        let found = found.notes;
        let odd = &mut self.out.odd;
        odd.missing_mime_headers |= found.missing_headers;
        odd.missing_mime_head_body_separator |= found.missing_separator;
        odd.mime_epilogue_exists |= found.epilogue;
        odd.mimepart_limit_exceeded |= found.limit;
        let open = if found.opened { Some(1) } else { None };
        if open.is_some() || found.closed {
            let state = self.boundaries.entry(boundary.to_vec()).or_default();
            *state = open.unwrap_or(*state) - i64::from(found.closed);
        }
        if let Some(node) = self.out.nodes.get_mut(job.node) {
            node.leaf = false;
        }
        for ((mut child, own), start, end) in children {
            let index = self.out.nodes.len();
            if index >= PARTS {
                return;
            }
            child.span = Span {
                buffer: span.buffer,
                start: span.start + start,
                end: span.start + end,
                cuts: span.cuts + 1,
            };
            self.out.nodes.push(child);
            if let Some(parent) = self.out.nodes.get_mut(job.node) {
                parent.children.push(index);
            }
            self.queue.push_back(Job {
                node: index,
                boundary: own.or_else(|| Some(boundary.to_vec())),
                depth: job.depth - 1,
                encoded: job.encoded,
                blank_first: false,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Envelope, Settings, parse};

    /// Types of all parts, by depth.
    #[track_caller]
    fn check(mail: &str, expected: &[&str]) {
        let message = parse(mail.as_bytes(), false, &Envelope::default(), &Settings::default());
        let structure = Structure::read(&message);
        let found: Vec<String> = structure
            .parts()
            .into_iter()
            .filter_map(|index| structure.node(index))
            .map(|node| format!("{}{}", node.kind, if node.leaf { "" } else { " {" }))
            .collect();
        assert_eq!(found, expected, "{mail:?}");
    }

    #[test]
    fn trees() {
        check("A: b\n\nx\n", &["text/plain"]);
        check("Content-Type: text/enriched\n\nx\n", &["text/plain"]);
        check("Content-Type: multipart/mixed\n\nx\n", &["text/plain"]);
        let head = "Content-Type: multipart/digest; boundary=b\n\n";
        check(
            &format!("{head}--b\n\nSubject: x\n\ny\n--b\nContent-Type: text/html\n\nx\n--b--\n"),
            &["multipart/digest {", "message/rfc822 {", "text/plain", "text/html"],
        );
        let inner = "Content-Type: multipart/mixed; boundary=\"b\"\n\n--b\n\nx\n--b--\n";
        check(
            &format!("Content-Type: multipart/related; boundary=a\n\n--a\n{inner}--a--\n"),
            &["multipart/related {", "multipart/mixed {", "text/plain"],
        );
        check(
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTogYgoKeAo=\n",
            &["message/rfc822 {", "text/plain"],
        );
        // A part with nothing but a field loses it.
        let bare = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n";
        check(&format!("{bare}--b--\n"), &["multipart/mixed {", "text/plain"]);
        check(&format!("{bare}\n--b--\n"), &["multipart/mixed {", "text/html"]);
    }

    #[test]
    fn boundaries() {
        for (field, expected) in [
            ("multipart/mixed; boundary=a b", Some("a")),
            ("multipart/mixed; boundary=\"a b\"", Some("a b")),
            ("multipart/mixed; Boundary = \"a", Some("a")),
            ("multipart/mixed; boundary=a\"b", None),
            ("multipart/mixed; boundary=\"\"", None),
            ("multipart/mixed; xboundary=a", None),
        ] {
            assert_eq!(boundary(field).as_deref(), expected.map(str::as_bytes), "{field}");
        }
    }

    #[test]
    fn hostile_mails_end_soon() {
        let settings = Settings::default();
        let nested = "Content-Type: message/rfc822\n\n".repeat(50_000);
        let multipart = "Content-Type: multipart/mixed; boundary=b\n\n--b\n".repeat(50_000);
        let parts = format!(
            "Content-Type: multipart/mixed; boundary=b\n\n{}",
            "--b\nA: b\n\nx\n".repeat(200_000)
        );
        let own = (0..2_000).fold(String::new(), |all, n| {
            all + &format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n")
        });
        let blank = format!("A: b\n\n{}", "\r\n".repeat(2_000_000));
        for mail in [nested, multipart, parts, own, blank] {
            let message = parse(mail.as_bytes(), false, &Envelope::default(), &settings);
            let structure = Structure::read(&message);
            assert!(structure.parts().len() <= PARTS);
        }
    }
}
