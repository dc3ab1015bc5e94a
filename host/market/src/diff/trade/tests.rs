use super::journal::Replayed;
use super::*;
use crate::diff::Secret;
use crate::diff::recorded::capture;
use crate::diff::value::number;
use ghtrader_core::Exchange;
use serde_json::{Value, json};
use std::time::Duration;

const S: fn(u64) -> Duration = Duration::from_secs;
const OURS: &str = "gt_0a0b0c0d_";

fn line(user: &str) -> TradeLine {
    let login = TradeLogin {
        broker: "sim".to_owned(),
        user: user.to_owned(),
        password: Secret::new("pw"),
        confirms_settlement: true,
    };
    let mut line = TradeLine::new(login, TradeLimits { second_look: Duration::from_secs(3), ..TradeLimits::default() });
    line.adopt(OURS.to_owned(), Replayed::default());
    line.opened(S(0));
    line
}

fn frames(line: &mut TradeLine) -> Vec<Value> {
    std::iter::from_fn(|| line.take_frame()).map(|f| serde_json::from_str(&f).unwrap()).collect()
}

fn events(line: &mut TradeLine) -> Vec<TradeEvent> {
    std::iter::from_fn(|| line.take_event()).collect()
}

/// States that orders of ours got to, by the number in their ids.
fn states(line: &mut TradeLine) -> Vec<(u64, OrderState)> {
    let own = |e| match e {
        TradeEvent::Own(o) => Some((o.order_id.as_str().rsplit('_').next().unwrap().parse().unwrap(), o.state)),
        _ => None,
    };
    events(line).into_iter().filter_map(own).collect()
}

fn data_at(line: &mut TradeLine, patches: Value, now: Duration) {
    line.receive(&json!({ "aid": "rtn_data", "data": patches }).to_string(), now).unwrap();
}

fn data(line: &mut TradeLine, patches: Value) {
    data_at(line, patches, S(1));
}

/// A complete picture of an account without money, with these orders.
fn log_in_at(line: &mut TradeLine, orders: Value, now: Duration) {
    let picture = json!({"trade_more_data": false, "trading_day": "20250718", "accounts": {"CNY": {"balance": 0.0}},
                         "positions": {}, "orders": orders, "trades": {}});
    data_at(line, json!([{"trade": {"U": picture}}]), now);
}

fn log_in(line: &mut TradeLine) {
    log_in_at(line, json!({}), S(1));
}

fn wanted() -> NewOrder {
    NewOrder::limit("SHFE.cu2509".parse().unwrap(), Direction::Buy, Offset::Open, 2, 79_130.0).unwrap()
}

fn id(number: u64) -> OrderId {
    OrderId::new(format!("{OURS}{number}"))
}

/// As a trader does it: written down, tracked, sent.
fn insert(line: &mut TradeLine, number: u64, now: Duration) -> Value {
    assert_eq!(line.blocked(), None);
    serde_json::from_str(&line.track(&id(number), &wanted(), now)).unwrap()
}

fn told(exchange_order_id: &str, status: &str, left: i64) -> Value {
    json!({"exchange_order_id": exchange_order_id, "status": status, "volume_orign": 2, "volume_left": left,
           "exchange_id": "SHFE", "instrument_id": "cu2509"})
}

fn orders(line: &mut TradeLine, orders: Value) {
    data(line, json!([{"trade": {"U": {"orders": orders}}}]));
}

fn trade(order: &str, volume: i64) -> Value {
    json!({"order_id": order, "price": 79_130.0, "volume": volume})
}

/// DC-15
#[test]
fn a_login_is_refused_by_a_notice_or_by_time() {
    for (code, level) in [(403, "INFO"), (3, "WARNING"), (402, "ERROR")] {
        let mut line = line("U");
        let notice = json!({"type": "MESSAGE", "level": level, "code": code, "content": "登录失败"});
        data(&mut line, json!([{ "notify": { "n1": notice } }]));
        assert_eq!(events(&mut line), [TradeEvent::LoginRefused { code, text: "登录失败".to_owned() }], "{level}");
        line.tick(S(60));
        assert!(events(&mut line).is_empty());
        assert_eq!(line.blocked(), Some(Blocked::NotLoggedIn));
    }
    let mut silent = line("U");
    silent.tick(S(19));
    assert!(events(&mut silent).is_empty());
    silent.tick(S(20));
    assert_eq!(events(&mut silent), [TradeEvent::LoginLate]);
    // A warning that comes with the complete account is none about the login.
    let mut warned = line("U");
    let notice = json!({"type": "MESSAGE", "level": "WARNING", "code": 9, "content": "保证金比例上调"});
    let picture = json!({"trade_more_data": false, "accounts": {"CNY": {}}});
    data(&mut warned, json!([{"notify": {"n1": notice}}, {"trade": {"U": picture}}]));
    assert!(warned.is_logged_in());
}

