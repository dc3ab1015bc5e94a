//! The rules of honest filling, one test each where no golden case goes through a whole [`ghtrader_exchange::Matching`].
#![allow(clippy::unwrap_used, reason = "a test")]

mod book;

use book::{ASKS, BIDS, HALF, Snap, day, day_with, filled, matching, order, rejection, run, snap, spec};
use ghtrader_core::Phase;
use ghtrader_exchange::{
    BeyondBook, BookFill, FillModel, MatchConfig, MatchEvent, Matching, NewOrder, PreparedDay, RejectReason, Residuals,
    Side, SplitClass, TakerBook, Tif,
};

const QUEUED: [FillModel; 3] = [FillModel::Pessimistic, FillModel::Central, FillModel::Optimistic];

/// Lots ahead of the only working order.
fn queue(m: &Matching) -> f64 {
    m.working().next().unwrap().queue_ahead_lots
}

/// The mirror image of a day: bids become asks around the price 200, and sells buys.
fn mirrored(snaps: &[Snap]) -> Vec<Snap> {
    let flip = |levels: &[(i32, i32)]| levels.iter().map(|&(price, lots)| (400 - price, lots)).collect();
    snaps
        .iter()
        .map(|s| Snap { bids: flip(&s.asks), asks: flip(&s.bids), trades: flip(&s.trades), ..s.clone() })
        .collect()
}

/// Runs a buy over a day and its mirror image: both have to come to the same.
fn both_sides(snaps: &[Snap], check: impl Fn(&PreparedDay, &dyn Fn(u64, u32, i32) -> NewOrder)) {
    check(&day(snaps), &|id, lots, limit| order(id, Side::Buy, lots, limit));
    check(&day(&mirrored(snaps)), &|id, lots, limit| order(id, Side::Sell, lots, 400 - limit));
}

/// B-03: rule 5, of a decrease without a trade none, some or all stood ahead.
#[test]
fn cancels_advance_a_queue_by_the_model() {
    // We stand behind 10; 6 more join behind us; then 4 of 16 leave.
    let sizes = [10, 16, 12];
    let snaps: Vec<Snap> = sizes.iter().zip(0..).map(|(&lots, t)| snap(t, &[(100, lots)], ASKS, &[])).collect();
    both_sides(&snaps, |day, buy| {
        // Central: 4 × (10/16)³ of them stood ahead.
        for (model, want) in [
            (FillModel::Pessimistic, 10.0),
            (FillModel::Central, 10.0 - 4.0 * (10.0f64 / 16.0).powi(3)),
            (FillModel::Optimistic, 6.0),
        ] {
            let mut m = matching(model);
            m.submit(buy(1, 1, 100), 0, 0);
            run(&mut m, day);
            assert!((queue(&m) - want).abs() < 1e-12, "{model}: {} and not {want}", queue(&m));
        }
        let mut m = Matching::new(MatchConfig { central_power: 1.0, ..MatchConfig::new(FillModel::Central) });
        m.submit(buy(1, 1, 100), 0, 0);
        run(&mut m, day);
        assert_eq!(queue(&m), 10.0 - 4.0 * 10.0 / 16.0, "the power is a parameter");
    });
}

/// B-06: rule 6, an order outside the five levels has everybody ahead of it until its price is seen.
#[test]
fn an_order_outside_the_window_waits_for_its_price() {
    let near = snap(2, &[(97, 7), (96, 7), (95, 7), (94, 7), (93, 7)], &[(98, 9)], &[]);
    let snaps = [snap(0, BIDS, ASKS, &[]), snap(1, BIDS, ASKS, &[(100, 500)]), near];
    both_sides(&snaps, |day, buy| {
        for model in QUEUED {
            let mut m = matching(model);
            m.submit(buy(1, 1, 94), 0, 0);
            let mut events = Vec::new();
            m.advance(day, 1, 2, &mut events);
            assert_eq!((queue(&m), m.working().next().unwrap().unseen), (f64::INFINITY, true), "{model}");
            m.advance(day, 2, 3, &mut events);
            assert_eq!((queue(&m), m.working().next().unwrap().unseen), (7.0, false), "{model}");
            assert_eq!((m.warnings().unseen, filled(&events, 1)), (1, 0), "{model}");
        }
    });
}

