//! `ghtrader data download` and `ghtrader data record` against a source that fails in every way a test can write.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use ghtrader_tests::diff_server::{CLIENT_SECRET, DiffServer, Habits, PASSWORD, rows_of_csv};
use ghtrader_tests::{Program, tree, write};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A source with three trading days of one contract, and a folder for the program.
struct World {
    dir: tempfile::TempDir,
    server: DiffServer,
    symbol: String,
    days: Vec<(String, PathBuf, Vec<Value>)>,
}

impl World {
    fn new(habits: Habits) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let csv = dir.path().join("csv");
        Program::new(dir.path()).ok(&[
            "data",
            "synth",
            "--var",
            "cu",
            "--days",
            "3",
            "--seed",
            "7",
            "--first-day",
            "2025-07-01",
            "--rows-per-day",
            "2500",
            "--out",
            "csv",
        ]);
        let mut files: BTreeMap<String, Vec<(String, PathBuf)>> = BTreeMap::new();
        for name in tree(&csv).into_keys() {
            let stem = name.file_stem().expect("a name").to_string_lossy().into_owned();
            let (symbol, day) = stem.rsplit_once('.').expect("symbol and day");
            let day = format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..]);
            files.entry(symbol.to_owned()).or_default().push((day, csv.join(&name)));
        }
        // The contract with the most rows: several pages a day.
        let bytes =
            |days: &[(String, PathBuf)]| days.iter().map(|(_, p)| p.metadata().map_or(0, |m| m.len())).sum::<u64>();
        let of_three_days = files.into_iter().filter(|(_, days)| days.len() == 3);
        let (symbol, files) = of_three_days.max_by_key(|(_, days)| bytes(days)).expect("a contract with three days");
        let days: Vec<_> = files.into_iter().map(|(day, path)| (day, path.clone(), rows_of_csv(&path))).collect();
        let server = DiffServer::start(habits);
        server.add(&symbol, days.iter().flat_map(|(_, _, rows)| rows.clone()).collect());
        Self { dir, server, symbol, days }
    }

    fn rows(&self) -> usize {
        self.days.iter().map(|(_, _, rows)| rows.len()).sum()
    }

    fn root(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program in a root of its own, with a login and without long waits.
    fn command(&self, root: &str, args: &[&str]) -> Command {
        let root = self.root(root);
        std::fs::create_dir_all(&root).expect("a root");
        let mut command = Program::new(&root).command(args);
        command.env("GHTRADER_DIFF_USER", "ann").env("GHTRADER_DIFF_PASSWORD", PASSWORD);
        command.env("GHTRADER_DIFF_CLIENT_SECRET", CLIENT_SECRET);
        command.env("GHTRADER_DIFF_AUTH_URL", self.server.auth()).env("GHTRADER_DIFF_MD_URL", self.server.market());
        for (key, value) in [
            ("DOWNLOAD_PAGE_PAUSE_MS", "0"),
            ("DOWNLOAD_RETRY_FIRST_S", "0.02"),
            ("DOWNLOAD_RETRIES", "2"),
            ("DOWNLOAD_MAINTENANCE_HOURS", "\"\""),
            ("DOWNLOAD_MAINTENANCE_WAIT_S", "0.02"),
            ("DOWNLOAD_MAINTENANCE_WAITS", "2"),
            ("RECORD_RETRY_FIRST_S", "0.02"),
            ("RECORD_RETRY_MAX_S", "0.1"),
        ] {
            command.env(format!("GHTRADER_{key}"), value);
        }
        command
    }

    /// Runs to the end; exit code and document. No secret may show.
    fn run(&self, root: &str, args: &[&str]) -> (i32, Value) {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let output = self.command(root, &args).output().expect("the program");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let all = format!("{out}{err}");
        assert!(
            !all.contains(PASSWORD) && !all.contains(CLIENT_SECRET) && !all.contains("Bearer"),
            "a secret shows: {all}"
        );
        let body = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {all}"));
        (output.status.code().unwrap_or(-1), body)
    }

    fn download(&self, root: &str, more: &[&str]) -> (i32, Value) {
        let (from, to) = (self.days[0].0.as_str(), self.days[2].0.as_str());
        let args = ["data", "download", &self.symbol, "--from", from, "--to", to];
        self.run(root, &args.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>())
    }

    /// What the import makes of the same days as files.
    fn imported(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files: Vec<String> = self.days.iter().map(|(_, path, _)| path.display().to_string()).collect();
        let args: Vec<&str> = ["data", "import"].into_iter().chain(files.iter().map(String::as_str)).collect();
        self.run("imported", &args);
        lake(&self.root("imported"))
    }
}

