//! Tick rows for looking at, not for the store: every row as it stands.

use crate::MarketError;
use crate::field::fields_of;
use crate::file::{check_text, end_line, is_gzip};
use crate::layout::{Field, Layout, cell};
use crate::rows::{RowReader, Rules};
use flate2::read::MultiGzDecoder;
use ghtrader_core::{Calendar, Column, ContractId, ExchangeTimeNs, Phase, TickTable, TradingDay};
use std::io::Read as _;
use std::path::Path;

/// Rows of one contract in time order.
#[derive(Debug, Clone, PartialEq)]
pub struct PlainTicks {
    /// The symbol in the header's prefixes or the `symbol` column, as written.
    pub symbol: Option<String>,
    /// One row a line; `seq` from 0 in each trading day, `phase` continuous where the symbol is no contract.
    pub ticks: TickTable,
    /// Columns that the file does not have; they are null, sizes 0.
    pub missing: Vec<Column>,
    /// First row of each trading day, and the day; the date itself where the calendar has no answer.
    pub days: Vec<(usize, TradingDay)>,
}

/// Reads a CSV of tick columns, plain or gzip: `datetime` (text or whole nanoseconds) or `datetime_nano`, and any of the
/// others, with TqSdk's prefixes or without. Missing columns are null, their sizes 0. For evaluating plugins: rows off the
/// grid, repeated or outside the calendar are kept, so that each line gives one row.
///
/// # Errors
/// A file that cannot be read, no time column, rows of two symbols; `Row` for the first unreadable row or time going back.
pub fn read_plain(path: &Path, calendar: &Calendar) -> Result<PlainTicks, MarketError> {
    let mut data =
        std::fs::read(path).map_err(|e| MarketError::Unreadable { path: path.to_owned(), reason: e.to_string() })?;
    if is_gzip(&data) {
        let mut text = Vec::new();
        let decoded = MultiGzDecoder::new(data.as_slice()).read_to_end(&mut text);
        decoded.map_err(|e| MarketError::Damaged { path: path.to_owned(), reason: e.to_string() })?;
        data = text;
    }
    end_line(&mut data);
    let text = check_text(path, &data)?;
    let header_end = text.iter().position(|c| *c == b'\n').map_or(text.len(), |p| p + 1);
    let (header, body) = text.split_at(header_end);
    let layout = Layout::of_tick_columns(path, &String::from_utf8_lossy(header))?;
    if body.is_empty() {
        return Err(MarketError::Empty { path: path.to_owned() });
    }
    let rules = Rules { calendar, contract: None, multiplier: f64::NAN, trading_day: None };
    let mut reader = RowReader::new(&layout, &rules);
    let symbol = layout.symbol.clone().or_else(|| {
        let at = layout.fields.iter().position(|f| *f == Field::Instrument)?;
        let first_line = body.split(|c| *c == b'\n').next()?;
        fields_of(first_line.trim_ascii_end()).nth(at).map(|name| String::from_utf8_lossy(name).trim().to_owned())
    });
    if let Some(symbol) = &symbol {
        reader.only(symbol.rsplit('.').next().unwrap_or_default());
    }
    let mut ticks = reader.every_row(body).map_err(|reject| MarketError::Row {
        code: reject.code,
        line: reject.line + 2,
        reason: reject.detail,
    })?;

    let mut days: Vec<(usize, TradingDay)> = Vec::new();
    for (row, ts_ns) in ticks.ts_ns.iter().enumerate() {
        let t = ExchangeTimeNs(*ts_ns);
        let day = calendar.trading_day_of(t).unwrap_or(t.cst_date());
        if days.last().is_none_or(|(_, last)| *last != day) {
            days.push((row, day));
        }
    }
    let contract: Option<ContractId> = symbol.as_ref().and_then(|s| s.parse().ok());
    let ends = days.iter().skip(1).map(|(row, _)| *row).chain([ticks.ts_ns.len()]);
    for ((start, day), end) in days.iter().zip(ends) {
        ticks.seq.extend(0..(end - start) as u32);
        let phases = contract.as_ref().map(|c| calendar.day_phases(c.variety(), *day));
        let phase = |t: &i64| phases.as_ref().map_or(Phase::Continuous, |p| p.phase(*t)) as u8;
        ticks.phase.extend(ticks.ts_ns[*start..end].iter().map(phase));
    }
    let there = |column: &Column| layout.fields.iter().any(|field| field.cell() == Some(cell(*column)));
    let missing = Column::floats().filter(|column| !there(column)).collect();
    Ok(PlainTicks { symbol, ticks, missing, days })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PlainTicks, MarketError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ticks.csv");
        std::fs::write(&path, text).unwrap();
        read_plain(&path, Calendar::builtin())
    }

    #[test]
    fn every_line_is_a_row() {
        let text = "symbol,datetime,last_price,bid_price1,bid_volume1\n\
                    SHFE.cu2509,1752800400500000000,78003.5,nan,4\n\
                    SHFE.cu2509,1752800400500000000,78003.5,nan,4\n\
                    SHFE.cu2509,1752976800000000000,0,78000,1\n";
        let got = read(text).unwrap();
        assert_eq!((got.symbol.as_deref(), got.ticks.rows()), (Some("SHFE.cu2509"), 3));
        let days: Vec<_> = got.days.iter().map(|(r, d)| (*r, d.to_string())).collect();
        assert_eq!(days, [(0, "2025-07-18".to_owned()), (2, "2025-07-20".to_owned())], "a Sunday stays a date");
        assert_eq!(got.ticks.seq, [0, 1, 0]);
        let view = got.ticks.view();
        assert_eq!(view.float(Column::LastPrice)[0], 78_003.5);
        assert!(view.float(Column::LastPrice)[2].is_nan() && view.float(Column::Volume)[0].is_nan());
        let there = [Column::LastPrice, Column::bid_price(0), Column::bid_volume(0)];
        assert_eq!(got.missing, Column::floats().filter(|c| !there.contains(c)).collect::<Vec<_>>());
        assert_eq!((view.float(Column::bid_volume(0))[0], view.float(Column::ask_volume(4))[0]), (4.0, 0.0));
        let bare = read("datetime,last_price\n2025-07-18 09:00:00.5,1\n").unwrap();
        assert_eq!((bare.symbol, bare.ticks.ts_ns), (None, vec![1_752_800_400_500_000_000]));
        assert_eq!(read("datetime_nano,last_price\n5,1\n").unwrap().ticks.ts_ns, [5]);
    }

    #[test]
    fn the_first_bad_row_is_named() {
        for (rows, code, line, part) in [
            ("2,1\n1,1\n", "time_backwards", 3, "after"),
            ("1,1\n2,x\n", "bad_row", 3, "last_price `x`"),
            ("1\n", "bad_row", 2, "1 fields under 2 columns"),
        ] {
            match read(&format!("datetime,last_price\n{rows}")) {
                Err(MarketError::Row { code: c, line: l, reason }) => {
                    assert_eq!((c, l), (code, line), "{rows}");
                    assert!(reason.contains(part), "{reason}");
                }
                other => panic!("{rows}: {other:?}"),
            }
        }
        assert_eq!(read("last_price\n1\n").unwrap_err().code(), "schema_mismatch");
        assert_eq!(read("datetime,last_price\n").unwrap_err().code(), "empty_file");
        let mixed = "symbol,datetime,last_price\ncu2509,1,1\ncu2510,2,1\n";
        assert_eq!(read(mixed).unwrap_err().code(), "bad_row");
    }
}
