//! Whether stored days can be relied on: validation, coverage, field quality, and the page that shows them.

use ghtrader_tests::{Program, Ticks, artefacts, stored, write};
use serde_json::Value;

/// A market of six days with its main_l5.
fn market(program: &Program) {
    program.ok(&["data", "synth", "--var", "cu", "--days", "6", "--rows-per-day", "2000", "--seed", "5"]);
    program.ok(&["main", "schedule", "--var", "cu"]);
    program.ok(&["main", "build", "--var", "cu"]);
}

/// D-28, D-29, P-14: the verdict is an exit code, each day is worked out once, and a product's own limit is shown with its origin.
#[test]
fn a_validation_judges_once_and_by_the_products_own_limits() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    market(&program);
    // A thin market: silence over 30 s.
    let validate = ["data", "validate", "--var", "cu"];
    let (exit, first) = program.json(&validate);
    assert_eq!((exit, &first["state"]["reason_code"]), (1, &"gap_gt30_block".into()), "{first:#}");
    assert_eq!((&first["days_expected"], &first["days_reused"]), (&5.into(), &0.into()));
    let mut again = program.json(&validate).1;
    assert_eq!(again["days_reused"], 5);
    again["days_reused"] = 0.into();
    let reused = |v: &Value| v["days"].as_array().unwrap().iter().all(|d| d["reused"] == true);
    assert!(reused(&again));
    again["days"].as_array_mut().unwrap().iter_mut().for_each(|d| d["reused"] = false.into());
    assert_eq!(again, first, "what is kept says the same");

    let lenient = ["--set", "variety.cu.l5_validate.gap_block_gt30=1000000"];
    let (exit, judged) = program.json(&[&validate[..], &lenient].concat());
    assert_eq!((exit, &judged["days_reused"], &judged["policy"]["gap_block_gt30"]), (0, &5.into(), &1_000_000.into()));
    let profile = program.ok(&[&validate[..], &["--profile"], &lenient].concat());
    let limit = &profile["limits"]["l5_validate.gap_block_gt30"];
    assert_eq!((&limit["value"], &limit["origin"]), (&1_000_000.into(), &"--set".into()), "{profile:#}");
    assert_eq!(profile["limits"]["l5_validate.strict_ratio"]["origin"], "built-in");

    let nothing = program.ok(&[&validate[..], &["--incremental"]].concat());
    assert_eq!(nothing["state"]["reason_code"], "noop_up_to_date");
    let worst = program.json(&[&validate[..], &["--set", "l5_validate.report_max_days=2"]].concat()).1;
    assert_eq!((worst["days"].as_array().unwrap().len(), &worst["days_expected"]), (2, &5.into()));

    // Limits that contradict each other, and symbols that are none.
    let ratios = ["--set", "l5_validate.missing_half_info_ratio=0.5"];
    program.fails(&[&validate[..], &ratios].concat(), 2, "bad_settings");
    program.fails(&[&validate[..], &["--set", "variety.zn.l5_validate.strict_ratio=1"]].concat(), 2, "bad_settings");
    program.fails(&["data", "validate", "--symbol", "cu25"], 2, "bad_symbol");
    program.fails(&["data", "validate"], 2, "usage");
}

