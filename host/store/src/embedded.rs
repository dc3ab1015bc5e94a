//! The store on a file system, without a server.

use crate::cache::{self, ReplayCache};
use crate::encode::{encode_columns, encode_day};
use crate::frame::Frame;
use crate::gc;
use crate::manifest::{seal, unseal};
use crate::parquet_file;
use crate::place::{Described, Keep, Place, Put};
use crate::publish::{WriterLock, check_free, check_name, create_dirs, list_dir, publish, read_if_there, sync_dir};
use crate::verify::{VerifyReport, verify};
use crate::{
    ColumnKind, ColumnsDay, ColumnsKey, ColumnsManifest, ColumnsOutcome, Dataset, DayMeta, Garbage, Manifest,
    NamedColumn, PutOutcome, Schedule, ScheduleOutcome, Store, StoreError, TickDay,
};
use ghtrader_core::{Digest, TickView, TradingDay, Variety};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How the store behaves; the default asks for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// Writes are refused while the file system has less free space than this, GiB; 0 = no bound.
    pub min_free_gib: u64,
    /// How much of a mapped cache is hashed when it is opened; Parquet files always are.
    pub hash_on_read: HashOnRead,
}

/// How much of a mapped cache is hashed when it is opened. Its metadata always is, and a cache that fails is built again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashOnRead {
    /// None of the values.
    Never,
    /// A sixteenth of the values, another one each time.
    #[default]
    Sample,
    /// All values.
    Always,
}

/// The store on a file system: see the crate's head for the layout.
///
/// Readers take no lock. The first write takes the writer's lock of the root and keeps it until the store is dropped or
/// [`EmbeddedStore::release_writer`] is called; threads of one store write side by side.
#[derive(Debug)]
pub struct EmbeddedStore {
    root: PathBuf,
    options: StoreOptions,
    writer: Mutex<Option<WriterLock>>,
    /// Folders with renames that a crash of the machine may still undo.
    renamed_in: Mutex<BTreeSet<PathBuf>>,
    pub(crate) cache: ReplayCache,
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        // Whoever needs to know calls `flush`; a rename that is lost leaves the old day, whole.
        let _ = self.flush();
    }
}

