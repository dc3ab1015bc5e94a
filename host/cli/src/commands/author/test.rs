//! `ghtrader plugin test`: the author's own tests, admission, and three ways of running that must agree to the bit.

use super::build::{Built, build, run_cargo};
use super::{PluginCrate, cargo_missing, native};
use crate::commands::plugin::fixture;
use crate::commands::registry::cost_card;
use crate::context::Context;
use crate::output::{emit, grouped};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_pipeline::standard_fixture;
use ghtrader_plugin::{
    Check, CostCard, FeatureInstance, Finding, Fixture, LabelInstance, Params, Plugin, PluginFault, Role, Splits,
    StrategyInstance, Trace, trace_feature, trace_label, trace_strategy,
};
use ghtrader_testkit::NativeProcess;
use serde::Serialize;
use std::io::Write as _;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Instant;

/// Rows a call where the component runs in blocks.
const BLOCK_ROWS: usize = 64;

/// What a test found out.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    built: Built,
    passed: bool,
    native_tests: Check,
    admitted: bool,
    checks: Vec<Check>,
    findings: Vec<Finding>,
    parity: Option<Check>,
    cost: Option<CostCard>,
    seconds_by_step: Seconds,
}

#[derive(Debug, Default, Serialize)]
struct Seconds {
    build: f64,
    native_tests: f64,
    admission: f64,
    parity: f64,
}

pub(crate) fn run(context: &Context, dir: &Path) -> Result<ExitCode, Problem> {
    let plugin = PluginCrate::find(dir)?;
    let built = build(context, &plugin)?;
    let mut seconds = Seconds { build: built.seconds, ..Seconds::default() };
    let native_tests = timed(&mut seconds.native_tests, || native_tests(&plugin))?;
    let mut stretches = vec![standard_fixture(&context.calendar)];
    let host = plugin.host(context)?;
    let admission = timed(&mut seconds.admission, || host.admit(&built.content, &stretches[0]));
    let mut findings = admission.findings;
    let parity = match &admission.plugin {
        None => None,
        Some(component) => {
            stretches.extend(fixture(context, &plugin.dir.join("plugin.toml"), &plugin.manifest_text)?);
            timed(&mut seconds.parity, || parity(&plugin, component, &stretches, &mut findings))?
        }
    };
    let holds = |check: &Option<Check>| check.as_ref().is_none_or(|c| c.passed);
    let report = Report {
        passed: native_tests.passed && findings.is_empty() && holds(&parity),
        native_tests,
        admitted: admission.plugin.is_some(),
        checks: admission.checks,
        findings,
        parity,
        cost: admission.cost,
        seconds_by_step: seconds,
        built,
    };
    emit(context.json, &report, Report::to_string)?;
    let faulted = report.findings.iter().any(|f| FAULTS.contains(&f.code));
    let class = if faulted { ErrorClass::Plugin } else { ErrorClass::Negative };
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::from(class.exit_code()) })
}

/// Findings that are a fault of the running plugin, not an answer of a check.
const FAULTS: [&str; 6] =
    ["plugin_error", "plugin_trapped", "plugin_deadline", "plugin_memory", "plugin_output", "plugin_contract"];

fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    *seconds = started.elapsed().as_secs_f64();
    result
}

/// Compiles and runs the crate's own tests, with overflow checks as cargo sets them.
fn native_tests(plugin: &PluginCrate) -> Result<Check, Problem> {
    let command = |more: &[&str]| {
        let mut command = ghtrader_toolchain::cargo();
        command.current_dir(&plugin.workspace).args(["test", "--quiet", "--package", &plugin.package]).args(more);
        command.arg("--target-dir").arg(plugin.workspace.join("target"));
        command
    };
    run_cargo(command(&["--no-run"]), plugin)?;
    let output = command(&[]).stdin(Stdio::null()).output().map_err(|e| cargo_missing(&e))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = text.split(" passed;").filter_map(|t| t.rsplit([' ', '.']).next()?.parse::<u32>().ok()).sum::<u32>();
    let check = |passed: bool, detail: String| Check { name: "native_tests".to_owned(), passed, detail };
    if output.status.success() {
        return Ok(check(true, format!("{passed} passed")));
    }
    // The whole of what they said, where results do not stand.
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(&output.stdout).and_then(|()| err.write_all(&output.stderr));
    Ok(check(false, "cargo test failed; its own words stand above".to_owned()))
}

