//! What is there: facts of each symbol-day, and what a variety's symbols cover. As in [`crate::validate`], a day is read
//! once and its facts are kept with the digest of its rows.

use crate::day_report::resolve;
use crate::validate::{expected_days, json, kept, symbols_of};
use crate::{DayQuality, PipelineError, compute_day_quality, row_findings};
use ghtrader_core::{Calendar, Column, ContractSpec, ContractTable, Digest, TickView, TradingDay, Variety};
use ghtrader_page::grouped;
use ghtrader_store::{Dataset, Store};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Raised whenever the same rows would be counted otherwise.
const RULE_VERSION: u32 = 1;

/// Facts of one symbol-day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DayFacts {
    /// The day.
    pub trading_day: TradingDay,
    /// Digest of its rows.
    pub sha256: Digest,
    /// Rows.
    pub rows: u64,
    /// Rows with depth.
    pub rows_with_l5: u64,
    /// Rows without any defect of [`row_findings`].
    pub clean_rows: u64,
    /// Last traded price, CNY; none without a trade.
    pub last_price_cny: Option<f64>,
    /// Lots traded on the day, as the source counts them.
    pub volume_lots: f64,
    /// Open interest at the end, as the source counts it.
    pub open_interest_lots: f64,
    /// Field quality.
    pub quality: DayQuality,
    rule: u32,
}

/// Which facts.
#[derive(Debug, Clone, Copy)]
pub struct FactsScope<'a> {
    /// A contract, or a continuous symbol.
    pub symbol: &'a str,
    /// First day; all if absent.
    pub from: Option<TradingDay>,
    /// Last day; all if absent.
    pub to: Option<TradingDay>,
}

/// What a look at days leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// What was worked out, for the next one.
    Results,
    /// Nothing: no lock is taken.
    Nothing,
}

/// Facts of a symbol's stored days, ascending. Rows are read only of days that are new or different.
///
/// # Errors
/// `bad_symbol`, `unknown_contract`, and those of the store.
pub fn day_facts(
    store: &dyn Store,
    scope: FactsScope<'_>,
    table: &ContractTable,
) -> Result<Vec<DayFacts>, PipelineError> {
    facts_with(Keep::Results, store, scope, table)
}

pub(crate) fn facts_with(
    keep: Keep,
    store: &dyn Store,
    scope: FactsScope<'_>,
    table: &ContractTable,
) -> Result<Vec<DayFacts>, PipelineError> {
    let (dataset, symbol, variety) = resolve(scope.symbol)?;
    let wanted = |day: &TradingDay| scope.from.is_none_or(|from| *day >= from) && scope.to.is_none_or(|to| *day <= to);
    let days: Vec<TradingDay> = store.days(dataset, &symbol)?.into_iter().filter(wanted).collect();
    let collection = format!("facts.{symbol}");
    let facts = |&day: &TradingDay| -> Result<Option<DayFacts>, PipelineError> {
        let Some(manifest) = store.manifest(dataset, &symbol, day)? else { return Ok(None) };
        let name = day.to_string();
        let before = kept::<DayFacts>(store.load_record(&collection, &name)?)
            .filter(|facts| facts.rule == RULE_VERSION && facts.sha256 == manifest.sha256);
        if before.is_some() {
            return Ok(before);
        }
        let rows = store.read_day(dataset, &symbol, day)?;
        let facts = facts_of(day, manifest.sha256, &rows.view(), table.spec(&variety, day)?);
        if keep == Keep::Results {
            store.put_record(&collection, &name, &json(&facts))?;
        }
        Ok(Some(facts))
    };
    let found: Vec<_> = days.par_iter().map(facts).collect::<Result<_, _>>()?;
    if keep == Keep::Results {
        store.flush()?;
    }
    Ok(found.into_iter().flatten().collect())
}

fn facts_of(trading_day: TradingDay, sha256: Digest, rows: &TickView<'_>, spec: &ContractSpec) -> DayFacts {
    let n = rows.rows();
    let clean = (0..n).filter(|row| row_findings(rows, *row, row.checked_sub(1), spec).is_empty()).count();
    let last = |column: Column| rows.float(column).iter().rev().copied().find(|v| !v.is_nan());
    DayFacts {
        trading_day,
        sha256,
        rows: n as u64,
        rows_with_l5: (0..n).filter(|row| rows.has_l5(*row)).count() as u64,
        clean_rows: clean as u64,
        last_price_cny: last(Column::LastPrice),
        volume_lots: last(Column::Volume).unwrap_or(0.0),
        open_interest_lots: last(Column::OpenInterest).unwrap_or(0.0),
        quality: compute_day_quality(rows, spec),
        rule: RULE_VERSION,
    }
}

