//! Rules of Debian's SpamAssassin run here and there: they load, and hit the same messages.
//!
//! What is compared are (message, rule) pairs of rules that both can run without a network,
//! over the fixtures and, where it is at hand, the collection of real mails. Calendar parts
//! are left out, because SpamAssassin does not read them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use calspamd::message::Envelope;
use calspamd::rules::{self, EvidenceScope, File, Files, Loaded, Lookup, RuleKind};
use calspamd::{calendar, facts, message};
use serde_json::Value;

use crate::hostile::Attack;
use crate::support::{corpus, messages, repository};

/// Where Debian's package puts its rules.
const STOCK: &str = "/usr/share/spamassassin";

/// Share of pairs that both must hit.
const AGREEMENT: f64 = 0.98;

/// Percentage of the rules with a function that run.
const FUNCTIONS: usize = 60;

/// Longest scan of a mail made to hurt, with three thousand rules: the budget of a scan, and as
/// much again for what cannot be interrupted.
const ATTACK: Duration = Duration::from_secs(8);

/// Functions that SpamAssassin answers only with a network.
const NETWORK: [&str; 4] =
    ["eval:check_dkim_", "eval:check_arc_", "eval:check_for_spf_", "eval:check_dmarc_"];

fn stock_files() -> Files {
    let folder = std::fs::read_dir(STOCK).unwrap_or_else(|error| {
        panic!("{STOCK}: {error}: install the package `spamassassin` (`make tools` does)")
    });
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "cf"));
    paths.sort();
    let rules = paths
        .iter()
        .map(|path| File {
            name: path.display().to_string(),
            text: rules::text_of(&std::fs::read(path).unwrap()),
        })
        .collect();
    Files { rules, ..Files::default() }
}

fn loaded(files: &Files) -> Loaded {
    rules::load_whole(files).unwrap_or_else(|diagnostics| {
        let shown: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
        panic!("{}", shown.join("\n\n"))
    })
}

/// All mails there are: the fixtures and the collection.
fn mails() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        ["spam", "ham", "broken", "encodings"].into_iter().flat_map(messages).collect();
    if let Some(corpus) = corpus() {
        for folder in ["ham-mail", "ham-wrapped", "plain-mail", "spam"] {
            let folder = std::fs::read_dir(corpus.join(folder)).unwrap();
            paths.extend(folder.map(|entry| entry.unwrap().path()));
        }
    }
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "eml"));
    paths.sort();
    paths
}

/// What SpamAssassin says: the rules it runs, and for each mail those that hit.
struct Theirs {
    runs: BTreeSet<String>,
    hits: Vec<BTreeSet<String>>,
}

fn ask_spamassassin(paths: &[PathBuf]) -> Theirs {
    let asked = |paths: &[PathBuf]| {
        let mut child = Command::new("perl")
            .arg(repository("tests/spamassassin/scan.pl"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        for path in paths {
            writeln!(input, "{}", path.display()).unwrap();
        }
        drop(input);
        child
    };
    // One for each core: SpamAssassin takes a tenth of a second a mail.
    let (first, second) = paths.split_at(paths.len() / 2);
    let children = [asked(first), asked(second)];
    let mut theirs = Theirs { runs: BTreeSet::new(), hits: Vec::new() };
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "SpamAssassin failed: {:?}", output.status);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            let names = |key: &str| -> Option<BTreeSet<String>> {
                let names = value.get(key)?.as_array()?;
                Some(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            };
            match names("hits") {
                Some(hits) => theirs.hits.push(hits),
                None => theirs.runs = names("runs").unwrap(),
            }
        }
    }
    assert_eq!(theirs.hits.len(), paths.len());
    theirs
}

/// What one of our scans gave.
struct Ours {
    hits: BTreeSet<Arc<str>>,
    /// Why this mail may look different there.
    reason: &'static str,
}

/// Rules with a reason of their own to differ.
const REASONS: [(&str, &str); 2] = [
    (
        "__RP_MATCHES_RCVD",
        "names below a private suffix are registered names here: the public list has them",
    ),
    ("GB_CUSTOM_HTM_URI", "the captured address stands in the link, and only we find it there"),
];

