//! One simulated account: its orders, trades, notices and ledger.

use crate::tape::Tape;
use ghtrader_core::TradingDay;
use ghtrader_exchange::{
    Account, AccountConfig, ClosedLot, ExchangeError, Hold, MatchEvent, Matching, Offset, PreparedDay, RejectReason,
    Side, Trade as LedgerTrade,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Notices that are kept for lines that read slowly.
const NOTICES: usize = 10_000;

/// How an order is described on the wire; kept as the client wrote it.
#[derive(Debug, Clone)]
pub(crate) struct OrderText {
    pub(crate) price_type: String,
    pub(crate) volume_condition: String,
    pub(crate) time_condition: String,
    pub(crate) direction: String,
    pub(crate) offset: String,
}

/// An order as its owner may see it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) order_id: String,
    /// Empty for a refused order.
    pub(crate) exchange_order_id: String,
    pub(crate) exchange: String,
    pub(crate) instrument: String,
    pub(crate) series: Option<usize>,
    pub(crate) text: OrderText,
    pub(crate) side: Side,
    pub(crate) offset: Offset,
    pub(crate) lots: i64,
    pub(crate) left: i64,
    pub(crate) limit_price: Option<f64>,
    pub(crate) insert_ns: i64,
    pub(crate) alive: bool,
    pub(crate) last_msg: String,
    pub(crate) seqno: u64,
    pub(crate) changed: u64,
    /// Of a trading day that has been settled: told once more, then deleted.
    pub(crate) gone: bool,
    pub(crate) hold: Option<Hold>,
}

/// A fill.
#[derive(Debug, Clone)]
pub(crate) struct Fill {
    pub(crate) trade_id: String,
    pub(crate) order_id: String,
    pub(crate) exchange: String,
    pub(crate) instrument: String,
    pub(crate) direction: String,
    pub(crate) offset: String,
    pub(crate) price: f64,
    pub(crate) lots: u32,
    pub(crate) ts_ns: i64,
    pub(crate) commission_cny: f64,
    pub(crate) seqno: u64,
    pub(crate) changed: u64,
    pub(crate) gone: bool,
}

/// How grave a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Info,
    Warning,
}

impl Level {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
        }
    }
}

/// Something told once.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) kind: &'static str,
    pub(crate) level: Level,
    pub(crate) code: i64,
    pub(crate) content: String,
}

/// A contract that the account has to do with.
#[derive(Debug)]
pub(crate) struct Held {
    /// In the ledger.
    pub(crate) number: usize,
    /// Orders of the present trading day, with its rows.
    pub(crate) market: Option<Market>,
    pub(crate) changed: u64,
    /// Lots held when the trading day began, long and short.
    pub(crate) begun: (u32, u32),
    /// Rows of the series whose prices are in the ledger.
    pub(crate) marked: usize,
}

/// The matching of one contract on one trading day.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) day: Arc<PreparedDay>,
    /// Position of the day's first row in the series.
    pub(crate) from: usize,
    /// Rows of the day that were taken.
    pub(crate) row: usize,
    pub(crate) matching: Matching,
}

/// One account.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) ledger: Account,
    pub(crate) pre_balance_cny: f64,
    pub(crate) deposit_cny: f64,
    pub(crate) withdraw_cny: f64,
    pub(crate) held: BTreeMap<usize, Held>,
    pub(crate) orders: BTreeMap<u64, Order>,
    /// Every id that was ever used, and its order while that is kept.
    pub(crate) by_id: BTreeMap<String, u64>,
    pub(crate) fills: Vec<Fill>,
    pub(crate) notices: VecDeque<Notice>,
    /// Notices that are no longer kept.
    pub(crate) notices_before: u64,
    /// Orders that are alive.
    pub(crate) working: usize,
    /// Orders asked to be cancelled.
    cancels: BTreeSet<u64>,
    next_order: u64,
    next_seqno: u64,
    next_trade: u64,
    /// Grows with every change that a line must tell.
    pub(crate) version: u64,
    /// The version of money and positions.
    pub(crate) valued: u64,
    valued_s: i64,
    pub(crate) day: TradingDay,
    /// Settlements so far.
    pub(crate) settlements: u64,
    events: Vec<MatchEvent>,
    closed: Vec<ClosedLot>,
}

