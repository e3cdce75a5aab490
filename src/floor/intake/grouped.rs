//! From groups to cases: what grouping says is compared with what the cases' streams say, and the difference appended.
//!
//! A case stays with the group of its first alert. Of several cases of one group the oldest goes on. Alerts of a
//! group without a case open one, and a case gives away what turned out to belong to another group. Every step can
//! be repeated, so an intake that dies between two of them goes on with what is missing.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::{AUTHOR, State, moved};
use super::{repeats, telling};
use crate::analyst::comments;
use crate::detection::grouping::{Group, LinkReason};
use crate::domain::alert::Alert;
use crate::domain::case::{ReopenCause, Status, Transition};
use crate::domain::ids::{AlertId, CaseId};
use crate::domain::trace::SpanRef;
use crate::domain::words::counted;
use crate::floor::shared::Shared;
use crate::journal::case_log::CaseLog;
use crate::journal::case_stream::{Batch, CaseStream};
use crate::journal::desired;
use crate::journal::effects::comment;
use crate::journal::entry::CaseEntry;
use crate::ports::journal::{JournalError, Queue, QueueChange};
use crate::telemetry::ids;

impl State {
    /// Brings the cases in line with these groups, which are all groups of their regions. Returns the cases they are.
    pub(super) async fn settle_groups(&mut self, groups: Vec<Group>) -> Result<BTreeSet<CaseId>, JournalError> {
        let mut claims: BTreeMap<usize, BTreeSet<CaseId>> = BTreeMap::new();
        let mut touched = BTreeSet::new();
        for index in groups.iter().flat_map(|group| &group.alerts) {
            touched.extend(self.groups.id(*index).and_then(|alert| self.holders.get(alert)).copied());
        }
        for &case in &touched {
            if let Some(root) = self.root_of(case) {
                claims.entry(root).or_default().insert(case);
            }
        }
        for group in groups {
            let claimed = claims.remove(&group.alerts[0]).unwrap_or_default();
            touched.insert(self.settle_group(&group, claimed).await?);
        }
        for &case in &touched {
            self.let_go(case).await?;
        }
        Ok(touched)
    }

    /// The group that a live case belongs to: that of its first alert.
    fn root_of(&self, case: CaseId) -> Option<usize> {
        let log = self.streams.get(&case)?.log();
        let index = self.groups.index_of(log.alerts.first()?)?;
        (log.status != Status::Merged).then(|| self.groups.group_of(index)).flatten()
    }

    /// One group, one case: opened, joined or merged as need be.
    async fn settle_group(&mut self, group: &Group, mut claimed: BTreeSet<CaseId>) -> Result<CaseId, JournalError> {
        let alerts: Vec<AlertId> = group.alerts.iter().filter_map(|index| self.groups.id(*index)).cloned().collect();
        let survivor = match claimed.pop_first() {
            Some(oldest) => oldest,
            None => {
                let first = self.shared.alerts.get(&alerts[..1]);
                let Some(first) = first.first() else {
                    unreachable!("grouping knows alerts from the log of alerts alone")
                };
                self.open(first, self.why_apart(&alerts[0])).await?
            }
        };
        let members: HashSet<&AlertId> = alerts.iter().collect();
        for case in claimed {
            let reason = self.why_one(group, &self.streams[&case].log().alerts.clone());
            self.merge(case, survivor, &reason, &members).await?;
        }
        let log = self.streams[&survivor].log();
        let missing: Vec<usize> = (0..alerts.len()).filter(|place| !log.holds(&alerts[*place])).collect();
        if !missing.is_empty() {
            let mut reasons: BTreeMap<usize, &LinkReason> = BTreeMap::new();
            for link in &group.links {
                reasons.entry(link.one).or_insert(&link.reason);
                reasons.entry(link.other).or_insert(&link.reason);
            }
            let joining = missing.into_iter().map(|place| {
                let reason = reasons.get(&group.alerts[place]).map(|reason| self.in_words(reason));
                (alerts[place].clone(), reason.unwrap_or_else(|| "first of its incident".into()))
            });
            self.join(survivor, joining.collect()).await?;
            if !self.streams[&survivor].log().ready {
                self.settling.touched(survivor, Instant::now());
            }
        }
        for alert in alerts {
            self.holders.insert(alert, survivor);
        }
        Ok(survivor)
    }

