//! Parquet, the truth: one file a symbol-day, one row group, the same bytes for the same rows.
//!
//! zstd level 1 over byte-stream-split floats, delta-packed times and sequence numbers, dictionaries for what repeats.

use crate::frame::{Constant, DATETIME, Frame, FrameRef, PHASE, SEQ};
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt32Type};
use arrow_array::{Array, ArrayRef, DictionaryArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use bytes::Bytes;
use ghtrader_core::Phase;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

/// Written into every file instead of the library's version, so that an update of the library alone changes no digest's text.
const CREATED_BY: &str = "ghtrader 1";

/// The type of `datetime`: readers show a time, and its zone is not left to guessing.
pub(crate) fn datetime_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// The bytes of a Parquet file. `identity` is written into its key-value metadata.
pub(crate) fn encode(
    frame: &FrameRef<'_>,
    constants: &[Constant],
    identity: &[(&str, String)],
) -> Result<Vec<u8>, ParquetError> {
    let rows = frame.rows();
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.into())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::BYTE_STREAM_SPLIT)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(DATETIME.into(), EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        // One page a column: a symbol-day is read whole.
        .set_max_row_group_row_count(Some(rows.max(1)))
        .set_data_page_row_count_limit(usize::MAX)
        .set_data_page_size_limit(1 << 30)
        .set_dictionary_page_size_limit(1 << 20)
        .set_write_batch_size(16_384)
        .set_key_value_metadata(Some(
            identity.iter().map(|(k, v)| KeyValue::new(format!("ghtrader.{k}"), v.clone())).collect(),
        ));
    let mut column = |field: Field, array: ArrayRef| {
        fields.push(field);
        arrays.push(array);
    };

    let times = ScalarBuffer::<i64>::from(Buffer::from_slice_ref(frame.ts_ns));
    let times = PrimitiveArray::<TimestampNanosecondType>::new(times, None).with_data_type(datetime_type());
    column(Field::new(DATETIME, datetime_type(), false), Arc::new(times));
    let seq = ScalarBuffer::<u32>::from(Buffer::from_slice_ref(frame.seq));
    column(Field::new(SEQ, DataType::UInt32, false), Arc::new(PrimitiveArray::<UInt32Type>::new(seq, None)));
    for name in [DATETIME, SEQ] {
        properties = properties.set_column_encoding(name.into(), Encoding::DELTA_BINARY_PACKED);
    }

    let mut texts = Vec::new();
    if let Some(phase) = frame.phase {
        let keys = ScalarBuffer::<u8>::from(Buffer::from_slice_ref(phase));
        texts.push((PHASE, keys, StringArray::from_iter_values(Phase::ALL.map(Phase::as_str))));
    }
    for constant in constants {
        match constant {
            Constant::Text(name, value) => {
                texts.push((name, ScalarBuffer::from(vec![0u8; rows]), StringArray::from_iter_values([value])));
            }
            Constant::Number(name, value) => {
                let array = PrimitiveArray::<UInt32Type>::new(ScalarBuffer::from(vec![*value; rows]), None);
                column(Field::new(*name, DataType::UInt32, false), Arc::new(array));
                properties = properties
                    .set_column_dictionary_enabled((*name).into(), true)
                    .set_column_encoding((*name).into(), Encoding::PLAIN);
            }
        }
    }
    for (name, keys, values) in texts {
        let array = DictionaryArray::<UInt8Type>::try_new(PrimitiveArray::new(keys, None), Arc::new(values))?;
        column(Field::new(name, array.data_type().clone(), false), Arc::new(array));
        properties = properties
            .set_column_dictionary_enabled(name.into(), true)
            .set_column_encoding(name.into(), Encoding::PLAIN);
    }

    for (name, values) in &frame.floats {
        let data = ScalarBuffer::<f64>::from(Buffer::from_slice_ref(values));
        let array = PrimitiveArray::<Float64Type>::new(data, present(values));
        column(Field::new(*name, DataType::Float64, true), Arc::new(array));
        // A column path is split at dots; a float's name may hold one.
        properties =
            properties.set_column_encoding(ColumnPath::from(vec![(*name).to_owned()]), Encoding::BYTE_STREAM_SPLIT);
    }

    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), arrays)?;
    // Readers see plain Parquet types: text, timestamp, double.
    let options = ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::with_capacity(rows * 32), schema, options)?;
    writer.write(&batch)?;
    writer.into_inner()
}

/// Which values are not NaN; `None` if all are.
fn present(values: &[f64]) -> Option<NullBuffer> {
    let any_nan = values.chunks(256).any(|c| c.iter().fold(false, |any, v| any | v.is_nan()));
    any_nan.then(|| NullBuffer::new(BooleanBuffer::collect_bool(values.len(), |i| !values[i].is_nan())))
}

