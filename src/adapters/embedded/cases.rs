//! The case desk in one SQLite file, for floors that have no case system of their own.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::sqlite::{Database, Failure, Limits, signed};
use crate::domain::ids::CaseId;
use crate::ports::desk::{CaseDesk, CaseState, Comment, DeskCase, DeskError, NewComment};
use crate::ports::storage::StorageError;

const FORMAT_1: &str = "
    CREATE TABLE desk_case(
        number INTEGER PRIMARY KEY, opened TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL);
    CREATE TABLE comment(
        case_number INTEGER NOT NULL, number INTEGER NOT NULL, key TEXT NOT NULL UNIQUE,
        author TEXT NOT NULL, text TEXT NOT NULL, at TEXT NOT NULL, written TEXT NOT NULL,
        PRIMARY KEY(case_number, number));
";

/// See the module's page.
pub struct EmbeddedDesk {
    database: Database,
}

/// What a job of the desk gives.
type Done<T> = Result<T, Failure<DeskError>>;

impl EmbeddedDesk {
    /// Its file in the state folder.
    pub const FILE: &str = "cases.db";

    /// Opens the desk in this folder, or creates it.
    ///
    /// # Errors
    /// When the file cannot be used, or a newer version wrote it.
    pub fn open(folder: &Path) -> Result<Self, StorageError> {
        Self::open_within(folder, Limits::default())
    }

    /// As [`Self::open`], within bounds.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_within(folder: &Path, limits: Limits) -> Result<Self, StorageError> {
        Ok(Self { database: Database::open(&folder.join(Self::FILE), limits, &[FORMAT_1])? })
    }
}

#[async_trait]
impl CaseDesk for EmbeddedDesk {
    async fn put(&self, case: CaseId, opened: Timestamp, state: CaseState) -> Result<(), DeskError> {
        let version = signed(state.version);
        let json = serde_json::to_string(&state)
            .map_err(|error| self.database.unusable(format!("case {case} cannot be written as JSON ({error})")))?;
        self.database
            .write(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT INTO desk_case(number, opened, version, state) VALUES(?1, ?2, ?3, ?4)
                         ON CONFLICT(number) DO UPDATE SET version = excluded.version, state = excluded.state
                         WHERE excluded.version > version",
                    )?
                    .execute(params![case.number(), opened.to_string(), version, json])?;
                Ok(())
            })
            .await
    }

    async fn add_comment(&self, case: CaseId, comment: NewComment, written: Timestamp) -> Result<(), DeskError> {
        self.database.write(move |connection| add_comment(connection, case, &comment, written)).await
    }

    async fn get(&self, case: CaseId) -> Result<Option<DeskCase>, DeskError> {
        self.database
            .read(move |connection| {
                let mut query = connection.prepare_cached(&format!("{CASES} WHERE number = ?1"))?;
                query
                    .query_row([case.number()], CaseRow::read)
                    .optional()?
                    .map(|row| row.decode(connection))
                    .transpose()
            })
            .await
    }

    async fn list(&self) -> Result<Vec<DeskCase>, DeskError> {
        self.database
            .read(|connection| {
                let mut query = connection.prepare_cached(&format!("{CASES} ORDER BY number"))?;
                query.query_map([], CaseRow::read)?.map(|row| row?.decode(connection)).collect()
            })
            .await
    }

    async fn comments(&self, case: CaseId) -> Result<Vec<Comment>, DeskError> {
        self.database.read(move |connection| comments(connection, case)).await
    }
}

fn add_comment(connection: &Connection, case: CaseId, comment: &NewComment, written: Timestamp) -> Done<()> {
    let known = connection.prepare_cached("SELECT 1 FROM desk_case WHERE number = ?1")?.exists([case.number()])?;
    if !known {
        return Err(Failure::Refused(DeskError::NoCase(case)));
    }
    let NewComment { key, author, text, at } = comment;
    connection
        .prepare_cached(
            "INSERT INTO comment(case_number, number, key, author, text, at, written)
             VALUES(?1, (SELECT coalesce(max(number), 0) + 1 FROM comment WHERE case_number = ?1),
                    ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT(key) DO NOTHING",
        )?
        .execute(params![case.number(), key, author, text, at.to_string(), written.to_string()])?;
    Ok(())
}

fn comments(connection: &Connection, case: CaseId) -> Done<Vec<Comment>> {
    let mut query = connection.prepare_cached(
        "SELECT number, key, author, text, at, written FROM comment WHERE case_number = ?1 ORDER BY number",
    )?;
    let mut rows = query.query([case.number()])?;
    let mut comments = Vec::new();
    while let Some(row) = rows.next()? {
        let time = |column| {
            let text: String = row.get(column)?;
            text.parse::<Timestamp>().map_err(|_| damaged(connection, case))
        };
        let comment = NewComment { key: row.get(1)?, author: row.get(2)?, text: row.get(3)?, at: time(4)? };
        comments.push(Comment { number: row.get(0)?, written: time(5)?, comment });
    }
    Ok(comments)
}

const CASES: &str = "SELECT number, opened, state,
    (SELECT count(*) FROM comment WHERE case_number = desk_case.number) FROM desk_case";

struct CaseRow {
    id: CaseId,
    opened: String,
    state: String,
    comments: u32,
}

impl CaseRow {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { id: CaseId::new(row.get(0)?), opened: row.get(1)?, state: row.get(2)?, comments: row.get(3)? })
    }

    fn decode(self, connection: &Connection) -> Done<DeskCase> {
        let Self { id, opened, state, comments } = self;
        let (Ok(opened), Ok(state)) = (opened.parse(), serde_json::from_str(&state)) else {
            return Err(damaged(connection, id));
        };
        Ok(DeskCase { id, opened, state, comments })
    }
}

