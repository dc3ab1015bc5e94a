//! Where an interval's volume traded, from two equations: Σ lots = V and Σ price × lots = turnover.

use crate::ExchangeError;

/// An amount may be off by so much, CNY, from rounding at the source.
pub const TURNOVER_ROUNDING_CNY: f64 = 0.5;

/// Lots and turnover of each interval, from counts that add up over a day.
#[derive(Debug, Clone)]
pub(crate) struct IntervalCounts {
    sides: f64,
    lot_tick_cny: f64,
    volume: f64,
    amount_cny: f64,
}

impl IntervalCounts {
    /// Before a day's first row.
    pub(crate) fn new(price_tick: f64, multiplier: f64, double_sided: bool) -> Self {
        let sides = if double_sided { 2.0 } else { 1.0 };
        Self { sides, lot_tick_cny: multiplier * price_tick * sides, volume: 0.0, amount_cny: 0.0 }
    }

    /// Lots, counted on one side, and turnover in lots × price ticks since the row before; 0 and NaN where there is none.
    pub(crate) fn next(&mut self, volume: f64, amount_cny: f64) -> (i32, f64) {
        let lots = ((volume - self.volume) / self.sides).clamp(0.0, f64::from(i32::MAX)) as i32;
        let turnover = (amount_cny - self.amount_cny) / self.lot_tick_cny;
        if !volume.is_nan() {
            (self.volume, self.amount_cny) = (volume, amount_cny);
        }
        (lots, turnover)
    }

    /// [`TURNOVER_ROUNDING_CNY`] in lots × price ticks.
    pub(crate) fn rounding(&self) -> f64 {
        TURNOVER_ROUNDING_CNY / (self.lot_tick_cny / self.sides)
    }
}

/// Volume of an interval split between two prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeSplit {
    /// Lots at the lower price.
    pub low_lots: i32,
    /// Lots at the higher price.
    pub high_lots: i32,
    /// The turnover fits these lots; else more than two prices traded.
    pub two_prices: bool,
}

/// Splits `volume_lots` between two prices so that the turnover fits best.
///
/// `turnover` and `rounding` are in lots × price ticks: CNY / (multiplier × price tick). The lots are clamped to
/// [0, volume]. Two prints a tick beside one price look like two at it; that cannot be seen.
pub fn split_by_turnover(
    volume_lots: i32,
    turnover: f64,
    low_ticks: i32,
    high_ticks: i32,
    rounding: f64,
) -> VolumeSplit {
    let volume = f64::from(volume_lots);
    let width = f64::from(high_ticks) - f64::from(low_ticks);
    let above_low = turnover - f64::from(low_ticks) * volume;
    let high = (above_low / width).round().clamp(0.0, volume);
    VolumeSplit {
        low_lots: volume_lots - high as i32,
        high_lots: high as i32,
        two_prices: (above_low - high * width).abs() <= rounding,
    }
}

/// The lots that may have traded at a price, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LotRange {
    /// At least.
    pub min_lots: i64,
    /// At most.
    pub max_lots: i64,
}

/// All whole-lot solutions of an interval's two equations on neighbouring prices.
///
/// Of every price that must have traded one lot is set apart; what is left is free, so each bound below is a short formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrintSolutions {
    low_ticks: i32,
    /// Number of prices − 1.
    top: i64,
    /// Free lots.
    lots: i64,
    /// Σ (price − low) over the free lots.
    sum: i64,
    /// Prices that must have traded, ascending, without repetition.
    must: [i32; Self::MUST],
    musts: u8,
}

impl PrintSolutions {
    /// Daily high, daily low and last price are all that prove a print.
    const MUST: usize = 3;

