//! `watchfloor triage FILE|DIR|-…`: logs in, judged cases out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use jiff::SignedDuration;
use serde_json::json;

use super::progress::Bar;
use super::say::{complain, say, say_json};
use super::{Common, Verdict, cases, containment, render, rules};
use crate::detection::clock::ClockOffset;
use crate::detection::damage::{Damage, Tally};
use crate::detection::read::{Input, Inputs, LeftOut};
use crate::detection::sigma::Detector;
use crate::domain::containment::{Mode, Policy, Standing};
use crate::domain::ids::{AlertId, CaseId, ProposalId};
use crate::domain::words::{agreeing, counted};
use crate::floor::assembly::{Stores, assemble};
use crate::floor::baseline::{Baseline, import_baseline};
use crate::floor::control::Control;
use crate::floor::faults::{Faults, VARIABLE};
use crate::floor::gate_view;
use crate::floor::held_back::settle;
use crate::floor::import::{Imported, Watch, import_all};
use crate::floor::ingest::caught_up;
use crate::floor::queries::{self, CaseThread};
use crate::floor::shared::Shared;
use crate::floor::state_folder::StateFolder;
use crate::floor::tree::Floor;
use crate::journal::case_stream::{self, CaseStream};
use crate::ports::desk::DeskCase;

/// So many files of a folder that are no logs are named one by one.
const MOST_LEFT_OUT: usize = 20;

/// Of so many inputs each has its line, whatever it gave.
const MOST_QUIET: usize = 20;

/// What to triage.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Logs: files (EVTX, NDJSON or JSON lists, plain, gzip or zstd), folders of them, - for standard input
    #[arg(required = true, value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    /// What to add to the logs' own times to get UTC, where a log's clock is known to be off: +4h, -7h30m, +05:30
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true, value_parser = offset)]
    clock_offset: Option<ClockOffset>,
    /// Sigma rules: a folder, a file or a tar archive; the shipped rules if left out
    #[arg(long, value_name = "DIR|ARCHIVE")]
    rules: Option<PathBuf>,
    /// History to compare with: logs as FILE takes them, stored and not judged
    #[arg(long, value_name = "DIR|FILE", num_args = 1)]
    baseline: Vec<PathBuf>,
    /// What is known of machines and accounts: a folder of TOML files; if left out, the one named last for
    /// this state folder, or `context` in it
    #[arg(long, value_name = "DIR")]
    context: Option<PathBuf>,
    /// What happens to a proposal to contain a device that passes every check: dry_run denies it, approve asks a person
    #[arg(long, value_name = "MODE", default_value = "dry_run")]
    containment: Mode,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
