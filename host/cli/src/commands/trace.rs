//! `ghtrader data trace`: where one stored row comes from.

use super::data::leaves;
use crate::context::Context;
use crate::output::{document, emit};
use ghtrader_core::{Digest, ErrorClass, Problem, TradingDay};
use ghtrader_market::read_line;
use ghtrader_pipeline::{RowTrace, TracedRow, trace_row};
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    trace: RowTrace,
    /// The line as it stands in the file that was named.
    raw: Option<String>,
}

pub(crate) fn run(
    context: &Context,
    symbol: &str,
    day: TradingDay,
    seq: u32,
    file: Option<&Path>,
) -> Result<(), Problem> {
    let trace = trace_row(&*context.store()?, symbol, day, seq)?;
    let raw = file.map(|file| raw_line(&trace, file)).transpose()?;
    emit(context.json, &Shown { trace, raw }, |shown| {
        let mut lines = Vec::new();
        if let Ok(value) = document(shown) {
            leaves("", &value, &mut lines);
        }
        lines.join("\n")
    })
}

/// The line of a file that the row was read from, if the file is that one.
fn raw_line(trace: &RowTrace, file: &Path) -> Result<String, Problem> {
    let of_contract = trace.made_from.as_ref().map_or(Some(&trace.row), |from| from.row.as_ref());
    let Some(line) = of_contract.and_then(|row: &TracedRow| row.line.as_ref()) else {
        let what = "no line of a file is known for this row";
        return Err(Problem::new("lineage_unknown", ErrorClass::User, what, "import its file again, then ask again"));
    };
    let (sha256, raw): (Digest, Option<String>) = read_line(file, line.line)?;
    match raw.filter(|_| sha256 == line.file.sha256) {
        Some(raw) => Ok(raw),
        None => Err(Problem::new(
            "other_file",
            ErrorClass::User,
            format!("{} has sha256 {sha256}, the row was read from {}", file.display(), line.file.sha256),
            format!("name the file that was imported as {}", line.file.name),
        )),
    }
}
