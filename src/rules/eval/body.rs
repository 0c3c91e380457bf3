//! Functions about the text of a mail (SpamAssassin's `BodyEval`, and `check_body_8bits`).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::{Argument, Context, Does, Function, Known};
use super::{at, count, flag, limit};
use crate::facts::mail::{Mail, Structure, lines};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "check_body_length", does: Does::Runs(body_length) },
    Function { name: "check_blank_line_ratio", does: Does::Runs(blank_line_ratio) },
    Function { name: "tvd_vertical_words", does: Does::Runs(vertical_words) },
    Function { name: "check_stock_info", does: Does::Runs(stock_info) },
    Function { name: "multipart_alternative_difference", does: Does::Runs(alternative_difference) },
    Function {
        name: "multipart_alternative_difference_count",
        does: Does::Runs(alternative_difference_count),
    },
    Function { name: "plaintext_body_length", does: Does::Runs(plain_body_length) },
    Function { name: "plaintext_sig_length", does: Does::Runs(plain_signature_length) },
    Function { name: "plaintext_body_sig_ratio", does: Does::Runs(plain_ratio) },
];

/// `check_body_length(max)`: the mail has at most so many octets behind its header.
fn body_length(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let length = context.facts.mail.structure().body_length;
    flag(length.is_some_and(|length| count(length) <= at(arguments, 0)))
}

/// `check_blank_line_ratio(min, max, lines)`: so many per cent of the lines of decoded text
/// are blank, more than `min` (0: any) and at most `max`; a mail with fewer lines has -1.
fn blank_line_ratio(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let (mut all, mut blank) = (0, 0);
    for line in context.facts.mail.raw_body().iter().flat_map(|chunk| lines(&chunk.text)) {
        all += 1;
        blank += usize::from(line.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0x0b));
    }
    if context.facts.message.bare {
        return flag(false);
    }
    let least = at(arguments, 2).max(1.0);
    let ratio = if count(all) < least { -1.0 } else { 100.0 * count(blank) / count(all) };
    let (min, max) = (at(arguments, 0), at(arguments, 1));
    let any = min == 0.0;
    flag((any || ratio > min) && ratio <= max)
}

/// `tvd_vertical_words(min, max)`: spaces for each hundred other characters, in the paragraph
/// that has most, at least `min` and below `max`; words written downwards have many.
fn vertical_words(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let percent = |text: &[u8]| {
        let spaces = memchr::memchr_iter(b' ', text).count();
        let others = text.len() - spaces;
        if spaces > others || others == 0 { 100 } else { 100 * spaces / others }
    };
    let texts = context.body();
    let most = texts.into_iter().filter(|text| text.len() > 5).map(percent).max();
    let most = most.map_or(-1.0, count);
    let max = at(arguments, 1);
    let max = if max >= 100.0 { 101.0 } else { max };
    flag(!context.facts.message.bare && most >= at(arguments, 0) && most < max)
}

/// `check_stock_info(min)`: the first plain text has at least so many different labels such as
/// `Symbol:` and `Current Price:` in front of something.
fn stock_info(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let mail = &context.facts.mail;
    let structure = mail.structure();
    let first = structure.leaves().enumerate().find(|(_, (_, node))| node.kind == "text/plain");
    let found = first.map_or(0, |(place, (_, node))| {
        // A part that is HTML by its name has only what is shown.
        match mail.rendered_leaves().get(place) {
            Some(leaf) if leaf.is_html => stock_labels(leaf.text.as_bytes()),
            Some(_) | None => stock_labels(&mail.content(node)),
        }
    });
    let least = at(arguments, 0);
    flag(least <= 0.0 || count(found) >= least)
}

/// The decoded text of the first plain text part.
fn first_plain(mail: &Mail<'_>) -> Option<Vec<u8>> {
    let structure = mail.structure();
    let (_, node) = structure.leaves().find(|(_, node)| node.kind.starts_with("text/plain"))?;
    Some(mail.content(node).into_owned())
}

/// Octets that are searched for labels at a time, so that blank lines do not cost much.
const PIECE: usize = 2048;

