//! Functions about MIME parts (SpamAssassin's `MIMEEval`).

use super::locales;
use super::{Argument, Context, Does, Function, Known};
use super::{at, count, flag, limit, word};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "check_for_mime", does: Does::Runs(has_property) },
    Function { name: "check_for_mime_html", does: Does::Runs(has_html) },
    Function { name: "check_for_mime_html_only", does: Does::Runs(has_html_only) },
    Function { name: "check_mime_multipart_ratio", does: Does::Runs(multipart_ratio) },
    Function { name: "check_msg_parse_flags", does: Does::Runs(parse_flag) },
    Function { name: "check_for_ascii_text_illegal", does: Does::Runs(illegal_ascii) },
    Function { name: "check_abundant_unicode_ratio", does: Does::Runs(unicode_ratio) },
    Function { name: "check_for_faraway_charset", does: Does::Runs(faraway_charset) },
    Function { name: "check_for_uppercase", does: Does::Runs(uppercase) },
    Function { name: "check_ma_non_text", does: Does::Runs(other_alternative) },
    Function { name: "check_base64_length", does: Does::Runs(base64_length) },
    Function { name: "check_qp_ratio", does: Does::Runs(quoted_printable_ratio) },
];

/// `check_for_mime(name)`: a count is not 0, a property is there.
fn has_property(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let name = word(arguments, 0);
    let mail = &context.facts.mail;
    if context.facts.message.bare {
        return flag(false);
    }
    if name == "mime_faraway_charset" {
        let foreign = |charset: &String| !locales::expects(&context.settings.locales, charset);
        return flag(mail.counts().charsets.iter().any(foreign));
    }
    let value = mail.counts().by_name(name, mail.structure().odd.missing_boundary);
    flag(value.is_some_and(|value| value > 0.0))
}

/// True when the mail itself is HTML.
fn is_html(context: &Context<'_, '_, '_>) -> bool {
    let field = context.header("Content-Type").unwrap_or_default();
    field.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("text/html"))
}

/// `check_for_mime_html()`: a part is HTML.
fn has_html(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(is_html(context) || context.facts.mail.counts().html > 0)
}

/// `check_for_mime_html_only()`: a part is HTML, and no part other text.
fn has_html_only(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let counts = context.facts.mail.counts();
    flag(is_html(context) || counts.html > 0 && counts.text == 0)
}

/// `check_mime_multipart_ratio(min, max)`: octets of plain text for each of HTML in
/// alternatives, at least `min` and below `max`; 1 where there are not both.
fn multipart_ratio(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let ratio = context.facts.mail.counts().multipart_ratio;
    let mail = !context.facts.message.bare;
    flag(mail && ratio >= at(arguments, 0) && ratio < at(arguments, 1))
}

/// `check_msg_parse_flags(name)`: something was odd about headers or boundaries.
fn parse_flag(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let odd = context.facts.mail.structure().odd;
    let name = word(arguments, 0);
    flag(match name {
        "truncated_header" => odd.truncated_header,
        "missing_head_body_separator" => odd.missing_head_body_separator,
        "missing_mime_headers" => odd.missing_mime_headers,
        "missing_mime_head_body_separator" => odd.missing_mime_head_body_separator,
        "mime_epilogue_exists" => odd.mime_epilogue_exists,
        "mimepart_limit_exceeded" => odd.mimepart_limit_exceeded,
        _ => false,
    })
}

/// `check_for_ascii_text_illegal()`: what is declared to be ASCII text is not.
fn illegal_ascii(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(context.facts.mail.counts().illegal_lines > 0)
}

