//! `ghtrader data validate | coverage | field-quality | report --var`: whether stored days can be relied on.

use super::config::origin_name;
use super::data::stored_symbol;
use crate::args::StoredDays;
use crate::context::{Context, publish};
use crate::output::{emit, grouped, table};
use ghtrader_core::{ContractId, ContractTable, ErrorClass, Problem, TradingDay, Variety};
use ghtrader_market::read_plain;
use ghtrader_pipeline::{
    Coverage, DataPage, DayFacts, DayQuality, FactsScope, State, ValidationPolicy, ValidationReport, ValidationScope,
    check_file, coverage, data_page, day_facts, validate,
};
use ghtrader_store::Store;
use serde_json::{Map, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

type Days = (Option<TradingDay>, Option<TradingDay>);

/// The symbol and the days that are meant: a contract's, or a product's continuous ones.
pub(crate) fn meant(days: StoredDays) -> (String, Days) {
    let symbol = days.symbol.or_else(|| days.var.map(|var| var.main_symbol())).unwrap_or_default();
    (symbol, (days.range.from, days.range.to))
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
    let product = product_of(symbol)?;
    let settings = &context.settings;
    let key = |path| settings.key_for(&product, path);
    let number = |path| settings.number(key(path));
    let whole = |path| settings.integer(key(path));
    let gap_s = number("l5_validate.gap_threshold_s");
    let session_gap_s = |path| match settings.effective(key(path)).and_then(|e| e.value.as_ref()) {
        Some(_) => number(path),
        None => gap_s,
    };
    let policy = ValidationPolicy {
        gap_threshold_day_s: session_gap_s("l5_validate.gap_threshold_s_day"),
        gap_threshold_night_s: session_gap_s("l5_validate.gap_threshold_s_night"),
        strict_ratio: number("l5_validate.strict_ratio"),
        missing_half_info_ratio: number("l5_validate.missing_half_info_ratio"),
        missing_half_block_ratio: number("l5_validate.missing_half_block_ratio"),
        gap_block_gt30: whole("l5_validate.gap_block_gt30").unsigned_abs(),
        segments_warn_avg_per_day: number("l5_validate.segments_warn_avg_per_day"),
        outside_sessions_block_s: whole("l5_validate.outside_sessions_block_s"),
        source_blocking: settings.flag(key("l5_validate.source_blocking")),
        source_missing_days_tolerance: whole("l5_validate.source_missing_days_tolerance").unsigned_abs(),
    };
    let (info, block) = (policy.missing_half_info_ratio, policy.missing_half_block_ratio);
    if info > block {
        return Err(Problem::new(
            "bad_settings",
            ErrorClass::User,
            format!("l5_validate.missing_half_info_ratio = {info} lies above missing_half_block_ratio = {block}"),
            "a note comes before an error: lower the first or raise the second",
        ));
    }
    Ok(policy)
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
    format!(
        "{listed}{}: {} ({}); {expected} days expected, {} missing, {} validated before and unchanged\n{}",
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
    policy(context, symbol)?;
    let product = product_of(symbol)?;
    let mut limits = Map::new();
    let mut rows = Vec::new();
    for setting in ghtrader_settings::settings().iter().filter(|s| s.key.path.starts_with("l5_validate.")) {
        let key = context.settings.key_for(&product, setting.key.path);
        let Some(effective) = context.settings.effective(key) else { continue };
        let value = effective.value.as_ref();
        let origin = origin_name(&effective.origin);
        limits.insert(setting.key.path.to_owned(), json!({ "value": value, "key": key, "origin": origin }));
        rows.push(vec![key.to_owned(), value.map_or_else(|| "unset".to_owned(), ToString::to_string), origin]);
    }
    emit(context.json, &json!({ "product": product, "limits": limits }), |_| {
        table(&["key", "value", "origin"], &rows)
    })?;
    Ok(ExitCode::SUCCESS)
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