impl Desk {
    /// A new account.
    ///
    /// # Errors
    /// `BadValue` for money that is not above 0.
    pub(crate) fn new(money_cny: f64, day: TradingDay) -> Result<Self, ExchangeError> {
        // Without the larger side, the account's margin is the sum of its positions', as clients check it.
        let config = AccountConfig { large_side: false, ..AccountConfig::new(money_cny) };
        Ok(Self {
            ledger: Account::new(config)?,
            pre_balance_cny: money_cny,
            deposit_cny: 0.0,
            withdraw_cny: 0.0,
            held: BTreeMap::new(),
            orders: BTreeMap::new(),
            by_id: BTreeMap::new(),
            fills: Vec::new(),
            notices: VecDeque::new(),
            notices_before: 0,
            working: 0,
            cancels: BTreeSet::new(),
            next_order: 1,
            next_seqno: 1,
            next_trade: 1,
            version: 1,
            valued: 1,
            valued_s: i64::MIN,
            day,
            settlements: 0,
            events: Vec::new(),
            closed: Vec::new(),
        })
    }

    /// Numbers a new order and remembers its id for ever.
    pub(crate) fn number(&mut self, order_id: &str) -> u64 {
        let number = self.next_order;
        self.next_order += 1;
        self.by_id.insert(order_id.to_owned(), number);
        number
    }

    pub(crate) fn seqno(&mut self) -> u64 {
        self.next_seqno += 1;
        self.next_seqno - 1
    }

