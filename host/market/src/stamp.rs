//! Time stamps: TqSdk's date-time text, CTP's time of day with a trading day.

use ghtrader_core::{Calendar, CalendarError, ExchangeTimeNs, NS_PER_S, TradingDay};

const NS_PER_DAY: i64 = 86_400 * NS_PER_S;
/// Nine digits behind the second are one nanosecond.
const FRACTION_NS: [i64; 10] = [NS_PER_S, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

/// A text that is no time stamp, or a time without a trading day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// Not of the form required.
    #[error("`{text}` is no {expected}")]
    Form {
        /// The text as given.
        text: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// Exchanges do not trade on that date.
    #[error("{day} is no trading day")]
    NotATradingDay {
        /// The date.
        day: TradingDay,
    },
    /// The calendar does not reach that date.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
}

impl StampError {
    fn form(text: &[u8], expected: &'static str) -> Self {
        Self::Form { text: String::from_utf8_lossy(text).into_owned(), expected }
    }
}

/// Two ASCII digits as a number.
#[inline]
fn two(a: u8, b: u8) -> Option<i64> {
    let (a, b) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
    if a < 10 && b < 10 { Some(i64::from(a) * 10 + i64::from(b)) } else { None }
}

/// `.f` with one to nine digits, or nothing, as nanoseconds.
#[inline]
fn fraction_ns(text: &[u8]) -> Option<i64> {
    match text {
        [] => Some(0),
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            let mut n = 0;
            for c in digits {
                let d = c.wrapping_sub(b'0');
                if d > 9 {
                    return None;
                }
                n = n * 10 + i64::from(d);
            }
            Some(n * FRACTION_NS[digits.len()])
        }
        _ => None,
    }
}

/// `HH:MM:SS[.f{1,9}]` as nanoseconds after midnight.
#[inline]
pub(crate) fn time_of_day_ns(text: &[u8]) -> Option<i64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2, fraction @ ..] = text else { return None };
    let (h, m, s) = (two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?);
    if h > 23 || m > 59 || s > 59 {
        return None;
    }
    Some((h * 3_600 + m * 60 + s) * NS_PER_S + fraction_ns(fraction)?)
}

/// Reads date-time texts; remembers the minute, which most rows share with the row before.
#[derive(Debug, Clone, Default)]
pub(crate) struct StampReader {
    minute_text: [u8; 16],
    minute_ns: Option<i64>,
}

impl StampReader {
    /// `YYYY-MM-DD HH:MM:SS[.f{1,9}]`, Shanghai wall clock, as nanoseconds since the epoch.
    #[inline]
    pub(crate) fn read(&mut self, text: &[u8]) -> Option<i64> {
        let (minute, rest) = text.split_first_chunk::<16>()?;
        if self.minute_ns.is_none() || *minute != self.minute_text {
            self.minute_ns = Some(Self::minute(minute)?);
            self.minute_text = *minute;
        }
        let [b':', s1, s2, fraction @ ..] = rest else { return None };
        let s = two(*s1, *s2)?;
        if s > 59 {
            return None;
        }
        Some(self.minute_ns? + s * NS_PER_S + fraction_ns(fraction)?)
    }

    #[cold]
    fn minute(text: &[u8; 16]) -> Option<i64> {
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b' ', h1, h2, b':', n1, n2] = *text else { return None };
        let year = i32::try_from(two(y1, y2)? * 100 + two(y3, y4)?).ok()?;
        let (month, day) = (u32::try_from(two(m1, m2)?).ok()?, u32::try_from(two(d1, d2)?).ok()?);
        let (hour, minute) = (two(h1, h2)?, two(n1, n2)?);
        if hour > 23 || minute > 59 {
            return None;
        }
        let date = TradingDay::from_ymd(year, month, day)?;
        Some(ExchangeTimeNs::from_cst(date, (hour * 3_600 + minute * 60) * NS_PER_S).0)
    }
}

/// Reads `YYYY-MM-DD HH:MM:SS[.f{1,9}]` on a Shanghai wall clock as nanoseconds since the epoch; digits are kept exactly.
///
/// # Errors
/// Any other form, and dates or times that do not exist.
pub fn datetime_text(text: &[u8]) -> Result<i64, StampError> {
    StampReader::default()
        .read(text)
        .ok_or_else(|| StampError::form(text, "time of the form YYYY-MM-DD HH:MM:SS.fffffffff"))
}

/// Where the hours of one trading day lie on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DayClock {
    pub(crate) day: TradingDay,
    /// Midnight before the trading day, before the evening of its night session, and after that evening; ns.
    midnight: i64,
    evening: i64,
    small_hours: i64,
}

impl DayClock {
    /// # Errors
    /// A date on which the exchange does not trade, or outside the calendar.
    pub(crate) fn new(day: TradingDay, calendar: &Calendar) -> Result<Self, StampError> {
        let previous = calendar.previous_trading_day(day)?;
        if !calendar.is_trading_day(day) {
            return Err(StampError::NotATradingDay { day });
        }
        let midnight = |d: TradingDay| ExchangeTimeNs::from_cst(d, 0).0;
        Ok(Self {
            day,
            midnight: midnight(day),
            evening: midnight(previous),
            small_hours: midnight(previous.plus_days(1)),
        })
    }

    /// The instant of a time of day inside this trading day: from 18:00 on the previous trading day's evening, before
    /// 06:00 the hours after that evening, else the day itself.
    #[inline]
    pub(crate) fn at(&self, ns_of_day: i64) -> i64 {
        debug_assert!((0..NS_PER_DAY).contains(&ns_of_day), "a time of day");
        if ns_of_day >= 18 * 3_600 * NS_PER_S {
            self.evening + ns_of_day
        } else if ns_of_day < 6 * 3_600 * NS_PER_S {
            self.small_hours + ns_of_day
        } else {
            self.midnight + ns_of_day
        }
    }
}

/// Resolves CTP's `TradingDay`, `UpdateTime` and `UpdateMillisec`; `ActionDay` is not needed, it may be empty or wrong.
///
/// # Errors
/// An unreadable time, milliseconds above 999, or a date on which the exchange does not trade.
pub fn ctp_time(
    trading_day: &str,
    update_time: &str,
    update_millisec: &str,
    calendar: &Calendar,
) -> Result<(TradingDay, ExchangeTimeNs), StampError> {
    let day: TradingDay =
        trading_day.parse().map_err(|_| StampError::form(trading_day.as_bytes(), "trading day YYYYMMDD"))?;
    let clock = DayClock::new(day, calendar)?;
    let time = update_time.as_bytes();
    let ns = time_of_day_ns(time).ok_or_else(|| StampError::form(time, "time HH:MM:SS"))?;
    let millis = millisec(update_millisec.as_bytes())
        .ok_or_else(|| StampError::form(update_millisec.as_bytes(), "number of milliseconds 0..999"))?;
    Ok((day, ExchangeTimeNs(clock.at(ns) + millis * 1_000_000)))
}

/// One to three digits: 0..=999.
#[inline]
pub(crate) fn millisec(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 3 {
        return None;
    }
    text.iter().try_fold(0, |n, c| {
        let d = c.wrapping_sub(b'0');
        if d < 10 { Some(n * 10 + i64::from(d)) } else { None }
    })
}
