//! Damage, full disks, killed writers: a clear error, nothing lost, and the same bytes in the end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use ghtrader_core::{Digest, ErrorClass, Problem};
use ghtrader_store::{
    ColumnKind, ColumnsKey, Dataset, EmbeddedStore, HashOnRead, NamedColumn, PutOutcome, Store, StoreOptions,
};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{SYMBOL, assert_same, day, flip, meta, parquet_of, table, tree};

const CHILD: &str = "GHTRADER_STORE_TEST_CHILD";

/// This test binary again, as a process that can be killed or limited; it runs [`child`].
fn child_command(root: &Path, job: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(CHILD, format!("{job} {}", root.display()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

const CHILD_DAYS: i32 = 8;

/// The work of a child process; nothing when the tests run it as a test.
#[test]
fn child() {
    let Ok(text) = std::env::var(CHILD) else { return };
    let (job, root) = text.split_once(' ').unwrap();
    let store = EmbeddedStore::open(Path::new(root)).unwrap();
    let rows_of = |n: i32, version: u64| table(n as u64 * 10 + version, 4_000);
    let write = |version: u64| {
        for n in 0..CHILD_DAYS {
            let rows = rows_of(n, version);
            let put = store.put_day(Dataset::Ticks, SYMBOL, day(n), &rows.view(), &meta(&version.to_string()));
            if let Err(e) = put {
                println!("error {}", Problem::from(e).code);
                return;
            }
            let loaded = store.load_day(Dataset::Ticks, SYMBOL, day(n)).unwrap();
            assert_same(&loaded.view(), &rows.view());
            let values = &rows.floats[0];
            let key = ColumnsKey {
                kind: ColumnKind::Feature,
                set: "set".into(),
                symbol: SYMBOL.into(),
                trading_day: day(n),
                key: Digest::of(&[n as u8]),
            };
            store.put_columns(&key, &rows.ts_ns, &rows.seq, &[NamedColumn { name: "x", values }]).unwrap();
        }
    };
    match job {
        "write" => write(9),
        // Corrections for longer than anyone waits, so that a kill lands anywhere.
        "rewrite" => (0u64..100_000).for_each(|version| write(version % 9)),
        "collect" => (0u64..100_000).for_each(|version| {
            write(version % 9);
            store.collect_garbage().unwrap();
        }),
        other => panic!("no such job: {other}"),
    }
    println!("done");
}

/// D-16: kill -9 at any point, then run again: the same bytes as without the kill, and nothing else is left.
#[test]
fn killed_writers_leave_whole_days() {
    let expected = tempfile::tempdir().unwrap();
    assert!(child_command(expected.path(), "write").status().unwrap().success());
    let root = tempfile::tempdir().unwrap();
    for n in 0..6u64 {
        let mut child = child_command(root.path(), "rewrite").spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + n * n * 17));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = EmbeddedStore::open(root.path()).unwrap();
        let found = store.verify(true).unwrap();
        assert!(found.is_ok(), "{found:?}");
        for d in store.days(Dataset::Ticks, SYMBOL).unwrap() {
            assert_eq!(store.load_day(Dataset::Ticks, SYMBOL, d).unwrap().view().rows(), 4_000);
        }
    }
    assert!(child_command(root.path(), "write").status().unwrap().success());
    let mut found = tree(root.path());
    // What a killed writer had not yet published was moved here by `verify`.
    found.retain(|p, _| !p.starts_with("quarantine"));
    assert_eq!(found.keys().collect::<Vec<_>>(), tree(expected.path()).keys().collect::<Vec<_>>());
    assert!(found == tree(expected.path()));
}

/// D-16: a collection that is killed at any point has taken nothing that a manifest names, and the next one takes the rest.
#[test]
fn killed_collections_leave_whole_days() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..6u64 {
        let mut child = child_command(root.path(), "collect").spawn().unwrap();
        std::thread::sleep(Duration::from_millis(40 + n * n * 23));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = EmbeddedStore::open(root.path()).unwrap();
        let days = store.days(Dataset::Ticks, SYMBOL).unwrap();
        store.collect_garbage().unwrap();
        assert!(store.garbage().unwrap().items.is_empty());
        let found = store.verify(true).unwrap();
        assert!(found.is_ok() && found.orphans.is_empty(), "{found:?}");
        assert_eq!(store.days(Dataset::Ticks, SYMBOL).unwrap(), days);
        for d in days {
            assert_eq!(store.load_day(Dataset::Ticks, SYMBOL, d).unwrap().view().rows(), 4_000);
        }
    }
}

