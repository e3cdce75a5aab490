//! Cut short anywhere, a floor ends where an undisturbed one does: same cases, same comments, each once. Because a
//! journal that forgets or repeats a step is worse than none.

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::program::{FAULT, Random, SAMPLE, State, UNDISTURBED, assert_same, canonical, run, shown, watchfloor};

/// Aborts itself: not an exit, but what SIGABRT leaves behind.
#[cfg(unix)]
fn is_abort(status: std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    const SIGABRT: i32 = 6;
    status.signal() == Some(SIGABRT)
}

#[cfg(not(unix))]
fn is_abort(status: std::process::ExitStatus) -> bool {
    !matches!(status.code(), Some(0..=2))
}

/// The long form takes every append and more kills.
fn is_long() -> bool {
    std::env::var_os("WATCHFLOOR_LONG").is_some_and(|value| value == "1")
}

/// A run that takes longer than this makes the short form skip appends.
const QUICK: Duration = Duration::from_millis(150);

#[test]
fn aborted_after_any_append_it_ends_as_if_undisturbed() {
    let stride = if is_long() || UNDISTURBED.took < QUICK { 1 } else { 5 };
    let (mut aborted, mut after) = (0_usize, 1);
    loop {
        let state = State::new();
        let ended = state.triage_with(&format!("abort-after-append={after}"));
        if !is_abort(ended.status) {
            // Past the last append: nothing was left to abort.
            ended.expect_finished();
            break;
        }
        aborted += 1;
        let what = format!("aborted after append {after}, then run again");
        assert_same(&UNDISTURBED.export, &state.triage(), &what);
        state.assert_sound();
        after += stride;
    }
    println!("aborted {aborted} times, the last after append {}, every {stride}. append", after - stride);
    // Each case takes at least: opened, ready, begun, asked, judged.
    let cases = UNDISTURBED.export["cases"].as_object().map_or(0, serde_json::Map::len);
    assert!(after >= 5 * cases, "a run has more appends than {after}");
}

#[test]
fn aborted_again_and_again_it_still_comes_to_its_end() {
    // One append is enough to come on: no life writes what an earlier one wrote.
    let steps: &[usize] = if is_long() { &[1, 2, 7] } else { &[4, 7] };
    for &step in steps {
        let state = State::new();
        let mut aborts = 0;
        while is_abort(state.triage_with(&format!("abort-after-append={step}")).status) {
            aborts += 1;
            assert!(aborts < 500, "with {step} appends at a time it comes no further");
        }
        println!("{aborts} lives of {step} appends each");
        assert_same(&UNDISTURBED.export, &state.triage(), &format!("aborted {aborts} times after {step} appends"));
        state.assert_sound();
    }
}

/// Moments within an undisturbed run.
fn moments(seed: u64) -> impl Iterator<Item = Duration> {
    let whole = u64::try_from(UNDISTURBED.took.as_micros()).unwrap_or(u64::MAX);
    let mut random = Random::new(seed);
    println!("seed {seed:#x}, moments within {:?}", UNDISTURBED.took);
    std::iter::repeat_with(move || Duration::from_micros(random.below(whole)))
}

#[test]
fn killed_at_any_moment_it_ends_as_if_undisturbed() {
    let kills = if is_long() { 500 } else { 50 };
    let mut hit = 0;
    for moment in moments(0x5eed_f100_0001).take(kills) {
        let state = State::new();
        hit += usize::from(state.kill_after(moment));
        assert_same(&UNDISTURBED.export, &state.triage(), &format!("killed after {moment:?}, then run again"));
        state.assert_sound();
    }
    println!("{hit} of {kills} kills met a floor at work");
    // How many do depends on the machine's load; a handful is the least that makes the test one.
    assert!(hit * 5 > kills, "only {hit} of {kills} kills met a floor at work");
}

