//! Words as far as tags can cut them.
//!
//! Comes in: the text on both sides of a tag. Goes out: whether a word is cut there.
//! Not an error: anything.

/// What letters are: in text that is octets only those of ASCII.
#[derive(Clone, Copy)]
pub(super) struct Letters {
    pub(super) wide: bool,
}

impl Letters {
    /// A character of a word in the sense of hidden mark-up: neither space nor ASCII
    /// punctuation.
    pub(super) fn in_word(self, c: char) -> bool {
        let space = if self.wide { c.is_whitespace() } else { is_space(c) };
        !space && !c.is_ascii_punctuation()
    }

    fn is_letter(self, c: char) -> bool {
        let letter = if self.wide { c.is_alphanumeric() } else { c.is_ascii_alphanumeric() };
        letter || c == '_'
    }

    /// Length of the word at the start, where it has at most seven letters and ends (or
    /// begins, read backwards) at the edge of a word.
    pub(super) fn short_word(self, chars: impl Iterator<Item = char>) -> Option<u32> {
        let mut found = None;
        let mut previous: Option<char> = None;
        let mut length = 0;
        for c in chars.map(Some).chain([None]).take(8) {
            let letter = c.is_some_and(|c| self.is_letter(c));
            if previous.is_some_and(|previous| self.is_letter(previous) != letter) {
                found = Some(length);
            }
            match c {
                Some(c) if self.in_word(c) && length < 7 => {
                    length += 1;
                    previous = Some(c);
                }
                _ => break,
            }
        }
        found
    }
}

/// White space of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}
