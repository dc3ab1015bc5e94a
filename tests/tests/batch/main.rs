//! Batches as their users run them: planned, killed, sharded, run twice, collected; and what goes wrong with jobs,
//! manifests and folders.
//!
//! All tests share one root: its ticks and a strategy that misbehaves as its parameter says.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod http;

use ghtrader_tests::{Program, artefacts, tree, write};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

/// Behaves, or not, as `mode` says.
const UNRULY: &str = r#"//! A strategy that misbehaves as its parameter says.

use ghtrader_sdk::{Ctx, Event, Instrument, Params, PluginError, Row, Strategy, StrategyDescription};

/// What it does wrong, and from which row on.
#[derive(Debug)]
pub struct Unruly {
    mode: i64,
    threshold: f64,
    row: u32,
    last: u64,
}

impl Strategy for Unruly {
    fn init(params: &Params, _: &Instrument) -> Result<(Self, StrategyDescription), PluginError> {
        let (mode, threshold) = (params.integer("mode")?, params.number("threshold")?);
        let inputs = ["bid_price1", "bid_volume1", "ask_price1", "ask_volume1"];
        Ok((Self { mode, threshold, row: 0, last: 0 }, StrategyDescription::new(inputs)))
    }

    fn on_tick(&mut self, tick: Row<'_>, ctx: &mut Ctx) {
        let [bid, bid_lots, ask, ask_lots] = tick.numbers();
        self.row += 1;
        let bad = self.row > 2_500;
        match self.mode {
            1 if bad => panic!("planted on day two"),
            2 => loop {
                self.row = std::hint::black_box(self.row + 1);
            },
            3 if bad && self.row % 1_000 == 0 => {
                for _ in 0..10_000 {
                    ctx.buy(1).at(bid - 100.0).send();
                }
            }
            4 if bad => {
                ctx.buy(1_000_000).at(-5.0).send();
                ctx.sell(0).at(f64::INFINITY).send();
                ctx.buy(1).at(bid + 0.001).send();
            }
            5 if bad => ctx.cancel(77_777),
            6 => {
                // Whatever was placed is cancelled again and again, alive or dead.
                if self.last > 0 {
                    ctx.cancel(self.last);
                }
                if bad && self.row % 100 == 0 {
                    self.last = ctx.buy(1).at(bid).send();
                }
            }
            _ => {}
        }
        let lean = (bid_lots - ask_lots) / (bid_lots + ask_lots);
        let position = ctx.position_lots();
        if bid.is_nan() || ask.is_nan() || !ctx.orders().is_empty() {
            return;
        }
        let lots = 1 + position.unsigned_abs() as u32;
        if lean > self.threshold && position <= 0 {
            ctx.buy(lots).at(ask).immediate().send();
        } else if lean < -self.threshold && position >= 0 {
            ctx.sell(lots).at(bid).immediate().send();
        }
    }

    fn on_event(&mut self, _: Event, _: &mut Ctx) {}
}

ghtrader_sdk::export_strategy!(Unruly);
"#;
const UNRULY_PARAMS: &str = r#"
[[param]]
name = "mode"
type = "integer"
default = 0
min = 0
max = 9
unit = "1"
description = "What it does wrong; 0 = nothing."
"#;
const DAYS: usize = 6;

struct Desk {
    dir: tempfile::TempDir,
}

/// The root that all tests share.
static DESK: LazyLock<Desk> = LazyLock::new(|| {
    let desk = Desk { dir: tempfile::tempdir().unwrap() };
    let program = desk.program();
    // One day more than the schedule covers: the first has no day before it.
    let days = (DAYS + 1).to_string();
    program.ok(&[
        "data",
        "synth",
        "--var",
        "cu",
        "--days",
        &days,
        "--rows-per-day",
        "2000",
        "--seed",
        "3",
        "--signal",
        "1",
    ]);
    program.ok(&["main", "schedule", "--var", "cu"]);
    program.ok(&["main", "build", "--var", "cu"]);
    program.ok(&["plugin", "new", "strategy", "unruly"]);
    let unruly = desk.dir.path().join("unruly");
    write(&unruly.join("src/lib.rs"), UNRULY);
    let promise = fs::read_to_string(unruly.join("plugin.toml")).unwrap();
    let promise = promise.split("# Rows on which").next().unwrap().replace("warmup_rows = 20", "warmup_rows = 0");
    write(&unruly.join("plugin.toml"), format!("{promise}{UNRULY_PARAMS}"));
    Program::new(&unruly).ok(&["plugin", "build"]);
    fs::copy(unruly.join("target/ghtrader/unruly-0.1.0.wasm"), desk.dir.path().join("unruly.wasm")).unwrap();
    desk
});

