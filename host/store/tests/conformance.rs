//! What every back end does alike, on each of them: one suite over `dyn Store`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use ghtrader_core::{Column, Digest, Phase, TICK_COLUMNS, TickTable};
use ghtrader_store::{
    ColumnKind, ColumnsKey, ColumnsOutcome, Dataset, NamedColumn, PutOutcome, Schedule, ScheduleOutcome, ScheduleRow,
    StoreError,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::backend::{Backend, Embedded, QuestDb};
use support::{SYMBOL, assert_same, day, main_meta, meta, table};

macro_rules! conformance {
    ($($(#[$doc:meta])* $name:ident)*) => {
        mod embedded {
            $($(#[$doc])* #[test] fn $name() { super::$name(&super::Embedded::new()); })*
        }
        mod questdb {
            $($(#[$doc])* #[test] fn $name() {
                if let Some(backend) = super::QuestDb::new() { super::$name(&backend); }
            })*
        }
    };
}

conformance! {
    /// D-14, D-15
    a_day_reads_back
    /// D-14, D-15
    any_rows_read_back
    /// D-16
    equal_rows_change_nothing
    /// D-16
    other_rows_replace_the_day
    /// D-16
    readers_see_whole_days
    /// D-15
    writers_side_by_side_lose_nothing
    /// D-15
    bad_rows_are_refused
    /// D-15
    columns_read_back_by_key
    /// D-20, D-21
    schedules_are_replaced_in_one_step
    /// D-15
    records_read_back
    /// D-15
    columns_keep_their_order
    /// D-17
    everything_is_listed_and_verified
}

fn a_day_reads_back(backend: &dyn Backend) {
    let store = backend.open();
    let rows = table(1, 20_000);
    let put = store.put_day(Dataset::Ticks, SYMBOL, day(0), &rows.view(), &meta("a")).unwrap();
    assert!(matches!(put, PutOutcome::Stored(_)), "{put:?}");
    assert_same(&store.read_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &rows.view());
    for _ in 0..2 {
        let loaded = store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap();
        assert_same(&loaded.view(), &rows.view());
        assert_eq!(loaded.manifest(), put.manifest());
    }
    let m = put.manifest();
    assert_eq!((m.rows, m.first_ts_ns, m.last_ts_ns), (20_000, rows.ts_ns[0], rows.ts_ns[19_999]));
    assert_eq!(m.schema, "6270bba406e22ffd");
    // The digest does not know which back end keeps the rows.
    let other = Embedded::new().open();
    let there = other.put_day(Dataset::Ticks, SYMBOL, day(0), &rows.view(), &meta("a")).unwrap();
    assert_eq!(there.manifest(), m);
    assert_eq!(store.symbols(Dataset::Ticks).unwrap(), [SYMBOL]);
    assert_eq!(store.days(Dataset::Ticks, SYMBOL).unwrap(), [day(0)]);
    assert_eq!(store.symbols(Dataset::MainL5).unwrap(), [""; 0]);
    let missing = store.load_day(Dataset::MainL5, SYMBOL, day(0)).unwrap_err();
    assert_eq!(missing.code(), "days_missing");
}

/// Any values at all, NaN, infinities and both zeros included, equal times, in any number of rows.
fn any_rows_read_back(backend: &dyn Backend) {
    let store = backend.open();
    let cell = prop_oneof![
        4 => any::<f64>(),
        2 => Just(f64::NAN),
        1 => prop::sample::select(vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 1e-310]),
    ];
    let strategy = (
        prop::collection::vec((prop_oneof![Just(0i64), 0i64..3_000_000_000], 1u32..4, 0u8..5), 1..400),
        prop::collection::vec(cell, 64..128),
        0i32..3_000,
    );
    let mut runner = TestRunner::new(Config::with_cases(backend.cases()));
    let check = |(steps, cells, day_number): (Vec<(i64, u32, u8)>, Vec<f64>, i32)| {
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
        let (symbol, day) = ("KQ.m@SHFE.cu", day(day_number));
        store.put_day(Dataset::MainL5, symbol, day, &t.view(), &main_meta()).unwrap();
        assert_same(&store.read_day(Dataset::MainL5, symbol, day).unwrap().view(), &t.view());
        for _ in 0..2 {
            assert_same(&store.load_day(Dataset::MainL5, symbol, day).unwrap().view(), &t.view());
        }
        Ok(())
    };
    runner.run(&strategy, check).unwrap();
    assert!(store.verify(true).unwrap().is_ok());
}

fn equal_rows_change_nothing(backend: &dyn Backend) {
    let store = backend.open();
    let mut stored = Vec::new();
    for n in 0..3 {
        let rows = table(n as u64, 900);
        stored.push(store.put_day(Dataset::Ticks, SYMBOL, day(n), &rows.view(), &meta("a")).unwrap());
        stored.push(store.put_day(Dataset::MainL5, "KQ.m@SHFE.cu", day(n), &rows.view(), &main_meta()).unwrap());
    }
    store.yield_writer().unwrap();
    let again = backend.open();
    for n in 0..3 {
        let put = again.put_day(Dataset::Ticks, SYMBOL, day(n), &table(n as u64, 900).view(), &meta("a")).unwrap();
        assert!(matches!(put, PutOutcome::Unchanged(_)), "{put:?}");
        assert_eq!(put.manifest(), stored[2 * n as usize].manifest());
        let main = again.manifest(Dataset::MainL5, "KQ.m@SHFE.cu", day(n)).unwrap().unwrap();
        assert_eq!(main.underlying, main_meta().underlying);
        assert_eq!(&main, stored[2 * n as usize + 1].manifest());
    }
}

/// A correction replaces the day; who still reads the old one keeps it.
fn other_rows_replace_the_day(backend: &dyn Backend) {
    let store = backend.open();
    let (old_rows, new_rows) = (table(1, 500), table(2, 600));
    let first = store.put_day(Dataset::Ticks, SYMBOL, day(0), &old_rows.view(), &meta("a")).unwrap();
    let reader = store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap();
    let second = store.put_day(Dataset::Ticks, SYMBOL, day(0), &new_rows.view(), &meta("b")).unwrap();
    assert!(matches!(&second, PutOutcome::Replaced { old, .. } if *old == first.manifest().sha256), "{second:?}");
    assert_same(&reader.view(), &old_rows.view());
    drop(reader);
    assert_same(&store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &new_rows.view());

    // Only what decided the rows has another digest: the rows stay, the manifest says so.
    let third = store.put_day(Dataset::Ticks, SYMBOL, day(0), &new_rows.view(), &meta("c")).unwrap();
    assert!(matches!(third, PutOutcome::Unchanged(_)), "{third:?}");
    assert_eq!(store.manifest(Dataset::Ticks, SYMBOL, day(0)).unwrap().unwrap().build, meta("c").build);

    // Back to what it had been before.
    let back = store.put_day(Dataset::Ticks, SYMBOL, day(0), &old_rows.view(), &meta("a")).unwrap();
    assert_eq!(back.manifest(), first.manifest());
    assert_same(&store.read_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &old_rows.view());
    assert_eq!(store.days(Dataset::Ticks, SYMBOL).unwrap(), [day(0)]);
    assert!(store.verify(true).unwrap().is_ok());
}

/// While a writer replaces a day again and again, a reader without a lock sees one version or the other.
fn readers_see_whole_days(backend: &dyn Backend) {
    let versions = [table(1, 3_000), table(2, 2_000)];
    let writer = backend.open();
    writer.put_day(Dataset::Ticks, SYMBOL, day(0), &versions[0].view(), &meta("0")).unwrap();
    writer.flush().unwrap();
    let (reader, rounds) = (backend.open(), 2 * backend.cases() as usize);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..rounds {
                let (rows, build) = (&versions[n % 2], (n % 2).to_string());
                writer.put_day(Dataset::Ticks, SYMBOL, day(0), &rows.view(), &meta(&build)).unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            let loaded = reader.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap();
            let expected = if loaded.view().rows() == 3_000 { &versions[0] } else { &versions[1] };
            assert_same(&loaded.view(), &expected.view());
        }
    });
}

/// The threads of one store write different days of one table at the same time.
fn writers_side_by_side_lose_nothing(backend: &dyn Backend) {
    let store = backend.open();
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..4 {
                    let (day, rows) = (day(4 * writer + n), table((4 * writer + n) as u64, 700));
                    store.put_day(Dataset::Ticks, SYMBOL, day, &rows.view(), &meta("a")).unwrap();
                }
            });
        }
    });
    store.flush().unwrap();
    assert_eq!(store.days(Dataset::Ticks, SYMBOL).unwrap(), (0..12).map(day).collect::<Vec<_>>());
    for n in 0..12 {
        let loaded = store.read_day(Dataset::Ticks, SYMBOL, day(n)).unwrap();
        assert_same(&loaded.view(), &table(n as u64, 700).view());
    }
}

