//! HTML to what a reader sees, with hidden text and links kept apart.
//!
//! Only tokens are read, no tree is built: enough to know what is shown, linear in the input,
//! and nothing to make deep. The tokens are our own, because nearly every invitation brings
//! tens of kilobytes of mark-up and html5gum, which follows the WHATWG tokenizer state by
//! state, took 40 % of a whole scan for them; it still decodes the character references,
//! where its table of two thousand names matters.

use std::borrow::Cow;

use html5gum::Tokenizer;
use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};

/// Octets of HTML read from one value; more is no invitation.
const LIMIT: usize = 512 * 1024;

/// What an HTML text shows.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    /// Text a reader sees; block elements end a line.
    pub(super) visible: String,
    /// Text that is there but not shown.
    pub(super) hidden: String,
    /// Links, in order.
    pub(super) anchors: Vec<Anchor>,
}

/// A link of an HTML text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Anchor {
    /// Target as written, entities decoded.
    pub(super) target: String,
    /// Text of the link; `None` for images, forms and frames.
    pub(super) text: Option<String>,
}

/// True when the text holds a tag or an entity, so that a calendar that renders HTML would
/// show something else than the text itself.
pub(super) fn looks_like_html(text: &str) -> bool {
    memchr::memchr_iter(b'<', text.as_bytes()).any(|at| {
        let rest = text.as_bytes().get(at + 1..).unwrap_or_default();
        let name = rest.strip_prefix(b"/").unwrap_or(rest);
        match name.first() {
            // `<3` and `a < b` are no tags, `<https://…>` and `<a@b>` are no tags either.
            Some(first) if first.is_ascii_alphabetic() => {
                let end = name.iter().position(|byte| !byte.is_ascii_alphanumeric());
                match end.and_then(|end| name.get(end)) {
                    Some(b'>' | b' ' | b'/' | b'\t' | b'\n' | b'\r') => {
                        memchr::memchr(b'>', name).is_some()
                    }
                    _ => false,
                }
            }
            Some(b'!') => name.starts_with(b"!--") || name.starts_with(b"!DOCTYPE"),
            _ => false,
        }
    })
}

