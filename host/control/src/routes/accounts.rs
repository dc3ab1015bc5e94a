//! `/accounts`: the services that run, and what they traded.

use crate::app::App;
use crate::document::ReadErrors;
use crate::extract::{ApiPath, ApiQuery};
use crate::listing::{limit, page};
use crate::refusal::Refusal;
use crate::reply::{Reply, ok};
use crate::schema;
use axum::extract::State;
use ghtrader_trading::protocol::{AccountStatus, Call, OrderView};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountsQuery {
    /// Items of a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Accounts that have or had a service, and whether it answers.
#[utoipa::path(get, path = "/accounts", tag = "accounts", params(AccountsQuery),
    responses((status = 200, description = "A page of `{account, state, kind?, pid?, source?}`", body = schema::PageOf<schema::AccountSummary>), ReadErrors))]
pub(crate) async fn list_accounts(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<AccountsQuery>,
) -> Result<Reply, Refusal> {
    let mut items: Vec<Value> = Vec::new();
    for account in app.services.accounts() {
        items.push(match app.services.read::<AccountStatus>(&account, Call::Status).await {
            Ok(s) => {
                json!({ "account": account, "state": "ok", "kind": s.kind, "pid": s.pid, "source": s.source })
            }
            Err(refusal) => json!({ "account": account, "state": "error", "code": refusal.code() }),
        });
    }
    let key = |v: &Value| v["account"].as_str().unwrap_or_default().to_owned();
    Ok(ok(&page("accounts", items, key, query.limit.as_deref(), query.cursor.as_deref())?))
}

/// An account with all its varieties.
#[utoipa::path(get, path = "/accounts/{account}/status", tag = "accounts",
    params(("account" = String, Path, description = "Such as paper")),
    responses((status = 200, description = "The account", body = schema::Account), ReadErrors))]
pub(crate) async fn get_account_status(
    State(app): State<App>,
    ApiPath(account): ApiPath<String>,
) -> Result<Reply, Refusal> {
    let account = app.services.account(&account)?;
    let status: AccountStatus = app.services.read(&account, Call::Status).await?;
    Ok(ok(&status))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrdersQuery {
    /// Product.
    variety: String,
    /// The newest so many.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
}

/// Orders of a variety with the generation and lineup that asked for each, newest first.
#[utoipa::path(get, path = "/accounts/{account}/orders", tag = "accounts",
    params(("account" = String, Path, description = "Such as paper"), OrdersQuery),
    responses((status = 200, description = "`{items: [order]}`", body = schema::Orders), ReadErrors))]
pub(crate) async fn list_orders(
    State(app): State<App>,
    ApiPath(account): ApiPath<String>,
    ApiQuery(query): ApiQuery<OrdersQuery>,
) -> Result<Reply, Refusal> {
    let limit = limit(query.limit.as_deref())?;
    let account = app.services.account(&account)?;
    let orders: Vec<OrderView> = app.services.read(&account, Call::Orders { variety: query.variety, limit }).await?;
    Ok(ok(&json!({ "items": orders })))
}
