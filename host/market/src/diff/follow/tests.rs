use super::*;
use crate::diff::model::{Habits, Wire};
use proptest::prelude::*;

const S: &str = "SHFE.cu2509";

#[derive(Debug, Default)]
struct Heard {
    ids: Vec<i64>,
    lost: Vec<(i64, i64)>,
    live: u32,
    regressed: u32,
}

fn turn(wire: &mut Wire, follower: &mut TickFollower, heard: &mut Heard) {
    let events = wire.turn();
    for step in follower.step(&mut wire.line, &events, wire.now) {
        match step {
            Followed::Rows(rows) => heard.ids.extend(rows.iter().map(|r| r.id)),
            Followed::Live => heard.live += 1,
            Followed::Lost { from, to } => heard.lost.push((from, to)),
            Followed::Late => {}
            Followed::Regressed { .. } => heard.regressed += 1,
        }
    }
}

fn times(rows: i64) -> Vec<i64> {
    (0..rows).map(|i| 1_000 + i * 10).collect()
}

/// D-11, DC-23
#[test]
fn a_follower_reads_the_past_and_then_every_row_over_cuts() {
    let mut wire = Wire::new(times(4_500), Habits::default());
    let mut follower = TickFollower::from_time(S, 1_000);
    let mut heard = Heard::default();
    for n in 0..400 {
        if n % 3 == 0 {
            wire.server.append(100_000 + n);
        }
        if n % 61 == 60 {
            // The line is down while more happens than a window shows.
            let missed = if n == 183 { 2_600 } else { 5 };
            (0..missed).for_each(|i| wire.server.append(100_000 + n * 10 + i));
            wire.cut();
            follower.reopened();
        }
        turn(&mut wire, &mut follower, &mut heard);
    }
    (0..60).for_each(|_| turn(&mut wire, &mut follower, &mut heard));
    assert_eq!(heard.ids, (0..wire.server.rows.len() as i64).collect::<Vec<_>>());
    assert_eq!((heard.live, heard.lost.len(), heard.regressed), (1, 0, 0));
}

/// D-11: what the server does not give is named, and what follows still comes.
#[test]
fn a_lost_row_is_told() {
    let mut wire = Wire::new(times(10), Habits { drops: [(12, u32::MAX), (13, u32::MAX)].into(), ..Habits::default() });
    let mut follower = TickFollower::from_id(S, 5);
    let mut heard = Heard::default();
    for n in 0..120 {
        if n % 8 == 7 {
            wire.server.append(5_000 + n);
        }
        turn(&mut wire, &mut follower, &mut heard);
    }
    let rows = wire.server.rows.len() as i64;
    assert_eq!(heard.lost, [(12, 13)]);
    assert_eq!(heard.ids, (5..12).chain(14..rows).collect::<Vec<_>>());
}

#[test]
fn a_series_may_begin_empty() {
    for says_ready in [true, false] {
        let mut wire = Wire::new(vec![], Habits { says_ready, ..Habits::default() });
        let mut follower = TickFollower::from_time(S, 0);
        let mut heard = Heard::default();
        for n in 0..60 {
            if n > 20 && n % 5 == 0 {
                wire.server.append(n);
            }
            turn(&mut wire, &mut follower, &mut heard);
        }
        assert_eq!(heard.ids, (0..wire.server.rows.len() as i64).collect::<Vec<_>>(), "says ready: {says_ready}");
    }
}

#[test]
fn another_series_is_not_taken_for_the_old_one() {
    let mut wire = Wire::new(times(10), Habits::default());
    let mut follower = TickFollower::from_id(S, 500);
    let mut heard = Heard::default();
    (0..30).for_each(|_| turn(&mut wire, &mut follower, &mut heard));
    assert_eq!((heard.ids.len(), heard.regressed), (0, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// D-11, DC-11, DC-23: cuts at any moment, rows left out once, any packets: each id once and in order.
    #[test]
    fn every_row_comes_once(
        past in 0i64..2_600,
        script in proptest::collection::vec((0u8..12, 1u32..30), 1..60),
        drops in proptest::collection::btree_map(1i64..2_500, Just(1u32), 0..4),
        packet in 100usize..2_500,
        stale_ready in any::<bool>(),
    ) {
        let mut wire = Wire::new(times(past), Habits { packet, stale_ready, drops, ..Habits::default() });
        let mut follower = TickFollower::from_time(S, 0);
        let mut heard = Heard::default();
        for (what, times) in script {
            match what {
                0 => {
                    wire.cut();
                    follower.reopened();
                }
                1..=4 => (0..times).for_each(|_| wire.server.append(wire.server.rows.last().map_or(1_000, |t| t + 1))),
                _ => {}
            }
            (0..times / 6 + 1).for_each(|_| turn(&mut wire, &mut follower, &mut heard));
        }
        (0..250).for_each(|_| turn(&mut wire, &mut follower, &mut heard));
        prop_assert_eq!(heard.lost, vec![]);
        prop_assert_eq!(heard.ids, (0..wire.server.rows.len() as i64).collect::<Vec<_>>());
    }
}
