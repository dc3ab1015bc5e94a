//! Lines that are cut and servers that are killed, behind an order and in the middle of frames.

use super::*;

/// DC-20: the answer to an insert is lost with its line; the next picture tells, and the broker has one order.
#[test]
fn an_answer_that_is_lost_is_read_from_the_next_picture() {
    let world = World::new(2_000, &["--speed", "1"]);
    let cable = Cable::to(&world.url());
    let mut trader = world.trader_at(&cable.url(&world.url()));
    ready(&mut trader);
    cable.hold_answers(true);
    let id = insert(&mut trader, buy(1, BID - 100.0));
    // It is there before the line is cut.
    let patience = Instant::now() + LONG;
    while world.broker().orders.is_empty() {
        assert!(Instant::now() < patience, "the order does not arrive");
    }
    cable.cut();
    let events = reaches(&mut trader, &id, OrderState::Acknowledged);
    assert_eq!(told(&events, &id), [OrderState::Unknown, OrderState::Acknowledged]);
    assert!(events.iter().any(|e| matches!(e, TradeEvent::Cut { .. })));
    ready(&mut trader);
    assert_eq!(world.broker().orders.len(), 1);
}

/// DC-20: an insert that is lost on its way is lost, and stays so until a person has looked into it.
#[test]
fn an_order_that_never_arrived_is_lost_and_blocks() {
    let world = World::new(2_000, &["--speed", "1"]);
    let cable = Cable::to(&world.url());
    let mut trader = world.trader_at(&cable.url(&world.url()));
    ready(&mut trader);
    cable.hold_requests(true);
    let id = insert(&mut trader, buy(1, ASK));
    std::thread::sleep(BRIEF);
    cable.cut();
    let events = reaches(&mut trader, &id, OrderState::Lost);
    assert_eq!(told(&events, &id), [OrderState::Unknown, OrderState::Lost]);
    assert!(trader.own_order(&id).expect("it").reason.contains("not in two pictures"));
    assert!(matches!(trader.desk().map(drop), Err(Blocked::Unresolved(ids)) if ids == [id.clone()]));
    let unresolved = unresolved_orders(&world.journal()).expect("the journal");
    assert_eq!(unresolved.iter().map(|o| (&o.order_id, o.state)).collect::<Vec<_>>(), [(&id, OrderState::Lost)]);

    // A new life of the program is blocked as well.
    drop(trader);
    let mut trader = world.trader();
    until(&mut trader, "login", |t| t.line().is_logged_in());
    assert!(matches!(trader.desk().map(drop), Err(Blocked::Unresolved(_))));
    assert!(trader.settle_lost(&id, "the broker has no such order").expect("a journal"));
    assert!(!trader.settle_lost(&id, "again").expect("a journal"));
    let events = trader.turn(BRIEF).expect("a turn");
    assert_eq!(told(&events, &id), [OrderState::Settled]);
    assert_eq!(unresolved_orders(&world.journal()).expect("the journal"), []);
    let next = insert(&mut trader, buy(1, ASK));
    assert_ne!(next, id);
    reaches(&mut trader, &next, OrderState::Filled);
    assert_eq!(world.broker().orders.len(), 1, "the lost one was never sent again");
}

/// DC-20, DC-23: the server is killed behind an insert and comes back without a memory.
#[test]
fn a_server_that_is_killed_behind_an_insert() {
    let mut world = World::new(2_000, &["--speed", "1"]);
    let mut trader = world.trader();
    ready(&mut trader);
    let id = insert(&mut trader, buy(1, BID - 100.0));
    world.server.kill();
    let events = until(&mut trader, "pauses", |t| state(t, &id) != OrderState::Journaled);
    let mut cuts = events;
    for _ in 0..20 {
        cuts.extend(trader.turn(BRIEF).expect("a turn"));
    }
    let pauses: Vec<Duration> = cuts
        .iter()
        .filter_map(|e| if let TradeEvent::Cut { retry_in, .. } = e { Some(*retry_in) } else { None })
        .collect();
    assert!(pauses.len() >= 3, "{cuts:?}");
    let bound = |n: usize| Duration::from_millis(20 * (1 << n)).min(Duration::from_millis(200));
    for (n, pause) in pauses.iter().enumerate() {
        assert!(*pause >= bound(n) / 2 && *pause <= bound(n), "pause {n} is {pause:?}");
    }
    assert!(matches!(trader.desk().map(drop), Err(Blocked::NotLoggedIn)));
    world.serve_again();
    reaches(&mut trader, &id, OrderState::Lost);
    assert!(matches!(trader.desk().map(drop), Err(Blocked::Unresolved(_))));
    assert_eq!(world.broker().orders, [], "nothing was sent again");
}

/// DC-20: no answer, and a line that stands: the account is asked again by another login.
#[test]
fn an_order_that_is_not_answered_is_asked_about() {
    let world = World::new(2_000, &["--speed", "1"]);
    let cable = Cable::to(&world.url());
    let url = cable.url(&world.url());
    let short = TradeLimits { answer: Duration::from_millis(300), ..options().limits };
    let options = TradeOptions { limits: short, ..options() };
    let mut trader = Trader::open(&world.journal(), &url, None, login(), options, wall_ns).expect("a trader");
    ready(&mut trader);
    let lines = trader.client().opened();
    cable.hold_answers(true);
    let id = insert(&mut trader, buy(1, BID - 100.0));
    let events = reaches(&mut trader, &id, OrderState::Unknown);
    assert!(trader.own_order(&id).expect("it").reason.contains("no answer within 0.3 s"), "{events:?}");
    cable.hold_answers(false);
    reaches(&mut trader, &id, OrderState::Acknowledged);
    assert!(trader.client().opened() > lines);
    assert_eq!(world.broker().orders.len(), 1);
}

/// DC-23, DC-26: lines that are cut at every kind of byte, in the middle of frames too, cost nothing.
#[test]
fn a_line_is_cut_in_the_middle_of_a_frame() {
    let world = World::new(4_000, &["--speed", "20", "--fills", "touch"]);
    let cable = Cable::to(&world.url());
    let mut trader = world.trader_at(&cable.url(&world.url()));
    let (mut ids, mut all) = (Vec::new(), Vec::new());
    for round in 0..12_usize {
        all.extend(ready(&mut trader));
        cable.cut_after(40 + 61 * round);
        let id = insert(&mut trader, buy(1, if round % 2 == 0 { ASK } else { BID - 100.0 }));
        all.extend(until(&mut trader, "answer", |t| {
            !matches!(state(t, &id), OrderState::Journaled | OrderState::Unknown)
        }));
        assert_ne!(state(&trader, &id), OrderState::Lost, "round {round}");
        ids.push(id);
    }
    assert!(trader.client().opened() > 3, "the line was cut");
    all.extend(until(&mut trader, "fills", |t| long(t).today == 6));
    let fills: Vec<&str> =
        all.iter().filter_map(|e| if let TradeEvent::Fill(f) = e { Some(f.order_id.as_str()) } else { None }).collect();
    let bought: BTreeSet<&str> = fills.iter().copied().collect();
    assert_eq!((fills.len(), bought.len()), (6, 6), "every fill was told once");
    assert_eq!(world.broker().orders.len(), ids.len(), "every order is there once");
}
