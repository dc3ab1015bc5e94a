//! Splits in time order, with purge and embargo. Ranges are half open row numbers.
//!
//! The label of row i reads rows i to i + `horizon_rows`; a training row whose label reaches a test row knows its answer.

use ghtrader_core::TradingDay;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Borders of one walk-forward split before any purge: train from 0, then validation, then test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Borders {
    /// Number of the split; dropped splits keep theirs.
    pub split: usize,
    /// End of the training part.
    pub train_end: usize,
    /// End of the validation part.
    pub validation_end: usize,
    /// End of the test part.
    pub test_end: usize,
}

/// One walk-forward split after the purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// Number of the split.
    pub split: usize,
    /// Rows to fit on.
    pub train: Range<usize>,
    /// Rows to choose by; may be empty.
    pub validation: Range<usize>,
    /// Rows to judge by.
    pub test: Range<usize>,
}

/// One split whose training rows may lie on both sides of its test rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgedFold {
    /// Test parts, neighbours joined, ascending.
    pub test: Vec<Range<usize>>,
    /// What is left to train on, ascending.
    pub train: Vec<Range<usize>>,
}

/// One walk-forward split by trading days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayFold {
    /// Days to fit on.
    pub train: Vec<TradingDay>,
    /// Days to judge by.
    pub test: Vec<TradingDay>,
}

/// Rows that a purge takes away and the training length that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purge {
    /// Rows that a label looks ahead.
    pub horizon_rows: usize,
    /// Rows taken away beyond the look-ahead.
    pub gap_rows: usize,
    /// Fewest training rows of a fold.
    pub min_train_rows: usize,
    /// Length of a rolling training part; `None` to train from the start.
    pub train_rows: Option<usize>,
}

/// Walk-forward borders over `n_rows`: step = n div (splits + 2), E = min(n, (i + 3)·step), train ⌊0.6·E⌋, validation ⌊0.2·E⌋ more.
///
/// Splits whose training part is shorter than `min_train` are dropped.
pub fn walk_forward_borders(n_rows: usize, n_splits: usize, min_train: usize) -> Vec<Borders> {
    let step = n_rows / (n_splits + 2);
    (0..n_splits)
        .map(|split| {
            let end = n_rows.min((split + 3) * step);
            let train_end = 6 * end / 10;
            Borders { split, train_end, validation_end: train_end + 2 * end / 10, test_end: end }
        })
        .filter(|b| b.train_end >= min_train)
        .collect()
}

/// Moves borders down to the start of a trading day; an end of all rows stays.
///
/// `day_starts` are the first rows of the days, ascending, the first of them 0.
pub fn snap_to_days(borders: &[Borders], day_starts: &[usize], n_rows: usize) -> Vec<Borders> {
    let snap = |row: usize| {
        if row >= n_rows {
            n_rows
        } else {
            day_starts[..day_starts.partition_point(|s| *s <= row)].last().copied().unwrap_or(0)
        }
    };
    borders
        .iter()
        .map(|b| Borders {
            split: b.split,
            train_end: snap(b.train_end),
            validation_end: snap(b.validation_end),
            test_end: snap(b.test_end),
        })
        .collect()
}

/// Applies the purge to borders: training and validation lose the rows whose label reaches the next part, and `gap_rows` more.
///
/// Folds whose purged training part is empty or too short, or whose test part is empty, are dropped.
pub fn purge_borders(borders: &[Borders], purge: Purge) -> Vec<Fold> {
    let lost = purge.horizon_rows + purge.gap_rows;
    borders
        .iter()
        .filter_map(|b| {
            let train_end = b.train_end.saturating_sub(lost);
            let train = purge.train_rows.map_or(0, |length| train_end.saturating_sub(length))..train_end;
            let validation = b.train_end..b.validation_end.saturating_sub(lost).max(b.train_end);
            let test = b.validation_end..b.test_end;
            (!train.is_empty() && train.len() >= purge.min_train_rows && !test.is_empty()).then_some(Fold {
                split: b.split,
                train,
                validation,
                test,
            })
        })
        .collect()
}

