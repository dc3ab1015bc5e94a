//! Quotes: the newest book of a symbol.

use super::document::Document;
use super::value::{lots, number};
use crate::datetime_text;
use ghtrader_core::L5_LEVELS;
use serde_json::Value;

/// One side of one level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuoteLevel {
    /// CNY per quoted unit; NaN for an empty level.
    pub price: f64,
    /// Lots; 0 for an empty level.
    pub lots: f64,
}

/// The newest book and prices of a symbol. Prices are NaN where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Quote {
    /// Exchange time, ns since the epoch.
    pub ts_ns: i64,
    /// Last price.
    pub last_price: f64,
    /// Volume of the trading day, lots.
    pub volume: f64,
    /// Open interest, lots.
    pub open_interest: f64,
    /// Settlement price of the day before.
    pub pre_settlement: f64,
    /// Upper and lower limit price.
    pub limits: (f64, f64),
    /// Best bid first.
    pub bids: [QuoteLevel; L5_LEVELS],
    /// Best ask first.
    pub asks: [QuoteLevel; L5_LEVELS],
}

impl Quote {
    /// Reads a symbol's quote; `None` if there is none, or none with a time yet.
    pub fn read(document: &Document, symbol: &str) -> Option<Self> {
        let quote = document.get(&["quotes", symbol])?;
        let ts_ns = datetime_text(quote.get("datetime")?.as_str()?.as_bytes()).ok()?;
        let side = |side: &str| {
            std::array::from_fn(|level| {
                let member = |what: &str| quote.get(format!("{side}_{what}{}", level + 1));
                QuoteLevel { price: number(member("price")), lots: lots(member("volume")) }
            })
        };
        let price = |name: &str| number(quote.get(name));
        Some(Self {
            ts_ns,
            last_price: price("last_price"),
            volume: price("volume"),
            open_interest: price("open_interest"),
            pre_settlement: price("pre_settlement"),
            limits: (price("upper_limit"), price("lower_limit")),
            bids: side("bid"),
            asks: side("ask"),
        })
    }
}

/// The contract that a continuous symbol stands for, if the server has told.
pub fn underlying_symbol<'d>(document: &'d Document, symbol: &str) -> Option<&'d str> {
    document.get(&["quotes", symbol, "underlying_symbol"]).and_then(Value::as_str).filter(|s| !s.is_empty())
}
