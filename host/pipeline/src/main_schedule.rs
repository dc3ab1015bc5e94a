//! From stored ticks to the stored main schedule.

use crate::validate::{json, kept};
use crate::{
    Close, DayCloses, Listed, MainSchedule, PipelineError, Roll, ScheduleRule, ScheduleWarning, schedule_from_events,
    schedule_from_open_interest,
};
use ghtrader_core::{Calendar, Column, ContractId, ContractTable, Digest, Phase, TickView, TradingDay, Variety};
use ghtrader_store::{Dataset, Schedule, ScheduleOutcome, Store};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where the switches of the main contract come from.
#[derive(Debug, Clone, PartialEq)]
pub enum ScheduleSource {
    /// Closing open interest of the stored contracts.
    OpenInterest(ScheduleRule),
    /// Given switches (day, contract); `name` is `file` or `vendor`.
    Events {
        /// Who gave them.
        name: String,
        /// In any order; see [`schedule_from_events`].
        events: Vec<(TradingDay, ContractId)>,
    },
}

/// A schedule as it was made and stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScheduleReport {
    /// The variety.
    pub variety: Variety,
    /// `oi`, `vendor` or `file`.
    pub source: String,
    /// `unchanged`, `stored` or `replaced`.
    pub outcome: &'static str,
    /// Hash of the schedule that was replaced.
    pub replaced_hash: Option<String>,
    /// First trading day.
    pub first_day: TradingDay,
    /// Last trading day.
    pub last_day: TradingDay,
    /// Days.
    pub rows: usize,
    /// 16 hex digits.
    pub schedule_hash: String,
    /// Main contracts in order of segments.
    pub contracts: Vec<ContractId>,
    /// The changes.
    pub rolls: Vec<Roll>,
    /// What a person should know.
    pub warnings: Vec<ScheduleWarning>,
}

/// Makes the main schedule of a variety from its stored ticks, and stores it unless it is there already.
///
/// Days run from the first stored day of any of its contracts, or from `start` if that is later, to the last.
///
/// # Errors
/// `schedule_empty`, `schedule_mismatch`, `calendar_uncovered`, and those of the store.
pub fn build_main_schedule(
    store: &dyn Store,
    variety: &Variety,
    source: &ScheduleSource,
    start: Option<TradingDay>,
    calendar: &Calendar,
    table: &ContractTable,
) -> Result<ScheduleReport, PipelineError> {
    let stored = stored_days(store, variety)?;
    let all = || stored.values().flatten().copied();
    let days = match (all().min(), all().max()) {
        (Some(first), Some(last)) => calendar.trading_days(start.map_or(first, |start| start.max(first)), last),
        _ => Vec::new(),
    };
    let in_schedule = |source| PipelineError::Schedule { variety: variety.to_string(), source };
    let (name, mut made) = match source {
        ScheduleSource::OpenInterest(rule) => {
            let closes = load_closes(store, &stored, &days)?;
            let first = days.first().copied();
            let listed = stored.keys().zip(first.into_iter().cycle());
            let listed: Vec<_> = listed.map(|(c, first)| Listed::by_rule(c.clone(), calendar, first)).collect();
            ("oi", schedule_from_open_interest(&listed, &closes, *rule).map_err(in_schedule)?)
        }
        ScheduleSource::Events { name, events } => {
            (name.as_str(), schedule_from_events(events, &days).map_err(in_schedule)?)
        }
    };
    add_gaps(&mut made, table);
    let schedule = Schedule::new(variety.clone(), name, made.rows)?;
    let (outcome, replaced_hash) = match store.put_schedule(&schedule)? {
        ScheduleOutcome::Unchanged => ("unchanged", None),
        ScheduleOutcome::Stored => ("stored", None),
        ScheduleOutcome::Replaced { old } => ("replaced", Some(old)),
    };
    store.flush()?;
    let rows = schedule.rows();
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        let reason = "it has no rows".to_owned();
        return Err(in_schedule(crate::ScheduleError::Empty { reason }));
    };
    let segments = rows.chunk_by(|a, b| a.segment_id == b.segment_id);
    Ok(ScheduleReport {
        variety: variety.clone(),
        source: name.to_owned(),
        outcome,
        replaced_hash,
        first_day: first.date,
        last_day: last.date,
        rows: rows.len(),
        schedule_hash: schedule.hash().to_owned(),
        contracts: segments.filter_map(|s| s.first().map(|r| r.main_contract.clone())).collect(),
        rolls: made.rolls,
        warnings: made.warnings,
    })
}

/// The stored days of each contract of a variety.
fn stored_days(store: &dyn Store, v: &Variety) -> Result<BTreeMap<ContractId, Vec<TradingDay>>, PipelineError> {
    let mut stored = BTreeMap::new();
    for symbol in store.symbols(Dataset::Ticks)? {
        if let Ok(contract) = symbol.parse::<ContractId>()
            && contract.variety() == v
        {
            stored.insert(contract, store.days(Dataset::Ticks, &symbol)?);
        }
    }
    Ok(stored)
}

