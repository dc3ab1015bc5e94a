//! A resting order over one interval: queue advance, crossing, depletion, arrivals and cancels in flight.
//!
//! Lots are f64 because a central queue may be a fraction; whole numbers stay exact. Fills are whole lots.

use crate::FillModel;
use crate::split::visible_level;

/// One interval at the price of a resting order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LevelInterval {
    /// Displayed at the price on the snapshot before; `None` = outside the displayed levels.
    pub displayed_before_lots: Option<f64>,
    /// Displayed at the price on the snapshot after; `None` = outside the displayed levels.
    pub displayed_after_lots: Option<f64>,
    /// Traded at the price, as the fill model counts it (see [`traded_by_model`]).
    pub traded_lots: f64,
}

/// What an interval did to a resting order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueueStep {
    /// Lots ahead afterwards.
    pub queue_ahead_lots: f64,
    /// Own lots filled.
    pub filled_lots: u32,
    /// The price is outside the displayed levels.
    pub unseen: bool,
}

/// The lots that a model takes for traded, of the bounds that the data leave.
#[inline]
pub fn traded_by_model(model: FillModel, min_lots: f64, max_lots: f64) -> f64 {
    match model {
        FillModel::Pessimistic => min_lots,
        FillModel::Central => (min_lots + max_lots) / 2.0,
        FillModel::Optimistic | FillModel::CrossOnly | FillModel::Touch => max_lots,
    }
}

/// Moves an order of `own_lots` forward in its queue.
///
/// Trades take from the front. Of the cancels that the display shows beyond them, none stood ahead (pessimistic), all
/// did (optimistic), or the share P = (Q/(Q + back))ⁿ did (central), with back the lots displayed behind. No more can be
/// ahead than is displayed. Outside the displayed levels the queue is frozen. On return it is the display
/// and nothing is filled (pessimistic), or the smaller of queue and display (optimistic), or the mean of these (central).
#[inline]
pub fn advance_queue(
    model: FillModel,
    queue_ahead_lots: f64,
    own_lots: u32,
    level: LevelInterval,
    central_power: f64,
) -> QueueStep {
    let Some(after) = level.displayed_after_lots else {
        return QueueStep { queue_ahead_lots, filled_lots: 0, unseen: true };
    };
    let traded = level.traded_lots;
    let beyond_lots = traded - queue_ahead_lots;
    let filled_lots = if beyond_lots > 0.0 { (beyond_lots as u32).min(own_lots) } else { 0 };
    let left = (queue_ahead_lots - traded).max(0.0);
    let Some(before) = level.displayed_before_lots else {
        let kept = left.min(after);
        let (queue_ahead_lots, filled_lots) = match model {
            FillModel::Pessimistic => (after, 0),
            FillModel::Central => ((kept + after) / 2.0, filled_lots),
            FillModel::Optimistic | FillModel::CrossOnly | FillModel::Touch => (kept, filled_lots),
        };
        return QueueStep { queue_ahead_lots, filled_lots, unseen: false };
    };
    let queue = match model {
        FillModel::Pessimistic => left,
        FillModel::Optimistic | FillModel::CrossOnly | FillModel::Touch => {
            (left - visible_level(before, after, traded).min_cancels_lots).max(0.0)
        }
        FillModel::Central => {
            let cancels = visible_level(before, after, traded).min_cancels_lots;
            if left > 0.0 && cancels > 0.0 {
                let back = (before - queue_ahead_lots).max(0.0);
                let ahead = power(left / (left + back), central_power);
                // Behind us no more can go than stands there.
                let overflow = ((1.0 - ahead) * cancels - back).max(0.0);
                (left - ahead * cancels - overflow).max(0.0)
            } else {
                left
            }
        }
    };
    QueueStep { queue_ahead_lots: queue.min(after), filled_lots, unseen: false }
}

/// xⁿ, by multiplication for whole n so that every machine gets the same bits.
fn power(x: f64, n: f64) -> f64 {
    if n.fract() == 0.0 && (0.0..=64.0).contains(&n) { (0..n as u32).fold(1.0, |p, _| p * x) } else { libm::pow(x, n) }
}

/// Fills a resting order whose price the opposite best has reached, at its own price.
///
/// Optimistic: whole. Otherwise no more than what traded at the price or better for us, and what is displayed there now.
#[inline]
pub fn crossed_fill(model: FillModel, own_lots: u32, traded_lots: f64, displayed_lots: f64) -> u32 {
    match model {
        FillModel::Pessimistic | FillModel::Central => own_lots.min((traded_lots + displayed_lots) as u32),
        FillModel::Optimistic | FillModel::CrossOnly | FillModel::Touch => own_lots,
    }
}