/// The truth of a store: its Parquet files by name, which is their digest.
fn lake(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    tree(&root.join("data/lake"))
}

fn fetched(body: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let days =
        body["symbols"].as_array().into_iter().flatten().flat_map(|s| s["fetched"].as_array().into_iter().flatten());
    days.map(|d| (text(&d["trading_day"]), text(&d["outcome"]))).collect()
}

fn reasons(body: &Value) -> Vec<String> {
    let skipped =
        body["symbols"].as_array().into_iter().flatten().flat_map(|s| s["skipped"].as_array().into_iter().flatten());
    skipped.map(|s| s["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

/// D-10: a download equals the import of the same rows, and the second run fetches only what lacks.
#[test]
fn a_download_equals_an_import_and_is_not_repeated() {
    let world = World::new(Habits::default());
    let second = world.days[1].0.as_str();
    let (code, body) = world.run("root", &["data", "download", &world.symbol, "--from", second, "--to", second]);
    assert_eq!((code, fetched(&body)), (0, vec![(second.to_owned(), "stored".to_owned())]), "{body:#}");

    // Two weeks before the contract's first row: their days are found to have none.
    let first = "2025-06-16";
    let args = ["data", "download", &world.symbol, "--from", first, "--to", &world.days[2].0];
    let (code, body) = world.run("root", &args);
    let days: Vec<String> = fetched(&body).into_iter().map(|(d, _)| d).collect();
    assert_eq!((code, days), (0, vec![world.days[0].0.clone(), world.days[2].0.clone()]), "{body:#}");
    assert_eq!(body["symbols"][0]["stored_before"], 1);
    let empty = body["symbols"][0]["empty"].as_array().map_or(0, Vec::len);
    assert_eq!(empty, 11, "{body:#}");
    assert_eq!(lake(&world.root("root")), world.imported(), "equal to the byte");
    let manifest = world.run("root", &["data", "show", &world.symbol, second]).1;
    assert_eq!(
        (manifest["source"].as_str(), manifest["rows"].as_u64()),
        (Some("diff"), Some(world.days[1].2.len() as u64))
    );

    world.server.forget();
    let (code, body) = world.run("root", &args);
    assert_eq!((code, fetched(&body).len(), body["symbols"][0]["empty_before"].as_u64()), (0, 0, Some(11)), "{body:#}");
    assert_eq!((world.server.seen().lines, world.server.seen().charts()), (0, 0), "nothing lacks, nobody is asked");
}

/// D-10: by product, and a day whose rows are others now: the new version takes its place, both digests are told.
#[test]
fn a_day_that_is_fetched_again_is_unchanged_or_replaced() {
    let world = World::new(Habits::default());
    let args = ["data", "download", "--var", "cu", "--from", &world.days[0].0, "--to", &world.days[2].0];
    let (code, body) = world.run("root", &args);
    assert_eq!((code, fetched(&body).len()), (0, 3), "{body:#}");
    let (_, body) = world.download("root", &["--again"]);
    assert!(fetched(&body).iter().all(|(_, outcome)| outcome == "unchanged"), "{body:#}");

    let mut rows: Vec<Value> = world.days.iter().flat_map(|(_, _, rows)| rows.clone()).collect();
    let last = rows.len() - 1;
    rows[last]["volume"] = json!(rows[last]["volume"].as_i64().expect("lots") + 2);
    let changed = DiffServer::start(Habits::default());
    changed.add(&world.symbol, rows);
    let mut command = world.command(
        "root",
        &["data", "download", &world.symbol, "--from", &world.days[0].0, "--to", &world.days[2].0, "--again", "--json"],
    );
    command.env("GHTRADER_DIFF_AUTH_URL", changed.auth()).env("GHTRADER_DIFF_MD_URL", changed.market());
    let body: Value = serde_json::from_slice(&command.output().expect("the program").stdout).expect("JSON");
    let outcomes: Vec<String> = fetched(&body).into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes, ["unchanged", "unchanged", "replaced"], "{body:#}");
    let day = &body["symbols"][0]["fetched"][2];
    assert!(day["sha256"].is_string() && day["replaced_sha256"].is_string() && day["sha256"] != day["replaced_sha256"]);
}

/// D-10, DC-23: a program that is killed goes on in the middle of a day, whatever the source does.
#[test]
fn a_killed_download_goes_on_where_it_was() {
    let world = World::new(Habits { packet_rows: 400, ..Habits::default() });
    let args = ["data", "download", &world.symbol, "--from", &world.days[0].0, "--to", &world.days[2].0];
    let mut kills = 0;
    for pages in [2, 2] {
        world.server.forget();
        let mut command = world.command("root", &args);
        command.env("GHTRADER_DOWNLOAD_PAGE_PAUSE_MS", "400").stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program");
        let patience = Instant::now() + Duration::from_secs(60);
        while world.server.seen().charts() < pages && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
        kills += i32::from(child.try_wait().expect("a child").is_none());
        child.kill().expect("kill -9");
        child.wait().expect("an end");
    }
    assert_eq!(kills, 2, "the program was at work when it was killed");
    world.server.forget();
    // The line is cut in the second of the two pages that are left.
    world.server.change(|h| h.cut_after = Some(12));
    let (code, body) = world.download("root", &[]);
    assert_eq!(code, 0, "{body:#}");
    assert!(body["reconnects"].as_u64() > Some(0), "{body:#}");
    let first = world.server.seen().frames.into_iter().find(|f| f["aid"] == "set_chart").expect("a page");
    assert!(first["left_kline_id"].as_i64() > Some(0), "it goes on behind its last row: {first}");
    assert_eq!(lake(&world.root("root")), world.imported());
    let left: Vec<PathBuf> = tree(&world.root("root/runs/download")).into_keys().collect();
    assert!(left.is_empty(), "no spool is left: {left:?}");
}

/// D-10: a source that replays the past has a clock of its own; a day is whole when the source is in a later one.
#[test]
fn a_day_that_is_not_over_for_the_source_is_not_stored() {
    let world = World::new(Habits::default());
    let (one, two) = (world.days[0].2.len(), world.days[1].2.len());
    world.server.happen(&world.symbol, one + two / 2);
    world.server.change(|h| h.trading_day = Some(world.days[1].0.replace('-', "")));
    let (code, body) = world.download("root", &[]);
    assert_eq!((code, fetched(&body).len()), (0, 1), "{body:#}");
    assert_eq!(body["symbols"][0]["open"], json!([world.days[1].0, world.days[2].0]));
    assert_eq!(body["symbols"][0]["empty"], json!([]), "of a day to come nothing is known");
    world.server.happen(&world.symbol, world.rows());
    world.server.change(|h| h.trading_day = None);
    world.server.forget();
    let (code, body) = world.download("root", &[]);
    assert_eq!((code, fetched(&body).len()), (0, 2), "{body:#}");
    let first = world.server.seen().frames.into_iter().find(|f| f["aid"] == "set_chart").expect("a page");
    assert_eq!(first["left_kline_id"], json!(one + two / 2), "the rows of the open day are in the spool");
    assert_eq!(lake(&world.root("root")), world.imported());
}

/// D-10: retries, then the ledger; and the days leave it when they come.
#[test]
fn a_source_that_is_away_leaves_its_days_in_the_ledger() {
    let world = World::new(Habits { busy: 2, ..Habits::default() });
    let (code, body) = world.download("root", &[]);
    assert_eq!((code, fetched(&body).len()), (0, 3), "two failures are within the budget: {body:#}");

    let world = World::new(Habits { busy: 1_000, ..Habits::default() });
    let (code, body) = world.download("root", &[]);
    assert_eq!((code, reasons(&body)), (6, vec!["retry_exhausted".to_owned(); 3]), "{body:#}");
    assert_eq!(body["symbols"][0]["skipped"][0]["attempts"], 2);
    assert_eq!(lake(&world.root("root")).len(), 0);
    let ledger = world.root("root/data/record/skip_ledger");
    assert!(tree(&ledger).values().any(|b| String::from_utf8_lossy(b).contains("retry_exhausted")));
    world.server.change(|h| h.busy = 0);
    let (code, body) = world.download("root", &[]);
    assert_eq!((code, fetched(&body).len()), (0, 3), "{body:#}");
    assert!(!tree(&ledger).values().any(|b| String::from_utf8_lossy(b).contains("retry_exhausted")));
}

/// D-10: maintenance by the source's word: waits, then the circuit opens for the symbols behind.
#[test]
fn maintenance_opens_the_circuit() {
    let world = World::new(Habits { notice: Some("系统维护中".to_owned()), ..Habits::default() });
    world.server.add("SHFE.cu2512", vec![]);
    let args = [
        "data",
        "download",
        &world.symbol,
        "SHFE.cu2512",
        "--from",
        &world.days[0].0,
        "--to",
        &world.days[0].0,
        "--set",
        "download.page_timeout_s=0.3",
    ];
    let (code, body) = world.run("root", &args);
    assert_eq!(
        (code, reasons(&body)),
        (6, vec!["maintenance_retry_exhausted".to_owned(), "maintenance_circuit_open".to_owned()]),
        "{body:#}"
    );
    assert_eq!(body["symbols"][0]["skipped"][0]["attempts"], 2, "{body:#}");
}

/// D-10, DC-11: rows that a source never gives refuse their day, and say which.
#[test]
fn a_day_with_a_hole_is_not_stored() {
    let world = World::new(Habits::default());
    world.server.change(|h| h.withheld = (2_600..=2_610).collect());
    let (code, body) = world.download("root", &[]);
    assert_eq!((code, reasons(&body)), (1, vec!["ids_missing".to_owned(); 2]), "{body:#}");
    let error = body["symbols"][0]["skipped"][0]["error"].as_str().unwrap_or_default();
    assert!(error.contains("2600 to 2610"), "{error}");
    assert_eq!(fetched(&body).len(), 1, "the day before the hole is whole");
}

/// D-04, D-10: rows off the grid refuse their day by the rules of the import.
#[test]
fn a_day_of_bad_rows_is_refused() {
    let world = World::new(Habits::default());
    let bad = DiffServer::start(Habits::default());
    let mut rows: Vec<Value> = world.days.iter().flat_map(|(_, _, rows)| rows.clone()).collect();
    rows.iter_mut().take(200).for_each(|r| r["last_price"] = json!(78_003.5));
    bad.add(&world.symbol, rows);
    let mut command = world.command(
        "root",
        &["data", "download", &world.symbol, "--from", &world.days[0].0, "--to", &world.days[2].0, "--json"],
    );
    command.env("GHTRADER_DIFF_AUTH_URL", bad.auth()).env("GHTRADER_DIFF_MD_URL", bad.market());
    let output = command.output().expect("the program");
    let body: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), reasons(&body)), (Some(1), vec!["refused".to_owned()]), "{body:#}");
    assert_eq!(fetched(&body).len(), 2);
}

