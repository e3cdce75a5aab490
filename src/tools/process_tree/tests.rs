//! Trees with parents that were seen, parents that were only named, and trees that do not end.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::fixtures::{BrokenStore, at, event, store};
use crate::ports::events::Watermark;

fn creation(id: &str, seconds: i64, guid: &str, parent: Option<(&str, &str)>, pid: &str) -> Event {
    let mut data = json!({
        "ProcessGuid": guid, "ProcessId": pid,
        "Image": format!("C:\\{id}.exe"), "CommandLine": format!("{id}.exe /run"),
    });
    if let Some((parent, image)) = parent {
        data["ParentProcessGuid"] = json!(parent);
        data["ParentImage"] = json!(image);
        data["ParentCommandLine"] = json!(format!("{image} /parent"));
    }
    event(id, seconds, "WKS-1", (SYSMON, 1), data)
}

async fn ask_with(events: Vec<Event>, arguments: Value, watermark: u64) -> Result<Answer, ToolError> {
    let (_folder, store): (TempDir, _) = store(events).await;
    let scope =
        Scope { case: crate::fixtures::CASE, alerts: Arc::default(), events: store, watermark: Watermark(watermark) };
    let arguments = serde_json::from_value(arguments).expect("they fit");
    ProcessTree.call(arguments, &scope).await
}

async fn ask(events: Vec<Event>, arguments: Value) -> Answer {
    ask_with(events, arguments, u64::MAX).await.expect("it has a tree")
}

fn nodes(answer: &Answer) -> Vec<(String, i32, Known)> {
    let nodes: Vec<Node> = serde_json::from_value(answer.data.clone()).expect("they are nodes");
    assert_eq!(nodes.len(), answer.rows.len());
    nodes.into_iter().map(|node| (node.image.replace("C:\\", "").replace(".exe", ""), node.depth, node.known)).collect()
}

fn node(name: &str, depth: i32, known: Known) -> (String, i32, Known) {
    (name.into(), depth, known)
}

/// `shell` starts `one` (which starts `deep`) and `two`; `shell` itself was started before the log begins.
fn family() -> Vec<Event> {
    vec![
        creation("shell", 10, "{P}", Some(("{ROOT}", "C:\\root.exe")), "100"),
        creation("one", 20, "{A}", Some(("{P}", "C:\\shell.exe")), "200"),
        creation("two", 25, "{B}", Some(("{P}", "C:\\shell.exe")), "300"),
        creation("deep", 30, "{C}", Some(("{A}", "C:\\one.exe")), "400"),
    ]
}

#[tokio::test]
async fn relatives_stand_below_their_parents_and_a_parent_that_was_not_seen_is_inferred() {
    let answer = ask(family(), json!({"event": "shell"})).await;
    let expected = [
        node("root", -1, Known::Inferred),
        node("shell", 0, Known::Observed),
        node("one", 1, Known::Observed),
        node("deep", 2, Known::Observed),
        node("two", 1, Known::Observed),
    ];
    assert_eq!(nodes(&answer), expected, "depth first");
    let texts: Vec<&str> = answer.rows.iter().map(|row| row.text.as_str()).collect();
    assert!(texts[0].ends_with("(inferred: its creation was not logged)") && texts[0].contains("C:\\root.exe /parent"));
    assert!(!texts[1].contains("inferred"));
    let indents: Vec<usize> = texts.iter().map(|text| text.len() - text.trim_start().len()).collect();
    assert_eq!(indents, [0, 2, 4, 6, 4]);
    assert_eq!(answer.header.total, 5);
    // An inferred node is shown by the event that names it, and that event is what can be cited.
    let shown: Vec<&str> = answer.rows.iter().filter_map(|row| row.view.as_ref()).map(|v| v.event.as_str()).collect();
    assert_eq!(shown, ["shell", "shell", "one", "deep", "two"]);
    assert!(answer.rows.iter().all(|row| row.exhibit == row.view.as_ref().map(EventView::exhibit)));
}

#[tokio::test]
async fn generations_are_as_many_as_were_asked_for() {
    let up = ask(family(), json!({"event": "deep", "up": 1, "down": 0})).await;
    assert_eq!(nodes(&up), [node("one", -1, Known::Observed), node("deep", 0, Known::Observed)]);
    let all = ask(family(), json!({"event": "deep"})).await;
    let names: Vec<_> = nodes(&all).into_iter().map(|(name, depth, _)| (name, depth)).collect();
    let expected = [("root", -3), ("shell", -2), ("one", -1), ("deep", 0)];
    assert_eq!(names, expected.map(|(name, depth)| (name.to_owned(), depth)));
    let down = ask(family(), json!({"event": "shell", "up": 0, "down": 1})).await;
    let names: Vec<_> = nodes(&down).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["shell", "one", "two"]);
}

