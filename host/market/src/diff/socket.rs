//! One websocket on a thread of its own: it answers pings whatever its owner does, and notices a peer that is silent.

use super::secret::Secret;
use futures_util::SinkExt as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use yawc::{Frame, HttpRequest, OpCode, Options, WebSocket, WebSocketError};

/// Largest message that is taken, bytes: a transaction of 10,000 rows and more.
const LARGEST_MESSAGE: usize = 256 << 20;

/// Messages that wait for their owner; behind them the socket is not read. A server that sends what it is asked for never
/// gets there.
const MOST_WAITING: usize = 64;
/// How often a socket with an owner that far behind looks whether there is room again.
const ROOM: Duration = Duration::from_millis(5);

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
    /// Dropped with the socket: what has not left this machine by then never will.
    _owner: oneshot::Sender<()>,
}

/// Why there is no connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoConnection {
    /// The server does not take the token, or the lack of one.
    Refused(String),
    Unavailable(String),
}

impl Socket {
    /// Connects, waiting for the handshake.
    pub(crate) fn connect(url: &str, bearer: Option<&Secret>, options: SocketOptions) -> Result<Self, NoConnection> {
        let socket = Self::open(url, bearer, options)
            .map_err(|e| NoConnection::Unavailable(format!("no thread for the connection: {e}")))?;
        match socket.next(options.patience + Duration::from_secs(1)) {
            Some(SocketEvent::Open) => Ok(socket),
            Some(SocketEvent::Closed { refused: true, why }) => Err(NoConnection::Refused(why)),
            Some(SocketEvent::Closed { why, .. }) => Err(NoConnection::Unavailable(why)),
            Some(SocketEvent::Text(_)) | None => Err(NoConnection::Unavailable("no handshake".to_owned())),
        }
    }

    /// Begins to connect; [`SocketEvent::Open`] or `Closed` says what became of it.
    fn open(url: &str, bearer: Option<&Secret>, options: SocketOptions) -> std::io::Result<Self> {
        let (out, messages) = unbounded_channel();
        let (tell, events) = sync_channel(MOST_WAITING);
        let (owner, end) = oneshot::channel();
        let (url, bearer) = (url.to_owned(), bearer.cloned());
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let closed = match runtime {
                Ok(runtime) => runtime.block_on(keep(&url, bearer.as_ref(), options, messages, end, &tell)),
                Err(e) => Closed::by(format!("no runtime: {e}")),
            };
            // Nobody listens any more if the owner has dropped the socket.
            let _ = tell.send(SocketEvent::Closed { why: closed.why, refused: closed.refused });
        };
        // Nobody waits for the thread: it ends by itself when its owner is gone.
        std::thread::Builder::new().name("diff-socket".to_owned()).spawn(run)?;
        Ok(Self { out, events, _owner: owner })
    }

    pub(crate) fn send(&self, text: String) {
        // A closed socket says so by its own event.
        let _ = self.out.send(text);
    }

    /// The connection is gone, whether its last event has been taken or not.
    pub(crate) fn has_ended(&self) -> bool {
        self.out.is_closed()
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
    bearer: Option<&Secret>,
    options: SocketOptions,
    mut messages: UnboundedReceiver<String>,
    mut end: oneshot::Receiver<()>,
    tell: &SyncSender<SocketEvent>,
) -> Closed {
    let Ok(address) = url.parse() else { return Closed::by("the address cannot be read".to_owned()) };
    let limits = Options::default().with_limits(LARGEST_MESSAGE, LARGEST_MESSAGE).with_no_delay().with_utf8();
    let limits = if options.deflate { limits.with_balanced_compression() } else { limits.without_compression() };
    let mut request = HttpRequest::builder().header("User-Agent", super::USER_AGENT);
    if let Some(bearer) = bearer {
        request = request.header("Authorization", format!("Bearer {}", bearer.expose()));
    }
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
        _ = &mut end => return Closed::by("given up".to_owned()),
    };
    if tell.send(SocketEvent::Open).is_err() {
        return Closed::by("given up".to_owned());
    }
    let mut heard = Instant::now();
    let mut pings = tokio::time::interval(options.ping);
    pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // A message for which the owner has no room yet.
    let mut held: Option<String> = None;
    loop {
        if let Some(text) = held.take() {
            match tell.try_send(SocketEvent::Text(text)) {
                Ok(()) => {}
                Err(TrySendError::Full(SocketEvent::Text(text))) => {
                    held = Some(text);
                    // Who does not listen cannot say that the other side is silent.
                    heard = Instant::now();
                }
                Err(_) => return Closed::by("given up".to_owned()),
            }
        }
        let frame = tokio::select! {
            biased;
            _ = &mut end => {
                let _ = tokio::time::timeout(Duration::from_secs(1), socket.close()).await;
                return Closed::by("closed by this program".to_owned());
            }
            message = messages.recv() => match message {
                Some(text) => Frame::text(text),
                None => return Closed::by("closed by this program".to_owned()),
            },
            _ = pings.tick() => {
                if heard.elapsed() >= options.silence {
                    return Closed::by(format!("silent for {} s, pings unanswered", options.silence.as_secs_f64()));
                }
                Frame::ping("")
            }
            () = tokio::time::sleep(ROOM), if held.is_some() => continue,
            frame = socket.next_frame(), if held.is_none() => match frame {
                Ok(frame) => {
                    heard = Instant::now();
                    match frame.opcode() {
                        // The library has checked that it is UTF-8.
                        OpCode::Text => held = Some(String::from_utf8_lossy(frame.payload()).into_owned()),
                        OpCode::Binary => return Closed::by("a binary message, which DIFF does not know".to_owned()),
                        OpCode::Close => return Closed::by("closed by the server".to_owned()),
                        _ => {}
                    }
                    continue;
                }
                Err(e) => return Closed::by(e.to_string()),
            },
        };
        // An owner who has gone wants nothing sent any more, not even the rest of a frame that does not get through.
        let sent = tokio::select! {
            biased;
            _ = &mut end => return Closed::by("given up".to_owned()),
            sent = tokio::time::timeout(options.patience, socket.send(frame)) => sent,
        };
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Closed::by(e.to_string()),
            Err(_) => return Closed::by(format!("nothing can be sent within {} s", options.patience.as_secs())),
        }
    }
}