/// D-10, DC-13, DC-14: every bad input has its code, and no secret shows.
#[test]
fn bad_input_of_a_download_is_named() {
    let world = World::new(Habits::default());
    let fails = |args: &[&str], exit: i32, code: &str| {
        let (got, body) = world.run("root", args);
        let error = &body["error"];
        assert_eq!((got, error["code"].as_str()), (exit, Some(code)), "{args:?}: {body:#}");
        assert!(error["remedy"].as_str().is_some_and(|r| !r.is_empty()));
        error["what"].as_str().unwrap_or_default().to_owned()
    };
    let (day, other) = (world.days[0].0.as_str(), world.days[1].0.as_str());
    let range = ["--from", day, "--to", day];
    let with = |more: &[&'static str]| -> Vec<String> {
        let base = ["data", "download", world.symbol.as_str()].into_iter().chain(range);
        base.chain(more.iter().copied()).map(str::to_owned).collect()
    };
    let run = |args: Vec<String>, exit: i32, code: &str| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        fails(&args, exit, code)
    };
    fails(&["data", "download", &world.symbol, "--from", other, "--to", day], 2, "bad_range");
    fails(&["data", "download", &world.symbol, "--from", "1990-01-01", "--to", day], 2, "calendar_uncovered");
    fails(&["data", "download", "SHFE.cu9901", "--from", day, "--to", day], 2, "unknown_instrument");
    fails(&["data", "download", "--var", "SHFE.zn", "--from", day, "--to", day], 2, "unknown_instrument");
    run(with(&["--set", "diff.md_url=ftp://h/md"]), 2, "bad_source_url");
    let what = run(with(&["--set", "diff.md_url=ws://ann:p4ss-w0rd-of-ann@h/md"]), 2, "bad_source_url");
    assert!(what.contains("has a login in it"), "{what}");
    run(with(&["--set", "download.maintenance_hours=7-8"]), 2, "bad_settings");
    run(with(&["--set", "download.retries=21"]), 2, "bad_settings");
    run(with(&["--set", "diff.credentials_file=none.toml"]), 2, "credentials_unreadable");

    let file = world.root("root/login.toml");
    for (text, mode, code) in [
        ("user = \"ann\"\npassword = \"x\"", 0o644, "unsafe_credentials"),
        ("user = p4ss-w0rd-of-ann", 0o600, "bad_credentials"),
        ("name = \"ann\"", 0o600, "bad_credentials"),
        ("user = 7", 0o600, "bad_credentials"),
    ] {
        write(&file, text);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("a mode");
        run(with(&["--set", "diff.credentials_file=login.toml"]), 2, code);
    }

    world.server.change(|h| h.refusal = Some((401, json!({ "error_description": "Invalid user credentials" }))));
    let what = run(with(&[]), 2, "source_auth");
    assert!(what.contains("Invalid user credentials") && what.contains("`ann`"), "{what}");
    let mut nobody = world.command("root", &["data", "download", &world.symbol, "--from", day, "--to", day, "--json"]);
    nobody.env_remove("GHTRADER_DIFF_PASSWORD");
    let output = nobody.output().expect("the program");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stdout).contains("source_auth"));
}