fn stock_labels(text: &[u8]) -> usize {
    static LABEL: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?-u)(?m)^\s*([^:\s][^:\n]{2,29})\s*:\s*\S").ok());
    let Some(label) = LABEL.as_ref() else { return 0 };
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut rest = text;
    while !rest.is_empty() {
        let near = rest.get(..PIECE).unwrap_or(rest).len();
        let after = rest.get(near..).unwrap_or_default();
        let end = near + after.iter().take(PIECE).position(|byte| *byte == b'\n').unwrap_or(0);
        let (piece, tail) = rest.split_at(end.max(1));
        rest = tail;
        for name in label.captures_iter(piece).filter_map(|groups| groups.get(1)) {
            let letters: String = name
                .as_bytes()
                .iter()
                .filter(|byte| byte.is_ascii_alphabetic())
                .map(|byte| char::from(byte.to_ascii_lowercase()))
                .collect();
            found.extend(stock_word(&letters));
        }
    }
    found.len()
}

/// The word of the stock market that a label ends with, the longest one.
fn stock_word(label: &str) -> Option<String> {
    const WHOLE: [&str; 2] = ["tradedate", "tradingdate"];
    const WORDS: [&str; 17] = [
        "company",
        "companyname",
        "target",
        "ticker",
        "openingp",
        "openingprice",
        "currentp",
        "currentprice",
        "projected",
        "position",
        "expectations",
        "weekhigh",
        "weekshigh",
        "marketperformance",
        "sector",
        "recommendation",
        "rating",
    ];
    const SPANS: [&str; 5] = ["year", "week", "month", "day", "price"];
    const GOALS: [&str; 3] = ["target", "estimate", "estimates"];
    if WHOLE.contains(&label) {
        return Some(label.to_owned());
    }
    let mut longest = 0;
    for word in WORDS.into_iter().filter(|word| label.ends_with(word)) {
        longest = longest.max(word.len());
    }
    for goal in GOALS {
        let Some(before) = label.strip_suffix(goal) else { continue };
        for span in SPANS.into_iter().filter(|span| before.ends_with(span)) {
            longest = longest.max(span.len() + goal.len());
        }
    }
    for word in ["stock", "sym", "symbol"] {
        longest = longest.max(spaced(label, word).unwrap_or(0));
    }
    label.get(label.len() - longest..).filter(|word| !word.is_empty()).map(str::to_owned)
}

/// Length of a word at the end of a label that may have one letter more between any two; the
/// longest way to read it so.
fn spaced(label: &str, word: &str) -> Option<usize> {
    let label = label.as_bytes();
    let mut ends: BTreeSet<usize> = BTreeSet::from([label.len()]);
    for (number, letter) in word.bytes().rev().enumerate() {
        let mut starts = BTreeSet::new();
        for end in ends {
            for gap in 0..=usize::from(number > 0) {
                if let Some(at) = end.checked_sub(gap + 1)
                    && label.get(at) == Some(&letter)
                {
                    starts.insert(at);
                }
            }
        }
        ends = starts;
    }
    ends.first().map(|start| label.len() - start)
}

/// How much the alternatives of a mail differ.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Difference {
    /// Per cent of the words of HTML that the text has not, where it is most.
    percent: f64,
    /// Different words of the last alternatives that had HTML.
    html: usize,
    text: usize,
}

/// `multipart_alternative_difference(min, max)`: so many per cent of the words of the HTML are
/// not in the text beside it, more than `min` (0: any) and at most `max`.
fn alternative_difference(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    if context.facts.message.bare {
        return flag(false);
    }
    let percent = difference(&context.facts.mail).percent;
    let min = at(arguments, 0);
    let max =
        arguments.get(1).filter(|max| max.text != "undef").map_or(f64::INFINITY, Argument::number);
    flag((min <= 0.0 || percent > min) && percent <= max)
}

/// `multipart_alternative_difference_count(ratio, min)`: the text has more than `ratio` times
/// as many different words as the HTML, which has more than `min`.
fn alternative_difference_count(
    context: &mut Context<'_, '_, '_>,
    arguments: &[Argument],
) -> Known {
    let found = difference(&context.facts.mail);
    let enough = count(found.html) > at(arguments, 1) && found.html > 0;
    flag(enough && count(found.text) / count(found.html) > at(arguments, 0))
}

