//! Lines without sockets: whatever the moments at which a client asks, it ends with the same document.

use crate::accounts::Accounts;
use crate::bars::{Bars, DAY_NS, Running};
use crate::floor::Floor;
use crate::hub::Hub;
use crate::line::Session;
use crate::load::{Source, load};
use crate::md::Market;
use crate::pace::Pace;
use crate::tape::Tape;
use crate::td::Trading;
use crate::terms::Terms;
use ghtrader_core::{Calendar, ContractTable, NS_PER_S};
use ghtrader_exchange::{FillModel, MatchConfig, TakerBook};
use ghtrader_market::synth::SynthSpec;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A synthetic market of some days, at its first book.
fn world(days: u32) -> Arc<Hub> {
    let spec = SynthSpec { rows_per_day: 1_000, ..SynthSpec::new("cu".parse().unwrap(), days, 7, 0.0) };
    let (calendar, table) = (Calendar::builtin(), ContractTable::builtin());
    let parts = load(&Source::Synthetic(spec), calendar, table).unwrap();
    let tape = Tape::new(parts, calendar, table, 0.1).unwrap();
    let config = MatchConfig { taker_book: TakerBook::K, ..MatchConfig::new(FillModel::Touch) };
    let floor = Floor::new(config, Accounts::open(), tape.opening());
    Arc::new(Hub::new(tape, Terms::builtin(), floor, Pace::new(false, Duration::ZERO)))
}

fn main_symbol(hub: &Hub) -> String {
    let (_, days) = hub.tape.mains.first_key_value().unwrap();
    days[0].1.to_string()
}

fn merge(document: &mut Value, patch: &Value) {
    let (Value::Object(document), Value::Object(patch)) = (&mut *document, patch) else {
        *document = patch.clone();
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            document.remove(key);
        } else {
            let empty = || if value.is_object() { json!({}) } else { Value::Null };
            merge(document.entry(key.clone()).or_insert_with(empty), value);
        }
    }
}

/// A client: what it has been told so far.
struct Client<S> {
    session: S,
    document: Value,
    frames: usize,
}

impl<S: Session> Client<S> {
    fn new(session: S) -> Self {
        Self { session, document: json!({}), frames: 0 }
    }

    fn ask(&mut self, request: Value) {
        let Value::Object(fields) = request else { panic!("no object") };
        let aid = fields["aid"].as_str().unwrap().to_owned();
        self.session.request(&aid, &fields).unwrap();
    }

    fn peek(&mut self, hub: &Hub) {
        if let Some(text) = self.session.transaction(hub.news()) {
            let frame: Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(frame["aid"], "rtn_data");
            for patch in frame["data"].as_array().unwrap() {
                merge(&mut self.document, patch);
            }
            self.frames += 1;
        }
    }
}

