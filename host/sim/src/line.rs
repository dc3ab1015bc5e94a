//! One connection: requests come in, transactions go out when they are asked for.
//!
//! A line sends at most one frame a peek and keeps no queue: what it sends is made from what is known when it may send.
//! A client that reads slowly makes its own next frame larger, and nobody else's later.

use crate::hub::{Hub, News};
use futures_util::{FutureExt as _, SinkExt as _};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use yawc::close::CloseCode;
use yawc::frame::{Frame, OpCode};
use yawc::{HttpStream, WebSocket, WebSocketError};

/// A client that takes nothing for so long is gone.
const STALL: Duration = Duration::from_secs(60);
/// For the other side to answer a close.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a line is closed.
#[derive(Debug)]
pub(crate) struct Fault {
    code: CloseCode,
    reason: String,
}

impl Fault {
    /// A request that breaks the protocol.
    pub(crate) fn request(reason: impl Into<String>) -> Self {
        Self { code: CloseCode::Policy, reason: reason.into() }
    }

    fn frame(reason: impl Into<String>) -> Self {
        Self { code: CloseCode::Invalid, reason: reason.into() }
    }
}

/// What a line is for: market data or trading.
pub(crate) trait Session: Send {
    /// Sent before anything is asked for.
    fn greeting(&self) -> Option<Vec<u8>>;

    /// Takes a request; `aid` is not `peek_message`.
    ///
    /// # Errors
    /// The line is closed.
    fn request(&mut self, aid: &str, frame: &Map<String, Value>) -> Result<(), Fault>;

    /// All that is new, as one frame; none if nothing is.
    fn transaction(&mut self, news: News) -> Option<Vec<u8>>;

    /// The line waits for the market to move.
    fn follows(&self) -> bool;

    /// The line tells an account, which comes before the market.
    const LEADS: bool;
}

/// What ended a line.
enum End {
    /// The other side has gone.
    Gone,
    /// It broke the protocol of frames; the library says so.
    Broken(WebSocketError),
    /// It is told to go.
    Told(Fault),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Told(fault)
    }
}

/// Serves a line until either side ends it.
pub(crate) async fn run<S: Session>(mut ws: WebSocket<HttpStream>, mut session: S, hub: Arc<Hub>) {
    let line = hub.line();
    hub.pace.join(line, S::LEADS);
    let end = serve(&mut ws, &mut session, &hub, line).await;
    hub.pace.leave(line);
    match end {
        End::Gone => {}
        End::Broken(error) => {
            tracing::info!(line, %error, "a line broke the protocol and is closed");
            farewell(&mut ws, None).await;
        }
        End::Told(fault) => {
            tracing::info!(line, reason = fault.reason, "a line is closed");
            farewell(&mut ws, Some(fault)).await;
        }
    }
}

/// Says why, and lets the other side read it before the connection is cut.
async fn farewell(ws: &mut WebSocket<HttpStream>, fault: Option<Fault>) {
    let said = async {
        if let Some(fault) = fault {
            // A reason fits into a control frame.
            let reason: String = fault.reason.chars().scan(0, |n, c| (bytes(n, c) <= 120).then_some(c)).collect();
            ws.send(Frame::close(fault.code, reason)).await?;
        }
        while ws.next_frame().await.is_ok() {}
        Ok::<(), WebSocketError>(())
    };
    let _ = tokio::time::timeout(FAREWELL, said).await;
}

fn bytes(sum: &mut usize, c: char) -> usize {
    *sum += c.len_utf8();
    *sum
}

async fn serve<S: Session>(ws: &mut WebSocket<HttpStream>, session: &mut S, hub: &Hub, line: u64) -> End {
    let mut news = hub.listen();
    let mut ended = hub.ended();
    let mut turns = hub.pace.turns();
    if let Some(hello) = session.greeting()
        && let Err(end) = send(ws, hello).await
    {
        return end;
    }
    let mut peeked = false;
    loop {
        // All that has arrived comes before all that is new: an order is older than the next tick.
        while let Some(frame) = ws.next_frame().now_or_never() {
            if let Err(end) = take(ws, session, frame, &mut peeked).await {
                return end;
            }
        }
        let now = *news.borrow_and_update();
        turns.mark_unchanged();
        let held = peeked && !S::LEADS && !hub.pace.is_turn(now.count);
        if peeked && !held {
            match session.transaction(now) {
                Some(transaction) => {
                    peeked = false;
                    if let Err(end) = send(ws, transaction).await {
                        return end;
                    }
                    continue;
                }
                None => hub.pace.ready(line, now.count, session.follows()),
            }
        }
        tokio::select! {
            biased;
            () = until(&mut ended) => {
                return End::Told(Fault { code: CloseCode::Away, reason: "the server ends".to_owned() });
            }
            frame = ws.next_frame() => {
                if let Err(end) = take(ws, session, frame, &mut peeked).await {
                    return end;
                }
            }
            changed = news.changed(), if peeked => {
                if changed.is_err() {
                    return End::Gone;
                }
            }
            changed = turns.changed(), if held => {
                if changed.is_err() {
                    return End::Gone;
                }
            }
        }
    }
}

async fn until(ended: &mut watch::Receiver<bool>) {
    let _ = ended.wait_for(|e| *e).await;
}

async fn send(ws: &mut WebSocket<HttpStream>, text: Vec<u8>) -> Result<(), End> {
    match tokio::time::timeout(STALL, ws.send(Frame::text(text))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}

async fn take(
    ws: &mut WebSocket<HttpStream>,
    session: &mut impl Session,
    frame: Result<Frame, WebSocketError>,
    peeked: &mut bool,
) -> Result<(), End> {
    let frame = match frame {
        Ok(frame) => frame,
        Err(WebSocketError::ConnectionClosed | WebSocketError::IoError(_)) => return Err(End::Gone),
        Err(error) => return Err(End::Broken(error)),
    };
    match frame.opcode() {
        OpCode::Text => {}
        OpCode::Binary => {
            let reason = "binary frames are not understood".to_owned();
            return Err(Fault { code: CloseCode::Unsupported, reason }.into());
        }
        OpCode::Ping => {
            // The answer leaves before the next ping is read, so that pings cannot pile up.
            let flushed = tokio::time::timeout(STALL, ws.flush()).await;
            return if matches!(flushed, Ok(Ok(()))) { Ok(()) } else { Err(End::Gone) };
        }
        OpCode::Close => {
            let _ = tokio::time::timeout(FAREWELL, ws.flush()).await;
            return Err(End::Gone);
        }
        OpCode::Pong | OpCode::Continuation => return Ok(()),
    }
    let value: Value =
        serde_json::from_slice(frame.payload()).map_err(|e| Fault::frame(format!("a frame is no JSON: {e}")))?;
    let Value::Object(fields) = value else { return Err(Fault::frame("a frame is no JSON object").into()) };
    let Some(aid) = fields.get("aid").and_then(Value::as_str) else {
        return Err(Fault::frame("a frame has no `aid`").into());
    };
    if aid == "peek_message" {
        // A flag: asking twice brings nothing twice.
        *peeked = true;
        return Ok(());
    }
    session.request(aid, &fields)?;
    Ok(())
}
