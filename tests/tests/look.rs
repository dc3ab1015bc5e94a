//! Looking at what is stored: SQL on either back end, the lineage of a row, readiness, exports, rolls taken out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ghtrader_tests::{Program, Ticks, shared, tree, write};
use questdb_server::{Options, Server, command};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A server over a folder that goes with it; `None` where none can be started.
fn server() -> Option<Server> {
    let options = Options { small: true, throw_away: true, ..Options::default() };
    if let Err(why) = command(Path::new("."), 1, &options) {
        eprintln!("skipped: {why}");
        return None;
    }
    let folder = tempfile::Builder::new().prefix("questdb").tempdir().unwrap().keep();
    Some(Server::start(&folder, &options).unwrap())
}

/// A Python with some modules: `GHTRADER_PYTHON`, the one of set-up, or the system's.
fn python(modules: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let all = [
        std::env::var_os("GHTRADER_PYTHON").map(PathBuf::from),
        cache.map(|cache| cache.join("ghtrader/python/bin/python")),
        Some("python3".into()),
    ];
    let has = |python: &PathBuf| {
        let mut command = Command::new(python);
        let quiet = command.args(["-c", &format!("import {modules}")]).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    };
    let found = all.into_iter().flatten().find(has);
    if found.is_none() {
        eprintln!("skipped: no Python with {modules}; name one with GHTRADER_PYTHON");
    }
    found
}

/// A market of five days with its main_l5, and a roll.
fn market(program: &Program, settings: &[&str]) {
    for line in
        ["data synth --var cu --days 6 --rows-per-day 2000 --seed 5", "main schedule --var cu", "main build --var cu"]
    {
        program.ok(&line.split(' ').chain(settings.iter().copied()).collect::<Vec<_>>());
    }
}

fn say(program: &Program, args: &[&str], settings: &[&str]) -> Value {
    program.ok(&[args, settings].concat())
}

const BY_DAY: &str =
    "SELECT trading_day, count(*) AS n, max(volume) AS v FROM main_l5 GROUP BY trading_day ORDER BY trading_day";
const BY_SYMBOL: &str =
    "SELECT symbol, count(*) AS n, sum(bid_volume1) AS v FROM ticks GROUP BY symbol ORDER BY symbol";
const SCHEDULE: &str = "SELECT trading_day, variety, main_contract, segment_id FROM main_schedule ORDER BY trading_day";
const DAYS: &str =
    "SELECT dataset, symbol, trading_day, row_count, sha256 FROM days ORDER BY dataset, symbol, trading_day";

