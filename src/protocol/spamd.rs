//! SpamAssassin's spamd protocol, client versions 1.0 to 1.5, and Exim's dialect of old Rspamd.
//!
//! Comes in: the bytes that a client has sent so far. Goes out: what it wants, and later the exact
//! bytes of a reply. Sources: transcripts of spamd 4.0.1 and of the clients named beside each
//! form; they differ in what a client of an old version can read.
//! Not an error: unknown headers, names of headers in any case, a missing length.

mod reply;
mod request;
mod rewrite;

pub use reply::{Answered, exim, fault, learned, pong, reply};
pub use request::{Class, Command, Head, Places, TEMPORARY, Taken, body, head, no_room};
pub use rewrite::{ReportSafe, envelope, without_mbox_line};
