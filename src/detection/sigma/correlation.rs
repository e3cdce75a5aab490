//! Correlation rules: what they count, over which rules, within which time and by which fields.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::SignedDuration;
use rsigma_eval::{CompiledCorrelation, Event as _, EventValue};
use rsigma_parser::{ConditionExpr, ConditionOperator, CorrelationRule, CorrelationType, WindowMode};

use super::load::RuleFile;
use super::view::View;
use crate::domain::alert::RuleCard;
use crate::domain::event::Event;
use crate::domain::ids::RuleId;

/// No correlation looks further: what lies months apart is no burst, and its hits would have to be kept.
const LONGEST_TIMESPAN: u64 = 31 * 24 * 60 * 60;

/// A correlation, ready to be fed.
#[derive(Debug)]
pub(super) struct Correlation {
    pub(super) id: RuleId,
    pub(super) card: Arc<RuleCard>,
    /// It only feeds other correlations.
    pub(super) silent: bool,
    pub(super) compiled: CompiledCorrelation,
    pub(super) timespan: SignedDuration,
    pub(super) gap: SignedDuration,
}

/// A reference from a correlation to a rule or another correlation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Reference {
    /// The correlation's position among all.
    pub(super) correlation: usize,
    /// Which of its rules this is.
    pub(super) rule: usize,
}

/// All correlations of a rule set.
#[derive(Debug, Default)]
pub(super) struct Correlations {
    /// Every one comes after those it refers to.
    pub(super) all: Vec<Correlation>,
    /// By a rule's or correlation's id: who refers to it.
    pub(super) by_rule: HashMap<RuleId, Vec<Reference>>,
}

/// A correlation as it was read.
pub(super) struct Read<'a> {
    pub(super) file: &'a RuleFile,
    pub(super) rule: CorrelationRule,
    pub(super) card: Arc<RuleCard>,
}

/// What the correlations of a rule set came to.
pub(super) struct Resolved<'a> {
    pub(super) correlations: Correlations,
    /// Rules that raise nothing themselves, as no correlation on them asks for it.
    pub(super) silenced: HashSet<RuleId>,
    pub(super) refused: Vec<(&'a RuleFile, RuleId, String)>,
}

/// Compiles correlations and resolves what they refer to: `rules` holds the ids by which rules are referred to, each
/// with the rule it means.
pub(super) fn resolve<'a>(read: Vec<Read<'a>>, rules: &HashMap<String, RuleId>) -> Resolved<'a> {
    let mut names: HashMap<String, RuleId> = rules.clone();
    for Read { rule, card, .. } in &read {
        for name in [rule.id.as_ref(), rule.name.as_ref(), Some(&rule.title)].into_iter().flatten() {
            names.entry(name.clone()).or_insert_with(|| card.id.clone());
        }
    }
    let mut resolved =
        Resolved { correlations: Correlations::default(), silenced: HashSet::new(), refused: Vec::new() };
    let of_rules: HashSet<&RuleId> = rules.values().collect();
    let mut loud: HashSet<RuleId> = HashSet::new();
    let mut silenced: HashSet<RuleId> = HashSet::new();
    let mut waiting = read;
    // Those whose references are all known go first; what is left over refers to nothing, or in a circle.
    loop {
        let known: HashSet<RuleId> = resolved.correlations.all.iter().map(|known| known.id.clone()).collect();
        let is_ready = |read: &Read| {
            read.rule
                .rules
                .iter()
                .filter_map(|name| names.get(name))
                .all(|id| of_rules.contains(id) || known.contains(id))
        };
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
        waiting = rest;
        if ready.is_empty() {
            break;
        }
        for Read { file, rule, card } in ready {
            match compile(&rule, &names) {
                Ok((compiled, references)) => {
                    let position = resolved.correlations.all.len();
                    for (number, id) in references.into_iter().enumerate() {
                        let into = if rule.generate { &mut loud } else { &mut silenced };
                        into.insert(id.clone());
                        let reference = Reference { correlation: position, rule: number };
                        resolved.correlations.by_rule.entry(id).or_default().push(reference);
                    }
                    let seconds = |seconds: u64| SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
                    resolved.correlations.all.push(Correlation {
                        id: card.id.clone(),
                        card,
                        silent: false,
                        timespan: seconds(compiled.timespan_secs),
                        gap: seconds(compiled.gap_secs.unwrap_or_default()),
                        compiled,
                    });
                }
                Err(reason) => resolved.refused.push((file, card.id.clone(), reason)),
            }
        }
    }
    let circles = waiting.into_iter().map(|read| {
        let reason = format!(
            "`{}` refers to itself, or to a correlation that cannot be used: mend what it refers to",
            read.rule.title
        );
        (read.file, read.card.id.clone(), reason)
    });
    resolved.refused.extend(circles);
    // One correlation that wants to hear its rules is enough: an alert too many is better than one too few.
    resolved.silenced = silenced.difference(&loud).cloned().collect();
    for correlation in &mut resolved.correlations.all {
        correlation.silent = resolved.silenced.contains(&correlation.id);
    }
    resolved
}

