//! Tick rows as columns: one L5 snapshot a row.

use crate::Digest;
use serde::{Deserialize, Serialize};

/// Levels on each side of the book.
pub const L5_LEVELS: usize = 5;

/// Number of columns of a tick row, the time included, symbol apart.
pub const TICK_COLUMNS: usize = 28;

/// A column of a tick row, in schema order. All but [`Column::Datetime`] (i64 ns) are f64; NaN = null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Column(u8);

#[expect(
    non_upper_case_globals,
    missing_docs,
    reason = "associated constants stand for enum variants; names are the columns'"
)]
impl Column {
    pub const Datetime: Self = Self(0);
    pub const LastPrice: Self = Self(1);
    pub const Average: Self = Self(2);
    pub const Highest: Self = Self(3);
    pub const Lowest: Self = Self(4);
    pub const Volume: Self = Self(5);
    pub const Amount: Self = Self(6);
    pub const OpenInterest: Self = Self(7);
}

const NAMES: [&str; TICK_COLUMNS] = [
    "datetime",
    "last_price",
    "average",
    "highest",
    "lowest",
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

impl Column {
    /// All columns in schema order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..TICK_COLUMNS as u8).map(Self)
    }

    /// The f64 columns in schema order.
    pub fn floats() -> impl Iterator<Item = Self> {
        (1..TICK_COLUMNS as u8).map(Self)
    }

    /// Price of bid level 0..=4 (0 is the best).
    pub const fn bid_price(level: usize) -> Self {
        assert!(level < L5_LEVELS);
        Self(8 + 4 * level as u8)
    }

    /// Size of bid level 0..=4.
    pub const fn bid_volume(level: usize) -> Self {
        assert!(level < L5_LEVELS);
        Self(9 + 4 * level as u8)
    }

    /// Price of ask level 0..=4.
    pub const fn ask_price(level: usize) -> Self {
        assert!(level < L5_LEVELS);
        Self(10 + 4 * level as u8)
    }

    /// Size of ask level 0..=4.
    pub const fn ask_volume(level: usize) -> Self {
        assert!(level < L5_LEVELS);
        Self(11 + 4 * level as u8)
    }

    /// Position in schema order; 0 is the time.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The column's name in files and plugin manifests, such as `bid_price1`.
    pub const fn name(self) -> &'static str {
        NAMES[self.0 as usize]
    }

    /// The column of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().position(|n| *n == name).map(|i| Self(i as u8))
    }

    /// A price column (last, average, highest, lowest, book prices): 0 means null on input.
    pub const fn is_price(self) -> bool {
        matches!(self.0, 1..=4) || (self.0 >= 8 && self.0.is_multiple_of(2))
    }

    /// First 16 hex digits of the digest of all names and types (D-03).
    pub fn schema_hash() -> String {
        let floats: Vec<String> = Self::floats().map(|c| format!("{}:float64", c.name())).collect();
        Digest::of(format!("symbol:string,datetime:int64,{}", floats.join(",")).as_bytes()).short16()
    }
}

/// What part of the exchange's day a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Phase {
    /// Before the day's first auction.
    PreOpen = 0,
    /// The minute of order collection before an opening.
    Auction = 1,
    /// Continuous trading, closing snapshots included.
    Continuous = 2,
    /// Between two windows of the day session.
    Break = 3,
    /// Everything else.
    Closed = 4,
}

impl Phase {
    /// All phases by their stored number.
    pub const ALL: [Self; 5] = [Self::PreOpen, Self::Auction, Self::Continuous, Self::Break, Self::Closed];

    /// The name in files, such as `pre_open`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreOpen => "pre_open",
            Self::Auction => "auction",
            Self::Continuous => "continuous",
            Self::Break => "break",
            Self::Closed => "closed",
        }
    }
}

