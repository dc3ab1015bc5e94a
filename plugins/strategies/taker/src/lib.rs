//! Takes the side towards which the best level leans.
//!
//! imbalance = (bid size − ask size)/(bid size + ask size) at level 1. Above the threshold without a long position it
//! buys 1 − position at the ask, below −threshold without a short one it sells 1 + position at the bid; what does not
//! fill at once is cancelled. One order at a time.

use ghtrader_sdk::kernels::book;
use ghtrader_sdk::{Ctx, Instrument, Params, PluginError, Row, Strategy, StrategyDescription};

/// Holds one lot, long or short, from its first signal on.
#[derive(Debug)]
pub struct Taker {
    threshold: f64,
}

impl Strategy for Taker {
    fn init(params: &Params, _: &Instrument) -> Result<(Self, StrategyDescription), PluginError> {
        let taker = Self { threshold: params.number_in("threshold", 0.0..=1.0)? };
        Ok((taker, StrategyDescription::new(["bid_price1", "bid_volume1", "ask_price1", "ask_volume1"])))
    }

    #[inline]
    fn on_tick(&mut self, tick: Row<'_>, ctx: &mut Ctx) {
        let [bid, bid_lots, ask, ask_lots] = tick.numbers();
        let imbalance = book::imbalance(bid_lots, ask_lots);
        let position = ctx.position_lots();
        // How far the book leans to where the position is not yet: the one question that most rows answer with no.
        let lean = match position.signum() {
            1 => -imbalance,
            -1 => imbalance,
            _ => imbalance.abs(),
        };
        if lean <= self.threshold || lean.is_nan() || bid.is_nan() || ask.is_nan() || !ctx.orders().is_empty() {
            return;
        }
        let lots = 1 + position.unsigned_abs() as u32;
        if imbalance > 0.0 {
            ctx.buy(lots).at(ask).immediate().send();
        } else {
            ctx.sell(lots).at(bid).immediate().send();
        }
    }
}

ghtrader_sdk::export_strategy!(Taker);