fn difference(mail: &Mail<'_>) -> Difference {
    let mut found = Difference::default();
    let structure = mail.structure();
    let all = structure.parts();
    let alternatives: Vec<usize> = all
        .iter()
        .copied()
        .filter(|index| structure.node(*index).is_some_and(|node| is_alternative(&node.kind)))
        .collect();
    if alternatives.is_empty() || is_meeting_request(structure) {
        return found;
    }
    // Texts are kept by their place among the leaves of the mail, which are the same in both.
    let places: HashMap<usize, usize> =
        structure.leaves().enumerate().map(|(place, (index, _))| (index, place)).collect();
    let rendered = mail.rendered_leaves();
    for alternative in alternatives {
        let (mut html, mut text) = (HashMap::new(), HashMap::new());
        for index in structure.within(alternative, usize::MAX) {
            let Some(node) = structure.node(index) else { continue };
            let place = places.get(&index);
            let Some(leaf) = place.and_then(|place| rendered.get(*place)) else { continue };
            if !node.kind.starts_with("text") || !leaf.is_text {
                continue;
            }
            let words = if leaf.is_html { &mut html } else { &mut text };
            for word in words_of(leaf.text) {
                *words.entry(word).or_insert(0_usize) += 1;
            }
            // An image is as good as a word.
            if leaf.is_html && html.is_empty() && leaf.has_image {
                html.insert("\n", 1);
            }
        }
        if html.is_empty() {
            continue;
        }
        let all = html.len();
        found.html = all;
        found.text = text.len();
        let missing: HashSet<&str> = html
            .iter()
            .filter(|(word, times)| text.get(*word).is_none_or(|found| found < *times))
            .map(|(word, _)| *word)
            .collect();
        found.percent = found.percent.max(count(missing.len()) / count(all) * 100.0);
    }
    found
}

fn is_alternative(kind: &str) -> bool {
    kind.strip_prefix("multipart/alternative")
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
}

/// Words between white space with a letter or digit in them.
fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().filter(|word| word.contains(|c: char| c.is_alphanumeric() || c == '_'))
}

/// An invitation as Exchange sends it: HTML and a calendar, no text.
fn is_meeting_request(structure: &Structure) -> bool {
    let kind = |index: usize| structure.node(index).map(|node| node.kind.as_str());
    structure.node(0).is_some_and(|root| {
        let children: Vec<_> = root.children.iter().map(|child| kind(*child)).collect();
        root.kind == "multipart/alternative"
            && children == [Some("text/html"), Some("text/calendar")]
    })
}

/// Lengths of the first plain text up to its last signature mark, and behind it.
fn signature(mail: &Mail<'_>) -> Option<(f64, f64)> {
    let text = first_plain(mail)?;
    let (mut body, mut behind) = (text.len(), 0);
    let mut start = 0;
    for line in lines(&text) {
        let end = start + line.len();
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        let mark = bare.strip_suffix(b"\r").unwrap_or(bare);
        let left = text.len() - (start + bare.len());
        if (mark == b"--" || mark == b"-- ") && left > 4 {
            (body, behind) = (start, left);
        }
        start = end;
    }
    Some((count(body), count(behind)))
}

/// `plaintext_body_length(min, max)`: octets of the first plain text without its signature.
fn plain_body_length(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let length = signature(&context.facts.mail).map(|(body, _)| body);
    flag(length.is_some_and(|length| limit(arguments, 0, length)))
}

/// `plaintext_sig_length(min, max)`: octets of the signature of the first plain text.
fn plain_signature_length(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let length = signature(&context.facts.mail).map(|(_, signature)| signature);
    flag(length.is_some_and(|length| limit(arguments, 0, length)))
}

/// `plaintext_body_sig_ratio(min, max)`: the one to the other; a million without a signature.
fn plain_ratio(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let ratio = signature(&context.facts.mail)
        .map(|(body, signature)| if signature > 0.0 { body / signature } else { 1_000_000.0 });
    flag(ratio.is_some_and(|ratio| limit(arguments, 0, ratio)))
}