/// Owned tick rows of one contract, struct of arrays.
///
/// All vectors have one length; rows are sorted by (time, sequence).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TickTable {
    /// Exchange time, ns since the epoch.
    pub ts_ns: Vec<i64>,
    /// Sequence in the symbol-day, from 0. In `main_l5` that of the source row.
    pub seq: Vec<u32>,
    /// [`Phase`] by its number.
    pub phase: Vec<u8>,
    /// The f64 columns in schema order: `floats[c.index() - 1]`.
    pub floats: [Vec<f64>; TICK_COLUMNS - 1],
}

impl TickTable {
    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.ts_ns.len()
    }

    /// An empty table with room for `rows`.
    pub fn with_capacity(rows: usize) -> Self {
        Self {
            ts_ns: Vec::with_capacity(rows),
            seq: Vec::with_capacity(rows),
            phase: Vec::with_capacity(rows),
            floats: std::array::from_fn(|_| Vec::with_capacity(rows)),
        }
    }

    /// The same rows, borrowed.
    pub fn view(&self) -> TickView<'_> {
        TickView {
            ts_ns: &self.ts_ns,
            seq: &self.seq,
            phase: &self.phase,
            floats: std::array::from_fn(|i| self.floats[i].as_slice()),
        }
    }

    /// Adds the rows `range` of a view at the end.
    pub fn extend_from(&mut self, rows: &TickView<'_>, range: std::ops::Range<usize>) {
        self.ts_ns.extend_from_slice(&rows.ts_ns[range.clone()]);
        self.seq.extend_from_slice(&rows.seq[range.clone()]);
        self.phase.extend_from_slice(&rows.phase[range.clone()]);
        for (to, from) in self.floats.iter_mut().zip(rows.floats) {
            to.extend_from_slice(&from[range.clone()]);
        }
    }
}

/// Borrowed tick rows: of a [`TickTable`] or of a mapped file.
#[derive(Debug, Clone, Copy)]
pub struct TickView<'a> {
    /// Exchange time, ns since the epoch.
    pub ts_ns: &'a [i64],
    /// Sequence in the symbol-day.
    pub seq: &'a [u32],
    /// [`Phase`] by its number.
    pub phase: &'a [u8],
    /// The f64 columns in schema order.
    pub floats: [&'a [f64]; TICK_COLUMNS - 1],
}

impl<'a> TickView<'a> {
    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.ts_ns.len()
    }

    /// An f64 column.
    ///
    /// # Panics
    /// For [`Column::Datetime`], which is not f64.
    #[inline]
    pub fn float(&self, column: Column) -> &'a [f64] {
        self.floats[column.index() - 1]
    }

    /// The rows of a range.
    pub fn slice(&self, range: std::ops::Range<usize>) -> TickView<'a> {
        TickView {
            ts_ns: &self.ts_ns[range.clone()],
            seq: &self.seq[range.clone()],
            phase: &self.phase[range.clone()],
            floats: self.floats.map(|c| &c[range.clone()]),
        }
    }

    /// The word that crosses to a plugin for one cell: i64 or f64 by its bits.
    #[inline]
    pub fn word(&self, row: usize, column: Column) -> u64 {
        if column.index() == 0 { self.ts_ns[row] as u64 } else { self.floats[column.index() - 1][row].to_bits() }
    }

    /// Any of the sixteen level 2–5 fields is above 0.
    #[inline]
    pub fn has_l5(&self, row: usize) -> bool {
        self.floats[11..].iter().any(|c| c[row] > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-03
    #[test]
    fn schema_hash_is_the_documented_one() {
        assert_eq!(Column::schema_hash(), "6270bba406e22ffd");
    }

    #[test]
    fn names_and_positions_agree() {
        for c in Column::all() {
            assert_eq!(Column::from_name(c.name()), Some(c));
        }
        assert_eq!(Column::ask_volume(4).name(), "ask_volume5");
        assert_eq!(Column::bid_price(1).name(), "bid_price2");
        assert!(Column::bid_price(0).is_price() && Column::ask_price(4).is_price() && !Column::Volume.is_price());
    }
}
