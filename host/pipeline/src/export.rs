//! Stored rows as a file for other programs: CSV, XLSX or Parquet, with where they come from.
//!
//! Days are read, adjusted and written one after the other: memory holds one day, however long the range.

mod csv;
mod page;
mod xlsx;
mod zip;

pub use page::{RowPlace, RowsForm, RowsPage, RowsQuery, rows_page};

use crate::PipelineError;
use crate::adjust::{Adjustment, SegmentAdjustment, segment_adjustments};
use crate::day_report::resolve;
use crate::validate::json;
use ghtrader_core::{Column, ContractId, Digest, ExchangeTimeNs, Phase, TickTable, TickView, TradingDay, Variety};
use ghtrader_store::{Counting, Dataset, Manifest, Store, TableColumn, TableWriter};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};

/// Rows of a worksheet below its header.
pub const MAX_XLSX_ROWS: u64 = 1_048_575;

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// Text; a missing number is an empty field.
    Csv,
    /// A workbook of two sheets, `rows` and `provenance`.
    Xlsx,
    /// A row group a day; provenance under `ghtrader.provenance` in its metadata.
    Parquet,
}

/// What to export.
#[derive(Debug, Clone)]
pub struct ExportOptions<'a> {
    /// A contract such as `SHFE.cu2602`, or a continuous symbol such as `KQ.m@SHFE.cu`.
    pub symbol: &'a str,
    /// First day; all if absent.
    pub from: Option<TradingDay>,
    /// Last day; all if absent.
    pub to: Option<TradingDay>,
    /// The form.
    pub format: ExportFormat,
    /// What becomes of rolls; a contract has none.
    pub adjust: Adjustment,
    /// Columns beside those that name a row; all if empty.
    pub columns: Vec<Column>,
    /// At most so many rows, the first in order; all if absent.
    pub max_rows: Option<u64>,
    /// Last rows first.
    pub descending: bool,
    /// Writes where the rows come from into the file, where its form has room for it.
    pub provenance: bool,
}

/// A day of an export.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportedDay {
    /// The day.
    pub trading_day: TradingDay,
    /// Rows written.
    pub rows: u64,
    /// Rows stored.
    pub rows_stored: u64,
    /// Digest of the stored rows.
    pub sha256: Digest,
    /// Kind of source.
    pub source: String,
    /// How volumes count.
    pub counting: Counting,
    /// Of `main_l5`: the contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContractId>,
    /// Of `main_l5`: the main schedule up to that day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_hash: Option<String>,
}

/// Where the rows of an export come from. Equal rows give equal text: it holds no clock value and no path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Provenance {
    /// `ticks` or `main_l5`.
    pub dataset: Dataset,
    /// Contract or continuous symbol.
    pub symbol: String,
    /// Hash of the tick schema.
    pub schema: String,
    /// Rows written.
    pub rows: u64,
    /// Rows were left out because of a limit.
    pub truncated: bool,
    /// `asc` or `desc`.
    pub order: &'static str,
    /// Columns, in order.
    pub columns: Vec<String>,
    /// What was done about rolls.
    pub adjust: Adjustment,
    /// The segments of the exported days and what was done to their prices; empty for prices as traded.
    pub segments: Vec<SegmentAdjustment>,
    /// The days, in order.
    pub days: Vec<ExportedDay>,
}

/// One day on its way out.
struct Part<'a> {
    manifest: &'a Manifest,
    rows: &'a TickView<'a>,
    order: &'a [usize],
    columns: &'a [Column],
    /// Contract and segment of a day of `main_l5`.
    underlying: Option<(&'a str, u32)>,
}

impl Part<'_> {
    fn phase(&self, row: usize) -> &'static str {
        Phase::ALL.get(usize::from(self.rows.phase[row])).map_or("", |phase| phase.as_str())
    }

    fn time(&self, row: usize) -> String {
        ExchangeTimeNs(self.rows.ts_ns[row]).to_string()
    }
}

/// Columns that name a row, in front of its values.
fn head(dataset: Dataset) -> Vec<&'static str> {
    let main: &[&str] = if dataset == Dataset::MainL5 { &["underlying_contract", "segment_id"] } else { &[] };
    ["symbol", "trading_day", "seq", "datetime", "datetime_nano", "phase"]
        .into_iter()
        .chain(main.iter().copied())
        .collect()
}

