//! The hops of a mail, as `X-Spam-Relays-…` rules see them.

use crate::message::{Envelope, Message};

/// Networks the administrator named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {}

/// One hop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relay {}

/// All hops, the last one first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relays {
    /// The hops.
    pub all: Vec<Relay>,
}

/// Reads the Received fields.
pub(super) fn read(_message: &Message<'_>, _envelope: &Envelope, _networks: &Networks) -> Relays {
    Relays::default()
}