    /// A reason with a person's words in place of a number.
    fn in_words(&self, reason: &LinkReason) -> String {
        match reason {
            LinkReason::Person { word } => self.words.get(word).cloned().unwrap_or_else(|| reason.to_string()),
            LinkReason::Process { .. }
            | LinkReason::Session { .. }
            | LinkReason::Service(_)
            | LinkReason::Task(_)
            | LinkReason::Source(_)
            | LinkReason::Account(_)
            | LinkReason::File(_)
            | LinkReason::Destination(_)
            | LinkReason::Contact { .. }
            | LinkReason::Host(_) => reason.to_string(),
        }
    }

    /// What ties these alerts to the rest of their group.
    fn why_one(&self, group: &Group, alerts: &[AlertId]) -> String {
        let own: HashSet<usize> = alerts.iter().filter_map(|alert| self.groups.index_of(alert)).collect();
        let crosses = group.links.iter().find(|link| own.contains(&link.one) != own.contains(&link.other));
        crosses.map_or_else(|| "their alerts are tied".into(), |link| self.in_words(&link.reason))
    }

    /// The case that an alert is about to leave, if it is in one.
    fn why_apart(&self, alert: &AlertId) -> Option<CaseId> {
        self.holders.get(alert).copied()
    }

    async fn open(&mut self, alert: &Alert, from: Option<CaseId>) -> Result<CaseId, JournalError> {
        let number = self.streams.keys().next_back().map_or(0, |case| case.number()) + 1;
        let case = CaseId::new(number);
        let mut stream = CaseStream::open(self.shared.journal.clone(), case, None).await?;
        let now = self.shared.clock.now();
        let root = SpanRef { trace: ids::new_trace(), span: ids::new_span() };
        let entries = vec![CaseEntry::Opened { alert: alert.id.clone(), root }];
        let text = match from {
            None => telling::opened(alert),
            Some(from) => format!("{} It was part of {from} before.", telling::opened(alert)),
        };
        let state = desired::state(&stream.preview(&entries, now), &[Arc::new(alert.clone())]);
        let effects = vec![state, comment(case, "opened", AUTHOR, text, now)];
        stream.append(Batch { entries, effects, ..Batch::default() }, now).await?;
        self.streams.insert(case, stream);
        self.holders.insert(alert.id.clone(), case);
        self.settling.touched(case, Instant::now());
        self.shared.entry_ready();
        Ok(case)
    }

    /// Alerts join a case, all in one append.
    async fn join(&mut self, case: CaseId, joining: Vec<(AlertId, String)>) -> Result<(), JournalError> {
        let shared = self.shared.clone();
        self.change(case, |stream| {
            let new: Vec<_> = joining.iter().filter(|(alert, _)| !stream.log().holds(alert)).collect();
            let (first, why) = new.first()?;
            let about = format!("joined/{first}");
            let why = match new.len() {
                1 => format!("an alert joined ({})", comments::quoted(why)),
                many => format!("{many} alerts joined ({})", comments::quoted(why)),
            };
            let entry = |(alert, reason): &(AlertId, String)| CaseEntry::Joined {
                alert: alert.clone(),
                reason: reason.clone(),
            };
            let entries = new.iter().map(|new| entry(new)).collect();
            if repeats::are_repeats(&shared, stream.log(), new.iter().map(|(alert, _)| alert)) {
                return Some(repeats::joined(&shared, stream, entries));
            }
            Some(reopened(&shared, stream, entries, &about, &why))
        })
        .await
    }

    /// Makes `case` a part of `survivor`: first the survivor takes its alerts, then the case says where it went.
    async fn merge(
        &mut self,
        case: CaseId,
        survivor: CaseId,
        reason: &str,
        members: &HashSet<&AlertId>,
    ) -> Result<(), JournalError> {
        let merged = self.streams[&case].log();
        let alerts: Vec<AlertId> = merged.alerts.iter().filter(|alert| members.contains(*alert)).cloned().collect();
        let judged = merged.persons_verdict.as_ref();
        let judged = judged.map_or_else(String::new, |said| format!("; {} judged it as {}", said.by, said.ruling));
        let shared = self.shared.clone();
        self.change(survivor, |stream| {
            if stream.log().absorbed.iter().any(|(absorbed, _)| *absorbed == case) {
                return None;
            }
            let entries = vec![CaseEntry::Absorbed { case, alerts: alerts.clone(), reason: reason.to_owned() }];
            let why = format!("{case} is the same incident, {}{judged}", comments::quoted(reason));
            Some(reopened(&shared, stream, entries, &format!("absorbed/{case}"), &why))
        })
        .await?;
        self.settling.touched(survivor, Instant::now());
        self.mark_merged(case, survivor, reason).await
    }

