//! Who is on the other side of a connection, and how much of the service he may have.
//!
//! Comes in: connections and requests. Goes out: yes, or a refusal with the time to wait.
//! A connection over the limit is ended before its first request: it would keep a place from others.

use std::any::Any;
use std::net::IpAddr;
use std::time::Instant;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::http::header::{self, HeaderValue};
use actix_web::rt::net::TcpStream;
use actix_web::{HttpRequest, HttpResponse};

use super::controller::argument;
use super::{Door, Service};
use crate::metrics::Rejection;
use crate::server::access::{Denied, Right};
use crate::server::quota::Client;
use crate::server::room::Held;
use crate::server::turns::Who;

/// What a client reads whose connection is one too many.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 1\r\n\
    Content-Type: application/json\r\nContent-Length: 64\r\n\r\n\
    {\"error\":\"too many connections\",\"error_domain\":\"protocol-error\"}";

impl Door {
    /// Counts a new connection, and ends it where its client has too many already.
    pub(super) fn connected(&self, stream: &dyn Any, extensions: &mut Extensions) {
        self.state.journal.connected();
        // A Unix socket has no client to tell from others.
        let (plain, tls) = (stream.downcast_ref(), stream.downcast_ref::<TlsStream<TcpStream>>());
        let is_tls = tls.is_some();
        let Some(stream) = plain.or(tls.map(|stream| stream.get_ref().0)) else { return };
        let Ok(peer) = stream.peer_addr() else { return };
        let current = self.state.current.load();
        if current.http.access.is_secure(peer.ip()) {
            return;
        }
        let most = current.http.settings.connections_per_client;
        let place = self.connections.enter(Client::from(peer.ip()), most);
        if let Some(place) = place {
            // Dropped with the connection.
            extensions.insert(place);
            return;
        }
        self.state.metrics.rejected(Rejection::Connections);
        // Past tokio, which does not know yet that a new socket takes octets. Whoever does not read
        // them sees the connection end, and so does a client of TLS.
        let socket = socket2::SockRef::from(stream);
        if !is_tls {
            drop(socket.send(TOO_MANY));
        }
        drop(socket.shutdown(std::net::Shutdown::Both));
    }
}

impl Service {
    /// The refusal of a request of a client that has sent too many.
    pub(super) fn over_rate(&self, request: &HttpRequest) -> Option<HttpResponse> {
        let http = &self.current.http;
        let quota = http.rate.as_ref()?;
        let peer = peer(request)?;
        if http.access.is_secure(peer) {
            return None;
        }
        let wait = quota.take(Client::from(peer), Instant::now()).err()?;
        Some(self.too_many(request, Rejection::Rate, wait.as_secs() + 1))
    }

    /// What the caller may, if that is what is wanted, else the refusal.
    pub(super) async fn ask(
        &self,
        request: &HttpRequest,
        wanted: Right,
    ) -> Result<Right, HttpResponse> {
        let peer = match peer(request) {
            None if !self.door.is_unix => return Err(self.refuse(request, Rejection::Unauthorized)),
            peer => peer,
        };
        let password = argument(request, "password");
        let access = &self.current.http.access;
        let asked = access.ask(peer, request.headers(), password.as_deref(), wanted);
        asked.await.map_err(|denied| match denied {
            Denied::Unauthorized => self.refuse(request, Rejection::Unauthorized),
            Denied::TooMany(seconds) => self.too_many(request, Rejection::Guesses, seconds),
        })
    }

    /// Room for the body of the request, where nothing of it has come yet.
    pub(super) fn hold(&self, request: &HttpRequest) -> Held {
        let http = &self.current.http;
        let is_trusted = peer(request).is_none_or(|address| http.access.is_secure(address));
        http.room.hold(who(request), is_trusted)
    }

    fn too_many(&self, request: &HttpRequest, reason: Rejection, seconds: u64) -> HttpResponse {
        let mut response = self.refuse(request, reason);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        response
    }
}

/// The address of the other side; none on a Unix socket.
fn peer(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|address| address.ip())
}

/// Whose turn it is for the request.
pub(super) fn who(request: &HttpRequest) -> Who {
    peer(request).map(Client::from)
}

#[cfg(test)]
mod tests {
    use super::TOO_MANY;

    #[test]
    fn the_short_refusal_is_whole() {
        let text = std::str::from_utf8(TOO_MANY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = head.split("Content-Length: ").nth(1).unwrap();
        assert_eq!(length, body.len().to_string());
    }
}
