//! Components that are nothing but their module: the contract's functions as core functions.

use crate::contract::{Answered, FeatureGuest, LabelGuest, StrategyGuest};
use crate::guest::bare::{Bare, BareFn, InitParams, function};
use crate::guest::{Lookup, Running};
use crate::sandbox::Guarded;
use crate::{Boundary, FeatureDescription, Instrument, LabelDescription, Params, Step, StrategyDescription};
use wasmtime::{Instance, Store, TypedFunc, format_err};

/// An instance with its memory, and the name of the role's interface.
fn parts<'a>(store: &mut Store<Guarded>, lookup: &'a Lookup<'_>) -> wasmtime::Result<(Bare, &'a Instance, &'a str)> {
    let Running::Module(instance) = &lookup.running else {
        return Err(format_err!("a component is no module"));
    };
    Ok((Bare::find(store, instance)?, instance, lookup.code.interface()))
}

/// Values in the order they stand in memory, if they are as many as are due; their number.
fn append(values: &[[u8; 8]], due: usize, out: &mut Vec<f64>) -> usize {
    if values.len() == due {
        out.extend(values.iter().map(|value| f64::from_le_bytes(*value)));
    }
    values.len()
}

pub(crate) struct Feature {
    bare: Bare,
    init: BareFn<InitParams>,
    boundary: TypedFunc<u32, ()>,
    compute: BareFn<(u32, u32)>,
}

impl FeatureGuest for Feature {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self> {
        let (bare, instance, interface) = parts(store, lookup)?;
        Ok(Self {
            bare,
            init: BareFn::find(store, instance, interface, "init")?,
            boundary: function(store, instance, &format!("{interface}#boundary"))?,
            compute: BareFn::find(store, instance, interface, "compute")?,
        })
    }

    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<FeatureDescription> {
        let args = self.bare.init(store, params, of)?;
        self.init.call(store, self.bare.memory(), args, |result| result.answer(|value| value.feature()))
    }

    fn boundary(&self, store: &mut Store<Guarded>, kind: Boundary) -> wasmtime::Result<()> {
        self.boundary.call(store, kind as u32)
    }

    fn compute(&self, store: &mut Store<Guarded>, rows: &[u64], due: usize, out: &mut Vec<f64>) -> Answered<usize> {
        let args = self.bare.words(store, rows)?;
        self.compute
            .call(store, self.bare.memory(), args, |result| result.answer(|value| Ok(append(value.list(4)?, due, out))))
    }
}

pub(crate) struct Label {
    bare: Bare,
    init: BareFn<InitParams>,
    compute: BareFn<(u32, u32, u32)>,
}

impl LabelGuest for Label {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self> {
        let (bare, instance, interface) = parts(store, lookup)?;
        Ok(Self {
            bare,
            init: BareFn::find(store, instance, interface, "init")?,
            compute: BareFn::find(store, instance, interface, "compute")?,
        })
    }

    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<LabelDescription> {
        let args = self.bare.init(store, params, of)?;
        self.init.call(store, self.bare.memory(), args, |result| result.answer(|value| value.label()))
    }

    fn compute(
        &self,
        store: &mut Store<Guarded>,
        rows: &[u64],
        emit: u32,
        due: usize,
        out: &mut Vec<f64>,
    ) -> Answered<usize> {
        let (at, words) = self.bare.words(store, rows)?;
        self.compute.call(store, self.bare.memory(), (at, words, emit), |result| {
            result.answer(|value| Ok(append(value.list(4)?, due, out)))
        })
    }
}

/// Rows (present, address, words), start, until, the account, events (present, address, words).
type RunParams = (u32, u32, u32, u32, u32, u32, u32, u32, f64, f64, u32, u32, u32, u32);

pub(crate) struct Strategy {
    bare: Bare,
    init: BareFn<InitParams>,
    run: BareFn<RunParams>,
}

impl StrategyGuest for Strategy {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self> {
        let (bare, instance, interface) = parts(store, lookup)?;
        Ok(Self {
            bare,
            init: BareFn::find(store, instance, interface, "init")?,
            run: BareFn::find(store, instance, interface, "run")?,
        })
    }

    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<StrategyDescription> {
        let args = self.bare.init(store, params, of)?;
        self.init.call(store, self.bare.memory(), args, |result| result.answer(|value| value.strategy()))
    }

    fn run(&self, store: &mut Store<Guarded>, step: &Step<'_>, actions: &mut Vec<u64>) -> Answered<u32> {
        let (has_rows, rows, words) = self.bare.some_words(store, step.rows)?;
        // Nothing at all spares the guest a call for memory, which an empty list does not.
        let events = (!step.events.is_empty()).then_some(step.events);
        let (has_events, events, event_words) = self.bare.some_words(store, events)?;
        let of = step.account;
        let args = (
            has_rows,
            rows,
            words,
            step.start,
            step.until,
            of.contract,
            of.long_lots,
            of.short_lots,
            of.balance_cny,
            of.available_cny,
            of.working_orders,
            has_events,
            events,
            event_words,
        );
        self.run.call(store, self.bare.memory(), args, |result| {
            result.answer(|value| {
                actions.extend(value.list(8)?.iter().map(|word| u64::from_le_bytes(*word)));
                value.field(4)
            })
        })
    }
}
