//! How many events a second one core looks at with all rules. Measured when `WATCHFLOOR_MEASURE` is set; with
//! optimisations on (`cargo test --release`) the design's bar has to be met.

use std::time::Duration;

use super::*;
use crate::detection::read::EventLog;
use crate::detection::shared_data;

/// Events a second and core, from the design.
const BAR: f64 = 15_000.0;

/// Time the calling thread has spent on a processor: waiting for others on a shared machine is no cost of ours.
fn processor_time() -> Option<Duration> {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(spent.split(' ').next()?.parse().ok()?))
}

#[test]
fn all_rules_look_at_enough_events_a_second() {
    if std::env::var_os("WATCHFLOOR_MEASURE").is_none() {
        eprintln!("skipped: set WATCHFLOOR_MEASURE to measure");
        return;
    }
    let (Some(archive), Some(scenarios)) = (shared_data("sigma-rules.tar.gz"), shared_data("scenarios")) else {
        return;
    };
    let rules = RuleSet::load(&archive).expect("the archive is sound");
    let mut files: Vec<_> = std::fs::read_dir(scenarios)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path().join("events.ndjson.gz"))
        .filter(|file| file.exists())
        .collect();
    files.sort();
    let (mut all_events, mut all_time) = (0, Duration::ZERO);
    for file in files {
        let Ok(log) = EventLog::open(&file) else { continue };
        let events: Vec<Event> = log.collect();
        let before = processor_time().expect("Linux counts a thread's time");
        let alerts: usize = events.iter().map(|event| rules.detect(event).len()).sum();
        let time = processor_time().expect("Linux counts a thread's time") - before;
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = events.len() as f64 / time.as_secs_f64();
        let name = file.parent().and_then(|folder| folder.file_name()).unwrap_or_default().to_string_lossy();
        eprintln!("{name}: {} events, {alerts} alerts, {rate:.0} events/s", events.len());
        all_events += events.len();
        all_time += time;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = all_events as f64 / all_time.as_secs_f64();
    eprintln!("all: {all_events} events, {rate:.0} events/s and core");
    assert!(cfg!(debug_assertions) || rate >= BAR, "{rate:.0} events/s and core, {BAR} are wanted");
}
