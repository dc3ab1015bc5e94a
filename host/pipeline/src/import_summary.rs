//! What an import did, and why it failed.

use ghtrader_core::{ContractId, Digest, ErrorClass, Problem, TradingDay};
use ghtrader_market::MarketError;
use ghtrader_store::StoreError;
use serde::Serialize;
use std::path::PathBuf;

/// What became of a symbol-day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// The day is new.
    Stored,
    /// Other rows were there.
    Replaced,
    /// The same rows were there already.
    Unchanged,
    /// Nothing was written: too many rejected rows, or a file of the day that cannot be read to its end.
    Refused,
}

/// One symbol and trading day of an import.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportedDay {
    /// The contract.
    pub symbol: ContractId,
    /// The trading day.
    pub trading_day: TradingDay,
    /// What became of it.
    pub outcome: ImportOutcome,
    /// Rows in the store; 0 if refused.
    pub rows: u64,
    /// Rows rejected.
    pub rows_rejected: u64,
    /// Identical rows dropped.
    pub rows_duplicate: u64,
    /// Digest of the stored file; none if refused.
    pub sha256: Option<Digest>,
    /// Digest of the file that was replaced.
    pub replaced_sha256: Option<Digest>,
    /// Rows of the file that was replaced.
    pub replaced_rows: Option<u64>,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Rows whose best bid is above the best ask; kept.
    pub crossed_rows: u64,
    /// Rows with a negative price; kept.
    pub negative_price_rows: u64,
    /// Rows whose cumulative volume is below the one before; kept.
    pub volume_falls: u64,
}

/// A file of an import.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportedFile {
    /// As given.
    pub file: PathBuf,
    /// `tqsdk`, `ctp` or `ctp-compact`.
    pub format: &'static str,
    /// The contract.
    pub symbol: ContractId,
    /// Rows read; 0 if it cannot be read to its end.
    pub rows: u64,
    /// Digest of the file as it lies; none if it cannot be read to its end.
    pub sha256: Option<Digest>,
}

/// What an import did. `rows_read = rows_stored + rows_rejected + rows_duplicate + rows_refused`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ImportSummary {
    /// Rows in the files.
    pub rows_read: u64,
    /// Rows of the days that are in the store now.
    pub rows_stored: u64,
    /// Rows in the rejects file.
    pub rows_rejected: u64,
    /// Identical rows dropped.
    pub rows_duplicate: u64,
    /// Good rows of refused days.
    pub rows_refused: u64,
    /// The rejected rows, with line and reason; none if there are none.
    pub rejects_file: Option<PathBuf>,
    /// Symbol-days by symbol and day.
    pub symbol_days: Vec<ImportedDay>,
    /// Files by symbol, first day and name.
    pub files: Vec<ImportedFile>,
}

impl ImportSummary {
    /// Days that were refused: the command's answer is then no.
    pub fn refused_days(&self) -> impl Iterator<Item = &ImportedDay> {
        self.symbol_days.iter().filter(|d| d.outcome == ImportOutcome::Refused)
    }
}

/// Why an import failed. Days that were published stay; each of them is whole.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// No file was given.
    #[error("no file to import")]
    NoFiles,
    /// A file is no tick file. Nothing was written.
    #[error("{first}{}", and_more(*more))]
    File {
        /// The first of them.
        first: MarketError,
        /// How many more.
        more: usize,
    },
    /// A file cannot be read to its end. Days that it may hold were refused, all others are stored.
    #[error("{first}{}", and_more(*more))]
    Incomplete {
        /// The first of them.
        first: MarketError,
        /// How many more.
        more: usize,
        /// What was done.
        summary: Box<ImportSummary>,
    },
    /// Every symbol-day was refused, or no row could be given to a day.
    #[error(
        "nothing stored: {rejected} of {read} rows rejected, the first for {detail}{}{}",
        refusal(summary),
        in_file(summary)
    )]
    NothingStored {
        /// Code of the first rejection.
        code: &'static str,
        /// The first rejection.
        detail: String,
        /// Rejected rows.
        rejected: u64,
        /// Rows read.
        read: u64,
        /// What was done.
        summary: Box<ImportSummary>,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The rejects file cannot be written.
    #[error("cannot write {}: {why}", path.display())]
    Rejects {
        /// File or folder.
        path: PathBuf,
        /// The disk is full, rather than the folder closed.
        full: bool,
        /// The system's word.
        why: String,
    },
    /// The thread pool could not be started.
    #[error("{workers} threads cannot be started: {why}")]
    Workers {
        /// How many were asked for.
        workers: usize,
        /// The system's word.
        why: String,
    },
}

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" (and {more} more files)") }
}

/// Why the first refused day was refused, with the bound.
fn refusal(summary: &ImportSummary) -> String {
    let day = summary.refused_days().find_map(|d| d.reason.as_ref().map(|why| (d, why)));
    day.map_or_else(String::new, |(d, why)| format!("; {} {}: {why}", d.symbol, d.trading_day))
}

fn in_file(summary: &ImportSummary) -> String {
    summary.rejects_file.as_ref().map_or_else(String::new, |f| format!("; all are in {}", f.display()))
}

impl ImportError {
    /// What was done before the failure.
    pub fn summary(&self) -> Option<&ImportSummary> {
        match self {
            Self::Incomplete { summary, .. } | Self::NothingStored { summary, .. } => Some(summary),
            _ => None,
        }
    }
}

impl From<ImportError> for Problem {
    fn from(e: ImportError) -> Self {
        let what = e.to_string();
        let user = |code, remedy: &str| Self::new(code, ErrorClass::User, what.clone(), remedy);
        match e {
            ImportError::NoFiles => user("no_files", "name at least one file"),
            ImportError::File { first, .. } | ImportError::Incomplete { first, .. } => Self { what, ..first.into() },
            ImportError::NothingStored { code, .. } => user(
                code,
                "look at the rejected rows; if the rows are right, check symbol, trading day and contract table",
            ),
            ImportError::Store(e) => e.into(),
            ImportError::Rejects { full: true, .. } => {
                Self::new("disk_full", ErrorClass::Limit, what, "make room, then run the import again")
            }
            ImportError::Rejects { .. } => user("folder_unwritable", "give a folder that this user may write to"),
            ImportError::Workers { .. } => Self::new("no_threads", ErrorClass::Limit, what, "ask for fewer threads"),
        }
    }
}
