//! Snapshots a second of the engine with plain strategies, and the counts of the 1 M stream of seed 7.
//!
//! `cargo run --release -p ghtrader-exchange --example matching_throughput`
#![allow(clippy::unwrap_used, reason = "an example")]

#[path = "../tests/counts/mod.rs"]
mod counts;

use counts::{Outcome, prepare, run_a, run_b};
use ghtrader_exchange::FillModel;
use ghtrader_market::bench_stream;
use std::time::Instant;

fn main() {
    let records = bench_stream::generate(1_000_000, 7);
    let ticks = bench_stream::to_ticks(&records);
    let mut prepared = 0.0f64;
    let mut day = prepare(&ticks);
    for _ in 0..5 {
        let start = Clock::start();
        day = prepare(&ticks);
        prepared = prepared.max(rate(day.rows(), start));
    }
    println!("prepare        {prepared:6.2} M snapshots/s");
    let wants = [
        ("A", None, (38_958, 38_958, 1, 207_200)),
        ("B", Some(FillModel::CrossOnly), (154_421, 79_692, 2, -311_650)),
        ("B", Some(FillModel::Pessimistic), (228_827, 155_913, 3, 643_700)),
        ("B", Some(FillModel::Optimistic), (256_007, 183_520, 0, 1_170_100)),
        ("B", Some(FillModel::Touch), (705_991, 656_511, 5, 14_753_300)),
        ("B", Some(FillModel::Central), (0, 0, 0, 0)),
    ];
    for (strategy, model, (orders, fills, position, pnl_cny)) in wants {
        let mut best = 0.0f64;
        let mut outcome = None;
        for _ in 0..20 {
            let start = Clock::start();
            outcome = Some(model.map_or_else(|| run_a(&day), |m| run_b(&day, m)));
            best = best.max(rate(day.rows(), start));
        }
        let outcome = outcome.unwrap();
        let name = model.map_or("", |m| m.as_str());
        let exact = outcome == Outcome { orders, fills, position, pnl_cny };
        let verdict = if orders == 0 {
            "no published count"
        } else if exact {
            "exact"
        } else {
            "WRONG"
        };
        println!("{strategy} {name:<12} {best:6.2} M snapshots/s  {outcome:?}  {verdict}");
    }
}

fn rate(rows: usize, start: Clock) -> f64 {
    rows as f64 / start.elapsed_s() / 1e6
}

/// Processor time of this thread where the system tells it, so that a busy machine disturbs less; else wall time.
struct Clock {
    wall: Instant,
    cpu_ns: Option<u64>,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu_ns: cpu_ns() }
    }

    fn elapsed_s(&self) -> f64 {
        match (self.cpu_ns, cpu_ns()) {
            (Some(start), Some(now)) => (now - start) as f64 / 1e9,
            _ => self.wall.elapsed().as_secs_f64(),
        }
    }
}

fn cpu_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}
