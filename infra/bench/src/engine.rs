//! The engine on the common benchmark stream: the two reference strategies as plugins and natively, under every fill rule,
//! on one thread and two, with order life, ledger and records; against a peer's driver in the same run.

mod report;

use crate::artefacts;
use anyhow::{Context, Result, anyhow, bail};
use ghtrader_backtest::{
    Day, Delay, Engine, EngineSettings, FillModelName, Ledger, PluginSpec, ReadyDay, Record, RunSpec, Seat, run_day,
};
use ghtrader_core::{ContractSpec, SessionWindow, TickTable, TradingDay, Variety};
use ghtrader_exchange::{PrepareSpec, PreparedDay};
use ghtrader_market::bench_stream::{self, MULTIPLIER, PRICE_TICK_CNY};
use ghtrader_plugin::{
    AccountView, Finding, HostConfig, Instrument, ParamValue, Params, Plugin, PluginHost, Step, StrategyInstance,
};
use ghtrader_runtime::{DayColumns, StrategyRunner};
use ghtrader_testkit::NativeStrategy;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// (strategy, fill rule, orders, fills, position, PnL in CNY), as published for a stream.
type Count = (Strategy, FillModelName, u64, u64, i64, f64);

const SEED_3: &[Count] = &[
    (Strategy::A, FillModelName::CrossOnly, 7_727, 7_727, -1, 46_150.0),
    (Strategy::B, FillModelName::CrossOnly, 31_325, 16_166, 2, -76_900.0),
    (Strategy::B, FillModelName::Pessimistic, 46_073, 31_297, -5, 129_150.0),
    (Strategy::B, FillModelName::Optimistic, 51_626, 36_933, -5, 229_600.0),
    (Strategy::B, FillModelName::Touch, 141_361, 131_398, 2, 2_962_150.0),
];
const SEED_7: &[Count] = &[
    (Strategy::A, FillModelName::CrossOnly, 38_958, 38_958, 1, 207_200.0),
    (Strategy::B, FillModelName::CrossOnly, 154_421, 79_692, 2, -311_650.0),
    (Strategy::B, FillModelName::Pessimistic, 228_827, 155_913, 3, 643_700.0),
    (Strategy::B, FillModelName::Optimistic, 256_007, 183_520, 0, 1_170_100.0),
    (Strategy::B, FillModelName::Touch, 705_991, 656_511, 5, 14_753_300.0),
];
const MODELS: [FillModelName; 4] =
    [FillModelName::CrossOnly, FillModelName::Pessimistic, FillModelName::Optimistic, FillModelName::Touch];
/// The three that a backtest runs side by side.
const BRACKET: [FillModelName; 3] = [FillModelName::Pessimistic, FillModelName::Central, FillModelName::Optimistic];
const BLOCK_ROWS: usize = 2_048;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strategy {
    /// Takes on an imbalance beyond 0.8.
    A,
    /// Quotes one lot on both sides within ±5 lots.
    B,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    Wasm,
    Native,
}

impl Strategy {
    const ALL: [Self; 2] = [Self::A, Self::B];

    fn name(self) -> &'static str {
        if self == Self::A { "A" } else { "B" }
    }
}

impl Runner {
    const ALL: [Self; 2] = [Self::Wasm, Self::Native];

    fn name(self) -> &'static str {
        if self == Self::Wasm { "wasm" } else { "native" }
    }
}

struct Options {
    short: bool,
    json: bool,
    counts_only: bool,
    stream: Option<PathBuf>,
    rounds: usize,
    block_rows: usize,
    only: Option<(Strategy, Runner, FillModelName)>,
    peer: Option<PathBuf>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self {
            short: false,
            json: false,
            counts_only: false,
            stream: None,
            rounds: 5,
            block_rows: BLOCK_ROWS,
            only: None,
            peer: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| anyhow!("{arg} needs a value"));
            match arg.as_str() {
                "--short" => options.short = true,
                "--json" => options.json = true,
                "--counts" => options.counts_only = true,
                "--stream" => options.stream = Some(PathBuf::from(value()?)),
                "--rounds" => options.rounds = value()?.parse()?,
                "--block" => options.block_rows = value()?.parse()?,
                "--peer" => options.peer = Some(peer()?),
                "--only" => options.only = Some(only(value()?)?),
                _ => bail!(
                    "unknown flag `{arg}`; known are --stream FILE.npy, --short, --counts, --rounds N, --block N, --peer, \
                     --only A|B:wasm|native:FILL, --json"
                ),
            }
        }
        if options.rounds == 0 || options.block_rows == 0 {
            bail!("--rounds and --block are 1 or more");
        }
        Ok(options)
    }
}

