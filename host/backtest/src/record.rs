//! What a run leaves behind, in order: orders, fills, days. The output digest is a hash over exactly this.

use ghtrader_core::{Digest, DigestBuilder, TradingDay};
use ghtrader_exchange::BookFill;
use ghtrader_kernels::wire::{Offset, RejectReason, Side, Tif};
use serde::Serialize;

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderEnd {
    /// Still on its way or working when the run ended.
    Open,
    /// Filled whole.
    Filled,
    /// Cancelled or expired.
    Cancelled,
    /// Refused by the exchange.
    Rejected,
}

/// One order that a strategy, or the host at a roll, sent.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderRecord {
    /// The host's id, unique in a run.
    pub id: u64,
    /// Number of the contract, index into the run's contracts.
    pub contract: u32,
    /// Generation of the lineup that asked for it; 0 = a backtest's only one, or the host itself.
    pub generation: u64,
    /// Row of the day that it was decided on.
    pub decided_row: u32,
    /// Trading day of the decision.
    pub trading_day: TradingDay,
    /// Exchange time of the row decided on, ns.
    pub decided_ts_ns: i64,
    /// When it reached the exchange, ns.
    pub arrival_ts_ns: i64,
    /// Direction.
    pub side: Side,
    /// As asked for.
    pub offset: Offset,
    /// How long it works.
    pub tif: Tif,
    /// Refused rather than filled on arrival.
    pub post_only: bool,
    /// Size.
    pub lots: u32,
    /// Limit, CNY; NaN = market.
    pub limit_cny: f64,
    /// Middle of the best quotes at the decision, CNY; NaN with a side empty.
    pub decided_mid_cny: f64,
    /// The exchange took it.
    pub accepted: bool,
    /// Lots filled so far.
    pub filled_lots: u32,
    /// How it ended.
    pub end: OrderEnd,
    /// Why it was refused.
    pub reason: Option<RejectReason>,
}

impl OrderRecord {
    /// Name of the reason of a refusal; empty otherwise.
    pub fn reason_name(&self) -> &'static str {
        self.reason.map_or("", RejectReason::name)
    }
}

/// One fill.
#[derive(Debug, Clone, PartialEq)]
pub struct FillRecord {
    /// The order's id.
    pub order_id: u64,
    /// Number of the contract.
    pub contract: u32,
    /// Trading day it is booked on.
    pub trading_day: TradingDay,
    /// Exchange time, ns.
    pub ts_ns: i64,
    /// Direction.
    pub side: Side,
    /// Size.
    pub lots: u32,
    /// CNY per quoted unit.
    pub price_cny: f64,
    /// All fees of this fill, CNY.
    pub fee_cny: f64,
    /// It rested in the book.
    pub maker: bool,
    /// Net position behind it, lots.
    pub position_lots: i64,
    /// Row of its day; none for a fill in a contract whose later prices are not at hand.
    pub row: Option<u32>,
    /// Signed move of the mid price 1, 10, 50 and 200 rows later, in price ticks; NaN behind the day's end, and until it.
    pub markout_ticks: [f64; 4],
    /// Fill price against the mid at the decision, in ticks, above 0 = worse; NaN if unknown.
    pub slippage_ticks: f64,
}

/// What an order that arrived between two snapshots takes from the book before its arrival and from the one after.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TakerBooks {
    /// The order's id.
    pub order_id: u64,
    /// Lots of the book before.
    pub k_lots: u32,
    /// Their mean price, CNY; NaN without a lot.
    pub k_price_cny: f64,
    /// Lots of the book after, which are those filled.
    pub k_plus_1_lots: u32,
    /// Their mean price, CNY; NaN without a lot.
    pub k_plus_1_price_cny: f64,
}

impl TakerBooks {
    pub(crate) fn of(order_id: u64, before: BookFill, after: BookFill, price_tick: f64) -> Self {
        let price = |fill: BookFill| fill.lot_ticks as f64 / f64::from(fill.lots) * price_tick;
        Self {
            order_id,
            k_lots: before.lots,
            k_price_cny: price(before),
            k_plus_1_lots: after.lots,
            k_plus_1_price_cny: price(after),
        }
    }
}

