//! How facts are read: the functions that [`super::table`] names.
//!
//! Each takes an event's facts or the message's and gives an [`Answer`] with places.

use std::borrow::Cow;

use super::domain;
use super::gather::{EventFacts, TextValue};
use super::{Answer, Datum, Facts, Link, Origin, Place, Value, paths, text};
use crate::calendar::{Moment, Party, Property};
use crate::message::{Format, Mailbox};

use Origin::{Calendar, Mail, Network};

pub(super) fn known<'f>(values: impl IntoIterator<Item = Datum<'f>>) -> Answer<'f> {
    Answer::Known(values.into_iter().collect())
}

pub(super) fn one<'f>(value: Value<'f>, place: Place<'f>) -> Answer<'f> {
    known([Datum::new(value, place, Calendar)])
}

pub(super) fn all<'f>(values: impl Iterator<Item = (Value<'f>, Place<'f>)>) -> Answer<'f> {
    known(
        values
            .filter(|(value, _)| !is_empty(value))
            .map(|(value, place)| Datum::new(value, place, Calendar)),
    )
}

pub(super) fn values<'f>(value: Option<Value<'f>>, place: Place<'f>) -> Answer<'f> {
    known(value.map(|value| Datum::new(value, place, Calendar)))
}

fn is_empty(value: &Value<'_>) -> bool {
    matches!(value, Value::Text(text) if text.trim().is_empty())
}

/// Numbers far below 2^53, or so large that their last digits do not matter.
pub(super) trait Count {
    fn float(self) -> f64;
}

macro_rules! count {
    ($($type:ty),+) => {
        $(impl Count for $type {
            #[expect(clippy::cast_precision_loss, reason = "a rule compares magnitudes")]
            fn float(self) -> f64 {
                self as f64
            }
        })+
    };
}

count!(usize, u64, i64);

pub(super) fn float(n: impl Count) -> f64 {
    n.float()
}

pub(super) fn number<'f>(e: &'f EventFacts<'f>, n: impl Count) -> Answer<'f> {
    one(Value::Number(float(n)), Place::Event(e.event))
}

pub(super) fn count<'f>(n: usize, origin: Origin) -> Answer<'f> {
    known([Datum::new(Value::Number(float(n)), Place::Name("message"), origin)])
}

pub(super) fn flag<'f>(e: &'f EventFacts<'f>, holds: bool) -> Answer<'f> {
    one(Value::Flag(holds), Place::Event(e.event))
}

pub(super) fn seconds<'f>(n: i64) -> Value<'f> {
    Value::Number(float(n))
}

pub(super) fn words<'f>(e: &'f EventFacts<'f>, words: Vec<&'static str>) -> Answer<'f> {
    all(words.into_iter().map(|word| (Value::Text(word.into()), Place::Event(e.event))))
}

fn place_of<'f>(e: &'f EventFacts<'f>, name: &str) -> Place<'f> {
    e.event
        .property(name)
        .map_or(Place::Event(e.event), |property| Place::Property(e.event, property))
}

pub(super) fn text_option<'f>(
    e: &'f EventFacts<'f>,
    value: Option<&'f str>,
    name: &str,
) -> Answer<'f> {
    all(value.map(|value| (Value::Text(value.into()), place_of(e, name))).into_iter())
}

pub(super) fn normal(text: &str) -> Cow<'_, str> {
    text::normalise(text).0
}

pub(super) fn domain_of(address: &str) -> Option<Cow<'_, str>> {
    let (_, host) = address.rsplit_once('@')?;
    (!host.is_empty()).then(|| domain::registered(host))
}

// ---- the calendar ----

pub(super) fn calendar_text<'f>(
    e: &'f EventFacts<'f>,
    f: &'f Facts<'f>,
    get: fn(&crate::calendar::Calendar) -> Option<&str>,
    place: &'static str,
) -> Answer<'f> {
    let value = f.reading.calendars.get(e.event.calendar).and_then(get);
    all(value.map(|value| (Value::Text(value.into()), Place::Name(place))).into_iter())
}

