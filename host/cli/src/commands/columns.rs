//! `ghtrader feature` and `ghtrader label`: what plugins make of `main_l5`.

use crate::args::Columns;
use crate::commands::{main_contract, plugin};
use crate::context::Context;
use crate::output::{emit, grouped};
pub(crate) use ghtrader_batch::missing_columns;
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_pipeline::{ColumnsOptions, ColumnsReport};
use ghtrader_plugin::{Finding, Params, Plugin, Role};
use ghtrader_store::{Schedule, Store};
use std::process::ExitCode;

pub(crate) fn run(context: &Context, role: Role, command: Columns) -> Result<ExitCode, Problem> {
    let Columns::Build { var, plugin: artefact, params, full } = command;
    let host = plugin::host(context)?;
    let plugin = plugin::load(&host, &artefact)?;
    if plugin.manifest().plugin.role != role {
        return Err(Problem::new(
            "wrong_role",
            ErrorClass::User,
            format!("{} is no {role}", plugin.identity()),
            format!("ghtrader {} build", plugin.manifest().plugin.role),
        ));
    }
    let given = plugin::pairs(&params)?;
    let params = plugin
        .manifest()
        .parse_params(given.iter().map(|(k, v)| (k.as_str(), v.as_str())))
        .map_err(|f| Finding::into_problem(&f))?;
    let store = context.store()?;
    let schedule = main_contract::stored_schedule(&*store, &var)?;
    let report = build(context, &*store, &schedule, &plugin, &params, full)?;
    emit(context.json, &report, |r| {
        let failed: Vec<String> =
            r.failed.iter().map(|f| format!("\nfailed {}: {}", f.trading_day, f.message)).collect();
        format!(
            "{}: {} columns of {} rows on {} days ({} built, {} reused), schema {}, digest {}{}",
            r.plugin,
            r.columns.len(),
            grouped(r.rows as i64),
            r.days.len(),
            r.built_days,
            r.reused_days,
            r.schema_hash,
            r.dataset_digest.short16(),
            failed.concat()
        )
    })?;
    Ok(if report.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(ErrorClass::Plugin.exit_code()) })
}

/// Builds the columns of a plugin over every day of a schedule.
pub(crate) fn build(
    context: &Context,
    store: &dyn Store,
    schedule: &Schedule,
    plugin: &Plugin,
    params: &Params,
    full: bool,
) -> Result<ColumnsReport, Problem> {
    let host = plugin::host(context)?;
    context.with_project(store, &host, |project| {
        project.build_columns(schedule, plugin, params, ColumnsOptions { full, ..project.columns })
    })
}
