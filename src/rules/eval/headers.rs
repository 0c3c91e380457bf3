//! Functions about single header fields: what stands in them, how often, in which letters.

use super::ask::host_of;
use super::locales;
use super::{Argument, Context, Does, Function, count, flag, word};
use crate::rules::domain::Known;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "check_for_missing_to_header", does: Does::Runs(missing_to) },
    Function { name: "check_illegal_chars", does: Does::Runs(illegal_chars) },
    Function { name: "check_header_count_range", does: Does::Runs(header_count) },
    Function { name: "check_unresolved_template", does: Does::Runs(unresolved_template) },
    Function { name: "check_ratware_name_id", does: Does::Runs(ratware_name_id) },
    Function { name: "check_ratware_envelope_from", does: Does::Runs(ratware_envelope_from) },
    Function { name: "check_for_to_in_subject", does: Does::Runs(to_in_subject) },
    Function { name: "subject_is_all_caps", does: Does::Runs(all_caps) },
    Function { name: "check_for_unique_subject_id", does: Does::Runs(never) },
    Function { name: "check_equal_from_domains", does: Does::Runs(from_domains_differ) },
    Function { name: "check_for_matching_env_and_hdr_from", does: Does::Runs(senders_match) },
    Function { name: "check_for_faraway_charset_in_headers", does: Does::Runs(faraway_charset) },
];

/// What answers and forwards put in front of a subject.
const REPLY_MARKS: [&str; 10] =
    ["re:", "fwd:", "fw:", "aw:", "antwort:", "wg:", "sv:", "vb:", "vs:", "vl:"];

/// Fields in which `%NAME` may be meant as it stands.
const FREE_FIELDS: [&str; 12] = [
    "x-vms-to",
    "x-uidl",
    "x-face",
    "to",
    "cc",
    "from",
    "subject",
    "references",
    "in-reply-to",
    "message-id",
    "x-message-id",
    "resent-message-id",
];

/// Subject IDs are not looked for any more: they never told anything.
fn never(_: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(false)
}

/// Nobody is named as recipient.
fn missing_to(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(context.header("To").or_else(|| context.header("Apparently-To")).is_none())
}

/// `(field, ratio, least)`: at least that many octets, and that part of all, should have been
/// encoded. Whole UTF-8 is as well as encoded.
fn illegal_chars(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let [field, ratio, least, ..] = arguments else { return flag(false) };
    let selector = match field.text.as_str() {
        name if name.ends_with(":raw") => name.to_owned(),
        name => format!("{name}:raw"),
    };
    let text = context.octets(&selector).unwrap_or_default();
    if text.trim_ascii().is_empty() {
        return flag(false);
    }
    let control = |b: &u8| matches!(b, 0..=8 | 11 | 12 | 14..=31);
    let is_unicode = !text.is_ascii() && std::str::from_utf8(&text).is_ok();
    if is_unicode && !text.iter().any(control) {
        return flag(false);
    }
    let mut illegal = text.iter().filter(|b| control(b) || **b >= 0x7f).count();
    if illegal > 0 && selector.eq_ignore_ascii_case("subject:raw") {
        // One sign for a currency or a trade mark is nothing.
        let signs = text.iter().filter(|b| matches!(b, 0xa2 | 0xa3 | 0xae)).count();
        illegal -= usize::from(signs == 1);
    }
    let illegal = count(illegal);
    flag(illegal / count(text.len()) >= ratio.number() && illegal >= least.number())
}

/// `(field, least, most)`: how many different fields of that name there are.
fn header_count(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let [field, least, most, ..] = arguments else { return flag(false) };
    let mut fields = context.list(&field.text);
    fields.sort_unstable();
    fields.dedup();
    flag((least.number()..=most.number()).contains(&count(fields.len())))
}