/// DC-15
#[test]
fn the_recorded_refusal_is_an_error_and_the_recorded_logins_are_none() {
    let Some(recorded) = capture("mock_trade.jsonl") else { return };
    let (mut sessions, mut current): (Vec<Vec<TradeEvent>>, Option<TradeLine>) = (Vec::new(), None);
    for r in recorded.iter().filter(|r| r.channel == "td") {
        if r.by_client && r.frame["aid"] == "req_login" {
            current = Some(line(r.frame["user_name"].as_str().unwrap()));
            sessions.push(Vec::new());
        } else if let (false, Some(line), Some(session)) = (r.by_client, &mut current, sessions.last_mut()) {
            line.receive(&r.frame.to_string(), S(1)).unwrap();
            session.extend(events(line));
        }
    }
    let refused = |s: &Vec<TradeEvent>| s.iter().any(|e| matches!(e, TradeEvent::LoginRefused { .. }));
    let logged_in = |s: &Vec<TradeEvent>| s.contains(&TradeEvent::LoggedIn);
    let outcomes: Vec<(bool, bool)> = sessions.iter().map(|s| (logged_in(s), refused(s))).collect();
    assert_eq!(outcomes, [(true, false), (true, false), (false, true)]);
}

/// DC-16
#[test]
fn other_users_orders_are_not_ours() {
    let mut line = line("U");
    log_in(&mut line);
    events(&mut line);
    let other = json!({"orders": {"o1": told("E", "ALIVE", 2)}, "trades": {"t1": trade("o1", 1)}});
    data(&mut line, json!([{"trade": {"V": other}}]));
    assert_eq!(events(&mut line), []);
    assert!(line.orders().is_empty() && line.positions().is_empty());
}

/// DC-17
#[test]
fn an_order_never_comes_back_to_life() {
    let mut line = line("U");
    log_in(&mut line);
    orders(&mut line, json!({"o1": told("E1", "ALIVE", 2)}));
    orders(&mut line, json!({"o1": told("E1", "ALIVE", 1)}));
    orders(&mut line, json!({"o1": told("E1", "ALIVE", 2)}));
    assert_eq!(line.orders()["o1"].volume_left, 1, "what is filled stays filled");
    orders(&mut line, json!({"o1": told("E1", "FINISHED", 0)}));
    events(&mut line);
    orders(&mut line, json!({"o1": told("E1", "ALIVE", 2)}));
    assert!(events(&mut line).is_empty());
    assert!(line.orders()["o1"].finished && line.orders()["o1"].volume_left == 0);
    // A shell without status and exchange id is no order yet.
    orders(&mut line, json!({"o2": {"order_id": "o2", "status": "ALIVE"}}));
    assert!(!line.orders().contains_key("o2"));
}

