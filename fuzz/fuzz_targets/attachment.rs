//! Any bytes are an inline attachment: what they are is said, and codes in them are read.

#![no_main]

use std::fmt::Write as _;

use calspamd::facts::{self, FactId, Memo, TABLE, View};
use calspamd::{calendar, message};
use libfuzzer_sys::fuzz_target;

/// Names under which the same bytes come.
const NAMES: [&str; 4] = ["a", "a.docx", "a.html", "a.svg"];

fuzz_target!(|bytes: &[u8]| {
    let mut content = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        let _ = write!(content, "%{byte:02X}");
    }
    let name = NAMES[bytes.len() % NAMES.len()];
    let text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\n\
         ATTACH;FILENAME={name}:data:application/octet-stream,{content}\r\n\
         END:VEVENT\r\nEND:VCALENDAR\r\n"
    );
    let envelope = message::Envelope::default();
    let message = message::parse(text.as_bytes(), true, &envelope, &message::Settings::default());
    let reading = calendar::read(&message, &calendar::Settings::default(), &|| false);
    let facts = facts::gather(&message, &reading, &envelope, 0, 500);
    let shared = Memo::new();
    for event in &facts.events {
        if !bytes.is_empty() && bytes.len() < 500_000 {
            assert_eq!(event.attachments.files.len(), 1);
        }
        let view = View::new(&facts, &shared, Some(event));
        for fact in TABLE.iter().filter(|fact| fact.name.starts_with("attachment.")) {
            if let Some(id) = FactId::find(fact.name) {
                let _ = view.ask(id).values().len();
            }
        }
    }
});
