//! Is every build there that a manifest row names, and are its rows those that were written?

use super::server::Row;
use super::tables::{Kind, int, text};
use super::{Entry, QuestDbStore, Spot};
use crate::encode::{encode_columns, encode_day};
use crate::frame::Frame;
use crate::manifest::unseal;
use crate::place::Described;
use crate::{BadFile, ColumnsManifest, Manifest, NamedColumn, Store as _, StoreError, VerifyReport};
use ghtrader_core::Digest;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A manifest whose rows can be made into its file again.
trait Proven: Described {
    fn spot(&self) -> Result<Spot, StoreError>;
    /// Digest and length of the file that the rows make.
    fn proof(&self, frame: &Frame) -> Result<(Digest, u64), StoreError>;
}

impl Proven for Manifest {
    fn spot(&self) -> Result<Spot, StoreError> {
        Spot::of_day(self.dataset, &self.symbol, self.trading_day)
    }

    fn proof(&self, frame: &Frame) -> Result<(Digest, u64), StoreError> {
        let (bytes, manifest) =
            encode_day(self.dataset, &self.symbol, self.trading_day, &frame.tick_view(), &self.meta())?;
        Ok((manifest.sha256, bytes.len() as u64))
    }
}

impl Proven for ColumnsManifest {
    fn spot(&self) -> Result<Spot, StoreError> {
        Spot::of_columns(&self.key)
    }

    fn proof(&self, frame: &Frame) -> Result<(Digest, u64), StoreError> {
        let named = self.columns.iter().zip(&frame.floats);
        let columns: Vec<NamedColumn<'_>> = named.map(|(name, values)| NamedColumn { name, values }).collect();
        let (bytes, manifest) = encode_columns(&self.key, &frame.ts_ns, &frame.seq, &columns)?;
        Ok((manifest.sha256, bytes.len() as u64))
    }
}

pub(super) fn verify(store: &QuestDbStore, deep: bool) -> Result<VerifyReport, StoreError> {
    let every = [Kind::Ticks, Kind::MainL5, Kind::Columns, Kind::Manifest, Kind::ColumnsManifest];
    store.flush()?;
    store.tables.wait_visible(&store.server, &every)?;
    let mut v = Verifier { store, deep, report: VerifyReport::default() };
    v.manifests::<Manifest>(Kind::Manifest, &[Kind::Ticks, Kind::MainL5])?;
    v.manifests::<ColumnsManifest>(Kind::ColumnsManifest, &[Kind::Columns])?;
    for variety in store.schedules()? {
        v.json(format!("schedule/{variety}"), store.load_schedule(&variety).map(drop))?;
    }
    for (collection, name) in store.records()? {
        v.json(format!("record/{collection}/{name}"), store.load_record(&collection, &name).map(drop))?;
    }
    Ok(v.report)
}

struct Verifier<'a> {
    store: &'a QuestDbStore,
    deep: bool,
    report: VerifyReport,
}