/// DC-17
#[test]
fn an_order_of_ours_goes_through_its_states_once() {
    use OrderState::{Acknowledged, Cancelled, Filled, PartlyFilled, Rejected};
    let mut line = line("U");
    log_in(&mut line);
    events(&mut line);
    (1..=5).for_each(|n| drop(insert(&mut line, n, S(1))));
    let key = |n: u64| id(n).as_str().to_owned();
    orders(&mut line, json!({key(1): told("E1", "ALIVE", 2), key(2): told("", "FINISHED", 2)}));
    orders(&mut line, json!({key(1): told("E1", "ALIVE", 1), key(3): told("E3", "ALIVE", 2)}));
    orders(&mut line, json!({key(1): told("E1", "FINISHED", 0), key(3): told("E3", "FINISHED", 2)}));
    assert_eq!(
        states(&mut line),
        [(1, Acknowledged), (2, Rejected), (1, PartlyFilled), (3, Acknowledged), (1, Filled), (3, Cancelled)]
    );
    orders(&mut line, json!({key(1): told("E1", "ALIVE", 2), key(3): told("E3", "ALIVE", 1)}));
    assert_eq!(states(&mut line), []);
    // A gateway that gives an id to what it refuses: the notice tells.
    let refusal = json!({"type": "MESSAGE", "level": "WARNING", "code": 415, "content": "平昨手数超过昨仓持仓量"});
    data(&mut line, json!([{"notify": {"n1": refusal}}]));
    orders(&mut line, json!({key(4): told("E4", "FINISHED", 2)}));
    assert_eq!(states(&mut line), [(4, Rejected)]);
    assert!(line.own_order(&id(4)).unwrap().reason.contains("415"));
    assert!(line.cancel(&id(5)) && !line.cancel(&id(9)));
    orders(&mut line, json!({key(5): told("E5", "FINISHED", 2)}));
    assert_eq!(states(&mut line), [(5, Cancelled)], "what was asked to end was not refused");
}

/// DC-18, DC-19
#[test]
fn fills_count_once_and_may_follow_the_end_of_their_order() {
    let mut line = line("U");
    log_in(&mut line);
    orders(&mut line, json!({"o1": told("E1", "FINISHED", 0)}));
    assert_eq!(line.filled_lots("o1"), 0);
    let position = json!({"SHFE.cu2509": {"pos_long_today": 2, "pos_long_his": 0, "pos_short_today": 0,
                                          "pos_short_his": 0}});
    data(&mut line, json!([{"trade": {"U": {"trades": {"t1": trade("o1", 2)}, "positions": position}}}]));
    let fills = events(&mut line).into_iter().filter(|e| matches!(e, TradeEvent::Fill(_))).count();
    assert_eq!((fills, line.filled_lots("o1"), line.positions()["SHFE.cu2509"].long.today), (1, 2, 2));

    // The line is cut and the whole picture comes again.
    line.closed();
    line.opened(S(10));
    log_in_at(&mut line, json!({"o1": told("E1", "FINISHED", 0)}), S(11));
    data(&mut line, json!([{"trade": {"U": {"trades": {"t1": trade("o1", 2)}}}}]));
    assert_eq!(events(&mut line), [TradeEvent::LoggedIn]);
    assert_eq!(line.filled_lots("o1"), 2);
}

/// DC-18: a fill that was written down before the program was killed is no news after it.
#[test]
fn fills_of_an_earlier_life_count_once() {
    let mut line = line("U");
    let fills = [("t1".to_owned(), (id(1).as_str().to_owned(), 1))].into();
    line.adopt(OURS.to_owned(), Replayed { fills, last: 1, ..Replayed::default() });
    assert_eq!(line.filled_lots(id(1).as_str()), 1);
    log_in(&mut line);
    events(&mut line);
    let trades = json!({"t1": trade(id(1).as_str(), 1), "t2": trade(id(1).as_str(), 1)});
    data(&mut line, json!([{"trade": {"U": {"trades": trades}}}]));
    let news: Vec<TradeEvent> = events(&mut line);
    assert!(matches!(&news[..], [TradeEvent::Fill(f)] if f.trade_id == "t2"), "{news:?}");
    assert_eq!(line.filled_lots(id(1).as_str()), 2);
}

