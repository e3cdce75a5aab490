//! The scoreboard as people read it: a row per scenario, then the figures with how many they rest on.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::interval::Share;
use super::label::Provenance;
use super::score::{CaseScore, Outcome, ScenarioScore};
use super::totals::Totals;
use crate::domain::case::{HoldQueue, Status};
use crate::domain::ids::CaseId;
use crate::domain::taint;

/// So many citations that are not true are shown one by one.
const MOST_UNTRUE: usize = 10;

/// Everything there is to say about the scenarios of one provenance.
#[must_use]
pub fn board(all: &[ScenarioScore], totals: &Totals) -> String {
    let scored: Vec<&ScenarioScore> = all.iter().filter(|one| one.source == totals.of).collect();
    format!("{}\n{}{}", rows(&scored), figures(totals), troubles(&scored))
}

fn rows(scored: &[&ScenarioScore]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "scenario", "kind", "outcome", "events", "alerts", "cases", "decide", "inform", "closed", "isolate", "joined",
        "cited", "shown", "s",
    ]);
    for one in scored {
        let waits = |queue| one.cases.iter().filter(|case| case.hold_reason == Some(queue)).count();
        let closed = one.cases.iter().filter(|case| matches!(case.status, Status::Resolved | Status::Closed)).count();
        let verified: u64 = one.cases.iter().map(|case| case.citations.verified).sum();
        let cited: u64 = one.cases.iter().map(|case| case.citations.total).sum();
        let wrong = |count: u64| if count == 0 { String::new() } else { format!(", {count} wrong") };
        table.add_row([
            taint::shown(&one.id),
            one.kind.replace('_', " "),
            one.outcome.name().to_owned(),
            one.events.to_string(),
            one.alerts.to_string(),
            one.cases.len().to_string(),
            waits(HoldQueue::NeedsDecision).to_string(),
            waits(HoldQueue::NeedsInformation).to_string(),
            format!("{closed}{}", wrong(one.wrong_closes)),
            format!("{}/{}{}", one.isolations.proposed, one.isolations.wanted, wrong(one.isolations.wrong)),
            format!("{}/{}", one.bystander_alerts_joined, one.bystander_alerts),
            format!("{verified}/{cited}"),
            format!("{}/{}", one.must_cite.shown, one.must_cite.wanted),
            format!("{:.1}", one.seconds),
        ]);
    }
    for number in [3, 4, 5, 6, 7, 13] {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The figures, each with what it is of.
fn figures(totals: &Totals) -> String {
    let of = Share::new;
    let said = match totals.of {
        Provenance::Recorded => "recorded, not written",
        Provenance::Written => "written, not recorded",
    };
    let closable =
        of(totals.benign_closable_resolved, totals.benign_closable).told("cases that may be closed by label");
    let holds = totals.needs_decision + totals.needs_information;
    let skill = |skill: Option<f64>| skill.map_or_else(|| "–".to_owned(), |skill| format!("{skill:.2}"));
    let isolations = totals.isolations;
    let mut lines = vec![
        format!(
            "{} {} ({said}): {} attacks, {} of them with alerts; {} cases. Intervals are Wilson's, 95 %.",
            totals.scenarios,
            totals.of.plural(),
            totals.attacks,
            totals.attacks_with_alerts,
            totals.cases,
        ),
        format!("missed              {}", of(totals.missed, totals.attacks_with_alerts)),
        format!("detected            {}", of(totals.detected, totals.attacks_with_alerts)),
        format!("held for a person   {}", of(totals.held, totals.attacks_with_alerts)),
        format!("wrong closes        {}", of(totals.wrong_closes, totals.incident_cases).told("cases of incidents")),
        format!(
            "benign resolved     {}; {} reserved for a person, {} held, {} called a threat",
            of(totals.benign_resolved, totals.benign_cases).told("benign cases"),
            totals.benign_mandatory_human,
            totals.benign_held,
            totals.benign_escalated
        ),
        format!("closable resolved   {closable}"),
        format!("on hold             {}", of(holds, totals.cases).told("cases")),
        format!("  needs a decision  {}", of(totals.needs_decision, totals.cases).told("cases")),
        format!("  needs information {}", of(totals.needs_information, totals.cases).told("cases")),
        format!("isolations proposed {}", of(isolations.proposed, isolations.wanted).told("wanted")),
        format!(
            "isolations wrong    {}",
            of(isolations.wrong, isolations.proposed + isolations.wrong).told("proposed")
        ),
        format!(
            "bystanders joined   {}",
            of(totals.bystander_alerts_joined, totals.bystander_alerts).told("alerts of bystanders")
        ),
        format!(
            "cases per incident  {}",
            totals.cases_per_incident.map_or_else(
                || "–".to_owned(),
                |mean| format!("{mean:.2} ({} cases of {} attacks)", totals.incident_cases, totals.incidents)
            )
        ),
        format!(
            "citations verified  {}; {} verdicts cite nothing",
            of(totals.citations_verified, totals.citations),
            totals.verdicts_without_citation
        ),
        format!("must-cite shown     {}", of(totals.must_cite.shown, totals.must_cite.wanted).told("texts")),
        format!(
            "Brier skill         attack {}, benign {} (1 perfect, 0 no better than the base rate)",
            skill(totals.brier_skill.attack),
            skill(totals.brier_skill.benign)
        ),
        format!("events              {}, {:.0} a second", totals.events, totals.events_per_second),
        format!(
            "judged as it came   in {} steps; a verdict changed {} times, and a close counts as wrong at any of them",
            totals.steps, totals.changed_verdicts
        ),
    ];
    lines.push(String::new());
    lines.join("\n")
}

/// What keeps the score from being clean, by name.
fn troubles(scored: &[&ScenarioScore]) -> String {
    let mut lines = Vec::new();
    for one in scored {
        let id = taint::shown(&one.id);
        if one.outcome == Outcome::Missed {
            lines.push(format!("missed: {id}"));
        }
        let stands = |wrong: &CaseId| {
            let closed = |case: &CaseScore| matches!(case.status, Status::Resolved | Status::Closed);
            one.cases.iter().any(|case| case.id == *wrong && closed(case))
        };
        lines.extend(one.wrongly_closed.iter().map(|case| match stands(case) {
            true => format!("wrong close: {id} {case}"),
            false => format!("wrong close: {id} {case}, taken back later"),
        }));
        if one.isolations.wrong > 0 {
            lines.push(format!("wrong isolations: {id} {}", one.isolations.wrong));
        }
    }
    let untrue = scored.iter().flat_map(|one| {
        let of_case = |case: &super::score::CaseScore| (case.id, case.unverified.clone());
        one.cases.iter().map(of_case).flat_map(move |(case, untrue)| {
            untrue.into_iter().map(move |what| format!("untrue citation: {} {case} {what}", one.id))
        })
    });
    let untrue: Vec<String> = untrue.map(|line| taint::shown(&line)).collect();
    lines.extend(untrue.iter().take(MOST_UNTRUE).cloned());
    if untrue.len() > MOST_UNTRUE {
        lines.push(format!("and {} more untrue citations", untrue.len() - MOST_UNTRUE));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::score::tests::{case, scenario};
    use super::*;
    use crate::domain::case::HoldCause;

    #[test]
    fn the_board_says_how_many_it_rests_on_and_names_what_went_wrong() {
        let mut untrue = case(7, &["a"]).held(HoldCause::InsufficientTelemetry);
        untrue.unverified.push("E1 says what is not there".into());
        let scored = [
            scenario(r#"{"id":"calm","kind":"attack"}"#, vec![untrue]),
            scenario(r#"{"id":"lost","kind":"attack"}"#, vec![case(3, &["a"]).resolved()]),
            scenario(r#"{"id":"made-up","kind":"attack","written":true}"#, vec![case(1, &["a"]).resolved()]),
        ];
        let totals = Totals::of(&scored, Provenance::Recorded, 1.0).expect("recordings");
        let board = board(&scored, &totals);
        for line in [
            "2 recordings (recorded, not written): 2 attacks, 2 of them with alerts",
            "missed              1 of 2: 50.0 %",
            "needs a decision  0 of 2",
            "needs information 1 of 2",
            "missed: lost",
            "wrong close: lost WF-3",
            "untrue citation: calm WF-7 E1 says what is not there",
        ] {
            assert!(board.contains(line), "`{line}` is not said in\n{board}");
        }
        assert!(!board.contains("made-up"), "written scenarios have a board of their own\n{board}");
    }
}
