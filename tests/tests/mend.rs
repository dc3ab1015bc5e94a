//! Commands that ask a source again, and mend or clean what is stored, against `ghtrader sim serve`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use ghtrader_tests::sim_server::SimServer;
use ghtrader_tests::{Program, tree, write};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A synthetic market as files, and roots for the program.
struct World {
    dir: tempfile::TempDir,
    /// Files by contract and day.
    files: BTreeMap<String, BTreeMap<String, PathBuf>>,
}

impl World {
    fn new(days: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let synth = ["data", "synth", "--var", "cu", "--seed", "7", "--first-day", "2025-07-01", "--out", "csv"];
        let size = ["--rows-per-day", "1500", "--days", days];
        Program::new(dir.path()).ok(&[&synth[..], &size].concat());
        let mut files: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
        for name in tree(&dir.path().join("csv")).into_keys() {
            let stem = name.file_stem().unwrap().to_string_lossy().into_owned();
            let (symbol, day) = stem.rsplit_once('.').unwrap();
            let day = format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..]);
            files.entry(symbol.to_owned()).or_default().insert(day, dir.path().join("csv").join(&name));
        }
        Self { dir, files }
    }

    /// The contract with the most rows of those with all days.
    fn busiest(&self) -> String {
        let days = self.files.values().map(BTreeMap::len).max().unwrap();
        let bytes = |of: &BTreeMap<String, PathBuf>| of.values().map(|p| p.metadata().unwrap().len()).sum::<u64>();
        let whole = self.files.iter().filter(|(_, of)| of.len() == days);
        whole.max_by_key(|(_, of)| bytes(of)).unwrap().0.clone()
    }

    fn root(&self, name: &str) -> PathBuf {
        let root = self.dir.path().join(name);
        std::fs::create_dir_all(&root).unwrap();
        root
    }

    fn program(&self, root: &str) -> Program {
        Program::new(&self.root(root))
    }

    fn serve(&self, files: &[PathBuf]) -> SimServer {
        SimServer::history(self.dir.path(), files)
    }

    fn import(&self, root: &str, files: &[PathBuf]) {
        let files: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
        let args: Vec<&str> = ["data", "import"].into_iter().chain(files.iter().map(String::as_str)).collect();
        self.program(root).ok(&args);
    }

    /// Runs a command that may ask the server; exit code and document.
    fn ask(&self, server: &SimServer, root: &str, args: &[&str]) -> (i32, Value) {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let mut command: Command = self.program(root).command(&args);
        server.serve(&mut command);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let body = serde_json::from_str(&text).unwrap_or_else(|e| {
            panic!("{args:?}: {e}: {text}{}", String::from_utf8_lossy(&output.stderr));
        });
        (output.status.code().unwrap(), body)
    }
}

fn lake(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    tree(&root.join("data/lake"))
}

/// The lines of a file that are wanted, header first.
fn picked(from: &Path, to: &Path, wanted: impl Fn(usize, &str) -> bool) {
    let text = std::fs::read_to_string(from).unwrap();
    let kept = text.lines().enumerate().filter(|(at, line)| *at == 0 || wanted(*at, line));
    write(to, kept.map(|(_, line)| format!("{line}\n")).collect::<String>());
}

/// The lines of a file, the levels behind the first emptied where `shallow` says so.
fn emptied(from: &Path, to: &Path, shallow: impl Fn(usize) -> bool) {
    let text = std::fs::read_to_string(from).unwrap();
    let head = text.lines().next().unwrap();
    let deep = |name: &str| ["price", "volume"].iter().any(|k| (2..=5).any(|n| name.ends_with(&format!("{k}{n}"))));
    let columns: Vec<(bool, bool)> = head.split(',').map(|name| (deep(name), name.contains("volume"))).collect();
    let line = |(at, line): (usize, &str)| {
        if at == 0 || !shallow(at) {
            return format!("{line}\n");
        }
        let cell = |(cell, (deep, lots)): (&str, &(bool, bool))| match (deep, lots) {
            (false, _) => cell.to_owned(),
            (true, true) => "0".to_owned(),
            (true, false) => "nan".to_owned(),
        };
        line.split(',').zip(&columns).map(cell).collect::<Vec<_>>().join(",") + "\n"
    };
    write(to, text.lines().enumerate().map(line).collect::<String>());
}

