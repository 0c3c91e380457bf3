//! `/checkv3` of Rspamd 4: one request of two parts, metadata and message, and a reply in parts.
//!
//! Comes in: Content-Type and body. Goes out: the metadata as the headers they stand for, and
//! the message; on the way back the reply in the form that `Accept` asks for.
//! Not an error: metadata that nobody knows. A body that cannot be taken apart is one, because
//! nothing could be scanned.

use std::borrow::Cow;

use serde_json::Value;

use crate::protocol::compression::{self, Room, Trouble};

/// Boundary of replies. The parts are JSON, `MessagePack` or zstd of these; none holds a line
/// that begins like this by chance.
const BOUNDARY: &str = "calspamd-v3-6f1c9f0b7d3e4a52";

/// Parts that are looked at.
const PARTS: usize = 2;

/// Metadata that stand for a request header of another name.
const NAMES: [(&str, &str); 13] = [
    ("from", "From"),
    ("rcpt", "Rcpt"),
    ("ip", "IP"),
    ("helo", "Helo"),
    ("hostname", "Hostname"),
    ("queue_id", "Queue-Id"),
    ("user", "User"),
    ("deliver_to", "Deliver-To"),
    ("settings_id", "Settings-ID"),
    ("settings", "Settings"),
    ("flags", "Flags"),
    ("log_tag", "Log-Tag"),
    ("raw", "Raw"),
];

/// Headers that metadata may not bring: they would say where the message is, or what it is.
const REFUSED: [&str; 8] = [
    "shm",
    "shm-offset",
    "shm-length",
    "file",
    "path",
    "dictionary",
    "compression",
    "content-encoding",
];

/// A request, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'b> {
    /// The metadata, as request headers.
    pub headers: Vec<(String, String)>,
    /// The message.
    pub message: Cow<'b, [u8]>,
    /// The metadata came as `MessagePack`, so the reply goes back as such.
    pub packed: bool,
}

/// Why a request cannot be taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mistake {
    /// A sentence for the caller, as Rspamd says it.
    Caller(String),
    /// The message is larger than allowed when it is unpacked.
    TooLarge,
    /// There is no room for it then.
    NoRoom,
}

impl From<String> for Mistake {
    fn from(text: String) -> Self {
        Self::Caller(text)
    }
}

/// Takes a request apart; the message may become `limit` bytes long where there is room.
///
/// # Errors
///
/// As [`Mistake`] says.
pub fn read<'b>(
    content_type: &str,
    body: &'b [u8],
    limit: usize,
    room: Room<'_>,
) -> Result<Parts<'b>, Mistake> {
    if content_type.trim().is_empty() {
        return Err("missing Content-Type header for v3 request".to_owned().into());
    }
    let boundary =
        boundary(content_type).ok_or("cannot extract boundary from Content-Type".to_owned())?;
    let (mut metadata, mut message) = (None, None);
    let parts = split(body, boundary.as_bytes());
    if parts.len() > PARTS {
        return Err(format!(
            "v3 request must contain at most 2 parts (metadata + message), got {}",
            parts.len()
        )
        .into());
    }
    for part in parts {
        match part.name().as_deref() {
            Some("metadata") => metadata = Some(part),
            Some("message") => message = Some(part),
            _ => {}
        }
    }
    let metadata = metadata.ok_or("missing 'metadata' part in v3 request".to_owned())?;
    let message = message.ok_or("missing 'message' part in v3 request".to_owned())?;
    let packed = metadata.header("content-type").is_some_and(|kind| kind.contains("msgpack"));
    let value: Value = if packed {
        rmp_serde::from_slice(metadata.body)
            .map_err(|error| format!("cannot parse metadata: {error}"))?
    } else {
        serde_json::from_slice(metadata.body)
            .map_err(|error| format!("cannot parse metadata: {error}"))?
    };
    let message = match message.header("content-encoding") {
        None => Cow::Borrowed(message.body),
        Some(method) => compression::undo(method.trim(), message.body, limit, room)
            .map(Cow::Owned)
            .map_err(|trouble| match trouble {
                Trouble::Method => Mistake::Caller("Invalid compression method".to_owned()),
                Trouble::Broken(why) => Mistake::Caller(format!("Decompression error: {why}")),
                Trouble::TooLarge => Mistake::TooLarge,
                Trouble::NoRoom => Mistake::NoRoom,
            })?,
    };
    Ok(Parts { headers: headers(&value), message, packed })
}

fn headers(metadata: &Value) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    let Some(metadata) = metadata.as_object() else { return headers };
    for (key, name) in NAMES {
        for value in metadata.get(key).map(texts).unwrap_or_default() {
            headers.push((name.to_owned(), value));
        }
    }
    let more = metadata.get("headers").and_then(Value::as_object).into_iter().flatten();
    for (name, value) in more {
        if !REFUSED.iter().any(|refused| name.eq_ignore_ascii_case(refused)) {
            headers.extend(texts(value).into_iter().map(|value| (name.clone(), value)));
        }
    }
    headers
}

