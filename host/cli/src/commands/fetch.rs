//! `ghtrader data download` and `ghtrader data record`: ticks from a DIFF source.

use super::credentials::{source_credentials, source_urls};
use super::kept;
use crate::args::{Download, Record};
use crate::context::{Context, stop_on_signals};
use crate::output::{emit, grouped, table};
use ghtrader_control::wall_clock_ns;
use ghtrader_core::{ContractId, ContractTable, ErrorClass, ExchangeTimeNs, NS_PER_S, Problem, TradingDay, Variety};
use ghtrader_market::diff::{
    ClientOptions, LineLimits, Login, MarketClient, RetryPolicy, SocketOptions, contracts_query,
};
use ghtrader_pipeline::{DownloadOptions, DownloadReport, RecordOptions, RecordReport, RecordedSymbol, Source};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// A contract as a source lists it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Listed {
    contract: ContractId,
    expires_ns: Option<i64>,
    expired: bool,
}

/// The list that said which contracts a product has.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Catalogue {
    variety: Variety,
    contracts: usize,
    asked_at: String,
    age_s: i64,
    /// The source was not asked now.
    kept: bool,
}

/// A download, and the lists that it went by.
#[derive(Debug, Serialize)]
pub(crate) struct Downloaded {
    #[serde(flatten)]
    pub(crate) report: DownloadReport,
    pub(crate) catalogues: Vec<Catalogue>,
}

/// Downloads what lacks. Exit 1 if a day was refused, 6 if the source was not there for one.
pub(crate) fn download(context: &Context, flags: &Download) -> Result<ExitCode, Problem> {
    let downloaded = downloaded(context, flags, |_| None)?;
    emit(context.json, &downloaded, |d| download_text(&d.report))?;
    Ok(downloaded.report.worst().map_or(ExitCode::SUCCESS, |class| ExitCode::from(class.exit_code())))
}

/// Downloads what lacks; contracts of `first_days` begin on other days than the flags say.
pub(crate) fn downloaded(
    context: &Context,
    flags: &Download,
    first_days: impl Fn(&ContractId) -> Option<TradingDay>,
) -> Result<Downloaded, Problem> {
    if flags.from > flags.to {
        let what = format!("{} lies after {}", flags.from, flags.to);
        return Err(Problem::new("bad_range", ErrorClass::User, what, "give the earlier day first"));
    }
    let (mut client, stop) = connect(context)?;
    let lives = |listed: &Listed| {
        let last = ghtrader_core::last_trading_day(&listed.contract, &context.calendar);
        last.or_else(|| listed.expires_ns.map(|ns| ExchangeTimeNs(ns).cst_date())).is_none_or(|last| last >= flags.from)
    };
    let (symbols, catalogues) = contracts(context, &mut client, (&flags.symbols, &flags.var), flags.refresh, lives)?;
    let mut options = download_options(context, (flags.from, flags.to), flags.again)?;
    options.first_days = symbols.iter().filter_map(|s| Some((s.clone(), first_days(s)?))).collect();
    let show = |symbol: &ContractId, day: TradingDay, done: u64, all: u64, _rows: u64| {
        context.progress.show("download", &format!("{symbol} {day}"), done, all, "days");
    };
    let report = with_source(context, &mut client, &stop, |source| {
        Ok(ghtrader_pipeline::download(source, &symbols, &options, &show)?)
    })?;
    Ok(Downloaded { report, catalogues })
}

/// Records until told to stop, or until a day is over.
pub(crate) fn record(context: &Context, flags: &Record) -> Result<ExitCode, Problem> {
    let (mut client, stop) = connect(context)?;
    // A recording begins with what there is now.
    let (symbols, _) = contracts(context, &mut client, (&flags.symbols, &flags.var), true, |listed| !listed.expired)?;
    let seconds = |key: &str| Duration::from_secs_f64(context.settings.number(key));
    let options = RecordOptions {
        until: flags.until,
        retry: RetryPolicy {
            first_wait: seconds("record.retry_first_s"),
            longest_wait: seconds("record.retry_max_s"),
            ..RetryPolicy::default()
        },
        quiet: seconds("record.quiet_s"),
        max_rejected_share: context.settings.number("download.quarantine_max_ratio"),
    };
    let report = with_source(context, &mut client, &stop, |source| {
        Ok(ghtrader_pipeline::record(source, &symbols, &options, &|p| {
            context.progress.show("record", &format!("{} {}", p.symbol, p.trading_day), p.rows, 0, "rows");
        })?)
    })?;
    let lossy = report.symbols.iter().any(|s| !s.lost.is_empty());
    emit(context.json, &report, record_text)?;
    Ok(if lossy { ExitCode::from(ErrorClass::Negative.exit_code()) } else { ExitCode::SUCCESS })
}

