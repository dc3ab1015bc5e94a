//! Orders over small hand-made days: arrivals, races, sessions, limits, own size.
#![allow(clippy::unwrap_used, reason = "a test")]

mod book;

use book::{ASKS, BIDS, HALF, MULTIPLIER, Snap, day, day_with, filled, matching, order, rejection, run, snap, spec};
use ghtrader_core::Phase;
use ghtrader_exchange::{
    BeyondBook, FillModel, MatchConfig, MatchEvent, Matching, NewOrder, Offset, PrepareSpec, RejectReason, Side,
    TakerBook, Tif,
};
use proptest::prelude::*;

/// An order of latency zero meets the book on which it was decided; its events come with the next row.
#[test]
fn zero_latency_meets_the_same_book() {
    let day = day(&[snap(0, BIDS, ASKS, &[]), snap(1, &[(90, 1)], &[(91, 1)], &[])]);
    let mut m = matching(FillModel::Pessimistic);
    m.submit(order(1, Side::Buy, 5, 102), 0, 0);
    let mut events = Vec::new();
    assert_eq!(m.advance(&day, 1, 2, &mut events), 2);
    let fill = |price_ticks, lots, remaining| MatchEvent::Filled {
        id: 1,
        side: Side::Buy,
        price_ticks,
        lots,
        remaining,
        maker: false,
        row: 0,
        ts_ns: 0,
        offset: Offset::Auto,
    };
    assert_eq!(events, [MatchEvent::Accepted { id: 1, row: 0, ts_ns: 0 }, fill(101, 3, 2), fill(102, 2, 0)]);
}

/// `advance` stops behind a row with an event, and may be undone by a copy.
#[test]
fn stops_at_events_and_rolls_back() {
    let quiet = snap(0, BIDS, ASKS, &[]);
    let mut snaps: Vec<Snap> = (0..6).map(|t| Snap { half_s: t, ..quiet.clone() }).collect();
    snaps[4].trades = vec![(100, 11)];
    let day = day(&snaps);
    let mut m = matching(FillModel::Pessimistic);
    m.submit(order(1, Side::Buy, 1, 100), 0, 0);
    let mut events = Vec::new();
    assert_eq!(m.advance(&day, 1, 6, &mut events), 2, "accepted");
    assert_eq!(m.working().next().unwrap().queue_ahead_lots, 10.0);
    events.clear();
    let checkpoint = m.clone();
    assert_eq!(m.advance(&day, 2, 6, &mut events), 5, "filled at row 4");
    let first = std::mem::take(&mut events);
    let mut again = checkpoint;
    assert_eq!(again.advance(&day, 2, 4, &mut events), 4);
    assert!(events.is_empty());
    assert_eq!(again.advance(&day, 4, 6, &mut events), 5);
    assert_eq!(events, first);
}

/// B-06: out of the five levels the queue is kept.
#[test]
fn queue_is_kept_out_of_the_window() {
    let far: Vec<(i32, i32)> = (0..5).map(|i| (105 - i, 5)).collect();
    let asks: Vec<(i32, i32)> = (0..5).map(|i| (106 + i, 5)).collect();
    let snaps = [
        snap(0, BIDS, ASKS, &[]),
        snap(1, &far, &asks, &[]),
        snap(2, &far, &asks, &[(105, 40)]),
        snap(3, &[(98, 9), (97, 9)], &[(99, 9)], &[]),
    ];
    let day = day(&snaps);
    for (model, back) in [(FillModel::Pessimistic, 9.0), (FillModel::Central, 7.5), (FillModel::Optimistic, 6.0)] {
        let mut m = matching(model);
        m.submit(order(1, Side::Buy, 1, 98), 0, 0);
        let mut events = Vec::new();
        m.advance(&day, 1, 3, &mut events);
        m.advance(&day, 2, 3, &mut events);
        let o = m.working().next().unwrap();
        assert_eq!((o.queue_ahead_lots, o.unseen), (6.0, true), "{model}");
        assert_eq!(m.warnings().unseen, 1, "{model}");
        m.advance(&day, 3, 4, &mut events);
        let o = m.working().next().unwrap();
        assert_eq!((o.queue_ahead_lots, o.unseen), (back, false), "{model}");
    }
}

