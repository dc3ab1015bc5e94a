//! A market-data line that is really there: login, websocket and state machine together. Blocking; it reconnects when
//! its owner says so, because only the owner knows whether to wait, to go on elsewhere or to give up.

use super::auth::Login;
use super::error::SourceError;
use super::line::{LineEvent, LineLimits, MarketLine};
use super::socket::{Socket, SocketEvent, SocketOptions};
use super::{Instrument, read_instruments};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Bounds of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientOptions {
    /// Time limits of the protocol.
    pub limits: LineLimits,
    /// How the websocket is kept.
    pub socket: SocketOptions,
}

/// What a turn brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Nothing but time.
    Idle,
    /// A transaction was applied.
    Data,
    /// The connection is gone, by the words given; [`MarketClient::open`] makes another.
    Closed(String),
}

/// A client of one market-data line.
#[derive(Debug)]
pub struct MarketClient {
    login: Login,
    options: ClientOptions,
    line: MarketLine,
    socket: Option<Socket>,
    started: Instant,
    host: String,
    opened: u64,
    /// Events that came while an answer was waited for; their owner has not had them.
    kept: Vec<LineEvent>,
}

impl MarketClient {
    /// A client that is not connected yet.
    pub fn new(login: Login, options: ClientOptions) -> Self {
        Self {
            login,
            options,
            line: MarketLine::new(options.limits),
            socket: None,
            started: Instant::now(),
            host: "the market-data line".to_owned(),
            opened: 0,
            kept: Vec::new(),
        }
    }

    /// Time since the client was made: the clock of the state machine.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Scheme and host of the line.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Who is logged in.
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// How often the line was opened.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// A connection is there, as far as is known.
    pub fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    /// The state machine: what is asked for here is sent by the next turn.
    pub fn line(&mut self) -> &mut MarketLine {
        &mut self.line
    }

    /// Makes a connection in the place of the one there may be, logging in as far as need be, and asks again for
    /// everything that the line wants.
    ///
    /// # Errors
    /// `Refused` if the login is refused, a second time with a new token; `Unavailable`, `Timeout`, `BadUrl`, `WrongClock`.
    pub fn open(&mut self) -> Result<(), SourceError> {
        self.close();
        let (socket, host) = self.login.connect(self.options.socket, Login::market_url)?;
        (self.socket, self.host) = (Some(socket), host);
        self.opened += 1;
        let now = self.now();
        self.line.opened(now);
        self.flush();
        Ok(())
    }

    /// Ends the connection.
    pub fn close(&mut self) {
        self.socket = None;
        self.kept.clear();
        self.line.closed();
    }

    fn flush(&mut self) {
        while let Some(frame) = self.line.take_frame() {
            if let Some(socket) = &self.socket {
                socket.send(frame);
            }
        }
    }

    /// Sends what is to be sent, asks for more, and waits for the next transaction, at most `wait`.
    ///
    /// The transaction before is used up by then: this is what keeps a slow owner from being flooded.
    pub fn turn(&mut self, wait: Duration) -> Turn {
        let until = Instant::now() + wait;
        self.line.peek();
        self.flush();
        loop {
            let Some(socket) = &self.socket else { return Turn::Closed("there is no connection".to_owned()) };
            let left = until.saturating_duration_since(Instant::now());
            let event = socket.next(left);
            let now = self.now();
            match event {
                None => {
                    self.line.tick(now);
                    self.flush();
                    return Turn::Idle;
                }
                Some(SocketEvent::Open) => {}
                Some(SocketEvent::Text(text)) => {
                    let before = self.line.document().transactions();
                    if let Err(error) = self.line.receive(&text, now) {
                        tracing::warn!(host = %self.host, %error, "a frame that cannot be read; the line is closed");
                        self.close();
                        return Turn::Closed(error.to_string());
                    }
                    self.line.tick(now);
                    self.flush();
                    if self.line.document().transactions() != before {
                        return Turn::Data;
                    }
                }
                Some(SocketEvent::Closed { why, .. }) => {
                    self.close();
                    return Turn::Closed(why);
                }
            }
        }
    }

    /// The events since the last call.
    pub fn events(&mut self) -> Vec<LineEvent> {
        let mut events = std::mem::take(&mut self.kept);
        events.extend(std::iter::from_fn(|| self.line.take_event()));
        events
    }

    /// The vendor's table of main contracts at an address: a JSON object by product. Needs no line.
    ///
    /// # Errors
    /// `BadUrl`, `Refused`, `Unavailable`, `Timeout`, `WrongClock`.
    pub fn main_contracts(&mut self, url: &str) -> Result<String, SourceError> {
        self.login.main_contracts(url)
    }

    /// Asks about instruments and waits for the answer.
    ///
    /// # Errors
    /// `UnknownSymbol` with the server's refusal, `Timeout`, `Unavailable` when the line ends before.
    pub fn instruments(&mut self, query: String, subject: &str) -> Result<Vec<Instrument>, SourceError> {
        let now = self.now();
        let asked = self.line.query(query, now);
        loop {
            let turn = self.turn(Duration::from_millis(200));
            while let Some(event) = self.line.take_event() {
                match event {
                    LineEvent::Answer { id, result } if id == asked => {
                        let host = self.host.clone();
                        return result.map(|r: Value| read_instruments(&r)).map_err(|message| {
                            SourceError::UnknownSymbol { host, symbol: subject.to_owned(), message }
                        });
                    }
                    LineEvent::NoAnswer { id } if id == asked => {
                        return Err(SourceError::Timeout {
                            host: self.host.clone(),
                            what: format!("the instruments of {subject}"),
                            limit_s: self.options.limits.query.as_secs(),
                        });
                    }
                    other => self.kept.push(other),
                }
            }
            if let Turn::Closed(why) = turn {
                self.line.forget_query(&asked);
                return Err(SourceError::Unavailable { host: self.host.clone(), why });
            }
        }
    }
}

/// A number in 0..1 by chance, for jitter.
pub fn chance() -> f64 {
    // Without randomness clients only lose their jitter.
    getrandom::u32().map_or(0.0, |n| f64::from(n) / f64::from(u32::MAX))
}
