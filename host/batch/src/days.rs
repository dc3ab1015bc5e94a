//! The days of a schedule: what identifies them, read from manifests alone, and their rows.

use ghtrader_backtest::{ColumnsOrigin, DayData, DayIdentity, OldDay, OldIdentity};
use ghtrader_core::{
    Calendar, Column, ContractTable, NS_PER_S, Phase, Problem, SessionWindow, TradingDay, is_double_sided,
};
use ghtrader_pipeline::compute_day_quality;
use ghtrader_runtime::DayColumns;
use ghtrader_store::{Counting, Dataset, Schedule, Store};
use std::sync::Arc;

/// A scheduled day that has rows, without them.
#[derive(Debug, Clone)]
pub(crate) struct PlannedDay {
    pub(crate) identity: DayIdentity,
    /// Rows of `main_l5`.
    pub(crate) rows: u64,
}

/// The scheduled days from `from` to `to` that have rows, each as if it were the first of a run's days or later.
pub(crate) fn planned_days(
    store: &dyn Store,
    calendar: &Calendar,
    schedule: &Schedule,
    from: Option<TradingDay>,
    to: Option<TradingDay>,
) -> Result<Vec<PlannedDay>, Problem> {
    let variety = schedule.variety();
    let symbol = variety.main_symbol();
    let table = ContractTable::builtin();
    let mut days: Vec<PlannedDay> = Vec::new();
    for row in schedule.rows() {
        let day = row.date;
        if from.is_some_and(|f| day < f) || to.is_some_and(|t| day > t) {
            continue;
        }
        let Some(manifest) = store.manifest(Dataset::MainL5, &symbol, day)? else { continue };
        let contract = row.main_contract.to_string();
        let old = match days.last().map(|d| &d.identity) {
            Some(before) if before.contract != contract => {
                let rows = store.manifest(Dataset::Ticks, &before.contract, day)?;
                Some(OldIdentity { instrument: before.instrument.clone(), digest: rows.map(|m| m.sha256) })
            }
            _ => None,
        };
        let windows = calendar.session_windows(variety, day);
        let phases = calendar.day_phases(variety, day);
        let opens_by_auction = |w: &&SessionWindow| phases.phase(w.start_ns - 30 * NS_PER_S) == Phase::Auction;
        let auction_starts_ns = windows.iter().filter(opens_by_auction).map(|w| w.start_ns).collect();
        let identity = DayIdentity {
            trading_day: day,
            contract,
            instrument: table.spec(variety, day)?.clone(),
            double_sided: manifest.counting == Counting::Double && is_double_sided(variety.exchange(), day),
            digest: manifest.sha256,
            windows,
            auction_starts_ns,
            tradable_from: 0,
            old,
            origin: ColumnsOrigin::default(),
        };
        days.push(PlannedDay { identity, rows: manifest.rows });
    }
    Ok(days)
}

/// The rows of planned days; columns are still to be attached.
pub(crate) fn load_days(
    store: &dyn Store,
    schedule: &Schedule,
    planned: Vec<PlannedDay>,
) -> Result<Vec<DayData>, Problem> {
    let symbol = schedule.variety().main_symbol();
    let mut days: Vec<DayData> = Vec::with_capacity(planned.len());
    for PlannedDay { identity, .. } in planned {
        let ticks = store.load_day(Dataset::MainL5, &symbol, identity.trading_day)?;
        let old = match (identity.old, days.last()) {
            (Some(old), Some(before)) => {
                let last = before.ticks.view();
                let known = last.float(Column::LastPrice).iter().rev().copied().find(|p| !p.is_nan());
                let rows = match old.digest {
                    Some(_) => Some(store.load_day(Dataset::Ticks, &before.contract, identity.trading_day)?),
                    None => None,
                };
                let last_price_cny = known.unwrap_or(f64::NAN);
                Some(OldDay { ticks: rows, instrument: old.instrument, last_price_cny })
            }
            _ => None,
        };
        days.push(DayData {
            trading_day: identity.trading_day,
            contract: identity.contract,
            instrument: identity.instrument,
            double_sided: identity.double_sided,
            // Of the rows that were read, not of those that were planned.
            digest: ticks.manifest().sha256,
            ticks,
            columns: Arc::new(DayColumns::default()),
            origin: ColumnsOrigin::default(),
            windows: identity.windows,
            auction_starts_ns: identity.auction_starts_ns,
            tradable_from: identity.tradable_from,
            old,
        });
    }
    Ok(days)
}

/// The scheduled days from `from` to `to` that have rows.
///
/// # Errors
/// Those of the store, and a day that the contract table does not know.
pub fn base_days(
    store: &dyn Store,
    calendar: &Calendar,
    schedule: &Schedule,
    from: Option<TradingDay>,
    to: Option<TradingDay>,
) -> Result<Vec<DayData>, Problem> {
    load_days(store, schedule, planned_days(store, calendar, schedule, from, to)?)
}

/// What is worth knowing about the rows that are replayed.
pub(crate) fn data_warnings(days: &[DayData]) -> Vec<String> {
    let mut warnings = Vec::new();
    for day in days {
        let quality = compute_day_quality(&day.ticks.view(), &day.instrument);
        if quality.fields.crossed.count > 0 {
            warnings.push(format!(
                "{}: {} rows with a crossed book, not matched",
                day.trading_day, quality.fields.crossed.count
            ));
        }
        if let Some(OldDay { ticks: None, .. }) = &day.old {
            warnings.push(format!("{}: no ticks of the contract before the roll", day.trading_day));
        }
    }
    warnings
}
