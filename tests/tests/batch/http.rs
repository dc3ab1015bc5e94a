//! Batches over HTTP: planned, queued, run by a child of the server, cancelled, taken up again.

use crate::DESK;
use ghtrader_tests::binary;
use ghtrader_tests::host::{Api, Host, done, patiently};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// C-35: over HTTP a batch is planned, queued, run by a child of the server, and collected; the same specification is the
/// same batch.
#[test]
fn a_batch_runs_over_http() {
    let desk = &*DESK;
    let mut host = Host::new(&binary("ghtrader", "ghtrader-cli"), desk.dir.path(), &["backtest.threads=1"]);
    host.serve().unwrap();
    let api = host.api().unwrap();
    let spec = |name: &str, grid: &str| {
        let body = "[[lineups]]\nname = 'u'\n[lineups.strategy]\nplugin = 'unruly.wasm'\n[grid]\n";
        json!({ "spec": format!("version = 1\nname = '{name}'\nvariety = 'cu'\n{body}{grid}"), "reason": "a test" })
    };
    let good = spec("over http", "strategy.threshold = [0.91, 0.92, 0.93]\nstrategy.mode = [0, 1]\n");
    let posted = api.send("POST /batches", None, &good).unwrap();
    assert_eq!(posted.status, 202, "{}", posted.body);
    let id = posted.body["id"].as_str().unwrap().to_owned();
    assert_eq!(posted.body["jobs"], 6);
    let ended = patiently("the batch has not ended", || {
        let view = api.get(&format!("/batches/{id}"))?;
        Ok(["failed", "succeeded", "refused", "stopped"].contains(&view["state"].as_str().unwrap()).then_some(view))
    });
    let ended = ended.unwrap();
    let counts = ["state", "results", "failed", "poison", "missing", "exit_code"].map(|k| ended[k].clone());
    assert_eq!(json!(counts), json!(["failed", 3, 3, 0, 0, 1]), "{ended:#}");
    let same = api.send("POST /batches", None, &good).unwrap();
    assert_eq!((same.status, &same.body["id"]), (200, &posted.body["id"]), "{}", same.body);
    let listed = api.get("/batches?limit=1000").unwrap();
    assert!(listed["items"].as_array().unwrap().iter().any(|b| b["id"] == posted.body["id"]), "{listed:#}");
    let summary = api.get(&format!("/batches/{id}/summary")).unwrap();
    assert_eq!(summary["rows"].as_array().unwrap().len(), 6);
    let failed = api.get(&format!("/batches/{id}/jobs?state=failed&limit=2")).unwrap();
    assert_eq!((&failed["total"], failed["items"].as_array().unwrap().len()), (&3.into(), 2), "{failed:#}");
    assert_eq!(failed["items"][0]["code"], "plugin_trapped");
    // What the command line makes of the same folder.
    let folder = format!("runs/batches/{id}");
    let (code, table) =
        desk.program().json(&["batch", "collect", "--manifest", &format!("{folder}/manifest"), "--out", &folder]);
    assert_eq!((code, &table["digest"]), (1, &summary["digest"]));
    let again = done(api.send(&format!("POST /batches/{id}/retry-failed"), None, &json!({})).unwrap()).unwrap();
    assert!(["queued", "running"].contains(&again["state"].as_str().unwrap()), "{again:#}");

    // Refusals, each by its own code.
    let refused = |spec: &Value| api.send("POST /batches", None, spec).unwrap();
    let bad = spec("bad", "strategy.threshold = []\n");
    assert_eq!(refused(&bad).refusal(), (422, "bad_batch_spec"));
    assert_eq!(refused(&spec("bad", "strategy.threshold = [7.0]\n")).refusal(), (422, "param_out_of_bounds"));
    assert_eq!(refused(&json!({ "argv": ["rm"] })).refusal(), (422, "bad_body"));
    let outside = spec("x", "").to_string().replace("unruly.wasm", "../unruly.wasm");
    assert_eq!(refused(&serde_json::from_str(&outside).unwrap()).refusal(), (400, "outside_root"));
    let trace = spec("x", "[run.latency.order]\nkind = 'trace'\nfile = '/etc/hosts'\n");
    assert_eq!(refused(&trace).refusal(), (400, "outside_root"));
    for line in ["GET /batches/0123456789abcdef", "GET /batches/..", "POST /batches/0123456789abcdef/pause"] {
        let answer = api.ask(line, &[], &[]).unwrap();
        assert_eq!(answer.status, 404, "{line}: {}", answer.body);
    }
    let viewer = done(api.send("POST /tokens", None, &json!({ "name": "v", "role": "viewer" })).unwrap()).unwrap();
    let viewer = api.with_token(viewer["token"].as_str().unwrap());
    assert_eq!(viewer.send("POST /batches", None, &good).unwrap().refusal(), (403, "role_too_low"));
    assert_eq!(viewer.get(&format!("/batches/{id}")).unwrap()["jobs"], 6);
}

