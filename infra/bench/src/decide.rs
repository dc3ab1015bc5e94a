//! From a tick to a decision: features, linear score and strategy, as components and as the same code compiled natively.
//!
//! Both answer the same ticks in the same order, one after the other on one thread, as a live variety does: no block, no
//! account but a flat one. The market is synthetic; its rows are those of a day of copper.

use crate::artefacts;
use anyhow::{Context, Result, anyhow, bail};
use core_factors::CoreFactors;
use ghtrader_core::{Calendar, Phase, TickTable};
use ghtrader_kernels::wire::Action;
use ghtrader_market::synth::{SynthMarket, SynthSpec};
use ghtrader_model::LinearModel;
use ghtrader_plugin::{AccountView, Finding, HostConfig, Instrument, Params, Plugin, PluginHost};
use ghtrader_runtime::{Lineup, LineupParts, Scorer};
use ghtrader_testkit::{NativeFeature, NativeStrategy};
use score_threshold::ScoreThreshold;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// 99 of 100 decisions must be there within this time, and take at most so many times the native one.
const GOAL_P99_NS: u64 = 10_000;
const GOAL_RATIO: f64 = 2.0;
const ROUNDS: usize = 7;
const HORIZON_ROWS: u32 = 50;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut rows, mut json) = (40_000_usize, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rows" => rows = args.next().context("--rows needs a number")?.parse()?,
            "--json" => json = true,
            _ => bail!("unknown flag `{arg}`; known are --rows N, --json"),
        }
    }
    if !(1_000..=60_000).contains(&rows) {
        bail!("--rows {rows}; give 1000 to 60000");
    }
    let host = PluginHost::new(HostConfig::default()).map_err(|f| anyhow!("{f}"))?;
    let (factors, strategy) = (load(&host, "core-factors")?, load(&host, "score-threshold")?);
    let ticks = ticks(rows)?;
    let instrument = Instrument { symbol: "SHFE.cu2509".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    let params = |p: &Plugin| p.manifest().resolve_params(&Params::new()).map_err(|f| all(&f));
    let (factor_params, strategy_params) = (params(&factors)?, params(&strategy)?);
    let wasm = || -> Result<Lineup> {
        let features = vec![factors.feature(&factor_params, &instrument)?];
        let strategy = strategy.strategy(&strategy_params, &instrument)?;
        Ok(Lineup::new(LineupParts { features, scorer: Some(scorer()), strategy })?)
    };
    let native = || -> Result<Lineup> {
        let features: Vec<Box<dyn ghtrader_plugin::FeatureInstance>> =
            vec![Box::new(NativeFeature::<CoreFactors>::new(&factor_params, &instrument)?)];
        let strategy = Box::new(NativeStrategy::<ScoreThreshold>::new(&strategy_params, &instrument)?);
        Ok(Lineup::new(LineupParts { features, scorer: Some(scorer()), strategy })?)
    };
    // Rounds alternate, so that both see the same machine.
    let (mut wasm_ns, mut native_ns, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (n, native_sum) = pass(&mut native()?, &ticks)?;
        let (w, wasm_sum) = pass(&mut wasm()?, &ticks)?;
        if native_sum != wasm_sum {
            bail!("component and native build decide otherwise: {wasm_sum:x} and {native_sum:x}");
        }
        ratios.push(quantile(&w, 0.5) as f64 / quantile(&n, 0.5).max(1) as f64);
        wasm_ns.extend(w);
        native_ns.extend(n);
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ROUNDS / 2];
    let clock_ns = clock_ns();
    let [w, n] = [&mut wasm_ns, &mut native_ns].map(|all| {
        all.sort_unstable();
        [0.5, 0.99, 0.999].map(|q| at(all, q))
    });
    let met = w[1] <= GOAL_P99_NS && ratio <= GOAL_RATIO;
    let report = json!({
        "schema_version": 1, "bench": "decide", "rows": ticks.rows(), "rounds": ROUNDS,
        "wasm_ns": { "p50": w[0], "p99": w[1], "p99_9": w[2] },
        "native_ns": { "p50": n[0], "p99": n[1], "p99_9": n[2] },
        "ratio_of_medians": ratio, "clock_ns": clock_ns,
        "goal": { "p99_ns": GOAL_P99_NS, "ratio": GOAL_RATIO }, "met": met,
    });
    if json {
        println!("{report}");
    } else {
        println!(
            "tick → decision over {} rows, {ROUNDS} rounds, ns (reading the clock takes {clock_ns} of them)",
            ticks.rows()
        );
        println!("          p50      p99    p99.9");
        println!("wasm   {:6}   {:6}   {:6}", w[0], w[1], w[2]);
        println!("native {:6}   {:6}   {:6}", n[0], n[1], n[2]);
        println!(
            "{ratio:.2} x native at the median (goals: p99 ≤ {GOAL_P99_NS} ns, ≤ {GOAL_RATIO} x): {}",
            if met { "met" } else { "MISSED" }
        );
    }
    Ok(())
}

