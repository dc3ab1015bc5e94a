//! A real server that is killed, read-only, full, suspended, of another version, damaged or gone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use ghtrader_core::{Digest, ErrorClass, Problem, TradingDay};
use ghtrader_store::{
    ColumnKind, ColumnsKey, CopyReport, CopySelection, Dataset, EmbeddedStore, Manifest, NamedColumn, PutOutcome,
    QuestDbOptions, QuestDbStore, Schedule, ScheduleRow, Store, StoreError, copy_store, differences,
};
use questdb_server::{Options, Server, free_port};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::backend::{can_start, folder, options_of, small};
use support::{SYMBOL, assert_same, day, main_meta, meta, table};

/// Options with a cache of their own that goes away.
fn options(url: &str, wait_s: u64) -> (QuestDbOptions, tempfile::TempDir) {
    let cache = tempfile::tempdir().unwrap();
    let wait = Duration::from_secs(wait_s);
    (QuestDbOptions { wait, ..options_of(url, cache.path().to_owned()) }, cache)
}

/// The rows of a statement, said to the server directly.
fn sql(url: &str, statement: &str) -> Vec<Value> {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut answer = agent.get(format!("{url}/exec")).query("query", statement).call().unwrap();
    let body: Value = answer.body_mut().read_json().unwrap();
    assert!(body.get("error").is_none(), "{statement}: {body}");
    body["dataset"].as_array().cloned().unwrap_or_default()
}

/// Waits until the server has applied everything.
fn settled(url: &str) {
    for _ in 0..3_000 {
        if sql(url, "SELECT name FROM wal_tables() WHERE writerTxn < sequencerTxn").is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the server does not apply what it has");
}

#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T, StoreError>, code: &str, class: ErrorClass) -> Problem {
    let problem = Problem::from(result.unwrap_err());
    assert_eq!((problem.code, problem.class), (code, class), "{problem}");
    problem
}

fn put(store: &dyn Store, n: i32, seed: u64, rows: usize) -> Result<PutOutcome, StoreError> {
    store.put_day(Dataset::Ticks, SYMBOL, day(n), &table(seed, rows).view(), &meta(&seed.to_string()))
}

/// No build has a row twice, and every manifest has its rows.
fn nothing_is_doubled_or_lost(url: &str) {
    settled(url);
    let builds = "SELECT build, count(), count_distinct(seq) FROM ghtrader_ticks";
    let counted: BTreeMap<String, (i64, i64)> = sql(url, builds)
        .iter()
        .map(|r| (r[0].as_str().unwrap().to_owned(), (r[1].as_i64().unwrap(), r[2].as_i64().unwrap())))
        .collect();
    for (build, (rows, different)) in &counted {
        assert_eq!(rows, different, "build {build}");
    }
    for row in sql(url, "SELECT build, row_count, trading_day FROM ghtrader_manifest WHERE dataset = 'ticks'") {
        let rows = counted.get(row[0].as_str().unwrap()).map(|c| c.0);
        assert_eq!(rows, row[1].as_i64(), "{row}");
    }
}

