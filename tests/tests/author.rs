//! A plugin author's day, as the program shows it: a crate made, built, tested, and refused for what is wrong with it.
//!
//! The crates share one `target` folder, so that what they have in common is compiled once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use ghtrader_tests::server::serve;
use ghtrader_tests::{Program, write};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{LazyLock, Mutex};

/// The folder of all crates of these tests.
static DESK: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
/// Cargo would make them wait for each other anyway.
static TURN: Mutex<()> = Mutex::new(());

/// A new crate of a role that compiles into the shared folder.
fn new(role: &str, name: &str) -> PathBuf {
    let output = run(DESK.path(), &["plugin", "new", role, name]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let dir = DESK.path().join(name);
    let target = DESK.path().join("target");
    std::fs::create_dir_all(&target).unwrap();
    std::os::unix::fs::symlink(&target, dir.join("target")).unwrap();
    dir
}

fn run(dir: &Path, args: &[&str]) -> Output {
    Program::new(dir).command(args).env("XDG_CACHE_HOME", DESK.path().join("cache")).output().unwrap()
}

/// Exit code, document and standard error of a command with `--json`.
fn ask(dir: &Path, args: &[&str]) -> (i32, Value, String) {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    let output = run(dir, &args);
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    let answer = serde_json::from_slice(&output.stdout);
    let answer = answer.unwrap_or_else(|e| panic!("{args:?} printed no JSON ({e}):\n{err}"));
    (output.status.code().unwrap(), answer, err)
}

/// Replaces the first `from` in the crate's code.
fn edit(dir: &Path, from: &str, to: &str) {
    let path = dir.join("src/lib.rs");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    write(&path, text.replacen(from, to, 1));
}

/// P-24, P-25: every role passes as it was made; native code and component agree, and the cost is told.
#[test]
fn a_new_plugin_passes_at_once() {
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    for (role, given) in [("strategy", "actions"), ("feature", "values"), ("label", "values")] {
        let dir = new(role, &format!("fresh-{role}"));
        let (code, answer, err) = ask(&dir, &["plugin", "test"]);
        assert_eq!((code, &answer["passed"]), (0, &Value::Bool(true)), "{role}: {answer:#}\n{err}");
        let parity = answer["parity"]["detail"].as_str().unwrap();
        assert!(parity.contains(given) && parity.ends_with("equal to the bit"), "{parity}");
        let cost = &answer["cost"];
        assert!(cost["instructions_per_row"].as_f64().unwrap() > 1.0 && cost["ns_per_row"].as_f64().unwrap() > 0.0);
        assert!(cost["live_call_ns"][1].as_u64() >= cost["live_call_ns"][0].as_u64());
        assert!(cost["limits"].as_array().unwrap().iter().any(|l| l["name"] == "memory_mib"), "{cost:#}");
        assert!(answer["native_tests"]["detail"].as_str().unwrap().ends_with(" passed"));
        let artefact = dir.join(format!("target/ghtrader/fresh-{role}-0.1.0.wasm"));
        let bytes = std::fs::read(&artefact).unwrap();
        let place = DESK.path().as_os_str().as_encoded_bytes();
        assert!(!bytes.windows(place.len()).any(|w| w == place), "{role}: the artefact names where it was built");
        let (code, built, _) = ask(&dir.join("src"), &["plugin", "build"]);
        assert_eq!((code, &built["digest"]), (0, &answer["digest"]), "built again, from a folder below");
        let check = ask(&dir, &["plugin", "check", artefact.to_str().unwrap()]);
        assert_eq!(check.0, 0, "{:#}", check.1);
    }
    let text = run(&DESK.path().join("fresh-strategy"), &["plugin", "test"]);
    let said = String::from_utf8_lossy(&text.stdout);
    for part in ["ok  native_tests", "ok  parity", "instructions a row", "live_call_cpu_ms", "admission"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}

/// P-25, P-28: what is wrong is told where it is, each with its exit code; and then it is right again.
#[test]
fn what_is_wrong_is_told_where_it_is() {
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let dir = new("strategy", "wrong");
    let whole = std::fs::read_to_string(dir.join("src/lib.rs")).unwrap();
    let again = || write(&dir.join("src/lib.rs"), &whole);

    edit(&dir, "let lean = mean", "let lean: u8 = mean");
    let (code, answer, err) = ask(&dir, &["plugin", "test"]);
    assert_eq!((code, answer["error"]["code"].as_str()), (2, Some("build_failed")), "{answer:#}");
    assert!(err.contains("error[E0308]") && err.contains("src/lib.rs:"), "{err}");
    again();

    let row = "let [bid, bid_lots, ask, ask_lots] = tick.numbers();";
    edit(&dir, row, &format!("{row}\n        assert!(bid_lots < 60.0, \"a queue of {{bid_lots}} lots\");"));
    let line = whole.lines().position(|l| l.contains(row)).unwrap() + 2;
    let (code, answer, err) = ask(&dir, &["plugin", "test"]);
    let said = format!("{answer:#}{err}");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains(&format!("panicked at src/lib.rs:{line}:")) && said.contains("a queue of "), "{said}");
    again();

    let condition = "if lean > self.threshold";
    edit(&dir, condition, "if lean > self.threshold - if cfg!(target_arch = \"wasm32\") { 0.5 } else { 0.0 }");
    let (code, answer, err) = ask(&dir, &["plugin", "test"]);
    assert_eq!((code, &answer["parity"]["passed"]), (1, &Value::Bool(false)), "{answer:#}\n{err}");
    let detail = answer["parity"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("row ") && detail.contains("native code gives no action"), "{detail}");
    again();

    let test = dir.join("tests/wrong.rs");
    let tests = std::fs::read_to_string(&test).unwrap();
    write(&test, tests.replace("Side::Sell, 1)", "Side::Sell, 7)"));
    let (code, answer, err) = ask(&dir, &["plugin", "test"]);
    assert_eq!((code, &answer["native_tests"]["passed"]), (1, &Value::Bool(false)), "{answer:#}");
    assert!(err.contains("tests/wrong.rs:") && err.contains("it_waits_for_its_window"), "{err}");
    write(&test, &tests);

    let manifest = dir.join("plugin.toml");
    let promise = std::fs::read_to_string(&manifest).unwrap();
    write(&manifest, promise.replace("\"ask_volume1\"]", "\"ask_volume2\"]"));
    let (code, answer, err) = ask(&dir, &["plugin", "test"]);
    assert!(code == 3 || code == 1, "{answer:#}");
    assert!(format!("{answer}{err}").contains("ask_volume2"), "{answer:#}");
    write(&manifest, promise.replace("threshold\"", "Threshold\""));
    let (code, answer, _) = ask(&dir, &["plugin", "build"]);
    assert_eq!((code, answer["error"]["code"].as_str()), (3, Some("manifest_invalid")), "{answer:#}");
    write(&manifest, promise);

    let (code, answer, err) = ask(&dir, &["plugin", "test"]);
    assert_eq!(code, 0, "{answer:#}\n{err}");
}

/// P-08, P-24
#[test]
fn a_bad_name_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    for (name, near) in [("My_Idea", "`my-idea`"), ("2fast", "`fast`"), ("fn", "my-fn")] {
        let (code, answer) = program.json(&["plugin", "new", "strategy", name]);
        let remedy = answer["error"]["remedy"].as_str().unwrap();
        assert_eq!((code, answer["error"]["code"].as_str()), (2, Some("bad_name")), "{answer:#}");
        assert!(remedy.contains(near), "{name}: {remedy}");
    }
    assert_eq!(program.json(&["plugin", "new", "strateg", "x"]).0, 2);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    write(&dir.path().join("taken/file"), "mine");
    program.fails(&["plugin", "new", "label", "taken"], 4, "exists");
    assert_eq!(std::fs::read_to_string(dir.path().join("taken/file")).unwrap(), "mine");
    program.fails(&["plugin", "build"], 2, "plugin_toml_missing");
}