/// What a run answered.
struct Ran {
    code: Option<i32>,
    lines: Vec<String>,
    totals: Value,
    err: String,
}

impl Ran {
    fn count(&self, key: &str) -> u64 {
        self.totals[key].as_u64().unwrap_or_else(|| panic!("no {key} in {}\n{}", self.totals, self.err))
    }
}

impl Desk {
    fn program(&self) -> Program {
        Program::new(self.dir.path())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Plans a specification whose lineups are given; the manifest is called as the test is.
    fn plan(&self, name: &str, body: &str) -> Value {
        let spec = format!("version = 1\nname = '{name}'\nvariety = 'cu'\n{body}");
        write(&self.path(&format!("{name}.toml")), spec);
        self.program().ok(&["batch", "plan", &format!("{name}.toml"), "--out", &format!("{name}.m")])
    }

    /// A batch of the unruly strategy with some thresholds and modes.
    fn unruly(&self, name: &str, modes: &str, thresholds: &str) -> Value {
        let artefact = "unruly.wasm";
        let grid = format!("strategy.mode = {modes}\nstrategy.threshold = {thresholds}\n");
        self.plan(name, &format!("[[lineups]]\nname = 'u'\n[lineups.strategy]\nplugin = '{artefact}'\n[grid]\n{grid}"))
    }

    fn args(&self, name: &str, out: &str) -> [String; 6] {
        ["batch", "run", "--manifest", &format!("{name}.m"), "--out", out].map(str::to_owned)
    }

    fn run(&self, name: &str, out: &str, more: &[&str]) -> Ran {
        let args = self.args(name, out);
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let output = self.program().run(&args);
        let lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        let totals = lines.last().and_then(|l| serde_json::from_str(l).ok()).unwrap_or_default();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        Ran { code: output.status.code(), lines, totals, err }
    }

    fn start(&self, name: &str, out: &str, more: &[&str]) -> Child {
        let args = self.args(name, out);
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        self.program().command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn ids(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(&format!("{name}.m"))).unwrap();
        let lines = text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
        lines.filter_map(|l| l["id"].as_str().map(str::to_owned)).collect()
    }

    fn results(&self, out: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = tree(&self.path(out));
        files.retain(|path, _| !path.starts_with("summary.csv") && !path.starts_with("summary.json"));
        files
    }

    fn status(&self, name: &str, out: &str) -> (i32, Value) {
        self.program().json(&["batch", "status", "--manifest", &format!("{name}.m"), "--out", out])
    }
}

fn document(desk: &Desk, out: &str, kind: &str, id: &str) -> Value {
    serde_json::from_slice(&fs::read(desk.path(&format!("{out}/{kind}/{id}.json"))).unwrap()).unwrap()
}

/// Children of a process that still run.
fn children(of: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let parent = status.lines().find_map(|l| l.strip_prefix("PPid:")).and_then(|p| p.trim().parse::<u32>().ok());
        if parent == Some(of) && !status.contains("\nState:\tZ") {
            found.push(pid);
        }
    }
    found
}

fn kill(pid: u32) {
    // It may have ended by itself.
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
}

/// B-22, B-26, B-17: one result a job, under the digest that a single run of the same lineup has.
#[test]
fn a_batch_is_planned_run_and_found_again() {
    let desk = &*DESK;
    let taker = artefacts().join("taker.wasm").display().to_string();
    let body = format!(
        "[[lineups]]\nname = 't'\n[lineups.strategy]\nplugin = '{taker}'\n[lineups.grid]\nstrategy.threshold = [0.5, 0.7, 0.5]\n\
         [[lineups]]\nname = 'again'\n[lineups.strategy]\nplugin = '{taker}'\nparams = {{ threshold = 0.7 }}\n"
    );
    let planned = desk.plan("first", &body);
    assert_eq!((&planned["jobs"], &planned["duplicates"]), (&2.into(), &2.into()), "{planned:#}");
    let ran = desk.run("first", "first", &[]);
    assert_eq!((ran.code, ran.count("done"), ran.count("reused")), (Some(0), 2, 0), "{}", ran.err);
    let ids = desk.ids("first");
    for id in &ids {
        for word in ["start", "done"] {
            assert!(ran.lines.contains(&format!("{word} {id}")), "{:?}", ran.lines);
        }
        let report = document(desk, "first", "results", id);
        assert_eq!(report["result_digest"].as_str(), Some(id.as_str()));
        assert_eq!(report["data"]["days"].as_array().unwrap().len(), DAYS);
        assert_eq!(report["fill_models"].as_object().unwrap().len(), 3);
    }
    write(
        &desk.path("single.toml"),
        format!(
            "version = 1\nname = 'single'\nvariety = 'cu'\n[lineup.strategy]\nplugin = '{taker}'\nparams = {{ threshold = 0.7 }}\n"
        ),
    );
    let single = desk.program().ok(&["backtest", "run", "single.toml", "--out", "single"]);
    let same = ids.iter().find(|id| single["result_digest"].as_str() == Some(id.as_str()));
    let report = document(desk, "first", "results", same.unwrap());
    assert_eq!(report["output_digest"], single["output_digest"]);
    // Known before anything is read.
    let again = desk.run("first", "first", &[]);
    assert_eq!((again.code, again.count("done"), again.count("reused")), (Some(0), 0, 2));
    let replanned = desk.program().ok(&["batch", "plan", "first.toml", "--out", "first2.m", "--results", "first"]);
    assert_eq!(replanned["reused"], 2);
    let bytes = |name: &str| fs::read(desk.path(name)).unwrap();
    assert!(bytes("first.m") == bytes("first2.m"), "equal specifications give equal manifests");
}

