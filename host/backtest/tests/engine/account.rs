//! Fees, margin, limits and metrics through the whole loop.

use crate::world::{
    Book, Dice, MODELS, Native, OneDay, Seen, Tape, order, plain_world, run, run_instance, spec, start_ns,
};
use ghtrader_backtest::{FillModelName, MetricContext, OrderEnd, RunSpec, compute_metrics};
use ghtrader_core::NS_PER_S;
use ghtrader_kernels::wire::{Action, Offset, Side};
use ghtrader_plugin::AccountView;

const MODEL: FillModelName = FillModelName::Pessimistic;

/// Twenty rows a day, two a second, at a bid price by day and row.
fn days(count: i32, bid: impl Fn(i32, i64) -> f64) -> Vec<OneDay> {
    (0..count)
        .map(|n| {
            let mut tape = Tape::default();
            (0..20).for_each(|i| {
                tape.row(start_ns(n) + i * NS_PER_S / 2, Book::at(bid(n, i)), 0.0, 0.0);
            });
            OneDay::new(n, "SHFE.cu2509", tape.table)
        })
        .collect()
}

/// Market orders at given rows of the run: (row, side, offset, lots).
fn script(orders: &'static [(usize, Side, Offset, u32)]) -> impl FnMut(Seen, &AccountView, &mut Vec<Action>) + Send {
    let mut row = 0;
    move |_, account: &AccountView, out: &mut Vec<Action>| {
        for (id, (_, side, offset, lots)) in (1..).zip(orders).filter(|(_, o)| o.0 == row) {
            let mut order = order(id, account.contract, *side, *lots, None);
            order.offset = *offset;
            out.push(Action::Place(order));
        }
        row += 1;
    }
}

fn context() -> MetricContext<'static> {
    MetricContext {
        initial_cny: 1e8,
        annual_days: 252.0,
        multiplier: &[5.0; 3],
        price_tick: &[10.0; 3],
        contracts: &[],
    }
}

/// B-10, B-12: close-today costs double at the built-in rates; 3 old and 2 new lots close at their own.
#[test]
fn fees_follow_the_age_of_lots() {
    use Side::{Buy, Sell};
    let world = days(2, |_, _| 70_000.0);
    let orders = &[(0, Buy, Offset::Open, 3), (21, Buy, Offset::Open, 2), (25, Sell, Offset::Auto, 5)];
    let record = run(&world, &spec(), MODEL, script(orders));
    let fee = |rate: f64, price: f64, lots: f64| rate * price * 5.0 * lots;
    let opened = [fee(0.00005, 70_010.0, 3.0), fee(0.00005, 70_010.0, 2.0)];
    let closed = fee(0.0001, 70_000.0, 2.0) + fee(0.00005, 70_000.0, 3.0);
    let expected = [opened[0], opened[1], closed];
    assert_eq!(record.fills.len(), 3);
    for (fill, fee) in record.fills.iter().zip(expected) {
        assert!((fill.fee_cny - fee).abs() < 1e-9, "{} against {fee}", fill.fee_cny);
    }
    assert!((record.days[0].fees_cny - opened[0]).abs() < 1e-9, "a settlement counts no fee twice");
    assert!((record.days[1].fees_cny - opened[1] - closed).abs() < 1e-9);
    let pnl: f64 = record.days.iter().map(|d| d.pnl_cny).sum();
    assert!((pnl + 5.0 * 10.0 * 5.0 + expected.iter().sum::<f64>()).abs() < 1e-6, "{pnl}");
}

/// B-11, B-12
#[test]
fn the_account_refuses_what_it_cannot_carry() {
    let world = days(1, |_, _| 70_000.0);
    let mut poor = spec();
    poor.account.initial_cny = 40_000.0;
    // One lot holds 31,500; older lots there are none.
    let orders = &[
        (0, Side::Buy, Offset::Open, 2),
        (1, Side::Buy, Offset::Open, 1),
        (2, Side::Buy, Offset::Open, 1),
        (3, Side::Sell, Offset::Close, 1),
        (4, Side::Sell, Offset::CloseToday, 1),
    ];
    let record = run(&world, &poor, MODEL, script(orders));
    let ends: Vec<_> = record.orders.iter().map(|o| (o.end, o.reason_name())).collect();
    assert_eq!(
        ends,
        [
            (OrderEnd::Rejected, "insufficient_margin"),
            (OrderEnd::Filled, ""),
            (OrderEnd::Rejected, "insufficient_margin"),
            (OrderEnd::Rejected, "nothing_to_close"),
            (OrderEnd::Filled, ""),
        ]
    );
    assert_eq!(compute_metrics(&record, &context()).rejects["insufficient_margin"], 2);
}

/// B-11
#[test]
fn a_lost_account_ends_at_its_row_whatever_the_blocks() {
    // 31,500 of 40,000 are margin; the fall at row 10 costs 50,000, and the last price shows it at row 11.
    let world = days(2, |_, i| if i < 10 { 70_000.0 } else { 60_000.0 });
    let mut poor = spec();
    poor.account.initial_cny = 40_000.0;
    let orders =
        &[(0, Side::Buy, Offset::Open, 1), (15, Side::Sell, Offset::Auto, 1), (22, Side::Sell, Offset::Auto, 1)];
    let runs: Vec<_> = [1, 7, 4_096]
        .map(|rows| run_instance(&world, &poor, MODEL, rows, Native::new(script(orders))).expect("a run"))
        .into();
    // By their text: prices of market orders are NaN, which equals nothing.
    assert!(runs.iter().all(|r| format!("{r:?}") == format!("{:?}", runs[0])));
    let record = &runs[0];
    assert!(record.bust);
    assert_eq!((record.orders.len(), record.fills.len(), record.days.len()), (1, 1, 1));
    assert!(record.days[0].equity_cny < 0.0);
    assert_eq!(record.equity.last().map(|p| p.ts_ns), Some(start_ns(0) + 11 * NS_PER_S / 2));
}

