//! The command line: one file per command, and what they have in common.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::telemetry;

pub mod approvals;
pub mod ask;
pub mod audit;
pub mod cases;
pub mod containment;
pub mod demo;
pub mod dev;
pub mod doctor;
pub mod events;
pub mod journal;
pub mod leases;
pub mod progress;
pub mod render;
pub mod rules;
pub mod run;
pub mod say;
pub mod scenarios;
pub mod score;
pub mod triage;
pub mod watch;

/// Investigates security alerts in Windows logs and writes cases that a person can check and overrule.
#[derive(Debug, Parser)]
#[command(name = "watchfloor", version, about, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 nothing needs a person · 1 something does · 2 the command failed";

#[derive(Debug, Subcommand)]
enum Command {
    /// See the floor at work on written scenarios, in under a minute
    Demo(demo::Arguments),
    /// Import logs, detect, investigate, and print the cases
    Triage(triage::Arguments),
    /// Keep running: follow logs, take what forwarders send, and judge what comes, until stopped
    Run(run::Arguments),
    /// Play labelled scenarios and count what became of them
    Score(score::Arguments),
    /// Read cases, and say what they are
    #[command(subcommand)]
    Cases(cases::Command),
    /// Answer proposals to contain a device
    #[command(subcommand)]
    Approvals(approvals::Command),
    /// Look after devices that are isolated
    #[command(subcommand)]
    Leases(leases::Command),
    /// Follow live who does what on a running floor
    Watch(watch::Arguments),
    /// Look at the stored events, or remove old ones
    #[command(subcommand)]
    Events(events::Command),
    /// Check the gatekeeper's audit
    #[command(subcommand)]
    Audit(audit::Command),
    /// The labelled scenarios that come with the program, which are written, not recorded
    #[command(subcommand)]
    Scenarios(scenarios::Command),
    /// Check Sigma rules, or explain one against an event
    #[command(subcommand)]
    Rules(rules::Command),
    /// Check the journal
    #[command(subcommand)]
    Journal(journal::Command),
    /// Try the configured models: are they there, what can they do, what should be changed
    Doctor(doctor::Arguments),
    /// Tools for developing the floor
    #[command(subcommand)]
    Dev(dev::Command),
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The folder that holds cases, events and the journal
    #[arg(long, value_name = "DIR", env = "WATCHFLOOR_DATA", default_value = "watchfloor-data")]
    pub data: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What a command found, as far as its exit code says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing needs a person.
    Quiet,
    /// Something does.
    NeedsPerson,
    /// Part of the work failed; what was done is printed.
    Failed,
}

/// Runs a command to its end.
pub async fn run(arguments: Arguments) -> ExitCode {
    let telemetry = telemetry::init(None);
    let result = match arguments.command {
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Triage(arguments) => triage::run(arguments).await,
        Command::Run(arguments) => run::run(arguments).await,
        Command::Score(arguments) => score::run(arguments).await,
        Command::Cases(command) => cases::run(command).await,
        Command::Approvals(command) => approvals::run(command).await,
        Command::Leases(command) => leases::run(command).await,
        Command::Watch(arguments) => watch::run(arguments).await,
        Command::Events(command) => events::run(command).await,
        Command::Audit(command) => audit::run(command).await,
        Command::Scenarios(command) => scenarios::run(command).await,
        Command::Rules(command) => rules::run(command).await,
        Command::Journal(command) => journal::run(command).await,
        Command::Doctor(arguments) => doctor::run(arguments).await,
        Command::Dev(command) => dev::run(command).await,
    };
    telemetry.shutdown().await;
    match result {
        Ok(Verdict::Quiet) => ExitCode::SUCCESS,
        Ok(Verdict::NeedsPerson) => ExitCode::from(1),
        Ok(Verdict::Failed) => ExitCode::from(2),
        Err(error) => {
            say::complain(format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}
