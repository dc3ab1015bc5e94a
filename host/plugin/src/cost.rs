//! What a plugin costs on a fixture: time, instructions, memory, and how near it comes to its limits.

use crate::trace::{Splits, trace_feature, trace_label, trace_strategy};
use crate::{
    Boundary, FeatureDescription, FeatureInstance, Fixture, LabelDescription, LabelInstance, Limits, Params, Plugin,
    PluginFault, Role, Step, StrategyDescription, StrategyInstance,
};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Runs of which the fastest counts: what the code can do, not what the machine happens to do.
const ROUNDS: usize = 3;

/// What a plugin costs on a fixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostCard {
    /// Rows measured.
    pub rows: u64,
    /// Time of a row in blocks, ns.
    pub ns_per_row: f64,
    /// Time of a call with one row, ns: median and 99th percentile.
    pub live_call_ns: [u64; 2],
    /// Instructions of a row, counted, the same on every machine.
    pub instructions_per_row: f64,
    /// Largest linear memory, bytes.
    pub memory_high_water_bytes: u64,
    /// Time to compile and link, or to load compiled code from the cache, µs.
    pub compile_us: u64,
    /// Time to make an instance and run `init`, µs.
    pub instantiate_us: u64,
    /// Share of each limit that was used.
    pub limits: Vec<LimitShare>,
}

/// How much of a limit was used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitShare {
    /// `memory_mib`, `live_call_cpu_ms`, `block_call_cpu_ms`, `output_mib`.
    pub name: String,
    /// Used, in the limit's unit.
    pub used: f64,
    /// The limit.
    pub limit: f64,
}

/// Measures a plugin; `metered` is the same one on the engine that counts instructions.
pub(crate) fn measure(
    plugin: &Plugin,
    metered: &Plugin,
    fixture: &Fixture,
    compile: Duration,
) -> Result<CostCard, PluginFault> {
    let began = Instant::now();
    drop(Instance::start(plugin, fixture)?);
    let mut instantiate = began.elapsed();
    let rows = fixture.ticks.rows();
    let mut block = Meter::default();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let mut instance = Instance::start(plugin, fixture)?;
        instantiate = instantiate.min(began.elapsed());
        let meter = instance.run(fixture, Splits::Whole)?;
        if block.calls_ns.is_empty() || meter.sum_ns() < block.sum_ns() {
            block = meter;
        }
    }
    let mut live = Instance::start(plugin, fixture)?.run(fixture, Splits::Single)?;
    live.calls_ns.sort_unstable();
    let at = |share: usize| live.calls_ns.get(live.calls_ns.len() * share / 100).copied().unwrap_or(0);
    let mut counted = Instance::start(metered, fixture)?;
    let before = counted.instructions();
    counted.run(fixture, Splits::Whole)?;
    let instructions = counted.instructions().saturating_sub(before);

    let limits: Limits = plugin.host().config().limits.lowered_to(&plugin.manifest().limits);
    let memory = block.memory_bytes.max(live.memory_bytes);
    let ms = |ns: u64| ns as f64 / 1e6;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let share = |name: &str, used: f64, limit: u32| LimitShare { name: name.to_owned(), used, limit: limit.into() };
    Ok(CostCard {
        rows: rows as u64,
        ns_per_row: block.sum_ns() as f64 / rows as f64,
        live_call_ns: [at(50), at(99)],
        instructions_per_row: instructions as f64 / rows as f64,
        memory_high_water_bytes: memory,
        compile_us: compile.as_micros() as u64,
        instantiate_us: instantiate.as_micros() as u64,
        limits: vec![
            share("memory_mib", mib(memory), limits.memory_mib),
            share("live_call_cpu_ms", ms(at(99)), limits.live_call_cpu_ms),
            share("block_call_cpu_ms", ms(block.calls_ns.iter().copied().max().unwrap_or(0)), limits.block_call_cpu_ms),
            share("output_mib", mib(block.result_bytes), limits.output_mib),
        ],
    })
}

/// What calls took.
#[derive(Default)]
struct Meter {
    /// Time of each block: of its load and all runs over it, or of its computation.
    calls_ns: Vec<u64>,
    result_bytes: u64,
    memory_bytes: u64,
}

impl Meter {
    fn sum_ns(&self) -> u64 {
        self.calls_ns.iter().sum()
    }

