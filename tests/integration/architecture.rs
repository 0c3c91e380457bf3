//! The boundaries of ARCHITECTURE.md, read from `src/`: who may import whom, which module is
//! the one door to a library, and what must not stand in Rust at all.
//!
//! Comments and the insides of strings are dropped first, and so is code that only tests
//! compile: a test may make its input with any stage.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::{assert_none, repository};

/// What each module may import of the crate.
const IMPORTS: &[(&str, &[&str])] = &[
    ("message", &[]),
    ("calendar", &["message"]),
    ("facts", &["message", "calendar"]),
    ("authentication", &["message"]),
    ("site", &["facts"]),
    ("wordlists", &["facts"]),
    ("lists", &["message", "calendar", "facts"]),
    ("reputation", &["message", "calendar", "facts", "wordlists"]),
    ("rules", &["message", "calendar", "facts", "wordlists", "lists"]),
    ("verdict", &["calendar", "rules"]),
    (
        "scan",
        &[
            "message",
            "calendar",
            "facts",
            "authentication",
            "site",
            "wordlists",
            "lists",
            "reputation",
            "rules",
            "verdict",
        ],
    ),
    ("mailbox", &[]),
    ("mass_check", &["message", "calendar", "rules", "scan", "mailbox"]),
    ("rescore", &["rules", "mass_check"]),
    ("protocol", &["message", "calendar", "facts", "reputation", "rules", "verdict", "scan"]),
    ("metrics", &["message", "lists", "reputation", "verdict", "scan"]),
    (
        "server",
        &[
            "message",
            "site",
            "lists",
            "reputation",
            "rules",
            "verdict",
            "scan",
            "protocol",
            "metrics",
        ],
    ),
    (
        "config",
        &[
            "message",
            "calendar",
            "site",
            "lists",
            "reputation",
            "rules",
            "verdict",
            "scan",
            "server",
        ],
    ),
    (
        "cli",
        &[
            "message",
            "calendar",
            "facts",
            "authentication",
            "site",
            "wordlists",
            "lists",
            "reputation",
            "rules",
            "verdict",
            "scan",
            "mailbox",
            "mass_check",
            "rescore",
            "protocol",
            "metrics",
            "server",
            "config",
        ],
    ),
    ("lib", &["cli"]),
    ("main", &["cli"]),
];

/// Libraries that only some modules may know.
const DOORS: &[(&str, &[&str])] = &[
    ("mail_parser", &["message"]),
    ("mail_auth", &["authentication", "protocol"]),
    ("mail_builder", &["protocol"]),
    ("calcard", &["calendar"]),
    ("actix_tls", &["server"]),
    ("actix_web", &["server"]),
    ("socket2", &["server"]),
    ("password_auth", &["server"]),
    ("tokio", &["server", "authentication", "lists", "reputation"]),
    ("hickory_resolver", &["authentication", "lists"]),
    ("moka", &["lists", "protocol"]),
    ("redb", &["reputation"]),
    ("redis", &["reputation"]),
    ("rustls", &["reputation", "server"]),
    ("tokio_rustls", &["server"]),
    ("curve25519_dalek", &["protocol"]),
    ("chacha20", &["protocol"]),
    ("poly1305", &["protocol"]),
    ("rspamd_base32", &["protocol"]),
    ("httparse", &["protocol"]),
    ("sha1", &["lists"]),
    ("sha2", &["facts", "lists"]),
    ("arc_swap", &["server"]),
    ("prometheus", &["metrics"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("listenfd", &["server"]),
    ("sd_notify", &["server"]),
    ("rustix", &["server"]),
    ("indicatif", &["cli"]),
    ("tracing_subscriber", &["cli"]),
    ("toml", &["config"]),
    ("regex", &["rules"]),
    ("pcre2", &["rules"]),
    ("regex_syntax", &["rules"]),
    ("aho_corasick", &["rules", "wordlists", "protocol"]),
    ("psl", &["facts"]),
    ("idna", &["facts"]),
    ("url", &["facts"]),
    ("form_urlencoded", &["protocol"]),
    ("html5gum", &["facts"]),
    ("md5", &["facts"]),
    ("rqrr", &["facts"]),
    ("png", &["facts"]),
    ("zune_jpeg", &["facts"]),
    ("gif", &["facts"]),
    ("unicode_normalization", &["facts"]),
    ("unicode_security", &["facts"]),
    ("unicode_script", &["facts", "wordlists"]),
];

/// Names that say nothing about what is in a module.
const EMPTY_NAMES: &[&str] =
    &["utils", "util", "common", "types", "helpers", "core", "engine", "manager"];

/// Longest `main.rs`, in lines.
const MAIN_LINES: usize = 40;

/// A piece of source text: all but comments and white space.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// A string literal of any kind, without its quotes.
    Text(String),
    /// `::`
    Path,
    Sign(char),
}

impl Token {
    fn is(&self, sign: char) -> bool {
        *self == Self::Sign(sign)
    }

    fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            Self::Text(_) | Self::Path | Self::Sign(_) => None,
        }
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Takes source text apart.
fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        if rest.starts_with("//") {
            rest = after.split_once('\n').map_or("", |(_, rest)| rest);
        } else if rest.starts_with("/*") {
            rest = after.split_once("*/").map_or("", |(_, rest)| rest);
        } else if let Some((text, end)) = string(rest) {
            tokens.push(Token::Text(text));
            rest = end;
        } else if c == '\'' {
            rest = character(after);
        } else if is_word(c) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, end) = rest.split_at(end);
            tokens.push(Token::Word(word.to_owned()));
            rest = end;
        } else if let Some(end) = rest.strip_prefix("::") {
            tokens.push(Token::Path);
            rest = end;
        } else {
            if !c.is_whitespace() {
                tokens.push(Token::Sign(c));
            }
            rest = after;
        }
    }
    tokens
}

