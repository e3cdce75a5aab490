//! The analyst's judgement on small written events: worked numbers, twins of every group of families, and its laws.

#[cfg(test)]
mod laws;
#[cfg(test)]
mod twins;
#[cfg(test)]
mod worked;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::feature::Feature;
use super::score::Score;
use super::seen::{Seen, SeenEvent};
use super::{draft, judgement, score};
use crate::analyst::Brief;
use crate::domain::alert::{Alert, Severity};
use crate::domain::draft::Draft;
use crate::domain::event::{Event, SYSMON};
use crate::domain::ids::{AlertId, EventId, EvidenceId, RuleId};
use crate::domain::route::Tier;
use crate::fixtures::{CASE, alert, event};
use crate::ports::events::Watermark;
use crate::tools::answer::{Answer, Answered, ToolCall};
use crate::tools::view::{ALONE, EventView};

const HOST: &str = "WKS-1";
const POWERSHELL: &str = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe";
const CMD: &str = "C:\\Windows\\System32\\cmd.exe";
const LSASS: &str = "C:\\Windows\\System32\\lsass.exe";
const TEMP: &str = "C:\\Users\\a.user\\AppData\\Local\\Temp\\";
const PROCESS: &str = "{0a1b2c3d-0001-0002-0300-000000000700}";

/// An event on [`HOST`] as the analyst was shown it.
pub(super) fn shown(kind: (&str, u32), data: Value) -> SeenEvent {
    let view = EventView::whole(&event("e", 0, HOST, kind, data), ALONE);
    SeenEvent { id: EvidenceId::new(1), view, related: true }
}

/// A case of written events: the first one raised its alerts.
struct Written {
    events: Vec<Event>,
    level: Severity,
    tags: Vec<Vec<&'static str>>,
    answers: Vec<Arc<Answered>>,
    triggers: usize,
}

fn case(level: Severity, events: Vec<Event>) -> Written {
    Written { events, level, tags: vec![vec![]], answers: vec![], triggers: 1 }
}

impl Written {
    /// The answer of a tool on the first event.
    fn answered(mut self, tool: &str, arguments: Value, data: Value) -> Self {
        let call = ToolCall { tool: tool.into(), arguments };
        let outcome = Ok(Answer { data, ..Answer::default() });
        self.answers.push(Arc::new(Answered { call, outcome, evidence: vec![] }));
        self
    }

    fn seen(&self) -> (Brief, Seen) {
        let mut seen = Seen { answers: self.answers.clone(), ..Seen::default() };
        for (event, number) in self.events.iter().zip(1..) {
            let id = EvidenceId::new(number);
            seen.events.insert(id, SeenEvent { id, view: EventView::whole(event, ALONE), related: true });
            seen.trees.insert(event.id.clone());
        }
        let mut alerts: Vec<Alert> = Vec::new();
        for (number, event) in self.events.iter().take(self.triggers).enumerate() {
            for (rule, tags) in self.tags.iter().enumerate() {
                let mut alert = alert(&format!("a{number}-{rule}"), event.id.as_str(), HOST, 100);
                alert.id = AlertId::new(format!("a{number}-{rule}"));
                alert.rule.id = RuleId::new(format!("rule-{rule}"));
                alert.rule.level = self.level;
                alert.rule.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
                alerts.push(alert);
            }
            seen.triggers
                .insert(EventId::new(event.id.as_str()), EvidenceId::new(u32::try_from(number + 1).expect("few")));
        }
        let brief = Brief {
            case: CASE,
            tier: Tier::Two,
            alerts: Arc::new(alerts),
            handover: None,
            watermark: Watermark(9),
            calls: 99,
        };
        (brief, seen)
    }

    fn draft(&self) -> Draft {
        let (brief, seen) = self.seen();
        draft::draft(&brief, &seen)
    }

    fn features(&self) -> Vec<Feature> {
        let (brief, seen) = self.seen();
        score::without_void_fingerprints(judgement::features(&seen, &brief))
    }

    fn score(&self) -> Score {
        let (brief, seen) = self.seen();
        Score::of(&brief, &self.features(), &score::outcomes(&seen))
    }

    fn probability(&self) -> f64 {
        self.score().probability
    }
}

fn sysmon(id: &str, seconds: i64, code: u32, data: Value) -> Event {
    event(id, seconds, HOST, (SYSMON, code), data)
}

fn start(id: &str, image: &str, command: &str, parent: &str, user: &str) -> Event {
    let data = json!({"Image": image, "CommandLine": command, "ParentImage": parent, "User": user, "ProcessGuid": PROCESS,
        "ProcessId": "4172", "ParentProcessGuid": "{0a1b2c3d-0001-0002-0200-000000000700}"});
    sysmon(id, 100, 1, data)
}

/// What `prevalence` answers for a start that recurs, or was never seen.
fn prevalence(hosts: u64, days: u64) -> Value {
    let spread = json!({"events": hosts * days, "hosts": hosts, "days": days, "first": null, "last": null});
    let usual: Vec<Value> = ["program", "command", "parentage"]
        .iter()
        .map(|what| json!({"what": what, "template": "t", "fleet": spread, "host": spread}))
        .collect();
    let history = json!({"from": "2025-12-01T00:00:00Z", "to": "2026-01-01T00:00:00Z", "fleet_days": 30, "host_days": 30,
        "hours": 720, "complete_since": null, "lacks": null});
    json!({"usual": usual, "history": history})
}

fn of_first() -> Value {
    json!({"event": "e"})
}

fn named(features: &[Feature]) -> BTreeMap<&'static str, f64> {
    features.iter().map(|feature| (feature.name, feature.value)).collect()
}
