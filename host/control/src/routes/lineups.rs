//! `/varieties/{v}/plans, deployments, promote, rollback, halt, resume`: how the lineup of a variety changes.

use super::BASE;
use super::varieties::{AccountQuery, view};
use crate::access::{Identity, Role};
use crate::app::{App, entry};
use crate::change::{About, Asked, Done, change, refused};
use crate::document::ChangeErrors;
use crate::extract::{self, ApiPath, ApiQuery, SMALL_BODY, digest};
use crate::plan;
use crate::refusal::Refusal;
use crate::reply::{Reply, ok};
use crate::schema;
use crate::wire::{DeploymentRequest, PlanRequest, SeatRequest};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use ghtrader_core::ErrorClass;
use ghtrader_durable::Outcome;
use ghtrader_trading::protocol::{Call, Change, Deploy, OperationView};

/// Works out what a lineup would change; has no effect. The plan is applied by its hash.
#[utoipa::path(post, path = "/varieties/{v}/plans", tag = "lineups", request_body = PlanRequest,
    params(("v" = String, Path, description = "Product, such as cu"), AccountQuery),
    responses((status = 200, description = "plan_hash, resolved, diff, capacity, breaking, followed tags", body = schema::Plan), ChangeErrors))]
pub(crate) async fn plan(
    State(app): State<App>,
    who: Identity,
    ApiPath(variety): ApiPath<String>,
    ApiQuery(query): ApiQuery<AccountQuery>,
    request: Request,
) -> Result<Reply, Refusal> {
    if let Err(refusal) = who.require(Role::Operator) {
        return Ok(refused(&app, entry(&who, "lineup.plan", &variety, Outcome::Refused), refusal).await);
    }
    let (parts, body) = request.into_parts();
    let body = extract::read_body(&parts.headers, body, SMALL_BODY, app.config.timing.body).await?;
    let PlanRequest { lineup } = extract::json(&parts.headers, &body)?;
    let base = view(&app, query.account.as_deref(), &variety).await?;
    app.blocking(move |app| {
        let plan = plan::make(app, &base, lineup)?;
        plan::keep(app, &plan)?;
        Ok(ok(&plan))
    })
    .await
}

/// An operation that the service has taken on and written down.
fn accepted(operation: &OperationView) -> Done {
    let place = format!("{BASE}/operations/{}?account={}", operation.id, operation.account);
    let reply = Reply::new(StatusCode::ACCEPTED, operation).header("location", place);
    Done { outcome: None, ..Done::new(reply) }
}

/// Carries a plan out: as a shadow, or as a swap.
#[utoipa::path(post, path = "/varieties/{v}/deployments", tag = "lineups", request_body = DeploymentRequest,
    params(("v" = String, Path, description = "Product, such as cu"), AccountQuery,
        ("If-Match" = String, Header, description = "The variety's generation in quotes"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the same answer for 24 h")),
    responses((status = 202, description = "The operation; it runs to its end if the client leaves", body = schema::Operation), ChangeErrors))]
pub(crate) async fn deploy(
    State(app): State<App>,
    who: Identity,
    ApiPath(variety): ApiPath<String>,
    ApiQuery(query): ApiQuery<AccountQuery>,
    request: Request,
) -> Response {
    let about = About::new(&app, "lineup.deploy", variety.clone(), Role::Operator);
    change(app, who, about, request, async move |asked: Asked| {
        let generation = asked.if_match()?;
        let body: DeploymentRequest = asked.json()?;
        let hash = digest(&body.plan_hash)?;
        let app = asked.app.clone();
        let plan = app.blocking(move |app| plan::find(app, &hash)).await?;
        let present = view(&app, query.account.as_deref(), &variety).await?;
        let account = present.account;
        if plan.variety != variety || plan.account != account {
            let what = format!("the plan {hash} is for {}/{}, not {account}/{variety}", plan.account, plan.variety);
            return Err(Refusal::new("variety_mismatch", ErrorClass::User, what, "plan for this variety"));
        }
        // The service looks again; asked here, so that an old generation is named before a plan that is as old.
        if generation != present.generation {
            let what = format!("{account}/{variety} is at generation {}, not {generation}", present.generation);
            let refusal =
                Refusal::new("generation_stale", ErrorClass::Conflict, what, "look at the variety and plan again");
            return Err(refusal.generation(present.generation));
        }
        let plan = app.blocking(move |app| plan::check_tags(&app.registry, &plan).map(|()| plan)).await?;
        let call = Call::Deploy(Deploy {
            plan,
            mode: body.mode,
            activate_at: body.activate_at,
            order_policy: body.order_policy,
            acknowledge: body.acknowledge,
            generation,
            actor: asked.who.actor(&asked.reason),
        });
        let taken_on = app.services.change::<OperationView>(&account, call).await;
        let operation = taken_on.map_err(|refusal| match refusal.code() {
            "operation_running" => refusal.operation(present.operation),
            _ => refusal,
        })?;
        Ok(accepted(&operation))
    })
    .await
}

