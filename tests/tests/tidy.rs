//! The house's invariants, read from the sources: who imports whom, which room owns a heavy dependency, what may not
//! stand in the tree.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use ghtrader_core::Digest;
use ghtrader_tests::{artefacts, root};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by the crates of this workspace that they may import; see ARCHITECTURE.md.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("host/core", &[]),
    ("host/stats", &[]),
    ("host/page", &[]),
    ("host/compare", &["ghtrader-core", "ghtrader-stats", "ghtrader-page"]),
    ("host/settings", &["ghtrader-core"]),
    ("host/store", &["ghtrader-core"]),
    ("host/market", &["ghtrader-core", "ghtrader-durable"]),
    ("host/exchange", &["ghtrader-core"]),
    ("host/plugin", &["ghtrader-core", "ghtrader-durable", "ghtrader-kernels"]),
    ("host/model", &["ghtrader-core"]),
    (
        "host/pipeline",
        &[
            "ghtrader-core",
            "ghtrader-settings",
            "ghtrader-durable",
            "ghtrader-store",
            "ghtrader-market",
            "ghtrader-plugin",
            "ghtrader-kernels",
            "ghtrader-stats",
            "ghtrader-page",
        ],
    ),
    ("host/durable", &["ghtrader-core"]),
    ("host/runtime", &["ghtrader-core", "ghtrader-plugin", "ghtrader-model", "ghtrader-kernels"]),
    (
        "host/backtest",
        &[
            "ghtrader-core",
            "ghtrader-stats",
            "ghtrader-page",
            "ghtrader-settings",
            "ghtrader-store",
            "ghtrader-exchange",
            "ghtrader-runtime",
            "ghtrader-plugin",
            "ghtrader-kernels",
        ],
    ),
    (
        "host/batch",
        &[
            "ghtrader-core",
            "ghtrader-durable",
            "ghtrader-settings",
            "ghtrader-stats",
            "ghtrader-store",
            "ghtrader-plugin",
            "ghtrader-model",
            "ghtrader-pipeline",
            "ghtrader-runtime",
            "ghtrader-backtest",
        ],
    ),
    (
        "host/trading",
        &[
            "ghtrader-core",
            "ghtrader-durable",
            "ghtrader-store",
            "ghtrader-market",
            "ghtrader-exchange",
            "ghtrader-plugin",
            "ghtrader-kernels",
            "ghtrader-model",
            "ghtrader-runtime",
            "ghtrader-backtest",
        ],
    ),
    (
        "host/control",
        &[
            "ghtrader-batch",
            "ghtrader-core",
            "ghtrader-durable",
            "ghtrader-settings",
            "ghtrader-plugin",
            "ghtrader-pipeline",
            "ghtrader-trading",
        ],
    ),
    ("host/sim", &["ghtrader-core", "ghtrader-market", "ghtrader-exchange", "ghtrader-pipeline"]),
    ("host/train", &["ghtrader-core", "ghtrader-store", "ghtrader-model", "ghtrader-stats"]),
    ("sdk/kernels", &[]),
    ("sdk/plugin", &["ghtrader-kernels"]),
    ("sdk/testkit", &["ghtrader-core", "ghtrader-plugin", "ghtrader-sdk", "ghtrader-kernels"]),
    ("host/toolchain", &[]),
    ("infra/xtask", &["ghtrader-toolchain"]),
];

/// Heavy dependencies, by the beginning of their names, and the one room that may have them; what keeps connections
/// stands in the rooms that do.
const OWNED: &[(&str, &str)] = &[
    ("wasmtime", "host/plugin"),
    ("wit-component", "host/plugin"),
    ("parquet", "host/store"),
    ("arrow", "host/store"),
    ("linfa", "host/train"),
    ("clap", "host/cli"),
    ("axum", "host/control"),
    ("questdb-rs", "host/store"),
    ("axum", "host/sim"),
    ("tokio", "host/control"),
    ("tokio", "host/sim"),
    ("yawc", "host/sim"),
    ("tokio", "host/market"),
    ("yawc", "host/market"),
    ("ed25519-dalek", "host/plugin"),
    ("rtrb", "host/trading"),
];

