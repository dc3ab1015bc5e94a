//! The description of the API: OpenAPI 3.1, made from the routes themselves.

use crate::refusal::ProblemBody;
use std::collections::BTreeMap;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi};

/// Everything of the document that belongs to no single route.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "ghTrader control API",
        description = "Plugins, lineups and their hot swap over HTTP. Every error is application/problem+json with code, \
                       class and remedy. Lists take limit and cursor. Changes take Idempotency-Key, and If-Match where a \
                       generation guards them."
    ),
    components(schemas(ProblemBody)),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
pub(crate) struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("ght_ and 64 hex digits").build();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Refusals that any read may give.
pub(crate) struct ReadErrors;

/// Refusals that any change may give, besides those of a read.
pub(crate) struct ChangeErrors;

const READ: [(&str, &str); 9] = [
    (
        "400",
        "bad_query, bad_path, bad_symbol, trading_sessions_missing, questdb_…, bad_digest, limit_out_of_range, bad_cursor, token_in_url",
    ),
    ("401", "token_missing, token_unknown, token_expired"),
    ("403", "role_too_low, cross_site"),
    (
        "404",
        "unknown_plugin, unknown_tag, unknown_account, unknown_variety, unknown_lineup, unknown_operation, unknown_plan, \
         unknown_batch, unknown_contract",
    ),
    ("409", "account_ambiguous, no_shadow, audit_broken, day_corrupt, manifest_corrupt, days_missing, l5_missing"),
    ("421", "wrong_host"),
    ("429", "too_many_logins, too_many_reads, too_many_streams"),
    ("500", "internal"),
    (
        "503",
        "service_unavailable, blob_damaged, store_unreadable, questdb_unreachable; Retry-After says when to ask again",
    ),
];

const CHANGE: [(&str, &str); 10] = [
    ("400", "bad_json, bad_if_match, bad_idempotency_key, bad_digest, bad_reason, token_in_url"),
    ("408", "body_too_slow"),
    (
        "409",
        "in_progress, idempotency_mismatch, version_exists, in_use, plan_stale, operation_running, no_standby, no_shadow, \
         gate_failed, not_halted, account_ambiguous, batch_running, batch_ended",
    ),
    ("412", "generation_stale, with the present generation"),
    ("413", "body_too_large"),
    ("415", "wrong_media_type"),
    (
        "422",
        "bad_body, bad_batch_spec and batch_too_large, admission_failed with all findings, schema_mismatch, param_…",
    ),
    ("428", "precondition_required, breaking_needs_acknowledge"),
    ("429", "too_many_changes, too_many_uploads, too_many_logins"),
    ("507", "disk_full"),
];

fn responses(list: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let response = |codes: &str| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemBody"))).build();
        let response = ResponseBuilder::new().description(codes).content("application/problem+json", content);
        RefOr::T(response.build())
    };
    list.iter().map(|(status, codes)| ((*status).to_owned(), response(codes))).collect()
}

impl IntoResponses for ReadErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&READ)
    }
}

impl IntoResponses for ChangeErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut all = responses(&READ);
        all.extend(responses(&CHANGE));
        all
    }
}

/// The document as it is served and checked in.
pub fn openapi_json() -> String {
    let (_, document) = crate::routes::all().split_for_parts();
    // The document is made of texts, numbers and lists, which always have a JSON form.
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
