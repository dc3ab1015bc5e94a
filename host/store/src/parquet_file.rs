//! Parquet, the truth: one file a symbol-day, one row group, the same bytes for the same rows.
//!
//! zstd level 1 over byte-stream-split floats, delta-packed times and sequence numbers, dictionaries for what repeats.

use crate::float_pages::read_floats;
use crate::frame::{Constant, DATETIME, Frame, FrameRef, PHASE, SEQ};
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt32Type};
use arrow_array::{Array, ArrayRef, DictionaryArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use bytes::Bytes;
use ghtrader_core::Phase;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions, compute_leaves};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::ops::Range;
use std::sync::Arc;

/// Written into every file instead of the library's version, so that an update of the library alone changes no digest's text.
const CREATED_BY: &str = "ghtrader 1";

/// The type of `datetime`: readers show a time, and its zone is not left to guessing.
pub(crate) fn datetime_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// Rows of a page. Columns are encoded page by page, so that all buffers stay in the processor's cache and are used again;
/// whole-column pages cost a third more time for 3 % fewer bytes.
const PAGE_ROWS: usize = 8_192;

/// Where a column's values come from.
enum Source<'a> {
    Times(&'a [i64]),
    Seq(&'a [u32]),
    Phase(&'a [u8]),
    Text(&'a str),
    Number(u32),
    Float(&'a [f64]),
}

impl Source<'_> {
    fn encoding(&self) -> Encoding {
        match self {
            Self::Times(_) | Self::Seq(_) => Encoding::DELTA_BINARY_PACKED,
            Self::Float(_) => Encoding::BYTE_STREAM_SPLIT,
            Self::Phase(_) | Self::Text(_) | Self::Number(_) => Encoding::RLE_DICTIONARY,
        }
    }

    fn data_type(&self) -> DataType {
        let text = || DataType::Dictionary(Box::new(DataType::UInt8), Box::new(DataType::Utf8));
        match self {
            Self::Times(_) => datetime_type(),
            Self::Seq(_) | Self::Number(_) => DataType::UInt32,
            Self::Phase(_) | Self::Text(_) => text(),
            Self::Float(_) => DataType::Float64,
        }
    }

    /// The values of some rows.
    fn array(&self, rows: Range<usize>) -> Result<ArrayRef, ArrowError> {
        fn copied<T: ArrowPrimitiveType>(values: &[T::Native], nulls: Option<NullBuffer>) -> PrimitiveArray<T> {
            PrimitiveArray::new(ScalarBuffer::from(Buffer::from_slice_ref(values)), nulls)
        }
        let text = |keys: &[u8], values: StringArray| -> Result<ArrayRef, ArrowError> {
            Ok(Arc::new(DictionaryArray::<UInt8Type>::try_new(copied(keys, None), Arc::new(values))?))
        };
        Ok(match self {
            Self::Times(v) => {
                Arc::new(copied::<TimestampNanosecondType>(&v[rows], None).with_data_type(datetime_type()))
            }
            Self::Seq(v) => Arc::new(copied::<UInt32Type>(&v[rows], None)),
            Self::Number(v) => Arc::new(copied::<UInt32Type>(&vec![*v; rows.len()], None)),
            Self::Float(v) => Arc::new(copied::<Float64Type>(&v[rows.clone()], present(&v[rows]))),
            Self::Phase(v) => text(&v[rows], StringArray::from_iter_values(Phase::ALL.map(Phase::as_str)))?,
            Self::Text(v) => text(&vec![0; rows.len()], StringArray::from_iter_values([v]))?,
        })
    }
}

/// The bytes of a Parquet file. `identity` is written into its key-value metadata.
pub(crate) fn encode(
    frame: &FrameRef<'_>,
    constants: &[Constant],
    identity: &[(&str, String)],
) -> Result<Vec<u8>, ParquetError> {
    let rows = frame.rows();
    let constants = constants.iter().map(|c| match c {
        Constant::Text(name, value) => (*name, Source::Text(value)),
        Constant::Number(name, value) => (*name, Source::Number(*value)),
    });
    let columns: Vec<(&str, Source<'_>)> = [(DATETIME, Source::Times(frame.ts_ns)), (SEQ, Source::Seq(frame.seq))]
        .into_iter()
        .chain(frame.phase.map(|p| (PHASE, Source::Phase(p))))
        .chain(constants)
        .chain(frame.floats.iter().map(|(name, values)| (*name, Source::Float(values))))
        .collect();

    let entries = identity.iter().map(|(k, v)| KeyValue::new(format!("ghtrader.{k}"), v.clone())).collect();
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.into())
        .set_key_value_metadata(Some(entries))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS);
    for (name, source) in &columns {
        let path = || ColumnPath::from(vec![(*name).to_owned()]);
        properties = match source.encoding() {
            Encoding::RLE_DICTIONARY => properties.set_column_dictionary_enabled(path(), true),
            encoding => properties.set_column_encoding(path(), encoding),
        };
    }
    // Readers that look for a span of time skip whole files by these.
    let properties = properties.set_column_statistics_enabled(DATETIME.into(), EnabledStatistics::Chunk).build();

    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, source)| Field::new(*name, source.data_type(), matches!(source, Source::Float(_))))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    // Without the Arrow schema readers see plain Parquet types: text, timestamp, double.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let writer = ArrowWriter::try_new_with_options(Vec::with_capacity(rows * 32), schema.clone(), options)?;
    let (mut file, factory) = writer.into_serialized_writer()?;
    let writers = factory.create_column_writers(0)?;
    let mut row_group = file.next_row_group()?;
    for ((mut writer, (_, source)), field) in writers.into_iter().zip(&columns).zip(schema.fields()) {
        for start in (0..rows).step_by(PAGE_ROWS) {
            let array = source.array(start..rows.min(start + PAGE_ROWS))?;
            for leaf in compute_leaves(field, &array)? {
                writer.write(&leaf)?;
            }
        }
        writer.close()?.append_to_row_group(&mut row_group)?;
    }
    row_group.close()?;
    file.into_inner()
}

