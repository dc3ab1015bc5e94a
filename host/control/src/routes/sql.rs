//! `/sql`: one query that changes nothing.

use crate::app::App;
use crate::document::ReadErrors;
use crate::extract::{self, SMALL_BODY};
use crate::refusal::Refusal;
use crate::reply::{Reply, ok};
use axum::extract::{Request, State};
use ghtrader_core::ErrorClass;
use ghtrader_pipeline::run_sql;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use utoipa::ToSchema;

const ROWS: (u64, u64) = (1_000, 10_000);
const SECONDS: (f64, f64) = (10.0, 60.0);
/// Largest answer of an engine, bytes.
const ANSWER: u64 = 64 << 20;

/// A query.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlRequest {
    /// One SELECT, WITH, SHOW or EXPLAIN over ticks, main_l5, main_schedule and days.
    query: String,
    /// Rows at most.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000, default = 1_000)]
    limit: Option<u64>,
    /// How long it may take, seconds.
    #[serde(default)]
    #[schema(minimum = 0.1, maximum = 60, default = 10)]
    timeout_s: Option<f64>,
}

fn outside(name: &str, value: Value, bound: String) -> Refusal {
    let what = format!("{name} = {value} lies outside {bound}");
    Refusal::new("limit_out_of_range", ErrorClass::User, what, format!("give {name} within {bound}"))
        .value(value)
        .bound(bound)
}

/// Runs one query that changes nothing, as `ghtrader sql`: on the server of the store, or by a DuckDB of this machine.
///
/// A query has at most 32 KiB and an answer 64 MiB, a value counted as 32 bytes at least. On a server of the store a query
/// may not name any other of its tables.
#[utoipa::path(post, path = "/sql", tag = "data", request_body = SqlRequest,
    responses((status = 200, description = "`{columns: [{name, type}], rows, truncated, elapsed_ms}`", body = Object),
        ReadErrors,
        (status = 400, description = "bad_json, limit_out_of_range, sql_engine_missing, sql_too_long, questdb_…", body = crate::refusal::ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "sql_timeout, body_too_slow", body = crate::refusal::ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "body_too_large", body = crate::refusal::ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "wrong_media_type", body = crate::refusal::ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "too_many_logins, too_many_reads, answer_too_large", body = crate::refusal::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "sql_not_read_only, sql_failed, bad_body", body = crate::refusal::ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn post_sql(State(app): State<App>, request: Request) -> Result<Reply, Refusal> {
    let (parts, body) = request.into_parts();
    let body = extract::read_body(&parts.headers, body, SMALL_BODY, app.config.timing.body).await?;
    let SqlRequest { query, limit, timeout_s } = extract::json(&parts.headers, &body)?;
    let (limit, seconds) = (limit.unwrap_or(ROWS.0), timeout_s.unwrap_or(SECONDS.0));
    if !(1..=ROWS.1).contains(&limit) {
        return Err(outside("limit", json!(limit), format!("[1, {}]", ROWS.1)));
    }
    if !(0.1..=SECONDS.1).contains(&seconds) {
        return Err(outside("timeout_s", json!(seconds), format!("[0.1, {}]", SECONDS.1)));
    }
    app.reading(move |app| {
        let began = Instant::now();
        let (root, settings) = (&app.config.root, &app.config.settings);
        let time = Duration::from_secs_f64(seconds);
        let rows = usize::try_from(limit).unwrap_or(usize::MAX);
        let answer = run_sql(root, settings, &query, (rows, ANSWER), time)?;
        let elapsed_ms = began.elapsed().as_secs_f64() * 1e3;
        Ok(ok(&json!({ "columns": answer.columns, "rows": answer.rows, "truncated": answer.truncated,
                       "elapsed_ms": elapsed_ms })))
    })
    .await
}
