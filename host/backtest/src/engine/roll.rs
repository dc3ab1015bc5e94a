//! What happens to a position when the main contract changes.

use super::{DayRun, Engine};
use crate::BacktestError;
use crate::record::{OrderEnd, OrderRecord};
use crate::spec::RollPolicy;
use ghtrader_core::{Column, Phase, SessionWindow, TickView};
use ghtrader_kernels::wire::{Offset, Side, Tif};
use ghtrader_runtime::{ExchangeNews, PositionView};

/// An order of the host's own at a roll, filled at once.
struct HostLeg {
    contract: u32,
    side: Side,
    offset: Offset,
    /// CNY and lots, best first.
    prices: Vec<(f64, u32)>,
    ts_ns: i64,
    /// Row of the day; `None` = of the old contract.
    row: Option<usize>,
}

impl Engine {
    /// After a change of contract: closes the position in the old one, and opens it in the new one if the policy says so.
    pub(super) fn roll_position(&mut self, run: &mut DayRun<'_>) -> Result<(), BacktestError> {
        let day = run.day;
        let before = self.contract.replace(day.contract.to_owned());
        let Some(before) = before.filter(|before| before != day.contract) else { return Ok(()) };
        let held = self.position();
        if held == PositionView::default() {
            return self.ledger.begin_day(day.contract, day.instrument, day.trading_day).map_err(Into::into);
        }
        let stands = || BacktestError::PositionOverRoll { trading_day: day.trading_day, lots: held.net_lots() };
        let policy = self.settings.roll.policy;
        let old = day.old_contract.as_ref().filter(|_| policy != RollPolicy::Ignore).ok_or_else(stands)?;
        let penalty_ticks = f64::from(self.settings.roll.penalty_ticks);
        let contract = self.desk.contract();
        // The old contract is closed at the fees of this day.
        self.ledger.begin_day(&before, old.instrument, day.trading_day)?;
        for (side, lots) in [(Side::Sell, held.long_lots), (Side::Buy, held.short_lots)] {
            if lots == 0 {
                continue;
            }
            let penalty_cny = penalty_ticks * old.instrument.price_tick;
            let book = old.view.as_ref().and_then(|view| first_book(view, day.windows, side).map(|row| (view, row)));
            let (prices, ts_ns) = match book {
                Some((view, row)) => (walk(view, row, side, lots, penalty_cny), view.ts_ns[row]),
                None if old.last_price_cny.is_nan() => return Err(stands()),
                None => {
                    *self.record.warnings.entry("roll_without_book").or_default() += 1;
                    let worsened_cny = old.last_price_cny + side.sign() as f64 * penalty_cny;
                    (vec![(worsened_cny, lots)], day.view.ts_ns[0])
                }
            };
            let (contract, offset) = (contract - 1, Offset::Auto);
            self.host_leg(run, &HostLeg { contract, side, offset, prices, ts_ns, row: None });
        }
        self.ledger.begin_day(day.contract, day.instrument, day.trading_day)?;
        if policy != RollPolicy::Transfer {
            return Ok(());
        }
        for (side, lots) in [(Side::Buy, held.long_lots), (Side::Sell, held.short_lots)] {
            if lots == 0 {
                continue;
            }
            let Some(row) = first_book(&day.view, day.windows, side) else {
                *self.record.warnings.entry("roll_without_book").or_default() += 1;
                continue;
            };
            let prices = walk(&day.view, row, side, lots, penalty_ticks * day.instrument.price_tick);
            let (ts_ns, offset) = (day.view.ts_ns[row], Offset::Open);
            self.host_leg(run, &HostLeg { contract, side, offset, prices, ts_ns, row: Some(row) });
        }
        Ok(())
    }

    /// Books an order of the host's own that has filled.
    fn host_leg(&mut self, run: &DayRun<'_>, leg: &HostLeg) {
        let HostLeg { contract, side, offset, ref prices, ts_ns, row } = *leg;
        let id = self.desk.take_id();
        let mut left: u32 = prices.iter().map(|(_, lots)| lots).sum();
        self.record.messages_ts_ns.push(ts_ns);
        self.record.orders.push(OrderRecord {
            id,
            contract,
            generation: 0,
            decided_row: row.unwrap_or(0) as u32,
            trading_day: run.day.trading_day,
            decided_ts_ns: ts_ns,
            arrival_ts_ns: ts_ns,
            side,
            offset,
            tif: Tif::Immediate,
            post_only: false,
            lots: left,
            limit_cny: f64::NAN,
            decided_mid_cny: f64::NAN,
            accepted: true,
            filled_lots: 0,
            end: OrderEnd::Open,
            reason: None,
        });
        for &(price_cny, lots) in prices {
            left -= lots;
            self.fill(run, id, side, lots, price_cny, false, row, ts_ns);
            self.hear(&ExchangeNews::Filled { id, lots, remaining: left, price_cny });
        }
    }
}

/// The first row of continuous trading at which a market order of this side finds a quote.
fn first_book(view: &TickView<'_>, windows: &[SessionWindow], side: Side) -> Option<usize> {
    let quotes = view.float(if side == Side::Buy { Column::ask_price(0) } else { Column::bid_price(0) });
    (0..view.rows()).find(|&row| {
        let open = || windows.iter().any(|w| w.start_ns <= view.ts_ns[row] && view.ts_ns[row] < w.end_ns);
        !quotes[row].is_nan() && view.phase[row] == Phase::Continuous as u8 && open()
    })
}

/// Walks the displayed levels; what they do not hold fills at the last one worsened by `penalty_cny`.
fn walk(view: &TickView<'_>, row: usize, side: Side, lots: u32, penalty_cny: f64) -> Vec<(f64, u32)> {
    let mut left = lots;
    let mut fills = Vec::new();
    let mut worst = f64::NAN;
    for level in 0..ghtrader_core::L5_LEVELS {
        let (price, size) = match side {
            Side::Buy => (Column::ask_price(level), Column::ask_volume(level)),
            Side::Sell => (Column::bid_price(level), Column::bid_volume(level)),
        };
        let (price, size) = (view.float(price)[row], view.float(size)[row]);
        if left == 0 || price.is_nan() {
            break;
        }
        worst = price;
        let take = left.min(size.max(0.0) as u32);
        if take > 0 {
            fills.push((price, take));
            left -= take;
        }
    }
    if left > 0 {
        fills.push((worst + side.sign() as f64 * penalty_cny, left));
    }
    fills
}
