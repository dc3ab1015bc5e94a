//! How the program talks: one document, exit codes, helpful errors, settings with their origin.

use ghtrader_tests::{Program, Ticks, artefacts, write};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

/// P-04: every command, whether it succeeds or not, prints exactly one document that names its schema.
#[test]
fn every_command_prints_one_document() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    Ticks::new("SHFE.cu2509", 300).write(dir.path());
    let artefacts = artefacts().display().to_string();
    let lines = [
        "init desk",
        "doctor",
        "config show",
        "config show --origin",
        "config check",
        "config env",
        "completions zsh",
        "data schema",
        "data contract SHFE.cu2509 --on 2025-07-18",
        "data calendar 2025-01-24 2025-02-06",
        "data sessions --var cu --day 2025-07-18",
        "data import SHFE.cu2509.csv",
        "data synth --var au --days 4 --rows-per-day 1000",
        "data list",
        "data show SHFE.cu2509 2025-07-18",
        "data report SHFE.cu2509 2025-07-18",
        "data verify --deep",
        "main schedule --var au",
        "main build --var au",
        "main show --var au",
        "plugin check ARTEFACTS/core-factors.wasm",
        "plugin eval ARTEFACTS/core-factors.wasm --input SHFE.cu2509.csv --output out.csv",
        "feature build --var au --plugin ARTEFACTS/core-factors.wasm",
        "features build --var au --plugin ARTEFACTS/core-factors.wasm",
        "label build --var au --plugin ARTEFACTS/direction.wasm",
        "plugin new label my-label",
        "plugin keys my.key --new",
        "plugin sign my.key --key my.key",
        "audit list",
        "audit verify",
    ];
    for line in lines {
        let line = line.replace("ARTEFACTS", &artefacts);
        let answer = program.ok(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(answer["schema_version"], 1, "{line}");
    }
    for (line, exit) in [
        ("data show SHFE.cu2509 2025-07-17", 2),
        ("data import none.csv", 2),
        ("plugin check SHFE.cu2509.csv", 1),
        ("plugin pack none.wasm --manifest none.toml --out x.wasm", 2),
        ("train run logistic --var cu --features none --label none --out m", 2),
        ("backtest run none.toml --out r", 2),
        ("backtest verify none", 2),
        ("backtest show none", 2),
        ("backtest gate none", 2),
        ("backtest walk-forward none.toml --out r", 2),
        ("compare none none", 2),
        ("compare --batch none", 2),
        ("backtest check none", 2),
        ("demo --plugins none --ticks none.csv", 2),
        ("plugin new strategy Bad_Name", 2),
        ("plugin build", 2),
        ("plugin list", 6),
        ("lineup status", 6),
        ("audit show 1", 2),
        ("nonsense", 2),
        ("", 2),
    ] {
        let (code, answer) = program.json(&line.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>());
        assert_eq!((code, &answer["schema_version"]), (exit, &json!(1)), "{line}: {answer:#}");
    }
}

/// P-04, D-27: a build that lacks days says what it built and why that is not enough, in one document.
#[test]
fn an_unhealthy_build_prints_one_document() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    Ticks::new("SHFE.cu2509", 300).write(dir.path());
    program.ok(&["data", "import", "SHFE.cu2509.csv"]);
    program.ok(&["data", "synth", "--var", "cu", "--days", "4", "--rows-per-day", "1000"]);
    program.ok(&["main", "schedule", "--var", "cu"]);
    let said = program.fails(&["main", "build", "--var", "cu"], 1, "days_missing");
    assert!(said.contains("10 of 13 days were never imported"), "{said}");
    let (_, again) = program.json(&["main", "build", "--var", "cu"]);
    assert_eq!((&again["unchanged_days"], &again["engineering_missing"]), (&json!(3), &json!(10)));
}

/// P-04: results go to stdout, everything else to stderr; without a terminal nothing moves.
#[test]
fn text_for_people_stays_plain_without_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let output = program.run(&["data", "synth", "--var", "cu", "--days", "2", "--rows-per-day", "1000"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stdout.contains(&0x1b) && String::from_utf8_lossy(&output.stdout).contains("SHFE.cu"));
    let output = program.run(&["data", "show", "SHFE.cu2509", "2020-01-03"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.stdout.is_empty() && said.starts_with("error[days_missing]: ") && said.contains("\nhelp: "),
        "{said}"
    );
}

/// P-06
#[test]
fn progress_for_machines_is_json_lines() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let output =
        program.run(&["data", "synth", "--var", "cu", "--days", "2", "--rows-per-day", "1000", "--progress", "json"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<Value> = said.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((&last["done"], &last["unit"]), (&last["total"], &json!("days")), "{said}");
}

/// P-05
#[test]
fn exit_codes_follow_the_class() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    Ticks::new("SHFE.cu2509", 50).write(dir.path());
    write(&dir.path().join("file"), "");
    let code = |args: &[&str]| program.run(args).status.code();
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["--version"]), Some(0));
    assert_eq!(code(&["plugin", "check", "SHFE.cu2509.csv"]), Some(1));
    assert_eq!(code(&["data"]), Some(2));
    let eval = ["plugin", "eval", "SHFE.cu2509.csv", "--input", "SHFE.cu2509.csv", "--output", "o.csv"];
    assert_eq!(code(&eval), Some(3));
    assert_eq!(code(&["init", "desk"]), Some(0));
    assert_eq!(code(&["init", "desk"]), Some(4));
    assert_eq!(code(&["data", "list", "--set", "data_dir=file/data"]), Some(6));
}

