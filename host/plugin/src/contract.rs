//! The versions of the contract that this host speaks, each a module of its own behind the same traits.
//!
//! A version's types, names and signatures stand in its module alone and never change once it is released; what lies behind the
//! traits is the host's own and may.

use crate::guest::{self, Lookup, Refusal};
use crate::manifest::Role;
use crate::sandbox::Guarded;
use crate::{
    AccountView, Boundary, FeatureDescription, FeatureInstance, Instrument, LabelDescription, LabelInstance, Params,
    Plugin, PluginFault, StrategyDescription, StrategyInstance, v_dev, v_next,
};
use wasmtime::Store;
use wasmtime::component::Linker;
use wit_component::StringEncoding;
use wit_parser::Resolve;

/// Contract versions that this host knows, newest last.
pub const SUPPORTED_CONTRACTS: [&str; VERSIONS.len()] = [VERSIONS[0].name, VERSIONS[1].name];

/// All versions, newest last.
const VERSIONS: [Version; 2] = [Version::of::<v_next::Next>(), Version::of::<v_dev::Dev>()];

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
}

/// The functions of a feature.
pub(crate) trait FeatureGuest: Sized + Send + 'static {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self>;
    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<FeatureDescription>;
    fn boundary(&self, store: &mut Store<Guarded>, kind: Boundary) -> wasmtime::Result<()>;
    fn compute(&self, store: &mut Store<Guarded>, rows: &[u64]) -> Answered<Vec<f64>>;
}

/// The functions of a label.
pub(crate) trait LabelGuest: Sized + Send + 'static {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self>;
    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<LabelDescription>;
    fn compute(&self, store: &mut Store<Guarded>, rows: &[u64], emit: u32) -> Answered<Vec<f64>>;
}

/// The functions of a strategy.
pub(crate) trait StrategyGuest: Sized + Send + 'static {
    fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>) -> wasmtime::Result<Self>;
    fn init(&self, store: &mut Store<Guarded>, params: &Params, of: &Instrument) -> Answered<StrategyDescription>;
    fn load(&self, store: &mut Store<Guarded>, rows: &[u64]) -> wasmtime::Result<()>;
    /// The row at which it acts, and its packed actions.
    fn run(
        &self,
        store: &mut Store<Guarded>,
        rows: (u32, u32),
        account: &AccountView,
        events: &[u64],
    ) -> Answered<(u32, Vec<u64>)>;
}

type Make<I> = fn(&Plugin, &Params, &Instrument) -> Result<Box<I>, PluginFault>;

/// A version as the rest of the host uses it.
#[derive(Clone, Copy)]
pub(crate) struct Version {
    pub(crate) name: &'static str,
    pub(crate) released: bool,
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