/// Why a mail may look different there, as far as that can be seen.
fn reason(mail: &message::Message<'_>) -> &'static str {
    let declared = |index: usize| mail.parts.get(index).map(|part| part.content_type.as_str());
    if mail.bare {
        return "a bare calendar is no mail here: it has neither header fields nor a body";
    }
    let calendars = &mail.calendar_parts;
    if calendars.iter().any(|part| declared(part.part) != Some("text/calendar")) {
        return "a calendar declared as something else is text there";
    }
    if mail.defects.iter().any(|defect| defect.kind.is_limit()) {
        return "parts nested deeper than our limit are not read";
    }
    let wide = |header: &message::Header<'_>| {
        let value = header.decoded().to_ascii_lowercase();
        header.name.eq_ignore_ascii_case("content-type")
            && (value.contains("utf-16") || value.contains("charset=gb"))
    };
    if (0..mail.parts.len()).any(|part| mail.part_headers(part).iter().any(wide)) {
        return "text in UTF-16 or a wrongly named charset is decoded here and not there";
    }
    if mail.defects.iter().any(|defect| defect.kind == message::DefectKind::Truncated) {
        return "the mail is cut off, and what is left is read in two ways";
    }
    "not explained"
}

/// Which of our rules of the message hit.
#[expect(clippy::disallowed_methods, reason = "SpamAssassin asks the clock as well")]
fn ask_ourselves(loaded: &Loaded, path: &PathBuf) -> Ours {
    let bytes = std::fs::read(path).unwrap();
    let envelope = Envelope::default();
    let mail = message::parse(&bytes, false, &envelope, &message::Settings::default());
    let reading = calendar::read(&mail, &calendar::Settings::default(), &|| false);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    let facts = facts::gather(&mail, &reading, &envelope, now, 500);
    let hits = rules::values(&loaded.rules, &facts, EvidenceScope::Mail)
        .into_iter()
        .filter(|(_, value)| value.is_some_and(|value| value != 0.0))
        .map(|(name, _)| name)
        .collect();
    Ours { hits, reason: reason(&mail) }
}

