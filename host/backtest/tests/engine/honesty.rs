//! Rules of honest filling as an account meets them: both books of a taker, measured delays, what a roll without a book
//! costs, and that a report says what it had to leave open.

use crate::runs::{data, replay};
use crate::world::{
    Book, Dice, MODELS, Native, Old, OneDay, Seen, TICK, Tape, order, plain_world, rolling_world, run, run_instance,
    spec, start_ns,
};
use ghtrader_backtest::{
    Delay, FillModelName, MetricContext, OrderEnd, ReportContext, RunSpec, TakerBookName, compute_metrics, report_json,
};
use ghtrader_core::NS_PER_S;
use ghtrader_kernels::wire::{Action, Offset, Side, Tif};
use ghtrader_plugin::{AccountView, StrategyInstance};

const MODEL: FillModelName = FillModelName::Pessimistic;

/// Market orders of one lot at given rows: (row, side).
fn takes(orders: &'static [(usize, Side)]) -> impl FnMut(Seen, &AccountView, &mut Vec<Action>) + Send {
    let mut row = 0;
    move |_, account: &AccountView, out: &mut Vec<Action>| {
        for (id, (_, side)) in (1..).zip(orders).filter(|(_, o)| o.0 == row) {
            let mut order = order(id, account.contract, *side, 1, None);
            (order.offset, order.tif) = (Offset::Open, Tif::Immediate);
            out.push(Action::Place(order));
        }
        row += 1;
    }
}

/// Twenty rows, two a second; the bid rises a tick with each.
fn rising() -> Vec<OneDay> {
    let mut tape = Tape::default();
    (0..20).for_each(|i| {
        tape.row(start_ns(0) + i * NS_PER_S / 2, Book::at(70_000.0 + i as f64 * TICK), 0.0, 0.0);
    });
    vec![OneDay::new(0, "SHFE.cu2509", tape.table)]
}

/// B-09: `both` fills by the next book and reports the price of either.
#[test]
fn both_books_of_a_taker_are_reported() {
    let orders = &[(2, Side::Buy), (10, Side::Sell)];
    let with = |taker_book| {
        let mut spec = spec();
        spec.latency.order = Delay::Constant { us: 100_000 };
        spec.fills.taker_book = taker_book;
        run(&rising(), &spec, MODEL, takes(orders))
    };
    let (k, next, both) = (with(TakerBookName::K), with(TakerBookName::KPlus1), with(TakerBookName::Both));
    assert_eq!(both.output_digest(), next.output_digest(), "reported beside, nothing changed");
    assert_ne!(both.output_digest(), k.output_digest());
    assert!(k.taker_books.is_empty() && next.taker_books.is_empty());
    assert_eq!(both.taker_books.len(), 2);
    for (books, (on_k, on_next)) in both.taker_books.iter().zip(k.fills.iter().zip(&next.fills)) {
        assert_eq!((books.order_id, books.k_lots, books.k_plus_1_lots), (on_k.order_id, 1, 1));
        assert_eq!((books.k_price_cny, books.k_plus_1_price_cny), (on_k.price_cny, on_next.price_cny));
    }
    let context =
        MetricContext { initial_cny: 1e8, annual_days: 252.0, multiplier: &[5.0], price_tick: &[TICK], contracts: &[] };
    let figures = compute_metrics(&both, &context).taker_books.expect("two takers between snapshots");
    // The purchase is a tick dearer on the next book, the sale a tick better.
    assert_eq!((figures.orders, figures.k_lots, figures.k_plus_1_lots), (2, 2, 2));
    assert_eq!((figures.worse_ticks, figures.worse_cny), (Some(0.0), 0.0));
    assert_eq!(compute_metrics(&next, &context).taker_books, None);
    let one = {
        let mut spec = spec();
        spec.latency.order = Delay::Constant { us: 100_000 };
        spec.fills.taker_book = TakerBookName::Both;
        compute_metrics(&run(&rising(), &spec, MODEL, takes(&[(2, Side::Buy)])), &context).taker_books
    };
    let one = one.expect("one taker");
    assert_eq!((one.worse_ticks, one.worse_cny), (Some(1.0), TICK * 5.0));
}