/// B-07: two own orders at one level share what traded.
#[test]
fn own_orders_share_the_volume() {
    for traded in 0..20 {
        let day = day(&[snap(0, BIDS, ASKS, &[]), snap(1, BIDS, ASKS, &[(100, traded)])]);
        for model in [FillModel::Pessimistic, FillModel::Central, FillModel::Optimistic] {
            let mut m = matching(model);
            m.submit(order(1, Side::Buy, 3, 100), 0, 0);
            m.submit(order(2, Side::Buy, 4, 100), 0, 0);
            let events = run(&mut m, &day);
            let want = |ahead: i32, own: i32| (traded - ahead).clamp(0, own) as u32;
            assert_eq!(filled(&events, 1), want(10, 3), "{model} {traded}");
            assert_eq!(filled(&events, 2), want(13, 4), "{model} {traded}");
        }
    }
}

/// B-07: crossed orders share what the other side shows; what they took stays gone until it is refilled.
#[test]
fn crossed_orders_share_the_display() {
    let snaps = [
        snap(0, BIDS, ASKS, &[]),
        snap(1, &[(98, 5)], &[(99, 2), (100, 3), (101, 9)], &[]),
        snap(2, &[(98, 5)], &[(99, 2), (100, 3), (101, 9)], &[]),
        snap(3, &[(98, 5)], &[(99, 6), (100, 3), (101, 9)], &[]),
    ];
    let day = day(&snaps);
    let mut m = matching(FillModel::Pessimistic);
    m.submit(order(1, Side::Buy, 4, 100), 0, 0);
    m.submit(order(2, Side::Buy, 8, 100), 0, 0);
    let mut events = Vec::new();
    m.advance(&day, 1, 2, &mut events);
    assert_eq!((filled(&events, 1), filled(&events, 2)), (4, 1));
    m.advance(&day, 2, 3, &mut events);
    assert_eq!(filled(&events, 2), 1, "nothing new is offered");
    m.advance(&day, 3, 4, &mut events);
    assert_eq!(filled(&events, 2), 5, "four new lots at 99");
}

/// B-08: a passive order that arrives inside an interval sees none, its share, or all of the volume.
#[test]
fn arrival_inside_an_interval() {
    let day = day(&[snap(0, BIDS, ASKS, &[]), snap(1, BIDS, ASKS, &[(100, 16)])]);
    for (model, want) in [(FillModel::Pessimistic, 0), (FillModel::Central, 2), (FillModel::Optimistic, 4)] {
        let mut m = matching(model);
        m.submit(order(1, Side::Buy, 4, 100), 0, HALF / 4);
        assert_eq!(filled(&run(&mut m, &day), 1), want, "{model}");
    }
    let mut m = matching(FillModel::Pessimistic);
    m.submit(order(1, Side::Buy, 4, 100), 0, HALF);
    assert_eq!(run(&mut m, &day), [], "arrives with the snapshot: after it");
    let mut events = Vec::new();
    m.advance(&day, 2, 2, &mut events);
    assert_eq!(events, [MatchEvent::Accepted { id: 1, row: 1, ts_ns: HALF }]);
}

/// B-09: a taker between two snapshots meets the one before or the one after.
#[test]
fn taker_meets_the_chosen_book() {
    let after = [(103, 2), (104, 9)];
    let day = day(&[snap(0, BIDS, ASKS, &[]), snap(1, &[(102, 5)], &after, &[])]);
    for (taker_book, want) in
        [(TakerBook::K, vec![(101, 3, 0), (102, 1, 0)]), (TakerBook::KPlusOne, vec![(103, 2, 1), (104, 2, 1)])]
    {
        let mut m = Matching::new(MatchConfig { taker_book, ..MatchConfig::new(FillModel::Pessimistic) });
        m.submit(NewOrder { limit_ticks: None, ..order(1, Side::Buy, 4, 0) }, 0, HALF / 2);
        let fills: Vec<_> = run(&mut m, &day)
            .iter()
            .filter_map(|e| match e {
                MatchEvent::Filled { price_ticks, lots, row, maker: false, .. } => Some((*price_ticks, *lots, *row)),
                _ => None,
            })
            .collect();
        assert_eq!(fills, want, "{taker_book}");
    }
}

