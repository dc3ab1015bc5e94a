//! `ghtrader data`: ticks in, and what is known about them.

use super::quality;
use crate::args::{Data, ImportFormat};
use crate::commands::db;
use crate::context::{Context, io_problem};
use crate::output::{document, emit, grouped, table};
use ghtrader_backtest::volume_split_json;
use ghtrader_core::{
    Column, ContractId, ContractTable, ErrorClass, ExchangeTimeNs, Problem, TradingDay, Variety, is_double_sided,
};
use ghtrader_exchange::{PrepareSpec, PreparedDay};
use ghtrader_market::Dialect;
use ghtrader_market::synth::{SynthMarket, SynthReport, SynthSpec, write_tqsdk_csv};
use ghtrader_pipeline::{DayReport, ImportOptions, ImportOutcome, ImportSummary, import, report_day};
use ghtrader_store::{Counting, Dataset, DayMeta, Store};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) fn run(context: &Context, command: Data) -> Result<ExitCode, Problem> {
    match command {
        Data::Import { files, format, trading_day, symbol } => {
            let summary = import_files(context, &files, |options| {
                options.format = match format {
                    ImportFormat::Auto => None,
                    ImportFormat::Tqsdk => Some(Dialect::Tqsdk),
                    ImportFormat::Ctp => Some(Dialect::Ctp),
                    ImportFormat::CtpCompact => Some(Dialect::CtpCompact),
                };
                options.trading_day = trading_day;
                options.symbol = symbol;
            })?;
            let refused = summary.refused_days().count();
            emit(context.json, &summary, import_text)?;
            return Ok(if refused > 0 { ExitCode::from(ErrorClass::Negative.exit_code()) } else { ExitCode::SUCCESS });
        }
        Data::Download(flags) => return super::fetch::download(context, &flags),
        Data::Check { file } => return quality::check(context, &file),
        Data::Update(flags) => return super::update::run(context, &flags),
        Data::Record(flags) => return super::fetch::record(context, &flags),
        Data::Repair(flags) => return super::repair::repair(context, &flags),
        Data::L5Start(flags) => return super::repair::l5_start(context, &flags),
        Data::Purge(flags) => super::clean::purge(context, &flags)?,
        Data::Gc(flags) => super::clean::gc(context, &flags)?,
        Data::Synth { var, days, seed, signal, first_day, rows_per_day, out } => {
            let mut spec = SynthSpec::new(var, days, seed, signal);
            spec.first_day = first_day.unwrap_or(spec.first_day);
            spec.rows_per_day = rows_per_day.unwrap_or(spec.rows_per_day);
            let report = match out {
                Some(dir) => synth_to_csv(context, spec, &dir)?,
                None => synth_to_store(context, spec, &*context.store()?)?,
            };
            emit(context.json, &report, synth_text)?;
        }
        Data::List => list(context)?,
        Data::Show { symbol, day } => {
            let (dataset, symbol) = stored_symbol(&symbol)?;
            let manifest = context.store()?.manifest(dataset, &symbol, day)?.ok_or_else(|| {
                Problem::new(
                    "days_missing",
                    ErrorClass::User,
                    format!("{symbol} {day} is not stored"),
                    "ghtrader data list",
                )
            })?;
            emit(context.json, &manifest, |m| {
                format!("{symbol} {day}: {} rows, sha256 {}, source {}", grouped(m.rows as i64), m.sha256, m.source)
            })?;
        }
        Data::Export(flags) => super::export::run(context, &flags)?,
        Data::Trace { symbol, day, seq, file } => super::trace::run(context, &symbol, day, seq, file.as_deref())?,
        Data::Report { var: Some(var), out, .. } => return quality::page(context, &var, out),
        Data::Validate { days, incremental, full_report, profile } => {
            let (symbol, range) = quality::meant(days)?;
            if profile {
                return quality::profile(context, &symbol);
            }
            return quality::validate_days(context, &symbol, range, incremental, full_report);
        }
        Data::Coverage { var } => quality::cover(context, &var)?,
        Data::Readiness { var } => return quality::readiness(context, &var),
        Data::Gaps { var, most } => quality::gaps(context, &var, most as usize)?,
        Data::FieldQuality(days) => {
            let (symbol, range) = quality::meant(days)?;
            quality::fields(context, &symbol, range)?;
        }
        Data::Report { symbol, day, .. } => {
            // The flags see to it that both are there.
            let (symbol, Some(day)) = (symbol.unwrap_or_default(), day) else { return Ok(ExitCode::SUCCESS) };
            let policy = quality::policy(context, &symbol)?;
            let store = context.store()?;
            let report = report_day(&*store, &symbol, day, &policy, &context.calendar, ContractTable::builtin())?;
            let volume_split = volume_split(context, &*store, &report)?;
            emit(context.json, &SplitDayReport { report, volume_split }, report_text)?;
        }
        Data::Verify { deep, against } => return db::verify(context, deep, against),
        Data::Schema => {
            let columns: Vec<&str> = std::iter::once("symbol").chain(Column::all().map(Column::name)).collect();
            let body = json!({ "schema_hash": Column::schema_hash(), "columns": columns });
            emit(context.json, &body, |_| format!("{}\n{}", Column::schema_hash(), columns.join("\n")))?;
        }
        Data::Contract { symbol, on } => {
            let on = on.unwrap_or(context.calendar.covered_to());
            let spec = ghtrader_core::contract_spec(symbol.variety(), on)?;
            let last = ghtrader_core::last_trading_day(&symbol, &context.calendar);
            let body = json!({ "symbol": symbol, "on": on, "multiplier": spec.multiplier, "price_tick": spec.price_tick,
                               "last_trading_day": last });
            emit(context.json, &body, |_| {
                let last = last.map_or(String::new(), |d| format!(", last trading day {d}"));
                format!("{symbol} on {on}: price tick {}, multiplier {}{last}", spec.price_tick_text, spec.multiplier)
            })?;
        }
        Data::Calendar { from, to } => {
            if from > to {
                let what = format!("{from} lies after {to}");
                return Err(Problem::new("bad_range", ErrorClass::User, what, "give the earlier day first"));
            }
            // Both ends have to be days that the calendar can answer for.
            context.calendar.next_trading_day(from.plus_days(-1))?;
            context.calendar.next_trading_day(to.plus_days(-1))?;
            let days = context.calendar.trading_days(from, to);
            let provisional = days.iter().filter(|d| context.calendar.is_provisional(**d)).count();
            let body = json!({ "from": from, "to": to, "trading_days": days, "provisional": provisional });
            emit(context.json, &body, |_| {
                let lines: Vec<String> = days.iter().map(TradingDay::to_string).collect();
                let unsure = match provisional {
                    0 => String::new(),
                    n => format!(", {n} of them provisional: no holidays are known for their year"),
                };
                format!("{}\n{} trading days{unsure}", lines.join("\n"), days.len())
            })?;
        }
        Data::Sessions { var, day } => sessions(context, &var, day)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Imports files with the settings' calendar and places; `adjust` fills in what flags say.
pub(crate) fn import_files(
    context: &Context,
    files: &[PathBuf],
    adjust: impl FnOnce(&mut ImportOptions<'_>),
) -> Result<ImportSummary, Problem> {
    let rejects = context.dir("runs_dir").join("rejects");
    let mut options = ImportOptions {
        calendar: &context.calendar,
        max_rejected_share: context.settings.number("import.quarantine_max_ratio"),
        ..ImportOptions::new(&rejects)
    };
    adjust(&mut options);
    let store = context.store()?;
    let summary = import(files, &options, &*store, &|p| {
        context.progress.show("import", &p.item, p.done_bytes, p.total_bytes, "B");
    });
    context.progress.finish();
    Ok(summary?)
}

fn import_text(s: &ImportSummary) -> String {
    let rows: Vec<Vec<String>> = s
        .symbol_days
        .iter()
        .map(|d| {
            let mut outcome = format!("{:?}", d.outcome).to_lowercase();
            if let Some(before) = d.replaced_rows {
                outcome = format!("{outcome} {} rows", grouped(before as i64));
            }
            let digest = d.sha256.map_or_else(|| d.reason.clone().unwrap_or_default(), |s| s.short16());
            vec![d.symbol.to_string(), d.trading_day.to_string(), outcome, grouped(d.rows as i64), digest]
        })
        .collect();
    let rejects = s.rejects_file.as_ref().map_or(String::new(), |f| format!(", see {}", f.display()));
    let refused = s.symbol_days.iter().filter(|d| d.outcome == ImportOutcome::Refused).count();
    let refused = if refused > 0 { format!("; {refused} days refused") } else { String::new() };
    format!(
        "{}\n{} rows read, {} stored, {} rejected{rejects}, {} duplicates dropped{refused}",
        table(&["symbol", "trading day", "outcome", "rows", "sha256"], &rows),
        grouped(s.rows_read as i64),
        grouped(s.rows_stored as i64),
        grouped(s.rows_rejected as i64),
        grouped(s.rows_duplicate as i64)
    )
}

fn synth_problem(error: ghtrader_market::synth::SynthError) -> Problem {
    error.into()
}

/// First word of the source of every day that was made here.
const SYNTHETIC: &str = "synthetic";

/// Generates every symbol-day on all cores and stores it.
///
/// # Errors
/// `recorded_day` where a day holds ticks of another source; nothing has changed then.
pub(crate) fn synth_to_store(context: &Context, spec: SynthSpec, store: &dyn Store) -> Result<SynthReport, Problem> {
    let source = format!("{SYNTHETIC} seed {} signal {} rows {}", spec.seed, spec.signal, spec.rows_per_day);
    let market = SynthMarket::new(spec, &context.calendar).map_err(synth_problem)?;
    let build = ghtrader_core::Digest::of(source.as_bytes());
    let meta = DayMeta { source, counting: Counting::Single, build, underlying: None };
    let (done, total) = (AtomicU64::new(0), market.symbol_days() as u64);
    // Looked at before anything is made: what was recorded is not made again.
    for index in 0..market.symbol_days() {
        let (contract, day, _) = market.key(index);
        let kept = store.manifest(Dataset::Ticks, &contract.to_string(), day)?;
        if let Some(kept) = kept.filter(|kept| !kept.source.starts_with(SYNTHETIC)) {
            let what = format!("{contract} on {day} holds {} rows from {}", grouped(kept.rows as i64), kept.source);
            let remedy = "make the synthetic market in a root of its own (--root), or over other days";
            return Err(Problem::new("recorded_day", ErrorClass::Conflict, what, remedy));
        }
    }
    (0..market.symbol_days()).into_par_iter().try_for_each(|index| {
        let day = market.generate(index);
        let symbol = day.contract.to_string();
        store.put_day(Dataset::Ticks, &symbol, day.trading_day, &day.ticks.view(), &meta)?;
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        context.progress.show("synthetic market", &symbol, done, total, "days");
        Ok::<(), Problem>(())
    })?;
    Ok(market.report())
}

/// Generates every symbol-day and writes it as TqSdk CSV, one file a contract and day.
fn synth_to_csv(context: &Context, spec: SynthSpec, dir: &Path) -> Result<SynthReport, Problem> {
    let market = SynthMarket::new(spec, &context.calendar).map_err(synth_problem)?;
    (0..market.symbol_days()).into_par_iter().try_for_each(|index| {
        let day = market.generate(index);
        let mut text = Vec::new();
        write_tqsdk_csv(&mut text, &day.contract, &day.ticks.view())
            .map_err(|e| io_problem("unwritable", "cannot write CSV", &e))?;
        crate::context::publish(&dir.join(format!("{}.{}.csv", day.contract, day.trading_day.compact())), &text)
    })?;
    Ok(market.report())
}

fn synth_text(r: &SynthReport) -> String {
    let bounds: Vec<String> = r
        .bounds
        .iter()
        .map(|b| {
            format!(
                "\n  horizon {:>3}: best reachable AUC {:.4} up against down, {:.4} up against the rest",
                b.horizon_rows, b.auc_up_vs_down, b.auc_up
            )
        })
        .collect();
    format!(
        "{} from {} to {}: {} contracts, {} symbol-days, {} rows, {} rolls, seed {}, signal {}{}",
        r.variety,
        r.first_day,
        r.last_day,
        r.contracts.len(),
        r.symbol_days,
        grouped(r.rows as i64),
        r.rolls.len(),
        r.seed,
        r.signal,
        bounds.concat()
    )
}

fn bad_symbol(e: ghtrader_core::SymbolError) -> Problem {
    Problem::new("bad_symbol", ErrorClass::User, e.to_string(), "write SHFE.cu2602 or KQ.m@SHFE.cu")
}

/// The dataset and the stored spelling of a symbol: contracts lie in `ticks`, continuous symbols in `main_l5`.
pub(crate) fn stored_symbol(symbol: &str) -> Result<(Dataset, String), Problem> {
    match symbol.trim().split_once('@') {
        Some((head, variety)) if head.eq_ignore_ascii_case("KQ.m") => {
            Ok((Dataset::MainL5, variety.parse::<Variety>().map_err(bad_symbol)?.main_symbol()))
        }
        _ => Ok((Dataset::Ticks, symbol.parse::<ContractId>().map_err(bad_symbol)?.to_string())),
    }
}

fn list(context: &Context) -> Result<(), Problem> {
    let store = context.store()?;
    let mut symbols = Vec::new();
    for dataset in [Dataset::Ticks, Dataset::MainL5] {
        for symbol in store.symbols(dataset)? {
            let days = store.days(dataset, &symbol)?;
            let mut rows = 0;
            for day in &days {
                rows += store.manifest(dataset, &symbol, *day)?.map_or(0, |m| m.rows);
            }
            symbols.push(json!({ "dataset": dataset, "symbol": symbol, "days": days.len(), "rows": rows,
                                 "first_day": days.first(), "last_day": days.last() }));
        }
    }
    emit(context.json, &json!({ "symbols": symbols }), |_| {
        let text = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let rows: Vec<Vec<String>> = symbols
            .iter()
            .map(|s| ["dataset", "symbol", "days", "rows", "first_day", "last_day"].map(|k| text(&s[k])).to_vec())
            .collect();
        table(&["dataset", "symbol", "days", "rows", "first day", "last day"], &rows)
    })
}

/// A day's report with what the simulated exchange makes of its volume.
#[derive(Serialize)]
struct SplitDayReport {
    #[serde(flatten)]
    report: DayReport,
    volume_split: Value,
}

/// How the day's volume can be put to prices, or what keeps the exchange from reading its rows.
fn volume_split(context: &Context, store: &dyn Store, report: &DayReport) -> Result<Value, Problem> {
    let (symbol, day) = (report.symbol.as_str(), report.trading_day);
    let variety = match symbol.split_once('@') {
        Some((_, variety)) => variety.parse::<Variety>().map_err(bad_symbol)?,
        None => symbol.parse::<ContractId>().map_err(bad_symbol)?.variety().clone(),
    };
    let terms = ContractTable::builtin().spec(&variety, day)?;
    let double_sided = report.counting == Counting::Double && is_double_sided(variety.exchange(), day);
    let spec = PrepareSpec::of_day(&context.calendar, &variety, day, terms, double_sided);
    let rows = store.read_day(report.dataset, symbol, day)?;
    Ok(match PreparedDay::prepare(&rows.view(), &spec) {
        Ok(prepared) => volume_split_json(&day, prepared.split_report()),
        Err(e) => json!({ "error": Problem::from(e) }),
    })
}

fn report_text(report: &SplitDayReport) -> String {
    // The report is wide: people get its leaves, one a line.
    let mut lines = Vec::new();
    if let Ok(value) = document(report) {
        leaves("", &value, &mut lines);
    }
    lines.join("\n")
}

/// The leaves of a document, one a line.
pub(crate) fn leaves(path: &str, value: &serde_json::Value, lines: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(&path, value, lines);
            }
        }
        serde_json::Value::Array(list) if list.iter().any(serde_json::Value::is_object) => {
            lines.push(format!("{path}: {} entries", list.len()));
        }
        other => lines.push(format!("{path}: {other}")),
    }
}

