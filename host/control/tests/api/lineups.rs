//! Varieties, deployments and operations over HTTP, against a service that speaks the protocol.

use crate::fake::{Fake, lineup};
use crate::world::World;
use axum::body::Body;
use ghtrader_core::Digest;
use ghtrader_durable::Outcome;
use ghtrader_trading::plan_hash;
use ghtrader_trading::protocol::{Call, Plan};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Keeps a plan as the API itself does.
pub(crate) fn keep_plan(runs: &Path, followed: &[(&str, Digest)], variety: &str) -> Digest {
    let mut plan = Plan {
        plan_hash: Digest([0; 32]),
        account: "paper".to_owned(),
        variety: variety.to_owned(),
        base_generation: 7,
        base_lineup: None,
        lineup_id: Digest::of(b"new"),
        resolved: lineup(followed.first().map(|(_, d)| *d)),
        followed: followed.iter().map(|(r, d)| ((*r).to_owned(), *d)).collect::<BTreeMap<_, _>>(),
        diff: vec![],
        capacity: vec![],
        breaking: vec![],
    };
    plan.plan_hash = plan_hash(&plan);
    let path = runs.join(format!("control/plans/{}.json", plan.plan_hash));
    ghtrader_durable::publish(&path, &serde_json::to_vec(&plan).unwrap()).unwrap();
    plan.plan_hash
}

pub(crate) fn deployment(hash: &Digest) -> String {
    json!({ "plan_hash": hash, "mode": "swap", "activate_at": { "seq": 9 }, "reason": "try" }).to_string()
}

/// C-05, C-09, C-10, C-11
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_taken_on_once() {
    let world = World::new();
    let fake = Fake::start(&world.runs(), "paper");
    let hash = keep_plan(&world.runs(), &[], "cu");
    let body = deployment(&hash);
    let post = async |headers: &[&str]| world.ask("POST /varieties/cu/deployments", headers, body.clone()).await;
    assert_eq!(post(&[]).await.status, 428);
    let stale = post(&["if-match: \"6\""]).await;
    assert_eq!((stale.status.as_u16(), stale.code(), &stale.body["generation"]), (412, "generation_stale", &json!(7)));
    let variety = world.get("/varieties/cu").await;
    assert_eq!(
        (variety.header("etag"), &variety.body["health"], &variety.body["stale"]),
        ("\"7\"", &json!("ok"), &json!(false))
    );
    let first = post(&["if-match: \"7\"", "idempotency-key: k"]).await;
    assert_eq!((first.status.as_u16(), first.header("location")), (202, "/api/v1/operations/op-1?account=paper"));
    let again = post(&["if-match: \"7\"", "idempotency-key: k"]).await;
    assert_eq!(
        (again.status, &again.body, again.header("location")),
        (first.status, &first.body, first.header("location"))
    );
    assert_eq!(fake.state.lock().unwrap().operations.len(), 1, "one effect");
    let one = world.get("/operations/op-1").await;
    assert_eq!(one.body["plan_hash"], json!(hash));
    assert_eq!(world.get("/operations").await.body["total"], 1);
    assert_eq!(world.get("/operations/op-9").await.code(), "unknown_operation");
    let sent = fake.state.lock().unwrap().calls.iter().find_map(|c| match c {
        Call::Deploy(d) => Some((d.actor.name.clone(), d.actor.reason.clone(), d.generation)),
        _ => None,
    });
    assert_eq!(sent, Some(("admin".to_owned(), "try".to_owned(), 7)));
    fake.state.lock().unwrap().busy = true;
    let second = post(&["if-match: \"7\""]).await;
    assert_eq!((second.code(), &second.body["operation"]), ("operation_running", &json!("op-cu-9")));
    let outcomes: Vec<Outcome> = world.audit().iter().map(|r| r.entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::Refused; 2], "what the service took on it writes down itself");
}

