//! Rows on their way to the server by the line protocol, and back from it as a Parquet file.

use super::server::Server;
use crate::StoreError;
use crate::frame::{DATETIME, Frame, FrameRef, PHASE, SEQ};
use crate::parquet_file::{nan_for_null, phase_number};
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, ListArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_buffer::ScalarBuffer;
use bytes::Bytes;
use ghtrader_core::Phase;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use questdb::ingress::{Buffer, ColumnName, ProtocolVersion, TableName, TimestampNanos};
use std::sync::mpsc::{channel, sync_channel};

/// Bytes of a request above which rows go into the next one, however few they are.
const REQUEST_BYTES: usize = 64 << 20;

/// The column of a frame of built columns.
pub(super) const VALUES: &str = "vals";

/// What all rows of one frame have in common.
pub(super) struct Common<'a> {
    /// Texts that name the rows.
    pub(super) symbols: &'a [(&'static str, &'a str)],
    /// A number that all rows have.
    pub(super) number: Option<(&'static str, i64)>,
}

/// Sends all rows of a frame, some at a time: while some are on their way, the next ones are written down. Sending them again
/// changes nothing.
pub(super) fn send_rows(
    server: &Server,
    table: &str,
    frame: &FrameRef<'_>,
    common: &Common<'_>,
    batch_rows: usize,
) -> Result<(), StoreError> {
    std::thread::scope(|scope| {
        let (full, taken) = sync_channel::<Buffer>(0);
        let (empty, given_back) = channel();
        let sender = scope.spawn(move || {
            for mut buffer in taken {
                server.send(table, &buffer)?;
                buffer.clear();
                // Nobody may want it back any more.
                let _ = empty.send(buffer);
            }
            Ok(())
        });
        let mut buffer = Buffer::new(ProtocolVersion::V2);
        // Ticks have a column a value; built columns, whose number and names are free, have one column of lists.
        let mut list = vec![0.0; frame.floats.len()];
        for row in 0..frame.rows() {
            write_row(&mut buffer, table, frame, common, row, &mut list).map_err(|e| server.refused(table, e.msg()))?;
            let last = row + 1 == frame.rows();
            if last || buffer.row_count() >= batch_rows || buffer.len() >= REQUEST_BYTES {
                let next = given_back.try_recv().unwrap_or_else(|_| Buffer::new(ProtocolVersion::V2));
                if full.send(std::mem::replace(&mut buffer, next)).is_err() {
                    // The sender has ended with an error, which is told below.
                    break;
                }
            }
        }
        drop(full);
        sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn write_row(
    buffer: &mut Buffer,
    table: &str,
    frame: &FrameRef<'_>,
    common: &Common<'_>,
    row: usize,
    list: &mut [f64],
) -> questdb::Result<()> {
    buffer.table(TableName::new_unchecked(table))?;
    for (name, value) in common.symbols {
        buffer.symbol(ColumnName::new_unchecked(name), value)?;
    }
    if let Some(phase) = frame.phase {
        let text = Phase::ALL.get(usize::from(phase[row])).map_or("", |p| p.as_str());
        buffer.symbol(ColumnName::new_unchecked(PHASE), text)?;
    }
    buffer.column_i64(ColumnName::new_unchecked(SEQ), i64::from(frame.seq[row]))?;
    if let Some((name, value)) = common.number {
        buffer.column_i64(ColumnName::new_unchecked(name), value)?;
    }
    if frame.phase.is_some() {
        for (name, values) in &frame.floats {
            // A column that a row leaves out is null there.
            if !values[row].is_nan() {
                buffer.column_f64(ColumnName::new_unchecked(name), values[row])?;
            }
        }
    } else {
        for (value, (_, column)) in list.iter_mut().zip(&frame.floats) {
            *value = column[row];
        }
        buffer.column_arr(ColumnName::new_unchecked(VALUES), &&*list)?;
    }
    buffer.at(TimestampNanos::new(frame.ts_ns[row]))
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
    fn rows_come_back_in_the_order_of_their_sequence() {
        let frame = in_order(vec![7, 7, 5], vec![4, 3, 1], Some(vec![0, 1, 2]), vec![vec![4.0, 3.0, 1.0]]);
        assert_eq!((&frame.ts_ns[..], &frame.seq[..]), (&[5, 7, 7][..], &[1, 3, 4][..]));
        assert_eq!((frame.phase.as_deref(), &frame.floats[0][..]), (Some(&[2, 1, 0][..]), &[1.0, 3.0, 4.0][..]));
    }
}