/// B-15: equity, fills and fees tell the same story.
#[test]
fn profit_is_cash_plus_position_less_fees() {
    for seed in 0..4 {
        let world = plain_world(seed);
        for model in MODELS {
            let record = run(&world, &spec(), model, Dice::new(seed, true));
            let metrics = compute_metrics(&record, &context());
            let cash: f64 =
                record.fills.iter().map(|f| -(f.side.sign() as f64) * f64::from(f.lots) * f.price_cny * 5.0).sum();
            let fees: f64 = record.fills.iter().map(|f| f.fee_cny).sum();
            let last = world[2].table.floats[0].last().copied().expect("rows");
            let held = record.fills.last().map_or(0, |f| f.position_lots) as f64;
            assert!((metrics.pnl_cny - (cash + held * last * 5.0 - fees)).abs() < 1e-3, "{}", model.as_str());
            assert!((metrics.pnl_daily_cny.iter().sum::<f64>() - metrics.pnl_cny).abs() < 1e-3);
            assert!((metrics.gross_pnl_cny - metrics.pnl_cny - fees).abs() < 1e-6);
            assert!((record.days.iter().map(|d| d.fees_cny).sum::<f64>() - fees).abs() < 1e-6);
            assert!(record.equity.windows(2).all(|p| p[0].ts_ns <= p[1].ts_ns), "points ascend");
            assert!(record.max_drawdown_cny >= metrics.max_drawdown_daily_cny - 1e-6);
        }
    }
}

/// B-15, B-16: a position held over rows 1 to 10 of 20, down two ticks and up four.
#[test]
fn drawdown_exposure_markout_and_slippage_are_those_of_the_rows() {
    let world = days(1, |_, i| match i {
        0..=3 => 70_000.0,
        4..=6 => 69_980.0,
        _ => 70_020.0,
    });
    let mut spec = spec();
    spec.fees.free = true;
    let record =
        run(&world, &spec, MODEL, script(&[(0, Side::Buy, Offset::Open, 1), (10, Side::Sell, Offset::CloseToday, 1)]));
    // Bought at 70,010 with a last price of 70,000; the lowest mark is 69,980.
    assert_eq!(record.max_drawdown_cny, 30.0 * 5.0);
    assert_eq!((record.session_ns, record.exposed_ns), (19 * NS_PER_S / 2, 10 * NS_PER_S / 2));
    let metrics = compute_metrics(&record, &context());
    assert_eq!(metrics.exposure, Some(10.0 / 19.0));
    // One row later nothing moved, ten rows later the mid is two ticks up.
    assert_eq!(&record.fills[0].markout_ticks[..2], [0.0, 2.0]);
    assert_eq!(&record.fills[1].markout_ticks[..1], [0.0]);
    // A taker pays half a spread on each leg.
    assert_eq!((record.fills[0].slippage_ticks, record.fills[1].slippage_ticks), (0.5, 0.5));
    assert_eq!(metrics.slippage_ticks, Some(0.5));
    assert_eq!(metrics.pnl_cny, metrics.gross_pnl_cny);
}

/// B-35
#[test]
fn limits_hold_and_refusals_are_counted_by_rule() {
    let mut limited: RunSpec = spec();
    limited.risk.max_abs_position = 2;
    limited.risk.max_order_lots = 2;
    let mut refused = 0;
    for seed in 0..6 {
        for model in MODELS {
            let record = run(&plain_world(seed), &limited, model, Dice::new(seed, true));
            assert!(record.max_abs_position_lots <= 2, "{} lots, {}", record.max_abs_position_lots, model.as_str());
            assert!(record.orders.iter().all(|o| o.lots <= 2));
            refused += compute_metrics(&record, &context()).rejects.get("risk_limit").copied().unwrap_or(0);
        }
    }
    assert!(refused > 0);
}

/// B-03: for orders that hang on nothing the models bracket what fills.
#[test]
fn pessimistic_fills_no_more_than_optimistic() {
    let mut roomy = spec();
    roomy.risk.max_abs_position = 100_000;
    for seed in 0..6 {
        let lots = |model| {
            let mut row = 0u64;
            let fixed = move |_: Seen, account: &AccountView, out: &mut Vec<Action>| {
                row += 1;
                if row.is_multiple_of(9) {
                    let away = (row / 9 % 5) as f64;
                    let order = order(row, account.contract, Side::Buy, 1, Some(70_000.0 - 10.0 * away));
                    out.push(Action::Place(order));
                }
            };
            run(&plain_world(seed), &roomy, model, fixed).fills.iter().map(|f| u64::from(f.lots)).sum::<u64>()
        };
        let (low, high) = (lots(FillModelName::Pessimistic), lots(FillModelName::Optimistic));
        assert!(low <= high && high > 0, "{low} and {high}");
    }
}
