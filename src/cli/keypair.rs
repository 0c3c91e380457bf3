//! `calspamd keypair`: keys for Rspamd's `HTTPCrypt`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Error;
use crate::server::keys::KeyPair;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Write the pair to a new file that nobody else can read, and show the public key alone
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<ExitCode, Error> {
    let pair = KeyPair::generate().map_err(io::Error::other)?;
    match &arguments.output {
        None => out.write_all(pair.write().as_bytes())?,
        Some(path) => {
            // A pair that is there already has been handed to others.
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            file.and_then(|mut file| file.write_all(pair.write().as_bytes()))
                .map_err(|source| Error::Write { path: path.clone(), source })?;
            writeln!(out, "{}", pair.public())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
