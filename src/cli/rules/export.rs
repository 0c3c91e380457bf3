//! `calspamd rules export`: the symbols as other scanners want to be told of them.
//!
//! Comes in: the rule set. Goes out: what the plug-in for Rspamd reads, or the one for
//! SpamAssassin. Only symbols with a score are in it.

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

const SPAMASSASSIN_HEAD: &str = "\
# What SpamAssassin's plug-in Calspamd.pm knows of calspamd's symbols, written by
# `calspamd rules export spamassassin`. Save it as calspamd.cf beside local.cf;
# `spamassassin --lint` checks it. Lines of yours go into local.cf, which is read later.

ifplugin Mail::SpamAssassin::Plugin::Calspamd

# Asks calspamd: after SPF, DKIM and DMARC, before averages are made.
header   __CALSPAMD eval:check_calspamd()
priority __CALSPAMD 900

describe CALSPAMD_FAIL  Calendar was not checked, calspamd did not answer
score    CALSPAMD_FAIL  0.001
describe CALSPAMD_OTHER Symbols of calspamd that calspamd.cf does not name

# A symbol counts as much as calspamd says, times calspamd_scale. What calspamd says without caps
# stands behind it; `score CAL_LONG 0.5` in local.cf says it otherwise, and 0 is off.
";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Target {
    /// Symbols and settings of the plug-in, for modules.d/calspamd.conf
    Rspamd {
        /// What calls ask for: symbols that cannot hit there are left out
        #[arg(long, default_value = "calendar")]
        scope: ScopeName,
    },
    /// Symbols of the plug-in, for calspamd.cf
    Spamassassin {
        /// What calls ask for: symbols that cannot hit there are left out
        #[arg(long, default_value = "calendar")]
        scope: ScopeName,
    },
}

/// Writes the file.
pub(super) fn export(target: &Target, rules: &RuleSet, out: &mut dyn Write) -> io::Result<()> {
    match target {
        Target::Rspamd { scope } => rspamd(rules, scope.evidence(), out),
        Target::Spamassassin { scope } => spamassassin(rules, scope.evidence(), out),
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

fn spamassassin(rules: &RuleSet, scope: EvidenceScope, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(SPAMASSASSIN_HEAD.as_bytes())?;
    for symbol in scored(rules).filter(|symbol| rules.counts_in(symbol, scope)) {
        let name = &symbol.name;
        writeln!(out, "calspamd_symbol {name} # {}", number(symbol.score))?;
        if let Some(description) = &symbol.description {
            // A comment starts at any `#` without a backslash.
            let description = clean(description).replace('#', "\\#");
            writeln!(out, "describe {name} {description}")?;
        }
    }
    writeln!(out, "\nendif")
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
        let all = body(&Target::Spamassassin { scope: ScopeName::Message });
        let expected = "\
calspamd_symbol SITE_BOTH # 0.0000001
describe SITE_BOTH Both
calspamd_symbol SITE_MAIL # -0.5
describe SITE_MAIL Of the \"mail\" \\ only \\# ${HOME} {% if %}
calspamd_symbol SITE_TITLE # 2.0
describe SITE_TITLE Of the calendar

endif";
        assert!(all.ends_with(expected), "{all}");
        let calendar = body(&Target::Spamassassin { scope: ScopeName::Calendar });
        assert!(!calendar.contains("SITE_MAIL") && calendar.contains("SITE_TITLE"), "{calendar}");
    }
}
