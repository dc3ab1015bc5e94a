//! Since when a source has depth: by bisecting contracts, then days.

use super::error::FetchError;
use super::probe::{Answer, Prober};
use super::{Source, day_end_ns, day_start_ns};
use ghtrader_core::{Calendar, ContractId, ExchangeTimeNs, TradingDay, Variety, last_trading_day};
use ghtrader_market::diff::{Instrument, RetryPolicy, SourceError, TickRow, contracts_query};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// No contract is listed for longer, calendar days.
const LONGEST_LIFE_DAYS: i32 = 1_500;
/// Trading days before the end of a contract among which one with rows is looked for.
const LAST_DAYS: usize = 6;

/// Where depth begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct L5Start {
    /// The product.
    pub variety: Variety,
    /// The first trading day with a row that has depth.
    pub trading_day: TradingDay,
    /// Of which contract: the first to expire of those that have any.
    pub contract: ContractId,
    /// Contracts that the source lists.
    pub contracts: usize,
    /// Days that it was asked about.
    pub probes: u64,
}

/// Finds the first day of which a source has rows with depth.
///
/// Depth, once there, is taken to stay: the contracts are bisected, in the order of their last trading days, by their last
/// day with rows, then the days of the first contract that has depth there. A day without rows is answered by the next one
/// that has some.
///
/// # Errors
/// See [`FetchError`]; `l5_missing` if no contract has depth, `unknown_instrument` for a product that the source does not
/// know.
pub fn find_l5_start(source: &mut Source<'_>, variety: &Variety, retry: RetryPolicy) -> Result<L5Start, FetchError> {
    let calendar = source.calendar;
    let wall_ns = source.client.login().wall_ns();
    let mut prober = Prober::new(source, retry);
    let listed = prober.instruments(&contracts_query(variety), &variety.to_string())?;
    let listed = answered(&prober, listed)?.unwrap_or_default();
    let lives = lives(&listed, variety, calendar, wall_ns);
    let mut seen: BTreeMap<usize, Option<bool>> = BTreeMap::new();
    let (mut low, mut high, mut best) = (0, lives.len(), None);
    while low < high {
        let mut at = low + (high - low) / 2;
        let middle = at;
        let mut deep = None;
        while at < high && deep.is_none() {
            deep = match seen.get(&at) {
                Some(known) => *known,
                None => {
                    let found = last_is_deep(&mut prober, &lives[at])?;
                    seen.insert(at, found);
                    found
                }
            };
            at += usize::from(deep.is_none());
        }
        match deep {
            Some(true) => (high, best) = (middle, Some(at)),
            Some(false) => low = at + 1,
            None => high = middle,
        }
    }
    let Some(life) = best.and_then(|at| lives.get(at)) else {
        return Err(FetchError::NoDepth { variety: variety.to_string(), contracts: lives.len() });
    };
    let trading_day = first_deep_day(&mut prober, life)?;
    Ok(L5Start {
        variety: variety.clone(),
        trading_day,
        contract: life.contract.clone(),
        contracts: lives.len(),
        probes: prober.questions,
    })
}

/// A contract with the trading days on which it may have rows.
struct Life {
    contract: ContractId,
    /// At least one.
    days: Vec<TradingDay>,
    last: TradingDay,
}

/// The contracts of a product by their last trading days; of those that live, up to the day that the source is in.
fn lives(listed: &[Instrument], variety: &Variety, calendar: &Calendar, wall_ns: i64) -> Vec<Life> {
    let today = ExchangeTimeNs(wall_ns).cst_date();
    let mut lives: Vec<(TradingDay, Life)> = Vec::new();
    for told in listed {
        let Ok(contract) = told.symbol.parse::<ContractId>() else { continue };
        if contract.variety() != variety {
            continue;
        }
        let told_last = told.expires_ns.map(|ns| ExchangeTimeNs(ns).cst_date());
        let Some(last) = last_trading_day(&contract, calendar).or(told_last) else { continue };
        let until = last.min(told.trading_day.unwrap_or(today));
        let days = calendar.trading_days(last.plus_days(-LONGEST_LIFE_DAYS), until);
        if let Some(newest) = days.last().copied() {
            lives.push((last, Life { contract, days, last: newest }));
        }
    }
    lives.sort_by(|a, b| (a.0, &a.1.contract).cmp(&(b.0, &b.1.contract)));
    lives.into_iter().map(|(_, life)| life).collect()
}

/// Whether the last day of a contract that has rows has depth; `None` if none of its last days has rows.
fn last_is_deep(prober: &mut Prober<'_, '_>, life: &Life) -> Result<Option<bool>, FetchError> {
    for day in life.days.iter().rev().take(LAST_DAYS) {
        if let Some((_, deep)) = first_rows(prober, &life.contract, *day, *day)? {
            return Ok(Some(deep));
        }
    }
    Ok(None)
}

/// Bisects the days of a contract whose last rows have depth.
fn first_deep_day(prober: &mut Prober<'_, '_>, life: &Life) -> Result<TradingDay, FetchError> {
    let (mut low, mut high, mut best) = (0, life.days.len(), life.last);
    while low < high {
        let middle = low + (high - low) / 2;
        match first_rows(prober, &life.contract, life.days[middle], life.last)? {
            Some((day, true)) => (high, best) = (middle, day),
            Some((day, false)) => low = life.days.partition_point(|d| *d <= day),
            None => high = middle,
        }
    }
    Ok(best)
}

/// The first day from one to another that has rows, and whether one of them has depth.
fn first_rows(
    prober: &mut Prober<'_, '_>,
    contract: &ContractId,
    from: TradingDay,
    to: TradingDay,
) -> Result<Option<(TradingDay, bool)>, FetchError> {
    let calendar = prober.source.calendar;
    let span = (day_start_ns(calendar, from)?, day_end_ns(to));
    let mut first: Option<TradingDay> = None;
    let look = |row: &TickRow| {
        // A row of no trading day says nothing.
        let day = calendar.trading_day_of(ExchangeTimeNs(row.ts_ns)).ok()?;
        let first = *first.get_or_insert(day);
        if day > first { Some(false) } else { row.has_l5().then_some(true) }
    };
    let found = prober.rows(contract, span, look)?;
    let deep = answered(prober, found)?.unwrap_or(false);
    Ok(first.map(|day| (day, deep)))
}

/// What was found, if anything; a source that does not answer is an error here.
fn answered<T>(prober: &Prober<'_, '_>, answer: Answer<T>) -> Result<Option<T>, FetchError> {
    match answer {
        Answer::Found(found) => Ok(Some(found)),
        Answer::Nothing => Ok(None),
        Answer::Failed(why) => {
            let host = prober.source.client.host().to_owned();
            Err(FetchError::Source(SourceError::Unavailable { host, why }))
        }
        Answer::Stopped => Err(FetchError::Stopped),
    }
}