fn store_with_days(root: &Path, days: i32) -> EmbeddedStore {
    let store = EmbeddedStore::open(root).unwrap();
    for n in 0..days {
        store.put_day(Dataset::Ticks, SYMBOL, day(n), &table(n as u64, 300).view(), &meta("a")).unwrap();
    }
    store
}

/// D-17: one flipped byte anywhere in a data file is named by symbol and day, quarantined, and mended by importing again.
#[test]
fn flipped_bytes_in_a_data_file_are_found() {
    let root = tempfile::tempdir().unwrap();
    let store = store_with_days(root.path(), 2);
    let file = parquet_of(root.path(), "ticks", SYMBOL, day(0));
    let length = std::fs::metadata(&file).unwrap().len() as usize;
    for at in [0, 3, 4, length / 3, length / 2, length - 9, length - 1] {
        flip(&file, at);
        let error = store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap_err();
        assert_eq!(error.code(), "day_corrupt");
        let problem = Problem::from(error);
        assert!(
            problem.what.contains("ticks SHFE.cu2602 2025-07-17") && problem.remedy.contains("verify"),
            "{problem}"
        );
        flip(&file, at);
    }
    flip(&file, length / 3);
    let put = store.put_day(Dataset::Ticks, SYMBOL, day(0), &table(0, 300).view(), &meta("a")).unwrap();
    assert!(matches!(put, PutOutcome::Unchanged(_)), "{put:?}");
    assert_eq!(store.read_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view().rows(), 300);

    flip(&file, length / 2);
    let shallow = store.verify(false).unwrap();
    assert!(shallow.is_ok() && shallow.days == 2, "{shallow:?}");
    let found = store.verify(true).unwrap();
    assert_eq!((found.bad.len(), found.days), (1, 2));
    let bad = &found.bad[0];
    assert_eq!((bad.what.as_str(), bad.code), ("ticks SHFE.cu2602 2025-07-17", "day_corrupt"));
    assert_eq!(bad.quarantined.len(), 2, "file and manifest: {bad:?}");
    assert!(bad.quarantined.iter().all(|p| root.path().join(p).exists()));

    assert_eq!(store.days(Dataset::Ticks, SYMBOL).unwrap(), [day(1)]);
    assert_eq!(store.load_day(Dataset::Ticks, SYMBOL, day(1)).unwrap().view().rows(), 300);
    let put = store.put_day(Dataset::Ticks, SYMBOL, day(0), &table(0, 300).view(), &meta("a")).unwrap();
    assert!(matches!(put, PutOutcome::Stored(_)), "{put:?}");
    assert!(store.verify(true).unwrap().is_ok());

    // Cut short or gone: the shallow check sees these too.
    let file = parquet_of(root.path(), "ticks", SYMBOL, day(0));
    std::fs::write(&file, &std::fs::read(&file).unwrap()[..length / 2]).unwrap();
    assert_eq!(store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap_err().code(), "day_corrupt");
    std::fs::remove_file(parquet_of(root.path(), "ticks", SYMBOL, day(1))).unwrap();
    std::fs::remove_dir_all(root.path().join("cache")).unwrap();
    assert_eq!(store.load_day(Dataset::Ticks, SYMBOL, day(1)).unwrap_err().code(), "day_corrupt");
    let found = store.verify(false).unwrap();
    assert_eq!(found.bad.iter().map(|b| b.code).collect::<Vec<_>>(), ["day_corrupt"; 2]);
}

