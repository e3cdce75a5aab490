//! Labelled scenarios: what happened in a log, and what a floor should make of it. The ones that come with the program
//! are written, not recorded, and play in one invented office whose ordinary life is made from a number.
//!
//! A folder holds `label.json`, `events.ndjson` (the act) and maybe `context/`. Where its label names a background,
//! [`Scenario::materialise`] puts `baseline.ndjson.gz` beside them: 30 days of that office, the same ones every time.

pub mod background;
mod dice;
pub mod folder;
pub mod label;
mod office;
mod record;
mod routines;
#[cfg(test)]
mod tests;

pub use self::background::Background;
pub use self::folder::{Scenario, ScenarioError};
pub use self::label::Label;
