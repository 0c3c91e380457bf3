//! Functions about PDF files (SpamAssassin's `PDFInfo`).

use super::{Argument, Context, Does, Function, Known};
use super::{at, count, flag, limit, text_length, word};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "pdf_count", does: Does::Runs(pdf_count) },
    Function { name: "pdf_image_count", does: Does::Runs(pdf_image_count) },
    Function { name: "pdf_pixel_coverage", does: Does::Runs(pdf_pixel_coverage) },
    Function { name: "pdf_image_size_exact", does: Does::Runs(pdf_image_size_exact) },
    Function { name: "pdf_image_size_range", does: Does::Runs(pdf_image_size_range) },
    Function { name: "pdf_image_to_text_ratio", does: Does::Runs(pdf_image_to_text_ratio) },
    Function { name: "pdf_named", does: Does::Runs(pdf_named) },
    Function { name: "pdf_name_regex", does: Does::Matches(pdf_name_regex, &[0]) },
    Function { name: "pdf_match_details", does: Does::Matches(pdf_match_details, &[1]) },
    Function { name: "pdf_match_md5", does: Does::Runs(pdf_match_md5) },
    Function { name: "pdf_match_fuzzy_md5", does: Does::Runs(pdf_match_fuzzy_md5) },
    Function { name: "pdf_is_encrypted", does: Does::Runs(pdf_is_encrypted) },
    Function { name: "pdf_is_empty_body", does: Does::Runs(pdf_is_empty_body) },
];

/// `pdf_count(min, max)`: so many PDF files.
fn pdf_count(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let found = count(context.facts.mail.pdfs().count);
    flag(!arguments.is_empty() && limit(arguments, 0, found))
}

/// `pdf_image_count(min, max)`: so many images in PDF files.
fn pdf_image_count(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let found = count(context.facts.mail.pdfs().images);
    flag(!arguments.is_empty() && limit(arguments, 0, found))
}

/// `pdf_pixel_coverage(min, max)`: square pixels of the images of a PDF file.
fn pdf_pixel_coverage(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let area = context.facts.mail.pdfs().area;
    let fits = area.is_some_and(|area| limit(arguments, 0, area));
    flag(!arguments.is_empty() && fits)
}

/// `pdf_image_size_exact(height, width)`: an image of this size, or all of one file together.
fn pdf_image_size_exact(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let wanted = word(arguments, 0).parse().ok().zip(word(arguments, 1).parse().ok());
    flag(wanted.is_some_and(|wanted| context.facts.mail.pdfs().sizes.contains(&wanted)))
}

/// `pdf_image_size_range(min height, min width, max height, max width)`: likewise, limits
/// included; the highest ones may be left out.
fn pdf_image_size_range(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    #[expect(clippy::cast_precision_loss, reason = "sizes that large are not true anyway")]
    let fits =
        |(height, width): &(u64, u64)| super::in_range(arguments, 0, *height as f64, *width as f64);
    flag(arguments.len() > 1 && context.facts.mail.pdfs().sizes.iter().any(fits))
}

/// `pdf_image_to_text_ratio(min, max)`: octets of the mail's text for each square pixel, at
/// least `min` and below `max`; without text or images never.
fn pdf_image_to_text_ratio(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let text = text_length(context);
    let Some(area) = context.facts.mail.pdfs().area else { return flag(false) };
    let ratio = count(text) / area;
    let sound = arguments.len() > 1 && text > 0;
    flag(sound && ratio >= at(arguments, 0) && ratio < at(arguments, 1))
}

/// `pdf_named(name)`: a file has this name.
fn pdf_named(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let name = word(arguments, 0);
    let found = context.facts.mail.pdfs().names.contains(name);
    if found {
        context.shown = Some(name.to_owned());
    }
    flag(found)
}

/// `pdf_name_regex(regex)`: the name of a file matches.
fn pdf_name_regex(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let Some(regex) = arguments.first() else { return flag(false) };
    for name in &context.facts.mail.pdfs().names {
        if context.matches(regex, name.as_bytes()) {
            context.shown = Some(name.clone());
            return flag(true);
        }
    }
    flag(false)
}

/// `pdf_match_details(detail, regex)`: the `author`, `creator`, `created`, `modified`,
/// `producer` or `title` of a file matches.
fn pdf_match_details(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let Some(regex) = arguments.get(1) else { return flag(false) };
    let Some(details) = context.facts.mail.pdfs().details.get(word(arguments, 0)) else {
        return flag(false);
    };
    for detail in details {
        if context.matches(regex, detail) {
            context.shown = Some(String::from_utf8_lossy(detail).into_owned());
            return flag(true);
        }
    }
    flag(false)
}

/// `pdf_match_md5(sum)`: a file has this MD5.
fn pdf_match_md5(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let sum = word(arguments, 0).to_ascii_uppercase();
    flag(context.facts.mail.pdfs().sums.contains(&sum))
}

/// `pdf_match_fuzzy_md5(sum)`: the first lines of a file, or the names in front of its lines,
/// have this MD5.
fn pdf_match_fuzzy_md5(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let sum = word(arguments, 0).to_ascii_uppercase();
    flag(context.facts.mail.pdfs().fuzzy_sums.contains(&sum))
}

/// `pdf_is_encrypted()`: a file is encrypted.
fn pdf_is_encrypted(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(context.facts.mail.pdfs().encrypted)
}

/// `pdf_is_empty_body(max)`: there is a PDF file, and besides the Subject at most so many
/// octets of text.
fn pdf_is_empty_body(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let blank = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0x0b);
    let texts = context.body();
    let length: usize =
        texts.iter().skip(1).filter(|text| !blank(text)).map(|text| text.len()).sum();
    flag(context.facts.mail.pdfs().count > 0 && count(length) <= at(arguments, 0))
}
