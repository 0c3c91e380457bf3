//! HTML to text, links and counts, as SpamAssassin renders it.
//!
//! Comes in: the HTML of one part. Goes out: its text (hidden text too), its links, and a
//! report of what was counted.
//! Not an error: anything; broken HTML is what rules look for.
//!
//! Calendar texts are rendered by [`crate::facts`]'s own renderer, which shows what a reader
//! sees; this one shows what rules written for SpamAssassin expect.

use std::borrow::Cow;

use super::html_report::HtmlPart;
use super::texts::HtmlLink;

mod attributes;
mod color;
mod entities;
mod mend;
mod resolve;
mod style;
mod tokens;
mod words;

use attributes::{base_address, face_is_bad, image_side, known_element, refresh_target};
use style::{Element, Looks, Unreadable};
use tokens::{Attributes, Sink, Tokenizer};
use words::{Letters, is_space};

/// Characters of a link that are kept.
const LONGEST_LINK: usize = 8192;

/// Square pixels that an image may say it has, so that sums stay numbers.
const DEFAULT_SIDE: f64 = 200.0;

/// What rendering one part gives.
#[derive(Debug)]
pub(super) struct Page {
    pub text: String,
    /// False when all characters of the text may be taken as octets of Latin-1, which is
    /// how SpamAssassin then has them.
    pub wide: bool,
    pub links: Vec<HtmlLink>,
    pub report: HtmlPart,
}

/// Renders HTML. `decoded` says that its octets were decoded, not merely ASCII; `octets` is
/// how many there were.
pub(super) fn render(part: usize, html: &str, decoded: bool, octets: usize) -> Page {
    let mut page = Renderer::new(part, decoded);
    page.report.length = html.chars().count();
    let html = mend::mended(html);
    Tokenizer::new(&html, &mut page).run();
    page.finish(octets)
}

/// What the last piece of text was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    None,
    /// A break or space that an element makes.
    Space,
    Visible,
    Invisible,
}

struct Renderer {
    part: usize,
    decoded: bool,
    text: String,
    wide: bool,
    last: Piece,
    /// Whether the last piece is wide of itself.
    last_wide: bool,
    /// Where the last piece starts.
    last_start: usize,
    looks: Looks,
    links: Vec<HtmlLink>,
    /// Index in `links` of the anchor that text belongs to, if it has a link.
    anchor: Option<usize>,
    base: String,
    backhair: u64,
    /// How many of these are open; as the map in the report, but asked for each text.
    open: Open,
    report: HtmlPart,
}

#[derive(Debug, Default)]
struct Open {
    anchor: i64,
    title: i64,
    script: i64,
    style: i64,
}

impl Open {
    fn slot(&mut self, tag: &str) -> Option<&mut i64> {
        Some(match tag {
            "a" => &mut self.anchor,
            "title" => &mut self.title,
            "script" => &mut self.script,
            "style" => &mut self.style,
            _ => return None,
        })
    }
}

impl Renderer {
    fn new(part: usize, decoded: bool) -> Self {
        Self {
            part,
            decoded,
            text: String::new(),
            wide: false,
            last: Piece::None,
            last_wide: false,
            last_start: 0,
            looks: Looks::new(),
            links: Vec::new(),
            anchor: None,
            base: String::new(),
            backhair: 0,
            open: Open::default(),
            report: HtmlPart::new(part),
        }
    }

    fn finish(mut self, octets: usize) -> Page {
        let mut report = self.report;
        let space = |c: &char| {
            if self.wide { c.is_whitespace() } else { is_space(*c) && *c != '\u{c}' }
        };
        report.rendered_length = self.text.chars().count();
        report.non_space_length = report.rendered_length - self.text.chars().filter(space).count();
        #[expect(clippy::cast_precision_loss, reason = "a mail is smaller than that")]
        let (all, shown) = (octets as f64, report.rendered_length as f64);
        report.ratio = if octets > 0 { (all - shown) / all } else { 0.0 };
        report.backhair = self.backhair.count_ones() as usize;
        report.max_size = self.looks.largest;
        report.min_size = self.looks.smallest;
        for link in &self.links {
            report.note_link(link);
        }
        self.links.retain(|link| !link.url.is_empty());
        Page { text: self.text, wide: self.wide, links: self.links, report }
    }

