//! A trading server that says what a test tells it to: for what a good one never says.

use futures_util::SinkExt as _;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use yawc::{Frame, OpCode, Options, WebSocket};

/// What is said to a frame of a client; the frames of one connection come with their number, from 1.
type Script = dyn Fn(u64, &Value) -> Vec<String> + Send + Sync;

struct Room {
    script: Box<Script>,
    frames: Mutex<Vec<Value>>,
    lines: AtomicU64,
    sent: AtomicU64,
    /// Connections are refused by this status.
    status: Option<u16>,
}

/// The server; it ends with this value.
pub struct TdServer {
    address: SocketAddr,
    room: Arc<Room>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// A transaction as a frame.
pub fn transaction(patches: &Value) -> String {
    json!({ "aid": "rtn_data", "data": patches }).to_string()
}

/// The complete picture of an account of user `U` with a million and nothing else.
pub fn picture() -> Value {
    let money = json!({ "pre_balance": 1e6, "static_balance": 1e6, "balance": 1e6, "available": 1e6, "margin": 0.0,
                        "float_profit": 0.0, "position_profit": 0.0, "risk_ratio": 0.0 });
    json!({ "trade": { "U": { "user_id": "U", "trading_day": "20250718", "trade_more_data": false,
                              "accounts": { "CNY": money }, "positions": {}, "orders": {}, "trades": {} } } })
}

impl TdServer {
    /// Answers each frame of a client by a script.
    ///
    /// # Panics
    /// If this machine gives no port.
    pub fn start(script: impl Fn(u64, &Value) -> Vec<String> + Send + Sync + 'static) -> Self {
        Self::run(None, Box::new(script))
    }

    /// Refuses every connection.
    ///
    /// # Panics
    /// If this machine gives no port.
    pub fn refusing(status: u16) -> Self {
        Self::run(Some(status), Box::new(|_, _| Vec::new()))
    }

    #[expect(clippy::expect_used, reason = "a test without its server fails")]
    fn run(status: Option<u16>, script: Box<Script>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (frames, lines, sent) = (Mutex::default(), AtomicU64::new(0), AtomicU64::new(0));
        let room = Arc::new(Room { script, frames, lines, sent, status });
        let of_task = room.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let room = of_task.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| open(request, room.clone()));
                    let http = hyper::server::conn::http1::Builder::new();
                    // A client that goes away is no failure of the test.
                    let _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
                });
            }
        });
        Self { address, room, runtime: Some(runtime) }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("ws://{}/td", self.address)
    }

    /// Frames of clients, in order.
    pub fn frames(&self) -> Vec<Value> {
        self.room.frames.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections that were taken.
    pub fn lines(&self) -> u64 {
        self.room.lines.load(Ordering::SeqCst)
    }

    /// Frames that left for clients.
    pub fn sent(&self) -> u64 {
        self.room.sent.load(Ordering::SeqCst)
    }
}

impl Drop for TdServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

async fn open(mut request: Request<Incoming>, room: Arc<Room>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let reply = |status: u16| {
        let mut response = Response::new(Empty::new());
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response
    };
    if let Some(status) = room.status {
        return Ok(reply(status));
    }
    let options = Options::default().with_limits(64 << 20, 64 << 20).without_compression();
    let Ok((response, upgrade)) = WebSocket::upgrade_with_options(&mut request, options) else { return Ok(reply(400)) };
    room.lines.fetch_add(1, Ordering::SeqCst);
    tokio::spawn(async move {
        let Ok(mut socket) = upgrade.await else { return };
        let mut number = 0;
        while let Ok(frame) = socket.next_frame().await {
            if frame.opcode() != OpCode::Text {
                continue;
            }
            let Ok(frame) = serde_json::from_slice::<Value>(frame.payload()) else { return };
            number += 1;
            room.frames.lock().unwrap_or_else(PoisonError::into_inner).push(frame.clone());
            for text in (room.script)(number, &frame) {
                if socket.send(Frame::text(text)).await.is_err() {
                    return;
                }
                room.sent.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    Ok(response.map(|_empty| Empty::new()))
}
