//! `HTTPCrypt`, Rspamd's encrypted transport: a request inside a request, and its answer.
//!
//! Comes in: the value of the header `Key`, the body beside it, and our pair of keys. Goes out: the
//! request inside, and what seals the reply to it. The clear reply goes out as the bytes of an
//! envelope.
//! Not an error of ours: an envelope made for another key, a wrong code, a request inside that
//! makes no sense. Each is refused, and nothing of it is looked at.
//!
//! An envelope is a nonce of 24 octets, a code of 16, and the cipher text. Both sides come to the
//! same secret by X25519 and `HChaCha20` over it; the text is under `XChaCha20`, whose first 64
//! octets make the key of Poly1305 and are thrown away after that. The code is over the cipher text
//! alone.

mod keys;

use std::ops::Range;

use chacha20::cipher::StreamCipher;
use chacha20::{KeyIvInit, XChaCha20};
use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit;
use subtle::ConstantTimeEq;

pub use keys::{KeyError, KeyPair};

/// Octets of a nonce.
const NONCE: usize = 24;
/// Octets of an authentication code.
const CODE: usize = 16;
/// Octets in front of the cipher text.
pub const OVERHEAD: usize = NONCE + CODE;
/// What a reader of Poly1305's key draws from the stream.
const BLOCK: usize = 64;

/// Fields of the head inside; as many as actix-web takes outside.
const FIELDS: usize = 96;
/// Octets of the head inside; as many as actix-web takes outside.
pub const HEAD: usize = 128 * 1024;

/// Why an envelope was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The header `Key` is not of the form `ID=PUBLIC KEY`.
    #[error("the header Key is not understood")]
    Header,
    /// The sender has another public key of ours.
    #[error("encrypted for another key")]
    OtherKey,
    /// Not an envelope, or somebody has changed it.
    #[error("cannot decrypt: the code is wrong")]
    Code,
    /// What is inside is no request.
    #[error("no request inside")]
    Inside,
}

/// What both sides of one exchange know, and nobody else.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// The stream behind its first block, and the code that this block makes over a text.
    fn start(&self, nonce: &[u8; NONCE]) -> (XChaCha20, Poly1305) {
        let mut stream = XChaCha20::new(&self.0.into(), nonce.into());
        let mut block = [0; BLOCK];
        stream.apply_keystream(&mut block);
        let (key, _) = block.split_at(32);
        // The half of a block is a key.
        let key: [u8; 32] = key.try_into().unwrap_or_default();
        (stream, Poly1305::new(&key.into()))
    }

    /// Takes an envelope apart.
    ///
    /// # Errors
    ///
    /// It is too short, or its code is wrong.
    pub fn open(&self, envelope: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (nonce, rest) = envelope.split_first_chunk::<NONCE>().ok_or(Refusal::Code)?;
        let (code, text) = rest.split_first_chunk::<CODE>().ok_or(Refusal::Code)?;
        let (mut stream, poly) = self.start(nonce);
        let expected = poly.compute_unpadded(text);
        if !bool::from(expected.as_slice().ct_eq(code)) {
            return Err(Refusal::Code);
        }
        let mut text = text.to_vec();
        stream.try_apply_keystream(&mut text).map_err(|_| Refusal::Code)?;
        Ok(text)
    }

    /// Makes an envelope of a text, under a nonce that nobody has used before. `None` where the
    /// system has no random numbers.
    pub fn seal(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).ok()?;
        let (mut stream, poly) = self.start(&nonce);
        let mut envelope = Vec::with_capacity(OVERHEAD + text.len());
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(&[0; CODE]);
        envelope.extend_from_slice(text);
        let (front, text) = envelope.split_at_mut_checked(OVERHEAD)?;
        stream.try_apply_keystream(text).ok()?;
        let code = poly.compute_unpadded(text);
        front.get_mut(NONCE..)?.copy_from_slice(&code);
        Some(envelope)
    }
}

/// The request inside an envelope.
#[derive(Debug, PartialEq, Eq)]
pub struct Inner {
    /// `GET`, `POST`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names as written, and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Where in the text the body stands.
    pub body: Range<usize>,
}

