//! `calspamd docs`: the manual, shell completions and the page on metrics, for packages and for
//! `docs/`.
//!
//! Comes in: the command line as clap knows it, and the declared metrics. Goes out: files and
//! text, the same for the same version.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Subcommand};
use clap_complete::Shell;

use super::{Arguments, Error};
use crate::lists::AskResult;
use crate::metrics::Metrics;

/// What stands below the options in the manual.
const MORE: &str = "Exit status: 0 all went well; 1 something could not be done, such as a file \
that cannot be read or a port that is taken; 2 the operator has to mend something first.

Files: /etc/calspamd/calspamd.toml, the configuration; /etc/calspamd/rules, rules of the site; \
/var/lib/calspamd, what is remembered.

Environment: CALSPAMD_SECTION__KEY goes before a setting of the file; CALSPAMD_LOG has finer \
directives for the log; NO_COLOR switches colours off.

Signals: SIGHUP has rules, lists and settings read again, all of them or, with a mistake, none; \
SIGTERM and SIGINT end the service when the scans going on are finished.";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write manual pages into a directory
    Man {
        /// Where to
        directory: PathBuf,
    },
    /// Print completions for a shell
    Completions {
        /// Which one
        shell: Shell,
    },
    /// Print the page on metrics (docs/metrics.md)
    Metrics,
}

pub(super) fn run(command: &Command, out: &mut dyn Write) -> Result<ExitCode, Error> {
    match command {
        Command::Man { directory } => {
            let command = Arguments::command().after_help(MORE);
            clap_mangen::generate_to(command, directory)
                .map_err(|source| Error::Write { path: directory.clone(), source })?;
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "calspamd", &mut text);
            out.write_all(&text)?;
        }
        Command::Metrics => out.write_all(metrics()?.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The page on metrics.
fn metrics() -> Result<String, Error> {
    let metrics = Metrics::new()?;
    let mut page = String::from(
        "<!-- Written by `calspamd docs metrics`. -->\n\n# Metrics\n\n\
         `GET /metrics` answers in Prometheus' text format.\n\
         Every series is there from the start, with 0, but for those of DNS lists, which are there \
         where lists are asked.\n\
         Label values come from closed lists: no message can make a new series.\n\
         Scrape configuration, rules, alerts and a dashboard: [`deploy/`](../deploy/README.md).\n\n\
         | metric | type | labels | meaning |\n|---|---|---|---|\n",
    );
    let mut labels = String::new();
    for metric in Metrics::documentation() {
        let names: Vec<String> = metric.labels.iter().map(code).collect();
        row(&mut page, &[&code(metric.name), metric.kind, &names.join(", "), metric.help]);
        for label in metric.labels {
            let known = metrics.values(metric.name, label);
            let values = match *label {
                "symbol" => "the symbols that rules in force can give".to_owned(),
                "list" => "the DNS lists that rules ask".to_owned(),
                "version" => "that of the program".to_owned(),
                // There is no series before there is a list.
                "result" if known.is_empty() => listed(AskResult::ALL.map(AskResult::name)),
                _ => listed(known),
            };
            row(&mut labels, &[&code(metric.name), &code(label), &values]);
        }
    }
    page.push_str("\n## Labels\n\n| metric | label | values |\n|---|---|---|\n");
    page.push_str(&labels);
    Ok(page)
}

fn row(page: &mut String, cells: &[&str]) {
    page.push_str("| ");
    page.push_str(&cells.join(" | "));
    page.push_str(" |\n");
}

fn code(text: impl std::fmt::Display) -> String {
    format!("`{text}`")
}

fn listed(values: impl IntoIterator<Item = impl std::fmt::Display>) -> String {
    let values: Vec<String> = values.into_iter().map(code).collect();
    values.join(", ")
}
