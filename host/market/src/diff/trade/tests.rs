use super::*;
use crate::diff::recorded::capture;

const S: fn(u64) -> Duration = Duration::from_secs;

fn line(user: &str) -> TradeLine {
    let mut line = TradeLine::new(TradeLogin {
        broker: "sim".to_owned(),
        user: user.to_owned(),
        password: Secret::new("pw"),
        confirms_settlement: true,
    });
    line.opened(S(0));
    line
}

fn frames(line: &mut TradeLine) -> Vec<Value> {
    std::iter::from_fn(|| line.take_frame()).map(|f| serde_json::from_str(&f).unwrap()).collect()
}

fn events(line: &mut TradeLine) -> Vec<TradeEvent> {
    std::iter::from_fn(|| line.take_event()).collect()
}

fn data(line: &mut TradeLine, patches: Value) {
    line.receive(&json!({ "aid": "rtn_data", "data": patches }).to_string()).unwrap();
}

fn log_in(line: &mut TradeLine) {
    let picture = json!({"trade_more_data": false, "accounts": {"CNY": {"balance": 1.0}}, "positions": {}, "orders": {},
                         "trades": {}});
    data(line, json!([{"trade": {"U": picture}}]));
}

fn order(id: &str) -> NewOrder {
    NewOrder {
        order_id: id.to_owned(),
        exchange_id: "SHFE".to_owned(),
        instrument_id: "cu2509".to_owned(),
        direction: "BUY",
        offset: "OPEN",
        volume: 2,
        limit_price: 79_130.0,
    }
}

fn told(status: &str, left: i64) -> Value {
    json!({"order_id": "o1", "exchange_order_id": "E1", "status": status, "volume_orign": 2, "volume_left": left})
}

fn trade(id: &str, volume: i64) -> Value {
    json!({"trade_id": id, "order_id": "o1", "price": 79_130.0, "volume": volume})
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
    }
    let mut silent = line("U");
    silent.tick(S(19));
    assert!(events(&mut silent).is_empty());
    silent.tick(S(20));
    assert_eq!(events(&mut silent), [TradeEvent::LoginLate]);
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
            line.receive(&r.frame.to_string()).unwrap();
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
    data(&mut line, json!([{"trade": {"V": {"orders": {"o1": told("ALIVE", 2)}, "trades": {"t1": trade("t1", 1)}}}}]));
    assert_eq!(events(&mut line), [TradeEvent::LoggedIn]);
    assert!(line.orders().is_empty() && line.positions().is_empty());
}

/// DC-17
#[test]
fn an_order_never_comes_back_to_life() {
    let mut line = line("U");
    log_in(&mut line);
    data(&mut line, json!([{"trade": {"U": {"orders": {"o1": told("ALIVE", 2)}}}}]));
    data(&mut line, json!([{"trade": {"U": {"orders": {"o1": told("ALIVE", 1)}}}}]));
    data(&mut line, json!([{"trade": {"U": {"orders": {"o1": told("ALIVE", 2)}}}}]));
    assert_eq!(line.orders()["o1"].volume_left, 1, "what is filled stays filled");
    data(&mut line, json!([{"trade": {"U": {"orders": {"o1": told("FINISHED", 0)}}}}]));
    events(&mut line);
    data(&mut line, json!([{"trade": {"U": {"orders": {"o1": told("ALIVE", 2)}}}}]));
    assert!(events(&mut line).is_empty());
    assert!(line.orders()["o1"].finished && line.orders()["o1"].volume_left == 0);
    // A shell without status and exchange id is no order yet.
    data(&mut line, json!([{"trade": {"U": {"orders": {"o2": {"order_id": "o2", "status": "ALIVE"}}}}}]));
    assert!(!line.orders().contains_key("o2"));
}

