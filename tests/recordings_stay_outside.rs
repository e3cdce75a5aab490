//! Nothing of the recordings is in the repository: no host, user, hash, file or tool that their labels name. Whoever
//! writes a rule, a prompt, a test or a scenario with such a name tunes the floor to what it is measured with.
//!
//! The names are read from the labels where the recordings lie beside the repository, so that none stands here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde_json::Value;

/// Shorter ones are parts of words everywhere, and say nothing.
const SHORTEST: usize = 5;

/// Names among those of the labels that come with every Windows: programs, accounts, groups, libraries, the directory's
/// database and its right to replicate, registry keys, the name Task Manager gives a dump. A detection that is worth
/// anything speaks of them, and so does every scenario that is true to life. Two words are plain English, and one
/// program is what a maker ships to everybody under this name.
const ORDINARY: [&str; 49] = [
    "1131f6ad-9c07-11d1-f79f-00c04fc2dcd2",
    "\\lsass",
    "administrator",
    "bitsadmin.exe",
    "certutil",
    "cmd.exe",
    "cmmgr32.exe",
    "comsvcs.dll",
    "comsvcs.dll minidump",
    "consentstore\\microphone",
    "dllhost",
    "domain admins",
    "esentutl",
    "eventlog",
    "fdenytsconnections",
    "fodhelper.exe",
    "gathernetworkinfo.vbs",
    "installutil.exe",
    "local service",
    "lsass.dmp",
    "ms-settings\\shell\\open\\command",
    "net.exe",
    "notepad.exe",
    "ntds.dit",
    "ntdsutil",
    "portproxy",
    "powershell",
    "powershell.exe",
    // Every PowerShell engine names its pipe so.
    "pshost",
    "reg.exe",
    "regsvr32",
    "remotedesktop",
    "schtasks",
    "schtasks.exe",
    "scrcons.exe",
    "serviceprincipalname",
    "services.exe",
    "sethc",
    "shadowcopy",
    "taskmgr.exe",
    "threat",
    "tomcat9.exe",
    "updater",
    "userinitmprlogonscript",
    "vbscript:execute",
    "wbemcomn.dll",
    "whoami",
    "wmiprvse.exe",
    "wsmprovhost.exe",
];

/// Endings by which a word of a label is a file's name.
const FILES: [&str; 20] = [
    ".bat", ".class", ".cmd", ".cs", ".dit", ".dll", ".dmp", ".exe", ".hta", ".inf", ".jar", ".js", ".kirbi", ".lnk",
    ".ps1", ".sct", ".sys", ".vbs", ".xml", ".zip",
];

/// The folder of recordings: `WATCHFLOOR_SHARED`, or `shared` beside the repository.
fn scenarios() -> Option<PathBuf> {
    let named = std::env::var_os("WATCHFLOOR_SHARED").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|parent| parent.join("shared"));
    named.or_else(beside).map(|folder| folder.join("data/scenarios")).filter(|folder| folder.is_dir())
}

fn texts<'a>(label: &'a Value, path: &str) -> Vec<&'a str> {
    match label.pointer(path) {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(text)) => vec![text],
        _ => vec![],
    }
}

/// What a label names, in lower case.
fn names(label: &Value) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut add = |name: &str| {
        let name = name.trim().to_lowercase();
        // What stands in parentheses is a remark.
        if name.chars().count() >= SHORTEST && !name.starts_with('(') && !ORDINARY.contains(&name.as_str()) {
            names.insert(name);
        }
    };
    let hosts = ["/hosts/compromised", "/hosts/origin", "/hosts/bystander"].into_iter().flat_map(|at| texts(label, at));
    let measured = label.pointer("/measured/hosts").and_then(Value::as_object).into_iter().flatten();
    for host in hosts.chain(measured.map(|(host, _)| host.as_str())) {
        add(host);
        if let Some((short, domain)) = host.split_once('.') {
            add(short);
            add(domain);
        }
    }
    texts(label, "/users").into_iter().for_each(&mut add);
    texts(label, "/file/sha256_uncompressed").into_iter().for_each(&mut add);
    // What a verdict has to quote is a command, a file or a tool of the attack.
    texts(label, "/expected/must_cite").into_iter().for_each(&mut add);
    for text in
        ["/expected/must_cite", "/expected/conclusion", "/expected/noise"].iter().flat_map(|at| texts(label, at))
    {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '$');
        for word in text.split(|c| !is_part(c)).map(|word| word.trim_matches('.')) {
            if FILES.iter().any(|ending| word.to_lowercase().ends_with(ending)) {
                add(word);
            }
        }
    }
    // Public rules name a tool in their titles.
    let rules = label.pointer("/measured/rules").and_then(Value::as_array).into_iter().flatten();
    for title in rules.filter_map(|rule| rule["title"].as_str()) {
        let tool = title.strip_prefix("HackTool - ").and_then(|rest| rest.split(' ').next());
        tool.filter(|tool| *tool != "Generic").into_iter().for_each(&mut add);
    }
    names
}

