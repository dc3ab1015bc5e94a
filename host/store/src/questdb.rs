//! The store behind a QuestDB server.
//!
//! ```text
//! PREFIX_ticks, PREFIX_main_l5      rows, each with the build that it belongs to
//! PREFIX_columns                    rows of built columns: a list of values each, its names in the manifest
//! PREFIX_manifest                   one row a symbol-day: which build it consists of; written last
//! PREFIX_columns_manifest           the same for built columns
//! PREFIX_main_schedule, PREFIX_schedule_head    rows of main schedules, and which of them hold
//! PREFIX_record                     small reports of a build
//! ```
//! There is no DELETE. A corrected day is written as rows of another build beside the old ones; then its manifest row takes
//! the place of the old one, which is one step. Readers ask the manifest for the build and read that build's rows.
//!
//! The digest of a symbol-day is that of the Parquet file which the embedded store would hold: equal rows have equal digests
//! on both. A checksum over the rows is kept beside it and compared at each reading; `verify` makes the file again.

mod garbage;
mod lines;
mod migrate;
mod pending;
mod rows;
mod select;
mod server;
mod tables;
mod verify;

pub use migrate::{SchemaStep, migrate_schema, schema_steps};

use crate::cache::{self, ReplayCache};
use crate::columns::check_columns;
use crate::encode::{encode_columns, encode_day};
use crate::frame::{Frame, FrameRef};
use crate::manifest::{seal, unseal};
use crate::place::{Described, Keep, Put};
use crate::publish::{check_name, create_dirs};
use crate::{
    ColumnsDay, ColumnsKey, ColumnsManifest, ColumnsOutcome, Dataset, DayMeta, Garbage, Manifest, NamedColumn,
    PutOutcome, Schedule, ScheduleOutcome, ScheduleRow, Store, StoreError, StoreOptions, TickDay, UnderlyingMeta,
    VerifyReport,
};
use ghtrader_core::{ContractId, Digest, TickView, TradingDay, Variety};
use lines::Common;
use pending::{Pending, Promise, Sent};
use questdb::ingress::{Buffer, ProtocolVersion, TimestampMicros, TimestampNanos};
use rows::{Batch, decode, decode_texts, send_rows};
use serde::{Deserialize, Serialize};
use server::Server;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tables::{Kind, Tables, int, text};

/// How a server is reached and used.
#[derive(Clone)]
pub struct QuestDbOptions {
    /// `http://HOST:PORT`.
    pub url: String,
    /// User of HTTP; empty = none.
    pub user: String,
    /// That user's password.
    pub password: String,
    /// How the names of the tables begin: one server can hold several stores.
    pub prefix: String,
    /// How long a server may be silent, and a table may stand still, before that is an error.
    pub wait: Duration,
    /// Rows of a request, which is one commit of the server.
    pub batch_rows: usize,
    /// Requests with rows that are under way at a time, unless there are more writers.
    pub requests: usize,
    /// Where mapped copies of what was read are kept: a folder on this machine that an embedded store may share.
    pub cache_root: PathBuf,
    /// Bounds of those copies.
    pub cache: StoreOptions,
}

impl Default for QuestDbOptions {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:9000".to_owned(),
            user: String::new(),
            password: String::new(),
            prefix: "ghtrader".to_owned(),
            wait: Duration::from_secs(60),
            batch_rows: 200_000,
            requests: 2,
            cache_root: PathBuf::from("data"),
            cache: StoreOptions::default(),
        }
    }
}

impl std::fmt::Debug for QuestDbOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = (&self.url, &self.user, &self.prefix, self.wait, self.batch_rows, &self.cache_root);
        f.debug_tuple("QuestDbOptions").field(&shown).finish()
    }
}

/// The store behind a QuestDB server: see the module's head for the tables.
///
/// Any number of readers and writers may use it at once, in this process and others; of two writers of one symbol-day the
/// later one stays, whole.
#[derive(Debug)]
pub struct QuestDbStore {
    server: Server,
    tables: Tables,
    cache: ReplayCache,
    cache_root: PathBuf,
    batch: Batch,
    writable: bool,
    pending: Pending,
}