/// A cancel in flight loses (pessimistic, price through), shares, or wins.
#[test]
fn cancel_races_the_interval() {
    let through = snap(1, &[(98, 5)], &[(99, 7)], &[(100, 10), (99, 2)]);
    let stays = snap(1, BIDS, ASKS, &[(100, 14)]);
    for (last, model, want) in [
        (&through, FillModel::Pessimistic, 4),
        (&through, FillModel::Optimistic, 0),
        (&stays, FillModel::Pessimistic, 0),
        (&stays, FillModel::Central, 0),
        (&stays, FillModel::Optimistic, 0),
    ] {
        let day = day(&[snap(0, BIDS, ASKS, &[]), last.clone()]);
        let mut m = matching(model);
        m.submit(order(1, Side::Buy, 4, 100), 0, 0);
        m.cancel(1, HALF / 2);
        let events = run(&mut m, &day);
        assert_eq!(filled(&events, 1), want, "{model} {last:?}");
        let cancelled =
            events.iter().any(|e| matches!(e, MatchEvent::Cancelled { remaining, .. } if *remaining == 4 - want));
        assert_eq!(cancelled, want < 4, "{model} {last:?}");
        assert_eq!(m.working().count(), 0);
    }
    // Central: it saw 7/8 of 16 lots, of which 10 stood ahead.
    let day = day(&[snap(0, BIDS, ASKS, &[]), snap(1, BIDS, ASKS, &[(100, 16)])]);
    let mut m = matching(FillModel::Central);
    m.submit(order(1, Side::Buy, 6, 100), 0, 0);
    m.cancel(1, HALF * 7 / 8);
    assert_eq!(filled(&run(&mut m, &day), 1), 4);
}

/// A cancel never overtakes its order, and one for an order that is gone is counted.
#[test]
fn cancel_follows_its_order() {
    let day = day(&[snap(0, BIDS, ASKS, &[]), snap(1, BIDS, ASKS, &[]), snap(2, BIDS, ASKS, &[])]);
    let mut m = matching(FillModel::Pessimistic);
    m.submit(order(1, Side::Buy, 1, 100), 0, HALF);
    m.cancel(1, 10);
    m.cancel(9, 10);
    let events = run(&mut m, &day);
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(matches!(events[1], MatchEvent::Cancelled { id: 1, remaining: 1, ts_ns: HALF, .. }));
    assert_eq!(m.warnings().late_cancels, 1);
}

/// B-13: at a lock limit nothing is bought, and a resting order advances by volume.
#[test]
fn lock_limit() {
    let locked = |t, trades: &[(i32, i32)]| snap(t, &[(110, 900)], &[], trades);
    let day = day(&[locked(0, &[]), locked(1, &[(110, 30)]), locked(2, &[(110, 880)])]);
    for model in FillModel::ALL.iter().copied() {
        let mut m = matching(model);
        m.submit(NewOrder { limit_ticks: None, ..order(1, Side::Buy, 1, 0) }, 0, 0);
        let mut events = Vec::new();
        m.advance(&day, 1, 2, &mut events);
        assert_eq!(rejection(&events, 1), Some(RejectReason::BeyondBook), "{model}");
    }
    let mut m = matching(FillModel::Pessimistic);
    m.submit(order(2, Side::Buy, 4, 110), 0, 0);
    let mut events = Vec::new();
    m.advance(&day, 1, 2, &mut events);
    assert_eq!(m.working().next().unwrap().queue_ahead_lots, 870.0);
    m.advance(&day, 2, 3, &mut events);
    assert_eq!(filled(&events, 2), 4);
}

/// B-13: nothing is matched at or after a window's end, nothing is taken there, and day orders survive the break.
#[test]
fn sessions_and_breaks() {
    let windows = vec![(0, 2 * HALF), (100 * HALF, 110 * HALF)];
    let through = [(98, 9)];
    let snaps = [
        snap(0, BIDS, ASKS, &[]),
        snap(2, &[(97, 1)], &through, &[(98, 50)]),
        snap(100, BIDS, ASKS, &[]),
        snap(101, BIDS, ASKS, &[(100, 12)]),
        snap(110, &[(97, 1)], &through, &[(98, 50)]),
    ];
    let day = day_with(&PrepareSpec { windows, ..spec() }, &snaps);
    let matchable: Vec<bool> = (0..5).map(|row| day.is_matchable(row)).collect();
    assert_eq!(matchable, [false, false, true, true, false]);
    for model in FillModel::ALL.iter().copied() {
        let mut m = matching(model);
        m.submit(order(1, Side::Buy, 9, 100), 0, 0);
        m.submit(order(2, Side::Buy, 1, 110), 1, 2 * HALF);
        let mut events = run(&mut m, &day);
        assert_eq!(rejection(&events, 2), Some(RejectReason::MarketClosed), "{model}");
        let fill_rows: Vec<usize> = events
            .iter()
            .filter_map(|e| if let MatchEvent::Filled { row, .. } = e { Some(*row) } else { None })
            .collect();
        assert!(fill_rows.iter().all(|row| *row == 3), "{model}: {fill_rows:?}");
        let rest = 9 - filled(&events, 1);
        events.clear();
        m.expire(4, 110 * HALF, &mut events);
        let cancelled = MatchEvent::Cancelled { id: 1, remaining: rest, row: 4, ts_ns: 110 * HALF };
        assert_eq!(events.first().copied(), (rest > 0).then_some(cancelled), "{model}");
    }
}

