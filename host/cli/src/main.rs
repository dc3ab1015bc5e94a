//! The binary `ghtrader`: flags and wiring. Every command is a thin call into another room.

mod args;
mod commands;
mod context;
mod log;
mod output;
mod page;
mod progress;
mod remote;

use clap::Parser;
use ghtrader_core::{ErrorClass, Problem};
use std::process::ExitCode;
use std::sync::Arc;

/// Keeps freed memory at hand: the records of a run are many megabytes, and a batch has thousands of runs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Beyond a limit on the size of files a write fails, as on a full disk, and does not end the program without a word. Where the
    // handler cannot be set it does.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let json = cli.global.json;
    // The panic's own message, with file and line, is on stderr by then.
    let result = std::panic::catch_unwind(|| commands::run(cli)).unwrap_or_else(|_| {
        Err(Problem::new(
            "internal",
            ErrorClass::Internal,
            "the command failed by a defect of this program",
            "report it with the message above",
        ))
    });
    match result {
        Ok(code) => code,
        Err(problem) => {
            output::report_problem(&problem, json);
            ExitCode::from(problem.class.exit_code())
        }
    }
}

/// Help and version go to stdout with 0; anything else is bad input.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A closed pipe behind `--help` is no failure of ours.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    // What is wrong and the nearest name stand before the usage lines.
    let what = text.split("\n\nUsage:").next().unwrap_or_default();
    let what = what.split("\n\nFor more information").next().unwrap_or_default().trim().trim_start_matches("error: ");
    let problem = Problem::new("usage", ErrorClass::User, what, "add --help to the command");
    output::report_problem(&problem, std::env::args().any(|a| a == "--json"));
    ExitCode::from(ErrorClass::User.exit_code())
}
