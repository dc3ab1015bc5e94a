//! What nothing needs any more: earlier versions of days, what killed writers left, columns and copies of rows that are
//! gone. Nothing that a manifest of stored rows names is ever part of it, and no file of ticks that could be the only one.

use crate::cache;
use crate::embedded::EmbeddedStore;
use crate::manifest::unseal;
use crate::place::Place;
use crate::publish::{list_dir, read_if_there, sync_dir};
use crate::verify::quarantine;
use crate::{ColumnKind, ColumnsManifest, Dataset, Manifest, Store as _, StoreError};
use ghtrader_core::{Digest, TradingDay};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Folder of replaced symbol-days under a store's root.
pub(crate) const SUPERSEDED: &str = "superseded";

/// Why something is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GarbageKind {
    /// An earlier version of a symbol-day, kept when another took its place.
    Superseded,
    /// A data file that no manifest names, of rows that can be made again: its writer was killed.
    Unnamed,
    /// The same of ticks. It goes to the quarantine: if its manifest was lost, it is the only copy.
    UnnamedTicks,
    /// Built columns of rows that are stored otherwise now, or no longer.
    StaleColumns,
    /// A mapped copy of rows that no manifest names.
    Cache,
    /// Rows in a server's table that no manifest row names.
    ServerRows,
}

impl GarbageKind {
    /// A server's tables have no DELETE: such rows are counted, and stay.
    pub const fn stays(self) -> bool {
        matches!(self, Self::ServerRows)
    }

    /// It is put where `verify` puts what it takes out, and never removed from there.
    pub const fn is_set_aside(self) -> bool {
        matches!(self, Self::UnnamedTicks)
    }
}

/// One thing that is of no use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GarbageItem {
    /// Why.
    pub kind: GarbageKind,
    /// The file, relative to the store's root; of a server the table, symbol and build.
    pub what: String,
    /// Its length, bytes; 0 where a server does not tell.
    pub bytes: u64,
    /// Its rows, where they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// The sums of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GarbageTotal {
    /// The kind.
    pub kind: GarbageKind,
    /// Files; of a server builds.
    pub items: u64,
    /// Bytes.
    pub bytes: u64,
    /// Rows, where they are counted.
    pub rows: u64,
    /// It is counted only, and not removed.
    pub stays: bool,
    /// It is moved to the quarantine, and not removed.
    pub set_aside: bool,
}

/// Everything of a store that is of no use, by kind and name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Garbage {
    /// The things.
    pub items: Vec<GarbageItem>,
}

impl Garbage {
    /// The sums, a row a kind.
    pub fn totals(&self) -> Vec<GarbageTotal> {
        let mut totals: BTreeMap<GarbageKind, GarbageTotal> = BTreeMap::new();
        for item in &self.items {
            let kind = item.kind;
            let (stays, set_aside) = (kind.stays(), kind.is_set_aside());
            let none = GarbageTotal { kind, items: 0, bytes: 0, rows: 0, stays, set_aside };
            let total = totals.entry(kind).or_insert(none);
            total.items += 1;
            total.bytes += item.bytes;
            total.rows += item.rows.unwrap_or(0);
        }
        totals.into_values().collect()
    }
}

/// A thing with its files in the order in which they go.
struct Found {
    item: GarbageItem,
    files: Vec<PathBuf>,
}

/// What the manifests of a store name.
#[derive(Default)]
struct Named {
    files: BTreeSet<PathBuf>,
    digests: BTreeSet<Digest>,
    stale: Vec<(PathBuf, PathBuf)>,
}

/// Looks; removes nothing.
pub(crate) fn garbage(store: &EmbeddedStore) -> Result<Garbage, StoreError> {
    Ok(Garbage { items: survey(store)?.into_iter().map(|found| found.item).collect() })
}

/// Looks again as the only writer, and removes what is found; files of ticks are set aside. A manifest goes before its file, so a process that is killed
/// on the way leaves less of the same.
pub(crate) fn collect(store: &EmbeddedStore) -> Result<Garbage, StoreError> {
    store.lock_writer()?;
    let found = survey(store)?;
    let mut folders = BTreeSet::new();
    for found in &found {
        if found.item.kind.is_set_aside() {
            quarantine(store.root(), &found.files)?;
        }
        for path in &found.files {
            remove(path)?;
            folders.extend(path.parent().map(Path::to_owned));
        }
    }
    for folder in folders {
        sweep_empty(&folder, store.root())?;
    }
    cache::sweep(store.root())?;
    Ok(Garbage { items: found.into_iter().map(|f| f.item).collect() })
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(StoreError::write(path, &e)),
        _ => Ok(()),
    }
}