    /// Counts a tag; true when it is an element and not of a name space.
    fn count(&mut self, tag: &str, step: i64) -> bool {
        let namespace = is_namespace(tag);
        let known = namespace || known_element(tag);
        let report = &mut self.report;
        if !report.inside.contains_key(tag) {
            report.elements_seen += usize::from(known);
            report.tags_seen += 1;
            report.inside.insert(tag.to_owned(), 0);
        }
        let mut open = report.inside.get(tag).copied().unwrap_or(0) + step;
        report.elements += usize::from(known);
        report.tags += 1;
        if open < 0 {
            open = 0;
            report.closed_extra += 1;
        }
        if let Some(counted) = report.inside.get_mut(tag) {
            *counted = open;
        }
        if let Some(slot) = self.open.slot(tag) {
            *slot = open;
        }
        !namespace && (known || is_trick(tag))
    }

    /// The space that an element makes, at its start and at its end.
    fn space(&mut self, tag: &str) {
        let space = match tag {
            "br" | "div" => "\n",
            "li" | "td" | "th" | "dd" | "dt" | "embed" | "h1" | "h2" | "h3" | "h4" | "h5"
            | "h6" => " ",
            "p" | "hr" | "blockquote" | "pre" | "listing" | "plaintext" | "xmp" | "title" => "\n\n",
            _ => return,
        };
        if self.last == Piece::Visible
            && self.text.len() > self.last_start
            && self.text.ends_with(' ')
        {
            self.text.pop();
        }
        self.last_start = self.text.len();
        self.text.push_str(space);
        self.last = Piece::Space;
        self.last_wide = false;
    }

    /// Adds text, white space runs made one space.
    fn show(&mut self, text: &str, invisible: bool) {
        let start = self.text.len();
        let mut spaced = !invisible && self.last == Piece::Space;
        let mut at_start = true;
        let mut rest = text;
        while !rest.is_empty() {
            let length = rest
                .bytes()
                .position(|byte| byte.is_ascii_whitespace() || matches!(byte, 0x0b | 0xc3))
                .unwrap_or(rest.len());
            let (word, tail) = rest.split_at(length);
            self.text.push_str(word);
            at_start &= word.is_empty();
            let blanks = tail
                .bytes()
                .position(|byte| !byte.is_ascii_whitespace() && byte != 0x0b)
                .unwrap_or(tail.len());
            rest = tail;
            if blanks > 0 {
                // Only one space at the very start is left out.
                if !(at_start && std::mem::take(&mut spaced)) {
                    self.text.push(' ');
                }
                rest = tail.get(blanks..).unwrap_or_default();
            } else if let Some(tail) = tail.strip_prefix("\u{c2}\u{a0}") {
                // A hard space in UTF-8 that was decoded as Latin-1.
                if !(at_start && std::mem::take(&mut spaced)) {
                    self.text.push(' ');
                }
                rest = tail;
            } else if let Some(c) = tail.chars().next() {
                self.text.push(c);
                rest = tail.get(c.len_utf8()..).unwrap_or_default();
            }
            at_start = false;
        }
        self.last_start = start;
        self.last = if invisible { Piece::Invisible } else { Piece::Visible };
    }

