//! One websocket on a thread of its own: it answers pings whatever its owner does, and notices a peer that is silent.

use super::secret::Secret;
use futures_util::SinkExt as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use yawc::{Frame, HttpRequest, OpCode, Options, WebSocket, WebSocketError};

/// Largest message that is taken, bytes: a transaction of 10,000 rows and more.
const LARGEST_MESSAGE: usize = 256 << 20;

/// How a websocket is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketOptions {
    /// Offers permessage-deflate; a server may decline it.
    pub deflate: bool,
    /// Bound of connecting and of a write.
    pub patience: Duration,
    /// Pause between two pings.
    pub ping: Duration,
    /// Silence behind which the peer counts as dead; pongs are no silence.
    pub silence: Duration,
}

impl Default for SocketOptions {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self { deflate: true, patience: s(30), ping: s(10), silence: s(25) }
    }
}

/// What a websocket reports.
#[derive(Debug)]
pub(crate) enum SocketEvent {
    Open,
    Text(String),
    /// The last event; `refused` if the server does not take the token.
    Closed {
        why: String,
        refused: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Socket {
    out: UnboundedSender<String>,
    events: Receiver<SocketEvent>,
}

impl Socket {
    /// Begins to connect; [`SocketEvent::Open`] or `Closed` says what became of it.
    pub(crate) fn open(url: &str, bearer: &Secret, options: SocketOptions) -> std::io::Result<Self> {
        let (out, messages) = unbounded_channel();
        let (tell, events) = channel();
        let (url, bearer) = (url.to_owned(), bearer.clone());
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let closed = match runtime {
                Ok(runtime) => runtime.block_on(keep(&url, &bearer, options, messages, &tell)),
                Err(e) => Closed::by(format!("no runtime: {e}")),
            };
            // Nobody listens any more if the owner has dropped the socket.
            let _ = tell.send(SocketEvent::Closed { why: closed.why, refused: closed.refused });
        };
        // Nobody waits for the thread: it ends by itself when its owner is gone.
        std::thread::Builder::new().name("diff-socket".to_owned()).spawn(run)?;
        Ok(Self { out, events })
    }

    pub(crate) fn send(&self, text: String) {
        // A closed socket says so by its own event.
        let _ = self.out.send(text);
    }

    /// The next event, `None` behind a wait without one.
    pub(crate) fn next(&self, wait: Duration) -> Option<SocketEvent> {
        match self.events.recv_timeout(wait) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                Some(SocketEvent::Closed { why: "the connection has ended".to_owned(), refused: false })
            }
        }
    }
}

struct Closed {
    why: String,
    refused: bool,
}

impl Closed {
    fn by(why: String) -> Self {
        Self { why, refused: false }
    }
}

async fn keep(
    url: &str,
    bearer: &Secret,
    options: SocketOptions,
    mut messages: UnboundedReceiver<String>,
    tell: &Sender<SocketEvent>,
) -> Closed {
    let Ok(address) = url.parse() else { return Closed::by("the address cannot be read".to_owned()) };
    let limits = Options::default().with_limits(LARGEST_MESSAGE, LARGEST_MESSAGE).with_no_delay().with_utf8();
    let limits = if options.deflate { limits.with_balanced_compression() } else { limits.without_compression() };
    let request = HttpRequest::builder()
        .header("Authorization", format!("Bearer {}", bearer.expose()))
        .header("User-Agent", super::USER_AGENT);
    let connecting = WebSocket::connect(address).with_options(limits).with_request(request);
    let mut socket = tokio::select! {
        connected = tokio::time::timeout(options.patience, connecting) => match connected {
            Ok(Ok(socket)) => socket,
            Ok(Err(WebSocketError::InvalidStatusCode(status @ (401 | 403)))) => {
                return Closed { why: format!("the line refuses the token (status {status})"), refused: true };
            }
            Ok(Err(e)) => return Closed::by(e.to_string()),
            Err(_) => return Closed::by(format!("no connection within {} s", options.patience.as_secs())),
        },
        // The owner has dropped the socket before it was one; there is nothing to send yet otherwise.
        () = abandoned(&messages) => return Closed::by("given up".to_owned()),
    };
    if tell.send(SocketEvent::Open).is_err() {
        return Closed::by("given up".to_owned());
    }
    let mut heard = Instant::now();
    let mut pings = tokio::time::interval(options.ping);
    pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let frame = tokio::select! {
            frame = socket.next_frame() => match frame {
                Ok(frame) => {
                    heard = Instant::now();
                    match frame.opcode() {
                        OpCode::Text => {
                            // The library has checked that it is UTF-8.
                            let text = String::from_utf8_lossy(frame.payload()).into_owned();
                            if tell.send(SocketEvent::Text(text)).is_err() {
                                return Closed::by("given up".to_owned());
                            }
                        }
                        OpCode::Binary => return Closed::by("a binary message, which DIFF does not know".to_owned()),
                        OpCode::Close => return Closed::by("closed by the server".to_owned()),
                        _ => {}
                    }
                    continue;
                }
                Err(e) => return Closed::by(e.to_string()),
            },
            message = messages.recv() => match message {
                Some(text) => Frame::text(text),
                None => {
                    let _ = tokio::time::timeout(Duration::from_secs(1), socket.close()).await;
                    return Closed::by("closed by this program".to_owned());
                }
            },
            _ = pings.tick() => {
                if heard.elapsed() >= options.silence {
                    return Closed::by(format!("silent for {} s, pings unanswered", options.silence.as_secs_f64()));
                }
                Frame::ping("")
            }
        };
        match tokio::time::timeout(options.patience, socket.send(frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Closed::by(e.to_string()),
            Err(_) => return Closed::by(format!("nothing can be sent within {} s", options.patience.as_secs())),
        }
    }
}

/// Ends when the owner is gone.
async fn abandoned(messages: &UnboundedReceiver<String>) {
    while !(messages.is_closed() || messages.sender_strong_count() == 0) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
