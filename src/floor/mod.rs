//! The floor: supervised actors that carry cases from an alert to a judged, written case.
//!
//! Messages are hints; the journal is the truth. Every actor finds its work in the journal when it starts and on
//! every tick, so a lost message, a dead actor or a killed process changes no outcome. [`messages`] shows the
//! whole protocol on one page; [`tree`] starts and supervises it; [`assembly`] is the one place that names
//! adapters; [`control`] lets other commands ask a floor that is running.

pub mod assembly;
pub mod baseline;
pub mod case_filter;
pub mod case_writer;
pub mod context_place;
pub mod control;
pub mod desk;
pub mod faults;
pub mod gate_view;
pub mod gatekeeper;
pub mod held_back;
pub mod import;
pub mod ingest;
pub mod intake;
pub mod live;
pub mod messages;
pub mod people;
pub mod queries;
pub mod retention;
pub mod settling;
pub mod shared;
pub mod state_folder;
pub mod tree;
pub mod watching;