/// B-27: the counter says how many days of features were computed.
#[test]
fn twenty_strategies_share_one_set_of_features() {
    let desk = &*DESK;
    let core = artefacts().join("core-factors.wasm").display().to_string();
    let body = format!(
        "[[lineups]]\nname = 'u'\n[[lineups.features]]\nplugin = '{core}'\n[lineups.strategy]\nplugin = 'unruly.wasm'\n\
         [lineups.grid.strategy.threshold]\nfrom = 0.01\nto = 0.20\nstep = 0.01\n"
    );
    assert_eq!(desk.plan("shared", &body)["jobs"], 20);
    let first = desk.run("shared", "shared", &[]);
    assert_eq!((first.code, first.count("done")), (Some(0), 20), "{}", first.err);
    assert_eq!(first.count("feature_days_built"), DAYS as u64);
    let second = desk.run("shared", "shared2", &[]);
    assert_eq!((second.count("feature_days_built"), second.count("feature_days_reused")), (0, DAYS as u64));
    assert!(desk.results("shared") == desk.results("shared2"));
}

/// B-23: killed at any moment and run again, the folder is that of a run left alone; no child outlives its parent.
#[test]
fn a_killed_batch_ends_in_the_same_bytes() {
    let desk = &*DESK;
    desk.unruly("killed", "[0]", "{ from = 0.10, to = 0.33, step = 0.01 }");
    assert_eq!(desk.run("killed", "whole", &[]).code, Some(0));
    let whole = desk.results("whole");
    assert_eq!(whole.len(), 24);
    let mut cut_short = 0;
    for (round, moment_ms) in [20_u64, 60, 120, 200, 300, 450].into_iter().enumerate() {
        let out = format!("killed{round}");
        let mut parent = desk.start("killed", &out, &["--threads", "2"]);
        std::thread::sleep(Duration::from_millis(moment_ms));
        let workers = children(parent.id());
        // The parent, its worker, or both at once.
        if round % 3 != 1 {
            kill(parent.id());
        }
        if round % 3 != 0 {
            workers.iter().for_each(|pid| kill(*pid));
        }
        let status = parent.wait().unwrap();
        cut_short += u32::from(status.signal() == Some(9));
        let alive =
            |pid: &u32| fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|s| !s.contains("State:\tZ"));
        for _ in 0..2_000 {
            if !workers.iter().any(alive) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!workers.iter().any(alive), "a worker outlived its parent");
        let again = desk.run("killed", &out, &[]);
        assert_eq!(again.code, Some(0), "{}", again.err);
        let found = desk.results(&out);
        assert_eq!(found.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>(), "after {moment_ms} ms");
        assert!(found == whole, "other bytes after a kill at {moment_ms} ms");
    }
    assert!(cut_short >= 2, "only {cut_short} runs were alive when killed");
}

