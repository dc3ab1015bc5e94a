//! One fit: rows, scaler, logistic regression.

use crate::newton::{self, Problem as NewtonProblem};
use crate::{Settings, TrainError, TrainingSet};
use ghtrader_model::LinearModel;
use linfa::prelude::Fit as _;
use linfa_logistic::MultiLogisticRegression;
use ndarray::{Array1, Array2, ArrayView2};
use std::ops::Range;

const CLASSES: usize = ghtrader_model::CLASSES.len();
/// Where the library may stop: gradient norm per row. Newton's steps go on from there.
const LIBRARY_TOLERANCE: f64 = 1e-4;
/// Coefficients are multiples of 2⁻²⁰, a millionth of a standard deviation's effect and far below their own error. The optimum is
/// reached to about 1e-11, so machines whose last bits differ on the way still write the same model.
const COEFFICIENT_GRID: f64 = (1u64 << 20) as f64;
/// Bias of a class that no training row has: its probability is 0 to the last digit and its logarithm finite.
const ABSENT_CLASS_BIAS: f64 = -50.0;

/// A fitted model with what it was fitted on.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The model.
    pub model: LinearModel,
    /// Rows fitted on.
    pub rows: usize,
    /// Rows of the part that had a label and no NaN, before thinning.
    pub usable_rows: usize,
    /// Share of each class among the rows fitted on.
    pub prior: [f64; CLASSES],
}

/// Fits on the rows of a range and reads no other row.
///
/// Rows without label or with a feature that is not finite are left out; what is left is thinned to `max_train_rows` by an even
/// stride. The scaler is fitted on the same rows. L-BFGS of `linfa-logistic` minimises Σ loss + ½·α·‖W‖² with α = 1/C; Newton's
/// method then takes its answer to the optimum, since L-BFGS alone stops early along features that nearly repeat each other.
///
/// # Errors
/// [`TrainError::TooFewRows`] for fewer than two classes, [`TrainError::Fit`] and [`TrainError::NotConverged`].
pub fn fit(set: &TrainingSet, part: Range<usize>, settings: &Settings) -> Result<Fitted, TrainError> {
    let usable: Vec<usize> =
        part.clone().filter(|&i| !set.label[i].is_nan() && set.columns.iter().all(|c| c[i].is_finite())).collect();
    let n = usable.len().min(settings.max_train_rows);
    let rows: Vec<usize> = (0..n).map(|i| usable[i * usable.len() / n]).collect();
    let labels: Vec<usize> = rows.iter().filter_map(|&i| set.class(i)).collect();
    let mut counts = [0usize; CLASSES];
    labels.iter().for_each(|y| counts[*y] += 1);
    let classes: Vec<usize> = (0..CLASSES).filter(|k| counts[*k] > 0).collect();
    if classes.len() < 2 {
        let (start, end) = (part.start, part.end);
        return Err(TrainError::TooFewRows { start, end, usable: usable.len(), classes: classes.len() });
    }
    let anchor = anchors(set, settings);
    let (mean, scale): (Vec<f64>, Vec<f64>) = set
        .columns
        .iter()
        .zip(&anchor)
        .map(|(c, anchor)| scaler(&rows, |i| anchor.map_or(c[i], |a| c[i] - set.columns[a][i])))
        .unzip();
    let mut model = LinearModel {
        anchor,
        mean,
        scale,
        clip_sigma: settings.clip_sigma,
        weights: vec![[0.0; CLASSES]; set.columns.len()],
        bias: [0.0; CLASSES],
    };
    let x = Array2::from_shape_fn((n, set.columns.len()), |(i, k)| model.scaled(k, |k| set.columns[k][rows[i]]));
    // Classes as 0, 1, … without the absent ones.
    let y: Vec<usize> = labels.iter().map(|y| classes.iter().take_while(|k| *k < y).count()).collect();
    let start = library_fit(x.view(), &y, settings, &part)?;
    let problem =
        NewtonProblem { x: x.as_slice().unwrap_or_default(), y: &y, classes: classes.len(), ridge: 1.0 / settings.c };
    let best = newton::minimise(&problem, start).map_err(|(gradient, bound)| TrainError::NotConverged {
        start: part.start,
        end: part.end,
        gradient,
        bound,
    })?;
    model.bias = [ABSENT_CLASS_BIAS; CLASSES];
    let grid = |v: f64| (v * COEFFICIENT_GRID).round() / COEFFICIENT_GRID + 0.0; // −0 becomes 0
    for (position, &class) in classes.iter().enumerate() {
        for (k, weights) in model.weights.iter_mut().enumerate() {
            weights[class] = grid(best[k * classes.len() + position]);
        }
        model.bias[class] = grid(best[set.columns.len() * classes.len() + position]);
    }
    Ok(Fitted { model, rows: n, usable_rows: usable.len(), prior: counts.map(|c| c as f64 / n as f64) })
}

/// Anchor of each feature of a set: the settings' anchor for the price levels and for itself, if the set has it.
pub(crate) fn anchors(set: &TrainingSet, settings: &Settings) -> Vec<Option<usize>> {
    let names: Vec<&String> = set.source.features.iter().map(|f| &f.name).collect();
    let anchor = settings.anchor.as_ref().and_then(|a| names.iter().position(|n| *n == a));
    (0..names.len()).map(|k| anchor.filter(|a| *a == k || settings.price_levels.contains(names[k]))).collect()
}

/// Mean and population standard deviation of values over rows; the deviation is 1 if there is none.
fn scaler(rows: &[usize], value: impl Fn(usize) -> f64) -> (f64, f64) {
    let n = rows.len() as f64;
    let mean = rows.iter().map(|&i| value(i)).sum::<f64>() / n;
    let std = (rows.iter().map(|&i| (value(i) - mean).powi(2)).sum::<f64>() / n).sqrt();
    // The deviation of a constant column is the rounding of its mean.
    if std > mean.abs() * 1e-9 && std.is_finite() { (mean, std) } else { (mean, 1.0) }
}

/// The library's answer: `(features + 1) × classes` in rows, the intercepts last.
fn library_fit(
    x: ArrayView2<'_, f64>,
    y: &[usize],
    settings: &Settings,
    part: &Range<usize>,
) -> Result<Vec<f64>, TrainError> {
    let n = y.len();
    let fitted = MultiLogisticRegression::default()
        .alpha(1.0 / settings.c)
        .max_iterations(settings.max_iterations)
        .gradient_tolerance(LIBRARY_TOLERANCE * n as f64)
        .fit(&linfa::DatasetBase::new(x, Array1::from(y.to_vec())))
        .map_err(|e| TrainError::Fit { start: part.start, end: part.end, reason: e.to_string() })?;
    Ok(fitted.params().iter().chain(fitted.intercept()).copied().collect())
}
