//! Reads the operand of a `calendar` rule and checks it against the kind of its fact.
//!
//! `[all(FACT)|message(FACT)|FACT] OP OPERAND`, `exists:FACT`, or a bare `FACT`. Texts are
//! compared without regard to case; regexes see Unicode.

use crate::facts::{FactId, Kind, Scope, TABLE};

use super::diagnostic::closest;
use super::line::{Line, Token};
use super::load::{Compiler, Refusal};
use super::pattern::{Dialect, looks_like_regex};
use super::test::{Check, Comparison, Quantifier, Test};
use super::units;

const OPERATORS: [&str; 8] = ["=~", "!~", "==", "!=", "<=", ">=", "<", ">"];

/// Reads everything after the name of the rule.
pub(super) fn read(
    compiler: &mut Compiler<'_>,
    line: &Line<'_>,
    text: Token<'_>,
) -> Result<Test, Refusal> {
    if let Some(name) = text.text.strip_prefix("exists:") {
        let name = text.from(text.text.len() - name.len()).trimmed();
        let fact = fact(line, name)?;
        return Ok(Test { fact, quantifier: Quantifier::Any, check: Check::Exists, most: 1 });
    }
    let (mut quantifier, name, rest) = subject(line, text)?;
    let fact = fact(line, name)?;
    if quantifier == Quantifier::Joined && fact.fact().scope == Scope::Message {
        quantifier = Quantifier::Any;
        let message = format!("`{}` belongs to the message already", name.text);
        compiler
            .diagnostics
            .push(line.warning(name, message).with_hint("`message(…)` can be left out"));
    }
    let check = if rest.text.is_empty() {
        bare(line, name, fact)?
    } else {
        operation(compiler, line, fact, rest)?
    };
    let asked = Test { fact, quantifier, check, most: 1 };
    let mixed = quantifier == Quantifier::Joined
        && asked.other().is_some_and(|other| other.fact().scope == Scope::Event);
    if mixed {
        let message = "`message(…)` can be compared with facts of the message only";
        return Err(line.error(rest, message).into());
    }
    Ok(asked)
}

/// The fact asked, how many of its values, and what follows.
fn subject<'l>(
    line: &Line<'_>,
    text: Token<'l>,
) -> Result<(Quantifier, Token<'l>, Token<'l>), Refusal> {
    let end = |text: &str| {
        text.find(|c: char| c.is_whitespace() || "=!<>()".contains(c)).unwrap_or(text.len())
    };
    let word = text.part(0, end(text.text));
    let rest = text.from(word.text.len());
    if !rest.text.starts_with('(') {
        return Ok((Quantifier::Any, word, rest.trimmed()));
    }
    let quantifier = match word.text {
        "all" => Quantifier::All,
        "message" => Quantifier::Joined,
        other => {
            let message = format!("unknown `{other}(…)`");
            return Err(line
                .error(word, message)
                .with_hint("write `all(…)` or `message(…)`")
                .into());
        }
    };
    let Some(close) = rest.text.find(')') else {
        return Err(line.error(rest.part(0, 1), "this `(` is never closed").into());
    };
    Ok((quantifier, rest.part(1, close).trimmed(), rest.from(close + 1).trimmed()))
}

fn fact(line: &Line<'_>, name: Token<'_>) -> Result<FactId, Refusal> {
    FactId::find(name.text).ok_or_else(|| {
        let guess = closest(name.text, TABLE.iter().map(|fact| fact.name));
        line.error(name, format!("unknown fact `{}`", name.text)).with_guess(guess).into()
    })
}

fn bare(line: &Line<'_>, name: Token<'_>, fact: FactId) -> Result<Check, Refusal> {
    let kind = fact.fact().kind;
    if kind.is_string() {
        let message = format!("`{}` is {}, not a yes or no", name.text, a(kind));
        let hint = format!("write `exists:{}` to ask whether there is one", name.text);
        return Err(line.error(name, message).with_hint(hint).into());
    }
    Ok(Check::Truth)
}

