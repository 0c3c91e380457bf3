//! Expressions of `meta` rules: read once into postfix code, run for every event.
//!
//! SpamAssassin's arithmetic with Perl's precedence, and Kleene's logic for what is unknown:
//! `unknown || true` is true, `unknown && false` is false, anything else made from unknown is
//! unknown. `&&` and `||` give the value of the operand that decided, as in Perl, and leave
//! the second one alone when the first decides.

use super::line::Token;
use super::test::Comparison;

/// Deepest nesting of parentheses and signs.
const DEPTH: usize = 100;

/// What an operator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Compare(Comparison),
    ExclusiveOr,
}

/// One step of postfix code. `N` is what names a rule: a name first, then an index.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step<N> {
    Number(f64),
    Rule(N),
    /// `rules_matching(GLOB)`: the glob as written, until the rules are known.
    Matching(N),
    /// How many of these rules hit, all their hits counted.
    Sum(Vec<N>),
    Not,
    Negate,
    Binary(Operator),
    /// When the value on top is certainly false, goes so many steps on.
    SkipIfFalse(usize),
    /// When the value on top is certainly true, goes so many steps on.
    SkipIfTrue(usize),
    And,
    Or,
    /// `condition ? a : b`, all three computed.
    Choose,
}

/// An expression in postfix code.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expression<N> {
    pub(super) steps: Vec<Step<N>>,
}

/// What is wrong with an expression, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong<'l> {
    pub(super) token: Token<'l>,
    pub(super) message: String,
    pub(super) hint: Option<&'static str>,
}

/// Reads an expression. Rules are tokens of the line.
pub(super) fn parse(text: Token<'_>) -> Result<Expression<Token<'_>>, Wrong<'_>> {
    let mut parser = Parser { rest: text.trimmed(), steps: Vec::new(), depth: 0 };
    parser.choice()?;
    let next = parser.next_token();
    if next.text.is_empty() {
        Ok(Expression { steps: parser.steps })
    } else {
        Err(unexpected(next))
    }
}

fn unexpected(token: Token<'_>) -> Wrong<'_> {
    let (message, hint) = match token.text {
        "" => ("the expression ends too early".to_owned(), None),
        "&" | "|" => {
            (format!("unexpected `{}`", token.text), Some("logic is written `&&` and `||`"))
        }
        "=" => ("unexpected `=`".to_owned(), Some("equality is written `==`")),
        other => (format!("unexpected `{other}`"), None),
    };
    Wrong { token, message, hint }
}

struct Parser<'l> {
    rest: Token<'l>,
    steps: Vec<Step<Token<'l>>>,
    depth: usize,
}

type Parsed<'l, T = ()> = Result<T, Wrong<'l>>;

/// Binary operators that compute from both sides, loosest first; `&&`, `||` and `?:` are
/// looser still.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("^", Operator::ExclusiveOr)],
    &[
        ("==", Operator::Compare(Comparison::Equal)),
        ("!=", Operator::Compare(Comparison::NotEqual)),
    ],
    &[
        ("<=", Operator::Compare(Comparison::LessOrEqual)),
        (">=", Operator::Compare(Comparison::GreaterOrEqual)),
        ("<", Operator::Compare(Comparison::Less)),
        (">", Operator::Compare(Comparison::Greater)),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide)],
];

const SYMBOLS: [&str; 20] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "^", "+", "-", "*", "/", "?", ":", "(", ")",
    "&", "|",
];

