//! The whole way from nothing to a report that can be proved again, command by command and by `demo`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ghtrader_tests::{Program, artefacts, shared, stored, write};
use serde_json::{Value, json};
use std::path::Path;

fn plugin(name: &str) -> String {
    artefacts().join(format!("{name}.wasm")).display().to_string()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// P-03, D-12, D-19, D-21, D-23, D-24, F-22, P-33, P-34, M-11, B-01, B-18, P-22
#[test]
fn command_by_command() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let ok = |line: &str| program.ok(&line.split(' ').collect::<Vec<_>>());
    let fails = |line: &str, exit: i32, code: &str| program.fails(&line.split(' ').collect::<Vec<_>>(), exit, code);
    let (features, label, strategy) = (plugin("core-factors"), plugin("direction"), plugin("score-threshold"));
    ok("init .");
    fails("init .", 4, "exists");
    fails("main build --var cu", 2, "schedule_missing");

    let market = ok("data synth --var cu --days 6 --rows-per-day 2000 --signal 1 --seed 3");
    assert!(market["bounds"][0]["auc_up_vs_down"].as_f64().unwrap() > 0.6, "{market:#}");
    let ticks = stored(dir.path());
    assert_eq!(ok("data synth --var cu --days 6 --rows-per-day 2000 --signal 1 --seed 3"), market);
    assert!(stored(dir.path()) == ticks, "the same seed gave other bytes");

    let schedule = ok("main schedule --var cu");
    assert_eq!((&schedule["outcome"], &schedule["rows"]), (&json!("stored"), &json!(5)));
    assert_eq!(ok("main schedule --var cu")["outcome"], "unchanged");
    let built = ok("main build --var cu");
    assert_eq!((&built["built_days"], &built["covered_days"]), (&json!(5), &json!(5)));
    let again = ok("main build --var cu");
    assert_eq!((&again["built_days"], &again["unchanged_days"]), (&json!(0), &json!(5)));
    let full = ok("main build --var cu --full --workers 1");
    assert_eq!((&full["dataset_digest"], &full["built_days"]), (&built["dataset_digest"], &json!(5)));

    for line in
        [format!("feature build --var cu --plugin {features}"), format!("label build --var cu --plugin {label}")]
    {
        let first = ok(&line);
        assert_eq!(
            (&first["built_days"], &first["reused_days"], &first["rows"]),
            (&json!(5), &json!(0), &built["rows"])
        );
        let second = ok(&line);
        assert_eq!((&second["built_days"], &second["reused_days"]), (&json!(0), &json!(5)), "{line}");
        assert_eq!(second["dataset_digest"], first["dataset_digest"]);
        let other = ok(&format!("{line} --full --set build.block_rows=512 --set build.workers=1"));
        assert_eq!((&other["built_days"], &other["dataset_digest"]), (&json!(5), &first["dataset_digest"]));
    }
    fails(&format!("label build --var cu --plugin {features}"), 2, "wrong_role");

    let train = format!(
        "train run logistic --var cu --features {features} --label {label} --set train.splits=2 --set train.min_rows=1000 --out"
    );
    let model = ok(&format!("{train} model"));
    assert_eq!(model["walk_forward"]["folds"].as_array().unwrap().len(), 2);
    assert_eq!(ok(&format!("{train} again"))["digest"], model["digest"], "the same rows gave another model");

    let model_dir = model["model"].as_str().unwrap();
    write(
        &dir.path().join("run.toml"),
        format!(
            "version = 1\nname = 'x'\nvariety = 'cu'\n[[lineup.features]]\nplugin = '{features}'\n[lineup.model]\n\
             artifact = '{model_dir}'\n[lineup.strategy]\nplugin = '{strategy}'\nparams = {{ threshold = 0.3 }}\n"
        ),
    );
    let run = ok("backtest run run.toml --out runs/x");
    let report = dir.path().join("runs/x/report.json");
    let (bytes, page) = (text(&report), text(&dir.path().join("runs/x/report.html")));
    assert_eq!(ok("backtest run run.toml --out runs/x"), run);
    assert!(text(&report) == bytes && text(&dir.path().join("runs/x/report.html")) == page, "other bytes");
    fails("backtest run run.toml --out runs/x --with latency.feed_us=90000", 4, "exists");
    assert!(text(&report) == bytes, "a conflict changed the result");
    ok("backtest run run.toml --out runs/y --set build.block_rows=512");
    assert!(text(&dir.path().join("runs/y/report.json")) == bytes, "the block size changed the result");

    assert_eq!(ok("backtest verify runs/x")["equal"], true);
    let fees = ok("backtest show runs/x")["fill_models"]["central"]["fees_cny"].to_string();
    assert_ne!(fees, "0.0", "a run without a fill proves nothing");
    write(&report, bytes.replacen(&format!("\"fees_cny\": {fees}"), "\"fees_cny\": 1.0", 1));
    let (exit, found) = program.json(&["backtest", "verify", "runs/x"]);
    assert_eq!((exit, &found["equal"]), (1, &json!(false)), "{found:#}");
    assert!(found["differences"][0].as_str().unwrap().contains("fees_cny: stored 1.0"), "{found:#}");
    ok("backtest run run.toml --out runs/x --replace");
    assert_eq!(text(&report), bytes);
    assert_eq!(ok("data verify --deep")["bad"], json!([]));
}

