//! The embedded stores: one SQLite file and one writer thread each, so that an import never delays a step.

pub mod cases;
pub mod edr;
pub mod events;
pub mod journal;
mod sqlite;

pub use sqlite::Limits;