fn day_of<'v>(plan: &'v Value, day: &str) -> &'v Value {
    plan["days"]
        .as_array()
        .unwrap()
        .iter()
        .find(|d| d["trading_day"] == day)
        .unwrap_or_else(|| panic!("{day}: {plan:#}"))
}

/// D-31: missing days and gaps are labelled by the source, shown as a plan, and mended by it; the earlier version of a
/// day stays until it is collected (D-16).
#[test]
fn a_repair_asks_plans_and_mends() {
    let world = World::new("5");
    let symbol = world.busiest();
    let files = world.files[&symbol].clone();
    let days: Vec<&str> = files.keys().map(String::as_str).collect();
    let [gappy, missing, nowhere, whole, _last] = days[..] else { panic!("{days:?}") };
    // A day that nobody has, a day that only the source has, and one that lost the middle third of its rows.
    let served: Vec<PathBuf> = files.iter().filter(|(day, _)| *day != nowhere).map(|(_, file)| file.clone()).collect();
    let mut server = world.serve(&served);
    let torn = world.dir.path().join(format!("torn/{symbol}.{}.csv", gappy.replace('-', "")));
    let lines = std::fs::read_to_string(&files[gappy]).unwrap().lines().count();
    picked(&files[gappy], &torn, |at, _| !(lines / 3..2 * lines / 3).contains(&at));
    world.import("root", &[torn, files[whole].clone()]);
    world.import("intact", &[files[gappy].clone()]);
    let before = lake(&world.root("root"));

    // By default two days are asked about: those that are missing.
    let (code, planned) = world.ask(&server, "root", &["data", "repair", &symbol]);
    let plan = &planned["plan"];
    assert_eq!((code, &planned["applied"], &plan["days_missing"]), (0, &json!(false), &json!(2)), "{planned:#}");
    assert_eq!((&plan["not_checked"], &plan["fetch"]), (&json!(2), &json!(1)), "{planned:#}");
    let said = |plan: &Value, day: &str| {
        let day = day_of(plan, day);
        ["defect", "answer", "action"].map(|k| day[k].as_str().unwrap().to_owned())
    };
    assert_eq!(said(plan, missing), ["missing", "provider_has_data", "fetch"]);
    assert_eq!(said(plan, nowhere), ["missing", "provider_missing", "nothing"]);
    assert_eq!(said(plan, gappy), ["gaps", "not_checked", "ask"]);

    let (_, planned) = world.ask(&server, "root", &["data", "repair", &symbol, "--days", "10"]);
    let plan = &planned["plan"];
    assert_eq!(said(plan, gappy), ["gaps", "provider_has_data", "fetch_again"], "{planned:#}");
    assert_eq!(said(plan, whole), ["gaps", "provider_missing", "nothing"], "{planned:#}");
    // All were asked about now, two of them twice: it is the turn of the others, and what was said of the rest is shown.
    let (_, turned) = world.ask(&server, "root", &["data", "repair", &symbol]);
    let kept = |plan: &Value| [missing, nowhere, gappy, whole].map(|day| day_of(plan, day)["kept"] == true);
    assert_eq!((kept(&turned["plan"]), &turned["plan"]["not_checked"]), ([true, true, false, false], &json!(0)));
    assert_eq!(said(&turned["plan"], nowhere), ["missing", "provider_missing", "nothing"], "{turned:#}");
    assert_eq!(turned["plan"]["fetch"], 2, "what it has is fetched, whenever it said so");
    assert_eq!(kept(plan), [false; 4], "{planned:#}");
    let gaps = day_of(plan, gappy)["gaps"].as_array().unwrap();
    assert_eq!(
        (gaps.len(), &gaps[0]["answer"]),
        (8, &json!("provider_has_data")),
        "the longest gap is the planted one"
    );
    assert!(gaps.iter().any(|g| g["answer"] == "provider_missing"), "the market itself was silent now and then");
    assert_eq!(lake(&world.root("root")), before, "a plan changes nothing");

    // What was said is part of the verdict.
    let (_, judged) = world.ask(&server, "root", &["data", "validate", "--symbol", &symbol, "--full-report"]);
    assert!(judged["counts"]["provider_missing_segments"].as_u64().unwrap() >= 8, "{:#}", judged["counts"]);
    assert_eq!(day_of(&judged, nowhere)["provider"]["answer"], "provider_missing");

    let (code, done) = world.ask(&server, "root", &["data", "repair", &symbol, "--days", "10", "--apply"]);
    assert_eq!((code, &done["applied"]), (0, &json!(true)), "{done:#}");
    let missing_days = |of: &str| done[of]["days_missing"].as_u64().unwrap();
    let segments = |of: &str| done[of]["segments"].as_u64().unwrap();
    assert_eq!((missing_days("before"), missing_days("after")), (2, 1));
    let fetched: Vec<&Value> =
        done["download"]["symbols"].as_array().unwrap().iter().flat_map(|s| s["fetched"].as_array().unwrap()).collect();
    let outcome = |day: &str| *fetched.iter().find(|f| f["trading_day"] == day).unwrap();
    assert_eq!(
        (outcome(gappy)["outcome"].as_str(), outcome(missing)["outcome"].as_str()),
        (Some("replaced"), Some("stored"))
    );
    let digest = |root: &str, day: &str| world.program(root).ok(&["data", "show", &symbol, day])["sha256"].clone();
    assert_eq!(digest("root", gappy), digest("intact", gappy), "as the import of the whole file");
    assert_eq!(outcome(gappy)["sha256"], digest("root", gappy));
    // The missing day brought silences of its own, the gappy one has lost its hole.
    let (_, again) = world.ask(&server, "root", &["data", "repair", &symbol, gappy]);
    assert_eq!(
        (segments("after") > 0, said(&again["plan"], gappy)),
        (true, ["gaps", "provider_missing", "nothing"].map(str::to_owned))
    );

    // The torn day is still there, under its digest, until somebody collects it.
    let program = world.program("root");
    let old = outcome(gappy)["replaced_sha256"].as_str().unwrap();
    let kept = program.ok(&["data", "gc"]);
    let superseded = kept["items"].as_array().unwrap().iter().find(|i| i["kind"] == "superseded").unwrap();
    assert!(
        superseded["what"].as_str().unwrap().contains(old) && superseded["bytes"].as_u64().unwrap() > 0,
        "{kept:#}"
    );
    let collected = program.ok(&["data", "gc", "--apply"]);
    assert_eq!((&collected["totals"], &collected["applied"]), (&kept["totals"], &json!(true)));
    assert_eq!(program.ok(&["data", "gc"])["items"], json!([]));
    assert_eq!(digest("root", gappy), digest("intact", gappy));
    program.ok(&["data", "verify", "--deep"]);

    world.program("fresh").fails(&["data", "repair", &symbol, "2025-07-05"], 2, "not_a_trading_day");
    world.program("fresh").fails(&["data", "repair", &symbol, "2025-12-01"], 2, "bad_range");
    let turned = ["data", "repair", &symbol, "--from", whole, "--to", gappy];
    world.program("fresh").fails(&turned, 2, "bad_range");
    let (code, nothing) = world.ask(&server, "fresh", &["data", "repair", &symbol]);
    assert_eq!((code, nothing["error"]["code"].as_str()), (2, Some("days_missing")), "{nothing:#}");
    // A day that nobody expects can be asked for by name; a source that is gone is an answer, a wrong name too.
    let (_, first) = world.ask(&server, "fresh", &["data", "repair", &symbol, gappy, "--apply"]);
    assert_eq!(
        (&first["before"]["days_missing"], &first["after"]["days_missing"]),
        (&json!(1), &json!(0)),
        "{first:#}"
    );
    let (code, unknown) = world.ask(&server, "fresh", &["data", "repair", "SHFE.cu9901", gappy]);
    assert_eq!((code, said(&unknown["plan"], gappy)[1].as_str()), (6, "provider_error"), "{unknown:#}");
    server.kill();
    let (code, gone) = world.ask(&server, "root", &["data", "repair", &symbol, "--days", "10"]);
    assert_eq!(
        (code, said(&gone["plan"], nowhere)),
        (6, ["missing", "provider_error", "ask"].map(str::to_owned)),
        "{gone:#}"
    );
    // That it was away once is no answer: these days are asked about another time.
    let (_, later) = world.ask(&server, "root", &["data", "repair", &symbol, "--days", "0"]);
    assert_eq!(said(&later["plan"], nowhere), ["missing", "not_checked", "ask"], "{later:#}");
}