/// DC-20
#[test]
fn an_order_that_nobody_knows_is_looked_for_and_never_sent_again() {
    use OrderState::{Acknowledged, Filled, Lost, Settled, Unknown};
    let mut line = line("U");
    assert_eq!(line.blocked(), Some(Blocked::NotLoggedIn));
    log_in(&mut line);
    let frame = insert(&mut line, 1, S(1));
    assert_eq!((frame["aid"].as_str(), frame["order_id"].as_str()), (Some("insert_order"), Some(id(1).as_str())));
    for n in 2..=3 {
        insert(&mut line, n, S(1));
    }
    orders(&mut line, json!({id(2).as_str(): told("E2", "ALIVE", 2)}));
    frames(&mut line);
    events(&mut line);
    line.closed();
    assert_eq!(states(&mut line), [(1, Unknown), (3, Unknown)], "reported at once");
    assert_eq!(line.blocked(), Some(Blocked::NotLoggedIn));
    let aids = |line: &mut TradeLine| -> Vec<String> {
        frames(line).iter().map(|f| f["aid"].as_str().unwrap().to_owned()).collect()
    };
    let login = ["req_login", "confirm_settlement", "peek_message"];

    // The first picture knows of 3; 1 may still be on its way, and nothing else is sent meanwhile.
    line.opened(S(10));
    log_in_at(
        &mut line,
        json!({id(2).as_str(): told("E2", "ALIVE", 2), id(3).as_str(): told("E3", "FINISHED", 0)}),
        S(11),
    );
    assert_eq!(states(&mut line), [(3, Filled)]);
    assert_eq!(aids(&mut line), login);
    assert_eq!(line.blocked(), Some(Blocked::Unresolved(vec![id(1)])));
    assert!(!line.wants_look(S(12)) && line.wants_look(S(14)));

    // The second one, too early to count, then late enough; 2 is gone from it.
    for (at, wants) in [(12, &[(2, Unknown)][..]), (15, &[(1, Lost), (2, Lost)])] {
        line.closed();
        line.opened(S(at));
        log_in_at(&mut line, json!({}), S(at));
        assert_eq!(states(&mut line), wants, "at {at} s");
        assert_eq!(aids(&mut line), login);
    }
    assert_eq!(line.blocked(), Some(Blocked::Unresolved(vec![id(1), id(2)])));
    assert!(!line.wants_look(S(99)), "two looks are enough");

    // A person settles one; the other turns up after all.
    assert!(line.settle(&id(1), "the broker has none of it") && !line.settle(&id(1), "again"));
    orders(&mut line, json!({id(2).as_str(): told("E2", "ALIVE", 2)}));
    assert_eq!(states(&mut line), [(1, Settled), (2, Acknowledged)]);
    assert_eq!(line.blocked(), None);
    // So may the settled one.
    orders(&mut line, json!({id(1).as_str(): told("E1", "FINISHED", 0)}));
    assert_eq!(states(&mut line), [(1, Filled)]);
    assert!(aids(&mut line).iter().all(|aid| aid != "insert_order"));
}

/// DC-20: a journal that was put back from a copy would give ids again that the account has seen.
#[test]
fn a_journal_that_is_behind_its_account_is_not_traded_with() {
    let mut line = line("U");
    line.adopt(OURS.to_owned(), Replayed { last: 7, ..Replayed::default() });
    let key = |n: u64| id(n).as_str().to_owned();
    // An order of an earlier day, one of another journal, one of another program.
    let known =
        json!({key(7): told("E", "FINISHED", 0), "gt_ffffffff_99": told("E", "ALIVE", 1), "x": told("E", "ALIVE", 1)});
    log_in_at(&mut line, known, S(1));
    insert(&mut line, 9, S(1));
    orders(&mut line, json!({key(9): told("E", "ALIVE", 2)}));
    assert_eq!(line.blocked(), None);
    orders(&mut line, json!({key(11): told("E", "ALIVE", 2)}));
    let blocked = line.blocked().unwrap();
    assert_eq!(blocked.code(), "journal_behind");
    assert!(blocked.to_string().contains(&key(11)), "{blocked}");
}

/// DC-20
#[test]
fn an_order_without_an_answer_is_unknown_while_the_line_stands() {
    let mut line = line("U");
    log_in(&mut line);
    insert(&mut line, 1, S(5));
    events(&mut line);
    line.tick(S(7));
    assert!(events(&mut line).is_empty() && !line.wants_look(S(7)));
    line.tick(S(8));
    assert_eq!(states(&mut line), [(1, OrderState::Unknown)]);
    assert!(line.wants_look(S(8)));
    assert!(line.blocked().is_some());
    // The answer was only late.
    orders(&mut line, json!({id(1).as_str(): told("E1", "ALIVE", 2)}));
    assert_eq!(states(&mut line), [(1, OrderState::Acknowledged)]);
    assert!(!line.wants_look(S(9)) && line.blocked().is_none());
}

