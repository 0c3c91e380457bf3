//! The mail as `body` rules see it.

use super::{Facts, Paragraph};

/// Makes the paragraphs.
pub(super) fn paragraphs<'f>(_facts: &'f Facts<'f>) -> Vec<Paragraph<'f>> {
    Vec::new()
}
