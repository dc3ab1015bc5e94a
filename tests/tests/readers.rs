//! Polars, DuckDB and pandas read the lake as it lies, and count what the program counts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ghtrader_tests::{Program, Ticks, artefacts};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

/// Reads one folder of the lake with each reader; rows, sum of a column, nulls of a column, partitions.
const SCRIPT: &str = r#"
import json, sys
import duckdb, pandas, polars
folder, total, nulls = sys.argv[1:4]
glob = folder + "/**/*.parquet"
one = lambda sql: duckdb.sql(sql).fetchall()[0]
q = one(f"select count(*), sum(\"{total}\"), count(*) - count(\"{nulls}\"), count(distinct symbol), "
        f"count(distinct (symbol, trading_day)) from read_parquet('{glob}', hive_partitioning = true)")
p = polars.scan_parquet(glob, hive_partitioning=True).collect()
d = pandas.read_parquet(folder)
print(json.dumps({
    "duckdb": [q[0], float(q[1]), q[2], q[3], q[4]],
    "polars": [p.height, float(p[total].sum()), p[nulls].null_count(), p["symbol"].n_unique(),
               p.select("symbol", "trading_day").n_unique()],
    "pandas": [len(d), float(d[total].sum()), int(d[nulls].isna().sum()), d["symbol"].nunique(),
               len(d[["symbol", "trading_day"]].drop_duplicates())],
    "nan": int(p[nulls].is_nan().sum()),
}))
"#;

/// A Python that has the readers: `GHTRADER_PYTHON`, else the one that `cargo xtask setup` makes.
fn python() -> Option<PathBuf> {
    let own = || {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
        Some(cache.join("ghtrader/python/bin/python"))
    };
    let python = std::env::var_os("GHTRADER_PYTHON").map(PathBuf::from).or_else(own).filter(|p| p.is_file());
    if python.is_none() {
        eprintln!("skipped: no Python with pandas, polars and duckdb; name one with GHTRADER_PYTHON");
    }
    python
}

/// What each reader finds must be `expected`: rows, sum, nulls, symbols, symbol-days.
fn read(python: &PathBuf, program: &Program, dataset: &str, total: &str, nulls: &str, expected: &Value) {
    let folder = program.dir().join("data/lake").join(dataset);
    let output = Command::new(python).args(["-c", SCRIPT]).arg(&folder).args([total, nulls]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{dataset}: {said}{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_str(&said).unwrap();
    for reader in ["duckdb", "polars", "pandas"] {
        assert_eq!(&found[reader], expected, "{reader} on {dataset}");
    }
    assert_eq!(found["nan"], 0, "{dataset}: a missing value is null, never NaN");
}

/// Rows of a dataset as `data list` gives them, with symbols and symbol-days.
fn listed(program: &Program, dataset: &str) -> (u64, usize, u64) {
    let list = program.ok(&["data", "list"]);
    let symbols: Vec<&Value> = list["symbols"].as_array().unwrap().iter().filter(|s| s["dataset"] == dataset).collect();
    let sum = |key: &str| symbols.iter().map(|s| s[key].as_u64().unwrap()).sum();
    (sum("rows"), symbols.len(), sum("days"))
}

/// D-14
#[test]
fn other_readers_find_the_same_ticks() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let mut files = Vec::new();
    for (symbol, rows) in [("SHFE.cu2509", 400), ("SHFE.cu2510", 250)] {
        let mut ticks = Ticks::new(symbol, rows);
        for row in 7..20 {
            ticks.without_side(row, "ask");
        }
        files.push(ticks.write(dir.path()).display().to_string());
    }
    program.ok(&["data", "import", &files[0], &files[1]]);
    let (rows, symbols, days) = listed(&program, "ticks");
    assert_eq!((rows, symbols, days), (650, 2, 2));
    let volume: u64 = [400u64, 250].iter().map(|n| 10 * n * (n + 1) / 2).sum();
    read(&python, &program, "ticks", "volume", "ask_price1", &json!([650, volume as f64, 2 * 13, 2, 2]));
}

/// D-14, D-23: the continuous contract and its columns, several days.
#[test]
fn other_readers_find_the_same_main_contract_and_features() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    program.ok(&["data", "synth", "--var", "cu", "--days", "4", "--rows-per-day", "1000"]);
    program.ok(&["main", "schedule", "--var", "cu"]);
    let built = program.ok(&["main", "build", "--var", "cu"]);
    let artefact = artefacts().join("core-factors.wasm").display().to_string();
    let features = program.ok(&["feature", "build", "--var", "cu", "--plugin", &artefact]);
    let (rows, symbols, days) = listed(&program, "main_l5");
    assert_eq!((json!(rows), symbols, json!(days)), (built["rows"].clone(), 1, built["covered_days"].clone()));
    // The phase of a row is never null; its sum is the readers' own business, so the row numbers are summed.
    let numbers = |python: &PathBuf, dataset: &str| {
        let sql = "import duckdb,sys;print(duckdb.sql(f\"select sum(seq) from '{sys.argv[1]}/**/*.parquet'\").fetchall()[0][0])";
        let folder = program.dir().join("data/lake").join(dataset);
        let output = Command::new(python).args(["-c", sql]).arg(folder).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().parse::<f64>().unwrap()
    };
    let sum = numbers(&python, "main_l5");
    read(&python, &program, "main_l5", "seq", "seq", &json!([rows, sum, 0, 1, days]));
    assert_eq!(features["rows"], rows);
    assert_eq!(numbers(&python, "feature"), sum, "features join their rows by sequence");
}