/// B-08: measured delays come message by message, orders and cancels apart, and start again behind the last.
#[test]
fn a_trace_of_delays_is_walked_in_order() {
    let mut spec = spec();
    spec.latency.feed_us = 10;
    spec.latency.order = Delay::Trace { file: None, us: vec![0, 700_000, 40] };
    spec.latency.cancel = Delay::Trace { file: None, us: vec![5, 6] };
    let mut row = 0u64;
    let record = run(&rising(), &spec, MODEL, move |_: Seen, account: &AccountView, out: &mut Vec<Action>| {
        row += 1;
        match row {
            1..=4 => out.push(Action::Place(order(row, account.contract, Side::Buy, 1, Some(69_000.0)))),
            10..=12 => out.push(Action::Cancel { client_id: row - 9 }),
            _ => {}
        }
    });
    let delays: Vec<i64> = record.orders.iter().map(|o| (o.arrival_ts_ns - o.decided_ts_ns) / 1_000).collect();
    assert_eq!(delays, [10, 700_010, 50, 10]);
    let sent = |row: i64| start_ns(0) + row * NS_PER_S / 2;
    for (row, us) in [(9, 15), (10, 16), (11, 15)] {
        assert!(record.messages_ts_ns.contains(&(sent(row) + us * 1_000)), "the cancel of row {row}");
    }
    assert_eq!(record.orders.iter().filter(|o| o.end == OrderEnd::Cancelled).count(), 4);
}

/// B-08: the same seed and the same trace give the same digests; another trace is another result.
#[test]
fn delays_belong_to_the_result() {
    let (_folder, days) = data(&plain_world(4));
    let dice = || -> Result<Box<dyn StrategyInstance>, ghtrader_backtest::BacktestError> {
        Ok(Box::new(Native::new(Dice::new(5, true))))
    };
    let of = |order: Delay, seed: u64| {
        let mut spec = spec();
        (spec.latency.order, spec.seed) = (order, seed);
        let result = replay(&spec, &days, &dice, 64).expect("a run");
        (result.result_digest, result.output_digest)
    };
    let drawn = || Delay::Lognormal { median_us: 300_000, sigma: 1.0, max_us: 5_000_000 };
    let trace = |us: &[u64]| Delay::Trace { file: None, us: us.to_vec() };
    assert_eq!(of(drawn(), 1), of(drawn(), 1));
    assert_ne!(of(drawn(), 1).1, of(drawn(), 2).1, "another seed draws other delays");
    assert_eq!(of(trace(&[0, 900_000]), 1), of(trace(&[0, 900_000]), 1));
    assert_ne!(of(trace(&[0, 900_000]), 1).0, of(trace(&[0, 900_001]), 1).0);
    assert_eq!(of(trace(&[300_000]), 1).1, of(Delay::Constant { us: 300_000 }, 1).1);
    let unread = Delay::Trace { file: Some("delays.txt".to_owned()), us: Vec::new() };
    let mut spec = spec();
    spec.latency.cancel = unread;
    let fault = replay(&spec, &days, &dice, 64).err().expect("delays that nobody read are none");
    assert!(fault.to_string().contains("latency.cancel.file = delays.txt"), "{fault}");
}

/// B-14: without the old contract's book a roll costs `roll.penalty_ticks`, in both directions, and says so.
#[test]
fn the_penalty_of_a_roll_without_a_book_is_a_setting() {
    let mut days = vec![rising().remove(0), rising().remove(0)];
    let mut tape = Tape::default();
    (0..20).for_each(|i| {
        tape.row(start_ns(1) + i * NS_PER_S / 2, Book::at(71_000.0), 0.0, 0.0);
    });
    days[1] = OneDay::new(1, "SHFE.cu2510", tape.table);
    days[1].old = Some(Old { table: None, last_price_cny: 70_190.0 });
    for penalty_ticks in [0, 3, 5] {
        for (side, away) in [(Side::Buy, -1.0), (Side::Sell, 1.0)] {
            let mut spec = spec();
            spec.roll.penalty_ticks = penalty_ticks;
            let orders: &'static [(usize, Side)] =
                if side == Side::Buy { &[(1, Side::Buy)] } else { &[(1, Side::Sell)] };
            let record = run(&days, &spec, MODEL, takes(orders));
            assert_eq!(record.fills[1].price_cny, 70_190.0 + away * f64::from(penalty_ticks) * TICK);
            assert_eq!(record.warnings.get("roll_without_book"), Some(&1));
        }
    }
}

