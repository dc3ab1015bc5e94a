//! Puts the rows of one symbol-day together: from pieces and files to numbered rows with their phase.

use crate::DayPart;
use ghtrader_core::{Column, ContractId, DayPhases, TickTable, TickView, TradingDay};
use std::ops::Range;

/// Where rows come from: those from `row` on, up to the next run's, stand in one file from a line on, one a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineRun {
    /// The first row.
    pub row: u32,
    /// The file by its place among those that were put together.
    pub file: u32,
    /// The first row's line, from 1; the header counts.
    pub line: u64,
}

impl LineRun {
    /// Notes that the next row is this one; goes on with the last run where it can.
    #[inline]
    pub(crate) fn note(runs: &mut Vec<Self>, row: u32, file: u32, line: u64) {
        let goes_on = |last: &Self| last.file == file && last.line + u64::from(row - last.row) == line;
        if !runs.last().is_some_and(goes_on) {
            runs.push(Self { row, file, line });
        }
    }

    /// File and line of a row, `None` for one that no run covers.
    pub fn origin(runs: &[Self], row: u32) -> Option<(u32, u64)> {
        let run = runs.get(runs.partition_point(|run| run.row <= row).checked_sub(1)?)?;
        Some((run.file, run.line + u64::from(row - run.row)))
    }
}

/// What is unusual about the rows of a symbol-day. They are kept and counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayFindings {
    /// Rows whose best bid is above the best ask.
    pub crossed_rows: u64,
    /// Rows with a negative book or last price.
    pub negative_price_rows: u64,
    /// Rows whose cumulative volume is below that of the row before.
    pub volume_falls: u64,
}

/// The rows of one contract on one trading day, in final order.
#[derive(Debug, Clone, PartialEq)]
pub struct SymbolDay {
    /// The contract.
    pub contract: ContractId,
    /// The trading day.
    pub day: TradingDay,
    /// Rows with `seq` from 0 and `phase`.
    pub ticks: TickTable,
    /// Which line of which file each row is.
    pub lines: Vec<LineRun>,
    /// Rows that stood in more than one file, dropped.
    pub duplicates: u64,
    /// What is unusual about the rows.
    pub findings: DayFindings,
}

impl SymbolDay {
    /// Puts together what several files hold of one symbol-day.
    ///
    /// Inside a file rows are in order of time, files may overlap. Rows of equal time keep the order of arrival: earlier
    /// files first; a row that an earlier file has too is dropped.
    pub fn assemble(contract: &ContractId, phases: &DayPhases, files: Vec<DayPart>) -> Self {
        let mut duplicates = 0;
        let mut rows = Traced::default();
        for (number, part) in (0..).zip(files) {
            let runs = part.lines.into_iter().map(|run| LineRun { file: number, ..run }).collect();
            let file = Traced { table: join(part.pieces), runs };
            if rows.table.rows() == 0 {
                rows = file;
            } else if file.table.rows() > 0 {
                let (merged, dropped) = merge(&rows, &file);
                rows = merged;
                duplicates += dropped;
            }
        }
        let Traced { table: mut ticks, runs: lines } = rows;
        ticks.seq = (0..ticks.rows() as u32).collect();
        ticks.phase = ticks.ts_ns.iter().map(|t| phases.phase(*t) as u8).collect();
        let findings = DayFindings::of(&ticks.view());
        Self { contract: contract.clone(), day: phases.day(), ticks, lines, duplicates, findings }
    }
}

impl DayFindings {
    /// Counts over the rows of one trading day, in order.
    pub fn of(rows: &TickView<'_>) -> Self {
        let (bid, ask) = (rows.float(Column::bid_price(0)), rows.float(Column::ask_price(0)));
        let volume = rows.float(Column::Volume);
        let prices: Vec<&[f64]> = Column::floats()
            .filter(|c| c.is_price() && !matches!(*c, Column::Average | Column::Highest | Column::Lowest))
            .map(|c| rows.float(c))
            .collect();
        Self {
            crossed_rows: bid.iter().zip(ask).filter(|(b, a)| b > a).count() as u64,
            negative_price_rows: (0..rows.rows()).filter(|r| prices.iter().any(|c| c[*r] < 0.0)).count() as u64,
            volume_falls: volume.windows(2).filter(|w| w[1] < w[0]).count() as u64,
        }
    }
}

/// One table of pieces that follow each other.
fn join(mut pieces: Vec<TickTable>) -> TickTable {
    if pieces.len() == 1
        && let Some(only) = pieces.pop()
    {
        return only;
    }
    let mut table = unnumbered(pieces.iter().map(TickTable::rows).sum());
    for piece in &pieces {
        append(&mut table, piece, 0..piece.rows());
    }
    table
}

/// An empty table with room for `rows`, but for sequence and phase, which come when the symbol-day is complete.
pub(crate) fn unnumbered(rows: usize) -> TickTable {
    TickTable {
        ts_ns: Vec::with_capacity(rows),
        seq: Vec::new(),
        phase: Vec::new(),
        floats: std::array::from_fn(|_| Vec::with_capacity(rows)),
    }
}