/// Which values are not NaN; `None` if all are.
fn present(values: &[f64]) -> Option<NullBuffer> {
    let any_nan = values.chunks(256).any(|c| c.iter().fold(false, |any, v| any | v.is_nan()));
    any_nan.then(|| NullBuffer::new(BooleanBuffer::collect_bool(values.len(), |i| !values[i].is_nan())))
}

/// The rows of a Parquet file that [`encode`] wrote: its times, sequence, phase if asked for, and the floats by name, in order.
pub(crate) fn decode(file: Bytes, rows: usize, with_phase: bool, floats: &[String]) -> Result<Frame, ParquetError> {
    let file = Arc::new(file);
    let plain = ArrowReaderMetadata::load(&*file, ArrowReaderOptions::new().with_skip_arrow_metadata(true))?;
    let stored = plain.metadata().file_metadata().num_rows();
    if usize::try_from(stored) != Ok(rows) {
        return Err(ParquetError::General(format!("it has {stored} rows, the manifest says {rows}")));
    }
    let mut columns: Vec<Option<ScalarBuffer<f64>>> = floats
        .iter()
        .map(|name| Ok(read_floats(&file, plain.metadata(), name, rows)?.map(ScalarBuffer::from)))
        .collect::<Result<_, ParquetError>>()?;
    let others = floats.iter().zip(&columns).filter(|(_, column)| column.is_none()).map(|(name, _)| name.as_str());
    let fixed = [DATETIME, SEQ].into_iter().chain(with_phase.then_some(PHASE));
    let wanted: Vec<&str> = fixed.chain(others).collect();
    let leaves = plain.parquet_schema().columns();
    let positions: Vec<usize> = (0..leaves.len()).filter(|i| wanted.iter().any(|w| *w == leaves[*i].name())).collect();
    let mask = ProjectionMask::leaves(plain.parquet_schema(), positions);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata((*file).clone(), phases_by_number(&plain)?);
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
        let texts = named(PHASE)?.as_any().downcast_ref::<DictionaryArray<UInt8Type>>().ok_or_else(|| wrong(PHASE))?;
        Some(phases(texts).ok_or_else(|| ParquetError::General("it has an unknown phase".into()))?)
    } else {
        None
    };
    for (name, column) in floats.iter().zip(&mut columns).filter(|(_, column)| column.is_none()) {
        let array = named(name)?.as_any().downcast_ref::<PrimitiveArray<Float64Type>>().ok_or_else(|| wrong(name))?;
        *column = Some(nan_for_null(array));
    }
    let times = times.ok_or_else(|| wrong(DATETIME))?;
    Ok(Frame {
        ts_ns: times.reinterpret_cast::<Int64Type>().values().clone(),
        seq: seq.values().clone(),
        phase,
        floats: columns.into_iter().flatten().collect(),
    })
}

