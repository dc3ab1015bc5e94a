//! A short stretch of rows: prices that wander, a hole in them, a border of each kind but the roll.

use crate::guests::instrument;
use ghtrader_core::{Column, Phase, TickTable};
use ghtrader_plugin::{Boundary, Fixture};

/// Rows of [`walk`].
pub(crate) const ROWS: usize = 1200;

pub(crate) fn walk() -> Fixture {
    let mut ticks = TickTable::default();
    let (mut state, mut ticks_up) = (1u64, 0i32);
    for row in 0..ROWS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ticks_up += ((state >> 33) % 3) as i32 - 1;
        ticks.ts_ns.push(1_760_000_000_000_000_000 + row as i64 * 500_000_000);
        ticks.seq.push(row as u32);
        ticks.phase.push(Phase::Continuous as u8);
        let last = 70_000.0 + 10.0 * f64::from(ticks_up);
        for column in Column::floats() {
            let value = match column.name() {
                "last_price" if row % 100 == 40 => f64::NAN,
                name if name.starts_with("bid_price") => last,
                name if name.starts_with("ask_price") => last + 10.0,
                name if name.contains("_volume") => 1.0 + (state >> 40 & 31) as f64,
                "volume" => 3.0 * row as f64,
                _ => last,
            };
            ticks.floats[column.index() - 1].push(value);
        }
    }
    let borders = vec![(0, Boundary::TradingDay), (ROWS / 3, Boundary::Session), (ROWS / 2, Boundary::Gap)];
    Fixture { instrument: instrument(), ticks, borders }
}
