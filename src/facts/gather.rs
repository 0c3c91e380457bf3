//! Works out once what many facts need: texts as shown and normalised, links, numbers.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use super::attachments::{self, Attachments};
use super::links::{Collector, Source};
use super::mail::Mail;
use super::numbers::{self, Form};
use super::text::{self, Disguise};
use super::unwrap::percent_decode;
use super::{Facts, History, Origin, Place, html};
use crate::calendar::{Event, Property, Reading, Value};
use crate::message::{Body, Envelope, Message, base64_octets};

/// Octets of mail text looked at; a longer body is no invitation's.
const MAIL_TEXT: usize = 256 * 1024;

/// Groups of digits kept that may be a phone number.
const LOOSE: usize = 50;

/// Properties whose text a calendar shows.
const TEXTS: [&str; 11] = [
    "SUMMARY",
    "DESCRIPTION",
    "LOCATION",
    "COMMENT",
    "CONTACT",
    "CATEGORIES",
    "RESOURCES",
    "NAME",
    "STYLED-DESCRIPTION",
    "X-ALT-DESC",
    "X-WR-CALNAME",
];

/// Text properties of a VCALENDAR.
const CALENDAR_TEXTS: [&str; 4] = ["NAME", "DESCRIPTION", "X-WR-CALNAME", "X-WR-CALDESC"];

/// What was worked out once for one event.
#[derive(Debug)]
pub struct EventFacts<'f> {
    /// Index in `Reading::events`.
    pub index: usize,
    /// The event.
    pub event: &'f Event,
    /// Texts a calendar shows, in order; those of the calendar itself count for its first event.
    pub texts: Vec<TextValue<'f>>,
    /// Distinct phone numbers.
    pub phones: Vec<PhoneNumber>,
    /// Groups of digits that may be a phone number: index of the text, and the few words around.
    pub loose_phones: Vec<(usize, String)>,
    /// Amounts of money in all texts: index of the text and the amount as written.
    pub amounts: Vec<(usize, String)>,
    /// Mail addresses in all texts, lower case: index of the text and the address.
    pub emails: Vec<(usize, String)>,
    /// Range of the event's links in [`super::Links::all`].
    pub links: Range<usize>,
    /// Inline files, pictures, QR codes.
    pub attachments: Attachments<'f>,
}

/// One text of an event.
#[derive(Debug)]
pub struct TextValue<'f> {
    /// The property it stands in.
    pub property: &'f Property,
    /// Where it stands.
    pub place: Place<'f>,
    /// As unescaped, markup kept.
    pub raw: &'f str,
    /// As a calendar that renders HTML shows it.
    pub visible: Cow<'f, str>,
    /// Normalised, where that differs from what is visible.
    normal: Option<String>,
    /// Text hidden by HTML styles.
    pub hidden: String,
    /// True when the text holds HTML.
    pub is_html: bool,
    /// What the text hides.
    pub disguise: Disguise,
}

impl TextValue<'_> {
    /// The normalised text.
    pub fn normal(&self) -> &str {
        self.normal.as_deref().unwrap_or(&self.visible)
    }

    /// True for the HTML twins of DESCRIPTION.
    pub fn is_html_twin(&self) -> bool {
        matches!(&*self.property.name, "X-ALT-DESC" | "STYLED-DESCRIPTION")
    }
}

/// A phone number of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneNumber {
    /// Digits, with a leading `+` where it was written.
    pub number: String,
    /// Index of the text it stands in.
    pub text: usize,
    /// The paragraph around it, at most 200 characters either side.
    pub context: String,
    /// It is dressed up: letters for digits, digits apart, odd signs between.
    pub obscured: bool,
}

/// A body of the mail as a reader sees it.
#[derive(Debug)]
pub struct MailText<'f> {
    /// The text.
    pub text: Cow<'f, str>,
    folded: OnceCell<String>,
}

impl MailText<'_> {
    /// The text in lower case, made once for all events.
    pub fn folded(&self) -> &str {
        self.folded.get_or_init(|| self.text.to_lowercase())
    }
}

