use crate::rows::{UNSET, check_names, count, names};
use crate::{Boundary, Instrument, OutputColumn, Params, PluginError, Row, Rows};

/// What a feature reads and makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureDescription {
    /// Tick columns, in the order in which they stand in a row.
    pub inputs: Vec<String>,
    /// Columns made, in the order in which [`Feature::row`] writes them.
    pub outputs: Vec<OutputColumn>,
    /// Rows that must have been seen before all outputs mean something.
    pub warmup_rows: u32,
}

impl FeatureDescription {
    /// Reads `inputs`, makes `(name, unit)` pairs.
    pub fn new<I: Into<String>, N: Into<String>, U: Into<String>>(
        inputs: impl IntoIterator<Item = I>,
        outputs: impl IntoIterator<Item = (N, U)>,
        warmup_rows: u32,
    ) -> Self {
        let outputs = outputs.into_iter().map(|(name, unit)| OutputColumn::new(name, unit)).collect();
        Self { inputs: names(inputs), outputs, warmup_rows }
    }
}

/// Turns ticks into columns, row by row.
///
/// A value reads its own row and earlier ones only, and depends, to the bit, on its window alone: no running sums over
/// more than the window. Unknown = NaN.
pub trait Feature: Sized {
    /// Starts an instance.
    ///
    /// # Errors
    /// When a parameter cannot be used.
    fn init(params: &Params, instrument: &Instrument) -> Result<(Self, FeatureDescription), PluginError>;

    /// A border lies before the next row. A [`Boundary::Roll`] must forget everything.
    fn boundary(&mut self, kind: Boundary);

    /// Handles the next row; `out` has one place an output, NaN at first.
    fn row(&mut self, row: Row<'_>, out: &mut [f64]);
}

/// Runs a [`Feature`] over blocks: the one loop that components and native tests share.
#[derive(Debug)]
pub struct FeatureDriver<F> {
    feature: F,
    description: FeatureDescription,
}

impl<F: Feature> FeatureDriver<F> {
    /// Starts an instance.
    ///
    /// # Errors
    /// Those of [`Feature::init`]; `InvalidInput` for a description without inputs or outputs, or with a name twice.
    pub fn init(params: &Params, instrument: &Instrument) -> Result<Self, PluginError> {
        let (feature, description) = F::init(params, instrument)?;
        check_names("inputs", description.inputs.iter().map(String::as_str))?;
        check_names("outputs", description.outputs.iter().map(|column| column.name.as_str()))?;
        Ok(Self { feature, description })
    }

    /// What the instance reads and makes.
    pub fn description(&self) -> &FeatureDescription {
        &self.description
    }

    /// Tells a border before the next row.
    pub fn boundary(&mut self, kind: Boundary) {
        self.feature.boundary(kind);
    }

    /// Appends rows × outputs numbers to `out`, row-major, for rows × inputs words.
    ///
    /// # Errors
    /// `InvalidInput` for a part of a row.
    pub fn compute(&mut self, rows: &[u64], out: &mut Vec<f64>) -> Result<(), PluginError> {
        let width = self.description.inputs.len();
        let outputs = self.description.outputs.len();
        let before = out.len();
        out.resize(before + count(rows, width)? * outputs, UNSET);
        for (row, out) in Rows::new(rows, width).iter().zip(out[before..].chunks_exact_mut(outputs)) {
            self.feature.row(row, out);
        }
        Ok(())
    }
}
