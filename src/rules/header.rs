//! What a `header` rule looks at: a header field, part of one, or a pseudo header.
//!
//! As in SpamAssassin 4.0.1: a decoded value ends with a line feed, fields of one name follow
//! each other, parts of fields are joined by a line feed, a missing field is an empty text (or
//! the `[if-unset: …]` one), header names know no case. `ALL…` and `MESSAGEID` do.

use std::sync::Arc;

use crate::facts::Facts;
use crate::facts::mail::{Networks, Zone};

use super::pattern::Pattern;

mod value;

/// Which text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Selector {
    /// The header as written in the rule.
    pub(super) name: String,
    source: Source,
    /// `:raw`: not decoded.
    raw: bool,
    pick: Pick,
    mailbox: Option<MailboxPart>,
    host: Option<HostPart>,
    /// Text of a header that is not there.
    if_unset: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// Fields of that name.
    Field,
    /// `ALL`: every field with its name.
    All,
    /// `ALL-TRUSTED` and its siblings: the fields that hosts of that zone may have added.
    AllOf(Zone),
    /// `X-Spam-Relays-Trusted` and its siblings.
    Relays(Zone),
    /// `ToCc`
    ToCc,
    /// `MESSAGEID`: every kind of message id.
    MessageId,
    /// `EnvelopeFrom`
    EnvelopeFrom,
}

/// `:addr` and `:name`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum MailboxPart {
    Address,
    Name,
}

/// `:host`, `:domain`, `:ip` and `:revip`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum HostPart {
    Host,
    Domain,
    Ip,
    ReversedIp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pick {
    Every,
    First,
    Last,
}

/// What a `header` rule asks.
#[derive(Debug)]
pub(super) enum Ask {
    /// `exists:Name`
    Exists,
    /// `=~` and `!~`
    Match {
        /// `!~`
        negated: bool,
        /// The regex.
        pattern: Arc<Pattern>,
    },
}

/// Why a selector cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// SpamAssassin knows it, we do not.
    #[expect(dead_code, reason = "nothing is left that we do not know")]
    Unsupported(String),
    /// Nobody knows it.
    Unknown(String),
}

impl Selector {
    /// Reads `Subject:raw`, `From:addr:first`, `ALL`.
    pub(super) fn read(text: &str, if_unset: &str) -> Result<Self, Refused> {
        let mut pieces = text.split(':');
        let name = pieces.next().unwrap_or("").to_owned();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Refused::Unknown(format!("`{text}` is not a header")));
        }
        let mut selector = Self {
            source: source(&name),
            name,
            raw: false,
            pick: Pick::Every,
            mailbox: None,
            host: None,
            if_unset: if_unset.to_owned(),
        };
        for modifier in pieces {
            match modifier {
                "raw" => selector.raw = true,
                // Where modifiers contradict each other, the narrower one counts.
                "addr" => selector.mailbox = Some(MailboxPart::Address),
                "name" => {
                    selector.mailbox.get_or_insert(MailboxPart::Name);
                }
                "domain" => selector.host = Some(HostPart::Domain),
                "host" => {
                    selector.host =
                        selector.host.filter(|h| *h == HostPart::Domain).or(Some(HostPart::Host));
                }
                "revip" => {
                    selector.host =
                        selector.host.filter(|host| host.is_name()).or(Some(HostPart::ReversedIp));
                }
                "ip" => {
                    selector.host.get_or_insert(HostPart::Ip);
                }
                "first" => selector.pick = Pick::First,
                "last" if selector.pick == Pick::Every => selector.pick = Pick::Last,
                "last" => {}
                other => {
                    return Err(Refused::Unknown(format!("unknown header modifier `{other}`")));
                }
            }
        }
        Ok(selector)
    }

    /// True for the decoded Subject, whole.
    pub(super) fn is_subject(&self) -> bool {
        self.source == Source::Field
            && !self.raw
            && self.mailbox.is_none()
            && self.host.is_none()
            && self.name.eq_ignore_ascii_case("Subject")
    }

    /// True when the text comes from the SMTP envelope.
    pub(super) fn is_envelope(&self) -> bool {
        self.source == Source::EnvelopeFrom
    }

    /// True when the header is there, even if empty.
    pub(super) fn exists(&self, facts: &Facts<'_>, networks: &Networks) -> bool {
        !self.found(facts, networks).is_empty()
    }

    /// The text a regex sees.
    pub(super) fn value(&self, facts: &Facts<'_>, networks: &Networks) -> Vec<u8> {
        let found = self.found(facts, networks);
        match found.first() {
            // Whole fields end with a line feed of their own; parts of them are joined by one.
            Some(first) if first.ends_with(b"\n") => found.concat(),
            Some(_) => found.join(&b'\n'),
            None => self.if_unset.clone().into_bytes(),
        }
    }
}

impl HostPart {
    fn is_name(self) -> bool {
        matches!(self, Self::Host | Self::Domain)
    }
}

fn source(name: &str) -> Source {
    let zones = [
        ("TRUSTED", Zone::Trusted),
        ("UNTRUSTED", Zone::Untrusted),
        ("INTERNAL", Zone::Internal),
        ("EXTERNAL", Zone::External),
    ];
    for (word, zone) in zones {
        if name.strip_prefix("ALL-") == Some(word) {
            return Source::AllOf(zone);
        }
        let relays = "X-Spam-Relays-";
        if let Some((head, tail)) = name.split_at_checked(relays.len())
            && head.eq_ignore_ascii_case(relays)
            && tail.eq_ignore_ascii_case(word)
        {
            return Source::Relays(zone);
        }
    }
    match name {
        "ALL" => Source::All,
        "MESSAGEID" => Source::MessageId,
        name if name.eq_ignore_ascii_case("ToCc") => Source::ToCc,
        name if name.eq_ignore_ascii_case("EnvelopeFrom") => Source::EnvelopeFrom,
        _ => Source::Field,
    }
}

#[cfg(test)]
mod tests;
