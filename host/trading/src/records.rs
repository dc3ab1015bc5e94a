//! What a variety keeps on the disk: its state, its lineups, its operations. Each fact is one file, published whole.

use crate::protocol::{LineupRecord, OperationView, ResolvedLineup};
use ghtrader_core::{Digest, ErrorClass, Problem};
use ghtrader_durable::{is_full, publish, publish_once};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Operations kept for readers; older ones stay in the audit.
const KEPT_OPERATIONS: usize = 500;

/// What has to be known after a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Version of this form.
    pub(crate) version: u32,
    pub(crate) generation: u64,
    pub(crate) active: Digest,
    pub(crate) halted: bool,
    /// Lineups that were active, oldest first, by generation.
    pub(crate) history: Vec<LineupRecord>,
}

/// The folder of one variety.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    dir: PathBuf,
}

impl Records {
    pub(crate) fn new(runs_dir: &Path, account: &str, variety: &str) -> Self {
        Self { dir: runs_dir.join("trading").join(account).join(variety) }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The state, if the variety has one.
    pub(crate) fn load(&self) -> Result<Option<Stored>, Problem> {
        read(&self.dir.join("state.json"))
    }

    pub(crate) fn save(&self, state: &Stored) -> Result<(), Problem> {
        write(&self.dir.join("state.json"), state)
    }

    pub(crate) fn lineup(&self, id: &Digest) -> Result<Option<ResolvedLineup>, Problem> {
        read(&self.lineup_path(id))
    }

    /// Keeps a lineup under its digest; it never changes.
    pub(crate) fn keep_lineup(&self, lineup: &ResolvedLineup) -> Result<(), Problem> {
        let path = self.lineup_path(&lineup.id());
        // The name is no part of the digest: the first one stays.
        publish_once(&path, &json(lineup)?).map_err(|e| unwritable(&path, &e)).map(drop)
    }

    fn lineup_path(&self, id: &Digest) -> PathBuf {
        self.dir.join("lineups").join(format!("{id}.json"))
    }

    pub(crate) fn save_operation(&self, number: u64, operation: &OperationView) -> Result<(), Problem> {
        write(&self.operation_path(number), operation)
    }

    /// Every operation by its number, the oldest of too many left out and removed.
    pub(crate) fn operations(&self) -> Result<BTreeMap<u64, OperationView>, Problem> {
        let mut numbers: Vec<u64> = std::fs::read_dir(self.dir.join("operations"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|e| e.file_name().to_str()?.strip_suffix(".json")?.parse().ok())
            .collect();
        numbers.sort_unstable();
        let surplus = numbers.len().saturating_sub(KEPT_OPERATIONS);
        for number in numbers.drain(..surplus) {
            // One that stays is only read again.
            let _ = std::fs::remove_file(self.operation_path(number));
        }
        let mut operations = BTreeMap::new();
        for number in numbers {
            if let Some(operation) = read(&self.operation_path(number))? {
                operations.insert(number, operation);
            }
        }
        Ok(operations)
    }

    fn operation_path(&self, number: u64) -> PathBuf {
        self.dir.join("operations").join(format!("{number:08}.json"))
    }
}

/// Every artefact of every lineup that an account under this folder has kept: each may become active again.
///
/// # Errors
/// `state_damaged` for a lineup that cannot be read: what it needs cannot be told.
pub fn kept_artefacts(runs_dir: &Path) -> Result<BTreeSet<Digest>, Problem> {
    let folders = |dir: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect()
    };
    let mut kept = BTreeSet::new();
    for variety in folders(&runs_dir.join("trading")).iter().flat_map(|account| folders(account)) {
        for file in folders(&variety.join("lineups")).iter().filter(|f| f.extension().is_some_and(|e| e == "json")) {
            if let Some(lineup) = read::<ResolvedLineup>(file)? {
                kept.extend(lineup.features.iter().chain([&lineup.strategy]).map(|p| p.digest));
            }
        }
    }
    Ok(kept)
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, Problem> {
    let damaged = |what: String| {
        let what = format!("{} cannot be read: {what}", path.display());
        Problem::new("state_damaged", ErrorClass::Internal, what, "restore the file, or remove it to start anew")
    };
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| damaged(e.to_string())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(damaged(e.to_string())),
    }
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec_pretty(value)
        .map_err(|e| Problem::new("internal", ErrorClass::Internal, format!("a record is no JSON: {e}"), "report this"))
}

fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), Problem> {
    publish(path, &json(value)?).map_err(|e| unwritable(path, &e))
}

/// Why a file of this service cannot be written.
pub(crate) fn unwritable(path: &Path, error: &std::io::Error) -> Problem {
    let what = format!("cannot write {}: {error}", path.display());
    if is_full(error) {
        return Problem::new("disk_full", ErrorClass::Limit, what, "free some space and ask again");
    }
    Problem::new("unwritable", ErrorClass::Unavailable, what, "make the folder of runs writable and ask again")
}
