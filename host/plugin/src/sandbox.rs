//! A store with its limits: memory, time, log; and what becomes of it after a fault.

use crate::deadline::{Deadline, DeadlinePassed, FREE_EPOCHS};
use crate::engine::MAX_PLACES;
use crate::{CallSite, HostConfig, Limits, PluginFault};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use wasmtime::{Engine, PoolConcurrencyLimitError, ResourceLimiter, Store, Trap};

/// Core instances, memories and tables of one component instance: what the component encoder makes, with room to spare.
pub(crate) const MAX_PARTS: usize = 32;
/// Elements of all tables of an instance.
const MAX_TABLE_ELEMENTS: u64 = 1 << 20;
/// Instructions of an instance that counts them: more than its time limits let one execute that is not counted.
const METERED_FUEL: u64 = 1 << 36;
/// Log lines that are kept for a fault's message.
const TAIL_LINES: usize = 8;

/// What a store carries for its guest.
#[derive(Debug)]
pub(crate) struct Guarded {
    growth: Growth,
    deadline: Deadline,
    pub(crate) log: GuestLog,
    /// What one call may give back.
    pub(crate) output_bytes: usize,
}

/// A call gave back more than it may.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("gave back more than it may")]
pub(crate) struct TooMuch;

/// Bounds the growth of memories and tables by a trap, so that an allocator in the guest cannot hide it.
#[derive(Debug)]
struct Growth {
    memory_bytes: u64,
    memory_limit: u64,
    table_elements: u64,
}

/// A guest asked for more than it may have.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("asked for {wanted} {unit}")]
struct GrowthDenied {
    wanted: u64,
    limit: u64,
    unit: &'static str,
}

impl ResourceLimiter for Growth {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.memory_bytes + (desired as u64).saturating_sub(current as u64);
        if wanted > self.memory_limit {
            return Err(GrowthDenied { wanted, limit: self.memory_limit, unit: "bytes of memory" }.into());
        }
        self.memory_bytes = wanted;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.table_elements + (desired as u64).saturating_sub(current as u64);
        if wanted > MAX_TABLE_ELEMENTS {
            return Err(GrowthDenied { wanted, limit: MAX_TABLE_ELEMENTS, unit: "table elements" }.into());
        }
        self.table_elements = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_PARTS
    }

    fn tables(&self) -> usize {
        MAX_PARTS
    }

    fn memories(&self) -> usize {
        MAX_PARTS
    }
}

/// Level of a guest's log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Warn,
}

/// Log lines of one instance: the last few are kept for faults, and as many a second as are allowed are passed on.
#[derive(Debug)]
pub(crate) struct GuestLog {
    plugin: Arc<str>,
    line_bytes: usize,
    lines_per_s: u32,
    second: Option<Instant>,
    passed: u32,
    dropped: u64,
    tail: VecDeque<String>,
}

impl GuestLog {
    /// Length to which a line is cut.
    pub(crate) fn line_bytes(&self) -> usize {
        self.line_bytes
    }

    /// Takes a line that has been cut.
    pub(crate) fn write(&mut self, level: LogLevel, line: String) {
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line.clone());
        let now = Instant::now();
        if self.second.is_none_or(|s| now.duration_since(s).as_secs() >= 1) {
            if self.dropped > 0 {
                tracing::warn!(plugin = %self.plugin, dropped = self.dropped, "log lines dropped");
            }
            (self.second, self.passed, self.dropped) = (Some(now), 0, 0);
        }
        if self.passed >= self.lines_per_s {
            self.dropped += 1;
            return;
        }
        self.passed += 1;
        match level {
            LogLevel::Debug => tracing::debug!(plugin = %self.plugin, "{line}"),
            LogLevel::Info => tracing::info!(plugin = %self.plugin, "{line}"),
            LogLevel::Warn => tracing::warn!(plugin = %self.plugin, "{line}"),
        }
    }

    fn lines(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }
}

