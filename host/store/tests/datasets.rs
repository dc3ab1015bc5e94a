//! What goes in comes out, and readers see whole days only.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use ghtrader_core::{Column, Digest, Phase, TICK_COLUMNS, TickTable};
use ghtrader_store::{
    ColumnKind, ColumnsKey, ColumnsOutcome, Dataset, EmbeddedStore, NamedColumn, PutOutcome, Schedule, ScheduleOutcome,
    ScheduleRow, Store, StoreError,
};
use proptest::prelude::*;
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
fn a_day_reads_back() {
    let root = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(root.path()).unwrap();
    let rows = table(1, 20_000);
    let put = store.put_day(Dataset::Ticks, SYMBOL, day(0), &rows.view(), &meta("a")).unwrap();
    assert!(matches!(put, PutOutcome::Stored(_)), "{put:?}");
    assert_same(&store.read_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &rows.view());
    assert!(!root.path().join("cache").exists(), "a single reading leaves no copy");
    for _ in 0..2 {
        let loaded = store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap();
        assert_same(&loaded.view(), &rows.view());
        assert_eq!(loaded.manifest(), put.manifest());
    }
    std::fs::remove_dir_all(root.path().join("cache")).unwrap();
    assert_same(&store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &rows.view());

    let m = put.manifest();
    assert_eq!((m.rows, m.first_ts_ns, m.last_ts_ns), (20_000, rows.ts_ns[0], rows.ts_ns[19_999]));
    assert_eq!(m.schema, "6270bba406e22ffd");
    assert_eq!(store.symbols(Dataset::Ticks).unwrap(), [SYMBOL]);
    assert_eq!(store.days(Dataset::Ticks, SYMBOL).unwrap(), [day(0)]);
    assert_eq!(store.symbols(Dataset::MainL5).unwrap(), [""; 0]);
    let missing = store.load_day(Dataset::MainL5, SYMBOL, day(0)).unwrap_err();
    assert_eq!(missing.code(), "days_missing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// D-14: any values at all, NaN, infinities and both zeros included, in any number of rows.
    #[test]
    fn any_rows_read_back(
        steps in prop::collection::vec((0i64..3_000_000_000, 1u32..4, 0u8..5), 1..400),
        cells in prop::collection::vec(prop_oneof![
            4 => any::<f64>(),
            2 => Just(f64::NAN),
            1 => prop::sample::select(vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 1e-310]),
        ], 64..128),
        day_number in 0i32..3_000,
    ) {
        let mut t = TickTable::default();
        let (mut ts, mut seq) = (1_700_000_000_000_000_000i64, 0u32);
        for (i, (dt, ds, phase)) in steps.iter().enumerate() {
            (ts, seq) = (ts + dt, seq + ds);
            t.ts_ns.push(ts);
            t.seq.push(seq);
            t.phase.push(*phase);
            for (c, column) in t.floats.iter_mut().enumerate() {
                column.push(cells[(i * 7 + c) % cells.len()]);
            }
        }
        let root = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(root.path()).unwrap();
        store.put_day(Dataset::MainL5, "KQ.m@SHFE.cu", day(day_number), &t.view(), &main_meta()).unwrap();
        for _ in 0..2 {
            assert_same(&store.load_day(Dataset::MainL5, "KQ.m@SHFE.cu", day(day_number)).unwrap().view(), &t.view());
        }
    }
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

/// D-16: a correction replaces the day; who still reads the old one keeps it.
#[test]
fn other_rows_replace_the_day() {
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

    // Only what decided the rows has another digest: the rows stay, the manifest says so.
    let third = store.put_day(Dataset::Ticks, SYMBOL, day(0), &new_rows.view(), &meta("c")).unwrap();
    assert!(matches!(third, PutOutcome::Unchanged(_)), "{third:?}");
    assert_eq!(store.manifest(Dataset::Ticks, SYMBOL, day(0)).unwrap().unwrap().build, meta("c").build);
}

/// D-16: while a writer replaces a day again and again, a reader without a lock sees one version or the other.
#[test]
fn readers_see_whole_days() {
    let root = tempfile::tempdir().unwrap();
    let versions = [table(1, 3_000), table(2, 2_000)];
    let writer = EmbeddedStore::open(root.path()).unwrap();
    writer.put_day(Dataset::Ticks, SYMBOL, day(0), &versions[0].view(), &meta("0")).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..60usize {
                writer
                    .put_day(Dataset::Ticks, SYMBOL, day(0), &versions[n % 2].view(), &meta(&(n % 2).to_string()))
                    .unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        let reader = EmbeddedStore::open(root.path()).unwrap();
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            let loaded = reader.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap();
            let expected = if loaded.view().rows() == 3_000 { &versions[0] } else { &versions[1] };
            assert_same(&loaded.view(), &expected.view());
        }
    });
}

