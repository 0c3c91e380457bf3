//! The hops of a mail, as `X-Spam-Relays-…` rules see them.

use crate::message::{Envelope, Message};

/// Networks the administrator named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {}

impl Networks {
    /// x
    pub fn add_trusted(&mut self, _: &str) -> Result<(), String> {
        Ok(())
    }
    /// x
    pub fn add_internal(&mut self, _: &str) -> Result<(), String> {
        Ok(())
    }
    /// x
    pub fn add_msa(&mut self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

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
