//! `calspamd rescore`: scores for a site's own mail, shown, and written down when asked.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::mass_check::{score, spam_threshold};
use super::rules::number;
use super::terminal::{Paint, Style, clean};
use super::{Common, Error, complain, rules};
use crate::config::Config;
use crate::mass_check::{Entry, LAMBDA, Log, Summary};
use crate::rescore::{self, Outcome, Proposal, Settings};
use crate::rules::RuleSet;

/// First line of a file of ours; any other file is somebody's work and stays.
const MARK: &str = "# Scores by calspamd rescore; it replaces this file.";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Log of a mass-check of spam; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    spam_log: Vec<PathBuf>,
    /// Log of a mass-check of good mail; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    ham_log: Vec<PathBuf>,
    /// From this score on a message is spam [default: where the
    /// configuration adds a header]
    #[arg(long, value_name = "SCORE", value_parser = score)]
    threshold: Option<f64>,
    /// Parts of the mail that are held back in turn
    #[arg(long, value_name = "N", default_value = "5")]
    #[arg(value_parser = clap::value_parser!(u8).range(2..=100))]
    folds: u8,
    /// Decides which message is in which part
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// Leave scores of symbols alone that hit fewer messages
    #[arg(long, value_name = "N", default_value = "10")]
    min_hits: usize,
    /// Leave this symbol's score alone; may be repeated
    #[arg(long, value_name = "SYMBOL")]
    keep: Vec<String>,
    /// Also list symbols that hit nothing
    #[arg(long)]
    all: bool,
    /// Write the new scores to a rule file, if they are better on mail held back
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

pub(super) fn run(
    arguments: &Arguments,
    common: &Common,
    config: &Config,
    paint: Paint,
    out: &mut dyn Write,
) -> Result<ExitCode, Error> {
    let loaded = rules::load(common, config)?;
    rules::warn(&loaded.diagnostics);
    if let Some(name) = arguments.keep.iter().find(|name| loaded.rules.get(name).is_none()) {
        let guess = loaded.rules.guess(name).map(str::to_owned);
        return Err(Error::NoRule { name: clean(name).into_owned(), guess });
    }
    let spam = read(&arguments.spam_log)?;
    let ham = read(&arguments.ham_log)?;
    let settings = Settings {
        threshold: arguments.threshold.unwrap_or(spam_threshold(config)),
        folds: arguments.folds.into(),
        seed: arguments.seed,
        min_hits: arguments.min_hits,
        keep: arguments.keep.iter().cloned().collect(),
    };
    let outcome = rescore::propose(&spam, &ham, &loaded.rules, &settings)?;
    if !outcome.unknown.is_empty() {
        let names = outcome.unknown.join(", ");
        complain(format_args!("no rule here is named so, they count for nothing: {names}"));
    }
    table(&outcome, arguments.all, paint, out)?;
    figures(&outcome, &spam, &ham, &settings, out)?;
    let Some(path) = &arguments.write else { return Ok(ExitCode::SUCCESS) };
    if !outcome.is_better() {
        complain(format_args!("nothing is written to {}", clean(&path.display().to_string())));
        return Ok(ExitCode::FAILURE);
    }
    write(path, &outcome, &settings, &loaded.rules)?;
    Ok(ExitCode::SUCCESS)
}

fn read(paths: &[PathBuf]) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for path in paths {
        let failed = |source| Error::Log { path: path.clone(), source };
        let file = fs::File::open(path).map_err(|error| failed(error.into()))?;
        let log = Log::read(BufReader::new(file)).map_err(failed)?;
        if log.skipped > 0 {
            let name = path.display().to_string();
            complain(format_args!("{}: lines not understood: {}", clean(&name), log.skipped));
        }
        entries.extend(log.entries);
    }
    Ok(entries)
}

fn table(outcome: &Outcome, all: bool, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let shown = |proposal: &&Proposal| all || proposal.spam + proposal.ham > 0;
    let rows: Vec<&Proposal> = outcome.proposals.iter().filter(shown).collect();
    let width = rows.iter().map(|row| row.symbol.len()).max().unwrap_or_default();
    let head = format!(
        "{:>6} {:>6}  {:>13}  {:>7} {:>7}  {:width$}  WHY",
        "OLD", "NEW", "FOLDS", "SPAM", "HAM", "SYMBOL"
    );
    writeln!(out, "{}", paint.style(Style::Bold, head))?;
    for row in rows {
        let folds = if row.stays.is_none() {
            format!("{} to {}", number(row.low), number(row.high))
        } else {
            "-".to_owned()
        };
        let new = format!("{:>6}", number(row.new));
        let new = if !row.changes() {
            new
        } else if row.new > row.old {
            paint.style(Style::Red, new).to_string()
        } else {
            paint.style(Style::Green, new).to_string()
        };
        let line = format!(
            "{:>6} {new}  {folds:>13}  {:>7} {:>7}  {:width$}  {}",
            number(row.old),
            row.spam,
            row.ham,
            row.symbol,
            row.stays.map_or(if row.impure { "must not gain" } else { "" }, rescore::Stays::name),
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn figures(
    outcome: &Outcome,
    spam: &[Entry],
    ham: &[Entry],
    settings: &Settings,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(
        out,
        "\n# {} spam, {} ham, threshold {:.1}, {} folds, a false positive weighs {LAMBDA} misses",
        spam.len(),
        ham.len(),
        settings.threshold,
        settings.folds,
    )?;
    writeln!(out, "# {:36} {:>8} {:>8} {:>8}", "", "FP", "FN", "COST")?;
    let mut line = |name: &str, summary: &Summary| {
        let Summary { false_positives: fp, false_negatives: fn_, .. } = summary;
        writeln!(out, "# {name:36} {fp:>8} {fn_:>8} {:>8}", summary.cost())
    };
    line("scores in force", &outcome.before)?;
    line("new scores, on mail held back", &outcome.validated)?;
    line("new scores, on the mail learnt from", &outcome.fitted)?;
    let advice = if outcome.is_better() {
        "The new scores are better on mail they were not learnt from."
    } else {
        "The new scores are no better: keep those in force."
    };
    writeln!(out, "# {advice}")
}

/// Writes a rule file beside, then puts it in the place of the old one: a service that reads
/// its rules again never sees half of it.
fn write(
    path: &Path,
    outcome: &Outcome,
    settings: &Settings,
    rules: &RuleSet,
) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let before = match fs::read_to_string(path) {
        Ok(text) if text.starts_with(MARK) => text,
        Ok(_) => return Err(Error::NotOurs(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    // What an earlier run changed is in force, and stays so where this one changes nothing.
    let mut scores: BTreeMap<&str, f64> = before.lines().filter_map(score_line).collect();
    scores.retain(|name, _| rules.get(name).is_some());
    let changed = outcome.proposals.iter().filter(|proposal| proposal.changes());
    scores.extend(changed.map(|proposal| (&*proposal.symbol, proposal.new)));
    let mut text = format!(
        "{MARK}\n# Threshold {:.1}; on mail held back: {} false positives before, {} after; \
         {} misses before, {} after.\n",
        settings.threshold,
        outcome.before.false_positives,
        outcome.validated.false_positives,
        outcome.before.false_negatives,
        outcome.validated.false_negatives,
    );
    for (name, score) in scores {
        text.extend(["score ", name, " ", &number(score), "\n"]);
    }
    let beside = path.with_added_extension("new");
    fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).map_err(failed)
}

fn score_line(line: &str) -> Option<(&str, f64)> {
    let (name, score) = line.strip_prefix("score ")?.split_once(' ')?;
    Some((name, score.trim().parse().ok()?))
}
