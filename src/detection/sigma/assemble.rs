//! From rule files to a rule set: engines by log source, filters, correlations. A bad rule is named; the others load.

use std::collections::HashMap;
use std::sync::Arc;

use rsigma_eval::{CompiledRule, Engine, compile_rule};
use rsigma_parser::{FilterRule, FilterRuleTarget, SigmaRule, parse_sigma_yaml};

use super::correlation::{self, Read};
use super::load::{RuleFile, rule_id};
use super::route::{LogSources, Route};
use super::{Loaded, Rejected, Remark, RuleSet, card, engine};
use crate::domain::alert::RuleCard;
use crate::domain::ids::RuleId;

/// What was wrong and what was odd, as it is found.
#[derive(Default)]
struct Findings {
    rejected: Vec<Rejected>,
    remarks: Vec<Remark>,
}

impl Findings {
    fn reject(&mut self, file: &RuleFile, line: Option<u64>, reason: String) {
        self.rejected.push(Rejected { file: file.name.clone(), line, reason });
    }

    fn remark(&mut self, file: &RuleFile, title: &str, text: &str) {
        let line = file.line_of(title);
        self.remarks.push(Remark { file: file.name.clone(), line, text: format!("`{title}` {text}") });
    }
}

/// Rules on single events. Each is compiled as it is read: a thousand of them as they were written take as much room
/// as the engines.
#[derive(Default)]
struct Singles {
    by_route: Vec<(Route, Vec<CompiledRule>)>,
    rules: HashMap<RuleId, Loaded>,
    /// By what correlations may call them.
    names: HashMap<String, RuleId>,
    unreachable: Vec<RuleId>,
}

impl Singles {
    fn take(&mut self, file: &RuleFile, rule: &SigmaRule, findings: &mut Findings) {
        let compiled = match compile_rule(rule) {
            Ok(compiled) => compiled,
            Err(error) => {
                let reason = format!("`{}` does not compile: {error}", rule.title);
                return findings.reject(file, file.line_of(&rule.title), reason);
            }
        };
        let card = card::of_rule(rule);
        for name in [rule.id.as_ref(), rule.name.as_ref(), Some(&rule.title)].into_iter().flatten() {
            self.names.entry(name.clone()).or_insert_with(|| card.id.clone());
        }
        let route = Route::to(&rule.logsource);
        if route.is_nowhere() {
            let source = &rule.logsource;
            let source = [source.product.as_deref(), source.category.as_deref(), source.service.as_deref()];
            let source = source.into_iter().flatten().collect::<Vec<_>>().join("/");
            let text = format!("never fires: no event comes from its log source {source}");
            findings.remark(file, &rule.title, &text);
            self.unreachable.push(card.id.clone());
        } else {
            match self.by_route.iter_mut().find(|(known, _)| *known == route) {
                Some((_, rules)) => rules.push(compiled),
                None => self.by_route.push((route, vec![compiled])),
            }
        }
        self.rules.insert(card.id.clone(), loaded(card, rule));
    }
}

