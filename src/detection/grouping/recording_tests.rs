//! The bars of grouping, measured on the labelled recordings where they lie beside the repository: an incident is few
//! cases, and what happens on bystanders stays out of them.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::detection::read::EventLog;
use crate::detection::shared_data;
use crate::detection::sigma::{Detector, RuleSet};

/// So many recordings are taken unless all are asked for.
const QUICK: usize = 4;

#[test]
fn an_incident_is_few_cases_and_bystanders_stay_out() {
    let (Some(archive), Some(scenarios)) = (shared_data("sigma-rules.tar.gz"), shared_data("scenarios")) else {
        return;
    };
    let rules = Arc::new(RuleSet::load(&archive).expect("the archive is sound"));
    let mut labels: Vec<(std::path::PathBuf, Value)> = std::fs::read_dir(scenarios)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .map(|folder| {
            let label = std::fs::read(folder.join("label.json")).expect("a label");
            (folder, serde_json::from_slice(&label).expect("JSON"))
        })
        .collect();
    let named = |label: &Value, part: &str| -> BTreeSet<String> {
        let hosts = label["hosts"][part].as_array().map(Vec::as_slice).unwrap_or_default();
        hosts.iter().filter_map(Value::as_str).map(|host| HostName::new(host).key().to_owned()).collect()
    };
    labels.retain(|(_, label)| label["kind"] == "attack" && !named(label, "compromised").is_empty());
    labels.sort_by(|one, other| one.0.cmp(&other.0));
    if std::env::var_os("WATCHFLOOR_ALL_RECORDINGS").is_none() {
        labels.truncate(QUICK);
    }
    let (mut incidents, mut cases, mut bystanders, mut joined) = (0_usize, 0_usize, 0_usize, 0_usize);
    for (folder, label) in labels {
        let file = folder.join(label["file"]["name"].as_str().expect("a file"));
        let Ok(log) = EventLog::open(&file) else { continue };
        let (mut detector, mut groups, mut alerts) = (Detector::new(rules.clone()), Groups::default(), Vec::new());
        for event in log {
            alerts.extend(detector.detect(&event));
        }
        alerts.extend(detector.settle());
        // Whoever records an attack clears the log first.
        alerts.retain(|alert: &Alert| !alert.event_kind.ends_with(" 1102") && !alert.event_kind.ends_with(" 104"));
        for alert in &alerts {
            groups.add(alert);
        }
        groups.regroup();
        let (attacked, beside) = (&named(&label, "compromised") | &named(&label, "origin"), named(&label, "bystander"));
        let on = |hosts: &BTreeSet<String>, index: usize| hosts.contains(alerts[index].host.key());
        let of_attack: Vec<Vec<usize>> =
            groups.partition().into_values().filter(|group| group.iter().any(|index| on(&attacked, *index))).collect();
        let all = alerts.iter().filter(|alert| beside.contains(alert.host.key())).count();
        let with = of_attack.iter().flatten().filter(|index| on(&beside, **index)).count();
        eprintln!("{}: {} cases, {with} of {all} alerts of bystanders joined", label["id"], of_attack.len());
        for group in of_attack.iter().filter(|_| of_attack.len() > 1) {
            let told: BTreeSet<String> = group
                .iter()
                .map(|index| format!("{} {:?}", alerts[*index].rule.title, ties::acting_accounts(&alerts[*index])))
                .collect();
            eprintln!("   {} alerts: {:?}", group.len(), told.iter().take(4).collect::<Vec<_>>());
        }
        incidents += usize::from(!of_attack.is_empty());
        cases += of_attack.len();
        bystanders += all;
        joined += with;
    }
    eprintln!("{cases} cases of {incidents} incidents, {joined} of {bystanders} alerts of bystanders joined");
    assert!(2 * cases <= 3 * incidents, "{cases} cases of {incidents} incidents: more than 1.5 each");
    assert!(10 * joined <= bystanders, "{joined} of {bystanders} alerts of bystanders joined: more than 10 %");
}
