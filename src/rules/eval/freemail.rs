//! Functions about addresses that anybody can get without telling who they are.

use super::ask::has_suffix;
use super::{Argument, Context, Does, Function, flag};
use crate::rules::domain::Known;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "check_freemail_from", does: Does::Matches(from, &[0]) },
    Function { name: "check_freemail_header", does: Does::Matches(header, &[1]) },
    Function { name: "check_freemail_replyto", does: Does::Runs(reply_to) },
    Function { name: "check_freemail_body", does: Does::Matches(body, &[0]) },
];

/// So many addresses in the text, and it is a list of them that tells nothing.
const MOST_ADDRESSES: usize = 5;
/// Likewise for addresses at free providers.
const MOST_FREE: usize = 3;
/// Octets of the user part of an address in running text.
const USER: usize = 64;
/// Octets in front of a top-level domain that belong to an address.
const HOST: usize = 253;
/// Octets of the text that are looked at.
const TEXT: usize = 256 * 1024;

/// Users that are nobody in particular, whoever has the domain.
const ROLES: [&str; 10] = [
    "abuse",
    "support",
    "sales",
    "info",
    "helpdesk",
    "contact",
    "kontakt",
    "postmaster",
    "hostmaster",
    "domainmaster",
];

/// True when the user part is a role or made by a machine.
fn is_nobody(user: &str) -> bool {
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let groups = |text: &str, separator: char, lengths: &[usize]| {
        let pieces: Vec<&str> = text.split(separator).collect();
        pieces.len() == lengths.len() && pieces.iter().zip(lengths).all(|(piece, l)| hex(piece, *l))
    };
    let equals: Vec<&str> = user.splitn(3, '=').collect();
    ROLES.contains(&user)
        || user.starts_with("undisclosed")
        || user.strip_prefix("request-").is_some_and(|rest| hex(rest, 16))
        || ["bounce-", "bounced-"].contains(&user)
        || groups(user, '.', &[8, 8])
        || groups(user, '-', &[8, 4, 4, 4, 12])
        || (equals.len() == 3 && equals.iter().all(|piece| !piece.is_empty()))
}

/// True for the sender of a list, a bounce or a machine, to whom nobody answers.
fn is_bulk_sender(sender: &str) -> bool {
    let sender = sender.to_ascii_lowercase();
    let Some((user, _)) = sender.rsplit_once('@') else { return false };
    let ends = |marks: &[&str]| marks.iter().any(|mark| user.ends_with(mark));
    let named = |marks: &[&str]| {
        marks.iter().any(|mark| {
            user.strip_prefix(mark)
                .and_then(|rest| rest.strip_prefix('-'))
                .is_some_and(|r| !r.is_empty())
        })
    };
    let machine = || {
        let user = user.replace(['.', '_', '-'], "");
        ends_at_word(&user, "noreply") || ends_at_word(&user, "noreplies")
    };
    ["postmaster", "hostmaster", "domainmaster", "double-bounce"].contains(&user)
        || named(&["sentto", "owner", "return", "bounce", "bounced", "grbounce", "grbounced"])
        || ends(&["-request", "-bounce", "-bounces", "-admin", "-owner"])
        || machine()
        || user.split_once('=').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty())
}

/// The text ends with the word, perhaps with `do` in front, and nothing else is glued to it.
fn ends_at_word(text: &str, word: &str) -> bool {
    text.strip_suffix(word).is_some_and(|before| {
        let before = before.strip_suffix("do").unwrap_or(before);
        before.chars().next_back().is_none_or(|c| !c.is_ascii_alphanumeric())
    })
}

/// True when anybody can get the address.
fn is_free(context: &Context<'_, '_, '_>, address: &str) -> bool {
    let (user, domain) = address.rsplit_once('@').unwrap_or(("", address));
    let settings = context.settings;
    let welcome = &settings.freemail_welcome;
    let excused = welcome.contains(address)
        || welcome.contains(domain)
        || (address.contains('@') && is_nobody(user));
    !excused && !address.is_empty() && settings.freemail.contains(domain)
}

