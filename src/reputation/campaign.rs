//! Digests that events of one campaign share, however each of them is varied.
//!
//! Comes in: the texts, numbers and links of one event, and the names in it. Goes out:
//! [`Digests`]. Changed names, digits, amounts, recipients, order of sentences, invisible or
//! look-alike letters and some other words leave enough of them equal.
//! Not an error: an event that says too little to be told from others; it has no digest.
//!
//! The text becomes a set of words (`words`), without what conference services write into
//! every invitation (`boilerplate`). Of the set the smallest values of [`VALUES`] permutations
//! are taken: two sets of which a share *s* of all words is common agree in each of them with
//! probability *s* (min-hashing). [`ROWS`] at a time make a key, under which texts find each
//! other, and one bit of each makes a sketch, by which they are compared: two events belong
//! together when one key is equal, and no more than [`APART`] bits of the sketches differ. At a
//! share of 0.74, which is 15 % of the words changed, that happens in 998 of 1,000 cases; at 0.15,
//! more than unrelated texts share, in 6 of 10,000. Each key is one that a store is asked about
//! and told of, and they cost more than all the rest: so there are few.
//!
//! Pure, and the same on every machine: nothing depends on a seed, a locale or the site's
//! lists. Whoever stores digests keys them, because short texts can be guessed.

use std::collections::{BTreeSet, HashSet};

use crate::facts::{EventFacts, Facts, Link, Place, domain};

mod boilerplate;
mod words;

use boilerplate::Vendors;
use words::Words;

/// Keys of a text.
pub const BANDS: usize = 12;

/// Permutations of a key.
pub const ROWS: usize = 3;

/// Permutations of a text: as many as a sketch has bits.
pub const VALUES: usize = 64;

/// Bits of the sketches in which two texts of one campaign differ, at most.
pub const APART: u32 = 18;

/// Keys under which two texts of one campaign were reported by one user, at least: a report knows
/// no sketch.
const AGREEING: usize = 2;

/// Different words that a text has at least; with fewer, strangers say the same.
const FEWEST: usize = 12;

/// Words of a longer text looked at: those with the smallest hashes, which are the same of
/// similar texts.
const MOST: usize = 128;

/// Octets of text looked at in one event.
const TEXT: usize = 8 * 1024;

/// Parties whose names are looked for in the text, of each kind.
const PARTIES: usize = 200;

/// Numbers or domains of one set; more are a directory.
const SET: usize = 8;

/// Digits in which two forms of one phone number agree: without country code and trunk prefix.
const PHONE: usize = 9;

/// What one event has in common with others of its campaign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digests {
    /// What the text is like.
    pub text: Option<Text>,
    /// All phone numbers.
    pub phones: Option<u64>,
    /// Registered domains of all links.
    pub links: Option<u64>,
}

impl Digests {
    /// Whether the two events belong to one campaign.
    pub fn agree(&self, other: &Self) -> bool {
        fn same(one: Option<u64>, other: Option<u64>) -> bool {
            one.is_some() && one == other
        }
        let like = match (&self.text, &other.text) {
            (Some(one), Some(other)) => one.is_like(other),
            (None, _) | (_, None) => false,
        };
        like || same(self.phones, other.phones) || same(self.links, other.links)
    }
}

/// What texts are found and compared by: of each permutation of the words the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text([u64; VALUES]);

impl Text {
    /// The keys under which texts like this one are found.
    pub fn bands(&self) -> impl Iterator<Item = u64> {
        self.rows().map(|rows| rows.iter().fold(0, |key, value| words::mix(key ^ value)))
    }

    fn rows(&self) -> impl Iterator<Item = &[u64; ROWS]> {
        self.0.as_chunks().0.iter().take(BANDS)
    }

    /// A bit of each value, made by `bit`: always the same of the same value, by chance otherwise.
    pub fn sketch(&self, bit: impl Fn(u64) -> bool) -> u64 {
        self.0.iter().fold(0, |sketch, value| sketch << 1 | u64::from(bit(*value)))
    }

    fn is_like(&self, other: &Self) -> bool {
        let plain = |text: &Self| text.sketch(|value| value & 1 == 1);
        let found = self.rows().zip(other.rows()).any(|(one, other)| one == other);
        found && are_near(plain(self), plain(other))
    }
}

/// Whether texts that agree in a key and have these sketches belong together.
pub const fn are_near(one: u64, other: u64) -> bool {
    (one ^ other).count_ones() <= APART
}

