use crate::{fault, host_columns, sdk_instrument, sdk_params};
use ghtrader_plugin::{Boundary, FeatureDescription, FeatureInstance, Instrument, Params, PluginFault};
use ghtrader_sdk::{Feature, FeatureDriver};

/// A feature of the SDK as a native instance.
#[derive(Debug)]
pub struct NativeFeature<F> {
    driver: FeatureDriver<F>,
    description: FeatureDescription,
    rows_seen: u64,
}

impl<F: Feature> NativeFeature<F> {
    /// Starts an instance; `params` are complete (see `PluginManifest::resolve_params`).
    ///
    /// # Errors
    /// The plugin's own answer to `init`.
    pub fn new(params: &Params, instrument: &Instrument) -> Result<Self, PluginFault> {
        let driver = FeatureDriver::<F>::init(&sdk_params(params), &sdk_instrument(instrument))
            .map_err(|e| fault("init", 0..0, e))?;
        let said = driver.description();
        let description = FeatureDescription {
            inputs: said.inputs.clone(),
            outputs: host_columns(&said.outputs),
            warmup_rows: said.warmup_rows,
        };
        Ok(Self { driver, description, rows_seen: 0 })
    }
}

impl<F: Feature + Send> FeatureInstance for NativeFeature<F> {
    fn description(&self) -> &FeatureDescription {
        &self.description
    }

    fn boundary(&mut self, kind: Boundary) -> Result<(), PluginFault> {
        self.driver.boundary(kind);
        Ok(())
    }

    fn compute(&mut self, rows: &[u64], out: &mut Vec<f64>) -> Result<(), PluginFault> {
        let before = out.len();
        let range = self.rows_seen..self.rows_seen + (rows.len() / self.description.inputs.len()) as u64;
        if let Err(error) = self.driver.compute(rows, out) {
            out.truncate(before);
            return Err(fault("compute", range, error));
        }
        self.rows_seen = range.end;
        Ok(())
    }
}