/// A text as one line of at most `bytes` bytes, cut at a character's border.
pub(crate) fn cut(text: &str, bytes: usize) -> String {
    let end = text.floor_char_boundary(bytes);
    let mut line = text[..end].replace(['\n', '\r'], " ");
    if end < text.len() {
        line.push_str(" …");
    }
    line
}

/// Counts live instances against `max_instances`.
#[derive(Debug, Clone)]
pub(crate) struct InstanceSlots {
    used: Arc<AtomicU32>,
    limit: u32,
}

/// One instance's place; given back when dropped.
#[derive(Debug)]
struct Slot(Arc<AtomicU32>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl InstanceSlots {
    pub(crate) fn new(limit: u32) -> Self {
        Self { used: Arc::default(), limit }
    }

    fn take(&self, plugin: &Arc<str>) -> Result<Slot, PluginFault> {
        let free = |n: u32| (n < self.limit).then_some(n + 1);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free) {
            Ok(_) => Ok(Slot(Arc::clone(&self.used))),
            Err(_) => Err(PluginFault::Instances { plugin: Arc::clone(plugin), limit: self.limit }),
        }
    }
}

/// Which CPU limit a call has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallKind {
    /// One row, or none: what a live call does.
    Live,
    /// A block, or a start.
    Block,
}

impl CallKind {
    pub(crate) fn of_rows(rows: usize) -> Self {
        if rows <= 1 { Self::Live } else { Self::Block }
    }
}

/// The sandbox of one instance: its store while it lives, its fault afterwards. `F` are the guest's functions.
pub(crate) struct Sandbox<F> {
    plugin: Arc<str>,
    limits: Limits,
    state: State<F>,
    rows_seen: u64,
    peak_memory_bytes: u64,
    _slot: Slot,
}

enum State<F> {
    Live(Box<(Store<Guarded>, F)>),
    Retired(PluginFault),
}