/// Rules that both run: with the network off, and made of nothing but such rules.
fn compared(loaded: &Loaded, theirs: &Theirs) -> BTreeSet<Arc<str>> {
    let lookups: BTreeSet<Arc<str>> =
        loaded.rules.lookups().map(|(symbol, _): (_, &Lookup)| Arc::clone(&symbol.name)).collect();
    let mut fits: BTreeMap<Arc<str>, bool> = BTreeMap::new();
    // Metas come after what they name, however deep: a few rounds settle it.
    for symbol in loaded.rules.all() {
        let off = !symbol.is_helper() && symbol.score == 0.0;
        // Without a network SpamAssassin looks at no signature; we read what is stated.
        let network = NETWORK.iter().any(|call| symbol.definition.contains(call));
        let runs = theirs.runs.contains(&*symbol.name) && !off && !network;
        fits.insert(Arc::clone(&symbol.name), runs);
    }
    loop {
        let mut changed = false;
        for symbol in loaded.rules.all().filter(|symbol| symbol.kind == RuleKind::Meta) {
            let good = symbol.depends.iter().all(|name| match fits.get(name) {
                // Lists count as 0 on both sides while nobody asks them.
                Some(fits) => *fits || lookups.contains(name),
                // A rule that nobody defines counts as 0; one that we refused is their own.
                None => !theirs.runs.contains(&**name),
            });
            if !good && fits.insert(Arc::clone(&symbol.name), false) == Some(true) {
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    fits.into_iter().filter(|(_, fits)| *fits).map(|(name, _)| name).collect()
}

#[test]
fn stock_rules_load() {
    // What stands behind a condition is to be read as well: here every branch is taken.
    let mut files = stock_files();
    for file in &mut files.rules {
        let conditions = ["if", "ifplugin", "else", "endif", "require_version"];
        let kept = file.text.lines().map(|line| {
            let word = line.split(|c: char| c.is_whitespace() || c == '(').find(|w| !w.is_empty());
            if word.is_some_and(|word| conditions.contains(&word)) { "" } else { line }
        });
        file.text = kept.collect::<Vec<_>>().join("\n");
    }
    let loaded = loaded(&files);
    let (mut calls, mut running) = (0, 0);
    for coverage in &loaded.coverage {
        println!("{:<14} {:>5} of {:>5}", coverage.kind, coverage.taken, coverage.defined);
        if coverage.kind.ends_with("eval") {
            calls += coverage.defined;
            running += coverage.taken - coverage.asking;
        } else {
            assert_eq!(coverage.taken, coverage.defined, "{}", coverage.kind);
        }
    }
    println!("functions run in {running} of {calls} rules that call one");
    assert!(running * 100 >= calls * FUNCTIONS, "{running} of {calls}");
    let all = loaded.coverage.iter().map(|coverage| coverage.defined).sum::<usize>();
    assert!(all > 2_500, "only {all} rules were found");
}

#[test]
fn stock_rules_hit_the_same_mails() {
    let files = stock_files();
    let loaded = loaded(&files);
    let paths = mails();
    let theirs = ask_spamassassin(&paths);
    let compared = compared(&loaded, &theirs);
    let mut both = 0_u32;
    let mut either = 0_u32;
    let mut differing: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for (path, hits) in paths.iter().zip(&theirs.hits) {
        let ours = ask_ourselves(&loaded, path);
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for name in &compared {
            let side = match (ours.hits.contains(name), hits.contains(&**name)) {
                (false, false) => continue,
                (true, true) => {
                    both += 1;
                    either += 1;
                    continue;
                }
                (true, false) => "ours",
                (false, true) => "theirs",
            };
            either += 1;
            let own = REASONS.iter().find(|(rule, _)| name.contains(rule));
            let reason = own.map_or(ours.reason, |(_, reason)| reason);
            differing.entry((name, reason)).or_default().push(format!("{side}: {file}"));
        }
    }
    let share = f64::from(both) / f64::from(either.max(1));
    println!(
        "{} mails, {} of their {} rules compared: {either} hits, {both} of them on both sides, {:.2} %",
        paths.len(),
        compared.len(),
        theirs.runs.len(),
        100.0 * share,
    );
    for ((name, reason), files) in &differing {
        let example = files.first().map_or("", String::as_str);
        println!("{name:<40} {:>3}  {reason} (only {example})", files.len());
    }
    assert!(either > 10_000, "only {either} hits were compared");
    assert!(share >= AGREEMENT, "{:.2} % of the hits are common", 100.0 * share);
}

/// Mails made for whoever reads them as SpamAssassin does: mark-up, links, fields, hops, files.
fn attacks_on_mail() -> Vec<Attack> {
    let body = |kind: &str, text: String| {
        format!("From: a@sender.example\r\nSubject: x\r\nContent-Type: {kind}\r\n\r\n{text}")
    };
    let field = |field: String| format!("{field}\r\nFrom: a@sender.example\r\n\r\nx\r\n");
    let many = |piece: &str, octets: usize| piece.repeat(octets / piece.len());
    let mega = 1 << 20;
    vec![
        Attack::new("tags", body("text/html", many("<b><i x='", 4 * mega))),
        Attack::new("nested tags", body("text/html", many("<div><table><tr><td>", 4 * mega))),
        Attack::new("open brackets", body("text/html", many("<", 4 * mega))),
        Attack::new("references", body("text/html", many("&amp;#x41;&nbsp", 4 * mega))),
        Attack::new(
            "styles",
            body("text/html", many("<p style='color:rgb(1,2,3);font:x'>y", mega)),
        ),
        Attack::new(
            "anchors",
            body("text/html", many("<a href='http://a.com/?u=http://b.com'>", mega)),
        ),
        Attack::new(
            "links",
            body("text/plain", many("http://a.com/%68%74 www.b.com c@d.com ", 4 * mega)),
        ),
        Attack::new("dots", body("text/plain", many("a.", 4 * mega))),
        Attack::new("at signs", body("text/plain", many("a@", 4 * mega))),
        Attack::new("colons", body("text/plain", many("http:", 4 * mega))),
        Attack::new("one word", body("text/plain", many("x", 8 * mega))),
        Attack::new("blank lines", body("text/plain", many("\r\n", 4 * mega))),
        Attack::new(
            "hops",
            field(many("Received: from a (b [192.0.2.1]) by c with SMTP id d; x\r\n", mega)),
        ),
        Attack::new("one hop", field(format!("Received: from {}", many("(a [", mega)))),
        Attack::new("words", field(format!("Subject: {}", many("=?utf-8?q?=41?= ", mega)))),
        Attack::new("mailboxes", field(format!("To: {}", many("\"a\\\"(b)\" <c@d>, ", mega)))),
        Attack::new("quotes", field(format!("From: {}", many("\"(<", mega)))),
        Attack::new("fields", field(many("X: y\r\n", mega))),
        Attack::new(
            "a file",
            body(
                "application/pdf",
                format!("%PDF-1.4\n{}", many("/Im1 Do /URI (http://a.com)\n", 4 * mega)),
            ),
        ),
        Attack::new("an image", body("image/gif", format!("GIF89a{}", many("\x01", 4 * mega)))),
    ]
}

#[test]
fn foreign_rules_survive_every_attack() {
    let loaded = loaded(&stock_files());
    let mut failures = Vec::new();
    let mut slowest = (Duration::ZERO, String::new());
    for attack in crate::hostile::attacks().into_iter().chain(attacks_on_mail()) {
        let started = Instant::now();
        let request = calspamd::scan::Request::default();
        drop(crate::support::scan(&attack.body, &request, &loaded.rules));
        let took = started.elapsed();
        println!("{took:>10.1?} {}", attack.name);
        if took > ATTACK {
            failures.push(format!("{}: {took:?}", attack.name));
        }
        if took > slowest.0 {
            slowest = (took, attack.name);
        }
    }
    println!("slowest {slowest:?}");
    crate::support::assert_none(&failures);
}
