//! What the embedded store leaves on the disk: which files, and which bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use ghtrader_store::{Dataset, EmbeddedStore, PutOutcome, Store};
use support::{SYMBOL, assert_same, day, main_meta, meta, parquet_of, table, tree};

/// D-16: a correction that was killed before its manifest, and then taken back.
#[test]
fn an_unchanged_day_sweeps_what_a_killed_writer_left() {
    let root = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(root.path()).unwrap();
    let rows = table(1, 1_000);
    store.put_day(Dataset::Ticks, SYMBOL, day(0), &rows.view(), &meta("a")).unwrap();
    let before = tree(root.path());
    let stray = parquet_of(root.path(), "ticks", SYMBOL, day(0)).with_file_name("stray.parquet");
    std::fs::write(&stray, b"PAR1").unwrap();
    let put = store.put_day(Dataset::Ticks, SYMBOL, day(0), &rows.view(), &meta("a")).unwrap();
    assert!(matches!(put, PutOutcome::Unchanged(_)), "{put:?}");
    assert!(!stray.exists());
    assert_eq!(tree(root.path()), before);
}

/// D-14, D-18: from Parquet, from the cache, and from Parquet again after the cache was deleted.
#[test]
fn a_day_reads_back_with_and_without_its_cache() {
    let root = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(root.path()).unwrap();
    let rows = table(1, 20_000);
    store.put_day(Dataset::Ticks, SYMBOL, day(0), &rows.view(), &meta("a")).unwrap();
    assert_same(&store.read_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &rows.view());
    assert!(!root.path().join("cache").exists(), "a single reading leaves no copy");
    for _ in 0..2 {
        assert_same(&store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &rows.view());
    }
    std::fs::remove_dir_all(root.path().join("cache")).unwrap();
    assert_same(&store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &rows.view());
}

/// D-16: equal input, equal bytes, and nothing is written a second time.
#[test]
fn equal_rows_give_equal_files() {
    let roots = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for root in &roots {
        let store = EmbeddedStore::open(root.path()).unwrap();
        for n in 0..3 {
            store.put_day(Dataset::Ticks, SYMBOL, day(n), &table(n as u64, 9_000).view(), &meta("a")).unwrap();
            store.put_day(Dataset::MainL5, "KQ.m@SHFE.cu", day(n), &table(n as u64, 100).view(), &main_meta()).unwrap();
        }
    }
    let files = tree(roots[0].path());
    assert_eq!(files.len(), 12);
    assert!(files == tree(roots[1].path()));

    // Nobody may write now, and nobody has to.
    let writer = EmbeddedStore::open(roots[0].path()).unwrap();
    writer.put_record("test", "lock", &serde_json::json!(1)).unwrap();
    let store = EmbeddedStore::open(roots[0].path()).unwrap();
    let again = store.put_day(Dataset::Ticks, SYMBOL, day(1), &table(1, 9_000).view(), &meta("a")).unwrap();
    assert!(matches!(again, PutOutcome::Unchanged(_)), "{again:?}");
}

/// D-16: a correction leaves neither the old file nor its cache.
#[test]
fn other_rows_replace_the_file() {
    let root = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(root.path()).unwrap();
    let (old_rows, new_rows) = (table(1, 500), table(2, 600));
    let first = store.put_day(Dataset::Ticks, SYMBOL, day(0), &old_rows.view(), &meta("a")).unwrap();
    let reader = store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap();
    let second = store.put_day(Dataset::Ticks, SYMBOL, day(0), &new_rows.view(), &meta("b")).unwrap();
    assert!(matches!(&second, PutOutcome::Replaced { old, .. } if *old == first.manifest().sha256), "{second:?}");
    assert_same(&reader.view(), &old_rows.view());
    drop(reader);
    assert_same(&store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &new_rows.view());
    parquet_of(root.path(), "ticks", SYMBOL, day(0));
    let cached = std::fs::read_dir(root.path().join("cache")).unwrap().count();
    assert_eq!(cached, 1, "the old day's cache must be gone");
}