/// Decodes character references; most texts have none and are borrowed.
pub(super) fn decode_entities(text: &str) -> Cow<'_, str> {
    if !memchr::memchr_iter(b'&', text.as_bytes()).any(|at| starts_reference(text, at)) {
        return Cow::Borrowed(text);
    }
    // The few references that make up nearly all; anything else goes to the full table.
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let common = [
            ("&amp;", "&"),
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&quot;", "\""),
            ("&#39;", "'"),
            ("&nbsp;", "\u{a0}"),
        ];
        if let Some((reference, plain)) = common.iter().find(|(name, _)| from.starts_with(name)) {
            out.push_str(plain);
            rest = from.get(reference.len()..).unwrap_or_default();
        } else if starts_reference(from, 0) {
            out.push_str(&decode_by_table(from));
            return Cow::Owned(out);
        } else {
            out.push('&');
            rest = from.get(1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// True for `&` followed by a name or number and a semicolon, or a number without one.
fn starts_reference(text: &str, at: usize) -> bool {
    let rest = text.as_bytes().get(at + 1..).unwrap_or_default();
    if rest.first() == Some(&b'#') && rest.get(1).is_some_and(u8::is_ascii_alphanumeric) {
        return true;
    }
    rest.iter()
        .take(32)
        .position(|byte| *byte == b';')
        .is_some_and(|end| end > 1 && rest.iter().take(end).all(u8::is_ascii_alphanumeric))
}

fn decode_by_table(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let emitter =
        CallbackEmitter::new(|event: CallbackEvent<'_>, _: html5gum::Span<()>| -> Option<()> {
            if let CallbackEvent::String { value } = event {
                out.push_str(&String::from_utf8_lossy(value));
            }
            None
        });
    // A `<` of the text would be taken for a tag.
    for () in Tokenizer::new_with_emitter(&text.replace('<', "&lt;"), emitter).flatten() {}
    out
}

/// Renders HTML.
pub(super) fn render(html: &str) -> Rendered {
    let html = html.get(..html.floor_char_boundary(LIMIT)).unwrap_or_default();
    let mut reader = Reader::default();
    tokenize(html, &mut reader);
    reader.finish()
}

/// Elements whose content is text whatever it looks like.
const RAW_TEXT: [&str; 6] = ["script", "style", "title", "textarea", "xmp", "iframe"];

/// Feeds text, tags and attributes to the reader. Names are compared in lower case; a tag
/// that is not closed ends the input, as in a browser.
fn tokenize(html: &str, reader: &mut Reader) {
    let mut rest = html;
    while let Some(at) = memchr::memchr(b'<', rest.as_bytes()) {
        let (text, from) = rest.split_at(at);
        if !text.is_empty() {
            reader.text(&decode_entities(text));
        }
        let inside = from.get(1..).unwrap_or_default();
        let next = inside.as_bytes().first();
        rest = if let Some(comment) = inside.strip_prefix("!--") {
            after(comment, "-->")
        } else if matches!(next, Some(b'!' | b'?')) {
            after(inside, ">")
        } else if let Some(tag) = inside.strip_prefix('/') {
            if tag.starts_with(|c: char| c.is_ascii_alphabetic()) {
                let (name, tail) = tag.split_at(name_length(tag));
                reader.end_tag(&lower(name));
                after(tail, ">")
            } else {
                after(tag, ">")
            }
        } else if next.is_some_and(u8::is_ascii_alphabetic) {
            let (name, attributes) = inside.split_at(name_length(inside));
            let name = lower(name);
            let Some((tail, self_closing)) = read_attributes(&name, attributes, reader) else {
                return;
            };
            reader.start_tag(&name, self_closing);
            if RAW_TEXT.contains(&&*name) { raw_text(&name, tail, reader) } else { tail }
        } else {
            reader.text("<");
            inside
        };
    }
    reader.text(&decode_entities(rest));
}

/// What stands behind the first `end`; nothing when it does not come.
fn after<'h>(text: &'h str, end: &str) -> &'h str {
    memchr::memmem::find(text.as_bytes(), end.as_bytes())
        .and_then(|at| text.get(at + end.len()..))
        .unwrap_or_default()
}

/// A name in lower case; nearly all are already.
fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

fn name_length(text: &str) -> usize {
    text.bytes()
        .position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'))
        .unwrap_or(text.len())
}

/// Content up to the end tag of the same name.
fn raw_text<'h>(name: &str, text: &'h str, reader: &mut Reader) -> &'h str {
    let end = memchr::memmem::find_iter(text.as_bytes(), b"</").find(|at| {
        text.as_bytes()
            .get(at + 2..at + 2 + name.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
    });
    let (content, tail) = text.split_at(end.unwrap_or(text.len()));
    reader.text(content);
    tail
}

/// Reads attributes up to the end of the tag; `None` when it does not come.
fn read_attributes<'h>(tag: &str, text: &'h str, reader: &mut Reader) -> Option<(&'h str, bool)> {
    let space = |c: char| c.is_ascii_whitespace() || c == '/';
    let mut rest = text;
    let mut self_closing = false;
    loop {
        let trimmed = rest.trim_start_matches(space);
        if trimmed.len() < rest.len() {
            self_closing =
                rest.get(..rest.len() - trimmed.len()).is_some_and(|gap| gap.ends_with('/'));
        }
        rest = trimmed;
        if let Some(tail) = rest.strip_prefix('>') {
            return Some((tail, self_closing));
        }
        // An attribute's name may start with `=`, and runs to one of these.
        let length = rest
            .bytes()
            .enumerate()
            .find(|(at, byte)| {
                byte.is_ascii_whitespace()
                    || matches!(byte, b'/' | b'>')
                    || (*byte == b'=' && *at > 0)
            })
            .map(|(at, _)| at)?;
        let (name, tail) = rest.split_at(length);
        let value_at = tail.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let Some(value) = value_at.strip_prefix('=') else {
            reader.attribute(tag, name, "");
            rest = tail;
            continue;
        };
        let value = value.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let quote = value.bytes().next().filter(|byte| matches!(byte, b'"' | b'\''));
        let (value, tail) = if let Some(quote) = quote {
            let value = value.get(1..)?;
            let end = memchr::memchr(quote, value.as_bytes())?;
            (value.get(..end)?, value.get(end + 1..)?)
        } else {
            let end = value.bytes().position(|byte| byte.is_ascii_whitespace() || byte == b'>')?;
            value.split_at(end)
        };
        reader.attribute(tag, name, value);
        rest = tail;
    }
}