/// Collection of what the schedule needs of each contract's days.
const CLOSES: &str = "closes";
/// Raised whenever the same rows would close otherwise.
const CLOSE_RULE: u32 = 1;

/// The closes of a contract, as they are kept: rows are read once, of days that are new or different.
#[derive(Default, Serialize, Deserialize)]
struct KeptCloses {
    rule: u32,
    days: BTreeMap<TradingDay, KeptClose>,
}

#[derive(Serialize, Deserialize)]
struct KeptClose {
    sha256: Digest,
    /// Open interest and volume in lots, last price in CNY; none of a day that never opened.
    close: Option<(f64, f64, Option<f64>)>,
}

fn load_closes(
    store: &dyn Store,
    stored: &BTreeMap<ContractId, Vec<TradingDay>>,
    days: &[TradingDay],
) -> Result<Vec<DayCloses>, PipelineError> {
    let of_contract = |(contract, stored): (&ContractId, &Vec<TradingDay>)| -> Result<_, PipelineError> {
        let symbol = contract.to_string();
        let before: KeptCloses = kept(store.load_record(CLOSES, &symbol)?).unwrap_or_default();
        let mut old = if before.rule == CLOSE_RULE { before.days } else { BTreeMap::new() };
        let known = old.len();
        let mut found = BTreeMap::new();
        let mut read = 0;
        for &day in stored {
            let Some(manifest) = store.manifest(Dataset::Ticks, &symbol, day)? else { continue };
            let same = old.remove(&day).filter(|kept| kept.sha256 == manifest.sha256);
            let one = match same {
                Some(kept) => kept,
                None => {
                    read += 1;
                    let rows = store.read_day(Dataset::Ticks, &symbol, day)?;
                    let close = close_of(&rows.view())
                        .map(|c| (c.open_interest_lots, c.volume_lots, (!c.close_cny.is_nan()).then_some(c.close_cny)));
                    KeptClose { sha256: manifest.sha256, close }
                }
            };
            found.insert(day, one);
        }
        let kept = KeptCloses { rule: CLOSE_RULE, days: found };
        if read > 0 || kept.days.len() != known {
            store.put_record(CLOSES, &symbol, &json(&kept))?;
        }
        Ok((contract.clone(), kept.days))
    };
    let contracts: Vec<_> = stored.par_iter().map(of_contract).collect::<Result<_, _>>()?;
    let close = |&(open_interest_lots, volume_lots, close_cny): &(f64, f64, Option<f64>)| Close {
        open_interest_lots,
        volume_lots,
        close_cny: close_cny.unwrap_or(f64::NAN),
    };
    let of_day = |&trading_day: &TradingDay| DayCloses {
        trading_day,
        closes: contracts
            .iter()
            .filter_map(|(contract, days)| Some((contract.clone(), close(days.get(&trading_day)?.close.as_ref()?))))
            .collect(),
    };
    Ok(days.iter().map(of_day).collect())
}

/// The last price of a contract on a day, CNY; `None` without a row or a trade. What the schedule kept is used.
pub(crate) fn close_on(
    store: &dyn Store,
    contract: &ContractId,
    day: TradingDay,
) -> Result<Option<f64>, PipelineError> {
    let symbol = contract.to_string();
    let Some(manifest) = store.manifest(Dataset::Ticks, &symbol, day)? else { return Ok(None) };
    let closes: KeptCloses = kept(store.load_record(CLOSES, &symbol)?).unwrap_or_default();
    let known = closes.days.get(&day).filter(|one| closes.rule == CLOSE_RULE && one.sha256 == manifest.sha256);
    if let Some(one) = known {
        return Ok(one.close.as_ref().and_then(|(_, _, close_cny)| *close_cny));
    }
    let rows = store.read_day(Dataset::Ticks, &symbol, day)?;
    Ok(close_of(&rows.view()).map(|close| close.close_cny).filter(|close| !close.is_nan()))
}

/// The state after a day's last row; `None` if it has but rows from before the opening, which still show the day before.
fn close_of(rows: &TickView<'_>) -> Option<Close> {
    let last_of = |c: Column| rows.float(c).iter().rev().find(|x| !x.is_nan()).copied();
    let opened = rows.phase.iter().any(|p| *p != Phase::PreOpen as u8);
    let open_interest_lots = last_of(Column::OpenInterest).filter(|_| opened)?;
    Some(Close {
        open_interest_lots,
        volume_lots: last_of(Column::Volume).unwrap_or(0.0),
        close_cny: last_of(Column::LastPrice).unwrap_or(f64::NAN),
    })
}

fn add_gaps(made: &mut MainSchedule, table: &ContractTable) {
    for roll in &mut made.rolls {
        let spec = table.spec(roll.to.variety(), roll.trading_day).ok();
        roll.close_cny = roll.close_cny.filter(|(from, to)| !from.is_nan() && !to.is_nan());
        roll.gap_ticks = spec.zip(roll.close_cny).map(|(spec, (from, to))| ((to - from) / spec.price_tick).round());
    }
}
