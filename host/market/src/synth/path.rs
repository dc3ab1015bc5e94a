//! When rows come and where the mid price goes: cheap enough to be walked twice, once for the closing prices alone.

use super::rng::{Geometric, Rng};
use ghtrader_core::SessionWindow;

/// Levels of the hidden state, lowest (prices tend to fall) to highest.
pub(super) const LEVELS: usize = 7;

/// Chance per row, in 1/2²⁴, that the hidden level hops up, and the same for down: 0.04. Its memory is about 125 rows.
const HOP: u64 = 671_089;

const LONGEST_WAIT_SLOTS: u32 = 10;
const HALF_SECOND_NS: i64 = 500_000_000;

/// The mid price as a walk of one tick up or down in a fixed share of rows.
///
/// Whether it moves never depends on anything. Without a signal the direction does not either, so the price is a
/// martingale of constant volatility in row time. With signal x the direction is UP with probability (1 + x·h)/2,
/// h = −1, −2/3, …, 1 being the hidden level, itself a reflected walk.
#[derive(Debug, Clone)]
pub(super) struct MovePath {
    rng: Rng,
    /// Moves if 16 random bits are below.
    move_below: u64,
    /// Up if 24 random bits are below, by level.
    up_below: [u64; LEVELS],
    level: usize,
}

impl MovePath {
    /// The law alone: moves in `move_permyriad` of 10,000 rows, signal within 0..=1.
    pub(super) fn law(move_permyriad: u64, signal: f64) -> Self {
        let half = (LEVELS / 2) as f64;
        let tilt = |level: usize| signal * (level as f64 - half) / half;
        Self {
            rng: Rng::named(0, &["law"]),
            move_below: (move_permyriad << 16) / 10_000,
            up_below: std::array::from_fn(|level| ((1.0 + tilt(level)) * f64::from(1 << 23)) as u64),
            level: LEVELS / 2,
        }
    }

    /// The same law walked by a stream of its own, from a random level.
    pub(super) fn start(&self, mut rng: Rng) -> Self {
        let level = (rng.next() % LEVELS as u64) as usize;
        Self { rng, level, ..self.clone() }
    }

    pub(super) fn move_probability(&self) -> f64 {
        self.move_below as f64 / f64::from(1 << 16)
    }

    pub(super) fn up_probability(&self, level: usize) -> f64 {
        self.up_below[level] as f64 / f64::from(1 << 24)
    }

    pub(super) fn hop_probability(&self) -> f64 {
        HOP as f64 / f64::from(1 << 24)
    }

    /// The hidden level of the row reached last.
    #[inline]
    pub(super) fn level(&self) -> usize {
        self.level
    }

    /// Goes on by one row: the change of the mid price in ticks, drawn by the level before.
    #[inline]
    pub(super) fn step(&mut self) -> i64 {
        let r = self.rng.next();
        let moves = i64::from(r & 0xFFFF < self.move_below);
        let up = i64::from(r >> 16 & 0xFF_FFFF < self.up_below[self.level]);
        let hop = r >> 40;
        if hop < HOP {
            self.level = self.level.saturating_sub(1);
        } else if hop < 2 * HOP {
            self.level = (self.level + 1).min(LEVELS - 1);
        }
        moves * (2 * up - 1)
    }
}

/// When a contract's rows come: on a half-second grid, each half second with the same chance.
#[derive(Debug, Clone)]
pub(super) struct RowClock {
    rng: Rng,
    steps: Box<Geometric<4096>>,
}

impl RowClock {
    /// About `rows` rows in a day of `slots` half seconds. Where the rows are enough for it, none waits longer than the
    /// 5 s beyond which a silence counts as a gap.
    pub(super) fn new(rng: Rng, rows: u64, slots: u64) -> Self {
        Self { rng, steps: Box::new(Geometric::at_most(LONGEST_WAIT_SLOTS, rows.clamp(1, slots), slots)) }
    }

    /// Calls `row` with the time of every row of a window, the opening one (start + 0.5 s) and the closing snapshot
    /// (end + 0.5 s) included; `true` marks the closing one.
    #[inline]
    pub(super) fn each_row(&mut self, window: &SessionWindow, mut row: impl FnMut(i64, bool)) {
        let mut t = window.start_ns + HALF_SECOND_NS;
        while t < window.end_ns {
            row(t, false);
            let r = self.rng.next();
            // Now and then the feed is silent for 6 to 25 seconds.
            let silent = r & 0x1FFF == 0;
            let slots = if silent { 12 + (r >> 32) % 39 } else { u64::from(self.steps.draw(r >> 32)) };
            t += slots as i64 * HALF_SECOND_NS;
        }
        row(window.end_ns + HALF_SECOND_NS, true);
    }
}
