//! A TqSdk tick file made by hand: good rows, of which a test spoils some.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Midnight of 2025-07-18 in China, the day that [`Ticks`] are made for.
const MIDNIGHT_NS: i64 = 1_752_768_000_000_000_000;
const NS_PER_MS: i64 = 1_000_000;
const FIELDS: [&str; 27] = [
    "last_price",
    "highest",
    "lowest",
    "average",
    "volume",
    "amount",
    "open_interest",
    "bid_price1",
    "bid_volume1",
    "ask_price1",
    "ask_volume1",
    "bid_price2",
    "bid_volume2",
    "ask_price2",
    "ask_volume2",
    "bid_price3",
    "bid_volume3",
    "ask_price3",
    "ask_volume3",
    "bid_price4",
    "bid_volume4",
    "ask_price4",
    "ask_volume4",
    "bid_price5",
    "bid_volume5",
    "ask_price5",
    "ask_volume5",
];

/// Rows of one contract, half a second apart from 09:00:00 of 2025-07-18; every row has ten lots more volume.
#[derive(Debug, Clone)]
pub struct Ticks {
    /// As the header names it.
    pub symbol: String,
    rows: Vec<(String, i64, Vec<String>)>,
}

impl Ticks {
    /// `rows` good rows.
    pub fn new(symbol: &str, rows: usize) -> Self {
        let mut ticks = Self { symbol: symbol.to_owned(), rows: Vec::new() };
        for row in 0..rows as i64 {
            let price = 78_000 + 10 * (row % 7);
            let volume = 10 * (row + 1);
            let mut fields: Vec<i64> = vec![price, 78_060, 78_000, 78_000, volume, volume * 5 * 78_000, 9_000 + row];
            (0..5).for_each(|level| {
                fields.extend([price - 10 * (level + 1), 3 + level, price + 10 * level, 4 + row % 5])
            });
            ticks.rows.push((String::new(), 0, fields.iter().map(i64::to_string).collect()));
            ticks.at(row as usize, 9 * 3_600_000 + 500 * row);
        }
        ticks
    }

    /// Writes a value into a field, such as `ask_price1`, of a row counted from 0.
    ///
    /// # Panics
    /// If there is no such field or row.
    #[expect(clippy::panic, reason = "a misspelt field is a mistake of the test")]
    pub fn set(&mut self, row: usize, field: &str, value: &str) -> &mut Self {
        let Some(at) = FIELDS.iter().position(|f| *f == field) else { panic!("no field {field}") };
        value.clone_into(&mut self.rows[row].2[at]);
        self
    }

    /// Takes the price and size of one side away, on all levels.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn without_side(&mut self, row: usize, side: &str) -> &mut Self {
        for level in 1..=5 {
            self.set(row, &format!("{side}_price{level}"), "nan").set(row, &format!("{side}_volume{level}"), "0");
        }
        self
    }

    /// Gives a row another time of day, in milliseconds after midnight.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn at(&mut self, row: usize, ms: i64) -> &mut Self {
        self.stamp(row, "2025-07-18", 0, ms)
    }

    /// Gives a row another date, `days` after 2025-07-18, and the time of day in milliseconds.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn stamp(&mut self, row: usize, date: &str, days: i64, ms: i64) -> &mut Self {
        let (s, rest) = (ms / 1000, ms % 1000);
        self.rows[row].0 = format!("{date} {:02}:{:02}:{:02}.{rest:03}000000", s / 3600, s / 60 % 60, s % 60);
        self.rows[row].1 = MIDNIGHT_NS + days * 86_400_000 * NS_PER_MS + ms * NS_PER_MS;
        self
    }

    /// Repeats a row behind itself.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn repeat(&mut self, row: usize) -> &mut Self {
        self.rows.insert(row + 1, self.rows[row].clone());
        self
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut text =
            format!("datetime,datetime_nano,{}.{}\n", self.symbol, FIELDS.join(&format!(",{}.", self.symbol)));
        for (datetime, nano, fields) in &self.rows {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{datetime},{nano},{}", fields.join(","));
        }
        text
    }

    /// Writes the file `<symbol>.csv` into a folder.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, dir: &Path) -> PathBuf {
        let path = dir.join(format!("{}.csv", self.symbol));
        crate::write(&path, self.text());
        path
    }
}