/// [`walk_forward_borders`] with the purge. No test or validation rows precede training rows, so there is nothing to embargo.
pub fn walk_forward_purged(n_rows: usize, n_splits: usize, purge: Purge) -> Vec<Fold> {
    purge_borders(&walk_forward_borders(n_rows, n_splits, 0), purge)
}

/// Contiguous groups of rows, the first `n mod groups` one row longer.
fn groups(n_rows: usize, n_groups: usize) -> Vec<Range<usize>> {
    let mut start = 0;
    (0..n_groups)
        .map(|g| {
            let end = start + n_rows / n_groups + usize::from(g < n_rows % n_groups);
            let group = start..end;
            start = end;
            group
        })
        .collect()
}

/// Training rows left by test parts: before one `i + horizon < start`, behind one `i ≥ end + horizon + embargo`.
fn around(n_rows: usize, test: Vec<Range<usize>>, horizon_rows: usize, embargo_rows: usize) -> PurgedFold {
    let mut train = Vec::new();
    let mut from = 0;
    for part in &test {
        train.push(from..part.start.saturating_sub(horizon_rows));
        from = part.end + horizon_rows + embargo_rows;
    }
    train.push(from..n_rows);
    train.retain(|r| !r.is_empty());
    PurgedFold { test, train }
}

/// Purged k-fold cross-validation; the test part is never cut. Source: López de Prado 2018, chapter 7.
pub fn purged_k_fold(n_rows: usize, n_folds: usize, horizon_rows: usize, embargo_rows: usize) -> Vec<PurgedFold> {
    groups(n_rows, n_folds).into_iter().map(|test| around(n_rows, vec![test], horizon_rows, embargo_rows)).collect()
}

/// Combinatorial purged cross-validation: every choice of `n_test_groups` groups, in lexicographic order.
///
/// Source: López de Prado 2018, chapter 12.
pub fn combinatorial_purged(
    n_rows: usize,
    n_groups: usize,
    n_test_groups: usize,
    horizon_rows: usize,
    embargo_rows: usize,
) -> Vec<PurgedFold> {
    let groups = groups(n_rows, n_groups);
    let mut choice: Vec<usize> = (0..n_test_groups).collect();
    let mut folds = Vec::new();
    if n_test_groups == 0 || n_test_groups > n_groups {
        return folds;
    }
    loop {
        let mut test: Vec<Range<usize>> = Vec::new();
        for &g in &choice {
            match test.last_mut() {
                Some(last) if last.end == groups[g].start => last.end = groups[g].end,
                _ => test.push(groups[g].clone()),
            }
        }
        folds.push(around(n_rows, test, horizon_rows, embargo_rows));
        let Some(i) = (0..n_test_groups).rev().find(|i| choice[*i] < n_groups - n_test_groups + i) else {
            return folds;
        };
        choice[i] += 1;
        for j in i + 1..n_test_groups {
            choice[j] = choice[j - 1] + 1;
        }
    }
}

/// Walk-forward by days: `train_days`, then `gap_days` left out, then `test_days`; moves on by `step_days`; complete splits only.
///
/// A step of 0 counts as 1.
pub fn walk_forward_days(
    days: &[TradingDay],
    train_days: usize,
    gap_days: usize,
    test_days: usize,
    step_days: usize,
) -> Vec<DayFold> {
    let window = train_days + gap_days + test_days;
    if window == 0 {
        return Vec::new();
    }
    days.windows(window)
        .step_by(step_days.max(1))
        .map(|w| DayFold { train: w[..train_days].to_vec(), test: w[train_days + gap_days..].to_vec() })
        .collect()
}

/// Rows whose sequence of `length` rows, the row itself last, lies in one segment and whose label is there.
pub fn sequence_windows(segment_id: &[u32], has_label: &[bool], length: usize) -> Vec<usize> {
    let mut run = 0;
    (0..segment_id.len())
        .filter(|&i| {
            run = if i > 0 && segment_id[i] == segment_id[i - 1] { run + 1 } else { 1 };
            run >= length && has_label[i]
        })
        .collect()
}

#[cfg(test)]
mod tests;
