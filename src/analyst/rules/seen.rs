//! Everything that the analyst was shown, and which of it belongs to the case.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::{Brief, Turn};
use super::feature::{Feature, Harm};
use crate::domain::entity::HostName;
use crate::domain::evidence::{AbsenceClaim, Exhibit, Family, Quote};
use crate::domain::ids::{EventId, EvidenceId};
use crate::knowledge::{access_mask, command, guid, paths, programs};
use crate::tools::answer::{Answer, Answered, ToolCall};
use crate::tools::process_tree::Node;
use crate::tools::view::{self, EventView};

/// A program that was seen opening so many different others to read them does so to all alike.
const OPENS_EVERYTHING: usize = 6;

/// Most characters of one quote.
const LONGEST_QUOTE: usize = 300;

/// An event that was shown, with the id under which it may be cited.
#[derive(Debug, Clone)]
pub struct SeenEvent {
    /// The id.
    pub id: EvidenceId,
    /// What was shown.
    pub view: EventView,
    /// It belongs to the case: an alert's own event, or one of its processes, their relatives and sessions.
    pub related: bool,
}

impl SeenEvent {
    /// A field's value, if the event has it.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        self.view.get(field)
    }

    /// The account that acted, with its domain where that is recorded.
    #[must_use]
    pub fn account(&self) -> Option<String> {
        // Of a logon or a ticket the subject is the machine that checked it.
        let of_whom = self.view.channel == "Security" && matches!(self.view.code, 4624 | 4625 | 4768 | 4769 | 4776);
        let is_subject = |name: &str| of_whom && name.starts_with("Subject");
        view::account(|name| self.get(name).filter(|_| !is_subject(name)))
    }

    fn first(&self, fields: &[&str]) -> Option<&str> {
        fields.iter().find_map(|field| self.view.get(field))
    }

    /// A process began: Sysmon 1 or Security 4688.
    #[must_use]
    pub fn is_start(&self) -> bool {
        self.view.is_sysmon(1) || self.is_security(4688)
    }

    /// This is event `code` of the Security log.
    #[must_use]
    pub fn is_security(&self, code: u32) -> bool {
        self.view.code == code && self.view.channel == "Security"
    }

    /// The acting or new program.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        let fields: &[&str] =
            if self.is_security(4688) { &["NewProcessName"] } else { &["Image", "SourceImage", "ProcessName"] };
        self.first(fields)
    }

    /// The program that started it.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.first(&["ParentImage", "ParentProcessName"])
    }

    /// The acting process by Sysmon's id, folded; empty if it is not known.
    #[must_use]
    pub fn process(&self) -> String {
        self.first(&["ProcessGuid", "SourceProcessGUID", "SourceProcessGuid"]).map(guid::folded).unwrap_or_default()
    }

    /// A field of the event names this process, which is folded and not empty.
    #[must_use]
    pub fn names(&self, field: &str, process: &str) -> bool {
        !process.is_empty() && self.view.get(field).is_some_and(|named| guid::same(named, process))
    }

    /// A quote of one of its `event_data` fields, at most 300 characters: of a command or script the part that tells.
    #[must_use]
    pub fn quote(&self, field: &str) -> Option<Quote> {
        let value = self.view.get(field)?;
        let value = value[command::quotable_start(value, LONGEST_QUOTE)..].chars().take(LONGEST_QUOTE).collect();
        Some(Quote { field: format!("winlog.event_data.{field}"), value })
    }

    /// A feature shown by the named fields of this event.
    #[must_use]
    pub fn feature(
        &self,
        name: &'static str,
        family: Family,
        value: f64,
        fields: &[&str],
        says: impl Into<String>,
    ) -> Option<Feature> {
        let quotes: Vec<Quote> = fields.iter().filter_map(|field| self.quote(field)).collect();
        let feature = |quotes| Feature {
            name,
            family,
            value,
            says: says.into(),
            evidence: self.id,
            quotes,
            harm: Harm::default(),
        };
        (!quotes.is_empty()).then(|| feature(quotes))
    }
}

