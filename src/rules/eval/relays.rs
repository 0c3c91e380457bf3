//! Functions about the hops of the mail.

use super::{Argument, Context, Does, Function, flag};
use crate::facts::domain;
use crate::facts::mail::relays::checks;
use crate::facts::mail::{Relay, Relays};
use crate::rules::domain::Known;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "check_all_trusted", does: Does::Runs(|c, _| ask(c, checks::all_trusted)) },
    Function { name: "check_no_relays", does: Does::Runs(|c, _| ask(c, checks::no_relays)) },
    Function {
        name: "check_relays_unparseable",
        does: Does::Runs(|c, _| ask(c, checks::relays_unparseable)),
    },
    Function {
        name: "check_for_no_rdns_dotcom_helo",
        does: Does::Runs(|c, _| ask(c, checks::no_rdns_dotcom_helo)),
    },
    Function {
        name: "check_for_forged_received_trail",
        does: Does::Runs(|c, _| ask(c, checks::forged_received_trail)),
    },
    Function {
        name: "check_for_forged_received_ip_helo",
        does: Does::Runs(|c, _| ask(c, checks::forged_received_ip_helo)),
    },
    Function {
        name: "helo_ip_mismatch",
        does: Does::Runs(|c, _| ask(c, checks::helo_ip_mismatch)),
    },
    Function { name: "check_for_fake_aol_relay_in_rcvd", does: Does::Runs(fake_aol) },
    Function {
        name: "check_for_numeric_helo",
        does: Does::Runs(|c, _| ask(c, checks::numeric_helo)),
    },
    Function { name: "check_for_illegal_ip", does: Does::Runs(|c, _| ask(c, checks::illegal_ip)) },
    Function {
        name: "check_for_sender_no_reverse",
        does: Does::Runs(|c, _| ask(c, checks::sender_no_reverse)),
    },
    Function {
        name: "check_for_from_domain_in_received_headers",
        does: Does::Runs(from_domain_in_hops),
    },
    Function { name: "check_mailfrom_matches_rcvd", does: Does::Runs(sender_matches_hop) },
];

/// A question that the hops alone answer.
fn ask(context: &Context<'_, '_, '_>, question: fn(&Relays) -> bool) -> Known {
    flag(question(context.relays()))
}

/// A hop has a name as AOL's relays have, and none of AOL's traces.
fn fake_aol(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(checks::fake_aol_relay(context.text("Received").as_bytes()))
}

/// `(domain, 'true' or 'false')`: From is of that domain, and a hop was (or was not) between
/// its own hosts.
fn from_domain_in_hops(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let [domain, desired, ..] = arguments else { return flag(false) };
    let domain = domain.text.to_ascii_lowercase();
    let starts = |text: &str, at: usize| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '_'))
    };
    let from = context.first("From:addr").to_ascii_lowercase();
    if !from.match_indices(&domain).any(|(at, _)| starts(&from, at)) {
        return flag(false);
    }
    let own = |host: &str| {
        let at = host.len().checked_sub(domain.len()).filter(|_| host.ends_with(&domain));
        at.is_some_and(|at| starts(host, at))
    };
    let found = context.relays().all.iter().any(|relay| own(&relay.rdns) && own(&relay.by));
    flag(found == (desired.text == "true"))
}

/// The hop that gave us the mail is of the envelope sender's domain.
fn sender_matches_hop(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let sender = context.first("EnvelopeFrom:addr");
    let Some(host) = super::ask::host_of(&sender) else { return flag(false) };
    let labels = host.rsplit_once('.').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
    let sender = domain::registered(&host);
    flag(
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
