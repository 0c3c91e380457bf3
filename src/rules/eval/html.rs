//! Functions about HTML parts (SpamAssassin's `HTMLEval`).
//!
//! A function is true when it is true of one HTML part. What is counted there, see
//! [`HtmlReport`].

use super::locales;
use super::{Argument, Context, Does, Function, Known};
use super::{at, flag, word};
use crate::facts::mail::HtmlReport;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "html_tag_balance", does: Does::Runs(tag_balance) },
    Function { name: "html_image_only", does: Does::Runs(image_only) },
    Function { name: "html_image_ratio", does: Does::Runs(image_ratio) },
    Function { name: "html_charset_faraway", does: Does::Runs(charset_faraway) },
    Function { name: "html_tag_exists", does: Does::Runs(tag_exists) },
    Function { name: "html_test", does: Does::Runs(test) },
    Function { name: "html_eval", does: Does::Runs(eval) },
    Function { name: "html_text_match", does: Does::Matches(text_match, &[1]) },
    Function { name: "html_text_not_match", does: Does::Matches(text_not_match, &[1]) },
    Function { name: "html_title_subject_ratio", does: Does::Runs(title_subject_ratio) },
    Function { name: "html_range", does: Does::Runs(range) },
    Function { name: "check_iframe_src", does: Does::Runs(iframe_src) },
];

fn report<'f>(context: &Context<'_, '_, 'f>) -> &'f HtmlReport {
    &context.facts.mail.rendered().html
}

/// `html_tag_balance(tag, comparison)`: how many elements were left open, as in `!= 0`.
fn tag_balance(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    flag(report(context).html_tag_balance(word(arguments, 0), word(arguments, 1)))
}

/// `html_image_only(min, max)`: an image and little else: the length of the HTML.
fn image_only(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    flag(report(context).html_image_only(at(arguments, 0), at(arguments, 1)))
}

/// `html_image_ratio(min, max)`: text for each square pixel of images.
fn image_ratio(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    flag(report(context).html_image_ratio(at(arguments, 0), at(arguments, 1)))
}

/// `html_charset_faraway()`: at least half of the charsets a part declares are foreign.
fn charset_faraway(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let locales = &context.settings.locales;
    flag(report(context).html_charsets().any(|charsets| {
        let expected = charsets.iter().filter(|name| locales::expects(locales, name)).count();
        let foreign = charsets.len() - expected;
        foreign > 0 && foreign >= expected
    }))
}

/// `html_tag_exists(tag)`: such a tag was seen.
fn tag_exists(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    flag(report(context).html_tag_exists(word(arguments, 0)))
}

/// `html_test(name)`: a property is there.
fn test(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    flag(report(context).html_test(word(arguments, 0)))
}

/// `html_eval(name, comparison)`: how a number compares, as in `< 384`.
fn eval(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    flag(report(context).html_eval(word(arguments, 0), word(arguments, 1)))
}

/// Text as the octets that byte regexes are to see: one for each character, as in Perl, so
/// that `.{120}` counts characters. What is no Latin-1 becomes one that no regex names.
fn octets(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap_or(0xff)).collect()
}

/// `html_text_match(name, regex)`: a `comment`, `anchor`, `title` or `script` matches.
fn text_match(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let Some(regex) = arguments.get(1) else { return flag(false) };
    for text in report(context).html_texts(word(arguments, 0)) {
        if context.matches(regex, &octets(text)) {
            return flag(true);
        }
    }
    flag(false)
}

/// `html_text_not_match(name, regex)`: one of them does not match.
fn text_not_match(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let Some(regex) = arguments.get(1) else { return flag(false) };
    for text in report(context).html_texts(word(arguments, 0)) {
        if !context.matches(regex, &octets(text)) {
            return flag(true);
        }
    }
    flag(false)
}

/// `html_title_subject_ratio(ratio)`: a title is more than so many times as long as the
/// Subject.
fn title_subject_ratio(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let subject = context.header("Subject").unwrap_or_default();
    flag(report(context).html_title_subject_ratio(at(arguments, 0), subject.len()))
}

/// `html_range(name, min, max)`: a number is above `min` and at most `max`; `inf` is no limit.
fn range(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let max = arguments.get(2).map_or(f64::INFINITY, Argument::number);
    flag(report(context).html_range(word(arguments, 0), at(arguments, 1), max))
}

/// `check_iframe_src()`: an `iframe` has a link.
fn iframe_src(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(report(context).check_iframe_src())
}
