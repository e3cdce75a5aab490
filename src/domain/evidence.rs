//! Evidence: what was cited, and what remains of it once it was checked against the stored event.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entity::HostName;
use super::event::{Event, kind_name};
use super::ids::{EventId, EvidenceId};
use super::taint;

/// A field of an event and its value, word for word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quote {
    /// Dotted path of the field, such as `winlog.event_data.CommandLine`.
    pub field: String,
    /// The value, or a part of it, byte for byte.
    pub value: String,
}

/// Which way a piece of evidence points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Towards unauthorised activity.
    ForMalicious,
    /// Towards expected or harmless activity.
    ForBenign,
    /// Needed to understand the case, decides nothing.
    Neutral,
}

/// How far a piece of evidence moves the judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// A likelihood ratio of about 1.5.
    Weak,
    /// About 2.
    Moderate,
    /// About 4.
    Strong,
    /// 10 and more.
    Decisive,
}

/// Kinds of evidence that can be wrong independently of one another. Two keywords of one script are one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// What the program is: path, original name, signature.
    Identity,
    /// What started it.
    Lineage,
    /// What its command or script says.
    Content,
    /// What it did to the machine.
    Effect,
    /// Whom it talked to.
    Network,
    /// How usual it is here and on the fleet.
    Rarity,
    /// What else happened around it.
    Context,
    /// Who was entitled to it.
    Authority,
    /// A known harmless source, all of whose conditions hold.
    Fingerprint,
}

impl Family {
    /// The family's name in a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Lineage => "lineage",
            Self::Content => "content",
            Self::Effect => "effect",
            Self::Network => "network",
            Self::Rarity => "rarity",
            Self::Context => "context",
            Self::Authority => "authority",
            Self::Fingerprint => "fingerprint",
        }
    }
}

/// What an analyst claims a piece of evidence shows. Only a claim: code checks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Citation {
    /// The id a tool result gave the event.
    #[schemars(with = "String")]
    pub evidence: EvidenceId,
    /// Field values word for word. Empty only for a counted absence.
    #[serde(default)]
    pub quotes: Vec<Quote>,
    /// What it shows, in at most 160 characters.
    pub says: String,
    /// Which way it points.
    pub weight: Weight,
    /// How far it moves the judgement.
    pub strength: Strength,
    /// The kind of evidence it is.
    pub family: Family,
}

/// What an evidence id stands for: the thing that is re-read when it is cited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Exhibit {
    /// A stored event.
    Event {
        /// The event.
        event: EventId,
    },
    /// A search that found nothing.
    Absence {
        /// The search, to be repeated.
        absence: AbsenceClaim,
    },
}

/// A search that found nothing, described so that it can be repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsenceClaim {
    /// The machine that was searched.
    pub host: HostName,
    /// Channel of the searched kind of event.
    pub channel: String,
    /// Event id of the searched kind of event.
    pub code: u32,
    /// Only what this process did or started: Sysmon's `ProcessGuid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Field conditions the events would have met.
    pub conditions: Vec<Quote>,
    /// First instant searched.
    pub from: Timestamp,
    /// Last instant searched.
    pub to: Timestamp,
}

impl AbsenceClaim {
    /// The whole question that found nothing: kind, process, conditions and machine. Without its filters the sentence
    /// would deny what the log holds. `known_as` is what the process is called, where that is known.
    #[must_use]
    pub fn asked(&self, known_as: Option<&str>) -> String {
        let mut text = format!("no {}", kind_name(&self.channel, self.code));
        if let Some(process) = &self.process {
            let named = known_as.map_or_else(|| format!("process {process}"), str::to_owned);
            text.push_str(&format!(" of {}", taint::shown(&named)));
        }
        for (at, Quote { field, value }) in self.conditions.iter().enumerate() {
            let name = field.strip_prefix("winlog.event_data.").unwrap_or(field);
            let and = if at == 0 { "with" } else { "and" };
            text.push_str(&format!(" {and} {} `{}`", taint::shown(name), taint::shown(value)));
        }
        text.push_str(&format!(" on {}", taint::shown(self.host.as_str())));
        text
    }
}

