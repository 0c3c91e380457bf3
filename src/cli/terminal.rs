//! What may be written to a terminal: colours of ours, no control characters of others.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::io::{self, IsTerminal};

use super::Color;
use crate::config;

/// Whether colours are used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    on: bool,
}

/// A colour or weight.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    Bold,
    Dim,
    Red,
    Yellow,
    Green,
}

impl Paint {
    /// For the standard output.
    pub(super) fn new(color: Color) -> Self {
        Self { on: is_on(color, io::stdout().is_terminal()) }
    }

    /// The same text, painted.
    pub(super) fn style(self, style: Style, text: impl Display) -> impl Display {
        Painted { style: self.on.then_some(style), text }
    }
}

/// Whether colours are used on the standard error.
pub(super) fn paints_errors(color: Color) -> bool {
    is_on(color, io::stderr().is_terminal())
}

fn is_on(color: Color, is_terminal: bool) -> bool {
    let refused =
        || config::variables().any(|(name, value)| name == "NO_COLOR" && !value.is_empty());
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => is_terminal && !refused(),
    }
}

struct Painted<T> {
    style: Option<Style>,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self.style {
            None => return self.text.fmt(f),
            Some(Style::Bold) => 1,
            Some(Style::Dim) => 2,
            Some(Style::Red) => 31,
            Some(Style::Yellow) => 33,
            Some(Style::Green) => 32,
        };
        write!(f, "\u{1b}[{code}m")?;
        self.text.fmt(f)?;
        f.write_str("\u{1b}[0m")
    }
}

/// Text from a message, without anything a terminal would obey: escape sequences, line ends,
/// and marks that turn the direction of writing.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars()
            .map(|c| match c {
                '\n' | '\r' | '\t' => ' ',
                c if obeyed(c) => '\u{fffd}',
                c => c,
            })
            .collect(),
    )
}

/// The same, cut after a number of characters.
pub(super) fn clean_and_cut(text: &str, characters: usize) -> String {
    let clean = clean(text);
    match clean.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", clean.get(..end).unwrap_or_default()),
        None => clean.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_obeyed_gets_through() {
        assert_eq!(clean("a\u{1b}[31mb\nc\u{202e}d"), "a\u{fffd}[31mb c\u{fffd}d");
        assert_eq!(clean("Grüße"), "Grüße");
        assert_eq!(clean_and_cut("äöü", 2), "äö…");
        assert_eq!(clean_and_cut("äö", 2), "äö");
    }

    #[test]
    fn paint_is_optional() {
        let text = |on| Paint { on }.style(Style::Red, "x").to_string();
        assert_eq!(text(false), "x");
        assert_eq!(text(true), "\u{1b}[31mx\u{1b}[0m");
    }
}
