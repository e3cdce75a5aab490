//! The demonstration as a stranger meets it: it ends in time and well, shows the floor's parts, says what is invented,
//! and the command it prints for the waiting isolation makes a simulated lease.

use std::time::{Duration, Instant};

mod support;

use support::program::{Ended, State, run, watchfloor};

/// So long a demonstration may take.
const LONGEST: Duration = Duration::from_secs(60);

/// The words of the first printed line that begins so, as arguments of the program.
fn command(shown: &Ended, begins: &str) -> Vec<String> {
    let lines = shown.stdout.lines().map(str::trim);
    let line = lines.into_iter().find(|line| line.starts_with(begins));
    let line = line.unwrap_or_else(|| panic!("no line begins `{begins}`: {}", shown.stdout));
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

#[test]
fn a_stranger_sees_the_floor_work_in_time_and_can_answer_what_waits() {
    let state = State::new();
    let began = Instant::now();
    let shown = state.run(&["demo"]).expect_code(0);
    // The promise is that of the program as it is shipped; a build for tests is several times as slow.
    let longest = if cfg!(debug_assertions) { LONGEST * 3 } else { LONGEST };
    assert!(began.elapsed() < longest, "it took {:?}", began.elapsed());
    for part in [
        "written, not recorded",
        "EDR is simulated",
        "Detection",
        "Intake",
        "Tier 1",
        "Tier 2",
        "Gatekeeper",
        "Writer",
        "read it back",
        "written truth",
        "waits for a person",
        "watchfloor triage C:\\Windows\\System32\\winevt\\Logs",
    ] {
        assert!(shown.stdout.contains(part), "`{part}` is not shown in {}", shown.stdout);
    }
    let approve = command(&shown, "watchfloor approvals approve");
    let mut answered = watchfloor(&approve.iter().map(String::as_str).collect::<Vec<_>>());
    answered.arg("--by").arg("a.reader");
    run(answered).expect_code(0);
    let leases = state.run(&["leases", "list"]).expect_no_panic();
    assert!(leases.stdout.contains("simulated"), "{leases:?}");
    state.assert_sound();
}

#[test]
fn written_cases_are_not_put_among_others() {
    let state = State::new();
    std::fs::create_dir_all(state.path()).expect("a folder");
    std::fs::write(state.path().join("cases.db"), "x").expect("a file");
    state.run(&["demo"]).expect_refusal(&["holds something already", "--data"]);
}