fn operation(
    compiler: &mut Compiler<'_>,
    line: &Line<'_>,
    fact: FactId,
    rest: Token<'_>,
) -> Result<Check, Refusal> {
    if let Some(operator) = OPERATORS.iter().find(|operator| rest.text.starts_with(**operator)) {
        let (operator, operand) =
            (rest.part(0, operator.len()), rest.from(operator.len()).trimmed());
        if operand.text.is_empty() {
            let message = format!("nothing stands after `{}`", operator.text);
            return Err(line.error(operator, message).into());
        }
        return match Comparison::read(operator.text) {
            Some(comparison) => compare(compiler, line, fact, comparison, operator, operand),
            None => matching(compiler, line, fact, operator, operand),
        };
    }
    let (word, operand) = rest.split_word();
    if word.text == "in" {
        return listed(compiler, line, fact, word, operand);
    }
    let hint = if word.text.starts_with('=') {
        "equality is written `==`, a regex match `=~`"
    } else {
        "operators are =~ !~ == != < <= > >= and in"
    };
    Err(line.error(word, format!("`{}` is not an operator", word.text)).with_hint(hint).into())
}

/// The kind with its article.
fn a(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Address => "an address".to_owned(),
        Kind::Domain | Kind::Number | Kind::Duration | Kind::Size | Kind::Flag => {
            format!("a {}", kind.name())
        }
    }
}

/// What the fact can be asked instead.
fn mismatch(line: &Line<'_>, at: Token<'_>, needs: &str, fact: FactId) -> Refusal {
    let fact = fact.fact();
    let hint = match fact.kind {
        Kind::Text | Kind::Address | Kind::Domain => "text knows =~ !~ == != and in",
        Kind::Number | Kind::Duration | Kind::Size => "numbers know == != < <= > >=",
        Kind::Flag => "a flag stands alone; a meta turns it around with `!`",
    };
    let message = format!("`{}` {needs}, `{}` is {}", at.text, fact.name, a(fact.kind));
    line.error(at, message).with_hint(hint).into()
}

fn matching(
    compiler: &mut Compiler<'_>,
    line: &Line<'_>,
    fact: FactId,
    operator: Token<'_>,
    operand: Token<'_>,
) -> Result<Check, Refusal> {
    if !fact.fact().kind.is_string() {
        return Err(mismatch(line, operator, "needs text", fact));
    }
    let pattern = compiler.pattern(line, operand, Dialect::Unicode)?;
    Ok(Check::Match { negated: operator.text == "!~", pattern })
}

fn listed(
    compiler: &mut Compiler<'_>,
    line: &Line<'_>,
    fact: FactId,
    operator: Token<'_>,
    operand: Token<'_>,
) -> Result<Check, Refusal> {
    if !fact.fact().kind.is_string() {
        return Err(mismatch(line, operator, "needs text", fact));
    }
    let (file, rest) = operand.split_word();
    if file.text.is_empty() {
        return Err(line.error(operator, "nothing stands after `in`").into());
    }
    let list = compiler.list(line, file)?;
    if fact.fact().kind == Kind::Text {
        compiler.ask_texts(file.text);
    }
    if rest.text.is_empty() {
        return Ok(Check::List { list, unless: None });
    }
    let (word, owner) = rest.split_word();
    let unless = (word.text == "unless" && !owner.text.is_empty())
        .then(|| self::fact(line, owner))
        .ok_or_else(|| {
            line.error(rest, format!("unexpected `{}`", rest.text))
                .with_hint("after the file only `unless FACT` may stand")
        })??;
    match unless.fact().kind {
        Kind::Domain | Kind::Address => {}
        // A text that is a host is its own owner's.
        Kind::Text if unless == fact => {}
        kind @ (Kind::Text | Kind::Number | Kind::Duration | Kind::Size | Kind::Flag) => {
            let message = format!("`unless` needs a domain, `{}` is {}", owner.text, a(kind));
            return Err(line.error(owner, message).into());
        }
    }
    if !list.has_owners() {
        let message = format!("no entry of `{}` names its own domains", file.text);
        compiler
            .diagnostics
            .push(line.warning(rest, message).with_hint("`unless` changes nothing here"));
    }
    Ok(Check::List { list, unless: Some(unless) })
}

