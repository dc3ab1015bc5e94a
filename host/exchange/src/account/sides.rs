//! Positions as a broker's statement shows them: side by side, with their costs.

use super::Account;
use crate::Side;

/// One side of a contract's position.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SideState {
    /// Lots opened on this trading day.
    pub today_lots: u32,
    /// Older lots.
    pub history_lots: u32,
    /// Of today's lots, those in working closing orders.
    pub frozen_today_lots: u32,
    /// Of the older lots, those in working closing orders.
    pub frozen_history_lots: u32,
    /// Σ open price × multiplier × lots, CNY.
    pub open_cost_cny: f64,
    /// The same over reference prices: the last settlement for older lots, the open price for today's.
    pub position_cost_cny: f64,
    /// Margin of the side, CNY, before the larger side of a product is taken.
    pub margin_cny: f64,
}

impl Account {
    /// What orders of a side have opened in a contract and is still held.
    pub fn side(&self, contract: usize, opened: Side) -> SideState {
        let position = &self.positions[contract];
        let holding = &position.holdings[opened as usize];
        let (today_lots, history_lots) = self.lots(contract, opened);
        let (mut frozen_today_lots, mut frozen_history_lots) = (holding.frozen_today, holding.frozen_history);
        if !position.terms.separate_today() {
            // One offset closes both there, older lots first.
            let frozen = frozen_today_lots + frozen_history_lots;
            frozen_history_lots = frozen.min(history_lots);
            frozen_today_lots = frozen - frozen_history_lots;
        }
        let multiplier = position.terms.multiplier;
        let open_cost_cny = holding.lots().map(|lot| lot.open_cny * multiplier * f64::from(lot.lots)).sum();
        let position_cost_cny = holding.sums.cost_cny.abs();
        let margin_cny = holding.sums.margin_cny;
        SideState {
            today_lots,
            history_lots,
            frozen_today_lots,
            frozen_history_lots,
            open_cost_cny,
            position_cost_cny,
            margin_cny,
        }
    }

    /// The price that a contract's lots are valued at, CNY; NaN before the first.
    pub fn mark_cny(&self, contract: usize) -> f64 {
        self.positions[contract].mark_cny
    }

    /// Balance of the last settlement with what was paid in and out since.
    pub fn static_cny(&self) -> f64 {
        self.static_cny
    }

    /// Margin that working orders keep from others.
    pub fn held_margin_cny(&self) -> f64 {
        self.held_margin_cny
    }
}