/// D-31: of a product, by the contracts of its main schedule; main_l5 is built from what came.
#[test]
fn a_repair_of_a_product_mends_its_main_contract() {
    let world = World::new("6");
    let all: Vec<PathBuf> = world.files.values().flat_map(|days| days.values().cloned()).collect();
    let server = world.serve(&all);
    world.import("whole", &all);
    let schedule = world.program("whole").ok(&["main", "schedule", "--var", "cu"]);
    let program = world.program("root");
    // The store lacks one day of the contract that is main on it.
    let hole = schedule["first_day"].as_str().unwrap();
    let main = schedule["contracts"][0].as_str().unwrap();
    let kept: Vec<PathBuf> = all.iter().filter(|f| **f != world.files[main][hole]).cloned().collect();
    world.import("root", &kept);
    let table = world.dir.path().join("switches.csv");
    write(&table, format!("{hole},{main}\n"));
    program.ok(&["main", "schedule", "--var", "cu", "--source", "file", "--file", &table.display().to_string()]);
    program.json(&["main", "build", "--var", "cu"]);
    let (code, done) = world.ask(&server, "root", &["data", "repair", "--var", "cu", "--days", "1", "--apply"]);
    assert_eq!(code, 0, "{done:#}");
    assert_eq!((&done["before"]["days_missing"], &done["after"]["days_missing"]), (&json!(1), &json!(0)), "{done:#}");
    let day = day_of(&done["plan"], hole);
    assert_eq!((day["contract"].as_str(), day["action"].as_str()), (Some(main), Some("fetch")));
    program.ok(&["main", "build", "--var", "cu"]);

    // The ticks of a day rot after main_l5 was built: they are set aside, and main_l5 still has its rows.
    let root = world.root("root");
    let below = format!("data/lake/ticks/symbol={main}/trading_day={hole}");
    let (name, mut bytes) = tree(&root.join(&below)).into_iter().next().unwrap();
    let digest = |symbol: &str| program.ok(&["data", "show", symbol, hole])["sha256"].clone();
    let (of_contract, of_main) = (digest(main), digest("KQ.m@SHFE.cu"));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(root.join(&below).join(name), bytes).unwrap();
    program.json(&["data", "verify", "--deep"]);
    program.fails(&["data", "show", main, hole], 2, "days_missing");
    let (_, judged) = program.json(&["data", "validate", "--var", "cu", "--full-report"]);
    assert_eq!((&judged["ticks_missing"], &judged["days_missing"]), (&json!([hole]), &json!([])), "{judged:#}");
    assert_eq!((&judged["counts"]["missing_days"], &judged["state"]["source"]), (&json!(1), &json!("warn")));
    assert_eq!(day_of(&judged, hole)["ticks_missing"], true);
    assert_eq!(program.json(&["data", "readiness", "--var", "cu"]).1["ticks_missing"], 1);
    let (exit, unbuilt) = program.json(&["main", "build", "--var", "cu"]);
    let remedy = unbuilt["error"]["remedy"].as_str().unwrap();
    assert!(exit == 1 && remedy.contains("ghtrader data repair"), "{unbuilt:#}");
    let (code, done) = world.ask(&server, "root", &["data", "repair", "--var", "cu", "--days", "1", "--apply"]);
    let day = day_of(&done["plan"], hole);
    assert_eq!(
        (code, ["contract", "defect", "answer", "action"].map(|k| day[k].as_str().unwrap())),
        (0, [main, "missing", "provider_has_data", "fetch"]),
        "{done:#}"
    );
    assert_eq!((&done["before"]["days_missing"], &done["after"]["days_missing"]), (&json!(1), &json!(0)), "{done:#}");
    assert_eq!((digest(main), digest("KQ.m@SHFE.cu")), (of_contract, of_main), "the same rows again");
    assert_eq!(program.json(&["data", "validate", "--var", "cu"]).1["ticks_missing"], json!([]));
}

