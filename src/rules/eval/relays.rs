//! Functions about the hops of the mail.

use super::ask::known;
use super::{Argument, Context, Does, Function};
use crate::facts::domain;
use crate::facts::mail::{Relay, is_private};
use crate::rules::domain::Known;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "check_all_trusted", does: Does::Runs(all_trusted) },
    Function { name: "check_no_relays", does: Does::Runs(no_relays) },
    Function { name: "check_relays_unparseable", does: Does::Runs(unparseable) },
    Function { name: "check_for_no_rdns_dotcom_helo", does: Does::Runs(nameless_big_name) },
    Function { name: "check_for_forged_received_trail", does: Does::Runs(forged_trail) },
    Function { name: "check_for_forged_received_ip_helo", does: Does::Runs(forged_address) },
    Function { name: "helo_ip_mismatch", does: Does::Runs(address_mismatch) },
    Function { name: "check_for_numeric_helo", does: Does::Runs(numeric_helo) },
    Function { name: "check_for_illegal_ip", does: Does::Runs(never) },
    Function { name: "check_for_sender_no_reverse", does: Does::Runs(sender_nameless) },
    Function {
        name: "check_for_from_domain_in_received_headers",
        does: Does::Runs(from_domain_in_hops),
    },
    Function { name: "check_mailfrom_matches_rcvd", does: Does::Runs(sender_matches_hop) },
];

/// Domains whose hosts always have names.
const BIG_NAMES: [&str; 11] = [
    "lycos.com",
    "lycos.co.uk",
    "hotmail.com",
    "localhost.com",
    "excite.com",
    "caramail.com",
    "cs.com",
    "aol.com",
    "msn.com",
    "yahoo.com",
    "drizzle.com",
];

/// Illegal addresses are not looked for any more.
fn never(_: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    known(false)
}

/// All hops are known, understood and ours or trusted.
fn all_trusted(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let relays = context.relays();
    let trusted = relays.trusted().next().is_some() && relays.untrusted().next().is_none();
    known(trusted && relays.unparseable == 0)
}

/// The mail has no hop at all.
fn no_relays(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let relays = context.relays();
    known(relays.all.is_empty() && relays.unparseable == 0)
}

/// A Received field cannot be understood.
fn unparseable(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    known(context.relays().unparseable > 0)
}

/// The first public hop calls itself a big provider's host and has no name in DNS.
fn nameless_big_name(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    // The hop nearest to the sender decides alone.
    let first = context.relays().untrusted().filter(|relay| !relay.ip_private).last();
    known(first.is_some_and(|relay| {
        let helo = relay.helo.to_ascii_lowercase();
        let big = BIG_NAMES.iter().any(|name| {
            helo.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        });
        big && relay.no_reverse_dns
    }))
}

/// Two hops or more do not follow each other: one was received by another host than the one
/// that sent it on.
fn forged_trail(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    known(Trail::read(context).breaks > 1)
}

/// A hop calls itself by an address that is not near its own.
fn forged_address(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    known(Trail::read(context).foreign_addresses > 0)
}

#[derive(Default)]
struct Trail {
    breaks: usize,
    foreign_addresses: usize,
}

impl Trail {
    fn read(context: &Context<'_, '_, '_>) -> Self {
        let mut trail = Self::default();
        let mut previous: Option<String> = None;
        for relay in context.relays().untrusted() {
            let mut from = Some(short(&relay.rdns.to_ascii_lowercase()));
            let by = short(&relay.by.to_ascii_lowercase());
            if is_name(&by) {
                let local = ["localhost", "localhost.localdomain"];
                if relay.ip == "127.0.0.1"
                    && from.as_ref().is_some_and(|f| local.contains(&f.as_str()))
                {
                    // The mail goes round in one host.
                    from = None;
                }
                trail.foreign_addresses += usize::from(has_foreign_address(relay));
                let breaks = previous.as_ref().is_some_and(|previous| {
                    is_name(previous)
                        && *previous != by
                        && !(by == "msn.com" && previous == "hotmail.com")
                });
                trail.breaks += usize::from(breaks);
            }
            previous = from;
        }
        trail
    }
}

