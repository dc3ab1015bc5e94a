//! The service of an account, asked over its socket while its market runs.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test ends where an assumption breaks")]

mod desk;

use desk::{Desk, actor, flip, lineup, settings, variety};
use ghtrader_durable::Audit;
use ghtrader_trading::protocol::{ActivateAt, Call, Change, Mode, OrderView, ShadowReport};
use serde_json::json;

/// C-05, C-06, C-07, C-48
#[test]
fn a_lineup_goes_through_shadow_swap_and_rollback() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::start(dir.path(), &["cu"], &flip(10), settings());
    let twin = lineup("twin", json!({ "every": 10 }));
    let plan = desk.plan("cu", &twin);
    let shadow = desk.deploy(&plan, Mode::Shadow, ActivateAt::NextTick).unwrap();
    desk.until(&shadow.id, &["shadowing"]);
    let view = desk.until_view("cu", |v| v.shadow.as_ref().is_some_and(|s| s.ticks > 300));
    assert_eq!(view.generation, 1, "a shadow changes nothing");
    let report: ShadowReport = desk.call(Call::Shadow { variety: "cu".to_owned() }).unwrap();
    assert!(report.ticks >= 100 && report.gate_open, "{report:#?}");
    let price = report.outputs.iter().find(|o| o.name == "feature/price").unwrap();
    assert!(price.shared && price.different_ticks == 0, "{price:?}");

    let swap = desk.deploy(&plan, Mode::Swap, ActivateAt::NextTick).unwrap();
    let swapped = desk.until(&swap.id, &["succeeded"]);
    assert_eq!(swapped.generation, Some(2));
    assert_eq!(swapped.evidence["proved_ticks"], 50);
    assert_eq!(desk.operation(&shadow.id).state, "succeeded", "the shadow's operation ends with the swap");
    let view = desk.view("cu");
    assert_eq!((view.generation, view.active.unwrap().id), (2, twin.id()));
    assert_eq!(view.standby.unwrap().id, flip(10).id());

    let back = desk.change(Call::Rollback, "cu").unwrap();
    let back = desk.until(&back.id, &["succeeded"]);
    assert_eq!(back.generation, Some(3));
    assert_eq!(desk.view("cu").active.unwrap().id, flip(10).id());

    // Every order names the generation that was active at its tick, and none falls between two.
    let swapped_at = swapped.evidence["swapped_at_seq"].as_u64().unwrap();
    let back_at = back.evidence["swapped_at_seq"].as_u64().unwrap();
    let orders: Vec<OrderView> = desk.call(Call::Orders { variety: "cu".to_owned(), limit: 10_000 }).unwrap();
    for order in orders.iter().filter(|o| o.generation > 0) {
        let due = if order.seq < swapped_at {
            1
        } else if order.seq < back_at {
            2
        } else {
            3
        };
        assert_eq!(order.generation, due, "{order:?}, swaps at {swapped_at} and {back_at}");
        assert!(order.lineup.is_some());
    }
    for generation in [1, 2] {
        assert!(orders.iter().any(|o| o.generation == generation), "no order of generation {generation}");
    }
    drop(desk.stop());
    assert!(Audit::new(&dir.path().join("audit")).verify().unwrap().entries >= 8);
}

/// C-48: a swap at a tick that is named happens at that tick, and twice the same way.
#[test]
fn a_swap_at_a_named_tick_is_the_same_each_time() {
    let session = || {
        let dir = tempfile::tempdir().unwrap();
        let desk = Desk::start(dir.path(), &["au"], &flip(10), settings());
        let plan = desk.plan("au", &flip(7));
        let swap = desk.deploy(&plan, Mode::Swap, ActivateAt::Seq(10_000)).unwrap();
        let swapped = desk.until(&swap.id, &["succeeded"]);
        assert_eq!(swapped.evidence["swapped_at_seq"], 10_000);
        desk.until_view("au", |v| v.ticks > 11_000);
        let mut orders: Vec<OrderView> = desk.call(Call::Orders { variety: "au".to_owned(), limit: 10_000 }).unwrap();
        desk.stop();
        orders.retain(|o| o.seq < 11_000 && o.state != "open");
        orders.sort_by_key(|o| o.id);
        orders.iter_mut().for_each(|o| o.session = 0);
        orders
    };
    let first = session();
    assert!(first.iter().filter(|o| o.generation == 2).count() > 50 && first == session());
}

