//! The component side: bindings to the contract, and the glue between them and the drivers.
//!
//! Public for the export macros alone; compiled for wasm32 only.

use crate::kernels::wire;
use crate::{
    Feature, FeatureDriver, Instrument, Label, LabelDriver, OutputColumn, ParamValue, Params, PluginError, Strategy,
    StrategyDriver,
};
use std::cell::RefCell;
use std::thread::LocalKey;

/// A world of the contract as `cargo xtask bindings` has written it out.
macro_rules! bindings {
    ($module:ident, $file:literal) => {
        #[doc = concat!("Bindings of the world of a ", stringify!($module), ".")]
        #[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, reason = "generated, and linked by the C ABI")]
        pub mod $module {
            include!($file);
        }
    };
}

bindings!(feature, "guest/feature.in");
bindings!(label, "guest/label.in");
bindings!(strategy, "guest/strategy.in");

pub use feature::ghtrader::plugin::{log, types};

use feature::exports::ghtrader::plugin::feature as feature_world;
use label::exports::ghtrader::plugin::label as label_world;
use strategy::exports::ghtrader::plugin::strategy as strategy_world;

/// Where a component keeps its one instance.
pub type Slot<T> = LocalKey<RefCell<Option<T>>>;

type Answer<T> = Result<T, types::PluginError>;

/// Starts a feature and keeps it.
pub fn init_feature<F: Feature>(
    slot: &'static Slot<FeatureDriver<F>>,
    params: Vec<types::Param>,
    instrument: types::Instrument,
) -> Answer<feature_world::Description> {
    report_panics();
    let driver = FeatureDriver::<F>::init(&params_from(params), &instrument_from(instrument))?;
    let description = driver.description();
    let answer = feature_world::Description {
        inputs: description.inputs.clone(),
        outputs: columns(&description.outputs),
        warmup_rows: description.warmup_rows,
    };
    slot.set(Some(driver));
    Ok(answer)
}

/// Tells a feature a border.
pub fn tell_boundary<F: Feature>(slot: &'static Slot<FeatureDriver<F>>, kind: types::Boundary) {
    let kind = match kind {
        types::Boundary::Session => wire::Boundary::Session,
        types::Boundary::TradingDay => wire::Boundary::TradingDay,
        types::Boundary::Roll => wire::Boundary::Roll,
        types::Boundary::Gap => wire::Boundary::Gap,
        types::Boundary::Other => wire::Boundary::Other,
    };
    slot.with_borrow_mut(|driver| driver.as_mut().map(|driver| driver.boundary(kind)));
}

/// Computes a block of features.
pub fn compute_feature<F: Feature>(slot: &'static Slot<FeatureDriver<F>>, rows: Vec<u64>) -> Answer<Vec<f64>> {
    with_instance(slot, |driver| {
        let mut out = Vec::new();
        driver.compute(&rows, &mut out)?;
        Ok(out)
    })
}

/// Starts a label and keeps it.
pub fn init_label<L: Label>(
    slot: &'static Slot<LabelDriver<L>>,
    params: Vec<types::Param>,
    instrument: types::Instrument,
) -> Answer<label_world::Description> {
    report_panics();
    let driver = LabelDriver::<L>::init(&params_from(params), &instrument_from(instrument))?;
    let description = driver.description();
    let answer = label_world::Description {
        inputs: description.inputs.clone(),
        outputs: columns(&description.outputs),
        lookahead_rows: description.lookahead_rows,
    };
    slot.set(Some(driver));
    Ok(answer)
}

/// Computes a block of labels.
pub fn compute_label<L: Label>(slot: &'static Slot<LabelDriver<L>>, rows: Vec<u64>, emit: u32) -> Answer<Vec<f64>> {
    with_instance(slot, |driver| {
        let mut out = Vec::new();
        driver.compute(&rows, emit, &mut out)?;
        Ok(out)
    })
}

/// Starts a strategy and keeps it.
pub fn init_strategy<S: Strategy>(
    slot: &'static Slot<StrategyDriver<S>>,
    params: Vec<types::Param>,
    instrument: types::Instrument,
) -> Answer<strategy_world::Description> {
    report_panics();
    let driver = StrategyDriver::<S>::init(&params_from(params), &instrument_from(instrument))?;
    let description = driver.description();
    let answer =
        strategy_world::Description { inputs: description.inputs.clone(), warmup_rows: description.warmup_rows };
    slot.set(Some(driver));
    Ok(answer)
}

/// Takes a block of rows.
///
/// # Panics
/// For a part of a row, or before `init`: the contract has no other answer here, and the host must see it.
pub fn load_rows<S: Strategy>(slot: &'static Slot<StrategyDriver<S>>, rows: Vec<u64>) {
    if let Err(error) = with_instance(slot, |driver| driver.load(rows)) {
        #[expect(clippy::panic, reason = "`load` has no error in the contract")]
        {
            panic!("{error:?}");
        }
    }
}

/// Runs a strategy until it acts.
pub fn run_strategy<S: Strategy>(
    slot: &'static Slot<StrategyDriver<S>>,
    start: u32,
    until: u32,
    account: strategy_world::Account,
    events: Vec<u64>,
) -> Answer<strategy_world::Outcome> {
    let account = crate::Account {
        contract: account.contract,
        long_lots: account.long_lots,
        short_lots: account.short_lots,
        balance_cny: account.balance_cny,
        available_cny: account.available_cny,
        working_orders: account.working_orders,
    };
    with_instance(slot, |driver| {
        let mut actions = Vec::new();
        let at = driver.run(start, until, &account, &events, &mut actions)?;
        Ok(strategy_world::Outcome { at, actions })
    })
}