/// P-24, P-39: without a compiler for plugins the remedy is told, and nothing is half made.
#[test]
fn a_missing_toolchain_is_named_with_its_remedy() {
    if Path::new("/usr/lib/rustlib/wasm32-unknown-unknown").is_dir() {
        eprintln!("skipped: Debian's toolchain is installed where it is always found");
        return;
    }
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let dir = new("strategy", "bare");
    let bin = DESK.path().join("bin");
    for name in ["rustc", "dpkg"] {
        write(&bin.join(name), "#!/bin/sh\nexit 1\n");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(bin.join(name), mode).unwrap();
    }
    let cargo = std::env::var_os("CARGO").unwrap();
    let mut command = Program::new(&dir).command(&["plugin", "build", "--json"]);
    let path = std::env::join_paths([bin.as_path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    command.env("PATH", path).env("CARGO", cargo).env("XDG_CACHE_HOME", DESK.path().join("cache"));
    let output = command.output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = &answer["error"];
    assert_eq!((output.status.code(), error["code"].as_str()), (Some(6), Some("toolchain_missing")), "{answer:#}");
    assert!(error["remedy"].as_str().unwrap().contains("rustup target add wasm32-unknown-unknown"), "{answer:#}");
}

/// P-30: a key is made once, readable by its owner alone, and signs.
#[test]
fn a_key_signs() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let made = program.ok(&["plugin", "keys", "my.key", "--new"]);
    program.fails(&["plugin", "keys", "my.key", "--new"], 4, "key_exists");
    assert_eq!(program.ok(&["plugin", "keys", "my.key"])["public_key"], made["public_key"]);
    write(&dir.path().join("x.wasm"), "bytes");
    let signed = program.ok(&["plugin", "sign", "x.wasm", "--key", "my.key"]);
    let signature = signed["signature"].as_str().unwrap();
    assert!(signature.starts_with(made["public_key"].as_str().unwrap()) && signature.len() == 64 + 1 + 128);
    assert_eq!(program.ok(&["plugin", "sign", "x.wasm", "--key", "my.key"])["signature"], signature);
}

/// P-26: each saved state is built, tried, pushed under a version of its own and put into shadow; what does not compile is
/// told, and the next save is taken up.
#[test]
fn a_saved_file_comes_into_shadow() {
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let dir = new("strategy", "watched");
    let hash = "ab".repeat(32);
    let operation = |state: &str| {
        json!({ "id": "op-3", "kind": "shadow", "account": "paper", "variety": "cu", "state": state, "ended": false,
                "actor": "ann", "plan_hash": hash, "lineup_id": hash, "from_generation": 2, "generation": null,
                "trace": [{ "state": state, "at_ns": 0 }], "evidence": {} })
    };
    let (accepted, shadowing, plan) = (operation("accepted"), operation("shadowing"), json!({ "plan_hash": hash }));
    let server = serve(move |asked, _| match asked.line.as_str() {
        "POST /api/v1/plugins" => (201, json!({})),
        "POST /api/v1/varieties/cu/plans" => (200, plan.clone()),
        "GET /api/v1/varieties/cu" => (200, json!({ "generation": 2 })),
        "POST /api/v1/varieties/cu/deployments" => (202, accepted.clone()),
        _ => (200, shadowing.clone()),
    });
    let mut command = server.program().command(&["plugin", "watch", "--var", "cu", "--rounds", "3", "--json", "--dir"]);
    command.arg(&dir).env("XDG_CACHE_HOME", DESK.path().join("cache")).env("GHTRADER_ROOT", server.dir());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let first = next();
    assert_eq!(first["state"], "shadowing", "{first:#}");
    edit(&dir, "let lean = mean", "let lean: u8 = mean");
    assert_eq!(next()["error"]["code"], "build_failed");
    edit(&dir, "let lean: u8 = mean", "let lean = 2.0 * mean");
    let last = next();
    assert!(child.wait().unwrap().success());
    let seconds = last["total_seconds"].as_f64().unwrap();
    eprintln!("from the save into shadow: {seconds:.2} s, {}", last["seconds"]);
    assert!(seconds < 60.0, "{last:#}");
    let version = |round: &Value| round["version"].as_str().unwrap().to_owned();
    assert!(version(&first).starts_with("0.1.0-dev-") && version(&first) != version(&last), "{first:#}{last:#}");
    let sent: Vec<_> = server.asked().into_iter().filter(|a| a.line.ends_with("/plans")).collect();
    let strategies: Vec<Value> =
        sent.iter().map(|a| serde_json::from_slice::<Value>(&a.body).unwrap()["lineup"]["strategy"].clone()).collect();
    let expected = |round: &Value| json!({ "plugin": round["digest"], "params": { "threshold": 0.6 } });
    assert_eq!(strategies, [expected(&first), expected(&last)]);
    let deployed: Value = serde_json::from_slice(&server.last("POST").body).unwrap();
    assert_eq!((&deployed["mode"], &deployed["plan_hash"]), (&json!("shadow"), &json!(hash)));
}
