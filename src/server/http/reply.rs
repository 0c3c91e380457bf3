//! Replies of any kind: their frame, refusals, and whether the connection stays open.
//!
//! Comes in: status, kind and body, or why there is no scan. Goes out: the reply as Rspamd's
//! clients read it.

use std::sync::atomic::Ordering;

use actix_web::body::MessageBody;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{ConnectionType, StatusCode, Version};
use actix_web::{HttpRequest, HttpResponse};

use super::routes::Route;
use super::{JSON, Service, has_body};
use crate::metrics::Rejection;
use crate::protocol::compression;
use crate::protocol::rspamd;

impl Service {
    /// Answers a request that gets no scan.
    pub(super) fn refuse(&self, request: &HttpRequest, reason: Rejection) -> HttpResponse {
        self.refuse_as(request, (reason, self.said(reason)))
    }

    /// Answers a request that needs POST.
    pub(super) fn refuse_method(&self, request: &HttpRequest) -> HttpResponse {
        let mut response = self.refuse(request, Rejection::Method);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        response
    }

    /// What a refusal says where there is no more to tell.
    pub(super) fn said(&self, reason: Rejection) -> String {
        match reason {
            Rejection::TooLarge => {
                format!("message is larger than {} bytes", self.settings().max_message)
            }
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
            Rejection::Room => "too many messages at a time".to_owned(),
        }
    }

    /// The same in other words. Mistakes of a caller are 4xx, where Rspamd says 5xx: a client that
    /// takes the service for broken after somebody's bad body would leave it alone for a while.
    pub(super) fn refuse_as(
        &self,
        request: &HttpRequest,
        (reason, error): (Rejection, String),
    ) -> HttpResponse {
        self.door.state.metrics.rejected(reason);
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
            Rejection::Room => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = self.respond(request, status, JSON, rspamd::failure(&error));
        if reason == Rejection::Room {
            // As long as a scan takes, or a body on a slow line.
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// A reply with status 200, packed for callers that take it so.
    pub(super) fn respond_packed(
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

    pub(super) fn respond(
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
            response.insert_header(("keep-alive", self.door.keep_alive.as_str()));
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
        let route = Route::of(request.path(), has_body(request));
        let body_was_read = status == StatusCode::OK && route.is_some_and(Route::reads_body);
        request.head().connection_type() == ConnectionType::KeepAlive
            && matches!(status, StatusCode::OK | StatusCode::NOT_FOUND)
            && (body_was_read || !has_body(request))
            && !self.door.state.stopping.load(Ordering::Relaxed)
    }
}

/// The reason phrase with the header `Connection: keep-alive` behind it.
///
/// Rspamd's Lua client keeps a connection only when this header is written out. HTTP/1.1 means
/// the same without it, so actix-web drops the header from any reply, and the reason phrase is
/// the one place in front of the headers that it copies as it is. For HTTP/1.0 actix-web writes
/// the header by itself.
pub(super) fn reason_with_keep_alive(version: Version, status: StatusCode) -> Option<&'static str> {
    match (version, status) {
        (Version::HTTP_11, StatusCode::OK) => Some("OK\r\nConnection: keep-alive"),
        (Version::HTTP_11, StatusCode::NOT_FOUND) => Some("Not Found\r\nConnection: keep-alive"),
        _ => None,
    }
}
