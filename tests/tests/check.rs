//! A result proved: again in every way, against its stored files, and read by other tools.

use ghtrader_tests::{Program, artefacts, write};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A project with four synthetic days of copper and a result in `runs/x`.
fn project(dir: &Path) -> Program {
    let program = Program::new(dir);
    let ok = |line: &str| program.ok(&line.split(' ').collect::<Vec<_>>());
    ok("init .");
    ok("data synth --var cu --days 4 --rows-per-day 1500 --seed 3");
    ok("main schedule --var cu");
    ok("main build --var cu");
    let plugin = |name: &str| artefacts().join(format!("{name}.wasm")).display().to_string();
    write(
        &dir.join("run.toml"),
        format!(
            "version = 1\nname = 'x'\nvariety = 'cu'\nseed = 5\n[[lineup.features]]\nplugin = '{}'\n\
             [lineup.strategy]\nplugin = '{}'\nparams = {{ max_lots = 3 }}\n[latency]\n\
             order = {{ kind = 'lognormal', median_us = 200000, sigma = 0.8, max_us = 2000000 }}\n",
            plugin("core-factors"),
            plugin("maker"),
        ),
    );
    ok("backtest run run.toml --out runs/x");
    program
}

/// B-19, B-17: one command, every way, equal digests; from a result and from a specification.
#[test]
fn one_command_proves_a_result_in_every_way() {
    let dir = tempfile::tempdir().unwrap();
    let program = project(dir.path());
    let report = program.ok(&["backtest", "show", "runs/x"]);
    let proof = program.ok(&["backtest", "check", "runs/x", "--seed", "4"]);
    assert_eq!((&proof["passed"], &proof["findings"]), (&json!(true), &json!([])), "{proof:#}");
    assert_eq!(proof["result_digest"], report["result_digest"]);
    assert_eq!(proof["output_digest"], report["output_digest"]);
    let ways: Vec<&str> = proof["ways"].as_array().unwrap().iter().map(|w| w["way"].as_str().unwrap()).collect();
    for way in [
        "as stored",
        "again on 1 thread",
        "again on 2 threads",
        "row by row as live",
        "blocks of one row",
        "random blocks of seed 4",
        "whole days",
        "a copy of the data, features row by row",
    ] {
        assert!(ways.contains(&way), "{way} in {ways:?}");
    }
    assert!(ways.last().unwrap().starts_with("another process, killed"), "{ways:?}");
    let stored: Value =
        serde_json::from_str(&std::fs::read_to_string(dir.path().join("runs/x/check.json")).unwrap()).unwrap();
    assert_eq!(
        (&stored["passed"], &stored["look_ahead"], &stored["ways"]),
        (&json!(true), &json!(true), &proof["ways"])
    );
    assert_eq!(program.ok(&["backtest", "check", "run.toml"])["output_digest"], proof["output_digest"]);
    // A result that says something else is found.
    let file = dir.path().join("runs/x/report.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let digest = report["output_digest"].as_str().unwrap();
    write(&file, text.replacen(digest, &digest.chars().rev().collect::<String>(), 1));
    let (exit, found) = program.json(&["backtest", "check", "runs/x"]);
    assert_eq!((exit, &found["passed"]), (1, &json!(false)), "{found:#}");
    assert_eq!(found["findings"][0]["code"], "stored_differs", "{found:#}");
}

/// B-18: one altered fill, wherever it stands, is found and named.
#[test]
fn one_altered_fill_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let program = project(dir.path());
    let verify = || program.json(&["backtest", "verify", "runs/x"]);
    assert_eq!(verify().0, 0);
    let file = dir.path().join("runs/x/fills_pessimistic.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.lines().count() > 3, "a run without a fill proves nothing");
    let line = text.lines().nth(2).unwrap();
    let altered = line.replacen(
        if line.contains("buy") { "buy" } else { "sell" },
        if line.contains("buy") { "sell" } else { "buy" },
        1,
    );
    write(&file, text.replacen(line, &altered, 1));
    let (exit, found) = verify();
    assert_eq!((exit, &found["equal"]), (1, &json!(false)), "{found:#}");
    let said = found["differences"][0].as_str().unwrap();
    assert!(said.starts_with("fills_pessimistic.csv line 3: stored ") && said.contains(line), "{said}");
    write(&file, &text);
    assert_eq!(verify().0, 0);
    for name in ["fills.parquet", "orders.parquet", "equity.parquet"] {
        let file = dir.path().join("runs/x").join(name);
        let bytes = std::fs::read(&file).unwrap();
        let mut other = bytes.clone();
        let middle = other.len() / 2;
        other[middle] ^= 1;
        write(&file, &other);
        let (exit, found) = verify();
        assert_eq!(exit, 1, "{name}");
        assert!(found["differences"][0].as_str().unwrap().starts_with(name), "{found:#}");
        write(&file, &bytes);
    }
    std::fs::remove_file(dir.path().join("runs/x/equity_daily.csv")).unwrap();
    assert!(verify().1["differences"][0].as_str().unwrap().starts_with("equity_daily.csv: cannot be read"));
}

/// B-08, B-09: delays from a file, both books of a taker, and a stored run that needs the file no more.
#[test]
fn measured_delays_and_both_books() {
    let dir = tempfile::tempdir().unwrap();
    let program = project(dir.path());
    let plugin = artefacts().join("taker.wasm").display().to_string();
    let spec = format!(
        "version = 1\nname = 't'\nvariety = 'cu'\n[lineup.strategy]\nplugin = '{plugin}'\n[fills]\ntaker_book = 'both'\n\
         [latency]\norder = {{ kind = 'trace', file = 'delays.txt' }}\n"
    );
    write(&dir.path().join("taker.toml"), spec);
    let said = program.fails(&["backtest", "run", "taker.toml", "--out", "runs/t"], 2, "bad_spec");
    assert!(said.contains("latency.order.file = delays.txt"), "{said}");
    write(&dir.path().join("delays.txt"), "# measured\n100000\n250000\n90000\n");
    let first = program.ok(&["backtest", "run", "taker.toml", "--out", "runs/t"]);
    let report = program.ok(&["backtest", "show", "runs/t"]);
    for model in ["pessimistic", "central", "optimistic"] {
        let books = &report["fill_models"][model]["taker_books"];
        assert!(books["orders"].as_u64().unwrap() > 0, "{model}: {books}");
        assert!(books["k_lots"].is_u64() && books["worse_cny"].is_f64(), "{model}: {books}");
    }
    std::fs::remove_file(dir.path().join("delays.txt")).unwrap();
    assert_eq!(program.ok(&["backtest", "verify", "runs/t"])["equal"], true);
    write(&dir.path().join("delays.txt"), "100000\n250000\n90001\n");
    let other = program.ok(&["backtest", "run", "taker.toml", "--out", "runs/u"]);
    assert_ne!(other["result_digest"], first["result_digest"]);
}

/// Rows and sums of the three tables as DuckDB, Polars and pandas read them.
const SCRIPT: &str = r#"
import json, sys
import duckdb, pandas, polars
out = {}
for name, column in (("orders", "filled_lots"), ("fills", "price_cny"), ("equity", "equity_cny")):
    file = f"{sys.argv[1]}/{name}.parquet"
    q = duckdb.sql(f"select count(*), sum({column}), count(distinct model) from '{file}'").fetchall()[0]
    p, d = polars.read_parquet(file), pandas.read_parquet(file)
    out[name] = [[q[0], float(q[1]), q[2]], [p.height, float(p[column].sum()), p["model"].n_unique()],
                 [len(d), float(d[column].sum()), d["model"].nunique()]]
p = polars.read_parquet(f"{sys.argv[1]}/fills.parquet")
out["types"] = [str(p[c].dtype) for c in ("trading_day", "filled_at", "lots", "maker", "price_cny", "model")]
out["daily"] = [len(pandas.read_csv(f"{sys.argv[1]}/equity_daily.csv")), polars.read_csv(f"{sys.argv[1]}/equity_daily.csv").height]
print(json.dumps(out))
"#;

/// B-37
#[test]
fn data_frames_read_a_result() {
    let own = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/ghtrader/python/bin/python"));
    let python = std::env::var_os("GHTRADER_PYTHON").map(PathBuf::from).or_else(own).filter(|p| p.is_file());
    let Some(python) = python else {
        eprintln!("skipped: no Python with pandas, polars and duckdb; name one with GHTRADER_PYTHON");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let program = project(dir.path());
    let report = program.ok(&["backtest", "show", "runs/x"]);
    let output = Command::new(python).args(["-c", SCRIPT]).arg(dir.path().join("runs/x")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sum = |key: &str| -> f64 {
        let models = report["fill_models"].as_object().unwrap().values();
        models.map(|m| m[key].as_f64().unwrap()).sum()
    };
    for table in ["orders", "fills", "equity"] {
        let readers = found[table].as_array().unwrap();
        assert!(readers.iter().all(|r| r[0] == readers[0][0] && r[2] == 3), "{table}: {readers:?}");
        let close = |r: &Value| (r[1].as_f64().unwrap() - readers[0][1].as_f64().unwrap()).abs() < 1e-3;
        assert!(readers.iter().all(close), "{table}: {readers:?}");
    }
    assert_eq!(found["fills"][0][0].as_f64().unwrap(), sum("fills"));
    assert_eq!(found["orders"][0][1].as_f64().unwrap(), sum("lots"));
    assert!(found["orders"][0][0].as_f64().unwrap() >= sum("orders"));
    let types = found["types"].as_array().unwrap();
    assert_eq!((&types[0], &types[2], &types[3]), (&json!("Date"), &json!("UInt32"), &json!("Boolean")), "{types:?}");
    assert!(types[1].as_str().unwrap().contains("UTC"), "{types:?}");
    let days = report["data"]["days"].as_array().unwrap().len() * 3;
    assert_eq!(found["daily"], json!([days, days]));
}
