//! Facts about who is what to whom: recipients among the attendees, names that show other
//! addresses, attendees as a crowd, links that know the recipient.

use std::borrow::Cow;
use std::collections::HashSet;

use super::answers::{
    all, domain_of, float, known, number, organizer, own_links, recipients, values,
};
use super::gather::{EventFacts, TextValue};
use super::text::normalise;
use super::unwrap::{decode_base64, percent_decode};
use super::{Answer, Facts, Link, Place, Value, domain, numbers};
use crate::calendar::Party;

/// Recipients looked for in links; a mail to more is no trap for one.
const MOST_RECIPIENTS: usize = 20;

/// Pieces of a link looked at.
const MOST_PIECES: usize = 60;

fn recipient_addresses<'f>(f: &'f Facts<'f>) -> Option<Vec<String>> {
    match recipients(f) {
        Answer::Unknown => None,
        Answer::Known(values) => Some(
            values
                .into_iter()
                .filter_map(|datum| match datum.value {
                    Value::Text(text) => Some(text.to_lowercase()),
                    Value::Number(_) | Value::Flag(_) => None,
                })
                .collect(),
        ),
    }
}

/// PARTSTAT of the recipients among the attendees.
pub(super) fn recipient_status<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let Some(recipients) = recipient_addresses(f) else { return Answer::Unknown };
    let is_recipient =
        |party: &&Party| party.address.as_ref().is_some_and(|address| recipients.contains(address));
    let found = e.event.attendees.iter().filter(is_recipient);
    all(found
        .filter_map(|party| party.status.as_deref())
        .map(|status| (Value::Text(status.into()), Place::Event(e.event))))
}

fn locals<'a>(e: &'a EventFacts<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let addresses = e.event.attendees.iter().filter_map(|party| party.address.as_deref());
    addresses.filter_map(|address| address.rsplit_once('@'))
}

fn per_cent<'f>(e: &'f EventFacts<'f>, part: usize, whole: usize) -> Answer<'f> {
    let share = (whole > 0).then(|| float(part) * 100.0 / float(whole));
    values(share.map(Value::Number), Place::Event(e.event))
}

fn distinct_domains(e: &EventFacts<'_>) -> usize {
    let domains: HashSet<Cow<'_, str>> =
        locals(e).map(|(_, host)| domain::registered(host)).collect();
    domains.len()
}

pub(super) fn apart<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    per_cent(e, distinct_domains(e), locals(e).count())
}

/// Local parts that begin like another attendee's: what a sorted list of harvested addresses
/// looks like.
pub(super) fn alike<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    let mut heads: Vec<String> =
        locals(e).map(|(local, _)| local.chars().take(4).collect::<String>()).collect();
    heads.sort_unstable();
    let same = |at: usize, other: Option<usize>| {
        other.is_some_and(|other| heads.get(other).is_some() && heads.get(other) == heads.get(at))
    };
    let alike =
        (0..heads.len()).filter(|at| same(*at, at.checked_sub(1)) || same(*at, Some(at + 1)));
    per_cent(e, alike.count(), heads.len())
}

/// Attendees without a name, or with an address in its place.
pub(super) fn unnamed<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    let is_unnamed = |party: &&Party| match party.name.as_deref().map(str::trim) {
        None | Some("") => true,
        Some(name) => {
            let address = party.address.as_deref().unwrap_or_default();
            let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
            name.eq_ignore_ascii_case(address) || name.eq_ignore_ascii_case(local)
        }
    };
    per_cent(e, e.event.attendees.iter().filter(is_unnamed).count(), e.event.attendees.len())
}

/// Attendees of the site, other than recipients and organizer, who are said to have accepted.
pub(super) fn accepted_local<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let Some(recipients) = recipient_addresses(f) else { return Answer::Unknown };
    let organizers: Vec<&str> =
        e.event.organizers.iter().filter_map(|party| party.address.as_deref()).collect();
    let accepted = e.event.attendees.iter().filter(|party| {
        let Some(address) = party.address.as_deref() else { return false };
        party.status.as_deref() == Some("ACCEPTED")
            && f.site.domains.holds(address)
            && !organizers.contains(&address)
            && !recipients.iter().any(|recipient| recipient == address)
    });
    number(e, accepted.count())
}

