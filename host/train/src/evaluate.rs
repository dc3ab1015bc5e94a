//! Judging out-of-sample scores, every figure with an interval that rows which overlap cannot fool.
//!
//! Labels of neighbouring rows share most of their horizon and features drift slowly, so rows are far from independent. Errors are
//! summed within clusters of rows and compared between clusters: trading days where there are [`MIN_DAYS`] of them, else equal
//! blocks of at least [`BLOCK_HORIZONS`] horizons inside the days. Few clusters widen the interval through Student's t.

use ghtrader_core::TradingDay;
use ghtrader_stats::{
    AucInfluence, ClassReport, Interval, ReliabilityBin, auc_influence, classification_report, ratio_interval,
    reliability, row_brier, row_log_loss, statistic_interval, table_ece,
};
use serde::Serialize;

/// Fewest trading days that serve as clusters themselves.
pub const MIN_DAYS: usize = 8;
/// Blocks wanted over all days when there are fewer days than that.
const WANTED_BLOCKS: usize = 20;
/// Shortest block, in horizons: two neighbouring blocks share at most this part of a block's labels.
pub const BLOCK_HORIZONS: usize = 10;
/// Bins of the reliability table.
const BINS: usize = 10;
const DOWN: usize = 0;
const UP: usize = 2;

/// What the rows were clustered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterUnit {
    /// Trading days.
    TradingDay,
    /// Blocks of rows inside trading days: the interval does not see what differs from day to day.
    Block,
}

/// Figures of scores over rows that have both score and label. Where a class is absent, its AUC is NaN (null in JSON).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Rows with score and label.
    pub rows: usize,
    /// Rows without label or score, left out.
    pub dropped_rows: usize,
    /// First trading day of the rows.
    pub first_day: Option<TradingDay>,
    /// Last trading day of the rows.
    pub last_day: Option<TradingDay>,
    /// Kind of the clusters behind the intervals.
    pub cluster_unit: ClusterUnit,
    /// Number of clusters.
    pub clusters: usize,
    /// Up against down, over rows of these two classes, ranked by p(up)/(p(up) + p(down)): does the score know the direction?
    pub auc_up_down: Interval,
    /// Up against the rest, ranked by p(up). Knowing how much the price moves is enough to exceed ½.
    pub auc_up: Interval,
    /// Down against the rest, ranked by p(down).
    pub auc_down: Interval,
    /// Mean of `auc_up` and `auc_down`.
    pub auc_mean: Interval,
    /// Mean of −ln p of the label's class.
    pub log_loss: Interval,
    /// Log loss of always giving the class shares of the training rows.
    pub log_loss_prior: f64,
    /// `log_loss_prior` minus `log_loss`, paired by row: above 0 the features help.
    pub log_loss_gain: Interval,
    /// Multi-class Brier score, 0 to 2.
    pub brier: Interval,
    /// Expected calibration error over ten bins of the largest probability.
    pub ece: Interval,
    /// Share of rows whose most probable class is the label.
    pub accuracy: Interval,
    /// Accuracy of always naming the class that is most frequent here.
    pub accuracy_majority: f64,
    /// Reliability table, ten bins (lo, hi].
    pub reliability: Vec<ReliabilityBin>,
    /// Recall, F1 and confusion.
    pub classes: ClassReport,
}

/// Rows to judge, all slices of one length.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// 0 down, 1 flat, 2 up, NaN none.
    pub label: &'a [f64],
    /// Probabilities of down, flat, up; NaN none.
    pub scores: &'a [[f64; 3]],
    /// Class shares of the training rows behind each score.
    pub prior: &'a [[f64; 3]],
    /// Trading day, never going back.
    pub trading_day: &'a [TradingDay],
    /// Number of the model behind each score, rows of one model adjoining. An AUC compares rows of one model only: a later model has
    /// seen the outcome of the earlier rows, so comparing across models is biased below ½ when there is nothing to learn.
    pub model: &'a [u32],
    /// Rows that a label looks ahead.
    pub horizon_rows: usize,
    /// Confidence level.
    pub level: f64,
}