/// Those who were seen under at least two of an event's keys, in order: for each key, who was seen
/// under it, nobody twice.
pub fn agreeing<T: Ord + Copy>(
    bands: impl IntoIterator<Item = impl IntoIterator<Item = T>>,
) -> Vec<T> {
    let mut seen = Vec::new();
    for band in bands {
        seen.extend(band);
    }
    seen.sort_unstable();
    let runs = seen.chunk_by(|one, other| one == other);
    runs.filter(|run| run.len() >= AGREEING).filter_map(|run| run.first().copied()).collect()
}

/// The digests of one event.
pub fn digest(event: &EventFacts<'_>, facts: &Facts<'_>) -> Digests {
    let vendors = boilerplate::vendors();
    Digests {
        text: read(event, facts, vendors),
        phones: phones(event, vendors),
        links: links(event, facts, vendors),
    }
}

/// What the event's text is like.
fn read(event: &EventFacts<'_>, facts: &Facts<'_>, vendors: &Vendors) -> Option<Text> {
    let described = event.texts.iter().any(|text| &*text.property.name == "DESCRIPTION");
    let shown = |name: &str| match name {
        "SUMMARY" | "DESCRIPTION" | "LOCATION" | "COMMENT" | "CONTACT" => true,
        // The HTML twin says the same once more.
        "X-ALT-DESC" | "STYLED-DESCRIPTION" => !described,
        _ => false,
    };
    let masked = names(event, facts);
    let (mut main, mut last, mut title) = (Words::default(), Words::default(), Words::default());
    let mut left = TEXT;
    for text in event.texts.iter().filter(|text| shown(&text.property.name)) {
        let normal = text.normal();
        let end = normal.floor_char_boundary(left);
        left -= end;
        let kept = vendors.strip(normal.get(..end).unwrap_or_default());
        main.read(&kept.plain, &masked);
        last.read(&kept.footer, &masked);
        if &*text.property.name == "SUMMARY" {
            title.read(&kept.plain, &masked);
        }
    }
    let [mut main, last, title] = [main, last, title].map(Words::distinct);
    let mut salt = 0;
    if main.count() < FEWEST {
        // What stands below a rule is most often a house's disclaimer, and many meetings have
        // it. It counts where nothing else is said, together with the title.
        if last.count() == 0 || title.count() < 2 {
            return None;
        }
        salt = title.hash();
        main.add(last);
    }
    let features = main.smallest(MOST);
    (features.len() >= FEWEST).then(|| smallest(features, salt))
}

/// Min-hashing.
fn smallest(features: &[u64], salt: u64) -> Text {
    let mut values = [0; VALUES];
    for (seed, value) in (1_u64..).zip(&mut values) {
        let (factor, offset) = (words::mix(seed) | 1, words::mix(!seed));
        // The low bits come after all have been compared: they decide nothing.
        let place = |feature: &u64| feature.wrapping_mul(factor).wrapping_add(offset);
        let smallest = features.iter().fold(u64::MAX, |least, word| least.min(place(word))) >> 20;
        *value = words::mix(salt ^ words::mix(smallest ^ (seed << 48)));
    }
    Text(values)
}

/// Words of the names and addresses in an event, in order: what changes from one recipient to
/// the next.
fn names(event: &EventFacts<'_>, facts: &Facts<'_>) -> Vec<u64> {
    let mut masked = Vec::new();
    let mut add = |text: &str| words::all(text, &mut masked);
    let calendar = &event.event;
    for party in
        calendar.organizers.iter().take(PARTIES).chain(calendar.attendees.iter().take(PARTIES))
    {
        let written = [&party.name, &party.address, &party.sent_by, &party.email];
        written.into_iter().flatten().for_each(|text| add(text));
    }
    let message = facts.message;
    let boxes =
        message.from.iter().chain(&message.sender).chain(&message.reply_to).chain(&message.to);
    for mailbox in boxes.take(PARTIES) {
        add(&mailbox.name);
        add(&mailbox.address);
    }
    let envelope = facts.envelope;
    let addresses = envelope.sender.iter().chain(&envelope.user).chain(&envelope.recipients);
    addresses.take(PARTIES).for_each(|address| add(address));
    masked.sort_unstable();
    masked.dedup();
    masked
}

/// The set of phone numbers, without those of conferences.
fn phones(event: &EventFacts<'_>, vendors: &Vendors) -> Option<u64> {
    let numbers = event.phones.iter().filter(|phone| !vendors.is_dial_in(&phone.context));
    set_hash(
        1,
        numbers.map(|phone| {
            let digits: String = phone.number.chars().filter(char::is_ascii_digit).collect();
            digits.get(digits.len().saturating_sub(PHONE)..).unwrap_or_default().to_owned()
        }),
    )
}