pub(super) fn largest<'f>(
    f: &'f Facts<'f>,
    get: fn(&crate::calendar::Calendar) -> usize,
) -> Answer<'f> {
    known(
        f.reading
            .calendars
            .iter()
            .map(get)
            .max()
            .map(|n| Datum::new(Value::Number(float(n)), Place::Name("VCALENDAR"), Calendar)),
    )
}

pub(super) fn distinct<'s>(values: impl Iterator<Item = &'s str>) -> usize {
    let mut values: Vec<&str> = values.collect();
    values.sort_unstable();
    values.dedup();
    values.len()
}

pub(super) fn calendar_part_formats<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    known(f.message.calendar_parts.iter().map(|part| {
        let name = match part.format {
            Format::Empty => "empty",
            Format::ICalendar => "icalendar",
            Format::JCal => "jcal",
            Format::JsCalendar => "jscalendar",
            Format::XCal => "xcal",
            Format::Other => "other",
        };
        Datum::new(Value::Text(name.into()), Place::Part(part.part), Calendar)
    }))
}

pub(super) fn missing(e: &EventFacts<'_>, f: &Facts<'_>) -> Vec<&'static str> {
    let calendar = f.reading.calendars.get(e.event.calendar);
    let blank = |value: Option<&str>| value.is_none_or(|value| value.trim().is_empty());
    let mut missing = Vec::new();
    if blank(e.event.uid.as_deref()) {
        missing.push("UID");
    }
    if e.event.dtstamp.is_none() {
        missing.push("DTSTAMP");
    }
    // RFC 5545 §3.6.1 asks for DTSTART in a VEVENT; tasks and notes may go without, and so
    // may a CANCEL or REPLY (RFC 5546 §3.2).
    let method = calendar.and_then(|c| c.method.as_deref());
    let needs_start = e.event.kind == crate::calendar::Kind::Event
        && !matches!(method, Some("CANCEL" | "REPLY" | "REFRESH" | "DECLINECOUNTER"));
    if needs_start && e.event.start.is_none() {
        missing.push("DTSTART");
    }
    if blank(calendar.and_then(|c| c.prodid.as_deref())) {
        missing.push("PRODID");
    }
    if blank(calendar.and_then(|c| c.version.as_deref())) {
        missing.push("VERSION");
    }
    missing
}

/// Prefixes of X- properties that calendar products write.
const KNOWN_X: [&str; 26] = [
    "X-MICROSOFT-",
    "X-MS-",
    "X-APPLE-",
    "X-CALENDARSERVER-",
    "X-GOOGLE-",
    "X-WR-",
    "X-MOZ-",
    "X-LIC-",
    "X-ZIMBRA-",
    "X-LOTUS-",
    "X-EVOLUTION-",
    "X-KDE-",
    "X-KOLAB-",
    "X-ALT-DESC",
    "X-PUBLISHED-TTL",
    "X-OLK-",
    "X-NC-",
    "X-NEXTCLOUD-",
    "X-EGROUPWARE-",
    "X-TINE20-",
    "X-HORDE-",
    "X-SOGO-",
    "X-FRUUX-",
    "X-OPENPAAS-",
    "X-CISCO-",
    "X-ZOOM-",
];

pub(super) fn x_properties<'f>(e: &'f EventFacts<'f>) -> impl Iterator<Item = &'f Property> {
    e.event.properties.iter().filter(|p| {
        p.name.starts_with("X-") && !KNOWN_X.iter().any(|known| p.name.starts_with(known))
    })
}

/// 32 or more characters of hex or base64 and nothing else.
pub(super) fn is_encoded(value: &str) -> bool {
    let value = value.trim();
    value.len() >= 32
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_'))
        && value.bytes().any(|b| b.is_ascii_digit())
}

