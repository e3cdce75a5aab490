//! Values of a record as text: Windows hands every value of an event over as text, and so does the target shape.

use serde_json::{Map, Value};

use crate::detection::damage::{Broken, Fault};

/// What an element of event data says, as text; `None` for null, which says nothing.
///
/// Several values become lines, whatever is nested deeper becomes JSON.
pub(super) fn of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            let lines: Vec<String> = items.iter().filter_map(of).collect();
            Some(lines.join("\n"))
        }
        other => Some(other.to_string()),
    }
}

/// A text that is there and not empty.
pub(super) fn at<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Puts one element of event data in its place, under its own name. Null is an element that is there and empty.
pub(super) fn put(data: &mut Map<String, Value>, name: &str, value: &Value) {
    let mut text = of(value).unwrap_or_default();
    // Some tools write GUIDs bare; Windows writes them in braces, and so do quotes and joins.
    let ending = name.len().checked_sub(4).and_then(|start| name.get(start..));
    if ending.is_some_and(|ending| ending.eq_ignore_ascii_case("guid")) && is_bare_guid(&text) {
        text = braced(&text);
    }
    data.insert(name.to_owned(), Value::String(text));
}

/// Event data without names. Winlogbeat calls the values `param1` and so on, Sigma rules call all of them `Data`.
pub(super) fn put_unnamed<'a>(data: &mut Map<String, Value>, values: impl Iterator<Item = &'a Value>) {
    let texts: Vec<String> = values.filter_map(of).collect();
    for (place, text) in texts.iter().enumerate() {
        data.insert(format!("param{}", place + 1), Value::String(text.clone()));
    }
    if !texts.is_empty() {
        data.insert("Data".to_owned(), Value::String(texts.join("\n")));
    }
}

/// An event id: a number, or a number as text.
pub(super) fn code(name: &str, value: Option<&Value>) -> Result<u32, Broken> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Err(Broken::new(Fault::NoCode, format!("`{name}` is missing")));
    };
    match value {
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .ok_or_else(|| Broken::new(Fault::NoCode, format!("`{name}` is {}", shown(value))))
}

/// A process or thread id as a number, however it was written.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A value as it may stand in a message: short.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 { text.chars().take(60).chain(['…']).collect() } else { text }
}

/// `0197231e-4a83-…` in the form `{0197231E-4A83-…}`.
fn braced(guid: &str) -> String {
    format!("{{{}}}", guid.to_ascii_uppercase())
}

fn is_bare_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_become_text_and_null_says_nothing() {
        assert_eq!(of(&json!(7)).as_deref(), Some("7"));
        assert_eq!(of(&json!(false)).as_deref(), Some("false"));
        assert_eq!(of(&json!(["a", 1, null])).as_deref(), Some("a\n1"));
        assert_eq!(of(&json!({"a": [1]})).as_deref(), Some(r#"{"a":[1]}"#));
        assert_eq!(of(&Value::Null), None);
    }

    #[test]
    fn bare_guids_get_their_braces_and_others_stay_as_written() {
        let mut data = Map::new();
        put(&mut data, "ProcessGuid", &json!("0f1e2d3c-aaaa-bbbb-cccc-0123456789ab"));
        put(&mut data, "LogonGuid", &json!("{0f1e2d3c-aaaa-bbbb-cccc-0123456789ab}"));
        put(&mut data, "ScriptBlockId", &json!("0f1e2d3c-aaaa-bbbb-cccc-0123456789ab"));
        put(&mut data, "guid", &json!("none"));
        let is = |name: &str| data[name].as_str().expect("text");
        assert_eq!(is("ProcessGuid"), "{0F1E2D3C-AAAA-BBBB-CCCC-0123456789AB}");
        assert_eq!(is("LogonGuid"), "{0f1e2d3c-aaaa-bbbb-cccc-0123456789ab}");
        assert_eq!(is("ScriptBlockId"), "0f1e2d3c-aaaa-bbbb-cccc-0123456789ab");
        assert_eq!(is("guid"), "none");
    }

    #[test]
    fn data_without_names_is_numbered_and_whole() {
        let mut data = Map::new();
        put_unnamed(&mut data, [json!("a"), json!(2)].iter());
        assert_eq!(Value::Object(data), json!({"param1": "a", "param2": "2", "Data": "a\n2"}));
    }
}
