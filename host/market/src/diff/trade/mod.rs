//! A trading line as a state machine without I/O: logging in, orders that are sent once, fills that count once.
//!
//! Nothing here decides to trade, and nothing here connects: it is the half of the protocol that a trading room needs.

mod account;

pub use account::{AccountSums, CloseOffset, Position, SideLots, SumAlert, check_sums, close_legs, read_positions};

use super::document::Document;
use super::frame::{FrameError, ServerFrame, parse_frame, peek_message};
use super::secret::Secret;
use super::value::{number, whole};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Behind this a login without an answer is an error.
const LOGIN_LIMIT: Duration = Duration::from_secs(20);
/// Notices that refuse a login, whatever their level.
const REFUSALS: [i64; 2] = [402, 403];

/// Who trades where.
#[derive(Debug, Clone)]
pub struct TradeLogin {
    /// The broker.
    pub broker: String,
    /// The account.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// Confirms the settlement report behind the login, as gateways to a real exchange ask for.
    pub confirms_settlement: bool,
}

/// One order as it is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOrder {
    /// The sender's own id, unique in the account for ever.
    pub order_id: String,
    /// Exchange, such as `SHFE`.
    pub exchange_id: String,
    /// Contract without the exchange, such as `cu2509`.
    pub instrument_id: String,
    /// `BUY` or `SELL`.
    pub direction: &'static str,
    /// `OPEN`, `CLOSE` or `CLOSETODAY`.
    pub offset: &'static str,
    /// Lots.
    pub volume: i64,
    /// CNY per quoted unit.
    pub limit_price: f64,
}

/// An order as it stands: it only ever gets nearer to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The sender's id.
    pub order_id: String,
    /// The exchange's; empty for an order that never got there.
    pub exchange_order_id: String,
    /// It has ended.
    pub finished: bool,
    /// Lots asked for.
    pub volume: i64,
    /// Lots that are not filled.
    pub volume_left: i64,
    /// The server's last word.
    pub last_msg: String,
}

/// One fill.
#[derive(Debug, Clone, PartialEq)]
pub struct Fill {
    /// Unique in the account.
    pub trade_id: String,
    /// The order's id.
    pub order_id: String,
    /// CNY per quoted unit.
    pub price: f64,
    /// Lots.
    pub volume: i64,
}

/// What happened on a trading line.
#[derive(Debug, Clone, PartialEq)]
pub enum TradeEvent {
    /// The login's picture of the account is complete.
    LoggedIn,
    /// The server refuses the login, by a notice.
    LoginRefused {
        /// The notice's code.
        code: i64,
        /// Its text.
        text: String,
    },
    /// The server has not answered the login.
    LoginLate,
    /// A notice of any other kind.
    Notice {
        /// `INFO`, `WARNING` or `ERROR`.
        level: String,
        /// Code; 0 if there is none.
        code: i64,
        /// Text.
        text: String,
    },
    /// An order is new or nearer to its end.
    Order(Order),
    /// A fill that has not been told before.
    Fill(Fill),
    /// An order was sent and the line was cut, and the server does not know the order. It may still be on its way: it
    /// is never sent again.
    Ambiguous(String),
}

/// Why an order is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    /// The id was used before.
    #[error("order id {0} was used before; an id is never sent twice")]
    Repeated(String),
    /// There is no line.
    #[error("the trading line is not logged in")]
    NotLoggedIn,
}

/// The state machine; see the module.
#[derive(Debug)]
pub struct TradeLine {
    login: TradeLogin,
    document: Document,
    open_since: Option<Duration>,
    logged_in: bool,
    login_told: bool,
    peek_out: bool,
    out: VecDeque<String>,
    events: VecDeque<TradeEvent>,
    sent: BTreeSet<String>,
    orders: BTreeMap<String, Order>,
    fills: BTreeMap<String, Fill>,
    notices: BTreeSet<String>,
}

impl TradeLine {
    /// A line that is not open yet.
    pub fn new(login: TradeLogin) -> Self {
        Self {
            login,
            document: Document::default(),
            open_since: None,
            logged_in: false,
            login_told: false,
            peek_out: false,
            out: VecDeque::new(),
            events: VecDeque::new(),
            sent: BTreeSet::new(),
            orders: BTreeMap::new(),
            fills: BTreeMap::new(),
            notices: BTreeSet::new(),
        }
    }

