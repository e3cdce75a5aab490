//! JSON that is written once and sent many times: the tools of a conversation are the same at every step, and writing
//! thirty schemas anew for each request cost more than all the rest of it.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// JSON as text. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Written(Arc<RawValue>);

impl Written {
    /// A value, written.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        Self::text(value.to_string())
    }

    /// A text that is JSON by its construction: one that is not becomes `null`, which no server takes for a schema.
    pub(super) fn text(text: String) -> Self {
        debug_assert!(serde_json::from_str::<&RawValue>(&text).is_ok(), "{text}");
        Self(Arc::from(RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())))
    }

    /// The text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Written {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (*self.0).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_sent_as_it_is() {
        let written = Written::of(&json!({"b": [1, "\u{fc}"], "a": null}));
        assert_eq!(serde_json::to_string(&written).expect("text"), written.get());
        assert_eq!(serde_json::to_value(&written).expect("a value"), json!({"b": [1, "\u{fc}"], "a": null}));
        assert_eq!(written, Written::of(&json!({"b": [1, "\u{fc}"], "a": null})));
    }
}
