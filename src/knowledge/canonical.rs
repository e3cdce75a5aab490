//! One canonical form of JSON and its digest: requests, records and events are compared by it.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The value with keys sorted at every level and no white space.
#[must_use]
pub fn json(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// Like [`json`], for an object that stands alone.
#[must_use]
pub fn object(object: &Map<String, Value>) -> String {
    let mut out = String::new();
    write_object(object, &mut out);
    out
}

fn write_object(object: &Map<String, Value>, out: &mut String) {
    // Sorted here and not by the map: whether serde_json's map is ordered depends on features of other crates.
    let mut entries: Vec<_> = object.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    out.push('{');
    for (place, (key, value)) in entries.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        write_text(key, out);
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => write_object(map, out),
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::String(text) => write_text(text, out),
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

/// A text in quotes, escaped as `serde_json` escapes it. Most texts need no escape and are copied whole.
fn write_text(text: &str, out: &mut String) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

/// SHA-256 of a text, in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digest = Sha256::digest(bytes);
    digest.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}

/// SHA-256 of a value's canonical form, in hexadecimal.
///
/// A value that JSON cannot express (a map with keys that are no strings) digests as `null`; no type of ours is one.
#[must_use]
pub fn digest<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    sha256(json(&value).as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json as value;

    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        assert_eq!(json(&value!({"b": [1, {"d": 2, "c": 3}], "a": "x\"y"})), r#"{"a":"x\"y","b":[1,{"c":3,"d":2}]}"#);
        assert_eq!(digest(&value!({"a": 1, "b": 2})), digest(&value!({"b": 2, "a": 1})));
        assert_ne!(digest(&value!({"a": 1})), digest(&value!({"a": 2})));
        assert_ne!(digest(&value!({"a": 1})), digest(&value!({"a": "1"})));
        assert_ne!(digest(&value!({"a": [1, 2]})), digest(&value!({"a": [2, 1]})));
        assert_ne!(digest(&value!({"a": "b\",\"c"})), digest(&value!({"a": "b", "c": ""})));
    }

    #[test]
    fn a_number_that_was_written_and_read_back_has_the_same_digest() {
        for divisor in 1..5_000_u32 {
            let written = 1.0 / (1.0 + f64::from(divisor).sqrt());
            let text = serde_json::to_string(&written).expect("a number is JSON");
            let read: f64 = serde_json::from_str(&text).expect("it is read back");
            assert_eq!(digest(&written), digest(&read), "{text}");
        }
    }
}