/// P-08
#[test]
fn misspelt_flags_and_keys_get_the_nearest_name() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let said = program.fails(&["data", "synth", "--varr", "cu", "--days", "3"], 2, "usage");
    assert!(said.contains("'--varr'") && said.contains("'--var'"), "{said}");
    let said = program.fails(&["dato", "list"], 2, "usage");
    assert!(said.contains("'data'"), "{said}");
    let said = program.fails(&["config", "check", "--set", "build.workes=1"], 2, "bad_settings");
    assert!(said.contains("build.workes = 1") && said.contains("`build.workers`"), "{said}");
    let said = program.fails(&["data", "synth", "--var", "cu", "--days", "3000"], 2, "usage");
    assert!(said.contains("3000") && said.contains("1..=2500"), "{said}");
}

/// P-09: faults of file, environment and flags, all at once.
#[test]
fn four_faults_are_four_findings() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    write(&dir.path().join("ghtrader.toml"), "[build]\nblock_rows = 1\nworkes = 2\n");
    let mut command = program.command(&["config", "check", "--set", "train.splits=many", "--json"]);
    let output = command.env("GHTRADER_BUILD_THRESHOLD_K", "-4").output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = &answer["error"];
    assert_eq!((output.status.code(), &error["code"]), (Some(2), &json!("bad_settings")), "{answer:#}");
    let said = error["what"].as_str().unwrap();
    assert!(said.starts_with("4 things are wrong"), "{said}");
    for part in [
        "ghtrader.toml: build.block_rows = 1",
        "[512, 65536]",
        "build.workes",
        "`build.workers`",
        "train.splits",
        "many",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(said.contains("GHTRADER_BUILD_THRESHOLD_K") && said.contains("-4"), "{said}");
}

/// P-10, P-11, P-12
#[test]
fn settings_name_their_origin() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    write(&dir.path().join("ghtrader.toml"), "[build]\nblock_rows = 1024\n[schedule]\nmin_days_to_expiry = 0\n");
    let mut command = program.command(&["config", "show", "--origin", "--set", "train.splits=4", "--json"]);
    let output = command.env("GHTRADER_BACKTEST_FEED_US", "0").output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |key: &str| (answer["settings"][key]["value"].clone(), answer["settings"][key]["origin"].clone());
    assert_eq!(of("schedule.min_days_to_expiry").0, json!(0));
    assert!(of("build.block_rows").1.as_str().unwrap().ends_with("ghtrader.toml"));
    assert_eq!(of("backtest.feed_us"), (json!(0), json!("GHTRADER_BACKTEST_FEED_US")));
    assert_eq!(of("train.splits"), (json!(4), json!("--set")));
    assert_eq!(of("build.workers").1, "built-in");
    // Those of single products are shown where they are set.
    let variables = program.ok(&["config", "env"])["variables"].as_array().unwrap().to_vec();
    let general = variables.iter().filter(|v| !v["key"].as_str().unwrap().starts_with("variety.")).count();
    assert_eq!(general, answer["settings"].as_object().unwrap().len());
    assert!(variables.iter().any(|v| v["variable"] == "GHTRADER_VARIETY_CU_L5_VALIDATE_GAP_THRESHOLD_S"));
}

/// P-03: every default stands in the file as a comment, and taking the comments away changes nothing.
#[test]
fn the_commented_file_holds_the_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let bare = program.ok(&["config", "show"]);
    program.ok(&["init", "."]);
    assert_eq!(program.ok(&["config", "show"])["digest"], bare["digest"]);
    let file = dir.path().join("ghtrader.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let is_setting = |l: &str| {
        l.split_once(" = ")
            .is_some_and(|(k, _)| k.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()))
    };
    let bared: String = text
        .lines()
        .map(|l| l.strip_prefix('#').filter(|rest| is_setting(rest)).unwrap_or(l).to_owned() + "\n")
        .collect();
    assert_ne!(bared, text, "no default is commented");
    write(&file, bared);
    assert_eq!(program.ok(&["config", "check"])["digest"], bare["digest"]);
}

/// P-43
#[test]
fn completions_are_lawful_bash() {
    let dir = tempfile::tempdir().unwrap();
    let script = Program::new(dir.path()).run(&["completions", "bash"]).stdout;
    assert!(String::from_utf8_lossy(&script).contains("--rows-per-day"));
    let Ok(mut bash) = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn() else {
        eprintln!("skipped: bash not found");
        return;
    };
    bash.stdin.take().unwrap().write_all(&script).unwrap();
    assert!(bash.wait().unwrap().success());
    // A reader that has seen enough is no failure.
    let mut closed = Program::new(dir.path()).command(&["completions", "bash"]);
    let mut child = closed.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// P-39
#[test]
fn the_doctor_finds_this_machine_ready() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let answer = program.ok(&["doctor"]);
    assert_eq!(answer["ok"], true, "{answer:#}");
    let names: Vec<&str> = answer["checks"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    for name in ["rustc", "guest target", "plugin engine", "memory", "settings", "store", "calendar"] {
        assert!(names.contains(&name), "{name} is not checked");
    }
    // Bad settings are a finding with a remedy, and no reason to stop looking.
    write(&dir.path().join("ghtrader.toml"), "[build]\nworkes = 2\n");
    let (exit, answer) = program.json(&["doctor"]);
    let bad = answer["checks"].as_array().unwrap().iter().find(|c| c["name"] == "settings").unwrap();
    assert_eq!((exit, &bad["state"]), (1, &json!("missing")), "{answer:#}");
    assert!(bad["found"].as_str().unwrap().contains("build.workes") && !bad["remedy"].as_str().unwrap().is_empty());
}
