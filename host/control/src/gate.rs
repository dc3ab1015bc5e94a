//! What every request passes: the host's name, the page it comes from, its token.

use crate::app::App;
use crate::refusal::Refusal;
use crate::socket::Connection;
use crate::tokens::{PREFIX, Shown};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ghtrader_core::{ErrorClass, Problem};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Paths that need no token on loopback.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
const FAILED_A_MINUTE: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// Addresses that are remembered at most; the oldest go first.
const ADDRESSES: usize = 4096;

/// The gate, around every route.
pub(crate) async fn pass(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let is_read = request.method() == Method::GET && !route.ends_with("/events");
    let response = match admit(&app, &mut request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let took = started.elapsed();
    app.metrics.request(&route, response.status().as_u16(), took);
    if is_read && response.status().is_success() {
        app.metrics.read_time.record(took);
    }
    response
}

fn admit(app: &App, request: &mut Request) -> Result<(), Refusal> {
    check_host(request.uri(), request.headers(), app)?;
    check_site(request.uri(), request.headers())?;
    check_url(request.uri())?;
    if OPEN.contains(&request.uri().path()) && app.bound.is_loopback() {
        return Ok(());
    }
    let peer = request.extensions().get::<Connection>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |c| c.peer.ip());
    let secret = bearer(request.headers())?;
    let identity = match app.tokens.identify(secret, app.now_ns()).map_err(Problem::from)? {
        Shown::Known(identity) => identity,
        // The right token passes whatever others at the same address get wrong: nobody can shut the owner out.
        failed => return Err(app.logins.failed(peer, Instant::now()).unwrap_or_else(|| unauthorised(&failed))),
    };
    request.extensions_mut().insert(identity);
    Ok(())
}

fn unauthorised(shown: &Shown) -> Refusal {
    match shown {
        Shown::Expired { name } => Refusal::new(
            "token_expired",
            ErrorClass::User,
            format!("the token `{name}` has expired"),
            "make another: `ghtrader token create`",
        ),
        _ => Refusal::new(
            "token_unknown",
            ErrorClass::User,
            "nobody has this token",
            "take the one of runs/control/admin.token, or make one: `ghtrader token create`",
        ),
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let value = headers.get("authorization").and_then(|v| v.to_str().ok());
    let split = value.and_then(|v| v.split_once(' '));
    let token = split.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    token.filter(|t| !t.is_empty()).ok_or_else(|| {
        Refusal::new(
            "token_missing",
            ErrorClass::User,
            "this needs a token",
            "send `Authorization: Bearer TOKEN`; the first start wrote one to runs/control/admin.token",
        )
    })
}

/// The name that the client believes to speak to, without its port.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let named = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get("host")?.to_str().ok()?,
    };
    let name = match named.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => named.split(':').next()?,
    };
    Some(name)
}

/// A page of a name that its owner lets point to this machine must not reach the API with the owner's browser.
fn check_host(uri: &Uri, headers: &HeaderMap, app: &App) -> Result<(), Refusal> {
    let name = host(uri, headers).unwrap_or_default();
    let address: Option<IpAddr> = name.parse().ok();
    let is_ours = name.eq_ignore_ascii_case("localhost")
        || address.is_some_and(|a| a.is_loopback() || a == app.bound)
        // A name is what such an attack needs; behind a proxy any address may be this machine's.
        || (app.config.behind_proxy && address.is_some());
    if is_ours {
        return Ok(());
    }
    Err(Refusal::new(
        "wrong_host",
        ErrorClass::User,
        format!("`{name}` is not this server"),
        format!("ask for {} or localhost", app.bound),
    )
    .value(name))
}

fn check_site(uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or("?").to_owned());
    let site = text("sec-fetch-site").filter(|s| !matches!(s.as_str(), "same-origin" | "none"));
    let own = uri.authority().map(|a| a.to_string()).or_else(|| text("host")).unwrap_or_default();
    let origin = text("origin").filter(|o| {
        let host = o.strip_prefix("http://").or_else(|| o.strip_prefix("https://"));
        host.is_none_or(|h| !h.eq_ignore_ascii_case(&own))
    });
    match site.or(origin) {
        None => Ok(()),
        Some(from) => Err(Refusal::new(
            "cross_site",
            ErrorClass::User,
            format!("the request comes from another site: {from}"),
            "open the page of this server itself; other sites have no access",
        )
        .value(from)),
    }
}

