//! A scan's answer for people.

use std::io::{self, Write};

use super::terminal::{Paint, Style, clean, clean_and_cut};
use crate::scan::{EventOutcome, Outcome};
use crate::verdict::{Action, Decision, Symbol};

/// Characters of a piece of evidence shown.
const SHOWN: usize = 160;

/// Prints the answer for one file.
pub(super) fn print(
    file: &str,
    outcome: &Outcome,
    paint: Paint,
    out: &mut dyn Write,
) -> io::Result<()> {
    let verdict = &outcome.verdict;
    let style = match verdict.action {
        Action::NoAction => Style::Green,
        Action::Greylist => Style::Yellow,
        Action::AddHeader | Action::Quarantine | Action::Reject | Action::Discard => Style::Red,
    };
    writeln!(
        out,
        "{}: {} {:.2}; {}",
        paint.style(Style::Bold, clean(file)),
        paint.style(style, verdict.action.name()),
        verdict.score,
        decision(&verdict.decision),
    )?;
    symbols(&verdict.symbols, paint, out)?;
    for event in &outcome.events {
        writeln!(out, "  event    {}", describe(event))?;
    }
    if !verdict.decision.reasons.is_empty() {
        writeln!(out, "  reasons  {}", clean(&verdict.decision.reasons.join(", ")))?;
    }
    for said in &outcome.listings {
        let (about, place) = (clean_and_cut(&said.about, SHOWN), clean(&said.place));
        writeln!(out, "  list     {}: {about} at {place}: {}", said.list, said.listing)?;
    }
    for defect in &outcome.defects {
        let place = if defect.place.is_empty() { "message" } else { &defect.place };
        let (place, detail) = (clean(place), clean(&defect.detail));
        writeln!(out, "  defect   {} at {place}: {detail}", defect.kind)?;
    }
    if !outcome.partial.is_empty() {
        let reasons = clean(&outcome.partial.join(", ")).into_owned();
        writeln!(out, "  {}  {reasons}", paint.style(Style::Yellow, "partial"))?;
    }
    Ok(())
}

/// What a calendar should do, in a few words.
fn decision(decision: &Decision) -> String {
    let keep = |keep: bool| if keep { "keep" } else { "strip" };
    let insert = if decision.auto_insert { "insert" } else { "do not insert" };
    format!(
        "{insert}, {}, calendar {}, {}, {} alarms, {} attachments, by hand {}",
        decision.apply.name(),
        decision.target.name(),
        decision.busy.name(),
        keep(decision.keep_alarms),
        keep(decision.keep_attachments),
        decision.manual_insert.name(),
    )
}

/// A table of symbols, strongest first, with where and what was found.
fn symbols(symbols: &[Symbol], paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let mut sorted: Vec<&Symbol> = symbols.iter().collect();
    sorted.sort_by(|a, b| b.score.abs().total_cmp(&a.score.abs()));
    let width = sorted.iter().map(|symbol| symbol.hit.symbol.len()).max().unwrap_or_default();
    for symbol in sorted {
        let style = if symbol.score < 0.0 { Style::Green } else { Style::Red };
        let score = format!("{:>7.2}", symbol.score);
        let name = format!("{:width$}", symbol.hit.symbol);
        let description = symbol.hit.description.as_deref().unwrap_or_default();
        writeln!(out, "  {}  {name}  {}", paint.style(style, score), clean(description))?;
        for evidence in &symbol.hit.evidence {
            let place = clean(&evidence.place);
            let text = clean_and_cut(&evidence.text, SHOWN);
            let line =
                if text.is_empty() { place.into_owned() } else { format!("{place}: {text}") };
            writeln!(out, "           {:width$}  {}", "", paint.style(Style::Dim, line))?;
        }
    }
    Ok(())
}

fn describe(event: &EventOutcome) -> String {
    let mut words = vec![clean(&event.place).into_owned()];
    if let Some(method) = &event.method {
        words.push(clean_and_cut(method, 20));
    }
    let summary = event.summary.as_deref().unwrap_or_default();
    words.push(format!("\"{}\"", clean_and_cut(summary, 60)));
    if let Some(start) = &event.start {
        words.push(clean(start).into_owned());
    }
    if let Some(organizer) = &event.organizer {
        words.push(format!("by {}", clean_and_cut(organizer, 60)));
    }
    let counts = format!(
        "({} a year, {} notifications, score {:.2})",
        event.instances, event.notifications, event.score
    );
    words.push(counts);
    words.join(" ")
}
