//! `calspamd learn`: tells a running service what users say of their mail, and whom they know.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::service::{Request, Service};
use super::terminal::clean;
use super::{Error, complain, scan};
use crate::config::Config;
use crate::mailbox::{self, Listing, Opened, ReadError};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Report mail as spam
    Spam(Mail),
    /// Report mail as wanted
    Ham(Mail),
    /// Take reports back
    Forget(Mail),
    /// Take over a user's address book: vCards, or one address a line
    Contacts(Contacts),
}

#[derive(Debug, Args)]
pub(super) struct Mail {
    /// Mails, calendar files or mboxes, or directories with them; - is the standard input
    paths: Vec<PathBuf>,
    /// Who reports: a mail address or login
    #[arg(long)]
    user: Option<String>,
    /// Message-ID of a mail that is gone; may be repeated
    #[arg(long, value_name = "ID")]
    message_id: Vec<String>,
    /// UID of an event whose mail is gone; may be repeated
    #[arg(long)]
    uid: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Contacts {
    /// The address book; - is the standard input
    file: PathBuf,
    /// Whose it is: a mail address
    #[arg(long)]
    user: String,
}

pub(super) fn run(
    command: &Command,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitCode, Error> {
    let service = Service::new(&config.http);
    let (path, mail) = match command {
        Command::Spam(mail) => ("/learnspam", mail),
        Command::Ham(mail) => ("/learnham", mail),
        Command::Forget(mail) => ("/learnforget", mail),
        Command::Contacts(contacts) => return learn_contacts(contacts, config, &service, out),
    };
    let mut job = Job { service, path, mail, learned: 0, failed: false };
    for id in &mail.message_id {
        job.post(&[("Message-ID", id)], b"")?;
    }
    for uid in &mail.uid {
        job.post(&[("UID", uid)], b"")?;
    }
    let mut listing = Listing::default();
    for path in mail.paths.iter().filter(|path| *path != Path::new("-")) {
        listing.add(path);
    }
    for (path, error) in &listing.unread {
        job.fail(path, error);
    }
    let limit = config.http.max_message;
    if mail.paths.iter().any(|path| path == Path::new("-")) {
        job.read(Path::new("-"), scan::read_input(Path::new("-"), limit))?;
    }
    for file in &listing.files {
        match mailbox::open(&file.path, limit) {
            Ok(Opened::Message(message)) => job.read(&file.path, message.read(limit))?,
            Ok(Opened::Mbox(mut mbox)) => {
                for piece in mbox.by_ref() {
                    job.read(Path::new("mbox"), piece.message)?;
                }
            }
            Err(error) => job.fail(&file.path, &error),
        }
    }
    writeln!(out, "messages learned: {}", job.learned)?;
    Ok(if job.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

struct Job<'c> {
    service: Service<'c>,
    path: &'c str,
    mail: &'c Mail,
    learned: u64,
    failed: bool,
}

impl Job<'_> {
    fn fail(&mut self, path: &Path, error: &dyn std::fmt::Display) {
        self.failed = true;
        complain(format_args!("{}: {error}", clean(&path.display().to_string())));
    }

    fn read(&mut self, path: &Path, read: Result<Vec<u8>, ReadError>) -> Result<(), Error> {
        match read {
            Ok(bytes) => {
                let calendar =
                    mailbox::is_calendar(path).then_some(("Content-Type", "text/calendar"));
                self.post(&calendar.into_iter().collect::<Vec<_>>(), &bytes)
            }
            Err(error) => {
                self.fail(path, &error);
                Ok(())
            }
        }
    }

    fn post(&mut self, headers: &[(&str, &str)], body: &[u8]) -> Result<(), Error> {
        let user = self.mail.user.as_deref().map(|user| ("User", user));
        let headers = headers.iter().copied().chain(user).collect();
        let request = Request { method: "POST", path: self.path, headers, body };
        self.learned += count(&self.service.json(&request)?);
        Ok(())
    }
}

/// What a reply says of how many it was about.
pub(super) fn count(reply: &Value) -> u64 {
    reply.get("count").and_then(Value::as_u64).unwrap_or(0)
}

fn learn_contacts(
    contacts: &Contacts,
    config: &Config,
    service: &Service<'_>,
    out: &mut dyn Write,
) -> Result<ExitCode, Error> {
    let body = match scan::read_input(&contacts.file, config.http.max_message) {
        Ok(body) => body,
        Err(error) => {
            complain(format_args!("{}: {error}", contacts.file.display()));
            return Ok(ExitCode::FAILURE);
        }
    };
    let headers = vec![("User", contacts.user.as_str())];
    let request = Request { method: "POST", path: "/learncontacts", headers, body: &body };
    writeln!(out, "contacts learned: {}", count(&service.json(&request)?))?;
    Ok(ExitCode::SUCCESS)
}
