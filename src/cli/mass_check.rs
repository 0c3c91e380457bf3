//! `calspamd mass-check`: the rules on labelled mail, with SpamAssassin's tables and logs.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use clap::Args;
use serde::Serialize;

use super::progress::Progress;
use super::scan::{Now, ScopeName, time};
use super::terminal::{Paint, Style, clean};
use super::{Common, Error, complain, rules};
use crate::config::Config;
use crate::mailbox::{File, Listing};
use crate::mass_check::{self, Checked, Class, Frequencies, Outcome, Row, Settings, Summary};

/// SpamAssassin's threshold, for comparing with it.
const SPAMASSASSIN: f64 = 5.0;

/// The usual threshold of spam, where the configuration has switched it off.
const SPAM: f64 = 6.0;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Spam: a file, directory, Maildir, mbox or calendar file; may be repeated
    #[arg(long, value_name = "PATH", required_unless_present = "ham")]
    spam: Vec<PathBuf>,
    /// Good mail, likewise
    #[arg(long, value_name = "PATH")]
    ham: Vec<PathBuf>,
    /// Also write DIR/spam.log and DIR/ham.log, as SpamAssassin's mass-check does
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// One JSON object in place of the tables
    #[arg(long)]
    json: bool,
    /// Name the messages on the wrong side of the first threshold given, or else of spam's
    #[arg(long)]
    misses: bool,
    /// Count mistakes at this score; may be repeated [default: the configured actions, and 5]
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, value_parser = score)]
    threshold: Vec<f64>,
    /// Also list symbols that hit nothing
    #[arg(long)]
    all: bool,
    /// Scans at a time [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Which evidence counts
    #[arg(long, default_value = "message")]
    scope: ScopeName,
    /// Time of the scans: RFC 3339, or mail for each mail's own (topmost Received, else Date,
    /// else DTSTAMP, else the file's)
    #[arg(long, value_name = "TIME", default_value = "mail", value_parser = time)]
    now: Now,
}

/// A score; no infinite one.
pub(super) fn score(text: &str) -> Result<f64, String> {
    let number: Result<f64, _> = text.parse();
    number.ok().filter(|n| n.is_finite()).ok_or_else(|| "write a number, as in 6.5".to_owned())
}

