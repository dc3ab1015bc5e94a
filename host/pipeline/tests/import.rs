//! Import into the embedded store. D-04, D-08, D-09, D-16, D-25
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where an assumption breaks")]

use ghtrader_core::{Column, Problem, TickView, TradingDay, Variety};
use ghtrader_pipeline::{ImportError, ImportOptions, ImportOutcome, ImportSummary, import};
use ghtrader_store::{
    ColumnsDay, ColumnsKey, ColumnsManifest, ColumnsOutcome, Dataset, DayMeta, EmbeddedStore, Garbage, Manifest,
    NamedColumn, PutOutcome, Schedule, ScheduleOutcome, Store, StoreError, TickDay, VerifyReport,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

const HEADER: &str = "datetime,datetime_nano,SHFE.cu2509.last_price,SHFE.cu2509.volume,SHFE.cu2509.amount,\
SHFE.cu2509.open_interest,SHFE.cu2509.bid_price1,SHFE.cu2509.bid_volume1,SHFE.cu2509.ask_price1,SHFE.cu2509.ask_volume1\n";
/// 2025-07-18 09:00:00.5, a Friday.
const FIRST_NS: i64 = 1_752_800_400_500_000_000;
const WEEK_NS: i64 = 7 * 86_400_000_000_000;

fn row(week: i64, n: i64) -> String {
    let ns = FIRST_NS + week * WEEK_NS + n * 500_000_000;
    format!("{},{ns},78000,{},{},100,77990,{},78010,2\n", ghtrader_core::ExchangeTimeNs(ns), n, n * 390_000, n % 7 + 1)
}

fn rows(week: i64, range: std::ops::Range<i64>) -> String {
    range.map(|n| row(week, n)).collect()
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("folder"))
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn file(&self, name: &str, body: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, format!("{HEADER}{body}")).expect("written");
        path
    }
    fn store(&self) -> EmbeddedStore {
        EmbeddedStore::open(&self.path("data")).expect("store")
    }
    fn import(&self, files: &[PathBuf]) -> Result<ImportSummary, ImportError> {
        self.import_with(files, &self.store(), 0)
    }
    fn import_with(&self, files: &[PathBuf], store: &dyn Store, workers: usize) -> Result<ImportSummary, ImportError> {
        let options = ImportOptions { workers, ..ImportOptions::new(&self.path("rejects")) };
        let summary = import(files, &options, store, &|_| {});
        if let Ok(s) = &summary {
            add_up(s);
        }
        summary
    }
    /// Every published byte by its path; locks and temporary files apart.
    fn bytes(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = BTreeMap::new();
        for folder in ["data/lake", "data/manifest", "rejects"] {
            collect(&self.path(folder), self.0.path(), &mut all);
        }
        all
    }
}

fn collect(dir: &Path, root: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, root, all);
        } else {
            let name = path.strip_prefix(root).expect("inside").to_owned();
            all.insert(name, std::fs::read(&path).expect("readable"));
        }
    }
}

#[track_caller]
fn add_up(s: &ImportSummary) {
    assert_eq!(s.rows_read, s.rows_stored + s.rows_rejected + s.rows_duplicate + s.rows_refused, "{s:?}");
    let of_days: u64 = s.symbol_days.iter().map(|d| d.rows).sum();
    assert_eq!(of_days, s.rows_stored, "{s:?}");
}

fn day(text: &str) -> TradingDay {
    text.parse().expect("day")
}

/// A store that stops working after some days, the way a full disk or a killed process does.
struct Failing {
    inner: EmbeddedStore,
    left: AtomicUsize,
    abort: bool,
}