/// A recording under way, and what it has acknowledged.
struct Recording {
    child: Option<Child>,
    pid: u32,
    heard: std::sync::mpsc::Receiver<Value>,
    acknowledged: u64,
}

impl Recording {
    fn start(world: &World, more: &[&str]) -> Self {
        let args = ["data", "record", &world.symbol, "--progress", "json", "--json"];
        let args: Vec<&str> = args.iter().copied().chain(more.iter().copied()).collect();
        let mut command = world.command("root", &args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
        let lines = BufReader::new(child.stderr.take().expect("stderr"));
        let (tell, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let Ok(progress) = serde_json::from_str::<Value>(&line) else {
                    // The log, for who looks at a test that failed.
                    eprintln!("{line}");
                    continue;
                };
                if tell.send(progress).is_err() {
                    return;
                }
            }
        });
        Self { pid: child.id(), child: Some(child), heard, acknowledged: 0 }
    }

    /// Waits until so many rows of the day are acknowledged.
    fn wait_for(&mut self, rows: u64) {
        let patience = Instant::now() + Duration::from_secs(60);
        while self.acknowledged < rows {
            let left = patience.saturating_duration_since(Instant::now());
            let progress = self.heard.recv_timeout(left).unwrap_or_else(|e| panic!("{} rows: {e}", self.acknowledged));
            self.acknowledged = progress["done"].as_u64().unwrap_or(0);
        }
    }

    fn kill(mut self) -> u64 {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill -9");
            child.wait().expect("an end");
        }
        // What it had said before it died.
        self.heard.try_iter().filter_map(|p| p["done"].as_u64()).last().unwrap_or(self.acknowledged)
    }

    fn ask_to_end(&self) {
        let asked = Command::new("kill").args(["-TERM", &self.pid.to_string()]).status().expect("kill");
        assert!(asked.success());
    }

    fn end(mut self) -> (i32, Value) {
        let output = self.child.take().expect("a child").wait_with_output().expect("an end");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap_or(-1), serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")))
    }
}