/// The name stands in the text as a word of its own, or as several.
fn mentions(text: &str, name: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(name).any(|(at, found)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + found.len()..].chars().next());
        let begins = !is_word(before) || !is_word(name.chars().next());
        let ends = !is_word(after) || !is_word(name.chars().next_back());
        begins && ends
    })
}

/// Every file of the repository as lower-case text, by its path; packed ones unpacked. What is built, what is fetched
/// and the history of versions are no part of it.
fn repository() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                let is_foreign = matches!(name.as_str(), "target" | ".git") || name.ends_with("-data");
                if !is_foreign {
                    folders.push(path);
                }
            } else if name != "Cargo.lock" {
                let mut bytes = fs::read(&path).expect("a file of the repository");
                if bytes.starts_with(&[0x1f, 0x8b]) {
                    let mut unpacked = Vec::new();
                    MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).expect("it is whole");
                    bytes = unpacked;
                }
                // JSON and source write a backslash twice.
                let text = String::from_utf8_lossy(&bytes).to_lowercase().replace("\\\\", "\\");
                let path = path.strip_prefix(root).expect("it lies in it").display().to_string();
                found.insert(path, text);
            }
        }
    }
    found
}

#[test]
fn no_name_of_a_recording_is_in_the_repository() {
    let Some(folder) = scenarios() else {
        println!("skipped: no recordings beside the repository, and WATCHFLOOR_SHARED names none");
        return;
    };
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in fs::read_dir(&folder).expect("the recordings are readable") {
        let path = entry.expect("an entry").path();
        let Ok(text) = fs::read_to_string(path.join("label.json")) else { continue };
        let label: Value = serde_json::from_str(&text).expect("a label");
        let id = label["id"].as_str().unwrap_or_default().to_owned();
        for name in names(&label) {
            all.entry(name).or_default().insert(id.clone());
        }
    }
    assert!(all.len() > 50, "the labels name hosts, users, files and tools: {}", all.len());
    let repository = repository();
    assert!(repository.contains_key("Cargo.toml") && repository.len() > 200, "{} files", repository.len());
    let mut found = Vec::new();
    for (path, text) in &repository {
        for (name, of) in all.iter().filter(|(name, _)| mentions(text, name)) {
            found.push(format!("{path}: `{name}` of {}", of.iter().next().map_or("", String::as_str)));
        }
    }
    assert!(found.is_empty(), "names of recordings in the repository:\n{}", found.join("\n"));
}

#[test]
fn names_are_read_from_a_label_and_found_wherever_they_stand() {
    let label = serde_json::json!({
        "hosts": {"compromised": ["(two hosts)", "ODDBOX.made-up.example"], "bystander": ["ab1"]},
        "users": ["Administrator", "some.body"],
        "expected": {"must_cite": ["cmd.exe", "oddtool /run"], "conclusion": "It ran oddfile.EXE.", "noise": ""},
        "measured": {"hosts": {"other-box.made-up.example": 3}, "rules": [{"title": "HackTool - OddTool Execution"}]},
    });
    let found: Vec<String> = names(&label).into_iter().collect();
    assert_eq!(
        found,
        [
            "made-up.example",
            "oddbox",
            "oddbox.made-up.example",
            "oddfile.exe",
            "oddtool",
            "oddtool /run",
            "other-box",
            "other-box.made-up.example",
            "some.body"
        ]
    );
    assert!(mentions(r"c:\oddfile.exe -x", "oddfile.exe") && mentions("oddbox", "oddbox"));
    assert!(!mentions("oddboxes", "oddbox") && !mentions("toddbox", "oddbox"));
    assert!(mentions(r"run\thing", r"\thing") && mentions("(oddtool /run)", "oddtool /run"));
}
