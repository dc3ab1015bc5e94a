//! Disks that are full, closed or damaged.

use crate::{DAY, Desk, SYMBOL, write};
use ghtrader_tests::{Ticks, stored, tree};
use std::path::PathBuf;
use std::process::Command;

/// D-40: a file system that is really full. Needs the right to mount in a namespace of its own.
#[test]
fn a_full_disk() {
    let desk = Desk::empty();
    let files: Vec<PathBuf> =
        (1..=9).map(|month| Ticks::new(&format!("SHFE.cu260{month}"), 2_000).write(&desk.path("csv"))).collect();
    let (disk, copy) = (desk.path("disk"), desk.path("copy"));
    std::fs::create_dir_all(&disk).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=96k tmpfs '{0}' || exit 77; \"$@\"; code=$?; cp -r '{0}' '{1}'; exit $code",
        disk.display(),
        copy.display()
    );
    let mut import = desk.program.command(&["data", "import", "--json", "--root"]);
    import.arg(&disk).args(&files);
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--map-root-user", "sh", "-c", &script, "sh"]).arg(import.get_program());
    unshare.args(import.get_args()).current_dir(desk.dir.path());
    let output = match unshare.output() {
        Ok(output)
            if output.status.code() != Some(77) && !String::from_utf8_lossy(&output.stderr).contains("unshare:") =>
        {
            output
        }
        _ => {
            eprintln!("skipped: no right to mount a file system in a namespace");
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let answer: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((output.status.code(), &answer["error"]["code"]), (Some(5), &"disk_full".into()), "{said}");
    assert!(answer["error"]["what"].as_str().unwrap().contains("No space left"), "{said}");
    // What was stored before the disk was full is whole, and nothing else lies there.
    assert!(tree(&copy).keys().all(|p| p.extension().is_none_or(|e| e != "tmp")), "{:?}", tree(&copy).keys());
    let copy_name = copy.to_str().unwrap();
    let found = desk.program.ok(&["data", "verify", "--deep", "--root", copy_name]);
    assert_eq!((&found["bad"], &found["orphans"]), (&serde_json::json!([]), &serde_json::json!([])));
    assert!(found["days"].as_u64().unwrap() < 9, "{found}");
    // With room, the same command goes on.
    let mut again = vec!["data", "import", "--root", copy_name];
    again.extend(files.iter().map(|f| f.to_str().unwrap()));
    assert_eq!(desk.program.ok(&again)["symbol_days"].as_array().unwrap().len(), 9);
}

/// D-40: a path below a regular file cannot be a folder, for root either.
#[test]
fn unwritable_folders() {
    let desk = Desk::new();
    write(&desk.path("file"), "");
    let said = desk.program.fails(
        &["data", "import", "good/SHFE.cu2509.csv", "--set", "data_dir=file/data"],
        6,
        "store_unwritable",
    );
    assert!(said.contains("file/data"), "{said}");
    let said = desk.program.fails(
        &["data", "import", "good/SHFE.cu2509.csv", "--set", "runs_dir=file/runs"],
        2,
        "folder_unwritable",
    );
    assert!(said.contains("file/runs"), "{said}");
    let said = desk.program.fails(&["init", "file/desk"], 2, "unwritable");
    assert!(said.contains("file/desk"), "{said}");
    let synth = ["data", "synth", "--var", "cu", "--days", "1", "--out", "file/csv"];
    assert!(desk.program.fails(&synth, 2, "unwritable").contains("file/csv"));
    desk.unchanged();
}

fn flip(path: &std::path::Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x01;
    write(path, bytes);
}

/// D-17
#[test]
fn corrupt_parquet() {
    let desk = Desk::new();
    let file = desk.before.keys().find(|p| p.extension().is_some_and(|e| e == "parquet")).unwrap();
    let path = desk.path("data").join(file);
    flip(&path, desk.before[file].len() / 2);
    let said = desk.program.fails(&["data", "report", SYMBOL, DAY], 1, "day_corrupt");
    assert!(said.contains(SYMBOL) && said.contains(DAY), "{said}");
    let (code, found) = desk.program.json(&["data", "verify", "--deep"]);
    assert_eq!((code, &found["bad"][0]["code"]), (1, &"day_corrupt".into()), "{found:#}");
    assert!(found["bad"][0]["what"].as_str().unwrap().contains(SYMBOL), "{found:#}");
    // It is set aside, not deleted; importing the day again mends all.
    let set_aside = desk.path("data").join(found["bad"][0]["quarantined"][0].as_str().unwrap());
    assert!(set_aside.is_file(), "{}", set_aside.display());
    desk.program.fails(&["data", "report", SYMBOL, DAY], 2, "days_missing");
    assert_eq!(desk.import("good/SHFE.cu2509.csv")["symbol_days"][0]["outcome"], "stored");
    desk.unchanged();
    assert_eq!(desk.program.ok(&["data", "verify", "--deep"])["bad"], serde_json::json!([]));
}

/// D-17
#[test]
fn corrupt_manifests() {
    let desk = Desk::new();
    let path = desk.path(&format!("data/manifest/ticks/{SYMBOL}/{DAY}.json"));
    flip(&path, 60);
    for command in [["data", "show", SYMBOL, DAY], ["data", "report", SYMBOL, DAY]] {
        let said = desk.program.fails(&command, 1, "manifest_corrupt");
        assert!(said.contains(DAY), "{said}");
    }
    desk.program.fails(&["data", "list"], 1, "manifest_corrupt");
    let (code, found) = desk.program.json(&["data", "verify"]);
    assert_eq!((code, &found["bad"][0]["code"]), (1, &"manifest_corrupt".into()), "{found:#}");
    desk.import("good/SHFE.cu2509.csv");
    desk.unchanged();
}

/// D-40: what is stored is read by another while it is written.
#[test]
fn a_store_that_is_being_written_can_be_read() {
    let desk = Desk::new();
    let synth = ["data", "synth", "--var", "cu", "--days", "2", "--rows-per-day", "30000"];
    let mut writer = desk.program.command(&synth).stdout(std::process::Stdio::null()).spawn().unwrap();
    let rows = desk.program.ok(&["data", "show", SYMBOL, DAY])["rows"].clone();
    assert!(writer.wait().unwrap().success());
    assert_eq!(rows, 2_000);
    assert!(stored(desk.dir.path()).len() > desk.before.len());
}
