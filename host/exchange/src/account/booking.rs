//! What goes into the ledger and what comes out of it.

use crate::{Offset, Side};

/// A fill to be booked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trade {
    /// Contract number.
    pub contract: usize,
    /// Side of the order.
    pub side: Side,
    /// As ordered.
    pub offset: Offset,
    /// Lots of this fill.
    pub lots: u32,
    /// Its price.
    pub price_cny: f64,
    /// Its time, ns since the epoch.
    pub ts_ns: i64,
}

/// One part of a fill with one effect on the position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leg {
    /// `Open`, `Close` or `CloseToday`.
    pub offset: Offset,
    /// Its lots.
    pub lots: u32,
    /// Its fee.
    pub fee_cny: f64,
}

/// Lots that a fill closed, with the fill that opened them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClosedLot {
    /// Contract number.
    pub contract: usize,
    /// Side that opened.
    pub opened: Side,
    /// Lots.
    pub lots: u32,
    /// Price at which they were opened.
    pub open_cny: f64,
    /// Price at which they were closed.
    pub close_cny: f64,
    /// When they were opened.
    pub open_ns: i64,
    /// When they were closed.
    pub close_ns: i64,
    /// Profit from open to close, before fees.
    pub profit_cny: f64,
    /// Fees of opening and closing.
    pub fees_cny: f64,
}

/// What a fill did to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Booking {
    legs: [Option<Leg>; 3],
    /// Fees of all legs.
    pub fee_cny: f64,
    /// Profit against the reference prices of the closed lots.
    pub close_profit_cny: f64,
}

impl Booking {
    /// The legs in the order of their effect: closing before opening.
    pub fn legs(&self) -> impl Iterator<Item = &Leg> {
        self.legs.iter().flatten()
    }

    pub(super) fn push(&mut self, leg: Leg) {
        if let Some(free) = self.legs.iter_mut().find(|l| l.is_none()) {
            *free = Some(leg);
        }
        self.fee_cny += leg.fee_cny;
    }
}

/// The account in CNY at the present marks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccountState {
    /// Profit of the day's closings against the reference prices.
    pub close_profit_cny: f64,
    /// Profit of what is held against the reference prices.
    pub position_profit_cny: f64,
    /// Profit of what is held against the open prices.
    pub float_profit_cny: f64,
    /// Fees of the day.
    pub commission_cny: f64,
    /// Equity.
    pub balance_cny: f64,
    /// Margin of what is held.
    pub margin_cny: f64,
    /// Balance − margin.
    pub available_cny: f64,
    /// Margin / balance; 0 without margin.
    pub risk_ratio: f64,
}

/// Equity as a line over the mark price of one contract, all other marks fixed: base + slope × mark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EquityLine {
    /// Equity at a mark of 0.
    pub base_cny: f64,
    /// Quoted units held, long − short: CNY of equity a CNY of price.
    pub units: f64,
}
