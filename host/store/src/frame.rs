//! Rows as columns inside the store: what every kind of file holds.

use crate::cache::checksum;
use crate::{NamedColumn, StoreError};
use arrow_buffer::{ScalarBuffer, ToByteSlice as _};
use ghtrader_core::{Column, Phase, TICK_COLUMNS, TickView};

/// Columns that every file has, beside its floats.
pub(crate) const DATETIME: &str = "datetime";
pub(crate) const SEQ: &str = "seq";
pub(crate) const PHASE: &str = "phase";

/// A column with one value for the whole day.
pub(crate) enum Constant {
    Text(&'static str, String),
    Number(&'static str, u32),
}

/// Borrowed rows on their way to a file. All slices have one length.
pub(crate) struct FrameRef<'a> {
    pub(crate) ts_ns: &'a [i64],
    pub(crate) seq: &'a [u32],
    /// Ticks have a phase, built columns have none.
    pub(crate) phase: Option<&'a [u8]>,
    pub(crate) floats: Vec<(&'a str, &'a [f64])>,
}

impl<'a> FrameRef<'a> {
    pub(crate) fn of_ticks(ticks: &TickView<'a>) -> Self {
        let floats = Column::floats().map(|c| (c.name(), ticks.float(c))).collect();
        Self { ts_ns: ticks.ts_ns, seq: ticks.seq, phase: Some(ticks.phase), floats }
    }

    pub(crate) fn of_columns(ts_ns: &'a [i64], seq: &'a [u32], columns: &[NamedColumn<'a>]) -> Self {
        Self { ts_ns, seq, phase: None, floats: columns.iter().map(|c| (c.name, c.values)).collect() }
    }

    pub(crate) fn rows(&self) -> usize {
        self.ts_ns.len()
    }

    /// A checksum against accidents over all values, any NaN equal to any other: 16 hex digits.
    pub(crate) fn checksum(&self) -> String {
        let mut words: Vec<u64> = Vec::with_capacity(self.rows() + 8);
        let mut sum = self.rows() as u64;
        let mut add = |column: &mut dyn Iterator<Item = u64>| {
            words.clear();
            words.extend(column);
            words.resize(words.len().next_multiple_of(8), 0);
            sum = sum.rotate_left(23).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ checksum(words.to_byte_slice());
        };
        add(&mut self.ts_ns.iter().map(|v| v.cast_unsigned()));
        add(&mut self.seq.iter().map(|v| u64::from(*v)));
        if let Some(phase) = self.phase {
            add(&mut phase.iter().map(|v| u64::from(*v)));
        }
        for (_, values) in &self.floats {
            add(&mut values.iter().map(|v| if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() }));
        }
        format!("{sum:016x}")
    }

    /// Refuses rows that no reader should ever see.
    pub(crate) fn check(&self, what: &str) -> Result<(), StoreError> {
        let refuse = |why: String| Err(StoreError::BadTable { what: what.to_owned(), why });
        let rows = self.rows();
        if rows == 0 {
            return refuse("it has no rows".into());
        }
        if rows > u32::MAX as usize {
            return refuse(format!("it has {rows} rows, at most {} fit", u32::MAX));
        }
        let lengths = [(SEQ, self.seq.len())].into_iter().chain(self.phase.map(|p| (PHASE, p.len())));
        for (name, len) in lengths.chain(self.floats.iter().map(|(n, c)| (*n, c.len()))) {
            if len != rows {
                return refuse(format!("column {name} has {len} rows, datetime has {rows}"));
            }
        }
        if let Some(i) = self.ts_ns.windows(2).position(|w| w[1] < w[0]) {
            return refuse(format!(
                "time goes back at row {}, from {} to {} ns",
                i + 1,
                self.ts_ns[i],
                self.ts_ns[i + 1]
            ));
        }
        if let Some(i) = self.seq.windows(2).position(|w| w[1] <= w[0]) {
            return refuse(format!(
                "seq must grow, at row {} it goes from {} to {}",
                i + 1,
                self.seq[i],
                self.seq[i + 1]
            ));
        }
        let highest = Phase::ALL.len() as u8 - 1;
        if let Some(i) = self.phase.and_then(|p| p.iter().position(|v| *v > highest)) {
            return refuse(format!("row {i} has phase {}, the highest is {highest}", self.phase.map_or(0, |p| p[i])));
        }
        Ok(())
    }
}

/// Rows that were read: owned, or slices of a mapped file that they keep alive.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) ts_ns: ScalarBuffer<i64>,
    pub(crate) seq: ScalarBuffer<u32>,
    pub(crate) phase: Option<ScalarBuffer<u8>>,
    pub(crate) floats: Vec<ScalarBuffer<f64>>,
}

impl Frame {
    pub(crate) fn rows(&self) -> usize {
        self.ts_ns.len()
    }

    /// Equal to the bit, NaN included.
    pub(crate) fn same_bits(&self, other: &Self) -> bool {
        let bits =
            |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits());
        self.ts_ns == other.ts_ns
            && self.seq == other.seq
            && self.phase == other.phase
            && self.floats.len() == other.floats.len()
            && self.floats.iter().zip(&other.floats).all(|(a, b)| bits(a, b))
    }

    /// The same rows on their way to a file, the floats under these names.
    pub(crate) fn borrowed<'a>(&'a self, names: &'a [String]) -> FrameRef<'a> {
        FrameRef {
            ts_ns: &self.ts_ns,
            seq: &self.seq,
            phase: self.phase.as_deref(),
            floats: names.iter().map(String::as_str).zip(self.floats.iter().map(|c| &c[..])).collect(),
        }
    }

    /// The rows as ticks; empty slices stand for columns that a frame of built columns lacks.
    pub(crate) fn tick_view(&self) -> TickView<'_> {
        let column = |i: usize| self.floats.get(i).map_or(&[][..], |c| c);
        TickView {
            ts_ns: &self.ts_ns,
            seq: &self.seq,
            phase: self.phase.as_deref().unwrap_or(&[]),
            floats: std::array::from_fn::<_, { TICK_COLUMNS - 1 }, _>(column),
        }
    }
}

/// Names of the floats of a tick file, in order.
pub(crate) fn tick_float_names() -> Vec<String> {
    Column::floats().map(|c| c.name().to_owned()).collect()
}
