//! What the strategy wants, by score, position and spread.

use ghtrader_sdk::kernels::wire::{Action, entries};
use ghtrader_sdk::{Account, Event, Instrument, Params, StrategyDriver, Tif};
use score_threshold::ScoreThreshold;

fn params() -> Params {
    Params::new()
        .with("horizon_rows", 50_i64)
        .with("threshold", 0.2)
        .with("max_lots", 3_i64)
        .with("max_spread_ticks", 2_i64)
}

fn driver(params: &Params) -> StrategyDriver<ScoreThreshold> {
    let instrument = Instrument { symbol: "SHFE.au2602".to_owned(), price_tick: 0.02, multiplier: 1000.0 };
    StrategyDriver::init(params, &instrument).unwrap()
}

/// Signed lots and limit of the order at one row, if there is one.
fn order(position: i64, row: [f64; 4]) -> Option<(i64, f64)> {
    let mut driver = driver(&params());
    driver.load(row.map(f64::to_bits).to_vec()).unwrap();
    let account =
        Account { long_lots: position.max(0) as u32, short_lots: (-position).max(0) as u32, ..Account::default() };
    let mut words = Vec::new();
    driver.run(0, 1, &account, &[], &mut words).unwrap();
    let order = entries(&words).first().map(|words| match Action::decode(words) {
        Some(Action::Place(order)) => order,
        other => panic!("{other:?}"),
    })?;
    assert_eq!(order.tif, Tif::Immediate);
    Some((order.side.sign() * i64::from(order.lots), order.limit_cny.unwrap()))
}

#[test]
fn it_follows_the_edge() {
    let book = |up: f64, down: f64| [776.48, 776.50, up, down];
    assert_eq!(order(0, book(0.5, 0.2)), Some((3, 776.50)), "long above the threshold");
    assert_eq!(order(0, book(0.2, 0.5)), Some((-3, 776.48)), "short mirrored");
    assert_eq!(order(0, book(0.4, 0.3)), None, "too weak");
    assert_eq!(order(1, book(0.5, 0.2)), Some((2, 776.50)), "what is missing");
    assert_eq!(order(3, book(0.5, 0.2)), None, "never more than max_lots");
    assert_eq!(order(3, book(0.4, 0.3)), None, "kept while the edge is on its side");
    assert_eq!(order(3, book(0.3, 0.4)), Some((-3, 776.48)), "closed once it has turned");
    assert_eq!(order(-3, book(0.4, 0.3)), Some((3, 776.50)));
    assert_eq!(order(3, book(0.1, 0.6)), Some((-6, 776.48)), "turned round");
    assert_eq!(order(0, book(f64::NAN, 0.1)), None, "no score");
    assert_eq!(order(3, book(f64::NAN, 0.1)), None, "no score changes nothing");
}

#[test]
fn it_trades_at_narrow_spreads_only() {
    assert_eq!(order(0, [776.46, 776.50, 0.9, 0.0]), Some((3, 776.50)), "exactly two ticks");
    assert_eq!(order(0, [776.44, 776.50, 0.9, 0.0]), None, "three ticks");
    assert_eq!(order(0, [776.46, f64::NAN, 0.9, 0.0]), None, "one-sided");
    assert_eq!(order(0, [f64::NAN, 776.50, 0.0, 0.9]), None, "one-sided");
}

#[test]
fn one_order_at_a_time() {
    let mut driver = driver(&params());
    driver.load([776.48, 776.50, 0.9, 0.0].repeat(3).into_iter().map(f64::to_bits).collect()).unwrap();
    let mut words = Vec::new();
    let account = Account::default();
    assert_eq!(driver.run(0, 3, &account, &[], &mut words).unwrap(), 0);
    assert_eq!(driver.run(1, 3, &account, &[], &mut words).unwrap(), 3);
    let rejected = Event::Rejected { client_id: 1, reason: ghtrader_sdk::RejectReason::BeyondBook }.encode();
    assert_eq!(driver.run(2, 3, &account, &rejected, &mut words).unwrap(), 2);
}

#[test]
fn the_scores_follow_the_horizon() {
    let inputs = driver(&params().with("horizon_rows", 200_i64)).description().inputs.clone();
    assert_eq!(inputs, ["bid_price1", "ask_price1", "score/up@200", "score/down@200"]);
}
