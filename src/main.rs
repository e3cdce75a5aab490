//! The `watchfloor` command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use watchfloor::cli::{Arguments, run};

#[tokio::main]
async fn main() -> ExitCode {
    run(Arguments::parse()).await
}
