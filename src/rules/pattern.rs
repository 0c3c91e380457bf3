//! Compiles Perl regexes for the engine that can run them in bounded time.
//!
//! Almost all go to the `regex` crate, which is linear, and are compiled when first run. Those that need look-around,
//! back-references, atomic groups or possessive quantifiers go to PCRE2 with JIT and a limit
//! of steps; running into it is told apart from not matching ([`Found::Exhausted`]).
//!
//! A regex with `%{NAME}` in it is a template: what another rule captured as `(?<NAME>…)` is
//! filled in by the scan, and without it the regex matches nothing.
//!
//! `header`, `body` and `uri` regexes see bytes, as in SpamAssassin: `\w \d \s \b` and `/i`
//! are ASCII. `calendar` regexes see Unicode: `\w` knows all letters, `/i` folds all.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::OnceLock;

use super::prefilter;
use super::translate::translate;

/// Largest program of one linear regex.
const SIZE_LIMIT: usize = 10 * 1024 * 1024;
/// States, roughly, up to which no regex comes near that: a range of Unicode takes some 100 bytes.
const SMALL: u32 = 50_000;
/// Deepest nesting of groups.
const NEST_LIMIT: u32 = 100;
/// Steps and depth of the backtracking engine, for one starting point.
const STEP_LIMITS: &str = "(*LIMIT_MATCH=100000)(*LIMIT_DEPTH=20000)";
/// Bytes of one text that the backtracking engine sees: its limit is one a starting point.
const BACKTRACKING_TEXT: usize = 16 * 1024;

/// What a regex sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Dialect {
    /// Bytes: `header`, `body`, `uri`.
    Bytes,
    /// Unicode text: `calendar`.
    Unicode,
}

/// The letters after the closing delimiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::struct_excessive_bools, reason = "these are Perl's switches, one letter each")]
pub(super) struct Switches {
    /// `i`
    pub(super) caseless: bool,
    /// `m`
    pub(super) multi_line: bool,
    /// `s`
    pub(super) dot_all: bool,
    /// `x`
    pub(super) extended: bool,
}

/// A regex as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written<'t> {
    /// Between the delimiters.
    pub(super) body: &'t str,
    /// After them.
    pub(super) switches: Switches,
}

/// True when an operand starts like a regex.
pub(super) fn looks_like_regex(text: &str) -> bool {
    opening(text).is_some()
}

/// The opening delimiter and what follows it.
fn opening(text: &str) -> Option<(char, &str)> {
    if let Some(rest) = text.strip_prefix('/') {
        return Some(('/', rest));
    }
    let rest = text.strip_prefix("qr").or_else(|| text.strip_prefix('m'))?;
    let mut chars = rest.chars();
    let delimiter = chars.next()?;
    let usable = !delimiter.is_alphanumeric() && delimiter != '_' && !delimiter.is_whitespace();
    usable.then_some((delimiter, chars.as_str()))
}

/// Takes `/re/flags` and `m{re}flags` apart. The delimiter that closes is the last one, as in
/// SpamAssassin.
pub(super) fn split(text: &str) -> Result<Written<'_>, String> {
    let Some((open, rest)) = opening(text) else {
        return Err("a regex is written `/…/` or `m{…}`".to_owned());
    };
    let close = match open {
        '{' => '}',
        '(' => ')',
        '[' => ']',
        '<' => '>',
        other => other,
    };
    let without_flags = rest.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let Some(body) = without_flags.strip_suffix(close) else {
        return Err(format!("the regex has no closing `{close}`"));
    };
    if body.is_empty() {
        return Err("the regex is empty and would match everything".to_owned());
    }
    let mut switches = Switches::default();
    let flags = rest.strip_prefix(without_flags).unwrap_or("");
    for flag in flags.chars() {
        match flag {
            'i' => switches.caseless = true,
            'm' => switches.multi_line = true,
            's' => switches.dot_all = true,
            'x' => switches.extended = true,
            // They change nothing here: bytes or Unicode is decided by the kind of rule.
            'a' | 'd' | 'g' | 'l' | 'n' | 'o' | 'p' | 'u' => {}
            other => return Err(format!("unknown regex flag `{other}`")),
        }
    }
    Ok(Written { body, switches })
}

