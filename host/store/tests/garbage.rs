//! What nothing needs any more is found, named and removed; what a manifest names stays.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ghtrader_core::Digest;
use ghtrader_store::{
    ColumnKind, ColumnsKey, Dataset, EmbeddedStore, GarbageKind, GarbageTotal, NamedColumn, PutOutcome, Store,
};
use support::backend::{Backend as _, QuestDb};
use support::{SYMBOL, assert_same, day, flip, meta, table, tree};

/// Columns of a day's first rows.
fn put_columns(store: &dyn Store, n: i32, rows: usize) {
    let rows = table(n.unsigned_abs().into(), rows);
    let key = Digest::of(&[n as u8]);
    let key =
        ColumnsKey { kind: ColumnKind::Feature, set: "set".into(), symbol: SYMBOL.into(), trading_day: day(n), key };
    store.put_columns(&key, &rows.ts_ns, &rows.seq, &[NamedColumn { name: "x", values: &rows.floats[0] }]).unwrap();
    store.load_columns(&key).unwrap().unwrap();
}

fn put(store: &dyn Store, n: i32, seed: u64, rows: usize) -> PutOutcome {
    let put = store.put_day(Dataset::Ticks, SYMBOL, day(n), &table(seed, rows).view(), &meta("a")).unwrap();
    store.load_day(Dataset::Ticks, SYMBOL, day(n)).unwrap();
    put
}

fn total(totals: &[GarbageTotal], kind: GarbageKind) -> u64 {
    totals.iter().find(|t| t.kind == kind).map_or(0, |t| t.items)
}

/// D-16: a corrected day keeps its earlier version, by digest, until it is collected; readers see the new one.
#[test]
fn an_earlier_version_stays_until_it_is_collected() {
    let root = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(root.path()).unwrap();
    let first = put(&store, 0, 1, 300).manifest().sha256;
    assert!(store.garbage().unwrap().items.is_empty());
    let before = tree(root.path());
    let old = before.iter().find(|(path, _)| path.starts_with("lake")).unwrap().1.clone();
    put(&store, 0, 2, 300);
    put(&store, 1, 3, 300);
    put_columns(&store, 1, 300);
    // These belong to no rows: the day has others, and more of them.
    put_columns(&store, 0, 200);
    let lost = root.path().join("lake/ticks/symbol=SHFE.cu2602/trading_day=2025-07-17/left-by-a-killed-writer.parquet");
    std::fs::write(&lost, "PAR1").unwrap();
    let copy = root.path().join(format!("cache/{first}.arrow"));
    std::fs::write(&copy, "a copy that a reader made while the day was replaced").unwrap();

    let found = store.garbage().unwrap();
    let totals = found.totals();
    for kind in [GarbageKind::Superseded, GarbageKind::UnnamedTicks, GarbageKind::StaleColumns] {
        assert_eq!(total(&totals, kind), 1, "{kind:?}: {found:?}");
    }
    // The one that was planted, and that of the columns.
    assert_eq!(total(&totals, GarbageKind::Cache), 2, "{found:?}");
    let kept = format!("superseded/ticks/symbol=SHFE.cu2602/trading_day=2025-07-17/{first}.parquet");
    let item = found.items.iter().find(|i| i.what == kept).unwrap();
    assert_eq!((item.kind, item.bytes), (GarbageKind::Superseded, old.len() as u64));
    assert_eq!(std::fs::read(root.path().join(&kept)).unwrap(), old, "the version itself");
    assert!(lost.exists(), "looking removes nothing");

    assert_eq!(store.collect_garbage().unwrap(), found);
    assert!(store.garbage().unwrap().items.is_empty());
    assert!(!root.path().join("superseded").exists() && !lost.exists() && !copy.exists());
    for (n, seed) in [(0, 2), (1, 3)] {
        assert_same(&store.load_day(Dataset::Ticks, SYMBOL, day(n)).unwrap().view(), &table(seed, 300).view());
    }
    assert_eq!(store.columns_keys().unwrap().len(), 1);
    let verified = store.verify(true).unwrap();
    assert!(verified.is_ok() && verified.orphans.is_empty() && verified.dropped_caches == 0, "{verified:?}");
}

