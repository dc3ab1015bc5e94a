//! Rows of a tick series as this program's columns.

use super::value::{lots, number, whole};
use ghtrader_core::{Column, TICK_COLUMNS};
use serde_json::Value;
use std::fmt::Write as _;

/// One tick row of a DIFF series.
#[derive(Debug, Clone, PartialEq)]
pub struct TickRow {
    /// The row's number in the contract's life; never given to another row.
    pub id: i64,
    /// Exchange time, ns since the epoch.
    pub ts_ns: i64,
    /// The f64 columns in schema order; NaN = missing, 0 for sizes of the book.
    pub cells: [f64; TICK_COLUMNS - 1],
}

/// In front of the columns of a TqSdk tick file without prefixes.
const TICK_TEXT_HEADER_ID: &str = "id";

impl TickRow {
    /// Reads a row of `ticks.S.data`; `None` for one without a time, which is not there yet.
    pub fn read(id: i64, row: &Value) -> Option<Self> {
        let ts_ns = whole(row.get(Column::Datetime.name()))?;
        let mut cells = [f64::NAN; TICK_COLUMNS - 1];
        for (cell, column) in cells.iter_mut().zip(Column::floats()) {
            let member = row.get(column.name());
            let of_day = matches!(column, Column::Volume | Column::Amount | Column::OpenInterest);
            *cell = if column.is_price() || of_day { number(member) } else { lots(member) };
        }
        Some(Self { id, ts_ns, cells })
    }

    /// Any of the sixteen level 2–5 fields is above 0.
    pub fn has_l5(&self) -> bool {
        self.cells[Column::bid_price(1).index() - 1..].iter().any(|cell| *cell > 0.0)
    }

    /// The header of the text form.
    pub fn text_header() -> String {
        let columns: Vec<&str> = std::iter::once(TICK_TEXT_HEADER_ID).chain(Column::all().map(Column::name)).collect();
        columns.join(",") + "\n"
    }

    /// Adds the row to a text as one line that [`crate::TickFile`] reads back to the same bits.
    pub fn push_text(&self, text: &mut String) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{},{}", self.id, self.ts_ns);
        for cell in &self.cells {
            let _ = if cell.is_nan() { write!(text, ",nan") } else { write!(text, ",{cell}") };
        }
        text.push('\n');
    }

    /// The id and the time of a line of the text form.
    pub fn id_and_time(line: &str) -> Option<(i64, i64)> {
        let mut fields = line.split(',');
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// DC-06
    #[test]
    fn a_row_with_gaps_in_any_form_is_a_row() {
        let row = json!({"datetime": 5.0, "last_price": 1, "volume": 3, "ask_price1": "-", "ask_volume1": null,
                         "bid_price1": "", "bid_volume1": 7.0});
        let tick = TickRow::read(9, &row).unwrap();
        let cell = |c: Column| tick.cells[c.index() - 1];
        assert_eq!((tick.id, tick.ts_ns, cell(Column::LastPrice), cell(Column::Volume)), (9, 5, 1.0, 3.0));
        assert!(cell(Column::ask_price(0)).is_nan() && cell(Column::bid_price(0)).is_nan());
        assert_eq!(
            (cell(Column::ask_volume(0)), cell(Column::bid_volume(0)), cell(Column::ask_volume(4))),
            (0.0, 7.0, 0.0)
        );
        assert!(cell(Column::OpenInterest).is_nan() && !tick.has_l5());
        assert_eq!(TickRow::read(9, &json!({"last_price": 1})), None);
        let mut text = String::new();
        tick.push_text(&mut text);
        assert_eq!(TickRow::id_and_time(&text), Some((9, 5)));
        assert_eq!(text.split(',').count(), TickRow::text_header().split(',').count());
    }
}
