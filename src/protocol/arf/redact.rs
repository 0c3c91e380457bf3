//! Pseudonyms in the place of recipients' names and addresses (RFC 6590).
//!
//! The part in front of the `@` is replaced and the domain stays, so that a sender can tell how
//! many of whose people he has hit, and not whom.

use aho_corasick::{AhoCorasick, MatchKind};

use crate::facts::Facts;
use crate::message::{Header, Mailbox};

/// People replaced; more are a list, which names nobody in the text.
const PEOPLE: usize = 2_000;

/// Shortest name replaced, in letters: shorter ones are words.
const NAME: usize = 4;

/// Fields that say who got a mail.
pub(super) const RECIPIENTS: [&str; 8] = [
    "to",
    "cc",
    "delivered-to",
    "x-original-to",
    "envelope-to",
    "x-envelope-to",
    "resent-to",
    "resent-cc",
];

/// Replaces names.
pub(super) struct Redactor {
    automaton: Option<AhoCorasick>,
    replacements: Vec<String>,
    on: bool,
}

/// Who is hidden.
#[derive(Default)]
struct People {
    /// Text and what takes its place.
    pairs: Vec<(String, String)>,
}

impl People {
    fn address(&mut self, address: &str, pseudonym: &dyn Fn(&str) -> String) {
        let Some((local, host)) = address.trim().rsplit_once('@') else { return };
        if local.is_empty() || host.is_empty() || self.pairs.len() >= 3 * PEOPLE {
            return;
        }
        let other = pseudonym(&local.to_lowercase());
        // As written, as in links, and as in return paths.
        for sign in ["@", "%40", "="] {
            self.pairs.push((format!("{local}{sign}{host}"), format!("{other}{sign}{host}")));
        }
    }

    fn name(&mut self, name: &str, pseudonym: &dyn Fn(&str) -> String) {
        let name = name.trim().trim_matches('"');
        let is_name = name.chars().filter(|c| c.is_alphabetic()).count() >= NAME;
        if is_name && !name.contains('@') && self.pairs.len() < 4 * PEOPLE {
            self.pairs.push((name.to_owned(), pseudonym(&name.to_lowercase())));
        }
    }
}

impl Redactor {
    /// Leaves everything as it is.
    pub(super) fn none() -> Self {
        Self { automaton: None, replacements: Vec::new(), on: false }
    }

    /// Hides everybody but those who sent it.
    pub(super) fn new(facts: &Facts<'_>, pseudonym: &dyn Fn(&str) -> String) -> Self {
        let message = facts.message;
        let events = || facts.reading.events.iter();
        let senders: Vec<&str> = events()
            .flat_map(|event| event.organizers.iter())
            .filter_map(|organizer| organizer.address.as_deref())
            .chain(message.from.iter().chain(&message.sender).map(|from| from.address.as_str()))
            .collect();
        let is_sender =
            |address: &str| senders.iter().any(|sender| sender.eq_ignore_ascii_case(address));
        let mut people = People::default();
        let envelope = facts.envelope;
        let fields = message.headers.iter().filter(|header| is_recipients(&header.name));
        let written: Vec<String> = fields.map(Header::decoded).collect();
        let in_fields = written.iter().flat_map(|text| text.split([',', ';', ' ', '<', '>']));
        let addresses = envelope
            .recipients
            .iter()
            .chain(&envelope.user)
            .map(String::as_str)
            .chain(in_fields.filter(|piece| piece.contains('@')));
        addresses
            .filter(|address| !is_sender(address))
            .for_each(|address| people.address(address, pseudonym));
        for Mailbox { name, address } in message.to.iter().filter(|to| !is_sender(&to.address)) {
            people.address(address, pseudonym);
            people.name(name, pseudonym);
        }
        for attendee in events().flat_map(|event| &event.attendees) {
            let address = attendee.address.as_deref().or(attendee.email.as_deref());
            if address.is_some_and(is_sender) {
                continue;
            }
            if let Some(address) = address {
                people.address(address, pseudonym);
            }
            if let Some(name) = &attendee.name {
                people.name(name, pseudonym);
                people.address(name, pseudonym);
            }
        }
        let (needles, replacements): (Vec<String>, Vec<String>) = people.pairs.into_iter().unzip();
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(&needles)
            .ok();
        Self { automaton, replacements, on: true }
    }

    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// A text with pseudonyms. Without an automaton nothing is shown: too much was to be hidden.
    pub(super) fn text(&self, text: &str) -> String {
        match &self.automaton {
            Some(automaton) => automaton.replace_all(text, &self.replacements),
            None if self.on => String::new(),
            None => text.to_owned(),
        }
    }
}

pub(super) fn is_recipients(name: &str) -> bool {
    RECIPIENTS.iter().any(|known| known.eq_ignore_ascii_case(name))
}