impl EmbeddedStore {
    /// Opens the store under a folder, creating the folder if need be.
    ///
    /// # Errors
    /// `store_unwritable` if there is no such folder and it cannot be created.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_with(root, StoreOptions::default())
    }

    /// Opens the store with options.
    ///
    /// # Errors
    /// As [`EmbeddedStore::open`].
    pub fn open_with(root: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        create_dirs(root)?;
        Ok(Self {
            root: root.to_owned(),
            options,
            writer: Mutex::new(None),
            renamed_in: Mutex::default(),
            cache: ReplayCache::new(root, options),
        })
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Flushes, and gives the right to write back before the store is dropped. No write may be under way.
    ///
    /// # Errors
    /// As [`Store::flush`]; the right is given back all the same.
    pub fn release_writer(&self) -> Result<(), StoreError> {
        let flushed = self.flush();
        *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = None;
        flushed
    }

    pub(crate) fn lock_writer(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_none() {
            *writer = Some(WriterLock::take(&self.root)?);
        }
        Ok(())
    }

    fn check_free(&self) -> Result<(), StoreError> {
        check_free(&self.root, self.options.min_free_gib)
    }

    pub(crate) fn manifest_dir(&self, dataset: &str) -> PathBuf {
        self.root.join("manifest").join(dataset)
    }

    pub(crate) fn day_place(&self, dataset: Dataset, symbol: &str, day: TradingDay) -> Result<Place, StoreError> {
        check_name(symbol)?;
        let below = Path::new(dataset.as_str()).join(format!("symbol={symbol}")).join(format!("trading_day={day}"));
        Ok(Place {
            dir: self.root.join("lake").join(&below),
            kept: (dataset == Dataset::Ticks).then(|| self.root.join(gc::SUPERSEDED).join(&below)),
            manifest: self.manifest_dir(dataset.as_str()).join(symbol).join(format!("{day}.json")),
        })
    }

    pub(crate) fn columns_place(&self, key: &ColumnsKey) -> Result<Place, StoreError> {
        let (set, symbol, day) = (check_name(&key.set)?, check_name(&key.symbol)?, key.trading_day);
        let digits = key.key.short16();
        let lake = self.root.join("lake").join(key.kind.as_str());
        let set_dir = lake.join(format!("set={set}")).join(format!("key=k{digits}"));
        Ok(Place {
            dir: set_dir.join(format!("symbol={symbol}")).join(format!("trading_day={day}")),
            kept: None,
            manifest: self
                .manifest_dir(key.kind.as_str())
                .join(set)
                .join(digits)
                .join(symbol)
                .join(format!("{day}.json")),
        })
    }

    pub(crate) fn read_manifest<M: Described>(&self, place: &Place) -> Result<Option<M>, StoreError> {
        read_if_there(&place.manifest)?.map(|bytes| unseal(&place.manifest, &bytes)).transpose()
    }

    fn publish(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        publish(&self.root.join("tmp"), path, bytes)?;
        let dirs = path.ancestors().skip(1).take_while(|dir| dir.starts_with(&self.root)).map(Path::to_owned);
        self.renamed_in.lock().unwrap_or_else(PoisonError::into_inner).extend(dirs);
        Ok(())
    }

    /// Data first, manifest last, then what the new manifest no longer names.
    fn put<M: Described>(&self, place: &Place, bytes: &[u8], new: M) -> Result<Put<M>, StoreError> {
        let file = place.dir.join(format!("{}.parquet", new.sha256()));
        // A damaged manifest counts as none: writing the day again is how it is mended.
        let old: Option<M> = match self.read_manifest(place) {
            Err(StoreError::ManifestCorrupt { .. }) => None,
            other => other?,
        };
        // Compared whole: a damaged file is mended by storing the day again.
        let file_there = fs::read(&file).is_ok_and(|stored| stored == bytes);
        if file_there && old.as_ref() == Some(&new) {
            // A writer killed between its file and its manifest leaves a file that no manifest names.
            let alone = list_dir(&place.dir)?.iter().all(|path| *path == file);
            if alone {
                return Ok(Put::Unchanged(new));
            }
        }
        self.lock_writer()?;
        self.check_free()?;
        if !file_there {
            self.publish(&file, bytes)?;
        }
        if let Err(e) = self.publish(&place.manifest, &seal(&place.manifest, &new)?) {
            // Readers of other makes glob the folder: data that no manifest names must not lie there.
            if !file_there && old.as_ref().is_none_or(|old| old.sha256() != new.sha256()) {
                let _ = fs::remove_file(&file);
            }
            return Err(e);
        }
        for path in list_dir(&place.dir)?.into_iter().filter(|p| *p != file) {
            self.retire(place, &path)?;
        }
        if let Some(old) = old.as_ref().filter(|old| old.sha256() != new.sha256()) {
            let cached = cache::path_of(&self.root, old.sha256());
            match fs::remove_file(&cached) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(StoreError::write(&cached, &e)),
                _ => {}
            }
        }
        Ok(Put::of(old.as_ref(), new))
    }

    /// Takes a file out of a day's folder. Ticks cannot be made again from anything here: their earlier versions stay under
    /// the same path in a folder of their own until somebody collects them.
    fn retire(&self, place: &Place, path: &Path) -> Result<(), StoreError> {
        let kept = place.kept.as_ref().zip(path.file_name());
        let Some((dir, name)) = kept else {
            return fs::remove_file(path).map_err(|e| StoreError::write(path, &e));
        };
        create_dirs(dir)?;
        let target = dir.join(name);
        fs::rename(path, &target).map_err(|e| StoreError::write(&target, &e))?;
        let dirs = target.ancestors().skip(1).take_while(|dir| dir.starts_with(&self.root)).map(Path::to_owned);
        self.renamed_in.lock().unwrap_or_else(PoisonError::into_inner).extend(dirs);
        Ok(())
    }

    /// The rows that a manifest describes, `None` if there is no manifest.
    fn load<M: Described>(&self, place: &Place, keep: Keep) -> Result<Option<(M, Frame)>, StoreError> {
        let Some(mut manifest) = self.read_manifest::<M>(place)? else { return Ok(None) };
        let mut again = 3;
        loop {
            if let Some(frame) = self.cache.open(&manifest) {
                return Ok(Some((manifest, frame)));
            }
            let error = match self.load_truth(place, &manifest) {
                Ok(frame) => {
                    // Without room for a cache the rows are still right, only slower to get.
                    let mapped = if keep == Keep::Cached { self.cache.fill(&manifest, &frame) } else { None };
                    return Ok(Some((manifest, mapped.unwrap_or(frame))));
                }
                Err(e) => e,
            };
            // A writer may have replaced the day between the two reads, even by what it had been before.
            match self.read_manifest::<M>(place)? {
                Some(newer) if newer.sha256() != manifest.sha256() => manifest = newer,
                Some(_) if again > 0 => again -= 1,
                _ => return Err(error),
            }
        }
    }

    /// Decodes the Parquet file after checking its digest.
    pub(crate) fn load_truth<M: Described>(&self, place: &Place, manifest: &M) -> Result<Frame, StoreError> {
        let path = place.file(manifest);
        let corrupt = |why: String| StoreError::DayCorrupt { what: manifest.what(), path: path.clone(), why };
        let bytes = read_if_there(&path)?.ok_or_else(|| corrupt("it is missing".into()))?;
        let found = Digest::of(&bytes);
        if found != *manifest.sha256() {
            return Err(corrupt(format!(
                "its {} bytes have sha256 {found}, expected {}",
                bytes.len(),
                manifest.sha256()
            )));
        }
        parquet_file::decode(bytes.into(), manifest.rows(), manifest.with_phase(), &manifest.float_names())
            .map_err(|e| corrupt(e.to_string()))
    }

    fn record_path(&self, folder: &str, collection: &str, name: &str) -> Result<PathBuf, StoreError> {
        let dir = self.root.join(folder);
        let dir = if collection.is_empty() { dir } else { dir.join(check_name(collection)?) };
        Ok(dir.join(format!("{}.json", check_name(name)?)))
    }

    /// Replaces a JSON file unless it is the same already.
    fn put_json<T: Serialize>(&self, path: &Path, body: &T) -> Result<(), StoreError> {
        let bytes = seal(path, body)?;
        if read_if_there(path)?.as_ref() == Some(&bytes) {
            return Ok(());
        }
        self.lock_writer()?;
        self.check_free()?;
        self.publish(path, &bytes)
    }
}

