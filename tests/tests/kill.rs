//! Imports and synthetic markets that are killed at any moment: running them again gives the bytes of a run that was
//! left alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ghtrader_tests::{Program, stored, tree};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// When a run is killed, milliseconds after its start: while it reads, while it writes, and after the end.
const MOMENTS_MS: [u64; 7] = [3, 12, 25, 45, 80, 140, 260];

fn files_of(dir: &Path) -> Vec<String> {
    let files = tree(dir).into_keys().filter(|p| p.extension().is_some_and(|e| e == "csv"));
    files.map(|p| dir.join(p).display().to_string()).collect()
}

/// As [`start`], with the interrupt signal in force: a test run in the background hands its children an ignored one.
fn start_interruptible(root: &TempDir, args: &[&str]) -> Child {
    let program = Program::new(root.path()).command(args);
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(program.get_program()).args(program.get_args());
    command.current_dir(root.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn start(root: &TempDir, args: &[&str]) -> Child {
    let mut command = Program::new(root.path()).command(args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Nothing half-written lies where readers look, and the next writer has swept its own folder.
fn no_leftovers(root: &Path) {
    let left: Vec<PathBuf> =
        tree(root).into_keys().filter(|p| p.to_string_lossy().contains(".tmp") || p.starts_with("data/tmp")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Every file that lies in the lake right now is whole and described, or not yet described by anything.
fn what_is_listed_is_whole(program: &Program) {
    for symbol in program.ok(&["data", "list"])["symbols"].as_array().unwrap() {
        let (symbol, day) = (symbol["symbol"].as_str().unwrap(), symbol["first_day"].as_str().unwrap());
        program.ok(&["data", "report", symbol, day]);
    }
}

fn killed_and_run_again(args: &[&str]) {
    let undisturbed = tempfile::tempdir().unwrap();
    Program::new(undisturbed.path()).ok(args);
    let expected: BTreeMap<PathBuf, Vec<u8>> = stored(undisturbed.path());
    assert!(expected.len() >= 10, "{} files", expected.len());
    let mut cut_short = 0;
    for moment_ms in MOMENTS_MS {
        let root = tempfile::tempdir().unwrap();
        let program = Program::new(root.path());
        let mut child = start(&root, args);
        std::thread::sleep(Duration::from_millis(moment_ms));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        cut_short += u32::from(status.signal() == Some(9));
        what_is_listed_is_whole(&program);
        program.ok(args);
        let found = stored(root.path());
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "after {moment_ms} ms");
        assert!(found == expected, "other bytes after a kill at {moment_ms} ms");
        no_leftovers(root.path());
    }
    assert!(cut_short >= 2, "only {cut_short} of {} runs were still alive when killed", MOMENTS_MS.len());
}

fn csv() -> (TempDir, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let synth = ["data", "synth", "--var", "cu", "--days", "4", "--rows-per-day", "20000", "--out", "csv"];
    Program::new(dir.path()).ok(&synth);
    let files = files_of(&dir.path().join("csv"));
    (dir, files)
}

/// D-16
#[test]
fn a_killed_import_ends_in_the_same_bytes() {
    let (_dir, files) = csv();
    let args: Vec<&str> = ["data", "import"].into_iter().chain(files.iter().map(String::as_str)).collect();
    killed_and_run_again(&args);
}

/// D-16, D-12
#[test]
fn a_killed_synthetic_market_ends_in_the_same_bytes() {
    killed_and_run_again(&["data", "synth", "--var", "au", "--days", "4", "--rows-per-day", "20000", "--seed", "5"]);
}

/// D-16: a corrected day replaces the old one as a whole, or not at all.
#[test]
fn a_killed_correction_leaves_the_old_day_or_the_new_one() {
    let (dir, files) = csv();
    let root = tempfile::tempdir().unwrap();
    let program = Program::new(root.path());
    let largest = files.iter().max_by_key(|f| std::fs::metadata(f).unwrap().len()).unwrap();
    let whole = std::fs::read_to_string(largest).unwrap();
    let shorter = whole.lines().take(whole.lines().count() / 2).fold(String::new(), |text, line| text + line + "\n");
    let corrected = dir.path().join("corrected.csv");
    ghtrader_tests::write(&corrected, shorter);
    let corrected = corrected.display().to_string();
    program.ok(&["data", "import", &corrected]);
    let new = stored(root.path());
    program.ok(&["data", "import", largest]);
    let old = stored(root.path());
    assert!(old != new && old.len() == new.len());
    for moment_ms in MOMENTS_MS {
        let mut child = start(&root, &["data", "import", &corrected]);
        std::thread::sleep(Duration::from_millis(moment_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        what_is_listed_is_whole(&program);
        program.ok(&["data", "import", largest]);
        assert!(stored(root.path()) == old, "after {moment_ms} ms");
    }
    no_leftovers(root.path());
}

/// P-07: Ctrl-C ends the program by that signal, or with its exit code; nothing half-written is left for readers.
#[test]
fn an_interrupted_import_leaves_whole_days() {
    let (_dir, files) = csv();
    let args: Vec<&str> = ["data", "import"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let undisturbed = tempfile::tempdir().unwrap();
    Program::new(undisturbed.path()).ok(&args);
    let mut interrupted = 0;
    for moment_ms in [5, 30, 60] {
        let root = tempfile::tempdir().unwrap();
        let program = Program::new(root.path());
        let mut child = start_interruptible(&root, &args);
        std::thread::sleep(Duration::from_millis(moment_ms));
        // A child that has ended is a zombie until `wait`: the signal reaches it and nobody else.
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let status = child.wait().unwrap();
        assert!(status.success() || status.signal() == Some(2) || status.code() == Some(130), "{status}");
        interrupted += u32::from(!status.success());
        what_is_listed_is_whole(&program);
        program.ok(&args);
        assert!(stored(root.path()) == stored(undisturbed.path()), "after {moment_ms} ms");
        no_leftovers(root.path());
    }
    assert!(interrupted > 0, "no run was still alive when interrupted");
}
