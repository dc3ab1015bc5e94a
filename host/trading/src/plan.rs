//! Working out what a lineup would change, without any effect.

use crate::maker::{LineupMaker, RegistryMaker, param_value};
use crate::protocol::{Capacity, Plan, ResolvedLineup, ResolvedModel, ResolvedPlugin, VarietyView};
use ghtrader_core::{Digest, DigestBuilder, ErrorClass, Problem};
use ghtrader_model::Artefact;
use ghtrader_plugin::{Finding, Instrument, Limits, ParamValue, Params, Plugin, Registry, Role, Via};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::Arc;

/// A lineup as a person writes it, in TOML or JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineupFile {
    /// Version of this form: 1.
    #[serde(default = "one")]
    pub version: u32,
    /// A name for people.
    pub name: String,
    /// Features, in order.
    #[serde(default)]
    pub features: Vec<PluginRef>,
    /// The model whose scores the strategy may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    /// The strategy.
    pub strategy: PluginRef,
}

fn one() -> u32 {
    1
}

/// A plugin by name and its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginRef {
    /// `name@1.2.3`, `name:tag` or a digest.
    pub plugin: String,
    /// Values of its parameters; the manifest's defaults hold for the others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
}

/// A trained model by its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRef {
    /// Folder of the model, relative to the project's root; its name is the model's digest.
    pub artifact: String,
}

/// What a lineup may use.
#[derive(Debug, Clone)]
pub struct Room {
    /// Root of the project, for the folders of models.
    pub root: std::path::PathBuf,
    /// Where models are kept by digest.
    pub models_dir: std::path::PathBuf,
    /// The host's upper limits.
    pub limits: Limits,
    /// Instances that may live at once.
    pub max_instances: u32,
    /// Rows kept for a warm-up.
    pub ring_rows: u64,
}

impl LineupFile {
    /// Reads a lineup file.
    ///
    /// # Errors
    /// `lineup_invalid` with line and key.
    pub fn parse(text: &str, name: &str) -> Result<Self, Problem> {
        let file: Self = toml::from_str(text).map_err(|e| invalid(format!("{name}: {}", e.to_string().trim_end())))?;
        if file.version == 1 {
            Ok(file)
        } else {
            Err(invalid(format!("{name}: version = {}, this host reads 1", file.version)))
        }
    }
}

fn invalid(what: String) -> Problem {
    let remedy = "give version = 1, name, [[features]] plugin, [strategy] plugin, each with optional params";
    Problem::new("lineup_invalid", ErrorClass::User, what, remedy)
}

/// Resolves a lineup against what is active now.
///
/// Nothing changes but that a model is kept under its digest. Equal requests against an equal state give the same plan.
///
/// # Errors
/// References that stand for nothing, parameters out of bounds, plugins made for another variety, columns that nothing makes, a
/// model of another schema.
pub fn make_plan(registry: &Registry, room: &Room, base: &VarietyView, file: &LineupFile) -> Result<Plan, Problem> {
    if file.version != 1 {
        return Err(invalid(format!("version = {}, this host reads 1", file.version)));
    }
    let mut followed = BTreeMap::new();
    let mut plugins: Vec<Arc<Plugin>> = Vec::new();
    let mut resolve = |reference: &PluginRef, role: Role| -> Result<ResolvedPlugin, Problem> {
        let found = registry.resolve(&reference.plugin, Some(role))?;
        if let Via::Tag { .. } = found.via {
            followed.insert(reference.plugin.clone(), found.digest);
        }
        let plugin = registry.load(&found.digest)?;
        check_variety(&plugin, &base.variety)?;
        let given: Params = reference.params.iter().map(|(k, v)| (k.clone(), param_value(v))).collect();
        let params = plugin.manifest().resolve_params(&given).map_err(|f| Finding::into_problem(&f))?;
        plugins.push(plugin);
        let params = params.iter().map(|(k, v)| (k.clone(), param_json(v))).collect();
        Ok(ResolvedPlugin { identity: found.identity, digest: found.digest, params })
    };
    let features = file.features.iter().map(|f| resolve(f, Role::Feature)).collect::<Result<Vec<_>, _>>()?;
    let strategy = resolve(&file.strategy, Role::Strategy)?;
    let model = file.model.as_ref().map(|m| keep_model(room, m)).transpose()?;
    let mut resolved =
        ResolvedLineup { name: file.name.clone(), features, model, strategy, schema_hash: String::new() };
    // The surest check of a lineup is to make it.
    let maker = RegistryMaker::new(registry.clone(), room.models_dir.clone());
    let symbol = if base.contract.is_empty() { format!("SHFE.{}2601", base.variety) } else { base.contract.clone() };
    let made = maker.make(&resolved, &Instrument { symbol, price_tick: 1.0, multiplier: 1.0 })?;
    resolved.schema_hash =
        DigestBuilder::new("ghtrader lineup schema 1").text(&made.names().join("\n")).finish().short16();
    let lineup_id = resolved.id();
    let base_lineup = base.active.as_ref().map(|a| a.id);
    let before = base.active.as_ref().map(|a| &a.lineup);
    let mut plan = Plan {
        plan_hash: lineup_id,
        account: base.account.clone(),
        variety: base.variety.clone(),
        base_generation: base.generation,
        base_lineup,
        lineup_id,
        diff: differences(before, &resolved),
        capacity: capacity(room, &plugins, made.warmup_rows() as u64),
        breaking: breaking(registry, before, &resolved, &plugins),
        resolved,
        followed,
    };
    plan.plan_hash = plan_hash(&plan);
    Ok(plan)
}