    /// Solutions on the prices `low_ticks..=high_ticks`; `None` when there is none.
    ///
    /// `turnover` is in lots × price ticks and must be whole. Of `must_trade_ticks` the first three distinct prices count;
    /// one outside the range leaves no solution.
    pub fn new(
        low_ticks: i32,
        high_ticks: i32,
        volume_lots: i64,
        turnover: i64,
        must_trade_ticks: &[i32],
    ) -> Option<Self> {
        let (mut must, mut musts) = ([0; Self::MUST], 0);
        for &price in must_trade_ticks {
            if !(low_ticks..=high_ticks).contains(&price) {
                return None;
            }
            if musts < Self::MUST && !must[..musts].contains(&price) {
                must[musts] = price;
                musts += 1;
            }
        }
        must[..musts].sort_unstable();
        let low = i64::from(low_ticks);
        let offsets: i64 = must[..musts].iter().map(|&p| i64::from(p) - low).sum();
        let solutions = Self {
            low_ticks,
            top: i64::from(high_ticks) - low,
            lots: volume_lots - musts as i64,
            sum: turnover - low * volume_lots - offsets,
            must,
            musts: musts as u8,
        };
        let feasible = solutions.lots >= 0 && (0..=solutions.top * solutions.lots).contains(&solutions.sum);
        feasible.then_some(solutions)
    }

    fn must(&self) -> &[i32] {
        &self.must[..usize::from(self.musts)]
    }

    /// Least and most lots at one price over all solutions; a price outside the range got none.
    pub fn at(&self, price_ticks: i32) -> LotRange {
        let d = i64::from(price_ticks) - i64::from(self.low_ticks);
        if d < 0 || d > self.top {
            return LotRange::default();
        }
        let set_apart = i64::from(self.must().contains(&price_ticks));
        // Other prices can take x lots at the price away only while the rest still adds up.
        let mut max = self.lots;
        if d > 0 {
            max = max.min(self.sum / d);
        }
        if d < self.top {
            max = max.min((self.top * self.lots - self.sum) / (self.top - d));
        }
        let min = if self.top == 0 {
            self.lots
        } else if d == 0 {
            self.lots - self.lots.min(self.sum)
        } else if d == self.top {
            self.lots - self.lots.min(self.top * self.lots - self.sum)
        } else {
            i64::from(!self.reachable_without(d))
        };
        LotRange { min_lots: min + set_apart, max_lots: max + set_apart }
    }

    /// Whether the free lots can do without the inner price at offset `d`.
    ///
    /// With two or more lots the neighbours make up for it (d−1 and d+1 sum to 2d), save at the very edges: a sum of one
    /// needs offset 1, and with three prices only even sums are left.
    fn reachable_without(&self, d: i64) -> bool {
        let from_top = self.top * self.lots - self.sum;
        if self.lots == 0 {
            return true;
        }
        if self.top == 2 {
            return self.sum % 2 == 0;
        }
        !(self.lots == 1 && self.sum == d || d == 1 && self.sum == 1 || d == self.top - 1 && from_top == 1)
    }

    /// Least and most lots at a price or below it, over all solutions.
    pub fn at_or_below(&self, price_ticks: i32) -> LotRange {
        let d = i64::from(price_ticks) - i64::from(self.low_ticks);
        if d < 0 {
            return LotRange::default();
        }
        let all = self.lots + i64::from(self.musts);
        if d >= self.top {
            return LotRange { min_lots: all, max_lots: all };
        }
        let set_apart = self.must().iter().filter(|&&p| p <= price_ticks).count() as i64;
        let most_above = self.lots.min(self.sum / (d + 1));
        let over = (self.sum - d * self.lots).max(0);
        let least_above = (over + self.top - d - 1) / (self.top - d);
        LotRange { min_lots: self.lots - most_above + set_apart, max_lots: self.lots - least_above + set_apart }
    }

    /// Least and most lots at a price or above it, over all solutions.
    pub fn at_or_above(&self, price_ticks: i32) -> LotRange {
        let all = self.lots + i64::from(self.musts);
        let below = match price_ticks.checked_sub(1) {
            Some(price) => self.at_or_below(price),
            None => LotRange::default(),
        };
        LotRange { min_lots: all - below.max_lots, max_lots: all - below.min_lots }
    }
}

/// Lots that may have traded at one of the neighbouring prices `low_ticks..=high_ticks`; `None` when nothing fits.
///
/// `turnover` is in lots × price ticks.
pub fn volume_interval_at_price(
    low_ticks: i32,
    high_ticks: i32,
    volume_lots: i64,
    turnover: i64,
    at_ticks: i32,
    must_trade_ticks: &[i32],
) -> Option<LotRange> {
    PrintSolutions::new(low_ticks, high_ticks, volume_lots, turnover, must_trade_ticks).map(|s| s.at(at_ticks))
}

