//! A contract-day made ready for matching, once for all fill models and strategies.

use crate::auction::AuctionRows;
use crate::queue::LevelInterval;
use crate::split::{IntervalCounts, LotRange, PrintSolutions, split_by_turnover};
use crate::split_report::SplitReport;
use crate::{ExchangeError, Side};
use ghtrader_core::{Calendar, Column, ContractSpec, L5_LEVELS, NS_PER_S, Phase, TickView, TradingDay, Variety};
use std::ops::Range;

/// So long before a window that it opens, a call auction is under way.
const AUCTION_BEFORE_NS: i64 = 30 * NS_PER_S;
/// A session without a row for longer than this has a gap.
const GAP_NS: i64 = 5 * NS_PER_S;
/// Price of an empty level; its negative is as far away on the other side.
pub(crate) const EMPTY: i32 = -i32::MAX;
/// A price may be off the grid by this share of a tick.
const GRID_TOLERANCE_TICKS: f64 = 1e-6;

/// Bits of a row's flags.
pub(crate) mod flag {
    /// Continuous and inside a window: takers and arrivals may meet this book.
    pub(crate) const BOOK: u8 = 1;
    /// The interval that ends here is matched.
    pub(crate) const MATCH: u8 = 2;
    /// More than 5 s without a row lie before.
    pub(crate) const GAP: u8 = 4;
    /// More than two prices traded: `detail` holds the solutions.
    pub(crate) const SOLUTIONS: u8 = 8;
    /// The turnover fits nothing: `detail` holds volume and price range.
    pub(crate) const UNSPLIT: u8 = 16;
    /// One side is empty: the price is locked at a limit.
    pub(crate) const LOCKED: u8 = 32;
}

/// What [`PreparedDay::prepare`] needs besides the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct PrepareSpec {
    /// Smallest price step, CNY.
    pub price_tick: f64,
    /// Quoted units a lot.
    pub multiplier: f64,
    /// Volume and amount are counted on both sides.
    pub double_sided: bool,
    /// Windows of continuous trading, ascending: matched at start ≤ t < end.
    pub windows: Vec<(i64, i64)>,
    /// Starts of those windows that a call auction precedes. Of the first window, the first row with volume carries it, of
    /// a later one the first row, unless the auction has a row of its own.
    pub auction_starts_ns: Vec<i64>,
}

impl PrepareSpec {
    /// The terms of a product on a trading day, its windows and auctions by the calendar.
    pub fn of_day(
        calendar: &Calendar,
        variety: &Variety,
        day: TradingDay,
        terms: &ContractSpec,
        double_sided: bool,
    ) -> Self {
        let windows = calendar.session_windows(variety, day);
        let phases = calendar.day_phases(variety, day);
        let by_auction = |start_ns: &i64| phases.phase(start_ns - AUCTION_BEFORE_NS) == Phase::Auction;
        Self {
            price_tick: terms.price_tick,
            multiplier: terms.multiplier,
            double_sided,
            auction_starts_ns: windows.iter().map(|w| w.start_ns).filter(by_auction).collect(),
            windows: windows.iter().map(|w| (w.start_ns, w.end_ns)).collect(),
        }
    }
}

/// What was met while preparing a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PrepareWarnings {
    /// Intervals whose turnover fits no whole-lot split.
    pub volume_unsplit: u64,
    /// Intervals with more than two prices: volume is known within bounds only.
    pub volume_bounded: u64,
    /// Rows that carry a call auction.
    pub auction_rows: u64,
    /// Rows outside continuous trading, closing snapshots included.
    pub closed_rows: u64,
    /// Continuous rows whose best bid reaches the best ask; not matched.
    pub crossed_rows: u64,
    /// Rows after a gap.
    pub gaps: u64,
    /// Continuous rows with one side empty, as at a lock limit: queues advance by volume only.
    pub locked_rows: u64,
}

impl PrepareWarnings {
    /// The sums of both.
    #[must_use]
    pub fn plus(self, other: &Self) -> Self {
        Self {
            volume_unsplit: self.volume_unsplit + other.volume_unsplit,
            volume_bounded: self.volume_bounded + other.volume_bounded,
            auction_rows: self.auction_rows + other.auction_rows,
            closed_rows: self.closed_rows + other.closed_rows,
            crossed_rows: self.crossed_rows + other.crossed_rows,
            gaps: self.gaps + other.gaps,
            locked_rows: self.locked_rows + other.locked_rows,
        }
    }
}

