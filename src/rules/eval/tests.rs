//! Functions called as rules call them, on whole messages.

use super::super::{File, Files, load_whole, values};
use crate::calendar::Reading;
use crate::facts;
use crate::message::{self, Envelope};
use crate::rules::EvidenceScope;

mod authentication;
mod forged;
mod headers;
mod senders;
mod times;

/// Time of the scans: 16 Nov 2026, noon.
const NOW: i64 = 1_794_830_400;

const HOP: &str = "Received: from mail.example.com (mail.example.com [198.51.100.7]) by \
                   mx.example.org with ESMTPS id 1BEC for <lena@example.org>; Sun, 15 Nov 2026 \
                   12:00:03 +0000";

/// The value of a call in a `header` rule.
fn value(settings: &str, call: &str, mail: &str, stated: &str) -> Option<f64> {
    asked(settings, &format!("header X eval:{call}"), mail, stated)
}

/// The value of a rule named X. `mail` is a header, and behind an empty line the body; `stated`
/// is what the caller says of authentication.
pub(super) fn asked(settings: &str, rule: &str, mail: &str, stated: &str) -> Option<f64> {
    let text = format!("{settings}\n{rule}\n");
    let rules = vec![File { name: "x.cf".to_owned(), text }];
    let loaded = load_whole(&Files { rules, ..Files::default() }).unwrap();
    let authentication_results =
        if stated.is_empty() { Vec::new() } else { vec![format!("mx.example.org; {stated}")] };
    let envelope = Envelope { authentication_results, ..Envelope::default() };
    let mail = if mail.contains("\n\n") { mail.to_owned() } else { format!("{mail}\n\nHi.\n") };
    let message = message::parse(mail.as_bytes(), false, &envelope, &message::Settings::default());
    let reading = Reading::default();
    let facts = facts::gather(&message, &reading, &envelope, NOW, 500);
    let all = values(&loaded.rules, &facts, EvidenceScope::Message);
    let found = all.iter().find(|(name, _)| &**name == "X");
    found.unwrap_or_else(|| panic!("{rule} was not taken: {:?}", loaded.diagnostics)).1
}

/// True when the call hits; it must be known.
fn hits(settings: &str, call: &str, mail: &str) -> bool {
    value(settings, call, mail, "").expect("known") != 0.0
}

#[track_caller]
fn check(call: &str, mail: &str, expected: bool) {
    check_with("", call, mail, expected);
}

#[track_caller]
fn check_with(settings: &str, call: &str, mail: &str, expected: bool) {
    assert_eq!(hits(settings, call, mail), expected, "{call} on {mail}");
}
