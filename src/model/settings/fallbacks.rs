//! Who stands in for whom: the fallbacks that models name, followed to their end and checked, so that a question that
//! goes from model to model always ends.

use std::collections::BTreeMap;

use super::ModelSettings;

/// Why models cannot stand in for each other as the configuration says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FallbackError {
    /// A model names one that is not there.
    #[error("[models.{model}] names the fallback `{fallback}`, and there is no model {fallback}{}", others(.known))]
    Unknown {
        /// The model.
        model: String,
        /// What it names.
        fallback: String,
        /// Those that are there.
        known: Vec<String>,
    },
    /// A question would go round and round.
    #[error("the fallbacks of the models lead in a circle: {}; let one of them name none", .circle.join(" → "))]
    Circle {
        /// The way of a question, back to where it has been.
        circle: Vec<String>,
    },
}

fn others(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!(", but {}", known.join(", ")) }
}

/// The fallbacks of each model, in the order in which they are asked.
///
/// # Errors
/// When a model names one that is not there, or itself by whatever way.
pub fn of(models: &BTreeMap<String, ModelSettings>) -> Result<BTreeMap<String, Vec<String>>, FallbackError> {
    models.keys().map(|name| Ok((name.clone(), way(name, models)?))).collect()
}

fn way(from: &str, models: &BTreeMap<String, ModelSettings>) -> Result<Vec<String>, FallbackError> {
    let mut way = vec![from.to_owned()];
    let fallback = |name: &str| models.get(name).and_then(|model| model.fallback.clone());
    let mut last = from.to_owned();
    while let Some(next) = fallback(&last) {
        if !models.contains_key(&next) {
            let known = models.keys().filter(|name| **name != last).cloned().collect();
            return Err(FallbackError::Unknown { model: last, fallback: next, known });
        }
        let before = way.iter().position(|name| *name == next);
        way.push(next.clone());
        if let Some(before) = before {
            return Err(FallbackError::Circle { circle: way.split_off(before) });
        }
        last = next;
    }
    way.remove(0);
    Ok(way)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(pairs: &[(&str, Option<&str>)]) -> BTreeMap<String, ModelSettings> {
        let settings = |fallback: &Option<&str>| ModelSettings {
            fallback: fallback.map(str::to_owned),
            ..ModelSettings::of("http://h/v1", "m", 4096)
        };
        pairs.iter().map(|(name, fallback)| ((*name).to_owned(), settings(fallback))).collect()
    }

    #[test]
    fn fallbacks_are_followed_to_their_end() {
        let models = models(&[("a", Some("c")), ("b", None), ("c", Some("b"))]);
        let of = of(&models).expect("they fit");
        assert_eq!(
            (of["a"].as_slice(), of["c"].as_slice()),
            (["c".to_owned(), "b".to_owned()].as_slice(), ["b".to_owned()].as_slice())
        );
        assert!(of["b"].is_empty());
    }

    #[test]
    fn one_that_is_not_there_is_named_with_those_that_are() {
        let refused = of(&models(&[("a", Some("smal")), ("small", None)])).expect_err("a slip");
        let told = "[models.a] names the fallback `smal`, and there is no model smal, but small";
        assert_eq!(refused.to_string(), told);
    }

    #[test]
    fn a_circle_is_shown_whole_and_nothing_before_it() {
        let itself = of(&models(&[("a", Some("a"))])).expect_err("a circle").to_string();
        assert!(itself.contains("in a circle: a → a; let one of them name none"), "{itself}");
        let long =
            of(&models(&[("a", Some("b")), ("b", Some("c")), ("c", Some("b"))])).expect_err("a circle").to_string();
        assert!(long.contains(": b → c → b;"), "{long}");
    }
}
