//! The house as `ARCHITECTURE.md` draws it, checked against the source: arrows, first lines, lengths, guarded calls.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each part may use of the others. A part may always use itself.
const HOUSE: [(&str, &[&str]); 15] = [
    ("domain", &[]),
    ("knowledge", &[]),
    ("ports", &["domain", "knowledge"]),
    ("telemetry", &["domain"]),
    ("evidence", &["domain", "knowledge", "ports"]),
    ("journal", &["domain", "knowledge", "ports", "telemetry"]),
    ("detection", &["domain", "knowledge", "ports"]),
    ("model", &["domain", "knowledge", "ports", "telemetry"]),
    ("tools", &["domain", "knowledge", "ports", "evidence", "journal", "detection", "telemetry"]),
    ("analyst", &["domain", "knowledge", "ports", "evidence", "journal", "detection", "tools", "model", "telemetry"]),
    (
        "floor",
        &["domain", "knowledge", "ports", "evidence", "journal", "detection", "tools", "analyst", "model", "telemetry"],
    ),
    ("scenarios", &["domain", "knowledge", "ports", "detection"]),
    ("experiment", &["domain", "knowledge", "ports", "journal", "detection", "floor", "scenarios"]),
    (
        "cli",
        &[
            "domain",
            "knowledge",
            "ports",
            "evidence",
            "journal",
            "detection",
            "tools",
            "analyst",
            "floor",
            "scenarios",
            "experiment",
            "model",
            "telemetry",
        ],
    ),
    ("adapters", &["domain", "knowledge", "ports"]),
];

/// The one file outside `adapters` that names them.
const ASSEMBLY: &str = "floor/assembly.rs";

/// Longest file, without its tests.
const LONGEST_FILE: usize = 500;

/// A source file: its path below `src`, its text, and its code.
struct Source {
    path: String,
    text: String,
    code: Code,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into(), code: Code::of(text) }
    }

    /// `floor` for `floor/desk.rs`; empty for `main.rs` and `lib.rs`.
    fn part(&self) -> &str {
        self.path.split_once('/').map_or("", |(part, _)| part)
    }
}

/// A file's text with comments and literals blanked out, so that what remains is code, line for line.
struct Code {
    /// All of it.
    whole: String,
    /// Without what is compiled for tests alone.
    shipped: String,
    /// Modules declared in files of their own for tests alone.
    test_modules: Vec<String>,
}

impl Code {
    fn of(text: &str) -> Self {
        let whole = blank_comments_and_literals(text);
        let (shipped, test_modules) = blank_tests(&whole);
        Self { whole, shipped, test_modules }
    }
}

/// Every file of `src`, the ones that are tests as a whole left out.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let read = |file: &PathBuf| {
        let path = file.strip_prefix(&root).expect("it lies in src").display().to_string().replace('\\', "/");
        Source::new(&path, &fs::read_to_string(file).expect("it is text"))
    };
    let sources: Vec<Source> = files.iter().map(read).collect();
    assert!(sources.len() > 50, "the source was found: {} files", sources.len());
    let tests: BTreeSet<String> = sources.iter().flat_map(test_files).collect();
    sources.into_iter().filter(|source| !tests.contains(&source.path)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The files that a source declares for tests alone.
fn test_files(source: &Source) -> Vec<String> {
    let stem = source.path.trim_end_matches(".rs");
    let folder = stem.strip_suffix("/mod").unwrap_or(stem);
    // Modules of the crate's own root lie beside it.
    let within = if stem == "lib" { String::new() } else { format!("{folder}/") };
    source.code.test_modules.iter().map(|module| format!("{within}{module}.rs")).collect()
}

/// Blanks comments, strings and characters, and keeps every line break.
fn blank_comments_and_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_or_comment_end(&chars, at);
        match end {
            Some(end) => {
                out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
                at = end;
            }
            None => {
                out.push(chars[at]);
                at += 1;
            }
        }
    }
    out
}

/// Where the comment or literal that begins here ends, if one begins here.
fn literal_or_comment_end(chars: &[char], at: usize) -> Option<usize> {
    let next = |offset: usize| chars.get(at + offset).copied();
    let word_before = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next(1) == Some('/') => Some(find(chars, at, |c, _| c == '\n').unwrap_or(chars.len())),
        '/' if next(1) == Some('*') => Some(end_of_block_comment(chars, at)),
        '"' => Some(end_of_string(chars, at)),
        'r' if !word_before => {
            let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
            (next(1 + hashes) == Some('"')).then(|| end_of_raw_string(chars, at + 2 + hashes, hashes))
        }
        '\'' if next(1) == Some('\\') => Some(find(chars, at + 3, |c, _| c == '\'').map_or(chars.len(), |end| end + 1)),
        '\'' if next(2) == Some('\'') => Some(at + 3),
        _ => None,
    }
}

