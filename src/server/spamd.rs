//! The spamd listener: SpamAssassin's protocol, for spamc, Exim, Haraka, milters and Rspamd.
//!
//! Comes in: a listening socket. Goes out: replies; their bytes are `protocol`'s. One request a
//! connection, as spamd has it.
//! Not an error: a client that is slow, breaks off or speaks something else. It is answered with
//! a line that says so, where there is somebody to answer, and holds up nobody.

use std::future::{Future, ready};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::current::Current;
use super::keys::Tls;
use super::perform::{Told, perform, subject};
use super::{Address, Listener, State};
use crate::protocol::spamd::{self, Class, Command, Head, Places, Taken};
use crate::reputation::{Report, Reporter};
use crate::scan::{Outcome, Request};
use crate::site::Allowed;

pub use crate::protocol::spamd::ReportSafe;

/// Label of this dialect in metrics.
const PROTOCOL: &str = "spamd";

/// Octets read at a time.
const PIECE: usize = 64 * 1024;

/// Pause after the system has refused a connection: it has none left.
const BREATH: Duration = Duration::from_millis(100);

/// `EX_UNAVAILABLE`, `EX_PROTOCOL` and `EX_TIMEOUT` of spamd's replies.
const UNAVAILABLE: u16 = 69;
const BROKEN: u16 = 76;
const TIMEOUT: u16 = 79;

/// Settings of the listener.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where to listen; nowhere without it.
    pub listen: Option<Address>,
    /// Where it is spoken within TLS too (`spamc -S`).
    pub tls: Option<Tls>,
    /// Who may connect; others get no answer, as from spamd. Loopback and Unix sockets always may.
    pub allowed: Allowed,
    /// The score from which on mail is spam for these clients.
    pub required_score: f64,
    /// What PROCESS makes of spam.
    pub report_safe: ReportSafe,
    /// Whether TELL is taken.
    pub allow_tell: bool,
    /// Largest message taken, in bytes.
    pub max_message: usize,
    /// Time a client has to send the head of its request.
    pub head_timeout: Duration,
    /// Time a client has to send a message.
    pub body_timeout: Duration,
    /// Time that scans going on get to finish when the service stops.
    pub shutdown_timeout: Duration,
    /// Connections at a time; more wait in the system's queue.
    pub connections: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let http = super::Settings::default();
        Self {
            listen: None,
            tls: None,
            allowed: Allowed::default(),
            required_score: 6.0,
            report_safe: ReportSafe::default(),
            allow_tell: true,
            max_message: http.max_message,
            head_timeout: http.head_timeout,
            body_timeout: http.body_timeout,
            shutdown_timeout: http.shutdown_timeout,
            connections: http.connections,
        }
    }
}

/// Serves until told to stop, then waits for the scans going on.
pub(super) async fn run(
    listener: Listener,
    tls: Option<ServerConfig>,
    state: Arc<State>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let Settings { connections, shutdown_timeout, .. } =
        state.current.load().spamd.settings.clone();
    let all = u32::try_from(connections).unwrap_or(u32::MAX);
    let places = Arc::new(Semaphore::new(connections));
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    let accepting = async {
        match listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                loop {
                    let place = free(&places).await;
                    match listener.accept().await {
                        Ok((stream, peer)) if may(&state, peer.ip()) => match &acceptor {
                            Some(acceptor) => {
                                let handshake = acceptor.accept(stream);
                                serve(handshake, &state, place);
                            }
                            None => serve(ready(Ok(stream)), &state, place),
                        },
                        Ok(_) => {}
                        Err(_) => sleep(BREATH).await,
                    }
                }
            }
            Listener::Unix(listener) => {
                listener.set_nonblocking(true)?;
                let listener = UnixListener::from_std(listener)?;
                loop {
                    let place = free(&places).await;
                    match listener.accept().await {
                        Ok((stream, _)) => serve(ready(Ok(stream)), &state, place),
                        Err(_) => sleep(BREATH).await,
                    }
                }
            }
        }
    };
    tokio::select! {
        ended = accepting => return ended,
        _ = stop.wait_for(|stopped| *stopped) => {}
    }
    // Who is still here when the time is over is cut off.
    drop(timeout(shutdown_timeout, places.acquire_many(all)).await);
    Ok(())
}

fn may(state: &State, peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    peer.is_loopback() || state.current.load().spamd.settings.allowed.covers(peer)
}

/// A place for one more connection.
async fn free(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(places).acquire_owned().await.ok()
}

/// Answers on a connection, once it is there.
fn serve<S>(
    handshake: impl Future<Output = io::Result<S>> + 'static,
    state: &Arc<State>,
    place: Option<OwnedSemaphorePermit>,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let state = Arc::clone(state);
    rt::spawn(async move {
        // What is in force now is so for all of the connection, which is one request.
        let current = state.current.load_full();
        let settings = &current.spamd.settings;
        let Ok(Ok(mut stream)) = timeout(settings.head_timeout, handshake).await else { return };
        let reply = answer(&mut stream, &current, &state).await;
        // A client that does not read its answer must not keep the place.
        let sent = timeout(settings.body_timeout, async {
            stream.write_all(&reply).await?;
            stream.shutdown().await
        });
        drop(sent.await);
        drop(place);
    });
}

