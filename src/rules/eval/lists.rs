//! Functions about lists of senders, recipients, subjects and hosts in rule files.

use std::net::IpAddr;

use super::relays::delivering;
use super::{Argument, Context, Does, Function, flag};
use crate::facts::mail::Relay;
use crate::facts::mail::relays::address;
use crate::facts::mail::uris;
use crate::rules::domain::Known;
use crate::rules::glob::Glob;
use crate::rules::settings::Sender;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "check_from_in_welcomelist", does: Does::Runs(from_welcome) },
    Function { name: "check_from_in_default_welcomelist", does: Does::Runs(from_default_welcome) },
    Function { name: "check_forged_in_welcomelist", does: Does::Runs(forged_welcome) },
    Function {
        name: "check_forged_in_default_welcomelist",
        does: Does::Runs(forged_default_welcome),
    },
    Function { name: "check_from_in_blocklist", does: Does::Runs(from_blocked) },
    Function { name: "check_to_in_blocklist", does: Does::Runs(to_blocked) },
    Function { name: "check_to_in_welcomelist", does: Does::Runs(to_welcome) },
    Function { name: "check_to_in_more_spam", does: Does::Runs(to_more_spam) },
    Function { name: "check_to_in_all_spam", does: Does::Runs(to_all_spam) },
    Function { name: "check_from_in_list", does: Does::Runs(from_in_list) },
    Function { name: "check_to_in_list", does: Does::Runs(to_in_list) },
    Function { name: "check_replyto_in_list", does: Does::Runs(reply_to_in_list) },
    Function { name: "check_uri_host_listed", does: Does::Runs(host_listed) },
    Function { name: "check_uri_host_in_blocklist", does: Does::Runs(host_blocked) },
    Function { name: "check_uri_host_in_welcomelist", does: Does::Runs(host_welcome) },
    Function { name: "check_subject_in_welcomelist", does: Does::Runs(subject_welcome) },
    Function { name: "check_subject_in_blocklist", does: Does::Runs(subject_blocked) },
];

/// The entries of a directive.
fn entries<'c>(context: &'c Context<'_, '_, '_>, directive: &str) -> &'c [Sender] {
    context.settings.senders.get(directive).map_or(&[], Vec::as_slice)
}

fn fits(globs: &[Sender], text: &str) -> bool {
    let text = text.to_lowercase();
    globs.iter().any(|entry| entry.address.matches(&text))
}

/// The first of the addresses that a directive lists is shown.
fn any_in(context: &mut Context<'_, '_, '_>, addresses: Vec<String>, directive: &str) -> Known {
    let globs = entries(context, directive);
    let found = addresses.into_iter().find(|address| fits(globs, address));
    context.shown = found;
    flag(context.shown.is_some())
}

/// What the hops say of a sender that is welcome from certain hosts.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Welcome {
    Yes,
    No,
    /// The address is welcome, but not from this host.
    Forged,
}

/// `welcomelist_from`, and `welcomelist_from_rcvd` for mail from the right host.
fn welcome(context: &Context<'_, '_, '_>) -> Welcome {
    let plain = entries(context, "welcomelist_from");
    let from_hosts = entries(context, "welcomelist_from_rcvd");
    judged(context, |address, hops| {
        if fits(plain, address) {
            Welcome::Yes
        } else {
            from_host(context, from_hosts, address, hops)
        }
    })
}

/// `def_welcomelist_from_rcvd`
fn default_welcome(context: &Context<'_, '_, '_>) -> Welcome {
    let from_hosts = entries(context, "def_welcomelist_from_rcvd");
    judged(context, |address, hops| from_host(context, from_hosts, address, hops))
}

fn judged(context: &Context<'_, '_, '_>, judge: impl Fn(&str, &[&Relay]) -> Welcome) -> Welcome {
    let hops = delivering(context);
    let mut result = Welcome::No;
    for address in context.senders() {
        match judge(&address, &hops) {
            Welcome::Yes => return Welcome::Yes,
            Welcome::Forged => result = Welcome::Forged,
            Welcome::No => {}
        }
    }
    result
}

fn from_host(
    context: &Context<'_, '_, '_>,
    entries_from_hosts: &[Sender],
    address: &str,
    hops: &[&Relay],
) -> Welcome {
    let address = address.to_lowercase();
    let mut of_address =
        entries_from_hosts.iter().filter(|entry| entry.address.matches(&address)).peekable();
    if hops.is_empty() || of_address.peek().is_none() {
        return Welcome::No;
    }
    let by = |host: &String| hops.iter().any(|hop| is_from(hop, host));
    if of_address.any(|entry| entry.by.iter().any(by)) {
        return Welcome::Yes;
    }
    // Some send mail over other hosts, and are no forgers.
    let anywhere = fits(entries(context, "welcomelist_allows_relays"), &address);
    if anywhere { Welcome::No } else { Welcome::Forged }
}

