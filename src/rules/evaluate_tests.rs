use super::super::{File, Files, load, load_with};
use super::*;
use crate::calendar::{self, Event, Property, Reading};
use crate::facts::{EventFacts, Link, Links};
use crate::message::{Envelope, Header, Message};

/// The one place where tests put facts together.
pub(in crate::rules) fn facts<'f>(
    message: &'f Message<'f>,
    reading: &'f Reading,
    envelope: &'f Envelope,
    links: Links<'f>,
) -> Facts<'f> {
    Facts {
        message,
        reading,
        envelope,
        now: 0,
        events: reading
            .events
            .iter()
            .enumerate()
            .map(|(index, event)| EventFacts { index, event })
            .collect(),
        links,
    }
}
