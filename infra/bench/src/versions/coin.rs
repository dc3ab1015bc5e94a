//! A strategy whose skill is known: it turns a coin at fixed times, or follows the book when it is told to.

use ghtrader_sdk::kernels::book;
use ghtrader_sdk::{Ctx, Instrument, Params, PluginError, Row, Strategy, StrategyDescription};

/// Holds one lot, long or short, and may change its mind every `hold_rows` rows.
///
/// Coins of different seeds trade equally often on the same rows, so that nothing but luck lies between them. An informed one
/// decides at the same times by the mean imbalance of the best level since the last decision, which foretells the price where a
/// signal was planted. It also changes its mind less often and pays less, so it is no coin where none was: there it stays out.
#[derive(Debug)]
pub(super) struct Coin {
    seed: u64,
    hold_rows: u64,
    informed: bool,
    row: u64,
    imbalance_sum: f64,
}

/// One bit of a mixed number (splitmix64).
fn heads(seed: u64, turn: u64) -> bool {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(turn.wrapping_mul(0xD1B5_4A32_D192_ED03));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) & 1 == 1
}

impl Strategy for Coin {
    fn init(params: &Params, _: &Instrument) -> Result<(Self, StrategyDescription), PluginError> {
        let coin = Self {
            seed: params.integer_in("seed", 0..=i64::from(u32::MAX))?,
            hold_rows: params.integer_in("hold_rows", 1..=100_000)?,
            informed: params.flag("informed")?,
            row: 0,
            imbalance_sum: 0.0,
        };
        Ok((coin, StrategyDescription::new(["bid_price1", "bid_volume1", "ask_price1", "ask_volume1"])))
    }

    fn on_tick(&mut self, tick: Row<'_>, ctx: &mut Ctx) {
        let [bid, bid_lots, ask, ask_lots] = tick.numbers();
        let imbalance = book::imbalance(bid_lots, ask_lots);
        self.imbalance_sum += if imbalance.is_nan() { 0.0 } else { imbalance };
        self.row += 1;
        if !self.row.is_multiple_of(self.hold_rows) || bid.is_nan() || ask.is_nan() || !ctx.orders().is_empty() {
            return;
        }
        let up = if self.informed { self.imbalance_sum > 0.0 } else { heads(self.seed, self.row) };
        self.imbalance_sum = 0.0;
        let missing = if up { 1 } else { -1 } - ctx.position_lots();
        let lots = missing.unsigned_abs() as u32;
        if missing > 0 {
            ctx.buy(lots).at(ask).immediate().send();
        } else if missing < 0 {
            ctx.sell(lots).at(bid).immediate().send();
        }
    }
}
