//! Functions about bounces of our own mail.

use super::{Argument, Context, Does, Function, flag};
use crate::rules::domain::Known;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "have_any_bounce_relays", does: Does::Runs(has_relays) },
    Function { name: "check_welcomelist_bounce_relays", does: Does::Runs(is_ours) },
];

/// Octets of the body that are looked at.
const BODY: usize = 1024 * 1024;

/// Octets of one field with its folds.
const FIELD: usize = 8 * 1024;

/// The administrator has named the hosts that send our mail.
fn has_relays(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(!context.settings.bounce_relays.is_empty())
}

/// The mail quotes a Received field that names one of them.
fn is_ours(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let relays = &context.settings.bounce_relays;
    if relays.is_empty() {
        return flag(false);
    }
    let mut found = None;
    // In running text and in fields alike, a host stands between spaces.
    let mut look = |field: &str| {
        let mut words = field.split_ascii_whitespace().skip(1).peekable();
        let open_end = !field.ends_with(|c: char| c.is_ascii_whitespace());
        while let Some(word) = words.next() {
            let last = words.peek().is_none() && open_end;
            let host = word.to_lowercase();
            let inner = host.get(1..host.len().saturating_sub(1)).unwrap_or_default();
            if last || !inner.contains('.') {
                continue;
            }
            if relays.iter().any(|relay| relay.matches(&host)) {
                found = Some(host);
                return true;
            }
            // The space between two hosts belongs to the first one.
            words.next();
        }
        false
    };
    let in_text = context.body().into_iter().any(|paragraph| {
        let paragraph = String::from_utf8_lossy(paragraph);
        is_received(&paragraph) && look(&paragraph)
    });
    if !in_text {
        look_at_body(context.facts.mail.full(), &mut look);
    }
    context.shown = found;
    flag(context.shown.is_some())
}

/// `Received:`, perhaps quoted.
fn is_received(line: &str) -> bool {
    let line = line.trim_start_matches(['>', ' ']);
    line.get(..9).is_some_and(|name| name.eq_ignore_ascii_case("received:"))
}

/// Looks at the lines behind the header, from the first Received field on, folds joined.
fn look_at_body(message: &[u8], look: &mut dyn FnMut(&str) -> bool) {
    let body = ["\n\n", "\r\n\r\n"]
        .iter()
        .filter_map(|gap| Some(memchr::memmem::find(message, gap.as_bytes())? + gap.len()))
        .min()
        .and_then(|at| message.get(at..))
        .unwrap_or_default();
    let body = String::from_utf8_lossy(body.get(..BODY).unwrap_or(body));
    let mut lines = body.lines().skip_while(|line| !is_received(line)).peekable();
    while let Some(line) = lines.next() {
        let mut field = line.to_owned();
        while let Some(fold) = lines.next_if(|line| line.starts_with([' ', '\t'])) {
            if field.len() + fold.len() <= FIELD {
                field.push_str(fold);
            }
        }
        if is_received(&field) && look(&field) {
            return;
        }
    }
}
