//! What the functions ask of a mail: texts of fields, senders, recipients, hops.
//!
//! Comes in: a [`Context`]. Goes out: texts, in the order of the mail. Not an error: fields
//! that are not there; they are empty, as in Perl.

use std::collections::HashSet;
use std::sync::OnceLock;

use crate::facts::domain;
use crate::facts::mail::{Relays, Uri};

use super::Context;

/// Addresses of one mail that are looked at.
const ADDRESSES: usize = 1_000;

/// Fields that may name the sender, besides those of a mail that was sent on.
const SENDERS: [&str; 5] = [
    "From:addr",
    "Envelope-Sender:addr",
    "Resent-Sender:addr",
    "X-Envelope-From:addr",
    "EnvelopeFrom:addr",
];

/// Fields that may name a recipient, likewise.
const RECIPIENTS: [&str; 12] = [
    "To:addr",
    "Apparently-To:addr",
    "Delivered-To:addr",
    "Envelope-Recipients:addr",
    "Apparently-Resent-To:addr",
    "X-Envelope-To:addr",
    "Envelope-To:addr",
    "X-Delivered-To:addr",
    "X-Original-To:addr",
    "X-Rcpt-To:addr",
    "X-Real-To:addr",
    "Cc:addr",
];

impl<'f> Context<'_, '_, 'f> {
    /// The text of a selector; empty when there is none.
    pub(super) fn text(&self, selector: &str) -> String {
        self.header(selector).unwrap_or_default()
    }

    /// The texts of a selector: fields, addresses or names.
    pub(super) fn list(&self, selector: &str) -> Vec<String> {
        let text = self.text(selector);
        text.lines().take(ADDRESSES).map(str::to_owned).collect()
    }

    /// The first of them, which is what most functions look at where there are several.
    pub(super) fn first(&self, selector: &str) -> String {
        let text = self.text(selector);
        text.lines().next().unwrap_or_default().to_owned()
    }

    /// The links of the mail.
    pub(super) fn links(&self) -> &'f [Uri] {
        let facts = self.facts;
        self.settings.with_hints(|hints| facts.mail.uris(hints))
    }

    /// The Received fields on one line, white space made single spaces.
    pub(super) fn received(&self) -> String {
        single_spaced(&self.text("Received"))
    }

    /// The hops of the mail.
    pub(super) fn relays(&self) -> &Relays {
        self.facts.mail.relays(&self.settings.networks)
    }

    /// Addresses that the mail claims to come from, each once. Where it was sent on, that
    /// sender alone counts.
    pub(super) fn senders(&self) -> Vec<String> {
        let resent = self.list("Resent-From:first:addr");
        if !resent.is_empty() {
            return distinct(resent);
        }
        let all = SENDERS.iter().flat_map(|selector| self.list(selector));
        distinct(all.filter(|address| !address.is_empty()).map(|address| single_dots(&address)))
    }

    /// Addresses that the mail went to, each once.
    pub(super) fn recipients(&self) -> Vec<String> {
        let mut resent = self.list("Resent-To:first:addr");
        resent.extend(self.list("Resent-Cc:first:addr"));
        if !resent.is_empty() {
            return distinct(resent);
        }
        // Mail systems tell the recipient in their Received field.
        let hops = self.list("Received");
        let told = hops.iter().take(3).filter_map(|hop| recipient_of_hop(hop));
        let fields = RECIPIENTS.iter().flat_map(|selector| self.list(selector));
        distinct(told.chain(fields))
    }
}

fn distinct(addresses: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    addresses.into_iter().take(ADDRESSES).filter(|address| seen.insert(address.clone())).collect()
}

/// `…` in an address is a slip for `.`.
fn single_dots(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for c in address.chars() {
        if !(c == '.' && out.ends_with('.')) {
            out.push(c);
        }
    }
    out
}

/// `for <user@host>;`
fn recipient_of_hop(hop: &str) -> Option<String> {
    hop.match_indices(" for ").find_map(|(at, word)| {
        let word = hop.get(at + word.len()..)?.split_whitespace().next()?;
        let (address, _) = word.split_once(';')?;
        let address = address.strip_prefix('<').unwrap_or(address);
        let address = address.strip_suffix('>').unwrap_or(address);
        let (user, host) = address.split_once('@')?;
        (!user.is_empty() && is_host(host)).then(|| address.to_owned())
    })
}

/// True for a name of two labels or more that DNS may hold.
pub(super) fn is_host(host: &str) -> bool {
    let Some(host) = domain::canonical_host(host) else { return false };
    let count = host.split('.').count();
    count > 1
        && host.split('.').enumerate().all(|(index, label)| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && (index + 2 < count || !label.contains('_'))
        })
}

/// True when the host ends in a suffix of the public list.
pub(super) fn has_suffix(host: &str) -> bool {
    host.rsplit('.').next().is_some_and(|label| host.contains('.') && domain::is_top_level(label))
}

