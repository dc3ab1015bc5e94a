//! Columns that feature and label plugins make of `main_l5`, day by day, each reused as long as nothing it reads changes.

use crate::PipelineError;
use ghtrader_core::{
    Border, BorderKind, Calendar, Column, ContractTable, Digest, DigestBuilder, FeatureColumn, TickView, TradingDay,
    Variety, WordColumn, day_borders, pack_rows,
};
use ghtrader_plugin::{
    Boundary, FeatureInstance, Instrument, LabelInstance, Params, Plugin, PluginFault, PluginManifest, Reach, Role,
};
use ghtrader_store::{ColumnKind, ColumnsKey, ColumnsManifest, Dataset, Manifest, NamedColumn, Schedule, Store};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// Rises whenever a change of this code changes a column.
const NUMERICS_VERSION: i64 = 1;

/// How to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnsOptions {
    /// Threads; 0 = one a core. The result does not depend on it.
    pub workers: usize,
    /// Rows a call. The result does not depend on it.
    pub block_rows: usize,
    /// Builds every day again.
    pub full: bool,
    /// First and last day to build; every day of the schedule if absent.
    pub days: Option<(TradingDay, TradingDay)>,
}

impl Default for ColumnsOptions {
    fn default() -> Self {
        Self { workers: 0, block_rows: 2_048, full: false, days: None }
    }
}

/// One day's columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnsDayReport {
    /// The day.
    pub trading_day: TradingDay,
    /// It was there already.
    pub reused: bool,
    /// What is stored.
    pub manifest: ColumnsManifest,
}

/// A day that a plugin failed on; the others went on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedDay {
    /// The day.
    pub trading_day: TradingDay,
    /// Stable code of the fault.
    pub code: &'static str,
    /// What happened, with rows.
    pub message: String,
}

/// What a build made. Holds no clock value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnsReport {
    /// `role/name@version`.
    pub plugin: String,
    /// Digest of the artefact.
    pub component: Digest,
    /// Symbol of the rows.
    pub symbol: String,
    /// Columns in order, with what makes them.
    pub columns: Vec<FeatureColumn>,
    /// First 16 hex digits of the digest of the columns.
    pub schema_hash: String,
    /// Days, ascending.
    pub days: Vec<ColumnsDayReport>,
    /// Days that failed.
    pub failed: Vec<FailedDay>,
    /// Days computed now.
    pub built_days: usize,
    /// Days reused.
    pub reused_days: usize,
    /// Rows of all days.
    pub rows: u64,
    /// Digest over all days' files.
    pub dataset_digest: Digest,
}

/// What makes columns: a loaded plugin, or the same code without a sandbox.
pub trait ColumnPlugin: Sync {
    /// `role/name@version`.
    fn identity(&self) -> &str;
    /// Digest of the artefact: code and promise.
    fn digest(&self) -> Digest;
    /// What it promises.
    fn manifest(&self) -> &PluginManifest;
    /// A new feature instance.
    ///
    /// # Errors
    /// The plugin's fault.
    fn feature(&self, params: &Params, instrument: &Instrument) -> Result<Box<dyn FeatureInstance>, PluginFault>;
    /// A new label instance.
    ///
    /// # Errors
    /// The plugin's fault.
    fn label(&self, params: &Params, instrument: &Instrument) -> Result<Box<dyn LabelInstance>, PluginFault>;
}

impl ColumnPlugin for Plugin {
    fn identity(&self) -> &str {
        self.identity()
    }
    fn digest(&self) -> Digest {
        self.digest()
    }
    fn manifest(&self) -> &PluginManifest {
        self.manifest()
    }
    fn feature(&self, params: &Params, instrument: &Instrument) -> Result<Box<dyn FeatureInstance>, PluginFault> {
        self.feature(params, instrument)
    }
    fn label(&self, params: &Params, instrument: &Instrument) -> Result<Box<dyn LabelInstance>, PluginFault> {
        self.label(params, instrument)
    }
}