/// D-42: one query over the same tables gives the same rows on either back end, and nothing that writes gets through.
#[test]
fn a_query_gives_the_same_rows_on_both_back_ends() {
    let Some(mut server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let url = format!("store.questdb_url={}", server.url());
    let questdb = ["--set", "store.backend=questdb", "--set", &url];
    market(&program, &questdb);
    // A day replaced by other rows: those that it had stay in the table, and no query of the store's own names sees them.
    let other = "data synth --var cu --days 6 --rows-per-day 1000 --seed 6".split(' ').collect::<Vec<_>>();
    program.ok(&[&other, &questdb[..]].concat());
    market(&program, &questdb);
    market(&program, &[]);

    let count = |from: &str| {
        let query = format!("SELECT count(*) AS n FROM {from}");
        say(&program, &["sql", &query], &questdb)["rows"][0][0].as_u64().unwrap()
    };
    assert!(count("ghtrader_ticks") > count("ticks"), "the rows that were replaced are still there");
    let listed = program.ok(&["data", "list"]);
    let ticks = listed["symbols"].as_array().unwrap().iter().filter(|s| s["dataset"] == "ticks");
    assert_eq!(count("ticks"), ticks.map(|s| s["rows"].as_u64().unwrap()).sum::<u64>());

    let with_duckdb = python("duckdb");
    let path = with_duckdb.as_ref().and_then(|python| python.parent()).map(|bin| {
        let rest = std::env::var("PATH").unwrap_or_default();
        format!("{}:{rest}", bin.display())
    });
    for query in [BY_DAY, BY_SYMBOL, SCHEDULE, DAYS] {
        let served = say(&program, &["sql", query], &questdb);
        assert!(served["rows"].as_array().unwrap().len() > 3, "{query}: {served:#}");
        assert_eq!(served["truncated"], false);
        let Some(path) = &path else { continue };
        let output = program.command(&["sql", query, "--run", "--json"]).env("PATH", path).output().unwrap();
        let local: Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = |v: &Value| {
            let number = |v: &Value| v.as_f64().map_or_else(|| v.clone(), |n| json!(n));
            let row = |r: &Value| r.as_array().unwrap().iter().map(number).collect::<Vec<_>>();
            v["rows"].as_array().unwrap().iter().map(row).collect::<Vec<_>>()
        };
        assert_eq!(rows(&local), rows(&served), "{query}");
        let names = |v: &Value| v["columns"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect::<Vec<_>>();
        assert_eq!(names(&local), names(&served), "{query}");
    }
    let few =
        say(&program, &["sql", "SELECT seq FROM ticks ORDER BY seq, symbol, trading_day", "--limit", "3"], &questdb);
    assert_eq!((few["rows"].as_array().unwrap().len(), &few["truncated"]), (3, &json!(true)));
    let csv = program.run(&[&["sql", "SELECT 1 AS a, 'x,\"y' AS b", "--format", "csv"][..], &questdb].concat());
    assert_eq!(String::from_utf8_lossy(&csv.stdout), "a,b\n1,\"x,\"\"y\"\n");
    let plan = say(&program, &["sql", "EXPLAIN SELECT * FROM ticks"], &questdb);
    assert!(plan["rows"].to_string().contains("ghtrader_ticks") && !plan["rows"].to_string().contains("&nbsp;"));
    assert!(say(&program, &["sql", "SHOW TABLES"], &questdb)["rows"].to_string().contains("ghtrader_manifest"));

    // P-38: the same rows as a file, its form by its name, its folder made.
    let file = |out: &str| say(&program, &["sql", BY_DAY, "--out", out], &questdb);
    let rows = say(&program, &["sql", BY_DAY], &questdb)["rows"].as_array().unwrap().len();
    for out in ["new/deep/rows.parquet", "rows.csv", "rows.json"] {
        let written = file(out);
        assert_eq!(written["rows"], rows, "{written:#}");
        assert_eq!(std::fs::metadata(dir.path().join(out)).unwrap().len(), written["bytes"].as_u64().unwrap());
    }
    let kept: Value = serde_json::from_slice(&std::fs::read(dir.path().join("rows.json")).unwrap()).unwrap();
    assert_eq!(kept["rows"].as_array().unwrap().len(), rows);
    if let Some(python) = &with_duckdb {
        let script =
            "import sys, duckdb; print(duckdb.sql(f\"select count(*) from '{sys.argv[1]}'\").fetchall()[0][0])";
        let output = Command::new(python).args(["-c", script]).arg(dir.path().join("new/deep/rows.parquet")).output();
        assert_eq!(String::from_utf8_lossy(&output.unwrap().stdout).trim(), rows.to_string());
    }
    program.fails(&[&["sql", BY_DAY, "--out", "rows"][..], &questdb].concat(), 2, "bad_format");
    program.fails(&[&["sql", BY_DAY, "--format", "parquet"][..], &questdb].concat(), 2, "out_missing");
    program.fails(&["sql", BY_DAY, "--out", "rows.csv"], 2, "out_without_run");

    // Whatever would write is refused before the server hears of it.
    let before = count("ghtrader_ticks");
    for statement in [
        "TRUNCATE TABLE ghtrader_ticks",
        "DROP TABLE ghtrader_ticks",
        "INSERT INTO ghtrader_record SELECT * FROM ghtrader_record",
        "WITH x AS (SELECT 1) UPDATE ghtrader_ticks SET volume = 0",
        "SELECT 1; TRUNCATE TABLE ghtrader_ticks",
        "SELECT 1) ; TRUNCATE TABLE ghtrader_ticks; SELECT (1",
        "ALTER TABLE ghtrader_ticks DROP PARTITION LIST '2025-07-01'",
        "SELECT reload_config()",
        "",
    ] {
        program.fails(&[&["sql", statement][..], &questdb].concat(), 2, "sql_not_read_only");
    }
    assert_eq!(count("ghtrader_ticks"), before);
    let said = program.fails(&[&["sql", "SELECT nothing FROM ticks"][..], &questdb].concat(), 2, "sql_failed");
    assert!(said.contains("nothing"), "{said}");
    program.fails(&[&["sql", "SELECT 1", "--limit", "0"][..], &questdb].concat(), 2, "usage");
    program.fails(&[&["sql", "SELECT 1", "--timeout", "0s"][..], &questdb].concat(), 2, "usage");
    let forever = "SELECT count(*) FROM ticks a CROSS JOIN ticks b CROSS JOIN ticks c WHERE a.volume + b.volume < c.volume - 1e12";
    program.fails(&[&["sql", forever, "--timeout", "0.2s"][..], &questdb].concat(), 5, "sql_timeout");
    // The server is still at it.
    server.kill();
}

/// D-42: the lines that are handed out work where their tools are, and `--run` tells what is missing.
#[test]
fn the_lines_for_other_engines_work() {
    let dir = tempfile::Builder::new().prefix("it's a store").tempdir().unwrap();
    let program = Program::new(dir.path());
    market(&program, &[]);
    let total: u64 = {
        let listed = program.ok(&["data", "list"]);
        let symbols = listed["symbols"].as_array().unwrap();
        symbols.iter().filter(|s| s["dataset"] == "ticks").map(|s| s["rows"].as_u64().unwrap()).sum()
    };
    let query = "SELECT count(*) AS n, count(DISTINCT \"symbol\") AS s, 'it''s' AS t FROM ticks";
    let lines = program.ok(&["sql", query]);
    assert_eq!(lines["tables"], json!(["ticks", "main_l5", "main_schedule", "days"]));
    let text = String::from_utf8(program.run(&["sql", query]).stdout).unwrap();
    assert!(text.contains(lines["duckdb"].as_str().unwrap()) && text.contains(lines["polars"].as_str().unwrap()));
    let none = program.command(&["sql", query, "--run", "--json"]).env("PATH", dir.path()).output().unwrap();
    let none: Value = serde_json::from_slice(&none.stdout).unwrap();
    assert_eq!(none["error"]["code"], "sql_engine_missing");
    program.fails(&["sql", "DELETE FROM ticks"], 2, "sql_not_read_only");

    let Some(python) = python("duckdb, polars") else { return };
    let bin = format!("{}:{}", python.parent().unwrap().display(), std::env::var("PATH").unwrap_or_default());
    let line = lines["polars"].as_str().unwrap();
    let output = Command::new("sh").args(["-c", line]).env("PATH", &bin).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        printed.contains(&total.to_string()) && printed.contains("it's"),
        "{line}\n{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // The line for the program `duckdb` is tried as its module: the same engine reads the same statements.
    let line = lines["duckdb"].as_str().unwrap();
    let engine = "python3() { :; }; duckdb() { \"$PY\" -c 'import sys, duckdb; print(duckdb.sql(sys.argv[1]) or \"\")' \"$2\"; }\n";
    let output = Command::new("sh").args(["-c", &format!("{engine}{line}")]).env("PY", &python).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        printed.contains(&total.to_string()) && printed.contains("it's"),
        "{line}\n{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let run = |args: &[&str]| {
        let args: Vec<&str> = ["sql"].iter().chain(args).copied().chain(["--run", "--json"]).collect();
        let output = program.command(&args).env("PATH", &bin).output().unwrap();
        let body: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), body)
    };
    let (exit, found) = run(&[query]);
    assert_eq!((exit, &found["rows"][0]), (Some(0), &json!([total, found["rows"][0][1], "it's"])), "{found:#}");
    let (_, typed) = run(&["SELECT 1 AS i, 2.5::DOUBLE AS d, NULL AS n, true AS b, 'x' AS t"]);
    assert_eq!(typed["rows"][0], json!([1, 2.5, null, true, "x"]), "{typed:#}");
    assert!(run(&["EXPLAIN SELECT * FROM ticks"]).1["rows"].to_string().contains("PARQUET"));
    assert_eq!(run(&["SELECT nothing FROM ticks"]).1["error"]["code"], "sql_failed");
    // Files outside the store are nobody's business.
    write(&dir.path().join("secret.csv"), "a\n1\n");
    let secret = format!(
        "SELECT * FROM read_csv('{}')",
        dir.path().join("secret.csv").display().to_string().replace('\'', "''")
    );
    assert_eq!(run(&[&secret]).1["error"]["code"], "sql_failed");
    let slow = "SELECT count(*) FROM ticks a, ticks b, ticks c WHERE a.volume + b.volume < c.volume - 1e12";
    let (exit, late) = run(&[slow, "--timeout", "0.2s"]);
    assert_eq!((exit, &late["error"]["code"]), (Some(5), &json!("sql_timeout")), "{late:#}");
}

