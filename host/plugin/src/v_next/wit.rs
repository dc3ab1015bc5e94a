//! Types and functions of the contract, as the engine's canonical ABI reads them. Field order and names are the contract's.
#![expect(unsafe_code, reason = "a checked function is called with borrowed rows; see `GuestFn::call`")]

use super::Code;
use crate::manifest::Role;
use crate::params::ParamValue;
use crate::sandbox::Guarded;
use crate::{AccountView, Boundary, Params};
use std::marker::PhantomData;
use wasmtime::Store;
use wasmtime::component::{ComponentNamedList, ComponentType, Func, Instance, Lift, Lower, TypedFunc};

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "the engine makes the values, by their number")]
pub(crate) enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
}

#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum PluginError {
    #[component(name = "invalid-input")]
    InvalidInput(String),
    #[component(name = "not-ready")]
    NotReady(String),
    #[component(name = "other")]
    Other(String),
}

#[derive(ComponentType, Lower)]
#[component(variant)]
pub(crate) enum Value {
    #[component(name = "integer")]
    Integer(i64),
    #[component(name = "number")]
    Number(f64),
    #[component(name = "text")]
    Text(String),
    #[component(name = "flag")]
    Flag(bool),
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Param {
    name: String,
    value: Value,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) unit: String,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Instrument {
    symbol: String,
    #[component(name = "price-tick")]
    price_tick: f64,
    multiplier: f64,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Border {
    #[component(name = "session")]
    Session,
    #[component(name = "trading-day")]
    TradingDay,
    #[component(name = "roll")]
    Roll,
    #[component(name = "gap")]
    Gap,
    #[component(name = "other")]
    Other,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct FeatureDescription {
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<Column>,
    #[component(name = "warmup-rows")]
    pub(crate) warmup_rows: u32,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct LabelDescription {
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<Column>,
    #[component(name = "lookahead-rows")]
    pub(crate) lookahead_rows: u32,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct StrategyDescription {
    pub(crate) inputs: Vec<String>,
    #[component(name = "warmup-rows")]
    pub(crate) warmup_rows: u32,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Account {
    contract: u32,
    #[component(name = "long-lots")]
    long_lots: u32,
    #[component(name = "short-lots")]
    short_lots: u32,
    #[component(name = "balance-cny")]
    balance_cny: f64,
    #[component(name = "available-cny")]
    available_cny: f64,
    #[component(name = "working-orders")]
    working_orders: u32,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Outcome {
    pub(crate) at: u32,
    pub(crate) actions: Vec<u64>,
}

pub(crate) fn params(params: &Params) -> Vec<Param> {
    let value = |v: &ParamValue| match v {
        ParamValue::Flag(v) => Value::Flag(*v),
        ParamValue::Integer(v) => Value::Integer(*v),
        ParamValue::Number(v) => Value::Number(*v),
        ParamValue::Text(v) => Value::Text(v.clone()),
    };
    params.iter().map(|(name, v)| Param { name: name.clone(), value: value(v) }).collect()
}

impl From<&crate::Instrument> for Instrument {
    fn from(i: &crate::Instrument) -> Self {
        Self { symbol: i.symbol.clone(), price_tick: i.price_tick, multiplier: i.multiplier }
    }
}

impl From<Boundary> for Border {
    fn from(b: Boundary) -> Self {
        match b {
            Boundary::Session => Self::Session,
            Boundary::TradingDay => Self::TradingDay,
            Boundary::Roll => Self::Roll,
            Boundary::Gap => Self::Gap,
            Boundary::Other => Self::Other,
        }
    }
}

impl From<&AccountView> for Account {
    fn from(a: &AccountView) -> Self {
        Self {
            contract: a.contract,
            long_lots: a.long_lots,
            short_lots: a.short_lots,
            balance_cny: a.balance_cny,
            available_cny: a.available_cny,
            working_orders: a.working_orders,
        }
    }
}

/// The interface that a role exports, and its functions.
pub(crate) fn exports(role: Role) -> (&'static str, &'static [&'static str]) {
    match role {
        Role::Feature => ("ghtrader:plugin/feature@0.1.0-next", &["init", "boundary", "compute"]),
        Role::Label => ("ghtrader:plugin/label@0.1.0-next", &["init", "compute"]),
        Role::Strategy => ("ghtrader:plugin/strategy@0.1.0-next", &["init", "load", "run"]),
    }
}

/// Types of a guest function whose parameters may borrow.
pub(crate) trait Signature {
    type Params<'a>: ComponentNamedList + Lower;
    type Return: ComponentNamedList + Lift + 'static;
}

/// A fallible result, as all functions but two have it.
pub(crate) type Answered<T> = (Result<T, PluginError>,);

macro_rules! signature {
    ($name:ident, $params:ty, $return:ty) => {
        pub(crate) struct $name;
        impl Signature for $name {
            type Params<'a> = $params;
            type Return = $return;
        }
    };
}

signature!(FeatureInit, (Vec<Param>, Instrument), Answered<FeatureDescription>);
signature!(FeatureBoundary, (Border,), ());
signature!(FeatureCompute, (&'a [u64],), Answered<Vec<f64>>);
signature!(LabelInit, (Vec<Param>, Instrument), Answered<LabelDescription>);
signature!(LabelCompute, (&'a [u64], u32), Answered<Vec<f64>>);
signature!(StrategyInit, (Vec<Param>, Instrument), Answered<StrategyDescription>);
signature!(StrategyLoad, (&'a [u64],), ());
signature!(StrategyRun, (u32, u32, Account, &'a [u64]), Answered<Outcome>);

/// A fresh instance, for looking its functions up.
pub(crate) struct Lookup<'a> {
    pub(crate) code: &'a Code,
    pub(crate) instance: Instance,
}

/// A guest function of a checked signature.
pub(crate) struct GuestFn<S>(Func, PhantomData<fn() -> S>);

impl<S: Signature> GuestFn<S> {
    /// Looks a function up and checks its type.
    pub(crate) fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>, name: &str) -> wasmtime::Result<Self> {
        let index = lookup.code.function(name)?;
        let typed = lookup.instance.get_typed_func::<S::Params<'static>, S::Return>(&mut *store, index)?;
        Ok(Self(*typed.func(), PhantomData))
    }

    pub(crate) fn call(&self, store: &mut Store<Guarded>, params: S::Params<'_>) -> wasmtime::Result<S::Return> {
        // SAFETY: `find` has checked the function against the same types with another lifetime, which is no part of a component type.
        let typed = unsafe { TypedFunc::<S::Params<'_>, S::Return>::new_unchecked(self.0) };
        typed.call(store, params)
    }
}
