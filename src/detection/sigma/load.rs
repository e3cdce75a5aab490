//! Rules from a folder, a file, an archive or the program itself. A bad rule is named; the others load.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use include_dir::{Dir, include_dir};
use rsigma_parser::{Level, SigmaRule, Status, parse_sigma_yaml};

use super::{LogSources, Rejected, Route, RuleSet, engine};
use crate::domain::alert::{RuleCard, Severity};
use crate::domain::ids::RuleId;

/// The rules that come with the program.
static BUILTIN: Dir = include_dir!("$CARGO_MANIFEST_DIR/rules");

/// A larger file is no rule.
const LARGEST_RULE: u64 = 1024 * 1024;

/// Why no rules could be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The place cannot be read.
    #[error("rules cannot be read from `{path}` ({source}): name a folder, a .yml file or a .tar.gz archive of rules")]
    Unreadable {
        /// The place.
        path: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It holds no rule file.
    #[error("`{0}` holds no Sigma rule: name a folder or archive with .yml files in it")]
    NoRules(String),
}

/// A rule file: its name and text.
struct RuleFile {
    name: String,
    text: Result<String, String>,
}

impl RuleSet {
    /// The rules that come with the program.
    #[must_use]
    pub fn builtin() -> Self {
        let mut files = Vec::new();
        collect_embedded(&BUILTIN, &mut files);
        compile(files)
    }

    /// Rules from a folder (with its subfolders), a single file, or a tar archive, gzip or not.
    ///
    /// # Errors
    /// When the place cannot be read or holds no rule file. A bad rule is no error: see [`RuleSet::rejected`].
    pub fn load(path: &Path) -> Result<Self, RuleError> {
        let name = path.display().to_string();
        let files = files_at(path).map_err(|source| RuleError::Unreadable { path: name.clone(), source })?;
        if files.is_empty() { Err(RuleError::NoRules(name)) } else { Ok(compile(files)) }
    }
}

fn files_at(path: &Path) -> std::io::Result<Vec<RuleFile>> {
    let mut files = Vec::new();
    if path.is_dir() {
        let mut folders = vec![path.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let (entry, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
                // A link to a folder may lead in a circle and is not followed.
                if kind.is_dir() {
                    folders.push(entry);
                } else if is_rule(&entry) && entry.metadata().is_ok_and(|file| file.is_file()) {
                    // A pipe or a device would be waited for.
                    files.push(rule_file(&entry, File::open(&entry)));
                }
            }
        }
    } else if is_rule(path) {
        files.push(rule_file(path, Ok(File::open(path)?)));
    } else {
        let mut archive: Box<dyn BufRead> = Box::new(BufReader::new(File::open(path)?));
        if archive.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
            archive = Box::new(BufReader::new(MultiGzDecoder::new(archive)));
        }
        for entry in tar::Archive::new(archive).entries()? {
            let entry = entry?;
            let name = entry.path()?.into_owned();
            if entry.header().entry_type().is_file() && is_rule(&name) {
                files.push(rule_file(&name, Ok(entry)));
            }
        }
    }
    // Folders and archives list their files in any order; which of two duplicates wins must not depend on it.
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn is_rule(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    extension.eq_ignore_ascii_case("yml") || extension.eq_ignore_ascii_case("yaml")
}

fn rule_file(path: &Path, content: std::io::Result<impl Read>) -> RuleFile {
    let mut text = String::new();
    let read = content.and_then(|content| content.take(LARGEST_RULE + 1).read_to_string(&mut text));
    let text = match read {
        Ok(length) if length as u64 > LARGEST_RULE => Err("larger than 1 MB, which no rule is".to_owned()),
        Ok(_) => Ok(text),
        Err(error) => Err(format!("cannot be read: {error}")),
    };
    RuleFile { name: path.display().to_string(), text }
}

fn collect_embedded(folder: &Dir, files: &mut Vec<RuleFile>) {
    for file in folder.files().filter(|file| is_rule(file.path())) {
        files.push(rule_file(file.path(), Ok(file.contents())));
    }
    folder.dirs().for_each(|inner| collect_embedded(inner, files));
    files.sort_by(|one, other| one.name.cmp(&other.name));
}

