//! Requests that must not be carried out, to a server and an account that run: one clear answer each, and nothing changed.

use crate::plugins::{Guest, MANIFEST};
use crate::{Desk, write};
use ghtrader_tests::host::{Answer, Api, Host, done, patiently};
use ghtrader_tests::{artefacts, binary};
use serde_json::{Value, json};
use std::sync::Barrier;

const SETTINGS: [&str; 2] = ["lineup.ring_rows=2000", "lineup.prove_ticks=20"];
const MARKET: [&str; 6] = ["--var", "cu", "--speed", "200", "--rows-per-day", "6000"];

/// A server and an account of cu.
struct Running {
    desk: Desk,
    host: Host,
    api: Api,
}

impl Running {
    fn start() -> Self {
        let desk = Desk::empty();
        let mut host = Host::new(&binary("ghtrader", "ghtrader-cli"), desk.dir.path(), &SETTINGS);
        host.bring(&artefacts()).unwrap();
        host.serve().unwrap();
        host.run(&MARKET).unwrap();
        let api = host.api().unwrap().clone();
        Self { desk, host, api }
    }

    /// A feature of one's own.
    fn echo(&self, from: &str, to: &str) -> Vec<u8> {
        assert!(MANIFEST.contains(from));
        Guest::default().with_manifest(&self.desk, &MANIFEST.replacen(from, to, 1))
    }

    fn push(&self, artefact: &[u8]) -> String {
        done(self.api.push(artefact).unwrap()).unwrap()["digest"].as_str().unwrap().to_owned()
    }

    fn plan(&self, lineup: &Value) -> Answer {
        self.api.send("POST /varieties/cu/plans", None, &json!({ "lineup": lineup })).unwrap()
    }

    fn deploy(&self, plan: &Value, generation: u64) -> Answer {
        deploy(&self.api, plan, generation)
    }

    fn generation(&self) -> u64 {
        self.api.get("/varieties/cu").unwrap()["generation"].as_u64().unwrap()
    }

    /// Everything that a refused request could have changed.
    fn state(&self) -> Value {
        let view = self.api.get("/varieties/cu").unwrap();
        let list = |path: &str| self.api.get(path).unwrap()["items"].clone();
        json!([
            view["generation"],
            view["active"]["id"],
            view["shadow"],
            view["state"],
            list("/operations"),
            list("/plugins"),
            list("/plugins/feature/echo/tags"),
            list("/varieties/cu/lineups"),
        ])
    }

    /// The request is refused by status and code, with a remedy, and everything is as it was.
    #[track_caller]
    fn refuses(&self, request: impl FnOnce(&Api) -> Answer, status: u16, code: &str) {
        let before = self.state();
        let answer = request(&self.api);
        assert_eq!(answer.refusal(), (status, code), "{}", answer.body);
        for field in ["what", "remedy"] {
            assert!(answer.body[field].as_str().is_some_and(|t| !t.is_empty()), "no {field}: {}", answer.body);
        }
        assert_eq!(self.state(), before, "{code}");
    }

    /// The market goes on, and is answered by the same lineup.
    fn goes_on(&self) {
        let before = self.api.get("/varieties/cu").unwrap();
        patiently("no ticks are answered", || {
            let now = self.api.get("/varieties/cu")?;
            let more = |v: &Value| now["active"]["ticks"].as_u64() > v["active"]["ticks"].as_u64().map(|t| t + 50);
            assert_eq!((&now["generation"], &now["state"]), (&before["generation"], &json!("running")));
            Ok(more(&before).then_some(()))
        })
        .unwrap();
    }
}

fn deploy(api: &Api, plan: &Value, generation: u64) -> Answer {
    let body = json!({ "plan_hash": plan["plan_hash"], "mode": "swap" });
    api.send("POST /varieties/cu/deployments", Some(generation), &body).unwrap()
}

fn taker(threshold: f64) -> Value {
    json!({ "name": format!("taker-{threshold}"),
        "strategy": { "plugin": "taker:reference", "params": { "threshold": threshold } } })
}

/// The reference strategy behind a feature.
fn behind(feature: &str) -> Value {
    json!({ "name": "behind", "features": [{ "plugin": feature }], "strategy": { "plugin": "taker:reference" } })
}