impl Store for Failing {
    fn put_day(
        &self,
        dataset: Dataset,
        symbol: &str,
        day: TradingDay,
        ticks: &TickView<'_>,
        meta: &DayMeta,
    ) -> Result<PutOutcome, StoreError> {
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_err() {
            if self.abort {
                std::process::abort();
            }
            return Err(StoreError::DiskFull { path: "data".into(), why: "planted".into() });
        }
        self.inner.put_day(dataset, symbol, day, ticks, meta)
    }
    fn manifest(&self, dataset: Dataset, symbol: &str, day: TradingDay) -> Result<Option<Manifest>, StoreError> {
        self.inner.manifest(dataset, symbol, day)
    }
    fn symbols(&self, dataset: Dataset) -> Result<Vec<String>, StoreError> {
        self.inner.symbols(dataset)
    }
    fn days(&self, dataset: Dataset, symbol: &str) -> Result<Vec<TradingDay>, StoreError> {
        self.inner.days(dataset, symbol)
    }
    fn load_day(&self, dataset: Dataset, symbol: &str, day: TradingDay) -> Result<TickDay, StoreError> {
        self.inner.load_day(dataset, symbol, day)
    }
    fn put_columns(
        &self,
        key: &ColumnsKey,
        ts_ns: &[i64],
        seq: &[u32],
        columns: &[NamedColumn<'_>],
    ) -> Result<ColumnsOutcome, StoreError> {
        self.inner.put_columns(key, ts_ns, seq, columns)
    }
    fn load_columns(&self, key: &ColumnsKey) -> Result<Option<ColumnsDay>, StoreError> {
        self.inner.load_columns(key)
    }
    fn columns_manifest(&self, key: &ColumnsKey) -> Result<Option<ColumnsManifest>, StoreError> {
        self.inner.columns_manifest(key)
    }
    fn put_schedule(&self, schedule: &Schedule) -> Result<ScheduleOutcome, StoreError> {
        self.inner.put_schedule(schedule)
    }
    fn load_schedule(&self, variety: &Variety) -> Result<Option<Schedule>, StoreError> {
        self.inner.load_schedule(variety)
    }
    fn put_record(&self, collection: &str, name: &str, json: &serde_json::Value) -> Result<(), StoreError> {
        self.inner.put_record(collection, name, json)
    }
    fn load_record(&self, collection: &str, name: &str) -> Result<Option<serde_json::Value>, StoreError> {
        self.inner.load_record(collection, name)
    }
    fn schedules(&self) -> Result<Vec<Variety>, StoreError> {
        self.inner.schedules()
    }
    fn records(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.inner.records()
    }
    fn columns_keys(&self) -> Result<Vec<ColumnsKey>, StoreError> {
        self.inner.columns_keys()
    }
    fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush()
    }
    fn verify(&self, deep: bool) -> Result<VerifyReport, StoreError> {
        self.inner.verify(deep)
    }
    fn garbage(&self) -> Result<Garbage, StoreError> {
        self.inner.garbage()
    }
    fn collect_garbage(&self) -> Result<Garbage, StoreError> {
        self.inner.collect_garbage()
    }
}

/// Six weeks of one Friday each, with a rejected and a repeated row.
fn six_days(place: &Place) -> Vec<PathBuf> {
    (0..6)
        .map(|week| {
            let body = rows(week, 0..2_000) + &row(week, 1_999) + &row(week, 50) + &rows(week, 2_000..2_100);
            place.file(&format!("week{week}.csv"), &body)
        })
        .collect()
}

/// D-16: stopped by an error or by the end of the process, a second run completes to the same bytes.
#[test]
fn a_stopped_import_run_again_gives_the_same_bytes() {
    let whole = Place::new();
    let summary = whole.import(&six_days(&whole)).expect("import");
    assert_eq!((summary.rows_stored, summary.rows_rejected, summary.rows_duplicate), (12_600, 6, 6));
    let want = whole.bytes();

    for after in [0, 1, 4] {
        let place = Place::new();
        let files = six_days(&place);
        let stop = Failing { inner: place.store(), left: AtomicUsize::new(after), abort: false };
        let e = place.import_with(&files, &stop, 1).expect_err("stopped");
        assert_eq!(Problem::from(e).code, "disk_full");
        drop(stop);
        assert_eq!(place.bytes().len(), 2 * after, "whole days only");
        place.import(&files).expect("again");
        assert_same_but_for_folder(&place.bytes(), &want);
    }
    for after in [0, 3, 5] {
        let place = Place::new();
        let files = six_days(&place);
        let child = std::process::Command::new(std::env::current_exe().expect("test binary"))
            .args(["aborts_in_the_middle", "--exact", "--nocapture"])
            .env("IMPORT_TEST_PLACE", place.0.path())
            .env("IMPORT_TEST_AFTER", after.to_string())
            .output()
            .expect("child");
        assert!(!child.status.success(), "the child must have aborted: {child:?}");
        place.import(&files).expect("again");
        assert_same_but_for_folder(&place.bytes(), &want);
    }
}

