//! The journal's typed side: what is recorded, how a case is rebuilt from it, and how a step is made durable.
//!
//! The port ([`crate::ports::journal`]) stores opaque records. Here they get their meaning. A case is what its
//! stream says and nothing else: [`case_log::CaseLog`] folds the entries, [`case_stream::CaseStream`] appends to
//! them with the last number seen, [`run::Run`] makes the steps of an investigation repeatable.

pub mod alert_log;
pub mod audit;
pub mod case_log;
pub mod case_stream;
pub mod desired;
pub mod effects;
pub mod entry;
pub mod gate_ledger;
pub mod gate_told;
pub mod json;
pub mod outcomes;
pub mod people_log;
pub mod root_span;
pub mod run;
pub mod words;
