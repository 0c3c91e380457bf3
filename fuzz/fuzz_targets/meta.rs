//! Any text is an expression: it is refused, or it has a value in every scan.

#![no_main]

use std::sync::OnceLock;

use calspamd::calendar::Reading;
use calspamd::facts;
use calspamd::message::{Envelope, Message};
use calspamd::rules::{self, EvidenceScope, File, Files};
use libfuzzer_sys::fuzz_target;

/// What expressions may name: rules that hit, that do not, and that cannot be known.
const OPERANDS: &str = "header A exists:Subject\nheader B Subject =~ /^x/\nmeta C A + A\n\
                        calendar D from.domain == x.example\n";

fuzz_target!(|text: &str| {
    static MESSAGE: OnceLock<Message<'static>> = OnceLock::new();
    let message = MESSAGE.get_or_init(|| {
        calspamd::message::parse(
            b"Subject: a\r\n\r\nb\r\n",
            false,
            &Envelope::default(),
            &calspamd::message::Settings::default(),
        )
    });
    let line = text.replace(['\n', '\r'], " ");
    let file = File { name: "fuzz.cf".to_owned(), text: format!("{OPERANDS}meta X {line}\n") };
    let Ok(loaded) = rules::load_whole(&Files { rules: vec![file], ..Files::default() }) else {
        return;
    };
    let (reading, envelope) = (Reading::default(), Envelope::default());
    let facts = facts::gather(message, &reading, &envelope, 0, 500);
    let values = rules::values(&loaded.rules, &facts, EvidenceScope::Message);
    let again = rules::values(&loaded.rules, &facts, EvidenceScope::Message);
    assert_eq!(values.len(), again.len());
    for ((name, value), (_, other)) in values.iter().zip(&again) {
        let same = value == other
            || value.zip(*other).is_some_and(|(a, b)| a.is_nan() && b.is_nan());
        assert!(same, "{name}: {value:?} and then {other:?}");
    }
});