fn manifest(dir: &Path) -> toml::Table {
    let path = dir.join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Names in `[dependencies]`, target tables included; development dependencies are a test's own business.
fn dependencies(dir: &Path) -> BTreeSet<String> {
    let table = manifest(dir);
    let names = |t: Option<&toml::Value>| -> Vec<String> {
        t.and_then(|t| t.as_table()).map(|t| t.keys().cloned().collect()).unwrap_or_default()
    };
    let mut all: BTreeSet<String> = names(table.get("dependencies")).into_iter().collect();
    for target in table.get("target").and_then(|t| t.as_table()).into_iter().flat_map(|t| t.values()) {
        all.extend(names(target.get("dependencies")));
    }
    all
}

fn rooms() -> Vec<(String, PathBuf)> {
    let mut rooms = Vec::new();
    for group in ["host", "sdk", "infra"] {
        for entry in fs::read_dir(root().join(group)).expect("a group of rooms").flatten() {
            if entry.path().join("Cargo.toml").is_file() {
                rooms.push((format!("{group}/{}", entry.file_name().to_string_lossy()), entry.path()));
            }
        }
    }
    rooms.sort();
    rooms
}

/// Every file of the tree that is written by hand.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                if !["target", ".git", "demo", "data", "runs", "artifacts"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if name != "Cargo.lock" {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn every_room_imports_only_what_lies_upstream() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    for (room, dir) in rooms() {
        let Some(may) = allowed.get(room.as_str()) else { continue };
        for name in dependencies(&dir).iter().filter(|n| n.starts_with("ghtrader-")) {
            assert!(may.contains(&name.as_str()), "{room} imports {name}, which lies downstream of it");
        }
    }
    for (room, _) in MAY_IMPORT {
        assert!(root().join(room).is_dir(), "{room} is named in the rules and is not there");
    }
}

#[test]
fn a_heavy_dependency_has_one_room() {
    for (room, dir) in rooms() {
        for name in dependencies(&dir) {
            let owners: Vec<&str> = OWNED.iter().filter(|o| name.starts_with(o.0)).map(|o| o.1).collect();
            assert!(owners.is_empty() || owners.contains(&room.as_str()), "{room} depends on {name}");
        }
    }
}

#[test]
fn crates_are_named_after_their_folders() {
    for (room, dir) in rooms().into_iter().filter(|(room, _)| room.starts_with("host/")) {
        let name = manifest(&dir)["package"]["name"].as_str().expect("a name").to_owned();
        assert_eq!(name, format!("ghtrader-{}", room.trim_start_matches("host/")), "{room}");
    }
}

/// Invariant 1: pure rooms do no I/O, read no clock, and show no order of a hashed map.
#[test]
fn pure_rooms_are_pure() {
    const BANNED: &[&str] =
        &["std::fs", "std::net", "SystemTime", "Instant::now", "HashMap", "HashSet", "std::env::var", "std::process"];
    for room in ["host/core", "host/stats", "host/compare", "host/page", "host/exchange", "host/runtime", "sdk/kernels"]
    {
        let source = root().join(room).join("src");
        for file in sources().iter().filter(|f| f.starts_with(&source) && f.extension().is_some_and(|e| e == "rs")) {
            let text = fs::read_to_string(file).expect("a source file");
            // What stands behind the test module is a test's own business; so are files that hold tests alone.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            if file.file_stem().is_some_and(|s| s.to_string_lossy().ends_with("tests"))
                || shown(file).contains("/tests/")
            {
                continue;
            }
            for word in BANNED {
                assert!(!code.contains(word), "{} uses {word}", shown(file));
            }
        }
    }
}

/// Invariant 2: engines are built in one room.
#[test]
fn engines_are_built_in_one_room() {
    for (room, dir) in rooms().into_iter().filter(|(room, _)| room != "host/plugin") {
        for file in sources().iter().filter(|f| f.starts_with(dir.join("src"))) {
            let text = fs::read_to_string(file).unwrap_or_default();
            assert!(!text.contains("wasmtime::"), "{room}: {} names wasmtime", shown(file));
        }
    }
}

/// Invariant 3: the contract gives a plugin one import.
#[test]
fn a_plugin_imports_the_log_and_nothing_else() {
    let wit = fs::read_to_string(root().join("wit/v0.1.0/plugin.wit")).expect("the contract");
    let imports: BTreeSet<&str> = wit.lines().map(str::trim).filter(|l| l.starts_with("import ")).collect();
    assert_eq!(imports, BTreeSet::from(["import log;"]));
}

