//! Printing: what a log, a rule or a file's name says is shown, never obeyed by the terminal, and a reader who
//! stops reading is no fault.

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::domain::taint;

/// Prints lines for a person.
///
/// # Errors
/// When they cannot be written, unless the reader has gone.
pub fn say(text: impl AsRef<str>) -> Result<()> {
    write(&lines(text.as_ref()))
}

/// Prints JSON for a program. Hidden characters in it are escaped as JSON escapes them.
///
/// # Errors
/// As [`say`].
pub fn say_json(value: &impl Serialize) -> Result<()> {
    write(&escaped(&serde_json::to_string_pretty(value)?))
}

/// As [`say_json`], on one line: one of many that a program reads as they come.
///
/// # Errors
/// As [`say`].
pub fn say_json_line(value: &impl Serialize) -> Result<()> {
    write(&escaped(&serde_json::to_string(value)?))
}

/// JSON without characters that a terminal would obey or hide.
fn escaped(text: &str) -> String {
    let escaped = text.chars().map(|c| match taint::of(c.encode_utf8(&mut [0; 4])) {
        Some(taint::Taint::HiddenCharacters) => {
            c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
        }
        _ => c.to_string(),
    });
    escaped.collect()
}

/// Tells a person what went wrong. Whether anybody reads it changes nothing.
pub fn complain(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "watchfloor: {}", lines(text.as_ref()));
}

fn lines(text: &str) -> String {
    text.trim_end_matches('\n').split('\n').map(taint::shown).collect::<Vec<_>>().join("\n")
}

fn write(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("the output could not be written"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_that_is_quoted() {
        assert_eq!(lines("a\u{1b}[31m\nb\u{202e}\u{9b}c\r\n"), "a\\u{001B}[31m\nb\\u{202E}\\u{009B}c ");
    }
}