/// D-41: a row is followed to the line of the file that was imported; a row of main_l5 through its contract.
#[test]
fn a_row_is_followed_to_the_line_that_it_was() {
    let server = server();
    let url = server.as_ref().map(|server| format!("store.questdb_url={}", server.url()));
    let back_ends: Vec<Vec<&str>> = std::iter::once(vec![])
        .chain(url.as_ref().map(|url| vec!["--set", "store.backend=questdb", "--set", url.as_str()]))
        .collect();
    let mut traces = Vec::new();
    for settings in &back_ends {
        let dir = tempfile::tempdir().unwrap();
        let program = Program::new(dir.path());
        let mut ticks = Ticks::new("SHFE.cu2509", 1_200);
        // Line 12 is rejected, line 22 repeats line 21.
        ticks.set(10, "last_price", "78001").repeat(19);
        let file = ticks.write(dir.path());
        let text = std::fs::read_to_string(&file).unwrap();
        let import = ["data", "import", "SHFE.cu2509.csv"];
        say(&program, &import, settings);
        let trace = |seq: &str, more: &[&str]| {
            say(&program, &[&["data", "trace", "SHFE.cu2509", "2025-07-18", seq][..], more].concat(), settings)
        };
        for (seq, line) in [("0", 2), ("9", 11), ("10", 13), ("18", 21), ("19", 23), ("1198", 1202)] {
            let found = trace(seq, &["--file", "SHFE.cu2509.csv"]);
            assert_eq!(found["line"]["line"], line, "{found:#}");
            let raw = text.lines().nth(line - 1).unwrap();
            assert_eq!(found["raw"], raw, "{seq}");
            let last_price: f64 = raw.split(',').nth(2).unwrap().parse().unwrap();
            assert_eq!(found["values"]["last_price"], last_price);
        }
        let first = trace("0", &[]);
        assert_eq!(first["line"]["file"]["name"], "SHFE.cu2509.csv");
        assert_eq!((&first["made_from"], &first["raw"]), (&Value::Null, &Value::Null));
        let digest = ghtrader_core::Digest::of(text.as_bytes()).to_string();
        assert_eq!(first["line"]["file"]["sha256"], digest);
        let args = ["data", "trace", "SHFE.cu2509", "2025-07-18"];
        program.fails(&[&args[..], &["1199"], settings].concat(), 2, "row_missing");
        program.fails(
            &[&["data", "trace", "SHFE.cu2509", "2025-07-17", "0"][..], settings].concat(),
            2,
            "days_missing",
        );
        write(&dir.path().join("other.csv"), text.replace("78060", "78070"));
        program.fails(&[&args[..], &["0", "--file", "other.csv"], settings].concat(), 2, "other_file");

        // Its main contract, by a schedule from a file.
        write(&dir.path().join("main.csv"), "2025-07-18,SHFE.cu2509\n");
        say(&program, &["main", "schedule", "--var", "cu", "--source", "file", "--file", "main.csv"], settings);
        say(&program, &["main", "build", "--var", "cu"], settings);
        let main = say(&program, &["data", "trace", "KQ.m@SHFE.cu", "2025-07-18", "19"], settings);
        let from = &main["made_from"];
        assert_eq!((&from["row"]["line"]["line"], &from["contract"]), (&json!(23), &json!("SHFE.cu2509")));
        for holds in ["schedule_holds", "build_holds", "same_values"] {
            assert_eq!(from[holds], true, "{holds}: {main:#}");
        }
        assert_eq!((&main["line"], &main["dataset"]), (&Value::Null, &json!("main_l5")));
        // Other ticks: what main_l5 was made from is no longer there.
        ticks.set(30, "bid_volume1", "9").write(dir.path());
        say(&program, &import, settings);
        let main = say(&program, &["data", "trace", "KQ.m@SHFE.cu", "2025-07-18", "19"], settings);
        assert_eq!(
            (&main["made_from"]["build_holds"], &main["made_from"]["same_values"]),
            (&json!(false), &json!(true))
        );
        traces.push((first, main));
    }
    assert!(traces.windows(2).all(|pair| pair[0] == pair[1]), "both back ends tell the same");
    // A made-up market has no files, and says what it has.
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    market(&program, &[]);
    let made = program.ok(&["data", "trace", "KQ.m@SHFE.cu", "2025-07-02", "400"]);
    assert_eq!(made["made_from"]["row"]["line"], Value::Null);
    assert!(made["source"].as_str().unwrap().starts_with("synthetic seed 5"), "{made:#}");
}