/// `check_abundant_unicode_ratio(min)`: written-out Unicode references for each other octet of
/// plain text; `min` has to be written with a point and at most three digits around it.
fn unicode_ratio(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let text = word(arguments, 0);
    let digits = |text: &str, least: usize| {
        (least..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let sound = text.split_once('.').is_some_and(|(one, two)| digits(one, 0) && digits(two, 1));
    let ratio = context.facts.mail.counts().unicode_ratio;
    let mail = !context.facts.message.bare;
    flag(mail && sound && ratio >= at(arguments, 0))
}

/// `check_for_faraway_charset()`: the mail's charset is one that no expected language has, and
/// most octets of its text are not ASCII.
fn faraway_charset(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let field = context.header("Content-Type").unwrap_or_default();
    let Some(charset) = locales::of_content_type(&field) else { return flag(false) };
    if locales::expects(&context.settings.locales, charset) {
        return flag(false);
    }
    let (mut high, mut low) = (0_usize, 0_usize);
    let texts = context.body();
    for byte in texts.iter().copied().flatten() {
        if byte.is_ascii() {
            low += 1;
        } else {
            high += 1;
        }
    }
    // A line end stands between any two paragraphs.
    low += texts.len().saturating_sub(1);
    flag(low <= high && high > 3)
}

/// `check_for_uppercase(min, max)`: so many per cent of the letters and digits of lines with
/// more than one word are capitals, more than `min` and at most `max`; none in short mails and
/// where the charset writes everything in capitals.
fn uppercase(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let percent = if writes_capitals(context) { 0.0 } else { capitals(&context.body()) };
    flag(percent > at(arguments, 0) && percent <= at(arguments, 1))
}

/// Octets below which a mail has too few words to judge.
const SHORT: usize = 200;

fn capitals(texts: &[&[u8]]) -> f64 {
    let (mut all, mut lower, mut upper) = (0, 0, 0);
    for text in texts.iter().filter(|text| has_two_words(text) && !is_base64(text)) {
        let (start, end) = japanese(text);
        let before = text.get(..start).unwrap_or_default();
        let after = text.get(end..).unwrap_or_default();
        for byte in before.iter().chain(after) {
            all += 1;
            lower += usize::from(byte.is_ascii_lowercase() || byte.is_ascii_digit());
            upper += usize::from(byte.is_ascii_uppercase());
        }
    }
    if all < SHORT || upper == 0 {
        return 0.0;
    }
    count(upper) / count(upper + lower) * 100.0
}

fn has_two_words(text: &[u8]) -> bool {
    let mut words = text.split(|byte| byte.is_ascii_whitespace() || *byte == 0x0b);
    words.by_ref().any(|word| !word.is_empty()) && words.any(|word| !word.is_empty())
}

/// Two lines of base64 that rendering has joined.
fn is_base64(text: &[u8]) -> bool {
    let mut words = text.split(|byte| *byte == b' ');
    let mut line = || {
        words.next().is_some_and(|word| {
            let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
            (60..=76).contains(&word.len()) && word.iter().all(known)
        })
    };
    line() && line() && words.next().is_some()
}

/// From the first mark that starts Japanese to the last one that ends it.
fn japanese(text: &[u8]) -> (usize, usize) {
    let start = memchr::memmem::find(text, b"\x1b$B");
    let end = memchr::memmem::rfind(text, b"\x1b(B");
    match (start, end) {
        (Some(start), Some(end)) if end >= start + 3 => (start, end + 3),
        _ => (0, 0),
    }
}

/// True when a charset of the mail encodes text in letters, many of them capitals.
fn writes_capitals(context: &Context<'_, '_, '_>) -> bool {
    let field = context.header("Content-Type").unwrap_or_default();
    locales::of_content_type(&field).is_some_and(locales::seems_capital)
        || context
            .facts
            .mail
            .counts()
            .charsets
            .iter()
            .flat_map(|charset| charset.split(' '))
            .any(locales::seems_capital)
}

/// `check_ma_non_text()`: an alternative is neither text nor a bundle of text and images.
fn other_alternative(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    flag(context.facts.mail.counts().other_alternative)
}

/// `check_base64_length(min, max)`: octets of the longest line of base64, its end included.
fn base64_length(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let length = count(context.facts.mail.counts().base64_length);
    flag(!context.facts.message.bare && limit(arguments, 0, length))
}

/// `check_qp_ratio(min)`: characters of quoted-printable text that were escaped without need,
/// as a share of all its octets.
fn quoted_printable_ratio(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let ratio = context.facts.mail.counts().quoted_printable_ratio;
    flag(!context.facts.message.bare && ratio >= at(arguments, 0))
}
