//! The matching of one contract under one fill model.

mod glide;
mod interval;

use crate::order::{BookFill, MatchEvent, NewOrder, Offset, RejectReason, Side, Tif};
use crate::prepared::PreparedDay;
use crate::queue;
use crate::taker::{Consumed, TakerWalk, taker_walk};
use crate::{FillModel, MatchConfig, TakerBook};
use ghtrader_core::L5_LEVELS;

/// A resting order as its owner may see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorkingOrder {
    /// The order.
    pub id: u64,
    /// Its side.
    pub side: Side,
    /// Its limit price.
    pub price_ticks: i32,
    /// Lots still open.
    pub remaining: u32,
    /// Lots ahead of it, as the fill model sees it; infinite when it was placed outside the displayed levels.
    pub queue_ahead_lots: f64,
    /// Its price is outside the displayed levels.
    pub unseen: bool,
    /// As ordered.
    pub offset: Offset,
    /// Row on which it was decided.
    pub decided_row: usize,
}

/// What the matching had to leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MatchWarnings {
    /// Times that a resting order stood outside the displayed levels.
    pub unseen: u64,
    /// Orders that wanted more than the displayed book holds.
    pub beyond_book: u64,
    /// Cancels that came after their order was gone.
    pub late_cancels: u64,
}

#[derive(Debug, Clone, Copy)]
struct Resting {
    id: u64,
    /// Price, negated for sells: larger is better for the market.
    key: i32,
    remaining: u32,
    queue_ahead: f64,
    filled_now: u32,
    decided_row: u32,
    side: Side,
    offset: Offset,
    unseen: bool,
    /// A [`Flight`] is about it.
    in_flight: bool,
}

/// An order that arrived, or whose cancel arrived, inside the present interval.
#[derive(Debug, Clone, Copy)]
struct Flight {
    id: u64,
    /// Share of the interval that was left when it arrived.
    arrived: Option<f64>,
    /// Time of its cancel and the share of the interval that was left then.
    cancelled: Option<(i64, f64)>,
}

#[derive(Debug, Clone, Copy)]
enum Request {
    Place(NewOrder, usize),
    Cancel(u64),
}

#[derive(Debug, Clone, Copy)]
struct Message {
    arrival_ns: i64,
    request: Request,
}

/// Orders of one strategy in one contract, matched against the recorded book.
///
/// The state is a handful of short vectors: cloning it is cheap, so that a caller may go back to a checkpoint.
#[derive(Debug)]
pub struct Matching {
    config: MatchConfig,
    /// By side, then price, then time.
    resting: Vec<Resting>,
    /// By arrival, then order of sending.
    messages: Vec<Message>,
    /// Empty between two rows.
    flights: Vec<Flight>,
    consumed: Consumed,
    warnings: MatchWarnings,
}

impl Clone for Matching {
    fn clone(&self) -> Self {
        Self {
            config: self.config,
            resting: self.resting.clone(),
            messages: self.messages.clone(),
            flights: self.flights.clone(),
            consumed: self.consumed.clone(),
            warnings: self.warnings,
        }
    }

    /// Keeps the room that is there: a checkpoint is taken every few rows.
    fn clone_from(&mut self, source: &Self) {
        let Self { config, resting, messages, flights, consumed, warnings } = source;
        self.config = *config;
        self.resting.clone_from(resting);
        self.messages.clone_from(messages);
        self.flights.clone_from(flights);
        self.consumed.clone_from(consumed);
        self.warnings = *warnings;
    }
}

impl Matching {
    /// An exchange without orders.
    pub fn new(config: MatchConfig) -> Self {
        Self {
            config,
            resting: Vec::new(),
            messages: Vec::new(),
            flights: Vec::new(),
            consumed: Consumed::default(),
            warnings: MatchWarnings::default(),
        }
    }

    /// The parameters.
    pub fn config(&self) -> &MatchConfig {
        &self.config
    }

    /// What had to be left open so far.
    pub fn warnings(&self) -> &MatchWarnings {
        &self.warnings
    }

