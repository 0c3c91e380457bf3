//! Functions about SPF, DKIM, DMARC and ARC: what trusted parties have stated.
//!
//! Nothing is verified here: that needs DNS and the bytes as they were received. Where nobody
//! has stated anything the answer is unknown, unless the mail itself decides (without a
//! signature none is valid).

use super::ask::{covers, host_of};
use super::{Argument, Context, Does, Function, flag};
use crate::facts::mail::fields;
use crate::message::{Mechanism, MethodResult};
use crate::rules::domain::Known;
use crate::rules::settings::Sender;

mod policies;
mod welcome;

macro_rules! spf {
    ($($name:literal $helo:literal $result:literal),* $(,)?) => {
        &[$(Function {
            name: $name,
            does: Does::Runs(|context, _| spf(context, $helo, $result)),
        }),*]
    };
}

/// `check_for_spf_…`: the result about MAIL FROM or about the HELO name.
pub(super) const SPF: &[Function] = spf![
    "check_for_spf_pass" false "pass",
    "check_for_spf_neutral" false "neutral",
    "check_for_spf_none" false "none",
    "check_for_spf_fail" false "fail",
    "check_for_spf_softfail" false "softfail",
    "check_for_spf_permerror" false "permerror",
    "check_for_spf_temperror" false "temperror",
    "check_for_spf_helo_pass" true "pass",
    "check_for_spf_helo_neutral" true "neutral",
    "check_for_spf_helo_none" true "none",
    "check_for_spf_helo_fail" true "fail",
    "check_for_spf_helo_softfail" true "softfail",
    "check_for_spf_helo_permerror" true "permerror",
    "check_for_spf_helo_temperror" true "temperror",
];

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "check_spf_skipped_noenvfrom", does: Does::Runs(no_envelope_sender) },
    Function { name: "check_dkim_signed", does: Does::Runs(dkim_signed) },
    Function { name: "check_dkim_valid", does: Does::Runs(dkim_valid) },
    Function { name: "check_dkim_verified", does: Does::Runs(dkim_valid) },
    Function { name: "check_dkim_valid_author_sig", does: Does::Runs(author_signed) },
    Function { name: "check_dkim_valid_envelopefrom", does: Does::Runs(envelope_signed) },
    Function { name: "check_dkim_dependable", does: Does::Runs(dkim_dependable) },
    Function { name: "check_dkim_signsome", does: Does::Runs(never) },
    Function { name: "check_dkim_signall", does: Does::Runs(policies::signs_all) },
    Function { name: "check_dkim_adsp", does: Does::Runs(policies::signing_practice) },
    Function { name: "check_arc_signed", does: Does::Runs(arc_signed) },
    Function { name: "check_arc_valid", does: Does::Runs(arc_valid) },
    Function { name: "check_dmarc_pass", does: Does::Runs(policies::dmarc_pass) },
    Function { name: "check_dmarc_reject", does: Does::Runs(policies::dmarc_reject) },
    Function { name: "check_dmarc_quarantine", does: Does::Runs(policies::dmarc_quarantine) },
    Function { name: "check_dmarc_none", does: Does::Runs(policies::dmarc_none) },
    Function { name: "check_dmarc_missing", does: Does::Runs(policies::dmarc_missing) },
    Function { name: "check_for_spf_welcomelist_from", does: Does::Runs(welcome::by_spf) },
    Function {
        name: "check_for_def_spf_welcomelist_from",
        does: Does::Runs(welcome::by_spf_default),
    },
    Function { name: "check_for_dkim_welcomelist_from", does: Does::Runs(welcome::by_dkim) },
    Function {
        name: "check_for_def_dkim_welcomelist_from",
        does: Does::Runs(welcome::by_dkim_default),
    },
];

/// Octets of one signature field that are looked at.
const SIGNATURE: usize = 16 * 1024;

/// That some mail is signed says nothing, so SpamAssassin never hits either.
fn never(_: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(false)
}

/// What is stated about one mechanism.
fn stated<'f>(
    context: &Context<'_, '_, 'f>,
    mechanism: Mechanism,
) -> impl Iterator<Item = &'f MethodResult> + use<'f> {
    let results = context.facts.authentication.as_ref();
    results.into_iter().flat_map(move |results| results.of(mechanism))
}

