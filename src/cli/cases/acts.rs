//! What people say of cases: comments, verdicts, merges and splits, one by one or in bulk, each with its reason.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::ask::{ask, tell};
use crate::cli::cases::verdict;
use crate::cli::containment::{self, speaker};
use crate::cli::say::{say, say_json};
use crate::cli::{Common, Verdict, render};
use crate::domain::ids::{AlertId, CaseId};
use crate::domain::person::{Act, Ruling};
use crate::domain::words::counted;
use crate::floor::case_filter::CaseFilter;
use crate::floor::people::{On, Request, Told};
use crate::floor::queries::Query;
use crate::journal::desired;
use crate::ports::desk::DeskCase;

/// What to say.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a comment
    Comment {
        /// The case
        case: CaseId,
        /// The text
        #[arg(required = true, value_name = "TEXT")]
        text: Vec<String>,
        #[command(flatten)]
        word: Word,
    },
    /// Say what cases were, and that they are handled
    Resolve {
        #[command(flatten)]
        on: Which,
        /// true_positive, false_positive, expected or undetermined, if you like with a determination: true_positive:malware
        #[arg(long = "as", value_name = "CLASSIFICATION[:DETERMINATION]")]
        ruling: Ruling,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        word: Word,
    },
    /// Have cases investigated again; no machine resolves them after that
    Reopen {
        #[command(flatten)]
        on: Which,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        word: Word,
    },
    /// Say what cases were; their status stays. A later word supersedes it
    Judge {
        #[command(flatten)]
        on: Which,
        /// true_positive, false_positive, expected or undetermined, if you like with a determination: expected:security_test
        #[arg(long = "as", value_name = "CLASSIFICATION[:DETERMINATION]")]
        ruling: Ruling,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        word: Word,
    },
    /// Say who looks after cases: `assign CASE PERSON`, or `assign PERSON --where …`
    Assign {
        /// The case, unless --where names several, and the person
        #[arg(required = true, num_args = 1..=2, value_name = "CASE> <PERSON")]
        case_and_person: Vec<String>,
        #[command(flatten)]
        bulk: Bulk,
        #[command(flatten)]
        word: Word,
    },
    /// Say that cases are one incident: the oldest goes on with the alerts of all
    Merge {
        /// The cases
        #[arg(required = true, num_args = 2.., value_name = "CASE")]
        cases: Vec<CaseId>,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        word: Word,
    },
    /// Say that alerts of a case are another incident: they become a case of their own
    Split {
        /// The case
        case: CaseId,
        /// Ids of its alerts, or their beginnings, as `cases show` lists them
        #[arg(required = true, value_name = "ALERT")]
        alerts: Vec<String>,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        word: Word,
    },
}

