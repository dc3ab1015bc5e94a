//! Commands that ask a server, against one whose answers are known: what they send, what they show, how they end.

use ghtrader_tests::server::serve;
use ghtrader_tests::{Program, write};
use serde_json::{Value, json};

const HASH: &str = "3f9a12c4aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn plugin(identity: &str) -> Value {
    json!({ "identity": identity, "digest": HASH, "params": { "threshold": 0.6 } })
}

fn lineup() -> Value {
    json!({ "name": "lean", "features": [plugin("feature/deep@0.1.0")], "strategy": plugin("strategy/lean@0.2.0"), "schema_hash": "s" })
}

fn seat(generation: u64) -> Value {
    json!({ "id": HASH, "generation": generation, "name": "lean", "lineup": lineup(), "ticks": 12345, "faults": 0,
            "errors_in_row": 0, "pnl_cny": -1250.5, "fills": 8, "position_lots": 1, "memory_bytes": 1 << 21 })
}

fn variety() -> Value {
    json!({ "account": "paper", "variety": "cu", "generation": 7, "state": "running", "active": seat(7),
            "standby": seat(6), "shadow": null, "operation": null, "contract": "SHFE.cu2509", "ticks": 12345,
            "last_tick_ns": 1, "tick_age_ms": 400, "position_lots": 1, "working_orders": 2, "equity_cny": 1000123.0,
            "updated_at_ns": 1 })
}

fn operation(kind: &str, stages: &[&str], ended: bool) -> Value {
    let trace: Vec<Value> =
        stages.iter().zip(0..).map(|(s, i)| json!({ "state": s, "at_ns": i * 250_000_000_i64 })).collect();
    json!({ "id": "op-12", "kind": kind, "account": "paper", "variety": "cu", "state": stages.last(), "ended": ended,
            "actor": "ann", "plan_hash": HASH, "lineup_id": HASH, "from_generation": 7,
            "generation": if ended { json!(8) } else { Value::Null }, "trace": trace, "evidence": { "pause_ns": 6000 } })
}