/// A line to the host's log.
pub(crate) fn write_log(level: log::Level, message: &str) {
    log::write(level, message);
}

/// A panic ends as a trap, which carries no text: the message, with file and line, goes to the log first.
fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("panic without a message");
        let line = match info.location() {
            Some(at) => format!("panicked at {}:{}:{}: {message}", at.file(), at.line(), at.column()),
            None => format!("panicked: {message}"),
        };
        write_log(log::Level::Warn, &line);
    }));
}

fn with_instance<T, R>(slot: &'static Slot<T>, call: impl FnOnce(&mut T) -> Result<R, PluginError>) -> Answer<R> {
    slot.with_borrow_mut(|instance| match instance {
        Some(instance) => Ok(call(instance)?),
        None => Err(types::PluginError::NotReady("call `init` first".to_owned())),
    })
}

fn params_from(params: Vec<types::Param>) -> Params {
    let value = |value| match value {
        types::ParamValue::Integer(value) => ParamValue::Integer(value),
        types::ParamValue::Number(value) => ParamValue::Number(value),
        types::ParamValue::Text(value) => ParamValue::Text(value),
        types::ParamValue::Flag(value) => ParamValue::Flag(value),
    };
    params.into_iter().map(|param| (param.name, value(param.value))).collect()
}

fn instrument_from(instrument: types::Instrument) -> Instrument {
    Instrument { symbol: instrument.symbol, price_tick: instrument.price_tick, multiplier: instrument.multiplier }
}

fn columns(columns: &[OutputColumn]) -> Vec<types::Column> {
    columns.iter().map(|column| types::Column { name: column.name.clone(), unit: column.unit.clone() }).collect()
}

impl From<PluginError> for types::PluginError {
    fn from(error: PluginError) -> Self {
        match error {
            PluginError::InvalidInput(message) => Self::InvalidInput(message),
            PluginError::NotReady(message) => Self::NotReady(message),
            PluginError::Other(message) => Self::Other(message),
        }
    }
}

/// The component around a feature.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_feature {
    ($feature:ty) => {
        const _: () = {
            use $crate::guest::{feature, types};
            ::std::thread_local! {
                static SLOT: ::core::cell::RefCell<Option<$crate::FeatureDriver<$feature>>> =
                    const { ::core::cell::RefCell::new(None) };
            }
            struct Component;
            impl feature::exports::ghtrader::plugin::feature::Guest for Component {
                fn init(
                    params: Vec<types::Param>,
                    instrument: types::Instrument,
                ) -> Result<feature::exports::ghtrader::plugin::feature::Description, types::PluginError> {
                    $crate::guest::init_feature(&SLOT, params, instrument)
                }
                fn boundary(kind: types::Boundary) {
                    $crate::guest::tell_boundary(&SLOT, kind);
                }
                fn compute(rows: Vec<u64>) -> Result<Vec<f64>, types::PluginError> {
                    $crate::guest::compute_feature(&SLOT, rows)
                }
            }
    feature::export!(Component with_types_in $crate::guest::feature);
        };
    };
}

/// The component around a label.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_label {
    ($label:ty) => {
        const _: () = {
            use $crate::guest::{label, types};
            ::std::thread_local! {
                static SLOT: ::core::cell::RefCell<Option<$crate::LabelDriver<$label>>> =
                    const { ::core::cell::RefCell::new(None) };
            }
            struct Component;
            impl label::exports::ghtrader::plugin::label::Guest for Component {
                fn init(
                    params: Vec<types::Param>,
                    instrument: types::Instrument,
                ) -> Result<label::exports::ghtrader::plugin::label::Description, types::PluginError> {
                    $crate::guest::init_label(&SLOT, params, instrument)
                }
                fn compute(rows: Vec<u64>, emit: u32) -> Result<Vec<f64>, types::PluginError> {
                    $crate::guest::compute_label(&SLOT, rows, emit)
                }
            }
    label::export!(Component with_types_in $crate::guest::label);
        };
    };
}

/// The component around a strategy.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_strategy {
    ($strategy:ty) => {
        const _: () = {
            use strategy::exports::ghtrader::plugin::strategy as world;
            use $crate::guest::{strategy, types};
            ::std::thread_local! {
                static SLOT: ::core::cell::RefCell<Option<$crate::StrategyDriver<$strategy>>> =
                    const { ::core::cell::RefCell::new(None) };
            }
            struct Component;
            impl world::Guest for Component {
                fn init(
                    params: Vec<types::Param>,
                    instrument: types::Instrument,
                ) -> Result<world::Description, types::PluginError> {
                    $crate::guest::init_strategy(&SLOT, params, instrument)
                }
                fn load(rows: Vec<u64>) {
                    $crate::guest::load_rows(&SLOT, rows);
                }
                fn run(
                    start: u32,
                    until: u32,
                    account: world::Account,
                    events: Vec<u64>,
                ) -> Result<world::Outcome, types::PluginError> {
                    $crate::guest::run_strategy(&SLOT, start, until, account, events)
                }
            }
    strategy::export!(Component with_types_in $crate::guest::strategy);
        };
    };
}
