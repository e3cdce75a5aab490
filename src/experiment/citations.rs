//! What a verdict cites, taken from the case as people are shown it, and how much of it the logs bear out.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::reread::{self, Absent, Cited, RereadError, Within};
use super::score::Citations;
use crate::domain::entity::HostName;
use crate::domain::event::Origin;
use crate::domain::evidence::{AbsenceClaim, Quote};
use crate::domain::ids::EventId;

/// An item of a verdict's evidence.
#[derive(Debug, Clone, Deserialize)]
pub struct Cites {
    #[serde(default)]
    id: String,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum What {
    Seen {
        event: EventId,
        quotes: Vec<Quote>,
    },
    Absent {
        search: AbsenceClaim,
    },
    #[serde(other)]
    Foreign,
}

/// A citation that can be looked up in a log, or cannot.
#[derive(Debug, Clone)]
pub struct Claim {
    id: String,
    what: Checkable,
}

#[derive(Debug, Clone)]
enum Checkable {
    Seen(Cited),
    Absent(Absent),
    /// It does not say where it is from.
    Nowhere,
}

impl Cites {
    /// Of an item as the case shows it. What is not understood stays a citation, and one that nothing bears out.
    #[must_use]
    pub fn of(item: &Value) -> Self {
        let id = item.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        serde_json::from_value(item.clone()).unwrap_or(Self { id, what: What::Foreign })
    }

    /// The event it cites.
    #[must_use]
    pub const fn event(&self) -> Option<&EventId> {
        match &self.what {
            What::Seen { event, .. } => Some(event),
            What::Absent { .. } | What::Foreign => None,
        }
    }

    /// With the place its event was read at, the event's id in its log, and its machine; and with how far the logs had
    /// arrived when it was judged.
    #[must_use]
    pub fn with(self, origin: Option<(Origin, u32, HostName)>, within: Option<Within>) -> Claim {
        let what = match (self.what, origin) {
            (What::Seen { quotes, .. }, Some((origin, code, host))) => {
                Checkable::Seen(Cited { file: PathBuf::from(origin.file), place: origin.line, host, code, quotes })
            }
            (What::Absent { search }, _) => {
                let AbsenceClaim { host, code, conditions, process, .. } = search;
                Checkable::Absent(Absent { host, code, conditions, process, within })
            }
            (What::Seen { .. } | What::Foreign, _) => Checkable::Nowhere,
        };
        Claim { id: self.id, what }
    }
}

/// Looks up the claims of each case in the logs, each log being read once for all of them. Gives the counts of each
/// case, with a sentence for every claim that is not borne out.
///
/// # Errors
/// When a log cannot be read again.
pub fn look_up(claims: Vec<Vec<Claim>>, logs: &[PathBuf]) -> Result<Vec<(Citations, Vec<String>)>, RereadError> {
    let (mut cited, mut absences) = (Vec::new(), Vec::new());
    for claim in claims.iter().flatten() {
        match &claim.what {
            Checkable::Seen(one) => cited.push(one.clone()),
            Checkable::Absent(one) => absences.push(one.clone()),
            Checkable::Nowhere => {}
        }
    }
    let mut seen = reread::seen(&cited)?.into_iter();
    let mut absent = reread::absent(&absences, logs)?.into_iter();
    let looked = claims.into_iter().map(|claims| {
        let mut citations = Citations { total: claims.len() as u64, verified: 0 };
        let mut untrue = Vec::new();
        for claim in claims {
            let holds = match &claim.what {
                Checkable::Seen(_) => seen.next(),
                Checkable::Absent(_) => absent.next(),
                Checkable::Nowhere => None,
            };
            if holds == Some(true) {
                citations.verified += 1;
            } else {
                untrue.push(format!("{} {}", claim.id, told(&claim.what)));
            }
        }
        (citations, untrue)
    });
    Ok(looked.collect())
}

fn told(what: &Checkable) -> String {
    match what {
        Checkable::Seen(Cited { file, place, code, host, quotes }) => {
            let fields: Vec<&str> = quotes.iter().map(|quote| quote.field.as_str()).collect();
            let (file, fields) = (name(file), fields.join(", "));
            format!("quotes {fields} of event {code} of {host}, which {file} does not say at place {place}")
        }
        Checkable::Absent(Absent { host, code, .. }) => {
            format!("says that no event {code} of {host} says so, and one does")
        }
        Checkable::Nowhere => "cites what is in no log".to_owned(),
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_shown_as_evidence_is_looked_up_and_what_is_not_understood_is_not_true() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("events.ndjson");
        std::fs::write(&log, "{\"Hostname\":\"WKS-01\",\"EventID\":1,\"Image\":\"a.exe\"}\n").expect("it is written");
        let origin = || Some((Origin { file: log.display().to_string(), line: 1 }, 1, HostName::new("wks-01")));
        let quoting = |value: &str| {
            let quotes = json!([{"field": "winlog.event_data.Image", "value": value}]);
            Cites::of(&json!({"is": "seen", "id": "E1", "event": "e", "quotes": quotes, "says": "so", "odd": 1}))
        };
        let absent = json!({"is": "absent", "id": "E2", "search": {"host": "wks-01", "channel": "c", "code": 3,
            "conditions": [], "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T01:00:00Z"}});
        let claims = vec![
            vec![
                quoting("a.exe").with(origin(), None),
                quoting("b.exe").with(origin(), None),
                quoting("a.exe").with(None, None),
            ],
            vec![],
            vec![Cites::of(&absent).with(None, None), Cites::of(&json!({"is": "felt", "id": "E9"})).with(None, None)],
        ];
        let found = look_up(claims, &[log]).expect("it is read");
        let counted: Vec<_> =
            found.iter().map(|(counted, untrue)| (counted.total, counted.verified, untrue.len())).collect();
        assert_eq!(counted, [(3, 1, 2), (0, 0, 0), (2, 1, 1)]);
        assert!(found[0].1[0].contains("E1") && found[0].1[0].contains("Image"), "{:?}", found[0].1);
        assert!(found[2].1[0].contains("E9"), "{:?}", found[2].1);
    }
}
