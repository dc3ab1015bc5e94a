//! Rows as lines of the line protocol, version 2: numbers with a fraction as eight bytes.
//!
//! A row of ticks has 27 fields, and rows differ in their values alone. So the client library writes one row of a frame, and
//! every row is a copy of that with its values put in: a fraction of the time that the library takes for each.

use super::rows::VALUES;
use crate::frame::{FrameRef, PHASE, SEQ};
use ghtrader_core::Phase;
use questdb::ingress::{Buffer, ColumnName, ProtocolVersion, TableName};
use std::io::{Read, Write as _};
use std::ops::Range;

/// Bytes of rows that are written down at a time: they stay in the processor's cache until they are on their way.
const CHUNK_BYTES: usize = 128 << 10;

/// What all rows of one frame have in common.
pub(super) struct Common<'a> {
    /// Texts that name the rows.
    pub(super) symbols: &'a [(&'static str, &'a str)],
    /// A number that all rows have.
    pub(super) number: Option<(&'static str, i64)>,
}

/// What the rows of a frame look like.
pub(super) struct Shape<'a> {
    frame: &'a FrameRef<'a>,
    /// From the table's name to where the sequence number has to be put; one for each phase if rows have one.
    heads: Vec<Vec<u8>>,
    /// The field behind the sequence number that is the same in all rows.
    number: Vec<u8>,
    /// All fields with floats.
    floats: Vec<u8>,
    /// Where the value of each float has to be put.
    places: Vec<usize>,
}

impl<'a> Shape<'a> {
    pub(super) fn new(table: &str, frame: &'a FrameRef<'a>, common: &Common<'_>) -> questdb::Result<Self> {
        let begun = |phase: Option<Phase>| -> questdb::Result<Buffer> {
            let mut row = Buffer::new(ProtocolVersion::V2);
            row.table(TableName::new(table)?)?;
            for (name, value) in common.symbols {
                row.symbol(ColumnName::new(name)?, value)?;
            }
            if let Some(phase) = phase {
                row.symbol(ColumnName::new(PHASE)?, phase.as_str())?;
            }
            row.column_i64(ColumnName::new(SEQ)?, 0)?;
            Ok(row)
        };
        let phases = if frame.phase.is_some() { Phase::ALL.map(Some).to_vec() } else { vec![None] };
        let mut heads = Vec::new();
        for phase in phases {
            let row = begun(phase)?;
            heads.push(row.as_bytes().strip_suffix(b"0i").unwrap_or_default().to_vec());
        }
        let mut row = begun(None)?;
        let from = row.len();
        if let Some((name, value)) = common.number {
            row.column_i64(ColumnName::new(name)?, value)?;
        }
        let number = row.as_bytes()[from..].to_vec();
        let from = row.len();
        let mut places = Vec::new();
        if frame.phase.is_some() {
            for (name, _) in &frame.floats {
                row.column_f64(ColumnName::new(name)?, 0.0)?;
                places.push(row.len() - from - size_of::<f64>());
            }
        } else {
            // Built columns, whose number and names are free, have one column of lists.
            let width = frame.floats.len();
            row.column_arr(ColumnName::new(VALUES)?, &vec![0.0; width])?;
            let end = row.len() - from;
            places.extend((0..width).map(|i| end - (width - i) * size_of::<f64>()));
        }
        Ok(Self { frame, heads, number, floats: row.as_bytes()[from..].to_vec(), places })
    }

    /// Writes one row down.
    fn write(&self, row: usize, lines: &mut Vec<u8>) -> std::io::Result<()> {
        let head = self.frame.phase.map_or(0, |phase| usize::from(phase[row]));
        lines.extend_from_slice(&self.heads[head]);
        write!(lines, "{}i", self.frame.seq[row])?;
        lines.extend_from_slice(&self.number);
        let from = lines.len();
        lines.extend_from_slice(&self.floats);
        let mut without = false;
        for (place, (_, values)) in self.places.iter().zip(&self.frame.floats) {
            without |= values[row].is_nan();
            let at = from + place;
            lines[at..at + size_of::<f64>()].copy_from_slice(&values[row].to_le_bytes());
        }
        if without && self.frame.phase.is_some() {
            // A column that a row leaves out is null there.
            lines.truncate(from);
            let mut field = 0;
            for (place, (_, values)) in self.places.iter().zip(&self.frame.floats) {
                if !values[row].is_nan() {
                    lines.extend_from_slice(&self.floats[field..*place]);
                    lines.extend_from_slice(&values[row].to_le_bytes());
                }
                field = place + size_of::<f64>();
            }
        }
        writeln!(lines, " {}n", self.frame.ts_ns[row])
    }
}

