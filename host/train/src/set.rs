//! What a model is trained on.

use crate::TrainError;
use ghtrader_core::{Digest, DigestBuilder, FeatureColumn, TradingDay};
use ghtrader_model::LabelRecord;

/// Where a training set comes from; goes into the artefact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetSource {
    /// Symbol, such as `KQ.m@SHFE.cu`.
    pub symbol: String,
    /// Feature columns in order.
    pub features: Vec<FeatureColumn>,
    /// The label.
    pub label: LabelRecord,
    /// Rows that the label looks ahead.
    pub horizon_rows: u32,
    /// Digests of the day files, in order.
    pub dataset_digests: Vec<Digest>,
    /// Hash of the main schedule, if the data is `main_l5`.
    pub schedule_hash: Option<String>,
}

/// Rows of features with their label, in time order.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSet {
    /// Where it comes from.
    pub source: SetSource,
    /// `columns[feature][row]`, in the feature's unit, NaN for null.
    pub columns: Vec<Vec<f64>>,
    /// 0 down, 1 flat, 2 up, NaN for none.
    pub label: Vec<f64>,
    /// Trading day of each row, never going back.
    pub trading_day: Vec<TradingDay>,
}

impl TrainingSet {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.label.len()
    }

    /// Class of a row, `None` without label.
    pub fn class(&self, row: usize) -> Option<usize> {
        match self.label[row] {
            y if y.is_nan() => None,
            y => Some(y as usize),
        }
    }

    /// First row of each trading day, ascending.
    pub fn day_starts(&self) -> Vec<usize> {
        (0..self.rows()).filter(|i| *i == 0 || self.trading_day[*i] != self.trading_day[i - 1]).collect()
    }

    /// Checks that the columns make a table of ordered days with labels 0, 1, 2 or NaN.
    ///
    /// # Errors
    /// [`TrainError::Table`], [`TrainError::Label`] or [`TrainError::Order`] naming what is wrong.
    pub fn check(&self) -> Result<(), TrainError> {
        let rows = self.rows();
        let table = |reason: String| Err(TrainError::Table { reason });
        if rows == 0 || self.columns.is_empty() {
            return table(format!("{rows} rows of {} columns", self.columns.len()));
        }
        if rows > u32::MAX as usize {
            return table(format!("{rows} rows, the most is {}", u32::MAX));
        }
        if self.columns.len() != self.source.features.len() {
            return table(format!("{} columns for {} feature names", self.columns.len(), self.source.features.len()));
        }
        if let Some(k) = self.columns.iter().position(|c| c.len() != rows) {
            let name = &self.source.features[k].name;
            return table(format!("column `{name}` has {} rows, the label {rows}", self.columns[k].len()));
        }
        if self.trading_day.len() != rows {
            return table(format!("{} trading days for {rows} labels", self.trading_day.len()));
        }
        if let Some(row) = self.label.iter().position(|y| !y.is_nan() && ![0.0, 1.0, 2.0].contains(y)) {
            return Err(TrainError::Label { row, value: self.label[row] });
        }
        if let Some(row) = (1..rows).find(|i| self.trading_day[*i] < self.trading_day[i - 1]) {
            return Err(TrainError::Order { row });
        }
        Ok(())
    }

    /// Digest of all values.
    pub fn digest(&self) -> Digest {
        let mut digest = DigestBuilder::new("training-set");
        digest.int(self.rows() as i64).int(self.columns.len() as i64);
        for column in self.columns.iter().chain([&self.label]) {
            column.iter().for_each(|v| {
                digest.float(*v);
            });
        }
        self.trading_day.iter().for_each(|d| {
            digest.int(i64::from(d.days()));
        });
        digest.finish()
    }
}
