//! Which files a followed path stands for now, and how each is to be read: as a log that grows, or once and whole.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::encoding::Encoding;

/// How much of a file's beginning tells how it is read.
const LOOKED_AT: u64 = 4096;

/// Marks at the beginning of files that are read once: gzip, zstd, EVTX, zip.
const WHOLE: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"ElfFile\0", b"PK\x03\x04"];

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Tells it from other files whatever it is called: its inode, where the system has one.
    pub key: String,
    /// Where it is.
    pub path: PathBuf,
    /// How it looks from outside.
    pub stat: Stat,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stat {
    /// The file changed within this time, as far as the system says.
    #[must_use]
    pub fn is_younger_than(&self, age: Duration) -> bool {
        self.modified.is_some_and(|modified| modified.elapsed().is_ok_and(|elapsed| elapsed < age))
    }
}

/// How a file is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It says nothing yet.
    Blank,
    /// Line by line, as it grows.
    Growing,
    /// Once, when it has stopped changing.
    Whole,
}

/// The files that a path stands for: itself, or the files of a folder by name, without hidden ones and without its
/// subfolders. `known` files that have left the path and lie beside it, renamed, are among them.
///
/// # Errors
/// When the path leads nowhere or may not be read.
pub fn scan(path: &Path, known: &HashSet<String>) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        found.extend(files_in(path)?);
    } else {
        found.push(Found::new(path.to_owned(), &metadata));
        let beside = path.parent().filter(|_| !known.is_empty());
        // A folder that may not be listed hides renamed files and nothing else.
        let beside =
            beside.and_then(|folder| files_in(if folder == Path::new("") { Path::new(".") } else { folder }).ok());
        found.extend(beside.unwrap_or_default().into_iter().filter(|file| known.contains(&file.key)));
    }
    // Two names of one file are one file.
    let mut keys = HashSet::new();
    found.retain(|file| keys.insert(file.key.clone()));
    Ok(found)
}

fn files_in(folder: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        // What was removed since, or may not be looked at, is not there.
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        if metadata.is_file() && !is_hidden {
            found.push(Found::new(entry.path(), &metadata));
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

impl Found {
    fn new(path: PathBuf, metadata: &Metadata) -> Self {
        let stat = Stat { length: metadata.len(), modified: metadata.modified().ok() };
        Self { key: key(&path, metadata), path, stat }
    }
}

#[cfg(unix)]
fn key(_: &Path, metadata: &Metadata) -> String {
    std::os::unix::fs::MetadataExt::ino(metadata).to_string()
}

#[cfg(not(unix))]
fn key(path: &Path, _: &Metadata) -> String {
    path.display().to_string()
}

impl Kind {
    /// How a file is to be read, by its beginning.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut start = Vec::new();
        File::open(path)?.take(LOOKED_AT).read_to_end(&mut start)?;
        Ok(Self::by_start(&start))
    }

    fn by_start(start: &[u8]) -> Self {
        if Encoding::is_open(start) && !matches!(start, [b'{' | b'[']) {
            return Self::Blank;
        }
        let is_short = start.len() < LOOKED_AT as usize;
        let start = Encoding::of(start).decode(start.to_vec());
        let start = start.as_slice();
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
        let first_line = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
        // An object that is spread over lines, an array and XML are no lines, and neither is what has NULs.
        let is_spread = first_line == b"{" && text.contains(&b'\n');
        let is_whole = WHOLE.iter().any(|mark| start.starts_with(mark)) || start.contains(&0);
        match text {
            _ if is_whole || is_spread || text.starts_with(b"[") || text.starts_with(b"<") => Self::Whole,
            [] if is_short => Self::Blank,
            _ => Self::Growing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_its_beginning_says() {
        assert_eq!(Kind::by_start(b""), Kind::Blank);
        assert_eq!(Kind::by_start(b"\xef\xbb\xbf\r\n"), Kind::Blank);
        for growing in [&b"{\"EventID\":1}\n"[..], b"{", b"half a line\"}\n{\"EventID\":1}\n", b"\xef\xbb\xbf{\"a\":1}"]
        {
            assert_eq!(Kind::by_start(growing), Kind::Growing, "{growing:?}");
        }
        for blank in [&b"\xff"[..], b"\xfe", b"\0", b"{\0", b"\xff\xfe", b"\xfe\xff\0\n"] {
            assert_eq!(Kind::by_start(blank), Kind::Blank, "{blank:?}");
        }
        for growing in [&b"\xff\xfe{\0"[..], b"\xfe\xff\0{\0", b"{\0\"\0"] {
            assert_eq!(Kind::by_start(growing), Kind::Growing, "{growing:?}");
        }
        for whole in [
            &b"\x1f\x8b\x08"[..],
            b"ElfFile\0",
            b"\n[\n{}]",
            b"<Events>",
            b"\xff\xfe[\0\n\0",
            b"{\0\n\0 \0",
            b"{\n \"a\": 1}",
        ] {
            assert_eq!(Kind::by_start(whole), Kind::Whole, "{whole:?}");
        }
    }

    #[test]
    fn a_folder_stands_for_its_visible_files() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.ndjson", "a.ndjson", ".hidden"] {
            fs::write(folder.path().join(name), "x").expect("it is written");
        }
        fs::create_dir(folder.path().join("sub")).expect("it is made");
        let names = |found: Vec<Found>| -> Vec<String> {
            found.iter().filter_map(|file| Some(file.path.file_name()?.to_string_lossy().into_owned())).collect()
        };
        let found = scan(folder.path(), &HashSet::new()).expect("it is listed");
        assert_eq!(names(found), ["a.ndjson", "b.ndjson"]);
        assert!(scan(&folder.path().join("c"), &HashSet::new()).is_err());
    }

    #[test]
    #[cfg(unix)]
    fn a_known_file_that_was_renamed_is_found_beside_its_old_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, renamed) = (folder.path().join("log"), folder.path().join("log.1"));
        fs::write(&path, "old").expect("it is written");
        let known: HashSet<String> =
            scan(&path, &HashSet::new()).expect("it is there").into_iter().map(|file| file.key).collect();
        fs::rename(&path, &renamed).expect("it is renamed");
        fs::write(&path, "new").expect("it is written");
        fs::write(folder.path().join("other"), "other").expect("it is written");
        let found: Vec<PathBuf> = scan(&path, &known).expect("both").into_iter().map(|file| file.path).collect();
        assert_eq!(found, [path, renamed]);
    }
}