    pub(super) async fn mark_merged(
        &mut self,
        case: CaseId,
        survivor: CaseId,
        reason: &str,
    ) -> Result<(), JournalError> {
        let shared = self.shared.clone();
        self.change(case, |stream| {
            if stream.log().status == Status::Merged {
                return None;
            }
            let now = shared.clock.now();
            let entries = vec![moved(&Transition::Merge(survivor), &format!("part of {survivor}: {reason}"))];
            let text = format!("Merged into {survivor}: {}.", comments::quoted(reason));
            let item = case.to_string();
            let queues = [Queue::Tier1, Queue::Tier2].map(|queue| QueueChange::Remove { queue, item: item.clone() });
            let state = desired::state(&stream.preview(&entries, now), &shared.alerts.get(&stream.log().alerts));
            let effects = vec![comment(case, "merged", AUTHOR, text, now), state];
            Some(Batch { entries, effects, queues: queues.to_vec(), ..Batch::default() })
        })
        .await
    }

    /// A case gives away the alerts that turned out to belong elsewhere, where they already are.
    async fn let_go(&mut self, case: CaseId) -> Result<(), JournalError> {
        let Some(root) = self.root_of(case) else { return Ok(()) };
        let is_foreign = |alert: &&AlertId| {
            self.groups.index_of(alert).is_some_and(|index| self.groups.group_of(index) != Some(root))
        };
        let leaving: Vec<AlertId> = self.streams[&case].log().alerts.iter().filter(is_foreign).cloned().collect();
        if leaving.is_empty() {
            return Ok(());
        }
        let to: BTreeSet<String> =
            leaving.iter().filter_map(|alert| self.holders.get(alert)).map(ToString::to_string).collect();
        let to = to.into_iter().collect::<Vec<_>>().join(", ");
        let shared = self.shared.clone();
        self.settling.touched(case, Instant::now());
        self.change(case, |stream| {
            let held: Vec<AlertId> = leaving.iter().filter(|alert| stream.log().holds(alert)).cloned().collect();
            (!held.is_empty()).then(|| left(&shared, stream, held, &to))
        })
        .await
    }
}

/// Alerts leave a case. What a machine concluded with them no longer stands; a person's word does.
fn left(shared: &Shared, stream: &CaseStream, alerts: Vec<AlertId>, to: &str) -> Batch {
    let (log, now) = (stream.log(), shared.clock.now());
    let reason = format!("they are another incident: {to}");
    let (about, count) = (format!("left/{}", log.last), counted(alerts.len() as u64, "alert"));
    let mut entries = vec![CaseEntry::Left { alerts, reason: reason.clone() }];
    let stands = match log.status {
        Status::OnHold => false,
        Status::Resolved => log.resolved_on_proof.is_none(),
        Status::New | Status::InProgress | Status::Closed | Status::Merged => true,
    };
    let mut text = format!("{count} left this case: {reason}.");
    if !stands {
        entries.push(moved(&Transition::Reopen(ReopenCause::AlertsLeft), &reason));
        text.push_str(" It is investigated again without them.");
    }
    let preview = stream.preview(&entries, now);
    let state = desired::state(&preview, &shared.alerts.get(&preview.alerts));
    Batch { entries, effects: vec![comment(log.id, &about, AUTHOR, text, now), state], ..Batch::default() }
}

/// Alerts came to a case: one that waits for a person or was handled is taken up again, once its sources have
/// delivered the rest.
fn reopened(shared: &Shared, stream: &CaseStream, mut entries: Vec<CaseEntry>, about: &str, why: &str) -> Batch {
    let log = stream.log();
    let (case, now) = (log.id, shared.clock.now());
    let mut batch = Batch::default();
    if matches!(log.status, Status::OnHold | Status::Resolved | Status::Closed) {
        entries.push(moved(&Transition::Reopen(ReopenCause::NewAlert), why));
        let preview = stream.preview(&entries, now);
        let text = format!("Reopened: {why}.{}", spoken_before(log));
        batch.effects.push(comment(case, about, AUTHOR, text, now));
        batch.effects.push(desired::state(&preview, &shared.alerts.get(&preview.alerts)));
    }
    batch.entries = entries;
    batch
}

/// A person's word on the case that still stands.
fn spoken_before(log: &CaseLog) -> String {
    let said = log.persons_verdict.as_ref();
    said.map_or_else(String::new, |said| {
        format!(
            " {} judged it as {} before this; that word stands until a person says otherwise.",
            comments::quoted(&said.by),
            said.ruling
        )
    })
}
