//! How well a day's volume could be put to prices: the share of each answer, and what the two-price split leaves over.

use crate::prepared::{EMPTY, PrepareSpec, PreparedDay};
use crate::split::{IntervalCounts, split_by_turnover};
use ghtrader_core::{Column, TickView};

/// What was known of an interval's volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SplitClass {
    /// Two prices, and the best quotes did not move: exact.
    Exact,
    /// The turnover fits the two best quotes before, but the best quotes moved: exact if no third price traded.
    Moved,
    /// More than two prices: an interval of lots at each.
    Bounded,
    /// The turnover fits no whole-lot split.
    Unsplit,
}

impl SplitClass {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Exact, Self::Moved, Self::Bounded, Self::Unsplit];

    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Moved => "moved",
            Self::Bounded => "bounded",
            Self::Unsplit => "unsplit",
        }
    }
}

/// The split of a day's matched intervals with volume.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SplitReport {
    /// Intervals by class, in the order of [`SplitClass::ALL`].
    pub intervals: [u64; 4],
    /// Their lots.
    pub lots: [u64; 4],
    /// Intervals whose residual is no more than the rounding of an amount.
    pub within_rounding: u64,
    /// |T/m − p1·V1 − p2·V2|, V1 and V2 the best whole-lot split between the best quotes before the interval.
    pub residual_cny: Residuals,
}

/// Quantiles of what is left over, in CNY × lots per quoted unit; NaN without an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Residuals {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

impl Default for Residuals {
    fn default() -> Self {
        Self { p50: f64::NAN, p90: f64::NAN, p99: f64::NAN, max: f64::NAN }
    }
}

impl Residuals {
    fn of(mut residuals: Vec<f64>) -> Self {
        residuals.sort_unstable_by(f64::total_cmp);
        let last = residuals.len().saturating_sub(1);
        let quantile = |q: f64| residuals.get((q * last as f64).ceil() as usize).copied().unwrap_or(f64::NAN);
        Self { p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), max: quantile(1.0) }
    }
}

impl SplitReport {
    /// Splits the volume of prepared rows once more and keeps what is left over.
    ///
    /// `view` and `spec` are those that `day` was prepared from.
    pub(crate) fn of_day(view: &TickView<'_>, spec: &PrepareSpec, day: &PreparedDay) -> Self {
        let mut report = Self::default();
        let mut residuals_cny = Vec::new();
        let mut counts = IntervalCounts::new(spec.price_tick, spec.multiplier, spec.double_sided);
        let (volume, amount) = (view.float(Column::Volume), view.float(Column::Amount));
        for row in 0..day.rows() {
            let (lots, turnover) = counts.next(volume[row], amount[row]);
            if lots == 0 || !day.is_matchable(row) {
                continue;
            }
            let moved = day.best_bid_ticks(row) != day.best_bid_ticks(row - 1)
                || day.best_ask_ticks(row) != day.best_ask_ticks(row - 1);
            let class = match day.split_lots(row) {
                Some(_) if moved => SplitClass::Moved,
                Some(_) => SplitClass::Exact,
                None if day.is_unsplit(row) => SplitClass::Unsplit,
                None => SplitClass::Bounded,
            };
            report.intervals[class as usize] += 1;
            report.lots[class as usize] += u64::from(lots.unsigned_abs());
            let (low, high) = day.two_prices(row);
            // Nothing was quoted before and nothing had traded: there are no two prices to fit.
            if low == EMPTY {
                continue;
            }
            let split = split_by_turnover(lots, turnover, low, high, counts.rounding());
            let fitted = f64::from(low) * f64::from(split.low_lots) + f64::from(high) * f64::from(split.high_lots);
            let left_over = (turnover - fitted).abs();
            report.within_rounding += u64::from(left_over <= counts.rounding());
            residuals_cny.push(left_over * spec.price_tick);
        }
        report.residual_cny = Residuals::of(residuals_cny);
        report
    }
}
