//! Orders seen from the ledger: what they may close, what they keep from others.

use crate::{Offset, Side};

/// The lots that a closing order may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseCheck {
    /// Lots opened on this trading day.
    pub today_lots: u32,
    /// Older lots.
    pub history_lots: u32,
    /// Of today's, those in working closing orders.
    pub frozen_today_lots: u32,
    /// Of the older, those in working closing orders.
    pub frozen_history_lots: u32,
    /// SHFE and INE: `close` takes only older lots.
    pub separate_today: bool,
}

/// Whether a closing order of `lots` finds enough that is not frozen. Other offsets always do.
#[inline]
pub fn close_check(offset: Offset, lots: u32, held: CloseCheck) -> bool {
    let today = held.today_lots.saturating_sub(held.frozen_today_lots);
    let history = held.history_lots.saturating_sub(held.frozen_history_lots);
    match offset {
        Offset::Auto | Offset::Open => true,
        Offset::CloseToday => lots <= today,
        Offset::Close if held.separate_today => lots <= history,
        Offset::Close => lots <= today + history,
    }
}

/// Why the ledger refuses an order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Refusal {
    /// Opening needs more money than is available.
    InsufficientMargin {
        /// Margin and fee of the lots that open.
        needed_cny: f64,
        /// What is there.
        available_cny: f64,
    },
    /// There are not enough lots to close, or they are in other closing orders.
    NothingToClose {
        /// Lots wanted.
        lots: u32,
        /// Lots free.
        free_lots: u32,
    },
}

/// What a working order keeps from others: margin for lots that open, or lots that it closes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hold {
    pub(super) contract: usize,
    pub(super) side: Side,
    pub(super) offset: Offset,
    pub(super) margin_cny_per_lot: f64,
}
