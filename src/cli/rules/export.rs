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
# Symbols of calspamd with their scores, written by `calspamd rules export rspamd`.
# Save it as local.d/groups.conf, or include it there; `rspamadm configtest` checks it.
";

// What SpamAssassin does not define it only mentions with `-D`: `--lint` is content.
const SPAMASSASSIN_HEAD: &str = "\
# Symbols of calspamd with their scores, written by `calspamd rules export spamassassin`.
# Save it beside local.cf; `spamassassin --lint` checks it.
";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Target {
    /// Groups with bounds, scores and descriptions, for local.d/groups.conf
    Rspamd {
        /// What calls ask for: symbols that cannot hit there are left out
        #[arg(long, default_value = "message")]
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

/// Rspamd has groups of its own named `content` and the like, so ours say whose they are.
fn rspamd_group(group: Option<&str>) -> String {
    group.map_or_else(|| "calspamd".to_owned(), |group| format!("calspamd_{group}"))
}

fn rspamd(rules: &RuleSet, scope: EvidenceScope, out: &mut dyn Write) -> io::Result<()> {
    let mut groups: BTreeMap<Option<&str>, Vec<&Symbol>> = BTreeMap::new();
    for symbol in scored(rules).filter(|symbol| rules.counts_in(symbol, scope)) {
        groups.entry(symbol.group.as_deref()).or_default().push(symbol);
    }
    out.write_all(RSPAMD_HEAD.as_bytes())?;
    for (group, symbols) in groups {
        writeln!(out, "\ngroup \"{}\" {{", rspamd_group(group))?;
        let about = format!("calspamd: {}", group.unwrap_or("no group"));
        writeln!(out, "  description = {};", ucl(&about))?;
        let cap = rules.group_caps().iter().find(|cap| Some(&*cap.group) == group);
        if let Some(cap) = cap {
            writeln!(out, "  max_score = {};", number(cap.max))?;
            writeln!(out, "  min_score = {};", number(cap.min))?;
        }
        writeln!(out, "  symbols {{")?;
        for symbol in symbols {
            writeln!(out, "    \"{}\" {{", symbol.name)?;
            writeln!(out, "      score = {};", number(symbol.score))?;
            if let Some(description) = &symbol.description {
                writeln!(out, "      description = {};", ucl(description))?;
            }
            writeln!(out, "    }}")?;
        }
        writeln!(out, "  }}\n}}")?;
    }
    Ok(())
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
    fn rspamd_gets_groups_with_bounds() {
        let all = body(&Target::Rspamd { scope: ScopeName::Message });
        let expected = r#"
group "calspamd" {
  description = "calspamd: no group";
  symbols {
    "SITE_BOTH" {
      score = 0.0000001;
      description = "Both";
    }
    "SITE_MAIL" {
      score = -0.5;
      description = "Of the \"mail\" \\ only # \u0024\u007bHOME\u007d \u007b% if %\u007d";
    }
  }
}

group "calspamd_words" {
  description = "calspamd: words";
  max_score = 8.5;
  min_score = -1.0;
  symbols {
    "SITE_TITLE" {
      score = 2.0;
      description = "Of the calendar";
    }
  }
}"#;
        assert_eq!(all, expected.trim());
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
