//! One record's JSON text becomes an object. What is not quite JSON, or not quite UTF-8, is mended where what was
//! meant is plain, and said; what is no record at all is named.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use crate::detection::damage::{Broken, Fault, Flaw};
use crate::domain::words::excerpt;

/// Windows events are flat or nearly so; deeper nesting is an attack on whoever walks it.
pub const DEEPEST_NESTING: usize = 64;

/// Values of a record, in it and in whatever is nested in it. A Windows event carries some tens, and a few thousand when
/// it lists every member of something; each takes up to a hundred bytes once it is read, so that the bytes of a record
/// bound its memory only together with this: twenty megabytes instead of hundreds.
pub const MOST_VALUES: usize = 200_000;

/// A record as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What it holds.
    pub fields: Map<String, Value>,
    /// In what it differs from its text, each with an example.
    pub flaws: Vec<(Flaw, String)>,
}

/// Reads one record's text.
///
/// # Errors
/// When it is no JSON, no object, nested too deep, or holds too many values.
pub fn parse(text: &[u8]) -> Result<Record, Broken> {
    let mut flaws = Vec::new();
    let text = std::str::from_utf8(text).map_or_else(
        |error| {
            flaws.push((Flaw::NotUtf8, error.to_string()));
            String::from_utf8_lossy(text)
        },
        Cow::Borrowed,
    );
    let value = value(&text, &mut flaws).or_else(|first| {
        let mended = (first.fault == Fault::NotJson).then(|| mend(&text)).flatten();
        let Some((text, mending)) = mended else { return Err(first) };
        flaws.extend(mending);
        // If mending did not help, the first complaint says it best.
        value(&text, &mut flaws).map_err(|again| if again.fault == Fault::NotJson { first } else { again })
    })?;
    match value {
        Value::Object(fields) => Ok(Record { fields, flaws }),
        other => Err(Broken::new(Fault::NotAnObject, format!("{} instead of an object", name_of(&other)))),
    }
}

/// Whether a value is nested no deeper than a record may be.
pub fn is_shallow(value: &Value) -> bool {
    fn within(value: &Value, depth: usize) -> bool {
        let inside = |inner: &Value| depth > 0 && within(inner, depth - 1);
        match value {
            Value::Array(items) => depth > 0 && items.iter().all(inside),
            Value::Object(object) => depth > 0 && object.values().all(inside),
            _ => true,
        }
    }
    within(value, DEEPEST_NESTING)
}

const fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// What is noticed while a text is parsed.
#[derive(Default)]
struct Notes {
    too_deep: bool,
    values: usize,
    repeated: Option<String>,
}

fn value(text: &str, flaws: &mut Vec<(Flaw, String)>) -> Result<Value, Broken> {
    let notes = RefCell::new(Notes::default());
    let mut from = serde_json::Deserializer::from_str(text);
    let parsed = Part { depth: 0, notes: &notes }.deserialize(&mut from).and_then(|value| from.end().map(|()| value));
    let notes = notes.into_inner();
    match parsed {
        Ok(value) => {
            flaws.extend(notes.repeated.map(|name| (Flaw::RepeatedName, format!("`{name}`"))));
            Ok(value)
        }
        Err(_) if notes.too_deep => Err(Broken::new(Fault::TooDeep, format!("nested deeper than {DEEPEST_NESTING}"))),
        Err(_) if notes.values > MOST_VALUES => {
            Err(Broken::new(Fault::TooManyValues, format!("more than {MOST_VALUES}")))
        }
        Err(error) => Err(Broken::new(Fault::NotJson, error.to_string())),
    }
}

/// A value inside so many others: like `serde_json`'s own, but it counts values and depth and notices repeated names.
#[derive(Clone, Copy)]
struct Part<'a> {
    depth: usize,
    notes: &'a RefCell<Notes>,
}

impl Part<'_> {
    fn inner<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEEPEST_NESTING {
            self.notes.borrow_mut().too_deep = true;
            return Err(E::custom("nested too deep"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        // Before it is read: what is refused has cost nothing.
        self.notes.borrow_mut().values += 1;
        if self.notes.borrow().values > MOST_VALUES {
            return Err(D::Error::custom("too many values"));
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = from.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            let value = from.next_value_seed(inner)?;
            match object.entry(name) {
                Entry::Vacant(entry) => drop(entry.insert(value)),
                Entry::Occupied(mut entry) => {
                    self.notes.borrow_mut().repeated.get_or_insert_with(|| excerpt(entry.key(), 60).into_owned());
                    entry.insert(value);
                }
            }
        }
        Ok(Value::Object(object))
    }
}

/// Mends what JSON forbids and programs write all the same: bare control characters, half pairs, numbers beyond
/// every format. `None` if there is none of it.
fn mend(text: &str) -> Option<(String, Vec<(Flaw, String)>)> {
    let mut mending = Mending { rest: text, out: String::with_capacity(text.len() + 16), flaws: Vec::new() };
    while !mending.rest.is_empty() {
        mending.outside();
    }
    (!mending.flaws.is_empty()).then_some((mending.out, mending.flaws))
}

struct Mending<'a> {
    rest: &'a str,
    out: String,
    flaws: Vec<(Flaw, String)>,
}

