//! Reads the definitions of rules: what follows the name, by directive.

use super::header::{Ask, Refused, Selector};
use super::line::{Line, Token};
use super::load::{Compiler, Definition, Refusal};
use super::lookup;
use super::mime::MimeHeader;
use super::pattern::Dialect;
use super::set::TextKind;
use super::{calendar, eval, meta, uri};

/// Reads the definition that stands after a rule's name.
pub(super) fn read<'l>(
    compiler: &mut Compiler<'l>,
    line: &Line<'_>,
    directive: &str,
    text: Token<'l>,
) -> Result<Definition<'l>, Refusal> {
    let texts = match directive {
        "calendar" => return calendar::read(compiler, line, text).map(Definition::Calendar),
        "uri_detail" => return uri::read(compiler, line, text).map(Definition::UriDetail),
        "mimeheader" => return mime_header(compiler, line, text),
        "askdns" => return lookup::ask(compiler, line, text).map(Definition::Lookup),
        "meta" => return expression(line, text),
        _ if text.text.starts_with("eval:") => {
            return eval::read(compiler, line, text.from("eval:".len()));
        }
        "header" => return header(compiler, line, text),
        "body" => TextKind::Body,
        "rawbody" => TextKind::RawBody,
        "full" => TextKind::Full,
        _ => TextKind::Uri,
    };
    let pattern = compiler.pattern(line, text, Dialect::Bytes)?;
    Ok(Definition::Text { kind: texts, pattern })
}

/// `Hdr[:mod] =~ /re/ [if-unset: STR]`, `exists:Hdr`.
fn header<'l>(
    compiler: &mut Compiler<'_>,
    line: &Line<'_>,
    text: Token<'l>,
) -> Result<Definition<'l>, Refusal> {
    let selector = |token: Token<'_>, unset: &str| {
        Selector::read(token.text, unset).map_err(|refused| match refused {
            Refused::Unsupported(kind) => Refusal::unsupported(&kind, "it is not read here"),
            Refused::Unknown(message) => line
                .error(token, message)
                .with_hint("modifiers are :raw :addr :name :host :domain :ip :revip :first :last")
                .into(),
        })
    };
    if text.text.starts_with("exists:") {
        let name = text.from("exists:".len()).trimmed();
        return Ok(Definition::Header { selector: selector(name, "")?, ask: Ask::Exists });
    }
    let asked = asked(line, text)?;
    let selector = selector(asked.name, asked.unset)?;
    let pattern = compiler.pattern(line, asked.regex, Dialect::Bytes)?;
    let ask = Ask::Match { negated: asked.negated, pattern };
    Ok(Definition::Header { selector, ask })
}

/// `Hdr[:raw] =~ /re/ [if-unset: STR]`, of each part.
fn mime_header<'l>(
    compiler: &mut Compiler<'_>,
    line: &Line<'_>,
    text: Token<'l>,
) -> Result<Definition<'l>, Refusal> {
    let asked = asked(line, text)?;
    let (name, raw) = match asked.name.text.split_once(':') {
        None | Some((_, "")) => (asked.name.text.trim_end_matches(':'), false),
        Some((name, "raw")) => (name, true),
        Some((_, modifier)) => {
            let error = line.error(asked.name, format!("unknown header modifier `{modifier}`"));
            return Err(error.with_hint("`mimeheader` rules know :raw").into());
        }
    };
    let pattern = compiler.pattern(line, asked.regex, Dialect::Bytes)?;
    let (negated, unset) = (asked.negated, asked.unset.to_owned());
    Ok(Definition::MimeHeader(MimeHeader { name: name.to_owned(), raw, unset, negated, pattern }))
}

/// A header, an operator, a regex and what stands for a missing header.
struct Asked<'l> {
    name: Token<'l>,
    negated: bool,
    regex: Token<'l>,
    unset: &'l str,
}

fn asked<'l>(line: &Line<'_>, text: Token<'l>) -> Result<Asked<'l>, Refusal> {
    let end = text
        .text
        .find(|c: char| c.is_whitespace() || c == '=' || c == '!')
        .unwrap_or(text.text.len());
    let (name, rest) = (text.part(0, end), text.from(end).trimmed());
    let operator = rest.part(0, 2);
    if !matches!(operator.text, "=~" | "!~") {
        let (word, _) = rest.split_word();
        let error = line.error(word, format!("`{}` is not an operator", word.text));
        return Err(error.with_hint("header rules know =~ and !~").into());
    }
    let (regex, unset) = if_unset(rest.from(2).trimmed());
    Ok(Asked { name, negated: operator.text == "!~", regex, unset })
}

/// Splits off `[if-unset: STR]`.
fn if_unset(operand: Token<'_>) -> (Token<'_>, &str) {
    let split = operand.text.strip_suffix(']').and_then(|text| text.rsplit_once("[if-unset:"));
    match split {
        Some((regex, unset)) if regex.ends_with(char::is_whitespace) => {
            (operand.part(0, regex.len()).trimmed(), unset.trim())
        }
        Some(_) | None => (operand, ""),
    }
}

fn expression<'l>(line: &Line<'_>, text: Token<'l>) -> Result<Definition<'l>, Refusal> {
    meta::parse(text).map(Definition::Meta).map_err(|wrong| {
        let error = line.error(wrong.token, wrong.message);
        match wrong.hint {
            Some(hint) => error.with_hint(hint).into(),
            None => error.into(),
        }
    })
}
