//! What the exchange says about a contract: multiplier, price tick, last trading day.

use crate::{Calendar, ContractId, ErrorClass, Exchange, Problem, TradingDay, Variety, Weekday};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A price may be off the grid by this share of a tick, for the rounding of decimal fractions.
const GRID_TOLERANCE_TICKS: f64 = 1e-6;

/// Multiplier and price tick of a product on a date.
#[derive(Debug, Clone, PartialEq)]
pub struct ContractSpec {
    /// Quoted units in one lot: CNY of turnover = price × lots × multiplier.
    pub multiplier: f64,
    /// Smallest price step, CNY per quoted unit.
    pub price_tick: f64,
    /// The same as the exchange writes it, exact.
    pub price_tick_text: String,
}

impl ContractSpec {
    /// The price in whole ticks; `None` for NaN and for a price that is off the grid by more than 1e-6 tick.
    #[inline]
    pub fn price_to_ticks(&self, price: f64) -> Option<i64> {
        let ticks = price / self.price_tick;
        let whole = ticks.round();
        ((ticks - whole).abs() <= GRID_TOLERANCE_TICKS).then_some(whole as i64)
    }

    /// The price of a number of ticks, as near as f64 gets to the decimal number.
    #[inline]
    pub fn ticks_to_price(&self, ticks: i64) -> f64 {
        // A tick such as 0.02 has no exact f64, its inverse 50 has: dividing rounds once, multiplying twice.
        if self.price_tick < 1.0 {
            let inverse = (1.0 / self.price_tick).round();
            if 1.0 / inverse == self.price_tick {
                return ticks as f64 / inverse;
            }
        }
        ticks as f64 * self.price_tick
    }
}

/// A product that the contract table does not know, or a row that it cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No row for the product on that date.
    #[error("the contract table has no multiplier and price tick for {variety} on {on}")]
    Unknown {
        /// The product.
        variety: Variety,
        /// The date.
        on: TradingDay,
    },
    /// A multiplier or tick that is no positive decimal number.
    #[error("{what} of {variety} is `{text}`, which is no positive decimal number")]
    BadNumber {
        /// The product.
        variety: Variety,
        /// Multiplier or price tick.
        what: &'static str,
        /// The text as given.
        text: String,
    },
}

impl From<SpecError> for Problem {
    fn from(e: SpecError) -> Self {
        let (code, remedy) = match &e {
            SpecError::Unknown { .. } => {
                ("unknown_contract", "add the product with its multiplier and price tick to the contract table")
            }
            SpecError::BadNumber { .. } => ("bad_contract_row", "write a number such as 0.02"),
        };
        Self::new(code, ErrorClass::User, e.to_string(), remedy)
    }
}

/// Multipliers and price ticks by product and date.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContractTable {
    rows: BTreeMap<Variety, BTreeMap<TradingDay, ContractSpec>>,
}

/// Exchange, product, since which day, multiplier, price tick. Source: the exchanges' contract specifications.
const BUILTIN: &[(Exchange, &str, u32, &str, &str)] = &[
    (Exchange::Shfe, "cu", 20000101, "5", "10"),
    (Exchange::Shfe, "al", 20000101, "5", "5"),
    (Exchange::Shfe, "zn", 20070326, "5", "5"),
    (Exchange::Shfe, "pb", 20131223, "5", "5"),
    (Exchange::Shfe, "ni", 20150327, "1", "10"),
    (Exchange::Shfe, "sn", 20150327, "1", "10"),
    (Exchange::Shfe, "ao", 20230619, "20", "1"),
    (Exchange::Shfe, "ad", 20250610, "10", "5"),
    (Exchange::Shfe, "au", 20080109, "1000", "0.05"),
    (Exchange::Shfe, "au", 20200101, "1000", "0.02"),
    (Exchange::Shfe, "ag", 20120510, "15", "1"),
    (Exchange::Shfe, "rb", 20090327, "10", "1"),
    (Exchange::Shfe, "wr", 20090327, "10", "1"),
    (Exchange::Shfe, "hc", 20140321, "10", "1"),
    (Exchange::Shfe, "ss", 20190925, "5", "5"),
    (Exchange::Shfe, "ru", 20130101, "10", "5"),
    (Exchange::Shfe, "fu", 20180716, "10", "1"),
    (Exchange::Shfe, "sp", 20181127, "10", "2"),
    (Exchange::Shfe, "br", 20230728, "5", "5"),
    (Exchange::Ine, "sc", 20180326, "1000", "0.1"),
    (Exchange::Ine, "nr", 20190812, "10", "5"),
    (Exchange::Ine, "lu", 20200622, "10", "1"),
    (Exchange::Ine, "bc", 20201119, "5", "10"),
    (Exchange::Dce, "bb", 20131206, "500", "0.05"),
    (Exchange::Cffex, "IF", 20100416, "300", "0.2"),
    (Exchange::Cffex, "IH", 20150416, "300", "0.2"),
    (Exchange::Cffex, "IC", 20150416, "200", "0.2"),
    (Exchange::Cffex, "IM", 20220722, "200", "0.2"),
];

