//! A small broker that answers the same orders the same way: enough for a strategy to go on, no model of a market.
//!
//! Immediate orders fill at once at their limit, or at the opposite best; day orders are accepted and fill whole at their limit at
//! the first later row whose opposite best crosses it; targets fill at once. What it tells hangs on the rows up to the one at which
//! it tells it, never on how they were cut.

use super::mix;
use crate::{AccountView, Fixture};
use ghtrader_core::Column;
use ghtrader_kernels::wire::{Action, Boundary, Event, Order, RejectReason, Side, Tif};

/// Most lots of an order and of a position.
const MAX_LOTS: u32 = 1_000;
/// Most orders that work at once, and most wake-ups that are due.
const MAX_PENDING: usize = 64;
const FEE_CNY: f64 = 1.0;
const MARGIN_CNY: f64 = 1_000.0;
const FIRST_BALANCE_CNY: f64 = 1_000_000.0;

pub(super) struct Broker<'a> {
    fixture: &'a Fixture,
    warmup_rows: usize,
    account: AccountView,
    working: Vec<Order>,
    wakes_ns: Vec<i64>,
    next_border: usize,
    events: Vec<u64>,
}

impl<'a> Broker<'a> {
    pub(super) fn new(fixture: &'a Fixture, warmup_rows: u32) -> Self {
        let account =
            AccountView { balance_cny: FIRST_BALANCE_CNY, available_cny: FIRST_BALANCE_CNY, ..AccountView::default() };
        Self {
            fixture,
            warmup_rows: warmup_rows as usize,
            account,
            working: Vec::new(),
            wakes_ns: Vec::new(),
            next_border: 0,
            events: Vec::new(),
        }
    }

    /// The account before the next row.
    pub(super) fn account(&self) -> AccountView {
        let lots = f64::from(self.account.long_lots) + f64::from(self.account.short_lots);
        AccountView {
            available_cny: self.account.balance_cny - MARGIN_CNY * lots,
            working_orders: self.working.len() as u32,
            ..self.account
        }
    }

    /// All that happened before `row` is seen; the news of orders come by [`Self::settle`].
    pub(super) fn events_before(&mut self, row: usize) -> Vec<u64> {
        while let Some((at, kind)) = self.fixture.borders.get(self.next_border).filter(|(at, _)| *at <= row) {
            self.next_border += 1;
            match kind {
                Boundary::Gap => self.tell(Event::Gap),
                // The first contract is no change.
                Boundary::Roll if *at > 0 => self.roll(),
                kind => self.tell(Event::Boundary(*kind)),
            }
        }
        let now = self.fixture.ticks.ts_ns[row];
        for ts_ns in self.wakes_ns.extract_if(.., |wake| *wake <= now).collect::<Vec<_>>() {
            self.tell(Event::Woke { ts_ns });
        }
        std::mem::take(&mut self.events)
    }

    /// The first row behind `row` before which there is something to tell, at most `end`.
    pub(super) fn next_news(&self, row: usize, end: usize) -> usize {
        let border = self.fixture.borders.get(self.next_border).map_or(end, |(at, _)| *at);
        let times = &self.fixture.ticks.ts_ns;
        let wake = self.wakes_ns.iter().min().map_or(end, |wake| times.partition_point(|t| t < wake).max(row + 1));
        let end = end.min(border).min(wake);
        (row + 1..end).find(|at| self.working.iter().any(|order| self.crosses(order, *at))).unwrap_or(end)
    }

    /// Fills what the book of `row` crosses, before the strategy sees it.
    pub(super) fn settle(&mut self, row: usize) {
        if row >= self.fixture.ticks.rows() {
            return;
        }
        let mut working = std::mem::take(&mut self.working);
        for order in working.extract_if(.., |order| self.crosses(order, row)).collect::<Vec<_>>() {
            let price_cny = order.limit_cny.unwrap_or_else(|| self.opposite_best(order.side, row));
            self.fill(&order, price_cny);
        }
        self.working = working;
    }

