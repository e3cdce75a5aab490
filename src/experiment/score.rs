//! What a floor made of one scenario, compared with its label.
//!
//! Everything here is a function of the label and of the cases: as they ended, but for closes by machine and wishes to
//! isolate, which count at whatever step of the replay they happened. The names of the fields are those of
//! `watchfloor score --json`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::history::{Stood, changes};
use super::label::{Kind, Label, Provenance, Raised};
use crate::domain::case::{HoldCause, HoldQueue, Status};
use crate::domain::containment::Action;
use crate::domain::draft::{Classification, Determination};
use crate::domain::entity::HostName;
use crate::domain::ids::{CaseId, RuleId};
use crate::domain::verdict::MOST_CITATIONS;

/// An alert of a case, and what tells it from others.
#[derive(Debug, Clone, Serialize)]
pub struct AlertRef {
    /// The rule.
    pub rule_id: RuleId,
    /// The machine, as the log wrote it.
    pub host: HostName,
    /// The number of its event in its log, if the log numbers them.
    pub record_id: Option<String>,
    /// When its event happened.
    pub time: Timestamp,
    /// The rule's title.
    #[serde(skip)]
    pub title: String,
    /// The kind of its event.
    #[serde(skip)]
    pub kind: String,
}

/// A wish to contain, with its answer.
#[derive(Debug, Clone, Serialize)]
pub struct ProposalScore {
    /// The machine.
    pub host: HostName,
    /// What was asked for.
    pub action: Action,
    /// The gatekeeper's answer, as the journal has it.
    pub decision: String,
}

/// Citations of a verdict, looked up in the input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Citations {
    /// How many there are.
    pub total: u64,
    /// How many of them the input bears out.
    pub verified: u64,
}

/// Who ended a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// The floor, on proof.
    Machine,
    /// A person's word.
    Person,
}

/// A case as it ended. Cases that became part of another are not told apart from it.
#[derive(Debug, Clone, Serialize)]
pub struct CaseScore {
    /// The case.
    pub id: CaseId,
    /// How many alerts it has.
    pub alerts: u64,
    /// Its alerts.
    pub alert_refs: Vec<AlertRef>,
    /// Its machines.
    pub hosts: Vec<HostName>,
    /// The part each machine played, where the case says so.
    pub roles: Value,
    /// Where it stands.
    pub status: Status,
    /// In which queue it waits for a person.
    pub hold_reason: Option<HoldQueue>,
    /// Why exactly.
    #[serde(skip)]
    pub hold_cause: Option<HoldCause>,
    /// The tier whose verdict stands.
    pub tier: Option<u8>,
    /// The verdict.
    pub classification: Option<Classification>,
    /// The verdict made precise.
    pub determination: Option<Determination>,
    /// How likely it is malicious, from 0 to 1.
    pub probability: Option<f64>,
    /// How sure code is of that.
    pub confidence: Option<String>,
    /// Who ended it.
    pub closed_by: Option<ClosedBy>,
    /// What it asked to be contained.
    pub proposals: Vec<ProposalScore>,
    /// Its verdict's citations.
    pub citations: Citations,
    /// Every verdict it ended in on the way, the standing one last.
    pub history: Vec<Stood>,
    /// Its alerts at each time a machine closed it, reopened later or not.
    #[serde(skip)]
    pub closes: Vec<Vec<AlertRef>>,
    /// What each piece of its verdict's evidence quotes, in the verdict's order.
    #[serde(skip)]
    pub evidence: Vec<String>,
    /// The citations that the input does not bear out, each in a sentence.
    #[serde(skip)]
    pub unverified: Vec<String>,
}

impl CaseScore {
    fn is_true_positive(&self) -> bool {
        self.classification == Some(Classification::TruePositive)
    }

    fn touches(&self, hosts: &BTreeSet<HostName>) -> bool {
        touch(&self.alert_refs, hosts)
    }
}

/// Some of these alerts are on one of these machines.
fn touch(alerts: &[AlertRef], hosts: &BTreeSet<HostName>) -> bool {
    alerts.iter().any(|alert| hosts.contains(&alert.host))
}

/// What became of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A case ended as a true positive; of a benign scenario that is a false alarm.
    Detected,
    /// A person was asked.
    Held,
    /// An attack with alerts that is neither.
    Missed,
    /// A benign scenario whose cases were all resolved.
    Resolved,
    /// No rule saw anything of it.
    Silent,
}

