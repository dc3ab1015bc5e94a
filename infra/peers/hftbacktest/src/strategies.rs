//! The two reference strategies against the peer's `Bot`.

use ghtrader_market::bench_stream::{INTERVAL_NS, MULTIPLIER};
use hftbacktest::backtest::{Backtest, BacktestError};
use hftbacktest::depth::MarketDepth;
use hftbacktest::types::{Bot, OrdType, Side, Status, TimeInForce};

/// What a run came to; whole CNY, for prices are whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Orders sent.
    pub orders: u64,
    /// Fills.
    pub fills: u64,
    /// Lots held at the end.
    pub position: i64,
    /// Equity marked at the last traded price, CNY.
    pub pnl_cny: i64,
}

/// Which strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Taker on an imbalance of 0.8.
    A,
    /// Maker on both sides, at most five lots.
    B,
}

/// Runs a strategy over `snapshots` snapshots; the clock of `bot` has not started.
///
/// # Errors
/// What the peer refuses.
pub fn run<MD: MarketDepth>(
    bot: &mut Backtest<MD>,
    strategy: Strategy,
    snapshots: usize,
    last_cny: f64,
) -> Result<Outcome, BacktestError> {
    let orders = match strategy {
        Strategy::A => taker(bot, snapshots)?,
        Strategy::B => maker(bot, snapshots)?,
    };
    // Lets what was sent on the last snapshot arrive.
    bot.elapse(0)?;
    let state = bot.state_values(0);
    Ok(Outcome {
        orders,
        fills: state.num_trades as u64,
        position: state.position as i64,
        pnl_cny: (state.balance + state.position * last_cny * MULTIPLIER - state.fee) as i64,
    })
}

/// Time to the next snapshot: the first one starts the clock.
fn step_ns(snapshot: usize) -> i64 {
    if snapshot == 0 { 0 } else { INTERVAL_NS }
}

fn taker<MD: MarketDepth>(bot: &mut Backtest<MD>, snapshots: usize) -> Result<u64, BacktestError> {
    let mut orders = 0;
    for snapshot in 0..snapshots {
        bot.elapse(step_ns(snapshot))?;
        let depth = bot.depth(0);
        let (bids, asks) = (depth.best_bid_qty(), depth.best_ask_qty());
        let imbalance = (bids - asks) / (bids + asks);
        let position = bot.position(0);
        if imbalance > 0.8 && position <= 0.0 {
            let price = depth.best_ask();
            bot.clear_inactive_orders(Some(0));
            bot.submit_buy_order(0, orders, price, 1.0 - position, TimeInForce::IOC, OrdType::Limit, false)?;
            orders += 1;
        } else if imbalance < -0.8 && position >= 0.0 {
            let price = depth.best_bid();
            bot.clear_inactive_orders(Some(0));
            bot.submit_sell_order(0, orders, price, 1.0 + position, TimeInForce::IOC, OrdType::Limit, false)?;
            orders += 1;
        }
    }
    Ok(orders)
}

/// A resting quote: its id and price.
type Quote = Option<(u64, i64)>;

fn maker<MD: MarketDepth>(bot: &mut Backtest<MD>, snapshots: usize) -> Result<u64, BacktestError> {
    let mut orders = 0;
    let mut quotes: [Quote; 2] = [None; 2];
    for snapshot in 0..snapshots {
        bot.elapse(step_ns(snapshot))?;
        let depth = bot.depth(0);
        let best = [depth.best_bid_tick(), depth.best_ask_tick()];
        let tick_size = depth.tick_size();
        let position = bot.position(0);
        let wanted = [position < 5.0, position > -5.0];
        let mut ended = false;
        for (i, quote) in quotes.iter_mut().enumerate() {
            if let Some((id, ticks)) = *quote {
                let resting = bot.orders(0).get(&id).is_some_and(|order| order.status == Status::New);
                if !resting {
                    *quote = None;
                    ended = true;
                } else if ticks != best[i] || !wanted[i] {
                    bot.cancel(0, id, false)?;
                    *quote = None;
                    ended = true;
                }
            }
        }
        if ended {
            // Those cancelled just now are cleared the next time.
            bot.clear_inactive_orders(Some(0));
        }
        for (i, side) in [Side::Buy, Side::Sell].into_iter().enumerate() {
            if quotes[i].is_none() && wanted[i] {
                let price = best[i] as f64 * tick_size;
                match side {
                    Side::Buy => {
                        bot.submit_buy_order(0, orders, price, 1.0, TimeInForce::GTC, OrdType::Limit, false)?
                    }
                    _ => bot.submit_sell_order(0, orders, price, 1.0, TimeInForce::GTC, OrdType::Limit, false)?,
                };
                quotes[i] = Some((orders, best[i]));
                orders += 1;
            }
        }
    }
    Ok(orders)
}
