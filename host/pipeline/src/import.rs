//! Import: tick files in, symbol-days in the store, rejected rows in a file.
//!
//! The files of one call belong together: what they hold of one symbol and trading day is put together and published in
//! one step, and replaces what was stored of that day. A day is never merged with what an earlier call stored, so a day
//! that is spread over two files needs both in one call. The result depends on nothing but the files and the options:
//! not on their order, on the number of threads, or on an earlier call that was killed.

use crate::import_summary::{ImportError, ImportOutcome, ImportSummary, ImportedDay, ImportedFile};
use crate::lineage::{DayLineage, SourceFile};
use crate::rejects::{RejectsFile, write_rejects};
use ghtrader_core::{Calendar, ContractId, ContractTable, Digest, DigestBuilder, TradingDay, is_double_sided};
use ghtrader_market::{DayFindings, DayPart, Dialect, FileRows, MarketError, ReadOptions, Reject, SymbolDay, TickFile};
use ghtrader_store::{Counting, Dataset, DayMeta, EmbeddedStore, PutOutcome, Store, StoreError};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Raised whenever a rule changes that decides which rows are stored; part of every day's build digest.
const RULE_VERSION: i64 = 1;
/// A symbol-day that loses a larger share of its rows is refused, unless a caller knows better.
pub const MAX_REJECTED_SHARE: f64 = 0.001;
/// File bytes that are held at once, beside the day that is waiting for its other files.
const BATCH_BYTES: u64 = 512 << 20;

/// What is known about the files, and the rules.
#[derive(Debug, Clone)]
pub struct ImportOptions<'a> {
    /// The files' form; `None` = told by their first lines.
    pub format: Option<Dialect>,
    /// The contract of all files; `None` = from headers, rows or file names.
    pub symbol: Option<ContractId>,
    /// The trading day of compact files, which have no dates.
    pub trading_day: Option<TradingDay>,
    /// Trading days and sessions.
    pub calendar: &'a Calendar,
    /// Price ticks and multipliers.
    pub table: &'a ContractTable,
    /// Folder of the rejects file; created if need be.
    pub rejects_dir: PathBuf,
    /// Share of rejected rows above which a symbol-day is refused, 0..=1.
    pub max_rejected_share: f64,
    /// Threads; 0 = one per core. The result does not depend on it.
    pub workers: usize,
    /// What manifests name as the source; `None` = the files' form.
    pub source: Option<&'static str>,
}

impl ImportOptions<'_> {
    /// The defaults, with a folder for the rejects file.
    pub fn new(rejects_dir: &Path) -> Self {
        Self {
            format: None,
            symbol: None,
            trading_day: None,
            calendar: Calendar::builtin(),
            table: ContractTable::builtin(),
            rejects_dir: rejects_dir.to_owned(),
            max_rejected_share: MAX_REJECTED_SHARE,
            workers: 0,
            source: None,
        }
    }
}

/// How far an import is. Rates and times are the caller's to compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportProgress {
    /// The file that was read last.
    pub item: String,
    /// Bytes of files done.
    pub done_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Rows read so far.
    pub rows: u64,
}

/// Imports tick files into [`Dataset::Ticks`].
///
/// A symbol-day is refused, and the stored one stays, when more than `max_rejected_share` of its rows are rejected. The
/// rejects file is published by rename after the last day; its name is the digest of its content.
///
/// # Errors
/// See [`ImportError`].
pub fn import(
    files: &[PathBuf],
    options: &ImportOptions<'_>,
    store: &dyn Store,
    progress: &(dyn Fn(ImportProgress) + Sync),
) -> Result<ImportSummary, ImportError> {
    let workers = options.workers;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build();
    let pool = pool.map_err(|e| ImportError::Workers { workers, why: e.to_string() })?;
    pool.install(|| Import::new(files, options, store)?.run(progress))
}

