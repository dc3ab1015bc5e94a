use crate::{fault, sdk_instrument, sdk_params};
use ghtrader_plugin::{Instrument, Params, PluginFault, Step, StrategyDescription, StrategyInstance};
use ghtrader_sdk::{Account, Strategy, StrategyDriver};

/// A strategy of the SDK as a native instance.
#[derive(Debug)]
pub struct NativeStrategy<S> {
    driver: StrategyDriver<S>,
    description: StrategyDescription,
    /// Rows of earlier blocks, and of the one that is loaded.
    rows_before: u64,
    block_rows: u64,
    /// The room of the block before.
    spare: Vec<u64>,
}

impl<S: Strategy> NativeStrategy<S> {
    /// Starts an instance; `params` are complete (see `PluginManifest::resolve_params`).
    ///
    /// # Errors
    /// The plugin's own answer to `init`.
    pub fn new(params: &Params, instrument: &Instrument) -> Result<Self, PluginFault> {
        let driver = StrategyDriver::<S>::init(&sdk_params(params), &sdk_instrument(instrument))
            .map_err(|e| fault("init", 0..0, e))?;
        let said = driver.description();
        let description = StrategyDescription { inputs: said.inputs.clone(), warmup_rows: said.warmup_rows };
        Ok(Self { driver, description, rows_before: 0, block_rows: 0, spare: Vec::new() })
    }
}

impl<S: Strategy + Send> StrategyInstance for NativeStrategy<S> {
    fn description(&self) -> &StrategyDescription {
        &self.description
    }

    fn run(&mut self, step: &Step<'_>, actions: &mut Vec<u64>) -> Result<u32, PluginFault> {
        let &Step { rows, start, until, account, events } = step;
        if let Some(rows) = rows {
            self.rows_before += std::mem::take(&mut self.block_rows);
            self.block_rows = (rows.len() / self.description.inputs.len()) as u64;
            self.spare.clear();
            self.spare.extend_from_slice(rows);
            let range = self.rows_before..self.rows_before + self.block_rows;
            let block = std::mem::take(&mut self.spare);
            self.spare = self.driver.load(block).map_err(|e| fault("run", range, e))?;
        }
        let account = Account {
            contract: account.contract,
            long_lots: account.long_lots,
            short_lots: account.short_lots,
            balance_cny: account.balance_cny,
            available_cny: account.available_cny,
            working_orders: account.working_orders,
        };
        let range = self.rows_before + u64::from(start)..self.rows_before + u64::from(until.max(start));
        self.driver.run(start, until, &account, events, actions).map_err(|e| fault("run", range, e))
    }
}