/// D-15, D-40: kill -9 of the server while rows are on the way. A patient writer goes on when it is back; what was
/// acknowledged is there, once.
#[test]
fn a_killed_server_loses_and_doubles_nothing() {
    if !can_start() {
        return;
    }
    let place = folder();
    let start = |http_port| Server::start(&place, &Options { http_port, throw_away: false, ..small() }).unwrap();
    let mut server = start(0);
    let (url, port) = (server.url(), server.http_port());
    let acknowledged: Mutex<BTreeMap<TradingDay, Manifest>> = Mutex::default();
    let (done, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    // Lets the writer come so far, and then some way into the next day.
    let let_write = |days: usize, into_ms: u64| {
        let (until, began) = (written.load(Ordering::Acquire) + days, Instant::now());
        while written.load(Ordering::Acquire) < until {
            assert!(began.elapsed() < Duration::from_secs(180), "the writer stands still");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(into_ms));
    };

    // Waits for as long as it takes: every write ends well.
    let (patient, _cache) = options(&url, 120);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let store = QuestDbStore::open(&patient).unwrap();
            for seed in 0u64.. {
                if done.load(Ordering::Acquire) {
                    break;
                }
                let n = (seed % 5) as i32;
                let put = put(&store, n, seed, 4_000).unwrap();
                acknowledged.lock().unwrap().insert(day(n), put.manifest().clone());
                written.fetch_add(1, Ordering::Release);
            }
            store.flush().unwrap();
        });
        for round in 0..3u64 {
            let_write(2, 5 + 17 * round);
            server.kill();
            server = start(port);
        }
        let_write(1, 0);
        done.store(true, Ordering::Release);
        writer.join().unwrap();
    });
    let check = |acknowledged: &BTreeMap<TradingDay, Manifest>| {
        let (fresh, _cache) = options(&url, 60);
        settled(&url);
        let store = QuestDbStore::open(&fresh).unwrap();
        for (day, manifest) in acknowledged {
            let seed = (0..10_000).find(|seed| meta(&seed.to_string()).build == manifest.build).unwrap();
            let loaded = store.read_day(Dataset::Ticks, SYMBOL, *day).unwrap();
            assert_eq!(loaded.manifest(), manifest);
            assert_same(&loaded.view(), &table(seed, 4_000).view());
        }
        nothing_is_doubled_or_lost(&url);
    };
    check(&acknowledged.lock().unwrap());

    // Gives up at once: the last write fails, and is written again by somebody else.
    let (hasty, _cache) = options(&url, 1);
    let failed = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let store = QuestDbStore::open(&hasty).unwrap();
            for seed in 5_000u64.. {
                let n = (seed % 5) as i32;
                match put(&store, n, seed, 4_000) {
                    Ok(put) => {
                        acknowledged.lock().unwrap().insert(day(n), put.manifest().clone());
                        written.fetch_add(1, Ordering::Release);
                    }
                    Err(e) => return (n, seed, e),
                }
            }
            panic!("it was never stopped");
        });
        let_write(2, 11);
        server.kill();
        writer.join().unwrap()
    });
    let (n, seed, error) = failed;
    fails::<()>(Err(error), "questdb_unreachable", ErrorClass::Unavailable);
    server = start(port);
    // What was on its way may have arrived; only what was acknowledged must have.
    acknowledged.lock().unwrap().remove(&day(n));
    check(&acknowledged.lock().unwrap());
    let store = QuestDbStore::open(&options(&url, 60).0).unwrap();
    let again = put(&store, n, seed, 4_000).unwrap();
    store.flush().unwrap();
    acknowledged.lock().unwrap().insert(day(n), again.manifest().clone());
    check(&acknowledged.lock().unwrap());
    assert!(store.verify(true).unwrap().is_ok());
    drop(store);
    drop(server);
    std::fs::remove_dir_all(place).unwrap();
}

