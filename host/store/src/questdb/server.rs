//! The server as this room talks to it: SQL and exports over HTTP, rows by the line protocol over HTTP, and what may go wrong.
//!
//! Everything that is sent can be sent again: reads change nothing, tables are made if they are missing, and a row that
//! arrives twice has the same key. So whatever fails on the way is tried again for as long as the setting allows.

use super::QuestDbOptions;
use crate::StoreError;
use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use serde_json::Value;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};
use ureq::http::StatusCode;
use ureq::{Agent, SendBody};

/// Versions whose line protocol, exports and nanosecond times are those that this room speaks.
pub(super) const NEEDED: &str = "9.3 or a later 9";
const DEFAULT_PORT: u16 = 9000;
/// How long one answer may take to begin or go on.
const ANSWER: Duration = Duration::from_secs(120);
/// A server that is not there at all is told at once: nothing has been asked of it yet.
const FIRST_ANSWER: Duration = Duration::from_secs(1);
/// How much longer a body may take for each row that a request may hold: some 700 bytes, at 240 kB/s.
const ROW_SENT: Duration = Duration::from_millis(3);
/// By how much this side's patience is longer than what a server is told, so that its own word arrives.
const LATE: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// An answer that is larger than any day.
pub(super) const LARGEST_ANSWER: u64 = 16 << 30;
/// Bytes of a bound that a value takes at least, however short its text is: as much as it takes in memory.
const VALUE: u64 = 32;

/// A row of an answer.
pub(super) type Row = Vec<Value>;

/// A query of a person's: it is asked once, and given up when its time is over.
pub(super) struct Ask<'a> {
    pub(super) statement: &'a str,
    pub(super) time: Duration,
    /// Bytes of the answer at most.
    pub(super) most: u64,
}

/// A failure that another try may mend, or one that it will not.
enum Fault {
    Passing(String),
    Lasting(StoreError),
}

/// One server, reached over any number of connections.
pub(super) struct Server {
    url: String,
    authorization: Option<String>,
    wait: Duration,
    /// How long a body may take to be sent.
    body: Duration,
    agent: Agent,
    gone: AtomicBool,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("url", &self.url).field("wait", &self.wait).finish_non_exhaustive()
    }
}

