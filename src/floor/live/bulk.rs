//! A bulk request as Elasticsearch takes it: lines of actions and documents in, one answer per action out.
//!
//! Documents become events; each is answered for itself, so that one that cannot be read costs only itself. The
//! request is answered as a whole only when it cannot be told apart into actions, or when a store refuses.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::body::Held;
use super::detector::{Detector, Taken};
use super::losses::{self, Heard, Losses, Unheard};
use super::source::Source;
use crate::domain::event::Origin;
use crate::domain::ids::EventId;
use crate::domain::words::excerpt;
use crate::floor::ingest::IngestError;

/// Documents that are taken in together.
const BATCH: usize = 500;

/// Bytes of documents that are taken in together: read, they take many times as much.
const LARGEST_BATCH: usize = 4 << 20;

/// Actions of a request. What an action costs does not depend on how short it is, so bytes alone bound nothing;
/// events of the usual size reach the bound on bytes first.
const MOST_ACTIONS: usize = 50_000;

/// Bytes of an action's line, which names an index and an id.
const LONGEST_ACTION: usize = 64 << 10;

/// Bytes of a document's id, as Elasticsearch allows it.
const LONGEST_ID: usize = 512;

/// The longest name of an index that is kept, as Elasticsearch allows it.
const LONGEST_NAME: usize = 255;

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Index,
    Create,
    Update,
    Delete,
}

impl Verb {
    const ALL: [Self; 4] = [Self::Index, Self::Create, Self::Update, Self::Delete];

    const fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    const fn adds(self) -> bool {
        matches!(self, Self::Index | Self::Create)
    }
}

/// An action of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Action {
    verb: Verb,
    index: String,
    id: Option<String>,
    /// Where its document lies in the request; empty for one without.
    document: Range<usize>,
    /// The document's line, from 1.
    line: u64,
}

/// Why a request as a whole was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// It cannot be told apart into actions.
    #[error("Malformed action/metadata line [{line}], {why}")]
    Malformed {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// It holds more than a request may.
    #[error(
        "the request holds more than {0} actions: send less at a time, by `bulk_max_size` or `pipeline.batch.size`"
    )]
    TooMany(usize),
    /// A store refused, or the floor is ending. What was stored may be sent again.
    #[error(transparent)]
    Ingest(#[from] IngestError),
}

/// Takes a request and gives its answer, as JSON. When it returns, what is answered with 201 is on record, and so are
/// the alerts on it.
///
/// # Errors
/// See [`BulkError`].
pub async fn take(
    detector: &Detector,
    source: &Source,
    held: Held,
    index: Option<String>,
) -> Result<String, BulkError> {
    let began = Instant::now();
    let held = Arc::new(held);
    let parsed = held.clone();
    let actions = blocking(move || actions(&parsed.text, index.as_deref())).await??;
    let (mut answer, mut total) = (Answer::default(), Taken::default());
    let mut rest = actions.as_slice();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(batch_of(rest));
        rest = later;
        let (batch, text) = (batch.to_vec(), held.clone());
        let read = blocking(move || batch.into_iter().map(|action| read(&text.text, action)).collect::<Vec<_>>());
        let (mut events, mut lost) = (Vec::new(), BTreeMap::<String, Losses>::new());
        for (action, outcome) in read.await? {
            let Some(outcome) = outcome else {
                answer.refused(&action, "illegal_argument_exception", &not_offered(action.verb));
                continue;
            };
            match lost.entry(action.index.clone()).or_default().note(action.line, outcome) {
                Ok(event) => {
                    answer.stored(&action, &event.id);
                    events.push(event);
                }
                Err(broken) => {
                    let reason = format!("{}: {}", broken.fault, broken.reason);
                    source.skipped(action.line, broken);
                    answer.refused(&action, "mapper_parsing_exception", &reason);
                }
            }
        }
        // A sender does not send again what is refused: it is on record as lost before anything is judged without it.
        let now = detector.shared().clock.now();
        let lost = lost.into_iter().flat_map(|(index, lost)| lost.of(&format!("bulk/{index}"), false, now));
        detector.shared().alerts.lost(lost.collect(), now).await.map_err(IngestError::from)?;
        let taken = detector.take(events).await?;
        total.events += taken.events;
        total.known += taken.known;
        total.alerts += taken.alerts;
    }
    if total.events > 0 {
        source.delivered(total, detector.shared().clock.now());
    }
    Ok(answer.text(began.elapsed()))
}

