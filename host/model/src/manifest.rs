//! `model.toml`: everything about a model but its numbers.

use ghtrader_core::{Digest, FeatureColumn, TradingDay};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What happens to a row that has NaN among its features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NullPolicy {
    /// Left out of training, scored as NaN.
    DropRow,
}

/// How features are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScalerKind {
    /// (x − mean)/standard deviation of the training rows.
    Standard,
}

/// The scaler of a model; its numbers are among the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScalerRecord {
    /// Kind of scaler.
    pub kind: ScalerKind,
    /// Bound of a scaled value, in standard deviations.
    pub clip_sigma: f64,
    /// Feature that is taken from the price levels.
    pub anchor: Option<String>,
    /// Features that are price levels, the anchor among them.
    #[serde(default)]
    pub price_levels: Vec<String>,
}

/// The label a model predicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelRecord {
    /// Column name, such as `direction_50`.
    pub name: String,
    /// Digest of the component.
    pub digest: Digest,
    /// Parameters by name, values in their shortest text.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
}

/// On what and how a model was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    /// First trading day among the training rows.
    pub first_day: TradingDay,
    /// Last trading day among the training rows; a backtest on it or before is in-sample.
    pub last_day: TradingDay,
    /// Rows the final model was fitted on.
    pub rows: u64,
    /// Digest of the training set's values.
    pub set_digest: Digest,
    /// Digests of the day files behind it, in order.
    pub dataset_digests: Vec<Digest>,
    /// Hash of the main schedule, if the data is `main_l5`.
    pub schedule_hash: Option<String>,
    /// Seed of anything drawn.
    pub seed: u64,
    /// All settings by name, values in their shortest text.
    pub settings: BTreeMap<String, String>,
}

/// Out-of-sample figures of one fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldMetrics {
    /// Fold number.
    pub fold: u32,
    /// First trading day of the test part.
    pub test_first_day: TradingDay,
    /// Last trading day of the test part.
    pub test_last_day: TradingDay,
    /// Rows tested.
    pub test_rows: u64,
    /// Measures by name.
    pub metrics: BTreeMap<String, f64>,
}

/// The manifest of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelManifest {
    /// Version of this format, 1.
    pub format: u32,
    /// Family, `logistic`.
    pub family: String,
    /// Symbol of the training data, such as `KQ.m@SHFE.cu`.
    pub symbol: String,
    /// Horizon of the label, rows.
    pub horizon_rows: u32,
    /// Schema hash of `features`.
    pub schema_hash: String,
    /// What happens to NaN.
    pub null_policy: NullPolicy,
    /// Calibration after the scores, `none`.
    pub calibration: String,
    /// Digest of the model this one was made from.
    pub parent: Option<Digest>,
    /// Free text.
    pub note: String,
    /// The scaler.
    pub scaler: ScalerRecord,
    /// The label.
    pub label: LabelRecord,
    /// The training.
    pub training: TrainingRecord,
    /// Versions of what decides the numbers.
    pub versions: BTreeMap<String, String>,
    /// Features in order.
    pub features: Vec<FeatureColumn>,
    /// Out-of-sample figures by fold.
    pub folds: Vec<FoldMetrics>,
}
