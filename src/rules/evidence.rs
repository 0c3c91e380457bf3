//! Collects where a hit comes from, cut and cleaned for the answer.

use crate::facts::{Origin, Place};

use super::Evidence;

/// Pieces of evidence kept for one symbol.
const PIECES: usize = 5;
/// Characters kept of one piece.
const CHARACTERS: usize = 80;

/// Evidence collected so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    pub(super) pieces: Vec<Evidence>,
    /// The best origin: calendar before mail before network.
    pub(super) origin: Option<Origin>,
    /// Events in which text or links were found.
    pub(super) events: Vec<usize>,
}

impl Trace {
    /// Adds a piece, unless it is there already or there are enough.
    pub(super) fn add(&mut self, place: &str, text: &str, origin: Origin) {
        self.found(origin);
        if self.pieces.len() >= PIECES {
            return;
        }
        let piece = Evidence { place: clean(place), text: clean(text) };
        if !self.pieces.contains(&piece) {
            self.pieces.push(piece);
        }
    }

    /// Adds a piece found at a place.
    pub(super) fn add_at(&mut self, place: &Place<'_>, text: &str, origin: Origin) {
        // Writing a place out costs more than looking whether anybody wants it.
        if self.pieces.len() >= PIECES {
            self.found(origin);
        } else {
            self.add(&place.to_string(), text, origin);
        }
    }

    /// Names another symbol, whose own evidence says more.
    pub(super) fn name(&mut self, symbol: &str) {
        let piece = Evidence { place: "symbol".to_owned(), text: symbol.to_owned() };
        if self.pieces.len() < PIECES && !self.pieces.contains(&piece) {
            self.pieces.push(piece);
        }
    }

    /// Adds everything another trace holds.
    pub(super) fn merge(&mut self, other: &Self) {
        self.follow(other);
        for piece in &other.pieces {
            if self.pieces.len() < PIECES && !self.pieces.contains(piece) {
                self.pieces.push(piece.clone());
            }
        }
    }

    /// Takes over where another trace was, without its pieces.
    pub(super) fn follow(&mut self, other: &Self) {
        if let Some(origin) = other.origin {
            self.found(origin);
        }
        for event in &other.events {
            self.in_event(*event);
        }
    }

    /// Notes an event.
    pub(super) fn in_event(&mut self, event: usize) {
        if !self.events.contains(&event) {
            self.events.push(event);
        }
    }

    /// True when nothing more can change the trace.
    pub(super) fn is_full(&self) -> bool {
        self.pieces.len() >= PIECES && self.origin == Some(Origin::Calendar)
    }

    fn found(&mut self, origin: Origin) {
        self.origin = Some(self.origin.map_or(origin, |best| best.min(origin)));
    }
}

/// Control characters and line breaks become spaces; the end is cut.
fn clean(text: &str) -> String {
    let spaced: String = text
        .trim()
        .chars()
        .map(|c| {
            let breaks = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            if breaks { ' ' } else { c }
        })
        .take(CHARACTERS)
        .collect();
    spaced.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_cleaned() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(clean(text), expected);
        }
        check(" a\r\nb\tc\u{0}d\u{2028}e ", "a  b c d e");
        check(&"é".repeat(100), &"é".repeat(80));
        check("", "");
    }

    #[test]
    fn pieces_are_few_and_different() {
        let mut trace = Trace::default();
        trace.add("A", "x", Origin::Mail);
        trace.add("A", "x", Origin::Mail);
        assert_eq!((trace.pieces.len(), trace.origin), (1, Some(Origin::Mail)));
        for number in 0..9 {
            trace.add("A", &number.to_string(), Origin::Mail);
        }
        assert_eq!(trace.pieces.len(), 5);
        assert!(!trace.is_full());
        let mut other = Trace::default();
        other.add("B", "y", Origin::Calendar);
        other.in_event(3);
        trace.merge(&other);
        assert!(trace.is_full());
        assert_eq!((trace.pieces.len(), trace.events.as_slice()), (5, &[3][..]));
    }
}
