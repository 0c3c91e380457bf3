//! The table: every fact, declared once, by theme. To add a fact, add an entry to one of the
//! files; rules, documentation, `calspamd facts` and the type checks at load follow from it.

use super::gather::EventFacts;
use super::{Answer, Fact, Facts, Kind, Origin, Read, Scope};

mod attachments;
mod bodies;
mod calendars;
mod history;
mod links;
mod lures;
mod mail;
mod object;
mod people;
mod roles;
mod shape;
mod site;
mod texts;
mod time;

type EventReader = for<'f> fn(&'f EventFacts<'f>, &'f Facts<'f>) -> Answer<'f>;
type MessageReader = for<'f> fn(&'f Facts<'f>) -> Answer<'f>;

const fn event(
    name: &'static str,
    kind: Kind,
    meaning: &'static str,
    example: &'static str,
    read: EventReader,
) -> Fact {
    Fact {
        name,
        kind,
        scope: Scope::Event,
        origin: Origin::Calendar,
        meaning,
        example,
        read: Read::Event(read),
    }
}

const fn message(
    name: &'static str,
    kind: Kind,
    origin: Origin,
    meaning: &'static str,
    example: &'static str,
    read: MessageReader,
) -> Fact {
    Fact { name, kind, scope: Scope::Message, origin, meaning, example, read: Read::Message(read) }
}

/// The themes in the order of the documentation.
const THEMES: &[&[Fact]] = &[
    object::FACTS,
    texts::FACTS,
    links::FACTS,
    attachments::FACTS,
    lures::FACTS,
    time::FACTS,
    people::FACTS,
    roles::FACTS,
    calendars::FACTS,
    shape::FACTS,
    mail::FACTS,
    bodies::FACTS,
    site::FACTS,
    history::FACTS,
];

#[expect(clippy::indexing_slicing, reason = "the compiler computes it, and would stop there")]
const COUNT: usize = {
    let (mut count, mut theme) = (0, 0);
    while theme < THEMES.len() {
        count += THEMES[theme].len();
        theme += 1;
    }
    count
};

/// Every fact a rule may ask.
#[expect(clippy::indexing_slicing, reason = "the compiler computes it, and would stop there")]
pub static TABLE: &[Fact] = &{
    let mut all = [THEMES[0][0]; COUNT];
    let (mut next, mut theme) = (0, 0);
    while theme < THEMES.len() {
        let mut fact = 0;
        while fact < THEMES[theme].len() {
            all[next] = THEMES[theme][fact];
            next += 1;
            fact += 1;
        }
        theme += 1;
    }
    all
};

/// Facts that no stock rule asks, each with the reason it is there all the same.
pub const FOR_SITES: &[(&str, &str)] = &[
    ("status", "Good and bad mail have all values; a site may treat CANCELLED or TENTATIVE apart."),
    (
        "transparency",
        "Says how the event shows, not what it is; for sites that fear blocked calendars.",
    ),
    (
        "description",
        "Stock rules ask `text`, wherever it stands; this is for a rule about one property.",
    ),
    ("comment", "As `description`."),
    ("categories", "Words of the organizer's own; a site knows which of them its people use."),
    ("attendee.status", "Stock rules ask the recipient's; a site may ask everybody's."),
    ("parts", "How many parts a mail has says nothing by itself; for rules about a known mailer."),
    ("envelope.from", "Stock rules ask what was authenticated; this is for rules without that."),
    ("auth.source", "Says who verified; a site may trust one source less than another."),
    ("auth.spf.domain", "Stock rules ask `auth.domain`, which joins all that passed."),
    ("auth.dkim.domain", "As `auth.spf.domain`."),
    ("auth.dmarc.domain", "As `auth.spf.domain`."),
    ("auth.arc.domain", "As `auth.spf.domain`; a site may know its forwarders."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_is_declared_well() {
        let mut names: Vec<&str> = TABLE.iter().map(|fact| fact.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "a fact is declared twice");
        for fact in TABLE {
            assert!(fact.meaning.ends_with('.'), "{}: the meaning is a sentence", fact.name);
            assert!(!fact.example.is_empty(), "{}: no example", fact.name);
            assert!(
                fact.name.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'.' | b'_')),
                "{}: not a dotted noun",
                fact.name
            );
        }
    }
}