    /// A connection is there: logs in. Orders are never sent again.
    pub fn opened(&mut self, now: Duration) {
        self.closed();
        self.open_since = Some(now);
        let TradeLogin { broker, user, password, confirms_settlement } = &self.login;
        let login = json!({ "aid": "req_login", "bid": broker, "user_name": user, "password": password.expose() });
        self.out.push_back(login.to_string());
        if *confirms_settlement {
            self.out.push_back(json!({ "aid": "confirm_settlement" }).to_string());
        }
        self.peek();
    }

    /// The connection is gone. Frames that were not sent never will be.
    pub fn closed(&mut self) {
        self.open_since = None;
        (self.logged_in, self.login_told, self.peek_out) = (false, false, false);
        self.out.clear();
        self.notices.clear();
        self.document = Document::default();
    }

    /// The next frame to send.
    pub fn take_frame(&mut self) -> Option<String> {
        self.out.pop_front()
    }

    /// The next event.
    pub fn take_event(&mut self) -> Option<TradeEvent> {
        self.events.pop_front()
    }

    /// Asks for the next transaction, once the last one has been used.
    pub fn peek(&mut self) {
        if self.open_since.is_some() && !self.peek_out {
            self.peek_out = true;
            self.out.push_back(peek_message());
        }
    }

    /// Sends an order, once and never again.
    ///
    /// # Errors
    /// An id that was used before, in this life of the program or by the account's picture; a line that is not logged in.
    pub fn insert(&mut self, order: &NewOrder) -> Result<(), OrderRefusal> {
        if !self.logged_in {
            return Err(OrderRefusal::NotLoggedIn);
        }
        if self.orders.contains_key(&order.order_id) || !self.sent.insert(order.order_id.clone()) {
            return Err(OrderRefusal::Repeated(order.order_id.clone()));
        }
        let frame = json!({
            "aid": "insert_order", "user_id": self.login.user, "order_id": order.order_id,
            "exchange_id": order.exchange_id, "instrument_id": order.instrument_id, "direction": order.direction,
            "offset": order.offset, "volume": order.volume, "price_type": "LIMIT", "limit_price": order.limit_price,
            "volume_condition": "ANY", "time_condition": "GFD",
        });
        self.out.push_back(frame.to_string());
        Ok(())
    }

    /// Asks for an order's end; harmless when it is repeated.
    pub fn cancel(&mut self, order_id: &str) {
        if self.logged_in {
            let frame = json!({ "aid": "cancel_order", "user_id": self.login.user, "order_id": order_id });
            self.out.push_back(frame.to_string());
        }
    }

    /// Orders by id.
    pub fn orders(&self) -> &BTreeMap<String, Order> {
        &self.orders
    }

    /// Lots of an order that were filled, each fill counted once.
    pub fn filled_lots(&self, order_id: &str) -> i64 {
        self.fills.values().filter(|f| f.order_id == order_id).map(|f| f.volume).sum()
    }

    /// The account's positions by symbol.
    pub fn positions(&self) -> BTreeMap<String, Position> {
        self.own("positions").map(read_positions).unwrap_or_default()
    }

    /// What does not add up in the account; see [`check_sums`].
    pub fn alerts(&self) -> Vec<SumAlert> {
        let positions = self.own("positions");
        let account = self.own("accounts").and_then(|a| a.get("CNY")).and_then(Value::as_object);
        account.map_or_else(Vec::new, |a| check_sums(a, positions))
    }

    fn own(&self, member: &str) -> Option<&Map<String, Value>> {
        self.document.object(&["trade", &self.login.user, member])
    }