/// D-41: a real file of two trading days, gzip and all.
#[test]
fn a_real_row_is_followed_to_its_line() {
    let Some(data) = shared("data") else { return };
    let Some(file) = first_gzip(&data) else {
        eprintln!("skipped: ../shared/data holds no tick file that is packed");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let file = file.display().to_string();
    let (_, imported) = program.json(&["data", "import", &file]);
    let day =
        imported["symbol_days"].as_array().unwrap().iter().find(|d| d["rows"].as_u64() > Some(0)).unwrap().clone();
    let (symbol, date) = (day["symbol"].as_str().unwrap(), day["trading_day"].as_str().unwrap());
    let last = (day["rows"].as_u64().unwrap() - 1).to_string();
    let traced = program.ok(&["data", "trace", symbol, date, &last, "--file", &file]);
    let raw = traced["raw"].as_str().unwrap();
    let volume = traced["values"]["volume"].as_f64().unwrap();
    let mut fields = raw.split(',').filter_map(|field| field.trim_matches('"').parse::<f64>().ok());
    assert!(fields.any(|v| v == volume), "{volume} is not in {raw}");
}

fn first_gzip(folder: &Path) -> Option<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    all.sort();
    let (folders, files): (Vec<_>, Vec<_>) = all.into_iter().partition(|path| path.is_dir());
    let packed = |path: &PathBuf| path.to_string_lossy().ends_with(".csv.gz");
    files.into_iter().find(packed).or_else(|| folders.iter().find_map(|folder| first_gzip(folder)))
}

