//! Built columns: features, labels and scores of a symbol-day, under the digest of everything that decided them.

use crate::frame::{DATETIME, Frame, PHASE, SEQ};
use crate::publish::check_name;
use crate::{Manifest, StoreError};
use ghtrader_core::{Digest, TradingDay};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What built columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Inputs of a model: they read no later row.
    Feature,
    /// What a model is to foretell: they read later rows.
    Label,
    /// A model's output.
    Score,
}

impl ColumnKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Feature, Self::Label, Self::Score];

    /// The name in paths, such as `feature`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feature => "feature",
            Self::Label => "label",
            Self::Score => "score",
        }
    }
}

impl std::fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where built columns lie. Two keys that differ in any part do not touch each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnsKey {
    /// Feature, label or score.
    pub kind: ColumnKind,
    /// Name of the set, such as a plugin's `core-factors`.
    pub set: String,
    /// Symbol of the rows.
    pub symbol: String,
    /// Trading day of the rows.
    pub trading_day: TradingDay,
    /// Digest of everything that decided the values: component, parameters, input rows.
    pub key: Digest,
}

impl std::fmt::Display for ColumnsKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {} key {}", self.kind, self.set, self.symbol, self.trading_day, self.key.short16())
    }
}

/// A column on its way into the store.
#[derive(Debug, Clone, Copy)]
pub struct NamedColumn<'a> {
    /// Its name in the file.
    pub name: &'a str,
    /// One value a row, NaN = null.
    pub values: &'a [f64],
}

/// What is stored under a key. Holds no clock value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnsManifest {
    /// The key.
    pub key: ColumnsKey,
    /// The columns' names in order.
    pub columns: Vec<String>,
    /// Rows.
    pub rows: u64,
    /// Exchange time of the first row, ns.
    pub first_ts_ns: i64,
    /// Exchange time of the last row, ns.
    pub last_ts_ns: i64,
    /// Digest of the Parquet file, which is also its name.
    pub sha256: Digest,
}

impl ColumnsManifest {
    /// These may be columns of the rows that a manifest describes: as many, from the same time to the same time.
    pub(crate) fn is_of(&self, rows: &Manifest) -> bool {
        (self.rows, self.first_ts_ns, self.last_ts_ns) == (rows.rows, rows.first_ts_ns, rows.last_ts_ns)
    }
}

/// What [`crate::Store::put_columns`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnsOutcome {
    /// The same values were there already.
    Unchanged(ColumnsManifest),
    /// The key is new.
    Stored(ColumnsManifest),
    /// Other values were there under the same key: whatever decides them is not all in the key.
    Replaced {
        /// Digest of the file that was replaced.
        old: Digest,
        /// What is stored now.
        new: ColumnsManifest,
    },
}

impl ColumnsOutcome {
    /// What is stored now.
    pub const fn manifest(&self) -> &ColumnsManifest {
        match self {
            Self::Unchanged(m) | Self::Stored(m) | Self::Replaced { new: m, .. } => m,
        }
    }
}

/// Built columns of a symbol-day, mapped; cloning is cheap.
#[derive(Debug, Clone)]
pub struct ColumnsDay(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    manifest: ColumnsManifest,
    frame: Frame,
}

impl ColumnsDay {
    pub(crate) fn new(manifest: ColumnsManifest, frame: Frame) -> Self {
        Self(Arc::new(Inner { manifest, frame }))
    }

    /// What is stored.
    pub fn manifest(&self) -> &ColumnsManifest {
        &self.0.manifest
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.0.frame.rows()
    }

    /// Exchange time of each row, ns.
    pub fn ts_ns(&self) -> &[i64] {
        &self.0.frame.ts_ns
    }

    /// Sequence of each row in its symbol-day.
    pub fn seq(&self) -> &[u32] {
        &self.0.frame.seq
    }

    /// The columns' names in order.
    pub fn names(&self) -> &[String] {
        &self.0.manifest.columns
    }

    /// A column by position, NaN = null.
    pub fn column(&self, index: usize) -> Option<&[f64]> {
        self.0.frame.floats.get(index).map(|c| &c[..])
    }

    /// A column by name, NaN = null.
    pub fn column_named(&self, name: &str) -> Option<&[f64]> {
        self.column(self.names().iter().position(|n| n == name)?)
    }
}

/// Refuses names that readers could not tell apart from the columns of the path or from each other.
pub(crate) fn check_columns(key: &ColumnsKey, columns: &[NamedColumn<'_>]) -> Result<(), StoreError> {
    check_name(&key.set)?;
    check_name(&key.symbol)?;
    let refuse = |why: String| Err(StoreError::BadTable { what: key.to_string(), why });
    if columns.is_empty() {
        return refuse("it has no columns".into());
    }
    for (i, column) in columns.iter().enumerate() {
        let reserved = [DATETIME, SEQ, PHASE, "symbol", "trading_day", "set", "key"].contains(&column.name);
        if column.name.is_empty() || column.name.len() > 128 || reserved {
            return refuse(format!("`{}` is no name for column {i}: 1 to 128 bytes, not reserved", column.name));
        }
        if columns[..i].iter().any(|c| c.name == column.name) {
            return refuse(format!("the column {} is there twice", column.name));
        }
    }
    Ok(())
}