/// DC-18, DC-19
#[test]
fn fills_count_once_and_may_follow_the_end_of_their_order() {
    let mut line = line("U");
    log_in(&mut line);
    data(&mut line, json!([{"trade": {"U": {"orders": {"o1": told("FINISHED", 0)}}}}]));
    assert_eq!(line.filled_lots("o1"), 0);
    let position = json!({"SHFE.cu2509": {"pos_long_today": 2, "pos_long_his": 0, "pos_short_today": 0,
                                          "pos_short_his": 0}});
    data(&mut line, json!([{"trade": {"U": {"trades": {"t1": trade("t1", 2)}, "positions": position}}}]));
    let fills = events(&mut line).into_iter().filter(|e| matches!(e, TradeEvent::Fill(_))).count();
    assert_eq!((fills, line.filled_lots("o1"), line.positions()["SHFE.cu2509"].long.today), (1, 2, 2));

    // The line is cut and the whole picture comes again.
    line.closed();
    line.opened(S(10));
    log_in(&mut line);
    data(
        &mut line,
        json!([{"trade": {"U": {"orders": {"o1": told("FINISHED", 0)}, "trades": {"t1": trade("t1", 2)}}}}]),
    );
    assert_eq!(events(&mut line), [TradeEvent::LoggedIn]);
    assert_eq!(line.filled_lots("o1"), 2);
}

/// DC-20
#[test]
fn an_order_that_nobody_knows_is_never_sent_again() {
    let mut line = line("U");
    assert_eq!(line.insert(&order("o1")), Err(OrderRefusal::NotLoggedIn));
    log_in(&mut line);
    line.insert(&order("o1")).unwrap();
    line.insert(&order("o2")).unwrap();
    assert_eq!(line.insert(&order("o1")), Err(OrderRefusal::Repeated("o1".to_owned())));
    assert_eq!(frames(&mut line).iter().filter(|f| f["aid"] == "insert_order").count(), 2);
    data(&mut line, json!([{"trade": {"U": {"orders": {"o2": told("FINISHED", 0)}}}}]));
    events(&mut line);
    line.closed();
    assert_eq!(line.insert(&order("o3")), Err(OrderRefusal::NotLoggedIn));
    line.opened(S(10));
    log_in(&mut line);
    let sent = frames(&mut line);
    let aids: Vec<&str> = sent.iter().map(|f| f["aid"].as_str().unwrap()).collect();
    assert_eq!(aids, ["req_login", "confirm_settlement", "peek_message"], "no order is among them");
    assert_eq!(events(&mut line), [TradeEvent::LoggedIn, TradeEvent::Ambiguous("o1".to_owned())]);
    assert_eq!(line.insert(&order("o1")), Err(OrderRefusal::Repeated("o1".to_owned())));
    // An order that the picture knows from an earlier life of the program is not sent again either.
    data(&mut line, json!([{"trade": {"U": {"orders": {"o9": told("FINISHED", 0)}}}}]));
    assert_eq!(line.insert(&order("o9")), Err(OrderRefusal::Repeated("o9".to_owned())));
}

/// DC-21
#[test]
fn today_and_before_are_closed_apart_on_shfe_and_ine() {
    use CloseOffset::{Close, CloseToday};
    let held = SideLots { today: 3, his: 2, frozen: 1 };
    for (exchange, lots, want) in [
        ("SHFE", 1, Ok(vec![(Close, 1)])),
        ("SHFE", 4, Ok(vec![(Close, 2), (CloseToday, 2)])),
        ("INE", 3, Ok(vec![(Close, 2), (CloseToday, 1)])),
        ("DCE", 4, Ok(vec![(Close, 4)])),
        ("SHFE", 5, Err(4)),
        ("SHFE", -1, Err(4)),
        ("SHFE", 0, Ok(vec![])),
    ] {
        assert_eq!(close_legs(exchange, held, lots), want, "{exchange} {lots}");
    }
    assert_eq!(close_legs("SHFE", SideLots { today: 2, ..SideLots::default() }, 2), Ok(vec![(CloseToday, 2)]));
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
            line.receive(&r.frame.to_string()).unwrap();
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
    let refused = all.iter().any(|e| matches!(e, TradeEvent::Notice { code: 415, .. }));
    assert!(all.contains(&TradeEvent::LoggedIn) && refused);
    let close = close_legs("SHFE", SideLots { today: 2, his: 0, frozen: 0 }, 2);
    assert_eq!(close, Ok(vec![(CloseOffset::CloseToday, 2)]), "what the gateway took; CLOSE it refused with 415");
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