    /// Resting orders, buys first, each side by price and time.
    pub fn working(&self) -> impl Iterator<Item = WorkingOrder> + '_ {
        self.resting.iter().map(|o| WorkingOrder {
            id: o.id,
            side: o.side,
            price_ticks: o.key * o.side.sign(),
            remaining: o.remaining,
            queue_ahead_lots: o.queue_ahead,
            unseen: o.unseen,
            offset: o.offset,
            decided_row: o.decided_row as usize,
        })
    }

    /// Neither an order rests nor a message is on its way: rows can be skipped.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.resting.is_empty() && self.messages.is_empty()
    }

    /// Makes ready for another day's rows: own size taken from the old books is forgotten.
    ///
    /// Call [`Self::expire`] before; whatever still rests is kept.
    #[inline]
    pub fn start_day(&mut self) {
        self.consumed.clear();
    }

    /// Sends an order that was decided on `decided_row` and reaches the exchange at `arrival_ns`.
    #[inline]
    pub fn submit(&mut self, order: NewOrder, decided_row: usize, arrival_ns: i64) {
        self.send(Message { arrival_ns, request: Request::Place(order, decided_row) });
    }

    /// Sends a cancel; it never overtakes its own order.
    #[inline]
    pub fn cancel(&mut self, id: u64, arrival_ns: i64) {
        let placed = self.messages.iter().rev().find_map(|m| match m.request {
            Request::Place(order, _) if order.id == id => Some(m.arrival_ns),
            _ => None,
        });
        let arrival_ns = placed.map_or(arrival_ns, |placed| arrival_ns.max(placed));
        self.send(Message { arrival_ns, request: Request::Cancel(id) });
    }

    #[inline]
    fn send(&mut self, message: Message) {
        let behind = self.messages.iter().rev().take_while(|m| m.arrival_ns > message.arrival_ns).count();
        self.messages.insert(self.messages.len() - behind, message);
    }

    /// Takes the rows `from..to` in order and stops behind the first one at which something happened.
    ///
    /// Returns the next row to take. Messages that arrived by the time of the row before act on that row's book, then the
    /// interval is matched. With `from == to == day.rows()` the messages that arrived by the last row meet its book.
    #[inline]
    pub fn advance(&mut self, day: &PreparedDay, from: usize, to: usize, events: &mut Vec<MatchEvent>) -> usize {
        self.advance_within(day, from, to, usize::MAX, events)
    }

    /// As [`Self::advance`], and stops as well behind the `moves`-th row on which more happened than that queues moved at
    /// standing quotes: for who matches ahead of a strategy that is likely to act on just such a row.
    pub fn advance_within(
        &mut self,
        day: &PreparedDay,
        from: usize,
        to: usize,
        moves: usize,
        events: &mut Vec<MatchEvent>,
    ) -> usize {
        let before = events.len();
        if from == to && to == day.rows() && to > 0 {
            self.deliver_until(day, to, day.ts_ns(to - 1), events);
            return to;
        }
        let mut row = from;
        let mut left = moves;
        while row < to {
            if self.is_idle() {
                return to;
            }
            row = self.glide(day, row, to);
            if row == to {
                break;
            }
            self.step(day, row, events);
            row += 1;
            left -= 1;
            if events.len() > before || left == 0 {
                break;
            }
        }
        row
    }

    /// Ends the day: every resting order is cancelled, orders still on their way are refused.
    ///
    /// `row` is the last row of the day.
    pub fn expire(&mut self, row: usize, ts_ns: i64, events: &mut Vec<MatchEvent>) {
        for order in self.resting.drain(..) {
            events.push(MatchEvent::Cancelled { id: order.id, remaining: order.remaining, row, ts_ns });
        }
        for message in self.messages.drain(..) {
            if let Request::Place(order, _) = message.request {
                let reason = RejectReason::MarketClosed;
                events.push(MatchEvent::Rejected { id: order.id, reason, row, ts_ns });
            }
        }
        self.consumed.clear();
    }

    /// One row: arrivals before it, the interval, arrivals that meet its book.
    fn step(&mut self, day: &PreparedDay, row: usize, events: &mut Vec<MatchEvent>) {
        let mut inside = false;
        if !self.messages.is_empty() && row > 0 {
            self.deliver_until(day, row, day.ts_ns(row - 1), events);
            inside = self.messages.first().is_some_and(|m| m.arrival_ns < day.ts_ns(row));
            if inside {
                self.deliver_inside(day, row, events);
            }
        }
        if self.resting.is_empty() {
            if inside {
                self.deliver_late(day, row, events);
            }
            return;
        }
        if day.is_matchable(row) {
            self.match_interval(day, row, events);
        }
        if inside {
            self.finish_flights(row, events);
            self.deliver_late(day, row, events);
        }
    }

    /// Messages that arrived by `until_ns`, the time of the row before `row`, on that row's book.
    fn deliver_until(&mut self, day: &PreparedDay, row: usize, until_ns: i64, events: &mut Vec<MatchEvent>) {
        let mut taken = 0;
        while let Some(&Message { arrival_ns, request }) = self.messages.get(taken) {
            if arrival_ns > until_ns {
                break;
            }
            match request {
                Request::Cancel(id) => self.cancel_now(id, row - 1, arrival_ns, events),
                // Before the day's first book there is nothing to meet: it waits for the next row.
                Request::Place(..) if !day.is_tradable(row - 1) && day.is_open(arrival_ns) => break,
                Request::Place(order, decided_row) => {
                    self.meet(day, BookAt::Row(row - 1), order, decided_row, arrival_ns, events);
                }
            }
            taken += 1;
        }
        self.messages.drain(..taken);
    }

    /// Messages that arrive between the row before and `row`, as far as they do not wait for the book of `row`.
    fn deliver_inside(&mut self, day: &PreparedDay, row: usize, events: &mut Vec<MatchEvent>) {
        let (start_ns, end_ns) = (day.ts_ns(row - 1), day.ts_ns(row));
        let mut at = 0;
        while let Some(&Message { arrival_ns, request }) = self.messages.get(at) {
            if arrival_ns >= end_ns {
                break;
            }
            let after = queue::share_after(start_ns, end_ns, arrival_ns);
            match request {
                Request::Cancel(id) => match self.resting.iter().position(|o| o.id == id) {
                    Some(at) if self.flight(at).cancelled.is_none() => {
                        self.set_flight(at, |flight| flight.cancelled = Some((arrival_ns, after)));
                    }
                    // Its order waits for the book of `row`, and it behind it.
                    None if self.messages[..at]
                        .iter()
                        .any(|m| matches!(m.request, Request::Place(o, _) if o.id == id)) =>
                    {
                        at += 1;
                        continue;
                    }
                    _ => self.warnings.late_cancels += 1,
                },
                Request::Place(order, decided_row) => {
                    let next = self.config.taker_book != TakerBook::K || !day.is_tradable(row - 1);
                    let open = day.is_open(arrival_ns);
                    if open && next && day.is_tradable(row) && self.takes(day, row, &order)
                        || open && !day.is_tradable(row - 1)
                    {
                        at += 1;
                        continue;
                    }
                    let book = if next && day.is_tradable(row) { BookAt::Between(row) } else { BookAt::Row(row - 1) };
                    let placed = self.resting.len();
                    self.meet(day, book, order, decided_row, arrival_ns, events);
                    if self.resting.len() > placed
                        && let Some(at) = self.resting.iter().position(|o| o.id == order.id)
                    {
                        self.set_flight(at, |flight| flight.arrived = Some(after));
                    }
                }
            }
            self.messages.remove(at);
        }
    }

    /// Messages that arrived before `row` and waited for its book.
    fn deliver_late(&mut self, day: &PreparedDay, row: usize, events: &mut Vec<MatchEvent>) {
        if self.messages.first().is_some_and(|m| m.arrival_ns < day.ts_ns(row)) && day.is_tradable(row) {
            self.deliver_until(day, row + 1, day.ts_ns(row) - 1, events);
        }
    }

    /// Whether the order would take from the book of a row, or needs it to be decided.
    fn takes(&self, day: &PreparedDay, row: usize, order: &NewOrder) -> bool {
        order.tif != Tif::Day
            || order.limit_ticks.is_none_or(|limit| -day.best(order.side.opposite(), row) <= limit * order.side.sign())
    }

    fn cancel_now(&mut self, id: u64, row: usize, ts_ns: i64, events: &mut Vec<MatchEvent>) {
        match self.resting.iter().position(|o| o.id == id) {
            Some(at) => {
                let order = self.resting.remove(at);
                events.push(MatchEvent::Cancelled { id, remaining: order.remaining, row, ts_ns });
            }
            None => self.warnings.late_cancels += 1,
        }
    }

    /// An order arrives: refused, filled as taker, resting, or several of these.
    fn meet(
        &mut self,
        day: &PreparedDay,
        book: BookAt,
        order: NewOrder,
        decided_row: usize,
        ts_ns: i64,
        events: &mut Vec<MatchEvent>,
    ) {
        let NewOrder { id, side, lots, offset, .. } = order;
        let row = book.row();
        let reject = |reason| MatchEvent::Rejected { id, reason, row, ts_ns };
        if !day.is_open(ts_ns) {
            events.push(reject(RejectReason::MarketClosed));
            return;
        }
        // A passive order that arrives between two snapshots joins behind the earlier display.
        let (walk, displayed_row) = match book {
            BookAt::Row(row) => (self.walk(day, row, row, &order), row),
            BookAt::Between(row) => (TakerWalk::passive(lots), row - 1),
        };
        if order.post_only
            && matches!(book, BookAt::Row(_))
            && self.takes(day, row, &NewOrder { tif: Tif::Day, ..order })
        {
            events.push(reject(RejectReason::PostOnlyWouldCross));
            return;
        }
        if self.would_meet_own(&order, &walk) {
            events.push(reject(RejectReason::SelfTrade));
            return;
        }
        if walk.beyond_book {
            self.warnings.beyond_book += 1;
        }
        let filled = walk.filled_lots();
        if order.limit_ticks.is_none() && filled == 0 && order.tif != Tif::FillOrKill {
            events.push(reject(RejectReason::BeyondBook));
            return;
        }
        events.push(MatchEvent::Accepted { id, row, ts_ns });
        if self.config.taker_book == TakerBook::Both {
            self.tell_both_books(day, book, &order, &walk, ts_ns, events);
        }
        let killed = order.tif == Tif::FillOrKill && filled < lots;
        let mut remaining = lots;
        if !killed {
            for &(price_ticks, got) in walk.fills() {
                remaining -= got;
                // A price beyond the book shows no lots that could be gone.
                if self.has_queue() && day.displayed(side.opposite(), row, -price_ticks * side.sign()).is_some() {
                    self.used_up(day, side.opposite(), price_ticks, row);
                    self.consumed.take(side.opposite(), price_ticks, row, got);
                }
                let maker = false;
                events.push(MatchEvent::Filled {
                    id,
                    side,
                    price_ticks,
                    lots: got,
                    remaining,
                    maker,
                    row,
                    ts_ns,
                    offset,
                });
            }
        }
        if remaining == 0 {
            return;
        }
        match order.limit_ticks {
            Some(limit) if order.tif == Tif::Day => {
                let key = limit * side.sign();
                let queue = day.displayed(side, displayed_row, key);
                self.warnings.unseen += u64::from(queue.is_none());
                let order = Resting {
                    id,
                    key,
                    remaining,
                    queue_ahead: queue.map_or(f64::INFINITY, f64::from),
                    filled_now: 0,
                    decided_row: decided_row as u32,
                    side,
                    offset,
                    unseen: queue.is_none(),
                    in_flight: false,
                };
                let behind = |o: &Resting| o.side > side || o.side == side && o.key < key;
                let at = self.resting.iter().position(behind).unwrap_or(self.resting.len());
                self.resting.insert(at, order);
            }
            _ => events.push(MatchEvent::Cancelled { id, remaining, row, ts_ns }),
        }
    }

    /// Says what an order that arrived between two snapshots takes from the one before and from the one after.
    fn tell_both_books(
        &mut self,
        day: &PreparedDay,
        book: BookAt,
        order: &NewOrder,
        walk: &TakerWalk,
        ts_ns: i64,
        events: &mut Vec<MatchEvent>,
    ) {
        let row = book.row();
        let between = row > 0 && day.ts_ns(row - 1) < ts_ns && ts_ns < day.ts_ns(row);
        if !between || !day.is_tradable(row - 1) {
            return;
        }
        let (before, after) = (book_fill(order, &self.walk(day, row - 1, row, order)), book_fill(order, walk));
        if before.lots + after.lots > 0 {
            events.push(MatchEvent::TakerBooks { id: order.id, before, after, ts_ns });
        }
    }

    fn has_queue(&self) -> bool {
        !matches!(self.config.model, FillModel::CrossOnly | FillModel::Touch)
    }

    /// Lots that own takers have used up at a price, after the snapshot of `row`.
    fn used_up(&mut self, day: &PreparedDay, side: Side, price_ticks: i32, row: usize) -> u32 {
        if self.consumed.is_empty() {
            return 0;
        }
        let shown = |row| day.displayed(side, row, price_ticks * side.sign()).map(|lots| lots.max(0) as u32);
        self.consumed.at(side, price_ticks, row, shown)
    }

    /// Walks the opposite side of a row's book; own size apart, as it is after the snapshot of row `seen`.
    fn walk(&mut self, day: &PreparedDay, row: usize, seen: usize, order: &NewOrder) -> TakerWalk {
        let opposite = order.side.opposite();
        if let Some(limit) = order.limit_ticks
            && -day.best(opposite, row) > limit * order.side.sign()
        {
            return TakerWalk::passive(order.lots);
        }
        let mut levels = [(0, 0); L5_LEVELS];
        let (mut count, mut wanted) = (0, order.lots);
        // Without a queue there is no size either: whole at the best.
        if !self.has_queue() {
            let best = day.level(opposite, row, 0).map(|(price, _)| (price, u32::MAX));
            return taker_walk(order.side, order.limit_ticks, order.lots, best.as_slice(), self.config.beyond_book);
        }
        for level in 0..day.depth() {
            let Some((price, lots)) = day.level(opposite, row, level) else { break };
            levels[count] = (price, lots.saturating_sub(self.used_up(day, opposite, price, seen)));
            count += 1;
            // What lies behind is not reached; whether there is more decides only what is told of a book too small.
            wanted = wanted.saturating_sub(levels[count - 1].1);
            if wanted == 0 {
                break;
            }
        }
        taker_walk(order.side, order.limit_ticks, order.lots, &levels[..count], self.config.beyond_book)
    }

    /// Whether an own resting order stands where the order trades: within its limit, or within a market order's walk.
    fn would_meet_own(&self, order: &NewOrder, walk: &TakerWalk) -> bool {
        let sign = order.side.sign();
        let reach = match order.limit_ticks {
            Some(limit) => limit * sign,
            None => match walk.fills().last() {
                Some(&(price, _)) => price * sign,
                None => return false,
            },
        };
        self.resting.iter().any(|own| own.side != order.side && -own.key <= reach)
    }

    /// What arrived about a resting order inside the present interval.
    #[inline]
    fn flight(&self, at: usize) -> Flight {
        let order = &self.resting[at];
        let none = Flight { id: order.id, arrived: None, cancelled: None };
        if order.in_flight { self.flights.iter().find(|f| f.id == order.id).copied().unwrap_or(none) } else { none }
    }

    fn set_flight(&mut self, at: usize, set: impl FnOnce(&mut Flight)) {
        let mut flight = self.flight(at);
        set(&mut flight);
        self.resting[at].in_flight = true;
        self.flights.retain(|f| f.id != flight.id);
        self.flights.push(flight);
    }

    /// Ends the interval for what arrived inside it: cancelled orders go.
    fn finish_flights(&mut self, row: usize, events: &mut Vec<MatchEvent>) {
        for at in 0..self.flights.len() {
            let Flight { id, cancelled, .. } = self.flights[at];
            let Some(place) = self.resting.iter().position(|o| o.id == id) else { continue };
            match cancelled {
                Some((ts_ns, _)) => self.cancel_now(id, row, ts_ns, events),
                None => self.resting[place].in_flight = false,
            }
        }
        self.flights.clear();
    }
}

/// What a walk gives an order; one that wants all or nothing may get nothing.
fn book_fill(order: &NewOrder, walk: &TakerWalk) -> BookFill {
    let lots = walk.filled_lots();
    if order.tif == Tif::FillOrKill && lots < order.lots {
        return BookFill::default();
    }
    let lot_ticks = walk.fills().iter().map(|&(price, lots)| i64::from(price) * i64::from(lots)).sum();
    BookFill { lots, lot_ticks }
}

/// The book that an arriving order meets.
#[derive(Debug, Clone, Copy)]
enum BookAt {
    /// That of the row.
    Row(usize),
    /// None: it arrives before the row and rests.
    Between(usize),
}

impl BookAt {
    const fn row(self) -> usize {
        match self {
            Self::Row(row) | Self::Between(row) => row,
        }
    }
}