/// D-22: where depth begins is found by bisecting, with few questions, and remembered for a day.
#[test]
fn the_start_of_depth_is_found_and_kept() {
    let world = World::new("9");
    let days: Vec<String> = world.files[&world.busiest()].keys().cloned().collect();
    let start = days[5].as_str();
    let mut files = Vec::new();
    for (symbol, of) in &world.files {
        for (day, file) in of {
            let to = world.dir.path().join(format!("some/{symbol}.{}.csv", day.replace('-', "")));
            emptied(file, &to, |_| day.as_str() < start);
            files.push(to);
        }
    }
    let mut server = world.serve(&files);
    let args = ["data", "l5-start", "--var", "cu"];
    let (code, found) = world.ask(&server, "root", &args);
    assert_eq!((code, found["trading_day"].as_str(), &found["kept"]), (0, Some(start), &json!(false)), "{found:#}");
    let nearest = world.files.iter().filter(|(_, of)| of.contains_key(start)).map(|(symbol, _)| symbol).min().unwrap();
    assert_eq!(found["contract"].as_str(), Some(nearest.as_str()));
    let probes = found["probes"].as_u64().unwrap();
    assert!((3..40).contains(&probes), "{probes} questions for a contract's years");
    let (code, none) = world.ask(&server, "root", &["data", "l5-start", "--var", "au"]);
    assert_eq!((code, none["error"]["code"].as_str()), (1, Some("l5_missing")), "{none:#}");
    server.kill();
    let (code, kept) = world.ask(&server, "root", &args);
    assert_eq!((code, &kept["trading_day"], &kept["kept"]), (0, &found["trading_day"], &json!(true)), "{kept:#}");
    let (code, gone) = world.ask(&server, "root", &[&args[..], &["--again"]].concat());
    assert_eq!((code, gone["error"]["code"].as_str()), (6, Some("source_unavailable")), "{gone:#}");
}

