//! Tests of the whole, one file a subject.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test whose service, file or reply is not there cannot go on"
)]

// Fixtures, requests and a running service, for the others.
mod support;

// The fixtures below tests/messages/spam and ham against the stock rules.
mod fixtures;
// The collection of real invitations, where it is at hand.
mod corpus;
// Replies over HTTP: paths, headers, connections, errors.
mod http;
