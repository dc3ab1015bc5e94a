//! `ghtrader plugin`: artefacts made, checked and evaluated.

use crate::args::Plugin as Command;
use crate::context::{Context, io_problem, publish};
use crate::output::{emit, grouped};
use ghtrader_core::{
    Border, Calendar, ContractId, ContractTable, Digest, ErrorClass, Problem, TickTable, TradingDay, day_borders,
};
use ghtrader_market::{ReadOptions, SymbolDay, TickFile};
use ghtrader_pipeline::{compute_feature_columns, compute_label_columns, session_ranges};
use ghtrader_plugin::{Boundary, Finding, HostConfig, Instrument, Limits, Params, Plugin, PluginHost, Reach, Role};
use serde::Serialize;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

pub(crate) fn run(context: &Context, command: Command) -> Result<ExitCode, Problem> {
    match command {
        Command::Pack { module, manifest, out } => pack(context, &module, &manifest, &out)?,
        Command::Check { artefact } => return check(context, &artefact),
        Command::Eval { artefact, input, output, block, params } => {
            let report = eval(context, &artefact, &input, &output, block, &params)?;
            emit(context.json, &report, |r| {
                format!(
                    "{} rows, {} outputs, {} ns a row, peak {} MiB, output digest {}",
                    grouped(r.rows as i64),
                    r.outputs.len(),
                    r.ns_per_row,
                    r.peak_memory_mib,
                    r.output_digest
                )
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|e| io_problem("file_unreadable", &format!("cannot read {}", path.display()), &e))
}

/// A plugin host with the limits of the settings; compiled code is kept under the data folder.
pub(crate) fn host(context: &Context) -> Result<PluginHost, Problem> {
    let whole = |key: &str| context.settings.integer(key);
    let config = HostConfig {
        compile_cache: Some(context.dir("data_dir").join("cache").join("compiled")),
        limits: Limits {
            memory_mib: whole("plugin.memory_mib") as u32,
            live_call_cpu_ms: whole("plugin.live_call_cpu_ms") as u32,
            block_call_cpu_ms: whole("plugin.block_call_cpu_ms") as u32,
            wall_limit_ms: whole("plugin.wall_limit_ms") as u32,
            output_mib: whole("plugin.output_mib") as u32,
        },
        log_lines_per_s: whole("plugin.log_lines_per_s") as u32,
        log_line_bytes: whole("plugin.log_line_bytes") as usize,
        ..HostConfig::default()
    };
    PluginHost::new(config).map_err(|f| Finding::into_problem(&[f]))
}

/// Loads an artefact; all findings make one problem.
pub(crate) fn load(host: &PluginHost, path: &Path) -> Result<Arc<Plugin>, Problem> {
    host.load(&read(path)?).map_err(|findings| {
        let problem = Finding::into_problem(&findings);
        Problem { what: format!("{}: {}", path.display(), problem.what), ..problem }
    })
}

fn pack(context: &Context, module: &Path, manifest: &Path, out: &Path) -> Result<(), Problem> {
    let text = String::from_utf8(read(manifest)?).map_err(|_| {
        Problem::new(
            "manifest_not_text",
            ErrorClass::User,
            format!("{} is no UTF-8", manifest.display()),
            "save it as UTF-8",
        )
    })?;
    let artefact = ghtrader_plugin::pack(&read(module)?, &text).map_err(|f| Finding::into_problem(&f))?;
    publish(out, &artefact)?;
    let body = serde_json::json!({ "artefact": out, "digest": Digest::of(&artefact), "bytes": artefact.len() });
    emit(context.json, &body, |b| {
        format!("{}  {} bytes  {}", out.display(), b["bytes"], b["digest"].as_str().unwrap_or_default())
    })
}

fn check(context: &Context, artefact: &Path) -> Result<ExitCode, Problem> {
    #[derive(Serialize)]
    struct Answer {
        admitted: bool,
        digest: Digest,
        identity: Option<String>,
        findings: Vec<Finding>,
    }
    let bytes = read(artefact)?;
    let (identity, findings) = match host(context)?.load(&bytes) {
        Ok(plugin) => (Some(plugin.identity().to_string()), Vec::new()),
        Err(findings) => (None, findings),
    };
    let answer = Answer { admitted: findings.is_empty(), digest: Digest::of(&bytes), identity, findings };
    emit(context.json, &answer, |a| {
        let lines: Vec<String> =
            a.findings.iter().map(|f| format!("{}: {}\n  help: {}", f.code, f.what, f.remedy)).collect();
        match &a.identity {
            Some(identity) => format!("{identity} is admitted, digest {}", a.digest),
            None => format!("{}\n{} findings", lines.join("\n"), lines.len()),
        }
    })?;
    Ok(if answer.admitted { ExitCode::SUCCESS } else { ExitCode::from(ErrorClass::Negative.exit_code()) })
}

#[derive(Serialize)]
struct EvalReport {
    rows: u64,
    outputs: Vec<String>,
    digest: Digest,
    output_digest: Digest,
    ns_per_row: u64,
    peak_memory_mib: u64,
}

/// One contract's rows of all days of a tick CSV, in time order, and the row at which each day starts.
struct Ticks {
    contract: ContractId,
    rows: TickTable,
    days: Vec<(usize, TradingDay)>,
}

fn read_ticks(path: &Path, calendar: &Calendar) -> Result<Ticks, Problem> {
    let options = ReadOptions { calendar, ..ReadOptions::default() };
    let file = TickFile::open(path, &options)?;
    let read = file.read(&options)?;
    if let Some(first) = read.rejects.first() {
        return Err(Problem::new(
            "bad_row",
            ErrorClass::User,
            format!(
                "{}: {} rows cannot be read, the first is line {}: {}",
                path.display(),
                read.rejects.len(),
                first.line,
                first.detail
            ),
            "mend the rows, or import the file, which sets them aside, and evaluate over the store",
        ));
    }
    let mut ticks = Ticks { contract: file.contract.clone(), rows: TickTable::default(), days: Vec::new() };
    for part in read.days {
        let phases = calendar.day_phases(file.contract.variety(), part.day);
        let day = SymbolDay::assemble(&file.contract, &phases, vec![part.pieces]);
        ticks.days.push((ticks.rows.rows(), day.day));
        ticks.rows.extend_from(&day.ticks.view(), 0..day.ticks.rows());
    }
    if ticks.rows.rows() == 0 {
        return Err(Problem::new(
            "no_rows",
            ErrorClass::User,
            format!("{} holds no rows", path.display()),
            "give a file with rows",
        ));
    }
    Ok(ticks)
}

fn eval(
    context: &Context,
    artefact: &Path,
    input: &Path,
    output: &Path,
    block: u32,
    params: &[String],
) -> Result<EvalReport, Problem> {
    let host = host(context)?;
    let plugin = load(&host, artefact)?;
    let given = pairs(params)?;
    let params = plugin
        .manifest()
        .parse_params(given.iter().map(|(k, v)| (k.as_str(), v.as_str())))
        .map_err(|f| Finding::into_problem(&f))?;
    let ticks = read_ticks(input, &context.calendar)?;
    let spec = ContractTable::builtin().spec(ticks.contract.variety(), ticks.days[0].1)?;
    let instrument =
        Instrument { symbol: ticks.contract.to_string(), price_tick: spec.price_tick, multiplier: spec.multiplier };
    let started = Instant::now();
    let (outputs, columns, memory_bytes) = match plugin.manifest().plugin.role {
        Role::Feature => eval_feature(&context.calendar, &plugin, &params, &instrument, &ticks, block as usize)?,
        Role::Label => eval_label(&context.calendar, &plugin, &params, &instrument, &ticks, block as usize)?,
        Role::Strategy => {
            return Err(Problem::new(
                "wrong_role",
                ErrorClass::User,
                format!("{} is a strategy; only features and labels make columns", plugin.identity()),
                "run a strategy with `ghtrader backtest run`",
            ));
        }
    };
    let elapsed = started.elapsed();
    let rows = ticks.rows.rows();
    let mut text = format!("datetime_ns,{}\n", outputs.join(","));
    for (row, ts_ns) in ticks.rows.ts_ns.iter().enumerate() {
        // Writing to a text cannot fail.
        let _ = write!(text, "{ts_ns}");
        for column in &columns {
            let _ = write!(text, ",{}", column[row]);
        }
        text.push('\n');
    }
    publish(output, text.as_bytes())?;
    Ok(EvalReport {
        rows: rows as u64,
        outputs,
        digest: plugin.digest(),
        output_digest: Digest::of(text.as_bytes()),
        ns_per_row: (elapsed.as_nanos() / rows as u128) as u64,
        peak_memory_mib: memory_bytes.div_ceil(1 << 20),
    })
}

/// Names, columns and memory of an evaluation.
type Evaluated = (Vec<String>, Vec<Vec<f64>>, u64);

/// Rows of each day with the borders inside it.
fn day_parts<'a>(calendar: &'a Calendar, ticks: &'a Ticks) -> impl Iterator<Item = (Range<usize>, Vec<Border>)> + 'a {
    ticks.days.iter().enumerate().map(|(i, (start, day))| {
        let end = ticks.days.get(i + 1).map_or(ticks.rows.rows(), |(next, _)| *next);
        let windows = calendar.session_windows(ticks.contract.variety(), *day);
        (*start..end, day_borders(&ticks.rows.ts_ns[*start..end], &windows))
    })
}

fn eval_feature(
    calendar: &Calendar,
    plugin: &Plugin,
    params: &Params,
    instrument: &Instrument,
    ticks: &Ticks,
    block_rows: usize,
) -> Result<Evaluated, Problem> {
    let mut instance = plugin.feature(params, instrument)?;
    let outputs: Vec<String> = instance.description().outputs.iter().map(|o| o.name.clone()).collect();
    let mut columns = vec![Vec::new(); outputs.len()];
    let view = ticks.rows.view();
    for (rows, borders) in day_parts(calendar, ticks) {
        instance.boundary(Boundary::TradingDay)?;
        let part = compute_feature_columns(&mut *instance, &view.slice(rows), &borders, block_rows)?;
        columns.iter_mut().zip(part).for_each(|(to, from)| to.extend(from));
    }
    let memory = instance.memory_bytes().unwrap_or(0);
    Ok((outputs, columns, memory))
}

fn eval_label(
    calendar: &Calendar,
    plugin: &Plugin,
    params: &Params,
    instrument: &Instrument,
    ticks: &Ticks,
    block_rows: usize,
) -> Result<Evaluated, Problem> {
    let mut instance = plugin.label(params, instrument)?;
    let outputs: Vec<String> = instance.description().outputs.iter().map(|o| o.name.clone()).collect();
    let rows = ticks.rows.rows();
    let mut ranges = Vec::new();
    match plugin.manifest().plugin.reach.unwrap_or_default() {
        Reach::Session => {
            for (day, borders) in day_parts(calendar, ticks) {
                let inside = session_ranges(day.len(), &borders).into_iter();
                ranges.extend(inside.map(|r| r.start + day.start..r.end + day.start));
            }
        }
        Reach::Day => ranges.extend(day_parts(calendar, ticks).map(|(day, _)| day)),
        Reach::Segment => ranges.push(0..rows),
    }
    let columns = compute_label_columns(&mut *instance, &ticks.rows.view(), &ranges, rows, block_rows)?;
    let memory = instance.memory_bytes().unwrap_or(0);
    Ok((outputs, columns, memory))
}

/// `name=value` as typed.
pub(crate) fn pairs(params: &[String]) -> Result<Vec<(String, String)>, Problem> {
    params
        .iter()
        .map(|p| {
            let (name, value) = p.split_once('=').ok_or_else(|| {
                Problem::new(
                    "usage",
                    ErrorClass::User,
                    format!("`{p}` is no name=value"),
                    "write --param horizon_rows=50",
                )
            })?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}