/// The set of link domains, without those of conferences and of the parties themselves: a
/// house's own address stands in all that it sends.
fn links(event: &EventFacts<'_>, facts: &Facts<'_>, vendors: &Vendors) -> Option<u64> {
    let calendar = &event.event;
    let parties = calendar.organizers.iter().chain(calendar.attendees.iter().take(PARTIES));
    let addresses = parties
        .filter_map(|party| party.address.as_deref())
        .chain(facts.message.from.iter().map(|mailbox| mailbox.address.as_str()))
        .chain(facts.envelope.recipients.iter().map(String::as_str).take(PARTIES));
    let own: HashSet<String> = addresses
        .filter_map(|address| address.rsplit_once('@'))
        .map(|(_, host)| domain::registered(host).into_owned())
        .collect();
    let links = facts.links.all.get(event.links.clone()).unwrap_or_default();
    let mut hosts = HashSet::new();
    // A calendar's own links are its program's: time zones, sources.
    let of_event =
        |link: &&Link<'_>| matches!(link.place, Place::Property(..) | Place::Code(Some(_), _));
    let links = links.iter().filter(of_event).filter(|link| hosts.insert(link.host.as_deref()));
    let domains = links.filter_map(|link| vendors.site(link)).filter(|site| !own.contains(site));
    set_hash(2, domains)
}

