//! Datasets by symbol and trading day: Parquet truth, manifests, and an Arrow IPC replay cache that can be deleted at any time.
//!
//! ```text
//! <root>/lake/<dataset>/symbol=S/trading_day=D/<sha256>.parquet    the truth, one file a symbol-day
//! <root>/lake/<kind>/set=N/key=kK/symbol=S/trading_day=D/<sha256>.parquet    features, labels, scores
//! <root>/manifest/...                                              which file a symbol-day consists of; written last, by rename
//! <root>/schedule/<variety>.json                                   main schedules
//! <root>/record/<collection>/<name>.json                           small reports of a build
//! <root>/cache/<sha256>.arrow                                      memory-mapped copies, rebuilt when missing
//! <root>/superseded/ticks/symbol=S/trading_day=D/<sha256>.parquet  earlier versions of days, until they are collected
//! <root>/quarantine/                                               what `verify` took out, and ticks that nothing names
//! ```
//! The same behind a server: [`QuestDbStore`] keeps symbol-days as rows of a few tables and gives the same digests.
//!
//! Symbol and trading day are in the path, not in the file: a column that is both makes pandas refuse the whole folder, while
//! Polars, DuckDB and pandas all add the columns of a hive path. `datetime` is a timestamp in ns, UTC; a missing number is null.

mod cache;
mod columns;
mod copy;
mod day;
mod embedded;
mod encode;
mod error;
mod float_pages;
mod frame;
mod gc;
mod manifest;
mod map;
mod parquet_file;
mod place;
mod publish;
mod questdb;
mod schedule;
mod sql;
mod table_file;
mod verify;

pub use self::questdb::{QuestDbOptions, QuestDbStore, SchemaStep, migrate_schema, schema_steps};
pub use columns::{ColumnKind, ColumnsDay, ColumnsKey, ColumnsManifest, ColumnsOutcome, NamedColumn};
pub use copy::{Copied, CopyReport, CopySelection, DayDifference, copy_days, copy_store, differences};
pub use day::TickDay;
pub use embedded::{EmbeddedStore, HashOnRead, StoreOptions};
pub use error::StoreError;
pub use gc::{Garbage, GarbageItem, GarbageKind, GarbageTotal};
pub use manifest::{Counting, Dataset, DayMeta, Manifest, PutOutcome, UnderlyingMeta};
pub use schedule::{Schedule, ScheduleOutcome, ScheduleRow};
pub use sql::{Handout, Query, QueryKind, SqlAnswer, SqlColumn, SqlView, duckdb_statements, hand_out, lake_views};
pub use table_file::{ArrowStream, TableColumn, TableWriter, table_parquet};
pub use verify::{BadFile, VerifyReport};

use ghtrader_core::{TickView, TradingDay, Variety};

/// Where symbol-days lie. Readers see a symbol-day's old rows or its new ones, never a mixture, and need no lock.
pub trait Store: Send + Sync {
    /// Stores the rows of one symbol-day, replacing what was there; equal content writes no data.
    ///
    /// `ticks` must be sorted by (time, sequence); NaN is stored as null.
    ///
    /// # Errors
    /// `bad_symbol`, `bad_table` for rows that break the order or a phase out of range, `store_busy`, `disk_full`, `min_free`,
    /// `store_unwritable`. After any of them the old day is still whole.
    fn put_day(
        &self,
        dataset: Dataset,
        symbol: &str,
        day: TradingDay,
        ticks: &TickView<'_>,
        meta: &DayMeta,
    ) -> Result<PutOutcome, StoreError>;

    /// The manifest of a symbol-day, `None` if it is not stored.
    ///
    /// # Errors
    /// `manifest_corrupt`, `store_unreadable`, `bad_symbol`.
    fn manifest(&self, dataset: Dataset, symbol: &str, day: TradingDay) -> Result<Option<Manifest>, StoreError>;

    /// All symbols of a dataset, sorted.
    ///
    /// # Errors
    /// `store_unreadable`.
    fn symbols(&self, dataset: Dataset) -> Result<Vec<String>, StoreError>;

    /// All stored days of a symbol, sorted.
    ///
    /// # Errors
    /// `store_unreadable`, `bad_symbol`.
    fn days(&self, dataset: Dataset, symbol: &str) -> Result<Vec<TradingDay>, StoreError>;

    /// The rows of a symbol-day.
    ///
    /// # Errors
    /// `days_missing`, `manifest_corrupt`, `day_corrupt`, `store_unreadable`, `bad_symbol`.
    fn load_day(&self, dataset: Dataset, symbol: &str, day: TradingDay) -> Result<TickDay, StoreError>;

