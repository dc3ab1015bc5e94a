//! Forms of the answers, for the description of the API only.
//!
//! The answers themselves are serialised where they belong, in rooms that know nothing of HTTP; a test holds real answers
//! against these forms.
#![expect(dead_code, reason = "a form is described, never made")]

use crate::access::Role;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// One page of a list.
#[derive(ToSchema)]
pub(crate) struct PageOf<T: ToSchema> {
    /// The items, in the list's order.
    items: Vec<T>,
    /// What `cursor` has to be for the next page; absent at the end.
    #[schema(nullable = false)]
    next_cursor: Option<String>,
    /// Items on all pages.
    total: u64,
}

/// A variety: what decides, what stands by, what runs beside, and how it is.
#[derive(ToSchema)]
pub(crate) struct Variety {
    account: String,
    /// Product.
    variety: String,
    /// Rises by one with each swap; what `If-Match` takes.
    generation: u64,
    /// `running`, `proving`, `degraded`, `halted`, `stopped`.
    state: String,
    /// `ok`, `info`, `warn`, `error`, `empty`.
    health: String,
    active: Option<Lineup>,
    standby: Option<Lineup>,
    shadow: Option<Lineup>,
    /// The operation that runs.
    operation: Option<String>,
    /// Contract of the present day.
    contract: String,
    /// Ticks since the service started.
    ticks: u64,
    /// Exchange time of the last tick, ns.
    last_tick_ns: i64,
    /// Wall time since then, ms.
    tick_age_ms: Option<u64>,
    position_lots: i64,
    working_orders: u64,
    equity_cny: f64,
    updated_at_ns: i64,
    updated_at: String,
    /// No tick for a minute.
    stale: bool,
}

/// A lineup in a seat.
#[derive(ToSchema)]
pub(crate) struct Lineup {
    /// Digest of what decides.
    id: String,
    /// Generation under which it is or was active.
    generation: Option<u64>,
    name: String,
    lineup: ResolvedLineup,
    /// Ticks it has answered since it was seated.
    ticks: u64,
    faults: u64,
    errors_in_row: u64,
    pnl_cny: f64,
    fills: u64,
    position_lots: i64,
    memory_bytes: u64,
}

/// A lineup with every reference resolved.
#[derive(ToSchema)]
pub(crate) struct ResolvedLineup {
    name: String,
    features: Vec<ResolvedPlugin>,
    #[schema(nullable = false)]
    model: Option<ResolvedModel>,
    strategy: ResolvedPlugin,
    /// Hash over the features' columns.
    schema_hash: String,
}

/// A plugin by digest, with every parameter settled.
#[derive(ToSchema)]
pub(crate) struct ResolvedPlugin {
    /// `role/name@version`.
    identity: String,
    digest: String,
    params: BTreeMap<String, Value>,
}

/// A model by digest.
#[derive(ToSchema)]
pub(crate) struct ResolvedModel {
    digest: String,
}

/// A lineup that was active.
#[derive(ToSchema)]
pub(crate) struct LineupRecord {
    /// The generation it made.
    generation: u64,
    id: String,
    lineup: ResolvedLineup,
    /// Operation that made it active; empty for the first.
    operation: String,
    since_ns: i64,
}

/// What a lineup would change.
#[derive(ToSchema)]
pub(crate) struct Plan {
    /// The name under which it is carried out.
    plan_hash: String,
    account: String,
    variety: String,
    /// Generation that it was made against.
    base_generation: u64,
    #[schema(nullable = false)]
    base_lineup: Option<String>,
    lineup_id: String,
    resolved: ResolvedLineup,
    /// Tags that were followed, with the digest each named.
    followed: BTreeMap<String, String>,
    /// Differences to the active lineup, one sentence each.
    diff: Vec<String>,
    capacity: Vec<Capacity>,
    /// What a swap has to acknowledge.
    breaking: Vec<String>,
}

/// One need against its bound.
#[derive(ToSchema)]
pub(crate) struct Capacity {
    name: String,
    wanted: u64,
    bound: u64,
    fits: bool,
}