/// C-48: what was asked for while the market was closed happens at the first row of the session, and is warm.
#[test]
fn a_swap_asked_for_between_two_days_happens_at_the_opening() {
    let dir = tempfile::tempdir().unwrap();
    let (open, opened) = std::sync::mpsc::channel::<()>();
    let mut cu = variety("cu", &flip(10));
    let mut days = cu.source;
    let first = days.next().expect("a day").unwrap();
    let rows = first.as_day().view.rows() as u64;
    let mut first = Some(Ok(first));
    cu.source = Box::new(std::iter::from_fn(move || {
        first.take().or_else(|| {
            opened.recv().ok();
            days.next()
        })
    }));
    let desk = Desk::of(dir.path(), vec![cu], ghtrader_trading::Settings { speed: 0.0, ..settings() });
    desk.until_view("cu", |v| v.ticks == rows);
    let swap = desk.deploy(&desk.plan("cu", &flip(3)), Mode::Swap, ActivateAt::SessionOpen).unwrap();
    desk.until(&swap.id, &["armed"]);
    drop(open);
    let swapped = desk.until(&swap.id, &["succeeded"]);
    assert_eq!(swapped.evidence["swapped_at_seq"], rows + 1, "{swapped:#?}");
    assert_eq!(swapped.evidence["warmed_rows"], rows);
    desk.stop();
}

/// C-08
#[test]
fn a_halt_answers_at_once_and_lasts() {
    let dir = tempfile::tempdir().unwrap();
    let slow = ghtrader_trading::Settings { speed: 1.0, ..settings() };
    let desk = Desk::start(dir.path(), &["cu"], &flip(2), slow);
    let plan = desk.plan("cu", &flip(5));
    let waiting = desk.deploy(&plan, Mode::Swap, ActivateAt::Seq(1_000_000)).unwrap();
    // At once: the other one waits for a tick that is days away.
    let halt = desk.change(Call::Halt, "cu").unwrap();
    assert_eq!(halt.state, "succeeded");
    let ended = desk.operation(&waiting.id);
    assert_eq!((ended.state.as_str(), ended.error.unwrap().code.as_str()), ("failed", "halted"));
    assert_eq!(desk.view("cu").state, "halted");
    let refused = desk.deploy(&plan, Mode::Swap, ActivateAt::NextTick).unwrap_err();
    assert_eq!(refused.code, "halted");
    desk.stop();
    // A halt outlives the process.
    let desk = Desk::start(dir.path(), &["cu"], &flip(2), settings());
    assert_eq!(desk.view("cu").state, "halted");
    let resume = desk.change(Call::Resume, "cu").unwrap();
    desk.until(&resume.id, &["succeeded"]);
    assert_eq!(desk.view("cu").state, "running");
    desk.until_view("cu", |v| v.active.as_ref().is_some_and(|a| a.fills > 0));
    desk.stop();
}

/// C-08: a halt that flattens ends flat, whatever was working when it came.
#[test]
fn a_halt_that_flattens_ends_flat() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::start(dir.path(), &["cu"], &flip(3), settings());
    for _ in 0..3 {
        desk.until_view("cu", |v| v.position_lots != 0);
        let halt = Change {
            variety: "cu".to_owned(),
            generation: None,
            order_policy: Some(ghtrader_trading::protocol::OrderPolicy::Flatten),
            activate_at: ActivateAt::NextTick,
            actor: actor(),
        };
        let _: serde_json::Value = desk.call(Call::Halt(halt)).unwrap();
        let seen = desk.view("cu").ticks;
        let view = desk.until_view("cu", |v| v.ticks > seen + 200 && v.position_lots == 0 && v.working_orders == 0);
        assert_eq!(view.state, "halted");
        let resume = desk.change(Call::Resume, "cu").unwrap();
        desk.until(&resume.id, &["succeeded"]);
    }
    desk.stop();
}