/// B-03: rule 7, a crossed order is certain of what traded and of what is shown, and optimistic of all.
#[test]
fn a_crossed_order_fills_at_its_own_price() {
    let snaps = [snap(0, BIDS, ASKS, &[]), snap(1, &[(98, 5)], &[(99, 2), (100, 1), (101, 50)], &[(100, 3)])];
    both_sides(&snaps, |day, buy| {
        for (model, want) in [
            (FillModel::Pessimistic, 6),
            (FillModel::Central, 6),
            (FillModel::Optimistic, 40),
            (FillModel::CrossOnly, 40),
            (FillModel::Touch, 40),
        ] {
            let mut m = matching(model);
            let placed = buy(1, 40, 100);
            m.submit(placed, 0, 0);
            let events = run(&mut m, day);
            assert_eq!(filled(&events, 1), want, "{model}");
            for event in &events {
                if let MatchEvent::Filled { price_ticks, maker, .. } = event {
                    assert_eq!((Some(*price_ticks), *maker), (placed.limit_ticks, true), "{model}");
                }
            }
        }
    });
}

/// B-03: rule 8, a level that is gone fills for certain only when the trades cover queue and order.
#[test]
fn a_depleted_level_fills_whole_or_not() {
    // Ten ahead of two; the level is gone, the ask is not there yet.
    for (traded, certain, possible) in [(9, 0, 0), (11, 0, 1), (12, 2, 2)] {
        let snaps = [snap(0, BIDS, ASKS, &[]), snap(1, &[(99, 8), (98, 6)], ASKS, &[(100, traded)])];
        both_sides(&snaps, |day, buy| {
            for (model, want) in [
                (FillModel::Pessimistic, certain),
                (FillModel::Central, certain),
                (FillModel::Optimistic, possible),
                (FillModel::CrossOnly, 0),
            ] {
                let mut m = matching(model);
                m.submit(buy(1, 2, 100), 0, 0);
                assert_eq!(filled(&run(&mut m, day), 1), want, "{model}, {traded} traded");
                if want < 2 && model != FillModel::CrossOnly {
                    assert_eq!(queue(&m), 0.0, "{model}, {traded} traded: nobody is ahead at a level that is gone");
                }
            }
        });
    }
}

/// B-08: rule 9, what arrives at the time of a row meets that row's book: market data come first.
#[test]
fn market_data_come_before_messages_of_the_same_time() {
    let snaps = [snap(0, BIDS, ASKS, &[]), snap(1, &[(102, 9)], &[(103, 9)], &[]), snap(2, BIDS, ASKS, &[])];
    both_sides(&snaps, |day, buy| {
        for taker_book in [TakerBook::K, TakerBook::KPlusOne, TakerBook::Both] {
            let mut m = Matching::new(MatchConfig { taker_book, ..MatchConfig::new(FillModel::Pessimistic) });
            m.submit(NewOrder { tif: Tif::Immediate, ..buy(1, 3, 101) }, 0, HALF);
            m.submit(NewOrder { tif: Tif::Immediate, ..buy(2, 3, 103) }, 0, HALF);
            let events = run(&mut m, day);
            assert_eq!((filled(&events, 1), filled(&events, 2)), (0, 3), "{taker_book}: the ask is at 103 by then");
            let both = events.iter().any(|e| matches!(e, MatchEvent::TakerBooks { .. }));
            assert!(!both, "{taker_book}: at a snapshot's time there is one book");
        }
        // A cancel at the time of the row comes after the row's fills, in every model.
        let through = [snap(0, BIDS, ASKS, &[]), snap(1, &[(98, 5)], &[(99, 7)], &[(100, 20)])];
        let down = self::day(&through);
        for model in QUEUED {
            let mut m = matching(model);
            m.submit(order(1, Side::Buy, 2, 100), 0, 0);
            m.cancel(1, HALF);
            assert_eq!(filled(&run(&mut m, &down), 1), 2, "{model}");
        }
    });
}

