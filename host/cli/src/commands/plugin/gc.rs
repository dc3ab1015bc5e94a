//! `ghtrader plugin gc`: cleans the registry of this root up, in two steps.

use crate::context::Context;
use crate::output::{emit, grouped, table};
use ghtrader_core::{Digest, Problem};
use ghtrader_durable::{Audit, AuditEntry, Outcome};
use ghtrader_trading::kept_artefacts;

/// Shows what would go, or carries a plan out that still holds. Artefacts of kept lineups stay.
pub(super) fn run(context: &Context, apply: Option<&Digest>) -> Result<(), Problem> {
    let registry = context.registry()?;
    let runs_dir = context.dir("runs_dir");
    let keep = kept_artefacts(&runs_dir)?;
    let Some(plan_hash) = apply else {
        let plan = registry.gc_plan(&keep)?;
        return emit(context.json, &plan, |plan| {
            let rows: Vec<Vec<String>> = plan
                .items
                .iter()
                .map(|i| {
                    let reason = serde_json::to_value(i.reason).unwrap_or_default();
                    let reason = reason.as_str().unwrap_or_default().to_owned();
                    vec![i.path.display().to_string(), grouped(i.bytes.cast_signed()), reason]
                })
                .collect();
            if rows.is_empty() {
                return "nothing to clean up".to_owned();
            }
            let head = ["file", "bytes", "why"];
            format!("{}\n\nnext: ghtrader plugin gc --apply {}", table(&head, &rows), plan.plan_hash)
        });
    };
    let done = registry.gc_apply(plan_hash, &keep)?;
    let entry = AuditEntry {
        actor: "terminal".to_owned(),
        role: "admin".to_owned(),
        action: "registry.gc".to_owned(),
        subject: "registry".to_owned(),
        generation: None,
        from: String::new(),
        to: String::new(),
        plan_hash: plan_hash.to_string(),
        operation: String::new(),
        reason: String::new(),
        evidence: vec![format!("{} files", done.files), format!("{} bytes", done.bytes)],
        outcome: Outcome::Done,
    };
    Audit::new(&runs_dir.join("audit")).append(ghtrader_control::wall_clock_ns(), entry)?;
    emit(context.json, &done, |done| {
        format!("{} files, {} bytes are gone", done.files, grouped(done.bytes.cast_signed()))
    })
}
