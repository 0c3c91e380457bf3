//! What was seen and reported before.

pub mod campaign;
