//! The canonical text of a JSON value, so that a record has one identity however its keys were ordered.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::domain::ids::EventId;

/// The id of a record: the first 32 hex digits of the SHA-256 over its canonical text.
#[must_use]
pub fn event_id(record: &serde_json::Map<String, Value>) -> EventId {
    let mut text = String::new();
    write_object(record, &mut text);
    EventId::new(hex_digest(text.as_bytes(), 32))
}

/// The first `digits` hex digits of the SHA-256 of `bytes`.
#[must_use]
pub fn hex_digest(bytes: &[u8], digits: usize) -> String {
    let mut hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(digits);
    hex
}

/// Writes a value with the keys of every object sorted and no white space.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(object) => write_object(object, out),
        // `Display` of a scalar is its compact JSON.
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn write_object(object: &serde_json::Map<String, Value>, out: &mut String) {
    // Sorted here and not by the map: whether serde_json's map is ordered depends on features of other crates.
    let mut fields: Vec<(&String, &Value)> = object.iter().collect();
    fields.sort_unstable_by_key(|(key, _)| *key);
    out.push('{');
    for (position, (key, value)) in fields.into_iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        out.push_str(&Value::String(key.clone()).to_string());
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> EventId {
        let record: serde_json::Map<String, Value> = serde_json::from_str(text).expect("an object");
        event_id(&record)
    }

    #[test]
    fn the_order_of_keys_and_white_space_do_not_matter() {
        assert_eq!(id(r#"{"a":1,"b":{"y":[1,2],"x":"\u0041"}}"#), id(r#"{ "b": {"x":"A","y":[1,2]}, "a": 1 }"#));
    }

    #[test]
    fn every_value_matters() {
        assert_ne!(id(r#"{"a":1}"#), id(r#"{"a":"1"}"#));
        assert_ne!(id(r#"{"a":[1,2]}"#), id(r#"{"a":[2,1]}"#));
        assert_ne!(id(r#"{"a":"b\",\"c"}"#), id(r#"{"a":"b","c":""}"#));
    }

    #[test]
    fn an_id_is_32_hex_digits() {
        let id = id("{}");
        assert_eq!(id.as_str(), "44136fa355b3678a1146ad16f7e8649e");
    }
}
