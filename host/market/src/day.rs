//! Puts the rows of one symbol-day together: from pieces and files to numbered rows with their phase.

use ghtrader_core::{Column, ContractId, DayPhases, TickTable, TickView, TradingDay};

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
    /// Rows that stood in more than one file, dropped.
    pub duplicates: u64,
    /// What is unusual about the rows.
    pub findings: DayFindings,
}

impl SymbolDay {
    /// Puts together what several files hold of one symbol-day.
    ///
    /// `files` lists the pieces of each file; inside a file rows are in order of time, files may overlap. Rows of equal
    /// time keep the order of arrival: earlier files first; a row that an earlier file has too is dropped.
    pub fn assemble(contract: &ContractId, phases: &DayPhases, files: Vec<Vec<TickTable>>) -> Self {
        let mut duplicates = 0;
        let mut ticks = TickTable::default();
        for pieces in files {
            let file = join(pieces);
            if ticks.rows() == 0 {
                ticks = file;
            } else if file.rows() > 0 {
                let (merged, dropped) = merge(&ticks, &file);
                ticks = merged;
                duplicates += dropped;
            }
        }
        ticks.seq = (0..ticks.rows() as u32).collect();
        ticks.phase = ticks.ts_ns.iter().map(|t| phases.phase(*t) as u8).collect();
        let findings = DayFindings::of(&ticks.view());
        Self { contract: contract.clone(), day: phases.day(), ticks, duplicates, findings }
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

fn append(table: &mut TickTable, rows: &TickTable, range: std::ops::Range<usize>) {
    table.ts_ns.extend_from_slice(&rows.ts_ns[range.clone()]);
    for (to, from) in table.floats.iter_mut().zip(&rows.floats) {
        to.extend_from_slice(&from[range.clone()]);
    }
}

/// Merges by time, `a` first where times are equal; rows of `b` that `a` has too are dropped and counted.
fn merge(a: &TickTable, b: &TickTable) -> (TickTable, u64) {
    let mut out = unnumbered(a.rows() + b.rows());
    if a.ts_ns.last() < b.ts_ns.first() {
        append(&mut out, a, 0..a.rows());
        append(&mut out, b, 0..b.rows());
        return (out, 0);
    }
    let (mut i, mut j, mut dropped) = (0, 0, 0);
    while j < b.rows() {
        let until = i + a.ts_ns[i..].partition_point(|t| *t <= b.ts_ns[j]);
        append(&mut out, a, i..until);
        i = until;
        // Rows of `b` up to the next one of `a`.
        let next = a.ts_ns.get(i).copied().unwrap_or(i64::MAX);
        let end = j + b.ts_ns[j..].partition_point(|t| *t < next);
        for row in j..end {
            let same_time = a.ts_ns[..i].iter().rposition(|t| *t < b.ts_ns[row]).map_or(0, |p| p + 1)..i;
            let known = same_time
                .into_iter()
                .any(|r| a.floats.iter().zip(&b.floats).all(|(ca, cb)| ca[r].to_bits() == cb[row].to_bits()));
            if known {
                dropped += 1;
            } else {
                append(&mut out, b, row..row + 1);
            }
        }
        j = end;
    }
    append(&mut out, a, i..a.rows());
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
