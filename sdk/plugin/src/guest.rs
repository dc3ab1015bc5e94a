//! The component side: the functions of the contract, between the engine and the drivers.
//!
//! Public for the export macros alone; compiled for wasm32 only. The contract `ghtrader:plugin@0.1.0` is released and small,
//! so its bindings are written by hand: an author's first build needs no generator, and no call allocates.

pub mod abi;

use crate::kernels::wire;
use crate::{Feature, FeatureDriver, Label, LabelDriver, PluginError, Strategy, StrategyDriver};
use abi::Block;
use std::cell::RefCell;
use std::thread::LocalKey;

/// Where a component keeps its one instance.
pub type Slot<T> = LocalKey<RefCell<Option<Instance<T>>>>;

/// A driver, with what its last answer points to.
#[derive(Debug)]
pub struct Instance<D> {
    driver: D,
    values: Vec<f64>,
    actions: Vec<u64>,
}

impl<D> Instance<D> {
    fn new(driver: D) -> Self {
        Self { driver, values: Vec::new(), actions: Vec::new() }
    }
}

/// The arguments of `init` as the ABI flattens them.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct InitArgs {
    pub params: *const u8,
    pub param_count: usize,
    pub symbol: *const u8,
    pub symbol_bytes: usize,
    pub price_tick: f64,
    pub multiplier: f64,
}

impl InitArgs {
    fn read(self) -> (crate::Params, crate::Instrument) {
        let params = abi::params(self.params, self.param_count);
        (params, abi::instrument(self.symbol, self.symbol_bytes, self.price_tick, self.multiplier))
    }
}

/// Starts an instance and keeps it; `describe` gives the words of its description.
fn init<D>(
    slot: &'static Slot<D>,
    args: InitArgs,
    start: impl FnOnce(&crate::Params, &crate::Instrument) -> Result<D, PluginError>,
    describe: impl FnOnce(&D) -> Vec<u32>,
) -> *const u32 {
    report_panics();
    let (params, instrument) = args.read();
    match start(&params, &instrument) {
        Ok(driver) => {
            let description = describe(&driver);
            slot.set(Some(Instance::new(driver)));
            abi::done(description)
        }
        Err(error) => abi::refused(error),
    }
}

/// Starts a feature.
pub fn init_feature<F: Feature>(slot: &'static Slot<FeatureDriver<F>>, args: InitArgs) -> *const u32 {
    init(slot, args, FeatureDriver::init, |driver| {
        let said = driver.description();
        [abi::inputs(&said.inputs), abi::outputs(&said.outputs)]
            .concat()
            .into_iter()
            .chain([said.warmup_rows])
            .collect()
    })
}

/// Starts a label.
pub fn init_label<L: Label>(slot: &'static Slot<LabelDriver<L>>, args: InitArgs) -> *const u32 {
    init(slot, args, LabelDriver::init, |driver| {
        let said = driver.description();
        [abi::inputs(&said.inputs), abi::outputs(&said.outputs)]
            .concat()
            .into_iter()
            .chain([said.lookahead_rows])
            .collect()
    })
}

/// Starts a strategy.
pub fn init_strategy<S: Strategy>(slot: &'static Slot<StrategyDriver<S, Block>>, args: InitArgs) -> *const u32 {
    init(slot, args, StrategyDriver::init, |driver| {
        let said = driver.description();
        abi::inputs(&said.inputs).into_iter().chain([said.warmup_rows]).collect()
    })
}

/// Tells a feature a border.
pub fn tell_boundary<F: Feature>(slot: &'static Slot<FeatureDriver<F>>, kind: u32) {
    let kind = match kind {
        0 => wire::Boundary::Session,
        1 => wire::Boundary::TradingDay,
        2 => wire::Boundary::Roll,
        3 => wire::Boundary::Gap,
        _ => wire::Boundary::Other,
    };
    slot.with_borrow_mut(|instance| instance.as_mut().map(|i| i.driver.boundary(kind)));
}

/// Computes a block of features.
pub fn compute_feature<F: Feature>(slot: &'static Slot<FeatureDriver<F>>, rows: *const u8, words: usize) -> *const u32 {
    compute(slot, rows, words, |driver, rows, out| driver.compute(rows, out))
}

/// Computes a block of labels.
pub fn compute_label<L: Label>(
    slot: &'static Slot<LabelDriver<L>>,
    rows: *const u8,
    words: usize,
    emit: u32,
) -> *const u32 {
    compute(slot, rows, words, |driver, rows, out| driver.compute(rows, emit, out))
}

fn compute<D>(
    slot: &'static Slot<D>,
    rows: *const u8,
    words: usize,
    call: impl FnOnce(&mut D, &[u64], &mut Vec<f64>) -> Result<(), PluginError>,
) -> *const u32 {
    let rows = abi::take(rows, words);
    let answer = with_instance(slot, |instance| {
        instance.values.clear();
        call(&mut instance.driver, &rows, &mut instance.values)?;
        Ok(abi::done(abi::list(&instance.values)))
    });
    abi::give_back(rows);
    answer
}

/// The arguments of `run` as the ABI flattens them.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct RunArgs {
    pub has_rows: u32,
    pub rows: *const u8,
    pub row_words: usize,
    pub start: u32,
    pub until: u32,
    pub account: crate::Account,
    pub has_events: u32,
    pub events: *const u8,
    pub event_words: usize,
}

