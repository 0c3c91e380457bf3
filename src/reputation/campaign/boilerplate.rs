//! What services write into everybody's invitations: the blocks of conferences, and footers.
//!
//! Which hosts and words make such a block stands in the stock lists, as they are built in: a
//! site that edits its copy must not get other digests than its neighbour.

use std::sync::{Arc, LazyLock};

use crate::facts::{Link, text};
use crate::wordlists::{Book, WordList, sources};

/// Words of a line in a conference's block that says something of its own, at least.
const SENTENCE: usize = 8;

/// The same where the line itself has a conference's words.
const LONG: usize = 20;

/// Signs of a rule across the page, at least.
const RULE: usize = 8;

/// The built-in lists.
const FILES: [(&str, &str); 9] = [
    ("conference-hosts.txt", include_str!("../../../rules/lists/conference-hosts.txt")),
    ("dial-in.txt", include_str!("../../../rules/lists/dial-in.txt")),
    ("conference-join.txt", include_str!("../../../rules/lists/conference-join.txt")),
    ("popular-sites.txt", include_str!("../../../rules/lists/popular-sites.txt")),
    ("calendar-services.txt", include_str!("../../../rules/lists/calendar-services.txt")),
    ("freemail.txt", include_str!("../../../rules/lists/freemail.txt")),
    ("brand-hosts.txt", include_str!("../../../rules/lists/brand-hosts.txt")),
    ("shorteners.txt", include_str!("../../../rules/lists/shorteners.txt")),
    ("free-hosts.txt", include_str!("../../../rules/lists/free-hosts.txt")),
];

/// Knows what services write.
pub(super) struct Vendors {
    hosts: WordList,
    phrases: Arc<Book>,
    popular: [WordList; 3],
    brands: WordList,
    shared: [WordList; 2],
}

/// A plain text in lower case without the blocks of conferences.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// All but what stands below the last rule.
    pub(super) plain: String,
    /// What stands below it.
    pub(super) footer: String,
}

/// Compiled once.
pub(super) fn vendors() -> &'static Vendors {
    static VENDORS: LazyLock<Vendors> = LazyLock::new(Vendors::build);
    &VENDORS
}

impl Vendors {
    fn build() -> Self {
        let phrases = Arc::new(Book::default());
        let other = Arc::new(Book::default());
        let list = |name, book| WordList::compile(book, &sources(name, FILES)).0;
        let (dial_in, join) =
            (list("dial-in.txt", &phrases), list("conference-join.txt", &phrases));
        phrases.close(&[&dial_in, &join]);
        let hosts = list("conference-hosts.txt", &other);
        let brands = list("brand-hosts.txt", &other);
        let popular = ["popular-sites.txt", "calendar-services.txt", "freemail.txt"];
        let popular = popular.map(|name| list(name, &other));
        let shared = [list("shorteners.txt", &other), list("free-hosts.txt", &other)];
        Self { hosts, phrases, popular, brands, shared }
    }

    /// Whether a phone number with this text around belongs to a conference.
    pub(super) fn is_dial_in(&self, context: &str) -> bool {
        let folded = text::fold(context);
        self.marks(&folded, &text::plain(&folded))
    }

    /// What tells the link's owner from others: the registered domain, the whole host where
    /// everybody may have one, the path too where that is all that differs. None for
    /// conferences, for brands at home and for sites that everybody links to.
    pub(super) fn site(&self, link: &Link<'_>) -> Option<String> {
        let host = link.host.as_deref()?;
        let domain = link.domain()?;
        let at_home = (0..self.brands.len()).any(|entry| self.brands.owns(entry, host));
        if self.hosts.domain(host).is_some() || at_home {
            return None;
        }
        let [shorteners, free] = &self.shared;
        if shorteners.domain(host).is_some() {
            return link.url.split_once("://").map(|(_, rest)| rest.to_owned());
        }
        if free.domain(host).is_some() {
            return Some(host.to_owned());
        }
        let is_popular = self.popular.iter().any(|list| list.domain(host).is_some());
        (!is_popular).then(|| domain.into_owned())
    }

