//! The run-until-act loop, order tracking, and what crosses the wire.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ghtrader_sdk::kernels::wire::{Action, Order, entries};
use ghtrader_sdk::{
    Account, Boundary, Ctx, Event, Instrument, OrderState, Params, PluginError, Row, Side, Strategy,
    StrategyDescription, StrategyDriver, Tif,
};

/// Obeys its one input: 0 nothing, 1 buy, 2 cancel all, 3 target, 4 wake, 5 buy at NaN.
struct Obedient {
    seen: Vec<String>,
}

impl Strategy for Obedient {
    fn init(_: &Params, _: &Instrument) -> Result<(Self, StrategyDescription), PluginError> {
        Ok((Self { seen: Vec::new() }, StrategyDescription::new(["order", "datetime"]).warmup_rows(3)))
    }

    fn on_tick(&mut self, tick: Row<'_>, ctx: &mut Ctx) {
        self.seen.push(format!("row {}", tick.time_ns(1)));
        match tick.number(0) as u8 {
            1 => {
                ctx.buy(2).at(100.0).post_only().send();
            }
            2 => {
                let ids: Vec<u64> = ctx.orders().iter().map(|order| order.client_id).collect();
                ids.into_iter().for_each(|id| ctx.cancel(id));
            }
            3 => ctx.target(-4),
            4 => ctx.wake_at(tick.time_ns(1) + 1),
            5 => {
                ctx.sell(1).at(f64::NAN).immediate().send();
            }
            _ => {}
        }
    }

    fn on_event(&mut self, event: Event, ctx: &mut Ctx) {
        self.seen.push(format!("{event:?}"));
        if event == Event::Boundary(Boundary::Roll) {
            ctx.sell(1).fill_or_kill().send();
        }
    }
}

fn driver(orders: &[u8]) -> StrategyDriver<Obedient> {
    let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    let mut driver = StrategyDriver::init(&Params::new(), &instrument).unwrap();
    let rows = orders.iter().enumerate().flat_map(|(time, order)| [f64::from(*order).to_bits(), time as u64]);
    driver.load(rows.collect()).unwrap();
    driver
}

fn run(driver: &mut StrategyDriver<Obedient>, start: u32, until: u32, events: &[Event]) -> (u32, Vec<Action>) {
    let mut words = Vec::new();
    let events: Vec<u64> = events.iter().flat_map(Event::encode).collect();
    let account = Account { contract: 7, long_lots: 3, short_lots: 1, ..Account::default() };
    let at = driver.run(start, until, &account, &events, &mut words).unwrap();
    (at, entries(&words).iter().map(|words| Action::decode(words).unwrap()).collect())
}

#[test]
fn it_stops_at_the_row_that_acts_and_goes_on_behind_it() {
    let mut driver = driver(&[0, 0, 1, 0, 3, 4, 0]);
    let buy = Order {
        client_id: 1,
        contract: 7,
        side: Side::Buy,
        offset: ghtrader_sdk::Offset::Auto,
        lots: 2,
        limit_cny: Some(100.0),
        tif: Tif::Day,
        post_only: true,
    };
    assert_eq!(run(&mut driver, 0, 7, &[]), (2, vec![Action::Place(buy)]));
    assert_eq!(run(&mut driver, 3, 4, &[]), (4, vec![]), "an end before the next act");
    assert_eq!(run(&mut driver, 4, 7, &[]), (4, vec![Action::Target { contract: 7, lots: -4 }]));
    assert_eq!(run(&mut driver, 5, 7, &[]), (5, vec![Action::WakeAt { ts_ns: 6 }]));
    assert_eq!(run(&mut driver, 6, 7, &[]), (7, vec![]));
    assert_eq!(run(&mut driver, 7, 7, &[]), (7, vec![]), "no rows");
}

#[test]
fn events_come_before_the_row_and_their_orders_leave_with_it() {
    let mut driver = driver(&[0, 0]);
    let (at, actions) = run(&mut driver, 1, 2, &[Event::Gap, Event::Boundary(Boundary::Roll)]);
    assert_eq!(at, 1);
    assert!(matches!(
        actions[..],
        [Action::Place(Order { side: Side::Sell, limit_cny: None, tif: Tif::FillOrKill, .. })]
    ));
    let (at, actions) = run(&mut driver, 2, 2, &[Event::Boundary(Boundary::Roll)]);
    assert_eq!((at, actions.len()), (2, 1), "without rows the answer to an event leaves at `until`");
}

