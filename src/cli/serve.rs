//! `calspamd serve`: the long-running service.

use std::process::ExitCode;
use std::sync::Arc;

use super::{Common, Error, log, rules};
use crate::config::Config;
use crate::reputation::Reputation;
use crate::server::{self, Application, Errors, Refusal, State, host};

/// Files that are open beside connections: the store, questions to DNS lists, the runtime's own.
const OTHER_FILES: u64 = 1_024;

pub(super) fn run(common: &Common, config: Config) -> Result<ExitCode, Error> {
    config.check_address()?;
    let errors = Errors::default();
    log::start(&config.log, common.color, &errors)?;
    prepare_host(&config)?;
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
    if let Some(address) = host::unclaimed_socket() {
        return Err(Error::Unclaimed(address));
    }
    let served = application.serve(server::stop_signal()).map_err(Error::Serve);
    reputation.stop();
    served?;
    Ok(ExitCode::SUCCESS)
}

/// Takes over sockets that are bound already, and room for all connections.
fn prepare_host(config: &Config) -> Result<(), Error> {
    host::receive_sockets().map_err(Error::Sockets)?;
    let connections = config.http.connections + config.spamd.connections;
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let limit = host::raise_open_files(wanted);
    if limit < wanted {
        tracing::warn!(limit, wanted, "few files may be open: raise the limit (LimitNOFILE=)");
    }
    Ok(())
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
