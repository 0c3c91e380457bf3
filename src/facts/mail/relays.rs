//! The hops of a mail, as `X-Spam-Relays-…` rules see them.
//!
//! Comes in: the Received fields, what the caller says of the SMTP client, and the networks
//! the administrator trusts. Goes out: hops in order, the last one first, and how far they
//! are to be believed. Not an error: forged and unreadable fields; they are counted.
//!
//! A caller that scans during the SMTP transaction (a milter) asks before its own mail system
//! has added its Received field. Then a hop made of the [`Envelope`] stands on top, so that
//! rules see what they would see after delivery.

use std::fmt::{self, Write as _};

use crate::message::{Envelope, Message};

use super::fields;

pub mod address;
mod authenticated;
pub mod checks;
mod formats;
mod lines;
mod networks;
mod received;
mod shape;

pub use address::is_private;
pub use networks::Networks;

use received::Line;
use shape::Effort;

/// Received fields that are read; a mail that has more goes in circles.
const MOST_FIELDS: usize = 1_000;

/// Fields that tell where a web mail user sits; each that has an address counts as a hop.
const ORIGIN_FIELDS: [&str; 6] = [
    "X-Yahoo-Post-IP",
    "X-Originating-IP",
    "X-Apparently-From",
    "X-SenderIP",
    "X-AOL-IP",
    "X-MS-Exchange-CrossTenant-OriginalAttributedTenantConnectingIp",
];

/// One hop. Texts hold no white space, brackets or parentheses: such octets are `!`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one hop")]
pub struct Relay {
    /// Address of the sending host, without brackets and prefix.
    pub ip: String,
    /// Its name in DNS; empty when there is none or nobody looked.
    pub rdns: String,
    /// What it called itself.
    pub helo: String,
    /// The receiving host.
    pub by: String,
    /// Answer of an IDENT query.
    pub ident: String,
    /// Envelope sender, where the field tells it.
    pub envfrom: Option<String>,
    /// Queue id.
    pub id: String,
    /// How the sender has proved who it is; empty when it has not.
    pub auth: String,
    /// True when the host is one of `msa_networks`.
    pub msa: bool,
    /// True when the receiving host can be believed about the sending one, and the sending
    /// one about those before it.
    pub trusted: bool,
    /// True while the mail is inside our own network.
    pub internal: bool,
    /// True when the address is not routed on the Internet.
    pub ip_private: bool,
    /// True when the receiving host asked DNS and found no name.
    pub no_reverse_dns: bool,
}

impl fmt::Display for Relay {
    /// As in `X-Spam-Relays-…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[ ip={} rdns={} helo={} by={} ident={} envfrom={} intl={} id={} auth={} msa={} ]",
            self.ip,
            self.rdns,
            self.helo,
            self.by,
            self.ident,
            self.envfrom.as_deref().unwrap_or_default(),
            u8::from(self.internal),
            self.id,
            self.auth,
            u8::from(self.msa)
        )
    }
}

/// All hops, the last one first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relays {
    /// The hops.
    pub all: Vec<Relay>,
    /// Received fields that nobody understands.
    pub unparseable: usize,
    /// True when the first hop was made of the envelope and has no field.
    pub from_envelope: bool,
    /// Received fields (and the hop of the envelope) before trust ends.
    pub trusted_fields: usize,
    /// Received fields (and the hop of the envelope) inside our own network.
    pub internal_fields: usize,
}

/// One of the four lists of hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// Hops that can be believed.
    Trusted,
    /// All others.
    Untrusted,
    /// Hops inside our own network.
    Internal,
    /// All others.
    External,
}

impl Relays {
    /// Hops of one list, the last one first.
    pub fn of(&self, zone: Zone) -> impl DoubleEndedIterator<Item = &Relay> {
        self.all.iter().filter(move |relay| match zone {
            Zone::Trusted => relay.trusted,
            Zone::Untrusted => !relay.trusted,
            Zone::Internal => relay.internal,
            Zone::External => !relay.internal,
        })
    }

    /// Hops that cannot be believed, the last one first.
    pub fn untrusted(&self) -> impl DoubleEndedIterator<Item = &Relay> {
        self.of(Zone::Untrusted)
    }

    /// Hops that can be believed, the last one first.
    pub fn trusted(&self) -> impl DoubleEndedIterator<Item = &Relay> {
        self.of(Zone::Trusted)
    }

    /// The text of `X-Spam-Relays-Trusted` and its siblings; empty when the list is.
    pub fn text(&self, zone: Zone) -> String {
        let mut text = String::new();
        for relay in self.of(zone) {
            let gap = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{gap}{relay}");
        }
        text
    }
}

