//! `calspamd serve`: the long-running service.

use std::process::ExitCode;
use std::sync::Arc;

use super::{Common, Error, log, rules};
use crate::config::{self, Config};
use crate::reputation::Reputation;
use crate::scan::Settings;
use crate::server::{self, Application, Changed, Errors, Fresh, Refusal, State, host};
use crate::site::{self, Site};

/// Files that are open beside connections: the store, questions to DNS lists, the runtime's own.
const OTHER_FILES: u64 = 1_024;

pub(super) fn run(common: &Common, config: Config) -> Result<ExitCode, Error> {
    config.check_address()?;
    let errors = Errors::default();
    let switch = log::start(&config.log, common.color, &errors)?;
    prepare_host(&config)?;
    server::keys::check(&config.http, &config.spamd)?;

    let loaded = rules::load(common, &config)?;
    server::log(&loaded.diagnostics);
    let again = Again { common: common.clone(), started: config.clone(), switch };
    let mut scan = config.scan;
    start_dns(&config.dns, &Settings::default(), &mut scan);
    let (reputation, warning) = Reputation::start(&config.reputation, Arc::new(server::now))?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    scan.reputation = reputation.clone();
    let state = State::new(loaded.rules, scan)?
        .with_source(Box::new(move |running| again.read(running).map_err(refusal)))
        .with_errors(errors)
        .with_verbose_ids(config.log.verbose_ids);
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

/// Without a resolver the service goes on.
fn start_dns(settings: &crate::lists::Settings, before: &Settings, scan: &mut Settings) {
    if let Err(error) = super::start_dns(settings, before, scan) {
        tracing::warn!("{error}; DNS is not asked");
    }
}

/// What a service began with, to read all of it again.
struct Again {
    common: Common,
    started: Config,
    switch: log::Switch,
}

impl Again {
    /// Reads and checks everything as the start does. Nothing has changed by that, and caches and
    /// the store of the `running` settings go on with the new ones.
    fn read(&self, running: &Settings) -> Result<Fresh, Error> {
        let written = super::configuration(&self.common)?;
        written.check_address()?;
        server::keys::check(&written.http, &written.spamd)?;
        let (config, waiting) = written.after(&self.started);
        // The address of the start may be open to more than the one that is written now.
        config.check_address()?;
        let filter = log::Filter::of(&config.log)?;
        let loaded = rules::load(&self.common, &config)?;
        let mut scan = config.scan;
        scan.site = Site::open(config.site)?;
        scan.reputation = running.reputation.under(&config.reputation);
        start_dns(&config.dns, running, &mut scan);
        let switch = self.switch.clone();
        let changed = Changed {
            http: config.http,
            spamd: config.spamd,
            scan,
            verbose_ids: config.log.verbose_ids,
            waiting,
            then: Box::new(move || switch.set(filter)),
        };
        Ok(Fresh { loaded, settings: Some(Box::new(changed)) })
    }
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

/// Why nothing can be read again, as the server tells it.
fn refusal(error: Error) -> Refusal {
    if let Error::Rules(diagnostics) = error {
        return Refusal::Rules(diagnostics);
    }
    let text = error.to_string();
    let cannot_be_read = matches!(
        error,
        Error::Config(config::Error::Read { .. })
            | Error::Site(site::Error::Read { .. })
            | Error::Files(_)
            | Error::Keys(_)
    );
    if cannot_be_read { Refusal::Files(text) } else { Refusal::Configuration(text) }
}

#[cfg(test)]
mod tests;