/// D-28, D-35: a product of which nothing is stored, a mistyped one above all, passes no gate.
#[test]
fn nothing_stored_is_no_quality() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let judged = |args: &[&str], reason: &str| {
        let (exit, found) = program.json(args);
        let state = &found["state"];
        assert_eq!(
            (exit, &state["overall"], &state["ok"], state["reason_code"].as_str()),
            (1, &"error".into(), &false.into(), Some(reason)),
            "{args:?}: {found:#}"
        );
    };
    for command in ["readiness", "validate"] {
        judged(&["data", command, "--var", "zz"], "days_missing");
    }
    program.fails(&["data", "gaps", "--var", "zz"], 1, "days_missing");
    judged(&["data", "validate", "--symbol", "SHFE.cu2509"], "days_missing");
    judged(&["data", "validate", "--var", "zz", "--incremental"], "days_missing");

    // Ticks alone are no main_l5.
    program.ok(&["data", "synth", "--var", "cu", "--days", "6", "--rows-per-day", "2000", "--seed", "5"]);
    judged(&["data", "readiness", "--var", "cu"], "l5_missing");
    judged(&["data", "validate", "--var", "cu"], "l5_missing");
    program.fails(&["data", "gaps", "--var", "cu"], 1, "l5_missing");
    judged(&["data", "readiness", "--var", "zz"], "days_missing");
    program.ok(&["main", "schedule", "--var", "cu"]);
    program.ok(&["main", "build", "--var", "cu"]);
    // Nor is a range outside the schedule.
    judged(&["data", "validate", "--var", "cu", "--from", "2030-01-02"], "days_missing");
    program.json(&["data", "validate", "--var", "cu"]);
    let (exit, nothing) = program.json(&["data", "validate", "--var", "cu", "--incremental"]);
    assert_eq!((exit, &nothing["state"]["reason_code"]), (0, &"noop_up_to_date".into()));
}

/// D-33, D-35: coverage and field quality come from facts kept with each day, and a page shows them; asking changes no byte
/// of what is stored.
#[test]
fn coverage_quality_and_the_page_say_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    program.fails(&["data", "report", "--var", "cu"], 2, "days_missing");
    market(&program);
    let covered = program.ok(&["data", "coverage", "--var", "cu"]);
    let symbols = covered["symbols"].as_array().unwrap();
    let main = symbols.iter().find(|s| s["symbol"] == "KQ.m@SHFE.cu").unwrap();
    assert_eq!(
        (&main["days_present"], &main["completeness"], &main["l5_share"]),
        (&5.into(), &1.0.into(), &1.0.into())
    );
    let quality = program.ok(&["data", "field-quality", "--var", "cu"]);
    let days = quality["days"].as_array().unwrap();
    assert_eq!(days.len(), 5);
    assert!(days.iter().all(|d| d["quality"]["crossed"]["count"] == 0 && d["clean_rows"] == d["rows"]), "{quality:#}");
    let kept = stored(dir.path());
    assert_eq!(program.ok(&["data", "coverage", "--var", "cu"]), covered);

    let page = |out: &str| {
        program.json(&["data", "report", "--var", "cu", "--out", out]);
        std::fs::read_to_string(dir.path().join(out)).unwrap()
    };
    let html = page("one.html");
    assert_eq!(html, page("two.html"), "equal data gives equal bytes");
    for part in ["coverage", "rolls", "gaps", "intervals", "quality"] {
        assert!(html.contains(&format!("<section id=\"{part}\">")), "{part}");
    }
    assert!(html.contains("SHFE.cu2508") && !html.contains("NaN"));
    let now = stored(dir.path());
    let changed: Vec<_> = kept.iter().filter(|(path, bytes)| now.get(*path) != Some(bytes)).collect();
    assert!(changed.is_empty(), "{changed:?}");
}