/// Rejects name the files as given, which here lie in folders of their own.
#[track_caller]
fn assert_same_but_for_folder(got: &BTreeMap<PathBuf, Vec<u8>>, want: &BTreeMap<PathBuf, Vec<u8>>) {
    let data = |all: &BTreeMap<PathBuf, Vec<u8>>| -> BTreeMap<PathBuf, Vec<u8>> {
        all.iter().filter(|(p, _)| p.starts_with("data")).map(|(p, b)| (p.clone(), b.clone())).collect()
    };
    assert_eq!(data(got).keys().collect::<Vec<_>>(), data(want).keys().collect::<Vec<_>>());
    assert!(data(got) == data(want), "the bytes of some file differ");
    assert_eq!(got.len(), want.len(), "one rejects file each");
}

/// The child of the test above; does nothing when it is run by itself.
#[test]
fn aborts_in_the_middle() {
    let (Ok(place), Ok(after)) = (std::env::var("IMPORT_TEST_PLACE"), std::env::var("IMPORT_TEST_AFTER")) else {
        return;
    };
    let root = PathBuf::from(place);
    let files: Vec<PathBuf> = (0..6).map(|week| root.join(format!("week{week}.csv"))).collect();
    let inner = EmbeddedStore::open(&root.join("data")).expect("store");
    let store = Failing { inner, left: AtomicUsize::new(after.parse().expect("number")), abort: true };
    let options = ImportOptions::new(&root.join("rejects"));
    let _ = import(&files, &options, &store, &|_| {});
}

/// D-25: order of files, threads and compression cannot be seen in what is stored.
#[test]
fn workers_and_order_of_files_do_not_matter() {
    let mut places = Vec::new();
    for (workers, reversed) in [(1, false), (8, true)] {
        let place = Place::new();
        let mut files = six_days(&place);
        if reversed {
            files.reverse();
        }
        let summary = place.import_with(&files, &place.store(), workers).expect("import");
        assert!(summary.symbol_days.is_sorted_by_key(|d| d.trading_day));
        places.push(place);
    }
    assert_same_but_for_folder(&places[0].bytes(), &places[1].bytes());
}

/// D-04: rejected rows go to a file with line, reason and text.
#[test]
fn rejected_rows_are_in_the_file() {
    let place = Place::new();
    let bad = row(0, 2_000).replace("77990", "77,995");
    let file = place.file("cu.csv", &(rows(0, 0..2_000) + &bad + &rows(0, 2_001..2_100)));
    let summary = place.import(std::slice::from_ref(&file)).expect("import");
    let rejects = summary.rejects_file.expect("a rejects file");
    let text = std::fs::read_to_string(&rejects).expect("readable");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "file,line,symbol,trading_day,reason,detail,raw");
    let want = format!(
        "{},2002,SHFE.cu2509,2025-07-18,bad_row,11 fields under 10 columns,\"{}\"",
        file.display(),
        bad.trim_end()
    );
    assert_eq!(lines[1..], [want]);
    assert!(std::fs::read_dir(place.path("rejects")).expect("folder").count() == 1, "no temporary file is left");
}

