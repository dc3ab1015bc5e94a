//! `/varieties`: what runs on each, and what ran before.

use crate::app::App;
use crate::clock::rfc3339;
use crate::document::ReadErrors;
use crate::extract::{ApiPath, ApiQuery, digest};
use crate::listing::{newest_first, page};
use crate::refusal::Refusal;
use crate::reply::{Reply, ok};
use crate::schema;
use axum::extract::State;
use ghtrader_core::ErrorClass;
use ghtrader_trading::protocol::{Call, LineupRecord, ShadowReport, VarietyView};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

/// Time without a tick behind which a variety's figures count as stale, ms.
const STALE_MS: u64 = 60_000;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountQuery {
    /// Account; the one that runs the variety if absent.
    pub(crate) account: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountPageQuery {
    /// Account; the one that runs the variety if absent.
    pub(crate) account: Option<String>,
    /// Items of a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: Option<String>,
    /// `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
}

/// A view with what every summary carries: when it is from, whether it is stale, how it is.
fn summary(view: &VarietyView) -> Value {
    let health = match view.state.as_str() {
        "halted" => "error",
        "degraded" | "stopped" => "warn",
        "proving" => "info",
        _ if view.active.is_none() => "empty",
        _ => "ok",
    };
    let mut value = serde_json::to_value(view).unwrap_or_default();
    value["updated_at"] = json!(rfc3339(view.updated_at_ns));
    value["stale"] = json!(view.tick_age_ms.is_none_or(|ms| ms > STALE_MS));
    value["health"] = json!(health);
    value
}

/// Every variety that runs, by account and name.
#[utoipa::path(get, path = "/varieties", tag = "varieties", params(AccountPageQuery),
    responses((status = 200, description = "A page of varieties, each as the single one", body = schema::PageOf<schema::Variety>), ReadErrors))]
pub(crate) async fn list_varieties(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<AccountPageQuery>,
) -> Result<Reply, Refusal> {
    let accounts = match &query.account {
        Some(named) => vec![app.services.account(named)?],
        None => app.services.accounts(),
    };
    let mut views: Vec<VarietyView> = Vec::new();
    let mut failed = Some(crate::services::nothing_runs());
    for account in accounts {
        match app.services.read::<Vec<VarietyView>>(&account, Call::Varieties).await {
            Ok(more) => {
                views.extend(more);
                failed = None;
            }
            // Of several accounts one may be stopped; it is missing then, and the only one's refusal is the answer.
            Err(refusal) => failed = failed.map(|_| refusal),
        }
    }
    if let Some(refusal) = failed {
        return Err(refusal);
    }
    let items: Vec<Value> = views.iter().map(summary).collect();
    let key = |v: &Value| format!("{}/{}", v["account"], v["variety"]);
    Ok(ok(&page("varieties", items, key, query.limit.as_deref(), query.cursor.as_deref())?))
}

/// A variety: active, standby and shadow lineup, generation, state, figures.
#[utoipa::path(get, path = "/varieties/{v}", tag = "varieties",
    params(("v" = String, Path, description = "Product, such as cu"), AccountQuery),
    responses((status = 200, description = "The variety; its generation also as ETag", body = schema::Variety), ReadErrors))]
pub(crate) async fn get_variety(
    State(app): State<App>,
    ApiPath(variety): ApiPath<String>,
    ApiQuery(query): ApiQuery<AccountQuery>,
) -> Result<Reply, Refusal> {
    let view = view(&app, query.account.as_deref(), &variety).await?;
    Ok(ok(&summary(&view)).generation(view.generation))
}

/// The variety of the account that is meant.
pub(crate) async fn view(app: &App, account: Option<&str>, variety: &str) -> Result<VarietyView, Refusal> {
    let account = app.services.account_of(account, variety).await?;
    app.services.read(&account, Call::Variety { variety: variety.to_owned() }).await
}

/// The shadow beside the active lineup: equal share, differences, disagreement, latency, faults, gate.
#[utoipa::path(get, path = "/varieties/{v}/shadow", tag = "varieties",
    params(("v" = String, Path, description = "Product, such as cu"), AccountQuery),
    responses((status = 200, description = "The report", body = schema::ShadowReport), ReadErrors))]
pub(crate) async fn get_shadow(
    State(app): State<App>,
    ApiPath(variety): ApiPath<String>,
    ApiQuery(query): ApiQuery<AccountQuery>,
) -> Result<Reply, Refusal> {
    let account = app.services.account_of(query.account.as_deref(), &variety).await?;
    let report: ShadowReport = app.services.read(&account, Call::Shadow { variety }).await?;
    Ok(ok(&report))
}

async fn history(app: &App, account: Option<&str>, variety: String) -> Result<Vec<LineupRecord>, Refusal> {
    let account = app.services.account_of(account, &variety).await?;
    app.services.read(&account, Call::History { variety }).await
}

/// Lineups that were active, newest first.
#[utoipa::path(get, path = "/varieties/{v}/lineups", tag = "varieties",
    params(("v" = String, Path, description = "Product, such as cu"), AccountPageQuery),
    responses((status = 200, description = "A page of lineups with digests, parameters and schema hash", body = schema::PageOf<schema::LineupRecord>), ReadErrors))]
pub(crate) async fn list_lineups(
    State(app): State<App>,
    ApiPath(variety): ApiPath<String>,
    ApiQuery(query): ApiQuery<AccountPageQuery>,
) -> Result<Reply, Refusal> {
    let records = history(&app, query.account.as_deref(), variety).await?;
    let key = |r: &LineupRecord| newest_first(r.generation);
    Ok(ok(&page("lineups", records, key, query.limit.as_deref(), query.cursor.as_deref())?))
}

/// A lineup that was active, as it last was.
#[utoipa::path(get, path = "/varieties/{v}/lineups/{id}", tag = "varieties",
    params(("v" = String, Path, description = "Product, such as cu"), ("id" = String, Path, description = "Digest of the lineup"), AccountQuery),
    responses((status = 200, description = "Digests, parameters, schema hash", body = schema::LineupRecord), ReadErrors))]
pub(crate) async fn get_lineup(
    State(app): State<App>,
    ApiPath((variety, id)): ApiPath<(String, String)>,
    ApiQuery(query): ApiQuery<AccountQuery>,
) -> Result<Reply, Refusal> {
    let id = digest(&id)?;
    let records = history(&app, query.account.as_deref(), variety).await?;
    let newest = records.into_iter().filter(|r| r.id == id).max_by_key(|r| r.generation);
    newest.map(|r| ok(&r)).ok_or_else(|| {
        let what = format!("no lineup {id} was active");
        Refusal::new("unknown_lineup", ErrorClass::User, what, "GET …/lineups lists all").value(id.to_string())
    })
}
