//! The server as a process: bound, loaded, announced, ended in order.

use crate::accounts::Accounts;
use crate::clock::{self, Speed};
use crate::floor::Floor;
use crate::http::{App, Seat, routes};
use crate::hub::Hub;
use crate::load::{Source, load};
use crate::pace::Pace;
use crate::tape::Tape;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use ghtrader_core::{Calendar, ContractTable, ErrorClass, ExchangeTimeNs, NS_PER_S, Problem, TradingDay};
use ghtrader_exchange::{FillModel, MatchConfig, TakerBook};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 4_096;
/// For the head of a request.
const HEAD: Duration = Duration::from_secs(10);
/// For lines to take leave.
const GRACE: Duration = Duration::from_secs(3);

/// Where the market's clock stands at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The first book of two sides in continuous trading.
    Open,
    /// Behind the last row: all is history.
    End,
    /// A time, Shanghai.
    At(ExchangeTimeNs),
}

impl FromStr for Start {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let bad = || {
            Problem::new(
                "bad_start",
                ErrorClass::User,
                format!("the start `{text}` is no time"),
                "give open, end, or a time such as 2025-07-18T09:30:00, Shanghai",
            )
        };
        match text {
            "open" => return Ok(Self::Open),
            "end" => return Ok(Self::End),
            _ => {}
        }
        let (date, time) = text.split_once(['T', ' ']).ok_or_else(bad)?;
        let date: TradingDay = date.parse().map_err(|_| bad())?;
        let parts: Vec<i64> = time.split(':').map(|p| p.parse().map_err(|_| bad())).collect::<Result<_, _>>()?;
        match parts.as_slice() {
            [h @ 0..24, m @ 0..60, s @ 0..60] => {
                Ok(Self::At(ExchangeTimeNs::from_cst(date, (h * 3600 + m * 60 + s) * NS_PER_S)))
            }
            _ => Err(bad()),
        }
    }
}

/// What is served, and how.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Address and port; port 0 = any free one.
    pub listen: SocketAddr,
    /// The rows.
    pub source: Source,
    /// How fast the market runs.
    pub speed: Speed,
    /// Where it begins.
    pub start: Start,
    /// Who may trade; `None` = everybody, with 1,000,000 CNY.
    pub accounts: Option<PathBuf>,
    /// How orders fill.
    pub fills: FillModel,
    /// Daily price limit, a share of the last settlement.
    pub limit_rate: f64,
    /// How long the clock waits for one client at [`Speed::Max`].
    pub patience: Duration,
    /// Compress lines whose clients offer it.
    pub deflate: bool,
    /// Trading days and sessions.
    pub calendar: Calendar,
}

/// The server is ready: its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Login.
    pub auth: String,
    /// Market data.
    pub md: String,
    /// Trading.
    pub td: String,
    /// Closed days.
    pub holidays: String,
    /// Main contracts by day.
    pub contracts: String,
}

impl Ready {
    fn at(address: SocketAddr) -> Self {
        Self {
            auth: format!("http://{address}"),
            md: format!("ws://{address}/md"),
            td: format!("ws://{address}/td"),
            holidays: format!("http://{address}/holidays.json"),
            contracts: format!("http://{address}/contracts.json"),
        }
    }
}

/// Binds, loads and serves until SIGINT or SIGTERM.
///
/// # Errors
/// `address_in_use`, `address_unusable`, `out_of_bounds`, what loading gives, or an accounts file that cannot be used.
pub fn serve(config: &SimConfig, ready: impl FnOnce(Ready)) -> Result<(), Problem> {
    serve_until(config, ready, || {
        let [mut interrupt, mut terminate] = signals()?;
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    })
}