impl Drop for QuestDbStore {
    fn drop(&mut self) {
        // Whoever needs to know calls `flush`; what was acknowledged is on the server's disk. The next process should see it,
        // but nobody waits once more for a server that is gone.
        if !self.server.is_gone() {
            let _ = self.flush();
        }
    }
}

/// Where the rows and the manifest of one symbol-day lie.
struct Spot {
    rows: Kind,
    manifests: Kind,
    /// Columns that name its manifest, beside the day.
    keys: Vec<(&'static str, String)>,
    symbol: String,
    day: TradingDay,
    /// What lies there, for messages.
    what: String,
}

impl Spot {
    fn of_day(dataset: Dataset, symbol: &str, day: TradingDay) -> Result<Self, StoreError> {
        let keys = vec![("dataset", dataset.to_string()), ("symbol", check_name(symbol)?.to_owned())];
        let rows = match dataset {
            Dataset::Ticks => Kind::Ticks,
            Dataset::MainL5 => Kind::MainL5,
        };
        let (symbol, what) = (symbol.to_owned(), format!("{dataset} {symbol} {day}"));
        Ok(Self { rows, manifests: Kind::Manifest, keys, symbol, day, what })
    }

    fn of_columns(key: &ColumnsKey) -> Result<Self, StoreError> {
        let keys = vec![
            ("kind", key.kind.to_string()),
            ("set_name", check_name(&key.set)?.to_owned()),
            ("symbol", check_name(&key.symbol)?.to_owned()),
            ("key", key.key.to_string()),
        ];
        let (symbol, day) = (key.symbol.clone(), key.trading_day);
        Ok(Self { rows: Kind::Columns, manifests: Kind::ColumnsManifest, keys, symbol, day, what: key.to_string() })
    }

    /// The condition that selects its manifest row.
    fn condition(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(|(name, value)| format!(" AND {name} = '{value}'")).collect();
        format!("trading_day = '{}'{}", self.day, keys.concat())
    }

    /// Its manifest as a path, for messages.
    fn path(&self, tables: &Tables) -> PathBuf {
        let keys = self.keys.iter().map(|(_, value)| value.as_str());
        Path::new(&tables.name(self.manifests)).join(keys.collect::<PathBuf>()).join(self.day.to_string())
    }
}

/// A manifest row that holds.
struct Entry<M> {
    manifest: M,
    build: String,
    checksum: String,
}

/// The part of a main schedule that is no row of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleHead {
    variety: Variety,
    source: String,
    hash: String,
    rows: usize,
}