/// D-17: every byte of a manifest counts; importing the day again mends it.
#[test]
fn flipped_bytes_in_a_manifest_are_found() {
    let root = tempfile::tempdir().unwrap();
    let store = store_with_days(root.path(), 1);
    let path = root.path().join(format!("manifest/ticks/{SYMBOL}/{}.json", day(0)));
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        flip(&path, at);
        let error = store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap_err();
        assert_eq!(error.code(), "manifest_corrupt", "byte {at}");
        std::fs::write(&path, &whole).unwrap();
    }
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(store.manifest(Dataset::Ticks, SYMBOL, day(0)).unwrap_err().code(), "manifest_corrupt");
    }
    store.put_day(Dataset::Ticks, SYMBOL, day(0), &table(0, 300).view(), &meta("a")).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), whole);

    flip(&path, 60);
    let found = store.verify(false).unwrap();
    assert_eq!(found.bad.iter().map(|b| b.code).collect::<Vec<_>>(), ["manifest_corrupt"]);
    assert_eq!(found.orphans.len(), 1, "its data goes with it: {found:?}");
    assert!(store.days(Dataset::Ticks, SYMBOL).unwrap().is_empty());

    drop(store);
    // A manifest copied to another day is whole, and wrong there.
    let store = store_with_days(root.path(), 1);
    std::fs::copy(&path, path.with_file_name(format!("{}.json", day(5)))).unwrap();
    let found = store.verify(false).unwrap();
    assert!(found.bad.len() == 1 && found.bad[0].why.contains("lies elsewhere"), "{found:?}");
}

/// D-18: whatever happens to a cache file, the rows are right and the file is whole again.
#[test]
fn damaged_caches_are_rebuilt() {
    let root = tempfile::tempdir().unwrap();
    let store = store_with_days(root.path(), 1);
    let rows = table(0, 300);
    let load = || assert_same(&store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &rows.view());
    load();
    let sha = store.manifest(Dataset::Ticks, SYMBOL, day(0)).unwrap().unwrap().sha256;
    let path = root.path().join(format!("cache/{sha}.arrow"));
    let whole = std::fs::read(&path).unwrap();
    let damaged = |bytes: &[u8]| {
        // A new file, as a person or a failing disk would leave it; mapped ones are never written to.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        load();
        assert!(std::fs::read(&path).unwrap() == whole, "it was not rebuilt");
    };
    for cut in [0, 1, 9, 10, 100, whole.len() / 2, whole.len() - 64, whole.len() - 1] {
        damaged(&whole[..cut]);
    }
    damaged(&[whole.as_slice(), b"x"].concat());
    damaged(&vec![0; whole.len()]);
    // Bytes that are no values: offsets, lengths, the schema, the seal itself.
    let values = 300usize * 8;
    let body = values.next_multiple_of(64) * 28 + 1200usize.next_multiple_of(64) + 300usize.next_multiple_of(64);
    let footer = i32::from_le_bytes(whole[whole.len() - 10..whole.len() - 6].try_into().unwrap()) as usize;
    let end = whole.len() - 10 - footer - 8;
    assert!((500..20_000).contains(&(end - body)), "{} bytes before the values", end - body);
    for at in (0..end - body).chain(end..whole.len()).step_by(61).chain(whole.len() - 60..whole.len()) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x01;
        damaged(&bytes);
    }
    // A flipped value is no danger to the program. It is found by reading all, by sixteen samples, and by `verify`.
    drop(store);
    let options = |hash_on_read| StoreOptions { hash_on_read, ..StoreOptions::default() };
    let mut bytes = whole.clone();
    bytes[end - 1000] ^= 0x01;
    for (hash, readings) in [(HashOnRead::Always, 1), (HashOnRead::Sample, 16), (HashOnRead::Never, 0)] {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let store = EmbeddedStore::open_with(root.path(), options(hash)).unwrap();
        (0..readings).for_each(|_| drop(store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap()));
        assert_eq!(std::fs::read(&path).unwrap() == whole, readings > 0, "{hash:?}");
    }
    let store = EmbeddedStore::open_with(root.path(), options(HashOnRead::Never)).unwrap();
    let found = store.verify(true).unwrap();
    assert!(found.is_ok() && found.dropped_caches == 1, "{found:?}");
    let load = || assert_same(&store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view(), &rows.view());
    load();

    // No room for a cache: slower, not wrong.
    std::fs::remove_dir_all(root.path().join("cache")).unwrap();
    std::fs::write(root.path().join("cache"), "in the way").unwrap();
    load();
}

/// A path below a regular file cannot be a folder, for root either.
#[test]
fn unwritable_folders_are_named() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = EmbeddedStore::open(&file.join("store")).unwrap_err();
    assert_eq!(error.code(), "store_unwritable");
    let store = store_with_days(&root.path().join("store"), 1);
    std::fs::write(root.path().join("store/lake/main_l5"), "in the way").unwrap();
    let error = store.put_day(Dataset::MainL5, SYMBOL, day(0), &table(0, 9).view(), &meta("a")).unwrap_err();
    assert!(error.code() == "store_unwritable" && error.to_string().contains("main_l5"), "{error}");
    assert_eq!(store.days(Dataset::MainL5, SYMBOL).unwrap(), []);
}