/// The compiled form, and the rules it refers to in the order in which it names them.
fn compile(
    rule: &CorrelationRule,
    names: &HashMap<String, RuleId>,
) -> Result<(CompiledCorrelation, Vec<RuleId>), String> {
    let title = &rule.title;
    if rule.rules.is_empty() {
        return Err(format!("`{title}` names no rules: list under `correlation: rules:` what it correlates"));
    }
    let references = rule.rules.iter().map(|name| {
        names.get(name).cloned().ok_or_else(|| {
            format!("`{title}` refers to `{name}`, which is no usable rule here: load that rule too, or mend the name")
        })
    });
    let references = references.collect::<Result<Vec<_>, _>>()?;
    let compiled = rsigma_eval::correlation::compile_correlation(rule)
        .map_err(|error| format!("`{title}` does not compile: {error}"))?;
    let needs_field = !matches!(
        compiled.correlation_type,
        CorrelationType::EventCount | CorrelationType::Temporal | CorrelationType::TemporalOrdered
    );
    if needs_field && compiled.condition.field.as_ref().is_none_or(Vec::is_empty) {
        return Err(format!("`{title}` counts values and does not say of what: add `field:` to its condition"));
    }
    if compiled.timespan_secs == 0 || compiled.timespan_secs > LONGEST_TIMESPAN {
        return Err(format!("`{title}` looks over a timespan of {}: give 1 s to 31 d", rule.timespan.original));
    }
    if let Some(name) = compiled.extended_expr.as_ref().and_then(|expression| unknown_in(expression, &rule.rules)) {
        return Err(format!("`{title}` has a condition on {name}, which is none of its rules: name one of them"));
    }
    Ok((compiled, references))
}

/// The first part of a condition over rules that is none of the rules.
fn unknown_in(expression: &ConditionExpr, rules: &[String]) -> Option<String> {
    match expression {
        ConditionExpr::And(parts) | ConditionExpr::Or(parts) => parts.iter().find_map(|part| unknown_in(part, rules)),
        ConditionExpr::Not(part) => unknown_in(part, rules),
        ConditionExpr::Identifier(name) => (!rules.contains(name)).then(|| format!("`{name}`")),
        ConditionExpr::Selector { .. } => Some(format!("`{expression}`")),
    }
}

impl Correlation {
    /// When a new window begins.
    pub(super) const fn mode(&self) -> WindowMode {
        self.compiled.window_mode
    }

    /// A temporal correlation says itself how many of its rules are enough. `gte: 1` is what stands for a condition
    /// that was left out, and means all of them.
    pub(super) fn says_how_many(&self) -> bool {
        !matches!(self.compiled.condition.predicates[..], [(ConditionOperator::Gte, 1.0)])
    }

    /// The group an event belongs to when this rule of the correlation matched it; `None` if it lacks one of the
    /// fields: it then belongs to no group, rather than to one with all others that lack it.
    pub(super) fn group_of(&self, event: &Event, view: &View, rule: usize, ids: &[&str]) -> Option<Vec<String>> {
        let of_rule: Vec<&str> =
            self.compiled.rule_refs.get(rule).map(String::as_str).into_iter().chain(ids.iter().copied()).collect();
        self.compiled.group_by.iter().map(|field| text(event, view, field.resolve(&of_rule))).collect()
    }

    /// What is counted of an event: the values of the condition's fields. `None` if it lacks one.
    pub(super) fn value_of(&self, event: &Event, view: &View) -> Option<String> {
        let Some(fields) = &self.compiled.condition.field else { return Some(String::new()) };
        let values: Option<Vec<String>> = fields.iter().map(|field| text(event, view, field)).collect();
        Some(values?.join("\u{1f}"))
    }

    /// The same of a correlation that this one refers to: only what it was grouped by is known of it.
    pub(super) fn of_chained(&self, inner: &Self, group: &[String]) -> Option<(Vec<String>, String)> {
        let known = |name: &str| {
            inner.compiled.group_by.iter().position(|field| field.name() == name).and_then(|at| group.get(at).cloned())
        };
        let own = self.compiled.group_by.iter().map(|field| known(field.name())).collect::<Option<Vec<_>>>()?;
        let value = match &self.compiled.condition.field {
            None => String::new(),
            Some(fields) => fields.iter().map(|field| known(field)).collect::<Option<Vec<_>>>()?.join("\u{1f}"),
        };
        Some((own, value))
    }
}

/// A field's value for comparing: lower case, as Windows compares names. `-` and nothing are how Windows writes "not
/// known". One machine goes by its short and its long name.
fn text(event: &Event, view: &View, field: &str) -> Option<String> {
    if matches!(field, "Computer" | "host.name" | "winlog.computer_name") {
        return (!event.host.is_unknown()).then(|| event.host.key().to_owned());
    }
    let text = match view.get_field(field)? {
        EventValue::Str(text) => text.to_lowercase(),
        EventValue::Int(number) => number.to_string(),
        EventValue::Float(number) => number.to_string(),
        EventValue::Bool(flag) => flag.to_string(),
        EventValue::Null | EventValue::Array(_) | EventValue::Map(_) => return None,
    };
    let text = text.trim();
    (!text.is_empty() && text != "-").then(|| text.to_owned())
}
