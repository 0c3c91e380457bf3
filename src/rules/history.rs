//! What the lines of rule files said of a rule, one after the other: later ones override
//! earlier ones, and people want to know which did.

use std::sync::Arc;

use super::line::Line;

/// What a line says of a rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Said {
    /// What it asks.
    Definition,
    /// Its score from here on.
    Score(f64),
    /// What it means for people.
    Description,
}

impl Said {
    /// True when the other one overrides this one or is overridden by it.
    pub const fn is_same_kind(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Definition, Self::Definition)
                | (Self::Score(_), Self::Score(_))
                | (Self::Description, Self::Description)
        )
    }
}

/// A line that said something of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What it was about.
    pub said: Said,
    /// Its file.
    pub file: Arc<str>,
    /// Its number there, from 1.
    pub line: usize,
    /// The whole line, without its comment.
    pub text: Arc<str>,
}

impl Change {
    pub(super) fn new(line: &Line<'_>, said: Said) -> Self {
        Self { said, file: line.file.into(), line: line.number, text: line.definition().into() }
    }
}