/// D-35: the commands, whose answers the control API gives too.
#[test]
fn readiness_sums_up_what_the_days_say() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    market(&program, &[]);
    let before = tree(&dir.path().join("data"));
    let (exit, ready) = program.json(&["data", "readiness", "--var", "cu"]);
    assert_eq!((exit, &ready["state"]["reason_code"]), (1, &json!("gap_gt30_block")), "{ready:#}");
    let gaps = program.ok(&["data", "gaps", "--var", "cu", "--most", "5"]);
    assert_eq!(tree(&dir.path().join("data")), before, "looking keeps nothing");
    let (_, judged) = program.json(&["data", "validate", "--var", "cu", "--full-report"]);
    assert_eq!((&ready["state"], &ready["days_expected"]), (&judged["state"], &judged["days_expected"]));
    let days = judged["days"].as_array().unwrap();
    let sum = |pointer: &str| days.iter().map(|d| d.pointer(pointer).unwrap().as_i64().unwrap()).sum::<i64>();
    assert_eq!(ready["gap_buckets"]["2_5"], sum("/gaps/buckets/2_5"));
    assert_eq!(ready["missing_rate"], sum("/gaps/missing_s") as f64 / sum("/gaps/strict_s") as f64);
    assert!(gaps["gaps"][0]["seconds"].as_i64() <= ready["max_gap_s"].as_i64(), "{gaps:#}");
    let lengths: Vec<i64> = gaps["gaps"].as_array().unwrap().iter().map(|g| g["seconds"].as_i64().unwrap()).collect();
    assert!(lengths.len() == 5 && lengths.windows(2).all(|pair| pair[0] >= pair[1]), "{gaps:#}");
    let (_, again) = program.json(&["data", "readiness", "--var", "cu"]);
    assert_eq!(again, ready, "kept or not, the answer is the same");
}

/// Rows of a CSV by column.
fn csv(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    (lines.next().unwrap(), lines.collect())
}

