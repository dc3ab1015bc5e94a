//! Strategies.

use super::{Promise, init, refused, row_count, start};
use crate::contract::StrategyGuest;
use crate::host::Plugin;
use crate::manifest::Role;
use crate::sandbox::{CallKind, Sandbox};
use crate::{AccountView, Instrument, Params, PluginFault, StrategyDescription, StrategyInstance};
use ghtrader_kernels::wire::WORDS;

/// A strategy in a sandbox.
struct WasmStrategy<G> {
    sandbox: Sandbox<G>,
    description: StrategyDescription,
    /// Rows of the block that is loaded.
    block_rows: usize,
}

/// A new instance of a strategy.
pub(crate) fn start_strategy<G: StrategyGuest>(
    plugin: &Plugin,
    params: &Params,
    instrument: &Instrument,
) -> Result<Box<dyn StrategyInstance>, PluginFault> {
    let mut sandbox = start(plugin, Role::Strategy, G::find)?;
    let description = init(&mut sandbox, params, instrument, G::init)?;
    Promise::of(plugin, params)
        .inputs(&description.inputs)
        .at_most("warmup-rows", description.warmup_rows, plugin.manifest().plugin.warmup_rows)
        .kept(&mut sandbox)?;
    Ok(Box::new(WasmStrategy { sandbox, description, block_rows: 0 }))
}

impl<G: StrategyGuest> StrategyInstance for WasmStrategy<G> {
    fn description(&self) -> &StrategyDescription {
        &self.description
    }

    fn load(&mut self, rows: &[u64]) -> Result<(), PluginFault> {
        let count = row_count(&self.sandbox, "load", rows.len(), self.description.inputs.len())?;
        // Rows are counted when the block behind them comes, so that a fault in `run` names rows of the block at hand.
        self.sandbox.saw(self.block_rows as u64);
        self.block_rows = 0;
        let seen = self.sandbox.rows_seen();
        let kind = CallKind::of_rows(count);
        self.sandbox.call("load", kind, seen..seen + count as u64, |store, guest| guest.load(store, rows))?;
        self.block_rows = count;
        Ok(())
    }

    fn run(
        &mut self,
        first: u32,
        until: u32,
        account: &AccountView,
        events: &[u64],
        actions: &mut Vec<u64>,
    ) -> Result<u32, PluginFault> {
        let seen = self.sandbox.rows_seen();
        let range = seen + u64::from(first)..seen + u64::from(until.max(first));
        if first > until || until as usize > self.block_rows || !events.len().is_multiple_of(WORDS) {
            let at = self.sandbox.at("run", range);
            let what = format!("rows {first}..{until} of {}, {} event words", self.block_rows, events.len());
            return Err(PluginFault::Misuse { at, what });
        }
        let kind = CallKind::of_rows(self.block_rows);
        let answer = self
            .sandbox
            .call("run", kind, range.clone(), |store, guest| guest.run(store, (first, until), account, events))?;
        let (at, sent) = answer.map_err(|e| refused(self.sandbox.at("run", range.clone()), e))?;
        let words = sent.len();
        if at < first || at > until || words % WORDS != 0 || (at == until && first != until && words != 0) {
            let what = format!("at = {at} with {words} action words for rows {first}..{until}");
            return Err(self.sandbox.broke_contract("run", range, what));
        }
        actions.extend_from_slice(&sent);
        Ok(at)
    }

    fn memory_bytes(&self) -> Option<u64> {
        Some(self.sandbox.memory_bytes())
    }

    fn instructions(&self) -> Option<u64> {
        self.sandbox.instructions()
    }
}
