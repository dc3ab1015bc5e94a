//! `/batches`: many runs as one: planned, run by a child process, paused, cancelled, collected.

use super::BASE;
use crate::access::{Identity, Role};
use crate::app::App;
use crate::batches::{BatchView, Wanted};
use crate::change::{About, Asked, Done, change};
use crate::document::{ChangeErrors, ReadErrors};
use crate::extract::{ApiPath, ApiQuery};
use crate::listing::{newest_first, page};
use crate::refusal::Refusal;
use crate::reply::{Reply, ok};
use crate::schema;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use ghtrader_core::ErrorClass;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// What became of a job, as the summary says it.
const JOB_STATES: [&str; 4] = ["done", "failed", "poison", "missing"];

/// A batch to be planned and run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchRequest {
    /// The specification in TOML; paths in it are relative to the project's root and stay below it.
    spec: String,
    /// Why, for the audit.
    #[serde(default)]
    #[expect(dead_code, reason = "read before the body is taken apart, for every change")]
    reason: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchQuery {
    /// Items of a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchJobQuery {
    /// Only jobs in this state: `done`, `failed`, `poison` or `missing`.
    state: Option<String>,
    /// Items of a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Batches, newest first.
#[utoipa::path(get, path = "/batches", tag = "batches", params(BatchQuery),
    responses((status = 200, description = "A page of batches", body = schema::PageOf<BatchView>), ReadErrors))]
pub(crate) async fn list_batches(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<BatchQuery>,
) -> Result<Reply, Refusal> {
    app.blocking(move |app| {
        // What is not on the page is not looked into.
        let key = |id: &String| format!("{}/{id}", newest_first(app.batches.created_at_ns(id).max(0).unsigned_abs()));
        let mut page = page("batches", app.batches.ids(), key, query.limit.as_deref(), query.cursor.as_deref())?;
        for item in &mut page.items {
            let view = app.batches.view(item.as_str().unwrap_or_default())?;
            *item = serde_json::to_value(view).unwrap_or_default();
        }
        Ok(ok(&page))
    })
    .await
}

/// Plans a specification and runs its jobs behind the batches that are queued.
///
/// An equal specification on the same data is the same batch.
#[utoipa::path(post, path = "/batches", tag = "batches", request_body = BatchRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the same answer for 24 h")),
    responses(
        (status = 202, description = "The batch is queued", body = BatchView, headers(("Location" = String, description = "The batch"))),
        (status = 200, description = "The same batch is there already", body = BatchView), ChangeErrors))]
pub(crate) async fn post_batch(State(app): State<App>, who: Identity, request: Request) -> Response {
    let about = About::new(&app, "batch.run", "batches", Role::Operator);
    change(app, who, about, request, async move |asked: Asked| {
        let body: BatchRequest = asked.json()?;
        let actor = asked.who.name.clone();
        asked
            .app
            .blocking(move |app| {
                let (id, new) = app.batches.plan(app, &body.spec, &actor)?;
                let view = app.batches.view(&id)?;
                let reply = Reply::new(if new { StatusCode::ACCEPTED } else { StatusCode::OK }, &view);
                let reply = reply.header("location", format!("{BASE}/batches/{id}"));
                Ok(Done { evidence: vec![id], ..Done::new(reply) })
            })
            .await
    })
    .await
}

/// A batch: state, counts, rate and time left.
#[utoipa::path(get, path = "/batches/{id}", tag = "batches", params(("id" = String, Path, description = "The batch")),
    responses((status = 200, description = "The batch", body = BatchView), ReadErrors))]
pub(crate) async fn get_batch(State(app): State<App>, ApiPath(id): ApiPath<String>) -> Result<Reply, Refusal> {
    app.blocking(move |app| Ok(ok(&app.batches.view(&id)?))).await
}

/// Jobs of a batch in the manifest's order: lineup, period, parameters, state, figures of each fill model.
#[utoipa::path(get, path = "/batches/{id}/jobs", tag = "batches",
    params(("id" = String, Path, description = "The batch"), BatchJobQuery),
    responses((status = 200, description = "A page of rows, each with the summary's columns", body = schema::PageOf<schema::BatchRow>), ReadErrors))]
