//! What the user names becomes logs: files, folders with everything below them, and standard input. Every one is
//! looked at before anything is done with any.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{EventLog, ReadError};
use crate::detection::clock::ClockOffset;

/// How standard input is named.
pub const STANDARD_INPUT: &str = "-";

/// A log that was looked at.
#[derive(Debug)]
pub struct Input {
    name: String,
    size: Option<u64>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// A file is opened anew when its turn comes: a folder may hold more of them than may be open at once.
    File(PathBuf),
    /// A pipe is read once.
    Pipe(Box<EventLog>),
}

impl Input {
    fn file(path: PathBuf) -> Result<Self, ReadError> {
        let log = EventLog::open(&path)?;
        let (name, size) = (path.display().to_string(), log.progress().total());
        let way = if size.is_some() { Way::File(path) } else { Way::Pipe(Box::new(log)) };
        Ok(Self { name, size, way })
    }

    fn standard_input() -> Result<Self, ReadError> {
        let name = "standard input".to_owned();
        let log = EventLog::reading(name.clone(), Box::new(std::io::stdin()), None)?;
        Ok(Self { name, size: None, way: Way::Pipe(Box::new(log)) })
    }

    /// Its name as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bytes, packed if it is; `None` of a pipe.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// The log, with this declared of its clock.
    ///
    /// # Errors
    /// When it is no longer what it was.
    pub fn open(self, clock: ClockOffset) -> Result<EventLog, ReadError> {
        let log = match self.way {
            Way::File(path) => EventLog::open(&path)?,
            Way::Pipe(log) => *log,
        };
        Ok(log.with_clock(clock))
    }
}

impl From<EventLog> for Input {
    fn from(log: EventLog) -> Self {
        Self { name: log.source().file.clone(), size: log.progress().total(), way: Way::Pipe(Box::new(log)) }
    }
}

/// A file of a folder that is no log.
#[derive(Debug)]
pub struct LeftOut {
    /// The file.
    pub file: String,
    /// Why it is none.
    pub reason: ReadError,
}

/// All that the user named.
#[derive(Debug, Default)]
pub struct Inputs {
    /// The logs, as they were named; those of a folder in order of their paths.
    pub logs: Vec<Input>,
    /// Files of folders that are no logs. A file that was named itself is never among them.
    pub left_out: Vec<LeftOut>,
}

impl Inputs {
    /// Looks at files, folders, and `-` for standard input.
    ///
    /// # Errors
    /// When one that was named is no log, or no folder with logs in it.
    pub fn find(named: &[PathBuf]) -> Result<Self, ReadError> {
        let mut found = Self::default();
        let mut seen = BTreeSet::new();
        for path in named {
            if !seen.insert(path.clone()) {
                continue;
            }
            if path.as_os_str() == STANDARD_INPUT {
                found.logs.push(Input::standard_input()?);
            } else if path.is_dir() {
                let before = found.logs.len();
                for file in files_below(path, &mut found.left_out) {
                    if seen.insert(file.clone()) {
                        found.add(file);
                    }
                }
                if found.logs.len() == before {
                    let folder = path.display().to_string();
                    let found = found.left_out.iter().find(|left| Path::new(&left.file).starts_with(path));
                    let found = found.map_or_else(|| "it is empty".to_owned(), |left| left.reason.to_string());
                    return Err(ReadError::NoLogs { folder, found });
                }
            } else {
                found.logs.push(Input::file(path.clone())?);
            }
        }
        Ok(found)
    }

    fn add(&mut self, path: PathBuf) {
        let file = path.display().to_string();
        // A pipe or a device in a folder would be waited for.
        let input = if path.is_file() {
            Input::file(path)
        } else {
            Err(ReadError::NotALog { input: file.clone(), found: "it is no regular file".to_owned() })
        };
        match input {
            Ok(input) => self.logs.push(input),
            Err(reason) => self.left_out.push(LeftOut { file, reason }),
        }
    }
}

/// Every file below a folder, in order of the paths. A link to a folder may lead in a circle and is not followed.
fn files_below(folder: &Path, left_out: &mut Vec<LeftOut>) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).and_then(|entries| {
            entries.map(|entry| entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))).collect()
        });
        match entries {
            Ok::<Vec<_>, _>(entries) => {
                for (path, kind) in entries {
                    if kind.is_dir() {
                        folders.push(path);
                    } else if !(kind.is_symlink() && path.is_dir()) {
                        files.push(path);
                    }
                }
            }
            Err(source) => {
                let file = folder.display().to_string();
                left_out.push(LeftOut { reason: ReadError::Unreadable { input: file.clone(), source }, file });
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_logs_in_order_and_names_what_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let record = |number: u32| {
            format!(
                r#"{{"@timestamp":"2026-03-02T08:00:01Z","EventReceivedTime":"x","SourceModuleName":"eventlog","Hostname":"WKS-01","Channel":"System","EventID":7036,"RecordNumber":{number}}}"#
            )
        };
        let write = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
            std::fs::write(&path, content).expect("it is written");
            path
        };
        let second = write("b/later.ndjson", &record(2));
        let first = write("a/first.json", &format!("[{}]", record(1)));
        let third = write("c.log", &record(3));
        write("b/notes.txt", "remember the milk");
        write("empty", "");
        let found = Inputs::find(&[third.clone(), folder.path().to_owned()]).expect("there are logs");
        let names: Vec<&str> = found.logs.iter().map(Input::name).collect();
        let expected = [&third, &first, &second].map(|path| path.display().to_string());
        assert_eq!(names, expected, "once each, and what was named first comes first");
        let left_out: Vec<&str> =
            found.left_out.iter().map(|left| left.file.rsplit('/').next().unwrap_or("")).collect();
        assert_eq!(left_out, ["notes.txt", "empty"]);
        let events = found.logs.into_iter().flat_map(|input| input.open(ClockOffset::NONE).expect("still a log"));
        let records: Vec<_> = events.filter_map(|event| event.record_id).collect();
        assert_eq!(records, ["3", "1", "2"]);

        let error = Inputs::find(&[folder.path().join("b/notes.txt")]).expect_err("it was named itself");
        assert!(error.to_string().contains("notes.txt"), "{error}");
        std::fs::remove_file(second).expect("it is removed");
        let error = Inputs::find(&[third, folder.path().join("b")]).expect_err("nothing is left in it");
        assert!(matches!(error, ReadError::NoLogs { .. }), "{error}");
        assert!(matches!(Inputs::find(&[folder.path().join("none")]), Err(ReadError::Missing(_))));
    }
}
