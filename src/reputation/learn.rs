//! What becomes of a message: the judgement of the rules, and reports of users.

use std::time::Duration;

use super::seconds;
use super::store::{Change, Key, Member, Wins};

/// What the rules made of a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judgement {
    /// It is not even suspicious.
    pub clean: bool,
    /// A calendar may apply it: it is not forged.
    pub applies: bool,
    /// The recipient has never heard of the organizer; filled in by recalling.
    pub stranger: bool,
    /// Score.
    pub score: f64,
    /// Name of the action.
    pub action: &'static str,
}

/// What a user says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// It is spam.
    Spam,
    /// It is not.
    Ham,
    /// He takes back what he said.
    Forget,
}

/// Who reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reporter {
    /// A user: his address or login.
    User(String),
    /// Somebody who knows the administrator's password, and names no user.
    Administrator,
    /// Nobody said who; all of them together count as one.
    Unnamed,
}

impl Reporter {
    /// How much a fresh report weighs.
    const fn role(&self) -> u8 {
        match self {
            Self::Administrator => 3,
            Self::User(_) | Self::Unnamed => 1,
        }
    }
}

/// Users whose reports on one thing are kept.
const REPORTERS: usize = 200;

const SPAM: u8 = b'+';
const HAM: u8 = b'-';

/// The changes that keep a report.
pub(super) fn changes(
    targets: &[Key],
    reporter: Member,
    by: &Reporter,
    report: Report,
    at: i64,
    keep: Duration,
) -> Vec<Change> {
    let sign = match report {
        Report::Spam => SPAM,
        Report::Ham => HAM,
        Report::Forget => {
            let remove = |key: &Key| Change::Remove { key: *key, name: reporter };
            return targets.iter().map(remove).collect();
        }
    };
    let put = |key: &Key| Change::Put {
        key: *key,
        name: reporter,
        at,
        order: u128::from(u64::try_from(at.max(0)).unwrap_or(0)),
        wins: Wins::NotBelow,
        value: vec![sign, by.role()],
        most: REPORTERS,
        life: seconds(keep),
    };
    targets.iter().map(put).collect()
}

/// What a report weighs when it is fresh.
pub(super) fn weight(value: &[u8]) -> f64 {
    match value {
        [SPAM, role] => f64::from(*role),
        [HAM, role] => -f64::from(*role),
        _ => 0.0,
    }
}
