use crate::{ImportError, PipelineError};
use ghtrader_core::{CalendarError, ErrorClass, Problem, TradingDay};
use ghtrader_market::diff::SourceError;
use ghtrader_store::StoreError;
use std::path::PathBuf;

/// Why a download or a recording failed as a whole. Days that were published stay; each of them is whole.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The import of a day.
    #[error(transparent)]
    Import(Box<ImportError>),
    /// A symbol, or what is kept of it.
    #[error(transparent)]
    Pipeline(Box<PipelineError>),
    /// No contract of a product has depth.
    #[error(
        "none of the {contracts} contracts of {variety} that the source lists has a row with depth on its last days"
    )]
    NoDepth {
        /// The product.
        variety: String,
        /// Contracts.
        contracts: usize,
    },
    /// Somebody ended it before there was an answer.
    #[error("ended before the source had answered")]
    Stopped,
    /// A day that the calendar cannot place.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
    /// The first day lies behind the last.
    #[error("{from} lies after {to}")]
    Range {
        /// First day.
        from: TradingDay,
        /// Last day.
        to: TradingDay,
    },
    /// Another process of this program fetches or records here.
    #[error("another run holds {}{}", path.display(), if owner.is_empty() { String::new() } else { format!(" (process {owner})") })]
    Busy {
        /// The lock.
        path: PathBuf,
        /// Its process.
        owner: String,
    },
    /// A spool cannot be read or written.
    #[error("cannot {doing} {}: {why}", path.display())]
    Spool {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The disk is full.
        full: bool,
        /// The system's word.
        why: String,
    },
    /// The source's series ends before rows that were recorded from it.
    #[error(
        "the series of {symbol} ends at row {last_id}, but row {expected} was to come next: this is another series"
    )]
    OtherSeries {
        /// The contract.
        symbol: String,
        /// The source's last row.
        last_id: i64,
        /// The row that was expected.
        expected: i64,
    },
}

impl From<ImportError> for FetchError {
    fn from(e: ImportError) -> Self {
        Self::Import(Box::new(e))
    }
}

impl From<FetchError> for Problem {
    fn from(e: FetchError) -> Self {
        let what = e.to_string();
        match e {
            FetchError::Source(e) => e.into(),
            FetchError::Store(e) => e.into(),
            FetchError::Import(e) => (*e).into(),
            FetchError::Calendar(e) => e.into(),
            FetchError::Pipeline(e) => (*e).into(),
            FetchError::NoDepth { .. } => Self::new(
                "l5_missing",
                ErrorClass::Negative,
                what,
                "ask a source that delivers five levels of this product",
            ),
            FetchError::Stopped => {
                Self::new("interrupted", ErrorClass::Unavailable, what, "run the command again and let it end")
            }
            FetchError::Range { .. } => Self::new("bad_range", ErrorClass::User, what, "give the earlier day first"),
            FetchError::Busy { .. } => Self::new(
                "source_busy",
                ErrorClass::Conflict,
                what,
                "wait for it, or end it; what it has stored is not fetched again",
            ),
            FetchError::Spool { full: true, .. } => {
                Self::new("disk_full", ErrorClass::Limit, what, "make room, then run the command again; it goes on")
            }
            FetchError::Spool { .. } => {
                Self::new("spool_unwritable", ErrorClass::User, what, "let this user read and write the folder of runs")
            }
            FetchError::OtherSeries { .. } => Self::new(
                "source_changed",
                ErrorClass::Conflict,
                what,
                "record from the source that the spool was begun with, or move the spool away",
            ),
        }
    }
}
