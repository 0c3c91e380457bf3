//! Mistakes at a threshold: SpamAssassin's summary of false positives and false negatives.

use std::io::{self, Write};

/// Missed spam that weighs as much as one message wrongly called spam.
pub const LAMBDA: u32 = 50;

/// What a threshold makes of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Summary {
    /// From this score on a message counts as spam.
    pub threshold: f64,
    /// Ham below it.
    pub correct_ham: usize,
    /// Spam from it on.
    pub correct_spam: usize,
    /// Ham from it on.
    pub false_positives: usize,
    /// Spam below it.
    pub false_negatives: usize,
}

/// A part of all; nothing of nothing is nothing.
#[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 messages")]
pub(crate) fn ratio(part: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

impl Summary {
    /// Counts messages, each with whether it is spam and its score.
    pub fn of(threshold: f64, messages: impl IntoIterator<Item = (bool, f64)>) -> Self {
        let mut summary = Self { threshold, ..Self::default() };
        for (is_spam, score) in messages {
            let counter = match (is_spam, score >= threshold) {
                (true, true) => &mut summary.correct_spam,
                (true, false) => &mut summary.false_negatives,
                (false, true) => &mut summary.false_positives,
                (false, false) => &mut summary.correct_ham,
            };
            *counter += 1;
        }
        summary
    }

    /// What the mistakes cost, in missed spam.
    pub fn cost(&self) -> usize {
        let lambda = usize::try_from(LAMBDA).unwrap_or(usize::MAX);
        self.false_positives.saturating_mul(lambda).saturating_add(self.false_negatives)
    }

    /// Total cost ratio: what doing nothing would cost, over what this costs. Infinite without
    /// mistakes.
    pub fn total_cost_ratio(&self) -> f64 {
        let spam = self.correct_spam + self.false_negatives;
        if self.cost() == 0 { f64::INFINITY } else { ratio(spam, self.cost()) }
    }

    /// Part of the spam that is found.
    pub fn recall(&self) -> f64 {
        ratio(self.correct_spam, self.correct_spam + self.false_negatives)
    }

    /// Part of what is called spam that is spam.
    pub fn precision(&self) -> f64 {
        ratio(self.correct_spam, self.correct_spam + self.false_positives)
    }

    /// Prints the lines of `fp-fn-statistics`.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let ham = self.correct_ham + self.false_positives;
        let spam = self.correct_spam + self.false_negatives;
        let line = |name: &str, part, all| {
            format!("# {name:19} {part:6}  {:.2}%", ratio(part, all) * 100.0)
        };
        writeln!(out, "# SUMMARY for threshold {:.1}:", self.threshold)?;
        writeln!(out, "{}", line("Correctly non-spam:", self.correct_ham, ham))?;
        writeln!(out, "{}", line("Correctly spam:", self.correct_spam, spam))?;
        writeln!(out, "{}", line("False positives:", self.false_positives, ham))?;
        writeln!(out, "{}", line("False negatives:", self.false_negatives, spam))?;
        writeln!(
            out,
            "# TCR(l={LAMBDA}): {:.6}  SpamRecall: {:.3}%  SpamPrec: {:.3}%",
            self.total_cost_ratio(),
            self.recall() * 100.0,
            self.precision() * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(summary: &Summary) -> String {
        let mut text = Vec::new();
        summary.print(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn the_summary_is_spamassassins() {
        let scores = [(true, 5.0), (true, 4.9), (true, 0.0)];
        let ham = [(false, 0.0), (false, 4.99), (false, -3.0), (false, 1.0)];
        let summary = Summary::of(5.0, scores.into_iter().chain(ham));
        assert_eq!(
            printed(&summary),
            "# SUMMARY for threshold 5.0:\n\
             # Correctly non-spam:      4  100.00%\n\
             # Correctly spam:          1  33.33%\n\
             # False positives:         0  0.00%\n\
             # False negatives:         2  66.67%\n\
             # TCR(l=50): 1.500000  SpamRecall: 33.333%  SpamPrec: 100.000%\n"
        );
        let worse = Summary::of(4.95, scores.into_iter().chain(ham));
        assert_eq!((worse.false_positives, worse.cost()), (1, 52));
        assert!((worse.total_cost_ratio() - 3.0 / 52.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_divides_by_nothing() {
        let text = printed(&Summary::of(5.0, []));
        assert!(!text.contains("NaN"), "{text}");
    }
}