/// D-20, D-21: the vendor's table makes the schedule, from the source or from a file of its form; the second run changes
/// nothing.
#[test]
fn a_schedule_comes_from_the_vendor() {
    let world = World::new("8");
    let all: Vec<PathBuf> = world.files.values().flat_map(|days| days.values().cloned()).collect();
    let server = world.serve(&all);
    world.import("root", &all);
    let args = ["main", "schedule", "--var", "cu", "--source", "vendor"];
    let (code, made) = world.ask(&server, "root", &args);
    assert_eq!(
        (code, made["source"].as_str(), made["outcome"].as_str()),
        (0, Some("vendor"), Some("stored")),
        "{made:#}"
    );
    let url = server.ready["contracts"].as_str().unwrap();
    let table: Value = ureq::get(url).call().unwrap().body_mut().read_json().unwrap();
    let told: Vec<&Value> = table["SHFE.cu"].as_array().unwrap().iter().map(|row| &row[1]).collect();
    assert_eq!(made["contracts"].as_array().unwrap().iter().collect::<Vec<_>>(), told);
    assert_eq!(world.ask(&server, "root", &args).1["outcome"], "unchanged");

    let file = world.dir.path().join("table.json");
    write(&file, table.to_string());
    let file = file.display().to_string();
    let program = world.program("root");
    let by_file = program.ok(&[&args[..], &["--file", &file]].concat());
    assert_eq!((&by_file["schedule_hash"], &by_file["outcome"]), (&made["schedule_hash"], &json!("unchanged")));
    for (url, exit, code) in [
        ("http://ann:s3cret@127.0.0.1/table.json".to_owned(), 2, "bad_source_url"),
        (format!("{}/none.json", server.ready["auth"].as_str().unwrap()), 6, "source_unavailable"),
    ] {
        let set = format!("diff.contracts_url={url}");
        let (got, refused) = world.ask(&server, "root", &[&args[..], &["--set", &set]].concat());
        assert_eq!((got, refused["error"]["code"].as_str()), (exit, Some(code)), "{refused:#}");
        assert!(!refused.to_string().contains("s3cret"), "{refused:#}");
    }
    // A schedule may begin later, where depth does.
    let later = [&args[..], &["--file", &file, "--set", "schedule.l5_start=2025-07-07"]].concat();
    let begun = program.ok(&later);
    assert_eq!((begun["first_day"].as_str(), begun["outcome"].as_str()), (Some("2025-07-07"), Some("replaced")));
    program.fails(&[&args[..], &["--file", &file, "--set", "schedule.l5_start=soon"]].concat(), 2, "bad_settings");
    // The update follows the same setting.
    let mut command = program.command(&["data", "update", "--offline", "--set", "schedule.source=vendor", "--json"]);
    server.serve(&mut command);
    let updated: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    assert_eq!(updated["varieties"][0]["steps"][1]["report"]["source"], "vendor", "{updated:#}");
    write(&world.dir.path().join("table.json"), "{\"SHFE.cu\": [[\"20250701\"]]}");
    program.fails(&[&args[..], &["--file", &file]].concat(), 2, "bad_schedule");
    write(&world.dir.path().join("table.json"), "{}");
    program.fails(&[&args[..], &["--file", &file]].concat(), 2, "schedule_empty");
    program.fails(&args, 2, "source_auth");
    program.fails(&["main", "schedule", "--var", "cu", "--source", "file"], 2, "usage");
}

