use crate::{fault, host_columns, sdk_instrument, sdk_params};
use ghtrader_plugin::{Instrument, LabelDescription, LabelInstance, Params, PluginFault};
use ghtrader_sdk::{Label, LabelDriver};

/// A label of the SDK as a native instance.
#[derive(Debug)]
pub struct NativeLabel<L> {
    driver: LabelDriver<L>,
    description: LabelDescription,
    rows_seen: u64,
}

impl<L: Label> NativeLabel<L> {
    /// Starts an instance; `params` are complete (see `PluginManifest::resolve_params`).
    ///
    /// # Errors
    /// The plugin's own answer to `init`.
    pub fn new(params: &Params, instrument: &Instrument) -> Result<Self, PluginFault> {
        let driver = LabelDriver::<L>::init(&sdk_params(params), &sdk_instrument(instrument))
            .map_err(|e| fault("init", 0..0, e))?;
        let said = driver.description();
        let description = LabelDescription {
            inputs: said.inputs.clone(),
            outputs: host_columns(&said.outputs),
            lookahead_rows: said.lookahead_rows,
        };
        Ok(Self { driver, description, rows_seen: 0 })
    }
}

impl<L: Label + Send> LabelInstance for NativeLabel<L> {
    fn description(&self) -> &LabelDescription {
        &self.description
    }

    fn compute(&mut self, rows: &[u64], emit: u32, out: &mut Vec<f64>) -> Result<(), PluginFault> {
        let before = out.len();
        let range = self.rows_seen..self.rows_seen + u64::from(emit);
        if let Err(error) = self.driver.compute(rows, emit, out) {
            out.truncate(before);
            return Err(fault("compute", range, error));
        }
        self.rows_seen = range.end;
        Ok(())
    }
}
