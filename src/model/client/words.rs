//! What a server says, fit to be told on: short, without characters that hide, and without the key.
//!
//! A server knows the key and may write it anywhere, by mistake or not. What it says ends in logs, traces, cases and the
//! journal, so the key is taken out of everything that leaves the client.

use secrecy::{ExposeSecret, SecretString};

use crate::domain::taint;
use crate::domain::words::excerpt;
use crate::model::answer::Answer;
use crate::model::error::ModelError;

/// Longest part of a server's words that is told.
const LONGEST: usize = 300;

/// What stands where the key was.
const INSTEAD: &str = "(key)";

/// A text of a server, fit to be told on.
pub(super) fn told(text: &str, key: Option<&SecretString>) -> String {
    // First without the key: cut in the middle, it would not be found.
    taint::shown(&excerpt(&without(text, key), LONGEST))
}

fn without(text: &str, key: Option<&SecretString>) -> String {
    match key.map(ExposeSecret::expose_secret) {
        Some(key) if text.contains(key) => text.replace(key, INSTEAD),
        _ => text.to_owned(),
    }
}

/// An error whose words may be anything, with words that can be told on.
pub(super) fn of_error(mut error: ModelError, key: Option<&SecretString>) -> ModelError {
    match &mut error {
        ModelError::Unreachable { why, .. }
        | ModelError::Limited { why, .. }
        | ModelError::Overloaded { why, .. }
        | ModelError::CutOff { why }
        | ModelError::UnknownModel { why, .. }
        | ModelError::Denied { why }
        | ModelError::Exhausted { why } => *why = told(why, key),
        ModelError::Malformed { what } => *what = told(what, key),
        ModelError::Refused { parameter, why, .. } => {
            *why = told(why, key);
            if let Some(parameter) = parameter {
                *parameter = told(parameter, key);
            }
        }
        // Numbers and our own words.
        ModelError::Silent { .. }
        | ModelError::TooLong { .. }
        | ModelError::ContextOverflow { .. }
        | ModelError::NotAdmitted { .. } => {}
    }
    error
}

/// Takes the key out of an answer. The rest stays as it came: it is evidence of what the model said.
pub(super) fn of_answer(answer: &mut Answer, key: Option<&SecretString>) {
    let Some(secret) = key.map(ExposeSecret::expose_secret) else { return };
    let named = [&mut answer.id, &mut answer.model].into_iter().flatten();
    let calls = answer.calls.iter_mut().flat_map(|call| {
        let function = &mut call.function;
        [&mut call.id, &mut function.name, &mut function.arguments]
    });
    let texts = named.chain([&mut answer.content, &mut answer.reasoning]).chain(calls);
    for text in texts.filter(|text| text.contains(secret)) {
        *text = text.replace(secret, INSTEAD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_short_visible_and_without_the_key() {
        let key = SecretString::from("sk-s3cret");
        let long = format!("{} sk-s3cret", "x".repeat(296));
        let told = told(&long, Some(&key));
        assert!(!told.contains("sk-") && told.chars().count() <= 301, "{told}");
        let hidden = of_error(ModelError::Malformed { what: "a\u{202E}b\u{7}sk-s3cret".into() }, Some(&key));
        assert_eq!(hidden, ModelError::Malformed { what: "a\\u{202E}b\\u{0007}(key)".into() });
    }
}
