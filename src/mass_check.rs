//! Scans labelled mail, spam and ham apart, and says how the rules and their scores do on it.
//!
//! Comes in: listed files with their class, rules and settings. Goes out: what hit each
//! message, in the order of the files whatever the number of threads, and from that
//! SpamAssassin's table of hit frequencies, its summary of mistakes and its logs.
//! Not an error: a message that cannot be read or scanned; it is kept with the reason.
//!
//! Stored mail is judged as on the day it came, see [`delivery`].

pub mod delivery;
mod frequencies;
mod log;
mod summary;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::mailbox::{self, File, Mbox, Opened, ReadError};
use crate::rules::{EvidenceScope, RuleSet};
use crate::scan;

pub use delivery::Clock;
pub use frequencies::{Frequencies, Row};
pub use log::{Entry, Log, LogError, write};
pub(crate) use summary::ratio;
pub use summary::{LAMBDA, Summary};

/// What somebody has said a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Unwanted.
    Spam,
    /// Wanted.
    Ham,
}

impl Class {
    /// `spam`, `ham`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spam => "spam",
            Self::Ham => "ham",
        }
    }
}

/// Why there is nothing to say of a message.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// It could not be read.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// The scan failed.
    #[error("the scan failed: this is a mistake in calspamd, please report it")]
    Panicked,
}

/// A message that was not scanned.
#[derive(Debug)]
pub struct Unread {
    /// The file, for a message of an mbox with its offset.
    pub name: String,
    /// Why.
    pub reason: Reason,
}

/// A scanned message.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// What it is said to be.
    pub class: Class,
    /// The file, for a message of an mbox with its offset.
    pub name: String,
    /// It stood in an mbox.
    pub in_mbox: bool,
    /// When it came, seconds since 1970.
    pub time: i64,
    /// The answer's score.
    pub score: f64,
    /// Symbols that hit, by name.
    pub symbols: Vec<Arc<str>>,
    /// It has a calendar part.
    pub has_calendar: bool,
    /// Not all of it was looked at.
    pub partial: bool,
}

/// What to do it with.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The rules.
    pub rules: &'a RuleSet,
    /// Settings of a scan.
    pub scan: &'a scan::Settings,
    /// Which evidence counts.
    pub scope: EvidenceScope,
    /// Time of the scans.
    pub clock: Clock,
    /// Largest message, in bytes.
    pub max_message: usize,
    /// Scans at a time.
    pub jobs: usize,
}

/// All messages.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Those scanned.
    pub checked: Vec<Checked>,
    /// Those not.
    pub unread: Vec<Unread>,
}

/// A message on its way to a thread.
struct Work<'a> {
    place: Place,
    file: &'a File,
    class: Class,
    message: Source,
}

/// Where a message stands: index of the file, and offset in an mbox.
type Place = (usize, Option<u64>);

enum Source {
    File(mailbox::Message),
    Read(Result<Vec<u8>, ReadError>),
}

/// Scans every message of the files.
///
/// `progress` is told the bytes that are done with, from any thread.
pub fn run(
    files: &[(Class, File)],
    settings: &Settings<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> Outcome {
    let jobs = settings.jobs.max(1);
    // Few: each may hold a message of the largest size.
    let (sender, receiver) = sync_channel(jobs);
    let receiver = Mutex::new(receiver);
    let mut results: Vec<(Place, Result<Checked, Unread>)> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..jobs).map(|_| scope.spawn(|| work_off(&receiver, settings, progress))).collect();
        for (index, (class, file)) in files.iter().enumerate() {
            if !hand_out(index, *class, file, settings.max_message, &sender, progress) {
                break;
            }
        }
        drop(sender);
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    });
    results.sort_by_key(|(place, _)| *place);
    let mut outcome = Outcome::default();
    for (_, result) in results {
        match result {
            Ok(checked) => outcome.checked.push(checked),
            Err(unread) => outcome.unread.push(unread),
        }
    }
    outcome
}

/// Sends the messages of a file; false when nobody takes them any more.
fn hand_out<'a>(
    index: usize,
    class: Class,
    file: &'a File,
    limit: usize,
    sender: &SyncSender<Work<'a>>,
    progress: &(dyn Fn(u64) + Sync),
) -> bool {
    let send = |at, message| sender.send(Work { place: (index, at), file, class, message }).is_ok();
    match mailbox::open(&file.path, limit) {
        Ok(Opened::Message(message)) => send(None, Source::File(message)),
        Ok(Opened::Mbox(mut mbox)) => {
            let mut before = 0;
            while let Some(piece) = mbox.next() {
                progress(Mbox::offset(&mbox).saturating_sub(before));
                before = mbox.offset();
                if !send(Some(piece.at), Source::Read(piece.message)) {
                    return false;
                }
            }
            true
        }
        Err(error) => send(None, Source::Read(Err(error))),
    }
}

fn work_off(
    receiver: &Mutex<Receiver<Work<'_>>>,
    settings: &Settings<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> Vec<(Place, Result<Checked, Unread>)> {
    let mut results = Vec::new();
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return results };
        let (place, file) = (work.place, work.file);
        let result = check(work, settings);
        if place.1.is_none() {
            progress(file.size);
        }
        results.push((place, result));
    }
}

fn check(work: Work<'_>, settings: &Settings<'_>) -> Result<Checked, Unread> {
    let path = &work.file.path;
    let name = mailbox::name(path, work.place.1);
    let read = match work.message {
        Source::File(message) => message.read(settings.max_message),
        Source::Read(read) => read,
    };
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) => return Err(Unread { name, reason: error.into() }),
    };
    let in_mbox = work.place.1.is_some();
    let bare = !in_mbox && mailbox::is_calendar(path);
    // Without a time of its own a mail is as old as its file: the same in every run.
    let clock = match settings.clock {
        Clock::At(time) => Clock::At(time),
        Clock::Mail(now) => Clock::Mail(work.file.modified.unwrap_or(now)),
    };
    // One message that we cannot take must not keep the others from being scanned.
    let scanned = catch_unwind(AssertUnwindSafe(|| {
        let mut request = delivery::request(&bytes, bare, clock, settings.scan);
        request.scope = settings.scope;
        (request.now, scan::scan(&bytes, &request, settings.rules, settings.scan))
    }));
    let Ok((time, outcome)) = scanned else {
        return Err(Unread { name, reason: Reason::Panicked });
    };
    let mut symbols: Vec<Arc<str>> =
        outcome.verdict.symbols.into_iter().map(|symbol| symbol.hit.symbol).collect();
    symbols.sort_unstable();
    Ok(Checked {
        class: work.class,
        name,
        in_mbox,
        time,
        score: outcome.verdict.score,
        symbols,
        has_calendar: outcome.has_calendar,
        partial: !outcome.partial.is_empty(),
    })
}
