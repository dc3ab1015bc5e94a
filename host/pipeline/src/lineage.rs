//! Where the rows of a symbol-day come from: files by digest, and the line of each row. Kept beside the day by the import.

use crate::validate::{json, kept};
use ghtrader_core::{Digest, TradingDay};
use ghtrader_market::LineRun;
use ghtrader_store::{Manifest, Store, StoreError};
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
    /// Build digest of the rows that are to take their place, with the same numbers: said of them too. The old rows are
    /// there until the new ones are, and a process may be killed before or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_build: Option<Digest>,
    files: Vec<SourceFile>,
    /// First row, file and first line of each stretch of rows that stand one below the other.
    runs: Vec<(u32, u32, u64)>,
}

impl DayLineage {
    pub(crate) fn new(sha256: Digest, files: Vec<SourceFile>, runs: &[LineRun]) -> Self {
        Self { sha256, next_build: None, files, runs: runs.iter().map(|run| (run.row, run.file, run.line)).collect() }
    }

    /// Keeps it. A day whose rows another writer has replaced since is told by its digest.
    pub(crate) fn put(&self, store: &dyn Store, symbol: &str, day: TradingDay) -> Result<(), StoreError> {
        store.put_record(&collection(symbol), &day.to_string(), &json(self))
    }

    /// What is known of stored rows.
    pub(crate) fn load(store: &dyn Store, of: &Manifest) -> Result<Option<Self>, StoreError> {
        let found = kept::<Self>(store.load_record(&collection(&of.symbol), &of.trading_day.to_string())?);
        Ok(found.filter(|lineage| lineage.sha256 == of.sha256 || lineage.next_build == Some(of.build)))
    }

    /// Replaces stored rows by some of them, which keep their numbers, and takes the lineage along.
    pub(crate) fn carry(
        store: &dyn Store,
        before: &Manifest,
        next_build: Digest,
        replace: impl FnOnce() -> Result<Manifest, StoreError>,
    ) -> Result<Manifest, StoreError> {
        let Some(lineage) = Self::load(store, before)? else { return replace() };
        let (symbol, day) = (&before.symbol, before.trading_day);
        let of_both = Self { sha256: before.sha256, next_build: Some(next_build), ..lineage };
        of_both.put(store, symbol, day)?;
        let new = replace()?;
        Self { sha256: new.sha256, next_build: None, ..of_both }.put(store, symbol, day)?;
        Ok(new)
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

#[cfg(test)]
mod tests {
    use super::*;
    use ghtrader_core::{TICK_COLUMNS, TickTable};
    use ghtrader_store::{Counting, Dataset, DayMeta, EmbeddedStore};

    fn put(store: &dyn Store, build: &[u8], rows: u32) -> Manifest {
        let seq: Vec<u32> = (0..rows).collect();
        let ticks = TickTable {
            ts_ns: seq.iter().map(|n| i64::from(*n) * 500_000_000).collect(),
            phase: vec![0; seq.len()],
            floats: std::array::from_fn::<_, { TICK_COLUMNS - 1 }, _>(|_| vec![1.0; seq.len()]),
            seq,
        };
        let meta = DayMeta {
            source: "test".to_owned(),
            counting: Counting::Single,
            build: Digest::of(build),
            underlying: None,
        };
        let day = "2025-07-18".parse().unwrap();
        store.put_day(Dataset::Ticks, "SHFE.cu2509", day, &ticks.view(), &meta).unwrap().manifest().clone()
    }

    /// D-38, D-41: wherever a purge is killed, the rows that are stored then have their lines.
    #[test]
    fn lineage_outlives_a_killed_replacement() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path()).unwrap();
        let killed = || StoreError::BadSymbol { name: "killed".to_owned() };
        let before = put(&store, b"whole", 5);
        let file = SourceFile { name: "a.csv".to_owned(), format: "tqsdk".to_owned(), sha256: Digest::of(b"a") };
        let lineage = DayLineage::new(before.sha256, vec![file], &[LineRun { row: 0, file: 0, line: 2 }]);
        lineage.put(&store, &before.symbol, before.trading_day).unwrap();
        let line = |of: &Manifest| DayLineage::load(&store, of).unwrap().map(|l| l.origin(3).unwrap().1);
        let next = Digest::of(b"fewer");

        DayLineage::carry(&store, &before, next, || Err(killed())).unwrap_err();
        assert_eq!(line(&before), Some(5), "killed before the day was replaced");
        let mut after = None;
        let replaced = DayLineage::carry(&store, &before, next, || {
            after = Some(put(&store, b"fewer", 4));
            Err(killed())
        });
        assert!(replaced.is_err());
        let after = after.unwrap();
        assert_eq!(line(&after), Some(5), "killed after it was replaced");
        assert_eq!(line(&before), Some(5));

        let done = DayLineage::carry(&store, &before, next, || Ok(put(&store, b"fewer", 4))).unwrap();
        assert_eq!((line(&done), line(&before)), (Some(5), None));
        assert_eq!(line(&put(&store, b"other", 3)), None, "rows of another import are others");
    }
}
