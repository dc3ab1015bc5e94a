//! Rows, bars and quotes as JSON text, written by hand: they are nearly all that a server sends.

use crate::bars::Bar;
use crate::tape::{Day, Series};
use ghtrader_core::{Column, ExchangeTimeNs};
use ghtrader_market::{push_digits, push_float, push_whole};
use std::sync::LazyLock;

/// A number; what is missing is `"-"`, which clients of every age read as missing.
pub(crate) fn number(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        push_float(out, value);
    } else {
        out.extend_from_slice(b"\"-\"");
    }
}

/// A text with its quotation marks.
pub(crate) fn text(out: &mut Vec<u8>, value: &str) {
    // Writing into memory does not fail, nor does a text.
    let _ = serde_json::to_writer(out, value);
}

/// `"name":`
pub(crate) fn key(out: &mut Vec<u8>, name: &str) {
    text(out, name);
    out.push(b':');
}

/// `"id":`
pub(crate) fn id_key(out: &mut Vec<u8>, id: i64) {
    out.push(b'"');
    push_whole(out, id);
    out.extend_from_slice(b"\":");
}

/// `"name":` of each column, a comma before it.
static COLUMN_KEYS: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| Column::all().map(|c| format!(",\"{}\":", c.name()).into_bytes()).collect());

/// Columns of a row, totals first, then as many levels as the series has.
fn columns(levels: usize) -> impl Iterator<Item = Column> {
    Column::floats().take(7 + 4 * levels)
}

/// A tick row.
pub(crate) fn tick(out: &mut Vec<u8>, series: &Series, row: usize) {
    out.extend_from_slice(b"{\"datetime\":");
    push_whole(out, series.ticks.ts_ns[row]);
    for column in columns(series.levels) {
        out.extend_from_slice(&COLUMN_KEYS[column.index()]);
        number(out, series.cell(column, row));
    }
    out.push(b'}');
}

/// A kline.
pub(crate) fn bar(out: &mut Vec<u8>, bar: &Bar) {
    out.extend_from_slice(b"{\"datetime\":");
    push_whole(out, bar.start_ns);
    for (name, value) in [
        (&b",\"open\":"[..], bar.open),
        (b",\"high\":", bar.high),
        (b",\"low\":", bar.low),
        (b",\"close\":", bar.close),
        (b",\"volume\":", bar.volume),
        (b",\"open_oi\":", bar.open_oi),
        (b",\"close_oi\":", bar.close_oi),
    ] {
        out.extend_from_slice(name);
        number(out, value);
    }
    out.push(b'}');
}

/// `"2025-07-18 09:00:00.500000"`, Shanghai time.
pub(crate) fn datetime(out: &mut Vec<u8>, ts_ns: i64) {
    let at = ExchangeTimeNs(ts_ns);
    let (year, month, day) = at.cst_date().ymd();
    let (h, m, s, ns) = at.cst_hms();
    out.push(b'"');
    push_digits(out, year.unsigned_abs().into(), 4);
    for (separator, value) in [(b'-', month), (b'-', day), (b' ', h), (b':', m), (b':', s)] {
        out.push(separator);
        push_digits(out, value.into(), 2);
    }
    out.push(b'.');
    push_digits(out, u64::from(ns / 1000), 6);
    out.push(b'"');
}

/// A whole quote at a row; `close` and `settlement` once the day is settled.
pub(crate) fn quote(out: &mut Vec<u8>, series: &Series, underlying: Option<&str>, row: usize, settled: bool) {
    let day = series.day_of(row);
    out.extend_from_slice(b"{\"instrument_id\":");
    text(out, &series.symbol);
    if let Some(symbol) = underlying {
        out.extend_from_slice(b",\"underlying_symbol\":");
        text(out, symbol);
    }
    out.extend_from_slice(b",\"datetime\":");
    datetime(out, series.ticks.ts_ns[row]);
    for column in columns(series.levels) {
        out.extend_from_slice(&COLUMN_KEYS[column.index()]);
        number(out, series.cell(column, row));
    }
    out.extend_from_slice(b",\"open\":");
    number(out, open_price(series, day, row));
    for (name, value) in [
        (&b",\"pre_close\":"[..], day.pre_close),
        (b",\"pre_settlement\":", day.pre_settlement),
        (b",\"pre_open_interest\":", day.pre_open_interest),
        (b",\"upper_limit\":", day.upper),
        (b",\"lower_limit\":", day.lower),
        (b",\"close\":", if settled { day.close } else { f64::NAN }),
        (b",\"settlement\":", if settled { day.settlement } else { f64::NAN }),
    ] {
        out.extend_from_slice(name);
        number(out, value);
    }
    out.push(b'}');
}

/// What has changed in a quote since an earlier row of the same day.
pub(crate) fn quote_change(out: &mut Vec<u8>, series: &Series, from: usize, row: usize, settled: bool) {
    out.extend_from_slice(b"{\"datetime\":");
    datetime(out, series.ticks.ts_ns[row]);
    for column in columns(series.levels) {
        let value = series.cell(column, row);
        if value.to_bits() != series.cell(column, from).to_bits() {
            out.extend_from_slice(&COLUMN_KEYS[column.index()]);
            number(out, value);
        }
    }
    let day = series.day_of(row);
    let open = open_price(series, day, row);
    if open.to_bits() != open_price(series, day, from).to_bits() {
        out.extend_from_slice(b",\"open\":");
        number(out, open);
    }
    if settled {
        out.extend_from_slice(b",\"close\":");
        number(out, day.close);
        out.extend_from_slice(b",\"settlement\":");
        number(out, day.settlement);
    }
    out.push(b'}');
}

/// The first price of the day, if it is known by a row.
fn open_price(series: &Series, day: &Day, row: usize) -> f64 {
    series.first_price(&(day.rows.start..row + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_and_missing_numbers() {
        assert_eq!(written(|o| datetime(o, 1_752_757_200_500_000_000)), "\"2025-07-17 21:00:00.500000\"");
        assert_eq!(written(|o| number(o, f64::NAN)), "\"-\"");
        assert_eq!(written(|o| number(o, f64::INFINITY)), "\"-\"");
        assert_eq!(written(|o| number(o, 19_810.0)), "19810");
        assert_eq!(written(|o| id_key(o, -3)), "\"-3\":");
    }
}
