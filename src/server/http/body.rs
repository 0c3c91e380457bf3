//! Where the message of a request comes from: its body, packed or not, or a file.
//!
//! Comes in: a request. Goes out: the message, never larger than is allowed, or why there is none.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::rt::time::timeout;
use actix_web::web::{self, Bytes, Payload};

use super::{Service, Settings, declared_length, has_body};
use crate::metrics::Rejection;
use crate::protocol::compression::{self, Trouble};
use crate::protocol::rspamd::{FileInput, Options};

impl Service {
    /// The message that is to be scanned.
    pub(super) async fn scanned(
        &self,
        request: &HttpRequest,
        payload: Payload,
        options: &Options,
    ) -> Result<Bytes, (Rejection, String)> {
        if let Some(file) = &options.file {
            let (file, current) = (file.clone(), Arc::clone(&self.current));
            let read = web::block(move || {
                let Settings { file_folders, max_message, .. } = &current.http.settings;
                read_file(&file, file_folders, *max_message)
            });
            let read = read.await;
            return read.unwrap_or_else(|_| Err(refused_file("the service is stopping")));
        }
        let body = self.message(request, payload).await;
        let body = body.map_err(|reason| (reason, self.said(reason)))?;
        match &options.compression {
            Some(method) if has_body(request) => self.unpacked(method, &body),
            Some(_) | None => Ok(body),
        }
    }

    /// Undoes a compression.
    pub(super) fn unpacked(&self, method: &str, body: &[u8]) -> Result<Bytes, (Rejection, String)> {
        compression::undo(method, body, self.settings().max_message).map(Bytes::from).map_err(
            |trouble| {
                // Scanned as it is, a compressed message would look clean.
                let reason = match trouble {
                    Trouble::Method => Rejection::Compression,
                    Trouble::TooLarge => Rejection::TooLarge,
                    Trouble::Broken(why) => {
                        return (Rejection::BrokenBody, format!("Decompression error: {why}"));
                    }
                };
                (reason, self.said(reason))
            },
        )
    }

    /// Reads the message, never more than is allowed.
    pub(super) async fn message(
        &self,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<Bytes, Rejection> {
        self.read(request, payload, self.settings().max_message).await
    }

    /// Reads a body, never more than `limit` bytes of it.
    pub(super) async fn read(
        &self,
        request: &HttpRequest,
        payload: Payload,
        limit: usize,
    ) -> Result<Bytes, Rejection> {
        if declared_length(request).is_some_and(|length| length > limit) {
            return Err(Rejection::TooLarge);
        }
        match timeout(self.settings().body_timeout, payload.to_bytes_limited(limit)).await {
            Ok(Ok(Ok(message))) => Ok(message),
            Ok(Ok(Err(_))) => Err(Rejection::BrokenBody),
            Ok(Err(_)) => Err(Rejection::TooLarge),
            Err(_) => Err(Rejection::Timeout),
        }
    }
}

/// The message of a file below one of the folders.
fn read_file(
    input: &FileInput,
    folders: &[PathBuf],
    limit: usize,
) -> Result<Bytes, (Rejection, String)> {
    // Links are followed first: one that leads out of the folders is out of them.
    let path = Path::new(&input.path).canonicalize().ok().filter(|path| {
        folders.iter().filter_map(|folder| folder.canonicalize().ok()).any(|f| path.starts_with(f))
    });
    let Some(path) = path else {
        return Err(refused_file("File/shm inputs are not allowed from here"));
    };
    let read = || -> std::io::Result<Option<Vec<u8>>> {
        let mut file = File::open(&path)?;
        // A pipe would keep the thread for ever.
        if !file.metadata()?.is_file() {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        file.seek(SeekFrom::Start(input.offset))?;
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let mut message = Vec::new();
        file.take(input.length.unwrap_or(most).min(most)).read_to_end(&mut message)?;
        Ok((message.len() <= limit).then_some(message))
    };
    match read() {
        Ok(Some(message)) => Ok(Bytes::from(message)),
        Ok(None) => Err((Rejection::TooLarge, format!("message is larger than {limit} bytes"))),
        Err(_) => Err(refused_file("the file cannot be read")),
    }
}

fn refused_file(error: &str) -> (Rejection, String) {
    (Rejection::File, error.to_owned())
}
