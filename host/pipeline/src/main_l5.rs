//! `main_l5`: the continuous L5 rows of each day's main contract, stamped with contract, segment and schedule.

use crate::PipelineError;
use ghtrader_core::{ContractId, Digest, DigestBuilder, Phase, TickTable, TickView, TradingDay};
use ghtrader_store::{Dataset, DayMeta, Manifest, Schedule, ScheduleRow, Store, UnderlyingMeta};
use rayon::prelude::*;
use serde::Serialize;

/// Raised whenever the rule that picks the rows changes; part of every day's build digest.
const RULE_VERSION: i64 = 1;
/// More threads than this gain nothing: the disk is the bound.
const MAX_AUTO_WORKERS: usize = 8;
/// A day that loses a larger share of its continuous rows for lack of depth is named in the report.
const DEPTH_WARN_SHARE: f64 = 0.01;
const SAMPLE: usize = 8;

/// How to build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MainL5Options {
    /// Threads; 0 = one per core, at most 8. The result does not depend on it.
    pub workers: usize,
    /// Build every day again.
    pub full: bool,
    /// Days whose ticks hold no usable row that are still accepted.
    pub missing_days_tolerance: usize,
}

/// What became of one day of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DayOutcome {
    /// Rows were picked anew: the day is new, or its contract, segment or source changed.
    Built,
    /// The rows are those of before; only the hash of the schedule around them is new.
    Restamped,
    /// Nothing to do.
    Unchanged,
    /// No ticks of the contract are stored for the day.
    EngineeringMissing,
    /// Ticks are stored, but no continuous row has depth.
    ProviderMissing,
    /// As `ProviderMissing`, before the first day with depth: the day does not count.
    BeforeFirstL5,
}

/// A day that is lacking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissingDay {
    /// The day.
    pub trading_day: TradingDay,
    /// The contract that was main.
    pub contract: ContractId,
    /// Its segment.
    pub segment_id: u32,
    /// Why.
    pub kind: DayOutcome,
}

/// A stretch of one contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentReport {
    /// From 0.
    pub segment_id: u32,
    /// The contract.
    pub contract: ContractId,
    /// First covered day.
    pub first_day: TradingDay,
    /// Last covered day.
    pub last_day: TradingDay,
    /// Covered days.
    pub days: usize,
    /// Rows.
    pub rows: u64,
}

/// What a build found and did. Holds no clock value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MainL5Report {
    /// `KQ.m@SHFE.cu`
    pub symbol: String,
    /// Hash of the schedule that governs.
    pub schedule_hash: String,
    /// Days of the schedule, those before the first with depth left out.
    pub expected_days: usize,
    /// Days that are there now.
    pub covered_days: usize,
    /// Days whose rows were picked anew.
    pub built_days: usize,
    /// Days that only got the new schedule hash.
    pub restamped_days: usize,
    /// Days left as they were.
    pub unchanged_days: usize,
    /// Days of the schedule before the first day with depth.
    pub days_before_first_l5: usize,
    /// Days whose ticks are not stored.
    pub engineering_missing: usize,
    /// Days whose ticks hold no usable row.
    pub provider_missing: usize,
    /// The first of both.
    pub missing_sample: Vec<MissingDay>,
    /// Provider-missing days that are accepted.
    pub missing_days_tolerance: usize,
    /// Rows of all covered days.
    pub rows: u64,
    /// Continuous rows without depth in the days built now; they are not in `main_l5`.
    pub rows_without_depth: u64,
    /// Days built now that lost more than 1 % of their continuous rows that way.
    pub shallow_days: Vec<TradingDay>,
    /// First covered day.
    pub first_day: Option<TradingDay>,
    /// Last covered day.
    pub last_day: Option<TradingDay>,
    /// The stretches.
    pub segments: Vec<SegmentReport>,
    /// Stored days that this schedule does not have; they still carry an older hash.
    pub days_outside_schedule: Vec<TradingDay>,
    /// Digest over the covered days' files: one name for the whole data set.
    pub dataset_digest: Digest,
}

