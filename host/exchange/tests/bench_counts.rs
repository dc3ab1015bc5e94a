//! The fill counts that any correct engine gets on the benchmark stream.
#![allow(clippy::unwrap_used, reason = "a test")]

mod counts;

use counts::{Outcome, prepare, run_a, run_b};
use ghtrader_exchange::FillModel;
use ghtrader_market::bench_stream;

fn outcome(orders: u64, fills: u64, position: i64, pnl_cny: i64) -> Outcome {
    Outcome { orders, fills, position, pnl_cny }
}

/// B-04: 200,000 records of seed 3, to the lot.
#[test]
fn fill_counts_are_exact() {
    let records = bench_stream::generate(200_000, 3);
    let day = prepare(&bench_stream::to_ticks(&records));
    assert_eq!(run_a(&day), outcome(7_727, 7_727, -1, 46_150), "A");
    for (model, want) in [
        (FillModel::CrossOnly, outcome(31_325, 16_166, 2, -76_900)),
        (FillModel::Pessimistic, outcome(46_073, 31_297, -5, 129_150)),
        (FillModel::Optimistic, outcome(51_626, 36_933, -5, 229_600)),
        (FillModel::Touch, outcome(141_361, 131_398, 2, 2_962_150)),
    ] {
        assert_eq!(run_b(&day, model), want, "B {model}");
    }
}

/// B-05: the split by turnover gives the generated sides in every row.
#[test]
fn split_recovers_the_sides() {
    let records = bench_stream::generate(50_000, 11);
    let day = prepare(&bench_stream::to_ticks(&records));
    for (row, record) in records.iter().enumerate().skip(1) {
        assert_eq!(day.split_lots(row), Some((record.sold_lots, record.bought_lots)), "row {row}");
    }
    assert_eq!(day.warnings().volume_unsplit, 0);
}
