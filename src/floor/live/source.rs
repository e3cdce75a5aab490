//! A source as others see it: what it delivered, when, and what keeps it from delivering.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;

use super::detector::Taken;
use crate::detection::damage::{Broken, Damage, Place};
use crate::domain::loss::Loss;

/// What a source has to tell the person who watches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    /// It delivers.
    Up {
        /// What it reads.
        what: String,
    },
    /// It cannot deliver, and tries again.
    Trouble {
        /// Why.
        why: String,
    },
    /// What kept it from delivering is over.
    Recovered,
    /// Something it read is left out: the first of its kind.
    Skipped {
        /// What.
        what: String,
    },
    /// Something waits to be read, and may wait for ever.
    Waits {
        /// What, why, and what to do about it.
        what: String,
    },
    /// A file that does not grow was taken in.
    Imported {
        /// The file.
        file: String,
        /// Events in it.
        events: u64,
        /// Alerts on them.
        alerts: u64,
    },
}

/// A source and what is known of it. Kept in memory alone: it tells of this process.
#[derive(Debug)]
pub struct Source {
    id: String,
    what: String,
    state: Mutex<State>,
    news: mpsc::Sender<(String, News)>,
}

#[derive(Debug, Default)]
struct State {
    is_up: bool,
    trouble: Option<String>,
    events: u64,
    known: u64,
    alerts: u64,
    damage: Damage,
    delivered: Option<Timestamp>,
    /// What waits to be read, with what is said of it.
    waiting: BTreeMap<String, String>,
}

/// A source at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its short name on this floor.
    pub source: String,
    /// It is at work and nothing keeps it from delivering.
    pub up: bool,
    /// Events it delivered since the start.
    pub events: u64,
    /// How many of them were stored already.
    pub known: u64,
    /// Alerts on them.
    pub alerts: u64,
    /// Records it had to leave out.
    pub skipped: u64,
    /// Seconds since it delivered last; `None` before it did.
    pub seconds_since_last_event: Option<u64>,
    /// What waits to be read and may wait for ever: which, why, and what to do about it.
    pub waiting: Vec<String>,
}

impl Source {
    /// A source that has not begun. `news` that nobody takes are dropped.
    #[must_use]
    pub fn new(id: impl Into<String>, what: impl Into<String>, news: mpsc::Sender<(String, News)>) -> Self {
        Self { id: id.into(), what: what.into(), state: Mutex::default(), news }
    }

    /// Its short name on this floor, such as `follow-1`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        let state = self.state();
        let age = |delivered: Timestamp| u64::try_from(now.duration_since(delivered).as_secs()).unwrap_or(0);
        Standing {
            source: self.id.clone(),
            up: state.is_up && state.trouble.is_none(),
            events: state.events,
            known: state.known,
            alerts: state.alerts,
            skipped: state.damage.broken_count(),
            seconds_since_last_event: state.delivered.map(age),
            waiting: state.waiting.values().cloned().collect(),
        }
    }

    /// It is at work, and nothing keeps it from delivering.
    pub fn works(&self) {
        let (began, trouble) = {
            let mut state = self.state();
            (!std::mem::replace(&mut state.is_up, true), state.trouble.take())
        };
        match trouble {
            Some(_) => self.tell(News::Recovered),
            None if began => self.tell(News::Up { what: self.what.clone() }),
            None => {}
        }
    }

    /// It delivered.
    pub fn delivered(&self, taken: Taken, now: Timestamp) {
        let mut state = self.state();
        state.events += taken.events;
        state.known += taken.known;
        state.alerts += taken.alerts;
        state.delivered = Some(now);
    }

    /// It took in a file that does not grow.
    pub fn imported(&self, file: String, taken: Taken, now: Timestamp) {
        self.delivered(taken, now);
        self.tell(News::Imported { file, events: taken.events, alerts: taken.alerts });
    }

    /// It had to leave out a record. The first of a kind is told.
    pub fn skipped(&self, line: u64, broken: Broken) {
        let what = format!("{}: {} (line {line})", broken.fault, broken.reason);
        let is_first = {
            let mut state = self.state();
            let kinds = state.damage.broken().len();
            state.damage.count(Place::Line(line), broken);
            state.damage.broken().len() > kinds
        };
        if is_first {
            self.tell(News::Skipped { what });
        }
    }

    /// Nobody knows how much of something it lost.
    pub fn lost(&self, loss: &Loss) {
        let what = loss.says();
        tracing::warn!(source = %self.id, %what, "a source lost something");
        self.tell(News::Skipped { what });
    }

    /// Something keeps it from delivering. The same reason is told once.
    pub fn troubled(&self, why: String) {
        let is_new = self.state().trouble.replace(why.clone()).as_ref() != Some(&why);
        if is_new {
            tracing::warn!(source = %self.id, %why, "a source cannot deliver");
            self.tell(News::Trouble { why });
        }
    }

    /// Something waits to be read, and may wait for ever. Told once.
    pub fn waits(&self, file: &str, what: String) {
        let is_new = self.state().waiting.insert(file.to_owned(), what.clone()).is_none();
        if is_new {
            tracing::warn!(source = %self.id, %what, "a file waits to be read");
            self.tell(News::Waits { what });
        }
    }

    /// It was read, or is gone.
    pub fn waits_no_more(&self, file: &str) {
        self.state().waiting.remove(file);
    }

    /// Tells whoever watches.
    pub fn tell(&self, news: News) {
        let _ = self.news.try_send((self.id.clone(), news));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::damage::Fault;

    #[test]
    fn what_changes_is_told_and_what_stays_is_not() {
        let (news, mut told) = mpsc::channel(16);
        let source = Source::new("follow-1", "a file", news);
        source.works();
        source.works();
        source.troubled("the disk is full".into());
        source.troubled("the disk is full".into());
        assert!(!source.standing(Timestamp::UNIX_EPOCH).up);
        source.works();
        source.skipped(3, Broken::new(Fault::NotJson, "expected value"));
        source.skipped(4, Broken::new(Fault::NotJson, "expected value"));
        let mut all = Vec::new();
        while let Ok((_, news)) = told.try_recv() {
            all.push(news);
        }
        let what = "not JSON: expected value (line 3)".to_owned();
        let trouble = News::Trouble { why: "the disk is full".into() };
        assert_eq!(all, [News::Up { what: "a file".into() }, trouble, News::Recovered, News::Skipped { what }]);
        let standing = source.standing(Timestamp::UNIX_EPOCH);
        assert_eq!((standing.up, standing.skipped), (true, 2));
    }

    #[test]
    fn what_waits_is_told_once_and_stands_until_it_is_over() {
        let (news, mut told) = mpsc::channel(16);
        let source = Source::new("follow-1", "a file", news);
        source.waits("a.log", "a.log keeps changing".into());
        source.waits("a.log", "a.log keeps changing".into());
        assert_eq!(source.standing(Timestamp::UNIX_EPOCH).waiting, ["a.log keeps changing"]);
        source.waits_no_more("a.log");
        assert!(source.standing(Timestamp::UNIX_EPOCH).waiting.is_empty());
        assert!(told.try_recv().is_ok() && told.try_recv().is_err());
    }

    #[test]
    fn a_source_that_has_not_begun_is_not_up() {
        let source = Source::new("follow-1", "a file", mpsc::channel(1).0);
        let standing = source.standing(Timestamp::UNIX_EPOCH);
        assert_eq!((standing.up, standing.seconds_since_last_event), (false, None));
    }
}