/// The peer's driver, which `cargo xtask bench engine --peer` has built.
fn peer() -> Result<PathBuf> {
    let found = std::env::var_os("GHTRADER_PEER").map(PathBuf::from);
    found.ok_or_else(|| anyhow!("--peer needs the peer's driver; run `cargo xtask bench engine --peer`"))
}

/// Such as `B:wasm:pessimistic`, for a profiler.
fn only(text: &str) -> Result<(Strategy, Runner, FillModelName)> {
    let parts: Vec<&str> = text.split(':').collect();
    let found = match parts.as_slice() {
        [strategy, runner, model] => Strategy::ALL
            .into_iter()
            .find(|s| s.name() == *strategy)
            .zip(Runner::ALL.into_iter().find(|r| r.name() == *runner))
            .zip(MODELS.into_iter().chain(BRACKET).find(|m| m.as_str() == *model)),
        _ => None,
    };
    let ((strategy, runner), model) = found.ok_or_else(|| anyhow!("--only {text}: such as B:wasm:pessimistic"))?;
    Ok((strategy, runner, model))
}

/// The stream as one trading day, and what is run over it.
struct World {
    ticks: TickTable,
    ready: ReadyDay,
    instrument: ContractSpec,
    windows: [SessionWindow; 1],
    columns: DayColumns,
    plugins: [Arc<Plugin>; 2],
    variety: Variety,
    trading_day: TradingDay,
}

/// One measurement.
struct Run {
    records: Vec<Record>,
    seconds: f64,
}

impl World {
    fn new(ticks: TickTable) -> Result<Self> {
        let instrument = ContractSpec {
            multiplier: MULTIPLIER,
            price_tick: PRICE_TICK_CNY,
            price_tick_text: format!("{PRICE_TICK_CNY}"),
        };
        let host = PluginHost::new(HostConfig::default()).map_err(|f| anyhow!("{f}"))?;
        let load = |name: &str| -> Result<Arc<Plugin>> {
            let bytes = std::fs::read(artefacts()?.join(format!("{name}.wasm")))?;
            host.load(&bytes).map_err(|f| anyhow!("{}", Finding::into_problem(&f)))
        };
        Ok(Self {
            ready: prepare(&ticks)?,
            ticks,
            instrument,
            windows: [SessionWindow { start_ns: i64::MIN, end_ns: i64::MAX, night: false }],
            columns: DayColumns::default(),
            plugins: [load("taker")?, load("maker")?],
            variety: "SHFE.cu".parse()?,
            trading_day: TradingDay::from_ymd(2023, 11, 15).ok_or_else(|| anyhow!("no such day"))?,
        })
    }