/// How a change of a lineup goes.
#[derive(ToSchema)]
pub(crate) struct Operation {
    id: String,
    /// `shadow`, `swap`, `promote`, `rollback`, `halt`, `resume`.
    kind: String,
    account: String,
    variety: String,
    /// `accepted`, `preparing`, `warming`, `shadowing`, `armed`, `proving`, then `succeeded`, `failed`, `rolled_back` or
    /// `cancelled`.
    state: String,
    ended: bool,
    /// Name of the token.
    actor: String,
    plan_hash: Option<String>,
    lineup_id: Option<String>,
    from_generation: u64,
    /// Generation it made.
    generation: Option<u64>,
    trace: Vec<Stage>,
    #[schema(nullable = false)]
    error: Option<OperationError>,
    /// Facts: `warmed_rows`, `swapped_at_seq`, `pause_ns`, `proved_ticks`, `channels`.
    evidence: BTreeMap<String, Value>,
}

/// One stage of an operation.
#[derive(ToSchema)]
pub(crate) struct Stage {
    state: String,
    at_ns: i64,
}

/// Why an operation failed.
#[derive(ToSchema)]
pub(crate) struct OperationError {
    code: String,
    class: String,
    what: String,
    remedy: String,
    #[schema(nullable = false)]
    generation: Option<u64>,
}

/// What a shadow did beside the active lineup.
#[derive(ToSchema)]
pub(crate) struct ShadowReport {
    lineup_id: String,
    /// Ticks that both answered.
    ticks: u64,
    sessions: u64,
    /// Ticks at which all shared outputs and the actions were equal to the bit.
    equal_ticks: u64,
    equal_share: Option<f64>,
    /// Number of the first tick that differed, and what differed.
    #[schema(value_type = Option<Vec<Value>>)]
    first_difference: Option<(u64, String)>,
    outputs: Vec<OutputDifference>,
    /// Ticks at which one wanted another position than the other.
    target_disagreements: u64,
    /// Of the shadow and of the active lineup.
    latency_ns: Vec<Latency>,
    /// Faults of the shadow, by code.
    faults: BTreeMap<String, u64>,
    /// Of the shadow's own account and of the active lineup since the shadow began.
    pnl_cny: Vec<f64>,
    gate: Vec<GateCondition>,
    gate_open: bool,
}

/// Differences of one output column.
#[derive(ToSchema)]
pub(crate) struct OutputDifference {
    name: String,
    shared: bool,
    different_ticks: u64,
    max_abs_difference: f64,
}

/// Quantiles of the time of a call, ns.
#[derive(ToSchema)]
pub(crate) struct Latency {
    p50: u64,
    p99: u64,
    max: u64,
}

/// One condition of a gate.
#[derive(ToSchema)]
pub(crate) struct GateCondition {
    name: String,
    value: f64,
    bound: f64,
    holds: bool,
}

/// Orders, newest first.
#[derive(ToSchema)]
pub(crate) struct Orders {
    items: Vec<Order>,
}

/// An order with its trace.
#[derive(ToSchema)]
pub(crate) struct Order {
    id: u64,
    /// Generation that asked for it; 0 = the host itself.
    generation: u64,
    lineup: Option<String>,
    contract: String,
    /// Number of the tick it was decided on.
    seq: u64,
    decided_ts_ns: i64,
    /// `buy` or `sell`.
    side: String,
    lots: u32,
    limit_cny: Option<f64>,
    filled_lots: u32,
    /// `open`, `filled`, `cancelled`, `rejected`.
    state: String,
    reason: String,
}

/// An account in a list.
#[derive(ToSchema)]
pub(crate) struct AccountSummary {
    account: String,
    /// `ok`, or `error` where its service does not answer.
    state: String,
    #[schema(nullable = false)]
    kind: Option<String>,
    #[schema(nullable = false)]
    pid: Option<u32>,
    #[schema(nullable = false)]
    source: Option<String>,
    /// Why it does not answer.
    #[schema(nullable = false)]
    code: Option<String>,
}

/// An account with all its varieties.
#[derive(ToSchema)]
pub(crate) struct Account {
    account: String,
    /// `paper`.
    kind: String,
    /// Process of the service.
    pid: u32,
    /// Where ticks come from.
    source: String,
    /// As a variety alone, without what a summary adds.
    #[schema(value_type = Vec<Object>)]
    varieties: Vec<Value>,
}

