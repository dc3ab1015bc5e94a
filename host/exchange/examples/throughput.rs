//! Snapshots a second of the engine with plain strategies, and the counts of the 1 M stream of seed 7.
//!
//! `cargo run --release -p ghtrader-exchange --example throughput`
#![allow(clippy::unwrap_used, reason = "an example")]

#[path = "../tests/counts/mod.rs"]
mod counts;

use counts::{Outcome, prepare, run_a, run_b};
use ghtrader_exchange::FillModel;
use ghtrader_market::bench_stream;
use std::time::Instant;

fn main() {
    let records = bench_stream::generate(1_000_000, 7);
    let start = Instant::now();
    let day = prepare(&records);
    println!("prepare  {:6.2} M snapshots/s", rate(day.rows(), start));
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
        for _ in 0..5 {
            let start = Instant::now();
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

fn rate(rows: usize, start: Instant) -> f64 {
    rows as f64 / start.elapsed().as_secs_f64() / 1e6
}
