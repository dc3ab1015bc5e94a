//! Symbol-days as tick CSV files in the TqSdk form.

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

/// The shortest decimal that reads back as `value`, with at most two decimals on the fast way.
fn push_float(line: &mut Vec<u8>, value: f64) {
    const EXACT: f64 = 9e13;
    if value.is_nan() {
        line.extend_from_slice(b"nan");
    } else if value.abs() < EXACT && value == value.trunc() && !(value == 0.0 && value.is_sign_negative()) {
        push_whole(line, value as i64);
    } else {
        let hundredths = (value * 100.0).round();
        if value > 0.0 && value < EXACT && hundredths / 100.0 == value {
            let n = hundredths as u64;
            push_whole(line, (n / 100) as i64);
            line.push(b'.');
            let digits = if n.is_multiple_of(10) { 1 } else { 2 };
            push_digits(line, if digits == 1 { n / 10 % 10 } else { n % 100 }, digits);
        } else {
            line.extend_from_slice(value.to_string().as_bytes());
        }
    }
}

fn push_whole(line: &mut Vec<u8>, value: i64) {
    if value < 0 {
        line.push(b'-');
    }
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
    push_digits(line, value.unsigned_abs(), digits as usize);
}

/// The last `digits` decimal digits.
fn push_digits(line: &mut Vec<u8>, mut value: u64, digits: usize) {
    let start = line.len();
    line.resize(start + digits, b'0');
    for place in line[start..].iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: f64) -> String {
        let mut line = Vec::new();
        push_float(&mut line, value);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn numbers_are_short() {
        for (value, want) in [
            (0.0, "0"),
            (78_010.0, "78010"),
            (778.02, "778.02"),
            (778.1, "778.1"),
            (-3.0, "-3"),
            (f64::NAN, "nan"),
            (0.05, "0.05"),
        ] {
            assert_eq!(written(value), want);
        }
    }

    proptest! {
        #[test]
        fn numbers_read_back(bits: u64, cents in -1_000_000_000i64..1_000_000_000) {
            for value in [f64::from_bits(bits), cents as f64 / 100.0, cents as f64] {
                if value.is_finite() {
                    prop_assert_eq!(written(value).parse::<f64>().map(f64::to_bits), Ok(value.to_bits()));
                }
            }
        }
    }
}