/// Proof that a sensor was reporting: this kind of event, on this host, on both sides of the window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SensorSeen {
    /// Events of the kind within the window and 24 h on each side.
    pub count: u64,
    /// The last one at or before the window's start, up to 24 h back.
    pub last_before: Option<Timestamp>,
    /// The first one at or after the window's end, up to 24 h on.
    pub first_after: Option<Timestamp>,
    /// A log was cleared or the sensor stopped, failed or was reconfigured in that time, the days around it included.
    pub tampered: bool,
}

impl SensorSeen {
    /// The sensor reported on both sides and nobody touched it: only then does an absence count.
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        self.last_before.is_some() && self.first_after.is_some() && !self.tampered
    }
}

/// Why a citation was not accepted. The text goes back to the analyst, once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CitationError {
    /// The id was never given out in this case.
    #[error("{0} is not evidence of this case: cite only ids that a tool result showed")]
    Unknown(EvidenceId),
    /// The event is gone from the store.
    #[error("{0} points at an event that the store no longer holds")]
    Gone(EvidenceId),
    /// The event has no such field.
    #[error("{id}: the event has no field `{field}`: quote a field that the tool result showed")]
    NoField {
        /// The citation.
        id: EvidenceId,
        /// The field that is missing.
        field: String,
    },
    /// The quoted value differs.
    #[error("{id}: `{field}` does not contain the quoted value: quote it byte for byte or remove the claim")]
    Differs {
        /// The citation.
        id: EvidenceId,
        /// The field that was misquoted.
        field: String,
    },
    /// Nothing was quoted, or too little to mean anything.
    #[error(
        "{0} quotes nothing that could be checked: quote at least one field value of 3 characters or the whole value"
    )]
    NothingQuoted(EvidenceId),
    /// An absence was cited although the sensor is not proven alive.
    #[error("{0}: nothing was found, but the sensor is not proven alive around that time, so this shows nothing")]
    SensorNotProven(EvidenceId),
    /// An absence was cited, but the repeated search finds something.
    #[error("{0}: the repeated search finds events")]
    NotAbsent(EvidenceId),
}

/// Where a quote leaves out something of the stored value: it is byte for byte a part of it, and shown as a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Omitted {
    /// The value begins before the quote.
    pub before: bool,
    /// The value goes on after it.
    pub after: bool,
}

impl Omitted {
    fn of(quote: &str, stored: &str) -> Self {
        let (before, after) = (!stored.starts_with(quote), !stored.ends_with(quote));
        Self { before, after }
    }
}

/// A cited event that code re-read and found to say what was quoted.
///
/// There is one way to make one, [`VerifiedEvidence::check`], and no way to deserialise one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerifiedEvidence {
    id: EvidenceId,
    event: EventId,
    kind: String,
    time: Timestamp,
    host: HostName,
    quotes: Vec<Quote>,
    omitted: Vec<Omitted>,
    says: String,
    weight: Weight,
    strength: Strength,
    family: Family,
}

impl VerifiedEvidence {
    /// Compares every quote with the stored event, byte for byte.
    ///
    /// # Errors
    /// When nothing is quoted, a field is missing or a value differs.
    pub fn check(citation: &Citation, event: &Event) -> Result<Self, CitationError> {
        let id = citation.evidence;
        if citation.quotes.is_empty() {
            return Err(CitationError::NothingQuoted(id));
        }
        let mut omitted = Vec::new();
        for quote in &citation.quotes {
            let field = &quote.field;
            let stored = event.field(field).ok_or_else(|| CitationError::NoField { id, field: field.clone() })?;
            if !stored.contains(&quote.value) {
                return Err(CitationError::Differs { id, field: field.clone() });
            }
            // `""` and `-` are how Windows writes "not known": nothing follows from them.
            let unknown = matches!(stored.as_str(), "" | "-");
            if unknown || (quote.value.chars().count() < 3 && quote.value != stored) {
                return Err(CitationError::NothingQuoted(id));
            }
            omitted.push(Omitted::of(&quote.value, &stored));
        }
        Ok(Self {
            id,
            event: event.id.clone(),
            kind: event.kind(),
            time: event.time,
            host: event.host.clone(),
            quotes: citation.quotes.clone(),
            omitted,
            says: citation.says.clone(),
            weight: citation.weight,
            strength: citation.strength,
            family: citation.family,
        })
    }

    /// The event that was re-read.
    #[must_use]
    pub const fn event(&self) -> &EventId {
        &self.event
    }

    /// The checked quotes.
    #[must_use]
    pub fn quotes(&self) -> &[Quote] {
        &self.quotes
    }

