//! `ghtrader backtest`: a run into a folder, and a stored run proved again.

use crate::args::Backtest;
use crate::commands::walk_forward::{self, WalkSpec, Walked};
use crate::commands::{check, gate, plugin};
use crate::context::{Context, io_problem, publish};
use crate::output::{emit, grouped, table};
use crate::page;
use ghtrader_backtest::{RunResult, RunSpec, equity_daily_csv, fills_csv, result_tables};
use ghtrader_batch::{Prepared, execute, is_path, prepare};
use ghtrader_core::{Digest, ErrorClass, Problem};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) fn run(context: &Context, command: Backtest) -> Result<ExitCode, Problem> {
    match command {
        Backtest::Run { spec, out, replace, with } => {
            let (run, base) = read_spec(context, &read_text(&spec)?, &spec, &with)?;
            run_spec(context, &run, None, &base, &out, replace)?;
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
            let (run, base) = read_spec(context, &text, &spec, &[])?;
            run_spec(context, &run, Some(&walk), &base, &out, replace)?;
        }
        Backtest::Show { dir } => {
            let report = read_report(&dir)?;
            emit(context.json, &report, figures)?;
        }
        Backtest::Verify { dir } => return verify(context, &dir),
        Backtest::Check { run, seed, native } => return check::run(context, &run, seed, &native),
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

/// A run specification with the traces that it names, and the folder that its paths are relative to.
fn read_spec(context: &Context, text: &str, file: &Path, with: &[String]) -> Result<(RunSpec, PathBuf), Problem> {
    let (shown, base) = (file.display().to_string(), base_of(file));
    let mut run = RunSpec::parse_with(text, &shown, &context.run_defaults(), with)?;
    run.read_traces(&shown, |trace| std::fs::read_to_string(base.join(trace)))?;
    Ok((run, base))
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
    let prepared = context.with_project(&*store, &host, |project| prepare(project, spec, base, None))?;
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
    for (name, bytes) in result_files(result)? {
        publish(&temporary.join(name), &bytes)?;
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

/// The tables of a result by file name: for data frames, and as text.
fn result_files(result: &RunResult) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let mut files = vec![("equity_daily.csv".to_owned(), equity_daily_csv(result).into_bytes())];
    for (name, record, _) in &result.models {
        files.push((format!("fills_{}.csv", name.as_str()), fills_csv(record, &result.contracts).into_bytes()));
    }
    files.extend(result_tables(result)?.map(|(name, bytes)| (name.to_owned(), bytes)));
    Ok(files)
}

/// Says where a stored file is not what it has to be.
fn file_difference(dir: &Path, name: &str, now: &[u8]) -> Option<String> {
    let stored = match std::fs::read(dir.join(name)) {
        Ok(stored) if stored == now => return None,
        Ok(stored) => stored,
        Err(e) => return Some(format!("{name}: cannot be read: {e}")),
    };
    let (Ok(stored_text), Ok(now_text)) = (std::str::from_utf8(&stored), std::str::from_utf8(now)) else {
        return Some(format!("{name}: stored {}, now {}", Digest::of(&stored), Digest::of(now)));
    };
    let (mut old, mut new) = (stored_text.lines(), now_text.lines());
    let line = (1..).find_map(|line| match (old.next(), new.next()) {
        (None, None) => Some((line, String::new(), String::new())),
        (a, b) if a == b => None,
        (a, b) => Some((line, a.unwrap_or("nothing").to_owned(), b.unwrap_or("nothing").to_owned())),
    });
    line.map(|(line, old, new)| format!("{name} line {line}: stored {old}, now {new}"))
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

/// Runs a stored result again: every digest and every table has to be what it was.
fn verify(context: &Context, dir: &Path) -> Result<ExitCode, Problem> {
    let Repeated { stored, again } = repeat(context, dir)?;
    let Performed { report, result, .. } = again;
    let mut differences = Vec::new();
    compare("", &stored, &report, &mut differences);
    for (name, bytes) in result_files(&result)? {
        differences.extend(file_difference(dir, &name, &bytes));
    }
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

/// Figures that a terminal has room for: key of the report, name, decimals.
const FIGURES: [(&str, &str, usize); 14] = [
    ("orders", "orders", 0),
    ("fills", "fills", 0),
    ("lots", "lots", 0),
    ("pnl_cny", "pnl CNY", 0),
    ("gross_pnl_cny", "before fees CNY", 0),
    ("fees_cny", "fees CNY", 0),
    ("sharpe", "sharpe", 2),
    ("max_drawdown_cny", "max drawdown CNY", 0),
    ("round_trips", "round trips", 0),
    ("hit_rate", "hit rate", 3),
    ("profit_factor", "profit factor", 2),
    ("maker_share", "maker share", 3),
    ("fill_ratio", "fill ratio", 3),
    ("slippage_ticks", "slippage ticks", 3),
];

/// The bracket beside every number: a line a figure, a column a fill model, from low to high.
pub(crate) fn figures(report: &Value) -> String {
    let models: Vec<(&str, &Value)> = ["pessimistic", "central", "optimistic", "cross_only", "touch"]
        .into_iter()
        .filter_map(|name| Some((name, report["fill_models"].get(name)?)))
        .collect();
    let cell = |value: &Value, decimals: usize| match (value.as_f64(), decimals) {
        (None, _) => "–".to_owned(),
        (Some(x), 0) => grouped(x.round() as i64),
        (Some(x), _) => format!("{x:.decimals$}"),
    };
    let rows: Vec<Vec<String>> = FIGURES
        .iter()
        .map(|(key, name, decimals)| {
            let cells = models.iter().map(|(_, figures)| cell(&figures[*key], *decimals));
            std::iter::once((*name).to_owned()).chain(cells).collect()
        })
        .collect();
    let head: Vec<&str> = std::iter::once("").chain(models.iter().map(|(name, _)| *name)).collect();
    table(&head, &rows)
}
