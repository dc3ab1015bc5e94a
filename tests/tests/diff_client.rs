//! The DIFF client against a source that is really there: login, websocket, paging, cuts. `DC-…` is the row of the
//! client's checklist that a test proves; the rows that need no connection are proved in `host/market/src/diff`.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use ghtrader_market::diff::{
    ClientOptions, Credentials, LineEvent, LineLimits, Login, MarketClient, PageStep, Secret, SocketOptions,
    SourceError, SourceUrls, TickPager, Turn, contracts_query, quote_batches, symbols_query,
};
use ghtrader_tests::diff_server::{CLIENT_SECRET, DiffServer, Habits, PASSWORD};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const S: &str = "SHFE.cu2509";
const BRIEF: Duration = Duration::from_millis(50);

#[expect(clippy::disallowed_methods, reason = "a login compares clocks")]
fn wall_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64)
}

fn an_hour_ahead_ns() -> i64 {
    wall_ns() + 3_600_000_000_000
}

fn login(server: &DiffServer, clock: fn() -> i64) -> Login {
    let urls = SourceUrls { auth: server.auth(), market: Some(server.market()), names: server.auth() };
    let credentials = Credentials {
        user: "ann".to_owned(),
        password: Secret::new(PASSWORD),
        client_id: "x".to_owned(),
        client_secret: Secret::new(CLIENT_SECRET),
    };
    Login::new(urls, credentials, clock).expect("addresses")
}

fn client(server: &DiffServer, options: ClientOptions) -> MarketClient {
    MarketClient::new(login(server, wall_ns), options)
}

fn rows(count: i64) -> Vec<Value> {
    let row = |i: i64| json!({"datetime": 1_752_800_400_000_000_000 + i * 500_000_000, "last_price": 78_000 + i % 7, "volume": i});
    (0..count).map(row).collect()
}

/// Reads a whole series, opening the line again whenever it ends; gives the ids and what ended the lines.
fn read_all(client: &mut MarketClient, symbol: &str) -> (Vec<i64>, Vec<String>, u64) {
    let (mut ids, mut cuts) = (Vec::new(), Vec::new());
    let mut pager = TickPager::of_span(symbol, 0, i64::MAX);
    let patience = Instant::now() + Duration::from_secs(60);
    while Instant::now() < patience {
        if !client.is_open()
            && let Err(e) = client.open()
        {
            cuts.push(e.to_string());
            std::thread::sleep(BRIEF);
            continue;
        }
        let turn = client.turn(BRIEF);
        let events = client.events();
        if let Turn::Closed(why) = turn {
            cuts.push(why);
            pager.reopened();
            continue;
        }
        let now = client.now();
        match pager.step(client.line(), &events, now) {
            PageStep::Waiting => {}
            PageStep::Rows(page) => ids.extend(page.iter().map(|r| r.id)),
            PageStep::Last(page) => {
                ids.extend(page.iter().map(|r| r.id));
                return (ids, cuts, pager.pages());
            }
            other => panic!("{other:?} behind {} rows", ids.len()),
        }
    }
    panic!("no end behind {} rows: {cuts:?}", ids.len());
}

fn all(count: i64) -> Vec<i64> {
    (0..count).collect()
}

/// DC-01, DC-02, DC-09
#[test]
fn rows_are_the_same_with_and_without_compression() {
    for (offers, takes, agreed) in [(true, true, 1), (true, false, 0), (false, true, 0)] {
        let server = DiffServer::start(Habits { deflate: takes, ..Habits::default() });
        server.add(S, rows(5_001));
        let socket = SocketOptions { deflate: offers, ..SocketOptions::default() };
        let mut client = client(&server, ClientOptions { socket, ..ClientOptions::default() });
        let (ids, cuts, pages) = read_all(&mut client, S);
        assert_eq!((ids, cuts.len(), pages), (all(5_001), 0, 3), "offered {offers}, taken {takes}");
        let seen = server.seen();
        assert_eq!((seen.deflated, seen.most_peeks, seen.charts()), (agreed, 1, 3), "offered {offers}, taken {takes}");
    }
}

/// DC-03, DC-08, DC-09
#[test]
fn old_and_eager_servers_are_understood() {
    for habits in [
        Habits { says_ready: false, ..Habits::default() },
        Habits { clips: true, packet_rows: 333, ..Habits::default() },
        Habits { unsolicited: true, ..Habits::default() },
    ] {
        let server = DiffServer::start(habits.clone());
        server.add(S, rows(4_100));
        let (ids, cuts, _) = read_all(&mut client(&server, ClientOptions::default()), S);
        assert_eq!((ids, cuts.len()), (all(4_100), 0), "{habits:?}");
    }
}

