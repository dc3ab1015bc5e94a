//! Sessions and market phases, dated per product.

use crate::{Calendar, Exchange, ExchangeTimeNs, NS_PER_S, Phase, TradingDay, Variety};

const MINUTE_NS: i64 = 60 * NS_PER_S;

/// One window of continuous trading.
///
/// Orders are matched at `start_ns <= t < end_ns`; rows are continuous up to `end_ns` + 1 s, since the end second
/// carries the closing snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionWindow {
    /// First instant, ns since the epoch.
    pub start_ns: i64,
    /// End of matching, ns since the epoch.
    pub end_ns: i64,
    /// Part of the night session.
    pub night: bool,
}

impl SessionWindow {
    /// End of the window's data, exclusive: the end second belongs to it.
    pub const fn data_end_ns(&self) -> i64 {
        self.end_ns + NS_PER_S
    }
}

/// From which trading day (`YYYYMMDD`) a night session ends when (`HHMM`).
type DatedEnds = &'static [(u32, u32)];

/// Night sessions: exchange, products, and from which trading day on they end when. All open at
/// 21:00; ends are `HHMM` on the wall clock. A product that is not listed has none. Where a product was listed with a
/// night session, the first one is the evening of its listing day. Source: the exchanges' notices.
const NIGHTS: &[(Exchange, &str, DatedEnds)] = &[
    (Exchange::Shfe, "au ag", &[(20130708, 230)]),
    (Exchange::Shfe, "cu al zn pb", &[(20131223, 100)]),
    (Exchange::Shfe, "rb hc bu", &[(20141229, 100), (20160504, 2300)]),
    (Exchange::Shfe, "ru", &[(20141229, 2300)]),
    (Exchange::Shfe, "ni sn", &[(20150328, 100)]),
    (Exchange::Shfe, "fu", &[(20180717, 2300)]),
    (Exchange::Shfe, "sp", &[(20181128, 2300)]),
    (Exchange::Shfe, "ss", &[(20190926, 100)]),
    (Exchange::Shfe, "ao", &[(20230620, 100)]),
    (Exchange::Shfe, "br", &[(20230729, 2300)]),
    (Exchange::Shfe, "ad", &[(20250611, 100)]),
    (Exchange::Shfe, "op", &[(20250911, 2300)]),
    (Exchange::Ine, "sc", &[(20180327, 230)]),
    (Exchange::Ine, "nr", &[(20190813, 2300)]),
    (Exchange::Ine, "lu", &[(20200623, 2300)]),
    (Exchange::Ine, "bc", &[(20201120, 100)]),
    (Exchange::Dce, "p j", &[(20140707, 230), (20150511, 2330), (20190401, 2300)]),
    (Exchange::Dce, "a b m y i jm", &[(20141229, 230), (20150511, 2330), (20190401, 2300)]),
    (Exchange::Dce, "c cs l v pp eg", &[(20190401, 2300)]),
    (Exchange::Dce, "rr", &[(20190817, 2300)]),
    (Exchange::Dce, "eb", &[(20190927, 2300)]),
    (Exchange::Dce, "pg", &[(20200507, 2300)]),
    (Exchange::Dce, "bz", &[(20250709, 2300)]),
    (Exchange::Czce, "CF MA RM SR TA", &[(20141215, 2330), (20191212, 2300)]),
    (Exchange::Czce, "ZC", &[(20150519, 2330), (20191212, 2300)]),
    (Exchange::Czce, "FG OI", &[(20150612, 2330), (20191212, 2300)]),
    (Exchange::Czce, "CY", &[(20170819, 2330), (20191212, 2300)]),
    (Exchange::Czce, "SA", &[(20191207, 2330), (20191211, 2300)]),
    (Exchange::Czce, "PF", &[(20201013, 2300)]),
    (Exchange::Czce, "PX SH", &[(20230916, 2300)]),
    (Exchange::Czce, "PR", &[(20240831, 2300)]),
    (Exchange::Czce, "PL", &[(20250723, 2300)]),
];

