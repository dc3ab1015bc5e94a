//! Servers that refuse, are silent, contradict themselves, or flood.

use super::*;
use std::sync::atomic::{AtomicU64, Ordering};

fn client(url: &str, user: &str, limits: TradeLimits) -> TradeClient {
    let login = TradeLogin { user: user.to_owned(), confirms_settlement: false, ..login() };
    TradeClient::new(url, None, login, TradeOptions { limits, ..options() }).expect("an address")
}

/// DC-15: a login is refused by a notice, a handshake, a picture that does not come, or by nobody being there.
#[test]
fn logins_that_fail_say_why() {
    let limits = TradeLimits { login: Duration::from_millis(500), ..options().limits };
    let expired = TdServer::start(|_, frame| match frame["aid"].as_str() {
        Some("req_login") => {
            let notice =
                json!({ "type": "MESSAGE", "level": "WARNING", "code": 131, "content": "密码已过期,请修改密码" });
            vec![transaction(&json!([{ "notify": { "n1": notice } }]))]
        }
        _ => Vec::new(),
    });
    let mut refused = client(&expired.url(), "1234567889", limits);
    let error = refused.log_in(LONG).expect_err("a refusal");
    assert!(matches!(&error, TradeError::LoginRefused { code: 131, text, .. } if text.contains("过期")), "{error}");
    assert!(error.to_string().contains("12***89") && !error.to_string().contains("1234567889"), "{error}");
    // Too many wrong passwords lock an account: it is not tried again.
    for _ in 0..5 {
        assert!(matches!(refused.turn(BRIEF), Err(TradeError::LoginRefused { .. })));
    }
    assert_eq!(expired.lines(), 1);
    refused.reconnect();
    assert!(matches!(refused.log_in(LONG), Err(TradeError::LoginRefused { .. })));
    assert_eq!(expired.lines(), 2, "but when its owner says so");
    let sent = expired.frames();
    assert!(sent.iter().all(|f| f["aid"] != "confirm_settlement"), "who only looks confirms nothing: {sent:?}");

    let silent = TdServer::start(|_, frame| match frame["aid"].as_str() {
        Some("req_login") => {
            let notice = json!({ "type": "MESSAGE", "level": "INFO", "code": 0, "content": "请确认结算单" });
            vec![transaction(&json!([{ "notify": { "n1": notice } }]))]
        }
        _ => Vec::new(),
    });
    let error = client(&silent.url(), "U", limits).log_in(LONG).expect_err("silence");
    assert!(matches!(&error, TradeError::LoginLate { said, .. } if said.contains("请确认结算单")), "{error}");

    let closed = TdServer::refusing(401);
    let error = client(&closed.url(), "U", limits).log_in(LONG).expect_err("a refusal");
    assert!(matches!(&error, TradeError::Source(SourceError::Refused { .. })), "{error}");
    let busy = TdServer::refusing(503);
    let error = client(&busy.url(), "U", limits).log_in(LONG).expect_err("a refusal");
    assert!(
        matches!(&error, TradeError::Source(SourceError::Unavailable { why, .. }) if why.contains("503")),
        "{error}"
    );
    let nobody = closed.url();
    drop(closed);
    let error = client(&nobody, "U", limits).log_in(LONG).expect_err("nobody");
    assert!(matches!(&error, TradeError::Source(SourceError::Unavailable { .. })), "{error}");
    let shown = format!("{error} {error:?} {refused:?}");
    assert!(!shown.contains(PASSWORD), "{shown}");
    let bad = TradeClient::new("http://h/td", None, login(), options()).map(drop);
    assert!(matches!(bad, Err(SourceError::BadUrl { .. })));
}

/// DC-15: a refusal is heard as often as the server says it, by whichever id, and what a login that failed has seen does not
/// stand in the way of the next one.
#[test]
fn a_login_succeeds_once_what_was_wrong_is_mended() {
    let limits = TradeLimits { login: Duration::from_millis(500), ..options().limits };
    let logins = AtomicU64::new(0);
    let server = TdServer::start(move |_, frame| {
        if frame["aid"] != "req_login" {
            return Vec::new();
        }
        let refusal = json!({ "type": "MESSAGE", "level": "INFO", "code": 403, "content": "密码错误" });
        match logins.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => vec![transaction(&json!([{ "notify": { "n1": refusal } }]))],
            2 => Vec::new(),
            _ => vec![transaction(&json!([picture()]))],
        }
    });
    let mut client = client(&server.url(), "U", limits);
    for _ in 0..2 {
        client.reconnect();
        let error = client.log_in(LONG).expect_err("a refusal");
        assert!(matches!(error, TradeError::LoginRefused { code: 403, .. }), "{error}");
    }
    client.reconnect();
    let error = client.log_in(LONG).expect_err("silence");
    assert!(matches!(error, TradeError::LoginLate { .. }), "{error}");
    let events = client.log_in(LONG).expect("a login");
    assert!(events.contains(&TradeEvent::LoggedIn), "{events:?}");
    assert_eq!(server.lines(), 4);
}

