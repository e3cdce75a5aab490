//! What people say of cases is carried out here, in the order in which it was said.
//!
//! A word is on record before anything follows from it, and each case records the number of the word it heard: a
//! restarted intake goes on where it was. A person's word wins; where a case changed so that it cannot be carried
//! out any more, the case says so.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{State, moved};
use crate::analyst::comments;
use crate::analyst::driver::rank;
use crate::domain::alert::{Alert, Severity};
use crate::domain::case::{PersonsWord, ReopenCause, Status, Transition};
use crate::domain::entity::Entity;
use crate::domain::ids::{AlertId, CaseId};
use crate::domain::person::{Act, Outcome, PersonsAct};
use crate::domain::role::{HostRole, roles};
use crate::domain::words::counted;
use crate::floor::shared::Shared;
use crate::journal::case_stream::{Batch, CaseStream};
use crate::journal::effects::comment;
use crate::journal::entry::CaseEntry;
use crate::journal::people_log::{self, PeopleEntry};
use crate::journal::{desired, root_span};
use crate::ports::journal::{JournalError, Queue, QueueChange};

/// How far back a confirmed threat reopens what a machine had closed. Intruders are commonly noticed within days to
/// two weeks after their first steps; older closures are a person's to look for.
const CONFIRMED_LOOKS_BACK: SignedDuration = SignedDuration::from_hours(14 * 24);

impl State {
    /// Takes in what the stream of people's words has gained, and returns how far that is.
    pub(super) async fn hear(&mut self) -> Result<u64, JournalError> {
        let rows = people_log::read(self.shared.journal.as_ref(), self.heard).await?;
        for damage in &rows.damaged {
            tracing::error!(%damage, "a person's word was lost from the journal: it has to be said again");
        }
        let mut last = self.heard;
        for (number, at, entry) in rows.entries {
            if let PeopleEntry::Said { said, grouping } = entry {
                if let Act::Merge { because } | Act::Split { because, .. } = &said.act {
                    self.words.insert(number, format!("{} says so: {}", said.by, because));
                }
                if let Some(word) = &grouping {
                    self.groups.heed(number, word);
                }
                for &case in &said.cases {
                    let concerned = self.carry_out(number, at, case, &said).await?;
                    self.concerned.extend(concerned);
                }
            }
            last = number;
        }
        Ok(last)
    }

    /// The case that goes on for this one.
    fn surviving(&self, case: CaseId) -> CaseId {
        let mut at = case;
        while let Some(into) = self.streams.get(&at).and_then(|stream| stream.log().merged_into) {
            if into >= at {
                break;
            }
            at = into;
        }
        at
    }

    /// Carries out one word on one case, unless the case has heard it.
    async fn carry_out(
        &mut self,
        number: u64,
        at: Timestamp,
        case: CaseId,
        said: &PersonsAct,
    ) -> Result<Option<CaseId>, JournalError> {
        let heard = |stream: &CaseStream| stream.log().words.contains(&number);
        let confirms = match &said.act {
            Act::Judge { ruling, .. } | Act::Resolve { ruling, .. } => ruling.outcome() == Some(Outcome::Malicious),
            Act::Comment { .. } | Act::Reopen { .. } | Act::Assign { .. } | Act::Merge { .. } | Act::Split { .. } => {
                false
            }
        };
        // A case that heard the word before it was merged is not told again through its survivor.
        let known = self.streams.get(&case).is_some_and(heard);
        let case = self.surviving(case);
        if !known {
            let shared = self.shared.clone();
            self.change(case, |stream| (!heard(stream)).then(|| spoken(&shared, stream, number, said))).await?;
            if let Some(stream) = self.streams.get(&case) {
                let log = stream.log();
                if log.status == Status::Resolved && log.concluded == Some(self.last_change) {
                    root_span::export(log, &self.shared.alerts.get(&log.alerts), self.last_change);
                }
            }
        }
        if confirms {
            self.reopen_nearby(case, at).await?;
        }
        Ok((!known).then_some(case))
    }

