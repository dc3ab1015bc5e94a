//! Exchange time: nanoseconds since the epoch, UTC, and its reading on a Shanghai wall clock.

use crate::TradingDay;
use serde::{Deserialize, Serialize};

/// Nanoseconds in a second.
pub const NS_PER_S: i64 = 1_000_000_000;
/// China Standard Time is UTC+8 all year.
pub const CST_OFFSET_NS: i64 = 8 * 3_600 * NS_PER_S;
const NS_PER_DAY: i64 = 86_400 * NS_PER_S;

/// The exchange's own time stamp of a snapshot: nanoseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExchangeTimeNs(pub i64);

impl ExchangeTimeNs {
    /// From a Shanghai date and nanoseconds after its midnight (may exceed a day).
    pub const fn from_cst(date: TradingDay, ns_of_day: i64) -> Self {
        Self(date.days() as i64 * NS_PER_DAY + ns_of_day - CST_OFFSET_NS)
    }

    /// The date on a Shanghai wall clock.
    pub const fn cst_date(self) -> TradingDay {
        TradingDay::from_days((self.0 + CST_OFFSET_NS).div_euclid(NS_PER_DAY) as i32)
    }

    /// Nanoseconds since midnight on a Shanghai wall clock.
    pub const fn cst_ns_of_day(self) -> i64 {
        (self.0 + CST_OFFSET_NS).rem_euclid(NS_PER_DAY)
    }

    /// Hour, minute, second and nanosecond on a Shanghai wall clock.
    pub const fn cst_hms(self) -> (u32, u32, u32, u32) {
        let ns = self.cst_ns_of_day();
        let s = ns / NS_PER_S;
        ((s / 3600) as u32, (s / 60 % 60) as u32, (s % 60) as u32, (ns % NS_PER_S) as u32)
    }
}

/// Shanghai wall clock, `YYYY-MM-DD HH:MM:SS.fffffffff`.
impl std::fmt::Display for ExchangeTimeNs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (h, m, s, ns) = self.cst_hms();
        write!(f, "{} {h:02}:{m:02}:{s:02}.{ns:09}", self.cst_date())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_clock_is_utc_plus_eight() {
        let t = ExchangeTimeNs(1_752_757_200_500_000_000);
        assert_eq!(t.to_string(), "2025-07-17 21:00:00.500000000");
        assert_eq!(ExchangeTimeNs::from_cst(t.cst_date(), t.cst_ns_of_day()), t);
    }
}
