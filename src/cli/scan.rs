//! `calspamd scan`: scans files and directories without a service.

use std::io::{self, Write};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::progress::Progress;
use super::terminal::{Paint, clean};
use super::{Common, Error, complain, now, report, rules};
use crate::config::Config;
use crate::mailbox::{self, Listing, Opened, ReadError};
use crate::mass_check::Clock;
use crate::message;
use crate::protocol::rspamd;
use crate::rules::{EvidenceScope, RuleSet};
use crate::scan::{self, Outcome, Request};
use crate::verdict::Policy;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Mails, calendar files or mboxes, or directories with them; - is the standard input
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
    /// Time of the scan: RFC 3339, or mail for the mail's own (topmost Received, else Date, else
    /// DTSTAMP) [default: the clock]
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

/// Which time a scan takes for now.
#[derive(Debug, Clone, Copy)]
pub(super) enum Now {
    At(i64),
    Mail,
}

fn policy(text: &str) -> Result<Policy, String> {
    Policy::parse(text).ok_or_else(|| "write all, known or never".to_owned())
}

impl Now {
    /// With the clock for a mail that has no time.
    pub(super) fn clock(self) -> Clock {
        match self {
            Self::At(time) => Clock::At(time),
            Self::Mail => Clock::Mail(now()),
        }
    }
}

/// `mail`, or a time.
pub(super) fn time(text: &str) -> Result<Now, String> {
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
        let bare = mailbox::is_calendar(path);
        let scope = self.scope.evidence();
        let now = match self.now {
            Some(now) => {
                let message = message::parse(bytes, bare, &envelope, &settings.message);
                now.clock().time(&message, settings)
            }
            None => now(),
        };
        Request { envelope, bare, scope, policy: self.policy, now, ..Request::default() }
    }
}

/// An input that cannot be scanned.
#[derive(Debug, thiserror::Error)]
enum InputError {
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("the scan failed: this is a mistake in calspamd, please report it")]
    Panicked,
}

/// Reads a file, or the standard input for `-`.
pub(super) fn read_input(path: &Path, limit: usize) -> Result<Vec<u8>, ReadError> {
    if path == Path::new("-") {
        mailbox::read(io::stdin().lock(), limit)
    } else {
        mailbox::read(std::fs::File::open(path)?, limit)
    }
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

    let mut listing = Listing::default();
    let mut from_input = false;
    for path in &arguments.paths {
        if path == Path::new("-") {
            from_input = true;
        } else {
            listing.add(path);
        }
    }
    let mut job = Job { arguments, config, rules: &loaded.rules, paint, failed: false, out };
    for (path, error) in &listing.unread {
        job.fail(&path.display().to_string(), error);
    }
    let limit = config.http.max_message;
    if from_input {
        let path = Path::new("-");
        job.scan("-", path, read_input(path, limit).map_err(InputError::from))?;
    }
    let progress = Progress::new(listing.files.iter().map(|file| file.size).sum());
    for file in &listing.files {
        let path = &file.path;
        match mailbox::open(path, limit) {
            Ok(Opened::Message(message)) => {
                let read = message.read(limit).map_err(InputError::from);
                progress.suspend(|| job.scan(&mailbox::name(path, None), path, read))?;
                progress.advance(file.size);
            }
            Ok(Opened::Mbox(mut mbox)) => {
                let mut done = 0;
                while let Some(piece) = mbox.next() {
                    let name = mailbox::name(path, Some(piece.at));
                    let read = piece.message.map_err(InputError::from);
                    // In an mbox there is mail, whatever the name of the file.
                    progress.suspend(|| job.scan(&name, Path::new(""), read))?;
                    progress.advance(mbox.offset() - done);
                    done = mbox.offset();
                }
            }
            Err(error) => progress.suspend(|| job.fail(&mailbox::name(path, None), &error)),
        }
    }
    progress.finish();
    Ok(if job.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the scans of one run share.
struct Job<'a> {
    arguments: &'a Arguments,
    config: &'a Config,
    rules: &'a RuleSet,
    paint: Paint,
    failed: bool,
    out: &'a mut dyn Write,
}

impl Job<'_> {
    fn fail(&mut self, name: &str, error: &dyn std::fmt::Display) {
        self.failed = true;
        complain(format_args!("{}: {error}", clean(name)));
    }

    /// Scans a message and prints the answer. `path` says by its ending what it is.
    fn scan(
        &mut self,
        name: &str,
        path: &Path,
        read: Result<Vec<u8>, InputError>,
    ) -> io::Result<()> {
        let settings = &self.config.scan;
        let scanned = read.and_then(|bytes| {
            // One message that we cannot take must not keep the others from being scanned.
            catch_unwind(AssertUnwindSafe(|| {
                let request = self.arguments.envelope.request(path, &bytes, settings);
                let outcome = scan::scan(&bytes, &request, self.rules, settings);
                (request, outcome)
            }))
            .map_err(|_| InputError::Panicked)
        });
        match scanned {
            Ok((request, outcome)) => self.print(name, &request, &outcome),
            Err(error) => {
                self.fail(name, &error);
                Ok(())
            }
        }
    }

    fn print(&mut self, file: &str, request: &Request, outcome: &Outcome) -> io::Result<()> {
        if !self.arguments.json {
            return report::print(file, outcome, self.paint, self.out);
        }
        let options = rspamd::Options::default();
        let thresholds = &self.config.scan.verdict.thresholds;
        let answer = rspamd::answer(outcome, request, &options, thresholds);
        serde_json::to_writer(&mut *self.out, &Line { file, answer })?;
        writeln!(self.out)
    }
}

#[derive(Serialize)]
struct Line<'a, T> {
    file: &'a str,
    #[serde(flatten)]
    answer: T,
}
