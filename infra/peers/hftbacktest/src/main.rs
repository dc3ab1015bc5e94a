//! Drives the hftbacktest crate on the common benchmark stream: the peer of `cargo xtask bench engine`.

mod events;
mod strategies;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ghtrader_core::Digest;
use ghtrader_market::bench_stream::{self, MULTIPLIER, PRICE_TICK_CNY, Record};
use hftbacktest::backtest::assettype::LinearAsset;
use hftbacktest::backtest::data::Data;
use hftbacktest::backtest::models::{CommonFees, ConstantLatency, RiskAdverseQueueModel, TradingValueFeeModel};
use hftbacktest::backtest::{Backtest, DataSource, ExchangeKind, L2AssetBuilder};
use hftbacktest::depth::{HashMapMarketDepth, L2MarketDepth, MarketDepth, ROIVectorMarketDepth};
use hftbacktest::types::Event;
use std::path::PathBuf;
use std::sync::{Barrier, Mutex};
use std::time::Instant;
use strategies::{Outcome, Strategy, run};

const USAGE: &str = "usage: peer-hftbacktest --stream FILE.npy --strategy A|B [--threads N] [--rounds N] \
                     [--depth roi|hash] [--json]";

/// (digest of the file, strategy, what any correct engine comes to), as published.
const PUBLISHED: &[(&str, Strategy, Outcome)] = &[
    (
        "de1a7a9d3626e5d8a65ec9e9818085110edfa15c17f8b87c7630b10544d56699",
        Strategy::A,
        Outcome { orders: 38_958, fills: 38_958, position: 1, pnl_cny: 207_200 },
    ),
    (
        "de1a7a9d3626e5d8a65ec9e9818085110edfa15c17f8b87c7630b10544d56699",
        Strategy::B,
        Outcome { orders: 228_827, fills: 155_913, position: 3, pnl_cny: 643_700 },
    ),
    (
        "204f68d223d4a6c197ea78ec2c39b483e97dcea1178e58ef05992ca022c9b7d0",
        Strategy::A,
        Outcome { orders: 7_727, fills: 7_727, position: -1, pnl_cny: 46_150 },
    ),
    (
        "204f68d223d4a6c197ea78ec2c39b483e97dcea1178e58ef05992ca022c9b7d0",
        Strategy::B,
        Outcome { orders: 46_073, fills: 31_297, position: -5, pnl_cny: 129_150 },
    ),
];

/// How the peer keeps its book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Roi,
    Hash,
}

struct Flags {
    stream: PathBuf,
    strategy: Strategy,
    threads: usize,
    rounds: usize,
    depth: Depth,
    json: bool,
}

fn flags() -> Result<Flags> {
    let (mut stream, mut strategy, mut threads, mut rounds, mut depth, mut json) =
        (None, None, 1usize, 5usize, Depth::Roi, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| anyhow!("{arg} needs a value\n{USAGE}"));
        match arg.as_str() {
            "--stream" => stream = Some(PathBuf::from(value()?)),
            "--strategy" => {
                strategy = Some(match value()?.as_str() {
                    "A" => Strategy::A,
                    "B" => Strategy::B,
                    other => bail!("there is no strategy `{other}`; there are A and B"),
                });
            }
            "--threads" => threads = value()?.parse().context("--threads")?,
            "--rounds" => rounds = value()?.parse().context("--rounds")?,
            "--depth" => {
                depth = match value()?.as_str() {
                    "roi" => Depth::Roi,
                    "hash" => Depth::Hash,
                    other => bail!("there is no depth `{other}`; there are roi and hash"),
                };
            }
            "--json" => json = true,
            _ => bail!("unknown flag `{arg}`\n{USAGE}"),
        }
    }
    ensure!((1..=256).contains(&threads), "--threads {threads} is not from 1 to 256");
    ensure!((1..=1000).contains(&rounds), "--rounds {rounds} is not from 1 to 1000");
    Ok(Flags {
        stream: stream.ok_or_else(|| anyhow!("--stream is missing\n{USAGE}"))?,
        strategy: strategy.ok_or_else(|| anyhow!("--strategy is missing\n{USAGE}"))?,
        threads,
        rounds,
        depth,
        json,
    })
}

/// The peer set up as the oracle asks: whole fills, risk-averse queue, neither latency nor fees.
fn backtest<MD: MarketDepth + L2MarketDepth + 'static>(
    data: Data<Event>,
    depth: impl Fn() -> MD + 'static,
) -> Result<Backtest<MD>> {
    let asset = L2AssetBuilder::new()
        .data(vec![DataSource::Data(data)])
        .parallel_load(false)
        .latency_model(ConstantLatency::new(0, 0))
        .asset_type(LinearAsset::new(MULTIPLIER))
        .fee_model(TradingValueFeeModel::new(CommonFees::new(0.0, 0.0)))
        .queue_model(RiskAdverseQueueModel::new())
        .exchange(ExchangeKind::NoPartialFillExchange)
        .depth(depth)
        .build()
        .map_err(|e| anyhow!("the peer refuses its asset: {e}"))?;
    Backtest::builder().add_asset(asset).build().map_err(|e| anyhow!("the peer refuses its set-up: {e}"))
}

