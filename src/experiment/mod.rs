//! Experiments: labelled scenarios are played through a floor, and what came of them is counted.
//!
//! A scenario is a folder: `label.json` says what happened, `events.*` is the log. [`scenario`] finds and reads them,
//! [`play`] plays one through a floor of its own, in steps (`replay`), [`mod@score`] compares the outcome with the label,
//! [`totals`] sums up and [`table`] shows it. [`citations`] and [`reread`] look up what a verdict cites in the log
//! itself, with a reader of their own.

pub mod citations;
pub mod edges;
pub mod history;
pub mod interval;
pub mod label;
pub mod places;
pub mod play;
mod replay;
pub mod reread;
pub mod scenario;
pub mod score;
pub mod table;
pub mod totals;