/// DC-20: a day later the account's orders say nothing about it.
#[test]
fn an_order_of_a_day_that_is_over_says_so() {
    let mut line = line("U");
    log_in(&mut line);
    insert(&mut line, 1, S(1));
    for at in [10, 20] {
        line.closed();
        line.opened(S(at));
        data_at(
            &mut line,
            json!([{"trade": {"U": {"trading_day": "20250721", "trade_more_data": false,
                                                   "accounts": {"CNY": {}}}}}]),
            S(at),
        );
    }
    let order = line.own_order(&id(1)).unwrap();
    assert_eq!(order.state, OrderState::Lost);
    assert!(order.reason.contains("its trading day is over"), "{}", order.reason);
}

/// DC-21
#[test]
fn today_and_before_are_closed_apart_on_shfe_and_ine() {
    use Offset::{Close, CloseToday};
    let held = SideLots { today: 3, his: 2, frozen_today: 1, frozen_his: 0 };
    for (exchange, lots, want) in [
        (Exchange::Shfe, 1, Ok(vec![(Close, 1)])),
        (Exchange::Shfe, 4, Ok(vec![(Close, 2), (CloseToday, 2)])),
        (Exchange::Ine, 3, Ok(vec![(Close, 2), (CloseToday, 1)])),
        (Exchange::Dce, 4, Ok(vec![(Close, 4)])),
        (Exchange::Shfe, 5, Err(4)),
        (Exchange::Shfe, -1, Err(4)),
        (Exchange::Shfe, 0, Ok(vec![])),
    ] {
        assert_eq!(close_legs(exchange, held, lots), want, "{exchange} {lots}");
    }
    let only_today = SideLots { today: 2, ..SideLots::default() };
    assert_eq!(close_legs(Exchange::Shfe, only_today, 2), Ok(vec![(CloseToday, 2)]));
    let his_is_held = SideLots { today: 3, his: 2, frozen_today: 0, frozen_his: 2 };
    assert_eq!(close_legs(Exchange::Shfe, his_is_held, 3), Ok(vec![(CloseToday, 3)]));

    let contract = "SHFE.cu2509".parse().unwrap();
    let orders = NewOrder::closing(&contract, Direction::Buy, held, 4, 79_000.0).unwrap();
    let legs: Vec<(Direction, Offset, u32)> = orders.iter().map(|o| (o.direction, o.offset, o.lots)).collect();
    assert_eq!(legs, [(Direction::Sell, Close, 2), (Direction::Sell, CloseToday, 2)]);
    assert!(orders.iter().all(|o| o.check_close(held).is_ok()));
    let close =
        |offset, lots| NewOrder::limit(contract.clone(), Direction::Sell, offset, lots, 1.0).unwrap().check_close(held);
    assert_eq!(close(Close, 3), Err(OrderRefusal::NothingToClose { lots: 3, free: 2 }));
    assert_eq!(close(CloseToday, 3), Err(OrderRefusal::NothingToClose { lots: 3, free: 2 }));
    assert_eq!(close(Offset::Open, 9), Ok(()));
    assert_eq!(NewOrder::limit(contract.clone(), Direction::Buy, Close, 0, 1.0), Err(OrderRefusal::NoLots));
    assert!(NewOrder::limit(contract, Direction::Buy, Close, 1, f64::NAN).is_err());
}

/// DC-21: lots that only a sum says to be held.
#[test]
fn lots_that_are_held_are_told_apart_or_as_a_sum() {
    let read = |p: Value| read_positions(json!({ "X": p }).as_object().unwrap())["X"].long;
    let apart =
        json!({"pos_long_today": 3, "pos_long_his": 2, "volume_long_frozen_today": 1, "volume_long_frozen_his": 2});
    assert_eq!(read(apart), SideLots { today: 3, his: 2, frozen_today: 1, frozen_his: 2 });
    let sum = json!({"volume_long_today": 3.0, "volume_long_his": 2, "volume_long_frozen": 4});
    assert_eq!(read(sum), SideLots { today: 3, his: 2, frozen_today: 3, frozen_his: 1 });
    assert_eq!(read(json!({})), SideLots::default());
}

