//! `/plugins`: artefacts pushed, listed, shown, removed.

use super::BASE;
use super::diff::difference;
use crate::access::{Identity, Role};
use crate::app::App;
use crate::change::{About, Asked, Done, change};
use crate::clock::rfc3339;
use crate::document::{ChangeErrors, ReadErrors};
use crate::extract::{ApiPath, ApiQuery, UPLOAD, digest, expect_media_type};
use crate::listing::page;
use crate::refusal::Refusal;
use crate::reply::{Reply, ok};
use crate::schema;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ghtrader_core::{Digest, ErrorClass, Problem};
use ghtrader_plugin::{
    ArtefactState, CostCard, Filter, KeyError, PublicKey, PushError, PushOutcome, Record, RegistryError,
    Role as PluginRole, Signature, SignatureState,
};
use ghtrader_trading::protocol::{Call, VarietyView};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

/// Header with a signature as `ghtrader plugin sign` prints it.
const SIGNATURE: &str = "plugin-signature";

impl From<RegistryError> for Refusal {
    fn from(e: RegistryError) -> Self {
        let present = match &e {
            RegistryError::GenerationStale { present, .. } => Some(*present),
            _ => None,
        };
        let findings = match &e {
            RegistryError::Unloadable { findings, .. } => values(findings),
            _ => Vec::new(),
        };
        let refusal = Self::from(Problem::from(e)).findings(findings);
        present.map_or(refusal.clone(), |g| refusal.generation(g))
    }
}

fn values(items: &[impl Serialize]) -> Vec<Value> {
    items.iter().map(|i| serde_json::to_value(i).unwrap_or_default()).collect()
}

/// A plugin in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PluginSummary {
    /// SHA-256 of the artefact; its name everywhere.
    #[schema(value_type = String)]
    digest: Digest,
    /// `feature`, `label` or `strategy`.
    #[schema(value_type = String)]
    role: PluginRole,
    name: String,
    version: String,
    /// Size of the artefact.
    bytes: u64,
    pushed_at: String,
    /// Name of the token.
    pushed_by: String,
    /// What its signatures are worth under the present trusted keys.
    #[schema(value_type = String)]
    signature: SignatureState,
    #[schema(value_type = Option<String>)]
    signed_by: Option<PublicKey>,
    /// `admitted`, `quarantined` or `removed`.
    #[schema(value_type = String)]
    state: ArtefactState,
    /// What a row cost at admission.
    #[schema(value_type = Option<Object>)]
    cost: Option<CostCard>,
}

impl PluginSummary {
    fn new(r: Record) -> Self {
        Self {
            digest: r.digest,
            role: r.role,
            name: r.name,
            version: r.version,
            bytes: r.bytes,
            pushed_at: rfc3339(r.pushed_at_ns),
            pushed_by: r.pushed_by,
            signature: r.signature,
            signed_by: r.signed_by,
            state: r.state,
            cost: r.cost,
        }
    }

    /// Versions of one plugin stand in the order of their numbers.
    fn key(&self) -> String {
        let version: Vec<String> = self.version.split('.').map(|part| format!("{part:0>10}")).collect();
        format!("{}/{}/{}", self.role, self.name, version.join("."))
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PluginQuery {
    /// `feature`, `label` or `strategy`.
    #[param(value_type = Option<String>)]
    role: Option<PluginRole>,
    /// Only this name.
    name: Option<String>,
    /// `admitted`, `quarantined` or `removed`; everything but what was removed if absent.
    #[param(value_type = Option<String>)]
    state: Option<ArtefactState>,
    /// Items of a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Plugins of the registry, by role, name and version.
#[utoipa::path(get, path = "/plugins", tag = "plugins", params(PluginQuery),
    responses((status = 200, description = "A page of plugins", body = schema::PageOf<PluginSummary>), ReadErrors))]
pub(crate) async fn list_plugins(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<PluginQuery>,
) -> Result<Reply, Refusal> {
    app.blocking(move |app| {
        let filter = Filter { role: query.role, name: query.name, state: query.state };
        let items: Vec<PluginSummary> = app.registry.list(&filter)?.into_iter().map(PluginSummary::new).collect();
        Ok(ok(&page("plugins", items, PluginSummary::key, query.limit.as_deref(), query.cursor.as_deref())?))
    })
    .await
}

/// Pushes an artefact: admission with all findings at once, then stored under its digest.
#[utoipa::path(post, path = "/plugins", tag = "plugins",
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "The artefact, at most 64 MiB"),
    params(
        ("Plugin-Signature" = Option<String>, Header, description = "KEY:SIGNATURE as `ghtrader plugin sign` prints it"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the same answer for 24 h"),
    ),
    responses(
        (status = 201, description = "Admitted and stored; digest, role, name, version, findings, checks, cost", body = schema::PushedPlugin),
        (status = 200, description = "The same bytes were there already", body = schema::PushedPlugin),
        ChangeErrors,
    ))]