impl MainL5Report {
    /// The health gate: what keeps the data set from being used, worst first.
    ///
    /// # Errors
    /// `l5_missing`, `days_missing`, `schedule_mismatch`.
    pub fn check_health(&self) -> Result<(), PipelineError> {
        let symbol = self.symbol.clone();
        if self.covered_days == 0 && self.engineering_missing == 0 {
            return Err(PipelineError::L5Missing { symbol });
        }
        let provider = self.provider_missing.saturating_sub(self.missing_days_tolerance);
        if self.engineering_missing > 0 || provider > 0 {
            let sample = self.missing_sample.first();
            return Err(PipelineError::DaysMissing {
                symbol,
                expected: self.expected_days,
                engineering: self.engineering_missing,
                provider,
                sample: sample.map(|m| format!("{} {}", m.contract, m.trading_day)).unwrap_or_default(),
            });
        }
        match self.days_outside_schedule.first() {
            Some(&first) => Err(PipelineError::ScheduleMismatch {
                symbol,
                days: self.days_outside_schedule.len(),
                first,
                schedule_hash: self.schedule_hash.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// What one day came to.
struct BuiltDay {
    outcome: DayOutcome,
    manifest: Option<Manifest>,
    continuous_rows: usize,
    shallow_rows: usize,
}

impl BuiltDay {
    fn without_rows(outcome: DayOutcome) -> Self {
        Self { outcome, manifest: None, continuous_rows: 0, shallow_rows: 0 }
    }
}

/// Brings `main_l5` of a schedule's variety up to date.
///
/// A day is built again only if its contract, segment or source changed, or the schedule up to it, whose hash every row
/// carries; else it is left alone: a day added at the end costs that day. A day is replaced in one step, so readers see its old rows or its new ones. Run again after a
/// kill, it does what is left. The bytes do not depend on the number of workers. `done` is called after each day, from any
/// thread.
///
/// # Errors
/// Those of the store; missing days are no error here, see [`MainL5Report::check_health`].
pub fn build_main_l5(
    store: &dyn Store,
    schedule: &Schedule,
    options: MainL5Options,
    done: &(dyn Fn() + Sync),
) -> Result<MainL5Report, PipelineError> {
    let auto = || std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_AUTO_WORKERS));
    let workers = if options.workers == 0 { auto() } else { options.workers };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build();
    let pool = pool.map_err(|e| PipelineError::Workers { workers, why: e.to_string() })?;
    let symbol = schedule.variety().main_symbol();
    let hashes = schedule.hashes();
    let days: Vec<Result<BuiltDay, PipelineError>> = pool.install(|| {
        let build = |row: &ScheduleRow| {
            let day = build_day(store, &symbol, row, &hashes[&row.date], options.full);
            done();
            day
        };
        schedule.rows().par_iter().map(build).collect()
    });
    // Days that were built count even if another failed.
    store.flush()?;
    let mut days: Vec<BuiltDay> = days.into_iter().collect::<Result<_, _>>()?;
    for day in &mut days {
        match day.outcome {
            DayOutcome::ProviderMissing => day.outcome = DayOutcome::BeforeFirstL5,
            DayOutcome::EngineeringMissing => {}
            _ => break,
        }
    }
    let stored = store.days(Dataset::MainL5, &symbol)?;
    let outside = stored.into_iter().filter(|d| schedule.on(*d).is_none()).collect();
    Ok(report(symbol, schedule, options, &days, outside))
}

fn build_day(
    store: &dyn Store,
    symbol: &str,
    row: &ScheduleRow,
    schedule_hash: &str,
    full: bool,
) -> Result<BuiltDay, PipelineError> {
    let (day, contract) = (row.date, row.main_contract.to_string());
    let Some(source) = store.manifest(Dataset::Ticks, &contract, day)? else {
        return Ok(BuiltDay::without_rows(DayOutcome::EngineeringMissing));
    };
    let build = build_digest(row, &source);
    let underlying = UnderlyingMeta {
        contract: row.main_contract.clone(),
        segment_id: row.segment_id,
        schedule_hash: schedule_hash.to_owned(),
    };
    // A damaged manifest counts as none: building the day again mends it.
    let old = store.manifest(Dataset::MainL5, symbol, day).ok().flatten();
    let same_rows = old.as_ref().is_some_and(|m| m.build == build);
    if !full && same_rows && old.as_ref().is_some_and(|m| m.underlying.as_ref() == Some(&underlying)) {
        return Ok(BuiltDay { manifest: old, ..BuiltDay::without_rows(DayOutcome::Unchanged) });
    }
    let ticks = store.read_day(Dataset::Ticks, &contract, day)?;
    let (rows, continuous_rows) = select_rows(&ticks.view());
    if rows.rows() == 0 {
        return Ok(BuiltDay::without_rows(DayOutcome::ProviderMissing));
    }
    let meta = DayMeta { source: source.source, counting: source.counting, build, underlying: Some(underlying) };
    let manifest = store.put_day(Dataset::MainL5, symbol, day, &rows.view(), &meta)?.manifest().clone();
    Ok(BuiltDay {
        outcome: if same_rows && !full { DayOutcome::Restamped } else { DayOutcome::Built },
        manifest: Some(manifest),
        continuous_rows,
        shallow_rows: continuous_rows - rows.rows(),
    })
}

/// Digest of everything that decides a day's rows and their segment. The schedule's hash is no part of it: what it says of
/// other days changes no row of this one.
pub(crate) fn build_digest(row: &ScheduleRow, source: &Manifest) -> Digest {
    DigestBuilder::new("main_l5")
        .int(RULE_VERSION)
        .text(&row.main_contract.to_string())
        .int(i64::from(row.segment_id))
        .digest(&source.sha256)
        .finish()
}

/// The continuous rows with depth, in order, and how many rows are continuous.
fn select_rows(rows: &TickView<'_>) -> (TickTable, usize) {
    let continuous = |row: usize| rows.phase[row] == Phase::Continuous as u8;
    let count = (0..rows.rows()).filter(|row| continuous(*row)).count();
    (picked_rows(rows, |row| continuous(row) && rows.has_l5(row)), count)
}

/// The rows that are wanted, in order.
pub(crate) fn picked_rows(rows: &TickView<'_>, wanted: impl Fn(usize) -> bool) -> TickTable {
    let mut picked = TickTable::with_capacity(rows.rows());
    let mut from = None;
    for row in 0..=rows.rows() {
        match (from, row < rows.rows() && wanted(row)) {
            (None, true) => from = Some(row),
            (Some(start), false) => {
                picked.extend_from(rows, start..row);
                from = None;
            }
            _ => {}
        }
    }
    picked
}

fn report(
    symbol: String,
    schedule: &Schedule,
    options: MainL5Options,
    days: &[BuiltDay],
    days_outside_schedule: Vec<TradingDay>,
) -> MainL5Report {
    let count = |outcome| days.iter().filter(|d| d.outcome == outcome).count();
    let covered = || schedule.rows().iter().zip(days).filter_map(|(row, day)| Some((row, day.manifest.as_ref()?)));
    let mut segments: Vec<SegmentReport> = Vec::new();
    let mut digest = DigestBuilder::new("main_l5 data set");
    for (row, manifest) in covered() {
        digest.text(&row.date.to_string()).digest(&manifest.sha256);
        match segments.last_mut() {
            Some(s) if s.segment_id == row.segment_id => {
                (s.last_day, s.days, s.rows) = (row.date, s.days + 1, s.rows + manifest.rows);
            }
            _ => segments.push(SegmentReport {
                segment_id: row.segment_id,
                contract: row.main_contract.clone(),
                first_day: row.date,
                last_day: row.date,
                days: 1,
                rows: manifest.rows,
            }),
        }
    }
    let is_missing = |kind| matches!(kind, DayOutcome::EngineeringMissing | DayOutcome::ProviderMissing);
    let missing = schedule.rows().iter().zip(days).filter(|(_, d)| is_missing(d.outcome)).map(|(row, d)| MissingDay {
        trading_day: row.date,
        contract: row.main_contract.clone(),
        segment_id: row.segment_id,
        kind: d.outcome,
    });
    let shallow = |d: &BuiltDay| d.shallow_rows as f64 > DEPTH_WARN_SHARE * d.continuous_rows as f64;
    let before = count(DayOutcome::BeforeFirstL5);
    MainL5Report {
        schedule_hash: schedule.hash().to_owned(),
        expected_days: days.len() - before,
        covered_days: covered().count(),
        built_days: count(DayOutcome::Built),
        restamped_days: count(DayOutcome::Restamped),
        unchanged_days: count(DayOutcome::Unchanged),
        days_before_first_l5: before,
        engineering_missing: count(DayOutcome::EngineeringMissing),
        provider_missing: count(DayOutcome::ProviderMissing),
        missing_sample: missing.take(SAMPLE).collect(),
        missing_days_tolerance: options.missing_days_tolerance,
        rows: covered().map(|(_, m)| m.rows).sum(),
        rows_without_depth: days.iter().map(|d| d.shallow_rows as u64).sum(),
        shallow_days: schedule.rows().iter().zip(days).filter(|(_, d)| shallow(d)).map(|(r, _)| r.date).collect(),
        first_day: covered().next().map(|(r, _)| r.date),
        last_day: covered().next_back().map(|(r, _)| r.date),
        segments,
        days_outside_schedule,
        dataset_digest: digest.finish(),
        symbol,
    }
}
