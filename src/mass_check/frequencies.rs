//! How often each symbol hits spam and ham: SpamAssassin's table of hit frequencies.
//!
//! Comes in: checked messages and the rules. Goes out: figures, and the table that
//! `hit-frequencies -p` prints. Not an error: no messages at all.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::{Checked, Class, ratio};
use crate::rules::RuleSet;

/// What is known of one symbol.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name.
    pub symbol: String,
    /// Its score.
    pub score: f64,
    /// Spam that it hit.
    pub spam: usize,
    /// Ham that it hit.
    pub ham: usize,
    /// Of all messages, in per cent.
    pub overall_percent: f64,
    /// Of all spam, in per cent.
    pub spam_percent: f64,
    /// Of all ham, in per cent.
    pub ham_percent: f64,
    /// `spam% / (spam% + ham%)`; 0.5 where nothing was hit.
    pub spam_to_overall: f64,
    /// From 0 to 1: much of what it should hit, little of the rest. 0 where nothing was hit.
    pub rank: f64,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frequencies {
    /// Spam in all.
    pub spam: usize,
    /// Ham in all.
    pub ham: usize,
    /// Symbols, best rank first.
    pub rows: Vec<Row>,
}

fn percent(part: usize, all: usize) -> f64 {
    ratio(part, all) * 100.0
}

impl Frequencies {
    /// Counts.
    pub fn of(checked: &[Checked], rules: &RuleSet) -> Self {
        let mut hits: BTreeMap<&str, (usize, usize)> =
            rules.symbols().filter(|s| s.score != 0.0).map(|s| (&*s.name, (0, 0))).collect();
        let mut all = (0, 0);
        let count = |(spam, ham): &mut (usize, usize), class| match class {
            Class::Spam => *spam += 1,
            Class::Ham => *ham += 1,
        };
        for message in checked {
            count(&mut all, message.class);
            for symbol in &message.symbols {
                count(hits.entry(symbol).or_default(), message.class);
            }
        }
        let row = |(symbol, (spam, ham)): (&str, (usize, usize))| {
            let (spam_percent, ham_percent) = (percent(spam, all.0), percent(ham, all.1));
            let both = spam_percent + ham_percent;
            Row {
                symbol: symbol.to_owned(),
                score: rules.get(symbol).map_or(0.0, |symbol| symbol.score),
                spam,
                ham,
                overall_percent: percent(spam + ham, all.0 + all.1),
                spam_percent,
                ham_percent,
                spam_to_overall: if both > 0.0 { spam_percent / both } else { 0.5 },
                rank: 0.0,
            }
        };
        let mut rows: Vec<Row> = hits.into_iter().map(row).collect();
        rank(&mut rows, rules);
        // By name where all else is equal: they were sorted by it.
        rows.sort_by(|a, b| b.rank.total_cmp(&a.rank).then(b.spam.cmp(&a.spam)));
        Self { spam: all.0, ham: all.1, rows }
    }

    /// Prints the table; symbols without a hit only with `all`.
    pub fn print(&self, all: bool, out: &mut dyn Write) -> io::Result<()> {
        let (spam, ham) = (self.spam, self.ham);
        let messages = spam + ham;
        let share = |part| percent(part, messages);
        let so = if messages == 0 { 0.5 } else { share(spam) / 100.0 };
        writeln!(
            out,
            "{:>8} {:>7}  {:>7}  {:>6}  {:>6}  {:>6}  NAME",
            "OVERALL%", "SPAM%", "HAM%", "S/O", "RANK", "SCORE"
        )?;
        writeln!(
            out,
            "{messages:7}  {spam:7}  {ham:7}  {so:7.3} {:6.2}  {:6.2}  (all messages)",
            0.0, 0.0
        )?;
        writeln!(
            out,
            "{:7.3}  {:7.4}  {:7.4}  {so:7.3} {:6.2}  {:6.2}  (all messages as %)",
            share(messages),
            share(spam),
            share(ham),
            0.0,
            0.0
        )?;
        for row in self.rows.iter().filter(|row| all || row.spam + row.ham > 0) {
            writeln!(
                out,
                "{:7.3}  {:7.4}  {:7.4}  {:7.3} {:6.2}  {:6.2}  {}",
                row.overall_percent,
                row.spam_percent,
                row.ham_percent,
                row.spam_to_overall,
                row.rank,
                row.score,
                row.symbol
            )?;
        }
        Ok(())
    }
}