/// A search that found nothing while the sensor was alive.
#[derive(Debug, Clone)]
pub struct SeenAbsence {
    /// The id under which it may be cited.
    pub id: EvidenceId,
    /// The channel that was searched.
    pub channel: String,
    /// The code that was searched for.
    pub code: u32,
    /// The machine that was searched.
    pub host: HostName,
    /// The process whose events were searched, by Sysmon's id.
    pub process: Option<String>,
    /// The conditions that the events would have met.
    pub conditions: Vec<Quote>,
}

/// Everything the analyst was shown.
#[derive(Debug, Default)]
pub struct Seen {
    /// Events by their evidence id.
    pub events: BTreeMap<EvidenceId, SeenEvent>,
    /// Counted absences.
    pub absences: Vec<SeenAbsence>,
    /// The evidence id of each alert's own event.
    pub triggers: BTreeMap<EventId, EvidenceId>,
    /// Calls that failed, with their reasons.
    pub failures: Vec<(ToolCall, String)>,
    /// All answers, for what is no event.
    pub answers: Vec<std::sync::Arc<Answered>>,
    /// Tool calls so far.
    pub calls: usize,
    /// Events whose process tree was shown.
    pub trees: BTreeSet<EventId>,
    /// Some answer left rows out, or some call failed: what was not shown may be what matters.
    pub incomplete: bool,
}

impl Seen {
    /// Collects what the turns showed.
    #[must_use]
    pub fn of(brief: &Brief, turns: &[Turn]) -> Self {
        let mut seen = Self::default();
        for turn in turns {
            let Turn::Answers(answers) = turn else { continue };
            for answered in answers {
                seen.calls += 1;
                seen.answers.push(answered.clone());
                match &answered.outcome {
                    Err(error) => {
                        seen.incomplete = true;
                        seen.failures.push((answered.call.clone(), error.to_string()));
                    }
                    Ok(answer) => seen.take(answered, answer),
                }
            }
        }
        let own = |event: &EventId| seen.events.values().find(|e| e.view.event == *event).map(|e| e.id);
        seen.triggers = brief.alerts.iter().filter_map(|a| Some((a.event.clone(), own(&a.event)?))).collect();
        for id in seen.triggers.values() {
            if let Some(event) = seen.events.get_mut(id) {
                event.related = true;
            }
        }
        seen.relate();
        seen
    }

    fn take(&mut self, answered: &Answered, answer: &Answer) {
        // Counting shows groups and not events: it is whole if every group is shown.
        let shown = match (answer.data.get("groups").and_then(Value::as_u64), answer.data.get("counts")) {
            (Some(groups), Some(counts)) => counts.as_array().is_some_and(|counts| counts.len() as u64 >= groups),
            _ => answer.header.total <= answer.rows.len() as u64,
        };
        self.incomplete |= answer.cut > 0 || !shown;
        let arguments = &answered.call.arguments;
        let mut strangers = BTreeSet::new();
        if answered.call.tool == "process_tree" {
            let event = arguments.get("event").and_then(|event| event.as_str());
            self.trees.extend(event.map(EventId::new));
            strangers = below_a_hub(answer);
        }
        let related = is_of_the_case(&answered.call);
        for (id, view) in answered.seen() {
            let related = related && !strangers.contains(&view.event);
            // The view with more in it wins: get_event shows whole values, a tree cuts them.
            let size = |view: &EventView| view.fields.values().map(String::len).sum::<usize>();
            match self.events.get_mut(&id) {
                None => drop(self.events.insert(id, SeenEvent { id, view: view.clone(), related })),
                Some(known) => {
                    known.related |= related;
                    if size(view) > size(&known.view) {
                        known.view = view.clone();
                    }
                }
            }
        }
        let rows = answer.rows.iter().zip(&answered.evidence);
        for (row, id) in rows {
            if let (Some(Exhibit::Absence { absence }), Some(id)) = (&row.exhibit, id) {
                let AbsenceClaim { host, channel, code, process, conditions, .. } = absence.clone();
                self.absences.push(SeenAbsence { id: *id, channel, code, host, process, conditions });
            }
        }
    }