    fn day(&self) -> Day<'_> {
        Day {
            trading_day: self.trading_day,
            contract: "SHFE.cu2402",
            instrument: &self.instrument,
            view: self.ticks.view(),
            columns: &self.columns,
            windows: &self.windows,
            prepared: &self.ready.exchange,
            tradable_from: 0,
            old_contract: None,
            timeline: &self.ready.timeline,
        }
    }

    fn instance(&self, strategy: Strategy, runner: Runner) -> Result<Box<dyn StrategyInstance>> {
        let instrument = Instrument {
            symbol: "SHFE.cu2402".to_owned(),
            price_tick: self.instrument.price_tick,
            multiplier: self.instrument.multiplier,
        };
        let plugin = &self.plugins[strategy as usize];
        if runner == Runner::Wasm {
            return Ok(plugin.strategy(&Params::new(), &instrument)?);
        }
        let params = plugin.manifest().resolve_params(&Params::new()).map_err(|f| anyhow!("{f:?}"))?;
        Ok(match strategy {
            Strategy::A => Box::new(NativeStrategy::<taker::Taker>::new(&params, &instrument)?),
            Strategy::B => Box::new(NativeStrategy::<maker::Maker>::new(&params, &instrument)?),
        })
    }

    /// Without latency and fees, with room for every order.
    fn spec(&self, strategy: Strategy) -> RunSpec {
        let plugin = PluginSpec { plugin: strategy.name().to_owned(), params: Default::default() };
        let mut spec = RunSpec::of_strategy(strategy.name(), &self.variety.to_string(), plugin);
        spec.fees.free = true;
        spec.latency.feed_us = 0;
        spec.latency.order = Delay::Constant { us: 0 };
        spec.latency.cancel = Delay::Constant { us: 0 };
        spec.account.initial_cny = 1e9;
        spec.risk.max_abs_position = 1_000;
        spec.risk.max_order_lots = 1_000;
        spec
    }

    fn seats(&self, strategy: Strategy, runner: Runner, models: &[FillModelName], block: usize) -> Result<Vec<Seat>> {
        let spec = self.spec(strategy);
        let seat = |model: &FillModelName| {
            let engine = Engine::new(EngineSettings::of(&spec, *model, block), Ledger::new(&spec, &self.variety)?);
            Ok(Seat { engine, runner: StrategyRunner::new(self.instance(strategy, runner)?, &[])? })
        };
        models.iter().map(seat).collect()
    }

    /// One pass over the stream on this thread; what follows from the rows alone is there.
    fn pass(
        &self,
        day: &Day<'_>,
        strategy: Strategy,
        runner: Runner,
        models: &[FillModelName],
        block: usize,
    ) -> Result<Run> {
        let mut seats = self.seats(strategy, runner, models, block)?;
        let began = Instant::now();
        run_day(day, &mut seats).map_err(|(_, fault)| fault)?;
        let seconds = began.elapsed().as_secs_f64();
        Ok(Run { records: seats.into_iter().map(|seat| seat.engine.finish()).collect(), seconds })
    }

    /// The same on two threads at once, over the same rows.
    fn pass_on_two(
        &self,
        day: &Day<'_>,
        strategy: Strategy,
        runner: Runner,
        model: FillModelName,
        block: usize,
    ) -> Result<Run> {
        let mut seats =
            [self.seats(strategy, runner, &[model], block)?, self.seats(strategy, runner, &[model], block)?];
        let began = Instant::now();
        let done = std::thread::scope(|scope| {
            let [first, second] = &mut seats;
            let other = scope.spawn(|| run_day(day, second));
            let here = run_day(day, first);
            other.join().map(|there| here.and(there))
        });
        let seconds = began.elapsed().as_secs_f64();
        done.map_err(|_| anyhow!("a thread died"))?.map_err(|(_, fault)| fault)?;
        let records = seats.into_iter().flatten().map(|seat| seat.engine.finish()).collect();
        Ok(Run { records, seconds })
    }
}

/// The stream as one session without auctions.
fn prepare(ticks: &TickTable) -> Result<ReadyDay> {
    let spec = PrepareSpec {
        price_tick: PRICE_TICK_CNY,
        multiplier: MULTIPLIER,
        double_sided: false,
        windows: vec![(i64::MIN, i64::MAX)],
        auction_starts_ns: Vec::new(),
    };
    Ok(ReadyDay::new(PreparedDay::prepare(&ticks.view(), &spec)?))
}

/// Best and median of several rounds' seconds.
fn best_and_median(mut seconds: Vec<f64>) -> (f64, f64) {
    seconds.sort_by(f64::total_cmp);
    (seconds[0], seconds[seconds.len() / 2])
}