/// B-09: rule 11, with `both` the fills are those of the next book, and the one before is told beside.
#[test]
fn both_books_are_told() {
    let after = [(103, 2), (104, 9)];
    let snaps = [snap(0, BIDS, ASKS, &[]), snap(1, &[(102, 5)], &after, &[]), snap(2, &[(102, 5)], &after, &[])];
    let told = |events: &[MatchEvent]| {
        events.iter().find_map(|e| match *e {
            MatchEvent::TakerBooks { before, after, .. } => Some((before, after)),
            _ => None,
        })
    };
    let fill = |fills: &[(i64, u32)]| BookFill {
        lots: fills.iter().map(|f| f.1).sum(),
        lot_ticks: fills.iter().map(|f| f.0 * i64::from(f.1)).sum(),
    };
    let day = day(&snaps);
    let got = |taker_book, order: NewOrder| {
        let mut m = Matching::new(MatchConfig { taker_book, ..MatchConfig::new(FillModel::Pessimistic) });
        m.submit(order, 0, HALF / 2);
        run(&mut m, &day)
    };
    let market = NewOrder { limit_ticks: None, ..order(1, Side::Buy, 4, 0) };
    let both = got(TakerBook::Both, market);
    assert_eq!(told(&both), Some((fill(&[(101, 3), (102, 1)]), fill(&[(103, 2), (104, 2)]))));
    // The price on either book is the one that the run with that book alone pays.
    for (taker_book, of) in [(TakerBook::K, told(&both).unwrap().0), (TakerBook::KPlusOne, told(&both).unwrap().1)] {
        let alone = got(taker_book, market);
        assert_eq!(told(&alone), None, "{taker_book}");
        let paid: i64 = alone
            .iter()
            .filter_map(|e| match e {
                MatchEvent::Filled { price_ticks, lots, .. } => Some(i64::from(*price_ticks) * i64::from(*lots)),
                _ => None,
            })
            .sum();
        assert_eq!((filled(&alone, 1), paid), (of.lots, of.lot_ticks), "{taker_book}");
    }
    let fills = |events: &[MatchEvent]| -> Vec<MatchEvent> {
        events.iter().filter(|e| !matches!(e, MatchEvent::TakerBooks { .. })).copied().collect()
    };
    assert_eq!(fills(&both), got(TakerBook::KPlusOne, market), "told beside, changed nothing");
    // A limit that the next book does not reach: it would have traded on the one before, and rests.
    let limit = got(TakerBook::Both, order(1, Side::Buy, 5, 102));
    assert_eq!(told(&limit), Some((fill(&[(101, 3), (102, 2)]), BookFill::default())));
    assert_eq!(filled(&limit, 1), 0);
    // All or nothing on each book of its own.
    let whole = got(TakerBook::Both, NewOrder { tif: Tif::FillOrKill, ..order(1, Side::Buy, 9, 103) });
    assert_eq!(told(&whole), Some((fill(&[(101, 3), (102, 5), (103, 1)]), BookFill::default())));
    // A passive order takes from neither.
    assert_eq!(told(&got(TakerBook::Both, order(1, Side::Buy, 1, 90))), None);
}

