//! Rolls taken out of the prices of `main_l5`, while it is read: what is stored are prices as traded.
//!
//! At a roll the two contracts have two prices for one moment. The closes of both on the last day of the old one tell the
//! gap. Prices before it are moved by the gap (difference) or scaled by the quotient (ratio), so that the old contract's
//! close becomes the new one's: the series has no jump there, and its last segment stays as traded.

use crate::PipelineError;
use crate::main_schedule::close_on;
use ghtrader_core::{Column, ContractId, TickTable, TickView, TradingDay};
use ghtrader_store::{Schedule, Store};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How prices before a roll are made to fit those after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adjustment {
    /// Not at all: prices as traded.
    #[default]
    None,
    /// All moved by one sum: differences in CNY stay, and profits with them.
    Difference,
    /// All scaled by one factor: returns in per cent stay.
    Ratio,
}

/// What is done to the prices of a segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentAdjustment {
    /// The segment.
    pub segment_id: u32,
    /// Its contract.
    pub contract: ContractId,
    /// Its first day.
    pub first_day: TradingDay,
    /// Its last day.
    pub last_day: TradingDay,
    /// Closes of this contract and of the next one on the last day, CNY; none for the last segment.
    pub close_cny: Option<(f64, f64)>,
    /// Added to each price after scaling, CNY.
    pub add_cny: f64,
    /// Each price is multiplied by this.
    pub factor: f64,
}

impl SegmentAdjustment {
    /// The price as the adjusted series has it. Sums are rounded to a millionth, so that a price on the tick grid stays
    /// the decimal number that it is.
    #[must_use]
    pub fn price(&self, price: f64) -> f64 {
        const PLACES: f64 = 1e6;
        let scaled = price * self.factor;
        if self.add_cny == 0.0 { scaled } else { ((scaled + self.add_cny) * PLACES).round() / PLACES }
    }

    /// The rows with all their prices adjusted; times, sizes and amounts stay.
    pub fn apply(&self, rows: &TickView<'_>) -> TickTable {
        let mut table = TickTable::with_capacity(rows.rows());
        table.extend_from(rows, 0..rows.rows());
        if self.add_cny != 0.0 || self.factor != 1.0 {
            for column in Column::floats().filter(|c| c.is_price()) {
                table.floats[column.index() - 1].iter_mut().for_each(|v| *v = self.price(*v));
            }
        }
        table
    }
}

/// What an adjustment does to each segment of a schedule, in order. The last segment stays as traded.
///
/// # Errors
/// `roll_gap_unknown` where one of the two contracts has no close on the last day before a roll; those of the store.
pub fn segment_adjustments(
    store: &dyn Store,
    schedule: &Schedule,
    adjustment: Adjustment,
) -> Result<Vec<SegmentAdjustment>, PipelineError> {
    let mut segments: Vec<SegmentAdjustment> = schedule
        .rows()
        .chunk_by(|a, b| a.segment_id == b.segment_id)
        .filter_map(|rows| {
            let (first, last) = (rows.first()?, rows.last()?);
            Some(SegmentAdjustment {
                segment_id: first.segment_id,
                contract: first.main_contract.clone(),
                first_day: first.date,
                last_day: last.date,
                close_cny: None,
                add_cny: 0.0,
                factor: 1.0,
            })
        })
        .collect();
    let mut known: BTreeMap<(ContractId, TradingDay), Option<f64>> = BTreeMap::new();
    for at in (1..segments.len()).rev() {
        let [old, new] = &mut segments[at - 1..=at] else { continue };
        let day = old.last_day;
        let mut close = |contract: &ContractId| -> Result<f64, PipelineError> {
            let entry = (contract.clone(), day);
            let found = match known.get(&entry) {
                Some(found) => *found,
                None => *known.entry(entry).or_insert(close_on(store, contract, day)?),
            };
            found.filter(|close| *close > 0.0).ok_or_else(|| PipelineError::RollGapUnknown {
                from: old.contract.clone(),
                to: new.contract.clone(),
                contract: contract.clone(),
                day,
            })
        };
        if adjustment == Adjustment::None {
            continue;
        }
        let closes = (close(&old.contract)?, close(&new.contract)?);
        old.close_cny = Some(closes);
        if adjustment == Adjustment::Difference {
            old.add_cny = ((new.add_cny + (closes.1 - closes.0)) * 1e6).round() / 1e6;
        } else {
            old.factor = new.factor * (closes.1 / closes.0);
        }
    }
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(add_cny: f64, factor: f64) -> SegmentAdjustment {
        let day = TradingDay::from_days(20_000);
        SegmentAdjustment {
            segment_id: 0,
            contract: "cu2509".parse().unwrap(),
            first_day: day,
            last_day: day,
            close_cny: None,
            add_cny,
            factor,
        }
    }

    /// D-26: prices alone are moved, a missing one stays missing, and decimals stay decimals.
    #[test]
    fn prices_move_and_nothing_else() {
        let mut rows = TickTable::with_capacity(1);
        let one = |v: f64| vec![v];
        (rows.ts_ns, rows.seq, rows.phase) = (vec![7], vec![3], vec![2]);
        rows.floats = std::array::from_fn(|i| one(780.02 + i as f64));
        rows.floats[Column::ask_price(4).index() - 1] = one(f64::NAN);
        let moved = segment(0.06, 1.0).apply(&rows.view());
        assert_eq!(moved.floats[Column::LastPrice.index() - 1], [780.08]);
        assert!(moved.floats[Column::ask_price(4).index() - 1][0].is_nan());
        for kept in [Column::Volume, Column::Amount, Column::OpenInterest, Column::bid_volume(0)] {
            assert_eq!(moved.floats[kept.index() - 1], rows.floats[kept.index() - 1], "{}", kept.name());
        }
        assert_eq!((&moved.ts_ns, &moved.seq, &moved.phase), (&rows.ts_ns, &rows.seq, &rows.phase));
        assert_eq!(segment(0.0, 2.0).apply(&rows.view()).floats[0], [1560.04]);
        assert_eq!(segment(0.0, 1.0).apply(&rows.view()).floats[0], rows.floats[0]);
    }
}