impl QuestDbStore {
    /// Opens the store on a server, making the tables that are missing.
    ///
    /// # Errors
    /// `questdb_address`, `questdb_unreachable` at once if no server is there, `questdb_access`, `questdb_version`,
    /// `questdb_commit_mode` for one that would lose acknowledged rows in a power cut, `questdb_schema`,
    /// `questdb_read_only` for one without the tables, `store_unwritable` for the folder of copies.
    pub fn open(options: &QuestDbOptions) -> Result<Self, StoreError> {
        let (server, tables) = (Server::new(options)?, Tables::new(&options.prefix)?);
        create_dirs(&options.cache_root)?;
        let writable = server.greet()?;
        if writable {
            check_commit_mode(&server)?;
        }
        tables.prepare(&server, writable)?;
        let cache = ReplayCache::new(&options.cache_root, options.cache);
        let cache_root = options.cache_root.clone();
        let batch = Batch { rows: options.batch_rows, requests: options.requests, busy: AtomicUsize::new(0) };
        Ok(Self { server, tables, cache, cache_root, batch, writable, pending: Pending::default() })
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    fn check_writable(&self, what: &str) -> Result<(), StoreError> {
        if self.writable {
            return Ok(());
        }
        let (url, why) = (self.server.url().to_owned(), format!("{what} cannot be written"));
        Err(StoreError::ServerReadOnly { url, why })
    }

    fn table(&self, kind: Kind) -> String {
        self.tables.name(kind)
    }

    /// Waits until the manifests and records that this process has written can be read.
    fn await_manifests(&self) -> Result<(), StoreError> {
        let Some(snapshot) = self.pending.snapshot() else { return Ok(()) };
        self.tables.wait_visible(&self.server, &snapshot.tables)
    }

    /// Waits until everything that this process has written can be read; gives the rows that have to be there then.
    fn settle(&self) -> Result<Vec<Promise>, StoreError> {
        let Some(snapshot) = self.pending.snapshot() else { return Ok(Vec::new()) };
        self.tables.wait_visible(&self.server, &snapshot.tables)?;
        self.pending.settled(&snapshot);
        Ok(snapshot.promises)
    }

    /// The manifest row of a symbol-day, `None` if there is none that holds.
    fn entry<M: Described>(&self, spot: &Spot) -> Result<Option<Entry<M>>, StoreError> {
        let (table, path) = (self.table(spot.manifests), spot.path(&self.tables));
        if let Some(Sent { body, build, checksum }) = self.pending.manifest(&path) {
            return Ok(Some(Entry { manifest: unseal(&path, body.as_bytes())?, build, checksum }));
        }
        let found = self.server.sql(&format!(
            "SELECT body, build, checksum FROM {table} WHERE {} AND state = 'stored'",
            spot.condition()
        ))?;
        let Some(row) = found.first() else { return Ok(None) };
        let manifest = unseal(&path, text(row, 0).as_bytes())?;
        Ok(Some(Entry { manifest, build: text(row, 1).to_owned(), checksum: text(row, 2).to_owned() }))
    }

    /// The condition that selects the rows of a build; the span of time lets the server open few partitions.
    fn rows_of(spot: &Spot, (first, last): (i64, i64), build: &str) -> String {
        format!("symbol = '{}' AND build = '{build}' AND datetime >= {first} AND datetime <= {last}", spot.symbol)
    }

    /// The rows that a manifest row describes, compared with all it says of them.
    fn rows<M: Described>(&self, spot: &Spot, entry: &Entry<M>) -> Result<Frame, StoreError> {
        let (table, manifest) = (self.table(spot.rows), &entry.manifest);
        let corrupt = |why: String| StoreError::DayCorrupt {
            what: manifest.what(),
            path: format!("table {table} of {}", self.server.url()).into(),
            why,
        };
        let names = manifest.float_names();
        let columns = if manifest.with_phase() {
            let quoted: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("datetime, seq, phase, {}", quoted.join(", "))
        } else {
            format!("datetime, seq, {}", rows::VALUES)
        };
        let condition = Self::rows_of(spot, manifest.first_last(), &entry.build);
        let query = format!("SELECT {columns} FROM {table} WHERE {condition}");
        let read = || -> Result<Frame, StoreError> {
            decode(self.server.export(&query)?, manifest.with_phase(), &names).map_err(|e| corrupt(e.to_string()))
        };
        let mut frame = read()?;
        if frame.rows() != manifest.rows() {
            // The rows were acknowledged before the manifest was sent; the tables are applied one by one.
            self.tables.wait_visible(&self.server, &[spot.rows])?;
            frame = read()?;
        }
        if frame.rows() != manifest.rows() {
            return Err(corrupt(format!("it has {} rows, the manifest says {}", frame.rows(), manifest.rows())));
        }
        let found = frame.borrowed(&names).checksum();
        if found != entry.checksum {
            return Err(corrupt(format!("its rows have the checksum {found}, the manifest says {}", entry.checksum)));
        }
        Ok(frame)
    }

    fn load<M: Described>(&self, spot: &Spot, keep: Keep) -> Result<Option<(M, Frame)>, StoreError> {
        let Some(entry) = self.entry::<M>(spot)? else { return Ok(None) };
        if let Some(frame) = self.cache.open(&entry.manifest) {
            return Ok(Some((entry.manifest, frame)));
        }
        let frame = self.rows(spot, &entry)?;
        // Without room for a copy the rows are still right, only slower to get.
        let mapped = if keep == Keep::Cached { self.cache.fill(&entry.manifest, &frame) } else { None };
        Ok(Some((entry.manifest, mapped.unwrap_or(frame))))
    }

    /// Rows first, the manifest last; both lie on the server's disk when this returns. `describe` makes the manifest: it
    /// takes the digest of the whole file, and that is made while the server takes the rows.
    fn put<M: Described + Send>(
        &self,
        spot: &Spot,
        frame: &FrameRef<'_>,
        underlying: Option<&UnderlyingMeta>,
        describe: impl FnOnce() -> Result<M, StoreError> + Send,
    ) -> Result<Put<M>, StoreError> {
        frame.check(&spot.what)?;
        if let Some(ts) = frame.ts_ns.first().filter(|ts| **ts < 0) {
            let why = format!("its first row has time {ts} ns, QuestDB has no times before 1970");
            return Err(StoreError::BadTable { what: spot.what.clone(), why });
        }
        // A damaged manifest counts as none: writing the day again is how it is mended.
        let old: Option<Entry<M>> = match self.entry(spot) {
            Err(StoreError::ManifestCorrupt { .. }) => None,
            other => other?,
        };
        let checksum = frame.checksum();
        let write = || {
            self.check_writable(&spot.what)?;
            self.tables.check_moving(&self.server, &[spot.rows, spot.manifests])?;
            self.write_rows(spot, frame, &checksum, underlying)
        };
        let (new, build, promise) = match old.as_ref().filter(|old| old.checksum == checksum) {
            Some(old) => {
                let new = describe()?;
                let same = old.manifest.sha256() == new.sha256();
                match if same { self.rows(spot, old).map(Some) } else { Ok(None) } {
                    Ok(Some(_)) if old.manifest == new => return Ok(Put::Unchanged(new)),
                    Ok(Some(_)) => (new, old.build.clone(), None),
                    Ok(None) | Err(StoreError::DayCorrupt { .. }) => {
                        let (build, promise) = write()?;
                        (new, build, promise)
                    }
                    Err(e) => return Err(e),
                }
            }
            None => {
                let (new, written) = std::thread::scope(|scope| {
                    let described = scope.spawn(describe);
                    let written = write();
                    (described.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), written)
                });
                let (build, promise) = written?;
                (new?, build, promise)
            }
        };
        self.check_writable(&spot.what)?;
        self.write_manifest(spot, &new, build, checksum, promise)?;
        let old = old.map(|old| old.manifest);
        if let Some(old) = old.as_ref().filter(|old| old.sha256() != new.sha256()) {
            // A copy of what is no longer stored; one that stays harms nobody.
            let _ = std::fs::remove_file(cache::path_of(&self.cache_root, old.sha256()));
        }
        Ok(Put::of(old.as_ref(), new))
    }

