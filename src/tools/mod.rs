//! The tools an analyst may use, and the one door every call passes.
//!
//! A tool answers with typed data and with rows. Rows stand for events (or counted absences) and get evidence
//! ids; data is what a program reads. Both are trimmed once, when the answer is made, and never touched again.

pub mod alert_list;
pub mod alerts;
pub mod answer;
pub mod case_tools;
pub mod containment;
pub mod coverage;
pub mod decode;
pub mod devices;
pub mod door;
pub mod entity_risk;
pub mod events;
pub mod events_of;
mod filing;
pub mod hunting;
pub mod known_as;
pub mod logon_session;
pub mod lookup;
pub mod prevalence;
pub mod process_tree;
pub mod recorded;
pub mod registry;
pub mod script_block;
pub mod similar_cases;
pub mod standing;
pub mod surroundings;
pub mod timeline;
pub mod tool;
pub mod verdict;
pub mod view;

#[cfg(test)]
mod cap_tests;
