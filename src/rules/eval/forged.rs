//! Functions about mail that claims to come from a big provider: its own mail has traces that
//! forgers do not know.
//!
//! The traces are those that SpamAssassin knows; some providers are long gone.

use super::ask::{Phrase, has_address, single_spaced};
use super::{Argument, Context, Does, Function, flag};
use crate::rules::domain::Known;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "check_for_forged_hotmail_received_headers",
        does: Does::Runs(forged_hotmail),
    },
    Function { name: "check_for_no_hotmail_received_headers", does: Does::Runs(no_hotmail) },
    Function { name: "check_for_msn_groups_headers", does: Does::Runs(msn_groups) },
    Function {
        name: "check_for_forged_eudoramail_received_headers",
        does: Does::Runs(forged_eudoramail),
    },
    Function { name: "check_for_forged_yahoo_received_headers", does: Does::Runs(forged_yahoo) },
    Function { name: "check_for_forged_juno_received_headers", does: Does::Runs(forged_juno) },
    Function { name: "check_for_forged_gmail_received_headers", does: Does::Runs(forged_gmail) },
    Function { name: "check_for_forged_gw05_received_headers", does: Does::Runs(forged_gateway) },
    Function { name: "gated_through_received_hdr_remover", does: Does::Runs(hops_removed) },
    Function { name: "check_messageid_not_usable", does: Does::Runs(id_not_usable) },
];

fn any(phrases: &[Phrase], text: &str) -> bool {
    phrases.iter().any(|phrase| phrase.is_in(text))
}

/// From ends with that domain, itself or below it; `shotmail.com` does not.
fn is_from(context: &Context<'_, '_, '_>, domain: &str) -> bool {
    let from = context.first("From:addr").to_ascii_lowercase();
    from.strip_suffix(domain).is_some_and(|before| {
        before.chars().next_back().is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '_'))
    })
}

/// What the hops say of a mail from Hotmail.
#[derive(PartialEq, Eq)]
enum Hotmail {
    /// Nothing is wrong, or nothing can be said.
    Fine,
    /// A hop claims to be Hotmail and is not.
    Forged,
    /// No hop is Hotmail, only the sender.
    Missing,
}

fn hotmail(context: &Context<'_, '_, '_>) -> Hotmail {
    static PICKUP: Phrase =
        Phrase::new("from mail pickup service by hotmail.com with Microsoft SMTPSVC;");
    static OWN: [Phrase; 7] = [
        Phrase::new("from hotmail.com (+.hotmail.com"),
        Phrase::new("from *.hotmail.com (+.hotmail.com"),
        Phrase::new("from *hotmail.com (+.hotmail.msn.com"),
        Phrase::new("from *.hotmail.com ([{ip}]"),
        Phrase::new("from + by +.hotmail.com with HTTP;"),
        Phrase::new("from + by +.hotmail.msn.com with HTTP;"),
        Phrase::new("from [66.218.+] by +.yahoo.com"),
    ];
    static OUTLOOK: [Phrase; 3] = [
        Phrase::new("from *.outbound.protection.outlook.com (+.outbound.protection.outlook.com"),
        Phrase::new("from *.eurprd{n}.prod.outlook.com ({ip})"),
        Phrase::new("from *.namprd{n}.prod.outlook.com ({ip})"),
    ];
    static CLAIMS: [Phrase; 3] = [
        Phrase::new("from *hotmail.com|"),
        Phrase::new("HELO *hotmail.com|"),
        Phrase::new("helo=*hotmail.com|"),
    ];
    let received = context.received();
    if PICKUP.is_in(&received) || is_msn_groups(context) || are_hops_removed(context) {
        return Hotmail::Fine;
    }
    let has_origin = has_address(&context.text("X-Originating-Ip"));
    let organisation = context.text("X-OriginatorOrg");
    let is_outlook =
        organisation.contains("hotmail.com") || organisation.contains("msonline-outlook");
    if (has_origin && any(&OWN, &received)) || (is_outlook && any(&OUTLOOK, &received)) {
        Hotmail::Fine
    } else if any(&CLAIMS, &received) {
        Hotmail::Forged
    } else if is_from(context, "hotmail.com") {
        Hotmail::Missing
    } else {
        Hotmail::Fine
    }
}

/// A hop calls itself Hotmail and leaves none of Hotmail's traces.
fn forged_hotmail(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(hotmail(context) == Hotmail::Forged)
}

/// The sender is at Hotmail and no hop is.
fn no_hotmail(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(hotmail(context) == Hotmail::Missing)
}