/// D-15: days, built columns, schedules and records there and back, equal by digest; a second copy copies nothing.
#[test]
fn stores_are_copied_both_ways() {
    if !can_start() {
        return;
    }
    let server = Server::start(&folder(), &small()).unwrap();
    let (mut options, _cache) = options(&server.url(), 60);
    options.batch_rows = 100;
    let roots = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let from = EmbeddedStore::open(roots[0].path()).unwrap();
    for n in 0..3 {
        put(&from, n, n as u64, 900).unwrap();
        let rows = table(n as u64, 300);
        from.put_day(Dataset::MainL5, "KQ.m@SHFE.cu", day(n), &rows.view(), &main_meta()).unwrap();
        let key = ColumnsKey {
            kind: ColumnKind::Feature,
            set: "set".into(),
            symbol: "KQ.m@SHFE.cu".into(),
            trading_day: day(n),
            key: Digest::of(b"key"),
        };
        let columns = ["a", "b.c"].map(|name| NamedColumn { name, values: &rows.floats[0] });
        from.put_columns(&key, &rows.ts_ns, &rows.seq, &columns).unwrap();
    }
    let row = ScheduleRow { date: day(0), main_contract: SYMBOL.parse().unwrap(), segment_id: 0 };
    from.put_schedule(&Schedule::new("cu".parse().unwrap(), "oi", vec![row]).unwrap()).unwrap();
    from.put_record("rolls", "SHFE.cu", &json!({ "x": [0.1, null] })).unwrap();

    let questdb = QuestDbStore::open(&options).unwrap();
    let some = CopySelection { symbols: vec![SYMBOL.into()], from_day: Some(day(1)), to_day: Some(day(1)) };
    let copied = copy_store(&from, &questdb, &some, &|_| {}).unwrap();
    assert_eq!(copied, CopyReport { days: 1, rows: 900, ..CopyReport::default() });
    let all = CopySelection::default();
    let (compared, found) = differences(&from, &questdb, &all).unwrap();
    assert_eq!((compared, found.len()), (11, 10));
    assert!(found.iter().all(|d| d.here.is_some() && d.there.is_none()), "{found:?}");

    let last = Mutex::new((0, 0));
    let copied = copy_store(&from, &questdb, &all, &|p| *last.lock().unwrap() = (p.done, p.total)).unwrap();
    let expected = CopyReport { days: 5, unchanged_days: 1, rows: 2_700, columns: 3, schedules: 1, records: 1 };
    assert_eq!((copied, *last.lock().unwrap()), (expected, (9, 9)));
    assert_eq!(differences(&from, &questdb, &all).unwrap(), (11, vec![]));
    let again = copy_store(&from, &questdb, &all, &|_| {}).unwrap();
    assert_eq!((again.days, again.unchanged_days, again.rows, again.columns), (0, 6, 0, 0));

    let back = EmbeddedStore::open(roots[1].path()).unwrap();
    copy_store(&questdb, &back, &all, &|_| {}).unwrap();
    assert_eq!(differences(&from, &back, &all).unwrap(), (11, vec![]));
    assert!(support::tree(roots[0].path()) == support::tree(roots[1].path()), "the files differ");
    let found = questdb.verify(true).unwrap();
    assert!(found.is_ok() && found.days == 9, "{found:?}");
}

