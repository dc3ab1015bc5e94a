//! The versions of the contract that this host speaks, each a module of its own behind the same traits.
//!
//! A version's types, names and signatures stand in its module alone and never change once it is released; what lies behind the
//! traits is the host's own and may.

use crate::guest::{self, Lookup, Refusal, Running};
use crate::manifest::Role;
use crate::sandbox::Guarded;
use crate::{
    Boundary, FeatureDescription, FeatureInstance, Instrument, LabelDescription, LabelInstance, Params, Plugin,
    PluginFault, Step, StrategyDescription, StrategyInstance, v_dev, v0_1,
};
use wasmtime::Store;
use wasmtime::component::Linker;
use wit_component::StringEncoding;
use wit_parser::Resolve;

/// Contract versions that this host knows, newest last.
pub const SUPPORTED_CONTRACTS: [&str; VERSIONS.len()] = [VERSIONS[0].name, VERSIONS[1].name];

/// All versions, newest last.
const VERSIONS: [Version; 2] = [Version::of::<v0_1::Released>(), Version::of::<v_dev::Dev>()];

/// What a guest's function gives: a value, or the plugin's own refusal.
pub(crate) type Answered<T> = wasmtime::Result<Result<T, Refusal>>;

/// A version of the contract.
pub(crate) trait Contract {
    /// As in the package line of its WIT.
    const VERSION: &'static str;
    /// Its text.
    const WIT: &'static str;
    /// It can no longer change; others load with the development channel on.
    const RELEASED: bool;
    type Feature: FeatureGuest;
    type Label: LabelGuest;
    type Strategy: StrategyGuest;

    /// Adds what guests may import.
    fn link(linker: &mut Linker<Guarded>) -> wasmtime::Result<()>;

    /// The functions of a role's interface.
    fn functions(role: Role) -> &'static [&'static str];

    /// A component that is nothing but its module may be called as that.
    const BARE: bool;
}

/// The functions of a feature.
pub(crate) trait FeatureGuest: Sized + Send + 'static {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self>;
    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<FeatureDescription>;
    fn boundary(&self, store: &mut Store<Guarded>, kind: Boundary) -> wasmtime::Result<()>;
    /// Appends the values if they are as many as are due, and gives their number.
    fn compute(&self, store: &mut Store<Guarded>, rows: &[u64], due: usize, out: &mut Vec<f64>) -> Answered<usize>;
}

/// The functions of a label.
pub(crate) trait LabelGuest: Sized + Send + 'static {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self>;
    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<LabelDescription>;
    /// Appends the values if they are as many as are due, and gives their number.
    fn compute(
        &self,
        store: &mut Store<Guarded>,
        rows: &[u64],
        emit: u32,
        due: usize,
        out: &mut Vec<f64>,
    ) -> Answered<usize>;
}

/// The functions of a strategy.
pub(crate) trait StrategyGuest: Sized + Send + 'static {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self>;
    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<StrategyDescription>;
    /// Appends its packed actions, and gives the row at which it acts.
    fn run(&self, store: &mut Store<Guarded>, step: &Step<'_>, actions: &mut Vec<u64>) -> Answered<u32>;
}

/// A guest in one of two ways: as a component, or as the module that it is nothing but.
pub(crate) enum Either<C, B> {
    Component(C),
    Bare(B),
}