/// Resolves the lineup that a variety starts with.
///
/// # Errors
/// As [`make_plan`].
pub fn first_lineup(
    registry: &Registry,
    room: &Room,
    account: &str,
    variety: &str,
    file: &LineupFile,
) -> Result<ResolvedLineup, Problem> {
    let nothing = VarietyView {
        account: account.to_owned(),
        variety: variety.to_owned(),
        generation: 0,
        state: String::new(),
        active: None,
        standby: None,
        shadow: None,
        operation: None,
        contract: String::new(),
        ticks: 0,
        last_tick_ns: 0,
        tick_age_ms: None,
        position_lots: 0,
        working_orders: 0,
        equity_cny: 0.0,
        updated_at_ns: 0,
    };
    Ok(make_plan(registry, room, &nothing, file)?.resolved)
}

/// The digest under which a plan is applied, worked out of its parts: what was changed on the way shows.
pub fn plan_hash(plan: &Plan) -> Digest {
    let mut b = DigestBuilder::new("ghtrader plan 1");
    b.text(&plan.account).text(&plan.variety).int(plan.base_generation.cast_signed()).digest(&plan.resolved.id());
    if let Some(base) = &plan.base_lineup {
        b.digest(base);
    }
    for flag in &plan.breaking {
        b.text(flag);
    }
    for (reference, digest) in &plan.followed {
        b.text(reference).digest(digest);
    }
    b.finish()
}

/// The tags that a plan followed and that have moved since.
///
/// # Errors
/// A tag that is gone.
pub fn moved_tags(registry: &Registry, plan: &Plan) -> Result<Vec<String>, Problem> {
    let mut moved = Vec::new();
    for (reference, digest) in &plan.followed {
        let now = registry.resolve(reference, None)?.digest;
        if now != *digest {
            moved.push(format!("{reference} stood for {}, now for {}", short(digest), short(&now)));
        }
    }
    Ok(moved)
}

fn short(digest: &Digest) -> String {
    digest.short16()
}

fn check_variety(plugin: &Plugin, variety: &str) -> Result<(), Problem> {
    let varieties = &plugin.manifest().plugin.varieties;
    if varieties.is_empty() || varieties.iter().any(|v| v == variety) {
        return Ok(());
    }
    Err(Problem::new(
        "variety_mismatch",
        ErrorClass::User,
        format!("{} is made for {}, not for {variety}", plugin.identity(), varieties.join(", ")),
        "use it on a variety that its manifest names",
    ))
}

fn keep_model(room: &Room, model: &ModelRef) -> Result<ResolvedModel, Problem> {
    let path = Path::new(&model.artifact);
    if !path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Err(Problem::new(
            "model_outside",
            ErrorClass::User,
            format!("model.artifact = {} leaves the project's root", model.artifact),
            "name a folder below the root, such as model/<digest>",
        ));
    }
    let artefact = Artefact::open(&room.root.join(path))?;
    let (digest, _) = artefact.save(&room.models_dir)?;
    Ok(ResolvedModel { digest })
}

