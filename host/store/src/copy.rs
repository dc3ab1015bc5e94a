//! One store in another, and whether two stores hold the same.

use crate::{ColumnsKey, Dataset, NamedColumn, Store, StoreError};
use ghtrader_core::{Digest, TradingDay};
use serde::Serialize;
use std::collections::BTreeSet;

/// Copies those of the days that are stored; gives their number. Equal rows have equal digests wherever they lie.
///
/// # Errors
/// As [`Store::load_day`] of the one and [`Store::put_day`] of the other.
pub fn copy_days(
    from: &dyn Store,
    to: &dyn Store,
    dataset: Dataset,
    symbol: &str,
    days: impl IntoIterator<Item = TradingDay>,
) -> Result<u64, StoreError> {
    let mut copied = 0;
    for day in days {
        copied += u64::from(copy_day(from, to, dataset, symbol, day)?.is_some());
    }
    Ok(copied)
}

/// What became of a symbol-day.
enum Moved {
    There,
    Copied(u64),
}

/// Copies a day unless the other store has it; `None` if this one does not.
fn copy_day(
    from: &dyn Store,
    to: &dyn Store,
    dataset: Dataset,
    symbol: &str,
    day: TradingDay,
) -> Result<Option<Moved>, StoreError> {
    let Some(manifest) = from.manifest(dataset, symbol, day)? else { return Ok(None) };
    // A manifest is written last: one that is equal stands for rows that are there.
    if to.manifest(dataset, symbol, day)?.as_ref() == Some(&manifest) {
        return Ok(Some(Moved::There));
    }
    let rows = from.read_day(dataset, symbol, day)?;
    let put = to.put_day(dataset, symbol, day, &rows.view(), &manifest.meta())?;
    let (found, expected) = (put.manifest().sha256, manifest.sha256);
    if found != expected {
        let what = format!("{dataset} {symbol} {day}");
        return Err(StoreError::Encode { what, why: format!("its digest became {found}, it was {expected}") });
    }
    Ok(Some(Moved::Copied(manifest.rows)))
}

/// What to copy.
#[derive(Debug, Clone, Default)]
pub struct CopySelection {
    /// These symbols; empty = all.
    pub symbols: Vec<String>,
    /// From this trading day on.
    pub from_day: Option<TradingDay>,
    /// Up to this trading day, included.
    pub to_day: Option<TradingDay>,
}

impl CopySelection {
    /// Everything is selected: what belongs to no day goes with it.
    pub fn is_all(&self) -> bool {
        self.symbols.is_empty() && self.from_day.is_none() && self.to_day.is_none()
    }

    fn takes(&self, symbol: &str, day: TradingDay) -> bool {
        (self.symbols.is_empty() || self.symbols.iter().any(|s| s == symbol))
            && self.from_day.is_none_or(|from| day >= from)
            && self.to_day.is_none_or(|to| day <= to)
    }

    /// Selected symbol-days of a store, by dataset, symbol and day.
    fn days(&self, store: &dyn Store) -> Result<BTreeSet<(Dataset, String, TradingDay)>, StoreError> {
        let mut selected = BTreeSet::new();
        for dataset in Dataset::ALL {
            for symbol in store.symbols(dataset)? {
                let days = store.days(dataset, &symbol)?.into_iter().filter(|day| self.takes(&symbol, *day));
                selected.extend(days.map(|day| (dataset, symbol.clone(), day)));
            }
        }
        Ok(selected)
    }

    fn columns(&self, store: &dyn Store) -> Result<BTreeSet<ColumnsKey>, StoreError> {
        let all = store.columns_keys()?.into_iter();
        Ok(all.filter(|key| self.takes(&key.symbol, key.trading_day)).collect())
    }
}

/// What has been copied so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The symbol-day or key that was copied last.
    pub item: String,
    /// How many are done.
    pub done: u64,
    /// How many there are.
    pub total: u64,
}

/// What [`copy_store`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CopyReport {
    /// Symbol-days copied.
    pub days: u64,
    /// Symbol-days that were there already, by their manifest.
    pub unchanged_days: u64,
    /// Rows copied.
    pub rows: u64,
    /// Sets of built columns copied.
    pub columns: u64,
    /// Main schedules copied; 0 where only some days were asked for.
    pub schedules: u64,
    /// Records copied; 0 where only some days were asked for.
    pub records: u64,
}