/// How many of these are taken in together: one at least.
fn batch_of(actions: &[Action]) -> usize {
    let mut bytes = 0;
    let fits = |action: &&Action| {
        bytes += action.document.len();
        bytes <= LARGEST_BATCH
    };
    actions.iter().take(BATCH).take_while(fits).count().max(1)
}

/// An answer as it grows: text from the beginning, since a tree of its values takes ten times as much.
#[derive(Default)]
struct Answer {
    items: String,
    errors: bool,
}

impl Answer {
    fn stored(&mut self, action: &Action, event: &EventId) {
        let id = action.id.as_deref().unwrap_or(event.as_str());
        self.add(
            action,
            &json!({"_index": action.index, "_id": id, "_version": 1, "result": "created", "status": 201}),
        );
    }

    fn refused(&mut self, action: &Action, kind: &str, reason: &str) {
        self.errors = true;
        let error = json!({"type": kind, "reason": reason});
        self.add(action, &json!({"_index": action.index, "_id": action.id, "status": 400, "error": error}));
    }

    fn add(&mut self, action: &Action, outcome: &Value) {
        let comma = if self.items.is_empty() { "" } else { "," };
        self.items.push_str(&format!("{comma}{{\"{}\":{outcome}}}", action.verb.name()));
    }

    /// In this order: some senders read no further than to the first item.
    fn text(mut self, took: Duration) -> String {
        self.items.insert_str(0, &format!("{{\"errors\":{},\"items\":[", self.errors));
        self.items.push_str(&format!("],\"took\":{}}}", took.as_millis()));
        self.items
    }
}

/// What an action's document says; `None` for an action that is not offered.
fn read(text: &[u8], action: Action) -> (Action, Option<Result<Heard, Unheard>>) {
    if !action.verb.adds() {
        return (action, None);
    }
    let origin = Origin { file: format!("bulk/{}", action.index), line: action.line };
    let event = losses::event(text[action.document.clone()].trim_ascii(), origin);
    (action, Some(event))
}

fn not_offered(verb: Verb) -> String {
    format!("what happened is kept as it was reported: `{}` is not offered, send `create` or `index`", verb.name())
}

/// Tells a request apart into its actions.
fn actions(text: &[u8], default_index: Option<&str>) -> Result<Vec<Action>, BulkError> {
    let mut lines = lines(text);
    let mut found = Vec::new();
    while let Some((number, line)) = lines.next() {
        if text[line.clone()].trim_ascii().is_empty() {
            continue;
        }
        if found.len() == MOST_ACTIONS {
            return Err(BulkError::TooMany(MOST_ACTIONS));
        }
        let malformed = |why: String| BulkError::Malformed { line: number, why };
        if line.len() > LONGEST_ACTION {
            return Err(malformed(format!("which is longer than the {LONGEST_ACTION} bytes of an action")));
        }
        let action: Map<String, Value> =
            serde_json::from_slice(&text[line]).map_err(|error| malformed(format!("which is no action: {error}")))?;
        let only = if action.len() == 1 { action.into_iter().next() } else { None };
        let (name, about) = only.ok_or_else(|| malformed("expected an object with one action".into()))?;
        let verb = Verb::ALL.into_iter().find(|verb| verb.name() == name).ok_or_else(|| {
            malformed(format!("expected one of [create, delete, index, update] but found [{}]", excerpt(&name, 40)))
        })?;
        let text_of = |name: &str| about.get(name).and_then(Value::as_str).map(str::to_owned);
        let index = text_of("_index").or_else(|| default_index.map(str::to_owned)).unwrap_or_default();
        let index = index.chars().take(LONGEST_NAME).collect();
        let id = text_of("_id");
        if id.as_ref().is_some_and(|id| id.len() > LONGEST_ID) {
            return Err(malformed(format!("whose id is longer than {LONGEST_ID} bytes")));
        }
        let (line, document) = match verb {
            Verb::Delete => (number, 0..0),
            Verb::Index | Verb::Create | Verb::Update => {
                lines.next().ok_or_else(|| malformed("whose document is missing".into()))?
            }
        };
        found.push(Action { verb, index, id, document, line });
    }
    if found.is_empty() {
        return Err(BulkError::Malformed { line: 1, why: "the request body is required and holds no action".into() });
    }
    Ok(found)
}