/// D-17: rows that somebody has changed, taken or added are noticed by a reader and named by `verify`; storing mends.
#[test]
fn damaged_rows_are_found_and_mended() {
    if !can_start() {
        return;
    }
    let server = Server::start(&folder(), &small()).unwrap();
    let (options, cache) = options(&server.url(), 60);
    let store = QuestDbStore::open(&options).unwrap();
    for n in 0..3 {
        put(&store, n, n as u64, 300).unwrap();
    }
    store.flush().unwrap();
    let build = |n: i32| {
        let of = format!("dataset = 'ticks' AND trading_day = '{}'", day(n));
        let found = sql(&server.url(), &format!("SELECT build FROM ghtrader_manifest WHERE {of}"));
        found[0][0].as_str().unwrap().to_owned()
    };
    let say = |statement: &str| {
        sql(&server.url(), statement);
        settled(&server.url());
    };
    // One value.
    say(&format!("UPDATE ghtrader_ticks SET last_price = 1.5 WHERE build = '{}' AND seq = 7", build(0)));
    let problem = fails(store.load_day(Dataset::Ticks, SYMBOL, day(0)), "day_corrupt", ErrorClass::Negative);
    assert!(problem.what.contains("ticks SHFE.cu2602 2025-07-17") && problem.what.contains("checksum"), "{problem}");
    assert!(store.verify(false).unwrap().is_ok(), "a count does not see it");
    let found = store.verify(true).unwrap();
    assert_eq!(
        found.bad.iter().map(|b| (b.code, b.what.as_str())).collect::<Vec<_>>(),
        [("day_corrupt", "ticks SHFE.cu2602 2025-07-17")]
    );
    assert_eq!(found.bad[0].quarantined.len(), 1);
    assert_eq!(store.days(Dataset::Ticks, SYMBOL).unwrap(), [day(1), day(2)]);
    let mended = put(&store, 0, 0, 300).unwrap();
    assert!(matches!(mended, PutOutcome::Stored(_)), "{mended:?}");
    assert_same(&store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &table(0, 300).view());

    // Rows too many: they cannot be deleted, so the day gets another build.
    let columns = "datetime, symbol, trading_day, build, seq, phase";
    say(&format!(
        "INSERT INTO ghtrader_ticks ({columns}) SELECT datetime, symbol, trading_day, build, seq + 100000, phase \
         FROM ghtrader_ticks WHERE build = '{}' LIMIT 5",
        build(1)
    ));
    let found = store.verify(false).unwrap();
    assert!(found.bad.len() == 1 && found.bad[0].why.contains("305 rows, the manifest says 300"), "{found:?}");
    put(&store, 1, 1, 300).unwrap();
    assert_same(&store.load_day(Dataset::Ticks, SYMBOL, day(1)).unwrap().view(), &table(1, 300).view());
    assert_eq!(
        sql(&server.url(), "SELECT build FROM ghtrader_manifest WHERE build LIKE '%-2'").len(),
        1,
        "the build has another name"
    );

    // A manifest that says something else.
    say("UPDATE ghtrader_manifest SET body = replace(body, 'test', 'tost') WHERE trading_day = '2025-07-19'");
    fails(store.manifest(Dataset::Ticks, SYMBOL, day(2)), "manifest_corrupt", ErrorClass::Negative);
    let found = store.verify(false).unwrap();
    assert_eq!(found.bad.iter().map(|b| b.code).collect::<Vec<_>>(), ["manifest_corrupt"]);
    put(&store, 2, 2, 300).unwrap();
    let found = store.verify(true).unwrap();
    assert!(found.is_ok() && found.days == 3, "{found:?}");
    drop(cache);
}

/// D-40: a suspended table shows nothing of what it acknowledges: that is an error, with what to say to the server.
#[test]
fn a_suspended_table_is_named_with_its_remedy() {
    if !can_start() {
        return;
    }
    let dev = Options { environment: vec![("QDB_DEV_MODE_ENABLED".into(), "true".into())], ..small() };
    let server = Server::start(&folder(), &dev).unwrap();
    let (options, _cache) = options(&server.url(), 60);
    let store = QuestDbStore::open(&options).unwrap();
    put(&store, 0, 0, 300).unwrap();
    store.flush().unwrap();
    for table in ["ghtrader_ticks", "ghtrader_manifest"] {
        sql(&server.url(), &format!("ALTER TABLE {table} SUSPEND WAL"));
        let problem = fails(put(&store, 1, 1, 300), "questdb_suspended", ErrorClass::Unavailable);
        assert!(problem.what.contains(table), "{problem}");
        assert!(problem.remedy.contains(&format!("ALTER TABLE {table} RESUME WAL")), "{problem}");
        // What is there can be read.
        assert_same(&store.read_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &table_of_day_0().view());
        sql(&server.url(), &format!("ALTER TABLE {table} RESUME WAL"));
        settled(&server.url());
    }
    // Suspended between the writing and the end of the job.
    put(&store, 1, 1, 300).unwrap();
    sql(&server.url(), "ALTER TABLE ghtrader_record SUSPEND WAL");
    let record = store.put_record("a", "b", &json!(1));
    fails(record, "questdb_suspended", ErrorClass::Unavailable);
    sql(&server.url(), "ALTER TABLE ghtrader_record RESUME WAL");
    settled(&server.url());
    store.put_record("a", "b", &json!(1)).unwrap();
    assert_eq!(store.load_record("a", "b").unwrap(), Some(json!(1)));
    store.flush().unwrap();
    assert_eq!(store.days(Dataset::Ticks, SYMBOL).unwrap(), [day(0), day(1)]);
}

