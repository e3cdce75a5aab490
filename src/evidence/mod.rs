//! Evidence: which ids were handed out in a case, and re-reading what is cited. The only way to verified evidence.

mod ledger;
mod verify;

pub use ledger::Ledger;
pub use verify::{EvidenceError, Reread, judge, reread};