fn damaged(connection: &Connection, case: CaseId) -> Failure<DeskError> {
    let path = connection.path().unwrap_or(EmbeddedDesk::FILE).to_owned();
    Failure::Refused(StorageError::Unusable { path, what: format!("what it holds of {case} is damaged") }.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::alert::Severity;
    use crate::domain::case::Status;
    use crate::domain::entity::HostName;

    const WF_1: CaseId = CaseId::new(1);
    const WF_2: CaseId = CaseId::new(2);

    fn state(version: u64, title: &str) -> CaseState {
        CaseState {
            version,
            title: title.into(),
            status: Status::New,
            hold: None,
            severity: Severity::High,
            hosts: vec![HostName::new("wks-1")],
            alerts: 1,
            first_alert: None,
            last_alert: None,
            merged_into: None,
            verdict: Some(serde_json::json!({"malicious_probability": 0.1})),
            decided_by: None,
            proposals: vec![],
            trace: "0".repeat(32),
            roles: BTreeMap::new(),
            rules: vec![],
            accounts: vec![],
            persons_verdict: None,
            assignee: None,
        }
    }

    fn comment(key: &str, text: &str) -> NewComment {
        NewComment { key: key.into(), author: "Tier 1".into(), text: text.into(), at: Timestamp::UNIX_EPOCH }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a time")
    }

    #[tokio::test]
    async fn only_a_newer_version_replaces_and_the_opening_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let desk = EmbeddedDesk::open(folder.path()).expect("it opens");
        assert_eq!(desk.get(WF_1).await.expect("it reads"), None);
        for (opened, version, title) in [(1, 2, "second"), (2, 1, "first"), (3, 2, "again"), (4, 3, "third")] {
            desk.put(WF_1, at(opened), state(version, title)).await.expect("it is put");
        }
        let expected = DeskCase { id: WF_1, opened: at(1), state: state(3, "third"), comments: 0 };
        assert_eq!(desk.get(WF_1).await.expect("it reads"), Some(expected));
    }

    #[tokio::test]
    async fn a_comment_is_added_once_and_numbered_in_its_case() {
        let folder = tempfile::tempdir().expect("a folder");
        let desk = EmbeddedDesk::open(folder.path()).expect("it opens");
        let refusal = desk.add_comment(WF_1, comment("a", "early"), at(0)).await.expect_err("there is no case");
        assert!(matches!(refusal, DeskError::NoCase(WF_1)), "{refusal}");
        desk.put(WF_2, at(0), state(1, "two")).await.expect("it is put");
        desk.put(WF_1, at(0), state(1, "one")).await.expect("it is put");
        for (case, key, text) in
            [(WF_1, "a", "first"), (WF_2, "b", "elsewhere"), (WF_1, "a", "repeated"), (WF_1, "c", "second")]
        {
            desk.add_comment(case, comment(key, text), at(9)).await.expect("it is added");
        }
        drop(desk);
        let desk = EmbeddedDesk::open(folder.path()).expect("it opens");
        let expected = [(1, comment("a", "first")), (2, comment("c", "second"))].map(|(number, comment)| Comment {
            number,
            written: at(9),
            comment,
        });
        assert_eq!(desk.comments(WF_1).await.expect("it reads"), expected);
        let counts: Vec<_> =
            desk.list().await.expect("it lists").into_iter().map(|case| (case.id, case.comments)).collect();
        assert_eq!(counts, [(WF_1, 2), (WF_2, 1)]);
    }

    #[tokio::test]
    async fn a_damaged_case_is_said_to_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let desk = EmbeddedDesk::open(folder.path()).expect("it opens");
        desk.put(WF_1, at(0), state(1, "one")).await.expect("it is put");
        let raw = Connection::open(folder.path().join(EmbeddedDesk::FILE)).expect("it opens");
        raw.execute_batch("UPDATE desk_case SET state = '{'").expect("it is changed");
        let refusal = desk.get(WF_1).await.expect_err("it is damaged");
        assert!(refusal.to_string().contains("what it holds of WF-1 is damaged"), "{refusal}");
    }
}
