//! HTML cut into tags, text and comments, as SpamAssassin's parser cuts it.
//!
//! Comes in: HTML of any quality. Goes out: calls of a [`Sink`], in order.
//! Not an error: anything. What browsers mend is mended as Perl's `HTML::Parser` mends it,
//! which is not what browsers do: an unclosed tag makes the rest a comment, an unclosed
//! comment ends at the first `>`, text is handed over in pieces that begin at each `<`.
//! Linear: every octet is looked at a bounded number of times.

use memchr::{memchr, memchr2, memmem};

use syntax::{Literal, is_in_name, is_space, lower, starts_name};

pub(super) use syntax::Attributes;

mod syntax;

/// Takes what the tokenizer finds.
pub(super) trait Sink {
    /// A start tag; the name is in lower case.
    fn start(&mut self, name: &str, attributes: &Attributes<'_>);
    /// An end tag; the name is in lower case.
    fn end(&mut self, name: &str);
    /// Text; `literal` says that references in it are none.
    fn text(&mut self, text: &str, literal: bool);
    /// A comment with its marks.
    fn comment(&mut self, text: &str);
    /// A document type.
    fn doctype(&mut self);
}

/// What an SGML marked section (`<![CDATA[ … ]]>`) does to its content, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Include,
    Rcdata,
    Cdata,
    Ignore,
}

/// Where reading mark-up ended.
enum Read {
    /// Behind it.
    To(usize),
    /// It does not end.
    Open,
    /// It is none.
    NoMarkup,
}

pub(super) struct Tokenizer<'h, 's, S> {
    html: &'h str,
    bytes: &'h [u8],
    sink: &'s mut S,
    attributes: Attributes<'h>,
    literal: Option<Literal>,
    /// References in text are none.
    cdata: bool,
    /// Literal elements of which no end tag is to come.
    endless: Vec<Literal>,
    sections: Vec<Option<Section>>,
    /// An end tag to be told before the next tag.
    pending_end: Option<&'static str>,
    /// Comments end at the first `>`.
    short_comments: bool,
}

/// Marked sections inside each other that count.
const SECTIONS: usize = 100;

impl<'h, 's, S: Sink> Tokenizer<'h, 's, S> {
    pub(super) fn new(html: &'h str, sink: &'s mut S) -> Self {
        Self {
            html,
            bytes: html.as_bytes(),
            sink,
            attributes: Attributes::default(),
            literal: None,
            cdata: false,
            endless: Vec::new(),
            sections: Vec::new(),
            pending_end: None,
            short_comments: false,
        }
    }

    /// Reads everything.
    pub(super) fn run(mut self) {
        let end = self.bytes.len();
        let mut at = self.read(0);
        if let Some(element @ (Literal::Script | Literal::Style)) = self.literal {
            self.text(at, end);
            self.end_tag(element.name());
            self.literal = None;
            self.cdata = false;
            at = end;
        }
        // No more is to come: what was left open is read once more, more leniently.
        while at < end {
            match self.literal {
                Some(element @ (Literal::Script | Literal::Style)) => {
                    // Its content is shown, and references in it stay as they are.
                    self.end_tag(element.name());
                    self.literal = None;
                    at = self.read(at);
                    continue;
                }
                Some(element @ Literal::Title) => {
                    self.pending_end = Some(element.name());
                    self.literal = None;
                    at = self.read(at);
                    continue;
                }
                Some(Literal::Xmp | Literal::Iframe | Literal::Plaintext | Literal::Textarea) => {
                    break;
                }
                None => {}
            }
            if self.byte(at) == Some(b'<') {
                if !self.short_comments {
                    self.short_comments = true;
                    at = self.read(at);
                    continue;
                }
                let next = self.byte(at + 1);
                if next.is_none_or(|next| starts_name(next) || matches!(next, b'/' | b'!' | b'?')) {
                    self.comment(at, end);
                    at = end;
                }
            }
            break;
        }
        if at < end {
            self.text(at, end);
        }
        self.tell_pending_end();
    }