/// D-36: a contract of which nothing is stored is fetched from the first day of the others, not from where they are.
#[test]
fn an_update_fetches_a_new_contract_from_its_beginning() {
    let world = World::new("6");
    let symbol = world.busiest();
    let days: Vec<String> = world.files[&symbol].keys().cloned().collect();
    let whole = world.files.iter().filter(|(_, of)| of.len() == days.len()).collect::<Vec<_>>();
    let (other, files) = whole.iter().find(|(s, _)| **s != symbol).unwrap();
    let served: Vec<PathBuf> = world.files[&symbol].values().chain(files.values()).cloned().collect();
    let server = world.serve(&served);
    world.import("root", &world.files[&symbol].values().take(4).cloned().collect::<Vec<_>>());
    let (_, updated) = world.ask(&server, "root", &["data", "update", "--var", "cu", "--to", &days[4]]);
    let symbols = updated["varieties"][0]["steps"][0]["report"]["symbols"].as_array().unwrap();
    let fetched = |symbol: &str| -> Vec<&str> {
        let of = symbols.iter().find(|s| s["symbol"] == symbol).unwrap();
        of["fetched"].as_array().unwrap().iter().map(|f| f["trading_day"].as_str().unwrap()).collect()
    };
    assert_eq!(fetched(&symbol), [days[4].as_str()], "{updated:#}");
    assert_eq!(fetched(other), days[..5].iter().map(String::as_str).collect::<Vec<_>>(), "{updated:#}");

    // The list of contracts is used again while it is young, unless somebody wants another.
    let list = |updated: &Value| updated["varieties"][0]["steps"][0]["report"]["catalogues"][0].clone();
    let first = list(&updated);
    assert_eq!(
        (&first["kept"], &first["age_s"], &first["contracts"]),
        (&json!(false), &json!(0), &json!(2)),
        "{first}"
    );
    let update = ["data", "update", "--var", "cu", "--to", &days[4]];
    let again = list(&world.ask(&server, "root", &update).1);
    assert_eq!((&again["kept"], &again["asked_at"]), (&json!(true), &first["asked_at"]), "{again}");
    for more in [&["--refresh"][..], &["--set", "schedule.catalogue_ttl_s=0"]] {
        let asked = list(&world.ask(&server, "root", &[&update[..], more].concat()).1);
        assert_eq!(asked["kept"], json!(false), "{more:?}");
    }
    // Another source is asked for its own; a file that cannot be read is made again.
    let elsewhere = world.serve(&served);
    assert_eq!(list(&world.ask(&elsewhere, "root", &update).1)["kept"], json!(false));
    let kept = world.root("root").join("runs/catalogue/SHFE.cu.json");
    std::fs::write(&kept, "{").unwrap();
    assert_eq!(list(&world.ask(&elsewhere, "root", &update).1)["kept"], json!(false));
    assert_eq!(list(&world.ask(&elsewhere, "root", &update).1)["kept"], json!(true));
}

