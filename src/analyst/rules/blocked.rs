//! What keeps a case that speaks for harmless from being closed, in words: the reason for a hold is the true one.

use super::super::{Brief, mandatory};
use super::feature::Feature;
use super::seen::Seen;
use super::{authority, fingerprint};
use crate::domain::evidence::Family;

/// What is missing before a machine could close it: the first that applies.
#[must_use]
pub fn closing_needs(seen: &Seen, brief: &Brief, features: &[Feature]) -> String {
    if let Some(reason) = mandatory::reasons(&brief.alerts).first() {
        return format!("a person's word: {}", reason.reason());
    }
    if authority::needs_a_person(seen, brief) {
        return "a person's word: a protected machine or a privileged account is concerned".into();
    }
    if brief.alerts.iter().any(|alert| !alert.correlated.is_empty()) {
        return "an explanation of each event that the alert counts: the last one explains none of the others".into();
    }
    let known = features.iter().find(|feature| feature.family == Family::Fingerprint && feature.value < 0.0);
    match known {
        Some(feature) if fingerprint::CLOSING.contains(&feature.name) => match seen.incomplete {
            true => format!("all that was asked for: an answer was cut short, though {}", feature.says),
            false => {
                format!("the whole run to be seen, its beginning, end, writer and children, though {}", feature.says)
            }
        },
        Some(feature) => format!("a person's word: {}, and no machine closes on that alone", feature.says),
        None => "a harmless source that is known to be one: nothing that was seen names one for every alert".into(),
    }
}
