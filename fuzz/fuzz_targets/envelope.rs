//! Any bytes are an envelope: it is refused, or what it was made of comes out. And any bytes are
//! the request inside one, or the header that names keys.

#![no_main]

use std::sync::LazyLock;

use calspamd::protocol::rspamd::crypt::{self, KeyPair, Secret};
use libfuzzer_sys::fuzz_target;

static PAIR: LazyLock<KeyPair> = LazyLock::new(|| match KeyPair::generate() {
    Ok(pair) => pair,
    Err(error) => panic!("{error}"),
});

static SECRET: LazyLock<Secret> = LazyLock::new(|| {
    let header = format!("{}={}", PAIR.short_id(), PAIR.public());
    PAIR.shared_with(header.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
});

fuzz_target!(|bytes: &[u8]| {
    let _ = PAIR.shared_with(bytes);
    let for_us = [PAIR.short_id().as_bytes(), b"=", bytes].concat();
    let _ = PAIR.shared_with(&for_us);
    let _ = KeyPair::read(&String::from_utf8_lossy(bytes));
    // Nobody guesses a code.
    assert!(SECRET.open(bytes).is_err());
    if let Some(envelope) = SECRET.seal(bytes) {
        assert_eq!(SECRET.open(&envelope).as_deref(), Ok(bytes));
    }
    if let Ok(inner) = crypt::inner(bytes) {
        assert_eq!(inner.body.end, bytes.len());
        assert!(inner.body.start <= bytes.len() && inner.body.start <= crypt::HEAD);
    }
});
