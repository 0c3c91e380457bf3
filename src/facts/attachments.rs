//! What an event brings along inside itself: inline attachments, `data:` URIs, pictures, and
//! what their QR codes say.
//!
//! Comes in: the properties of an event, one by one, and the links of its HTML. Goes out:
//! [`Attachments`]. Files are only collected here, without a copy where calcard has decoded
//! them; what they are is worked out when a rule asks. QR codes are read at once, because
//! their links join the links of the event.
//! Not an error: content that does not decode, claims to be what it is not, or is an image no
//! decoder understands. A limit that is reached is said in [`Collector::is_cut`].

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::Place;
use super::html::Anchor;
use crate::calendar::{Property, Value};
use crate::message::{Body, Message, base64_octets};

mod archive;
mod format;
pub(super) mod names;
mod pixels;
mod qr;
pub(super) mod readers;

use archive::Members;
use format::Format;
use pixels::Budget;

/// Files read of one message: as many as components.
const FILES: usize = 5_000;
/// Octets decoded from `data:` URIs of one message; what calcard has decoded is not copied.
const OCTETS: usize = 32 * 1024 * 1024;
/// Octets of a `data:` URI's head: type, parameters.
const HEAD: usize = 4096;

/// What one event brings along.
#[derive(Debug, Default)]
pub struct Attachments<'f> {
    /// Inline files of properties and of the HTML of texts.
    pub files: Vec<Attachment<'f>>,
    /// Images inside the HTML of texts, as `data:` URIs.
    pub images: usize,
    /// Images of the mail that the HTML of texts shows.
    pub shown: usize,
    /// What QR codes in the images say.
    pub codes: Vec<Code<'f>>,
    /// Images of the mail that the event names by `cid:`.
    named: Vec<(&'f [u8], Place<'f>)>,
}

/// An inline file.
#[derive(Debug)]
pub struct Attachment<'f> {
    /// The property it stands in.
    pub property: &'f Property,
    /// Where it stands.
    pub place: Place<'f>,
    /// FMTTYPE or the type of the `data:` URI, lower case; empty when there is none.
    pub declared: Cow<'f, str>,
    /// The content.
    pub data: Cow<'f, [u8]>,
    /// True for what stands in the HTML of a text.
    pub in_text: bool,
    format: OnceCell<Format>,
    members: OnceCell<Members>,
}

/// What a QR code says.
#[derive(Debug)]
pub struct Code<'f> {
    /// Its text.
    pub text: String,
    /// The image it stands in.
    pub place: Place<'f>,
}

impl Attachment<'_> {
    fn format(&self) -> Format {
        *self.format.get_or_init(|| {
            let extension = names::of(self.property).find_map(names::extension);
            format::of(&self.data, extension.as_deref(), self.members())
        })
    }

    fn members(&self) -> &Members {
        self.members.get_or_init(|| archive::read(&self.data))
    }
}

impl<'f> Attachments<'f> {
    /// The beginning of each inline file that is a web page, with its place.
    pub(super) fn pages(&self) -> impl Iterator<Item = (Cow<'_, str>, Place<'f>)> {
        let files = self.files.iter().filter(|file| !file.in_text);
        let pages = files.filter(|file| file.format() == Format::Html);
        pages.map(|file| (format::text_head(&file.data, readers::MARKUP), file.place))
    }
}

/// Collects the files of a message, event by event.
pub(super) struct Collector<'f> {
    message: &'f Message<'f>,
    files: usize,
    octets: usize,
    pixels: Budget,
    cut: bool,
    /// Parts of the mail by Content-ID, once somebody has asked for one.
    ids: OnceCell<HashMap<String, &'f [u8]>>,
    /// Pictures read, by their hash: every event of a feed shows the same logo.
    read: HashMap<u64, Vec<String>, RandomState>,
}

impl<'f> Collector<'f> {
    pub(super) fn new(message: &'f Message<'f>) -> Self {
        Self {
            message,
            files: 0,
            octets: 0,
            pixels: Budget::default(),
            cut: false,
            ids: OnceCell::new(),
            read: HashMap::default(),
        }
    }

    /// True when something was not read because of a limit.
    pub(super) fn is_cut(&self) -> bool {
        self.cut || self.pixels.is_cut()
    }

