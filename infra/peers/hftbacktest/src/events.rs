//! Snapshots of the stream as the events that the peer understands.

use ghtrader_market::bench_stream::{PRICE_TICK_CNY, Record};
use hftbacktest::types::{
    BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, Event, LOCAL_EVENT, SELL_EVENT, TRADE_EVENT,
};

/// Displayed size at `price_ticks` on one side of a snapshot; 0 outside its five levels.
fn shown(best_ticks: i32, step: i32, lots: &[i32], price_ticks: i32) -> i32 {
    let level = (price_ticks - best_ticks) * step;
    usize::try_from(level).ok().and_then(|level| lots.get(level)).copied().unwrap_or(0)
}

/// Depth changes and trades of the stream, in the order in which a feed would send them.
///
/// Between two snapshots: the trades at the previous best prices, then the levels that are no longer shown, then those
/// that are new or have another size. The end is marked by one more event, which repeats the last best bid an interval
/// later: without it the peer would stop its clock before the last snapshot.
pub fn of_stream(records: &[Record]) -> Vec<Event> {
    let mut events = Vec::with_capacity(records.len() * 5 + 16);
    let mut push = |ts_ns: i64, kind: u64, ticks: i32, lots: i32| {
        events.push(Event {
            ev: EXCH_EVENT | LOCAL_EVENT | kind,
            exch_ts: ts_ns,
            local_ts: ts_ns,
            px: f64::from(ticks) * PRICE_TICK_CNY,
            qty: f64::from(lots),
            order_id: 0,
            ival: 0,
            fval: 0.0,
        });
    };
    let mut previous: Option<&Record> = None;
    for r in records {
        if let Some(p) = previous {
            if r.sold_lots > 0 {
                push(r.ts_ns, TRADE_EVENT | SELL_EVENT, p.bid_ticks, r.sold_lots);
            }
            if r.bought_lots > 0 {
                push(r.ts_ns, TRADE_EVENT | BUY_EVENT, p.ask_ticks, r.bought_lots);
            }
        }
        for (kind, step, best, lots, before) in [
            (DEPTH_EVENT | BUY_EVENT, -1, r.bid_ticks, &r.bid_lots, previous.map(|p| (p.bid_ticks, &p.bid_lots))),
            (DEPTH_EVENT | SELL_EVENT, 1, r.ask_ticks, &r.ask_lots, previous.map(|p| (p.ask_ticks, &p.ask_lots))),
        ] {
            let Some((best_before, lots_before)) = before else { continue };
            for level in 0..lots_before.len() as i32 {
                let ticks = best_before + step * level;
                if shown(best, step, lots, ticks) == 0 {
                    push(r.ts_ns, kind, ticks, 0);
                }
            }
        }
        for (kind, step, best, lots, before) in [
            (DEPTH_EVENT | BUY_EVENT, -1, r.bid_ticks, &r.bid_lots, previous.map(|p| (p.bid_ticks, &p.bid_lots))),
            (DEPTH_EVENT | SELL_EVENT, 1, r.ask_ticks, &r.ask_lots, previous.map(|p| (p.ask_ticks, &p.ask_lots))),
        ] {
            for (level, lots) in (0..).zip(lots) {
                let ticks = best + step * level;
                let was = before.map_or(0, |(best, lots)| shown(best, step, lots, ticks));
                if *lots != was {
                    push(r.ts_ns, kind, ticks, *lots);
                }
            }
        }
        previous = Some(r);
    }
    if let Some(last) = previous {
        let end_ns = last.ts_ns + ghtrader_market::bench_stream::INTERVAL_NS;
        push(end_ns, DEPTH_EVENT | BUY_EVENT, last.bid_ticks, last.bid_lots[0]);
    }
    events
}
