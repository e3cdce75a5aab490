//! The `watchfloor` command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use watchfloor::cli::{Arguments, run};

/// Most of what a case or a record costs is allocation.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    run(Arguments::parse()).await
}
