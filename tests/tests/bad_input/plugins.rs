//! Plugins that break the rules, through `plugin pack`, `check` and `eval`.

use crate::{Desk, write};
use ghtrader_tests::{Ticks, artefacts};
use serde_json::Value;

pub(crate) const MANIFEST: &str = r#"
[plugin]
name = "echo"
role = "feature"
version = "0.1.0"
description = "Returns its input."
contract = "0.1.0"
inputs = ["last_price"]
warmup_rows = 0

[[output]]
name = "echo"
unit = "CNY"

[limits]
memory_mib = 16
live_call_cpu_ms = 5
block_call_cpu_ms = 200
output_mib = 1
"#;

/// A feature of one input and one output whose `compute` is WAT; by default it returns its rows.
pub(crate) struct Guest<'a> {
    compute: &'a str,
}

impl Default for Guest<'_> {
    fn default() -> Self {
        Self { compute: "(call $answer (local.get $rows) (local.get $words))" }
    }
}

impl Guest<'_> {
    /// The core module, with the metadata of its world.
    fn module(&self) -> Vec<u8> {
        let text = format!(
            r#"(module
  (import "ghtrader:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  ;; `ok(description)` at 0: inputs at 32, outputs at 40, no warm-up.
  (data (i32.const 4) "\20\00\00\00\01\00\00\00\28\00\00\00\01\00\00\00\00\00\00\00")
  (data (i32.const 32) "\40\00\00\00\0a\00\00\00\50\00\00\00\04\00\00\00\54\00\00\00\03\00\00\00")
  (data (i32.const 64) "last_price")
  (data (i32.const 80) "echoCNY")
  (data (i32.const 128) "panicked at src/lib.rs:7:9: planted")
  (global $next (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
      (then (drop (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 19)))))))
    (local.get $at))
  ;; ok(list) at 256; frees what was allocated for the call.
  (func $answer (param $at i32) (param $len i32) (result i32)
    (i32.store (i32.const 256) (i32.const 0))
    (i32.store (i32.const 260) (local.get $at))
    (i32.store (i32.const 264) (local.get $len))
    (global.set $next (i32.const 4096))
    (i32.const 256))
  (func (export "ghtrader:plugin/feature@0.1.0#init") (param i32 i32 i32 i32 f64 f64) (result i32) (i32.const 0))
  (func (export "ghtrader:plugin/feature@0.1.0#boundary") (param i32))
  (func (export "ghtrader:plugin/feature@0.1.0#compute") (param $rows i32) (param $words i32) (result i32)
    {}))"#,
            self.compute
        );
        let mut module = wat::parse_str(text).unwrap();
        let mut resolve = wit_parser::Resolve::new();
        let (package, _) = resolve.push_dir(ghtrader_tests::root().join("wit/v0.1.0")).unwrap();
        let world = resolve.select_world(&[package], Some("feature-plugin")).unwrap();
        let encoding = wit_component::StringEncoding::UTF8;
        wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
        module
    }

    /// The artefact as `plugin pack` makes it.
    pub(crate) fn artefact(&self, desk: &Desk) -> Vec<u8> {
        self.with_manifest(desk, MANIFEST)
    }

    pub(crate) fn with_manifest(&self, desk: &Desk, manifest: &str) -> Vec<u8> {
        write(&desk.path("guest/module.wasm"), self.module());
        write(&desk.path("guest/plugin.toml"), manifest);
        desk.program.ok(&[
            "plugin",
            "pack",
            "guest/module.wasm",
            "--manifest",
            "guest/plugin.toml",
            "--out",
            "guest/packed.wasm",
        ]);
        std::fs::read(desk.path("guest/packed.wasm")).unwrap()
    }
}

fn eval(desk: &Desk, artefact: &str, more: &[&str]) -> (i32, Value) {
    Ticks::new("SHFE.cu2509", 300).write(desk.dir.path());
    let args = ["plugin", "eval", artefact, "--input", "SHFE.cu2509.csv", "--output", "out.csv"];
    desk.program.json(&args.iter().chain(more).copied().collect::<Vec<_>>())
}

/// Evaluates a guest that must fail with exit code 3; gives the message.
#[track_caller]
fn faults(compute: &str, code: &str) -> String {
    let desk = Desk::empty();
    write(&desk.path("bad.wasm"), Guest { compute }.artefact(&desk));
    let (exit, checked) = desk.program.json(&["plugin", "check", "bad.wasm"]);
    assert_eq!((exit, &checked["admitted"]), (1, &false.into()), "admission runs it and sees: {checked:#}");
    let (exit, answer) = eval(&desk, "bad.wasm", &["--block", "100"]);
    let error = &answer["error"];
    assert_eq!((exit, &error["code"]), (3, &code.into()), "{answer:#}");
    assert!(error["remedy"].as_str().is_some_and(|r| !r.is_empty()), "{answer:#}");
    assert!(!desk.path("out.csv").exists(), "a fault left output behind");
    error["what"].as_str().unwrap().to_owned()
}