pub(crate) async fn list_batch_jobs(
    State(app): State<App>,
    ApiPath(id): ApiPath<String>,
    ApiQuery(query): ApiQuery<BatchJobQuery>,
) -> Result<Reply, Refusal> {
    if let Some(state) = query.state.as_deref().filter(|state| !JOB_STATES.contains(state)) {
        let what = format!("no job is `{state}`");
        let remedy = format!("ask for one of {}", JOB_STATES.join(", "));
        return Err(Refusal::new("bad_query", ErrorClass::User, what, remedy).value(state));
    }
    app.blocking(move |app| {
        let rows = app.batches.summary(&id)?.rows.into_iter().enumerate();
        let wanted = |row: &serde_json::Map<String, Value>| match &query.state {
            Some(state) => row.get("state").and_then(Value::as_str) == Some(state),
            None => true,
        };
        let rows: Vec<Row> = rows.filter(|(_, row)| wanted(row)).map(|(place, row)| Row { place, row }).collect();
        let key = |row: &Row| format!("{:010}", row.place);
        Ok(ok(&page("batch-jobs", rows, key, query.limit.as_deref(), query.cursor.as_deref())?))
    })
    .await
}

/// A row with its place in the manifest.
#[derive(Serialize)]
struct Row {
    #[serde(skip)]
    place: usize,
    #[serde(flatten)]
    row: serde_json::Map<String, Value>,
}

/// The table of all jobs with its digest, which is the same however the batch was run.
#[utoipa::path(get, path = "/batches/{id}/summary", tag = "batches", params(("id" = String, Path, description = "The batch")),
    responses((status = 200, description = "Digest, counts, columns, rows", body = schema::BatchSummary), ReadErrors))]
pub(crate) async fn get_batch_summary(State(app): State<App>, ApiPath(id): ApiPath<String>) -> Result<Reply, Refusal> {
    app.blocking(move |app| Ok(ok(&app.batches.summary(&id)?))).await
}

async fn want(
    app: App,
    who: Identity,
    id: String,
    request: Request,
    action: &'static str,
    what: impl FnOnce(&App, &str) -> Result<BatchView, Refusal> + Send + 'static,
) -> Response {
    let about = About::new(&app, action, id.clone(), Role::Operator);
    change(app, who, about, request, async move |asked: Asked| {
        asked.app.blocking(move |app| Ok(Done::new(ok(&what(app, &id)?)))).await
    })
    .await
}

/// Stops a batch for now; what is done stays done.
#[utoipa::path(post, path = "/batches/{id}/pause", tag = "batches",
    params(("id" = String, Path, description = "The batch"), ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h")),
    responses((status = 200, description = "The batch as it is now", body = BatchView), ChangeErrors))]
pub(crate) async fn pause_batch(
    State(app): State<App>,
    who: Identity,
    ApiPath(id): ApiPath<String>,
    request: Request,
) -> Response {
    want(app, who, id, request, "batch.pause", |app, id| app.batches.want(app, id, Wanted::Pause)).await
}

/// Runs a batch on that was paused, cancelled or stopped.
#[utoipa::path(post, path = "/batches/{id}/resume", tag = "batches",
    params(("id" = String, Path, description = "The batch"), ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h")),
    responses((status = 200, description = "The batch as it is now", body = BatchView), ChangeErrors))]
pub(crate) async fn resume_batch(
    State(app): State<App>,
    who: Identity,
    ApiPath(id): ApiPath<String>,
    request: Request,
) -> Response {
    want(app, who, id, request, "batch.resume", |app, id| app.batches.want(app, id, Wanted::Run)).await
}

/// Calls a batch off; its results stay.
#[utoipa::path(post, path = "/batches/{id}/cancel", tag = "batches",
    params(("id" = String, Path, description = "The batch"), ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h")),
    responses((status = 200, description = "The batch as it is now", body = BatchView), ChangeErrors))]
pub(crate) async fn cancel_batch(
    State(app): State<App>,
    who: Identity,
    ApiPath(id): ApiPath<String>,
    request: Request,
) -> Response {
    want(app, who, id, request, "batch.cancel", |app, id| app.batches.want(app, id, Wanted::Cancel)).await
}

/// Forgets what failed or was set aside and runs it again.
#[utoipa::path(post, path = "/batches/{id}/retry-failed", tag = "batches",
    params(("id" = String, Path, description = "The batch"), ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h")),
    responses((status = 200, description = "The batch as it is now", body = BatchView), ChangeErrors))]
pub(crate) async fn retry_batch(
    State(app): State<App>,
    who: Identity,
    ApiPath(id): ApiPath<String>,
    request: Request,
) -> Response {
    want(app, who, id, request, "batch.retry", |app, id| app.batches.retry(app, id)).await
}