/// D-04: above 0.1 % the day is refused and the stored one stays; other days go on.
#[test]
fn a_day_with_too_many_bad_rows_leaves_the_store_unchanged() {
    let place = Place::new();
    let good = place.file("good.csv", &rows(0, 0..1_000));
    place.import(&[good]).expect("import");
    let before = place.bytes();
    let off_grid = |n: i64| row(0, n).replace("78010", "78011");
    let bad = place.file("bad.csv", &(rows(0, 0..1_500) + &off_grid(1_500) + &off_grid(1_501) + &rows(1, 0..100)));
    let summary = place.import(&[bad]).expect("the second day is stored");
    let outcomes: Vec<_> = summary.symbol_days.iter().map(|d| (d.outcome, d.rows)).collect();
    assert_eq!(outcomes, [(ImportOutcome::Refused, 0), (ImportOutcome::Stored, 100)]);
    assert_eq!((summary.rows_refused, summary.rows_rejected), (1_500, 2));
    let reason = summary.refused_days().next().and_then(|d| d.reason.as_deref()).expect("a reason");
    assert_eq!(reason, "2 of 1502 rows rejected (0.13 %), at most 0.10 % are allowed");
    let after = place.bytes();
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "the old day is untouched");

    let all_bad = place.file("all_bad.csv", &(0..50).map(off_grid).collect::<String>());
    let e = place.import(&[all_bad]).expect_err("nothing stored");
    assert!(e.summary().is_some_and(|s| s.rejects_file.is_some() && s.rows_read == 50));
    let problem = Problem::from(e);
    assert_eq!((problem.code, problem.class.exit_code()), ("off_grid", 2));
    assert!(problem.what.contains("50 of 50 rows rejected") && problem.what.contains("line 2"), "{problem}");
    assert_eq!(place.bytes().iter().filter(|(p, _)| p.starts_with("data")).count(), 4);
}

/// D-16: the same content changes nothing; other content replaces the day and names both digests.
#[test]
fn the_same_day_again_and_a_corrected_day() {
    let place = Place::new();
    let file = place.file("cu.csv", &rows(0, 0..500));
    let first = place.import(std::slice::from_ref(&file)).expect("import");
    let bytes = place.bytes();
    let again = place.import(&[file]).expect("import");
    assert_eq!(again.symbol_days[0].outcome, ImportOutcome::Unchanged);
    assert_eq!((again.symbol_days[0].sha256, place.bytes() == bytes), (first.symbol_days[0].sha256, true));
    let longer = place.file("corrected.csv", &rows(0, 0..501));
    let corrected = place.import(&[longer]).expect("import");
    let d = &corrected.symbol_days[0];
    assert_eq!((d.outcome, d.replaced_sha256, d.rows), (ImportOutcome::Replaced, first.symbol_days[0].sha256, 501));
}

/// Files of one call make one day; what both hold is stored once. A second call replaces, it does not merge.
#[test]
fn files_of_one_call_make_the_day() {
    let place = Place::new();
    let a = place.file("a.csv", &rows(0, 0..600));
    let b = place.file("b.csv", &rows(0, 400..1_000));
    let both = place.import(&[b.clone(), a]).expect("import");
    assert_eq!((both.rows_stored, both.rows_duplicate, both.symbol_days.len()), (1_000, 200, 1));
    let stored = place.store().load_day(Dataset::Ticks, "SHFE.cu2509", day("2025-07-18")).expect("stored");
    let volumes: Vec<f64> = (0..1_000).map(f64::from).collect();
    assert_eq!(stored.view().float(Column::Volume), volumes);
    assert_eq!(stored.view().seq, (0..1_000).collect::<Vec<u32>>());
    let half = place.import(&[b]).expect("import");
    assert_eq!((half.symbol_days[0].outcome, half.symbol_days[0].rows), (ImportOutcome::Replaced, 600));
}

/// A file that breaks off refuses the days it may hold, and only those.
#[test]
fn a_truncated_file_costs_its_own_days_only() {
    let place = Place::new();
    let good = place.file("good.csv", &rows(0, 0..100));
    let body = rows(1, 0..100);
    let cut = place.file("cut.csv", &body[..body.len() - 20]);
    let part = place.file("part.csv", &rows(1, 100..200));
    let e = place.import(&[good, cut, part]).expect_err("incomplete");
    let summary = e.summary().expect("what was done").clone();
    let outcomes: Vec<_> = summary.symbol_days.iter().map(|d| (d.trading_day, d.outcome)).collect();
    let want = [(day("2025-07-18"), ImportOutcome::Stored), (day("2025-07-25"), ImportOutcome::Refused)];
    assert_eq!(outcomes, want);
    let problem = Problem::from(e);
    assert_eq!(problem.code, "truncated_file");
    assert!(problem.what.contains("cut.csv") && problem.what.contains("line 101"), "{problem}");
    assert_eq!(place.store().days(Dataset::Ticks, "SHFE.cu2509").expect("days"), [day("2025-07-18")]);
}