impl Server {
    /// Checks the address; asks nothing yet.
    pub(super) fn new(options: &QuestDbOptions) -> Result<Self, StoreError> {
        let refuse = |why: &'static str| {
            // Whatever stands before an @ may be a password.
            let value = options.url.rsplit('@').next().unwrap_or_default().to_owned();
            Err(StoreError::BadServer { key: "store.questdb_url", value, why })
        };
        let Some(rest) = options.url.strip_prefix("http://") else {
            return refuse("it is no http:// address; put a proxy or a tunnel in front for TLS");
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return refuse("a user or password does not belong into an address");
        }
        if authority.is_empty() || authority.contains(['/', '?', '#', ' ']) {
            return refuse("behind http:// stand a host and a port, nothing else");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => match port.parse() {
                Ok(port) => (host, port),
                Err(_) => return refuse("the port is no number from 1 to 65535"),
            },
            _ => (authority, DEFAULT_PORT),
        };
        let authorization = (!options.user.is_empty()).then(|| {
            let login = format!("{}:{}", options.user, options.password);
            format!("Basic {}", Base64::encode_string(login.as_bytes()))
        });
        let rows = u32::try_from(options.batch_rows).unwrap_or(u32::MAX);
        let body = ANSWER.max(ROW_SENT.saturating_mul(rows));
        let agent = Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_send_body(Some(body))
            .timeout_recv_response(Some(ANSWER))
            .http_status_as_error(false)
            .build();
        Ok(Self {
            url: format!("http://{host}:{port}"),
            authorization,
            wait: options.wait,
            body,
            agent: agent.into(),
            gone: AtomicBool::new(false),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The last question had no answer.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// How long a server may be silent before it counts as gone.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// The first question to a server: its version, and whether it takes writes. Refuses one that this room does not know.
    pub(super) fn greet(&self) -> Result<bool, StoreError> {
        let bytes = self.patiently(FIRST_ANSWER.min(self.wait), || self.get("/settings", &[], "its settings"))?;
        let config = serde_json::from_slice::<Value>(&bytes).unwrap_or_default()["config"].take();
        let found = config["release.version"].as_str().unwrap_or("unknown");
        let mut numbers = found.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
        let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if major != 9 || minor < 3 {
            let (url, found) = (self.url.clone(), found.to_owned());
            return Err(StoreError::ServerVersion { url, found, needed: NEEDED });
        }
        let accepting = config["accepting.writes"].as_array();
        Ok(accepting.is_none_or(|ways| ways.iter().any(|way| way == "http")))
    }

    /// Runs one statement.
    pub(super) fn sql(&self, statement: &str) -> Result<Vec<Row>, StoreError> {
        let bytes = self.patiently(self.wait, || self.get("/exec", &[("query", statement)], statement))?;
        let answer: Value = serde_json::from_slice(&bytes)
            .map_err(|e| self.refused(statement, &format!("an answer that is no JSON: {e}")))?;
        // The head of an answer is sent before its rows are known to fit.
        if let Some(why) = answer.get("error") {
            return Err(self.refused(statement, why.as_str().unwrap_or("an error without a text")));
        }
        let Some(Value::Array(rows)) = answer.get("dataset") else { return Ok(Vec::new()) };
        Ok(rows.iter().filter_map(|row| row.as_array().cloned()).collect())
    }

    /// The whole answer to a query, `None` if it is larger than what was asked for. The server stops a query where it looks
    /// at the time; this side does in any case.
    pub(super) fn ask(&self, ask: &Ask<'_>) -> Result<Option<Value>, StoreError> {
        let failed = |why: String| StoreError::SqlFailed { engine: self.url.clone(), why };
        let late = || StoreError::SqlTimeout { engine: self.url.clone(), limit_s: ask.time.as_secs_f64() };
        let limit = Some(ask.time + LATE);
        let mut request = self.agent.get(format!("{}/exec", self.url)).query("query", ask.statement);
        request = request.header("statement-timeout", ask.time.as_millis().to_string());
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.config().timeout_global(limit).timeout_recv_response(limit).build();
        let lost = |e: ureq::Error| match e {
            ureq::Error::Timeout(_) => late(),
            e => StoreError::Unreachable { url: self.url.clone(), why: e.to_string() },
        };
        let mut answer = request.call().map_err(lost)?;
        let status = answer.status();
        let bytes = match answer.body_mut().with_config().limit(ask.most).read_to_vec() {
            Ok(bytes) if fits(&bytes, ask.most) => bytes,
            Ok(_) | Err(ureq::Error::BodyExceedsLimit(_)) => return Ok(None),
            Err(e) => return Err(lost(e)),
        };
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match body.get("error").and_then(Value::as_str) {
            Some(why) if why.contains("timeout, query aborted") => Err(late()),
            Some(why) if !matches!(status.as_u16(), 401 | 403) => Err(failed(why.to_owned())),
            None if status.is_success() => Ok(Some(body)),
            _ => match self.fault(status, "a query", &String::from_utf8_lossy(&bytes)) {
                Fault::Lasting(error) => Err(error),
                Fault::Passing(why) => Err(StoreError::Unreachable { url: self.url.clone(), why }),
            },
        }
    }

    /// The rows of a query as a Parquet file.
    pub(super) fn export(&self, query: &str) -> Result<Bytes, StoreError> {
        let form = [
            ("query", query),
            ("fmt", "parquet"),
            ("compression_codec", "uncompressed"),
            ("statistics_enabled", "false"),
        ];
        self.patiently(self.wait, || {
            let bytes = self.get("/exp", &form, query)?;
            // A server that dies while it sends leaves a file without its end.
            if bytes.len() < 8 || !bytes.ends_with(b"PAR1") {
                return Err(Fault::Passing("an export without its end".to_owned()));
            }
            Ok(bytes)
        })
    }

    /// Sends rows as lines, read anew at each try; when this returns they lie on the server's disk.
    pub(super) fn write<R: Read>(&self, table: &str, mut rows: impl FnMut() -> R) -> Result<(), StoreError> {
        let what = format!("rows for {table}");
        self.patiently(self.wait, || {
            let mut request = self.agent.post(format!("{}/write", self.url)).query("precision", "n");
            if let Some(authorization) = &self.authorization {
                request = request.header("authorization", authorization);
            }
            let passing = |e: ureq::Error| match e {
                ureq::Error::Timeout(ureq::Timeout::SendBody) => {
                    let limit_s = self.body.as_secs();
                    Fault::Passing(format!("a request took longer than {limit_s} s; lower store.questdb_batch_rows"))
                }
                e => Fault::Passing(e.to_string()),
            };
            let mut answer = request.send(SendBody::from_reader(&mut rows())).map_err(passing)?;
            let (status, said) = (answer.status(), answer.body_mut().read_to_string().map_err(passing)?);
            if status.is_success() { Ok(()) } else { Err(self.fault(status, &what, &said)) }
        })
    }

    fn get(&self, path: &str, form: &[(&str, &str)], what: &str) -> Result<Bytes, Fault> {
        let mut request = self.agent.get(format!("{}{path}", self.url)).query_pairs(form.iter().copied());
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let passing = |e: ureq::Error| Fault::Passing(e.to_string());
        let mut answer = request.call().map_err(passing)?;
        let status = answer.status();
        let bytes = answer.body_mut().with_config().limit(LARGEST_ANSWER).read_to_vec().map_err(passing)?;
        if status.is_success() {
            return Ok(bytes.into());
        }
        Err(self.fault(status, what, &String::from_utf8_lossy(&bytes)))
    }

    /// What a server's refusal means.
    fn fault(&self, status: StatusCode, what: &str, body: &str) -> Fault {
        let message = serde_json::from_str::<Value>(body).ok();
        let text = |key: &str| message.as_ref().and_then(|m| m[key].as_str()).map(str::to_owned);
        let why = text("error").or_else(|| text("message")).unwrap_or_else(|| body.trim().to_owned());
        let lower = body.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let url = self.url.clone();
        Fault::Lasting(if says(&["no space left", "errno=28", "[28]", "disk full"]) {
            StoreError::DiskFull { path: format!("{what} of {url}").into(), why }
        } else if says(&["read-only", "read only", "readonly"]) {
            StoreError::ServerReadOnly { url, why }
        } else if matches!(status.as_u16(), 401 | 403) {
            StoreError::ServerAccess { url, why }
        } else if status.is_server_error() {
            return Fault::Passing(format!("{status}: {why}"));
        } else {
            self.refused(what, &why)
        })
    }

    pub(super) fn refused(&self, what: &str, why: &str) -> StoreError {
        let cut = |text: &str| text.chars().take(400).collect::<String>();
        StoreError::ServerRefused { url: self.url.clone(), what: format!("`{}`", cut(what)), why: cut(why) }
    }

    /// Tries until it works, until the failure is one that stays, or until the server was silent for too long.
    fn patiently<T>(&self, wait: Duration, mut work: impl FnMut() -> Result<T, Fault>) -> Result<T, StoreError> {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match work() {
                Ok(done) => {
                    self.gone.store(false, Ordering::Relaxed);
                    return Ok(done);
                }
                Err(Fault::Lasting(error)) => return Err(error),
                Err(Fault::Passing(why)) if began.elapsed() + pause > wait => {
                    self.gone.store(true, Ordering::Relaxed);
                    return Err(StoreError::Unreachable { url: self.url.clone(), why });
                }
                Err(Fault::Passing(_)) => {
                    sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

/// Whether an answer may be taken apart: many short values take more memory than their text.
fn fits(answer: &[u8], most: u64) -> bool {
    answer.iter().filter(|byte| **byte == b',').count() as u64 <= most / VALUE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C-34
    #[test]
    fn many_short_values_are_too_much() {
        assert!(fits(b"[1,2,3]", 2 * VALUE) && !fits(b"[1,2,3]", 2 * VALUE - 1));
    }

    #[test]
    fn a_larger_request_has_more_time() {
        let body = |batch_rows: usize| {
            Server::new(&QuestDbOptions { batch_rows, ..QuestDbOptions::default() }).unwrap().body.as_secs()
        };
        assert_eq!([100, 200_000, 1_000_000].map(body), [120, 600, 3_000]);
    }

    #[test]
    fn addresses_are_checked_and_give_no_password_away() {
        let check = |url: &str, expected: Result<&str, &str>| {
            let options = QuestDbOptions { url: url.to_owned(), ..QuestDbOptions::default() };
            let found = Server::new(&options).map(|server| server.url).map_err(|e| e.to_string());
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => {
                    assert!(found.contains(expected) && !found.contains("secret"), "{found}");
                }
                (found, expected) => panic!("{url}: {found:?}, expected {expected:?}"),
            }
        };
        check("http://127.0.0.1:9000", Ok("http://127.0.0.1:9000"));
        check("http://db/", Ok("http://db:9000"));
        check("http://[::1]:9001", Ok("http://[::1]:9001"));
        check("http://[::1]", Ok("http://[::1]:9000"));
        check("https://db:9000", Err("no http:// address"));
        check("http://me:secret@db:9000", Err("does not belong"));
        check("http://", Err("a host and a port"));
        check("http://db/x", Err("a host and a port"));
        check("http://db:99999", Err("the port"));
    }
}