/// Rows that no reader should see are refused, with the row.
fn bad_rows_are_refused(backend: &dyn Backend) {
    let store = backend.open();
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
    for symbol in ["", "..", "a/b", ".hidden", "a b", "a'b", "铜"] {
        let error = store.put_day(Dataset::Ticks, symbol, day(0), &table(1, 10).view(), &meta("a")).unwrap_err();
        assert_eq!(error.code(), "bad_symbol", "{symbol}");
        assert_eq!(store.days(Dataset::Ticks, symbol).unwrap_err().code(), "bad_symbol", "{symbol}");
        assert_eq!(store.load_record("a", symbol).unwrap_err().code(), "bad_symbol", "{symbol}");
    }
    assert!(store.symbols(Dataset::Ticks).unwrap().is_empty());
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
fn columns_read_back_by_key(backend: &dyn Backend) {
    let store = backend.open();
    let mut rows = table(4, 700);
    rows.floats[9][..5].copy_from_slice(&[f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::NAN, 1e-310]);
    let columns = [
        NamedColumn { name: "spread", values: &rows.floats[9] },
        NamedColumn { name: "ofi.10s", values: &rows.floats[10] },
    ];
    let same = |found: &[f64], expected: &[f64]| {
        found.len() == expected.len()
            && found.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
    };
    for kind in ColumnKind::ALL {
        let put = store.put_columns(&key(kind, "a"), &rows.ts_ns, &rows.seq, &columns).unwrap();
        assert!(matches!(put, ColumnsOutcome::Stored(_)), "{put:?}");
        let again = store.put_columns(&key(kind, "a"), &rows.ts_ns, &rows.seq, &columns).unwrap();
        assert!(matches!(again, ColumnsOutcome::Unchanged(_)), "{again:?}");
        for _ in 0..2 {
            let loaded = store.load_columns(&key(kind, "a")).unwrap().unwrap();
            assert_eq!((loaded.rows(), loaded.names()), (700, &["spread".to_owned(), "ofi.10s".to_owned()][..]));
            assert_eq!((loaded.ts_ns(), loaded.seq()), (&rows.ts_ns[..], &rows.seq[..]));
            assert!(same(loaded.column_named("spread").unwrap(), &rows.floats[9]));
            assert!(same(loaded.column_named("ofi.10s").unwrap(), &rows.floats[10]));
            assert!(loaded.column_named("nothing").is_none());
        }
        assert!(store.load_columns(&key(kind, "b")).unwrap().is_none());
    }
    let changed = store.put_columns(&key(ColumnKind::Label, "a"), &rows.ts_ns, &rows.seq, &columns[1..]).unwrap();
    assert!(matches!(changed, ColumnsOutcome::Replaced { .. }), "{changed:?}");
    store.put_columns(&key(ColumnKind::Score, "b"), &rows.ts_ns, &rows.seq, &columns[..1]).unwrap();
    assert_eq!(store.columns_manifest(&key(ColumnKind::Score, "b")).unwrap().unwrap().columns, ["spread"]);
    assert_eq!(store.load_columns(&key(ColumnKind::Score, "a")).unwrap().unwrap().names().len(), 2);
    let found = store.verify(true).unwrap();
    assert!(found.is_ok() && found.days == 4, "{found:?}");

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

fn schedules_are_replaced_in_one_step(backend: &dyn Backend) {
    let store = backend.open();
    let variety = "cu".parse().unwrap();
    assert_eq!(store.load_schedule(&variety).unwrap(), None);
    assert!(store.schedules().unwrap().is_empty());
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
    assert_eq!(store.schedules().unwrap(), [variety]);

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

fn records_read_back(backend: &dyn Backend) {
    let store = backend.open();
    let json = serde_json::json!({ "b": 0.1, "a": [1, null, "x'\"\\\n\u{94dc}"] });
    assert_eq!(store.load_record("rolls", "SHFE.cu").unwrap(), None);
    store.put_record("rolls", "SHFE.cu", &json).unwrap();
    assert_eq!(store.load_record("rolls", "SHFE.cu").unwrap(), Some(json));
    let long = serde_json::json!({ "rows": vec!["0123456789"; 300_000] });
    store.put_record("rolls", "SHFE.cu", &long).unwrap();
    store.put_record("gaps", "SHFE.au", &serde_json::json!(1)).unwrap();
    assert_eq!(store.load_record("rolls", "SHFE.cu").unwrap(), Some(long));
    let names = [("gaps", "SHFE.au"), ("rolls", "SHFE.cu")].map(|(c, n)| (c.to_owned(), n.to_owned()));
    assert_eq!(store.records().unwrap(), names);
    assert_eq!(store.put_record("", "x", &serde_json::json!(1)).unwrap_err().code(), "bad_symbol");
}

/// The view of a stored day is what every other room reads: names and order as in the schema.
fn columns_keep_their_order(backend: &dyn Backend) {
    let store = backend.open();
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

fn everything_is_listed_and_verified(backend: &dyn Backend) {
    let store = backend.open();
    for (symbol, n) in [("SHFE.cu2602", 3), ("SHFE.cu2601", 1), ("SHFE.au2602", 0)] {
        for n in [n, n + 1] {
            store.put_day(Dataset::Ticks, symbol, day(n), &table(n as u64, 50).view(), &meta("a")).unwrap();
        }
    }
    assert_eq!(store.symbols(Dataset::Ticks).unwrap(), ["SHFE.au2602", "SHFE.cu2601", "SHFE.cu2602"]);
    assert_eq!(store.days(Dataset::Ticks, "SHFE.cu2602").unwrap(), [day(3), day(4)]);
    assert!(store.days(Dataset::Ticks, "SHFE.cu2603").unwrap().is_empty());
    assert!(store.columns_keys().unwrap().is_empty());
    let rows = table(4, 7);
    let columns = [NamedColumn { name: "spread", values: &rows.floats[9] }];
    let keys = [key(ColumnKind::Feature, "a"), key(ColumnKind::Score, "b")];
    for key in &keys {
        store.put_columns(key, &rows.ts_ns, &rows.seq, &columns).unwrap();
    }
    assert_eq!(store.columns_keys().unwrap(), keys);
    for deep in [false, true] {
        let found = store.verify(deep).unwrap();
        assert!(found.is_ok() && found.orphans.is_empty(), "{found:?}");
        assert_eq!((found.days, found.rows, found.hashed_bytes > 0), (8, 314, deep), "{found:?}");
    }
}
