//! The walk over the MIME tree.

use super::{Envelope, Message, Settings};

pub(super) fn parse<'x>(
    _bytes: &'x [u8],
    _bare: bool,
    _envelope: &Envelope,
    _settings: &Settings,
) -> Message<'x> {
    todo!()
}

pub(super) fn decode_header(_raw: &[u8]) -> String {
    todo!()
}
