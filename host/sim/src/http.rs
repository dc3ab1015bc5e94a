//! Plain HTTP: login, grants, holidays, main contracts, and the doors to both lines.

use crate::hub::Hub;
use crate::line;
use crate::md::Market;
use crate::td::Trading;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ghtrader_core::TradingDay;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OwnedSemaphorePermit;
use yawc::{IncomingUpgrade, Options};

/// Largest frame of a client, bytes; its largest requests are a tenth of it.
const MOST_FRAME: usize = 1 << 20;
/// Rights of every user: `tq_dl` opens downloads.
const FEATURES: [&str; 6] = ["futr", "sec", "lmt_idx", "tq_dl", "tq_ma", "tq_lc_rk"];
/// 2099-12-31, for those who ask when their rights end.
const NEVER_S: i64 = 4_102_329_600;
/// The first year of the holiday list.
const FIRST_DAY: TradingDay = match TradingDay::from_ymd(2003, 1, 1) {
    Some(day) => day,
    None => unreachable!(),
};
/// Accounts that users may add, all together.
const GRANTS: usize = 100_000;
const LONGEST_NAME: usize = 256;

/// What requests share.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) hub: Arc<Hub>,
    /// Lines may be compressed.
    pub(crate) deflate: bool,
    /// Accounts by user.
    pub(crate) grants: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
}

/// Kept by a connection for as long as it lives, line included.
pub(crate) type Seat = Arc<OwnedSemaphorePermit>;

pub(crate) fn routes(app: App) -> Router {
    Router::new()
        .route("/auth/realms/shinnytech/protocol/openid-connect/token", post(token))
        .route("/auth/realms/shinnytech/rest/get-grant/tq", get(grant))
        .route("/auth/realms/shinnytech/rest/update-grant-accounts/{id}", put(add_account))
        .route("/holidays.json", get(holidays))
        .route("/contracts.json", get(contracts))
        .route("/md", get(md))
        .route("/td", get(td))
        .with_state(app)
}

#[derive(Debug, serde::Deserialize)]
struct TokenForm {
    grant_type: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    refresh_token: String,
}

fn refused(status: StatusCode, error: &str, description: &str) -> Response {
    (status, Json(json!({ "error": error, "error_description": description }))).into_response()
}

/// Anybody may look at simulated data: the name is all that counts.
async fn token(
    State(app): State<App>,
    form: Result<Form<TokenForm>, axum::extract::rejection::FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else {
        return refused(StatusCode::BAD_REQUEST, "invalid_request", "the form has no grant_type");
    };
    let user = match form.grant_type.as_str() {
        "password" => Some(form.username),
        "refresh_token" => claims(&form.refresh_token).and_then(|c| Some(c.get("sub")?.as_str()?.to_owned())),
        _ => return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", "use password or refresh_token"),
    };
    match user.filter(|u| !u.trim().is_empty() && u.len() <= LONGEST_NAME) {
        Some(user) => {
            let access = app.token(&user, "access");
            let refresh = app.token(&user, "refresh");
            let body = json!({ "access_token": access, "refresh_token": refresh, "token_type": "Bearer" });
            Json(body).into_response()
        }
        None => refused(StatusCode::UNAUTHORIZED, "invalid_grant", "no user is named"),
    }
}

impl App {
    /// A token of the usual shape. Its signature proves nothing, and clients do not check it: this is no real bank.
    fn token(&self, user: &str, kind: &str) -> String {
        let accounts =
            self.grants.lock().unwrap_or_else(PoisonError::into_inner).get(user).cloned().unwrap_or_default();
        let head = json!({ "alg": "HS256", "typ": "JWT" });
        let body = json!({
            "sub": user,
            "preferred_username": user,
            "typ": kind,
            "grants": { "features": FEATURES, "accounts": accounts },
        });
        let part = |value: &Value| BASE64.encode(value.to_string());
        format!("{}.{}.{}", part(&head), part(&body), BASE64.encode("simulated"))
    }
}

/// What a token says.
fn claims(token: &str) -> Option<Value> {
    serde_json::from_slice(&BASE64.decode(token.split('.').nth(1)?).ok()?).ok()
}

async fn grant() -> Json<Value> {
    Json(json!({ "exp": NEVER_S, "daysleft": 9999, "account_type": "sim" }))
}

async fn add_account(State(app): State<App>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()?.strip_prefix("Bearer "));
    let user = bearer.and_then(claims).and_then(|c| Some(c.get("sub")?.as_str()?.to_owned()));
    let Some(user) = user else {
        return refused(StatusCode::UNAUTHORIZED, "invalid_token", "log in first");
    };
    let mut grants = app.grants.lock().unwrap_or_else(PoisonError::into_inner);
    if id.len() > LONGEST_NAME || grants.values().map(BTreeSet::len).sum::<usize>() >= GRANTS {
        return refused(StatusCode::FORBIDDEN, "too_many_accounts", "no more accounts are added");
    }
    grants.entry(user).or_default().insert(id);
    Json(json!({})).into_response()
}

/// Closed weekdays, ascending.
async fn holidays(State(app): State<App>) -> Json<Vec<String>> {
    let calendar = &app.hub.tape.calendar;
    let days = (FIRST_DAY.days()..=calendar.covered_to().days()).map(TradingDay::from_days);
    Json(days.filter(|d| !d.is_weekend() && !calendar.is_trading_day(*d)).map(|d| d.to_string()).collect())
}

/// The main contracts up to the present trading day: first trading day and contract, a row a change.
async fn contracts(State(app): State<App>) -> Json<Value> {
    let tape = &app.hub.tape;
    let today = tape.trading_day(app.hub.news().step);
    let mut table = BTreeMap::new();
    for (variety, days) in &tape.mains {
        let mut rows: Vec<[String; 2]> = Vec::new();
        for (day, contract) in days.iter().filter(|(day, _)| *day <= today) {
            let contract = contract.to_string();
            if rows.last().is_none_or(|row| row[1] != contract) {
                rows.push([day.compact(), contract]);
            }
        }
        if !rows.is_empty() {
            table.insert(variety.to_string(), rows);
        }
    }
    Json(json!(table))
}

async fn md(State(app): State<App>, upgrade: IncomingUpgrade, request: Request) -> Response {
    open(&app, upgrade, &request, Market::new)
}

async fn td(State(app): State<App>, upgrade: IncomingUpgrade, request: Request) -> Response {
    open(&app, upgrade, &request, Trading::new)
}

/// Turns a connection into a line.
fn open<S: line::Session + 'static>(
    app: &App,
    upgrade: IncomingUpgrade,
    request: &Request,
    session: impl FnOnce(Arc<Hub>) -> S + Send + 'static,
) -> Response {
    let options = Options::default().with_limits(MOST_FRAME, 2 * MOST_FRAME).with_utf8();
    let options = if app.deflate { options.with_low_latency_compression() } else { options.without_compression() };
    let Ok((response, upgraded)) = upgrade.upgrade(options) else {
        return refused(StatusCode::BAD_REQUEST, "bad_upgrade", "this is no WebSocket handshake");
    };
    let seat = request.extensions().get::<Seat>().cloned();
    let hub = app.hub.clone();
    tokio::spawn(async move {
        if let Ok(ws) = upgraded.await {
            line::run(ws, session(hub.clone()), hub).await;
        }
        drop(seat);
    });
    response.map(axum::body::Body::new).into_response()
}