/// B-13: an auction's volume fills nothing, with a row of its own or without.
#[test]
fn auctions() {
    let spec = PrepareSpec {
        windows: vec![(100 * HALF, 200 * HALF), (400 * HALF, 500 * HALF)],
        auction_starts_ns: vec![100 * HALF, 400 * HALF],
        ..spec()
    };
    let auction = Snap { phase: Phase::Auction, ..snap(399, BIDS, ASKS, &[(100, 7)]) };
    let mut snaps = vec![
        snap(100, BIDS, ASKS, &[]),
        snap(101, BIDS, ASKS, &[(100, 50)]),
        snap(102, BIDS, ASKS, &[(100, 50)]),
        auction,
        snap(400, BIDS, ASKS, &[(100, 5)]),
    ];
    let day = day_with(&spec, &snaps);
    let matchable: Vec<bool> = (0..5).map(|row| day.is_matchable(row)).collect();
    assert_eq!(matchable, [false, false, true, false, true], "the second auction has a row");
    assert_eq!(day.warnings().auction_rows, 2);
    snaps.remove(3);
    let day = day_with(&spec, &snaps);
    let matchable: Vec<bool> = (0..4).map(|row| day.is_matchable(row)).collect();
    assert_eq!(matchable, [false, false, true, false], "the second auction has none");
}

/// After a gap only certain trades count, in every model.
#[test]
fn gap_is_pessimistic() {
    // Five of twenty lots leave a level where we stand behind ten: by the optimistic rule all five were ahead.
    for (pause, want) in [(10, 5.0), (11, 10.0)] {
        let rows = [(0, 10), (1, 20), (1 + pause, 15)];
        let day = day(&rows.map(|(t, lots)| snap(t, &[(100, lots)], ASKS, &[])));
        assert_eq!(day.has_gap_before(2), pause == 11);
        let mut m = matching(FillModel::Optimistic);
        m.submit(order(1, Side::Buy, 1, 100), 0, 0);
        run(&mut m, &day);
        assert_eq!(m.working().next().unwrap().queue_ahead_lots, want, "{pause}");
    }
}

#[test]
fn refusals() {
    let day = day(&[snap(0, BIDS, ASKS, &[]), snap(1, BIDS, ASKS, &[])]);
    let mut m = matching(FillModel::Pessimistic);
    m.submit(NewOrder { post_only: true, ..order(1, Side::Buy, 1, 101) }, 0, 0);
    m.submit(NewOrder { post_only: true, ..order(2, Side::Buy, 1, 100) }, 0, 0);
    m.submit(order(3, Side::Sell, 1, 100), 0, 0);
    m.submit(NewOrder { limit_ticks: None, ..order(4, Side::Sell, 1, 0) }, 0, 0);
    m.submit(order(5, Side::Sell, 1, 101), 0, 0);
    let events = run(&mut m, &day);
    assert_eq!(rejection(&events, 1), Some(RejectReason::PostOnlyWouldCross));
    assert_eq!(rejection(&events, 2), None);
    assert_eq!(rejection(&events, 3), Some(RejectReason::SelfTrade));
    assert_eq!(rejection(&events, 4), Some(RejectReason::SelfTrade));
    assert_eq!(rejection(&events, 5), None);
}

