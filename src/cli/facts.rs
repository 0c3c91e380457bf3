//! `calspamd facts`: everything that rules can ask about one message, with its values.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Error;
use super::scan::{Envelope, read_input};
use super::terminal::{Paint, Style, clean_and_cut};
use crate::calendar;
use crate::config::Config;
use crate::facts::{self, Answer, FactId, Kind, Memo, Scope, TABLE, Value, View};
use crate::message;

/// Characters of a text shown.
const SHOWN: usize = 200;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A mail or a calendar file; - is the standard input
    path: PathBuf,
    /// Also name facts without a value
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    envelope: Envelope,
}

pub(super) fn run(
    arguments: &Arguments,
    config: &Config,
    paint: Paint,
    out: &mut dyn Write,
) -> Result<ExitCode, Error> {
    let bytes = match read_input(&arguments.path, config.http.max_message) {
        Ok(bytes) => bytes,
        Err(error) => {
            super::complain(format_args!("{}: {error}", arguments.path.display()));
            return Ok(ExitCode::FAILURE);
        }
    };
    let request = arguments.envelope.request(&arguments.path, &bytes, &config.scan);
    let settings = &config.scan;
    let message = message::parse(&bytes, request.bare, &request.envelope, &settings.message);
    let reading = calendar::read(&message, &settings.calendar, &|| false);
    let mut facts =
        facts::gather(&message, &reading, &request.envelope, request.now, settings.limits.urls);
    facts.know(settings.site.current());

    let shared = Memo::new();
    let mail = View::new(&facts, &shared, None);
    let printer = Printer { paint, all: arguments.all };
    writeln!(out, "{}", paint.style(Style::Bold, "message"))?;
    printer.print(&mail, Scope::Message, out)?;
    for event in &facts.events {
        let place = format!("{}[{}]", event.event.kind.name(), event.event.ordinal);
        writeln!(out, "{}", paint.style(Style::Bold, place))?;
        printer.print(&View::new(&facts, &shared, Some(event)), Scope::Event, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

struct Printer {
    paint: Paint,
    all: bool,
}

impl Printer {
    fn print(&self, view: &View<'_, '_>, scope: Scope, out: &mut dyn Write) -> Result<(), Error> {
        let width = TABLE.iter().map(|fact| fact.name.len()).max().unwrap_or_default();
        for fact in TABLE.iter().filter(|fact| fact.scope == scope) {
            let Some(id) = FactId::find(fact.name) else {
                continue;
            };
            match view.ask(id) {
                Answer::Unknown if self.all => writeln!(out, "  {:width$} ? unknown", fact.name)?,
                Answer::Known(values) if values.is_empty() && self.all => {
                    writeln!(out, "  {:width$} -", fact.name)?;
                }
                Answer::Unknown => {}
                Answer::Known(values) => {
                    for datum in values {
                        let place = format!("[{}]", datum.place);
                        let place = clean_and_cut(&place, SHOWN);
                        writeln!(
                            out,
                            "  {:width$} = {}  {}",
                            fact.name,
                            shown(&datum.value, fact.kind),
                            self.paint.style(Style::Dim, place),
                        )?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A value as a rule would write it.
fn shown(value: &Value<'_>, kind: Kind) -> String {
    match value {
        Value::Text(text) => format!("\"{}\"", clean_and_cut(text, SHOWN)),
        Value::Number(number) if kind == Kind::Duration => format!("{number}s"),
        Value::Number(number) => number.to_string(),
        Value::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
    }
}