pub(crate) async fn push_plugin(State(app): State<App>, who: Identity, request: Request) -> Response {
    let about = About {
        body: (UPLOAD, app.config.timing.upload),
        ..About::new(&app, "plugin.push", "registry", Role::Operator)
    };
    let Ok(upload) = app.uploads.clone().try_acquire_owned() else {
        return Refusal::new(
            "too_many_uploads",
            ErrorClass::Limit,
            "other uploads are under way",
            "ask again a little later",
        )
        .into_response();
    };
    change(app, who, about, request, async move |asked| {
        // As long as the bytes are held.
        let _upload = upload;
        push(asked).await
    })
    .await
}

async fn push(asked: Asked) -> Result<Done, Refusal> {
    expect_media_type(&asked.headers, &["application/wasm", "application/octet-stream"])?;
    let signature = signature(&asked.headers)?;
    let (app, body, actor) = (asked.app, asked.body, asked.who.name);
    let Ok(admission) = app.admissions.clone().acquire_owned().await else {
        return Err(Refusal::new("internal", ErrorClass::Internal, "admissions have ended", "report this"));
    };
    let pushed = app
        .blocking(move |app| {
            let _admission = admission;
            let pushed = app.registry.push(&body, signature.as_ref(), app.fixture(), &actor, app.now_ns());
            pushed.map_err(|e| {
                let findings = match &e {
                    PushError::Refused(findings) => values(findings),
                    _ => Vec::new(),
                };
                Refusal::from(Problem::from(e)).findings(findings)
            })
        })
        .await?;
    let status = match pushed.outcome {
        PushOutcome::New => StatusCode::CREATED,
        PushOutcome::Same => StatusCode::OK,
    };
    let reply = Reply::new(status, &pushed).header("location", format!("{BASE}/plugins/{}", pushed.digest));
    let identity = format!("{}/{}@{}", pushed.role, pushed.name, pushed.version);
    Ok(Done { to: pushed.digest.to_string(), evidence: vec![identity], ..Done::new(reply) })
}

fn signature(headers: &HeaderMap) -> Result<Option<Signature>, Refusal> {
    let Some(value) = headers.get(SIGNATURE) else { return Ok(None) };
    let parsed = value.to_str().unwrap_or_default().parse();
    parsed.map(Some).map_err(|e: KeyError| Problem::from(e).into())
}

/// A plugin with manifest, checks, cost and users.
#[utoipa::path(get, path = "/plugins/{digest}", tag = "plugins",
    params(("digest" = String, Path, description = "SHA-256 of the artefact")),
    responses((status = 200, description = "The record, with `users`: tags, and lineups that run now", body = schema::Plugin), ReadErrors))]
pub(crate) async fn get_plugin(State(app): State<App>, ApiPath(text): ApiPath<String>) -> Result<Reply, Refusal> {
    let digest = digest(&text)?;
    let record = app.blocking(move |app| Ok(app.registry.record(&digest)?)).await?;
    let (role, name) = (record.role, record.name.clone());
    let tags = app.blocking(move |app| Ok(app.registry.tags(role, &name)?)).await?;
    let mut users: Vec<String> =
        tags.iter().filter(|t| t.digest == digest).map(|t| format!("tag {}", t.key())).collect();
    // A service that does not answer hides its lineups here; a removal does not go ahead then.
    users.extend(running_lineups(&app, &digest).await.unwrap_or_default());
    let mut body = serde_json::to_value(&record).unwrap_or_default();
    body["pushed_at"] = json!(rfc3339(record.pushed_at_ns));
    body["users"] = json!(users);
    Ok(ok(&body))
}

