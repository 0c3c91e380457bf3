//! `calspamd scan`: scans files and directories without a service.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::terminal::{Paint, clean};
use super::{Common, Error, complain, now, report, rules};
use crate::calendar;
use crate::config::Config;
use crate::message;
use crate::protocol::rspamd;
use crate::rules::EvidenceScope;
use crate::scan::{self, Outcome, Request};
use crate::verdict::Policy;

/// Work that is done sooner needs no progress bar.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Mails or calendar files, or directories with them; - is the standard input
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// One JSON object a line, as /checkv2 answers, with the file's name
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    envelope: Envelope,
}

/// What a mail system would tell about the message.
#[derive(Debug, Args)]
pub(super) struct Envelope {
    /// Envelope sender
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Envelope recipient; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    rcpt: Vec<String>,
    /// Address of the SMTP client
    #[arg(long)]
    ip: Option<IpAddr>,
    /// Its HELO
    #[arg(long, value_name = "NAME")]
    helo: Option<String>,
    /// Authenticated user
    #[arg(long)]
    user: Option<String>,
    /// Which evidence counts
    #[arg(long, default_value = "message")]
    scope: ScopeName,
    /// The recipient's policy: all, known or never
    #[arg(long, value_parser = policy)]
    policy: Option<Policy>,
    /// Time of the scan: RFC 3339, or mail for the mail's own (Date, else DTSTAMP) [default: the
    /// clock]
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<Now>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ScopeName {
    Message,
    Calendar,
}

impl ScopeName {
    pub(super) fn evidence(self) -> EvidenceScope {
        match self {
            Self::Message => EvidenceScope::Message,
            Self::Calendar => EvidenceScope::Calendar,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Now {
    At(i64),
    Mail,
}

fn policy(text: &str) -> Result<Policy, String> {
    Policy::parse(text).ok_or_else(|| "write all, known or never".to_owned())
}

fn time(text: &str) -> Result<Now, String> {
    if text == "mail" {
        return Ok(Now::Mail);
    }
    chrono::DateTime::parse_from_rfc3339(text)
        .map(|time| Now::At(time.timestamp()))
        .map_err(|_| "write mail, or a time as in 2026-11-20T10:00:00Z".to_owned())
}

impl Envelope {
    /// The request for one input.
    pub(super) fn request(&self, path: &Path, bytes: &[u8], settings: &scan::Settings) -> Request {
        let bare_name = |address: &str| {
            let inner = address.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
            inner.unwrap_or(address).to_owned()
        };
        let envelope = message::Envelope {
            client_ip: self.ip,
            helo: self.helo.clone(),
            sender: self.from.as_deref().map(bare_name),
            recipients: self.rcpt.iter().map(|address| bare_name(address)).collect(),
            user: self.user.clone(),
            ..message::Envelope::default()
        };
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        let bare = ["ics", "ical", "ifb", "vcs"].iter().any(|name| ending == *name);
        let scope = self.scope.evidence();
        let now = match self.now {
            Some(Now::At(time)) => time,
            Some(Now::Mail) => {
                let message = message::parse(bytes, bare, &envelope, &settings.message);
                message.date.or_else(|| newest_stamp(&message, settings)).unwrap_or_else(now)
            }
            None => now(),
        };
        Request { envelope, bare, scope, policy: self.policy, now, ..Request::default() }
    }
}

/// The newest DTSTAMP: when a mail without a Date, or a bare calendar, was written.
fn newest_stamp(message: &message::Message<'_>, settings: &scan::Settings) -> Option<i64> {
    let reading = calendar::read(message, &settings.calendar, &|| false);
    reading.events.iter().filter_map(|event| event.dtstamp).max()
}

/// An input that cannot be scanned.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("larger than {0} bytes (max_message)")]
    TooLarge(usize),
    #[error("the scan failed: this is a mistake in calspamd, please report it")]
    Panicked,
}

/// Reads a file, or the standard input for `-`.
pub(super) fn read_input(path: &Path, limit: usize) -> Result<Vec<u8>, InputError> {
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path)?)
    };
    let mut bytes = Vec::new();
    let past_limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(past_limit).read_to_end(&mut bytes)?;
    if bytes.len() > limit { Err(InputError::TooLarge(limit)) } else { Ok(bytes) }
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

    let mut failed = false;
    let mut fail = |path: &Path, error: &dyn std::fmt::Display| {
        failed = true;
        complain(format_args!("{}: {error}", clean(&path.display().to_string())));
    };
    let mut paths = Vec::new();
    for path in &arguments.paths {
        collect(path, &mut paths, &mut fail);
    }

    let progress = Progress::new(paths.len());
    for path in &paths {
        let scanned = read_input(path, config.http.max_message).and_then(|bytes| {
            let request = arguments.envelope.request(path, &bytes, &config.scan);
            // One message that we cannot take must not keep the others from being scanned.
            let scan = || scan::scan(&bytes, &request, &loaded.rules, &config.scan);
            let outcome = catch_unwind(AssertUnwindSafe(scan)).map_err(|_| InputError::Panicked)?;
            Ok((request, outcome))
        });
        progress.suspend(|| match scanned {
            Ok((request, outcome)) => {
                print(path, &request, &outcome, arguments.json, config, paint, out)
            }
            Err(error) => {
                fail(path, &error);
                Ok(())
            }
        })?;
        progress.advance();
    }
    progress.finish();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[derive(Serialize)]
struct Line<'a, T> {
    file: &'a str,
    #[serde(flatten)]
    answer: T,
}

fn print(
    path: &Path,
    request: &Request,
    outcome: &Outcome,
    json: bool,
    config: &Config,
    paint: Paint,
    out: &mut dyn Write,
) -> io::Result<()> {
    let file = path.display().to_string();
    let thresholds = &config.scan.verdict.thresholds;
    if json {
        let options = rspamd::Options::default();
        let answer = rspamd::answer(outcome, request, &options, thresholds);
        serde_json::to_writer(&mut *out, &Line { file: &file, answer })?;
        writeln!(out)
    } else {
        report::print(&file, outcome, paint, out)
    }
}

/// Adds a file, or all files of a directory and the directories in it, by name.
fn collect(
    path: &Path,
    paths: &mut Vec<PathBuf>,
    fail: &mut dyn FnMut(&Path, &dyn std::fmt::Display),
) {
    if path == Path::new("-") || !path.is_dir() {
        paths.push(path.to_owned());
        return;
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => return fail(path, &error),
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        // A link to a directory may lead back to where we are.
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let path = entry.path();
        if path.is_file() || (path.is_dir() && !is_link) {
            collect(&path, paths, fail);
        }
    }
}

/// A bar on the standard error, for people who have waited a second for many files.
struct Progress {
    bar: ProgressBar,
    started: Instant,
}

impl Progress {
    fn new(files: usize) -> Self {
        let length = u64::try_from(files).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta}") {
            bar.set_style(style);
        }
        Self { bar, started: Instant::now() }
    }

    fn advance(&self) {
        self.bar.inc(1);
        let waited = self.started.elapsed() > PATIENCE;
        if waited && self.bar.is_hidden() && io::stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