/// Trading days without any night session, both ends included.
const NIGHTS_SUSPENDED: (u32, u32) = (20200203, 20200506);
/// The night of this trading day opened late on SHFE and INE, at this `HHMM`.
const LATE_OPENING: (u32, u32) = (20191226, 2230);
/// Since this day an auction is held in the morning too on days with a night session.
const MORNING_AUCTION_ALWAYS: u32 = 20230101;

/// Day windows as `HHMM` pairs.
type DayWindows = &'static [(u32, u32)];
const COMMODITIES: DayWindows = &[(900, 1015), (1030, 1130), (1330, 1500)];
const FINANCIALS: DayWindows = &[(930, 1130), (1300, 1500)];
const FINANCIALS_TO_2015: DayWindows = &[(915, 1130), (1300, 1515)];
const BONDS: DayWindows = &[(930, 1130), (1300, 1515)];

fn number(day: TradingDay) -> u32 {
    let (y, m, d) = day.ymd();
    y as u32 * 10_000 + m * 100 + d
}

/// Nanoseconds after midnight of an `HHMM`.
const fn of_day_ns(hhmm: u32) -> i64 {
    (hhmm / 100 * 60 + hhmm % 100) as i64 * MINUTE_NS
}

fn day_windows(v: &Variety, day: TradingDay) -> DayWindows {
    if v.exchange() != Exchange::Cffex {
        return COMMODITIES;
    }
    match v.product() {
        "T" | "TF" | "TS" | "TL" if number(day) >= 20200720 => BONDS,
        "T" | "TF" | "TS" | "TL" => FINANCIALS_TO_2015,
        _ if number(day) >= 20160104 => FINANCIALS,
        _ => FINANCIALS_TO_2015,
    }
}

impl Calendar {
    /// The night session that opens trading day `day`, in the evening of the trading day before; `None` if there is none:
    /// not a trading day, no night for the product on that date, nights suspended, or a weekday closure in between.
    pub fn night_session(&self, v: &Variety, day: TradingDay) -> Option<SessionWindow> {
        let date = number(day);
        let (_, _, ends) = NIGHTS.iter().find(|(exchange, products, _)| {
            *exchange == v.exchange() && products.split(' ').any(|p| p == v.product())
        })?;
        let end = ends.iter().rev().find(|(since, _)| *since <= date)?.1;
        if !self.is_trading_day(day) || (NIGHTS_SUSPENDED.0..=NIGHTS_SUSPENDED.1).contains(&date) {
            return None;
        }
        let eve = self.previous_trading_day(day).ok()?;
        if (eve.days() + 1..day.days()).any(|d| !TradingDay::from_days(d).is_weekend()) {
            return None;
        }
        let late = date == LATE_OPENING.0 && matches!(v.exchange(), Exchange::Shfe | Exchange::Ine);
        let start = of_day_ns(if late { LATE_OPENING.1 } else { 2100 });
        let end = if end < 1800 { of_day_ns(end + 2400) } else { of_day_ns(end) };
        Some(SessionWindow {
            start_ns: ExchangeTimeNs::from_cst(eve, start).0,
            end_ns: ExchangeTimeNs::from_cst(eve, end).0,
            night: true,
        })
    }

    /// All windows of a trading day in order of time, the night first; empty if `day` is no trading day.
    pub fn session_windows(&self, v: &Variety, day: TradingDay) -> Vec<SessionWindow> {
        if !self.is_trading_day(day) {
            return Vec::new();
        }
        let at = |hhmm| ExchangeTimeNs::from_cst(day, of_day_ns(hhmm)).0;
        let by_day = day_windows(v, day).iter();
        let by_day = by_day.map(|&(start, end)| SessionWindow { start_ns: at(start), end_ns: at(end), night: false });
        self.night_session(v, day).into_iter().chain(by_day).collect()
    }

    /// The market phase at an instant. For many rows of one day take [`Calendar::day_phases`].
    pub fn phase(&self, v: &Variety, t: ExchangeTimeNs) -> Phase {
        self.trading_day_of(t).map_or(Phase::Closed, |day| self.day_phases(v, day).phase(t.0))
    }

