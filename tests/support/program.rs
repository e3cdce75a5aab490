//! What the whole-program tests share: running the binary, masking what may differ between two runs, comparing the
//! rest, because a floor that was cut short must end where an undisturbed one does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// A written intrusion, a false alarm and an open question.
pub const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/first-look/events.ndjson");

/// Switches faults on in the program.
pub const FAULT: &str = "WATCHFLOOR_FAULT";

/// Stands where two runs may differ.
const MASK: &str = "(masked)";

/// A run of the program that has ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    fn new(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program prints UTF-8");
        Self { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The exit code; a run that was killed has none.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The run ended with this code, and nothing in it panicked.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self:?}");
        self.expect_no_panic()
    }

    /// It came to its end: 0 or 1 by what it found.
    #[track_caller]
    pub fn expect_finished(self) -> Self {
        assert!(matches!(self.code(), Some(0 | 1)), "{self:?}");
        self.expect_no_panic()
    }

    /// It failed with exit code 2 and said all of this on standard error.
    #[track_caller]
    pub fn expect_refusal(self, words: &[&str]) -> Self {
        let refused = self.expect_code(2);
        for word in words {
            assert!(refused.stderr.contains(word), "`{word}` is not said in {refused:?}");
        }
        refused
    }

    #[track_caller]
    pub fn expect_no_panic(self) -> Self {
        assert!(!self.stderr.contains("panicked at"), "{self:?}");
        self
    }
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, stdout, stderr } = self;
        let stdout: String = stdout.chars().take(2_000).collect();
        write!(f, "a run that ended with {status}\n--- stderr\n{stderr}\n--- stdout\n{stdout}\n---")
    }
}

/// The program, without anything the surrounding shell may have switched on.
pub fn watchfloor(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchfloor"));
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("WATCHFLOOR_") || shown.starts_with("OTEL_") {
            command.env_remove(&name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(mut command: Command) -> Ended {
    Ended::new(command.output().expect("the program starts"))
}

/// A state folder of its own, removed at the end of the test.
pub struct State {
    folder: TempDir,
}

impl State {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// A place beside the state for a test's own files.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file beside the state.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.beside(name);
        std::fs::write(&path, content).expect("the test's file is written");
        path
    }

    /// `watchfloor ARGUMENTS --data` on this state.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = watchfloor(arguments);
        command.arg("--data").arg(self.path());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments))
    }

    /// Triage of the sample with faults switched on.
    pub fn triage_with(&self, fault: &str) -> Ended {
        let mut command = self.command(&["triage", SAMPLE, "--json"]);
        command.env(FAULT, fault);
        run(command)
    }

    /// Triage of the sample to its end; gives the cases as they may be compared with another run's.
    #[track_caller]
    pub fn triage(&self) -> Value {
        canonical(&self.run(&["triage", SAMPLE, "--json"]).expect_finished().json())
    }

    /// Triage of the sample in a process that is left running, with nobody listening.
    pub fn start(&self) -> Child {
        let mut command = self.command(&["triage", SAMPLE, "--json"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the program starts")
    }

    /// Starts a triage and kills it after this long. Says whether it was still at work.
    pub fn kill_after(&self, delay: Duration) -> bool {
        let mut child = self.start();
        std::thread::sleep(delay);
        // On a process that has ended, the kill does nothing.
        child.kill().expect("the process is ours");
        child.wait().expect("the process is ours").code().is_none()
    }

    /// The journal is whole, nothing waits in it, and the audit's chain holds.
    #[track_caller]
    pub fn assert_sound(&self) {
        let check = self.run(&["journal", "check", "--json"]).expect_code(0).json();
        assert_eq!(check["damaged"], json!([]), "{check}");
        assert_eq!(check["effects_open"], 0, "{check}");
        let audit = self.run(&["audit", "verify", "--json"]).expect_code(0).json();
        assert_eq!(audit["broken"], Value::Null, "{audit}");
    }

    /// A database of the state, opened as any other program would.
    pub fn database(&self, file: &str) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path().join(file)).expect("the database opens")
    }
}