/// DC-18, DC-19, DC-21, DC-22: a real gateway's session: fill, cancel, a refused close, closing today's lots.
#[test]
fn the_recorded_gateway_session_adds_up() {
    let Some(recorded) = capture("real_otg_sim_frames.jsonl") else { return };
    let mut line = line("alice");
    let (mut all, mut held) = (Vec::new(), Vec::new());
    for r in recorded.iter().filter(|r| !r.by_client) {
        // Everything twice: a repeated picture adds nothing.
        for _ in 0..2 {
            line.receive(&r.frame.to_string(), S(1)).unwrap();
        }
        assert_eq!(line.alerts(), [], "{}", r.frame);
        all.extend(events(&mut line));
        if let Some(p) = line.positions().get("SHFE.rb2510") {
            held.push((p.long.today, p.long.his));
        }
    }
    held.dedup();
    assert_eq!(held, [(2, 0), (0, 0)]);
    let fills: Vec<i64> =
        all.iter().filter_map(|e| if let TradeEvent::Fill(f) = e { Some(f.volume) } else { None }).collect();
    assert_eq!(fills, [2, 2]);
    assert!(line.orders().values().all(|o| o.finished));
    let refused = all.iter().filter(|e| matches!(e, TradeEvent::Notice { code: 415, .. })).count();
    assert!(all.contains(&TradeEvent::LoggedIn) && refused == 1);
    let picture = line.picture().unwrap();
    assert_eq!((picture.trading_day.as_str(), picture.orders.len(), picture.trades.len()), ("20261123", 4, 2));
    assert!(picture.positions.is_empty() && picture.faults.is_empty() && picture.money.balance > 999_000.0);
    let close = close_legs(Exchange::Shfe, SideLots { today: 2, ..SideLots::default() }, 2);
    assert_eq!(close, Ok(vec![(Offset::CloseToday, 2)]), "what the gateway took; CLOSE it refused with 415");
}

/// DC-22
#[test]
fn a_tampered_member_is_an_alert() {
    let Some(recorded) = capture("real_otg_sim_frames.jsonl") else { return };
    let fill = &recorded[14].frame["data"][0]["trade"]["alice"];
    let (account, positions) = (fill["accounts"]["CNY"].as_object().unwrap(), fill["positions"].as_object().unwrap());
    assert_eq!(check_sums(account, Some(positions)), []);
    for member in ["balance", "available", "static_balance", "margin", "position_profit", "float_profit", "risk_ratio"]
    {
        let mut tampered = account.clone();
        tampered.insert(member.to_owned(), json!(number(account.get(member)) + 0.01));
        assert!(!check_sums(&tampered, Some(positions)).is_empty(), "{member}");
    }
    for member in ["volume_long", "float_profit_long", "position_profit_long", "margin", "open_cost_long"] {
        let mut tampered = positions.clone();
        let position = &mut tampered["SHFE.rb2510"];
        position[member] = json!(number(position.get(member)) + 1.0);
        assert!(!check_sums(account, Some(&tampered)).is_empty(), "{member}");
    }
}

/// DC-22: a recorded session with one sum spoilt is told by name, once, and nothing is sent until it holds again.
#[test]
fn an_account_that_contradicts_itself_is_not_traded() {
    let Some(recorded) = capture("real_otg_sim_frames.jsonl") else { return };
    let mut line = line("alice");
    for r in recorded.iter().take(15).filter(|r| !r.by_client) {
        line.receive(&r.frame.to_string(), S(1)).unwrap();
    }
    events(&mut line);
    assert_eq!(line.blocked(), None);
    let account = |balance: f64| json!([{"trade": {"alice": {"accounts": {"CNY": {"balance": balance}}}}}]);
    data(&mut line, account(999_973.9));
    let said = events(&mut line);
    let [TradeEvent::SumsDisagree(faults)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(faults[0].member, "balance");
    let blocked = line.blocked().unwrap();
    assert_eq!(blocked.code(), "account_sums");
    assert!(blocked.to_string().contains("balance is told as 999973.9"), "{blocked}");
    data(&mut line, account(999_973.95));
    assert_eq!(events(&mut line), [], "the same fault is no news");
    data(&mut line, account(999_973.8));
    assert_eq!(events(&mut line), [TradeEvent::SumsAgree]);
    assert_eq!(line.blocked(), None);
}
