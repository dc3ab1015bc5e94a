//! Follows the book when it leans to one side for a while; holds one lot.
//!
//! imbalance = (bid lots − ask lots)/(bid lots + ask lots) at the best level, averaged over the last 20 rows. Above the
//! threshold it wants to be long one lot, below −threshold short one lot, else it keeps what it has.

use ghtrader_sdk::kernels::book;
use ghtrader_sdk::kernels::rolling::{Window, mean};
use ghtrader_sdk::{
    Boundary, Ctx, Event, Instrument, Params, PluginError, Row, Strategy, StrategyDescription,
};

/// What the strategy remembers from row to row: nothing that could not be rebuilt from ticks. Positions, orders and
/// money are the host's; they come with `ctx`.
#[derive(Debug)]
pub struct MyIdea {
    threshold: f64,
    imbalances: Window<20>,
}

impl Strategy for MyIdea {
    /// Called once, before the first row. Parameters carry plugin.toml's defaults and lie inside its bounds.
    fn init(params: &Params, _: &Instrument) -> Result<(Self, StrategyDescription), PluginError> {
        let threshold = params.number_in("threshold", 0.0..=1.0)?;
        let inputs = ["bid_price1", "bid_volume1", "ask_price1", "ask_volume1"];
        let description = StrategyDescription::new(inputs).warmup_rows(20);
        Ok((Self { threshold, imbalances: Window::new() }, description))
    }

    /// Called for every row. The inputs stand in the order of the description; what is missing is NaN.
    fn on_tick(&mut self, tick: Row<'_>, ctx: &mut Ctx) {
        let [bid, bid_lots, ask, ask_lots] = tick.numbers();
        self.imbalances.push(book::imbalance(bid_lots, ask_lots));
        // NaN until 20 rows were seen, and comparisons with NaN are false: nothing happens before.
        let lean = mean(self.imbalances.values());
        // One order at a time: an order under way may still fill.
        if bid.is_nan() || ask.is_nan() || !ctx.orders().is_empty() {
            return;
        }
        let position = ctx.position_lots();
        if lean > self.threshold && position <= 0 {
            let lots = 1 + position.unsigned_abs() as u32;
            ctx.buy(lots).at(ask).immediate().send();
        } else if lean < -self.threshold && position >= 0 {
            let lots = 1 + position.unsigned_abs() as u32;
            ctx.sell(lots).at(bid).immediate().send();
        }
    }

    /// Called for what happened before the next row: fills, refusals, borders.
    fn on_event(&mut self, event: Event, _: &mut Ctx) {
        // Rows of another contract say nothing about this one.
        if event == Event::Boundary(Boundary::Roll) {
            self.imbalances.reset();
        }
    }
}

ghtrader_sdk::export_strategy!(MyIdea);