/// DC-02: a slow owner gets bigger transactions; nothing is asked for while it is at work.
#[test]
fn a_slow_owner_is_not_flooded() {
    let server = DiffServer::start(Habits::default());
    server.add(S, rows(10));
    let mut client = client(&server, ClientOptions::default());
    client.open().expect("a line");
    assert_eq!(client.turn(Duration::from_secs(5)), Turn::Data);
    std::thread::sleep(BRIEF);
    server.add(S, rows(3_000));
    assert_eq!(client.turn(BRIEF), Turn::Idle, "the answer to the one peek is all that comes");
    assert_eq!(server.seen().most_peeks, 1);
}

/// DC-10, DC-24
#[test]
fn an_empty_series_blocks_no_other() {
    let server = DiffServer::start(Habits::default());
    server.add("SHFE.cu2601", vec![]);
    server.add(S, rows(2_500));
    let mut client = client(&server, ClientOptions::default());
    let (ids, ..) = read_all(&mut client, "SHFE.cu2601");
    assert_eq!(ids, Vec::<i64>::new());
    let (ids, ..) = read_all(&mut client, S);
    assert_eq!(ids, all(2_500));
}

/// DC-12
#[test]
fn five_thousand_symbols_are_subscribed_on_three_lines() {
    let server = DiffServer::start(Habits::default());
    let symbols: Vec<String> = (0..5_000).map(|n| format!("SHFE.x{n:04}")).collect();
    symbols.iter().for_each(|s| server.add(s, rows(1)));
    let mut quoted = 0;
    for batch in quote_batches(symbols) {
        let mut client = client(&server, ClientOptions::default());
        client.open().expect("a line");
        let now = client.now();
        let wanted = batch.len();
        client.line().set_quotes(batch, now).expect("a batch fits");
        let mut came = 0;
        while came < wanted {
            assert_ne!(client.turn(Duration::from_secs(10)), Turn::Idle, "{came} of {wanted}");
            came += client.events().iter().filter(|e| matches!(e, LineEvent::Quote(_))).count();
        }
        quoted += came;
    }
    assert_eq!((quoted, server.seen().lines), (5_000, 3));
}

/// DC-13
#[test]
fn an_unknown_symbol_is_named() {
    let server = DiffServer::start(Habits::default());
    server.add(S, rows(1));
    let limits = LineLimits { quote: Duration::from_millis(300), ..LineLimits::default() };
    let mut client = client(&server, ClientOptions { limits, ..ClientOptions::default() });
    client.open().expect("a line");
    let known = client.instruments(symbols_query(&[S]), S).expect("an answer");
    assert_eq!(known.iter().map(|i| i.symbol.as_str()).collect::<Vec<_>>(), [S]);
    let variety = "cu".parse().expect("a product");
    assert_eq!(client.instruments(contracts_query(&variety), "cu").expect("an answer").len(), 1);
    match client.instruments(symbols_query(&["SHFE.cu9901"]), "SHFE.cu9901") {
        Err(SourceError::UnknownSymbol { symbol, message, .. }) => {
            assert_eq!((symbol.as_str(), message.as_str()), ("SHFE.cu9901", "unknown instrument"));
        }
        other => panic!("{other:?}"),
    }
    let now = client.now();
    client.line().set_quotes([S.to_owned(), "SHFE.cu9902".to_owned()], now).expect("two symbols");
    let patience = Instant::now() + Duration::from_secs(20);
    let mut events = Vec::new();
    while Instant::now() < patience && !events.contains(&LineEvent::UnknownSymbol("SHFE.cu9902".to_owned())) {
        client.turn(BRIEF);
        events.extend(client.events());
    }
    assert!(events.contains(&LineEvent::Quote(S.to_owned())), "{events:?}");
}

/// DC-14
#[test]
fn tokens_are_refreshed_and_a_new_login_follows_a_lost_one() {
    let server = DiffServer::start(Habits { token_life_s: 0.4, ..Habits::default() });
    let mut client = client(&server, ClientOptions::default());
    for _ in 0..3 {
        client.open().expect("a line");
        std::thread::sleep(Duration::from_millis(450));
    }
    let seen = server.seen();
    assert_eq!(
        (seen.passwords, seen.refreshes, seen.stale_tokens),
        (1, 2, 0),
        "expiry is seen before the server says so"
    );

    // Tokens that end earlier than they say: the line refuses one, the client gets another.
    server.change(|h| h.token_life_s = 3_600.0);
    client.open().expect("a line");
    server.change(|h| h.token_life_s = 0.05);
    std::thread::sleep(Duration::from_millis(100));
    server.forget();
    client.open().expect("a line with a new token");
    let seen = server.seen();
    assert_eq!((seen.stale_tokens, seen.refreshes, seen.lines), (1, 1, 1));
}

