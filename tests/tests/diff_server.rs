//! The DIFF server, by the unmodified official client: each file of Python tests names the rows that it proves.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ghtrader_tests::{binary, root};
use std::path::PathBuf;
use std::process::Command;

/// The Python that set-up has given the client to.
fn python() -> Option<PathBuf> {
    let own = || {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
        Some(cache.join("ghtrader/diff/bin/python"))
    };
    let found = std::env::var_os("GHTRADER_DIFF_PYTHON").map(PathBuf::from).or_else(own).filter(|p| p.is_file());
    if found.is_none() {
        eprintln!("skipped: no Python with the client; `cargo xtask setup` installs it");
    }
    found
}

/// Runs a file of Python tests; what it says is shown if it fails.
fn passes(file: &str) {
    let Some(python) = python() else { return };
    let output = Command::new(python)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["-W", "ignore"])
        .arg(root().join("tests/sim").join(file))
        .arg(binary("ghtrader", "ghtrader-cli"))
        .arg("--verbose")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("\nRan "), "{file}: {said}");
    for skipped in said.lines().filter(|l| l.contains(" skipped ")) {
        eprintln!("skipped: {file}: {skipped}");
    }
}

/// DS-02, DS-04, DS-05, DS-08 to DS-14, DS-17 to DS-19.
#[test]
fn the_client_gets_market_data() {
    passes("test_market.py");
}

/// DS-12, DS-15, DS-16, DS-19 to DS-21.
#[test]
fn the_client_gets_bars_and_runs_backtests() {
    passes("test_bars.py");
}

/// DS-01, DS-03, DS-22 to DS-31.
#[test]
fn the_client_trades() {
    passes("test_trading.py");
}

/// DS-06, DS-07, DS-32, DS-33.
#[test]
fn lines_stand_slow_and_hostile_clients() {
    passes("test_lines.py");
}
