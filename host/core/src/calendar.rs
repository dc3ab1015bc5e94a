//! Trading days, and the one rule from an instant to its trading day.

use crate::{ErrorClass, ExchangeTimeNs, NS_PER_S, Problem, TradingDay, holidays};
use std::sync::LazyLock;

/// The first day the calendar answers for.
const FIRST_DAY: TradingDay = match TradingDay::from_ymd(2000, 1, 1) {
    Some(day) => day,
    None => unreachable!(),
};
/// Days after the end of the holiday list that still count, provisionally, as plain weekdays.
const PROVISIONAL_DAYS: i32 = 366;
/// No closure in the exchanges' history was longer.
const LONGEST_CLOSURE_DAYS: i32 = 14;
const HOUR_NS: i64 = 3_600 * NS_PER_S;

/// Trading days and sessions of the Chinese futures exchanges.
///
/// The built-in list covers 2003–2026. A year is added without a rebuild by [`Calendar::with_holidays`]; weekdays after
/// the list's end are provisional trading days for [`366`](Calendar::is_provisional) days, later ones are an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// Closed weekdays, ascending.
    closed: Vec<TradingDay>,
    covered_to: TradingDay,
}

/// A date or an instant that the calendar cannot place, or a holiday list that it cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// The date lies outside the calendar.
    #[error("{day} lies outside the calendar, which covers {from} to {to}")]
    Uncovered {
        /// The date asked for.
        day: TradingDay,
        /// First covered date.
        from: TradingDay,
        /// Last covered date.
        to: TradingDay,
    },
    /// Daytime of a weekend or holiday.
    #[error("{time} (Shanghai time) lies in the daytime of {day}, which is no trading day")]
    NotATradingDay {
        /// The date.
        day: TradingDay,
        /// The instant.
        time: ExchangeTimeNs,
    },
    /// A holiday list of another shape.
    #[error("the holiday list is unreadable: {reason}")]
    HolidayShape {
        /// What was found.
        reason: String,
    },
}

impl From<CalendarError> for Problem {
    fn from(e: CalendarError) -> Self {
        let (code, remedy) = match &e {
            CalendarError::Uncovered { .. } => (
                "calendar_uncovered",
                "check the date; for a later year give its holidays with `calendar.holidays_file`",
            ),
            CalendarError::NotATradingDay { .. } => {
                ("not_a_trading_day", "check the stamps and their time zone, or the holiday list")
            }
            CalendarError::HolidayShape { .. } => (
                "bad_holidays",
                "write a JSON list of dates, an object with `holidays`, `holiday` or `data`, or an object year -> dates",
            ),
        };
        Self::new(code, ErrorClass::User, e.to_string(), remedy)
    }
}

