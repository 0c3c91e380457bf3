//! Listens, limits and stops: everything around a scan that takes a socket and a clock.
//!
//! Comes in: [`Settings`] and a [`State`] with loaded rules. Goes out: a running service.
//! Not an error: anything a client sends. A request over a limit is answered and counted; a
//! panic in a scan is our own mistake and is answered as "not scanned".
//!
//! The only module that knows actix-web and tokio, and one of the few that reads the clock.

mod access;
mod current;
mod history;
pub mod host;
mod http;
pub mod keys;
mod password;
mod perform;
mod quota;
mod reload;
mod room;
pub mod spamd;
mod turns;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix_web::rt::{self, System};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::metrics::{self, HitCounters, Metrics};
use crate::rules::RuleSet;
use crate::scan::{self, Outcome, Request};
use crate::site::Allowed;
use current::{Current, Http, Spamd, listing};
use history::Journal;
use host::Condition;
use keys::{Source as KeySource, Tls};
use turns::Gate;

pub use history::Errors;
pub use password::{Password, PasswordError, hash};
pub use reload::{Changed, Fresh, Refusal, Reloaded, Source, log};

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `127.0.0.1:11380`.
    Tcp(SocketAddr),
    /// `unix:/run/calspamd/http.sock`.
    Unix(PathBuf),
}

impl Address {
    /// True when other machines cannot reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Text that names no place to listen at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address: write IP:PORT, as in 127.0.0.1:11380, or unix:/PATH")]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err(AddressError(text.to_owned())),
            None => text.parse().map(Self::Tcp).map_err(|_| AddressError(text.to_owned())),
        }
    }
}

/// Settings of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen.
    pub listen: Address,
    /// Largest message taken, in bytes.
    pub max_message: usize,
    /// Room for all bodies at a time, in bytes; a message that no other is beside always has some.
    pub max_in_flight: usize,
    /// Time a client has to send the head of its first request.
    pub head_timeout: Duration,
    /// Time a client has to send a message.
    pub body_timeout: Duration,
    /// Time after which a connection without requests is closed.
    pub keep_alive: Duration,
    /// Time that scans going on get to finish when the service stops.
    pub shutdown_timeout: Duration,
    /// Connections at a time; more wait in the system's queue.
    pub connections: usize,
    /// Connections at a time of one client.
    pub connections_per_client: usize,
    /// Requests of one client; any number without it.
    pub rate: Option<Rate>,
    /// Asked from whoever wants anything from elsewhere.
    pub password: Option<Password>,
    /// Asked from whoever wants to change the service from elsewhere.
    pub enable_password: Option<Password>,
    /// Networks that need no password, and that no limit of a client holds for.
    pub secure: Allowed,
    /// Whether requests may bring settings of their own.
    pub inline_settings: bool,
    /// Folders from which callers may have a file scanned (`File`, `Shm`). None by default:
    /// whoever may ask would read along.
    pub file_folders: Vec<PathBuf>,
    /// Our keys for `HTTPCrypt`; without them it is not spoken.
    pub keypair: Option<KeySource>,
    /// Others than this machine must speak it.
    pub encrypted_only: bool,
    /// Where TLS is spoken too.
    pub tls: Option<Tls>,
}

/// How many in which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many, also at once.
    pub count: u32,
    /// In so much time.
    pub window: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 11380))),
            max_message: 50 * 1024 * 1024,
            // Two of the largest at a time. With what scans take it stays below the 512 MiB that
            // the containers in deploy/ have.
            max_in_flight: 128 * 1024 * 1024,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            // Rspamd's clients keep an idle connection for 65 s; closing first would let them
            // write into a closed one, so they are told the number.
            keep_alive: Duration::from_mins(1),
            shutdown_timeout: Duration::from_secs(10),
            connections: 1_024,
            // Half of the places, so that nobody can take them all.
            connections_per_client: 512,
            rate: None,
            password: None,
            enable_password: None,
            secure: Allowed::default(),
            inline_settings: true,
            file_folders: Vec::new(),
            keypair: None,
            encrypted_only: false,
            tls: None,
        }
    }
}

/// The function that scans; another one only in tests.
pub type Scan = fn(&[u8], &Request, &RuleSet, &scan::Settings) -> Outcome;

/// What all requests share.
pub struct State {
    /// Rules and settings, replaced as a whole.
    current: ArcSwap<Current>,
    /// Where new ones come from.
    source: Option<Source>,
    /// Held during a reload.
    reloading: Mutex<()>,
    /// Counters.
    pub metrics: Metrics,
    /// What is done with a message.
    pub scan: Scan,
    /// Whose turn it is.
    gate: Gate,
    /// The last errors of the log.
    errors: Errors,
    /// What was scanned.
    journal: Journal,
    /// Scans so far, for ids in log lines.
    scans: AtomicU64,
    /// When the service began.
    started: Instant,
    /// True from the signal to stop on.
    stopping: AtomicBool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("current", &self.current.load()).finish_non_exhaustive()
    }
}

