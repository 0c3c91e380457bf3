//! Rewrites a Perl regex for the `regex` crate, so that it means the same.
//!
//! Comes in: the text between the delimiters. Goes out: a [`Translation`]. What the linear
//! engine cannot do (look-around, back-references, atomic groups, possessive quantifiers) is
//! said by [`Translation::backtracking`]; the translation is then a *relaxed* one that matches
//! at least wherever the original does, good for finding required literals only.
//!
//! The differences that matter: `$` also matches before a last newline, `\<` is a literal,
//! `[` inside a class is a literal, `\015` is octal, `a++` is possessive, `/x` keeps white
//! space inside classes, `\v` is a class. Groups capture only where asked.

use super::class;
use super::pattern::{Dialect, Switches};

/// What came of a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translation {
    /// The pattern for the linear engine.
    pub(super) text: String,
    /// True when the original needs the backtracking engine.
    pub(super) backtracking: bool,
    /// False when even the relaxed pattern says nothing (recursion, conditions).
    pub(super) relaxed: bool,
}

/// Translates a pattern; `captures`: its groups capture, the first of each name by it.
pub(super) fn translate(
    pattern: &str,
    switches: Switches,
    dialect: Dialect,
    captures: bool,
) -> Result<Translation, String> {
    let mut translator = Translator {
        input: Input { rest: pattern },
        out: String::with_capacity(pattern.len() + 16),
        dialect,
        captures,
        names: Vec::new(),
        multi_line: switches.multi_line,
        extended: switches.extended,
        groups: Vec::new(),
        backtracking: false,
        relaxed: true,
    };
    translator.run()?;
    Ok(Translation {
        text: translator.out,
        backtracking: translator.backtracking,
        relaxed: translator.relaxed,
    })
}

/// The rest of a pattern.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'p> {
    pub(super) rest: &'p str,
}

impl<'p> Input<'p> {
    pub(super) fn bump(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let first = chars.next();
        self.rest = chars.as_str();
        first
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes characters while they fit, at most so many.
    pub(super) fn take(&mut self, most: usize, fits: impl Fn(char) -> bool) -> &'p str {
        let end = self
            .rest
            .char_indices()
            .enumerate()
            .find(|(count, (_, c))| *count >= most || !fits(*c))
            .map_or(self.rest.len(), |(_, (offset, _))| offset);
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// Takes everything before the mark and the mark itself.
    pub(super) fn until(&mut self, mark: &str) -> Option<&'p str> {
        let (taken, rest) = self.rest.split_once(mark)?;
        self.rest = rest;
        Some(taken)
    }
}

struct Group {
    /// Set for look-around: where the output is cut when the group closes.
    cut: Option<usize>,
    multi_line: bool,
    extended: bool,
}

#[expect(clippy::struct_excessive_bools, reason = "two are Perl's switches, two are findings")]
struct Translator<'p> {
    input: Input<'p>,
    out: String,
    dialect: Dialect,
    captures: bool,
    /// Names of groups so far.
    names: Vec<&'p str>,
    multi_line: bool,
    extended: bool,
    groups: Vec<Group>,
    backtracking: bool,
    relaxed: bool,
}

