//! Days of one store in another.

use crate::{Dataset, Store, StoreError};
use ghtrader_core::TradingDay;

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
        let Some(manifest) = from.manifest(dataset, symbol, day)? else { continue };
        let rows = from.read_day(dataset, symbol, day)?;
        to.put_day(dataset, symbol, day, &rows.view(), &manifest.meta())?;
        copied += 1;
    }
    Ok(copied)
}