/// A client of the settings' source, not connected yet, and what a signal raises to end its work.
pub(crate) fn connect(context: &Context) -> Result<(MarketClient, Arc<AtomicBool>), Problem> {
    let client = client(context)?;
    let stop = stop_on_signals()?;
    crate::log::start();
    Ok((client, stop))
}

/// Works with a source and the store of the settings.
pub(crate) fn with_source<T>(
    context: &Context,
    client: &mut MarketClient,
    stop: &AtomicBool,
    work: impl FnOnce(&mut Source<'_>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let store = context.store()?;
    let runs_dir = context.dir("runs_dir");
    let (calendar, table) = (&context.calendar, ContractTable::builtin());
    let done = work(&mut Source { client, store: &*store, calendar, table, runs_dir: &runs_dir, stop });
    context.progress.finish();
    done
}

/// How the settings say to download.
pub(crate) fn download_options(
    context: &Context,
    (from, to): (TradingDay, TradingDay),
    again: bool,
) -> Result<DownloadOptions, Problem> {
    Ok(DownloadOptions {
        from,
        to,
        first_days: BTreeMap::new(),
        again,
        retry: download_retries(context)?,
        page_pause: Duration::from_millis(context.settings.integer("download.page_pause_ms").unsigned_abs()),
        max_rejected_share: context.settings.number("download.quarantine_max_ratio"),
    })
}

/// A client of the settings' source, not connected yet.
fn client(context: &Context) -> Result<MarketClient, Problem> {
    let login = Login::new(source_urls(context), source_credentials(context)?, wall_clock_ns)?;
    let options = ClientOptions {
        limits: LineLimits {
            chart: Duration::from_secs_f64(context.settings.number("download.page_timeout_s")),
            ..LineLimits::default()
        },
        socket: SocketOptions { deflate: context.settings.flag("diff.deflate"), ..SocketOptions::default() },
    };
    Ok(MarketClient::new(login, options))
}

/// The vendor's table of main contracts.
pub(crate) fn vendor_table(context: &Context) -> Result<String, Problem> {
    let url = context.settings.text_of("diff.contracts_url").unwrap_or_default();
    Ok(client(context)?.main_contracts(url)?)
}

/// The contracts named, and those of the products that the source knows and `wanted` lets through. The source's list of a
/// product is used again for as long as the settings say.
fn contracts(
    context: &Context,
    client: &mut MarketClient,
    (named, varieties): (&[ContractId], &[Variety]),
    refresh: bool,
    wanted: impl Fn(&Listed) -> bool,
) -> Result<(Vec<ContractId>, Vec<Catalogue>), Problem> {
    let mut all: BTreeSet<ContractId> = named.iter().cloned().collect();
    let longest_ns = context.settings.integer("schedule.catalogue_ttl_s") * NS_PER_S;
    let mut catalogues = Vec::new();
    for variety in varieties {
        let list = kept::told(context, &format!("catalogue/{variety}.json"), longest_ns, refresh, || {
            if !client.is_open() {
                client.open()?;
            }
            let found = client.instruments(contracts_query(variety), &variety.to_string())?;
            let listed = found.iter().filter_map(|instrument| {
                let contract: ContractId = instrument.symbol.parse().ok()?;
                let (expires_ns, expired) = (instrument.expires_ns, instrument.expired);
                (contract.variety() == variety).then_some(Listed { contract, expires_ns, expired })
            });
            Ok(listed.collect::<Vec<_>>())
        })?;
        let before = all.len();
        all.extend(list.found.iter().filter(|listed| wanted(listed)).map(|listed| listed.contract.clone()));
        let (listed, age_s) = (list.found.len(), list.age_ns / NS_PER_S);
        tracing::info!(%variety, listed, wanted = all.len() - before, age_s, "contracts of the source");
        catalogues.push(Catalogue {
            variety: variety.clone(),
            contracts: listed,
            asked_at: ExchangeTimeNs(list.asked_ns).to_string(),
            age_s,
            kept: list.is_kept(),
        });
    }
    if all.is_empty() {
        let names: Vec<String> = varieties.iter().map(Variety::to_string).collect();
        return Err(Problem::new(
            "no_contracts",
            ErrorClass::User,
            format!("the source knows no contract of {} in the range", names.join(", ")),
            "check the product and the range",
        ));
    }
    Ok((all.into_iter().collect(), catalogues))
}

/// `HH:MM-HH:MM` as ns after midnight; an empty text is none.
fn hours(text: &str) -> Result<Option<(i64, i64)>, Problem> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let minutes = |t: &str| -> Option<i64> {
        let (h, m) = t.trim().split_once(':')?;
        let (h, m): (u8, u8) = (h.parse().ok()?, m.parse().ok()?);
        (h < 24 && m < 60).then_some((i64::from(h) * 60 + i64::from(m)) * 60 * NS_PER_S)
    };
    let span = text.split_once('-').and_then(|(begin, end)| Some((minutes(begin)?, minutes(end)?)));
    span.filter(|(begin, end)| begin < end).map(Some).ok_or_else(|| {
        let what = format!("download.maintenance_hours is `{text}`, which is no span of hours");
        Problem::new("bad_settings", ErrorClass::User, what, "write for example 19:00-19:30")
    })
}

