//! `ghtrader demo`: the whole way in one folder, from ticks to a report, with the same bytes each time.

mod session;
mod versions;

use crate::args::Demo;
use crate::commands::{data, main_contract, plugin, quality, train};
use crate::context::{Context, publish};
use crate::output::{SCHEMA_VERSION, document, emit, grouped, table};
use crate::page::{self, Page, Ran};
use ghtrader_backtest::report_data::BestReachable;
use ghtrader_backtest::{PluginSpec, RunResult, RunSpec};
use ghtrader_batch::{Prepared, Scoring, execute, prepare};
use ghtrader_core::{
    Column, ContractId, ContractTable, Digest, DigestBuilder, ErrorClass, Problem, TradingDay, Variety,
};
use ghtrader_market::synth::SynthSpec;
use ghtrader_pipeline::{MainL5Options, PipelineError, ScheduleError, ScheduleSource};
use ghtrader_store::{Dataset, Store};
use ghtrader_train::{Settings, Split, TrainError};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Horizon of the demo's label, rows.
const HORIZON_ROWS: u32 = 50;
/// Rows a day of the synthetic market: a third of a real day, which keeps the demo short.
const ROWS_PER_DAY: u32 = 12_000;
const STRATEGIES: [&str; 3] = ["taker", "maker", "score-threshold"];

/// Where the ticks come from, and what is known about them.
struct Source {
    variety: Variety,
    text: String,
    bound: Option<BestReachable>,
    notes: Vec<String>,
}

