//! Rows as CSV: times as in TqSdk's files, a missing number is an empty field.

use super::Part;
use ghtrader_market::{push_float, push_whole};
use std::io::{Result, Write};

pub(super) fn write(out: &mut impl Write, part: &Part<'_>) -> Result<()> {
    let named = format!("{},{},", part.manifest.symbol, part.manifest.trading_day);
    let underlying = part.underlying.map(|(contract, segment)| format!(",{contract},{segment}")).unwrap_or_default();
    let mut line = Vec::with_capacity(512);
    for &row in part.order {
        line.clear();
        line.extend_from_slice(named.as_bytes());
        push_whole(&mut line, i64::from(part.rows.seq[row]));
        line.push(b',');
        line.extend_from_slice(part.time(row).as_bytes());
        line.push(b',');
        push_whole(&mut line, part.rows.ts_ns[row]);
        line.push(b',');
        line.extend_from_slice(part.phase(row).as_bytes());
        line.extend_from_slice(underlying.as_bytes());
        for column in part.columns {
            line.push(b',');
            let value = part.rows.float(*column)[row];
            if !value.is_nan() {
                push_float(&mut line, value);
            }
        }
        line.push(b'\n');
        out.write_all(&line)?;
    }
    Ok(())
}
