//! A step's result as the journal keeps it: JSON text that is written once and seldom read back.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// JSON, kept as its text. A copy costs nothing.
#[derive(Debug, Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// A value as JSON; `null` for one that JSON cannot express (a map with keys that are no strings).
    #[must_use]
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        Self(to_raw_value(value).map_or_else(|_| RawValue::NULL.to_owned().into(), Arc::from))
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// The value as this type.
    ///
    /// # Errors
    /// When it is not of this type.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.text())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    /// By way of a value: an entry is recognised by a tag inside it, and what is read that way is no longer text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self::of(&value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_back_is_what_was_written() {
        let value = json!({"rows": [1, 0.1, "a\"b"], "none": null});
        let written = serde_json::to_string(&json!({"result": 0})).expect("JSON").replace('0', Json::of(&value).text());
        let read: std::collections::BTreeMap<String, Json> = serde_json::from_str(&written).expect("it is read");
        assert_eq!(read["result"], Json::of(&value));
        assert_eq!(read["result"].read::<Value>().expect("a value"), value);
    }
}