    /// The phases of one trading day, from 18:00 of the evening before on.
    pub fn day_phases(&self, v: &Variety, day: TradingDay) -> DayPhases {
        let windows = self.session_windows(v, day);
        let mut borders = Vec::with_capacity(16);
        let night = windows.first().filter(|w| w.night);
        // The evening before, or 06:00 of the day itself where there is no night.
        let opening = match night {
            Some(w) => ExchangeTimeNs::from_cst(ExchangeTimeNs(w.start_ns).cst_date(), of_day_ns(1800)).0,
            None => ExchangeTimeNs::from_cst(day, of_day_ns(600)).0,
        };
        for (i, w) in windows.iter().enumerate() {
            let first = i == 0;
            if first {
                borders.push((opening, Phase::PreOpen));
            }
            let morning = !w.night && i == usize::from(night.is_some());
            if first || (morning && number(day) >= MORNING_AUCTION_ALWAYS) {
                borders.push((w.start_ns - MINUTE_NS, Phase::Auction));
            }
            borders.push((w.start_ns, Phase::Continuous));
            let last = i + 1 == windows.len();
            borders.push((w.data_end_ns(), if last || w.night { Phase::Closed } else { Phase::Break }));
        }
        DayPhases { day, borders }
    }
}

/// The phases of one product on one trading day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayPhases {
    day: TradingDay,
    /// From when (ns since the epoch, ascending) which phase holds; closed before the first.
    borders: Vec<(i64, Phase)>,
}

impl DayPhases {
    /// The trading day.
    pub fn day(&self) -> TradingDay {
        self.day
    }

    /// The phase at an instant, ns since the epoch. A few comparisons, no allocation.
    #[inline]
    pub fn phase(&self, t_ns: i64) -> Phase {
        match self.borders.partition_point(|(from, _)| *from <= t_ns) {
            0 => Phase::Closed,
            n => self.borders[n - 1].1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn night_end(v: &str, day: &str) -> Option<String> {
        let (v, day) = (v.parse().unwrap(), day.parse().unwrap());
        Calendar::builtin().night_session(&v, day).map(|w| ExchangeTimeNs(w.end_ns).to_string()[..16].to_owned())
    }

    /// D-07
    #[test]
    fn nights_are_dated_per_product() {
        for (v, day, want) in [
            ("SHFE.ad", "2025-07-18", Some("2025-07-18 01:00")),
            ("SHFE.ad", "2025-06-10", None),
            ("SHFE.wr", "2025-07-18", None),
            ("SHFE.rb", "2016-04-29", Some("2016-04-29 01:00")),
            ("SHFE.rb", "2016-05-04", Some("2016-05-03 23:00")),
            ("SHFE.rb", "2017-11-13", Some("2017-11-10 23:00")),
            ("SHFE.ru", "2018-10-09", Some("2018-10-08 23:00")),
            ("SHFE.ru", "2018-10-08", None),
            ("DCE.bb", "2025-07-18", None),
            ("CFFEX.IF", "2025-07-18", None),
            ("DCE.j", "2015-05-11", Some("2015-05-08 23:30")),
        ] {
            assert_eq!(night_end(v, day).as_deref(), want, "{v} {day}");
        }
    }

    #[test]
    fn index_futures_have_two_windows() {
        let v = "CFFEX.IF".parse().unwrap();
        let w = Calendar::builtin().session_windows(&v, "2025-07-18".parse().unwrap());
        let text: Vec<_> = w
            .iter()
            .map(|w| [w.start_ns, w.end_ns].map(|t| ExchangeTimeNs(t).to_string()[11..16].to_owned()).join("-"))
            .collect();
        assert_eq!(text, ["09:30-11:30", "13:00-15:00"]);
    }

    #[test]
    fn borders_of_a_day_ascend() {
        let c = Calendar::builtin();
        for v in ["cu", "au", "ag", "wr", "CFFEX.IF"] {
            let v: Variety = v.parse().unwrap();
            for day in c.trading_days(TradingDay::from_ymd(2013, 1, 1).unwrap(), c.covered_to()) {
                let p = c.day_phases(&v, day);
                assert!(p.borders.is_sorted_by(|a, b| a.0 < b.0), "{v} {day}");
                assert_eq!(p.phase(i64::MIN), Phase::Closed);
                assert_eq!(p.phase(i64::MAX), Phase::Closed);
            }
        }
    }
}