/// Lineups of running services that hold the plugin.
async fn running_lineups(app: &App, digest: &Digest) -> Result<Vec<String>, Refusal> {
    let mut users = Vec::new();
    for account in app.services.accounts() {
        let views: Vec<VarietyView> = match app.services.read(&account, Call::Varieties).await {
            Ok(views) => views,
            Err(refusal) if refusal.is_not_running() => continue,
            Err(refusal) => return Err(refusal),
        };
        for view in &views {
            let seats = [("active", &view.active), ("standby", &view.standby), ("shadow", &view.shadow)];
            for (seat, lineup) in seats.iter().filter_map(|(s, l)| l.as_ref().map(|l| (s, &l.lineup))) {
                if lineup.features.iter().chain([&lineup.strategy]).any(|p| p.digest == *digest) {
                    users.push(format!("{seat} lineup {} of {account}/{}", lineup.name, view.variety));
                }
            }
        }
    }
    Ok(users)
}

/// The artefact's bytes.
#[utoipa::path(get, path = "/plugins/{digest}/artifact", tag = "plugins",
    params(("digest" = String, Path, description = "SHA-256 of the artefact")),
    responses((status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/wasm"), ReadErrors))]
pub(crate) async fn get_artifact(State(app): State<App>, ApiPath(text): ApiPath<String>) -> Result<Response, Refusal> {
    let digest = digest(&text)?;
    let bytes = app.blocking(move |app| Ok(app.registry.artifact(&digest)?)).await?;
    let headers = [("content-type", "application/wasm".to_owned()), ("etag", format!("\"sha256:{digest}\""))];
    Ok((headers, Bytes::from(bytes)).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiffQuery {
    /// Digest of the other plugin.
    with: String,
}

/// What differs between two plugins: manifest, columns, parameters, limits, cost, contract.
#[utoipa::path(get, path = "/plugins/{digest}/diff", tag = "plugins",
    params(("digest" = String, Path, description = "SHA-256 of the one artefact"), DiffQuery),
    responses((status = 200, description = "`{from, to, differences: [{path, from, to}]}`", body = Object), ReadErrors))]
pub(crate) async fn diff_plugins(
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiQuery(query): ApiQuery<DiffQuery>,
) -> Result<Reply, Refusal> {
    let (from, to) = (digest(&text)?, digest(&query.with)?);
    app.blocking(move |app| {
        let shown = |digest: &Digest| -> Result<(String, Value), Refusal> {
            let r = app.registry.record(digest)?;
            Ok((r.identity(), json!({ "manifest": r.manifest, "cost": r.cost, "bytes": r.bytes })))
        };
        let ((from_name, from_value), (to_name, to_value)) = (shown(&from)?, shown(&to)?);
        let differences = difference(&from_value, &to_value);
        Ok(ok(&json!({
            "from": { "digest": from, "identity": from_name },
            "to": { "digest": to, "identity": to_name },
            "differences": differences,
        })))
    })
    .await
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReasonQuery {
    /// Why; for the audit.
    #[serde(default)]
    #[expect(dead_code, reason = "read for every change in one place; named here so that it is no unknown parameter")]
    reason: Option<String>,
}

/// Takes a plugin out of sight; its version stays taken, its bytes go with the next clean-up.
#[utoipa::path(delete, path = "/plugins/{digest}", tag = "plugins",
    params(("digest" = String, Path, description = "SHA-256 of the artefact"), ReasonQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h")),
    responses((status = 200, description = "The record as it is now", body = PluginSummary), ChangeErrors))]
pub(crate) async fn remove_plugin(
    State(app): State<App>,
    who: Identity,
    ApiPath(text): ApiPath<String>,
    ApiQuery(_): ApiQuery<ReasonQuery>,
    request: Request,
) -> Response {
    let about = About::new(&app, "plugin.remove", &*text, Role::Admin);
    change(app, who, about, request, async move |asked: Asked| {
        let digest = digest(&text)?;
        let in_use = running_lineups(&asked.app, &digest).await?;
        let record = asked.app.blocking(move |app| Ok(app.registry.remove(&digest, &in_use)?)).await?;
        Ok(Done {
            from: digest.to_string(),
            evidence: vec![record.identity()],
            ..Done::new(ok(&PluginSummary::new(record)))
        })
    })
    .await
}