/// Removes a folder and those above it as far as they are empty; the first that is not is made to survive a crash.
fn sweep_empty(folder: &Path, root: &Path) -> Result<(), StoreError> {
    let mut at = folder;
    while at != root && fs::remove_dir(at).is_ok() {
        match at.parent() {
            Some(parent) => at = parent,
            None => return Ok(()),
        }
    }
    if at.exists() { sync_dir(at) } else { Ok(()) }
}

fn survey(store: &EmbeddedStore) -> Result<Vec<Found>, StoreError> {
    let root = store.root();
    let named = named(store)?;
    let mut found = Vec::new();
    let mut add = |kind: GarbageKind, path: &Path, before: Option<&PathBuf>| {
        let files = before.cloned().into_iter().chain([path.to_owned()]).collect();
        found.push(Found { item: file_item(kind, root, path), files });
    };
    for path in files_below(&root.join(SUPERSEDED))? {
        add(GarbageKind::Superseded, &path, None);
    }
    let stale: BTreeSet<&PathBuf> = named.stale.iter().map(|(_, file)| file).collect();
    let ticks = root.join("lake").join(Dataset::Ticks.as_str());
    for path in files_below(&root.join("lake"))? {
        if !named.files.contains(&path) && !stale.contains(&path) {
            let kind = if path.starts_with(&ticks) { GarbageKind::UnnamedTicks } else { GarbageKind::Unnamed };
            add(kind, &path, None);
        }
    }
    for (manifest, file) in &named.stale {
        add(GarbageKind::StaleColumns, file, Some(manifest));
    }
    for path in orphan_caches(root, &named.digests)? {
        add(GarbageKind::Cache, &path, None);
    }
    Ok(found)
}

/// Copies under a root whose rows none of these manifests names. An unfinished one is its writer's.
pub(crate) fn orphan_caches(root: &Path, named: &BTreeSet<Digest>) -> Result<Vec<PathBuf>, StoreError> {
    let digest = |path: &Path| path.file_stem()?.to_str()?.parse::<Digest>().ok();
    let orphan = |path: &PathBuf| {
        path.extension().is_some_and(|e| e == "arrow") && digest(path).is_none_or(|d| !named.contains(&d))
    };
    Ok(list_dir(&root.join("cache"))?.into_iter().filter(orphan).collect())
}

/// A file as an item.
pub(crate) fn file_item(kind: GarbageKind, root: &Path, path: &Path) -> GarbageItem {
    let what = path.strip_prefix(root).unwrap_or(path).display().to_string();
    let bytes = fs::metadata(path).map_or(0, |m| m.len());
    GarbageItem { kind, what, bytes, rows: None }
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = Vec::new();
    for path in list_dir(folder)? {
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// Reads every manifest. One that is damaged ends the search: nobody can say what it names.
fn named(store: &EmbeddedStore) -> Result<Named, StoreError> {
    let mut named = Named::default();
    for dataset in Dataset::ALL {
        for symbol in list_dir(&store.manifest_dir(dataset.as_str()))? {
            for path in list_dir(&symbol)? {
                let Some(bytes) = read_if_there(&path)? else { continue };
                let manifest: Manifest = unseal(&path, &bytes)?;
                let place = store.day_place(dataset, &manifest.symbol, manifest.trading_day)?;
                named.files.insert(place.file(&manifest));
                named.digests.insert(manifest.sha256);
            }
        }
    }
    for kind in ColumnKind::ALL {
        for path in files_below(&store.manifest_dir(kind.as_str()))? {
            let Some(bytes) = read_if_there(&path)? else { continue };
            let manifest: ColumnsManifest = unseal(&path, &bytes)?;
            let place: Place = store.columns_place(&manifest.key)?;
            let file = place.file(&manifest);
            if has_rows(store, &manifest)? {
                named.files.insert(file);
                named.digests.insert(manifest.sha256);
            } else {
                named.stale.push((path, file));
            }
        }
    }
    Ok(named)
}

/// The rows that columns belong to are stored, as far as their number and their times tell.
fn has_rows(store: &EmbeddedStore, columns: &ColumnsManifest) -> Result<bool, StoreError> {
    let (symbol, day): (&str, TradingDay) = (&columns.key.symbol, columns.key.trading_day);
    for dataset in Dataset::ALL {
        if store.manifest(dataset, symbol, day)?.is_some_and(|rows| columns.is_of(&rows)) {
            return Ok(true);
        }
    }
    Ok(false)
}
