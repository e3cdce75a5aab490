//! What the settings declare of a model's limits, price and stand-in, against what its server says of itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Finding, Outcome, Report};
use crate::domain::words::counted;
use crate::model::error::ModelError;
use crate::model::gate::{Admitted, Gate, Heard, OpenGate, Size};
use crate::model::limit::{PerMinute, ServerLimits};
use crate::model::settings::ModelSettings;

/// Lets everything through and hears what the server says of its limits.
#[derive(Debug, Clone, Default)]
pub(super) struct Listening(std::sync::Arc<Mutex<ServerLimits>>);

impl Listening {
    pub(super) fn heard(&self) -> ServerLimits {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Gate for Listening {
    async fn admit(&self, size: Size) -> Result<Box<dyn Admitted>, ModelError> {
        OpenGate.admit(size).await.map(|_| Box::new(self.clone()) as Box<dyn Admitted>)
    }
}

impl Admitted for Listening {
    fn ended(self: Box<Self>, heard: &Heard<'_>) {
        // Only limits are asked of it, and these are no dates.
        let said = ServerLimits::read(|name| heard.headers.get(name), Timestamp::UNIX_EPOCH);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }
}

/// Adds what is declared and whether it fits.
pub(super) fn compare(settings: &ModelSettings, said: ServerLimits, slots: Option<u64>, report: &mut Report) {
    let requests = ("requests", settings.requests_per_minute, said.requests.limit);
    let tokens = ("tokens", settings.tokens_per_minute, said.tokens.limit);
    for (what, declared, said) in [requests, tokens] {
        let (outcome, seen) = limit(what, declared, said);
        report.add(if what == "requests" { "requests a minute" } else { "tokens a minute" }, outcome, seen);
        if let Some(said) = said.filter(|_| outcome != Outcome::Good) {
            report.changes.push(format!("{what}_per_minute = {}", said.get()));
        }
    }
    let largest = settings.tokens_per_minute.filter(|quota| quota.get() < settings.context_tokens);
    if let Some(quota) = largest {
        let seen = format!(
            "a request may have {} tokens, and the limit lets {} through in a minute: larger ones are never sent",
            settings.context_tokens,
            quota.get()
        );
        report.add("largest request", Outcome::Note, seen);
    }
    in_flight(settings.calls_in_flight.get().get(), slots, report);
    match settings.price {
        Some(price) => report.add("price", Outcome::Good, format!("{price}, as declared")),
        None => report.add("price", Outcome::Good, "none is declared: what calls cost stays unknown"),
    }
}

fn limit(what: &str, declared: Option<PerMinute>, said: Option<PerMinute>) -> (Outcome, String) {
    let number = PerMinute::get;
    match (declared, said) {
        (None, None) => (Outcome::Good, format!("no limit of {what} is declared, and the server names none")),
        (Some(ours), None) => (Outcome::Good, format!("{} are declared, and the server names no limit", number(ours))),
        (None, Some(theirs)) => {
            (Outcome::Note, format!("none are declared, and the server says {}, which is kept to", number(theirs)))
        }
        (Some(ours), Some(theirs)) if ours > theirs => (
            Outcome::Note,
            format!("{} are declared, and the server says {}, which is kept to", number(ours), number(theirs)),
        ),
        (Some(ours), Some(theirs)) => {
            (Outcome::Good, format!("{} are declared, and the server says {}", number(ours), number(theirs)))
        }
    }
}

fn in_flight(declared: u32, slots: Option<u64>, report: &mut Report) {
    let declared_text = counted(declared, "call");
    match slots {
        Some(slots) if slots > 0 && slots < u64::from(declared) => {
            let has = counted(slots, "slot");
            let seen =
                format!("{declared_text} may be under way, and the server has {has}: the others wait there unseen");
            report.add("calls in flight", Outcome::Note, seen);
            report.changes.push(format!("calls_in_flight = {slots}"));
        }
        Some(slots) => {
            let has = counted(slots, "slot");
            report.add(
                "calls in flight",
                Outcome::Good,
                format!("{declared_text} may be under way, the server has {has}"),
            );
        }
        None => {
            let seen = format!("{declared_text} may be under way; the server does not say how many it takes");
            report.add("calls in flight", Outcome::Good, seen);
        }
    }
}

/// Who stands in for a model, and whether that helps where it is needed; nothing if nobody does.
#[must_use]
pub fn stand_in(settings: &ModelSettings, all: &BTreeMap<String, ModelSettings>) -> Option<Finding> {
    let name = settings.fallback.as_ref()?;
    let stands_in = all.get(name)?;
    let (ours, theirs) = (settings.context_tokens, stands_in.context_tokens);
    let server = |settings: &ModelSettings| settings.address().ok().map(|address| address.origin());
    let (outcome, seen) = if theirs < ours {
        let seen =
            format!("{name} takes {theirs} tokens, this one {ours}: a case that has grown long cannot go on there");
        (Outcome::Note, seen)
    } else if server(settings) == server(stands_in) {
        (Outcome::Note, format!("{name} is on the same server: if that does not answer, neither does"))
    } else {
        (Outcome::Good, format!("{name} stands in for it"))
    };
    Some(Finding { check: "fallback", outcome, seen })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, context: u32, fallback: Option<&str>) -> ModelSettings {
        ModelSettings { fallback: fallback.map(str::to_owned), ..ModelSettings::of(url, "m", context) }
    }

    #[test]
    fn a_stand_in_that_would_not_help_is_noted() {
        let all = BTreeMap::from([
            ("near".to_owned(), settings("http://a/v1", 8192, None)),
            ("far".to_owned(), settings("http://b/v1", 8192, None)),
            ("small".to_owned(), settings("http://b/v1", 4096, None)),
        ]);
        let seen = |fallback| stand_in(&settings("http://a/other/v1", 8192, Some(fallback)), &all).expect("a finding");
        assert_eq!(seen("far").outcome, Outcome::Good);
        assert!(seen("near").seen.contains("same server"));
        assert!(seen("small").seen.contains("takes 4096 tokens"));
        assert_eq!(stand_in(&settings("http://a/v1", 8192, None), &all), None);
    }

    #[test]
    fn the_servers_lower_limit_is_noted_and_a_higher_one_is_not() {
        let of = |count| PerMinute::new(count);
        let outcome = |declared, said| limit("requests", declared, said).0;
        assert_eq!(outcome(of(600), of(500)), Outcome::Note);
        assert_eq!(outcome(None, of(500)), Outcome::Note);
        assert_eq!(outcome(of(500), of(600)), Outcome::Good);
        assert_eq!((outcome(of(500), None), outcome(None, None)), (Outcome::Good, Outcome::Good));
    }
}
