//! The simulated exchange: matching, queue models, fees, margin, account ledger. Pure and deterministic.
//!
//! A contract-day becomes a [`PreparedDay`] once; any number of [`Matching`]s, one for each strategy and fill model, run
//! over it. A resting buy at price p serves as the model of every rule; sells mirror.

mod account;
mod auction;
mod config;
mod error;
mod fees;
mod margin;
mod matching;
mod order;
mod prepared;
pub mod queue;
pub mod split;
mod split_report;
mod table;
mod taker;

pub use account::{
    Account, AccountConfig, AccountState, Booking, CloseCheck, CloseFirst, ClosedLot, EquityLine, Hold, Leg, Refusal,
    SideState, Terms, Trade, close_check,
};
pub use auction::AuctionRows;
pub use config::{BeyondBook, FillModel, MatchConfig, TakerBook};
pub use error::ExchangeError;
pub use fees::{FeeRate, FeeRates, FeeRow, FeeTable, fee_cny};
pub use margin::{MarginPosition, MarginRow, MarginTable, margin_cny};
pub use matching::{MatchWarnings, Matching, WorkingOrder};
pub use order::{BookFill, MatchEvent, NewOrder, Offset, RejectReason, Side, Tif, day_order_expiry_ns};
pub use prepared::{PrepareSpec, PrepareWarnings, PreparedDay, warm};
pub use split_report::{Residuals, SplitClass, SplitReport};
pub use table::RowKey;
pub use taker::{Consumed, TakerChoice, TakerWalk, taker_book_choice, taker_walk};
