use super::*;
use crate::diff::model::{Habits, Wire};
use proptest::prelude::*;

const S: &str = "SHFE.cu2509";

/// Everything that a pager brings, and how it ended.
fn read(wire: &mut Wire, pager: &mut TickPager) -> (Vec<i64>, PageStep) {
    let mut ids = Vec::new();
    for _ in 0..20_000 {
        let events = wire.turn();
        match pager.step(&mut wire.line, &events, wire.now) {
            PageStep::Waiting => {}
            PageStep::Rows(rows) => ids.extend(rows.iter().map(|r| r.id)),
            PageStep::Last(rows) => {
                ids.extend(rows.iter().map(|r| r.id));
                return (ids, PageStep::Last(Vec::new()));
            }
            end => return (ids, end),
        }
    }
    panic!("no end behind {} rows", ids.len());
}

fn times(rows: i64) -> Vec<i64> {
    (0..rows).map(|i| 1_000 + i * 10).collect()
}

fn all(rows: i64) -> Vec<i64> {
    (0..rows).collect()
}

/// DC-09
#[test]
fn pages_are_as_many_as_the_rows_need() {
    for clips in [false, true] {
        for (rows, pages) in [(1, 1), (1_999, 1), (2_000, 1), (2_001, 2), (6_000, 3), (7_200, 4)] {
            let mut wire = Wire::new(times(rows), Habits { clips, ..Habits::default() });
            let mut pager = TickPager::of_span(S, 0, i64::MAX);
            let (ids, end) = read(&mut wire, &mut pager);
            assert_eq!((ids, end), (all(rows), PageStep::Last(Vec::new())), "{rows} rows, clipped: {clips}");
            assert_eq!((pager.pages(), wire.server.charts_asked), (pages, pages), "{rows} rows, clipped: {clips}");
            assert_eq!(wire.server.most_peeks, 1);
            pager.close(&mut wire.line);
            wire.turn();
            assert!(wire.line.chart("ghtrader_page_SHFE.cu2509").is_none());
        }
    }
}

#[test]
fn a_span_has_its_rows_and_no_others() {
    // Rows lie at 1,000, 1,010, …
    for (start, end, want) in
        [(0, 1_000, 0..0), (0, 1_001, 0..1), (1_000, 1_030, 0..3), (1_001, 1_040, 1..4), (70_990, 99_999, 6_999..7_000)]
    {
        let mut wire = Wire::new(times(7_000), Habits::default());
        let (ids, _) = read(&mut wire, &mut TickPager::of_span(S, start, end));
        assert_eq!(ids, want.collect::<Vec<i64>>(), "{start}..{end}");
    }
    let mut wire = Wire::new(times(7_000), Habits::default());
    let mut pager = TickPager::of_span(S, 500_000, i64::MAX);
    assert_eq!(read(&mut wire, &mut pager).0, Vec::<i64>::new());
    assert_eq!(pager.next_id(), Some(7_000), "behind the end of the series");
    let mut wire = Wire::new(times(7_000), Habits::default());
    assert_eq!(read(&mut wire, &mut TickPager::from_id(S, 6_998, i64::MAX)).0, [6_998, 6_999]);
}

/// DC-10
#[test]
fn an_empty_series_has_no_rows_and_no_wait() {
    let mut wire = Wire::new(vec![], Habits::default());
    let (ids, end) = read(&mut wire, &mut TickPager::of_span(S, 0, i64::MAX));
    assert_eq!((ids.len(), end, wire.now.as_secs()), (0, PageStep::Last(Vec::new()), 0));
    // A server that never says `ready` is believed after ten seconds.
    let mut wire = Wire::new(vec![], Habits { says_ready: false, ..Habits::default() });
    let (ids, end) = read(&mut wire, &mut TickPager::of_span(S, 0, i64::MAX));
    assert_eq!((ids.len(), end), (0, PageStep::Last(Vec::new())));
    assert!(wire.now.as_secs() <= 12);
}

/// DC-11
#[test]
fn rows_left_out_once_are_asked_for_again_and_come_once() {
    for dropped in [&[1][..], &[1_000], &[1_998], &[5, 6, 7, 900], &[2_500, 4_001]] {
        let drops = dropped.iter().map(|id| (*id, 1)).collect();
        let mut wire = Wire::new(times(5_000), Habits { drops, ..Habits::default() });
        let mut pager = TickPager::of_span(S, 0, i64::MAX);
        let (ids, end) = read(&mut wire, &mut pager);
        assert_eq!((ids, end), (all(5_000), PageStep::Last(Vec::new())), "{dropped:?}");
    }
}

/// DC-11
#[test]
fn rows_that_never_come_are_named() {
    let drops = (1_200..=1_250).map(|id| (id, u32::MAX)).collect();
    let mut wire = Wire::new(times(5_000), Habits { drops, ..Habits::default() });
    let mut pager = TickPager::of_span(S, 0, i64::MAX);
    let (ids, end) = read(&mut wire, &mut pager);
    assert_eq!((ids, end), (all(1_200), PageStep::Missing { from: 1_200, to: 1_250 }));
    pager.skip_to(1_251);
    let (ids, end) = read(&mut wire, &mut pager);
    assert_eq!((ids, end), ((1_251..5_000).collect(), PageStep::Last(Vec::new())));
}

/// DC-23
#[test]
fn a_cut_line_goes_on_where_it_was() {
    let mut wire = Wire::new(times(9_000), Habits::default());
    let mut pager = TickPager::of_span(S, 0, i64::MAX);
    let mut ids = Vec::new();
    for turn in 0.. {
        assert!(turn < 10_000, "no end");
        if turn % 7 == 6 && turn < 60 {
            wire.cut();
            pager.reopened();
        }
        let events = wire.turn();
        match pager.step(&mut wire.line, &events, wire.now) {
            PageStep::Rows(rows) => ids.extend(rows.iter().map(|r| r.id)),
            PageStep::Last(rows) => {
                ids.extend(rows.iter().map(|r| r.id));
                break;
            }
            PageStep::Waiting => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ids, all(9_000));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// DC-07, DC-08: whatever the order of packets, with and without `ready`, also with one left from the page before.
    #[test]
    fn any_order_of_packets_gives_the_same_rows(
        rows in 1i64..6_500,
        packet in 150usize..2_500,
        order in proptest::collection::vec(0usize..8, 0..12),
        (says_ready, stale_ready, clips, repeats_newest) in any::<(bool, bool, bool, bool)>(),
    ) {
        let habits = Habits { packet, order, says_ready, stale_ready, clips, repeats_newest, ..Habits::default() };
        let mut wire = Wire::new(times(rows), habits);
        let (ids, end) = read(&mut wire, &mut TickPager::of_span(S, 0, i64::MAX));
        prop_assert_eq!(end, PageStep::Last(Vec::new()));
        prop_assert_eq!(ids, all(rows));
    }
}
