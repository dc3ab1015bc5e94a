//! The prove phase: behind a swap every channel has to be seen alive.

use crate::mail::Channels;
use crate::seat::Seated;
use ghtrader_backtest::OrderEnd;

/// An order without an answer for longer than this is not under way any more, market time.
const ANSWER_DUE_NS: i64 = 10_000_000_000;

/// What was seen so far.
pub(super) struct Proof {
    generation: u64,
    ticks_left: u64,
    /// Ticks more for outputs that say nothing yet: a border that fell into the phase began their warm-up anew.
    warmup_left: u64,
    ticks: u64,
    targets: u64,
    orders_before: u64,
    /// Outputs that were a number at least once.
    alive: Vec<bool>,
    /// Those of them that are features.
    features: usize,
}

impl Proof {
    pub(super) fn new(active: &Seated, generation: u64, ticks: u64) -> Self {
        let lineup = active.mind.lineup.as_ref();
        let names = lineup.map(|l| l.names()).unwrap_or_default();
        Self {
            generation,
            ticks_left: ticks,
            warmup_left: lineup.map_or(0, |l| l.warmup_rows() as u64),
            ticks: 0,
            targets: 0,
            orders_before: active.engine.record().orders_before + active.engine.record().orders.len() as u64,
            alive: vec![false; names.len()],
            features: names.iter().filter(|n| n.starts_with("feature/")).count(),
        }
    }

    /// Takes in a tick that the active lineup has answered; true when the phase is over.
    pub(super) fn tick(&mut self, active: &Seated) -> bool {
        self.ticks += 1;
        if let Some(lineup) = &active.mind.lineup {
            self.alive.iter_mut().zip(lineup.outputs()).for_each(|(alive, v)| *alive |= !v.is_nan());
            self.targets += u64::from(active.mind.tally.errors_in_row == 0);
        }
        if self.ticks_left > 1 {
            self.ticks_left -= 1;
            return false;
        }
        let is_over = self.warmup_left == 0 || self.alive.iter().all(|alive| *alive);
        self.warmup_left = self.warmup_left.saturating_sub(1);
        is_over
    }

    pub(super) fn channels(&self, active: &Seated, now_ns: i64) -> Channels {
        let count = |part: &[bool]| (part.iter().filter(|alive| **alive).count(), part.len());
        let (features, scores) = self.alive.split_at(self.features);
        let record = active.engine.record();
        let due = (self.orders_before.max(record.orders_before) + 1..)
            .map_while(|id| record.order(id))
            .filter(|o| o.generation == self.generation && now_ns - o.decided_ts_ns > ANSWER_DUE_NS);
        let (mut answered, mut sent) = (0, 0);
        for order in due {
            sent += 1;
            answered += u64::from(order.accepted || order.end != OrderEnd::Open);
        }
        Channels {
            ticks: self.ticks,
            features: count(features),
            scores: count(scores),
            targets: self.targets,
            acknowledgements: (answered, sent),
        }
    }
}