fn find(chars: &[char], from: usize, is: impl Fn(char, usize) -> bool) -> Option<usize> {
    (from..chars.len()).find(|at| is(chars[*at], *at))
}

fn end_of_block_comment(chars: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0_u32, from);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn end_of_string(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn end_of_raw_string(chars: &[char], from: usize, hashes: usize) -> usize {
    let closes =
        |c, at: usize| c == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    find(chars, from, closes).map_or(chars.len(), |end| end + 1 + hashes)
}

/// Blanks every item under `#[cfg(test)]`, and names the modules among them that have files of their own.
fn blank_tests(code: &str) -> (String, Vec<String>) {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let (mut shipped, mut modules, mut rest) = (String::with_capacity(code.len()), Vec::new(), code);
    while let Some(begin) = rest.find(ATTRIBUTE) {
        shipped.push_str(&rest[..begin]);
        let item = &rest[begin + ATTRIBUTE.len()..];
        let end = end_of_item(item);
        if let Some(module) = item[..end].trim().strip_suffix(';').and_then(|item| item.split("mod ").nth(1)) {
            modules.push(module.trim().to_owned());
        }
        shipped.extend(item[..end].chars().filter(|c| *c == '\n'));
        rest = &item[end..];
    }
    shipped.push_str(rest);
    (shipped, modules)
}

/// Where an item ends: at its semicolon, or where its braces close.
fn end_of_item(item: &str) -> usize {
    let mut depth = 0_u32;
    for (at, c) in item.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    item.len()
}

/// The parts of our own that a piece of code names, `use crate::{a, b}` among them, each with its line.
fn named_parts(code: &str) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (begin, path) in code.match_indices("crate::") {
        let line = code[..begin].matches('\n').count() + 1;
        let rest = &code[begin + path.len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let group = &group[..end_of_group(group)];
                named.extend(first_segments(group).into_iter().map(|part| (line, part)));
            }
            None => named.push((line, first_word(rest))),
        }
    }
    named
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn end_of_group(group: &str) -> usize {
    let mut depth = 1_u32;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    group.len()
}

/// `a` and `c` of `a::{b, x}, c::d`.
fn first_segments(group: &str) -> Vec<String> {
    let (mut depth, mut segments, mut begin) = (0_u32, Vec::new(), 0);
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                segments.push(first_word(group[begin..at].trim()));
                begin = at + 1;
            }
            _ => {}
        }
    }
    segments.into_iter().filter(|segment| !segment.is_empty()).collect()
}

/// The arrows of a file that run against the house.
fn wrong_arrows(source: &Source) -> Vec<String> {
    let house = BTreeMap::from(HOUSE);
    let part = source.part();
    let Some(allowed) = house.get(part) else {
        return match part {
            // `main.rs` and `lib.rs` stand above the house.
            "" => vec![],
            _ => vec![format!("src/{}: `{part}` is no part of the house that this test knows", source.path)],
        };
    };
    let is_wrong = |code: &str, named: &str| {
        let known = house.contains_key(named);
        let own = named == part;
        // What is compiled for tests alone may name adapters: a test needs a real store.
        let assembles = named == "adapters" && (source.path == ASSEMBLY || code == "test");
        known && !own && !assembles && !allowed.contains(&named)
    };
    let shipped: Vec<_> = named_parts(&source.code.shipped);
    let all: Vec<_> = named_parts(&source.code.whole);
    let mut wrong: BTreeSet<String> = BTreeSet::new();
    for (code, named) in [("shipped", shipped), ("test", all)] {
        for (line, named) in named.into_iter().filter(|(_, named)| is_wrong(code, named)) {
            wrong.insert(format!("src/{}:{line} uses {named}, and {part} may not", source.path));
        }
    }
    wrong.into_iter().collect()
}

/// Fails with every finding on a line of its own.
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn arrows_point_one_way() {
    none(&sources().iter().flat_map(wrong_arrows).collect::<Vec<_>>());
}

#[test]
fn every_part_of_the_house_is_there_and_none_besides() {
    let found: BTreeSet<String> =
        sources().iter().map(|source| source.part().to_owned()).filter(|part| !part.is_empty()).collect();
    let drawn: BTreeSet<String> = HOUSE.iter().map(|(part, _)| (*part).to_owned()).collect();
    assert_eq!(found, drawn);
}

