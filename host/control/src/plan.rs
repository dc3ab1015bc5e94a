//! Plans by their hash: made without effect, kept as files, held against the present before they are carried out.

use crate::app::{App, planning_room};
use crate::refusal::Refusal;
use crate::wire::{LineupBody, PluginUse};
use ghtrader_core::{Digest, ErrorClass, Problem};
use ghtrader_plugin::{Registry, Role};
use ghtrader_trading::protocol::{Plan, VarietyView};
use ghtrader_trading::{LineupFile, ModelRef, PluginRef, make_plan, plan_hash};
use std::path::{Path, PathBuf};

/// Works out what a lineup would change.
pub(crate) fn make(app: &App, base: &VarietyView, lineup: LineupBody) -> Result<Plan, Problem> {
    let plugin = |used: PluginUse| PluginRef { plugin: used.plugin, params: used.params };
    let file = LineupFile {
        version: 1,
        name: lineup.name,
        features: lineup.features.into_iter().map(plugin).collect(),
        model: lineup.model.map(|m| ModelRef { artifact: m.artifact }),
        strategy: plugin(lineup.strategy),
    };
    make_plan(&app.registry, &planning_room(&app.config), base, &file)
}

fn path(control_dir: &Path, hash: &Digest) -> PathBuf {
    control_dir.join("plans").join(format!("{hash}.json"))
}

/// Keeps a plan under its hash.
pub(crate) fn keep(app: &App, plan: &Plan) -> Result<(), Problem> {
    let path = path(&app.config.control_dir(), &plan.plan_hash);
    let failed = |e: std::io::Error| {
        let what = format!("the plan cannot be kept in {}: {e}", path.display());
        if ghtrader_durable::is_full(&e) {
            return Problem::new("disk_full", ErrorClass::Limit, what, "free some space and ask again");
        }
        Problem::new("plans_unwritable", ErrorClass::Unavailable, what, "mend the cause named and ask again")
    };
    let bytes = serde_json::to_vec(plan).map_err(|e| failed(e.into()))?;
    ghtrader_durable::publish(&path, &bytes).map_err(failed)
}

/// The plan of a hash.
pub(crate) fn find(app: &App, hash: &Digest) -> Result<Plan, Refusal> {
    let unknown = || {
        let what = format!("there is no plan {hash}");
        Refusal::new("unknown_plan", ErrorClass::User, what, "plan first: POST /api/v1/varieties/{v}/plans")
            .value(hash.to_string())
    };
    let bytes = match std::fs::read(path(&app.config.control_dir(), hash)) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(unknown()),
        Err(e) => {
            let what = format!("the plan {hash} cannot be read: {e}");
            return Err(Refusal::new("plans_unreadable", ErrorClass::Unavailable, what, "mend the cause named"));
        }
    };
    // Damage makes it a plan that nobody made.
    let plan: Option<Plan> = serde_json::from_slice(&bytes).ok();
    plan.filter(|p| p.plan_hash == *hash && plan_hash(p) == *hash).ok_or_else(unknown)
}

/// Every tag that the plan followed still names the same artefact.
pub(crate) fn check_tags(registry: &Registry, plan: &Plan) -> Result<(), Refusal> {
    for (reference, then) in &plan.followed {
        let is_strategy = plan.resolved.strategy.digest == *then;
        let role = if is_strategy { Role::Strategy } else { Role::Feature };
        let now = registry.resolve(reference, Some(role)).map(|r| r.digest);
        if now.as_ref().ok() == Some(then) {
            continue;
        }
        let now = now.map_or_else(|e| e.to_string(), |d| d.to_string());
        return Err(Refusal::new(
            "plan_stale",
            ErrorClass::Conflict,
            format!("`{reference}` named {then} when the plan was made; now: {now}"),
            "plan again and look at the new plan",
        )
        .value(reference.as_str()));
    }
    Ok(())
}

/// Removes plans that are older than a week: nobody applies them any more, and making one again costs nothing.
pub(crate) fn sweep(control_dir: &Path, now_ns: i64) {
    const KEPT_NS: i64 = 7 * 86_400_000_000_000;
    for entry in std::fs::read_dir(control_dir.join("plans")).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|m| m.modified()).ok();
        let modified = modified.and_then(|m| m.duration_since(std::time::UNIX_EPOCH).ok());
        if modified.is_none_or(|m| now_ns - m.as_nanos() as i64 > KEPT_NS) {
            // What cannot be removed now is tried again at the next start.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