impl Mending<'_> {
    fn flaw(&mut self, flaw: Flaw, example: impl FnOnce() -> String) {
        if self.flaws.iter().all(|(known, _)| *known != flaw) {
            self.flaws.push((flaw, example()));
        }
    }

    /// Moves so many bytes over as they are.
    fn copy(&mut self, length: usize) {
        let (copied, rest) = self.rest.split_at(length);
        self.out.push_str(copied);
        self.rest = rest;
    }

    /// What stands between two strings, and the string that follows.
    fn outside(&mut self) {
        let end = self.rest.find(|c: char| c == '"' || c == '\0' || c == '-' || c.is_ascii_digit());
        self.copy(end.unwrap_or(self.rest.len()));
        match self.rest.bytes().next() {
            None => {}
            Some(b'"') => {
                self.copy(1);
                self.string();
            }
            // Blocks that were reserved and never written read as zeroes.
            Some(0) => {
                self.flaw(Flaw::BareControl, || "U+0000 outside the values".to_owned());
                self.out.push(' ');
                self.rest = &self.rest[1..];
            }
            Some(_) => {
                let number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
                let end = self.rest.find(|c| !number(c)).unwrap_or(self.rest.len());
                let written = &self.rest[..end];
                if written.parse::<f64>().is_ok_and(f64::is_infinite) {
                    self.flaw(Flaw::HugeNumber, || excerpt(written, 60).into_owned());
                    self.out.push_str(&format!("\"{written}\""));
                    self.rest = &self.rest[end..];
                } else {
                    self.copy(end);
                }
            }
        }
    }

    /// A string up to and with its closing quote.
    fn string(&mut self) {
        loop {
            let end = self.rest.find(|c: char| c == '"' || c == '\\' || c.is_ascii_control());
            self.copy(end.unwrap_or(self.rest.len()));
            match self.rest.bytes().next() {
                None => return,
                Some(b'"') => return self.copy(1),
                Some(b'\\') => self.escape(),
                Some(control) => {
                    if control < 0x20 {
                        self.flaw(Flaw::BareControl, || format!("U+{control:04X} in a value"));
                        self.out.push_str(&format!("\\u{control:04x}"));
                    } else {
                        self.out.push(char::from(control));
                    }
                    self.rest = &self.rest[1..];
                }
            }
        }
    }

    fn escape(&mut self) {
        let Some(unit) = code_unit(self.rest) else {
            // The escaped character may be any, and longer than a byte.
            let length = self.rest.chars().take(2).map(char::len_utf8).sum();
            return self.copy(length);
        };
        let is_pair = (0xd800..0xdc00).contains(&unit)
            && code_unit(&self.rest[6..]).is_some_and(|low| (0xdc00..0xe000).contains(&low));
        if is_pair {
            self.copy(12);
        } else if (0xd800..0xe000).contains(&unit) {
            self.flaw(Flaw::HalfPair, || format!("\\u{unit:04x} stands alone"));
            self.out.push_str("\\ufffd");
            self.rest = &self.rest[6..];
        } else {
            self.copy(6);
        }
    }
}