/// Ranks symbols as SpamAssassin does: the place by wanted hits, plus the place by few unwanted
/// ones, both on the same scale, and the sum stretched from 0 to 1. A nice rule wants ham.
fn rank(rows: &mut [Row], rules: &RuleSet) {
    let mut hit: Vec<&mut Row> = rows.iter_mut().filter(|row| row.spam + row.ham > 0).collect();
    let is_nice = |row: &Row| {
        row.score < 0.0 || rules.get(&row.symbol).is_some_and(|symbol| symbol.flags.nice)
    };
    // Shares, not counts: a nice rule's hits are of the other class.
    let share = |row: &Row, wanted: bool| {
        if is_nice(row) == wanted { row.ham_percent } else { row.spam_percent }
    };
    let places = |wanted: bool| -> (Vec<usize>, usize) {
        let key = |row: &Row| share(row, wanted).to_bits();
        let distinct: BTreeSet<u64> = hit.iter().map(|row| key(row)).collect();
        let place = |row: &Row| {
            let below = distinct.range(..key(row)).count();
            if wanted { below } else { distinct.len() - 1 - below }
        };
        (hit.iter().map(|row| place(row)).collect(), distinct.len())
    };
    let (wanted, wanted_ranks) = places(true);
    let (unwanted, unwanted_ranks) = places(false);
    #[expect(clippy::cast_precision_loss, reason = "numbers of rules")]
    let sums: Vec<f64> = {
        let scale = wanted_ranks as f64 / unwanted_ranks.max(1) as f64;
        let sum = |(wanted, unwanted): (usize, usize)| wanted as f64 + unwanted as f64 * scale;
        wanted.into_iter().zip(unwanted).map(sum).collect()
    };
    let low = sums.iter().copied().fold(f64::INFINITY, f64::min);
    let high = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for (row, sum) in hit.iter_mut().zip(sums) {
        row.rank = if high > low { (sum - low) / (high - low) } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{self, File, Files};

    const RULES: &str = "calendar A summary =~ /a/\ndescribe A a\nscore A 2.5\n\
        calendar B summary =~ /b/\ndescribe B b\nscore B 1\n\
        calendar C summary =~ /c/\ndescribe C c\nscore C 0.5\n\
        calendar D summary =~ /d/\ndescribe D d\nscore D -1\n\
        calendar E summary =~ /e/\ndescribe E e\nscore E 1\n\
        calendar F summary =~ /f/\ndescribe F f\nscore F 0\n";

    fn rule_set() -> RuleSet {
        let file = File { name: "x.cf".to_owned(), text: RULES.to_owned() };
        rules::load(&Files { rules: vec![file], ..Files::default() }).unwrap().rules
    }

    fn message(class: Class, symbols: &[&str]) -> Checked {
        Checked {
            class,
            name: "x".to_owned(),
            in_mbox: false,
            time: 0,
            score: 0.0,
            symbols: symbols.iter().map(|symbol| (*symbol).into()).collect(),
            has_calendar: true,
            partial: false,
        }
    }

    /// 4 spam, 5 ham: A hits 3 and 0, B 2 and 1, C 1 and 3, D (nice) 0 and 2, E nothing.
    fn checked() -> Vec<Checked> {
        use Class::{Ham, Spam};
        [
            (Spam, &["A", "B"][..]),
            (Spam, &["A", "B", "C"]),
            (Spam, &["A"]),
            (Spam, &[]),
            (Ham, &["B", "C", "D"]),
            (Ham, &["C", "D"]),
            (Ham, &["C"]),
            (Ham, &[]),
            (Ham, &[]),
        ]
        .map(|(class, symbols)| message(class, symbols))
        .to_vec()
    }

    #[test]
    fn the_table_is_spamassassins() {
        let table = Frequencies::of(&checked(), &rule_set());
        let mut text = Vec::new();
        table.print(false, &mut text).unwrap();
        // Wanted shares are 75, 50, 25 and for D 40: places 3, 2, 0, 1. Unwanted ones are 0,
        // 20, 60 and 0: places 2, 1, 0, 2, times 4/3. Sums 17/3, 10/3, 0 and 11/3.
        let expected = "\
OVERALL%   SPAM%     HAM%     S/O    RANK   SCORE  NAME
      9        4        5    0.444   0.00    0.00  (all messages)
100.000  44.4444  55.5556    0.444   0.00    0.00  (all messages as %)
 33.333  75.0000   0.0000    1.000   1.00    2.50  A
 22.222   0.0000  40.0000    0.000   0.65   -1.00  D
 33.333  50.0000  20.0000    0.714   0.59    1.00  B
 44.444  25.0000  60.0000    0.294   0.00    0.50  C
";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        let mut text = Vec::new();
        table.print(true, &mut text).unwrap();
        let last = "  0.000   0.0000   0.0000    0.500   0.00    1.00  E\n";
        assert_eq!(String::from_utf8(text).unwrap(), format!("{expected}{last}"));
    }

    #[test]
    fn nothing_divides_by_nothing() {
        for checked in [vec![], vec![message(Class::Ham, &["A", "UNHEARD_OF"])]] {
            let table = Frequencies::of(&checked, &rule_set());
            let mut text = Vec::new();
            table.print(true, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }
}
