//! The engine of the process with its clock of epochs, and a second one for admission.

use crate::Finding;
use crate::sandbox::MAX_PARTS;
use std::sync::OnceLock;
use std::time::Duration;
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, Engine, Inlining, InstanceAllocationStrategy, Module, PoolingAllocationConfig};

/// Length of an epoch. Short enough for a live call's limit, long enough to cost nothing.
const EPOCH: Duration = Duration::from_millis(1);

/// Core instances, memories and tables that may live at once in the process, as many of each, whatever a host's own limit. A
/// memory holds 4 GiB of address space; an instance has up to `MAX_PARTS` of each kind.
pub(crate) const MAX_PLACES: u32 = 4096;
/// Places without an instance whose pages are kept, and how much of each.
const WARM_PLACES: u32 = 16;
const RESIDENT_BYTES: usize = 2 << 20;
/// The largest table that is valid at all: what is too large for a guest is the sandbox's to say.
const VALID_TABLE_ELEMENTS: usize = 10_000_000;
/// What the engine may keep of an instance beside its memories and tables.
const INSTANCE_BYTES: usize = 16 << 20;

/// The engine, made at the first call together with the thread that counts its epochs.
pub(crate) fn get() -> Result<&'static Engine, Finding> {
    static ENGINE: OnceLock<Result<Engine, Finding>> = OnceLock::new();
    let pooled = |config: &mut Config| {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(places()));
    };
    // Where a process may not reserve that much of its address space, each instance maps its own memory.
    ENGINE.get_or_init(|| ticking(make(pooled).or_else(|_| make(|_| ()))?)).as_ref().map_err(Clone::clone)
}

/// The engine of admission: it counts instructions and makes every NaN the same, neither of which a call in earnest could afford.
///
/// Fuel is its clock, so it needs no epochs. Code that gives other outputs here reads the bits of a NaN.
pub(crate) fn metered() -> Result<&'static Engine, Finding> {
    static ENGINE: OnceLock<Result<Engine, Finding>> = OnceLock::new();
    let counting = |config: &mut Config| {
        config.consume_fuel(true);
        config.epoch_interruption(false);
        config.cranelift_nan_canonicalization(true);
        // What is inlined is the compiler's choice, and the count must not hang on it.
        config.compiler_inlining(Inlining::No);
    };
    ENGINE.get_or_init(|| make(counting)).as_ref().map_err(Clone::clone)
}

/// Places for instances, reserved once: a job of a batch makes and ends one per fill model, and mapping, first touch and
/// unmapping of their memory took a quarter of its time, at which its threads also waited for each other.
///
/// An instance that ends leaves its pages to the next one in its place, cleared: those that it had touched, where the kernel
/// can tell which.
fn places() -> PoolingAllocationConfig {
    let mut places = PoolingAllocationConfig::new();
    places
        .total_core_instances(MAX_PLACES)
        .total_component_instances(MAX_PLACES)
        .total_memories(MAX_PLACES)
        .total_tables(MAX_PLACES)
        .max_memories_per_module(MAX_PARTS as u32)
        .max_tables_per_module(MAX_PARTS as u32)
        .table_elements(VALID_TABLE_ELEMENTS)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_unused_warm_slots(WARM_PLACES)
        .linear_memory_keep_resident(RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto);
    places
}

fn failed(what: String) -> Finding {
    Finding::new("plugin_engine", what, "use a 64-bit machine that allows memory maps and threads")
}

fn make(more: impl FnOnce(&mut Config)) -> Result<Engine, Finding> {
    let mut config = Config::new();
    // Plugins are called from one thread at a time and never wait.
    config.concurrency_support(false);
    config.epoch_interruption(true);
    // Results must be the same bits on every machine. NaN payloads may differ; whoever hashes or stores canonicalises them, because
    // canonicalising inside the compiled code costs more than half of its speed.
    config.wasm_relaxed_simd(false);
    config.cranelift_nan_canonicalization(false);
    config.wasm_memory64(false);
    // Every function and loop begins with a look at the epoch: fewer functions, fewer looks.
    config.compiler_inlining(Inlining::Yes);
    more(&mut config);
    Engine::new(&config).map_err(|e| failed(format!("the engine does not start: {e}")))
}

/// Starts the thread that counts an engine's epochs.
fn ticking(engine: Engine) -> Result<Engine, Finding> {
    let ticker = engine.clone();
    std::thread::Builder::new()
        .name("plugin-epochs".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(EPOCH);
                ticker.increment_epoch();
            }
        })
        .map_err(|e| failed(format!("the epoch thread does not start: {e}")))?;
    Ok(engine)
}

/// Compiled code: of a component, or of the module that a component is nothing but.
pub(crate) enum Compiled {
    Component(Component),
    Module(Module),
}

impl Compiled {
    /// Validates and compiles an artefact, or its module where that is all of it.
    pub(crate) fn new(engine: &Engine, artefact: &[u8], module: Option<&[u8]>) -> Result<Self, Finding> {
        let compiled = match module {
            Some(module) => Module::new(engine, module).map(Self::Module),
            None => Component::new(engine, artefact).map(Self::Component),
        };
        compiled.map_err(|e| {
            let what = format!("the component does not compile: {e:#}");
            Finding::new("component_invalid", what, "build and pack it again")
        })
    }
}
