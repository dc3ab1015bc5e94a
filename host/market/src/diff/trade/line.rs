//! A trading line as a state machine without I/O: logging in, orders that are sent once, fills that count once, sums that
//! are checked. Frames, time and what was written down come in; frames and events go out.

use super::account::{Holding, Money, Position, SumAlert, check_sums, read_holdings, read_positions};
use super::journal::{OwnOrder, Replayed};
use super::order::{Direction, Fill, Life, NewOrder, Order, OrderId, OrderState};
use crate::diff::document::Document;
use crate::diff::frame::{FrameError, ServerFrame, parse_frame, peek_message};
use crate::diff::secret::Secret;
use crate::diff::value::{number, whole};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

/// Notices that refuse a login, whatever their level.
const REFUSALS: [i64; 2] = [402, 403];
/// Notices whose ids are remembered, so that a repeated one is no news.
const NOTICES: usize = 10_000;

/// Who trades where.
#[derive(Debug, Clone)]
pub struct TradeLogin {
    /// The broker.
    pub broker: String,
    /// The account.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// Confirms the settlement report behind the login, as gateways to a real exchange ask for before they take orders.
    pub confirms_settlement: bool,
}

/// How long each kind of answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradeLimits {
    /// From the connection to the complete picture of the account.
    pub login: Duration,
    /// From an order to the first word about it; behind it the order is unknown.
    pub answer: Duration,
    /// Between two pictures that are both without an order, before it is lost: what is still on its way gets the time to
    /// arrive, also what the system goes on to deliver for a connection that nobody owns any more.
    pub second_look: Duration,
}

impl Default for TradeLimits {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self { login: s(20), answer: s(3), second_look: s(120) }
    }
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
    /// The connection is gone; another is tried.
    Cut {
        /// What ended it.
        why: String,
        /// The pause before the next one.
        retry_in: Duration,
    },
    /// A notice of any other kind.
    Notice {
        /// `INFO`, `WARNING` or `ERROR`.
        level: String,
        /// Code; 0 if there is none.
        code: i64,
        /// Text.
        text: String,
    },
    /// The account is in another trading day, `YYYYMMDD`.
    TradingDay(String),
    /// An order of ours has got to another state.
    Own(OwnOrder),
    /// An order of somebody else's on the account is new or nearer to its end.
    Order(Order),
    /// A fill that has not been told before.
    Fill(Fill),
    /// Sums of the account do not hold; nothing is sent while they do not.
    SumsDisagree(Vec<SumAlert>),
    /// They hold again.
    SumsAgree,
}

/// Why nothing new may be sent.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Blocked {
    /// There is no line, or no complete picture yet.
    #[error("the trading line is not logged in")]
    NotLoggedIn,
    /// Nobody knows what became of these orders.
    #[error("the fate of {} is not known", .0.iter().map(OrderId::as_str).collect::<Vec<_>>().join(", "))]
    Unresolved(Vec<OrderId>),
    /// The account has orders by ids of the journal that the journal has not given, or has given to other orders: it is an
    /// older copy of itself, or one beside another, and would give these ids again.
    #[error("the account has {}, which this journal has not written so: it is an older copy, or another copy is in use", .0.iter().cloned().collect::<Vec<_>>().join(", "))]
    JournalBehind(BTreeSet<String>),
    /// The account contradicts itself.
    #[error("the account's sums disagree: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    SumsDisagree(Vec<SumAlert>),
}

impl Blocked {
    /// Stable name of the reason.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotLoggedIn => "not_logged_in",
            Self::Unresolved(_) => "order_unresolved",
            Self::JournalBehind(_) => "journal_behind",
            Self::SumsDisagree(_) => "account_sums",
        }
    }
}

/// The account as its last transaction left it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AccountPicture {
    /// `YYYYMMDD`; empty where the server does not tell.
    pub trading_day: String,
    /// The money.
    pub money: Money,
    /// Sides with lots.
    pub positions: Vec<Holding>,
    /// Orders of the day.
    pub orders: Vec<Order>,
    /// Fills of the day.
    pub trades: Vec<Fill>,
    /// Sums that do not hold.
    pub faults: Vec<SumAlert>,
}

