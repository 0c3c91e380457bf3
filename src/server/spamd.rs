//! The spamd listener: SpamAssassin's protocol, for spamc, Exim, Haraka, milters and Rspamd.
//!
//! Comes in: a listening socket. Goes out: replies; their bytes are `protocol`'s. One request a
//! connection, as spamd has it.
//! Not an error: a client that is slow, breaks off or speaks something else. It is answered with
//! a line that says so, where there is somebody to answer, and holds up nobody.

use std::borrow::Cow;
use std::future::{Future, ready};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::current::Current;
use super::keys::Tls;
use super::perform::{Told, perform, subject};
use super::quota::{Client, Connection, Connections};
use super::room::Held;
use super::turns::{Stopping, Who};
use super::{Address, Listener, State};
use crate::metrics::Rejection;
use crate::protocol::spamd::{self, Class, Command, Head, Places, Taken};
use crate::reputation::{Report, Reporter};
use crate::scan::{Outcome, Request, Waits};
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

/// Time to read on after a refusal, so that a client still sending gets to see it.
const LINGER: Duration = Duration::from_secs(2);

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
    /// Connections at a time of one client.
    pub connections_per_client: usize,
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
            connections_per_client: http.connections_per_client,
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
    let clients = Connections::default();
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    let accepting = async {
        match listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                loop {
                    let place = free(&places).await;
                    match listener.accept().await {
                        Ok((stream, peer)) if may(&state, peer.ip()) => {
                            let client = Client::from(peer.ip());
                            let most = state.current.load().spamd.settings.connections_per_client;
                            let Some(one) = clients.enter(client, most) else {
                                state.metrics.rejected(Rejection::Connections);
                                turn_away(&stream, acceptor.is_some());
                                continue;
                            };
                            let (who, place) = (Some(client), (place, Some(one)));
                            match &acceptor {
                                Some(acceptor) => {
                                    let handshake = acceptor.accept(stream);
                                    serve(handshake, who, &state, place);
                                }
                                None => serve(ready(Ok(stream)), who, &state, place),
                            }
                        }
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
                        Ok((stream, _)) => {
                            serve(ready(Ok(stream)), None, &state, (place, None));
                        }
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

/// Tells a client that it has too many connections, as far as it can be told.
fn turn_away(stream: &TcpStream, is_tls: bool) {
    if !is_tls {
        let text = "Service Unavailable: too many connections";
        // Past tokio, which does not know yet that a new socket takes octets.
        drop(socket2::SockRef::from(stream).send(&spamd::fault(spamd::TEMPORARY, text)));
    }
}

/// A place for one more connection.
async fn free(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(places).acquire_owned().await.ok()
}

/// Answers on a connection, once it is there.
fn serve<S>(
    handshake: impl Future<Output = io::Result<S>> + 'static,
    who: Who,
    state: &Arc<State>,
    place: (Option<OwnedSemaphorePermit>, Option<Connection>),
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let state = Arc::clone(state);
    // What is in force now is so for all of the connection, which is one request.
    let current = state.current.load_full();
    // The other programs of this machine, as the rights of the socket let them.
    let held = current.http.room.hold(who, who.is_none());
    rt::spawn(async move {
        let settings = &current.spamd.settings;
        let Ok(Ok(mut stream)) = timeout(settings.head_timeout, handshake).await else { return };
        let input = Input { bytes: Vec::new(), ended: false, held };
        let (reply, is_unread) = match answer(&mut stream, input, who, &current, &state).await {
            Ok(reply) => (reply, false),
            Err(reply) => (reply, true),
        };
        // A client that does not read its answer must not keep the place.
        let sent = timeout(settings.body_timeout, async {
            stream.write_all(&reply).await?;
            stream.shutdown().await
        });
        drop(sent.await);
        if is_unread {
            // The system throws a reply away where a connection ends with something unread.
            drop(timeout(LINGER, drain(&mut stream)).await);
        }
        drop(place);
    });
}

/// Reads to the end, for nothing.
async fn drain<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut piece = vec![0; PIECE];
    while stream.read(&mut piece).await.is_ok_and(|length| length > 0) {}
}

/// Reads one request and says what to answer; as an error where more of it may come.
async fn answer<S>(
    stream: &mut S,
    mut input: Input,
    who: Who,
    current: &Arc<Current>,
    state: &Arc<State>,
) -> Result<Vec<u8>, Vec<u8>>
where
    S: AsyncRead + Unpin,
{
    let settings = &current.spamd.settings;
    let fault = |(code, text): (u16, String)| {
        if code == spamd::TEMPORARY {
            state.metrics.rejected(Rejection::Room);
        }
        spamd::fault(code, &text)
    };
    let late = |what: &str| spamd::fault(TIMEOUT, &format!("Timeout: (no {what} in time)"));
    let head = timeout(settings.head_timeout, async {
        loop {
            match spamd::head(&input.bytes, input.ended) {
                Ok(Taken::More) => input.more(stream).await.map_err(fault)?,
                Ok(Taken::Head(head, length)) => return Ok((head, length)),
                Err(text) => return Err(fault((BROKEN, format!("Bad header line: {text}")))),
            }
        }
    });
    let (head, length) = head.await.unwrap_or_else(|_| Err(late("headers")))?;
    match head.command {
        Command::Ping => return Ok(spamd::pong()),
        Command::Skip => return Ok(Vec::new()),
        Command::Tell if !settings.allow_tell => {
            let text = "Service Unavailable: TELL commands are not enabled, set spamd.allow_tell.";
            return Err(spamd::fault(UNAVAILABLE, text));
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
            if input.is_packed(&head, length) {
                return Ok(None);
            }
            if let Some(message) = input.message(&head, length, settings).map_err(fault)? {
                return Ok(Some(message));
            }
            input.more(stream).await.map_err(fault)?;
        }
    });
    let message = message.await.unwrap_or_else(|_| Err(late("message")))?;
    let may_wait = current.scan.may_wait();
    let (own, current) = (Arc::clone(state), Arc::clone(current));
    let work = move |waits| {
        // Unpacking is work.
        let message = match message {
            None => {
                let settings = &current.spamd.settings;
                input.message(&head, length, settings)?.unwrap_or_default()
            }
            Some(message) => message,
        };
        let _held = input.held;
        Ok(match head.command {
            Command::Tell => learn((&own, &current), &head, &message, waits),
            Command::Ping
            | Command::Skip
            | Command::Check
            | Command::Symbols
            | Command::Report
            | Command::ReportIfSpam
            | Command::Process
            | Command::Headers => scanned((&own, &current), &head, &message, waits),
        })
    };
    let done = state.gate.run(who, may_wait, work).await;
    let stopping = |Stopping| Err((UNAVAILABLE, "Service Unavailable: stopping".to_owned()));
    done.unwrap_or_else(stopping).map_err(fault)
}

/// What has come of a request.
struct Input {
    bytes: Vec<u8>,
    ended: bool,
    held: Held,
}

impl Input {
    /// Waits for more; a connection that broke has ended. The error is that there is no room for it.
    async fn more<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> Result<(), (u16, String)> {
        self.bytes.reserve(PIECE);
        let read = stream.read_buf(&mut self.bytes).await;
        self.ended |= read.unwrap_or(0) == 0;
        if self.held.grow_to(self.bytes.len()) { Ok(()) } else { Err(spamd::no_room()) }
    }

    /// True when all of a packed message is there behind a head of this length.
    fn is_packed(&self, head: &Head, length: usize) -> bool {
        let come = self.bytes.len().saturating_sub(length);
        head.is_packed && head.length.is_some_and(|packed| packed <= come)
    }

    /// The message, once all of it is there behind a head of this length.
    fn message(
        &mut self,
        head: &Head,
        length: usize,
        settings: &Settings,
    ) -> Result<Option<Vec<u8>>, (u16, String)> {
        let rest = self.bytes.get(length..).unwrap_or_default();
        let room = &mut |by| self.held.grow(by);
        let message = match spamd::body(head, rest, self.ended, settings.max_message, room)? {
            None => return Ok(None),
            Some(Cow::Owned(message)) => message,
            Some(Cow::Borrowed(message)) => {
                let end = length + message.len();
                let mut message = std::mem::take(&mut self.bytes);
                message.truncate(end);
                message.drain(..length);
                message
            }
        };
        self.bytes = Vec::new();
        self.held.shrink_to(message.len());
        Ok(Some(message))
    }
}

/// How the message came here, as far as the request or the lines above the message say.
fn request(head: &Head, inner: &[u8], waits: Option<Arc<dyn Waits>>) -> Request {
    let envelope = if head.is_exim { head.envelope.clone() } else { spamd::envelope(inner) };
    Request { envelope, now: super::now(), waits, ..Request::default() }
}

fn scanned(
    (state, current): (&State, &Current),
    head: &Head,
    message: &[u8],
    waits: Option<Arc<dyn Waits>>,
) -> Vec<u8> {
    let inner = spamd::without_mbox_line(message);
    let request = request(head, inner, waits);
    let outcome: Outcome = perform((state, current), inner, &request, PROTOCOL, Told::default());
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
fn learn(
    (state, current): (&State, &Current),
    head: &Head,
    message: &[u8],
    waits: Option<Arc<dyn Waits>>,
) -> Vec<u8> {
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
    let request = request(head, inner, waits);
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
