//! `calspamd report`: writes abuse reports about mails. Nothing is sent.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::scan::{Envelope, read_input};
use super::terminal::clean;
use super::{Error, complain};
use crate::config::Config;
use crate::protocol::arf::{self, Options, Sort};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Mails or calendar files; - is the standard input
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// What it is: abuse, fraud, virus, not-spam or other
    #[arg(long = "type", value_name = "TYPE", default_value = "abuse", value_parser = sort)]
    sort: Sort,
    /// Your mail address, where questions go
    #[arg(long, value_name = "ADDRESS")]
    reporter: Option<String>,
    /// Leave recipients' names and addresses in it
    #[arg(long)]
    no_redact: bool,
    /// One JSON object a line, with the report and where to send it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    envelope: Envelope,
}

fn sort(text: &str) -> Result<Sort, String> {
    Sort::parse(text).ok_or_else(|| format!("write {}", Sort::ALL.map(Sort::name).join(", ")))
}

pub(super) fn run(
    arguments: &Arguments,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitCode, Error> {
    let mut options =
        Options { sort: arguments.sort, redact: !arguments.no_redact, ..Options::default() };
    if let Some(reporter) = &arguments.reporter {
        options.reporter.clone_from(reporter);
    }
    let mut code = ExitCode::SUCCESS;
    for path in &arguments.paths {
        let bytes = match read_input(path, config.http.max_message) {
            Ok(bytes) => bytes,
            Err(error) => {
                complain(format_args!("{}: {error}", clean(&path.display().to_string())));
                code = ExitCode::FAILURE;
                continue;
            }
        };
        write(path, &bytes, arguments, &options, config, out)?;
    }
    Ok(code)
}

fn write(
    path: &Path,
    bytes: &[u8],
    arguments: &Arguments,
    options: &Options,
    config: &Config,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let request = arguments.envelope.request(path, bytes, &config.scan);
    let report = arf::report(bytes, &request, &config.scan, options, &arf::pseudonym, &[]);
    if arguments.json {
        out.write_all(&arf::answer(&report, options))?;
        out.write_all(b"\n")?;
        return Ok(());
    }
    out.write_all(&report.mail)?;
    for one in &report.send_to {
        let sure = if one.verified { "" } else { " (not verified)" };
        complain(format_args!("send it to {}?{sure}", clean(&one.address)));
    }
    Ok(())
}
