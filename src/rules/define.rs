//! Reads the definitions of SpamAssassin's rules: `header`, `body`, `uri`, `meta`.

use std::sync::Arc;

use super::header::{Ask, Refused, Selector};
use super::line::{Line, Token};
use super::load::{Compiler, Definition, Refusal};
use super::meta;
use super::pattern::Dialect;

/// `Hdr[:mod] =~ /re/ [if-unset: STR]`, `exists:Hdr`.
pub(super) fn header<'l>(
    compiler: &mut Compiler<'_>,
    line: &Line<'_>,
    text: Token<'l>,
) -> Result<Definition<'l>, Refusal> {
    if text.text.starts_with("eval:") {
        return Err(Refusal::Unsupported("header eval:".to_owned()));
    }
    let selector = |token: Token<'_>, unset: &str| {
        Selector::read(token.text, unset).map_err(|refused| match refused {
            Refused::Unsupported(kind) => Refusal::Unsupported(kind),
            Refused::Unknown(message) => line
                .error(token, message)
                .with_hint("modifiers are :raw :addr :name :host :first :last")
                .into(),
        })
    };
    if text.text.starts_with("exists:") {
        let name = text.from("exists:".len()).trimmed();
        return Ok(Definition::Header { selector: selector(name, "")?, ask: Ask::Exists });
    }
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
    let operand = rest.from(2).trimmed();
    let (regex, unset) = if_unset(operand);
    let selector = selector(name, unset)?;
    let pattern = compiler.pattern(line, regex, Dialect::Bytes)?;
    let ask = Ask::Match { negated: operator.text == "!~", pattern };
    Ok(Definition::Header { selector, ask })
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

/// `/re/` of a `body` or `uri` rule.
pub(super) fn regex(
    compiler: &mut Compiler<'_>,
    line: &Line<'_>,
    text: Token<'_>,
    directive: &str,
) -> Result<Arc<super::pattern::Pattern>, Refusal> {
    if text.text.starts_with("eval:") {
        return Err(Refusal::Unsupported(format!("{directive} eval:")));
    }
    compiler.pattern(line, text, Dialect::Bytes)
}

/// An expression.
pub(super) fn meta<'l>(line: &Line<'_>, text: Token<'l>) -> Result<Definition<'l>, Refusal> {
    if text.text.contains("rules_matching") {
        return Err(Refusal::Unsupported("meta rules_matching()".to_owned()));
    }
    meta::parse(text).map(Definition::Meta).map_err(|wrong| {
        let error = line.error(wrong.token, wrong.message);
        match wrong.hint {
            Some(hint) => error.with_hint(hint).into(),
            None => error.into(),
        }
    })
}
