//! What `approvals` and `leases` share: asking a floor, speaking to its gatekeeper, and containment as text.

use std::path::Path;

use anyhow::{Context, Result, bail};
use jiff::SignedDuration;
use serde_json::Value;

use super::Verdict;
use super::ask::ask;
use super::say::{say, say_json};
use crate::domain::containment::{Policy, Standing};
use crate::domain::ids::{LeaseId, ProposalId};
use crate::domain::taint;
use crate::floor::assembly::{Stores, assemble};
use crate::floor::control::{self, Control};
use crate::floor::faults::{Faults, VARIABLE};
use crate::floor::gate_view::{self, Said, ShownMatter};
use crate::floor::queries::Query;
use crate::floor::state_folder::{FolderError, StateFolder};
use crate::floor::tree::Floor;
use crate::journal::desired;
use crate::journal::words::Word;

/// The proposals of a folder's floor.
///
/// # Errors
/// When the folder cannot be read.
pub async fn matters(folder: &Path) -> Result<Vec<ShownMatter>> {
    ask(folder, Query::Matters).await
}

/// One of them.
///
/// # Errors
/// When the folder cannot be read, or there is no such proposal.
pub async fn matter(folder: &Path, id: ProposalId) -> Result<ShownMatter> {
    let found = matters(folder).await?.into_iter().find(|shown| shown.matter.proposal.id == id);
    found.with_context(|| format!("the gatekeeper has decided no proposal {id}: `watchfloor approvals list --all`"))
}

/// Speaks to the gatekeeper of the floor that holds a folder. If none does, one is started without sources, does what
/// follows from the word, and ends.
///
/// # Errors
/// When the folder holds nothing or cannot be used, or the floor breaks down. A word that was put on record stays.
pub async fn speak(folder: &Path, word: Word) -> Result<Said> {
    let held = match StateFolder::take_existing(folder) {
        Ok(held) => held,
        Err(FolderError::InUse { .. }) => {
            let said = control::ask(folder, Query::Say { said: word }).await?;
            return Ok(serde_json::from_value(said)?);
        }
        Err(error) => return Err(error.into()),
    };
    let faults = Faults::parse(&std::env::var(VARIABLE).unwrap_or_default())?;
    let stores = Stores::open(held.path(), &faults)?.with_context(held.path(), None)?;
    let control = Control::open(held.path(), stores.clone()).await?;
    // No policy is said: the one that the proposals were decided by stays in force.
    let floor = Floor::start(assemble(&held, stores.clone(), faults).await?).await?;
    let said = gate_view::say(&stores, &word).await?;
    floor.at_rest().await?;
    floor.stop().await;
    drop(control);
    // What was under way has come to its end by now.
    let about = word.proposal();
    let matter = gate_view::matters(&stores).await?.into_iter().find(|shown| about == Some(shown.matter.proposal.id));
    Ok(Said { matter, ..said })
}

/// Tells what came of a word. It failed if it was not heard or changes nothing, or if what it set in motion did not
/// come to be.
///
/// # Errors
/// When the output cannot be written.
pub fn tell(said: &Said, json: bool) -> Result<Verdict> {
    let stands = said.matter.as_ref().map(|shown| &shown.matter.standing);
    let failed = !said.heard
        || said.refused.is_some()
        || matches!(stands, Some(Standing::NotDone { .. } | Standing::Denied { .. }) | None)
        || matches!(stands, Some(Standing::Live { lease }) if lease.trouble.is_some());
    if json {
        say_json(said)?;
    } else {
        let about = said.matter.as_ref().map_or_else(String::new, |shown| format!("{}\n", line(shown)));
        match (&said.refused, said.heard) {
            (Some(why), _) => say(format!("Nothing was changed: {why}."))?,
            (None, false) => say("It is on record, and the floor has not answered it yet: look again.")?,
            (None, true) => say(about)?,
        }
    }
    Ok(if failed { Verdict::Failed } else { Verdict::Quiet })
}

/// A proposal in a line.
#[must_use]
pub fn line(shown: &ShownMatter) -> String {
    let proposal = &shown.matter.proposal;
    let host = taint::shown(proposal.host.as_str());
    format!("{} · {} of {host} · {}", proposal.id, proposal.action.noun(), shown.told)
}

/// A proposal with all that happened to it.
#[must_use]
pub fn whole(shown: &ShownMatter, data: &Path) -> String {
    let proposal = &shown.matter.proposal;
    let evidence = proposal.evidence.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut out = format!(
        "{}\nCase {} asks: {}\nEvidence: {evidence}, read again by the gatekeeper; watchfloor cases show {} --data {}\n",
        line(shown),
        proposal.id.case(),
        taint::shown(&proposal.because),
        proposal.id.case(),
        data.display()
    );
    match &shown.matter.standing {
        Standing::Waiting { approval } => out.push_str(&format!(
            "Device {} ({}){}. Approved, it is cut off for {:#} unless --for says otherwise, {:#} at most; it is let go \
             when that is over, or at once by: watchfloor leases release L-{} --because TEXT --data {}\n",
            taint::shown(approval.device.as_str()),
            taint::shown(approval.host.as_str()),
            approval.nature.mark(),
            Policy::default().lease,
            Policy::default().longest_lease,
            LeaseId::of(proposal.id),
            data.display(),
        )),
        Standing::Live { lease } | Standing::Releasing { lease, .. } | Standing::Released { lease, .. } => {
            out.push_str(&format!(
                "Lease {}{}: device {} ({}), since {} until {}, owner {}, reason: {}. Undo: {} of that device.\n",
                lease.id,
                lease.nature.mark(),
                taint::shown(lease.device.as_str()),
                taint::shown(lease.host.as_str()),
                lease.since.strftime("%F %T UTC"),
                lease.until.strftime("%F %T UTC"),
                taint::shown(&lease.owner),
                taint::shown(&lease.reason),
                lease.undo.noun(),
            ));
        }
        _ => {}
    }
    for happened in &shown.history {
        let mut lines = happened.what.lines();
        let first = lines.next().unwrap_or_default();
        out.push_str(&format!("  {} row {} {first}\n", happened.at.strftime("%F %T"), happened.row));
        lines.for_each(|line| out.push_str(&format!("      {line}\n")));
    }
    out
}

