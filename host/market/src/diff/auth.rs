//! Logging in: plain HTTPS to the identity service and the name service.

use super::error::SourceError;
use super::secret::{Credentials, Secret};
use super::socket::{NoConnection, Socket, SocketOptions};
use super::token::{Token, token_form};
use serde_json::Value;
use std::time::{Duration, Instant, UNIX_EPOCH};
use ureq::http::Response;
use ureq::{Agent, Body};

const TOKEN_PATH: &str = "/auth/realms/shinnytech/protocol/openid-connect/token";
/// Bound of every HTTP exchange.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest answer that is read, bytes.
const LARGEST_ANSWER: u64 = 1 << 20;
/// A clock that is further off cannot tell which trading days are over.
const CLOCK_BOUND_S: i64 = 300;

/// Where a source lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceUrls {
    /// Identity service, such as `https://auth.shinnytech.com`.
    pub auth: String,
    /// Market-data line; `None` = the name service says.
    pub market: Option<String>,
    /// Name service; answers `{"mdurl": …}`.
    pub names: String,
}

/// An address that carries no secret and has a scheme from `schemes`.
pub(crate) fn checked_url(what: &'static str, url: &str, schemes: &[&str]) -> Result<String, SourceError> {
    let url = url.trim().trim_end_matches('/');
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let bad = |why, shown: &str| Err(SourceError::BadUrl { what, url: shown.to_owned(), why });
    if let Some((_, host)) = authority.rsplit_once('@') {
        return bad("has a login in it", &format!("{scheme}://…@{host}"));
    }
    if !schemes.contains(&scheme) {
        return bad("has another scheme or none", url.split('?').next().unwrap_or_default());
    }
    if authority.is_empty() || authority.starts_with(':') || url.contains(char::is_whitespace) {
        return bad("names no host", url.split('?').next().unwrap_or_default());
    }
    Ok(url.to_owned())
}

/// Scheme and host of an address: what messages show of it.
pub(crate) fn host_of(url: &str) -> String {
    let end = url.find("://").map_or(0, |at| at + 3);
    url[end..].find(['/', '?', '#']).map_or(url, |at| &url[..end + at]).to_owned()
}

/// Gets tokens, keeps them and refreshes them. Nothing of them is ever shown.
#[derive(Debug)]
pub struct Login {
    agent: Agent,
    urls: SourceUrls,
    credentials: Credentials,
    token: Option<Token>,
    started: Instant,
    wall_ns: fn() -> i64,
    clock_checked: bool,
}

