//! Ordinary tests, natively: the driver is the loop that the component runs.

use ghtrader_sdk::kernels::wire::{Action, entries};
use ghtrader_sdk::{Account, Instrument, Params, Side, StrategyDriver};
use my_idea::MyIdea;

fn driver(threshold: f64) -> StrategyDriver<MyIdea> {
    let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    StrategyDriver::init(&Params::new().with("threshold", threshold), &instrument).unwrap()
}

/// `rows` equal rows of bid, bid lots, ask, ask lots.
fn words(row: [f64; 4], rows: usize) -> Vec<u64> {
    row.repeat(rows).into_iter().map(f64::to_bits).collect()
}

/// Row and order of the first action.
fn first_order(bid_lots: f64, ask_lots: f64, position: Account) -> Option<(u32, Side, u32)> {
    let (mut driver, mut actions) = (driver(0.6), Vec::new());
    driver.load(words([78_000.0, bid_lots, 78_010.0, ask_lots], 30)).unwrap();
    let at = driver.run(0, 30, &position, &[], &mut actions).unwrap();
    entries(&actions).first().and_then(Action::decode).map(|action| match action {
        Action::Place(order) => (at, order.side, order.lots),
        other => panic!("{other:?}"),
    })
}

#[test]
fn it_waits_for_its_window_and_follows_the_lean() {
    let flat = Account::default();
    assert_eq!(first_order(9.0, 1.0, flat), Some((19, Side::Buy, 1)));
    assert_eq!(first_order(1.0, 9.0, flat), Some((19, Side::Sell, 1)));
    assert_eq!(first_order(5.0, 4.0, flat), None, "below the threshold");
}

#[test]
fn it_turns_a_position_and_never_adds_to_one() {
    let short = Account { short_lots: 1, ..Account::default() };
    assert_eq!(first_order(9.0, 1.0, short), Some((19, Side::Buy, 2)));
    let long = Account { long_lots: 1, ..Account::default() };
    assert_eq!(first_order(9.0, 1.0, long), None);
}

#[test]
fn a_bad_parameter_is_refused() {
    let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    assert!(StrategyDriver::<MyIdea>::init(&Params::new().with("threshold", 1.5), &instrument).is_err());
}