/// C-04
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_tag_has_moved_is_stale() {
    let world = World::new();
    let fake = Fake::start(&world.runs(), "paper");
    let digest = world.push("taker").await;
    let body = json!({ "digest": digest }).to_string();
    let set = world.ask("PUT /plugins/strategy/taker/tags/champion", &["if-match: \"0\""], body).await;
    assert_eq!(set.status, 201);
    let deploy = async |hash: &Digest, variety: &str| {
        let line = format!("POST /varieties/{variety}/deployments");
        world.ask(&line, &["if-match: \"7\""], deployment(hash)).await
    };
    let good = keep_plan(&world.runs(), &[("taker:champion", digest)], "cu");
    assert_eq!(deploy(&good, "cu").await.status, 202);
    let moved = keep_plan(&world.runs(), &[("taker:champion", Digest::of(b"before"))], "cu");
    let stale = deploy(&moved, "cu").await;
    assert_eq!(
        (stale.status.as_u16(), stale.code(), &stale.body["value"]),
        (409, "plan_stale", &json!("taker:champion"))
    );
    assert_eq!(deploy(&Digest::of(b"?"), "cu").await.code(), "unknown_plan");
    let other = keep_plan(&world.runs(), &[], "ag");
    assert_eq!(deploy(&other, "cu").await.code(), "variety_mismatch");
    assert_eq!(fake.state.lock().unwrap().operations.len(), 1);
    for bad in ["{}", r#"{"plan_hash":"x","mode":"swap"}"#, r#"{"plan_hash":"x","mode":"both"}"#] {
        let answer = world.ask("POST /varieties/cu/deployments", &["if-match: \"7\""], bad).await;
        assert!(["bad_body", "bad_digest"].contains(&answer.code()), "{bad}");
    }
}

