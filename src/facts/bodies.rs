//! Facts about the mail's bodies beside the calendar: where they lead, and whether they speak of
//! the event.

use std::borrow::Cow;

use super::answers::{all, flag, float, known, mail};
use super::gather::EventFacts;
use super::{Answer, Datum, Facts, Link, Origin, Place, Value, domain};
use crate::calendar::Value as PropertyValue;
use crate::message::{AuthenticationResults, Mailbox};

/// Links of the mail's bodies.
fn body_links<'f>(f: &'f Facts<'f>) -> impl Iterator<Item = &'f Link<'f>> {
    f.links.all.iter().filter(|link| link.origin == Origin::Mail && link.host.is_some())
}

pub(super) fn links<'f>(
    f: &'f Facts<'f>,
    get: fn(&'f Link<'f>) -> Option<Cow<'f, str>>,
) -> Answer<'f> {
    mail(f, || {
        let values = body_links(f).filter_map(|link| get(link).map(|value| (value, link.place)));
        values.map(|(value, place)| Datum::new(Value::Text(value), place, Origin::Mail)).collect()
    })
}

/// Registered domains of everybody who may speak here: senders, organizers, and whose signature
/// or SPF passes.
fn own_domains<'f>(f: &'f Facts<'f>) -> Vec<Cow<'f, str>> {
    let senders = f.message.from.iter().chain(&f.message.sender).chain(&f.message.reply_to);
    let senders = senders.map(Mailbox::host);
    let organizers = f.events.iter().flat_map(|event| &event.event.organizers);
    let organizers = organizers
        .flat_map(|party| [&party.address, &party.sent_by, &party.email])
        .filter_map(|address| address.as_deref()?.rsplit_once('@').map(|(_, host)| host));
    let passing = f.authentication.iter().flat_map(AuthenticationResults::passing_domains);
    let mut domains: Vec<Cow<'f, str>> =
        senders.chain(organizers.take(100)).chain(passing).map(domain::registered).collect();
    domains.sort_unstable();
    domains.dedup();
    domains
}

/// Links of the bodies to domains that are nobody's who speaks here.
pub(super) fn elsewhere<'f>(
    f: &'f Facts<'f>,
    get: fn(&'f Link<'f>, &str) -> Option<Cow<'f, str>>,
) -> Answer<'f> {
    mail(f, || {
        let own = own_domains(f);
        let foreign = body_links(f).filter_map(|link| {
            let domain = link.domain()?;
            let is_web = matches!(&*link.scheme, "http" | "https") && domain.contains('.');
            if !is_web || own.contains(&domain) {
                return None;
            }
            get(link, &domain).map(|value| (value, link.place))
        });
        foreign.map(|(value, place)| Datum::new(Value::Text(value), place, Origin::Mail)).collect()
    })
}

/// What is clicked on, and where it leads.
pub(super) fn anchor<'f>(link: &'f Link<'f>, domain: &str) -> Option<Cow<'f, str>> {
    let shown = link.shown.as_deref().filter(|shown| !shown.is_empty() && !link.unwrapped)?;
    Some(format!("{shown} -> {domain}").into())
}

/// Year, month, day, and hour and minute of a date as written.
type Written = (u32, u32, u32, Option<(u32, u32)>);

fn written(text: &str) -> Option<Written> {
    let text = text.trim();
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    let day = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let time = number(9, 11).zip(number(11, 13)).filter(|_| text.get(8..9) == Some("T"));
    Some((day.0, day.1, day.2, time))
}

/// Whether a body tells when the event is: the time, or the day with the month or the year
/// beside it, all in numbers. Names of months are not needed, so any language will do.
pub(super) fn shows_start<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    if f.message.bare {
        return Answer::Unknown;
    }
    let start = e.event.property("DTSTART").and_then(|property| match &property.value {
        PropertyValue::Other(text) | PropertyValue::Text(text) | PropertyValue::Uri(text) => {
            written(text)
        }
        PropertyValue::Binary { .. } => None,
    });
    let Some(start) = start else { return known([]) };
    let subject = f.message.subject.as_deref().unwrap_or_default();
    let mut texts = f.mail_texts.iter().map(|text| &*text.text).chain([subject]);
    flag(e, texts.any(|text| tells(text, start)))
}

