//! Senders that are welcome when SPF or DKIM says that it is them.

use super::{Argument, Context, Known, entries, flag, host_of, spf_result, valid_signers};
use crate::rules::settings::Sender;

/// MAIL FROM as SPF is asked about it: of the hop that gave us the mail, else as the caller
/// or the mail tells, unless hosts of ours have passed it on and may have changed it.
pub(super) fn envelope_sender(context: &Context<'_, '_, '_>) -> Option<String> {
    let relays = context.relays();
    let first = relays.of(crate::facts::mail::Zone::External).next();
    let told = first.and_then(|relay| relay.envfrom.clone());
    let sender = told.or_else(|| context.facts.envelope.sender.clone()).or_else(|| {
        let known = relays.trusted().next().is_none();
        known.then(|| context.header("EnvelopeFrom:addr")).flatten()
    });
    sender.map(|sender| sender.trim_end().to_lowercase())
}

/// `welcomelist_from_spf`, `welcomelist_auth`: the envelope sender is welcome and SPF passes.
pub(super) fn by_spf(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    spf(context, ["welcomelist_from_spf", "welcomelist_auth"])
}

/// Likewise by the lists that come with the rules.
pub(super) fn by_spf_default(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    spf(context, ["def_welcomelist_from_spf", "def_welcomelist_auth"])
}

fn spf(context: &mut Context<'_, '_, '_>, directives: [&str; 2]) -> Known {
    let sender = envelope_sender(context).filter(|sender| !sender.is_empty());
    let Some(sender) = sender else { return flag(false) };
    let listed = directives
        .iter()
        .any(|directive| entries(context, directive).iter().any(|e| e.address.matches(&sender)));
    if !listed {
        return flag(false);
    }
    let passes = spf_result(context, false)? == "pass";
    context.shown = Some(sender).filter(|_| passes);
    flag(passes)
}

/// `welcomelist_from_dkim`, `welcomelist_auth`: the author is welcome, and a valid signature
/// is of the domain that the list names, or else of the author's.
pub(super) fn by_dkim(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    dkim(context, ["welcomelist_from_dkim", "welcomelist_auth"])
}

/// Likewise by the lists that come with the rules.
pub(super) fn by_dkim_default(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    dkim(context, ["def_welcomelist_from_dkim", "def_welcomelist_auth"])
}

fn dkim(context: &mut Context<'_, '_, '_>, directives: [&str; 2]) -> Known {
    let authors = context.list("From:addr");
    let mut listed: Vec<(String, &Sender)> = Vec::new();
    for author in &authors {
        let author = author.to_lowercase();
        let all = directives.iter().flat_map(|directive| entries(context, directive));
        listed.extend(
            all.filter(|entry| entry.address.matches(&author)).map(|e| (author.clone(), e)),
        );
    }
    if listed.is_empty() {
        return flag(false);
    }
    let valid = valid_signers(context)?;
    let found = listed
        .into_iter()
        .find(|(author, entry)| valid.iter().any(|signer| is_accepted(signer, author, entry)));
    let shown = found.map(|(author, _)| author);
    context.shown = shown;
    flag(context.shown.is_some())
}

fn is_accepted(signer: &str, author: &str, entry: &Sender) -> bool {
    let Some(wanted) = entry.by.first() else {
        return host_of(author).as_deref() == Some(signer);
    };
    // An address stands for its domain.
    let wanted = wanted.rsplit_once('@').map_or(wanted.as_str(), |(_, domain)| domain);
    match wanted.strip_prefix('*').unwrap_or(wanted).strip_prefix('.') {
        Some(parent) => signer.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.')),
        None => signer == wanted,
    }
}