/// C-04
#[tokio::test(flavor = "multi_thread")]
async fn two_plans_change_nothing_and_are_applied_by_hash() {
    let world = World::new();
    let fake = Fake::start(&world.runs(), "paper");
    world.push("core-factors").await;
    let digest = world.push("taker").await;
    let body = json!({ "digest": digest }).to_string();
    world.ask("PUT /plugins/strategy/taker/tags/champion", &["if-match: \"0\""], body).await;
    let lineup = |strategy: &str| json!({ "lineup": { "name": "a", "strategy": { "plugin": strategy } } }).to_string();
    let plan = async |strategy: &str| world.ask("POST /varieties/cu/plans", &[], lineup(strategy)).await;
    let first = plan("taker:champion").await;
    assert_eq!(first.status, 200, "{}", first.body);
    let second = plan("taker:champion").await;
    // The capacity names what is free on the machine, which is no part of the plan.
    for part in ["plan_hash", "resolved", "diff"] {
        assert_eq!(first.body[part], second.body[part]);
    }
    assert_eq!(first.body["followed"], json!({ "taker:champion": digest }));
    assert!(fake.state.lock().unwrap().operations.is_empty(), "a plan has no effect");
    assert_eq!(world.audit().len(), 3, "nor an entry");
    let hash: Digest = first.body["plan_hash"].as_str().unwrap().parse().unwrap();
    let world = world.restarted();
    let done = world.ask("POST /varieties/cu/deployments", &["if-match: \"7\""], deployment(&hash)).await;
    assert_eq!(done.status, 202, "{}", done.body);
    assert_eq!(done.body["plan_hash"], json!(hash));
    let post = async |body: String| world.ask("POST /varieties/cu/plans", &[], body).await;
    assert_eq!(post(lineup("taker:nobody")).await.code(), "unknown_tag");
    assert_eq!(post(lineup("nobody@1.0.0")).await.code(), "unknown_plugin");
    assert_eq!(post(lineup("feature/core-factors@0.1.0")).await.code(), "bad_reference");
    let params =
        json!({ "lineup": { "name": "a", "strategy": { "plugin": "taker:champion", "params": { "nonsense": 1 } } } });
    assert_eq!(post(params.to_string()).await.code(), "param_unknown");
    assert_eq!(post(r#"{"lineup":{"name":"a"}}"#.to_owned()).await.code(), "bad_body");
}

/// C-06, C-07
#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_refuses_keeps_its_code() {
    let world = World::new();
    Fake::start(&world.runs(), "paper");
    for (line, status, code) in [
        ("POST /varieties/cu/rollback", 409, "no_standby"),
        ("POST /varieties/cu/promote", 409, "gate_failed"),
        ("POST /varieties/cu/resume", 409, "not_halted"),
    ] {
        let answer = world.ask(line, &["if-match: \"7\""], Body::empty()).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code));
        assert_eq!(world.ask(line, &[], Body::empty()).await.code(), "precondition_required");
        assert_eq!(world.ask(line, &["if-match: \"7\""], r#"{"force":true}"#).await.code(), "bad_body");
    }
    let report = world.get("/varieties/cu/shadow").await;
    assert_eq!((&report.body["equal_share"], &report.body["gate_open"]), (&json!(0.995), &json!(true)));
    let lineups = world.get("/varieties/cu/lineups?limit=2").await;
    assert_eq!((&lineups.body["total"], &lineups.body["items"][0]["generation"]), (&json!(3), &json!(3)));
    let id = lineups.body["items"][1]["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("/varieties/cu/lineups/{id}")).await.body["generation"], 2);
    assert_eq!(world.get(&format!("/varieties/cu/lineups/{}", "0".repeat(64))).await.code(), "unknown_lineup");
    assert_eq!(world.get("/varieties/au").await.code(), "unknown_variety");
}

/// C-08
#[tokio::test(flavor = "multi_thread")]
async fn a_halt_does_not_wait_for_a_deployment() {
    let world = World::new();
    let fake = Fake::start(&world.runs(), "paper");
    fake.state.lock().unwrap().slow = Duration::from_secs(3);
    let hash = keep_plan(&world.runs(), &[], "cu");
    let deploying = world.ask("POST /varieties/cu/deployments", &["if-match: \"7\""], deployment(&hash));
    let halting = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut quickest = Duration::MAX;
        // Other work of this machine may slow one of them down, but not all.
        for _ in 0..5 {
            let started = Instant::now();
            let answer = world.ask("POST /varieties/cu/halt", &[], Body::empty()).await;
            assert_eq!(answer.status, 202);
            quickest = quickest.min(started.elapsed());
        }
        quickest
    };
    let (deployed, took) = tokio::join!(deploying, halting);
    assert_eq!(deployed.status, 202);
    println!("a halt beside a deployment of three seconds: {took:?}");
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_accounts_one_is_meant() {
    let world = World::new();
    Fake::start(&world.runs(), "paper");
    Fake::start(&world.runs(), "second");
    assert_eq!(world.get("/varieties/cu").await.code(), "account_ambiguous");
    assert_eq!(world.get("/operations").await.code(), "account_ambiguous");
    assert_eq!(world.get("/varieties/au").await.code(), "unknown_variety");
    assert_eq!(world.get("/varieties/cu?account=second").await.body["account"], "second");
    assert_eq!(world.get("/varieties").await.body["total"], 2);
    assert_eq!(world.get("/accounts").await.body["total"], 2);
    assert_eq!(world.get("/accounts/second/status").await.body["kind"], "paper");
    assert_eq!(world.get("/accounts/second/orders?variety=cu").await.body["items"], json!([]));
    // A socket that a killed service left behind is no account that runs.
    std::fs::create_dir_all(world.runs().join("trading/dead")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(world.runs().join("trading/dead/service.sock")).unwrap());
    assert_eq!(world.get("/varieties").await.body["total"], 2);
    assert_eq!(world.get("/varieties/cu?account=dead").await.code(), "service_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_breaks_off_is_not_taken_for_a_refusal() {
    let world = World::new();
    let fake = Fake::start(&world.runs(), "paper");
    fake.state.lock().unwrap().breaks = true;
    let answer = world.ask("POST /varieties/cu/halt", &["idempotency-key: k"], Body::empty()).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "service_broken_off"));
    assert_eq!(world.audit().last().unwrap().entry.outcome, Outcome::Failed);
    fake.state.lock().unwrap().breaks = false;
    let answer = world.ask("POST /varieties/cu/halt", &["idempotency-key: k"], Body::empty()).await;
    assert_eq!(answer.status, 202, "the key was not spent on an answer that never was");
}
