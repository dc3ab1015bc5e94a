//! One strategy instance behind its input layout.

use crate::{InputLayout, RuntimeError};
use ghtrader_kernels::wire::{Action, Event, WORDS};
use ghtrader_plugin::{AccountView, Step, StrategyInstance};
use std::ops::Range;

/// Drives a strategy: hands it blocks, lets it run until it acts, decodes what it wants.
pub struct StrategyRunner {
    instance: Box<dyn StrategyInstance>,
    layout: InputLayout,
    event_words: Vec<u64>,
    action_words: Vec<u64>,
}

impl StrategyRunner {
    /// Resolves the strategy's inputs against the lineup's columns.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownColumn`] if it asks for a column that nothing makes.
    pub fn new(instance: Box<dyn StrategyInstance>, made: &[String]) -> Result<Self, RuntimeError> {
        let layout = InputLayout::resolve(&instance.description().inputs, made)?;
        Ok(Self { instance, layout, event_words: Vec::new(), action_words: Vec::new() })
    }

    /// Rows that must have been seen before the strategy may act.
    pub fn warmup_rows(&self) -> u32 {
        self.instance.description().warmup_rows
    }

    /// Linear memory of the instance, bytes; 0 for a native one.
    pub fn memory_bytes(&self) -> u64 {
        self.instance.memory_bytes().unwrap_or(0)
    }

    /// What a row of a block consists of; equal for all instances of one lineup, so a block is packed once for all.
    pub fn layout(&self) -> &InputLayout {
        &self.layout
    }

    /// Runs `rows` of a block; gives the row at which it acts (the range's end if it does not).
    ///
    /// `block` is the next one, packed by [`Self::layout`]; `None` goes on with the one before. `actions` is replaced by what
    /// the strategy does.
    ///
    /// # Errors
    /// The plugin's fault, or [`RuntimeError::Contract`] for a row outside the range or an action that cannot be read.
    pub fn run(
        &mut self,
        block: Option<&[u64]>,
        rows: Range<u32>,
        account: &AccountView,
        events: &[Event],
        actions: &mut Vec<Action>,
    ) -> Result<u32, RuntimeError> {
        self.event_words.clear();
        for event in events {
            self.event_words.extend_from_slice(&event.encode());
        }
        self.action_words.clear();
        actions.clear();
        let Range { start, end: until } = rows;
        let step = Step { rows: block, start, until, account, events: &self.event_words };
        let at = self.instance.run(&step, &mut self.action_words)?;
        if at < start || at > until || (at == until) != self.action_words.is_empty() {
            return Err(RuntimeError::Contract {
                what: format!(
                    "run({start}, {until}) returned row {at} with {} action words; a row inside with actions, or {until} \
                     with none",
                    self.action_words.len()
                ),
            });
        }
        let (chunks, rest) = self.action_words.as_chunks::<WORDS>();
        if !rest.is_empty() {
            return Err(RuntimeError::Contract {
                what: format!("{} action words are no multiple of {WORDS}", self.action_words.len()),
            });
        }
        for chunk in chunks {
            let action = Action::decode(chunk)
                .ok_or_else(|| RuntimeError::Contract { what: format!("no action is packed as {chunk:?}") })?;
            actions.push(action);
        }
        Ok(at)
    }
}