    /// A confirmed threat reopens what a machine closed and what has something in common with it.
    async fn reopen_nearby(&mut self, confirmed: CaseId, at: Timestamp) -> Result<(), JournalError> {
        let Some(stream) = self.streams.get(&confirmed) else { return Ok(()) };
        let traits = Traits::of(&self.shared, &stream.log().alerts);
        let mut near = Vec::new();
        for (case, stream) in self.streams.iter_mut().filter(|(case, _)| **case != confirmed) {
            stream.refresh().await?;
            let log = stream.log();
            let Some(closed) = log.resolved_on_proof else { continue };
            let in_time = closed <= at && at.duration_since(closed) <= CONFIRMED_LOOKS_BACK;
            if in_time && !log.reopened_for.contains(&confirmed) {
                let shared = traits.shared_with(&Traits::of(&self.shared, &log.alerts));
                near.extend(shared.map(|what| (*case, what)));
            }
        }
        for (case, what) in near {
            let shared = self.shared.clone();
            self.change(case, |stream| {
                let log = stream.log();
                log.resolved_on_proof?;
                let now = shared.clock.now();
                let why = format!("{confirmed}, which shares {what}, was confirmed as a threat");
                let cause = ReopenCause::ConfirmedNearby { case: confirmed };
                let entries = vec![moved(&Transition::Reopen(cause), &why), CaseEntry::Ready];
                let text = format!("Reopened: {}. A person decides this case now.", comments::quoted(&why));
                Some(again(&shared, stream, entries, (&format!("nearby/{confirmed}"), super::AUTHOR, text), now))
            })
            .await?;
        }
        Ok(())
    }
}