/// The same file, its phases read as numbers of a few texts instead of one text a row.
fn phases_by_number(plain: &ArrowReaderMetadata) -> Result<ArrowReaderMetadata, ParquetError> {
    let text = DataType::Dictionary(Box::new(DataType::UInt8), Box::new(DataType::Utf8));
    let field = |field: &Arc<Field>| match field.name().as_str() {
        PHASE => Arc::new(field.as_ref().clone().with_data_type(text.clone())),
        _ => Arc::clone(field),
    };
    let fields: Vec<Arc<Field>> = plain.schema().fields().iter().map(field).collect();
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_schema(Arc::new(Schema::new(fields)));
    ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options)
}

/// The numbers of phases, `None` if one is unknown or missing.
fn phases(texts: &DictionaryArray<UInt8Type>) -> Option<ScalarBuffer<u8>> {
    let known = texts.values().as_any().downcast_ref::<StringArray>()?;
    let numbers: Vec<Option<u8>> = known.iter().map(|text| phase_number(text?)).collect();
    if texts.null_count() > 0 {
        return None;
    }
    texts.keys().values().iter().map(|key| numbers.get(usize::from(*key)).copied().flatten()).collect()
}

pub(crate) fn phase_number(text: &str) -> Option<u8> {
    Phase::ALL.into_iter().find(|p| p.as_str() == text).map(|p| p as u8)
}

pub(crate) fn nan_for_null(array: &PrimitiveArray<Float64Type>) -> ScalarBuffer<f64> {
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
    fn values<T: ArrowPrimitiveType>(batch: &RecordBatch, name: &str) -> Option<ScalarBuffer<T::Native>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the general reader makes of a column.
    fn by_arrow(file: &Bytes, name: &str) -> Vec<u64> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap().build().unwrap();
        let bits = |batch: RecordBatch| {
            let array = batch.column_by_name(name).unwrap().as_any().downcast_ref::<PrimitiveArray<Float64Type>>();
            array.unwrap().iter().map(|v| v.map_or(f64::NAN.to_bits(), f64::to_bits)).collect::<Vec<_>>()
        };
        reader.flat_map(|batch| bits(batch.unwrap())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// D-14: both ways of reading floats give the same bits, over borders of pages, with nulls anywhere and nowhere.
        #[test]
        fn floats_are_read_as_the_general_reader_reads_them(
            rows in prop::sample::select(vec![1usize, 7, 8, 9, 1_000, PAGE_ROWS - 1, PAGE_ROWS, 2 * PAGE_ROWS + 13]),
            seed: u64,
            nulls in 0u64..=4,
        ) {
            let mut state = seed | 1;
            let mut draw = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; state };
            let mut column = |nulls: u64| -> Vec<f64> {
                let value = |bits: u64| if bits % 4 < nulls { f64::NAN } else { (bits >> 40) as f64 / 100.0 };
                (0..rows).map(|_| value(draw())).collect()
            };
            let (some, none) = (column(nulls), column(0));
            let (ts_ns, seq): (Vec<i64>, Vec<u32>) = ((0..rows as i64).collect(), (0..rows as u32).collect());
            let phase: Vec<u8> = seq.iter().map(|n| (n % 5) as u8).collect();
            let frame = FrameRef { ts_ns: &ts_ns, seq: &seq, phase: Some(&phase), floats: vec![("a", &some), ("b", &none)] };
            let file = Bytes::from(encode(&frame, &[], &[]).unwrap());
            let names = ["a".to_owned(), "b".to_owned()];
            let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).unwrap();
            let found = read_floats(&Arc::new(file.clone()), metadata.metadata(), "a", rows).unwrap();
            prop_assert!(found.is_some(), "the pages are those that are known");
            let read = decode(file.clone(), rows, true, &names).unwrap();
            let bits = |values: &[f64]| values.iter().map(|v| if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() }).collect::<Vec<_>>();
            for (name, column) in names.iter().zip(&read.floats) {
                prop_assert_eq!(bits(column), by_arrow(&file, name));
            }
            prop_assert_eq!(bits(&read.floats[0]), bits(&some));
            prop_assert_eq!((&read.ts_ns[..], &read.seq[..], read.phase.as_deref()), (&ts_ns[..], &seq[..], Some(&phase[..])));
        }
    }
}