/// D-16: manifests that are lost take no ticks along. What can be made again goes; put back, they name what they did.
#[test]
fn ticks_whose_manifests_are_lost_are_not_destroyed() {
    let root = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(root.path()).unwrap();
    let digests = [(0, 1), (1, 2)].map(|(n, seed)| put(&store, n, seed, 300).manifest().sha256);
    let before = tree(root.path());
    let bytes = |digest: &Digest| {
        let name = format!("{digest}.parquet");
        before.iter().find(|(path, _)| path.ends_with(&name)).unwrap().1.clone()
    };
    std::fs::rename(root.path().join("manifest"), root.path().join("elsewhere")).unwrap();
    let found = store.garbage().unwrap();
    assert_eq!(total(&found.totals(), GarbageKind::UnnamedTicks), 2, "{found:?}");
    assert!(found.totals().iter().all(|t| t.set_aside == (t.kind == GarbageKind::UnnamedTicks)));
    // Twice: what was set aside is nothing that the next run may remove.
    for _ in 0..2 {
        store.collect_garbage().unwrap();
    }
    for (n, digest) in digests.iter().enumerate() {
        let day = day(n as i32);
        let name = format!("lake__ticks__symbol={SYMBOL}__trading_day={day}__{digest}.parquet");
        let kept = std::fs::read(root.path().join("quarantine").join(name)).unwrap();
        assert_eq!(kept, bytes(digest), "{day}");
    }
    assert!(store.garbage().unwrap().items.is_empty());
}

/// D-16, D-17: a verification that was killed after it took a damaged manifest out, and before it looked for files that
/// nothing names, leaves an intact file; the collection does not end it.
#[test]
fn a_verification_that_was_killed_costs_no_ticks() {
    let root = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(root.path()).unwrap();
    let digest = put(&store, 0, 1, 300).manifest().sha256;
    let folder = root.path().join(format!("lake/ticks/symbol={SYMBOL}/trading_day={}", day(0)));
    let whole = std::fs::read(folder.join(format!("{digest}.parquet"))).unwrap();
    let quarantine = root.path().join("quarantine");
    std::fs::create_dir(&quarantine).unwrap();
    let manifest = format!("manifest/ticks/{SYMBOL}/{}.json", day(0));
    std::fs::rename(root.path().join(&manifest), quarantine.join(manifest.replace('/', "__"))).unwrap();
    store.collect_garbage().unwrap();
    let kept = quarantine.join(format!("lake__ticks__symbol={SYMBOL}__trading_day={}__{digest}.parquet", day(0)));
    assert_eq!(std::fs::read(kept).unwrap(), whole);
}

/// D-16, D-17: what a damaged manifest names is unknown, so nothing is removed.
#[test]
fn nothing_is_removed_beside_a_damaged_manifest() {
    let root = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(root.path()).unwrap();
    put(&store, 0, 1, 300);
    put(&store, 0, 2, 300);
    let manifest = root.path().join("manifest/ticks/SHFE.cu2602/2025-07-17.json");
    flip(&manifest, 40);
    let before = tree(root.path());
    assert_eq!(store.collect_garbage().unwrap_err().code(), "manifest_corrupt");
    assert_eq!(tree(root.path()), before);
    assert!(root.path().join("superseded").exists());
}

/// D-15, D-16: a server keeps the rows of earlier builds; they are counted, and copies on this machine go.
#[test]
fn rows_that_a_server_keeps_are_counted() {
    let Some(backend) = QuestDb::new() else { return };
    let store = backend.open();
    put(&*store, 0, 1, 300);
    assert!(store.garbage().unwrap().items.is_empty());
    put(&*store, 0, 2, 250);
    for _ in 0..2 {
        let totals = store.collect_garbage().unwrap().totals();
        let rows = totals.iter().find(|t| t.kind == GarbageKind::ServerRows).unwrap();
        assert_eq!((rows.items, rows.rows, rows.stays), (1, 300, true), "{totals:?}");
    }
    assert_same(&store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &table(2, 250).view());
    assert!(store.verify(true).unwrap().is_ok());
}
