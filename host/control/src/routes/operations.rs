//! `/operations`: how the changes of lineups go. They live in the service, whoever watches.

use super::varieties::AccountQuery;
use crate::access::{Identity, Role};
use crate::app::App;
use crate::change::{About, Asked, Done, change};
use crate::document::{ChangeErrors, ReadErrors};
use crate::extract::{ApiPath, ApiQuery};
use crate::listing::{newest_first, page};
use crate::refusal::Refusal;
use crate::reply::{Reply, ok};
use crate::schema;
use axum::extract::{Request, State};
use axum::response::Response;
use ghtrader_trading::protocol::{Call, OperationView};
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperationQuery {
    /// Account; the only one that runs if absent.
    account: Option<String>,
    /// Only this product.
    variety: Option<String>,
    /// Items of a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Operations of all varieties in order of time; each variety has numbers of its own.
fn key(operation: &OperationView) -> String {
    let accepted_ns = operation.trace.first().map_or(0, |stage| stage.at_ns.max(0).unsigned_abs());
    format!("{}/{}", newest_first(accepted_ns), operation.id)
}

/// Operations of an account, newest first.
#[utoipa::path(get, path = "/operations", tag = "operations", params(OperationQuery),
    responses((status = 200, description = "A page of operations", body = schema::PageOf<schema::Operation>), ReadErrors))]
pub(crate) async fn list_operations(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<OperationQuery>,
) -> Result<Reply, Refusal> {
    let account = match &query.variety {
        Some(variety) => app.services.account_of(query.account.as_deref(), variety).await?,
        None => app.services.only_account(query.account.as_deref()).await?,
    };
    let call = Call::Operations { variety: query.variety };
    let operations: Vec<OperationView> = app.services.read(&account, call).await?;
    Ok(ok(&page("operations", operations, key, query.limit.as_deref(), query.cursor.as_deref())?))
}

/// An operation: state, trace with times, outcome, evidence.
#[utoipa::path(get, path = "/operations/{id}", tag = "operations",
    params(("id" = String, Path, description = "Such as op-cu-17"), AccountQuery),
    responses((status = 200, description = "The operation", body = schema::Operation), ReadErrors))]
pub(crate) async fn get_operation(
    State(app): State<App>,
    ApiPath(id): ApiPath<String>,
    ApiQuery(query): ApiQuery<AccountQuery>,
) -> Result<Reply, Refusal> {
    let account = app.services.only_account(query.account.as_deref()).await?;
    let operation: OperationView = app.services.read(&account, Call::Operation { id }).await?;
    Ok(ok(&operation))
}

/// Ends an operation that prepares, warms or shadows; the active lineup stays.
#[utoipa::path(delete, path = "/operations/{id}", tag = "operations",
    params(("id" = String, Path, description = "Such as op-cu-17"), AccountQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h")),
    responses((status = 200, description = "The operation as it is now", body = schema::Operation), ChangeErrors))]
pub(crate) async fn cancel_operation(
    State(app): State<App>,
    who: Identity,
    ApiPath(id): ApiPath<String>,
    ApiQuery(query): ApiQuery<AccountQuery>,
    request: Request,
) -> Response {
    let about = About::new(&app, "operation.cancel", id.clone(), Role::Operator);
    change(app, who, about, request, async move |asked: Asked| {
        let account = asked.app.services.only_account(query.account.as_deref()).await?;
        let call = Call::CancelOperation { id, actor: asked.who.actor(&asked.reason) };
        let operation: OperationView = asked.app.services.change(&account, call).await?;
        // The service has written it down.
        Ok(Done { outcome: None, ..Done::new(ok(&operation)) })
    })
    .await
}
