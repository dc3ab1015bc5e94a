//! How a plugin fails while it runs: an answer, a trap and each limit are different things.

use ghtrader_core::{ErrorClass, Problem};
use std::ops::Range;
use std::sync::Arc;

/// Which call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSite {
    /// `role/name@version`.
    pub plugin: Arc<str>,
    /// `instantiate`, `init`, `boundary`, `compute`, `load` or `run`.
    pub function: &'static str,
    /// Rows handed over in that call, counted from the instance's first row; empty where the call has none.
    pub rows: Range<u64>,
}

impl std::fmt::Display for CallSite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", self.plugin, self.function)?;
        match self.rows.end - self.rows.start {
            0 => Ok(()),
            1 => write!(f, " at row {}", self.rows.start),
            _ => write!(f, " at rows {}..{}", self.rows.start, self.rows.end),
        }
    }
}

/// Which of the contract's error cases a plugin answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `invalid-input`
    InvalidInput,
    /// `not-ready`
    NotReady,
    /// `other`, and every case that this host does not know.
    Other,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::InvalidInput => "invalid-input",
            Self::NotReady => "not-ready",
            Self::Other => "other",
        })
    }
}

/// Why a plugin's call gave no result.
///
/// After every fault but [`PluginFault::Error`] and [`PluginFault::Param`] the instance is retired: its sandbox is dropped and each
/// later call gives the same fault again.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PluginFault {
    /// The plugin answered with an error; its instance lives on.
    #[error("{at}: the plugin answered {answer}: {message}")]
    Error {
        /// The call.
        at: CallSite,
        /// Its kind.
        answer: Answer,
        /// The plugin's own words, cut to a line.
        message: String,
    },
    /// The plugin's code trapped: a panic, an access outside its memory, a stack overflow.
    #[error("{at}: trapped: {trap}{}", log_tail(log))]
    Trap {
        /// The call.
        at: CallSite,
        /// Kind of trap, in the engine's words.
        trap: String,
        /// The plugin's last log lines; a panic's file and line are the last of them.
        log: Vec<String>,
    },
    /// A call used more time than it may.
    #[error("{at}: used {used_ms} ms of {clock}, the limit is {limit_ms} ms{}", log_tail(log))]
    Deadline {
        /// The call.
        at: CallSite,
        /// `CPU time` of the calling thread, or `wall time`.
        clock: &'static str,
        /// Time used when it was stopped.
        used_ms: u64,
        /// The limit.
        limit_ms: u64,
        /// The plugin's last log lines.
        log: Vec<String>,
    },
    /// The plugin asked for more memory than it may have.
    #[error("{at}: asked for {wanted} {unit}, the limit is {limit}{}", log_tail(log))]
    Memory {
        /// The call.
        at: CallSite,
        /// Amount asked for, all memories or tables of the instance together.
        wanted: u64,
        /// The limit.
        limit: u64,
        /// `bytes of memory` or `table elements`.
        unit: &'static str,
        /// The plugin's last log lines.
        log: Vec<String>,
    },
    /// A result was larger than it may be.
    #[error("{at}: the result is larger than the limit of {limit_mib} MiB")]
    Output {
        /// The call.
        at: CallSite,
        /// The limit.
        limit_mib: u64,
    },
    /// The plugin broke the contract: a wrong number of values, a description other than its manifest's, a malformed result.
    #[error("{at}: broke the contract: {what}")]
    Contract {
        /// The call.
        at: CallSite,
        /// Value and bound.
        what: String,
    },
    /// A parameter is not one that the manifest allows.
    #[error("{what}")]
    Param {
        /// `param_unknown`, `param_type` or `param_out_of_bounds`.
        code: &'static str,
        /// Parameter, value and bound.
        what: String,
        /// What is allowed.
        remedy: String,
    },
    /// As many instances live as the host allows.
    #[error("{plugin}: {limit} instances are running, the most that plugin.max_instances allows")]
    Instances {
        /// `role/name@version`.
        plugin: Arc<str>,
        /// The limit.
        limit: u32,
    },
    /// The process has no place left for an instance's parts.
    #[error("{plugin}: no place is left for it: {limit} memories, tables or core instances live in this process")]
    Places {
        /// `role/name@version`.
        plugin: Arc<str>,
        /// Places for each of the three kinds.
        limit: u32,
    },
    /// The host called an instance in a way that no plugin can answer; a defect of this program.
    #[error("{at}: called wrongly: {what}")]
    Misuse {
        /// The call.
        at: CallSite,
        /// Value and bound.
        what: String,
    },
}

fn log_tail(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("; its last log lines:\n  {}", lines.join("\n  ")) }
}

impl PluginFault {
    /// Stable name, `snake_case`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Error { .. } => "plugin_error",
            Self::Trap { .. } => "plugin_trapped",
            Self::Deadline { .. } => "plugin_deadline",
            Self::Memory { .. } => "plugin_memory",
            Self::Output { .. } => "plugin_output",
            Self::Contract { .. } => "plugin_contract",
            Self::Param { code, .. } => code,
            Self::Instances { .. } | Self::Places { .. } => "plugin_instances",
            Self::Misuse { .. } => "plugin_misuse",
        }
    }

    /// Who has to act.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Param { .. } => ErrorClass::User,
            Self::Instances { .. } | Self::Places { .. } => ErrorClass::Limit,
            Self::Misuse { .. } => ErrorClass::Internal,
            _ => ErrorClass::Plugin,
        }
    }

    /// The call that failed, where there was one.
    pub fn at(&self) -> Option<&CallSite> {
        match self {
            Self::Error { at, .. }
            | Self::Trap { at, .. }
            | Self::Deadline { at, .. }
            | Self::Memory { at, .. }
            | Self::Output { at, .. }
            | Self::Contract { at, .. }
            | Self::Misuse { at, .. } => Some(at),
            Self::Param { .. } | Self::Instances { .. } | Self::Places { .. } => None,
        }
    }

    /// The instance can be called again.
    pub fn is_recoverable(&self) -> bool {
        matches!(self, Self::Error { .. } | Self::Param { .. })
    }

    fn remedy(&self) -> String {
        match self {
            Self::Error { .. } => "the plugin's own message says what it needs".to_owned(),
            Self::Trap { .. } => "the last log line has file and line of a panic; mend the plugin".to_owned(),
            Self::Deadline { .. } => {
                "make the call cheaper, or raise the limit in the manifest up to the host's plugin.live_call_cpu_ms or \
                 plugin.block_call_cpu_ms"
                    .to_owned()
            }
            Self::Memory { .. } => {
                "use less, or raise limits.memory_mib in the manifest up to the host's plugin.memory_mib".to_owned()
            }
            Self::Output { .. } => {
                "return rows × outputs values only, or raise limits.output_mib up to the host's plugin.output_mib"
                    .to_owned()
            }
            Self::Contract { .. } => "bring the plugin's code and its plugin.toml into agreement".to_owned(),
            Self::Param { remedy, .. } => remedy.clone(),
            Self::Instances { .. } => "raise plugin.max_instances or run fewer plugins at once".to_owned(),
            Self::Places { .. } => "end some, or run fewer plugins at once in a process".to_owned(),
            Self::Misuse { .. } => "report this".to_owned(),
        }
    }
}

impl From<PluginFault> for Problem {
    fn from(fault: PluginFault) -> Self {
        Self::new(fault.code(), fault.class(), fault.to_string(), fault.remedy())
    }
}
