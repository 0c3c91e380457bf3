//! Where the message of a request comes from: its body, packed or not, or a file.
//!
//! Comes in: a request. Goes out: the message, never larger than is allowed, or why there is none.

use std::fs::File;
use std::future::poll_fn;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use actix_web::body::{BodyStream, MessageBody};
use actix_web::rt::time::timeout;
use actix_web::web::{self, Bytes, BytesMut, Payload};
use actix_web::{HttpMessage, HttpRequest};

use super::client::who;
use super::{INLINE, Service, Settings, declared_length, has_body};
use crate::metrics::Rejection;
use crate::protocol::compression::{self, Trouble};
use crate::protocol::rspamd::{FileInput, Options};
use crate::server::room::Held;
use crate::server::turns::Stopping;

/// Octets that are room for a body at first, whatever length it says it has.
const FIRST: usize = 64 * 1024;

/// A body, and the memory that is counted for it.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) octets: Bytes,
    pub(super) held: Held,
}

impl Service {
    /// The message that is to be scanned.
    pub(super) async fn scanned(
        &self,
        request: &HttpRequest,
        payload: Payload,
        options: &Options,
    ) -> Result<Body, (Rejection, String)> {
        if let Some(file) = &options.file {
            let (file, current, held) =
                (file.clone(), Arc::clone(&self.current), self.hold(request));
            let read = web::block(move || {
                let Settings { file_folders, max_message, .. } = &current.http.settings;
                read_file(&file, file_folders, *max_message, held)
            });
            let read = read.await;
            let read = read.unwrap_or(Err((Rejection::File, Some("the service is stopping"))));
            return read.map_err(|(reason, text)| {
                (reason, text.map_or_else(|| self.said(reason), str::to_owned))
            });
        }
        let body = self.message(request, payload).await;
        let body = body.map_err(|reason| (reason, self.said(reason)))?;
        match &options.compression {
            Some(method) if has_body(request) => self.unpacked(request, method, body).await,
            Some(_) | None => Ok(body),
        }
    }

    /// Undoes a compression.
    async fn unpacked(
        &self,
        request: &HttpRequest,
        method: &str,
        body: Body,
    ) -> Result<Body, (Rejection, String)> {
        let method = method.to_owned();
        let undo = move |body: &mut Body, limit| {
            let Body { octets, held } = body;
            match compression::undo(&method, octets, limit, &mut |by| held.grow(by)) {
                Err(Trouble::TooLarge) => None,
                result => Some(result),
            }
        };
        let unpacked = self.work(request, body, undo).await;
        let unpacked = unpacked
            .map_err(|Stopping| (Rejection::BrokenBody, "the service is stopping".to_owned()))?;
        let (unpacked, Body { octets, mut held }) = unpacked;
        drop(octets);
        let unpacked = unpacked.unwrap_or(Err(Trouble::TooLarge)).map_err(|trouble| {
            // Scanned as it is, a compressed message would look clean.
            let reason = match trouble {
                Trouble::Method => Rejection::Compression,
                Trouble::TooLarge => Rejection::TooLarge,
                Trouble::NoRoom => Rejection::Room,
                Trouble::Broken(why) => {
                    return (Rejection::BrokenBody, format!("Decompression error: {why}"));
                }
            };
            (reason, self.said(reason))
        })?;
        held.shrink_to(unpacked.len());
        Ok(Body { octets: Bytes::from(unpacked), held })
    }

    /// Takes a body apart, for a message of some size at most: at once if it is a small one, which
    /// is less work than handing it on, else in its client's turn. No result: it is larger.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        request: &HttpRequest,
        mut body: Body,
        work: impl Fn(&mut Body, usize) -> Option<T> + Send + 'static,
    ) -> Result<(Option<T>, Body), Stopping> {
        let limit = self.settings().max_message;
        let before = body.octets.len();
        if let Some(done) = work(&mut body, limit.min(INLINE)) {
            return Ok((Some(done), body));
        }
        body.held.shrink_to(before);
        let all = move |_| (work(&mut body, limit), body);
        self.door.state.gate.run(who(request), false, all).await
    }

    /// Reads the message, never more than is allowed.
    pub(super) async fn message(
        &self,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<Body, Rejection> {
        self.read(request, payload, self.settings().max_message).await
    }

    /// Reads a body, never more than `limit` bytes of it, and no more than there is room for.
    pub(super) async fn read(
        &self,
        request: &HttpRequest,
        payload: Payload,
        limit: usize,
    ) -> Result<Body, Rejection> {
        let declared = declared_length(request);
        if declared.is_some_and(|length| length > limit) {
            return Err(Rejection::TooLarge);
        }
        // What came out of an envelope is counted already.
        let counted = request.extensions_mut().remove::<Held>();
        let mut held = counted.unwrap_or_else(|| self.hold(request));
        let mut whole = BytesMut::with_capacity(declared.unwrap_or_default().min(FIRST));
        let reading = timeout(self.settings().body_timeout, async {
            let mut stream = pin!(BodyStream::new(payload));
            while let Some(piece) = poll_fn(|context| stream.as_mut().poll_next(context)).await {
                let piece = piece.map_err(|_| Rejection::BrokenBody)?;
                let length = whole.len().saturating_add(piece.len());
                if length > limit {
                    return Err(Rejection::TooLarge);
                }
                if !held.grow_to(length) {
                    return Err(Rejection::Room);
                }
                whole.extend_from_slice(&piece);
            }
            Ok(())
        });
        reading.await.unwrap_or(Err(Rejection::Timeout))?;
        held.shrink_to(whole.len());
        Ok(Body { octets: whole.freeze(), held })
    }
}

/// The message of a file below one of the folders; else why not, in words where there are special
/// ones.
fn read_file(
    input: &FileInput,
    folders: &[PathBuf],
    limit: usize,
    mut held: Held,
) -> Result<Body, (Rejection, Option<&'static str>)> {
    // Links are followed first: one that leads out of the folders is out of them.
    let path = Path::new(&input.path).canonicalize().ok().filter(|path| {
        folders.iter().filter_map(|folder| folder.canonicalize().ok()).any(|f| path.starts_with(f))
    });
    let Some(path) = path else {
        return Err((Rejection::File, None));
    };
    let mut read = || -> std::io::Result<Result<Vec<u8>, Rejection>> {
        let mut file = File::open(&path)?;
        let kind = file.metadata()?;
        // A pipe would keep the thread for ever.
        if !kind.is_file() {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        file.seek(SeekFrom::Start(input.offset))?;
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        // One that grows meanwhile is read as far as it went.
        let length = kind.len().saturating_sub(input.offset).min(most);
        let length = input.length.unwrap_or(most).min(length);
        if !held.grow(usize::try_from(length).unwrap_or(usize::MAX)) {
            return Ok(Err(Rejection::Room));
        }
        let mut message = Vec::new();
        file.take(length).read_to_end(&mut message)?;
        Ok(if message.len() <= limit { Ok(message) } else { Err(Rejection::TooLarge) })
    };
    match read() {
        Ok(Ok(message)) => {
            held.shrink_to(message.len());
            Ok(Body { octets: Bytes::from(message), held })
        }
        Ok(Err(reason)) => Err((reason, None)),
        Err(_) => Err((Rejection::File, Some("the file cannot be read"))),
    }
}