#[test]
fn killed_up_to_five_times_in_a_row_it_ends_as_if_undisturbed() {
    let rounds = if is_long() { 60 } else { 6 };
    let mut moments = moments(0x5eed_f100_0002);
    for round in 0..rounds {
        let state = State::new();
        let killed: Vec<Duration> = moments.by_ref().take(1 + round % 5).collect();
        for moment in &killed {
            state.kill_after(*moment);
        }
        assert_same(&UNDISTURBED.export, &state.triage(), &format!("killed after {killed:?}, then run again"));
        state.assert_sound();
    }
}

#[test]
fn a_second_run_changes_nothing() {
    let state = State::new();
    assert_same(&UNDISTURBED.export, &state.triage(), "the first run");
    let rows = || -> (i64, i64) {
        let count = "SELECT (SELECT count(*) FROM entry), (SELECT count(*) FROM outbox)";
        let counted = state.database("journal.db").query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?)));
        counted.expect("the journal is read")
    };
    let before = rows();
    assert_same(&UNDISTURBED.export, &state.triage(), "the second run");
    assert_eq!(before, rows(), "the second run recorded something");
    state.assert_sound();
}

#[test]
fn a_folder_that_was_moved_is_taken_up_at_once() {
    for after in [20, 40, 80] {
        let state = State::new();
        assert!(is_abort(state.triage_with(&format!("abort-after-append={after}")).status), "append {after}");
        let moved = state.beside("moved");
        std::fs::rename(state.path(), &moved).expect("the folder is moved");
        let began = Instant::now();
        let ended = run(watchfloor(&["triage", SAMPLE, "--json", "--data", shown(&moved)])).expect_finished();
        // What the dead floor had claimed is free: nobody waits for its leases to expire.
        assert!(began.elapsed() < Duration::from_secs(30), "append {after}: it took {:?}", began.elapsed());
        let what = format!("aborted after append {after}, moved, then run again");
        assert_same(&UNDISTURBED.export, &canonical(&ended.json()), &what);
    }
}

#[test]
fn an_hour_between_two_lives_costs_no_budget() {
    for after in [20, 32, 44, 56, 68, 80, 92] {
        let state = State::new();
        assert!(is_abort(state.triage_with(&format!("abort-after-append={after}")).status), "append {after}");
        for _ in 0..2 {
            an_hour_passes(&state);
            // Enough to take up what was begun; it may also come to its end.
            state.triage_with("abort-after-append=5").expect_no_panic();
        }
        an_hour_passes(&state);
        let what = format!("an hour's rest after append {after}, and after each 5 more");
        assert_same(&UNDISTURBED.export, &state.triage(), &what);
        state.assert_sound();
    }
}

/// Makes everything on record an hour older. The gatekeeper's audit binds its times and stays as it is.
fn an_hour_passes(state: &State) {
    let hour = jiff::SignedDuration::from_hours(1);
    for stream in ["alerts", "case/WF-1", "case/WF-2", "case/WF-3", "case/WF-4"] {
        for row in stored_rows(state, stream) {
            let at: jiff::Timestamp = row.at.parse().expect("a time");
            overwrite(state, stream, &StoredRow { at: (at - hour).to_string(), ..row }, true);
        }
    }
    let older =
        "UPDATE queue SET order_key = order_key - ?1, lease_until = lease_until - ?1, not_before = not_before - ?1";
    let micros = i64::try_from(hour.as_micros()).expect("an hour is short");
    state.database("journal.db").execute(older, [micros]).expect("the queue is written");
}

#[test]
fn lost_messages_change_nothing() {
    for fault in ["drop-every=3", "drop-every=1"] {
        let state = State::new();
        let ended = state.triage_with(fault).expect_finished();
        assert!(ended.stderr.contains(FAULT), "a floor with a fault says so: {ended:?}");
        assert_same(&UNDISTURBED.export, &canonical(&ended.json()), fault);
        state.assert_sound();
    }
}

#[test]
fn an_actor_that_breaks_is_restarted_and_changes_nothing() {
    for role in ["intake", "tier1", "tier2", "gatekeeper", "case-writer"] {
        let state = State::new();
        let ended = state.triage_with(&format!("panic={role}"));
        assert!(ended.stderr.contains(&format!("{role} breaks on purpose")), "it did not break: {ended:?}");
        assert!(matches!(ended.code(), Some(0 | 1)), "{ended:?}");
        assert_same(&UNDISTURBED.export, &canonical(&ended.json()), &format!("{role} broke once"));
        assert_same(&UNDISTURBED.export, &state.triage(), &format!("{role} broke once, then run again"));
        state.assert_sound();
    }
}

