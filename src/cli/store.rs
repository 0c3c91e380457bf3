//! `calspamd store`: looks at the memory of a running service, moves it, and forgets.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::Error;
use super::learn::count;
use super::service::{Request, Service};
use super::terminal::clean;
use crate::server::Settings;

/// Octets of an import sent at a time.
const PIECE: usize = 4 << 20;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say how large it is
    Stats,
    /// Write everything out, a line an entry
    Export,
    /// Take over what export has written, with the same secret
    Import {
        /// The file
        file: PathBuf,
    },
    /// Forget whatever is about a mail address
    Purge {
        /// The address
        address: String,
    },
    /// Show where events came from
    Provenance {
        /// By the mail's Message-ID
        #[arg(long, value_name = "ID")]
        message_id: Option<String>,
        /// By an event's UID
        #[arg(long)]
        uid: Option<String>,
        /// By the organizer's address
        #[arg(long, value_name = "ADDRESS")]
        organizer: Option<String>,
    },
}

pub(super) fn run(
    command: &Command,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<ExitCode, Error> {
    let service = Service::new(settings);
    let ask = |method, path: &str, headers, body: &[u8]| {
        service.json(&Request { method, path, headers, body })
    };
    match command {
        Command::Stats => {
            let stats = ask("GET", "/calendar/store/stats", Vec::new(), b"")?;
            writeln!(out, "{}", print(&stats))?;
        }
        Command::Export => export(&service, out)?,
        Command::Import { file } => {
            let source = |source| Error::Write { path: file.clone(), source };
            let text = std::fs::read_to_string(file).map_err(source)?;
            let mut sum = 0;
            for piece in pieces(&text) {
                let reply = ask("POST", "/calendar/store/import", Vec::new(), piece.as_bytes())?;
                sum += count(&reply);
            }
            writeln!(out, "entries taken over: {sum}")?;
        }
        Command::Purge { address } => {
            let headers = vec![("Address", address.as_str())];
            let reply = ask("POST", "/calendar/store/purge", headers, b"")?;
            writeln!(out, "forgotten: {}", count(&reply))?;
        }
        Command::Provenance { message_id, uid, organizer } => {
            let headers = [("Message-ID", message_id), ("UID", uid), ("Organizer", organizer)];
            let headers = headers.into_iter();
            let headers = headers.filter_map(|(name, value)| Some((name, value.as_deref()?)));
            let reply = ask("GET", "/calendar/provenance", headers.collect(), b"")?;
            let records = reply.get("records").and_then(Value::as_array);
            for record in records.into_iter().flatten() {
                writeln!(out, "{}", clean(&record.to_string()))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Numbers, a line each.
fn print(stats: &Value) -> String {
    let text = |name: &str| match stats.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let mut lines: Vec<String> = ["store", "bytes", "max_bytes"]
        .iter()
        .map(|name| format!("{name}: {}", text(name)))
        .collect();
    let entries = stats.get("entries").and_then(Value::as_object);
    lines.extend(entries.into_iter().flatten().map(|(kind, count)| format!("{kind}: {count}")));
    lines.join("\n")
}

fn export(service: &Service<'_>, out: &mut dyn Write) -> Result<(), Error> {
    let request =
        Request { method: "GET", path: "/calendar/store/export", headers: Vec::new(), body: b"" };
    let reply = service.ask(&request).map_err(|error| service.not_well(error))?;
    if reply.status != 200 {
        let line = clean(&reply.line).into_owned();
        return Err(service.not_well(format!("it answers `{line}`")));
    }
    let mut last = String::new();
    for line in reply.lines() {
        last = line.map_err(|error| service.not_well(error))?;
        writeln!(out, "{last}")?;
    }
    // Without its last line an export is not whole.
    if last.starts_with("# end ") {
        return Ok(());
    }
    let reason = io::Error::new(io::ErrorKind::UnexpectedEof, "the export is cut off");
    Err(service.not_well(reason))
}

/// Pieces of a text that end with a line.
fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let start = text.floor_char_boundary(PIECE);
        let rest = text.get(start..).unwrap_or_default();
        let end = rest.find('\n').map_or(text.len(), |end| start + end + 1);
        let (piece, after) = text.split_at_checked(end)?;
        text = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_with_lines() {
        let text = "0123456789abcdef\n".repeat(600_000);
        let all: Vec<&str> = pieces(&text).collect();
        assert!(all.len() > 2 && all.iter().all(|piece| piece.ends_with('\n')));
        assert_eq!(all.concat(), text);
        assert_eq!(pieces("").count(), 0);
        assert_eq!(pieces("a").collect::<Vec<_>>(), ["a"]);
    }
}