pub(super) fn assemble(files: &[RuleFile]) -> RuleSet {
    let mut findings = Findings::default();
    let mut origins: HashMap<RuleId, &RuleFile> = HashMap::new();
    let mut singles = Singles::default();
    let mut odd: Vec<(&RuleFile, RuleId, String, Vec<&str>)> = Vec::new();
    let mut correlations: Vec<Read> = Vec::new();
    let mut filters: Vec<(&RuleFile, FilterRule)> = Vec::new();
    for file in files {
        let text = file.text.as_ref().map_err(Clone::clone);
        let parsed = match text.and_then(|text| parse_sigma_yaml(text).map_err(|error| error.to_string())) {
            Ok(parsed) => parsed,
            Err(reason) => {
                findings.reject(file, line_in(&reason), reason);
                continue;
            }
        };
        let is_empty = parsed.rules.is_empty() && parsed.correlations.is_empty() && parsed.filters.is_empty();
        if is_empty && parsed.errors.is_empty() {
            findings.reject(file, None, "holds no rule".to_owned());
        }
        for reason in parsed.errors {
            findings.reject(file, line_in(&reason), reason);
        }
        for rule in parsed.rules {
            let id = rule_id(rule.id.as_deref(), &rule.title);
            if is_new(&mut origins, &mut findings, file, &id, &rule.title) {
                let unsaid = card::unsaid(rule.id.as_ref(), rule.author.as_ref(), rule.level, &rule.falsepositives);
                odd.push((file, id, rule.title.clone(), unsaid));
                singles.take(file, &rule, &mut findings);
            }
        }
        for rule in parsed.correlations {
            let id = rule_id(rule.id.as_deref(), &rule.title);
            if is_new(&mut origins, &mut findings, file, &id, &rule.title) {
                for text in card::unsaid(rule.id.as_ref(), rule.author.as_ref(), rule.level, &rule.falsepositives) {
                    findings.remark(file, &rule.title, text);
                }
                let card = Arc::new(card::of_correlation(&rule));
                correlations.push(Read { file, rule, card });
            }
        }
        filters.extend(parsed.filters.into_iter().map(|filter| (file, filter)));
    }

    let Singles { by_route, mut rules, names, mut unreachable } = singles;
    let in_engine = |(route, compiled)| {
        let mut engine = engine();
        engine.extend_compiled_rules::<Vec<CompiledRule>>(compiled);
        (route, engine)
    };
    let mut engines: Vec<(Route, Engine)> = by_route.into_iter().map(in_engine).collect();
    for (file, filter) in &filters {
        apply(filter, &mut engines, &rules).unwrap_or_else(|reason| {
            findings.reject(file, file.line_of(&filter.title), reason);
        });
    }
    let resolved = correlation::resolve(correlations, &names);
    for (file, id, reason) in resolved.refused {
        findings.reject(file, file.line_of(id.as_str()), reason);
    }
    for id in &resolved.silenced {
        if let Some(rule) = rules.get_mut(id) {
            rule.raises = false;
        }
    }
    // The card of a part of a correlation is never shown.
    for (file, _, title, unsaid) in odd.iter().filter(|(_, id, ..)| rules.get(id).is_some_and(|rule| rule.raises)) {
        unsaid.iter().for_each(|text| findings.remark(file, title, text));
    }

    unreachable.sort();
    let Findings { mut rejected, mut remarks } = findings;
    rejected.sort_by(|one, other| one.file.cmp(&other.file));
    remarks.sort_by(|one, other| one.file.cmp(&other.file));
    let sources = LogSources::new(engines.iter().map(|(route, _)| route));
    RuleSet { engines, sources, rules, correlations: resolved.correlations, rejected, remarks, unreachable }
}

/// The first of two rules with one id is kept.
fn is_new<'a>(
    origins: &mut HashMap<RuleId, &'a RuleFile>,
    findings: &mut Findings,
    file: &'a RuleFile,
    id: &RuleId,
    title: &str,
) -> bool {
    if let Some(first) = origins.get(id) {
        let reason = format!("`{title}` has the id {id} of a rule in {}, which is kept", first.name);
        findings.reject(file, file.line_of(id.as_str()), reason);
        return false;
    }
    origins.insert(id.clone(), file);
    true
}

fn loaded(card: RuleCard, rule: &SigmaRule) -> Loaded {
    // A rule may say itself that it is only a part of correlations.
    let says_no = rule.custom_attributes.get("generate").and_then(|word| word.as_bool()) == Some(false);
    Loaded { card: Arc::new(card), name: rule.name.clone(), raises: !says_no }
}

/// A filter narrows the rules it names, or all of its log source.
fn apply(filter: &FilterRule, engines: &mut [(Route, Engine)], rules: &HashMap<RuleId, Loaded>) -> Result<(), String> {
    let title = &filter.title;
    if let FilterRuleTarget::Specific(targets) = &filter.rules {
        let is_known = |name: &String| {
            rules.contains_key(&RuleId::new(name.as_str())) || rules.values().any(|rule| rule.card.title == *name)
        };
        if let Some(unknown) = targets.iter().find(|name| !is_known(name)) {
            return Err(format!("`{title}` filters `{unknown}`, which is no usable rule here: mend the name"));
        }
    }
    for (_, engine) in engines {
        engine.apply_filter(filter).map_err(|error| format!("`{title}` does not compile: {error}"))?;
    }
    Ok(())
}

/// The line a parser names in its message.
fn line_in(message: &str) -> Option<u64> {
    let (_, after) = message.split_once("at line ")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
