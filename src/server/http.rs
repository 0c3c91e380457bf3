//! The HTTP listener: Rspamd's paths, and those that monitoring asks.
//!
//! Comes in: a listening socket. Goes out: replies; the JSON in them is `protocol`'s.
//! Not an error: a client that is slow, sends too much or hangs up.

mod body;
mod client;
mod controller;
mod crypt;
mod memory;
mod reply;
mod routes;

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Bytes, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt};
use rustls::ServerConfig;
use tokio::time::sleep;

use super::access::Right;
use super::current::Current;
use super::perform::{self, Told, perform};
use super::quota::Connections;
use super::turns::{self, Gate, Stopping, Worker};
use super::{Listener, Refusal, Settings, State, reload};
use crate::lists::Report;
use crate::metrics::{self, Rejection};
use crate::protocol::compression;
use crate::protocol::rspamd;
use crate::protocol::rspamd::v3::{self, Mistake};
use crate::scan::Request;
use body::Body;
use routes::{Check, Route};

/// Label of this dialect in metrics.
const PROTOCOL: &str = "rspamd";

/// Messages up to this size may be scanned where they were read: handing them to another thread
/// costs more than it saves while nobody waits. Larger ones must not hold up the other connections
/// of a worker.
const INLINE: usize = 128 * 1024;

/// Time that connections get to bring their request when the service stops.
const DRAIN: Duration = Duration::from_millis(300);

/// Time to read on after a refusal, so that a client still sending gets to see the reply.
const LINGER: Duration = Duration::from_secs(5);

const JSON: &str = "application/json";
const MESSAGE_PACK: &str = "application/msgpack";
const TEXT: &str = "text/plain";

/// What all requests come through.
struct Door {
    state: Arc<State>,
    keep_alive: String,
    connections: Connections,
    is_unix: bool,
}

impl Door {
    /// For one request, which sees nothing of a reload that comes while it is answered.
    fn open(self: &Arc<Self>) -> Service {
        Service { current: self.state.current.load_full(), door: Arc::clone(self) }
    }
}

/// What is needed to answer a request.
struct Service {
    door: Arc<Door>,
    current: Arc<Current>,
}

/// Serves until `shutdown` is ready.
pub(super) async fn run(
    listener: Listener,
    tls: Option<(TcpListener, ServerConfig)>,
    settings: Settings,
    state: Arc<State>,
    shutdown: impl Future<Output = ()> + 'static,
) -> io::Result<()> {
    let workers = turns::processors();
    let door = Arc::new(Door {
        state: Arc::clone(&state),
        keep_alive: format!("timeout={}", settings.keep_alive.as_secs()),
        connections: Connections::default(),
        is_unix: matches!(listener, Listener::Unix(_)),
    });
    let entrance = Arc::clone(&door);
    let server = HttpServer::new(move || {
        let crypt = Arc::clone(&door);
        App::new()
            .app_data(web::Data::from(Arc::clone(&door)))
            .app_data(Rc::<Worker>::default())
            .default_service(web::to(answer))
            .wrap(from_fn(move |request, next| crypt::pass(crypt.open(), request, next)))
    })
    .on_connect(move |stream, extensions| entrance.connected(stream, extensions))
    .workers(workers)
    .max_connections(settings.connections.div_ceil(workers))
    .worker_max_blocking_threads(Gate::threads(workers))
    .client_request_timeout(settings.head_timeout)
    .tls_handshake_timeout(settings.head_timeout)
    .client_disconnect_timeout(LINGER)
    .keep_alive(settings.keep_alive)
    .shutdown_timeout(settings.shutdown_timeout.as_secs())
    .disable_signals();
    let server = match listener {
        Listener::Tcp(listener) => server.listen(listener)?,
        Listener::Unix(listener) => server.listen_uds(listener)?,
    };
    let server = match tls {
        Some((listener, config)) => server.listen_rustls_0_23(listener, config)?,
        None => server,
    }
    .run();

    let handle = server.handle();
    let stopper = rt::spawn(async move {
        shutdown.await;
        state.stopping.store(true, Ordering::Relaxed);
        // A connection that was taken may have its request still on the way; stopping at once would
        // close it without an answer. New ones wait, for the next process if it gets the socket.
        handle.pause().await;
        sleep(DRAIN).await;
        handle.stop(true).await;
    });
    let result = server.await;
    stopper.abort();
    result
}