/// The code unit that a text begins with, if it begins with `\uXXXX`.
fn code_unit(text: &str) -> Option<u16> {
    let hex = text.strip_prefix("\\u")?.get(..4)?;
    hex.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(hex, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn flaws(text: impl AsRef<[u8]>) -> (Value, Vec<Flaw>) {
        let record = parse(text.as_ref()).expect("a record");
        (Value::Object(record.fields), record.flaws.into_iter().map(|(flaw, _)| flaw).collect())
    }

    fn fault(text: impl AsRef<[u8]>) -> Fault {
        parse(text.as_ref()).expect_err("broken").fault
    }

    #[test]
    fn what_is_meant_is_read_and_what_was_mended_is_said() {
        assert_eq!(flaws(r#"{"a": [1, -2.5, null, true, "x"]}"#), (json!({"a": [1, -2.5, null, true, "x"]}), vec![]));
        assert_eq!(flaws(b"{\"a\": \"x\xff\"}"), (json!({"a": "x\u{fffd}"}), vec![Flaw::NotUtf8]));
        assert_eq!(flaws(r#"{"a": "\ud83dx\ud83d\ude00\ude00"}"#).0, json!({"a": "\u{fffd}x😀\u{fffd}"}));
        assert_eq!(flaws(r#"{"a": "\ud83d"}"#).1, [Flaw::HalfPair]);
        assert_eq!(flaws("{\"a\": \"x\0\t\"}"), (json!({"a": "x\0\t"}), vec![Flaw::BareControl]));
        assert_eq!(flaws("\0\0{\"a\": 1}\0"), (json!({"a": 1}), vec![Flaw::BareControl]));
        assert_eq!(flaws(r#"{"a": 1e400, "b": -1}"#), (json!({"a": "1e400", "b": -1}), vec![Flaw::HugeNumber]));
        assert_eq!(flaws(r#"{"a": 1, "a": {"b": 2, "b": 3}}"#), (json!({"a": {"b": 3}}), vec![Flaw::RepeatedName]));
        assert_eq!(flaws(r#"{"a": 9223372036854775808}"#), (json!({"a": 9_223_372_036_854_775_808_u64}), vec![]));
        let (value, all) = flaws(b"{\"a\": \"\xff\\ud800\x01\\\\\", \"a\": \"\\\"\", \"b\": 9e999}");
        assert_eq!(value, json!({"a": "\"", "b": "9e999"}));
        assert_eq!(all, [Flaw::NotUtf8, Flaw::HalfPair, Flaw::BareControl, Flaw::HugeNumber, Flaw::RepeatedName]);
    }

    #[test]
    fn what_is_no_record_is_named() {
        for (text, expected) in [
            ("", Fault::NotJson),
            ("{\"a\":", Fault::NotJson),
            ("{\"a\": \"\0", Fault::NotJson),
            ("\0\0\0", Fault::NotJson),
            ("{} {}", Fault::NotJson),
            ("{\"a\": \"C:\\x\"}", Fault::NotJson),
            ("[1]", Fault::NotAnObject),
            ("\"text\"", Fault::NotAnObject),
            ("1e400", Fault::NotAnObject),
        ] {
            assert_eq!(fault(text), expected, "{text}");
        }
        assert!(parse(b"{\"a\": \"C:\\x\"}").expect_err("broken").reason.contains("invalid escape"));
    }

    #[test]
    fn nesting_is_measured_exactly() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(fault(nested(DEEPEST_NESTING)), Fault::NotAnObject);
        assert_eq!(fault(nested(DEEPEST_NESTING + 1)), Fault::TooDeep);
        assert_eq!(fault(nested(10_000)), Fault::TooDeep);
        let value = |depth: usize| (0..depth).fold(Value::Null, |inner, _| json!([inner]));
        assert!(is_shallow(&value(DEEPEST_NESTING)) && !is_shallow(&value(DEEPEST_NESTING + 1)));
    }

    #[test]
    fn a_record_of_countless_tiny_values_is_refused_before_it_becomes_a_tree() {
        // The object and the list are values, too.
        let of = |count: usize| format!("{{\"a\":[{}0]}}", "0,".repeat(count - 3));
        assert!(parse(of(MOST_VALUES).as_bytes()).is_ok());
        let refused = parse(of(MOST_VALUES + 1).as_bytes()).expect_err("it is one more");
        assert_eq!((refused.fault, refused.reason.as_str()), (Fault::TooManyValues, "more than 200000"));
        for tiny in ["0,", "[],", "{},", "\"\",", "{\"\":0},"] {
            let text = format!("{{\"a\":[{}0]}}", tiny.repeat((super::super::LONGEST_RECORD - 10) / tiny.len()));
            assert_eq!(
                parse(text.as_bytes()).map_err(|broken| broken.fault).err(),
                Some(Fault::TooManyValues),
                "{tiny}"
            );
        }
        let names: String = (0..MOST_VALUES).map(|number| format!("\"{number}\":0,")).collect();
        let names = format!("{{{}\"a\":0}}", names);
        assert_eq!(parse(names.as_bytes()).map_err(|broken| broken.fault).err(), Some(Fault::TooManyValues));
    }

    proptest! {
        #[test]
        fn sound_json_is_read_as_serde_json_reads_it(text in r#"\{"a": ?("[a-z\\\\u0-9é😀]{0,9}"|-?[0-9]{1,19}|[0-9]\.[0-9]{1,5}|null|\[\]|\{\})\}"#) {
            match serde_json::from_str::<Map<String, Value>>(&text) {
                Ok(expected) => {
                    let record = parse(text.as_bytes()).expect("it is sound");
                    prop_assert_eq!(record.fields, expected);
                    prop_assert!(record.flaws.is_empty());
                }
                Err(_) => if let Ok(record) = parse(text.as_bytes()) {
                    prop_assert!(!record.flaws.is_empty());
                },
            }
        }

        #[test]
        fn any_bytes_are_a_record_or_a_named_fault(bytes in prop::collection::vec(prop_oneof![
            Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\\'), Just(b'u'), Just(b'd'), Just(b'8'), Just(b':'), Just(b','),
            Just(b'e'), Just(b'9'), any::<u8>()
        ], 0..80)) {
            let _ = parse(&bytes);
            let _ = parse(&[b"{\"a\":\"", &bytes[..], b"\"}"].concat());
        }
    }
}
