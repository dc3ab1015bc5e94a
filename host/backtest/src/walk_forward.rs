//! What a walk-forward traded: fold by fold inside and outside its training days, the test parts joined into one curve.

use crate::run::{DayData, RunResult};
use ghtrader_core::{Column, Digest, TradingDay};
use ghtrader_stats as stats;
use serde::Serialize;
use std::collections::BTreeMap;

/// One fold: its parts, what was taken away between them, and its model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoldSpan {
    /// Number of the split.
    pub split: usize,
    /// First day fitted on.
    pub train_first_day: TradingDay,
    /// Last day fitted on.
    pub train_last_day: TradingDay,
    /// Rows of the training part, after the purge.
    pub train_rows: usize,
    /// Rows of the validation part, which is neither fitted on nor traded.
    pub validation_rows: usize,
    /// First day traded.
    pub test_first_day: TradingDay,
    /// Last day traded.
    pub test_last_day: TradingDay,
    /// Rows of the test part.
    pub test_rows: usize,
    /// Rows taken away before each later part: the label's look-ahead, and the gap asked for.
    pub purged_rows: usize,
    /// Rows taken away behind a part that precedes training rows; 0, as none does in a walk-forward.
    pub embargo_rows: usize,
    /// The fold's model.
    pub model: Digest,
}

/// What was traded on some days under one fill model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Traded {
    /// Trading days.
    pub days: usize,
    /// Profit and loss, CNY.
    pub pnl_cny: f64,
    /// The same a day; null without a day.
    pub mean_cny: Option<f64>,
    /// Annual Sharpe ratio; null for fewer than two days or no variation.
    pub sharpe: Option<f64>,
    /// Its standard error, annual as well.
    pub sharpe_se: Option<f64>,
    /// Fees, CNY.
    pub fees_cny: f64,
    /// Lots filled.
    pub lots: u64,
}

/// By fill model.
pub type TradedByModel = BTreeMap<&'static str, Traded>;

/// One fold's results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoldTraded {
    /// Its parts.
    #[serde(flatten)]
    pub span: FoldSpan,
    /// On the days that its model was fitted on, which says how much of a result is memory.
    pub in_sample: TradedByModel,
    /// On the days of its test part; a day in two test parts is traded by the later fold, and counts there.
    pub out_of_sample: TradedByModel,
}

/// Out-of-sample days of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegimeTraded {
    /// `quiet`, `middle` or `volatile`: thirds of the days by the day's realised volatility.
    pub regime: &'static str,
    /// Largest realised volatility in it, price ticks: the root of the summed squared moves of the mid price by row.
    pub most_ticks: f64,
    /// What was traded on these days.
    pub out_of_sample: TradedByModel,
}

/// The trading side of a walk-forward.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WalkForwardTraded {
    /// Folds in time order.
    pub folds: Vec<FoldTraded>,
    /// The whole run, from the first test part to the last.
    pub out_of_sample: TradedByModel,
    /// Days of the run that no test part has: without scores, with whatever position was held.
    pub between_folds: TradedByModel,
    /// By the volatility of the day.
    pub regimes: Vec<RegimeTraded>,
    /// Mean daily profit out of sample over that in sample, pessimistic fills, means over folds; null where the latter is no profit.
    pub out_over_in_sample: Option<f64>,
    /// Folds with a profit out of sample under pessimistic fills.
    pub folds_won: usize,
}

