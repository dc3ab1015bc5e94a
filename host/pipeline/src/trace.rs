//! The lineage of one row: its values, what it lies in, what that was made from, down to the line of a file.

use crate::PipelineError;
use crate::day_report::resolve;
use crate::lineage::{DayLineage, SourceFile};
use crate::main_l5::build_digest;
use ghtrader_core::{Column, ContractId, Digest, ExchangeTimeNs, Phase, TradingDay};
use ghtrader_store::{Counting, Dataset, Manifest, ScheduleRow, Store, StoreError, TickDay};
use serde::Serialize;
use std::collections::BTreeMap;

/// A row with everything that decided it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowTrace {
    /// The row that was asked for.
    #[serde(flatten)]
    pub row: TracedRow,
    /// Of a row of `main_l5`: what it was made from.
    pub made_from: Option<MadeFrom>,
}

/// A stored row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TracedRow {
    /// `ticks` or `main_l5`.
    pub dataset: Dataset,
    /// Contract or continuous symbol.
    pub symbol: String,
    /// Trading day.
    pub trading_day: TradingDay,
    /// Number in the symbol-day.
    pub seq: u32,
    /// Exchange time, Shanghai.
    pub time: String,
    /// Exchange time, ns since the epoch.
    pub ts_ns: i64,
    /// Part of the day.
    pub phase: Phase,
    /// Values by column; null where the source had none.
    pub values: BTreeMap<&'static str, Option<f64>>,
    /// Digest of the symbol-day's rows.
    pub sha256: Digest,
    /// Digest of everything that decided these rows: input bytes and rules.
    pub build: Digest,
    /// Hash of the tick schema.
    pub schema: String,
    /// Kind of source.
    pub source: String,
    /// How volumes count.
    pub counting: Counting,
    /// The line that the row was read from; none for rows that were not read from a file, such as a synthetic market's, or
    /// that were imported before lines were kept.
    pub line: Option<SourceLine>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceLine {
    /// The file.
    pub file: SourceFile,
    /// The line, from 1; the header counts.
    pub line: u64,
}

/// What a row of `main_l5` was made from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MadeFrom {
    /// The contract that was main.
    pub contract: ContractId,
    /// Its segment.
    pub segment_id: u32,
    /// Hash of the main schedule up to that day, as the row was stamped.
    pub schedule_hash: String,
    /// The schedule that is stored now says the same of that day.
    pub schedule_holds: bool,
    /// The ticks that are stored now are those that the day was built from.
    pub build_holds: bool,
    /// The values are those of the contract's row.
    pub same_values: bool,
    /// The contract's row; none if its day is not stored any more.
    pub row: Option<TracedRow>,
}

/// Traces one row of a contract such as `SHFE.cu2602`, or of a continuous symbol such as `KQ.m@SHFE.cu`.
///
/// # Errors
/// `bad_symbol`, `days_missing`, `row_missing`, and those of the store.
pub fn trace_row(store: &dyn Store, symbol: &str, day: TradingDay, seq: u32) -> Result<RowTrace, PipelineError> {
    let (dataset, symbol, variety) = resolve(symbol)?;
    let rows = store.read_day(dataset, &symbol, day)?;
    let row = traced(store, &rows, seq)?;
    let Some(underlying) = rows.manifest().underlying.clone() else { return Ok(RowTrace { row, made_from: None }) };
    let contract = underlying.contract.to_string();
    let source = match store.read_day(Dataset::Ticks, &contract, day) {
        Err(StoreError::DayMissing { .. }) => None,
        other => Some(other?),
    };
    let from = source.as_ref().map(|rows| traced(store, rows, seq)).transpose()?;
    let of_day =
        ScheduleRow { date: day, main_contract: underlying.contract.clone(), segment_id: underlying.segment_id };
    let is_build = |m: &Manifest| build_digest(&of_day, m) == row.build;
    let hashes = store.load_schedule(&variety)?.map(|schedule| schedule.hashes()).unwrap_or_default();
    let made_from = MadeFrom {
        schedule_holds: hashes.get(&day) == Some(&underlying.schedule_hash),
        build_holds: source.as_ref().is_some_and(|rows| is_build(rows.manifest())),
        same_values: from.as_ref().is_some_and(|from| (from.ts_ns, &from.values) == (row.ts_ns, &row.values)),
        contract: underlying.contract,
        segment_id: underlying.segment_id,
        schedule_hash: underlying.schedule_hash,
        row: from,
    };
    Ok(RowTrace { row, made_from: Some(made_from) })
}

fn traced(store: &dyn Store, day: &TickDay, seq: u32) -> Result<TracedRow, PipelineError> {
    let (rows, manifest) = (day.view(), day.manifest());
    let at = rows.seq.binary_search(&seq).map_err(|_| {
        let (first, last) = (rows.seq.first().copied().unwrap_or(0), rows.seq.last().copied().unwrap_or(0));
        let whole = (last - first) as usize + 1 == rows.rows();
        PipelineError::RowMissing {
            symbol: manifest.symbol.clone(),
            day: manifest.trading_day,
            seq,
            first,
            last,
            gaps: if whole { "" } else { ", some left out" },
        }
    })?;
    let lineage = DayLineage::load(store, manifest)?;
    let line = lineage.as_ref().and_then(|lineage| lineage.origin(seq));
    Ok(TracedRow {
        dataset: manifest.dataset,
        symbol: manifest.symbol.clone(),
        trading_day: manifest.trading_day,
        seq,
        time: ExchangeTimeNs(rows.ts_ns[at]).to_string(),
        ts_ns: rows.ts_ns[at],
        phase: Phase::ALL.get(usize::from(rows.phase[at])).copied().unwrap_or(Phase::Closed),
        values: Column::floats().map(|c| (c.name(), Some(rows.float(c)[at]).filter(|v| !v.is_nan()))).collect(),
        sha256: manifest.sha256,
        build: manifest.build,
        schema: manifest.schema.clone(),
        source: manifest.source.clone(),
        counting: manifest.counting,
        line: line.map(|(file, line)| SourceLine { file: file.clone(), line }),
    })
}
