//! Is everything that the manifests promise there, and is it what was written?

use crate::cache;
use crate::embedded::EmbeddedStore;
use crate::manifest::unseal;
use crate::place::{Described, Place};
use crate::publish::{create_dirs, list_dir, read_if_there, sync_dir};
use crate::{ColumnKind, ColumnsManifest, Dataset, Manifest, Schedule, StoreError};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// One file that was not what its manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadFile {
    /// Dataset, symbol and day, or the file's name where that is not known.
    pub what: String,
    /// `day_corrupt` or `manifest_corrupt`.
    pub code: &'static str,
    /// What was found.
    pub why: String,
    /// The file, relative to the store's root.
    pub path: PathBuf,
    /// Where it and what belongs to it lie now, relative to the store's root.
    pub quarantined: Vec<PathBuf>,
}

/// What [`crate::Store::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Symbol-days that were checked.
    pub days: u64,
    /// Rows in those that are whole.
    pub rows: u64,
    /// Bytes that were hashed; 0 if not deep.
    pub hashed_bytes: u64,
    /// Cache files that were not what their truth says, removed.
    pub dropped_caches: u64,
    /// Files that no manifest names, left by killed writers, moved to the quarantine (relative to the store's root).
    pub orphans: Vec<PathBuf>,
    /// Everything that is bad.
    pub bad: Vec<BadFile>,
}

impl VerifyReport {
    /// Nothing bad was found.
    pub fn is_ok(&self) -> bool {
        self.bad.is_empty()
    }
}

struct Verifier<'a> {
    store: &'a EmbeddedStore,
    deep: bool,
    report: VerifyReport,
    named: BTreeSet<PathBuf>,
}

pub(crate) fn verify(store: &EmbeddedStore, deep: bool) -> Result<VerifyReport, StoreError> {
    store.lock_writer()?;
    let mut v = Verifier { store, deep, report: VerifyReport::default(), named: BTreeSet::new() };
    for dataset in Dataset::ALL {
        for symbol_dir in list_dir(&store.manifest_dir(dataset.as_str()))? {
            v.manifests::<Manifest>(&symbol_dir, |m| store.day_place(m.dataset, &m.symbol, m.trading_day))?;
        }
    }
    for kind in ColumnKind::ALL {
        for set in list_dir(&store.manifest_dir(kind.as_str()))? {
            for key in list_dir(&set)? {
                for symbol_dir in list_dir(&key)? {
                    v.manifests::<ColumnsManifest>(&symbol_dir, |m| store.columns_place(&m.key))?;
                }
            }
        }
    }
    for path in list_dir(&store.root().join("schedule"))? {
        v.json::<Schedule>(&path)?;
    }
    for collection in list_dir(&store.root().join("record"))? {
        for path in list_dir(&collection)? {
            v.json::<serde_json::Value>(&path)?;
        }
    }
    v.orphans(&store.root().join("lake"))?;
    cache::sweep(store.root())?;
    Ok(v.report)
}

/// Moves files of a store out of the readers' sight, keeping their place in the name; gives where they lie now, relative to
/// the root.
pub(crate) fn quarantine(root: &Path, paths: &[PathBuf]) -> Result<Vec<PathBuf>, StoreError> {
    let dir = root.join("quarantine");
    create_dirs(&dir)?;
    let mut moved = Vec::new();
    for path in paths.iter().filter(|p| p.exists()) {
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace(['/', '\\'], "__");
        let target = dir.join(name);
        fs::rename(path, &target).map_err(|e| StoreError::write(&target, &e))?;
        moved.push(target.strip_prefix(root).unwrap_or(&target).to_owned());
    }
    sync_dir(&dir)?;
    Ok(moved)
}

