//! Labels.

use super::{Promise, init, refused, row_count, start};
use crate::contract::LabelGuest;
use crate::host::Plugin;
use crate::manifest::Role;
use crate::sandbox::{CallKind, Sandbox};
use crate::{Instrument, LabelDescription, LabelInstance, Params, PluginFault};

/// A label in a sandbox.
struct WasmLabel<G> {
    sandbox: Sandbox<G>,
    description: LabelDescription,
}

/// A new instance of a label.
pub(crate) fn start_label<G: LabelGuest>(
    plugin: &Plugin,
    params: &Params,
    instrument: &Instrument,
) -> Result<Box<dyn LabelInstance>, PluginFault> {
    let mut sandbox = start(plugin, Role::Label, G::find)?;
    let description = init(&mut sandbox, params, instrument, G::init)?;
    Promise::of(plugin, params)
        .inputs(&description.inputs)
        .outputs(&description.outputs)
        .at_most("lookahead-rows", description.lookahead_rows, plugin.manifest().plugin.lookahead_rows)
        .kept(&mut sandbox)?;
    Ok(Box::new(WasmLabel { sandbox, description }))
}

impl<G: LabelGuest> LabelInstance for WasmLabel<G> {
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
        let outputs = self.description.outputs.len();
        let due = emit as usize * outputs;
        let answer = self.sandbox.call("compute", CallKind::Block, range.clone(), |store, guest| {
            guest.compute(store, rows, emit, due, out)
        })?;
        let given = answer.map_err(|e| refused(self.sandbox.at("compute", range.clone()), e))?;
        if given != due {
            let what = format!("{given} values for {emit} rows × {outputs} outputs, {due} are due");
            return Err(self.sandbox.broke_contract("compute", range, what));
        }
        self.sandbox.saw(emit.into());
        Ok(())
    }

    fn memory_bytes(&self) -> Option<u64> {
        Some(self.sandbox.memory_bytes())
    }

    fn instructions(&self) -> Option<u64> {
        self.sandbox.instructions()
    }
}
