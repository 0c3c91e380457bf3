//! Keeps the last errors and warnings of the log where the service finds them for `/errors`.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::server::Errors;

/// What is in front of the names of our modules.
const CRATE: &str = "calspamd::";

/// A reader of the log.
pub(super) struct Keeper(pub(super) Errors);

impl<S: Subscriber> Layer<S> for Keeper {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let is_trouble = matches!(*metadata.level(), Level::ERROR | Level::WARN);
        let Some(module) = metadata.target().strip_prefix(CRATE).filter(|_| is_trouble) else {
            return;
        };
        let mut text = Text::default();
        event.record(&mut text);
        let module = module.split("::").next().unwrap_or(module);
        self.0.add(module, &format!("{}{}", text.message, text.fields));
    }
}

/// An event as one line.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // A string takes everything.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