impl<'l> Parser<'l> {
    /// The next token, not taken; empty at the end.
    fn peek(&self) -> Token<'l> {
        let rest = self.rest.trimmed();
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let length = SYMBOLS
            .iter()
            .find(|symbol| rest.text.starts_with(**symbol))
            .map(|symbol| symbol.len())
            .or_else(|| rest.text.find(|c| !word(c)).filter(|end| *end > 0))
            .or_else(|| rest.text.chars().next().filter(|c| !word(*c)).map(char::len_utf8))
            .unwrap_or(rest.text.len());
        rest.part(0, length)
    }

    fn next_token(&mut self) -> Token<'l> {
        let token = self.peek();
        let length = (token.at + token.text.len()).saturating_sub(self.rest.at);
        self.rest = self.rest.from(length);
        token
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = self.peek().text == symbol;
        if found {
            self.next_token();
        }
        found
    }

    fn deeper(&mut self) -> Parsed<'l> {
        self.depth += 1;
        if self.depth <= DEPTH {
            return Ok(());
        }
        let message = format!("the expression is nested deeper than {DEPTH} levels");
        Err(Wrong { token: self.peek(), message, hint: None })
    }

    fn choice(&mut self) -> Parsed<'l> {
        self.deeper()?;
        self.or()?;
        if self.eat("?") {
            self.choice()?;
            if !self.eat(":") {
                return Err(unexpected(self.peek()));
            }
            self.choice()?;
            self.steps.push(Step::Choose);
        }
        self.depth -= 1;
        Ok(())
    }

    fn or(&mut self) -> Parsed<'l> {
        self.and()?;
        while self.eat("||") {
            let skip = self.steps.len();
            self.steps.push(Step::SkipIfTrue(0));
            self.and()?;
            self.steps.push(Step::Or);
            self.land(skip, Step::SkipIfTrue);
        }
        Ok(())
    }

    fn and(&mut self) -> Parsed<'l> {
        self.binary(0)?;
        while self.eat("&&") {
            let skip = self.steps.len();
            self.steps.push(Step::SkipIfFalse(0));
            self.binary(0)?;
            self.steps.push(Step::And);
            self.land(skip, Step::SkipIfFalse);
        }
        Ok(())
    }

    /// Lets a skip land behind the last step.
    fn land(&mut self, skip: usize, make: impl Fn(usize) -> Step<Token<'l>>) {
        let distance = self.steps.len() - skip - 1;
        if let Some(step) = self.steps.get_mut(skip) {
            *step = make(distance);
        }
    }

    fn binary(&mut self, level: usize) -> Parsed<'l> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        self.binary(level + 1)?;
        loop {
            let token = self.peek();
            let Some((_, operator)) = operators.iter().find(|(text, _)| *text == token.text) else {
                return Ok(());
            };
            self.next_token();
            self.binary(level + 1)?;
            self.steps.push(Step::Binary(*operator));
        }
    }

    fn unary(&mut self) -> Parsed<'l> {
        self.deeper()?;
        let token = self.next_token();
        match token.text {
            "!" => {
                self.unary()?;
                self.steps.push(Step::Not);
            }
            "-" => {
                self.unary()?;
                self.steps.push(Step::Negate);
            }
            "+" => self.unary()?,
            "(" => {
                self.choice()?;
                if !self.eat(")") {
                    let found = self.peek();
                    if found.text.is_empty() {
                        let message = "this `(` is never closed".to_owned();
                        return Err(Wrong { token, message, hint: None });
                    }
                    return Err(unexpected(found));
                }
            }
            text => self.operand(token, text)?,
        }
        self.depth -= 1;
        Ok(())
    }

    /// `(GLOB)` after `rules_matching`.
    fn matching(&mut self) -> Parsed<'l> {
        let rest = self.rest.trimmed();
        let inner = rest.text.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        let Some((glob, _)) = inner.filter(|(glob, _)| is_glob(glob.trim())) else {
            let message = "`rules_matching` needs a pattern of names".to_owned();
            let hint = Some("for example `rules_matching(__CAL_*)`");
            return Err(Wrong { token: rest, message, hint });
        };
        self.steps.push(Step::Matching(rest.part(1, 1 + glob.len()).trimmed()));
        self.rest = rest.from(glob.len() + 2);
        Ok(())
    }

    fn operand(&mut self, token: Token<'l>, text: &'l str) -> Parsed<'l> {
        if text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            let Some(number) = text.parse::<f64>().ok().filter(|n| n.is_finite()) else {
                let message = format!("`{text}` is not a number");
                return Err(Wrong { token, message, hint: None });
            };
            self.steps.push(Step::Number(number));
        } else if text == "local_tests_only" {
            self.steps.push(Step::Number(0.0));
        } else if text == "rules_matching" {
            self.matching()?;
        } else if is_name(text) {
            self.steps.push(Step::Rule(token));
        } else {
            return Err(unexpected(token));
        }
        Ok(())
    }
}

/// True for a glob over names of rules.
fn is_glob(text: &str) -> bool {
    let names = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'*' | b'?');
    !text.is_empty() && text.len() <= 100 && text.bytes().all(names)
}