impl Store for EmbeddedStore {
    fn put_day(
        &self,
        dataset: Dataset,
        symbol: &str,
        day: TradingDay,
        ticks: &TickView<'_>,
        meta: &DayMeta,
    ) -> Result<PutOutcome, StoreError> {
        let place = self.day_place(dataset, symbol, day)?;
        let (bytes, new) = encode_day(dataset, symbol, day, ticks, meta)?;
        Ok(self.put(&place, &bytes, new)?.into())
    }

    fn manifest(&self, dataset: Dataset, symbol: &str, day: TradingDay) -> Result<Option<Manifest>, StoreError> {
        self.read_manifest(&self.day_place(dataset, symbol, day)?)
    }

    fn symbols(&self, dataset: Dataset) -> Result<Vec<String>, StoreError> {
        let mut symbols = Vec::new();
        for dir in list_dir(&self.manifest_dir(dataset.as_str()))? {
            if !list_dir(&dir)?.is_empty() {
                symbols.extend(dir.file_name().and_then(|n| n.to_str()).map(str::to_owned));
            }
        }
        Ok(symbols)
    }

    fn days(&self, dataset: Dataset, symbol: &str) -> Result<Vec<TradingDay>, StoreError> {
        let dir = self.manifest_dir(dataset.as_str()).join(check_name(symbol)?);
        let day = |path: PathBuf| path.file_stem()?.to_str()?.parse().ok();
        Ok(list_dir(&dir)?.into_iter().filter_map(day).collect())
    }

    fn load_day(&self, dataset: Dataset, symbol: &str, day: TradingDay) -> Result<TickDay, StoreError> {
        let place = self.day_place(dataset, symbol, day)?;
        let missing = || StoreError::DayMissing { dataset: dataset.to_string(), symbol: symbol.to_owned(), day };
        self.load(&place, Keep::Cached)?.map(|(m, frame)| TickDay::new(m, frame)).ok_or_else(missing)
    }

    fn read_day(&self, dataset: Dataset, symbol: &str, day: TradingDay) -> Result<TickDay, StoreError> {
        let place = self.day_place(dataset, symbol, day)?;
        let missing = || StoreError::DayMissing { dataset: dataset.to_string(), symbol: symbol.to_owned(), day };
        self.load(&place, Keep::Nothing)?.map(|(m, frame)| TickDay::new(m, frame)).ok_or_else(missing)
    }