/// From which score on a message is spam.
pub(super) fn spam_threshold(config: &Config) -> f64 {
    config.scan.verdict.thresholds.add_header.unwrap_or(SPAM)
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
    let mut files: Vec<(Class, File)> = Vec::new();
    let mut failed = false;
    for (class, paths) in [(Class::Spam, &arguments.spam), (Class::Ham, &arguments.ham)] {
        let mut listing = Listing::default();
        for path in paths {
            listing.add(path);
        }
        files.extend(listing.files.into_iter().map(|file| (class, file)));
        for (path, error) in &listing.unread {
            failed = true;
            complain(format_args!("{}: {error}", clean(&path.display().to_string())));
        }
    }
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let settings = Settings {
        rules: &loaded.rules,
        scan: &config.scan,
        scope: arguments.scope.evidence(),
        clock: arguments.now.clock(),
        max_message: config.http.max_message,
        jobs: arguments.jobs.map_or(processors, usize::from),
    };
    let progress = Progress::new(files.iter().map(|(_, file)| file.size).sum());
    let outcome = mass_check::run(&files, &settings, &|bytes| progress.advance(bytes));
    progress.finish();

    for unread in &outcome.unread {
        failed = true;
        complain(format_args!("{}: {}", clean(&unread.name), unread.reason));
    }
    let spam_from = arguments.threshold.first().copied().unwrap_or(spam_threshold(config));
    if let Some(folder) = &arguments.log {
        write_logs(folder, &outcome.checked, spam_from)?;
    }
    let report = Report {
        frequencies: Frequencies::of(&outcome.checked, &loaded.rules),
        summaries: summaries(arguments, config, &outcome.checked),
        misses: arguments.misses.then(|| misses(&outcome.checked, spam_from)),
        spam_from,
        outcome: &outcome,
    };
    if arguments.json {
        report.json(arguments.all, out)?;
    } else {
        report.print(arguments.all, paint, out)?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn write_logs(folder: &Path, checked: &[Checked], threshold: f64) -> Result<(), Error> {
    for class in [Class::Spam, Class::Ham] {
        let path = folder.join(format!("{}.log", class.name()));
        let written = fs::File::create(&path).and_then(|file| {
            let mut file = BufWriter::new(file);
            mass_check::write(class, checked, threshold, &mut file)?;
            file.flush()
        });
        written.map_err(|source| Error::Write { path, source })?;
    }
    Ok(())
}

fn summaries(arguments: &Arguments, config: &Config, checked: &[Checked]) -> Vec<Summary> {
    let mut thresholds = arguments.threshold.clone();
    if thresholds.is_empty() {
        let actions = config.scan.verdict.thresholds.list();
        thresholds = actions.into_iter().map(|(_, limit)| limit).chain([SPAMASSASSIN]).collect();
        thresholds.sort_by(f64::total_cmp);
        thresholds.dedup();
    }
    let scores = || checked.iter().map(|message| (message.class == Class::Spam, message.score));
    thresholds.into_iter().map(|threshold| Summary::of(threshold, scores())).collect()
}

/// Messages on the wrong side, the worst of each class first.
fn misses(checked: &[Checked], threshold: f64) -> Vec<&Checked> {
    let wrong = |message: &&Checked| (message.class == Class::Spam) != (message.score >= threshold);
    let mut misses: Vec<&Checked> = checked.iter().filter(wrong).collect();
    let key = |message: &Checked| match message.class {
        Class::Ham => (0, -message.score),
        Class::Spam => (1, message.score),
    };
    misses.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    misses
}

/// Everything to be shown.
struct Report<'a> {
    frequencies: Frequencies,
    summaries: Vec<Summary>,
    misses: Option<Vec<&'a Checked>>,
    spam_from: f64,
    outcome: &'a Outcome,
}

impl Report<'_> {
    fn count(&self, wanted: impl Fn(&Checked) -> bool) -> usize {
        self.outcome.checked.iter().filter(|message| wanted(message)).count()
    }

    fn print(&self, all: bool, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
        self.frequencies.print(all, out)?;
        for summary in &self.summaries {
            writeln!(out)?;
            summary.print(out)?;
        }
        writeln!(
            out,
            "\n# Messages: {}, with a calendar: {}, not read to the end: {}, not read: {}",
            self.outcome.checked.len(),
            self.count(|message| message.has_calendar),
            self.count(|message| message.partial),
            self.outcome.unread.len(),
        )?;
        let Some(misses) = &self.misses else { return Ok(()) };
        writeln!(out, "\n# Misses for threshold {:.1}: {}", self.spam_from, misses.len())?;
        for message in misses {
            let style = match message.class {
                Class::Ham => Style::Red,
                Class::Spam => Style::Yellow,
            };
            let class = paint.style(style, format!("{:4}", message.class.name()));
            let symbols = message.symbols.join(",");
            writeln!(out, "{class} {:6.2}  {}  {symbols}", message.score, clean(&message.name))?;
        }
        Ok(())
    }

    fn json(&self, all: bool, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.frequencies.rows.iter().filter(|row| all || row.spam + row.ham > 0);
        let unread = self.outcome.unread.iter();
        let report = JsonReport {
            messages: JsonMessages {
                spam: self.frequencies.spam,
                ham: self.frequencies.ham,
                with_calendar: self.count(|message| message.has_calendar),
                partial: self.count(|message| message.partial),
            },
            symbols: rows.map(JsonRow::new).collect(),
            thresholds: self.summaries.iter().map(JsonSummary::new).collect(),
            misses: self
                .misses
                .as_ref()
                .map(|misses| misses.iter().map(|miss| JsonMiss::new(miss)).collect()),
            unread: unread.map(|unread| (&*unread.name, unread.reason.to_string())).collect(),
        };
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)
    }
}

#[derive(Serialize)]
struct JsonReport<'a> {
    messages: JsonMessages,
    symbols: Vec<JsonRow<'a>>,
    thresholds: Vec<JsonSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    misses: Option<Vec<JsonMiss<'a>>>,
    unread: BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
struct JsonMessages {
    spam: usize,
    ham: usize,
    with_calendar: usize,
    partial: usize,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    symbol: &'a str,
    score: f64,
    spam: usize,
    ham: usize,
    overall_percent: f64,
    spam_percent: f64,
    ham_percent: f64,
    so: f64,
    rank: f64,
}

impl<'a> JsonRow<'a> {
    fn new(row: &'a Row) -> Self {
        Self {
            symbol: &row.symbol,
            score: row.score,
            spam: row.spam,
            ham: row.ham,
            overall_percent: row.overall_percent,
            spam_percent: row.spam_percent,
            ham_percent: row.ham_percent,
            so: row.spam_to_overall,
            rank: row.rank,
        }
    }
}

#[derive(Serialize)]
struct JsonSummary {
    threshold: f64,
    correct_ham: usize,
    correct_spam: usize,
    false_positives: usize,
    false_negatives: usize,
    /// `null` without a mistake.
    tcr: f64,
    recall: f64,
    precision: f64,
}

impl JsonSummary {
    fn new(summary: &Summary) -> Self {
        Self {
            threshold: summary.threshold,
            correct_ham: summary.correct_ham,
            correct_spam: summary.correct_spam,
            false_positives: summary.false_positives,
            false_negatives: summary.false_negatives,
            tcr: summary.total_cost_ratio(),
            recall: summary.recall(),
            precision: summary.precision(),
        }
    }
}

#[derive(Serialize)]
struct JsonMiss<'a> {
    class: &'static str,
    file: &'a str,
    score: f64,
    symbols: Vec<&'a str>,
}

impl<'a> JsonMiss<'a> {
    fn new(message: &'a Checked) -> Self {
        Self {
            class: message.class.name(),
            file: &message.name,
            score: message.score,
            symbols: message.symbols.iter().map(|symbol| &**symbol).collect(),
        }
    }
}
