//! Rows on their way to the server by the line protocol, and back from it as a Parquet file.

use super::lines::{Common, Lines, Shape};
use super::server::Server;
use crate::StoreError;
use crate::frame::{DATETIME, Frame, FrameRef, PHASE, SEQ};
use crate::parquet_file::{nan_for_null, phase_number};
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, ListArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_buffer::ScalarBuffer;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Rows below which a request is not divided: each is a commit of its own.
const FEWEST_ROWS: usize = 10_000;

/// How many rows go at a time.
#[derive(Debug)]
pub(super) struct Batch {
    /// Rows of a request, at most.
    pub(super) rows: usize,
    /// Requests with rows that this store has under way at a time; each writer may have one in any case.
    pub(super) requests: usize,
    /// Those that are.
    pub(super) busy: AtomicUsize,
}

/// Requests that a writer has taken for itself, until this is dropped.
struct Taken<'a> {
    busy: &'a AtomicUsize,
    requests: usize,
}

impl Batch {
    /// Takes what nobody else has.
    fn take(&self) -> Taken<'_> {
        let free = |busy: usize| self.requests.saturating_sub(busy).max(1);
        let before = self.busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |busy| Some(busy + free(busy)));
        let (Ok(before) | Err(before)) = before;
        Taken { busy: &self.busy, requests: free(before) }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.busy.fetch_sub(self.requests, Ordering::Relaxed);
    }
}

/// The column of a frame of built columns.
pub(super) const VALUES: &str = "vals";

/// Sends all rows of a frame, `batch.rows` in a request, as many at a time as nobody else uses. Sending them again changes
/// nothing, and neither does their order.
pub(super) fn send_rows(
    server: &Server,
    table: &str,
    frame: &FrameRef<'_>,
    common: &Common<'_>,
    batch: &Batch,
) -> Result<(), StoreError> {
    let rows = frame.rows();
    let shape = Shape::new(table, frame, common).map_err(|e| server.refused(table, e.msg()))?;
    // The server works on each request with one thread.
    let taken = batch.take();
    let step = rows.div_ceil(taken.requests).max(FEWEST_ROWS).min(batch.rows.max(1));
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), StoreError> {
        loop {
            let first = next.fetch_add(step, Ordering::Relaxed);
            if first >= rows {
                return Ok(());
            }
            let part = first..rows.min(first + step);
            let sent = server.write(table, || Lines::new(&shape, part.clone()));
            if sent.is_err() {
                next.store(rows, Ordering::Relaxed);
                return sent;
            }
        }
    };
    std::thread::scope(|scope| {
        let helpers = taken.requests.min(rows.div_ceil(step)).saturating_sub(1);
        let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
        let mine = work();
        let theirs = helpers.into_iter().map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        // All of them are waited for, whatever the first one says.
        theirs.fold(mine, Result::and)
    })
}

/// The rows of an export, in the order of their sequence. Its columns are `datetime`, `seq`, then `phase` and the floats of
/// ticks, or the list of built columns.
pub(super) fn decode(file: Bytes, with_phase: bool, floats: &[String]) -> Result<Frame, ParquetError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?;
    let rows = usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    let reader = builder.with_batch_size(rows.max(1)).build()?;
    let (mut ts_ns, mut seq, mut phase) =
        (Vec::with_capacity(rows), Vec::<u32>::with_capacity(rows), Vec::<u8>::with_capacity(rows));
    let mut values: Vec<Vec<f64>> = floats.iter().map(|_| Vec::with_capacity(rows)).collect();
    for batch in reader {
        let batch = batch?;
        ts_ns.extend_from_slice(
            typed::<PrimitiveArray<TimestampNanosecondType>>(&batch, DATETIME)?
                .reinterpret_cast::<Int64Type>()
                .values(),
        );
        let numbers = typed::<PrimitiveArray<Int64Type>>(&batch, SEQ)?;
        for number in numbers.iter() {
            let number = number.and_then(|n| u32::try_from(n).ok());
            seq.push(number.ok_or_else(|| ParquetError::General("a row has no sequence number".into()))?);
        }
        if with_phase {
            for text in typed::<StringArray>(&batch, PHASE)? {
                let number = text.and_then(phase_number);
                phase.push(number.ok_or_else(|| ParquetError::General("it has an unknown phase".into()))?);
            }
            for (name, values) in floats.iter().zip(&mut values) {
                values.extend_from_slice(&nan_for_null(typed::<PrimitiveArray<Float64Type>>(&batch, name)?));
            }
        } else {
            lists(&batch, &mut values)?;
        }
    }
    Ok(in_order(ts_ns, seq, with_phase.then_some(phase), values))
}

