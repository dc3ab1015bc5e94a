//! The binary `ghtrader`: flags and wiring. Every command is a thin call into another room.

mod args;
mod commands;
mod context;
mod lineup;
mod output;
mod page;
mod progress;

use clap::Parser;
use ghtrader_core::{ErrorClass, Problem};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let json = cli.global.json;
    match commands::run(cli) {
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
    if std::env::args().any(|a| a == "--json") {
        let text = error.render().to_string();
        let problem =
            Problem::new("usage", ErrorClass::User, text.trim().trim_start_matches("error: "), "ghtrader --help");
        output::report_problem(&problem, true);
    } else {
        let _ = error.print();
    }
    ExitCode::from(ErrorClass::User.exit_code())
}
