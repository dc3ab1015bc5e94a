//! Closed weekdays of the Chinese futures exchanges, 2003–2026, as announced by the State Council and the exchanges.

use crate::TradingDay;

/// The last day that the built-in list speaks for.
pub(crate) const LAST_COVERED: TradingDay = match TradingDay::from_ymd(2026, 12, 31) {
    Some(day) => day,
    None => unreachable!(),
};

/// Per year: `MMDD` or `MMDD-MMDD`, both ends included. Weekends inside a range are closed anyway, make-up working
/// Saturdays and Sundays too, so neither is listed. 0209 of 2024 is a closure by the exchanges alone.
const CLOSED: [(i32, &str); 24] = [
    (2003, "0101 0130-0207 0501-0507 1001-1007"),
    (2004, "0101 0119-0128 0503-0507 1001-1007"),
    (2005, "0103 0207-0215 0502-0506 1003-1007"),
    (2006, "0102-0103 0130-0203 0501-0505 1002-1006"),
    (2007, "0101-0103 0219-0223 0501-0507 1001-1005 1231"),
    (2008, "0101 0206-0212 0404 0501-0502 0609 0915 0929-1003"),
    (2009, "0101-0102 0126-0130 0406 0501 0528-0529 1001-1008"),
    (2010, "0101 0215-0219 0405 0503 0614-0616 0922-0924 1001-1007"),
    (2011, "0103 0202-0208 0404-0405 0502 0606 0912 1003-1007"),
    (2012, "0102-0103 0123-0127 0402-0404 0430-0501 0622 1001-1005"),
    (2013, "0101-0103 0211-0215 0404-0405 0429-0501 0610-0612 0919-0920 1001-1007"),
    (2014, "0101 0131-0206 0407 0501-0502 0602 0908 1001-1007"),
    (2015, "0101-0102 0218-0224 0406 0501 0622 0903-0904 1001-1007"),
    (2016, "0101 0208-0212 0404 0502 0609-0610 0915-0916 1003-1007"),
    (2017, "0102 0127-0202 0403-0404 0501 0529-0530 1002-1006"),
    (2018, "0101 0215-0221 0405-0406 0430-0501 0618 0924 1001-1005 1231"),
    (2019, "0101 0204-0208 0405 0501-0503 0607 0913 1001-1007"),
    (2020, "0101 0124-0131 0406 0501-0505 0625-0626 1001-1008"),
    (2021, "0101 0211-0217 0405 0503-0505 0614 0920-0921 1001-1007"),
    (2022, "0103 0131-0204 0404-0405 0502-0504 0603 0912 1003-1007"),
    (2023, "0102 0123-0127 0405 0501-0503 0622-0623 0929-1006"),
    (2024, "0101 0209-0216 0404-0405 0501-0503 0610 0916-0917 1001-1007"),
    (2025, "0101 0128-0204 0404 0501-0505 0602 1001-1008"),
    (2026, "0101-0102 0216-0223 0406 0501-0505 0619 0925 1001-1007"),
];

/// The closed weekdays in ascending order.
pub(crate) fn builtin() -> Vec<TradingDay> {
    let mut days = Vec::with_capacity(460);
    for (year, text) in CLOSED {
        let date = |mmdd: &str| {
            let n: u32 = mmdd.parse().ok()?;
            TradingDay::from_ymd(year, n / 100, n % 100)
        };
        for range in text.split(' ') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            if let (Some(first), Some(last)) = (date(first), date(last)) {
                days.extend((first.days()..=last.days()).map(TradingDay::from_days).filter(|d| !d.is_weekend()));
            }
        }
    }
    days
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_reads_in_full() {
        let days = super::builtin();
        assert_eq!(days.len(), 431);
        assert!(days.is_sorted_by(|a, b| a < b));
        for (_, text) in super::CLOSED {
            assert!(text.split([' ', '-']).all(|t| t.len() == 4 && t.bytes().all(|c| c.is_ascii_digit())), "{text}");
        }
    }
}