/// A hash of all the values, whatever their order; none of an empty set, or of one so large
/// that it is nobody's contact.
fn set_hash(sort: u64, values: impl Iterator<Item = String>) -> Option<u64> {
    let mut set = BTreeSet::new();
    for value in values {
        set.insert(value);
        if set.len() > SET {
            return None;
        }
    }
    let add = |hash, value: &String| words::mix(hash ^ words::hash(value));
    (!set.is_empty()).then(|| set.iter().fold(words::mix(sort), add))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{self, Reading};
    use crate::facts;
    use crate::message::{self, Envelope};

    fn digest_of(lines: &str) -> Digests {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20261201T100000Z\r\n\
             ORGANIZER;CN=Ann Sample:mailto:ann@corp.example\r\n{}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
            lines.replace('\n', "\r\n")
        );
        let envelope = Envelope::default();
        let message =
            message::parse(text.as_bytes(), true, &envelope, &message::Settings::default());
        let reading: Reading = calendar::read(&message, &calendar::Settings::default(), &|| false);
        let facts = facts::gather(&message, &reading, &envelope, 0, 500);
        digest(&facts.events[0], &facts)
    }

    const PROSE: &str = "your yearly protection plan has been renewed and the amount will be debited \
        within hours, contact our billing department to obtain a complete refund of this transaction";

    #[test]
    fn short_texts_have_no_digest() {
        for lines in [
            "SUMMARY:Meeting",
            "SUMMARY:Weekly project status meeting\nDESCRIPTION:Please join us in the big room",
            "SUMMARY:Sync\nDESCRIPTION:\\n\\n",
            "SUMMARY:Sync\nDESCRIPTION:12 34 56 78 90 11 22 33 44 55 66 77 88 99",
            "DESCRIPTION:Ann Sample Ann Sample ann@corp.example",
        ] {
            assert_eq!(digest_of(lines), Digests::default(), "{lines}");
        }
        assert!(digest_of(&format!("DESCRIPTION:{PROSE}")).text.is_some());
    }

    /// Vendors' own words around nothing do not make a text, and around a text leave it alone.
    #[test]
    fn blocks_of_conferences_do_not_count() {
        let blocks = [
            "-::~:~::~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~::~:~::-\\nJoin with Google Meet: \
             https://meet.google.com/abc-defg-hij\\nOr dial: (US) +1 202-555-0143 PIN: 123 456 789#\\nMore \
             phone numbers: https://tel.meet/abc-defg-hij?pin=1\\n\\nLearn more about Meet at: \
             https://support.google.com/a/users/answer/9282720\\n\\nPlease do not edit this section.\\n\
             -::~:~::~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~::~:~::-",
            "________________________________________________________________________________\\nMicrosoft \
             Teams Need help?<https://aka.ms/JoinTeamsMeeting>\\nJoin the meeting \
             now<https://teams.microsoft.com/l/meetup-join/1>\\nMeeting ID: 123 456\\nPasscode: \
             aBc\\n________________________________\\nDial in by phone\\n+1 202-555-0143\\,\\,123# United \
             States\\, Washington\\nFind a local number<https://dialin.teams.microsoft.com/1>\\nPhone \
             conference ID: 123#\\nFor organizers: Meeting options<https://teams.microsoft.com/o> | Reset \
             dial-in PIN<https://dialin.teams.microsoft.com/p>\\n\
             ________________________________________________________________________________",
            "Ann Sample is inviting you to a scheduled Zoom meeting.\\n\\nJoin Zoom \
             Meeting\\nhttps://corp.zoom.us/j/123?pwd=x\\n\\nMeeting ID: 123 4567\\nPasscode: 42\\n\\n---\\n\\nOne \
             tap mobile\\n+12025550143\\,\\,123# US (Washington)\\n+12025550144\\,\\,123# US \
             (Chicago)\\n\\nDial by your location\\n+1 202 555 0143 US (Washington)\\n\\nFind your local \
             number: https://corp.zoom.us/u/1",
        ];
        for block in blocks {
            let bare = digest_of(&format!("SUMMARY:Budget review\nDESCRIPTION:{block}"));
            assert_eq!(bare, Digests::default(), "{block}");
            let with = digest_of(&format!("DESCRIPTION:{PROSE}\\n\\n{block}"));
            assert!(with.agree(&digest_of(&format!("DESCRIPTION:{PROSE}"))), "{block}");
        }
    }

    /// One house's small print below different meetings.
    #[test]
    fn footers_count_with_their_title_only() {
        let with = |title: &str, text: &str| {
            digest_of(&format!("SUMMARY:{title}\nDESCRIPTION:{text}\\n--\\nConfidential: {PROSE}"))
        };
        assert!(!with("Budget review north", "Hi").agree(&with("Training of drivers", "Hi")));
        assert!(with("Budget review north", "Hi").agree(&with("Budget review north", "Hello")));
        assert_eq!(with("Lunch", "Hi"), Digests::default());
    }

    #[test]
    fn sets_of_numbers_and_sites() {
        #[track_caller]
        fn check(one: &str, other: &str, same: bool) {
            let (one, other) = (format!("DESCRIPTION:{one}"), format!("DESCRIPTION:{other}"));
            assert_eq!(digest_of(&one).agree(&digest_of(&other)), same, "{one} {other}");
        }
        check("Call +1 (888) 555-0143", "ring 888-555-0143 today", true);
        check("Call +1 888 555 0143", "Call +1 888 555 0144", false);
        check("+1 888 555 0143 or +1 888 555 0144", "+1 888 555 0144 / +1 888 555 0143", true);
        check("see https://a.shop.example/x1", "https://b.shop.example/y2", true);
        check("see https://a.shop.example/", "https://a.store.example/", false);
        check(
            "https://shop.example https://pay.example",
            "http://pay.example http://shop.example",
            true,
        );
        // Everybody's, a vendor's, the organizer's own.
        check("https://docs.google.com/a", "https://docs.google.com/b", false);
        check("https://corp.zoom.us/j/1", "https://corp.zoom.us/j/2", false);
        check("https://wiki.corp.example/a", "https://wiki.corp.example/b", false);
        // Where everybody may have a host or a path.
        check("https://one.pages.dev/", "https://two.pages.dev/", false);
        check("https://bit.ly/abc", "https://bit.ly/xyz", false);
        check("https://bit.ly/abc", "https://bit.ly/abc", true);
        // A directory is nobody's.
        let many: Vec<String> = (0..9).map(|n| format!("https://s{n}.example")).collect();
        check(&many.join(" "), &many.join(" "), false);
    }

    #[test]
    fn who_was_seen_under_enough_keys() {
        assert_eq!(agreeing([vec![1, 2], vec![1, 3], vec![3, 1], vec![3], vec![4]]), [1, 3]);
    }

    /// What is stored by one version is asked by the next.
    #[test]
    fn digests_are_the_same_everywhere() {
        let found = digest_of(&format!("DESCRIPTION:{PROSE} +1 888 555 0143 https://shop.example"));
        let first = found.text.as_ref().and_then(|text| text.bands().next());
        assert_eq!(
            (first, found.phones, found.links),
            (
                Some(1_921_614_541_901_200_695),
                Some(13_835_671_532_005_158_523),
                Some(4_679_263_912_030_573_990)
            )
        );
    }

    /// Time and memory are bounded by [`TEXT`] and [`PARTIES`].
    #[test]
    fn long_texts_are_read_up_to_the_limit() {
        let mut words: Vec<String> = (0..40_000_u64)
            .map(|n| {
                let letter = |shift: u64| {
                    char::from(b'a' + u8::try_from((words::mix(n) >> shift) % 26).unwrap())
                };
                (0..8).map(|at| letter(at * 8)).collect()
            })
            .collect();
        let long = digest_of(&format!("DESCRIPTION:{}", words.join(" ")));
        words.truncate(TEXT / 9 + 1);
        assert_eq!(long, digest_of(&format!("DESCRIPTION:{}", words.join(" "))));
    }
}
