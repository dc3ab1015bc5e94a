//! What this process has written and the server has acknowledged, and may not show yet.
//!
//! The server applies acknowledged writes in its own time. Waiting for that after every day would cost more than the writing;
//! so manifests and records are remembered here until they can be read, and rows are counted once at the end of a job.

use super::tables::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A manifest or record as it was sent.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) body: String,
    pub(super) build: String,
    pub(super) checksum: String,
}

/// Rows that have to be there when all is applied.
#[derive(Debug, Clone)]
pub(super) struct Promise {
    /// Dataset, symbol and day.
    pub(super) what: String,
    pub(super) table: Kind,
    /// The condition that selects them.
    pub(super) condition: String,
    pub(super) rows: usize,
}

/// Everything up to some moment.
pub(super) struct Snapshot {
    number: u64,
    /// Tables that were written.
    pub(super) tables: Vec<Kind>,
    /// Rows that were promised.
    pub(super) promises: Vec<Promise>,
}

#[derive(Debug, Default)]
struct Inner {
    number: u64,
    manifests: BTreeMap<PathBuf, (u64, Sent)>,
    promises: Vec<(u64, Promise)>,
    tables: BTreeSet<Kind>,
}

/// Acknowledged writes of this process, by the number in which they came.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<Inner>);

impl Pending {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The manifest or record that this process has sent last, if it may not be readable yet.
    pub(super) fn manifest(&self, path: &Path) -> Option<Sent> {
        self.inner().manifests.get(path).map(|(_, sent)| sent.clone())
    }

    /// Remembers a manifest or record that was acknowledged, and the rows that it stands for.
    pub(super) fn sent(&self, table: Kind, path: PathBuf, manifest: Sent, promise: Option<Promise>) {
        let mut inner = self.inner();
        inner.number += 1;
        let number = inner.number;
        inner.manifests.insert(path, (number, manifest));
        inner.tables.insert(table);
        if let Some(promise) = promise {
            inner.tables.insert(promise.table);
            inner.promises.push((number, promise));
        }
    }

    /// What has been sent so far; `None` if there is nothing to wait for.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        let inner = self.inner();
        let promises = inner.promises.iter().map(|(_, promise)| promise.clone()).collect();
        let tables: Vec<Kind> = inner.tables.iter().copied().collect();
        (!tables.is_empty()).then_some(Snapshot { number: inner.number, tables, promises })
    }

    /// Everything of a snapshot can be read now. What was sent meanwhile stays remembered.
    pub(super) fn settled(&self, snapshot: &Snapshot) {
        let mut inner = self.inner();
        inner.manifests.retain(|_, (number, _)| *number > snapshot.number);
        inner.promises.retain(|(number, _)| *number > snapshot.number);
        if inner.manifests.is_empty() {
            inner.tables.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(build: &str) -> Sent {
        Sent { body: String::new(), build: build.to_owned(), checksum: String::new() }
    }

    #[test]
    fn what_is_sent_while_one_waits_stays_remembered() {
        let pending = Pending::default();
        assert!(pending.snapshot().is_none());
        let promise = Promise { what: String::new(), table: Kind::Ticks, condition: String::new(), rows: 3 };
        pending.sent(Kind::Manifest, "a".into(), sent("1"), Some(promise));
        pending.sent(Kind::Manifest, "b".into(), sent("1"), None);
        let snapshot = pending.snapshot().unwrap();
        assert_eq!((&snapshot.tables[..], snapshot.promises.len()), (&[Kind::Ticks, Kind::Manifest][..], 1));
        pending.sent(Kind::Manifest, "b".into(), sent("2"), None);
        pending.settled(&snapshot);
        assert!(pending.manifest(Path::new("a")).is_none());
        assert_eq!(pending.manifest(Path::new("b")).unwrap().build, "2");
        let rest = pending.snapshot().unwrap();
        assert!(rest.promises.is_empty());
        pending.settled(&rest);
        assert!(pending.snapshot().is_none());
    }
}
