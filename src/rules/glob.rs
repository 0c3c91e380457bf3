//! Patterns of addresses, domains and rule names: `*` is anything, `?` one character.

/// A pattern in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(String);

impl Glob {
    /// Reads a pattern.
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_lowercase())
    }

    /// The pattern as it is compared.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// True when the whole text matches; the text is in lower case.
    pub(super) fn matches(&self, text: &str) -> bool {
        matches(self.0.as_bytes(), text.as_bytes())
    }
}

/// Goes on from the last `*` when a character does not fit: at worst every `*` costs one way
/// through the text.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(b'?') => (at, seen) = (at + 1, seen + 1),
            Some(byte) if text.get(seen) == Some(byte) => (at, seen) = (at + 1, seen + 1),
            Some(_) | None => {
                let Some((back, from)) = star else { return false };
                star = Some((back, from + 1));
                (at, seen) = (back + 1, from + 1);
            }
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        #[track_caller]
        fn check(pattern: &str, text: &str, expected: bool) {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} {text}");
        }
        check("*@Shop.example", "a@shop.example", true);
        check("*@*.shop.example", "a@b.shop.example", true);
        check("*@*.shop.example", "a@shop.example", false);
        check("a?c", "abc", true);
        check("a?c", "ac", false);
        check("", "", true);
        check("*", "", true);
        check("", "a", false);
        check("a*b*c", "a-b-b-c", true);
        check("a*b*c", "a-b-b-d", false);
        check("__X_*", "__x_one", true);
        let long = "a".repeat(5_000);
        check(&format!("{}b", "a*".repeat(50)), &long, false);
    }
}