    /// Takes what the strategy sent at `row`; an action that no host accepts is given back in words.
    pub(super) fn take(&mut self, row: usize, action: Action) -> Result<(), String> {
        let warming_up = row < self.warmup_rows;
        match action {
            Action::Place(order) => {
                if order.client_id == 0 {
                    return Err("client id 0 is the host's own".to_owned());
                }
                if self.working.iter().any(|o| o.client_id == order.client_id) {
                    return Err(format!("client id {} is already working", order.client_id));
                }
                let refused = if warming_up { Some(RejectReason::MarketClosed) } else { self.refuse(&order, row) };
                match refused {
                    Some(reason) => self.tell(Event::Rejected { client_id: order.client_id, reason }),
                    None => self.place(order, row),
                }
            }
            Action::Cancel { client_id } => {
                if let Some(at) = self.working.iter().position(|o| o.client_id == client_id) {
                    let order = self.working.remove(at);
                    self.tell(Event::Cancelled { client_id, remaining_lots: order.lots });
                }
            }
            Action::Target { contract, lots } => {
                let net = i64::from(self.account.long_lots) - i64::from(self.account.short_lots);
                let lots = lots.clamp(-i64::from(MAX_LOTS), i64::from(MAX_LOTS)) - net;
                let side = if lots > 0 { Side::Buy } else { Side::Sell };
                let known = self.opposite_best(side, row).is_finite();
                if contract == self.account.contract && !warming_up && known {
                    self.book(side, lots.unsigned_abs() as u32);
                }
            }
            Action::WakeAt { ts_ns } if self.wakes_ns.len() < MAX_PENDING => self.wakes_ns.push(ts_ns),
            Action::WakeAt { .. } => {}
        }
        Ok(())
    }

    fn refuse(&self, order: &Order, row: usize) -> Option<RejectReason> {
        let price_tick = self.fixture.instrument.price_tick;
        let off_grid = |limit: f64| {
            let ticks = limit / price_tick;
            !limit.is_finite() || (ticks - ticks.round()).abs() > 1e-6
        };
        if order.contract != self.account.contract {
            Some(RejectReason::StaleContract)
        } else if order.lots == 0 || (order.post_only && order.limit_cny.is_none()) {
            Some(RejectReason::Malformed)
        } else if order.limit_cny.is_some_and(off_grid) {
            Some(RejectReason::OffGrid)
        } else if order.lots > MAX_LOTS || self.working.len() == MAX_PENDING || self.reach(order) > MAX_LOTS {
            Some(RejectReason::RiskLimit)
        } else if order.post_only && self.crosses(order, row) {
            Some(RejectReason::PostOnlyWouldCross)
        } else {
            None
        }
    }

    /// Position towards the order's side if it fills.
    fn reach(&self, order: &Order) -> u32 {
        let held = match order.side {
            Side::Buy => self.account.long_lots,
            Side::Sell => self.account.short_lots,
        };
        held.saturating_add(order.lots)
    }

    fn place(&mut self, order: Order, row: usize) {
        self.tell(Event::Accepted { client_id: order.client_id });
        if order.tif == Tif::Day {
            self.working.push(order);
            return;
        }
        let price_cny = order.limit_cny.unwrap_or_else(|| self.opposite_best(order.side, row));
        // A market that is not there fills nothing; now and then neither does one that is.
        if price_cny.is_finite() && !mix(order.client_id ^ (row as u64) << 32).is_multiple_of(5) {
            self.fill(&order, price_cny);
        } else {
            self.tell(Event::Cancelled { client_id: order.client_id, remaining_lots: order.lots });
        }
    }

    fn fill(&mut self, order: &Order, price_cny: f64) {
        self.book(order.side, order.lots);
        self.tell(Event::Filled { client_id: order.client_id, lots: order.lots, remaining_lots: 0, price_cny });
    }

    /// Closes what the other side holds, opens the rest.
    fn book(&mut self, side: Side, lots: u32) {
        let account = &mut self.account;
        let (grows, shrinks) = match side {
            Side::Buy => (&mut account.long_lots, &mut account.short_lots),
            Side::Sell => (&mut account.short_lots, &mut account.long_lots),
        };
        let closed = lots.min(*shrinks);
        *shrinks -= closed;
        *grows += lots - closed;
        account.balance_cny -= FEE_CNY * f64::from(lots);
    }

    fn roll(&mut self) {
        for order in std::mem::take(&mut self.working) {
            self.tell(Event::Cancelled { client_id: order.client_id, remaining_lots: order.lots });
        }
        self.account.contract += 1;
        self.tell(Event::ContractChanged { contract: self.account.contract });
        self.tell(Event::Boundary(Boundary::Roll));
    }

    fn opposite_best(&self, side: Side, row: usize) -> f64 {
        let column = match side {
            Side::Buy => Column::ask_price(0),
            Side::Sell => Column::bid_price(0),
        };
        self.fixture.ticks.floats[column.index() - 1][row]
    }

    fn crosses(&self, order: &Order, row: usize) -> bool {
        let best = self.opposite_best(order.side, row);
        match (order.limit_cny, order.side) {
            (None, _) => best.is_finite(),
            (Some(limit), Side::Buy) => best <= limit,
            (Some(limit), Side::Sell) => best >= limit,
        }
    }

    fn tell(&mut self, event: Event) {
        self.events.extend(event.encode());
    }
}
