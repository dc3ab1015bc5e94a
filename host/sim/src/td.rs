//! The trading line: login, orders, and the account's part of the document.

use crate::desk::{Desk, Fill, Level, Notice, OrderText};
use crate::floor::Ask;
use crate::hub::{Hub, News};
use crate::instruments::present_day;
use crate::line::{Fault, Session};
use crate::picture;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Longest name of a user or an order, bytes.
const LONGEST_NAME: usize = 256;
/// Answers that wait for a peek.
const MOST_PENDING: usize = 10_000;

/// A trading line.
pub(crate) struct Trading {
    hub: Arc<Hub>,
    /// Names the line's own notices.
    line: u64,
    user: Option<String>,
    /// Patches of this line alone.
    pending: Vec<Value>,
    notices: u64,
    /// The whole picture is still to be sent.
    whole: bool,
    /// Version of the account that was sent.
    seen: u64,
    /// Notices of the account that were sent.
    heard: u64,
    settlements: u64,
    /// What the client has of each kind.
    orders: BTreeMap<u64, String>,
    trades: BTreeSet<String>,
    /// What a settlement has left over, to be deleted by the transaction behind the one that told how it ended: the
    /// official client dies of an object that changes and goes in one.
    over: Vec<Value>,
    transfers: u64,
}

