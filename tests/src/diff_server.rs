//! A DIFF source whose rows, habits and failures a test writes: identity service, instruments, tick charts, quotes.
//!
//! It is no second implementation of the protocol's server: it answers what this program asks, in the ways that real
//! servers answer, and counts.

use base64::Engine as _;
use futures_util::SinkExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use yawc::{Frame, OpCode, Options, WebSocket};

/// How the source behaves; a test may change it at any time.
#[derive(Debug, Clone)]
pub struct Habits {
    /// Takes compression where the client offers it.
    pub deflate: bool,
    /// Rows of a packet.
    pub packet_rows: usize,
    /// Says `ready` of charts.
    pub says_ready: bool,
    /// Ends windows with the series.
    pub clips: bool,
    /// Life of a token, seconds; older ones are refused at the line.
    pub token_life_s: f64,
    /// What the token service answers instead of a token.
    pub refusal: Option<(u16, Value)>,
    /// Connections that are answered by 503, so many more.
    pub busy: u64,
    /// Every connection ends behind so many transactions.
    pub cut_after: Option<u64>,
    /// Connections fall silent behind so many transactions: pings are unanswered too.
    pub silent_after: Option<u64>,
    /// The frame behind so many transactions of a connection is no JSON, so many connections more.
    pub broken: Option<(u64, u64)>,
    /// Ids of every symbol that are never given.
    pub withheld: BTreeSet<i64>,
    /// Text of a notice that is sent instead of charts.
    pub notice: Option<String>,
    /// Sends transactions that nobody has asked for.
    pub unsolicited: bool,
    /// The trading day that it says to be in.
    pub trading_day: Option<String>,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            deflate: true,
            packet_rows: 700,
            says_ready: true,
            clips: false,
            token_life_s: 3_600.0,
            refusal: None,
            busy: 0,
            cut_after: None,
            silent_after: None,
            broken: None,
            withheld: BTreeSet::new(),
            notice: None,
            unsolicited: false,
            trading_day: None,
        }
    }
}

/// What the source has seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Tokens by password.
    pub passwords: u64,
    /// Tokens by refresh token.
    pub refreshes: u64,
    /// Lines opened.
    pub lines: u64,
    /// Lines on which compression was agreed.
    pub deflated: u64,
    /// Lines refused for their token.
    pub stale_tokens: u64,
    /// Most peeks that waited on one line at once.
    pub most_peeks: u64,
    /// Frames of clients, in order.
    pub frames: Vec<Value>,
}

impl Seen {
    /// Tick charts asked for, by page or rolling.
    pub fn charts(&self) -> usize {
        self.frames.iter().filter(|f| f["aid"] == "set_chart" && f["ins_list"] != "").count()
    }
}

#[derive(Debug, Default)]
struct State {
    habits: Habits,
    seen: Seen,
    /// Rows by symbol; the place is the id.
    series: BTreeMap<String, Vec<Value>>,
    /// Rows of each symbol that have happened.
    happened: BTreeMap<String, usize>,
    tokens: BTreeMap<String, Instant>,
}

/// The source; it ends with this value.
pub struct DiffServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// Secrets that no output may show.
pub const PASSWORD: &str = "p4ss-w0rd-of-ann";
/// The program's own secret.
pub const CLIENT_SECRET: &str = "cl13nt-s3cret";

