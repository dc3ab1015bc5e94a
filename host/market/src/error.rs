use ghtrader_core::{CalendarError, ErrorClass, Problem, SpecError, SymbolError, TradingDay};
use std::path::PathBuf;

/// A file that cannot be read as ticks. Rows that cannot be read are no errors of the file: see [`crate::Reject`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MarketError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// No byte, or a header without rows.
    #[error("{} holds no rows", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Not text.
    #[error("{} is no text: byte {byte:#04x} at offset {offset}", path.display())]
    Binary {
        /// The file.
        path: PathBuf,
        /// The first byte that no text has.
        byte: u8,
        /// Its position, after decompression.
        offset: usize,
    },
    /// The gzip stream ends early or its checksum is wrong.
    #[error("{} is a damaged gzip file: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        reason: String,
    },
    /// The last line breaks off.
    #[error("{} breaks off in line {line}, which has {fields} of {expected} fields", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The last line.
        line: u64,
        /// Fields found there.
        fields: usize,
        /// Fields expected.
        expected: usize,
    },
    /// No known header, or one that lacks a column.
    #[error("{}: {reason}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Rows or columns of two contracts.
    #[error("{} mixes symbols: `{other}` in line {line} of a file of `{first}`", path.display())]
    MixedSymbols {
        /// The file.
        path: PathBuf,
        /// Where the second one stands.
        line: u64,
        /// The first symbol.
        first: String,
        /// The second symbol.
        other: String,
    },
    /// Nothing says which contract the rows belong to.
    #[error("{}: no contract is named in header, rows or file name", path.display())]
    NoSymbol {
        /// The file.
        path: PathBuf,
    },
    /// The name is no contract.
    #[error("{}: {error}", path.display())]
    Symbol {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: SymbolError,
    },
    /// A product of several exchanges or of none in the contract table.
    #[error("{}: product `{product}` belongs to {exchanges}", path.display())]
    Exchange {
        /// The file.
        path: PathBuf,
        /// The product as written.
        product: String,
        /// The exchanges that list it, or "no exchange in the contract table".
        exchanges: String,
    },
    /// The contract table does not know the product.
    #[error("{}: {error}", path.display())]
    Spec {
        /// The file.
        path: PathBuf,
        /// What is missing.
        error: SpecError,
    },
    /// A compact file has no dates.
    #[error("{} has times of day only", path.display())]
    NoTradingDay {
        /// The file.
        path: PathBuf,
    },
    /// The trading day given is none.
    #[error("{day} is no trading day")]
    NotATradingDay {
        /// The date given.
        day: TradingDay,
    },
    /// The calendar cannot place the trading day given.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
    /// A single row that would be rejected.
    #[error("line {line}: {reason}")]
    Row {
        /// Code of the rejection.
        code: &'static str,
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}

impl MarketError {
    /// Stable name of the failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable_file",
            Self::Empty { .. } => "empty_file",
            Self::Binary { .. } => "binary_file",
            Self::Damaged { .. } => "damaged_file",
            Self::Truncated { .. } => "truncated_file",
            Self::Header { .. } => "schema_mismatch",
            Self::MixedSymbols { .. } => "mixed_symbols",
            Self::NoSymbol { .. } | Self::Symbol { .. } | Self::Exchange { .. } => "bad_symbol",
            Self::Spec { .. } => "unknown_contract",
            Self::NoTradingDay { .. } => "trading_day_missing",
            Self::NotATradingDay { .. } | Self::Calendar(CalendarError::NotATradingDay { .. }) => "not_a_trading_day",
            Self::Calendar(_) => "calendar_uncovered",
            Self::Row { code, .. } => code,
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "check the path and its permissions",
            Self::Empty { .. } => "fetch the file again; a header alone is no data",
            Self::Binary { .. } => "give a CSV file, plain or gzip, in UTF-8",
            Self::Damaged { .. } | Self::Truncated { .. } => "copy or download the file again, then import it",
            Self::Header { .. } => {
                "give a TqSdk CSV (datetime,datetime_nano,<SYMBOL>.last_price,…), a CTP CSV with its header, or a compact \
                 CTP file (time,bid,size,ask,size,last,volume,open interest)"
            }
            Self::MixedSymbols { .. } => "split the file by contract",
            Self::NoSymbol { .. } | Self::Symbol { .. } => "name the contract with --symbol SHFE.cu2602",
            Self::Exchange { .. } => "name exchange and contract with --symbol SHFE.cu2602",
            Self::Spec { .. } => "add the product with its multiplier and price tick to the contract table",
            Self::NoTradingDay { .. } => "add --trading-day YYYY-MM-DD",
            Self::NotATradingDay { .. } => "give the trading day on which the rows were booked",
            Self::Calendar(_) => "check the date; for a later year give its holidays with `calendar.holidays_file`",
            Self::Row { .. } => "mend the row or take it out",
        }
    }
}

impl From<MarketError> for Problem {
    fn from(e: MarketError) -> Self {
        Self::new(e.code(), ErrorClass::User, e.to_string(), e.remedy())
    }
}