/// Levels behind the best.
const DEEPER: usize = L5_LEVELS - 1;

/// Levels of one side; prices of the ask side are stored negated, so that on both sides a larger price is a better one.
///
/// The best is read row after row, the others seldom and then together: each in the order in which it is read.
#[derive(Debug, Clone, Default)]
struct SideColumns {
    best: Vec<i32>,
    best_lots: Vec<i32>,
    /// (price, lots) of the levels 2 to 5 of a row; no rows where the day shows one level.
    deeper: Vec<[(i32, i32); DEEPER]>,
    /// Lots traded at the previous row's best price of this side.
    traded: Vec<i32>,
}

/// What is known of an interval with more than two prices.
#[derive(Debug, Clone, Copy)]
enum Detail {
    Solutions(PrintSolutions),
    Unsplit { volume_lots: i32, low_ticks: i32, high_ticks: i32 },
}

/// One contract-day as columns of integers.
///
/// Row r closes the interval from row r−1. Everything here is independent of the fill model.
#[derive(Debug, Clone, Default)]
pub struct PreparedDay {
    ts_ns: Vec<i64>,
    flags: Vec<u8>,
    sides: [SideColumns; 2],
    volume: Vec<i32>,
    last: Vec<i32>,
    /// Index into `details` of the rows that have one.
    detail: Vec<u32>,
    details: Vec<Detail>,
    windows: Vec<(i64, i64)>,
    depth: usize,
    price_tick: f64,
    multiplier: f64,
    warnings: PrepareWarnings,
    split_report: SplitReport,
}

impl PreparedDay {
    /// Prepares the rows of one contract and trading day, all phases or continuous ones only.
    ///
    /// Prices become ticks, cumulative counts become lots of each interval, and these are split by turnover between the
    /// previous best bid and ask. Where a last price or a new daily high or low proves another price, or the turnover
    /// fits no such split, all whole-lot solutions on the prices that the books span are kept as bounds.
    ///
    /// # Errors
    /// `OffGrid` for a price between two ticks, `OddDoubleSided` for an odd both-sided volume, `BadValue` for a price tick
    /// or multiplier that is not positive.
    pub fn prepare(view: &TickView<'_>, spec: &PrepareSpec) -> Result<Self, ExchangeError> {
        for (key, value) in [("price_tick", spec.price_tick), ("multiplier", spec.multiplier)] {
            if value.is_nan() || value <= 0.0 {
                return Err(ExchangeError::BadValue {
                    key: key.to_owned(),
                    value: value.to_string(),
                    bound: "above 0".to_owned(),
                });
            }
        }
        let rows = view.rows();
        let mut day = Self {
            ts_ns: view.ts_ns.to_vec(),
            flags: vec![0; rows],
            volume: vec![0; rows],
            last: Vec::new(),
            detail: vec![0; rows],
            windows: spec.windows.clone(),
            depth: if (0..rows).any(|row| view.has_l5(row)) { L5_LEVELS } else { 1 },
            price_tick: spec.price_tick,
            multiplier: spec.multiplier,
            ..Self::default()
        };
        day.last = price_column(view, Column::LastPrice, spec.price_tick, 1)?;
        for side in [Side::Buy, Side::Sell] {
            let column = |level| match side {
                Side::Buy => (Column::bid_price(level), Column::bid_volume(level)),
                Side::Sell => (Column::ask_price(level), Column::ask_volume(level)),
            };
            let (price, lots) = column(0);
            let columns = &mut day.sides[side as usize];
            columns.best = price_column(view, price, spec.price_tick, side.sign())?;
            columns.best_lots = view.float(lots).iter().map(|&v| v as i32).collect();
            if day.depth == 1 {
                continue;
            }
            columns.deeper = vec![[(EMPTY, 0); DEEPER]; rows];
            for level in 1..L5_LEVELS {
                let (price, lots) = column(level);
                let ticks = price_ticks(view, price, spec.price_tick, side.sign());
                for ((at, ticks), &lots) in columns.deeper.iter_mut().zip(ticks).zip(view.float(lots)) {
                    at[level - 1] = (ticks?, lots as i32);
                }
            }
        }
        day.mark_phases(view, spec);
        day.split_volume(view, spec)?;
        day.split_report = SplitReport::of_day(view, spec, &day);
        Ok(day)
    }

