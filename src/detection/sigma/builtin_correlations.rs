//! Every correlation that comes with the program fires on its sequences of events, and keeps quiet on their benign
//! twins. The sequences are those of `rules/tests/`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rsigma_parser::{SigmaCollection, parse_sigma_yaml};
use serde::Deserialize;

use super::builtin_tests::{WrittenEvent, examples_text, folder, rule_files};
use super::*;
use crate::domain::ids::EventId;

/// An event, or several alike, of a sequence.
#[derive(Debug, Deserialize)]
struct Step {
    /// Seconds after the sequence began.
    #[serde(default)]
    after: f64,
    /// How often it happens, numbered from 0.
    #[serde(default = "once")]
    times: u32,
    /// Seconds between one time and the next.
    #[serde(default)]
    every: f64,
    #[serde(flatten)]
    event: WrittenEvent,
}

const fn once() -> u32 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sequence {
    why: String,
    events: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Examples {
    positive: Vec<Sequence>,
    negative: Vec<Sequence>,
    /// Correlations of the same file, besides its last, that fire on a positive sequence, each with its reason.
    #[serde(default)]
    fires: BTreeMap<String, String>,
}

/// A correlation file: its rules as text says them and as they are used, and the sequences beside it.
struct File {
    stem: String,
    written: SigmaCollection,
    used: Arc<RuleSet>,
    examples: Examples,
}

fn correlations() -> Vec<File> {
    let files = rule_files(&folder().join("correlations"));
    let read = |(stem, path): (String, std::path::PathBuf)| {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let written = parse_sigma_yaml(&text).expect("a sound file");
        let used = Arc::new(RuleSet::load(&path).expect("rules"));
        assert_eq!(used.rejected(), [], "{stem}");
        let examples = serde_json::from_str(&examples_text(&stem));
        let examples = examples.unwrap_or_else(|error| panic!("rules/tests/{stem}.json: {error}"));
        File { stem, written, used, examples }
    };
    files.into_iter().map(read).collect()
}

/// The titles of the correlations that fire on a sequence, whatever order it arrives in.
fn fired(rules: &Arc<RuleSet>, sequence: &Sequence) -> BTreeSet<String> {
    const BEGIN: f64 = 1_772_438_400_000.0;
    let mut events = Vec::new();
    for step in &sequence.events {
        for n in 0..step.times {
            let mut event = step.event.numbered(n);
            let milliseconds = BEGIN + (step.after + f64::from(n) * step.every) * 1000.0;
            event.time = Timestamp::from_millisecond(milliseconds as i64).expect("a time in 2026");
            event.id = EventId::new(events.len().to_string());
            events.push(event);
        }
    }
    let titles = |events: &mut dyn Iterator<Item = &Event>| {
        let mut detector = Detector::new(rules.clone());
        let mut alerts: Vec<Alert> = events.flat_map(|event| detector.detect(event)).collect();
        alerts.extend(detector.settle());
        alerts.into_iter().map(|alert| alert.rule.title).collect::<BTreeSet<_>>()
    };
    let fired = titles(&mut events.iter());
    assert_eq!(fired, titles(&mut events.iter().rev()), "{}", sequence.why);
    fired
}

#[test]
fn every_correlation_fires_on_its_sequences_and_keeps_quiet_on_their_benign_twins() {
    let mut wrong = Vec::new();
    for File { stem, written, used, examples } in correlations() {
        let last = &written.correlations.last().expect("a correlation").title;
        assert!(!examples.positive.is_empty() && !examples.negative.is_empty(), "{stem} has examples of both kinds");
        for sequence in &examples.positive {
            let mut expected: BTreeSet<String> = examples.fires.keys().cloned().collect();
            expected.insert(last.clone());
            let fired = fired(&used, sequence);
            if fired != expected {
                wrong.push(format!("{stem}: {fired:?} on \"{}\"", sequence.why));
            }
        }
        for sequence in &examples.negative {
            let fired = fired(&used, sequence);
            if !fired.is_empty() {
                wrong.push(format!("{stem}: {fired:?} on \"{}\"", sequence.why));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_correlation_has_a_complete_card_and_counts_rules_of_its_own_file() {
    let files = correlations();
    assert!(files.len() >= 10, "{}", files.len());
    for File { stem, written: rules, .. } in files {
        let rule_names = rules.rules.iter().filter_map(|rule| rule.name.as_deref());
        let correlation_names = rules.correlations.iter().filter_map(|rule| rule.name.as_deref());
        let known: BTreeSet<&str> = rule_names.chain(correlation_names).collect();
        for rule in &rules.rules {
            assert_eq!(rule.level, Some(rsigma_parser::Level::Informational), "{stem}: {}", rule.title);
        }
        for rule in &rules.correlations {
            let title = &rule.title;
            assert!(rule.rules.iter().all(|counted| known.contains(counted.as_str())), "{stem}: {title}");
            assert!(!rule.generate && rule.level.is_some() && rule.status.is_some(), "{stem}: {title}");
            assert!(rule.id.as_ref().is_some_and(|id| id.len() == 36), "{stem}: {title}");
            assert_eq!(rule.author.as_deref(), Some("watchfloor"), "{stem}: {title}");
            assert!(rule.description.as_deref().is_some_and(|text| text.contains("Intent:")), "{stem}: {title}");
            assert!(!rule.falsepositives.is_empty() && !rule.tags.is_empty(), "{stem}: {title}");
        }
    }
}
