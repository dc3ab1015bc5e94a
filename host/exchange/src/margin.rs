//! Dated margin rates and the margin of positions.

use crate::ExchangeError;
use crate::fees::{OTHER_PRODUCTS, builtin_key};
use crate::table::{self, RowKey};
use ghtrader_core::{ContractId, TradingDay};

/// The margin rates of a product from a trading day on.
#[derive(Debug, Clone, PartialEq)]
pub struct MarginRow {
    /// What the row is for.
    pub key: RowKey,
    /// Share of the value of long lots.
    pub long_rate: f64,
    /// Share of the value of short lots.
    pub short_rate: f64,
}

/// Margin rates by product, contract and date.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MarginTable {
    rows: Vec<MarginRow>,
}

const NUMBERS: [&str; 2] = ["long_rate", "short_rate"];

impl MarginTable {
    /// A table of these rows.
    pub fn new(rows: Vec<MarginRow>) -> Self {
        Self { rows }
    }

    /// Rows for the products of SHFE at rates of the usual size; none is confirmed.
    pub fn builtin() -> Self {
        let row = |(product, rate)| Some(MarginRow { key: builtin_key(product)?, long_rate: rate, short_rate: rate });
        let others = OTHER_PRODUCTS.iter().map(|product| (*product, 0.10));
        Self { rows: [("cu", 0.09), ("au", 0.12), ("ag", 0.12)].into_iter().chain(others).filter_map(row).collect() }
    }

    /// The rows as given.
    pub fn rows(&self) -> &[MarginRow] {
        &self.rows
    }

    /// The row for a contract on a trading day: a contract pattern beats the product row, then the newest wins.
    ///
    /// # Errors
    /// `MarginRowMissing` when no row is valid.
    pub fn lookup(&self, contract: &ContractId, day: TradingDay) -> Result<&MarginRow, ExchangeError> {
        table::newest(&self.rows, |r| &r.key, contract, day)
            .ok_or_else(|| ExchangeError::MarginRowMissing { contract: contract.to_string(), day })
    }

    /// Reads a table from text: a header line, then a row a line, comma-separated; `#` starts a comment line.
    ///
    /// # Errors
    /// Every bad line.
    pub fn parse(text: &str) -> Result<Self, Vec<ExchangeError>> {
        let rows = table::parse("margin", NUMBERS, text)?;
        let row = |(key, [long_rate, short_rate]): (RowKey, [f64; 2])| MarginRow { key, long_rate, short_rate };
        Ok(Self { rows: rows.into_iter().map(row).collect() })
    }

    /// The canonical text, which [`Self::parse`] reads back; a table's digest is that of this text.
    pub fn to_text(&self) -> String {
        table::write(NUMBERS, self.rows.iter().map(|r| (r.key.clone(), [r.long_rate, r.short_rate])))
    }
}

/// The margin value of one contract's lots before rates are compared: CNY on each side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MarginPosition<'a> {
    /// The product that the larger side is taken within.
    pub product: &'a str,
    /// Σ rate × multiplier × lots × price over long lots, CNY: open price today, previous settlement before.
    pub long_cny: f64,
    /// The same over short lots.
    pub short_cny: f64,
}

impl<'a> MarginPosition<'a> {
    /// From lots and the prices that margin is taken at.
    ///
    /// `long` and `short` are (price CNY, lots); `rates` are long and short.
    pub fn new(
        product: &'a str,
        multiplier: f64,
        rates: (f64, f64),
        long: impl Iterator<Item = (f64, u32)>,
        short: impl Iterator<Item = (f64, u32)>,
    ) -> Self {
        let value = |rate| move |(price_cny, lots)| lots_margin_cny(multiplier, rate, lots, price_cny);
        let long_cny = long.map(value(rates.0)).sum();
        let short_cny = short.map(value(rates.1)).sum();
        Self { product, long_cny, short_cny }
    }
}

/// Margin of lots opened together, CNY: rate × multiplier × lots × price.
#[inline]
pub(crate) fn lots_margin_cny(multiplier: f64, rate: f64, lots: u32, price_cny: f64) -> f64 {
    multiplier * rate * f64::from(lots) * price_cny
}

/// Margin of all positions, CNY: with `large_side` the larger side of each product, else both sides.
#[inline]
pub fn margin_cny(positions: &[MarginPosition<'_>], large_side: bool) -> f64 {
    if !large_side {
        return positions.iter().map(|p| p.long_cny + p.short_cny).sum();
    }
    let mut total = 0.0;
    for (at, first) in positions.iter().enumerate() {
        if positions[..at].iter().any(|p| p.product == first.product) {
            continue;
        }
        let same = positions[at..].iter().filter(|p| p.product == first.product);
        let (long, short) = same.fold((0.0, 0.0), |(l, s), p| (l + p.long_cny, s + p.short_cny));
        total += f64::max(long, short);
    }
    total
}
