//! `ghtrader plugin`: artefacts made, checked and evaluated.

mod gc;

use super::{author, registry};
use crate::args::{Plugin as Command, Target};
use crate::context::{Context, io_problem, publish};
use crate::output::{emit, grouped};
pub(crate) use ghtrader_batch::load_plugin as load;
use ghtrader_core::{
    Border, Calendar, ContractId, ContractTable, Digest, ErrorClass, Problem, SymbolError, TradingDay, Variety,
    day_borders,
};
use ghtrader_market::{PlainTicks, read_plain};
use ghtrader_pipeline::{compute_feature_columns, compute_label_columns, fixture_of, session_ranges, standard_fixture};
use ghtrader_plugin::{
    Boundary, Check, CostCard, Finding, Fixture, HostConfig, Instrument, Limits, Params, Plugin, PluginHost,
    PluginManifest, Reach, Role,
};
use serde::Serialize;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

pub(crate) fn run(context: &Context, command: Command) -> Result<ExitCode, Problem> {
    match command {
        Command::New { role, name, dir } => return author::new(context, role.into(), &name, dir),
        Command::Build { dir } => return author::build::run(context, &dir),
        Command::Test { dir } => return author::test(context, &dir),
        Command::Watch { var, account, dir, rounds } => {
            return author::watch(context, &Target { var, account }, &dir, rounds);
        }
        Command::Push { artefact, tag, key } => registry::push(context, artefact, tag.as_deref(), key.as_deref())?,
        Command::List { role, name } => registry::list(context, role, name.as_deref())?,
        Command::Show { plugin } => registry::show(context, &plugin)?,
        Command::Tag { name, tag, version, if_match, reason } => {
            registry::tag(context, &name, &tag, version.as_deref(), if_match, &reason)?;
        }
        Command::Diff { a, b } => registry::diff(context, &a, &b)?,
        Command::Remove { plugin, reason } => registry::remove(context, &plugin, &reason)?,
        Command::Gc { apply } => gc::run(context, apply.as_ref())?,
        Command::Sign { artefact, key } => registry::sign(context, &artefact, &key)?,
        Command::Keys { key, new } => registry::keys(context, &key, new)?,
        Command::Pack { module, manifest, out } => pack(context, &module, &manifest, &out)?,
        Command::Check { artefact } => return check(context, &artefact),
        Command::Eval { artefact, input, output, block, params, symbol } => {
            let report = eval(context, &artefact, &input, &output, block, &params, symbol.as_deref())?;
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
    PluginHost::new(host_config(context)).map_err(|f| Finding::into_problem(&[f]))
}

/// The limits of the settings.
pub(crate) fn host_config(context: &Context) -> HostConfig {
    let whole = |key: &str| context.settings.integer(key);
    HostConfig {
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
        max_instances: whole("plugin.max_instances") as u32,
        compile_cache_mib: whole("plugin.compile_cache_mib") as u64,
        ..HostConfig::default()
    }
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
    let fixture = fixture(context, manifest, &text)?;
    let artefact =
        ghtrader_plugin::pack(&read(module)?, &text, fixture.as_ref()).map_err(|f| Finding::into_problem(&f))?;
    publish(out, &artefact)?;
    let body = serde_json::json!({ "artefact": out, "digest": Digest::of(&artefact), "bytes": artefact.len() });
    emit(context.json, &body, |b| {
        format!("{}  {} bytes  {}", out.display(), b["bytes"], b["digest"].as_str().unwrap_or_default())
    })
}

/// The fixture that a manifest names, a file of tick columns beside it; a manifest that cannot be read is the packer's to refuse.
pub(crate) fn fixture(context: &Context, manifest: &Path, text: &str) -> Result<Option<Fixture>, Problem> {
    let Ok(PluginManifest { plugin: about, self_test: Some(test), .. }) = PluginManifest::from_toml(text) else {
        return Ok(None);
    };
    let path = manifest.parent().unwrap_or(Path::new("")).join(test.fixture);
    let ticks = read_plain(&path, &context.calendar)?;
    let instrument = instrument(about.role, None, &ticks, &path)?;
    Ok(Some(fixture_of(ticks, instrument, &context.calendar)))
}

fn check(context: &Context, artefact: &Path) -> Result<ExitCode, Problem> {
    #[derive(Serialize)]
    struct Answer {
        admitted: bool,
        digest: Digest,
        identity: Option<String>,
        findings: Vec<Finding>,
        checks: Vec<Check>,
        cost: Option<CostCard>,
    }
    let bytes = read(artefact)?;
    let admission = host(context)?.admit(&bytes, &standard_fixture(&context.calendar));
    let answer = Answer {
        admitted: admission.findings.is_empty(),
        digest: Digest::of(&bytes),
        identity: admission.plugin.map(|p| p.identity().to_string()),
        findings: admission.findings,
        checks: admission.checks,
        cost: admission.cost,
    };
    emit(context.json, &answer, |a| match &a.identity {
        Some(identity) => {
            let passed = a.checks.iter().filter(|c| c.passed).count();
            format!("{identity} is admitted by {passed} checks, digest {}", a.digest)
        }
        None => {
            let lines: Vec<String> = a.findings.iter().map(shown).collect();
            format!("{}\n{} findings", lines.join("\n"), lines.len())
        }
    })?;
    Ok(if answer.admitted { ExitCode::SUCCESS } else { ExitCode::from(ErrorClass::Negative.exit_code()) })
}

/// A finding with its place.
fn shown(finding: &Finding) -> String {
    let place = if finding.place.is_empty() { String::new() } else { format!(" ({})", finding.place) };
    format!("{}{place}: {}\n  help: {}", finding.code, finding.what, finding.remedy)
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

/// What an instance is told about a file's contract. A label reads the price tick, which an unknown symbol has not.
fn instrument(role: Role, symbol: Option<&str>, ticks: &PlainTicks, path: &Path) -> Result<Instrument, Problem> {
    let named = symbol.or(ticks.symbol.as_deref());
    match (named, role) {
        (Some(name), _) => {
            let contract: ContractId = name.parse().map_err(|e: SymbolError| {
                Problem::new(
                    "bad_symbol",
                    ErrorClass::User,
                    format!("{}: {e}", path.display()),
                    "name the contract with --symbol",
                )
            })?;
            let day = ticks.days.first().map_or(TradingDay::from_days(0), |(_, day)| *day);
            let spec = ContractTable::builtin().spec(contract.variety(), day)?;
            Ok(Instrument { symbol: contract.to_string(), price_tick: spec.price_tick, multiplier: spec.multiplier })
        }
        (None, Role::Label) => Err(Problem::new(
            "symbol_missing",
            ErrorClass::User,
            format!("{} names no contract, so its price tick is not known", path.display()),
            "name the contract with --symbol SHFE.cu2602",
        )),
        (None, _) => Ok(Instrument { symbol: String::new(), price_tick: f64::NAN, multiplier: f64::NAN }),
    }
}

fn eval(
    context: &Context,
    artefact: &Path,
    input: &Path,
    output: &Path,
    block: u32,
    params: &[String],
    symbol: Option<&str>,
) -> Result<EvalReport, Problem> {
    let host = host(context)?;
    let plugin = load(&host, artefact)?;
    let given = pairs(params)?;
    let params = plugin
        .manifest()
        .parse_params(given.iter().map(|(k, v)| (k.as_str(), v.as_str())))
        .map_err(|f| Finding::into_problem(&f))?;
    let role = plugin.manifest().plugin.role;
    let ticks = read_plain(input, &context.calendar)?;
    let instrument = instrument(role, symbol, &ticks, input)?;
    let windows = Windows {
        calendar: &context.calendar,
        variety: instrument.symbol.parse().ok().map(|c: ContractId| c.variety().clone()),
    };
    let started = Instant::now();
    let (outputs, columns, memory_bytes) = match role {
        Role::Feature => eval_feature(&windows, &plugin, &params, &instrument, &ticks, block as usize)?,
        Role::Label => eval_label(&windows, &plugin, &params, &instrument, &ticks, block as usize)?,
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
    let rows = ticks.ticks.rows();
    let mut text = format!("datetime_ns,{}\n", outputs.join(","));
    for (row, ts_ns) in ticks.ticks.ts_ns.iter().enumerate() {
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

/// Where a day's session windows come from; a file of no known contract has one window a day.
struct Windows<'a> {
    calendar: &'a Calendar,
    variety: Option<Variety>,
}

/// Rows of each day with the borders inside it.
fn day_parts<'a>(
    windows: &'a Windows<'_>,
    ticks: &'a PlainTicks,
) -> impl Iterator<Item = (Range<usize>, Vec<Border>)> + 'a {
    ticks.days.iter().enumerate().map(|(i, (start, day))| {
        let end = ticks.days.get(i + 1).map_or(ticks.ticks.rows(), |(next, _)| *next);
        let sessions = windows.variety.as_ref().map_or(Vec::new(), |v| windows.calendar.session_windows(v, *day));
        (*start..end, day_borders(&ticks.ticks.ts_ns[*start..end], &sessions))
    })
}

fn eval_feature(
    windows: &Windows<'_>,
    plugin: &Plugin,
    params: &Params,
    instrument: &Instrument,
    ticks: &PlainTicks,
    block_rows: usize,
) -> Result<Evaluated, Problem> {
    let mut instance = plugin.feature(params, instrument)?;
    let outputs: Vec<String> = instance.description().outputs.iter().map(|o| o.name.clone()).collect();
    let mut columns = vec![Vec::new(); outputs.len()];
    let view = ticks.ticks.view();
    for (rows, borders) in day_parts(windows, ticks) {
        instance.boundary(Boundary::TradingDay)?;
        let part = compute_feature_columns(&mut *instance, &view.slice(rows), &borders, block_rows)?;
        columns.iter_mut().zip(part).for_each(|(to, from)| to.extend(from));
    }
    let memory = instance.memory_bytes().unwrap_or(0);
    Ok((outputs, columns, memory))
}

fn eval_label(
    windows: &Windows<'_>,
    plugin: &Plugin,
    params: &Params,
    instrument: &Instrument,
    ticks: &PlainTicks,
    block_rows: usize,
) -> Result<Evaluated, Problem> {
    let mut instance = plugin.label(params, instrument)?;
    let outputs: Vec<String> = instance.description().outputs.iter().map(|o| o.name.clone()).collect();
    let rows = ticks.ticks.rows();
    let mut ranges = Vec::new();
    match plugin.manifest().plugin.reach.unwrap_or_default() {
        Reach::Session => {
            for (day, borders) in day_parts(windows, ticks) {
                let inside = session_ranges(day.len(), &borders).into_iter();
                ranges.extend(inside.map(|r| r.start + day.start..r.end + day.start));
            }
        }
        Reach::Day => ranges.extend(day_parts(windows, ticks).map(|(day, _)| day)),
        Reach::Segment => ranges.push(0..rows),
    }
    let columns = compute_label_columns(&mut *instance, &ticks.ticks.view(), &ranges, rows, block_rows)?;
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