/// An undisturbed run, made once per test program.
pub struct Undisturbed {
    pub export: Value,
    /// How long a run takes here and now.
    pub took: Duration,
}

pub static UNDISTURBED: LazyLock<Undisturbed> = LazyLock::new(|| {
    let timed = || {
        let state = State::new();
        let began = Instant::now();
        let export = state.triage();
        (began.elapsed(), export)
    };
    // The first run warms the disk's cache.
    let (_, export) = timed();
    let (took, again) = timed();
    assert_same(&export, &again, "two undisturbed runs");
    assert!(export["cases"].as_object().is_some_and(|cases| cases.len() > 1), "the sample makes cases: {export}");
    Undisturbed { export, took }
});

/// What a triage's report says, without times, traces, versions and the order in which concurrent authors came.
/// Comments keep their keys, and their numbers must run from 1 without a gap.
#[track_caller]
pub fn canonical(report: &Value) -> Value {
    let inputs = report["inputs"].as_array().expect("a report names its inputs");
    // How much was stored before depends on where an earlier run ended.
    let inputs: Vec<_> =
        inputs.iter().map(|input| json!({"events": input["events"], "alerts": input["alerts"]})).collect();
    let mut cases = Map::new();
    for thread in report["cases"].as_array().expect("a report lists its cases") {
        let id = thread["case"]["id"].as_str().expect("a case has an id").to_owned();
        let before = cases.insert(id.clone(), canonical_thread(thread));
        assert!(before.is_none(), "{id} is listed twice");
    }
    json!({"inputs": inputs, "cases": cases})
}

/// A case with its comments, masked as [`canonical`] says.
#[track_caller]
pub fn canonical_thread(thread: &Value) -> Value {
    let comments = thread["comments"].as_array().expect("a case has comments");
    let numbers: Vec<u64> = comments.iter().filter_map(|comment| comment["number"].as_u64()).collect();
    let expected: Vec<u64> = (1..).take(comments.len()).collect();
    assert_eq!(numbers, expected, "comments are numbered without gaps: {thread}");
    let text = |comment: &Value, name: &str| comment[name].as_str().expect("a comment has it").to_owned();
    // The gatekeeper answers while a tier works on; all others wait for one another.
    let in_turn = comments.iter().filter(|comment| comment["author"] != "Gatekeeper");
    let order: Vec<String> = in_turn.map(|comment| text(comment, "key")).collect();
    let mut by_key = Map::new();
    for comment in comments {
        let said = json!({"author": text(comment, "author"), "text": text(comment, "text")});
        let key = text(comment, "key");
        assert!(by_key.insert(key.clone(), said).is_none(), "comment {key} is there twice");
    }
    let mut case = thread["case"].clone();
    case["opened"] = MASK.into();
    case["state"]["version"] = MASK.into();
    case["state"]["trace"] = MASK.into();
    json!({"case": case, "comments": by_key, "order": order})
}

/// Fails with the first places where two exports differ.
#[track_caller]
pub fn assert_same(expected: &Value, found: &Value, what: &str) {
    let mut differences = Vec::new();
    compare("", expected, found, &mut differences);
    assert!(differences.is_empty(), "{what}: {} differences, first\n{}", differences.len(), {
        differences.truncate(8);
        differences.join("\n")
    });
}

fn compare(path: &str, expected: &Value, found: &Value, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for name in names {
                let (one, other) = (one.get(name).unwrap_or(&Value::Null), other.get(name).unwrap_or(&Value::Null));
                compare(&format!("{path}/{name}"), one, other, differences);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (place, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{path}/{place}"), one, other, differences);
            }
        }
        _ if expected == found => {}
        _ => differences.push(format!("{path}: expected {expected}, found {found}")),
    }
}

/// A small generator of numbers (xorshift64): the same seed gives the same numbers everywhere.
pub struct Random(u64);

impl Random {
    /// From a seed that is not 0.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number in `0..below`.
    pub const fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// Lines of the sample.
pub fn sample_lines() -> Vec<String> {
    let text = std::fs::read_to_string(SAMPLE).expect("the sample is there");
    text.lines().map(str::to_owned).collect()
}

/// A path as the program is given it.
pub fn shown(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}