/// What a result traded on days that a condition picks, by fill model.
pub fn traded_on(result: &RunResult, annual_days: f64, pick: impl Fn(TradingDay) -> bool) -> TradedByModel {
    let one = |record: &crate::Record| {
        let days: Vec<_> = record.days.iter().filter(|d| pick(d.trading_day)).collect();
        let pnl: Vec<f64> = days.iter().map(|d| d.pnl_cny).collect();
        let shaped = stats::sharpe(&pnl, 1.0).zip(stats::skew_kurtosis(&pnl));
        let se = shaped.and_then(|(s, (skew, kurtosis))| stats::sharpe_se(s, pnl.len(), skew, kurtosis));
        Traded {
            days: days.len(),
            pnl_cny: pnl.iter().sum(),
            mean_cny: (!pnl.is_empty()).then(|| stats::mean(&pnl)),
            sharpe: stats::sharpe(&pnl, annual_days),
            sharpe_se: se.map(|se| se * annual_days.sqrt()),
            fees_cny: days.iter().map(|d| d.fees_cny).sum(),
            lots: days.iter().map(|d| d.lots).sum(),
        }
    };
    result.models.iter().map(|(name, record, _)| (name.as_str(), one(record))).collect()
}

/// Puts folds and the joined out-of-sample result together; `folds` with what each traded in sample.
pub fn walk_forward_traded(
    folds: Vec<(FoldSpan, TradedByModel)>,
    result: &RunResult,
    days: &[DayData],
    annual_days: f64,
) -> WalkForwardTraded {
    let parts: Vec<_> = folds.iter().map(|(span, _)| span.test_first_day..=span.test_last_day).collect();
    let fold_of = |day: TradingDay| parts.iter().rposition(|part| part.contains(&day));
    let folds: Vec<FoldTraded> = folds
        .into_iter()
        .enumerate()
        .map(|(place, (span, in_sample))| {
            let out_of_sample = traded_on(result, annual_days, |day| fold_of(day) == Some(place));
            FoldTraded { span, in_sample, out_of_sample }
        })
        .collect();
    let low = |by_model: &TradedByModel| by_model.get("pessimistic").and_then(|t| t.mean_cny);
    let means: Vec<(f64, f64)> =
        folds.iter().filter_map(|f| Some((low(&f.in_sample)?, low(&f.out_of_sample)?))).collect();
    let (inside, outside): (Vec<f64>, Vec<f64>) = means.into_iter().unzip();
    let in_mean = if inside.is_empty() { 0.0 } else { stats::mean(&inside) };
    WalkForwardTraded {
        out_over_in_sample: (in_mean > 0.0).then(|| stats::mean(&outside) / in_mean),
        folds_won: outside.iter().filter(|m| **m > 0.0).count(),
        regimes: regimes(result, days, annual_days),
        out_of_sample: traded_on(result, annual_days, |_| true),
        between_folds: traded_on(result, annual_days, |day| fold_of(day).is_none()),
        folds,
    }
}

const REGIMES: [&str; 3] = ["quiet", "middle", "volatile"];

fn regimes(result: &RunResult, days: &[DayData], annual_days: f64) -> Vec<RegimeTraded> {
    let mut by_volatility: Vec<(f64, TradingDay)> =
        days.iter().map(|d| (realised_volatility_ticks(d), d.trading_day)).collect();
    by_volatility.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let third = by_volatility.len().div_ceil(REGIMES.len()).max(1);
    by_volatility
        .chunks(third)
        .zip(REGIMES)
        .map(|(days, regime)| RegimeTraded {
            regime,
            most_ticks: days.last().map_or(0.0, |d| d.0),
            out_of_sample: traded_on(result, annual_days, |day| days.iter().any(|d| d.1 == day)),
        })
        .collect()
}

/// Root of the summed squared moves of the mid price from row to row, price ticks; rows without both sides are passed over.
fn realised_volatility_ticks(day: &DayData) -> f64 {
    let view = day.ticks.view();
    let (bid, ask) = (view.float(Column::bid_price(0)), view.float(Column::ask_price(0)));
    let mid = bid.iter().zip(ask).map(|(b, a)| 0.5 * (b + a)).filter(|m| m.is_finite());
    let (mut before, mut sum) = (None, 0.0);
    for m in mid {
        if let Some(before) = before {
            let moved: f64 = (m - before) / day.instrument.price_tick;
            sum += moved * moved;
        }
        before = Some(m);
    }
    sum.sqrt()
}
