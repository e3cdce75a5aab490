//! What is shown of an event: telling fields in their order, cut where it is long, hiding nothing.

use serde_json::json;

use super::*;
use crate::domain::event::SYSMON;
use crate::fixtures::{at, event};

fn sample() -> Event {
    let data = json!({
        "CommandLine": "a.exe /x", "Image": "C:\\a.exe", "Company": "Example", "ProcessGuid": "{P}", "User": "-",
        "Odd": "kept",
    });
    event("e", 61, "WKS-1", (SYSMON, 1), data)
}

#[test]
fn a_row_shows_the_telling_fields_and_the_ids() {
    let view = EventView::row(&sample(), 100);
    assert_eq!(view.fields.keys().collect::<Vec<_>>(), ["CommandLine", "Image", "ProcessGuid"]);
    assert_eq!((view.get("Image"), view.get("User"), view.get("Odd")), (Some("C:\\a.exe"), None, None));
    assert_eq!((view.event.as_str(), view.time, view.host.as_str()), ("e", at(61), "WKS-1"));
    assert!(view.is_sysmon(1) && !view.is_sysmon(3) && !EventView { channel: "Security".into(), ..view }.is_sysmon(1));
}

#[test]
fn alone_an_event_shows_all_its_fields() {
    let view = EventView::whole(&sample(), 100);
    assert_eq!(view.fields.keys().collect::<Vec<_>>(), ["CommandLine", "Company", "Image", "Odd", "ProcessGuid"]);
    assert!(!view.cut);
    let empty = Event { document: serde_json::Map::new(), ..sample() };
    assert!(EventView::whole(&empty, 100).fields.is_empty());
}

#[test]
fn a_line_has_image_before_command_and_leaves_ids_to_programs() {
    assert_eq!(
        EventView::row(&sample(), 100).line(),
        "2026-01-01 00:01:01.000 WKS-1 Sysmon 1 Image=C:\\a.exe CommandLine=a.exe /x"
    );
}

#[test]
fn long_values_are_cut_by_characters_and_say_so() {
    let long = event("e", 0, "WKS-1", (SYSMON, 1), json!({"CommandLine": "é".repeat(11)}));
    let view = EventView::row(&long, 10);
    assert_eq!((view.get("CommandLine"), view.cut), (Some("é".repeat(10).as_str()), true));
    assert!(view.line().ends_with("(cut: get_event shows more)"));
    assert!(!EventView::row(&long, 11).cut);
}

#[test]
fn nothing_hides_in_a_line() {
    let sly = event("e", 0, "WKS-1", (SYSMON, 1), json!({"CommandLine": "a\u{202E}b\nc\u{1b}[0m"}));
    let line = EventView::row(&sly, 100).line();
    assert!(line.ends_with("CommandLine=a\\u{202E}b c\\u{001B}[0m"), "{line}");
}