///
/// # Errors
/// When an input cannot be used, the folder is in use, or the floor breaks down. What was recorded stays, and the
/// same command goes on from there.
pub async fn run(arguments: Arguments) -> Result<Verdict> {
    let Arguments {
        files,
        clock_offset,
        rules: rules_from,
        baseline,
        context,
        containment,
        common: Common { data, json },
    } = arguments;
    // Every input is looked at before anything is written.
    let Inputs { logs, left_out } = tokio::task::spawn_blocking(move || Inputs::find(&files)).await??;
    for LeftOut { file, reason } in left_out.iter().take(MOST_LEFT_OUT) {
        complain(format!("{file} is left out: {reason}"));
    }
    if left_out.len() > MOST_LEFT_OUT {
        let more = counted((left_out.len() - MOST_LEFT_OUT) as u64, "more file");
        complain(format!("{more} left out for the same reasons"));
    }
    let history = match baseline.is_empty() {
        true => None,
        false => Some(tokio::task::spawn_blocking(move || Inputs::find(&baseline)).await??.logs),
    };
    let rules = rules::in_use(rules_from.as_deref())?;
    let switches = std::env::var(VARIABLE).unwrap_or_default();
    let faults = Faults::parse(&switches)?;
    if !switches.is_empty() {
        complain(format!("running with faults on purpose ({VARIABLE}={switches})"));
    }
    let folder = StateFolder::take(&data)?;
    let stores = Stores::open(folder.path(), &faults)?.with_context(folder.path(), context.as_deref())?;
    let waited = waiting(&stores).await?;
    let control = Control::open(folder.path(), stores.clone()).await?;
    let shared = assemble(&folder, stores.clone(), faults).await?;
    shared.contain_by(Policy::of(containment));
    let watch = Arc::new(Watch::default());
    // One pipe among them, and nobody knows how much is to come.
    let total = logs.iter().chain(history.iter().flatten()).map(Input::size).sum();
    let mut bar = Bar::over(watch.clone(), total);
    let floor = Floor::start(shared.clone()).await?;

    let clock = clock_offset.unwrap_or(ClockOffset::NONE);
    let baseline = match history {
        Some(history) => Some(import_baseline(&shared, history, clock, &watch).await?),
        None => None,
    };
    let rules = Arc::new(rules);
    let mut detector = Detector::new(rules.clone());
    let inputs = import_all(&shared, logs, clock, &mut detector, &watch).await?;
    let settled = settle(&shared, &mut detector).await?;
    caught_up(&shared).await?;
    bar.investigating();
    floor.at_rest().await?;
    floor.stop().await;
    drop((bar, control));

    let alerts: BTreeSet<AlertId> =
        inputs.iter().flat_map(|(_, imported)| imported.alerts.clone()).chain(settled.clone()).collect();
    let all = queries::cases(&stores).await?;
    let shown = of_alerts(&shared, &all, &alerts).await?;
    if json {
        let mut threads = Vec::new();
        for case in &shown {
            threads.push(queries::thread(&stores, case.id).await?);
        }
        let found = Found {
            inputs: &inputs,
            left_out: &left_out,
            settled: settled.len(),
            baseline: baseline.as_ref(),
            context: stores.context_from.as_deref(),
        };
        say_json(&report(&found, clock_offset, rules.len(), &threads))?;
    } else {
        if let Some(baseline) = &baseline {
            say(baseline.says())?;
        }
        if let Some(from) = &stores.context_from {
            say(format!("context: {}", from.display()))?;
        }
        say(summaries(&inputs, clock_offset, rules.len()))?;
        if !settled.is_empty() {
            say(format!("all logs together: {}", counted(settled.len() as u64, "further alert")))?;
        }
        if shown.is_empty() {
            say("No rule matched: nothing was investigated. That is not a clean bill of health.")?;
        } else {
            say(render::wrapped(&render::list(&shown)))?;
        }
        let data = folder.path().display();
        if shown.len() < all.len() {
            let more = (all.len() - shown.len()) as u64;
            let (cases, are) = (counted(more, "earlier case"), agreeing(more, "is", "are"));
            say(format!("{cases} in {data} {are} not shown: watchfloor cases list --data {data}"))?;
        }
        for proposal in shown.iter().flat_map(|case| &case.state.proposals) {
            say(containment::sentence(proposal, folder.path()))?;
        }
        if let Some(first) = shown.first() {
            say(format!("Read one: watchfloor cases show {} --data {data}", first.id))?;
        }
    }
    let voided = waited.difference(&waiting(&stores).await?).count();
    if voided > 0 && containment == Mode::DryRun {
        complain(format!(
            "{} that waited for a person {} void: this run is a dry run. `cases reopen` asks again after a triage with \
             --containment approve",
            counted(voided as u64, "proposal"),
            agreeing(voided as u64, "is", "are")
        ));
    }
    let known: u64 = inputs.iter().map(|(_, imported)| imported.known).sum();
    if known > 0 && baseline.is_some() {
        complain(format!(
            "{} of the logs to judge {} known already, from the baseline or an earlier run: what a baseline holds counts \
             as history, so give one that ends before these logs begin",
            counted(known, "event"),
            agreeing(known, "was", "were")
        ));
    }
    let cut_short = inputs.iter().any(|(_, imported)| imported.damage.truncation().is_some());
    Ok(if cut_short { Verdict::Failed } else { cases::verdict(&shown) })
}