/// C-47, C-45
#[test]
fn a_lineup_that_fails_while_it_is_proved_makes_room_for_the_old_one() {
    for bad in [lineup("trap", json!({ "at": 1 })), lineup("dead", json!({}))] {
        let dir = tempfile::tempdir().unwrap();
        let desk = Desk::start(dir.path(), &["cu", "ag"], &flip(10), settings());
        desk.until_view("cu", |v| v.ticks > 50);
        // It must not fail in its warm-up already.
        let rows = desk.view("cu").ticks;
        let bad = if bad.name == "trap" { lineup("trap", json!({ "at": rows + 3_000 })) } else { bad };
        let swap = desk.deploy(&desk.plan("cu", &bad), Mode::Swap, ActivateAt::NextTick).unwrap();
        let ended = if bad.name == "dead" {
            desk.until(&swap.id, &["rolled_back"])
        } else {
            // Past its prove phase it fails, is rebuilt, fails again at once, and the standby comes back.
            desk.until(&swap.id, &["succeeded"]);
            desk.until_view("cu", |v| v.active.as_ref().is_some_and(|a| a.id == flip(10).id()));
            desk.operation(&swap.id)
        };
        if bad.name == "dead" {
            assert_eq!(ended.error.unwrap().code, "not_proved");
        }
        let view = desk.until_view("cu", |v| v.generation == 3 && v.state == "running");
        assert_eq!(view.active.unwrap().id, flip(10).id());
        assert!(view.standby.is_none(), "what failed is not kept");
        let (ag, cu) = (desk.view("ag"), desk.view("cu"));
        assert_eq!((ag.state.as_str(), ag.generation), ("running", 1));
        assert!(ag.ticks > 0 && cu.ticks > 0);
        desk.stop();
    }
}

/// C-44, C-45: faults use up the rebuilds; with nothing to go back to, the host halts this variety and no other.
#[test]
fn faults_without_a_standby_end_in_a_halt() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::start(dir.path(), &["cu", "au"], &lineup("trap", json!({ "at": 40 })), settings());
    desk.until_view("cu", |v| v.state == "halted");
    let operations: Vec<serde_json::Value> = desk.call(Call::Operations { variety: Some("cu".to_owned()) }).unwrap();
    assert_eq!((operations[0]["kind"].as_str(), operations[0]["actor"].as_str()), (Some("halt"), Some("host")));
    desk.until_view("au", |v| v.state == "halted");
    desk.stop();
}

#[test]
fn error_answers_degrade_and_a_shadow_that_fails_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::start(dir.path(), &["cu"], &flip(10), settings());
    let rows = desk.until_view("cu", |v| v.ticks > 50).ticks;
    let plan = desk.plan("cu", &lineup("trap", json!({ "at": rows + 2_000 })));
    let shadow = desk.deploy(&plan, Mode::Shadow, ActivateAt::NextTick).unwrap();
    let failed = desk.until(&shadow.id, &["failed"]);
    assert_eq!(failed.error.unwrap().code, "plugin_trapped");
    assert_eq!((desk.view("cu").generation, desk.view("cu").state.as_str()), (1, "running"));
    let missing =
        desk.deploy(&desk.plan("cu", &lineup("missing", json!({}))), Mode::Swap, ActivateAt::NextTick).unwrap();
    assert_eq!(desk.until(&missing.id, &["failed"]).error.unwrap().code, "unknown_plugin");
    let wrong = lineup("error", json!({ "at": 1 }));
    let swap = desk.deploy(&desk.plan("cu", &wrong), Mode::Swap, ActivateAt::NextTick).unwrap();
    // Nothing is answered without an error: the targets' channel shows no life.
    assert_eq!(desk.until(&swap.id, &["rolled_back"]).error.unwrap().code, "not_proved");
    desk.stop();
}