/// An order of ours and what is needed to judge it.
#[derive(Debug)]
struct Tracked {
    order: OwnOrder,
    /// When it was written down in this life of the program.
    since: Duration,
    seen_alive: bool,
    cancel_asked: bool,
    /// When a complete picture was first without it.
    missed: Option<Duration>,
}

/// The state machine; see the module.
pub struct TradeLine {
    login: TradeLogin,
    limits: TradeLimits,
    document: Document,
    open_since: Option<Duration>,
    logged_in: bool,
    /// The login has been taken before: a warning on a later connection is about something else.
    known_login: bool,
    login_told: bool,
    peek_out: bool,
    out: VecDeque<String>,
    events: VecDeque<TradeEvent>,
    /// How our ids begin; none on a line that only looks.
    prefix: Option<String>,
    /// The last order that the journal has written.
    last_number: u64,
    /// Orders by ids of the journal that it has not written.
    unwritten: BTreeSet<String>,
    own: BTreeMap<OrderId, Tracked>,
    /// Fills of ours that were written down in an earlier life: order and lots by trade id.
    written: BTreeMap<String, (String, i64)>,
    orders: BTreeMap<String, Order>,
    fills: BTreeMap<String, Fill>,
    notices: BTreeSet<String>,
    notices_in_order: VecDeque<String>,
    /// The last refusal that was heard: some gateways say nowhere else why an order ended.
    refusal: String,
    trading_day: String,
    alerts: Vec<SumAlert>,
}