pub(crate) fn run(context: &Context, command: Demo) -> Result<ExitCode, Problem> {
    let started = Instant::now();
    let plugins = artefacts(command.plugins.as_deref())?;
    let key = input_key(&command)?;
    let context = context.rooted(&command.out, &format!("data/{}", key.short16()));
    let mut clock = Steps { started, json: context.json };
    let store = context.store()?;

    let source = if command.ticks.is_empty() {
        synthetic(&context, &command, &*store)?
    } else {
        imported(&context, &command.ticks, &*store)?
    };
    clock.done("ticks", &source.text);
    let mut notes = source.notes.clone();
    let schedule_report = schedule(&context, &*store, &source.variety, &mut notes)?;
    let schedule = main_contract::stored_schedule(&*store, &source.variety)?;
    clock.done(
        "main schedule",
        &format!("{} days, {} rolls", schedule_report["rows"], schedule.rows().last().map_or(0, |r| r.segment_id)),
    );
    let main_l5 = main_contract::build(&context, &*store, &schedule, MainL5Options::default())?;
    main_l5.check_health()?;
    clock.done("main_l5", &format!("{} rows", grouped(main_l5.rows as i64)));
    let symbol = source.variety.main_symbol();
    let mut validation = document(&quality::validated(&context, &*store, &symbol, (None, None), false)?)?;
    // As below: what was judged in an earlier run is no part of what there is.
    without(&mut validation, &["days_reused"]);
    for day in validation["days"].as_array_mut().into_iter().flatten() {
        without(day, &["reused"]);
    }
    clock.done("validation", validation["state"]["overall"].as_str().unwrap_or("done"));

    let host = plugin::host(&context)?;
    let features = [(plugin::load(&host, &plugins.join("core-factors.wasm"))?, ghtrader_plugin::Params::new())];
    let label = plugin::load(&host, &plugins.join("direction.wasm"))?;
    let (set, day_starts) =
        train::training_set(&context, &*store, &schedule, &features, &label, HORIZON_ROWS, (None, None))?;
    clock.done(
        "features and labels",
        &format!("{} rows of {} columns", grouped(set.rows() as i64), set.columns.len() + 1),
    );
    let trained = walk(&context, set, day_starts, &mut notes)?;
    let scoring = || match &trained {
        Some(trained) => trained.scoring(),
        None => Scoring::Folds { horizon_rows: HORIZON_ROWS, folds: Vec::new() },
    };
    if let Some(trained) = &trained {
        let auc = &trained.walk.pooled.auc_up_down;
        clock.done("walk-forward", &format!("AUC up against down {}", train::interval(auc)));
    }

    let mut runs: Vec<(&str, RunSpec, Prepared, RunResult, Value)> = Vec::new();
    for name in STRATEGIES {
        let spec = run_spec(name, &source.variety, &context);
        let scoring = (name == "score-threshold").then(scoring);
        let prepared = context.with_project(&*store, &host, |project| prepare(project, &spec, &plugins, scoring))?;
        let (result, report) = execute(&spec, &prepared, context.block_rows())?;
        clock.done(name, &format!("{} rows under {} fill models", grouped(result.rows as i64), result.models.len()));
        runs.push((name, spec, prepared, result, report));
    }

    let place = (&source.variety, plugins.as_path(), command.out.as_path());
    let versions = versions::run(&context, &*store, &host, place, trained.as_ref())?;
    clock.done("batch", &versions.text());

    let walk_forward = match &trained {
        Some(trained) => document(&trained.walk)?,
        None => Value::Null,
    };
    let (result_digest, output_digest) = digests(&key, &runs, &walk_forward, &versions.summary.digest);
    let strategies: Map<String, Value> = runs.iter().map(|r| (r.0.to_owned(), r.4.clone())).collect();
    let mut main_l5 = document(&main_l5)?;
    without(&mut main_l5, &["built_days", "restamped_days", "unchanged_days", "rows_without_depth", "shallow_days"]);
    let report = json!({
        "schema_version": SCHEMA_VERSION,
        "result_digest": result_digest,
        "output_digest": output_digest,
        "source": source.text,
        "schedule": schedule_report,
        "main_l5": main_l5,
        "validation": validation,
        "training": walk_forward,
        "strategies": strategies,
        "batch": versions.document(),
        "notes": notes,
    });
    let html_path = command.out.join("report.html");
    let ran: Vec<Ran<'_>> = runs
        .iter()
        .map(|(name, spec, prepared, result, report)| Ran {
            name,
            description: prepared.strategy.plugin.manifest().plugin.description.clone(),
            initial_cny: spec.account.initial_cny,
            result,
            report,
        })
        .collect();
    let last = runs.last().map(|r| (&r.2, &r.4));
    let page = Page {
        name: format!("ghTrader demo: {}", source.variety),
        command: shown_command(&command),
        result_digest: result_digest.to_string(),
        output_digest: output_digest.to_string(),
        days: last.map_or(&[], |(prepared, _)| &prepared.days[..]),
        walk_forward: None,
        training: trained.as_ref().map(|_| {
            let summary = format!(
                "Multinomial logistic regression on eleven factors predicts the direction of the mid price over {HORIZON_ROWS} rows."
            );
            (summary, walk_forward.clone(), source.bound)
        }),
        facts: vec![("source".to_owned(), source.text.clone()), ("schedule".to_owned(), schedule.hash().to_owned())],
        notes,
        provenance: last.map(|(_, report)| page::provenance(report)).unwrap_or_default(),
    };
    publish(&html_path, page::render(page, &ran)?.as_bytes())?;
    let json_path = command.out.join("report.json");
    publish(&json_path, format!("{report:#}\n").as_bytes())?;

    // Last, and beside the report: a session runs by the wall clock, so its figures are of this run.
    let session = session::run(&context, &plugins)?;
    clock.done("paper session", &session.summary());
    let answer = json!({ "session": session, "report_json": json_path, "report_html": html_path, "result_digest": result_digest,
                         "output_digest": output_digest, "strategies": summary(&report),
                         "batch": { "folder": versions.folder(), "summary_digest": versions.summary.digest,
                                    "verdict": versions.comparison.verdict } });
    emit(context.json, &answer, |_| {
        format!(
            "\n{}\n\n{}\n{}\n\n{}\n\nbatch          {}\nreport         {}\nresult digest  {result_digest}\noutput digest  {output_digest}",
            summary_table(&report),
            crate::commands::batch::summary_table(&versions.summary, 10),
            versions.comparison.sentence,
            session.table(),
            std::path::absolute(versions.folder()).unwrap_or_else(|_| versions.folder().to_path_buf()).display(),
            std::path::absolute(&html_path).unwrap_or(html_path.clone()).display()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Says on stderr what was done and how long it took since the start; times never enter a result.
struct Steps {
    started: Instant,
    json: bool,
}

impl Steps {
    fn done(&mut self, step: &str, what: &str) {
        if !self.json {
            // Nobody may be listening any more.
            let _ = writeln!(std::io::stderr(), "{:6.1} s  {step:<20} {what}", self.started.elapsed().as_secs_f64());
        }
    }
}

/// The packed reference plugins: as given, else where set-up puts them in a checkout.
fn artefacts(given: Option<&Path>) -> Result<PathBuf, Problem> {
    let guesses = [
        given.map(Path::to_path_buf),
        std::env::var_os("GHTRADER_ARTEFACTS").map(PathBuf::from),
        Some(PathBuf::from("plugins/target/artifacts")),
    ];
    let found = guesses.into_iter().flatten().find(|dir| dir.join("core-factors.wasm").is_file());
    found.ok_or_else(|| {
        Problem::new(
            "artefacts_missing",
            ErrorClass::User,
            "the packed reference plugins are not there",
            "run `cargo xtask plugins` in the checkout, or name their folder with --plugins",
        )
    })
}

/// What decides the demo's data: another input gets another data folder, and never an old one's days.
fn input_key(command: &Demo) -> Result<Digest, Problem> {
    let mut b = DigestBuilder::new("ghtrader demo inputs 1");
    if command.ticks.is_empty() {
        b.int(i64::from(command.days))
            .int(command.seed.cast_signed())
            .float(command.signal)
            .int(i64::from(ROWS_PER_DAY));
    }
    let mut files = Vec::new();
    for path in &command.ticks {
        let read = std::fs::File::open(path).and_then(Digest::of_reader);
        let (digest, _) = read.map_err(|e| {
            crate::context::io_problem("file_unreadable", &format!("cannot read {}", path.display()), &e)
        })?;
        files.push(digest);
    }
    files.sort_unstable();
    files.iter().for_each(|d| {
        b.digest(d);
    });
    Ok(b.finish())
}

fn synthetic(context: &Context, command: &Demo, store: &dyn Store) -> Result<Source, Problem> {
    let variety: Variety = "SHFE.cu".parse().map_err(bad_symbol)?;
    let mut spec = SynthSpec::new(variety.clone(), command.days, command.seed, command.signal);
    spec.rows_per_day = ROWS_PER_DAY;
    let report = data::synth_to_store(context, spec, store)?;
    context.progress.finish();
    let bound = report
        .bounds
        .iter()
        .find(|b| b.horizon_rows == HORIZON_ROWS)
        .map(|b| BestReachable { auc_up: b.auc_up, auc_up_down: b.auc_up_vs_down });
    let best = bound.map_or(String::new(), |b| format!(", best reachable AUC {:.4} up against down", b.auc_up_down));
    Ok(Source {
        variety,
        text: format!(
            "synthetic market, seed {}, signal {}, {} days, {} rows{best}",
            report.seed,
            report.signal,
            report.days,
            grouped(report.rows as i64)
        ),
        bound,
        notes: vec!["the market is synthetic: its profits say nothing about a real one".to_owned()],
    })
}

fn bad_symbol(e: ghtrader_core::SymbolError) -> Problem {
    Problem::new("bad_symbol", ErrorClass::User, e.to_string(), "")
}

/// Imports the files; the variety with the most rows that have depth is the one that is run.
fn imported(context: &Context, files: &[PathBuf], store: &dyn Store) -> Result<Source, Problem> {
    let summary = data::import_files(context, files, |_| {})?;
    let mut depth: BTreeMap<Variety, usize> = BTreeMap::new();
    for day in summary.symbol_days.iter().filter(|d| d.sha256.is_some()) {
        let ticks = store.load_day(Dataset::Ticks, &day.symbol.to_string(), day.trading_day)?;
        let view = ticks.view();
        let rows = (0..view.rows()).filter(|row| view.has_l5(*row)).count();
        *depth.entry(day.symbol.variety().clone()).or_default() += rows;
    }
    let Some((variety, rows)) = depth.iter().max_by_key(|(_, rows)| **rows) else {
        return Err(Problem::new(
            "no_rows",
            ErrorClass::User,
            "no trading day of the files could be stored",
            "see the rejects file named by `ghtrader data import`",
        ));
    };
    if *rows == 0 {
        let names: Vec<String> = depth.keys().map(Variety::to_string).collect();
        return Err(Problem::new(
            "l5_missing",
            ErrorClass::User,
            format!("the files of {} hold the best level only; the core factors need five", names.join(", ")),
            "give a file with five levels, such as a TqSdk tick file of an SHFE contract",
        ));
    }
    let mut notes = Vec::new();
    if summary.rows_rejected > 0 {
        let file = summary.rejects_file.as_ref().and_then(|f| f.file_name()).map(|f| f.to_string_lossy().into_owned());
        notes.push(format!("{} rows were rejected, see {}", summary.rows_rejected, file.unwrap_or_default()));
    }
    for day in summary.refused_days() {
        let reason = day.reason.as_deref().unwrap_or("refused");
        notes.push(format!("{} {} was not stored: {reason}", day.symbol, day.trading_day));
    }
    let others: Vec<String> = depth.keys().filter(|v| *v != variety).map(Variety::to_string).collect();
    if !others.is_empty() {
        notes.push(format!("{} is run; imported but not run: {}", variety, others.join(", ")));
    }
    Ok(Source {
        variety: variety.clone(),
        text: format!("{} files, {} rows stored", summary.files.len(), grouped(summary.rows_stored as i64)),
        bound: None,
        notes,
    })
}

/// By open interest; too few days for that rule make the most open contract of the first day the main one throughout.
fn schedule(
    context: &Context,
    store: &dyn Store,
    variety: &Variety,
    notes: &mut Vec<String>,
) -> Result<Value, Problem> {
    let source = ScheduleSource::OpenInterest(main_contract::rule(context, variety));
    let table = ContractTable::builtin();
    let report = match ghtrader_pipeline::build_main_schedule(store, variety, &source, None, &context.calendar, table) {
        Err(PipelineError::Schedule { source: ScheduleError::Empty { .. }, .. }) => {
            let (day, contract) = first_leader(store, variety)?;
            notes.push(format!(
                "one day decides nothing about the next: {contract}, with the largest open interest on {day}, is taken as main from that day on"
            ));
            let source = ScheduleSource::Events { name: "file".to_owned(), events: vec![(day, contract)] };
            main_contract::schedule(context, store, variety, &source)?
        }
        other => other?,
    };
    // What this run had to do depends on what was there before; the report says what there is.
    let mut body = document(&report)?;
    without(&mut body, &["outcome", "replaced_hash"]);
    Ok(body)
}

/// Takes fields out of a document.
fn without(body: &mut Value, fields: &[&str]) {
    if let Value::Object(map) = body {
        map.retain(|key, _| !fields.contains(&key.as_str()));
    }
}

fn first_leader(store: &dyn Store, variety: &Variety) -> Result<(TradingDay, ContractId), Problem> {
    let mut leader: Option<(TradingDay, f64, ContractId)> = None;
    for symbol in store.symbols(Dataset::Ticks)? {
        let contract: ContractId = symbol.parse().map_err(bad_symbol)?;
        let Some(day) = store.days(Dataset::Ticks, &symbol)?.first().copied().filter(|_| contract.variety() == variety)
        else {
            continue;
        };
        let ticks = store.load_day(Dataset::Ticks, &symbol, day)?;
        let open_interest = ticks.view().float(Column::OpenInterest).iter().rev().copied().find(|v| !v.is_nan());
        let open_interest = open_interest.unwrap_or(0.0);
        let better = leader.as_ref().is_none_or(|(d, oi, _)| day < *d || (day == *d && open_interest > *oi));
        if better {
            leader = Some((day, open_interest, contract));
        }
    }
    leader.map(|(day, _, contract)| (day, contract)).ok_or_else(|| {
        Problem::new("no_rows", ErrorClass::User, format!("no ticks of {variety} are stored"), "import some first")
    })
}

/// Walks forward; short data gets shorter folds, too short data no model.
fn walk(
    context: &Context,
    set: ghtrader_train::TrainingSet,
    day_starts: Vec<(TradingDay, usize)>,
    notes: &mut Vec<String>,
) -> Result<Option<train::Trained>, Problem> {
    let usual = train::settings(context);
    let short = Settings {
        split: Split::Rows { splits: 3, train_rows: None, inside_days: true },
        min_train_rows: 1_000,
        ..Settings::default()
    };
    match ghtrader_train::walk_forward(&set, &usual) {
        Ok(walk) => return Ok(Some(train::Trained { set, walk, day_starts })),
        Err(TrainError::NoFold { .. }) => {}
        Err(e) => return Err(e.into()),
    }
    match ghtrader_train::walk_forward(&set, &short) {
        Ok(walk) => {
            notes.push(format!("{} rows are few: folds inside the day, at least 1,000 training rows", set.rows()));
            Ok(Some(train::Trained { set, walk, day_starts }))
        }
        Err(e) => {
            notes.push(format!("no model was trained, so score-threshold never trades: {e}"));
            Ok(None)
        }
    }
}

fn run_spec(name: &str, variety: &Variety, context: &Context) -> RunSpec {
    let plugin = |file: &str| PluginSpec { plugin: format!("{file}.wasm"), params: BTreeMap::new() };
    let mut spec = RunSpec::of_strategy(name, &variety.to_string(), plugin(name));
    if name == "score-threshold" {
        spec.lineup.features.push(plugin("core-factors"));
        // A round trip costs about one tick of spread and one of fees: weak edges are not worth it.
        spec.lineup.strategy.params.insert("threshold".to_owned(), toml::Value::Float(0.5));
    }
    let us = |key: &str| context.settings.integer(key) as u64;
    spec.latency.feed_us = us("backtest.feed_us");
    spec.latency.order = ghtrader_backtest::Delay::Constant { us: us("backtest.order_us") };
    spec.latency.cancel = ghtrader_backtest::Delay::Constant { us: us("backtest.cancel_us") };
    spec.account.initial_cny = context.settings.number("backtest.initial_cny");
    spec.fills.central_power = context.settings.number("backtest.central_power");
    spec.metrics.annual_days = context.settings.integer("backtest.annual_days") as u32;
    spec
}

fn digests(
    key: &Digest,
    runs: &[(&str, RunSpec, Prepared, RunResult, Value)],
    walk_forward: &Value,
    batch: &Digest,
) -> (Digest, Digest) {
    let mut result = DigestBuilder::new("ghtrader demo result 1");
    let mut output = DigestBuilder::new("ghtrader demo output 1");
    result.digest(key);
    for (name, _, _, run, _) in runs {
        result.text(name).digest(&run.result_digest);
        output.text(name).digest(&run.output_digest);
    }
    output.text(&walk_forward.to_string()).digest(batch);
    (result.finish(), output.finish())
}

/// The command that makes this report again.
fn shown_command(command: &Demo) -> String {
    if command.ticks.is_empty() {
        return format!("cargo xtask demo --days {} --seed {} --signal {}", command.days, command.seed, command.signal);
    }
    let files: Vec<String> =
        command.ticks.iter().filter_map(|f| f.file_name()).map(|f| f.to_string_lossy().into_owned()).collect();
    format!("cargo xtask demo --ticks {}", files.join(" "))
}

fn summary(report: &Value) -> Value {
    let strategies = report["strategies"].as_object().cloned().unwrap_or_default();
    let one = |s: &Value| -> Value {
        let models = s["fill_models"].as_object().cloned().unwrap_or_default();
        models
            .iter()
            .map(|(name, m)| {
                let keys = ["orders", "fills", "pnl_cny", "fees_cny", "sharpe", "max_drawdown_cny"];
                let figures: Map<String, Value> = keys.iter().map(|k| ((*k).to_owned(), m[*k].clone())).collect();
                (name.clone(), Value::Object(figures))
            })
            .collect::<Map<_, _>>()
            .into()
    };
    strategies.iter().map(|(name, s)| (name.clone(), one(s))).collect::<Map<_, _>>().into()
}

fn summary_table(report: &Value) -> String {
    let number = |v: &Value| v.as_f64().map_or_else(|| "–".to_owned(), |x| grouped(x.round() as i64));
    let rows: Vec<Vec<String>> = STRATEGIES
        .iter()
        .map(|name| {
            let models = &report["strategies"][*name]["fill_models"];
            let pnl = |m: &str| number(&models[m]["pnl_cny"]);
            let low = &models["pessimistic"];
            vec![
                (*name).to_owned(),
                number(&low["orders"]),
                number(&low["fills"]),
                number(&low["fees_cny"]),
                pnl("pessimistic"),
                pnl("central"),
                pnl("optimistic"),
            ]
        })
        .collect();
    table(&["strategy", "orders", "fills", "fees CNY", "pnl pessimistic", "central", "optimistic"], &rows)
}
