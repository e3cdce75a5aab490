//! From a match to an alert: true quotes, and the entities by which alerts are grouped.

use rsigma_eval::FieldMatch;
use serde_json::Value;

use super::entities::entities;
use super::view::View;
use crate::domain::alert::{Alert, Correlated, RuleCard};
use crate::domain::event::Event;
use crate::domain::evidence::Quote;
use crate::domain::ids::AlertId;
use crate::knowledge::canonical;

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
    // The engine gives them in another order each time; the same record has to give the same alert.
    quotes.sort_by(|one, other| (&one.field, &one.value).cmp(&(&other.field, &other.value)));
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
