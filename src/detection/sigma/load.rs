//! Rule files from a folder, a file, an archive or the program itself.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use include_dir::{Dir, include_dir};

use super::RuleSet;
use super::assemble::assemble;
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

/// A rule file: its name and text, or why it has none.
pub(super) struct RuleFile {
    pub(super) name: String,
    pub(super) text: Result<String, String>,
}

impl RuleFile {
    /// The first line that holds these words, counted from 1.
    pub(super) fn line_of(&self, words: &str) -> Option<u64> {
        let text = self.text.as_ref().ok().filter(|_| !words.is_empty())?;
        text.lines().zip(1..).find(|(line, _)| line.contains(words)).map(|(_, number)| number)
    }
}

impl RuleSet {
    /// The rules that come with the program.
    #[must_use]
    pub fn builtin() -> Self {
        let mut files = Vec::new();
        collect_embedded(&BUILTIN, &mut files);
        assemble(&files)
    }

    /// No rules: what is read with them is stored and raises nothing.
    #[must_use]
    pub fn none() -> Self {
        assemble(&[])
    }

    /// Rules from a folder (with its subfolders), a single file, or a tar archive, gzip or not.
    ///
    /// # Errors
    /// When the place cannot be read or holds no rule file. A bad rule is no error: see [`RuleSet::rejected`].
    pub fn load(path: &Path) -> Result<Self, RuleError> {
        let name = path.display().to_string();
        let files = files_at(path).map_err(|source| RuleError::Unreadable { path: name.clone(), source })?;
        if files.is_empty() { Err(RuleError::NoRules(name)) } else { Ok(assemble(&files)) }
    }
}

/// The rule files of a folder and its subfolders.
pub(super) fn rule_paths(folder: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let (entry, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
            // A link to a folder may lead in a circle and is not followed; a pipe or a device would be waited for.
            if kind.is_dir() {
                folders.push(entry);
            } else if is_rule(&entry) && entry.metadata().is_ok_and(|file| file.is_file()) {
                paths.push(entry);
            }
        }
    }
    Ok(())
}

pub(super) fn files_at(path: &Path) -> std::io::Result<Vec<RuleFile>> {
    let mut files = Vec::new();
    if path.is_dir() {
        let mut paths = Vec::new();
        rule_paths(path, &mut paths)?;
        files.extend(paths.iter().map(|path| rule_file(path, File::open(path))));
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

/// A rule's own id, or its title where it has none.
pub(super) fn rule_id(id: Option<&str>, title: &str) -> RuleId {
    RuleId::new(id.filter(|id| !id.is_empty()).unwrap_or(title))
}
