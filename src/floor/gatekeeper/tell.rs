//! Telling a case what happened at the gate: entries of its stream, comments, and the state that the desk shows.

use super::State;
use crate::analyst::comments;
use crate::domain::case::Status;
use crate::domain::containment::{Decision, Proposal};
use crate::domain::ids::CaseId;
use crate::domain::trace::{SpanId, SpanRef};
use crate::journal::audit::AuditRow;
use crate::journal::case_log::CaseLog;
use crate::journal::case_stream::{Batch, CaseStream};
use crate::journal::effects::comment;
use crate::journal::entry::CaseEntry;
use crate::journal::{desired, gate_told, root_span};
use crate::ports::journal::{JournalError, Lease, Queue, QueueChange};
use crate::telemetry::{ids, spans};

/// How the gatekeeper signs.
const AUTHOR: &str = "Gatekeeper";

impl State {
    /// Brings the case whatever the audit has of it and the case does not.
    pub(super) async fn tell(&self, case: CaseId, lease: &Lease) -> Result<(), JournalError> {
        loop {
            let mut stream = CaseStream::open(self.shared.journal.clone(), case, Some(lease.clone())).await?;
            let (log, now) = (stream.log(), self.shared.clock.now());
            let mut batch = Batch::default();
            for proposal in log.undecided() {
                let Some(row) = self.decided(proposal) else { continue };
                let span = ids::new_span();
                let shown = gate_span(log.root, span, case, proposal);
                match row {
                    Decision::Denied { rule, .. } => spans::record_decision(&shown, "denied", rule.name()),
                    Decision::Waiting { .. } => spans::record_decision(&shown, "waiting", "approval_needed"),
                }
                batch.entries.push(CaseEntry::Decided { proposal: proposal.id, decision: row.clone(), span });
                let evidence = proposal.evidence.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
                let text = format!(
                    "{} asks for {} of {}: {} [{evidence}].\n{}",
                    proposal.id,
                    proposal.action.noun(),
                    comments::quoted(proposal.host.as_str()),
                    comments::quoted(&proposal.because),
                    gate_told::decision(proposal, row)
                );
                batch.effects.push(comment(case, &proposal.id.to_string(), AUTHOR, text, now));
            }
            self.tell_later(log, &mut batch);
            let preview = stream.preview(&batch.entries, now);
            let waits = preview.undecided().next().is_some();
            // A case that a tier still works on is concluded when that work ends.
            let concludes = !waits && preview.concluded.is_none() && preview.running().is_none() && !is_open(&preview);
            if !waits {
                batch.queues.push(QueueChange::Remove { queue: Queue::Gate, item: case.to_string() });
            }
            if concludes {
                batch.entries.push(CaseEntry::Concluded);
            }
            let preview = stream.preview(&batch.entries, now);
            let alerts = self.shared.alerts.get(&preview.alerts);
            batch.effects.push(desired::state(&preview, &alerts));
            match stream.append(batch, now).await {
                Ok(()) => {
                    if concludes {
                        root_span::export(stream.log(), &alerts, now);
                    }
                    self.shared.entry_ready();
                    if waits {
                        self.shared.journal.release(lease, None).await?;
                    }
                    return Ok(());
                }
                Err(JournalError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What the audit says was decided about a proposal.
    fn decided(&self, proposal: &Proposal) -> Option<&Decision> {
        self.ledger.decision(proposal.id)
    }

    /// What happened after the decisions.
    fn tell_later(&self, log: &CaseLog, batch: &mut Batch) {
        let case = log.id;
        for (place, AuditRow { seq, at, event }) in self.ledger.untold(case, log.told_gate) {
            batch.entries.push(CaseEntry::Gate { row: *seq, when: *at, event: event.clone() });
            let Some(matter) = event.proposal().and_then(|id| self.ledger.get(id)) else { continue };
            let proposal = &matter.proposal;
            let text = gate_told::event(proposal, event, self.shared.devices.nature());
            batch.effects.push(comment(case, &format!("{}/{place}", proposal.id), AUTHOR, text, *at));
        }
    }
}

/// A tier will still work on the case.
const fn is_open(log: &CaseLog) -> bool {
    matches!(log.status, Status::New | Status::InProgress)
}

fn gate_span(root: SpanRef, own: SpanId, case: CaseId, proposal: &Proposal) -> tracing::Span {
    spans::gate_decision(root, own, case, proposal.id, proposal.action.noun(), proposal.host.as_str())
}
