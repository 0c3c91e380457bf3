//! calspamd.

pub mod message;
pub mod calendar;
pub mod facts;
pub mod wordlists;
pub mod rules;
pub mod verdict;
pub mod scan;
pub mod protocol;
pub mod metrics;
pub mod server;
pub mod config;
pub mod cli;