/// Runs the stream of 1 M snapshots of seed 7, with `--short` that of 200 k of seed 3, or a file; fails if a published count differs.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    let (counts, rows, seed) = if options.short { (SEED_3, 200_000, 3) } else { (SEED_7, 1_000_000, 7) };
    let records = match &options.stream {
        Some(path) => bench_stream::read_npy(path)?,
        None => bench_stream::generate(rows, seed),
    };
    // A stream of the user's own has no published counts.
    let known = match &options.stream {
        Some(_) => [(SEED_7, 1_000_000, 7), (SEED_3, 200_000, 3)]
            .into_iter()
            .find(|(_, rows, seed)| records.len() == *rows && records == bench_stream::generate(*rows, *seed))
            .map(|(counts, ..)| counts),
        None => Some(counts),
    };
    let world = World::new(bench_stream::to_ticks(&records))?;
    let day = world.day();
    if let Some((strategy, runner, model)) = options.only {
        for _ in 0..options.rounds {
            let run = world.pass(&day, strategy, runner, &[model], options.block_rows)?;
            let rate = world.ticks.rows() as f64 / run.seconds / 1e6;
            println!("{} {} {} {rate:.2} M rows/s", strategy.name(), runner.name(), model.as_str());
        }
        return Ok(());
    }
    let mut findings = Vec::new();
    let mut runs = Vec::new();
    for strategy in Strategy::ALL {
        for model in MODELS {
            for runner in Runner::ALL {
                if options.counts_only && runner == Runner::Native {
                    continue;
                }
                for threads in [1, 2] {
                    if options.counts_only && threads == 2 {
                        continue;
                    }
                    let published = known
                        .and_then(|counts| counts.iter().find(|c| c.0 == strategy && c.1 == model))
                        .map(|(_, _, orders, fills, position, pnl)| (*orders, *fills, *position, *pnl));
                    let run =
                        one(&world, &day, &options, (strategy, runner, model), threads, published, &mut findings)?;
                    runs.push(run);
                }
            }
        }
    }
    let mut report = json!({ "schema_version": 1, "rows": world.ticks.rows(), "runs": runs, "exact": known.is_some() && findings.is_empty() });
    if !options.counts_only {
        report["one_pass"] = one_pass(&world, &day, &options)?;
        report["resident"] = resident(&world, &options)?;
        report["where"] = breakdown(&world, &day, &options)?;
        if let Some(peer) = &options.peer {
            report["peer"] = against(&world, &day, &options, peer, &records)?;
        }
    }
    if options.json {
        println!("{report}");
    } else {
        report::print(&report, known.is_some());
    }
    if findings.is_empty() { Ok(()) } else { bail!("{}", findings.join("\n")) }
}

/// One line of the table: the rounds agree with each other and with the published counts.
fn one(
    world: &World,
    day: &Day<'_>,
    options: &Options,
    (strategy, runner, model): (Strategy, Runner, FillModelName),
    threads: usize,
    published: Option<(u64, u64, i64, f64)>,
    findings: &mut Vec<String>,
) -> Result<Value> {
    let rounds = if options.counts_only { 1 } else { options.rounds };
    let mut seconds = Vec::new();
    let mut outcome = None;
    for _ in 0..rounds {
        let run = match threads {
            1 => world.pass(day, strategy, runner, &[model], options.block_rows)?,
            _ => world.pass_on_two(day, strategy, runner, model, options.block_rows)?,
        };
        seconds.push(run.seconds);
        for record in &run.records {
            let found = (record.output_digest(), summary(record, world.spec(strategy).account.initial_cny));
            if *outcome.get_or_insert(found) != found {
                findings.push(format!("{} {}: rounds or threads differ", strategy.name(), model.as_str()));
            }
        }
    }
    let (digest, counted) = outcome.ok_or_else(|| anyhow!("no round"))?;
    if let Some(published) = published.filter(|published| *published != counted) {
        findings.push(format!("{} {}: {counted:?}, published {published:?}", strategy.name(), model.as_str()));
    }
    let (best, median) = best_and_median(seconds);
    let rows = (world.ticks.rows() * threads) as f64;
    let (orders, fills, position, pnl_cny) = counted;
    Ok(json!({
        "strategy": strategy.name(),
        "runner": runner.name(),
        "fill": model.as_str(),
        "threads": threads,
        "orders": orders,
        "fills": fills,
        "position": position,
        "pnl_cny": pnl_cny,
        "output_digest": digest,
        "rows_per_s": rows / median,
        "rows_per_s_best": rows / best,
    }))
}

/// Orders accepted, fills, final position, PnL marked at the last price.
fn summary(record: &Record, initial_cny: f64) -> (u64, u64, i64, f64) {
    let orders = record.orders.iter().filter(|o| o.accepted).count() as u64;
    let position = record.fills.last().map_or(0, |f| f.position_lots);
    let equity = record.days.last().map_or(0.0, |d| d.equity_cny);
    (orders, record.fills.len() as u64, position, equity - initial_cny)
}