/// Copies what is selected from one store into another. A copy that was stopped goes on where it was.
///
/// # Errors
/// As the reading of the one and the writing of the other; what was copied before stays.
pub fn copy_store(
    from: &dyn Store,
    to: &dyn Store,
    selection: &CopySelection,
    progress: &dyn Fn(Copied),
) -> Result<CopyReport, StoreError> {
    let mut report = CopyReport::default();
    let (days, keys) = (selection.days(from)?, selection.columns(from)?);
    let total = (days.len() + keys.len()) as u64;
    let mut done = 0;
    let mut step = |item: String| {
        done += 1;
        progress(Copied { item, done, total });
    };
    for (dataset, symbol, day) in days {
        match copy_day(from, to, dataset, &symbol, day)? {
            Some(Moved::Copied(rows)) => {
                report.days += 1;
                report.rows += rows;
            }
            Some(Moved::There) => report.unchanged_days += 1,
            None => {}
        }
        step(format!("{dataset} {symbol} {day}"));
    }
    for key in keys {
        let missing = to.columns_manifest(&key)? != from.columns_manifest(&key)?;
        if let Some(columns) = if missing { from.load_columns(&key)? } else { None } {
            let named = columns.names().iter().enumerate();
            let values: Vec<NamedColumn<'_>> =
                named.filter_map(|(i, name)| Some(NamedColumn { name, values: columns.column(i)? })).collect();
            to.put_columns(&key, columns.ts_ns(), columns.seq(), &values)?;
            report.columns += 1;
        }
        step(key.to_string());
    }
    if selection.is_all() {
        for variety in from.schedules()? {
            if let Some(schedule) = from.load_schedule(&variety)? {
                to.put_schedule(&schedule)?;
                report.schedules += 1;
            }
        }
        for (collection, name) in from.records()? {
            if let Some(json) = from.load_record(&collection, &name)? {
                to.put_record(&collection, &name, &json)?;
                report.records += 1;
            }
        }
    }
    to.flush()?;
    Ok(report)
}

/// A symbol-day that two stores do not hold alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayDifference {
    /// Dataset, symbol and day, the columns' key, or the schedule or record.
    pub what: String,
    /// Digest in the one store, `None` if it is not there.
    pub here: Option<String>,
    /// Digest in the other store, `None` if it is not there.
    pub there: Option<String>,
}

/// Everything that two stores do not hold alike, by manifest: files, rows, what decided them. Also gives how much was compared.
///
/// # Errors
/// As [`Store::manifest`] of either.
pub fn differences(
    here: &dyn Store,
    there: &dyn Store,
    selection: &CopySelection,
) -> Result<(u64, Vec<DayDifference>), StoreError> {
    let mut compared = 0;
    let mut found = Vec::new();
    let mut compare = |what: String, here: Option<(String, Digest)>, there: Option<(String, Digest)>| {
        compared += 1;
        if here.as_ref().map(|h| &h.1) != there.as_ref().map(|t| &t.1) {
            found.push(DayDifference { what, here: here.map(|h| h.0), there: there.map(|t| t.0) });
        }
    };
    // The shown digest is that of the rows; compared is everything that the manifest says.
    fn whole<T: Serialize>(shown: String, value: &T) -> (String, Digest) {
        (shown, Digest::of(serde_json::to_string(value).unwrap_or_default().as_bytes()))
    }
    let days: BTreeSet<_> = selection.days(here)?.into_iter().chain(selection.days(there)?).collect();
    for (dataset, symbol, day) in days {
        let of = |store: &dyn Store| -> Result<_, StoreError> {
            Ok(store.manifest(dataset, &symbol, day)?.map(|m| whole(m.sha256.to_string(), &m)))
        };
        compare(format!("{dataset} {symbol} {day}"), of(here)?, of(there)?);
    }
    let keys: BTreeSet<_> = selection.columns(here)?.into_iter().chain(selection.columns(there)?).collect();
    for key in keys {
        let of = |store: &dyn Store| -> Result<_, StoreError> {
            Ok(store.columns_manifest(&key)?.map(|m| whole(m.sha256.to_string(), &m)))
        };
        compare(key.to_string(), of(here)?, of(there)?);
    }
    if selection.is_all() {
        let varieties: BTreeSet<_> = here.schedules()?.into_iter().chain(there.schedules()?).collect();
        for variety in varieties {
            let of = |store: &dyn Store| -> Result<_, StoreError> {
                Ok(store.load_schedule(&variety)?.map(|s| whole(s.hash().to_owned(), &s)))
            };
            compare(format!("main schedule {variety}"), of(here)?, of(there)?);
        }
        let records: BTreeSet<_> = here.records()?.into_iter().chain(there.records()?).collect();
        for (collection, name) in records {
            let of = |store: &dyn Store| -> Result<_, StoreError> {
                let json = store.load_record(&collection, &name)?;
                Ok(json.map(|json| whole(Digest::of(json.to_string().as_bytes()).short16(), &json)))
            };
            compare(format!("record {collection} {name}"), of(here)?, of(there)?);
        }
    }
    Ok((compared, found))
}