    /// What each quote leaves out of its field's value.
    #[must_use]
    pub fn omitted(&self) -> &[Omitted] {
        &self.omitted
    }

    /// Some quote is of a field in which behaviour shows, not of a label somebody gave it.
    #[must_use]
    pub fn proves_behaviour(&self) -> bool {
        self.quotes.iter().any(|quote| taint::shows_behaviour(&quote.field))
    }

    /// Some quote is of a field that whoever acted on the machine could not write.
    #[must_use]
    pub fn beyond_the_attackers_reach(&self) -> bool {
        self.quotes.iter().any(|quote| taint::written_by_sensor(&quote.field))
    }
}

/// A search that was repeated and found nothing while the sensor was proven alive.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerifiedAbsence {
    id: EvidenceId,
    search: AbsenceClaim,
    sensor: SensorSeen,
    says: String,
    weight: Weight,
    strength: Strength,
    family: Family,
}

impl VerifiedAbsence {
    /// Accepts the absence if the repeated search found nothing and the sensor was alive.
    ///
    /// # Errors
    /// When the search finds something or the sensor is not proven alive.
    pub fn check(
        citation: &Citation,
        search: &AbsenceClaim,
        found: u64,
        sensor: SensorSeen,
    ) -> Result<Self, CitationError> {
        let id = citation.evidence;
        if found > 0 {
            return Err(CitationError::NotAbsent(id));
        }
        if !sensor.is_alive() {
            return Err(CitationError::SensorNotProven(id));
        }
        Ok(Self {
            id,
            search: search.clone(),
            sensor,
            says: citation.says.clone(),
            weight: citation.weight,
            strength: citation.strength,
            family: citation.family,
        })
    }
}

/// A checked piece of evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Evidence {
    /// Something was seen.
    Seen(VerifiedEvidence),
    /// Something was not seen where it would have been.
    Absent(VerifiedAbsence),
}

impl Evidence {
    /// Its id in the case.
    #[must_use]
    pub const fn id(&self) -> EvidenceId {
        match self {
            Self::Seen(seen) => seen.id,
            Self::Absent(absent) => absent.id,
        }
    }

    /// What it shows.
    #[must_use]
    pub fn says(&self) -> &str {
        match self {
            Self::Seen(seen) => &seen.says,
            Self::Absent(absent) => &absent.says,
        }
    }

    /// Which way it points.
    #[must_use]
    pub const fn weight(&self) -> Weight {
        match self {
            Self::Seen(seen) => seen.weight,
            Self::Absent(absent) => absent.weight,
        }
    }

    /// How far it moves the judgement.
    #[must_use]
    pub const fn strength(&self) -> Strength {
        match self {
            Self::Seen(seen) => seen.strength,
            Self::Absent(absent) => absent.strength,
        }
    }