/// Who speaks.
#[derive(Debug, Args)]
pub struct Word {
    /// Who speaks; the name you are logged on with if left out
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// Why.
#[derive(Debug, Args)]
pub struct Reason {
    /// The reason, as the case will show it
    #[arg(long, value_name = "TEXT")]
    because: String,
}

/// Several cases at a time.
#[derive(Debug, Args)]
pub struct Bulk {
    /// All cases that meet every condition: status, queue, rule, host, user, severity, assignee, older, newer
    #[arg(long = "where", value_name = "'status=on_hold host=H older=2d'")]
    filter: Option<CaseFilter>,
    /// Change the cases that --where finds, instead of counting them
    #[arg(long, requires = "filter")]
    yes: bool,
}

/// Which cases.
#[derive(Debug, Args)]
pub struct Which {
    /// The cases
    #[arg(value_name = "CASE", required_unless_present = "filter", conflicts_with = "filter")]
    cases: Vec<CaseId>,
    #[command(flatten)]
    bulk: Bulk,
}

/// What came of it, and how the cases stand now.
pub(super) struct Acted {
    told: Told,
    cases: Vec<DeskCase>,
    json: bool,
    data: PathBuf,
}

/// Asks for it.
///
/// # Errors
/// When it does not fit the cases, or the folder cannot be used.
pub(super) async fn run(command: Command) -> Result<Acted> {
    let one = |case| On::Cases(vec![case]);
    let (on, only_count, act, word) = match command {
        Command::Comment { case, text, word } => (one(case), false, Act::Comment { text: text.join(" ") }, word),
        Command::Resolve { on, ruling, reason: Reason { because }, word } => {
            let (on, only_count) = on.on();
            (on, only_count, Act::Resolve { ruling, because }, word)
        }
        Command::Reopen { on, reason: Reason { because }, word } => {
            let (on, only_count) = on.on();
            (on, only_count, Act::Reopen { because }, word)
        }
        Command::Judge { on, ruling, reason: Reason { because }, word } => {
            let (on, only_count) = on.on();
            (on, only_count, Act::Judge { ruling, because }, word)
        }
        Command::Assign { case_and_person, bulk, word } => {
            let (cases, to) = match (case_and_person.as_slice(), &bulk.filter) {
                ([case, person], None) => (vec![case.parse::<CaseId>()?], person.clone()),
                ([person], Some(_)) => (vec![], person.clone()),
                _ => bail!("write `cases assign CASE PERSON`, or `cases assign PERSON --where …` for several cases"),
            };
            let (on, only_count) = Which { cases, bulk }.on();
            (on, only_count, Act::Assign { to }, word)
        }
        Command::Merge { cases, reason: Reason { because }, word } => {
            (On::Cases(cases), false, Act::Merge { because }, word)
        }
        Command::Split { case, alerts, reason: Reason { because }, word } => {
            let alerts = alerts.into_iter().map(AlertId::new).collect();
            (one(case), false, Act::Split { alerts, because }, word)
        }
    };
    let Word { by, common: Common { data, json } } = word;
    let request = Request { by: speaker(by)?, act, on, only_count };
    let told = tell(&data, request).await?;
    let wanted = |case: &DeskCase| told.cases.contains(&case.id) || told.now_in == Some(case.id);
    let cases: Vec<DeskCase> = ask(&PathBuf::from(&data), Query::Cases).await?;
    Ok(Acted { cases: cases.into_iter().filter(wanted).collect(), told, json, data })
}

impl Which {
    /// The cases, and whether they are only to be counted.
    fn on(self) -> (On, bool) {
        match self.bulk.filter {
            Some(filter) => (On::Where(filter), !self.bulk.yes),
            None => (On::Cases(self.cases), false),
        }
    }
}

/// Shows what came of it, and what of these cases' containment is left to a person: to close a case lets no device back.
/// What is only counted, and what still waits, needs a person.
///
/// # Errors
/// When it cannot be written.
pub(super) fn show(Acted { told, cases, json, data }: &Acted) -> Result<Verdict> {
    if *json {
        say_json(&json!({"told": told, "cases": cases}))?;
    } else {
        for (case, why) in &told.passed_over {
            say(format!("{case} is passed over: it {why}"))?;
        }
        let count = counted(told.cases.len() as u64, "case");
        match (told.number, told.carried_out) {
            (None, _) if told.cases.is_empty() => say("No case would change.")?,
            (None, _) => say(format!("Would change {count}; add --yes"))?,
            (Some(_), true) => say(format!("Done: {count}."))?,
            (Some(number), false) => {
                say(format!("On record as word {number}; the floor has not carried it out yet ({count})."))?;
            }
        }
        for case in cases {
            say(format!("  {}", render::line(case)))?;
            for proposal in case.state.proposals.iter().filter(|proposal| desired::needs_person(proposal)) {
                say(format!("  {}", containment::sentence(proposal, data)))?;
            }
        }
    }
    Ok(match told.number {
        None if told.cases.is_empty() => Verdict::Quiet,
        None => Verdict::NeedsPerson,
        Some(_) => verdict(cases),
    })
}
