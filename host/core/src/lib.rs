//! Units and ids as types, tick columns, symbols, calendar and sessions, digests.
//!
//! Nothing here does I/O, reads a clock or depends on the order of a hashed map, so every other room may build on it.

mod date;
mod digest;
mod problem;
mod symbol;
mod tick;
mod time;

pub use date::{DateError, TradingDay, Weekday};
pub use digest::{Digest, DigestBuilder, DigestError};
pub use problem::{ErrorClass, Problem};
pub use symbol::{ContractId, Exchange, SymbolError, Variety};
pub use tick::{Column, L5_LEVELS, Phase, TICK_COLUMNS, TickTable, TickView};
pub use time::{CST_OFFSET_NS, ExchangeTimeNs, NS_PER_S};