/// Times of all ticks in ns, and a sum over what was decided.
fn pass(lineup: &mut Lineup, ticks: &TickTable) -> Result<(Vec<u64>, u64)> {
    let view = ticks.view();
    let account = AccountView { balance_cny: 1e6, available_cny: 1e6, ..AccountView::default() };
    let mut actions: Vec<Action> = Vec::new();
    let mut events = Vec::new();
    let mut times = Vec::with_capacity(ticks.rows());
    let mut sum = 0u64;
    for row in 0..ticks.rows() {
        let began = Instant::now();
        lineup.tick(&view, row, &account, &events, &mut actions)?;
        times.push(began.elapsed().as_nanos() as u64);
        events.clear();
        for action in &actions {
            sum = action.encode().iter().fold(sum, |s, w| s.rotate_left(7) ^ w);
            if let Action::Place(order) = action {
                // Answered at once, so that the strategy goes on deciding.
                events.push(ghtrader_kernels::wire::Event::Cancelled {
                    client_id: order.client_id,
                    remaining_lots: order.lots,
                });
            }
        }
        sum = lineup.outputs().iter().fold(sum, |s, v| s.rotate_left(5) ^ v.to_bits());
    }
    Ok((times, sum))
}

fn quantile(times: &[u64], q: f64) -> u64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    at(&sorted, q)
}

pub(crate) fn at(sorted: &[u64], q: f64) -> u64 {
    let place = ((sorted.len() as f64 - 1.0) * q).round() as usize;
    sorted.get(place).copied().unwrap_or(0)
}

/// Time between two looks at the clock, ns.
fn clock_ns() -> u64 {
    let mut times: Vec<u64> = (0..10_000).map(|_| Instant::now().elapsed().as_nanos() as u64).collect();
    times.sort_unstable();
    at(&times, 0.5)
}

fn ticks(rows: usize) -> Result<TickTable> {
    let spec = SynthSpec::new("SHFE.cu".parse()?, 1, 1, 0.5);
    let market = SynthMarket::new(SynthSpec { rows_per_day: rows as u32, ..spec }, Calendar::builtin())?;
    let main = market.main_contracts().next().map(|(_, c)| c.clone()).context("a main contract")?;
    let index = (0..market.symbol_days()).find(|i| *market.key(*i).0 == main).context("its day")?;
    let all = market.generate(index).ticks;
    let view = all.view();
    let mut table = TickTable::with_capacity(rows);
    for row in (0..all.rows()).filter(|r| view.phase[*r] == Phase::Continuous as u8 && view.has_l5(*r)) {
        table.extend_from(&view, row..row + 1);
    }
    Ok(table)
}

/// A model with the shape of a trained one; what it says is of no account here.
fn scorer() -> Scorer {
    let features = 11;
    let weight = |k: usize| [0.1 * k as f64 - 0.5, 0.0, 0.5 - 0.1 * k as f64];
    let model = LinearModel {
        anchor: vec![None; features],
        mean: vec![0.0; features],
        scale: vec![1.0; features],
        clip_sigma: 8.0,
        weights: (0..features).map(weight).collect(),
        bias: [0.0; 3],
    };
    Scorer { model, names: LinearModel::score_names(HORIZON_ROWS) }
}

fn load(host: &PluginHost, name: &str) -> Result<Arc<Plugin>> {
    let path = artefacts()?.join(format!("{name}.wasm"));
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    host.load(&bytes).map_err(|f| all(&f))
}

fn all(findings: &[Finding]) -> anyhow::Error {
    anyhow!("{}", findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n"))
}
