//! B-13: when orders are sent, filled and ended.

use crate::world::{
    Book, Dice, MODELS, Mind, OneDay, Seen, Tape, order, plain_world, rolling_world, run, spec, start_ns,
};
use ghtrader_backtest::{Delay, FillModelName, OrderEnd};
use ghtrader_core::NS_PER_S;
use ghtrader_kernels::wire::{Action, Event, Side};
use ghtrader_plugin::AccountView;
use std::sync::{Arc, Mutex};

const MODEL: FillModelName = FillModelName::Pessimistic;

/// Buys one lot at a limit on one row of the run; notes its events with the number of rows seen before.
#[derive(Clone)]
struct Once {
    at: usize,
    limit_cny: f64,
    warmup_rows: u32,
    rows: usize,
    heard: Arc<Mutex<Vec<(usize, Event)>>>,
}

impl Once {
    fn new(at: usize, limit_cny: f64) -> Self {
        Self { at, limit_cny, warmup_rows: 0, rows: 0, heard: Arc::default() }
    }

    fn heard(&self) -> Vec<(usize, Event)> {
        self.heard.lock().expect("one thread").clone()
    }
}

impl Mind for Once {
    fn hear(&mut self, event: Event) {
        self.heard.lock().expect("one thread").push((self.rows, event));
    }

    fn decide(&mut self, _: Seen, account: &AccountView, out: &mut Vec<Action>) {
        if self.rows == self.at {
            out.push(Action::Place(order(1, account.contract, Side::Buy, 1, Some(self.limit_cny))));
        }
        self.rows += 1;
    }

    fn warmup_rows(&self) -> u32 {
        self.warmup_rows
    }
}

/// Ten rows in each window and its closing snapshot, at a bid price by window.
fn day(n: i32, bids: [f64; 2]) -> OneDay {
    let mut tape = Tape::default();
    for (window, bid) in crate::world::windows(n).iter().zip(bids) {
        (0..10).for_each(|i| {
            tape.row(window.start_ns + i * NS_PER_S, Book::at(bid), 0.0, 0.0);
        });
        tape.row(window.end_ns, Book::at(bid), 0.0, 0.0);
    }
    OneDay::new(n, "SHFE.cu2509", tape.table)
}

/// B-13
#[test]
fn nothing_fills_outside_continuous_trading() {
    let mut late = spec();
    late.latency.order = Delay::Lognormal { median_us: 400_000, sigma: 1.5, max_us: 9_000_000 };
    for seed in 0..8 {
        for world in [plain_world(seed), rolling_world(seed)] {
            for model in MODELS {
                let record = run(&world, &late, model, Dice::new(seed, true));
                for fill in &record.fills {
                    let day = world.iter().find(|d| d.trading_day == fill.trading_day).expect("a day of the run");
                    let open = day.windows.iter().any(|w| w.start_ns <= fill.ts_ns && fill.ts_ns < w.end_ns);
                    assert!(open, "order {} filled at {}", fill.order_id, fill.ts_ns);
                }
                assert!(record.orders.iter().all(|o| o.end != OrderEnd::Open), "every order has an end");
                assert!(record.messages_ts_ns.is_sorted());
            }
        }
    }
}

/// B-13
#[test]
fn a_day_order_survives_the_break_and_ends_with_the_day() {
    // The price reaches the order in the second window.
    let buyer = Once::new(3, 69_990.0);
    let record = run(&[day(0, [70_000.0, 69_980.0])], &spec(), MODEL, buyer.clone());
    assert_eq!((record.fills.len(), record.fills[0].ts_ns), (1, start_ns(0) + 200 * NS_PER_S));
    // It never does: the order is gone at the close, and the next day's fall finds nothing.
    let buyer = Once::new(3, 69_000.0);
    let record = run(&[day(0, [70_000.0; 2]), day(1, [68_000.0; 2])], &spec(), MODEL, buyer.clone());
    assert_eq!((record.orders[0].end, record.fills.len(), record.cancels), (OrderEnd::Cancelled, 0, 0));
    assert!(
        buyer.heard().contains(&(22, Event::Cancelled { client_id: 1, remaining_lots: 1 })),
        "told on the next day"
    );
}

/// B-13
#[test]
fn orders_sent_on_a_closing_snapshot_are_refused() {
    for at in [10, 21] {
        let buyer = Once::new(at, 70_010.0);
        let record = run(&[day(0, [70_000.0; 2]), day(1, [70_000.0; 2])], &spec(), MODEL, buyer.clone());
        assert_eq!((record.orders[0].end, record.orders[0].reason_name()), (OrderEnd::Rejected, "market_closed"));
        assert!(record.fills.is_empty());
        assert!(buyer.heard().iter().any(|(row, e)| *row == at + 1 && matches!(e, Event::Rejected { .. })));
    }
}

/// B-13: rows of the warm-up are seen and send nothing.
#[test]
fn the_warm_up_sends_nothing() {
    let mut world = vec![day(0, [70_000.0; 2])];
    world[0].tradable_from = 5;
    for (at, fills) in [(4, 0), (5, 1)] {
        let buyer = Once::new(at, 70_010.0);
        let record = run(&world, &spec(), MODEL, buyer.clone());
        assert_eq!((record.orders.len(), record.fills.len()), (fills, fills));
        let rejected = buyer.heard().iter().any(|(_, e)| matches!(e, Event::Rejected { .. }));
        assert_eq!(rejected, fills == 0);
        assert_eq!(record.refused.get("market_closed").copied().unwrap_or(0), 1 - fills as u64);
        assert_eq!(record.warnings.get("warmup_short"), None);
    }
    // The strategy asks for 25 rows: 22 of the first day and three of the next, of which none was to be traded.
    let two = [day(0, [70_000.0; 2]), day(1, [70_000.0; 2])];
    for (at, fills) in [(24, 0), (25, 1)] {
        let buyer = Once { warmup_rows: 25, ..Once::new(at, 70_010.0) };
        let record = run(&two, &spec(), MODEL, buyer);
        assert_eq!((record.fills.len(), record.warnings["warmup_short"]), (fills, 25));
    }
}
