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

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody knows the method.
    Method,
    /// The bytes are not what the method makes, or end too early.
    Broken(String),
    /// More comes out than is allowed.
    TooLarge,
}

/// Unpacks a body into at most `limit` bytes.
///
/// # Errors
///
/// As [`Trouble`] says.
pub fn undo(method: &str, packed: &[u8], limit: usize) -> Result<Vec<u8>, Trouble> {
    let mut unpacked = Vec::new();
    let result = match method.to_ascii_lowercase().as_str() {
        ZSTD => match zstd::Decoder::new(packed) {
            Ok(decoder) => read(decoder, &mut unpacked, limit),
            Err(error) => Err(error),
        },
        "gzip" | "x-gzip" => {
            read(flate2::bufread::MultiGzDecoder::new(packed), &mut unpacked, limit)
        }
        "deflate" => read(flate2::bufread::ZlibDecoder::new(packed), &mut unpacked, limit),
        _ => return Err(Trouble::Method),
    };
    result.map_err(|error| Trouble::Broken(error.to_string()))?;
    if unpacked.len() > limit { Err(Trouble::TooLarge) } else { Ok(unpacked) }
}

/// Reads one byte more than is allowed, to tell that there is more.
fn read(decoder: impl Read, unpacked: &mut Vec<u8>, limit: usize) -> std::io::Result<usize> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(most).read_to_end(unpacked)
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
            assert_eq!(undo(method, &packed, 1_000).as_deref(), Ok(TEXT), "{method}");
            assert_eq!(undo(method, &packed, TEXT.len()).as_deref(), Ok(TEXT), "{method}");
            assert_eq!(undo(method, &packed, TEXT.len() - 1), Err(Trouble::TooLarge), "{method}");
            let cut = packed.get(..packed.len() - 5).unwrap();
            assert!(matches!(undo(method, cut, 1_000), Err(Trouble::Broken(_))), "{method}");
            assert!(matches!(undo(method, TEXT, 1_000), Err(Trouble::Broken(_))), "{method}");
        }
        assert_eq!(undo("lz4", TEXT, 1_000), Err(Trouble::Method));
        // An empty frame is an empty message.
        assert_eq!(undo("zstd", &zstd(b"").unwrap(), 1_000), Ok(Vec::new()));
    }

    #[test]
    fn bombs_stop_at_the_limit() {
        let zeros = vec![0; 64 << 20];
        for (method, packed) in [("zstd", zstd(&zeros).unwrap()), ("gzip", gzip(&zeros))] {
            assert!(packed.len() < 100_000, "{method}: {}", packed.len());
            assert_eq!(undo(method, &packed, 1 << 20), Err(Trouble::TooLarge), "{method}");
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