fn lower(addresses: Vec<String>) -> Vec<String> {
    addresses.into_iter().map(|address| address.to_lowercase()).collect()
}

/// The first free address that the regex, if any, fits.
fn any_free(
    context: &mut Context<'_, '_, '_>,
    addresses: Vec<String>,
    regex: Option<&Argument>,
) -> Known {
    for address in lower(addresses) {
        let fits = is_free(context, &address)
            && regex.is_none_or(|regex| context.matches(regex, address.as_bytes()));
        if fits {
            context.shown = Some(address);
            return flag(true);
        }
    }
    flag(false)
}

/// `(regex)`: a sender is at a free provider.
fn from(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    any_free(context, context.senders(), arguments.first())
}

/// `(field, regex)`: an address of the field is at a free provider.
fn header(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let Some(field) = arguments.first() else { return flag(false) };
    let addresses = context.list(&format!("{}:addr", field.text));
    any_free(context, addresses, arguments.get(1))
}

/// `(regex)`: an address in the text is at a free provider.
fn body(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let Some(free) = free_in_text(context) else { return flag(false) };
    any_free(context, free, arguments.first())
}

/// `('replyto')`: answers go to another free address than the sender's, or the text names
/// another one than answers go to. `('reply')`: without Reply-To, answers go to the sender.
fn reply_to(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let to_sender = arguments.first().is_some_and(|argument| argument.text == "reply");
    if context.settings.freemail.is_empty() || is_bulk_sender(&context.first("EnvelopeFrom")) {
        return flag(false);
    }
    let from = lower(context.list("From:addr"));
    let reply = lower(context.list("Reply-To:addr"));
    let free = |addresses: &[String]| addresses.iter().any(|address| is_free(context, address));
    let (from_free, reply_free) = (free(&from), free(&reply));
    let disjoint = from.iter().all(|address| !reply.contains(address));
    if from_free && reply_free && disjoint {
        context.shown = Some(format!("{} -> {}", from.join(","), reply.join(",")));
        return flag(true);
    }
    let asked = if to_sender { (reply.is_empty() || reply_free) && from_free } else { reply_free };
    let Some(in_text) = Some(()).filter(|()| asked).and_then(|()| free_in_text(context)) else {
        return flag(false);
    };
    let answers = if reply_free { reply } else { from };
    let pair = in_text
        .iter()
        .flat_map(|other| answers.iter().map(move |address| (address, other)))
        .find(|(address, other)| address != other);
    context.shown = pair.map(|(address, other)| format!("{address}, {other}"));
    flag(context.shown.is_some())
}

/// Free addresses of links and of the text, each once; none when there are too many
/// addresses to tell anything.
fn free_in_text(context: &Context<'_, '_, '_>) -> Option<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |address: String| {
        if !found.contains(&address) {
            found.push(address);
        }
        found.len() < MOST_ADDRESSES
    };
    for uri in context.links() {
        let is = |name: &str| uri.types.iter().any(|kind| kind == name);
        let scheme = uri.raw.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
        if is("a") && !is("parsed") && scheme.is_some() {
            let rest = uri.raw.get(7..).unwrap_or_default();
            let address = addresses(rest).into_iter().find(|address| address.start == 0);
            if address.is_some_and(|address| !add(address.lower(rest))) {
                return None;
            }
        }
    }
    let mut budget = TEXT;
    for paragraph in context.body() {
        if paragraph.len() > budget {
            break;
        }
        budget -= paragraph.len();
        let text = without_quoted(&without_links(&String::from_utf8_lossy(paragraph)));
        for address in addresses(&text) {
            if !add(address.lower(&text)) {
                return None;
            }
        }
    }
    found.retain(|address| is_free(context, address));
    (found.len() < MOST_FREE).then_some(found)
}

/// An address in running text, as a byte range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Address {
    start: usize,
    end: usize,
}

impl Address {
    fn lower(self, text: &str) -> String {
        text.get(self.start..self.end).unwrap_or_default().to_lowercase()
    }
}

