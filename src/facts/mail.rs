//! The mail as SpamAssassin's rules see it: rendered paragraphs, decoded text, links and
//! relays. Calendar parts are not in it; rules see them beside it.
//!
//! Comes in: the [`Message`] and its [`Envelope`]. Goes out: texts, each made at most once and
//! only when a rule asks. What is meant is what SpamAssassin 4.0 does, measured, because rules
//! written for it rely on it: where a paragraph ends, what a link is, which hop is believed.
//! Not an error: anything in the mail.

use std::cell::OnceCell;

use crate::message::{Envelope, Message};

mod html;
mod html_report;
mod relays;
mod source;
mod texts;
mod uris;

pub use html_report::{HtmlPart, HtmlReport};
pub use relays::{Networks, Relay, Relays};
pub use texts::{Chunk, HtmlLink, Rendered};
pub use uris::Uri;

/// The mail, looked at as rules ask.
pub struct Mail<'f> {
    message: &'f Message<'f>,
    envelope: &'f Envelope,
    leaves: OnceCell<Vec<source::Leaf>>,
    rendered: OnceCell<Rendered>,
    raw_body: OnceCell<Vec<Chunk>>,
    uris: OnceCell<Vec<Uri>>,
    relays: OnceCell<Relays>,
}

impl<'f> Mail<'f> {
    /// Nothing looked at yet.
    pub fn new(message: &'f Message<'f>, envelope: &'f Envelope) -> Self {
        Self {
            message,
            envelope,
            leaves: OnceCell::new(),
            rendered: OnceCell::new(),
            raw_body: OnceCell::new(),
            uris: OnceCell::new(),
            relays: OnceCell::new(),
        }
    }

    /// Text parts as a reader sees them, in paragraphs (`body`); the Subject is not in it.
    pub fn rendered(&self) -> &Rendered {
        self.rendered.get_or_init(|| texts::render(self.message, self.leaves()))
    }

    /// Text parts with transfer encodings undone and nothing else (`rawbody`).
    pub fn raw_body(&self) -> &[Chunk] {
        self.raw_body.get_or_init(|| texts::raw_body(self.message, self.leaves()))
    }

    fn leaves(&self) -> &[source::Leaf] {
        self.leaves.get_or_init(|| source::leaves(self.message))
    }

    /// The message as it came (`full`).
    pub fn full(&self) -> &'f [u8] {
        &self.message.raw
    }

    /// Links of text, HTML and DKIM signatures (`uri`, `uri_detail`).
    pub fn uris(&self) -> &[Uri] {
        self.uris.get_or_init(|| uris::find(self.message, self.rendered()))
    }

    /// The hops the mail went over, as its Received fields and the envelope tell.
    ///
    /// The networks are the same for a whole scan: those of the first call count.
    pub fn relays(&self, networks: &Networks) -> &Relays {
        self.relays.get_or_init(|| relays::read(self.message, self.envelope, networks))
    }
}
