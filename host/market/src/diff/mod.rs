//! Client of DIFF lines: one JSON document that both sides keep equal by merge patches over a websocket. Here market data;
//! the trading line is [`trade`].
//!
//! What the protocol says is a state machine without I/O ([`MarketLine`], and on top of it [`TickPager`] for the past
//! and [`TickFollower`] for what happens): frames and time in, frames and events out. [`MarketClient`] puts login and
//! websocket below it. `DC-…` in a test names the row of the client's checklist that it proves; see
//! docs/diff-client.md.

mod auth;
mod chart;
mod client;
mod document;
mod error;
mod follow;
mod frame;
mod instrument;
mod line;
mod merge;
mod pager;
mod quote;
mod retry;
mod secret;
mod socket;
mod ticks;
mod token;
pub mod trade;
pub mod value;

#[cfg(test)]
mod model;
#[cfg(test)]
mod recorded;

pub use auth::{Login, SourceUrls};
pub use chart::{ChartRequest, ChartView, Window, chart_view};
pub use client::{ClientOptions, MarketClient, Turn, chance};
pub use document::Document;
pub use error::SourceError;
pub use follow::{Followed, TickFollower};
pub use frame::{FrameError, ServerFrame, parse_frame};
pub use instrument::{Instrument, contracts_query, read_instruments, symbols_query};
pub use line::{LineEvent, LineLimits, MAX_CHART_WIDTH, MAX_QUOTES_A_LINE, MarketLine, TooManySymbols, quote_batches};
pub use merge::merge;
pub use pager::{PAGE_ROWS, PageStep, TickPager};
pub use quote::{Quote, QuoteLevel, underlying_symbol};
pub use retry::{Failure, Next, RetryBudget, RetryPolicy, SkipReason};
pub use secret::{Credentials, Secret};
pub use socket::SocketOptions;
pub use ticks::TickRow;
pub use token::Token;

/// How this program names itself to servers.
const USER_AGENT: &str = concat!("ghtrader/", env!("CARGO_PKG_VERSION"));