/// The mail came over MSN Groups.
fn msn_groups(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(is_msn_groups(context))
}

fn is_msn_groups(context: &Context<'_, '_, '_>) -> bool {
    let to = context.text("To");
    let lower = to.to_ascii_lowercase();
    let Some(at) = lower.find("@groups.msn.com>") else { return false };
    let list = to.get(..at).and_then(|before| before.rsplit_once('<')).map_or("", |(_, list)| list);
    if list.is_empty() || list.contains(char::is_whitespace) {
        return false;
    }
    let received = context.text("Received");
    let server =
        received.match_indices("from mail pickup service by p").find_map(|(at, phrase)| {
            let host = received.get(at + phrase.len() - 1..)?.split([' ', '\n', ';']).next()?;
            let number = host.strip_suffix(".groups.msn.com")?.strip_prefix('p')?;
            let fits = number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit());
            fits.then_some(host)
        });
    let (Some(server), id) = (server, context.text("Message-Id")) else { return false };
    if list == "notifications" {
        return id.starts_with('<') && id.contains(&format!("@{server}>"));
    }
    let bounce = format!("{list}-bounce@groups.msn.com");
    id.starts_with(&format!("<{list}-"))
        && id.contains("@groups.msn.com>")
        && context.first("EnvelopeFrom:addr").contains(&bounce)
}

/// The hops were taken out on the way, so that nothing can be said of them.
fn hops_removed(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(are_hops_removed(context))
}

fn are_hops_removed(context: &Context<'_, '_, '_>) -> bool {
    static MSN: Phrase = Phrase::new("from groups.msn.com (+.msn.com ");
    static QMAIL: Phrase = Phrase::new("qmail {n} invoked ");
    let Some(received) = context.header("Received") else { return true };
    let list = context.list("Mailing-List");
    let by_ezmlm = list.iter().any(|line| {
        let contact = line.strip_prefix("contact ");
        contact.and_then(|rest| rest.strip_suffix("; run by ezmlm")).is_some_and(is_address)
    });
    let delivered = || {
        context.list("Delivered-To").iter().any(|line| {
            let word = line.strip_prefix("mailing list ");
            word.and_then(|rest| rest.split(' ').next()).is_some_and(is_address)
        })
    };
    (by_ezmlm && QMAIL.is_in(&received) && delivered()) || MSN.is_in(&received)
}

fn is_address(word: &str) -> bool {
    let sides = word.split_once('@');
    sides.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()) && !word.contains(' ')
}

/// The sender is at Eudoramail and no hop is.
fn forged_eudoramail(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    static OWN: Phrase = Phrase::new("by *whowhere.com;");
    if !is_from(context, "eudoramail.com") || are_hops_removed(context) {
        return flag(false);
    }
    flag(!(OWN.is_in(&context.received()) && has_address(&context.text("X-Sender-Ip"))))
}

/// The sender is at Yahoo and no hop is.
fn forged_yahoo(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    static OWN: [Phrase; 6] = [
        Phrase::new("by web+.mail*.yahoo.com via HTTP"),
        Phrase::new("by sonic+.consmr.mail*.yahoo.com with HTTP"),
        Phrase::new("by smtp+.yahoo.com with SMTP"),
        Phrase::new("from [{ip}] by +.groups.yahoo.com with NNFMP"),
        Phrase::new("from [{ip}] by +.scd.yahoo.com with NNFMP"),
        Phrase::new("from [{ip}] by +.dcn.yahoo.com with NNFMP"),
    ];
    static BULK: Phrase = Phrase::new("|mailer{n}.bulk.scd.yahoo.com|");
    static STORY: [Phrase; 2] = [
        Phrase::new("by +.+.yahoo.com ({n}.{n}.{n}/{n}.{n}.{n}) id "),
        Phrase::new("by +.+.yahoo.com ({n}.{n}.{n}/{n}.{n}.{n}) with ESMTP id "),
    ];
    if !is_from(context, "yahoo.com") || are_hops_removed(context) {
        return flag(false);
    }
    let ends = |rdns: &str| rdns.len() > ".yahoo.com".len() && rdns.ends_with(".yahoo.com");
    let relays = context.relays();
    if relays.trusted().chain(relays.untrusted().take(1)).any(|relay| ends(&relay.rdns)) {
        return flag(false);
    }
    let resent = context.header("Resent-From").is_some() && context.header("Resent-To").is_some();
    let other = context.header("X-Received").filter(|_| resent);
    let received = other.map_or_else(|| context.received(), |other| single_spaced(&other));
    let from_bulk = || {
        BULK.is_in(&received)
            && context.first("From:addr").to_ascii_lowercase().ends_with("@reply.yahoo.com")
    };
    flag(!(any(&OWN, &received) || any(&STORY, &received) || from_bulk()))
}

