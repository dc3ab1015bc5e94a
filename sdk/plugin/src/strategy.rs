use crate::kernels::wire;
use crate::rows::{check_names, count, names};
use crate::{Account, Ctx, Event, Instrument, Params, PluginError, Row};
use std::ops::Deref;

/// What a strategy reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrategyDescription {
    /// Tick columns, feature outputs (`feature/mid`) and model outputs (`score/up@50`), in the order of a row's words.
    pub inputs: Vec<String>,
    /// Rows that must have been seen before it may act.
    pub warmup_rows: u32,
}

impl StrategyDescription {
    /// Reads `inputs`, without warm-up.
    pub fn new<S: Into<String>>(inputs: impl IntoIterator<Item = S>) -> Self {
        Self { inputs: names(inputs), warmup_rows: 0 }
    }

    /// The same with that many rows of warm-up.
    #[must_use]
    pub fn warmup_rows(mut self, rows: u32) -> Self {
        self.warmup_rows = rows;
        self
    }
}

/// Decides on orders, row by row.
///
/// What it does may depend on the rows, events and account it was shown, in their order, and on nothing else.
pub trait Strategy: Sized {
    /// Starts an instance.
    ///
    /// # Errors
    /// When a parameter cannot be used.
    fn init(params: &Params, instrument: &Instrument) -> Result<(Self, StrategyDescription), PluginError>;

    /// Handles the next row. Orders sent through `ctx` leave after this row.
    fn on_tick(&mut self, tick: Row<'_>, ctx: &mut Ctx);

    /// Handles what happened before the next row; `ctx` already accounts for it. Orders sent here leave with the row.
    fn on_event(&mut self, event: Event, ctx: &mut Ctx) {
        let _ = (event, ctx);
    }
}

/// Runs a [`Strategy`] until it acts: the one loop that components and native tests share. `B` holds the rows of a block.
#[derive(Debug)]
pub struct StrategyDriver<S, B = Vec<u64>> {
    strategy: S,
    description: StrategyDescription,
    rows: B,
    ctx: Ctx,
}

impl<S: Strategy, B: Deref<Target = [u64]> + Default> StrategyDriver<S, B> {
    /// Starts an instance.
    ///
    /// # Errors
    /// Those of [`Strategy::init`]; `InvalidInput` for a description without inputs, or with a name twice.
    pub fn init(params: &Params, instrument: &Instrument) -> Result<Self, PluginError> {
        let (strategy, description) = S::init(params, instrument)?;
        check_names("inputs", description.inputs.iter().map(String::as_str))?;
        Ok(Self { strategy, description, rows: B::default(), ctx: Ctx::default() })
    }

    /// What the instance reads.
    pub fn description(&self) -> &StrategyDescription {
        &self.description
    }

    /// The strategy itself, for tests to look at.
    pub fn strategy(&self) -> &S {
        &self.strategy
    }

    /// Takes a block of rows in place of the one before, which it gives back.
    ///
    /// # Errors
    /// `InvalidInput` for a part of a row; the block before stays.
    pub fn load(&mut self, rows: B) -> Result<B, PluginError> {
        count(&rows, self.description.inputs.len())?;
        Ok(std::mem::replace(&mut self.rows, rows))
    }

    /// Tells the events, then handles the rows `start..until` up to the first at which the strategy acts.
    ///
    /// Returns that row, or `until`, and appends the packed actions. Without rows (`start == until`) only the events
    /// are told, and what they provoke is returned at `until`.
    ///
    /// # Errors
    /// `InvalidInput` for rows that were not loaded or events that are no whole entries.
    pub fn run(
        &mut self,
        start: u32,
        until: u32,
        account: &Account,
        events: &[u64],
        actions: &mut Vec<u64>,
    ) -> Result<u32, PluginError> {
        let width = self.description.inputs.len();
        let words = (start as usize).checked_mul(width).zip((until as usize).checked_mul(width));
        let rows = words.and_then(|(from, to)| self.rows.get(from..to)).ok_or_else(|| {
            let loaded = self.rows.len() / width;
            PluginError::InvalidInput(format!("rows {start}..{until} asked, {loaded} loaded; load the block first"))
        })?;
        if !events.len().is_multiple_of(wire::WORDS) {
            return Err(PluginError::InvalidInput(format!(
                "{} words of events do not divide into entries of {}",
                events.len(),
                wire::WORDS
            )));
        }
        self.ctx.begin(account);
        for event in wire::entries(events).iter().filter_map(Event::decode) {
            self.ctx.track(event);
            self.strategy.on_event(event, &mut self.ctx);
        }
        let mut at = until;
        for (row, words) in (start..until).zip(rows.chunks_exact(width)) {
            self.strategy.on_tick(Row::new(words), &mut self.ctx);
            if self.ctx.acted() {
                at = row;
                break;
            }
        }
        self.ctx.drain(actions);
        Ok(at)
    }
}