/// Without the frames: the first one holds the password.
impl fmt::Debug for TradeLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TradeLine")
            .field("login", &self.login)
            .field("logged_in", &self.logged_in)
            .field("trading_day", &self.trading_day)
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl TradeLine {
    /// A line that is not open yet.
    pub fn new(login: TradeLogin, limits: TradeLimits) -> Self {
        Self {
            login,
            limits,
            document: Document::default(),
            open_since: None,
            logged_in: false,
            known_login: false,
            login_told: false,
            peek_out: false,
            out: VecDeque::new(),
            events: VecDeque::new(),
            prefix: None,
            last_number: 0,
            unwritten: BTreeSet::new(),
            own: BTreeMap::new(),
            written: BTreeMap::new(),
            orders: BTreeMap::new(),
            fills: BTreeMap::new(),
            notices: BTreeSet::new(),
            notices_in_order: VecDeque::new(),
            refusal: String::new(),
            trading_day: String::new(),
            alerts: Vec::new(),
        }
    }

    /// Takes over the orders of earlier lives. What was written down and never heard of is unknown from now on.
    pub(super) fn adopt(&mut self, prefix: String, replayed: Replayed) {
        (self.prefix, self.last_number) = (Some(prefix), replayed.last);
        self.written = replayed.fills;
        for order in replayed.orders {
            let seen_alive = matches!(order.state, OrderState::Acknowledged | OrderState::PartlyFilled);
            let never_heard = order.state == OrderState::Journaled;
            let id = order.order_id.clone();
            let tracked = Tracked { order, since: Duration::ZERO, seen_alive, cancel_asked: false, missed: None };
            self.own.insert(id.clone(), tracked);
            if never_heard {
                self.turn_unknown(&id, "the program ended before an answer");
            }
        }
    }

    /// Who is logged in.
    pub fn login(&self) -> &TradeLogin {
        &self.login
    }

    /// Time limits of the line.
    pub fn limits(&self) -> TradeLimits {
        self.limits
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

    /// The connection is gone. Frames that were not sent never will be; an order that has no answer is unknown.
    pub fn closed(&mut self) {
        self.open_since = None;
        (self.logged_in, self.login_told, self.peek_out) = (false, false, false);
        self.out.clear();
        self.refusal.clear();
        self.document = Document::default();
        // A server begins to count its notices anew: the same id is another notice.
        self.notices.clear();
        self.notices_in_order.clear();
        let unanswered = self.own.values().filter(|t| t.order.state == OrderState::Journaled);
        for id in unanswered.map(|t| t.order.order_id.clone()).collect::<Vec<_>>() {
            self.turn_unknown(&id, "the line was cut before an answer");
        }
    }

    /// The next frame to send.
    pub fn take_frame(&mut self) -> Option<String> {
        self.out.pop_front()
    }

    /// The next event.
    pub fn take_event(&mut self) -> Option<TradeEvent> {
        self.events.pop_front()
    }

    pub(super) fn push_event(&mut self, event: TradeEvent) {
        self.events.push_back(event);
    }

    /// Asks for the next transaction, once the last one has been used.
    pub fn peek(&mut self) {
        if self.open_since.is_some() && !self.peek_out {
            self.peek_out = true;
            self.out.push_back(peek_message());
        }
    }

    /// The picture of the account is complete, and changes come in.
    pub fn is_logged_in(&self) -> bool {
        self.logged_in
    }

    /// Why nothing new may be sent; none if it may.
    pub fn blocked(&self) -> Option<Blocked> {
        if !self.logged_in {
            return Some(Blocked::NotLoggedIn);
        }
        let unresolved: Vec<OrderId> =
            self.own.values().filter(|t| t.order.state.is_ambiguous()).map(|t| t.order.order_id.clone()).collect();
        if !unresolved.is_empty() {
            return Some(Blocked::Unresolved(unresolved));
        }
        if !self.unwritten.is_empty() {
            return Some(Blocked::JournalBehind(self.unwritten.clone()));
        }
        (!self.alerts.is_empty()).then(|| Blocked::SumsDisagree(self.alerts.clone()))
    }

    /// An order has been written down: from now on it is followed, whether it is sent or not. Gives the frame that sends it.
    pub(super) fn track(&mut self, order_id: &OrderId, order: &NewOrder, now: Duration) -> String {
        let tracked = Tracked {
            order: OwnOrder {
                order_id: order_id.clone(),
                trading_day: self.trading_day.clone(),
                contract: order.contract.clone(),
                direction: order.direction,
                offset: order.offset,
                lots: order.lots,
                limit_price: order.limit_price,
                life: order.life,
                state: OrderState::Journaled,
                lots_left: i64::from(order.lots),
                exchange_order_id: String::new(),
                reason: String::new(),
            },
            since: now,
            seen_alive: false,
            cancel_asked: false,
            missed: None,
        };
        self.own.insert(order_id.clone(), tracked);
        self.last_number = self.number(order_id.as_str()).unwrap_or(self.last_number);
        self.refusal.clear();
        let (time_condition, volume_condition) = order.life.words();
        json!({
            "aid": "insert_order", "user_id": self.login.user, "order_id": order_id,
            "exchange_id": order.contract.variety().exchange().as_str(), "instrument_id": order.contract.instrument(),
            "direction": order.direction.as_str(), "offset": order.offset.as_str(), "volume": order.lots,
            "price_type": "LIMIT", "limit_price": order.limit_price,
            "volume_condition": volume_condition, "time_condition": time_condition,
        })
        .to_string()
    }

    /// Asks for the end of an order of ours; harmless when it is repeated. False if the line is not logged in or the order
    /// is not one of ours.
    pub fn cancel(&mut self, order_id: &OrderId) -> bool {
        let Some(tracked) = self.own.get_mut(order_id).filter(|_| self.logged_in) else { return false };
        tracked.cancel_asked = true;
        let frame = json!({ "aid": "cancel_order", "user_id": self.login.user, "order_id": order_id });
        self.out.push_back(frame.to_string());
        true
    }

    /// A person has looked into an order that is lost. False if it is not.
    pub(super) fn settle(&mut self, order_id: &OrderId, reason: &str) -> bool {
        let Some(tracked) = self.own.get_mut(order_id).filter(|t| t.order.state == OrderState::Lost) else {
            return false;
        };
        tracked.order.state = OrderState::Settled;
        reason.clone_into(&mut tracked.order.reason);
        self.events.push_back(TradeEvent::Own(tracked.order.clone()));
        true
    }

    /// An order of ours; those that ended on earlier days are not kept.
    pub fn own_order(&self, order_id: &OrderId) -> Option<&OwnOrder> {
        self.own.get(order_id).map(|t| &t.order)
    }

    /// Orders of ours by id.
    pub fn own_orders(&self) -> impl Iterator<Item = &OwnOrder> {
        self.own.values().map(|t| &t.order)
    }

    /// Orders of the account by id, whoever sent them.
    pub fn orders(&self) -> &BTreeMap<String, Order> {
        &self.orders
    }

    /// Lots of an order that were filled, each fill counted once.
    pub fn filled_lots(&self, order_id: &str) -> i64 {
        let told = self.fills.values().filter(|f| f.order_id == order_id).map(|f| f.volume);
        let written = self.written.iter().filter(|(id, (order, _))| order == order_id && !self.fills.contains_key(*id));
        told.chain(written.map(|(_, (_, lots))| *lots)).sum()
    }

    /// The account's positions by symbol.
    pub fn positions(&self) -> BTreeMap<String, Position> {
        self.account("positions").map(read_positions).unwrap_or_default()
    }

    /// What does not add up in the account; see [`check_sums`].
    pub fn alerts(&self) -> Vec<SumAlert> {
        let positions = self.account("positions");
        self.money().map_or_else(Vec::new, |a| check_sums(a, positions))
    }

    /// The account, once it is complete.
    pub fn picture(&self) -> Option<AccountPicture> {
        let money = self.money().filter(|_| self.logged_in)?;
        let told = |member: &str, id: &String| self.account(member).is_some_and(|m| m.contains_key(id));
        Some(AccountPicture {
            trading_day: self.trading_day.clone(),
            money: Money::of(money),
            positions: self.account("positions").map(read_holdings).unwrap_or_default(),
            orders: self.orders.iter().filter(|(id, _)| told("orders", id)).map(|(_, o)| o.clone()).collect(),
            trades: self.fills.iter().filter(|(id, _)| told("trades", id)).map(|(_, f)| f.clone()).collect(),
            faults: self.alerts.clone(),
        })
    }

    fn account(&self, member: &str) -> Option<&Map<String, Value>> {
        self.document.object(&["trade", &self.login.user, member])
    }

    fn money(&self) -> Option<&Map<String, Value>> {
        self.account("accounts")?.get("CNY")?.as_object()
    }

    /// Takes a frame.
    ///
    /// # Errors
    /// As [`crate::diff::MarketLine::receive`].
    pub fn receive(&mut self, text: &str, now: Duration) -> Result<(), FrameError> {
        let patches = match parse_frame(text)? {
            ServerFrame::Data(patches) => patches,
            ServerFrame::Other(_) => return Ok(()),
        };
        self.document.apply(patches);
        self.peek_out = false;
        self.look_at_notices();
        let complete = self.look_at_login();
        let new_day = self.look_at_day();
        self.look_at_orders();
        self.look_at_fills();
        if complete {
            self.look_for_missing(now);
        }
        if new_day {
            self.forget_days();
        }
        self.look_at_sums();
        Ok(())
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        let Some(since) = self.open_since else { return };
        if !self.logged_in {
            let late = now.saturating_sub(since) >= self.limits.login;
            if late && !std::mem::replace(&mut self.login_told, true) {
                self.events.push_back(TradeEvent::LoginLate);
            }
            return;
        }
        let answer = self.limits.answer;
        let silent = |t: &&Tracked| t.order.state == OrderState::Journaled && now.saturating_sub(t.since) >= answer;
        for id in self.own.values().filter(silent).map(|t| t.order.order_id.clone()).collect::<Vec<_>>() {
            self.turn_unknown(&id, &format!("no answer within {} s", answer.as_secs_f64()));
        }
    }

    /// Another picture of the account would tell about an order: the line is to be opened again.
    pub fn wants_look(&self, now: Duration) -> bool {
        let due = |t: &Tracked| match (t.order.state, t.missed) {
            (OrderState::Unknown, None) => true,
            (OrderState::Unknown, Some(at)) => now.saturating_sub(at) >= self.limits.second_look,
            _ => false,
        };
        self.logged_in && self.own.values().any(due)
    }

    fn turn_unknown(&mut self, order_id: &OrderId, reason: &str) {
        let Some(tracked) = self.own.get_mut(order_id) else { return };
        tracked.order.state = OrderState::Unknown;
        reason.clone_into(&mut tracked.order.reason);
        self.events.push_back(TradeEvent::Own(tracked.order.clone()));
    }

    fn look_at_notices(&mut self) {
        let complete = self.is_complete();
        let Some(notices) = self.document.object(&["notify"]) else { return };
        let new = notices.iter().filter(|(id, _)| !self.notices.contains(*id));
        let new: Vec<(String, i64, String, String)> = new
            .map(|(id, n)| {
                let text = |k: &str| n.get(k).and_then(Value::as_str).unwrap_or_default().to_owned();
                (id.clone(), whole(n.get("code")).unwrap_or(0), text("level"), text("content"))
            })
            .collect();
        self.document.forget("notify");
        for (id, code, level, text) in new {
            self.notices.insert(id.clone());
            self.notices_in_order.push_back(id);
            if self.notices_in_order.len() > NOTICES
                && let Some(oldest) = self.notices_in_order.pop_front()
            {
                self.notices.remove(&oldest);
            }
            let warns = matches!(level.as_str(), "WARNING" | "ERROR");
            let refuses = REFUSALS.contains(&code) || warns && !self.known_login;
            if refuses && !self.logged_in && !complete && !self.login_told {
                self.login_told = true;
                self.events.push_back(TradeEvent::LoginRefused { code, text });
                continue;
            }
            if warns {
                self.refusal = format!("{text} ({code})");
            }
            self.events.push_back(TradeEvent::Notice { level, code, text });
        }
    }

    /// True when the picture has just become complete.
    fn look_at_login(&mut self) -> bool {
        if self.logged_in || !self.is_complete() {
            return false;
        }
        (self.logged_in, self.known_login) = (true, true);
        self.events.push_back(TradeEvent::LoggedIn);
        true
    }

    fn is_complete(&self) -> bool {
        let more = self.document.get(&["trade", &self.login.user, "trade_more_data"]).and_then(Value::as_bool);
        more == Some(false) && self.money().is_some()
    }

    /// True when the account has got to another trading day.
    fn look_at_day(&mut self) -> bool {
        let told = |path: &[&str]| self.document.get(path).and_then(Value::as_str).filter(|d| !d.is_empty());
        let user = self.login.user.as_str();
        let day = told(&["trade", user, "trading_day"]).or_else(|| told(&["trade", user, "session", "trading_day"]));
        let Some(day) = day.filter(|d| *d != self.trading_day).map(str::to_owned) else { return false };
        let first = std::mem::replace(&mut self.trading_day, day.clone()).is_empty();
        self.events.push_back(TradeEvent::TradingDay(day));
        !first
    }

    fn look_at_orders(&mut self) {
        let mut news = Vec::new();
        for (id, told) in self.account("orders").into_iter().flatten() {
            let known = self.orders.get(id);
            let Some(order) = read_order(id, told, known) else { continue };
            // An order that was lost sight of may be told just as it was known before.
            let followed = self.own.get(id.as_str()).is_some_and(|t| !t.order.state.is_final());
            if known != Some(&order) || followed {
                news.push(order);
            }
        }
        for order in news {
            let new = self.orders.insert(order.order_id.clone(), order.clone()).as_ref() != Some(&order);
            if self.own.contains_key(order.order_id.as_str()) {
                self.own_told(&order);
            } else if new {
                if self.number(&order.order_id).is_some_and(|n| n > self.last_number) {
                    self.unwritten.insert(order.order_id.clone());
                }
                self.events.push_back(TradeEvent::Order(order));
            }
        }
    }

    /// The number of an order whose id begins like those of our journal.
    fn number(&self, order_id: &str) -> Option<u64> {
        OrderId::number(order_id, self.prefix.as_deref()?)
    }

    /// The server tells of an order of ours.
    fn own_told(&mut self, told: &Order) {
        let refusal = self.refusal.clone();
        let Some(tracked) = self.own.get_mut(told.order_id.as_str()) else { return };
        if !is_same(&tracked.order, told) {
            self.unwritten.insert(told.order_id.clone());
            return;
        }
        tracked.missed = None;
        tracked.seen_alive |= !told.finished;
        let order = &mut tracked.order;
        // Its end is its end; what a person has settled may turn up after all.
        if order.state.is_final() && order.state != OrderState::Settled {
            return;
        }
        let untouched = told.volume_left == told.volume && !tracked.seen_alive && !tracked.cancel_asked;
        let state = match (told.finished, told.volume_left) {
            (true, 0) => OrderState::Filled,
            (true, _) if told.exchange_order_id.is_empty() => OrderState::Rejected,
            // Some gateways give an id to an order that they refuse; only a notice says so then.
            (true, _) if untouched && order.life == Life::Day && !refusal.is_empty() => OrderState::Rejected,
            (true, _) => OrderState::Cancelled,
            (false, left) if left < told.volume => OrderState::PartlyFilled,
            (false, _) => OrderState::Acknowledged,
        };
        let reason = match state {
            OrderState::Rejected if told.last_msg.is_empty() => refusal,
            _ => told.last_msg.clone(),
        };
        let next = OwnOrder {
            state,
            lots_left: told.volume_left,
            exchange_order_id: told.exchange_order_id.clone(),
            reason,
            ..order.clone()
        };
        if *order != next {
            *order = next.clone();
            self.events.push_back(TradeEvent::Own(next));
        }
    }

    fn look_at_fills(&mut self) {
        let mut fills = Vec::new();
        for (id, told) in self.account("trades").into_iter().flatten() {
            let volume = whole(told.get("volume"));
            let text = |k: &str| told.get(k).and_then(Value::as_str).unwrap_or_default().to_owned();
            if let (Some(volume), false) = (volume, text("order_id").is_empty() || self.fills.contains_key(id)) {
                fills.push(Fill {
                    trade_id: id.clone(),
                    order_id: text("order_id"),
                    symbol: symbol_of(told),
                    direction: text("direction"),
                    offset: text("offset"),
                    price: number(told.get("price")),
                    volume,
                    commission: number(told.get("commission")),
                    time_ns: whole(told.get("trade_date_time")).unwrap_or(0),
                });
            }
        }
        for fill in fills {
            let news = !self.written.contains_key(&fill.trade_id);
            self.fills.insert(fill.trade_id.clone(), fill.clone());
            if news {
                self.events.push_back(TradeEvent::Fill(fill));
            }
        }
    }

    /// A complete picture has come: orders of ours that are not in it.
    fn look_for_missing(&mut self, now: Duration) {
        let told = self.account("orders");
        let is_there = |id: &str| told.and_then(|t| t.get(id)).is_some_and(|t| read_order(id, t, None).is_some());
        let missing = self.own.values().filter(|t| !t.order.state.is_final() && !is_there(t.order.order_id.as_str()));
        for id in missing.map(|t| t.order.order_id.clone()).collect::<Vec<_>>() {
            let (day, second_look) = (self.trading_day.clone(), self.limits.second_look);
            let Some(tracked) = self.own.get_mut(&id) else { continue };
            let over = if tracked.order.trading_day == day {
                ""
            } else {
                "; its trading day is over, only the positions tell whether it traded"
            };
            match (tracked.order.state, tracked.missed) {
                (OrderState::Lost, _) => {}
                (OrderState::Unknown, Some(at)) if now.saturating_sub(at) >= second_look => {
                    tracked.order.state = OrderState::Lost;
                    tracked.order.reason = format!("not in two pictures of the account of {day}{over}");
                    self.events.push_back(TradeEvent::Own(tracked.order.clone()));
                }
                (OrderState::Unknown, Some(_)) => {}
                (OrderState::Unknown, None) => tracked.missed = Some(now),
                _ => {
                    tracked.missed = Some(now);
                    self.turn_unknown(&id, &format!("not in the picture of the account of {day}{over}"));
                }
            }
        }
    }

    /// Another trading day: what ended before it and the server does not tell any more is of no use.
    fn forget_days(&mut self) {
        let of = |member: &str| -> BTreeSet<String> {
            self.account(member).into_iter().flat_map(|m| m.keys().cloned()).collect()
        };
        let (orders, trades) = (of("orders"), of("trades"));
        self.orders.retain(|id, _| orders.contains(id));
        self.fills.retain(|id, _| trades.contains(id));
        self.written.retain(|id, _| trades.contains(id));
        let day = &self.trading_day;
        self.own
            .retain(|id, t| !t.order.state.is_final() || t.order.trading_day == *day || orders.contains(id.as_str()));
    }

    fn look_at_sums(&mut self) {
        if !self.logged_in {
            return;
        }
        let alerts = self.alerts();
        let before = std::mem::replace(&mut self.alerts, alerts);
        // Their amounts move with every price.
        if before.iter().map(|a| &a.member).ne(self.alerts.iter().map(|a| &a.member)) {
            self.events.push_back(match self.alerts.is_empty() {
                true => TradeEvent::SumsAgree,
                false => TradeEvent::SumsDisagree(self.alerts.clone()),
            });
        }
    }

    /// Lots of a side of a contract.
    pub(super) fn held(&self, symbol: &str, side: Direction) -> super::SideLots {
        let held = self.positions().get(symbol).copied().unwrap_or_default();
        if side == Direction::Buy { held.long } else { held.short }
    }

    /// The trading day that the account is in, `YYYYMMDD`; empty before it is known.
    pub fn trading_day(&self) -> &str {
        &self.trading_day
    }
}

/// `SHFE.cu2509` of an order's or a fill's own members.
fn symbol_of(told: &Value) -> String {
    let text = |k: &str| told.get(k).and_then(Value::as_str).unwrap_or_default();
    format!("{}.{}", text("exchange_id"), text("instrument_id"))
}

/// What is told under an id of ours is what was written down under it, as far as it is told: another copy of the journal may
/// have given the id to another order.
fn is_same(own: &OwnOrder, told: &Order) -> bool {
    let symbol = told.symbol == "." || told.symbol == own.contract.to_string();
    let direction = told.direction.is_empty() || told.direction == own.direction.as_str();
    symbol && direction && (told.volume == 0 || told.volume == i64::from(own.lots))
}

/// An order as it is told, never further from its end than it was known to be; none for a shell or a late word.
fn read_order(id: &str, told: &Value, known: Option<&Order>) -> Option<Order> {
    let text = |k: &str| told.get(k).and_then(Value::as_str);
    // The first patch of an order has both; a shell without them is no order yet.
    let (status, exchange_id) = (text("status")?, text("exchange_order_id")?);
    // A word about an order that has ended is late, whatever it says.
    if known.is_some_and(|o| o.finished && status != "FINISHED") {
        return None;
    }
    // Not told is not 0: that would be a fill.
    let left = whole(told.get("volume_left")).or(known.map(|o| o.volume_left))?;
    Some(Order {
        order_id: id.to_owned(),
        exchange_order_id: exchange_id.to_owned(),
        symbol: symbol_of(told),
        direction: text("direction").unwrap_or_default().to_owned(),
        offset: text("offset").unwrap_or_default().to_owned(),
        limit_price: Some(number(told.get("limit_price"))).filter(|p| p.is_finite()),
        finished: status == "FINISHED",
        volume: whole(told.get("volume_orign")).unwrap_or(0),
        volume_left: known.map_or(left, |o| o.volume_left.min(left)),
        last_msg: text("last_msg").unwrap_or_default().to_owned(),
    })
}