impl ContractTable {
    /// The built-in table.
    pub fn builtin() -> &'static Self {
        static TABLE: LazyLock<ContractTable> = LazyLock::new(|| {
            let mut table = ContractTable::default();
            for &(exchange, product, since, multiplier, tick) in BUILTIN {
                let since = TradingDay::from_ymd((since / 10_000) as i32, since / 100 % 100, since % 100);
                if let (Ok(v), Some(since)) = (Variety::new(exchange, product), since) {
                    let added = table.add(&v, since, multiplier, tick);
                    debug_assert!(added.is_ok(), "{v}");
                }
            }
            table
        });
        &TABLE
    }

    /// Adds a row, or replaces the one of the same product and day: from `since` on these values hold.
    ///
    /// # Errors
    /// `BadNumber` unless both are positive decimal numbers.
    pub fn add(&mut self, v: &Variety, since: TradingDay, multiplier: &str, price_tick: &str) -> Result<(), SpecError> {
        let number = |what: &'static str, text: &str| {
            let plain = text.bytes().all(|c| c.is_ascii_digit() || c == b'.');
            let value = text.parse::<f64>().ok().filter(|n| plain && n.is_finite() && *n > 0.0);
            value.ok_or_else(|| SpecError::BadNumber { variety: v.clone(), what, text: text.to_owned() })
        };
        let spec = ContractSpec {
            multiplier: number("multiplier", multiplier)?,
            price_tick: number("price tick", price_tick)?,
            price_tick_text: price_tick.to_owned(),
        };
        self.rows.entry(v.clone()).or_default().insert(since, spec);
        Ok(())
    }

    /// The values that hold on a date.
    ///
    /// # Errors
    /// `Unknown` if the product is not in the table, or not yet on that date.
    pub fn spec(&self, v: &Variety, on: TradingDay) -> Result<&ContractSpec, SpecError> {
        let row = self.rows.get(v).and_then(|by_day| by_day.range(..=on).next_back());
        row.map(|(_, spec)| spec).ok_or_else(|| SpecError::Unknown { variety: v.clone(), on })
    }

    /// The products in the table.
    pub fn varieties(&self) -> impl Iterator<Item = &Variety> {
        self.rows.keys()
    }
}

/// Multiplier and price tick of a product by the built-in table.
///
/// # Errors
/// `Unknown` if the product is not in the table, or not yet on that date; a tick is never guessed.
pub fn contract_spec(v: &Variety, on: TradingDay) -> Result<ContractSpec, SpecError> {
    ContractTable::builtin().spec(v, on).cloned()
}

/// Volume, turnover and open interest count both sides of each trade: all but CFFEX before 2020-01-01.
pub fn is_double_sided(exchange: Exchange, day: TradingDay) -> bool {
    exchange != Exchange::Cffex && day.ymd().0 < 2020
}

/// Year and month of delivery; `None` where the exchange writes one digit of the year only (CZCE).
pub fn delivery_month(contract: &ContractId) -> Option<(i32, u32)> {
    let yymm: u32 = contract.delivery().parse().ok().filter(|_| contract.delivery().len() == 4)?;
    Some((2000 + (yymm / 100) as i32, yymm % 100))
}