fn table_of_day_0() -> ghtrader_core::TickTable {
    table(0, 300)
}

/// D-15, D-40: a server that takes no writes is still read from; one without the tables is of no use.
#[test]
fn a_read_only_server_is_read_from() {
    if !can_start() {
        return;
    }
    let place = folder();
    let server = Server::start(&place, &Options { throw_away: false, ..small() }).unwrap();
    let (first, _cache) = options(&server.url(), 60);
    let store = QuestDbStore::open(&first).unwrap();
    put(&store, 0, 0, 300).unwrap();
    drop(store);
    drop(server);
    let read_only = Options { environment: vec![("QDB_READONLY".into(), "true".into())], ..small() };
    let server = Server::start(&place, &read_only).unwrap();
    let (mut options, _cache) = options(&server.url(), 5);
    let store = QuestDbStore::open(&options).unwrap();
    assert_same(&store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &table(0, 300).view());
    assert!(matches!(put(&store, 0, 0, 300).unwrap(), PutOutcome::Unchanged(_)));
    let problem = fails(put(&store, 0, 9, 300), "questdb_read_only", ErrorClass::Unavailable);
    assert!(problem.what.contains("2025-07-17") && problem.remedy.contains("readonly"), "{problem}");
    fails(store.put_record("a", "b", &json!(1)), "questdb_read_only", ErrorClass::Unavailable);
    options.prefix = "other".to_owned();
    let problem = fails(QuestDbStore::open(&options), "questdb_read_only", ErrorClass::Unavailable);
    assert!(problem.what.contains("other_ticks"), "{problem}");
}

/// D-15: tables of the same name with other columns, types or keys; a login; a server that would lose what it acknowledges.
#[test]
fn servers_that_will_not_do_are_refused() {
    if !can_start() {
        return;
    }
    let login = [("QDB_HTTP_USER", "desk"), ("QDB_HTTP_PASSWORD", "secret")];
    let environment = login.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
    let server = Server::start(&folder(), &Options { environment, ..small() }).unwrap();
    let (mut options, _cache) = options(&server.url(), 10);
    fails(QuestDbStore::open(&options), "questdb_access", ErrorClass::User);
    options.user = "desk".to_owned();
    options.password = "wrong".to_owned();
    let problem = fails(QuestDbStore::open(&options), "questdb_access", ErrorClass::User);
    assert!(!problem.to_string().contains("wrong"), "{problem}");
    options.password = "secret".to_owned();
    assert!(!format!("{options:?}").contains("secret"));
    let store = QuestDbStore::open(&options).unwrap();
    put(&store, 0, 0, 300).unwrap();
    store.flush().unwrap();
    drop(store);
    drop(server);

    let unsafe_mode = vec![("QDB_CAIRO_COMMIT_MODE".to_owned(), "nosync".to_owned())];
    let server = Server::start(&folder(), &Options { environment: unsafe_mode, ..small() }).unwrap();
    options.url = server.url();
    options.user = String::new();
    let problem = fails(QuestDbStore::open(&options), "questdb_commit_mode", ErrorClass::User);
    assert!(problem.what.contains("nosync") && problem.remedy.contains("QDB_CAIRO_COMMIT_MODE=sync"), "{problem}");
    drop(server);

    let server = Server::start(&folder(), &small()).unwrap();
    options.url = server.url();
    for (prefix, columns, why) in [
        (
            "a",
            "(datetime TIMESTAMP_NS) TIMESTAMP(datetime) PARTITION BY DAY WAL DEDUP UPSERT KEYS(datetime)",
            "no column symbol",
        ),
        ("b", "(datetime TIMESTAMP, x INT) TIMESTAMP(datetime) PARTITION BY DAY WAL", "datetime is TIMESTAMP, not"),
        ("c", "(datetime TIMESTAMP_NS, x INT) TIMESTAMP(datetime) PARTITION BY DAY BYPASS WAL", "no write-ahead log"),
    ] {
        sql(&server.url(), &format!("CREATE TABLE {prefix}_ticks {columns}"));
        options.prefix = prefix.to_owned();
        let problem = fails(QuestDbStore::open(&options), "questdb_schema", ErrorClass::User);
        assert!(problem.what.contains(why), "{problem}");
    }
    options.prefix = "fine".to_owned();
    drop(QuestDbStore::open(&options).unwrap());
    sql(&server.url(), "ALTER TABLE fine_manifest DEDUP DISABLE");
    settled(&server.url());
    let problem = fails(QuestDbStore::open(&options), "questdb_schema", ErrorClass::User);
    assert!(problem.what.contains("fine_manifest") && problem.what.contains("DEDUP UPSERT KEYS"), "{problem}");
    for prefix in ["", "A", "1a", "a b", "a'"] {
        options.prefix = prefix.to_owned();
        fails(QuestDbStore::open(&options), "questdb_address", ErrorClass::User);
    }
}