    /// The kind of evidence it is.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Seen(seen) => seen.family,
            Self::Absent(absent) => absent.family,
        }
    }

    /// The seen evidence, if something was seen.
    #[must_use]
    pub const fn seen(&self) -> Option<&VerifiedEvidence> {
        match self {
            Self::Seen(seen) => Some(seen),
            Self::Absent(_) => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::event::{Origin, SYSMON};

    pub(crate) fn process_event() -> Event {
        let document = json!({
            "process": {"pid": 712},
            "rule": {"name": "T1003"},
            "winlog": {"event_data": {
                "CommandLine": "rundll32.exe comsvcs.dll, MiniDump 712 out.dmp full",
                "Image": "C:\\Windows\\System32\\rundll32.exe",
                "User": "CORP\\a.user",
                "IntegrityLevel": "High",
            }},
        });
        Event {
            id: EventId::new("e1"),
            time: Timestamp::UNIX_EPOCH,
            host: HostName::new("WKS-01"),
            channel: SYSMON.into(),
            code: 1,
            record_id: Some("7".into()),
            origin: Origin { file: "x".into(), line: 1 },
            document: document.as_object().expect("an object").clone(),
        }
    }

    pub(crate) fn citation(field: &str, value: &str, weight: Weight, strength: Strength) -> Citation {
        Citation {
            evidence: EvidenceId::new(1),
            quotes: vec![Quote { field: field.into(), value: value.into() }],
            says: "what it shows".into(),
            weight,
            strength,
            family: Family::Content,
        }
    }

    fn checked(field: &str, value: &str) -> Result<VerifiedEvidence, CitationError> {
        VerifiedEvidence::check(&citation(field, value, Weight::ForMalicious, Strength::Strong), &process_event())
    }

    #[test]
    fn a_true_quote_is_accepted_and_an_altered_one_is_not() {
        assert!(checked("winlog.event_data.CommandLine", "comsvcs.dll, MiniDump 712").is_ok());
        assert!(matches!(
            checked("winlog.event_data.CommandLine", "comsvcs.dll, minidump"),
            Err(CitationError::Differs { .. })
        ));
        assert!(matches!(checked("winlog.event_data.Nope", "x"), Err(CitationError::NoField { .. })));
        assert!(matches!(checked("winlog.event_data.CommandLine", ""), Err(CitationError::NothingQuoted(_))));
        assert!(checked("process.pid", "712").is_ok());
    }

    #[test]
    fn a_quote_of_a_part_says_that_it_is_one() {
        let of = |value: &str| checked("winlog.event_data.CommandLine", value).expect("the quote is true").omitted;
        let omitted = |before, after| vec![Omitted { before, after }];
        assert_eq!(of("comsvcs.dll, MiniDump"), omitted(true, true));
        assert_eq!(of("rundll32.exe"), omitted(false, true));
        assert_eq!(of("out.dmp full"), omitted(true, false));
        assert_eq!(of("rundll32.exe comsvcs.dll, MiniDump 712 out.dmp full"), omitted(false, false));
    }

    #[test]
    fn a_value_that_is_not_known_proves_nothing() {
        for (stored, quoted) in [("", ""), ("-", "-"), ("-", "")] {
            let mut event = process_event();
            event.document["winlog"]["event_data"]["User"] = json!(stored);
            let cited = citation("winlog.event_data.User", quoted, Weight::ForBenign, Strength::Strong);
            assert_eq!(
                VerifiedEvidence::check(&cited, &event),
                Err(CitationError::NothingQuoted(EvidenceId::new(1))),
                "{stored:?}"
            );
        }
    }

    #[test]
    fn a_label_proves_no_behaviour() {
        assert!(!checked("rule.name", "T1003").expect("the quote is true").proves_behaviour());
        assert!(checked("winlog.event_data.CommandLine", "MiniDump").expect("the quote is true").proves_behaviour());
    }

    #[test]
    fn an_absence_is_told_with_everything_it_was_asked_by() {
        let claim = AbsenceClaim {
            host: HostName::new("WKS-01"),
            channel: SYSMON.into(),
            code: 3,
            process: Some("{aa-1}".into()),
            conditions: vec![
                Quote { field: "winlog.event_data.DestinationPort".into(), value: "443".into() },
                Quote { field: "winlog.event_data.Initiated".into(), value: "true".into() },
            ],
            from: Timestamp::UNIX_EPOCH,
            to: Timestamp::UNIX_EPOCH,
        };
        let filters = "with DestinationPort `443` and Initiated `true` on WKS-01";
        assert_eq!(claim.asked(None), format!("no Sysmon 3 of process {{aa-1}} {filters}"));
        assert_eq!(claim.asked(Some("cmd.exe (pid 712)")), format!("no Sysmon 3 of cmd.exe (pid 712) {filters}"));
    }

    #[test]
    fn an_absence_counts_only_while_the_sensor_lives() {
        let claim = AbsenceClaim {
            host: HostName::new("WKS-01"),
            channel: SYSMON.into(),
            code: 3,
            process: None,
            conditions: vec![],
            from: Timestamp::UNIX_EPOCH,
            to: Timestamp::UNIX_EPOCH,
        };
        let cited = citation("", "", Weight::ForBenign, Strength::Weak);
        let alive = SensorSeen {
            count: 2,
            last_before: Some(Timestamp::UNIX_EPOCH),
            first_after: Some(Timestamp::UNIX_EPOCH),
            tampered: false,
        };
        assert!(VerifiedAbsence::check(&cited, &claim, 0, alive.clone()).is_ok());
        assert!(VerifiedAbsence::check(&cited, &claim, 1, alive.clone()).is_err());
        assert!(VerifiedAbsence::check(&cited, &claim, 0, SensorSeen { tampered: true, ..alive.clone() }).is_err());
        assert!(VerifiedAbsence::check(&cited, &claim, 0, SensorSeen { first_after: None, ..alive }).is_err());
    }
}