impl Verifier<'_> {
    fn manifests<M: Proven>(&mut self, kind: Kind, rows: &[Kind]) -> Result<(), StoreError> {
        let mut counts = BTreeMap::new();
        for kind in rows {
            let table = self.store.table(*kind);
            let found = self.store.server.sql(&format!("SELECT symbol, build, count() FROM {table}"))?;
            counts.extend(found.iter().map(|row| ((text(row, 0).to_owned(), text(row, 1).to_owned()), int(row, 2))));
        }
        let keys: &[&'static str] = match kind {
            Kind::Manifest => &["dataset", "symbol"],
            _ => &["kind", "set_name", "symbol", "key"],
        };
        let table = self.store.table(kind);
        let found = self.store.server.sql(&format!(
            "SELECT body, build, checksum, trading_day, {} FROM {table} WHERE state = 'stored' ORDER BY trading_day",
            keys.join(", ")
        ))?;
        for row in &found {
            self.report.days += 1;
            let said = Said::of(row, keys);
            let path = PathBuf::from(&table).join(said.path());
            let manifest = unseal::<M>(&path, text(row, 0).as_bytes()).and_then(|manifest| {
                let why = format!("it says {}, which lies elsewhere", manifest.what());
                if manifest.spot()?.condition() == said.condition() {
                    Ok(manifest)
                } else {
                    Err(StoreError::ManifestCorrupt { path: path.clone(), why })
                }
            });
            let (build, checksum) = (text(row, 1).to_owned(), text(row, 2).to_owned());
            let (what, checked) = match manifest {
                Err(e) => (said.path().display().to_string(), Err(e)),
                Ok(manifest) => {
                    let what = manifest.what();
                    let entry = Entry { manifest, build, checksum };
                    (what, self.day(&entry, &counts))
                }
            };
            match checked {
                Ok(()) => {}
                Err(e @ (StoreError::DayCorrupt { .. } | StoreError::ManifestCorrupt { .. })) => {
                    self.quarantine(kind, &said)?;
                    let (code, why) = (e.code(), e.to_string());
                    self.report.bad.push(BadFile { what, code, why, path: path.clone(), quarantined: vec![path] });
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn day<M: Proven>(&mut self, entry: &Entry<M>, counts: &BTreeMap<(String, String), i64>) -> Result<(), StoreError> {
        let (manifest, spot) = (&entry.manifest, entry.manifest.spot()?);
        let corrupt = |why: String| StoreError::DayCorrupt {
            what: manifest.what(),
            path: self.store.table(spot.rows).into(),
            why,
        };
        let there = counts.get(&(spot.symbol.clone(), entry.build.clone())).copied().unwrap_or(0);
        if usize::try_from(there) != Ok(manifest.rows()) {
            return Err(corrupt(format!("it has {there} rows, the manifest says {}", manifest.rows())));
        }
        let mut truth = None;
        if self.deep {
            let frame = self.store.rows(&spot, entry)?;
            let (found, length) = manifest.proof(&frame)?;
            if found != *manifest.sha256() {
                return Err(corrupt(format!("its rows have sha256 {found}, expected {}", manifest.sha256())));
            }
            self.report.hashed_bytes += length;
            truth = Some(frame);
        }
        self.report.rows += manifest.rows() as u64;
        self.report.dropped_caches += u64::from(self.store.cache.check(manifest, truth.as_ref())?);
        Ok(())
    }

    /// Takes a manifest row out of the readers' sight. Its rows stay, and so does what it says.
    fn quarantine(&self, kind: Kind, said: &Said) -> Result<(), StoreError> {
        let table = self.store.table(kind);
        self.store.check_writable(&table)?;
        let statement = format!("UPDATE {table} SET state = 'quarantined' WHERE {}", said.condition());
        self.store.server.sql(&statement)?;
        self.store.tables.wait_visible(&self.store.server, &[kind])
    }

    fn json(&mut self, what: String, read: Result<(), StoreError>) -> Result<(), StoreError> {
        match read {
            Err(e @ StoreError::ManifestCorrupt { .. }) => {
                let (code, why, path) = (e.code(), e.to_string(), PathBuf::from(&what));
                self.report.bad.push(BadFile { what, code, why, path, quarantined: Vec::new() });
                Ok(())
            }
            other => other,
        }
    }
}

/// The key columns of a manifest row, as they stand in the table.
struct Said {
    day: String,
    keys: Vec<(&'static str, String)>,
}

impl Said {
    fn of(row: &Row, keys: &[&'static str]) -> Self {
        let day = text(row, 3).get(..10).unwrap_or_default().to_owned();
        let value = |at: usize| row.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { day, keys: keys.iter().enumerate().map(|(i, name)| (*name, value(4 + i))).collect() }
    }

    fn path(&self) -> PathBuf {
        self.keys.iter().map(|(_, value)| value.as_str()).chain([self.day.as_str()]).collect()
    }

    fn condition(&self) -> String {
        let keys: Vec<String> =
            self.keys.iter().map(|(name, value)| format!(" AND {name} = '{}'", value.replace('\'', "''"))).collect();
        format!("trading_day = '{}'{}", self.day, keys.concat())
    }
}