/// D-36: one job whose steps do what changed, say how it went, and stop only what needs them; two of it never run at once.
#[test]
fn an_update_is_one_job_that_can_be_run_again() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let offline = ["data", "update", "--offline"];
    program.fails(&offline, 2, "days_missing");
    program.ok(&["data", "synth", "--var", "cu", "--days", "6", "--rows-per-day", "2000", "--seed", "5"]);
    let steps = |body: &Value| -> Vec<(String, String)> {
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        body["varieties"][0]["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| (text(&s["name"]), text(&s["state"])))
            .collect()
    };
    let of = |body: &Value, name: &str| steps(body).into_iter().find(|(n, _)| n == name).unwrap().1;
    let plugin = artefacts().join("core-factors.wasm").display().to_string();
    let with_plugin = [&offline[..], &["--plugin", &plugin]].concat();
    // A thin market: the validation finds silence, which stops nothing but is told.
    let (exit, first) = program.json(&with_plugin);
    assert_eq!(exit, 1, "{first:#}");
    let expected = [
        ("download", "skipped"),
        ("schedule", "done"),
        ("main_l5", "done"),
        ("validation", "negative"),
        ("coverage", "done"),
        ("features", "done"),
        ("page", "done"),
    ];
    assert_eq!(steps(&first), expected.map(|(n, s)| (n.to_owned(), s.to_owned())));
    let kept = stored(dir.path());
    let (_, again) = program.json(&with_plugin);
    assert_eq!(again["varieties"][0]["steps"][1]["report"]["outcome"], "unchanged");
    assert_eq!(again["varieties"][0]["steps"][2]["report"]["built_days"], 0);
    assert_eq!(again["varieties"][0]["steps"][5]["report"]["plugins"][0]["built_days"], 0);
    assert_eq!(stored(dir.path()), kept);
    let record = std::fs::read(dir.path().join("runs/update/cu.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(steps(&serde_json::json!({ "varieties": [record["update"]] })), steps(&again));

    // A plugin that is none stops its own step and no other; the exit code is its class's.
    let (exit, bad) = program.json(&[&offline[..], &["--plugin", "none.wasm"]].concat());
    assert_eq!((exit, of(&bad, "features").as_str(), of(&bad, "page").as_str()), (2, "failed", "done"), "{bad:#}");
    // A schedule that cannot be made stops what is made from it; what is stored is still looked at.
    let (exit, bad) = program.json(&["data", "update", "--offline", "--var", "au"]);
    assert_eq!(
        (exit, of(&bad, "schedule").as_str(), of(&bad, "main_l5").as_str()),
        (2, "failed", "stopped"),
        "{bad:#}"
    );
    assert_eq!((of(&bad, "coverage").as_str(), of(&bad, "page").as_str()), ("done", "stopped"));
    // No login is given.
    let (exit, bad) = program.json(&["data", "update", "--to", "2025-07-09"]);
    assert_eq!((exit, of(&bad, "download").as_str(), of(&bad, "page").as_str()), (2, "failed", "done"), "{bad:#}");
    assert!(bad.to_string().contains("source_auth"));

    let held = ghtrader_durable::lock(&dir.path().join("runs/update/lock")).unwrap();
    program.fails(&offline, 4, "update_running");
    drop(held);
    assert_eq!(program.json(&offline).0, 1);
}

/// D-34: all that a file lacks is told at once, and nothing is stored.
#[test]
fn a_file_is_checked_before_it_is_imported() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    Ticks::new("SHFE.cu2509", 300).write(dir.path());
    let (exit, good) = program.json(&["data", "check", "SHFE.cu2509.csv"]);
    assert_eq!((exit, &good["ok"], &good["rows"]), (0, &true.into(), &300.into()), "{good:#}");
    write(&dir.path().join("bad.csv"), "datetime_nano,last_price,bid_price1,note\n1,nan,1,x\n2,nan,1,y\n3,5,1,z\n");
    let (exit, bad) = program.json(&["data", "check", "bad.csv"]);
    let codes: Vec<&str> = bad["violations"].as_array().unwrap().iter().map(|v| v["code"].as_str().unwrap()).collect();
    assert_eq!(exit, 1);
    // Last price, and what the file does not have at all: best ask, volume, open interest.
    let core = "core_null_rate_exceeded";
    assert_eq!(codes, ["rows_below_minimum", "missing_columns", core, core, core, core, "l5_null_rate_exceeded"]);
    assert_eq!(bad["missing_columns"].as_array().unwrap().len(), 25);
    program.fails(&["data", "check", "none.csv"], 2, "unreadable_file");
    assert!(stored(dir.path()).is_empty());
}
