//! Decimal text to numbers: exact, without a guess.

/// 10^0 … 10^22: the powers that an f64 holds exactly.
const POW10: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Digits that always fit below 2^53, so that `digits / 10^scale` is rounded once and therefore correctly
/// (Clinger, "How to read floating point numbers accurately", 1990, fast path).
pub(crate) const EXACT_DIGITS: usize = 15;

/// A decimal as it is written: ±mantissa / 10^scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    /// All digits as one whole number.
    pub mantissa: u64,
    /// Digits behind the point.
    pub scale: u32,
    /// A minus sign stood before it.
    pub negative: bool,
}

impl Decimal {
    /// The nearest f64; the caller knows that the mantissa has at most [`EXACT_DIGITS`] digits and the scale is at most 22.
    #[inline]
    pub(crate) fn to_f64(self) -> f64 {
        // Signed: one instruction, where unsigned takes several.
        let digits = self.mantissa as i64 as f64;
        let magnitude = if self.scale == 0 { digits } else { digits / POW10[self.scale as usize] };
        // A zero loses its sign: -0.0 and 0.0 would be different bytes for one price.
        if self.negative && self.mantissa != 0 { -magnitude } else { magnitude }
    }
}

/// What stands in a field that should hold a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// One of the null words: empty, `nan`, `-`, `N/A`, DBL_MAX.
    Null,
    /// A number, with its exact decimal form where that fits 64 bits.
    Value(f64, Option<Decimal>),
}

/// A text that is no number, or not the kind of number that belongs there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {expected}")]
pub struct NumberError {
    /// The text as given.
    pub text: String,
    /// What belongs there.
    pub expected: &'static str,
}

impl NumberError {
    fn new(text: &[u8], expected: &'static str) -> Self {
        Self { text: String::from_utf8_lossy(text).into_owned(), expected }
    }
}

/// Reads a number: decimal digits with at most one point, an exponent, a leading minus; blanks around it do not matter.
///
/// # Errors
/// Thousands separators, hexadecimal, infinities, two numbers, other text.
pub fn parse_number(text: &[u8]) -> Result<Number, NumberError> {
    let t = text.trim_ascii();
    if t.is_empty() || t == b"-" || t == b"N/A" || t.eq_ignore_ascii_case(b"nan") {
        return Ok(Number::Null);
    }
    let error = || NumberError::new(text, "number");
    let (negative, digits) = match t {
        [b'-', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let mantissa_end = digits.iter().position(|c| matches!(c, b'e' | b'E')).unwrap_or(digits.len());
    let (number, exponent) = digits.split_at(mantissa_end);
    let point = number.iter().position(|c| *c == b'.');
    let (whole, fraction) = match point {
        Some(p) => (&number[..p], &number[p + 1..]),
        None => (number, &[][..]),
    };
    let all_digits = |s: &[u8]| s.iter().all(u8::is_ascii_digit);
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return Err(error());
    }
    let exponent = match exponent {
        [] => 0i32,
        [_, sign @ (b'+' | b'-'), e @ ..] if !e.is_empty() && e.len() <= 4 && all_digits(e) => {
            let magnitude = e.iter().fold(0, |n, c| n * 10 + i32::from(c - b'0'));
            if *sign == b'-' { -magnitude } else { magnitude }
        }
        [_, e @ ..] if !e.is_empty() && e.len() <= 4 && all_digits(e) => {
            e.iter().fold(0, |n, c| n * 10 + i32::from(c - b'0'))
        }
        _ => return Err(error()),
    };
    let value: f64 = std::str::from_utf8(t).ok().and_then(|s| s.parse().ok()).ok_or_else(error)?;
    if value.abs() == f64::MAX {
        return Ok(Number::Null);
    }
    if !value.is_finite() {
        return Err(error());
    }
    let value = if value == 0.0 { 0.0 } else { value };
    Ok(Number::Value(value, exact_decimal(whole, fraction, exponent, negative)))
}

/// The number with exponent as a plain decimal; `None` if it does not fit 19 digits.
fn exact_decimal(whole: &[u8], fraction: &[u8], exponent: i32, negative: bool) -> Option<Decimal> {
    let mut mantissa = 0u64;
    for c in whole.iter().chain(fraction) {
        mantissa = mantissa.checked_mul(10)?.checked_add(u64::from(c - b'0'))?;
    }
    let mut scale = i32::try_from(fraction.len()).ok()? - exponent;
    while scale < 0 {
        mantissa = mantissa.checked_mul(10)?;
        scale += 1;
    }
    Some(Decimal { mantissa, scale: u32::try_from(scale).ok()?, negative })
}

/// Reads a price in CNY per quoted unit; NaN for a null word and for 0, which gateways write for "no price".
///
/// # Errors
/// As [`parse_number`].
pub fn parse_price(text: &[u8]) -> Result<f64, NumberError> {
    match parse_number(text).map_err(|_| NumberError::new(text, "price"))? {
        Number::Value(v, _) if v != 0.0 => Ok(v),
        _ => Ok(f64::NAN),
    }
}

/// Reads a whole number of lots of a book level; 0 for a null word, which means an empty level.
///
/// # Errors
/// As [`parse_number`], and a fraction.
pub fn parse_lots(text: &[u8]) -> Result<f64, NumberError> {
    parse_count(text).map(|lots| if lots.is_nan() { 0.0 } else { lots })
}

/// Reads a whole number of lots of a cumulative column or level (volume, open interest); NaN for a null word.
///
/// # Errors
/// As [`parse_number`], and a fraction.
pub fn parse_count(text: &[u8]) -> Result<f64, NumberError> {
    let error = || NumberError::new(text, "whole number of lots");
    match parse_number(text).map_err(|_| error())? {
        Number::Null => Ok(f64::NAN),
        Number::Value(v, _) if v.fract() == 0.0 => Ok(v),
        Number::Value(..) => Err(error()),
    }
}

/// Divides CTP's AveragePrice, which is price times multiplier; NaN when nothing was traded or it is missing.
pub fn average_price(average_times_multiplier: f64, volume_lots: f64, multiplier: f64) -> f64 {
    if average_times_multiplier == 0.0 || volume_lots == 0.0 || volume_lots.is_nan() {
        f64::NAN
    } else {
        average_times_multiplier / multiplier
    }
}

/// The price grid of a contract: whole multiples of its price tick.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    tick: Decimal,
    tick_cny: f64,
    /// `divisors[s]` divides the mantissa of every grid price that is written with `s` digits behind the point.
    divisors: [Divisor; SCALES],
}

