//! Trades a model's direction score.
//!
//! edge = score/up@N − score/down@N. Above the threshold it wants `max_lots` long, below −threshold as many short; in
//! between it keeps a position while the edge is on its side and wants none once the edge has turned. What is missing
//! is taken at the opposite best price, immediate, one order at a time, while the spread is narrow enough. A row
//! without a score changes nothing.

use ghtrader_sdk::{Ctx, Instrument, Params, PluginError, Row, Side, Strategy, StrategyDescription};

/// Keeps no state of its own: position and working orders are the context's.
#[derive(Debug)]
pub struct ScoreThreshold {
    threshold: f64,
    max_lots: i64,
    max_spread_cny: f64,
}

impl Strategy for ScoreThreshold {
    fn init(params: &Params, instrument: &Instrument) -> Result<(Self, StrategyDescription), PluginError> {
        let horizon: u32 = params.integer_in("horizon_rows", 1..=100_000)?;
        let scores = [format!("score/up@{horizon}"), format!("score/down@{horizon}")];
        let inputs = ["bid_price1", "ask_price1"].map(str::to_owned).into_iter().chain(scores);
        let max_spread_ticks: i32 = params.integer_in("max_spread_ticks", 1..=1000)?;
        let strategy = Self {
            threshold: params.number_in("threshold", 0.0..=1.0)?,
            max_lots: params.integer_in("max_lots", 1..=1000)?,
            // Half a tick more, for prices that binary floats do not hold exactly.
            max_spread_cny: (f64::from(max_spread_ticks) + 0.5) * instrument.price_tick,
        };
        Ok((strategy, StrategyDescription::new(inputs)))
    }

    fn on_tick(&mut self, tick: Row<'_>, ctx: &mut Ctx) {
        let [bid, ask, up, down] = tick.numbers();
        let edge = up - down;
        let position = ctx.position_lots();
        let wanted = match edge {
            edge if edge > self.threshold => self.max_lots,
            edge if edge < -self.threshold => -self.max_lots,
            edge if edge * (position as f64) < 0.0 => 0,
            _ => position,
        };
        let missing = wanted - position;
        let tradable = ask - bid <= self.max_spread_cny && ctx.orders().is_empty();
        if missing == 0 || !tradable {
            return;
        }
        let (side, price) = if missing > 0 { (Side::Buy, ask) } else { (Side::Sell, bid) };
        ctx.order(side, missing.unsigned_abs() as u32).at(price).immediate().send();
    }
}

ghtrader_sdk::export_strategy!(ScoreThreshold);
