//! What becomes of orders at a broker that serves.

use super::*;

/// DC-17, DC-18, DC-21, DC-22
#[test]
fn orders_fill_rest_end_and_are_refused() {
    use OrderState::{Acknowledged, Cancelled, Filled, PartlyFilled, Rejected};
    let world = World::new(2_000, &["--speed", "20", "--fills", "pessimistic"]);
    let mut trader = world.trader();
    assert!(matches!(trader.desk().map(drop), Err(Blocked::NotLoggedIn)));
    let events = ready(&mut trader);
    assert!(events.contains(&TradeEvent::LoggedIn) && events.contains(&TradeEvent::TradingDay("20250718".to_owned())));
    let mut all = Vec::new();

    // It rests, and is cancelled.
    let rests = insert(&mut trader, buy(2, BID - 50.0));
    all.extend(reaches(&mut trader, &rests, Acknowledged));
    trader.cancel(&rests).expect("a line");
    all.extend(reaches(&mut trader, &rests, Cancelled));
    assert_eq!(told(&all, &rests), [Acknowledged, Cancelled]);
    assert_eq!(trader.own_order(&rests).expect("it").lots_left, 2);

    // Five lots are offered: it fills in part, the rest is cancelled.
    let part = insert(&mut trader, buy(8, ASK));
    all.extend(reaches(&mut trader, &part, PartlyFilled));
    trader.cancel(&part).expect("a line");
    all.extend(until(&mut trader, "end", |t| state(t, &part).is_final()));
    let left = trader.own_order(&part).expect("it").lots_left;
    assert_eq!(state(&trader, &part), Cancelled, "{left} left");
    assert_eq!(trader.line().filled_lots(part.as_str()), 8 - left, "fills by id");
    assert_eq!(long(&trader), SideLots { today: 8 - left, ..SideLots::default() });

    // Refused by the broker, with its words.
    let odd = insert(&mut trader, buy(1, ASK + 0.5));
    all.extend(reaches(&mut trader, &odd, Rejected));
    assert!(trader.own_order(&odd).expect("it").reason.contains("78000.5"));
    assert_eq!(told(&all, &odd), [Rejected]);
    let fok = insert(&mut trader, buy(400, ASK).living(Life::FillOrKill));
    all.extend(until(&mut trader, "end", |t| state(t, &fok).is_final()));
    assert_ne!(state(&trader, &fok), Filled);

    // Refused here: SHFE has nothing of days before; nothing is written down.
    let before = std::fs::read(world.journal()).expect("the journal");
    let close = trader.desk().expect("a desk").insert(order(Direction::Sell, Offset::Close, 1, BID));
    assert!(matches!(close, Err(InsertError::Order(OrderRefusal::NothingToClose { lots: 1, free: 0 }))), "{close:?}");
    assert_eq!(std::fs::read(world.journal()).expect("the journal"), before);

    // Today's lots are closed as such.
    let held = long(&trader);
    let contract = S.parse().expect("a contract");
    let legs =
        NewOrder::closing(&contract, Direction::Buy, held, u32::try_from(held.today).expect("lots"), BID - 100.0);
    let legs = legs.expect("lots to close");
    assert_eq!(legs.len(), 1);
    for leg in legs {
        let id = insert(&mut trader, leg);
        all.extend(reaches(&mut trader, &id, Filled));
        assert_eq!(trader.own_order(&id).expect("it").offset, Offset::CloseToday);
    }
    all.extend(until(&mut trader, "flat", |t| long(t) == SideLots::default()));
    assert!(!all.iter().any(|e| matches!(e, TradeEvent::SumsDisagree(_))), "sums hold in every transaction");
    let nobody = "gt_00000000_1";
    let nobody: OrderId = serde_json::from_value(json!(nobody)).expect("an id");
    assert_eq!(trader.cancel(&nobody), Err(CancelError::NotOurs(nobody)));

    // The broker has them once each, and the journal holds all of them to their ends.
    let ids: BTreeSet<String> = world.broker().orders.into_iter().map(|o| o.order_id).collect();
    let ours: BTreeSet<String> = trader.line().own_orders().map(|o| o.order_id.as_str().to_owned()).collect();
    assert_eq!(ids, ours);
    drop(trader);
    assert_eq!(unresolved_orders(&world.journal()).expect("the journal"), []);
    // A new life knows them, and hears no fill twice.
    let mut again = world.trader();
    let events = ready(&mut again);
    assert!(!events.iter().any(|e| matches!(e, TradeEvent::Fill(_) | TradeEvent::Own(_))), "{events:?}");
    assert_eq!(again.line().filled_lots(part.as_str()), 8 - left);
}

