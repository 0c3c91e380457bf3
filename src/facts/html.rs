//! HTML to what a reader sees, with hidden text and links kept apart.
//!
//! Only tokens are read (the WHATWG tokenizer of html5gum), no tree is built: enough to know
//! what is shown, linear in the input, and nothing to make deep.

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

/// Decodes entities of a text that is not HTML; most texts have none and are borrowed.
pub(super) fn decode_entities(text: &str) -> Cow<'_, str> {
    let entity = memchr::memchr_iter(b'&', text.as_bytes()).any(|at| {
        let rest = text.as_bytes().get(at + 1..).unwrap_or_default();
        rest.iter().take(32).position(|byte| *byte == b';').is_some_and(|end| {
            end > 1
                && rest.iter().take(end).all(|byte| byte.is_ascii_alphanumeric() || *byte == b'#')
        })
    });
    // A `<` of prose would be taken for a tag, so it is hidden from the tokenizer.
    if entity {
        Cow::Owned(render(&text.replace('<', "&lt;")).visible)
    } else {
        Cow::Borrowed(text)
    }
}

/// Renders HTML.
pub(super) fn render(html: &str) -> Rendered {
    let mut end = html.len().min(LIMIT);
    while !html.is_char_boundary(end) {
        end -= 1;
    }
    let html = html.get(..end).unwrap_or_default();
    let mut reader = Reader::default();
    let mut emitter =
        CallbackEmitter::new(|event: CallbackEvent<'_>, _span: html5gum::Span<()>| -> Option<()> {
            reader.event(&event);
            None
        });
    emitter.naively_switch_states(true);
    for () in Tokenizer::new_with_emitter(html, emitter).flatten() {}
    reader.finish()
}

#[derive(Default)]
struct Reader {
    out: Rendered,
    /// Name of the start tag being read.
    tag: Vec<u8>,
    attribute: Vec<u8>,
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

impl Reader {
    fn event(&mut self, event: &CallbackEvent<'_>) {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.tag.clear();
                self.tag.extend_from_slice(name);
                self.attribute.clear();
                self.hides = false;
                self.target = None;
            }
            CallbackEvent::AttributeName { name } => {
                self.attribute.clear();
                self.attribute.extend_from_slice(name);
                if *name == b"hidden" {
                    self.hides = true;
                }
            }
            CallbackEvent::AttributeValue { value } => self.attribute_value(value),
            CallbackEvent::CloseStartTag { self_closing } => self.start_tag(*self_closing),
            CallbackEvent::EndTag { name } => self.end_tag(name),
            CallbackEvent::String { value } => self.text(value),
            CallbackEvent::Comment { .. }
            | CallbackEvent::Doctype { .. }
            | CallbackEvent::Error(_) => {}
        }
    }

    fn attribute_value(&mut self, value: &[u8]) {
        match self.attribute.as_slice() {
            b"href" | b"src" | b"action" | b"formaction" | b"background" | b"xlink:href" => {
                self.target = Some(String::from_utf8_lossy(value).trim().to_owned());
            }
            b"style" => self.hides |= style_hides(value),
            b"size" if self.tag == b"font" && value == b"0" => self.hides = true,
            _ => {}
        }
    }

    fn start_tag(&mut self, self_closing: bool) {
        let tag = std::mem::take(&mut self.tag);
        let void = is_void(&tag);
        if self.hidden_depth > 0 {
            if !void && !self_closing {
                self.hidden_depth += 1;
            }
        } else if self.hides && !void && !self_closing {
            self.hidden_depth = 1;
        }
        match tag.as_slice() {
            b"style" | b"script" | b"title" => self.silent = true,
            _ if breaks_line(&tag) => self.line(),
            b"td" | b"th" => self.space(),
            _ => {}
        }
        if let Some(target) = self.target.take().filter(|target| !target.is_empty()) {
            if tag == b"a" || tag == b"area" {
                self.close_link();
                self.link = Some((target, self.out.visible.len()));
            } else {
                self.out.anchors.push(Anchor { target, text: None });
            }
        }
        self.tag = tag;
    }

    fn end_tag(&mut self, name: &[u8]) {
        if self.hidden_depth > 0 && !is_void(name) {
            self.hidden_depth -= 1;
        }
        match name {
            b"style" | b"script" | b"title" => self.silent = false,
            b"a" => self.close_link(),
            _ if breaks_line(name) => self.line(),
            _ => {}
        }
    }

    fn text(&mut self, value: &[u8]) {
        if self.silent {
            return;
        }
        let text = String::from_utf8_lossy(value);
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

fn is_void(tag: &[u8]) -> bool {
    matches!(
        tag,
        b"area"
            | b"base"
            | b"br"
            | b"col"
            | b"embed"
            | b"hr"
            | b"img"
            | b"input"
            | b"link"
            | b"meta"
            | b"param"
            | b"source"
            | b"track"
            | b"wbr"
    )
}

fn breaks_line(tag: &[u8]) -> bool {
    matches!(
        tag,
        b"br"
            | b"p"
            | b"div"
            | b"tr"
            | b"li"
            | b"ul"
            | b"ol"
            | b"table"
            | b"h1"
            | b"h2"
            | b"h3"
            | b"h4"
            | b"h5"
            | b"h6"
            | b"blockquote"
            | b"pre"
            | b"hr"
            | b"section"
            | b"article"
            | b"header"
            | b"footer"
            | b"dt"
            | b"dd"
            | b"html-blob"
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