/// A string literal at the start: its content and what follows it.
fn string(source: &str) -> Option<(String, &str)> {
    let prefix = source.find(|c| !matches!(c, 'b' | 'c' | 'r'))?;
    let (prefix, body) = source.split_at(prefix);
    if prefix.ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let (hashes, body) = body.split_at(hashes);
        let (text, rest) = body.strip_prefix('"')?.split_once(&format!("\"{hashes}"))?;
        return Some((text.to_owned(), rest));
    }
    let body = body.strip_prefix('"')?;
    let mut escaped = false;
    let end = body.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    let (text, rest) = body.split_at(end);
    Some((text.to_owned(), rest.get(1..).unwrap_or_default()))
}

/// What follows a character literal whose first quote is gone, or a lifetime's.
fn character(after: &str) -> &str {
    let mut chars = after.char_indices();
    let first = chars.next().map_or('\'', |(_, c)| c);
    if first == '\\' {
        let escape = after.get(2..).unwrap_or_default();
        return escape.split_once('\'').map_or("", |(_, rest)| rest);
    }
    match chars.next() {
        Some((at, '\'')) => after.get(at + 1..).unwrap_or_default(),
        _ => after,
    }
}

/// Leaves out items behind `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let marker = self::tokens("#[cfg(test)]");
    let mut kept = Vec::new();
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        if rest.starts_with(&marker) {
            rest = after_item(rest.get(marker.len()..).unwrap_or_default());
        } else {
            kept.push(first.clone());
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    kept
}

/// What follows an item: it ends with `;` or its closing brace.
fn after_item(tokens: &[Token]) -> &[Token] {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('{' | '(' | '[') => depth += 1,
            Token::Sign('}' | ')' | ']') => depth = depth.saturating_sub(1),
            Token::Sign(_) | Token::Word(_) | Token::Text(_) | Token::Path => {}
        }
        if depth == 0 && (token.is(';') || token.is('}')) {
            return tokens.get(index + 1..).unwrap_or_default();
        }
    }
    &[]
}

/// Modules of the crate that the source names: `crate::a`, `crate::{a::b, c}`, and `super::`
/// repeated until it leaves the stage. `depth` is the number of names in the file's own path.
fn imports(tokens: &[Token], depth: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (index, token) in tokens.iter().enumerate() {
        let starts = index == 0 || tokens.get(index - 1) != Some(&Token::Path);
        if !starts {
            continue;
        }
        let mut at = index;
        match token.word() {
            Some("crate") => at += 1,
            Some("super") => {
                let mut levels = 0;
                while tokens.get(at).and_then(Token::word) == Some("super") {
                    levels += 1;
                    at += 2;
                }
                if levels < depth {
                    continue;
                }
                at -= 1;
            }
            _ => continue,
        }
        if tokens.get(at) == Some(&Token::Path) {
            found.extend(heads(tokens.get(at + 1..).unwrap_or_default()));
        }
    }
    found
}