/// Reads the request inside an envelope. Lines may end with a line feed alone, as the official
/// client for Rust has it.
///
/// # Errors
///
/// It is no request, or another one stands behind it.
pub fn inner(text: &[u8]) -> Result<Inner, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let head = text.get(..HEAD).unwrap_or(text);
    let start = match request.parse(head) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) | Err(_) => return Err(Refusal::Inside),
    };
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return Err(Refusal::Inside);
    };
    let rest = text.len().saturating_sub(start);
    let mut declared = None;
    for field in request.headers.iter() {
        // The envelope says how long it is; pieces would only be a second way to say so.
        if field.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Refusal::Inside);
        }
        if field.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(field.value).ok().and_then(|v| v.trim().parse().ok());
            if length.is_none() || declared.is_some_and(|before| Some(before) != length) {
                return Err(Refusal::Inside);
            }
            declared = length;
        }
    }
    if declared.unwrap_or(0) != rest {
        return Err(Refusal::Inside);
    }
    Ok(Inner {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: request
            .headers
            .iter()
            .map(|field| (field.name.to_owned(), field.value.to_vec()))
            .collect(),
        body: start..text.len(),
    })
}

/// A whole reply as it stands inside an envelope.
pub fn response<'a>(
    status: u16,
    reason: &str,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    body: &[u8],
) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} {reason}\r\n").into_bytes();
    for (name, value) in headers {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    text.extend_from_slice(body);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret([7; 32])
    }

    #[test]
    fn what_is_sealed_can_be_opened() {
        for text in [&b""[..], b"a", &[9; 63], &[9; 64], &[9; 1_000]] {
            let envelope = secret().seal(text).unwrap();
            assert_eq!(envelope.len(), OVERHEAD + text.len());
            assert_eq!(secret().open(&envelope).as_deref(), Ok(text));
            assert_ne!(secret().seal(text).unwrap(), envelope, "the nonce is new each time");
        }
    }

    #[test]
    fn whatever_is_changed_is_not_opened() {
        let envelope = secret().seal(b"GET /ping HTTP/1.0\r\n\r\n").unwrap();
        for place in 0..envelope.len() {
            let mut changed = envelope.clone();
            changed[place] ^= 1;
            assert_eq!(secret().open(&changed), Err(Refusal::Code), "octet {place}");
        }
        for length in 0..envelope.len() {
            assert_eq!(secret().open(&envelope[..length]), Err(Refusal::Code), "{length} octets");
        }
        assert_eq!(Secret([8; 32]).open(&envelope), Err(Refusal::Code));
    }

    #[test]
    fn requests_inside() {
        #[track_caller]
        fn check(text: &str, expected: Result<(&str, &str, usize, &str), Refusal>) {
            let read = inner(text.as_bytes());
            let shown = read.as_ref().map_err(|refusal| *refusal).map(|inner| {
                let body = text.get(inner.body.clone()).unwrap();
                (&*inner.method, &*inner.target, inner.headers.len(), body)
            });
            assert_eq!(shown, expected, "{text:?}");
        }
        check("GET /ping HTTP/1.0\r\n\r\n", Ok(("GET", "/ping", 0, "")));
        check(
            "POST /checkv2?a=b HTTP/1.0\r\nContent-Length: 3\r\nFrom: x\r\n\r\nabc",
            Ok(("POST", "/checkv2?a=b", 2, "abc")),
        );
        check(
            "POST / HTTP/1.1\nIp: 192.0.2.1\nContent-Length: 2\n\nab",
            Ok(("POST", "/", 2, "ab")),
        );
        check("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", Ok(("GET", "/", 1, "")));
        for broken in [
            "",
            "GET",
            "GET /ping HTTP/1.0\r\n",
            "\0\0\0\0\r\n\r\n",
            "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nab",
            "POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nab",
            "POST / HTTP/1.0\r\nContent-Length: x\r\n\r\n",
            "POST / HTTP/1.0\r\nContent-Length: 2\r\nContent-Length: 1\r\n\r\nab",
            "POST / HTTP/1.0\r\nContent-Length: -2\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        ] {
            check(broken, Err(Refusal::Inside));
        }
    }

    #[test]
    fn heads_have_a_limit() {
        let fields = |n: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(n));
        assert!(inner(fields(FIELDS).as_bytes()).is_ok());
        assert_eq!(inner(fields(FIELDS + 1).as_bytes()), Err(Refusal::Inside));
        let long = |n: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(n));
        assert!(inner(long(HEAD - 100).as_bytes()).is_ok());
        assert_eq!(inner(long(HEAD).as_bytes()), Err(Refusal::Inside));
    }

    #[test]
    fn replies_inside() {
        let headers = [("Content-Type", &b"text/plain"[..])];
        assert_eq!(
            response(404, "Not Found", headers.into_iter(), b"no"),
            b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno"
        );
    }
}