/// Rows and time of an import of one file into an empty folder: reading, checking and storing.
///
/// # Errors
/// As [`import`].
pub fn import_timed(file: &Path, empty_dir: &Path, workers: usize) -> Result<(u64, std::time::Duration), ImportError> {
    let store = EmbeddedStore::open(&empty_dir.join("data"))?;
    let options = ImportOptions { workers, ..ImportOptions::new(&empty_dir.join("rejects")) };
    let start = std::time::Instant::now();
    let summary = import(&[file.to_owned()], &options, &store, &|_| {})?;
    Ok((summary.rows_stored, start.elapsed()))
}

/// The part of one file in a symbol-day.
struct FilePart {
    dialect: Dialect,
    name: String,
    file_sha256: Digest,
    rows: DayPart,
}

struct Import<'a> {
    options: &'a ImportOptions<'a>,
    read_options: ReadOptions<'a>,
    store: &'a dyn Store,
    /// By contract, first day and name: the order in which days become complete.
    files: Vec<TickFile>,
    /// Days that may still get rows from a file not read yet.
    waiting: BTreeMap<(ContractId, TradingDay), Vec<FilePart>>,
    /// From which day on a file that cannot be read to its end may hold rows of a contract; `None` = any day.
    broken: BTreeMap<ContractId, (Option<TradingDay>, String)>,
    failed: Vec<MarketError>,
    rejects: Vec<(usize, Vec<Reject>)>,
    summary: ImportSummary,
}

impl<'a> Import<'a> {
    fn new(paths: &[PathBuf], options: &'a ImportOptions<'a>, store: &'a dyn Store) -> Result<Self, ImportError> {
        if paths.is_empty() {
            return Err(ImportError::NoFiles);
        }
        std::fs::create_dir_all(&options.rejects_dir).map_err(|e| crate::rejects::error(&options.rejects_dir, &e))?;
        let read_options = ReadOptions {
            format: options.format,
            symbol: options.symbol.clone(),
            trading_day: options.trading_day,
            calendar: options.calendar,
            table: options.table,
            ..ReadOptions::default()
        };
        let opened: Vec<_> = paths.par_iter().map(|path| TickFile::open(path, &read_options)).collect();
        let mut files = Vec::with_capacity(paths.len());
        let mut failed = Vec::new();
        for file in opened {
            match file {
                Ok(file) => files.push(file),
                Err(e) => failed.push(e),
            }
        }
        let more = failed.len().saturating_sub(1);
        if let Some(first) = failed.into_iter().next() {
            return Err(ImportError::File { first, more });
        }
        files.sort_by(|a, b| (&a.contract, a.first_day, &a.path).cmp(&(&b.contract, b.first_day, &b.path)));
        Ok(Self {
            options,
            read_options,
            store,
            files,
            waiting: BTreeMap::new(),
            broken: BTreeMap::new(),
            failed: Vec::new(),
            rejects: Vec::new(),
            summary: ImportSummary::default(),
        })
    }

    fn run(mut self, progress: &(dyn Fn(ImportProgress) + Sync)) -> Result<ImportSummary, ImportError> {
        let total_bytes = self.files.iter().map(|f| f.size_bytes).sum();
        let (done_bytes, rows_so_far) = (AtomicU64::new(0), AtomicU64::new(0));
        let mut next = 0;
        while next < self.files.len() {
            let batch = next..self.batch_end(next);
            // With files enough for all threads, cutting them up gains nothing.
            let whole = batch.len() >= 2 * rayon::current_num_threads();
            let read_options = ReadOptions { piece_bytes: whole.then_some(usize::MAX), ..self.read_options.clone() };
            let read: Vec<Result<FileRows, MarketError>> = self.files[batch.clone()]
                .par_iter()
                .map(|file| {
                    let rows = file.read(&read_options);
                    let of_file = rows.as_ref().map_or(0, |r| r.rows_read);
                    progress(ImportProgress {
                        item: file.path.display().to_string(),
                        done_bytes: done_bytes.fetch_add(file.size_bytes, Ordering::Relaxed) + file.size_bytes,
                        total_bytes,
                        rows: rows_so_far.fetch_add(of_file, Ordering::Relaxed) + of_file,
                    });
                    rows
                })
                .collect();
            next = batch.end;
            for (index, rows) in batch.zip(read) {
                self.take(index, rows);
            }
            self.publish(next)?;
        }
        self.store.flush()?;
        self.finish()
    }