/// True for the name of a rule.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 100
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl<N> Expression<N> {
    /// The rules named, also several times.
    pub(super) fn rules(&self) -> impl Iterator<Item = &N> {
        self.steps.iter().flat_map(|step| match step {
            Step::Rule(rule) => std::slice::from_ref(rule),
            Step::Sum(rules) => rules,
            Step::Number(_)
            | Step::Matching(_)
            | Step::Not
            | Step::Negate
            | Step::Binary(_)
            | Step::SkipIfFalse(_)
            | Step::SkipIfTrue(_)
            | Step::And
            | Step::Or
            | Step::Choose => &[],
        })
    }

    /// Replaces every glob by the rules it stands for.
    pub(super) fn expand(&mut self, mut rules: impl FnMut(&N) -> Vec<N>) {
        for step in &mut self.steps {
            if let Step::Matching(glob) = step {
                *step = Step::Sum(rules(glob));
            }
        }
    }

    /// Replaces names; a rule that is nothing counts as 0.
    pub(super) fn resolved<M>(&self, resolve: impl Fn(&N) -> Option<M>) -> Expression<M> {
        let steps = self
            .steps
            .iter()
            .map(|step| match step {
                Step::Rule(rule) => resolve(rule).map_or(Step::Number(0.0), Step::Rule),
                Step::Sum(rules) => Step::Sum(rules.iter().filter_map(&resolve).collect()),
                Step::Matching(_) => Step::Number(0.0),
                Step::Number(number) => Step::Number(*number),
                Step::Not => Step::Not,
                Step::Negate => Step::Negate,
                Step::Binary(operator) => Step::Binary(*operator),
                Step::SkipIfFalse(distance) => Step::SkipIfFalse(*distance),
                Step::SkipIfTrue(distance) => Step::SkipIfTrue(*distance),
                Step::And => Step::And,
                Step::Or => Step::Or,
                Step::Choose => Step::Choose,
            })
            .collect();
        Expression { steps }
    }
}

/// What an expression computes with: numbers that may be unknown, or ranges of numbers.
pub(super) trait Domain: Copy {
    /// A number.
    fn number(number: f64) -> Self;
    /// Certainly true or false, or not certain.
    fn truth(self) -> Option<bool>;
    /// `-a`
    fn negate(self) -> Self;
    /// `!a`
    fn not(self) -> Self;
    /// `a + b` and so on.
    fn binary(operator: Operator, a: Self, b: Self) -> Self;
    /// `a && b`, neither skipped.
    fn and(a: Self, b: Self) -> Self;
    /// `a || b`, neither skipped.
    fn or(a: Self, b: Self) -> Self;
    /// `condition ? a : b`
    fn choose(condition: Self, a: Self, b: Self) -> Self;
}

impl<N> Expression<N> {
    /// Computes the value. The stack is the caller's, so that it is allocated once.
    pub(super) fn value<D: Domain>(
        &self,
        stack: &mut Vec<D>,
        mut rule: impl FnMut(&N, &mut Vec<D>) -> D,
    ) -> D {
        let mut steps = self.steps.iter();
        while let Some(step) = steps.next() {
            // Code made by the parser never takes more from the stack than it put there.
            let pop = |stack: &mut Vec<D>| stack.pop().unwrap_or_else(|| D::number(0.0));
            let value = match step {
                Step::Number(number) => D::number(*number),
                Step::Rule(name) => rule(name, stack),
                Step::Sum(names) => {
                    let mut sum = D::number(0.0);
                    for name in names {
                        let value = rule(name, stack);
                        sum = D::binary(Operator::Add, sum, value);
                    }
                    sum
                }
                Step::Matching(_) => D::number(0.0),
                Step::Not => pop(stack).not(),
                Step::Negate => pop(stack).negate(),
                Step::Binary(operator) => {
                    let b = pop(stack);
                    D::binary(*operator, pop(stack), b)
                }
                Step::SkipIfFalse(distance) | Step::SkipIfTrue(distance) => {
                    let decided = matches!(step, Step::SkipIfTrue(_));
                    let top = pop(stack);
                    if top.truth() == Some(decided)
                        && let Some(last) = distance.checked_sub(1)
                    {
                        steps.nth(last);
                    }
                    top
                }
                Step::And => {
                    let b = pop(stack);
                    D::and(pop(stack), b)
                }
                Step::Or => {
                    let b = pop(stack);
                    D::or(pop(stack), b)
                }
                Step::Choose => {
                    let b = pop(stack);
                    let a = pop(stack);
                    D::choose(pop(stack), a, b)
                }
            };
            stack.push(value);
        }
        stack.pop().unwrap_or_else(|| D::number(0.0))
    }
}

#[cfg(test)]
#[path = "meta_tests.rs"]
mod tests;