impl<'p> Translator<'p> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.input.bump() {
            match c {
                '\\' => self.escape()?,
                '[' => class::class(&mut self.input, &mut self.out, self.dialect)?,
                '(' => self.open()?,
                ')' => self.close()?,
                '{' => self.brace(),
                '*' | '+' | '?' => {
                    self.out.push(c);
                    self.after_quantifier();
                }
                '}' | ']' => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                '$' if self.multi_line => self.out.push_str("(?m:$)"),
                '$' => self.out.push_str(r"(?:\n?\z)"),
                '^' if self.multi_line => self.out.push_str("(?m:^)"),
                '#' if self.extended => {
                    self.input.take(usize::MAX, |c| c != '\n');
                }
                c if self.extended && c.is_ascii_whitespace() => {}
                '.' | '|' | '^' => self.out.push(c),
                c => self.literal(c),
            }
        }
        if self.groups.is_empty() { Ok(()) } else { Err("unclosed group".to_owned()) }
    }

    /// A character that stands for itself. Several bytes stay together under a quantifier:
    /// Perl would bind it to the last byte, which nobody means.
    fn literal(&mut self, c: char) {
        if c.is_ascii() || self.dialect == Dialect::Unicode {
            class::push_character(&mut self.out, c);
        } else {
            self.out.push_str("(?:");
            class::push_bytes(&mut self.out, c);
            self.out.push(')');
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        if self.input.eat("Q") {
            let quoted = match self.input.until("\\E") {
                Some(quoted) => quoted,
                None => self.input.take(usize::MAX, |_| true),
            };
            quoted.chars().for_each(|c| self.literal(c));
            return Ok(());
        }
        if let Some(digit @ '1'..='9') = self.input.peek() {
            let octal = Input { rest: self.input.rest }.take(3, |c| matches!(c, '0'..='7')).len();
            let decimal = Input { rest: self.input.rest }.take(3, |c| c.is_ascii_digit()).len();
            // Like Perl: one digit is always a back-reference, `\15` and `\101` are octal.
            if decimal == 1 || octal < 2 || digit > '7' {
                self.input.take(decimal, |c| c.is_ascii_digit());
                self.back_reference();
                return Ok(());
            }
        }
        match self.input.peek() {
            None => return Err("the pattern ends with a backslash".to_owned()),
            Some('g' | 'k') => {
                self.input.bump();
                let named = [("{", "}"), ("<", ">"), ("'", "'")]
                    .iter()
                    .any(|(open, close)| self.input.eat(open) && self.input.until(close).is_some());
                if !named {
                    self.input.take(usize::MAX, |c| c == '-' || c.is_ascii_digit());
                }
                self.back_reference();
            }
            Some('K' | 'G' | 'X' | 'C') => {
                self.input.bump();
                self.backtracking = true;
                self.relaxed = false;
            }
            Some('Z') => {
                self.input.bump();
                self.out.push_str(r"(?:\n?\z)");
            }
            Some('R') => {
                self.input.bump();
                self.out.push_str(r"(?:\r\n|[\n\x0b\x0c\r])");
            }
            Some('E') => {
                self.input.bump();
            }
            Some(c @ ('A' | 'z' | 'b' | 'B')) => {
                self.input.bump();
                self.out.push('\\');
                self.out.push(c);
            }
            Some(_) => {
                let unit = class::escape(&mut self.input, self.dialect, false)?;
                class::push_unit(&mut self.out, &unit, self.dialect);
            }
        }
        Ok(())
    }

    /// What a group matched is unknown here, so the relaxed pattern takes anything.
    fn back_reference(&mut self) {
        self.backtracking = true;
        self.out.push_str(match self.dialect {
            Dialect::Bytes => "(?s-u:.*)",
            Dialect::Unicode => "(?s:.*)",
        });
    }

    fn open(&mut self) -> Result<(), String> {
        let mut group = Group { cut: None, multi_line: self.multi_line, extended: self.extended };
        if self.input.peek() == Some('*') {
            return Err("verbs like `(*FAIL)` are not supported".to_owned());
        }
        if !self.input.eat("?") {
            self.out.push_str(if self.captures { "(" } else { "(?:" });
            self.groups.push(group);
            return Ok(());
        }
        if self.input.eat("#") {
            self.input.until(")").ok_or("unclosed comment")?;
            return Ok(());
        }
        if ["<=", "<!", "=", "!"].iter().any(|mark| self.input.eat(mark)) {
            self.backtracking = true;
            group.cut = Some(self.out.len());
        } else if self.input.eat(">") || self.input.eat("|") {
            self.backtracking = true;
        } else if self.input.eat("P<") || self.input.eat("<") {
            let name = self.input.until(">").ok_or("unclosed group name")?;
            self.named(name);
            self.groups.push(group);
            return Ok(());
        } else if self.input.eat("'") {
            let name = self.input.until("'").ok_or("unclosed group name")?;
            self.named(name);
            self.groups.push(group);
            return Ok(());
        } else if !self.input.eat(":") {
            self.flags(group);
            return Ok(());
        }
        self.out.push_str("(?:");
        self.groups.push(group);
        Ok(())
    }

    /// Opens a named group; Perl allows a name twice.
    fn named(&mut self, name: &'p str) {
        if !self.captures {
            self.out.push_str("(?:");
        } else if self.names.contains(&name) {
            self.out.push('(');
        } else {
            self.names.push(name);
            self.out.push_str("(?P<");
            self.out.push_str(name);
            self.out.push('>');
        }
    }

    /// `(?i)`, `(?i-s:`, `(?^x:`, or something that only the backtracking engine knows.
    fn flags(&mut self, group: Group) {
        let letters = self.input.take(usize::MAX, |c| "^-imsxnaludp".contains(c));
        let closed = self.input.eat(")");
        if letters.is_empty() || (!closed && !self.input.eat(":")) {
            // Recursion, conditions, code: the backtracking engine judges them.
            self.backtracking = true;
            self.relaxed = false;
            if !closed {
                self.groups.push(group);
                self.out.push_str("(?:");
            }
            return;
        }
        let (on, off) = letters.split_once('-').unwrap_or((letters, ""));
        let (mut on_out, mut off_out) = (String::new(), String::new());
        if on.starts_with('^') {
            (self.multi_line, self.extended) = (false, false);
            off_out.extend("is".chars().filter(|c| !on.contains(*c)));
        }
        for (flags, value) in [(on, true), (off, false)] {
            for flag in flags.chars() {
                match flag {
                    'm' => self.multi_line = value,
                    'x' => self.extended = value,
                    'i' | 's' if value && !on_out.contains(flag) => on_out.push(flag),
                    'i' | 's' if !value && !off_out.contains(flag) => off_out.push(flag),
                    _ => {}
                }
            }
        }
        if closed {
            if on_out.is_empty() && off_out.is_empty() {
                return;
            }
        } else {
            self.groups.push(group);
        }
        self.out.push_str("(?");
        self.out.push_str(&on_out);
        if !off_out.is_empty() {
            self.out.push('-');
            self.out.push_str(&off_out);
        }
        self.out.push(if closed { ')' } else { ':' });
    }

    fn close(&mut self) -> Result<(), String> {
        let group = self.groups.pop().ok_or("unopened group")?;
        (self.multi_line, self.extended) = (group.multi_line, group.extended);
        match group.cut {
            Some(cut) => {
                self.out.truncate(cut);
                self.out.push_str("(?:)");
            }
            None => self.out.push(')'),
        }
        Ok(())
    }

    /// A `{` that does not start a quantifier is a literal in Perl.
    fn brace(&mut self) {
        let mut ahead = self.input;
        let low = ahead.take(usize::MAX, |c| c.is_ascii_digit());
        if ahead.eat(",") {
            ahead.take(usize::MAX, |c| c.is_ascii_digit());
        }
        let quantifier = !low.is_empty() && ahead.eat("}");
        if !quantifier {
            self.out.push_str(r"\{");
            return;
        }
        let length = self.input.rest.len() - ahead.rest.len();
        self.out.push('{');
        self.out.push_str(self.input.rest.get(..length).unwrap_or(""));
        self.input = ahead;
        self.after_quantifier();
    }

    fn after_quantifier(&mut self) {
        if self.input.eat("?") {
            self.out.push('?');
        } else if self.input.eat("+") {
            self.backtracking = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translation_table() {
        #[track_caller]
        fn check(pattern: &str, expected: &str) {
            let translation =
                translate(pattern, Switches::default(), Dialect::Bytes, false).unwrap();
            assert!(!translation.backtracking, "{pattern}");
            assert_eq!(translation.text, expected, "{pattern}");
            regex::bytes::RegexBuilder::new(&translation.text).unicode(false).build().unwrap();
        }
        check(r"folded$", r"folded(?:\n?\z)");
        check(r"(?m)a$|^b", r"a(?m:$)|(?m:^)b");
        check(r"(?m:a$)$", r"(?:a(?m:$))(?:\n?\z)");
        check(r"a\Z", r"a(?:\n?\z)");
        check(r"\015\012\0", r"\x0d\x0a\x00");
        check(r"\042\e\cA", r#""\x1b\x01"#);
        check(r"\15\101", r"\x0dA");
        check(r"\x9z\x{e9}\x{20AC}\xzz", r"\x09z\xe9(?:\xe2\x82\xac)\x00zz");
        check("€?", r"(?:\xe2\x82\xac)?");
        check("[é]", r"[\xc3\xa9]");
        check("[à-é]", r"[\xc3\xa0-\xa9]");
        check(r"[[.]", r"[\[.]");
        check(r"[]a]", r"[\]a]");
        check(r"[^]a]", r"[^\]a]");
        check(r"[a&&b~~+--d]", r"[a\&\&b\~\~\x2b-\x2dd]");
        check(r"[a-]", r"[a\-]");
        check(r"[\w-.]", r"[\w\-.]");
        check(r"[\d$@\b\h]", r"[\d$@\x08\t\x20]");
        check(r"[[:alpha:]_]", r"[[:alpha:]_]");
        check(r"\@\'\:\_\%\<\>\/", r"@':_%<>/");
        check(r"\h\v\N\R", r"[\t\x20][\n\x0b\x0c\r][^\n](?:\r\n|[\n\x0b\x0c\r])");
        check(r"a{2,3}?b{c{1,", r"a{2,3}?b\{c\{1,");
        check(r"a{,3}}", r"a\{,3\}\}");
        check(r"(?#note)a(?<n>b)(?'n'c)(?P<n>d)", r"a(?:b)(?:c)(?:d)");
        check(r"(?i)a(?-i:b)(?^:c)", r"(?i)a(?-i:b)(?-is:c)");
        check("(?x) a b # c\n [ #]\\ d", r"ab[\x20#]\x20d");
        check(r"\Qa.b\E.c\Q(", r"a\.b.c\(");
        check(r"\p{L}\pL\P{Lu}", r"(?u:\p{L})(?u:\p{L})(?u:\P{Lu})");
        check(r"$?", r"(?:\n?\z)?");
    }

    #[test]
    fn backtracking_is_noticed_and_relaxed() {
        #[track_caller]
        fn check(pattern: &str, expected: &str) {
            let translation =
                translate(pattern, Switches::default(), Dialect::Bytes, false).unwrap();
            assert!(translation.backtracking && translation.relaxed, "{pattern}");
            assert_eq!(translation.text, expected, "{pattern}");
        }
        check(r"free(?!dom|(?:x)y)", r"free(?:)");
        check(r"(?<!x)free(?<=e)(?=z)", r"(?:)free(?:)(?:)");
        check(r"(a)b\1", r"(?:a)b(?s-u:.*)");
        check(r"(?<n>a)b\k<n>\g{1}\g1", r"(?:a)b(?s-u:.*)(?s-u:.*)(?s-u:.*)");
        check(r"a++b*+c?+d{2}+", r"a+b*c?d{2}");
        check(r"(?>abc)", r"(?:abc)");
        check(r"(?|ab|cd)", r"(?:ab|cd)");
        let recursion = translate(r"a(?R)?b", Switches::default(), Dialect::Bytes, false).unwrap();
        assert!(recursion.backtracking && !recursion.relaxed);
    }

    #[test]
    fn groups_capture_where_asked() {
        #[track_caller]
        fn check(pattern: &str, expected: &str) {
            let translation = translate(pattern, Switches::default(), Dialect::Bytes, true);
            assert_eq!(translation.unwrap().text, expected, "{pattern}");
        }
        check(r"(a)(?:b)", r"(a)(?:b)");
        check(r"(?<A>a)|(?'B'b)|(?<A>c)", r"(?P<A>a)|(?P<B>b)|(c)");
    }

    #[test]
    fn what_is_wrong_is_said() {
        #[track_caller]
        fn check(pattern: &str, expected: &str) {
            let translation = translate(pattern, Switches::default(), Dialect::Bytes, false);
            assert_eq!(translation.unwrap_err(), expected, "{pattern}");
        }
        check("(a", "unclosed group");
        check("a)", "unopened group");
        check("[a", "unclosed character class");
        check("a\\", "the pattern ends with a backslash");
        check("(*LIMIT_MATCH=9)a", "verbs like `(*FAIL)` are not supported");
        check(r"\x{110000}", "`\\x{110000}` is not a character");
    }
}