/// The proposals that wait for a person's answer.
async fn waiting(stores: &Stores) -> Result<BTreeSet<ProposalId>> {
    let matters = gate_view::matters(stores).await?.into_iter().map(|shown| shown.matter);
    let waiting = matters.filter(|matter| matches!(matter.standing, Standing::Waiting { .. }));
    Ok(waiting.map(|matter| matter.proposal.id).collect())
}

/// The cases that hold one of these alerts.
async fn of_alerts(shared: &Shared, all: &[DeskCase], alerts: &BTreeSet<AlertId>) -> Result<Vec<DeskCase>> {
    let mut ids = BTreeSet::new();
    for case in case_stream::cases(shared.journal.as_ref()).await? {
        let stream = CaseStream::open(shared.journal.clone(), case, None).await?;
        if stream.log().alerts.iter().any(|alert| alerts.contains(alert)) {
            ids.insert(case);
        }
    }
    let is_shown = |case: &&DeskCase| ids.contains::<CaseId>(&case.id);
    Ok(all.iter().filter(is_shown).cloned().collect())
}

/// What each input gave. Of many inputs, those of which there is nothing to say are summed up.
fn summaries(inputs: &[(String, Imported)], clock: Option<ClockOffset>, rules: usize) -> String {
    let few = inputs.len() <= MOST_QUIET;
    let is_told = |imported: &Imported| {
        few || !imported.alerts.is_empty() || !imported.damage.is_none() || imported.clock.finding().is_some()
    };
    let (told, quiet): (Vec<_>, Vec<_>) = inputs.iter().partition(|(_, imported)| is_told(imported));
    let mut lines: Vec<String> = told.iter().map(|(file, imported)| summary(file, imported, rules)).collect();
    if !quiet.is_empty() {
        let events: u64 = quiet.iter().map(|(_, imported)| imported.events).sum();
        let (files, events) = (counted(quiet.len() as u64, "more file"), counted(events, "event"));
        lines.push(format!("{files}: {events}, 0 alerts"));
    }
    if let Some(clock) = clock {
        let told = format!("{clock} was added to times that no sensor wrote in UTC, as declared");
        let known = inputs.iter().any(|(_, imported)| imported.known > 0);
        let kept = if known { "; events known already kept theirs" } else { "" };
        lines.push(format!("clock: {told}{kept}"));
    }
    lines.join("\n")
}

/// What an input gave, in a line; what was wrong with it in further ones.
fn summary(file: &str, imported: &Imported, rules: usize) -> String {
    let Imported { events, known, repeated, alerts, damage, clock } = imported;
    let known = match (known, repeated) {
        (0, 0) => String::new(),
        (known, 0) => format!(" ({known} of them known already)"),
        (0, repeated) => format!(" ({repeated} of them repeated in the log)"),
        (known, repeated) => format!(" ({known} of them known already, {repeated} repeated in the log)"),
    };
    let (events, alerts) = (counted(*events, "event"), counted(alerts.len() as u64, "alert"));
    let mut text = format!("{file}: {events}{known}, {alerts}, {} loaded", counted(rules as u64, "rule"));
    let mut tell = |what: String, Tally { count, first, first_reason }: &Tally| {
        let records = counted(*count, "record");
        text.push_str(&format!("\n  {records} {what}; first in {first}: {first_reason}"));
    };
    damage.broken().iter().for_each(|(fault, tally)| tell(format!("skipped, {fault}"), tally));
    damage.flawed().iter().for_each(|(flaw, tally)| tell(format!("not read word for word: {flaw}"), tally));
    if let Some(cut) = damage.truncation() {
        text.push_str(&format!("\n  the file is cut short: {cut}; what came before was judged"));
    }
    if let Some(found) = clock.finding() {
        text.push_str(&format!("\n  clock: {found}; nothing was changed"));
        if found.offset != found.declared {
            text.push_str(&format!(", --clock-offset {} declares it", found.offset));
        }
    }
    text
}

