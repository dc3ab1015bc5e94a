//! The taker against its rule written as a plain loop, every order filling whole at its limit.

use ghtrader_sdk::kernels::wire::{Action, entries};
use ghtrader_sdk::{Account, Event, Instrument, Params, Side, StrategyDriver, Tif};
use proptest::prelude::*;
use taker::Taker;

/// bid, bid size, ask, ask size.
type Row = [f64; 4];

fn driver(threshold: f64) -> StrategyDriver<Taker> {
    let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    StrategyDriver::init(&Params::new().with("threshold", threshold), &instrument).unwrap()
}

/// (row, signed lots, limit) of every order, for rows loaded in blocks.
fn trade(rows: &[Row], block: usize) -> Vec<(usize, i64, f64)> {
    let mut driver = driver(0.8);
    let (mut position, mut orders, mut events) = (0_i64, Vec::new(), Vec::new());
    for (number, rows) in rows.chunks(block).enumerate() {
        driver.load(rows.as_flattened().iter().map(|number| number.to_bits()).collect()).unwrap();
        let mut next = 0;
        while (next as usize) < rows.len() {
            let account = Account {
                long_lots: position.max(0) as u32,
                short_lots: (-position).max(0) as u32,
                ..Account::default()
            };
            let mut words = Vec::new();
            let at = driver.run(next, rows.len() as u32, &account, &events, &mut words).unwrap();
            events.clear();
            for action in entries(&words) {
                let Some(Action::Place(order)) = Action::decode(action) else { panic!("{action:?}") };
                assert_eq!(order.tif, Tif::Immediate);
                let (client_id, price_cny) = (order.client_id, order.limit_cny.unwrap());
                let lots = order.side.sign() * i64::from(order.lots);
                position += lots;
                orders.push((number * block + at as usize, lots, price_cny));
                events.extend(Event::Accepted { client_id }.encode());
                events.extend(Event::Filled { client_id, lots: order.lots, remaining_lots: 0, price_cny }.encode());
            }
            next = at + 1;
        }
    }
    orders
}

/// The rule in the words of the benchmark.
fn rule(rows: &[Row]) -> Vec<(usize, i64, f64)> {
    let (mut position, mut orders) = (0, Vec::new());
    for (row, [bid, bid_lots, ask, ask_lots]) in rows.iter().copied().enumerate() {
        let imbalance = (bid_lots - ask_lots) / (bid_lots + ask_lots);
        if imbalance > 0.8 && position <= 0 {
            orders.push((row, 1 - position, ask));
            position = 1;
        } else if imbalance < -0.8 && position >= 0 {
            orders.push((row, -(1 + position), bid));
            position = -1;
        }
    }
    orders
}

fn row() -> impl Strategy<Value = Row> {
    let lots = || prop_oneof![(1..4_u8), (20..90_u8)].prop_map(f64::from);
    (6990..7010_i32, lots(), lots())
        .prop_map(|(bid, bid_lots, ask_lots)| [f64::from(bid * 10), bid_lots, f64::from(bid * 10 + 10), ask_lots])
}

proptest! {
    /// The same orders as the rule, for blocks of any size.
    #[test]
    fn orders_are_those_of_the_rule(rows in prop::collection::vec(row(), 1..200), block in 1..60_usize) {
        let expected = rule(&rows);
        prop_assert_eq!(&trade(&rows, block), &expected);
        prop_assert_eq!(&trade(&rows, 1), &expected);
        prop_assert_eq!(&trade(&rows, rows.len()), &expected);
    }
}

#[test]
fn a_signal_exactly_at_the_threshold_or_on_a_one_sided_book_is_none() {
    assert_eq!(trade(&[[100.0, 9.0, 110.0, 1.0]], 1), []);
    assert_eq!(trade(&[[100.0, 9.0, f64::NAN, 0.0], [f64::NAN, 0.0, 110.0, 9.0]], 1), []);
    assert_eq!(trade(&[[100.0, 19.0, 110.0, 1.0]], 1), [(0, 1, 110.0)]);
}

#[test]
fn it_waits_for_an_order_under_way() {
    let mut driver = driver(0.8);
    driver.load([100.0, 19.0, 110.0, 1.0].repeat(3).into_iter().map(f64::to_bits).collect()).unwrap();
    let mut words = Vec::new();
    assert_eq!(driver.run(0, 3, &Account::default(), &[], &mut words).unwrap(), 0);
    assert_eq!(driver.run(1, 3, &Account::default(), &[], &mut words).unwrap(), 3, "unanswered");
    let gone = Event::Cancelled { client_id: 1, remaining_lots: 1 }.encode();
    assert_eq!(driver.run(2, 3, &Account::default(), &gone, &mut words).unwrap(), 2, "nothing filled: once more");
    let sides: Vec<_> = entries(&words).iter().map(Action::decode).collect();
    assert!(sides.iter().all(|action| matches!(action, Some(Action::Place(order)) if order.side == Side::Buy)));
}