/// The lines of a text with their numbers, without their newlines.
fn lines(text: &[u8]) -> impl Iterator<Item = (u64, Range<usize>)> {
    let mut at = 0;
    (1..).map_while(move |number| {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = at..at + length;
        at += length + 1;
        Some((number, line))
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BulkError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| IngestError::Ending.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(text: &str) -> Vec<(Verb, String, String)> {
        let found = actions(text.as_bytes(), Some("url")).expect("it is told apart");
        found.into_iter().map(|action| (action.verb, action.index, text[action.document].to_owned())).collect()
    }

    fn why(text: &str) -> String {
        actions(text.as_bytes(), None).expect_err("it is malformed").to_string()
    }

    #[test]
    fn a_request_is_told_apart_into_actions() {
        let text =
            "{\"create\":{\"_index\":\"a\"}}\n{\"x\":1}\n\n{\"delete\":{\"_id\":\"7\"}}\r\n{\"index\":{}}\n{\"y\":2}";
        assert_eq!(
            told(text),
            [
                (Verb::Create, "a".into(), "{\"x\":1}".into()),
                (Verb::Delete, "url".into(), String::new()),
                (Verb::Index, "url".into(), "{\"y\":2}".into()),
            ]
        );
    }

    #[test]
    fn a_document_that_cannot_be_read_is_none_of_the_requests_business() {
        assert_eq!(told("{\"index\":{}}\nno JSON\n"), [(Verb::Index, "url".into(), "no JSON".into())]);
    }

    #[test]
    fn a_request_that_cannot_be_told_apart_names_its_line() {
        assert!(why("{\"index\":{}}\n{}\nnonsense\n").contains("[3]"));
        assert!(why("{\"index\":{}}\n").contains("document is missing"));
        assert!(why("{\"upsert\":{}}\n{}\n").contains("found [upsert]"));
        assert!(why("{\"index\":{},\"create\":{}}\n{}\n").contains("one action"));
        assert!(why("\n\n").contains("holds no action"));
    }

    #[test]
    fn a_request_of_many_tiny_actions_is_refused_before_they_cost_anything() {
        let text = "{\"create\":{}}\n{}\n".repeat(MOST_ACTIONS);
        assert_eq!(actions(text.as_bytes(), None).map(|found| found.len()).ok(), Some(MOST_ACTIONS));
        let refused = actions(format!("{text}{{\"delete\":{{}}}}\n").as_bytes(), None).expect_err("it is one more");
        assert!(refused.to_string().contains("bulk_max_size"), "{refused}");
        assert!(why(&format!("{{\"create\":{{\"_id\":\"{}\"}}}}\n{{}}\n", "i".repeat(513))).contains("id is longer"));
        assert!(why(&format!("{{\"create\":{{\"a\":[{}0]}}}}\n{{}}\n", "0,".repeat(40_000))).contains("[1]"));
    }

    #[test]
    fn documents_are_taken_in_together_by_number_and_by_size() {
        let action =
            |length| Action { verb: Verb::Index, index: String::new(), id: None, document: 0..length, line: 1 };
        assert_eq!(batch_of(&vec![action(10); 2 * BATCH]), BATCH);
        assert_eq!(batch_of(&vec![action(LARGEST_BATCH / 2); 3]), 2);
        assert_eq!(batch_of(&[action(2 * LARGEST_BATCH), action(1)]), 1);
    }

    #[test]
    fn an_answer_is_json_whatever_is_in_it() {
        let mut answer = Answer::default();
        let action = Action { verb: Verb::Create, index: "a\"\u{1}".into(), id: None, document: 0..0, line: 1 };
        answer.stored(&action, &EventId::new("e"));
        answer.refused(&action, "some_exception", "a \"reason\"");
        let text = answer.text(Duration::from_millis(7));
        assert!(text.starts_with("{\"errors\":true,\"items\":["), "{text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(answer["items"][0]["create"]["_id"], "e");
        assert_eq!(answer["items"][1]["create"]["error"]["reason"], "a \"reason\"");
        assert_eq!((&answer["items"][1]["create"]["_index"], &answer["took"]), (&json!("a\"\u{1}"), &json!(7)));
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = actions(&text, None);
        }

        #[test]
        fn as_many_documents_come_out_as_went_in(documents in prop::collection::vec("[ -~]{0,30}", 1..20)) {
            let text: String = documents.iter().map(|text| format!("{{\"create\":{{}}}}\n{text}\n")).collect();
            let found: Vec<String> = told(&text).into_iter().map(|(_, _, document)| document).collect();
            prop_assert_eq!(found, documents);
        }
    }
}
