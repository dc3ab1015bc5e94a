//! The bytes that a symbol-day is known by: the Parquet file of its rows, whichever back end keeps them.

use crate::columns::check_columns;
use crate::frame::{Constant, FrameRef};
use crate::publish::check_name;
use crate::{ColumnsKey, ColumnsManifest, Dataset, DayMeta, Manifest, NamedColumn, StoreError, parquet_file};
use ghtrader_core::{Column, Digest, TickView, TradingDay};

/// The file and the manifest of a symbol-day's ticks.
pub(crate) fn encode_day(
    dataset: Dataset,
    symbol: &str,
    day: TradingDay,
    ticks: &TickView<'_>,
    meta: &DayMeta,
) -> Result<(Vec<u8>, Manifest), StoreError> {
    check_name(symbol)?;
    let what = format!("{dataset} {symbol} {day}");
    let frame = FrameRef::of_ticks(ticks);
    frame.check(&what)?;
    let constants = meta.underlying.iter().flat_map(|u| {
        [
            Constant::Text("underlying_contract", u.contract.to_string()),
            Constant::Number("segment_id", u.segment_id),
            Constant::Text("schedule_hash", u.schedule_hash.clone()),
        ]
    });
    let schema = Column::schema_hash();
    let identity = [
        ("dataset", dataset.to_string()),
        ("symbol", symbol.to_owned()),
        ("trading_day", day.to_string()),
        ("schema", schema.clone()),
    ];
    let bytes = parquet_file::encode(&frame, &constants.collect::<Vec<_>>(), &identity)
        .map_err(|e| StoreError::Encode { what, why: e.to_string() })?;
    let manifest = Manifest {
        dataset,
        symbol: symbol.to_owned(),
        trading_day: day,
        rows: frame.rows() as u64,
        first_ts_ns: frame.ts_ns.first().copied().unwrap_or_default(),
        last_ts_ns: frame.ts_ns.last().copied().unwrap_or_default(),
        sha256: Digest::of(&bytes),
        source: meta.source.clone(),
        schema,
        counting: meta.counting,
        build: meta.build,
        underlying: meta.underlying.clone(),
    };
    Ok((bytes, manifest))
}

/// The file and the manifest of built columns.
pub(crate) fn encode_columns(
    key: &ColumnsKey,
    ts_ns: &[i64],
    seq: &[u32],
    columns: &[NamedColumn<'_>],
) -> Result<(Vec<u8>, ColumnsManifest), StoreError> {
    check_columns(key, columns)?;
    let frame = FrameRef::of_columns(ts_ns, seq, columns);
    frame.check(&key.to_string())?;
    let identity = [
        ("dataset", key.kind.to_string()),
        ("set", key.set.clone()),
        ("symbol", key.symbol.clone()),
        ("trading_day", key.trading_day.to_string()),
        ("key", key.key.to_string()),
    ];
    let bytes = parquet_file::encode(&frame, &[], &identity)
        .map_err(|e| StoreError::Encode { what: key.to_string(), why: e.to_string() })?;
    let manifest = ColumnsManifest {
        key: key.clone(),
        columns: columns.iter().map(|c| c.name.to_owned()).collect(),
        rows: frame.rows() as u64,
        first_ts_ns: ts_ns.first().copied().unwrap_or_default(),
        last_ts_ns: ts_ns.last().copied().unwrap_or_default(),
        sha256: Digest::of(&bytes),
    };
    Ok((bytes, manifest))
}
