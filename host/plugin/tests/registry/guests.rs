//! A registry of its own for each test, and artefacts to fill it with.

use crate::guest::{Guest, manifest};
use ghtrader_core::{Digest, ErrorClass, Problem, TickTable};
use ghtrader_plugin::{
    Fixture, HostConfig, Instrument, PluginHost, PublicKey, PushError, Pushed, Registry, RegistryConfig, RegistryError,
    SignaturePolicy,
};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) const NOW_NS: i64 = 1_750_000_000_000_000_000;

/// A registry in a folder that goes with it.
pub(crate) struct Place {
    pub dir: TempDir,
    pub registry: Registry,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let registry = open(dir.path(), SignaturePolicy::Off, &[]);
        Self { dir, registry }
    }

    /// The same folder, opened once more, as another process would.
    pub(crate) fn again(&self) -> Registry {
        open(self.dir.path(), SignaturePolicy::Off, &[])
    }

    pub(crate) fn push(&self, artefact: &[u8]) -> Pushed {
        push(&self.registry, artefact).unwrap()
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.dir.path().join(format!("blobs/{digest}.wasm"))
    }

    pub(crate) fn record(&self, digest: &Digest) -> PathBuf {
        self.dir.path().join(format!("records/{digest}.json"))
    }

    pub(crate) fn version(&self, name: &str, version: &str) -> PathBuf {
        self.dir.path().join(format!("versions/feature/{name}/{version}.json"))
    }

    /// Every file but the lock, by its path in the folder, in order.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        walk(self.dir.path(), &mut files);
        let mut files: Vec<String> =
            files.iter().map(|f| f.strip_prefix(self.dir.path()).unwrap().display().to_string()).collect();
        files.retain(|f| f != "lock");
        files.sort();
        files
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() { walk(&entry.path(), files) } else { files.push(entry.path()) }
    }
}

pub(crate) fn open(root: &Path, signature: SignaturePolicy, trusted_keys: &[PublicKey]) -> Registry {
    let host = PluginHost::new(HostConfig::default()).unwrap();
    let config = RegistryConfig { root: root.to_owned(), signature, trusted_keys: trusted_keys.to_vec() };
    Registry::open(config, host).unwrap()
}

pub(crate) fn push(registry: &Registry, artefact: &[u8]) -> Result<Pushed, PushError> {
    registry.push(artefact, None, &fixture(), "ann", NOW_NS)
}

/// A feature that returns its input; another description makes other bytes of the same version.
pub(crate) fn artefact(name: &str, version: &str, description: &str) -> Vec<u8> {
    let manifest = manifest("feature", "0.1.0")
        .replace("\"echo\"\nrole", &format!("\"{name}\"\nrole"))
        .replace("version = \"0.1.0\"", &format!("version = \"{version}\""))
        .replace("Written by hand.", description);
    Guest::default().with_manifest(&manifest).unwrap()
}

/// The feature that most tests push.
pub(crate) fn echo() -> Vec<u8> {
    artefact("echo", "0.1.0", "Returns its input.")
}

pub(crate) fn fixture() -> Fixture {
    let mut ticks = TickTable::with_capacity(64);
    for row in 0..64u32 {
        ticks.ts_ns.push(NOW_NS + i64::from(row) * 500_000_000);
        ticks.seq.push(row);
        ticks.phase.push(0);
        for column in &mut ticks.floats {
            column.push(f64::from(70_000 + 10 * (row % 7)));
        }
    }
    let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    Fixture { instrument, ticks, borders: Vec::new() }
}

/// The error has this code and class, says something of `what`, and what to do.
#[track_caller]
pub(crate) fn check(error: impl Into<Problem>, code: &str, class: ErrorClass, what: &str) -> Problem {
    let problem = error.into();
    assert_eq!((problem.code, problem.class), (code, class), "{problem}");
    assert!(problem.what.contains(what) && !problem.remedy.is_empty(), "`{what}` in {problem}");
    problem
}

/// Nothing of that artefact can be seen or had.
#[track_caller]
pub(crate) fn check_invisible(registry: &Registry, digest: &Digest) {
    assert_eq!(registry.list(&ghtrader_plugin::Filter::default()).unwrap(), []);
    let unknown = |error: RegistryError| assert_eq!(error.code(), "unknown_plugin", "{error}");
    unknown(registry.resolve("echo@0.1.0", None).unwrap_err());
    unknown(registry.resolve(&digest.to_string(), None).unwrap_err());
    unknown(registry.load(digest).unwrap_err());
    unknown(registry.artifact(digest).unwrap_err());
    unknown(registry.record(digest).unwrap_err());
}

/// The artefact is there, whole, and runs.
#[track_caller]
pub(crate) fn check_usable(registry: &Registry, reference: &str, artefact: &[u8]) {
    let digest = Digest::of(artefact);
    assert_eq!(registry.resolve(reference, None).unwrap().digest, digest);
    assert_eq!(registry.artifact(&digest).unwrap(), artefact);
    assert_eq!(registry.load(&digest).unwrap().digest(), digest);
    assert_eq!(registry.record(&digest).unwrap().state, ghtrader_plugin::ArtefactState::Admitted);
}
