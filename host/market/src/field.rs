//! Fields of a row of text: where they end, and what they say. Every piece of text ends with a line end.

use crate::number::{Decimal, EXACT_DIGITS, Number, parse_number};

/// The leading decimal digits of eight bytes as a number, and how many there are; eight bytes at a time without a loop
/// (Lemire, "Quickly parsing eight digits", 2018).
#[inline]
fn leading_digits(bytes: [u8; 8]) -> (u64, usize) {
    let digits = u64::from_le_bytes(bytes) ^ 0x3030_3030_3030_3030;
    // The high bit of a byte is set where it was no digit.
    let other = (((digits & 0x7f7f_7f7f_7f7f_7f7f) + 0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080;
    let count = (other.trailing_zeros() / 8) as usize;
    if count == 0 {
        return (0, 0);
    }
    // The first digit is the lowest byte: shifted up, zeros take the places in front of it.
    let v = digits << (64 - 8 * count);
    let v = v.wrapping_mul(10).wrapping_add(v >> 8);
    let high = (v & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let low = ((v >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    (high.wrapping_add(low) >> 32, count)
}

/// Ten to the number of digits that [`leading_digits`] returns.
const SHIFT: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Appends the digits at `*i` to `mantissa`, which wraps beyond 19 digits; returns how many there are.
#[inline]
fn digits(b: &[u8], i: &mut usize, mantissa: &mut u64) -> usize {
    let from = *i;
    while let Some(eight) = b.get(*i..).and_then(|rest| rest.first_chunk::<8>()) {
        let (value, count) = leading_digits(*eight);
        *mantissa = mantissa.wrapping_mul(SHIFT[count]).wrapping_add(value);
        *i += count;
        if count < 8 {
            return *i - from;
        }
    }
    // The last bytes of the text.
    while let Some(digit) = b.get(*i).map(|c| c.wrapping_sub(b'0')).filter(|d| *d < 10) {
        *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        *i += 1;
    }
    *i - from
}

pub(crate) fn line_end(b: &[u8], start: usize) -> usize {
    b[start..].iter().position(|c| *c == b'\n').map_or(b.len(), |n| start + n + 1)
}

/// The fields of a line, quotes removed; for messages and slow paths.
pub(crate) fn fields_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let (field, end) = match line {
            [b'"', inner @ ..] => match inner.iter().position(|c| *c == b'"') {
                Some(close) => (&inner[..close], close + 2),
                None => (inner, line.len()),
            },
            _ => {
                let end = line.iter().position(|c| *c == b',').unwrap_or(line.len());
                (&line[..end], end)
            }
        };
        rest = match &line[end..] {
            [] => None,
            after => Some(&after[after.iter().position(|c| *c == b',').map_or(after.len(), |p| p + 1)..])
                .filter(|_| after.contains(&b',')),
        };
        Some(field)
    })
}

/// The text of the field at `at` without quotes, and where its delimiter stands. `None` if a quote is not closed.
#[inline]
pub(crate) fn text(b: &[u8], at: usize) -> Option<(&[u8], usize)> {
    if b[at] == b'"' {
        let inner = &b[at + 1..];
        let close = inner.iter().position(|c| matches!(c, b'"' | b'\n')).filter(|p| inner[*p] == b'"')?;
        return Some((&inner[..close], at + close + 2));
    }
    let mut end = at;
    while !matches!(b[end], b',' | b'\n') {
        end += 1;
    }
    if b[end] == b'\n' && end > at && b[end - 1] == b'\r' {
        end -= 1;
    }
    Some((&b[at..end], end))
}

/// The plain decimal number at `at`, up to fifteen digits, and where the field's delimiter stands.
#[inline(always)]
pub(crate) fn plain_number(b: &[u8], at: usize) -> Option<(Decimal, usize)> {
    let quoted = b[at] == b'"';
    let mut i = at + usize::from(quoted);
    let negative = b[i] == b'-';
    i += usize::from(negative);
    let first = i;
    let mut mantissa = 0u64;
    let mut count = digits(b, &mut i, &mut mantissa);
    let mut scale = 0;
    if i > first && b[i] == b'.' {
        i += 1;
        scale = digits(b, &mut i, &mut mantissa);
        count += scale;
    }
    let closed = !quoted || b[i] == b'"';
    i += usize::from(quoted && closed);
    let plain = count.wrapping_sub(1) < EXACT_DIGITS && closed && matches!(b.get(i), Some(b',' | b'\n' | b'\r'));
    plain.then_some((Decimal { mantissa, scale: scale as u32, negative }, i))
}

/// The number at `at` with its decimal form, NaN for a null word, and where the field's delimiter stands.
#[cold]
pub(crate) fn slow_number(b: &[u8], at: usize) -> Option<(f64, Option<Decimal>, usize)> {
    let (text, end) = text(b, at)?;
    match parse_number(text).ok()? {
        Number::Null => Some((f64::NAN, None, end)),
        Number::Value(value, decimal) => Some((value, decimal, end)),
    }
}

/// Whole nanoseconds since the epoch, and where the field's delimiter stands.
#[inline]
pub(crate) fn nano(b: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut i = at;
    let mut n = 0;
    let count = digits(b, &mut i, &mut n);
    if (1..=19).contains(&count) && matches!(b.get(i), Some(b',' | b'\n' | b'\r')) {
        return Some((i64::try_from(n).ok()?, i));
    }
    let (text, end) = text(b, at)?;
    Some((whole_ns(text)?, end))
}

/// Whole nanoseconds since the epoch: one to nineteen digits.
#[inline]
pub(crate) fn whole_ns(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    let mut n = 0u64;
    for c in text {
        let digit = c.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    i64::try_from(n).ok()
}

#[inline]
pub(crate) fn eight_digits(text: &[u8]) -> Option<u32> {
    if text.len() != 8 {
        return None;
    }
    text.iter().try_fold(0u32, |n, c| {
        let digit = c.wrapping_sub(b'0');
        if digit < 10 { Some(n * 10 + u32::from(digit)) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Eight bytes at a time agree with one after the other, whatever follows the digits.
        #[test]
        fn digits_agree_with_a_loop(run in "[0-9]{0,20}", rest in "[^0-9][ -~]{0,12}", negative in any::<bool>()) {
            let bytes = format!("{run}{rest}").into_bytes();
            let (mut i, mut mantissa) = (0, 0);
            prop_assert_eq!(digits(&bytes, &mut i, &mut mantissa), run.len());
            let want = run.bytes().fold(0u64, |n, c| n.wrapping_mul(10).wrapping_add(u64::from(c - b'0')));
            prop_assert_eq!((i, mantissa), (run.len(), want));

            let field = format!("{}{run}.{run},x\n", if negative { "-" } else { "" });
            if let Some((decimal, end)) = plain_number(field.as_bytes(), 0) {
                let slow = slow_number(field.as_bytes(), 0).map(|(v, _, end)| (v.to_bits(), end));
                prop_assert_eq!(Some((decimal.to_f64().to_bits(), end)), slow, "{}", field);
            }
        }

        #[test]
        fn any_bytes_are_a_number_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut text = bytes;
            text.push(b'\n');
            let _ = (plain_number(&text, 0), slow_number(&text, 0));
            let _ = nano(&text, 0);
            prop_assert!(fields_of(&text).count() >= 1);
        }
    }
}