    /// Leaves out the blocks of conferences: the short lines from the first paragraph that
    /// leads to one to the last. A longer sentence among them is somebody's own.
    pub(super) fn strip(&self, normal: &str) -> Kept {
        let folded = text::fold(normal);
        let lines: Vec<Line<'_>> = folded.lines().map(Line::read).collect();
        // Most texts speak of no conference anywhere, and have no footer.
        let plain = text::plain(&folded);
        let any = self.marks(&folded, &plain);
        if !any && !lines.iter().any(|line| line.is_rule) {
            return Kept { plain, footer: String::new() };
        }
        let mut blocks: Vec<(usize, usize)> = Vec::new();
        for (at, _) in lines.iter().enumerate().filter(|(_, line)| !line.ends_block()) {
            match blocks.last_mut() {
                Some((_, end)) if *end == at => *end = at + 1,
                _ => blocks.push((at, at + 1)),
            }
        }
        let marked: Vec<bool> = lines
            .iter()
            .map(|line| any && self.marks(line.text, &text::plain(line.text)))
            .collect();
        let marks = |at: usize| marked.get(at) == Some(&true);
        let is_marked = |block: &(usize, usize)| (block.0..block.1).any(marks);
        let first =
            blocks.iter().find(|block| is_marked(block)).map_or(lines.len(), |block| block.0);
        let last = blocks.iter().rev().find(|block| is_marked(block)).map_or(0, |block| block.1);
        let footer = lines.iter().rposition(|line| line.is_rule);
        let (mut above, mut below) = (String::new(), String::new());
        for (at, line) in lines.iter().enumerate() {
            let words = || {
                line.text.split_whitespace().filter(|w| w.chars().any(char::is_alphabetic)).count()
            };
            let inside = (first..last).contains(&at);
            if line.is_rule || (inside && (words() < SENTENCE || (marks(at) && words() < LONG))) {
                continue;
            }
            let into = if footer.is_some_and(|rule| at > rule) { &mut below } else { &mut above };
            into.push_str(line.text);
            into.push('\n');
        }
        // Above the rule stands nothing: it is no footer.
        if above.is_empty() {
            above = std::mem::take(&mut below);
        }
        Kept { plain: text::plain(&above), footer: text::plain(&below) }
    }

    /// True when a folded text, which is `plain` without its links, speaks of a conference, or
    /// links to one.
    fn marks(&self, folded: &str, plain: &str) -> bool {
        let links = dotted(folded).any(|piece| {
            let rest = piece.split_once("://").map_or(piece, |(_, rest)| rest);
            let host = rest.split(['/', '?', ':', '>', ')', ',', ';']).next().unwrap_or_default();
            host.contains('.') && self.hosts.domain(host.trim_matches(['<', '(', '.'])).is_some()
        });
        links || !self.phrases.read_plain(plain).is_empty()
    }
}

/// The words with a dot inside; they are few, so the dots are looked for.
fn dotted(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let dot = memchr::memchr(b'.', rest.as_bytes())?;
        let (before, after) = rest.split_at(dot);
        let start = before.char_indices().rfind(|(_, c)| c.is_whitespace());
        let start = start.map_or(0, |(at, space)| at + space.len_utf8());
        let length = after.find(char::is_whitespace).unwrap_or(after.len());
        let word = rest.get(start..dot + length);
        rest = after.get(length..).unwrap_or_default();
        word
    })
}

/// A line of a text.
struct Line<'t> {
    text: &'t str,
    /// Nothing but a rule across the page, or the mark above a signature.
    is_rule: bool,
}

impl<'t> Line<'t> {
    fn read(line: &'t str) -> Self {
        let text = line.trim();
        let signs =
            matches!(text.chars().next(), Some('-' | '_' | '=' | '*' | '~' | '#' | '─' | '━'));
        let ruled = signs && !text.contains(char::is_alphanumeric) && text.chars().count() >= RULE;
        Self { text, is_rule: ruled || text == "--" }
    }

    fn ends_block(&self) -> bool {
        self.is_rule || self.text.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_a_dot_are_found_once() {
        for text in
            ["", ".", "a b", "join x.test now. Or a.b.c\u{3000}d.e", "…\u{a0}über.test/a.b\n.x y."]
        {
            let slowly: Vec<&str> =
                text.split_whitespace().filter(|word| word.contains('.')).collect();
            assert_eq!(dotted(text).collect::<Vec<_>>(), slowly, "{text}");
        }
    }
}
