//! Three kinds of fixtures for every scored symbol: spam as it usually comes, spam in an unusual
//! form, and good mail that looks alike (`fixtures.rs` scans all three).
//!
//! What is unusual is measured, not claimed: two spam fixtures of a symbol must differ in how the
//! calendar is written down, in its method, in the component, in the letters of its texts, or in
//! the property the symbol was found in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use calspamd::calendar;
use calspamd::facts::{FOR_SITES, TABLE};
use calspamd::message::{self, Body, Envelope, Message};

use crate::support::{assert_none, messages, name, repository, scan_file, stock};

/// How a fixture says what its symbol finds.
#[derive(Debug, PartialEq, Eq)]
struct Form {
    /// iCalendar, jCal …, and whether a mail is around it.
    format: BTreeSet<String>,
    /// Transfer encoding and charset of the calendar parts.
    encoding: BTreeSet<String>,
    method: BTreeSet<String>,
    /// VEVENT, VTODO …
    component: BTreeSet<String>,
    /// Letters that English does not have.
    letters: bool,
    /// Where the symbol was found, without ordinals.
    places: BTreeSet<String>,
}

/// A transfer encoding, or the charset, of a part: the first that is not how plain text is sent.
fn encoding(message: &Message<'_>, part: usize) -> String {
    let field = |wanted: &str| {
        let headers = message.part_headers(part);
        let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case(wanted));
        found.map(|header| header.decoded().to_lowercase()).unwrap_or_default()
    };
    let transfer = field("content-transfer-encoding");
    let charset = field("content-type");
    let charset = charset.split("charset=").nth(1).unwrap_or("utf-8").trim_start_matches('"');
    let charset = charset.split(['"', ';', ' ', '\r', '\n']).next().unwrap_or_default();
    let transfer = match transfer.trim() {
        "base64" => "base64",
        "quoted-printable" => "quoted-printable",
        _ => "plain",
    };
    let charset = if matches!(charset, "us-ascii" | "utf-8") { "" } else { charset };
    format!("{transfer} {charset}").trim_end().to_owned()
}

/// `VEVENT[0].DESCRIPTION` without the ordinal.
fn place(place: &str) -> String {
    place.chars().filter(|c| !c.is_ascii_digit() && !"[]".contains(*c)).collect()
}

impl Form {
    fn of(path: &Path, symbol: &str) -> Option<Self> {
        let bytes = std::fs::read(path).unwrap();
        let bare = path.extension().is_some_and(|ending| ending == "ics");
        let settings = message::Settings::default();
        let message = message::parse(&bytes, bare, &Envelope::default(), &settings);
        let reading = calendar::read(&message, &calendar::Settings::default(), &|| false);
        let outcome = scan_file(path);
        let hit = outcome.verdict.symbols.iter().find(|found| &*found.hit.symbol == symbol)?;
        let parts = &message.calendar_parts;
        let texts = message.parts.iter().filter_map(|part| match &part.body {
            Body::Html(text) | Body::Text(text) => Some(text.as_ref()),
            Body::Container | Body::Calendar | Body::Binary(_) => None,
        });
        let mut texts = texts.chain(parts.iter().map(|part| part.text.as_ref()));
        let around = if message.bare { "file" } else { "mail" };
        Some(Self {
            format: parts.iter().map(|part| format!("{:?} {around}", part.format)).collect(),
            encoding: parts.iter().map(|part| encoding(&message, part.part)).collect(),
            method: reading.calendars.iter().filter_map(|found| found.method.clone()).collect(),
            component: reading.events.iter().map(|event| event.kind.name().to_owned()).collect(),
            letters: texts.any(|text| text.chars().any(|c| c.is_alphabetic() && !c.is_ascii())),
            places: hit.hit.evidence.iter().map(|evidence| place(&evidence.place)).collect(),
        })
    }
}

#[test]
fn every_scored_symbol_has_three_kinds_of_fixtures() {
    let mut failures = Vec::new();
    let by_symbol = |folder: &str| {
        let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for path in messages(folder) {
            let name = name(&path);
            let symbol = name.split('-').next().unwrap_or_default().to_owned();
            found.entry(symbol).or_default().push(path);
        }
        found
    };
    let (spam, ham) = (by_symbol("spam"), by_symbol("ham"));
    for symbol in stock().symbols().filter(|symbol| symbol.score != 0.0) {
        let symbol = &*symbol.name;
        if !ham.contains_key(symbol) {
            failures.push(format!("{symbol}: no look-alike in ham/"));
        }
        let fixtures = spam.get(symbol).map(Vec::as_slice).unwrap_or_default();
        let forms: Vec<Form> = fixtures.iter().filter_map(|path| Form::of(path, symbol)).collect();
        if forms.is_empty() {
            failures.push(format!("{symbol}: no fixture in spam/ that hits"));
        } else if forms.iter().all(|form| Some(form) == forms.first()) {
            failures.push(format!("{symbol}: none in an unusual form, all are {:?}", forms[0]));
        }
    }
    assert_none(&failures);
}

#[test]
fn look_alikes_come_near() {
    // A look-alike without a calendar proves nothing.
    let mut failures = Vec::new();
    for path in messages("ham") {
        let bytes = std::fs::read(&path).unwrap();
        let settings = message::Settings::default();
        let message = message::parse(&bytes, false, &Envelope::default(), &settings);
        let sharing = name(&path).starts_with("CAL_SHARING_");
        if message.calendar_parts.is_empty() && !sharing {
            failures.push(format!("ham/{}: no calendar", name(&path)));
        }
    }
    assert_none(&failures);
}

/// A fact that no stock rule asks says why it is there; `rules/README.md` has all of them, which
/// `readme.rs` compares with the table.
#[test]
fn no_fact_is_unused_or_undocumented() {
    let read: BTreeSet<&str> = stock().facts_read().iter().map(|id| id.fact().name).collect();
    let names: BTreeSet<&str> = TABLE.iter().map(|fact| fact.name).collect();
    let stated: BTreeSet<&str> = FOR_SITES.iter().map(|(name, _)| *name).collect();
    let document = std::fs::read_to_string(repository("rules/README.md")).unwrap();
    let mut failures = Vec::new();
    for name in &names {
        match (read.contains(name), stated.contains(name)) {
            (false, false) => {
                failures.push(format!("{name}: no rule asks it, for no stated reason"));
            }
            (true, true) => failures.push(format!("{name}: said to be unused, but a rule asks it")),
            (true, false) | (false, true) => {}
        }
        if !document.contains(&format!("| `{name}` |")) {
            failures.push(format!("{name}: not in rules/README.md"));
        }
    }
    failures.extend(stated.difference(&names).map(|name| format!("{name}: no such fact")));
    assert_none(&failures);
}
