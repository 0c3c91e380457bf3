//! The rules in force, and their replacement while the service runs.
//!
//! Comes in: a function that reads the rules as their files are now. Goes out: the new set in
//! the place of the old one, and keys and certificates with it, or why the old ones stay.
//! Not an error: scans going on. They keep the set that they began with.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use actix_web::web;
use tokio::signal::unix::{SignalKind, signal};

use super::State;
use super::host::{self, Condition};
use super::keys::{self, Renewal};
use crate::metrics::HitCounters;
use crate::protocol::rspamd::ListedSymbol;
use crate::rules::{Diagnostic, Loaded, RuleSet};

/// Rules, and what else changes when they do.
pub(super) struct Current {
    pub(super) rules: RuleSet,
    /// The listing of symbols.
    pub(super) symbols: Vec<ListedSymbol>,
    pub(super) hits: HitCounters,
}

impl Current {
    pub(super) fn new(rules: RuleSet, hits: HitCounters) -> Self {
        let listed = |symbol: &crate::rules::Symbol| ListedSymbol {
            name: symbol.name.to_string(),
            group: symbol.group.as_deref().map(str::to_owned),
            score: symbol.score,
            description: symbol.description.as_deref().map(str::to_owned),
        };
        let symbols = rules.symbols().map(listed).collect();
        Self { rules, symbols, hits }
    }
}

/// Why rules were not replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// They have mistakes.
    Rules(Vec<Diagnostic>),
    /// They cannot be read; says which file, and why.
    Files(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(diagnostics) => {
                for (index, diagnostic) in diagnostics.iter().enumerate() {
                    let gap = if index == 0 { "" } else { "\n\n" };
                    write!(f, "{gap}{diagnostic}")?;
                }
                Ok(())
            }
            Self::Files(error) => f.write_str(error),
        }
    }
}

/// What a reload came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// Number of symbols.
    pub symbols: usize,
    /// What looks wrong in the files.
    pub warnings: Vec<Diagnostic>,
}

/// Reads the rules as their files are now.
pub type Source = Box<dyn Fn() -> Result<Loaded, Refusal> + Send + Sync>;

impl State {
    /// Reads the rules again and puts them in the place of the old ones, all or nothing. Two
    /// reloads at once come one after the other, so that the newest files win.
    ///
    /// `None` when nobody said where rules come from.
    pub fn reload(&self) -> Option<Result<Reloaded, Refusal>> {
        let source = self.source.as_ref()?;
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        // A manager that has heard of the end must not hear of a new beginning.
        let tell = |condition: Condition<'_>| {
            if !self.stopping.load(Ordering::Relaxed) {
                host::tell(condition);
            }
        };
        tell(Condition::Reloading);
        let result = self.renewals().and_then(|renewals| {
            let loaded = source()?;
            for renewal in renewals {
                renewal();
            }
            Ok(self.replace(loaded))
        });
        self.metrics.reloaded(result.is_ok());
        let mut status = self.status();
        if result.is_err() {
            status.push_str("; the last reload has failed, these are the old ones");
        }
        tell(Condition::Ready(&status));
        match &result {
            Ok(reloaded) => {
                log(&reloaded.warnings);
                tracing::info!(
                    symbols = reloaded.symbols,
                    warnings = reloaded.warnings.len(),
                    "rules reloaded"
                );
            }
            Err(refusal) => {
                match refusal {
                    Refusal::Rules(diagnostics) => log(diagnostics),
                    Refusal::Files(error) => tracing::error!("rules: {error}"),
                }
                tracing::error!("rules not reloaded, the old ones stay in force");
            }
        }
        Some(result)
    }

    /// What the service does, in a line for people.
    pub(super) fn status(&self) -> String {
        format!("scanning with {} symbols", self.current.load().symbols.len())
    }

    /// Keys and certificates as their files are now, to be put into force.
    fn renewals(&self) -> Result<Vec<Renewal>, Refusal> {
        let renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        let renewals = renewed.iter().map(|one| Arc::clone(one).renew());
        let renewals: Result<_, _> = renewals.collect();
        renewals.map_err(|error: keys::Error| Refusal::Files(error.to_string()))
    }

    fn replace(&self, loaded: Loaded) -> Reloaded {
        self.settings.lists.announce(loaded.rules.lists());
        let before = self.current.load();
        let names: Vec<&str> = loaded.rules.symbols().map(|symbol| &*symbol.name).collect();
        let hits = self.metrics.announce(names, &before.hits);
        let current = Current::new(loaded.rules, hits);
        let symbols = current.symbols.len();
        self.current.store(Arc::new(current));
        Reloaded { symbols, warnings: loaded.diagnostics }
    }
}

/// Writes what is wrong with rule files into the log, a line each.
pub fn log(diagnostics: &[Diagnostic]) {
    use crate::rules::Severity;
    for diagnostic in diagnostics {
        let place = diagnostic.place();
        match diagnostic.severity {
            Severity::Warning => tracing::warn!(place, "rules: {}", diagnostic.message),
            Severity::Error => tracing::error!(place, "rules: {}", diagnostic.message),
        }
    }
}

/// Reloads whenever the process is told to (SIGHUP).
pub(super) async fn on_hangup(state: Arc<State>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return tracing::error!("cannot listen for SIGHUP; it will end the service");
    };
    while hangup.recv().await.is_some() {
        let state = Arc::clone(&state);
        if web::block(move || state.reload()).await.is_err() {
            tracing::error!("rules not reloaded, the old ones stay in force");
        }
    }
}
