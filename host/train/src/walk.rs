//! Walk-forward: fit on the past, judge on the days behind it, again and again; then one model on everything for use.

use crate::evaluate::Judged;
use crate::{
    Evaluation, Fitted, Fold, Purge, Settings, Split, TrainError, TrainingSet, evaluate, fit, purge_borders,
    snap_to_days, walk_forward_borders, walk_forward_days,
};
use ghtrader_core::{FeatureColumn, TradingDay};
use ghtrader_model::{
    Artefact, FoldMetrics, LinearModel, ModelManifest, NullPolicy, ScalerKind, ScalerRecord, TrainingRecord,
};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// One fold: its parts, its model and how the model did on the test part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoldReport {
    /// Parts in rows.
    #[serde(flatten)]
    pub fold: Fold,
    /// First trading day fitted on.
    pub train_first_day: TradingDay,
    /// Last trading day fitted on.
    pub train_last_day: TradingDay,
    /// Rows fitted on.
    pub fitted_rows: usize,
    /// Rows of the training part with label and without NaN, before thinning.
    pub usable_rows: usize,
    /// Class shares among the rows fitted on: down, flat, up.
    pub prior: [f64; 3],
    /// Figures on the test part.
    pub test: Evaluation,
    /// The fold's model.
    #[serde(skip)]
    pub model: LinearModel,
}

/// Result of [`walk_forward`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WalkForward {
    /// Folds in time order.
    pub folds: Vec<FoldReport>,
    /// Figures over all out-of-sample rows together.
    pub pooled: Evaluation,
    /// Per row of the set down, flat, up from a model that saw neither the row nor anything later, NaN where no fold tests the row or
    /// a feature is NaN. A row in two test parts has the score of the later fold.
    #[serde(skip)]
    pub out_of_sample_scores: Vec<[f64; 3]>,
    /// Model fitted on all rows before the holdout, for days to come.
    #[serde(skip)]
    pub final_model: Fitted,
    /// Rows the final model was fitted on lie in this range.
    pub final_train: Range<usize>,
}

/// Parts of each fold of a set.
///
/// # Errors
/// [`TrainError`] for a bad set or setting, or when no fold is left.
pub fn folds(set: &TrainingSet, settings: &Settings) -> Result<Vec<Fold>, TrainError> {
    settings.check()?;
    set.check()?;
    let mut starts = set.day_starts();
    let rows = if settings.holdout_days == 0 {
        set.rows()
    } else {
        starts.len().checked_sub(settings.holdout_days).map_or(0, |d| starts[d])
    };
    starts.retain(|s| *s < rows);
    let horizon_rows = set.source.horizon_rows as usize;
    let mut purge =
        Purge { horizon_rows, gap_rows: settings.gap_rows, min_train_rows: settings.min_train_rows, train_rows: None };
    let (folds, wanted) = match settings.split {
        Split::Rows { splits, train_rows, inside_days } => {
            let borders = walk_forward_borders(rows, splits, 0);
            purge.train_rows = train_rows;
            let borders = if inside_days { borders } else { snap_to_days(&borders, &starts, rows) };
            let wanted = format!(
                "the first of {splits} splits trains on 18 % of the rows at least, less {} purged, and needs {} of them",
                horizon_rows + settings.gap_rows,
                settings.min_train_rows
            );
            (purge_borders(&borders, purge), wanted)
        }
        Split::Days { train_days, gap_days, test_days, step_days, expanding } => {
            let days: Vec<TradingDay> = starts.iter().map(|s| set.trading_day[*s]).collect();
            let start_of = |day: usize| starts.get(day).copied().unwrap_or(rows);
            let folds = walk_forward_days(&days, train_days, gap_days, test_days, step_days);
            let folds = (0..folds.len()).filter_map(|split| {
                let first = split * step_days;
                let (train_end, test) = (first + train_days, first + train_days + gap_days);
                let border = start_of(train_end);
                let from = if expanding { 0 } else { start_of(first) };
                let train = from..border.saturating_sub(horizon_rows + settings.gap_rows).max(from);
                (!train.is_empty() && train.len() >= settings.min_train_rows).then(|| Fold {
                    split,
                    train,
                    validation: border..border,
                    test: start_of(test)..start_of(test + test_days),
                })
            });
            let wanted = format!(
                "one fold takes {} days and {} training rows",
                train_days + gap_days + test_days,
                settings.min_train_rows
            );
            (folds.collect(), wanted)
        }
    };
    if folds.is_empty() {
        return Err(TrainError::NoFold { rows, days: starts.len(), wanted });
    }
    Ok(folds)
}

