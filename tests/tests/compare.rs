//! Versions against each other as their users compare them: two runs, a family, the first row apart, gates, walk-forward.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ghtrader_tests::{Program, artefacts, write};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::LazyLock;

fn plugin(name: &str) -> String {
    artefacts().join(format!("{name}.wasm")).display().to_string()
}

/// A market with a signal, 25 days of main_l5.
static DESK: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    for line in [
        "data synth --var cu --days 26 --rows-per-day 1000 --signal 1 --seed 3",
        "main schedule --var cu",
        "main build --var cu",
    ] {
        program.ok(&line.split(' ').collect::<Vec<_>>());
    }
    dir
});

fn ok(line: &str) -> Value {
    Program::new(DESK.path()).ok(&line.split(' ').collect::<Vec<_>>())
}

fn fails(line: &str, exit: i32, code: &str) -> String {
    Program::new(DESK.path()).fails(&line.split(' ').collect::<Vec<_>>(), exit, code)
}

/// Runs the taker with a threshold, and more of the specification behind it; the folder's name.
fn taker(name: &str, threshold: f64, more: &str) -> String {
    let text = format!(
        "version = 1\nname = '{name}'\nvariety = 'cu'\n[lineup.strategy]\nplugin = '{}'\nparams = {{ threshold = {threshold} }}\n{more}",
        plugin("taker")
    );
    write(&DESK.path().join(format!("{name}.toml")), text);
    ok(&format!("backtest run {name}.toml --out runs/{name}"));
    format!("runs/{name}")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(DESK.path().join(path)).unwrap()
}

/// B-29, B-30, B-32
#[test]
fn two_runs_are_paired_by_day() {
    // Orders and cancels take times drawn by the seed: the same strategy, other luck.
    let seeded = |name: &str, seed: u64| {
        let text = format!(
            "version = 1\nname = '{name}'\nvariety = 'cu'\nseed = {seed}\n[lineup.strategy]\nplugin = '{}'\n[latency.order]\n\
             kind = 'lognormal'\nmedian_us = 2000000\nsigma = 1.0\nmax_us = 10000000\n",
            plugin("taker")
        );
        write(&DESK.path().join(format!("{name}.toml")), text);
        ok(&format!("backtest run {name}.toml --out runs/{name}"));
    };
    seeded("seed-1", 1);
    seeded("seed-2", 2);
    let c = ok("compare runs/seed-1 runs/seed-2 --html pair.html");
    let paired = &c["variants"][0]["against"]["pessimistic"];
    assert_eq!((&c["verdict"], &c["days"]["count"], &paired["pairs"]), (&json!("noise"), &json!(25), &json!(25)));
    assert_eq!((&c["resampling"]["draws"], &c["resampling"]["seed"]), (&json!(10_000), &json!(1)));
    assert_ne!(paired["mean_cny"], json!(0.0), "two seeds of drawn latencies trade alike");
    let end = |key: &str| paired[key].as_f64().unwrap();
    assert!(end("low_cny") <= 0.0 && 0.0 <= end("high_cny") && end("low_cny") <= end("mean_cny"));
    assert_eq!(c["variants"][0]["parameter_differences"], json!([{ "key": "seed", "champion": "1", "variant": "2" }]));
    assert_eq!(ok("compare runs/seed-1 runs/seed-2"), c, "the same results and seed gave another comparison");
    let page = text("pair.html");
    assert!(page.contains("seed-2") && !page.contains("http://") && !page.contains("https://"));

    // Two thresholds part on a row, and both sides of it are shown.
    let (low, high) = (taker("low", 0.5, ""), taker("high", 0.9, ""));
    let d = ok(&format!("compare {low} {high} --first-difference"));
    let first = &d["first_difference"];
    assert_eq!(d["parts"], true);
    assert_ne!(first["a"]["actions"], first["b"]["actions"], "{first:#}");
    assert!(first["row"].is_u64() && first["book"]["bid"][0][0].is_f64() && first["trading_day"].is_string());
    let itself = ok(&format!("compare {low} {low} --first-difference"));
    assert_eq!((&itself["parts"], &itself["first_difference"]), (&json!(false), &Value::Null));
    fails(&format!("compare {low} --first-difference"), 2, "usage");

    // Other fees are other conditions.
    let dear = taker("dear", 0.5, "[fees]\nbroker_markup = 3.0\n");
    assert!(fails(&format!("compare {low} {dear}"), 2, "different_conditions").contains("fees.broker_markup"));
    let c = ok(&format!("compare {low} {dear} --allow-different"));
    assert_eq!(c["variants"][0]["condition_differences"][0]["key"], "fees.broker_markup");
    assert_eq!(c["verdict"], "worse", "{}", c["sentence"]);
    fails(&format!("compare {low} none"), 2, "file_unreadable");
    fails(&format!("compare {low} {high} --champion nobody"), 2, "unknown_champion");
    fails(&format!("compare {low} {high} --draws 5"), 2, "bad_option");
}

