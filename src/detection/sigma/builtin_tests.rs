//! Every rule that comes with the program fires on what it is for, and keeps quiet beside it: the events are those
//! of `rules/tests/`, read when the tests run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::tests::event;
use super::*;

/// A written event: what a log would hold, and why it stands here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenEvent {
    channel: String,
    code: u32,
    provider: Option<String>,
    message: Option<String>,
    data: Map<String, Value>,
    pub(super) why: Option<String>,
}

impl WrittenEvent {
    /// The event as the program reads it; `{n}` in its data becomes a number.
    pub(super) fn numbered(&self, number: u32) -> Event {
        let mut data = Value::Object(self.data.clone());
        for value in data.as_object_mut().expect("it was made from one").values_mut() {
            if let Value::String(text) = value {
                *text = text.replace("{n}", &number.to_string());
            }
        }
        for (name, value) in [("SourceName", &self.provider), ("Message", &self.message)] {
            if let Some(value) = value {
                data[name] = value.clone().into();
            }
        }
        event(&self.channel, self.code, data)
    }
}

/// The events of one rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Examples {
    positive: Vec<WrittenEvent>,
    negative: Vec<WrittenEvent>,
    /// Loud rules that may fire on a negative event, by the names of their files, each with its reason.
    #[serde(default)]
    also_fires: BTreeMap<String, String>,
}

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")
}

/// Every rule file below a folder, by the stem of its name.
pub(super) fn rule_files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(rule_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
            assert!(found.insert(stem, path.clone()).is_none(), "two files are called {}", path.display());
        }
    }
    found
}

/// Rules about one event: everything that is no correlation.
fn single_rules() -> BTreeMap<String, PathBuf> {
    let mut files = rule_files(&folder());
    files.retain(|_, path| !path.components().any(|part| part.as_os_str() == "correlations"));
    files
}

pub(super) fn examples_text(stem: &str) -> String {
    let path = folder().join("tests").join(format!("{stem}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn examples(stem: &str) -> Examples {
    serde_json::from_str(&examples_text(stem)).unwrap_or_else(|error| panic!("rules/tests/{stem}.json: {error}"))
}

#[test]
fn every_rule_is_sound_and_its_card_is_complete() {
    let rules = RuleSet::load(&folder()).expect("rules");
    assert_eq!(rules.rejected(), []);
    assert_eq!(rules.unreachable(), []);
    for card in rules.cards() {
        // Rules that only count for a correlation are informational, and raise nothing themselves.
        let counted = card.level == Severity::Informational;
        assert_eq!(card.author.as_deref(), Some("watchfloor"), "{}", card.title);
        assert!(matches!(card.status.as_deref(), Some("test" | "experimental")), "{}", card.title);
        assert!(card.description.as_deref().is_some_and(|text| counted || text.contains("Intent:")), "{}", card.title);
        assert!(counted || !card.false_positives.is_empty(), "{}", card.title);
        assert!(counted || !card.techniques().is_empty() && !card.tactics().is_empty(), "{}", card.title);
        assert!(card.tactics().iter().all(|tactic| !tactic.contains('_')), "{}", card.title);
        assert!(card.id.as_str().len() == 36, "{}", card.title);
    }
    let titles: BTreeSet<&str> = rules.cards().map(|card| card.title.as_str()).collect();
    assert_eq!(titles.len(), rules.cards().count(), "two rules have one title");
}

#[test]
fn the_program_carries_the_rules_of_the_folder() {
    // A new file is not noticed by the compiler: touch `load.rs` when this fails.
    let (carried, folder) = (RuleSet::builtin(), RuleSet::load(&folder()).expect("rules"));
    let ids = |rules: &RuleSet| rules.cards().map(|card| card.id.clone()).collect::<BTreeSet<_>>();
    assert_eq!(ids(&carried), ids(&folder));
    assert!(single_rules().len() >= 60, "{}", single_rules().len());
}

#[test]
fn every_rule_fires_on_its_examples_and_keeps_quiet_on_their_benign_twins() {
    let all = RuleSet::load(&folder()).expect("rules");
    let mut wrong = Vec::new();
    for (stem, path) in single_rules() {
        let own = RuleSet::load(&path).expect("a rule");
        assert_eq!((own.len(), own.rejected()), (1, &[][..]), "{stem} is one sound rule");
        let examples = examples(&stem);
        assert!(!examples.positive.is_empty() && !examples.negative.is_empty(), "{stem} has examples of both kinds");
        for (position, positive) in examples.positive.iter().enumerate() {
            if own.detect(&positive.numbered(0)).is_empty() {
                wrong.push(format!("{stem}: silent on positive {position} ({:?})", positive.why));
            }
        }
        for (position, negative) in examples.negative.iter().enumerate() {
            let event = negative.numbered(0);
            if !own.detect(&event).is_empty() {
                wrong.push(format!("{stem}: fires on negative {position} ({:?})", negative.why));
            }
            for alert in all.detect(&event).into_iter().filter(|alert| alert.rule.level >= Severity::High) {
                let expected = examples.also_fires.keys().any(|other| title(other) == alert.rule.title);
                if !expected {
                    wrong.push(format!("{stem}: negative {position} raises `{}`", alert.rule.title));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The title of the rule in a file.
fn title(stem: &str) -> String {
    let path = single_rules().remove(stem).unwrap_or_else(|| panic!("there is no rule file {stem}.yml"));
    let rules = RuleSet::load(&path).expect("a rule");
    rules.cards().next().map(|card| card.title.clone()).expect("a sound rule")
}

#[test]
fn every_event_in_the_examples_says_why_it_is_there_and_belongs_to_a_rule() {
    let rules = rule_files(&folder());
    for entry in std::fs::read_dir(folder().join("tests")).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        assert!(rules.contains_key(stem), "no rule belongs to {}", path.display());
    }
    for stem in single_rules().into_keys() {
        let Examples { positive, negative, also_fires } = examples(&stem);
        let reasons = positive.iter().chain(&negative).map(|event| event.why.as_deref());
        let reasons = reasons.chain(also_fires.values().map(|why| Some(why.as_str())));
        assert!(reasons.into_iter().all(|why| why.is_some_and(|why| why.len() > 4)), "{stem}");
    }
}
