//! What the floor needs of the world, as traits: journal, event store, case desk, EDR, clock.
//!
//! No database type, no transaction and no wire format crosses these lines.

pub mod clock;
pub mod context;
pub mod desk;
pub mod edr;
pub mod events;
pub mod journal;
pub mod storage;