    /// Writes the rows of a build; gives its name. The name follows from the rows and where they belong, so that a writer
    /// that was stopped and comes again writes the same rows and not more of them.
    fn write_rows(
        &self,
        spot: &Spot,
        frame: &FrameRef<'_>,
        checksum: &str,
        underlying: Option<&UnderlyingMeta>,
    ) -> Result<(String, Option<Promise>), StoreError> {
        let table = self.table(spot.rows);
        let day = spot.day.to_string();
        let contract = underlying.map(|u| u.contract.to_string());
        let whose = (&contract, underlying.map(|u| (u.segment_id, &u.schedule_hash)));
        let digits = Digest::of(format!("{} {whose:?} {checksum}", spot.condition()).as_bytes()).short16();
        let span = (frame.ts_ns.first().copied().unwrap_or(0), frame.ts_ns.last().copied().unwrap_or(0));
        let mut found = 0;
        // Rows under a build's name that are none of it cannot be taken away: then it gets another name.
        for name in [digits.clone(), format!("{digits}-2"), format!("{digits}-3")] {
            let condition = Self::rows_of(spot, span, &name);
            let count = || -> Result<i64, StoreError> {
                let counted = self.server.sql(&format!("SELECT count() FROM {table} WHERE {condition}"))?;
                Ok(counted.first().map_or(0, |row| int(row, 0)))
            };
            let before = count()?;
            let mut symbols = vec![("symbol", spot.symbol.as_str()), ("trading_day", &day), ("build", &name)];
            symbols.extend(contract.as_deref().map(|contract| ("underlying_contract", contract)));
            symbols.extend(underlying.map(|u| ("schedule_hash", u.schedule_hash.as_str())));
            let number = underlying.map(|u| ("segment_id", i64::from(u.segment_id)));
            let common = Common { symbols: &symbols, number };
            send_rows(&self.server, &table, frame, &common, &self.batch)?;
            if before == 0 {
                let promise = Promise { what: spot.what.clone(), table: spot.rows, condition, rows: frame.rows() };
                return Ok((name, Some(promise)));
            }
            self.tables.wait_visible(&self.server, &[spot.rows])?;
            found = count()?;
            if usize::try_from(found) == Ok(frame.rows()) {
                return Ok((name, None));
            }
        }
        Err(self.miscounted(&spot.what, &table, found, frame.rows()))
    }

