//! Settings of a walk-forward training.

use crate::TrainError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the rows are split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Split {
    /// By shares of all rows, borders moved down to a trading day; see [`crate::walk_forward_borders`].
    Rows {
        /// Number of splits.
        splits: usize,
        /// Length of a rolling training part in rows; absent to train from the start.
        train_rows: Option<usize>,
        /// Leaves borders where they fall instead of at a trading day.
        #[serde(default)]
        inside_days: bool,
    },
    /// By trading days; see [`crate::walk_forward_days`]. Test parts adjoin when `step_days` equals `test_days`.
    Days {
        /// Days to fit on.
        train_days: usize,
        /// Days left out.
        gap_days: usize,
        /// Days to judge by.
        test_days: usize,
        /// Days from split to split.
        step_days: usize,
        /// Keeps all earlier days in the training part instead of the last `train_days`.
        #[serde(default)]
        expanding: bool,
    },
}

/// Settings of a walk-forward training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How the rows are split.
    pub split: Split,
    /// Fewest training rows of a fold, after the purge.
    pub min_train_rows: usize,
    /// Rows taken away between parts beyond the label's look-ahead.
    pub gap_rows: usize,
    /// Trading days at the end that nothing here reads.
    pub holdout_days: usize,
    /// Inverse strength of the L2 penalty against the summed loss, as in scikit-learn: ½·‖W‖² + C·Σ loss.
    pub c: f64,
    /// Most iterations of the library's optimiser.
    pub max_iterations: u64,
    /// Bound of a scaled feature, in standard deviations.
    pub clip_sigma: f64,
    /// Most rows of one fit; longer training parts are thinned by an even stride. Neighbouring rows share most of their horizon, so
    /// thinning loses far less than its share of the information.
    pub max_train_rows: usize,
    /// Feature that is taken from the price levels before scaling; none to use levels as they are.
    pub anchor: Option<String>,
    /// Features that are price levels, where the set has them; the anchor always is one.
    pub price_levels: Vec<String>,
    /// Confidence level of the intervals.
    pub level: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            split: Split::Rows { splits: 5, train_rows: None, inside_days: false },
            min_train_rows: 10_000,
            gap_rows: 0,
            holdout_days: 0,
            c: 1.0,
            max_iterations: 1_000,
            clip_sigma: 10.0,
            max_train_rows: 60_000,
            anchor: Some("mid".to_owned()),
            price_levels: ["microprice", "depth_weighted_price"].map(str::to_owned).to_vec(),
            level: 0.95,
        }
    }
}

impl Settings {
    /// Checks every bound.
    ///
    /// # Errors
    /// [`TrainError::Setting`] with name, value and bound.
    pub fn check(&self) -> Result<(), TrainError> {
        let bad = |name, value: String, bound| Err(TrainError::Setting { name, value, bound });
        match self.split {
            Split::Rows { splits: 0, .. } => return bad("split.splits", "0".into(), "at least 1"),
            Split::Rows { train_rows: Some(0), .. } => {
                return bad("split.train_rows", "0".into(), "at least 1, or absent");
            }
            Split::Days { train_days: 0, .. } => return bad("split.train_days", "0".into(), "at least 1"),
            Split::Days { test_days: 0, .. } => return bad("split.test_days", "0".into(), "at least 1"),
            Split::Days { step_days: 0, .. } => return bad("split.step_days", "0".into(), "at least 1"),
            _ => {}
        }
        if !(self.c.is_finite() && self.c > 0.0) {
            return bad("c", self.c.to_string(), "finite and above 0");
        }
        if !(self.clip_sigma.is_finite() && self.clip_sigma >= 1.0) {
            return bad("clip_sigma", self.clip_sigma.to_string(), "finite and at least 1");
        }
        if self.max_iterations == 0 {
            return bad("max_iterations", "0".into(), "at least 1");
        }
        if self.max_train_rows < 100 {
            return bad("max_train_rows", self.max_train_rows.to_string(), "at least 100");
        }
        if !(self.level > 0.0 && self.level < 1.0) {
            return bad("level", self.level.to_string(), "above 0 and below 1");
        }
        Ok(())
    }

    /// All settings by name in their shortest text, for the artefact.
    pub fn as_texts(&self) -> BTreeMap<String, String> {
        let mut texts: BTreeMap<String, String> = [
            ("min_train_rows", self.min_train_rows.to_string()),
            ("gap_rows", self.gap_rows.to_string()),
            ("holdout_days", self.holdout_days.to_string()),
            ("c", self.c.to_string()),
            ("max_iterations", self.max_iterations.to_string()),
            ("clip_sigma", self.clip_sigma.to_string()),
            ("max_train_rows", self.max_train_rows.to_string()),
            ("anchor", self.anchor.clone().unwrap_or_default()),
            ("price_levels", self.price_levels.join(" ")),
            ("level", self.level.to_string()),
        ]
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text))
        .collect();
        let split = match self.split {
            Split::Rows { splits, train_rows, inside_days } => {
                let train = train_rows.map_or("all".to_owned(), |r| r.to_string());
                format!("rows splits={splits} train_rows={train} inside_days={inside_days}")
            }
            Split::Days { train_days, gap_days, test_days, step_days, expanding } => format!(
                "days train={train_days} gap={gap_days} test={test_days} step={step_days} expanding={expanding}"
            ),
        };
        texts.insert("split".to_owned(), split);
        texts
    }
}
