//! Writers that fail or are killed: what was acknowledged is there, the rest does no harm.

use crate::guests::{NOW_NS, Place, artefact, check, check_invisible, check_usable, echo, fixture, open, push};
use ghtrader_core::{Digest, ErrorClass};
use ghtrader_plugin::{Filter, KeyPair, PushError, PushOutcome, RegistryError, Role, SignaturePolicy};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use wasm_encoder::{CustomSection, Section as _};

/// A push writes into these folders in this order.
const ORDER: [&str; 4] = ["blobs", "signatures", "records", "versions"];
/// Folder of the registry that a child process works on; without it the children below have nothing to do.
const ROOT: &str = "GHTRADER_TEST_REGISTRY";

/// C-02, C-51
#[test]
fn a_push_that_fails_at_any_write_is_invisible_and_the_next_one_succeeds() {
    for (step, folder) in ORDER.iter().enumerate() {
        let place = Place::new();
        let digest = Digest::of(&echo());
        let signature = KeyPair::generate([1; 32]).sign(&digest);
        // A link to nowhere in place of a folder lets exactly this write fail.
        let obstacle = place.dir.path().join(folder);
        std::os::unix::fs::symlink("nowhere", &obstacle).unwrap();
        let error = place.registry.push(&echo(), Some(&signature), &fixture(), "ann", NOW_NS).unwrap_err();
        check(error, "registry_unwritable", ErrorClass::Unavailable, folder);
        std::fs::remove_file(&obstacle).unwrap();
        let left: Vec<String> = place.files().iter().map(|f| f.split('/').next().unwrap().to_owned()).collect();
        let mut before: Vec<&str> = ORDER[..step].to_vec();
        before.sort_unstable();
        assert_eq!(left, before, "{folder} is written behind exactly these");
        check_invisible(&place.again(), &digest);

        // Other bytes may have the version, for nobody was told that it is taken.
        let rival = Place::new();
        copy(place.dir.path(), rival.dir.path());
        let other = artefact("echo", "0.1.0", "Other bytes.");
        assert_eq!(rival.push(&other).outcome, PushOutcome::New);
        assert!(matches!(push(&rival.registry, &echo()), Err(PushError::VersionExists { .. })));

        // A clean-up takes what was left, and no more.
        for place in [&place, &rival] {
            let plan = place.registry.gc_plan(&BTreeSet::new()).unwrap();
            assert_eq!(plan.items.len(), step, "{plan:?}");
        }
        let plan = rival.registry.gc_plan(&BTreeSet::new()).unwrap();
        rival.registry.gc_apply(&plan.plan_hash, &BTreeSet::new()).unwrap();
        check_usable(&rival.again(), "echo@0.1.0", &other);

        assert_eq!(place.push(&echo()).outcome, PushOutcome::New);
        check_usable(&place.again(), "echo@0.1.0", &echo());
        assert_eq!(place.registry.gc_plan(&BTreeSet::new()).unwrap().items, []);
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-rT").args([from, to]).status().unwrap().success());
}

/// This test's program, running one of the tests below on a registry.
fn child(test: &str, root: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(ROOT, root);
    command
}

/// C-02, C-03: pushes and moves tags until it is killed, and says what was acknowledged.
#[test]
fn child_that_is_killed() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let registry = open(Path::new(&root), SignaturePolicy::Off, &[]);
    let tag = |g| registry.tag(Role::Feature, "echo", "champion").map_or(g, |t| t.generation);
    for n in registry.list(&Filter::default()).unwrap().len().. {
        let pushed = push(&registry, &artefact("echo", &format!("0.1.{n}"), "Returns its input.")).unwrap();
        let moved = registry
            .set_tag(Role::Feature, "echo", "champion", &pushed.digest, Some(tag(0)), "ann", "newest", NOW_NS)
            .unwrap();
        let mut out = std::io::stdout();
        out.write_all(format!("done {n} {}\n", moved.generation).as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

/// `n` and generation of `done n generation`, which the harness may have put behind something else.
fn parse(line: &str) -> Option<(usize, u64)> {
    let (n, generation) = line.split_once("done ")?.1.split_once(' ')?;
    Some((n.parse().ok()?, generation.parse().ok()?))
}

/// C-02, C-03
#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let place = Place::new();
    let mut versions = 0;
    for (acknowledged, then_us) in [(0, 0), (1, 0), (1, 700), (2, 1500), (3, 2300), (1, 3100), (2, 4300), (4, 5900)] {
        let mut running = child("interrupted::child_that_is_killed", place.dir.path());
        let mut running = running.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut said = BufReader::new(running.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut done: Vec<(usize, u64)> = said.by_ref().filter_map(|l| parse(&l)).take(acknowledged).collect();
        std::thread::sleep(Duration::from_micros(then_us));
        running.kill().unwrap();
        running.wait().unwrap();
        done.extend(said.filter_map(|l| parse(&l)));
        assert!(done.len() >= acknowledged);
        let registry = place.again();
        let records = registry.list(&Filter::default()).unwrap();
        if let Some((n, generation)) = done.last() {
            assert!(records.len() > *n, "{n} was acknowledged");
            assert!(registry.tag(Role::Feature, "echo", "champion").unwrap().generation >= *generation);
        }
        assert!(records.len() >= versions, "nothing goes away");
        versions = records.len();
        for n in 0..versions {
            let bytes = artefact("echo", &format!("0.1.{n}"), "Returns its input.");
            assert_eq!(registry.artifact(&Digest::of(&bytes)).unwrap(), bytes);
        }
        assert_eq!(registry.verify().unwrap().len(), 0);
        push(&registry, &artefact("echo", &format!("0.1.{versions}"), "Returns its input.")).unwrap();
        let plan = registry.gc_plan(&BTreeSet::new()).unwrap();
        assert!(plan.items.len() <= 3, "of the push that was cut short: {plan:?}");
        registry.gc_apply(&plan.plan_hash, &BTreeSet::new()).unwrap();
        versions += 1;
    }
}

#[test]
fn child_with_a_full_disk() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let registry = open(Path::new(&root), SignaturePolicy::Off, &[]);
    let error = push(&registry, &large()).unwrap_err();
    assert!(matches!(&error, PushError::Registry(RegistryError::DiskFull { .. })), "{error}");
    check(error, "disk_full", ErrorClass::Limit, "blobs");
}

/// An artefact with a section that says nothing, longer than what a child's disk holds.
fn large() -> Vec<u8> {
    let mut artefact = echo();
    CustomSection { name: "padding".into(), data: vec![0; 4 << 20].into() }.append_to(&mut artefact);
    artefact
}

/// A limit on the size of files stands for a full disk: a write ends half-way, with the same class of error.
#[test]
fn a_full_disk_stores_nothing_and_says_so() {
    let place = Place::new();
    let run = child("interrupted::child_with_a_full_disk", place.dir.path());
    let limited = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\""])
        .arg(run.get_program())
        .args(run.get_args())
        .env(ROOT, place.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&limited.stdout) + String::from_utf8_lossy(&limited.stderr);
    assert!(limited.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(place.files(), [""; 0]);
    check_invisible(&place.registry, &Digest::of(&large()));
    place.push(&large());
    check_usable(&place.again(), "echo@0.1.0", &large());
}
