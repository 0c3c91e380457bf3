//! Rules and settings are read again while the service runs.
//!
//! Comes in: a function that reads files as they are now. Goes out: a new [`Current`] in the place
//! of the old one, keys and certificates with it, or why the old one stays.
//! Not an error: scans going on. They keep what they began with.
//!
//! All that can fail comes first; from then on everything is put into force.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::current::{Current, Spamd, listing};
use super::host::{self, Condition};
use super::{Settings, State, keys, spamd};
use crate::rules::{Diagnostic, Loaded};
use crate::scan;

/// Characters of a mistake that a service manager is told.
const TOLD: usize = 200;

/// Why nothing was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The rules have mistakes.
    Rules(Vec<Diagnostic>),
    /// The configuration, or a file that it names, has a mistake; says where, and what to write.
    Configuration(String),
    /// A file cannot be read; says which one, and why.
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
            Self::Configuration(error) | Self::Files(error) => f.write_str(error),
        }
    }
}

impl From<keys::Error> for Refusal {
    fn from(error: keys::Error) -> Self {
        Self::Files(error.to_string())
    }
}

/// What a reload came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// Number of symbols.
    pub symbols: usize,
    /// What looks wrong in the files.
    pub warnings: Vec<Diagnostic>,
    /// Settings that were changed and have to wait for the next start.
    pub waiting: Vec<&'static str>,
}

impl Reloaded {
    /// What the settings have to wait for, if there are any.
    pub(super) fn note(&self) -> Option<String> {
        let names = self.waiting.join(", ");
        (!names.is_empty()).then(|| format!("takes effect at the next start: {names}"))
    }
}

/// Settings that a reload can change.
pub struct Changed {
    /// The HTTP listener.
    pub http: Settings,
    /// The listener for spamd's protocol.
    pub spamd: spamd::Settings,
    /// All stages of a scan.
    pub scan: scan::Settings,
    /// Log lines and the history may say whom a message was about.
    pub verbose_ids: bool,
    /// Names of settings that were changed and have to wait for the next start.
    pub waiting: Vec<&'static str>,
    /// Does what else the settings want, once they are in force.
    pub then: Box<dyn FnOnce() + Send>,
}

/// What was read again.
pub struct Fresh {
    /// Rules.
    pub loaded: Loaded,
    /// Settings; without them all stay as they are.
    pub settings: Option<Box<Changed>>,
}

impl From<Loaded> for Fresh {
    fn from(loaded: Loaded) -> Self {
        Self { loaded, settings: None }
    }
}

/// Reads everything as its files are now; told the settings in force, whose connections and
/// caches go on.
pub type Source = Box<dyn Fn(&scan::Settings) -> Result<Fresh, Refusal> + Send + Sync>;

impl State {
    /// Reads rules and settings again and puts them in the place of the old ones, all or nothing.
    /// Two reloads at once come one after the other, so that the newest files win.
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
        let before = self.current.load_full();
        let result = source(&before.scan).and_then(|fresh| self.replace(&before, fresh));
        self.metrics.reloaded(result.is_ok());
        let mut status = self.status();
        match &result {
            Ok(reloaded) => status.extend(reloaded.note().map(|note| format!("; {note}"))),
            Err(refusal) => {
                let text = refusal.to_string();
                let line: String =
                    text.lines().next().unwrap_or_default().chars().take(TOLD).collect();
                status.push_str("; the last reload has failed, nothing has changed: ");
                status.push_str(&line);
            }
        }
        tell(Condition::Ready(&status));
        report(&result);
        Some(result)
    }

    /// What the service does, in a line for people.
    pub(super) fn status(&self) -> String {
        format!("scanning with {} symbols", self.current.load().symbols.len())
    }

    /// Puts what was read into force, unless a key or a certificate is missing.
    fn replace(&self, before: &Current, fresh: Fresh) -> Result<Reloaded, Refusal> {
        let Fresh { loaded: Loaded { rules, diagnostics, .. }, settings } = fresh;
        let settings = settings.map(|changed| *changed);
        let (http, spamd) = match &settings {
            Some(changed) => (changed.http.clone(), changed.spamd.clone()),
            None => (before.http.settings.clone(), before.spamd.settings.clone()),
        };
        let (http, spamd) = (before.http.under(http)?, Spamd::open(spamd)?);
        // Nothing below can fail.
        let (scan, verbose_ids, waiting, then) = match settings {
            Some(Changed { scan, verbose_ids, waiting, then, .. }) => {
                (Arc::new(scan), verbose_ids, waiting, Some(then))
            }
            None => (Arc::clone(&before.scan), before.verbose_ids, Vec::new(), None),
        };
        scan.lists.announce(rules.lists());
        let names = rules.symbols().map(|symbol| &*symbol.name);
        let hits = Arc::new(self.metrics.announce(names, &before.hits));
        let symbols = listing(&rules);
        let reloaded = Reloaded { symbols: symbols.len(), warnings: diagnostics, waiting };
        self.current.store(Arc::new(Current {
            rules: Arc::new(rules),
            symbols,
            hits,
            scan,
            verbose_ids,
            http: Arc::new(http),
            spamd: Arc::new(spamd),
        }));
        if let Some(then) = then {
            then();
        }
        Ok(reloaded)
    }
}

/// Writes into the log what a reload came to.
fn report(result: &Result<Reloaded, Refusal>) {
    match result {
        Ok(reloaded) => {
            log(&reloaded.warnings);
            if let Some(note) = reloaded.note() {
                tracing::warn!("{note}");
            }
            let (symbols, warnings) = (reloaded.symbols, reloaded.warnings.len());
            tracing::info!(symbols, warnings, "rules and settings reloaded");
        }
        Err(refusal) => {
            match refusal {
                Refusal::Rules(diagnostics) => log(diagnostics),
                Refusal::Configuration(error) | Refusal::Files(error) => {
                    let lines: Vec<&str> = error.lines().map(str::trim).collect();
                    tracing::error!("{}", lines.join("; "));
                }
            }
            tracing::error!("{FAILED}");
        }
    }
}

/// The end of a reload that came to nothing.
const FAILED: &str = "nothing reloaded, the old rules and settings stay in force";

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
        if apart(Arc::clone(&state)).await.is_none() {
            tracing::error!("{FAILED}");
        }
    }
}

/// Reloads on a thread of its own; `None` when that ends before it is done. Threads that last keep
/// what was freed on them: were each reload on another one, each would keep room for a set of rules.
pub(super) async fn apart(state: Arc<State>) -> Option<Option<Result<Reloaded, Refusal>>> {
    let (send, done) = oneshot::channel();
    let thread = thread::Builder::new().name("calspamd-reload".to_owned());
    thread.spawn(move || drop(send.send(state.reload()))).ok()?;
    done.await.ok()
}
