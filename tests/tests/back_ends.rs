//! The program with its store behind a real server: the same answers, digests and results as with files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ghtrader_tests::{Program, artefacts, write};
use questdb_server::{Options, Server, command, free_port};
use serde_json::{Value, json};
use std::path::Path;

/// A server over a folder that goes with it; `None` where none can be started.
fn server() -> Option<Server> {
    let options = Options { small: true, throw_away: true, ..Options::default() };
    if let Err(why) = command(Path::new("."), 1, &options) {
        eprintln!("skipped: {why}");
        return None;
    }
    let folder = tempfile::Builder::new().prefix("questdb").tempdir().unwrap().keep();
    Some(Server::start(&folder, &options).unwrap())
}

/// Every command from synthetic ticks to a backtest, under some settings.
fn whole_way(program: &Program, settings: &[&str]) -> Vec<(String, Value)> {
    let plugin = |name: &str| artefacts().join(format!("{name}.wasm")).display().to_string();
    write(
        &program.dir().join("run.toml"),
        format!(
            "version = 1\nname = 'x'\nvariety = 'cu'\n[[lineup.features]]\nplugin = '{}'\n[lineup.strategy]\n\
             plugin = '{}'\n",
            plugin("core-factors"),
            plugin("maker")
        ),
    );
    let lines = [
        "data synth --var cu --days 5 --rows-per-day 2000 --signal 1 --seed 3".to_owned(),
        "main schedule --var cu".to_owned(),
        "main build --var cu".to_owned(),
        "main build --var cu".to_owned(),
        format!("feature build --var cu --plugin {}", plugin("core-factors")),
        "backtest run run.toml --out runs/x".to_owned(),
        "data list".to_owned(),
    ];
    let run = |line: String| {
        let args: Vec<&str> = line.split(' ').chain(settings.iter().copied()).collect();
        let answer = program.ok(&args);
        (line, answer)
    };
    lines.into_iter().map(run).collect()
}

/// D-15: import to backtest on either back end, copies there and back, and the proof that both hold the same.
#[test]
fn both_back_ends_give_the_same_answers() {
    let Some(server) = server() else { return };
    let url = format!("store.questdb_url={}", server.url());
    let (files, behind) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let embedded = whole_way(&Program::new(files.path()), &[]);
    let settings = ["--set", &url, "--set", "store.backend=questdb"];
    let questdb = whole_way(&Program::new(behind.path()), &settings);
    for ((line, expected), (_, found)) in embedded.iter().zip(&questdb) {
        assert_eq!(without_places(found), without_places(expected), "{line}");
    }
    assert!(!behind.path().join("data/lake").exists(), "no rows lie in files");

    // What the one made, against what the other made.
    let program = Program::new(files.path());
    let say = |line: &str| program.json(&line.split(' ').chain(["--set", &url]).collect::<Vec<_>>());
    let (exit, verified) = say("data verify --deep --against questdb");
    assert_eq!((exit, &verified["against"]["differences"]), (0, &json!([])), "{verified:#}");
    assert!(verified["against"]["compared"].as_u64().unwrap() > 25, "{verified:#}");

    // A day that only one has, brought over by name; then one that differs.
    let more = "data synth --var au --days 2 --rows-per-day 1000 --seed 4";
    program.ok(&more.split(' ').collect::<Vec<_>>());
    let (exit, verified) = say("data verify --against questdb");
    let differences = verified["against"]["differences"].as_array().unwrap().clone();
    assert!(exit == 1 && differences.iter().all(|d| d["there"].is_null() && !d["here"].is_null()), "{verified:#}");
    let what = differences[0]["what"].as_str().unwrap().to_owned();
    let symbol = what.split(' ').nth(1).unwrap();
    let (exit, copied) = say(&format!("db copy --from embedded --to questdb --symbol {symbol}"));
    assert_eq!((exit, &copied["days"], &copied["schedules"]), (0, &json!(2), &json!(0)), "{copied:#}");
    let (exit, copied) = say("db copy --from embedded --to questdb");
    assert!(exit == 0 && copied["unchanged_days"].as_u64() > copied["days"].as_u64(), "{copied:#}");
    assert_eq!(say("data verify --deep --against questdb").0, 0);

    let elsewhere = tempfile::tempdir().unwrap();
    let back = Program::new(elsewhere.path());
    back.ok(&["db", "copy", "--from", "questdb", "--to", "embedded", "--set", &url]);
    let verified = back.ok(&["data", "verify", "--deep", "--against", "questdb", "--set", &url]);
    assert_eq!(verified["against"]["differences"], json!([]));
    assert!(ghtrader_tests::stored(elsewhere.path()) == ghtrader_tests::stored(files.path()), "the files differ");
    assert_eq!(program.ok(&["doctor", "--set", &url, "--set", "store.backend=questdb"])["ok"], json!(true));
}

/// Answers without names of folders, which differ between two places.
fn without_places(answer: &Value) -> Value {
    let mut answer = answer.clone();
    if let Some(fields) = answer.as_object_mut() {
        fields.retain(|key, _| !["dir", "folder", "path", "rejects_file", "report", "out"].contains(&key.as_str()));
    }
    answer
}

/// D-40, P-09: what a person is told when the server is not there, or the settings make no sense.
#[test]
fn a_server_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let url = format!("store.questdb_url=http://127.0.0.1:{}", free_port().unwrap());
    let questdb = ["--set", "store.backend=questdb", "--set", &url];
    let said = program.fails(&[&["data", "list"][..], &questdb].concat(), 6, "questdb_unreachable");
    assert!(said.contains("http://127.0.0.1:"), "{said}");
    let secret = ["--set", "store.backend=questdb", "--set", "store.questdb_url=http://desk:secret@db:9000"];
    let said = program.fails(&[&["data", "list"][..], &secret].concat(), 2, "questdb_address");
    assert!(!said.contains("secret"), "{said}");
    program.fails(&["data", "list", "--set", "store.backend=other"], 2, "bad_settings");
    program.fails(&["data", "list", "--set", "store.questdb_wait_s=0"], 2, "bad_settings");
    program.fails(&["data", "list", "--set", "store.questdb_batch_rows=1000001"], 2, "bad_settings");
    program.fails(&["db", "copy", "--from", "embedded", "--to", "embedded"], 2, "same_backend");
    let days = ["--from-day", "2025-07-02", "--to-day", "2025-07-01"];
    program.fails(&[&["db", "copy", "--from", "embedded", "--to", "questdb"][..], &days].concat(), 2, "bad_range");
}