/// DS-07, DS-12, DS-16
#[test]
fn a_line_that_asks_rarely_ends_with_the_same_document() {
    let hub = world(2);
    let main = main_symbol(&hub);
    let other = hub.tape.series.iter().find(|s| s.contract.is_some() && s.symbol != main).unwrap().symbol.clone();
    // Rows are kept as far as the window reaches: the rest may differ by what was asked for when.
    let kept = |document: &Value, symbol: &str| {
        let serial = &document["ticks"][symbol];
        let last = serial["last_id"].as_i64().unwrap();
        (last - 49..=last).map(|id| serial["data"][id.to_string()].clone()).collect::<Vec<_>>()
    };
    let clients: Vec<(usize, Client<Market>)> = [1, 3, 100, 5_000]
        .into_iter()
        .map(|every| {
            let mut client = Client::new(Market::new(hub.clone()));
            client.ask(json!({"aid": "subscribe_quote", "ins_list": format!("{main},KQ.m@SHFE.cu,,{main},none")}));
            for (id, list, duration, width) in [
                ("ticks", main.clone(), 0, 50),
                ("main", "KQ.m@SHFE.cu".to_owned(), 0, 50),
                ("bars", main.clone(), 60 * NS_PER_S, 30),
                ("days", main.clone(), DAY_NS, 5),
                ("both", format!("{main},{other}"), 300 * NS_PER_S, 20),
            ] {
                client.ask(json!({
                    "aid": "set_chart", "chart_id": id, "ins_list": list, "duration": duration, "view_width": width,
                }));
            }
            (every, client)
        })
        .collect();
    let mut clients = clients;
    for step in hub.news().step + 1..hub.tape.steps.len() {
        hub.step_to(step);
        for (every, client) in &mut clients {
            if step.is_multiple_of(*every) || step + 1 == hub.tape.steps.len() {
                client.peek(&hub);
            }
        }
    }
    let (_, first) = &clients[0];
    for (every, client) in &clients {
        for part in ["quotes", "charts", "ins_list"] {
            assert_eq!(client.document[part], first.document[part], "{part}, asked every {every}");
        }
        for symbol in [main.as_str(), "KQ.m@SHFE.cu"] {
            assert_eq!(kept(&client.document, symbol), kept(&first.document, symbol), "{symbol}, asked every {every}");
        }
        for symbol in [&main, &other] {
            for (duration, serial) in first.document["klines"][symbol].as_object().unwrap() {
                let own = &client.document["klines"][symbol][duration];
                assert_eq!(own["last_id"], serial["last_id"], "{symbol} {duration}, asked every {every}");
                for (id, bar) in own["data"].as_object().unwrap() {
                    assert_eq!(bar, &serial["data"][id], "{symbol} {duration} {id}, asked every {every}");
                }
                for (symbol, bound) in own["binding"].as_object().into_iter().flatten() {
                    for (id, to) in bound.as_object().unwrap() {
                        assert_eq!(to, &serial["binding"][symbol][id], "{symbol} {id}, asked every {every}");
                    }
                }
            }
        }
    }
    assert!(clients.windows(2).all(|w| w[0].1.frames > w[1].1.frames));
}

/// DS-12
#[test]
fn a_bar_that_runs_becomes_the_bar_that_is_complete() {
    let hub = world(4);
    let at = hub.tape.find(&main_symbol(&hub)).unwrap();
    let series = &hub.tape.series[at];
    for duration_ns in [NS_PER_S, 60 * NS_PER_S, 3_600 * NS_PER_S, DAY_NS, 3 * DAY_NS] {
        let bars = Bars::new(series, duration_ns, &hub.tape.calendar);
        let (mut running, mut count) = (None, 0);
        for rows in 1..=series.ticks.rows() {
            let known = bars.shown(rows);
            if known > count {
                let before = running.map(|r: Running| r.bar);
                assert_eq!(before, count.checked_sub(1).map(|id| bars.bars[id]), "{duration_ns}");
                count = known;
            }
            if let Some(last) = known.checked_sub(1) {
                let next = Running::at(running, series, &bars, last, rows);
                assert_eq!(next.bar, Running::at(None, series, &bars, last, rows).bar, "{duration_ns} {rows}");
                running = Some(next);
            }
        }
        assert_eq!(running.map(|r| r.bar), bars.bars.last().copied(), "{duration_ns}");
        assert!(bars.bars.is_sorted_by(|a, b| a.start_ns < b.start_ns), "{duration_ns}");
    }
}

