//! Why a rule matched an event, or why not: condition by condition, field by field.

use rsigma_eval::{RuleExplanation, explain_rule};

use super::view::View;
use super::{RuleSet, load};
use crate::domain::event::Event;
use crate::domain::ids::RuleId;

/// What came of a rule and an event.
#[derive(Debug, serde::Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Explained {
    /// The rule looked at the event.
    LookedAt {
        /// What it saw, down to each field; `matched` is what detection would say.
        trace: RuleExplanation,
        /// The event stands in for one that a host with Sysmon records better: an alert is raised only where the
        /// host sent no Sysmon 1 within a day.
        stands_in: bool,
        /// A match is only a part of a correlation and no alert by itself.
        silent: bool,
    },
    /// The rule never looks at such events: they are not of its log source.
    OtherSource {
        /// The rule's log source, as it is written.
        source: String,
    },
    /// The rule is a correlation, which looks at what other rules find.
    Correlation {
        /// The rules it looks at, as it names them.
        rules: Vec<String>,
    },
}

impl RuleSet {
    /// Explains a rule against an event; `None` if no rule in use has this id. Rules that no event can reach are not
    /// kept, and count as of another source.
    #[must_use]
    pub fn explain(&self, id: &RuleId, event: &Event) -> Option<Explained> {
        if let Some(known) = self.correlations.all.iter().find(|known| known.id == *id) {
            return Some(Explained::Correlation { rules: known.compiled.rule_refs.clone() });
        }
        let loaded = self.rules.get(id)?;
        let of_id = |rule: &&rsigma_eval::CompiledRule| load::rule_id(rule.id.as_deref(), &rule.title) == *id;
        let found = self
            .engines
            .iter()
            .enumerate()
            .find_map(|(at, (_, engine))| engine.rules().iter().find(of_id).map(|rule| (at, rule)));
        let Some((position, rule)) = found else {
            return Some(Explained::OtherSource { source: "one that no event of this version comes from".into() });
        };
        let Some((_, feed)) = self.sources.of(event).find(|(at, _)| *at == position) else {
            let parts = [
                ("product", &rule.logsource.product),
                ("category", &rule.logsource.category),
                ("service", &rule.logsource.service),
            ];
            let parts = parts.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
            return Some(Explained::OtherSource { source: parts.collect::<Vec<_>>().join(", ") });
        };
        let view = View::of(event).called(feed.names);
        Some(Explained::LookedAt {
            trace: explain_rule(rule, &view),
            stands_in: feed.stands_in,
            silent: !loaded.raises,
        })
    }
}