#[test]
fn a_wrong_arrow_is_found_wherever_it_hides() {
    let wrong = |path: &str, text: &str| wrong_arrows(&Source::new(path, text)).len();
    assert_eq!(wrong("domain/x.rs", "use crate::ports::clock::Clock;"), 1);
    assert_eq!(wrong("domain/x.rs", "use crate::{\n    domain::a::{B, C},\n    journal::run::Run,\n};"), 1);
    assert_eq!(wrong("detection/x.rs", "fn f() { crate::journal::run::f() }"), 1);
    assert_eq!(wrong("knowledge/x.rs", "use crate::domain::ids::CaseId;"), 1);
    assert_eq!(wrong("telemetry/x.rs", "use crate::ports::clock::Clock;"), 1);
    assert_eq!(wrong("tools/x.rs", "use crate::adapters::embedded::Limits;"), 1);
    assert_eq!(wrong("floor/tree.rs", "use crate::adapters::embedded::Limits;"), 1);
    assert_eq!(wrong("adapters/x.rs", "use crate::journal::run::Run;"), 1);
    assert_eq!(wrong("ports/x.rs", "#[cfg(test)]\nmod tests { use crate::floor::tree::Floor; }"), 1);
    assert_eq!(wrong("attic/x.rs", ""), 1);
}

#[test]
fn a_right_arrow_is_no_finding() {
    let wrong = |path: &str, text: &str| wrong_arrows(&Source::new(path, text)).len();
    assert_eq!(wrong("ports/x.rs", "use crate::domain::ids::CaseId;"), 0);
    assert_eq!(wrong("floor/assembly.rs", "use crate::adapters::embedded::Limits;"), 0);
    assert_eq!(wrong("adapters/x.rs", "use crate::adapters::embedded::Limits;"), 0);
    assert_eq!(wrong("tools/x.rs", "#[cfg(test)]\nmod tests { use crate::adapters::embedded::Limits; }\n"), 0);
    assert_eq!(wrong("domain/x.rs", "// use crate::ports\n/* crate::floor */ const A: &str = \"crate::cli\";"), 0);
    assert_eq!(wrong("domain/x.rs", "const A: &str = r#\"\"crate::cli\"#; const B: char = '\"'; // crate::cli"), 0);
}

#[test]
fn every_file_says_first_what_it_is_about() {
    let silent = |source: &&Source| !source.text.starts_with("//! ");
    // The library's first line is the README, which is its page.
    let readme = |source: &&Source| source.path == "lib.rs" && source.text.starts_with("#![doc = include_str!");
    let found = sources();
    let found = found.iter().filter(silent).filter(|source| !readme(source));
    none(&found.map(|source| format!("src/{}: the first line is no `//!`", source.path)).collect::<Vec<_>>());
}

#[test]
fn no_file_grows_beyond_its_subject() {
    // Tests are blanked to empty lines, so a file's length is that of what is shipped, blank lines at its end left out.
    let lines = |source: &Source| source.code.shipped.trim_end().lines().count();
    let found = sources();
    let long = found.iter().map(|source| (source, lines(source))).filter(|(_, lines)| *lines > LONGEST_FILE);
    let told = long.map(|(source, lines)| format!("src/{}: {lines} lines, at most {LONGEST_FILE}", source.path));
    none(&told.collect::<Vec<_>>());
}

#[test]
fn evidence_is_verified_in_one_place() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.part() != "evidence") {
        for call in ["VerifiedEvidence::check(", "VerifiedAbsence::check("] {
            let squeezed: String = source.code.shipped.split_whitespace().collect();
            if squeezed.contains(call) {
                found.push(format!("src/{}: `{call}…)` is called outside src/evidence", source.path));
            }
        }
    }
    none(&found);
}

#[test]
fn unsafe_code_is_forbidden() {
    for root in ["lib.rs", "main.rs"] {
        let found = sources().into_iter().find(|source| source.path == root).expect("it is there");
        assert!(found.code.whole.contains("#![forbid(unsafe_code)]"), "src/{root} does not forbid unsafe code");
    }
}

#[test]
fn a_panic_never_aborts() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).expect("a manifest");
    let settings = manifest.lines().map(|line| line.split('#').next().unwrap_or_default());
    let aborts = |line: &str| line.split_whitespace().collect::<String>().contains("panic=\"abort\"");
    assert!(!settings.into_iter().any(aborts), "`panic = \"abort\"` in Cargo.toml would kill supervision");
}

#[test]
fn what_may_panic_says_why_it_does_not() {
    let mut found = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, code) in source.code.shipped.lines().enumerate() {
            let panics = code.contains(".unwrap()") || code.contains(".expect(");
            let above = at.checked_sub(1).map_or("", |above| lines[above].trim());
            if panics && !lines[at].contains("//") && !above.starts_with("//") {
                found.push(format!("src/{}:{}: {}", source.path, at + 1, lines[at].trim()));
            }
        }
    }
    none(&found);
}