/// Gathers the facts of a message.
///
/// `now` is the time of the scan in seconds since 1970 UTC, `url_limit` the most links read.
/// Of authentication they have what the message says; of the site and the past, nothing.
pub fn gather<'f>(
    message: &'f Message<'f>,
    reading: &'f Reading,
    envelope: &'f Envelope,
    now: i64,
    url_limit: usize,
) -> Facts<'f> {
    let mut links = Collector::new(url_limit);
    let mut files = attachments::Collector::new(message);
    let mut events: Vec<EventFacts<'f>> = Vec::with_capacity(reading.events.len());
    let mut calendar_done = vec![false; reading.calendars.len()];
    for (index, event) in reading.events.iter().enumerate() {
        let own = calendar_done
            .get_mut(event.calendar)
            .is_some_and(|done| !std::mem::replace(done, true));
        events.push(gather_event(index, event, own.then_some(reading), &mut links, &mut files));
    }
    let mail_texts = mail_texts(message, &mut links);
    let (links, mail) = (links.finish(), Mail::new(message, envelope));
    let authentication = message.authentication.clone();
    let (site, history) = (std::sync::Arc::default(), History::default());
    Facts {
        message,
        reading,
        envelope,
        now,
        events,
        links,
        mail_texts,
        mail,
        authentication,
        site,
        unread_attachments: files.is_cut(),
        history,
    }
}

fn gather_event<'f>(
    index: usize,
    event: &'f Event,
    calendar_too: Option<&'f Reading>,
    links: &mut Collector<'f>,
    files: &mut attachments::Collector<'f>,
) -> EventFacts<'f> {
    let first_link = links.len();
    let mut found = Found::default();
    // The HTML twins come last, so that a link counts for them only when it is nowhere else.
    let twin =
        |property: &&'f Property| matches!(&*property.name, "X-ALT-DESC" | "STYLED-DESCRIPTION");
    let (twins, others): (Vec<&'f Property>, Vec<&'f Property>) =
        event.properties.iter().partition(twin);
    for property in others {
        let place = Place::Property(event, property);
        collect(property, place, &TEXTS, Some(index), &mut found, links, files);
    }
    if let Some(calendar) = calendar_too.and_then(|reading| reading.calendars.get(event.calendar)) {
        for property in &calendar.properties {
            let place = Place::Calendar(property);
            collect(property, place, &CALENDAR_TEXTS, Some(index), &mut found, links, files);
        }
    }
    for property in twins {
        let place = Place::Property(event, property);
        collect(property, place, &TEXTS, Some(index), &mut found, links, files);
    }
    let Found { texts, mut attachments } = found;
    // What a telephone reads out of a picture is a link like any other.
    files.read_codes(&mut attachments);
    for code in &attachments.codes {
        let place = code.place;
        let source = Source { place, origin: Origin::Calendar, event: Some(index), opened: false };
        links.text(&code.text, source);
    }
    // Whoever opens an inline page is led on by it.
    for (page, place) in attachments.pages() {
        let source = Source { place, origin: Origin::Calendar, event: Some(index), opened: false };
        for anchor in &html::render(&page).anchors {
            links.anchor(anchor, source);
        }
    }

    let mut phones: Vec<PhoneNumber> = Vec::new();
    let mut loose_phones = Vec::new();
    let mut amounts = Vec::new();
    let mut emails = Vec::new();
    for (at, value) in texts.iter().enumerate() {
        let normal = value.normal();
        if normal.bytes().any(|b| b.is_ascii_digit()) {
            let sums = numbers::amounts(normal);
            for phone in numbers::phones(normal) {
                if phone.form == Form::Loose {
                    let is_sum = |sum: &Range<usize>| {
                        sum.start < phone.range.end && phone.range.start < sum.end
                    };
                    if loose_phones.len() < LOOSE && !sums.iter().any(is_sum) {
                        loose_phones.push((at, words_around(normal, &phone.range)));
                    }
                } else if phones.iter().all(|known| known.number != phone.number) {
                    let context = around(normal, &phone.range);
                    let obscured = phone.form == Form::Obscured;
                    phones.push(PhoneNumber { number: phone.number, text: at, context, obscured });
                }
            }
            amounts
                .extend(sums.into_iter().map(|range| (at, around_few(normal, &range).to_owned())));
        }
        emails.extend(numbers::emails(normal).into_iter().map(|mail| (at, mail.to_lowercase())));
    }
    let links = first_link..links.len();
    EventFacts { index, event, texts, phones, loose_phones, amounts, emails, links, attachments }
}

