//! The maker against its rule written as a plain loop, on a stream with the fill rules `cross_only` and `touch`.

use ghtrader_sdk::kernels::wire::{Action, entries};
use ghtrader_sdk::{Account, Event, Instrument, Params, Side, StrategyDriver};
use maker::Maker;
use proptest::prelude::*;

const MAX_LOTS: i64 = 5;

/// A snapshot, and whether lots hit the bid or lifted the ask of the one before.
#[derive(Debug, Clone, Copy)]
struct Snapshot {
    bid: f64,
    ask: f64,
    bid_hit: bool,
    ask_lifted: bool,
}

/// What was traded: orders placed, fills, and the position in the end.
#[derive(Debug, PartialEq, Eq, Default)]
struct Traded {
    orders: usize,
    fills: usize,
    position: i64,
}

fn fills(side: Side, price: f64, before: Option<&Snapshot>, now: &Snapshot, touch: bool) -> bool {
    match side {
        Side::Buy => now.ask <= price || touch && now.bid_hit && before.is_some_and(|before| before.bid == price),
        Side::Sell => now.bid >= price || touch && now.ask_lifted && before.is_some_and(|before| before.ask == price),
    }
}

/// Snapshot by snapshot: match, then let the strategy act, then carry it out.
fn trade(snapshots: &[Snapshot], touch: bool) -> Traded {
    let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    let mut driver = StrategyDriver::<Maker>::init(&Params::new().with("max_lots", MAX_LOTS), &instrument).unwrap();
    driver.load(snapshots.iter().flat_map(|now| [now.bid.to_bits(), now.ask.to_bits()]).collect()).unwrap();
    let (mut traded, mut resting, mut events) = (Traded::default(), Vec::new(), Vec::new());
    for (row, now) in snapshots.iter().enumerate() {
        let before = row.checked_sub(1).map(|before| &snapshots[before]);
        resting.retain(|(client_id, side, price): &(u64, Side, f64)| {
            let filled = fills(*side, *price, before, now, touch);
            if filled {
                traded.fills += 1;
                traded.position += side.sign();
                let fill = Event::Filled { client_id: *client_id, lots: 1, remaining_lots: 0, price_cny: *price };
                events.extend(fill.encode());
            }
            !filled
        });
        let account = Account {
            long_lots: traded.position.max(0) as u32,
            short_lots: (-traded.position).max(0) as u32,
            ..Account::default()
        };
        let mut words = Vec::new();
        driver.run(row as u32, row as u32 + 1, &account, &events, &mut words).unwrap();
        events.clear();
        for action in entries(&words) {
            match Action::decode(action) {
                Some(Action::Place(order)) => {
                    assert!(order.post_only && order.lots == 1);
                    traded.orders += 1;
                    resting.push((order.client_id, order.side, order.limit_cny.unwrap()));
                    events.extend(Event::Accepted { client_id: order.client_id }.encode());
                }
                Some(Action::Cancel { client_id }) => {
                    resting.retain(|quote| quote.0 != client_id);
                    events.extend(Event::Cancelled { client_id, remaining_lots: 1 }.encode());
                }
                other => panic!("{other:?}"),
            }
        }
    }
    traded
}

/// The rule in the words of the benchmark.
fn rule(snapshots: &[Snapshot], touch: bool) -> Traded {
    let mut traded = Traded::default();
    let mut quotes: [Option<f64>; 2] = [None, None];
    for (row, now) in snapshots.iter().enumerate() {
        let before = row.checked_sub(1).map(|before| &snapshots[before]);
        for (quote, side) in quotes.iter_mut().zip([Side::Buy, Side::Sell]) {
            if quote.is_some_and(|price| fills(side, price, before, now, touch)) {
                *quote = None;
                traded.fills += 1;
                traded.position += side.sign();
            }
        }
        let sides = [(now.bid, traded.position < MAX_LOTS), (now.ask, traded.position > -MAX_LOTS)];
        for (quote, (best, allowed)) in quotes.iter_mut().zip(sides) {
            if quote.is_some_and(|price| price != best || !allowed) {
                *quote = None;
            }
            if quote.is_none() && allowed && !best.is_nan() {
                *quote = Some(best);
                traded.orders += 1;
            }
        }
    }
    traded
}

fn stream() -> impl Strategy<Value = Vec<Snapshot>> {
    let step = (-1..=1_i32, any::<bool>(), any::<bool>());
    prop::collection::vec(step, 1..300).prop_map(|steps| {
        let mut bid = 7000;
        let snapshot = |(step, bid_hit, ask_lifted)| {
            bid += step;
            Snapshot { bid: f64::from(bid * 10), ask: f64::from(bid * 10 + 10), bid_hit, ask_lifted }
        };
        steps.into_iter().map(snapshot).collect()
    })
}

proptest! {
    #[test]
    fn orders_and_fills_are_those_of_the_rule(snapshots in stream(), touch: bool) {
        let traded = trade(&snapshots, touch);
        prop_assert!(traded.position.abs() <= MAX_LOTS);
        prop_assert_eq!(traded, rule(&snapshots, touch));
    }
}

#[test]
fn no_quote_in_a_one_sided_locked_or_crossed_book() {
    let at = |bid, ask| Snapshot { bid, ask, bid_hit: false, ask_lifted: false };
    for (bid, ask) in [(f64::NAN, 110.0), (100.0, f64::NAN), (100.0, 100.0), (110.0, 100.0)] {
        assert_eq!(trade(&[at(bid, ask)], false), Traded::default(), "{bid} {ask}");
    }
    assert_eq!(trade(&[at(100.0, 110.0)], false).orders, 2);
}
