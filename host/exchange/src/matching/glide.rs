//! Rows on which nothing happens to the resting orders but that their queues move.
//!
//! Most rows of most days are such: the best prices stand, two prices traded, nobody is filled. They are taken over in a
//! tight loop over the few columns that it needs; what it does is what [`Matching::step`] would do, row by row.

use super::{Matching, Resting};
use crate::FillModel;
use crate::prepared::{PreparedDay, flag};
use crate::queue::{self, LevelInterval};

/// One resting order, alone on its side.
struct Lane<'a> {
    key: i32,
    remaining: u32,
    queue_ahead: f64,
    price: &'a [i32],
    lots: &'a [i32],
    traded: &'a [i32],
    opposite: &'a [i32],
}

impl<'a> Lane<'a> {
    fn of(day: &'a PreparedDay, order: &Resting) -> Self {
        let [price, lots, traded] = day.best_columns(order.side);
        let [opposite, ..] = day.best_columns(order.side.opposite());
        let Resting { key, remaining, queue_ahead, .. } = *order;
        Self { key, remaining, queue_ahead, price, lots, traded, opposite }
    }

    /// The queue after a row at which the order's price was its side's best, before and after, and it is not filled; `None`
    /// for any other row.
    #[inline(always)]
    fn quiet(&self, row: usize, model: FillModel, central_power: f64) -> Option<f64> {
        if self.price[row] != self.key || self.price[row - 1] != self.key {
            return None;
        }
        let level = LevelInterval {
            displayed_before_lots: Some(f64::from(self.lots[row - 1])),
            displayed_after_lots: Some(f64::from(self.lots[row])),
            traded_lots: f64::from(self.traded[row]),
        };
        let step = queue::advance_queue(model, self.queue_ahead, self.remaining, level, central_power);
        (step.filled_lots == 0).then_some(step.queue_ahead_lots)
    }

    /// Whether a model without a queue fills it on this row.
    #[inline(always)]
    fn reached(&self, row: usize, model: FillModel) -> bool {
        let crossed = -self.opposite[row] <= self.key;
        queue::cross_or_touch(model, crossed, self.price[row - 1] == self.key, self.traded[row])
    }
}

impl Matching {
    /// Takes the rows from `from` on over which nothing happens; gives the first that needs [`Matching::step`], or `to`.
    pub(super) fn glide(&mut self, day: &PreparedDay, from: usize, to: usize) -> usize {
        if from == 0 || !self.messages.is_empty() || !self.flights.is_empty() {
            return from;
        }
        match self.resting.as_slice() {
            [only] if !only.unseen => {
                let mut lanes = [Lane::of(day, only)];
                self.glide_lanes(day, &mut lanes, from, to)
            }
            [bid, ask] if bid.side != ask.side && !bid.unseen && !ask.unseen => {
                let mut lanes = [Lane::of(day, bid), Lane::of(day, ask)];
                self.glide_lanes(day, &mut lanes, from, to)
            }
            _ => from,
        }
    }

    fn glide_lanes<const N: usize>(
        &mut self,
        day: &PreparedDay,
        lanes: &mut [Lane<'_>; N],
        from: usize,
        to: usize,
    ) -> usize {
        let (model, power) = (self.config.model, self.config.central_power);
        let flags = day.flags();
        if !self.has_queue() {
            return (from..to)
                .find(|&row| flags[row] & flag::MATCH != 0 && lanes.iter().any(|lane| lane.reached(row, model)))
                .unwrap_or(to);
        }
        let mut row = from;
        'rows: while row < to {
            if flags[row] & flag::MATCH != 0 {
                // Whatever else is known of a row makes it one to look at.
                if flags[row] & !(flag::BOOK | flag::MATCH) != 0 {
                    break;
                }
                let mut queues = [0.0; N];
                for (queue, lane) in queues.iter_mut().zip(lanes.iter()) {
                    match lane.quiet(row, model, power) {
                        Some(ahead) => *queue = ahead,
                        None => break 'rows,
                    }
                }
                for (lane, queue) in lanes.iter_mut().zip(queues) {
                    lane.queue_ahead = queue;
                }
            }
            row += 1;
        }
        for (order, lane) in self.resting.iter_mut().zip(lanes.iter()) {
            order.queue_ahead = lane.queue_ahead;
        }
        row
    }
}