impl Drop for Recording {
    /// A test that fails leaves no recording behind.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spooled(world: &World) -> u64 {
    let spools = tree(&world.root("root/runs/record"));
    spools.values().map(|b| (b.iter().filter(|c| **c == b'\n').count() as u64).saturating_sub(1)).sum()
}

/// D-11: killed at any moment, nothing acknowledged is lost; cut lines and a dead server cost no row; the day that is
/// over equals the import of its rows.
#[test]
fn a_recording_loses_no_tick() {
    let mut world = World::new(Habits { cut_after: Some(40), ..Habits::default() });
    let (day, first) = (world.days[0].0.clone(), world.days[0].2.len());
    let symbol = world.symbol.clone();
    let mut happened = first / 4;
    world.server.happen(&symbol, happened);
    let go_on = |world: &World, happened: &mut usize, until: usize| {
        while *happened < until {
            *happened += 7.min(until - *happened);
            world.server.happen(&symbol, *happened);
            std::thread::sleep(Duration::from_millis(3));
        }
    };
    for part in [2, 3] {
        let mut recording = Recording::start(&world, &["--until", &day]);
        recording.wait_for(happened as u64);
        go_on(&world, &mut happened, first * part / 4);
        let acknowledged = recording.kill();
        assert!(
            spooled(&world) >= acknowledged,
            "{} rows are on the disk, {acknowledged} were acknowledged",
            spooled(&world)
        );
        assert!(acknowledged as usize > first * (part - 1) / 4 - 10, "{acknowledged}");
    }
    // A torn line, as a crash of the machine leaves it.
    let spool = tree(&world.root("root/runs/record")).into_keys().find(|p| p.extension().is_some_and(|e| e == "csv"));
    let spool = world.root("root/runs/record").join(spool.expect("a spool"));
    let mut text = std::fs::read(&spool).expect("a spool");
    text.extend(b"99999,1751331600000000000,78");
    std::fs::write(&spool, text).expect("a spool");

    let mut recording = Recording::start(&world, &["--until", &day]);
    recording.wait_for(happened as u64);
    world.server.kill();
    std::thread::sleep(Duration::from_millis(100));
    world.server.start_again();
    go_on(&world, &mut happened, first);
    recording.wait_for(first as u64);
    world.server.happen(&symbol, first + 1);
    let (code, body) = recording.end();
    assert_eq!(code, 0, "{body:#}");
    assert!(body["interruptions"].as_u64() > Some(0), "a cut is said: {body:#}");
    assert_eq!(
        (&body["symbols"][0]["lost"], body["symbols"][0]["days"][0]["rows"].as_u64()),
        (&json!([]), Some(first as u64)),
        "{body:#}"
    );
    let stored = lake(&world.root("root"));
    let imported = world.imported();
    assert_eq!(stored.len(), 1);
    assert!(stored.iter().all(|(name, bytes)| imported.get(name) == Some(bytes)), "equal to the byte");
}