/// P-31: plan, apply by a beginning of the hash, follow, see; the generation goes along as it was seen.
#[test]
fn a_swap_goes_from_plan_to_active() {
    let plan = json!({ "plan_hash": HASH, "account": "paper", "variety": "cu", "base_generation": 7, "base_lineup": HASH,
        "lineup_id": HASH, "resolved": lineup(), "followed": {}, "diff": ["strategy: lean 0.1.0 → 0.2.0"],
        "capacity": [{ "name": "memory_mib", "wanted": 64, "bound": 4096, "fits": true }], "breaking": ["inputs_changed"] });
    let server = serve(move |asked, before| match asked.line.as_str() {
        "POST /api/v1/varieties/cu/plans?account=paper" => (200, plan.clone()),
        "GET /api/v1/varieties/cu?account=paper" => (200, variety()),
        "POST /api/v1/varieties/cu/deployments?account=paper" => (202, operation("swap", &["accepted"], false)),
        "GET /api/v1/operations/op-12?account=paper" if before < 2 => {
            (200, operation("swap", &["accepted", "warming"], false))
        }
        "GET /api/v1/operations/op-12?account=paper" => {
            (200, operation("swap", &["accepted", "warming", "proving", "succeeded"], true))
        }
        other => (404, json!({ "code": "unknown_route", "class": "user", "what": other, "remedy": "r" })),
    });
    write(&server.dir().join("lineup.toml"), "version = 1\nname = \"lean\"\n[strategy]\nplugin = \"lean@0.2.0\"\n");
    let at = ["--var", "cu", "--account", "paper"];
    let with = |args: &[&'static str]| args.iter().copied().chain(at).collect::<Vec<_>>();
    let shown = server.run(&with(&["lineup", "plan", "lineup.toml"]));
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for part in [
        "against generation 7",
        "strategy/lean@0.2.0",
        "lean 0.1.0 → 0.2.0",
        "--acknowledge inputs_changed",
        "3f9a12c4 ",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let sent: Value = serde_json::from_slice(&server.last("POST").body).unwrap();
    assert_eq!(sent, json!({ "lineup": { "name": "lean", "features": [], "strategy": { "plugin": "lean@0.2.0" } } }));

    let apply = |hash: &'static str| {
        with(&["lineup", "apply", hash, "--mode", "swap", "--at", "17", "--acknowledge", "inputs_changed", "--wait"])
    };
    let said = server.program().fails(&apply("3f9a12c4"), 2, "unknown_plan");
    assert!(said.contains("begins with 3f9a12c4"), "{said}");
    server.program().fails(&apply("3f9a"), 2, "unknown_plan");
    write(&server.dir().join(format!("runs/control/plans/{HASH}.json")), "{}");
    let output = server.run(&apply("3f9a12c4"));
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    let stages: Vec<&str> = err.lines().map(|l| l.split("  ").last().unwrap().trim()).collect();
    assert_eq!(stages, ["accepted", "warming", "proving", "succeeded"], "each stage once: {err}");
    assert!(err.contains("0.25 s"), "{err}");
    let posted = server.last("POST");
    assert_eq!(
        serde_json::from_slice::<Value>(&posted.body).unwrap(),
        json!({ "plan_hash": HASH, "mode": "swap", "activate_at": { "seq": 17 }, "acknowledge": ["inputs_changed"] })
    );
    let header = |name: &str| posted.headers.get(name).map(String::as_str);
    assert_eq!((header("if-match"), header("authorization")), (Some("\"7\""), Some("Bearer ght_secret")));
    assert_eq!(header("idempotency-key").map(str::len), Some(32));

    let status = server.run(&with(&["lineup", "status"]));
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    for part in ["paper/cu  running  generation 7", "-1,250.50", "standby", "0.4 s ago", "+1 lots"] {
        assert!(status.contains(part), "{part} is not in {status}");
    }
}

/// P-31: an operation that ends otherwise is exit 1; a shadow is where it was to come once it runs beside.
#[test]
fn waiting_ends_where_the_operation_does() {
    let failed = || {
        let mut failed = operation("swap", &["accepted", "failed"], true);
        failed["error"] =
            json!({ "code": "plugin_trapped", "class": "plugin", "what": "it trapped", "remedy": "mend it" });
        failed
    };
    let server = serve(move |asked, _| match asked.line.as_str() {
        "GET /api/v1/varieties/cu" => (200, variety()),
        "GET /api/v1/operations/op-12?account=paper" => (200, operation("shadow", &["accepted", "shadowing"], false)),
        "POST /api/v1/varieties/cu/promote" => (202, failed()),
        "POST /api/v1/varieties/cu/halt" => (202, operation("halt", &["accepted"], false)),
        _ => (202, operation("shadow", &["accepted"], false)),
    });
    let code = |args: &[&str]| server.run(args).status.code();
    assert_eq!(code(&["lineup", "apply", HASH, "--var", "cu", "--mode", "shadow", "--wait"]), Some(0));
    let output = server.run(&["lineup", "promote", "--var", "cu", "--wait"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1) && said.contains("error[plugin_trapped]: it trapped"), "{said}");
    assert_eq!(code(&["lineup", "promote", "--var", "cu"]), Some(0), "it was accepted, and that was all");
    assert_eq!(code(&["lineup", "halt", "--var", "cu", "--reason", "wrong prices"]), Some(0));
    let halt = server.last("POST");
    assert!(!halt.headers.contains_key("if-match"), "a halt asks nothing first");
    assert_eq!(serde_json::from_slice::<Value>(&halt.body).unwrap()["reason"], "wrong prices");
}

/// P-05, P-08, P-42: a refusal of the server ends as the program's own would.
#[test]
fn a_refusal_keeps_its_code_class_and_findings() {
    let server = serve(|asked, _| match asked.line.as_str() {
        "GET /api/v1/varieties/cu" => (200, variety()),
        "POST /api/v1/plugins" => (
            422,
            json!({ "code": "admission_failed", "class": "plugin", "what": "two things are wrong",
            "remedy": "mend them", "findings": [
                { "code": "import_undeclared", "what": "it imports a clock", "remedy": "leave it out" },
                { "code": "self_test_mismatch", "what": "another digest", "remedy": "" } ] }),
        ),
        "POST /api/v1/varieties/cu/rollback" => (
            412,
            json!({ "code": "generation_stale", "class": "conflict",
            "what": "generation 7 is old", "remedy": "look again", "generation": 9 }),
        ),
        "GET /api/v1/varieties?limit=1000" => (200, json!("no list")),
        _ => (
            401,
            json!({ "code": "token_unknown", "class": "user", "what": "the token is not known", "remedy": "make one" }),
        ),
    });
    let program = server.program();
    write(&server.dir().join("x.wasm"), "bytes");
    let said = program.fails(&["plugin", "push", "x.wasm"], 3, "admission_failed");
    assert!(said.contains("[import_undeclared] it imports a clock") && said.contains("[self_test_mismatch]"), "{said}");
    assert_eq!(server.last("POST").body, b"bytes");
    let said = program.fails(&["lineup", "rollback", "--var", "cu"], 4, "generation_stale");
    assert!(said.contains("at generation 9 now"), "{said}");
    program.fails(&["lineup", "shadow", "--var", "cu"], 2, "token_unknown");
    program.fails(&["lineup", "status"], 6, "server_foreign");
}

#[test]
fn without_a_server_the_remedy_is_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    for args in
        [&["plugin", "list"][..], &["lineup", "status"], &["lineup", "halt", "--var", "cu", "--server", "127.0.0.1:9"]]
    {
        let mut command = program.command(args);
        let output = command.env("GHTRADER_TOKEN", "t").arg("--json").output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), answer["error"]["code"].as_str()), (Some(6), Some("server_unreachable")));
        assert!(answer["error"]["remedy"].as_str().unwrap().contains("ghtrader serve"), "{answer:#}");
    }
}