/// The texts of a column of an export, nulls left out.
pub(super) fn decode_texts(file: Bytes, column: &str) -> Result<Vec<String>, ParquetError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let mut texts = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?.build()? {
        texts.extend(typed::<StringArray>(&batch?, column)?.iter().flatten().map(str::to_owned));
    }
    Ok(texts)
}

/// Spreads a column of lists over the columns that they are rows of.
fn lists(batch: &RecordBatch, columns: &mut [Vec<f64>]) -> Result<(), ParquetError> {
    let lists = typed::<ListArray>(batch, VALUES)?;
    let width = columns.len();
    let wrong = || ParquetError::General(format!("a row does not have {width} values"));
    for row in 0..lists.len() {
        if lists.is_null(row) {
            return Err(wrong());
        }
        let list = lists.value(row);
        let list = list.as_any().downcast_ref::<PrimitiveArray<Float64Type>>().ok_or_else(wrong)?;
        if list.len() != width {
            return Err(wrong());
        }
        for (column, value) in columns.iter_mut().zip(list.iter()) {
            column.push(value.unwrap_or(f64::NAN));
        }
    }
    Ok(())
}

fn typed<'a, A: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a A, ParquetError> {
    let array = batch.column_by_name(name).and_then(|a| a.as_any().downcast_ref::<A>());
    array.ok_or_else(|| ParquetError::General(format!("its column {name} is missing or has another type")))
}

/// The server keeps rows by time and has no word on the order of equal times.
fn in_order(ts_ns: Vec<i64>, seq: Vec<u32>, phase: Option<Vec<u8>>, floats: Vec<Vec<f64>>) -> Frame {
    if seq.is_sorted() {
        return Frame {
            ts_ns: ts_ns.into(),
            seq: seq.into(),
            phase: phase.map(ScalarBuffer::from),
            floats: floats.into_iter().map(ScalarBuffer::from).collect(),
        };
    }
    let mut order: Vec<usize> = (0..seq.len()).collect();
    order.sort_by_key(|row| seq[*row]);
    Frame {
        ts_ns: order.iter().map(|row| ts_ns[*row]).collect(),
        seq: order.iter().map(|row| seq[*row]).collect(),
        phase: phase.map(|phase| order.iter().map(|row| phase[*row]).collect()),
        floats: floats.iter().map(|column| order.iter().map(|row| column[*row]).collect()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_takes_what_nobody_else_has() {
        let batch = Batch { rows: 1, requests: 3, busy: AtomicUsize::new(0) };
        let first = batch.take();
        assert_eq!((first.requests, batch.take().requests), (3, 1));
        drop(first);
        let all = batch.take().requests;
        assert_eq!((all, batch.busy.load(Ordering::Relaxed)), (3, 0));
    }

    #[test]
    fn rows_come_back_in_the_order_of_their_sequence() {
        let frame = in_order(vec![7, 7, 5], vec![4, 3, 1], Some(vec![0, 1, 2]), vec![vec![4.0, 3.0, 1.0]]);
        assert_eq!((&frame.ts_ns[..], &frame.seq[..]), (&[5, 7, 7][..], &[1, 3, 4][..]));
        assert_eq!((frame.phase.as_deref(), &frame.floats[0][..]), (Some(&[2, 1, 0][..]), &[1.0, 3.0, 4.0][..]));
    }
}
