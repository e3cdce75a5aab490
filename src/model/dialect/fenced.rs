//! Tool calls in the text of an answer: many local models write them there, in a code fence, in tags, or bare.
//!
//! A text may also quote evidence, and evidence may hold a forged call. So a call counts only where it is what the
//! text ends with: before it there may be prose, after it nothing, and no other fenced JSON anywhere.

use serde::de::Deserialize;
use serde_json::{Map, Value};

use super::{Found, Misread};

/// Where a call's name may stand.
const NAMES: [&str; 2] = ["name", "tool"];

/// Where its arguments may.
const ARGUMENTS: [&str; 3] = ["arguments", "parameters", "args"];

/// Pieces that may hold calls: how they begin and end.
const WRAPPINGS: [(&str, &str); 2] = [("<tool_call>", "</tool_call>"), ("```", "```")];

/// The calls that a text ends with, with the prose before them; none if it holds none.
///
/// # Errors
/// When something looks like a call and cannot be read as one, or may be a quotation.
pub(super) fn find(text: &str) -> Result<Option<(&str, Vec<Found>)>, Misread> {
    let text = text.trim();
    if text.starts_with(['{', '[']) {
        return bare(text).map(|calls| calls.map(|calls| ("", calls)));
    }
    for (begin, end) in WRAPPINGS {
        if let Some(first) = text.find(begin) {
            let calls = wrapped(&text[first..], begin, end)?;
            return Ok(calls.map(|calls| (text[..first].trim(), calls)));
        }
    }
    Ok(None)
}

/// A text that is JSON alone: one call, a list of them, or several one after the other.
fn bare(text: &str) -> Result<Option<Vec<Found>>, Misread> {
    match values(text) {
        Ok(values) => calls(values),
        // Prose may begin with a bracket; only what names a tool was meant as a call.
        Err(what) if looks_like_a_call(text) => Err(Misread::Arguments { tool: "your call".into(), what }),
        Err(_) => Ok(None),
    }
}

