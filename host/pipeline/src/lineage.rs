//! Where the rows of a symbol-day come from: files by digest, and the line of each row. Kept beside the day by the import.

use crate::validate::{json, kept};
use ghtrader_core::{Digest, TradingDay};
use ghtrader_market::LineRun;
use ghtrader_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// A file that rows were imported from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its name without folders.
    pub name: String,
    /// `tqsdk`, `ctp` or `ctp-compact`.
    pub format: String,
    /// Digest of the file as it lay.
    pub sha256: Digest,
}

/// The lineage of a symbol-day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DayLineage {
    /// Digest of the rows that this is said of.
    sha256: Digest,
    files: Vec<SourceFile>,
    /// First row, file and first line of each stretch of rows that stand one below the other.
    runs: Vec<(u32, u32, u64)>,
}

impl DayLineage {
    pub(crate) fn new(sha256: Digest, files: Vec<SourceFile>, runs: &[LineRun]) -> Self {
        Self { sha256, files, runs: runs.iter().map(|run| (run.row, run.file, run.line)).collect() }
    }

    /// Keeps it. A day whose rows another writer has replaced since is told by its digest.
    pub(crate) fn put(&self, store: &dyn Store, symbol: &str, day: TradingDay) -> Result<(), StoreError> {
        store.put_record(&collection(symbol), &day.to_string(), &json(self))
    }

    /// What is known of the rows of a digest.
    pub(crate) fn load(
        store: &dyn Store,
        symbol: &str,
        day: TradingDay,
        sha256: Digest,
    ) -> Result<Option<Self>, StoreError> {
        let found = kept::<Self>(store.load_record(&collection(symbol), &day.to_string())?);
        Ok(found.filter(|lineage| lineage.sha256 == sha256))
    }

    /// File and line of a row.
    pub(crate) fn origin(&self, row: u32) -> Option<(&SourceFile, u64)> {
        let runs: Vec<LineRun> = self.runs.iter().map(|&(row, file, line)| LineRun { row, file, line }).collect();
        let (file, line) = LineRun::origin(&runs, row)?;
        Some((self.files.get(file as usize)?, line))
    }
}

fn collection(symbol: &str) -> String {
    format!("lineage.{symbol}")
}
