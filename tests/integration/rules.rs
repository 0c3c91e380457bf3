//! `calspamd rules`: lists, the story of one rule, files for other scanners, documentation.
//!
//! The exported files are read by the real Rspamd and SpamAssassin; `make tools` installs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use calspamd::rules::{self, File, Files};
use serde_json::Value;

use crate::cli::{Folder, calspamd, err, json, ok};
use crate::support::repository;

/// Rules with everything in their words that another scanner could stumble over.
const ODD: &str = "\
calendar SITE_ODD  summary =~ /a/
describe SITE_ODD  Says \"free\" \\ {% if x %} ${LOCAL_CONFDIR} \\# 'größe'; {= env.X =}
score    SITE_ODD  2.5
group    SITE_ODD  site
group_cap site     -1 4
calendar SITE_NICE summary =~ /b/
describe SITE_NICE Good
score    SITE_NICE -0.25
calendar SITE_OFF  summary =~ /c/
describe SITE_OFF  Off
score    SITE_OFF  0
";

/// What the description of `SITE_ODD` says.
const ODD_DESCRIPTION: &str = "Says \"free\" \\ {% if x %} ${LOCAL_CONFDIR} # 'größe'; {= env.X =}";

/// Fails where a program is missing: `make tools` installs them all.
fn needs(program: &str) {
    let there = Command::new(program).arg("--version").output().is_ok();
    assert!(there, "{program} is missing: run `make tools`");
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

#[test]
fn all_symbols_are_listed() {
    let listed = json(&ok(&["rules", "list", "--json"]));
    let listed = listed.as_array().unwrap();
    let callback = listed.iter().find(|rule| rule["symbol"] == "CAL_CALLBACK").unwrap();
    assert_eq!(callback["kind"], "meta");
    assert_eq!(callback["group"], "content");
    assert!(callback["line"].as_u64().is_some_and(|line| line > 1));

    let table = ok(&["rules", "list"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), listed.len() + 1);
    let head: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(head, ["SYMBOL", "SCORE", "GROUP", "TYPE", "DESCRIPTION", "FILE"]);
    let row = lines.iter().find(|line| line.starts_with("CAL_CALLBACK ")).unwrap();
    for part in ["  content  ", "  meta  ", "  Callback scam: ", "  stock/content.cf:"] {
        assert!(row.contains(part), "{part} in {row}");
    }
    assert!(!table.contains('\u{1b}'), "no colours in a pipe");
    let painted = ok(&["rules", "list", "--color", "always"]);
    assert!(painted.starts_with("\u{1b}[1mSYMBOL "), "{painted}");
}

#[test]
fn a_rule_is_shown_with_what_it_asks_and_needs() {
    let shown = ok(&["rules", "show", "CAL_CALLBACK"]);
    assert!(shown.starts_with("CAL_CALLBACK\n"), "{shown}");
    for part in [
        "  score   5.0\n",
        "  group   content, 0.0 to 12.0\n",
        "  means   Callback scam",
        "  file    stock/content.cf:",
        "\n  rule    meta ",
        "\nfacts\n",
        "  text.phones         number    Distinct phone numbers",
        "\ndepends on\n  meta     __CAL_PHONE ",
        "\n    meta     __CAL_THREAT ",
        "\n      calendar __CAL_THREAT_WORDS ",
        "\n    __CAL_THREAT as above\n",
        "\nused by\n  meta     ",
        "\n  meta     CAL_X_CALLBACK_BRAND ",
        "\nhistory\n  counts  stock/content.cf:",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let shown = ok(&["rules", "show", "__CAL_PHONE"]);
    assert!(shown.contains("\n  meta     CAL_CALLBACK "), "{shown}");
    assert!(!shown.contains("score"), "a helper has none: {shown}");
}

#[test]
fn mistyped_rules_are_guessed() {
    for (name, expected) in [
        ("CAL_NO_SUCH_THING", ""),
        ("CAL_CALBACK", "\n  hint: did you mean CAL_CALLBACK?"),
        ("cal_callback", "\n  hint: did you mean CAL_CALLBACK?"),
    ] {
        let output = calspamd(&["rules", "show", name]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(err(&output), format!("calspamd: there is no rule {name}{expected}\n"));
    }
}

#[test]
fn the_history_of_a_rule_goes_over_all_files() {
    let folder = Folder::with(
        "10-a.cf",
        "calendar SITE_A summary =~ /a/\ndescribe SITE_A First\nscore SITE_A 1\n\
         meta SITE_M SITE_A && SITE_GONE && SITE_ZERO\ndescribe SITE_M All\n\
         calendar SITE_ZERO summary =~ /z/\ndescribe SITE_ZERO z\nscore SITE_ZERO 0\n",
    );
    folder.write("20-b.cf", "score SITE_A (2.5)\ndescribe SITE_A Second\n");
    folder.write("30-c.cf", "calendar SITE_A summary =~ /b/\n");
    let path = folder.path().display().to_string();
    let show = |name| ok(&["rules", "show", name, "--no-stock-rules", "--rules", &path]);
    let shown = show("SITE_A");
    let (_, history) = shown.split_once("\nhistory\n").unwrap();
    let expected = [
        ("        ", "10-a.cf:1", "calendar SITE_A summary =~ /a/"),
        ("        ", "10-a.cf:2", "describe SITE_A First"),
        ("        ", "10-a.cf:3", "score SITE_A 1"),
        ("  counts", "20-b.cf:1", "score SITE_A (2.5) = 3.5"),
        ("  counts", "20-b.cf:2", "describe SITE_A Second"),
        ("  counts", "30-c.cf:1", "calendar SITE_A summary =~ /b/"),
    ]
    .map(|(mark, place, text)| format!("{mark}  {path}/{place}  {text}\n"));
    assert_eq!(history, expected.concat());
    assert!(shown.contains("  score   3.5\n") && shown.contains("means   Second"), "{shown}");

    let shown = show("SITE_M");
    assert!(shown.contains("\n  SITE_GONE is no rule and counts as 0\n"), "{shown}");
    assert!(shown.contains("] is off and counts as 0\n"), "{shown}");
    assert!(shown.contains("  score 1.0, as no line says another\n"), "{shown}");
}

/// A folder with the odd rules, and the path to hand over.
fn odd() -> (Folder, String) {
    let folder = Folder::with("odd.cf", ODD);
    let path = folder.path().display().to_string();
    (folder, path)
}

fn write(folder: &Path, file: &str, text: &str) -> PathBuf {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn rspamd_takes_the_exported_symbols() {
    let (folder, rules) = odd();
    let exported = ok(&["rules", "export", "rspamd", "--rules", &rules]);
    assert!(exported.contains("\"CAL_CALLBACK\"") && !exported.contains("SITE_OFF"));
    let all = ok(&["rules", "export", "rspamd", "--scope", "message", "--rules", &rules]);
    assert!(exported.len() <= all.len());
    needs("rspamadm");
    let rspamadm = |arguments: &[&str]| {
        let place = format!("--var=LOCAL_CONFDIR={}", folder.path().display());
        Command::new("rspamadm").arg(place).args(arguments).output().unwrap()
    };
    for text in [&all, &exported] {
        write(folder.path(), "local.d/groups.conf", text);
        let output = rspamadm(&["configtest"]);
        assert!(said(&output).contains("syntax OK"), "{}{text}", said(&output));
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }

    let dump = |section: &str| -> Value {
        let output = rspamadm(&["configdump", "-j", section]);
        let dumped = String::from_utf8_lossy(&output.stdout).into_owned();
        let start = dumped.find('{').unwrap_or_else(|| panic!("{}", said(&output)));
        // Comments stand around the object.
        let values = serde_json::Deserializer::from_str(dumped.split_at(start).1);
        values.into_iter().next().unwrap().unwrap()
    };
    let symbols = &dump("calspamd")["symbols"];
    assert_eq!(symbols["SITE_ODD"]["description"], ODD_DESCRIPTION);
    let listed = json(&ok(&["rules", "list", "--json", "--rules", &rules]));
    for rule in listed.as_array().unwrap().iter().filter(|rule| rule["score"] != 0.0) {
        let name = rule["symbol"].as_str().unwrap();
        let there = symbols.get(name).is_some();
        assert!(there || !exported.contains(&format!("\"{name}\"")), "{name}");
    }
    assert_eq!(dump("group")["calspamd"]["max_score"].as_f64(), Some(50.0));

    // The check itself can fail.
    write(folder.path(), "local.d/groups.conf", &exported.replacen("\";", ";", 1));
    assert_ne!(rspamadm(&["configtest"]).status.code(), Some(0));
}

#[test]
fn spamassassin_takes_the_exported_rules() {
    let (folder, rules) = odd();
    let exported = ok(&["rules", "export", "spamassassin", "--rules", &rules]);
    assert!(exported.contains("calspamd_symbol CAL_CALLBACK ") && !exported.contains("SITE_OFF"));
    needs("spamassassin");
    let site = folder.path().join("site");
    let plugin = repository("deploy/spamassassin/Calspamd.pm");
    let load = format!(
        "loadplugin Mail::SpamAssassin::Plugin::Check\n\
         loadplugin Mail::SpamAssassin::Plugin::Calspamd {}\n",
        plugin.display()
    );
    write(&site, "init.pre", &load);
    write(&site, "calspamd.cf", &exported);
    let place = format!("--siteconfigpath={}", site.display());
    let lint = || {
        Command::new("spamassassin")
            .args(["--lint", "--prefspath=/dev/null", &place])
            .env("HOME", folder.path())
            .output()
            .unwrap()
    };
    let output = lint();
    assert_eq!((output.status.code(), said(&output)), (Some(0), String::new()));

    // The check itself can fail.
    write(
        &site,
        "calspamd.cf",
        &exported.replacen("calspamd_symbol CAL_", "calspamd_symbol 1-", 1),
    );
    assert_ne!(lint().status.code(), Some(0));
}

#[test]
fn the_documentation_of_the_rules_is_fresh() {
    let page = std::fs::read_to_string(repository("rules/README.md")).unwrap();
    let (_, rest) = page.split_once("<!-- begin: calspamd rules docs -->\n").unwrap();
    let (text, _) = rest.split_once("<!-- end: calspamd rules docs -->\n").unwrap();
    let fresh = ok(&["rules", "docs"]);
    let stale = text.lines().zip(fresh.lines()).find(|(a, b)| a != b);
    assert!(
        text == fresh,
        "rules/README.md is stale, run\n  cargo run -- rules docs --into rules/README.md\n{stale:?}"
    );
}

/// Every rule file with mistakes says what it is to say; `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn every_mistake_has_its_message() {
    let folder = repository("tests/rules/bad");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "cf"))
        .collect();
    paths.sort();
    let mut failures = Vec::new();
    for path in &paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = rules::text_of(&std::fs::read(path).unwrap());
        let mut files = Files { rules: vec![File { name, text }], ..Files::default() };
        // One that includes itself is included by one of the fixtures.
        let circle = File { name: "circle.cf".to_owned(), text: "include circle.cf".to_owned() };
        files.included.push(circle);
        let shown: Vec<String> = match rules::load(&files) {
            Ok(_) => vec!["it loads".to_owned()],
            Err(diagnostics) => diagnostics.iter().map(ToString::to_string).collect(),
        };
        let shown = shown.join("\n\n") + "\n";
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &shown).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if shown != expected {
            failures.push(format!("{}:\n{shown}\nand not\n{expected}", path.display()));
        }
    }
    assert!(paths.len() >= 20, "fixtures are missing");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
