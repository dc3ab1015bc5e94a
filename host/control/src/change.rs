//! The one way in which something is changed: role, idempotency key, the change itself, audit, answer.
//!
//! Once the body is read, the change runs to its end in a task of its own, whether or not the client stays.

use crate::access::{Identity, Role};
use crate::app::{App, CHANGES, entry};
use crate::extract::{self, SMALL_BODY};
use crate::idempotency::Begun;
use crate::refusal::Refusal;
use crate::reply::Reply;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use ghtrader_core::{DigestBuilder, ErrorClass, Problem};
use ghtrader_durable::{AuditEntry, AuditError, Outcome};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::time::Duration;

/// Longest reason, bytes.
const REASON_BYTES: usize = 1000;

/// What is to be changed, and who may.
pub(crate) struct About {
    /// Name for the audit, such as `tag.set`.
    pub(crate) action: &'static str,
    /// What it is done to.
    pub(crate) subject: String,
    /// The lowest role that may.
    pub(crate) needs: Role,
    /// Largest body and the time for it.
    pub(crate) body: (usize, Duration),
}

impl About {
    pub(crate) fn new(app: &App, action: &'static str, subject: impl Into<String>, needs: Role) -> Self {
        Self { action, subject: subject.into(), needs, body: (SMALL_BODY, app.config.timing.body) }
    }
}

/// A change as asked for.
pub(crate) struct Asked {
    pub(crate) app: App,
    pub(crate) who: Identity,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The person's reason, from the body or the query.
    pub(crate) reason: String,
}

impl Asked {
    /// The body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        extract::json(&self.headers, &self.body)
    }

    /// The generation that the client saw.
    pub(crate) fn if_match(&self) -> Result<u64, Refusal> {
        extract::if_match(&self.headers)
    }
}

/// A change that was carried out, or taken on.
pub(crate) struct Done {
    pub(crate) reply: Reply,
    /// What the idempotency key keeps, where that is not the answer itself.
    pub(crate) kept: Option<Reply>,
    /// What came of it; none where the service that did it has written it into the audit.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) generation: Option<u64>,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) evidence: Vec<String>,
}

impl Done {
    pub(crate) fn new(reply: Reply) -> Self {
        Self {
            reply,
            kept: None,
            outcome: Some(Outcome::Done),
            generation: None,
            from: String::new(),
            to: String::new(),
            evidence: Vec::new(),
        }
    }
}