/// A case's proposals as its state shows them, with the command that answers each open one; empty without any.
#[must_use]
pub fn section(proposals: &[Value], data: &Path) -> String {
    if proposals.is_empty() {
        return String::new();
    }
    let mut out = String::from("\nContainment\n");
    for proposal in proposals {
        let text = |name| taint::shown(proposal.get(name).and_then(Value::as_str).unwrap_or_default());
        let action = text("action").replace('_', " ");
        out.push_str(&format!("  {} {action} {}: {}\n", text("id"), text("host"), text("answer")));
        if let Some(value) = proposal.get("value").and_then(Value::as_str).filter(|value| !value.is_empty()) {
            out.push_str(&format!("       check {}: {}\n", text("rule"), taint::shown(value)));
        }
        commands(proposal, data).iter().for_each(|command| out.push_str(&format!("       {command}\n")));
    }
    out
}

/// What became of a proposal, in a sentence with the command that answers it if it waits for a person.
#[must_use]
pub fn sentence(proposal: &Value, data: &Path) -> String {
    let text = |name| taint::shown(proposal.get(name).and_then(Value::as_str).unwrap_or_default());
    let what = format!("{}, {} {}: {}", text("id"), text("action").replace('_', " "), text("host"), text("answer"));
    match commands(proposal, data).first() {
        Some(command) => format!("{what}\n  {command}"),
        None => what,
    }
}

/// The commands that answer what a proposal asks of a person now.
#[must_use]
pub fn commands(proposal: &Value, data: &Path) -> Vec<String> {
    let text = |name| proposal.get(name).and_then(Value::as_str).unwrap_or_default();
    if !desired::needs_person(proposal) {
        return vec![];
    }
    let (id, data) = (text("id"), data.display());
    let lease = proposal.get("lease").and_then(|lease| lease.get("id")).and_then(Value::as_str).unwrap_or_default();
    match text("decision") {
        "waiting" => vec![
            format!("watchfloor approvals approve {id} --data {data}"),
            format!("watchfloor approvals deny {id} --because TEXT --data {data}"),
        ],
        "live" => vec![format!("watchfloor leases release {lease} --because TEXT --data {data}")],
        _ => vec![format!("watchfloor approvals show {id} --data {data}")],
    }
}

/// Who speaks: as said, or the account that runs the command.
///
/// # Errors
/// When neither is known.
pub fn speaker(by: Option<String>) -> Result<String> {
    let account = || ["USER", "USERNAME", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    match by.or_else(account).filter(|name| !name.trim().is_empty()) {
        Some(name) => Ok(name),
        None => bail!("nobody is logged on by name here, and a person's word needs one: give it with --by NAME"),
    }
}

/// A time such as `4h` or `90m`: more than nothing, and no longer than any lease may be.
///
/// # Errors
/// In words, when it is none.
pub fn lasts(text: &str) -> Result<SignedDuration, String> {
    let longest = Policy::default().longest_lease;
    let refused = || format!("`{text}` is no time for a lease: it takes one such as 4h or 90m, at most {longest:#}");
    let parsed: SignedDuration = text.parse().map_err(|_| refused())?;
    if parsed > SignedDuration::ZERO && parsed <= longest { Ok(parsed) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lease_lasts_more_than_nothing_and_at_most_a_day() {
        assert_eq!(lasts("4h"), Ok(SignedDuration::from_hours(4)));
        assert_eq!(lasts("1h30m"), Ok(SignedDuration::from_mins(90)));
        for wrong in ["0h", "-1h", "25h", "4", "soon", ""] {
            assert!(lasts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_open_proposal_is_shown_with_the_command_that_answers_it() {
        let waiting = json!({"id": "P-1.1", "action": "isolate_device", "host": "WKS-1", "answer": "waits",
            "decision": "waiting", "needs_person": true});
        let denied = json!({"id": "P-1.2", "action": "run_av_scan", "host": "WKS-2", "answer": "no",
            "decision": "denied", "rule": "offline_device", "value": "it cannot be reached", "needs_person": false});
        let shown = section(&[waiting, denied], Path::new("here"));
        assert!(shown.contains("watchfloor approvals approve P-1.1 --data here"), "{shown}");
        assert!(shown.contains("check offline_device: it cannot be reached"), "{shown}");
        assert_eq!(shown.matches("watchfloor").count(), 2, "{shown}");
        assert_eq!(section(&[], Path::new("here")), "");
    }
}