    fn put_columns(
        &self,
        key: &ColumnsKey,
        ts_ns: &[i64],
        seq: &[u32],
        columns: &[NamedColumn<'_>],
    ) -> Result<ColumnsOutcome, StoreError> {
        let place = self.columns_place(key)?;
        let (bytes, new) = encode_columns(key, ts_ns, seq, columns)?;
        Ok(self.put(&place, &bytes, new)?.into())
    }

    fn load_columns(&self, key: &ColumnsKey) -> Result<Option<ColumnsDay>, StoreError> {
        let place = self.columns_place(key)?;
        let loaded = self.load::<ColumnsManifest>(&place, Keep::Cached)?.filter(|(m, _)| m.key == *key);
        Ok(loaded.map(|(manifest, frame)| ColumnsDay::new(manifest, frame)))
    }

    fn columns_manifest(&self, key: &ColumnsKey) -> Result<Option<ColumnsManifest>, StoreError> {
        let manifest = self.read_manifest::<ColumnsManifest>(&self.columns_place(key)?)?;
        Ok(manifest.filter(|m| m.key == *key))
    }

    fn put_schedule(&self, schedule: &Schedule) -> Result<ScheduleOutcome, StoreError> {
        let path = self.record_path("schedule", "", &schedule.variety().to_string())?;
        let old = match self.load_schedule(schedule.variety()) {
            Err(StoreError::ManifestCorrupt { .. }) => None,
            other => other?,
        };
        if old.as_ref() == Some(schedule) {
            return Ok(ScheduleOutcome::Unchanged);
        }
        self.put_json(&path, schedule)?;
        let found = self.load_schedule(schedule.variety())?;
        if found.as_ref() != Some(schedule) {
            if let Some(old) = &old {
                self.put_json(&path, old)?;
            }
            return Err(StoreError::ScheduleMismatch {
                variety: schedule.variety().to_string(),
                found: found.map_or_else(|| "none".to_owned(), |f| f.hash().to_owned()),
                expected: schedule.hash().to_owned(),
            });
        }
        Ok(old.map_or(ScheduleOutcome::Stored, |o| ScheduleOutcome::Replaced { old: o.hash().to_owned() }))
    }

    fn load_schedule(&self, variety: &Variety) -> Result<Option<Schedule>, StoreError> {
        let path = self.record_path("schedule", "", &variety.to_string())?;
        let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
        let schedule: Schedule = unseal(&path, &bytes)?;
        let hash = Schedule::hash_of(schedule.rows());
        if hash != schedule.hash() || schedule.variety() != variety {
            let why = format!("its rows have hash {hash}, it says {} of {}", schedule.hash(), schedule.variety());
            return Err(StoreError::ManifestCorrupt { path, why });
        }
        Ok(Some(schedule))
    }

    fn put_record(&self, collection: &str, name: &str, json: &serde_json::Value) -> Result<(), StoreError> {
        check_name(collection)?;
        self.put_json(&self.record_path("record", collection, name)?, json)
    }

    fn load_record(&self, collection: &str, name: &str) -> Result<Option<serde_json::Value>, StoreError> {
        check_name(collection)?;
        let path = self.record_path("record", collection, name)?;
        read_if_there(&path)?.map(|bytes| unseal(&path, &bytes)).transpose()
    }

    fn schedules(&self) -> Result<Vec<Variety>, StoreError> {
        let variety = |path: PathBuf| path.file_stem()?.to_str()?.parse().ok();
        Ok(list_dir(&self.root.join("schedule"))?.into_iter().filter_map(variety).collect())
    }

    fn records(&self) -> Result<Vec<(String, String)>, StoreError> {
        let name = |path: &Path| path.file_stem().and_then(|n| n.to_str()).map(str::to_owned);
        let mut records = Vec::new();
        for folder in list_dir(&self.root.join("record"))? {
            let Some(collection) = folder.file_name().and_then(|n| n.to_str()) else { continue };
            records.extend(list_dir(&folder)?.iter().filter_map(|p| Some((collection.to_owned(), name(p)?))));
        }
        records.sort();
        Ok(records)
    }

    fn columns_keys(&self) -> Result<Vec<ColumnsKey>, StoreError> {
        let mut keys = Vec::new();
        for kind in ColumnKind::ALL {
            for set in list_dir(&self.manifest_dir(kind.as_str()))? {
                for key in list_dir(&set)? {
                    for symbol in list_dir(&key)? {
                        for path in list_dir(&symbol)? {
                            let Some(bytes) = read_if_there(&path)? else { continue };
                            keys.push(unseal::<ColumnsManifest>(&path, &bytes)?.key);
                        }
                    }
                }
            }
        }
        keys.sort();
        Ok(keys)
    }

    fn flush(&self) -> Result<(), StoreError> {
        let dirs = std::mem::take(&mut *self.renamed_in.lock().unwrap_or_else(PoisonError::into_inner));
        // A folder that is gone again has nothing to lose.
        dirs.iter().filter(|dir| dir.exists()).try_for_each(|dir| sync_dir(dir))
    }

    fn yield_writer(&self) -> Result<(), StoreError> {
        self.release_writer()
    }

    fn verify(&self, deep: bool) -> Result<VerifyReport, StoreError> {
        verify(self, deep)
    }

    fn garbage(&self) -> Result<Garbage, StoreError> {
        gc::garbage(self)
    }

    fn collect_garbage(&self) -> Result<Garbage, StoreError> {
        gc::collect(self)
    }
}
