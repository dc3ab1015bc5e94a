//! Numbers as text, fast: what CSV files and the DIFF server write.

/// Appends the shortest decimal that reads back as `value` to the bit; NaN is `nan`. No exponents.
pub fn push_float(line: &mut Vec<u8>, value: f64) {
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

/// Appends a whole number.
pub fn push_whole(line: &mut Vec<u8>, value: i64) {
    if value < 0 {
        line.push(b'-');
    }
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
    push_digits(line, value.unsigned_abs(), digits as usize);
}

/// Appends the last `digits` decimal digits, zeros in front.
pub fn push_digits(line: &mut Vec<u8>, mut value: u64, digits: usize) {
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