/// The last trading day of a contract.
///
/// SHFE: the 15th of the delivery month, or the next trading day. CFFEX index futures: the third Friday, or the next
/// trading day. `None` where the rule is another (fuel oil, bonds, other exchanges) or the calendar ends before.
pub fn last_trading_day(contract: &ContractId, calendar: &Calendar) -> Option<TradingDay> {
    let (year, month) = delivery_month(contract)?;
    let v = contract.variety();
    let due = match v.exchange() {
        Exchange::Shfe if v.product() != "fu" => TradingDay::from_ymd(year, month, 15)?,
        Exchange::Cffex if matches!(v.product(), "IF" | "IH" | "IC" | "IM") => {
            let day = |d| TradingDay::from_ymd(year, month, d).filter(|d| d.weekday() == Weekday::Friday);
            (15..=21).find_map(day)?
        }
        _ => return None,
    };
    calendar.next_trading_day(due.plus_days(-1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(v: &str, on: &str) -> Result<(f64, String), SpecError> {
        contract_spec(&v.parse().unwrap(), on.parse().unwrap()).map(|s| (s.multiplier, s.price_tick_text))
    }

    /// D-02
    #[test]
    fn values_are_dated_and_never_guessed() {
        for (v, on, want) in [
            ("cu", "2025-07-18", (5.0, "10")),
            ("au", "2019-12-31", (1000.0, "0.05")),
            ("au", "2020-01-02", (1000.0, "0.02")),
            ("ag", "2017-11-13", (15.0, "1")),
            ("ad", "2025-07-18", (10.0, "5")),
            ("wr", "2025-07-18", (10.0, "1")),
            ("ru", "2018-10-09", (10.0, "5")),
            ("DCE.bb", "2025-07-18", (500.0, "0.05")),
            ("CFFEX.IF", "2025-07-18", (300.0, "0.2")),
        ] {
            assert_eq!(spec(v, on), Ok((want.0, want.1.to_owned())), "{v} {on}");
        }
        for (v, on) in [("zz", "2025-07-18"), ("ad", "2025-06-09")] {
            let e = spec(v, on).unwrap_err();
            assert_eq!(Problem::from(e).code, "unknown_contract");
        }
    }

    /// D-02
    #[test]
    fn own_products_extend_the_table() {
        let mut table = ContractTable::builtin().clone();
        let (v, since) = ("DCE.xx".parse().unwrap(), "2024-01-01".parse().unwrap());
        for bad in ["0", "-1", "1e1", "", "x", "NaN", "inf"] {
            assert!(table.add(&v, since, "10", bad).is_err(), "{bad}");
        }
        table.add(&v, since, "10", "0.5").unwrap();
        assert_eq!(table.spec(&v, "2025-01-02".parse().unwrap()).map(|s| s.price_tick), Ok(0.5));
    }

    #[test]
    fn prices_lie_on_the_grid() {
        let s = contract_spec(&"au".parse().unwrap(), "2025-07-18".parse().unwrap()).unwrap();
        assert_eq!(s.price_to_ticks(780.46), Some(39_023));
        assert_eq!(s.price_to_ticks(780.47), None);
        assert_eq!(s.price_to_ticks(f64::NAN), None);
    }

    #[test]
    fn last_days() {
        for (c, want) in [
            ("cu1909", Some("2019-09-16")),
            ("cu2602", Some("2026-02-24")),
            ("cu2508", Some("2025-08-15")),
            ("CFFEX.IF2509", Some("2025-09-19")),
            ("DCE.bb2511", None),
        ] {
            let day = last_trading_day(&c.parse().unwrap(), Calendar::builtin()).map(|d| d.to_string());
            assert_eq!(day.as_deref(), want, "{c}");
        }
    }

    #[test]
    fn counting_changed_in_2020() {
        let (old, new) = ("2019-12-31".parse().unwrap(), "2020-01-02".parse().unwrap());
        assert!(is_double_sided(Exchange::Shfe, old) && !is_double_sided(Exchange::Shfe, new));
        assert!(!is_double_sided(Exchange::Cffex, old));
    }
}