/// C-04, C-10, C-12, C-14, C-15
#[test]
fn what_must_not_be_done_is_refused_and_changes_nothing() {
    let run = Running::start();
    let first = run.push(&run.echo("0.1.0", "0.1.0"));
    let second = run.push(&run.echo("\"0.1.0\"", "\"0.1.1\""));
    let tag = "PUT /plugins/feature/echo/tags/champion";
    done(run.api.send(tag, Some(0), &json!({ "digest": first })).unwrap()).unwrap();
    let old = done(run.plan(&taker(0.7))).unwrap();
    let swap = done(run.deploy(&done(run.plan(&taker(0.6))).unwrap(), 1)).unwrap();
    let swap = run.api.follow(swap["id"].as_str().unwrap(), "succeeded").unwrap();
    assert_eq!((&swap["state"], run.generation()), (&json!("succeeded"), 2), "{swap:#}");
    let plan = done(run.plan(&taker(0.7))).unwrap();

    let made = run.desk.program.ok(&["token", "create", "--role", "viewer", "--name", "desk", "--days", "1"]);
    let viewer = run.api.with_token(made["token"].as_str().unwrap());
    let nobody = run.api.with_token(&format!("ght_{}", "0".repeat(64)));
    run.refuses(|_| deploy(&nobody, &plan, 2), 401, "token_unknown");
    run.refuses(|_| deploy(&viewer, &plan, 2), 403, "role_too_low");
    run.refuses(|_| viewer.push(b"\0asm").unwrap(), 403, "role_too_low");
    run.refuses(|api| deploy(api, &plan, 1), 412, "generation_stale");
    run.refuses(|api| deploy(api, &old, 2), 409, "plan_stale");
    run.refuses(|api| deploy(api, &json!({ "plan_hash": "0".repeat(64) }), 2), 404, "unknown_plan");
    run.refuses(|api| api.push(&vec![0; (64 << 20) + 1]).unwrap(), 413, "body_too_large");
    run.refuses(
        |api| api.ask("POST /varieties/cu/plans", &[], &vec![b' '; (1 << 20) + 1]).unwrap(),
        413,
        "body_too_large",
    );
    run.refuses(|api| api.push(b"no component").unwrap(), 422, "admission_failed");
    for (variety, code) in [("zn", "unknown_variety"), ("au", "unknown_variety"), ("..%2Fcu", "unknown_variety")] {
        let line = format!("POST /varieties/{variety}/plans");
        run.refuses(|api| api.send(&line, None, &json!({ "lineup": taker(0.7) })).unwrap(), 404, code);
    }
    run.refuses(|_| run.plan(&behind(&"0".repeat(64))), 404, "unknown_plugin");
    run.refuses(|_| run.plan(&behind("echo:candidate")), 404, "unknown_tag");
    let wide = json!({ "name": "wide", "strategy": { "plugin": "taker:reference", "params": { "threshold": 2.0 } } });
    run.refuses(|_| run.plan(&wide), 422, "param_out_of_bounds");

    // A tag that moves between the plan and its application.
    let followed = done(run.plan(&behind("echo:champion"))).unwrap();
    done(run.api.send(tag, Some(1), &json!({ "digest": second })).unwrap()).unwrap();
    run.refuses(|api| deploy(api, &followed, 2), 409, "plan_stale");
    run.refuses(|api| api.send(tag, Some(1), &json!({ "digest": first })).unwrap(), 412, "generation_stale");

    run.push(&run.echo("\"0.1.0\"", "\"0.2.0\"\nvarieties = [\"au\"]"));
    run.refuses(|_| run.plan(&behind("echo@0.2.0")), 422, "variety_mismatch");
    run.goes_on();
}

/// C-05, C-10: of two swaps at once one is taken on, and the other is told why not.
#[test]
fn of_two_swaps_at_once_one_is_made() {
    let run = Running::start();
    for round in 1..=5_u64 {
        let generation = run.generation();
        let plans = [0.1, 0.2].map(|t| done(run.plan(&taker(t + round as f64 / 100.0))).unwrap());
        let barrier = Barrier::new(2);
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let asked = plans.each_ref().map(|plan| {
                let barrier = &barrier;
                let run = &run;
                scope.spawn(move || {
                    barrier.wait();
                    run.deploy(plan, generation)
                })
            });
            asked.into_iter().map(|a| a.join().unwrap()).collect()
        });
        let (taken, refused): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|a| a.is_ok());
        assert_eq!((taken.len(), refused.len()), (1, 1), "{answers:#?}");
        // The later one finds the other under way, or, on a slow machine, already made: before its generation was looked at,
        // or between that and its plan.
        let why = refused[0].refusal();
        let lawful = [(409, "operation_running"), (412, "generation_stale"), (409, "plan_stale")];
        assert!(lawful.contains(&why), "{why:?}: {}", refused[0].body);
        let ended = run.api.follow(taken[0].body["id"].as_str().unwrap(), "succeeded").unwrap();
        assert_eq!((&ended["state"], run.generation()), (&json!("succeeded"), generation + 1), "{ended:#}");
        assert_eq!(run.api.get("/varieties/cu").unwrap()["active"]["id"], ended["lineup_id"]);
    }
}