/// A compiled regex.
#[derive(Debug)]
pub(super) struct Pattern {
    engine: Engine,
    /// Names of groups in capitals: what they match is kept for other rules.
    captures: Vec<String>,
    /// Sets of lower-case literals; of each set one stands in every text that matches.
    pub(super) literals: Vec<prefilter::Set>,
}

#[derive(Debug)]
enum Engine {
    Linear(Box<Linear>),
    Backtracking(Box<pcre2::bytes::Regex>),
    Template(Box<Template>),
}

/// A regex that is whole only in a scan.
#[derive(Debug)]
pub(super) struct Template {
    body: String,
    switches: Switches,
    dialect: Dialect,
    /// What stands in it as `%{NAME}`.
    pub(super) names: Vec<String>,
}

impl Template {
    /// The regex with the captured values in the place of their names; none while one of
    /// them was not captured.
    pub(super) fn filled(&self, captured: &BTreeMap<String, Vec<Vec<u8>>>) -> Option<Pattern> {
        let mut body = self.body.clone();
        for name in &self.names {
            let values = captured.get(name).filter(|values| !values.is_empty())?;
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            let group = format!("(?:{})", values.join("|"));
            body = body.replace(&format!("%{{{name}}}"), &group);
        }
        let written = Written { body: &body, switches: self.switches };
        Pattern::compile(written, self.dialect).ok()
    }
}