impl Outcome {
    /// The outcome in a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::Held => "held",
            Self::Missed => "missed",
            Self::Resolved => "resolved",
            Self::Silent => "silent",
        }
    }
}

/// Isolations of distinct machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Isolations {
    /// The label recommends so many.
    pub wanted: u64,
    /// So many of those were asked for.
    pub proposed: u64,
    /// So many were asked for that the label does not want or forbids.
    pub wrong: u64,
}

/// Texts that a verdict's evidence should show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MustCite {
    /// The label names so many.
    pub wanted: u64,
    /// So many of those are quoted.
    pub shown: u64,
}

/// How a scenario was played.
#[derive(Debug, Clone)]
pub struct Played {
    /// Events read.
    pub events: u64,
    /// Records that gave no event.
    pub skipped: u64,
    /// Alerts raised.
    pub alerts: u64,
    /// Steps at whose end something was judged.
    pub steps: u64,
    /// The cases, without those that became part of another.
    pub cases: Vec<CaseScore>,
    /// Those that became part of another: what was done with them before counts.
    pub merged: Vec<CaseScore>,
    /// How long the floor took, from the first event to rest.
    pub seconds: f64,
}

/// What a floor made of one scenario.
#[derive(Debug, Clone, Serialize)]
pub struct ScenarioScore {
    /// Its name.
    pub id: String,
    /// What it is, in the label's words.
    pub kind: &'static str,
    /// Recorded or written.
    pub source: Provenance,
    /// Events read.
    pub events: u64,
    /// Records that gave no event.
    pub skipped: u64,
    /// Alerts raised.
    pub alerts: u64,
    /// Steps of the replay at whose end something was judged.
    pub steps: u64,
    /// How often a verdict was another than the one before it.
    pub changed_verdicts: u64,
    /// Its cases.
    pub cases: Vec<CaseScore>,
    /// What became of it.
    pub outcome: Outcome,
    /// Cases on the incident's machines that the floor ended itself, though the label does not call them noise: at any
    /// step, whatever became of them later.
    pub wrong_closes: u64,
    /// Isolations.
    pub isolations: Isolations,
    /// Alerts of bystanders that are in a case with an alert of the incident's machines.
    pub bystander_alerts_joined: u64,
    /// What was to be quoted.
    pub must_cite: MustCite,
    /// How long the floor took.
    pub seconds: f64,
    /// Alerts of bystanders of an attack.
    #[serde(skip)]
    pub bystander_alerts: u64,
    /// Cases of the incident: those on its machines that are not noise alone.
    #[serde(skip)]
    pub incident_cases: Vec<CaseId>,
    /// The cases that were wrongly closed.
    #[serde(skip)]
    pub wrongly_closed: Vec<CaseId>,
    /// The label says that a machine may close its cases, or that it may not; nothing if it does not say.
    #[serde(skip)]
    pub closable: Option<bool>,
    /// What it is.
    #[serde(skip)]
    pub is: Kind,
}

impl ScenarioScore {
    /// Compares what was played with its label.
    #[must_use]
    pub fn of(label: &Label, played: Played) -> Self {
        let Played { events, skipped, alerts, steps, cases, merged, seconds } = played;
        let incident = label.incident_hosts();
        let concerned: Vec<&CaseScore> =
            cases.iter().filter(|case| incident.is_empty() || case.touches(&incident)).collect();
        let of_incident: Vec<&CaseScore> = if label.kind.is_attack() {
            concerned.iter().copied().filter(|case| !is_noise(label, case)).collect()
        } else {
            vec![]
        };
        let wrongly_closed = wrongly_closed(label, &incident, cases.iter().chain(&merged));
        let (bystander_alerts, bystander_alerts_joined) = bystanders(label, &incident, &cases);
        Self {
            id: label.id.clone(),
            kind: label.kind.name(),
            source: label.provenance(),
            events,
            skipped,
            alerts,
            steps,
            changed_verdicts: cases.iter().map(|case| changes(&case.history)).sum(),
            outcome: outcome(label.kind, alerts, &cases, &concerned),
            wrong_closes: wrongly_closed.len() as u64,
            wrongly_closed,
            closable: label.closable(),
            isolations: isolations(label, cases.iter().chain(&merged)),
            bystander_alerts_joined,
            must_cite: must_cite(label, &concerned),
            seconds,
            bystander_alerts,
            incident_cases: of_incident.iter().map(|case| case.id).collect(),
            is: label.kind,
            cases,
        }
    }
}