/// A level that is gone without the opposite side having reached it (pessimistic and central).
///
/// Whole if the trades at the price cover the queue and the order, else nothing; afterwards nobody is ahead.
#[inline]
pub fn depleted_level(queue_ahead_lots: f64, own_lots: u32, traded_lots: f64) -> QueueStep {
    let filled = traded_lots >= queue_ahead_lots + f64::from(own_lots);
    QueueStep { queue_ahead_lots: 0.0, filled_lots: if filled { own_lots } else { 0 }, unseen: false }
}

/// The share of the interval (start, end] that lies after an arrival: 1 at or before its start, 0 at or after its end.
#[inline]
pub fn share_after(start_ns: i64, end_ns: i64, arrival_ns: i64) -> f64 {
    if arrival_ns <= start_ns {
        1.0
    } else if arrival_ns >= end_ns {
        0.0
    } else {
        (end_ns - arrival_ns) as f64 / (end_ns - start_ns) as f64
    }
}

/// Of an interval's traded lots, those that an order sees that arrived with the share `after` of the interval left.
///
/// The order of events inside an interval is unknown: pessimistic none, central by time, optimistic all.
#[inline]
pub fn arrival_share(model: FillModel, traded_lots: f64, after: f64) -> f64 {
    if after >= 1.0 {
        return traded_lots;
    }
    if after <= 0.0 {
        return 0.0;
    }
    match model {
        FillModel::Pessimistic => 0.0,
        FillModel::Central => traded_lots * after,
        FillModel::Optimistic | FillModel::CrossOnly | FillModel::Touch => traded_lots,
    }
}

/// What becomes of an order that an interval would fill while its cancel is in flight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CancelRace {
    /// The cancel was first: nothing is filled.
    Cancelled,
    /// The fill stands.
    Filled,
    /// The order saw this share of the interval before it was cancelled.
    Share(f64),
}

/// Decides a cancel that arrives with the share `after` of the interval left.
///
/// Pessimistic: it loses when the price then moved through the order (`crossed`). Central: by time. Otherwise it wins.
#[inline]
pub fn cancel_race(model: FillModel, after: f64, crossed: bool) -> CancelRace {
    if after >= 1.0 {
        return CancelRace::Cancelled;
    }
    if after <= 0.0 {
        return CancelRace::Filled;
    }
    match model {
        FillModel::Pessimistic if crossed => CancelRace::Filled,
        FillModel::Central => CancelRace::Share(1.0 - after),
        FillModel::Pessimistic | FillModel::Optimistic | FillModel::CrossOnly | FillModel::Touch => {
            CancelRace::Cancelled
        }
    }
}

/// Whether one of the two models without a queue fills an order whole.
///
/// `crossed`: the opposite best of the snapshot after has reached the price. `opposite_lots`: lots that hit the own best
/// of the snapshot before. `at_own_best`: that best was the price.
#[inline]
pub fn cross_or_touch(model: FillModel, crossed: bool, at_own_best: bool, opposite_lots: i32) -> bool {
    crossed || (model == FillModel::Touch && at_own_best && opposite_lots > 0)
}

/// One interval of a resting order, for [`rest`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestInterval {
    /// The opposite best has reached the price.
    pub crossed: bool,
    /// The price was displayed and the own best is now worse than it.
    pub depleted: bool,
    /// Displayed and traded at the price.
    pub level: LevelInterval,
    /// Traded at the price or better for us, as the model counts it.
    pub traded_through_lots: f64,
    /// Displayed by the opposite side at the price or better for us.
    pub opposite_displayed_lots: f64,
}

/// Takes a resting order over one interval: crossed, else depleted, else queue advance.
#[inline]
pub fn rest(
    model: FillModel,
    queue_ahead_lots: f64,
    own_lots: u32,
    interval: &RestInterval,
    central_power: f64,
) -> QueueStep {
    let step = if interval.crossed {
        let lots = crossed_fill(model, own_lots, interval.traded_through_lots, interval.opposite_displayed_lots);
        QueueStep { queue_ahead_lots, filled_lots: lots, unseen: false }
    } else if interval.depleted && model != FillModel::Optimistic {
        depleted_level(queue_ahead_lots, own_lots, interval.level.traded_lots)
    } else {
        advance_queue(model, queue_ahead_lots, own_lots, interval.level, central_power)
    };
    // Whoever is filled in part stands first.
    if step.filled_lots > 0 { QueueStep { queue_ahead_lots: 0.0, ..step } } else { step }
}