/// A row of a stream, as it lies in the file.
#[derive(Clone)]
struct StoredRow {
    seq: u64,
    kind: String,
    at: String,
    body: String,
}

fn stored_rows(state: &State, stream: &str) -> Vec<StoredRow> {
    let database = state.database("journal.db");
    let mut query = database
        .prepare("SELECT seq, kind, at, body FROM entry WHERE stream = ?1 ORDER BY seq")
        .expect("the journal has this table");
    let read = |row: &rusqlite::Row<'_>| {
        Ok(StoredRow { seq: row.get::<_, u32>(0)?.into(), kind: row.get(1)?, at: row.get(2)?, body: row.get(3)? })
    };
    let rows = query.query_map([stream], read).expect("it is read");
    rows.collect::<Result<_, _>>().expect("rows are what was written")
}

/// The checksum that belongs to a row, made as the journal makes it: every part after its length.
fn checksum(stream: &str, row: &StoredRow) -> u32 {
    let seq = row.seq.to_le_bytes();
    let mut checksum = crc32fast::Hasher::new();
    for part in [stream.as_bytes(), &seq, row.kind.as_bytes(), row.at.as_bytes(), row.body.as_bytes()] {
        checksum.update(&(part.len() as u64).to_le_bytes());
        checksum.update(part);
    }
    checksum.finalize()
}

/// Writes a row over the one with its number, and leaves the checksum or, like a forger, mends it.
fn overwrite(state: &State, stream: &str, row: &StoredRow, mend_checksum: bool) {
    let database = state.database("journal.db");
    let seq = i64::try_from(row.seq).expect("few rows");
    let update = "UPDATE entry SET at = ?1, body = ?2 WHERE stream = ?3 AND seq = ?4";
    let changed = database.execute(update, rusqlite::params![row.at, row.body, stream, seq]);
    assert_eq!(changed.expect("the row is written"), 1);
    if mend_checksum {
        let update = "UPDATE entry SET crc = ?1 WHERE stream = ?2 AND seq = ?3";
        let changed = database.execute(update, rusqlite::params![checksum(stream, row), stream, seq]);
        assert_eq!(changed.expect("the row is written"), 1);
    }
}

/// Flips one bit in the middle of a row's body.
fn flip(state: &State, stream: &str, row: &StoredRow) {
    let mut bytes = row.body.clone().into_bytes();
    let middle = bytes.len() / 2;
    let place = (middle..bytes.len()).find(|place| bytes[*place].is_ascii_lowercase()).expect("JSON has letters");
    bytes[place] ^= 1;
    let body = String::from_utf8(bytes).expect("a letter became another");
    overwrite(state, stream, &StoredRow { body, ..row.clone() }, false);
}

/// The export without one case.
fn without(export: &Value, case: &str) -> Value {
    let mut rest = export.clone();
    rest["cases"].as_object_mut().expect("cases").remove(case);
    rest
}

#[test]
fn a_damaged_row_of_a_finished_case_is_named_and_costs_the_others_nothing() {
    let state = State::new();
    state.triage();
    let rows = stored_rows(&state, "case/WF-2");
    let row = &rows[rows.len() / 2];
    flip(&state, "case/WF-2", row);
    let check = state.run(&["journal", "check"]).expect_code(2);
    assert!(check.stdout.contains(&format!("row {} of stream case/WF-2 is damaged", row.seq)), "{check:?}");
    let check = state.run(&["journal", "check", "--json"]).expect_code(2).json();
    assert_eq!(check["damaged"][0]["stream"], "case/WF-2", "{check}");
    assert_eq!(check["damaged"][0]["seq"], row.seq, "{check}");
    assert_eq!(check["damaged"].as_array().map(Vec::len), Some(1), "{check}");
    let again = state.triage();
    assert_same(&without(&UNDISTURBED.export, "WF-2"), &without(&again, "WF-2"), "the other cases");
    assert_eq!(again["cases"]["WF-2"]["case"]["state"]["status"], "on_hold", "it needs a person as before");
}

