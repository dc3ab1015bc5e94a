//! A trading line that is really there: websocket and state machine together. Blocking. A line that ends is made again
//! behind a growing pause; a login that is refused is not tried again.

use super::error::TradeError;
use super::line::{TradeEvent, TradeLimits, TradeLine, TradeLogin};
use crate::diff::auth::{Login, checked_url, host_of};
use crate::diff::client::chance;
use crate::diff::retry::RetryPolicy;
use crate::diff::socket::{NoConnection, Socket, SocketEvent, SocketOptions};
use crate::diff::{Secret, SourceError};
use std::time::{Duration, Instant};

/// Bounds of a trading line.
#[derive(Debug, Clone, Copy)]
pub struct TradeOptions {
    /// Time limits of the protocol.
    pub limits: TradeLimits,
    /// How the websocket is kept.
    pub socket: SocketOptions,
    /// Pauses between connections: the first and the longest; it doubles, and takes up to half of itself away by chance.
    pub pauses: (Duration, Duration),
}

impl Default for TradeOptions {
    fn default() -> Self {
        let s = Duration::from_secs;
        let socket = SocketOptions { patience: s(10), ..SocketOptions::default() };
        Self { limits: TradeLimits::default(), socket, pauses: (s(1), s(30)) }
    }
}

/// A client of one trading line. It looks and does not touch: what sends orders is a [`Trader`](super::Trader).
#[derive(Debug)]
pub struct TradeClient {
    /// Gets the token that a vendor's line asks for; none for a gateway of one's own.
    access: Option<Login>,
    url: String,
    options: TradeOptions,
    line: TradeLine,
    socket: Option<Socket>,
    started: Instant,
    opened: u64,
    /// Connections in a row that did not get to a login.
    tries: u32,
    next_try: Duration,
    refused: Option<(i64, String)>,
    /// What a login that failed has seen, for the next turn to tell.
    untold: Vec<TradeEvent>,
}

impl TradeClient {
    /// A client that is not connected yet; its first turn connects.
    ///
    /// # Errors
    /// `BadUrl`.
    pub fn new(
        url: &str,
        access: Option<Login>,
        login: TradeLogin,
        options: TradeOptions,
    ) -> Result<Self, SourceError> {
        let url = checked_url("the trading line", url, &["ws", "wss"])?;
        Ok(Self {
            access,
            url,
            options,
            line: TradeLine::new(login, options.limits),
            socket: None,
            started: Instant::now(),
            opened: 0,
            tries: 0,
            next_try: Duration::ZERO,
            refused: None,
            untold: Vec::new(),
        })
    }

    /// Time since the client was made: the clock of the state machine.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Scheme and host of the line.
    pub fn host(&self) -> String {
        host_of(&self.url)
    }

    /// The account, masked.
    pub fn user(&self) -> String {
        masked(&self.line.login().user)
    }

    /// How often a connection was made.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// What is known of the account.
    pub fn line(&self) -> &TradeLine {
        &self.line
    }

    pub(super) fn line_mut(&mut self) -> &mut TradeLine {
        &mut self.line
    }

    /// Sends what is to be sent, asks for more, and waits for the next transaction, at most `wait`; connects where there is
    /// no connection. The transaction before is used up by then: a slow owner is not flooded.
    ///
    /// A turn that connects may take longer than `wait`: as long as the handshake, and the token's service, may take.
    ///
    /// # Errors
    /// `LoginRefused`, and every time again from then on; of `Source` what another try does not mend.
    pub fn turn(&mut self, wait: Duration) -> Result<Vec<TradeEvent>, TradeError> {
        let came = self.step(wait)?;
        let mut events = std::mem::take(&mut self.untold);
        events.extend(came);
        Ok(events)
    }

    /// A turn that tells only what is new, and acts on it.
    fn step(&mut self, wait: Duration) -> Result<Vec<TradeEvent>, TradeError> {
        if let Some((code, text)) = &self.refused {
            return Err(self.refusal(*code, text));
        }
        let until = Instant::now() + wait;
        if self.socket.is_some() || self.connect(wait)? {
            self.take(until);
        }
        let mut events: Vec<TradeEvent> = std::iter::from_fn(|| self.line.take_event()).collect();
        for event in &events {
            match event {
                TradeEvent::LoggedIn => self.tries = 0,
                TradeEvent::LoginRefused { code, text } => {
                    self.refused = Some((*code, text.clone()));
                    self.drop_socket();
                }
                TradeEvent::LoginLate => {
                    self.cut(format!("the account was not told within {} s", self.options.limits.login.as_secs_f64()));
                }
                _ => {}
            }
        }
        // What acting on them has brought about is of this turn too: the next login is not to be judged by it.
        events.extend(std::iter::from_fn(|| self.line.take_event()));
        Ok(events)
    }

    /// Turns until the picture of the account is complete, at most `limit`; gives what happened meanwhile.
    ///
    /// # Errors
    /// `LoginRefused`, `LoginLate`, and `Source` where no connection could be made or it was cut before. What happened
    /// until then is told by the next turn.
    pub fn log_in(&mut self, limit: Duration) -> Result<Vec<TradeEvent>, TradeError> {
        let (until, mut events) = (Instant::now() + limit, Vec::new());
        let failure = loop {
            if self.line.is_logged_in() {
                let mut all = std::mem::take(&mut self.untold);
                all.extend(events);
                return Ok(all);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break self.late(limit, &events);
            }
            let seen = events.len();
            match self.step(left.min(Duration::from_millis(100))) {
                Ok(came) => events.extend(came),
                Err(e) => break e,
            }
            let ended = events[seen..].iter().find_map(|event| match event {
                TradeEvent::LoginRefused { code, text } => Some(self.refusal(*code, text)),
                TradeEvent::LoginLate => Some(self.late(self.options.limits.login, &events)),
                TradeEvent::Cut { why, .. } => {
                    Some(SourceError::Unavailable { host: self.host(), why: why.clone() }.into())
                }
                _ => None,
            });
            if let Some(ended) = ended {
                break ended;
            }
        };
        self.untold.extend(events);
        Err(failure)
    }

