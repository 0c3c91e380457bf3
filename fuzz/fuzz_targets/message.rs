//! Any bytes are a message.

#![no_main]

use calspamd::message::{self, Envelope, Settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for bare in [false, true] {
        let message = message::parse(bytes, bare, &Envelope::default(), &Settings::default());
        for part in &message.calendar_parts {
            assert!(part.part < message.parts.len());
        }
    }
});
