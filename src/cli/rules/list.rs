//! `calspamd rules list`: every symbol, as a table or as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::number;
use crate::cli::terminal::{Paint, Style, clean};
use crate::rules::{RuleSet, Symbol};

/// A longer description pushes what stands behind it out of its column.
const DESCRIPTION: usize = 72;

/// Prints a table.
pub(super) fn table(rules: &RuleSet, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 6]> = rules.symbols().map(row).collect();
    let head = ["SYMBOL", "SCORE", "GROUP", "TYPE", "DESCRIPTION", "FILE"].map(str::to_owned);
    let mut widths = [0_usize; 6];
    for cells in rows.iter().chain([&head]) {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    let [name, score, group, kind, description, _] = widths;
    let description = description.min(DESCRIPTION);
    let line = |[n, s, g, k, d, f]: &[String; 6]| {
        format!("{n:name$}  {s:>score$}  {g:group$}  {k:kind$}  {d:description$}  {f}")
    };
    writeln!(out, "{}", paint.style(Style::Bold, line(&head)))?;
    for cells in &rows {
        writeln!(out, "{}", line(cells))?;
    }
    Ok(())
}

fn row(symbol: &Symbol) -> [String; 6] {
    let text = |text: Option<&str>| clean(text.unwrap_or("-")).into_owned();
    [
        symbol.name.to_string(),
        number(symbol.score),
        text(symbol.group.as_deref()),
        symbol.kind.name().to_owned(),
        text(symbol.description.as_deref()),
        format!("{}:{}", clean(&symbol.file), symbol.line),
    ]
}

/// Prints a JSON array.
pub(super) fn json(rules: &RuleSet, out: &mut dyn Write) -> io::Result<()> {
    let symbols: Vec<JsonSymbol<'_>> = rules.symbols().map(JsonSymbol::new).collect();
    serde_json::to_writer_pretty(&mut *out, &symbols).map_err(io::Error::from)?;
    writeln!(out)
}

#[derive(Serialize)]
struct JsonSymbol<'a> {
    symbol: &'a str,
    kind: &'static str,
    group: Option<&'a str>,
    score: f64,
    description: Option<&'a str>,
    source: Option<&'a str>,
    file: &'a str,
    line: usize,
    definition: &'a str,
}

impl<'a> JsonSymbol<'a> {
    fn new(symbol: &'a Symbol) -> Self {
        Self {
            symbol: &symbol.name,
            kind: symbol.kind.name(),
            group: symbol.group.as_deref(),
            score: symbol.score,
            description: symbol.description.as_deref(),
            source: symbol.source.as_deref(),
            file: &symbol.file,
            line: symbol.line,
            definition: &symbol.definition,
        }
    }
}
