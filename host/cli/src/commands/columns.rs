//! `ghtrader feature` and `ghtrader label`: what plugins make of `main_l5`.

use crate::args::Columns;
use crate::commands::{main_contract, plugin};
use crate::context::Context;
use crate::output::{emit, grouped};
use ghtrader_core::{ContractTable, ErrorClass, Problem, TradingDay};
use ghtrader_pipeline::{ColumnsOptions, ColumnsReport, build_columns};
use ghtrader_plugin::{Finding, Params, Plugin, Role};
use ghtrader_store::{Schedule, Store};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

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
    let schedule = main_contract::stored_schedule(&store, &var)?;
    let report = build(context, &store, &schedule, &plugin, &params, full)?;
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

/// Why a report has no columns of a day: the plugin failed on it, or the rows have changed since.
pub(crate) fn missing_columns(report: &ColumnsReport, day: TradingDay) -> Problem {
    match report.failed.iter().find(|f| f.trading_day == day) {
        Some(fault) => Problem::new(
            fault.code,
            ErrorClass::Plugin,
            format!("{day}: {}", fault.message),
            "mend the plugin; `ghtrader feature build` names every day it fails on",
        ),
        None => Problem::new(
            "dataset_misaligned",
            ErrorClass::Negative,
            format!("{} has no columns for the rows of {day}", report.plugin),
            "build features and labels again with --full",
        ),
    }
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
    let options = ColumnsOptions {
        workers: context.settings.integer("build.workers") as usize,
        block_rows: context.settings.integer("build.block_rows") as usize,
        full,
    };
    let (done, total) = (AtomicU64::new(0), schedule.rows().len() as u64);
    let table = ContractTable::builtin();
    let report = build_columns(store, schedule, plugin, params, &context.calendar, table, options, &|| {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        context.progress.show(plugin.identity(), "", done, total, "days");
    });
    context.progress.finish();
    Ok(report?)
}
