//! Context from TOML files in a folder.
//!
//! Every `*.toml` of the folder may hold `[[asset]]`, `[[account]]`, `[[window]]`, `[[approved]]` and `[[watchlist]]`
//! entries. Nothing is skipped: a key that is not known, or a file that is no TOML, stops the command, because a line
//! that was meant to protect a machine must not be lost in silence.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::ports::context::{Account, Approval, Asset, AssetTier, Context, Watchlist, Window};

/// Why a context cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The folder or a file cannot be read.
    #[error("the context {path} cannot be read ({source}): check the path and its permissions")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is of no known kind.
    #[error(
        "the context holds {0}, which is no TOML file: rename it to *.toml, or move it elsewhere (only *.md and *.txt are left alone)"
    )]
    Stranger(String),
    /// A file says something that cannot be used.
    #[error(
        "{path}, line {line}: {what}; a context file holds [[asset]], [[account]], [[window]], [[approved]] and [[watchlist]] entries"
    )]
    Unsound {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

/// What a file may hold.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    asset: Vec<toml::Spanned<Asset>>,
    account: Vec<Account>,
    window: Vec<Window>,
    approved: Vec<Approval>,
    watchlist: Vec<Watchlist>,
}

/// Reads a folder of context files. A folder that is not there holds nothing, unless it `must_exist`.
///
/// # Errors
/// When something in it cannot be read or used.
pub fn read(folder: &Path, must_exist: bool) -> Result<Context, ContextError> {
    let unreadable = |path: &Path, source| ContextError::Unreadable { path: path.display().to_string(), source };
    let listed = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => return Ok(Context::default()),
        listed => {
            listed.and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>, _>>())
        }
    };
    let mut paths = listed.map_err(|source| unreadable(folder, source))?;
    paths.sort();
    let mut context = Context::default();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with('.') || name.ends_with(".md") || name.ends_with(".txt") {
            continue;
        }
        if !name.ends_with(".toml") {
            return Err(ContextError::Stranger(path.display().to_string()));
        }
        let text = std::fs::read_to_string(&path).map_err(|source| unreadable(&path, source))?;
        add(&mut context, &path, &text)?;
    }
    Ok(context)
}

fn add(context: &mut Context, path: &Path, text: &str) -> Result<(), ContextError> {
    let unsound = |place: Option<usize>, what: String| {
        let line = place.and_then(|place| text.get(..place)).map_or(1, |before| before.matches('\n').count() + 1);
        ContextError::Unsound { path: path.display().to_string(), line, what }
    };
    let File { asset, account, window, approved, watchlist } = toml::from_str(text)
        .map_err(|error| unsound(error.span().map(|span| span.start), error.message().to_owned()))?;
    for entry in asset {
        let place = entry.span().start;
        let asset = entry.into_inner();
        let is_zero = asset.role.is_tier_zero() || asset.tier == Some(AssetTier::ZERO);
        let name = asset.name.as_str();
        if is_zero && asset.isolation_allowed == Some(true) {
            let what = format!(
                "`{name}` is of tier 0 and never isolated by a machine: leave `isolation_allowed` out, or set it to false"
            );
            return Err(unsound(Some(place), what));
        }
        if asset.role.is_tier_zero() && asset.tier.is_some_and(|tier| tier != AssetTier::ZERO) {
            let what =
                format!("`{name}` is a {}, which is of tier 0: set `tier = 0` or leave it out", asset.role.name());
            return Err(unsound(Some(place), what));
        }
        context.assets.push(asset);
    }
    context.accounts.extend(account);
    context.windows.extend(window);
    context.approved.extend(approved);
    context.watchlists.extend(watchlist);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entity::HostName;

    const SOUND: &str = r#"
[[asset]]
name = "wks-*"
role = "workstation"
tier = 3
criticality = "low"
owner = "IT"
isolation_allowed = true

[[account]]
name = "adm-*"
role = "admin"

[[window]]
name = "patch night"
kind = "maintenance"
purpose = "monthly patches"
hosts = ["srv-*"]
weekly = { day = "saturday", from = "22:00", to = "04:00" }

[[window]]
name = "red team"
kind = "test"
purpose = "announced test"
accounts = ["red.team"]
from = 2026-03-01T10:00:00Z
to = "2026-03-02T10:00:00Z"

[[approved]]
name = "inventory"
kind = "management_agent"
purpose = "asset inventory"
image = 'C:\Program Files\Vendor\agent.exe'

[[watchlist]]
name = "phishing"
kind = "domain"
why = "campaign of March"
values = ["bad.example"]
"#;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("it is written");
        }
        folder
    }

    fn refused(text: &str) -> String {
        read(folder(&[("a.toml", text)]).path(), true).expect_err("it is refused").to_string()
    }

    #[test]
    fn every_kind_of_entry_is_read_from_any_of_the_files() {
        let more = "[[asset]]\nname = 'dc-1'\nrole = 'domain_controller'\n";
        let folder = folder(&[("a.toml", SOUND), ("b.toml", more), ("README.md", "ours"), (".hidden", "x")]);
        let context = read(folder.path(), true).expect("it is sound");
        let Context { assets, accounts, windows, approved, watchlists } = &context;
        assert_eq!((assets.len(), accounts.len(), windows.len(), approved.len(), watchlists.len()), (2, 1, 2, 1, 1));
        assert!(context.standing(&HostName::new("DC-1"), None).is_protected());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file_and_line_and_the_remedy() {
        let cases = [
            ("[[asset]]\nname = 'wks-1'\nrole = 'workstation'\nteir = 3\n", "line 4", "teir"),
            ("[[asset]]\nname = 'wks-1'\nrole = 'toaster'\n", "line 3", "workstation"),
            ("[[asset]]\nname = '*'\nrole = 'workstation'\n", "line 2", "covers too much"),
            ("[[asset]]\nname = 'a1'\nrole = 'server'\ntier = 7\n", "line 4", "write 0, 1, 2 or 3"),
            ("[[asset]]\nname = 'dc'\nrole = 'domain_controller'\nisolation_allowed = true\n", "line 1", "tier 0"),
            ("\n[[asset]]\nname = 'dc'\nrole = 'backup'\ntier = 2\n", "line 2", "tier = 0"),
            ("\n\nnonsense\n", "line 3", "["),
            ("[[assets]]\nname = 'a1'\n", "line 1", "assets"),
            (
                "[[approved]]\nname = 'a'\nkind = 'tool'\npurpose = 'p'\nimage = 'C:\\Users\\Public\\a.exe'\n",
                "line 5",
                "ordinary users can put a program",
            ),
            ("[[approved]]\nname = 'a'\nkind = 'tool'\npurpose = 'p'\nsigner = 'Vendor'\n", "line 1", "too much"),
        ];
        for (text, line, words) in cases {
            let error = refused(text);
            assert!(
                error.contains("a.toml") && error.contains(line) && error.contains(words),
                "{line} {words}: {error}"
            );
        }
    }

    #[test]
    fn a_file_that_would_be_overlooked_is_named() {
        let folder = folder(&[("assets.yaml", "x")]);
        let error = read(folder.path(), true).expect_err("it is refused").to_string();
        assert!(error.contains("assets.yaml") && error.contains("rename"), "{error}");
    }

    #[test]
    fn a_folder_that_was_named_has_to_be_there() {
        let none = Path::new("/nowhere/at/all");
        assert!(read(none, false).expect("it is empty").is_empty());
        assert!(matches!(read(none, true), Err(ContextError::Unreadable { .. })));
    }
}