impl<F> Sandbox<F> {
    /// A fresh store, and in it whatever `instantiate` makes.
    pub(crate) fn new(
        engine: &Engine,
        plugin: &Arc<str>,
        limits: Limits,
        config: &HostConfig,
        slots: &InstanceSlots,
        instantiate: impl FnOnce(&mut Store<Guarded>) -> wasmtime::Result<F>,
    ) -> Result<Self, PluginFault> {
        let slot = slots.take(plugin)?;
        let output_bytes = usize::try_from(u64::from(limits.output_mib) << 20).unwrap_or(usize::MAX);
        let guarded = Guarded {
            output_bytes,
            growth: Growth { memory_bytes: 0, memory_limit: u64::from(limits.memory_mib) << 20, table_elements: 0 },
            deadline: Deadline::default(),
            log: GuestLog {
                plugin: Arc::clone(plugin),
                line_bytes: config.log_line_bytes,
                lines_per_s: config.log_lines_per_s,
                second: None,
                passed: 0,
                dropped: 0,
                tail: VecDeque::new(),
            },
        };
        let mut store = Store::new(engine, guarded);
        store.limiter(|g| &mut g.growth);
        store.set_hostcall_fuel(output_bytes);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().deadline.expired()?));
        // Only the engine that counts instructions takes fuel.
        let _ = store.set_fuel(METERED_FUEL);
        arm(&mut store, &limits, CallKind::Block);
        let functions = instantiate(&mut store).map_err(|error| {
            if error.is::<PoolConcurrencyLimitError>() {
                return PluginFault::Places { plugin: Arc::clone(plugin), limit: MAX_PLACES };
            }
            let at = CallSite { plugin: Arc::clone(plugin), function: "instantiate", rows: 0..0 };
            fault(&error, at, &store.data().log, &limits)
        })?;
        Ok(Self {
            plugin: Arc::clone(plugin),
            limits,
            state: State::Live(Box::new((store, functions))),
            rows_seen: 0,
            peak_memory_bytes: 0,
            _slot: slot,
        })
    }

    /// Calls into the guest under its limits; any failure retires the sandbox.
    pub(crate) fn call<R>(
        &mut self,
        function: &'static str,
        kind: CallKind,
        rows: Range<u64>,
        call: impl FnOnce(&mut Store<Guarded>, &F) -> wasmtime::Result<R>,
    ) -> Result<R, PluginFault> {
        let (store, functions) = match &mut self.state {
            State::Live(live) => (&mut live.0, &live.1),
            State::Retired(fault) => return Err(fault.clone()),
        };
        arm(store, &self.limits, kind);
        match call(store, functions) {
            Ok(result) => Ok(result),
            Err(error) => {
                let at = CallSite { plugin: Arc::clone(&self.plugin), function, rows };
                let fault = fault(&error, at, &store.data().log, &self.limits);
                Err(self.retire(fault))
            }
        }
    }

    /// Drops the store; from now on every call gives this fault.
    pub(crate) fn retire(&mut self, fault: PluginFault) -> PluginFault {
        self.peak_memory_bytes = self.memory_bytes();
        self.state = State::Retired(fault.clone());
        fault
    }

    /// Retires for a broken contract.
    pub(crate) fn broke_contract(&mut self, function: &'static str, rows: Range<u64>, what: String) -> PluginFault {
        let at = self.at(function, rows);
        self.retire(PluginFault::Contract { at, what })
    }

    /// A call's place.
    pub(crate) fn at(&self, function: &'static str, rows: Range<u64>) -> CallSite {
        CallSite { plugin: Arc::clone(&self.plugin), function, rows }
    }

    /// Rows handed over so far.
    pub(crate) fn rows_seen(&self) -> u64 {
        self.rows_seen
    }

    /// Counts rows that were handled.
    pub(crate) fn saw(&mut self, rows: u64) {
        self.rows_seen += rows;
    }

    /// Instructions executed so far, where the engine counts them and the instance lives.
    pub(crate) fn instructions(&self) -> Option<u64> {
        match &self.state {
            State::Live(live) => live.0.get_fuel().ok().map(|left| METERED_FUEL - left),
            State::Retired(_) => None,
        }
    }

    /// Linear memory held; after the end that held last.
    pub(crate) fn memory_bytes(&self) -> u64 {
        match &self.state {
            State::Live(live) => live.0.data().growth.memory_bytes,
            State::Retired(_) => self.peak_memory_bytes,
        }
    }
}

fn arm(store: &mut Store<Guarded>, limits: &Limits, kind: CallKind) {
    let cpu_ms = match kind {
        CallKind::Live => limits.live_call_cpu_ms,
        CallKind::Block => limits.block_call_cpu_ms,
    };
    store.data_mut().deadline.arm(cpu_ms, limits.wall_limit_ms);
    store.set_epoch_deadline(FREE_EPOCHS);
}

/// Sorts an engine's error into the faults that this host tells apart.
fn fault(error: &wasmtime::Error, at: CallSite, log: &GuestLog, limits: &Limits) -> PluginFault {
    if let Some(DeadlinePassed { clock, used_ms, limit_ms }) = error.downcast_ref().copied() {
        return PluginFault::Deadline { at, clock, used_ms, limit_ms, log: log.lines() };
    }
    if let Some(GrowthDenied { wanted, limit, unit }) = error.downcast_ref().copied() {
        return PluginFault::Memory { at, wanted, limit, unit, log: log.lines() };
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return PluginFault::Trap { at, trap: trap.to_string(), log: log.lines() };
    }
    // The engine has no public type for its own; a test holds the words.
    let cause = error.root_cause().to_string();
    if error.is::<TooMuch>() || cause.contains("fuel allocated for hostcalls") {
        return PluginFault::Output { at, limit_mib: limits.output_mib.into() };
    }
    PluginFault::Contract { at, what: cut(&cause, 1024) }
}
