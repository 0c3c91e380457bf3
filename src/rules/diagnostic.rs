//! Shows a [`Diagnostic`] the way the compiler shows its own, and guesses what was meant.

use std::fmt;

use super::{Diagnostic, Severity};

impl Diagnostic {
    /// Where it is: `local.cf:3:12`.
    pub fn place(&self) -> String {
        format!("{}:{}:{}", self.file, self.line, self.column)
    }

    /// Adds what to do about it.
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a guess, if there is one.
    pub(super) fn with_guess(self, guess: Option<&str>) -> Self {
        match guess {
            Some(guess) => self.with_hint(format!("did you mean `{guess}`?")),
            None => self,
        }
    }

    /// The same, as a warning.
    pub(super) fn into_warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }
}

impl Diagnostic {
    /// The message with `…` for the names in it: what many of one sort have in common. What
    /// was skipped keeps its reason, and the reason is what they have in common.
    pub fn class(&self) -> String {
        let message = match self.message.split_once(" is skipped, ") {
            Some((_, rest)) => {
                let reason = rest.split_once(": ").map_or(rest, |(_, reason)| reason);
                return format!("skipped: {}", reason.split("; did you").next().unwrap_or(reason));
            }
            None => self.message.as_str(),
        };
        let pieces = message.split('`').enumerate();
        let named = pieces.map(|(index, piece)| if index % 2 == 1 { "`…`" } else { piece });
        let class: String = named.collect();
        // Where the earlier definition stands differs from one to the next.
        match class.split_once("`…` overrides ") {
            Some(_) => "`…` overrides an earlier definition".to_owned(),
            None => class,
        }
    }
}

impl Severity {
    /// Name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gutter = number.len();
        // A tab or another control character would move the carets away from their place.
        let source: String =
            self.source.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        writeln!(f, "{}: {}", self.severity.name(), self.message)?;
        writeln!(f, "{:gutter$}--> {}:{}:{}", "", self.file, self.line, self.column)?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{number} | {source}")?;
        let before = self.column.saturating_sub(1);
        write!(f, "{:gutter$} | {:before$}{}", "", "", "^".repeat(self.width.max(1)))?;
        if let Some(hint) = &self.hint {
            write!(f, "\n{:gutter$} = hint: {hint}", "")?;
        }
        Ok(())
    }
}

/// Finds the name closest to a mistyped one, if any is close enough to be meant.
pub(super) fn closest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    names
        .into_iter()
        .filter(|name| name.len().abs_diff(word.len()) <= allowed)
        .map(|name| (distance(word, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein's distance, letters compared without case.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (line, x) in a.chars().map(|c| c.to_ascii_lowercase()).enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        let mut next = Vec::with_capacity(row.len());
        next.push(left);
        for (above, y) in row.iter().skip(1).zip(&b) {
            left = (left + 1).min(above + 1).min(diagonal + usize::from(x != *y));
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_like_the_compiler() {
        let diagnostic = Diagnostic {
            severity: Severity::Error,
            file: "rules/x.cf".into(),
            line: 12,
            column: 13,
            width: 16,
            message: "unknown fact `organizer.domian`".into(),
            hint: Some("did you mean `organizer.domain`?".into()),
            source: "calendar\tX   organizer.domian == a.example".into(),
        };
        assert_eq!(
            diagnostic.to_string(),
            "error: unknown fact `organizer.domian`\n\
             \x20 --> rules/x.cf:12:13\n\
             \x20  |\n\
             12 | calendar X   organizer.domian == a.example\n\
             \x20  |             ^^^^^^^^^^^^^^^^\n\
             \x20  = hint: did you mean `organizer.domain`?"
        );
    }

    #[test]
    fn close_names_are_guessed_and_far_ones_not() {
        #[track_caller]
        fn check(word: &str, names: &[&str], expected: Option<&str>) {
            assert_eq!(closest(word, names.iter().copied()), expected, "{word}");
        }
        check(
            "organizer.domian",
            &["organizer.domain", "organizer.name"],
            Some("organizer.domain"),
        );
        check("SUMARY", &["summary"], Some("summary"));
        check("uri", &["summary", "url"], Some("url"));
        check("x", &["summary"], None);
        check("", &["summary"], None);
    }
}
