//! Cuts rule files into lines that know where every word of them stands.
//!
//! A comment starts at a `#` without a backslash before it, also inside a regex, and `\#`
//! stands for `#`: that is SpamAssassin's rule, and rule files rely on it. There are no
//! continuation lines.

use super::{Diagnostic, File, Severity};

/// One line with something on it.
#[derive(Debug)]
pub(super) struct Line<'t> {
    /// Index of the file in load order.
    pub(super) file_index: usize,
    /// Name of the file.
    pub(super) file: &'t str,
    /// Number from 1.
    pub(super) number: usize,
    /// The line as written.
    source: &'t str,
    /// The line without its comment, `\#` replaced.
    text: String,
    /// Where in `text` a backslash was taken out.
    removed: Vec<usize>,
}

/// A piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'l> {
    /// Byte offset in the line's text.
    pub(super) at: usize,
    /// The piece.
    pub(super) text: &'l str,
}

impl Token<'_> {
    /// A part of this piece; empty when the range is not one.
    pub(super) fn part(self, start: usize, end: usize) -> Self {
        Self { at: self.at + start, text: self.text.get(start..end).unwrap_or("") }
    }

    /// The piece from an offset on.
    pub(super) fn from(self, start: usize) -> Self {
        self.part(start, self.text.len())
    }

    /// Splits off the first word; both halves are trimmed.
    pub(super) fn split_word(self) -> (Self, Self) {
        let whole = self.trimmed();
        let end = whole.text.find(char::is_whitespace).unwrap_or(whole.text.len());
        (whole.part(0, end), whole.from(end).trimmed())
    }

    /// The piece without white space around it.
    pub(super) fn trimmed(self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        Self { at: self.at + start, text: self.text.trim() }
    }
}

/// All lines of a file that are more than a comment.
pub(super) fn lines(file_index: usize, file: &File) -> impl Iterator<Item = Line<'_>> {
    let text = file.text.strip_prefix('\u{feff}').unwrap_or(&file.text);
    text.lines().enumerate().filter_map(move |(index, source)| {
        let (text, removed) = without_comment(source);
        (!text.trim().is_empty()).then(|| Line {
            file_index,
            file: &file.name,
            number: index + 1,
            source,
            text,
            removed,
        })
    })
}

fn without_comment(source: &str) -> (String, Vec<usize>) {
    let mut text = String::with_capacity(source.len());
    let mut removed = Vec::new();
    for c in source.chars() {
        if c == '#' {
            if !text.ends_with('\\') {
                break;
            }
            text.pop();
            removed.push(text.len());
        }
        text.push(c);
    }
    (text, removed)
}

impl Line<'_> {
    /// The directive, lower case and with `_` for `-`, and everything after it.
    pub(super) fn directive(&self) -> (String, Token<'_>, Token<'_>) {
        let (word, rest) = Token { at: 0, text: &self.text }.split_word();
        (word.text.to_ascii_lowercase().replace('-', "_"), word, rest)
    }

    /// The directive that counts: the one behind `lang xx`, where that stands first.
    pub(super) fn kind(&self) -> String {
        let (key, _, rest) = self.directive();
        if key != "lang" {
            return key;
        }
        let (_, after) = rest.split_word();
        after.split_word().0.text.to_ascii_lowercase().replace('-', "_")
    }

    /// True when a comment was cut off.
    pub(super) fn was_cut(&self) -> bool {
        self.text.len() + self.removed.len() < self.source.len()
    }

    /// The line as text, for lists of rules.
    pub(super) fn definition(&self) -> &str {
        self.text.trim()
    }

    /// Something wrong with a piece of this line.
    pub(super) fn error(&self, token: Token<'_>, message: impl Into<String>) -> Diagnostic {
        let column = self.column(token.at);
        Diagnostic {
            severity: Severity::Error,
            file: self.file.to_owned(),
            line: self.number,
            column,
            width: self.column(token.at + token.text.len()).saturating_sub(column).max(1),
            message: message.into(),
            hint: None,
            source: self.source.to_owned(),
        }
    }

    /// The same as a warning.
    pub(super) fn warning(&self, token: Token<'_>, message: impl Into<String>) -> Diagnostic {
        self.error(token, message).into_warning()
    }

    /// Column in characters of the line as written, from 1.
    fn column(&self, at: usize) -> usize {
        let characters = self.text.get(..at).map_or(0, |before| before.chars().count());
        1 + characters + self.removed.iter().filter(|removed| **removed < at).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_escaped_hashes_stay() {
        #[track_caller]
        fn check(text: &str, expected: &[(usize, &str, &str)]) {
            let file = File { name: "x.cf".into(), text: text.into() };
            let found: Vec<_> = lines(0, &file)
                .map(|line| {
                    let (key, _, rest) = line.directive();
                    (line.number, key, rest.text.to_owned())
                })
                .collect();
            let found: Vec<_> =
                found.iter().map(|(n, k, r)| (*n, k.as_str(), r.as_str())).collect();
            assert_eq!(found, expected, "{text:?}");
        }
        check("", &[]);
        check("# only\n\n  \t\n", &[]);
        check("body X /a/ # c", &[(1, "body", "X /a/")]);
        check("\u{feff}body X /a\\#b/ # c", &[(1, "body", "X /a#b/")]);
        check("body X /a#b/", &[(1, "body", "X /a")]);
        check("\r\n  Group-Cap\tX  1 2 \r\n", &[(2, "group_cap", "X  1 2")]);
        check("body", &[(1, "body", "")]);
        check("body X \\\\#", &[(1, "body", "X \\#")]);
    }

    #[test]
    fn columns_count_characters_as_written() {
        let file = File { name: "x.cf".into(), text: "body Ünï /\\#x/ y".into() };
        let line = lines(0, &file).next().unwrap();
        let (_, _, rest) = line.directive();
        let (name, rest) = rest.split_word();
        let (regex, last) = rest.split_word();
        for (token, column, width) in [(name, 6, 3), (regex, 10, 5), (last, 16, 1)] {
            let diagnostic = line.error(token, "");
            assert_eq!((diagnostic.column, diagnostic.width), (column, width), "{token:?}");
        }
    }
}