/// The first result about this identity; none when nobody has stated one.
fn spf_result<'f>(context: &Context<'_, '_, 'f>, helo: bool) -> Option<&'f str> {
    let result = stated(context, Mechanism::Spf).find(|result| result.helo == helo)?;
    Some(match result.result.as_str() {
        // Older names.
        "hardfail" => "fail",
        "error" => "temperror",
        "unknown" => "permerror",
        other => other,
    })
}

fn spf(context: &Context<'_, '_, '_>, helo: bool, wanted: &str) -> Known {
    spf_result(context, helo).and_then(|result| flag(result == wanted))
}

/// Nobody knows the envelope sender, so that SPF has nothing to ask about.
fn no_envelope_sender(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(welcome::envelope_sender(context).is_none())
}

/// Domains of the signatures in the mail, valid or not.
fn signers(context: &Context<'_, '_, '_>, field: &str) -> Vec<String> {
    let message = context.facts.message;
    let tag = |text: &str, wanted: &str| {
        text.split(';').find_map(|tag| {
            let (name, value) = tag.split_once('=')?;
            let value: String = value.split_whitespace().collect();
            (name.trim() == wanted && !value.is_empty()).then(|| value.to_lowercase())
        })
    };
    fields::named(message, field)
        .filter_map(|header| {
            let raw = header.raw.get(..SIGNATURE).unwrap_or(&header.raw);
            let text = String::from_utf8_lossy(raw);
            let identity = tag(&text, "i").and_then(|identity| host_of(&identity));
            identity.filter(|host| !host.is_empty()).or_else(|| tag(&text, "d"))
        })
        .collect()
}

/// Domains of the DKIM signatures in the mail.
fn dkim_signers(context: &Context<'_, '_, '_>) -> Vec<String> {
    let mut all = signers(context, "DKIM-Signature");
    all.extend(signers(context, "DomainKey-Signature"));
    all
}

/// Domains whose signatures are stated to be valid; unknown when nobody has looked at the
/// signatures that there are.
fn valid_signers(context: &Context<'_, '_, '_>) -> Option<Vec<String>> {
    let mut results = stated(context, Mechanism::Dkim).peekable();
    if results.peek().is_none() {
        return dkim_signers(context).is_empty().then(Vec::new);
    }
    Some(results.filter(|result| result.passes()).filter_map(|r| r.domain.clone()).collect())
}

/// True when one of the domains is among the arguments, or there are none.
fn accepted(domains: &[String], arguments: &[Argument]) -> bool {
    domains.iter().any(|domain| {
        arguments.is_empty()
            || arguments.iter().any(|entry| covers(&entry.text.to_lowercase(), domain))
    })
}

/// Domains of the authors.
fn author_domains(context: &Context<'_, '_, '_>) -> Vec<String> {
    context.list("From:addr").iter().filter_map(|address| host_of(address.trim_end())).collect()
}

/// `(domain, …)`: the mail has a signature, valid or not, of one of the domains.
fn dkim_signed(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    flag(accepted(&dkim_signers(context), arguments))
}

/// `(domain, …)`: a signature of one of the domains is valid.
fn dkim_valid(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    if arguments.is_empty() && stated(context, Mechanism::Dkim).any(MethodResult::passes) {
        return flag(true);
    }
    valid_signers(context).and_then(|domains| flag(accepted(&domains, arguments)))
}

/// `(domain, …)`: a signature of the author's own domain is valid.
fn author_signed(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let authors = author_domains(context);
    let mut domains = valid_signers(context)?;
    domains.retain(|domain| authors.contains(domain));
    flag(accepted(&domains, arguments))
}

/// A signature of the envelope sender's domain is valid.
fn envelope_signed(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let Some(host) = host_of(&context.first("EnvelopeFrom:addr")) else { return flag(false) };
    valid_signers(context).and_then(|domains| flag(domains.contains(&host)))
}

/// What is known of the signatures can be relied on: somebody has looked at them all.
fn dkim_dependable(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    valid_signers(context).and_then(|_| flag(true))
}

/// The mail has seals of hosts that passed it on.
fn arc_signed(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(!signers(context, "ARC-Seal").is_empty())
}

/// The seals are valid.
fn arc_valid(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let mut results = stated(context, Mechanism::Arc).peekable();
    if results.peek().is_some() {
        return flag(results.any(MethodResult::passes));
    }
    if signers(context, "ARC-Seal").is_empty() { flag(false) } else { None }
}

/// Entries of a directive.
fn entries<'c>(context: &'c Context<'_, '_, '_>, directive: &str) -> &'c [Sender] {
    context.settings.senders.get(directive).map_or(&[], Vec::as_slice)
}