fn compare(
    compiler: &mut Compiler<'_>,
    line: &Line<'_>,
    fact: FactId,
    comparison: Comparison,
    operator: Token<'_>,
    operand: Token<'_>,
) -> Result<Check, Refusal> {
    let kind = fact.fact().kind;
    if kind == Kind::Flag {
        return Err(mismatch(line, operator, "compares values", fact));
    }
    if kind.is_string() && !comparison.is_equality() {
        return Err(mismatch(line, operator, "compares numbers", fact));
    }
    if let Some(other) = FactId::find(operand.text) {
        let other_kind = other.fact().kind;
        if other_kind == Kind::Flag || other_kind.is_string() != kind.is_string() {
            let message = format!(
                "`{}` is {}, `{}` is {}",
                fact.fact().name,
                a(kind),
                operand.text,
                a(other_kind)
            );
            return Err(line.error(operand, message).with_hint("they cannot be compared").into());
        }
        return Ok(Check::Fact { comparison, other });
    }
    if !kind.is_string() {
        let number = units::read(kind, operand.text).map_err(|(message, hint)| {
            let guess = closest(operand.text, TABLE.iter().map(|fact| fact.name));
            match guess {
                Some(_) => line.error(operand, message).with_guess(guess),
                None => line.error(operand, message).with_hint(hint),
            }
        })?;
        return Ok(Check::Number { comparison, number });
    }
    let text = text(compiler, line, fact, operand)?;
    Ok(Check::Text { negated: comparison == Comparison::NotEqual, text: text.to_lowercase() })
}

/// A quoted string, or one bare word.
fn text(
    compiler: &mut Compiler<'_>,
    line: &Line<'_>,
    fact: FactId,
    operand: Token<'_>,
) -> Result<String, Refusal> {
    if let Some(quoted) = operand.text.strip_prefix('"') {
        let mut text = String::new();
        let mut chars = quoted.chars();
        loop {
            match chars.next() {
                Some('\\') => text.extend(chars.next()),
                Some('"') => break,
                Some(c) => text.push(c),
                None => {
                    let error = line.error(operand, "the string has no closing `\"`");
                    return Err(error.with_hint("a `#` in a rule is written `\\#`").into());
                }
            }
        }
        let rest = chars.as_str();
        if !rest.is_empty() {
            let token = operand.from(operand.text.len() - rest.len()).trimmed();
            return Err(line.error(token, format!("unexpected `{}`", token.text)).into());
        }
        if text.is_empty() {
            // An empty text is no value at all.
            let hint = format!("write `exists:{}` and turn it around in a meta", fact.fact().name);
            return Err(line.error(operand, "no value is empty").with_hint(hint).into());
        }
        return Ok(text);
    }
    if operand.text.starts_with('/') && looks_like_regex(operand.text) {
        let error = line.error(operand, "a regex needs `=~` or `!~`");
        return Err(error.with_hint("put a text that starts with `/` in quotes").into());
    }
    if operand.text.contains(char::is_whitespace) {
        let error = line.error(operand, "several words need quotes");
        return Err(error.with_hint(format!("write `\"{}\"`", operand.text)).into());
    }
    let dotted = TABLE.iter().map(|fact| fact.name).filter(|name| name.contains('.'));
    if let Some(guess) = closest(operand.text, dotted) {
        let message = format!("`{}` is taken as text, it is not a fact", operand.text);
        let hint = format!("did you mean the fact `{guess}`? Otherwise put it in quotes");
        compiler.diagnostics.push(line.warning(operand, message).with_hint(hint));
    }
    Ok(operand.text.to_owned())
}
