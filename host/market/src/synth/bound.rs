//! What the best predictor can reach: exact, from the law that the prices are drawn from.

use super::path::{LEVELS, MovePath};
use serde::Serialize;

/// The best that any predictor of the direction of the mid price over a number of rows can reach in expectation.
///
/// The direction is that of the label `direction_N` with a threshold of one tick: UP, FLAT, DOWN. Computed exactly from
/// the joint law of hidden level and price change for a predictor that knows the hidden level of each row; what is
/// visible in a row tells at most that. AUC = probability that a row of the class scores higher than one outside it,
/// ties counted half.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SignalBound {
    /// How far ahead, in rows.
    pub horizon_rows: u32,
    /// AUC of UP against the rest; 0.5 without a signal.
    pub auc_up: f64,
    /// AUC of UP against DOWN, rows without a change left out; 0.5 without a signal.
    pub auc_up_vs_down: f64,
    /// Share of rows that are UP, equal to the share that are DOWN.
    pub share_up: f64,
    /// Share of rows that are FLAT.
    pub share_flat: f64,
}

impl SignalBound {
    /// The bound for a horizon under the law of `path`.
    pub(super) fn compute(path: &MovePath, horizon_rows: u32) -> Self {
        let by_level: Vec<[f64; 3]> = (0..LEVELS).map(|level| classes(path, level, horizon_rows as usize)).collect();
        // In the long run every level is equally frequent, so plain sums over levels are the class weights.
        let (mut up, mut down, mut flat) = (0.0, 0.0, 0.0);
        for [d, f, u] in &by_level {
            (up, down, flat) = (up + u, down + d, flat + f);
        }
        let auc = |rest: &dyn Fn(&[f64; 3]) -> f64, weight: f64| {
            let mut wins = 0.0;
            for (i, a) in by_level.iter().enumerate() {
                for (j, b) in by_level.iter().enumerate() {
                    let win = if i > j {
                        1.0
                    } else if i == j {
                        0.5
                    } else {
                        0.0
                    };
                    wins += win * a[2] * rest(b);
                }
            }
            wins / (up * weight)
        };
        Self {
            horizon_rows,
            auc_up: auc(&|b| b[0] + b[1], down + flat),
            auc_up_vs_down: auc(&|b| b[0], down),
            share_up: up / LEVELS as f64,
            share_flat: flat / LEVELS as f64,
        }
    }
}

/// Probabilities of DOWN, FLAT and UP after `horizon` rows, from a row at `start`.
fn classes(path: &MovePath, start: usize, horizon: usize) -> [f64; 3] {
    // mass[level][horizon + change in ticks]; the walk moves one tick a row at most.
    let width = 2 * horizon + 1;
    let mut mass = vec![vec![0.0; width]; LEVELS];
    mass[start][horizon] = 1.0;
    let moves = path.move_probability();
    let hop = path.hop_probability();
    for step in 0..horizon {
        let mut next = vec![vec![0.0; width]; LEVELS];
        for (level, row) in mass.iter().enumerate() {
            let up = moves * path.up_probability(level);
            let down = moves - up;
            let below = level.saturating_sub(1);
            let above = (level + 1).min(LEVELS - 1);
            for (i, m) in row.iter().enumerate().take(horizon + step + 1).skip(horizon - step) {
                for (to, p) in [(i + 1, m * up), (i - 1, m * down), (i, m * (1.0 - moves))] {
                    next[below][to] += p * hop;
                    next[above][to] += p * hop;
                    next[level][to] += p * (1.0 - 2.0 * hop);
                }
            }
        }
        mass = next;
    }
    let sum = |range: std::ops::Range<usize>| mass.iter().flat_map(|row| &row[range.clone()]).sum::<f64>();
    [sum(0..horizon), sum(horizon..horizon + 1), sum(horizon + 1..width)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_signal_is_a_coin() {
        for horizon in [10, 50, 200] {
            let b = SignalBound::compute(&MovePath::law(300, 0.0), horizon);
            assert!((b.auc_up - 0.5).abs() < 1e-9 && (b.auc_up_vs_down - 0.5).abs() < 1e-9, "{b:?}");
            assert!((2.0 * b.share_up + b.share_flat - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn more_signal_more_reach() {
        let at = |x| SignalBound::compute(&MovePath::law(300, x), 50);
        let (weak, strong) = (at(0.2), at(0.8));
        assert!(0.5 < weak.auc_up && weak.auc_up < strong.auc_up && strong.auc_up < 1.0);
        assert!(strong.auc_up < strong.auc_up_vs_down);
    }

    /// One row ahead the law can be written down: P(UP | level) = moves · up(level).
    #[test]
    fn one_row_ahead_by_hand() {
        let path = MovePath::law(300, 1.0);
        let b = SignalBound::compute(&path, 1);
        let p = path.move_probability();
        let (mut wins, mut weight) = (0.0, 0.0);
        for i in 0..LEVELS {
            for j in 0..LEVELS {
                let (up, rest) = (p * path.up_probability(i), 1.0 - p * path.up_probability(j));
                wins += up
                    * rest
                    * if i > j {
                        1.0
                    } else if i == j {
                        0.5
                    } else {
                        0.0
                    };
                weight += up * rest;
            }
        }
        assert!((b.auc_up - wins / weight).abs() < 1e-12);
    }
}