/// D-40: a second writer is told who the first one is; readers do not mind.
#[test]
fn one_writer_at_a_time() {
    let root = tempfile::tempdir().unwrap();
    let first = store_with_days(root.path(), 1);
    let second = EmbeddedStore::open(root.path()).unwrap();
    let error = second.put_day(Dataset::Ticks, SYMBOL, day(1), &table(1, 9).view(), &meta("a")).unwrap_err();
    assert_eq!(error.code(), "store_busy");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    assert_eq!(Problem::from(error).class, ErrorClass::Conflict);
    assert_eq!(second.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view().rows(), 300);
    first.release_writer().unwrap();
    second.put_day(Dataset::Ticks, SYMBOL, day(1), &table(1, 9).view(), &meta("a")).unwrap();
    drop(second);
    first.put_day(Dataset::Ticks, SYMBOL, day(2), &table(1, 9).view(), &meta("a")).unwrap();
}

/// D-40: below the bound nothing is written, and what is stored can still be read.
#[test]
fn free_space_has_a_bound() {
    let root = tempfile::tempdir().unwrap();
    drop(store_with_days(root.path(), 1));
    let before = tree(root.path());
    let options = StoreOptions { min_free_gib: 1 << 40, ..StoreOptions::default() };
    let store = EmbeddedStore::open_with(root.path(), options).unwrap();
    let error = store.put_day(Dataset::Ticks, SYMBOL, day(1), &table(1, 9).view(), &meta("a")).unwrap_err();
    assert_eq!(error.code(), "min_free");
    assert_eq!(Problem::from(error).class, ErrorClass::Limit);
    assert_eq!(store.load_day(Dataset::Ticks, SYMBOL, day(0)).unwrap().view().rows(), 300);
    assert!(tree(root.path()) == before);
}

/// Runs a shell script that limits itself and then runs the child.
fn limited(script: &str, root: &Path, job: &str) -> std::process::Output {
    let child = child_command(root, job);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{script} exec \"$0\" \"$@\"")).arg(child.get_program()).args(child.get_args());
    shell.envs(child.get_envs().filter_map(|(k, v)| Some((k, v?))));
    shell.output().unwrap()
}

/// D-40: a write that the system cuts short leaves the old day and no trace of the new one.
#[test]
fn a_write_that_is_cut_short_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    drop(store_with_days(root.path(), 1));
    let before = tree(root.path());
    // Blocks of 512 bytes; the signal is ignored so that the write itself fails.
    let output = limited("trap '' XFSZ; ulimit -f 8;", root.path(), "write");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("error disk_full"), "{said} {}", String::from_utf8_lossy(&output.stderr));
    assert!(tree(root.path()) == before);
    assert!(child_command(root.path(), "write").status().unwrap().success());
}

/// D-40: a file system that is really full. Needs the right to mount in a namespace of its own.
#[test]
fn a_full_disk_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let (disk, copy): (PathBuf, PathBuf) = (root.path().to_owned(), copy.path().join("after"));
    let script = format!(
        "mount -t tmpfs -o size=400k tmpfs '{0}' || exit 77; trap 'cp -r {0} {1}' EXIT; \"$0\" \"$@\"; exit;",
        disk.display(),
        copy.display()
    );
    let child = child_command(&disk, "write");
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--map-root-user", "sh", "-c", &script]).arg(child.get_program()).args(child.get_args());
    unshare.envs(child.get_envs().filter_map(|(k, v)| Some((k, v?))));
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
    assert!(said.contains("error disk_full"), "{said} {}", String::from_utf8_lossy(&output.stderr));
    let after = EmbeddedStore::open(&copy).unwrap();
    let days = after.days(Dataset::Ticks, SYMBOL).unwrap();
    assert!(days.len() < CHILD_DAYS as usize);
    for d in &days {
        assert_eq!(after.load_day(Dataset::Ticks, SYMBOL, *d).unwrap().view().rows(), 4_000);
    }
    let found = after.verify(true).unwrap();
    assert!(found.is_ok() && found.orphans.is_empty(), "{found:?}");
    assert!(tree(&copy).keys().all(|p| !p.starts_with("tmp")));
}
