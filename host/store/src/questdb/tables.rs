//! The tables of a store: their columns and keys, and when what was written to them can be read.

use super::server::{Row, Server};
use crate::StoreError;
use ghtrader_core::Column;
use serde_json::Value;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A table by what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Ticks,
    MainL5,
    Columns,
    Manifest,
    ColumnsManifest,
    MainSchedule,
    ScheduleHead,
    Record,
}

impl Kind {
    pub(super) const ALL: [Self; 8] = [
        Self::Ticks,
        Self::MainL5,
        Self::Columns,
        Self::Manifest,
        Self::ColumnsManifest,
        Self::MainSchedule,
        Self::ScheduleHead,
        Self::Record,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Ticks => "ticks",
            Self::MainL5 => "main_l5",
            Self::Columns => "columns",
            Self::Manifest => "manifest",
            Self::ColumnsManifest => "columns_manifest",
            Self::MainSchedule => "main_schedule",
            Self::ScheduleHead => "schedule_head",
            Self::Record => "record",
        }
    }

    /// Columns with their types, the designated time first.
    pub(super) fn columns(self) -> Vec<(&'static str, &'static str)> {
        let rows = [("datetime", "TIMESTAMP_NS"), ("symbol", "SYMBOL"), ("trading_day", "SYMBOL"), ("build", "SYMBOL")];
        let floats = || Column::floats().map(|c| (c.name(), "DOUBLE"));
        match self {
            Self::Ticks => rows.into_iter().chain([("seq", "LONG"), ("phase", "SYMBOL")]).chain(floats()).collect(),
            Self::MainL5 => {
                let underlying =
                    [("underlying_contract", "SYMBOL"), ("segment_id", "LONG"), ("schedule_hash", "SYMBOL")];
                Self::Ticks.columns().into_iter().chain(underlying).collect()
            }
            Self::Columns => rows.into_iter().chain([("seq", "LONG"), ("vals", "DOUBLE[]")]).collect(),
            Self::Manifest => vec![
                ("trading_day", "TIMESTAMP"),
                ("dataset", "SYMBOL"),
                ("symbol", "SYMBOL"),
                ("build", "SYMBOL"),
                ("state", "SYMBOL"),
                ("row_count", "LONG"),
                ("first_ts", "TIMESTAMP_NS"),
                ("last_ts", "TIMESTAMP_NS"),
                ("sha256", "VARCHAR"),
                ("checksum", "VARCHAR"),
                ("body", "VARCHAR"),
            ],
            Self::ColumnsManifest => vec![
                ("trading_day", "TIMESTAMP"),
                ("kind", "SYMBOL"),
                ("set_name", "SYMBOL"),
                ("symbol", "SYMBOL"),
                ("key", "SYMBOL"),
                ("build", "SYMBOL"),
                ("state", "SYMBOL"),
                ("row_count", "LONG"),
                ("first_ts", "TIMESTAMP_NS"),
                ("last_ts", "TIMESTAMP_NS"),
                ("sha256", "VARCHAR"),
                ("checksum", "VARCHAR"),
                ("body", "VARCHAR"),
            ],
            Self::MainSchedule => vec![
                ("trading_day", "TIMESTAMP"),
                ("variety", "SYMBOL"),
                ("schedule_hash", "SYMBOL"),
                ("main_contract", "SYMBOL"),
                ("segment_id", "LONG"),
            ],
            Self::ScheduleHead => {
                vec![("at", "TIMESTAMP"), ("variety", "SYMBOL"), ("schedule_hash", "SYMBOL"), ("body", "VARCHAR")]
            }
            Self::Record => {
                vec![("at", "TIMESTAMP"), ("collection", "SYMBOL"), ("name", "SYMBOL"), ("body", "VARCHAR")]
            }
        }
    }

    /// Columns that tell rows apart: a row that comes again with the same key takes the place of the first.
    pub(super) const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Ticks | Self::MainL5 | Self::Columns => &["datetime", "symbol", "seq", "build"],
            Self::Manifest => &["trading_day", "dataset", "symbol"],
            Self::ColumnsManifest => &["trading_day", "kind", "set_name", "symbol", "key"],
            Self::MainSchedule => &["trading_day", "variety", "schedule_hash"],
            Self::ScheduleHead => &["at", "variety"],
            Self::Record => &["at", "collection", "name"],
        }
    }

    const fn partition(self) -> &'static str {
        match self {
            Self::Ticks | Self::MainL5 | Self::Columns => "DAY",
            _ => "YEAR",
        }
    }
}