    /// Takes the value of a property.
    pub(super) fn value(
        &mut self,
        property: &'f Property,
        place: Place<'f>,
        into: &mut Attachments<'f>,
    ) {
        match &property.value {
            Value::Binary { media_type, data } => {
                let declared = media_type.as_deref().unwrap_or_default();
                self.file(property, place, declared.into(), undo_base64(data), false, into);
            }
            Value::Uri(text) | Value::Text(text) => {
                let text = text.trim_start();
                if is_data(text) {
                    self.data_uri(text, property, place, false, into);
                } else if is_attached(property) && is_encoded(property) {
                    // vCalendar 1.0: content without VALUE=BINARY, decoded by calcard.
                    let declared = property.parameter("FMTTYPE").unwrap_or_default();
                    let declared = Cow::Owned(declared.to_ascii_lowercase());
                    self.file(property, place, declared, text.as_bytes().into(), false, into);
                } else if is_attached(property)
                    && let Some(octets) = self.part(text)
                {
                    into.named.push((octets, place));
                }
            }
            Value::Other(_) => {}
        }
    }

    /// Takes the links of a text's HTML.
    pub(super) fn anchors(
        &mut self,
        anchors: &[Anchor],
        property: &'f Property,
        place: Place<'f>,
        into: &mut Attachments<'f>,
    ) {
        for anchor in anchors {
            if is_data(&anchor.target) {
                let is_image = starts_with_ignore_case(&anchor.target, "data:image");
                into.images += usize::from(is_image);
                self.data_uri(&anchor.target, property, place, true, into);
            } else if anchor.text.is_none()
                && let Some(octets) = self.part(&anchor.target)
            {
                into.shown += 1;
                into.named.push((octets, place));
            }
        }
    }

    /// Reads the QR codes of an event's images.
    pub(super) fn read_codes(&mut self, into: &mut Attachments<'f>) {
        if into.files.is_empty() && into.named.is_empty() {
            return;
        }
        let files = into.files.iter().map(|file| (&*file.data, file.place));
        for (octets, place) in files.chain(into.named.drain(..)) {
            if !pixels::is_picture(octets) {
                continue;
            }
            let hash = self.read.hasher().hash_one(octets);
            let texts = self.read.entry(hash).or_insert_with(|| {
                pixels::read(octets, &mut self.pixels)
                    .map(|image| qr::read(&image))
                    .unwrap_or_default()
            });
            let place = match place {
                Place::Property(event, property) => Place::Code(Some(event), property),
                Place::Calendar(property) => Place::Code(None, property),
                Place::Event(_) | Place::Code(..) | Place::Part(_) | Place::Name(_) => place,
            };
            into.codes.extend(texts.iter().map(|text| Code { text: text.clone(), place }));
        }
    }

    fn data_uri(
        &mut self,
        uri: &str,
        property: &'f Property,
        place: Place<'f>,
        in_text: bool,
        into: &mut Attachments<'f>,
    ) {
        if self.octets.saturating_add(uri.len()) > OCTETS {
            self.cut = true;
            return;
        }
        let Some((declared, data)) = decode_data_uri(uri) else { return };
        self.octets += uri.len();
        self.file(property, place, declared.into(), data.into(), in_text, into);
    }

    fn file(
        &mut self,
        property: &'f Property,
        place: Place<'f>,
        declared: Cow<'f, str>,
        data: Cow<'f, [u8]>,
        in_text: bool,
        into: &mut Attachments<'f>,
    ) {
        if self.files >= FILES {
            self.cut = true;
            return;
        }
        self.files += 1;
        let (format, members) = (OnceCell::new(), OnceCell::new());
        into.files.push(Attachment { property, place, declared, data, in_text, format, members });
    }

    /// The part of the mail that a `cid:` URI names (RFC 2392).
    fn part(&self, uri: &str) -> Option<&'f [u8]> {
        let id = uri.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("cid:"))?;
        let id = uri.get(id.len()..)?.trim();
        let ids = self.ids.get_or_init(|| {
            let parts = self.message.parts.iter();
            let ids = parts.filter_map(|part| {
                let Body::Binary(octets) = &part.body else { return None };
                let field = part.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-id"));
                let value = field?.decoded();
                let id = value.trim().trim_matches(['<', '>']).to_ascii_lowercase();
                Some((id, &**octets))
            });
            ids.collect()
        });
        ids.get(&id.to_ascii_lowercase()).copied()
    }
}