/// Rows, and where they stand.
#[derive(Default)]
struct Traced {
    table: TickTable,
    runs: Vec<LineRun>,
}

impl Traced {
    fn append(&mut self, from: &Self, range: Range<usize>) {
        let (mut row, before) = (range.start as u32, self.table.rows() as u32);
        while (row as usize) < range.end {
            let next = from.runs.partition_point(|run| run.row <= row);
            if let Some((file, line)) = LineRun::origin(&from.runs, row) {
                LineRun::note(&mut self.runs, before + row - range.start as u32, file, line);
            }
            row = from.runs.get(next).map_or(u32::MAX, |run| run.row);
        }
        append(&mut self.table, &from.table, range);
    }
}

fn append(table: &mut TickTable, rows: &TickTable, range: Range<usize>) {
    table.ts_ns.extend_from_slice(&rows.ts_ns[range.clone()]);
    for (to, from) in table.floats.iter_mut().zip(&rows.floats) {
        to.extend_from_slice(&from[range.clone()]);
    }
}

/// Merges by time, `a` first where times are equal; rows of `b` that `a` has too are dropped and counted.
fn merge(a: &Traced, b: &Traced) -> (Traced, u64) {
    let (first, second) = (&a.table, &b.table);
    let mut out = Traced { table: unnumbered(first.rows() + second.rows()), runs: Vec::new() };
    if first.ts_ns.last() < second.ts_ns.first() {
        out.append(a, 0..first.rows());
        out.append(b, 0..second.rows());
        return (out, 0);
    }
    let (mut i, mut j, mut dropped) = (0, 0, 0);
    while j < second.rows() {
        let until = i + first.ts_ns[i..].partition_point(|t| *t <= second.ts_ns[j]);
        out.append(a, i..until);
        i = until;
        // Rows of `b` up to the next one of `a`.
        let next = first.ts_ns.get(i).copied().unwrap_or(i64::MAX);
        let end = j + second.ts_ns[j..].partition_point(|t| *t < next);
        for row in j..end {
            let same_time = first.ts_ns[..i].iter().rposition(|t| *t < second.ts_ns[row]).map_or(0, |p| p + 1)..i;
            let known = same_time
                .into_iter()
                .any(|r| first.floats.iter().zip(&second.floats).all(|(ca, cb)| ca[r].to_bits() == cb[row].to_bits()));
            if known {
                dropped += 1;
            } else {
                out.append(b, row..row + 1);
            }
        }
        j = end;
    }
    out.append(a, i..first.rows());
    (out, dropped)
}

/// Numbers the rows of symbol-days in order of arrival, from 0 in each trading day; `None` for a row that is earlier than
/// the last numbered one of its day and has to be quarantined as `time_backwards`. Stamps are never moved.
pub fn assign_sequence(rows: &[(i64, TradingDay)]) -> Vec<Option<u32>> {
    let mut days: std::collections::BTreeMap<TradingDay, (u32, i64)> = std::collections::BTreeMap::new();
    rows.iter()
        .map(|(ts_ns, day)| {
            let (next, last) = days.entry(*day).or_insert((0, i64::MIN));
            (*ts_ns >= *last).then(|| {
                *last = *ts_ns;
                *next += 1;
                *next - 1
            })
        })
        .collect()
}

/// Volume fell inside a trading day.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("cumulative volume falls from {from_lots} to {to_lots} lots in row {row} of trading day {day}")]
pub struct VolumeFall {
    /// Row, from 0.
    pub row: usize,
    /// Its trading day.
    pub day: TradingDay,
    /// Value before.
    pub from_lots: f64,
    /// Value of the row.
    pub to_lots: f64,
}

/// Lots traded per row from cumulative volume, and whether the row is the first of its trading day.
///
/// The first row of a day counts from 0, even if its value is above that of the day before; the first row of a stream
/// that starts inside a day is NaN and no first of day.
///
/// # Errors
/// `VolumeFall` at the first smaller value inside one trading day.
pub fn cumulative_delta(
    rows: &[(f64, TradingDay)],
    starts_inside_day: bool,
) -> Result<(Vec<f64>, Vec<bool>), VolumeFall> {
    let mut deltas = Vec::with_capacity(rows.len());
    let mut firsts = Vec::with_capacity(rows.len());
    for (row, &(value, day)) in rows.iter().enumerate() {
        let before = row.checked_sub(1).map(|r| rows[r]).filter(|(_, d)| *d == day);
        let (delta, first) = match before {
            Some((from_lots, _)) if value < from_lots => {
                return Err(VolumeFall { row, day, from_lots, to_lots: value });
            }
            Some((from_lots, _)) => (value - from_lots, false),
            None if row == 0 && starts_inside_day => (f64::NAN, false),
            None => (value, true),
        };
        deltas.push(delta);
        firsts.push(first);
    }
    Ok((deltas, firsts))
}
