//! `calspamd lists test`: asks the test points of the lists (RFC 5782).

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::terminal::{Paint, Style, clean};
use super::{Common, Error, rules};
use crate::config::Config;
use crate::lists::{AskResult, Lists, Report, Settings};
use crate::rules::RuleSet;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Ask each list for its test points and say how it is
    Test {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// A list as it is shown. Zones are shown without keys.
#[derive(Serialize)]
struct Row {
    name: String,
    zone: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listed: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clean: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
}

pub(super) fn run(
    command: &Command,
    common: &Common,
    config: &Config,
    paint: Paint,
    out: &mut dyn Write,
) -> Result<ExitCode, Error> {
    let Command::Test { json } = command;
    let loaded = rules::load(common, config)?;
    rules::warn(&loaded.diagnostics);
    // Whoever calls this wants them asked, unless he says no.
    let settings = Settings { enabled: !common.no_dns, ..config.dns.clone() };
    let lists = Lists::start(&settings)?;
    let rows = rows(&loaded.rules, &lists);
    let well = rows.iter().all(|row| row.state != "broken");
    if *json {
        serde_json::to_writer_pretty(&mut *out, &rows).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        table(&rows, paint, out)?;
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn rows(rules: &RuleSet, lists: &Lists) -> Vec<Row> {
    let reports = lists.test(rules.lists());
    let mut rows: Vec<Row> = rules
        .lists()
        .iter()
        .map(|list| {
            let report = reports.iter().find(|report| report.list.name == list.name);
            let check = report.and_then(|report| report.check.as_ref());
            let state = match report {
                None => "not asked",
                Some(Report { off: Some(_), .. } | Report { check: None, .. }) => "broken",
                Some(_) => "ok",
            };
            Row {
                name: list.name.to_string(),
                zone: list.shown.to_string(),
                state,
                reason: check.and_then(|check| check.wrong),
                listed: check.and_then(|check| check.listed).map(AskResult::name),
                clean: check.and_then(|check| check.clean).map(AskResult::name),
                latency_ms: check.map(|check| (check.latency.as_secs_f64() * 1e4).round() / 10.0),
                policy: list.policy.as_deref().map(str::to_owned),
            }
        })
        .collect();
    rows.extend(rules.lists_off().iter().map(|name| Row {
        name: name.to_string(),
        zone: String::new(),
        state: "off",
        reason: Some("switched off, or its key is missing"),
        listed: None,
        clean: None,
        latency_ms: None,
        policy: None,
    }));
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn table(rows: &[Row], paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let width = |length: fn(&Row) -> usize| rows.iter().map(length).max().unwrap_or_default();
    let (names, zones) = (width(|row| row.name.len()), width(|row| row.zone.len()));
    for row in rows {
        let style = match row.state {
            "ok" => Style::Green,
            "broken" => Style::Red,
            _ => Style::Dim,
        };
        let state = paint.style(style, format!("{:9}", row.state));
        let latency = row.latency_ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
        let points = [("listed", row.listed), ("clean", row.clean)];
        let points: Vec<String> = points
            .iter()
            .filter_map(|(name, result)| result.map(|result| format!("{name} point: {result}")))
            .collect();
        let notes = [row.reason.map(str::to_owned), row.policy.clone()];
        let notes: Vec<String> = points.into_iter().chain(notes.into_iter().flatten()).collect();
        writeln!(
            out,
            "{:names$}  {:zones$}  {state}  {latency:>9}  {}",
            row.name,
            row.zone,
            clean(&notes.join("; "))
        )?;
    }
    Ok(())
}