/// Properties whose value is a file.
pub(super) fn is_attached(property: &Property) -> bool {
    matches!(&*property.name, "ATTACH" | "IMAGE" | "STRUCTURED-DATA" | "CONFERENCE" | "LINK")
}

/// True for content that ENCODING says was encoded.
fn is_encoded(property: &Property) -> bool {
    property.parameter("ENCODING").is_some_and(|encoding| {
        ["base64", "b", "quoted-printable"].iter().any(|known| encoding.eq_ignore_ascii_case(known))
    })
}

fn is_data(text: &str) -> bool {
    starts_with_ignore_case(text, "data:")
}

fn starts_with_ignore_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// Base64 that is still there: calcard leaves what is not clean, and clients do not.
fn undo_base64(data: &[u8]) -> Cow<'_, [u8]> {
    let head = data.get(..data.len().min(4096)).unwrap_or_default();
    let is_plain = |byte: &u8| {
        !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\r' | b'\n'))
    };
    // Two characters of a hundred may be dirt; prose has more spaces than that.
    let is_base64 =
        data.len() >= 64 && head.iter().filter(|b| is_plain(b)).count() * 50 <= head.len();
    if is_base64 { base64_octets(data).into() } else { data.into() }
}

/// Type and content of a `data:` URI (RFC 2397), read as leniently as browsers do.
fn decode_data_uri(uri: &str) -> Option<(String, Vec<u8>)> {
    let rest = uri.get("data:".len()..)?;
    let comma = rest.bytes().take(HEAD).position(|byte| byte == b',')?;
    let (head, data) = (rest.get(..comma)?, rest.get(comma + 1..)?);
    let mut fields = head.split(';').map(str::trim);
    let declared = fields.next().unwrap_or_default().to_ascii_lowercase();
    let data = if fields.any(|field| field.eq_ignore_ascii_case("base64")) {
        base64_octets(&percent_decoded(data))
    } else {
        percent_decoded(data).into_owned()
    };
    Some((declared, data))
}

fn percent_decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return text.as_bytes().into();
    }
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        bytes = rest;
        if *first == b'%'
            && let (Some(high), Some(low)) = (digit(rest.first()), digit(rest.get(1)))
            && let Ok(byte) = u8::try_from(high * 16 + low)
        {
            decoded.push(byte);
            bytes = rest.get(2..).unwrap_or_default();
        } else {
            decoded.push(*first);
        }
    }
    decoded.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uri: &str, expected: Option<(&str, &str)>) {
        let decoded = decode_data_uri(uri);
        let shown = decoded.as_ref().map(|(declared, data)| {
            (declared.as_str(), std::str::from_utf8(data).unwrap_or("binary"))
        });
        assert_eq!(shown, expected, "{uri}");
    }

    #[test]
    fn decodes_data_uris() {
        check("data:text/html;base64,PGI+", Some(("text/html", "<b>")));
        check("DATA:Text/HTML;charset=utf-8;Base64,PGI%2b", Some(("text/html", "<b>")));
        check("data:text/html,%3Cb%3E 100%", Some(("text/html", "<b> 100%")));
        check("data:;base64,PGI+", Some(("", "<b>")));
        check("data:,x", Some(("", "x")));
        check("data:text/html;base64", None);
    }

    #[test]
    fn undoes_base64_that_is_left() {
        let clean = "PGh0bWw+".repeat(12);
        assert!(undo_base64(clean.as_bytes()).starts_with(b"<html><html>"));
        let dirty = format!("{}*{}", "PGh0bWw+".repeat(8), "PGh0bWw+".repeat(8));
        assert!(undo_base64(dirty.as_bytes()).starts_with(b"<html><html>"));
        let prose = "Bring the open questions of your team to the meeting on Thursday, please. ";
        assert_eq!(&*undo_base64(prose.as_bytes()), prose.as_bytes());
    }
}