    /// The rows of a symbol-day, for who reads them once: as [`Store::load_day`], but leaves no copy behind for later readers.
    ///
    /// # Errors
    /// As [`Store::load_day`].
    fn read_day(&self, dataset: Dataset, symbol: &str, day: TradingDay) -> Result<TickDay, StoreError> {
        self.load_day(dataset, symbol, day)
    }

    /// Stores named f64 columns that belong to the rows (`ts_ns`, `seq`) of a symbol-day; NaN is stored as null.
    ///
    /// # Errors
    /// As [`Store::put_day`]; `bad_table` also for lengths that differ and for names that are empty, reserved or twice there.
    fn put_columns(
        &self,
        key: &ColumnsKey,
        ts_ns: &[i64],
        seq: &[u32],
        columns: &[NamedColumn<'_>],
    ) -> Result<ColumnsOutcome, StoreError>;

    /// The columns stored under a key, `None` if there are none: build them then.
    ///
    /// # Errors
    /// As [`Store::load_day`], without `days_missing`.
    fn load_columns(&self, key: &ColumnsKey) -> Result<Option<ColumnsDay>, StoreError>;

    /// The manifest of the columns stored under a key, `None` if there are none.
    ///
    /// # Errors
    /// `manifest_corrupt`, `store_unreadable`, `bad_symbol`.
    fn columns_manifest(&self, key: &ColumnsKey) -> Result<Option<ColumnsManifest>, StoreError>;

    /// Replaces a variety's main schedule in one step and reads it back; an equal one writes nothing.
    ///
    /// # Errors
    /// `schedule_mismatch` if it does not read back (the old one is kept), `schedule_empty`, and as [`Store::put_day`].
    fn put_schedule(&self, schedule: &Schedule) -> Result<ScheduleOutcome, StoreError>;

    /// A variety's main schedule, `None` if none is stored.
    ///
    /// # Errors
    /// `manifest_corrupt`, `store_unreadable`.
    fn load_schedule(&self, variety: &Variety) -> Result<Option<Schedule>, StoreError>;

    /// Stores a small JSON text under a collection and a name, replacing the old one in one step; equal text writes nothing.
    ///
    /// # Errors
    /// `bad_symbol` for a name that is no file name, and as [`Store::put_day`].
    fn put_record(&self, collection: &str, name: &str, json: &serde_json::Value) -> Result<(), StoreError>;

    /// A record stored by [`Store::put_record`].
    ///
    /// # Errors
    /// `manifest_corrupt`, `store_unreadable`, `bad_symbol`.
    fn load_record(&self, collection: &str, name: &str) -> Result<Option<serde_json::Value>, StoreError>;

    /// The varieties that have a main schedule, sorted.
    ///
    /// # Errors
    /// `store_unreadable`.
    fn schedules(&self) -> Result<Vec<Variety>, StoreError>;

    /// Collection and name of every record, sorted.
    ///
    /// # Errors
    /// `store_unreadable`.
    fn records(&self) -> Result<Vec<(String, String)>, StoreError>;

    /// The keys of all built columns, sorted.
    ///
    /// # Errors
    /// `manifest_corrupt`, `store_unreadable`.
    fn columns_keys(&self) -> Result<Vec<ColumnsKey>, StoreError>;

    /// Makes every write that was acknowledged survive a crash of the machine; a crash of the process takes none of them.
    /// Call it once at the end of a job; dropping the store does it too.
    ///
    /// # Errors
    /// `store_unwritable`, `disk_full`.
    fn flush(&self) -> Result<(), StoreError>;

    /// Flushes, and lets other processes write until this one writes again. No write may be under way.
    ///
    /// # Errors
    /// As [`Store::flush`].
    fn yield_writer(&self) -> Result<(), StoreError> {
        self.flush()
    }

    /// Checks every stored symbol-day. With `deep` all files are rehashed and caches compared with their truth.
    /// Bad files are moved to the quarantine and named in the report; days that were whole stay readable.
    ///
    /// # Errors
    /// `store_busy`, `store_unreadable`, `store_unwritable`. A bad file is no error but a finding.
    fn verify(&self, deep: bool) -> Result<VerifyReport, StoreError>;

    /// What nothing needs any more: earlier versions of days, files that no manifest names, columns and copies of rows that
    /// are gone. Removes nothing.
    ///
    /// # Errors
    /// `manifest_corrupt` for a damaged manifest, since nobody can say what it names; `store_unreadable`.
    fn garbage(&self) -> Result<Garbage, StoreError>;

    /// Finds what nothing needs any more, as [`Store::garbage`], and removes it where the back end can; gives what it found.
    /// Files of ticks are moved to the quarantine instead: without their manifest nobody knows that another copy is left.
    ///
    /// # Errors
    /// As [`Store::garbage`]; `store_busy`, `store_unwritable`. What was removed before stays removed.
    fn collect_garbage(&self) -> Result<Garbage, StoreError>;
}
