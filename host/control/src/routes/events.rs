//! `/events`: what happens, as it happens.

use crate::access::Identity;
use crate::app::App;
use crate::document::ReadErrors;
use crate::events::Topic;
use crate::extract::ApiQuery;
use crate::refusal::Refusal;
use crate::socket::Connection;
use crate::stream::{Wanted, body};
use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use ghtrader_core::ErrorClass;
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventQuery {
    /// Topics by comma: operation, variety, shadow, trading, order, batch, system, alert, audit; all if absent.
    topics: Option<String>,
    /// Products by comma; all if absent.
    variety: Option<String>,
}

/// Server-sent events. `Last-Event-ID` goes on behind an event; where that is no longer possible, one `reset` comes first.
#[utoipa::path(get, path = "/events", tag = "events",
    params(EventQuery, ("Last-Event-ID" = Option<u64>, Header, description = "Id of the last event that was seen")),
    responses((status = 200, description = "The stream: id, event (the topic), data (the new state)", body = String, content_type = "text/event-stream"), ReadErrors))]
pub(crate) async fn follow_events(
    State(app): State<App>,
    who: Identity,
    ApiQuery(query): ApiQuery<EventQuery>,
    connection: Option<Extension<Connection>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let names = query.topics.as_deref().unwrap_or_default().split(',').filter(|t| !t.is_empty());
    let topics = names.map(|name| Topic::named(name).ok_or_else(|| unknown(name))).collect::<Result<_, _>>()?;
    let varieties = query.variety.as_deref().unwrap_or_default().split(',').filter(|v| !v.is_empty());
    let wanted = Wanted { topics, varieties: varieties.map(str::to_owned).collect() };
    let last_id = match headers.get("last-event-id") {
        None => None,
        Some(value) => {
            let text = value.to_str().unwrap_or_default();
            Some(text.parse::<u64>().map_err(|_| {
                let what = format!("Last-Event-ID: {text} is no id of an event");
                Refusal::new("bad_event_id", ErrorClass::User, what, "send the id of the last event, or none")
                    .value(text)
            })?)
        }
    };
    let Some((reader, reset)) = app.events.read(last_id) else {
        let bound = app.config.sse_max;
        let what = format!("{bound} clients follow events, the most that server.sse_max allows");
        let refusal = Refusal::new("too_many_streams", ErrorClass::Limit, what, "close one, or raise server.sse_max");
        return Err(refusal.bound(bound));
    };
    let stream = body(app, reader, reset, wanted, who.id, connection.map(|c| c.0));
    // Proxies must hand each event on at once.
    let headers = [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")];
    Ok((headers, stream).into_response())
}

fn unknown(name: &str) -> Refusal {
    let all: Vec<&str> = Topic::ALL.iter().map(|t| t.as_str()).collect();
    Refusal::new(
        "bad_topic",
        ErrorClass::User,
        format!("`{name}` is no topic"),
        format!("one or several of {}", all.join(", ")),
    )
    .value(name)
}
