//! What an instance may use, and how the host is set up.

use crate::manifest::LimitRequest;
use std::path::PathBuf;

/// Bounds of one instance.
///
/// A call that handles one row (as live calls do) has the live CPU limit, any other the block limit. The wall limit is the time that
/// a call may lose to other threads beyond its CPU limit, before it is stopped anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of an instance, MiB [1, 4096].
    pub memory_mib: u32,
    /// CPU time of a call with one row, ms [1, 1000].
    pub live_call_cpu_ms: u32,
    /// CPU time of any other call, ms [1, 60000].
    pub block_call_cpu_ms: u32,
    /// Wall time of a call beyond its CPU limit, ms [10, 60000].
    pub wall_limit_ms: u32,
    /// Size of a result, MiB [1, 1024].
    pub output_mib: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_mib: 64, live_call_cpu_ms: 5, block_call_cpu_ms: 2000, wall_limit_ms: 1000, output_mib: 64 }
    }
}

impl Limits {
    /// The host's limits, lowered to what a manifest asks for.
    pub fn lowered_to(self, asked: &LimitRequest) -> Self {
        let low = |host: u32, asked: Option<u32>| asked.map_or(host, |a| a.min(host));
        Self {
            memory_mib: low(self.memory_mib, asked.memory_mib),
            live_call_cpu_ms: low(self.live_call_cpu_ms, asked.live_call_cpu_ms),
            block_call_cpu_ms: low(self.block_call_cpu_ms, asked.block_call_cpu_ms),
            wall_limit_ms: self.wall_limit_ms,
            output_mib: low(self.output_mib, asked.output_mib),
        }
    }
}

/// Settings of a plugin host; the defaults are those of the settings `plugin.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostConfig {
    /// Folder of compiled code, as trusted as the program itself; `None` compiles anew at each load.
    pub compile_cache: Option<PathBuf>,
    /// Size to which that folder is kept, oldest files first, MiB.
    pub compile_cache_mib: u64,
    /// Upper bounds; a manifest may ask for less.
    pub limits: Limits,
    /// Log lines of an instance that are passed on each second; the others are dropped and counted.
    pub log_lines_per_s: u32,
    /// Length to which a log line is cut, bytes.
    pub log_line_bytes: usize,
    /// Instances that may live at once.
    pub max_instances: u32,
    /// Accept artefacts of the contract that is not released yet. On by default for as long as there is no other.
    pub dev_channel: bool,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            compile_cache: None,
            compile_cache_mib: 2048,
            limits: Limits::default(),
            log_lines_per_s: 100,
            log_line_bytes: 1024,
            max_instances: 1000,
            dev_channel: true,
        }
    }
}
