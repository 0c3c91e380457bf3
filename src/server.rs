//! Listens, limits and stops: everything around a scan that takes a socket and a clock.
//!
//! Comes in: [`Settings`] and a [`State`] with loaded rules. Goes out: a running service.
//! Not an error: anything a client sends. A request over a limit is answered and counted; a
//! panic in a scan is our own mistake and is answered as "not scanned".
//!
//! The only module that knows actix-web and tokio, and one of the few that reads the clock.

mod access;
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
use std::sync::{Arc, Mutex, PoisonError};
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
use history::Journal;
use host::Condition;
use keys::{KeyPair, Renew, Renewable, Source as KeySource, Tls};
use reload::Current;
use room::Room;
use turns::Gate;

pub use history::Errors;
pub use password::{Password, PasswordError, hash};
pub use reload::{Refusal, Reloaded, Source, log};

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
    /// The rules with their listing and counters, replaced as a whole.
    current: ArcSwap<Current>,
    /// Where new rules come from.
    source: Option<Source>,
    /// Keys and certificates, read again with the rules.
    renewed: Mutex<Vec<Arc<dyn Renew>>>,
    /// Held during a reload.
    reloading: Mutex<()>,
    /// Settings of the stages.
    pub settings: scan::Settings,
    /// Counters.
    pub metrics: Metrics,
    /// What is done with a message.
    pub scan: Scan,
    /// Whose turn it is.
    gate: Gate,
    /// Log lines and the history may say whom a message was about.
    pub verbose_ids: bool,
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
        f.debug_struct("State").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl State {
    /// Puts together what requests share.
    pub fn new(rules: RuleSet, settings: scan::Settings) -> Result<Self, metrics::Error> {
        let metrics = Metrics::new()?;
        settings.lists.announce(rules.lists());
        let names = rules.symbols().map(|symbol| &*symbol.name);
        let hits = metrics.announce(names, &HitCounters::default());
        Ok(Self {
            current: ArcSwap::from_pointee(Current::new(rules, hits)),
            source: None,
            renewed: Mutex::default(),
            reloading: Mutex::new(()),
            settings,
            metrics,
            scan: scan::scan,
            gate: Gate::new(turns::processors()),
            verbose_ids: false,
            errors: Errors::default(),
            journal: Journal::new(now()),
            scans: AtomicU64::new(0),
            started: Instant::now(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Has a key or a certificate read again with the rules.
    fn renews(&self, one: Arc<dyn Renew>) {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner).push(one);
    }

    /// The same with rules that can be read again: on SIGHUP and on request.
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
    transport: Transport,
    room: Arc<Room>,
    spamd: Vec<(Listener, Address, Option<ServerConfig>, spamd::Settings)>,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// How HTTP is kept from others' eyes.
#[derive(Debug)]
struct Transport {
    keypair: Option<Arc<Renewable<KeyPair>>>,
    tls: Option<(TcpListener, ServerConfig)>,
}

impl Application {
    /// Binds the addresses; port 0 takes any free port.
    ///
    /// # Errors
    ///
    /// An address cannot be bound; a key or a certificate cannot be read.
    pub fn build(settings: Settings, state: Arc<State>) -> io::Result<Self> {
        let keypair = settings.keypair.as_ref().map(keys::keypair).transpose();
        let keypair = keypair.map_err(io::Error::other)?;
        let tls = settings.tls.as_ref().map(|tls| bind_tls(tls, &state)).transpose()?;
        let (listener, address) = bind(&settings.listen)?;
        if let Some(keypair) = keypair.clone() {
            state.renews(keypair);
        }
        let transport = Transport { keypair, tls };
        let room = Room::new(settings.max_in_flight);
        Ok(Self { listener, address, settings, state, transport, room, spamd: Vec::new() })
    }

    /// Binds the addresses for spamd's protocol too, if the settings name any.
    ///
    /// # Errors
    ///
    /// An address cannot be bound; a key or a certificate cannot be read.
    pub fn add_spamd(&mut self, settings: spamd::Settings) -> io::Result<()> {
        if let Some(tls) = &settings.tls {
            let (listener, config) = bind_tls(tls, &self.state)?;
            let address = Address::Tcp(listener.local_addr()?);
            self.spamd.push((Listener::Tcp(listener), address, Some(config), settings.clone()));
        }
        if let Some(listen) = &settings.listen {
            let (listener, address) = bind(listen)?;
            self.spamd.push((listener, address, None, settings));
        }
        Ok(())
    }

    /// The address of spamd's protocol, as bound.
    pub fn spamd_address(&self) -> Option<&Address> {
        self.spamd.iter().find(|(_, _, tls, _)| tls.is_none()).map(|(_, address, ..)| address)
    }

    /// The address of spamd's protocol within TLS, as bound.
    pub fn spamd_tls_address(&self) -> Option<&Address> {
        self.spamd.iter().find(|(_, _, tls, _)| tls.is_some()).map(|(_, address, ..)| address)
    }

    /// The address where HTTP is spoken with TLS, as bound.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.transport.tls.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
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
        let symbols = self.state.current.load().symbols.len();
        tracing::info!(%address, symbols, "listening");
        if let Some(address) = self.tls_address() {
            tracing::info!(%address, "listening with TLS");
        }
        if let Some(keypair) = &self.transport.keypair {
            tracing::info!(public_key = keypair.current().public(), "encrypted requests are taken");
        }
        let heart =
            host::heartbeat().map(|period| rt::spawn(beat(Arc::clone(&self.state), period)));
        let can_reload = self.state.source.is_some();
        let reloader = can_reload.then(|| rt::spawn(reload::on_hangup(Arc::clone(&self.state))));
        let (stop, stopped) = watch::channel(false);
        let spamd = self.spamd.into_iter().map(|(listener, address, tls, settings)| {
            tracing::info!(%address, tls = tls.is_some(), "listening for spamc");
            let shared = (Arc::clone(&self.state), Arc::clone(&self.room));
            (rt::spawn(spamd::run(listener, tls, settings, shared, stopped.clone())), address)
        });
        let spamd: Vec<_> = spamd.collect();
        let shutdown = async move {
            shutdown.await;
            host::tell(Condition::Stopping);
            // Nobody is left to tell where spamd's protocol is off.
            let _ = stop.send(true);
        };
        host::tell(Condition::Ready(&self.state.status()));
        let shared = (self.state, self.room);
        let result =
            http::run(self.listener, self.transport, self.settings, shared, shutdown).await;
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
            let rules = &state.current.load_full().rules;
            (state.scan)(b"", &Request::default(), rules, &state.settings)
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

/// Takes an address for TLS. What it proves itself with is read again with each reload.
fn bind_tls(tls: &Tls, state: &State) -> io::Result<(TcpListener, ServerConfig)> {
    let certificate = keys::certificate(tls).map_err(io::Error::other)?;
    let config = keys::server_config(&certificate)?;
    let (Listener::Tcp(listener), _) = bind(&tls.listen)? else {
        return Err(io::Error::other(keys::Error::Unix(tls.listen.clone())));
    };
    state.renews(certificate);
    Ok((listener, config))
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
