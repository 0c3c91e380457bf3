//! The dialects that callers speak, one file each: request bytes in, reply bytes out.
//!
//! Comes in: what stands in a request besides the message (headers, query arguments), and for
//! the way back an [`Outcome`](crate::scan::Outcome). Goes out: a
//! [`Request`](crate::scan::Request), and a reply body.
//! Not an error: a header that cannot be understood. It counts as not sent, because a scanner
//! that refuses a mail over a strange HELO loses more than it gains.
//!
//! Nothing in here knows a socket.

pub mod arf;
pub mod compression;
mod decision;
pub mod rspamd;
