//! Compressed bodies: zstd as Rspamd's clients send it, gzip and deflate as others do.
//!
//! Comes in: the name of a method, bytes, and how many may come out. Goes out: bytes.
//! Whoever sends a small body that unpacks without end is stopped at the limit: no more than that
//! is ever in memory.

use std::io::Read;

/// Rspamd's own method, and the one for replies.
pub const ZSTD: &str = "zstd";

/// Level of replies: the default of zstd, quick enough to cost less than the scan.
const LEVEL: i32 = 3;

/// Bytes unpacked at a time.
const PIECE: usize = 64 * 1024;

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody knows the method.
    Method,
    /// The bytes are not what the method makes, or end too early.
    Broken(String),
    /// More comes out than is allowed.
    TooLarge,
    /// There is no room for more.
    NoRoom,
}

/// Asked for each piece before it is unpacked: whether there is room for so many bytes more.
pub type Room<'r> = &'r mut dyn FnMut(usize) -> bool;

/// Unpacks a body into at most `limit` bytes, as far as there is room for them.
///
/// # Errors
///
/// As [`Trouble`] says.
pub fn undo(method: &str, packed: &[u8], limit: usize, room: Room<'_>) -> Result<Vec<u8>, Trouble> {
    match method.to_ascii_lowercase().as_str() {
        ZSTD => match zstd::Decoder::new(packed) {
            Ok(decoder) => read(decoder, limit, room),
            Err(error) => Err(Trouble::Broken(error.to_string())),
        },
        "gzip" | "x-gzip" => read(flate2::bufread::MultiGzDecoder::new(packed), limit, room),
        "deflate" => read(flate2::bufread::ZlibDecoder::new(packed), limit, room),
        _ => Err(Trouble::Method),
    }
}

/// Reads one byte more than is allowed, to tell that there is more.
fn read(mut decoder: impl Read, limit: usize, room: Room<'_>) -> Result<Vec<u8>, Trouble> {
    let mut unpacked = Vec::new();
    loop {
        let piece = PIECE.min(limit.saturating_add(1).saturating_sub(unpacked.len()));
        if !room(piece) {
            return Err(Trouble::NoRoom);
        }
        let most = u64::try_from(piece).unwrap_or(u64::MAX);
        let read = decoder.by_ref().take(most).read_to_end(&mut unpacked);
        match read {
            Ok(_) if unpacked.len() > limit => return Err(Trouble::TooLarge),
            Ok(length) if length < piece => return Ok(unpacked),
            Ok(_) => {}
            Err(error) => return Err(Trouble::Broken(error.to_string())),
        }
    }
}

/// Packs a reply with zstd; none where the library fails, which it does for want of memory only.
pub fn zstd(bytes: &[u8]) -> Option<Vec<u8>> {
    zstd::bulk::compress(bytes, LEVEL).ok()
}

/// Whether an `Accept-Encoding` takes zstd.
pub fn takes_zstd(value: &str) -> bool {
    value.split(',').any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(ZSTD));
        let refused = parts.any(|part| {
            part.strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok()) == Some(0.0)
        });
        named && !refused
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &[u8] = b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_was_packed_comes_out() {
        for (method, packed) in [
            ("zstd", zstd(TEXT).unwrap()),
            ("ZSTD", zstd(TEXT).unwrap()),
            ("gzip", gzip(TEXT)),
            ("deflate", deflate(TEXT)),
        ] {
            assert_eq!(
                undo(method, &packed, 1_000, &mut |_| true).as_deref(),
                Ok(TEXT),
                "{method}"
            );
            assert_eq!(
                undo(method, &packed, TEXT.len(), &mut |_| true).as_deref(),
                Ok(TEXT),
                "{method}"
            );
            assert_eq!(
                undo(method, &packed, TEXT.len() - 1, &mut |_| true),
                Err(Trouble::TooLarge),
                "{method}"
            );
            let cut = packed.get(..packed.len() - 5).unwrap();
            assert!(
                matches!(undo(method, cut, 1_000, &mut |_| true), Err(Trouble::Broken(_))),
                "{method}"
            );
            assert!(
                matches!(undo(method, TEXT, 1_000, &mut |_| true), Err(Trouble::Broken(_))),
                "{method}"
            );
        }
        assert_eq!(undo("lz4", TEXT, 1_000, &mut |_| true), Err(Trouble::Method));
        // An empty frame is an empty message.
        assert_eq!(undo("zstd", &zstd(b"").unwrap(), 1_000, &mut |_| true), Ok(Vec::new()));
    }

    #[test]
    fn bombs_stop_at_the_limit() {
        let zeros = vec![0; 64 << 20];
        for (method, packed) in [("zstd", zstd(&zeros).unwrap()), ("gzip", gzip(&zeros))] {
            assert!(packed.len() < 100_000, "{method}: {}", packed.len());
            assert_eq!(
                undo(method, &packed, 1 << 20, &mut |_| true),
                Err(Trouble::TooLarge),
                "{method}"
            );
        }
    }

    #[test]
    fn unpacking_ends_where_the_room_does() {
        let zeros = vec![0; 1 << 20];
        for (method, packed) in [("zstd", zstd(&zeros).unwrap()), ("gzip", gzip(&zeros))] {
            for (most, fits) in [(2 << 20, true), (300_000, false), (0, false)] {
                let mut taken = 0;
                let result = undo(method, &packed, 1 << 20, &mut |by| {
                    let has_room = taken + by <= most;
                    taken += if has_room { by } else { 0 };
                    has_room
                });
                assert_eq!(result.is_ok(), fits, "{method}: {most}");
                assert!(fits || result == Err(Trouble::NoRoom), "{method}: {most}");
                assert!(!fits || taken >= zeros.len(), "{method}: {taken}");
            }
        }
    }

    #[test]
    fn zstd_is_taken_where_it_is_named() {
        for (value, expected) in [
            ("zstd", true),
            ("gzip, ZSTD;q=0.5", true),
            ("zstd;q=0", false),
            ("gzip", false),
            ("", false),
        ] {
            assert_eq!(takes_zstd(value), expected, "{value}");
        }
    }
}