    fn miscounted(&self, what: &str, table: &str, found: i64, rows: usize) -> StoreError {
        let why = format!("{rows} rows were acknowledged, {found} are there");
        let path = format!("table {table} of {}", self.server.url()).into();
        StoreError::DayCorrupt { what: what.to_owned(), path, why }
    }

    fn write_manifest<M: Described>(
        &self,
        spot: &Spot,
        new: &M,
        build: String,
        checksum: String,
        promise: Option<Promise>,
    ) -> Result<(), StoreError> {
        let path = spot.path(&self.tables);
        let body = String::from_utf8_lossy(&seal(&path, new)?).into_owned();
        let (first, last) = new.first_last();
        self.send_row(spot.manifests, |buffer, table| {
            buffer.table(table)?;
            for (name, value) in &spot.keys {
                buffer.symbol(*name, value)?;
            }
            buffer.symbol("build", &build)?.symbol("state", "stored")?;
            buffer.column_i64("row_count", new.rows() as i64)?;
            buffer.column_ts("first_ts", TimestampNanos::new(first))?;
            buffer.column_ts("last_ts", TimestampNanos::new(last))?;
            buffer.column_str("sha256", new.sha256().to_string())?.column_str("checksum", &checksum)?;
            buffer.column_str("body", &body)?;
            buffer.at(midnight(spot.day))
        })?;
        self.pending.sent(spot.manifests, path, Sent { body, build, checksum }, promise);
        Ok(())
    }

    /// Sends one row, or a few, of a table whose rows take each other's place.
    fn send_row(
        &self,
        kind: Kind,
        write: impl FnOnce(&mut Buffer, &str) -> questdb::Result<()>,
    ) -> Result<(), StoreError> {
        let table = self.table(kind);
        let mut buffer = Buffer::new(ProtocolVersion::V2);
        write(&mut buffer, &table).map_err(|e| self.server.refused(&table, e.msg()))?;
        self.server.write(&table, || buffer.as_bytes())
    }

    /// As [`Self::send_row`], and waits until it can be read.
    fn put_row(
        &self,
        kind: Kind,
        write: impl FnOnce(&mut Buffer, &str) -> questdb::Result<()>,
    ) -> Result<(), StoreError> {
        self.send_row(kind, write)?;
        self.tables.wait_visible(&self.server, &[kind])
    }

    /// The bodies of manifest rows that hold, in the order of their keys.
    fn bodies(&self, kind: Kind) -> Result<Vec<String>, StoreError> {
        let query = format!("SELECT body FROM {} WHERE state = 'stored' ORDER BY trading_day", self.table(kind));
        Ok(self.server.sql(&query)?.iter().map(|row| text(row, 0).to_owned()).collect())
    }

    fn schedule_head(&self, variety: &Variety) -> Result<Option<ScheduleHead>, StoreError> {
        let table = self.table(Kind::ScheduleHead);
        let rows = self.server.sql(&format!("SELECT body FROM {table} WHERE variety = '{variety}'"))?;
        let path = PathBuf::from(&table).join(variety.to_string());
        rows.first().map(|row| unseal(&path, text(row, 0).as_bytes())).transpose()
    }

    fn write_schedule(&self, schedule: &Schedule) -> Result<(), StoreError> {
        let (variety, hash) = (schedule.variety().to_string(), schedule.hash());
        self.put_row(Kind::MainSchedule, |buffer, table| {
            for row in schedule.rows() {
                buffer.table(table)?.symbol("variety", &variety)?.symbol("schedule_hash", hash)?;
                buffer.symbol("main_contract", row.main_contract.to_string())?;
                buffer.column_i64("segment_id", i64::from(row.segment_id))?.at(midnight(row.date))?;
            }
            Ok(())
        })?;
        let head = ScheduleHead {
            variety: schedule.variety().clone(),
            source: schedule.source().to_owned(),
            hash: hash.to_owned(),
            rows: schedule.rows().len(),
        };
        let body = seal(Path::new(&variety), &head)?;
        self.put_row(Kind::ScheduleHead, |buffer, table| {
            buffer.table(table)?.symbol("variety", &variety)?.symbol("schedule_hash", hash)?;
            buffer.column_str("body", String::from_utf8_lossy(&body))?.at(TimestampMicros::new(0))
        })
    }
}

