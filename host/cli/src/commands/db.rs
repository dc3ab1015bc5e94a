//! `ghtrader db`: back ends of the store beside each other; and `ghtrader data verify`, which can compare them.

use crate::args::{Backend, Db};
use crate::context::Context;
use crate::output::{emit, grouped};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_pipeline::questdb_options;
use ghtrader_store::{
    CopySelection, DayDifference, SchemaStep, Store, VerifyReport, copy_store, differences, migrate_schema,
    schema_steps,
};
use serde::Serialize;
use serde_json::json;
use std::process::ExitCode;

pub(crate) fn run(context: &Context, command: Db) -> Result<ExitCode, Problem> {
    match command {
        Db::Migrate { apply } => migrate(context, apply),
        Db::Copy { from, to, symbol, from_day, to_day } => {
            if from == to {
                let what = format!("`--from` and `--to` both name {}", name(from));
                return Err(Problem::new("same_backend", ErrorClass::User, what, "name two different back ends"));
            }
            if let (Some(first), Some(last)) = (from_day, to_day)
                && first > last
            {
                let what = format!("{first} lies after {last}");
                return Err(Problem::new("bad_range", ErrorClass::User, what, "give the earlier day first"));
            }
            let (source, target) = (context.store_of(from)?, context.store_of(to)?);
            let selection = CopySelection { symbols: symbol, from_day, to_day };
            let report = copy_store(&*source, &*target, &selection, &|copied| {
                context.progress.show("copy", &copied.item, copied.done, copied.total, "days");
            });
            context.progress.finish();
            emit(context.json, &report?, |r| {
                format!(
                    "{} symbol-days copied ({} rows), {} were there; {} sets of columns, {} schedules, {} records",
                    r.days,
                    grouped(r.rows as i64),
                    r.unchanged_days,
                    r.columns,
                    r.schedules,
                    r.records
                )
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Brings the server's tables to their present form, or tells what would.
fn migrate(context: &Context, apply: bool) -> Result<ExitCode, Problem> {
    let options = questdb_options(&context.root, &context.settings);
    let steps = if apply { migrate_schema(&options)? } else { schema_steps(&options)? };
    let left = !apply && !steps.is_empty();
    emit(context.json, &json!({ "url": options.url, "applied": apply, "steps": steps }), |_| {
        let line = |step: &SchemaStep| {
            let by_hand = "only a person can mend this".to_owned();
            format!("{}: {}\n    {}\n", step.table, step.why, step.statement.clone().unwrap_or(by_hand))
        };
        let last = match (steps.len(), apply) {
            (0, _) => "the tables are as they should be".to_owned(),
            (n, true) => format!("{n} statements were run; the tables are as they should be"),
            (n, false) => format!("{n} steps; --apply runs them"),
        };
        steps.iter().map(line).collect::<String>() + &last
    })?;
    Ok(if left { ExitCode::from(ErrorClass::Negative.exit_code()) } else { ExitCode::SUCCESS })
}

const fn name(backend: Backend) -> &'static str {
    match backend {
        Backend::Embedded => "embedded",
        Backend::Questdb => "questdb",
    }
}

/// What `data verify` found in the store of the settings, and in another one beside it.
#[derive(Serialize)]
struct Verified {
    #[serde(flatten)]
    report: VerifyReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Against>,
}

/// The other back end, and what both do not hold alike.
#[derive(Serialize)]
struct Against {
    backend: &'static str,
    #[serde(flatten)]
    report: VerifyReport,
    /// Symbol-days, columns, schedules and records compared by digest.
    compared: u64,
    differences: Vec<DayDifference>,
}

/// Checks the store, and with `against` the other one and that both are equal; exit 1 if anything is bad or differs.
pub(crate) fn verify(context: &Context, deep: bool, against: Option<Backend>) -> Result<ExitCode, Problem> {
    let store = context.store()?;
    let report = store.verify(deep)?;
    let against = against.map(|backend| compare(context, &*store, deep, backend)).transpose()?;
    let verified = Verified { report, against };
    emit(context.json, &verified, |v| {
        let mut lines = vec![report_text(&v.report)];
        if let Some(against) = &v.against {
            lines.push(format!("{}: {}", against.backend, report_text(&against.report)));
            let (compared, different) = (against.compared, against.differences.len());
            lines.push(format!("{compared} compared by digest: {different} differ"));
            let shown = |digest: &Option<String>| digest.clone().unwrap_or_else(|| "not there".to_owned());
            let differs = |d: &DayDifference| format!("  differs: {}: {}, {}", d.what, shown(&d.here), shown(&d.there));
            lines.extend(against.differences.iter().map(differs));
        }
        lines.join("\n")
    })?;
    let good = verified.report.is_ok()
        && verified.against.is_none_or(|other| other.report.is_ok() && other.differences.is_empty());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(ErrorClass::Negative.exit_code()) })
}

fn compare(context: &Context, store: &dyn Store, deep: bool, backend: Backend) -> Result<Against, Problem> {
    let other = context.store_of(backend)?;
    let report = other.verify(deep)?;
    let (compared, differences) = differences(store, &*other, &CopySelection::default())?;
    Ok(Against { backend: name(backend), report, compared, differences })
}

fn report_text(r: &VerifyReport) -> String {
    let bad: Vec<String> =
        r.bad.iter().map(|b| format!("\n  bad: {} ({}): {}", b.what, b.path.display(), b.why)).collect();
    format!("{} symbol-days, {} rows: {} bad{}", r.days, grouped(r.rows as i64), r.bad.len(), bad.concat())
}
