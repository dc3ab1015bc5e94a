//! Types and functions of the contract, as the engine's canonical ABI reads them. Field order and names are the contract's.

use crate::guest::{Refusal, signature};
use crate::params::ParamValue;
use crate::sandbox::LogLevel;
use crate::{AccountView, Answer, Boundary, OutputColumn, Params};
use ghtrader_core::ContractId;
use wasmtime::component::{ComponentType, Lift, Lower, WasmList};

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "the engine makes the values, by their number")]
pub(super) enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
}

#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(super) enum PluginError {
    #[component(name = "invalid-input")]
    InvalidInput(String),
    #[component(name = "not-ready")]
    NotReady(String),
    #[component(name = "other")]
    Other(String),
}

#[derive(ComponentType, Lower)]
#[component(variant)]
pub(super) enum Value {
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
pub(super) struct Param {
    name: String,
    value: Value,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) unit: String,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Instrument {
    symbol: String,
    variety: String,
    #[component(name = "price-tick")]
    price_tick: f64,
    multiplier: f64,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(super) enum Border {
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
pub(super) struct FeatureDescription {
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<Column>,
    #[component(name = "warmup-rows")]
    pub(super) warmup_rows: u32,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct LabelDescription {
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<Column>,
    #[component(name = "lookahead-rows")]
    pub(super) lookahead_rows: u32,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct StrategyDescription {
    pub(super) inputs: Vec<String>,
    #[component(name = "warmup-rows")]
    pub(super) warmup_rows: u32,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(super) struct Account {
    contract: u32,
    #[component(name = "long-lots")]
    long_lots: u32,
    #[component(name = "short-lots")]
    short_lots: u32,
    #[component(name = "balance-cny")]
    balance_cny: f64,
    #[component(name = "available-cny")]
    available_cny: f64,
    #[component(name = "margin-cny")]
    margin_cny: f64,
    #[component(name = "working-orders")]
    working_orders: u32,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Outcome {
    pub(super) at: u32,
    pub(super) actions: WasmList<u64>,
}

pub(super) fn params(params: &Params) -> Vec<Param> {
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
        let variety = i.symbol.parse().map_or_else(|_| String::new(), |c: ContractId| c.variety().to_string());
        Self { symbol: i.symbol.clone(), variety, price_tick: i.price_tick, multiplier: i.multiplier }
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
            margin_cny: a.balance_cny - a.available_cny,
            working_orders: a.working_orders,
        }
    }
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
        }
    }
}

impl From<Column> for OutputColumn {
    fn from(column: Column) -> Self {
        Self { name: column.name, unit: column.unit }
    }
}

impl From<PluginError> for Refusal {
    fn from(error: PluginError) -> Self {
        let (answer, message) = match error {
            PluginError::InvalidInput(message) => (Answer::InvalidInput, message),
            PluginError::NotReady(message) => (Answer::NotReady, message),
            PluginError::Other(message) => (Answer::Other, message),
        };
        Self { answer, message }
    }
}

/// A fallible result, as all functions but one have it.
type Fallible<T> = (Result<T, PluginError>,);

signature!(FeatureInit, (Vec<Param>, Instrument), Fallible<FeatureDescription>);
signature!(FeatureBoundary, (Border,), ());
signature!(FeatureCompute, (&'a [u64],), Fallible<Vec<f64>>);
signature!(LabelInit, (Vec<Param>, Instrument), Fallible<LabelDescription>);
signature!(LabelCompute, (&'a [u64], u32), Fallible<Vec<f64>>);
signature!(StrategyInit, (Vec<Param>, Instrument), Fallible<StrategyDescription>);
signature!(StrategyRun, (Option<&'a [u64]>, u32, u32, Account, Option<&'a [u64]>), Fallible<Outcome>);