/// The store's tables on one server.
#[derive(Debug)]
pub(super) struct Tables {
    prefix: String,
}

impl Tables {
    pub(super) fn new(prefix: &str) -> Result<Self, StoreError> {
        let tail = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        let ok = prefix.bytes().next().is_some_and(|c| c.is_ascii_lowercase()) && prefix.bytes().all(tail);
        if ok && prefix.len() <= 32 {
            return Ok(Self { prefix: prefix.to_owned() });
        }
        let why = "a prefix is 1 to 32 of a-z, 0-9 and _, a letter first";
        Err(StoreError::BadServer { key: "store.questdb_prefix", value: prefix.to_owned(), why })
    }

    pub(super) fn name(&self, kind: Kind) -> String {
        format!("{}_{}", self.prefix, kind.name())
    }

    /// Makes the tables that are missing and compares those that are there.
    pub(super) fn prepare(&self, server: &Server, writable: bool) -> Result<(), StoreError> {
        let there = self.there(server)?;
        let mut made = false;
        for kind in Kind::ALL {
            let name = self.name(kind);
            match there.iter().find(|row| row.first().and_then(Value::as_str) == Some(&name)) {
                Some(row) => {
                    let wal = row.get(1).and_then(Value::as_bool);
                    // Twice, because clients that ask at the same time may disturb each other's answers about tables.
                    self.check(server, kind, wal).or_else(|_| self.check(server, kind, wal))?;
                }
                None if writable => {
                    server.sql(&self.ddl(kind))?;
                    made = true;
                }
                None => {
                    let (url, why) = (server.url().to_owned(), format!("it has no table {name}"));
                    return Err(StoreError::ServerReadOnly { url, why });
                }
            }
        }
        if made {
            // The first export makes a table of the server's own, which it could not do any more as a read-only one.
            server.export(&format!("SELECT body FROM {}", self.name(Kind::Record)))?;
        }
        Ok(())
    }

    /// Names of the tables behind the prefix, and whether each has a write-ahead log.
    pub(super) fn there(&self, server: &Server) -> Result<Vec<Row>, StoreError> {
        server.sql(&format!("SELECT table_name, walEnabled FROM tables() WHERE table_name LIKE '{}_%'", self.prefix))
    }

    /// Columns of a table as the server has them: name, type, whether it is one of the keys.
    pub(super) fn columns_there(&self, server: &Server, kind: Kind) -> Result<Vec<Row>, StoreError> {
        server.sql(&format!("SELECT \"column\", type, upsertKey FROM table_columns('{}')", self.name(kind)))
    }

    pub(super) fn ddl(&self, kind: Kind) -> String {
        let columns = kind.columns();
        let listed: Vec<String> = columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        format!(
            "CREATE TABLE IF NOT EXISTS {} ({}) TIMESTAMP({}) PARTITION BY {} WAL DEDUP UPSERT KEYS({})",
            self.name(kind),
            listed.join(", "),
            columns[0].0,
            kind.partition(),
            kind.keys().join(", ")
        )
    }

