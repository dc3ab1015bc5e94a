//! `ghtrader data validate | coverage | field-quality | report --var`: whether stored days can be relied on.

use super::data::stored_symbol;
use crate::args::StoredDays;
use crate::context::{Context, publish};
use crate::output::{document, emit, grouped, table};
use ghtrader_core::{ContractId, ContractTable, ErrorClass, ExchangeTimeNs, NS_PER_S, Problem, TradingDay, Variety};
use ghtrader_market::read_plain;
use ghtrader_pipeline::{
    Coverage, DataPage, DayFacts, DayGap, DayQuality, FactsScope, Inspection, ProfileLimit, State, ValidationPolicy,
    ValidationReport, ValidationScope, check_file, coverage, data_page, day_facts, validate, validation_policy,
    validation_profile,
};
use ghtrader_store::Store;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

type Days = (Option<TradingDay>, Option<TradingDay>);

/// The symbol and the days that are meant: a contract's, or a product's continuous ones.
///
/// # Errors
/// `bad_range`.
pub(crate) fn meant(days: StoredDays) -> Result<(String, Days), Problem> {
    let symbol = days.symbol.or_else(|| days.var.map(|var| var.main_symbol())).unwrap_or_default();
    Ok((symbol, days.range.checked()?))
}

/// A whole number that a product may have for itself.
pub(crate) fn limit(context: &Context, symbol: &str, path: &'static str) -> Result<usize, Problem> {
    let product = product_of(symbol)?;
    Ok(context.settings.integer(context.settings.key_for(&product, path)) as usize)
}

/// Product of a contract or a continuous symbol.
fn product_of(symbol: &str) -> Result<String, Problem> {
    let (_, symbol) = stored_symbol(symbol)?;
    let variety = match symbol.split_once('@') {
        Some((_, variety)) => variety.parse::<Variety>().ok(),
        None => symbol.parse::<ContractId>().ok().map(|contract| contract.variety().clone()),
    };
    Ok(variety.map(|v| v.product().to_owned()).unwrap_or_default())
}

/// The limits that hold for a symbol's product.
///
/// # Errors
/// `bad_symbol`; `bad_settings` for a ratio of half misses that blocks before it informs.
pub(crate) fn policy(context: &Context, symbol: &str) -> Result<ValidationPolicy, Problem> {
    validation_policy(&context.settings, &product_of(symbol)?)
}

/// Validates a symbol's days by the limits of the settings.
pub(crate) fn validated(
    context: &Context,
    store: &dyn Store,
    symbol: &str,
    (from, to): Days,
    incremental: bool,
) -> Result<ValidationReport, Problem> {
    let policy = policy(context, symbol)?;
    let max_segments = limit(context, symbol, "l5_validate.max_segments_per_day")?;
    let scope = ValidationScope { symbol, from, to, incremental, max_segments };
    Ok(validate(store, scope, &policy, &context.calendar, ContractTable::builtin())?)
}

pub(crate) fn validate_days(
    context: &Context,
    symbol: &str,
    days: Days,
    incremental: bool,
    full_report: bool,
) -> Result<ExitCode, Problem> {
    let mut report = validated(context, &*context.store()?, symbol, days, incremental)?;
    let expected = report.days_expected;
    if !full_report {
        report.keep_worst(limit(context, symbol, "l5_validate.report_max_days")?);
    }
    emit(context.json, &report, |r| validation_text(r, expected))?;
    Ok(if report.state.overall == State::Error {
        ExitCode::from(ErrorClass::Negative.exit_code())
    } else {
        ExitCode::SUCCESS
    })
}

/// A word of JSON, such as a state.
pub(crate) fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn validation_text(r: &ValidationReport, expected: usize) -> String {
    let rows: Vec<Vec<String>> = r
        .days
        .iter()
        .filter(|d| d.state.overall != State::Ok)
        .map(|d| {
            let gaps = &d.validation.gaps;
            vec![
                d.trading_day.to_string(),
                word(&d.state.overall),
                word(&d.state.reason_code),
                d.segments.to_string(),
                gaps.max_gap_s.to_string(),
                gaps.count_gt_30.to_string(),
                d.validation.evidence.lost.to_string(),
                gaps.outside_s.to_string(),
            ]
        })
        .collect();
    let head = ["trading day", "state", "reason", "gaps", "longest s", "over 30 s", "lost", "outside s"];
    let listed = if rows.is_empty() { String::new() } else { table(&head, &rows) + "\n" };
    let lost = match r.ticks_missing.len() {
        0 => String::new(),
        n => format!(", {n} without the ticks that they were built from (ghtrader data repair --var)"),
    };
    format!(
        "{listed}{}: {} ({}); {expected} days expected, {} missing{lost}, {} validated before and unchanged\n{}",
        r.symbol,
        word(&r.state.overall),
        word(&r.state.reason_code),
        r.days_missing.len(),
        r.days_reused,
        r.action_hint
    )
}