/// True when the hop has the name, one below it, or the address written `[192.0.2.0/24]`.
fn is_from(hop: &Relay, host: &str) -> bool {
    let Some((net, length)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        let name = hop.rdns.to_ascii_lowercase();
        return name.strip_suffix(host).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    };
    let (net, length) = match net.split_once('/') {
        Some((net, inner)) => (net, Some(inner)),
        None => (net, length.strip_prefix('/')),
    };
    let Some(ip) = address::parse(&hop.ip) else { return false };
    match (net.parse::<IpAddr>(), length) {
        (Ok(net), None) => net == ip,
        (Ok(net), Some(length)) => {
            length.parse().is_ok_and(|length: u32| is_within(ip, net, length))
        }
        // `192.0.2.` and `192.0.2` are networks, too.
        (Err(_), _) => {
            let classful = !net.is_empty() && net.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            classful && hop.ip.starts_with(&format!("{}.", net.trim_end_matches('.')))
        }
    }
}

fn is_within(ip: IpAddr, net: IpAddr, length: u32) -> bool {
    let same = |a: u128, b: u128, width: u32| {
        length <= width && (length == 0 || (a ^ b) >> (width - length) == 0)
    };
    match (ip, net) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// The sender is in `welcomelist_from`, or in `…_rcvd` and comes from the right host.
fn from_welcome(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(welcome(context) == Welcome::Yes)
}

/// Likewise by the lists that come with the rules.
fn from_default_welcome(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(default_welcome(context) == Welcome::Yes)
}

/// The sender is welcome, but not from this host.
fn forged_welcome(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(welcome(context) == Welcome::Forged && default_welcome(context) == Welcome::No)
}

/// Likewise by the lists that come with the rules.
fn forged_default_welcome(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(default_welcome(context) == Welcome::Forged && welcome(context) == Welcome::No)
}

/// The sender is in `blocklist_from`.
fn from_blocked(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    any_in(context, context.senders(), "blocklist_from")
}

/// A recipient is in `blocklist_to`.
fn to_blocked(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    any_in(context, context.recipients(), "blocklist_to")
}

/// A recipient is in `welcomelist_to`.
fn to_welcome(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    any_in(context, context.recipients(), "welcomelist_to")
}

/// A recipient is in `more_spam_to`.
fn to_more_spam(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    any_in(context, context.recipients(), "more_spam_to")
}

/// A recipient is in `all_spam_to`.
fn to_all_spam(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    any_in(context, context.recipients(), "all_spam_to")
}

/// `(NAME)`: the first of the addresses that is in an `enlist_addrlist`, or in the list of a
/// directive.
fn named(
    context: &mut Context<'_, '_, '_>,
    addresses: Vec<String>,
    arguments: &[Argument],
) -> Known {
    let Some(name) = arguments.first() else { return flag(false) };
    let Some(globs) = context.settings.addresses.get(&name.text) else {
        let directive = crate::rules::settings::present_name(&name.text);
        return any_in(context, addresses, &directive);
    };
    let listed = |address: &String| {
        let address = address.to_lowercase();
        globs.iter().any(|glob: &Glob| glob.matches(&address))
    };
    context.shown = addresses.into_iter().find(listed);
    flag(context.shown.is_some())
}

/// `(NAME)`: the sender is in the list.
fn from_in_list(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    named(context, context.senders(), arguments)
}

/// `(NAME)`: a recipient is in the list.
fn to_in_list(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    named(context, context.recipients(), arguments)
}

/// `(NAME)`: the first address that answers go to is in the list.
fn reply_to_in_list(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let address = context.first("Reply-To:addr");
    let addresses = if address.is_empty() { Vec::new() } else { vec![address] };
    named(context, addresses, arguments)
}

/// `(NAME)`: a link leads to a host of an `enlist_uri_host`.
fn host_listed(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let Some(name) = arguments.first() else { return flag(false) };
    host_in(context, &name.text)
}

/// A link leads to a host of `blocklist_uri_host`.
fn host_blocked(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    host_in(context, "BLOCK")
}

/// A link leads to a host of `welcomelist_uri_host`.
fn host_welcome(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    host_in(context, "WELCOME")
}

fn host_in(context: &mut Context<'_, '_, '_>, list: &str) -> Known {
    let Some(list) = context.settings.hosts.get(list) else { return flag(false) };
    let found = uris::listed_host(context.links(), |host| list.verdict(host));
    context.shown = found.map(str::to_owned);
    flag(context.shown.is_some())
}

/// The Subject holds an entry of `welcomelist_subject`.
fn subject_welcome(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let subject = context.list("Subject");
    any_in(context, subject, "welcomelist_subject")
}

/// The Subject holds an entry of `blocklist_subject`.
fn subject_blocked(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let subject = context.list("Subject");
    any_in(context, subject, "blocklist_subject")
}
