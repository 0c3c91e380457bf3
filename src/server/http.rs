//! The HTTP listener: Rspamd's paths, and those that monitoring asks.
//!
//! Comes in: a listening socket. Goes out: replies; the JSON in them is `protocol`'s.
//! Not an error: a client that is slow, sends too much or hangs up.

mod body;
mod client;
mod controller;
mod crypt;
mod memory;

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode, Version};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Bytes, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt};

use super::access::{Access, Right};
use super::perform::{self, Told, perform};
use super::quota::{Connections, Quota};
use super::{Listener, Refusal, Settings, State, Transport};
use crate::lists::Report;
use crate::metrics::{self, Rejection};
use crate::protocol::compression;
use crate::protocol::rspamd::{self, v3};
use crate::scan::Request;
use crypt::Crypt;

/// Label of this dialect in metrics.
const PROTOCOL: &str = "rspamd";

/// Messages up to this size are scanned where they were read: handing them to another thread
/// costs more than it saves. Larger ones must not hold up the other connections of a worker.
const INLINE: usize = 128 * 1024;

/// Threads for large messages, per worker. More would not scan faster; they would only make
/// each other run out of their time budgets.
const BLOCKING_THREADS: usize = 2;

/// The same where scans wait for DNS, which takes time and no work.
const WAITING_THREADS: usize = 64;

/// Time to read on after a refusal, so that a client still sending gets to see the reply.
const LINGER: Duration = Duration::from_secs(5);

const JSON: &str = "application/json";
const MESSAGE_PACK: &str = "application/msgpack";
const TEXT: &str = "text/plain";

/// A command that scans, by the shape of its request and answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// `/checkv2`.
    New,
    /// `/checkv3`: a request in parts.
    Parts,
    /// The old commands.
    Old,
}

impl Check {
    /// What the path stands for, in lower case.
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/checkv2" => Self::New,
            "/checkv3" => Self::Parts,
            "/check" | "/scan" | "/symbols" | "/process" | "/report" | "/report_ifspam"
            | "/skip" => Self::Old,
            _ => return None,
        })
    }
}

/// The service ends before this scan does.
struct Stopping;

/// What a worker needs to answer.
#[derive(Clone)]
struct Service {
    state: Arc<State>,
    max_message: usize,
    body_timeout: Duration,
    keep_alive: Arc<str>,
    access: Arc<Access>,
    rate: Option<Arc<Quota>>,
    connections: Connections,
    connections_per_client: usize,
    inline_settings: bool,
    file_folders: Arc<[PathBuf]>,
    is_unix: bool,
}

/// Serves until `shutdown` is ready.
pub(super) async fn run(
    listener: Listener,
    transport: Transport,
    settings: Settings,
    state: Arc<State>,
    shutdown: impl Future<Output = ()> + 'static,
) -> io::Result<()> {
    let workers = available_parallelism().map_or(1, usize::from);
    let waits = state.settings.may_wait();
    let threads = if waits { WAITING_THREADS } else { BLOCKING_THREADS };
    let service = Service {
        state: Arc::clone(&state),
        max_message: settings.max_message,
        body_timeout: settings.body_timeout,
        keep_alive: format!("timeout={}", settings.keep_alive.as_secs()).into(),
        access: Arc::new(Access::new(settings.password, settings.enable_password, settings.secure)),
        rate: settings.rate.map(|rate| Arc::new(Quota::new(rate.count, rate.window))),
        connections: Connections::default(),
        connections_per_client: settings.connections_per_client,
        inline_settings: settings.inline_settings,
        file_folders: settings.file_folders.into(),
        is_unix: matches!(listener, Listener::Unix(_)),
    };
    let only = settings.encrypted_only;
    let crypt = Crypt { service: service.clone(), keypair: transport.keypair, only };
    let door = service.clone();
    let server = HttpServer::new(move || {
        let crypt = crypt.clone();
        App::new()
            .app_data(web::Data::new(service.clone()))
            .default_service(web::to(answer))
            .wrap(from_fn(move |request, next| crypt.clone().pass(request, next)))
    })
    .on_connect(move |stream, extensions| door.connected(stream, extensions))
    .workers(workers)
    .max_connections(settings.connections.div_ceil(workers))
    .worker_max_blocking_threads(threads)
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
    let server = match transport.tls {
        Some((listener, config)) => server.listen_rustls_0_23(listener, config)?,
        None => server,
    }
    .run();

    let handle = server.handle();
    let stopper = rt::spawn(async move {
        shutdown.await;
        state.stopping.store(true, Ordering::Relaxed);
        handle.stop(true).await;
    });
    let result = server.await;
    stopper.abort();
    result
}

