//! Components of any make, through the engine's own canonical ABI.

use super::wit;
use crate::contract::{Answered, FeatureGuest, LabelGuest, StrategyGuest};
use crate::guest::{GuestFn, Lookup};
use crate::sandbox::{Guarded, TooMuch};
use crate::{
    Boundary, FeatureDescription, Instrument, LabelDescription, OutputColumn, Params, Step, StrategyDescription,
};
use wasmtime::Store;

pub(crate) struct Feature {
    init: GuestFn<wit::FeatureInit>,
    boundary: GuestFn<wit::FeatureBoundary>,
    compute: GuestFn<wit::FeatureCompute>,
}

impl FeatureGuest for Feature {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self> {
        Ok(Self {
            init: GuestFn::find(store, lookup, "init")?,
            boundary: GuestFn::find(store, lookup, "boundary")?,
            compute: GuestFn::find(store, lookup, "compute")?,
        })
    }

    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<FeatureDescription> {
        let (answer,) = self.init.call(store, (wit::params(params), of.into()))?;
        Ok(answer.map_err(Into::into).map(|said| FeatureDescription {
            inputs: said.inputs,
            outputs: columns(said.outputs),
            warmup_rows: said.warmup_rows,
        }))
    }

    fn boundary(&self, store: &mut Store<Guarded>, kind: Boundary) -> wasmtime::Result<()> {
        self.boundary.call(store, (kind.into(),))
    }

    fn compute(&self, store: &mut Store<Guarded>, rows: &[u64], due: usize, out: &mut Vec<f64>) -> Answered<usize> {
        let (answer,) = self.compute.call(store, (rows,))?;
        Ok(answer.map_err(Into::into).map(|values| append(&values, due, out)))
    }
}

pub(crate) struct Label {
    init: GuestFn<wit::LabelInit>,
    compute: GuestFn<wit::LabelCompute>,
}

impl LabelGuest for Label {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self> {
        Ok(Self { init: GuestFn::find(store, lookup, "init")?, compute: GuestFn::find(store, lookup, "compute")? })
    }

    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<LabelDescription> {
        let (answer,) = self.init.call(store, (wit::params(params), of.into()))?;
        Ok(answer.map_err(Into::into).map(|said| LabelDescription {
            inputs: said.inputs,
            outputs: columns(said.outputs),
            lookahead_rows: said.lookahead_rows,
        }))
    }

    fn compute(
        &self,
        store: &mut Store<Guarded>,
        rows: &[u64],
        emit: u32,
        due: usize,
        out: &mut Vec<f64>,
    ) -> Answered<usize> {
        let (answer,) = self.compute.call(store, (rows, emit))?;
        Ok(answer.map_err(Into::into).map(|values| append(&values, due, out)))
    }
}

pub(crate) struct Strategy {
    init: GuestFn<wit::StrategyInit>,
    run: GuestFn<wit::StrategyRun>,
}

impl StrategyGuest for Strategy {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self> {
        Ok(Self { init: GuestFn::find(store, lookup, "init")?, run: GuestFn::find(store, lookup, "run")? })
    }

    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<StrategyDescription> {
        let (answer,) = self.init.call(store, (wit::params(params), of.into()))?;
        Ok(answer
            .map_err(Into::into)
            .map(|said| StrategyDescription { inputs: said.inputs, warmup_rows: said.warmup_rows }))
    }

    fn run(&self, store: &mut Store<Guarded>, step: &Step<'_>, actions: &mut Vec<u64>) -> Answered<u32> {
        // Nothing at all spares the guest a call for memory, which an empty list does not.
        let events = (!step.events.is_empty()).then_some(step.events);
        let (answer,) = self.run.call(&mut *store, (step.rows, step.start, step.until, step.account.into(), events))?;
        let outcome = match answer {
            Ok(outcome) => outcome,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let sent = outcome.actions.as_le_slice(&*store);
        if size_of_val(sent) > store.data().output_bytes {
            return Err(TooMuch.into());
        }
        actions.extend_from_slice(sent);
        Ok(Ok(outcome.at))
    }
}

/// Appends what is as much as is due, and gives its number.
fn append(values: &[f64], due: usize, out: &mut Vec<f64>) -> usize {
    if values.len() == due {
        out.extend_from_slice(values);
    }
    values.len()
}

fn columns(columns: Vec<wit::Column>) -> Vec<OutputColumn> {
    columns.into_iter().map(OutputColumn::from).collect()
}
