//! Units and ids as types, tick columns, symbols, calendar and sessions, digests.
//!
//! Nothing here does I/O, reads a clock or depends on the order of a hashed map, so every other room may build on it.

mod border;
mod calendar;
mod contract;
mod date;
mod digest;
mod holidays;
mod pack;
mod problem;
mod row_hash;
mod schema;
mod session;
mod symbol;
mod tick;
mod time;

pub use border::{Border, BorderKind, GAP_NS, day_borders};
pub use calendar::{Calendar, CalendarError};
pub use contract::{
    ContractSpec, ContractTable, SpecError, contract_spec, delivery_month, is_double_sided, last_trading_day,
};
pub use date::{DateError, TradingDay, Weekday};
pub use digest::{Digest, DigestBuilder, DigestError};
pub use pack::{WordColumn, pack_rows};
pub use problem::{ErrorClass, Problem};
pub use row_hash::RowHashAggregate;
pub use schema::FeatureColumn;
pub use session::{DayPhases, SessionWindow};
pub use symbol::{ContractId, Exchange, SymbolError, Variety};
pub use tick::{Column, L5_LEVELS, Phase, TICK_COLUMNS, TickTable, TickView};
pub use time::{CST_OFFSET_NS, ExchangeTimeNs, NS_PER_S};
