//! The contract `ghtrader:plugin@0.1.0-next`: its interfaces as the engine sees them, behind the host's own traits.

mod wit;

use crate::contract::{Answered, Contract, FeatureGuest, LabelGuest, StrategyGuest};
use crate::guest::{GuestFn, Lookup, write_log};
use crate::manifest::Role;
use crate::sandbox::Guarded;
use crate::{
    AccountView, Boundary, FeatureDescription, Instrument, LabelDescription, OutputColumn, Params, StrategyDescription,
};
use wasmtime::component::{Linker, WasmStr};
use wasmtime::{Store, StoreContextMut};

/// The contract under work.
pub(crate) struct Next;

impl Contract for Next {
    const VERSION: &'static str = "0.1.0-next";
    const WIT: &'static str = include_str!("../../../../wit/next/plugin.wit");
    const RELEASED: bool = false;
    type Feature = Feature;
    type Label = Label;
    type Strategy = Strategy;

    fn link(linker: &mut Linker<Guarded>) -> wasmtime::Result<()> {
        linker.instance("ghtrader:plugin/log@0.1.0-next")?.func_wrap("write", log)
    }

    fn functions(role: Role) -> &'static [&'static str] {
        match role {
            Role::Feature => &["init", "boundary", "compute"],
            Role::Label => &["init", "compute"],
            Role::Strategy => &["init", "load", "run"],
        }
    }
}

fn log(mut store: StoreContextMut<'_, Guarded>, (level, line): (wit::Level, WasmStr)) -> wasmtime::Result<()> {
    write_log(&mut store, level.into(), &line)
}

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

    fn compute(&self, store: &mut Store<Guarded>, rows: &[u64]) -> Answered<Vec<f64>> {
        let (answer,) = self.compute.call(store, (rows,))?;
        Ok(answer.map_err(Into::into))
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

    fn compute(&self, store: &mut Store<Guarded>, rows: &[u64], emit: u32) -> Answered<Vec<f64>> {
        let (answer,) = self.compute.call(store, (rows, emit))?;
        Ok(answer.map_err(Into::into))
    }
}

pub(crate) struct Strategy {
    init: GuestFn<wit::StrategyInit>,
    load: GuestFn<wit::StrategyLoad>,
    run: GuestFn<wit::StrategyRun>,
}

impl StrategyGuest for Strategy {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self> {
        Ok(Self {
            init: GuestFn::find(store, lookup, "init")?,
            load: GuestFn::find(store, lookup, "load")?,
            run: GuestFn::find(store, lookup, "run")?,
        })
    }

    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<StrategyDescription> {
        let (answer,) = self.init.call(store, (wit::params(params), of.into()))?;
        Ok(answer
            .map_err(Into::into)
            .map(|said| StrategyDescription { inputs: said.inputs, warmup_rows: said.warmup_rows }))
    }

    fn load(&self, store: &mut Store<Guarded>, rows: &[u64]) -> wasmtime::Result<()> {
        self.load.call(store, (rows,))
    }

    fn run(
        &self,
        store: &mut Store<Guarded>,
        (first, until): (u32, u32),
        account: &AccountView,
        events: &[u64],
    ) -> Answered<(u32, Vec<u64>)> {
        let (answer,) = self.run.call(store, (first, until, account.into(), events))?;
        Ok(answer.map_err(Into::into).map(|outcome| (outcome.at, outcome.actions)))
    }
}

fn columns(columns: Vec<wit::Column>) -> Vec<OutputColumn> {
    columns.into_iter().map(OutputColumn::from).collect()
}