/// C-51: artefacts that change on the disk, that of the active lineup among them. What runs goes on; a lineup that would
/// need the damaged bytes is not made; pushing the same bytes again mends it.
#[test]
fn a_damaged_artefact_harms_nobody_who_runs() {
    let mut run = Running::start();
    let bytes = run.echo("0.1.0", "0.1.0");
    let echo = run.push(&bytes);
    let view = run.api.get("/varieties/cu").unwrap();
    let active = view["active"]["lineup"]["strategy"]["digest"].as_str().unwrap().to_owned();
    let damage = |digest: &str| {
        let blob = run.desk.path(&format!("data/registry/blobs/{digest}.wasm"));
        let mut bytes = std::fs::read(&blob).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        write(&blob, bytes);
        let answer = run.api.ask(&format!("GET /plugins/{digest}/artifact"), &[], &[]).unwrap();
        assert_eq!(answer.refusal(), (503, "blob_damaged"), "{}", answer.body);
        run.goes_on();
    };
    damage(&echo);
    // The server has it in memory from the push; the account has not.
    let swap = done(run.deploy(&done(run.plan(&behind("echo@0.1.0"))).unwrap(), 1)).unwrap();
    let swap = run.api.follow(swap["id"].as_str().unwrap(), "succeeded").unwrap();
    assert_eq!((&swap["state"], &swap["error"]["code"]), (&json!("failed"), &json!("blob_damaged")), "{swap:#}");
    assert_eq!(run.generation(), 1);
    damage(&active);

    // An account that starts has nothing in memory: it says what is wrong, and changes nothing.
    run.host.kill_service().unwrap();
    let said = run.host.run(&MARKET).unwrap_err().to_string();
    assert!(said.contains("blob_damaged") && said.contains("push the same artefact again"), "{said}");
    assert_eq!(run.api.ask("GET /varieties/cu", &[], &[]).unwrap().refusal(), (503, "service_unavailable"));
    assert_eq!(run.push(&bytes), echo);
    assert_eq!(run.push(&std::fs::read(artefacts().join("taker.wasm")).unwrap()), active);
    run.host.run(&MARKET).unwrap();
    assert_eq!(run.generation(), 1);
    let swap = done(run.deploy(&done(run.plan(&behind("echo@0.1.0"))).unwrap(), 1)).unwrap();
    let swap = run.api.follow(swap["id"].as_str().unwrap(), "succeeded").unwrap();
    assert_eq!(swap["state"], "succeeded", "{swap:#}");
}

/// C-01, D-40: a push that does not fit on the disk leaves nothing; with room the same push goes through.
#[test]
fn a_push_onto_a_full_disk_leaves_nothing() {
    let mut run = Running::start();
    run.host.kill_server().unwrap();
    // Files of more than 32 KiB cannot be written; the artefact is larger, what the server itself writes is not.
    run.host.serve_behind("trap '' XFSZ; ulimit -f 64;").unwrap();
    run.api = run.host.api().unwrap().clone();
    let bytes = std::fs::read(artefacts().join("maker.wasm")).unwrap();
    run.refuses(|api| api.push(&bytes).unwrap(), 507, "disk_full");
    run.goes_on();
    let left = ghtrader_tests::tree(&run.desk.path("data/registry/blobs"));
    assert_eq!(left.len(), 2, "{:?}", left.keys());
    run.host.kill_server().unwrap();
    run.host.serve().unwrap();
    run.api = run.host.api().unwrap().clone();
    run.push(&bytes);
    assert_eq!(run.host.command(&["audit", "verify"]).output().unwrap().status.code(), Some(0));
}