impl Calendar {
    /// The calendar with the built-in holidays.
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Calendar> =
            LazyLock::new(|| Calendar { closed: holidays::builtin(), covered_to: holidays::LAST_COVERED });
        &BUILTIN
    }

    /// The same calendar with more closed days; cover grows to the end of the latest year among them.
    pub fn with_holidays(&self, extra: impl IntoIterator<Item = TradingDay>) -> Self {
        let mut closed = self.closed.clone();
        closed.extend(extra.into_iter().filter(|d| !d.is_weekend()));
        closed.sort_unstable();
        closed.dedup();
        let year_end = closed.last().and_then(|d| TradingDay::from_ymd(d.ymd().0, 12, 31));
        let covered_to = year_end.map_or(self.covered_to, |end| end.max(self.covered_to));
        Self { closed, covered_to }
    }

    /// Reads a holiday list: a list of dates, an object with such a list under `holidays`, `holiday` or `data`, or an
    /// object year → list. Dates are `YYYY-MM-DD` or `YYYYMMDD`.
    ///
    /// Returns the dates and the entries that are none, as text.
    ///
    /// # Errors
    /// `HolidayShape` for anything else.
    pub fn parse_holidays(json: &str) -> Result<(Vec<TradingDay>, Vec<String>), CalendarError> {
        use serde_json::Value;
        let shape = |reason: String| CalendarError::HolidayShape { reason };
        let value: Value = serde_json::from_str(json).map_err(|e| shape(e.to_string()))?;
        let mut entries: Vec<&Value> = Vec::new();
        match &value {
            Value::Array(list) => entries.extend(list),
            Value::Object(map) => match ["holidays", "holiday", "data"].iter().find_map(|k| map.get(*k)) {
                Some(Value::Array(list)) => entries.extend(list),
                Some(_) => return Err(shape("its member is no list".to_owned())),
                None => {
                    for (year, list) in map {
                        let is_year = year.len() == 4 && year.bytes().all(|c| c.is_ascii_digit());
                        match list {
                            Value::Array(list) if is_year => entries.extend(list),
                            _ => return Err(shape(format!("member `{year}` is no list of a year's dates"))),
                        }
                    }
                }
            },
            _ => return Err(shape("neither list nor object".to_owned())),
        }
        let (mut days, mut bad) = (Vec::new(), Vec::new());
        for entry in entries {
            let text = entry.as_str().map_or_else(|| entry.to_string(), str::to_owned);
            match text.parse() {
                Ok(day) => days.push(day),
                Err(_) => bad.push(text),
            }
        }
        Ok((days, bad))
    }

    /// The last day the holiday list speaks for.
    pub fn covered_to(&self) -> TradingDay {
        self.covered_to
    }

    /// The day lies after the end of the holiday list: a weekday then counts as a trading day until holidays are known.
    pub fn is_provisional(&self, day: TradingDay) -> bool {
        day > self.covered_to
    }

    /// Monday to Friday and not closed. Make-up working Saturdays and Sundays are closed.
    pub fn is_trading_day(&self, day: TradingDay) -> bool {
        !day.is_weekend() && self.closed.binary_search(&day).is_err()
    }

    /// The first trading day strictly after `day`.
    ///
    /// # Errors
    /// `Uncovered` outside the calendar.
    pub fn next_trading_day(&self, day: TradingDay) -> Result<TradingDay, CalendarError> {
        self.covered(day)?;
        let found = (1..=LONGEST_CLOSURE_DAYS).map(|n| day.plus_days(n)).find(|d| self.is_trading_day(*d));
        found.ok_or_else(|| self.uncovered(day))
    }

    /// The last trading day strictly before `day`.
    ///
    /// # Errors
    /// `Uncovered` outside the calendar.
    pub fn previous_trading_day(&self, day: TradingDay) -> Result<TradingDay, CalendarError> {
        self.covered(day)?;
        let found = (1..=LONGEST_CLOSURE_DAYS).map(|n| day.plus_days(-n)).find(|d| self.is_trading_day(*d));
        found.ok_or_else(|| self.uncovered(day))
    }

    /// All trading days from `from` to `to`, both included, ascending.
    pub fn trading_days(&self, from: TradingDay, to: TradingDay) -> Vec<TradingDay> {
        (from.days()..=to.days()).map(TradingDay::from_days).filter(|d| self.is_trading_day(*d)).collect()
    }

    /// The trading day that an instant belongs to.
    ///
    /// By Shanghai time: from 18:00 the next trading day after that date; before 06:00 the next trading day after the date
    /// before (Saturday 00:30 is Monday's); else that date.
    ///
    /// # Errors
    /// `NotATradingDay` in the daytime of a closed date, `Uncovered` outside the calendar.
    pub fn trading_day_of(&self, t: ExchangeTimeNs) -> Result<TradingDay, CalendarError> {
        let (date, of_day) = (t.cst_date(), t.cst_ns_of_day());
        if of_day >= 18 * HOUR_NS {
            self.next_trading_day(date)
        } else if of_day < 6 * HOUR_NS {
            self.next_trading_day(date.plus_days(-1))
        } else {
            self.covered(date)?;
            if self.is_trading_day(date) { Ok(date) } else { Err(CalendarError::NotATradingDay { day: date, time: t }) }
        }
    }

    /// The instant at a wall-clock time of a trading day: the inverse of [`Calendar::trading_day_of`] for sources that
    /// write a time without its date.
    ///
    /// `ns_of_day` counts from midnight. From 18:00 it lies on the previous trading day's date, before 06:00 on the
    /// date after that, else on the day itself.
    ///
    /// # Errors
    /// `Uncovered` outside the calendar.
    pub fn instant_in_day(&self, day: TradingDay, ns_of_day: i64) -> Result<ExchangeTimeNs, CalendarError> {
        let date = if ns_of_day >= 18 * HOUR_NS {
            self.previous_trading_day(day)?
        } else if ns_of_day < 6 * HOUR_NS {
            self.previous_trading_day(day)?.plus_days(1)
        } else {
            day
        };
        Ok(ExchangeTimeNs::from_cst(date, ns_of_day))
    }

    fn covered(&self, day: TradingDay) -> Result<(), CalendarError> {
        let last = self.covered_to.plus_days(PROVISIONAL_DAYS);
        if (FIRST_DAY..=last).contains(&day) { Ok(()) } else { Err(self.uncovered(day)) }
    }

    fn uncovered(&self, day: TradingDay) -> CalendarError {
        CalendarError::Uncovered { day, from: FIRST_DAY, to: self.covered_to.plus_days(PROVISIONAL_DAYS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> TradingDay {
        text.parse().unwrap()
    }

    /// D-05
    #[test]
    fn a_year_is_added_without_a_rebuild() {
        let c = Calendar::builtin();
        assert!(c.is_provisional(day("2027-02-08")) && c.is_trading_day(day("2027-02-08")));
        let (days, bad) =
            Calendar::parse_holidays(r#"{"2027": ["2027-02-08", "20270209", "soon", 20270210]}"#).unwrap();
        assert_eq!(bad, ["soon"]);
        let c = c.with_holidays(days);
        assert!(!c.is_provisional(day("2027-02-08")) && !c.is_trading_day(day("2027-02-08")));
        assert_eq!(c.next_trading_day(day("2027-02-05")), Ok(day("2027-02-11")));
    }

    /// D-05
    #[test]
    fn holiday_lists_have_three_shapes() {
        let want = vec![day("2027-01-01")];
        for json in [
            r#"["2027-01-01"]"#,
            r#"{"holidays": ["20270101"]}"#,
            r#"{"holiday": ["2027-01-01"]}"#,
            r#"{"data": ["2027-01-01"]}"#,
            r#"{"2027": ["2027-01-01"]}"#,
        ] {
            assert_eq!(Calendar::parse_holidays(json), Ok((want.clone(), vec![])), "{json}");
        }
        for json in ["", "3", "\"2027-01-01\"", r#"{"data": 3}"#, r#"{"dates": ["2027-01-01"]}"#, r#"{"2027": "x"}"#] {
            let e = Calendar::parse_holidays(json).unwrap_err();
            assert_eq!(Problem::from(e).code, "bad_holidays", "{json}");
        }
    }

    #[test]
    fn dates_out_of_the_calendar_are_errors() {
        let c = Calendar::builtin();
        for text in ["1999-12-31", "2028-03-01", "2099-01-05"] {
            let t = ExchangeTimeNs::from_cst(day(text), 10 * HOUR_NS);
            let e = c.trading_day_of(t).unwrap_err();
            assert_eq!(Problem::from(e).code, "calendar_uncovered", "{text}");
        }
    }

    /// D-06
    #[test]
    fn instants_and_trading_days_are_inverse() {
        let c = Calendar::builtin();
        for d in c.trading_days(day("2017-01-01"), day("2018-12-31")) {
            for hour in [0, 2, 5, 6, 9, 15, 17, 18, 21, 23] {
                let t = c.instant_in_day(d, hour * HOUR_NS + 1).unwrap();
                assert_eq!(c.trading_day_of(t), Ok(d), "{t}");
            }
        }
    }
}