/// A server that says one thing to everybody.
fn saying(body: &'static str) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 4_096];
        let _ = stream.read(&mut asked).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    });
    (url, server)
}

/// D-15, D-40: servers of another version, of another kind, and none at all.
#[test]
fn unknown_servers_are_refused_at_once() {
    for (body, found) in [
        (r#"{"config":{"release.version":"8.2.3"}}"#, "8.2.3"),
        (r#"{"config":{"release.version":"9.2.9","accepting.writes":["http"]}}"#, "9.2.9"),
        (r#"{"config":{"release.version":"10.0.0"}}"#, "10.0.0"),
        ("<html>something else</html>", "unknown"),
    ] {
        let (url, server) = saying(body);
        let problem = fails(QuestDbStore::open(&options(&url, 60).0), "questdb_version", ErrorClass::User);
        assert!(problem.what.contains(found) && problem.what.contains("9.3"), "{problem}");
        server.join().unwrap();
    }
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    let problem = fails(QuestDbStore::open(&options(&nobody, 600).0), "questdb_unreachable", ErrorClass::Unavailable);
    assert!(problem.what.contains(&nobody) && problem.remedy.contains("cargo xtask questdb up"), "{problem}");
}

/// D-40: a disk that is full. Needs the right to mount in a namespace of its own.
#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    if !can_start() {
        return;
    }
    let (place, disk) = (folder(), tempfile::tempdir().unwrap());
    let mount = format!("mount -t tmpfs -o size=40m tmpfs '{}'", disk.path().display());
    let on_a_small_disk = |place: &Path| {
        let options = Options { before: Some(mount.clone()), throw_away: false, ..small() };
        Server::start(place, &options)
    };
    let server = match on_a_small_disk(disk.path()) {
        Ok(server) => server,
        Err(why) => {
            eprintln!("skipped: no right to mount a file system in a namespace: {why}");
            return;
        }
    };
    let (options, _cache) = options(&server.url(), 5);
    let store = QuestDbStore::open(&options).unwrap();
    let mut stored = Vec::new();
    let error = loop {
        let n = stored.len() as i32;
        assert!(n < 200, "the disk is never full");
        match put(&store, n, n as u64, 4_000).and_then(|put| store.flush().map(|()| put)) {
            Ok(put) => stored.push(put.manifest().clone()),
            Err(e) => break e,
        }
    };
    let problem = Problem::from(error);
    assert!(["disk_full", "questdb_suspended"].contains(&problem.code), "{problem}");
    assert!(!stored.is_empty());
    for manifest in &stored {
        let loaded = store.read_day(Dataset::Ticks, SYMBOL, manifest.trading_day).unwrap();
        assert_eq!(loaded.manifest(), manifest);
    }
    drop(store);
    drop(server);
    std::fs::remove_dir_all(place).unwrap();
}