    fn add(&mut self, began: Instant, result_words: usize) {
        self.calls_ns.push(began.elapsed().as_nanos() as u64);
        self.result_bytes = self.result_bytes.max(8 * result_words as u64);
    }
}

/// An instance of any role.
enum Instance {
    Feature(Box<dyn FeatureInstance>),
    Label(Box<dyn LabelInstance>, crate::Reach),
    Strategy(Box<dyn StrategyInstance>),
}

impl Instance {
    fn start(plugin: &Plugin, fixture: &Fixture) -> Result<Self, PluginFault> {
        let (defaults, instrument) = (Params::new(), plugin.instrument_of(fixture));
        Ok(match plugin.manifest().plugin.role {
            Role::Feature => Self::Feature(plugin.feature(&defaults, &instrument)?),
            Role::Label => {
                let reach = plugin.manifest().plugin.reach.unwrap_or_default();
                Self::Label(plugin.label(&defaults, &instrument)?, reach)
            }
            Role::Strategy => Self::Strategy(plugin.strategy(&defaults, &instrument)?),
        })
    }

    fn run(&mut self, fixture: &Fixture, splits: Splits) -> Result<Meter, PluginFault> {
        let mut meter = Meter::default();
        match self {
            Self::Feature(instance) => {
                trace_feature(&mut Timed { instance: instance.as_mut(), meter: &mut meter }, fixture, splits)?;
                meter.memory_bytes = instance.memory_bytes().unwrap_or(0);
            }
            Self::Label(instance, reach) => {
                trace_label(&mut Timed { instance: instance.as_mut(), meter: &mut meter }, fixture, *reach, splits)?;
                meter.memory_bytes = instance.memory_bytes().unwrap_or(0);
            }
            Self::Strategy(instance) => {
                trace_strategy(&mut Timed { instance: instance.as_mut(), meter: &mut meter }, fixture, splits)?;
                meter.memory_bytes = instance.memory_bytes().unwrap_or(0);
            }
        }
        Ok(meter)
    }

    fn instructions(&self) -> u64 {
        let counted = match self {
            Self::Feature(instance) => instance.instructions(),
            Self::Label(instance, _) => instance.instructions(),
            Self::Strategy(instance) => instance.instructions(),
        };
        counted.unwrap_or(0)
    }
}

/// An instance whose calls are timed.
struct Timed<'a, I: ?Sized> {
    instance: &'a mut I,
    meter: &'a mut Meter,
}

impl FeatureInstance for Timed<'_, dyn FeatureInstance> {
    fn description(&self) -> &FeatureDescription {
        self.instance.description()
    }

    fn boundary(&mut self, kind: Boundary) -> Result<(), PluginFault> {
        self.instance.boundary(kind)
    }

    fn compute(&mut self, rows: &[u64], out: &mut Vec<f64>) -> Result<(), PluginFault> {
        let (began, before) = (Instant::now(), out.len());
        self.instance.compute(rows, out)?;
        self.meter.add(began, out.len() - before);
        Ok(())
    }
}

impl LabelInstance for Timed<'_, dyn LabelInstance> {
    fn description(&self) -> &LabelDescription {
        self.instance.description()
    }

    fn compute(&mut self, rows: &[u64], emit: u32, out: &mut Vec<f64>) -> Result<(), PluginFault> {
        let (began, before) = (Instant::now(), out.len());
        self.instance.compute(rows, emit, out)?;
        self.meter.add(began, out.len() - before);
        Ok(())
    }
}

impl StrategyInstance for Timed<'_, dyn StrategyInstance> {
    fn description(&self) -> &StrategyDescription {
        self.instance.description()
    }

    fn run(&mut self, step: &Step<'_>, actions: &mut Vec<u64>) -> Result<u32, PluginFault> {
        let (began, before) = (Instant::now(), actions.len());
        let at = self.instance.run(step, actions)?;
        // All runs over a block are one sample.
        let before_ns = if step.rows.is_some() { 0 } else { self.meter.calls_ns.pop().unwrap_or(0) };
        self.meter.add(began, actions.len() - before);
        if let Some(block_ns) = self.meter.calls_ns.last_mut() {
            *block_ns += before_ns;
        }
        Ok(at)
    }
}
