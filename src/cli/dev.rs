//! `watchfloor dev model-server`: a server that plays a script instead of a model, for trying what the floor does with it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use super::Verdict;
use super::say::say;
use crate::model::server::fault::Fault;
use crate::model::server::puppet::Puppet;
use crate::model::server::script::{Failing, Plays, Written};
use crate::model::server::{ScriptedServer, Setup, Style};

/// Tools for whoever develops the floor.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a scripted, simulated model over OpenAI's protocol, until stopped
    ModelServer(Arguments),
}

/// What the server plays.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:18080")]
    listen: SocketAddr,
    /// The model's name
    #[arg(long, value_name = "NAME", default_value = "scripted")]
    model: String,
    /// What a request with its answer may have, in tokens of four characters
    #[arg(long, value_name = "TOKENS", default_value_t = 8192)]
    context: u64,
    /// Whose way of writing errors and counts it has
    #[arg(long, value_enum, default_value = "llama-cpp")]
    style: Style,
    /// A puppet that does as it is told, in one way or another
    #[arg(long, value_enum, default_value = "able", conflicts_with = "script")]
    puppet: Puppet,
    /// A script: [[reply]] tables with text, call and arguments, or fault, and perhaps when
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Fail in this way
    #[arg(long, value_enum)]
    fault: Option<Fault>,
    /// The first request that fails, counted from 1
    #[arg(long, value_name = "N", default_value_t = 1, requires = "fault")]
    fault_at: usize,
    /// How many requests fail
    #[arg(long, value_name = "N", default_value_t = 1, requires = "fault")]
    fault_times: usize,
    /// How long it takes to begin an answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay: u64,
    /// Do not tell of each request
    #[arg(long)]
    quiet: bool,
}

/// Runs the command.
///
/// # Errors
/// When the script cannot be read or the address cannot be opened.
pub async fn run(Command::ModelServer(arguments): Command) -> Result<Verdict> {
    let script: Box<dyn Plays> = match &arguments.script {
        Some(file) => Box::new(Written::read(file)?),
        None => Box::new(arguments.puppet),
    };
    let script: Box<dyn Plays> = match arguments.fault {
        Some(fault) => {
            let from = arguments.fault_at.saturating_sub(1);
            Box::new(Failing { fault, from, times: arguments.fault_times, then: script })
        }
        None => script,
    };
    let setup = Setup {
        model: arguments.model.clone(),
        context: arguments.context,
        style: arguments.style,
        delay: Duration::from_millis(arguments.delay),
        ..Setup::new(script)
    };
    let listen = arguments.listen;
    let server = ScriptedServer::at(listen, setup).await;
    let server = server.with_context(|| format!("{listen} cannot be listened to: take another with --listen"))?;
    say(format!("a simulated model, {}, at {}; stop it with Ctrl-C", arguments.model, server.base_url()))?;
    let served = tokio::select! {
        broken = tokio::signal::ctrl_c() => broken.context("the signal to stop cannot be waited for"),
        () = told(&server, arguments.quiet) => Ok(()),
    };
    let broke = server.received().iter().map(|request| request.violations.len()).sum::<usize>();
    say(format!(
        "{} came, {} were answered, {} given up; {} of the protocol",
        crate::domain::words::counted(server.received().len() as i128, "request"),
        server.answered(),
        server.given_up(),
        crate::domain::words::counted(broke as i128, "breach"),
    ))?;
    served.map(|()| Verdict::Quiet)
}

/// Tells of each request as it comes.
async fn told(server: &ScriptedServer, quiet: bool) {
    if quiet {
        return std::future::pending().await;
    }
    let mut known = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for request in server.received().into_iter().skip(known) {
            known += 1;
            let messages = request.body["messages"].as_array().map_or(0, Vec::len);
            let tools = request.body["tools"].as_array().map_or(0, Vec::len);
            let said = say(format!("request {known}: {messages} messages, {tools} tools"));
            let wrong = request.violations.iter().try_for_each(|violation| say(format!("  refused: {violation}")));
            if said.and(wrong).is_err() {
                return;
            }
        }
    }
}
