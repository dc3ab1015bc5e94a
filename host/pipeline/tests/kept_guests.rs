//! Guests that were compiled once against each version of the contract, and never again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ghtrader_core::{Calendar, Digest};
use ghtrader_pipeline::standard_fixture;
use ghtrader_plugin::{HostConfig, PluginHost, SUPPORTED_CONTRACTS, Splits};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    artefact_sha256: Digest,
    outputs_sha256: Digest,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests")
}

/// `0.1.0/maker.wasm` and the like.
fn files() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for version in std::fs::read_dir(folder()).unwrap().flatten().filter(|e| e.path().is_dir()) {
        for file in std::fs::read_dir(version.path()).unwrap().flatten() {
            found.insert(format!("{}/{}", version.file_name().display(), file.file_name().display()));
        }
    }
    found
}

/// C-49: each loads beside the others and gives what it gave when it was made.
#[test]
fn kept_guests_give_equal_outputs() {
    let text = std::fs::read_to_string(folder().join("digests.toml")).unwrap();
    let digests: BTreeMap<String, Kept> = toml::from_str(&text).unwrap();
    assert_eq!(digests.keys().cloned().collect::<BTreeSet<_>>(), files());
    let (host, fixture) = (PluginHost::new(HostConfig::default()).unwrap(), standard_fixture(Calendar::builtin()));
    let (mut loaded, mut changed) = (Vec::new(), Vec::new());
    for (file, kept) in &digests {
        let bytes = std::fs::read(folder().join(file)).unwrap();
        assert_eq!(Digest::of(&bytes), kept.artefact_sha256, "{file} is not the one that was kept");
        let plugin = host.load(&bytes).unwrap_or_else(|f| panic!("{file}: {f:#?}"));
        assert_eq!(file.split('/').next(), Some(plugin.manifest().plugin.contract.as_str()));
        for splits in [Splits::Whole, Splits::Single, Splits::Random(1)] {
            let trace = plugin.trace(&fixture, splits).unwrap_or_else(|f| panic!("{file}: {f}"));
            assert!(trace.count() > 100, "{file} does nothing");
            if trace.digest() != kept.outputs_sha256 {
                changed.push(format!("{file} in {splits}: {}", trace.digest()));
            }
        }
        loaded.push(plugin);
    }
    assert!(changed.is_empty(), "other outputs than kept: {changed:#?}");
    let versions: BTreeSet<&str> = loaded.iter().map(|p| p.manifest().plugin.contract.as_str()).collect();
    assert_eq!(versions, SUPPORTED_CONTRACTS.into_iter().collect(), "a version that the host speaks has no kept guest");
}