/// C-35, C-23: a batch is cancelled and resumed; it ends with a server that is killed, and goes on with the next one.
#[test]
fn a_batch_is_cancelled_and_outlives_its_server() {
    let desk = &*DESK;
    let root = tempfile::tempdir().unwrap();
    let copied =
        Command::new("cp").arg("-r").args([desk.path("data"), desk.path("unruly.wasm")]).arg(root.path()).status();
    assert!(copied.unwrap().success());
    let long = ["plugin.block_call_cpu_ms=60000", "plugin.wall_limit_ms=60000", "backtest.threads=1"];
    let mut host = Host::new(&binary("ghtrader", "ghtrader-cli"), root.path(), &long);
    host.serve().unwrap();
    let api = host.api().unwrap().clone();
    // The first job never returns.
    let spec = "version = 1\nname = 'long'\nvariety = 'cu'\n[[lineups]]\nname = 'bad'\n[lineups.strategy]\nplugin = \
                'unruly.wasm'\nparams = { mode = 2 }\n[[lineups]]\nname = 'good'\n[lineups.strategy]\nplugin = 'unruly.wasm'\n";
    let posted = done(api.send("POST /batches", None, &json!({ "spec": spec })).unwrap()).unwrap();
    let id = posted["id"].as_str().unwrap().to_owned();
    let state = |api: &Api, wanted: &str| {
        patiently(&format!("the batch is not {wanted}"), || {
            let view = api.get(&format!("/batches/{id}"))?;
            Ok((view["state"] == wanted).then_some(view))
        })
    };
    state(&api, "running").unwrap();
    let ask = |api: &Api, what: &str| {
        done(api.send(&format!("POST /batches/{id}/{what}"), None, &json!({})).unwrap()).unwrap()
    };
    let cancelled = ask(&api, "cancel");
    assert_eq!((&cancelled["state"], &cancelled["results"]), (&"cancelled".into(), &0.into()), "{cancelled:#}");
    ask(&api, "resume");
    state(&api, "running").unwrap();
    let workers = patiently("no worker runs", || {
        let found: Vec<u32> = running_below(root.path());
        Ok((found.len() >= 2).then_some(found))
    });
    assert!(workers.unwrap().len() >= 2, "a supervisor and its worker");
    host.kill_server().unwrap();
    patiently("a worker outlived the server", || Ok(running_below(root.path()).is_empty().then_some(()))).unwrap();
    host.serve().unwrap();
    let api = host.api().unwrap().clone();
    state(&api, "running").unwrap();
    assert_eq!(ask(&api, "pause")["state"], "paused");
    let ended = api.send(&format!("POST /batches/{id}/retry-failed"), None, &json!({})).unwrap();
    assert!(ended.is_ok(), "{}", ended.body);
    ask(&api, "cancel");
}

/// Processes of `batch run` on a root.
fn running_below(root: &Path) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        if line.contains(&root.display().to_string()) && line.contains("\0batch\0run\0") {
            found.push(pid);
        }
    }
    found
}
