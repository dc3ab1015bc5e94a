//! Batches on many machines: the driver's rules, a real Ray cluster, the files for other schedulers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ghtrader_tests::{Program, artefacts, binary, root};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python by its variable, else the one that set-up keeps in the user's cache.
fn python(variable: &str, folder: &str) -> Option<PathBuf> {
    let own = || {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
        Some(cache.join("ghtrader").join(folder).join("bin/python"))
    };
    std::env::var_os(variable).map(PathBuf::from).or_else(own).filter(|p| p.is_file())
}

fn with_ray() -> Option<PathBuf> {
    let found = python("GHTRADER_BATCH_PYTHON", "ray");
    if found.is_none() {
        eprintln!("skipped: no Python with Ray; `cargo xtask test --ray` installs it");
    }
    found
}

/// Runs a file of Python tests; what it says is shown if it fails.
fn passes(python: &Path, file: &str, args: &[&Path]) {
    let output = Command::new(python)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(root().join("infra").join(file))
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.starts_with("skipped:") {
        return eprintln!("{}", said.trim());
    }
    assert!(output.status.success(), "{file}: {said}");
    assert!(said.contains("Ran ") && said.trim_end().ends_with("OK"), "{file} ran no test: {said}");
}

/// B-25: what goes out next, what a death means, how a process is watched; without Ray.
#[test]
fn the_drivers_rules_hold() {
    let python = python("GHTRADER_PYTHON", "python").unwrap_or_else(|| PathBuf::from("python3"));
    if Command::new(&python).arg("--version").output().is_err() {
        return eprintln!("skipped: no Python 3");
    }
    passes(&python, "ray/test_board.py", &[]);
    passes(&python, "ray/test_driver.py", &[]);
}

/// B-25: workers, a node, the driver and the head killed, two drivers at once, a poison job: the bytes of one process.
#[test]
fn a_cluster_gives_the_bytes_of_one_process() {
    let Some(python) = with_ray() else { return };
    passes(&python, "ray/test_cluster.py", &[&binary("ghtrader", "ghtrader-cli"), &artefacts()]);
}

/// B-25: the Kubernetes file is what the scheduler reads and what the contract asks for.
#[test]
fn the_indexed_job_keeps_schema_and_contract() {
    let Some(python) = with_ray() else { return };
    passes(&python, "kubernetes/test_job.py", &[]);
}

/// B-25: without Ray, or with a wrong address, the command says what to do.
#[test]
fn a_batch_without_its_cluster_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let run = |more: &[&str]| {
        let output = program.command(&["batch", "run", "--manifest", "m", "--out", "o", "--on"]).args(more).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run(&["ray://127.0.0.1:1", "--set", "batch.python=/no/python"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("error[ray_missing]") && said.contains("cargo xtask setup --ray"), "{said}");
    let (code, said) = run(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("error[ray_address]"), "{said}");
    let Some(python) = with_ray() else { return };
    let named = format!("batch.python={}", python.display());
    let (code, said) = run(&["ray://127.0.0.1:1", "--set", &named]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("error[manifest_unreadable]"), "the driver itself has spoken: {said}");
}