/// B-24, P-21: shards in folders of their own, merged by copying, are one run; a shard run twice does no harm.
#[test]
fn three_shards_are_one_run() {
    let desk = &*DESK;
    desk.unruly("shards", "[0]", "{ from = 0.40, to = 0.60, step = 0.02 }");
    assert_eq!(desk.run("shards", "one", &["--shard", "0/1"]).code, Some(0));
    let merged = desk.path("merged/results");
    fs::create_dir_all(&merged).unwrap();
    let mut all = 0;
    for shard in ["0/3", "1/3", "2/3"] {
        let out = format!("shard{}", &shard[..1]);
        let ran = desk.run("shards", &out, &["--shard", shard]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        all += ran.count("done");
        let twice = desk.run("shards", &out, &["--shard", shard]);
        assert_eq!((twice.code, twice.count("done"), twice.count("reused")), (Some(0), 0, ran.count("total")));
        for (path, bytes) in desk.results(&out) {
            let to = merged.join(path.file_name().unwrap());
            assert!(!to.exists(), "two shards made {}", path.display());
            write(&to, bytes);
        }
    }
    assert_eq!(all, 11);
    assert!(desk.results("merged") == desk.results("one"));
    assert_eq!(desk.run("shards", "none", &["--shard", "11/12"]).count("total"), 0);
    for bad in ["3/3", "-1/3", "1", "x/y"] {
        assert_eq!(desk.run("shards", "none", &["--shard", bad]).code, Some(2), "{bad}");
    }
    // Two collectors at once, and one of the merged folder: the same table.
    let collect =
        |out: &str| desk.program().command(&["batch", "collect", "--manifest", "shards.m", "--out", out, "--json"]);
    let two: Vec<Child> = (0..2).map(|_| collect("one").stdout(Stdio::piped()).spawn().unwrap()).collect();
    let mut digests = BTreeSet::new();
    for child in two {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        digests.insert(serde_json::from_slice::<Value>(&output.stdout).unwrap()["digest"].to_string());
    }
    let merged = collect("merged").output().unwrap();
    digests.insert(serde_json::from_slice::<Value>(&merged.stdout).unwrap()["digest"].to_string());
    assert_eq!(digests.len(), 1, "{digests:?}");
    let csv = fs::read_to_string(desk.path("one/summary.csv")).unwrap();
    assert!(csv == fs::read_to_string(desk.path("merged/summary.csv")).unwrap());
    let jobs: Vec<&str> = csv.lines().skip(1).map(|l| l.split(',').next().unwrap()).collect();
    assert_eq!(jobs, desk.ids("shards"), "in the manifest's order");
    assert!(
        csv.starts_with("job,lineup,strategy,variety,from,to,days,fill_models,strategy.mode,strategy.threshold,state,")
    );
}

/// B-28: one bad job of ten: nine results, its own error with row and time, and no second try unless asked for.
#[test]
fn one_bad_job_of_ten_is_told_apart() {
    let desk = &*DESK;
    let body = "[[lineups]]\nname = 'good'\n[lineups.strategy]\nplugin = 'unruly.wasm'\n[lineups.grid]\n\
                strategy.threshold = { from = 0.61, to = 0.69, step = 0.01 }\n\
                [[lineups]]\nname = 'bad'\n[lineups.strategy]\nplugin = 'unruly.wasm'\nparams = { mode = 1 }\n";
    assert_eq!(desk.plan("bad", body)["jobs"], 10);
    let ran = desk.run("bad", "bad", &[]);
    assert_eq!((ran.code, ran.count("done"), ran.count("failed")), (Some(1), 9, 1), "{}", ran.err);
    let id = desk.ids("bad").pop().unwrap();
    let failed = document(desk, "bad", "failed", &id);
    assert_eq!(
        (&failed["code"], &failed["class"], &failed["id"]),
        (&"plugin_trapped".into(), &"plugin".into(), &id.into())
    );
    let first = document(desk, "bad", "results", &desk.ids("bad")[0])["data"]["days"][0].as_str().unwrap().to_owned();
    let rows = desk.program().ok(&["data", "show", "KQ.m@SHFE.cu", &first])["rows"].as_u64().unwrap();
    assert_eq!(failed["row"], 2_500 - rows, "a row of the second day: {failed:#}");
    assert!(failed["ts_ns"].as_i64().unwrap() > 0 && failed["what"].as_str().unwrap().contains("planted on day two"));
    assert!(!failed["remedy"].as_str().unwrap().is_empty());
    let again = desk.run("bad", "bad", &[]);
    assert_eq!((again.code, again.count("reused"), again.count("failed")), (Some(1), 9, 1));
    assert_eq!(again.lines.len(), 1, "nothing is begun again: {:?}", again.lines);
    let (code, status) = desk.status("bad", "bad");
    assert_eq!((code, &status["results"], &status["failed"]), (1, &9.into(), &1.into()), "{status:#}");
    let (code, table) = desk.program().json(&["batch", "collect", "--manifest", "bad.m", "--out", "bad"]);
    assert_eq!((code, &table["rows"]), (1, &10.into()), "{table:#}");
    assert!(fs::read_to_string(desk.path("bad/summary.csv")).unwrap().contains(",failed,plugin_trapped,"));
    let removed = desk.program().ok(&["batch", "retry", "--manifest", "bad.m", "--out", "bad"]);
    assert_eq!(removed["removed"].as_array().unwrap().len(), 1);
    assert_eq!(desk.run("bad", "bad", &[]).lines.len(), 3, "the failed job is tried again");
}

/// B-28, B-21: whatever a strategy does, its job ends in a whole result or an error by name, and the others in results.
#[test]
fn unruly_strategies_hurt_nobody_else() {
    let desk = &*DESK;
    let planned = desk.unruly("wild", "[0, 1, 2, 3, 4, 5, 6]", "[0.8]");
    assert_eq!(planned["jobs"], 7);
    let ran = desk.run("wild", "wild", &["--set", "plugin.block_call_cpu_ms=300"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let ids = desk.ids("wild");
    let ended = |mode: usize| {
        let id = &ids[mode];
        ["results", "failed", "poison"].into_iter().find(|kind| desk.path(&format!("wild/{kind}/{id}.json")).is_file())
    };
    assert_eq!(ended(0), Some("results"));
    for (mode, code) in [(1, "plugin_trapped"), (2, "plugin_deadline")] {
        assert_eq!(ended(mode), Some("failed"), "{mode}");
        assert_eq!(document(desk, "wild", "failed", &ids[mode])["code"], code);
    }
    for (mode, id) in ids.iter().enumerate().take(7).skip(3) {
        let kind = ended(mode).unwrap_or_else(|| panic!("mode {mode} ended in nothing: {}", ran.err));
        if kind == "results" {
            let report = document(desk, "wild", "results", id);
            assert_eq!(report["result_digest"].as_str(), Some(id.as_str()));
        } else {
            let failed = document(desk, "wild", kind, id);
            assert!(failed["code"].as_str().is_some_and(|c| c.starts_with("plugin_")), "{failed:#}");
        }
    }
    assert_eq!(ran.count("poison"), 0);
}

/// B-28: a job whose process dies three times is set aside with how it died; the rest finishes.
#[test]
fn a_job_that_kills_its_process_is_poison() {
    let desk = &*DESK;
    // Mode 2 never returns; with a long limit it is the test that ends its process, as an abort would.
    let body = "[[lineups]]\nname = 'bad'\n[lineups.strategy]\nplugin = 'unruly.wasm'\nparams = { mode = 2 }\n\
                [[lineups]]\nname = 'good'\n[lineups.strategy]\nplugin = 'unruly.wasm'\n[lineups.grid]\n\
                strategy.threshold = { from = 0.71, to = 0.78, step = 0.01 }\n";
    desk.plan("poison", body);
    let bad = desk.ids("poison").remove(0);
    let long = ["--set", "plugin.block_call_cpu_ms=60000", "--set", "plugin.wall_limit_ms=60000"];
    let mut parent = desk.start("poison", "poison", &long);
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let (mut deaths, mut last) = (0, String::new());
    for line in lines.map_while(Result::ok) {
        if line == format!("start {bad}") {
            deaths += 1;
            children(parent.id()).into_iter().for_each(kill);
        }
        last = line;
    }
    assert_eq!((parent.wait().unwrap().code(), deaths), (Some(1), 3), "{last}");
    let totals: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(
        (&totals["done"], &totals["poison"], &totals["missing"]),
        (&8.into(), &1.into(), &0.into()),
        "{totals:#}"
    );
    let poison = document(desk, "poison", "poison", &bad);
    assert_eq!((&poison["signal"], &poison["exit_code"]), (&9.into(), &Value::Null), "{poison:#}");
    // Settled: the next run leaves it alone.
    assert_eq!(desk.run("poison", "poison", &[]).lines.len(), 1);
    assert_eq!(desk.status("poison", "poison").1["poison"], 1);
}

fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().unwrap().to_owned()
}

/// B-22: an edited manifest, another engine's and other data are refused by codes that no scheduler tries again.
#[test]
fn what_was_planned_otherwise_is_refused() {
    let desk = &*DESK;
    desk.unruly("refused", "[0]", "[0.81, 0.82]");
    let whole = fs::read_to_string(desk.path("refused.m")).unwrap();
    // By hand: one threshold, or one job less.
    let lines: Vec<&str> = whole.lines().collect();
    let edits =
        [whole.replace("0.81", "0.91"), [&lines[..2], &lines[3..]].concat().join("\n") + "\n", whole[..300].to_owned()];
    for edited in edits {
        write(&desk.path("edited.m"), edited);
        let ran = desk.run("edited", "refused", &[]);
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.contains("error[manifest_damaged]"), "{}", ran.err);
    }
    // Another engine's, closed by the right digest.
    fs::create_dir_all(desk.path("engine.m.parts")).unwrap();
    let engine = whole.split("\"engine\":\"").nth(1).unwrap().split('"').next().unwrap();
    let body: String = whole.lines().filter(|l| !l.starts_with("{\"digest\"")).map(|l| format!("{l}\n")).collect();
    write(&desk.path("engine.m"), body.replace(engine, "0.0.9+results.1"));
    let digest = sha256(&desk.path("engine.m"));
    let closed = fs::read_to_string(desk.path("engine.m")).unwrap() + &format!("{{\"digest\":\"{digest}\"}}\n");
    write(&desk.path("engine.m"), closed);
    let ran = desk.run("engine", "refused", &[]);
    assert_eq!(ran.code, Some(4), "{}", ran.err);
    assert!(ran.err.contains("error[engine_mismatch]") && ran.err.contains("0.0.9+results.1"), "{}", ran.err);
    // Other data under another root.
    let other = tempfile::tempdir().unwrap();
    let program = Program::new(other.path());
    let days = (DAYS + 1).to_string();
    program.ok(&["data", "synth", "--var", "cu", "--days", &days, "--rows-per-day", "2000", "--seed", "4"]);
    program.ok(&["main", "schedule", "--var", "cu"]);
    program.ok(&["main", "build", "--var", "cu"]);
    let (manifest, out) = (desk.path("refused.m").display().to_string(), desk.path("refused").display().to_string());
    let output = program.run(&["batch", "run", "--manifest", &manifest, "--out", &out]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{err}");
    assert!(err.contains("error[data_mismatch]") && err.contains("2025-"), "{err}");
    // Ids of another manifest, and no ids at all.
    write(&desk.path("ids"), format!("{}\n", "0".repeat(64)));
    let ran = desk.run("refused", "refused", &["--jobs", "ids"]);
    assert!(ran.code == Some(2) && ran.err.contains("error[unknown_job]"), "{}", ran.err);
    write(&desk.path("ids"), "seven\n");
    assert_eq!(desk.run("refused", "refused", &["--jobs", "ids"]).code, Some(2));
    // An artefact that is gone, or another.
    fs::rename(desk.path("refused.m.parts"), desk.path("kept.parts")).unwrap();
    let ran = desk.run("refused", "refused", &[]);
    assert!(ran.code == Some(2) && ran.err.contains("error[part_missing]"), "{}", ran.err);
    fs::rename(desk.path("kept.parts"), desk.path("refused.m.parts")).unwrap();
    let part = tree(&desk.path("refused.m.parts")).into_keys().next().unwrap();
    let part = desk.path("refused.m.parts").join(part);
    let good = fs::read(&part).unwrap();
    write(&part, fs::read(artefacts().join("taker.wasm")).unwrap());
    let ran = desk.run("refused", "refused", &[]);
    assert!(ran.code == Some(4) && ran.err.contains("error[part_mismatch]"), "{}", ran.err);
    write(&part, good);
    assert!(desk.results("refused").is_empty(), "a refusal wrote something");
    assert_eq!(desk.run("refused", "refused", &[]).code, Some(0));
}

/// B-22: torn results and those of another engine are never taken, and both are named.
#[test]
fn torn_and_foreign_results_are_not_taken() {
    let desk = &*DESK;
    desk.unruly("torn", "[0]", "[0.83, 0.84, 0.85]");
    assert_eq!(desk.run("torn", "torn", &[]).code, Some(0));
    let whole = desk.results("torn");
    let ids = desk.ids("torn");
    let path = |id: &str| desk.path(&format!("torn/results/{id}.json"));
    let bytes = fs::read(path(&ids[0])).unwrap();
    write(&path(&ids[0]), &bytes[..bytes.len() / 2]);
    // A result under another job's name.
    write(&path(&ids[1]), fs::read(path(&ids[2])).unwrap());
    // Another engine's has another id.
    write(&path(&"7".repeat(64)), &bytes);
    write(&desk.path(&format!("torn/results/.tmp-{}-elsewhere-1", ids[0])), "half");
    let (code, status) = desk.status("torn", "torn");
    assert_eq!((code, &status["results"], &status["foreign"]), (1, &1.into(), &1.into()), "{status:#}");
    assert_eq!(status["damaged"], serde_json::json!([ids[0], ids[1]]));
    let text = desk.program().run(&["batch", "status", "--manifest", "torn.m", "--out", "torn"]);
    assert!(String::from_utf8_lossy(&text.stdout).contains(&format!("damaged {}", ids[0])));
    let ran = desk.run("torn", "torn", &[]);
    assert_eq!((ran.code, ran.count("done"), ran.count("reused")), (Some(0), 2, 1), "{}", ran.err);
    fs::remove_file(path(&"7".repeat(64))).unwrap();
    fs::remove_file(desk.path(&format!("torn/results/.tmp-{}-elsewhere-1", ids[0]))).unwrap();
    assert!(desk.results("torn") == whole);
}

/// B-23: two runs on one folder at once end as one does.
#[test]
fn two_runs_at_once_do_no_harm() {
    let desk = &*DESK;
    desk.unruly("twice", "[0]", "{ from = 0.20, to = 0.31, step = 0.01 }");
    assert_eq!(desk.run("twice", "once", &[]).code, Some(0));
    let two: Vec<Child> = (0..2).map(|_| desk.start("twice", "twice", &[])).collect();
    for child in two {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert!(desk.results("once") == desk.results("twice"));
}

/// B-22: a million jobs are refused by number, before one of them is made.
#[test]
fn a_grid_without_end_is_refused_with_its_size() {
    let desk = &*DESK;
    let grid =
        "strategy.threshold = { from = 0.0, to = 1.0, step = 0.000001 }\nstrategy.mode = [0, 1, 2, 3, 4, 5, 6]\n";
    let body = format!("[[lineups]]\n[lineups.strategy]\nplugin = 'unruly.wasm'\n[grid]\n{grid}");
    write(&desk.path("huge.toml"), format!("version = 1\nname = 'x'\nvariety = 'cu'\nsplit = 'day'\n{body}"));
    let said = desk.program().fails(&["batch", "plan", "huge.toml", "--out", "huge.m"], 2, "batch_too_large");
    let jobs = 1_000_001 * 7 * DAYS;
    assert!(said.contains(&jobs.to_string()) && said.contains("100000"), "{said}");
    assert!(!desk.path("huge.m").exists());
    write(
        &desk.path("small.toml"),
        format!("version = 1\nname = 'x'\nvariety = 'cu'\n{body}\n[sample]\ndraws = 12\nseed = 5\n"),
    );
    let drawn = desk.program().ok(&["batch", "plan", "small.toml", "--out", "small.m"]);
    assert_eq!(drawn["jobs"], 12, "as many as are drawn from the same grid");
    for (wrong, code) in [
        (body.replace("strategy.mode", "strategy.mod"), "param_unknown"),
        (body.replace("strategy.mode = [0,", "strategy.mode = [99,"), "param_out_of_bounds"),
        (body.replace("strategy.mode", "stratgy.mode"), "bad_axis"),
        (body.replace("unruly.wasm", "nobody@1.0.0"), "unknown_plugin"),
        (body.replace("unruly.wasm", "gone.wasm"), "file_unreadable"),
    ] {
        let wrong = wrong.replace("step = 0.000001", "step = 0.5");
        write(&desk.path("wrong.toml"), format!("version = 1\nname = 'x'\nvariety = 'cu'\n{wrong}"));
        desk.program().fails(&["batch", "plan", "wrong.toml", "--out", "wrong.m"], 2, code);
    }
    write(
        &desk.path("wrong.toml"),
        format!("version = 1\nname = 'x'\nvariety = 'cu'\nfrom = '2031-01-02'\n{}", body.replace("0.000001", "0.5")),
    );
    desk.program().fails(&["batch", "plan", "wrong.toml", "--out", "wrong.m"], 2, "no_days");
}

/// B-22: the days of a batch are never in memory beyond its budget, and a budget that holds none is refused at once.
#[test]
fn the_memory_budget_bounds_the_days_that_are_resident() {
    let desk = &*DESK;
    let body = "split = 'day'\n[[lineups]]\n[lineups.strategy]\nplugin = 'unruly.wasm'\n[grid]\nstrategy.threshold = [0.86, 0.87]\n";
    assert_eq!(desk.plan("budget", body)["jobs"], 2 * DAYS);
    let ran = desk.run("budget", "none", &["--memory-mib", "100"]);
    assert!(ran.code == Some(2) && ran.err.contains("error[memory_budget]"), "{}", ran.err);
    // One job with three instances of 64 MiB, a little for its records, and a day of 2,000 rows.
    let tight = desk.run("budget", "tight", &["--memory-mib", "218", "--threads", "2"]);
    assert_eq!(
        (tight.code, tight.count("threads"), tight.count("done")),
        (Some(0), 1, 2 * DAYS as u64),
        "{}",
        tight.err
    );
    let wide = desk.run("budget", "wide", &["--memory-mib", "4000", "--threads", "2"]);
    assert_eq!((wide.code, wide.count("threads")), (Some(0), 2));
    assert!(tight.count("resident_periods") <= 2 && wide.count("resident_periods") <= 3);
    assert!(desk.results("tight") == desk.results("wide"), "the budget changes no result");
}

/// B-22, D-40: a disk that fills up in the middle leaves whole results and says so; with room the same command goes on.
#[test]
fn a_disk_that_fills_up_in_the_middle() {
    let desk = &*DESK;
    desk.unruly("full", "[0]", "{ from = 0.32, to = 0.43, step = 0.01 }");
    assert_eq!(desk.run("full", "roomy", &[]).code, Some(0));
    let (disk, copy) = (desk.path("disk"), desk.path("copied"));
    fs::create_dir_all(&disk).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=96k tmpfs '{0}' || exit 77; \"$@\"; code=$?; cp -r '{0}' '{1}'; exit $code",
        disk.display(),
        copy.display()
    );
    let run = desk.program().command(&["batch", "run", "--manifest", "full.m", "--out", "disk"]);
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--map-root-user", "sh", "-c", &script, "sh"]).arg(run.get_program()).args(run.get_args());
    let output = unshare.current_dir(desk.dir.path()).output();
    let refused = |err: &str| err.contains("unshare:");
    let Some(output) =
        output.ok().filter(|o| o.status.code() != Some(77) && !refused(&String::from_utf8_lossy(&o.stderr)))
    else {
        eprintln!("skipped: no right to mount a file system in a namespace");
        return;
    };
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("error[disk_full]"), "{err}");
    let (code, status) = desk.status("full", "copied");
    assert!(
        code == 1 && status["results"].as_u64() > Some(0) && status["damaged"] == serde_json::json!([]),
        "{status:#}"
    );
    assert_eq!(desk.run("full", "copied", &[]).code, Some(0));
    assert!(desk.results("copied") == desk.results("roomy"));
}

/// B-22, B-29: days that come later leave a manifest and its results as they are; a comparison says what was not run.
#[test]
fn a_manifest_outlives_the_days_behind_it() {
    let desk = Desk { dir: tempfile::tempdir().unwrap() };
    let days = |more: &[&str]| {
        let market = ["data", "synth", "--var", "cu", "--rows-per-day", "1000", "--seed", "3", "--signal", "1"];
        desk.program().ok(&[&market, more].concat());
        desk.program().ok(&["main", "schedule", "--var", "cu"]);
        desk.program().ok(&["main", "build", "--var", "cu"]);
    };
    days(&["--days", "4", "--first-day", "2025-07-01"]);
    let taker = artefacts().join("taker.wasm");
    let grid = "[grid]\nstrategy.threshold = [0.3, 0.6]\n";
    let lineup = format!("[[lineups]]\nname = 't'\n[lineups.strategy]\nplugin = '{}'\n", taker.display());
    let planned = desk.plan("later", &format!("split = 'day'\n{lineup}{grid}"));
    let jobs = planned["jobs"].as_u64().unwrap();
    assert_eq!(desk.run("later", "before", &[]).count("done"), jobs);
    days(&["--days", "2", "--first-day", "2025-07-07"]);
    assert_eq!(desk.program().ok(&["main", "show", "--var", "cu"])["rows"].as_array().unwrap().len(), 5);
    assert_eq!(desk.run("later", "after", &[]).count("done"), jobs);
    assert_eq!(desk.results("before"), desk.results("after"));
    // The days of both variants that come last by their ids are gone.
    let compare = ["compare", "--batch", "after", "--manifest", "later.m"];
    let whole = desk.program().ok(&compare).to_string();
    assert!(!whole.contains("have not been run"), "{whole}");
    let last = fs::read_dir(desk.path("after/results")).unwrap().flatten().find(|file| {
        let text = fs::read_to_string(file.path()).unwrap();
        text.contains("2025-07-04")
    });
    fs::remove_file(last.unwrap().path()).unwrap();
    let (code, said) = desk.program().json(&[&compare[..], &["--allow-different"]].concat());
    assert!(code == 0 && said.to_string().contains("1 of 6 jobs have not been run"), "{said:#}");
}