#[tokio::test]
async fn generations_have_a_bound() {
    let chain = (0..20).map(|n| {
        let parent = format!("{{{}}}", n - 1);
        creation(&format!("p{n:02}"), n, &format!("{{{n}}}"), Some((&parent, "C:\\parent.exe")), "1")
    });
    let answer = ask(chain.collect(), json!({"event": "p10", "up": 100, "down": 100})).await;
    let depths: Vec<i32> = nodes(&answer).into_iter().map(|(_, depth, _)| depth).collect();
    assert_eq!(depths, (-8..=4).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_process_whose_creation_was_not_logged_is_inferred_from_what_it_did() {
    let mut events = family();
    events.remove(0);
    let connection = json!({"ProcessGuid": "{P}", "Image": "C:\\shell.exe", "DestinationIp": "192.0.2.1"});
    events.push(event("net", 15, "WKS-1", (SYSMON, 3), connection));
    let answer = ask(events.clone(), json!({"event": "net"})).await;
    let names: Vec<_> = nodes(&answer);
    assert_eq!(names[0], node("shell", 0, Known::Inferred));
    assert_eq!(names.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["shell", "one", "deep", "two"]);
    // The actor of an access is its source, in either spelling.
    for name in ["SourceProcessGUID", "SourceProcessGuid"] {
        let mut events = events.clone();
        events.push(event("access", 16, "WKS-1", (SYSMON, 10), json!({name: "{P}", "SourceImage": "C:\\shell.exe"})));
        let answer = ask(events, json!({"event": "access"})).await;
        assert_eq!(nodes(&answer)[0], node("shell", 0, Known::Inferred), "{name}");
    }
}

#[tokio::test]
async fn a_parent_is_known_by_its_entity_id_and_not_by_a_number_that_is_used_again() {
    let mut events = family();
    // Another process got the same process id later, and another machine the same entity id.
    events.push(creation("reused", 40, "{Z}", Some(("{Y}", "C:\\else.exe")), "200"));
    events.push(Event { host: HostName::new("WKS-2"), ..creation("far", 41, "{D}", Some(("{A}", "C:\\x.exe")), "1") });
    let answer = ask(events, json!({"event": "one"})).await;
    let names: Vec<_> = nodes(&answer).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["root", "shell", "one", "deep"]);
}

#[tokio::test]
async fn a_process_without_a_named_parent_has_none() {
    let answer = ask(vec![creation("alone", 10, "{P}", None, "1")], json!({"event": "alone"})).await;
    assert_eq!(nodes(&answer), [node("alone", 0, Known::Observed)]);
}

#[tokio::test]
async fn a_large_family_is_cut_and_a_circular_one_ends() {
    let mut events = vec![creation("shell", 0, "{P}", None, "1")];
    for n in 1..=50 {
        events.push(creation(&format!("c{n:02}"), n, &format!("{{{n}}}"), Some(("{P}", "C:\\shell.exe")), "1"));
        events.push(creation(&format!("g{n:02}"), 60 + n, &format!("{{g{n}}}"), Some((&format!("{{{n}}}"), "x")), "1"));
    }
    let answer = ask(events, json!({"event": "shell"})).await;
    assert_eq!(answer.rows.len(), MOST_NODES);

    let own = creation("own", 0, "{P}", Some(("{P}", "C:\\own.exe")), "1");
    let answer = ask(vec![own], json!({"event": "own", "up": 8, "down": 4})).await;
    assert!(answer.rows.len() <= 13, "{}", answer.rows.len());
}

#[tokio::test]
async fn what_arrived_after_the_watermark_is_not_there() {
    let answer = ask_with(family(), json!({"event": "shell"}), 2).await.expect("it has a tree");
    let names: Vec<_> = nodes(&answer).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["root", "shell", "one"]);
}

#[tokio::test]
async fn relatives_are_looked_for_a_week_before_and_two_hours_after() {
    let (hour, week) = (3_600, 7 * 24 * 3_600);
    let parent = |seconds| creation("parent", seconds, "{P}", None, "1");
    let own = || creation("own", 0, "{A}", Some(("{P}", "C:\\parent.exe")), "1");
    let child = |seconds| creation("child", seconds, "{B}", Some(("{A}", "C:\\own.exe")), "1");
    let near = ask(vec![parent(-week), own(), child(2 * hour)], json!({"event": "own"})).await;
    assert_eq!(nodes(&near).len(), 3);
    assert_eq!(nodes(&near)[0].2, Known::Observed);
    let far = ask(vec![parent(-week - 1), own(), child(2 * hour + 1)], json!({"event": "own"})).await;
    let expected = [node("parent", -1, Known::Inferred), node("own", 0, Known::Observed)];
    assert_eq!(nodes(&far), expected);
}

#[tokio::test]
async fn what_has_no_tree_says_why() {
    let logon = event("logon", 0, "WKS-1", ("Security", 4624), json!({"TargetUserName": "a.user"}));
    for (id, says) in [("nobody", "no event nobody"), ("logon", "Security 4624 names no process")] {
        let error = ask_with(vec![logon.clone()], json!({"event": id}), u64::MAX).await.expect_err("it has none");
        assert!(matches!(&error, ToolError::NotFound { what } if what.contains(says)), "{error}");
    }
    let scope = Scope {
        case: crate::fixtures::CASE,
        alerts: Arc::default(),
        events: Arc::new(BrokenStore),
        watermark: Watermark(1),
    };
    let arguments = Arguments { event: "e".into(), up: None, down: None };
    let error = ProcessTree.call(arguments, &scope).await.expect_err("it cannot be read");
    assert!(matches!(error, ToolError::Unavailable { .. }));
}

#[tokio::test]
async fn text_that_hides_is_shown() {
    let mut sly = creation("sly", 0, "{P}", None, "1");
    sly.document["winlog"]["event_data"]["CommandLine"] = json!("a\u{202E}b");
    let answer = ask(vec![sly], json!({"event": "sly"})).await;
    assert!(answer.rows[0].text.contains("a\\u{202E}b"), "{}", answer.rows[0].text);
    assert_eq!(answer.rows[0].text.split_whitespace().next(), Some(at(0).strftime("%T").to_string().as_str()));
}
