//! The command line: subcommands, their options, and how they end.
//!
//! Comes in: arguments. Goes out: text on the standard output, trouble on the standard error,
//! and an exit code: 0 when all went well, 1 when something could not be done (a file that
//! cannot be read, a port that is taken), 2 when the operator has to mend something first.
//! Not an error: a reader of the output that goes away.
//!
//! The only module that knows clap, its generators of manuals and completions, and indicatif.

mod arf;
mod docs;
mod errors;
mod facts;
mod health;
mod keypair;
mod learn;
mod mass_check;
mod progress;
mod lists;
mod log;
mod password;
mod report;
mod rescore;
mod rules;
mod scan;
mod serve;
mod service;
mod store;
mod terminal;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::authentication::Authenticator;
use crate::config::{self, Config};
use crate::mass_check::LogError;
use crate::rules::Diagnostic;
use crate::scan::Settings;
use crate::server::Address;
use crate::site::{self, Site};
use crate::{metrics, server};
use terminal::Paint;

/// Scans invitations for calendar spam.
#[derive(Debug, Parser)]
#[command(name = "calspamd", version, about, long_about = None)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options that every subcommand takes.
#[derive(Debug, Clone, Args)]
struct Common {
    /// Configuration file [default: /etc/calspamd/calspamd.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory with rules, in place of the configured ones; may be repeated
    #[arg(long, global = true, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// Ask no DNS list
    #[arg(long, global = true)]
    no_dns: bool,
    /// Leave out the built-in rules
    #[arg(long, global = true)]
    no_stock_rules: bool,
    /// Directory of the service's state
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    #[arg(long, global = true, value_name = "ADDR")]
    #[arg(help = "Address of the HTTP service: IP:PORT or unix:/PATH")]
    http: Option<Address>,
    #[arg(long, global = true, value_name = "ADDR")]
    #[arg(help = "Address of spamd's protocol: IP:PORT or unix:/PATH")]
    spamd: Option<Address>,
    /// Use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer scan requests over HTTP (what calspamd does without a subcommand)
    Serve,
    /// Scan files and directories
    Scan(scan::Arguments),
    /// Show what rules can ask about a message
    Facts(facts::Arguments),
    /// Write abuse reports about mails (ARF); nothing is sent
    Report(arf::Arguments),
    /// Scan labelled mail and count what hits it
    MassCheck(mass_check::Arguments),
    /// Propose scores, from logs of mass-checks
    Rescore(rescore::Arguments),
    /// Look at the rules
    #[command(subcommand)]
    Rules(rules::Command),
    /// Look at the DNS lists
    #[command(subcommand)]
    Lists(lists::Command),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make a pair of keys for Rspamd's encrypted transport
    Keypair(keypair::Arguments),
    /// Ask a running service whether it is well
    Health,
    /// Make the hash of a password, which is read from the standard input
    Password,
    /// Tell a running service what users say of their mail
    #[command(subcommand)]
    Learn(learn::Command),
    /// Look at what a running service remembers
    #[command(subcommand)]
    Store(store::Command),
    /// Write manual pages, completions and reference pages
    #[command(subcommand)]
    Docs(docs::Command),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check the configuration and the rules
    Check {
        /// Print the effective configuration
        #[arg(long)]
        print: bool,
    },
}

