//! What domains say of mail that is not theirs: DMARC, as stated, and signing practices, as
//! rule files set them.

use super::{
    Argument, Context, Known, Mechanism, author_domains, covers, dkim_signers, flag, stated,
    valid_signers,
};

/// The first statement about DMARC.
enum Dmarc<'f> {
    Pass,
    /// With the policy, where it is stated.
    Fail(Option<&'f str>),
    /// The domain has no policy.
    Missing,
}

fn dmarc<'f>(context: &Context<'_, '_, 'f>) -> Option<Dmarc<'f>> {
    let result = stated(context, Mechanism::Dmarc).next()?;
    match result.result.as_str() {
        "pass" => Some(Dmarc::Pass),
        "fail" => Some(Dmarc::Fail(result.policy.as_deref())),
        // Microsoft guesses where there is no policy.
        "none" | "bestguesspass" => Some(Dmarc::Missing),
        // Nobody could find out.
        _ => None,
    }
}

/// The mail passes the DMARC policy of its author's domain.
pub(super) fn dmarc_pass(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(matches!(dmarc(context)?, Dmarc::Pass))
}

/// The author's domain has no policy.
pub(super) fn dmarc_missing(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(matches!(dmarc(context)?, Dmarc::Missing))
}

/// The mail fails, and the domain wants it rejected.
pub(super) fn dmarc_reject(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    dmarc_fails(context, "reject")
}

/// The mail fails, and the domain wants it put aside.
pub(super) fn dmarc_quarantine(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    dmarc_fails(context, "quarantine")
}

/// The mail fails, and the domain only wants to know.
pub(super) fn dmarc_none(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    dmarc_fails(context, "none")
}

fn dmarc_fails(context: &Context<'_, '_, '_>, wanted: &str) -> Known {
    match dmarc(context)? {
        Dmarc::Pass | Dmarc::Missing => flag(false),
        Dmarc::Fail(policy) => policy.and_then(|policy| flag(policy == wanted)),
    }
}

/// The author's domain signs all its mail, and this one is not signed.
pub(super) fn signs_all(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    practice(context, "A", &[])
}

/// `(letters, domain, …)`: the author's domain has one of these signing practices, and the
/// mail has no valid signature of it. Domains may narrow it to these authors.
pub(super) fn signing_practice(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let Some((letters, domains)) = arguments.split_first() else { return flag(false) };
    let letters = if letters.text == "*" { "NAD123" } else { letters.text.as_str() };
    practice(context, letters, domains)
}

fn practice(context: &Context<'_, '_, '_>, letters: &str, domains: &[Argument]) -> Known {
    let authors: Vec<String> =
        author_domains(context).into_iter().filter(|domain| is_full(domain)).collect();
    let narrowed = domains.is_empty()
        || domains.iter().any(|entry| {
            let entry = entry.text.to_lowercase();
            authors.iter().any(|author| covers(&entry, author))
        });
    if !narrowed {
        return flag(false);
    }
    // Practices that only rule files set are known where they are not set; others stand in
    // DNS.
    let only_ours = letters.chars().all(|letter| matches!(letter, '1' | '2' | '3'));
    let signers = dkim_signers(context);
    let mut unknown = false;
    for author in authors {
        let asked = match override_of(context, &author) {
            Some(letter) => letters.contains(letter).then_some(true),
            None => (!only_ours).then_some(false),
        };
        let Some(matches) = asked else { continue };
        match valid_signers(context) {
            Some(valid) if valid.contains(&author) => {}
            None if signers.contains(&author) => unknown = true,
            Some(_) | None if matches => return flag(true),
            Some(_) | None => unknown = true,
        }
    }
    if unknown { None } else { flag(false) }
}

/// A name with a top-level domain of letters.
fn is_full(domain: &str) -> bool {
    domain.rsplit_once('.').is_some_and(|(left, last)| {
        !left.is_empty()
            && last.len() >= 2
            && last.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
    })
}

/// What rule files say of the domain, or of all below a parent of it.
fn override_of(context: &Context<'_, '_, '_>, domain: &str) -> Option<char> {
    let practices = &context.settings.signing;
    let parents =
        domain.match_indices('.').map(|(at, _)| format!("*{}", domain.get(at..).unwrap_or("")));
    std::iter::once(domain.to_owned())
        .chain(parents)
        .chain(["*".to_owned()])
        .find_map(|name| practices.get(&name).copied())
}