/// Evaluates scores. Source of the intervals: clustered structural components (Obuchowski 1997) for AUC, linearised ratios
/// (Cochran 1977) for means, the delete-one-cluster jackknife for the calibration error.
pub fn evaluate(judged: &Judged<'_>) -> Evaluation {
    let kept: Vec<usize> = (0..judged.label.len())
        .filter(|&i| !judged.label[i].is_nan() && judged.scores[i].iter().all(|p| !p.is_nan()))
        .collect();
    let labels: Vec<usize> = kept.iter().map(|&i| judged.label[i] as usize).collect();
    let p: Vec<[f64; 3]> = kept.iter().map(|&i| judged.scores[i]).collect();
    let days: Vec<TradingDay> = kept.iter().map(|&i| judged.trading_day[i]).collect();
    let (cluster_unit, cluster) = clusters(&days, judged.horizon_rows);
    let clusters = cluster.last().map_or(0, |c| c + 1);
    let level = judged.level;

    let row_mean = |of: &dyn Fn(usize) -> f64| {
        let (mut sums, mut weights) = (vec![0.0; clusters], vec![0.0; clusters]);
        for (row, &c) in cluster.iter().enumerate() {
            sums[c] += of(row);
            weights[c] += 1.0;
        }
        ratio_interval(&sums, &weights, level)
    };
    let auc_interval = |auc: f64, influence: &dyn Fn(usize) -> f64, rows: &[usize]| {
        let (mut sums, mut weights) = (vec![0.0; clusters], vec![0.0; clusters]);
        for (position, &row) in rows.iter().enumerate() {
            sums[cluster[row]] += influence(position) + auc;
            weights[cluster[row]] += 1.0;
        }
        bounded(Interval { value: auc, ..ratio_interval(&sums, &weights, level) })
    };
    let model: Vec<u32> = kept.iter().map(|&i| judged.model[i]).collect();
    let rest_auc = |class: usize| {
        let positive: Vec<bool> = labels.iter().map(|y| *y == class).collect();
        let ranked: Vec<f64> = p.iter().map(|p| p[class]).collect();
        auc_by_model(&positive, &ranked, &model)
    };
    let all: Vec<usize> = (0..labels.len()).collect();
    let (up, down) = (rest_auc(UP), rest_auc(DOWN));
    let of_rows = |a: &AucInfluence| auc_interval(a.auc, &|i| a.influence[i], &all);
    let moved: Vec<usize> = all.iter().copied().filter(|&row| labels[row] == UP || labels[row] == DOWN).collect();
    let direction = {
        let positive: Vec<bool> = moved.iter().map(|&row| labels[row] == UP).collect();
        let ranked: Vec<f64> = moved.iter().map(|&row| p[row][UP] / (p[row][UP] + p[row][DOWN])).collect();
        let model: Vec<u32> = moved.iter().map(|&row| model[row]).collect();
        auc_by_model(&positive, &ranked, &model)
    };
    let auc_mean = 0.5 * (up.auc + down.auc);
    let loss: Vec<f64> = labels.iter().zip(&p).map(|(y, p)| row_log_loss(*y, p)).collect();
    let prior_loss: Vec<f64> = kept.iter().zip(&labels).map(|(&i, y)| row_log_loss(*y, &judged.prior[i])).collect();
    let some_labels: Vec<Option<usize>> = labels.iter().copied().map(Some).collect();
    let classes = classification_report(&some_labels, &p);
    let most_frequent = classes.confusion.iter().map(|row| row.iter().sum::<u64>()).max().unwrap_or(0);
    Evaluation {
        rows: kept.len(),
        dropped_rows: judged.label.len() - kept.len(),
        first_day: days.first().copied(),
        last_day: days.last().copied(),
        cluster_unit,
        clusters,
        auc_up_down: auc_interval(direction.auc, &|i| direction.influence[i], &moved),
        auc_up: of_rows(&up),
        auc_down: of_rows(&down),
        auc_mean: auc_interval(auc_mean, &|i| 0.5 * (up.influence[i] + down.influence[i]), &all),
        log_loss: row_mean(&|row| loss[row]),
        log_loss_prior: ghtrader_stats::mean(&prior_loss),
        log_loss_gain: row_mean(&|row| prior_loss[row] - loss[row]),
        brier: row_mean(&|row| row_brier(labels[row], &p[row])),
        ece: ece_interval(&labels, &p, &cluster, level),
        accuracy: bounded(row_mean(&|row| f64::from(u8::from(ghtrader_stats::argmax(&p[row]) == labels[row])))),
        accuracy_majority: most_frequent as f64 / kept.len() as f64,
        reliability: reliability(&labels, &p, BINS),
        classes,
    }
}