/// What the inputs gave.
struct Found<'a> {
    inputs: &'a [(String, Imported)],
    left_out: &'a [LeftOut],
    /// Alerts on several events together.
    settled: usize,
    /// What was stored beforehand to compare with.
    baseline: Option<&'a Baseline>,
    /// Where people declared what they know.
    context: Option<&'a Path>,
}

fn report(found: &Found, declared: Option<ClockOffset>, rules: usize, cases: &[CaseThread]) -> serde_json::Value {
    let tally = |name: &str, kind: String, Tally { count, first, first_reason }: &Tally| json!({name: kind, "records": count, "first": first.to_string(), "reason": first_reason});
    let skipped = |damage: &Damage| -> Vec<_> {
        damage.broken().iter().map(|(fault, found)| tally("fault", fault.to_string(), found)).collect()
    };
    let flawed = |damage: &Damage| -> Vec<_> {
        damage.flawed().iter().map(|(flaw, found)| tally("flaw", flaw.to_string(), found)).collect()
    };
    let inputs: Vec<_> = found
        .inputs
        .iter()
        .map(|(file, Imported { events, known, repeated, alerts, damage, clock })| {
            let clock = clock.finding();
            let apart = clock.iter().flat_map(|found| &found.apart).map(
                |apart| json!({"kind": apart.kind, "clock_offset": apart.offset.to_string(), "records": apart.compared}),
            );
            json!({
                "file": file,
                "events": events,
                "known": known,
                "repeated": repeated,
                "alerts": alerts.len(),
                "skipped": skipped(damage),
                "not_word_for_word": flawed(damage),
                "cut_short": damage.truncation(),
                "clock_offset_shown": clock.as_ref().map(|found| found.offset.to_string()),
                "clocks_apart": apart.collect::<Vec<_>>(),
            })
        })
        .collect();
    let left_out: Vec<_> =
        found.left_out.iter().map(|left| json!({"file": left.file, "reason": left.reason.to_string()})).collect();
    json!({
        "inputs": inputs, "left_out": left_out, "alerts_on_all": found.settled, "baseline": found.baseline, "context": found.context, "clock_offset": declared.map(|clock| clock.to_string()),
        "rules": rules, "cases": cases,
    })
}

/// A declared offset: `+4h`, `-7h 30m`, `+05:30`.
fn offset(text: &str) -> Result<ClockOffset, String> {
    let parsed = text.parse().ok().or_else(|| {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let (hours, minutes) = digits.split_once(':')?;
        let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
        (minutes < 60).then(|| SignedDuration::from_mins(sign * (i64::from(hours) * 60 + i64::from(minutes))))
    });
    // More is no time zone and no clock set for the wrong half of the day.
    parsed
        .filter(|offset: &SignedDuration| offset.abs() <= SignedDuration::from_hours(48))
        .map(ClockOffset::new)
        .ok_or_else(|| "give hours and minutes with a sign, as in +4h, -7h30m or +05:30, and no more than 48h".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_read_in_the_ways_people_write_it() {
        let minutes = |text: &str| offset(text).map(|offset| offset.duration().as_mins());
        assert_eq!(minutes("+4h"), Ok(240));
        assert_eq!(minutes("-7h"), Ok(-420));
        assert_eq!(minutes("-7h30m"), Ok(-450));
        assert_eq!(minutes("+05:30"), Ok(330));
        assert_eq!(minutes("-05:30"), Ok(-330));
        assert_eq!(minutes("PT4H"), Ok(240));
        for wrong in ["", "four", "+4", "+5:75", "+49h", "-9000000000h", "--4h", "+-5:30"] {
            assert!(offset(wrong).is_err(), "{wrong}");
        }
        assert_eq!(offset("-7h30m").map(|offset| offset.to_string()).as_deref(), Ok("-7h30m"));
    }
}
