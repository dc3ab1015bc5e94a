//! Ticks from a DIFF source into the store: what lacks of the past, and what happens.
//!
//! Rows go through a spool, a text file a symbol-day that grows row by row, and from there by the import's own rules into
//! the store. So a row that was downloaded, one that was recorded and one that came as a file are judged alike, and a run
//! that is killed goes on behind the last whole line of its spool.

mod download;
mod error;
mod ledger;
mod record;
mod spool;

pub use download::{DownloadOptions, DownloadReport, DownloadedSymbol, Source, download};
pub use error::FetchError;
pub use ledger::{EMPTY_DAYS, SKIP_LEDGER, Skip, load_empty_days, load_skips};
pub use record::{RecordOptions, RecordProgress, RecordReport, RecordedSymbol, record};

use ghtrader_core::{Calendar, ExchangeTimeNs, NS_PER_S, TradingDay};

const HOUR_NS: i64 = 3_600 * NS_PER_S;
/// From this hour on, Shanghai time, a trading day brings no more rows.
const DAY_OVER_HOUR: i64 = 16;

/// First instant of a trading day: 18:00 of the trading day before, ns since the epoch.
fn day_start_ns(calendar: &Calendar, day: TradingDay) -> Result<i64, ghtrader_core::CalendarError> {
    Ok(calendar.instant_in_day(day, 18 * HOUR_NS)?.0)
}

/// First instant behind a trading day.
fn day_end_ns(day: TradingDay) -> i64 {
    ExchangeTimeNs::from_cst(day, 18 * HOUR_NS).0
}

/// The trading day is over by a wall clock.
fn is_over(day: TradingDay, wall_ns: i64) -> bool {
    wall_ns >= ExchangeTimeNs::from_cst(day, DAY_OVER_HOUR * HOUR_NS).0
}