#[test]
fn an_open_case_with_a_damaged_row_goes_on_hold_and_the_others_are_judged() {
    let mut seen = 0;
    // Cut short at several depths, so that the damage lies in a case that was opened, begun or nearly judged.
    for after in [8, 14, 20, 26, 32, 38, 44] {
        let state = State::new();
        assert!(is_abort(state.triage_with(&format!("abort-after-append={after}")).status), "append {after}");
        let rows = stored_rows(&state, "case/WF-1");
        let has_ended = rows.iter().any(|row| row.kind == "moved" && row.body.contains("on_hold"));
        let Some(row) = rows.get(1..).and_then(<[_]>::last).filter(|_| !has_ended) else { continue };
        seen += 1;
        flip(&state, "case/WF-1", row);
        let check = state.run(&["journal", "check"]).expect_code(2);
        assert!(check.stdout.contains(&format!("row {} of stream case/WF-1 is damaged", row.seq)), "{check:?}");
        let ended = state.run(&["triage", SAMPLE, "--json"]).expect_code(1);
        let export = canonical(&ended.json());
        let what = format!("row {} ({}) of WF-1 damaged", row.seq, row.kind);
        assert_same(&without(&UNDISTURBED.export, "WF-1"), &without(&export, "WF-1"), &what);
        let shown = &export["cases"]["WF-1"]["case"]["state"];
        assert_eq!(shown["status"], "on_hold", "{what}: {shown}");
        assert_eq!(shown["hold"]["cause"], "journal_damaged", "{what}: {shown}");
        let question = shown["hold"]["ask"]["question"].as_str().unwrap_or_default();
        assert!(question.contains(&format!("row {} of stream case/WF-1", row.seq)), "{what}: {question}");
        // The damage stays on record, and a further run changes nothing.
        state.run(&["journal", "check"]).expect_code(2);
        assert_same(&export, &state.triage(), &format!("{what}, run once more"));
    }
    assert!(seen >= 3, "the damage met an open case only {seen} times");
}

#[test]
fn a_changed_audit_row_is_named() {
    let forged = |mend_checksum, says: &str| {
        let state = State::new();
        state.triage();
        let rows = stored_rows(&state, "gate");
        let row = rows.last().expect("the sample has proposals");
        let body = row.body.replace("isolate_device", "run_av_scan");
        assert_ne!(body, row.body, "the sample asks for isolation");
        overwrite(&state, "gate", &StoredRow { body, ..row.clone() }, mend_checksum);
        let verified = state.run(&["audit", "verify"]).expect_code(2);
        assert!(verified.stdout.contains(&format!("broken at row {}: {says}", row.seq)), "{verified:?}");
        let verified = state.run(&["audit", "verify", "--json"]).expect_code(2).json();
        assert_eq!(verified["broken"]["seq"], row.seq, "{verified}");
        assert_eq!(verified["rows"], row.seq - 1, "the rows before it hold: {verified}");
    };
    forged(false, "its checksum does not match");
    forged(true, "it was changed after it was written");
}

#[test]
fn a_removed_audit_row_is_named() {
    let state = State::new();
    state.triage();
    assert!(stored_rows(&state, "gate").len() > 1, "the sample has two proposals");
    let removed = state.database("journal.db").execute("DELETE FROM entry WHERE stream = 'gate' AND seq = 1", []);
    assert_eq!(removed.expect("the row is removed"), 1);
    let verified = state.run(&["audit", "verify"]).expect_code(2);
    assert!(verified.stdout.contains("broken at row 1"), "{verified:?}");
}

#[test]
fn a_fault_that_does_not_exist_is_refused() {
    let state = State::new();
    let mut command = state.command(&["triage", SAMPLE]);
    command.env(FAULT, "explode");
    run(command).expect_refusal(&[FAULT, "`explode`", "abort-after-append=N"]);
}