/// What is collected of one event.
#[derive(Default)]
struct Found<'f> {
    texts: Vec<TextValue<'f>>,
    attachments: Attachments<'f>,
}

/// Takes text, links and files out of one property.
fn collect<'f>(
    property: &'f Property,
    place: Place<'f>,
    shown: &[&str],
    event: Option<usize>,
    found: &mut Found<'f>,
    links: &mut Collector<'f>,
    files: &mut attachments::Collector<'f>,
) {
    let source = Source { place, origin: Origin::Calendar, event, opened: true };
    let running = Source { opened: false, ..source };
    let is_text = shown.contains(&&*property.name);
    match &property.value {
        Value::Uri(uri) if !is_address_property(&property.name) => {
            links.uri(uri, source);
            files.value(property, place, &mut found.attachments);
        }
        Value::Text(raw) if is_text => {
            let html_type = property
                .parameter("FMTTYPE")
                .is_some_and(|format| format.to_ascii_lowercase().contains("html"));
            let is_html = html_type || html::looks_like_html(raw);
            let rendered = is_html.then(|| html::render(raw));
            if let Some(rendered) = &rendered {
                files.anchors(&rendered.anchors, property, place, &mut found.attachments);
            }
            let value = text_value(property, place, raw, rendered, links, source);
            if !value.raw.trim().is_empty() {
                found.texts.push(value);
            }
        }
        // Properties that are not shown as text may still be opened: X-…-URL and the like.
        Value::Text(raw) => {
            links.text(raw, running);
            files.value(property, place, &mut found.attachments);
        }
        // A `data:` URI opens what it holds; inline attachments (VALUE=BINARY) are files.
        Value::Binary { media_type, .. } => {
            if property.parameter("VALUE") != Some("BINARY") {
                links.uri(&format!("data:{},", media_type.as_deref().unwrap_or_default()), source);
            }
            files.value(property, place, &mut found.attachments);
        }
        Value::Uri(_) | Value::Other(_) => {}
    }
    for (name, value) in &property.parameters {
        match &**name {
            // Thunderbird keeps the HTML twin of a description there.
            "ALTREP" if is_text && text_data(value).is_some() => {
                let rendered = text_data(value).map(|html| html::render(&html));
                found.texts.push(text_value(property, place, value, rendered, links, source));
            }
            "ALTREP" | "DIR" | "SCHEMA" => links.uri(value, source),
            _ if memchr::memmem::find(value.as_bytes(), b"://").is_some() => {
                links.text(value, source);
            }
            _ => {}
        }
    }
}

/// Properties whose URI is a person.
fn is_address_property(name: &str) -> bool {
    matches!(name, "ORGANIZER" | "ATTENDEE" | "CALENDAR-ADDRESS")
}

/// Octets of a `data:` URI that are read as a text.
const DATA: usize = 256 * 1024;

/// The text of a `data:` URI of a text type, if it is one.
pub(super) fn text_data(uri: &str) -> Option<String> {
    let mut end = uri.len().min(DATA);
    while !uri.is_char_boundary(end) {
        end -= 1;
    }
    let (scheme, rest) = uri.get(..end)?.trim().split_once(':')?;
    let (kind, content) = rest.split_once(',')?;
    let kind = kind.trim().to_ascii_lowercase();
    if !scheme.eq_ignore_ascii_case("data") || !kind.starts_with("text/") {
        return None;
    }
    let content = percent_decode(content);
    if kind.ends_with(";base64") {
        return Some(String::from_utf8_lossy(&base64_octets(content.as_bytes())).into_owned());
    }
    Some(content)
}