    /// Reads on from `from` as far as all is complete; gives where that ends.
    fn read(&mut self, from: usize) -> usize {
        let end = self.bytes.len();
        // Text begins at `start`, and is known to go on to `at`.
        let (mut start, mut at) = (from, from);
        loop {
            if let Some(element) = self.literal {
                match self.read_literal(element, start) {
                    Some(next) => (start, at) = (next, next),
                    None => return start,
                }
            }
            while self
                .section()
                .is_some_and(|kind| matches!(kind, Section::Cdata | Section::Rcdata))
            {
                let rest = self.bytes.get(at..).unwrap_or_default();
                let Some(found) = memmem::find(rest, b"]]>") else { return start };
                self.text(start, at + found);
                self.close_section();
                (start, at) = (at + found + 3, at + found + 3);
            }
            at = self.read_text(&mut start, at);
            if at != start {
                if at < end {
                    self.text(start, at);
                    start = at;
                } else {
                    // The last word waits, for it might go on.
                    let text = self.bytes.get(start..).unwrap_or_default();
                    let mut kept = text.len();
                    let space = |at: usize| text.get(at).is_some_and(|byte| is_space(*byte));
                    if !space(kept - 1) {
                        while kept > 0 && !space(kept - 1) {
                            kept -= 1;
                        }
                    }
                    while kept > 0 && space(kept - 1) {
                        kept -= 1;
                    }
                    if kept > 0 {
                        self.text(start, start + kept);
                    }
                    return start + kept;
                }
            }
            if end - at < 3 {
                return at;
            }
            let read = match self.byte(at + 1) {
                Some(byte) if starts_name(byte) => self.read_start(start),
                Some(b'/') => self.read_end(start),
                Some(b'!') => self.read_declaration(start),
                Some(b'?') => self.read_to_gt(start + 2),
                _ => Read::NoMarkup,
            };
            match read {
                Read::To(next) => (start, at) = (next, next),
                Read::Open => return start,
                Read::NoMarkup => at += 1,
            }
        }
    }

