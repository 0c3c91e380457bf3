//! Who might want a report.

use serde::Serialize;

use crate::facts::{Facts, domain};
use crate::message::{Header, Mechanism};

/// Suggestions made.
const MOST: usize = 10;

/// Longest address.
const ADDRESS: usize = 254;

/// Why an address is suggested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The sender asks for reports there (RFC 9477).
    CfblAddress,
    /// Abuse desk of a domain that has signed the mail (RFC 2142).
    Signer,
    /// Abuse desk of the organizer's domain.
    Organizer,
    /// Abuse desk of the sender's domain.
    Sender,
}

/// An address that might want the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// The address.
    pub address: String,
    /// Why.
    pub why: Why,
    /// Authentication shows that its domain has to do with the mail; otherwise anybody may have
    /// written it.
    pub verified: bool,
}

/// Suggestions, the likeliest first.
pub(super) fn addresses(facts: &Facts<'_>) -> Vec<Suggestion> {
    let message = facts.message;
    let results = facts.authentication.iter().flat_map(|known| &known.results);
    let signers: Vec<&str> = results
        .filter(|result| result.mechanism == Mechanism::Dkim && result.result == "pass")
        .filter_map(|result| result.domain.as_deref())
        .collect();
    let has_signed = |name: &str| {
        let name = domain::registered(name);
        signers.iter().any(|signer| domain::registered(signer) == name)
    };
    let mut found: Vec<Suggestion> = Vec::new();
    let mut add = |address: String, why, verified| {
        let plain =
            address.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b','));
        let known = found.iter().any(|one: &Suggestion| one.address.eq_ignore_ascii_case(&address));
        if plain && !known && address.len() <= ADDRESS && found.len() < MOST {
            found.push(Suggestion { address, why, verified });
        }
    };
    for header in message.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("cfbl-address")) {
        let value = header.decoded();
        let address = value.split(';').next().unwrap_or_default().trim().trim_matches(['<', '>']);
        if let Some((local, host)) = address.rsplit_once('@')
            && !local.is_empty()
            && host.contains('.')
        {
            let from = message.from.first().map(|from| from.host().to_owned()).unwrap_or_default();
            // Its domain is the author's, or it has signed itself; the field is under a signature.
            let aligned = has_signed(host)
                && (domain::registered(&from) == domain::registered(host) || has_signed(&from));
            add(address.to_owned(), Why::CfblAddress, aligned && is_signed(facts, "cfbl-address"));
        }
    }
    for signer in &signers {
        add(format!("abuse@{}", domain::registered(signer)), Why::Signer, true);
    }
    let organizers = facts.reading.events.iter().flat_map(|event| &event.organizers);
    for host in
        organizers.filter_map(|o| o.address.as_deref()?.rsplit_once('@')).map(|(_, host)| host)
    {
        add(format!("abuse@{}", domain::registered(host)), Why::Organizer, has_signed(host));
    }
    for host in
        message.from.iter().map(crate::message::Mailbox::host).filter(|host| !host.is_empty())
    {
        add(format!("abuse@{}", domain::registered(host)), Why::Sender, has_signed(host));
    }
    let rank = |one: &Suggestion| !(one.verified);
    found.sort_by_key(rank);
    found
}

/// Whether a signature of the mail covers a field.
fn is_signed(facts: &Facts<'_>, field: &str) -> bool {
    let signatures =
        facts.message.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("dkim-signature"));
    signatures.map(Header::decoded).any(|signature| {
        let tags = signature.split(';').filter_map(|tag| tag.split_once('='));
        let names =
            tags.filter(|(name, _)| name.trim().eq_ignore_ascii_case("h")).map(|(_, names)| names);
        names
            .into_iter()
            .any(|names| names.split(':').any(|name| name.trim().eq_ignore_ascii_case(field)))
    })
}
