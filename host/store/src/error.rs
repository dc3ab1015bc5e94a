//! What can go wrong in the store, each with a stable code.

use ghtrader_core::{ErrorClass, Problem, TradingDay};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A failure of the store. Nothing is half-written after any of them.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A symbol, set or record name that cannot be part of a path.
    #[error("`{name}` is no name for stored data: use letters, digits, `.`, `@`, `-`, `_`, at most 128")]
    BadSymbol {
        /// The name as given.
        name: String,
    },
    /// Rows that cannot be stored.
    #[error("{what} cannot be stored: {why}")]
    BadTable {
        /// Symbol and day, or the columns' key.
        what: String,
        /// The rule that is broken, with row and value.
        why: String,
    },
    /// Another process holds the write lock.
    #[error("the store {} is being written by process {owner}", root.display())]
    Busy {
        /// The store's root.
        root: PathBuf,
        /// The process id in the lock file.
        owner: String,
    },
    /// A day that is not stored.
    #[error("{dataset} {symbol} {day} is not stored")]
    DayMissing {
        /// Dataset.
        dataset: String,
        /// Symbol.
        symbol: String,
        /// Trading day.
        day: TradingDay,
    },
    /// A data file whose bytes are not those of its manifest.
    #[error("{what}: the file {} is damaged: {why}", path.display())]
    DayCorrupt {
        /// Dataset, symbol and day.
        what: String,
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        why: String,
    },
    /// A manifest, schedule or record that is not what was written.
    #[error("the manifest {} is damaged: {why}", path.display())]
    ManifestCorrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// A schedule that did not read back as written.
    #[error("the main schedule of {variety} read back with hash {found}, {expected} was written; the old one is kept")]
    ScheduleMismatch {
        /// Variety.
        variety: String,
        /// Hash that was read.
        found: String,
        /// Hash that was to be written.
        expected: String,
    },
    /// A schedule without rows, or with rows out of order.
    #[error("the main schedule of {variety} cannot be stored: {why}")]
    ScheduleEmpty {
        /// Variety.
        variety: String,
        /// The rule that is broken.
        why: String,
    },
    /// No permission, no such folder, a read-only file system.
    #[error("cannot write {}: {why}", path.display())]
    Unwritable {
        /// File or folder.
        path: PathBuf,
        /// The system's word.
        why: String,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// File or folder.
        path: PathBuf,
        /// The system's word.
        why: String,
    },
    /// The disk, a quota or the largest file size is used up.
    #[error("no room to write {}: {why}", path.display())]
    DiskFull {
        /// The file that was being written.
        path: PathBuf,
        /// The system's word.
        why: String,
    },
    /// Less free space than the setting asks for.
    #[error("{} has {free_mib} MiB free, below store.min_free_gib = {min_free_gib}", root.display())]
    MinFree {
        /// The store's root.
        root: PathBuf,
        /// Free space, MiB.
        free_mib: u64,
        /// The bound, GiB.
        min_free_gib: u64,
    },
    /// A defect: the encoder refused rows that had passed the checks.
    #[error("cannot encode {what}: {why}")]
    Encode {
        /// Symbol and day.
        what: String,
        /// The encoder's word.
        why: String,
    },
}

impl StoreError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadSymbol { .. } => "bad_symbol",
            Self::BadTable { .. } => "bad_table",
            Self::Busy { .. } => "store_busy",
            Self::DayMissing { .. } => "days_missing",
            Self::DayCorrupt { .. } => "day_corrupt",
            Self::ManifestCorrupt { .. } => "manifest_corrupt",
            Self::ScheduleMismatch { .. } => "schedule_mismatch",
            Self::ScheduleEmpty { .. } => "schedule_empty",
            Self::Unwritable { .. } => "store_unwritable",
            Self::Unreadable { .. } => "store_unreadable",
            Self::DiskFull { .. } => "disk_full",
            Self::MinFree { .. } => "min_free",
            Self::Encode { .. } => "store_encode",
        }
    }

    /// A failed write: disk full, or not writable.
    pub(crate) fn write(path: &Path, error: &std::io::Error) -> Self {
        let (path, why) = (path.to_owned(), error.to_string());
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::DiskFull { path, why },
            _ => Self::Unwritable { path, why },
        }
    }

    /// A failed read.
    pub(crate) fn read(path: &Path, error: &std::io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), why: error.to_string() }
    }
}

impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Self {
        let (class, remedy) = match &e {
            StoreError::BadSymbol { .. } => (ErrorClass::User, "write a symbol such as SHFE.cu2602"),
            StoreError::BadTable { .. } => {
                (ErrorClass::User, "sort the rows by time and sequence; see `ghtrader data schema`")
            }
            StoreError::Busy { .. } => (ErrorClass::Conflict, "wait until that process has ended, or end it"),
            StoreError::DayMissing { .. } => {
                (ErrorClass::User, "import the day, or list what is stored with `ghtrader data list`")
            }
            StoreError::DayCorrupt { .. } | StoreError::ManifestCorrupt { .. } => (
                ErrorClass::Negative,
                "run `ghtrader data verify --deep`: it quarantines the file; then import or build the day again",
            ),
            StoreError::ScheduleMismatch { .. } => {
                (ErrorClass::Negative, "run the command again; if it stays, check the disk")
            }
            StoreError::ScheduleEmpty { .. } => {
                (ErrorClass::User, "import days of at least one contract before building the schedule")
            }
            StoreError::Unwritable { .. } => {
                (ErrorClass::Unavailable, "make the folder writable, or choose another data folder")
            }
            StoreError::Unreadable { .. } => (ErrorClass::Unavailable, "check that the folder exists and may be read"),
            StoreError::DiskFull { .. } => {
                (ErrorClass::Limit, "free some space, then run the command again: it continues")
            }
            StoreError::MinFree { .. } => (ErrorClass::Limit, "free some space, or lower store.min_free_gib"),
            StoreError::Encode { .. } => (ErrorClass::Internal, "report this with the input file"),
        };
        Problem::new(e.code(), class, e.to_string(), remedy)
    }
}
