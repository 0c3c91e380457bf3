//! Tests of the whole, one file a subject.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test whose service, file or reply is not there cannot go on"
)]

// Fixtures, requests and a running service, for the others.
mod support;
// Another HTTP server in the place of the service.
mod fake;

// The fixtures below tests/messages/spam and ham against the stock rules.
mod fixtures;
// Facts that need a whole message.
mod facts;
// Spam in its usual and an unusual form, and look-alikes, for each symbol.
mod kinds;
// What is left of the score without any one rule.
mod ablation;
// The collection of real invitations, where it is at hand.
mod corpus;
// Replies over HTTP: paths, headers, connections, errors.
mod http;
// Rspamd's protocol in full, and rspamc.
mod controller;
mod dialect;
// HTTPCrypt and TLS, with rspamc, curl and spamc.
mod transport;
// Client libraries of others.
mod clients;
// SpamAssassin's protocol, and spamc.
mod spamd;
// A real Rspamd with the plug-in.
mod rspamd;
// A real SpamAssassin with its plug-in.
mod spamassassin;
// Exim, Postfix and Haraka, set up as in deploy.
mod mta;
// Rules changed under a running service.
mod reload;
// Every way to wrap a calendar in a mail: transfer encodings, types, folds.
mod encodings;
// Attacks over HTTP: time, memory and what is answered.
mod hostile;
// Reloads in the middle of scans; slow, idle and flooding clients beside a good one.
mod pressure;
// Clients that want much beside those that want little.
mod turns;
// More and larger bodies than there is room for.
mod room;
// What the program asks of the network, as the system sees it.
mod outward;
// The description of the HTTP API against the running program.
mod openapi;
// What was seen before, as fixtures state it.
mod history;
// Meaning of rules: events one by one, negation, unknown facts, origin, caps.
mod scope;
// SpamAssassin's own rules, here and there.
mod agreement;
// Laws that hold for any input.
mod properties;
// The README against the service.
mod readme;
// The program: subcommands, their output, exit codes.
mod cli;
// Its subcommand `rules`, and what other scanners think of what it writes.
mod rules;
// Its subcommands `mass-check` and `rescore`, on labelled mail.
mod mass_check;
// DNS lists: what they say, and all that can go wrong with them.
mod lists;
// The same against the lab beside this repository, where it is at hand.
mod dnslab;
// Who sent it: verified by the running program, or stated by its caller.
mod authentication;
// Inline attachments and pictures: links in QR codes, limits.
mod attachments;
// Every rule of the decision about an event.
mod decision;
// Digests of campaigns: what merges and what does not.
mod campaign;
// Lure fixtures in twelve disguises.
mod obfuscation;
// Sentences of lures in twelve languages.
mod lures;
// Abuse reports, read by another program.
mod arf;
// What every store does.
mod stores;
// The store that instances share: faults, and three processes that count like one.
mod redis;
mod redis_kinds;
// What a rule says after what came before, on each of them.
mod sequences;
// The memory when something goes wrong, and what can be read in it.
mod upheaval;
// Dashboard, alerts and recording rules against a service that a real Prometheus watches.
mod monitoring;
// The service under a service manager: units, sockets, readiness, restarts, the journal.
mod units;
// Boundaries of the modules, read from the source.
mod architecture;
