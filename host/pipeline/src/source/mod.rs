//! Ticks from a DIFF source into the store: what lacks of the past, and what happens.
//!
//! Rows go through a spool, a text file a symbol-day that grows row by row, and from there by the import's own rules
//! into the store. So a row that was downloaded, one that was recorded and one that came as a file are judged alike,
//! and a run that is killed goes on behind the last whole line of its spool.

mod download;
mod error;
mod l5_start;
mod ledger;
mod probe;
mod record;
mod repair;
mod spool;

pub use download::{DownloadOptions, DownloadReport, DownloadedSymbol, download};
pub use error::FetchError;
pub use l5_start::{L5Start, find_l5_start};
pub use ledger::{EMPTY_DAYS, SKIP_LEDGER, Skip, load_empty_days, load_skips};
pub use record::{RecordOptions, RecordProgress, RecordReport, RecordedSymbol, record};
pub use repair::{
    CheckedDay, CheckedGap, Defect, PROVIDER_ANSWERS, ProviderAnswer, RepairAction, RepairDay, RepairPlan, RepairScope,
    apply_repair, load_answers, plan_repair,
};

use ghtrader_core::{Calendar, ContractTable, ExchangeTimeNs, NS_PER_S, TradingDay};
use ghtrader_market::diff::{Instrument, MarketClient};
use ghtrader_store::{Store, StoreError};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long one look at the line takes at most, so that a call to stop is heard.
const TURN: Duration = Duration::from_millis(200);

/// What a download, a recording or a question works with.
pub struct Source<'a> {
    /// The line.
    pub client: &'a mut MarketClient,
    /// Where symbol-days go.
    pub store: &'a dyn Store,
    /// Trading days.
    pub calendar: &'a Calendar,
    /// Price ticks and multipliers.
    pub table: &'a ContractTable,
    /// Folder of the runs: spools, and rejected rows.
    pub runs_dir: &'a Path,
    /// Somebody wants this to end.
    pub stop: &'a AtomicBool,
}

impl Source<'_> {
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits, not longer than until somebody wants this to end; a line that is open is kept alive by its own thread.
    fn wait(&self, time: Duration) -> Result<(), StoreError> {
        // Others may write while nothing comes.
        self.store.yield_writer()?;
        let until = self.client.now() + time;
        while self.client.now() < until && !self.stopping() {
            std::thread::sleep(TURN.min(until.saturating_sub(self.client.now())));
        }
        Ok(())
    }
}

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

/// The trading day is over: by this machine's clock, and by the source's own day.
///
/// A source that replays the past has a clock of its own, which only the day that it tells shows. A contract that has
/// expired may tell its last day for ever.
fn is_over(calendar: &Calendar, day: TradingDay, wall_ns: i64, told: &Instrument) -> bool {
    let by_clock = wall_ns >= ExchangeTimeNs::from_cst(day, DAY_OVER_HOUR * HOUR_NS).0;
    let by_source = match told.trading_day {
        None => true,
        Some(today) if day < today => true,
        Some(today) if day > today => false,
        // Its clock and this one agree only until the next trading day is over.
        Some(today) => told.expired || calendar.next_trading_day(today).is_ok_and(|next| wall_ns < day_end_ns(next)),
    };
    by_clock && by_source
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghtrader_market::diff::read_instruments;
    use serde_json::json;

    fn check(day: &str, (date, hour): (&str, i64), told: Option<&str>, expired: bool, want: bool) {
        let entry = json!({ "multi_symbol_info": [{ "instrument_id": "X", "trading_day": told, "expired": expired }] });
        let told_by = &read_instruments(&entry)[0];
        let wall_ns = ExchangeTimeNs::from_cst(date.parse().unwrap(), hour * HOUR_NS).0;
        let over = is_over(Calendar::builtin(), day.parse().unwrap(), wall_ns, told_by);
        assert_eq!(over, want, "{day} at {date} {hour} h, told {told:?}, expired: {expired}");
    }

    /// D-10
    #[test]
    fn a_day_is_over_when_both_clocks_say_so() {
        let friday = "2025-07-18";
        // Without a word of the source, this machine's clock decides.
        check(friday, (friday, 15), None, false, false);
        check(friday, (friday, 16), None, false, true);
        // A live source: the same day until the evening, the next one behind it, also over the weekend.
        check(friday, (friday, 16), Some("20250718"), false, true);
        check(friday, ("2025-07-20", 12), Some("20250718"), false, true);
        check(friday, ("2025-07-21", 10), Some("20250721"), false, true);
        check("2025-07-21", ("2025-07-21", 10), Some("20250721"), false, false);
        // A replay of that day, years later: not over before it tells the next one.
        check(friday, ("2026-11-28", 12), Some("20250718"), false, false);
        check(friday, ("2026-11-28", 12), Some("20250721"), false, true);
        check("2025-07-21", ("2026-11-28", 12), Some("20250718"), false, false);
        // A contract at its end.
        check(friday, ("2026-11-28", 12), Some("2025-07-18"), true, true);
    }
}
