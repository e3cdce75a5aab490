//! Moves for scripted analysts: look-ups, and drafts that cite what the look-ups showed.

use std::sync::Arc;

use serde_json::{Value, json};
use watchfloor::analyst::{AnalystError, Brief, Move, Turn, playbook};
use watchfloor::domain::containment::Action;
use watchfloor::domain::draft::{
    Answer, Classification, ContainmentWish, Determination, Draft, HumanQuestion, YesNoUnknown,
};
use watchfloor::domain::evidence::{Citation, Family, Quote, Strength, Weight};
use watchfloor::domain::ids::EvidenceId;
use watchfloor::tools::answer::{Answered, ToolCall};

use super::clocks::at;

pub type Next = Result<Move, AnalystError>;

pub fn calls(list: &[(&str, Value)]) -> Move {
    let calls = list.iter().map(|(tool, arguments)| ToolCall { tool: (*tool).into(), arguments: arguments.clone() });
    Move::Calls { calls: calls.collect(), because: "A look at what happened.".into() }
}

pub fn submit(draft: Draft) -> Move {
    Move::Submit { draft: Box::new(draft) }
}

/// All events of a host, as a search.
pub fn search(host: &str) -> (&'static str, Value) {
    ("search_winlog_events", json!({"host": host, "from": at(0), "to": at(1_000_000)}))
}

/// A search that differs from every other with another number.
pub fn numbered_search(number: usize) -> (&'static str, Value) {
    let to = at(1_000_000 + i64::try_from(number).expect("few"));
    ("search_winlog_events", json!({"host": "WKS-1", "from": at(0), "to": to}))
}

pub fn answers(turns: &[Turn]) -> impl Iterator<Item = &Arc<Answered>> {
    turns.iter().flat_map(|turn| match turn {
        Turn::Answers(answers) => answers.as_slice(),
        Turn::Rejected(_) => &[],
    })
}

/// The id under which the analyst was shown an event.
pub fn id_of(turns: &[Turn], event: &str) -> EvidenceId {
    let mut seen = answers(turns).flat_map(|answered| answered.seen());
    let found = seen.find(|(_, view)| view.event.as_str() == event);
    found.unwrap_or_else(|| panic!("{event} was not shown: {turns:?}")).0
}

pub fn citation(id: EvidenceId, field: &str, value: &str, weight: Weight, family: Family) -> Citation {
    Citation {
        evidence: id,
        quotes: vec![Quote { field: format!("winlog.event_data.{field}"), value: value.into() }],
        says: format!("{field} says so"),
        weight,
        strength: Strength::Strong,
        family,
    }
}

fn draft(classification: Classification, determination: Option<Determination>, probability: f64) -> Draft {
    Draft {
        classification,
        determination,
        malicious_probability: probability,
        self_reported: None,
        headline: "What it was".into(),
        story: "What happened.".into(),
        techniques: vec![],
        citations: vec![],
        hypotheses: vec![],
        answers: vec![],
        unknowns: vec![],
        contradictions: vec![],
        containment: vec![],
        human_question: None,
        question_for_receiver: None,
        would_change: None,
        origins: vec![],
    }
}

/// A malicious verdict that rests on an effect and a connection, and asks for the host's isolation.
pub fn malicious(process: EvidenceId, connection: EvidenceId, host: &str) -> Draft {
    let wish = ContainmentWish {
        action: Action::IsolateDevice,
        host: watchfloor::domain::entity::HostName::new(host),
        because: "it talks to a stranger".into(),
        evidence: vec![process],
    };
    Draft {
        citations: vec![
            citation(process, "CommandLine", "tool.exe /all", Weight::ForMalicious, Family::Effect),
            citation(connection, "DestinationIp", "192.0.2.1", Weight::ForMalicious, Family::Network),
        ],
        containment: vec![wish],
        ..draft(Classification::TruePositive, Some(Determination::Malware), 0.97)
    }
}

/// A benign verdict that quotes what the sensor wrote and answers most of the playbook.
pub fn benign(process: EvidenceId) -> Draft {
    let answered = [playbook::TRIGGER, playbook::LAUNCH, playbook::EFFECT];
    let answers = answered.map(|question| Answer {
        question: question.into(),
        answer: YesNoUnknown::Yes,
        evidence: vec![process],
        why_unknown: None,
    });
    Draft {
        citations: vec![citation(process, "IntegrityLevel", "Medium", Weight::ForBenign, Family::Identity)],
        answers: answers.to_vec(),
        ..draft(Classification::FalsePositive, Some(Determination::NotMalicious), 0.01)
    }
}

/// A verdict that could not decide.
pub fn undecided(process: EvidenceId) -> Draft {
    Draft {
        citations: vec![citation(process, "CommandLine", "tool.exe", Weight::Neutral, Family::Content)],
        human_question: Some(HumanQuestion {
            question: "Is it yours?".into(),
            options: vec!["yes".into(), "no".into()],
            default_if_silent: "stays open".into(),
        }),
        ..draft(Classification::Undetermined, None, 0.3)
    }
}

/// Looks at the alert and its tree, then at everything on the host, then says what `conclude` says.
pub fn looks_twice(
    conclude: impl Fn(&Brief, &[Turn]) -> Draft + Send + Sync + 'static,
) -> impl Fn(&Brief, &[Turn]) -> Next + Send + Sync + 'static {
    move |brief, turns| {
        let alert = &brief.alerts[0];
        let trigger = ("get_alert", json!({"alert": alert.id}));
        Ok(match turns.len() {
            0 => calls(&[trigger, ("process_tree", json!({"event": alert.event}))]),
            1 => calls(&[search(alert.host.as_str()), trigger]),
            _ => submit(conclude(brief, turns)),
        })
    }
}

/// Both tiers' malicious verdict on the first alert's host: its event is `p-HOST`, its connection `n-HOST`.
pub fn finds_harm() -> impl Fn(&Brief, &[Turn]) -> Next + Send + Sync + 'static {
    looks_twice(|brief, turns| {
        let host = brief.alerts[0].host.as_str();
        malicious(id_of(turns, &format!("p-{host}")), id_of(turns, &format!("n-{host}")), host)
    })
}

/// A benign verdict on the first alert's event.
pub fn finds_no_harm() -> impl Fn(&Brief, &[Turn]) -> Next + Send + Sync + 'static {
    looks_twice(|brief, turns| benign(id_of(turns, brief.alerts[0].event.as_str())))
}

/// An analyst who must not be asked.
pub fn never(_: &Brief, _: &[Turn]) -> Next {
    panic!("nobody asks this analyst")
}