/// One round on this thread: builds the peer, waits for the others, runs, and says when it ran.
fn round(
    data: Data<Event>,
    records: &[Record],
    flags: &Flags,
    start: &Barrier,
) -> Result<(Outcome, Instant, Instant)> {
    let last_cny = f64::from(records.last().map_or(0, |r| r.last_ticks)) * PRICE_TICK_CNY;
    let timed = |run: &mut dyn FnMut() -> Result<Outcome>| {
        start.wait();
        let from = Instant::now();
        run().map(|outcome| (outcome, from, Instant::now()))
    };
    match flags.depth {
        Depth::Roi => {
            let low = records.iter().map(|r| r.bid_ticks).min().unwrap_or(0) - 8;
            let high = records.iter().map(|r| r.ask_ticks).max().unwrap_or(0) + 8;
            let (low, high) = (f64::from(low) * PRICE_TICK_CNY, f64::from(high) * PRICE_TICK_CNY);
            let mut bot = backtest(data, move || ROIVectorMarketDepth::new(PRICE_TICK_CNY, 1.0, low, high))?;
            timed(&mut || Ok(run(&mut bot, flags.strategy, records.len(), last_cny)?))
        }
        Depth::Hash => {
            let mut bot = backtest(data, || HashMapMarketDepth::new(PRICE_TICK_CNY, 1.0))?;
            timed(&mut || Ok(run(&mut bot, flags.strategy, records.len(), last_cny)?))
        }
    }
}

fn main() -> Result<()> {
    let flags = flags()?;
    let bytes = std::fs::read(&flags.stream).with_context(|| flags.stream.display().to_string())?;
    let digest = Digest::of(&bytes).to_string();
    drop(bytes);
    let records = bench_stream::read_npy(&flags.stream)?;
    ensure!(!records.is_empty(), "{} holds no snapshot", flags.stream.display());
    let events = events::of_stream(&records);
    let barrier = Barrier::new(flags.threads);
    let runs: Mutex<Vec<Vec<(Outcome, Instant, Instant)>>> = Mutex::new(vec![Vec::new(); flags.rounds]);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..flags.threads)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    let data = Data::from_data(&events);
                    for index in 0..flags.rounds {
                        let got = round(data.clone(), &records, &flags, &barrier)?;
                        runs.lock().map_err(|_| anyhow!("another thread failed"))?[index].push(got);
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|w| w.join().map_err(|_| anyhow!("a thread of the peer panicked"))?)
    })?;
    let runs = runs.into_inner().map_err(|_| anyhow!("a thread failed"))?;
    let outcome = runs.first().and_then(|r| r.first()).map(|r| r.0).ok_or_else(|| anyhow!("nothing ran"))?;
    for (got, ..) in runs.iter().flatten() {
        ensure!(*got == outcome, "two runs of the peer differ: {got:?} and {outcome:?}");
    }
    let mut rates: Vec<f64> = runs
        .iter()
        .filter_map(|round| {
            let from = round.iter().map(|r| r.1).min()?;
            let until = round.iter().map(|r| r.2).max()?;
            Some((records.len() * round.len()) as f64 / (until - from).as_secs_f64())
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    let (best, median) = (rates[rates.len() - 1], rates[rates.len() / 2]);
    let published = PUBLISHED
        .iter()
        .find(|(file, strategy, _)| digest.ends_with(file) && *strategy == flags.strategy)
        .map(|(.., outcome)| *outcome);
    let exact = published.map(|published| published == outcome);
    let strategy = format!("{:?}", flags.strategy);
    let depth = if flags.depth == Depth::Roi { "roi" } else { "hash" };
    if flags.json {
        println!(
            "{{\"schema_version\":1,\"peer\":\"hftbacktest\",\"version\":\"0.9.4\",\"strategy\":\"{strategy}\",\
             \"fill\":\"pessimistic\",\"depth\":\"{depth}\",\"threads\":{},\"rounds\":{},\"snapshots\":{},\"events\":{},\
             \"orders\":{},\"fills\":{},\"position\":{},\"pnl_cny\":{},\"snapshots_per_s\":{best:.0},\
             \"snapshots_per_s_median\":{median:.0},\"exact\":{}}}",
            flags.threads,
            flags.rounds,
            records.len(),
            events.len(),
            outcome.orders,
            outcome.fills,
            outcome.position,
            outcome.pnl_cny,
            exact.map_or("null".to_owned(), |exact| exact.to_string()),
        );
    } else {
        println!(
            "hftbacktest 0.9.4, strategy {strategy}, {} thread(s), {depth} book: {} orders, {} fills, position {}, {} CNY; \
             {:.3} M snapshots/s best of {}, {:.3} median",
            flags.threads,
            outcome.orders,
            outcome.fills,
            outcome.position,
            outcome.pnl_cny,
            best / 1e6,
            flags.rounds,
            median / 1e6,
        );
    }
    match published {
        Some(published) if published != outcome => bail!("the published counts are {published:?}, the peer's {outcome:?}"),
        _ => Ok(()),
    }
}
