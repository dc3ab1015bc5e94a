//! Civil dates as days since 1970-01-01.

use serde::{Deserialize, Serialize};

/// Day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// A date by which the exchange books trades; also used for plain civil dates.
///
/// Stored as days since 1970-01-01, so ordering and differences are integer arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TradingDay(i32);

/// A text that is no date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no date; write YYYY-MM-DD or YYYYMMDD between 1970-01-01 and 9999-12-31")]
pub struct DateError {
    /// The text as given.
    pub text: String,
}

impl TradingDay {
    /// From days since 1970-01-01.
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// Days since 1970-01-01.
    pub const fn days(self) -> i32 {
        self.0
    }

    /// From year, month, day; `None` if there is no such date.
    ///
    /// Source: Hinnant, "chrono-compatible low-level date algorithms", 2013.
    pub const fn from_ymd(year: i32, month: u32, day: u32) -> Option<Self> {
        if month < 1 || month > 12 || day < 1 || day > 31 || year < 1970 || year > 9999 {
            return None;
        }
        let y = if month <= 2 { year - 1 } else { year };
        let era = y.div_euclid(400);
        let yoe = y.rem_euclid(400);
        let shifted = (month as i32 + 9) % 12;
        let doy = (153 * shifted + 2) / 5 + day as i32 - 1;
        let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
        let date = Self(era * 146_097 + doe - 719_468);
        let (y2, m2, d2) = date.ymd();
        if y2 == year && m2 == month && d2 == day { Some(date) } else { None }
    }

    /// Year, month, day.
    pub const fn ymd(self) -> (i32, u32, u32) {
        let z = self.0 + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
        let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
        let year = yoe + era * 400 + if month <= 2 { 1 } else { 0 };
        (year, month, day)
    }

    /// The day of the week.
    pub const fn weekday(self) -> Weekday {
        // 1970-01-01 was a Thursday.
        match (self.0 + 3).rem_euclid(7) {
            0 => Weekday::Monday,
            1 => Weekday::Tuesday,
            2 => Weekday::Wednesday,
            3 => Weekday::Thursday,
            4 => Weekday::Friday,
            5 => Weekday::Saturday,
            _ => Weekday::Sunday,
        }
    }

    /// Saturday or Sunday.
    pub const fn is_weekend(self) -> bool {
        matches!(self.weekday(), Weekday::Saturday | Weekday::Sunday)
    }

    /// The date `days` later (earlier if negative).
    pub const fn plus_days(self, days: i32) -> Self {
        Self(self.0 + days)
    }

    /// `YYYYMMDD`, as CTP writes it.
    pub fn compact(self) -> String {
        let (y, m, d) = self.ymd();
        format!("{y:04}{m:02}{d:02}")
    }
}

impl std::fmt::Display for TradingDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (y, m, d) = self.ymd();
        write!(f, "{y:04}-{m:02}-{d:02}")
    }
}

impl std::str::FromStr for TradingDay {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let error = || DateError { text: text.to_owned() };
        let t = text.trim().as_bytes();
        let digits: Vec<u8> = match t {
            [a @ .., b'-', m1, m2, b'-', d1, d2] if a.len() == 4 => {
                let mut v = a.to_vec();
                v.extend([*m1, *m2, *d1, *d2]);
                v
            }
            compact if compact.len() == 8 => compact.to_vec(),
            _ => return Err(error()),
        };
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(error());
        }
        let number = digits.iter().fold(0u32, |n, c| n * 10 + u32::from(c - b'0'));
        Self::from_ymd((number / 10_000) as i32, number / 100 % 100, number % 100).ok_or_else(error)
    }
}

impl Serialize for TradingDay {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TradingDay {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_reads_back() {
        for days in 0..40_000 {
            let day = TradingDay::from_days(days);
            assert_eq!(day.to_string().parse(), Ok(day));
            assert_eq!(day.compact().parse(), Ok(day));
        }
        assert_eq!(TradingDay::from_ymd(2025, 7, 18).map(TradingDay::weekday), Some(Weekday::Friday));
    }

    #[test]
    fn bad_dates_are_refused() {
        for text in ["", "2025-02-30", "2025-7-18", "20250732", "2025/07/18", "x", "1969-12-31", "99991301"] {
            assert!(text.parse::<TradingDay>().is_err(), "{text}");
        }
    }
}