/// The rows of a Parquet file that [`encode`] wrote: its times, sequence, phase if asked for, and the floats by name, in order.
pub(crate) fn decode(file: Bytes, rows: usize, with_phase: bool, floats: &[String]) -> Result<Frame, ParquetError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?;
    let fixed = [DATETIME, SEQ].into_iter().chain(with_phase.then_some(PHASE));
    let wanted: Vec<&str> = fixed.chain(floats.iter().map(String::as_str)).collect();
    let leaves = builder.parquet_schema().columns();
    let positions: Vec<usize> = (0..leaves.len()).filter(|i| wanted.iter().any(|w| *w == leaves[*i].name())).collect();
    let mask = ProjectionMask::leaves(builder.parquet_schema(), positions);
    let mut reader = builder.with_batch_size(rows.max(1)).with_projection(mask).build()?;
    let batch = reader.next().ok_or_else(|| ParquetError::General("it has no rows".into()))??;
    if batch.num_rows() != rows || reader.next().is_some() {
        return Err(ParquetError::General(format!("it has {} rows, the manifest says {rows}", batch.num_rows())));
    }
    let named = |name: &str| {
        batch.column_by_name(name).ok_or_else(|| ParquetError::General(format!("it has no column {name}")))
    };
    let wrong = |name: &str| ParquetError::General(format!("its column {name} has another type"));

    let times = named(DATETIME)?.as_any().downcast_ref::<PrimitiveArray<TimestampNanosecondType>>();
    let seq = named(SEQ)?.as_any().downcast_ref::<PrimitiveArray<UInt32Type>>().ok_or_else(|| wrong(SEQ))?;
    let phase = if with_phase {
        let texts = named(PHASE)?.as_any().downcast_ref::<StringArray>().ok_or_else(|| wrong(PHASE))?;
        let numbers: Option<Vec<u8>> = texts.iter().map(|t| phase_number(t?)).collect();
        Some(ScalarBuffer::from(numbers.ok_or_else(|| ParquetError::General("it has an unknown phase".into()))?))
    } else {
        None
    };
    let floats = floats
        .iter()
        .map(|name| {
            let array =
                named(name)?.as_any().downcast_ref::<PrimitiveArray<Float64Type>>().ok_or_else(|| wrong(name))?;
            Ok(nan_for_null(array))
        })
        .collect::<Result<_, ParquetError>>()?;
    let times = times.ok_or_else(|| wrong(DATETIME))?;
    Ok(Frame {
        ts_ns: times.reinterpret_cast::<Int64Type>().values().clone(),
        seq: seq.values().clone(),
        phase,
        floats,
    })
}

fn phase_number(text: &str) -> Option<u8> {
    Phase::ALL.into_iter().find(|p| p.as_str() == text).map(|p| p as u8)
}

fn nan_for_null(array: &PrimitiveArray<Float64Type>) -> ScalarBuffer<f64> {
    let Some(nulls) = array.nulls().filter(|n| n.null_count() > 0) else { return array.values().clone() };
    array.values().iter().zip(nulls).map(|(v, there)| if there { *v } else { f64::NAN }).collect()
}

/// One record batch of a frame, as the replay cache holds it: numbers only, NaN for null.
pub(crate) fn batch_of(frame: &Frame, floats: &[String]) -> Result<RecordBatch, ArrowError> {
    let times =
        PrimitiveArray::<TimestampNanosecondType>::new(frame.ts_ns.clone(), None).with_data_type(datetime_type());
    let mut fields = vec![Field::new(DATETIME, datetime_type(), false), Field::new(SEQ, DataType::UInt32, false)];
    let seq = PrimitiveArray::<UInt32Type>::new(frame.seq.clone(), None);
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(times), Arc::new(seq)];
    if let Some(phase) = &frame.phase {
        fields.push(Field::new(PHASE, DataType::UInt8, false));
        arrays.push(Arc::new(PrimitiveArray::<UInt8Type>::new(phase.clone(), None)));
    }
    for (name, values) in floats.iter().zip(&frame.floats) {
        fields.push(Field::new(name, DataType::Float64, false));
        arrays.push(Arc::new(PrimitiveArray::<Float64Type>::new(values.clone(), None)));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

/// The inverse of [`batch_of`]; the frame's columns are slices of the batch's.
pub(crate) fn frame_of(batch: &RecordBatch, with_phase: bool, floats: &[String]) -> Option<Frame> {
    fn values<T: arrow_array::types::ArrowPrimitiveType>(
        batch: &RecordBatch,
        name: &str,
    ) -> Option<ScalarBuffer<T::Native>> {
        let array = batch.column_by_name(name)?.as_any().downcast_ref::<PrimitiveArray<T>>()?;
        Some(array.values().clone())
    }
    Some(Frame {
        ts_ns: values::<TimestampNanosecondType>(batch, DATETIME)?,
        seq: values::<UInt32Type>(batch, SEQ)?,
        phase: if with_phase { Some(values::<UInt8Type>(batch, PHASE)?) } else { None },
        floats: floats.iter().map(|name| values::<Float64Type>(batch, name)).collect::<Option<_>>()?,
    })
}
