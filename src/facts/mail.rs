//! The mail as SpamAssassin's rules see it: rendered paragraphs, decoded text, links and
//! relays. Calendar parts are not in it; rules see them beside it.
//!
//! Comes in: the [`Message`] and its [`Envelope`]. Goes out: texts, each made at most once and
//! only when a rule asks. What is meant is what SpamAssassin 4.0 does, measured, because rules
//! written for it rely on it: where a paragraph ends, what a link is, which hop is believed.
//! Not an error: anything in the mail.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;

use super::Site;
use crate::message::{Envelope, Message};

pub mod addresses;
mod counts;
pub mod envelope;
pub mod fields;
mod html;
mod html_report;
mod images;
mod pdf;
pub mod relays;
mod source;
mod structure;
mod texts;
pub mod uris;

pub use counts::Counts;
pub use html_report::{FLAGS as HTML_FLAGS, HtmlPart, HtmlReport};
pub use images::Image;
pub use pdf::PdfReport;
pub use relays::{Networks, Relay, Relays, Zone, is_private};
pub use structure::{Node, Oddities, Structure, lines};
pub use texts::{Chunk, HtmlLink, Rendered};
pub use uris::{Hints, Uri};

/// The mail, looked at as rules ask.
pub struct Mail<'f> {
    message: &'f Message<'f>,
    envelope: &'f Envelope,
    /// A site that names servers of its own.
    site: Option<Arc<Site>>,
    leaves: OnceCell<Vec<source::Leaf>>,
    rendered: OnceCell<Rendered>,
    raw_body: OnceCell<Vec<Chunk>>,
    uris: OnceCell<Vec<Uri>>,
    relays: OnceCell<Relays>,
    structure: OnceCell<Structure>,
    counts: OnceCell<Counts>,
    images: OnceCell<Vec<Image>>,
    pdfs: OnceCell<PdfReport>,
}

impl<'f> Mail<'f> {
    /// Nothing looked at yet.
    pub fn new(message: &'f Message<'f>, envelope: &'f Envelope) -> Self {
        Self {
            message,
            envelope,
            site: None,
            leaves: OnceCell::new(),
            rendered: OnceCell::new(),
            raw_body: OnceCell::new(),
            uris: OnceCell::new(),
            relays: OnceCell::new(),
            structure: OnceCell::new(),
            counts: OnceCell::new(),
            images: OnceCell::new(),
            pdfs: OnceCell::new(),
        }
    }

    /// Text parts as a reader sees them, in paragraphs (`body`); the Subject is not in it.
    pub fn rendered(&self) -> &Rendered {
        self.rendered.get_or_init(|| texts::render(self.message, self.structure(), self.leaves()))
    }

    /// What each leaf part gives to [`Self::rendered`], in order, those that are no text too.
    pub fn rendered_leaves(&self) -> Vec<RenderedLeaf<'_>> {
        let rendered = self.rendered();
        let leaves = self.leaves().iter().zip(rendered.leaf_texts());
        let reports = rendered.html.parts.iter();
        let images: HashSet<usize> = reports
            .filter(|report| report.inside.contains_key("img"))
            .map(|report| report.part)
            .collect();
        let leaf = |(leaf, text): (&source::Leaf, _)| RenderedLeaf {
            is_text: matches!(leaf.kind, source::Kind::Html | source::Kind::Plain),
            is_html: leaf.kind == source::Kind::Html,
            has_image: images.contains(&leaf.part),
            text,
        };
        leaves.map(leaf).collect()
    }

    /// Text parts with transfer encodings undone and nothing else (`rawbody`).
    pub fn raw_body(&self) -> &[Chunk] {
        self.raw_body.get_or_init(|| texts::raw_body(self.message, self.structure(), self.leaves()))
    }

    fn leaves(&self) -> &[source::Leaf] {
        self.leaves.get_or_init(|| source::leaves(self.message, self.structure()))
    }

    /// The MIME tree and what was odd about it.
    pub fn structure(&self) -> &Structure {
        self.structure.get_or_init(|| Structure::read(self.message))
    }

    /// What the MIME parts add up to.
    pub fn counts(&self) -> &Counts {
        self.counts.get_or_init(|| Counts::of(self.structure(), self.message))
    }

    /// Images and their sizes.
    pub fn images(&self) -> &[Image] {
        self.images.get_or_init(|| images::find(self.structure(), self.message))
    }

    /// What PDF files tell.
    pub fn pdfs(&self) -> &PdfReport {
        self.pdfs.get_or_init(|| pdf::read(self.structure(), self.message))
    }

    /// The content of a part of [`Self::structure`], transfer encoding undone.
    pub fn content(&self, node: &Node) -> Cow<'_, [u8]> {
        self.structure().content(self.message, node)
    }

    /// The message as it came (`full`).
    pub fn full(&self) -> &'f [u8] {
        &self.message.raw
    }

    /// Links of Subject, text, HTML and DKIM signatures (`uri`, `uri_detail`).
    ///
    /// What rule files know of links is the same for a whole scan: that of the first call
    /// counts.
    pub fn uris(&self, hints: Hints<'_>) -> &[Uri] {
        self.uris.get_or_init(|| {
            let leaf = |place: usize| self.leaves().get(place).map(|leaf| leaf.part);
            let files = self.pdfs().links.iter();
            let files = files.map(|(place, link)| (leaf(*place), link.as_slice()));
            uris::find(self.message, self.rendered(), files, hints)
        })
    }

    /// The hops the mail went over, as its Received fields and the envelope tell. The site's
    /// own servers are believed beside those of the networks.
    ///
    /// The networks are the same for a whole scan: those of the first call count.
    pub fn relays(&self, networks: &Networks) -> &Relays {
        self.relays.get_or_init(|| {
            let networks = match &self.site {
                Some(site) => Cow::Owned(networks.with_trusted(&site.networks)),
                None => Cow::Borrowed(networks),
            };
            relays::read(self.message, self.envelope, &networks)
        })
    }

    /// Believes the servers that the site names.
    pub(super) fn believe(&mut self, site: &Arc<Site>) {
        self.site = Some(Arc::clone(site)).filter(|site| site.networks.is_configured());
    }
}

/// What a leaf part gives to the rendered text.
#[derive(Debug)]
pub struct RenderedLeaf<'l> {
    /// True for HTML and plain text.
    pub is_text: bool,
    /// True for HTML.
    pub is_html: bool,
    /// True for HTML with an image in it.
    pub has_image: bool,
    /// Its text with its lines.
    pub text: &'l str,
}