const SCALES: usize = 9;

/// Exact divisibility by a constant with one multiplication (Granlund, Montgomery, "Division by invariant integers
/// using multiplication", 1994, section 9).
#[derive(Debug, Clone, Copy)]
struct Divisor {
    inverse_of_odd_part: u64,
    trailing_zeros: u32,
    largest_quotient: u64,
}

impl Divisor {
    fn new(d: u64) -> Self {
        let trailing_zeros = d.trailing_zeros();
        let odd = d >> trailing_zeros;
        // Newton's iteration doubles the correct low bits: 3, 6, 12, 24, 48, 96.
        let mut inverse = odd;
        for _ in 0..5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        }
        Self { inverse_of_odd_part: inverse, trailing_zeros, largest_quotient: u64::MAX / d }
    }

    #[inline]
    fn divides(self, n: u64) -> bool {
        n.wrapping_mul(self.inverse_of_odd_part).rotate_right(self.trailing_zeros) <= self.largest_quotient
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Grid {
    /// From the price tick as decimal text, such as `0.02`.
    ///
    /// # Errors
    /// A text that is no positive number with at most six digits behind the point.
    pub fn parse(tick_text: &str) -> Result<Self, NumberError> {
        let error = || NumberError::new(tick_text.as_bytes(), "price tick above 0");
        match parse_number(tick_text.as_bytes())? {
            Number::Value(tick_cny, Some(tick))
                if tick.mantissa > 0 && !tick.negative && tick.scale <= 6 && tick.mantissa < 1_000_000_000 =>
            {
                let divisors = std::array::from_fn(|written| {
                    let (written, scale) = (written as u32, tick.scale);
                    Divisor::new(if written <= scale {
                        tick.mantissa / gcd(tick.mantissa, 10u64.pow(scale - written))
                    } else {
                        tick.mantissa * 10u64.pow(written - scale)
                    })
                });
                Ok(Self { tick, tick_cny, divisors })
            }
            _ => Err(error()),
        }
    }

    /// Whether a price lies on the grid, to 1e-6 of a tick; the decimal form decides where there is one.
    #[inline]
    pub(crate) fn holds(&self, value: f64, decimal: Option<Decimal>) -> bool {
        match decimal {
            Some(d) if (d.scale as usize) < SCALES && self.divisors[d.scale as usize].divides(d.mantissa) => true,
            _ => self.holds_nearly(value),
        }
    }

    /// Writers that go through binary floats leave 4018.7999999999997 for 4018.8.
    #[cold]
    fn holds_nearly(&self, value: f64) -> bool {
        let ticks = value / self.tick_cny;
        (ticks - ticks.round()).abs() <= 1e-6
    }
}

/// Divides a price text by the tick exactly; `None` when there is no price.
///
/// # Errors
/// A text that is no price, and a price between two ticks.
pub fn price_to_ticks(text: &[u8], grid: &Grid) -> Result<Option<i64>, NumberError> {
    let error = || NumberError::new(text, "price on the tick grid");
    let decimal = match parse_number(text)? {
        Number::Null => return Ok(None),
        Number::Value(0.0, _) => return Ok(None),
        Number::Value(_, decimal) => decimal.ok_or_else(error)?,
    };
    let power = |digits: u32| 10u128.checked_pow(digits).ok_or_else(error);
    let numerator = u128::from(decimal.mantissa) * power(grid.tick.scale)?;
    let denominator = u128::from(grid.tick.mantissa).checked_mul(power(decimal.scale)?).ok_or_else(error)?;
    if numerator % denominator != 0 {
        return Err(error());
    }
    let ticks = i64::try_from(numerator / denominator).map_err(|_| error())?;
    Ok(Some(if decimal.negative { -ticks } else { ticks }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The grid test by one multiplication agrees with exact division.
        #[test]
        fn divisor_agrees_with_remainder(n in any::<u64>(), d in 1u64..2_000_000_000, k in 0u64..1000) {
            prop_assert_eq!(Divisor::new(d).divides(n), n % d == 0);
            prop_assert!(Divisor::new(d).divides(d * k));
        }

        #[test]
        fn every_grid_price_is_on_the_grid(ticks in 1i64..10_000_000, which in 0usize..6) {
            let tick = ["10", "0.02", "0.05", "1", "0.2", "0.005"][which];
            let grid = Grid::parse(tick).expect("tick");
            let scale = tick.find('.').map_or(0, |p| tick.len() - p - 1);
            let mantissa = ticks * tick.replace('.', "").parse::<i64>().expect("digits");
            let text = format!("{}.{:0width$}", mantissa / 10i64.pow(scale as u32), mantissa % 10i64.pow(scale as u32), width = scale.max(1));
            prop_assert_eq!(price_to_ticks(text.as_bytes(), &grid), Ok(Some(ticks)));
            let Ok(Number::Value(v, d)) = parse_number(text.as_bytes()) else { panic!("{text}") };
            prop_assert!(grid.holds(v, d));
            prop_assert!(grid.holds(v, None));
            prop_assert!(!grid.holds(v + grid.tick_cny / 2.0, None));
        }

        #[test]
        fn the_value_is_the_nearest_double(whole in 0u64..100_000_000, fraction in 0u64..1_000_000) {
            let text = format!("{whole}.{fraction:06}");
            let Ok(Number::Value(v, Some(d))) = parse_number(text.as_bytes()) else { panic!("{text}") };
            prop_assert_eq!(v.to_bits(), text.parse::<f64>().expect("number").to_bits());
            prop_assert_eq!(d.to_f64().to_bits(), v.to_bits());
        }
    }

    /// D-04
    #[test]
    fn null_words_and_zero_are_no_price() {
        for text in ["", " ", "nan", "NaN", "-", "N/A", "1.7976931348623157e+308", "0", "0.0", "-0.0", "0e5"] {
            assert!(parse_price(text.as_bytes()).expect(text).is_nan(), "{text}");
        }
        for text in
            ["+5", "1_000", "0x10", "1.2.3", "1e", "e5", ".", "--5", "1e99999", "1e400", "infinity", "n/a", "5 "]
        {
            assert_eq!(parse_price(text.as_bytes()).is_err(), text != "5 ", "{text}");
        }
    }
}
