//! What changed from one row to the next: order flow and traded volume.

use crate::wire::Boundary;

/// One level of both sides: prices in CNY (NaN = empty), sizes in lots.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quote {
    /// Bid price, CNY.
    pub bid: f64,
    /// Bid size, lots.
    pub bid_lots: f64,
    /// Ask price, CNY.
    pub ask: f64,
    /// Ask size, lots.
    pub ask_lots: f64,
}

/// Order-flow imbalance of one level between consecutive rows, lots; NaN where any of the four prices is.
///
/// e = 1{b ≥ b′}v − 1{b ≤ b′}v′ − 1{a ≤ a′}w + 1{a ≥ a′}w′, the primes being the row before (Cont, Kukanov, Stoikov
/// 2014, eq. 10); level by level it is the multi-level form of Xu, Gould, Howison (2019).
pub fn order_flow_imbalance(previous: &Quote, now: &Quote) -> f64 {
    if previous.bid.is_nan() || previous.ask.is_nan() || now.bid.is_nan() || now.ask.is_nan() {
        return f64::NAN;
    }
    let mut flow = 0.0;
    if now.bid >= previous.bid {
        flow += now.bid_lots;
    }
    if now.bid <= previous.bid {
        flow -= previous.bid_lots;
    }
    if now.ask <= previous.ask {
        flow -= now.ask_lots;
    }
    if now.ask >= previous.ask {
        flow += previous.ask_lots;
    }
    flow
}

/// Turns the cumulative volume (or amount) of a trading day into changes from row to row.
///
/// The first row of a trading day has its cumulative value as change; the first row of a stream or of a contract has
/// NaN, as what came before it is not known.
#[derive(Debug, Clone, Copy, Default)]
pub struct CumulativeChange {
    previous: Option<f64>,
    day_begins: bool,
}

impl CumulativeChange {
    /// A border lies before the next row.
    pub fn boundary(&mut self, kind: Boundary) {
        match kind {
            Boundary::Roll => *self = Self::default(),
            Boundary::TradingDay => self.day_begins = true,
            Boundary::Session | Boundary::Gap | Boundary::Other => {}
        }
    }

    /// The change that came with the next row, whose cumulative value is given.
    pub fn next(&mut self, cumulative: f64) -> f64 {
        let change = match self.previous {
            None => f64::NAN,
            Some(_) if self.day_begins => cumulative,
            Some(previous) => cumulative - previous,
        };
        *self = Self { previous: Some(cumulative), day_begins: false };
        change
    }
}
