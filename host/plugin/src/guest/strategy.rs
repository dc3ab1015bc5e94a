//! Strategies.

use super::{Promise, init, refused, row_count, start};
use crate::contract::StrategyGuest;
use crate::host::Plugin;
use crate::manifest::Role;
use crate::sandbox::{CallKind, Sandbox};
use crate::{Instrument, Params, PluginFault, Step, StrategyDescription, StrategyInstance};
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

    fn run(&mut self, step: &Step<'_>, actions: &mut Vec<u64>) -> Result<u32, PluginFault> {
        let &Step { rows, start, until, events, .. } = step;
        if let Some(rows) = rows {
            let count = row_count(&self.sandbox, "run", rows.len(), self.description.inputs.len())?;
            // Rows are counted when the block behind them comes, so that a fault names rows of the block at hand.
            self.sandbox.saw(self.block_rows as u64);
            self.block_rows = count;
        }
        let seen = self.sandbox.rows_seen();
        let range = seen + u64::from(start)..seen + u64::from(until.max(start));
        if start > until || until as usize > self.block_rows || !events.len().is_multiple_of(WORDS) {
            let at = self.sandbox.at("run", range);
            let what = format!("rows {start}..{until} of {}, {} event words", self.block_rows, events.len());
            return Err(PluginFault::Misuse { at, what });
        }
        let kind = CallKind::of_rows(self.block_rows);
        let before = actions.len();
        let answer = self.sandbox.call("run", kind, range.clone(), |store, guest| guest.run(store, step, actions))?;
        let at = answer.map_err(|e| refused(self.sandbox.at("run", range.clone()), e))?;
        let words = actions.len() - before;
        if at < start || at > until || !words.is_multiple_of(WORDS) || (at == until && start != until && words != 0) {
            actions.truncate(before);
            let what = format!("at = {at} with {words} action words for rows {start}..{until}");
            return Err(self.sandbox.broke_contract("run", range, what));
        }
        Ok(at)
    }

    fn memory_bytes(&self) -> Option<u64> {
        Some(self.sandbox.memory_bytes())
    }

    fn instructions(&self) -> Option<u64> {
        self.sandbox.instructions()
    }
}
