//! Puts rules in an order in which every meta comes after what it names, and looks for
//! names that lead nowhere.

use std::collections::{BTreeMap, BTreeSet};

use super::Diagnostic;
use super::attributes::Attributes;
use super::diagnostic::closest;
use super::load::{Definition, Draft};

/// Longest chain of metas over metas; evaluation goes down it.
const CHAIN: usize = 64;

/// Rules in an order in which every meta comes after what it names. Cycles are errors and
/// left out.
pub(super) fn order(
    drafts: &BTreeMap<&str, Draft<'_>>,
    names: &[&str],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<usize> {
    let needs: Vec<BTreeSet<usize>> = drafts
        .values()
        .map(|draft| match &draft.body {
            Definition::Meta(expression) => {
                expression.rules().filter_map(|n| names.binary_search(&n.text).ok()).collect()
            }
            Definition::Calendar(_)
            | Definition::Header { .. }
            | Definition::Text { .. }
            | Definition::MimeHeader(_)
            | Definition::UriDetail(_)
            | Definition::Eval(_)
            | Definition::Lookup(_) => BTreeSet::new(),
        })
        .collect();
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (index, needs) in needs.iter().enumerate() {
        for need in needs {
            if let Some(users) = needed_by.get_mut(*need) {
                users.push(index);
            }
        }
    }
    let mut open: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut chain = vec![1_usize; needs.len()];
    let mut order: Vec<usize> =
        open.iter().enumerate().filter(|(_, open)| **open == 0).map(|(index, _)| index).collect();
    let mut next = 0;
    while let Some(done) = order.get(next).copied() {
        next += 1;
        let length = chain.get(done).copied().unwrap_or(1);
        for user in needed_by.get(done).map_or(&[][..], Vec::as_slice) {
            if let Some(chain) = chain.get_mut(*user) {
                *chain = (*chain).max(length + 1);
            }
            if let Some(open) = open.get_mut(*user) {
                *open -= 1;
                if *open == 0 {
                    order.push(*user);
                }
            }
        }
    }
    let error = |index: usize, message: String| {
        let draft = names.get(index).and_then(|name| drafts.get(name))?;
        Some(draft.line.error(draft.name, message))
    };
    // One error for the rule that makes the chain too long, not for all above it.
    let too_long = chain.iter().enumerate().filter(|(_, length)| **length == CHAIN + 1);
    diagnostics.extend(too_long.filter_map(|(index, _)| {
        error(index, format!("more than {CHAIN} metas stand on each other"))
    }));
    let ordered: BTreeSet<usize> = order.iter().copied().collect();
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for start in (0..needs.len()).filter(|index| !ordered.contains(index)) {
        let Some(cycle) = cycle(start, &needs, &ordered) else {
            continue;
        };
        if cycle.iter().any(|index| told.contains(index)) {
            continue;
        }
        told.extend(&cycle);
        let path: Vec<String> = cycle
            .iter()
            .chain(cycle.first())
            .filter_map(|index| names.get(*index))
            .map(|name| format!("`{name}`"))
            .collect();
        let first = cycle.first().copied().unwrap_or(start);
        let diagnostic =
            error(first, format!("`meta` rules go round in a circle: {}", path.join(" -> ")));
        diagnostics.extend(diagnostic);
    }
    order
}

/// Follows unordered rules until one comes again; the circle starts at its first by name.
fn cycle(start: usize, needs: &[BTreeSet<usize>], ordered: &BTreeSet<usize>) -> Option<Vec<usize>> {
    let mut path = vec![start];
    loop {
        let next = *needs.get(*path.last()?)?.iter().find(|need| !ordered.contains(need))?;
        if let Some(at) = path.iter().position(|index| *index == next) {
            let mut cycle = path.split_off(at);
            let first = cycle.iter().enumerate().min_by_key(|(_, index)| **index)?.0;
            cycle.rotate_left(first);
            return Some(cycle);
        }
        path.push(next);
    }
}

/// Metas that name nothing, helpers that nobody names.
pub(super) fn check_names(
    drafts: &BTreeMap<&str, Draft<'_>>,
    names: &[&str],
    skipped: &BTreeSet<&str>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut used = BTreeSet::new();
    for draft in drafts.values() {
        let Definition::Meta(expression) = &draft.body else {
            continue;
        };
        let mut told = BTreeSet::new();
        for name in expression.rules() {
            used.insert(name.text);
            if drafts.contains_key(name.text) || !told.insert(name.text) {
                continue;
            }
            let warning = if skipped.contains(name.text) {
                draft.line.warning(*name, format!("`{}` was skipped and counts as 0", name.text))
            } else {
                let message = format!("there is no rule `{}`, it counts as 0", name.text);
                draft
                    .line
                    .warning(*name, message)
                    .with_guess(closest(name.text, names.iter().copied()))
            };
            diagnostics.push(warning);
        }
    }
    for draft in drafts.values() {
        let name = draft.name.text;
        if name.starts_with("__") && !used.contains(name) {
            let message = format!("no meta uses `{name}`, it can never count");
            diagnostics.push(draft.line.warning(draft.name, message));
        }
    }
}

/// Words about rules that do not exist, rules without words.
pub(super) fn check_attributes(
    drafts: &BTreeMap<&str, Draft<'_>>,
    attributes: &BTreeMap<&str, Attributes<'_>>,
    names: &[&str],
    skipped: &BTreeSet<&str>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (name, attributes) in attributes {
        let Some((line, token)) = attributes.mentioned else {
            continue;
        };
        if !drafts.contains_key(name) && !skipped.contains(name) {
            let guess = closest(name, names.iter().copied());
            let message = format!("there is no rule `{name}`");
            diagnostics.push(line.warning(token, message).with_guess(guess));
        }
    }
    for draft in drafts.values() {
        let name = draft.name.text;
        let described = attributes.get(name).is_some_and(|a| a.description.is_some());
        if !described && !name.starts_with("__") {
            let warning = draft.line.warning(draft.name, format!("`{name}` has no description"));
            diagnostics.push(warning.with_hint(format!("add `describe {name} …`")));
        }
    }
}
