//! The README's commands, parsed by the real command line, so that the page cannot go stale unnoticed.

use std::path::Path;

use clap::Parser;
use clap::error::ErrorKind;
use watchfloor::cli::Arguments;

const README: &str = include_str!("../README.md");

/// The lines of the page's fenced blocks.
fn fenced(page: &str) -> Vec<&str> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            lines.push(line.trim());
        }
    }
    lines
}

/// The words of a call of `watchfloor`, if the line is one: `$ ` and variables in front do not count, nor does
/// what a shell does with the output.
fn call(line: &str) -> Option<Vec<String>> {
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let is_variable = |word: &&str| {
        word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let ends = |word: &&str| !matches!(*word, "|" | ">" | "&&" | ";" | "#");
    let words: Vec<&str> = line.split_whitespace().skip_while(is_variable).take_while(ends).collect();
    let arguments = match words.as_slice() {
        ["watchfloor", arguments @ ..] => arguments,
        ["cargo", "run", rest @ ..] => &rest[rest.iter().position(|word| *word == "--")? + 1..],
        _ => return None,
    };
    Some(std::iter::once("watchfloor").chain(arguments.iter().copied()).map(str::to_owned).collect())
}

#[test]
fn every_command_of_the_page_is_understood() {
    let calls: Vec<Vec<String>> = fenced(README).into_iter().filter_map(call).collect();
    assert!(calls.len() >= 5, "the page shows its commands: {calls:?}");
    for words in calls {
        match Arguments::try_parse_from(&words) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {}
            Err(error) => panic!("`{}`:\n{error}", words.join(" ")),
        }
    }
}

#[test]
fn the_page_begins_with_the_demonstration_and_triages_a_file_that_is_there() {
    let calls: Vec<Vec<String>> = fenced(README).into_iter().filter_map(call).collect();
    assert_eq!(calls[0], ["watchfloor", "demo"]);
    let triage = calls.iter().find(|call| call[1] == "triage").expect("there is one");
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&triage[2]).is_file(), "{triage:?}");
}

#[test]
fn files_the_page_points_to_are_there() {
    for link in README.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        if !link.contains("://") && !link.starts_with('#') {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "README links to {link}");
        }
    }
}

#[test]
fn a_stale_command_would_be_noticed() {
    let words = call("$ WATCHFLOOR_LOG=info watchfloor traige x.ndjson | less").expect("it is a call");
    assert_eq!(words, ["watchfloor", "traige", "x.ndjson"]);
    assert!(Arguments::try_parse_from(words).is_err());
    assert_eq!(
        call("cargo run --release -- cases list"),
        Some(["watchfloor", "cases", "list"].map(str::to_owned).to_vec())
    );
    assert_eq!(call("cargo test"), None);
}