/// The columns of one symbol-day's rows by a feature instance, in memory: `out[column][row]`, NaN canonical.
///
/// `borders` are those of the rows; what comes before the first row (a roll, a new day, warm-up rows) is the caller's to tell.
///
/// # Errors
/// The plugin's fault.
pub fn compute_feature_columns(
    instance: &mut dyn FeatureInstance,
    view: &TickView<'_>,
    borders: &[Border],
    block_rows: usize,
) -> Result<Vec<Vec<f64>>, PluginFault> {
    let columns = words_of(&instance.description().inputs, view);
    let width = instance.description().outputs.len();
    let mut out = vec![Vec::with_capacity(view.rows()); width];
    let (mut words, mut values) = (Vec::new(), Vec::new());
    let mut start = 0;
    let mut borders = borders.iter().peekable();
    while start < view.rows() {
        while let Some(border) = borders.next_if(|b| b.row == start) {
            instance.boundary(boundary(border.kind))?;
        }
        let end = borders.peek().map_or(view.rows(), |b| b.row).min(start + block_rows.max(1));
        pack_rows(&columns, start..end, &mut words);
        values.clear();
        instance.compute(&words, &mut values)?;
        scatter(&values, &mut out);
        start = end;
    }
    Ok(out)
}

/// The columns of rows by a label instance, in memory: `out[column][row]`, NaN = no label.
///
/// A label of a row in `reach` reads no row behind the end of its range; ranges are ascending and disjoint, rows outside
/// get no label. Rows behind `emit_rows` are look-ahead only.
///
/// # Errors
/// The plugin's fault.
pub fn compute_label_columns(
    instance: &mut dyn LabelInstance,
    view: &TickView<'_>,
    reach: &[Range<usize>],
    emit_rows: usize,
    block_rows: usize,
) -> Result<Vec<Vec<f64>>, PluginFault> {
    let columns = words_of(&instance.description().inputs, view);
    let width = instance.description().outputs.len();
    let lookahead = instance.description().lookahead_rows as usize;
    let mut out = vec![Vec::with_capacity(emit_rows); width];
    let (mut words, mut values) = (Vec::new(), Vec::new());
    for range in reach {
        let mut start = range.start;
        let last = range.end.min(emit_rows);
        while start < last {
            let end = (start + block_rows.max(1)).min(last);
            pack_rows(&columns, start..(end + lookahead).min(range.end), &mut words);
            values.clear();
            instance.compute(&words, (end - start) as u32, &mut values)?;
            scatter(&values, &mut out);
            start = end;
        }
    }
    Ok(out)
}

/// Ranges of rows between session borders; one range of all rows if there is no border.
pub fn session_ranges(rows: usize, borders: &[Border]) -> Vec<Range<usize>> {
    let cuts = borders.iter().filter(|b| b.kind == BorderKind::Session).map(|b| b.row);
    let starts: Vec<usize> = std::iter::once(0).chain(cuts).collect();
    let ends = starts.iter().skip(1).copied().chain([rows]);
    starts.iter().copied().zip(ends).map(|(a, b)| a..b).collect()
}

fn boundary(kind: BorderKind) -> Boundary {
    match kind {
        BorderKind::Session => Boundary::Session,
        BorderKind::Gap => Boundary::Gap,
    }
}

/// A plugin's inputs as columns; a name that is no tick column, which admission refuses, gives nothing to read.
fn words_of<'a>(inputs: &[String], view: &TickView<'a>) -> Vec<WordColumn<'a>> {
    let known = inputs.iter().filter_map(|name| Column::from_name(name));
    let word = |c: Column| {
        if c == Column::Datetime { WordColumn::Times(view.ts_ns) } else { WordColumn::Floats(view.float(c)) }
    };
    known.map(word).collect()
}

fn scatter(values: &[f64], out: &mut [Vec<f64>]) {
    let width = out.len();
    for (place, column) in out.iter_mut().enumerate() {
        let canonical = |v: &f64| if v.is_nan() { f64::NAN } else { *v };
        column.extend(values.iter().skip(place).step_by(width.max(1)).map(canonical));
    }
}

/// One day of `main_l5` and what decides its columns.
struct Job<'a> {
    manifest: &'a Manifest,
    /// Days of the same segment before it, nearest last, as many as the warm-up needs.
    before: Vec<&'a Manifest>,
    /// Days of the same segment behind it, as many as the look-ahead needs.
    behind: Vec<&'a Manifest>,
    first_of_segment: bool,
}

struct Builder<'a> {
    store: &'a dyn Store,
    plugin: &'a dyn ColumnPlugin,
    params: Params,
    variety: Variety,
    symbol: String,
    calendar: &'a Calendar,
    table: &'a ContractTable,
    options: ColumnsOptions,
}

