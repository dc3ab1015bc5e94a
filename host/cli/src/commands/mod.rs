//! One module a noun; each reads its flags, calls a room, prints the result.

mod account;
mod audit;
mod author;
mod backtest;
pub(crate) mod batch;
mod check;
mod clean;
mod cluster;
pub(crate) mod columns;
mod compare;
mod config;
mod credentials;
mod data;
mod db;
mod demo;
mod doctor;
mod export;
mod fetch;
mod gate;
mod init;
mod kept;
mod lineup;
pub(crate) mod main_contract;
mod paper;
pub(crate) mod plugin;
mod quality;
mod registry;
mod repair;
mod serve;
mod sim;
mod sql;
mod token;
mod trace;
mod train;
mod update;
pub(crate) mod walk_forward;

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::output::emit;
use clap::CommandFactory;
use ghtrader_core::Problem;
use serde_json::json;
use std::process::ExitCode;

/// Runs a command; its exit code is 0, or 1 where a check answers no.
pub(crate) fn run(cli: Cli) -> Result<ExitCode, Problem> {
    // These must work before any settings do.
    match cli.command {
        Command::Init { ref dir } => return init::run(dir, cli.global.json),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "ghtrader", &mut script);
            let script = String::from_utf8_lossy(&script);
            let body = json!({ "shell": shell.to_string(), "script": script });
            emit(cli.global.json, &body, |_| script.to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Doctor => return doctor::run(&cli.global),
        _ => {}
    }
    let context = Context::new(&cli.global)?;
    let result = match cli.command {
        Command::Data(command) => data::run(&context, command),
        Command::Db(command) => db::run(&context, command),
        Command::Sql(flags) => sql::run(&context, &flags),
        Command::Main(command) => main_contract::run(&context, command),
        Command::Plugin(command) => plugin::run(&context, command),
        Command::Lineup(command) => lineup::run(&context, command),
        Command::Audit(command) => audit::run(&context, command),
        Command::Feature(command) => columns::run(&context, ghtrader_plugin::Role::Feature, command),
        Command::Label(command) => columns::run(&context, ghtrader_plugin::Role::Label, command),
        Command::Train(command) => train::run(&context, command),
        Command::Backtest(command) => backtest::run(&context, command),
        Command::Compare(command) => compare::run(&context, &command),
        Command::Batch(command) => batch::run(&context, command),
        Command::Account(command) => account::run(&context, command),
        Command::Paper(command) => paper::run_command(&context, command),
        Command::Demo(command) => demo::run(&context, command),
        Command::Serve(flags) => serve::run(&context, &flags),
        Command::Sim(command) => sim::run(&context, command),
        Command::Token(command) => token::run(&context, command),
        Command::Config(command) => config::run(&context, command),
        Command::Init { .. } | Command::Completions { .. } | Command::Doctor => Ok(ExitCode::SUCCESS),
    };
    context.progress.finish();
    result
}
