//! The reference strategies on the common benchmark stream: orders, fills, position and PnL under each fill rule, as
//! components through the whole event loop, against the published counts.

use crate::artefacts;
use anyhow::{Result, anyhow, bail};
use ghtrader_backtest::{Day, Engine, EngineSettings, FillModelName, Ledger, PluginSpec, RunSpec};
use ghtrader_core::{ContractSpec, SessionWindow, TickTable, TradingDay, Variety};
use ghtrader_exchange::{PrepareSpec, PreparedDay};
use ghtrader_market::bench_stream::{self, MULTIPLIER, PRICE_TICK_CNY};
use ghtrader_plugin::{Finding, HostConfig, Instrument, Params, PluginHost};
use ghtrader_runtime::{DayColumns, StrategyRunner};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

/// (strategy, fill rule, orders, fills, position, PnL in CNY), as published for a stream.
type Count = (&'static str, FillModelName, u64, u64, i64, f64);

const SEED_3: &[Count] = &[
    ("taker", FillModelName::CrossOnly, 7_727, 7_727, -1, 46_150.0),
    ("maker", FillModelName::CrossOnly, 31_325, 16_166, 2, -76_900.0),
    ("maker", FillModelName::Pessimistic, 46_073, 31_297, -5, 129_150.0),
    ("maker", FillModelName::Optimistic, 51_626, 36_933, -5, 229_600.0),
    ("maker", FillModelName::Touch, 141_361, 131_398, 2, 2_962_150.0),
];
const SEED_7: &[Count] = &[
    ("taker", FillModelName::CrossOnly, 38_958, 38_958, 1, 207_200.0),
    ("maker", FillModelName::CrossOnly, 154_421, 79_692, 2, -311_650.0),
    ("maker", FillModelName::Pessimistic, 228_827, 155_913, 3, 643_700.0),
    ("maker", FillModelName::Optimistic, 256_007, 183_520, 0, 1_170_100.0),
    ("maker", FillModelName::Touch, 705_991, 656_511, 5, 14_753_300.0),
];

/// Runs the stream of 1 M snapshots of seed 7, or with `--short` that of 200 k of seed 3; fails if a count differs.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut short, mut json, mut stream, mut block_rows) = (false, false, None::<PathBuf>, 4_096usize);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| anyhow!("{arg} needs a value"));
        match arg.as_str() {
            "--short" => short = true,
            "--json" => json = true,
            "--stream" => stream = Some(PathBuf::from(value()?)),
            "--block" => block_rows = value()?.parse()?,
            _ => bail!("unknown flag `{arg}`; known are --short, --stream FILE.npy, --block N, --json"),
        }
    }
    let (counts, rows, seed) = if short { (SEED_3, 200_000, 3) } else { (SEED_7, 1_000_000, 7) };
    let records = match &stream {
        Some(path) => bench_stream::read_npy(path)?,
        None => bench_stream::generate(rows, seed),
    };
    let ticks = bench_stream::to_ticks(&records);
    // A stream of the user's own has no published counts.
    let known = records == bench_stream::generate(rows, seed);
    let host = PluginHost::new(HostConfig::default()).map_err(|f| anyhow!("{f}"))?;
    let mut runs = Vec::new();
    let mut wrong = 0;
    for (strategy, model, orders, fills, position, pnl_cny) in counts {
        let got = one(&host, strategy, *model, &ticks, block_rows)?;
        let exact = got["orders"] == json!(orders)
            && got["fills"] == json!(fills)
            && got["position"] == json!(position)
            && got["pnl_cny"] == json!(pnl_cny);
        if known && !exact {
            wrong += 1;
            eprintln!("{strategy} {}: {got}, published {orders} {fills} {position} {pnl_cny}", model.as_str());
        }
        runs.push(got);
    }
    if json {
        println!(
            "{}",
            json!({ "schema_version": 1, "rows": ticks.rows(), "runs": runs, "exact": known && wrong == 0 })
        );
    } else {
        println!("strategy  fill          orders     fills  position       pnl CNY   M rows/s");
        for r in &runs {
            println!(
                "{:<8}  {:<11} {:>8} {:>9} {:>9} {:>13} {:>10.2}",
                r["strategy"].as_str().unwrap_or_default(),
                r["fill"].as_str().unwrap_or_default(),
                r["orders"],
                r["fills"],
                r["position"],
                r["pnl_cny"],
                r["rows_per_s"].as_f64().unwrap_or(0.0) / 1e6
            );
        }
        match (known, wrong) {
            (true, 0) => println!("all counts as published"),
            (true, _) => {}
            (false, _) => println!("no counts are published for this stream"),
        }
    }
    if wrong > 0 { bail!("{wrong} of {} counts differ from the published ones", counts.len()) } else { Ok(()) }
}

