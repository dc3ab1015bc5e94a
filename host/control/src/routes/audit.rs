//! `/audit`: what was asked for, by whom, and what came of it.

use crate::app::App;
use crate::clock::rfc3339;
use crate::document::ReadErrors;
use crate::extract::ApiQuery;
use crate::listing::{newest_first, page};
use crate::refusal::Refusal;
use crate::reply::{Reply, ok};
use crate::schema;
use axum::extract::State;
use ghtrader_core::{ErrorClass, TradingDay};
use ghtrader_durable::{AuditError, AuditRecord};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

const DAY_NS: i64 = 86_400_000_000_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// First day, UTC.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<String>,
    /// Only this actor.
    actor: Option<String>,
    /// Only this action.
    action: Option<String>,
    /// Items of a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Entries, newest first. The whole chain is checked on the way.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, description = "A page of entries", body = schema::PageOf<schema::AuditRecord>), ReadErrors))]
pub(crate) async fn list_audit(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<AuditQuery>,
) -> Result<Reply, Refusal> {
    let from_ns = query.from.as_deref().map(first_ns).transpose()?.unwrap_or(i64::MIN);
    app.blocking(move |app| {
        let fits = |r: &AuditRecord| {
            r.time_ns >= from_ns
                && query.actor.as_ref().is_none_or(|a| *a == r.entry.actor)
                && query.action.as_ref().is_none_or(|a| *a == r.entry.action)
        };
        let mut records = Vec::new();
        app.audit.read(|r| records.extend(Some(r).filter(&fits))).map_err(|e| unreadable(&e))?;
        let key = |r: &AuditRecord| newest_first(r.seq);
        let mut page = page("audit", records, key, query.limit.as_deref(), query.cursor.as_deref())?;
        for item in &mut page.items {
            let time = item.get("time_ns").and_then(Value::as_i64).unwrap_or_default();
            item["time"] = json!(rfc3339(time));
        }
        Ok(ok(&page))
    })
    .await
}

/// Checks every entry: `{intact, entries, head}`, or where the chain is broken.
#[utoipa::path(get, path = "/audit/verify", tag = "audit",
    responses((status = 200, description = "Whether the chain holds", body = Object), ReadErrors))]
pub(crate) async fn verify_audit(State(app): State<App>) -> Result<Reply, Refusal> {
    app.blocking(|app| match app.audit.verify() {
        Ok(v) => Ok(ok(&json!({ "intact": true, "entries": v.entries, "head": v.head }))),
        Err(AuditError::Broken { seq, ref what, .. }) => {
            Ok(ok(&json!({ "intact": false, "broken_at": seq, "what": what })))
        }
        Err(e) => Err(unreadable(&e)),
    })
    .await
}

fn first_ns(text: &str) -> Result<i64, Refusal> {
    let day: Result<TradingDay, _> = text.parse();
    day.map(|d| i64::from(d.days()).saturating_mul(DAY_NS)).map_err(|e| {
        Refusal::new("bad_query", ErrorClass::User, format!("from = {text}: {e}"), "write YYYY-MM-DD").value(text)
    })
}

fn unreadable(e: &AuditError) -> Refusal {
    let (code, class) = match e {
        AuditError::Io { .. } => ("audit_unreadable", ErrorClass::Unavailable),
        AuditError::Broken { .. } => ("audit_broken", ErrorClass::Negative),
    };
    Refusal::new(code, class, e.to_string(), "`ghtrader audit verify` names the entry; keep the files as they are")
}