/// A file that takes one day after the other.
enum Sink {
    Csv(BufWriter<File>),
    Xlsx(Box<xlsx::Book>),
    Parquet(Box<TableWriter<File>>),
}

impl Sink {
    fn write(&mut self, part: &Part<'_>) -> Result<(), PipelineError> {
        match self {
            Self::Csv(out) => csv::write(out, part).map_err(|e| PipelineError::unwritten(&e)),
            Self::Xlsx(book) => book.write(part).map_err(|e| PipelineError::unwritten(&e)),
            Self::Parquet(file) => Ok(file.write(table_columns(part))?),
        }
    }
}

/// Writes stored rows into a file that is empty, days in order, and gives where they come from.
///
/// # Errors
/// `bad_symbol`, `days_missing` if no day is in the range, `too_many_rows` for a worksheet, `adjust_needs_main` for a
/// contract, `roll_gap_unknown`, `schedule_mismatch`, `schedule_empty` for an adjustment without a schedule, `disk_full`, `export_unwritten`, and
/// those of the store.
pub fn export(store: &dyn Store, options: &ExportOptions<'_>, file: File) -> Result<Provenance, PipelineError> {
    let (dataset, symbol, variety) = resolve(options.symbol)?;
    let mut days = planned(store, dataset, &symbol, options)?;
    let stored: u64 = days.iter().map(|(_, rows)| rows).sum();
    let most = options.max_rows.unwrap_or(u64::MAX).min(stored);
    if options.format == ExportFormat::Xlsx && most > MAX_XLSX_ROWS {
        return Err(PipelineError::TooManyRows { rows: most, bound: MAX_XLSX_ROWS });
    }
    let (segments, hashes) = segments_of(store, dataset, &variety, options.adjust)?;
    let columns: Vec<Column> =
        if options.columns.is_empty() { Column::floats().collect() } else { options.columns.clone() };
    let names = head(dataset).into_iter().chain(columns.iter().map(|c| c.name()));
    let names: Vec<String> = names.map(str::to_owned).collect();
    let mut sink = match options.format {
        ExportFormat::Csv => {
            let mut out = BufWriter::new(file);
            writeln!(out, "{}", names.join(",")).map_err(|e| PipelineError::unwritten(&e))?;
            Sink::Csv(out)
        }
        ExportFormat::Xlsx => {
            Sink::Xlsx(Box::new(xlsx::Book::new(file, &names).map_err(|e| PipelineError::unwritten(&e))?))
        }
        ExportFormat::Parquet => Sink::Parquet(Box::new(TableWriter::new(format!("an export of {symbol}"), file))),
    };
    if options.descending {
        days.reverse();
    }
    let mut provenance = Provenance {
        dataset,
        symbol: symbol.clone(),
        schema: Column::schema_hash(),
        rows: 0,
        truncated: most < stored,
        order: if options.descending { "desc" } else { "asc" },
        columns: names,
        adjust: options.adjust,
        segments: Vec::new(),
        days: Vec::new(),
    };
    for (day, _) in days {
        let left = usize::try_from(most - provenance.rows).unwrap_or(usize::MAX);
        if left == 0 {
            break;
        }
        let read = store.read_day(dataset, &symbol, day)?;
        let (manifest, rows) = (read.manifest(), read.view());
        let segment = manifest.underlying.as_ref().map(|u| u.segment_id);
        let segment =
            segments.iter().find(|s| Some(s.segment_id) == segment && s.first_day <= day && day <= s.last_day);
        // Factors are those of the schedule at hand: rows that another one chose are not to be moved by them.
        let same = manifest.underlying.as_ref().is_some_and(|u| hashes.get(&day) == Some(&u.schedule_hash));
        if options.adjust != Adjustment::None && (segment.is_none() || !same) {
            return Err(PipelineError::OtherSchedule { symbol, day });
        }
        let adjusted: Option<TickTable> = segment.map(|segment| segment.apply(&rows));
        let rows = adjusted.as_ref().map_or(rows, TickTable::view);
        let mut order: Vec<usize> = (0..rows.rows()).collect();
        if options.descending {
            order.reverse();
        }
        order.truncate(left);
        let underlying = manifest.underlying.as_ref().map(|u| (u.contract.to_string(), u.segment_id));
        let underlying = underlying.as_ref().map(|(contract, segment)| (contract.as_str(), *segment));
        sink.write(&Part { manifest, rows: &rows, order: &order, columns: &columns, underlying })?;
        provenance.rows += order.len() as u64;
        if let Some(segment) = segment.filter(|s| !provenance.segments.contains(s)) {
            provenance.segments.push(segment.clone());
        }
        provenance.days.push(ExportedDay {
            trading_day: day,
            rows: order.len() as u64,
            rows_stored: manifest.rows,
            sha256: manifest.sha256,
            source: manifest.source.clone(),
            counting: manifest.counting,
            contract: manifest.underlying.as_ref().map(|u| u.contract.clone()),
            schedule_hash: manifest.underlying.as_ref().map(|u| u.schedule_hash.clone()),
        });
    }
    finish(sink, &provenance, options.provenance)?;
    Ok(provenance)
}