impl Login {
    /// A login that has not been used. `wall_ns` is this machine's clock, ns since the epoch.
    ///
    /// # Errors
    /// `BadUrl`.
    pub fn new(urls: SourceUrls, credentials: Credentials, wall_ns: fn() -> i64) -> Result<Self, SourceError> {
        let http = ["http", "https"];
        let market = urls.market.filter(|u| !u.trim().is_empty());
        let urls = SourceUrls {
            auth: checked_url("the identity service", &urls.auth, &http)?,
            market: market.map(|u| checked_url("the market-data line", &u, &["ws", "wss"])).transpose()?,
            names: checked_url("the name service", &urls.names, &http)?,
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .user_agent(super::USER_AGENT)
            .build()
            .into();
        let started = Instant::now();
        Ok(Self { agent, urls, credentials, token: None, started, wall_ns, clock_checked: false })
    }

    /// A token that is good for a while yet: the present one, a refreshed one, or one by password.
    ///
    /// # Errors
    /// `Refused`, `Unavailable`, `Timeout`, `WrongClock`.
    fn bearer(&mut self) -> Result<Secret, SourceError> {
        let now = self.started.elapsed();
        if let Some(token) = self.token.as_ref().filter(|t| !t.is_due(now)) {
            return Ok(token.access.clone());
        }
        let refresh = self.token.take().and_then(|t| t.refresh);
        let token = match refresh.map(|r| self.ask(Some(&r))) {
            Some(Ok(token)) => token,
            // A refresh token ends too; then the password is asked again, and its refusal is the one that counts.
            Some(Err(SourceError::Refused { .. })) | None => self.ask(None)?,
            Some(Err(other)) => return Err(other),
        };
        let access = token.access.clone();
        self.token = Some(token);
        Ok(access)
    }

    /// The line has refused the token: the next one is asked for even if this one should still be good.
    fn expire(&mut self) {
        if let Some(refresh) = self.token.take().and_then(|t| t.refresh) {
            self.token = self.ask(Some(&refresh)).ok();
        }
    }

    /// Makes a connection to the address that `url` gives for a token, logging in as far as need be. Gives scheme and host
    /// too.
    ///
    /// # Errors
    /// `Refused` if the login is refused, or the token a second time; `Unavailable`, `Timeout`, `BadUrl`, `WrongClock`.
    pub(crate) fn connect(
        &mut self,
        options: SocketOptions,
        url: impl Fn(&mut Self, &Secret) -> Result<String, SourceError>,
    ) -> Result<(Socket, String), SourceError> {
        let mut refused = false;
        loop {
            let bearer = self.bearer()?;
            let url = url(self, &bearer)?;
            let host = host_of(&url);
            match Socket::connect(&url, Some(&bearer), options) {
                Ok(socket) => return Ok((socket, host)),
                Err(NoConnection::Refused(message)) if refused => {
                    return Err(SourceError::Refused { host, user: self.user().to_owned(), message });
                }
                // A token may have ended early; one more look with a new one.
                Err(NoConnection::Refused(_)) => {
                    refused = true;
                    self.expire();
                }
                Err(NoConnection::Unavailable(why)) => return Err(SourceError::Unavailable { host, why }),
            }
        }
    }

    /// What the account may do, once it is logged in; `tq_dl` opens downloads.
    pub fn features(&self) -> &[String] {
        self.token.as_ref().map_or(&[], |t| &t.features)
    }

    /// The account's name.
    pub fn user(&self) -> &str {
        &self.credentials.user
    }

    /// This machine's clock, ns since the epoch.
    pub fn wall_ns(&self) -> i64 {
        (self.wall_ns)()
    }

    /// The address of the market-data line.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`, `BadUrl`.
    pub(crate) fn market_url(&mut self, bearer: &Secret) -> Result<String, SourceError> {
        if let Some(url) = &self.urls.market {
            return Ok(url.clone());
        }
        let asked = self.agent.get(&self.urls.names).header("Authorization", format!("Bearer {}", bearer.expose()));
        let host = host_of(&self.urls.names);
        let answer = read(&host, "the market-data line's address", asked.call())?;
        let url = answer.body.get("mdurl").and_then(Value::as_str).unwrap_or_default();
        if answer.status != 200 || url.is_empty() {
            let why = format!("the name service gives no address (status {})", answer.status);
            return Err(SourceError::Unavailable { host, why });
        }
        checked_url("the market-data line", url, &["ws", "wss"])
    }

    /// The vendor's table of main contracts, as it stands at an address.
    ///
    /// # Errors
    /// `BadUrl`, `Refused`, `Unavailable`, `Timeout`, `WrongClock`.
    pub(crate) fn main_contracts(&mut self, url: &str) -> Result<String, SourceError> {
        let url = checked_url("the table of main contracts", url, &["http", "https"])?;
        let bearer = self.bearer()?;
        let host = host_of(&url);
        let asked = self.agent.get(&url).header("Authorization", format!("Bearer {}", bearer.expose()));
        let answer = read(&host, "the table of main contracts", asked.call())?;
        if answer.status != 200 {
            let why = format!("no table of main contracts (status {})", answer.status);
            return Err(SourceError::Unavailable { host, why });
        }
        Ok(answer.text)
    }

    fn ask(&mut self, refresh: Option<&Secret>) -> Result<Token, SourceError> {
        let host = host_of(&self.urls.auth);
        let request = self.agent.post(format!("{}{TOKEN_PATH}", self.urls.auth)).header("Accept", "application/json");
        let answer = read(&host, "a token", request.send_form(token_form(&self.credentials, refresh)))?;
        match answer.status {
            200 => {}
            400 | 401 | 403 => {
                let said = ["error_description", "message", "error"];
                let said = said.iter().find_map(|k| answer.body.get(*k).and_then(Value::as_str));
                let message = self.without_secrets(said.unwrap_or("no reason given"), refresh);
                let message = format!("{message} (status {})", answer.status);
                return Err(SourceError::Refused { host, user: self.credentials.user.clone(), message });
            }
            status => {
                let said = self.without_secrets(&answer.text, refresh);
                let why = format!("status {status} for a token: {}", said.chars().take(120).collect::<String>());
                return Err(SourceError::Unavailable { host, why });
            }
        }
        if let Some(date_ns) = answer.date_ns.filter(|_| !std::mem::replace(&mut self.clock_checked, true)) {
            let skew_s = ((self.wall_ns)() - date_ns) / 1_000_000_000;
            if skew_s.abs() > CLOCK_BOUND_S {
                self.clock_checked = false;
                return Err(SourceError::WrongClock { host, skew_s, bound_s: CLOCK_BOUND_S });
            }
        }
        Token::read(&answer.body, self.started.elapsed())
            .map_err(|why| SourceError::Unavailable { host, why: why.to_owned() })
    }

    /// A server's words are shown; whatever of a secret it repeats is not.
    fn without_secrets(&self, text: &str, refresh: Option<&Secret>) -> String {
        let secrets = [Some(&self.credentials.password), Some(&self.credentials.client_secret), refresh];
        let shown = secrets.into_iter().flatten().filter(|s| !s.is_empty());
        shown.fold(text.to_owned(), |text, secret| text.replace(secret.expose(), "(secret)"))
    }
}

struct Answer {
    status: u16,
    /// The server's clock.
    date_ns: Option<i64>,
    text: String,
    body: Value,
}

fn read(host: &str, what: &str, response: Result<Response<Body>, ureq::Error>) -> Result<Answer, SourceError> {
    let failed = |e: ureq::Error| match e {
        ureq::Error::Timeout(_) => {
            SourceError::Timeout { host: host.to_owned(), what: what.to_owned(), limit_s: PATIENCE.as_secs() }
        }
        // The request holds secrets; what the library says of its own state does not.
        e => SourceError::Unavailable { host: host.to_owned(), why: format!("{what}: {e}") },
    };
    let mut response = response.map_err(failed)?;
    let date = response.headers().get("date").and_then(|d| httpdate::parse_http_date(d.to_str().ok()?).ok());
    let date_ns = date.and_then(|d| i64::try_from(d.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok());
    let text = response.body_mut().with_config().limit(LARGEST_ANSWER).lossy_utf8(true).read_to_string();
    let text = text.map_err(failed)?;
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Answer { status: response.status().as_u16(), date_ns, text, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DC-14
    #[test]
    fn an_address_has_no_login_in_it() {
        let check = |url: &str| checked_url("the line", url, &["ws", "wss"]);
        assert_eq!(check(" wss://h.example/md/ "), Ok("wss://h.example/md".to_owned()));
        for bad in ["", "h.example", "http://h", "ws://", "ws:///md", "ws://:80/", "ws://a b/md"] {
            assert!(matches!(check(bad), Err(SourceError::BadUrl { .. })), "{bad}");
        }
        let e = check("ws://ann:hunter2@h.example/md?token=abc").unwrap_err();
        assert!(!e.to_string().contains("hunter2") && !e.to_string().contains("abc"), "{e}");
        assert_eq!(host_of("https://h.example:8/auth?x"), "https://h.example:8");
        assert_eq!(host_of("ws://h"), "ws://h");
    }
}
