//! B-14: what becomes of a position when the main contract changes.

use crate::world::{Book, Mind, Native, Old, OneDay, Seen, Tape, order, run, run_instance, spec, start_ns};
use ghtrader_backtest::{BacktestError, FillModelName, RollPolicy};
use ghtrader_core::{NS_PER_S, Phase};
use ghtrader_kernels::wire::{Action, Boundary, Event, Offset, Side};
use ghtrader_plugin::AccountView;
use std::sync::{Arc, Mutex};

const MODEL: FillModelName = FillModelName::Pessimistic;

/// Buys at the first row, sells as many as told; notes what it hears and the account of each row.
#[derive(Default, Clone)]
struct Holder {
    long: u32,
    short: u32,
    seen: Arc<Mutex<(Vec<Event>, Vec<AccountView>)>>,
}

impl Mind for Holder {
    fn hear(&mut self, event: Event) {
        self.seen.lock().expect("one thread").0.push(event);
    }

    fn decide(&mut self, _: Seen, account: &AccountView, out: &mut Vec<Action>) {
        self.seen.lock().expect("one thread").1.push(*account);
        for (id, side, lots) in [(1, Side::Buy, &mut self.long), (2, Side::Sell, &mut self.short)] {
            let lots = std::mem::take(lots);
            if lots > 0 {
                let mut order = order(id, account.contract, side, lots, None);
                order.offset = Offset::Open;
                out.push(Action::Place(order));
            }
        }
    }
}

fn quiet(n: i32, bid: f64) -> Tape {
    let mut tape = Tape::default();
    (0..20).for_each(|i| {
        tape.row(start_ns(n) + i * NS_PER_S / 2, Book::at(bid), 0.0, 0.0);
    });
    tape
}

/// Day 0 in cu2509 at 70,000, day 1 in cu2510 at 70,500; the old book is 1 lot at 69,900, then 5 at each tick below.
fn days(old: bool) -> Vec<OneDay> {
    let mut days = vec![
        OneDay::new(0, "SHFE.cu2509", quiet(0, 70_000.0).table),
        OneDay::new(1, "SHFE.cu2510", quiet(1, 70_500.0).table),
    ];
    let mut tape = Tape::default();
    tape.row(start_ns(1) - 60 * NS_PER_S, Book::at(60_000.0), 0.0, 0.0);
    tape.row(start_ns(1) + NS_PER_S, Book::at(69_900.0), 0.0, 0.0);
    tape.table.phase[0] = Phase::Auction as u8;
    tape.table.floats[8][1] = 1.0;
    days[1].old = Some(Old { table: old.then_some(tape.table), last_price_cny: 70_000.0 });
    days
}

fn close_to(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6
}

/// B-14
#[test]
fn transfer_closes_on_the_old_book_and_opens_on_the_new_one() {
    let holder = Holder { long: 2, ..Holder::default() };
    let record = run(&days(true), &spec(), MODEL, holder.clone());
    let fills: Vec<_> =
        record.fills.iter().map(|f| (f.contract, f.side, f.lots, f.price_cny, f.position_lots)).collect();
    assert_eq!(
        fills,
        [
            (0, Side::Buy, 2, 70_010.0, 2),
            (0, Side::Sell, 1, 69_900.0, 1),
            (0, Side::Sell, 1, 69_890.0, 0),
            (1, Side::Buy, 2, 70_510.0, 2),
        ],
        "the auction's row is no book to close on"
    );
    // Built-in rates: opening and closing older lots 0.00005 of the turnover.
    let fees = [2.0 * 70_010.0, 69_900.0, 69_890.0, 2.0 * 70_510.0].map(|turnover| turnover * 5.0 * 0.00005);
    for (fill, fee) in record.fills.iter().zip(fees) {
        assert!(close_to(fill.fee_cny, fee), "{} against {fee}", fill.fee_cny);
    }
    let lost = (70_010.0 - 69_900.0 + 70_010.0 - 69_890.0) * 5.0 + 2.0 * 10.0 * 5.0;
    let pnl: f64 = record.days.iter().map(|d| d.pnl_cny).sum();
    assert!(close_to(pnl, -lost - fees.iter().sum::<f64>()), "{pnl}");
    assert!(record.fills[1].markout_ticks[0].is_nan(), "the old contract's later prices are not at hand");
    assert!(record.equity.windows(2).all(|p| p[0].ts_ns <= p[1].ts_ns));
    // Equity never saw the old position at the new price: the curve stays within what was lost.
    assert!(record.equity.iter().all(|p| p.equity_cny >= 1e8 - 2_000.0 && p.equity_cny <= 1e8));
    let seen = holder.seen.lock().expect("one thread");
    let roll = seen.0.iter().position(|e| *e == Event::Boundary(Boundary::Roll)).expect("a roll is told");
    assert_eq!(seen.0[roll + 1], Event::ContractChanged { contract: 1 });
    let first = seen.1[20];
    assert_eq!((first.contract, first.long_lots, first.short_lots), (1, 2, 0));
    assert_eq!(record.warnings.get("roll_without_book"), None);
}

/// B-14
#[test]
fn without_the_old_book_the_last_price_is_worsened() {
    for (policy, fills) in [(RollPolicy::Transfer, 3), (RollPolicy::Flatten, 2)] {
        let mut spec = spec();
        spec.roll.policy = policy;
        let record = run(&days(false), &spec, MODEL, Holder { long: 2, ..Holder::default() });
        assert_eq!(record.fills.len(), fills);
        assert_eq!((record.fills[1].price_cny, record.fills[1].lots), (70_000.0 - 5.0 * 10.0, 2));
        assert_eq!(record.warnings.get("roll_without_book"), Some(&1));
        let short = run(&days(false), &spec, MODEL, Holder { short: 1, ..Holder::default() });
        assert_eq!((short.fills[1].price_cny, short.fills[1].side), (70_000.0 + 5.0 * 10.0, Side::Buy));
    }
}

/// B-14
#[test]
fn flatten_leaves_nothing_and_ignore_ends_the_run() {
    let mut spec = spec();
    spec.roll.policy = RollPolicy::Flatten;
    let record = run(&days(true), &spec, MODEL, Holder { long: 2, ..Holder::default() });
    assert_eq!(record.days[1].position_lots, 0);
    assert!(record.fills.iter().all(|f| f.contract == 0));
    spec.roll.policy = RollPolicy::Ignore;
    let run = |long| run_instance(&days(true), &spec, MODEL, 64, Native::new(Holder { long, ..Holder::default() }));
    assert!(matches!(run(2), Err(BacktestError::PositionOverRoll { lots: 2, .. })));
    assert!(run(0).is_ok(), "nothing held, nothing to say");
}

/// B-14: lots held on both sides are a position, whatever their difference.
#[test]
fn both_sides_of_a_position_roll() {
    let holder = Holder { long: 2, short: 2, ..Holder::default() };
    let record = run(&days(true), &spec(), MODEL, holder.clone());
    let old: Vec<_> = record.fills.iter().filter(|f| f.contract == 0).collect();
    let net: i64 = old.iter().map(|f| f.side.sign() * i64::from(f.lots)).sum();
    assert_eq!((net, old.iter().map(|f| f.lots).sum::<u32>()), (0, 8), "opened and closed on both sides");
    let first = holder.seen.lock().expect("one thread").1[20];
    assert_eq!((first.long_lots, first.short_lots), (2, 2));
    // What is left depends on the new contract alone: its margin is that of one side.
    let margin = 2.0 * 5.0 * 0.09 * 70_510.0;
    assert!((first.balance_cny - first.available_cny - margin).abs() < 1.0);
}
