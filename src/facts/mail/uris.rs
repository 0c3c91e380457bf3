//! Links as `uri` and `uri_detail` rules see them.

use super::Rendered;
use crate::message::Message;

/// A link, as written and as understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uri {
    /// As written.
    pub raw: String,
    /// Where it stands: `parsed` for running text, `dkim` `unlinked` or an element's name.
    pub types: Vec<String>,
    /// Every form it has once encodings are undone, the written one included.
    pub cleaned: Vec<String>,
    /// Texts of the anchors that lead there.
    pub anchor_texts: Vec<String>,
    /// Hosts of all forms, lower case, each once, with their registered domains.
    pub hosts: Vec<(String, String)>,
    /// Index in `Message::parts`, where it is known.
    pub part: Option<usize>,
}

/// Finds the links of a mail.
pub(super) fn find(_message: &Message<'_>, _rendered: &Rendered) -> Vec<Uri> {
    Vec::new()
}
