//! Features.

use super::wit::{self, GuestFn};
use super::{Promise, answered, init, output_columns, row_count, start};
use crate::host::Plugin;
use crate::manifest::Role;
use crate::sandbox::{CallKind, Sandbox};
use crate::{Boundary, FeatureDescription, FeatureInstance, Instrument, Params, PluginFault};

struct Functions {
    init: GuestFn<wit::FeatureInit>,
    boundary: GuestFn<wit::FeatureBoundary>,
    compute: GuestFn<wit::FeatureCompute>,
}

/// A feature in a sandbox.
pub(crate) struct WasmFeature {
    sandbox: Sandbox<Functions>,
    description: FeatureDescription,
}

impl WasmFeature {
    pub(crate) fn new(plugin: &Plugin, params: &Params, instrument: &Instrument) -> Result<Self, PluginFault> {
        let mut sandbox = start(plugin, Role::Feature, |store, lookup| {
            Ok(Functions {
                init: GuestFn::find(store, lookup, "init")?,
                boundary: GuestFn::find(store, lookup, "boundary")?,
                compute: GuestFn::find(store, lookup, "compute")?,
            })
        })?;
        let said = init(&mut sandbox, params, instrument, |store, f, params, instrument| {
            Ok(f.init.call(store, (params, instrument))?.0)
        })?;
        Promise::of(plugin, params)
            .inputs(&said.inputs)
            .outputs(&said.outputs)
            .at_most("warmup-rows", said.warmup_rows, plugin.manifest().plugin.warmup_rows)
            .kept(&mut sandbox)?;
        let description = FeatureDescription {
            inputs: said.inputs,
            outputs: output_columns(said.outputs),
            warmup_rows: said.warmup_rows,
        };
        Ok(Self { sandbox, description })
    }
}

impl FeatureInstance for WasmFeature {
    fn description(&self) -> &FeatureDescription {
        &self.description
    }

    fn boundary(&mut self, kind: Boundary) -> Result<(), PluginFault> {
        let seen = self.sandbox.rows_seen();
        self.sandbox.call("boundary", CallKind::Live, seen..seen, |store, f| f.boundary.call(store, (kind.into(),)))
    }

    fn compute(&mut self, rows: &[u64], out: &mut Vec<f64>) -> Result<(), PluginFault> {
        let count = row_count(&self.sandbox, "compute", rows.len(), self.description.inputs.len())?;
        let seen = self.sandbox.rows_seen();
        let range = seen..seen + count as u64;
        let kind = CallKind::of_rows(count);
        let (answer,) = self.sandbox.call("compute", kind, range.clone(), |store, f| f.compute.call(store, (rows,)))?;
        let values = answer.map_err(|e| answered(self.sandbox.at("compute", range.clone()), e))?;
        let (wanted, outputs) = (count * self.description.outputs.len(), self.description.outputs.len());
        if values.len() != wanted {
            let what = format!("{} values for {count} rows × {outputs} outputs, {wanted} are due", values.len());
            return Err(self.sandbox.broke_contract("compute", range, what));
        }
        self.sandbox.saw(count as u64);
        append(out, values);
        Ok(())
    }

    fn memory_bytes(&self) -> Option<u64> {
        Some(self.sandbox.memory_bytes())
    }
}

/// Appends; an empty vector takes the values over instead of copying them.
pub(super) fn append(out: &mut Vec<f64>, values: Vec<f64>) {
    if out.is_empty() {
        *out = values;
    } else {
        out.extend_from_slice(&values);
    }
}