/// The first names of a path, or of each path in braces.
fn heads(tokens: &[Token]) -> Vec<String> {
    let Some(first) = tokens.first() else { return Vec::new() };
    if !first.is('{') {
        return first.word().map(str::to_owned).into_iter().collect();
    }
    let mut heads = Vec::new();
    let mut depth = 0_usize;
    let mut starts = false;
    for token in tokens {
        match token {
            Token::Sign('{') => {
                depth += 1;
                starts = depth == 1;
            }
            Token::Sign('}') => depth -= 1,
            Token::Sign(',') => starts = depth == 1,
            Token::Word(word) if starts => {
                heads.push(word.clone());
                starts = false;
            }
            Token::Sign(_) | Token::Word(_) | Token::Text(_) | Token::Path => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

/// Libraries with a door that the source names.
fn libraries(tokens: &[Token]) -> BTreeSet<&'static str> {
    let known = |word: &str| DOORS.iter().map(|(name, _)| *name).find(|name| *name == word);
    tokens
        .iter()
        .enumerate()
        .filter_map(|(index, token)| {
            let library = known(token.word()?)?;
            let before = index.checked_sub(1).and_then(|index| tokens.get(index));
            let is_path = tokens.get(index + 1) == Some(&Token::Path);
            let is_use = before.and_then(Token::word) == Some("use");
            (before != Some(&Token::Path) && (is_path || is_use)).then_some(library)
        })
        .collect()
}

/// Everything wrong in one file. `path` is its own path in the crate: `["rules", "load"]`.
fn violations(path: &[&str], source: &str) -> Vec<String> {
    let module = path.first().copied().unwrap_or_default();
    let tokens = without_tests(&tokens(source));
    let mut found = Vec::new();
    let allowed = IMPORTS.iter().find(|(name, _)| *name == module).map(|(_, allowed)| *allowed);
    let Some(allowed) = allowed else {
        return vec![format!("{module} is not in the table of imports")];
    };
    let is_module = |name: &&String| IMPORTS.iter().any(|(module, _)| *module == name.as_str());
    for import in imports(&tokens, path.len()).iter().filter(is_module) {
        if import != module && !allowed.contains(&import.as_str()) {
            found.push(format!("{} imports {import}", path.join("::")));
        }
    }
    for library in libraries(&tokens) {
        let doors = DOORS.iter().find(|(name, _)| *name == library).map_or(&[][..], |door| door.1);
        if !doors.contains(&module) {
            found.push(format!("{} knows {library}: only {doors:?} may", path.join("::")));
        }
    }
    for token in &tokens {
        if let Token::Text(text) = token
            && text.starts_with("CAL_")
        {
            found.push(format!("{} names the symbol {text}", path.join("::")));
        }
    }
    found
}

/// The sources that are compiled into the program, with their paths in the crate.
fn sources() -> BTreeMap<Vec<String>, String> {
    let root = repository("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = module_path(path.strip_prefix(&root).unwrap());
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let is_test = |name: &str| name == "tests" || name.ends_with("_tests");
    found.retain(|path, _| !path.iter().any(|name| is_test(name)));
    assert!(found.len() > 40, "{} sources", found.len());
    found
}

/// `rules/load.rs` is `["rules", "load"]`.
fn module_path(path: &Path) -> Vec<String> {
    let path: PathBuf = path.with_extension("");
    path.iter().map(|name| name.to_string_lossy().into_owned()).collect()
}

#[test]
fn imports_and_doors_are_kept() {
    let mut failures = Vec::new();
    for (path, source) in sources() {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        failures.extend(violations(&path, &source));
    }
    assert_none(&failures);
}

#[test]
fn modules_are_named_for_what_they_hold() {
    let failures: Vec<String> = sources()
        .keys()
        .filter(|path| path.iter().any(|name| EMPTY_NAMES.contains(&name.as_str())))
        .map(|path| path.join("::"))
        .collect();
    assert_none(&failures);
}

#[test]
fn the_program_is_in_the_library() {
    let lines = std::fs::read_to_string(repository("src/main.rs")).unwrap().lines().count();
    assert!(lines <= MAIN_LINES, "main.rs has {lines} lines");
}

#[test]
fn the_checker_sees_what_is_forbidden() {
    #[track_caller]
    fn check(path: &[&str], source: &str, expected: &[&str]) {
        assert_eq!(violations(path, source), expected, "{source}");
    }
    check(&["message"], "use crate::rules::Hit;", &["message imports rules"]);
    check(
        &["calendar", "walk"],
        "use crate::{message::Defect, facts::{self, rules}, verdict as v};",
        &["calendar::walk imports facts", "calendar::walk imports verdict"],
    );
    check(
        &["facts", "text"],
        "fn f() { super::super::scan::scan() }",
        &["facts::text imports scan"],
    );
    check(&["facts", "text"], "use super::{domain}; use super::super::facts::Link;", &[]);
    check(&["facts"], "use super::scan;", &["facts imports scan"]);
    check(&["scan"], "use crate::config::Config;", &["scan imports config"]);
    check(&["server", "http"], "use crate::cli;", &["server::http imports cli"]);
    check(&["facts"], "use mail_parser;", &["facts knows mail_parser: only [\"message\"] may"]);
    check(
        &["cli", "serve"],
        "fn f(x: &'static str) -> char { tokio::spawn(x); '\"' }",
        &[
            "cli::serve knows tokio: only [\"server\", \"authentication\", \"lists\", \"reputation\"] may",
        ],
    );
    check(
        &["verdict"],
        "const S: &str = \"CAL_CALLBACK\"; const T: &[u8] = br#\"CAL_X\"#;",
        &["verdict names the symbol CAL_CALLBACK", "verdict names the symbol CAL_X"],
    );
    check(&["nonsense"], "", &["nonsense is not in the table of imports"]);

    // Comments, strings, tests and names that only look alike are no imports.
    check(
        &["message"],
        "// use crate::rules;\n/* crate::scan */ const A: &str = \"crate::rules \\\" tokio::x\";\n\
         const B: &str = r#\"crate::rules \"quoted\" \"#; const C: [char; 3] = ['\"', '\\'', 'x'];\n\
         #[cfg(test)] mod tests { use crate::rules::Hit; const D: &str = \"CAL_X\"; }\n\
         #[cfg(test)]\nuse crate::scan;\n\
         use crate::message::Part; use self::url::x; fn url() { my::url::parse() }",
        &[],
    );
}
