//! Functions about links (SpamAssassin's `URIEval`, `HTTPSMismatch` and `DecodeShortURLs`).

use std::collections::BTreeMap;

use super::{Argument, Context, Does, Function, Known};
use super::{at, flag};
use crate::facts::mail::{Uri, uris};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "check_for_http_redirector", does: Does::Runs(http_redirector) },
    Function { name: "check_https_ip_mismatch", does: Does::Runs(https_ip_mismatch) },
    Function { name: "check_https_http_mismatch", does: Does::Runs(https_http_mismatch) },
    Function { name: "check_uri_truncated", does: Does::Runs(uri_truncated) },
    Function { name: "short_url", does: Does::Runs(short_url) },
];

fn links<'f>(context: &Context<'_, '_, 'f>) -> &'f [Uri] {
    let facts = context.facts;
    context.settings.with_hints(|hints| facts.mail.uris(hints))
}

/// `check_for_http_redirector()`: a link leads to another host by a link inside it.
fn http_redirector(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let links = links(context);
    flag(context.settings.with_hints(|hints| uris::has_http_redirection(links, hints)))
}

/// Where anchors lead and what they show, each HTML part for itself.
fn anchors(context: &Context<'_, '_, '_>) -> Vec<Vec<Uri>> {
    let mut parts: BTreeMap<usize, BTreeMap<&str, Uri>> = BTreeMap::new();
    let links = &context.facts.mail.rendered().links;
    for link in links.iter().filter(|link| link.element == "a") {
        let url = link.url.trim_ascii();
        let uri = parts
            .entry(link.part)
            .or_default()
            .entry(url)
            .or_insert_with(|| Uri { raw: url.to_owned(), ..Uri::default() });
        uri.anchor_texts.push(link.text.clone());
    }
    parts.into_values().map(|uris| uris.into_values().collect()).collect()
}

/// `check_https_ip_mismatch()`: an anchor shows `https:` and a name, and leads to an address.
fn https_ip_mismatch(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(anchors(context).iter().any(|uris| uris::has_https_address_mismatch(uris)))
}

/// `check_https_http_mismatch(least, below)`: an anchor shows another domain than it leads to,
/// in a part with so many anchors.
fn https_http_mismatch(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let number = |index: usize| at(arguments, index).ceil() as usize;
    let limit = (arguments.len() > 1).then(|| number(1));
    let parts = anchors(context);
    flag(context.settings.with_hints(|hints| {
        parts.iter().any(|uris| uris::has_https_mismatch(uris, number(0), limit, hints))
    }))
}

/// `check_uri_truncated()`: a link was too long to be kept whole.
fn uri_truncated(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let html =
        context.facts.mail.rendered().html.parts.iter().any(|part| part.has_flag("uri_truncated"));
    flag(html || uris::has_truncated(links(context)))
}

/// `short_url()`: a link of a shortener.
fn short_url(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let known = |host: &str| context.settings.shorteners.contains(host);
    let found = uris::shortened(links(context), known);
    context.shown = found.map(str::to_owned);
    flag(found.is_some())
}