    /// Sets the flags that need no volume.
    fn mark_phases(&mut self, view: &TickView<'_>, spec: &PrepareSpec) {
        for row in 0..self.rows() {
            let t = self.ts_ns[row];
            let window = spec.windows.iter().find(|w| w.0 <= t && t < w.1);
            let (Some(window), true) = (window, view.phase[row] == Phase::Continuous as u8) else {
                let auction = view.phase[row] == Phase::Auction as u8;
                *(if auction { &mut self.warnings.auction_rows } else { &mut self.warnings.closed_rows }) += 1;
                continue;
            };
            let since = if row == 0 { window.0 } else { self.ts_ns[row - 1].max(window.0) };
            if t.saturating_sub(since) > GAP_NS {
                self.flags[row] |= flag::GAP;
                self.warnings.gaps += 1;
            }
            if self.best(Side::Buy, row) == EMPTY || self.best(Side::Sell, row) == EMPTY {
                self.flags[row] |= flag::LOCKED;
                self.warnings.locked_rows += 1;
            }
            if self.best(Side::Buy, row) >= -self.best(Side::Sell, row) {
                self.warnings.crossed_rows += 1;
            } else {
                self.flags[row] |= flag::BOOK;
            }
        }
    }

    /// Splits each interval's volume and decides which intervals are matched.
    fn split_volume(&mut self, view: &TickView<'_>, spec: &PrepareSpec) -> Result<(), ExchangeError> {
        let rows = self.rows();
        for side in &mut self.sides {
            side.traded = vec![0; rows];
        }
        let (volume, amount) = (view.float(Column::Volume), view.float(Column::Amount));
        let mut counts = IntervalCounts::new(spec.price_tick, spec.multiplier, spec.double_sided);
        let mut auctions = AuctionRows::new(spec);
        for row in 0..rows {
            if spec.double_sided && volume[row] % 2.0 != 0.0 && !volume[row].is_nan() {
                let what = format!("volume of row {row}");
                return Err(ExchangeError::OddDoubleSided { what, value: volume[row] });
            }
            let (lots, turnover) = counts.next(volume[row], amount[row]);
            self.volume[row] = lots;
            let continuous = self.flags[row] & flag::BOOK != 0;
            let auction = auctions.carries(self.ts_ns[row], view.phase[row], lots);
            if auction && continuous {
                self.warnings.auction_rows += 1;
            }
            // The first row has no book before it.
            if row == 0 || !continuous || auction {
                continue;
            }
            self.flags[row] |= flag::MATCH;
            if lots > 0 {
                self.split_row(view, row, lots, turnover, counts.rounding());
            }
        }
        Ok(())
    }

    fn split_row(&mut self, view: &TickView<'_>, row: usize, lots: i32, turnover: f64, rounding: f64) {
        let (low, high) = self.two_prices(row);
        let mut must = [EMPTY; 3];
        let mut musts = 0;
        let mut prove = |price: i32| {
            if price != EMPTY {
                must[musts] = price;
                musts += 1;
            }
        };
        prove(self.last[row]);
        for column in [Column::Highest, Column::Lowest] {
            let values = view.float(column);
            let (now, then) = (values[row], values[row - 1]);
            if now != then && now.is_finite() && then.is_finite() {
                prove((now / self.price_tick).round() as i32);
            }
        }
        let must = &must[..musts];
        let split = split_by_turnover(lots, turnover, low, high, rounding);
        let elsewhere = must.iter().any(|&p| p != low && p != high);
        if low != EMPTY {
            self.sides[Side::Buy as usize].traded[row] = split.low_lots;
            self.sides[Side::Sell as usize].traded[row] = split.high_lots;
        }
        if low != EMPTY && split.two_prices && !elsewhere {
            return;
        }
        let span = [low, high, self.best(Side::Buy, row), -self.best(Side::Sell, row)];
        let prices = span.iter().chain(must).copied().filter(|p| p.unsigned_abs() != EMPTY.unsigned_abs());
        let (low, high) = prices.fold((i32::MAX, i32::MIN), |(l, h), p| (l.min(p), h.max(p)));
        let whole = turnover.round();
        let solutions = ((turnover - whole).abs() <= rounding)
            .then(|| PrintSolutions::new(low, high, i64::from(lots), whole as i64, must))
            .flatten();
        let detail = match solutions {
            Some(solutions) => {
                self.warnings.volume_bounded += 1;
                self.flags[row] |= flag::SOLUTIONS;
                Detail::Solutions(solutions)
            }
            None => {
                self.warnings.volume_unsplit += 1;
                self.flags[row] |= flag::UNSPLIT;
                Detail::Unsplit { volume_lots: lots, low_ticks: low, high_ticks: high }
            }
        };
        self.detail[row] = self.details.len() as u32;
        self.details.push(detail);
    }

