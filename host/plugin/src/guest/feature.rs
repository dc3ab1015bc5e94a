//! Features.

use super::{Promise, init, refused, row_count, start};
use crate::contract::FeatureGuest;
use crate::host::Plugin;
use crate::manifest::Role;
use crate::sandbox::{CallKind, Sandbox};
use crate::{Boundary, FeatureDescription, FeatureInstance, Instrument, Params, PluginFault};

/// A feature in a sandbox.
struct WasmFeature<G> {
    sandbox: Sandbox<G>,
    description: FeatureDescription,
}

/// A new instance of a feature.
pub(crate) fn start_feature<G: FeatureGuest>(
    plugin: &Plugin,
    params: &Params,
    instrument: &Instrument,
) -> Result<Box<dyn FeatureInstance>, PluginFault> {
    let mut sandbox = start(plugin, Role::Feature, G::find)?;
    let description = init(&mut sandbox, params, instrument, G::init)?;
    Promise::of(plugin, params)
        .inputs(&description.inputs)
        .outputs(&description.outputs)
        .at_most("warmup-rows", description.warmup_rows, plugin.manifest().plugin.warmup_rows)
        .kept(&mut sandbox)?;
    Ok(Box::new(WasmFeature { sandbox, description }))
}

impl<G: FeatureGuest> FeatureInstance for WasmFeature<G> {
    fn description(&self) -> &FeatureDescription {
        &self.description
    }

    fn boundary(&mut self, kind: Boundary) -> Result<(), PluginFault> {
        let seen = self.sandbox.rows_seen();
        self.sandbox.call("boundary", CallKind::Live, seen..seen, |store, guest| guest.boundary(store, kind))
    }

    fn compute(&mut self, rows: &[u64], out: &mut Vec<f64>) -> Result<(), PluginFault> {
        let count = row_count(&self.sandbox, "compute", rows.len(), self.description.inputs.len())?;
        let seen = self.sandbox.rows_seen();
        let range = seen..seen + count as u64;
        let kind = CallKind::of_rows(count);
        let outputs = self.description.outputs.len();
        let due = count * outputs;
        let answer =
            self.sandbox.call("compute", kind, range.clone(), |store, guest| guest.compute(store, rows, due, out))?;
        let given = answer.map_err(|e| refused(self.sandbox.at("compute", range.clone()), e))?;
        if given != due {
            let what = format!("{given} values for {count} rows × {outputs} outputs, {due} are due");
            return Err(self.sandbox.broke_contract("compute", range, what));
        }
        self.sandbox.saw(count as u64);
        Ok(())
    }

    fn memory_bytes(&self) -> Option<u64> {
        Some(self.sandbox.memory_bytes())
    }

    fn instructions(&self) -> Option<u64> {
        self.sandbox.instructions()
    }
}