/// Rows behind a fill at which the mid price is looked at again.
pub const MARKOUT_ROWS: [usize; 4] = [1, 10, 50, 200];

/// One trading day of an account.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DayRecord {
    /// The day.
    pub trading_day: TradingDay,
    /// Equity at its end, marked as the specification says, CNY.
    pub equity_cny: f64,
    /// Equity less that of the day before, CNY.
    pub pnl_cny: f64,
    /// Fees paid on it, CNY.
    pub fees_cny: f64,
    /// Fills on it.
    pub fills: u64,
    /// Lots filled on it.
    pub lots: u64,
    /// Net position at its end, lots.
    pub position_lots: i64,
}

/// A point of the equity curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EquityPoint {
    /// Exchange time, ns.
    pub ts_ns: i64,
    /// CNY.
    pub equity_cny: f64,
}

/// Everything that one fill model of one run did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Orders by id, from `orders_before + 1` on without a gap.
    pub orders: Vec<OrderRecord>,
    /// Orders that ended before this record began; 0 but for the copy of an account under way.
    pub orders_before: u64,
    /// Fills that were booked before this record began.
    pub fills_before: usize,
    /// Fills in the order they happened.
    pub fills: Vec<FillRecord>,
    /// With the taker book `both`: takers that arrived between two snapshots, in order.
    pub taker_books: Vec<TakerBooks>,
    /// Days in order.
    pub days: Vec<DayRecord>,
    /// About one point a minute and one a fill, ascending in time.
    pub equity: Vec<EquityPoint>,
    /// Times at which orders and cancels reach the exchange, ns; ascending once the run is over.
    pub messages_ts_ns: Vec<i64>,
    /// Cancels that took effect; orders that expired at a day's close are none.
    pub cancels: u64,
    /// Orders that the host refused before they were sent, by reason; they have no [`OrderRecord`].
    pub refused: std::collections::BTreeMap<&'static str, u64>,
    /// Largest fall from a peak over every row, CNY.
    pub max_drawdown_cny: f64,
    /// The same as a share of the peak.
    pub max_drawdown_pct: f64,
    /// Session time, ns; with a position, ns.
    pub session_ns: i64,
    /// Session time with a position, ns.
    pub exposed_ns: i64,
    /// Largest net position, either side.
    pub max_abs_position_lots: u64,
    /// Warnings by name, in the order of the names.
    pub warnings: std::collections::BTreeMap<&'static str, u64>,
    /// Equity fell to 0 or below: the account ended at that row, its position valued there.
    pub bust: bool,
}

impl Record {
    /// An order by its id.
    pub fn order(&self, id: u64) -> Option<&OrderRecord> {
        self.orders.get(id.checked_sub(self.orders_before + 1)? as usize)
    }

    pub(crate) fn order_mut(&mut self, id: u64) -> Option<&mut OrderRecord> {
        self.orders.get_mut(id.checked_sub(self.orders_before + 1)? as usize)
    }

    /// Digest over the ordered orders, fills and daily equity.
    pub fn output_digest(&self) -> Digest {
        let mut b = DigestBuilder::new("ghtrader backtest output 2");
        b.int(self.orders.len() as i64);
        for o in &self.orders {
            b.int(o.id.cast_signed()).int(i64::from(o.contract)).int(o.decided_ts_ns).int(o.arrival_ts_ns);
            b.int(o.side as i64).int(o.offset as i64).int(o.tif as i64).int(i64::from(o.post_only));
            b.int(i64::from(o.lots)).float(o.limit_cny).int(i64::from(o.accepted)).int(i64::from(o.filled_lots));
            b.int(o.end as i64).text(o.reason_name());
        }
        b.int(self.fills.len() as i64);
        for f in &self.fills {
            b.int(f.order_id.cast_signed())
                .int(i64::from(f.contract))
                .int(f.ts_ns)
                .int(f.side as i64)
                .int(i64::from(f.lots));
            b.float(f.price_cny).float(f.fee_cny).int(i64::from(f.maker)).int(f.position_lots);
        }
        b.int(self.days.len() as i64);
        for d in &self.days {
            b.int(i64::from(d.trading_day.days())).float(d.equity_cny);
        }
        b.finish()
    }
}
