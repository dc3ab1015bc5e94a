//! Measures of class probabilities and of rankings.
//!
//! Labels are class numbers; probabilities are rows that sum to 1. Rows with NaN are the caller's to drop, but where it says so.

use serde::{Deserialize, Serialize};

/// The smallest probability that a log loss sees.
const LOG_LOSS_CLIP: f64 = 1e-10;

/// Position of the largest value, the first on ties.
pub fn argmax(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, k| if values[k] > values[best] { k } else { best })
}

/// Mean squared error of the probability of class 1, (p − y)²; NaN for no rows. Source: Brier 1950.
pub fn brier_binary(labels: &[bool], probabilities: &[f64]) -> f64 {
    let sum: f64 = labels.iter().zip(probabilities).map(|(y, p)| (p - f64::from(u8::from(*y))).powi(2)).sum();
    sum / labels.len() as f64
}

/// Brier score of one row: Σ over classes of (p − onehot)², 0 to 2.
pub fn row_brier(label: usize, p: &[f64]) -> f64 {
    p.iter().enumerate().map(|(k, p)| (p - f64::from(u8::from(k == label))).powi(2)).sum()
}

/// Log loss of one row: −ln p of its class, p clipped to [1e-10, 1].
pub fn row_log_loss(label: usize, p: &[f64]) -> f64 {
    -libm::log(p.get(label).copied().unwrap_or(0.0).clamp(LOG_LOSS_CLIP, 1.0))
}

fn row_mean<P: AsRef<[f64]>>(labels: &[usize], probabilities: &[P], of: impl Fn(usize, &[f64]) -> f64) -> f64 {
    labels.iter().zip(probabilities).map(|(y, p)| of(*y, p.as_ref())).sum::<f64>() / labels.len() as f64
}

/// Multi-class Brier score, mean over rows of Σ (p − onehot)², 0 to 2; NaN for no rows. Source: Brier 1950.
pub fn brier<P: AsRef<[f64]>>(labels: &[usize], probabilities: &[P]) -> f64 {
    row_mean(labels, probabilities, row_brier)
}

/// Mean of −ln p of the true class, p clipped to [1e-10, 1]; NaN for no rows.
pub fn log_loss<P: AsRef<[f64]>>(labels: &[usize], probabilities: &[P]) -> f64 {
    row_mean(labels, probabilities, row_log_loss)
}

/// One bin of a reliability table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Rows whose largest probability lies in the bin.
    pub rows: u64,
    /// Sum of those probabilities.
    pub confidence_sum: f64,
    /// Rows whose most probable class is the label.
    pub correct_rows: u64,
}

/// Reliability table over `bins` equal bins (lo, hi] of the largest probability; 0 falls into the first bin.
pub fn reliability<P: AsRef<[f64]>>(labels: &[usize], probabilities: &[P], bins: usize) -> Vec<ReliabilityBin> {
    let mut table = vec![ReliabilityBin::default(); bins];
    for (y, p) in labels.iter().zip(probabilities) {
        let p = p.as_ref();
        let top = argmax(p);
        let Some(&confidence) = p.get(top) else { continue };
        // By comparison with the borders k/bins: 0.7·10 is above 7 in floats, 0.7 is not above 7/10.
        let mut bin = ((confidence * bins as f64) as usize).min(bins.saturating_sub(1));
        while bin > 0 && confidence <= bin as f64 / bins as f64 {
            bin -= 1;
        }
        while bin + 1 < bins && confidence > (bin + 1) as f64 / bins as f64 {
            bin += 1;
        }
        if let Some(b) = table.get_mut(bin) {
            b.rows += 1;
            b.confidence_sum += confidence;
            b.correct_rows += u64::from(top == *y);
        }
    }
    table
}

/// Expected calibration error of a reliability table: Σ over bins of share·|accuracy − mean confidence|; NaN for no rows.
pub fn table_ece(table: &[ReliabilityBin]) -> f64 {
    let rows: u64 = table.iter().map(|b| b.rows).sum();
    table.iter().map(|b| (b.correct_rows as f64 - b.confidence_sum).abs()).sum::<f64>() / rows as f64
}

/// Expected calibration error over equal bins of the largest probability; NaN for no rows.
///
/// Source: Naeini, Cooper, Hauskrecht 2015; Guo et al. 2017.
pub fn ece<P: AsRef<[f64]>>(labels: &[usize], probabilities: &[P], bins: usize) -> f64 {
    table_ece(&reliability(labels, probabilities, bins))
}

/// Area under the ROC curve: share of (positive, negative) pairs that are ranked right, ties by half.
///
/// Rows with NaN score are dropped; NaN when a class is absent. O(n log n); the pair count is exact.
/// Source: Mann, Whitney 1947; Hanley, McNeil 1982.
pub fn auc(labels: &[bool], scores: &[f64]) -> f64 {
    let mut rows: Vec<(f64, bool)> =
        scores.iter().copied().zip(labels.iter().copied()).filter(|r| !r.0.is_nan()).collect();
    rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let positives = rows.iter().filter(|r| r.1).count() as u128;
    let negatives = rows.len() as u128 - positives;
    let (mut half_pairs, mut negatives_below) = (0u128, 0u128);
    for tied in rows.chunk_by(|a, b| a.0 == b.0) {
        let p = tied.iter().filter(|r| r.1).count() as u128;
        let n = tied.len() as u128 - p;
        half_pairs += p * (2 * negatives_below + n);
        negatives_below += n;
    }
    half_pairs as f64 / (2 * positives * negatives) as f64
}