fn param_json(value: &ParamValue) -> Value {
    match value {
        ParamValue::Integer(v) => Value::from(*v),
        ParamValue::Number(v) => Value::from(*v),
        ParamValue::Flag(v) => Value::from(*v),
        ParamValue::Text(v) => Value::from(v.clone()),
    }
}

fn differences(before: Option<&ResolvedLineup>, after: &ResolvedLineup) -> Vec<String> {
    let Some(before) = before else { return vec!["nothing is active".to_owned()] };
    if before.id() == after.id() {
        return vec!["the same lineup".to_owned()];
    }
    let mut diff = Vec::new();
    for at in 0..before.features.len().max(after.features.len()) {
        compare_plugin(&format!("feature {}", at + 1), before.features.get(at), after.features.get(at), &mut diff);
    }
    let model = |l: &ResolvedLineup| l.model.as_ref().map(|m| short(&m.digest));
    if model(before) != model(after) {
        let shown = |m: Option<String>| m.unwrap_or_else(|| "none".to_owned());
        diff.push(format!("model: {} → {}", shown(model(before)), shown(model(after))));
    }
    compare_plugin("strategy", Some(&before.strategy), Some(&after.strategy), &mut diff);
    diff
}

fn compare_plugin(place: &str, a: Option<&ResolvedPlugin>, b: Option<&ResolvedPlugin>, diff: &mut Vec<String>) {
    match (a, b) {
        (Some(a), Some(b)) => {
            if a.digest != b.digest {
                let (from, to) = (short(&a.digest), short(&b.digest));
                diff.push(format!("{place}: {} ({from}) → {} ({to})", a.identity, b.identity));
            }
            for (name, value) in &b.params {
                if a.params.get(name).is_some_and(|old| old != value) || !a.params.contains_key(name) {
                    let old = a.params.get(name).map_or_else(|| "none".to_owned(), Value::to_string);
                    diff.push(format!("{place}: {name} = {old} → {value}"));
                }
            }
        }
        (Some(a), None) => diff.push(format!("{place}: {} goes", a.identity)),
        (None, Some(b)) => diff.push(format!("{place}: {} comes", b.identity)),
        (None, None) => {}
    }
}

fn capacity(room: &Room, plugins: &[Arc<Plugin>], warmup_rows: u64) -> Vec<Capacity> {
    let need =
        |name: &str, wanted: u64, bound: u64| Capacity { name: name.to_owned(), wanted, bound, fits: wanted <= bound };
    let memory: u64 = plugins.iter().map(|p| u64::from(room.limits.lowered_to(&p.manifest().limits).memory_mib)).sum();
    let mut needs = vec![
        need("instances", plugins.len() as u64, u64::from(room.max_instances)),
        need("warmup_rows", warmup_rows, room.ring_rows),
    ];
    if let Some(free_mib) = free_memory_mib() {
        needs.push(need("memory_mib", memory, free_mib));
    }
    needs
}

/// Memory that the machine can give, MiB; none where the system does not say.
pub fn free_memory_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}

/// What a person has to know of before a swap: the same plugin with another major version, or with larger limits.
fn breaking(
    registry: &Registry,
    before: Option<&ResolvedLineup>,
    after: &ResolvedLineup,
    plugins: &[Arc<Plugin>],
) -> Vec<String> {
    let Some(before) = before else { return Vec::new() };
    let mut flags = Vec::new();
    let old: Vec<&ResolvedPlugin> = before.features.iter().chain([&before.strategy]).collect();
    for (new, plugin) in after.features.iter().chain([&after.strategy]).zip(plugins) {
        let name =
            |identity: &str| identity.split_once('@').map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap_or_default();
        let (new_name, new_version) = name(&new.identity);
        let Some(same) = old.iter().find(|o| name(&o.identity).0 == new_name) else { continue };
        let major = |version: &str| version.split('.').next().unwrap_or_default().to_owned();
        if major(&name(&same.identity).1) != major(&new_version) {
            flags.push(format!("major_version:{new_name}"));
        }
        if let Ok(old) = registry.load(&same.digest) {
            let (a, b) = (&old.manifest().limits, &plugin.manifest().limits);
            let up = |a: Option<u32>, b: Option<u32>| b.unwrap_or(u32::MAX) > a.unwrap_or(u32::MAX);
            if up(a.memory_mib, b.memory_mib) || up(a.live_call_cpu_ms, b.live_call_cpu_ms) {
                flags.push(format!("limits_up:{new_name}"));
            }
        }
    }
    flags
}