#[derive(Default)]
struct Reader {
    out: Rendered,
    /// The tag being read hides what is inside.
    hides: bool,
    target: Option<String>,
    /// Nesting below the element that hides; 0: shown.
    hidden_depth: usize,
    /// Inside `<style>`, `<script>` or `<title>`: neither shown nor hidden text.
    silent: bool,
    /// Target and start in `visible` of the open link.
    link: Option<(String, usize)>,
}

/// Attributes that hold a link.
const LINKS: [&str; 6] = ["href", "src", "action", "formaction", "background", "xlink:href"];

impl Reader {
    fn attribute(&mut self, tag: &str, name: &str, value: &str) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("style") {
            self.hides |= style_hides(decode_entities(value).as_bytes());
        } else if is("hidden") || (tag == "font" && is("size") && value == "0") {
            self.hides = true;
        } else if self.target.is_none() && LINKS.iter().any(|known| is(known)) {
            self.target = Some(decode_entities(value).trim().to_owned());
        }
    }

    fn start_tag(&mut self, tag: &str, self_closing: bool) {
        let void = is_void(tag) || self_closing;
        let hides = std::mem::take(&mut self.hides);
        if self.hidden_depth > 0 {
            self.hidden_depth += usize::from(!void);
        } else if hides && !void {
            self.hidden_depth = 1;
        }
        match tag {
            "style" | "script" | "title" => self.silent = true,
            _ if breaks_line(tag) => self.line(),
            "td" | "th" => self.space(),
            _ => {}
        }
        if let Some(target) = self.target.take().filter(|target| !target.is_empty()) {
            if tag == "a" || tag == "area" {
                self.close_link();
                self.link = Some((target, self.out.visible.len()));
            } else {
                self.out.anchors.push(Anchor { target, text: None });
            }
        }
    }

    fn end_tag(&mut self, name: &str) {
        if self.hidden_depth > 0 && !is_void(name) {
            self.hidden_depth -= 1;
        }
        match name {
            "style" | "script" | "title" => self.silent = false,
            "a" => self.close_link(),
            _ if breaks_line(name) => self.line(),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if self.silent || text.is_empty() {
            return;
        }
        let out = if self.hidden_depth > 0 { &mut self.out.hidden } else { &mut self.out.visible };
        // White space runs are one space in HTML.
        let mut pending = out.is_empty() || out.ends_with([' ', '\n']);
        for word in text.split_inclusive(|c: char| c.is_ascii_whitespace()) {
            let trimmed = word.trim_end_matches(|c: char| c.is_ascii_whitespace());
            if !trimmed.is_empty() {
                out.push_str(trimmed);
                pending = false;
            }
            if trimmed.len() < word.len() && !pending {
                out.push(' ');
                pending = true;
            }
        }
    }

    fn line(&mut self) {
        if self.hidden_depth > 0 {
            self.out.hidden.push(' ');
            return;
        }
        while self.out.visible.ends_with(' ') {
            self.out.visible.pop();
        }
        if !self.out.visible.is_empty() && !self.out.visible.ends_with("\n\n") {
            self.out.visible.push('\n');
        }
    }

    fn space(&mut self) {
        if !self.out.visible.is_empty() && !self.out.visible.ends_with([' ', '\n']) {
            self.out.visible.push(' ');
        }
    }

    fn close_link(&mut self) {
        if let Some((target, start)) = self.link.take() {
            let text = self.out.visible.get(start..).unwrap_or_default().trim().to_owned();
            self.out.anchors.push(Anchor { target, text: Some(text) });
        }
    }

    fn finish(mut self) -> Rendered {
        self.close_link();
        while self.out.visible.ends_with([' ', '\n']) {
            self.out.visible.pop();
        }
        self.out
    }
}

fn is_void(tag: &str) -> bool {
    matches!(
        tag,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
    )
}

