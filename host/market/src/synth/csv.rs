//! Symbol-days as tick CSV files in the TqSdk form.

use crate::write::{push_digits, push_float, push_whole};
use ghtrader_core::{Column, ContractId, ExchangeTimeNs, TickView, TradingDay};
use std::io::{self, Write};

/// Columns of the form in its order; levels follow.
const TOTALS: [Column; 7] = [
    Column::LastPrice,
    Column::Highest,
    Column::Lowest,
    Column::Average,
    Column::Volume,
    Column::Amount,
    Column::OpenInterest,
];

/// Writes rows as TqSdk tick CSV with five levels: `datetime` as Shanghai wall clock, `datetime_nano` in ns since the
/// epoch, then `<SYMBOL>.<column>`; NaN is `nan`. Reading the file back gives the same numbers to the bit.
///
/// # Errors
/// Those of `out`.
pub fn write_tqsdk_csv(out: &mut impl Write, contract: &ContractId, ticks: &TickView<'_>) -> io::Result<()> {
    let levels =
        (0..5).flat_map(|i| [Column::bid_price(i), Column::bid_volume(i), Column::ask_price(i), Column::ask_volume(i)]);
    let columns: Vec<Column> = TOTALS.into_iter().chain(levels).collect();
    let mut line = b"datetime,datetime_nano".to_vec();
    for column in &columns {
        write!(line, ",{contract}.{}", column.name())?;
    }
    line.push(b'\n');
    out.write_all(&line)?;
    let cells: Vec<&[f64]> = columns.iter().map(|c| ticks.float(*c)).collect();
    let (mut date, mut date_text) = (TradingDay::from_days(i32::MIN), String::new());
    for (row, &t) in ticks.ts_ns.iter().enumerate() {
        let at = ExchangeTimeNs(t);
        if at.cst_date() != date {
            date = at.cst_date();
            date_text = date.to_string();
        }
        line.clear();
        line.extend_from_slice(date_text.as_bytes());
        let (h, m, s, ns) = at.cst_hms();
        for (separator, value, digits) in [(b' ', h, 2), (b':', m, 2), (b':', s, 2), (b'.', ns, 9)] {
            line.push(separator);
            push_digits(&mut line, u64::from(value), digits);
        }
        line.push(b',');
        push_whole(&mut line, t);
        for cell in &cells {
            line.push(b',');
            push_float(&mut line, cell[row]);
        }
        line.push(b'\n');
        out.write_all(&line)?;
    }
    Ok(())
}
