//! What a source of a running floor lost on its way in: nobody knows what it said, but within bounds where and when it
//! happened. A floor runs for months, so one lost record stands against what may have to do with it, and not for ever.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entity::HostName;
use super::taint;

/// Something that was lost, or that was not read word for word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The file or index it was of.
    pub source: String,
    /// What is missing.
    pub what: String,
    /// The machine it told of; without one it may have told of any.
    pub host: Option<HostName>,
    /// It happened no earlier; without a time it may have happened whenever.
    pub from: Option<Timestamp>,
    /// It happened no later.
    pub to: Timestamp,
}

impl Loss {
    /// It may have told of this machine in this time.
    #[must_use]
    pub fn may_concern(&self, host: &HostName, from: Timestamp, to: Timestamp) -> bool {
        let is_of_host = self.host.as_ref().is_none_or(|lost| lost.is_unknown() || lost == host);
        is_of_host && self.to >= from && self.from.is_none_or(|lost| lost <= to)
    }

    /// Takes in another loss if the two are of one source and machine and of one stretch of time; else gives it back.
    #[must_use]
    pub fn join(&mut self, later: Self) -> Option<Self> {
        let starts_within = later.from.is_none_or(|from| from <= self.to);
        let ends_within = self.from.is_none_or(|from| from <= later.to);
        if (&self.source, &self.host) != (&later.source, &later.host) || !starts_within || !ends_within {
            return Some(later);
        }
        self.from = self.from.min(later.from);
        self.to = self.to.max(later.to);
        self.what = later.what;
        None
    }

    /// Both in one, when they are too many to be told apart: of any machine, over both times.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            source: "several sources".into(),
            what: other.what,
            host: None,
            from: self.from.min(other.from),
            to: self.to.max(other.to),
        }
    }

    /// In a sentence.
    #[must_use]
    pub fn says(&self) -> String {
        let host = self.host.as_ref().filter(|host| !host.is_unknown());
        let on = host.map_or_else(|| "any machine".to_owned(), |host| taint::shown(host.as_str()));
        let from = self.from.map_or_else(|| "the beginning".into(), |from| from.strftime("%F %T").to_string());
        let what: String = taint::shown(&self.what).chars().take(200).collect();
        let to = self.to.strftime("%F %T");
        format!("{} was not read whole: {what}; it may concern {on} from {from} to {to}", taint::shown(&self.source))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a time")
    }

    fn loss(host: Option<&str>, from: Option<i64>, to: i64) -> Loss {
        Loss {
            source: "a.json".into(),
            what: "not JSON".into(),
            host: host.map(HostName::new),
            from: from.map(at),
            to: at(to),
        }
    }

    #[test]
    fn a_loss_concerns_its_machine_and_time_and_nobody_else() {
        let host = HostName::new("WKS-1.corp.example");
        let known = loss(Some("wks-1"), Some(100), 200);
        assert!(known.may_concern(&host, at(200), at(300)) && known.may_concern(&host, at(0), at(100)));
        assert!(!known.may_concern(&host, at(201), at(300)) && !known.may_concern(&host, at(0), at(99)));
        assert!(!known.may_concern(&HostName::new("WKS-2"), at(100), at(200)));
        for of_any in [loss(None, Some(100), 200), loss(Some(""), Some(100), 200)] {
            assert!(of_any.may_concern(&host, at(150), at(160)));
        }
        let ever = loss(None, None, 200);
        assert!(ever.may_concern(&host, at(-9_999), at(-9_000)) && !ever.may_concern(&host, at(201), at(202)));
    }

    proptest! {
        /// However losses are put together, none of them stands against less than before.
        #[test]
        fn what_is_put_together_concerns_all_that_its_parts_did(
            one in (prop::option::of(0..50_i64), 50..100_i64), other in (prop::option::of(0..150_i64), 0..200_i64),
            asked in (0..200_i64, 0..50_i64),
        ) {
            let (one, other) = (loss(None, one.0, one.1), loss(None, other.0, other.1));
            let asked = |loss: &Loss| loss.may_concern(&HostName::new("WKS-1"), at(asked.0), at(asked.0 + asked.1));
            let either = asked(&one) || asked(&other);
            let mut joined = one.clone();
            match joined.join(other.clone()) {
                None => prop_assert!(!either || asked(&joined)),
                Some(back) => prop_assert_eq!(&back, &other),
            }
            prop_assert!(!either || asked(&one.and(other)));
        }
    }
}