impl State {
    /// Puts together what requests share.
    pub fn new(rules: RuleSet, settings: scan::Settings) -> Result<Self, metrics::Error> {
        let metrics = Metrics::new()?;
        settings.lists.announce(rules.lists());
        let names = rules.symbols().map(|symbol| &*symbol.name);
        let hits = metrics.announce(names, &HitCounters::default());
        let current = Current {
            symbols: listing(&rules),
            rules: Arc::new(rules),
            hits: Arc::new(hits),
            scan: Arc::new(settings),
            verbose_ids: false,
            http: Arc::default(),
            spamd: Arc::default(),
        };
        Ok(Self {
            current: ArcSwap::from_pointee(current),
            source: None,
            reloading: Mutex::new(()),
            metrics,
            scan: scan::scan,
            gate: Gate::new(turns::processors()),
            errors: Errors::default(),
            journal: Journal::new(now()),
            scans: AtomicU64::new(0),
            started: Instant::now(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Settings of all stages, as they are now.
    #[cfg(test)]
    pub(crate) fn settings(&self) -> Arc<scan::Settings> {
        Arc::clone(&self.current.load().scan)
    }

    /// Changes a part of what is in force, before anybody is served.
    fn change(&self, change: impl FnOnce(&mut Current)) {
        let mut current = Current::clone(&self.current.load());
        change(&mut current);
        self.current.store(Arc::new(current));
    }

    /// The same with a log and a history that may say whom a message was about.
    #[must_use]
    pub fn with_verbose_ids(self, verbose_ids: bool) -> Self {
        self.change(|current| current.verbose_ids = verbose_ids);
        self
    }

    /// The same with rules and settings that can be read again: on SIGHUP and on request.
    #[must_use]
    pub fn with_source(self, source: Source) -> Self {
        Self { source: Some(source), ..self }
    }

    /// The same with the errors that whoever writes the log keeps.
    #[must_use]
    pub fn with_errors(self, errors: Errors) -> Self {
        Self { errors, ..self }
    }
}

/// A service that holds its port but does not answer yet.
#[derive(Debug)]
pub struct Application {
    listener: Listener,
    address: Address,
    settings: Settings,
    state: Arc<State>,
    tls: Option<(TcpListener, ServerConfig)>,
    spamd: Vec<(Listener, Address, Option<ServerConfig>)>,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Application {
    /// Binds the addresses; port 0 takes any free port.
    ///
    /// # Errors
    ///
    /// An address cannot be bound; a key or a certificate cannot be read.
    pub fn build(settings: Settings, state: Arc<State>) -> io::Result<Self> {
        let http = Http::default().under(settings.clone()).map_err(io::Error::other)?;
        let tls = settings.tls.as_ref().map(bind_tls).transpose()?;
        let tls = tls.map(|listener| {
            let presented =
                keys::Presented::new(&state, |current| current.http.certificate.as_ref());
            Ok::<_, io::Error>((listener, keys::server_config(presented)?))
        });
        let tls = tls.transpose()?;
        let (listener, address) = bind(&settings.listen)?;
        state.change(|current| current.http = Arc::new(http));
        Ok(Self { listener, address, settings, state, tls, spamd: Vec::new() })
    }

    /// Binds the addresses for spamd's protocol too, if the settings name any.
    ///
    /// # Errors
    ///
    /// An address cannot be bound; a key or a certificate cannot be read.
    pub fn add_spamd(&mut self, settings: spamd::Settings) -> io::Result<()> {
        let (listen, tls) = (settings.listen.clone(), settings.tls.clone());
        let spamd = Spamd::open(settings).map_err(io::Error::other)?;
        self.state.change(|current| current.spamd = Arc::new(spamd));
        if let Some(tls) = &tls {
            let listener = bind_tls(tls)?;
            let address = Address::Tcp(listener.local_addr()?);
            let presented =
                keys::Presented::new(&self.state, |current| current.spamd.certificate.as_ref());
            let config = keys::server_config(presented)?;
            self.spamd.push((Listener::Tcp(listener), address, Some(config)));
        }
        if let Some(listen) = &listen {
            let (listener, address) = bind(listen)?;
            self.spamd.push((listener, address, None));
        }
        Ok(())
    }

    /// The address of spamd's protocol, as bound.
    pub fn spamd_address(&self) -> Option<&Address> {
        self.spamd.iter().find(|(_, _, tls)| tls.is_none()).map(|(_, address, _)| address)
    }

    /// The address of spamd's protocol within TLS, as bound.
    pub fn spamd_tls_address(&self) -> Option<&Address> {
        self.spamd.iter().find(|(_, _, tls)| tls.is_some()).map(|(_, address, _)| address)
    }

    /// The address where HTTP is spoken with TLS, as bound.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// The address as bound.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Serves until `shutdown` is ready, then finishes the scans going on.
    pub async fn run_until_stopped(
        self,
        shutdown: impl Future<Output = ()> + 'static,
    ) -> io::Result<()> {
        let address = self.address.clone();
        let current = self.state.current.load_full();
        tracing::info!(%address, symbols = current.symbols.len(), "listening");
        if let Some(address) = self.tls_address() {
            tracing::info!(%address, "listening with TLS");
        }
        if let Some(keypair) = &current.http.keypair {
            tracing::info!(public_key = keypair.public(), "encrypted requests are taken");
        }
        drop(current);
        let heart =
            host::heartbeat().map(|period| rt::spawn(beat(Arc::clone(&self.state), period)));
        let can_reload = self.state.source.is_some();
        let reloader = can_reload.then(|| rt::spawn(reload::on_hangup(Arc::clone(&self.state))));
        let (stop, stopped) = watch::channel(false);
        let spamd = self.spamd.into_iter().map(|(listener, address, tls)| {
            tracing::info!(%address, tls = tls.is_some(), "listening for spamc");
            let (state, stopped) = (Arc::clone(&self.state), stopped.clone());
            (rt::spawn(spamd::run(listener, tls, state, stopped)), address)
        });
        let spamd: Vec<_> = spamd.collect();
        let shutdown = async move {
            shutdown.await;
            host::tell(Condition::Stopping);
            // Nobody is left to tell where spamd's protocol is off.
            let _ = stop.send(true);
        };
        host::tell(Condition::Ready(&self.state.status()));
        let result = http::run(self.listener, self.tls, self.settings, self.state, shutdown).await;
        for (task, address) in spamd {
            drop(task.await);
            remove_socket(&address);
        }
        for task in [reloader, heart].into_iter().flatten() {
            task.abort();
        }
        remove_socket(&address);
        tracing::info!(%address, "stopped");
        result
    }

    /// The same on this thread, without a runtime around it.
    pub fn serve(self, shutdown: impl Future<Output = ()> + 'static) -> io::Result<()> {
        System::new().block_on(self.run_until_stopped(shutdown))
    }
}

/// Tells the service manager now and then that the service is alive: a message can be scanned, of
/// nothing, which asks nobody and is not counted.
async fn beat(state: Arc<State>, period: Duration) {
    loop {
        let state = Arc::clone(&state);
        let scanned = rt::task::spawn_blocking(move || {
            let current = state.current.load_full();
            (state.scan)(b"", &Request::default(), &current.rules, &current.scan)
        });
        if scanned.await.is_ok() {
            host::tell(Condition::Alive);
        }
        sleep(period).await;
    }
}

/// Takes an address, or the socket that somebody has bound to it for us; port 0 is any free port.
fn bind(listen: &Address) -> io::Result<(Listener, Address)> {
    if let Some(listener) = host::take(listen) {
        return Ok((listener, listen.clone()));
    }
    Ok(match listen {
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address)?;
            let bound = listener.local_addr()?;
            (Listener::Tcp(listener), Address::Tcp(bound))
        }
        Address::Unix(path) => {
            remove_stale_socket(path)?;
            (Listener::Unix(UnixListener::bind(path)?), listen.clone())
        }
    })
}

/// Takes an address for TLS.
fn bind_tls(tls: &Tls) -> io::Result<TcpListener> {
    match bind(&tls.listen)? {
        (Listener::Tcp(listener), _) => Ok(listener),
        (Listener::Unix(_), address) => Err(io::Error::other(keys::Error::Unix(address))),
    }
}

/// Nobody listens there any more; a leftover file only misleads.
fn remove_socket(address: &Address) {
    match address {
        Address::Unix(path) if !host::is_handed(address) => drop(std::fs::remove_file(path)),
        Address::Unix(_) | Address::Tcp(_) => {}
    }
}

/// Removes a socket that a dead process left behind; one that answers is left alone, and the
/// bind then fails with "address in use".
fn remove_stale_socket(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// Ready when the process is told to stop (SIGTERM, SIGINT).
pub async fn stop_signal() {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        tracing::error!("cannot listen for signals; the service stops only when it is killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// The time, in seconds since 1970 UTC.
pub fn now() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the time of a scan comes from"
    )]
    let now = SystemTime::now();
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, local) in [
            ("127.0.0.1:11380", true),
            ("[::1]:11380", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:11380", false),
            ("192.0.2.1:80", false),
            ("unix:/run/calspamd/http.sock", true),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.is_local(), local, "{text}");
            assert_eq!(address.to_string(), text);
        }
        for text in ["", "11380", "localhost:11380", "unix:relative", "unix:"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError(text.to_owned())));
        }
    }
}