/// One strategy as a component under one fill rule, without latency and fees.
fn one(host: &PluginHost, strategy: &str, model: FillModelName, ticks: &TickTable, block_rows: usize) -> Result<Value> {
    let variety: Variety = "SHFE.cu".parse()?;
    let trading_day = TradingDay::from_ymd(2023, 11, 15).ok_or_else(|| anyhow!("no such day"))?;
    let instrument = ContractSpec {
        multiplier: MULTIPLIER,
        price_tick: PRICE_TICK_CNY,
        price_tick_text: format!("{PRICE_TICK_CNY}"),
    };
    let windows = [SessionWindow { start_ns: i64::MIN, end_ns: i64::MAX, night: false }];
    let prepared = PreparedDay::prepare(
        &ticks.view(),
        &PrepareSpec {
            price_tick: instrument.price_tick,
            multiplier: instrument.multiplier,
            double_sided: false,
            windows: vec![(i64::MIN, i64::MAX)],
            auction_starts_ns: Vec::new(),
        },
    )?;
    let bytes = std::fs::read(artefacts()?.join(format!("{strategy}.wasm")))?;
    let plugin = host.load(&bytes).map_err(|f| anyhow!("{}", Finding::into_problem(&f)))?;
    let wire_instrument = Instrument {
        symbol: "SHFE.cu2402".to_owned(),
        price_tick: instrument.price_tick,
        multiplier: instrument.multiplier,
    };
    let instance = plugin.strategy(&Params::new(), &wire_instrument)?;
    let mut spec = RunSpec::of_strategy(
        strategy,
        &variety.to_string(),
        PluginSpec { plugin: strategy.to_owned(), params: Default::default() },
    );
    spec.fees.free = true;
    spec.latency.feed_us = 0;
    spec.latency.order = ghtrader_backtest::Delay::Constant { us: 0 };
    spec.latency.cancel = ghtrader_backtest::Delay::Constant { us: 0 };
    spec.account.initial_cny = 1e9;
    spec.risk.max_abs_position = 1_000;
    spec.risk.max_order_lots = 1_000;
    let columns = DayColumns::default();
    let mut runner = StrategyRunner::new(instance, &columns.names)?;
    let settings = EngineSettings::of(&spec, model, block_rows);
    let mut engine = Engine::new(settings, Ledger::new(&spec, &variety)?);
    let started = Instant::now();
    let day = Day {
        trading_day,
        contract: "SHFE.cu2402",
        instrument: &instrument,
        view: ticks.view(),
        columns: &columns,
        windows: &windows,
        prepared: &prepared,
        tradable_from: 0,
        old_contract: None,
    };
    engine.run_day(&day, &mut runner)?;
    let seconds = started.elapsed().as_secs_f64();
    let record = engine.finish();
    let equity = record.days.last().map_or(0.0, |d| d.equity_cny);
    Ok(json!({
        "strategy": strategy,
        "runner": "wasm",
        "fill": model.as_str(),
        "threads": 1,
        "orders": record.orders.iter().filter(|o| o.accepted).count(),
        "fills": record.fills.len(),
        "position": record.fills.last().map_or(0, |f| f.position_lots),
        "pnl_cny": equity - spec.account.initial_cny,
        "output_digest": record.output_digest(),
        "rows_per_s": ticks.rows() as f64 / seconds,
    }))
}
