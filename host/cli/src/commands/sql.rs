//! `ghtrader sql`: one query that changes nothing, by the server or by the user's own DuckDB.

use crate::args::{Backend, Sql, SqlFormat};
use crate::context::{Context, io_problem, publish};
use crate::output::{document, emit, table};
use clap::ValueEnum as _;
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_pipeline::{lake, run_sql};
use ghtrader_store::{Handout, Query, SqlAnswer, hand_out, lake_views};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::ExitCode;

#[derive(Serialize)]
struct Shown<'a> {
    backend: &'static str,
    query: &'a str,
    #[serde(flatten)]
    answer: &'a SqlAnswer,
    limit: u32,
}

#[derive(Serialize)]
struct Lines<'a> {
    backend: &'static str,
    query: &'a str,
    tables: Vec<&'static str>,
    #[serde(flatten)]
    lines: Handout,
}

pub(crate) fn run(context: &Context, flags: &Sql) -> Result<ExitCode, Problem> {
    let query = Query::parse(&flags.query)?;
    if flags.format == Some(SqlFormat::Parquet) && flags.out.is_none() {
        let what = "a Parquet file is not for a terminal";
        return Err(Problem::new("out_missing", ErrorClass::User, what, "name the file: --out FILE.parquet"));
    }
    let as_json = context.json || flags.format == Some(SqlFormat::Json);
    let limit = flags.limit as usize;
    let backend = match context.backend() {
        Backend::Questdb => "questdb",
        Backend::Embedded => "embedded",
    };
    if backend == "embedded" && !flags.run {
        if flags.out.is_some() {
            let what = "the lines that are printed write no file";
            return Err(Problem::new("out_without_run", ErrorClass::User, what, "add --run"));
        }
        let root = lake(&context.root, &context.settings)?;
        let tables = lake_views(&root).iter().map(|view| view.name).collect();
        let lines = Lines { backend, query: query.text(), tables, lines: hand_out(&root, &query) };
        emit(as_json, &lines, |l| {
            format!("# DuckDB; `--run` does it here\n{}\n\n# Polars\n{}", l.lines.duckdb, l.lines.polars)
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let answer = run_sql(&context.root, &context.settings, query.text(), limit, flags.timeout)?;
    if answer.truncated {
        let more = format!("there are more than {limit} rows; --limit shows more");
        let _ = writeln!(std::io::stderr(), "warning: {more}");
    }
    if let Some(out) = &flags.out {
        let extension = out.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let bytes = match flags.format.or_else(|| SqlFormat::from_str(extension, true).ok()) {
            Some(SqlFormat::Parquet) => answer.parquet()?,
            Some(SqlFormat::Csv) => csv(&answer).into_bytes(),
            Some(SqlFormat::Json) => {
                format!("{:#}\n", document(&shown(backend, &query, &answer, flags.limit))?).into_bytes()
            }
            Some(SqlFormat::Table) => (text(&answer) + "\n").into_bytes(),
            None => {
                let what = format!("`{}` does not say which form is meant", out.display());
                let remedy = "end it in .parquet, .csv or .json, or give --format";
                return Err(Problem::new("bad_format", ErrorClass::User, what, remedy));
            }
        };
        publish(out, &bytes)?;
        let (rows, columns) = (answer.rows.len(), answer.columns.len());
        let written = json!({ "backend": backend, "query": query.text(), "file": out, "bytes": bytes.len(), "rows": rows,
                              "columns": columns, "truncated": answer.truncated });
        emit(context.json, &written, |_| format!("{}: {rows} rows of {columns} columns", out.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    if flags.format == Some(SqlFormat::Csv) && !context.json {
        return match std::io::stdout().lock().write_all(csv(&answer).as_bytes()) {
            // The reader has seen enough.
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            Err(e) => Err(io_problem("stdout_failed", "cannot write to stdout", &e)),
            Ok(()) => Ok(ExitCode::SUCCESS),
        };
    }
    emit(as_json, &shown(backend, &query, &answer, flags.limit), |s| text(s.answer))?;
    Ok(ExitCode::SUCCESS)
}

fn shown<'a>(backend: &'static str, query: &'a Query, answer: &'a SqlAnswer, limit: u32) -> Shown<'a> {
    Shown { backend, query: query.text(), answer, limit }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn text(answer: &SqlAnswer) -> String {
    let head: Vec<&str> = answer.columns.iter().map(|c| c.name.as_str()).collect();
    let shown = |value: &Value| if value.is_null() { "–".to_owned() } else { cell(value) };
    let rows: Vec<Vec<String>> = answer.rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    table(&head, &rows)
}

/// Rows as RFC 4180 has them; a missing value is an empty field.
fn csv(answer: &SqlAnswer) -> String {
    let field = |text: String| {
        if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
    };
    let line = |cells: Vec<String>| cells.into_iter().map(field).collect::<Vec<_>>().join(",") + "\n";
    let mut out = line(answer.columns.iter().map(|c| c.name.clone()).collect());
    answer.rows.iter().for_each(|row| out += &line(row.iter().map(cell).collect()));
    out
}