/// Three fill models in one pass against the same pass with one: from stored rows to records, on one thread.
fn one_pass(world: &World, day: &Day<'_>, options: &Options) -> Result<Value> {
    let mut lines = Vec::new();
    for strategy in Strategy::ALL {
        let timed = |models: &[FillModelName]| -> Result<f64> {
            let began = Instant::now();
            prepare(&world.ticks)?;
            let prepared_s = began.elapsed().as_secs_f64();
            Ok(prepared_s + world.pass(day, strategy, Runner::Wasm, models, options.block_rows)?.seconds)
        };
        let mut ratios = Vec::new();
        for _ in 0..options.rounds {
            let alone: f64 = BRACKET.iter().map(|m| timed(&[*m])).sum::<Result<f64>>()? / BRACKET.len() as f64;
            ratios.push(timed(&BRACKET)? / alone);
        }
        let (_, median) = best_and_median(ratios);
        lines.push(json!({ "strategy": strategy.name(), "three_over_one": median }));
    }
    Ok(Value::from(lines))
}

/// A strategy run over a block that stays in its memory, no orders filled: wasm against native.
fn resident(world: &World, options: &Options) -> Result<Value> {
    let mut lines = Vec::new();
    // Without an exchange that answers, B would gather orders without end.
    for strategy in [Strategy::A] {
        let mut ratios = Vec::new();
        for _ in 0..options.rounds {
            let mut seconds = [0.0; 2];
            for runner in Runner::ALL {
                let mut instance = world.quiet(strategy, runner)?;
                let rows = 65_536.min(world.ticks.rows());
                let words = world.words(&*instance, rows)?;
                let account = AccountView::default();
                let mut actions = Vec::new();
                let mut call = |rows_given: Option<&[u64]>, actions: &mut Vec<u64>| -> Result<()> {
                    let (mut start, until) = (0, rows as u32);
                    let mut given = rows_given;
                    while start < until {
                        let step = Step { rows: given.take(), start, until, account: &account, events: &[] };
                        start = (instance.run(&step, actions)? + 1).min(until);
                        actions.clear();
                    }
                    Ok(())
                };
                call(Some(&words), &mut actions)?;
                let began = Instant::now();
                for _ in 0..32 {
                    call(None, &mut actions)?;
                }
                seconds[runner as usize] = began.elapsed().as_secs_f64();
            }
            ratios.push(seconds[0] / seconds[1]);
        }
        let (_, median) = best_and_median(ratios);
        lines.push(json!({ "strategy": strategy.name(), "wasm_over_native": median }));
    }
    Ok(Value::from(lines))
}

impl World {
    /// An instance that looks at every row and never acts: A with a threshold of 1. B acts in any case, and is not asked here.
    fn quiet(&self, strategy: Strategy, runner: Runner) -> Result<Box<dyn StrategyInstance>> {
        if strategy == Strategy::B {
            return self.instance(strategy, runner);
        }
        let instrument = Instrument {
            symbol: "SHFE.cu2402".to_owned(),
            price_tick: self.instrument.price_tick,
            multiplier: self.instrument.multiplier,
        };
        let plugin = &self.plugins[strategy as usize];
        let params: Params = [("threshold".to_owned(), ParamValue::Number(1.0))].into_iter().collect();
        if runner == Runner::Wasm {
            return Ok(plugin.strategy(&params, &instrument)?);
        }
        let params = plugin.manifest().resolve_params(&params).map_err(|f| anyhow!("{f:?}"))?;
        Ok(Box::new(NativeStrategy::<taker::Taker>::new(&params, &instrument)?))
    }

    fn words(&self, instance: &dyn StrategyInstance, rows: usize) -> Result<Vec<u64>> {
        let layout = ghtrader_runtime::InputLayout::resolve(&instance.description().inputs, &[])?;
        let mut words = Vec::new();
        layout.pack(&self.ticks.view(), &self.columns, 0..rows, &mut words);
        Ok(words)
    }
}

