//! `/tokens`: who has access.

use crate::access::{Identity, Role};
use crate::app::App;
use crate::change::{About, Asked, Done, change};
use crate::clock::rfc3339;
use crate::document::{ChangeErrors, ReadErrors};
use crate::extract::{ApiPath, ApiQuery};
use crate::listing::page;
use crate::refusal::Refusal;
use crate::reply::{Reply, ok};
use crate::schema;
use crate::tokens::TokenRecord;
use crate::wire::TokenRequest;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use ghtrader_core::Problem;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

fn shown(token: &TokenRecord) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "created_at": rfc3339(token.created_at_ns),
        "expires_at": token.expires_at_ns.map(rfc3339),
    })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenQuery {
    /// Items of a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// All tokens without their secrets; for admins.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(TokenQuery),
    responses((status = 200, description = "A page of `{id, name, role, created_at, expires_at}`", body = schema::PageOf<schema::Token>), ReadErrors))]
pub(crate) async fn list_tokens(
    State(app): State<App>,
    who: Identity,
    ApiQuery(query): ApiQuery<TokenQuery>,
) -> Result<Reply, Refusal> {
    who.require(Role::Admin)?;
    app.blocking(move |app| {
        let items: Vec<Value> = app.tokens.list().map_err(Problem::from)?.iter().map(shown).collect();
        let key = |v: &Value| v["id"].as_str().unwrap_or_default().to_owned();
        Ok(ok(&page("tokens", items, key, query.limit.as_deref(), query.cursor.as_deref())?))
    })
    .await
}

/// Makes a token; its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = TokenRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the same answer for 24 h, without the secret")),
    responses((status = 201, description = "`{id, name, role, created_at, expires_at, token}`", body = schema::Token), ChangeErrors))]
pub(crate) async fn create_token(State(app): State<App>, who: Identity, request: Request) -> Response {
    let about = About::new(&app, "token.create", "tokens", Role::Admin);
    change(app, who, about, request, async move |asked: Asked| {
        let body: TokenRequest = asked.json()?;
        let made = move |app: &App| {
            Ok(app.tokens.create(&body.name, body.role, body.days, app.now_ns()).map_err(Problem::from)?)
        };
        let created = asked.app.blocking(made).await?;
        let kept = Reply::new(StatusCode::CREATED, &shown(&created.record));
        let mut reply = kept.clone();
        reply.body["token"] = json!(created.secret);
        // A secret that is shown once is kept nowhere.
        let evidence = vec![created.record.id, created.record.name, created.record.role.to_string()];
        Ok(Done { kept: Some(kept), evidence, ..Done::new(reply) })
    })
    .await
}

/// Makes a token void, by id or name.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "Id or name of the token"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h")),
    responses((status = 200, description = "The token that was", body = schema::Token), ChangeErrors))]
pub(crate) async fn revoke_token(
    State(app): State<App>,
    who: Identity,
    ApiPath(id): ApiPath<String>,
    request: Request,
) -> Response {
    let about = About::new(&app, "token.revoke", id.clone(), Role::Admin);
    change(app, who, about, request, async move |asked: Asked| {
        let revoked = move |app: &App| Ok(app.tokens.revoke(&id, app.now_ns()).map_err(Problem::from)?);
        let gone = asked.app.blocking(revoked).await?;
        Ok(Done { evidence: vec![gone.name.clone()], ..Done::new(ok(&shown(&gone))) })
    })
    .await
}
