//! calspamd reads invitations as a calendar would and says which of them are abuse.
//!
//! The pipeline runs in one direction, one stage one module; [`scan`] writes it out once:
//!
//! ```text
//! bytes + envelope → message → calendar → facts → lists → rules → verdict → protocol → reply
//!                       └─ authentication ─┘  └ site
//! ```
//!
//! The modules below stand in that order, and a test refuses an import that goes back.

pub mod message;

pub mod calendar;

pub mod facts;

pub mod authentication;

pub mod site;

pub mod wordlists;

pub mod lists;

pub mod reputation;

pub mod rules;

pub mod verdict;

pub mod scan;

pub mod mailbox;

pub mod mass_check;

pub mod rescore;

pub mod protocol;

pub mod metrics;

pub mod server;

pub mod config;

pub mod cli;
