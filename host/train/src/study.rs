//! The honesty check: does the interval cover chance when there is nothing to learn, and does the AUC reach the bound when there is?

use crate::{Settings, TrainError, TrainingSet, walk_forward};
use ghtrader_stats::Interval;
use serde::Serialize;

/// One seed of a study.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeedReport {
    /// The seed.
    pub seed: u64,
    /// Up against down over all out-of-sample rows.
    pub auc_up_down: Interval,
    /// Best AUC that any score can reach on this market, where it is known.
    pub bound: Option<f64>,
    /// Whether the interval covers ½.
    pub covers_half: bool,
    /// Rows judged.
    pub rows: usize,
    /// Clusters behind the interval.
    pub clusters: usize,
}

/// A study over seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudyReport {
    /// Seed by seed.
    pub seeds: Vec<SeedReport>,
    /// Seeds whose interval covers ½.
    pub covered: usize,
    /// Mean AUC over seeds.
    pub mean_auc: f64,
    /// Mean bound over seeds, where all are known.
    pub mean_bound: Option<f64>,
}

/// Runs a walk-forward on the set of each seed. `make_set` gives the set and the best reachable AUC, if known.
///
/// # Errors
/// Whatever `make_set` or [`walk_forward`] fails with.
pub fn study<E: From<TrainError>>(
    seeds: impl IntoIterator<Item = u64>,
    settings: &Settings,
    mut make_set: impl FnMut(u64) -> Result<(TrainingSet, Option<f64>), E>,
) -> Result<StudyReport, E> {
    let seeds = seeds
        .into_iter()
        .map(|seed| {
            let (set, bound) = make_set(seed)?;
            let pooled = walk_forward(&set, settings)?.pooled;
            Ok(SeedReport {
                seed,
                auc_up_down: pooled.auc_up_down,
                bound,
                covers_half: pooled.auc_up_down.covers(0.5),
                rows: pooled.rows,
                clusters: pooled.clusters,
            })
        })
        .collect::<Result<Vec<_>, E>>()?;
    let aucs: Vec<f64> = seeds.iter().map(|s| s.auc_up_down.value).collect();
    let bounds: Option<Vec<f64>> = seeds.iter().map(|s| s.bound).collect();
    Ok(StudyReport {
        covered: seeds.iter().filter(|s| s.covers_half).count(),
        mean_auc: ghtrader_stats::mean(&aucs),
        mean_bound: bounds.filter(|b| !b.is_empty()).map(|b| ghtrader_stats::mean(&b)),
        seeds,
    })
}
