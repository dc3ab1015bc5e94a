//! Tables for other tools, as Parquet or as an Arrow stream: columns of any length, the same bytes for the same values.

use crate::StoreError;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Float64Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_buffer::ScalarBuffer;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use ghtrader_core::TradingDay;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Values of one column; all columns of a table have as many.
#[derive(Debug, Clone, PartialEq)]
pub enum TableColumn<'a> {
    /// Text; short words that repeat take little room.
    Text(Vec<&'a str>),
    /// Whole numbers.
    Integer(Vec<i64>),
    /// Whole numbers, not negative.
    Count(Vec<u32>),
    /// Numbers by which rows are known.
    Id(Vec<u64>),
    /// NaN is written as null.
    Number(Vec<f64>),
    /// true or false.
    Flag(Vec<bool>),
    /// Exchange time, ns since the epoch, written as a timestamp of zone UTC.
    Time(Vec<i64>),
    /// A trading day, written as a date.
    Day(Vec<TradingDay>),
    /// Text, or nothing.
    SomeText(Vec<Option<String>>),
    /// Whole numbers, or nothing.
    SomeInteger(Vec<Option<i64>>),
    /// true, false or nothing.
    SomeFlag(Vec<Option<bool>>),
}

impl TableColumn<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Text(v) => v.len(),
            Self::Integer(v) | Self::Time(v) => v.len(),
            Self::Count(v) => v.len(),
            Self::Id(v) => v.len(),
            Self::Number(v) => v.len(),
            Self::Flag(v) => v.len(),
            Self::Day(v) => v.len(),
            Self::SomeText(v) => v.len(),
            Self::SomeInteger(v) => v.len(),
            Self::SomeFlag(v) => v.len(),
        }
    }

    const fn is_nullable(&self) -> bool {
        matches!(self, Self::Number(_) | Self::SomeText(_) | Self::SomeInteger(_) | Self::SomeFlag(_))
    }

    fn array(self) -> ArrayRef {
        fn whole<T: ArrowPrimitiveType>(values: Vec<T::Native>) -> PrimitiveArray<T> {
            PrimitiveArray::new(ScalarBuffer::from(values), None)
        }
        match self {
            Self::Text(v) => Arc::new(StringArray::from_iter_values(v)),
            Self::Integer(v) => Arc::new(whole::<Int64Type>(v)),
            Self::Count(v) => Arc::new(whole::<UInt32Type>(v)),
            Self::Id(v) => Arc::new(whole::<UInt64Type>(v)),
            Self::Number(v) => {
                let values = v.into_iter().map(|x| (!x.is_nan()).then_some(x));
                Arc::new(PrimitiveArray::<Float64Type>::from_iter(values))
            }
            Self::Flag(v) => Arc::new(BooleanArray::from(v)),
            Self::Time(v) => Arc::new(whole::<TimestampNanosecondType>(v).with_timezone("UTC")),
            Self::Day(v) => Arc::new(whole::<Date32Type>(v.iter().map(|day| day.days()).collect())),
            Self::SomeText(v) => Arc::new(StringArray::from_iter(v)),
            Self::SomeInteger(v) => Arc::new(PrimitiveArray::<Int64Type>::from_iter(v)),
            Self::SomeFlag(v) => Arc::new(BooleanArray::from(v)),
        }
    }
}

