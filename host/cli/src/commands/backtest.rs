//! `ghtrader backtest`: a run into a folder, and a stored run proved again.

use crate::args::Backtest;
use crate::commands::walk_forward::{self, WalkSpec, Walked};
use crate::commands::{gate, plugin};
use crate::context::{Context, io_problem, publish};
use crate::output::{emit, grouped, table};
use crate::page;
use ghtrader_backtest::{RunResult, RunSpec, equity_daily_csv, fills_csv};
use ghtrader_batch::{Prepared, execute, is_path, prepare};
use ghtrader_core::{ErrorClass, Problem};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) fn run(context: &Context, command: Backtest) -> Result<ExitCode, Problem> {
    match command {
        Backtest::Run { spec, out, replace, with } => {
            let text = read_text(&spec)?;
            let run = RunSpec::parse_with(&text, &spec.display().to_string(), &context.run_defaults(), &with)?;
            run_spec(context, &run, None, &base_of(&spec), &out, replace)?;
        }
        Backtest::WalkForward { spec, out, replace } => {
            let file = spec.display().to_string();
            let (text, walk) = WalkSpec::take(context, &read_text(&spec)?, &file)?;
            let Some(walk) = walk else {
                return Err(Problem::new(
                    "bad_spec",
                    ErrorClass::User,
                    format!("{file} has no table [walk_forward]"),
                    "add one with `label`, or run it by `ghtrader backtest run`",
                ));
            };
            let run = RunSpec::parse_with(&text, &file, &context.run_defaults(), &[])?;
            run_spec(context, &run, Some(&walk), &base_of(&spec), &out, replace)?;
        }
        Backtest::Show { dir } => {
            let report = read_report(&dir)?;
            emit(context.json, &report, figures)?;
        }
        Backtest::Verify { dir } => return verify(context, &dir),
        Backtest::Gate { dir, rules, comparison } => {
            return gate::run(context, &dir, rules.as_deref(), comparison.as_deref());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The folder of the file that names relative paths.
pub(crate) fn base_of(file: &Path) -> PathBuf {
    file.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

pub(crate) fn read_text(path: &Path) -> Result<String, Problem> {
    std::fs::read_to_string(path)
        .map_err(|e| io_problem("file_unreadable", &format!("cannot read {}", path.display()), &e))
}

pub(crate) fn read_report(dir: &Path) -> Result<Value, Problem> {
    read_document(&dir.join("report.json"))
}

/// A stored document of this program.
pub(crate) fn read_document(path: &Path) -> Result<Value, Problem> {
    serde_json::from_str(&read_text(path)?).map_err(|e| {
        Problem::new(
            "report_corrupt",
            ErrorClass::User,
            format!("{} is no report: {e}", path.display()),
            "run the specification again with --replace",
        )
    })
}

/// A run that is over.
pub(crate) struct Performed {
    pub(crate) prepared: Prepared,
    pub(crate) result: RunResult,
    pub(crate) report: Value,
    pub(crate) walk: Option<Walked>,
}

/// Runs a specification, fold by fold where it asks for a walk-forward.
fn perform(context: &Context, spec: &RunSpec, walk: Option<&WalkSpec>, base: &Path) -> Result<Performed, Problem> {
    if let Some(walk) = walk {
        return walk_forward::perform(context, spec, walk, base);
    }
    let host = plugin::host(context)?;
    let store = context.store()?;
    let prepared = context.with_project(&store, &host, |project| prepare(project, spec, base, None))?;
    let (result, report) = execute(spec, &prepared, context.block_rows())?;
    Ok(Performed { prepared, result, report, walk: None })
}

/// Runs a specification, publishes the result folder as a whole and says what came out.
fn run_spec(
    context: &Context,
    spec: &RunSpec,
    walk: Option<&WalkSpec>,
    base: &Path,
    out: &Path,
    replace: bool,
) -> Result<(), Problem> {
    let shown = out.display().to_string();
    let folder = &result_folder(out)?;
    let done = perform(context, spec, walk, base)?;
    let Performed { prepared, result, report, .. } = &done;
    if folder.join("report.json").exists() && !replace {
        let stored = read_report(folder)?;
        if stored["result_digest"] != report["result_digest"] {
            return Err(Problem::new(
                "exists",
                ErrorClass::Conflict,
                format!(
                    "{} holds another result, {}",
                    folder.display(),
                    stored["result_digest"].as_str().unwrap_or("unreadable")
                ),
                "choose another --out, or give --replace",
            ));
        }
    }
    // Paths in the stored specification are resolved, and references are digests, so that the result can be run again
    // from anywhere and at any time.
    let mut resolved = spec.clone();
    let full =
        |path: &str| std::path::absolute(base.join(path)).unwrap_or_else(|_| base.join(path)).display().to_string();
    let named = resolved.lineup.features.iter_mut().chain([&mut resolved.lineup.strategy]);
    for (plugin, (digest, _)) in named.zip(&prepared.identity.components) {
        let path = is_path(base, &plugin.plugin);
        plugin.plugin = if path { full(&plugin.plugin) } else { format!("sha256:{digest}") };
    }
    if let Some(model) = &mut resolved.lineup.model {
        model.artifact = full(&model.artifact);
    }
    let mut text = toml::to_string(&resolved).map_err(|e| {
        Problem::new("not_toml", ErrorClass::Internal, format!("a specification is no TOML: {e}"), "report this")
    })?;
    let mut verb = "run";
    if let Some(walk) = walk {
        text.push_str(&walk.stored(full(&walk.label))?);
        verb = "walk-forward";
    }
    let command = format!("ghtrader backtest {verb} {shown}/run.toml --out {shown}");
    let html = page::of_run(&spec.name, &command, prepared, spec, result, report, done.walk.as_ref())?;
    write_result(folder, &text, result, report, &html)?;
    let mut answer = json!({
        "result_digest": result.result_digest,
        "output_digest": result.output_digest,
        "pnl_cny": result.models.iter().map(|(n, _, m)| (n.as_str().to_owned(), json!(m.pnl_cny))).collect::<serde_json::Map<_, _>>(),
        "out": out,
    });
    if done.walk.is_some() {
        answer["walk_forward"] = report["walk_forward"]["trading"].clone();
    }
    emit(context.json, &answer, |_| {
        let folds = done.walk.as_ref().map_or_else(String::new, |w| format!("\n\n{}", w.table()));
        format!("{}{folds}\nreport {}", figures(report), out.join("report.html").display())
    })
}

/// Where a result may go: a new folder, an empty one, or one that holds a result. Anything else is somebody's.
fn result_folder(out: &Path) -> Result<PathBuf, Problem> {
    let taken = |what: String| {
        Problem::new("exists", ErrorClass::Conflict, what, "choose a new folder for --out, such as runs/maker")
    };
    let full = std::path::absolute(out).map_err(|e| io_problem("unwritable", "--out cannot be resolved", &e))?;
    if !matches!(full.components().next_back(), Some(std::path::Component::Normal(_))) {
        return Err(taken(format!("{} is no folder of its own", out.display())));
    }
    for (folder, ours) in
        [(full.clone(), "report.json"), (beside(&full, ".tmp"), "run.toml"), (beside(&full, ".old"), "report.json")]
    {
        let empty = match std::fs::read_dir(&folder) {
            Ok(mut entries) => entries.next().is_none(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => true,
            Err(e) => return Err(io_problem("unwritable", &format!("cannot read {}", folder.display()), &e)),
        };
        let partial = folder.join(format!("{ours}.tmp"));
        if !empty && !folder.join(ours).is_file() && !partial.is_file() {
            return Err(taken(format!("{} holds something that is no result", folder.display())));
        }
    }
    Ok(full)
}

/// A name beside a result folder; fixed, so that what a killed run left behind is found and swept by the next one.
fn beside(out: &Path, what: &str) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_os_string();
    name.push(what);
    out.with_file_name(name)
}

/// Writes a result folder under a temporary name and renames it; `report.json` is what makes it count.
fn write_result(out: &Path, spec: &str, result: &RunResult, report: &Value, html: &str) -> Result<(), Problem> {
    let (temporary, old) = (beside(out, ".tmp"), beside(out, ".old"));
    for left in [&temporary, &old] {
        match std::fs::remove_dir_all(left) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(io_problem("unwritable", &format!("cannot remove {}", left.display()), &e));
            }
            _ => {}
        }
    }
    publish(&temporary.join("run.toml"), spec.as_bytes())?;
    publish(&temporary.join("equity_daily.csv"), equity_daily_csv(result).as_bytes())?;
    for (name, record, _) in &result.models {
        publish(
            &temporary.join(format!("fills_{}.csv", name.as_str())),
            fills_csv(record, &result.contracts).as_bytes(),
        )?;
    }
    publish(&temporary.join("report.html"), html.as_bytes())?;
    publish(&temporary.join("report.json"), format!("{report:#}\n").as_bytes())?;
    let failed = |e: &std::io::Error| io_problem("unwritable", &format!("cannot publish {}", out.display()), e);
    if out.exists() {
        std::fs::rename(out, &old).map_err(|e| failed(&e))?;
        std::fs::rename(&temporary, out).map_err(|e| failed(&e))?;
        return std::fs::remove_dir_all(&old).map_err(|e| failed(&e));
    }
    std::fs::rename(&temporary, out).map_err(|e| failed(&e))
}

/// A stored result, run again.
pub(crate) struct Repeated {
    pub(crate) stored: Value,
    pub(crate) again: Performed,
}

/// Runs a stored result again from the specification beside it.
pub(crate) fn repeat(context: &Context, dir: &Path) -> Result<Repeated, Problem> {
    let stored = read_report(dir)?;
    let path = dir.join("run.toml");
    let file = path.display().to_string();
    let (text, walk) = WalkSpec::take(context, &read_text(&path)?, &file)?;
    let spec = RunSpec::parse(&text, &file, &[])?;
    Ok(Repeated { stored, again: perform(context, &spec, walk.as_ref(), Path::new(""))? })
}

/// Runs a stored result again: every digest has to be what it was.
fn verify(context: &Context, dir: &Path) -> Result<ExitCode, Problem> {
    let Repeated { stored, again } = repeat(context, dir)?;
    let report = again.report;
    let mut differences = Vec::new();
    compare("", &stored, &report, &mut differences);
    let body = json!({ "equal": differences.is_empty(), "differences": differences,
                       "result_digest": report["result_digest"], "output_digest": report["output_digest"] });
    emit(context.json, &body, |_| {
        if differences.is_empty() {
            format!("equal: {}", report["output_digest"].as_str().unwrap_or_default())
        } else {
            format!("{} differences\n  {}", differences.len(), differences.join("\n  "))
        }
    })?;
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(ErrorClass::Negative.exit_code()) })
}