/// DC-22: sums that do not hold are told by name, and nothing is sent over them.
#[test]
fn tampered_sums_close_the_desk() {
    let money = |balance: f64| json!([{ "trade": { "U": { "accounts": { "CNY": { "balance": balance } } } } }]);
    let server = TdServer::start(move |number, frame| match (number, frame["aid"].as_str()) {
        (_, Some("req_login")) => vec![transaction(&json!([picture()]))],
        // The peeks: the first is answered by the picture.
        (4, _) => vec![transaction(&money(1e6 + 0.01))],
        (5, _) => vec![transaction(&money(1e6))],
        _ => Vec::new(),
    });
    let dir = tempfile::tempdir().expect("a folder");
    let journal = dir.path().join("journal.log");
    let login = TradeLogin { user: "U".to_owned(), ..login() };
    let mut trader = Trader::open(&journal, &server.url(), None, login, options(), wall_ns).expect("a trader");
    let events = until(&mut trader, "a fault", |t| matches!(t.line().blocked(), Some(Blocked::SumsDisagree(_))));
    let faults: Vec<&str> = events
        .iter()
        .filter_map(|e| if let TradeEvent::SumsDisagree(f) = e { Some(f[0].member.as_str()) } else { None })
        .collect();
    assert_eq!(faults, ["balance"]);
    let Err(blocked) = trader.desk().map(drop) else { panic!("a desk over sums that do not hold") };
    assert!(blocked.to_string().contains("balance is told as 1000000.01"), "{blocked}");
    ready(&mut trader);
    let id = insert(&mut trader, buy(1, ASK));
    let sent = |id: &OrderId| server.frames().iter().filter(|f| f["order_id"] == id.as_str()).count();
    until(&mut trader, "insert", |_| sent(&id) == 1);
}

/// DC-02, DC-25: an owner that does not look is not flooded, and a peer that does not answer is found.
#[test]
fn what_waits_is_bounded() {
    const FRAMES: u64 = 3_000;
    let filler = "x".repeat(64 * 1024);
    let server = TdServer::start(move |_, frame| {
        if frame["aid"] != "req_login" {
            return Vec::new();
        }
        let mut frames = vec![transaction(&json!([picture()]))];
        frames.extend((0..FRAMES).map(|n| transaction(&json!([{ "n": n, "filler": filler }]))));
        frames
    });
    let mut client = client(&server.url(), "U", options().limits);
    client.log_in(LONG).expect("a login");
    let mut still = 0;
    let mut before = server.sent();
    while still < 5 {
        std::thread::sleep(Duration::from_millis(100));
        still = if server.sent() == before { still + 1 } else { 0 };
        before = server.sent();
    }
    assert!(before < FRAMES / 2, "{before} frames of 64 KiB were taken by nobody");
    let patience = Instant::now() + LONG;
    while server.sent() <= FRAMES {
        assert!(Instant::now() < patience, "{} frames", server.sent());
        client.turn(BRIEF).expect("a turn");
    }
}

/// DC-26
#[test]
fn frames_that_cannot_be_read_cost_the_line_and_nothing_else() {
    let server = TdServer::start(|number, frame| match (number, frame["aid"].as_str()) {
        (_, Some("req_login")) => vec![transaction(&json!([picture()]))],
        (4, _) => vec!["{\"aid\":\"rtn_data\",\"data\":[{\"trade\":{\"U\":{\"orders\":".to_owned()],
        _ => Vec::new(),
    });
    let dir = tempfile::tempdir().expect("a folder");
    let login = TradeLogin { user: "U".to_owned(), ..login() };
    let journal = dir.path().join("journal.log");
    let mut trader = Trader::open(&journal, &server.url(), None, login, options(), wall_ns).expect("a trader");
    let events = until(&mut trader, "three lines", |t| t.client().opened() >= 3);
    let cut = events.iter().find_map(|e| if let TradeEvent::Cut { why, .. } = e { Some(why) } else { None });
    assert!(cut.expect("a cut").contains("no JSON"), "{events:?}");
    ready(&mut trader);
}
