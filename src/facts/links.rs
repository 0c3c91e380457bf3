//! Links of events and of the mail body.

use super::{Origin, Place};

/// One link.
#[derive(Debug)]
pub struct Link<'f> {
    /// The URL, cleaned.
    pub url: String,
    /// Host in lower case (punycode), without a trailing dot.
    pub host: Option<String>,
    /// Where it stands.
    pub place: Place<'f>,
    /// Calendar or mail.
    pub origin: Origin,
    /// Index of the event, for links of events.
    pub event: Option<usize>,
}

/// All links of a message.
#[derive(Debug, Default)]
pub struct Links<'f> {
    /// The links, events' first.
    pub all: Vec<Link<'f>>,
}
