//! The trading line against servers that are really there: `ghtrader sim serve`, connections that a test cuts, and a
//! server that says what a good one never says. `DC-…` is the row of the client's checklist that a test proves; what needs
//! no connection is proved in `host/market/src/diff/trade`.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod account;
mod killed;
mod lost;
mod orders;
mod servers;

use ghtrader_market::diff::trade::{
    Blocked, CancelError, Direction, InsertError, Life, NewOrder, Offset, OrderId, OrderRefusal, OrderState, OwnOrder,
    SideLots, TradeClient, TradeError, TradeEvent, TradeLimits, TradeLogin, TradeOptions, Trader, unresolved_orders,
};
use ghtrader_market::diff::{Secret, SocketOptions, SourceError};
use ghtrader_tests::cable::Cable;
use ghtrader_tests::sim_server::SimServer;
use ghtrader_tests::td_server::{TdServer, picture, transaction};
use ghtrader_tests::{Program, Ticks, write};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const S: &str = "SHFE.cu2509";
const PASSWORD: &str = "p4ss-0f-tr4der";
const BRIEF: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(30);
/// The best ask and bid of [`market`].
const ASK: f64 = 78_000.0;
const BID: f64 = 77_990.0;

#[expect(clippy::disallowed_methods, reason = "a journal tells when")]
fn wall_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64)
}

/// A steady book of five lots a level in which nobody else trades: the end of a trading day, and the night session that
/// begins the next one.
fn market(dir: &Path, rows_a_day: usize) -> PathBuf {
    let mut ticks = Ticks::new(S, 2 * rows_a_day);
    for row in 0..2 * rows_a_day {
        for (field, value) in [("last_price", 77_990), ("volume", 10), ("amount", 10 * 5 * 77_990)] {
            ticks.set(row, field, &value.to_string());
        }
        for level in 1..=5 {
            ticks.set(row, &format!("bid_price{level}"), &(78_000 - 10 * level).to_string());
            ticks.set(row, &format!("ask_price{level}"), &(77_990 + 10 * level).to_string());
            ticks.set(row, &format!("bid_volume{level}"), "5").set(row, &format!("ask_volume{level}"), "5");
        }
        // No time of a session passes without rows between both days.
        let of_day = (row % rows_a_day) as i64;
        let first_ms = if row < rows_a_day { 15 * 3_600_000 - 500 * rows_a_day as i64 } else { 21 * 3_600_000 };
        ticks.at(row, first_ms + 500 * of_day);
    }
    ticks.write(dir)
}

/// The simulated broker, with one account that has a password.
struct World {
    dir: tempfile::TempDir,
    server: SimServer,
    tape: PathBuf,
    flags: Vec<String>,
}

impl World {
    fn new(rows_a_day: usize, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let tape = market(dir.path(), rows_a_day);
        let accounts = dir.path().join("accounts.toml");
        let one = |user: &str| format!("[[account]]\nuser = '{user}'\npassword = '{PASSWORD}'\n");
        write(&accounts, one("1234567889") + &one("other"));
        let mut all = vec!["--accounts".to_owned(), accounts.display().to_string()];
        all.extend(flags.iter().map(|f| (*f).to_owned()));
        let server = serve(dir.path(), &tape, "127.0.0.1:0", &all);
        Self { dir, server, tape, flags: all }
    }

    fn url(&self) -> String {
        self.server.url("td")
    }

    fn journal(&self) -> PathBuf {
        self.dir.path().join("runs/trading/account=default/journal.log")
    }

    fn trader(&self) -> Trader {
        self.trader_at(&self.url())
    }

    fn trader_at(&self, url: &str) -> Trader {
        trader(&self.journal(), url).expect("a trader")
    }

    /// Another of the same kind on the same port: its accounts know nothing.
    fn serve_again(&mut self) {
        let url = self.url();
        let listen = url.trim_start_matches("ws://").trim_end_matches("/td");
        let again = serve(self.dir.path(), &self.tape, listen, &self.flags);
        self.server = again;
    }

    /// Everything that the broker knows of the account.
    fn broker(&self) -> ghtrader_market::diff::trade::AccountPicture {
        let mut client = TradeClient::new(&self.url(), None, login(), options()).expect("an address");
        client.log_in(LONG).expect("a login");
        client.line().picture().expect("a picture")
    }
}

fn serve(dir: &Path, tape: &Path, listen: &str, flags: &[String]) -> SimServer {
    let mut all = vec!["--listen", listen];
    all.extend(flags.iter().map(String::as_str));
    SimServer::start(dir, &[tape.to_path_buf()], &all)
}

fn login() -> TradeLogin {
    TradeLogin {
        broker: "sim".to_owned(),
        user: "1234567889".to_owned(),
        password: Secret::new(PASSWORD),
        confirms_settlement: true,
    }
}

/// Short limits: what they bound comes at once on this machine, or never.
fn options() -> TradeOptions {
    let ms = Duration::from_millis;
    TradeOptions {
        limits: TradeLimits { login: LONG, answer: Duration::from_secs(5), second_look: ms(200) },
        socket: SocketOptions { patience: Duration::from_secs(10), ..SocketOptions::default() },
        pauses: (ms(20), ms(200)),
    }
}

fn trader(journal: &Path, url: &str) -> Result<Trader, TradeError> {
    Trader::open(journal, url, None, login(), options(), wall_ns)
}

fn order(direction: Direction, offset: Offset, lots: u32, price: f64) -> NewOrder {
    NewOrder::limit(S.parse().expect("a contract"), direction, offset, lots, price).expect("an order")
}

fn buy(lots: u32, price: f64) -> NewOrder {
    order(Direction::Buy, Offset::Open, lots, price)
}

/// Turns until something holds; gives what happened until then.
fn until(trader: &mut Trader, what: &str, done: impl Fn(&Trader) -> bool) -> Vec<TradeEvent> {
    let (patience, mut events) = (Instant::now() + LONG, Vec::new());
    while !done(trader) {
        assert!(Instant::now() < patience, "no {what} behind {events:?}");
        events.extend(trader.turn(BRIEF).expect("a turn"));
    }
    events
}

fn ready(trader: &mut Trader) -> Vec<TradeEvent> {
    until(trader, "desk", |t| t.line().blocked().is_none())
}

fn insert(trader: &mut Trader, order: NewOrder) -> OrderId {
    trader.desk().expect("a desk").insert(order).expect("an order that may be sent")
}

fn state(trader: &Trader, id: &OrderId) -> OrderState {
    trader.own_order(id).expect("an order of ours").state
}

fn reaches(trader: &mut Trader, id: &OrderId, wanted: OrderState) -> Vec<TradeEvent> {
    until(trader, wanted.as_str(), |t| state(t, id) == wanted)
}

/// States of an order in the order in which they were told.
fn told(events: &[TradeEvent], id: &OrderId) -> Vec<OrderState> {
    let of = |e: &TradeEvent| match e {
        TradeEvent::Own(o) if o.order_id == *id => Some(o.state),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

fn long(trader: &Trader) -> SideLots {
    trader.line().positions().get(S).copied().unwrap_or_default().long
}
