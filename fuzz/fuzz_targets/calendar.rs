//! Any text is a calendar, and reading it comes to an end.

#![no_main]

use calspamd::{calendar, message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let envelope = message::Envelope::default();
    let message = message::parse(bytes, true, &envelope, &message::Settings::default());
    let settings = calendar::Settings::default();
    let reading = calendar::read(&message, &settings, &|| false);
    for event in &reading.events {
        assert!(event.calendar < reading.calendars.len());
    }
});
