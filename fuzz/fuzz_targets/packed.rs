//! Any bytes are a packed body: no more than is allowed comes out.

#![no_main]

use calspamd::protocol::compression;
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    for method in ["zstd", "gzip", "deflate", "lz4"] {
        if let Ok(unpacked) = compression::undo(method, bytes, LIMIT, &mut |_| true) {
            assert!(unpacked.len() <= LIMIT);
        }
    }
    if let Some(packed) = compression::zstd(bytes) {
        assert_eq!(
            compression::undo("zstd", &packed, bytes.len(), &mut |_| true).as_deref(),
            Ok(bytes)
        );
    }
    let _ = compression::takes_zstd(&String::from_utf8_lossy(bytes));
});