/// C-04, C-10: one clear answer, nothing changed.
#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::start(dir.path(), &["cu"], &flip(10), settings());
    desk.until_view("cu", |v| v.ticks > 10);
    let plan = desk.plan("cu", &flip(5));
    let code = |result: Result<ghtrader_trading::protocol::OperationView, ghtrader_trading::protocol::Failure>| {
        result.expect_err("a refusal").code
    };
    assert_eq!(code(desk.change(Call::Rollback, "cu")), "no_standby");
    assert_eq!(code(desk.change(Call::Promote, "cu")), "no_shadow");
    assert_eq!(code(desk.change(Call::Resume, "cu")), "not_halted");
    assert_eq!(code(desk.deploy(&plan, Mode::Swap, ActivateAt::Seq(1))), "seq_passed");
    let mut stale = plan.clone();
    stale.base_generation = 0;
    stale.plan_hash = ghtrader_trading::plan_hash(&stale);
    assert_eq!(code(desk.deploy(&stale, Mode::Shadow, ActivateAt::NextTick)), "plan_stale");
    let mut forged = plan.clone();
    forged.resolved = flip(3);
    assert_eq!(code(desk.deploy(&forged, Mode::Shadow, ActivateAt::NextTick)), "plan_damaged");
    let mut other = plan.clone();
    other.account = "live".to_owned();
    other.plan_hash = ghtrader_trading::plan_hash(&other);
    assert_eq!(code(desk.deploy(&other, Mode::Shadow, ActivateAt::NextTick)), "variety_mismatch");
    let mut breaking = plan.clone();
    breaking.breaking = vec!["major_version:strategy/flip".to_owned()];
    breaking.plan_hash = ghtrader_trading::plan_hash(&breaking);
    assert_eq!(code(desk.deploy(&breaking, Mode::Swap, ActivateAt::NextTick)), "breaking_needs_acknowledge");
    let running = desk.deploy(&plan, Mode::Swap, ActivateAt::Seq(10_000_000)).unwrap();
    desk.until(&running.id, &["armed"]);
    assert_eq!(code(desk.deploy(&plan, Mode::Swap, ActivateAt::NextTick)), "operation_running");
    let unknown: Result<serde_json::Value, _> = desk.call(Call::Variety { variety: "zn".to_owned() });
    assert_eq!(unknown.unwrap_err().code, "unknown_variety");
    let unknown: Result<serde_json::Value, _> = desk.call(Call::Operation { id: "op-cu-999".to_owned() });
    assert_eq!(unknown.unwrap_err().code, "unknown_operation");
    let cancel = Call::CancelOperation { id: running.id.clone(), actor: actor() };
    let cancelled: ghtrader_trading::protocol::OperationView = desk.call(cancel.clone()).unwrap();
    assert_eq!(cancelled.state, "cancelled");
    let twice: Result<serde_json::Value, _> = desk.call(cancel);
    assert_eq!(twice.unwrap_err().code, "operation_ended");
    let stale = Change {
        variety: "cu".to_owned(),
        generation: Some(9),
        order_policy: None,
        activate_at: ActivateAt::NextTick,
        actor: actor(),
    };
    let view = desk.view("cu");
    let swap = desk.deploy(&desk.plan("cu", &flip(5)), Mode::Swap, ActivateAt::NextTick).unwrap();
    desk.until(&swap.id, &["succeeded"]);
    let refused: Result<serde_json::Value, _> = desk.call(Call::Rollback(stale));
    assert_eq!(refused.as_ref().unwrap_err().generation, Some(view.generation + 1));
    desk.stop();
}

/// One account has one service.
#[test]
fn a_second_service_of_an_account_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::start(dir.path(), &["cu"], &flip(10), settings());
    let refused = std::panic::catch_unwind(|| Desk::start(dir.path(), &["cu"], &flip(10), settings()));
    assert!(refused.is_err(), "two services of one account");
    assert_eq!(desk.view("cu").state, "running");
    desk.stop();
}