fn text_value<'f>(
    property: &'f Property,
    place: Place<'f>,
    raw: &'f str,
    rendered: Option<html::Rendered>,
    links: &mut Collector<'f>,
    source: Source<'f>,
) -> TextValue<'f> {
    let is_html = rendered.is_some();
    let mut hidden = String::new();
    let visible = if let Some(rendered) = rendered {
        for anchor in &rendered.anchors {
            links.anchor(anchor, source);
        }
        hidden = rendered.hidden;
        Cow::Owned(rendered.visible)
    } else {
        html::decode_entities(raw)
    };
    let running = Source { opened: false, ..source };
    links.text(&visible, running);
    if !hidden.is_empty() {
        links.text(&hidden, running);
    }
    let (normal, disguise) = text::normalise(&visible);
    let normal = match normal {
        Cow::Owned(normal) => Some(normal),
        Cow::Borrowed(_) => None,
    };
    TextValue { property, place, raw, visible, normal, hidden, is_html, disguise }
}

/// The paragraph around a range, at most 200 characters either side.
fn around(text: &str, range: &Range<usize>) -> String {
    let before = text.get(..range.start).unwrap_or_default();
    let after = text.get(range.start..).unwrap_or_default();
    let from = before.rfind("\n\n").map_or(0, |at| at + 2);
    let to = after.find("\n\n").unwrap_or(after.len());
    let before = before.get(from..).unwrap_or_default();
    let after = after.get(..to).unwrap_or_default();
    let skip = before.chars().count().saturating_sub(200);
    before.chars().skip(skip).chain(after.chars().take(230)).collect()
}

/// A range with up to 40 characters before and 24 after it in its paragraph.
fn words_around(text: &str, range: &Range<usize>) -> String {
    let before = text.get(..range.start).unwrap_or_default();
    let start = before.char_indices().rev().take(40).last().map_or(range.start, |(at, _)| at);
    let after = text.get(range.end..).unwrap_or_default();
    let end = after.char_indices().nth(24).map_or(text.len(), |(at, _)| range.end + at);
    text.get(start..end).unwrap_or_default().to_owned()
}

/// An amount with the sign or code beside it.
fn around_few<'t>(text: &'t str, range: &Range<usize>) -> &'t str {
    let mut from = range.start;
    for (at, _) in text.get(..range.start).unwrap_or_default().char_indices().rev().take(4) {
        from = at;
    }
    let mut to = range.end;
    for (at, c) in text.get(range.end..).unwrap_or_default().char_indices().take(5) {
        to = range.end + at + c.len_utf8();
    }
    text.get(from..to).unwrap_or_default().trim()
}

fn mail_texts<'f>(message: &'f Message<'f>, links: &mut Collector<'f>) -> Vec<MailText<'f>> {
    let mut texts = Vec::new();
    let mut budget = MAIL_TEXT;
    for (part, content) in message.parts.iter().enumerate() {
        let source =
            Source { place: Place::Part(part), origin: Origin::Mail, event: None, opened: false };
        let (raw, is_html) = match &content.body {
            Body::Text(text) => (&**text, false),
            Body::Html(html) => (&**html, true),
            Body::Container | Body::Calendar | Body::Binary(_) => continue,
        };
        let end = raw.floor_char_boundary(budget);
        budget -= end;
        let raw = raw.get(..end).unwrap_or_default();
        let text = if is_html {
            let rendered = html::render(raw);
            for anchor in &rendered.anchors {
                links.anchor(anchor, source);
            }
            Cow::Owned(rendered.visible)
        } else {
            Cow::Borrowed(raw)
        };
        links.text(&text, source);
        texts.push(MailText { text, folded: OnceCell::new() });
    }
    texts
}