/// Refuses a server that acknowledges writes before they are on its disk.
fn check_commit_mode(server: &Server) -> Result<(), StoreError> {
    const NAME: &str = "cairo.commit.mode";
    let query = format!("SELECT property_path, value FROM (SHOW PARAMETERS) WHERE property_path = '{NAME}'");
    let mut found = String::new();
    // Clients that ask for parameters at the same time disturb each other's answers: 9.3.4 gives rows of other parameters,
    // or none. A refusal has to come five times.
    for _ in 0..5 {
        let rows = server.sql(&query)?;
        let Some(row) = rows.iter().find(|row| text(row, 0) == NAME) else { continue };
        if text(row, 1) == "sync" {
            return Ok(());
        }
        found = text(row, 1).to_owned();
    }
    Err(StoreError::ServerUnsafe { url: server.url().to_owned(), found })
}

/// The start of a trading day's date, as the time of its rows in tables without ticks.
fn midnight(day: TradingDay) -> TimestampMicros {
    TimestampMicros::new(i64::from(day.days()) * 86_400_000_000)
}

impl Store for QuestDbStore {
    fn put_day(
        &self,
        dataset: Dataset,
        symbol: &str,
        day: TradingDay,
        ticks: &TickView<'_>,
        meta: &DayMeta,
    ) -> Result<PutOutcome, StoreError> {
        let spot = Spot::of_day(dataset, symbol, day)?;
        let describe = || encode_day(dataset, symbol, day, ticks, meta).map(|(_, manifest)| manifest);
        Ok(self.put(&spot, &FrameRef::of_ticks(ticks), meta.underlying.as_ref(), describe)?.into())
    }

    fn manifest(&self, dataset: Dataset, symbol: &str, day: TradingDay) -> Result<Option<Manifest>, StoreError> {
        Ok(self.entry(&Spot::of_day(dataset, symbol, day)?)?.map(|entry| entry.manifest))
    }

    fn symbols(&self, dataset: Dataset) -> Result<Vec<String>, StoreError> {
        self.await_manifests()?;
        let table = self.table(Kind::Manifest);
        let query = format!("SELECT DISTINCT symbol FROM {table} WHERE dataset = '{dataset}' AND state = 'stored'");
        let mut symbols: Vec<String> = self.server.sql(&query)?.iter().map(|row| text(row, 0).to_owned()).collect();
        symbols.sort();
        Ok(symbols)
    }

    fn days(&self, dataset: Dataset, symbol: &str) -> Result<Vec<TradingDay>, StoreError> {
        let (table, symbol) = (self.table(Kind::Manifest), check_name(symbol)?);
        self.await_manifests()?;
        let rows = self.server.sql(&format!(
            "SELECT trading_day FROM {table} WHERE dataset = '{dataset}' AND symbol = '{symbol}' AND state = 'stored'"
        ))?;
        let mut days: Vec<TradingDay> = rows.iter().filter_map(|row| text(row, 0).get(..10)?.parse().ok()).collect();
        days.sort();
        Ok(days)
    }

    fn load_day(&self, dataset: Dataset, symbol: &str, day: TradingDay) -> Result<TickDay, StoreError> {
        let missing = || StoreError::DayMissing { dataset: dataset.to_string(), symbol: symbol.to_owned(), day };
        let loaded = self.load(&Spot::of_day(dataset, symbol, day)?, Keep::Cached)?;
        loaded.map(|(manifest, frame)| TickDay::new(manifest, frame)).ok_or_else(missing)
    }

    fn read_day(&self, dataset: Dataset, symbol: &str, day: TradingDay) -> Result<TickDay, StoreError> {
        let missing = || StoreError::DayMissing { dataset: dataset.to_string(), symbol: symbol.to_owned(), day };
        let loaded = self.load(&Spot::of_day(dataset, symbol, day)?, Keep::Nothing)?;
        loaded.map(|(manifest, frame)| TickDay::new(manifest, frame)).ok_or_else(missing)
    }