#[test]
fn lives_and_the_end_of_the_book() {
    let day = day(&[snap(0, BIDS, ASKS, &[]), snap(1, BIDS, ASKS, &[])]);
    let immediate = |id, lots, limit| NewOrder { tif: Tif::Immediate, ..order(id, Side::Buy, lots, limit) };
    for (order, want, rest, beyond) in [
        (immediate(1, 9, 102), 8, Some(1), 0),
        (immediate(1, 9, 100), 0, Some(9), 0),
        (immediate(1, 99, 200), 15, Some(84), 1),
        (NewOrder { tif: Tif::FillOrKill, ..order(1, Side::Buy, 9, 102) }, 0, Some(9), 0),
        (NewOrder { tif: Tif::FillOrKill, ..order(1, Side::Buy, 8, 102) }, 8, None, 0),
        (NewOrder { limit_ticks: None, ..order(1, Side::Buy, 20, 0) }, 15, Some(5), 1),
    ] {
        let mut m = matching(FillModel::Central);
        m.submit(order, 0, 0);
        let events = run(&mut m, &day);
        assert_eq!(filled(&events, 1), want, "{order:?}");
        let cancelled = events.iter().find_map(|e| match e {
            MatchEvent::Cancelled { remaining, .. } => Some(*remaining),
            _ => None,
        });
        assert_eq!(cancelled, rest, "{order:?}");
        assert_eq!(m.warnings().beyond_book, beyond, "{order:?}");
    }
    let beyond_book = BeyondBook::Penalty { ticks: 2 };
    let mut m = Matching::new(MatchConfig { beyond_book, ..MatchConfig::new(FillModel::Central) });
    m.submit(NewOrder { limit_ticks: None, ..order(1, Side::Buy, 20, 0) }, 0, 0);
    let events = run(&mut m, &day);
    assert!(matches!(events.last(), Some(MatchEvent::Filled { price_ticks: 107, lots: 5, remaining: 0, .. })));
}

/// What a taker took is gone from the display until more appears.
#[test]
fn takers_use_up_the_display() {
    let day = day(&[
        snap(0, BIDS, ASKS, &[]),
        snap(1, BIDS, ASKS, &[]),
        snap(2, BIDS, &[(101, 5), (102, 5)], &[]),
        snap(3, BIDS, ASKS, &[]),
    ]);
    let mut m = matching(FillModel::Pessimistic);
    for row in 0..3 {
        m.submit(NewOrder { tif: Tif::Immediate, ..order(row, Side::Buy, 9, 101) }, row as usize, row as i64 * HALF);
    }
    let events = run(&mut m, &day);
    assert_eq!([0, 1, 2].map(|id| filled(&events, id)), [3, 0, 2]);
}

/// An order better than the best is hit by all that trades at its price or worse.
#[test]
fn improving_the_best_comes_first() {
    let wide = [(104, 5)];
    let day = day(&[snap(0, BIDS, &wide, &[]), snap(1, BIDS, &wide, &[(100, 2)]), snap(2, BIDS, &wide, &[(104, 9)])]);
    let mut m = matching(FillModel::Pessimistic);
    m.submit(order(1, Side::Buy, 5, 102), 0, 0);
    assert_eq!(filled(&run(&mut m, &day), 1), 2);
}

/// Where more than two prices traded the models differ by what is certain and what is possible.
#[test]
fn several_prices_leave_bounds() {
    // 30 lots at 101 on average, last at 102: at 100 at least 0, at most 14 or so.
    let moved = snap(1, &[(101, 5), (100, 10)], &[(102, 5)], &[(100, 14), (101, 2), (102, 14)]);
    let day = day(&[snap(0, &[(100, 10)], &[(101, 5)], &[]), moved]);
    assert_eq!(day.split_lots(1), None);
    assert_eq!(day.warnings().volume_bounded, 1);
    let got = |model| {
        let mut m = matching(model);
        m.submit(order(1, Side::Buy, 9, 100), 0, 0);
        filled(&run(&mut m, &day), 1)
    };
    assert_eq!(got(FillModel::Pessimistic), 0);
    assert_eq!(got(FillModel::Central), 0);
    assert_eq!(got(FillModel::Optimistic), 5);
}