/// Paths at which two documents differ, the first hundred; where plugins lie is no part of a result.
fn compare(path: &str, a: &Value, b: &Value, out: &mut Vec<String>) {
    if out.len() >= 100 || path.starts_with("/spec/lineup") {
        return;
    }
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let keys: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
            for key in keys {
                let null = Value::Null;
                compare(&format!("{path}/{key}"), x.get(key).unwrap_or(&null), y.get(key).unwrap_or(&null), out);
            }
        }
        _ if a == b => {}
        _ => out.push(format!("{path}: stored {}, now {}", short(a), short(b))),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 { format!("{}…", text.chars().take(60).collect::<String>()) } else { text }
}

/// One line a fill model.
pub(crate) fn figures(report: &Value) -> String {
    let number = |v: &Value| v.as_f64().map_or_else(|| "–".to_owned(), |x| grouped(x.round() as i64));
    let fraction = |v: &Value| v.as_f64().map_or_else(|| "–".to_owned(), |x| format!("{x:.2}"));
    let models = report["fill_models"].as_object().cloned().unwrap_or_default();
    let rows: Vec<Vec<String>> = ["pessimistic", "central", "optimistic", "cross_only", "touch"]
        .iter()
        .filter_map(|name| models.get(*name).map(|m| (name, m)))
        .map(|(name, m)| {
            vec![
                (*name).to_owned(),
                number(&m["orders"]),
                number(&m["fills"]),
                number(&m["pnl_cny"]),
                number(&m["fees_cny"]),
                fraction(&m["sharpe"]),
                number(&m["max_drawdown_cny"]),
            ]
        })
        .collect();
    table(&["fill model", "orders", "fills", "pnl CNY", "fees CNY", "sharpe", "max drawdown CNY"], &rows)
}
