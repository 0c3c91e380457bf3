//! `calspamd serve`: the long-running service, and its log.

use std::io;
use std::panic;
use std::process::ExitCode;
use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::errors::Keeper;
use super::{Common, Error, rules, terminal};
use crate::config::{Config, Format, Level, Log};
use crate::reputation::Reputation;
use crate::server::{self, Application, Errors, Refusal, State};

pub(super) fn run(common: &Common, config: Config) -> Result<ExitCode, Error> {
    config.check_address()?;
    let errors = Errors::default();
    start_log(&config.log, terminal::paints_errors(common.color), &errors)?;
    hide_panic_messages();
    server::keys::check(&config.http, &config.spamd)?;

    let source = rules::Source::new(common, &config);
    let loaded = source.load()?;
    server::log(&loaded.diagnostics);
    let again = move || source.load().map_err(refusal);
    let mut scan = config.scan;
    if let Err(error) = super::start_dns(&config.dns, &mut scan) {
        tracing::warn!("{error}; DNS is not asked");
    }
    let (reputation, warning) = Reputation::start(&config.reputation, Arc::new(server::now))?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    scan.reputation = reputation.clone();
    let state = State::new(loaded.rules, scan)?.with_source(Box::new(again));
    let mut state = state.with_errors(errors);
    state.verbose_ids = config.log.verbose_ids;
    let state = Arc::new(state);

    let address = config.http.listen.clone();
    let mut application = Application::build(config.http, state)
        .map_err(|source| Error::Listen { address, source })?;
    add_spamd(&mut application, config.spamd, config.spamd_is_named)?;
    let served = application.serve(server::stop_signal()).map_err(Error::Serve);
    reputation.stop();
    served?;
    Ok(ExitCode::SUCCESS)
}

/// Listens for spamd's protocol too. The default address may be taken by another service on the
/// same machine: HTTP is served all the same.
fn add_spamd(
    application: &mut Application,
    settings: server::spamd::Settings,
    is_named: bool,
) -> Result<(), Error> {
    let address = settings.listen.clone();
    match (application.add_spamd(settings), address) {
        (Err(source), Some(address)) if is_named => Err(Error::Listen { address, source }),
        (Err(error), _) => {
            tracing::warn!(%error, "spamd's protocol is not served: its address is taken");
            Ok(())
        }
        (Ok(()), _) => Ok(()),
    }
}

/// Why rules cannot be read again, as the server tells it.
fn refusal(error: Error) -> Refusal {
    if let Error::Rules(diagnostics) = error {
        return Refusal::Rules(diagnostics);
    }
    Refusal::Files(error.to_string())
}

fn start_log(log: &Log, colour: bool, errors: &Errors) -> Result<(), Error> {
    let filter = match (&log.filter, log.level) {
        (Some(directives), _) => {
            EnvFilter::try_new(directives).map_err(|error| Error::LogFilter(error.to_string()))?
        }
        (None, Level::Trace) => EnvFilter::new("trace"),
        (None, Level::Off) => EnvFilter::new("off"),
        // The libraries' own stories are of use to those who ask for everything. That of
        // actix-http is an error for each client that speaks no HTTP.
        (None, level) => EnvFilter::new(format!("error,actix_http=off,calspamd={}", level.name())),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(colour)
        .with_target(false)
        .with_writer(io::stderr);
    let lines = match log.format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    let kept = tracing_subscriber::registry().with(filter).with(lines).with(Keeper(errors.clone()));
    // A log that is there already was started by a test around us.
    drop(kept.try_init());
    Ok(())
}

/// A panic's message may quote the mail it happened in; the log gets the place in our code.
fn hide_panic_messages() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: this is a mistake in calspamd, please report it");
    }));
}