    /// Looks for tags that stand inside words.
    fn count_cut_words(&mut self, text: &str, wide: bool) {
        if self.last == Piece::None {
            return;
        }
        let before = Letters { wide: self.last_wide };
        let after = Letters { wide };
        let last = self.text.get(self.last_start..).unwrap_or_default();
        let cut = last.chars().next_back().is_some_and(|c| before.in_word(c))
            && text.chars().next().is_some_and(|c| after.in_word(c));
        if !cut {
            return;
        }
        self.report.obfuscation += 1;
        let lengths = before.short_word(last.chars().rev()).zip(after.short_word(text.chars()));
        if let Some((before, after)) = lengths {
            self.backhair |= 1 << (before * 8 + after);
        }
    }

    fn anchor_text(&mut self, text: &str) {
        if self.open.anchor <= 0 {
            return;
        }
        if let Some(anchor) = self.report.anchors.last_mut() {
            anchor.push_str(text);
        }
        if let Some(link) = self.anchor.and_then(|at| self.links.get_mut(at)) {
            link.text.push_str(text);
        }
    }

    /// Keeps a link; gives its index. A link of an anchor is kept also when it is empty,
    /// until all is read.
    fn push_link(&mut self, element: &str, link: &str) -> usize {
        let link = self.trimmed_link(link);
        let url = if link.is_empty() || needs_no_target(link) {
            link.to_owned()
        } else {
            resolve::resolve(&self.base, link)
        };
        if !url.is_empty() || element == "a" {
            self.links.push(HtmlLink {
                part: self.part,
                element: element.to_owned(),
                url,
                text: String::new(),
            });
        }
        self.links.len().saturating_sub(1)
    }

    fn trimmed_link<'l>(&mut self, link: &'l str) -> &'l str {
        let link = link.trim_matches(|c: char| is_space(c) || c == '\u{a0}' || self.wide_space(c));
        match link.char_indices().nth(LONGEST_LINK) {
            Some((end, _)) => {
                self.report.set_flag("uri_truncated");
                link.get(..end).unwrap_or_default()
            }
            None => link,
        }
    }

    fn wide_space(&self, c: char) -> bool {
        self.decoded && c.is_whitespace()
    }

    fn read_links(&mut self, tag: &str, attributes: &Attributes<'_>) {
        match tag {
            "body" | "table" | "tr" | "td" => {
                if let Some(link) = attributes.get("background") {
                    self.push_link(tag, &link);
                }
            }
            "a" | "area" | "link" => {
                let href = attributes.containing("/href").or_else(|| attributes.get("href"));
                self.anchor = match href {
                    Some(href) if tag == "a" => {
                        Some(self.push_link(tag, &href.replace('\u{FEFF}', "")))
                    }
                    Some(href) => {
                        self.push_link(tag, &href.replace('\u{FEFF}', ""));
                        self.anchor
                    }
                    None if tag == "a" => None,
                    None => self.anchor,
                };
                if let Some(link) = attributes.get("data-saferedirecturl") {
                    self.push_link(tag, &link);
                }
            }
            "img" | "frame" | "iframe" | "embed" | "script" | "bgsound" => {
                let src = attributes.containing("/src").or_else(|| attributes.get("src"));
                if let Some(link) = src {
                    self.push_link(tag, &link);
                }
            }
            "form" => {
                if let Some(link) = attributes.get("action") {
                    self.push_link(tag, &link);
                    if link.to_ascii_lowercase().contains("mailto:") {
                        self.report.set_flag("form_action_mailto");
                    }
                }
            }
            "base" => {
                if let Some(link) =
                    attributes.get("href").filter(|link| !matches!(&**link, "" | "0"))
                {
                    self.push_link(tag, &link);
                    if let Some(base) = base_address(self.trimmed_link(&link)) {
                        self.base = base;
                    }
                }
            }
            "meta" => self.read_meta(attributes),
            _ => {}
        }
    }

    fn read_meta(&mut self, attributes: &Attributes<'_>) {
        let (Some(kind), Some(content)) = (attributes.get("http-equiv"), attributes.get("content"))
        else {
            return;
        };
        let kind = kind.to_ascii_lowercase();
        if kind.contains("refresh")
            && let Some(link) = refresh_target(&content)
        {
            self.push_link("meta", link);
        }
        if kind.contains("content-type")
            && let Some(charset) = attributes::charset(&content)
        {
            self.report.charsets.extend(charset.split_whitespace().map(str::to_owned));
        }
    }

    fn read_image(&mut self, attributes: &Attributes<'_>) {
        self.anchor_text("<img>\n");
        if let (Some(width), Some(height)) = (attributes.get("width"), attributes.get("height")) {
            // A screen of 800 by 600 for sizes in percent.
            let side = |text: &str, percent| match image_side(text, percent) {
                side if side > 0.0 => side,
                _ => DEFAULT_SIDE,
            };
            self.report.image_area += side(&width, 8.0) * side(&height, 6.0);
        }
    }
}