/// A value as header values: a list is a header repeated, an object stays JSON.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::Bool(yes) => vec![if *yes { "yes" } else { "no" }.to_owned()],
        Value::Number(_) | Value::Object(_) => vec![value.to_string()],
    }
}

/// `multipart/form-data; boundary=X`.
fn boundary(content_type: &str) -> Option<&str> {
    let mut pieces = content_type.split(';');
    let essence = pieces.next()?.trim();
    if !essence.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    pieces.find_map(|piece| {
        let (name, value) = piece.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty()).then_some(value)
    })
}

struct Part<'b> {
    head: &'b [u8],
    body: &'b [u8],
}

impl Part<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        let head = std::str::from_utf8(self.head).ok()?;
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(found, _)| found.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// `Content-Disposition: form-data; name="metadata"`.
    fn name(&self) -> Option<String> {
        let value = self.header("content-disposition")?;
        value.split(';').find_map(|piece| {
            let (name, value) = piece.split_once('=')?;
            (name.trim() == "name").then(|| value.trim().trim_matches('"').to_owned())
        })
    }
}

/// The parts between boundary lines (RFC 7578 §4.1). A body may hold anything but the boundary.
fn split<'b>(body: &'b [u8], boundary: &[u8]) -> Vec<Part<'b>> {
    let line = [b"--", boundary].concat();
    let mut starts = memchr::memmem::find_iter(body, &line).filter(|at| {
        // Only a whole line is one: `--X1` is none of `--X`.
        let begins = *at == 0 || body.get(at - 1) == Some(&b'\n');
        let after = body.get(at + line.len()..).unwrap_or_default();
        begins && [&b"\r\n"[..], b"\n", b"--"].iter().any(|end| after.starts_with(end))
    });
    let mut parts = Vec::new();
    let mut from = starts.next();
    // One more than is allowed, to tell that there are too many.
    while let Some(at) = from
        && parts.len() <= PARTS
    {
        let next = starts.next();
        let inside = body.get(at + line.len()..next.unwrap_or(body.len())).unwrap_or_default();
        if inside.starts_with(b"--") {
            break;
        }
        let inside = inside.strip_prefix(b"\r\n").or(inside.strip_prefix(b"\n")).unwrap_or(inside);
        let end = [&b"\r\n\r\n"[..], b"\n\n"]
            .into_iter()
            .filter_map(|end| memchr::memmem::find(inside, end).map(|at| (at, end.len())))
            .min();
        if let Some((end, gap)) = end {
            let content = inside.get(end + gap..).unwrap_or_default();
            let content =
                content.strip_suffix(b"\r\n").or(content.strip_suffix(b"\n")).unwrap_or(content);
            parts.push(Part { head: inside.get(..end).unwrap_or_default(), body: content });
        }
        from = next;
    }
    parts
}

/// How a reply goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `multipart/form-data`.
    Parts,
    /// `multipart/mixed`, for who reads mail.
    Mixed,
    /// The result alone, as JSON.
    Json,
    /// The result alone, as `MessagePack`.
    MessagePack,
}

impl Form {
    /// What an `Accept` asks for; `None` when nothing of it can be served.
    pub fn of(accept: &str) -> Option<Self> {
        if accept.trim().is_empty() {
            return Some(Self::Parts);
        }
        accept.split(',').find_map(|one| {
            let kind = one.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            match kind.as_str() {
                "multipart/form-data" | "*/*" | "multipart/*" => Some(Self::Parts),
                "message/rfc822" => Some(Self::Mixed),
                "application/json" => Some(Self::Json),
                "application/msgpack" => Some(Self::MessagePack),
                _ => None,
            }
        })
    }
}

/// The error for an `Accept` that nothing matches.
pub const NOT_ACCEPTABLE: &str = r#"{"error":"Not Acceptable","supported":["application/json","application/msgpack","message/rfc822","multipart/form-data"]}"#;