pub(super) fn uid_has_recipient<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let Some(uid) = e.event.uid.as_deref() else { return known([]) };
    let uid = uid.to_lowercase();
    let holds = match recipients(f) {
        Answer::Unknown => return Answer::Unknown,
        Answer::Known(recipients) => recipients.iter().any(|recipient| match &recipient.value {
            Value::Text(address) => address.contains('@') && uid.contains(&**address),
            Value::Number(_) | Value::Flag(_) => false,
        }),
    };
    one(Value::Flag(holds), place_of(e, "UID"))
}

// ---- texts ----

pub(super) fn texts<'f>(
    e: &'f EventFacts<'f>,
    names: &[&str],
    get: fn(&'f TextValue<'f>) -> &'f str,
) -> Answer<'f> {
    all(e
        .texts
        .iter()
        .filter(|text| names.is_empty() || names.contains(&&*text.property.name))
        .map(|text| (Value::Text(get(text).into()), text.place)))
}

pub(super) fn disguises(
    e: &EventFacts<'_>,
    names: &[&str],
    get: fn(&TextValue<'_>) -> usize,
) -> usize {
    e.texts
        .iter()
        .filter(|text| names.is_empty() || names.contains(&&*text.property.name))
        .map(get)
        .sum()
}

pub(super) fn html_twin<'f>(e: &'f EventFacts<'f>) -> Option<&'f TextValue<'f>> {
    e.texts.iter().find(|text| text.is_html_twin() && !text.visible.trim().is_empty())
}

pub(super) fn extra_links<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let in_twin = |link: &&Link<'_>| matches!(link.place, Place::Property(_, p) if matches!(&*p.name, "X-ALT-DESC" | "STYLED-DESCRIPTION"));
    let (twins, others): (Vec<_>, Vec<_>) = own_links(e, f).partition(in_twin);
    let extra = twins
        .iter()
        .filter(|link| link.host.is_some() && others.iter().all(|other| other.host != link.host))
        .count();
    number(e, extra)
}

pub(super) fn extra_words<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    let description = e.texts.iter().find(|text| text.property.name == "DESCRIPTION");
    let (Some(twin), Some(description)) = (html_twin(e), description) else {
        return number(e, 0_usize);
    };
    let known: std::collections::HashSet<String> =
        text::significant_words(description.normal()).collect();
    let extra: std::collections::HashSet<String> =
        text::significant_words(twin.normal()).filter(|word| !known.contains(word)).collect();
    number(e, extra.len())
}

pub(super) fn phone_contexts<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    all(e.phones.iter().map(|phone| {
        let place = e.texts.get(phone.text).map_or(Place::Event(e.event), |text| text.place);
        (Value::Text((&*phone.context).into()), place)
    }))
}

pub(super) fn loose_phones<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    all(e.loose_phones.iter().map(|(text, words)| {
        let place = e.texts.get(*text).map_or(Place::Event(e.event), |text| text.place);
        (Value::Text(words.as_str().into()), place)
    }))
}

pub(super) fn summary_links<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let in_summary =
        |link: &&Link<'_>| matches!(link.place, Place::Property(_, p) if p.name == "SUMMARY");
    number(e, own_links(e, f).filter(in_summary).filter(|link| !link.unwrapped).count())
}

pub(super) fn markup<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    let mut found = Vec::new();
    let mut push = |text: Cow<'f, str>, place| {
        if memchr::memchr(b'<', text.as_bytes()).is_some() {
            found.push(Datum::new(Value::Text(text), place, Calendar));
        }
    };
    for property in &e.event.properties {
        let place = Place::Property(e.event, property);
        match &property.value {
            crate::calendar::Value::Text(text)
            | crate::calendar::Value::Uri(text)
            | crate::calendar::Value::Other(text) => push(text.into(), place),
            crate::calendar::Value::Binary { media_type, data } => {
                let textual = media_type.as_deref().is_none_or(|media| {
                    media.starts_with("text/")
                        || media.contains("xml")
                        || media.contains("html")
                        || media.contains("script")
                });
                if textual {
                    let head = data.get(..data.len().min(64 * 1024)).unwrap_or_default();
                    push(String::from_utf8_lossy(head).into_owned().into(), place);
                }
            }
        }
        for (_, value) in &property.parameters {
            let data = super::gather::text_data(value).map_or(value.into(), Cow::Owned);
            push(data, place);
        }
    }
    known(found)
}

