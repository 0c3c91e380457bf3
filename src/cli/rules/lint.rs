//! `rules lint`: what is wrong in the rule files, what is skipped and why, and how much of
//! each kind of rule can run.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use super::text;
use crate::rules::{self, Diagnostic, FunctionState, Loaded, Severity};

/// Diagnostics of one class that are shown in full.
const SHOWN: usize = 3;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
    /// Show every diagnostic, not only the first of each class
    #[arg(long)]
    all: bool,
    /// List the functions that rules can call with `eval:`, and what becomes of each
    #[arg(long)]
    functions: bool,
}

/// Prints what a load has to say; the exit code is 2 when that is an error, or with `--strict`
/// a warning.
pub(super) fn lint(
    loaded: Result<Loaded, Vec<Diagnostic>>,
    arguments: &Arguments,
    out: &mut dyn Write,
) -> io::Result<ExitCode> {
    if arguments.functions {
        functions(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (diagnostics, loaded) = match loaded {
        Ok(mut loaded) => (std::mem::take(&mut loaded.diagnostics), Some(loaded)),
        Err(diagnostics) => (diagnostics, None),
    };
    let classes = classes(&diagnostics);
    print_diagnostics(&diagnostics, &classes, arguments.all, out)?;
    if let Some(loaded) = &loaded {
        print_coverage(loaded, out)?;
    }
    if !classes.is_empty() {
        writeln!(out, "by reason:")?;
        let mut rows: Vec<(&(Severity, String), &Vec<&Diagnostic>)> = classes.iter().collect();
        rows.sort_by_key(|((severity, class), found)| {
            (*severity == Severity::Warning, std::cmp::Reverse(found.len()), class)
        });
        for ((severity, class), found) in rows {
            writeln!(out, "{:>7}  {}: {class}", found.len(), severity.name())?;
        }
        writeln!(out)?;
    }
    let count = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let symbols = loaded.as_ref().map_or(0, |loaded| loaded.rules.symbols().count());
    writeln!(out, "symbols: {symbols}, errors: {errors}, warnings: {warnings}")?;
    let failed = errors > 0 || (arguments.strict && warnings > 0);
    Ok(if failed { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

type Classes<'d> = BTreeMap<(Severity, String), Vec<&'d Diagnostic>>;

fn classes(diagnostics: &[Diagnostic]) -> Classes<'_> {
    let mut classes = Classes::new();
    for diagnostic in diagnostics {
        let key = (diagnostic.severity, diagnostic.class());
        classes.entry(key).or_default().push(diagnostic);
    }
    classes
}

/// Errors in full; of warnings of one class the first few, the rest is counted.
fn print_diagnostics(
    diagnostics: &[Diagnostic],
    classes: &Classes<'_>,
    all: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut shown: BTreeMap<String, usize> = BTreeMap::new();
    for diagnostic in diagnostics {
        if !all && diagnostic.severity == Severity::Warning {
            let class = diagnostic.class();
            let seen = shown.entry(class.clone()).or_default();
            *seen += 1;
            if *seen > SHOWN {
                continue;
            }
            writeln!(out, "{}\n", text(std::slice::from_ref(diagnostic)))?;
            let more = classes.get(&(Severity::Warning, class)).map_or(0, Vec::len);
            if *seen == SHOWN && more > SHOWN {
                writeln!(out, "… and {} more like this one (--all)\n", more - SHOWN)?;
            }
        } else {
            // What must be mended goes where errors go, also with the output in a file.
            let to: &mut dyn Write = match diagnostic.severity {
                Severity::Error => &mut io::stderr().lock(),
                Severity::Warning => out,
            };
            writeln!(to, "{}\n", text(std::slice::from_ref(diagnostic)))?;
        }
    }
    Ok(())
}

fn print_coverage(loaded: &Loaded, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "rules:")?;
    for coverage in &loaded.coverage {
        let (taken, defined) = (coverage.taken, coverage.defined);
        let percent = 100 * taken / defined.max(1);
        write!(out, "  {:<14} {taken:>5} of {defined:>5}  {percent:>3} %", coverage.kind)?;
        match coverage.asking {
            0 => writeln!(out)?,
            asking => writeln!(out, ", {asking} of them ask DNS lists")?,
        }
    }
    for (condition, rules) in &loaded.hidden {
        writeln!(out, "  {rules:>5} behind `if {condition}`, which is false here")?;
    }
    writeln!(out)
}

fn functions(out: &mut dyn Write) -> io::Result<()> {
    for (name, state) in rules::functions() {
        let state = match state {
            FunctionState::Runs => "runs".to_owned(),
            FunctionState::Asks => "asks DNS lists".to_owned(),
            FunctionState::Refused(reason) => format!("refused: {reason}"),
        };
        writeln!(out, "{name:<44} {state}")?;
    }
    Ok(())
}
