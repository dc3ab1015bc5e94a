//! Runs SDK plugins natively behind the host's own plugin traits, for parity tests and benchmarks: linked, or as a process.
//!
//! The SDK's drivers do the work in both worlds; what differs is the compiler's target and the boundary between. A native instance
//! and a component must therefore give the same bits for the same calls.

mod feature;
mod label;
mod process;
mod strategy;

pub use feature::NativeFeature;
pub use label::NativeLabel;
pub use process::NativeProcess;
pub use strategy::NativeStrategy;

use ghtrader_plugin::{Answer, CallSite, Instrument, OutputColumn, ParamValue, Params, PluginFault};
use std::ops::Range;

fn sdk_params(params: &Params) -> ghtrader_sdk::Params {
    let value = |v: &ParamValue| match v {
        ParamValue::Flag(v) => ghtrader_sdk::ParamValue::Flag(*v),
        ParamValue::Integer(v) => ghtrader_sdk::ParamValue::Integer(*v),
        ParamValue::Number(v) => ghtrader_sdk::ParamValue::Number(*v),
        ParamValue::Text(v) => ghtrader_sdk::ParamValue::Text(v.clone()),
    };
    params.iter().map(|(name, v)| (name.clone(), value(v))).collect()
}

fn sdk_instrument(i: &Instrument) -> ghtrader_sdk::Instrument {
    ghtrader_sdk::Instrument { symbol: i.symbol.clone(), price_tick: i.price_tick, multiplier: i.multiplier }
}

fn host_columns(columns: &[ghtrader_sdk::OutputColumn]) -> Vec<OutputColumn> {
    columns.iter().map(|c| OutputColumn { name: c.name.clone(), unit: c.unit.clone() }).collect()
}

fn fault(function: &'static str, rows: Range<u64>, error: ghtrader_sdk::PluginError) -> PluginFault {
    answered(CallSite { plugin: "native".into(), function, rows }, error)
}

fn answered(at: CallSite, error: ghtrader_sdk::PluginError) -> PluginFault {
    let (answer, message) = match error {
        ghtrader_sdk::PluginError::InvalidInput(m) => (Answer::InvalidInput, m),
        ghtrader_sdk::PluginError::NotReady(m) => (Answer::NotReady, m),
        ghtrader_sdk::PluginError::Other(m) => (Answer::Other, m),
    };
    PluginFault::Error { at, answer, message }
}
