//! Real files through the program: every row is accounted for, and the signal figures are the published ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ghtrader_tests::{Program, shared};
use serde_json::Value;
use std::path::Path;

/// Imports files of `../shared/data`; checks the sum of rows and returns the summary.
fn import(program: &Program, data: &Path, files: &[&str], more: &[&str], rows: u64) -> Value {
    let paths: Vec<String> = files.iter().map(|f| data.join(f).display().to_string()).collect();
    let args: Vec<&str> =
        ["data", "import"].into_iter().chain(paths.iter().map(String::as_str)).chain(more.iter().copied()).collect();
    let summary = program.ok(&args);
    let count = |key: &str| summary[key].as_u64().unwrap();
    assert_eq!(count("rows_read"), rows, "{files:?}");
    let parts = ["rows_stored", "rows_rejected", "rows_duplicate", "rows_refused"].map(count);
    assert_eq!(parts.iter().sum::<u64>(), rows, "{files:?}: {parts:?}");
    let days = summary["symbol_days"].as_array().unwrap();
    assert_eq!(days.iter().map(|d| d["rows"].as_u64().unwrap()).sum::<u64>(), count("rows_stored"));
    summary
}

fn signal(program: &Program, symbol: &str, day: &str, auc: f64, r2: f64) {
    let report = program.ok(&["data", "report", symbol, day]);
    for (key, published) in [("queue_imbalance_auc", auc), ("ofi_r2", r2)] {
        let found = report[key].as_f64().unwrap();
        assert!((found - published).abs() <= 0.001, "{symbol} {key}: {found}, published {published}");
    }
}

/// D-08: five levels and one, with the figures of `data report`.
#[test]
fn tqsdk_days() {
    let Some(data) = shared("data") else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    for (file, rows) in [
        ("tqsdk/SHFE.ad2511.csv", 5_032),
        ("tqsdk/SHFE.wr2510.csv", 3_839),
        ("tqsdk/CFFEX.IF2509.csv", 24_728),
        ("tqsdk/DCE.bb2511.csv", 1_543),
        ("tqsdk/SHFE.cu1909_last200.csv", 200),
    ] {
        let summary = import(&program, &data, &[file], &[], rows);
        assert_eq!((&summary["rows_stored"], &summary["rejects_file"]), (&rows.into(), &Value::Null), "{file}");
    }
    signal(&program, "SHFE.ad2511", "2025-07-18", 0.690, 0.396);
    signal(&program, "CFFEX.IF2509", "2025-07-18", 0.653, 0.593);
    let old = program.ok(&["data", "show", "SHFE.cu1909", "2019-09-16"]);
    assert_eq!(old["counting"], "double", "SHFE counted both sides before 2020");
}

/// D-09: compact files have times of day only.
#[test]
fn compact_ctp_days() {
    let Some(data) = shared("data") else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let files = ["ag1712", "au1712", "cu1712", "rb1805"].map(|c| format!("ctp_2017-11-13/{c}_20171113.csv"));
    let files = files.each_ref().map(String::as_str);
    let path = data.join(files[0]).display().to_string();
    program.fails(&["data", "import", &path], 2, "trading_day_missing");
    let rows = 32_605 + 18_965 + 20_959 + 41_298;
    let summary = import(&program, &data, &files, &["--trading-day", "2017-11-13"], rows);
    assert_eq!(summary["symbol_days"].as_array().unwrap().len(), 4);
    signal(&program, "SHFE.ag1712", "2017-11-13", 0.725, 0.282);
    signal(&program, "SHFE.rb1805", "2017-11-13", 0.682, 0.460);
}

/// D-09: files of calendar days, of which a trading day spans two.
#[test]
fn full_ctp_days() {
    let Some(data) = shared("data") else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let files = ["20181008", "20181009"].map(|d| format!("ctp_2018/SHFE.ru1901_{d}.tick-ctp.csv.gz"));
    let files = files.each_ref().map(String::as_str);
    let summary = import(&program, &data, &files, &[], 38_536 + 39_541);
    let days: Vec<(&str, u64)> = summary["symbol_days"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| (d["trading_day"].as_str().unwrap(), d["rows"].as_u64().unwrap()))
        .collect();
    // The night of a file belongs to the next trading day.
    assert_eq!(days, [("2018-10-08", 24_331), ("2018-10-09", 14_205 + 26_243), ("2018-10-10", 13_298)]);
}
