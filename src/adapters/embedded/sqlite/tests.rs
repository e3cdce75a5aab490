//! The writer and the readers, tried with a table of words.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

const FORMATS: [&str; 1] = ["CREATE TABLE word(text TEXT NOT NULL);"];

type Answer<T> = Result<T, StorageError>;

fn open(folder: &tempfile::TempDir, limits: Limits) -> Answer<Database> {
    Database::open(&folder.path().join("words.db"), limits, &FORMATS)
}

async fn add(database: &Database, word: &str) -> Answer<()> {
    let word = word.to_owned();
    database.write(move |c| Ok(c.execute("INSERT INTO word VALUES(?1)", [&word]).map(drop)?)).await
}

async fn count(database: &Database) -> i64 {
    let counted: Answer<i64> =
        database.read(|c| Ok(c.query_row("SELECT count(*) FROM word", [], |row| row.get(0))?)).await;
    counted.expect("it can be read")
}

#[tokio::test]
async fn a_job_that_fails_or_panics_undoes_only_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = open(&folder, Limits::default()).expect("it opens");
    // Held up by the first job, the others are one group.
    let slow = database.write(|_| {
        std::thread::sleep(Duration::from_millis(50));
        Ok::<_, Failure<StorageError>>(())
    });
    let wrong = database.write(|c| {
        c.execute("INSERT INTO word VALUES('gone')", [])?;
        Ok::<_, Failure<StorageError>>(c.execute("INSERT INTO nothing VALUES(1)", []).map(drop)?)
    });
    let panics = database.write::<(), StorageError>(|c| {
        c.execute("INSERT INTO word VALUES('gone')", [])?;
        panic!("a job's own fault")
    });
    let (slow, before, wrong, panics, after) =
        tokio::join!(slow, add(&database, "before"), wrong, panics, add(&database, "after"));
    assert!(slow.is_ok() && before.is_ok() && after.is_ok());
    assert!(wrong.is_err() && panics.is_err());
    let panicked: Answer<()> = database.read(|_| panic!("a reader's fault")).await;
    assert!(matches!(panicked, Err(StorageError::Unusable { .. })));
    assert_eq!(count(&database).await, 2);
}

#[tokio::test]
async fn a_group_runs_again_only_if_something_is_to_be_undone() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = open(&folder, Limits::default()).expect("it opens");
    for writes_first in [false, true] {
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        // Held up by the first job, the others are one group.
        let slow = database.write(|_| {
            std::thread::sleep(Duration::from_millis(50));
            Ok::<_, Failure<StorageError>>(())
        });
        let good = database.write(move |c| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Failure<StorageError>>(c.execute("INSERT INTO word VALUES('kept')", []).map(drop)?)
        });
        let refused = database.write::<(), StorageError>(move |c| {
            if writes_first {
                c.execute("INSERT INTO word VALUES('gone')", [])?;
            }
            Err(Failure::Refused(StorageError::DiskFull { path: "by its own rules".into() }))
        });
        let (slow, good, refused) = tokio::join!(slow, good, refused);
        assert!(slow.is_ok() && good.is_ok());
        assert!(refused.expect_err("it is refused").to_string().contains("by its own rules"));
        assert_eq!(runs.load(Ordering::Relaxed), 1 + u32::from(writes_first));
    }
    let kept: Answer<Vec<String>> = database
        .read(|c| {
            let mut query = c.prepare("SELECT text FROM word")?;
            Ok(query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
        .await;
    assert_eq!(kept.expect("it can be read"), ["kept", "kept"]);
}

#[tokio::test]
async fn durable_and_ordinary_writes_alternate() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = open(&folder, Limits::default()).expect("it opens");
    for _ in 0..3 {
        add(&database, "plain").await.expect("it is written");
        let durable: Answer<()> =
            database.write_durably(|c| Ok(c.execute("INSERT INTO word VALUES('d')", []).map(drop)?)).await;
        durable.expect("it is written");
    }
    assert_eq!(count(&database).await, 6);
}

#[tokio::test]
async fn a_full_disk_is_said_and_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = open(&folder, Limits { max_pages: Some(8) }).expect("it opens");
    let long = "word ".repeat(400);
    let mut written = 0;
    let refusal = loop {
        // In groups, because a full disk undoes a whole transaction and its group must hear of it.
        let answers = futures::future::join_all((0..4).map(|_| add(&database, &long))).await;
        written += answers.iter().filter(|answer| answer.is_ok()).count();
        if let Some(Err(refusal)) = answers.into_iter().find(Result::is_err) {
            break refusal;
        }
    };
    assert!(matches!(refusal, StorageError::DiskFull { .. }), "{refusal}");
    assert_eq!(count(&database).await, i64::try_from(written).expect("a few"));
    drop(database);
    let roomy = open(&folder, Limits::default()).expect("it opens");
    add(&roomy, &long).await.expect("there is room again");
    assert_eq!(count(&roomy).await, i64::try_from(written).expect("a few") + 1);
}

#[test]
fn a_newer_format_and_a_foreign_file_are_refused_in_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(&folder, Limits::default()).expect("it opens"));
    let path = folder.path().join("words.db");
    let raw = Connection::open(&path).expect("it opens");
    raw.pragma_update(None, "user_version", 7).expect("it is set");
    drop(raw);
    let refusal = open(&folder, Limits::default()).err().expect("it is newer");
    assert!(refusal.to_string().contains("has format 7, and this version reads up to 1"), "{refusal}");
    std::fs::write(&path, "not a database at all ".repeat(100)).expect("it is written");
    let refusal = open(&folder, Limits::default()).err().expect("it is foreign");
    assert!(refusal.to_string().contains("not a store of watchfloor"), "{refusal}");
    let nowhere = Database::open(&folder.path().join("none/words.db"), Limits::default(), &FORMATS);
    let refusal = nowhere.err().expect("there is no folder");
    assert!(refusal.to_string().contains("folder is missing"), "{refusal}");
}

#[test]
fn a_query_is_planned_once() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(&folder, Limits::default()).expect("it opens"));
    let reader = open_reader(&folder.path().join("words.db")).expect("it opens");
    let query = || reader.prepare_cached("SELECT 1 FROM word WHERE rowid = ?1").expect("it is sound");
    for number in 0..5 {
        query().exists([number]).expect("it answers");
    }
    assert_eq!(query().get_status(rusqlite::StatementStatus::RePrepare), 0);
}

#[test]
fn dropping_folds_the_log_into_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(&folder, Limits::default()).expect("it opens"));
    let files = std::fs::read_dir(folder.path()).expect("it can be listed").count();
    assert_eq!(files, 1, "no write-ahead log is left");
}