fn compile(files: Vec<RuleFile>) -> RuleSet {
    let mut rejected = Vec::new();
    let mut cards: HashMap<RuleId, Arc<RuleCard>> = HashMap::new();
    let mut origins: HashMap<RuleId, String> = HashMap::new();
    let mut by_route: Vec<(Route, Vec<SigmaRule>)> = Vec::new();
    for RuleFile { name, text } in files {
        let mut reject = |reason: String| rejected.push(Rejected { file: name.clone(), reason });
        let parsed = match text.and_then(|text| parse_sigma_yaml(&text).map_err(|error| error.to_string())) {
            Ok(parsed) => parsed,
            Err(reason) => {
                reject(reason);
                continue;
            }
        };
        if parsed.rules.is_empty()
            && parsed.correlations.is_empty()
            && parsed.filters.is_empty()
            && parsed.errors.is_empty()
        {
            reject("holds no rule".to_owned());
        }
        parsed.errors.into_iter().for_each(&mut reject);
        for correlation in &parsed.correlations {
            reject(format!("`{}` is a correlation, which a later version will read", correlation.title));
        }
        for filter in &parsed.filters {
            reject(format!("`{}` is a filter, which a later version will read", filter.title));
        }
        for rule in parsed.rules {
            let id = rule_id(rule.id.as_deref(), &rule.title);
            if let Some(first) = origins.get(&id) {
                reject(format!("`{}` has the id {id} of a rule in {first}, which is kept", rule.title));
                continue;
            }
            origins.insert(id.clone(), name.clone());
            cards.insert(id, Arc::new(card(&rule)));
            let route = Route::to(&rule.logsource);
            match by_route.iter_mut().find(|(known, _)| *known == route) {
                Some((_, rules)) => rules.push(rule),
                None => by_route.push((route, vec![rule])),
            }
        }
    }

    let mut engines = Vec::new();
    let mut unreachable = Vec::new();
    for (route, rules) in by_route {
        let mut engine = engine();
        let mut failed = vec![false; rules.len()];
        for (position, error) in engine.add_rules(&rules) {
            let rule = &rules[position];
            let id = rule_id(rule.id.as_deref(), &rule.title);
            failed[position] = true;
            cards.remove(&id);
            let file = origins.remove(&id).unwrap_or_default();
            rejected.push(Rejected { file, reason: format!("`{}` does not compile: {error}", rule.title) });
        }
        if route == Route::Nowhere {
            let sound = rules.iter().zip(failed).filter(|(_, failed)| !failed);
            unreachable.extend(sound.map(|(rule, _)| rule_id(rule.id.as_deref(), &rule.title)));
        } else {
            engines.push((route, engine));
        }
    }
    unreachable.sort();
    rejected.sort_by(|one, other| one.file.cmp(&other.file));
    let sources = LogSources::new(engines.iter().map(|(route, _)| route));
    RuleSet { engines, sources, cards, rejected, unreachable }
}

/// A rule's own id, or its title where it has none.
pub(super) fn rule_id(id: Option<&str>, title: &str) -> RuleId {
    RuleId::new(id.filter(|id| !id.is_empty()).unwrap_or(title))
}

fn card(rule: &SigmaRule) -> RuleCard {
    RuleCard {
        id: rule_id(rule.id.as_deref(), &rule.title),
        title: rule.title.clone(),
        author: rule.author.clone(),
        // A rule that does not say how loud it is, is reviewed.
        level: rule.level.map_or(Severity::Medium, severity),
        status: rule.status.map(status).map(str::to_owned),
        description: rule.description.clone(),
        tags: rule.tags.clone(),
        false_positives: rule.falsepositives.clone(),
    }
}

const fn severity(level: Level) -> Severity {
    match level {
        Level::Informational => Severity::Informational,
        Level::Low => Severity::Low,
        Level::Medium => Severity::Medium,
        Level::High => Severity::High,
        Level::Critical => Severity::Critical,
    }
}

const fn status(status: Status) -> &'static str {
    match status {
        Status::Stable => "stable",
        Status::Test => "test",
        Status::Experimental => "experimental",
        Status::Deprecated => "deprecated",
        Status::Unsupported => "unsupported",
    }
}