impl Sink for Renderer {
    fn start(&mut self, tag: &str, attributes: &Attributes<'_>) {
        if !self.count(tag, 1) {
            return;
        }
        if let Some(element) = Element::find(tag) {
            self.looks.start(element, attributes);
        }
        self.space(tag);
        self.read_links(tag, attributes);
        match tag {
            "a" => self.report.anchors.push(String::new()),
            "title" => self.report.titles.push(String::new()),
            "img" => self.read_image(attributes),
            "object" | "embed" => self.report.set_flag("embeds"),
            "font" if attributes.get("face").is_some_and(|face| face_is_bad(&face)) => {
                self.report.set_flag("font_face_bad");
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: &str) {
        if !self.count(tag, -1) {
            return;
        }
        if let Some(element) = Element::find(tag) {
            self.looks.end(element);
        }
        self.space(tag);
    }

    fn text(&mut self, text: &str, literal: bool) {
        let text = if literal { Cow::Borrowed(text) } else { entities::decode_text(text) };
        if self.open.script > 0 {
            self.report.scripts.push(text.into_owned());
            return;
        }
        if self.open.style > 0 {
            return;
        }
        let wide = self.decoded || (!text.is_ascii() && text.chars().any(|c| c > '\u{FF}'));
        self.wide |= wide;
        self.anchor_text(&text);
        if self.open.title > 0
            && let Some(title) = self.report.titles.last_mut()
        {
            title.push_str(&text);
        }
        let blank = text.trim_start_matches(is_space).is_empty();
        let unreadable = if blank { None } else { self.looks.unreadable() };
        match unreadable {
            Some(Unreadable::LowContrast) => self.report.set_flag("font_low_contrast"),
            Some(Unreadable::InvalidColor) => self.report.set_flag("font_invalid_color"),
            Some(Unreadable::Hidden) | None => {}
        }
        self.count_cut_words(&text, wide);
        self.show(&text, unreadable.is_some());
        self.last_wide = wide;
    }

    fn comment(&mut self, text: &str) {
        self.report.comments.push(text.to_owned());
    }

    fn doctype(&mut self) {
        self.report.elements += 1;
        self.report.tags += 1;
        self.report.inside.insert("!doctype".to_owned(), 0);
    }
}

/// Tags of word processors, which are elements but do nothing.
fn is_namespace(tag: &str) -> bool {
    let Some((prefix, name)) = tag.split_once(':') else { return false };
    let name = name.strip_suffix('/').unwrap_or(name);
    let numbered = prefix
        .strip_prefix("st")
        .is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_digit()));
    (prefix == "o" || numbered)
        && !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// Elements that are none and do something all the same.
fn is_trick(tag: &str) -> bool {
    matches!(tag, "bgsound" | "embed" | "listing" | "plaintext" | "xmp")
}

/// Links that stand for themselves, base or not.
fn needs_no_target(link: &str) -> bool {
    ["data:", "mailto:", "file:", "cid:", "tel:"].iter().any(|scheme| {
        link.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

#[cfg(test)]
mod tests;
