//! The `watchfloor` command.

use std::process::ExitCode;

use clap::Parser;
use watchfloor::cli::{Arguments, run};

#[tokio::main]
async fn main() -> ExitCode {
    run(Arguments::parse()).await
}