/// The token of a root's own server is sent to no other.
#[test]
fn another_server_gets_no_token_of_this_root() {
    let server = serve(|_, _| (200, json!({ "items": [], "next_cursor": null })));
    let other = serve(|_, _| (200, json!({ "items": [], "next_cursor": null })));
    let told: Value =
        serde_json::from_slice(&std::fs::read(other.dir().join("runs/control/server.json")).unwrap()).unwrap();
    let listening = told["listening"].as_str().unwrap();
    server.program().fails(&["plugin", "list", "--server", listening], 2, "token_missing");
    assert!(other.asked().is_empty());
    other.program().ok(&["plugin", "list", "--server", &format!("{listening}/")]);
}

/// A tag that is not there yet is made under generation 0; one that is, under its own.
#[test]
fn a_tag_moves_under_its_generation() {
    let record = json!({ "role": "strategy", "name": "lean", "version": "0.2.0", "digest": HASH, "bytes": 99, "state": "admitted" });
    let server = serve(move |asked, _| match asked.line.as_str() {
        "GET /api/v1/plugins?name=lean&limit=1000" | "GET /api/v1/plugins?role=strategy&name=lean&limit=1000" => {
            (200, json!({ "items": [record], "next_cursor": null }))
        }
        "GET /api/v1/plugins/strategy/lean/tags/candidate" => {
            (404, json!({ "code": "unknown_tag", "class": "user", "what": "no tag", "remedy": "set it" }))
        }
        line if line.starts_with("GET") && line.ends_with("/tags/champion") => {
            (200, json!({ "digest": HASH, "generation": 4 }))
        }
        line if line.starts_with("PUT") => (200, json!({ "digest": HASH, "generation": 5, "moves": [] })),
        _ => (200, json!({ "items": [], "next_cursor": null })),
    });
    for (tag, generation) in [("candidate", "\"0\""), ("champion", "\"4\"")] {
        server.program().ok(&["plugin", "tag", "lean", tag, "0.2.0", "--reason", "good"]);
        let put = server.last("PUT");
        assert_eq!(put.headers.get("if-match").map(String::as_str), Some(generation));
        assert_eq!(serde_json::from_slice::<Value>(&put.body).unwrap(), json!({ "digest": HASH, "reason": "good" }));
    }
    let said = server.program().fails(&["plugin", "show", "lean@0.3.0"], 2, "unknown_version");
    assert!(said.contains("there is 0.2.0"), "{said}");
    server.program().fails(&["plugin", "show", "lena@0.3.0"], 2, "unknown_plugin");
    server.program().fails(&["plugin", "show", "lean"], 2, "bad_reference");
}
