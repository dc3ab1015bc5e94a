//! Strategies A and B as plain loops over [`PreparedDay`] and [`Matching`], for the count test and the throughput example.

use ghtrader_core::TickTable;
use ghtrader_exchange::{
    FillModel, MatchConfig, MatchEvent, Matching, NewOrder, Offset, PrepareSpec, PreparedDay, Side, Tif,
};
use ghtrader_market::bench_stream;

/// What a run ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Orders sent.
    pub(crate) orders: u64,
    /// Fills.
    pub(crate) fills: u64,
    /// Final position, lots.
    pub(crate) position: i64,
    /// Profit at the last price, CNY.
    pub(crate) pnl_cny: i64,
}

/// The stream as one session without auctions.
pub(crate) fn prepare(ticks: &TickTable) -> PreparedDay {
    let spec = PrepareSpec {
        price_tick: bench_stream::PRICE_TICK_CNY,
        multiplier: bench_stream::MULTIPLIER,
        double_sided: false,
        windows: vec![(i64::MIN, i64::MAX)],
        auction_starts_ns: Vec::new(),
    };
    PreparedDay::prepare(&ticks.view(), &spec).unwrap()
}

/// Position and cash in lots × ticks.
#[derive(Default)]
struct Book {
    orders: u64,
    fills: u64,
    position: i64,
    cash: i64,
    next_id: u64,
}

impl Book {
    fn filled(&mut self, event: &MatchEvent) {
        if let MatchEvent::Filled { side, price_ticks, lots, .. } = event {
            let signed = i64::from(side.sign()) * i64::from(*lots);
            self.fills += 1;
            self.position += signed;
            self.cash -= signed * i64::from(*price_ticks);
        }
    }

    fn order(&mut self, side: Side, lots: u32, limit_ticks: i32, tif: Tif) -> NewOrder {
        self.orders += 1;
        self.next_id += 1;
        let limit_ticks = Some(limit_ticks);
        NewOrder { id: self.next_id, side, lots, limit_ticks, tif, post_only: false, offset: Offset::Auto }
    }

    fn outcome(&self, day: &PreparedDay) -> Outcome {
        let last = i64::from(day.last_ticks(day.rows() - 1).unwrap());
        let pnl_cny = (self.cash + self.position * last) * (day.price_tick() * day.multiplier()) as i64;
        Outcome { orders: self.orders, fills: self.fills, position: self.position, pnl_cny }
    }
}

/// Strategy A: takes one lot in the direction of a book imbalance beyond 0.8. The counts are those of whole fills.
pub(crate) fn run_a(day: &PreparedDay) -> Outcome {
    let mut matching = Matching::new(MatchConfig::new(FillModel::CrossOnly));
    let (mut book, mut events) = (Book::default(), Vec::new());
    for row in 0..=day.rows() {
        matching.advance(day, row, (row + 1).min(day.rows()), &mut events);
        events.drain(..).for_each(|e| book.filled(&e));
        if row == day.rows() {
            break;
        }
        let (Some((bid, bids)), Some((ask, asks))) = (day.level(Side::Buy, row, 0), day.level(Side::Sell, row, 0))
        else {
            continue;
        };
        let imbalance = (f64::from(bids) - f64::from(asks)) / (f64::from(bids) + f64::from(asks));
        let order = if imbalance > 0.8 && book.position <= 0 {
            book.order(Side::Buy, (1 - book.position) as u32, ask, Tif::Immediate)
        } else if imbalance < -0.8 && book.position >= 0 {
            book.order(Side::Sell, (1 + book.position) as u32, bid, Tif::Immediate)
        } else {
            continue;
        };
        matching.submit(order, row, day.ts_ns(row));
    }
    book.outcome(day)
}

/// Strategy B: one lot at the best bid and one at the best ask, within ±5 lots.
pub(crate) fn run_b(day: &PreparedDay, model: FillModel) -> Outcome {
    let mut matching = Matching::new(MatchConfig::new(model));
    let (mut book, mut events) = (Book::default(), Vec::new());
    let mut quotes: [Option<(u64, i32)>; 2] = [None, None];
    for row in 0..=day.rows() {
        matching.advance(day, row, (row + 1).min(day.rows()), &mut events);
        for event in events.drain(..) {
            book.filled(&event);
            if let MatchEvent::Filled { side, remaining: 0, .. } = event {
                quotes[side as usize] = None;
            }
        }
        if row == day.rows() {
            break;
        }
        for side in [Side::Buy, Side::Sell] {
            let best = day.level(side, row, 0).unwrap().0;
            let wanted = book.position * i64::from(side.sign()) < 5;
            let quote = &mut quotes[side as usize];
            if let Some((id, price)) = *quote
                && (price != best || !wanted)
            {
                matching.cancel(id, day.ts_ns(row));
                *quote = None;
            }
            if quote.is_none() && wanted {
                let order = book.order(side, 1, best, Tif::Day);
                *quote = Some((order.id, best));
                matching.submit(order, row, day.ts_ns(row));
            }
        }
    }
    book.outcome(day)
}