/// Addresses that stand in a text, left to right.
fn addresses(text: &str) -> Vec<Address> {
    let bytes = text.as_bytes();
    let user = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(b);
    let mut found: Vec<Address> = Vec::new();
    for at in memchr::memchr_iter(b'@', bytes) {
        let free_from = found.last().map_or(0, |last| last.end);
        let before = bytes.get(free_from.max(at.saturating_sub(USER))..at).unwrap_or_default();
        let mut length = before.iter().rev().take_while(|b| user(b) || **b == b'.').count();
        // No dot in front, at the end or twice.
        let word = |length: usize| before.get(before.len() - length..).unwrap_or_default();
        if let Some(twice) = word(length).windows(2).rposition(|pair| pair == b"..") {
            length -= twice + 2;
        }
        let dots = word(length).iter().take_while(|b| **b == b'.').count();
        length -= dots;
        let host = bytes.get(at + 1..).map_or(0, host_length);
        if length > 0 && !word(length).ends_with(b".") && host > 0 {
            found.push(Address { start: at - length, end: at + 1 + host });
        }
    }
    found
}

/// Octets of the host at the start of a text: up to five labels, the last one a known
/// top-level domain that ends there.
fn host_length(text: &[u8]) -> usize {
    let label = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
    let text = text.get(..HOST).unwrap_or(text);
    let (mut at, mut best) = (0, 0);
    for index in 0..5 {
        let rest = text.get(at..).unwrap_or_default();
        let length = rest.iter().take_while(|b| label(b)).count();
        let word = rest.get(..length).unwrap_or_default();
        let next = rest.get(length..).unwrap_or_default();
        let ends = !matches!(next, [b'.', next, ..] if next.is_ascii_alphanumeric());
        if index > 0 && ends && is_top_level(word) {
            best = at + length;
        }
        let fits = (1..=61).contains(&length) && !word.starts_with(b"-") && !word.ends_with(b"-");
        if !fits || next.first() != Some(&b'.') {
            break;
        }
        at += length + 1;
    }
    best
}

fn is_top_level(label: &[u8]) -> bool {
    has_suffix(&format!("x.{}", String::from_utf8_lossy(label).to_ascii_lowercase()))
}

/// Links that hold an `@` taken out, with the white space around them left.
fn without_links(text: &str) -> String {
    let links = |word: &str| {
        let lower = word.to_ascii_lowercase();
        let at = [lower.find("http://"), lower.find("https://")].into_iter().flatten().min()?;
        let link = lower.get(at..)?;
        (link.contains('@') || link.contains("%40")).then_some(at)
    };
    let keep = |word: &str| match links(word) {
        Some(at) => word.get(..at).unwrap_or_default().trim_end_matches('<').to_owned(),
        None => word.to_owned(),
    };
    text.split(' ').map(keep).collect::<Vec<_>>().join(" ")
}

/// Addresses in angle brackets, and those that are quoted (`a@b wrote:`), taken out.
fn without_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for address in addresses(text) {
        let before = text.get(done..address.start).unwrap_or_default();
        let after = text.get(address.end..).unwrap_or_default();
        let is_link = before.to_ascii_lowercase().ends_with("mailto:");
        if is_link || !(after.starts_with('>') || is_quoting(after)) {
            continue;
        }
        out.push_str(before.strip_suffix('<').unwrap_or(before));
        out.push(' ');
        let rest = after
            .strip_prefix('>')
            .unwrap_or_else(|| after.split_once(':').map_or(after, |(_, rest)| rest));
        done = text.len() - rest.len();
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// ` wrote:` but not ` phone:`
fn is_quoting(after: &str) -> bool {
    let word = after.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let gap = after.len() - word.len();
    let length = word.bytes().take_while(u8::is_ascii_alphabetic).count();
    let rest = word.get(length..).unwrap_or_default();
    let lower = word.to_ascii_lowercase();
    let other = ["fax", "facsi", "tel", "phone", "mail", "email"];
    (1..=10).contains(&gap)
        && (2..=11).contains(&length)
        && rest.starts_with(':')
        && !other.iter().any(|start| lower.starts_with(start))
}