/// The last two labels of a host, or three where the last one is a country's.
fn short(host: &str) -> String {
    if !host.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return host.to_owned();
    }
    let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    let last = labels.last().copied().unwrap_or_default();
    let wide = last.len() >= 3 || ["ie", "fr", "de"].contains(&last);
    let keep = if wide { 2 } else { 3 };
    if labels.len() < keep {
        return host.to_owned();
    }
    labels.get(labels.len() - keep..).unwrap_or_default().join(".")
}

/// True for a name with a domain: two labels, the first one longer than a letter.
fn is_name(host: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let Some((left, last)) = host.rsplit_once('.') else { return false };
    left.len() >= 2
        && left.bytes().next().is_some_and(word)
        && left.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
        && !last.is_empty()
        && last.bytes().all(word)
}

fn has_foreign_address(relay: &Relay) -> bool {
    let helo = short(&relay.helo.to_ascii_lowercase());
    let start = |ip: &str| {
        let numbers: Vec<&str> = ip.split('.').collect();
        let fits = numbers.len() == 4
            && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        fits.then(|| numbers.into_iter().take(2).map(str::to_owned).collect::<Vec<_>>())
    };
    let (Some(called), Some(own)) = (start(&helo), start(&relay.ip)) else { return false };
    called != own && !is_private(&helo)
}

/// A hop calls itself by a public address that is not in the same /24 as its own.
fn address_mismatch(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    known(context.relays().untrusted().any(|relay| {
        let public = |ip: &str| is_ipv4(ip) && !is_private(ip);
        let near = relay.helo.rsplit_once('.').map(|(net, _)| net)
            == relay.ip.rsplit_once('.').map(|(net, _)| net);
        public(&relay.helo) && public(&relay.ip) && !near
    }))
}

fn is_ipv4(text: &str) -> bool {
    text.parse::<std::net::Ipv4Addr>().is_ok()
}

/// The last hop with an address for a name has a public one.
fn numeric_helo(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let called = context.relays().untrusted().map(|relay| relay.helo.as_str());
    known(called.into_iter().find(|helo| is_ipv4(helo)).is_some_and(|helo| !is_private(helo)))
}

/// The first hop is public and has a name with a dot. (What the name promises is the
/// contrary; rules rely on what SpamAssassin does.)
fn sender_nameless(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let first = context.relays().untrusted().last();
    known(first.is_some_and(|relay| relay.rdns.contains('.') && !relay.ip_private))
}

/// `(domain, 'true' or 'false')`: From is of that domain, and a hop was (or was not) between
/// its own hosts.
fn from_domain_in_hops(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let [domain, desired, ..] = arguments else { return known(false) };
    let domain = domain.text.to_ascii_lowercase();
    let starts = |text: &str, at: usize| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '_'))
    };
    let from = context.first("From:addr").to_ascii_lowercase();
    if !from.match_indices(&domain).any(|(at, _)| starts(&from, at)) {
        return known(false);
    }
    let own = |host: &str| {
        let at = host.len().checked_sub(domain.len()).filter(|_| host.ends_with(&domain));
        at.is_some_and(|at| starts(host, at))
    };
    let found = context.relays().all.iter().any(|relay| own(&relay.rdns) && own(&relay.by));
    known(found == (desired.text == "true"))
}

/// The hop that gave us the mail is of the envelope sender's domain.
fn sender_matches_hop(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let sender = context.first("EnvelopeFrom:addr");
    let Some(host) = super::ask::host_of(&sender) else { return known(false) };
    let labels = host.rsplit_once('.').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
    let sender = domain::registered(&host);
    known(
        labels
            && delivering(context).into_iter().any(|relay| {
                let name = relay.rdns.trim_matches('.');
                !name.is_empty() && domain::registered(name) == sender
            }),
    )
}

/// The hops that a sender is compared with: the first one that cannot be believed, or all
/// where all can.
pub(super) fn delivering<'c>(context: &'c Context<'_, '_, '_>) -> Vec<&'c Relay> {
    let relays = context.relays();
    relays.untrusted().next().map_or_else(|| relays.trusted().collect(), |relay| vec![relay])
}