/// How the settings say to try again.
pub(crate) fn download_retries(context: &Context) -> Result<RetryPolicy, Problem> {
    let seconds = |key: &str| Duration::from_secs_f64(context.settings.number(key));
    let count = |key: &str| u32::try_from(context.settings.integer(key)).unwrap_or(0);
    Ok(RetryPolicy {
        maintenance_hours: hours(context.settings.text_of("download.maintenance_hours").unwrap_or_default())?,
        retries: count("download.retries"),
        first_wait: seconds("download.retry_first_s"),
        longest_wait: seconds("download.retry_max_s"),
        maintenance_wait: seconds("download.maintenance_wait_s"),
        maintenance_waits: count("download.maintenance_waits"),
        maintenance_budget: seconds("download.maintenance_budget_s"),
        circuit: seconds("download.circuit_s"),
        ..RetryPolicy::default()
    })
}

fn download_text(r: &DownloadReport) -> String {
    let mut rows = Vec::new();
    for symbol in &r.symbols {
        for day in &symbol.fetched {
            let outcome = format!("{:?}", day.outcome).to_lowercase();
            let digest = day.sha256.map_or_else(String::new, |s| s.short16());
            rows.push(vec![
                symbol.symbol.to_string(),
                day.trading_day.to_string(),
                outcome,
                grouped(day.rows as i64),
                digest,
            ]);
        }
        for day in &symbol.skipped {
            // The word of the ledger.
            let reason = serde_json::to_value(day.skip.reason).unwrap_or_default();
            let what = format!("{}: {}", reason.as_str().unwrap_or_default(), day.skip.error);
            rows.push(vec![
                symbol.symbol.to_string(),
                day.trading_day.to_string(),
                "given up".to_owned(),
                "–".to_owned(),
                what,
            ]);
        }
    }
    let of = |count: fn(&ghtrader_pipeline::DownloadedSymbol) -> usize| -> usize { r.symbols.iter().map(count).sum() };
    let stopped = if r.stopped { "; stopped before the end" } else { "" };
    format!(
        "{}\n{} days of {} contracts: {} stored before, {} fetched, {} without rows, {} given up, {} not over yet; {} rows \
         in {} pages, {} reconnects, {} s waited{stopped}",
        table(&["symbol", "trading day", "outcome", "rows", "sha256"], &rows),
        of(|s| s.days),
        r.symbols.len(),
        of(|s| s.stored_before),
        of(|s| s.fetched.len()),
        of(|s| s.empty.len() + s.empty_before),
        of(|s| s.skipped.len()),
        of(|s| s.open.len()),
        grouped(r.rows as i64),
        r.pages,
        r.reconnects,
        r.waited_s
    )
}

fn record_text(r: &RecordReport) -> String {
    let row = |s: &RecordedSymbol| {
        let days: Vec<String> = s.days.iter().map(|d| format!("{} ({} rows)", d.trading_day, d.rows)).collect();
        let open = s.open.map_or_else(String::new, |d| format!("{d} ({} rows)", s.open_rows));
        let lost: i64 = s.lost.iter().map(|l| l.to_id - l.from_id + 1).sum();
        vec![s.symbol.to_string(), grouped(s.rows as i64), days.join(", "), open, grouped(lost)]
    };
    let rows: Vec<Vec<String>> = r.symbols.iter().map(row).collect();
    let cuts: Vec<String> = r.interrupted.iter().map(|i| format!("\n  cut: {}", i.why)).collect();
    format!(
        "{}\n{} interruptions{}",
        table(&["symbol", "rows", "stored", "in the spool", "lost"], &rows),
        r.interruptions,
        cuts.concat()
    )
}