/// B-11: an account that is lost ends at its row, live too, and places nothing afterwards.
#[test]
fn a_lost_account_is_the_same_account_live() {
    let mut tape = Tape::default();
    (0..20).for_each(|i| {
        let bid = if i < 10 { 70_000.0 } else { 60_000.0 };
        tape.row(start_ns(0) + i * NS_PER_S / 2, Book::at(bid), 0.0, 0.0);
    });
    let world = vec![OneDay::new(0, "SHFE.cu2509", tape.table), rising().remove(0)];
    let mut poor = spec();
    poor.account.initial_cny = 40_000.0;
    let orders = &[(0, Side::Buy), (15, Side::Buy), (25, Side::Buy)];
    for model in MODELS {
        let of = |rows| run_instance(&world, &poor, model, rows, Native::new(takes(orders))).expect("a run");
        let (live, blocks) = (of(0), of(4_096));
        assert!(live.bust && blocks.bust);
        assert_eq!(format!("{live:?}"), format!("{blocks:?}"), "{}", model.as_str());
        assert_eq!((blocks.orders.len(), blocks.days.len()), (1, 1), "{}", model.as_str());
    }
}

/// B-03, B-13, B-14: the report counts what it had to leave open, and puts low, central and high beside every figure.
#[test]
fn a_report_says_what_it_left_open() {
    let (_folder, days) = data(&rolling_world(3));
    let dice = || -> Result<Box<dyn StrategyInstance>, ghtrader_backtest::BacktestError> {
        Ok(Box::new(Native::new(Dice::new(5, true))))
    };
    let report = |spec: &RunSpec| {
        let result = replay(spec, &days, &dice, 512).expect("a run");
        report_json(spec, &days, &result, &ReportContext::default()).expect("a report")
    };
    let body = report(&spec());
    let warnings = &body["data"]["warnings"];
    for key in
        ["volume_unsplit", "volume_bounded", "auction_rows", "closed_rows", "crossed_rows", "gaps", "locked_rows"]
    {
        assert!(warnings[key].is_u64(), "{key} in {warnings}");
    }
    assert!(warnings["closed_rows"].as_u64() > Some(0) && warnings["gaps"].as_u64() > Some(0));
    assert_eq!(body["fill_models"]["pessimistic"]["warnings"]["roll_without_book"], 1);
    let split = body["data"]["volume_split"].as_array().expect("one entry a day");
    assert_eq!(split.len(), days.len());
    for day in split {
        let intervals: u64 = day["intervals"].as_object().expect("by class").values().filter_map(|v| v.as_u64()).sum();
        assert!(intervals > 0);
        assert!(day["residual_cny"]["max"].as_f64() >= day["residual_cny"]["p50"].as_f64());
        assert_eq!(day["rows_with_volume"].as_u64(), Some(intervals));
    }
    let bracket = body["bracket"].as_object().expect("a bracket");
    for (key, value) in body["fill_models"]["central"].as_object().expect("figures") {
        if value.is_number() {
            let legs = &bracket[key.as_str()];
            for (at, model) in ["pessimistic", "central", "optimistic"].into_iter().enumerate() {
                assert_eq!(legs[at], body["fill_models"][model][key.as_str()], "{key} {model}");
            }
        }
    }
    assert!(bracket.len() > 25, "{} figures", bracket.len());
    let mut single = spec();
    single.fills.models = vec![FillModelName::Central];
    assert!(report(&single)["bracket"].is_null(), "one model is no bracket");
}