/// P-19, F-02
#[test]
fn an_evaluation_does_not_depend_on_the_block() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let synth = ["data", "synth", "--var", "cu", "--days", "2", "--rows-per-day", "3000", "--out", "csv"];
    program.ok(&synth);
    let files = ghtrader_tests::tree(&dir.path().join("csv"));
    let (name, _) = files.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let input = dir.path().join("csv").join(name).display().to_string();
    for name in ["core-factors", "direction"] {
        let artefact = plugin(name);
        let eval = |block: &str| {
            let args = ["plugin", "eval", &artefact, "--input", &input, "--output", "out.csv", "--block", block];
            let answer = program.ok(&args);
            assert!(answer["rows"].as_u64().unwrap() > 2_000, "{answer:#}");
            (answer["output_digest"].clone(), text(&dir.path().join("out.csv")))
        };
        let whole = eval("4096");
        assert!(whole.1.starts_with("datetime_ns,") && whole.1.lines().count() > 2_000);
        for block in ["1", "7"] {
            assert!(eval(block) == whole, "{name} in blocks of {block}");
        }
    }
}

fn demo(program: &Program, out: &str, more: &[&str]) -> (Value, String, String) {
    let artefacts = artefacts().display().to_string();
    let args = ["demo", "--plugins", &artefacts, "--out", out];
    let answer = program.ok(&args.iter().chain(more).copied().collect::<Vec<_>>());
    let read = |key: &str| text(&program.dir().join(answer[key].as_str().unwrap()));
    let (json, html) = (read("report_json"), read("report_html"));
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["output_digest"], answer["output_digest"]);
    (report, json, html)
}

/// What a reader of `report.json` may count on.
fn has_the_keys(report: &Value) {
    for digest in ["result_digest", "output_digest"] {
        assert_eq!(report[digest].as_str().map(str::len), Some(64), "{digest}");
    }
    for strategy in ["taker", "maker", "score-threshold"] {
        for model in ["pessimistic", "central", "optimistic"] {
            let figures = &report["strategies"][strategy]["fill_models"][model];
            for key in ["orders", "fills"] {
                assert!(figures[key].is_u64(), "{strategy} {model} {key}: {}", figures[key]);
            }
            for key in ["pnl_cny", "fees_cny", "max_drawdown_cny"] {
                assert!(figures[key].is_f64(), "{strategy} {model} {key}: {}", figures[key]);
            }
            let sharpe = figures.get("sharpe");
            assert!(sharpe.is_some_and(|s| s.is_f64() || s.is_null()), "{strategy} {model}: {sharpe:?}");
        }
    }
}

/// B-20: nothing is loaded from elsewhere.
fn stands_alone(html: &str) {
    for outside in ["http://", "https://", "src=\"", "@import", "url("] {
        assert!(!html.contains(outside), "the page holds {outside}");
    }
    assert!(html.starts_with("<!doctype html>") || html.starts_with("<!DOCTYPE html>"));
}

/// P-02, B-17, F-24
#[test]
fn the_demo_gives_the_same_bytes_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let days = ["--days", "5"];
    let first = demo(&program, "a", &days);
    has_the_keys(&first.0);
    stands_alone(&first.2);
    let fills = |model: &str| first.0["strategies"]["maker"]["fill_models"][model]["fills"].as_u64().unwrap();
    assert!(fills("pessimistic") < fills("optimistic"), "the bracket has no width");
    assert!(demo(&program, "a", &days) == first, "in the same folder, with everything built");
    for set in ["build.block_rows=512", "build.workers=1"] {
        let (report, ..) = demo(&program, set, &["--days", "5", "--set", set]);
        for digest in ["result_digest", "output_digest"] {
            assert_eq!(report[digest], first.0[digest], "{set}");
        }
    }
    let (other, ..) = demo(&program, "a", &["--days", "5", "--seed", "2"]);
    assert_ne!(other["result_digest"], first.0["result_digest"], "another seed is another result");
}

/// P-02: real ticks of five levels, and a clear word where there is one level only.
#[test]
fn the_demo_takes_real_ticks() {
    let Some(data) = shared("data") else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let file = data.join("tqsdk/SHFE.ad2511.csv").display().to_string();
    let (report, _, html) = demo(&program, "real", &["--ticks", &file]);
    has_the_keys(&report);
    stands_alone(&html);
    let thin = data.join("tqsdk/DCE.bb2511.csv").display().to_string();
    let artefacts = artefacts().display().to_string();
    let said = program.fails(&["demo", "--plugins", &artefacts, "--ticks", &thin, "--out", "thin"], 2, "l5_missing");
    assert!(said.contains("DCE.bb"), "{said}");
    assert!(!dir.path().join("thin/report.html").exists());
}
