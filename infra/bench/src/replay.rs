//! Replay from the mapped cache: every row of every column is read.

use anyhow::{Result, bail};
use ghtrader_core::{Calendar, Digest};
use ghtrader_market::synth::{SynthMarket, SynthSpec};
use ghtrader_store::{Counting, Dataset, DayMeta, EmbeddedStore, Store};
use serde_json::json;
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 9;

/// Prints rows a second over all 28 columns, from the cache and, for comparison, a plain copy of the same bytes.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let json = match args {
        [] => false,
        [flag] if flag == "--json" => true,
        _ => bail!("bench replay takes --json only"),
    };
    let dir = tempfile::tempdir()?;
    let store = EmbeddedStore::open(dir.path())?;
    let market = SynthMarket::new(SynthSpec::new("SHFE.cu".parse()?, 20, 1, 0.5), Calendar::builtin())?;
    let build = Digest::of(b"bench");
    let meta = DayMeta { source: "synthetic".to_owned(), counting: Counting::Single, build, underlying: None };
    let mut keys = Vec::new();
    for day in market.iter() {
        let symbol = day.contract.to_string();
        store.put_day(Dataset::Ticks, &symbol, day.trading_day, &day.ticks.view(), &meta)?;
        store.load_day(Dataset::Ticks, &symbol, day.trading_day)?;
        keys.push((symbol, day.trading_day));
    }
    let (mut best_s, mut copy_s, mut rows) = (f64::INFINITY, f64::INFINITY, 0u64);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        rows = 0;
        for (symbol, day) in &keys {
            let ticks = store.load_day(Dataset::Ticks, symbol, *day)?;
            let view = ticks.view();
            rows += view.rows() as u64;
            let mut sum = view.ts_ns.iter().fold(0i64, |a, b| a.wrapping_add(*b)) as f64;
            for column in view.floats {
                sum += lanes_sum(column);
            }
            black_box(sum);
        }
        best_s = best_s.min(started.elapsed().as_secs_f64());
        let mut copied = Vec::new();
        let started = Instant::now();
        for (symbol, day) in &keys {
            let ticks = store.load_day(Dataset::Ticks, symbol, *day)?;
            for column in ticks.view().floats {
                copied.clear();
                copied.extend_from_slice(column);
                black_box(&copied);
            }
        }
        copy_s = copy_s.min(started.elapsed().as_secs_f64());
    }
    let rate = |s: f64| rows as f64 / s / 1e6;
    if json {
        println!(
            "{}",
            json!({ "schema_version": 1, "bench": "replay", "rows": rows, "columns": 28, "rounds": ROUNDS,
                    "rows_per_s": rate(best_s) * 1e6, "copy_rows_per_s": rate(copy_s) * 1e6 })
        );
    } else {
        println!("{rows} rows of 28 columns, best of {ROUNDS}");
        println!("replay       {:6.1} M rows/s  {:5.1} GB/s", rate(best_s), rate(best_s) * 28.0 * 8.0 / 1e3);
        println!("plain copy   {:6.1} M rows/s", rate(copy_s));
    }
    Ok(())
}

/// A sum in eight lanes: one chain of additions would measure the adder's latency, not the memory.
fn lanes_sum(values: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += v;
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().sum::<f64>()
}