    /// Takes a frame.
    ///
    /// # Errors
    /// As [`super::MarketLine::receive`].
    pub fn receive(&mut self, text: &str) -> Result<(), FrameError> {
        let patches = match parse_frame(text)? {
            ServerFrame::Data(patches) => patches,
            ServerFrame::Other(_) => return Ok(()),
        };
        self.document.apply(patches);
        self.peek_out = false;
        self.look_at_notices();
        self.look_at_login();
        self.look_at_orders();
        Ok(())
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        let late = self.open_since.is_some_and(|since| now.saturating_sub(since) >= LOGIN_LIMIT);
        if late && !self.logged_in && !std::mem::replace(&mut self.login_told, true) {
            self.events.push_back(TradeEvent::LoginLate);
        }
    }

    fn look_at_notices(&mut self) {
        let Some(notices) = self.document.object(&["notify"]) else { return };
        let new = notices.iter().filter(|(id, _)| !self.notices.contains(*id));
        let new: Vec<(String, i64, String, String)> = new
            .map(|(id, n)| {
                let text = |k: &str| n.get(k).and_then(Value::as_str).unwrap_or_default().to_owned();
                (id.clone(), whole(n.get("code")).unwrap_or(0), text("level"), text("content"))
            })
            .collect();
        for (id, code, level, text) in new {
            self.notices.insert(id);
            let refuses = REFUSALS.contains(&code) || matches!(level.as_str(), "WARNING" | "ERROR");
            if refuses && !self.logged_in && !self.login_told {
                self.login_told = true;
                self.events.push_back(TradeEvent::LoginRefused { code, text });
            } else {
                self.events.push_back(TradeEvent::Notice { level, code, text });
            }
        }
    }

    fn look_at_login(&mut self) {
        let complete = self.document.get(&["trade", &self.login.user, "trade_more_data"]).and_then(Value::as_bool);
        if self.logged_in || complete != Some(false) || self.own("accounts").is_none() {
            return;
        }
        self.logged_in = true;
        self.events.push_back(TradeEvent::LoggedIn);
        // What was sent on the line before and is not in the picture has an end that nobody here knows.
        let told = self.own("orders");
        let open = |id: &&String| !self.orders.get(*id).is_some_and(|o| o.finished);
        let unknown = self.sent.iter().filter(open).filter(|id| told.is_none_or(|t| !t.contains_key(*id)));
        for id in unknown.cloned().collect::<Vec<_>>() {
            self.events.push_back(TradeEvent::Ambiguous(id));
        }
    }

    fn look_at_orders(&mut self) {
        let mut news = Vec::new();
        for (id, told) in self.own("orders").into_iter().flatten() {
            let text = |k: &str| told.get(k).and_then(Value::as_str);
            // The first patch of an order has both; a shell without them is no order yet.
            let (Some(status), Some(exchange_id)) = (text("status"), text("exchange_order_id")) else { continue };
            let known = self.orders.get(id);
            let left = whole(told.get("volume_left")).unwrap_or(0);
            let order = Order {
                order_id: id.clone(),
                exchange_order_id: exchange_id.to_owned(),
                finished: status == "FINISHED" || known.is_some_and(|o| o.finished),
                volume: whole(told.get("volume_orign")).unwrap_or(0),
                volume_left: known.map_or(left, |o| o.volume_left.min(left)),
                last_msg: text("last_msg").unwrap_or_default().to_owned(),
            };
            // A word about an order that has ended is late, whatever it says.
            let late = known.is_some_and(|o| o.finished && status != "FINISHED");
            if !late && known != Some(&order) {
                news.push(order);
            }
        }
        for order in news {
            self.orders.insert(order.order_id.clone(), order.clone());
            self.events.push_back(TradeEvent::Order(order));
        }
        let mut fills = Vec::new();
        for (id, told) in self.own("trades").into_iter().flatten() {
            let volume = whole(told.get("volume"));
            let order_id = told.get("order_id").and_then(Value::as_str);
            if let (Some(volume), Some(order_id), false) = (volume, order_id, self.fills.contains_key(id)) {
                let price = number(told.get("price"));
                fills.push(Fill { trade_id: id.clone(), order_id: order_id.to_owned(), price, volume });
            }
        }
        for fill in fills {
            self.fills.insert(fill.trade_id.clone(), fill.clone());
            self.events.push_back(TradeEvent::Fill(fill));
        }
    }
}

#[cfg(test)]
mod tests;
