//! Who does what on a floor, line by line, from the entries of its journal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::assembly::Stores;
use crate::domain::case::RecordedTransition;
use crate::domain::containment::Decision;
use crate::domain::ids::CaseId;
use crate::domain::taint;
use crate::journal::alert_log::AlertEntry;
use crate::journal::case_log::CaseLog;
use crate::journal::case_stream::CaseStream;
use crate::journal::entry::CaseEntry;
use crate::journal::gate_told;
use crate::ports::journal::{JournalError, NewRecord, PlacedRow, Stream};

/// Rows that are looked at for one answer.
const MOST_ROWS: usize = 500;

/// Longest text of a line, in characters.
const LONGEST: usize = 220;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// To which case; none for alerts.
    pub case: Option<CaseId>,
    /// Who did it: `Intake`, `Tier 1`, `Gatekeeper`, …
    pub who: String,
    /// The kind of journal entry.
    pub kind: String,
    /// What, in a sentence.
    pub what: String,
}

/// What happened since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happenings {
    /// Where the journal ended: to be asked from next time.
    pub place: u64,
    /// In order.
    pub lines: Vec<Happening>,
}

/// What happened after a place of the journal; without a place, where it ends now.
///
/// # Errors
/// When the journal cannot be read.
pub async fn since(stores: &Stores, after: Option<u64>) -> Result<Happenings, JournalError> {
    let Some(after) = after else {
        return Ok(Happenings { place: stores.journal.end().await?, lines: vec![] });
    };
    let rows = stores.journal.since(after, MOST_ROWS).await?;
    let place = rows.last().map_or(after, |row| row.place);
    let mut cases: BTreeMap<CaseId, CaseLog> = BTreeMap::new();
    let (mut lines, mut alerts) = (Vec::new(), Alerts::default());
    for PlacedRow { stream, row, .. } in rows {
        let Ok(record) = row.content else { continue };
        if alerts.take(&stream, &record) {
            continue;
        }
        lines.extend(alerts.line());
        let Some(case) = stream.0.strip_prefix("case/").and_then(|case| case.parse().ok()) else { continue };
        let Ok(entry) = serde_json::from_str::<CaseEntry>(&record.body) else { continue };
        if let std::collections::btree_map::Entry::Vacant(place) = cases.entry(case) {
            place.insert(CaseStream::open(stores.journal.clone(), case, None).await?.log().clone());
        }
        let told = cases.get(&case).and_then(|log| tell(stores, log, &entry));
        lines.extend(told.map(|(who, what)| line(record.at, Some(case), who, &record.kind, &what)));
    }
    lines.extend(alerts.line());
    Ok(Happenings { place, lines })
}

fn line(at: Timestamp, case: Option<CaseId>, who: String, kind: &str, what: &str) -> Happening {
    let what: String = taint::shown(what).chars().take(LONGEST).collect();
    Happening { at, case, who, kind: kind.into(), what }
}

/// Alerts that came one after another: they are told together.
#[derive(Default)]
struct Alerts {
    count: usize,
    last: Option<(Timestamp, String)>,
}

impl Alerts {
    /// Takes a row of the stream of alerts; says whether it was one.
    fn take(&mut self, stream: &Stream, record: &NewRecord) -> bool {
        if stream.0 != "alerts" {
            return false;
        }
        if let Ok(AlertEntry::Arrived { alert }) = serde_json::from_str(&record.body) {
            self.count += 1;
            self.last = Some((record.at, format!("{} on {}", alert.rule.title, alert.host)));
        }
        true
    }

    fn line(&mut self) -> Option<Happening> {
        let (at, what) = self.last.take()?;
        let what = match std::mem::take(&mut self.count) {
            1 => format!("an alert arrived: {what}"),
            count => format!("{count} alerts arrived, the last: {what}"),
        };
        Some(line(at, None, "Detection".into(), "arrived", &what))
    }
}

/// Who did it, and what it was; `None` for bookkeeping.
fn tell(stores: &Stores, log: &CaseLog, entry: &CaseEntry) -> Option<(String, String)> {
    let tier = |number: u32| {
        let attempt = log.attempts.iter().find(|attempt| attempt.number == number);
        attempt.map_or_else(|| "A tier".into(), |attempt| attempt.tier.name().to_owned())
    };
    let intake = |what: String| Some(("Intake".to_owned(), what));
    match entry {
        CaseEntry::Opened { .. } => intake("opened the case".into()),
        CaseEntry::Joined { reason, .. } => intake(format!("an alert joined: {reason}")),
        CaseEntry::Absorbed { case, reason, .. } => intake(format!("took in {case}: {reason}")),
        CaseEntry::Moved { transition, by, rule, because } => {
            Some((by.clone(), format!("{}: {because} (rule {rule})", moved(transition))))
        }
        CaseEntry::Started { attempt, tier, why_again, .. } => {
            let why = why_again.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            let again = if *attempt > 1 { " again" } else { "" };
            Some((tier.name().into(), format!("begins to investigate{again}{why}")))
        }
        CaseEntry::Begun { attempt, what, .. } | CaseEntry::Taken { attempt, what, .. } if what != "move" => {
            Some((tier(*attempt), format!("asks {what}")))
        }
        CaseEntry::Judged { attempt, card, .. } => {
            let text = |name| card.get(name).and_then(Value::as_str).unwrap_or_default();
            Some((
                tier(*attempt),
                format!("judges: {} — {}", text("classification").replace('_', " "), text("headline")),
            ))
        }
        CaseEntry::Ended { attempt, why } => Some((tier(*attempt), format!("ends without a verdict: {why}"))),
        CaseEntry::Broke { attempt, what, .. } => Some((tier(*attempt), format!("broke off: {what}"))),
        CaseEntry::Proposed { proposal } => {
            Some(("Analyst".into(), format!("asks for {}: {}", gate_told::wish(proposal), proposal.because)))
        }
        CaseEntry::Decided { proposal, decision, .. } => {
            let proposed = log.proposals.iter().find(|proposed| proposed.proposal.id == *proposal)?;
            let told = gate_told::decision(&proposed.proposal, decision);
            let waits = if matches!(decision, Decision::Waiting { .. }) { "waits for a person. " } else { "" };
            Some(("Gatekeeper".into(), format!("{proposal}: {waits}{}", told.lines().next().unwrap_or_default())))
        }
        CaseEntry::Gate { event, .. } => {
            let proposed = log.proposals.iter().find(|proposed| event.proposal() == Some(proposed.proposal.id))?;
            Some(("Gatekeeper".into(), gate_told::event(&proposed.proposal, event, stores.devices.nature())))
        }
        CaseEntry::Concluded => Some(("Floor".into(), "nothing is left to do for the moment".into())),
        _ => None,
    }
}

fn moved(transition: &RecordedTransition) -> String {
    match transition {
        RecordedTransition::Start => "starts".into(),
        RecordedTransition::Hold { hold } => format!("puts it on hold, {}", hold.cause.queue()),
        RecordedTransition::ResolveOnProof { classification } => format!("resolves it as {}", classification.name()),
        RecordedTransition::ResolveByPerson { .. } => "resolves it".into(),
        RecordedTransition::CloseByPerson { .. } => "closes it".into(),
        RecordedTransition::Reopen { .. } => "reopens it".into(),
        RecordedTransition::Merge { into } => format!("merges it into {into}"),
    }
}