/// Answers any request; the method does not matter where nothing is changed.
async fn answer(request: HttpRequest, payload: Payload, door: web::Data<Door>) -> HttpResponse {
    let service = door.into_inner().open();
    if let Some(refusal) = service.over_rate(&request) {
        return refusal;
    }
    let route = Route::of(request.path(), has_body(&request));
    // Changes are guarded where they are made.
    let wanted = route.map_or(Some(Right::Read), Route::right);
    let right = match wanted {
        Some(wanted) => match service.ask(&request, wanted).await {
            Ok(right) => right,
            Err(refusal) => return refusal,
        },
        None => Right::Read,
    };
    let Some(route) = route else { return service.refuse(&request, Rejection::UnknownPath) };
    let (state, current) = (&service.door.state, &service.current);
    let ok = |content_type, body| service.respond(&request, StatusCode::OK, content_type, body);
    match route {
        Route::Check(Check::Parts) => service.check_parts(&request, payload).await,
        Route::Check(check) => service.check(&request, payload, check == Check::Old).await,
        Route::Control(ask) => service.control(&request, ask, right),
        Route::Memory(ask) => service.memory(&request, payload, ask).await,
        Route::Reload => service.reload(&request).await,
        Route::Description => ok(JSON, routes::DESCRIPTION),
        Route::Ping => ok(TEXT, "pong\r\n"),
        Route::Health => ok(JSON, r#"{"status":"ok"}"#),
        Route::Ready if state.stopping.load(Ordering::Relaxed) => {
            let body = r#"{"error":"the service is stopping","status":"stopping"}"#;
            service.respond(&request, StatusCode::SERVICE_UNAVAILABLE, JSON, body)
        }
        Route::Ready => ok(JSON, r#"{"success":true,"status":"ready"}"#),
        Route::Metrics => {
            let scan = &current.scan;
            state.metrics.lists(&scan.lists.report(), scan.lists.cache());
            state.metrics.store(&scan.reputation.report(), scan.reputation.is_off());
            state.metrics.load(state.gate.waiting(), current.http.room.taken());
            let text = state.metrics.render();
            service.respond(&request, StatusCode::OK, metrics::CONTENT_TYPE, text)
        }
    }
}

impl Service {
    /// Scans the message that the request brings; `legacy` answers as the old commands do.
    async fn check(&self, request: &HttpRequest, payload: Payload, legacy: bool) -> HttpResponse {
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let query = rspamd::query(request.query_string());
        let (scan_request, mut options) = rspamd::request(headers, &query, super::now());
        options.legacy = legacy;
        options.skip |= request.path().eq_ignore_ascii_case("/skip");
        let message = match self.scanned(request, payload, &options).await {
            Ok(message) => message,
            Err(refusal) => return self.refuse_as(request, refusal),
        };
        let (packed, zstd) = (options.packed, options.zstd);
        match self.scan(request, message, scan_request, options).await {
            Ok(body) => {
                let kind = if packed { MESSAGE_PACK } else { JSON };
                self.respond_packed(request, kind, body, zstd)
            }
            Err(Stopping) => self.stopping(request),
        }
    }

    /// Scans the message of a request in two parts.
    async fn check_parts(&self, request: &HttpRequest, payload: Payload) -> HttpResponse {
        let text = |name: header::HeaderName| {
            let values = request.headers().get_all(name);
            let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
            values.join(",")
        };
        let Some(form) = v3::Form::of(&text(header::ACCEPT)) else {
            self.door.state.metrics.rejected(Rejection::NotAcceptable);
            let status = StatusCode::NOT_ACCEPTABLE;
            return self.respond(request, status, JSON, v3::NOT_ACCEPTABLE);
        };
        let body = match self.message(request, payload).await {
            Ok(body) => body,
            Err(reason) => return self.refuse(request, reason),
        };
        let kind = text(header::CONTENT_TYPE);
        let take_apart = move |body: &mut Body, limit| {
            let Body { octets, held } = body;
            let parts = match v3::read(&kind, octets, limit, &mut |by| held.grow(by)) {
                Err(Mistake::TooLarge) => return None,
                Err(mistake) => return Some(Err(mistake)),
                Ok(parts) => parts,
            };
            let message = match parts.message {
                Cow::Borrowed(message) => octets.slice_ref(message),
                Cow::Owned(message) => {
                    held.shrink_to(message.len());
                    Bytes::from(message)
                }
            };
            Some(Ok((parts.headers, message, parts.packed)))
        };
        let (parts, held) = match self.work(request, body, take_apart).await {
            Ok((parts, body)) => (parts.unwrap_or(Err(Mistake::TooLarge)), body.held),
            Err(Stopping) => return self.stopping(request),
        };
        let (headers, message, was_packed) = match parts {
            Ok(parts) => parts,
            Err(Mistake::NoRoom) => return self.refuse(request, Rejection::Room),
            Err(Mistake::TooLarge) => {
                let error = self.said(Rejection::TooLarge);
                return self.refuse_as(request, (Rejection::Parts, error));
            }
            Err(Mistake::Caller(error)) => {
                return self.refuse_as(request, (Rejection::Parts, error));
            }
        };
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let (scan_request, mut options) = rspamd::request(headers, &[], super::now());
        options.packed = match form {
            v3::Form::Json => false,
            v3::Form::MessagePack => true,
            v3::Form::Parts | v3::Form::Mixed => was_packed,
        };
        let packed = options.packed;
        let zstd = compression::takes_zstd(&text(header::ACCEPT_ENCODING));
        let message = Body { octets: message, held };
        let body = match self.scan(request, message, scan_request, options).await {
            Ok(body) => body,
            Err(Stopping) => return self.stopping(request),
        };
        let mut response = if matches!(form, v3::Form::Json | v3::Form::MessagePack) {
            self.respond_packed(request, if packed { MESSAGE_PACK } else { JSON }, body, zstd)
        } else {
            let (kind, body) = v3::wrap(&body, packed, zstd, form);
            let mut response = self.respond(request, StatusCode::OK, JSON, body);
            if let Ok(kind) = HeaderValue::from_str(&kind) {
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
            }
            response
        };
        let vary = HeaderValue::from_static("Accept, Accept-Encoding");
        response.headers_mut().insert(header::VARY, vary);
        response
    }

    /// Scans: where the message was read while nobody else wants anything, else in its turn.
    async fn scan(
        &self,
        request: &HttpRequest,
        message: Body,
        mut scan_request: Request,
        options: rspamd::Options,
    ) -> Result<Vec<u8>, Stopping> {
        let verdict = &self.current.scan.verdict;
        let (profile, notes) = rspamd::profile(&options, verdict, self.settings().inline_settings);
        scan_request.profile = profile;
        for note in notes {
            tracing::warn!("{note}");
        }
        let (door, current) = (Arc::clone(&self.door), Arc::clone(&self.current));
        let gate = &self.door.state.gate;
        let may_wait = current.scan.may_wait();
        // Who waits for DNS must not hold up the others either.
        let is_quick = message.octets.len() <= INLINE && !may_wait;
        let worker = request.app_data::<Rc<Worker>>().filter(|_| is_quick);
        if let Some(_turn) = worker.and_then(|worker| gate.alone(worker)) {
            return Ok(scan(&door.state, &current, &message.octets, &scan_request, &options));
        }
        let work = move |waits| {
            scan_request.waits = waits;
            scan(&door.state, &current, &message.octets, &scan_request, &options)
        };
        gate.run(client::who(request), may_wait, work).await
    }

    fn stopping(&self, request: &HttpRequest) -> HttpResponse {
        let body = rspamd::failure("the service is stopping");
        self.respond(request, StatusCode::SERVICE_UNAVAILABLE, JSON, body)
    }

    /// Settings of the listener.
    fn settings(&self) -> &Settings {
        &self.current.http.settings
    }

    /// Has rules and settings read again.
    async fn reload(&self, request: &HttpRequest) -> HttpResponse {
        if request.method() != Method::POST {
            return self.refuse_method(request);
        }
        if let Err(refusal) = self.ask(request, Right::Change).await {
            return refusal;
        }
        let state = Arc::clone(&self.door.state);
        match reload::apart(state).await {
            Some(None) => self.refuse(request, Rejection::UnknownPath),
            Some(Some(Ok(done))) => {
                let body = rspamd::reloaded(done.symbols, &done.warnings, done.note());
                self.respond(request, StatusCode::OK, JSON, body)
            }
            Some(Some(Err(refusal))) => {
                let status = match refusal {
                    Refusal::Rules(_) | Refusal::Configuration(_) => {
                        StatusCode::UNPROCESSABLE_ENTITY
                    }
                    Refusal::Files(_) => StatusCode::INTERNAL_SERVER_ERROR,
                };
                self.respond(request, status, JSON, rspamd::not_reloaded(&refusal.to_string()))
            }
            None => {
                let body = rspamd::not_reloaded("the reload was cut short");
                self.respond(request, StatusCode::INTERNAL_SERVER_ERROR, JSON, body)
            }
        }
    }
}

fn declared_length(request: &HttpRequest) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

fn has_body(request: &HttpRequest) -> bool {
    let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    chunked || declared_length(request).is_some_and(|length| length > 0)
}

/// How a list is, for `/stat`.
fn list_state(report: &Report) -> rspamd::ListState {
    rspamd::ListState {
        name: report.list.name.to_string(),
        zone: report.list.shown.to_string(),
        up: report.off.is_none(),
        reason: report.off.map(|(why, _)| why),
        pause: report.off.map(|(_, seconds)| seconds),
        questions: report.counts.iter().map(|(result, n)| (result.name(), *n)).collect(),
    }
}

/// Scans, and writes the reply.
fn scan(
    state: &State,
    current: &Current,
    message: &[u8],
    request: &Request,
    options: &rspamd::Options,
) -> Vec<u8> {
    let thresholds = current.scan.verdict.thresholds_under(request.profile.as_deref());
    let told = Told {
        log_tag: options.log_tag.as_deref(),
        subject: options.subject.as_deref(),
        no_log: options.no_log,
        no_stat: options.no_stat,
    };
    let outcome = if options.skip {
        perform::skipped(message.len())
    } else {
        perform((state, current), message, request, PROTOCOL, told)
    };
    rspamd::reply(&outcome, request, options, &thresholds)
}
