//! `/settings`: what holds, and where it comes from. They are changed in their file, not here.

use crate::app::App;
use crate::document::ReadErrors;
use crate::refusal::Refusal;
use crate::reply::{Reply, ok};
use axum::extract::State;
use ghtrader_settings::{environment_name, settings};
use serde_json::{Value, json};

/// Every setting with its value and origin.
#[utoipa::path(get, path = "/settings", tag = "settings",
    responses((status = 200, description = "`{items: [{key, value, origin}], digest}`", body = Object), ReadErrors))]
pub(crate) async fn list_settings(State(app): State<App>) -> Result<Reply, Refusal> {
    let settings = &app.config.settings;
    let items: Vec<Value> =
        settings.iter().map(|(key, e)| json!({ "key": key, "value": e.value, "origin": e.origin })).collect();
    Ok(ok(&json!({ "items": items, "total": items.len(), "digest": settings.digest() })))
}

/// Every setting with default, bounds and meaning.
#[utoipa::path(get, path = "/settings/schema", tag = "settings",
    responses((status = 200, description = "`{items: [{key, default, bounds, about, environment, editable}]}`", body = Object), ReadErrors))]
pub(crate) async fn settings_schema() -> Reply {
    let one = |s: &ghtrader_settings::Setting| {
        json!({
            "key": s.key.path,
            "default": s.default,
            "bounds": s.key.kind.bounds().trim(),
            "about": s.about,
            "environment": environment_name(s.key.path),
            "editable": false,
        })
    };
    let items: Vec<Value> = settings().iter().map(one).collect();
    ok(&json!({ "items": items, "total": items.len() }))
}
