//! A page of stored rows in memory, for somebody who asks over a line.

use super::{Part, csv, head, table_columns};
use crate::PipelineError;
use crate::day_report::resolve;
use ghtrader_core::{Column, TradingDay};
use ghtrader_store::{ArrowStream, Dataset, Store};
use serde_json::Value;
use std::io::Write as _;

/// The form of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsForm {
    /// A list of rows, each a list of values; a missing number is null.
    Json,
    /// Text with a header; a missing number is an empty field.
    Csv,
    /// An Arrow IPC stream, a record batch a day; a missing number is null.
    Arrow,
}

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowPlace {
    /// Its day.
    pub trading_day: TradingDay,
    /// Its sequence number in that day.
    pub seq: u32,
}

/// Which rows.
#[derive(Debug, Clone)]
pub struct RowsQuery<'a> {
    /// A contract such as `SHFE.cu2602`, or a continuous symbol such as `KQ.m@SHFE.cu`.
    pub symbol: &'a str,
    /// First day; all if absent.
    pub from: Option<TradingDay>,
    /// Last day; all if absent.
    pub to: Option<TradingDay>,
    /// Rows from this exchange time on, ns.
    pub from_ns: Option<i64>,
    /// Rows behind this one.
    pub after: Option<RowPlace>,
    /// Columns beside those that name a row; all if empty.
    pub columns: Vec<Column>,
    /// At most so many rows, the first in order; 1 or more.
    pub limit: usize,
}

/// Rows in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct RowsPage {
    /// `ticks` or `main_l5`.
    pub dataset: Dataset,
    /// Contract or continuous symbol.
    pub symbol: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows on the page.
    pub rows: usize,
    /// The rows.
    pub bytes: Vec<u8>,
    /// The last row of the page, if there are more behind it.
    pub next: Option<RowPlace>,
}

enum Sink {
    Json(Vec<Value>),
    Csv(Vec<u8>),
    Arrow(Box<ArrowStream>),
}

/// Reads one page of rows, day after day; no more days than the page needs.
///
/// # Errors
/// `bad_symbol`, `days_missing` if no day is in the range, and those of the store.
pub fn rows_page(store: &dyn Store, query: &RowsQuery<'_>, form: RowsForm) -> Result<RowsPage, PipelineError> {
    let (dataset, symbol, _) = resolve(query.symbol)?;
    let wanted = |day: &TradingDay| query.from.is_none_or(|from| *day >= from) && query.to.is_none_or(|to| *day <= to);
    let days: Vec<TradingDay> = store.days(dataset, &symbol)?.into_iter().filter(wanted).collect();
    if days.is_empty() {
        return Err(PipelineError::NothingInRange { symbol, from: query.from, to: query.to });
    }
    let columns: Vec<Column> =
        if query.columns.is_empty() { Column::floats().collect() } else { query.columns.clone() };
    let names = head(dataset).into_iter().chain(columns.iter().map(|c| c.name()));
    let names: Vec<String> = names.map(str::to_owned).collect();
    let mut sink = match form {
        RowsForm::Json => Sink::Json(Vec::new()),
        RowsForm::Csv => Sink::Csv((names.join(",") + "\n").into_bytes()),
        RowsForm::Arrow => Sink::Arrow(Box::new(ArrowStream::new(format!("rows of {symbol}")))),
    };
    let (mut rows, mut last, mut more, mut is_begun) = (0, None, false, false);
    let behind = days.iter().filter(|day| query.after.is_none_or(|after| **day >= after.trading_day));
    // A stream says its columns even if no row is left.
    let mut behind: Vec<TradingDay> = behind.copied().collect();
    if behind.is_empty() {
        behind.extend(days.last());
    }
    for (at, day) in behind.iter().enumerate() {
        let may_be_skipped = is_begun || at + 1 < behind.len();
        if may_be_skipped && ends_before(store, dataset, &symbol, *day, query.from_ns)? {
            continue;
        }
        is_begun = true;
        let read = store.read_day(dataset, &symbol, *day)?;
        let (manifest, view) = (read.manifest(), read.view());
        let is_behind = |row: &usize| {
            let place = RowPlace { trading_day: *day, seq: view.seq[*row] };
            query.from_ns.is_none_or(|from| view.ts_ns[*row] >= from)
                && query.after.is_none_or(|after| (place.trading_day, place.seq) > (after.trading_day, after.seq))
        };
        let mut order: Vec<usize> = (0..view.rows()).filter(is_behind).collect();
        more = order.len() > query.limit - rows;
        order.truncate(query.limit - rows);
        rows += order.len();
        last = order.last().map(|row| RowPlace { trading_day: *day, seq: view.seq[*row] }).or(last);
        let underlying = manifest.underlying.as_ref().map(|u| (u.contract.to_string(), u.segment_id));
        let underlying = underlying.as_ref().map(|(contract, segment)| (contract.as_str(), *segment));
        sink.write(&Part { manifest, rows: &view, order: &order, columns: &columns, underlying })?;
        if rows == query.limit {
            more |= at + 1 < behind.len();
            break;
        }
    }
    let bytes = match sink {
        Sink::Json(rows) => Value::Array(rows).to_string().into_bytes(),
        Sink::Csv(bytes) => bytes,
        Sink::Arrow(stream) => stream.finish()?,
    };
    Ok(RowsPage { dataset, symbol, columns: names, rows, bytes, next: last.filter(|_| more) })
}