    /// The two prices between which the turnover of the interval that ends with `row` > 0 is split, in ticks: the best
    /// quotes before it. With one side empty all trades are at the other.
    pub(crate) fn two_prices(&self, row: usize) -> (i32, i32) {
        let (bid, ask) = (self.best(Side::Buy, row - 1), -self.best(Side::Sell, row - 1));
        match (bid == EMPTY, ask == -EMPTY) {
            (false, false) if bid < ask => (bid, ask),
            (false, true) => (bid, bid + 1),
            (true, false) => (ask - 1, ask),
            _ => (self.last[row], self.last[row] + 1),
        }
    }

    /// The interval's turnover fits no whole-lot split at all.
    pub(crate) fn is_unsplit(&self, row: usize) -> bool {
        self.flags[row] & flag::UNSPLIT != 0
    }

    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.ts_ns.len()
    }

    /// Brings what is read at scattered rows near.
    pub fn warm(&self, rows: Range<usize>) {
        warm(&self.ts_ns[rows.clone()]);
        warm(&self.flags[rows.clone()]);
        for side in &self.sides {
            warm(&side.best[rows.clone()]);
            warm(&side.best_lots[rows.clone()]);
        }
    }

    /// Exchange time of a row, ns since the epoch.
    #[inline]
    pub fn ts_ns(&self, row: usize) -> i64 {
        self.ts_ns[row]
    }

    /// The interval that ends with this row is matched.
    #[inline]
    pub fn is_matchable(&self, row: usize) -> bool {
        self.flags[row] & flag::MATCH != 0
    }

    /// The row's book is that of continuous trading, inside a window: orders may meet it.
    #[inline]
    pub fn is_tradable(&self, row: usize) -> bool {
        self.flags[row] & flag::BOOK != 0
    }

    /// More than 5 s of session time without a row lie before this row.
    #[inline]
    pub fn has_gap_before(&self, row: usize) -> bool {
        self.flags[row] & flag::GAP != 0
    }

    /// The interval that ends with this row moves queues by certain trades only: it follows a gap, or a side is locked.
    #[inline]
    pub fn counts_only_certain(&self, row: usize) -> bool {
        self.flags[row] & (flag::GAP | flag::LOCKED) != 0
    }

    /// Whether orders that arrive at that time are taken.
    #[inline]
    pub fn is_open(&self, ts_ns: i64) -> bool {
        self.windows.iter().any(|w| w.0 <= ts_ns && ts_ns < w.1)
    }

    /// Best bid, ticks; `None` when there is no bid.
    #[inline]
    pub fn best_bid_ticks(&self, row: usize) -> Option<i32> {
        self.level(Side::Buy, row, 0).map(|l| l.0)
    }

    /// Best ask, ticks; `None` when there is no ask.
    #[inline]
    pub fn best_ask_ticks(&self, row: usize) -> Option<i32> {
        self.level(Side::Sell, row, 0).map(|l| l.0)
    }

    /// Price in ticks and lots of a displayed level 0..=4 (0 is the best); `None` when it is empty.
    #[inline]
    pub fn level(&self, side: Side, row: usize, level: usize) -> Option<(i32, u32)> {
        let columns = &self.sides[side as usize];
        let (price, lots) = match level {
            0 => (columns.best[row], columns.best_lots[row]),
            _ => *columns.deeper.get(row)?.get(level - 1)?,
        };
        (price != EMPTY).then(|| (price * side.sign(), lots.max(0) as u32))
    }

    /// Best bid + best ask, that is the mid price in half ticks; `None` when a side is empty.
    #[inline]
    pub fn mid_half_ticks(&self, row: usize) -> Option<i32> {
        Some(self.best_bid_ticks(row)? + self.best_ask_ticks(row)?)
    }

    /// Last price, ticks; `None` before the first trade.
    #[inline]
    pub fn last_ticks(&self, row: usize) -> Option<i32> {
        let last = self.last[row];
        (last != EMPTY).then_some(last)
    }

    /// Lots traded in the interval that ends with this row, counted on one side.
    #[inline]
    pub fn volume_lots(&self, row: usize) -> i32 {
        self.volume[row]
    }

    /// Lots traded at the previous row's best bid and best ask, where the turnover fits two prices.
    pub fn split_lots(&self, row: usize) -> Option<(i32, i32)> {
        let exact = self.flags[row] & (flag::SOLUTIONS | flag::UNSPLIT) == 0 && self.is_matchable(row);
        exact.then(|| (self.sides[0].traded[row], self.sides[1].traded[row]))
    }

    /// Smallest price step, CNY.
    pub fn price_tick(&self) -> f64 {
        self.price_tick
    }

    /// Quoted units a lot.
    pub fn multiplier(&self) -> f64 {
        self.multiplier
    }

    /// Levels that the day's rows show: 5, or 1 when none has more.
    #[inline]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// What was met while preparing.
    pub fn warnings(&self) -> &PrepareWarnings {
        &self.warnings
    }

    /// How the day's volume could be put to prices, and what that left over.
    pub fn split_report(&self) -> &SplitReport {
        &self.split_report
    }

    /// Best price of a side as a key: larger is better, asks negated; an empty side is below every price.
    #[inline]
    pub(crate) fn best(&self, side: Side, row: usize) -> i32 {
        self.sides[side as usize].best[row]
    }

    /// Lots traded at the previous row's best price of a side.
    #[inline]
    pub(crate) fn traded_at_best(&self, side: Side, row: usize) -> i32 {
        self.sides[side as usize].traded[row]
    }

    /// The interval at a key that is its side's best before and after, where two prices traded and no gap lies between.
    #[inline]
    pub(crate) fn quiet_best(&self, side: Side, row: usize, key: i32) -> Option<LevelInterval> {
        let columns = &self.sides[side as usize];
        let (prices, lots) = (&columns.best, &columns.best_lots);
        let quiet = self.flags[row] & (flag::SOLUTIONS | flag::UNSPLIT | flag::GAP | flag::LOCKED) == 0;
        (quiet && prices[row] == key && prices[row - 1] == key).then(|| LevelInterval {
            displayed_before_lots: Some(f64::from(lots[row - 1])),
            displayed_after_lots: Some(f64::from(lots[row])),
            traded_lots: f64::from(columns.traded[row]),
        })
    }

    /// Best price as a key, lots there, and lots that traded at the row before's best, row by row of a side.
    #[inline]
    pub(crate) fn best_columns(&self, side: Side) -> [&[i32]; 3] {
        let columns = &self.sides[side as usize];
        [&columns.best, &columns.best_lots, &columns.traded]
    }

    /// What is known of each interval, row by row.
    #[inline]
    pub(crate) fn flags(&self) -> &[u8] {
        &self.flags
    }

    /// Lots displayed at a key of a side; `None` outside the displayed levels.
    #[inline]
    pub(crate) fn displayed(&self, side: Side, row: usize, key: i32) -> Option<i32> {
        let columns = &self.sides[side as usize];
        // An empty level ends the side: below it nothing is hidden.
        let at = |price, lots| if price == key { lots } else { 0 };
        let best = columns.best[row];
        if best <= key {
            return Some(at(best, columns.best_lots[row]));
        }
        let found = columns.deeper.get(row)?.iter().find(|(price, _)| *price <= key);
        found.map(|&(price, lots)| at(price, lots))
    }

    /// Least lots that some rows display at a price of a side; `None` when it is outside the displayed levels of all.
    pub(crate) fn least_lots(&self, side: Side, price_ticks: i32, rows: Range<usize>) -> Option<u32> {
        let key = price_ticks * side.sign();
        // Where the best is worse nothing is left at the price: the usual end, and found without a look at lots.
        let (many, few) = self.sides[side as usize].best[rows.clone()].as_chunks::<16>();
        let gone = |best: &[i32]| best.iter().fold(false, |gone, best| gone | (*best < key));
        if many.iter().any(|best| gone(best)) || gone(few) {
            return Some(0);
        }
        rows.filter_map(|row| self.displayed(side, row, key)).min().map(|lots| lots.max(0) as u32)
    }

    /// Least and most lots that met orders of a side at a key: traded at it or, for an order better than the previous
    /// best of its side, at it or worse, since trades give way to the better price.
    #[inline]
    pub(crate) fn traded_range(&self, side: Side, row: usize, key: i32) -> LotRange {
        let best = self.best(side, row - 1);
        if self.flags[row] & (flag::SOLUTIONS | flag::UNSPLIT) != 0 {
            return self.traded_by_detail(side, row, key, key > best);
        }
        let mut lots = 0;
        if key >= best {
            lots = self.traded_at_best(side, row);
            if key >= -self.best(side.opposite(), row - 1) {
                lots += self.traded_at_best(side.opposite(), row);
            }
        }
        LotRange { min_lots: i64::from(lots), max_lots: i64::from(lots) }
    }

    /// Least and most lots that traded at a key of a side or worse: what a crossed order may have met.
    pub(crate) fn traded_through(&self, side: Side, row: usize, key: i32) -> LotRange {
        if self.flags[row] & (flag::SOLUTIONS | flag::UNSPLIT) != 0 {
            return self.traded_by_detail(side, row, key, true);
        }
        let mut lots = 0;
        if key >= self.best(side, row - 1) {
            lots += self.traded_at_best(side, row);
        }
        if key >= -self.best(side.opposite(), row - 1) {
            lots += self.traded_at_best(side.opposite(), row);
        }
        LotRange { min_lots: i64::from(lots), max_lots: i64::from(lots) }
    }

    fn traded_by_detail(&self, side: Side, row: usize, key: i32, through: bool) -> LotRange {
        let price = key * side.sign();
        match (&self.details[self.detail[row] as usize], side) {
            (Detail::Solutions(s), Side::Buy) if through => s.at_or_below(price),
            (Detail::Solutions(s), Side::Sell) if through => s.at_or_above(price),
            (Detail::Solutions(s), _) => s.at(price),
            (&Detail::Unsplit { volume_lots, low_ticks, high_ticks }, _) => {
                let possible = match side {
                    _ if !through => (low_ticks..=high_ticks).contains(&price),
                    Side::Buy => price >= low_ticks,
                    Side::Sell => price <= high_ticks,
                };
                LotRange { min_lots: 0, max_lots: if possible { i64::from(volume_lots) } else { 0 } }
            }
        }
    }
}