/// AUC within each model's rows, averaged by their number; rows of a model that lacks a class count for nothing.
///
/// The influences are centred on the average: those of one model alone sum to 0 around its own AUC, and a model that is tested on
/// one cluster only would seem to have no error.
fn auc_by_model(positive: &[bool], ranked: &[f64], model: &[u32]) -> AucInfluence {
    let mut from = 0;
    let parts: Vec<AucInfluence> = model
        .chunk_by(|a, b| a == b)
        .map(|same| {
            let part = from..from + same.len();
            from = part.end;
            auc_influence(&positive[part.clone()], &ranked[part])
        })
        .collect();
    let known = || parts.iter().filter(|p| !p.auc.is_nan());
    let rows = known().map(|p| p.rows).sum();
    let auc = known().map(|p| p.auc * p.rows as f64).sum::<f64>() / rows as f64;
    let influence = parts
        .iter()
        .flat_map(|p| p.influence.iter().map(|i| if p.auc.is_nan() { 0.0 } else { i + p.auc - auc }))
        .collect();
    AucInfluence { auc, influence, rows }
}

/// Cluster number of each row, ascending from 0 without gaps.
fn clusters(days: &[TradingDay], horizon_rows: usize) -> (ClusterUnit, Vec<usize>) {
    let by_day: Vec<&[TradingDay]> = days.chunk_by(|a, b| a == b).collect();
    let unit = if by_day.len() >= MIN_DAYS { ClusterUnit::TradingDay } else { ClusterUnit::Block };
    let shortest = (BLOCK_HORIZONS * horizon_rows).max(1);
    let mut next = 0;
    let mut out = Vec::with_capacity(days.len());
    for day in &by_day {
        let blocks = match unit {
            ClusterUnit::TradingDay => 1,
            ClusterUnit::Block => WANTED_BLOCKS.div_ceil(by_day.len()).min(day.len() / shortest).max(1),
        };
        out.extend((0..day.len()).map(|row| next + row * blocks / day.len()));
        next += blocks;
    }
    (unit, out)
}

/// Cuts an interval of a share to [0, 1].
fn bounded(i: Interval) -> Interval {
    Interval { value: i.value, low: i.low.map(|v| v.max(0.0)), high: i.high.map(|v| v.min(1.0)) }
}

fn ece_interval(labels: &[usize], p: &[[f64; 3]], cluster: &[usize], level: f64) -> Interval {
    let mut from = 0;
    let tables: Vec<Vec<ReliabilityBin>> = cluster
        .chunk_by(|a, b| a == b)
        .map(|rows| {
            let range = from..from + rows.len();
            from = range.end;
            reliability(&labels[range.clone()], &p[range], BINS)
        })
        .collect();
    let total = |without: Option<usize>| -> f64 {
        let mut sum = vec![ReliabilityBin::default(); BINS];
        for table in tables.iter().enumerate().filter(|(c, _)| Some(*c) != without).map(|(_, t)| t) {
            for (s, b) in sum.iter_mut().zip(table) {
                s.rows += b.rows;
                s.confidence_sum += b.confidence_sum;
                s.correct_rows += b.correct_rows;
            }
        }
        table_ece(&sum)
    };
    let without: Vec<f64> = (0..tables.len()).map(|c| total(Some(c))).collect();
    bounded(statistic_interval(total(None), &without, level))
}
