//! Any text is a rule file: it loads, or it is refused with at least one diagnostic.

#![no_main]

use calspamd::rules::{self, File, Files};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let file = File { name: "fuzz.cf".to_owned(), text: text.to_owned() };
    if let Err(diagnostics) = rules::load(&Files { rules: vec![file], ..Files::default() }) {
        assert!(!diagnostics.is_empty());
        for diagnostic in diagnostics {
            assert!(diagnostic.line > 0 && diagnostic.column > 0, "{diagnostic}");
        }
    }
});
