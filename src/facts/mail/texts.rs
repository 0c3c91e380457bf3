//! Text parts as `body` and `rawbody` rules see them.

use crate::message::Message;

/// A piece of text and the part it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Index in `Message::parts`.
    pub part: usize,
    /// The text: UTF-8 in rendered text, octets as sent in decoded text.
    pub text: Vec<u8>,
}

/// A link of an HTML part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HtmlLink {
    /// Index in `Message::parts`.
    pub part: usize,
    /// Element in lower case: `a`, `img`.
    pub element: String,
    /// The link as written, references decoded, resolved against `base`.
    pub url: String,
    /// Text of the anchor, as rendered.
    pub text: String,
}

/// What was counted while rendering HTML, for `html_…` functions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HtmlReport {}

/// What rendering the text parts gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rendered {
    /// Paragraphs, in order of parts.
    pub paragraphs: Vec<Chunk>,
    /// Links of the HTML parts, in order.
    pub links: Vec<HtmlLink>,
    /// What was counted.
    pub html: HtmlReport,
}

/// Renders the text parts.
pub(super) fn render(_message: &Message<'_>) -> Rendered {
    Rendered::default()
}

/// Undoes the transfer encodings of the text parts.
pub(super) fn raw_body(_message: &Message<'_>) -> Vec<Chunk> {
    Vec::new()
}
