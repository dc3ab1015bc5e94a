//! What the control API and the command line say to an account's service, over its local socket.
//!
//! One JSON document a line each way: a [`Request`] in, a [`Reply`] out; behind [`Call::Subscribe`] the service sends
//! [`ServiceEvent`]s until the connection ends. These are the service's only types that are serialised.

use ghtrader_core::{Digest, ErrorClass, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Version of this form; another one is refused.
pub const PROTOCOL_VERSION: u32 = 1;

/// One line to the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// [`PROTOCOL_VERSION`].
    pub version: u32,
    /// What is asked for.
    pub call: Call,
}

/// One line from the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The answer; its form is named at the call.
    Ok(Value),
    /// Why not.
    Error(Failure),
}

/// A problem on its way over the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable name.
    pub code: String,
    /// Name of the [`ErrorClass`].
    pub class: String,
    /// Thing, value, bound.
    pub what: String,
    /// What to do.
    pub remedy: String,
    /// The present generation, where an old one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

impl From<Problem> for Failure {
    fn from(p: Problem) -> Self {
        let class = serde_json::to_value(p.class).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        Self { code: p.code.to_owned(), class, what: p.what, remedy: p.remedy, generation: None }
    }
}

impl Failure {
    /// The class by its name; a name that is not known is a defect.
    pub fn error_class(&self) -> ErrorClass {
        ErrorClass::of_name(&self.class)
    }
}

/// Who asks, for the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Name of the token.
    pub name: String,
    /// Its role.
    pub role: String,
    /// The person's reason, where given.
    #[serde(default)]
    pub reason: String,
}

/// What can be asked of a service.
#[expect(clippy::large_enum_variant, reason = "a few a minute, each moved once")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Every variety that the service runs → `Vec<VarietyView>`.
    Varieties,
    /// One → [`VarietyView`]; `unknown_variety`.
    Variety {
        /// Product, such as `cu`.
        variety: String,
    },
    /// Lineups that were active, newest first → `Vec<LineupRecord>`.
    History {
        /// Product.
        variety: String,
    },
    /// Orders and fills, newest first → `Vec<OrderView>`.
    Orders {
        /// Product.
        variety: String,
        /// At most so many.
        limit: usize,
    },
    /// Carries out a plan → [`OperationView`] as accepted; `plan_stale`, `operation_running`, `generation_stale`,
    /// `breaking_needs_acknowledge`, `variety_mismatch`, `seq_passed`.
    Deploy(Deploy),
    /// Makes the shadow active if its gate is open → [`OperationView`]; `no_shadow`, `gate_failed`.
    Promote(Change),
    /// Makes the standby active → [`OperationView`]; `no_standby`.
    Rollback(Change),
    /// Stops deciding at the next tick, cancels (or flattens) → [`OperationView`]; never waits for another operation.
    Halt(Change),
    /// Goes on after a halt → [`OperationView`]; `not_halted`.
    Resume(Change),
    /// The shadow's report → [`ShadowReport`]; `no_shadow`.
    Shadow {
        /// Product.
        variety: String,
    },
    /// Operations, newest first → `Vec<OperationView>`.
    Operations {
        /// Product; all if absent.
        variety: Option<String>,
    },
    /// One → [`OperationView`]; `unknown_operation`.
    Operation {
        /// Its id.
        id: String,
    },
    /// Ends an operation that has not swapped yet, or a shadow; the active lineup stays → [`OperationView`];
    /// `operation_ended`.
    CancelOperation {
        /// Its id.
        id: String,
        /// Who asks.
        actor: Actor,
    },
    /// The account with every variety → [`AccountStatus`].
    Status,
    /// Sends events from now on.
    Subscribe,
    /// Ends the service in order → `null`.
    Stop,
}

/// A lineup with every reference resolved. Its id is the digest of its canonical JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedLineup {
    /// A name for people; no part of the id.
    pub name: String,
    /// Features in order.
    pub features: Vec<ResolvedPlugin>,
    /// Digest of the model, and where its folder lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ResolvedModel>,
    /// The strategy.
    pub strategy: ResolvedPlugin,
    /// Hash over the features' columns, which ties the model to them.
    pub schema_hash: String,
}

/// A plugin by digest, with every parameter settled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedPlugin {
    /// `role/name@version`.
    pub identity: String,
    /// The artefact.
    pub digest: Digest,
    /// Every parameter.
    pub params: BTreeMap<String, Value>,
}

/// A model by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedModel {
    /// Digest of the artefact.
    pub digest: Digest,
}

impl ResolvedLineup {
    /// Digest of what decides: digests and parameters, not names.
    pub fn id(&self) -> Digest {
        let mut b = ghtrader_core::DigestBuilder::new("ghtrader lineup 1");
        for plugin in self.features.iter().chain([&self.strategy]) {
            b.digest(&plugin.digest).text(&serde_json::to_string(&plugin.params).unwrap_or_default());
        }
        if let Some(model) = &self.model {
            b.digest(&model.digest);
        }
        b.finish()
    }
}