/// Reads one request and says what to answer.
async fn answer<S>(stream: &mut S, current: &Arc<Current>, state: &Arc<State>) -> Vec<u8>
where
    S: AsyncRead + Unpin,
{
    let settings = &current.spamd.settings;
    let mut input = Input { bytes: Vec::new(), ended: false };
    let head = timeout(settings.head_timeout, async {
        loop {
            match spamd::head(&input.bytes, input.ended) {
                Ok(Taken::More) => input.more(stream).await,
                Ok(Taken::Head(head, length)) => return Ok((head, length)),
                Err(text) => return Err(spamd::fault(BROKEN, &format!("Bad header line: {text}"))),
            }
        }
    });
    let late = |what: &str| spamd::fault(TIMEOUT, &format!("Timeout: (no {what} in time)"));
    let (head, length) = match head.await {
        Ok(Ok(head)) => head,
        Ok(Err(reply)) => return reply,
        Err(_) => return late("headers"),
    };
    match head.command {
        Command::Ping => return spamd::pong(),
        Command::Skip => return Vec::new(),
        Command::Tell if !settings.allow_tell => {
            let text = "Service Unavailable: TELL commands are not enabled, set spamd.allow_tell.";
            return spamd::fault(UNAVAILABLE, text);
        }
        Command::Tell
        | Command::Check
        | Command::Symbols
        | Command::Report
        | Command::ReportIfSpam
        | Command::Process
        | Command::Headers => {}
    }
    let message = timeout(settings.body_timeout, async {
        loop {
            let rest = input.bytes.get(length..).unwrap_or_default();
            match spamd::body(&head, rest, input.ended, settings.max_message) {
                Ok(Some(message)) => return Ok(message.into_owned()),
                Ok(None) => input.more(stream).await,
                Err((code, text)) => return Err(spamd::fault(code, &text)),
            }
        }
    });
    let message = match message.await {
        Ok(Ok(message)) => message,
        Ok(Err(reply)) => return reply,
        Err(_) => return late("message"),
    };
    // Whatever a scan waits for, it holds up no other connection.
    let (state, current) = (Arc::clone(state), Arc::clone(current));
    let work = move || match head.command {
        Command::Tell => learn(&state, &current, &head, &message),
        Command::Ping
        | Command::Skip
        | Command::Check
        | Command::Symbols
        | Command::Report
        | Command::ReportIfSpam
        | Command::Process
        | Command::Headers => scanned(&state, &current, &head, &message),
    };
    let done = rt::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| spamd::fault(UNAVAILABLE, "Service Unavailable: stopping"))
}

/// What has come of a request.
struct Input {
    bytes: Vec<u8>,
    ended: bool,
}

impl Input {
    /// Waits for more; a connection that broke has ended.
    async fn more<S: AsyncRead + Unpin>(&mut self, stream: &mut S) {
        self.bytes.reserve(PIECE);
        let read = stream.read_buf(&mut self.bytes).await;
        self.ended |= read.unwrap_or(0) == 0;
    }
}

/// How the message came here, as far as the request or the lines above the message say.
fn request(head: &Head, inner: &[u8]) -> Request {
    let envelope = if head.is_exim { head.envelope.clone() } else { spamd::envelope(inner) };
    Request { envelope, now: super::now(), ..Request::default() }
}

fn scanned(state: &State, current: &Current, head: &Head, message: &[u8]) -> Vec<u8> {
    let inner = spamd::without_mbox_line(message);
    let asked = request(head, inner);
    let outcome: Outcome = perform((state, current), inner, &asked, PROTOCOL, Told::default());
    let answered = spamd::Answered {
        head,
        message,
        outcome: &outcome,
        required: current.spamd.settings.required_score,
        report_safe: current.spamd.settings.report_safe,
    };
    if head.is_exim {
        return spamd::exim(&answered, &current.scan.verdict.thresholds);
    }
    spamd::reply(&answered)
}

/// What a user says of a message.
fn learn(state: &State, current: &Current, head: &Head, message: &[u8]) -> Vec<u8> {
    for (what, both) in [
        ("local", head.set.local && head.remove.local),
        ("remote", head.set.remote && head.remove.remote),
    ] {
        if both {
            let text = format!(
                "Bad header line: Unable to set {what} and remove {what} in the same operation."
            );
            return spamd::fault(BROKEN, &text);
        }
    }
    let report = match (head.set.local, head.remove.local, head.class) {
        (true, _, Some(Class::Spam)) => Report::Spam,
        (true, _, Some(Class::Ham)) => Report::Ham,
        // spamd takes whatever it does not know for ham; a mistake must not teach anything.
        (true, _, None) => {
            return spamd::fault(
                BROKEN,
                "Bad header line: (Message-class is neither spam nor ham)",
            );
        }
        (false, true, _) => Report::Forget,
        (false, false, _) => return spamd::learned(Places::default(), Places::default()),
    };
    let inner = spamd::without_mbox_line(message);
    let request = request(head, inner);
    let who =
        head.user.as_ref().map_or(Reporter::Unnamed, |user| Reporter::User(user.to_lowercase()));
    let now = request.now;
    let learned = subject(current, inner, request)
        .map(|subject| current.scan.reputation.learn(subject, &who, report, now));
    let local = Places { local: true, remote: false };
    if matches!(learned, Some(Ok(_))) {
        state.journal.learned();
    }
    match learned {
        Some(Ok(_)) if report == Report::Forget => spamd::learned(Places::default(), local),
        Some(Ok(_)) => spamd::learned(local, Places::default()),
        // A message without a calendar teaches nothing.
        None => spamd::learned(Places::default(), Places::default()),
        Some(Err(trouble)) => {
            spamd::fault(UNAVAILABLE, &format!("Service Unavailable: store: {trouble}"))
        }
    }
}
