//! `calspamd password`: makes the hash of a password, for the configuration.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use super::Error;
use crate::server;

/// Longest password read.
const LONGEST: u64 = 1024;

pub(super) fn run(out: &mut dyn Write) -> Result<ExitCode, Error> {
    // Nothing on the command line: others would see it in the list of processes.
    if io::IsTerminal::is_terminal(&io::stdin()) {
        super::complain("write the password and end the line; it is shown as you write");
    }
    let mut line = String::new();
    io::Read::take(io::stdin().lock(), LONGEST).read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Error::NoPassword);
    }
    writeln!(out, "{}", server::hash(password))?;
    Ok(ExitCode::SUCCESS)
}
