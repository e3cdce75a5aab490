//! The tools an analyst may use, and the one door every call passes.
//!
//! A tool answers with typed data and with rows. Rows stand for events (or counted absences) and get evidence
//! ids; data is what a program reads. Both are trimmed once, when the answer is made, and never touched again.

pub mod alerts;
pub mod answer;
pub mod coverage;
pub mod door;
pub mod events;
pub mod process_tree;
pub mod recorded;
pub mod registry;
pub mod tool;
pub mod verdict;
pub mod view;