/// B-07: rule 10, own size at a level that leaves the window stays gone, and comes back only with new lots.
#[test]
fn own_size_is_given_back_by_refill_alone() {
    let shown = |lots| [(101, lots), (102, 9)];
    let snaps = [
        snap(0, BIDS, &shown(5), &[]),
        snap(1, BIDS, &shown(3), &[]),
        snap(2, BIDS, &shown(4), &[]),
        snap(3, BIDS, &[(102, 9)], &[]),
        snap(4, BIDS, &shown(2), &[]),
    ];
    let day = day(&snaps);
    for model in QUEUED {
        let mut m = matching(model);
        let take = |id: u64, row: usize| NewOrder { tif: Tif::Immediate, ..order(id + row as u64, Side::Buy, 9, 101) };
        for row in 0..5 {
            m.submit(take(0, row), row, row as i64 * HALF);
        }
        let mut events = run(&mut m, &day);
        m.advance(&day, 5, 5, &mut events);
        // All five; of the three left all were ours; one is new; the level was gone, so two are new.
        assert_eq!([0, 1, 2, 3, 4].map(|id| filled(&events, id)), [5, 0, 1, 0, 2], "{model}");
    }
}

/// B-13: rule 12, at a lock limit every model advances a queue by volume only, and never beyond what is shown.
#[test]
fn a_locked_queue_advances_by_volume_only() {
    let locked = |t, lots, trades: &[(i32, i32)]| snap(t, &[(110, lots)], &[], trades);
    // 900 ahead: 30 trade; then 400 leave without a trade; then all but 200 leave.
    let snaps = [locked(0, 900, &[]), locked(1, 900, &[(110, 30)]), locked(2, 880, &[]), locked(3, 200, &[])];
    both_sides(&snaps, |day, buy| {
        assert_eq!(day.warnings().locked_rows, 4);
        for model in QUEUED {
            let mut m = matching(model);
            m.submit(buy(1, 4, 110), 0, 0);
            let mut events = Vec::new();
            let mut seen = Vec::new();
            for row in 1..4 {
                m.advance(day, row, row + 1, &mut events);
                seen.push(queue(&m));
            }
            assert_eq!(seen, [870.0, 870.0, 200.0], "{model}");
        }
    });
    // Nothing is taken from the side that is empty, whatever the setting.
    let day = day(&snaps);
    for beyond_book in [BeyondBook::Reject, BeyondBook::Penalty { ticks: 3 }] {
        for taker_book in [TakerBook::K, TakerBook::KPlusOne, TakerBook::Both] {
            let mut m =
                Matching::new(MatchConfig { beyond_book, taker_book, ..MatchConfig::new(FillModel::Optimistic) });
            m.submit(NewOrder { limit_ticks: None, ..order(1, Side::Buy, 1, 0) }, 0, HALF / 2);
            let events = run(&mut m, &day);
            assert_eq!(rejection(&events, 1), Some(RejectReason::BeyondBook), "{taker_book}");
        }
    }
}

/// B-13: the first row after a gap moves queues, crossings, arrivals and cancels by pessimistic rules, in every model.
#[test]
fn a_gap_is_pessimistic_for_all_that_rests() {
    let after = 12;
    let quiet = |bids: &[(i32, i32)], trades: &[(i32, i32)]| {
        [snap(0, &[(100, 10)], ASKS, &[]), snap(1, &[(100, 20)], ASKS, &[]), snap(after, bids, ASKS, trades)]
    };
    let crossed = [
        snap(0, &[(100, 10)], ASKS, &[]),
        snap(1, &[(100, 20)], ASKS, &[]),
        snap(after, &[(98, 5)], &[(99, 2), (101, 9)], &[(100, 3)]),
    ];
    let got = |snaps: &[Snap], model, lots: u32, arrival_ns: i64, cancel_ns: Option<i64>| {
        let day = day(snaps);
        assert!(day.has_gap_before(2) && day.counts_only_certain(2));
        let mut m = matching(model);
        m.submit(order(1, Side::Buy, lots, 100), 0, arrival_ns);
        if let Some(ns) = cancel_ns {
            m.cancel(1, ns);
        }
        let events = run(&mut m, &day);
        (filled(&events, 1), m.working().next().map(|o| o.queue_ahead_lots))
    };
    let inside = 6 * HALF;
    for model in QUEUED {
        assert_eq!(got(&quiet(&[(100, 15)], &[]), model, 1, 0, None), (0, Some(10.0)), "{model}: cancels");
        assert_eq!(got(&crossed, model, 40, 0, None), (5, Some(0.0)), "{model}: crossed");
        assert_eq!(
            got(&quiet(&[(100, 20)], &[(100, 99)]), model, 1, inside, None),
            (0, Some(20.0)),
            "{model}: arrival"
        );
        assert_eq!(
            got(&crossed, model, 2, 0, Some(inside)),
            (2, None),
            "{model}: a cancel loses to a price that went through"
        );
    }
}