/// URLs end up in histories and logs.
fn check_url(uri: &Uri) -> Result<(), Refusal> {
    const NAMES: [&str; 5] = ["token", "access_token", "api_key", "authorization", "bearer"];
    let query = uri.query().unwrap_or_default();
    let mut names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    let in_query = names.any(|n| NAMES.iter().any(|known| n.eq_ignore_ascii_case(known)));
    let is_secret = |text: &str| {
        let behind = text.split(PREFIX).skip(1);
        behind.into_iter().any(|rest| rest.len() >= 64 && rest.bytes().take(64).all(|b| b.is_ascii_hexdigit()))
    };
    if !in_query && !is_secret(query) && !is_secret(uri.path()) {
        return Ok(());
    }
    Err(Refusal::new(
        "token_in_url",
        ErrorClass::User,
        "a token must not stand in a URL, where histories and logs keep it",
        "send `Authorization: Bearer TOKEN`, and revoke the token that was in the URL",
    ))
}

/// Failed logins of the last minute, by address.
#[derive(Debug, Default)]
pub(crate) struct Logins(Mutex<BTreeMap<IpAddr, Vec<Instant>>>);

impl Logins {
    /// Counts one; behind the tenth of a minute the answer is to wait.
    fn failed(&self, peer: IpAddr, now: Instant) -> Option<Refusal> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Instant| now.duration_since(*at) < MINUTE;
        if all.len() >= ADDRESSES && !all.contains_key(&peer) {
            all.retain(|_, times| times.last().is_some_and(is_recent));
            if all.len() >= ADDRESSES {
                all.pop_first();
            }
        }
        let times = all.entry(peer).or_default();
        times.retain(is_recent);
        if times.len() < FAILED_A_MINUTE {
            times.push(now);
            return None;
        }
        Some(
            Refusal::new(
                "too_many_logins",
                ErrorClass::Limit,
                format!("{FAILED_A_MINUTE} logins from {peer} failed within a minute"),
                "wait a minute and send the right token",
            )
            .bound(FAILED_A_MINUTE),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C-14
    #[test]
    fn ten_failed_logins_a_minute_and_no_more() {
        let logins = Logins::default();
        let start = Instant::now();
        let peer = |n: u8| IpAddr::from([10, 0, 0, n]);
        let failed = |n, s| logins.failed(peer(n), start + Duration::from_secs(s)).is_some();
        assert!((0..10).all(|s| !failed(1, s)));
        assert!(failed(1, 10));
        assert!(!failed(2, 10), "another address");
        assert!(!failed(1, 60), "the first is a minute old");
        assert!(failed(1, 60));
    }

    /// C-16
    #[test]
    fn a_token_in_a_url_is_seen_wherever_it_stands() {
        let secret = format!("{PREFIX}{}", "0".repeat(64));
        for (url, found) in [
            ("/api/v1/events?topics=order", false),
            ("/x?tokens=3&a=b", false),
            ("/x?token=abc", true),
            ("/x?a=b&ACCESS_TOKEN=1", true),
            (&*format!("/x?q={secret}"), true),
            (&*format!("/x/{secret}"), true),
            ("/x/ght_abc", false),
        ] {
            assert_eq!(check_url(&url.parse().unwrap()).is_err(), found, "{url}");
        }
    }

    /// C-16
    #[test]
    fn a_page_of_another_site_is_refused() {
        for (name, value, refused) in [
            ("origin", "http://127.0.0.1:8600", false),
            ("origin", "http://127.0.0.1:9999", true),
            ("origin", "https://evil.example", true),
            ("origin", "null", true),
            ("sec-fetch-site", "same-origin", false),
            ("sec-fetch-site", "none", false),
            ("sec-fetch-site", "same-site", true),
            ("sec-fetch-site", "cross-site", true),
        ] {
            let headers: HeaderMap = [("host", "127.0.0.1:8600"), (name, value)]
                .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()))
                .into_iter()
                .collect();
            assert_eq!(check_site(&"/x".parse().unwrap(), &headers).is_err(), refused, "{name}: {value}");
        }
    }
}