/// Answers any request: paths are compared without regard to case, as Rspamd does, and the
/// method does not matter where nothing is changed.
async fn answer(
    request: HttpRequest,
    payload: Payload,
    service: web::Data<Service>,
) -> HttpResponse {
    let state = &service.state;
    let path = request.path().to_ascii_lowercase();
    if let Some(refusal) = service.over_rate(&request) {
        return refusal;
    }
    if let Some(ask) = memory::Ask::of(&path) {
        return service.memory(&request, payload, ask).await;
    }
    let control = controller::Ask::of(&path, has_body(&request));
    // What tells no more than that the service is there is told to everybody; changes are guarded
    // where they are made.
    if !matches!(path.as_str(), "/ping" | "/health" | "/ready" | "/reload") {
        let wanted = control.map_or(Right::Read, controller::Ask::right);
        match (service.ask(&request, wanted).await, control) {
            (Err(refusal), _) => return refusal,
            (Ok(right), Some(ask)) => return service.control(&request, ask, right),
            (Ok(_), None) => {}
        }
    }
    match Check::of(&path) {
        Some(Check::Parts) => return service.check_parts(&request, payload).await,
        Some(check) => return service.check(&request, payload, check == Check::Old).await,
        None => {}
    }
    match path.as_str() {
        "/ping" => service.respond(&request, StatusCode::OK, TEXT, "pong\r\n"),
        "/metrics" => {
            state.metrics.lists(&state.settings.lists.report(), state.settings.lists.cache());
            let memory = &state.settings.reputation;
            state.metrics.store(&memory.report(), memory.is_off());
            let text = state.metrics.render();
            service.respond(&request, StatusCode::OK, metrics::CONTENT_TYPE, text)
        }
        "/health" => service.respond(&request, StatusCode::OK, JSON, r#"{"status":"ok"}"#),
        "/ready" if state.stopping.load(Ordering::Relaxed) => {
            let body = r#"{"error":"the service is stopping","status":"stopping"}"#;
            service.respond(&request, StatusCode::SERVICE_UNAVAILABLE, JSON, body)
        }
        "/ready" => {
            service.respond(&request, StatusCode::OK, JSON, r#"{"success":true,"status":"ready"}"#)
        }
        "/reload" => service.reload(&request).await,
        _ => service.refuse(&request, Rejection::UnknownPath),
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
        match self.scan(message, scan_request, options).await {
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
            self.state.metrics.rejected(Rejection::NotAcceptable);
            let status = StatusCode::NOT_ACCEPTABLE;
            return self.respond(request, status, JSON, v3::NOT_ACCEPTABLE);
        };
        let body = match self.message(request, payload).await {
            Ok(body) => body,
            Err(reason) => return self.refuse(request, reason),
        };
        let read = v3::read(&text(header::CONTENT_TYPE), &body, self.max_message);
        let parts = match read {
            Ok(parts) => parts,
            Err(error) => return self.refuse_as(request, (Rejection::Parts, error)),
        };
        let headers = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let (scan_request, mut options) = rspamd::request(headers, &[], super::now());
        options.packed = match form {
            v3::Form::Json => false,
            v3::Form::MessagePack => true,
            v3::Form::Parts | v3::Form::Mixed => parts.packed,
        };
        let packed = options.packed;
        let zstd = compression::takes_zstd(&text(header::ACCEPT_ENCODING));
        let message = match parts.message {
            Cow::Borrowed(message) => body.slice_ref(message),
            Cow::Owned(message) => Bytes::from(message),
        };
        let body = match self.scan(message, scan_request, options).await {
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

    /// Scans, here or where it holds up nobody.
    async fn scan(
        &self,
        message: Bytes,
        mut scan_request: Request,
        options: rspamd::Options,
    ) -> Result<Vec<u8>, Stopping> {
        let verdict = &self.state.settings.verdict;
        let (profile, notes) = rspamd::profile(&options, verdict, self.inline_settings);
        scan_request.profile = profile;
        for note in notes {
            tracing::warn!("{note}");
        }
        // Who waits for DNS must not hold up the others either.
        if message.len() <= INLINE && !self.state.settings.may_wait() {
            return Ok(scan(&self.state, &message, &scan_request, &options));
        }
        let state = Arc::clone(&self.state);
        let scanned = web::block(move || scan(&state, &message, &scan_request, &options));
        // The threads are gone only while the service stops without mercy.
        scanned.await.map_err(|_| Stopping)
    }

    fn stopping(&self, request: &HttpRequest) -> HttpResponse {
        let body = rspamd::failure("the service is stopping");
        self.respond(request, StatusCode::SERVICE_UNAVAILABLE, JSON, body)
    }

    /// Has the rules read again.
    async fn reload(&self, request: &HttpRequest) -> HttpResponse {
        if request.method() != Method::POST {
            return self.refuse_method(request);
        }
        if let Err(refusal) = self.ask(request, Right::Change).await {
            return refusal;
        }
        let state = Arc::clone(&self.state);
        match web::block(move || state.reload()).await {
            Ok(None) => self.refuse(request, Rejection::UnknownPath),
            Ok(Some(Ok(done))) => {
                let body = rspamd::reloaded(done.symbols, &done.warnings);
                self.respond(request, StatusCode::OK, JSON, body)
            }
            Ok(Some(Err(refusal))) => {
                let status = match refusal {
                    Refusal::Rules(_) => StatusCode::UNPROCESSABLE_ENTITY,
                    Refusal::Files(_) => StatusCode::INTERNAL_SERVER_ERROR,
                };
                self.respond(request, status, JSON, rspamd::not_reloaded(&refusal.to_string()))
            }
            Err(_) => {
                let body = rspamd::not_reloaded("the reload was cut short");
                self.respond(request, StatusCode::INTERNAL_SERVER_ERROR, JSON, body)
            }
        }
    }

    /// Answers a request that gets no scan.
    fn refuse(&self, request: &HttpRequest, reason: Rejection) -> HttpResponse {
        self.refuse_as(request, (reason, self.said(reason)))
    }

    /// Answers a request that needs POST.
    fn refuse_method(&self, request: &HttpRequest) -> HttpResponse {
        let mut response = self.refuse(request, Rejection::Method);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        response
    }

    /// What a refusal says where there is no more to tell.
    fn said(&self, reason: Rejection) -> String {
        match reason {
            Rejection::TooLarge => format!("message is larger than {} bytes", self.max_message),
            Rejection::Timeout => "the message did not come in time".to_owned(),
            Rejection::BrokenBody => "the message is cut off".to_owned(),
            Rejection::Compression => "Invalid compression method".to_owned(),
            Rejection::UnknownPath => "invalid command: there is nothing at this path".to_owned(),
            Rejection::Method => "this path takes POST only".to_owned(),
            Rejection::Unauthorized => "Unauthorized".to_owned(),
            Rejection::Parts => "not a request in two parts".to_owned(),
            Rejection::NotAcceptable => "Not Acceptable".to_owned(),
            Rejection::File => "File/shm inputs are not allowed from here".to_owned(),
            Rejection::Encryption => "Encryption required".to_owned(),
            Rejection::Rate => "too many requests".to_owned(),
            Rejection::Connections => "too many connections".to_owned(),
            Rejection::Guesses => "Too many authentication failures".to_owned(),
        }
    }

    /// The same in other words. Mistakes of a caller are 4xx, where Rspamd says 5xx: a client that
    /// takes the service for broken after somebody's bad body would leave it alone for a while.
    fn refuse_as(
        &self,
        request: &HttpRequest,
        (reason, error): (Rejection, String),
    ) -> HttpResponse {
        self.state.metrics.rejected(reason);
        tracing::debug!(reason = reason.name(), "refused");
        let status = match reason {
            Rejection::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Rejection::Timeout => StatusCode::REQUEST_TIMEOUT,
            Rejection::BrokenBody | Rejection::Parts | Rejection::File | Rejection::Encryption => {
                StatusCode::BAD_REQUEST
            }
            Rejection::Compression => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Rejection::UnknownPath => StatusCode::NOT_FOUND,
            Rejection::Method => StatusCode::METHOD_NOT_ALLOWED,
            Rejection::Unauthorized => StatusCode::UNAUTHORIZED,
            Rejection::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Rejection::Rate | Rejection::Connections | Rejection::Guesses => {
                StatusCode::TOO_MANY_REQUESTS
            }
        };
        self.respond(request, status, JSON, rspamd::failure(&error))
    }

    /// A reply with status 200, packed for callers that take it so.
    fn respond_packed(
        &self,
        request: &HttpRequest,
        content_type: &'static str,
        body: Vec<u8>,
        zstd: bool,
    ) -> HttpResponse {
        let Some(packed) = zstd.then(|| compression::zstd(&body)).flatten() else {
            return self.respond(request, StatusCode::OK, content_type, body);
        };
        let mut response = self.respond(request, StatusCode::OK, content_type, packed);
        let name = HeaderValue::from_static(compression::ZSTD);
        let headers = response.headers_mut();
        // Rspamd's own name of the header, and everybody else's.
        headers.insert(header::HeaderName::from_static("compression"), name.clone());
        headers.insert(header::CONTENT_ENCODING, name);
        response
    }

    fn respond(
        &self,
        request: &HttpRequest,
        status: StatusCode,
        content_type: &'static str,
        body: impl MessageBody + 'static,
    ) -> HttpResponse {
        let mut response = HttpResponse::build(status);
        response
            .insert_header((header::SERVER, concat!("calspamd/", env!("CARGO_PKG_VERSION"))))
            .insert_header((header::CONTENT_TYPE, content_type));
        if self.keeps_alive(request, status) {
            response.insert_header(("keep-alive", self.keep_alive.as_ref()));
            if let Some(reason) = reason_with_keep_alive(request.version(), status) {
                response.reason(reason);
            }
        } else {
            response.force_close();
        }
        let mut response = response.body(body);
        // Some clients of Rspamd compare header names letter by letter.
        response.head_mut().set_camel_case_headers(true);
        response
    }

    /// Whether the connection stays open after this reply. A body that nobody read is in the
    /// way of the next request, so those connections end.
    fn keeps_alive(&self, request: &HttpRequest, status: StatusCode) -> bool {
        let body_was_read = status == StatusCode::OK && is_scan(request);
        request.head().connection_type() == ConnectionType::KeepAlive
            && matches!(status, StatusCode::OK | StatusCode::NOT_FOUND)
            && (body_was_read || !has_body(request))
            && !self.state.stopping.load(Ordering::Relaxed)
    }
}

/// The reason phrase with the header `Connection: keep-alive` behind it.
///
/// Rspamd's Lua client keeps a connection only when this header is written out. HTTP/1.1 means
/// the same without it, so actix-web drops the header from any reply, and the reason phrase is
/// the one place in front of the headers that it copies as it is. For HTTP/1.0 actix-web writes
/// the header by itself.
fn reason_with_keep_alive(version: Version, status: StatusCode) -> Option<&'static str> {
    match (version, status) {
        (Version::HTTP_11, StatusCode::OK) => Some("OK\r\nConnection: keep-alive"),
        (Version::HTTP_11, StatusCode::NOT_FOUND) => Some("Not Found\r\nConnection: keep-alive"),
        _ => None,
    }
}

fn is_scan(request: &HttpRequest) -> bool {
    let path = request.path().to_ascii_lowercase();
    Check::of(&path).is_some() || memory::Ask::of(&path).is_some()
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
fn scan(state: &State, message: &[u8], request: &Request, options: &rspamd::Options) -> Vec<u8> {
    let thresholds = state.settings.verdict.thresholds_under(request.profile.as_deref());
    let told = Told {
        log_tag: options.log_tag.as_deref(),
        subject: options.subject.as_deref(),
        no_log: options.no_log,
        no_stat: options.no_stat,
    };
    let outcome = if options.skip {
        perform::skipped(message.len())
    } else {
        perform(state, message, request, PROTOCOL, told)
    };
    rspamd::reply(&outcome, request, options, &thresholds)
}