/// Days of the range with their rows, ascending.
fn planned(
    store: &dyn Store,
    dataset: Dataset,
    symbol: &str,
    options: &ExportOptions<'_>,
) -> Result<Vec<(TradingDay, u64)>, PipelineError> {
    let wanted =
        |day: &TradingDay| options.from.is_none_or(|from| *day >= from) && options.to.is_none_or(|to| *day <= to);
    let mut days = Vec::new();
    for day in store.days(dataset, symbol)?.into_iter().filter(wanted) {
        if let Some(manifest) = store.manifest(dataset, symbol, day)? {
            days.push((day, manifest.rows));
        }
    }
    if days.is_empty() {
        return Err(PipelineError::NothingInRange { symbol: symbol.to_owned(), from: options.from, to: options.to });
    }
    Ok(days)
}

fn segments_of(
    store: &dyn Store,
    dataset: Dataset,
    variety: &Variety,
    adjust: Adjustment,
) -> Result<(Vec<SegmentAdjustment>, BTreeMap<TradingDay, String>), PipelineError> {
    if adjust == Adjustment::None {
        return Ok(Default::default());
    }
    if dataset != Dataset::MainL5 {
        return Err(PipelineError::AdjustNeedsMain);
    }
    let schedule = store.load_schedule(variety)?.ok_or_else(|| PipelineError::Schedule {
        variety: variety.to_string(),
        source: crate::ScheduleError::Empty { reason: "none is stored".to_owned() },
    })?;
    Ok((segment_adjustments(store, &schedule, adjust)?, schedule.hashes()))
}

fn finish(sink: Sink, provenance: &Provenance, with_provenance: bool) -> Result<(), PipelineError> {
    let text = json(provenance).to_string();
    let file = match sink {
        Sink::Csv(out) => out.into_inner().map_err(|e| PipelineError::unwritten(e.error()))?,
        Sink::Xlsx(book) => {
            book.finish(with_provenance.then_some(provenance)).map_err(|e| PipelineError::unwritten(&e))?
        }
        Sink::Parquet(file) => {
            let entries = [("provenance", text)];
            file.finish(if with_provenance { &entries } else { &[] })?
        }
    };
    file.sync_all().map_err(|e| PipelineError::unwritten(&e))
}

fn table_columns<'a>(part: &'a Part<'_>) -> Vec<(&'a str, TableColumn<'a>)> {
    let rows = part.order;
    let all = |text: &'a str| TableColumn::Text(vec![text; rows.len()]);
    let mut columns = vec![
        ("symbol", all(&part.manifest.symbol)),
        ("trading_day", TableColumn::Day(vec![part.manifest.trading_day; rows.len()])),
        ("seq", TableColumn::Count(rows.iter().map(|row| part.rows.seq[*row]).collect())),
        ("datetime", TableColumn::Time(rows.iter().map(|row| part.rows.ts_ns[*row]).collect())),
        ("datetime_nano", TableColumn::Integer(rows.iter().map(|row| part.rows.ts_ns[*row]).collect())),
        ("phase", TableColumn::Text(rows.iter().map(|row| part.phase(*row)).collect())),
    ];
    if let Some((contract, segment)) = part.underlying {
        columns.push(("underlying_contract", all(contract)));
        columns.push(("segment_id", TableColumn::Count(vec![segment; rows.len()])));
    }
    let values = |c: &Column| rows.iter().map(|row| part.rows.float(*c)[*row]).collect();
    columns.extend(part.columns.iter().map(|c| (c.name(), TableColumn::Number(values(c)))));
    columns
}