/// Builds the columns of a feature or label plugin over every `main_l5` day of a schedule.
///
/// A day is computed again only if the component, a parameter, its contract, price tick or multiplier, its rows, the
/// warm-up rows before it or the look-ahead rows behind it changed. A plugin's fault fails its day; the others go on.
///
/// # Errors
/// Those of the store; a plugin of another role; parameters that the manifest does not allow. Failed days are in the report.
#[expect(clippy::too_many_arguments, reason = "a build is these eight facts; a struct would only rename them")]
pub fn build_columns(
    store: &dyn Store,
    schedule: &Schedule,
    plugin: &dyn ColumnPlugin,
    params: &Params,
    calendar: &Calendar,
    table: &ContractTable,
    options: ColumnsOptions,
    done: &(dyn Fn() + Sync),
) -> Result<ColumnsReport, PipelineError> {
    let manifests = scheduled(store, schedule)?;
    let (builder, kind) = Builder::new(store, schedule, plugin, params, calendar, table, options)?;
    let jobs = builder.jobs(&manifests);
    let workers = options.workers;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build();
    let pool = pool.map_err(|e| PipelineError::Workers { workers, why: e.to_string() })?;
    let built: Vec<Result<ColumnsDayReport, DayError>> = pool.install(|| {
        let one = |job: &Job<'_>| {
            let day = builder.day(kind, job);
            done();
            day
        };
        jobs.par_iter().map(one).collect()
    });
    builder.report(built)
}

/// Where the columns of each `main_l5` day would lie, without building them: the key is a digest of all that decides them.
///
/// # Errors
/// Those of the store; a plugin of another role; parameters that the manifest does not allow.
pub fn columns_keys(
    store: &dyn Store,
    schedule: &Schedule,
    plugin: &dyn ColumnPlugin,
    params: &Params,
    calendar: &Calendar,
    table: &ContractTable,
    days: Option<(TradingDay, TradingDay)>,
) -> Result<Vec<ColumnsKey>, PipelineError> {
    let manifests = scheduled(store, schedule)?;
    let options = ColumnsOptions { days, ..ColumnsOptions::default() };
    let (builder, kind) = Builder::new(store, schedule, plugin, params, calendar, table, options)?;
    let jobs = builder.jobs(&manifests);
    jobs.iter().map(|job| Ok(builder.key(kind, job, &builder.instrument(job)?))).collect()
}

/// The manifests of the days that were built by this schedule.
fn scheduled(store: &dyn Store, schedule: &Schedule) -> Result<Vec<Manifest>, PipelineError> {
    let symbol = schedule.variety().main_symbol();
    let hashes = schedule.hashes();
    let mut manifests = Vec::new();
    for row in schedule.rows() {
        if let Some(manifest) = store.manifest(Dataset::MainL5, &symbol, row.date)?
            && manifest.underlying.as_ref().is_some_and(|u| u.schedule_hash == hashes[&row.date])
        {
            manifests.push(manifest);
        }
    }
    Ok(manifests)
}

/// A plugin's fault belongs to its day; anything else ends the build.
enum DayError {
    Plugin(FailedDay),
    Other(PipelineError),
}

impl<E: Into<PipelineError>> From<E> for DayError {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

impl<'a> Builder<'a> {
    fn new(
        store: &'a dyn Store,
        schedule: &Schedule,
        plugin: &'a dyn ColumnPlugin,
        params: &Params,
        calendar: &'a Calendar,
        table: &'a ContractTable,
        options: ColumnsOptions,
    ) -> Result<(Self, ColumnKind), PipelineError> {
        let kind = match plugin.manifest().plugin.role {
            Role::Feature => ColumnKind::Feature,
            Role::Label => ColumnKind::Label,
            role => return Err(PipelineError::Role { plugin: plugin.identity().to_string(), role: role.to_string() }),
        };
        let params = plugin.manifest().resolve_params(params).map_err(|findings| PipelineError::Params { findings })?;
        let variety = schedule.variety().clone();
        let symbol = variety.main_symbol();
        Ok((Self { store, plugin, params, variety, symbol, calendar, table, options }, kind))
    }

