//! `calspamd rules export`: the symbols as other scanners want to be told of them.
//!
//! Comes in: the rule set. Goes out: a file for Rspamd's groups, or one for SpamAssassin's
//! site rules. Only symbols with a score are in it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::Subcommand;

use super::number;
use crate::cli::scan::ScopeName;
use crate::cli::terminal::clean;
use crate::rules::{EvidenceScope, RuleSet, Symbol};

const RSPAMD_HEAD: &str = "\
# What Rspamd's plug-in calspamd.lua knows of calspamd's symbols, written by
# `calspamd rules export rspamd`. Save it as modules.d/calspamd.conf; `rspamadm configtest` checks it.
# Settings of yours go into local.d/calspamd.conf, which this file reads.

calspamd {
  # Every symbol counts as much as calspamd says: its score in Rspamd is a factor, 1.0. For another
  # one write `symbols { CAL_LONG { score = 0.5; } }` into local.d/calspamd_group.conf.
  symbols {
";

const RSPAMD_TAIL: &str = "  }
  .include(try=true,priority=1,duplicate=merge) \"$LOCAL_CONFDIR/local.d/calspamd.conf\"
  .include(try=true,priority=10) \"$LOCAL_CONFDIR/override.d/calspamd.conf\"
}

group \"calspamd\" {
  description = \"Calendar spam, from calspamd\";
  # More than this a calendar never adds to a message.
  max_score = 50.0;
  .include(try=true,priority=1,duplicate=merge) \"$LOCAL_CONFDIR/local.d/calspamd_group.conf\"
  .include(try=true,priority=10) \"$LOCAL_CONFDIR/override.d/calspamd_group.conf\"
}
";

// What SpamAssassin does not define it only mentions with `-D`: `--lint` is content.
const SPAMASSASSIN_HEAD: &str = "\
# Symbols of calspamd with their scores, written by `calspamd rules export spamassassin`.
# Save it beside local.cf; `spamassassin --lint` checks it.
";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Target {
    /// Symbols and settings of the plug-in, for modules.d/calspamd.conf
    Rspamd {
        /// What calls ask for: symbols that cannot hit there are left out
        #[arg(long, default_value = "calendar")]
        scope: ScopeName,
    },
    /// Scores and descriptions, for a .cf file
    Spamassassin,
}

/// Writes the file.
pub(super) fn export(target: &Target, rules: &RuleSet, out: &mut dyn Write) -> io::Result<()> {
    match target {
        Target::Rspamd { scope } => rspamd(rules, scope.evidence(), out),
        Target::Spamassassin => spamassassin(rules, out),
    }
}

fn scored(rules: &RuleSet) -> impl Iterator<Item = &Symbol> {
    rules.symbols().filter(|symbol| symbol.score != 0.0)
}

fn rspamd(rules: &RuleSet, scope: EvidenceScope, out: &mut dyn Write) -> io::Result<()> {
    let mut groups: BTreeMap<Option<&str>, Vec<&Symbol>> = BTreeMap::new();
    for symbol in scored(rules).filter(|symbol| rules.counts_in(symbol, scope)) {
        groups.entry(symbol.group.as_deref()).or_default().push(symbol);
    }
    out.write_all(RSPAMD_HEAD.as_bytes())?;
    for (group, symbols) in groups {
        writeln!(out, "    # {}", clean(group.unwrap_or("no group")))?;
        for symbol in symbols {
            let description = ucl(symbol.description.as_deref().unwrap_or_default());
            writeln!(out, "    \"{}\" {{ description = {description}; }}", symbol.name)?;
        }
    }
    out.write_all(RSPAMD_TAIL.as_bytes())
}

/// A string of UCL. Braces and dollars are written by number: Rspamd puts variables in for
/// `${…}`, and runs a template engine over the file that obeys `{%`, `{=` and `{#`.
fn ucl(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in clean(text).chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '{' => quoted.push_str("\\u007b"),
            '}' => quoted.push_str("\\u007d"),
            '$' => quoted.push_str("\\u0024"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn spamassassin(rules: &RuleSet, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(SPAMASSASSIN_HEAD.as_bytes())?;
    let width = scored(rules).map(|symbol| symbol.name.len()).max().unwrap_or_default();
    for symbol in scored(rules) {
        let name = &symbol.name;
        if let Some(description) = &symbol.description {
            // A comment starts at any `#` without a backslash.
            let description = clean(description).replace('#', "\\#");
            writeln!(out, "describe {name:width$} {description}")?;
        }
        writeln!(out, "score    {name:width$} {}", number(symbol.score))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{File, Files, load};

    const RULES: &str = "\
header   SITE_MAIL  Subject =~ /a/
describe SITE_MAIL  Of the \"mail\" \\ only \\# ${HOME} {% if %}
score    SITE_MAIL  -0.5
calendar SITE_TITLE summary =~ /a/
describe SITE_TITLE Of the calendar
score    SITE_TITLE 2
group    SITE_TITLE words
group_cap words     -1 8.5
meta     SITE_BOTH  SITE_MAIL && __SITE_OTHER
describe SITE_BOTH  Both
score    SITE_BOTH  1e-7
body     __SITE_OTHER /b/
calendar SITE_OFF   summary =~ /b/
describe SITE_OFF   Off
score    SITE_OFF   0
";

    fn rules() -> RuleSet {
        let file = File { name: "site.cf".to_owned(), text: RULES.to_owned() };
        load(&Files { rules: vec![file], ..Files::default() }).unwrap().rules
    }

    fn body(target: &Target) -> String {
        let mut text = Vec::new();
        export(target, &rules(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        lines.join("\n").trim().to_owned()
    }

    #[test]
    fn rspamd_gets_symbols_by_group() {
        let all = body(&Target::Rspamd { scope: ScopeName::Message });
        let expected = r#"
    "SITE_BOTH" { description = "Both"; }
    "SITE_MAIL" { description = "Of the \"mail\" \\ only # \u0024\u007bHOME\u007d \u007b% if %\u007d"; }
    # words
    "SITE_TITLE" { description = "Of the calendar"; }
  }
  .include"#;
        assert!(all.contains(expected), "{all}");
        assert!(!all.contains("SITE_OFF"), "{all}");
        let calendar = body(&Target::Rspamd { scope: ScopeName::Calendar });
        assert!(!calendar.contains("SITE_MAIL"), "{calendar}");
        assert!(calendar.contains("SITE_BOTH") && calendar.contains("SITE_TITLE"), "{calendar}");
    }

    #[test]
    fn spamassassin_gets_lines() {
        let expected = "\
describe SITE_BOTH  Both
score    SITE_BOTH  0.0000001
describe SITE_MAIL  Of the \"mail\" \\ only \\# ${HOME} {% if %}
score    SITE_MAIL  -0.5
describe SITE_TITLE Of the calendar
score    SITE_TITLE 2.0";
        assert_eq!(body(&Target::Spamassassin), expected);
    }
}