/// Reads the Received fields.
pub(super) fn read(message: &Message<'_>, envelope: &Envelope, networks: &Networks) -> Relays {
    let mut effort = Effort::new();
    let fields = fields::named(message, "Received");
    let mut lines: Vec<Line> = fields
        .take(MOST_FIELDS)
        .map(|header| received::read(&fields::decoded(header), &mut effort))
        .collect();
    for name in ORIGIN_FIELDS {
        let Some(header) = fields::named(message, name).last() else {
            continue;
        };
        let value = fields::decoded(header);
        if let Some(ip) = address::first_in(&value) {
            let line = [b"from X-Originating-IP: ", ip].concat();
            lines.push(received::read(&line, &mut effort));
        }
    }
    let mut walk =
        Walk { networks, relays: Relays::default(), trusted: true, internal: true, msa: false };
    if let Some(relay) = hop_of(envelope, &lines) {
        walk.relays.from_envelope = true;
        walk.hop(relay);
    }
    let mut sender_of_next = None;
    for line in lines {
        let sender = std::mem::take(&mut sender_of_next);
        match line {
            Line::Hop(mut relay) => {
                if sender.is_some() {
                    relay.envfrom = sender;
                }
                walk.hop(relay);
                continue;
            }
            Line::Skipped => {}
            Line::SenderOfNext(told) => sender_of_next = told.filter(|sender| !sender.is_empty()),
            Line::Fetched => walk.restart(),
            Line::Unparseable => walk.relays.unparseable += 1,
        }
        walk.count();
    }
    walk.relays
}

/// The hop that the caller tells of, unless the top field speaks of it already.
fn hop_of(envelope: &Envelope, lines: &[Line]) -> Option<Relay> {
    let client = envelope.client_ip?.to_canonical();
    let top = lines.iter().find_map(|line| match line {
        Line::Hop(relay) => Some(relay),
        Line::Skipped | Line::SenderOfNext(_) | Line::Fetched | Line::Unparseable => None,
    });
    if top.is_some_and(|relay| address::parse(&relay.ip) == Some(client)) {
        return None;
    }
    let ip = client.to_string();
    let hostname = envelope.hostname.as_deref().map(|name| name.trim_end_matches('.'));
    let rdns = hostname.filter(|name| !name.eq_ignore_ascii_case("unknown")).unwrap_or_default();
    Some(Relay {
        ip_private: is_private(&ip),
        ip,
        rdns: received::clean_sender(rdns),
        helo: received::clean_sender(envelope.helo.as_deref().unwrap_or_default()),
        envfrom: envelope.sender.as_deref().map(received::clean_sender),
        id: received::clean_sender(envelope.queue_id.as_deref().unwrap_or_default()),
        // What the mail system will write for a user that has logged in.
        auth: if envelope.user.is_some() { "ESMTPA".to_owned() } else { String::new() },
        no_reverse_dns: hostname.is_some() && rdns.is_empty(),
        ..Relay::default()
    })
}

/// Goes from the last hop to the first one and decides where trust ends.
struct Walk<'n> {
    networks: &'n Networks,
    relays: Relays,
    trusted: bool,
    internal: bool,
    /// A user gave the mail to one of our MSAs: everything before is what that user has.
    msa: bool,
}

impl Walk<'_> {
    fn hop(&mut self, mut relay: Relay) {
        if self.trusted && !self.msa {
            self.judge(&mut relay);
        }
        relay.trusted = self.trusted;
        relay.internal = self.internal;
        self.relays.all.push(relay);
        self.count();
    }

    fn judge(&mut self, relay: &mut Relay) {
        let known = !relay.auth.is_empty();
        if !self.networks.is_configured() {
            // Nothing is known: hosts without a public address are ours, and so are those
            // that hosts of ours have let in by password.
            self.trusted = relay.ip_private || known;
            self.internal = self.trusted;
        } else if known || self.networks.is_trusted(&relay.ip) {
            self.internal &= known || self.networks.is_internal(&relay.ip);
            relay.msa = self.networks.is_msa(&relay.ip);
            self.msa = relay.msa;
        } else {
            self.trusted = false;
            self.internal = false;
        }
    }

    fn count(&mut self) {
        self.relays.trusted_fields += usize::from(self.trusted);
        self.relays.internal_fields += usize::from(self.internal);
    }

    /// Hops above the place where a mailbox was read are forgotten, as long as all of them
    /// are trusted: nobody else may claim this.
    fn restart(&mut self) {
        if self.relays.untrusted().next().is_none() {
            self.relays.all.clear();
        }
    }
}

#[cfg(test)]
mod tests;