/// What would change, worked out without any effect. Its hash is the name under which it is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Digest over account, variety, base, lineup, breaking changes and the tags that were followed.
    pub plan_hash: Digest,
    /// Account.
    pub account: String,
    /// Product.
    pub variety: String,
    /// Generation of the variety that the plan was made against.
    pub base_generation: u64,
    /// Lineup that was active then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_lineup: Option<Digest>,
    /// The lineup's id.
    pub lineup_id: Digest,
    /// The lineup.
    pub resolved: ResolvedLineup,
    /// Tags that were followed: reference as written → digest then. A tag that has moved makes the plan stale.
    pub followed: BTreeMap<String, Digest>,
    /// Differences to the active lineup, one sentence each.
    pub diff: Vec<String>,
    /// What the lineup needs against what there is.
    pub capacity: Vec<Capacity>,
    /// What needs an acknowledgement before a swap: `major_version:ROLE/NAME`, `limits_up:ROLE/NAME`.
    pub breaking: Vec<String>,
}

/// One need against its bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// `memory_mib`, `instances` or `warmup_rows`.
    pub name: String,
    /// What the lineup asks for.
    pub wanted: u64,
    /// What there is.
    pub bound: u64,
    /// It fits.
    pub fits: bool,
}

/// Shadow or swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Beside the active one, recorded, never acted on.
    Shadow,
    /// In place of the active one.
    Swap,
}

/// When a swap happens; always at the top of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivateAt {
    /// The next one.
    #[default]
    NextTick,
    /// The first one of the next session.
    SessionOpen,
    /// The one with this number, counted from the service's first tick, which is 1.
    Seq(u64),
}

/// What becomes of working orders at a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderPolicy {
    /// They stay the host's, under the generation that asked for them.
    Keep,
    /// They are cancelled.
    Cancel,
    /// They are cancelled, and the position is closed.
    Flatten,
}

/// `Call::Deploy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deploy {
    /// The plan, whole; the service checks its hash.
    pub plan: Plan,
    /// Shadow or swap.
    pub mode: Mode,
    /// When.
    #[serde(default)]
    pub activate_at: ActivateAt,
    /// The setting `lineup.order_policy` if absent.
    #[serde(default)]
    pub order_policy: Option<OrderPolicy>,
    /// Names of breaking changes that the person knows of.
    #[serde(default)]
    pub acknowledge: Vec<String>,
    /// Generation that the person saw.
    pub generation: u64,
    /// Who asks.
    pub actor: Actor,
}

/// `Call::Promote`, `Rollback`, `Halt`, `Resume`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Product.
    pub variety: String,
    /// Generation that the person saw; a halt needs none.
    #[serde(default)]
    pub generation: Option<u64>,
    /// The setting `lineup.order_policy` (for a halt `lineup.on_halt`) if absent.
    #[serde(default)]
    pub order_policy: Option<OrderPolicy>,
    /// When.
    #[serde(default)]
    pub activate_at: ActivateAt,
    /// Who asks.
    pub actor: Actor,
}

/// A variety as readers see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VarietyView {
    /// Account.
    pub account: String,
    /// Product.
    pub variety: String,
    /// Rises by one with each swap.
    pub generation: u64,
    /// `running`, `proving`, `degraded`, `halted`, `stopped`.
    pub state: String,
    /// What decides.
    pub active: Option<LineupView>,
    /// What decided before and is kept warm.
    pub standby: Option<LineupView>,
    /// What runs beside.
    pub shadow: Option<LineupView>,
    /// The operation that runs.
    pub operation: Option<String>,
    /// Contract of the present day.
    pub contract: String,
    /// Ticks handled since the service started.
    pub ticks: u64,
    /// Exchange time of the last one, ns.
    pub last_tick_ns: i64,
    /// Wall time since the last one, ms; none before the first.
    pub tick_age_ms: Option<u64>,
    /// Net position, lots.
    pub position_lots: i64,
    /// Working orders.
    pub working_orders: u64,
    /// Equity, CNY.
    pub equity_cny: f64,
    /// Wall clock of this view, ns since the epoch.
    pub updated_at_ns: i64,
}

/// A lineup in a seat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineupView {
    /// Its id.
    pub id: Digest,
    /// Generation under which it is or was active; none for a shadow that never was.
    pub generation: Option<u64>,
    /// A name for people.
    pub name: String,
    /// What it consists of.
    pub lineup: ResolvedLineup,
    /// Ticks it has answered since it was seated.
    pub ticks: u64,
    /// Faults since it was seated.
    pub faults: u64,
    /// Error answers in a row.
    pub errors_in_row: u64,
    /// Its account's profit since it was seated, CNY; a shadow's account is simulated from a copy of the active one's.
    pub pnl_cny: f64,
    /// Fills since it was seated.
    pub fills: u64,
    /// Net position of its account, lots.
    pub position_lots: i64,
    /// Linear memory of its instances, bytes.
    pub memory_bytes: u64,
}