/// C-49: a released contract never changes, not by a comment.
#[test]
fn released_contracts_are_as_they_were_released() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let said: BTreeMap<String, String> = toml::from_str(&read("wit/released.toml")).expect("a digest a version");
    let folders = fs::read_dir(root().join("wit")).expect("the contracts").flatten();
    let released: BTreeMap<String, String> = folders
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with('v'))
        .map(|name| (name.clone(), Digest::of(read(&format!("wit/{name}/plugin.wit")).as_bytes()).to_string()))
        .collect();
    assert_eq!(said, released, "a released contract has changed: make a new version instead");
}

/// Invariant 6: equal sources give equal artefacts, wherever the checkout lies.
#[test]
fn an_artefact_names_no_place() {
    let place = root().display().to_string();
    for entry in fs::read_dir(artefacts()).expect("the packed plugins").flatten() {
        let bytes = fs::read(entry.path()).expect("an artefact");
        let named = bytes.windows(place.len()).any(|w| w == place.as_bytes());
        assert!(!named, "{} names the checkout's place", entry.path().display());
    }
}

/// Invariant 10: the project speaks only of itself.
#[test]
fn no_machine_and_no_registry_is_named() {
    let banned: Vec<String> = [
        ["/wor", "k/"],
        ["/ro", "ot/"],
        ["/ho", "me/"],
        ["/tm", "p/"],
        ["index.crat", "es.io"],
        ["static.crat", "es.io"],
        ["pypi", ".org"],
        ["pythonhost", "ed.org"],
        ["registry.np", "mjs"],
        ["deb.deb", "ian.org"],
        ["proxy.gol", "ang.org"],
    ]
    .iter()
    .map(|parts| parts.concat())
    .collect();
    for file in sources() {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            for word in &banned {
                assert!(!line.contains(word.as_str()), "{}:{} names {word}", shown(&file), number + 1);
            }
        }
    }
}

#[test]
fn nothing_is_stubbed_or_silenced_without_a_reason() {
    let stubs = [["todo", "!("].concat(), ["unimplemented", "!("].concat(), ["#[ign", "ore"].concat()];
    for file in sources().iter().filter(|f| f.extension().is_some_and(|e| e == "rs")) {
        let text = fs::read_to_string(file).unwrap_or_default();
        for stub in &stubs {
            assert!(!text.contains(stub.as_str()), "{} holds {stub}", shown(file));
        }
        for line in
            text.lines().filter(|l| l.trim_start().starts_with("#[allow(") || l.trim_start().starts_with("#![allow("))
        {
            assert!(line.contains("reason"), "{} silences a lint without a reason: {line}", shown(file));
        }
        assert!(text.lines().count() <= 800, "{} is longer than 800 lines: is it one thing?", shown(file));
    }
}

#[test]
fn no_room_is_a_drawer_for_everything() {
    for file in sources() {
        let shown = shown(&file);
        let drawer = shown.split('/').any(|part| {
            matches!(part.trim_end_matches(".rs"), "util" | "utils" | "common" | "helper" | "helpers" | "misc")
        });
        assert!(!drawer, "{shown}");
    }
}

/// PRD.md says what the product does; a test that claims to prove a capability must name one that is there.
#[test]
fn tests_name_capabilities_that_exist() {
    let prd = fs::read_to_string(root().join("PRD.md")).expect("PRD.md");
    let known: BTreeSet<&str> =
        prd.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).filter(|w| is_id(w)).collect();
    assert!(known.len() > 50, "PRD.md lists {} capabilities", known.len());
    for file in sources().iter().filter(|f| f.extension().is_some_and(|e| e == "rs")) {
        let text = fs::read_to_string(file).unwrap_or_default();
        for line in text.lines().map(str::trim).filter(|l| l.starts_with("///") || l.starts_with("//!")) {
            for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).filter(|w| is_id(w)) {
                assert!(known.contains(word), "{} names {word}, which PRD.md does not have", shown(file));
            }
        }
    }
}

fn is_id(word: &str) -> bool {
    let (letter, number) = word.split_once('-').unwrap_or_default();
    matches!(letter, "D" | "F" | "M" | "B" | "T" | "C" | "W" | "P")
        && number.len() == 2
        && number.bytes().all(|c| c.is_ascii_digit())
}