    /// What a process of the case did belongs to the case, whatever was asked when it was shown. Of programs under which
    /// nearly everything runs only what was asked for does.
    fn relate(&mut self) {
        let own = self.related().filter(|event| event.image().is_some_and(|image| !programs::is_hub(image)));
        let processes: BTreeSet<String> = own.map(SeenEvent::process).filter(|process| !process.is_empty()).collect();
        let started = |event: &SeenEvent| {
            event.view.is_sysmon(1)
                && event.get("ParentProcessGuid").is_some_and(|parent| processes.contains(&guid::folded(parent)))
        };
        for event in self.events.values_mut().filter(|event| !event.related) {
            event.related = processes.contains(&event.process()) || started(event);
        }
    }

    /// Events that belong to the case.
    pub fn related(&self) -> impl Iterator<Item = &SeenEvent> {
        self.events.values().filter(|event| event.related)
    }

    /// Starts of processes that belong to the case.
    pub fn starts(&self) -> impl Iterator<Item = &SeenEvent> {
        self.related().filter(|event| event.is_start())
    }

    /// The event behind an alert.
    #[must_use]
    pub fn trigger(&self, event: &EventId) -> Option<&SeenEvent> {
        self.triggers.get(event).and_then(|id| self.events.get(id))
    }

    /// The start of a process, by Sysmon's folded id.
    #[must_use]
    pub fn start_of(&self, process: &str) -> Option<&SeenEvent> {
        self.events.values().find(|event| event.view.is_sysmon(1) && event.names("ProcessGuid", process))
    }

    /// The program of the process whose events a search did not find; nothing where it searched a machine, or where the
    /// process' start was not shown.
    #[must_use]
    pub fn program_of(&self, absence: &SeenAbsence) -> Option<&str> {
        let by_number = |event: &&SeenEvent| {
            let number = absence.conditions.iter().find(|quote| quote.field == "winlog.event_data.ProcessId");
            event.view.is_sysmon(1)
                && event.view.host == absence.host
                && number.is_some_and(|number| event.get("ProcessId") == Some(number.value.as_str()))
        };
        match &absence.process {
            Some(process) => self.start_of(&guid::folded(process))?.image(),
            None => self.events.values().find(by_number)?.image(),
        }
    }

    /// A process was seen opening many others to read their memory: it does so to all alike, as monitors do.
    #[must_use]
    pub fn opens_everything(&self, process: &str) -> bool {
        let opened = self.events.values().filter(|event| event.view.is_sysmon(10) && event.process() == process);
        let read = opened.filter(|event| event.get("GrantedAccess").is_some_and(access_mask::reads_memory));
        let targets: BTreeSet<String> =
            read.filter_map(|event| event.get("TargetImage")).map(paths::base_name).collect();
        !process.is_empty() && targets.len() >= OPENS_EVERYTHING
    }
}

/// The call asked for what belongs to the case, and not for what happened around it.
fn is_of_the_case(call: &ToolCall) -> bool {
    if call.tool != "search_winlog_events" {
        return true;
    }
    let conditions = call.arguments.get("conditions").and_then(|all| all.as_array()).into_iter().flatten();
    let mut fields = conditions.filter_map(|condition| condition.get("field")?.as_str());
    // A process, or a logon session, by its id.
    let ids = ["LogonId", "ProcessGuid", "ProcessGUID", "NewProcessId", "ProcessId", "ScriptBlockId"];
    call.arguments.get("process").is_some() || fields.any(|field| ids.iter().any(|id| field.ends_with(id)))
}

/// Nodes below a tree's own process, if that is one under which nearly everything runs.
fn below_a_hub(answer: &Answer) -> BTreeSet<EventId> {
    let nodes: Vec<Node> = serde_json::from_value(answer.data.clone()).unwrap_or_default();
    let of_hub = nodes.iter().any(|node| node.depth == 0 && programs::is_hub(&node.image));
    let below = nodes.into_iter().filter(|node| of_hub && node.depth > 0);
    below.map(|node| node.event).collect()
}