impl Trading {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self {
            line: hub.line(),
            hub,
            user: None,
            pending: Vec::new(),
            notices: 0,
            whole: false,
            seen: 0,
            heard: 0,
            settlements: 0,
            orders: BTreeMap::new(),
            trades: BTreeSet::new(),
            over: Vec::new(),
            transfers: 0,
        }
    }

    /// Tells this line alone.
    fn say(&mut self, level: Level, code: i64, content: &str) {
        self.notices += 1;
        let id = format!("l{}:{}", self.line, self.notices);
        let notice = picture::notice(&Notice { kind: "MESSAGE", level, code, content: content.to_owned() });
        self.pending.push(json!({ "notify": { id: notice } }));
    }

    fn log_in(&mut self, frame: &Map<String, Value>) -> Result<(), Fault> {
        let user = text(frame, "user_name")?.to_owned();
        let password = frame.get("password").and_then(Value::as_str).unwrap_or_default();
        if user.is_empty() {
            self.say(Level::Warning, 402, "登录失败,用户名为空");
            return Ok(());
        }
        if self.user.as_ref().is_some_and(|u| *u != user) {
            return Err(Fault::request("this line is logged in as another user"));
        }
        let admitted = self.hub.floor().log_in(&self.hub.tape, &user, password);
        match admitted {
            Ok(()) => {
                self.user = Some(user);
                self.whole = true;
                self.say(Level::Info, 401, "登录成功");
            }
            Err(reason) => self.say(Level::Warning, 403, &format!("登录失败,{reason}")),
        }
        Ok(())
    }

    /// The user of the line, if the request is for him; another user's is answered by a notice.
    fn own(&mut self, frame: &Map<String, Value>) -> Result<Option<String>, Fault> {
        let Some(user) = self.user.clone() else { return Err(Fault::request("log in before you trade")) };
        let named = text(frame, "user_id")?;
        if named == user {
            return Ok(Some(user));
        }
        let content = format!("用户 {named} 不是本连接的登录用户");
        self.say(Level::Warning, 408, &content);
        Ok(None)
    }

    fn insert(&mut self, frame: &Map<String, Value>) -> Result<(), Fault> {
        let Some(user) = self.own(frame)? else { return Ok(()) };
        let word = |name: &str| text(frame, name).map(str::to_owned);
        let order_id = word("order_id")?;
        if order_id.is_empty() || order_id.contains(['=', '#', '|', ';', '/']) {
            return Err(Fault::request("an order_id is empty or holds one of =#|;/"));
        }
        let volume = frame.get("volume").and_then(whole).ok_or_else(|| Fault::request("volume is no whole number"))?;
        let limit_price = match frame.get("limit_price") {
            None | Some(Value::Null) => None,
            Some(price) => Some(price.as_f64().ok_or_else(|| Fault::request("limit_price is no number"))?),
        };
        let ask = Ask {
            order_id,
            exchange: word("exchange_id")?,
            instrument: word("instrument_id")?,
            text: OrderText {
                price_type: word("price_type")?,
                volume_condition: word("volume_condition")?,
                time_condition: word("time_condition")?,
                direction: word("direction")?,
                offset: word("offset")?,
            },
            volume,
            limit_price,
        };
        self.hub.floor().insert(&self.hub.tape, &user, ask);
        self.hub.tell();
        Ok(())
    }

    fn cancel(&mut self, frame: &Map<String, Value>) -> Result<(), Fault> {
        let Some(user) = self.own(frame)? else { return Ok(()) };
        let order_id = text(frame, "order_id")?;
        self.hub.floor().cancel(&self.hub.tape, &user, order_id);
        self.hub.tell();
        Ok(())
    }

    /// What an order would keep as margin; an empty instrument ends the question.
    fn pre_insert(&mut self, frame: &Map<String, Value>) -> Result<(), Fault> {
        let Some(user) = self.own(frame)? else { return Ok(()) };
        let id = text(frame, "order_id")?;
        let instrument = text(frame, "instrument_id")?;
        let answer = if instrument.is_empty() {
            Value::Null
        } else {
            let exchange = text(frame, "exchange_id")?;
            let tape = &self.hub.tape;
            let step = self.hub.news().step;
            let lot = tape.find(&format!("{exchange}.{instrument}")).and_then(|series| {
                let of = &tape.series[series];
                let day = present_day(tape, of, step);
                let limit = frame.get("limit_price").and_then(Value::as_f64).filter(|p| *p > 0.0);
                let price = limit.unwrap_or_else(|| day.reference(of));
                self.hub.terms.lot(of.contract.as_ref()?, day.day, of.spec.multiplier, price)
            });
            let lots = frame.get("volume").and_then(whole).unwrap_or(1) as f64;
            json!({
                "exchange_id": exchange,
                "instrument_id": instrument,
                "direction": frame.get("direction"),
                "pre_margin": lot.map_or(0.0, |l| l.margin_cny * lots),
            })
        };
        self.pending.push(json!({ "trade": { user: { "pre_insert_orders": { id: answer } } } }));
        Ok(())
    }

    fn transfer(&mut self, frame: &Map<String, Value>) -> Result<(), Fault> {
        let Some(user) = self.user.clone() else { return Err(Fault::request("log in before you transfer")) };
        let amount =
            frame.get("amount").and_then(Value::as_f64).ok_or_else(|| Fault::request("amount is no number"))?;
        let done = self.hub.floor().transfer(&user, amount);
        self.transfers += 1;
        let id = format!("{}-{}", self.line, self.transfers);
        let now_ns = self.hub.tape.steps.get(self.hub.news().step).map_or(0, |s| s.ts_ns);
        let (error_id, error_msg) = if done { (0, "转账成功") } else { (1, "转账失败") };
        let transfer = json!({
            "datetime": now_ns, "currency": "CNY", "amount": amount, "error_id": error_id, "error_msg": error_msg,
        });
        self.pending.push(json!({ "trade": { user: { "transfers": { id: transfer } } } }));
        self.hub.tell();
        Ok(())
    }

    /// The account's news since the last transaction.
    fn account(&mut self, data: &mut Vec<Value>) {
        let Some(user) = &self.user else { return };
        let floor = self.hub.floor();
        let Some(desk) = floor.desks.get(user) else { return };
        if !self.whole && desk.version == self.seen {
            return;
        }
        let tape = &self.hub.tape;
        let settled = desk.settlements != self.settlements;
        let mut part = Map::new();
        if self.whole || settled {
            let day = desk.day.compact();
            part.insert("user_id".to_owned(), json!(user));
            part.insert("trading_day".to_owned(), json!(day));
            part.insert("session".to_owned(), json!({ "user_id": user, "trading_day": day }));
        }
        if self.whole {
            part.insert("trade_more_data".to_owned(), json!(false));
            for name in ["banks", "transfers"] {
                part.insert(name.to_owned(), json!({}));
            }
            self.heard = desk.notices_before + desk.notices.len() as u64;
        }
        let valued = self.whole || desk.valued > self.seen;
        if valued {
            part.insert("accounts".to_owned(), json!({ "CNY": picture::money(user, desk) }));
        }
        let mut positions = Map::new();
        for (series, held) in &desk.held {
            // Sums hold in every transaction: with the money go all positions that it is made of.
            if self.whole || held.changed > self.seen || valued && has_lots(desk, held.number) {
                let symbol = tape.series[*series].symbol.clone();
                positions.insert(symbol, picture::position(user, desk, tape, *series, held));
            }
        }
        let mut trades = Map::new();
        for fill in desk.fills.iter().rev().take_while(|f| self.whole || f.changed > self.seen).filter(|f| !f.gone) {
            self.trades.insert(fill.trade_id.clone());
            trades.insert(fill.trade_id.clone(), picture::fill(user, fill));
        }
        let mut orders = Map::new();
        for (number, order) in &desk.orders {
            if if self.whole { !order.gone } else { order.changed > self.seen } {
                self.orders.insert(*number, order.order_id.clone());
                orders.insert(order.order_id.clone(), picture::order(user, order));
            }
        }
        for (name, objects) in [("trades", trades), ("orders", orders), ("positions", positions)] {
            if self.whole || !objects.is_empty() {
                part.insert(name.to_owned(), Value::Object(objects));
            }
        }
        if !part.is_empty() {
            data.push(json!({ "trade": { user.clone(): part } }));
        }
        if settled && !self.whole {
            let kept = |number: &u64| desk.orders.get(number).is_some_and(|o| !o.gone);
            let (stay, over): (BTreeMap<_, _>, BTreeMap<_, _>) =
                std::mem::take(&mut self.orders).into_iter().partition(|(number, _)| kept(number));
            self.orders = stay;
            let orders: Map<String, Value> = over.into_values().map(|id| (id, Value::Null)).collect();
            let trades = !std::mem::take(&mut self.trades).is_empty();
            let mut patches = Vec::new();
            if !orders.is_empty() {
                patches.push(json!({ "trade": { user.clone(): { "orders": orders } } }));
            }
            if trades {
                // All at once, then those of the new day again: one trade that is deleted is the end of the client.
                patches.push(json!({ "trade": { user.clone(): { "trades": null } } }));
                let today: Vec<&Fill> = desk.fills.iter().filter(|f| !f.gone).collect();
                self.trades = today.iter().map(|f| f.trade_id.clone()).collect();
                let today: Map<String, Value> =
                    today.iter().map(|f| (f.trade_id.clone(), picture::fill(user, f))).collect();
                patches.push(json!({ "trade": { user.clone(): { "trades": today } } }));
            }
            self.over = patches;
        }
        let from = self.heard.max(desk.notices_before);
        let mut notify = Map::new();
        for (index, notice) in desk.notices.iter().enumerate().skip((from - desk.notices_before) as usize) {
            let id = format!("{user}:{}", desk.notices_before + index as u64);
            notify.insert(id, picture::notice(notice));
        }
        if !notify.is_empty() {
            data.push(json!({ "notify": notify }));
        }
        self.heard = desk.notices_before + desk.notices.len() as u64;
        self.whole = false;
        self.seen = desk.version;
        self.settlements = desk.settlements;
    }
}

