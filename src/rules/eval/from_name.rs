//! Functions about names of senders that are addresses: `"boss@firm.example" <x@other.example>`.

use super::ask::domain_of;
use super::{Argument, Context, Does, Function, flag, word};
use crate::message::Mechanism;
use crate::rules::domain::Known;
use crate::rules::settings::FromNames;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "check_fromname_spoof", does: Does::Runs(spoof) },
    Function {
        name: "check_fromname_different",
        does: Does::Runs(|c, _| ask(c, |found| found.address_differs)),
    },
    Function {
        name: "check_fromname_domain_differ",
        does: Does::Runs(|c, _| ask(c, |found| found.domain_differs)),
    },
    Function {
        name: "check_fromname_owners_differ",
        does: Does::Runs(|c, _| ask(c, |found| found.owner_differs)),
    },
    Function {
        name: "check_fromname_contains_email",
        does: Does::Runs(|c, _| ask(c, |found| found.holds_address)),
    },
    Function {
        name: "check_fromname_equals_to",
        does: Does::Runs(|c, _| ask(c, |found| found.equals_to)),
    },
    Function {
        name: "check_fromname_equals_replyto",
        does: Does::Runs(|c, _| ask(c, |found| found.equals_reply_to)),
    },
];

/// Octets of a name that are looked at.
const NAME: usize = 2_000;

/// What the name says beside the address.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent answers, one a function")]
struct Comparison {
    /// The address in the name.
    named: String,
    holds_address: bool,
    /// The name is another address,
    address_differs: bool,
    /// of another domain,
    domain_differs: bool,
    /// of another owner,
    owner_differs: bool,
    /// the one that answers go to,
    equals_reply_to: bool,
    /// that of a recipient.
    equals_to: bool,
}

/// An address and who has it.
struct Party {
    address: String,
    domain: String,
    owner: String,
}

impl Party {
    fn new(address: &str, names: &FromNames) -> Option<Self> {
        let domain = domain_of(address)?;
        let owner = owner(address, &domain, names);
        Some(Self { address: address.to_owned(), domain, owner })
    }
}

/// The list that has the address, also without the host's part of the domain; else the first
/// label of the domain.
fn owner(address: &str, domain: &str, names: &FromNames) -> String {
    let user = address.split('@').next().unwrap_or_default();
    let at_domain = format!("{user}@{domain}");
    for address in [address, &at_domain] {
        let lists = &names.owners;
        let found = lists.iter().find(|(_, globs)| globs.iter().any(|glob| glob.matches(address)));
        if let Some((owner, _)) = found {
            return owner.clone();
        }
    }
    domain.split('.').next().unwrap_or_default().to_owned()
}

fn compare(context: &Context<'_, '_, '_>) -> Comparison {
    let names = &context.settings.from_names;
    let mut found = Comparison::default();
    if is_excused(context, names) {
        return found;
    }
    let from = context.first("From:addr").to_lowercase();
    let name = context.first("From:name").to_lowercase();
    let Some(from) = Party::new(&from, names) else { return found };
    let Some(shown) = address_in(&name).and_then(|address| Party::new(&address, names)) else {
        return found;
    };
    found.holds_address = true;
    // Letters around the address count once, everything else twice.
    let strange = |text: &str| {
        text.bytes().filter(|b| !(b.is_ascii_lowercase() || b.is_ascii_digit())).count()
    };
    let around = name.len() - shown.address.len() + strange(&name) - strange(&shown.address);
    if around > names.extra {
        return found;
    }
    found.address_differs = shown.address != from.address;
    found.domain_differs = shown.domain != from.domain;
    found.owner_differs = shown.owner != from.owner;
    found.equals_reply_to = shown.address == context.first("Reply-To:addr").to_lowercase();
    found.equals_to = context.recipients().contains(&shown.address);
    found.named = shown.address;
    found
}

fn is_excused(context: &Context<'_, '_, '_>, names: &FromNames) -> bool {
    let filled = |field: &String| context.header(field).is_some_and(|text| !text.is_empty());
    let results = context.facts.authentication.as_ref();
    let signed = results.is_some_and(|results| {
        results.of(Mechanism::Dkim).any(|result| {
            let domain = result.domain.as_deref().unwrap_or_default();
            result.passes() && names.signers.contains(domain)
        })
    });
    signed || names.fields.iter().any(filled)
}

/// The address that stands in a name (lower case).
fn address_in(name: &str) -> Option<String> {
    let bytes = name.as_bytes().get(..name.floor_char_boundary(NAME))?;
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let user = |b: u8| word(b) || b".!#$%&'*+/=?^`{|}~-".contains(&b);
    memchr::memchr_iter(b'@', bytes).find_map(|at| {
        let before = bytes.get(..at)?;
        let length = before.iter().rev().take_while(|b| user(**b)).count();
        let left = before.get(at - length..)?;
        // It begins at the edge of a word.
        let edge = left.iter().enumerate().position(|(index, b)| {
            let previous = match index.checked_sub(1) {
                Some(index) => left.get(index),
                None => (at - length).checked_sub(1).and_then(|at| before.get(at)),
            };
            word(*b) != previous.is_some_and(|b| word(*b))
        })?;
        let right = bytes.get(at + 1..)?;
        let length = right.iter().take_while(|b| word(**b) || matches!(b, b'.' | b'-')).count();
        let host = right.get(..length)?;
        let (first, rest) = host.split_at_checked(host.iter().position(|b| *b == b'.')?)?;
        let fits = first.first().is_some_and(|b| word(*b))
            && rest.get(1).is_some_and(|b| word(*b))
            && rest.len() > 2
            && host.last().is_some_and(|b| word(*b));
        let address = [left.get(edge..)?, b"@", host].concat();
        fits.then(|| String::from_utf8_lossy(&address).into_owned())
    })
}

/// A question that the comparison answers.
fn ask(context: &mut Context<'_, '_, '_>, question: impl Fn(&Comparison) -> bool) -> Known {
    let found = compare(context);
    let hit = question(&found);
    context.shown = hit.then_some(found.named);
    flag(hit)
}

/// `(0, 1 or 2)`: the name is another address, one of another owner, one of another domain.
fn spoof(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let check = match word(arguments, 0) {
        "0" => 0,
        "1" => 1,
        "2" => 2,
        _ => context.settings.from_names.check,
    };
    ask(context, |found| {
        found.address_differs
            && match check {
                0 => true,
                1 => found.owner_differs,
                _ => found.domain_differs,
            }
    })
}