/// A turnover that fits nothing is counted and fills only optimistically.
#[test]
fn turnover_that_fits_nothing() {
    let clean = day(&[snap(0, BIDS, ASKS, &[]), snap(1, BIDS, ASKS, &[(100, 20)])]);
    assert_eq!(clean.warnings().volume_unsplit, 0);
    let spec = PrepareSpec { multiplier: MULTIPLIER * 2.0, ..spec() };
    let broken = day_with(&spec, &[snap(0, BIDS, ASKS, &[]), snap(1, BIDS, ASKS, &[(100, 20)])]);
    assert_eq!(broken.warnings().volume_unsplit, 1);
    for (model, want) in [(FillModel::Pessimistic, 0), (FillModel::Optimistic, 1)] {
        let mut m = matching(model);
        m.submit(order(1, Side::Buy, 1, 100), 0, 0);
        assert_eq!(filled(&run(&mut m, &broken), 1), want, "{model}");
    }
}

#[test]
fn double_sided_days_are_halved() {
    let spec = PrepareSpec { double_sided: true, ..spec() };
    let day = day_with(&spec, &[snap(0, BIDS, ASKS, &[]), snap(1, BIDS, ASKS, &[(100, 20), (101, 4)])]);
    assert_eq!((day.volume_lots(1), day.split_lots(1)), (12, Some((10, 2))));
}

prop_compose! {
    fn a_snap()(bid in 95..105, width in 1..3, lots in proptest::collection::vec(0..30, 10),
                trades in proptest::collection::vec((94i32..108, 1..12), 0..3)) -> Snap {
        let side = |first: i32, step: i32, lots: &[i32]| -> Vec<(i32, i32)> {
            lots.iter().zip(0..).map(|(&v, i)| (first + step * i, v + 1)).collect()
        };
        snap(0, &side(bid, -1, &lots[..5]), &side(bid + width, 1, &lots[5..]), &trades)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The bracket holds: an order never gets less by the optimistic rules than by the pessimistic ones.
    #[test]
    fn optimistic_bounds_pessimistic(
        mut snaps in proptest::collection::vec(a_snap(), 2..12), offset in 0i32..5, buy: bool, lots in 1u32..6, late: bool,
    ) {
        for (s, t) in snaps.iter_mut().zip(0..) {
            s.half_s = t;
        }
        let day = day(&snaps);
        let side = if buy { Side::Buy } else { Side::Sell };
        let best = day.level(side, 0, 0).unwrap().0;
        let placed = order(1, side, lots, best - side.sign() * offset);
        let got = |model| {
            let mut m = matching(model);
            m.submit(placed, 0, if late { HALF / 3 } else { 0 });
            let events = run(&mut m, &day);
            filled(&events, 1)
        };
        let (low, central, high) = (got(FillModel::Pessimistic), got(FillModel::Central), got(FillModel::Optimistic));
        prop_assert!(low <= high, "{low} {high}");
        prop_assert!(low <= central && central <= high, "{low} {central} {high}");
    }
}

/// The golden sequence `resting_sequence/a_*`, from books and trades instead of measures.
#[test]
fn golden_sequence_through_the_book() {
    let rows = [(10, 0), (15, 0), (11, 1), (4, 4), (2, 2), (1, 2)];
    let mut snaps: Vec<Snap> = rows
        .iter()
        .zip(0..)
        .map(|(&(lots, traded), t)| snap(t, &[(100, lots)], &[(101, 9)], &[(100, traded)]))
        .collect();
    snaps.push(snap(6, &[(99, 9)], &[(100, 5)], &[(100, 1)]));
    let day = day(&snaps);
    for (model, want) in [
        (FillModel::Pessimistic, [(10.0, 3), (9.0, 3), (4.0, 3), (2.0, 3), (0.0, 3), (0.0, 0)]),
        (
            FillModel::Central,
            [(10.0, 3), (7.760204081632653, 3), (2.8945427712942737, 3), (0.8945427712942736, 3), (0.0, 2), (0.0, 0)],
        ),
        (FillModel::Optimistic, [(10.0, 3), (6.0, 3), (0.0, 3), (0.0, 1), (0.0, 0), (0.0, 0)]),
    ] {
        let mut m = Matching::new(MatchConfig { central_power: 2.0, ..MatchConfig::new(model) });
        m.submit(order(1, Side::Buy, 3, 100), 0, 0);
        for (row, (queue, remaining)) in (1..).zip(want) {
            m.advance(&day, row, row + 1, &mut Vec::new());
            let seen = m.working().next().map_or((0.0, 0), |o| (o.queue_ahead_lots, o.remaining));
            assert!((seen.0 - queue).abs() < 1e-9 && seen.1 == remaining, "{model} row {row}: {seen:?}");
        }
    }
}