/// An artefact with everything that is known of it.
#[derive(ToSchema)]
pub(crate) struct Plugin {
    digest: String,
    /// `feature`, `label` or `strategy`.
    role: String,
    name: String,
    version: String,
    bytes: u64,
    manifest: Value,
    checks: Vec<PluginCheck>,
    #[schema(value_type = Option<Object>)]
    cost: Option<Value>,
    pushed_at_ns: i64,
    pushed_at: String,
    pushed_by: String,
    signature: String,
    signed_by: Option<String>,
    /// `admitted`, `quarantined` or `removed`.
    state: String,
    /// Tags that name it, and lineups that run it now.
    users: Vec<String>,
}

/// One check of an admission.
#[derive(ToSchema)]
pub(crate) struct PluginCheck {
    name: String,
    passed: bool,
    detail: String,
}

/// What a push did.
#[derive(ToSchema)]
pub(crate) struct PushedPlugin {
    digest: String,
    role: String,
    name: String,
    version: String,
    /// `new` or `same`.
    outcome: String,
    /// Warnings, such as a missing signature.
    findings: Vec<PluginFinding>,
    checks: Vec<PluginCheck>,
    #[schema(value_type = Option<Object>)]
    cost: Option<Value>,
}

/// One thing that is wrong.
#[derive(ToSchema)]
pub(crate) struct PluginFinding {
    code: String,
    what: String,
    remedy: String,
    #[schema(nullable = false)]
    place: Option<String>,
}

/// A tag with everything that it ever named.
#[derive(ToSchema)]
pub(crate) struct Tag {
    role: String,
    name: String,
    tag: String,
    /// How often it was set; what `If-Match` takes.
    generation: u64,
    digest: String,
    /// Oldest first.
    moves: Vec<TagMove>,
}

/// One move of a tag.
#[derive(ToSchema)]
pub(crate) struct TagMove {
    generation: u64,
    digest: String,
    version: String,
    at_ns: i64,
    actor: String,
    reason: String,
}

/// All tags of a plugin.
#[derive(ToSchema)]
pub(crate) struct Tags {
    items: Vec<Tag>,
    total: u64,
}

/// A token without its secret.
#[derive(ToSchema)]
pub(crate) struct Token {
    id: String,
    name: String,
    role: Role,
    created_at: String,
    /// Never if null.
    expires_at: Option<String>,
    /// The secret; in the answer to its making only.
    #[schema(nullable = false)]
    token: Option<String>,
}

/// An entry of the audit with its place in the chain. Empty fields are left out.
#[derive(ToSchema)]
pub(crate) struct AuditRecord {
    seq: u64,
    time_ns: i64,
    time: String,
    actor: String,
    #[schema(nullable = false)]
    role: Option<String>,
    action: String,
    subject: String,
    #[schema(nullable = false)]
    generation: Option<u64>,
    #[schema(nullable = false)]
    from: Option<String>,
    #[schema(nullable = false)]
    to: Option<String>,
    #[schema(nullable = false)]
    plan_hash: Option<String>,
    #[schema(nullable = false)]
    operation: Option<String>,
    #[schema(nullable = false)]
    reason: Option<String>,
    #[schema(nullable = false)]
    evidence: Option<Vec<String>>,
    /// `done`, `accepted`, `refused` or `failed`.
    outcome: String,
    prev_hash: String,
    hash: String,
}

/// A job of a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchRow {
    /// The job's id: digest of its result.
    job: String,
    lineup: String,
    strategy: String,
    variety: String,
    from: String,
    to: String,
    days: u64,
    /// Names joined by `+`.
    fill_models: String,
    /// `done`, `failed`, `poison`, `missing`.
    state: String,
    /// Parameters that vary and figures of each fill model, named by `columns` of the summary.
    #[serde(flatten)]
    figures: BTreeMap<String, Value>,
}

/// The table of a batch.
#[derive(ToSchema)]
pub(crate) struct BatchSummary {
    /// Digest over all rows.
    digest: String,
    status: BatchStatus,
    columns: Vec<String>,
    rows: Vec<BatchRow>,
}

/// How far a batch is.
#[derive(ToSchema)]
pub(crate) struct BatchStatus {
    /// Digest of the manifest.
    batch: String,
    jobs: u64,
    results: u64,
    failed: u64,
    poison: u64,
    missing: u64,
    /// Jobs whose file is cut, edited or of another job.
    damaged: Vec<String>,
    /// Files that are no job's of this manifest.
    foreign: u64,
    /// Share of the work that is settled.
    share: f64,
}
