//! Hearing people: each word is answered once, in its order, and whatever is not exactly right changes nothing.

use jiff::{SignedDuration, Timestamp};
use ractor::ActorRef;

use super::{State, Work, facts};
use crate::domain::containment::{
    self, Answer, DenialRule, Facts, GateEvent, IsolationLease, Matter, Policy, Purpose, Standing,
};
use crate::domain::ids::ProposalId;
use crate::domain::person::is_persons_name;
use crate::floor::messages::GatekeeperMessage;
use crate::journal::gate_ledger::GateLedger;
use crate::journal::gate_told;
use crate::journal::words::{self, Word};
use crate::ports::journal::{JournalError, NewEffect};

/// What a word comes to.
#[derive(Debug)]
enum Heard {
    /// It is on record with this.
    Event(GateEvent),
    /// A device is to be released.
    Release(ProposalId, String, String),
    /// Facts have to be looked at first.
    Check(ProposalId),
}

impl State {
    /// Answers the words that were not answered yet.
    pub(super) async fn hear(&mut self, myself: &ActorRef<GatekeeperMessage>) -> Result<(), JournalError> {
        if self.in_hand.is_some() {
            return Ok(());
        }
        for (number, word) in words::after(self.shared.journal.as_ref(), self.ledger.last_word()).await? {
            let now = self.shared.clock.now();
            let heard = match &word {
                Ok(word) => weigh(&self.ledger, &self.policy, number, word, now),
                Err(damage) => unheard(number, None, format!("it cannot be read ({damage})")),
            };
            match heard {
                Heard::Event(event) => self.record(vec![event], vec![]).await?,
                Heard::Release(proposal, by, because) => {
                    let (event, effect) = self.order(proposal, Purpose::Release, Some(number), &by, &because);
                    self.record(vec![event], vec![effect]).await?;
                }
                Heard::Check(id) => {
                    let Some(matter) = self.ledger.get(id) else { continue };
                    let (shared, myself) = (self.shared.clone(), myself.clone());
                    let proposal = matter.proposal.clone();
                    self.in_hand = Some(number);
                    self.work.spawn(async move {
                        let facts = facts::now(&shared, &proposal).await;
                        let _ = myself.cast(GatekeeperMessage::FactsGathered);
                        Work::Approval(number, id, facts)
                    });
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A person approves, and these are the facts of the moment: carried out, or denied after all.
    pub(super) async fn approved(&mut self, number: u64, id: ProposalId, facts: Facts) -> Result<(), JournalError> {
        let word = words::after(self.shared.journal.as_ref(), number.saturating_sub(1)).await?.into_iter().next();
        let Some((_, Ok(Word::Approve { by, lasts, .. }))) = word else {
            return self.record_word(unheard(number, Some(id), "it can no longer be read".into())).await;
        };
        let now = self.shared.clock.now();
        let facts = self.with_holder(facts);
        let Some(Matter { proposal, standing: Standing::Waiting { approval } }) = self.ledger.get(id) else {
            return self.record_word(unheard(number, Some(id), "it no longer waits".into())).await;
        };
        if approval.is_expired(now) {
            let late = format!("it waited until {}", approval.expires);
            let lapsed = GateEvent::Lapsed { proposal: id, rule: DenialRule::Expired, value: late.clone() };
            let unheard = GateEvent::Unheard { word: number, proposal: Some(id), why: format!("it came late: {late}") };
            return self.record(vec![lapsed, unheard], vec![]).await;
        }
        let checked = containment::recheck(approval, proposal, &facts, &self.policy, &self.digest, now);
        let lease = lasts.unwrap_or(self.policy.lease);
        let because = proposal.because.clone();
        let answer = Answer::Approved { by: by.clone(), lease };
        let mut events = vec![GateEvent::Answered { proposal: id, word: number, answer }];
        let mut effects: Vec<NewEffect> = vec![];
        match checked {
            Ok(()) => {
                let (event, effect) = self.order(id, Purpose::Contain, None, &by, &because);
                events.push(event);
                effects.push(effect);
            }
            Err((rule, value)) => events.push(GateEvent::Lapsed { proposal: id, rule, value }),
        }
        self.record(events, effects).await
    }

    async fn record_word(&mut self, heard: Heard) -> Result<(), JournalError> {
        match heard {
            Heard::Event(event) => self.record(vec![event], vec![]).await,
            Heard::Release(..) | Heard::Check(_) => Ok(()),
        }
    }
}

fn unheard(word: u64, proposal: Option<ProposalId>, why: String) -> Heard {
    Heard::Event(GateEvent::Unheard { word, proposal, why })
}

/// What a word comes to, from what the ledger knows.
fn weigh(ledger: &GateLedger, policy: &Policy, number: u64, word: &Word, now: Timestamp) -> Heard {
    let Some(id) = word.proposal() else { return unheard(number, None, "a later version wrote it".into()) };
    let refuse = |why: String| unheard(number, Some(id), why);
    let Some(matter) = ledger.get(id) else { return refuse(format!("there is no proposal {id}")) };
    if !is_persons_name(word.by()) {
        return refuse(format!("`{}` is no person's name: say who decides with --by", word.by()));
    }
    let stands = || format!("{id} {}", gate_told::standing(&matter.standing));
    match (word, &matter.standing) {
        (Word::Approve { lasts, .. }, Standing::Waiting { .. }) => match lasts {
            Some(lasts) if !is_within(*lasts, policy.longest_lease) => {
                refuse(format!("a lease lasts more than nothing and at most {:#}", policy.longest_lease))
            }
            _ => Heard::Check(id),
        },
        (Word::Deny { by, because, .. }, Standing::Waiting { approval }) => {
            if because.trim().is_empty() {
                return refuse("a denial needs a reason".into());
            }
            if approval.is_expired(now) {
                return refuse(format!("it came late: it waited until {}", approval.expires));
            }
            let answer = Answer::Denied { by: by.clone(), because: because.clone() };
            Heard::Event(GateEvent::Answered { proposal: id, word: number, answer })
        }
        (Word::Release { by, because, .. }, Standing::Live { .. }) => {
            if because.trim().is_empty() {
                return refuse("a release needs a reason".into());
            }
            Heard::Release(id, by.clone(), because.clone())
        }
        (Word::Extend { by, because, lasts, .. }, Standing::Live { lease }) => {
            if because.trim().is_empty() {
                return refuse("an extension needs a reason".into());
            }
            match extended(lease, *lasts, policy.longest_lease) {
                Some(until) => {
                    let (by, because) = (by.clone(), because.clone());
                    Heard::Event(GateEvent::Extended { proposal: id, word: number, by, because, until })
                }
                None => {
                    refuse(format!("an isolation lasts at most {:#} in all: propose it anew", policy.longest_lease))
                }
            }
        }
        _ => refuse(stands()),
    }
}

fn is_within(lasts: SignedDuration, longest: SignedDuration) -> bool {
    lasts > SignedDuration::ZERO && lasts <= longest
}

/// The end of a lease that lasts so much longer; `None` when that is too long, or not longer at all.
fn extended(lease: &IsolationLease, lasts: SignedDuration, longest: SignedDuration) -> Option<Timestamp> {
    let until = lease.until.checked_add(lasts).ok()?;
    let latest = lease.since.checked_add(longest).ok()?;
    (lasts > SignedDuration::ZERO && until <= latest).then_some(until)
}

#[cfg(test)]
mod tests;