/// D-37: every row in order, the limits, where it comes from; the three forms hold the same.
#[test]
fn an_export_holds_every_row_and_says_where_it_comes_from() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    market(&program, &[]);
    let export = |args: &[&str]| program.ok(&[&["data", "export", "--var", "cu"][..], args].concat());
    let listed = program.ok(&["data", "list"]);
    let stored = listed["symbols"].as_array().unwrap().iter().find(|s| s["symbol"] == "KQ.m@SHFE.cu").unwrap().clone();
    let report = export(&["--out", "all.csv"]);
    assert_eq!((&report["rows"], &report["truncated"]), (&stored["rows"], &json!(false)));
    let (head, rows) = csv(&dir.path().join("all.csv"));
    assert_eq!(rows.len() as u64, stored["rows"].as_u64().unwrap());
    assert_eq!(head.len(), 8 + 27);
    let key = |row: &Vec<String>| (row[1].clone(), row[2].parse::<u32>().unwrap());
    assert!(rows.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])), "by day, then by row");
    let beside = std::fs::read(dir.path().join("all.csv.provenance.json")).unwrap();
    let beside: Value = serde_json::from_slice(&beside).unwrap();
    assert_eq!((&beside["file_sha256"], &beside["provenance"]["rows"]), (&report["file_sha256"], &report["rows"]));
    let day = &report["days"][0];
    let shown = program.ok(&["data", "show", "KQ.m@SHFE.cu", day["trading_day"].as_str().unwrap()]);
    assert_eq!((&day["sha256"], &day["contract"]), (&shown["sha256"], &shown["underlying"]["contract"]));
    assert_eq!(export(&["--out", "again.csv"])["file_sha256"], report["file_sha256"], "equal rows give equal bytes");

    // The values are those of the store.
    let (first, traced) = (&rows[7], program.ok(&["data", "trace", "KQ.m@SHFE.cu", &rows[7][1], &rows[7][2]]));
    for (name, text) in head.iter().zip(first).skip(8) {
        let value = traced["values"][name.as_str()].as_f64();
        assert_eq!(text.parse::<f64>().ok(), value, "{name}");
    }
    assert_eq!(
        (first[4].as_str(), first[3].as_str()),
        (traced["ts_ns"].to_string().as_str(), traced["time"].as_str().unwrap())
    );

    let last = export(&["--out", "last.csv", "--order", "desc", "--max-rows", "10", "--columns", "last_price"]);
    assert_eq!(
        (&last["rows"], &last["truncated"], last["days"].as_array().unwrap().len()),
        (&json!(10), &json!(true), 1)
    );
    let (_, tail) = csv(&dir.path().join("last.csv"));
    let expected: Vec<_> = rows.iter().rev().take(10).map(key).collect();
    assert_eq!(tail.iter().map(key).collect::<Vec<_>>(), expected);
    assert!(tail.iter().all(|row| row.len() == 9));
    let one_day = day["trading_day"].as_str().unwrap();
    let range = export(&["--out", "day.csv", "--from", one_day, "--to", one_day, "--no-provenance"]);
    assert_eq!(range["rows"], day["rows"]);
    assert!(!dir.path().join("day.csv.provenance.json").exists());

    for out in ["all.parquet", "all.xlsx"] {
        let more = export(&["--out", out]);
        assert_eq!((&more["rows"], &more["days"]), (&report["rows"], &report["days"]), "{out}");
        assert_eq!(export(&["--out", &format!("again-{out}")])["file_sha256"], more["file_sha256"], "{out}");
    }
    // A folder that is missing is made, here as for every other output.
    export(&["--out", "new/folder/all.csv"]);
    program.ok(&["data", "report", "--var", "cu", "--out", "pages/cu/all.html"]);
    assert!(dir.path().join("new/folder/all.csv").is_file() && dir.path().join("pages/cu/all.html").is_file());
    let temporary = |name: &str| name.ends_with(".tmp");
    assert!(!tree(dir.path()).keys().any(|path| temporary(&path.to_string_lossy())), "nothing is left over");

    let fails =
        |args: &[&str], code: &str| program.fails(&[&["data", "export", "--var", "cu"][..], args].concat(), 2, code);
    fails(&["--out", "x"], "bad_format");
    fails(&["--out", "x.csv", "--columns", "datetime"], "unknown_column");
    fails(&["--out", "x.csv", "--from", "2030-01-01"], "days_missing");
    fails(&["--out", "x.csv", "--from", "2025-07-03", "--to", "2025-07-02"], "bad_range");
    fails(&["--out", "x.csv", "--max-rows", "0"], "usage");
    fails(&["--out", "x.csv", "--columns", "volume,volume"], "unknown_column");
    std::fs::create_dir(dir.path().join("folder.csv")).unwrap();
    program.fails(&["data", "export", "--var", "cu", "--out", "folder.csv"], 2, "export_unwritten");
    #[cfg(unix)]
    {
        program.fails(
            &["data", "export", "--var", "cu", "--format", "csv", "--out", "/dev/null"],
            2,
            "export_unwritten",
        );
        std::os::unix::fs::symlink("all.csv", dir.path().join("link.csv")).unwrap();
        let linked = export(&["--out", "link.csv", "--max-rows", "10"]);
        assert!(dir.path().join("link.csv").is_symlink(), "what a link points to is replaced, not the link");
        assert_eq!((linked["rows"].as_u64(), csv(&dir.path().join("all.csv")).1.len()), (Some(10), 10));
        export(&["--out", "all.csv"]);
    }
    program.fails(
        &["data", "export", "--symbol", "SHFE.cu2508", "--adjust", "ratio", "--out", "x.csv"],
        2,
        "adjust_needs_main",
    );
    assert!(!dir.path().join("x.csv").exists(), "what fails writes nothing");

    let Some(python) = python("duckdb, zipfile") else { return };
    let script = "import duckdb, sys, zipfile, re\n\
        count, price, null = duckdb.sql(\"select count(*), sum(last_price), count(*) - count(ask_price5) from 'all.parquet'\").fetchall()[0]\n\
        text = duckdb.sql(\"select count(*), sum(last_price), count(*) - count(ask_price5) from 'all.csv'\").fetchall()[0]\n\
        assert (count, price, null) == text, (count, price, null, text)\n\
        kept = [v for k, v in duckdb.sql(\"select key, value from parquet_kv_metadata('all.parquet')\").fetchall() if k == b'ghtrader.provenance']\n\
        assert b'KQ.m@SHFE.cu' in kept[0]\n\
        book = zipfile.ZipFile('all.xlsx')\n\
        assert book.testzip() is None\n\
        rows = book.read('xl/worksheets/sheet1.xml').decode()\n\
        assert rows.count('<row ') == count + 1, (rows.count('<row '), count)\n\
        sheet = book.read('xl/worksheets/sheet2.xml').decode()\n\
        assert 'KQ.m@SHFE.cu' in sheet\n\
        column = sum(float(v) for v in re.findall(r'<c r=\"I[0-9]+\"[^>]*><v>([^<]*)</v>', rows))\n\
        assert abs(column - price) < 1, (column, price)\n\
        print('same')";
    let output = Command::new(python).args(["-c", script]).current_dir(dir.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "same", "{}", String::from_utf8_lossy(&output.stderr));
}