pub(super) fn shows_event<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    if f.message.bare {
        return Answer::Unknown;
    }
    let Some(summary) = e.texts.iter().find(|text| text.property.name == "SUMMARY") else {
        return known([]);
    };
    let subject = f.message.subject.as_deref().unwrap_or_default().to_lowercase();
    let holds = |text: &str| {
        subject.contains(text) || f.mail_texts.iter().any(|body| body.folded().contains(text))
    };
    let mut words = text::significant_words(summary.normal()).take(20).peekable();
    let shown = if words.peek().is_some() {
        words.any(|word| holds(&word))
    } else {
        // Nothing to look for: a summary of short words or of a script without spaces.
        holds(&summary.normal().trim().to_lowercase())
    };
    flag(e, shown || shows_date(e, f))
}

/// True when a body shows the day in one of the numeric forms or the year beside the day.
fn shows_date(e: &EventFacts<'_>, f: &Facts<'_>) -> bool {
    let Some(start) = e.event.start else { return false };
    let Some(date) = chrono::DateTime::from_timestamp(start.timestamp, 0) else { return false };
    let forms = [
        "%Y-%m-%d",
        "%d.%m.%Y",
        "%-d.%-m.%Y",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%-m/%-d/%Y",
        "%-d %B %Y",
        "%B %-d",
        "%-d %b %Y",
        "%b %-d",
        "%-d. %B",
    ]
    .map(|form| date.format(form).to_string());
    f.mail_texts.iter().any(|text| forms.iter().any(|form| text.text.contains(form.as_str())))
}

// ---- links ----

pub(super) fn own_links<'f>(
    e: &'f EventFacts<'f>,
    f: &'f Facts<'f>,
) -> impl Iterator<Item = &'f Link<'f>> {
    f.links.all.get(e.links.clone()).unwrap_or_default().iter()
}

pub(super) fn links<'f>(
    e: &'f EventFacts<'f>,
    f: &'f Facts<'f>,
    get: for<'l> fn(&'l Link<'l>) -> Option<Cow<'l, str>>,
) -> Answer<'f> {
    all(own_links(e, f).filter_map(|link| get(link).map(|value| (Value::Text(value), link.place))))
}

pub(super) fn registered<'l>(link: &'l Link<'l>) -> Option<Cow<'l, str>> {
    link.domain()
}

pub(super) fn unc<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>, opened: bool) -> Answer<'f> {
    let mut found: Vec<Datum<'f>> = paths::unc_paths(f.reading, e.index, opened)
        .into_iter()
        .map(|path| Datum::new(Value::Text(path.path.into()), Place::Name(path.place), Calendar))
        .collect();
    // `file://host/share` is the same path in another dress; `file:///…` stays on the machine.
    found.extend(
        own_links(e, f)
            .filter(|link| link.scheme == "file" && link.host.is_some() && link.opened == opened)
            .map(|link| Datum::new(Value::Text((&*link.url).into()), link.place, Calendar)),
    );
    known(found)
}

// ---- time ----

pub(super) fn moment_delta<'f>(
    e: &'f EventFacts<'f>,
    moment: Option<Moment>,
    delta: impl Fn(i64) -> i64,
) -> Answer<'f> {
    values(moment.map(|moment| seconds(delta(moment.timestamp))), place_of(e, "DTSTART"))
}

