//! The ids a case has handed out for what it looked at.

use std::collections::{BTreeSet, HashMap};

use crate::domain::evidence::Exhibit;
use crate::domain::ids::{EventId, EvidenceId};

/// Numbers what was looked at, in the order it was asked for; the same thing keeps its number.
///
/// It is never stored: it follows from the recorded results, taken in order of attempt and ordinal.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    exhibits: Vec<Exhibit>,
    events: HashMap<EventId, EvidenceId>,
}

impl Ledger {
    /// The id of an exhibit, new or known.
    pub fn admit(&mut self, exhibit: &Exhibit) -> EvidenceId {
        let known = match exhibit {
            Exhibit::Event { event } => self.events.get(event).copied(),
            Exhibit::Absence { .. } => self.exhibits.iter().position(|known| known == exhibit).map(number),
        };
        known.unwrap_or_else(|| {
            let id = number(self.exhibits.len());
            if let Exhibit::Event { event } = exhibit {
                self.events.insert(event.clone(), id);
            }
            self.exhibits.push(exhibit.clone());
            id
        })
    }

    /// What an id stands for.
    #[must_use]
    pub fn get(&self, id: EvidenceId) -> Option<&Exhibit> {
        let place = usize::try_from(id.number()).ok()?.checked_sub(1)?;
        self.exhibits.get(place)
    }

    /// The id under which an event was shown.
    #[must_use]
    pub fn of_event(&self, event: &EventId) -> Option<EvidenceId> {
        self.events.get(event).copied()
    }

    /// All ids handed out.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<EvidenceId> {
        (0..self.exhibits.len()).map(number).collect()
    }
}

fn number(place: usize) -> EvidenceId {
    // A case shows far fewer than four billion things: budgets cap its calls at a few dozen of a few dozen rows.
    EvidenceId::new(u32::try_from(place + 1).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_event_keeps_its_number() {
        let mut ledger = Ledger::default();
        let exhibit = |id: &str| Exhibit::Event { event: EventId::new(id) };
        assert_eq!(ledger.admit(&exhibit("a")), EvidenceId::new(1));
        assert_eq!(ledger.admit(&exhibit("b")), EvidenceId::new(2));
        assert_eq!(ledger.admit(&exhibit("a")), EvidenceId::new(1));
        assert_eq!(ledger.get(EvidenceId::new(2)), Some(&exhibit("b")));
        assert_eq!(ledger.get(EvidenceId::new(3)), None);
        assert_eq!(ledger.get(EvidenceId::new(0)), None);
    }
}