/// What is stored of one symbol.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coverage {
    /// `ticks` or `main_l5`.
    pub dataset: Dataset,
    /// Contract or continuous symbol.
    pub symbol: String,
    /// First stored day.
    pub first_day: Option<TradingDay>,
    /// First day with a row that has depth.
    pub first_l5_day: Option<TradingDay>,
    /// Last stored day.
    pub last_day: Option<TradingDay>,
    /// Days that should be there, see [`crate::validate`].
    pub days_expected: usize,
    /// Of these, days with rows.
    pub days_present: usize,
    /// The others.
    pub days_missing: Vec<TradingDay>,
    /// Share of the expected days that is there; 1 where none is expected.
    pub completeness: f64,
    /// Rows.
    pub rows: u64,
    /// Share of rows with depth.
    pub l5_share: f64,
    /// Share of rows without a defect.
    pub clean_share: f64,
    /// Trading days by which the last stored day lies behind the variety's latest.
    pub days_behind: usize,
}

impl Coverage {
    /// What [`Self::cells`] shows, in order.
    pub const COLUMNS: [&'static str; 10] = [
        "symbol",
        "first day",
        "first with depth",
        "last day",
        "days",
        "complete",
        "rows",
        "with depth",
        "clean",
        "days behind",
    ];

    /// The dataset of a name.
    pub fn dataset(name: &str) -> Option<Dataset> {
        Dataset::ALL.into_iter().find(|dataset| dataset.as_str() == name)
    }

    /// A row of a table for people.
    pub fn cells(&self) -> Vec<String> {
        let day = |d: Option<TradingDay>| d.map_or_else(|| "–".to_owned(), |d| d.to_string());
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        vec![
            self.symbol.clone(),
            day(self.first_day),
            day(self.first_l5_day),
            day(self.last_day),
            format!("{} of {}", self.days_present, self.days_expected),
            percent(self.completeness),
            grouped(self.rows as f64),
            percent(self.l5_share),
            percent(self.clean_share),
            self.days_behind.to_string(),
        ]
    }
}

/// What the symbols of a variety cover: its contracts, then its continuous one.
///
/// # Errors
/// As [`day_facts`].
pub fn coverage(
    store: &dyn Store,
    variety: &Variety,
    calendar: &Calendar,
    table: &ContractTable,
) -> Result<Vec<Coverage>, PipelineError> {
    coverage_of(Keep::Results, store, variety, calendar, table)
}

pub(crate) fn coverage_of(
    keep: Keep,
    store: &dyn Store,
    variety: &Variety,
    calendar: &Calendar,
    table: &ContractTable,
) -> Result<Vec<Coverage>, PipelineError> {
    let mut all = Vec::new();
    for dataset in [Dataset::Ticks, Dataset::MainL5] {
        for symbol in symbols_of(store, dataset, variety)? {
            let facts = facts_with(keep, store, FactsScope { symbol: &symbol, from: None, to: None }, table)?;
            let (expected, _) = expected_days(store, dataset, &symbol, variety, calendar)?;
            let there = |day: &TradingDay| facts.binary_search_by_key(day, |f| f.trading_day).is_ok();
            let days_missing: Vec<TradingDay> = expected.iter().filter(|day| !there(day)).copied().collect();
            let days_present = expected.len() - days_missing.len();
            let rows: u64 = facts.iter().map(|f| f.rows).sum();
            let share = |part: u64| if rows == 0 { 0.0 } else { part as f64 / rows as f64 };
            all.push(Coverage {
                dataset,
                first_day: facts.first().map(|f| f.trading_day),
                first_l5_day: facts.iter().find(|f| f.rows_with_l5 > 0).map(|f| f.trading_day),
                last_day: facts.last().map(|f| f.trading_day),
                days_expected: expected.len(),
                days_present,
                days_missing,
                completeness: if expected.is_empty() { 1.0 } else { days_present as f64 / expected.len() as f64 },
                rows,
                l5_share: share(facts.iter().map(|f| f.rows_with_l5).sum()),
                clean_share: share(facts.iter().map(|f| f.clean_rows).sum()),
                days_behind: 0,
                symbol,
            });
        }
    }
    let latest = all.iter().filter_map(|c| c.last_day).max();
    for one in &mut all {
        if let (Some(last), Some(latest)) = (one.last_day, latest) {
            one.days_behind = calendar.trading_days(last, latest).len().saturating_sub(1);
        }
    }
    Ok(all)
}