    /// As many files as keep all threads busy and fit into memory.
    fn batch_end(&self, start: usize) -> usize {
        let most = 2 * rayon::current_num_threads();
        let mut bytes = 0;
        let fitting = self.files[start..].iter().take(most).take_while(|f| {
            bytes += f.size_bytes;
            bytes <= BATCH_BYTES
        });
        start + fitting.count().max(1)
    }

    /// Sorts the rows of a file by symbol-day.
    fn take(&mut self, index: usize, rows: Result<FileRows, MarketError>) {
        let file = &self.files[index];
        let mut imported = ImportedFile {
            file: file.path.clone(),
            format: file.dialect.as_str(),
            symbol: file.contract.clone(),
            rows: 0,
            sha256: None,
        };
        match rows {
            Ok(rows) => {
                (imported.rows, imported.sha256) = (rows.rows_read, Some(rows.sha256));
                self.summary.rows_read += rows.rows_read;
                self.summary.rows_rejected += rows.rejects.len() as u64;
                for part in rows.days {
                    let day = (file.contract.clone(), part.day);
                    let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    let part = FilePart { dialect: file.dialect, name, file_sha256: rows.sha256, rows: part };
                    self.waiting.entry(day).or_default().push(part);
                }
                if !rows.rejects.is_empty() {
                    self.rejects.push((index, rows.rejects));
                }
            }
            Err(e) => {
                // Files are in order of their first days: the first broken one of a contract reaches back furthest.
                self.broken.entry(file.contract.clone()).or_insert_with(|| (file.first_day, e.to_string()));
                self.failed.push(e);
            }
        }
        self.summary.files.push(imported);
    }

    /// Publishes the days that no file from `next` on can add to.
    fn publish(&mut self, next: usize) -> Result<(), ImportError> {
        let complete = match self.files.get(next) {
            // A file without a good row in its head is first of its contract: none of its days is complete yet.
            Some(file) => {
                let first = (file.contract.clone(), file.first_day.unwrap_or(TradingDay::from_days(i32::MIN)));
                let later = self.waiting.split_off(&first);
                std::mem::replace(&mut self.waiting, later)
            }
            None => std::mem::take(&mut self.waiting),
        };
        let complete: Vec<_> = complete.into_iter().collect();
        let days: Vec<Result<(ImportedDay, u64), StoreError>> =
            complete.into_par_iter().map(|((contract, day), parts)| self.store_day(contract, day, parts)).collect();
        for day in days {
            let (day, good_rows) = day?;
            self.summary.rows_duplicate += day.rows_duplicate;
            match day.outcome {
                ImportOutcome::Refused => self.summary.rows_refused += good_rows,
                _ => self.summary.rows_stored += good_rows,
            }
            self.summary.symbol_days.push(day);
        }
        Ok(())
    }

