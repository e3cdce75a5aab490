//! A floor that keeps running in a process of its own, told line by line what happens on it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::program::{State, shown};

/// Longer than anything takes here, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Running {
    child: Child,
    told: Receiver<Value>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts `watchfloor run` on a state.
    pub fn start(state: &State, arguments: &[&str]) -> Self {
        Self::with(state, arguments, &[])
    }

    pub fn with(state: &State, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = state.command(&[&["run", "--json"], arguments].concat());
        command.envs(environment.iter().copied()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("it is piped");
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, told }
    }

    /// Starts one that anybody on this machine may send to, and waits until it listens.
    pub fn listening(state: &State) -> (Self, SocketAddr) {
        let running = Self::start(state, &["--listen", "127.0.0.1:0", "--no-auth"]);
        let address = running.address();
        (running, address)
    }

    /// Starts one that follows a path, and waits until it does.
    pub fn following(state: &State, path: &Path) -> Self {
        let running = Self::start(state, &["--follow", shown(path)]);
        running.wait_for("the source is up", |told| told["news"] == "up");
        running
    }

    /// Where it listens.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        let up = self.wait_for("the listener is up", |told| told["source"] == "listener" && told["news"] == "up");
        let address = up["what"].as_str().and_then(|what| what.strip_prefix("http://"));
        address.expect("it says where").parse().expect("an address")
    }

    /// Waits until this is told.
    #[track_caller]
    pub fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut before = Vec::new();
        loop {
            match self.told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(told) if is_it(&told) => return told,
                Ok(told) => before.push(told),
                Err(RecvTimeoutError::Timeout) => panic!("{what}: not told within {PATIENCE:?}, but {before:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("{what}: the floor ended before, after {before:?}"),
            }
        }
    }

    /// What has been told since, without waiting.
    pub fn told(&self) -> impl Iterator<Item = Value> {
        self.told.try_iter()
    }

    pub fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Kills it as a power cut would kill the process.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the floor did not end within {PATIENCE:?}");
    }

    /// Stops it as an operator does.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal("-TERM");
        assert_eq!(self.ended().code(), Some(0));
    }
}

/// Waits until this holds.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