/// As [`serve`], until the future that `stop` gives is done. `stop` is called before anyone is told that the server is
/// ready.
///
/// # Errors
/// As [`serve`].
pub fn serve_until<S: Future<Output = ()>>(
    config: &SimConfig,
    ready: impl FnOnce(Ready),
    stop: impl FnOnce() -> Result<S, Problem>,
) -> Result<(), Problem> {
    if !(config.limit_rate > 0.0 && config.limit_rate < 1.0) {
        let what = format!("the price limit is {}, allowed is above 0 and below 1", config.limit_rate);
        return Err(Problem::new("out_of_bounds", ErrorClass::User, what, "give a share of the price, such as 0.1"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| {
        Problem::new("no_threads", ErrorClass::Internal, format!("no threads: {e}"), "raise the limit of processes")
    })?;
    // Bound before rows are read, which may take a while: a port that is taken is known at once.
    let listener = runtime.block_on(TcpListener::bind(config.listen)).map_err(|e| unusable(config.listen, &e))?;
    let address = listener.local_addr().map_err(|e| unusable(config.listen, &e))?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "anybody who reaches this address may trade on the simulated accounts");
    }
    let accounts = config.accounts.as_deref().map_or_else(|| Ok(Accounts::open()), Accounts::read)?;
    let table = ContractTable::builtin();
    let parts = load(&config.source, &config.calendar, table)?;
    let tape = Tape::new(parts, &config.calendar, table, config.limit_rate)?;
    let step = match config.start {
        Start::Open => tape.opening(),
        Start::End => tape.steps.len() - 1,
        Start::At(time) => tape.step_at(time.0),
    };
    // The clock stands on the time of a row, so an order meets the book that its sender sees.
    let matching = MatchConfig { taker_book: TakerBook::K, ..MatchConfig::new(config.fills) };
    let terms = accounts.terms.clone();
    let hub = Arc::new(Hub::new(
        tape,
        terms,
        Floor::new(matching, accounts, step),
        Pace::new(config.speed == Speed::Max, config.patience),
    ));
    let result = runtime.block_on(run(&hub, listener, address, config, ready, stop));
    runtime.shutdown_background();
    result
}

async fn run<S: Future<Output = ()>>(
    hub: &Arc<Hub>,
    listener: TcpListener,
    address: SocketAddr,
    config: &SimConfig,
    ready: impl FnOnce(Ready),
    stop: impl FnOnce() -> Result<S, Problem>,
) -> Result<(), Problem> {
    let stop = stop()?;
    let grants = Arc::new(Mutex::new(BTreeMap::new()));
    let router = routes(App { hub: hub.clone(), deflate: config.deflate, grants });
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    let accepting = tokio::spawn(accept(listener, router, seats.clone()));
    let ticking = {
        let (hub, speed) = (hub.clone(), config.speed);
        std::thread::Builder::new().name("clock".to_owned()).spawn(move || clock::run(&hub, speed))
    };
    let ticking = ticking.map_err(|e| {
        Problem::new("no_threads", ErrorClass::Internal, format!("no thread: {e}"), "raise the limit of processes")
    })?;
    ready(Ready::at(address));
    stop.await;
    accepting.abort();
    hub.end();
    let all = seats.acquire_many(CONNECTIONS as u32);
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!("some connections are cut");
    }
    // It looks at the end several times a second.
    let _ = tokio::task::spawn_blocking(move || ticking.join()).await;
    Ok(())
}

async fn accept(listener: TcpListener, router: Router, seats: Arc<Semaphore>) {
    loop {
        let Ok(seat) = seats.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(connection(stream, router, Seat::new(seat)));
            }
            // A client that left before it was accepted, or no file handles: neither ends the server.
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, seat: Seat) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(seat.clone());
        router.clone().oneshot(request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = serving.await {
        tracing::debug!(%error, "a connection broke off");
    }
}

fn signals() -> Result<[Signal; 2], Problem> {
    let listen = |kind| {
        signal(kind).map_err(|e| {
            let what = format!("signals cannot be listened to: {e}");
            Problem::new("no_signals", ErrorClass::Internal, what, "report this")
        })
    };
    Ok([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?])
}

fn unusable(address: SocketAddr, e: &io::Error) -> Problem {
    let what = format!("cannot listen on {address}: {e}");
    match e.kind() {
        io::ErrorKind::AddrInUse => Problem::new(
            "address_in_use",
            ErrorClass::Conflict,
            what,
            "choose another port with --listen; port 0 = any free one",
        ),
        _ => {
            Problem::new("address_unusable", ErrorClass::User, what, "choose an address of this machine with --listen")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts() {
        assert_eq!("open".parse::<Start>(), Ok(Start::Open));
        assert_eq!("end".parse::<Start>(), Ok(Start::End));
        let at = ExchangeTimeNs(1_752_802_200_000_000_000);
        assert_eq!("2025-07-18T09:30:00".parse::<Start>(), Ok(Start::At(at)));
        assert_eq!("2025-07-18 09:30:00".parse::<Start>(), Ok(Start::At(at)));
        for text in ["", "now", "2025-07-18", "2025-07-18T24:00:00", "2025-07-18T09:30", "2025-07-18T-9:30:00"] {
            assert_eq!(text.parse::<Start>().unwrap_err().code, "bad_start", "{text}");
        }
    }
}