    fn refusal(&self, code: i64, text: &str) -> TradeError {
        TradeError::LoginRefused { host: self.host(), user: self.user(), code, text: text.to_owned() }
    }

    fn late(&self, limit: Duration, events: &[TradeEvent]) -> TradeError {
        let said = |e: &TradeEvent| match e {
            TradeEvent::Notice { code, text, .. } => Some(format!("{text} (code {code})")),
            _ => None,
        };
        let said = events.iter().filter_map(said).collect::<Vec<_>>().join("; ");
        TradeError::LoginLate { host: self.host(), user: self.user(), limit_s: limit.as_secs_f64(), said }
    }

    /// Ends the connection; the next turn makes another, also behind a refusal: somebody has mended its cause.
    pub fn reconnect(&mut self) {
        self.drop_socket();
        self.refused = None;
        self.next_try = self.now();
    }

    fn drop_socket(&mut self) {
        self.socket = None;
        self.line.closed();
    }

    /// Makes a connection once its time has come. False if there is none yet.
    fn connect(&mut self, wait: Duration) -> Result<bool, TradeError> {
        let pause = self.next_try.saturating_sub(self.now());
        std::thread::sleep(pause.min(wait));
        if pause > wait {
            return Ok(false);
        }
        let made = match &mut self.access {
            Some(login) => {
                let url = self.url.clone();
                login.connect(self.options.socket, move |_: &mut Login, _: &Secret| Ok(url.clone())).map(|(s, _)| s)
            }
            None => Socket::connect(&self.url, None, self.options.socket).map_err(|e| match e {
                NoConnection::Unavailable(why) => SourceError::Unavailable { host: host_of(&self.url), why },
                NoConnection::Refused(message) => {
                    let (host, user) = (host_of(&self.url), masked(&self.line.login().user));
                    SourceError::Refused { host, user, message }
                }
            }),
        };
        match made {
            Ok(socket) => {
                self.socket = Some(socket);
                self.opened += 1;
                let now = self.now();
                self.line.opened(now);
                Ok(true)
            }
            Err(e @ (SourceError::Unavailable { .. } | SourceError::Timeout { .. })) => {
                self.cut(match e {
                    SourceError::Unavailable { why, .. } => why,
                    other => other.to_string(),
                });
                Ok(false)
            }
            Err(e) => Err(e.into()),
        }
    }

    fn cut(&mut self, why: String) {
        self.drop_socket();
        self.tries += 1;
        let (first_wait, longest_wait) = self.options.pauses;
        let policy = RetryPolicy { first_wait, longest_wait, ..RetryPolicy::default() };
        let retry_in = policy.backoff(self.tries, chance());
        self.next_try = self.now() + retry_in;
        tracing::warn!(host = %self.host(), %why, retry_in_ms = retry_in.as_millis() as u64, "the trading line is cut");
        self.line.push_event(TradeEvent::Cut { why, retry_in });
    }

    /// Lets the line know what time it is; false if its connection has ended, which the next turn tells.
    pub(super) fn catch_up(&mut self) -> bool {
        let now = self.now();
        self.line.tick(now);
        self.socket.as_ref().is_some_and(|socket| !socket.has_ended())
    }

    /// Has everything that waits sent.
    pub(super) fn flush(&mut self) {
        while let Some(frame) = self.line.take_frame() {
            self.send(frame);
        }
    }

    /// Sends a frame, or drops it where there is no connection.
    pub(super) fn send(&mut self, frame: String) {
        if let Some(socket) = &self.socket {
            socket.send(frame);
        }
    }

    fn take(&mut self, until: Instant) {
        self.line.peek();
        self.flush();
        loop {
            let Some(socket) = &self.socket else { return };
            let event = socket.next(until.saturating_duration_since(Instant::now()));
            let now = self.now();
            match event {
                Some(SocketEvent::Open) => continue,
                None => {}
                Some(SocketEvent::Text(text)) => {
                    if let Err(error) = self.line.receive(&text, now) {
                        return self.cut(format!("a frame that cannot be read: {error}"));
                    }
                }
                Some(SocketEvent::Closed { why, .. }) => return self.cut(why),
            }
            self.line.tick(now);
            if self.line.wants_look(now) {
                // An account is told whole behind a login and at no other time.
                tracing::info!(host = %self.host(), "an order is unknown; the account is asked for again");
                self.drop_socket();
                self.next_try = now;
                return;
            }
            return self.flush();
        }
    }
}

/// An account's number as it is shown: from six characters on, the first two and the last two.
pub fn masked(user: &str) -> String {
    let chars: Vec<char> = user.chars().collect();
    if chars.len() < 6 {
        return user.to_owned();
    }
    let of = |part: &[char]| part.iter().collect::<String>();
    format!("{}***{}", of(&chars[..2]), of(&chars[chars.len() - 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-27
    #[test]
    fn a_number_is_masked() {
        for (user, shown) in [
            ("", ""),
            ("12345", "12345"),
            ("123456", "12***56"),
            ("1234567889", "12***89"),
            ("铜锌铝镍锡铅", "铜锌***锡铅"),
        ] {
            assert_eq!(masked(user), shown);
        }
    }
}