/// The result as one part, and the Content-Type of the whole.
pub fn wrap(result: &[u8], packed: bool, zstd: bool, form: Form) -> (String, Vec<u8>) {
    let kind = if packed { "application/msgpack" } else { "application/json" };
    let mixed = if form == Form::Mixed { "multipart/mixed" } else { "multipart/form-data" };
    let compressed = zstd.then(|| compression::zstd(result)).flatten();
    let encoding = if compressed.is_some() { "Content-Encoding: zstd\r\n" } else { "" };
    let mut body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"result\"\r\n\
         Content-Type: {kind}\r\n{encoding}\r\n"
    )
    .into_bytes();
    body.extend_from_slice(compressed.as_deref().unwrap_or(result));
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    (format!("{mixed}; boundary=\"{BOUNDARY}\""), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=X";

    fn body(metadata: &str, message: &[u8], more: &str) -> Vec<u8> {
        let mut body = format!(
            "--X\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\
             Content-Type: application/json\r\n\r\n{metadata}\r\n--X\r\n\
             Content-Disposition: form-data; name=\"message\"\r\n{more}\r\n"
        )
        .into_bytes();
        body.extend_from_slice(message);
        body.extend_from_slice(b"\r\n--X--\r\n");
        body
    }

    #[test]
    fn metadata_are_headers() {
        let metadata = r#"{"from":"a@b.example","rcpt":["x@y.example","z@y.example"],"flags":["no_log"],
            "settings":{"scores":{"CAL_LONG":0}},"headers":{"Scope":"calendar","File":"/etc/passwd",
            "X-More":["1","2"]},"unknown":7}"#;
        let body = body(metadata, b"Subject: x\r\n\r\nhi\r\n", "");
        let parts = read(TYPE, &body, 100, &mut |_| true).unwrap();
        assert_eq!(&*parts.message, b"Subject: x\r\n\r\nhi\r\n");
        assert!(!parts.packed);
        let headers: Vec<String> =
            parts.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(
            headers,
            [
                "From: a@b.example",
                "Rcpt: x@y.example",
                "Rcpt: z@y.example",
                "Settings: {\"scores\":{\"CAL_LONG\":0}}",
                "Flags: no_log",
                "Scope: calendar",
                "X-More: 1",
                "X-More: 2"
            ]
        );
    }

    #[test]
    fn messages_may_be_packed_and_hold_boundaries_of_others() {
        let message = b"--X1\r\nnot a boundary --X\r\n--Xy\r\n";
        let plain = body("{}", message, "");
        assert_eq!(&*read(TYPE, &plain, 100, &mut |_| true).unwrap().message, message);
        let packed = body("{}", &compression::zstd(message).unwrap(), "Content-Encoding: zstd\r\n");
        assert_eq!(&*read(TYPE, &packed, 100, &mut |_| true).unwrap().message, message);
        assert_eq!(read(TYPE, &packed, 10, &mut |_| true), Err(Mistake::TooLarge));
        assert_eq!(read(TYPE, &packed, 100, &mut |_| false), Err(Mistake::NoRoom));
        let mut msgpack = b"--X\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\
            Content-Type: application/msgpack\r\n\r\n"
            .to_vec();
        msgpack.extend(rmp_serde::to_vec(&serde_json::json!({"from": "a@b.example"})).unwrap());
        msgpack.extend(
            b"\r\n--X\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\nhi\r\n--X--",
        );
        let parts = read(TYPE, &msgpack, 100, &mut |_| true).unwrap();
        assert!(parts.packed);
        assert_eq!(parts.headers, [("From".to_owned(), "a@b.example".to_owned())]);
        assert_eq!(&*parts.message, b"hi");
    }

    #[test]
    fn bad_requests_are_named() {
        let good = body("{}", b"hi", "");
        let three = [&good[..good.len() - 7], b"\r\n", &good[..]].concat();
        for (content_type, body, expected) in [
            ("", &good[..], "missing Content-Type"),
            ("multipart/form-data", &good, "cannot extract boundary"),
            ("text/plain; boundary=X", &good, "cannot extract boundary"),
            (TYPE, b"", "missing 'metadata' part"),
            (
                TYPE,
                b"--X\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\nhi\r\n--X--",
                "missing 'metadata' part",
            ),
            (
                TYPE,
                b"--X\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{}\r\n--X--",
                "missing 'message' part",
            ),
            (TYPE, &body("{", b"hi", ""), "cannot parse metadata"),
            (TYPE, &three, "at most 2 parts"),
            (TYPE, &body("{}", b"hi", "Content-Encoding: lz4\r\n"), "Invalid compression method"),
            (TYPE, &body("{}", b"hi", "Content-Encoding: zstd\r\n"), "Decompression error"),
        ] {
            let error = read(content_type, body, 100, &mut |_| true).unwrap_err();
            assert!(
                matches!(&error, Mistake::Caller(text) if text.contains(expected)),
                "{error:?}"
            );
        }
    }

    #[test]
    fn replies_take_the_form_asked_for() {
        for (accept, expected) in [
            ("", Some(Form::Parts)),
            ("*/*", Some(Form::Parts)),
            ("text/html, multipart/form-data", Some(Form::Parts)),
            ("message/rfc822", Some(Form::Mixed)),
            ("application/json;q=0.9", Some(Form::Json)),
            ("application/msgpack", Some(Form::MessagePack)),
            ("text/html", None),
        ] {
            assert_eq!(Form::of(accept), expected, "{accept}");
        }
        let (kind, body) = wrap(b"{}", false, false, Form::Parts);
        assert_eq!(kind, format!("multipart/form-data; boundary=\"{BOUNDARY}\""));
        assert_eq!(
            String::from_utf8(body).unwrap(),
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"result\"\r\n\
                 Content-Type: application/json\r\n\r\n{{}}\r\n--{BOUNDARY}--\r\n"
            )
        );
        let (kind, body) = wrap(b"{}", true, true, Form::Mixed);
        assert!(kind.starts_with("multipart/mixed"));
        assert!(String::from_utf8_lossy(&body).contains("Content-Encoding: zstd\r\n"));
    }
}