/// Where the time of a snapshot goes, ns: rows in, the guest's own (of A, as it looks without acting), and what is left for
/// acting, matching, ledger and records.
fn breakdown(world: &World, day: &Day<'_>, options: &Options) -> Result<Value> {
    let rows = world.ticks.rows();
    let mut lines = Vec::new();
    for (strategy, model) in [(Strategy::A, FillModelName::CrossOnly), (Strategy::B, FillModelName::Pessimistic)] {
        let mut best = [f64::INFINITY; 4];
        for _ in 0..options.rounds {
            let mut instance = world.quiet(strategy, Runner::Wasm)?;
            let began = Instant::now();
            prepare(&world.ticks)?;
            let prepared = began.elapsed().as_secs_f64();
            let layout = ghtrader_runtime::InputLayout::resolve(&instance.description().inputs, &[])?;
            let (mut words, mut packing, mut guest) = (Vec::new(), 0.0, 0.0);
            let account = AccountView::default();
            for start in (0..rows).step_by(options.block_rows) {
                let end = (start + options.block_rows).min(rows);
                let began = Instant::now();
                layout.pack(&world.ticks.view(), &world.columns, start..end, &mut words);
                packing += began.elapsed().as_secs_f64();
                let began = Instant::now();
                let mut at = if strategy == Strategy::A { 0 } else { (end - start) as u32 };
                let mut given = Some(words.as_slice());
                let mut actions = Vec::new();
                while at < (end - start) as u32 {
                    let until = (end - start) as u32;
                    let step = Step { rows: given.take(), start: at, until, account: &account, events: &[] };
                    at = (instance.run(&step, &mut actions)? + 1).min(until);
                }
                guest += began.elapsed().as_secs_f64();
            }
            let whole = world.pass(day, strategy, Runner::Wasm, &[model], options.block_rows)?.seconds;
            for (best, now) in best.iter_mut().zip([prepared, packing, guest, whole]) {
                *best = best.min(now);
            }
        }
        let [prepared, packing, guest, whole] = best.map(|s| s / rows as f64 * 1e9);
        lines.push(json!({
            "strategy": strategy.name(),
            "fill": model.as_str(),
            "once_for_all_ns": prepared,
            "rows_in_ns": packing,
            "guest_ns": guest,
            "rest_ns": whole - packing - guest,
            "whole_ns": whole,
        }));
    }
    Ok(Value::from(lines))
}

/// A peer's driver on the same stream, its rounds and ours in turn; the ratios of the medians.
fn against(
    world: &World,
    day: &Day<'_>,
    options: &Options,
    peer: &Path,
    records: &[bench_stream::Record],
) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    let file = match &options.stream {
        Some(path) => path.clone(),
        None => {
            let path = folder.path().join("stream.npy");
            std::fs::write(&path, bench_stream::npy_bytes(records))?;
            path
        }
    };
    let mut lines = Vec::new();
    for (strategy, model) in [(Strategy::A, FillModelName::CrossOnly), (Strategy::B, FillModelName::Pessimistic)] {
        let (mut theirs, mut wasm, mut native) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            let output = std::process::Command::new(peer)
                .arg("--stream")
                .arg(&file)
                .args(["--strategy", strategy.name(), "--rounds", "1", "--json"])
                .output()
                .with_context(|| format!("cannot start {}", peer.display()))?;
            if !output.status.success() {
                bail!("the peer ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
            }
            let said: Value = serde_json::from_slice(&output.stdout)?;
            let rate = said["snapshots_per_s"].as_f64().ok_or_else(|| anyhow!("the peer says no rate: {said}"))?;
            theirs.push(world.ticks.rows() as f64 / rate);
            wasm.push(world.pass(day, strategy, Runner::Wasm, &[model], options.block_rows)?.seconds);
            native.push(world.pass(day, strategy, Runner::Native, &[model], options.block_rows)?.seconds);
        }
        let [theirs, wasm, native] = [theirs, wasm, native].map(|seconds| best_and_median(seconds).1);
        lines.push(json!({
            "strategy": strategy.name(),
            "fill": model.as_str(),
            "peer_rows_per_s": world.ticks.rows() as f64 / theirs,
            "wasm_rows_per_s": world.ticks.rows() as f64 / wasm,
            "native_rows_per_s": world.ticks.rows() as f64 / native,
            "wasm_over_peer": theirs / wasm,
            "native_over_peer": theirs / native,
        }));
    }
    Ok(Value::from(lines))
}