/// Native code, the component row by row, and the component in blocks: each row must be the same to the bit.
///
/// None where one of them faults, which is a finding.
fn parity(
    plugin: &PluginCrate,
    component: &Plugin,
    stretches: &[Fixture],
    findings: &mut Vec<Finding>,
) -> Result<Option<Check>, Problem> {
    let program = native::build_runner(plugin)?;
    let (mut rows, mut given) = (0, 0);
    for stretch in stretches {
        match part(&program, component, stretch) {
            Err(fault) => {
                findings.push(fault.into());
                return Ok(None);
            }
            Ok(Err(detail)) => return Ok(Some(parity_check(false, detail))),
            Ok(Ok(native)) => (rows, given) = (rows + native.rows(), given + native.count()),
        }
    }
    let what = if component.manifest().plugin.role == Role::Strategy { "actions" } else { "values" };
    let (rows, given) = (grouped(rows as i64), grouped(given as i64));
    let detail =
        format!("native, row by row, in blocks of {BLOCK_ROWS}: {given} {what} over {rows} rows, equal to the bit");
    Ok(Some(parity_check(true, detail)))
}

/// What native code gives over a stretch, or where the component parts from it.
fn part(program: &Path, component: &Plugin, stretch: &Fixture) -> Result<Result<Trace, String>, PluginFault> {
    let native = trace(&Way::Native(program), component, stretch, Splits::Whole)?;
    for splits in [Splits::Single, Splits::Blocks(BLOCK_ROWS)] {
        let here = trace(&Way::Component, component, stretch, splits)?;
        if let Some(d) = native.first_difference(&here) {
            let ([native, here], row, output) = (d.values, d.row, d.output);
            return Ok(Err(format!(
                "row {row}, {output}: native code gives {native}, the component in {splits} gives {here}"
            )));
        }
    }
    Ok(Ok(native))
}

fn parity_check(passed: bool, detail: String) -> Check {
    Check { name: "parity".to_owned(), passed, detail }
}

/// What runs the code.
enum Way<'a> {
    Native(&'a Path),
    Component,
}

/// What a fresh instance gives over the rows.
fn trace(way: &Way<'_>, plugin: &Plugin, rows: &Fixture, splits: Splits) -> Result<Trace, PluginFault> {
    let about = &plugin.manifest().plugin;
    let (params, instrument) = (defaults(plugin), &rows.instrument);
    let native = |program: &Path| NativeProcess::new(program, &params, instrument);
    match about.role {
        Role::Feature => {
            let mut instance: Box<dyn FeatureInstance> = match way {
                Way::Native(program) => Box::new(native(program)?),
                Way::Component => plugin.feature(&params, instrument)?,
            };
            trace_feature(&mut *instance, rows, splits)
        }
        Role::Label => {
            let mut instance: Box<dyn LabelInstance> = match way {
                Way::Native(program) => Box::new(native(program)?),
                Way::Component => plugin.label(&params, instrument)?,
            };
            trace_label(&mut *instance, rows, about.reach.unwrap_or_default(), splits)
        }
        Role::Strategy => {
            let mut instance: Box<dyn StrategyInstance> = match way {
                Way::Native(program) => Box::new(native(program)?),
                Way::Component => plugin.strategy(&params, instrument)?,
            };
            trace_strategy(&mut *instance, rows, splits)
        }
    }
}

fn defaults(plugin: &Plugin) -> Params {
    plugin.manifest().param.iter().map(|p| (p.name.clone(), p.default.clone())).collect()
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}\n", self.built)?;
        for check in std::iter::once(&self.native_tests).chain(&self.checks).chain(&self.parity) {
            let mark = if check.passed { "ok" } else { "NO" };
            writeln!(f, "{mark}  {:<18} {}", check.name, check.detail)?;
        }
        for finding in &self.findings {
            let place = if finding.place.is_empty() { String::new() } else { format!(" at {}", finding.place) };
            writeln!(f, "\nerror[{}]{place}: {}\nhelp: {}", finding.code, finding.what, finding.remedy)?;
        }
        if let Some(cost) = &self.cost {
            writeln!(f, "\n{}", cost_card(cost))?;
        }
        let s = &self.seconds_by_step;
        write!(
            f,
            "\nbuild {:.1} s, native tests {:.1} s, admission {:.1} s, parity {:.1} s",
            s.build, s.native_tests, s.admission, s.parity
        )
    }
}
