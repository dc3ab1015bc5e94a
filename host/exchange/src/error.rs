//! What this crate refuses.

use ghtrader_core::{ErrorClass, Problem, TradingDay};

/// A refusal of the simulated exchange or of its tables.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExchangeError {
    /// A price lies between two price ticks.
    #[error("row {row}: {column} = {value} is no multiple of the price tick {price_tick}")]
    OffGrid {
        /// Row in the day.
        row: usize,
        /// The column's name.
        column: &'static str,
        /// The price, CNY.
        value: f64,
        /// The price tick, CNY.
        price_tick: f64,
    },
    /// A count that was made on both sides is odd.
    #[error("{what} = {value} is odd, but counts of this day are double-sided")]
    OddDoubleSided {
        /// `volume` or `open_interest`, with its row where there is one.
        what: String,
        /// The count, lots.
        value: f64,
    },
    /// A setting or table value outside its bound.
    #[error("{key} = {value} is not {bound}")]
    BadValue {
        /// What is set.
        key: String,
        /// The value as given.
        value: String,
        /// What it may be.
        bound: String,
    },
    /// No fee row is valid.
    #[error("no fee row for {contract} on {day}")]
    FeeRowMissing {
        /// The contract.
        contract: String,
        /// The trading day.
        day: TradingDay,
    },
    /// No margin row is valid.
    #[error("no margin row for {contract} on {day}")]
    MarginRowMissing {
        /// The contract.
        contract: String,
        /// The trading day.
        day: TradingDay,
    },
    /// A line of a table file cannot be read.
    #[error("line {line} of the {table} table: {reason}")]
    TableLine {
        /// `fee` or `margin`.
        table: &'static str,
        /// 1-based line.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

impl ExchangeError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OffGrid { .. } => "off_grid",
            Self::OddDoubleSided { .. } => "odd_double_sided",
            Self::BadValue { .. } => "bad_value",
            Self::FeeRowMissing { .. } => "fee_row_missing",
            Self::MarginRowMissing { .. } => "margin_row_missing",
            Self::TableLine { .. } => "bad_table_line",
        }
    }
}

impl From<ExchangeError> for Problem {
    fn from(error: ExchangeError) -> Self {
        let remedy = match &error {
            ExchangeError::OffGrid { .. } => {
                "check the contract table's price tick of that day, or import the day again"
            }
            ExchangeError::OddDoubleSided { .. } => "check the source file; the day's volume cannot be matched",
            ExchangeError::BadValue { .. } => "give a value within the bound",
            ExchangeError::FeeRowMissing { .. } => "add a row to the fee table, or begin on a later day",
            ExchangeError::MarginRowMissing { .. } => "add a row to the margin table, or begin on a later day",
            ExchangeError::TableLine { .. } => "mend the line; the first line of the file names its columns",
        };
        Self::new(error.code(), ErrorClass::User, error.to_string(), remedy)
    }
}
