//! Rows and their checksums: what is read back is compared with what was written before anybody acts on it.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::{Done, state_word};
use crate::adapters::embedded::sqlite::{signed, unsigned};
use crate::ports::journal::{CheckReport, Cursor, Damage, Effect, EffectState, NewEffect, NewRecord, Row, Stream};

/// Checksum over everything a record says.
pub(super) fn crc_of_record(stream: &str, seq: u64, kind: &str, at: &str, body: &str) -> u32 {
    crc(&[stream.as_bytes(), &seq.to_le_bytes(), kind.as_bytes(), at.as_bytes(), body.as_bytes()])
}

/// Checksum over a wish. Its state changes later and is not part of it.
pub(super) fn crc_of_effect(NewEffect { key, target, lane, body }: &NewEffect) -> u32 {
    crc(&[key.as_bytes(), target.as_bytes(), lane.as_bytes(), body.as_bytes()])
}

/// Checksum over all of a cursor.
pub(super) fn crc_of_cursor(Cursor { name, body }: &Cursor) -> u32 {
    crc(&[name.as_bytes(), body.as_bytes()])
}

/// A cursor from its row (name, body, crc), unless it is damaged.
pub(super) fn cursor(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Cursor>> {
    let (Some(name), Some(body)) = (text(row, 0)?, text(row, 1)?) else { return Ok(None) };
    let cursor = Cursor { name, body };
    let sound = row.get_ref(2)?.as_i64() == Ok(i64::from(crc_of_cursor(&cursor)));
    Ok(Some(cursor).filter(|_| sound))
}

/// Each part goes in with its length, so that no byte can move from one part to the next unnoticed.
fn crc(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}

/// Turns a stream's rows into records and says where they cannot be trusted: content and numbering.
pub(super) struct StreamRows {
    last: u64,
}

impl StreamRows {
    /// Rows from `last + 1` on are expected.
    pub(super) const fn after(last: u64) -> Self {
        Self { last }
    }

    /// The next row (stream, seq, kind, at, body, crc), preceded by one for those that are missing before it.
    pub(super) fn next(&mut self, row: &rusqlite::Row<'_>) -> rusqlite::Result<impl Iterator<Item = Row> + use<>> {
        let stream = Stream(text(row, 0)?.unwrap_or_default());
        let seq = unsigned(row.get(1)?);
        let damage = |seq, what: &str| Damage { stream: stream.clone(), seq, what: what.to_owned() };
        let first_missing = self.last + 1;
        let missing = (seq > first_missing).then(|| {
            let what = format!("the rows from {first_missing} to {} are missing", seq - 1);
            Row { seq: first_missing, content: Err(damage(first_missing, &what)) }
        });
        self.last = seq;
        let content = record(row, &stream.0, seq)?.ok_or_else(|| damage(seq, "its checksum does not match"));
        Ok(missing.into_iter().chain([Row { seq, content }]))
    }
}

fn record(row: &rusqlite::Row<'_>, stream: &str, seq: u64) -> rusqlite::Result<Option<NewRecord>> {
    let (Some(kind), Some(at), Some(body)) = (text(row, 2)?, text(row, 3)?, text(row, 4)?) else { return Ok(None) };
    let sound = row.get_ref(5)?.as_i64() == Ok(i64::from(crc_of_record(stream, seq, &kind, &at, &body)));
    Ok(at.parse::<Timestamp>().ok().filter(|_| sound).map(|at| NewRecord { kind, body, at }))
}

/// A column as text, unless damage made something else of it.
fn text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(row.get_ref(column)?.as_str().ok().map(str::to_owned))
}

/// An effect from its row (place, key, target, lane, body, state, crc), or what is wrong with it.
pub(super) fn effect(row: &rusqlite::Row<'_>) -> rusqlite::Result<Result<Effect, Damage>> {
    let place = unsigned(row.get(0)?);
    let column = |column| text(row, column).map(Option::unwrap_or_default);
    let wish = NewEffect { key: column(1)?, target: column(2)?, lane: column(3)?, body: column(4)? };
    let word = column(5)?;
    let state = [EffectState::Planned, EffectState::Sent, EffectState::Confirmed]
        .into_iter()
        .find(|state| state_word(*state) == word)
        .filter(|_| row.get_ref(6).is_ok_and(|crc| crc.as_i64() == Ok(i64::from(crc_of_effect(&wish)))));
    Ok(state.map(|state| Effect { wish, state, place }).ok_or_else(|| Damage {
        stream: Stream(OUTBOX.to_owned()),
        seq: place,
        what: "the effect's checksum or state does not match".to_owned(),
    }))
}

/// A blob from its row (hash, bytes), or what is wrong with it.
pub(super) fn blob(row: &rusqlite::Row<'_>) -> rusqlite::Result<Result<Vec<u8>, Damage>> {
    let hash = text(row, 0)?.unwrap_or_default();
    let bytes = row.get_ref(1)?.as_bytes().unwrap_or_default();
    if format!("{:x}", Sha256::digest(bytes)) == hash {
        return Ok(Ok(bytes.to_vec()));
    }
    let stream = Stream(format!("blob/{hash}"));
    Ok(Err(Damage { stream, seq: 0, what: "the content does not match its hash".to_owned() }))
}

/// How the quarantine names the outbox; no stream has this name.
const OUTBOX: &str = "outbox";

/// Notes damaged rows, once each. A damaged effect is also taken out of the outbox, or the floor would wait
/// for its confirmation for ever.
pub(super) fn quarantine(connection: &Connection, damaged: &[Damage]) -> Done<()> {
    for Damage { stream, seq, what } in damaged {
        connection
            .prepare_cached("INSERT INTO quarantine(stream, seq, what) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING")?
            .execute(params![stream.0, signed(*seq), what])?;
        if stream.0 == OUTBOX {
            connection
                .prepare_cached("UPDATE outbox SET state = 'damaged' WHERE place = ?1 AND state <> 'damaged'")?
                .execute([signed(*seq)])?;
        }
    }
    Ok(())
}

/// Reads every row of the file.
pub(super) fn check_all(connection: &Connection) -> Done<CheckReport> {
    let mut report = CheckReport::default();
    check_streams(connection, &mut report)?;

    let mut query =
        connection.prepare("SELECT place, key, target, lane, body, state, crc FROM outbox ORDER BY place")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        match effect(row)? {
            Ok(effect) => report.effects_open += u64::from(effect.state != EffectState::Confirmed),
            Err(damage) => report.damaged.push(damage),
        }
    }

    let mut query = connection.prepare("SELECT hash, bytes FROM blob ORDER BY hash")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        report.blobs += 1;
        report.damaged.extend(blob(row)?.err());
    }
    Ok(report)
}

fn check_streams(connection: &Connection, report: &mut CheckReport) -> Done<()> {
    let mut query = connection.prepare("SELECT stream, seq, kind, at, body, crc FROM entry ORDER BY stream, seq")?;
    let mut rows = query.query([])?;
    let mut current = None;
    let mut numbering = StreamRows::after(0);
    while let Some(row) = rows.next()? {
        let stream = text(row, 0)?;
        if report.streams == 0 || stream != current {
            report.streams += 1;
            current = stream;
            numbering = StreamRows::after(0);
        }
        report.records += 1;
        report.damaged.extend(numbering.next(row)?.filter_map(|row| row.content.err()));
    }
    Ok(())
}
