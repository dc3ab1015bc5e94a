//! Targets with look-ahead, decided on the price grid in whole numbers.
//!
//! The binary difference of two mids that lie a tick of 0.02 apart may be 0.0199999…, so ticks are counted instead.

use crate::wire::Side;

/// A price as a number of ticks, to the nearest; `None` for NaN and infinity.
pub fn price_ticks(price: f64, price_tick: f64) -> Option<i64> {
    let ticks = price / price_tick;
    // Rounds half away from zero: `core` has no `round`, and the cast cuts towards zero.
    ticks.is_finite().then(|| (ticks + 0.5_f64.copysign(ticks)) as i64)
}

/// The mid in half ticks, exact for prices on the grid; `None` where a side is empty.
pub fn mid_half_ticks(bid: f64, ask: f64, price_tick: f64) -> Option<i64> {
    price_ticks(bid, price_tick)?.checked_add(price_ticks(ask, price_tick)?)
}

/// Classes of a direction label, in their order in files and models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Fell by the threshold at least.
    Down = 0,
    /// In between.
    Flat = 1,
    /// Rose by the threshold at least.
    Up = 2,
}

/// Direction from one mid to a later one, both in half ticks; a move of exactly the threshold counts.
pub fn direction(now_half_ticks: i64, later_half_ticks: i64, threshold_ticks: u32) -> Direction {
    let change = later_half_ticks.saturating_sub(now_half_ticks);
    let threshold = 2 * i64::from(threshold_ticks);
    if change >= threshold {
        Direction::Up
    } else if change <= -threshold {
        Direction::Down
    } else {
        Direction::Flat
    }
}

/// Fate of a passive order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FillLabel {
    /// Its price, CNY; NaN where its side was empty.
    pub order_price: f64,
    /// Lots ahead of it when it joins: best size × (1 + level).
    pub queue_position_lots: f64,
    /// Whether it filled; `None` = no label.
    pub fill: Option<bool>,
    /// Rows until it filled, from 1.
    pub time_to_fill_rows: Option<u32>,
    /// Whether the look-ahead ended undecided before the horizon.
    pub censored: bool,
}

/// Labels a passive order sent at one row, `level` ticks behind the best price of its side.
///
/// A bid fills at the first of the next `horizon_rows` rows whose best ask is at or below its price, an ask mirrored;
/// an empty opposite side never fills. `later` are the best (bid, ask) of the rows behind, in order, ending with the
/// reach. Compared in ticks.
pub fn fill_label(
    side: Side,
    best_price: f64,
    best_lots: f64,
    level: u32,
    price_tick: f64,
    horizon_rows: u32,
    later: impl IntoIterator<Item = (f64, f64)>,
) -> FillLabel {
    let away = f64::from(level) * price_tick;
    let mut label = FillLabel {
        order_price: match side {
            Side::Buy => best_price - away,
            Side::Sell => best_price + away,
        },
        queue_position_lots: best_lots * (1.0 + f64::from(level)),
        fill: None,
        time_to_fill_rows: None,
        censored: false,
    };
    let Some(own) = price_ticks(best_price, price_tick) else { return label };
    let own = own - side.sign() * i64::from(level);
    let mut seen = 0;
    for (bid, ask) in later.into_iter().take(horizon_rows as usize) {
        seen += 1;
        let opposite = match side {
            Side::Buy => price_ticks(ask, price_tick),
            Side::Sell => price_ticks(bid, price_tick),
        };
        // Turned round, both sides ask whether the opposite best is at the own price or past it.
        if opposite.is_some_and(|opposite| (opposite - own) * side.sign() <= 0) {
            label.fill = Some(true);
            label.time_to_fill_rows = Some(seen);
            return label;
        }
    }
    label.censored = seen < horizon_rows;
    label.fill = (!label.censored).then_some(false);
    label
}