impl Verifier<'_> {
    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.store.root()).unwrap_or(path).to_owned()
    }

    fn bad(&mut self, what: String, error: &StoreError, path: &Path, files: &[PathBuf]) -> Result<(), StoreError> {
        let quarantined = quarantine(self.store.root(), files)?;
        let path = self.relative(path);
        self.report.bad.push(BadFile { what, code: error.code(), why: error.to_string(), path, quarantined });
        Ok(())
    }

    /// All manifests of one symbol.
    fn manifests<M: Described>(
        &mut self,
        symbol_dir: &Path,
        place_of: impl Fn(&M) -> Result<Place, StoreError>,
    ) -> Result<(), StoreError> {
        for path in list_dir(symbol_dir)? {
            self.report.days += 1;
            let Some(bytes) = read_if_there(&path)? else { continue };
            let manifest = unseal::<M>(&path, &bytes);
            let placed = manifest.and_then(|m| {
                let place = place_of(&m)?;
                let why = format!("it says {}, which lies elsewhere", m.what());
                if place.manifest == path {
                    Ok((m, place))
                } else {
                    Err(StoreError::ManifestCorrupt { path: path.clone(), why })
                }
            });
            match placed {
                Ok((manifest, place)) => self.day(&manifest, &place)?,
                Err(e) => {
                    // Its data becomes an orphan and goes to the quarantine with it: whole, but no one can say whose.
                    let what = self.relative(&path).with_extension("").to_string_lossy().into_owned();
                    self.bad(what, &e, &path, std::slice::from_ref(&path))?;
                }
            }
        }
        Ok(())
    }

    fn day<M: Described>(&mut self, manifest: &M, place: &Place) -> Result<(), StoreError> {
        let file = place.file(manifest);
        self.named.insert(file.clone());
        let cached = cache::path_of(self.store.root(), manifest.sha256());
        let found = if self.deep {
            self.store.load_truth(place, manifest).map(Some)
        } else {
            looks_like_parquet(&file, manifest).map(|()| None)
        };
        match found {
            Ok(frame) => {
                self.report.rows += manifest.rows() as u64;
                self.report.hashed_bytes += if self.deep { fs::metadata(&file).map_or(0, |m| m.len()) } else { 0 };
                self.report.dropped_caches += u64::from(self.store.cache.check(manifest, frame.as_ref())?);
                Ok(())
            }
            Err(e @ StoreError::DayCorrupt { .. }) => {
                self.bad(manifest.what(), &e, &file, &[file.clone(), place.manifest.clone(), cached])
            }
            Err(e) => Err(e),
        }
    }

    fn json<T: Serialize + serde::de::DeserializeOwned>(&mut self, path: &Path) -> Result<(), StoreError> {
        let Some(bytes) = read_if_there(path)? else { return Ok(()) };
        match unseal::<T>(path, &bytes) {
            Ok(_) => Ok(()),
            Err(e) => {
                let what = self.relative(path).with_extension("").to_string_lossy().into_owned();
                self.bad(what, &e, path, &[path.to_owned()])
            }
        }
    }

    fn orphans(&mut self, dir: &Path) -> Result<(), StoreError> {
        for path in list_dir(dir)? {
            if path.is_dir() {
                self.orphans(&path)?;
            } else if !self.named.contains(&path) {
                quarantine(self.store.root(), std::slice::from_ref(&path))?;
                let path = self.relative(&path);
                self.report.orphans.push(path);
            }
        }
        Ok(())
    }
}

/// The check that costs nothing: the file is there and begins and ends as a Parquet file does.
fn looks_like_parquet<M: Described>(path: &Path, manifest: &M) -> Result<(), StoreError> {
    let corrupt = |why: String| StoreError::DayCorrupt { what: manifest.what(), path: path.to_owned(), why };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(corrupt("it is missing".into())),
        Err(e) => return Err(StoreError::read(path, &e)),
    };
    let mut magic = [[0u8; 4]; 2];
    let read = file
        .read_exact(&mut magic[0])
        .and_then(|()| file.seek(SeekFrom::End(-4)))
        .and_then(|_| file.read_exact(&mut magic[1]));
    if read.is_err() || magic != [*b"PAR1"; 2] {
        return Err(corrupt("it does not begin and end as a Parquet file".into()));
    }
    Ok(())
}