/// A field still has the `%PLACE_HOLDER` of a mass mailer.
fn unresolved_template(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let all = context.text("ALL");
    let found = all.split('\n').find(|line| {
        let place_holder = line
            .as_bytes()
            .windows(3)
            .any(|window| matches!(window, [b'%', b'A'..=b'Z', b'A'..=b'Z' | b'_' | b'-']));
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let free = line.contains(':')
            && (FREE_FIELDS.contains(&name.as_str()) || name == "x-original-message-id");
        place_holder && !free
    });
    context.shown = found.map(str::to_owned);
    flag(found.is_some())
}

/// The Message-ID is 28 capitals, a dot and the very address of the sender.
fn ratware_name_id(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let id = context.text("MESSAGEID");
    let address = id.match_indices('<').find_map(|(at, _)| {
        let (inner, _) = id.get(at + 1..)?.split_once('>')?;
        let (name, address) = inner.split_at_checked(28)?;
        let capitals = name.bytes().all(|byte| byte.is_ascii_uppercase());
        address.strip_prefix('.').filter(|address| capitals && !address.is_empty())
    });
    let Some(address) = address else { return flag(false) };
    let from = context.text("From");
    let ends = format!("<{address}>");
    flag(from.match_indices(&ends).any(|(at, _)| {
        // A name in quotes stands before it.
        let before = from.get(..at).unwrap_or_default().trim_end();
        let name = before.strip_suffix('"').and_then(|before| before.rsplit_once('"'));
        name.is_some_and(|(_, name)| !name.is_empty())
    }))
}

/// The envelope sender holds the recipient's address, domain first.
fn ratware_envelope_from(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let to = context.first("To:addr").to_lowercase();
    let from = context.first("EnvelopeFrom:addr").to_lowercase();
    let rewritten = from.strip_prefix("srs").is_some_and(|rest| {
        let mut bytes = rest.bytes();
        bytes.next().is_some_and(|b| b.is_ascii_digit())
            && bytes.next().is_some_and(|b| matches!(b, b'=' | b'+' | b'-'))
    });
    let Some((user, host)) = to.split_once('@') else { return flag(false) };
    let domain = crate::facts::domain::registered(host).into_owned();
    if rewritten || user.is_empty() || !super::ask::has_suffix(&domain) {
        return flag(false);
    }
    flag(from.match_indices(&domain).any(|(at, _)| {
        let before = from.get(..at).and_then(|before| before.chars().next_back());
        let mut rest = from.get(at + domain.len()..).unwrap_or_default().chars();
        let starts = before.is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '_'));
        starts
            && rest.next().is_some()
            && rest.as_str().strip_prefix(user).is_some_and(|rest| rest.starts_with('@'))
    }))
}

/// `('user')` or `('address')`: the Subject speaks to the recipient by what the address says.
fn to_in_subject(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let to = context.first("To:addr");
    let subject = context.text("Subject");
    let subject = subject.strip_suffix('\n').unwrap_or(&subject);
    if to.is_empty() {
        return flag(false);
    }
    flag(match word(arguments, 0) {
        "address" => has_word(&subject.to_ascii_lowercase(), &to.to_ascii_lowercase()),
        "user" => speaks_to(subject, to.split('@').next().unwrap_or_default()),
        _ => false,
    })
}

/// The text stands there with a word boundary at both ends.
fn has_word(text: &str, word: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let (first, last) = (word.chars().next(), word.chars().next_back());
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
        is_word(before) != is_word(first) && is_word(after) != is_word(last)
    })
}

