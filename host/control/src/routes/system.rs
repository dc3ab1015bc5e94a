//! Health, readiness, figures, objectives, the description of the API.

use crate::app::App;
use crate::clock::rfc3339;
use crate::document::{ReadErrors, openapi_json};
use crate::metrics::{Recent, VarietyFigures};
use crate::refusal::Refusal;
use crate::reply::{Reply, ok};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use ghtrader_core::ErrorClass;
use ghtrader_plugin::Filter;
use ghtrader_trading::protocol::{Call, VarietyView};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use utoipa::ToSchema;

/// A wall clock before this is not set: 2025-01-01.
const CLOCK_NOT_BEFORE_NS: i64 = 1_735_689_600_000_000_000;

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "system", security(()),
    responses((status = 200, description = "Alive", body = Object)))]
pub(crate) async fn healthz() -> Reply {
    ok(&json!({ "state": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// One thing that has to work.
#[derive(Debug, Serialize, ToSchema)]
struct ReadyCheck {
    /// `store`, `registry`, `disk`, `clock`, `audit`.
    name: &'static str,
    ok: bool,
    /// Figures, or what is wrong.
    detail: String,
}

/// Everything that changes need works: store, registry, disk, clock, audit.
#[utoipa::path(get, path = "/readyz", tag = "system", security(()),
    responses((status = 200, description = "`{ready, checks: [{name, ok, detail}]}`", body = Object), ReadErrors))]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Reply, Refusal> {
    let checks = app.blocking(|app| Ok(checks(app))).await?;
    let bad: Vec<String> = checks.iter().filter(|c| !c.ok).map(|c| format!("{}: {}", c.name, c.detail)).collect();
    if bad.is_empty() {
        return Ok(ok(&json!({ "ready": true, "checks": checks })));
    }
    let findings = checks.iter().map(|c| serde_json::to_value(c).unwrap_or_default()).collect();
    let refusal = Refusal::new("not_ready", ErrorClass::Unavailable, bad.join("; "), "mend the checks that are not ok");
    Err(refusal.findings(findings))
}

fn checks(app: &App) -> Vec<ReadyCheck> {
    let check = |name, result: Result<String, String>| ReadyCheck {
        name,
        ok: result.is_ok(),
        detail: result.unwrap_or_else(|wrong| wrong),
    };
    let registry = app.registry.list(&Filter::default());
    let clock_ns = app.now_ns();
    let clock = if clock_ns > CLOCK_NOT_BEFORE_NS { Ok(rfc3339(clock_ns)) } else { Err(rfc3339(clock_ns)) };
    vec![
        check("store", writable(&app.config.data_dir)),
        check("registry", registry.map(|r| format!("{} plugins", r.len())).map_err(|e| e.to_string())),
        check("disk", free_space(&app.config.runs_dir, app.config.min_free_gib)),
        check("clock", clock),
        check("audit", writable(&app.config.runs_dir)),
    ]
}

fn writable(dir: &Path) -> Result<String, String> {
    use rustix::fs::Access;
    let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    let path = dir.display();
    rustix::fs::access(dir, access).map(|()| path.to_string()).map_err(|e| format!("{path}: {e}"))
}

fn free_space(dir: &Path, min_gib: u64) -> Result<String, String> {
    let stat = rustix::fs::statvfs(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mib = (stat.f_bavail * stat.f_frsize) >> 20;
    let text = format!("{mib} MiB free, at least {} are wanted", min_gib << 10);
    if mib > 0 && mib >= min_gib << 10 { Ok(text) } else { Err(text) }
}

/// Figures in the OpenMetrics text form.
#[utoipa::path(get, path = "/metrics", tag = "system", security(()),
    responses((status = 200, description = "Figures", body = String, content_type = "application/openmetrics-text"), ReadErrors))]
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let mut views: Vec<VarietyView> = Vec::new();
    for account in app.services.accounts() {
        // A service that does not answer has no figures.
        views.extend(app.services.read::<Vec<VarietyView>>(&account, Call::Varieties).await.unwrap_or_default());
    }
    let figures: Vec<VarietyFigures<'_>> = views
        .iter()
        .map(|v| VarietyFigures {
            account: &v.account,
            variety: &v.variety,
            ticks: v.ticks,
            tick_age_ms: v.tick_age_ms,
            position_lots: v.position_lots,
        })
        .collect();
    let text = app.metrics.text(&figures, app.events.readers(), app.events.dropped());
    ([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

/// Objectives with their state: `ok`, `warn` beyond the bound, `empty` without figures.
#[utoipa::path(get, path = "/slo", tag = "system",
    responses((status = 200, description = "`{items: [{name, value_ms, bound_ms, samples, state}]}`", body = Object), ReadErrors))]
pub(crate) async fn slo(State(app): State<App>) -> Reply {
    let objective = |name: &str, recent: &Recent, bound: Duration| -> Value {
        let found = recent.p95();
        let state = match found {
            None => "empty",
            Some((p95, _)) if p95 <= bound => "ok",
            Some(_) => "warn",
        };
        json!({
            "name": name,
            "value_ms": found.map(|(p95, _)| p95.as_secs_f64() * 1000.0),
            "bound_ms": bound.as_millis() as u64,
            "samples": found.map_or(0, |(_, n)| n),
            "state": state,
        })
    };
    let items = [
        objective("api_read_p95", &app.metrics.read_time, Duration::from_millis(50)),
        objective("event_to_client_p95", &app.metrics.event_delay, Duration::from_millis(200)),
    ];
    ok(&json!({ "items": items, "updated_at": rfc3339(app.now_ns()) }))
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "system",
    responses((status = 200, description = "OpenAPI 3.1", body = Object), ReadErrors))]
pub(crate) async fn openapi() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    ([("content-type", "application/json")], TEXT.get_or_init(openapi_json).as_str()).into_response()
}