/// B-31
#[test]
fn a_batch_is_compared_as_a_family() {
    let spec = format!(
        "version = 1\nname = 'sweep'\nvariety = 'cu'\n[[lineups]]\nname = 'taker'\n[lineups.strategy]\nplugin = '{}'\n\
         [grid]\nstrategy.threshold = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95]\n",
        plugin("taker")
    );
    write(&DESK.path().join("sweep.toml"), spec);
    ok("batch plan sweep.toml --out sweep.manifest");
    // It tells of each job on its standard output, which is no document.
    let ran = Program::new(DESK.path())
        .run(&"batch run --manifest sweep.manifest --out sweep".split(' ').collect::<Vec<_>>());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let c = ok("compare --batch sweep --champion threshold=0.8 --html sweep.html --trials 50");
    assert_eq!((c["variants"].as_array().unwrap().len(), &c["family"]["trials"]), (5, &json!(50)));
    assert!(
        c["champion"]["params"]["strategy.threshold"] == json!(0.8) && c["varied"] == json!(["strategy.threshold"])
    );
    let share = |key: &str| c["family"][key].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&share("dsr")) && (0.0..=1.0).contains(&share("pbo")));
    let fewer = ok("compare --batch sweep --champion threshold=0.8");
    assert!(fewer["family"]["dsr"].as_f64().unwrap() >= share("dsr"));
    for v in c["variants"].as_array().unwrap() {
        let p = &v["against"]["pessimistic"];
        assert!(p["p_adjusted"].as_f64() >= p["p_value"].as_f64());
    }
    assert!(text("sweep.html").contains("threshold=0.95"));
    // Without a champion every variant has to beat an account that does nothing.
    let flat = ok("compare --batch sweep");
    assert_eq!((&flat["champion"]["label"], flat["variants"].as_array().unwrap().len()), (&json!("flat"), 6));

    // A result that is not what the batch wrote is told from one that is.
    let id = c["champion"]["id"].as_str().unwrap();
    let file = DESK.path().join("sweep/results").join(format!("{id}.json"));
    let whole = std::fs::read_to_string(&file).unwrap();
    write(&file, whole.replacen("\"pnl_cny\":", "\"pnl_cny\":1", 1));
    fails("compare --batch sweep", 2, "result_damaged");
    write(&file, whole);
    fails("compare --batch nowhere", 2, "no_results");
}

/// B-34
#[test]
fn a_gate_tells_every_rule() {
    let run = taker("gated", 0.8, "");
    let program = Program::new(DESK.path());
    let gate = |more: &[&str]| program.json(&[&["backtest", "gate", &run][..], more].concat());
    let (code, answer) = gate(&[]);
    assert_eq!((code, &answer["passed"], &answer["gate"]), (1, &json!(false), &json!("promote")));
    let rules = answer["rules"].as_array().unwrap();
    let failed = |key: &str| rules.iter().any(|r| r["key"] == key && r["passed"] == false);
    // Built-in fees have no checked source, and nobody has checked the run's parity.
    assert!(rules.len() >= 9 && failed("fees_confirmed") && failed("parity"), "{answer:#}");
    let stored: Value = serde_json::from_str(&text(&format!("{run}/gate-promote.json"))).unwrap();
    assert_eq!(stored, answer);
    assert_eq!(
        stored["result_digest"],
        serde_json::from_str::<Value>(&text(&format!("{run}/report.json"))).unwrap()["result_digest"]
    );
    write(&DESK.path().join("easy.toml"), "name = 'easy'\n[[rule]]\nkey = 'days'\nmin = 25\n");
    let (code, answer) = gate(&["--rules", "easy.toml"]);
    assert_eq!((code, &answer["rules"][0]["text"]), (0, &json!("days 25 ≥ 25")));
    write(&DESK.path().join("empty.toml"), "name = 'empty'\nrule = []\n");
    fails(&format!("backtest gate {run} --rules empty.toml"), 2, "bad_rules");
    fails("backtest gate nowhere", 2, "file_unreadable");
}