#[test]
fn unknown_events_are_skipped() {
    let mut driver = driver(&[0]);
    let mut words = Vec::new();
    let at = driver.run(0, 1, &Account::default(), &[200, 1, 2, 3], &mut words).unwrap();
    assert_eq!((at, words), (1, vec![]));
}

#[test]
fn orders_are_followed_until_they_are_gone() {
    /// States of the working orders, by id, after an event.
    fn states(driver: &mut StrategyDriver<Probe>, event: Event) -> Vec<(u64, u32, OrderState)> {
        let mut words = Vec::new();
        driver.run(0, 0, &Account::default(), &event.encode(), &mut words).unwrap();
        driver.strategy().0.clone()
    }
    struct Probe(Vec<(u64, u32, OrderState)>);
    impl Strategy for Probe {
        fn init(_: &Params, _: &Instrument) -> Result<(Self, StrategyDescription), PluginError> {
            Ok((Self(Vec::new()), StrategyDescription::new(["last_price"])))
        }
        fn on_tick(&mut self, _: Row<'_>, _: &mut Ctx) {}
        fn on_event(&mut self, event: Event, ctx: &mut Ctx) {
            match event {
                Event::Gap => {
                    ctx.buy(5).at(1.0).send();
                }
                Event::Woke { ts_ns } => ctx.cancel(ts_ns as u64),
                _ => {}
            }
            self.0 = ctx.orders().iter().map(|o| (o.client_id, o.remaining_lots, o.state)).collect();
        }
    }
    use OrderState::{Cancelling, Sent, Working};
    let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    let mut driver = StrategyDriver::<Probe>::init(&Params::new(), &instrument).unwrap();
    assert_eq!(states(&mut driver, Event::Gap), [(1, 5, Sent)]);
    assert_eq!(states(&mut driver, Event::Gap), [(1, 5, Sent), (2, 5, Sent)]);
    assert_eq!(states(&mut driver, Event::Accepted { client_id: 1 }), [(1, 5, Working), (2, 5, Sent)]);
    let part = Event::Filled { client_id: 1, lots: 2, remaining_lots: 3, price_cny: 1.0 };
    assert_eq!(states(&mut driver, part), [(1, 3, Working), (2, 5, Sent)]);
    assert_eq!(states(&mut driver, Event::Woke { ts_ns: 2 }), [(1, 3, Working), (2, 5, Cancelling)]);
    assert_eq!(states(&mut driver, Event::Accepted { client_id: 2 })[1], (2, 5, Cancelling), "a cancel overtakes");
    let rest = Event::Filled { client_id: 1, lots: 3, remaining_lots: 0, price_cny: 1.0 };
    assert_eq!(states(&mut driver, rest), [(2, 5, Cancelling)]);
    assert_eq!(states(&mut driver, Event::Cancelled { client_id: 2, remaining_lots: 5 }), []);
    assert_eq!(states(&mut driver, Event::Cancelled { client_id: 2, remaining_lots: 5 }), [], "told twice");
}

#[test]
fn a_cancel_leaves_once() {
    let mut driver = driver(&[1, 2, 2]);
    assert_eq!(run(&mut driver, 0, 3, &[]).0, 0);
    assert_eq!(run(&mut driver, 1, 3, &[]), (1, vec![Action::Cancel { client_id: 1 }]));
    assert_eq!(run(&mut driver, 2, 3, &[]), (3, vec![]), "it is under way");
}

#[test]
fn a_price_of_nan_is_no_market_order() {
    let mut driver = driver(&[5]);
    let (_, actions) = run(&mut driver, 0, 1, &[]);
    assert!(matches!(actions[..], [Action::Place(Order { lots: 0, .. })]), "0 lots are rejected as malformed");
}

#[test]
fn bad_calls_are_refused_with_what_was_wrong() {
    let mut driver = driver(&[0, 0]);
    let mut words = Vec::new();
    let account = Account::default();
    let error = driver.run(1, 3, &account, &[], &mut words).unwrap_err();
    assert_eq!(error.message(), "rows 1..3 asked, 2 loaded; load the block first");
    assert!(driver.run(2, 1, &account, &[], &mut words).is_err());
    let error = driver.run(0, 1, &account, &[1, 2, 3], &mut words).unwrap_err();
    assert_eq!(error.message(), "3 words of events do not divide into entries of 4");
    let error = driver.load(vec![0; 3]).unwrap_err();
    assert_eq!(error.message(), "a block of 3 words does not divide into rows of 2; send whole rows");
    assert_eq!(driver.run(0, 2, &account, &[], &mut words).unwrap(), 2, "the block before stays");
    assert!(words.is_empty());
}
