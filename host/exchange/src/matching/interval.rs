//! Resting orders over one interval.

use super::{Matching, Resting};
use crate::FillModel;
use crate::order::{MatchEvent, Side};
use crate::prepared::PreparedDay;
use crate::queue::{self, CancelRace, LevelInterval, RestInterval};

impl Matching {
    /// Takes every resting order over the interval that ends with `row`.
    pub(super) fn match_interval(&mut self, day: &PreparedDay, row: usize, events: &mut Vec<MatchEvent>) {
        let queued = self.has_queue();
        let mut done = false;
        for at in 0..self.resting.len() {
            let filled = if queued { self.match_queued(day, row, at) } else { self.match_unqueued(day, row, at) };
            if filled == 0 {
                continue;
            }
            let order = &mut self.resting[at];
            order.filled_now = filled;
            order.remaining -= filled;
            done = true;
            events.push(MatchEvent::Filled {
                id: order.id,
                side: order.side,
                price_ticks: order.key * order.side.sign(),
                lots: filled,
                remaining: order.remaining,
                maker: true,
                row,
                ts_ns: day.ts_ns(row),
                offset: order.offset,
            });
        }
        if done {
            self.resting.retain_mut(|order| {
                order.filled_now = 0;
                order.remaining > 0
            });
        }
    }

    /// The two models without a queue; they do not know cancels in flight either.
    #[inline]
    fn match_unqueued(&self, day: &PreparedDay, row: usize, at: usize) -> u32 {
        let order = &self.resting[at];
        let crossed = -day.best(order.side.opposite(), row) <= order.key;
        let at_own_best = day.best(order.side, row - 1) == order.key;
        let opposite_lots = day.traded_at_best(order.side, row);
        let reached = queue::cross_or_touch(self.config.model, crossed, at_own_best, opposite_lots);
        if reached && self.flight(at).cancelled.is_none() { order.remaining } else { 0 }
    }

    /// A model with a queue; returns the lots filled and moves the order's queue.
    #[inline]
    fn match_queued(&mut self, day: &PreparedDay, row: usize, at: usize) -> u32 {
        let Resting { side, key, remaining, mut queue_ahead, in_flight, unseen, .. } = self.resting[at];
        // Most intervals: at the best before and after, first of its side, two prices. The general way gives the same.
        let first = at == 0 || self.resting[at - 1].side != side;
        if first
            && !in_flight
            && !unseen
            && let Some(level) = day.quiet_best(side, row, key)
        {
            let step =
                queue::advance_queue(self.config.model, queue_ahead, remaining, level, self.config.central_power);
            self.resting[at].queue_ahead = if step.filled_lots > 0 { 0.0 } else { step.queue_ahead_lots };
            return step.filled_lots;
        }
        let flight = self.flight(at);
        // After a gap, and while a side is locked at its limit, only certain trades count.
        let model = if day.counts_only_certain(row) { FillModel::Pessimistic } else { self.config.model };
        let opposite = side.opposite();
        let crossed = -day.best(opposite, row) <= key;
        let mut share = 1.0;
        if let Some((_, after)) = flight.cancelled {
            match queue::cancel_race(model, after, crossed) {
                CancelRace::Cancelled => return 0,
                CancelRace::Filled => {}
                CancelRace::Share(before) => share = before,
            }
        }
        let earlier: u32 = self.resting[..at].iter().filter(|o| o.side == side).map(|o| o.filled_now).sum();
        let see = |min: i64, max: i64| {
            let lots = queue::traded_by_model(model, min as f64, max as f64) * share;
            let lots = flight.arrived.map_or(lots, |after| queue::arrival_share(model, lots, after));
            (lots - f64::from(earlier)).max(0.0)
        };
        let range = day.traded_range(side, row, key);
        let mut traded_lots = see(range.min_lots, range.max_lots);
        let previous_best = day.best(side, row - 1);
        if key >= -day.best(opposite, row - 1) && !self.consumed.is_empty() {
            // Lots that own takers had before did not trade with others.
            traded_lots = (traded_lots - f64::from(self.used_up(day, opposite, key * side.sign(), row))).max(0.0);
        }
        let mut interval = RestInterval {
            crossed,
            depleted: false,
            level: LevelInterval { displayed_before_lots: None, displayed_after_lots: None, traded_lots },
            traded_through_lots: 0.0,
            opposite_displayed_lots: 0.0,
        };
        if crossed {
            let range = day.traded_through(side, row, key);
            interval.traded_through_lots = see(range.min_lots, range.max_lots);
            if share >= 0.5 {
                interval.opposite_displayed_lots = f64::from(self.opposite_displayed(day, row, side, key, remaining));
            }
        } else {
            interval.depleted = day.best(side, row) < key && key <= previous_best;
            let after = day.displayed(side, row, key).map(f64::from);
            interval.level.displayed_before_lots = day.displayed(side, row - 1, key).map(f64::from);
            interval.level.displayed_after_lots = after;
            if let (Some(left), Some(now)) = (flight.arrived, after) {
                queue_ahead = self.join_queue(model, queue_ahead, now, left, &mut interval.level);
            }
        }
        let step = queue::rest(model, queue_ahead, remaining, &interval, self.config.central_power);
        if crossed && step.filled_lots > 0 {
            let shown = f64::from(step.filled_lots) - interval.traded_through_lots.floor();
            self.take_displayed(day, row, side, key, shown.max(0.0) as u32);
        }
        let order = &mut self.resting[at];
        order.queue_ahead = step.queue_ahead_lots;
        if step.unseen && !order.unseen {
            self.warnings.unseen += 1;
        }
        order.unseen = step.unseen;
        step.filled_lots
    }

    /// The queue that an order finds which arrives with the share `left` of the interval to come.
    ///
    /// Pessimistic: all that is displayed at the end is ahead. Optimistic: it stood there from the start. Central: the
    /// display is taken to change evenly.
    fn join_queue(&self, model: FillModel, queue: f64, now: f64, left: f64, level: &mut LevelInterval) -> f64 {
        match model {
            FillModel::Pessimistic => {
                level.displayed_before_lots = Some(now);
                now
            }
            FillModel::Central if queue.is_finite() => {
                let joined = queue + (now - queue) * (1.0 - left);
                level.displayed_before_lots = Some(joined);
                joined
            }
            _ => queue,
        }
    }

    /// Lots that the opposite side displays at the key or better for us, own size apart; no more are counted than are
    /// `wanted`, since deeper levels lie apart.
    fn opposite_displayed(&mut self, day: &PreparedDay, row: usize, side: Side, key: i32, wanted: u32) -> u32 {
        let mut displayed = 0;
        for level in 0..day.depth() {
            if displayed >= wanted {
                break;
            }
            let Some((price, lots)) = day.level(side.opposite(), row, level) else { break };
            if price * side.sign() > key {
                break;
            }
            displayed += lots.saturating_sub(self.used_up(day, side.opposite(), price, row));
        }
        displayed
    }

    /// Uses up displayed lots that a crossed order got.
    fn take_displayed(&mut self, day: &PreparedDay, row: usize, side: Side, key: i32, lots: u32) {
        let mut left = lots;
        for level in 0..day.depth() {
            if left == 0 {
                return;
            }
            let Some((price, there)) = day.level(side.opposite(), row, level) else { return };
            if price * side.sign() > key {
                return;
            }
            let free = there.saturating_sub(self.used_up(day, side.opposite(), price, row));
            self.consumed.take(side.opposite(), price, row, free.min(left));
            left -= free.min(left);
        }
    }
}