/// The registered domain of an address's host; none where there is none that can exist.
pub(super) fn domain_of(address: &str) -> Option<String> {
    let (user, host) = address.split_once('@')?;
    let broken = host.contains('@') || user.contains('\n');
    let host = domain::canonical_host(host).filter(|_| !broken)?;
    if domain::is_address(&host) {
        return Some(host);
    }
    let exists = is_host(&host) && has_suffix(&host);
    exists.then(|| domain::registered(&host).into_owned())
}

/// The part of an address behind the last `@`, lower case.
pub(super) fn host_of(address: &str) -> Option<String> {
    address.rsplit_once('@').map(|(_, host)| host.to_lowercase())
}

/// White space made single spaces, as many functions look at Received fields.
pub(super) fn single_spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_ascii_whitespace() {
            out.push(c);
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out
}

/// True when the domain is that one or, written `*.d` or `.d`, below it too.
pub(super) fn covers(entry: &str, domain: &str) -> bool {
    match entry.strip_prefix('*').unwrap_or(entry).strip_prefix('.') {
        Some(parent) => {
            domain == parent || domain.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
        }
        None => entry == domain,
    }
}

/// A phrase that is looked for: `*` stands for any number of octets without white space, `+`
/// for at least one, `{ip}` for an IP address, `{n}` for a number; everything else for itself.
pub(super) struct Phrase {
    written: &'static str,
    compiled: OnceLock<Option<regex::Regex>>,
}

impl Phrase {
    /// As written.
    pub(super) const fn new(written: &'static str) -> Self {
        Self { written, compiled: OnceLock::new() }
    }

    /// True when the text has the phrase somewhere.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| self.compile());
        compiled.as_ref().is_some_and(|regex| regex.is_match(text))
    }

    fn compile(&self) -> Option<regex::Regex> {
        let mut expression = String::new();
        let mut rest = self.written;
        while let Some(c) = rest.chars().next() {
            let holes =
                [("{ip}", ADDRESS), ("{n}", r"\d+"), ("*", r"\S*"), ("+", r"\S+"), ("|", r"\b")];
            let hole = holes.iter().find(|(hole, _)| rest.starts_with(hole));
            let length = if let Some((hole, meaning)) = hole {
                expression.push_str(meaning);
                hole.len()
            } else {
                expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
                c.len_utf8()
            };
            rest = rest.get(length..).unwrap_or_default();
        }
        regex::Regex::new(&expression).ok()
    }
}

/// An address of IPv4 or, roughly, of IPv6.
const ADDRESS: &str =
    r"(?:\b(?:\d{1,3}\.){3}\d{1,3}\b|(?i:IPv6:)?[0-9A-Fa-f]*:[0-9A-Fa-f:.]*[0-9A-Fa-f])";

/// True when the text holds an IP address.
pub(super) fn has_address(text: &str) -> bool {
    static ANY: Phrase = Phrase::new("{ip}");
    ANY.is_in(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases() {
        #[track_caller]
        fn check(phrase: &'static str, text: &str, expected: bool) {
            assert_eq!(Phrase::new(phrase).is_in(text), expected, "{phrase} in {text}");
        }
        check("from *.a.example (", "x from .a.example (y", true);
        check("from +.a.example (", "x from .a.example (y", false);
        check("from *.a.example (", "from b c.a.example (y", false);
        check("({ip})", "(192.0.2.1)", true);
        check("({ip})", "(192.0.2)", false);
        check("[{ip}]", "[2001:db8::1]", true);
        check("id {n};", "id 17;", true);
        check("a.b", "aXb", false);
        check("a|", "a b", true);
        check("a|", "ab", false);
    }

    #[test]
    fn hosts_and_domains() {
        #[track_caller]
        fn check(address: &str, expected: Option<&str>) {
            assert_eq!(domain_of(address).as_deref(), expected, "{address}");
        }
        check("a@b.example.com", Some("example.com"));
        check("a@B.Example.CO.UK", Some("example.co.uk"));
        check("a@b.example", None);
        check("a@b@example.com", None);
        check("a@com", None);
        check("a@192.0.2.1", Some("192.0.2.1"));
        check("a@b_c.com", None);
        check("a@-b.com", None);
        check("nobody", None);
    }

    #[test]
    fn recipients_that_hops_tell() {
        #[track_caller]
        fn check(hop: &str, expected: Option<&str>) {
            assert_eq!(recipient_of_hop(hop).as_deref(), expected, "{hop}");
        }
        check("by b.example with SMTP id 1 for <u@h.example>; Mon", Some("u@h.example"));
        check("by b.example for u@h.example; Mon", Some("u@h.example"));
        check("by b.example for u@localhost; Mon", None);
        check("by b.example for <u@h.example> ; Mon", None);
        check("for a reason for <u@h.example>; Mon", Some("u@h.example"));
    }

    #[test]
    fn domains_with_those_below() {
        assert!(covers("a.example", "a.example"));
        assert!(!covers("a.example", "b.a.example"));
        assert!(covers("*.a.example", "b.a.example"));
        assert!(covers(".a.example", "a.example"));
        assert!(!covers(".a.example", "ba.example"));
    }
}
