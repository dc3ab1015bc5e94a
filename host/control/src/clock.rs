//! The one place at which this room reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Where the time comes from: ns since the epoch.
pub type Clock = fn() -> i64;

/// The machine's clock.
#[expect(clippy::disallowed_methods, reason = "tokens expire and events are numbered by the wall clock")]
pub fn wall_clock_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64)
}

/// A wall clock as text, such as `2025-07-01T09:30:00.123Z`.
pub fn rfc3339(time_ns: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    let ms = time_ns.div_euclid(1_000_000);
    let day = ghtrader_core::TradingDay::from_days(ms.div_euclid(DAY_MS) as i32);
    let ms = ms.rem_euclid(DAY_MS);
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{day}T{:02}:{:02}:{:02}.{ms:03}Z", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_utc() {
        assert_eq!(rfc3339(1_751_362_200_123_456_789), "2025-07-01T09:30:00.123Z");
        assert_eq!(rfc3339(-1_000_000), "1969-12-31T23:59:59.999Z");
        assert!(wall_clock_ns() > 1_700_000_000_000_000_000);
    }
}
