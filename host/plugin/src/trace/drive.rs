//! Calls an instance over a fixture as the host does.

use super::broker::Broker;
use super::stream::Stream;
use super::{Rng, Splits, Trace};
use crate::{
    CallSite, FeatureInstance, Fixture, LabelInstance, OutputColumn, PluginFault, Reach, Step, StrategyInstance,
};
use ghtrader_kernels::wire::{Action, Boundary, WORDS};
use std::ops::Range;

/// Most actions of a run.
const MAX_ACTIONS: usize = 1 << 20;
/// Longest stretch that is searched for fills while orders work.
const AHEAD_ROWS: usize = 256;

/// Runs a feature over a fixture: borders are told before the first row behind them, and blocks end there too.
///
/// # Errors
/// The instance's fault; [`PluginFault::Contract`] for a wrong number of values.
pub fn trace_feature(
    instance: &mut dyn FeatureInstance,
    fixture: &Fixture,
    splits: Splits,
) -> Result<Trace, PluginFault> {
    let description = instance.description().clone();
    let (rows, width) = (fixture.ticks.rows(), description.outputs.len());
    let stream = Stream::new(fixture, &description.inputs);
    let mut borders = fixture.borders.iter().peekable();
    let (mut words, mut values) = (Vec::new(), Vec::with_capacity(rows * width));
    for block in splits.blocks(rows) {
        let mut start = block.start;
        while start < block.end {
            while let Some((_, kind)) = borders.next_if(|(row, _)| *row <= start) {
                instance.boundary(*kind)?;
            }
            let end = borders.peek().map_or(block.end, |(row, _)| (*row).min(block.end));
            stream.pack(start..end, &mut words);
            let before = values.len();
            instance.compute(&words, &mut values)?;
            given("compute", start..end, (end - start) * width, values.len() - before)?;
            start = end;
        }
    }
    Ok(Trace::of_values(names(description.outputs), rows, &values))
}

/// Runs a label over a fixture: with each block come the rows behind it, as far as the label looks and its reach goes.
///
/// # Errors
/// As [`trace_feature`].
pub fn trace_label(
    instance: &mut dyn LabelInstance,
    fixture: &Fixture,
    reach: Reach,
    splits: Splits,
) -> Result<Trace, PluginFault> {
    let description = instance.description().clone();
    let (rows, width) = (fixture.ticks.rows(), description.outputs.len());
    let lookahead = description.lookahead_rows as usize;
    let stream = Stream::new(fixture, &description.inputs);
    let reaches = label_reaches(fixture, reach);
    let (mut words, mut values) = (Vec::new(), Vec::with_capacity(rows * width));
    for block in splits.blocks(rows) {
        for range in reaches.iter().filter(|r| r.start < block.end && block.start < r.end) {
            let emit = range.start.max(block.start)..range.end.min(block.end);
            stream.pack(emit.start..emit.end.saturating_add(lookahead).min(range.end), &mut words);
            let before = values.len();
            instance.compute(&words, emit.len() as u32, &mut values)?;
            given("compute", emit.clone(), emit.len() * width, values.len() - before)?;
        }
    }
    Ok(Trace::of_values(names(description.outputs), rows, &values))
}

/// Stretches of rows over whose ends no label may look.
pub(crate) fn label_reaches(fixture: &Fixture, reach: Reach) -> Vec<Range<usize>> {
    let ends = |kind: &Boundary| match reach {
        Reach::Session => *kind != Boundary::Gap && *kind != Boundary::Other,
        Reach::Day => matches!(kind, Boundary::TradingDay | Boundary::Roll),
        Reach::Segment => *kind == Boundary::Roll,
    };
    let mut cuts: Vec<usize> = fixture.borders.iter().filter(|(_, kind)| ends(kind)).map(|(row, _)| *row).collect();
    cuts.extend([0, fixture.ticks.rows()]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

/// Runs a strategy over a fixture against a small broker that answers the same orders the same way: blocks are loaded, the strategy
/// runs until it acts, and account and events change with an event alone.
///
/// # Errors
/// The instance's fault; [`PluginFault::Contract`] for a row outside the range asked for, a strategy that stands still, words that
/// are no action, and a client id that is reserved or in use.
pub fn trace_strategy(
    instance: &mut dyn StrategyInstance,
    fixture: &Fixture,
    splits: Splits,
) -> Result<Trace, PluginFault> {
    let description = instance.description().clone();
    let rows = fixture.ticks.rows();
    let stream = Stream::new(fixture, &description.inputs);
    let mut broker = Broker::new(fixture, description.warmup_rows);
    let mut windows = match splits {
        Splits::Random(seed) => Some(Rng::new(!seed)),
        _ => None,
    };
    let (mut words, mut sent, mut actions) = (Vec::new(), Vec::new(), Vec::new());
    for block in splits.blocks(rows) {
        stream.pack(block.clone(), &mut words);
        let mut next = Some(words.as_slice());
        let mut row = block.start;
        while row < block.end {
            let events = broker.events_before(row);
            let longest = windows.as_mut().map_or(AHEAD_ROWS, |rng| 1 + rng.below(AHEAD_ROWS as u64) as usize);
            let until = broker.next_news(row, block.end.min(row + longest));
            let [first, last] = [row, until].map(|r| (r - block.start) as u32);
            sent.clear();
            let account = broker.account();
            let step = Step { rows: next.take(), start: first, until: last, account: &account, events: &events };
            let at = instance.run(&step, &mut sent)?;
            let (entries, rest) = sent.as_chunks::<WORDS>();
            match (entries.len(), rest.len()) {
                (0, 0) if at == last => {
                    broker.settle(until);
                    row = until;
                    continue;
                }
                (1.., 0) if (first..last).contains(&at) => {}
                _ => {
                    let what = format!("at = {at} with {} action words for rows {first}..{last}", sent.len());
                    return Err(broken("run", row..until, what));
                }
            }
            let at = block.start + at as usize;
            if actions.len() + entries.len() > MAX_ACTIONS {
                return Err(broken("run", at..at + 1, format!("more than {MAX_ACTIONS} actions on {rows} rows")));
            }
            for words in entries {
                let action = Action::decode(words).ok_or_else(|| format!("no action is packed as {words:x?}"));
                action.and_then(|a| broker.take(at, a)).map_err(|what| broken("run", at..at + 1, what))?;
                actions.push((at, *words));
            }
            broker.settle(at + 1);
            row = at + 1;
        }
    }
    Ok(Trace::of_actions(rows, actions.into_iter().map(|(at, words)| (at, one_nan(words))).collect()))
}

/// A market order's limit may be any NaN.
fn one_nan(words: [u64; WORDS]) -> [u64; WORDS] {
    Action::decode(&words).map_or(words, |action| action.encode())
}

fn names(outputs: Vec<OutputColumn>) -> Vec<String> {
    outputs.into_iter().map(|column| column.name).collect()
}

fn given(function: &'static str, rows: Range<usize>, due: usize, values: usize) -> Result<(), PluginFault> {
    if values == due {
        return Ok(());
    }
    let what = format!("{values} values for {} rows, {due} are due", rows.len());
    Err(broken(function, rows, what))
}

fn broken(function: &'static str, rows: Range<usize>, what: String) -> PluginFault {
    let at = CallSite { plugin: "plugin".into(), function, rows: rows.start as u64..rows.end as u64 };
    PluginFault::Contract { at, what }
}