/// Characters between the day and the year: `27 janvier 2024`, `Sat, January 27th, 2024`.
const NEAR: usize = 24;

fn tells(text: &str, (year, month, day, time): Written) -> bool {
    let numbers = numbers(text);
    let pairs = numbers.windows(2).filter_map(|pair| match pair {
        [one, other] => Some((one, other, text.get(one.end..other.start)?)),
        _ => None,
    });
    pairs.into_iter().any(|(one, other, between)| {
        let close = between.chars().count() <= 2
            && !between.contains(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'h' | 'H'));
        let same_time = time.is_some_and(|(hour, minute)| {
            let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
            (one.value == hour || one.value == twelve) && other.value == minute && other.digits == 2
        });
        let is_time =
            same_time && matches!(between, ":" | "." | "h" | "H" | " h " | "：" | "时" | "時");
        let is_day = (one.value == day && other.value == month)
            || (one.value == month && other.value == day);
        let is_year = (one.value == day && other.value == year)
            || (one.value == year && other.value == day && close);
        is_time || (is_day && close) || (is_year && between.chars().count() <= NEAR)
    })
}

/// A number of up to four digits in a text.
struct Number {
    start: usize,
    end: usize,
    value: u32,
    digits: usize,
}

fn numbers(text: &str) -> Vec<Number> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = bytes.iter().skip(at).position(u8::is_ascii_digit) {
        let start = at + first;
        let digits = bytes.iter().skip(start).take_while(|b| b.is_ascii_digit()).count();
        at = start + digits;
        if let Some(value) = text.get(start..at).and_then(|digits| digits.parse().ok())
            && digits <= 4
        {
            found.push(Number { start, end: at, value, digits });
        }
    }
    found
}

/// Hosts that LOCATION leads to.
pub(super) fn location_hosts<'f>(
    e: &'f EventFacts<'f>,
    _: &'f Facts<'f>,
    get: fn(&str) -> String,
) -> Answer<'f> {
    let locations = e.texts.iter().filter(|text| text.property.name == "LOCATION");
    all(locations.flat_map(|text| {
        let links = super::links::find(&text.visible);
        links.into_iter().take(20).filter_map(move |url| {
            let has_scheme = url.contains("://");
            let url = if has_scheme { url } else { format!("http://{url}") };
            let host = super::links::host_of(&url)?;
            Some((Value::Text(get(&host).into()), text.place))
        })
    }))
}

/// Registered domain of a host.
pub(super) fn to_registered(host: &str) -> String {
    domain::registered(host).into_owned()
}

/// Letters and digits of the bodies, counted only far enough to tell a text from none.
pub(super) fn letters<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    mail(f, || {
        let chars = f.mail_texts.iter().flat_map(|text| text.text.chars());
        let letters = chars.filter(|c| c.is_alphanumeric()).take(1000).count();
        vec![Datum::new(Value::Number(float(letters)), Place::Name("body"), Origin::Mail)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_written() {
        assert_eq!(written("20270331T113000Z"), Some((2027, 3, 31, Some((11, 30)))));
        assert_eq!(written("20270331"), Some((2027, 3, 31, None)));
        assert_eq!(written("soon"), None);
        assert_eq!(written("2027é331"), None);
    }

    #[test]
    fn texts_that_tell_when() {
        let start = (2027, 3, 31, Some((14, 30)));
        for (text, expected) in [
            ("am 31.3.2027 um drei", true),
            ("03/31/2027", true),
            ("2027-03-31", true),
            ("mercredi 31 mars 2027", true),
            ("Wed, March 31st, 2027", true),
            ("3月31日", true),
            ("um 14:30 Uhr", true),
            ("à 14h30", true),
            ("at 2:30 PM", true),
            ("31 gifts for you. Copyright of the shop, all rights reserved, 2027", false),
            ("call 31 3014", false),
            ("2027", false),
            ("14 of 30 left", false),
            ("", false),
        ] {
            assert_eq!(tells(text, start), expected, "{text}");
        }
    }
}