fn held(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DiffServer {
    /// Starts one on a free port of this machine.
    ///
    /// # Panics
    /// If this machine gives no port.
    pub fn start(habits: Habits) -> Self {
        let state = Arc::new(Mutex::new(State { habits, ..State::default() }));
        let mut server = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), state, runtime: None };
        server.start_again();
        server
    }

    /// Starts it on the same port after [`Self::kill`].
    ///
    /// # Panics
    /// If the port is not free.
    #[expect(clippy::expect_used, reason = "a test without its server fails")]
    pub fn start_again(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind(self.address)).expect("a port");
        self.address = listener.local_addr().expect("an address");
        let state = self.state.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = state.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| answer(request, state.clone()));
                    let http = hyper::server::conn::http1::Builder::new();
                    // A client that goes away is no failure of the test.
                    let _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
                });
            }
        });
        self.runtime = Some(runtime);
    }

    /// Ends every connection and refuses new ones, at once.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn auth(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `ws://127.0.0.1:PORT/md`.
    pub fn market(&self) -> String {
        format!("ws://{}/md", self.address)
    }

    /// Changes habits from now on.
    pub fn change(&self, change: impl FnOnce(&mut Habits)) {
        change(&mut held(&self.state).habits);
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        held(&self.state).seen.clone()
    }

    /// Forgets what was seen.
    pub fn forget(&self) {
        held(&self.state).seen = Seen::default();
    }

    /// Adds rows to a symbol's series; all of it has happened.
    pub fn add(&self, symbol: &str, rows: Vec<Value>) {
        let mut state = held(&self.state);
        state.series.entry(symbol.to_owned()).or_default().extend(rows);
        let all = state.series[symbol].len();
        state.happened.insert(symbol.to_owned(), all);
    }

    /// Lets only the first `rows` of a symbol have happened.
    pub fn happen(&self, symbol: &str, rows: usize) {
        held(&self.state).happened.insert(symbol.to_owned(), rows);
    }
}

impl Drop for DiffServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Rows of a TqSdk tick file as a source sends them; every third missing number in another form.
///
/// # Panics
/// If the file cannot be read.
#[expect(clippy::panic, reason = "a test that cannot prepare its input fails")]
pub fn rows_of_csv(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut lines = text.lines();
    let names: Vec<String> = lines
        .next()
        .unwrap_or_default()
        .split(',')
        .map(|n| n.rsplit('.').next().unwrap_or_default().to_owned())
        .collect();
    let mut missing = 0;
    let mut row = |line: &str| {
        let mut members = Map::new();
        for (name, field) in names.iter().zip(line.split(',')) {
            match (name.as_str(), field.parse::<i64>(), field.parse::<f64>()) {
                ("datetime", ..) => {}
                ("datetime_nano", Ok(ns), _) => drop(members.insert("datetime".to_owned(), json!(ns))),
                (_, Ok(whole), _) => drop(members.insert(name.clone(), json!(whole))),
                (_, _, Ok(number)) if number.is_finite() => drop(members.insert(name.clone(), json!(number))),
                _ => {
                    missing += 1;
                    if let Some(form) = [json!("-"), json!("")].get(missing % 3) {
                        members.insert(name.clone(), form.clone());
                    }
                }
            }
        }
        Value::Object(members)
    };
    lines.map(&mut row).collect()
}

