//! Takers: walking the displayed levels, and the own size that is gone from them.

use crate::{BeyondBook, Side};
use ghtrader_core::L5_LEVELS;
use std::ops::Range;

/// Fills of a walk, at most one a level and one beyond the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TakerWalk {
    fills: [(i32, u32); L5_LEVELS + 1],
    count: usize,
    /// Lots that no level within the limit holds and that may rest at the limit.
    pub resting_lots: u32,
    /// Lots of a market order that the displayed book does not hold.
    pub rejected_lots: u32,
    /// The walk used up every displayed level and wanted more.
    pub beyond_book: bool,
}

impl TakerWalk {
    /// Price and lots of each fill, best price first.
    pub fn fills(&self) -> &[(i32, u32)] {
        &self.fills[..self.count]
    }

    /// All lots filled.
    pub fn filled_lots(&self) -> u32 {
        self.fills().iter().map(|f| f.1).sum()
    }

    /// An order that takes nothing and rests whole.
    pub const fn passive(lots: u32) -> Self {
        Self { fills: [(0, 0); L5_LEVELS + 1], count: 0, resting_lots: lots, rejected_lots: 0, beyond_book: false }
    }

    fn push(&mut self, price_ticks: i32, lots: u32) {
        if lots > 0 && self.count < self.fills.len() {
            self.fills[self.count] = (price_ticks, lots);
            self.count += 1;
        }
    }
}

/// Walks the opposite side, best level first, as far as the limit price allows (`None`: market order).
///
/// `levels` are price in ticks and lots there for us, at most five. What a limit order does not get rests at its limit.
/// A market order's rest is rejected, or fills at the last displayed price worsened by the penalty; with no level
/// displayed nothing fills, whatever the setting.
pub fn taker_walk(
    side: Side,
    limit_ticks: Option<i32>,
    lots: u32,
    levels: &[(i32, u32)],
    beyond_book: BeyondBook,
) -> TakerWalk {
    let mut walk = TakerWalk::default();
    let mut left = lots;
    let allowed = |price: i32| match (limit_ticks, side) {
        (None, _) => true,
        (Some(limit), Side::Buy) => price <= limit,
        (Some(limit), Side::Sell) => price >= limit,
    };
    let reached = levels.iter().take(L5_LEVELS).take_while(|&&(price, _)| allowed(price));
    let mut visited = 0;
    for &(price, there) in reached {
        visited += 1;
        let taken = there.min(left);
        walk.push(price, taken);
        left -= taken;
        if left == 0 {
            return walk;
        }
    }
    walk.beyond_book = visited == levels.len().min(L5_LEVELS) && (visited > 0 || limit_ticks.is_none());
    match (limit_ticks, beyond_book, levels[..visited].last()) {
        (Some(_), ..) => walk.resting_lots = left,
        (None, BeyondBook::Penalty { ticks }, Some(&(last, _))) => {
            walk.push(last.saturating_add(side.sign().saturating_mul(ticks as i32)), left);
        }
        (None, ..) => walk.rejected_lots = left,
    }
    walk
}

/// Fills of one order on the books before and after its arrival: price in ticks and lots, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakerChoice {
    /// On the snapshot before.
    pub k: TakerWalk,
    /// On the snapshot after.
    pub k_plus_1: TakerWalk,
}

/// Walks both books between which the truth lies for an order decided on the first and arriving before the second.
pub fn taker_book_choice(
    side: Side,
    limit_ticks: Option<i32>,
    lots: u32,
    book_k: &[(i32, u32)],
    book_k_plus_1: &[(i32, u32)],
) -> TakerChoice {
    let walk = |book| taker_walk(side, limit_ticks, lots, book, BeyondBook::Reject);
    TakerChoice { k: walk(book_k), k_plus_1: walk(book_k_plus_1) }
}

/// Displayed lots that own takers have used up: the record still shows them, for us they are gone.
///
/// Given back only by a refill: on each snapshot consumed = min(consumed, displayed now). What is used up matters only when
/// an order meets its level: until then the snapshots in between need not be looked at.
#[derive(Debug, Default)]
pub struct Consumed {
    /// By side and price.
    levels: Vec<UsedUp>,
}

#[derive(Debug, Clone, Copy)]
struct UsedUp {
    /// The displayed side.
    side: Side,
    price_ticks: i32,
    lots: u32,
    /// The last snapshot that was looked at.
    row: u32,
}

impl Clone for Consumed {
    fn clone(&self) -> Self {
        Self { levels: self.levels.clone() }
    }

    fn clone_from(&mut self, source: &Self) {
        self.levels.clone_from(&source.levels);
    }
}

impl Consumed {
    /// Nothing is used up.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// Lots used up at a price of a displayed side, after the snapshot of `row`.
    ///
    /// `least` says of some rows how many lots they show there at least; `None` = all of them outside the displayed levels,
    /// which changes nothing. Rows are asked in order.
    pub fn at(
        &mut self,
        side: Side,
        price_ticks: i32,
        row: usize,
        least: impl FnOnce(Range<usize>) -> Option<u32>,
    ) -> u32 {
        let Ok(at) = self.find(side, price_ticks) else { return 0 };
        let level = &mut self.levels[at];
        let since = level.row as usize + 1..row + 1;
        if since.is_empty() {
            return level.lots;
        }
        level.row = row as u32;
        level.lots = least(since).map_or(level.lots, |shown| shown.min(level.lots));
        if level.lots > 0 {
            return level.lots;
        }
        self.levels.remove(at);
        0
    }

    /// Uses up lots of the snapshot of `row`, for which [`Self::at`] has been asked.
    pub fn take(&mut self, side: Side, price_ticks: i32, row: usize, lots: u32) {
        if lots == 0 {
            return;
        }
        match self.find(side, price_ticks) {
            Ok(at) => self.levels[at].lots += lots,
            Err(at) => self.levels.insert(at, UsedUp { side, price_ticks, lots, row: row as u32 }),
        }
    }

    fn find(&self, side: Side, price_ticks: i32) -> Result<usize, usize> {
        self.levels.binary_search_by_key(&(side, price_ticks), |level| (level.side, level.price_ticks))
    }

    /// Forgets everything, before a day's first row.
    pub fn clear(&mut self) {
        self.levels.clear();
    }
}