/// P-19
#[test]
fn an_honest_guest_is_evaluated() {
    let desk = Desk::empty();
    write(&desk.path("echo.wasm"), Guest::default().artefact(&desk));
    let (exit, answer) = eval(&desk, "echo.wasm", &[]);
    assert_eq!((exit, &answer["rows"], &answer["outputs"]), (0, &300.into(), &serde_json::json!(["echo"])));
    let lines: Vec<String> = crate::text(&desk.path("out.csv")).lines().map(str::to_owned).collect();
    assert_eq!(lines[..3], ["datetime_ns,echo", "1752800400000000000,78000", "1752800400500000000,78010"]);
}

/// P-28
#[test]
fn traps() {
    let said = faults("(call $log (i32.const 2) (i32.const 128) (i32.const 35)) unreachable", "plugin_trapped");
    assert!(said.contains("src/lib.rs:7:9: planted") && said.contains("rows 0..100"), "{said}");
}

#[test]
fn loops_for_ever() {
    let said = faults("(loop (br 0)) unreachable", "plugin_deadline");
    assert!(said.contains("200 ms"), "{said}");
}

#[test]
fn asks_for_four_gib() {
    let grow = "(drop (memory.grow (i32.const 65535))) (call $answer (local.get $rows) (local.get $words))";
    let said = faults(grow, "plugin_memory");
    assert!(said.contains("4294967296 bytes") && said.contains("16777216"), "{said}");
}

#[test]
fn the_wrong_number_of_values() {
    let said = faults("(call $answer (local.get $rows) (i32.const 99))", "plugin_contract");
    assert!(said.contains("99 values"), "{said}");
}

/// F-33, B-21: a build names the days that a fault cost, a run stops; neither leaves anything behind.
#[test]
fn faults_in_builds_and_runs() {
    let desk = Desk::empty();
    desk.program.ok(&["data", "synth", "--var", "cu", "--days", "3", "--rows-per-day", "1000"]);
    desk.program.ok(&["main", "schedule", "--var", "cu"]);
    desk.program.ok(&["main", "build", "--var", "cu"]);
    write(&desk.path("bad.wasm"), Guest { compute: "unreachable" }.artefact(&desk));
    let before = ghtrader_tests::stored(desk.dir.path());
    let (exit, answer) = desk.program.json(&["feature", "build", "--var", "cu", "--plugin", "bad.wasm"]);
    let failed = answer["failed"].as_array().unwrap();
    assert_eq!((exit, failed.len(), &answer["built_days"]), (3, 2, &0.into()), "{answer:#}");
    assert!(failed.iter().all(|f| f["message"].as_str().unwrap().contains("at row")), "{answer:#}");
    let strategy = artefacts().join("taker.wasm").display().to_string();
    let spec = format!(
        "version = 1\nname = 'x'\nvariety = 'cu'\n[[lineup.features]]\nplugin = 'bad.wasm'\n\
         [lineup.strategy]\nplugin = '{strategy}'\n"
    );
    write(&desk.path("run.toml"), spec);
    let said = desk.program.fails(&["backtest", "run", "run.toml", "--out", "runs/x"], 3, "plugin_trapped");
    assert!(said.contains("2025-07-02") && said.contains("at row 0"), "{said}");
    assert!(!desk.path("runs/x").exists());
    assert!(ghtrader_tests::stored(desk.dir.path()) == before, "a fault left columns behind");
}

/// A megabyte of log lines does no harm: the output is that of a quiet plugin, and the log is cut.
#[test]
fn prints_a_megabyte() {
    let desk = Desk::empty();
    let flood = "(local $n i32)
        (loop (call $log (i32.const 1) (i32.const 8192) (i32.const 57344))
          (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 19))))
        (call $answer (local.get $rows) (local.get $words))";
    write(&desk.path("loud.wasm"), Guest { compute: flood }.artefact(&desk));
    write(&desk.path("quiet.wasm"), Guest::default().artefact(&desk));
    let (exit, loud) = eval(&desk, "loud.wasm", &[]);
    assert_eq!(exit, 0, "{loud:#}");
    let (_, quiet) = eval(&desk, "quiet.wasm", &[]);
    assert_eq!(loud["output_digest"], quiet["output_digest"]);
    let args = ["plugin", "eval", "loud.wasm", "--input", "SHFE.cu2509.csv", "--output", "out.csv"];
    let said = desk.program.run(&args);
    assert!(said.stdout.len() + said.stderr.len() < 200_000, "{} bytes", said.stderr.len());
}