/// Some rows as lines, written down while the server takes those before them: what is on its way lies in the socket's
/// buffers. A request of any size needs the memory of one chunk.
pub(super) struct Lines<'a> {
    shape: &'a Shape<'a>,
    /// Rows that are not written down yet.
    rows: Range<usize>,
    chunk: Vec<u8>,
    /// Bytes of the chunk that have been read.
    read: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(shape: &'a Shape<'a>, rows: Range<usize>) -> Self {
        Self { shape, rows, chunk: Vec::with_capacity(CHUNK_BYTES * 9 / 8), read: 0 }
    }
}

impl Read for Lines<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.read == self.chunk.len() {
            self.chunk.clear();
            self.read = 0;
            while self.chunk.len() < CHUNK_BYTES
                && let Some(row) = self.rows.next()
            {
                self.shape.write(row, &mut self.chunk)?;
            }
        }
        let taken = (&self.chunk[self.read..]).read(into)?;
        self.read += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use questdb::ingress::TimestampNanos;

    const SYMBOLS: [(&str, &str); 2] = [("symbol", "KQ.m@SHFE.cu"), ("build", "a b,c=d")];

    /// What the client library makes of the same rows.
    fn by_the_library(frame: &FrameRef<'_>, common: &Common<'_>) -> Vec<u8> {
        let mut buffer = Buffer::new(ProtocolVersion::V2);
        for row in 0..frame.rows() {
            buffer.table("t_ticks").unwrap();
            for (name, value) in common.symbols {
                buffer.symbol(*name, value).unwrap();
            }
            if let Some(phase) = frame.phase {
                buffer.symbol(PHASE, Phase::ALL[usize::from(phase[row])].as_str()).unwrap();
            }
            buffer.column_i64(SEQ, i64::from(frame.seq[row])).unwrap();
            if let Some((name, value)) = common.number {
                buffer.column_i64(name, value).unwrap();
            }
            if frame.phase.is_some() {
                for (name, values) in frame.floats.iter().filter(|(_, values)| !values[row].is_nan()) {
                    buffer.column_f64(*name, values[row]).unwrap();
                }
            } else {
                let list: Vec<f64> = frame.floats.iter().map(|(_, values)| values[row]).collect();
                buffer.column_arr(VALUES, &list).unwrap();
            }
            buffer.at(TimestampNanos::new(frame.ts_ns[row])).unwrap();
        }
        buffer.as_bytes().to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        /// D-15: rows go to the server as its own client library writes them.
        #[test]
        fn lines_are_those_of_the_client_library(
            rows in prop::collection::vec((0i64..1 << 60, any::<u32>(), 0u8..5, prop::array::uniform3(any::<f64>())), 1..600),
            with_phase: bool,
            number in prop::option::of(any::<i64>()),
        ) {
            let (ts_ns, seq): (Vec<i64>, Vec<u32>) = rows.iter().map(|r| (r.0, r.1)).unzip();
            let phase: Vec<u8> = rows.iter().map(|r| r.2).collect();
            let columns: [Vec<f64>; 3] = std::array::from_fn(|i| rows.iter().map(|r| r.3[i]).collect());
            let floats = ["last_price", "bid_price1", "x"].into_iter().zip(columns.iter().map(|c| &c[..])).collect();
            let frame = FrameRef { ts_ns: &ts_ns, seq: &seq, phase: with_phase.then_some(&phase[..]), floats };
            let common = Common { symbols: &SYMBOLS, number: number.map(|n| ("segment_id", n)) };
            let shape = Shape::new("t_ticks", &frame, &common).unwrap();
            let mut lines = Vec::new();
            for part in [0..rows.len() / 2, rows.len() / 2..rows.len()] {
                Lines::new(&shape, part).read_to_end(&mut lines).unwrap();
            }
            prop_assert_eq!(lines, by_the_library(&frame, &common));
        }
    }
}