/// A value as a regex that matches nothing but it.
fn quoted(value: &[u8]) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value {
        if byte.is_ascii_alphanumeric() || *byte == b'_' {
            out.push(char::from(*byte));
        } else {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Names in `%{NAME}`, each once.
fn template_names(body: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut rest = body;
    while let Some(at) = rest.find("%{") {
        let escaped = rest.get(..at).is_some_and(|before| before.ends_with('\\'));
        rest = rest.get(at + 2..).unwrap_or("");
        if let Some((name, _)) = rest.split_once('}')
            && !escaped
            && is_tag(name)
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

/// True for the name of a tag: capitals, digits and `_`.
fn is_tag(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Names of groups written `(?<NAME>…)` or `(?P<NAME>…)`.
fn capture_names(body: &str) -> Vec<String> {
    let mut names = Vec::new();
    for opening in ["(?<", "(?P<", "(?'"] {
        for piece in body.split(opening).skip(1) {
            let name = piece.split(['>', '\'']).next().unwrap_or("");
            if is_tag(name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// A regex whose syntax is known to be right, compiled when it is first run: the filter lets
/// few regexes see a text at all, and compiling costs far more than parsing.
#[derive(Debug)]
struct Linear {
    text: String,
    switches: Switches,
    dialect: Dialect,
    compiled: OnceLock<Option<regex::bytes::Regex>>,
}

impl Linear {
    fn compile(&self) -> Result<regex::bytes::Regex, String> {
        linear(&self.text, self.switches, self.dialect)
    }

    fn compiled(&self) -> Option<&regex::bytes::Regex> {
        self.compiled.get_or_init(|| self.compile().ok()).as_ref()
    }
}

/// The outcome of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// First match, a byte range.
    At(usize, usize),
    /// No match.
    Nowhere,
    /// The step limit was hit; counts as no match.
    Exhausted,
}

impl Pattern {
    /// Compiles a regex; the error is one line.
    pub(super) fn compile(written: Written<'_>, dialect: Dialect) -> Result<Self, String> {
        Self::compile_with(written, dialect, false)
    }

    /// The same for a regex whose first group is asked for: [`Self::groups`].
    pub(super) fn compile_capturing(
        written: Written<'_>,
        dialect: Dialect,
    ) -> Result<Self, String> {
        Self::compile_with(written, dialect, true)
    }

    fn compile_with(written: Written<'_>, dialect: Dialect, groups: bool) -> Result<Self, String> {
        let names = template_names(written.body);
        if !names.is_empty() {
            let (body, switches) = (written.body.to_owned(), written.switches);
            let template = Template { body, switches, dialect, names };
            // Whether it can be compiled is known now; any value will do for that.
            let any = template.names.iter().map(|name| (name.clone(), vec![b"x".to_vec()]));
            if template.filled(&any.collect()).is_none() {
                let plain = template.names.iter().fold(template.body.clone(), |body, name| {
                    body.replace(&format!("%{{{name}}}"), "x")
                });
                Self::compile(Written { body: &plain, switches }, dialect)?;
            }
            let captures = capture_names(written.body);
            let engine = Engine::Template(Box::new(template));
            return Ok(Self { engine, captures, literals: Vec::new() });
        }
        let captures = capture_names(written.body);
        let keep = groups || !captures.is_empty();
        let translation = translate(written.body, written.switches, dialect, keep)?;
        let parsed = prefilter::parse(&translation.text, written.switches, dialect, NEST_LIMIT);
        if translation.backtracking {
            // The relaxed form may be one that cannot be parsed, or say nothing.
            let hir = parsed.ok().filter(|_| translation.relaxed);
            let engine = Engine::Backtracking(Box::new(backtracking(written, dialect)?));
            let literals = hir.map(|hir| prefilter::literals(&hir)).unwrap_or_default();
            return Ok(Self { engine, captures, literals });
        }
        let hir = parsed.map_err(|error| last_line(&error.to_string()))?;
        let linear = Linear {
            text: translation.text,
            switches: written.switches,
            dialect,
            compiled: OnceLock::new(),
        };
        // One that might be too big is compiled now, so that its author learns of it.
        if prefilter::size(&hir) > SMALL {
            let _ = linear.compiled.set(Some(linear.compile()?));
        }
        let literals = prefilter::literals(&hir);
        Ok(Self { engine: Engine::Linear(Box::new(linear)), captures, literals })
    }

    /// Searches a text.
    pub(super) fn find(&self, text: &[u8]) -> Found {
        self.find_from(text, 0)
    }

    /// Searches a text from an offset on; what stands before it is still looked at by `\b`.
    pub(super) fn find_from(&self, text: &[u8], start: usize) -> Found {
        match &self.engine {
            Engine::Linear(linear) => match linear.compiled() {
                Some(regex) if start <= text.len() => match regex.find_at(text, start) {
                    Some(found) => Found::At(found.start(), found.end()),
                    None => Found::Nowhere,
                },
                Some(_) => Found::Nowhere,
                None => Found::Exhausted,
            },
            Engine::Backtracking(regex) => {
                let text = cut(text);
                if start > text.len() {
                    return Found::Nowhere;
                }
                match regex.find_at(text, start) {
                    Ok(Some(found)) => Found::At(found.start(), found.end()),
                    Ok(None) => Found::Nowhere,
                    Err(_) => Found::Exhausted,
                }
            }
            Engine::Template(_) => Found::Nowhere,
        }
    }

    /// The template, where the regex is one.
    pub(super) fn template(&self) -> Option<&Template> {
        match &self.engine {
            Engine::Template(template) => Some(template),
            Engine::Linear(_) | Engine::Backtracking(_) => None,
        }
    }

    /// True when what it matches is kept for other rules.
    pub(super) fn captures(&self) -> bool {
        !self.captures.is_empty()
    }

    /// What its named groups and its first group match in a text.
    pub(super) fn groups(&self, text: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        let mut keep = |name: &str, value: Option<&[u8]>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                found.push((name.to_owned(), value.to_vec()));
            }
        };
        match &self.engine {
            Engine::Linear(linear) => {
                let captured = linear.compiled().and_then(|regex| regex.captures(text));
                if let Some(captured) = captured {
                    keep("", captured.get(1).map(|found| found.as_bytes()));
                    for name in &self.captures {
                        keep(name, captured.name(name).map(|found| found.as_bytes()));
                    }
                }
            }
            Engine::Backtracking(regex) => {
                if let Ok(Some(captured)) = regex.captures(cut(text)) {
                    keep("", captured.get(1).map(|found| found.as_bytes()));
                    for name in &self.captures {
                        keep(name, captured.name(name).map(|found| found.as_bytes()));
                    }
                }
            }
            Engine::Template(_) => {}
        }
        found
    }

    /// True when a search may take many steps.
    #[cfg(test)]
    fn is_backtracking(&self) -> bool {
        matches!(self.engine, Engine::Backtracking(_))
    }
}

/// Cuts a text before the character that does not fit, so that UTF-8 stays whole.
fn cut(text: &[u8]) -> &[u8] {
    let mut end = text.len().min(BACKTRACKING_TEXT);
    while end < text.len() && end > 0 && text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

fn linear(text: &str, switches: Switches, dialect: Dialect) -> Result<regex::bytes::Regex, String> {
    regex::bytes::RegexBuilder::new(text)
        .unicode(dialect == Dialect::Unicode)
        .case_insensitive(switches.caseless)
        .dot_matches_new_line(switches.dot_all)
        .size_limit(SIZE_LIMIT)
        .nest_limit(NEST_LIMIT)
        .build()
        .map_err(|error| {
            if matches!(error, regex::Error::CompiledTooBig(_)) {
                "the regex is too big".to_owned()
            } else {
                last_line(&error.to_string())
            }
        })
}

fn backtracking(written: Written<'_>, dialect: Dialect) -> Result<pcre2::bytes::Regex, String> {
    let switches = written.switches;
    let unicode = dialect == Dialect::Unicode;
    let body = if unicode { written.body.to_owned() } else { bytes_only(written.body) };
    pcre2::bytes::RegexBuilder::new()
        .caseless(switches.caseless)
        .multi_line(switches.multi_line)
        .dotall(switches.dot_all)
        .extended(switches.extended)
        .utf(unicode)
        .ucp(unicode)
        .jit_if_available(true)
        .build(&format!("{STEP_LIMITS}{body}"))
        .map_err(|error| last_line(&error.to_string()))
}

/// Writes `\x{20AC}` as bytes, which is all PCRE2 knows in this mode.
fn bytes_only(body: &str) -> String {
    let mut pieces = body.split("\\x{");
    let mut out = pieces.next().unwrap_or("").to_owned();
    for piece in pieces {
        let wide = piece.split_once('}').and_then(|(digits, rest)| {
            let code = u32::from_str_radix(digits.trim(), 16).ok().filter(|code| *code > 0xff)?;
            Some((char::from_u32(code)?, rest))
        });
        match wide {
            Some((c, rest)) if !out.ends_with('\\') => {
                super::class::push_bytes(&mut out, c);
                out.push_str(rest);
            }
            _ => {
                out.push_str("\\x{");
                out.push_str(piece);
            }
        }
    }
    out
}

/// The engines draw the pattern over several lines; the last says what is wrong with it.
fn last_line(message: &str) -> String {
    let line = message.lines().next_back().unwrap_or("");
    // PCRE2 counts columns from the limits that were put in front: they say nothing here.
    let line = match line.strip_prefix("PCRE2: ") {
        Some(line) => line.split_once(": ").map_or(line, |(_, reason)| reason),
        None => line,
    };
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str, dialect: Dialect) -> Result<Pattern, String> {
        Pattern::compile(split(text)?, dialect)
    }

    #[test]
    fn delimiters() {
        #[track_caller]
        fn check(text: &str, expected: Result<(&str, &str), &str>) {
            let found = split(text).map(|written| {
                let s = written.switches;
                let flags =
                    [(s.caseless, 'i'), (s.multi_line, 'm'), (s.dot_all, 's'), (s.extended, 'x')];
                let flags: String = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
                (written.body, flags)
            });
            let expected = expected.map(|(b, f)| (b, f.to_owned())).map_err(str::to_owned);
            assert_eq!(found, expected, "{text}");
        }
        check("/a/", Ok(("a", "")));
        check("/a/ismx", Ok(("a", "imsx")));
        check("m{a{2}}i", Ok(("a{2}", "i")));
        check("m!a/b!", Ok(("a/b", "")));
        check("m(a)", Ok(("a", "")));
        check("m<a>o", Ok(("a", "")));
        check("qr[a]", Ok(("a", "")));
        check("m'a'", Ok(("a", "")));
        check("/a\\/b/", Ok(("a\\/b", "")));
        check("/a/b/", Ok(("a/b", "")));
        check("/", Err("the regex has no closing `/`"));
        check("m{a", Err("the regex has no closing `}`"));
        check("/a/z", Err("unknown regex flag `z`"));
        check("//i", Err("the regex is empty and would match everything"));
        check("summary", Err("a regex is written `/…/` or `m{…}`"));
        check("", Err("a regex is written `/…/` or `m{…}`"));
    }

    #[test]
    fn meaning() {
        #[track_caller]
        fn check(regex: &str, dialect: Dialect, text: &str, expected: bool) {
            let pattern = compile(regex, dialect).unwrap();
            let found = matches!(pattern.find(text.as_bytes()), Found::At(..));
            assert_eq!(found, expected, "{regex} on {text:?}");
        }
        use Dialect::{Bytes, Unicode};
        check("/folded$/", Bytes, "folded\n", true);
        check(r"/folded\z/", Bytes, "folded\n", false);
        check(r"/é\b/", Bytes, "é!", false);
        check(r"/é\b/", Unicode, "é!", true);
        check(r"/^\w+$/", Bytes, "été", false);
        check(r"/^\w+$/", Unicode, "été", true);
        check("/É/i", Bytes, "é", false);
        check("/É/i", Unicode, "é", true);
        check(r"/^\xe9$/", Unicode, "é", true);
        check(r"/\xc3\xa9/", Bytes, "é", true);
        check("/^.$/", Bytes, "é", false);
        check("/^.$/", Unicode, "é", true);
        check("/a.b/s", Bytes, "a\nb", true);
        check("/a.b/", Bytes, "a\nb", false);
        check("/^b$/m", Bytes, "a\nb\nc", true);
        check("/ a b /x", Bytes, "ab", true);
        check(r"/free(?!dom)/i", Bytes, "FREEDOM free!", true);
        check(r"/free(?!dom)/i", Bytes, "FREEDOM", false);
        check(r"/(\w)\1/", Unicode, "éé", true);
        check(r"/(?<=\x{20AC})5/", Bytes, "€5", true);
        check(r"/a++b/", Bytes, "aaab", true);
        check("/STRASSE|ſ/i", Unicode, "strasse", true);
        check("/paſs/i", Unicode, "PASS", true);
        check("/pass/i", Unicode, "paſs", true);
    }

    #[test]
    fn engines_say_what_is_wrong_in_one_line() {
        #[track_caller]
        fn check(regex: &str, expected: &str) {
            assert_eq!(compile(regex, Dialect::Bytes).unwrap_err(), expected, "{regex}");
        }
        check("/*a/", "repetition operator missing expression");
        check("/(a/", "unclosed group");
        check(r"/(?:(?:(?:\w{1000}){1000}){1000}){1000}/", "the regex is too big");
        check(r"/(?<=a*)b/", "length of lookbehind assertion is not limited");
        let deep = format!("/{}a{}/", "(".repeat(150), ")".repeat(150));
        check(&deep, "exceed the maximum number of nested parentheses/brackets (100)");
    }

    #[test]
    fn no_text_keeps_an_engine_busy() {
        let pattern = compile(r"/^(a+)+\1$/", Dialect::Bytes).unwrap();
        assert!(pattern.is_backtracking());
        let mut text = vec![b'a'; 40];
        text.push(b'b');
        assert_eq!(pattern.find(&text), Found::Exhausted);
        let long = vec![b'a'; 5_000_000];
        let pattern = compile(r"/(?=b)c/", Dialect::Bytes).unwrap();
        assert_eq!(pattern.find(&long), Found::Nowhere);
        let text = "é".repeat(BACKTRACKING_TEXT);
        assert_eq!(cut(text.as_bytes()).len(), BACKTRACKING_TEXT);
        let text = format!("a{text}");
        assert_eq!(cut(text.as_bytes()).len(), BACKTRACKING_TEXT - 1);
    }
}