/// B-33
#[test]
fn a_walk_forward_trades_what_its_models_have_not_seen() {
    let spec = |table: &str| {
        format!(
            "version = 1\nname = 'walk'\nvariety = 'cu'\n[[lineup.features]]\nplugin = '{}'\n[lineup.strategy]\nplugin = '{}'\n\
             params = {{ threshold = 0.3 }}\n[walk_forward]\nlabel = '{}'\n{table}",
            plugin("core-factors"),
            plugin("score-threshold"),
            plugin("direction")
        )
    };
    let with = |name: &str, table: &str| write(&DESK.path().join(name), spec(table));
    with("walk.toml", "horizon_rows = 50\ntrain_days = 8\ngap_days = 1\ntest_days = 5\nmin_train_rows = 1000\n");
    let answer = ok("backtest walk-forward walk.toml --out runs/walk");
    let report: Value = serde_json::from_str(&text("runs/walk/report.json")).unwrap();
    let trading = &report["walk_forward"]["trading"];
    assert_eq!(&answer["walk_forward"], trading);
    let folds = trading["folds"].as_array().unwrap();
    assert_eq!(folds.len(), 3);
    let mut traded = Vec::new();
    for fold in folds {
        let day = |key: &str| fold[key].as_str().unwrap().to_owned();
        assert!(day("train_last_day") < day("test_first_day"), "{fold:#}");
        assert_eq!((&fold["purged_rows"], &fold["embargo_rows"]), (&json!(50), &json!(0)));
        assert_eq!(fold["out_of_sample"]["pessimistic"]["days"], 5);
        assert_eq!(fold["in_sample"]["pessimistic"]["days"], 8);
        traded.push((day("test_first_day"), day("test_last_day")));
    }
    assert!(traded.windows(2).all(|d| d[0].1 < d[1].0), "test parts overlap: {traded:?}");
    // One curve: the folds' days are the run's days, and their sums are its sum.
    let days = report["data"]["days"].as_array().unwrap();
    assert_eq!((days.len(), days[0].as_str(), days[14].as_str()), (15, Some(&*traded[0].0), Some(&*traded[2].1)));
    let pnl = |v: &Value| v["pessimistic"]["pnl_cny"].as_f64().unwrap();
    let sum: f64 = folds.iter().map(|f| pnl(&f["out_of_sample"])).sum();
    assert!((sum - report["fill_models"]["pessimistic"]["pnl_cny"].as_f64().unwrap()).abs() < 1e-6);
    assert!(
        (sum - trading["regimes"].as_array().unwrap().iter().map(|r| pnl(&r["out_of_sample"])).sum::<f64>()).abs()
            < 1e-6
    );
    let page = text("runs/walk/report.html");
    assert!(page.contains("id=\"walk-forward\"") && page.contains("fold 3") && !page.contains("http://"));
    // The stored specification makes it again, models and all; and no model scored a day that it was fitted on.
    assert_eq!(ok("backtest verify runs/walk")["equal"], true);
    assert_eq!(ok("backtest check runs/walk")["passed"], true);
    let (_, gate) = Program::new(DESK.path()).json(&["backtest", "gate", "runs/walk"]);
    let rules = gate["rules"].as_array().unwrap();
    for key in ["out_of_sample", "parity", "look_ahead"] {
        assert!(rules.iter().any(|r| r["key"] == key && r["passed"] == true), "{key}: {gate:#}");
    }
    assert_eq!(
        ok("backtest walk-forward runs/walk/run.toml --out runs/walk-again")["output_digest"],
        report["output_digest"]
    );

    for (table, part) in [
        ("splits = 3\ntrain_days = 4\ntest_days = 2\n", "not by both"),
        ("train_days = 4\n", "walk_forward.test_days"),
        ("train_days = 4\ntest_days = 3\nstep_days = 2\n", "traded twice"),
        ("folds = 3\n", "walk_forward.folds"),
    ] {
        with("bad.toml", table);
        let what = fails("backtest walk-forward bad.toml --out runs/bad", 2, "bad_spec");
        assert!(what.contains(part), "{part} in {what}");
        assert!(!Path::new(&DESK.path().join("runs/bad")).exists());
    }
    write(&DESK.path().join("plain.toml"), spec("").split("[walk_forward]").next().unwrap());
    fails("backtest walk-forward plain.toml --out runs/bad", 2, "bad_spec");
}