    fn jobs<'m>(&self, manifests: &'m [Manifest]) -> Vec<Job<'m>> {
        let about = &self.plugin.manifest().plugin;
        let warmup = u64::from(about.warmup_rows.unwrap_or(0));
        let lookahead = match about.reach {
            Some(Reach::Segment) => u64::from(about.lookahead_rows.unwrap_or(0)),
            _ => 0,
        };
        let segment = |m: &Manifest| m.underlying.as_ref().map(|u| u.segment_id);
        let enough = |near: &mut dyn Iterator<Item = &'m Manifest>, of: &Manifest, rows: u64| {
            let mut found = Vec::new();
            let mut have = 0;
            while have < rows
                && let Some(m) = near.next().filter(|m| segment(m) == segment(of))
            {
                have += m.rows;
                found.push(m);
            }
            found
        };
        let job = |(i, m): (usize, &'m Manifest)| {
            let mut before = enough(&mut manifests[..i].iter().rev(), m, warmup);
            before.reverse();
            let first_of_segment = i == 0 || segment(&manifests[i - 1]) != segment(m);
            Job { manifest: m, before, behind: enough(&mut manifests[i + 1..].iter(), m, lookahead), first_of_segment }
        };
        let wanted = |m: &Manifest| self.options.days.is_none_or(|(from, to)| (from..=to).contains(&m.trading_day));
        manifests.iter().enumerate().filter(|(_, m)| wanted(m)).map(job).collect()
    }

    /// What an instance is told about a day's contract.
    fn instrument(&self, job: &Job<'_>) -> Result<Instrument, PipelineError> {
        let spec = self.table.spec(&self.variety, job.manifest.trading_day)?;
        let symbol = job.manifest.underlying.as_ref().map_or_else(|| self.symbol.clone(), |u| u.contract.to_string());
        Ok(Instrument { symbol, price_tick: spec.price_tick, multiplier: spec.multiplier })
    }

    fn key(&self, kind: ColumnKind, job: &Job<'_>, instrument: &Instrument) -> ColumnsKey {
        let manifest = &self.plugin.manifest().plugin;
        let mut b = DigestBuilder::new("ghtrader columns 1");
        b.int(NUMERICS_VERSION).digest(&self.plugin.digest());
        for (name, value) in &self.params {
            b.text(name).text(&value.to_string());
        }
        b.text(&instrument.symbol).float(instrument.price_tick).float(instrument.multiplier);
        // A day's build digest names its rows; its file also carries the schedule's hash, which an added day changes.
        b.digest(&job.manifest.build).int(job.before.len() as i64).int(i64::from(job.first_of_segment));
        job.before.iter().chain(&job.behind).for_each(|m| {
            b.digest(&m.build);
        });
        let key = b.finish();
        let (set, symbol) = (manifest.name.clone(), self.symbol.clone());
        ColumnsKey { kind, set, symbol, trading_day: job.manifest.trading_day, key }
    }

    fn day(&self, kind: ColumnKind, job: &Job<'_>) -> Result<ColumnsDayReport, DayError> {
        let trading_day = job.manifest.trading_day;
        let instrument = self.instrument(job)?;
        let key = self.key(kind, job, &instrument);
        if !self.options.full
            && let Some(manifest) = self.store.columns_manifest(&key)?
        {
            return Ok(ColumnsDayReport { trading_day, reused: true, manifest });
        }
        let ticks = self.store.load_day(Dataset::MainL5, &self.symbol, trading_day)?;
        let view = ticks.view();
        let computed = match kind {
            ColumnKind::Feature => self.feature_day(job, &instrument, &view)?,
            _ => self.label_day(job, &instrument, &view)?,
        };
        let (names, values) = computed.map_err(|fault| {
            let code = ghtrader_core::Problem::from(fault.clone()).code;
            DayError::Plugin(FailedDay { trading_day, code, message: fault.to_string() })
        })?;
        let columns: Vec<NamedColumn<'_>> =
            names.iter().zip(&values).map(|(name, values)| NamedColumn { name, values }).collect();
        let outcome = self.store.put_columns(&key, view.ts_ns, view.seq, &columns)?;
        Ok(ColumnsDayReport { trading_day, reused: false, manifest: outcome.manifest().clone() })
    }

    fn borders(&self, view: &TickView<'_>, day: TradingDay) -> Vec<Border> {
        day_borders(view.ts_ns, &self.calendar.session_windows(&self.variety, day))
    }

    fn feature_day(
        &self,
        job: &Job<'_>,
        instrument: &Instrument,
        view: &TickView<'_>,
    ) -> Result<Result<Computed, PluginFault>, PipelineError> {
        let mut earlier = Vec::new();
        for m in &job.before {
            earlier.push((m.trading_day, self.store.load_day(Dataset::MainL5, &self.symbol, m.trading_day)?));
        }
        let warmup = self.plugin.manifest().plugin.warmup_rows.unwrap_or(0) as usize;
        let total: usize = earlier.iter().map(|(_, t)| t.view().rows()).sum();
        let mut skip = total.saturating_sub(warmup);
        let mut run = || -> Result<Computed, PluginFault> {
            let mut instance = self.plugin.feature(&self.params, instrument)?;
            instance.boundary(Boundary::Roll)?;
            for (day, ticks) in &earlier {
                let rows = ticks.view();
                let from = skip.min(rows.rows());
                skip -= from;
                if from == 0 && !rows.ts_ns.is_empty() {
                    instance.boundary(Boundary::TradingDay)?;
                }
                let cut = self.borders(&rows, *day).into_iter().filter(|b| b.row > from);
                let cut: Vec<Border> = cut.map(|b| Border { row: b.row - from, ..b }).collect();
                let rows = rows.slice(from..rows.rows());
                compute_feature_columns(&mut *instance, &rows, &cut, self.options.block_rows)?;
            }
            instance.boundary(Boundary::TradingDay)?;
            let borders = self.borders(view, job.manifest.trading_day);
            let values = compute_feature_columns(&mut *instance, view, &borders, self.options.block_rows)?;
            Ok((instance.description().outputs.iter().map(|c| c.name.clone()).collect(), values))
        };
        Ok(run())
    }

    fn label_day(
        &self,
        job: &Job<'_>,
        instrument: &Instrument,
        view: &TickView<'_>,
    ) -> Result<Result<Computed, PluginFault>, PipelineError> {
        let rows = view.rows();
        let reach = self.plugin.manifest().plugin.reach.unwrap_or_default();
        let (ranges, longer) = match reach {
            Reach::Session => (session_ranges(rows, &self.borders(view, job.manifest.trading_day)), None),
            Reach::Day => (session_ranges(rows, &[]), None),
            Reach::Segment => {
                let mut all = ghtrader_core::TickTable::default();
                all.extend_from(view, 0..rows);
                for m in &job.behind {
                    let next = self.store.load_day(Dataset::MainL5, &self.symbol, m.trading_day)?;
                    let next = next.view();
                    all.extend_from(&next, 0..next.rows());
                }
                (session_ranges(all.rows(), &[]), Some(all))
            }
        };
        let run = || -> Result<Computed, PluginFault> {
            let mut instance = self.plugin.label(&self.params, instrument)?;
            let view = longer.as_ref().map_or(*view, ghtrader_core::TickTable::view);
            let values = compute_label_columns(&mut *instance, &view, &ranges, rows, self.options.block_rows)?;
            Ok((instance.description().outputs.iter().map(|c| c.name.clone()).collect(), values))
        };
        Ok(run())
    }

    fn report(&self, built: Vec<Result<ColumnsDayReport, DayError>>) -> Result<ColumnsReport, PipelineError> {
        let (mut days, mut failed) = (Vec::new(), Vec::new());
        for day in built {
            match day {
                Ok(day) => days.push(day),
                Err(DayError::Plugin(day)) => failed.push(day),
                Err(DayError::Other(error)) => return Err(error),
            }
        }
        let params: BTreeMap<String, String> = self.params.iter().map(|(k, v)| (k.clone(), v.to_string())).collect();
        let unit = |name: &String| {
            let promise = self.plugin.manifest().output.iter().find(|o| o.name == *name);
            promise.map_or_else(|| "1".to_owned(), |o| o.unit.clone())
        };
        let names = days.first().map(|d| d.manifest.columns.clone()).unwrap_or_default();
        let component = self.plugin.digest();
        let columns: Vec<FeatureColumn> = names
            .into_iter()
            .map(|name| FeatureColumn { unit: unit(&name), name, component, params: params.clone() })
            .collect();
        let mut dataset = DigestBuilder::new("ghtrader column set 1");
        for day in &days {
            dataset.int(i64::from(day.trading_day.days())).digest(&day.manifest.sha256);
        }
        Ok(ColumnsReport {
            plugin: self.plugin.identity().to_string(),
            component,
            symbol: self.symbol.clone(),
            schema_hash: FeatureColumn::schema_hash(&columns),
            columns,
            built_days: days.iter().filter(|d| !d.reused).count(),
            reused_days: days.iter().filter(|d| d.reused).count(),
            rows: days.iter().map(|d| d.manifest.rows).sum(),
            dataset_digest: dataset.finish(),
            days,
            failed,
        })
    }
}

/// Names and values of the columns.
type Computed = (Vec<String>, Vec<Vec<f64>>);
