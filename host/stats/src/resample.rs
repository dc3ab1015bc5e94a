//! Resampling of dependent series.

use crate::{Rng, mean, sample_std};
use serde::{Deserialize, Serialize};

/// Indexes of one stationary bootstrap resample from given random draws.
///
/// index₀ = starts₀; then a new block at startsₜ when uₜ < 1/`mean_block_length`, else the next index modulo `n`. The result has
/// the length of the shorter of `starts` and `u`. Source: Politis, Romano 1994.
pub fn stationary_bootstrap_index(n: usize, mean_block_length: f64, starts: &[usize], u: &[f64]) -> Vec<usize> {
    let p = 1.0 / mean_block_length;
    let mut out: Vec<usize> = Vec::with_capacity(starts.len().min(u.len()));
    for (&start, &u) in starts.iter().zip(u) {
        out.push(match out.last() {
            Some(&last) if u >= p => (last + 1) % n.max(1),
            _ => start,
        });
    }
    out
}

/// Draws one stationary bootstrap resample of `n` indexes.
pub fn stationary_bootstrap_draw(n: usize, mean_block_length: f64, rng: &mut Rng) -> Vec<usize> {
    let (starts, u): (Vec<usize>, Vec<f64>) = (0..n).map(|_| (rng.below(n), rng.uniform())).unzip();
    stationary_bootstrap_index(n, mean_block_length, &starts, &u)
}

/// Quantile of ascending values by linear interpolation (type 7 of Hyndman, Fan 1996); NaN for no values.
pub fn quantile(ascending: &[f64], p: f64) -> f64 {
    let Some(last) = ascending.len().checked_sub(1) else { return f64::NAN };
    let h = p.clamp(0.0, 1.0) * last as f64;
    let low = (h.floor() as usize).min(last);
    let high = (low + 1).min(last);
    ascending[low] + (h - low as f64) * (ascending[high] - ascending[low])
}

/// Mean of paired daily differences with a bootstrap interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// Mean of b − a, CNY a day.
    pub mean_cny: f64,
    /// Sample standard deviation of b − a; `None` for fewer than two days.
    pub std_cny: Option<f64>,
    /// Lower end of the interval of the mean.
    pub low_cny: f64,
    /// Upper end of the interval of the mean.
    pub high_cny: f64,
}

/// Paired difference b − a by day, with the interval from the resamples' means at (1 ∓ `level`)/2.
///
/// `resample_indexes` are lists of days, each for one resample (see [`stationary_bootstrap_draw`]).
/// `None` for unequal lengths, no days, an index out of range, or an empty resample.
pub fn paired_difference(
    pnl_a_cny: &[f64],
    pnl_b_cny: &[f64],
    resample_indexes: &[Vec<usize>],
    level: f64,
) -> Option<PairedDifference> {
    if pnl_a_cny.len() != pnl_b_cny.len() || pnl_a_cny.is_empty() || resample_indexes.is_empty() {
        return None;
    }
    let difference: Vec<f64> = pnl_a_cny.iter().zip(pnl_b_cny).map(|(a, b)| b - a).collect();
    let mut means = resample_indexes
        .iter()
        .map(|indexes| {
            let sum = indexes.iter().map(|i| difference.get(*i)).sum::<Option<f64>>()?;
            (!indexes.is_empty()).then(|| sum / indexes.len() as f64)
        })
        .collect::<Option<Vec<f64>>>()?;
    means.sort_by(f64::total_cmp);
    Some(PairedDifference {
        mean_cny: mean(&difference),
        std_cny: sample_std(&difference),
        low_cny: quantile(&means, (1.0 - level) / 2.0),
        high_cny: quantile(&means, (1.0 + level) / 2.0),
    })
}