    /// Goes to the next `<`. Ends of marked sections are taken on the way.
    fn read_text(&mut self, start: &mut usize, mut at: usize) -> usize {
        let end = self.bytes.len();
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            if self.section().is_none() {
                return memchr(b'<', rest).map_or(end, |found| at + found);
            }
            let Some(found) = memchr2(b'<', b']', rest) else { return end };
            at += found;
            if self.byte(at) == Some(b'<') {
                return at;
            }
            if self.bytes.get(at..).is_some_and(|rest| rest.starts_with(b"]]>")) {
                self.text(*start, at);
                self.close_section();
                at += 3;
                *start = at;
            } else {
                at += 1;
            }
        }
    }

    /// Reads up to the end tag of a literal element; gives where that ends.
    fn read_literal(&mut self, element: Literal, start: usize) -> Option<usize> {
        if element == Literal::Plaintext || self.endless.contains(&element) {
            return None;
        }
        let name = element.name();
        let rest = self.bytes.get(start..)?;
        for found in memmem::find_iter(rest, b"</") {
            let name_at = start + found + 2;
            let name_end = name_at + name.len();
            let named = self
                .bytes
                .get(name_at..name_end)
                .is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()));
            if !named {
                continue;
            }
            let after = self.skip_spaces(name_end);
            if self.byte(after) == Some(b'>') {
                if found > 0 {
                    self.text(start, start + found);
                }
                self.literal = None;
                self.cdata = false;
                self.end_tag(name);
                return Some(after + 1);
            }
        }
        self.endless.push(element);
        None
    }

    fn read_start(&mut self, from: usize) -> Read {
        let end = self.bytes.len();
        let name_end = self.skip(from + 2, |byte| !is_space(byte) && byte != b'>');
        let mut at = self.skip_spaces(name_end);
        self.attributes.0.clear();
        loop {
            if at >= end {
                return Read::Open;
            }
            if self.byte(at) == Some(b'>') {
                break;
            }
            let name_at = at;
            at = self.skip(at + 1, |byte| !is_space(byte) && byte != b'>' && byte != b'=');
            let name = self.html.get(name_at..at).unwrap_or_default();
            at = self.skip_spaces(at);
            if self.byte(at) != Some(b'=') {
                self.attributes.0.push((name, None));
                continue;
            }
            at = self.skip_spaces(at + 1);
            let value = match self.byte(at) {
                None => return Read::Open,
                Some(b'>') => "",
                Some(quote @ (b'"' | b'\'')) => {
                    let rest = self.bytes.get(at + 1..).unwrap_or_default();
                    let Some(length) = memchr(quote, rest) else { return Read::Open };
                    let value = self.html.get(at + 1..at + 1 + length).unwrap_or_default();
                    at += length + 2;
                    value
                }
                Some(_) => {
                    let value_at = at;
                    at = self.skip(at, |byte| !is_space(byte) && byte != b'>');
                    self.html.get(value_at..at).unwrap_or_default()
                }
            };
            self.attributes.0.push((name, Some(value)));
            at = self.skip_spaces(at);
        }
        let written = self.html.get(from + 1..name_end).unwrap_or_default();
        self.tell_pending_end();
        if self.section() != Some(Section::Ignore) {
            self.sink.start(&lower(written), &self.attributes);
        }
        self.literal = Literal::find(written);
        if let Some(element) = self.literal {
            self.cdata = element.is_cdata();
        }
        Read::To(at + 1)
    }

    fn read_end(&mut self, from: usize) -> Read {
        let name_at = from + 2;
        let name_end = self.skip(name_at, |byte| !is_space(byte) && byte != b'>');
        let (mut at, mut quote, mut before) = (name_end, None, b' ');
        // Quotes count where an attribute's value might begin.
        loop {
            let Some(byte) = self.byte(at) else { return Read::Open };
            match (byte, quote) {
                (b'>', None) => break,
                (b'"' | b'\'', Some(open)) if open == byte => quote = None,
                (b'"' | b'\'', None) if matches!(before, b' ' | b'=') => quote = Some(byte),
                _ => {}
            }
            before = byte;
            at += 1;
        }
        if name_end == name_at {
            self.comment(from, at + 1);
        } else {
            let name = self.html.get(name_at..name_end).unwrap_or_default();
            self.end_tag(&lower(name));
        }
        Read::To(at + 1)
    }

    fn read_declaration(&mut self, from: usize) -> Read {
        let at = from + 2;
        match self.byte(at) {
            Some(b'-') if self.byte(at + 1) == Some(b'-') => return self.read_comment(from),
            Some(b'[') => match self.read_section(at + 1) {
                Read::NoMarkup => {}
                read @ (Read::To(_) | Read::Open) => return read,
            },
            Some(byte) if byte.is_ascii_alphabetic() => match self.read_doctype(from) {
                Read::NoMarkup => {}
                read @ (Read::To(_) | Read::Open) => return read,
            },
            _ => {}
        }
        let rest = self.bytes.get(at..).unwrap_or_default();
        match memchr(b'>', rest) {
            Some(length) => {
                self.comment(from, at + length + 1);
                Read::To(at + length + 1)
            }
            None => Read::Open,
        }
    }

    fn read_comment(&mut self, from: usize) -> Read {
        let mut at = from + 4;
        if self.short_comments {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let Some(length) = memchr(b'>', rest) else { return Read::Open };
            self.comment(from, at + length + 1);
            return Read::To(at + length + 1);
        }
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let Some(found) = memmem::find(rest, b"--") else { return Read::Open };
            let after = self.skip_spaces(at + found + 2);
            if self.byte(after) == Some(b'>') {
                self.comment(from, after + 1);
                return Read::To(after + 1);
            }
            at += found + 1;
            // A run of spaces between dashes is not looked at again.
            at = at.max(after.saturating_sub(1));
        }
    }

    fn read_section(&mut self, from: usize) -> Read {
        let mut at = from;
        let (mut kind, mut named) = (None, false);
        loop {
            at = self.skip_spaces(at);
            while self.byte(at).is_some_and(starts_name) {
                let name_at = at;
                at = self.skip(at, is_in_name);
                let name = self.html.get(name_at..at).unwrap_or_default();
                named = true;
                kind = kind.max(match &*lower(name) {
                    "include" => Some(Section::Include),
                    "rcdata" => Some(Section::Rcdata),
                    "cdata" => Some(Section::Cdata),
                    "ignore" => Some(Section::Ignore),
                    _ => None,
                });
                at = self.skip_spaces(at);
            }
            match self.byte(at) {
                None => return Read::Open,
                Some(b'-') if self.byte(at + 1) == Some(b'-') => {
                    let rest = self.bytes.get(at + 2..).unwrap_or_default();
                    let Some(length) = memmem::find(rest, b"--") else { return Read::Open };
                    at += length + 4;
                }
                Some(b'[') if self.sections.len() < SECTIONS => {
                    self.sections.push(if named { kind } else { Some(Section::Include) });
                    self.cdata = self.section() == Some(Section::Cdata);
                    self.tell_pending_end();
                    return Read::To(at + 1);
                }
                Some(_) => return Read::NoMarkup,
            }
        }
    }

    fn read_doctype(&mut self, from: usize) -> Read {
        let name_at = from + 2;
        let mut at = self.skip(name_at, is_in_name);
        let name = self.html.get(name_at..at).unwrap_or_default();
        let is_doctype = name.eq_ignore_ascii_case("doctype");
        if at >= self.bytes.len() {
            return Read::Open;
        }
        if !is_doctype && !name.eq_ignore_ascii_case("entity") {
            return Read::NoMarkup;
        }
        loop {
            at = self.skip_spaces(at);
            match self.byte(at) {
                None => return Read::Open,
                Some(b'>') => break,
                Some(quote @ (b'"' | b'\'')) => {
                    let rest = self.bytes.get(at + 1..).unwrap_or_default();
                    let Some(length) = memchr(quote, rest) else { return Read::Open };
                    at += length + 2;
                }
                Some(b'-') => {
                    match self.byte(at + 1) {
                        None => return Read::Open,
                        Some(b'-') => {}
                        Some(_) => return Read::NoMarkup,
                    }
                    let rest = self.bytes.get(at + 2..).unwrap_or_default();
                    let Some(length) = memmem::find(rest, b"--") else { return Read::Open };
                    at += length + 4;
                }
                Some(_) => at = self.skip(at + 1, |byte| !is_space(byte) && byte != b'>'),
            }
        }
        self.tell_pending_end();
        if is_doctype && self.section() != Some(Section::Ignore) {
            self.sink.doctype();
        }
        Read::To(at + 1)
    }

    fn read_to_gt(&mut self, from: usize) -> Read {
        let rest = self.bytes.get(from..).unwrap_or_default();
        let Some(length) = memchr(b'>', rest) else { return Read::Open };
        self.tell_pending_end();
        Read::To(from + length + 1)
    }

    fn text(&mut self, start: usize, end: usize) {
        if start < end && self.section() != Some(Section::Ignore) {
            self.sink.text(self.html.get(start..end).unwrap_or_default(), self.cdata);
        }
    }

    fn comment(&mut self, start: usize, end: usize) {
        if self.section() != Some(Section::Ignore) {
            self.sink.comment(self.html.get(start..end).unwrap_or_default());
        }
    }

    fn end_tag(&mut self, name: &str) {
        self.tell_pending_end();
        if self.section() != Some(Section::Ignore) {
            self.sink.end(name);
        }
    }

    fn tell_pending_end(&mut self) {
        if let Some(name) = self.pending_end.take()
            && self.section() != Some(Section::Ignore)
        {
            self.sink.end(name);
        }
    }

    /// The strongest of the open marked sections.
    fn section(&self) -> Option<Section> {
        self.sections.iter().copied().max().flatten()
    }

    fn close_section(&mut self) {
        self.tell_pending_end();
        self.sections.pop();
        self.cdata = self.section() == Some(Section::Cdata);
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn skip(&self, from: usize, wanted: impl Fn(u8) -> bool) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        rest.iter().position(|byte| !wanted(*byte)).map_or(self.bytes.len(), |found| from + found)
    }

    fn skip_spaces(&self, from: usize) -> usize {
        self.skip(from, is_space)
    }
}

#[cfg(test)]
mod tests;