/// DC-14
#[test]
fn refusals_show_no_secret() {
    let refused = json!({ "error_description": format!("no {PASSWORD}, no {CLIENT_SECRET}") });
    let server = DiffServer::start(Habits { refusal: Some((401, refused)), ..Habits::default() });
    let mut refused = client(&server, ClientOptions::default());
    let error = refused.open().expect_err("a refusal");
    assert!(matches!(error, SourceError::Refused { .. }), "{error:?}");
    server.change(|h| h.refusal = Some((500, json!({ "trace": format!("{PASSWORD} {CLIENT_SECRET}") }))));
    let broken = client(&server, ClientOptions::default()).open().expect_err("a broken service");
    assert!(matches!(broken, SourceError::Unavailable { .. }), "{broken:?}");
    for shown in [format!("{error} {error:?} {refused:?}"), format!("{broken} {broken:?}")] {
        assert!(!shown.contains(PASSWORD) && !shown.contains(CLIENT_SECRET), "{shown}");
    }
}

#[test]
fn a_clock_that_is_an_hour_off_is_noticed() {
    let server = DiffServer::start(Habits::default());
    let error = MarketClient::new(login(&server, an_hour_ahead_ns), ClientOptions::default()).open();
    assert!(matches!(error, Err(SourceError::WrongClock { skew_s: 3_590..=3_601, .. })), "{error:?}");
}

/// DC-23
#[test]
fn lines_that_are_cut_and_a_server_that_is_killed_cost_no_row() {
    let mut server = DiffServer::start(Habits { cut_after: Some(7), packet_rows: 500, ..Habits::default() });
    server.add(S, rows(9_000));
    let mut line = client(&server, ClientOptions::default());
    let (ids, cuts, _) = read_all(&mut line, S);
    assert_eq!(ids, all(9_000));
    assert!(cuts.len() >= 2, "{cuts:?}");

    server.change(|h| h.cut_after = None);
    let mut killed = client(&server, ClientOptions::default());
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| read_all(&mut killed, S));
        for _ in 0..3 {
            std::thread::sleep(BRIEF);
            server.kill();
            std::thread::sleep(BRIEF);
            server.start_again();
        }
        let (ids, ..) = reading.join().expect("a reader");
        assert_eq!(ids, all(9_000));
    });
}

/// DC-25
#[test]
fn a_silent_peer_is_found_by_ping() {
    let ours = SocketOptions::default();
    assert!(ours.ping + ours.silence <= Duration::from_secs(40), "a dead peer is found within 40 s");
    let server = DiffServer::start(Habits { silent_after: Some(1), ..Habits::default() });
    let socket = SocketOptions { ping: Duration::from_millis(100), silence: Duration::from_millis(400), ..ours };
    let mut client = client(&server, ClientOptions { socket, ..ClientOptions::default() });
    client.open().expect("a line");
    assert_eq!(client.turn(Duration::from_secs(5)), Turn::Data);
    match client.turn(Duration::from_secs(20)) {
        Turn::Closed(why) => assert!(why.contains("silent"), "{why}"),
        other => panic!("{other:?}"),
    }
    // A line that is only idle stays: its pings are answered.
    server.change(|h| h.silent_after = None);
    client.open().expect("a line");
    assert_eq!(client.turn(Duration::from_secs(5)), Turn::Data);
    assert_eq!(client.turn(Duration::from_secs(1)), Turn::Idle);
}

/// DC-26
#[test]
fn a_broken_frame_costs_the_line_and_no_row() {
    let server = DiffServer::start(Habits { broken: Some((4, 2)), ..Habits::default() });
    server.add(S, rows(6_000));
    let mut client = client(&server, ClientOptions::default());
    let (ids, cuts, _) = read_all(&mut client, S);
    assert_eq!((ids, cuts.len()), (all(6_000), 2), "{cuts:?}");
    assert!(cuts.iter().all(|c| c.contains("no JSON") && c.contains("SH")), "an excerpt is told: {cuts:?}");
}

/// DC-26: other things that are no DIFF end a line and not the program.
#[test]
fn a_source_that_is_not_there_is_named() {
    let mut server = DiffServer::start(Habits::default());
    let mut nobody = client(&server, ClientOptions::default());
    server.change(|h| h.busy = 1);
    let busy = nobody.open().expect_err("503");
    assert!(matches!(&busy, SourceError::Unavailable { why, .. } if why.contains("503")), "{busy}");
    nobody.open().expect("the next try is served");
    server.kill();
    let gone = nobody.open().expect_err("nobody listens");
    assert!(matches!(gone, SourceError::Unavailable { .. }) && gone.to_string().contains("127.0.0.1"), "{gone}");
}
