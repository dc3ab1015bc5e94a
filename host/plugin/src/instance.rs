//! What the host asks of a plugin instance, whether it runs in a sandbox or natively.

use crate::{Boundary, PluginFault};

/// What is traded: fixed for the life of an instance, as of the trading day it starts on.
#[derive(Debug, Clone, PartialEq)]
pub struct Instrument {
    /// Such as `SHFE.cu2602`.
    pub symbol: String,
    /// CNY per quoted unit.
    pub price_tick: f64,
    /// Quoted units a lot.
    pub multiplier: f64,
}

/// An output column of a feature or label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    /// Unique within the plugin.
    pub name: String,
    /// Free text, such as `CNY`, `lots` or `1`.
    pub unit: String,
}

/// What a feature says of itself after `init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureDescription {
    /// Tick columns, in the order in which their words stand in a row.
    pub inputs: Vec<String>,
    /// Output columns, in the order in which their values stand in a row.
    pub outputs: Vec<OutputColumn>,
    /// Rows that must have been seen before the outputs mean anything.
    pub warmup_rows: u32,
}

/// What a label says of itself after `init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelDescription {
    /// Tick columns, in the order in which their words stand in a row.
    pub inputs: Vec<String>,
    /// Output columns, in the order in which their values stand in a row.
    pub outputs: Vec<OutputColumn>,
    /// Rows behind a row that its label may read.
    pub lookahead_rows: u32,
}

/// What a strategy says of itself after `init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrategyDescription {
    /// Tick columns, feature outputs (`feature/mid`) and model outputs (`score/up@50`).
    pub inputs: Vec<String>,
    /// Rows that must have been seen before the strategy acts.
    pub warmup_rows: u32,
}

/// The account as a strategy sees it. Changes only with an event, never from row to row.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AccountView {
    /// Number of the current contract, from 0; one more at each roll.
    pub contract: u32,
    /// Long position in lots.
    pub long_lots: u32,
    /// Short position in lots.
    pub short_lots: u32,
    /// Settled balance, plus profit closed and fees paid since.
    pub balance_cny: f64,
    /// Balance less margin at opening prices.
    pub available_cny: f64,
    /// Orders not yet ended.
    pub working_orders: u32,
}

/// A feature: rows in, the same number of rows of outputs out.
pub trait FeatureInstance: Send {
    /// Inputs, outputs and warm-up, for these parameters.
    fn description(&self) -> &FeatureDescription;

    /// Tells of a border in the stream, before the first row behind it.
    ///
    /// # Errors
    /// The plugin's fault; after any but [`PluginFault::Error`] the instance is retired.
    fn boundary(&mut self, kind: Boundary) -> Result<(), PluginFault>;

    /// Appends `rows × outputs` values, row-major, NaN as the plugin made it.
    ///
    /// `rows` is row-major, one word an input. Any cutting of the same rows into calls gives the same bits, and a row's outputs read
    /// no later row. On a fault `out` is as before.
    ///
    /// # Errors
    /// The plugin's fault; after any but [`PluginFault::Error`] the instance is retired.
    fn compute(&mut self, rows: &[u64], out: &mut Vec<f64>) -> Result<(), PluginFault>;

    /// Linear memory held now, in bytes; `None` for a native instance.
    fn memory_bytes(&self) -> Option<u64> {
        None
    }

    /// Instructions executed so far; `None` where they are not counted.
    fn instructions(&self) -> Option<u64> {
        None
    }
}

/// A label: rows with their look-ahead in, targets out.
pub trait LabelInstance: Send {
    /// Inputs, outputs and look-ahead, for these parameters.
    fn description(&self) -> &LabelDescription;

    /// Appends `emit × outputs` values, row-major; NaN = no label.
    ///
    /// The first `emit` rows get a label; the others are look-ahead inside the same reach, fewer at its end. On a fault `out` is as
    /// before.
    ///
    /// # Errors
    /// The plugin's fault; after any but [`PluginFault::Error`] the instance is retired.
    fn compute(&mut self, rows: &[u64], emit: u32, out: &mut Vec<f64>) -> Result<(), PluginFault>;

    /// Linear memory held now, in bytes; `None` for a native instance.
    fn memory_bytes(&self) -> Option<u64> {
        None
    }

    /// Instructions executed so far; `None` where they are not counted.
    fn instructions(&self) -> Option<u64> {
        None
    }
}

/// What a strategy is asked in one call.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The next block of rows, row-major, one word an input; `None` goes on with the block before.
    pub rows: Option<&'a [u64]>,
    /// First row of the block to handle.
    pub start: u32,
    /// The row behind the last one to handle.
    pub until: u32,
    /// The account, the same for all rows of the step.
    pub account: &'a AccountView,
    /// What happened before row `start` was seen, packed, four words each; between `start` and `until` there is nothing.
    pub events: &'a [u64],
}

/// A strategy: runs over a block until it acts.
pub trait StrategyInstance: Send {
    /// Inputs and warm-up, for these parameters.
    fn description(&self) -> &StrategyDescription;

    /// Handles the rows of a step and returns the first one at which the plugin acts, its actions appended to `actions`
    /// (packed, four words each, see [`ghtrader_kernels::wire`]); the step's `until`, and no action, if it does not act.
    ///
    /// # Errors
    /// The plugin's fault; after any but [`PluginFault::Error`] the instance is retired.
    fn run(&mut self, step: &Step<'_>, actions: &mut Vec<u64>) -> Result<u32, PluginFault>;

    /// Linear memory held now, in bytes; `None` for a native instance.
    fn memory_bytes(&self) -> Option<u64> {
        None
    }

    /// Instructions executed so far; `None` where they are not counted.
    fn instructions(&self) -> Option<u64> {
        None
    }
}