fn speaks_to(subject: &str, user: &str) -> bool {
    const MARKS: [char; 6] = [',', ':', ';', '!', '?', '-'];
    if subject.eq_ignore_ascii_case(user) {
        return true;
    }
    // `user, …`, written as in the address.
    let called = subject.strip_prefix(user).map(str::trim_start).is_some_and(|rest| {
        let after = rest.strip_prefix(MARKS);
        after.is_some_and(|after| after.is_empty() || after.starts_with(char::is_whitespace))
    });
    // `, user!` where a name was to stand in front.
    let nameless = subject.strip_prefix(',').map(str::trim_start).is_some_and(|rest| {
        rest.strip_suffix(MARKS).is_some_and(|rest| rest.eq_ignore_ascii_case(user))
    });
    // `Re: user` or `Re: one user`
    let lower = subject.to_ascii_lowercase();
    let answered = lower.strip_prefix("re:").or_else(|| lower.strip_prefix("fw:"));
    let answered = answered.map(str::trim_start).is_some_and(|rest| {
        let user = user.to_ascii_lowercase();
        let word = rest.strip_suffix(user.as_str()).map(str::trim_end);
        rest == user
            || word.is_some_and(|word| {
                !word.is_empty()
                    && rest
                        .get(word.len()..)
                        .is_some_and(|rest| rest.starts_with(char::is_whitespace))
                    && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            })
    });
    called || nameless || answered
}

/// Two words or more, ten octets or more, and all letters are capitals.
fn all_caps(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let subject = context.text("Subject");
    let mut subject = subject.trim_ascii();
    loop {
        let mark = REPLY_MARKS.iter().find(|mark| {
            subject.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark))
        });
        let Some(mark) = mark else { break };
        subject = subject.get(mark.len()..).unwrap_or_default().trim_ascii_start();
    }
    let spaced = subject.bytes().any(|byte| byte.is_ascii_whitespace() || byte == 0x0b);
    let mut letters = subject.bytes().filter(u8::is_ascii_alphabetic).peekable();
    let capitals = letters.peek().is_some() && letters.all(|byte| byte.is_ascii_uppercase());
    let seems = || {
        let raw = context.text("Subject:raw");
        let mut words = raw.split("=?").skip(1).filter_map(|rest| rest.split_once('?'));
        words.any(|(charset, _)| locales::seems_capital(charset))
    };
    flag(spaced && subject.len() >= 10 && capitals && !seems())
}

/// From and the envelope sender have different domains, by their last two labels.
fn from_domains_differ(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let domain = |selector: &str| {
        let host = host_of(&context.first(selector)).filter(|host| !host.is_empty())?;
        let dots: Vec<usize> = host.match_indices('.').map(|(at, _)| at).collect();
        let cut = dots.len().checked_sub(2).and_then(|index| dots.get(index)).copied();
        // Nothing is cut off where a label would be empty.
        let tail = cut.filter(|at| *at > 0).and_then(|at| host.get(at + 1..));
        let tail = tail.filter(|tail| !tail.starts_with('.') && !tail.ends_with('.'));
        Some(tail.unwrap_or(&host).to_owned())
    };
    let (from, envelope) = (domain("From:addr"), domain("EnvelopeFrom:addr"));
    flag(from.is_some() && envelope.is_some() && from != envelope)
}

/// From and the envelope sender are the same address, or both missing.
fn senders_match(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let envelope = context.first("EnvelopeFrom:addr");
    flag(envelope.eq_ignore_ascii_case(&context.first("From:addr")))
}

/// From or Subject is in a charset that none of `ok_locales` uses.
fn faraway_charset(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let expected = &context.settings.locales;
    if expected.is_empty() {
        return flag(false);
    }
    let found = ["From:raw", "Subject:raw"].iter().find_map(|selector| {
        let raw = context.text(selector);
        let mut words = encoded_words(&raw).into_iter();
        words.find(|charset| !locales::expects(expected, charset)).map(str::to_owned)
    });
    let hit = found.is_some();
    context.shown = found;
    flag(hit)
}

/// Charsets of whole encoded words. The padding of base64 may make an end look like a start.
fn encoded_words(raw: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = raw;
    while let Some((_, word)) = rest.split_once("=?") {
        let parts = word.split_once('?').and_then(|(charset, after)| {
            // A letter for the encoding, the text, the end.
            let text = after.get(1..)?.strip_prefix('?')?;
            Some((charset, text.split_once("?=")?.1))
        });
        match parts {
            Some((charset, after)) if !charset.is_empty() => {
                found.push(charset);
                rest = after;
            }
            Some(_) | None => rest = word,
        }
    }
    found
}
