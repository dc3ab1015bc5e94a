//! Every path of the API. A handler reads its parameters, calls a room, gives the answer.

mod accounts;
mod audit;
mod batches;
mod data;
mod diff;
mod events;
mod lineups;
mod operations;
mod plugins;
mod rows;
mod settings;
mod sql;
mod system;
mod tags;
mod tokens;
mod varieties;

use crate::access::Identity;
use crate::app::App;
use crate::config::ControlConfig;
use crate::document::Document;
use crate::gate;
use crate::refusal::Refusal;
use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use ghtrader_core::{ErrorClass, Problem};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Prefix of every path but those of health and metrics.
pub(crate) const BASE: &str = "/api/v1";

impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        // The gate has put it there.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Refusal::new("token_missing", ErrorClass::User, "this needs a token", "send `Authorization: Bearer TOKEN`")
        })
    }
}

/// All routes with their description.
pub(crate) fn all() -> OpenApiRouter<App> {
    let api = OpenApiRouter::new()
        .routes(routes!(plugins::list_plugins, plugins::push_plugin))
        .routes(routes!(plugins::get_plugin, plugins::remove_plugin))
        .routes(routes!(plugins::get_artifact))
        .routes(routes!(plugins::diff_plugins))
        .routes(routes!(tags::list_tags))
        .routes(routes!(tags::get_tag, tags::put_tag))
        .routes(routes!(varieties::list_varieties))
        .routes(routes!(varieties::get_variety))
        .routes(routes!(varieties::get_shadow))
        .routes(routes!(varieties::list_lineups))
        .routes(routes!(varieties::get_lineup))
        .routes(routes!(lineups::plan))
        .routes(routes!(lineups::deploy))
        .routes(routes!(lineups::promote))
        .routes(routes!(lineups::rollback))
        .routes(routes!(lineups::halt))
        .routes(routes!(lineups::resume))
        .routes(routes!(batches::list_batches, batches::post_batch))
        .routes(routes!(batches::get_batch))
        .routes(routes!(batches::list_batch_jobs))
        .routes(routes!(batches::get_batch_summary))
        .routes(routes!(batches::pause_batch))
        .routes(routes!(batches::resume_batch))
        .routes(routes!(batches::cancel_batch))
        .routes(routes!(batches::retry_batch))
        .routes(routes!(data::get_coverage))
        .routes(routes!(data::get_readiness))
        .routes(routes!(data::get_anomalies))
        .routes(routes!(data::get_profile))
        .routes(routes!(data::get_summary))
        .routes(routes!(data::get_gaps))
        .routes(routes!(rows::get_ticks))
        .routes(routes!(sql::post_sql))
        .routes(routes!(operations::list_operations))
        .routes(routes!(operations::get_operation, operations::cancel_operation))
        .routes(routes!(accounts::list_accounts))
        .routes(routes!(accounts::get_account_status))
        .routes(routes!(accounts::list_orders))
        .routes(routes!(events::follow_events))
        .routes(routes!(audit::list_audit))
        .routes(routes!(audit::verify_audit))
        .routes(routes!(tokens::list_tokens, tokens::create_token))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(settings::list_settings))
        .routes(routes!(settings::settings_schema))
        .routes(routes!(system::slo))
        .routes(routes!(system::openapi));
    OpenApiRouter::with_openapi(Document::openapi())
        .nest(BASE, api)
        .routes(routes!(system::healthz))
        .routes(routes!(system::readyz))
        .routes(routes!(system::metrics))
}

/// The whole API without a socket, for one caller at a time; nobody follows the services' events.
///
/// # Errors
/// Whatever stands in the way of a start.
pub fn router(config: ControlConfig) -> Result<Router, Problem> {
    Ok(of(App::open(config)?))
}

/// The routes of an opened root.
pub(crate) fn of(app: App) -> Router {
    let (router, _) = all().split_for_parts();
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(app.clone(), gate::pass))
        .with_state(app)
}

async fn unknown_path(uri: Uri) -> Refusal {
    let what = format!("there is no path {}", uri.path());
    Refusal::new("unknown_path", ErrorClass::User, what, "GET /api/v1/openapi.json names all paths").value(uri.path())
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refusal {
    let what = format!("{method} is not possible on {}", uri.path());
    Refusal::new("method_not_allowed", ErrorClass::User, what, "GET /api/v1/openapi.json names all methods")
        .value(method.as_str())
}
