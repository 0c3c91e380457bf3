//! Remembers what scans have seen and users have reported, and says it of the next message.
//!
//! The only door to redb and redis.

pub mod entry;
pub mod memory;
pub mod store;

pub use memory::Memory;
pub use store::{Ask, Change, Found, Key, Kind, Member, Store, Trouble};
