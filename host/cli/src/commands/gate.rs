//! `ghtrader backtest gate`: a stored result against a named rule set.

use crate::commands::backtest::{read_document, read_report, read_text};
use crate::context::{Context, publish};
use crate::output::{document, emit};
use ghtrader_compare::{GateInput, RuleSet, gate};
use ghtrader_core::{ErrorClass, Problem};
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(
    context: &Context,
    dir: &Path,
    rules: Option<&Path>,
    comparison: Option<&Path>,
) -> Result<ExitCode, Problem> {
    let report = read_report(dir)?;
    let rules = match rules {
        Some(file) => RuleSet::parse(&file.display().to_string(), &read_text(file)?)?,
        None => RuleSet::promote()?,
    };
    // Without it the rules on parity and look-ahead have no value, and fail.
    let checked = dir.join("check.json");
    let check = if checked.is_file() { of_result(&checked, &report)? } else { Value::Null };
    let comparison = comparison.map_or(Ok(Value::Null), read_document)?;
    let answer = gate(
        &dir.display().to_string(),
        &GateInput { report: &report, check: &check, comparison: &comparison },
        &rules,
    )?;
    // A name that is a path of its own would leave the folder.
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    let file = dir.join(format!("gate-{}.json", answer.gate.chars().map(plain).collect::<String>()));
    publish(&file, format!("{:#}\n", document(&answer)?).as_bytes())?;
    emit(context.json, &answer, |a| {
        let lines: Vec<String> =
            a.rules.iter().map(|r| format!("{} {}", if r.passed { "✓" } else { "✕" }, r.text)).collect();
        let failed = a.rules.iter().filter(|r| !r.passed).count();
        let end = match failed {
            0 => format!("{} passed", a.gate),
            n => format!("{} failed by {n} of {} rules", a.gate, a.rules.len()),
        };
        format!("{}\n{end}", lines.join("\n"))
    })?;
    Ok(if answer.passed { ExitCode::SUCCESS } else { ExitCode::from(ErrorClass::Negative.exit_code()) })
}

/// What `backtest check` found, provided that it looked at this very result.
fn of_result(file: &Path, report: &Value) -> Result<Value, Problem> {
    let check = read_document(file)?;
    Ok(if check["result_digest"] == report["result_digest"] { check } else { Value::Null })
}