    /// A version above all before.
    pub(crate) fn touch(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Money and positions have changed.
    pub(crate) fn touch_money(&mut self) -> u64 {
        self.valued = self.touch();
        self.valued
    }

    pub(crate) fn notify(&mut self, level: Level, code: i64, content: impl Into<String>) {
        self.tell(Notice { kind: "MESSAGE", level, code, content: content.into() });
    }

    pub(crate) fn tell(&mut self, notice: Notice) {
        self.notices.push_back(notice);
        if self.notices.len() > NOTICES {
            self.notices.pop_front();
            self.notices_before += 1;
        }
        self.touch();
    }

    /// Asks the exchange for the end of an order.
    pub(crate) fn cancel(&mut self, number: u64, now_ns: i64) {
        let series = self.orders.get(&number).and_then(|o| o.series);
        let held = series.and_then(|s| self.held.get_mut(&s));
        if let Some(market) = held.and_then(|h| h.market.as_mut()) {
            market.matching.cancel(number, now_ns);
            self.cancels.insert(number);
        }
    }

    /// Takes the rows that a step brings: orders are matched, positions valued.
    pub(crate) fn step(&mut self, tape: &Tape, now_ns: i64) {
        let series: Vec<usize> = self.held.keys().copied().collect();
        for at in series {
            let of = &tape.series[at];
            let Some(held) = self.held.get_mut(&at) else { continue };
            let mut shown = held.marked;
            while of.ticks.ts_ns.get(shown).is_some_and(|t| *t <= now_ns) {
                shown += 1;
            }
            if shown == held.marked {
                continue;
            }
            held.marked = shown;
            let price = of.cell(ghtrader_core::Column::LastPrice, shown - 1);
            let number = held.number;
            let lots = [Side::Buy, Side::Sell].map(|side| self.ledger.lots(number, side));
            let mut events = std::mem::take(&mut self.events);
            if let Some(market) = &mut held.market {
                let to = (shown - market.from).min(market.day.rows());
                while market.row < to {
                    market.row = market.matching.advance(&market.day, market.row, to, &mut events);
                }
            }
            self.ledger.mark(number, price);
            self.book(at, tape, &mut events);
            self.events = events;
            let second = now_ns.div_euclid(ghtrader_core::NS_PER_S);
            if lots.iter().any(|l| l.0 + l.1 > 0) && second != self.valued_s {
                self.valued_s = second;
                self.touch_money();
            }
        }
    }

    /// Writes down what the exchange says.
    fn book(&mut self, at: usize, tape: &Tape, events: &mut Vec<MatchEvent>) {
        for event in events.drain(..) {
            match event {
                MatchEvent::Accepted { .. } | MatchEvent::TakerBooks { .. } => {}
                MatchEvent::Filled { id, price_ticks, lots, ts_ns, .. } => {
                    let price = tape.series[at].spec.ticks_to_price(i64::from(price_ticks));
                    self.fill(at, id, price, lots, ts_ns);
                }
                MatchEvent::Cancelled { id, remaining, .. } => {
                    let asked = self.cancels.remove(&id);
                    let message = if asked { "已撤单" } else { "未成交部分已撤单" };
                    self.finish(id, remaining, message, None);
                    self.notify(Level::Info, 419, "撤单成功");
                }
                MatchEvent::Rejected { id, reason, .. } => {
                    let left = self.orders.get(&id).map_or(0, |o| o.left.max(0) as u32);
                    let (code, message) = match reason {
                        RejectReason::MarketClosed => (333, "不在交易时段"),
                        RejectReason::SelfTrade => (334, "会与本账户的挂单成交"),
                        RejectReason::BeyondBook => (335, "对手方没有报价"),
                        RejectReason::PostOnlyWouldCross => (336, "会立即成交"),
                    };
                    self.finish(id, left, message, Some(code));
                }
            }
        }
    }

    fn fill(&mut self, at: usize, id: u64, price: f64, lots: u32, ts_ns: i64) {
        let version = self.touch_money();
        let seqno = self.seqno();
        let Some(order) = self.orders.get_mut(&id) else { return };
        let Some(held) = self.held.get_mut(&at) else { return };
        if let Some(hold) = &order.hold {
            self.ledger.release(hold, lots);
        }
        let trade = LedgerTrade {
            contract: held.number,
            side: order.side,
            offset: order.offset,
            lots,
            price_cny: price,
            ts_ns,
        };
        self.closed.clear();
        let booking = self.ledger.fill(&trade, &mut self.closed);
        order.left -= i64::from(lots);
        order.alive = order.left > 0;
        order.last_msg = if order.alive { "部分成交" } else { "全部成交" }.to_owned();
        order.changed = version;
        order.seqno = seqno;
        held.changed = version;
        let trade_id = format!("{}|{}", order.order_id, self.next_trade);
        self.next_trade += 1;
        let content = format!("成交通知,合约:{}.{},手数:{lots}", order.exchange, order.instrument);
        self.fills.push(Fill {
            trade_id,
            order_id: order.order_id.clone(),
            exchange: order.exchange.clone(),
            instrument: order.instrument.clone(),
            direction: order.text.direction.clone(),
            offset: order.text.offset.clone(),
            price,
            lots,
            ts_ns,
            commission_cny: booking.fee_cny,
            seqno,
            changed: version,
            gone: false,
        });
        if !order.alive {
            self.cancels.remove(&id);
            self.working = self.working.saturating_sub(1);
        }
        self.notify(Level::Info, 406, content);
    }

    /// Ends an order with lots left; with a code it was refused.
    fn finish(&mut self, id: u64, remaining: u32, message: &str, refused: Option<i64>) {
        let version = self.touch_money();
        let seqno = self.seqno();
        let Some(order) = self.orders.get_mut(&id) else { return };
        if let Some(hold) = &order.hold {
            self.ledger.release(hold, remaining);
        }
        if let Some(held) = order.series.and_then(|s| self.held.get_mut(&s)) {
            held.changed = version;
        }
        self.working = self.working.saturating_sub(usize::from(order.alive));
        order.left = i64::from(remaining);
        order.alive = false;
        order.last_msg = message.to_owned();
        order.changed = version;
        order.seqno = seqno;
        self.cancels.remove(&id);
        if let Some(code) = refused {
            order.exchange_order_id.clear();
            self.notify(Level::Warning, code, format!("下单,已被服务器拒绝,原因:{message}"));
        }
    }

    /// Settles a trading day: day orders end, lots become older ones, the day's sums begin at 0.
    pub(crate) fn settle(&mut self, tape: &Tape, day: usize, next: TradingDay) {
        let series: Vec<usize> = self.held.keys().copied().collect();
        for at in series {
            let of = &tape.series[at];
            let mut events = std::mem::take(&mut self.events);
            let Some(held) = self.held.get_mut(&at) else { continue };
            if let Some(mut market) = held.market.take() {
                let rows = market.day.rows();
                market.matching.advance(&market.day, rows, rows, &mut events);
                if rows > 0 {
                    let end_ns = market.day.ts_ns(rows - 1);
                    market.matching.expire(rows - 1, end_ns, &mut events);
                }
            }
            self.book(at, tape, &mut events);
            self.events = events;
            let Some(held) = self.held.get(&at) else { continue };
            if let Some(d) = of.days.iter().find(|d| d.index == day) {
                self.ledger.mark(held.number, d.settlement);
            }
        }
        let state = self.ledger.settle();
        self.pre_balance_cny = state.balance_cny;
        (self.deposit_cny, self.withdraw_cny) = (0.0, 0.0);
        let version = self.touch_money();
        self.settlements += 1;
        self.day = next;
        for held in self.held.values_mut() {
            held.changed = version;
            let lots = |side| {
                let (today, history) = self.ledger.lots(held.number, side);
                today + history
            };
            held.begun = (lots(Side::Buy), lots(Side::Sell));
        }
        self.orders.retain(|_, o| !o.gone);
        self.fills.retain(|f| !f.gone);
        self.orders.values_mut().for_each(|o| o.gone = true);
        self.fills.iter_mut().for_each(|f| f.gone = true);
        let balance = self.pre_balance_cny;
        self.notify(Level::Info, 325, format!("结算完成,权益:{balance:.2}"));
    }
}