/// DS-23, DS-27, DS-28, DS-30: two logins of a user, one that takes each change and one that takes few, see the same, and
/// the sums hold in every picture.
#[test]
fn an_account_is_one_picture_for_all() {
    let hub = world(3);
    let main = main_symbol(&hub);
    let series = hub.tape.find(&main).unwrap();
    let instrument = main.trim_start_matches("SHFE.").to_owned();
    let mut quick = Client::new(Trading::new(hub.clone()));
    let mut slow = Client::new(Trading::new(hub.clone()));
    for client in [&mut quick, &mut slow] {
        client.ask(json!({"aid": "req_login", "bid": "sim", "user_name": "u", "password": ""}));
        client.peek(&hub);
    }
    let mut made = 0;
    for step in hub.news().step + 1..hub.tape.steps.len() {
        hub.step_to(step);
        let of = &hub.tape.series[series];
        let row = of.shown(hub.tape.steps[step].ts_ns).saturating_sub(1);
        let best = |column| of.cell(column, row);
        let (bid, ask) = (best(ghtrader_core::Column::bid_price(0)), best(ghtrader_core::Column::ask_price(0)));
        if step.is_multiple_of(37) && bid.is_finite() && ask.is_finite() {
            made += 1;
            let (direction, offset, price) = match made % 6 {
                0 => ("BUY", "OPEN", ask),
                1 => ("SELL", "CLOSETODAY", bid),
                2 => ("SELL", "OPEN", ask + 20.0),
                3 => ("BUY", "OPEN", bid),
                4 => ("SELL", "CLOSE", bid),
                _ => ("BUY", "CLOSE", ask),
            };
            quick.ask(json!({
                "aid": "insert_order", "user_id": "u", "order_id": format!("o{made}"), "exchange_id": "SHFE",
                "instrument_id": instrument, "direction": direction, "offset": offset, "volume": 1 + made % 3,
                "price_type": "LIMIT", "limit_price": price, "time_condition": "GFD", "volume_condition": "ANY",
            }));
        }
        if step.is_multiple_of(101) && made > 2 {
            slow.ask(json!({"aid": "cancel_order", "user_id": "u", "order_id": format!("o{}", made - 2)}));
        }
        quick.peek(&hub);
        check_sums(&quick.document, &main);
        if step.is_multiple_of(150) {
            slow.peek(&hub);
            check_sums(&slow.document, &main);
        }
    }
    for _ in 0..2 {
        quick.peek(&hub);
        slow.peek(&hub);
    }
    let parts = |client: &Client<Trading>| {
        let mut own = client.document["trade"]["u"].clone();
        own.as_object_mut().unwrap().retain(|name, _| name != "transfers");
        own
    };
    assert_eq!(parts(&quick), parts(&slow));
    assert!(quick.frames > 2 * slow.frames && made > 50, "{made} orders");
    let empty = Map::new();
    let notices = quick.document["notify"].as_object().unwrap_or(&empty);
    let count = |code: i64| notices.values().filter(|n| n["code"] == code).count();
    assert!(count(406) > 20 && count(419) > 0 && count(325) == 3, "{} fills, {} cancels", count(406), count(419));
}

fn check_sums(document: &Value, symbol: &str) {
    let own = &document["trade"]["u"];
    let money = |name: &str| own["accounts"]["CNY"][name].as_f64().unwrap();
    let close = |a: f64, b: f64, what: &str| assert!((a - b).abs() < 1e-6, "{what}: {a} is not {b}");
    close(money("static_balance"), money("pre_balance") + money("deposit") - money("withdraw"), "static");
    let profit = money("close_profit") + money("position_profit");
    close(money("balance"), money("static_balance") + profit - money("commission"), "balance");
    close(money("available"), money("balance") - money("margin") - money("frozen_margin"), "available");
    let Some(position) = own["positions"].get(symbol) else { return };
    for name in ["float_profit", "position_profit", "margin"] {
        let part = |side: &str| position[format!("{name}_{side}")].as_f64().unwrap();
        close(money(name), part("long") + part("short"), name);
    }
    // An order that has ended lies under no lock, one that lives has its lots left.
    for order in own["orders"].as_object().into_iter().flatten().map(|(_, o)| o) {
        let left = order["volume_left"].as_i64().unwrap();
        assert!(order["status"] == "FINISHED" || left > 0, "{order}");
    }
}
