//! `HTTPCrypt` in front of everything else: opens requests that come in envelopes, hands what is
//! inside on as if it had come in the clear, and seals the reply.
//!
//! Comes in: any request. Goes out: its reply, sealed where the request was.
//! Not an error: a sender who does not know our key. The refusal is in the clear, he could read no
//! other.

use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{self, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode, Uri, Version};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Payload};
use actix_web::{Error, HttpMessage, HttpResponse};

use super::Service;
use super::body::Body;
use super::reply::reason_with_keep_alive;
use crate::metrics::Rejection;
use crate::protocol::rspamd::crypt::{self, KeyPair, Refusal, Secret};
use crate::server::access;

/// The header that says who sends an envelope, and for whom.
const KEY: HeaderName = HeaderName::from_static("key");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

const SEALED: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Passes a request on.
pub(super) async fn pass<B: MessageBody + 'static>(
    service: Service,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let http = &service.current.http;
    let keypair = http.keypair.as_ref().filter(|_| request.headers().contains_key(KEY));
    let Some(keypair) = keypair else {
        if http.settings.encrypted_only && !is_near(&service, &request) {
            return Ok(refuse(&service, request, "Encryption required".to_owned()));
        }
        drop(service);
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let limit = http.settings.max_message.saturating_add(crypt::HEAD + crypt::OVERHEAD);
    let payload = request.extract::<Payload>().await?;
    let envelope = service.read(request.request(), payload, limit).await;
    // What comes out takes as much once more.
    let envelope = envelope.and_then(|mut envelope| {
        let has_room = envelope.held.grow(envelope.octets.len());
        if has_room { Ok(envelope) } else { Err(Rejection::Room) }
    });
    let Body { octets, mut held } = match envelope {
        Ok(envelope) => envelope,
        Err(reason) => {
            let reply = service.refuse(request.request(), reason);
            return Ok(request.into_response(reply));
        }
    };
    let secret = match unwrap(&mut request, keypair, &octets) {
        Ok(secret) => secret,
        Err(refusal) => return Ok(refuse(&service, request, refusal.to_string())),
    };
    held.shrink_to(octets.len());
    drop((octets, service));
    // Whoever reads what is inside goes on with it.
    request.extensions_mut().insert(held);
    let (request, reply) = next.call(request).await?.into_parts();
    let reply = match seal(reply, request.version(), &secret).await {
        Some(reply) => reply,
        None => HttpResponse::InternalServerError().finish(),
    };
    Ok(ServiceResponse::new(request, reply))
}

fn refuse(service: &Service, request: ServiceRequest, error: String) -> ServiceResponse<BoxBody> {
    let reply = service.refuse_as(request.request(), (Rejection::Encryption, error));
    request.into_response(reply)
}

/// Whether the request comes from this machine, and not through somebody on it.
fn is_near(service: &Service, request: &ServiceRequest) -> bool {
    let peer = request.request().peer_addr().map(|address| address.ip());
    (peer.is_some() || service.door.is_unix) && access::is_near(peer, request.headers())
}

/// Puts the request inside in the place of the one around it.
fn unwrap(
    request: &mut ServiceRequest,
    keypair: &KeyPair,
    envelope: &[u8],
) -> Result<Secret, Refusal> {
    let key = request.headers().get(KEY).ok_or(Refusal::Header)?;
    let secret = keypair.shared_with(key.as_bytes())?;
    let text = secret.open(envelope)?;
    let inner = crypt::inner(&text)?;
    let method = Method::from_bytes(inner.method.as_bytes()).map_err(|_| Refusal::Inside)?;
    let uri = Uri::try_from(inner.target).map_err(|_| Refusal::Inside)?;
    let mut headers = HeaderMap::with_capacity(inner.headers.len());
    for (name, value) in inner.headers {
        let name = HeaderName::try_from(name).map_err(|_| Refusal::Inside)?;
        let value = HeaderValue::try_from(value).map_err(|_| Refusal::Inside)?;
        headers.append(name, value);
    }
    // Who has brought the envelope for somebody else says so on the outside.
    for name in access::BROUGHT {
        if let Some(value) = request.headers().get(name) {
            headers.append(HeaderName::from_static(name), value.clone());
        }
    }
    let body = Bytes::from(text).slice(inner.body);
    request.match_info_mut().get_mut().update(&uri);
    let head = request.head_mut();
    (head.method, head.uri, head.headers) = (method, uri, headers);
    request.set_payload(dev::Payload::from(body));
    Ok(secret)
}

/// Puts a reply into an envelope. What concerns the connection stays outside.
async fn seal<B: MessageBody>(
    reply: HttpResponse<B>,
    version: Version,
    secret: &Secret,
) -> Option<HttpResponse> {
    let status = reply.status();
    let (mut head, body) = reply.into_parts();
    let body = to_bytes(body).await.ok()?;
    let names: Vec<(String, HeaderValue)> = head
        .headers()
        .iter()
        .filter(|(name, _)| *name != KEEP_ALIVE)
        .map(|(name, value)| (camel_case(name.as_str()), value.clone()))
        .collect();
    let headers = names.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let reason = status.canonical_reason().unwrap_or_default();
    let envelope = secret.seal(&crypt::response(status.as_u16(), reason, headers, &body))?;

    let keeps_alive = head.headers().contains_key(KEEP_ALIVE);
    head.headers_mut().retain(|name, _| *name == KEEP_ALIVE || *name == header::SERVER);
    head.headers_mut().insert(header::CONTENT_TYPE, SEALED);
    // As Rspamd has it: how the request was answered is nobody else's business.
    *head.status_mut() = StatusCode::OK;
    head.head_mut().reason =
        keeps_alive.then(|| reason_with_keep_alive(version, StatusCode::OK)).flatten();
    Some(head.set_body(envelope).map_into_boxed_body())
}

/// `content-type` as `Content-Type`: some clients of Rspamd compare names letter by letter.
fn camel_case(name: &str) -> String {
    let mut starts = true;
    name.chars()
        .map(|c| {
            let c = if starts { c.to_ascii_uppercase() } else { c };
            starts = c == '-';
            c
        })
        .collect()
}
