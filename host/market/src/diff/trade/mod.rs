//! The trading line: logging in, orders that are sent once, fills that count once, sums that are checked.
//!
//! [`TradeLine`] is the protocol as a state machine without I/O, [`TradeClient`] a line that is really there and only
//! looks, [`Trader`] one that sends orders. Nothing here decides to trade, and nothing here is a gate.
//!
//! An order whose fate is unknown is never sent again, and it is the types that see to it. A [`NewOrder`] has no id and
//! cannot be copied. It gets one by being written into the journal, which makes of it a [`Journaled`], and that is used up
//! by being sent. What a journal gives back after a restart are [`OwnOrder`]s, of which no frame can be made. And a
//! [`Desk`], without which nothing is written down, is there only while no order is unknown; see docs/adr/0022.
//!
//! ```no_run
//! use ghtrader_core::Problem;
//! use ghtrader_market::diff::Secret;
//! use ghtrader_market::diff::trade::{Direction, NewOrder, Offset, TradeEvent, TradeLogin, TradeOptions, Trader};
//! use std::time::Duration;
//!
//! fn buy_one_lot(url: &str, password: Secret, wall_ns: fn() -> i64) -> Result<(), Problem> {
//!     let (broker, user) = ("sim".to_owned(), "demo".to_owned());
//!     let login = TradeLogin { broker, user, password, confirms_settlement: true };
//!     let mut trader = Trader::open("journal.log".as_ref(), url, None, login, TradeOptions::default(), wall_ns)?;
//!     trader.log_in(Duration::from_secs(20))?;
//!     let contract = "cu2509".parse().expect("a contract");
//!     let order = NewOrder::limit(contract, Direction::Buy, Offset::Open, 1, 78_000.0)?;
//!     let id = trader.desk()?.insert(order)?;
//!     while !trader.own_order(&id).is_some_and(|o| o.state.is_final()) {
//!         for event in trader.turn(Duration::from_millis(200))? {
//!             if let TradeEvent::Fill(fill) = event {
//!                 println!("{} lots at {}", fill.volume, fill.price);
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//! ```

mod account;
mod client;
mod error;
mod journal;
mod line;
mod order;
mod trader;

pub use account::{
    AccountSums, Holding, Money, Position, SideLots, SumAlert, check_sums, read_holdings, read_positions,
};
pub use client::{TradeClient, TradeOptions, masked};
pub use error::TradeError;
pub use journal::{OwnOrder, unresolved_orders};
pub use line::{AccountPicture, Blocked, TradeEvent, TradeLimits, TradeLine, TradeLogin};
pub use order::{Direction, Fill, Life, NewOrder, Offset, Order, OrderId, OrderRefusal, OrderState, close_legs};
pub use trader::{CancelError, Desk, InsertError, Journaled, Trader};

#[cfg(test)]
mod tests;