/// Every limit with its value and origin.
pub(crate) fn profile(context: &Context, symbol: &str) -> Result<ExitCode, Problem> {
    emit(context.json, &validation_profile(&context.settings, &product_of(symbol)?)?, |profile| {
        let row = |limit: &ProfileLimit| {
            let value = limit.value.as_ref().map_or_else(|| "unset".to_owned(), ToString::to_string);
            vec![limit.key.clone(), value, limit.origin.clone()]
        };
        table(&["key", "value", "origin"], &profile.limits.values().map(row).collect::<Vec<_>>())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a product's series can be relied on, with the figures behind the verdict.
pub(crate) fn readiness(context: &Context, var: &Variety) -> Result<ExitCode, Problem> {
    let store = context.store()?;
    let found = inspection(context, &*store).readiness(var)?;
    emit(context.json, &found, |r| {
        let mut lines = Vec::new();
        if let Ok(value) = document(r) {
            super::data::leaves("", &value, &mut lines);
        }
        lines.join("\n")
    })?;
    Ok(if found.state.overall == State::Error {
        ExitCode::from(ErrorClass::Negative.exit_code())
    } else {
        ExitCode::SUCCESS
    })
}

/// The longest gaps of a product's series.
pub(crate) fn gaps(context: &Context, var: &Variety, most: usize) -> Result<(), Problem> {
    let store = context.store()?;
    let mut gaps = inspection(context, &*store).gaps(var)?;
    let total = gaps.len();
    gaps.truncate(most);
    emit(context.json, &json!({ "variety": var, "gaps": gaps, "total": total }), |_| {
        let time = |s: i64| ExchangeTimeNs(s * NS_PER_S).to_string()[..19].to_owned();
        let session = |night: bool| if night { "night" } else { "day" }.to_owned();
        let row = |g: &DayGap| {
            vec![g.trading_day.to_string(), session(g.night), time(g.start_s), time(g.end_s), g.seconds.to_string()]
        };
        let rows: Vec<Vec<String>> = gaps.iter().map(row).collect();
        format!("{}\n{total} gaps", table(&["trading day", "session", "first second", "last second", "s"], &rows))
    })
}

fn inspection<'a>(context: &'a Context, store: &'a dyn Store) -> Inspection<'a> {
    Inspection { store, settings: &context.settings, calendar: &context.calendar, table: ContractTable::builtin() }
}

pub(crate) fn cover(context: &Context, var: &Variety) -> Result<(), Problem> {
    let symbols = coverage(&*context.store()?, var, &context.calendar, ContractTable::builtin())?;
    emit(context.json, &json!({ "variety": var, "symbols": symbols }), |_| {
        table(&Coverage::COLUMNS, &symbols.iter().map(Coverage::cells).collect::<Vec<_>>())
    })
}

pub(crate) fn fields(context: &Context, symbol: &str, (from, to): Days) -> Result<(), Problem> {
    let facts = day_facts(&*context.store()?, FactsScope { symbol, from, to }, ContractTable::builtin())?;
    let (_, symbol) = stored_symbol(symbol)?;
    emit(context.json, &json!({ "symbol": symbol, "days": facts }), |_| {
        let rows: Vec<Vec<String>> = facts.iter().map(fields_row).collect();
        let head = ["trading day", "rows", "clean", "null core", "null book"];
        table(&head.into_iter().chain(DayQuality::DEFECTS).collect::<Vec<_>>(), &rows)
    })
}

fn fields_row(day: &DayFacts) -> Vec<String> {
    let q = &day.quality;
    let head = [
        day.trading_day.to_string(),
        grouped(day.rows as i64),
        grouped(day.clean_rows as i64),
        format!("{:.4}", q.null_rate_core),
        format!("{:.4}", q.null_rate_book),
    ];
    head.into_iter().chain(q.defects().map(|n| n.to_string())).collect()
}

/// Writes a product's page and says where.
pub(crate) fn page(context: &Context, var: &Variety, out: Option<PathBuf>) -> Result<ExitCode, Problem> {
    let path = write_page(context, var, out)?;
    emit(context.json, &json!({ "variety": var, "page": path }), |_| format!("{}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a product's page; gives its path.
pub(crate) fn write_page(context: &Context, var: &Variety, out: Option<PathBuf>) -> Result<PathBuf, Problem> {
    let store = context.store()?;
    let table = ContractTable::builtin();
    let covered = coverage(&*store, var, &context.calendar, table)?;
    if covered.is_empty() {
        return Err(Problem::new(
            "days_missing",
            ErrorClass::User,
            format!("nothing of {var} is stored"),
            "ghtrader data import FILE, or ghtrader data synth for a made-up market",
        ));
    }
    let facts = |symbol: &str| day_facts(&*store, FactsScope { symbol, from: None, to: None }, table);
    let facts: Vec<Vec<DayFacts>> = covered.iter().map(|c| facts(&c.symbol)).collect::<Result<_, _>>()?;
    let validation = validated(context, &*store, &var.main_symbol(), (None, None), false)?;
    let schedule = store.load_schedule(var)?;
    let html = data_page(&DataPage {
        variety: var,
        coverage: &covered,
        facts: &facts,
        validation: &validation,
        schedule: schedule.as_ref(),
    });
    let path = out.unwrap_or_else(|| context.dir("runs_dir").join(format!("data-{}.html", var.product())));
    publish(&path, html.as_bytes())?;
    Ok(path)
}

/// Whether a file holds what the pipeline needs.
pub(crate) fn check(context: &Context, file: &Path) -> Result<ExitCode, Problem> {
    let report = check_file(&read_plain(file, &context.calendar)?);
    emit(context.json, &report, |r| {
        let lines: Vec<String> = r.violations.iter().map(|v| format!("{}: {}\n", v.code, v.what)).collect();
        let verdict = if r.ok { "holds what the pipeline needs" } else { "does not hold what the pipeline needs" };
        format!("{}{} rows: {verdict}", lines.concat(), grouped(r.rows as i64))
    })?;
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(ErrorClass::Negative.exit_code()) })
}
