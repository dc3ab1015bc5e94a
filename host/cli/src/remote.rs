//! The asking side of the control API: plain HTTP on loopback, one connection a command.

use crate::context::Context;
use ghtrader_core::{ErrorClass, Problem};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body};

const BASE: &str = "/api/v1";
/// Longer than the server waits for anything that it answers within a request.
const PATIENCE: Duration = Duration::from_secs(60);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer that is read, bytes.
const LARGEST_ANSWER: u64 = 256 << 20;

/// A server, and whom this program stands for there.
pub(crate) struct Remote {
    agent: Agent,
    server: String,
    token: String,
}

/// What a request brings.
enum Content<'a> {
    None,
    Json(&'a Value),
    /// An artefact, and who vouches for it.
    Artefact(&'a [u8], Option<&'a str>),
}

/// An answer that is no refusal.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// The generation in its `ETag`.
    pub(crate) generation: Option<u64>,
}

impl Remote {
    /// The server of `--server`, else the one that says in `<runs>/control/server.json` that it runs in this root.
    pub(crate) fn of(context: &Context) -> Result<Self, Problem> {
        let told = context.dir("runs_dir").join("control").join("server.json");
        let file: Value = std::fs::read(&told).ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default();
        let own = file["listening"].as_str().map(whole_url);
        let Some(server) = context.server.as_deref().map(whole_url).or_else(|| own.clone()) else {
            return Err(unreachable(format!(
                "no server runs in {} ({} is not there)",
                context.root.display(),
                told.display()
            )));
        };
        // The token of this root's server is for no other.
        let token_file = file["token_file"].as_str().filter(|_| own.as_ref() == Some(&server));
        let token_file = token_file.map(|name| context.root.join(name));
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .timeout_connect(Some(CONNECT_PATIENCE))
            .user_agent(concat!("ghtrader/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self { agent, server, token: token(token_file)? })
    }

    /// Reads a thing.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, Problem> {
        self.ask(&Method::GET, path, &Content::None, None)
    }

    /// Reads every page of a list.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<Value>, Problem> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let next = cursor.map(|c| format!("&cursor={c}")).unwrap_or_default();
            let page = self.get(&format!("{path}{mark}limit=1000{next}"))?.body;
            match page["items"].as_array() {
                Some(more) => items.extend(more.iter().cloned()),
                None => return Err(foreign(&self.server, "a list without items")),
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(escaped(next)),
                None => return Ok(items),
            }
        }
    }

    /// Changes a thing by a JSON body, at the generation that was seen where the change asks for one.
    pub(crate) fn send(&self, method: Method, path: &str, body: &Value, seen: Option<u64>) -> Result<Answer, Problem> {
        self.ask(&method, path, &Content::Json(body), seen)
    }

    /// Pushes an artefact.
    pub(crate) fn push(&self, artefact: &[u8], signature: Option<&str>) -> Result<Answer, Problem> {
        self.ask(&Method::POST, "/plugins", &Content::Artefact(artefact, signature), None)
    }

    fn ask(&self, method: &Method, path: &str, content: &Content<'_>, seen: Option<u64>) -> Result<Answer, Problem> {
        let is_change = *method != Method::GET;
        let key = if is_change { Some(random_key()?) } else { None };
        let mut attempt = 0;
        let mut response = loop {
            let answer = self.call(method, path, content, seen, key.as_deref());
            match answer {
                Ok(response) => break response,
                // The key makes a second attempt the same change as the first, whether that arrived or not.
                Err(error) if attempt == 0 && broke_off(&error) => attempt += 1,
                Err(error) => return Err(unreachable(format!("{}: {error}", self.server))),
            }
        };
        let status = response.status().as_u16();
        let generation = response.headers().get("etag").and_then(|v| v.to_str().ok()?.trim_matches('"').parse().ok());
        let bytes = response
            .body_mut()
            .with_config()
            .limit(LARGEST_ANSWER)
            .read_to_vec()
            .map_err(|e| unreachable(format!("{}: {e}", self.server)))?;
        let body = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes) };
        let body = body.map_err(|_| foreign(&self.server, &format!("status {status} and no JSON")))?;
        if (200..300).contains(&status) {
            return Ok(Answer { body, generation });
        }
        Err(refusal(&body).unwrap_or_else(|| foreign(&self.server, &format!("status {status} without a problem"))))
    }

    fn call(
        &self,
        method: &Method,
        path: &str,
        content: &Content<'_>,
        seen: Option<u64>,
        key: Option<&str>,
    ) -> Result<Response<Body>, ureq::Error> {
        let uri = format!("{}{BASE}{path}", self.server);
        let mut request = Request::builder()
            .method(method.clone())
            .uri(uri)
            .header("authorization", format!("Bearer {}", self.token))
            .header("accept", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(generation) = seen {
            request = request.header("if-match", format!("\"{generation}\""));
        }
        match content {
            Content::None => self.agent.run(request.body(())?),
            Content::Json(body) => {
                let bytes = serde_json::to_vec(body).map_err(|e| ureq::Error::Io(e.into()))?;
                self.agent.run(request.header("content-type", "application/json").body(bytes)?)
            }
            Content::Artefact(bytes, signature) => {
                if let Some(signature) = signature {
                    request = request.header("plugin-signature", *signature);
                }
                self.agent.run(request.header("content-type", "application/wasm").body(*bytes)?)
            }
        }
    }
}

