//! `ghtrader main`: which contract is the main one, and its continuous ticks.

use crate::args::{Main, ScheduleSource as Source};
use crate::context::{Context, io_problem};
use crate::output::{document, emit, grouped, report_problem, table};
pub(crate) use ghtrader_batch::stored_schedule;
use ghtrader_core::{ContractTable, ErrorClass, Problem, TradingDay, Variety};
use ghtrader_pipeline::{
    MainL5Options, MainL5Report, PipelineError, ScheduleReport, ScheduleRule, ScheduleSource, build_main_l5,
    build_main_schedule, parse_events, parse_vendor_table,
};
use ghtrader_store::{Schedule, Store};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) fn run(context: &Context, command: Main) -> Result<ExitCode, Problem> {
    let key = |var: &Variety, path| context.settings.key_for(var.product(), path);
    match command {
        Main::Schedule { var, source, file } => {
            let source = schedule_source(context, &var, source, file)?;
            let report = schedule(context, &*context.store()?, &var, &source)?;
            emit(context.json, &report, schedule_text)?;
        }
        Main::Build { var, full, workers } => {
            let store = context.store()?;
            let schedule = stored_schedule(&*store, &var)?;
            let workers =
                workers.map_or(context.settings.integer(key(&var, "main_l5.total_workers")) as usize, usize::from);
            let report =
                build(context, &*store, &schedule, MainL5Options { workers, full, ..MainL5Options::default() })?;
            let unhealthy = report.check_health().map_err(Problem::from).err();
            // One document: what was built, and why that is not enough.
            let mut body = document(&report)?;
            if let (Some(problem), serde_json::Value::Object(map)) = (&unhealthy, &mut body) {
                map.insert("error".to_owned(), json!(problem));
            }
            emit(context.json, &body, |_| build_text(&report))?;
            if let Some(problem) = unhealthy {
                report_problem(&problem, false);
                return Ok(ExitCode::from(problem.class.exit_code()));
            }
        }
        Main::Rolls(flags) => super::export::rolls(context, &flags)?,
        Main::Show { var } => {
            let schedule = stored_schedule(&*context.store()?, &var)?;
            let body = json!({ "variety": var, "schedule_hash": schedule.hash(), "source": schedule.source(), "rows": schedule.rows() });
            emit(context.json, &body, |_| {
                let rows: Vec<Vec<String>> = schedule
                    .rows()
                    .iter()
                    .map(|r| vec![r.date.to_string(), r.main_contract.to_string(), r.segment_id.to_string()])
                    .collect();
                format!("{}\nhash {}", table(&["trading day", "contract", "segment"], &rows), schedule.hash())
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Who chooses the main contract: as flags say, else the settings.
pub(crate) fn schedule_source(
    context: &Context,
    var: &Variety,
    by: Option<Source>,
    file: Option<PathBuf>,
) -> Result<ScheduleSource, Problem> {
    let text = |path| context.settings.text_of(context.settings.key_for(var.product(), path)).unwrap_or_default();
    let by = by.unwrap_or(match text("schedule.source") {
        "vendor" => Source::Vendor,
        "file" => Source::File,
        _ => Source::Oi,
    });
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .map_err(|e| io_problem("file_unreadable", &format!("cannot read {}", path.display()), &e))
    };
    let in_schedule = |source| PipelineError::Schedule { variety: var.to_string(), source };
    Ok(match by {
        Source::Oi if file.is_some() => {
            let what = "--file is read for --source file and vendor; open interest chooses by what is stored";
            return Err(Problem::new("usage", ErrorClass::User, what, "leave --file out, or name the source"));
        }
        Source::Oi => ScheduleSource::OpenInterest(rule(context, var)),
        Source::Vendor => {
            let table = match file {
                Some(path) => read(&path)?,
                None => super::fetch::vendor_table(context)?,
            };
            let events = parse_vendor_table(&table, var).map_err(in_schedule)?;
            ScheduleSource::Events { name: "vendor".to_owned(), events }
        }
        Source::File => {
            let set = text("schedule.file");
            let path = file.or_else(|| (!set.is_empty()).then(|| context.root.join(set))).ok_or_else(|| {
                Problem::new(
                    "usage",
                    ErrorClass::User,
                    "--source file needs --file, a CSV of date,contract, or the setting schedule.file",
                    "ghtrader main schedule --var cu --source file --file switches.csv",
                )
            })?;
            let events = parse_events(&read(&path)?, var).map_err(in_schedule)?;
            ScheduleSource::Events { name: "file".to_owned(), events }
        }
    })
}

/// The rule of the settings.
pub(crate) fn rule(context: &Context, var: &Variety) -> ScheduleRule {
    let whole = |key| context.settings.integer(context.settings.key_for(var.product(), key));
    ScheduleRule {
        confirm_days: whole("schedule.confirm_days") as u32,
        min_days_to_expiry: whole("schedule.min_days_to_expiry"),
    }
}

pub(crate) fn schedule(
    context: &Context,
    store: &dyn Store,
    var: &Variety,
    source: &ScheduleSource,
) -> Result<ScheduleReport, Problem> {
    let key = context.settings.key_for(var.product(), "schedule.l5_start");
    let start = match context.settings.text_of(key) {
        None | Some("") => None,
        Some(text) => Some(text.parse::<TradingDay>().map_err(|_| {
            let what = format!("{key} is `{text}`, which is no date");
            Problem::new("bad_settings", ErrorClass::User, what, "write for example 2025-07-18")
        })?),
    };
    Ok(build_main_schedule(store, var, source, start, &context.calendar, ContractTable::builtin())?)
}

pub(crate) fn build(
    context: &Context,
    store: &dyn Store,
    schedule: &Schedule,
    options: MainL5Options,
) -> Result<MainL5Report, Problem> {
    let (done, total) = (AtomicU64::new(0), schedule.rows().len() as u64);
    let report = build_main_l5(store, schedule, options, &|| {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        context.progress.show("main_l5", "", done, total, "days");
    });
    context.progress.finish();
    Ok(report?)
}

fn schedule_text(r: &ScheduleReport) -> String {
    let rolls: Vec<String> = r.rolls.iter().map(|x| format!("\n  {} {} → {}", x.trading_day, x.from, x.to)).collect();
    let warnings: Vec<String> = r.warnings.iter().map(|w| format!("\nwarning: {}", w.message)).collect();
    format!(
        "{} {}: {} days from {} to {}, hash {}, {} rolls{}{}",
        r.variety,
        r.outcome,
        r.rows,
        r.first_day,
        r.last_day,
        r.schedule_hash,
        r.rolls.len(),
        rolls.concat(),
        warnings.concat()
    )
}

fn build_text(r: &MainL5Report) -> String {
    format!(
        "{}: {} of {} days covered ({} built, {} restamped, {} unchanged), {} rows in {} segments, digest {}",
        r.symbol,
        r.covered_days,
        r.expected_days,
        r.built_days,
        r.restamped_days,
        r.unchanged_days,
        grouped(r.rows as i64),
        r.segments.len(),
        r.dataset_digest.short16()
    )
}