fn reply(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

async fn answer(mut request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if path.ends_with("/openid-connect/token") {
        let body = request.body_mut().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
        let (status, body) = grant(&String::from_utf8_lossy(&body), &mut held(&state));
        return Ok(reply(status, &body));
    }
    if path != "/md" {
        return Ok(reply(404, &json!({})));
    }
    let bearer = request.headers().get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let token = bearer.strip_prefix("Bearer ").unwrap_or_default().to_owned();
    let deflate = {
        let mut state = held(&state);
        if state.habits.busy > 0 {
            state.habits.busy -= 1;
            return Ok(reply(503, &json!({})));
        }
        let life = state.habits.token_life_s;
        if state.tokens.get(&token).is_none_or(|granted| granted.elapsed().as_secs_f64() > life) {
            state.seen.stale_tokens += 1;
            return Ok(reply(401, &json!({})));
        }
        state.seen.lines += 1;
        state.habits.deflate
    };
    let options = Options::default().with_limits(64 << 20, 64 << 20);
    let options = if deflate { options.with_balanced_compression() } else { options.without_compression() };
    let Ok((response, upgrade)) = WebSocket::upgrade_with_options(&mut request, options) else {
        return Ok(reply(400, &json!({})));
    };
    if response.headers().get("sec-websocket-extensions").is_some() {
        held(&state).seen.deflated += 1;
    }
    tokio::spawn(async move {
        if let Ok(socket) = upgrade.await {
            Line::new(state).keep(socket).await;
        }
    });
    Ok(response.map(|_empty| Full::new(Bytes::new())))
}

/// A token whose end only its own claims and the server's clock tell.
fn grant(form: &str, state: &mut State) -> (u16, Value) {
    if let Some((status, body)) = &state.habits.refusal {
        return (*status, body.clone());
    }
    let has = |pair: &str| form.split('&').any(|p| p == pair);
    let by_password = has("grant_type=password") && has("username=ann") && has(&format!("password={PASSWORD}"));
    let refresh = form.split('&').find_map(|p| p.strip_prefix("refresh_token="));
    let known = refresh.is_some_and(|r| r == format!("r{}", state.tokens.len()));
    if !has(&format!("client_secret={CLIENT_SECRET}")) || !(by_password || known) {
        let said = format!("Invalid user credentials in {form}");
        return (401, json!({ "error": "invalid_grant", "error_description": said }));
    }
    if by_password {
        state.seen.passwords += 1;
    } else {
        state.seen.refreshes += 1;
    }
    let number = state.tokens.len() + 1;
    let life = state.habits.token_life_s;
    let claims = json!({ "sub": "ann-1", "iat": 1_000, "exp": 1_000.0 + life, "jti": number, "grants": { "features": ["tq_dl"] } });
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let token = format!("e30.{}.x", engine.encode(claims.to_string()));
    state.tokens.insert(token.clone(), Instant::now());
    (200, json!({ "access_token": token, "refresh_token": format!("r{number}") }))
}

/// One client's line.
struct Line {
    state: Arc<Mutex<State>>,
    waiting: Vec<Value>,
    later: Vec<Value>,
    peeks: u64,
    charts: BTreeMap<String, Value>,
    shown: BTreeMap<String, i64>,
    quotes: BTreeSet<String>,
    transactions: u64,
}

impl Line {
    fn new(state: Arc<Mutex<State>>) -> Self {
        let waiting = vec![json!({ "account_id": "", "ins_list": "", "mdhis_more_data": false })];
        Self {
            state,
            waiting,
            later: Vec::new(),
            peeks: 0,
            charts: BTreeMap::new(),
            shown: BTreeMap::new(),
            quotes: BTreeSet::new(),
            transactions: 0,
        }
    }

    async fn keep(mut self, mut socket: yawc::HttpWebSocket) {
        let mut pulse = tokio::time::interval(Duration::from_millis(2));
        loop {
            let sends = tokio::select! {
                frame = socket.next_frame() => match frame {
                    Ok(frame) if frame.opcode() == OpCode::Text => {
                        self.take(frame.as_str());
                        true
                    }
                    Ok(frame) if frame.opcode() == OpCode::Close => return,
                    Ok(_) => false,
                    Err(_) => return,
                },
                _ = pulse.tick() => {
                    self.roll();
                    true
                }
            };
            let Some(text) = sends.then(|| self.give()).flatten() else { continue };
            if socket.send(Frame::text(text)).await.is_err() {
                return;
            }
            self.transactions += 1;
            let (cut, silent, broken) = {
                let mut state = held(&self.state);
                let at = self.transactions;
                let broken = matches!(state.habits.broken, Some((after, left)) if after == at && left > 0);
                if let (true, Some((_, left))) = (broken, &mut state.habits.broken) {
                    *left -= 1;
                }
                (state.habits.cut_after == Some(at), state.habits.silent_after == Some(at), broken)
            };
            if broken {
                let _ = socket.send(Frame::text("{\"aid\":\"rtn_data\",\"data\":[{\"ticks\":{\"SH")).await;
            }
            if cut {
                return;
            }
            if silent {
                tokio::time::sleep(Duration::from_secs(3_600)).await;
            }
        }
    }

    fn take(&mut self, text: &str) {
        let Ok(frame) = serde_json::from_str::<Value>(text) else { return };
        let text = |k: &str| frame[k].as_str().unwrap_or_default().to_owned();
        match frame["aid"].as_str() {
            Some("peek_message") => {
                self.peeks += 1;
                let mut state = held(&self.state);
                state.seen.most_peeks = state.seen.most_peeks.max(self.peeks);
            }
            Some("set_chart") => self.chart(&frame),
            Some("subscribe_quote") => {
                self.quotes = text("ins_list").split(',').map(str::to_owned).collect();
                let quotes = self.quote_patch(true);
                self.waiting.push(json!({ "quotes": quotes, "ins_list": text("ins_list") }));
            }
            Some("ins_query") => self.query(&text("query_id"), &text("query")),
            _ => {}
        }
        if frame["aid"] != "peek_message" {
            held(&self.state).seen.frames.push(frame);
        }
    }

    fn quote_patch(&self, all: bool) -> Value {
        let state = held(&self.state);
        let known = self.quotes.iter().filter(|s| state.series.contains_key(*s));
        let quote = |symbol: &String| {
            let rows = state.happened.get(symbol).copied().unwrap_or(0);
            let row = rows.checked_sub(1).and_then(|r| state.series[symbol].get(r));
            let ts_ns = row.and_then(|r| r["datetime"].as_i64()).unwrap_or(0);
            let text = ghtrader_core::ExchangeTimeNs(ts_ns).to_string();
            (symbol.clone(), json!({ "instrument_id": symbol, "datetime": &text[..26], "last_price": "-" }))
        };
        Value::Object(if all { known.map(quote).collect() } else { Map::new() })
    }

    fn query(&mut self, id: &str, query: &str) {
        if query.is_empty() {
            self.waiting.push(json!({ "symbols": { id: null } }));
            return;
        }
        let state = held(&self.state);
        let product = query.split("product_id: [\"").nth(1).and_then(|q| q.split('"').next());
        let named = |symbol: &&String| query.contains(&format!("\"{symbol}\""));
        let of_product = |symbol: &&String| {
            product.is_some_and(|p| symbol.split('.').nth(1).is_some_and(|i| i.trim_end_matches(char::is_numeric) == p))
        };
        let found: Vec<Value> = state
            .series
            .keys()
            .filter(|s| named(s) || of_product(s))
            .map(|s| {
                json!({ "instrument_id": s, "class": "FUTURE", "price_tick": 10.0, "volume_multiple": 5, "expired": false,
                        "trading_day": state.habits.trading_day })
            })
            .collect();
        let answer = if found.is_empty() {
            json!({ "query": query, "error": "unknown instrument" })
        } else {
            json!({ "query": query, "result": { "multi_symbol_info": found } })
        };
        drop(state);
        self.waiting.push(json!({ "symbols": { id: answer } }));
    }

    fn rows(&self, symbol: &str, ids: impl Iterator<Item = i64>) -> Value {
        let state = held(&self.state);
        let given = ids.filter(|id| !state.habits.withheld.contains(id));
        let rows = given.filter_map(|id| Some((id.to_string(), state.series.get(symbol)?.get(id as usize)?.clone())));
        Value::Object(rows.collect())
    }

    fn last_id(&self, symbol: &str) -> i64 {
        held(&self.state).happened.get(symbol).copied().unwrap_or(0) as i64 - 1
    }

    fn chart(&mut self, frame: &Value) {
        let id = frame["chart_id"].as_str().unwrap_or_default().to_owned();
        let symbol = frame["ins_list"].as_str().unwrap_or_default().to_owned();
        if symbol.is_empty() {
            self.charts.remove(&id);
            self.later.push(json!({ "charts": { id: null } }));
            return;
        }
        let habits = held(&self.state).habits.clone();
        if let Some(text) = &habits.notice {
            let notice = json!({ "type": "MESSAGE", "level": "WARNING", "code": 0, "content": text });
            self.waiting.push(json!({ "notify": { "n1": notice } }));
            return;
        }
        let last_id = self.last_id(&symbol);
        let width = frame["view_width"].as_i64().unwrap_or(1);
        let left = if let Some(left) = frame["left_kline_id"].as_i64() {
            left
        } else if let Some(focus) = frame["focus_datetime"].as_i64() {
            let state = held(&self.state);
            let rows = state.series.get(&symbol).map_or(&[][..], |r| &r[..(last_id + 1) as usize]);
            rows.partition_point(|r| r["datetime"].as_i64() < Some(focus)) as i64
        } else {
            self.shown.insert(id.clone(), last_id);
            last_id - width + 1
        };
        let rolling = frame.get("left_kline_id").is_none() && frame.get("focus_datetime").is_none();
        let right = if rolling { last_id } else { left + width - 1 };
        let right = if habits.clips { right.min(last_id) } else { right };
        let mut state = frame.clone();
        let old = self.charts.insert(id.clone(), frame.clone());
        for key in ["left_kline_id", "focus_datetime", "focus_position"] {
            if old.as_ref().is_some_and(|o| o.get(key).is_some()) && frame.get(key).is_none() {
                state[key] = Value::Null;
            }
        }
        let mut begin = json!({ "state": state, "left_id": -1, "right_id": -1, "more_data": last_id >= 0 });
        let mut end = json!({ "left_id": left, "right_id": right, "more_data": false });
        if habits.says_ready {
            (begin["ready"], end["ready"]) = (json!(last_id < 0), json!(true));
        }
        let symbol_rows = |data: Value| json!({ "ticks": { &symbol: { "last_id": last_id, "data": data } } });
        self.later.push(json!({ "charts": { &id: begin }, "ticks": { &symbol: { "last_id": last_id } },
                                "mdhis_more_data": last_id >= 0 }));
        if last_id < 0 {
            return;
        }
        let ids: Vec<i64> = (left.max(0)..=right.min(last_id)).collect();
        // The newest packet first, as the vendor does.
        for packet in ids.chunks(habits.packet_rows).rev() {
            let patch = symbol_rows(self.rows(&symbol, packet.iter().copied()));
            self.later.push(patch);
        }
        self.later.push(json!({ "charts": { id: end }, "mdhis_more_data": false }));
    }

    /// New rows go to the charts that roll.
    fn roll(&mut self) {
        let rolling: Vec<(String, String, i64, i64)> = self
            .charts
            .iter()
            .filter(|(_, c)| c.get("left_kline_id").is_none() && c.get("focus_datetime").is_none())
            .filter_map(|(id, c)| {
                let shown = *self.shown.get(id)?;
                Some((id.clone(), c["ins_list"].as_str()?.to_owned(), c["view_width"].as_i64()?, shown))
            })
            .collect();
        for (id, symbol, width, shown) in rolling {
            let last_id = self.last_id(&symbol);
            if last_id > shown {
                let rows = self.rows(&symbol, (shown + 1).max(last_id - width + 1)..=last_id);
                self.later.push(json!({
                    "charts": { &id: { "left_id": last_id - width + 1, "right_id": last_id } },
                    "ticks": { &symbol: { "last_id": last_id, "data": rows } } }));
                self.shown.insert(id, last_id);
            }
        }
    }

    /// The next transaction, if the client has asked; packets of charts come one by one.
    fn give(&mut self) -> Option<String> {
        if self.peeks == 0 && !held(&self.state).habits.unsolicited {
            return None;
        }
        let mut patches = std::mem::take(&mut self.waiting);
        if !self.later.is_empty() {
            patches.push(self.later.remove(0));
        }
        if patches.is_empty() {
            return None;
        }
        self.peeks = self.peeks.saturating_sub(1);
        Some(json!({ "aid": "rtn_data", "data": patches }).to_string())
    }
}