/// Runs a strategy until it acts.
pub fn run_strategy<S: Strategy>(slot: &'static Slot<StrategyDriver<S, Block>>, args: RunArgs) -> *const u32 {
    let rows = (args.has_rows != 0).then(|| abi::take(args.rows, args.row_words));
    let events = if args.has_events == 0 { Block::default() } else { abi::take(args.events, args.event_words) };
    let answer = with_instance(slot, |instance| {
        if let Some(rows) = rows {
            abi::give_back(instance.driver.load(rows)?);
        }
        instance.actions.clear();
        let at = instance.driver.run(args.start, args.until, &args.account, &events, &mut instance.actions)?;
        let [actions, words] = abi::list(&instance.actions);
        Ok(abi::done([at, actions, words]))
    });
    abi::give_back(events);
    answer
}

fn with_instance<D>(
    slot: &'static Slot<D>,
    call: impl FnOnce(&mut Instance<D>) -> Result<*const u32, PluginError>,
) -> *const u32 {
    slot.with_borrow_mut(|instance| match instance {
        Some(instance) => call(instance).unwrap_or_else(abi::refused),
        None => abi::refused(PluginError::NotReady("call `init` first".to_owned())),
    })
}

/// Level of a log line, by the contract's number.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Level {
    Debug = 0,
    Info = 1,
    Warn = 2,
}

#[link(wasm_import_module = "ghtrader:plugin/log@0.1.0")]
#[expect(unsafe_code, reason = "the one function that a guest may import")]
unsafe extern "C" {
    #[link_name = "write"]
    safe fn host_log(level: u32, message: *const u8, bytes: usize);
}

/// A line to the host's log.
pub(crate) fn write_log(level: Level, message: &str) {
    host_log(level as u32, message.as_ptr(), message.len());
}

/// A panic ends as a trap, which carries no text: the message, with file and line, goes to the log first.
fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("panic without a message");
        let line = match info.location() {
            Some(at) => format!("panicked at {}:{}:{}: {message}", at.file(), at.line(), at.column()),
            None => format!("panicked: {message}"),
        };
        write_log(Level::Warn, &line);
    }));
}

/// What every component has: its instance, memory for the host, and `init`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_common {
    ($driver:ty, $init_name:literal, $init:ident) => {
        ::std::thread_local! {
            static SLOT: ::core::cell::RefCell<Option<$crate::guest::Instance<$driver>>> =
                const { ::core::cell::RefCell::new(None) };
        }
        #[unsafe(export_name = "cabi_realloc")]
        extern "C" fn realloc(old: *const u8, old_bytes: usize, align: usize, bytes: usize) -> *mut u8 {
            $crate::guest::abi::realloc(old, old_bytes, align, bytes)
        }
        #[unsafe(export_name = $init_name)]
        extern "C" fn init(
            params: *const u8,
            param_count: usize,
            symbol: *const u8,
            symbol_bytes: usize,
            price_tick: f64,
            multiplier: f64,
        ) -> *const u32 {
            let args = $crate::guest::InitArgs { params, param_count, symbol, symbol_bytes, price_tick, multiplier };
            $crate::guest::$init(&SLOT, args)
        }
    };
}

/// The component around a feature.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_feature {
    ($feature:ty) => {
        const _: () = {
            $crate::__export_common!(
                $crate::FeatureDriver<$feature>,
                "ghtrader:plugin/feature@0.1.0#init",
                init_feature
            );
            #[unsafe(export_name = "ghtrader:plugin/feature@0.1.0#boundary")]
            extern "C" fn boundary(kind: u32) {
                $crate::guest::tell_boundary(&SLOT, kind);
            }
            #[unsafe(export_name = "ghtrader:plugin/feature@0.1.0#compute")]
            extern "C" fn compute(rows: *const u8, words: usize) -> *const u32 {
                $crate::guest::compute_feature(&SLOT, rows, words)
            }
        };
    };
}

/// The component around a label.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_label {
    ($label:ty) => {
        const _: () = {
            $crate::__export_common!($crate::LabelDriver<$label>, "ghtrader:plugin/label@0.1.0#init", init_label);
            #[unsafe(export_name = "ghtrader:plugin/label@0.1.0#compute")]
            extern "C" fn compute(rows: *const u8, words: usize, emit: u32) -> *const u32 {
                $crate::guest::compute_label(&SLOT, rows, words, emit)
            }
        };
    };
}

/// The component around a strategy.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_strategy {
    ($strategy:ty) => {
        const _: () = {
            $crate::__export_common!(
                $crate::StrategyDriver<$strategy, $crate::guest::abi::Block>,
                "ghtrader:plugin/strategy@0.1.0#init",
                init_strategy
            );
            #[unsafe(export_name = "ghtrader:plugin/strategy@0.1.0#run")]
            #[allow(clippy::too_many_arguments, reason = "the ABI flattens the contract's records")]
            extern "C" fn run(
                has_rows: u32,
                rows: *const u8,
                row_words: usize,
                start: u32,
                until: u32,
                contract: u32,
                long_lots: u32,
                short_lots: u32,
                balance_cny: f64,
                available_cny: f64,
                working_orders: u32,
                has_events: u32,
                events: *const u8,
                event_words: usize,
            ) -> *const u32 {
                let account =
                    $crate::Account { contract, long_lots, short_lots, balance_cny, available_cny, working_orders };
                $crate::guest::run_strategy(
                    &SLOT,
                    $crate::guest::RunArgs {
                        has_rows,
                        rows,
                        row_words,
                        start,
                        until,
                        account,
                        has_events,
                        events,
                        event_words,
                    },
                )
            }
        };
    };
}
