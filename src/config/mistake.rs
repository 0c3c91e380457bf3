//! What is wrong with a configuration, where it stands, and what to write instead.
//!
//! Comes in: what the reader of TOML says of a file. Goes out: an [`Error`] for people.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::server;

/// A mistake in a file, with everything needed to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key: `http.listen`; empty where there is none.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line itself.
    pub source: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.path.display(), self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if !self.source.trim().is_empty() {
            write!(f, "\n    {}", self.source.trim_end())?;
        }
        f.write_str(&advice(self.hint.as_deref()))
    }
}

fn advice(hint: Option<&str>) -> String {
    hint.map(|hint| format!("\n  hint: {hint}")).unwrap_or_default()
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in the file makes no sense.
    #[error("{0}")]
    File(Box<Mistake>),
    /// An environment variable makes no sense.
    #[error("environment: {variable}: {message}{}", advice(.hint.as_deref()))]
    Environment {
        /// Its name.
        variable: String,
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Other machines could connect, and nothing guards the service.
    #[error(
        "http.listen: other machines can connect to {0}, and the service asks nobody for a \
         password\n  hint: listen on 127.0.0.1 or a Unix socket, set `password` in [http], or \
         `insecure = true` where a firewall guards the port"
    )]
    Public(server::Address),
    /// spamd's protocol, too, is open to the world.
    #[error(
        "spamd.listen: other machines can connect to {0}, and nobody is named who may\n  hint: listen \
         on 127.0.0.1, or name them in spamd.allowed_ips"
    )]
    PublicSpamd(server::Address),
}

/// Splits what a value says about itself from the advice behind it.
pub(super) fn message_and_hint(message: &str) -> (String, Option<String>) {
    if let Some((message, hint)) = message.split_once('\n') {
        return (message.to_owned(), Some(hint.to_owned()));
    }
    match message.strip_prefix("unknown field ").and_then(|rest| rest.split_once(", expected ")) {
        Some((key, known)) => {
            let known = known.strip_prefix("one of ").unwrap_or(known);
            (format!("unknown key {key}"), Some(format!("known here: {known}")))
        }
        None => (message.to_owned(), None),
    }
}

pub(super) fn mistake(path: &Path, text: &str, error: &toml::de::Error) -> Mistake {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or(text);
    let line = before.matches('\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    let source = text.lines().nth(line).unwrap_or_default();
    let (message, hint) = message_and_hint(error.message());
    Mistake {
        path: path.to_owned(),
        line: line + 1,
        column: column + 1,
        key: key_at(text, line),
        message,
        hint,
        source: source.to_owned(),
    }
}

/// The dotted key that a line belongs to, for lines of the forms `[section]` and `key = value`.
fn key_at(text: &str, line: usize) -> String {
    let mut section = "";
    let mut key = "";
    for text in text.lines().take(line + 1).map(str::trim) {
        if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            (section, key) = (name.trim_matches('['), "");
        } else if let Some((name, _)) = text.split_once('=') {
            key = name.trim();
        }
    }
    let names: Vec<&str> = [section, key].into_iter().filter(|name| !name.is_empty()).collect();
    names.join(".")
}
