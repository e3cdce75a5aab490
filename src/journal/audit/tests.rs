//! A chain that shows every hand laid on it, even by somebody who also repairs the checksums.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::domain::containment::{Action, Decision, DenialRule, Proposal};
use crate::domain::entity::HostName;
use crate::domain::ids::{AlertId, ProposalId};
use crate::domain::trace::SpanRef;
use crate::fixtures::{CASE, at, journal, tamper};
use crate::journal::case_stream::{Batch, CaseStream};
use crate::journal::entry::CaseEntry;
use crate::ports::journal::{CheckReport, Cursor, Effect, Lease, Pending, PlacedRow, Queue, Row};
use crate::telemetry::ids;

/// A journal whose rows can be changed without leaving a trace: whoever holds the file can repair checksums.
#[derive(Default)]
struct OpenBook(Mutex<Vec<(u64, NewRecord)>>);

impl OpenBook {
    fn change(&self, change: impl FnOnce(&mut Vec<(u64, NewRecord)>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[async_trait]
impl Journal for OpenBook {
    async fn append(&self, append: Append) -> Result<u64, JournalError> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = rows.last().map_or(0, |(seq, _)| *seq);
        match append.expected {
            Expected::Last(expected) if expected != found => {
                return Err(JournalError::Conflict { stream: append.stream, expected, found });
            }
            Expected::Last(_) | Expected::Any => {}
        }
        rows.extend((found + 1..).zip(append.records));
        Ok(rows.last().map_or(0, |(seq, _)| *seq))
    }

    async fn read(&self, _: &Stream, after: u64) -> Result<Vec<Row>, JournalError> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = rows.iter().filter(|(seq, _)| *seq > after);
        Ok(rows.map(|(seq, record)| Row { seq: *seq, content: Ok(record.clone()) }).collect())
    }

    async fn since(&self, _: u64, _: usize) -> Result<Vec<PlacedRow>, JournalError> {
        unreachable!("the audit reads one stream")
    }

    async fn end(&self) -> Result<u64, JournalError> {
        unreachable!("the audit reads one stream")
    }

    /// There are no cases.
    async fn streams(&self, _: &str) -> Result<Vec<Stream>, JournalError> {
        Ok(vec![])
    }

    async fn claim(&self, _: Queue, _: &str, _: Duration, _: Timestamp) -> Result<Option<Lease>, JournalError> {
        unreachable!("the audit claims nothing")
    }

    async fn release(&self, _: &Lease, _: Option<Timestamp>) -> Result<(), JournalError> {
        unreachable!("the audit claims nothing")
    }

    async fn release_all(&self, _: &str) -> Result<(), JournalError> {
        unreachable!("the audit claims nothing")
    }

    async fn effects(&self, _: &str) -> Result<Vec<Effect>, JournalError> {
        unreachable!("the audit has no outbox")
    }

    async fn mark_sent(&self, _: &[String]) -> Result<(), JournalError> {
        unreachable!("the audit has no outbox")
    }

    async fn confirm(&self, _: &[String]) -> Result<(), JournalError> {
        unreachable!("the audit has no outbox")
    }

    async fn blob(&self, _: &str) -> Result<Option<Vec<u8>>, JournalError> {
        unreachable!("the audit has no blobs")
    }

    async fn cursors(&self, _: &str) -> Result<Vec<Cursor>, JournalError> {
        unreachable!("the audit has no source")
    }

    async fn set_cursor(&self, _: Cursor) -> Result<(), JournalError> {
        unreachable!("the audit has no source")
    }

    async fn pending(&self) -> Result<Pending, JournalError> {
        unreachable!("the audit does not ask")
    }

    async fn check(&self) -> Result<CheckReport, JournalError> {
        unreachable!("the audit does not ask")
    }
}

fn row(number: u32) -> GateEvent {
    GateEvent::Decided {
        proposal: Proposal {
            id: ProposalId::new(CASE, number),
            action: Action::IsolateDevice,
            host: HostName::new("WKS-1"),
            because: "it spreads".into(),
            evidence: vec![],
        },
        decision: Decision::Denied { rule: DenialRule::DryRun, value: "off".into() },
        facts: "facts".into(),
        policy: "policy".into(),
    }
}

async fn add(chain: &mut AuditChain, number: u32, seconds: i64) -> Result<(), JournalError> {
    chain.append(vec![row(number)], vec![], vec![], at(seconds)).await
}

async fn book_of(rows: u32) -> Arc<OpenBook> {
    let book = Arc::new(OpenBook::default());
    let mut chain = AuditChain::open(book.clone()).await.expect("it is read");
    for number in 1..=rows {
        add(&mut chain, number, i64::from(number)).await.expect("it is written");
    }
    book
}

async fn broken(book: &OpenBook) -> (u64, Option<(u64, String)>) {
    let verified = verify(book).await.expect("it is read");
    (verified.rows, verified.broken.map(|found| (found.seq, found.what)))
}

#[tokio::test]
async fn an_untouched_chain_holds_and_goes_on_after_it_is_opened_again() {
    let book = book_of(2).await;
    let before = verify(book.as_ref()).await.expect("it is read");
    assert_eq!((before.rows, &before.broken), (2, &None));
    let mut chain = AuditChain::open(book.clone()).await.expect("it is read");
    let known: Vec<_> = chain.rows().iter().map(|row| (row.seq, row.event.clone())).collect();
    assert_eq!(known, [(1, row(1)), (2, row(2))]);
    add(&mut chain, 3, 3).await.expect("it is written");
    assert_eq!(chain.rows().len(), 3);
    let after = verify(book.as_ref()).await.expect("it is read");
    assert_eq!((after.rows, &after.broken), (3, &None));
    assert_ne!(after.tip, before.tip);
    assert_ne!(before.tip, GENESIS);
}

#[tokio::test]
async fn what_happened_together_is_linked_in_its_order() {
    let book = Arc::new(OpenBook::default());
    let mut chain = AuditChain::open(book.clone()).await.expect("it is read");
    chain.append(vec![row(1), row(2)], vec![], vec![], at(1)).await.expect("it is written");
    add(&mut chain, 3, 2).await.expect("it is written");
    assert_eq!(broken(&book).await, (3, None));
    book.change(|rows| drop(rows.remove(1)));
    assert_eq!(broken(&book).await.0, 1);
}

#[tokio::test]
async fn an_empty_chain_holds() {
    let verified = verify(&OpenBook::default()).await.expect("it is read");
    assert_eq!(verified, Verified { rows: 0, tip: GENESIS.into(), broken: None });
}

#[tokio::test]
async fn a_second_gatekeeper_is_refused() {
    let book = book_of(1).await;
    let mut one = AuditChain::open(book.clone()).await.expect("it is read");
    let mut two = AuditChain::open(book.clone()).await.expect("it is read");
    add(&mut one, 2, 2).await.expect("it is first");
    let refused = add(&mut two, 3, 3).await;
    assert!(matches!(refused, Err(JournalError::Conflict { .. })), "{refused:?}");
    assert_eq!(two.rows().len(), 1, "what was refused did not happen");
}

#[tokio::test]
async fn an_edited_row_is_named_whatever_was_edited() {
    let edits: [(&str, &str); 6] = [
        ("WKS-1", "WKS-2"),
        ("dry_run", "no_evidence"),
        ("it spreads", "it sleeps"),
        ("\"facts\":\"facts\"", "\"facts\":\"fakes\""),
        ("\"policy\":\"policy\"", "\"policy\":\"other\""),
        ("2026-01-01T00:00:02Z", "2026-01-01T00:00:09Z"),
    ];
    for (was, is) in edits {
        let book = book_of(3).await;
        book.change(|rows| {
            assert!(rows[1].1.body.contains(was), "{}", rows[1].1.body);
            rows[1].1.body = rows[1].1.body.replace(was, is);
        });
        assert_eq!(broken(&book).await, (1, Some((2, "it was changed after it was written".into()))), "{was}");
    }
}

#[tokio::test]
async fn an_edited_row_whose_hash_was_repaired_breaks_the_row_after_it() {
    let book = book_of(3).await;
    book.change(|rows| {
        let mut link: Link = serde_json::from_str(&rows[1].1.body).expect("it is a link");
        let GateEvent::Decided { proposal, .. } = &mut link.row else { panic!("{link:?}") };
        proposal.host = HostName::new("WKS-2");
        link.hash = hash(&link.previous, 2, link.at, &link.row);
        rows[1].1.body = serde_json::to_string(&link).expect("it is JSON");
    });
    assert_eq!(broken(&book).await, (2, Some((3, "it does not follow the row before it".into()))));
}

#[tokio::test]
async fn a_removed_row_is_named_whether_a_gap_is_left_or_closed() {
    let book = book_of(3).await;
    book.change(|rows| drop(rows.remove(1)));
    assert_eq!(broken(&book).await, (1, Some((3, "a row before it is missing".into()))));
    book.change(|rows| rows[1].0 = 2);
    assert_eq!(broken(&book).await, (1, Some((2, "it does not follow the row before it".into()))));
    let headless = book_of(2).await;
    headless.change(|rows| {
        rows.remove(0);
        rows[0].0 = 1;
    });
    assert_eq!(broken(&headless).await, (0, Some((1, "it does not follow the row before it".into()))));
}

#[tokio::test]
async fn swapped_rows_are_named() {
    let book = book_of(3).await;
    book.change(|rows| {
        let (one, two) = (rows[1].1.clone(), rows[2].1.clone());
        (rows[1].1, rows[2].1) = (two, one);
    });
    assert_eq!(broken(&book).await, (1, Some((2, "it does not follow the row before it".into()))));
}

#[tokio::test]
async fn a_copied_row_is_named() {
    let book = book_of(1).await;
    book.change(|rows| rows.push((2, rows[0].1.clone())));
    assert_eq!(broken(&book).await, (1, Some((2, "it does not follow the row before it".into()))));
}

#[tokio::test]
async fn a_cut_off_tail_shows_in_the_tip_alone() {
    let book = book_of(3).await;
    let whole = verify(book.as_ref()).await.expect("it is read").tip;
    book.change(|rows| drop(rows.pop()));
    let cut = verify(book.as_ref()).await.expect("it is read");
    assert_eq!((cut.rows, &cut.broken), (2, &None));
    assert_ne!(cut.tip, whole);
}

#[tokio::test]
async fn a_case_that_was_told_of_more_shows_that_the_end_is_gone() {
    for (left, what) in [
        ("seq < 3", Some((3, "it is missing with all after it: WF-1 was told of row 3"))),
        ("FALSE", Some((1, "it is missing with all after it: WF-1 was told of the answer to P-1.1"))),
        ("TRUE", None),
    ] {
        let (folder, journal) = journal();
        let mut chain = AuditChain::open(journal.clone()).await.expect("it is read");
        for number in 1..=3 {
            add(&mut chain, number, 0).await.expect("it is written");
        }
        let decision = Decision::Denied { rule: DenialRule::DryRun, value: String::new() };
        let answered = CaseEntry::Decided { proposal: ProposalId::new(CASE, 1), decision, span: ids::new_span() };
        let later = CaseEntry::Gate { row: 3, when: at(3), event: chain.rows()[2].event.clone() };
        let root = SpanRef { trace: ids::new_trace(), span: ids::new_span() };
        let opened = CaseEntry::Opened { alert: AlertId::new("a"), root };
        let mut case = CaseStream::open(journal.clone(), CASE, None).await.expect("it is read");
        let entries = vec![opened, answered, later];
        case.append(Batch { entries, ..Batch::default() }, at(3)).await.expect("it is written");
        tamper(&folder, &format!("DELETE FROM entry WHERE stream = 'gate' AND NOT ({left})"));
        let broken = verify(journal.as_ref()).await.expect("it is read").broken;
        assert_eq!(broken.as_ref().map(|broken| (broken.seq, broken.what.as_str())), what, "{left}");
    }
}

#[tokio::test]
async fn what_happened_to_a_row_of_the_embedded_journal_is_said() {
    let cases = [
        ("DELETE FROM entry WHERE seq = 2", 2, "the rows from 2 to 2 are missing"),
        ("UPDATE entry SET body = replace(body, 'WKS-1', 'WKS-2') WHERE seq = 3", 3, "its checksum does not match"),
    ];
    for (damage, seq, what) in cases {
        let (folder, journal) = journal();
        let mut chain = AuditChain::open(journal.clone()).await.expect("it is read");
        for number in 1..=3 {
            add(&mut chain, number, 0).await.expect("it is written");
        }
        tamper(&folder, damage);
        let verified = verify(journal.as_ref()).await.expect("it is read");
        assert_eq!(verified.broken, Some(Break { seq, what: what.into() }));
    }
}
