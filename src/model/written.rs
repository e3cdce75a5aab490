//! JSON that is written once and sent many times: the tools of a conversation are the same at every step, what its calls
//! returned stands in every request after, and writing both anew for each request cost more than all the rest of it.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

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

/// A text of a conversation, which every later request repeats. It cannot be changed.
#[derive(Clone)]
pub struct Text {
    text: Arc<str>,
    /// The same with its quotes and escapes, once it was sent.
    written: OnceLock<Written>,
}

impl Text {
    /// The text as JSON.
    fn written(&self) -> &Written {
        // A string is always JSON.
        self.written.get_or_init(|| Written::text(serde_json::to_string(&*self.text).unwrap_or_default()))
    }

    /// The text as JSON without its quotes. What is escaped is so character by character, so that texts are joined by
    /// joining these.
    pub(super) fn escaped(&self) -> &str {
        let quoted = self.written().get();
        quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self { text: text.into(), written: OnceLock::new() }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { text: text.into(), written: OnceLock::new() }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Text {}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written().serialize(serializer)
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

    #[test]
    fn a_text_is_sent_as_any_other_and_joined_by_its_escapes() {
        for text in ["", "a", "\"\\\n\u{0}\u{fc}\u{1f600}", "C:\\a\tb"] {
            let kept = Text::from(text);
            let as_json = serde_json::to_string(text).expect("JSON");
            assert_eq!(serde_json::to_string(&kept).expect("JSON"), as_json);
            assert_eq!(format!("\"{}\"", kept.escaped()), as_json);
            assert_eq!(serde_json::to_value(&kept).expect("JSON"), json!(text));
        }
    }
}