/// An AUC with what each row contributes to its error.
#[derive(Debug, Clone, PartialEq)]
pub struct AucInfluence {
    /// The area under the curve; NaN when a class is absent.
    pub auc: f64,
    /// Per row its influence ψ, with Σψ = 0 and AUC − true ≈ mean of ψ; 0 for rows with NaN score.
    pub influence: Vec<f64>,
    /// Rows that have a score.
    pub rows: usize,
}

/// AUC and the influence of each row, so that the error of dependent rows can be estimated by summing within clusters.
///
/// A positive row contributes (share of negatives below it − AUC)/share of positives, a negative row likewise.
/// Source: DeLong, DeLong, Clarke-Pearson 1988 (structural components); Obuchowski 1997 (clusters).
pub fn auc_influence(labels: &[bool], scores: &[f64]) -> AucInfluence {
    let mut order: Vec<u32> = (0..scores.len() as u32).filter(|i| !scores[*i as usize].is_nan()).collect();
    order.sort_unstable_by(|a, b| scores[*a as usize].total_cmp(&scores[*b as usize]));
    let rows = order.len();
    let positives = order.iter().filter(|i| labels[**i as usize]).count();
    let negatives = rows - positives;
    let auc = auc(labels, scores);
    let mut influence = vec![0.0; scores.len()];
    let (mut positives_below, mut negatives_below) = (0usize, 0usize);
    for tied in order.chunk_by(|a, b| scores[*a as usize] == scores[*b as usize]) {
        let p = tied.iter().filter(|i| labels[**i as usize]).count();
        let n = tied.len() - p;
        let negatives_ranked = (negatives_below as f64 + 0.5 * n as f64) / negatives as f64;
        let positives_above = (positives as f64 - positives_below as f64 - 0.5 * p as f64) / positives as f64;
        for &i in tied {
            influence[i as usize] = if labels[i as usize] {
                (negatives_ranked - auc) * (rows as f64 / positives as f64)
            } else {
                (positives_above - auc) * (rows as f64 / negatives as f64)
            };
        }
        positives_below += p;
        negatives_below += n;
    }
    AucInfluence { auc, influence, rows }
}

/// The usual figures of a classifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassReport {
    /// Rows with label and probabilities.
    pub n: usize,
    /// Share of rows whose most probable class is the label.
    pub accuracy: f64,
    /// Unweighted mean of F1 over classes that are present or predicted.
    pub f1_macro: f64,
    /// Mean of F1 weighted by the rows of each class.
    pub f1_weighted: f64,
    /// See [`log_loss`].
    pub log_loss: f64,
    /// Share of each class that is found; NaN for a class that is absent.
    pub recall: Vec<f64>,
    /// See [`ece`], 10 bins.
    pub ece: f64,
    /// `confusion[label][predicted]`, rows.
    pub confusion: Vec<Vec<u64>>,
}

/// Report over rows; a `None` label or a NaN probability drops the row. The number of classes is the probabilities' width.
pub fn classification_report<P: AsRef<[f64]>>(labels: &[Option<usize>], probabilities: &[P]) -> ClassReport {
    let classes = probabilities.first().map_or(0, |p| p.as_ref().len());
    let (y, p): (Vec<usize>, Vec<&[f64]>) = labels
        .iter()
        .zip(probabilities)
        .filter_map(|(y, p)| Some(((*y)?, p.as_ref())).filter(|(_, p)| p.iter().all(|v| !v.is_nan())))
        .unzip();
    let mut confusion = vec![vec![0u64; classes]; classes];
    for (y, p) in y.iter().zip(&p) {
        if let Some(cell) = confusion.get_mut(*y).and_then(|row| row.get_mut(argmax(p))) {
            *cell += 1;
        }
    }
    let n = y.len() as f64;
    let actual: Vec<f64> = confusion.iter().map(|row| row.iter().sum::<u64>() as f64).collect();
    let predicted: Vec<f64> = (0..classes).map(|k| confusion.iter().map(|row| row[k]).sum::<u64>() as f64).collect();
    let hit: Vec<f64> = (0..classes).map(|k| confusion[k][k] as f64).collect();
    let f1: Vec<f64> = (0..classes).map(|k| 2.0 * hit[k] / (actual[k] + predicted[k])).collect();
    let shown: Vec<f64> = f1.iter().copied().filter(|f| !f.is_nan()).collect();
    ClassReport {
        n: y.len(),
        accuracy: hit.iter().sum::<f64>() / n,
        f1_macro: crate::mean(&shown),
        f1_weighted: f1.iter().zip(&actual).filter(|(f, _)| !f.is_nan()).map(|(f, a)| f * a).sum::<f64>() / n,
        log_loss: log_loss(&y, &p),
        recall: hit.iter().zip(&actual).map(|(h, a)| h / a).collect(),
        ece: ece(&y, &p, 10),
        confusion,
    }
}
