//! Patterns of addresses, domains and rule names: `*` is anything, `?` one character.

/// A pattern in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(String);

impl Glob {
    /// Reads a pattern.
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_lowercase())
    }

    /// True when the whole text matches; the text is in lower case.
    pub(super) fn matches(&self, text: &str) -> bool {
        matches(self.0.as_bytes(), text.as_bytes())
    }

    /// Likewise, `*` standing for part of one label only: it is no dot.
    pub(super) fn matches_labels(&self, text: &str) -> bool {
        let text = text.as_bytes();
        if self.0.len().saturating_mul(text.len()) > MOST_STEPS {
            return false;
        }
        // For each start of the text: does the pattern so far match it?
        let mut fits = vec![false; text.len() + 1];
        if let Some(start) = fits.first_mut() {
            *start = true;
        }
        for byte in self.0.bytes() {
            let mut next = vec![false; text.len() + 1];
            let mut last = false;
            let before = fits.iter();
            for (at, (slot, before)) in next.iter_mut().zip(before).enumerate() {
                let c = at.checked_sub(1).and_then(|at| text.get(at));
                *slot = match byte {
                    b'*' => *before || (last && c != Some(&b'.')),
                    b'?' => at > 0 && fits.get(at - 1) == Some(&true),
                    byte => c == Some(&byte) && fits.get(at.wrapping_sub(1)) == Some(&true),
                };
                last = *slot;
            }
            fits = next;
        }
        fits.last() == Some(&true)
    }
}

/// Steps that one comparison by labels may take.
const MOST_STEPS: usize = 256 * 1024;

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
        let labels = |pattern: &str, text: &str| Glob::new(pattern).matches_labels(text);
        assert!(labels("mail.*", "mail.example"));
        assert!(!labels("mail.*", "mail.b.example"));
        assert!(labels("*.*.?x", "a.bc.yx"));
        assert!(!labels("*.*.?x", "a.bc.yz"));
        assert!(labels("*", ""));
        assert!(!labels("?", ""));
        let long = "a".repeat(5_000);
        check(&format!("{}b", "a*".repeat(50)), &long, false);
    }
}
