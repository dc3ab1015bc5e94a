//! Strategies.

use super::wit::{self, GuestFn};
use super::{Promise, answered, init, row_count, start};
use crate::host::Plugin;
use crate::manifest::Role;
use crate::sandbox::{CallKind, Sandbox};
use crate::{AccountView, Instrument, Params, PluginFault, StrategyDescription, StrategyInstance};
use ghtrader_kernels::wire::WORDS;

struct Functions {
    init: GuestFn<wit::StrategyInit>,
    load: GuestFn<wit::StrategyLoad>,
    run: GuestFn<wit::StrategyRun>,
}

/// A strategy in a sandbox.
pub(crate) struct WasmStrategy {
    sandbox: Sandbox<Functions>,
    description: StrategyDescription,
    /// Rows of the block that is loaded.
    block_rows: usize,
}

impl WasmStrategy {
    pub(crate) fn new(plugin: &Plugin, params: &Params, instrument: &Instrument) -> Result<Self, PluginFault> {
        let mut sandbox = start(plugin, Role::Strategy, |store, lookup| {
            Ok(Functions {
                init: GuestFn::find(store, lookup, "init")?,
                load: GuestFn::find(store, lookup, "load")?,
                run: GuestFn::find(store, lookup, "run")?,
            })
        })?;
        let said = init(&mut sandbox, params, instrument, |store, f, params, instrument| {
            Ok(f.init.call(store, (params, instrument))?.0)
        })?;
        Promise::of(plugin, params)
            .inputs(&said.inputs)
            .at_most("warmup-rows", said.warmup_rows, plugin.manifest().plugin.warmup_rows)
            .kept(&mut sandbox)?;
        let description = StrategyDescription { inputs: said.inputs, warmup_rows: said.warmup_rows };
        Ok(Self { sandbox, description, block_rows: 0 })
    }
}

impl StrategyInstance for WasmStrategy {
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
        self.sandbox.call("load", kind, seen..seen + count as u64, |store, f| f.load.call(store, (rows,)))?;
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
        let (answer,) = self
            .sandbox
            .call("run", kind, range.clone(), |store, f| f.run.call(store, (first, until, account.into(), events)))?;
        let outcome = answer.map_err(|e| answered(self.sandbox.at("run", range.clone()), e))?;
        let (at, words) = (outcome.at, outcome.actions.len());
        if at < first || at > until || words % WORDS != 0 || (at == until && first != until && words != 0) {
            let what = format!("at = {at} with {words} action words for rows {first}..{until}");
            return Err(self.sandbox.broke_contract("run", range, what));
        }
        actions.extend_from_slice(&outcome.actions);
        Ok(at)
    }

    fn memory_bytes(&self) -> Option<u64> {
        Some(self.sandbox.memory_bytes())
    }
}