/// D-26: the old contract's close becomes the new one's, differences and returns inside a segment stay, and what is stored
/// stays as traded.
#[test]
fn an_adjusted_series_has_no_jump() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    for line in
        ["data synth --var cu --days 30 --rows-per-day 1000 --seed 7", "main schedule --var cu", "main build --var cu"]
    {
        program.ok(&line.split(' ').collect::<Vec<_>>());
    }
    let stored = ghtrader_tests::stored(dir.path());
    let scheduled = program.ok(&["main", "schedule", "--var", "cu"]);
    let rolls = scheduled["rolls"].as_array().unwrap();
    assert!(!rolls.is_empty(), "the market has a roll: {scheduled:#}");
    let series = |adjust: &str| {
        let out = format!("{adjust}.csv");
        let args =
            ["data", "export", "--var", "cu", "--columns", "last_price,volume", "--adjust", adjust, "--out", &out];
        let report = program.ok(&args);
        let rows = csv(&dir.path().join(&out)).1;
        let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
        let rows: Vec<_> = rows.iter().map(|r| (r[1].clone(), r[7].clone(), number(&r[8]), number(&r[9]))).collect();
        (report, rows)
    };
    let (_, plain) = series("none");
    for adjust in ["difference", "ratio"] {
        let segments = program.ok(&["main", "rolls", "--var", "cu", "--adjust", adjust])["segments"].clone();
        let segments = segments.as_array().unwrap();
        assert_eq!(segments.len(), rolls.len() + 1);
        let made = |segment: &Value, price: f64| {
            price * segment["factor"].as_f64().unwrap() + segment["add_cny"].as_f64().unwrap()
        };
        for (pair, roll) in segments.windows(2).zip(rolls) {
            assert_eq!(pair[0]["close_cny"], roll["close_cny"], "the closes that decided the roll");
            let (old, new) = (pair[0]["close_cny"][0].as_f64().unwrap(), pair[0]["close_cny"][1].as_f64().unwrap());
            assert!(old != new, "there is a gap to take out");
            assert!((made(&pair[0], old) - made(&pair[1], new)).abs() < 1e-6, "{adjust}: no jump");
        }
        let last = segments.last().unwrap();
        assert_eq!((&last["add_cny"], &last["factor"]), (&json!(0.0), &json!(1.0)), "the last segment is as traded");
        let (report, adjusted) = series(adjust);
        assert_eq!((report["adjust"].as_str(), &report["segments"]), (Some(adjust), &json!(segments)));
        assert_eq!(adjusted.len(), plain.len());
        for (row, traded) in adjusted.iter().zip(&plain) {
            assert_eq!((&row.0, &row.1, row.3), (&traded.0, &traded.1, traded.3), "sizes stay");
            let segment = segments.iter().find(|s| s["segment_id"].as_u64() == row.1.parse().ok()).unwrap();
            let expected = made(segment, traded.2);
            assert!((row.2 - expected).abs() < 1e-6 || (row.2.is_nan() && expected.is_nan()), "{row:?}, {traded:?}");
            if adjust == "difference" && !row.2.is_nan() {
                assert_eq!(row.2 % 10.0, 0.0, "prices stay on the tick grid");
            }
        }
    }
    assert!(ghtrader_tests::stored(dir.path()) == stored, "reading changes nothing");

    // Another schedule, and main_l5 not yet built by it: its factors are not those of the rows that are there.
    let shown = program.ok(&["main", "show", "--var", "cu"]);
    let days = shown["rows"].as_array().unwrap();
    let text = |day: &Value, key: &str| day[key].as_str().unwrap().to_owned();
    let mut switches = format!("{},{}\n", text(&days[0], "date"), text(&days[0], "main_contract"));
    for later in days.windows(3).filter(|w| w[0]["main_contract"] != w[1]["main_contract"]).map(|w| &w[2]) {
        switches += &format!("{},{}\n", text(later, "date"), text(later, "main_contract"));
    }
    std::fs::write(dir.path().join("switches.csv"), switches).unwrap();
    program.ok(&["main", "schedule", "--var", "cu", "--source", "file", "--file", "switches.csv"]);
    let args = ["data", "export", "--var", "cu", "--adjust", "difference", "--out", "wrong.csv"];
    program.fails(&args, 1, "schedule_mismatch");
    assert!(!dir.path().join("wrong.csv").exists());
    program.fails(&["main", "schedule", "--var", "cu", "--source", "oi", "--file", "switches.csv"], 2, "usage");
    std::fs::write(dir.path().join("gold.csv"), "2025-07-01,SHFE.au2508\n").unwrap();
    program.fails(&["main", "schedule", "--var", "cu", "--source", "file", "--file", "gold.csv"], 2, "bad_schedule");
}

