//! The gate as commands see it: what waits, what is held, and how a person's word reaches the gatekeeper.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::assembly::Stores;
use super::gatekeeper::verdict_stands;
use crate::domain::containment::{GateEvent, Matter, Nature, Standing};
use crate::domain::ids::ProposalId;
use crate::journal::audit;
use crate::journal::case_stream::CaseStream;
use crate::journal::gate_ledger::GateLedger;
use crate::journal::gate_told;
use crate::journal::words::{self, Word};
use crate::ports::journal::JournalError;

/// How long a word may wait for its answer, and then for what it set in motion. Both together are shorter than a
/// control connection's patience.
const PATIENCE: Duration = Duration::from_secs(4);

/// How often the audit is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// A proposal as commands show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownMatter {
    /// The proposal and where it stands.
    #[serde(flatten)]
    pub matter: Matter,
    /// Nothing happens to any machine.
    pub simulated: bool,
    /// Where it stands, in a sentence.
    pub told: String,
    /// A person has something to do.
    pub needs_person: bool,
    /// What happened to it, in order.
    pub history: Vec<Happened>,
}

/// Something that happened to a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// The row of the audit.
    pub row: u64,
    /// When.
    pub at: Timestamp,
    /// What, in a sentence.
    pub what: String,
}

/// What came of a person's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The gatekeeper heard it; without that the word is on record and is answered when a floor runs.
    pub heard: bool,
    /// Why it changes nothing, if so.
    pub refused: Option<String>,
    /// The proposal as it stands then.
    pub matter: Option<ShownMatter>,
}

/// Every proposal that was decided, by number.
///
/// # Errors
/// When the journal cannot be read.
pub async fn matters(stores: &Stores) -> Result<Vec<ShownMatter>, JournalError> {
    let rows = audit::rows(stores.journal.as_ref()).await?;
    let ledger = GateLedger::of(&rows);
    let nature = stores.devices.nature();
    let now = Timestamp::now();
    let shown = |matter: &Matter| {
        let history = rows.iter().filter(|row| row.event.proposal() == Some(matter.proposal.id));
        let history = history.map(|row| Happened {
            row: row.seq,
            at: row.at,
            what: gate_told::event(&matter.proposal, &row.event, nature),
        });
        show(matter, nature, now, history.collect())
    };
    let mut all: Vec<ShownMatter> = ledger.matters().map(shown).collect();
    for waiting in all.iter_mut().filter(|shown| shown.needs_person && is_waiting(&shown.matter)) {
        let case = CaseStream::open(stores.journal.clone(), waiting.matter.proposal.id.case(), None).await?;
        if !verdict_stands(case.log()) {
            waiting.told = format!("{}: void, the verdict it rests on does not stand any more", waiting.told);
            waiting.needs_person = false;
        }
    }
    Ok(all)
}

fn is_waiting(matter: &Matter) -> bool {
    matches!(matter.standing, Standing::Waiting { .. })
}

fn show(matter: &Matter, nature: Nature, now: Timestamp, history: Vec<Happened>) -> ShownMatter {
    // An approval that nobody answered in time is a denial, whether or not a floor has run since to say so.
    let late = matches!(&matter.standing, Standing::Waiting { approval } if approval.is_expired(now));
    let told = gate_told::standing(&matter.standing);
    let overdue = matches!(&matter.standing, Standing::Live { lease } if lease.until <= now);
    ShownMatter {
        matter: matter.clone(),
        simulated: nature.is_simulated(),
        told: match (late, overdue) {
            (true, _) => format!("{told}: nobody answered in time, it is denied"),
            (_, true) => format!("{told}: overdue, the next floor that runs on this folder lets it go"),
            (false, false) => told,
        },
        needs_person: matter.standing.needs_person() && !late,
        history,
    }
}

/// Puts a person's word on record and waits until the floor's gatekeeper has answered it and has carried out what
/// follows from it.
///
/// # Errors
/// When the journal refuses.
pub async fn say(stores: &Stores, word: &Word) -> Result<Said, JournalError> {
    let number = words::say(stores.journal.as_ref(), word, Timestamp::now()).await?;
    let heard = until(stores, |ledger| ledger.last_word() >= number).await?;
    let about = word.proposal();
    let is_settled = |ledger: &GateLedger| {
        let matter = about.and_then(|id| ledger.get(id));
        matter.is_none_or(|matter| matter.standing.under_way().is_none())
    };
    if heard {
        until(stores, is_settled).await?;
    }
    said(stores, number, word).await
}

/// What came of a word as far as the audit has it.
///
/// # Errors
/// When the journal cannot be read.
pub async fn said(stores: &Stores, number: u64, word: &Word) -> Result<Said, JournalError> {
    let rows = audit::rows(stores.journal.as_ref()).await?;
    let answer = rows.iter().find(|row| row.event.word() == Some(number));
    let refused = answer.and_then(|row| match &row.event {
        GateEvent::Unheard { why, .. } => Some(why.clone()),
        _ => None,
    });
    let is_it = |id: ProposalId| word.proposal() == Some(id);
    let matter = matters(stores).await?.into_iter().find(|shown| is_it(shown.matter.proposal.id));
    Ok(Said { heard: answer.is_some(), refused, matter })
}

async fn until(stores: &Stores, holds: impl Fn(&GateLedger) -> bool) -> Result<bool, JournalError> {
    let began = Instant::now();
    loop {
        if holds(&GateLedger::of(&audit::rows(stores.journal.as_ref()).await?)) {
            return Ok(true);
        }
        if began.elapsed() > PATIENCE {
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
}