fn has_lots(desk: &Desk, number: usize) -> bool {
    use ghtrader_exchange::Side;
    [Side::Buy, Side::Sell].into_iter().any(|side| {
        let (today, history) = desk.ledger.lots(number, side);
        today + history > 0
    })
}

impl Session for Trading {
    const LEADS: bool = true;

    fn greeting(&self) -> Option<Vec<u8>> {
        Some(json!({ "aid": "rtn_brokers", "brokers": ["sim"] }).to_string().into_bytes())
    }

    fn request(&mut self, aid: &str, frame: &Map<String, Value>) -> Result<(), Fault> {
        if self.pending.len() >= MOST_PENDING {
            return Err(Fault::request("too many answers wait to be taken"));
        }
        match aid {
            "req_login" => self.log_in(frame),
            "insert_order" => self.insert(frame),
            "cancel_order" => self.cancel(frame),
            "pre_insert_order" => self.pre_insert(frame),
            "req_transfer" => self.transfer(frame),
            "qry_settlement_info" => match &self.user {
                Some(user) => {
                    self.hub.floor().tell_settlement(user);
                    self.hub.tell();
                    Ok(())
                }
                None => Err(Fault::request("log in before you ask for a settlement")),
            },
            // A settlement needs no confirming here; what newer clients ask beside is no reason to lose them.
            _ => Ok(()),
        }
    }

    fn transaction(&mut self, _news: News) -> Option<Vec<u8>> {
        let mut data = std::mem::take(&mut self.pending);
        data.append(&mut self.over);
        self.account(&mut data);
        (!data.is_empty()).then(|| json!({ "aid": "rtn_data", "data": data }).to_string().into_bytes())
    }

    fn follows(&self) -> bool {
        let floor = self.hub.floor();
        self.user.as_ref().and_then(|user| floor.desks.get(user)).is_some_and(|desk| desk.working > 0)
    }
}

/// A text of a request.
fn text<'a>(frame: &'a Map<String, Value>, name: &str) -> Result<&'a str, Fault> {
    let text = frame.get(name).and_then(Value::as_str).ok_or_else(|| Fault::request(format!("{name} is no text")))?;
    if text.len() > LONGEST_NAME {
        return Err(Fault::request(format!("{name} is longer than {LONGEST_NAME} bytes")));
    }
    Ok(text)
}

/// A whole number, also when it is written as 1.0.
fn whole(value: &Value) -> Option<i64> {
    let exact = |v: f64| (v.trunc() == v && v.abs() < 9e15).then_some(v as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(exact))
}