/// One change of who sits in which seat.
async fn seat(
    app: App,
    who: Identity,
    variety: String,
    query: AccountQuery,
    request: Request,
    action: &'static str,
    call: fn(Change) -> Call,
) -> Response {
    let about = About::new(&app, action, variety.clone(), Role::Operator);
    change(app, who, about, request, async move |asked: Asked| {
        // A halt must work at once, whatever the person last saw.
        let is_halt = action == "lineup.halt";
        let generation = match asked.if_match() {
            Ok(generation) => Some(generation),
            Err(refusal) if is_halt && refusal.code() == "precondition_required" => None,
            Err(refusal) => return Err(refusal),
        };
        let body: SeatRequest = asked.json()?;
        let account = asked.app.services.account_of(query.account.as_deref(), &variety).await?;
        let actor = asked.who.actor(&asked.reason);
        let change =
            Change { variety, generation, order_policy: body.order_policy, activate_at: body.activate_at, actor };
        let operation: OperationView = asked.app.services.change(&account, call(change)).await?;
        Ok(accepted(&operation))
    })
    .await
}

/// Makes the shadow active if its gate is open.
#[utoipa::path(post, path = "/varieties/{v}/promote", tag = "lineups", request_body = SeatRequest,
    params(("v" = String, Path, description = "Product, such as cu"), AccountQuery,
        ("If-Match" = String, Header, description = "The variety's generation in quotes"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the same answer for 24 h")),
    responses((status = 202, description = "The operation", body = schema::Operation), ChangeErrors))]
pub(crate) async fn promote(
    State(app): State<App>,
    who: Identity,
    ApiPath(variety): ApiPath<String>,
    ApiQuery(query): ApiQuery<AccountQuery>,
    request: Request,
) -> Response {
    seat(app, who, variety, query, request, "lineup.promote", Call::Promote).await
}

/// Makes the standby active.
#[utoipa::path(post, path = "/varieties/{v}/rollback", tag = "lineups", request_body = SeatRequest,
    params(("v" = String, Path, description = "Product, such as cu"), AccountQuery,
        ("If-Match" = String, Header, description = "The variety's generation in quotes"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the same answer for 24 h")),
    responses((status = 202, description = "The operation", body = schema::Operation), ChangeErrors))]
pub(crate) async fn rollback(
    State(app): State<App>,
    who: Identity,
    ApiPath(variety): ApiPath<String>,
    ApiQuery(query): ApiQuery<AccountQuery>,
    request: Request,
) -> Response {
    seat(app, who, variety, query, request, "lineup.rollback", Call::Rollback).await
}

/// Stops deciding at the next tick; never waits for another operation, and needs no If-Match.
#[utoipa::path(post, path = "/varieties/{v}/halt", tag = "lineups", request_body = SeatRequest,
    params(("v" = String, Path, description = "Product, such as cu"), AccountQuery,
        ("If-Match" = Option<String>, Header, description = "The variety's generation in quotes"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the same answer for 24 h")),
    responses((status = 202, description = "The operation", body = schema::Operation), ChangeErrors))]
pub(crate) async fn halt(
    State(app): State<App>,
    who: Identity,
    ApiPath(variety): ApiPath<String>,
    ApiQuery(query): ApiQuery<AccountQuery>,
    request: Request,
) -> Response {
    seat(app, who, variety, query, request, "lineup.halt", Call::Halt).await
}

/// Goes on after a halt.
#[utoipa::path(post, path = "/varieties/{v}/resume", tag = "lineups", request_body = SeatRequest,
    params(("v" = String, Path, description = "Product, such as cu"), AccountQuery,
        ("If-Match" = String, Header, description = "The variety's generation in quotes"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the same answer for 24 h")),
    responses((status = 202, description = "The operation", body = schema::Operation), ChangeErrors))]
pub(crate) async fn resume(
    State(app): State<App>,
    who: Identity,
    ApiPath(variety): ApiPath<String>,
    ApiQuery(query): ApiQuery<AccountQuery>,
    request: Request,
) -> Response {
    seat(app, who, variety, query, request, "lineup.resume", Call::Resume).await
}