/// The bytes of a Parquet file of named columns, in order. `identity` is written into its key-value metadata.
///
/// # Errors
/// `bad_table` for columns of different lengths or a name that stands twice; `encode_failed` would be a defect.
pub fn table_parquet(
    what: &str,
    columns: Vec<(&str, TableColumn<'_>)>,
    identity: &[(&str, String)],
) -> Result<Vec<u8>, StoreError> {
    let bad = |why: String| StoreError::BadTable { what: what.to_owned(), why };
    let rows = columns.first().map_or(0, |(_, column)| column.len());
    for (at, (name, column)) in columns.iter().enumerate() {
        if column.len() != rows {
            return Err(bad(format!("column {name} has {} rows, the first one {rows}", column.len())));
        }
        if columns[..at].iter().any(|(other, _)| other == name) {
            return Err(bad(format!("column {name} stands twice")));
        }
    }
    encode(columns, identity).map_err(|e| StoreError::Encode { what: what.to_owned(), why: e.to_string() })
}

/// A table that is written part by part, each a row group: memory holds one part.
pub struct TableWriter<W: Write + Send> {
    what: String,
    state: State<W>,
}

enum State<W: Write + Send> {
    /// The first part says which columns there are.
    Empty(W),
    Begun(Box<ArrowWriter<W>>, SchemaRef),
    Broken,
}

impl<W: Write + Send> TableWriter<W> {
    /// Writes into `out`; `what` names the table in messages.
    pub fn new(what: String, out: W) -> Self {
        Self { what, state: State::Empty(out) }
    }

    /// Adds rows. All parts have the same columns.
    ///
    /// # Errors
    /// `store_encode` for other columns than before, `disk_full`, `store_unwritable`.
    pub fn write(&mut self, columns: Vec<(&str, TableColumn<'_>)>) -> Result<(), StoreError> {
        let written = self.add(columns);
        written.map_err(|e| failed(&self.what, e))
    }

    fn add(&mut self, columns: Vec<(&str, TableColumn<'_>)>) -> Result<(), ParquetError> {
        let batch = batch_of(columns)?;
        let (mut writer, schema) = match std::mem::replace(&mut self.state, State::Broken) {
            State::Empty(out) => {
                let options =
                    ArrowWriterOptions::new().with_properties(properties(&[])?).with_skip_arrow_metadata(true);
                (Box::new(ArrowWriter::try_new_with_options(out, batch.schema(), options)?), batch.schema())
            }
            // The library compares types alone.
            State::Begun(writer, schema) if schema == batch.schema() => (writer, schema),
            State::Begun(..) => return Err(ParquetError::General("a part has other columns than the first".into())),
            State::Broken => return Err(ParquetError::General("it broke off before".into())),
        };
        writer.write(&batch)?;
        writer.flush()?;
        self.state = State::Begun(writer, schema);
        Ok(())
    }

    /// Ends the file, with entries for its metadata, and gives back what it was written into.
    ///
    /// # Errors
    /// As [`Self::write`]; a table without a part cannot be ended.
    pub fn finish(self, identity: &[(&str, String)]) -> Result<W, StoreError> {
        let end = |state: State<W>| -> Result<W, ParquetError> {
            let State::Begun(mut writer, _) = state else {
                return Err(ParquetError::General("it has no rows".into()));
            };
            entries(identity).into_iter().for_each(|entry| writer.append_key_value_metadata(entry));
            writer.into_inner()
        };
        end(self.state).map_err(|e| failed(&self.what, e))
    }
}

/// A table as an Arrow IPC stream, the form `application/vnd.apache.arrow.stream`: part by part, each a record batch.
pub struct ArrowStream {
    what: String,
    /// The first part says which columns there are.
    begun: Option<(StreamWriter<Vec<u8>>, SchemaRef)>,
}

impl ArrowStream {
    /// `what` names the table in messages.
    pub fn new(what: String) -> Self {
        Self { what, begun: None }
    }

    /// Adds rows. All parts have the same columns.
    ///
    /// # Errors
    /// `store_encode` for other columns than before.
    pub fn write(&mut self, columns: Vec<(&str, TableColumn<'_>)>) -> Result<(), StoreError> {
        let failed = |why: String| StoreError::Encode { what: self.what.clone(), why };
        let batch = batch_of(columns).map_err(|e| failed(e.to_string()))?;
        let (writer, schema) = match &mut self.begun {
            Some(begun) => begun,
            none => {
                let writer = StreamWriter::try_new(Vec::new(), &batch.schema()).map_err(|e| failed(e.to_string()))?;
                none.insert((writer, batch.schema()))
            }
        };
        // The library writes whatever comes.
        if *schema != batch.schema() {
            return Err(failed("a part has other columns than the first".to_owned()));
        }
        writer.write(&batch).map_err(|e| failed(e.to_string()))
    }

    /// Ends the stream and gives its bytes.
    ///
    /// # Errors
    /// As [`Self::write`]; a stream without a part cannot be ended.
    pub fn finish(self) -> Result<Vec<u8>, StoreError> {
        let failed = |why: String| StoreError::Encode { what: self.what.clone(), why };
        let (writer, _) = self.begun.ok_or_else(|| failed("it has no columns".to_owned()))?;
        writer.into_inner().map_err(|e| failed(e.to_string()))
    }
}

fn failed(what: &str, error: ParquetError) -> StoreError {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => StoreError::write(Path::new(what), &io),
            Err(other) => StoreError::Encode { what: what.to_owned(), why: other.to_string() },
        },
        other => StoreError::Encode { what: what.to_owned(), why: other.to_string() },
    }
}

fn entries(identity: &[(&str, String)]) -> Vec<KeyValue> {
    identity.iter().map(|(key, value)| KeyValue::new(format!("ghtrader.{key}"), value.clone())).collect()
}

fn properties(identity: &[(&str, String)]) -> Result<WriterProperties, ParquetError> {
    Ok(WriterProperties::builder()
        .set_created_by("ghtrader 1".to_owned())
        .set_key_value_metadata(Some(entries(identity)))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .build())
}

fn batch_of(columns: Vec<(&str, TableColumn<'_>)>) -> Result<RecordBatch, ParquetError> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (name, column) in columns {
        let nullable = column.is_nullable();
        let array = column.array();
        let data_type: DataType = array.data_type().clone();
        fields.push(Field::new(name, data_type, nullable));
        arrays.push(array);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

fn encode(columns: Vec<(&str, TableColumn<'_>)>, identity: &[(&str, String)]) -> Result<Vec<u8>, ParquetError> {
    let batch = batch_of(columns)?;
    let options = ArrowWriterOptions::new().with_properties(properties(identity)?).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options)?;
    writer.write(&batch)?;
    writer.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn columns() -> Vec<(&'static str, TableColumn<'static>)> {
        vec![
            ("model", TableColumn::Text(vec!["central", "touch"])),
            ("order_id", TableColumn::Id(vec![1, u64::MAX])),
            ("position_lots", TableColumn::Integer(vec![-3, 4])),
            ("lots", TableColumn::Count(vec![1, 2])),
            ("price_cny", TableColumn::Number(vec![70_010.0, f64::NAN])),
            ("maker", TableColumn::Flag(vec![true, false])),
            ("ts", TableColumn::Time(vec![0, 1_700_000_000_000_000_000])),
            ("trading_day", TableColumn::Day(vec![TradingDay::from_days(20_000); 2])),
        ]
    }

    /// C-33
    #[test]
    fn a_stream_reads_back_part_by_part() {
        let mut stream = ArrowStream::new("rows".to_owned());
        stream.write(columns()).unwrap();
        stream.write(columns()).unwrap();
        assert!(stream.write(vec![("model", TableColumn::Number(vec![1.0]))]).is_err());
        let bytes = stream.finish().unwrap();
        let batches = arrow_ipc::reader::StreamReader::try_new(&bytes[..], None).unwrap();
        let batches: Vec<RecordBatch> = batches.map(Result::unwrap).collect();
        assert_eq!((batches.len(), batches[0].num_rows()), (2, 2));
        assert_eq!(batches[1], batch_of(columns()).unwrap());
        assert!(ArrowStream::new("rows".to_owned()).finish().is_err());
    }

    /// P-38
    #[test]
    fn nothing_is_null() {
        let texts = TableColumn::SomeText(vec![Some("a".to_owned()), None]);
        let columns = vec![("a", texts), ("b", TableColumn::SomeInteger(vec![None, Some(-1)]))];
        let columns = columns.into_iter().chain([("c", TableColumn::SomeFlag(vec![Some(false), None]))]).collect();
        let bytes = table_parquet("rows", columns, &[]).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap().build().unwrap();
        let batch = reader.map(Result::unwrap).next().unwrap();
        let nulls: Vec<usize> = batch.columns().iter().map(|c| c.null_count()).collect();
        assert_eq!(nulls, [1, 1, 1]);
    }

    /// B-37
    #[test]
    fn values_read_back_with_their_types() {
        let bytes = table_parquet("fills", columns(), &[("result_digest", "sha256:1".to_owned())]).expect("a table");
        assert_eq!(
            bytes,
            table_parquet("fills", columns(), &[("result_digest", "sha256:1".to_owned())]).expect("equal")
        );
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).expect("Parquet");
        let entries = builder.metadata().file_metadata().key_value_metadata().expect("an identity").clone();
        assert!(entries.iter().any(|e| e.key == "ghtrader.result_digest" && e.value.as_deref() == Some("sha256:1")));
        let batch = builder.build().expect("a reader").next().expect("a batch").expect("rows");
        assert_eq!(batch.num_rows(), 2);
        let types: Vec<String> = batch.schema().fields().iter().map(|f| f.data_type().to_string()).collect();
        assert_eq!(types[..6], ["Utf8", "UInt64", "Int64", "UInt32", "Float64", "Boolean"]);
        assert_eq!(types[6], "Timestamp(ns, \"UTC\")");
        assert_eq!(types[7], "Date32");
        let prices = batch.column(4);
        assert_eq!((prices.null_count(), prices.is_null(1)), (1, true), "a missing number is null, never NaN");
        let ids = batch.column(1).as_any().downcast_ref::<PrimitiveArray<UInt64Type>>().expect("ids");
        assert_eq!(ids.value(1), u64::MAX);
    }

    /// B-37: a table without rows is a table.
    #[test]
    fn no_row_is_a_table_too() {
        let bytes = table_parquet("orders", vec![("lots", TableColumn::Count(Vec::new()))], &[]).expect("a table");
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).expect("Parquet");
        assert_eq!((builder.metadata().file_metadata().num_rows(), builder.schema().fields().len()), (0, 1));
    }

    /// D-37: a table of parts is one table, a row group a part, its provenance behind the rows.
    #[test]
    fn parts_become_one_table() {
        let mut writer = TableWriter::new("x".to_owned(), Vec::new());
        for part in 0..3 {
            writer
                .write(vec![("n", TableColumn::Count(vec![part, part])), ("x", TableColumn::Number(vec![0.5; 2]))])
                .unwrap();
        }
        let bytes = writer.finish(&[("provenance", "{}".to_owned())]).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
        let file = builder.metadata().file_metadata();
        assert_eq!((file.num_rows(), builder.metadata().num_row_groups()), (6, 3));
        let entries = file.key_value_metadata().unwrap();
        assert!(entries.iter().any(|e| e.key == "ghtrader.provenance" && e.value.as_deref() == Some("{}")));
        let mut writer = TableWriter::new("x".to_owned(), Vec::new());
        writer.write(vec![("n", TableColumn::Count(vec![1]))]).unwrap();
        assert_eq!(writer.write(vec![("m", TableColumn::Count(vec![1]))]).unwrap_err().code(), "store_encode");
        assert!(TableWriter::new("x".to_owned(), Vec::new()).finish(&[]).is_err());
    }

    #[test]
    fn columns_that_do_not_fit_are_refused() {
        let uneven = vec![("a", TableColumn::Count(vec![1])), ("b", TableColumn::Flag(Vec::new()))];
        let twice = vec![("a", TableColumn::Count(vec![1])), ("a", TableColumn::Count(vec![2]))];
        for (columns, why) in [(uneven, "column b has 0 rows"), (twice, "column a stands twice")] {
            let error = table_parquet("orders", columns, &[]).expect_err("refused");
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