/// What a case may have in common with another one.
struct Traits(BTreeMap<String, &'static str>);

impl Traits {
    fn of(shared: &Shared, alerts: &[AlertId]) -> Self {
        let alerts = shared.alerts.get(alerts);
        let alerts: Vec<&Alert> = alerts.iter().map(AsRef::as_ref).collect();
        let mut traits = BTreeMap::new();
        for (host, role) in roles(alerts.iter().copied()) {
            match role {
                HostRole::Origin | HostRole::Target => traits.insert(format!("host {}", host.key()), "its host"),
                // A machine that wrote down what happened between others has its log in common with everything.
                HostRole::Bystander => None,
            };
        }
        for entity in alerts.iter().flat_map(|alert| &alert.entities) {
            match entity {
                Entity::Account(_) => traits.insert(entity.to_string(), "an account"),
                Entity::File(_) => traits.insert(entity.to_string(), "a file"),
                Entity::Source(peer) | Entity::Destination(peer) => {
                    traits.insert(format!("peer {peer}"), "a remote machine")
                }
                Entity::Process(_)
                | Entity::LogonSession(..)
                | Entity::OwnAddress(_)
                | Entity::Service(_)
                | Entity::Task(_) => None,
            };
        }
        Self(traits)
    }

    fn shared_with(&self, other: &Self) -> Option<String> {
        let common = self.0.iter().find(|(name, _)| other.0.contains_key(*name));
        common.map(|(name, what)| format!("{what} ({name})"))
    }
}

/// What a word becomes in a case.
fn spoken(shared: &Shared, stream: &CaseStream, number: u64, said: &PersonsAct) -> Batch {
    let (log, now) = (stream.log(), shared.clock.now());
    let by = said.by.clone();
    let entry = |refused| CaseEntry::Spoken { number, by: by.clone(), said: said.act.clone(), refused };
    let about = format!("word/{number}");
    let word = |because: &String| PersonsWord { by: by.clone(), because: because.clone() };
    let told = |text: String| (about.as_str(), by.as_str(), text);
    let only = |text: String| {
        let entries = vec![entry(None)];
        shown(shared, stream, entries, told(text), vec![], now)
    };
    match &said.act {
        Act::Comment { text } => only(text.clone()),
        Act::Assign { to } => only(format!("Assigned to {to}.")),
        Act::Judge { ruling, because } => only(format!("Judged as {ruling}: {because}")),
        Act::Merge { because } => only(format!("These cases are one incident: {because}")),
        Act::Split { alerts, because } => {
            let held: Vec<AlertId> = alerts.iter().filter(|alert| log.holds(alert)).cloned().collect();
            let text = format!("{} of this case are another incident: {because}", counted(held.len() as u64, "alert"));
            let mut entries = vec![entry(None)];
            if !held.is_empty() && held.len() < log.alerts.len() {
                entries.push(CaseEntry::Left { alerts: held, reason: format!("{by} says so: {because}") });
            }
            shown(shared, stream, entries, told(text), vec![], now)
        }
        Act::Resolve { ruling, because } => {
            let open = matches!(log.status, Status::New | Status::InProgress | Status::OnHold);
            if !open {
                return only(format!("Judged as {ruling}: {because}"));
            }
            let mut entries = vec![entry(None)];
            if let Some(attempt) = log.running() {
                entries.push(CaseEntry::Ended { attempt: attempt.number, why: format!("{by} resolved the case") });
            }
            entries.push(by_person(&Transition::ResolveByPerson(word(because)), said, &ruling.to_string(), because));
            if log.undecided().next().is_none() {
                entries.push(CaseEntry::Concluded);
            }
            let item = log.id.to_string();
            let queues = [Queue::Tier1, Queue::Tier2].map(|queue| QueueChange::Remove { queue, item: item.clone() });
            shown(shared, stream, entries, told(format!("Resolved as {ruling}: {because}")), queues.to_vec(), now)
        }
        Act::Reopen { because } => match log.status {
            Status::OnHold | Status::Resolved | Status::Closed => {
                let transition = Transition::Reopen(ReopenCause::Person { word: word(because) });
                let reopens = by_person(&transition, said, "reopened", because);
                let entries = vec![entry(None), reopens, CaseEntry::Ready];
                let text = format!("Reopened: {because}\nNo machine resolves it after this.");
                again(shared, stream, entries, told(text), now)
            }
            Status::New | Status::InProgress | Status::Merged => {
                let why = format!("the case is {}", log.status);
                let text = format!("Asked to reopen this case ({because}); not done: {why}.");
                shown(shared, stream, vec![entry(Some(why))], told(text), vec![], now)
            }
        },
    }
}

fn by_person(transition: &Transition, said: &PersonsAct, what: &str, because: &str) -> CaseEntry {
    CaseEntry::Moved {
        transition: transition.into(),
        by: said.by.clone(),
        rule: format!("person_{}", said.act.name()),
        because: format!("{}: {what}, {because}", said.by),
    }
}

/// Who tells what: key, author, text.
type Told<'a> = (&'a str, &'a str, String);

/// Entries with the comment that tells of them and the state they lead to.
fn shown(
    shared: &Shared,
    stream: &CaseStream,
    entries: Vec<CaseEntry>,
    (about, author, text): Told,
    queues: Vec<QueueChange>,
    now: Timestamp,
) -> Batch {
    let preview = stream.preview(&entries, now);
    let state = desired::state(&preview, &shared.alerts.get(&preview.alerts));
    let effects = vec![comment(stream.log().id, about, author, text, now), state];
    Batch { entries, effects, queues, ..Batch::default() }
}

/// The same, and the case waits for tier 1.
pub(super) fn again(
    shared: &Shared,
    stream: &CaseStream,
    entries: Vec<CaseEntry>,
    told: Told,
    now: Timestamp,
) -> Batch {
    let log = stream.log();
    let alerts = shared.alerts.get(&log.alerts);
    let loudest = alerts.iter().map(|alert| alert.rule.level).max().unwrap_or(Severity::Medium);
    let item = log.id.to_string();
    let put = QueueChange::Put { queue: Queue::Tier1, item, rank: rank(loudest), not_before: None };
    shown(shared, stream, entries, told, vec![put], now)
}
