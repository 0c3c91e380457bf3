//! Functions about long lists of recipients.

use super::dates::within;
use super::{Argument, Context, Does, Function, flag};
use crate::rules::domain::Known;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "sorted_recipients", does: Does::Runs(sorted) },
    Function { name: "similar_recipients", does: Does::Runs(similar) },
];

/// Recipients that are compared, each one with each other.
const MOST: usize = 256;
/// So few may be sorted by chance.
const LEAST_SORTED: usize = 7;
/// So few may be similar by chance.
const LEAST_SIMILAR: usize = 5;

fn recipients(context: &Context<'_, '_, '_>) -> Vec<String> {
    let mut all = context.list("ToCc:addr");
    if all.len() < LEAST_SIMILAR {
        all.extend(context.list("Bcc:addr"));
    }
    all.retain(|address| !address.is_empty());
    all.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    all.truncate(MOST);
    all
}

/// The recipients are in alphabetical order.
fn sorted(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let all = recipients(context);
    flag(all.len() >= LEAST_SORTED && all.is_sorted())
}

/// `(least, most)`: how alike the recipients are, by the first two octets of user and host.
fn similar(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let all = recipients(context);
    let similarity = if all.len() >= LEAST_SIMILAR { similarity(&all) } else { 0.0 };
    flag(within(similarity, 1.0, arguments))
}

fn similarity(addresses: &[String]) -> f64 {
    let start = |text: &str| -> Vec<u8> { text.bytes().take(2).collect() };
    let split: Vec<(Vec<u8>, Vec<u8>, &str)> = addresses
        .iter()
        .map(|address| {
            let host = address.split_once('@').map_or("", |(_, host)| host);
            (start(address), start(host), host)
        })
        .collect();
    let (mut alike, mut pairs) = (0_u32, 0_u32);
    for (index, (user, host, full_host)) in split.iter().enumerate() {
        for (other_user, other_host, other_full) in split.iter().skip(index + 1) {
            alike += u32::from(user == other_user);
            alike += u32::from(host == other_host && full_host != other_full);
            pairs += 1;
        }
    }
    f64::from(alike) / f64::from(pairs.max(1))
}
