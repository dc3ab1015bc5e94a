//! Dated exchange fees.

use crate::table::{self, RowKey};
use crate::{ExchangeError, Offset};
use ghtrader_core::{ContractId, TradingDay, Variety};

/// A fee: a share of the turnover and CNY a lot; either may be 0, both add.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FeeRate {
    /// Share of price × multiplier × lots.
    pub rate: f64,
    /// CNY a lot.
    pub per_lot_cny: f64,
}

/// The fee of a trade, CNY, not rounded: lots × (rate × price × multiplier + CNY a lot).
#[inline]
pub fn fee_cny(rate: FeeRate, price_cny: f64, multiplier: f64, lots: u32) -> f64 {
    f64::from(lots) * (rate.rate * price_cny * multiplier + rate.per_lot_cny)
}

/// The fees of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FeeRates {
    /// Opening.
    pub open: FeeRate,
    /// Closing lots of earlier days.
    pub close: FeeRate,
    /// Closing lots of the same day.
    pub close_today: FeeRate,
}

/// The fees of a product from a trading day on.
#[derive(Debug, Clone, PartialEq)]
pub struct FeeRow {
    /// What the row is for.
    pub key: RowKey,
    /// The fees.
    pub rates: FeeRates,
}

impl FeeRates {
    /// The fee of an offset; `Auto` has none of its own and counts as `Open`.
    pub const fn of(&self, offset: Offset) -> FeeRate {
        match offset {
            Offset::Auto | Offset::Open => self.open,
            Offset::Close => self.close,
            Offset::CloseToday => self.close_today,
        }
    }
}

/// Fees by product, contract and date.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FeeTable {
    rows: Vec<FeeRow>,
}

const NUMBERS: [&str; 6] =
    ["open_rate", "open_per_lot_cny", "close_rate", "close_per_lot_cny", "close_today_rate", "close_today_per_lot_cny"];

impl FeeTable {
    /// A table of these rows.
    pub fn new(rows: Vec<FeeRow>) -> Self {
        Self { rows }
    }

    /// Rows for the products of SHFE at rates of the usual size; none is confirmed.
    pub fn builtin() -> Self {
        let by_turnover = |rate| FeeRate { rate, per_lot_cny: 0.0 };
        let by_lot = |per_lot_cny| FeeRate { rate: 0.0, per_lot_cny };
        let rows = [
            ("cu", by_turnover(0.00005), by_turnover(0.0001)),
            ("au", by_lot(10.0), by_lot(0.0)),
            ("ag", by_turnover(0.00005), by_turnover(0.00005)),
        ];
        let row = |(product, open, close_today)| {
            let key = builtin_key(product)?;
            Some(FeeRow { key, rates: FeeRates { open, close: open, close_today } })
        };
        let others = OTHER_PRODUCTS.iter().map(|product| (*product, by_turnover(0.0001), by_turnover(0.0001)));
        Self { rows: rows.into_iter().chain(others).filter_map(row).collect() }
    }

    /// The rows as given.
    pub fn rows(&self) -> &[FeeRow] {
        &self.rows
    }

    /// The row for a contract on a trading day: a contract pattern beats the product row, then the newest wins.
    ///
    /// # Errors
    /// `FeeRowMissing` when no row is valid.
    pub fn lookup(&self, contract: &ContractId, day: TradingDay) -> Result<&FeeRow, ExchangeError> {
        table::newest(&self.rows, |r| &r.key, contract, day)
            .ok_or_else(|| ExchangeError::FeeRowMissing { contract: contract.to_string(), day })
    }

    /// Reads a table from text: a header line, then a row a line, comma-separated; `#` starts a comment line.
    ///
    /// # Errors
    /// Every bad line.
    pub fn parse(text: &str) -> Result<Self, Vec<ExchangeError>> {
        let rows = table::parse("fee", NUMBERS, text)?;
        let rate = |rate, per_lot_cny| FeeRate { rate, per_lot_cny };
        let row = |(key, n): (RowKey, [f64; 6])| FeeRow {
            key,
            rates: FeeRates { open: rate(n[0], n[1]), close: rate(n[2], n[3]), close_today: rate(n[4], n[5]) },
        };
        Ok(Self { rows: rows.into_iter().map(row).collect() })
    }