/// D-15: tables of an older form are told, changed only when asked, and used afterwards with what they held.
#[test]
fn older_tables_are_brought_up_to_date() {
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let url = format!("store.questdb_url={}", server.url());
    let questdb = ["--set", "store.backend=questdb", "--set", &url];
    let sql = |statement: &str| -> Value {
        let mut answer = ureq::get(format!("{}/exec", server.url())).query("query", statement).call().unwrap();
        answer.body_mut().read_json().unwrap()
    };
    market(&program, &questdb);
    let before = say(&program, &["data", "list"], &questdb);
    assert_eq!(say(&program, &["db", "migrate"], &questdb)["steps"], json!([]));
    // As an older program could have left them: a column less, another type, other keys, a table less.
    sql("ALTER TABLE ghtrader_main_l5 DROP COLUMN schedule_hash");
    sql("ALTER TABLE ghtrader_manifest ALTER COLUMN sha256 TYPE STRING");
    sql("ALTER TABLE ghtrader_ticks DEDUP DISABLE");
    sql("DROP TABLE ghtrader_schedule_head");
    let settled = "SELECT count() FROM wal_tables() WHERE writerTxn < sequencerTxn";
    while sql(settled)["dataset"][0][0] != json!(0) {}
    program.fails(&[&["data", "list"][..], &questdb].concat(), 2, "questdb_schema");
    let (exit, told) = program.json(&[&["db", "migrate"][..], &questdb].concat());
    let steps = told["steps"].as_array().unwrap();
    assert_eq!((exit, steps.len(), &told["applied"]), (1, 4, &json!(false)), "{told:#}");
    assert_eq!(program.json(&[&["db", "migrate"][..], &questdb].concat()).1, told, "telling changes nothing");
    let done = say(&program, &["db", "migrate", "--apply"], &questdb);
    assert_eq!(done["steps"], told["steps"]);
    assert_eq!(say(&program, &["db", "migrate", "--apply"], &questdb)["steps"], json!([]));
    assert_eq!(say(&program, &["data", "list"], &questdb), before, "what was there is there");
    market(&program, &questdb);
    let (exit, verified) = program.json(&[&["data", "verify", "--deep"][..], &questdb].concat());
    assert_eq!(exit, 0, "{verified:#}");

    // What only its owner can mend stops it before anything is changed.
    sql("DROP TABLE ghtrader_record");
    sql(
        "CREATE TABLE ghtrader_record (at TIMESTAMP, collection SYMBOL, name SYMBOL, body VARCHAR) TIMESTAMP(at) PARTITION BY YEAR BYPASS WAL",
    );
    let said = program.fails(&[&["db", "migrate", "--apply"][..], &questdb].concat(), 2, "questdb_schema");
    assert!(said.contains("write-ahead log"), "{said}");
}