/// What begins with a wrapped piece: it may be followed by more of the same and by nothing else.
fn wrapped(mut rest: &str, begin: &str, end: &str) -> Result<Option<Vec<Found>>, Misread> {
    let mut all = Vec::new();
    let mut prose = false;
    while let Some(inside) = rest.strip_prefix(begin) {
        // A text that was cut, or that forgets its last fence, ends the piece as well.
        let (inside, after) = inside.split_once(end).unwrap_or((inside, ""));
        // A fence names its language in its first line.
        let inside =
            if begin == "```" { inside.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_') } else { inside };
        match bare(inside.trim())? {
            Some(calls) => all.extend(calls),
            None => prose = true,
        }
        rest = after.trim_start();
    }
    let more = !rest.is_empty();
    match (all.is_empty(), prose || more) {
        // Nothing so far; a call behind it would be one among quotations.
        (true, _) if more && WRAPPINGS.iter().any(|(begin, _)| rest.contains(begin)) && looks_like_a_call(rest) => {
            Err(Misread::Ambiguous)
        }
        (true, _) => Ok(None),
        (false, true) => Err(Misread::Ambiguous),
        (false, false) => Ok(Some(all)),
    }
}

fn looks_like_a_call(text: &str) -> bool {
    let has = |key: &&str| text.contains(&format!("\"{key}\""));
    NAMES.iter().any(&has) && ARGUMENTS.iter().any(has)
}

fn values(text: &str) -> Result<Vec<Value>, String> {
    let read = serde_json::Deserializer::from_str(text).into_iter::<Value>().collect::<Result<Vec<_>, _>>();
    read.map_err(|error| error.to_string())
}

/// All of the values are calls, or none is.
fn calls(values: Vec<Value>) -> Result<Option<Vec<Found>>, Misread> {
    let values: Vec<Value> = values
        .into_iter()
        .flat_map(|value| if let Value::Array(items) = value { items } else { vec![value] })
        .collect();
    let asked = values.len();
    let found: Vec<Found> = values.into_iter().filter_map(call).collect();
    match found.len() {
        0 => Ok(None),
        found_all if found_all == asked => Ok(Some(found)),
        _ => Err(Misread::Ambiguous),
    }
}

/// An object that names a tool and its arguments, in one of the ways that models write it.
pub(super) fn call(value: Value) -> Option<Found> {
    let Value::Object(mut object) = value else { return None };
    if let Some(Value::Object(function)) = object.get("function") {
        object = function.clone();
    }
    let tool = NAMES.iter().find_map(|key| match object.get(*key) {
        Some(Value::String(name)) => Some(name.clone()),
        _ => None,
    })?;
    let key = ARGUMENTS.iter().find(|key| object.contains_key(**key));
    let arguments = match key.and_then(|key| object.remove(*key)) {
        // Arguments as text, as native calls have them.
        Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Some(arguments) => arguments,
        // A name alone calls a tool without arguments; a name among other things is data.
        None if object.len() == 1 => Value::Object(Map::new()),
        None => return None,
    };
    Some(Found { id: None, tool, arguments })
}

/// The arguments of a native call. Servers send nothing at all for a tool that needs none.
///
/// # Errors
/// With what is wrong with the text.
pub(super) fn arguments(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() || text.trim() == "null" {
        return Ok(Value::Object(Map::new()));
    }
    let mut read = serde_json::Deserializer::from_str(text);
    let value = Value::deserialize(&mut read).and_then(|value| read.end().map(|()| value));
    match value.map_err(|error| error.to_string())? {
        // Written twice, as some models do.
        Value::String(inner) => Ok(serde_json::from_str(&inner).unwrap_or(Value::String(inner))),
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tools(text: &str) -> Result<Vec<String>, &'static str> {
        match find(text) {
            Ok(Some((_, found))) => Ok(found.into_iter().map(|found| found.tool).collect()),
            Ok(None) => Ok(vec![]),
            Err(misread) => Err(misread.kind()),
        }
    }

    #[test]
    fn a_call_is_found_in_every_form_that_models_write() {
        let call = r#"{"name": "look", "arguments": {"at": "x"}}"#;
        let written = [
            call.to_owned(),
            format!("```json\n{call}\n```"),
            format!("```\n{call}\n```"),
            format!("I look first.\n```tool_call\n{call}"),
            format!("<tool_call>\n{call}\n</tool_call>"),
            r#"{"tool": "look", "parameters": {"at": "x"}}"#.into(),
            r#"{"type": "function", "function": {"name": "look", "arguments": "{\"at\": \"x\"}"}}"#.into(),
        ];
        for text in written {
            let found = find(&text).expect("it is read").unwrap_or_else(|| panic!("a call in {text}")).1;
            assert_eq!((found[0].tool.as_str(), found[0].arguments["at"].as_str()), ("look", Some("x")), "{text}");
        }
    }

    #[test]
    fn several_calls_are_several() {
        let two = "{\"name\": \"a\", \"arguments\": {}}\n{\"name\": \"b\", \"arguments\": {}}";
        for text in [
            two.to_owned(),
            format!("```json\n{two}\n```"),
            "<tool_call>{\"name\":\"a\"}</tool_call>\n<tool_call>{\"name\":\"b\"}</tool_call>".into(),
        ] {
            assert_eq!(tools(&text), Ok(vec!["a".into(), "b".into()]), "{text}");
        }
    }

    #[test]
    fn what_is_quoted_is_no_call() {
        let call = r#"```json
{"name": "close", "arguments": {}}
```"#;
        assert_eq!(tools(&format!("The command line says:\n{call}\nwhich is odd.")), Err("ambiguous"));
        assert_eq!(tools(&format!("```json\n{{\"event\": 1}}\n```\n{call}")), Err("ambiguous"));
        assert_eq!(tools(&format!("```json\n{{\"event\": 1}}\n```\nand so I call\n{call}")), Err("ambiguous"));
        assert_eq!(tools("The file is named {\"name\": \"x\"}."), Ok(vec![]));
        assert_eq!(tools("```json\n{\"process\": \"a.exe\", \"name\": \"b\"}\n```"), Ok(vec![]));
    }

    #[test]
    fn a_broken_call_is_told_apart_from_prose() {
        assert_eq!(tools(r#"{"name": "look", "arguments": {"at": "#), Err("arguments"));
        assert_eq!(tools("[1] is a footnote"), Ok(vec![]));
        assert_eq!(tools("Nothing to do."), Ok(vec![]));
    }

    #[test]
    fn no_arguments_are_an_empty_object() {
        assert_eq!(arguments(""), Ok(Value::Object(Map::new())));
        assert_eq!(arguments("\"{\\\"a\\\":1}\"").map(|value| value["a"].clone()), Ok(Value::from(1)));
        assert!(arguments("{\"a\":1} {}").is_err());
        assert!(arguments("{\"a\":").is_err());
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "(<tool_call>|</tool_call>|```|json|\\{|\\}|\"name\"|\"arguments\"|:|,|\n|é|.){0,40}") {
            let _ = find(&text);
        }
    }
}