/// A lineup that was active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineupRecord {
    /// The generation it made.
    pub generation: u64,
    /// Its id.
    pub id: Digest,
    /// What it consists of.
    pub lineup: ResolvedLineup,
    /// Operation that made it active; empty for the first.
    pub operation: String,
    /// Wall clock, ns since the epoch.
    pub since_ns: i64,
}

/// An order with its trace; (session, id) is unique.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderView {
    /// The host's id.
    pub id: u64,
    /// Wall clock at which the service's session began, ns since the epoch.
    pub session: i64,
    /// Generation that asked for it; 0 = the host itself.
    pub generation: u64,
    /// Lineup of that generation.
    pub lineup: Option<Digest>,
    /// Contract.
    pub contract: String,
    /// Number of the tick it was decided on.
    pub seq: u64,
    /// Exchange time of that tick, ns.
    pub decided_ts_ns: i64,
    /// `buy` or `sell`.
    pub side: String,
    /// Size.
    pub lots: u32,
    /// Limit, CNY; none = market.
    pub limit_cny: Option<f64>,
    /// Lots filled.
    pub filled_lots: u32,
    /// `open`, `filled`, `cancelled`, `rejected`.
    pub state: String,
    /// Name of the reason of a refusal.
    pub reason: String,
}

/// How an operation goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationView {
    /// `op-`, the variety, `-` and a number that grows.
    pub id: String,
    /// `shadow`, `swap`, `promote`, `rollback`, `halt`, `resume`.
    pub kind: String,
    /// Account.
    pub account: String,
    /// Product.
    pub variety: String,
    /// `accepted`, `preparing` (instances are made and warmed up), `shadowing`, `armed`, `proving`, `rolling_back`, then one
    /// of `succeeded`, `failed`, `rolled_back`, `cancelled`.
    pub state: String,
    /// It has ended.
    pub ended: bool,
    /// Who asked.
    pub actor: String,
    /// The plan, where there is one.
    pub plan_hash: Option<Digest>,
    /// The lineup, where there is one.
    pub lineup_id: Option<Digest>,
    /// Generation of the variety when it was accepted.
    pub from_generation: u64,
    /// Generation it made.
    pub generation: Option<u64>,
    /// Stages with their wall clock.
    pub trace: Vec<Stage>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Facts: `warmed_rows`, `swapped_at_seq`, `pause_ns`, `proved_ticks`, `channels`.
    pub evidence: BTreeMap<String, Value>,
}

/// One stage of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub state: String,
    /// Wall clock, ns since the epoch.
    pub at_ns: i64,
}

/// What a shadow did beside the active lineup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowReport {
    /// The shadow's lineup.
    pub lineup_id: Digest,
    /// Ticks that both answered.
    pub ticks: u64,
    /// Sessions it has seen the end of.
    pub sessions: u64,
    /// Ticks at which all shared outputs and the actions were equal to the bit.
    pub equal_ticks: u64,
    /// `equal_ticks / ticks`; none before the first tick.
    pub equal_share: Option<f64>,
    /// Number of the first tick that differed, and what differed.
    pub first_difference: Option<(u64, String)>,
    /// Outputs by name.
    pub outputs: Vec<OutputDifference>,
    /// Ticks at which one wanted another net position than the other.
    pub target_disagreements: u64,
    /// Time of a call, ns: shadow and active.
    pub latency_ns: [Latency; 2],
    /// Faults on this variety since the service began, by code; a shadow that faults is gone.
    pub faults: BTreeMap<String, u64>,
    /// Profit of the shadow's own account, and of the active lineup since the shadow began, CNY.
    pub pnl_cny: [f64; 2],
    /// The gate, condition by condition.
    pub gate: Vec<GateCondition>,
    /// All conditions hold.
    pub gate_open: bool,
}

/// Differences of one output column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputDifference {
    /// `feature/mid`, `score/up@50`.
    pub name: String,
    /// Both lineups have it.
    pub shared: bool,
    /// Ticks at which it differed.
    pub different_ticks: u64,
    /// Largest difference.
    pub max_abs_difference: f64,
}

/// Quantiles of a latency, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Largest.
    pub max: u64,
}

/// One condition of a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateCondition {
    /// Such as `shadow_min_ticks`.
    pub name: String,
    /// What there is.
    pub value: f64,
    /// What is wanted.
    pub bound: f64,
    /// It holds.
    pub holds: bool,
}

/// An account with all its varieties.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// Its name.
    pub account: String,
    /// `paper`.
    pub kind: String,
    /// Process of the service.
    pub pid: u32,
    /// Where ticks come from, for people.
    pub source: String,
    /// Every variety.
    pub varieties: Vec<VarietyView>,
}

/// A thing that happened; its topic is the SSE topic of the control API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceEvent {
    /// `operation`, `variety`, `shadow`, `order`, `alert`.
    pub topic: String,
    /// Product.
    pub variety: String,
    /// The new state: an [`OperationView`], a [`VarietyView`], a [`ShadowReport`], an [`OrderView`].
    pub data: Value,
}