/// Registered domains of addresses that the organizer's name shows.
pub(super) fn name_domains<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    organizer(e, |party| {
        let address = numbers::emails(party.name.as_deref()?).into_iter().next()?;
        domain_of(address).map(|domain| Cow::Owned(domain.to_lowercase()))
    })
}

/// Whom mail alarms write to.
fn mailed<'f>(e: &'f EventFacts<'f>) -> impl Iterator<Item = &'f String> {
    let alarms = e.event.alarms.iter().filter(|alarm| alarm.action.as_deref() == Some("EMAIL"));
    alarms.flat_map(|alarm| &alarm.attendees)
}

/// Whom mail alarms write to, and who has nothing to do with the event: neither recipient nor
/// addressee of the mail, neither organizer nor attendee.
pub(super) fn alarm_strangers<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    if mailed(e).next().is_none() {
        return Answer::Known(Vec::new());
    }
    let Some(recipients) = recipient_addresses(f) else { return Answer::Unknown };
    let people = e.event.organizers.iter().chain(&e.event.attendees);
    let mut known: HashSet<&str> = people.filter_map(|party| party.address.as_deref()).collect();
    known.extend(recipients.iter().map(String::as_str));
    known.extend(f.message.to.iter().map(|mailbox| &*mailbox.address));
    all(mailed(e)
        .filter(|address| !known.contains(address.as_str()))
        .map(|address| (Value::Text(address.into()), Place::Name("VALARM.ATTENDEE"))))
}

/// How many addresses mail alarms write to.
pub(super) fn alarm_attendees<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    number(e, mailed(e).collect::<HashSet<_>>().len())
}

/// Texts of alarms compared with those of their event.
const MOST_ALARM_TEXTS: usize = 20;

/// What alarms say and the event itself does not: programs copy SUMMARY and DESCRIPTION.
pub(super) fn alarm_texts<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    if e.event.alarms.is_empty() {
        return Answer::Known(Vec::new());
    }
    let is_alarms = |text: &&TextValue<'f>| {
        let within = e.event.components.get(text.property.within);
        matches!(text.place, Place::Property(..))
            && within.is_some_and(|path| path.contains(".VALARM"))
    };
    let (own, others): (Vec<&TextValue<'f>>, Vec<&TextValue<'f>>) =
        e.texts.iter().partition(is_alarms);
    let is_new = |text: &&TextValue<'f>| {
        let said = text.normal().trim();
        !others.iter().any(|other| other.normal().contains(said))
    };
    all(own
        .into_iter()
        .take(MOST_ALARM_TEXTS)
        .filter(is_new)
        .map(|text| (Value::Text(text.normal().into()), text.place)))
}

/// What hosts with letters of other alphabets look like, where that is a plain name.
pub(super) fn lookalikes<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let foreign = own_links(e, f).filter_map(|link| {
        let host = link.host.as_deref().filter(|host| host.contains("xn--"))?;
        let shown = domain::shown(host);
        let looks = normalise(&shown).0;
        (looks.is_ascii() && *looks != *shown).then(|| (looks.into_owned(), link.place))
    });
    all(foreign.map(|(looks, place)| (Value::Text(looks.into()), place)))
}

/// Targets inside redirectors and wrappers.
pub(super) fn targets<'f>(
    e: &'f EventFacts<'f>,
    f: &'f Facts<'f>,
    get: for<'l> fn(&'l Link<'l>) -> Option<Cow<'l, str>>,
) -> Answer<'f> {
    let inner = own_links(e, f).filter(|link| link.unwrapped);
    all(inner.filter_map(|link| get(link).map(|value| (Value::Text(value), link.place))))
}

