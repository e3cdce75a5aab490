//! From a match to an alert: true quotes, and the entities by which alerts are grouped.

use std::collections::BTreeSet;

use rsigma_eval::FieldMatch;
use serde_json::Value;

use super::view::View;
use crate::detection::normalise::is_null_guid;
use crate::domain::alert::{Alert, Correlated, RuleCard};
use crate::domain::entity::Entity;
use crate::domain::event::{Event, SYSMON};
use crate::domain::evidence::Quote;
use crate::domain::ids::AlertId;
use crate::knowledge::{canonical, guid};

/// Who raised the alerts of this module.
pub(super) const SOURCE: &str = "sigma";

/// A quote is to be read by people and models: of longer values the part around the match is taken.
const LONGEST_QUOTE: usize = 500;

pub(super) fn alert(card: &RuleCard, event: &Event, view: &View, matched: &[FieldMatch]) -> Alert {
    let name = format!("{SOURCE}|{}|{}", card.id, event.id);
    Alert {
        id: AlertId::new(&canonical::sha256(name.as_bytes())[..16]),
        source: SOURCE.to_owned(),
        rule: card.clone(),
        host: event.host.clone(),
        time: event.time,
        event: event.id.clone(),
        event_kind: event.kind(),
        matched: quotes(event, view, matched),
        entities: entities(event),
        correlated: Correlated::default(),
    }
}

/// The matched fields as they stand in the event. What cannot be quoted (an absent field) is left out.
fn quotes(event: &Event, view: &View, matched: &[FieldMatch]) -> Vec<Quote> {
    let mut quotes: Vec<Quote> = Vec::new();
    for part in matched.iter().filter(|part| !part.negated) {
        let path = if part.field == "keyword" {
            part.value.as_str().and_then(|text| view.path_of_text(text))
        } else {
            (part.value != Value::Null).then(|| view.path(&part.field))
        };
        let Some((path, stored)) = path.and_then(|path| event.field(&path).map(|stored| (path, stored))) else {
            continue;
        };
        let quote = Quote { field: path, value: excerpt(&stored, part.pattern.as_deref()).to_owned() };
        if !quote.value.is_empty() && !quotes.contains(&quote) {
            quotes.push(quote);
        }
    }
    quotes
}

/// The value, or of a long one the part around what matched.
fn excerpt<'a>(text: &'a str, pattern: Option<&str>) -> &'a str {
    if text.len() <= LONGEST_QUOTE {
        return text;
    }
    // Patterns are compared without case; a text whose length changes with its case cannot be cut by position.
    let folded = text.to_lowercase();
    let found = pattern
        .filter(|_| folded.len() == text.len())
        .and_then(|pattern| {
            let pattern = pattern.to_lowercase();
            // Alternatives arrive as one text, separated like this.
            pattern.split(", ").filter(|one| one.len() > 2).find_map(|one| folded.find(one))
        })
        .unwrap_or(0);
    let start = text.floor_char_boundary(found.saturating_sub(LONGEST_QUOTE / 4));
    let end = text.floor_char_boundary((start + LONGEST_QUOTE).min(text.len()));
    &text[start..end]
}

/// Accounts, processes and logon sessions of an event.
fn entities(event: &Event) -> Vec<Entity> {
    let mut entities = BTreeSet::new();
    let mut names = vec!["User", "SubjectUserName"];
    if !targets_a_group(event) {
        names.push("TargetUserName");
    }
    // Kerberos writes `name@REALM`.
    let account = |text: &str| Entity::account(text.split('@').next().unwrap_or(text));
    entities.extend(names.iter().filter_map(|name| event.data(name)).filter_map(account));

    let guids = ["ProcessGuid", "ParentProcessGuid", "SourceProcessGUID", "SourceProcessGuid"];
    let guids = guids.iter().filter_map(|name| event.data(name)).filter(|guid| !is_null_guid(guid));
    entities.extend(guids.filter(|_| event.channel == SYSMON).map(|id| Entity::Process(guid::folded(id))));

    let sessions = ["LogonId", "SubjectLogonId", "TargetLogonId"];
    let sessions = sessions.iter().filter_map(|name| event.data(name)).map(str::to_lowercase);
    entities.extend(
        sessions.filter(|id| !is_machine_session(id)).map(|id| Entity::LogonSession(event.host.key().to_owned(), id)),
    );
    entities.into_iter().collect()
}

/// Events on groups name the group where others name an account; sharing a group connects nobody.
fn targets_a_group(event: &Event) -> bool {
    event.channel == "Security" && matches!(event.code, 4727..=4737 | 4754..=4758 | 4764 | 4799)
}

/// The sessions of SYSTEM, NETWORK SERVICE and LOCAL SERVICE are on every machine; `0x0` is none.
fn is_machine_session(id: &str) -> bool {
    matches!(id, "0x0" | "0x3e7" | "0x3e4" | "0x3e5")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_shows_what_matched() {
        let text = format!("{}Invoke-Something{}", "a ".repeat(600), " b".repeat(600));
        let part = excerpt(&text, Some("other, invoke-something"));
        assert!(part.contains("Invoke-Something") && part.len() <= LONGEST_QUOTE && text.contains(part));
        assert_eq!(excerpt("short", Some("x")), "short");
    }

    #[test]
    fn an_excerpt_never_cuts_a_character() {
        let text = "ä€😀".repeat(200);
        for pattern in [None, Some("€😀"), Some("absent")] {
            assert!(text.contains(excerpt(&text, pattern)));
        }
        let widening = "İ".repeat(400) + "needle";
        assert!(widening.contains(excerpt(&widening, Some("needle"))));
    }
}