/// Trains and judges fold by fold, then fits the final model.
///
/// The same set and settings give the same bytes, whatever the number of threads.
///
/// # Errors
/// [`TrainError`] for a bad set or setting, no fold, or a fit that fails.
pub fn walk_forward(set: &TrainingSet, settings: &Settings) -> Result<WalkForward, TrainError> {
    let folds = folds(set, settings)?;
    let end = set.day_starts().into_iter().rev().nth(settings.holdout_days.wrapping_sub(1)).unwrap_or(set.rows());
    let final_train = 0..end;
    let parts: Vec<Range<usize>> = folds.iter().map(|f| f.train.clone()).chain([final_train.clone()]).collect();
    let mut fitted =
        parts.into_par_iter().map(|part| fit(set, part, settings)).collect::<Result<Vec<Fitted>, TrainError>>()?;
    let final_model = fitted.pop().ok_or(TrainError::NoFold { rows: set.rows(), days: 0, wanted: String::new() })?;

    let mut scores = vec![[f64::NAN; 3]; set.rows()];
    let mut prior = vec![[f64::NAN; 3]; set.rows()];
    let mut model = vec![0; set.rows()];
    let mut reports = Vec::with_capacity(folds.len());
    for (fold, fitted) in folds.into_iter().zip(fitted) {
        for row in fold.test.clone() {
            scores[row] = fitted.model.probabilities(|k| set.columns[k][row]);
            prior[row] = fitted.prior;
            model[row] = fold.split as u32;
        }
        let test = evaluate(&judged(set, settings, (&scores, &prior, &model), fold.test.clone()));
        reports.push(FoldReport {
            train_first_day: set.trading_day[fold.train.start],
            train_last_day: set.trading_day[fold.train.end - 1],
            fitted_rows: fitted.rows,
            usable_rows: fitted.usable_rows,
            prior: fitted.prior,
            test,
            model: fitted.model,
            fold,
        });
    }
    let first = reports.first().map_or(0, |r| r.fold.test.start);
    let last = reports.last().map_or(0, |r| r.fold.test.end);
    let pooled = evaluate(&judged(set, settings, (&scores, &prior, &model), first..last));
    Ok(WalkForward { folds: reports, pooled, out_of_sample_scores: scores, final_model, final_train })
}

fn judged<'a>(
    set: &'a TrainingSet,
    settings: &Settings,
    (scores, prior, model): (&'a [[f64; 3]], &'a [[f64; 3]], &'a [u32]),
    rows: Range<usize>,
) -> Judged<'a> {
    Judged {
        label: &set.label[rows.clone()],
        scores: &scores[rows.clone()],
        prior: &prior[rows.clone()],
        trading_day: &set.trading_day[rows.clone()],
        model: &model[rows],
        horizon_rows: set.source.horizon_rows as usize,
        level: settings.level,
    }
}

impl WalkForward {
    /// The final model as an artefact, with the figures of all folds.
    pub fn artefact(&self, set: &TrainingSet, settings: &Settings, note: &str) -> Artefact {
        let fitted = (&self.final_model.model, self.final_model.rows, self.final_train.clone());
        artefact_of(fitted, &self.folds, set, settings, note)
    }

    /// A fold's model as an artefact: what it has not seen begins behind its training rows. `None` without such a fold.
    pub fn fold_artefact(&self, place: usize, set: &TrainingSet, settings: &Settings, note: &str) -> Option<Artefact> {
        let fold = self.folds.get(place)?;
        let fitted = (&fold.model, fold.fitted_rows, fold.fold.train.clone());
        Some(artefact_of(fitted, std::slice::from_ref(fold), set, settings, note))
    }
}

/// A model with the rows that it was fitted on and the figures of the folds that judge it.
fn artefact_of(
    (model, rows, train): (&LinearModel, usize, Range<usize>),
    folds: &[FoldReport],
    set: &TrainingSet,
    settings: &Settings,
    note: &str,
) -> Artefact {
    let source = &set.source;
    let anchor = &model.anchor;
    let folds = folds.iter().map(|r| FoldMetrics {
        fold: r.fold.split as u32,
        test_first_day: set.trading_day[r.fold.test.start],
        test_last_day: set.trading_day[r.fold.test.end - 1],
        test_rows: r.test.rows as u64,
        metrics: metrics(&r.test),
    });
    Artefact {
        manifest: ModelManifest {
            format: 1,
            family: "logistic".to_owned(),
            symbol: source.symbol.clone(),
            horizon_rows: source.horizon_rows,
            schema_hash: FeatureColumn::schema_hash(&source.features),
            null_policy: NullPolicy::DropRow,
            calibration: "none".to_owned(),
            parent: None,
            note: note.to_owned(),
            scaler: ScalerRecord {
                kind: ScalerKind::Standard,
                clip_sigma: settings.clip_sigma,
                anchor: anchor.iter().flatten().next().map(|a| source.features[*a].name.clone()),
                price_levels: (0..anchor.len())
                    .filter(|k| anchor[*k].is_some())
                    .map(|k| source.features[k].name.clone())
                    .collect(),
            },
            label: source.label.clone(),
            training: TrainingRecord {
                first_day: set.trading_day[train.start],
                last_day: set.trading_day[train.end - 1],
                rows: rows as u64,
                set_digest: set.digest(),
                dataset_digests: source.dataset_digests.clone(),
                schedule_hash: source.schedule_hash.clone(),
                // Nothing is drawn: rows are thinned by stride and the fit starts from zero.
                seed: 0,
                settings: settings.as_texts(),
            },
            versions: BTreeMap::from([
                ("ghtrader-train".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
                ("linfa-logistic".to_owned(), "0.8".to_owned()),
            ]),
            features: source.features.clone(),
            folds: folds.collect(),
        },
        model: model.clone(),
    }
}

fn metrics(e: &Evaluation) -> BTreeMap<String, f64> {
    [
        ("auc_up_down", e.auc_up_down.value),
        ("auc_up", e.auc_up.value),
        ("auc_down", e.auc_down.value),
        ("auc_mean", e.auc_mean.value),
        ("log_loss", e.log_loss.value),
        ("log_loss_prior", e.log_loss_prior),
        ("brier", e.brier.value),
        ("ece", e.ece.value),
        ("accuracy", e.accuracy.value),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