fn length(e: &EventFacts<'_>) -> i64 {
    match (e.event.start, e.event.end) {
        (Some(start), Some(end)) => end.timestamp.saturating_sub(start.timestamp).max(0),
        // RFC 5545 §3.6.1: a date without an end lasts the day, a time without an end none.
        (Some(start), None) if start.date_only => 86_400,
        _ => 0,
    }
}

pub(super) fn duration<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    values(e.event.start.map(|_| seconds(length(e))), place_of(e, "DTEND"))
}

pub(super) fn ended_ago<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let recurs = !e.event.recurrence.rules.is_empty() || e.event.recurrence.dates > 0;
    let last =
        if recurs { e.event.recurrence.last } else { e.event.start.map(|start| start.timestamp) };
    let ago = last
        .map(|last| f.now.saturating_sub(last.saturating_add(length(e))))
        .filter(|ago| *ago > 0);
    values(ago.map(seconds), place_of(e, "DTEND"))
}

pub(super) fn start_second<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    let second =
        e.event.start.filter(|start| !start.date_only).map(|start| f64::from(start.second));
    values(second.map(Value::Number), place_of(e, "DTSTART"))
}

// ---- people ----

fn parties<'f>(
    e: &'f EventFacts<'f>,
    parties: &'f [Party],
    name: &'static str,
    get: fn(&'f Party) -> Option<Cow<'f, str>>,
) -> Answer<'f> {
    let place = place_of(e, name);
    all(parties.iter().filter_map(get).map(|value| (Value::Text(value), place)))
}

pub(super) fn organizer<'f>(
    e: &'f EventFacts<'f>,
    get: fn(&'f Party) -> Option<Cow<'f, str>>,
) -> Answer<'f> {
    parties(e, &e.event.organizers, "ORGANIZER", get)
}

pub(super) fn attendees<'f>(
    e: &'f EventFacts<'f>,
    get: fn(&'f Party) -> Option<Cow<'f, str>>,
) -> Answer<'f> {
    parties(e, &e.event.attendees, "ATTENDEE", get)
}

// ---- the mail ----

/// Facts of the mail are unknown for a bare calendar: there is no mail to ask.
pub(super) fn mail<'f>(f: &'f Facts<'f>, values: impl FnOnce() -> Vec<Datum<'f>>) -> Answer<'f> {
    if f.message.bare { Answer::Unknown } else { Answer::Known(values()) }
}

pub(super) fn mailboxes<'f>(
    f: &'f Facts<'f>,
    mailboxes: &'f [Mailbox],
    place: &'static str,
    get: fn(&'f Mailbox) -> Option<Cow<'f, str>>,
) -> Answer<'f> {
    mail(f, || {
        mailboxes
            .iter()
            .filter_map(get)
            .filter(|value| !value.is_empty())
            .map(|value| Datum::new(Value::Text(value), Place::Name(place), Mail))
            .collect()
    })
}

pub(super) fn header<'f>(f: &'f Facts<'f>, name: &'static str) -> Vec<Datum<'f>> {
    f.message
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case(name))
        .map(|header| Datum::new(Value::Text(header.decoded().into()), Place::Name(name), Mail))
        .collect()
}

pub(super) fn stated<'f>(value: Option<&'f str>, place: &'static str) -> Answer<'f> {
    value.map_or(Answer::Unknown, |value| {
        known(
            Some(value).filter(|v| !v.is_empty()).map(|v| {
                Datum::new(Value::Text(v.to_lowercase().into()), Place::Name(place), Network)
            }),
        )
    })
}

pub(super) fn recipients<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    if !f.envelope.recipients.is_empty() {
        return known(f.envelope.recipients.iter().map(|recipient| {
            Datum::new(
                Value::Text(recipient.to_lowercase().into()),
                Place::Name("RCPT TO"),
                Network,
            )
        }));
    }
    mailboxes(f, &f.message.to, "To", |mailbox| Some(Cow::Borrowed(&*mailbox.address)))
}