/// A file that is no tick file stops the import before anything is written.
#[test]
fn a_bad_file_among_good_ones_stops_before_writing() {
    let place = Place::new();
    let good = place.file("good.csv", &rows(0, 0..100));
    let empty = place.path("empty.csv");
    std::fs::write(&empty, "").expect("written");
    let problem = Problem::from(place.import(&[good, empty.clone(), empty]).expect_err("refused"));
    assert_eq!(problem.code, "empty_file");
    assert!(problem.what.ends_with("(and 1 more files)"), "{problem}");
    assert!(place.bytes().is_empty());
    assert_eq!(Problem::from(place.import(&[]).expect_err("refused")).code, "no_files");
}

#[test]
fn folders_that_cannot_be_written() {
    let place = Place::new();
    let good = place.file("good.csv", &rows(0, 0..100));
    let options = ImportOptions::new(&good.join("rejects"));
    let e = import(std::slice::from_ref(&good), &options, &place.store(), &|_| {}).expect_err("refused");
    let problem = Problem::from(e);
    assert_eq!((problem.code, problem.remedy.is_empty()), ("folder_unwritable", false));
    assert!(place.bytes().is_empty(), "{problem}");
    // A file where the store needs a folder: the day cannot be published.
    std::fs::create_dir_all(place.path("data/lake")).expect("folder");
    std::fs::write(place.path("data/lake/ticks"), "in the way").expect("written");
    let problem = Problem::from(place.import(&[good]).expect_err("refused"));
    assert_eq!(problem.code, "store_unwritable", "{problem}");
}

/// D-08, D-09: recorded files of every dialect, from file to store.
#[test]
fn recorded_files_of_every_dialect() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !data.exists() {
        eprintln!("skipped: ../shared/data not found");
        return;
    }
    let place = Place::new();
    let store = place.store();
    let of = |names: &[&str]| names.iter().map(|n| data.join(n)).collect::<Vec<_>>();
    let tqsdk = of(&[
        "tqsdk/SHFE.ad2511.csv",
        "tqsdk/SHFE.wr2510.csv",
        "tqsdk/CFFEX.IF2509.csv",
        "tqsdk/DCE.bb2511.csv",
        "tqsdk/SHFE.cu1909_last200.csv",
    ]);
    let summary = place.import_with(&tqsdk, &store, 0).expect("TqSdk");
    assert_eq!((summary.rows_read, summary.rows_stored, summary.symbol_days.len()), (35_342, 35_342, 5));
    assert!(summary.rejects_file.is_none());

    let ctp = of(&["ctp_2018/SHFE.ru1901_20181009.tick-ctp.csv.gz", "ctp_2018/SHFE.ru1901_20181008.tick-ctp.csv.gz"]);
    let summary = place.import_with(&ctp, &store, 0).expect("CTP");
    assert_eq!((summary.rows_read, summary.rows_rejected), (78_077, 0));
    let days: Vec<_> = summary.symbol_days.iter().map(|d| (d.trading_day, d.rows + d.rows_duplicate)).collect();
    assert_eq!(days, [(day("2018-10-08"), 24_331), (day("2018-10-09"), 40_448), (day("2018-10-10"), 13_298)]);
    let whole = store.load_day(Dataset::Ticks, "SHFE.ru1901", day("2018-10-09")).expect("stored");
    assert_eq!(whole.view().float(Column::Volume).last(), Some(&740_820.0));
    assert_eq!(whole.manifest().counting, ghtrader_store::Counting::Double);

    let compact = of(&["ctp_2017-11-13/cu1712_20171113.csv", "ctp_2017-11-13/rb1805_20171113.csv"]);
    let options = ImportOptions { trading_day: Some(day("2017-11-13")), ..ImportOptions::new(&place.path("rejects")) };
    let summary = import(&compact, &options, &store, &|_| {}).expect("compact");
    add_up(&summary);
    assert_eq!((summary.rows_read, summary.rows_rejected), (62_257, 0));
    let days: Vec<_> = summary.symbol_days.iter().map(|d| (d.symbol.to_string(), d.rows + d.rows_duplicate)).collect();
    assert_eq!(days, [("SHFE.cu1712".to_owned(), 20_959), ("SHFE.rb1805".to_owned(), 41_298)]);
    assert!(store.verify(true).expect("verified").is_ok());
}
