//! Whatever a record holds: normalising ends, and loses nothing.

use std::collections::BTreeSet;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no NaN", |float| float.is_finite()).prop_map(Value::from),
        "[ -~äß\u{1F600}\n\"\\\\]{0,24}".prop_map(Value::from),
        Just(json!("2026-03-02T08:00:00.125Z")),
        Just(json!("-")),
        Just(json!("{00000000-0000-0000-0000-000000000000}")),
        Just(json!("SHA1=AB,MD5=,=,x")),
        Just(json!("type: 5 a.example;::ffff:192.0.2.1;;")),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(name(), inner, 0..4).prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    })
}

/// Names that shapes know, and others.
fn name() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 72] = [
        "@timestamp",
        "@version",
        "Channel",
        "EventID",
        "Hostname",
        "SourceName",
        "RecordNumber",
        "Message",
        "Keywords",
        "EventReceivedTime",
        "SourceModuleName",
        "TimeCreated",
        "EventType",
        "UtcTime",
        "EventId",
        "EventData",
        "TenantId",
        "TimeGenerated",
        "Computer",
        "Provider",
        "event_data",
        "user_data",
        "log_name",
        "event_id",
        "computer_name",
        "source_name",
        "record_number",
        "process_id",
        "user",
        "level",
        "winlog",
        "event",
        "host",
        "channel",
        "provider_name",
        "code",
        "provider",
        "name",
        "Event",
        "System",
        "UserData",
        "RenderingInfo",
        "#attributes",
        "#text",
        "Data",
        "Execution",
        "Security",
        "Correlation",
        "SystemTime",
        "Image",
        "ProcessId",
        "ProcessGuid",
        "CommandLine",
        "Hashes",
        "User",
        "TargetFilename",
        "TargetObject",
        "Details",
        "QueryResults",
        "process",
        "file",
        "registry",
        "dns",
        "related",
        "record",
        "ip",
        "executable",
        "message",
        "_source",
        "record_id",
        "time_created",
        "Version",
    ];
    prop_oneof![3 => proptest::sample::select(KNOWN.to_vec()).prop_map(str::to_owned), 1 => "[a-zA-Z #]{1,8}"]
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    btree_map(name(), value(), 0..12).prop_map(|object| object.into_iter().collect())
}

/// A record with the marks of one shape, sound enough to become an event, and with anything else in it.
fn shaped() -> impl Strategy<Value = Map<String, Value>> {
    let channel = proptest::sample::select(vec![
        "security",
        "Microsoft-Windows-Sysmon/Operational",
        "Microsoft-Windows-PowerShell/Operational",
        "Windows PowerShell",
        "System",
        "Contoso",
    ]);
    let time = Just("2026-03-02T08:00:00.1234567Z");
    (object(), object(), channel, 0..30_u32, time, 0..8_usize).prop_map(|(beside, data, channel, code, time, shape)| {
        let mut marks = match shape {
            0 => json!({"EventReceivedTime": "x", "SourceModuleName": "m", "Channel": channel, "EventID": code,
                "@timestamp": time, "Hostname": "wks-07"}),
            1 => json!({"TimeCreated": time, "@timestamp": "y", "Channel": channel, "EventID": code}),
            2 => json!({"TimeCreated": time, "Channel": channel, "EventID": code.to_string()}),
            3 => json!({"event_id": code, "log_name": channel, "@timestamp": time, "event_data": data}),
            4 => json!({"winlog": {"channel": channel, "event_id": code.to_string(), "computer_name": "wks-07",
                "event_data": data}, "@timestamp": time}),
            5 => json!({"TenantId": "t", "TimeGenerated": time, "Channel": channel, "EventID": code,
                "EventData": Value::Object(data).to_string()}),
            6 => json!({"EventId": code, "UtcTime": time}),
            _ => json!({"Event": {"System": {"Channel": channel, "EventID": {"#text": code,
            "#attributes": {"Qualifiers": 7}},
                "TimeCreated": {"#attributes": {"SystemTime": time}}, "Computer": "wks-07"}, "EventData": data}}),
        };
        let marks_of = marks.as_object_mut().expect("an object");
        for (name, value) in beside {
            marks_of.entry(name).or_insert(value);
        }
        std::mem::take(marks_of)
    })
}

/// Everything a value says, as text. Text that is JSON within event data is what it says.
fn said(value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => drop(out.insert(value.to_string())),
        Value::String(text) => drop(out.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| said(item, out)),
        Value::Object(object) => {
            for (name, value) in object {
                let unpacked =
                    value.as_str().filter(|_| name == "EventData").and_then(|text| serde_json::from_str(text).ok());
                said(unpacked.as_ref().filter(|value: &&Value| value.is_object()).unwrap_or(value), out);
            }
        }
    }
}

/// Whether one of the texts holds this one: as it is, or within JSON.
fn is_kept(text: &str, kept: &BTreeSet<String>) -> bool {
    let quoted = Value::from(text).to_string();
    let within_json = &quoted[1..quoted.len() - 1];
    kept.contains(text) || kept.iter().any(|whole| whole.contains(text) || whole.contains(within_json))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_object_is_an_event_or_broken_and_never_a_panic(record in object()) {
        drop(normalise(&record, tests::origin(), ClockOffset::NONE));
    }

    #[test]
    fn everything_a_record_says_is_in_its_event(record in shaped()) {
        let Ok(event) = normalise(&record, tests::origin(), ClockOffset::NONE) else {
            // Data may hold an `UtcTime` that is none, or the record a `_source`; then there is no event to compare.
            return Ok(());
        };
        let (mut raw, mut kept) = (BTreeSet::new(), BTreeSet::new());
        said(&Value::Object(record.clone()), &mut raw);
        said(&Value::Object(event.document), &mut kept);
        for text in &raw {
            prop_assert!(is_kept(text, &kept), "{text:?} is lost of {}", Value::Object(record));
        }
    }

    #[test]
    fn normalising_twice_gives_the_same_event(record in shaped()) {
        let normalised = || normalise(&record, tests::origin(), ClockOffset::NONE);
        prop_assert_eq!(normalised(), normalised());
    }
}
