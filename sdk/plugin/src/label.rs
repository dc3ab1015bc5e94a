use crate::rows::{UNSET, check_names, count, names};
use crate::{Instrument, OutputColumn, Params, PluginError, Rows};

/// What a label reads and makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelDescription {
    /// Tick columns, in the order in which they stand in a row.
    pub inputs: Vec<String>,
    /// Columns made, in the order in which [`Label::row`] writes them.
    pub outputs: Vec<OutputColumn>,
    /// Rows behind a row that its label may read.
    pub lookahead_rows: u32,
}

impl LabelDescription {
    /// Reads `inputs`, makes `(name, unit)` pairs.
    pub fn new<I: Into<String>, N: Into<String>, U: Into<String>>(
        inputs: impl IntoIterator<Item = I>,
        outputs: impl IntoIterator<Item = (N, U)>,
        lookahead_rows: u32,
    ) -> Self {
        let outputs = outputs.into_iter().map(|(name, unit)| OutputColumn::new(name, unit)).collect();
        Self { inputs: names(inputs), outputs, lookahead_rows }
    }
}

/// Turns ticks with look-ahead into targets. It keeps no state from row to row, so every cutting gives the same labels.
pub trait Label: Sized {
    /// Starts an instance.
    ///
    /// # Errors
    /// When a parameter cannot be used.
    fn init(params: &Params, instrument: &Instrument) -> Result<(Self, LabelDescription), PluginError>;

    /// Labels the row `at`; `rows` end where the look-ahead must: a row that is not there is beyond the reach.
    /// `out` has one place an output, NaN (no label) at first.
    fn row(&self, rows: Rows<'_>, at: usize, out: &mut [f64]);
}

/// Runs a [`Label`] over blocks: the one loop that components and native tests share.
#[derive(Debug)]
pub struct LabelDriver<L> {
    label: L,
    description: LabelDescription,
}

impl<L: Label> LabelDriver<L> {
    /// Starts an instance.
    ///
    /// # Errors
    /// Those of [`Label::init`]; `InvalidInput` for a description without inputs or outputs, or with a name twice.
    pub fn init(params: &Params, instrument: &Instrument) -> Result<Self, PluginError> {
        let (label, description) = L::init(params, instrument)?;
        check_names("inputs", description.inputs.iter().map(String::as_str))?;
        check_names("outputs", description.outputs.iter().map(|column| column.name.as_str()))?;
        Ok(Self { label, description })
    }

    /// What the instance reads and makes.
    pub fn description(&self) -> &LabelDescription {
        &self.description
    }

    /// Appends emit × outputs numbers to `out`, row-major: labels of the first `emit` rows, the rest being look-ahead
    /// inside the same reach.
    ///
    /// # Errors
    /// `InvalidInput` for a part of a row, or for more labels than rows.
    pub fn compute(&mut self, rows: &[u64], emit: u32, out: &mut Vec<f64>) -> Result<(), PluginError> {
        let width = self.description.inputs.len();
        let available = count(rows, width)?;
        let emit = emit as usize;
        if emit > available {
            return Err(PluginError::InvalidInput(format!("{emit} labels asked of {available} rows; send the rows")));
        }
        let outputs = self.description.outputs.len();
        let before = out.len();
        out.resize(before + emit * outputs, UNSET);
        for (at, out) in out[before..].chunks_exact_mut(outputs).enumerate() {
            self.label.row(Rows::new(rows, width), at, out);
        }
        Ok(())
    }
}
