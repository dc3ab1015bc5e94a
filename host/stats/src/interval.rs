//! Confidence intervals of measures over dependent rows, from sums over clusters of rows.

use crate::student_t_quantile;
use serde::{Deserialize, Serialize};

/// A measure with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The measure over all rows.
    pub value: f64,
    /// Lower end; `None` when there are fewer than two clusters.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

impl Interval {
    /// Whether a value lies inside, ends included; `false` without an interval.
    pub fn covers(&self, value: f64) -> bool {
        matches!((self.low, self.high), (Some(low), Some(high)) if low <= value && value <= high)
    }

    fn around(value: f64, half_width: f64) -> Self {
        let ends = half_width.is_finite();
        Self { value, low: ends.then_some(value - half_width), high: ends.then_some(value + half_width) }
    }
}

/// Interval of Σ`sums`/Σ`weights` over clusters: Student's t with one degree less than clusters that have weight.
///
/// The error of the ratio is linearised, r_c = sum_c − ratio·weight_c, and its variance taken between clusters:
/// C/(C − 1)·Σr²/(Σweights)². Rows may depend on each other in any way inside a cluster. Source: Cochran 1977, section 6.
pub fn ratio_interval(sums: &[f64], weights: &[f64], level: f64) -> Interval {
    let total: f64 = weights.iter().sum();
    let ratio = sums.iter().sum::<f64>() / total;
    let clusters = weights.iter().filter(|w| **w > 0.0).count();
    if clusters < 2 {
        return Interval { value: ratio, low: None, high: None };
    }
    let squares: f64 = sums.iter().zip(weights).map(|(s, w)| (s - ratio * w).powi(2)).sum();
    let se = (squares * clusters as f64 / (clusters - 1) as f64).sqrt() / total;
    Interval::around(ratio, se * student_t_quantile(0.5 + level / 2.0, clusters - 1))
}

/// Interval of any measure that can be computed without one cluster, by the delete-one-cluster jackknife and Student's t.
///
/// `value` over all clusters, `without[c]` over all but c. Source: Tukey 1958; Efron, Stein 1981.
pub fn statistic_interval(value: f64, without: &[f64], level: f64) -> Interval {
    let without: Vec<f64> = without.iter().copied().filter(|v| v.is_finite()).collect();
    let clusters = without.len();
    if clusters < 2 {
        return Interval { value, low: None, high: None };
    }
    let centre = crate::mean(&without);
    let variance = without.iter().map(|v| (v - centre).powi(2)).sum::<f64>() * (clusters - 1) as f64 / clusters as f64;
    Interval::around(value, variance.sqrt() * student_t_quantile(0.5 + level / 2.0, clusters - 1))
}