fn breaks_line(tag: &str) -> bool {
    matches!(
        tag,
        "br" | "p"
            | "div"
            | "tr"
            | "li"
            | "ul"
            | "ol"
            | "table"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "blockquote"
            | "pre"
            | "hr"
            | "section"
            | "article"
            | "header"
            | "footer"
            | "dt"
            | "dd"
            | "html-blo"
    )
}

/// True for inline styles under which nothing is to be seen.
fn style_hides(style: &[u8]) -> bool {
    let mut flat = [0_u8; 512];
    let mut length = 0;
    for byte in style.iter().filter(|byte| !byte.is_ascii_whitespace()).take(flat.len()) {
        if let Some(slot) = flat.get_mut(length) {
            *slot = byte.to_ascii_lowercase();
            length += 1;
        }
    }
    let flat = flat.get(..length).unwrap_or_default();
    flat.split(|byte| *byte == b';').any(|declaration| {
        let Some(colon) = memchr::memchr(b':', declaration) else { return false };
        let (property, value) = declaration.split_at(colon);
        let value = value.get(1..).unwrap_or_default();
        match property {
            b"display" => value.starts_with(b"none"),
            b"visibility" => value.starts_with(b"hidden"),
            b"mso-hide" => value.starts_with(b"all"),
            b"font-size" | b"max-height" | b"opacity" => is_zero(value),
            _ => false,
        }
    })
}

fn is_zero(value: &[u8]) -> bool {
    let number = value
        .iter()
        .position(|byte| !byte.is_ascii_digit() && *byte != b'.')
        .map_or(value, |end| value.get(..end).unwrap_or_default());
    !number.is_empty() && number.iter().all(|byte| matches!(byte, b'0' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, visible: &str, hidden: &str) {
        let rendered = render(html);
        assert_eq!(rendered.visible, visible, "visible of {html}");
        assert_eq!(rendered.hidden.trim(), hidden, "hidden of {html}");
    }

    #[test]
    fn shows_what_a_reader_sees() {
        check("<p>One</p><p>two&amp;three</p>", "One\n\ntwo&three", "");
        check("a<br>b <b>c</b>d", "a\nb cd", "");
        check("<table><tr><td>x</td><td>y</td></tr></table>", "x y", "");
        check("<style>p{color:red}</style>text<script>var a='<b>';</script>", "text", "");
        check("Hi &#x41;&nbsp;there", "Hi A\u{a0}there", "");
    }

    #[test]
    fn keeps_hidden_text_apart() {
        check("a<span style='display: none'>b<i>c</i></span>d", "ad", "bc");
        check("a<div style=\"font-size:0px\">x</div>b", "a\nb", "x");
        check("a<span style=\"font-size:0.9em\">x</span>b", "axb", "");
        check("<div hidden>x</div>y", "y", "x");
        check("<font size=0>x</font>y", "y", "x");
    }

    #[test]
    fn collects_links() {
        let anchors = render(
            "<a href='https://a.example/x?a=1&amp;b=2'>Click <b>me</b></a><img src=http://b.example/i.png>",
        )
        .anchors;
        assert_eq!(
            anchors,
            [
                Anchor {
                    target: "https://a.example/x?a=1&b=2".into(),
                    text: Some("Click me".into())
                },
                Anchor { target: "http://b.example/i.png".into(), text: None },
            ]
        );
    }

    #[test]
    fn tells_tags_from_prose() {
        for (text, expected) in [
            ("<p>x", true),
            ("x<br/>y", true),
            ("</b>", true),
            ("a < b and c > d", false),
            ("I <3 you", false),
            ("<https://a.example>", false),
            ("<vic@corp.test>", false),
            ("<b", false),
            ("<!-- c -->", true),
        ] {
            assert_eq!(looks_like_html(text), expected, "{text}");
        }
    }

    #[test]
    fn decodes_entities_of_plain_text() {
        assert_eq!(decode_entities("a &amp; b < c"), "a & b < c");
        assert!(matches!(decode_entities("fish & chips; more"), Cow::Borrowed(_)));
    }

    #[test]
    fn survives_unclosed_and_deep_markup() {
        let deep = "<div style=display:none>".repeat(50_000);
        assert_eq!(render(&deep).visible, "");
        assert_eq!(render("<a href=x").anchors, []);
    }
}
