//! Labels.

use super::feature::append;
use super::wit::{self, GuestFn};
use super::{Promise, answered, init, output_columns, row_count, start};
use crate::host::Plugin;
use crate::manifest::Role;
use crate::sandbox::{CallKind, Sandbox};
use crate::{Instrument, LabelDescription, LabelInstance, Params, PluginFault};

struct Functions {
    init: GuestFn<wit::LabelInit>,
    compute: GuestFn<wit::LabelCompute>,
}

/// A label in a sandbox.
pub(crate) struct WasmLabel {
    sandbox: Sandbox<Functions>,
    description: LabelDescription,
}

impl WasmLabel {
    pub(crate) fn new(plugin: &Plugin, params: &Params, instrument: &Instrument) -> Result<Self, PluginFault> {
        let mut sandbox = start(plugin, Role::Label, |store, lookup| {
            Ok(Functions {
                init: GuestFn::find(store, lookup, "init")?,
                compute: GuestFn::find(store, lookup, "compute")?,
            })
        })?;
        let said = init(&mut sandbox, params, instrument, |store, f, params, instrument| {
            Ok(f.init.call(store, (params, instrument))?.0)
        })?;
        Promise::of(plugin, params)
            .inputs(&said.inputs)
            .outputs(&said.outputs)
            .at_most("lookahead-rows", said.lookahead_rows, plugin.manifest().plugin.lookahead_rows)
            .kept(&mut sandbox)?;
        let description = LabelDescription {
            inputs: said.inputs,
            outputs: output_columns(said.outputs),
            lookahead_rows: said.lookahead_rows,
        };
        Ok(Self { sandbox, description })
    }
}

impl LabelInstance for WasmLabel {
    fn description(&self) -> &LabelDescription {
        &self.description
    }

    fn compute(&mut self, rows: &[u64], emit: u32, out: &mut Vec<f64>) -> Result<(), PluginFault> {
        let count = row_count(&self.sandbox, "compute", rows.len(), self.description.inputs.len())?;
        let seen = self.sandbox.rows_seen();
        let range = seen..seen + u64::from(emit);
        if emit as usize > count {
            let at = self.sandbox.at("compute", range);
            return Err(PluginFault::Misuse { at, what: format!("labels for {emit} of {count} rows") });
        }
        let (answer,) = self
            .sandbox
            .call("compute", CallKind::Block, range.clone(), |store, f| f.compute.call(store, (rows, emit)))?;
        let values = answer.map_err(|e| answered(self.sandbox.at("compute", range.clone()), e))?;
        let outputs = self.description.outputs.len();
        let wanted = emit as usize * outputs;
        if values.len() != wanted {
            let what = format!("{} values for {emit} rows × {outputs} outputs, {wanted} are due", values.len());
            return Err(self.sandbox.broke_contract("compute", range, what));
        }
        self.sandbox.saw(emit.into());
        append(out, values);
        Ok(())
    }

    fn memory_bytes(&self) -> Option<u64> {
        Some(self.sandbox.memory_bytes())
    }
}