/// Carries a change out. `work` gets the request; everything that it refuses leaves an entry in the audit too.
pub(crate) async fn change<F>(
    app: App,
    who: Identity,
    about: About,
    request: Request,
    work: impl FnOnce(Asked) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = Result<Done, Refusal>> + Send,
{
    let Ok(permit) = app.changes.clone().try_acquire_owned() else {
        let what = format!("{CHANGES} changes are being carried out");
        return Refusal::new("too_many_changes", ErrorClass::Limit, what, "ask again a little later").into_response();
    };
    let (parts, body) = request.into_parts();
    let body = match who.require(about.needs) {
        Ok(()) => extract::read_body(&parts.headers, body, about.body.0, about.body.1).await,
        Err(refusal) => Err(refusal),
    };
    let route = format!("{} {}", parts.method, parts.uri);
    let query_reason = reason_in_query(parts.uri.query().unwrap_or_default());
    let carried_out = tokio::spawn(async move {
        let _permit = permit;
        match body {
            Ok(body) => {
                let reason = query_reason.unwrap_or_else(|| reason_in_body(&parts.headers, &body));
                let asked = Asked { app, who, headers: parts.headers, body, reason };
                keyed(asked, about, route, work).await
            }
            Err(refusal) => {
                let entry = entry(&who, about.action, &about.subject, Outcome::Refused);
                refused(&app, entry, refusal).await
            }
        }
    });
    match carried_out.await {
        Ok(reply) => reply.into_response(),
        Err(_) => {
            let what = "the change failed by a defect of this program";
            let remedy = "look at what was to be changed, and report this with the server's log";
            Refusal::new("internal", ErrorClass::Internal, what, remedy).into_response()
        }
    }
}

/// Carries the change out unless its key has an answer already.
async fn keyed<F>(asked: Asked, about: About, route: String, work: impl FnOnce(Asked) -> F + Send) -> Reply
where
    F: Future<Output = Result<Done, Refusal>> + Send,
{
    let Some(key) = asked.headers.get("idempotency-key") else {
        return audited(asked, about, work).await.0;
    };
    let key = key.to_str().unwrap_or_default().to_owned();
    let app = asked.app.clone();
    let if_match = asked.headers.get("if-match").map_or(&b""[..], |v| v.as_bytes());
    let request = DigestBuilder::new("ghtrader request 1").bytes(if_match).bytes(&asked.body).finish();
    let claim = match app.keys.begin(&asked.who, &route, &key, request, app.now_ns()) {
        Ok(Begun::First(claim)) => claim,
        Ok(Begun::Again(reply)) => return reply.header("idempotency-replayed", "true"),
        Err(refusal) => {
            let entry = entry(&asked.who, about.action, &about.subject, Outcome::Refused);
            return refused(&app, entry, refusal).await;
        }
    };
    let (reply, kept) = audited(asked, about, work).await;
    let kept = kept.unwrap_or_else(|| reply.clone());
    let finished = app.blocking(move |app| {
        claim.finish(&kept, app.now_ns());
        Ok(())
    });
    // The change is done, whatever becomes of the kept answer.
    let _ = finished.await;
    reply
}

/// Carries the change out and writes what came of it; gives the answer, and what to keep in its stead.
async fn audited<F>(asked: Asked, about: About, work: impl FnOnce(Asked) -> F + Send) -> (Reply, Option<Reply>)
where
    F: Future<Output = Result<Done, Refusal>> + Send,
{
    let app = asked.app.clone();
    let mut entry = entry(&asked.who, about.action, &about.subject, Outcome::Refused);
    entry.reason = asked.reason.clone();
    let checked = if entry.reason.len() > REASON_BYTES { Err(too_long(entry.reason.len())) } else { Ok(()) };
    if checked.is_err() {
        entry.reason = String::new();
    }
    let result = match checked {
        Ok(()) => work(asked).await,
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(done) => {
            let (reply, kept) = (done.reply, done.kept);
            let Some(outcome) = done.outcome else { return (reply, kept) };
            let entry = AuditEntry {
                outcome,
                generation: done.generation,
                from: done.from,
                to: done.to,
                evidence: done.evidence,
                ..entry
            };
            match write(&app, entry).await {
                Ok(()) => (reply, kept),
                Err(refusal) => (refusal.into_reply(), None),
            }
        }
        Err(refusal) => (refused(&app, entry, refusal).await, None),
    }
}

/// Writes a refused attempt, unless the service that refused it has, and gives its answer.
pub(crate) async fn refused(app: &App, mut entry: AuditEntry, refusal: Refusal) -> Reply {
    if refusal.is_audited() {
        return refusal.into_reply();
    }
    entry.evidence.push(refusal.code().to_owned());
    if refusal.status().is_server_error() {
        entry.outcome = Outcome::Failed;
    }
    if let Err(unwritten) = write(app, entry).await {
        tracing::error!(code = unwritten.code(), refused = refusal.code(), "a refused attempt is not in the audit");
    }
    refusal.into_reply()
}

async fn write(app: &App, entry: AuditEntry) -> Result<(), Refusal> {
    let action = entry.action.clone();
    let written = app.blocking(move |app| Ok(app.record(entry))).await?;
    let error = match written {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    tracing::error!(%error, action, "an entry is not in the audit");
    let (code, class) = match &error {
        AuditError::Io { source, .. } if ghtrader_durable::is_full(source) => ("disk_full", ErrorClass::Limit),
        _ => ("audit_unwritable", ErrorClass::Internal),
    };
    let what = format!("`{action}` was carried out, but its audit entry could not be written: {error}");
    Err(Problem::new(code, class, what, "mend the cause named and look at what was changed").into())
}

fn too_long(bytes: usize) -> Refusal {
    Refusal::new(
        "bad_reason",
        ErrorClass::User,
        format!("the reason has {bytes} bytes, the limit is {REASON_BYTES}"),
        "say it in fewer words",
    )
    .bound(REASON_BYTES)
}

#[derive(Deserialize)]
struct WithReason {
    #[serde(default)]
    reason: String,
}

fn reason_in_body(headers: &HeaderMap, body: &[u8]) -> String {
    if body.len() > SMALL_BODY || extract::expect_media_type(headers, &["application/json"]).is_err() {
        return String::new();
    }
    serde_json::from_slice::<WithReason>(body).map(|w| w.reason).unwrap_or_default()
}

fn reason_in_query(query: &str) -> Option<String> {
    let uri = format!("/?{query}").parse().ok()?;
    let found = axum::extract::Query::<WithReason>::try_from_uri(&uri).ok()?;
    Some(found.0.reason).filter(|r| !r.is_empty())
}
