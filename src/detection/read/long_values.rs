//! Values too long for rules. An event is stored as it is, and rules look at its long values' beginnings and ends:
//! a rule set searches a text hundreds of times, and ten megabytes of it would hold up everything else.
//!
//! Windows allows no command line and no part of a script longer than 32,767 characters, so of honest events rules see
//! everything. That a value was too long is counted and shown, since something could hide in its middle.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::domain::alert::Alert;
use crate::domain::event::Event;

/// Bytes of a value that rules look through: twice what of a longer one is kept at each end.
pub const LONGEST_VALUE: usize = 64 << 10;

/// Stands where the middle was left out.
const LEFT_OUT: &str = " … ";

/// The first value that is too long, by its path.
pub(super) fn has_long_value(document: &Map<String, Value>) -> Option<String> {
    document.iter().find_map(|(name, value)| {
        let inner = match value {
            Value::String(text) => return (text.len() > LONGEST_VALUE).then(|| name.clone()),
            Value::Object(object) => has_long_value(object)?,
            Value::Array(items) => {
                let long = items.iter().enumerate().find_map(|(place, item)| match item {
                    Value::String(text) => (text.len() > LONGEST_VALUE).then(|| place.to_string()),
                    Value::Object(object) => has_long_value(object).map(|inner| format!("{place}.{inner}")),
                    _ => None,
                });
                long?
            }
            _ => return None,
        };
        Some(format!("{name}.{inner}"))
    })
}

/// The event as rules look at it: with the middle of its long values left out.
#[must_use]
pub fn seen_by_rules(event: &Event) -> Cow<'_, Event> {
    if has_long_value(&event.document).is_none() {
        return Cow::Borrowed(event);
    }
    let document = shortened(&event.document);
    Cow::Owned(Event {
        document,
        id: event.id.clone(),
        time: event.time,
        host: event.host.clone(),
        channel: event.channel.clone(),
        code: event.code,
        record_id: event.record_id.clone(),
        origin: event.origin.clone(),
    })
}

/// Takes the quotes out of an alert that do not stand in the event: one may span what was left out.
pub fn keep_true_quotes(alert: &mut Alert, event: &Event) {
    alert.matched.retain(|quote| event.field(&quote.field).is_some_and(|stored| stored.contains(&quote.value)));
}

fn shortened(object: &Map<String, Value>) -> Map<String, Value> {
    object.iter().map(|(name, value)| (name.clone(), short(value))).collect()
}

fn short(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > LONGEST_VALUE => {
            let head = text.floor_char_boundary(LONGEST_VALUE / 2);
            let tail = text.ceil_char_boundary(text.len() - LONGEST_VALUE / 2);
            Value::String(format!("{}{LEFT_OUT}{}", &text[..head], &text[tail..]))
        }
        Value::Object(object) => Value::Object(shortened(object)),
        Value::Array(items) => Value::Array(items.iter().map(short).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::evidence::Quote;
    use crate::fixtures::{alert, event};

    #[test]
    fn rules_see_both_ends_of_a_long_value_and_all_of_the_others() {
        let long = format!("begin {}é{} end", "x".repeat(LONGEST_VALUE), "y".repeat(LONGEST_VALUE));
        let whole = event("e1", 0, "wks-1", ("Security", 4688), json!({"CommandLine": long, "Short": "as it is"}));
        let seen = seen_by_rules(&whole);
        let line = seen.data("CommandLine").expect("it is there");
        assert!(line.starts_with("begin xxx") && line.ends_with("yyy end") && line.contains(LEFT_OUT));
        assert!(line.len() <= LONGEST_VALUE + LEFT_OUT.len());
        assert_eq!(seen.data("Short"), Some("as it is"));
        assert_eq!(has_long_value(&whole.document).as_deref(), Some("winlog.event_data.CommandLine"));
        assert!(has_long_value(&seen.document).is_some(), "the joint makes it a little longer than the limit");
        assert_eq!((seen.id.clone(), seen.time, seen.code), (whole.id.clone(), whole.time, whole.code));
    }

    #[test]
    fn an_ordinary_event_is_not_copied() {
        let event = event("e1", 0, "wks-1", ("Security", 4688), json!({"CommandLine": "x".repeat(LONGEST_VALUE)}));
        assert!(matches!(seen_by_rules(&event), Cow::Borrowed(_)));
    }

    #[test]
    fn a_quote_that_spans_the_gap_is_taken_out() {
        let event = event("e1", 0, "wks-1", ("Security", 4688), json!({"CommandLine": "one two"}));
        let mut alert = alert("a1", "e1", "wks-1", 0);
        let quote = |value: &str| Quote { field: "winlog.event_data.CommandLine".into(), value: value.into() };
        alert.matched = vec![quote("one"), quote("one … two")];
        keep_true_quotes(&mut alert, &event);
        assert_eq!(alert.matched, [quote("one")]);
    }
}