/// D-11: rows that the source does not give are said, in the report and by the exit code.
#[test]
fn a_recording_says_what_is_lost() {
    let world = World::new(Habits { withheld: (40..=45).collect(), ..Habits::default() });
    world.server.happen(&world.symbol, 100);
    let mut recording = Recording::start(&world, &[]);
    recording.wait_for(94);
    recording.ask_to_end();
    let (code, body) = recording.end();
    let lost = &body["symbols"][0]["lost"];
    assert_eq!((code, lost), (1, &json!([{ "trading_day": world.days[0].0, "from_id": 40, "to_id": 45 }])), "{body:#}");
    assert_eq!((body["symbols"][0]["open_rows"].as_u64(), world.rows() > 100), (Some(94), true));
    // It goes on from its spool, and not from the beginning.
    world.server.forget();
    world.server.happen(&world.symbol, 120);
    let mut recording = Recording::start(&world, &[]);
    recording.wait_for(114);
    recording.ask_to_end();
    let (code, body) = recording.end();
    assert_eq!((code, body["symbols"][0]["rows"].as_u64()), (0, Some(20)), "{body:#}");
}

/// D-11: two recordings of one folder would tear its spools.
#[test]
fn two_recordings_at_once_are_refused() {
    let world = World::new(Habits::default());
    world.server.happen(&world.symbol, 50);
    let mut recording = Recording::start(&world, &[]);
    recording.wait_for(50);
    let (code, body) = world.run("root", &["data", "record", &world.symbol]);
    assert_eq!((code, body["error"]["code"].as_str()), (4, Some("source_busy")), "{body:#}");
    assert!(body["error"]["what"].as_str().is_some_and(|w| w.contains(&recording.pid.to_string())));
    recording.ask_to_end();
    assert_eq!(recording.end().0, 0);
    let (code, body) = world.run("root", &["data", "record", "SHFE.cu9901"]);
    assert_eq!((code, body["error"]["code"].as_str()), (2, Some("unknown_instrument")), "{body:#}");
}