/// The sender is at Juno and no hop is, or the mail program is not one of Juno's.
fn forged_juno(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    if !is_from(context, "juno.com") || are_hops_removed(context) {
        return flag(false);
    }
    let program = context.text("X-Mailer");
    let received = context.text("Received");
    // The name of a host, its address in brackets and `by`, in this order on one line.
    let hop = |names: &[&str], brackets: &[(char, char)]| {
        received.lines().filter_map(|line| line.split_once("from")).any(|(_, line)| {
            names.iter().filter_map(|name| split_word(line, name)).any(|rest| {
                brackets.iter().any(|(open, close)| bracketed_address(rest, *open, *close))
            })
        })
    };
    if context.header("X-Originating-IP").is_some() {
        let own = hop(&["juno.com", "untd.com"], &[('[', ']'), ('(', ')'), ('[', ')'), ('(', ']')]);
        let cookie =
            received.contains(" cookie.juno.com ") || received.contains(" cookie.untd.com ");
        return flag(!(own || cookie) || !program.contains("Juno "));
    }
    // Its older mail tells the address of the user, and this one does not.
    flag(true)
}

/// What stands behind a word that begins at a word boundary.
fn split_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    text.match_indices(word).find_map(|(at, _)| {
        let before = text.get(..at)?.chars().next_back();
        let starts = before.is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '_'));
        text.get(at + word.len()..).filter(|_| starts)
    })
}

fn bracketed_address(text: &str, open: char, close: char) -> bool {
    text.match_indices(open).any(|(at, _)| {
        let inner = text.get(at + 1..).unwrap_or_default().split_once(close);
        inner.is_some_and(|(address, rest)| {
            crate::facts::domain::is_address(address.trim_start_matches("IPv6:"))
                && rest.contains("by")
        })
    })
}

/// The sender is at Gmail and none of Gmail's own fields is there.
fn forged_gmail(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    /// Octets of its opaque fields, line feed included.
    const OPAQUE: usize = 60;
    static OWN: Phrase = Phrase::new("by 10.+ with SMTP id +");
    static OWN_IPV6: Phrase = Phrase::new("by 2002:a{n}:+ with SMTP id +");
    static GOOGLEMAIL: Phrase = Phrase::new("by smtp.googlemail.com with ESMTPSA id +");
    if !is_from(context, "gmail.com") {
        return flag(false);
    }
    let hops = context.text("X-Received");
    let opaque = |name: &str| context.octets(name).is_some_and(|text| text.len() >= OPAQUE);
    flag(
        !(OWN.is_in(&hops)
            || OWN_IPV6.is_in(&hops)
            || GOOGLEMAIL.is_in(&context.text("Received"))
            || (opaque("X-Gm-Message-State") && opaque("X-Google-Smtp-Source"))),
    )
}

/// The first hop is a gateway without a domain, as one mass mailer wrote it.
fn forged_gateway(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let hops = context.list("Received");
    let Some(last) = hops.last().filter(|_| hops.len() > 1) else { return flag(false) };
    let words: Vec<&str> = last.split_ascii_whitespace().collect();
    flag(matches!(
        words.as_slice(),
        ["from", _, "by", gateway, "with", "ESMTP;", _, _, _, year, _, _]
            if !gateway.contains('.') && year.len() == 4
    ))
}

/// The Message-ID may have been changed on the way.
fn id_not_usable(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let leave = context.text("List-Unsubscribe").to_ascii_lowercase();
    let leave = leave.trim_end_matches('\n').strip_suffix('>').and_then(|text| {
        let (_, address) = text.rsplit_once("<mailto:")?;
        let (user, host) = address.split_once('@')?;
        let fits = user.len() > "leave-".len() && user.starts_with("leave-")
            || user.len() > "-unsubscribe".len() && user.ends_with("-unsubscribe");
        Some(fits && !host.is_empty() && !address.contains(char::is_whitespace))
    });
    let received = context.text("Received");
    flag(
        leave == Some(true)
            || are_hops_removed(context)
            || received.contains("/CWT/DCE)")
            || received.contains("iPlanet Messaging Server"),
    )
}