    /// Stores one symbol-day, or refuses it; returns it with its good rows.
    fn store_day(
        &self,
        contract: ContractId,
        day: TradingDay,
        parts: Vec<FilePart>,
    ) -> Result<(ImportedDay, u64), StoreError> {
        let rejected: u64 = parts.iter().map(|p| p.rows.rejected).sum();
        let good: u64 = parts.iter().map(|p| p.rows.rows() as u64).sum();
        let duplicates: u64 = parts.iter().map(|p| p.rows.duplicates).sum();
        let mut imported = ImportedDay {
            symbol: contract,
            trading_day: day,
            outcome: ImportOutcome::Refused,
            rows: 0,
            rows_rejected: rejected,
            rows_duplicate: duplicates,
            sha256: None,
            replaced_sha256: None,
            replaced_rows: None,
            reason: None,
            crossed_rows: 0,
            negative_price_rows: 0,
            volume_falls: 0,
        };
        let all = good + duplicates + rejected;
        let share = rejected as f64 / all as f64;
        let broken = self.broken.get(&imported.symbol).filter(|(from, _)| from.is_none_or(|from| day >= from));
        imported.reason = match broken {
            Some((_, why)) => Some(why.clone()),
            None if good == 0 || share > self.options.max_rejected_share => Some(format!(
                "{rejected} of {all} rows rejected ({:.2} %), at most {:.2} % are allowed",
                share * 100.0,
                self.options.max_rejected_share * 100.0
            )),
            None => None,
        };
        if imported.reason.is_some() {
            return Ok((imported, good));
        }
        let mut build = DigestBuilder::new("import");
        build.int(RULE_VERSION);
        parts.iter().for_each(|p| {
            build.digest(&p.file_sha256);
        });
        let dialects: BTreeSet<&str> = parts.iter().map(|p| p.dialect.as_str()).collect();
        let phases = self.options.calendar.day_phases(imported.symbol.variety(), day);
        let source = |p: &FilePart| SourceFile {
            name: p.name.clone(),
            format: p.dialect.as_str().to_owned(),
            sha256: p.file_sha256,
        };
        let sources: Vec<SourceFile> = parts.iter().map(source).collect();
        let rows = SymbolDay::assemble(&imported.symbol, &phases, parts.into_iter().map(|p| p.rows).collect());
        let double = is_double_sided(imported.symbol.variety().exchange(), day);
        let meta = DayMeta {
            source: self
                .options
                .source
                .map_or_else(|| dialects.into_iter().collect::<Vec<_>>().join("+"), str::to_owned),
            counting: if double { Counting::Double } else { Counting::Single },
            build: build.finish(),
            underlying: None,
        };
        let symbol = imported.symbol.to_string();
        let before = self.store.manifest(Dataset::Ticks, &symbol, day)?.map(|manifest| manifest.rows);
        let put = self.store.put_day(Dataset::Ticks, &symbol, day, &rows.ticks.view(), &meta)?;
        (imported.outcome, imported.replaced_sha256) = match &put {
            PutOutcome::Unchanged(_) => (ImportOutcome::Unchanged, None),
            PutOutcome::Stored(_) => (ImportOutcome::Stored, None),
            PutOutcome::Replaced { old, .. } => (ImportOutcome::Replaced, Some(*old)),
        };
        DayLineage::new(put.manifest().sha256, sources, &rows.lines).put(self.store, &symbol, day)?;
        imported.replaced_rows = before.filter(|_| imported.outcome == ImportOutcome::Replaced);
        imported.rows = put.manifest().rows;
        imported.sha256 = Some(put.manifest().sha256);
        imported.rows_duplicate += rows.duplicates;
        let DayFindings { crossed_rows, negative_price_rows, volume_falls } = rows.findings;
        (imported.crossed_rows, imported.negative_price_rows) = (crossed_rows, negative_price_rows);
        imported.volume_falls = volume_falls;
        Ok((imported, good - rows.duplicates))
    }

    fn finish(mut self) -> Result<ImportSummary, ImportError> {
        let first_reject = self.rejects.first().and_then(|(_, r)| r.first()).cloned();
        if !self.rejects.is_empty() {
            let rejects: Vec<RejectsFile<'_>> =
                self.rejects.iter().map(|(index, rows)| RejectsFile { file: &self.files[*index], rows }).collect();
            self.summary.rejects_file = Some(write_rejects(&self.options.rejects_dir, &rejects)?);
        }
        let summary = self.summary;
        let more = self.failed.len().saturating_sub(1);
        if let Some(first) = self.failed.into_iter().next() {
            return Err(ImportError::Incomplete { first, more, summary: Box::new(summary) });
        }
        match first_reject {
            Some(first) if summary.rows_stored == 0 => Err(ImportError::NothingStored {
                code: first.code,
                detail: format!("`{}` in line {}: {}", first.code, first.line, first.detail),
                rejected: summary.rows_rejected,
                read: summary.rows_read,
                summary: Box::new(summary),
            }),
            _ => Ok(summary),
        }
    }
}