    /// Refuses a table that lacks a column, has one of another type, or would keep a row that comes twice.
    fn check(&self, server: &Server, kind: Kind, wal: Option<bool>) -> Result<(), StoreError> {
        let name = self.name(kind);
        let found = self.columns_there(server, kind)?;
        let refuse =
            |why: String| Err(StoreError::ServerSchema { url: server.url().to_owned(), table: name.clone(), why });
        if wal != Some(true) {
            return refuse("it has no write-ahead log".to_owned());
        }
        for (column, expected) in kind.columns() {
            let Some(row) = found.iter().find(|row| text(row, 0) == column) else {
                return refuse(format!("it has no column {column}"));
            };
            if text(row, 1) != expected {
                return refuse(format!("its column {column} is {}, not {expected}", text(row, 1)));
            }
            let key = row.get(2).and_then(Value::as_bool) == Some(true);
            if key != kind.keys().contains(&column) {
                let must = if key { "must not" } else { "must" };
                return refuse(format!("its column {column} {must} be one of DEDUP UPSERT KEYS"));
            }
        }
        Ok(())
    }

    /// Refuses to write to a table that would show none of it.
    pub(super) fn check_moving(&self, server: &Server, kinds: &[Kind]) -> Result<(), StoreError> {
        let rows = server.sql(&self.state_query(kinds))?;
        let stopped = rows.iter().find(|row| row.get(1).and_then(Value::as_bool) == Some(true));
        stopped.map_or(Ok(()), |row| Err(suspended(server, row)))
    }

    fn state_query(&self, kinds: &[Kind]) -> String {
        let names: Vec<String> = kinds.iter().map(|kind| format!("'{}'", self.name(*kind))).collect();
        let names = names.join(", ");
        format!(
            "SELECT name, suspended, writerTxn, sequencerTxn, errorTag, errorMessage FROM wal_tables() WHERE name IN ({names})"
        )
    }

    /// Waits until everything acknowledged so far can be read. A table that is not moving for too long is an error, and so
    /// is one that is suspended: its rows are safe, and nobody sees them.
    pub(super) fn wait_visible(&self, server: &Server, kinds: &[Kind]) -> Result<(), StoreError> {
        let query = self.state_query(kinds);
        let mut targets: Option<Vec<(String, i64)>> = None;
        let (mut moved, mut last) = (Instant::now(), i64::MIN);
        let mut pause = Duration::from_millis(1);
        loop {
            let rows = server.sql(&query)?;
            for row in &rows {
                if row.get(1).and_then(Value::as_bool) == Some(true) {
                    return Err(suspended(server, row));
                }
            }
            if targets.is_none() && rows.len() == kinds.len() {
                targets = Some(rows.iter().map(|row| (text(row, 0).to_owned(), int(row, 3))).collect());
            }
            let at = |name: &str| rows.iter().find(|row| text(row, 0) == name).map_or(i64::MIN, |row| int(row, 2));
            let behind = match &targets {
                Some(targets) => targets.iter().find(|(name, target)| at(name) < *target).cloned(),
                None => Some((self.name(kinds.first().copied().unwrap_or(Kind::Manifest)), i64::MAX)),
            };
            let Some((table, target)) = behind else { return Ok(()) };
            let sum = rows.iter().map(|row| int(row, 2)).fold(0, i64::saturating_add);
            if sum != last {
                (moved, last) = (Instant::now(), sum);
            }
            if moved.elapsed() > server.wait() {
                let (url, at, waited_s) = (server.url().to_owned(), at(&table), moved.elapsed().as_secs());
                return Err(StoreError::NotVisible { url, table, at, target, waited_s });
            }
            sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

fn suspended(server: &Server, row: &Row) -> StoreError {
    let (tag, message) = (text(row, 4), text(row, 5));
    let why = match (tag, message) {
        ("", "") => "no cause is told; somebody may have said SUSPEND WAL".to_owned(),
        (tag, "") => tag.to_owned(),
        ("", message) => message.to_owned(),
        (tag, message) => format!("{tag}: {message}"),
    };
    let (url, table) = (server.url().to_owned(), text(row, 0).to_owned());
    StoreError::Suspended { url, table, at: int(row, 2), why }
}

/// A text of an answer, empty if it is null.
pub(super) fn text(row: &[Value], at: usize) -> &str {
    row.get(at).and_then(Value::as_str).unwrap_or_default()
}

/// A number of an answer, the server's null if there is none.
pub(super) fn int(row: &Row, at: usize) -> i64 {
    row.get(at).and_then(Value::as_i64).unwrap_or(i64::MIN)
}