/// `http://127.0.0.1:8600` of `127.0.0.1:8600/`.
fn whole_url(text: &str) -> String {
    let text = text.trim_end_matches('/');
    if text.contains("://") { text.to_owned() } else { format!("http://{text}") }
}

/// The connection ended behind its beginning: the request may have arrived.
fn broke_off(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Io(e) if e.kind() != std::io::ErrorKind::ConnectionRefused)
}

fn token(file: Option<PathBuf>) -> Result<String, Problem> {
    if let Ok(token) = std::env::var("GHTRADER_TOKEN") {
        return Ok(token.trim().to_owned());
    }
    let missing = |what: String| {
        let remedy = "set GHTRADER_TOKEN; `ghtrader token create --role operator --name NAME` makes one";
        Problem::new("token_missing", ErrorClass::User, what, remedy)
    };
    let path = file.ok_or_else(|| missing("GHTRADER_TOKEN is not set, and no token file is known".to_owned()))?;
    let text = std::fs::read_to_string(&path).map_err(|e| missing(format!("cannot read {}: {e}", path.display())))?;
    Ok(text.trim().to_owned())
}

/// 128 random bits, so that no two changes of any two clients are taken for one.
fn random_key() -> Result<String, Problem> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|e| {
        Problem::new(
            "no_randomness",
            ErrorClass::Unavailable,
            format!("the system gives no randomness: {e}"),
            "try again",
        )
    })?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

fn unreachable(what: String) -> Problem {
    Problem::new("server_unreachable", ErrorClass::Unavailable, what, "start it in this root: ghtrader serve")
}

fn foreign(server: &str, what: &str) -> Problem {
    Problem::new(
        "server_foreign",
        ErrorClass::Unavailable,
        format!("{server} answered {what}"),
        "check that --server names a ghtrader server of this version",
    )
}

/// A `problem+json` body as this program's own, all its findings in the text.
fn refusal(body: &Value) -> Option<Problem> {
    let text = |key: &str| body[key].as_str().map(str::to_owned);
    let class = ErrorClass::of_name(body["class"].as_str()?);
    let mut what = text("what").or_else(|| text("detail"))?;
    for finding in body["findings"].as_array().into_iter().flatten() {
        let of = |key: &str| finding[key].as_str().unwrap_or_default();
        let place = if of("place").is_empty() { String::new() } else { format!("{}: ", of("place")) };
        what.push_str(&format!("\n  [{}] {place}{}", of("code"), of("what")));
        if !of("remedy").is_empty() {
            what.push_str(&format!("\n    help: {}", of("remedy")));
        }
    }
    if let Some(generation) = body["generation"].as_u64() {
        what.push_str(&format!(" (it is at generation {generation} now)"));
    }
    // Codes are a small set of names; a program meets one or two before it ends.
    let code: &'static str = Box::leak(text("code")?.into_boxed_str());
    Some(Problem::new(code, class, what, text("remedy").unwrap_or_default()))
}

/// A text as part of a path or query.
pub(crate) fn escaped(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_keeps_its_code_class_and_findings() {
        let body = json!({
            "code": "admission_failed", "class": "plugin", "what": "2 findings", "remedy": "mend them",
            "findings": [
                { "code": "import_undeclared", "what": "imports a clock", "remedy": "none", "place": "import x" },
                { "code": "self_test", "what": "another digest", "remedy": "" },
            ],
        });
        let problem = refusal(&body).unwrap();
        assert_eq!((problem.code, problem.class.exit_code()), ("admission_failed", 3));
        assert!(
            problem.what.contains("[import_undeclared] import x: imports a clock")
                && problem.what.contains("[self_test]")
        );
        let stale = json!({ "code": "generation_stale", "class": "conflict", "what": "old", "remedy": "look", "generation": 7 });
        assert!(refusal(&stale).unwrap().what.ends_with("(it is at generation 7 now)"));
        assert!(refusal(&json!({"error": "x"})).is_none());
    }

    #[test]
    fn a_reference_fits_into_a_path() {
        assert_eq!(escaped("strategy/my-idea@0.1.0:é"), "strategy%2Fmy-idea%400.1.0%3A%C3%A9");
    }
}