/// What happened to the displayed lots of a level besides trading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VisibleLevel {
    /// D = before − after.
    pub decrease_lots: f64,
    /// D − t.
    pub cancels_minus_adds_lots: f64,
    /// max(0, D − t): adds hide cancels.
    pub min_cancels_lots: f64,
}

/// Compares a level on two snapshots between which `traded_lots` traded at it.
pub fn visible_level(displayed_before_lots: f64, displayed_after_lots: f64, traded_lots: f64) -> VisibleLevel {
    let decrease_lots = displayed_before_lots - displayed_after_lots;
    let net = decrease_lots - traded_lots;
    VisibleLevel { decrease_lots, cancels_minus_adds_lots: net, min_cancels_lots: net.max(0.0) }
}

/// Cumulative counts of a tick row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    /// Lots since the day's start.
    pub volume_lots: f64,
    /// CNY since the day's start.
    pub amount_cny: f64,
    /// Open lots.
    pub open_interest_lots: f64,
}

/// Counts on one side: halves what an exchange counted on both.
///
/// # Errors
/// `OddDoubleSided` when a both-sided volume or open interest is odd.
pub fn normalise_counts(counts: Counts, double_sided: bool) -> Result<Counts, ExchangeError> {
    if !double_sided {
        return Ok(counts);
    }
    for (what, value) in [("volume", counts.volume_lots), ("open_interest", counts.open_interest_lots)] {
        if value % 2.0 != 0.0 && !value.is_nan() {
            return Err(ExchangeError::OddDoubleSided { what: what.to_owned(), value });
        }
    }
    Ok(Counts {
        volume_lots: counts.volume_lots / 2.0,
        amount_cny: counts.amount_cny / 2.0,
        open_interest_lots: counts.open_interest_lots / 2.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every way to put `lots` lots on `prices` prices.
    fn enumerate(prices: usize, lots: i64, visit: &mut impl FnMut(&[i64]), so_far: &mut Vec<i64>) {
        if so_far.len() + 1 == prices {
            so_far.push(lots);
            visit(so_far);
            so_far.pop();
            return;
        }
        for here in 0..=lots {
            so_far.push(here);
            enumerate(prices, lots - here, visit, so_far);
            so_far.pop();
        }
    }

    proptest! {
        /// B-05: the formulas give what enumeration of all solutions gives.
        #[test]
        fn bounds_equal_enumeration(
            prices in 1usize..6, lots in 0i64..7, sum in 0i64..36, must in proptest::collection::vec(0i32..6, 0..3),
        ) {
            let low = 100;
            let mut solutions: Vec<Vec<i64>> = Vec::new();
            enumerate(prices, lots, &mut |s| {
                let fits = s.iter().zip(0i64..).map(|(v, d)| v * d).sum::<i64>() == sum;
                let musts = must.iter().all(|&m| s.get(m as usize).is_some_and(|&v| v > 0));
                if fits && musts {
                    solutions.push(s.to_vec());
                }
            }, &mut Vec::new());
            let must: Vec<i32> = must.iter().map(|m| low + m).collect();
            let high = low + prices as i32 - 1;
            let found = PrintSolutions::new(low, high, lots, sum + i64::from(low) * lots, &must);
            prop_assert_eq!(found.is_some(), !solutions.is_empty());
            let Some(found) = found else { return Ok(()) };
            let range = |pick: &dyn Fn(usize) -> bool| {
                let counts = solutions.iter().map(|s| (0..prices).filter(|&i| pick(i)).map(|i| s[i]).sum::<i64>());
                LotRange { min_lots: counts.clone().min().unwrap(), max_lots: counts.max().unwrap() }
            };
            for d in 0..prices {
                let price = low + d as i32;
                prop_assert_eq!(found.at(price), range(&|i| i == d), "at {}", d);
                prop_assert_eq!(found.at_or_below(price), range(&|i| i <= d), "at or below {}", d);
                prop_assert_eq!(found.at_or_above(price), range(&|i| i >= d), "at or above {}", d);
            }
        }
    }
}