    fn put_columns(
        &self,
        key: &ColumnsKey,
        ts_ns: &[i64],
        seq: &[u32],
        columns: &[NamedColumn<'_>],
    ) -> Result<ColumnsOutcome, StoreError> {
        let spot = Spot::of_columns(key)?;
        check_columns(key, columns)?;
        let describe = || encode_columns(key, ts_ns, seq, columns).map(|(_, manifest)| manifest);
        Ok(self.put(&spot, &FrameRef::of_columns(ts_ns, seq, columns), None, describe)?.into())
    }

    fn load_columns(&self, key: &ColumnsKey) -> Result<Option<ColumnsDay>, StoreError> {
        let loaded = self.load(&Spot::of_columns(key)?, Keep::Cached)?;
        Ok(loaded.map(|(manifest, frame)| ColumnsDay::new(manifest, frame)))
    }

    fn columns_manifest(&self, key: &ColumnsKey) -> Result<Option<ColumnsManifest>, StoreError> {
        Ok(self.entry(&Spot::of_columns(key)?)?.map(|entry| entry.manifest))
    }

    fn put_schedule(&self, schedule: &Schedule) -> Result<ScheduleOutcome, StoreError> {
        let old = match self.load_schedule(schedule.variety()) {
            Err(StoreError::ManifestCorrupt { .. }) => None,
            other => other?,
        };
        if old.as_ref() == Some(schedule) {
            return Ok(ScheduleOutcome::Unchanged);
        }
        self.check_writable(&format!("the main schedule of {}", schedule.variety()))?;
        self.write_schedule(schedule)?;
        let found = self.load_schedule(schedule.variety())?;
        if found.as_ref() != Some(schedule) {
            if let Some(old) = &old {
                self.write_schedule(old)?;
            }
            return Err(StoreError::ScheduleMismatch {
                variety: schedule.variety().to_string(),
                found: found.map_or_else(|| "none".to_owned(), |f| f.hash().to_owned()),
                expected: schedule.hash().to_owned(),
            });
        }
        Ok(old.map_or(ScheduleOutcome::Stored, |o| ScheduleOutcome::Replaced { old: o.hash().to_owned() }))
    }

    fn load_schedule(&self, variety: &Variety) -> Result<Option<Schedule>, StoreError> {
        let Some(head) = self.schedule_head(variety)? else { return Ok(None) };
        let table = self.table(Kind::MainSchedule);
        let found = self.server.sql(&format!(
            "SELECT trading_day, main_contract, segment_id FROM {table} WHERE variety = '{variety}' AND schedule_hash = '{}'",
            head.hash
        ))?;
        let corrupt = |why: String| {
            let path = PathBuf::from(&table).join(variety.to_string()).join(&head.hash);
            StoreError::ManifestCorrupt { path, why }
        };
        let row = |row: &server::Row| -> Option<ScheduleRow> {
            let main_contract: ContractId = text(row, 1).parse().ok()?;
            let segment_id = u32::try_from(int(row, 2)).ok()?;
            Some(ScheduleRow { date: text(row, 0).get(..10)?.parse().ok()?, main_contract, segment_id })
        };
        let rows: Option<Vec<ScheduleRow>> = found.iter().map(row).collect();
        let mut rows = rows.ok_or_else(|| corrupt("it has a row that cannot be read".to_owned()))?;
        rows.sort_by_key(|row| row.date);
        let hash = Schedule::hash_of(&rows);
        if hash != head.hash || head.variety != *variety || rows.len() != head.rows {
            let (found, said) = (rows.len(), (head.rows, &head.hash, &head.variety));
            let (rows, expected, variety) = said;
            return Err(corrupt(format!(
                "its {found} rows have hash {hash}, its head says {rows} of {expected} of {variety}"
            )));
        }
        Schedule::new(head.variety.clone(), &head.source, rows).map(Some).map_err(|e| corrupt(e.to_string()))
    }

    fn put_record(&self, collection: &str, name: &str, json: &serde_json::Value) -> Result<(), StoreError> {
        let path = Path::new(check_name(collection)?).join(check_name(name)?);
        let old = match self.load_record(collection, name) {
            Err(StoreError::ManifestCorrupt { .. }) => None,
            other => other?,
        };
        if old.as_ref() == Some(json) {
            return Ok(());
        }
        self.check_writable(&format!("the record {}", path.display()))?;
        self.tables.check_moving(&self.server, &[Kind::Record])?;
        let body = String::from_utf8_lossy(&seal(&path, json)?).into_owned();
        self.send_row(Kind::Record, |buffer, table| {
            buffer.table(table)?.symbol("collection", collection)?.symbol("name", name)?;
            buffer.column_str("body", &body)?.at(TimestampMicros::new(0))
        })?;
        let sent = Sent { body, build: String::new(), checksum: String::new() };
        self.pending.sent(Kind::Record, Path::new(&self.table(Kind::Record)).join(path), sent, None);
        Ok(())
    }

    fn load_record(&self, collection: &str, name: &str) -> Result<Option<serde_json::Value>, StoreError> {
        let table = self.table(Kind::Record);
        let path = Path::new(&table).join(check_name(collection)?).join(check_name(name)?);
        if let Some(sent) = self.pending.manifest(&path) {
            return unseal(&path, sent.body.as_bytes()).map(Some);
        }
        let query = format!("SELECT body FROM {table} WHERE collection = '{collection}' AND name = '{name}'");
        // A record may be larger than a value of a JSON answer can be.
        let bodies = decode_texts(self.server.export(&query)?, "body");
        let bodies = bodies.map_err(|e| StoreError::ManifestCorrupt { path: path.clone(), why: e.to_string() })?;
        bodies.first().map(|body| unseal(&path, body.as_bytes())).transpose()
    }

    fn schedules(&self) -> Result<Vec<Variety>, StoreError> {
        let rows = self.server.sql(&format!("SELECT variety FROM {}", self.table(Kind::ScheduleHead)))?;
        let mut varieties: Vec<Variety> = rows.iter().filter_map(|row| text(row, 0).parse().ok()).collect();
        varieties.sort();
        Ok(varieties)
    }

    fn records(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.await_manifests()?;
        let rows = self.server.sql(&format!("SELECT collection, name FROM {}", self.table(Kind::Record)))?;
        let mut records: Vec<(String, String)> =
            rows.iter().map(|row| (text(row, 0).to_owned(), text(row, 1).to_owned())).collect();
        records.sort();
        Ok(records)
    }

    fn columns_keys(&self) -> Result<Vec<ColumnsKey>, StoreError> {
        self.await_manifests()?;
        let path = PathBuf::from(self.table(Kind::ColumnsManifest));
        let bodies = self.bodies(Kind::ColumnsManifest)?;
        let manifests = bodies.iter().map(|body| unseal::<ColumnsManifest>(&path, body.as_bytes()));
        let mut keys = manifests.map(|m| m.map(|m| m.key)).collect::<Result<Vec<_>, _>>()?;
        keys.sort();
        Ok(keys)
    }

    /// The server has acknowledged no row before it was on its disk. What is left is to wait until all of them can be read,
    /// and to count them.
    fn flush(&self) -> Result<(), StoreError> {
        for promise in self.settle()? {
            let table = self.table(promise.table);
            let query = format!("SELECT count() FROM {table} WHERE {}", promise.condition);
            let count = || Ok::<i64, StoreError>(self.server.sql(&query)?.first().map_or(0, |row| int(row, 0)));
            let mut found = count()?;
            if usize::try_from(found) != Ok(promise.rows) {
                self.tables.wait_visible(&self.server, &[promise.table])?;
                found = count()?;
            }
            if usize::try_from(found) != Ok(promise.rows) {
                return Err(self.miscounted(&promise.what, &table, found, promise.rows));
            }
        }
        Ok(())
    }

    fn verify(&self, deep: bool) -> Result<VerifyReport, StoreError> {
        verify::verify(self, deep)
    }

    fn garbage(&self) -> Result<Garbage, StoreError> {
        garbage::garbage(self)
    }

    fn collect_garbage(&self) -> Result<Garbage, StoreError> {
        garbage::collect(self)
    }
}
