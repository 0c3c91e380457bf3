//! Any bytes are a request in spamd's protocol, and so is any beginning of them.

#![no_main]

use calspamd::protocol::spamd::{self, Taken};
use libfuzzer_sys::fuzz_target;

/// Most that a message may have.
const LIMIT: usize = 1 << 16;

fuzz_target!(|bytes: &[u8]| {
    for (piece, ended) in [(bytes, true), (bytes, false), (&bytes[..bytes.len() / 2], false)] {
        let Ok(Taken::Head(head, length)) = spamd::head(piece, ended) else { continue };
        assert!(length <= piece.len());
        let rest = piece.get(length..).unwrap_or_default();
        if let Ok(Some(message)) = spamd::body(&head, rest, ended, LIMIT, &mut |_| true) {
            assert!(message.len() <= LIMIT);
            let inner = spamd::without_mbox_line(&message);
            let _ = spamd::envelope(inner);
        }
    }
});