/// D-38: rows without depth are counted, then taken out in one step a day; both digests are told, main_l5 stays as it is.
#[test]
fn rows_without_depth_are_counted_then_taken_out() {
    let world = World::new("2");
    let symbol = world.busiest();
    let files = world.files[&symbol].clone();
    let days: Vec<&str> = files.keys().map(String::as_str).collect();
    let mixed = world.dir.path().join(format!("mixed/{symbol}.{}.csv", days[0].replace('-', "")));
    emptied(&files[days[0]], &mixed, |at| at.is_multiple_of(3));
    let flat = world.dir.path().join(format!("flat/{symbol}.{}.csv", days[1].replace('-', "")));
    emptied(&files[days[1]], &flat, |_| true);
    world.import("root", &[mixed, flat]);
    let program = world.program("root");
    let table = world.dir.path().join("switches.csv");
    write(&table, format!("{},{symbol}\n", days[0]));
    program.ok(&["main", "schedule", "--var", "cu", "--source", "file", "--file", &table.display().to_string()]);
    program.json(&["main", "build", "--var", "cu"]);
    let rows_of = |day: &str| program.ok(&["data", "report", &symbol, day]);
    let (before, main_before) = (rows_of(days[0]), program.ok(&["data", "show", "KQ.m@SHFE.cu", days[0]]));
    let stored = lake(&world.root("root"));
    // Row 401 has lost its depth, those beside it have not.
    let origin = |seq: &str| program.ok(&["data", "trace", &symbol, days[0], seq])["line"].clone();
    let origins = ["400", "402"].map(origin);
    assert!(origins[1]["line"].as_u64() > origins[0]["line"].as_u64(), "{origins:#?}");

    let args = ["data", "purge", "--symbol", &symbol];
    let counted = program.ok(&args);
    assert_eq!(lake(&world.root("root")), stored, "counting changes nothing");
    let shallow = before["rows"].as_u64().unwrap() - before["rows_with_l5"].as_u64().unwrap();
    assert!(shallow > 400, "{shallow}");
    assert_eq!(
        (&counted["applied"], &counted["days_changed"], &counted["days_left"]),
        (&json!(false), &json!(1), &json!(1))
    );
    assert_eq!(counted["rows_without_depth"].as_u64(), Some(shallow), "{counted:#}");

    let done = program.ok(&[&args[..], &["--apply"]].concat());
    let day = day_of(&done, days[0]);
    assert_eq!(day["sha256"], before["sha256"]);
    let after = rows_of(days[0]);
    assert_eq!(
        (&after["sha256"], &after["rows"], &after["rows_with_l5"]),
        (&day["new_sha256"], &before["rows_with_l5"], &before["rows_with_l5"])
    );
    assert_eq!(["400", "402"].map(origin), origins, "the rows that stay keep number and line");
    let left = day_of(&done, days[1]);
    assert_eq!((&left["left"], left.get("new_sha256")), (&json!(true), None), "a day of one level is all there is");
    program.json(&["main", "build", "--var", "cu"]);
    assert_eq!(
        program.ok(&["data", "show", "KQ.m@SHFE.cu", days[0]])["sha256"],
        main_before["sha256"],
        "the same rows"
    );
    let kept = program.ok(&["data", "gc"]);
    assert!(
        kept["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|i| i["what"].as_str().unwrap().contains(before["sha256"].as_str().unwrap()))
    );
    let again = program.ok(&args);
    assert_eq!((&again["days_changed"], &again["rows_without_depth"]), (&json!(0), &json!(0)));
    program.fails(&["data", "purge", "--var", "au"], 2, "days_missing");
    let turned = ["--from", "2025-07-20", "--to", "2025-07-01"];
    program.fails(&[&args[..], &turned].concat(), 2, "bad_range");
    program.fails(&[&["data", "validate", "--symbol", &symbol][..], &turned].concat(), 2, "bad_range");
    let told = program.run(&[&args[..], &["--apply"]].concat()).stdout;
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("nothing to take out") && !told.contains("gone"), "{told}");
    program.ok(&["data", "verify", "--deep"]);
}