/// P-27: every finding of an artefact at once.
#[test]
fn what_is_no_component_is_not_admitted() {
    let desk = Desk::empty();
    write(&desk.path("ticks.wasm"), Ticks::new("SHFE.cu2509", 3).text());
    write(&desk.path("core.wasm"), Guest::default().module());
    for (file, shown) in [("ticks.wasm", "64 61 74 65"), ("core.wasm", "")] {
        let (exit, answer) = desk.program.json(&["plugin", "check", file]);
        let finding = &answer["findings"][0];
        assert_eq!((exit, &answer["admitted"], &finding["code"]), (1, &false.into(), &"not_a_component".into()));
        assert!(finding["what"].as_str().unwrap().contains(shown), "{answer:#}");
        let (exit, answer) = eval(&desk, file, &[]);
        assert_eq!((exit, &answer["error"]["code"]), (3, &"not_a_component".into()), "{answer:#}");
        assert!(!desk.path("out.csv").exists());
    }
    let mut cut = std::fs::read(artefacts().join("direction.wasm")).unwrap();
    cut.truncate(cut.len() / 2);
    write(&desk.path("cut.wasm"), cut);
    let (exit, answer) = desk.program.json(&["plugin", "check", "cut.wasm"]);
    assert!(exit == 1 && answer["findings"][0]["code"].is_string(), "{answer:#}");
}

/// P-27
#[test]
fn a_column_that_does_not_exist() {
    let desk = Desk::empty();
    write(&desk.path("module.wasm"), Guest::default().module());
    let wrong = MANIFEST.replace("\"last_price\"", "\"last_prise\"").replace("memory_mib = 16", "memory_mib = 100000");
    write(&desk.path("plugin.toml"), wrong);
    let pack = ["plugin", "pack", "module.wasm", "--manifest", "plugin.toml", "--out", "packed.wasm"];
    let (exit, answer) = desk.program.json(&pack);
    let said = answer["error"]["what"].as_str().unwrap();
    assert!([2, 3].contains(&exit) && said.contains("last_prise"), "{answer:#}");
    assert!(answer["error"]["remedy"].as_str().unwrap().contains("last_price"), "{answer:#}");
    assert!(said.contains("memory_mib"), "both findings at once: {said}");
    assert!(!desk.path("packed.wasm").exists());
}

/// The packer runs a self-test's rows, a file beside the manifest, and notes the digest of what came out.
#[test]
fn a_self_test_is_packed_with_its_rows() {
    let desk = Desk::empty();
    Ticks::new("SHFE.cu2509", 300).write(desk.dir.path());
    write(&desk.path("module.wasm"), Guest::default().module());
    let pack = |more: &str| {
        let fixture = format!("{MANIFEST}\n[self_test]\nfixture = \"SHFE.cu2509.csv\"\n{more}");
        write(&desk.path("plugin.toml"), fixture);
        desk.program.json(&["plugin", "pack", "module.wasm", "--manifest", "plugin.toml", "--out", "packed.wasm"])
    };
    let (exit, packed) = pack("");
    assert_eq!(exit, 0, "{packed:#}");
    assert_eq!(desk.program.ok(&["plugin", "check", "packed.wasm"])["admitted"], true);
    assert_eq!(pack("").1["digest"], packed["digest"], "same input, same bytes");
    let (exit, answer) = pack(&format!("output_sha256 = \"{}\"\n", "0".repeat(64)));
    assert!(exit != 0 && answer["error"]["code"] == "self_test_mismatch", "{answer:#}");
    let found = answer["error"]["what"].as_str().unwrap().split_whitespace().find(|w| w.len() == 65).unwrap();
    let (exit, answer) = pack(&format!("output_sha256 = \"{}\"\n", found.trim_end_matches(',')));
    assert_eq!((exit, &answer["digest"]), (0, &packed["digest"]), "the digest that was named is the right one");
    std::fs::remove_file(desk.path("SHFE.cu2509.csv")).unwrap();
    let (exit, answer) = pack("");
    assert!(exit != 0 && answer["error"]["what"].as_str().unwrap().contains("SHFE.cu2509.csv"), "{answer:#}");
}

#[test]
fn a_parameter_out_of_bounds() {
    let desk = Desk::empty();
    let label = artefacts().join("direction.wasm").display().to_string();
    Ticks::new("SHFE.cu2509", 300).write(desk.dir.path());
    let args = ["plugin", "eval", &label, "--input", "SHFE.cu2509.csv", "--output", "out.csv", "--param"];
    let fails =
        |param: &str, code: &str| desk.program.fails(&args.iter().copied().chain([param]).collect::<Vec<_>>(), 2, code);
    let said = fails("threshold_ticks=-5", "param_out_of_bounds");
    assert!(said.contains("-5") && said.contains("[1, 1000]"), "{said}");
    assert!(fails("threshold_tick=5", "param_unknown").contains("threshold_tick"));
    assert!(fails("threshold_ticks=many", "param_type").contains("many"));
    assert!(!desk.path("out.csv").exists());
}