    /// The canonical text, which [`Self::parse`] reads back; a table's digest is that of this text.
    pub fn to_text(&self) -> String {
        let numbers = |r: &FeeRow| {
            let FeeRates { open, close, close_today } = r.rates;
            [open.rate, open.per_lot_cny, close.rate, close.per_lot_cny, close_today.rate, close_today.per_lot_cny]
        };
        table::write(NUMBERS, self.rows.iter().map(|r| (r.key.clone(), numbers(r))))
    }
}

/// Products of SHFE beside cu, au and ag: importable, and runnable at rates of the usual size.
pub(crate) const OTHER_PRODUCTS: [&str; 15] =
    ["ad", "al", "ao", "br", "bu", "fu", "hc", "ni", "pb", "rb", "ru", "sn", "sp", "wr", "zn"];

/// The key of an unconfirmed built-in row, valid since ever.
pub(crate) fn builtin_key(product: &str) -> Option<RowKey> {
    Some(RowKey {
        product: Variety::new(ghtrader_core::Exchange::Shfe, product).ok()?,
        contract_pattern: None,
        valid_from: TradingDay::from_ymd(2000, 1, 1)?,
        valid_to: None,
        source: "usual size; not checked against an exchange notice".to_owned(),
        confirmed: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "product,contract_pattern,valid_from,valid_to,open_rate,open_per_lot_cny,close_rate,\
                          close_per_lot_cny,close_today_rate,close_today_per_lot_cny,source,confirmed\n";

    /// B-10
    #[test]
    fn newest_row_wins_and_a_pattern_beats_it() {
        let text = HEADER.to_owned()
            + "cu,,2020-01-02,,0.00005,0,0.00005,0,0.0001,0,a,true\n"
            + "cu,,2025-07-01,,0.00006,0,0.00006,0,0.0001,0,b,true\n"
            + "cu,cu2602,2024-01-01,2025-12-31,0,3,0,3,0,0,c,false\n";
        let table = FeeTable::parse(&text).unwrap();
        assert_eq!(table.to_text(), text.replace("\ncu,", "\nSHFE.cu,"));
        assert_eq!(FeeTable::parse(&table.to_text()).unwrap(), table);
        let source = |contract: &str, day: &str| {
            table.lookup(&contract.parse().unwrap(), day.parse().unwrap()).map(|r| r.key.source.clone())
        };
        assert_eq!(source("cu2509", "2025-06-30").unwrap(), "a");
        assert_eq!(source("cu2509", "2025-07-01").unwrap(), "b");
        assert_eq!(source("cu2602", "2025-07-01").unwrap(), "c");
        assert_eq!(source("cu2602", "2026-01-05").unwrap(), "b");
        assert_eq!(source("cu2509", "2019-12-31").unwrap_err().code(), "fee_row_missing");
        assert_eq!(source("al2509", "2025-07-01").unwrap_err().code(), "fee_row_missing");
    }

    #[test]
    fn every_bad_line_is_named() {
        let text =
            HEADER.to_owned() + "cu,,2020-01-02,,-1,0,0,0,0,0,a,true\n\ncu,,2020-13-02,,0,0,0,0,0,0,a,true\ncu\n";
        let errors = FeeTable::parse(&text).unwrap_err();
        let lines: Vec<usize> = errors
            .iter()
            .map(|e| match e {
                ExchangeError::TableLine { line, .. } => *line,
                other => panic!("{other}"),
            })
            .collect();
        assert_eq!(lines, [2, 4, 5]);
    }

    #[test]
    fn built_in_rows_are_not_confirmed() {
        let table = FeeTable::builtin();
        assert_eq!(table.rows().len(), 3 + OTHER_PRODUCTS.len());
        assert!(table.rows().iter().all(|r| !r.key.confirmed));
    }
}
