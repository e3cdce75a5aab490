//! How a case came to where it stands: every verdict it ended in on the way, and every time a machine closed it.
//!
//! A replay judges a case as often as more of it arrives. What counts against the floor counts whenever it happened: a
//! case that was closed and reopened later was closed.

use serde::Serialize;

use crate::domain::case::{HoldQueue, RecordedTransition, Status};
use crate::domain::draft::{Classification, Draft};
use crate::domain::ids::{AlertId, CaseId};
use crate::domain::route::Tier;
use crate::journal::case_stream;
use crate::journal::entry::CaseEntry;
use crate::ports::events::Watermark;
use crate::ports::journal::{Journal, JournalError};

/// A verdict that a case ended in for a while, or for good.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stood {
    /// How many events had arrived when its investigation began.
    pub arrived: u64,
    /// How many alerts the case had.
    pub alerts: u64,
    /// The tier that judged.
    pub tier: u8,
    /// Where it led.
    pub status: Status,
    /// In which queue it then waited.
    pub hold_reason: Option<HoldQueue>,
    /// The verdict; nothing if the investigation failed.
    pub classification: Option<Classification>,
    /// How likely it was called malicious.
    pub probability: Option<f64>,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Every verdict that the case ended in, the first one first.
    pub stood: Vec<Stood>,
    /// What its alerts were each time a machine closed it.
    pub closed_on: Vec<Vec<AlertId>>,
}

impl History {
    /// Of a case, from its journal. Events that were stored before the replay are not counted as arrived.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn of(journal: &dyn Journal, case: CaseId, before: Watermark) -> Result<Self, JournalError> {
        let rows = journal.read(&case_stream::stream(case), 0).await?;
        // A damaged row put the case on hold, which counts as it is.
        let entries = rows.into_iter().filter_map(|row| serde_json::from_str(&row.content.ok()?.body).ok());
        Ok(Self::told_by(entries, before))
    }

    fn told_by(entries: impl Iterator<Item = CaseEntry>, before: Watermark) -> Self {
        let mut history = Self::default();
        let mut alerts: Vec<AlertId> = Vec::new();
        let (mut arrived, mut tier, mut judged): (u64, u8, Option<Box<Draft>>) = (0, 1, None);
        for entry in entries {
            match entry {
                CaseEntry::Opened { alert, .. } | CaseEntry::Joined { alert, .. } => alerts.push(alert),
                CaseEntry::Absorbed { alerts: others, .. } => alerts.extend(others),
                CaseEntry::Left { alerts: gone, .. } => alerts.retain(|alert| !gone.contains(alert)),
                CaseEntry::Started { watermark, tier: by, .. } => {
                    arrived = watermark.0.saturating_sub(before.0);
                    tier = match by {
                        Tier::One => 1,
                        Tier::Two => 2,
                    };
                    judged = None;
                }
                CaseEntry::Judged { draft, .. } => judged = Some(draft),
                CaseEntry::Moved { transition, .. } => {
                    let (status, hold_reason) = match transition {
                        RecordedTransition::Hold { hold } => (Status::OnHold, Some(hold.cause.queue())),
                        RecordedTransition::ResolveOnProof { .. } => {
                            history.closed_on.push(alerts.clone());
                            (Status::Resolved, None)
                        }
                        RecordedTransition::Start
                        | RecordedTransition::ResolveByPerson { .. }
                        | RecordedTransition::CloseByPerson { .. }
                        | RecordedTransition::Reopen { .. }
                        | RecordedTransition::Merge { .. } => continue,
                    };
                    history.stood.push(Stood {
                        arrived,
                        alerts: alerts.len() as u64,
                        tier,
                        status,
                        hold_reason,
                        classification: judged.as_ref().map(|draft| draft.classification),
                        probability: judged.as_ref().map(|draft| draft.malicious_probability),
                    });
                }
                CaseEntry::Spoken { .. }
                | CaseEntry::Ready
                | CaseEntry::Begun { .. }
                | CaseEntry::Done { .. }
                | CaseEntry::Taken { .. }
                | CaseEntry::Ended { .. }
                | CaseEntry::Broke { .. }
                | CaseEntry::Proposed { .. }
                | CaseEntry::Decided { .. }
                | CaseEntry::Gate { .. }
                | CaseEntry::Concluded
                | CaseEntry::Unknown => {}
            }
        }
        history
    }
}

/// How often the classification or the status changed from one verdict to the next.
#[must_use]
pub fn changes(stood: &[Stood]) -> u64 {
    let said = |one: &Stood| (one.classification, one.status);
    stood.windows(2).filter(|pair| said(&pair[0]) != said(&pair[1])).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::case::{Hold, HoldCause, ReopenCause};
    use crate::domain::trace::{SpanId, SpanRef, TraceId};
    use crate::domain::verdict::tests::draft;
    use crate::journal::entry::Pins;

    fn moved(transition: RecordedTransition) -> CaseEntry {
        CaseEntry::Moved { transition, by: "Tier 1".into(), rule: "a rule".into(), because: "a value".into() }
    }

    fn judged(attempt: u32, tier: Tier, arrived: u64, classification: Classification) -> [CaseEntry; 2] {
        let pins = Pins {
            agent: String::new(),
            analyst: String::new(),
            policy: String::new(),
            tools: String::new(),
            program: String::new(),
        };
        let started = CaseEntry::Started {
            attempt,
            tier,
            pins,
            watermark: Watermark(arrived),
            alerts: 1,
            handover: None,
            why_again: None,
            span: SpanId([1; 8]),
        };
        let draft = Box::new(draft(classification, 0.02));
        [started, CaseEntry::Judged { attempt, draft, card: serde_json::Value::Null }]
    }

    #[test]
    fn a_close_that_was_reopened_is_remembered_with_the_alerts_it_was_made_on() {
        let root = SpanRef { trace: TraceId([1; 16]), span: SpanId([1; 8]) };
        let (one, other) = (AlertId::new("a"), AlertId::new("b"));
        let benign = Classification::FalsePositive;
        let mut entries = vec![CaseEntry::Opened { alert: one.clone(), root }, moved(RecordedTransition::Start)];
        entries.extend(judged(1, Tier::One, 110, benign));
        entries.push(moved(RecordedTransition::ResolveOnProof { classification: benign }));
        entries.push(CaseEntry::Joined { alert: other, reason: "same process".into() });
        entries.push(moved(RecordedTransition::Reopen { cause: ReopenCause::NewAlert }));
        entries.extend(judged(2, Tier::One, 120, Classification::TruePositive));
        entries.extend(judged(3, Tier::Two, 130, Classification::TruePositive));
        entries.push(moved(RecordedTransition::Hold { hold: Hold::for_failure(HoldCause::ConfirmedThreat, "x") }));
        let History { stood, closed_on } = History::told_by(entries.into_iter(), Watermark(100));
        assert_eq!(closed_on, [vec![one]]);
        let told: Vec<_> = stood.iter().map(|one| (one.arrived, one.alerts, one.tier, one.status)).collect();
        assert_eq!(told, [(10, 1, 1, Status::Resolved), (30, 2, 2, Status::OnHold)]);
        assert_eq!((changes(&stood), changes(&stood[..1])), (1, 0));
    }
}
