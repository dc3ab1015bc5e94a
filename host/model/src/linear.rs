//! Multinomial logistic regression: the scoring side.

use crate::ModelError;
use serde::{Deserialize, Serialize};

/// Class names in the order of labels and scores.
pub const CLASSES: [&str; 3] = ["down", "flat", "up"];

/// Scaler and coefficients of a multinomial logistic regression over three classes.
///
/// For a row x: v = x, or x minus its anchor for a price level; z = clamp((v − mean)/scale, ±clip_sigma), score =
/// softmax(Wᵀz + bias). One row at a time and any block give the same
/// bits, on every machine: the exponential is `libm`'s and the sums run in feature order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinearModel {
    /// Feature that is taken from each price level; `None` for a feature used as it is. A price level wanders, and a score that
    /// leans on it ranks rows by what the price did later.
    pub anchor: Vec<Option<usize>>,
    /// Mean of each value over the training rows, in the feature's unit.
    pub mean: Vec<f64>,
    /// Standard deviation of each feature over the training rows, 1 for one that does not vary.
    pub scale: Vec<f64>,
    /// Bound of a scaled value, in standard deviations.
    pub clip_sigma: f64,
    /// `weights[feature][class]`, per standard deviation.
    pub weights: Vec<[f64; 3]>,
    /// Intercept of each class.
    pub bias: [f64; 3],
}

impl LinearModel {
    /// Number of features.
    pub fn features(&self) -> usize {
        self.weights.len()
    }

    /// Scaled value of feature `k` of the row `x`; NaN for NaN.
    #[inline]
    pub fn scaled(&self, k: usize, x: impl Fn(usize) -> f64) -> f64 {
        let value = match self.anchor[k] {
            Some(anchor) => x(k) - x(anchor),
            None => x(k),
        };
        ((value - self.mean[k]) / self.scale[k]).clamp(-self.clip_sigma, self.clip_sigma)
    }

    /// Probabilities of down, flat and up for one row, `x(k)` its feature k; all NaN if any feature is NaN.
    #[inline]
    pub fn probabilities(&self, x: impl Fn(usize) -> f64) -> [f64; 3] {
        let mut z = self.bias;
        for (k, w) in self.weights.iter().enumerate() {
            let x = self.scaled(k, &x);
            for (z, w) in z.iter_mut().zip(w) {
                *z += x * w;
            }
        }
        softmax(z)
    }

    /// Names of the score columns for a horizon in rows: `score/down@50`, `score/flat@50`, `score/up@50`.
    pub fn score_names(horizon_rows: u32) -> [String; 3] {
        CLASSES.map(|class| format!("score/{class}@{horizon_rows}"))
    }

    /// Scores rows of columns: `columns[feature][row]` in the model's order, into `out[class][row]`, which is replaced.
    ///
    /// A row reads itself only. NaN in any feature gives NaN scores. No columns at all give no rows.
    ///
    /// # Errors
    /// [`ModelError::Shape`] if the columns or outputs are not those of the model.
    pub fn score_rows(&self, columns: &[&[f64]], out: &mut [Vec<f64>]) -> Result<(), ModelError> {
        let rows = columns.first().map_or(0, |c| c.len());
        if columns.len() != self.features() || columns.iter().any(|c| c.len() != rows) || out.len() != CLASSES.len() {
            let lengths: Vec<usize> = columns.iter().map(|c| c.len()).collect();
            return Err(ModelError::Shape {
                wanted: format!("{} columns of one length and {} outputs", self.features(), CLASSES.len()),
                given: format!("columns of {lengths:?} rows and {} outputs", out.len()),
            });
        }
        for o in out.iter_mut() {
            o.clear();
            o.reserve(rows);
        }
        #[expect(clippy::needless_range_loop, reason = "rows run across the columns")]
        for row in 0..rows {
            let p = self.probabilities(|k| columns[k][row]);
            for (o, p) in out.iter_mut().zip(p) {
                o.push(p);
            }
        }
        Ok(())
    }
}

/// Softmax of three logits; NaN in any gives NaN in all, in canonical form.
#[inline]
fn softmax(z: [f64; 3]) -> [f64; 3] {
    if z.iter().any(|z| z.is_nan()) {
        return [f64::NAN; 3];
    }
    let top = z[0].max(z[1]).max(z[2]);
    let e = z.map(|z| libm::exp(z - top));
    let sum = e[0] + e[1] + e[2];
    e.map(|e| e / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> LinearModel {
        LinearModel {
            anchor: vec![None; 2],
            mean: vec![1.0, 0.0],
            scale: vec![2.0, 1.0],
            clip_sigma: 10.0,
            weights: vec![[0.5, 0.0, -0.5], [-1.0, 0.0, 1.0]],
            bias: [0.0, 0.25, 0.0],
        }
    }

    #[test]
    fn blocks_and_rows_agree_and_nan_stays_in_its_row() {
        let m = model();
        let a: Vec<f64> = (0..100).map(|i| f64::from(i) * 0.37 - 9.0).collect();
        let mut b: Vec<f64> = (0..100).map(|i| f64::from(i % 7) - 3.0).collect();
        b[41] = f64::NAN;
        let mut whole = vec![Vec::new(); 3];
        m.score_rows(&[&a, &b], &mut whole).unwrap();
        let mut part = vec![Vec::new(); 3];
        for row in 0..100 {
            m.score_rows(&[&a[row..=row], &b[row..=row]], &mut part).unwrap();
            for k in 0..3 {
                assert_eq!(part[k][0].to_bits(), whole[k][row].to_bits());
            }
            let sum: f64 = (0..3).map(|k| whole[k][row]).sum();
            assert_eq!(sum.is_nan(), row == 41);
            assert!(row == 41 || (sum - 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn score_is_the_formula() {
        // z = (0.5, 2): logits −1.75, 0.25, 1.75.
        let p = model().probabilities(|_| 2.0);
        let e = [(-1.75f64).exp(), 0.25f64.exp(), 1.75f64.exp()];
        for k in 0..3 {
            assert!((p[k] - e[k] / e.iter().sum::<f64>()).abs() < 1e-15);
        }
        let at = |row: [f64; 2]| model().probabilities(|k| row[k]);
        assert_eq!(at([1.0, 1e9]), at([1.0, 10.0]));
        let anchored = LinearModel { anchor: vec![Some(1), None], ..model() };
        assert_eq!(anchored.probabilities(|k| [4.0, 2.0][k]), at([2.0, 2.0]));
    }

    #[test]
    fn wrong_shapes_are_refused() {
        let mut out = vec![Vec::new(); 3];
        assert_eq!(model().score_rows(&[&[1.0]], &mut out).unwrap_err().code(), "model_shape_mismatch");
        assert!(model().score_rows(&[&[1.0], &[]], &mut out).is_err());
        assert!(model().score_rows(&[&[1.0], &[1.0]], &mut out[..2]).is_err());
    }
}
