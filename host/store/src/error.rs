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
    #[error("{what}: {} is damaged: {why}", path.display())]
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
    /// No server answers, or it stopped answering for longer than the setting allows.
    #[error("QuestDB at {url} does not answer: {why}")]
    Unreachable {
        /// The server's address.
        url: String,
        /// The last failure.
        why: String,
    },
    /// A server of a version that this program was not made for.
    #[error("QuestDB at {url} is version {found}, needed is {needed}")]
    ServerVersion {
        /// The server's address.
        url: String,
        /// The version that it says.
        found: String,
        /// The versions that will do.
        needed: &'static str,
    },
    /// A server that acknowledges writes before they are on the disk.
    #[error("QuestDB at {url} runs with cairo.commit.mode={found}: what it acknowledges may be lost in a power cut")]
    ServerUnsafe {
        /// The server's address.
        url: String,
        /// The mode that it says.
        found: String,
    },
    /// A server that takes no writes.
    #[error("QuestDB at {url} is read-only: {why}")]
    ServerReadOnly {
        /// The server's address.
        url: String,
        /// What was to be written, or the server's word.
        why: String,
    },
    /// A server that does not know who asks.
    #[error("QuestDB at {url} refuses access: {why}")]
    ServerAccess {
        /// The server's address.
        url: String,
        /// The server's word.
        why: String,
    },
    /// A table that accepts writes and shows none of them.
    #[error("the table {table} of QuestDB at {url} is suspended at transaction {at}: {why}")]
    Suspended {
        /// The server's address.
        url: String,
        /// The table.
        table: String,
        /// The last transaction that can be read.
        at: i64,
        /// What stopped it.
        why: String,
    },
    /// Acknowledged rows that did not become visible.
    #[error("the table {table} of QuestDB at {url} stands at transaction {at} of {target} for {waited_s} s")]
    NotVisible {
        /// The server's address.
        url: String,
        /// The table.
        table: String,
        /// The last transaction that can be read.
        at: i64,
        /// The transaction waited for.
        target: i64,
        /// How long it did not move, seconds.
        waited_s: u64,
    },
    /// A table of this store's name that is another one.
    #[error("the table {table} of QuestDB at {url} is not the store's: {why}")]
    ServerSchema {
        /// The server's address.
        url: String,
        /// The table.
        table: String,
        /// The first difference.
        why: String,
    },
    /// Anything else that a server refused.
    #[error("QuestDB at {url} refused {what}: {why}")]
    ServerRefused {
        /// The server's address.
        url: String,
        /// What was asked.
        what: String,
        /// The server's word.
        why: String,
    },
    /// A statement that is not one query.
    #[error("this is no single query: {why}")]
    NotAQuery {
        /// The rule that is broken.
        why: String,
    },
    /// A query that an engine refused.
    #[error("{engine} refused the query: {why}")]
    SqlFailed {
        /// The server's address, or the program.
        engine: String,
        /// Its word.
        why: String,
    },
    /// A query that took too long.
    #[error("{engine} has not answered the query within {limit_s} s")]
    SqlTimeout {
        /// The server's address, or the program.
        engine: String,
        /// The bound.
        limit_s: f64,
    },
    /// An address, prefix or login that cannot be used.
    #[error("{key} = `{value}` cannot be used: {why}")]
    BadServer {
        /// The setting.
        key: &'static str,
        /// Its value, without a password.
        value: String,
        /// The rule that is broken.
        why: &'static str,
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
            Self::Unreachable { .. } => "questdb_unreachable",
            Self::ServerVersion { .. } => "questdb_version",
            Self::ServerUnsafe { .. } => "questdb_commit_mode",
            Self::ServerReadOnly { .. } => "questdb_read_only",
            Self::ServerAccess { .. } => "questdb_access",
            Self::Suspended { .. } => "questdb_suspended",
            Self::NotVisible { .. } => "questdb_lagging",
            Self::ServerSchema { .. } => "questdb_schema",
            Self::ServerRefused { .. } => "questdb_refused",
            Self::NotAQuery { .. } => "sql_not_read_only",
            Self::SqlFailed { .. } => "sql_failed",
            Self::SqlTimeout { .. } => "sql_timeout",
            Self::BadServer { .. } => "questdb_address",
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
            StoreError::Unreachable { .. } => (
                ErrorClass::Unavailable,
                "start it (`cargo xtask questdb up` starts one on this machine), or mend store.questdb_url",
            ),
            StoreError::ServerVersion { .. } => {
                (ErrorClass::User, "name a server of that version, or keep store.backend = embedded")
            }
            StoreError::ServerUnsafe { .. } => {
                (ErrorClass::User, "set cairo.commit.mode=sync on the server (QDB_CAIRO_COMMIT_MODE=sync)")
            }
            StoreError::ServerReadOnly { .. } => {
                (ErrorClass::Unavailable, "write to the primary, or take readonly=true out of the server's settings")
            }
            StoreError::ServerAccess { .. } => {
                (ErrorClass::User, "set store.questdb_user, and its password as GHTRADER_QUESTDB_PASSWORD")
            }
            StoreError::Suspended { table, .. } => {
                let remedy = format!("mend what stopped it, then say ALTER TABLE {table} RESUME WAL: no row is lost");
                return Self::new(e.code(), ErrorClass::Unavailable, e.to_string(), remedy);
            }
            StoreError::NotVisible { .. } => {
                (ErrorClass::Unavailable, "look at the server's log and load; raise store.questdb_wait_s if it is slow")
            }
            StoreError::ServerSchema { .. } => (
                ErrorClass::User,
                "ghtrader db migrate tells what would bring it up to date; or choose another store.questdb_prefix",
            ),
            StoreError::ServerRefused { .. } => (ErrorClass::Unavailable, "look at the server's log"),
            StoreError::NotAQuery { .. } => (
                ErrorClass::User,
                "give one SELECT, WITH, SHOW or EXPLAIN; a name that is such a word goes into double quotes",
            ),
            StoreError::SqlFailed { .. } => {
                (ErrorClass::User, "mend the query; the tables are ticks, main_l5, main_schedule and days")
            }
            StoreError::SqlTimeout { .. } => (ErrorClass::Limit, "name a symbol and a trading_day, or allow more time"),
            StoreError::BadServer { .. } => (
                ErrorClass::User,
                "write http://HOST:PORT, a prefix of a-z, 0-9 and _, and the password into GHTRADER_QUESTDB_PASSWORD",
            ),
        };
        Problem::new(e.code(), class, e.to_string(), remedy)
    }
}