/// Every alert of the case is noise by the label's word.
fn is_noise(label: &Label, case: &CaseScore) -> bool {
    are_noise(label, &case.alert_refs)
}

fn are_noise(label: &Label, alerts: &[AlertRef]) -> bool {
    let is_noise = |alert: &AlertRef| {
        label.is_noise(Raised { rule: alert.rule_id.as_str(), title: &alert.title, kind: &alert.kind })
    };
    !alerts.is_empty() && alerts.iter().all(is_noise)
}

/// The cases of an attack that a machine closed at some step, on alerts that concern the incident then and are not
/// noise alone.
fn wrongly_closed<'a>(
    label: &Label,
    incident: &BTreeSet<HostName>,
    cases: impl Iterator<Item = &'a CaseScore>,
) -> Vec<CaseId> {
    if !label.kind.is_attack() {
        return vec![];
    }
    let is_wrong =
        |alerts: &Vec<AlertRef>| (incident.is_empty() || touch(alerts, incident)) && !are_noise(label, alerts);
    cases.filter(|case| case.closes.iter().any(is_wrong)).map(|case| case.id).collect()
}

/// `concerned` are the cases on the incident's machines.
fn outcome(kind: Kind, alerts: u64, cases: &[CaseScore], concerned: &[&CaseScore]) -> Outcome {
    let held = |case: &CaseScore| case.status == Status::OnHold;
    if alerts == 0 {
        return Outcome::Silent;
    }
    match kind {
        // The rules see nothing of it; what they raise on machines that were only there is about something else.
        Kind::SilentAttack if concerned.is_empty() => Outcome::Silent,
        Kind::Attack | Kind::SilentAttack => {
            if concerned.iter().any(|case| case.is_true_positive()) {
                Outcome::Detected
            } else if concerned.iter().any(|case| held(case)) {
                Outcome::Held
            } else {
                Outcome::Missed
            }
        }
        Kind::Benign | Kind::Other => {
            if cases.iter().any(CaseScore::is_true_positive) {
                Outcome::Detected
            } else if cases.iter().all(|case| matches!(case.status, Status::Resolved | Status::Closed)) {
                Outcome::Resolved
            } else {
                Outcome::Held
            }
        }
    }
}

/// What was asked for at any step: a wish is put on record once and stays there.
fn isolations<'a>(label: &Label, cases: impl Iterator<Item = &'a CaseScore>) -> Isolations {
    let wanted = label.isolate();
    let asked = cases.flat_map(|case| &case.proposals).filter(|asked| asked.action == Action::IsolateDevice);
    let hosts: BTreeSet<&HostName> = asked.map(|asked| &asked.host).collect();
    let is_right = |host: &HostName| wanted.contains(host) && !label.must_not_isolate(host);
    Isolations {
        wanted: wanted.len() as u64,
        proposed: hosts.iter().filter(|host| is_right(host)).count() as u64,
        wrong: hosts.iter().filter(|host| !is_right(host)).count() as u64,
    }
}

/// Alerts of bystanders of an attack, and how many of those are in a case with an alert of the incident's machines.
fn bystanders(label: &Label, incident: &BTreeSet<HostName>, cases: &[CaseScore]) -> (u64, u64) {
    if !label.kind.is_attack() {
        return (0, 0);
    }
    let hosts = label.bystanders();
    let of = |case: &CaseScore| case.alert_refs.iter().filter(|alert| hosts.contains(&alert.host)).count() as u64;
    let joined = cases.iter().filter(|case| case.touches(incident));
    (cases.iter().map(of).sum(), joined.map(of).sum())
}

/// Only what a verdict quotes counts, and of one verdict no more than may be shown.
fn must_cite(label: &Label, concerned: &[&CaseScore]) -> MustCite {
    let rows: Vec<String> =
        concerned.iter().flat_map(|case| case.evidence.iter().take(MOST_CITATIONS)).map(|row| folded(row)).collect();
    let is_shown = |text: &&String| rows.iter().any(|row| row.contains(&folded(text)));
    MustCite { wanted: label.must_cite().len() as u64, shown: label.must_cite().iter().filter(is_shown).count() as u64 }
}

/// Without case, and with white space made one: `cmd.exe` writes two spaces after a program's name.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
pub(super) mod tests;