/// Bytes that come from memory together.
const LINE_BYTES: usize = 64;

/// Reads a value of each line of a column: in order that takes a fraction of the time of one by one, when it is read at
/// scattered rows afterwards.
pub fn warm<T: Copy>(column: &[T]) {
    for line in column.chunks(LINE_BYTES / size_of::<T>()) {
        std::hint::black_box(line[0]);
    }
}

/// A price column in ticks times `sign`; empty where the price is NaN.
fn price_column(view: &TickView<'_>, column: Column, price_tick: f64, sign: i32) -> Result<Vec<i32>, ExchangeError> {
    let mut ticks = Vec::with_capacity(view.rows());
    for price in price_ticks(view, column, price_tick, sign) {
        ticks.push(price?);
    }
    Ok(ticks)
}

/// As [`price_column`], row by row.
fn price_ticks(
    view: &TickView<'_>,
    column: Column,
    price_tick: f64,
    sign: i32,
) -> impl Iterator<Item = Result<i32, ExchangeError>> {
    view.float(column).iter().enumerate().map(move |(row, &price)| {
        if price.is_nan() {
            return Ok(EMPTY);
        }
        let exact = price / price_tick;
        // A cast cuts towards zero and saturates, which the check below then finds.
        let whole = (exact + 0.5f64.copysign(exact)) as i32;
        if (exact - f64::from(whole)).abs() > GRID_TOLERANCE_TICKS {
            return Err(ExchangeError::OffGrid { row, column: column.name(), value: price, price_tick });
        }
        Ok(whole * sign)
    })
}