pub(super) fn link_domains<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let domains: HashSet<Cow<'_, str>> = own_links(e, f).filter_map(Link::domain).collect();
    number(e, domains.len())
}

fn hex(text: &str) -> Option<String> {
    let octets = text.as_bytes();
    if octets.len() < 12 || !octets.len().is_multiple_of(2) {
        return None;
    }
    let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let decoded: Option<Vec<u8>> = octets
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    String::from_utf8(decoded?).ok()
}

/// Everything behind the host, and what its pieces hold when they are base64 or hex; of
/// parameters also all together, since an address is cut into several.
fn readings(url: &str) -> Vec<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let Some(at) = rest.find(['/', '?', '#']) else { return Vec::new() };
    let rest = rest.get(at..).unwrap_or_default();
    let decoded = percent_decode(rest);
    let mut found = vec![decoded.to_lowercase()];
    let mut push = |piece: &str| {
        if piece.len() >= 8 {
            found.extend(decode_base64(piece).map(|text| text.to_lowercase()));
            found.extend(hex(piece).map(|text| text.to_lowercase()));
        }
    };
    let pieces = decoded.split(['/', '?', '&', '#', ';', ',', '=']).filter(|p| !p.is_empty());
    pieces.clone().take(MOST_PIECES).for_each(&mut push);
    let query = decoded.split(['?', '#']).nth(1).unwrap_or_default();
    let joined: String = query
        .split('&')
        .take(6)
        .filter_map(|pair| pair.split_once('=').map(|(_, value)| value))
        .collect();
    push(&joined);
    found
}

/// Registered domains of links that hold a recipient's address, in whatever coding.
pub(super) fn links_with_recipient<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let Some(mut recipients) = recipient_addresses(f) else { return Answer::Unknown };
    recipients.retain(|recipient| recipient.contains('@'));
    recipients.truncate(MOST_RECIPIENTS);
    all(own_links(e, f).filter_map(|link| {
        let domain = link.domain()?;
        let texts = readings(&link.url);
        let holds = recipients
            .iter()
            .any(|recipient| texts.iter().any(|text| text.contains(recipient.as_str())));
        holds.then_some((Value::Text(domain), link.place))
    }))
}

/// Texts that are base64 of a link or of HTML.
pub(super) fn coded_texts<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    let mut found = Vec::new();
    for text in &e.texts {
        let words = text.raw.split_whitespace().filter(|word| word.len() >= 24);
        for word in words.take(20) {
            let decoded = decode_base64(word.get(..4096).unwrap_or(word)).unwrap_or_default();
            let head = decoded.trim_start().to_lowercase();
            let tells =
                ["http://", "https://", "<html", "<!doctype", "<a ", "<script", "<p>", "<div"];
            if tells.iter().any(|tell| head.starts_with(tell)) {
                let shown: String = decoded.chars().take(80).collect();
                found.push((Value::Text(shown.into()), text.place));
            }
        }
    }
    if found.is_empty() { known([]) } else { all(found.into_iter()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn holds(url: &str, expected: bool) {
        let found = readings(url).iter().any(|text| text.contains("vic@corp.example"));
        assert_eq!(found, expected, "{url}");
    }

    #[test]
    fn addresses_in_links() {
        holds("https://a.example/x?e=vic@corp.example", true);
        holds("https://a.example/x?e=VIC%40corp.example", true);
        holds("https://a.example/#dmljQGNvcnAuZXhhbXBsZQ==", true);
        holds("https://a.example/dmljQGNvcnAuZXhhbXBsZQ", true);
        holds("https://a.example/?a=dmljQGNv&b=cnAuZXhh&c=bXBsZQ", true);
        holds("https://a.example/7669634063 6f72702e6578616d706c65", false);
        holds("https://a.example/76696340636f72702e6578616d706c65", true);
        holds("https://vic@corp.example/", false);
        holds("https://a.example", false);
    }
}
