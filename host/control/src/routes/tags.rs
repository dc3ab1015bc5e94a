//! `/plugins/{role}/{name}/tags`: names that move and remember where they were.

use crate::access::{Identity, Role};
use crate::app::App;
use crate::change::{About, Asked, Done, change};
use crate::document::{ChangeErrors, ReadErrors};
use crate::extract::{ApiPath, digest};
use crate::refusal::Refusal;
use crate::reply::{Reply, ok};
use crate::schema;
use crate::wire::TagRequest;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use ghtrader_core::ErrorClass;
use ghtrader_plugin::{Role as PluginRole, TagHistory};
use serde_json::json;

fn role(text: &str) -> Result<PluginRole, Refusal> {
    let all = [PluginRole::Feature, PluginRole::Label, PluginRole::Strategy];
    all.into_iter().find(|r| r.as_str() == text).ok_or_else(|| {
        let what = format!("`{text}` is no role of a plugin");
        Refusal::new("unknown_role", ErrorClass::User, what, "one of feature, label, strategy").value(text)
    })
}

/// All tags of a plugin with their histories.
#[utoipa::path(get, path = "/plugins/{role}/{name}/tags", tag = "plugins",
    params(("role" = String, Path, description = "feature, label or strategy"), ("name" = String, Path, description = "Name of the plugin")),
    responses((status = 200, description = "`{items: [tag]}`, each as the single one", body = schema::Tags), ReadErrors))]
pub(crate) async fn list_tags(
    State(app): State<App>,
    ApiPath((role_text, name)): ApiPath<(String, String)>,
) -> Result<Reply, Refusal> {
    let role = role(&role_text)?;
    let tags = app.blocking(move |app| Ok(app.registry.tags(role, &name)?)).await?;
    Ok(ok(&json!({ "items": tags, "total": tags.len() })))
}

/// A tag: what it names now, and every move with actor and time.
#[utoipa::path(get, path = "/plugins/{role}/{name}/tags/{tag}", tag = "plugins",
    params(("role" = String, Path, description = "feature, label or strategy"), ("name" = String, Path, description = "Name of the plugin"),
        ("tag" = String, Path, description = "candidate, champion, previous or a name of your own")),
    responses((status = 200, description = "generation (also as ETag), digest, moves", body = schema::Tag), ReadErrors))]
pub(crate) async fn get_tag(
    State(app): State<App>,
    ApiPath((role_text, name, tag)): ApiPath<(String, String, String)>,
) -> Result<Reply, Refusal> {
    let role = role(&role_text)?;
    let history = app.blocking(move |app| Ok(app.registry.tag(role, &name, &tag)?)).await?;
    Ok(shown(StatusCode::OK, &history))
}

fn shown(status: StatusCode, history: &TagHistory) -> Reply {
    Reply::new(status, history).generation(history.generation)
}

/// Lets a tag name a plugin. `If-Match: "0"` sets one that is not there yet.
#[utoipa::path(put, path = "/plugins/{role}/{name}/tags/{tag}", tag = "plugins", request_body = TagRequest,
    params(("role" = String, Path, description = "feature, label or strategy"), ("name" = String, Path, description = "Name of the plugin"),
        ("tag" = String, Path, description = "candidate, champion, previous or a name of your own"),
        ("If-Match" = String, Header, description = "The tag's generation in quotes"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the same answer for 24 h")),
    responses((status = 200, description = "The tag as it is now", body = schema::Tag), (status = 201, description = "The tag is new", body = schema::Tag), ChangeErrors))]
pub(crate) async fn put_tag(
    State(app): State<App>,
    who: Identity,
    ApiPath((role_text, name, tag)): ApiPath<(String, String, String)>,
    request: Request,
) -> Response {
    let about = About::new(&app, "tag.set", format!("{role_text}/{name}:{tag}"), Role::Operator);
    change(app, who, about, request, async move |asked: Asked| {
        let role = role(&role_text)?;
        let generation = asked.if_match()?;
        let body: TagRequest = asked.json()?;
        let digest = digest(&body.digest)?;
        let (app, reason, actor) = (asked.app, asked.reason, asked.who.name);
        let history = app
            .blocking(move |app| {
                // A tag that is not there yet is at generation 0.
                let at = (generation > 0).then_some(generation);
                Ok(app.registry.set_tag(role, &name, &tag, &digest, at, &actor, &reason, app.now_ns())?)
            })
            .await?;
        let status = if history.moves.len() == 1 { StatusCode::CREATED } else { StatusCode::OK };
        let before = history.moves.len().checked_sub(2).and_then(|i| history.moves.get(i));
        Ok(Done {
            generation: Some(history.generation),
            from: before.map(|m| m.digest.to_string()).unwrap_or_default(),
            to: history.digest.to_string(),
            ..Done::new(shown(status, &history))
        })
    })
    .await
}
