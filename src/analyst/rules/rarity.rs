//! Features of rarity: how usual something is here and on the fleet, outside the hours of the alert.

use super::feature::Feature;
use super::seen::{Seen, SeenEvent};
use crate::domain::draft::Unknown;
use crate::domain::ids::EvidenceId;

/// What the answers of `prevalence` mean.
pub fn features(_seen: &Seen) -> Vec<Feature> {
    vec![]
}

/// The start of a process is usual here, and of known making.
pub fn usual(_act: &SeenEvent, _seen: &Seen) -> Option<Feature> {
    None
}

/// What shows how usual it is.
pub fn shown_by(_seen: &Seen) -> Vec<EvidenceId> {
    vec![]
}

/// What is missing of the history.
pub fn unknown(_seen: &Seen) -> Option<Unknown> {
    Some(Unknown {
        what: "whether this is usual here: the floor has no history of these hosts".into(),
        why_it_matters: "what runs every day on many hosts is rarely an attack".into(),
        where_to_look: "thirty days of events of comparable hosts".into(),
        obtainable: false,
    })
}