impl<C, B> Either<C, B> {
    fn find(
        store: &mut Store<Guarded>,
        lookup: &Lookup<'_>,
        component: impl FnOnce(&mut Store<Guarded>, &Lookup<'_>) -> wasmtime::Result<C>,
        bare: impl FnOnce(&mut Store<Guarded>, &Lookup<'_>) -> wasmtime::Result<B>,
    ) -> wasmtime::Result<Self> {
        match lookup.running {
            Running::Component(_) => component(store, lookup).map(Self::Component),
            Running::Module(_) => bare(store, lookup).map(Self::Bare),
        }
    }
}

impl<C: FeatureGuest, B: FeatureGuest> FeatureGuest for Either<C, B> {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self> {
        Self::find(store, lookup, C::find, B::find)
    }

    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<FeatureDescription> {
        match self {
            Self::Component(guest) => guest.init(store, params, of),
            Self::Bare(guest) => guest.init(store, params, of),
        }
    }

    fn boundary(&self, store: &mut Store<Guarded>, kind: Boundary) -> wasmtime::Result<()> {
        match self {
            Self::Component(guest) => guest.boundary(store, kind),
            Self::Bare(guest) => guest.boundary(store, kind),
        }
    }

    fn compute(&self, store: &mut Store<Guarded>, rows: &[u64], due: usize, out: &mut Vec<f64>) -> Answered<usize> {
        match self {
            Self::Component(guest) => guest.compute(store, rows, due, out),
            Self::Bare(guest) => guest.compute(store, rows, due, out),
        }
    }
}

impl<C: LabelGuest, B: LabelGuest> LabelGuest for Either<C, B> {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self> {
        Self::find(store, lookup, C::find, B::find)
    }

    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<LabelDescription> {
        match self {
            Self::Component(guest) => guest.init(store, params, of),
            Self::Bare(guest) => guest.init(store, params, of),
        }
    }

    fn compute(
        &self,
        store: &mut Store<Guarded>,
        rows: &[u64],
        emit: u32,
        due: usize,
        out: &mut Vec<f64>,
    ) -> Answered<usize> {
        match self {
            Self::Component(guest) => guest.compute(store, rows, emit, due, out),
            Self::Bare(guest) => guest.compute(store, rows, emit, due, out),
        }
    }
}

impl<C: StrategyGuest, B: StrategyGuest> StrategyGuest for Either<C, B> {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self> {
        Self::find(store, lookup, C::find, B::find)
    }

    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<StrategyDescription> {
        match self {
            Self::Component(guest) => guest.init(store, params, of),
            Self::Bare(guest) => guest.init(store, params, of),
        }
    }

    fn run(&self, store: &mut Store<Guarded>, step: &Step<'_>, actions: &mut Vec<u64>) -> Answered<u32> {
        match self {
            Self::Component(guest) => guest.run(store, step, actions),
            Self::Bare(guest) => guest.run(store, step, actions),
        }
    }
}

type Make<I> = fn(&Plugin, &Params, &Instrument) -> Result<Box<I>, PluginFault>;

/// A version as the rest of the host uses it.
#[derive(Clone, Copy)]
pub(crate) struct Version {
    pub(crate) name: &'static str,
    pub(crate) released: bool,
    /// See [`Contract::BARE`].
    pub(crate) bare: bool,
    wit: &'static str,
    pub(crate) link: fn(&mut Linker<Guarded>) -> wasmtime::Result<()>,
    pub(crate) functions: fn(Role) -> &'static [&'static str],
    pub(crate) feature: Make<dyn FeatureInstance>,
    pub(crate) label: Make<dyn LabelInstance>,
    pub(crate) strategy: Make<dyn StrategyInstance>,
}

impl Version {
    const fn of<C: Contract>() -> Self {
        Self {
            name: C::VERSION,
            released: C::RELEASED,
            bare: C::BARE,
            wit: C::WIT,
            link: C::link,
            functions: C::functions,
            feature: guest::start_feature::<C::Feature>,
            label: guest::start_label::<C::Label>,
            strategy: guest::start_strategy::<C::Strategy>,
        }
    }

    /// The version of that name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        VERSIONS.into_iter().find(|v| v.name == name)
    }

    /// Notes in a core module which world's functions it exports; what is wrong with it otherwise.
    pub(crate) fn embed_world(&self, module: &mut Vec<u8>, role: Role) -> Result<(), String> {
        let mut resolve = Resolve::new();
        let package = resolve.push_str("plugin.wit", self.wit).map_err(|e| format!("{e:#}"))?;
        let world = resolve.select_world(&[package], Some(&format!("{role}-plugin"))).map_err(|e| format!("{e:#}"))?;
        wit_component::embed_component_metadata(module, &resolve, world, StringEncoding::UTF8)
            .map_err(|e| format!("{e:#}"))
    }
}