/// DC-19, DC-21: what is bought today is his tomorrow, and both are closed by their own words.
#[test]
fn a_settlement_makes_todays_lots_his() {
    let world = World::new(1_200, &["--speed", "60", "--fills", "touch"]);
    let mut trader = world.trader();
    ready(&mut trader);
    let bought = insert(&mut trader, buy(2, ASK));
    reaches(&mut trader, &bought, OrderState::Filled);
    assert_eq!(long(&trader), SideLots { today: 2, ..SideLots::default() });
    // The settlement ends what rests.
    let rests = insert(&mut trader, buy(1, 75_000.0));
    let events = until(&mut trader, "next day", |t| t.line().trading_day() == "20250721" && long(t).his == 2);
    assert!(events.contains(&TradeEvent::TradingDay("20250721".to_owned())));
    assert_eq!(told(&events, &rests).last(), Some(&OrderState::Cancelled));
    assert_eq!(long(&trader), SideLots { his: 2, ..SideLots::default() });

    // The day's first rows open the market.
    for _ in 0..25 {
        trader.turn(BRIEF).expect("a turn");
    }
    let more = insert(&mut trader, buy(1, ASK));
    reaches(&mut trader, &more, OrderState::Filled);
    let held = long(&trader);
    assert_eq!(held, SideLots { today: 1, his: 2, ..SideLots::default() });
    let contract = S.parse().expect("a contract");
    let legs = NewOrder::closing(&contract, Direction::Buy, held, 3, BID).expect("lots to close");
    let ids: Vec<OrderId> = legs.into_iter().map(|leg| insert(&mut trader, leg)).collect();
    for id in &ids {
        reaches(&mut trader, id, OrderState::Filled);
    }
    let offsets: Vec<(Offset, u32)> =
        ids.iter().map(|id| trader.own_order(id).expect("it")).map(|o| (o.offset, o.lots)).collect();
    assert_eq!(offsets, [(Offset::Close, 2), (Offset::CloseToday, 1)]);
    assert_eq!(long(&trader), SideLots::default());
}

/// T-26, DC-16: two connections to one account see each other's orders, and each knows its own.
#[test]
fn two_connections_share_an_account() {
    let world = World::new(2_000, &["--speed", "1"]);
    let mut one = world.trader();
    let other_journal = world.dir.path().join("other/journal.log");
    let mut two = trader(&other_journal, &world.url()).expect("a trader");
    // One journal has one owner.
    match trader(&world.journal(), &world.url()).map(drop) {
        Err(TradeError::Journal(e)) => assert!(e.to_string().contains(&std::process::id().to_string()), "{e}"),
        other => panic!("{other:?}"),
    }
    ready(&mut one);
    ready(&mut two);
    let (a, b) = (insert(&mut one, buy(1, BID - 100.0)), insert(&mut two, buy(2, BID - 100.0)));
    assert_ne!(a, b);
    let foreign = |trader: &Trader, id: &OrderId| trader.line().orders().contains_key(id.as_str());
    let of_one = until(&mut one, "both orders", |t| foreign(t, &a) && foreign(t, &b));
    until(&mut two, "both orders", |t| foreign(t, &a) && foreign(t, &b));
    assert!(of_one.iter().any(|e| matches!(e, TradeEvent::Order(o) if o.order_id == b.as_str() && o.volume == 2)));
    assert!(two.own_order(&a).is_none() && two.cancel(&a).is_err());
    assert_eq!((state(&one, &a), state(&two, &b)), (OrderState::Acknowledged, OrderState::Acknowledged));
    one.cancel(&a).expect("a line");
    reaches(&mut one, &a, OrderState::Cancelled);
    assert_eq!(state(&two, &b), OrderState::Acknowledged);
    // Another account's journal is not taken.
    drop(one);
    let somebody = TradeLogin { user: "other".to_owned(), ..login() };
    let taken = Trader::open(&world.journal(), &world.url(), None, somebody, options(), wall_ns);
    assert!(matches!(taken, Err(TradeError::OtherAccount { .. })), "{taken:?}");
}