/// Rows that no reader should see are refused, with the row.
#[test]
fn bad_rows_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(root.path()).unwrap();
    let check = |why: &str, mend: &dyn Fn(&mut TickTable)| {
        let mut rows = table(1, 10);
        mend(&mut rows);
        let error = store.put_day(Dataset::Ticks, SYMBOL, day(0), &rows.view(), &meta("a")).unwrap_err();
        assert_eq!(error.code(), "bad_table", "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    check("no rows", &|t| *t = TickTable::default());
    check("time goes back at row 5", &|t| t.ts_ns[5] = 0);
    check("at row 3 it goes from 2 to 2", &|t| t.seq[3] = 2);
    check("row 9 has phase 5", &|t| t.phase[9] = 5);
    check("column ask_volume5 has 9 rows", &|t| t.floats[TICK_COLUMNS - 2].truncate(9));
    check("column phase has 9 rows", &|t| t.phase.truncate(9));
    for symbol in ["", "..", "a/b", ".hidden", "a b", "铜"] {
        let error = store.put_day(Dataset::Ticks, symbol, day(0), &table(1, 10).view(), &meta("a")).unwrap_err();
        assert_eq!(error.code(), "bad_symbol", "{symbol}");
    }
    assert!(tree(root.path()).is_empty());
}

fn key(kind: ColumnKind, digest: &str) -> ColumnsKey {
    ColumnsKey {
        kind,
        set: "core-factors".into(),
        symbol: "KQ.m@SHFE.cu".into(),
        trading_day: day(0),
        key: Digest::of(digest.as_bytes()),
    }
}

/// Features, labels and scores lie side by side, each under its own key.
#[test]
fn columns_read_back_by_key() {
    let root = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(root.path()).unwrap();
    let rows = table(4, 700);
    let columns = [
        NamedColumn { name: "spread", values: &rows.floats[9] },
        NamedColumn { name: "ofi.10s", values: &rows.floats[10] },
    ];
    for kind in ColumnKind::ALL {
        let put = store.put_columns(&key(kind, "a"), &rows.ts_ns, &rows.seq, &columns).unwrap();
        assert!(matches!(put, ColumnsOutcome::Stored(_)), "{put:?}");
        let again = store.put_columns(&key(kind, "a"), &rows.ts_ns, &rows.seq, &columns).unwrap();
        assert!(matches!(again, ColumnsOutcome::Unchanged(_)), "{again:?}");
        for _ in 0..2 {
            let loaded = store.load_columns(&key(kind, "a")).unwrap().unwrap();
            assert_eq!((loaded.rows(), loaded.names()), (700, &["spread".to_owned(), "ofi.10s".to_owned()][..]));
            assert_eq!((loaded.ts_ns(), loaded.seq()), (&rows.ts_ns[..], &rows.seq[..]));
            let found = loaded.column_named("ofi.10s").unwrap();
            assert!(found.iter().zip(&rows.floats[10]).all(|(a, b)| a == b || a.is_nan() && b.is_nan()));
            assert!(loaded.column_named("nothing").is_none());
        }
        assert!(store.load_columns(&key(kind, "b")).unwrap().is_none());
    }
    store.put_columns(&key(ColumnKind::Score, "b"), &rows.ts_ns, &rows.seq, &columns[..1]).unwrap();
    assert_eq!(store.columns_manifest(&key(ColumnKind::Score, "b")).unwrap().unwrap().columns, ["spread"]);
    assert_eq!(store.load_columns(&key(ColumnKind::Score, "a")).unwrap().unwrap().names().len(), 2);
    assert_eq!(store.verify(true).unwrap().days, 4);

    let refused = |columns: &[NamedColumn<'_>]| {
        store.put_columns(&key(ColumnKind::Feature, "c"), &rows.ts_ns, &rows.seq, columns).unwrap_err().to_string()
    };
    assert!(refused(&[]).contains("no columns"));
    assert!(refused(&[NamedColumn { name: "seq", values: &rows.floats[9] }]).contains("`seq`"));
    assert!(refused(&[columns[0], columns[0]]).contains("twice"));
    assert!(refused(&[NamedColumn { name: "x", values: &rows.floats[9][1..] }]).contains("has 699 rows"));
}

fn schedule(rows: &[(&str, &str, u32)]) -> Result<Schedule, StoreError> {
    let row = |(date, contract, segment_id): &(&str, &str, u32)| ScheduleRow {
        date: date.parse().unwrap(),
        main_contract: contract.parse().unwrap(),
        segment_id: *segment_id,
    };
    Schedule::new("cu".parse().unwrap(), "oi", rows.iter().map(row).collect())
}

/// D-20, D-21
#[test]
fn schedules_are_replaced_in_one_step() {
    let root = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(root.path()).unwrap();
    let variety = "cu".parse().unwrap();
    assert_eq!(store.load_schedule(&variety).unwrap(), None);
    let documented = [("2025-01-02", "cu2501", 0), ("2025-01-03", "cu2501", 0), ("2025-01-04", "cu2502", 1)];
    let first = schedule(&documented).unwrap();
    assert_eq!(first.hash(), "f25225a1507bb808");
    assert_eq!(store.put_schedule(&first).unwrap(), ScheduleOutcome::Stored);
    assert_eq!(store.put_schedule(&first).unwrap(), ScheduleOutcome::Unchanged);
    assert_eq!(store.load_schedule(&variety).unwrap().as_ref(), Some(&first));
    let second = schedule(&documented[..2]).unwrap();
    let replaced = store.put_schedule(&second).unwrap();
    assert_eq!(replaced, ScheduleOutcome::Replaced { old: "f25225a1507bb808".into() });
    let loaded = store.load_schedule(&variety).unwrap().unwrap();
    assert_eq!(loaded.on("2025-01-03".parse().unwrap()).map(|r| r.segment_id), Some(0));
    assert_eq!(loaded.on("2025-01-04".parse().unwrap()), None);

    for (rows, why) in [
        (&[][..], "no rows"),
        (&[("2025-01-02", "cu2501", 1)][..], "first segment is 1"),
        (&[("2025-01-03", "cu2501", 0), ("2025-01-02", "cu2501", 0)][..], "stands after"),
        (&[("2025-01-02", "cu2501", 0), ("2025-01-03", "cu2502", 0)][..], "expected 1"),
    ] {
        let error = schedule(rows).unwrap_err();
        assert!(error.code() == "schedule_empty" && error.to_string().contains(why), "{error}");
    }
}

#[test]
fn records_read_back() {
    let root = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(root.path()).unwrap();
    let json = serde_json::json!({ "b": 0.1, "a": [1, null, "x"] });
    assert_eq!(store.load_record("rolls", "SHFE.cu").unwrap(), None);
    store.put_record("rolls", "SHFE.cu", &json).unwrap();
    assert_eq!(store.load_record("rolls", "SHFE.cu").unwrap(), Some(json));
    assert_eq!(store.put_record("", "x", &serde_json::json!(1)).unwrap_err().code(), "bad_symbol");
}

/// The view of a stored day is what every other room reads: names and order as in the schema.
#[test]
fn columns_keep_their_order() {
    let root = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(root.path()).unwrap();
    let mut rows = table(1, 3);
    for c in Column::floats() {
        rows.floats[c.index() - 1] = vec![c.index() as f64; 3];
    }
    rows.phase = vec![Phase::PreOpen as u8, Phase::Break as u8, Phase::Closed as u8];
    store.put_day(Dataset::Ticks, SYMBOL, day(0), &rows.view(), &meta("a")).unwrap();
    let loaded = store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap();
    assert_same(&loaded.view(), &rows.view());
    assert_eq!(loaded.view().float(Column::ask_volume(4)), [27.0; 3]);
}