fn sessions(context: &Context, var: &Variety, day: TradingDay) -> Result<(), Problem> {
    // A product that the contract table does not know has no sessions to speak of.
    ContractTable::builtin().spec(var, day)?;
    context.calendar.next_trading_day(day.plus_days(-1))?;
    if !context.calendar.is_trading_day(day) {
        return Err(Problem::new(
            "not_a_trading_day",
            ErrorClass::User,
            format!("{day} is no trading day of {var}"),
            "ghtrader data calendar FROM TO lists them",
        ));
    }
    let windows = context.calendar.session_windows(var, day);
    let rows: Vec<Vec<String>> = windows
        .iter()
        .map(|w| {
            let time = |ns: i64| ExchangeTimeNs(ns).to_string()[..19].to_owned();
            vec![if w.night { "night" } else { "day" }.to_owned(), time(w.start_ns), time(w.end_ns)]
        })
        .collect();
    let body: Vec<_> = windows
        .iter()
        .map(
            |w| json!({ "session": if w.night { "night" } else { "day" }, "start_ns": w.start_ns, "end_ns": w.end_ns }),
        )
        .collect();
    emit(context.json, &json!({ "variety": var, "trading_day": day, "windows": body }), |_| {
        table(&["session", "start", "end"], &rows)
    })
}
