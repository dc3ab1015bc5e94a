//! Rows that no manifest row names. A table has no DELETE, so they are counted and stay; what this machine keeps of them
//! goes.

use super::QuestDbStore;
use super::tables::{Kind, int, text};
use crate::gc::{file_item, orphan_caches};
use crate::{Garbage, GarbageItem, GarbageKind, Store as _, StoreError};
use ghtrader_core::Digest;
use std::collections::BTreeSet;
use std::path::PathBuf;

pub(super) fn garbage(store: &QuestDbStore) -> Result<Garbage, StoreError> {
    survey(store).map(|(garbage, _)| garbage)
}

/// Removes copies of rows that are gone.
pub(super) fn collect(store: &QuestDbStore) -> Result<Garbage, StoreError> {
    let (garbage, caches) = survey(store)?;
    for path in caches {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(StoreError::write(&path, &e)),
            _ => {}
        }
    }
    crate::cache::sweep(&store.cache_root)?;
    Ok(garbage)
}

fn survey(store: &QuestDbStore) -> Result<(Garbage, Vec<PathBuf>), StoreError> {
    // Rows of this process whose manifest cannot be read yet are none of it.
    store.flush()?;
    let mut items = Vec::new();
    let mut digests: BTreeSet<Digest> = BTreeSet::new();
    for (manifests, tables) in
        [(Kind::Manifest, &[Kind::Ticks, Kind::MainL5][..]), (Kind::ColumnsManifest, &[Kind::Columns])]
    {
        let table = store.table(manifests);
        let query = format!("SELECT symbol, build, sha256 FROM {table} WHERE state = 'stored'");
        let mut named = BTreeSet::new();
        for row in store.server.sql(&query)? {
            named.insert((text(&row, 0).to_owned(), text(&row, 1).to_owned()));
            digests.extend(text(&row, 2).parse::<Digest>());
        }
        for kind in tables {
            let table = store.table(*kind);
            for row in store.server.sql(&format!("SELECT symbol, build, count() FROM {table}"))? {
                let (symbol, build) = (text(&row, 0).to_owned(), text(&row, 1).to_owned());
                let what = format!("{table} {symbol} {build}");
                if !named.contains(&(symbol, build)) {
                    let rows = Some(int(&row, 2).max(0).unsigned_abs());
                    items.push(GarbageItem { kind: GarbageKind::ServerRows, what, bytes: 0, rows });
                }
            }
        }
    }
    items.sort_by(|a, b| a.what.cmp(&b.what));
    let caches = orphan_caches(&store.cache_root, &digests)?;
    items.extend(caches.iter().map(|path| file_item(GarbageKind::Cache, &store.cache_root, path)));
    Ok((Garbage { items }, caches))
}