/// Whether a day's manifest says that all of its rows lie before a time.
fn ends_before(
    store: &dyn Store,
    dataset: Dataset,
    symbol: &str,
    day: TradingDay,
    from_ns: Option<i64>,
) -> Result<bool, PipelineError> {
    let Some(from_ns) = from_ns else { return Ok(false) };
    Ok(store.manifest(dataset, symbol, day)?.is_some_and(|manifest| manifest.last_ts_ns < from_ns))
}

impl Sink {
    fn write(&mut self, part: &Part<'_>) -> Result<(), PipelineError> {
        match self {
            Self::Json(rows) => rows.extend(part.order.iter().map(|row| json_row(part, *row))),
            Self::Csv(out) => {
                csv::write(out, part).map_err(|e| PipelineError::unwritten(&e))?;
                out.flush().map_err(|e| PipelineError::unwritten(&e))?;
            }
            Self::Arrow(stream) => stream.write(table_columns(part))?,
        }
        Ok(())
    }
}

fn json_row(part: &Part<'_>, row: usize) -> Value {
    let mut cells = vec![
        Value::from(part.manifest.symbol.as_str()),
        Value::from(part.manifest.trading_day.to_string()),
        Value::from(part.rows.seq[row]),
        Value::from(part.time(row)),
        Value::from(part.rows.ts_ns[row]),
        Value::from(part.phase(row)),
    ];
    cells
        .extend(part.underlying.iter().flat_map(|(contract, segment)| [Value::from(*contract), Value::from(*segment)]));
    cells.extend(part.columns.iter().map(|column| Value::from(part.rows.float(*column)[row])));
    Value::Array(cells)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghtrader_core::{Digest, TICK_COLUMNS, TickTable};
    use ghtrader_store::{Counting, DayMeta, EmbeddedStore};

    /// C-33: a day that ended before the time asked for is not read, and a page without rows still says its columns.
    #[test]
    fn days_before_a_time_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path()).unwrap();
        for (day, first_ns) in [("2025-07-17", 0), ("2025-07-18", 1_000)] {
            let ticks = TickTable {
                ts_ns: vec![first_ns, first_ns + 500],
                seq: vec![0, 1],
                phase: vec![0; 2],
                floats: std::array::from_fn::<_, { TICK_COLUMNS - 1 }, _>(|_| vec![1.0; 2]),
            };
            let (counting, build) = (Counting::Single, Digest::of(day.as_bytes()));
            let meta = DayMeta { source: "test".to_owned(), counting, build, underlying: None };
            store.put_day(Dataset::Ticks, "SHFE.cu2509", day.parse().unwrap(), &ticks.view(), &meta).unwrap();
        }
        let page = |from_ns: i64, form: RowsForm| {
            let (from_ns, columns) = (Some(from_ns), Vec::new());
            let query =
                RowsQuery { symbol: "SHFE.cu2509", from: None, to: None, from_ns, after: None, columns, limit: 10 };
            rows_page(&store, &query, form)
        };
        assert_eq!(page(500, RowsForm::Json).unwrap().rows, 3);
        std::fs::remove_dir_all(dir.path().join("lake/ticks/symbol=SHFE.cu2509/trading_day=2025-07-17")).unwrap();
        assert!(page(500, RowsForm::Json).is_err());
        assert_eq!(page(501, RowsForm::Json).unwrap().rows, 2);
        let none = page(2_000, RowsForm::Arrow).unwrap();
        assert!(none.rows == 0 && none.next.is_none() && !none.bytes.is_empty());
    }
}
