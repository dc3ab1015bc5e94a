//! One symbol-day's two files, whatever kind of rows it holds.

use crate::cache::Expected;
use crate::frame::tick_float_names;
use crate::{ColumnsManifest, ColumnsOutcome, Manifest, PutOutcome};
use ghtrader_core::Digest;
use serde::{Serialize, de::DeserializeOwned};
use std::path::PathBuf;

/// Where the file and the manifest of one symbol-day lie.
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    /// Where earlier versions of the file go; none where they can be made again.
    pub(crate) kept: Option<PathBuf>,
    pub(crate) manifest: PathBuf,
}

/// What a read leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// A mapped copy for the next reader.
    Cached,
    /// Nothing.
    Nothing,
}

/// What a write found and left.
pub(crate) enum Put<M> {
    Unchanged(M),
    Stored(M),
    Replaced(Digest, M),
}

impl<M: Described> Put<M> {
    /// What became of a symbol-day, by what was there before.
    pub(crate) fn of(old: Option<&M>, new: M) -> Self {
        match old {
            Some(old) if old.sha256() != new.sha256() => Self::Replaced(*old.sha256(), new),
            Some(_) => Self::Unchanged(new),
            None => Self::Stored(new),
        }
    }
}

impl From<Put<Manifest>> for PutOutcome {
    fn from(put: Put<Manifest>) -> Self {
        match put {
            Put::Unchanged(m) => Self::Unchanged(m),
            Put::Stored(m) => Self::Stored(m),
            Put::Replaced(old, new) => Self::Replaced { old, new },
        }
    }
}

impl From<Put<ColumnsManifest>> for ColumnsOutcome {
    fn from(put: Put<ColumnsManifest>) -> Self {
        match put {
            Put::Unchanged(m) => Self::Unchanged(m),
            Put::Stored(m) => Self::Stored(m),
            Put::Replaced(old, new) => Self::Replaced { old, new },
        }
    }
}

/// What a manifest says about its file; ticks and built columns have different manifests and one kind of file.
pub(crate) trait Described: Serialize + DeserializeOwned + PartialEq {
    fn sha256(&self) -> &Digest;
    fn what(&self) -> String;
    fn rows(&self) -> usize;
    fn first_last(&self) -> (i64, i64);
    fn with_phase(&self) -> bool;
    fn float_names(&self) -> Vec<String>;
}

impl Described for Manifest {
    fn sha256(&self) -> &Digest {
        &self.sha256
    }
    fn what(&self) -> String {
        format!("{} {} {}", self.dataset, self.symbol, self.trading_day)
    }
    fn rows(&self) -> usize {
        self.rows as usize
    }
    fn first_last(&self) -> (i64, i64) {
        (self.first_ts_ns, self.last_ts_ns)
    }
    fn with_phase(&self) -> bool {
        true
    }
    fn float_names(&self) -> Vec<String> {
        tick_float_names()
    }
}

impl Described for ColumnsManifest {
    fn sha256(&self) -> &Digest {
        &self.sha256
    }
    fn what(&self) -> String {
        self.key.to_string()
    }
    fn rows(&self) -> usize {
        self.rows as usize
    }
    fn first_last(&self) -> (i64, i64) {
        (self.first_ts_ns, self.last_ts_ns)
    }
    fn with_phase(&self) -> bool {
        false
    }
    fn float_names(&self) -> Vec<String> {
        self.columns.clone()
    }
}

impl Place {
    pub(crate) fn file<M: Described>(&self, manifest: &M) -> PathBuf {
        self.dir.join(format!("{}.parquet", manifest.sha256()))
    }
}

/// What a cache of a manifest's rows has to hold.
pub(crate) fn expected<'a, M: Described>(manifest: &'a M, floats: &'a [String]) -> Expected<'a> {
    let (first_ts_ns, last_ts_ns) = manifest.first_last();
    Expected {
        truth: manifest.sha256(),
        rows: manifest.rows(),
        first_ts_ns,
        last_ts_ns,
        with_phase: manifest.with_phase(),
        floats,
    }
}
