//! The plugin host as a whole: lineups swapped over HTTP while a market runs through its sessions and rolls.

use ghtrader_tests::host::{Host, done};
use ghtrader_tests::{artefacts, binary};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Some 20,000 ticks a second, a roll every few seconds.
const MARKET: [&str; 8] = ["--var", "cu", "--speed", "20000", "--rows-per-day", "2000", "--days", "400"];
const SETTINGS: [&str; 3] = ["lineup.ring_rows=2000", "lineup.prove_ticks=20", "lineup.standby_ticks=10000000"];
/// First minutes of sessions, exchange time: night, morning, behind the break, afternoon.
const OPENS: [i64; 4] = [21 * 60, 9 * 60, 10 * 60 + 30, 13 * 60 + 30];

/// Minute of the day in exchange time.
fn minute(ts_ns: i64) -> i64 {
    (ts_ns / 60_000_000_000 + 8 * 60) % (24 * 60)
}

/// C-05, C-48: at session borders and over rolls, each order names one generation, and that of its tick.
#[test]
fn swaps_at_session_opens_and_over_rolls_leave_one_generation_a_tick() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::new(&binary("ghtrader", "ghtrader-cli"), dir.path(), &SETTINGS);
    host.bring(&artefacts()).unwrap();
    host.serve().unwrap();
    host.run(&MARKET).unwrap();
    let api = host.api().unwrap();
    let mut contracts = BTreeSet::new();
    // The first tick of each generation.
    let mut begins = BTreeMap::from([(0, 1_u64)]);
    for round in 0..200_u64 {
        let lineup = json!({ "name": format!("taker-{round}"), "features": [{ "plugin": "core-factors:reference" }],
            "strategy": { "plugin": "taker:reference", "params": { "threshold": 0.2 + round as f64 / 1_000.0 } } });
        let plan = done(api.send("POST /varieties/cu/plans", None, &json!({ "lineup": lineup })).unwrap()).unwrap();
        let at = if round % 4 == 3 { "next_tick" } else { "session_open" };
        let policy = ["keep", "cancel", "flatten"][(round % 3) as usize];
        let body = json!({ "plan_hash": plan["plan_hash"], "mode": "swap", "activate_at": at, "order_policy": policy });
        let generation = plan["base_generation"].as_u64();
        let taken = done(api.send("POST /varieties/cu/deployments", generation, &body).unwrap()).unwrap();
        let swap = api.follow(taken["id"].as_str().unwrap(), "succeeded").unwrap();
        assert_eq!(swap["state"], "succeeded", "{swap:#}");
        let fact = |name: &str| swap["evidence"][name].as_i64().unwrap();
        if at == "session_open" {
            let minute = minute(fact("swapped_at_ns"));
            assert!(OPENS.iter().any(|open| (0..3).contains(&(minute - open))), "{minute}: {swap:#}");
        }
        assert_eq!(swap["generation"].as_u64(), generation.map(|g| g + 1));
        begins.insert(fact("swapped_at_seq").unsigned_abs(), swap["generation"].as_u64().unwrap());
        contracts.insert(api.get("/varieties/cu").unwrap()["contract"].as_str().unwrap().to_owned());
        if contracts.len() >= 3 && round >= 12 {
            break;
        }
    }
    assert!(contracts.len() >= 3, "no rolls: {contracts:?}");
    host.kill_service().unwrap();
    let journal = std::fs::read_to_string(dir.path().join("runs/trading/paper/cu/orders.jsonl")).unwrap();
    // The last line may be cut short by the kill.
    let orders: Vec<Value> = journal.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut by_order: BTreeMap<u64, u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for order in &orders {
        let number = |name: &str| order[name].as_u64().unwrap();
        let (id, generation, seq) = (number("id"), number("generation"), number("seq"));
        assert_eq!(*by_order.entry(id).or_insert(generation), generation, "two generations: {order}");
        // 0 is the host itself, at a swap with `flatten`.
        if generation > 0 {
            let due = begins.range(..=seq).next_back().map(|(_, generation)| *generation);
            assert_eq!(Some(generation), due, "{order}");
            seen.insert(generation);
        }
    }
    assert!(seen.len() * 2 >= begins.len(), "orders of {} generations, of {}", seen.len(), begins.len());
}
