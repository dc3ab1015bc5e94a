//! Quotes one lot at each best price.
//!
//! A bid stands while position < `max_lots`, an ask while position > −`max_lots`, each at the best price. A quote whose
//! price is no longer the best, or whose side has reached its limit, is cancelled; what is missing is placed in the same
//! breath, so a quote under cancel may still fill beside the new one. A one-sided, locked or crossed book is not quoted.

use ghtrader_sdk::{Ctx, Instrument, OrderState, Params, PluginError, Row, Side, Strategy, StrategyDescription};

/// Keeps no state of its own: position and working orders are the context's.
#[derive(Debug)]
pub struct Maker {
    max_lots: i64,
}

impl Strategy for Maker {
    fn init(params: &Params, _: &Instrument) -> Result<(Self, StrategyDescription), PluginError> {
        let maker = Self { max_lots: params.integer_in("max_lots", 1..=1000)? };
        Ok((maker, StrategyDescription::new(["bid_price1", "ask_price1"])))
    }

    fn on_tick(&mut self, tick: Row<'_>, ctx: &mut Ctx) {
        let [bid, ask] = tick.numbers();
        let position = ctx.position_lots();
        let open = bid < ask;
        let wanted = [
            (Side::Buy, (open && position < self.max_lots).then_some(bid)),
            (Side::Sell, (open && position > -self.max_lots).then_some(ask)),
        ];
        let standing = wanted.map(|(side, price)| {
            let quote = ctx.orders().iter().find(|o| o.side == side && o.state != OrderState::Cancelling).copied();
            let stale = quote.filter(|quote| quote.limit_cny != price);
            if let Some(quote) = stale {
                ctx.cancel(quote.client_id);
            }
            quote.is_some() && stale.is_none()
        });
        for ((side, price), standing) in wanted.into_iter().zip(standing) {
            if let Some(price) = price.filter(|_| !standing) {
                ctx.order(side, 1).at(price).post_only().send();
            }
        }
    }
}

ghtrader_sdk::export_strategy!(Maker);