/// B-13: an interval that spans a break is no gap.
#[test]
fn a_break_is_no_gap() {
    let spec = ghtrader_exchange::PrepareSpec { windows: vec![(0, 4 * HALF), (100 * HALF, 200 * HALF)], ..spec() };
    let day = day_with(&spec, &[0, 1, 101, 120].map(|t| snap(t, BIDS, ASKS, &[])));
    assert_eq!([0, 1, 2, 3].map(|row| day.has_gap_before(row)), [false, false, false, true]);
    assert_eq!(day.warnings().gaps, 1);
}

/// B-13: rows outside continuous trading are counted, and neither match nor are met.
#[test]
fn rows_outside_continuous_trading_are_counted() {
    let mut snaps: Vec<Snap> = (0..5).map(|t| snap(t, BIDS, ASKS, &[(100, 50)])).collect();
    snaps[2].phase = Phase::Auction;
    snaps[3].phase = Phase::Closed;
    let day = day(&snaps);
    let warnings = day.warnings();
    assert_eq!((warnings.auction_rows, warnings.closed_rows), (1, 1));
    for model in QUEUED {
        let mut m = matching(model);
        m.submit(order(1, Side::Buy, 99, 100), 1, HALF);
        let rows: Vec<usize> = run(&mut m, &day)
            .iter()
            .filter_map(|e| if let MatchEvent::Filled { row, .. } = e { Some(*row) } else { None })
            .collect();
        assert!(rows.iter().all(|row| *row == 4), "{model}: {rows:?}");
    }
}

/// B-05: what the split left over is known by class, with its size.
#[test]
fn the_split_reports_what_it_left_over() {
    let snaps = [
        snap(0, BIDS, ASKS, &[]),
        snap(1, BIDS, ASKS, &[(100, 7), (101, 2)]),
        snap(2, &[(101, 5)], &[(102, 5)], &[(101, 3)]),
        snap(3, &[(101, 5)], &[(102, 5)], &[(101, 1), (104, 1)]),
        snap(4, &[(101, 5)], &[(102, 5)], &[]),
    ];
    let day = day(&snaps);
    let report = day.split_report();
    let of = |class: SplitClass| (report.intervals[class as usize], report.lots[class as usize]);
    assert_eq!(SplitClass::ALL.map(of), [(1, 9), (1, 3), (1, 2), (0, 0)]);
    // 101 + 104 = 205 against at most 2 × 102: one tick of 10 CNY is left.
    assert_eq!(report.within_rounding, 2);
    assert_eq!(report.residual_cny, Residuals { p50: 0.0, p90: 10.0, p99: 10.0, max: 10.0 });
    // A wrong multiplier fits nothing.
    let wrong = ghtrader_exchange::PrepareSpec { multiplier: 10.0, ..spec() };
    let broken = *day_with(&wrong, &snaps).split_report();
    assert_eq!((broken.intervals[SplitClass::Unsplit as usize], broken.within_rounding), (3, 0));
    assert!(day_with(&spec(), &snaps[..1]).split_report().residual_cny.max.is_nan());
}