/// Why a subcommand ended early.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Config(#[from] config::Error),
    #[error("{0}")]
    Keys(#[from] server::keys::Error),
    #[error("{0}")]
    Site(#[from] site::Error),
    #[error("{0}")]
    Files(#[from] rules::ReadError),
    #[error("the rules cannot be used\n{}", rules::text(.0))]
    Rules(Vec<Diagnostic>),
    #[error("there is no rule {name}{}", .guess.as_ref().map(|guess| format!("\n  hint: did you mean {guess}?")).unwrap_or_default())]
    NoRule { name: String, guess: Option<String> },
    #[error("{0}")]
    Page(#[from] rules::PageError),
    #[error("CALSPAMD_LOG: {0}")]
    LogFilter(String),
    #[error("{0}")]
    Metrics(#[from] metrics::Error),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: Address, source: io::Error },
    #[error("cannot use the sockets handed over: {0}")]
    Sockets(io::Error),
    #[error(
        "a socket for {0} was handed over, and nothing is to be served there\n  hint: let http.listen or spamd.listen name that address, or take it out of calspamd.socket"
    )]
    Unclaimed(Address),
    #[error("{0}")]
    Serve(io::Error),
    #[error("the service at {address} is not well: {reason}")]
    NotWell { address: Address, reason: String },
    #[error("{}: {source}", .path.display())]
    Log { path: PathBuf, source: LogError },
    #[error("{0}")]
    Rescore(#[from] crate::rescore::Error),
    #[error("cannot write {}: {source}", .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} was not written by calspamd rescore, and is left alone", .0.display())]
    NotOurs(PathBuf),
    #[error("{0}")]
    Dns(#[from] crate::lists::Error),
    #[error("{0}")]
    Reputation(#[from] crate::reputation::Error),
    #[error("there is no password on the standard input")]
    NoPassword,
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_)
            | Self::Keys(_)
            | Self::Site(_)
            | Self::Files(_)
            | Self::Rules(_)
            | Self::NoRule { .. }
            | Self::Page(_)
            | Self::NotOurs(_)
            | Self::NoPassword
            | Self::Reputation(_)
            | Self::Unclaimed(_)
            | Self::LogFilter(_) => ExitCode::from(2),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Metrics(_)
            | Self::Listen { .. }
            | Self::Sockets(_)
            | Self::Serve(_)
            | Self::NotWell { .. }
            | Self::Log { .. }
            | Self::Rescore(_)
            | Self::Write { .. }
            | Self::Dns(_)
            | Self::Output(_) => ExitCode::FAILURE,
        }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            if !matches!(&error, Error::Output(e) if e.kind() == io::ErrorKind::BrokenPipe) {
                complain(&error);
            }
            error.exit_code()
        }
    }
}

/// Says something on the standard error. Where that is gone too there is nobody to tell.
fn complain(what: impl std::fmt::Display) {
    drop(writeln!(io::stderr().lock(), "calspamd: {what}"));
}

fn run(arguments: Arguments) -> Result<ExitCode, Error> {
    let common = arguments.common;
    let command = arguments.command.unwrap_or(Command::Serve);
    // A password has to be made before it can stand in a file.
    let mut config = if matches!(command, Command::Password) {
        Config::parse(Path::new(config::DEFAULT_PATH), "", [])?
    } else {
        configuration(&common)?
    };
    let asks_service = matches!(command, Command::Health | Command::Learn(_) | Command::Store(_));
    if !asks_service && !matches!(command, Command::Rules(_)) {
        config.scan.site = Site::open(config.site.clone())?;
    }
    let paint = Paint::new(common.color);
    let out = &mut io::BufWriter::new(io::stdout().lock());
    let code = match command {
        Command::Serve => serve::run(&common, config)?,
        Command::Scan(arguments) => {
            if let Err(error) = start_dns(&config.dns, &Settings::default(), &mut config.scan) {
                complain(error);
            }
            scan::run(&arguments, &common, &config, paint, out)?
        }
        Command::Facts(arguments) => facts::run(&arguments, &config, paint, out)?,
        Command::Report(arguments) => arf::run(&arguments, &config, out)?,
        Command::MassCheck(arguments) => mass_check::run(&arguments, &common, &config, paint, out)?,
        Command::Rescore(arguments) => rescore::run(&arguments, &common, &config, paint, out)?,
        Command::Rules(command) => rules::run(&command, &common, &config, paint, out)?,
        Command::Lists(command) => lists::run(&command, &common, &config, paint, out)?,
        Command::Config(ConfigCommand::Check { print }) => check(print, &common, &config, out)?,
        Command::Keypair(arguments) => keypair::run(&arguments, out)?,
        Command::Health => health::run(&config.http, out)?,
        Command::Password => password::run(out)?,
        Command::Learn(command) => learn::run(&command, &config, out)?,
        Command::Store(command) => store::run(&command, &config.http, out)?,
        Command::Docs(command) => docs::run(&command, out)?,
    };
    out.flush()?;
    Ok(code)
}

/// Reads the configuration: the file, the environment over it, and the command line over both.
fn configuration(common: &Common) -> Result<Config, config::Error> {
    let mut config = Config::read(common.config.as_deref(), config::variables())?;
    if let Some(address) = &common.http {
        config.http.listen = address.clone();
    }
    if let Some(address) = &common.spamd {
        config.spamd.listen = Some(address.clone());
        config.spamd_is_named = true;
    }
    if let Some(directory) = &common.state {
        config.reputation.state.clone_from(directory);
    }
    if common.no_dns {
        config.dns.enabled = false;
    }
    Ok(config)
}

/// Lets scans ask DNS, where the settings say so: lists, and who sent a message. What was answered
/// to those `before` is kept while the same resolvers are asked.
fn start_dns(
    settings: &crate::lists::Settings,
    before: &Settings,
    scan: &mut Settings,
) -> Result<(), crate::lists::Error> {
    scan.lists = before.lists.under(settings)?;
    // Both share the time of a scan; lists get what verification leaves, half at least.
    let budget = settings.budget.div_f32(2.0);
    let known = before.authentication.as_ref().filter(|_| scan.lists.shares(&before.lists));
    scan.authentication = match known {
        Some(known) => Some(known.within(budget)),
        None => scan
            .lists
            .resolver()
            .map(|(resolver, runtime)| Authenticator::new(resolver, runtime, budget)),
    };
    Ok(())
}

/// Checks all that `serve` would check before it binds a port.
fn check(
    print: bool,
    common: &Common,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitCode, Error> {
    config.check_address()?;
    let public_key = server::keys::check(&config.http, &config.spamd)?;
    let loaded = rules::load(common, config)?;
    rules::warn(&loaded.diagnostics);
    if print {
        out.write_all(config.print().as_bytes())?;
    } else {
        writeln!(out, "ok, symbols: {}", loaded.rules.symbols().count())?;
        if let Some(key) = public_key {
            writeln!(out, "public key: {key}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The time, for scans that are not told one.
fn now() -> i64 {
    server::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn options_are_declared_without_contradiction() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_may_stand_before_and_behind_the_subcommand() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' '));
        assert!(parse("calspamd").unwrap().command.is_none());
        let arguments = parse("calspamd --http 127.0.0.1:1 --rules a --rules b").unwrap();
        assert_eq!(arguments.common.http, "127.0.0.1:1".parse().ok());
        assert_eq!(arguments.common.rules.len(), 2);
        let arguments = parse("calspamd serve --http unix:/a --color never").unwrap();
        assert!(matches!(arguments.command, Some(Command::Serve)));
        assert_eq!(arguments.common.color, Color::Never);
        assert!(parse("calspamd --http nowhere").is_err());
        assert!(parse("calspamd scan").is_err());
        assert!(parse("calspamd scan - --now yesterday").is_err());
        assert!(parse("calspamd scan a b --now 2026-11-20T10:00:00Z --policy never").is_ok());
    }
}
