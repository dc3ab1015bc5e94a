//! What a source did not give: days that it has no rows of, and days that were given up, with the reason.

use ghtrader_core::{ContractId, TradingDay};
use ghtrader_market::diff::SkipReason;
use ghtrader_store::{Store, StoreError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet};

/// The store's collection of days that were asked for and have no rows, a record a symbol.
pub const EMPTY_DAYS: &str = "empty_days";
/// The store's collection of days that were given up, a record a symbol.
pub const SKIP_LEDGER: &str = "skip_ledger";

/// A day that was given up. It leaves the ledger when it is stored, or known to be empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skip {
    /// Why.
    pub reason: SkipReason,
    /// Tries that failed.
    pub attempts: u32,
    /// Time spent waiting between them, seconds.
    pub waited_s: u64,
    /// The last failure.
    pub error: String,
}

fn load<T: DeserializeOwned + Default>(store: &dyn Store, what: &str, symbol: &ContractId) -> Result<T, StoreError> {
    let record = store.load_record(what, &symbol.to_string())?;
    // A record of another shape is of another version: what it says is found out anew.
    Ok(record.and_then(|r| serde_json::from_value(r).ok()).unwrap_or_default())
}

fn save<T: Serialize>(store: &dyn Store, what: &str, symbol: &ContractId, body: &T) -> Result<(), StoreError> {
    let json = serde_json::to_value(body).unwrap_or_default();
    store.put_record(what, &symbol.to_string(), &json)
}

/// Days of a contract that a source was asked for and has no rows of.
///
/// # Errors
/// As [`Store::load_record`].
pub fn load_empty_days(store: &dyn Store, symbol: &ContractId) -> Result<BTreeSet<TradingDay>, StoreError> {
    load(store, EMPTY_DAYS, symbol)
}

/// Days of a contract that were given up.
///
/// # Errors
/// As [`Store::load_record`].
pub fn load_skips(store: &dyn Store, symbol: &ContractId) -> Result<BTreeMap<TradingDay, Skip>, StoreError> {
    load(store, SKIP_LEDGER, symbol)
}

/// The ledger of one contract while it is worked on; every change is written at once.
pub(crate) struct Ledger<'s> {
    store: &'s dyn Store,
    symbol: ContractId,
    pub(crate) empty: BTreeSet<TradingDay>,
    skips: BTreeMap<TradingDay, Skip>,
}

impl<'s> Ledger<'s> {
    pub(crate) fn open(store: &'s dyn Store, symbol: &ContractId) -> Result<Self, StoreError> {
        let (empty, skips) = (load_empty_days(store, symbol)?, load_skips(store, symbol)?);
        Ok(Self { store, symbol: symbol.clone(), empty, skips })
    }

    /// The source has no rows of these days.
    pub(crate) fn found_empty(&mut self, days: &[TradingDay]) -> Result<(), StoreError> {
        let before = self.empty.len();
        self.empty.extend(days);
        if self.empty.len() != before {
            save(self.store, EMPTY_DAYS, &self.symbol, &self.empty)?;
        }
        days.iter().try_for_each(|day| self.forgive(*day))
    }

    /// The day has rows, whatever was said of it before.
    pub(crate) fn found_rows(&mut self, day: TradingDay) -> Result<(), StoreError> {
        if self.empty.remove(&day) {
            save(self.store, EMPTY_DAYS, &self.symbol, &self.empty)?;
        }
        self.forgive(day)
    }

    fn forgive(&mut self, day: TradingDay) -> Result<(), StoreError> {
        if self.skips.remove(&day).is_some() {
            save(self.store, SKIP_LEDGER, &self.symbol, &self.skips)?;
        }
        Ok(())
    }

    /// These days were given up.
    pub(crate) fn skip(&mut self, days: &[TradingDay], skip: &Skip) -> Result<(), StoreError> {
        self.skips.extend(days.iter().map(|d| (*d, skip.clone())));
        save(self.store, SKIP_LEDGER, &self.symbol, &self.skips)
    }
}
