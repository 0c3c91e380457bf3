//! The log of the service: lines on the standard error, as text or JSON.
//!
//! Comes in: what modules say through tracing. Goes out: lines; in systemd's journal with the
//! priorities it sorts by, and without times, which it stamps itself.
//!
//! The only module that knows tracing-subscriber.

use std::{fmt, io, panic};

use tracing::{Event, Level as Severity, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use super::errors::Keeper;
use super::{Color, Error, terminal};
use crate::config::{self, Format, Level, Log};
use crate::server::{Errors, host};

/// Where systemd says that a stream is its journal's.
const JOURNAL: &str = "JOURNAL_STREAM";

/// What is logged.
pub(super) struct Filter(EnvFilter);

impl Filter {
    /// As the settings say.
    pub(super) fn of(log: &Log) -> Result<Self, Error> {
        Ok(Self(match (&log.filter, log.level) {
            (Some(directives), _) => EnvFilter::try_new(directives)
                .map_err(|error| Error::LogFilter(error.to_string()))?,
            (None, Level::Trace) => EnvFilter::new("trace"),
            (None, Level::Off) => EnvFilter::new("off"),
            // The libraries' own stories are of use to those who ask for everything. That of
            // actix-http is an error for each client that speaks no HTTP.
            (None, level) => {
                EnvFilter::new(format!("error,actix_http=off,calspamd={}", level.name()))
            }
        }))
    }
}

/// Where another filter can be put in the place of the first.
#[derive(Clone)]
pub(super) struct Switch(reload::Handle<EnvFilter, Registry>);

impl Switch {
    pub(super) fn set(&self, filter: Filter) {
        // There is no log to change where one of a test was there before ours.
        drop(self.0.reload(filter.0));
    }

    /// One that switches nothing, as long as the second value lives.
    #[cfg(test)]
    pub(super) fn alone() -> (Self, impl Sized + 'static) {
        let (layer, handle) = reload::Layer::new(EnvFilter::new("off"));
        (Self(handle), layer)
    }

    /// The filter in force.
    #[cfg(test)]
    pub(super) fn shown(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }
}

/// Starts it, and keeps mail out of messages about panics. What is an error is kept in `errors`, too.
pub(super) fn start(log: &Log, colour: Color, errors: &Errors) -> Result<Switch, Error> {
    let (filter, switch) = reload::Layer::new(Filter::of(log)?.0);
    let is_journal =
        config::variables().any(|(name, value)| name == JOURNAL && host::is_journal(&value));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(!is_journal && terminal::paints_errors(colour))
        .with_target(false)
        .with_writer(io::stderr);
    let lines = match (log.format, is_journal) {
        (Format::Text, false) => lines.boxed(),
        (Format::Text, true) => lines.without_time().map_event_format(Journal).boxed(),
        (Format::Json, false) => lines.json().flatten_event(true).boxed(),
        (Format::Json, true) => {
            lines.json().flatten_event(true).without_time().map_event_format(Journal).boxed()
        }
    };
    let kept = tracing_subscriber::registry().with(filter).with(lines).with(Keeper(errors.clone()));
    // A log that is there already was started by a test around us.
    drop(kept.try_init());
    hide_panic_messages();
    Ok(Switch(switch))
}

/// A panic's message may quote the mail it happened in; the log gets the place in our code.
fn hide_panic_messages() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: this is a mistake in calspamd, please report it");
    }));
}

/// Lines of another format, behind the priority by which the journal knows them.
struct Journal<F>(F);

impl<S, N, F> FormatEvent<S, N> for Journal<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// The priority of a level, as syslog numbers them.
fn priority(level: Severity) -> u8 {
    match level {
        Severity::ERROR => 3,
        Severity::WARN => 4,
        Severity::INFO => 6,
        Severity::DEBUG | Severity::TRACE => 7,
    }
}
