//! `ghtrader sql`: one query that changes nothing, by the server or by the user's own DuckDB.

use crate::args::{Backend, Sql, SqlFormat};
use crate::context::{Context, io_problem};
use crate::output::{emit, table};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_pipeline::open_embedded;
use ghtrader_store::{Handout, Query, SqlAnswer, SqlColumn, StoreError, duckdb_statements, hand_out, lake_views};
use serde::Serialize;
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// What DuckDB's module does with statements: their rows as its program prints them here.
const PYTHON: &str = "import sys, duckdb\ndb = duckdb.connect()\nfor statement in sys.argv[1:]:\n    cursor = db.execute(statement)\n    for row in cursor.fetchall() if statement.startswith(('SELECT', 'EXPLAIN')) else []:\n        sys.stdout.write('\\x1f'.join('\\x1a' if v is None else str(v) for v in row) + '\\x1e')\n";
const NULL: &str = "\u{1a}";
const CELLS: char = '\u{1f}';
const ROWS: char = '\u{1e}';
const PARTS: &str = "\u{1d}\u{1e}";
const LOOK_AGAIN: Duration = Duration::from_millis(10);

#[derive(Serialize)]
struct Shown<'a> {
    backend: &'static str,
    query: &'a str,
    #[serde(flatten)]
    answer: SqlAnswer,
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
    let time = flags.timeout;
    let as_json = context.json || flags.format == SqlFormat::Json;
    let limit = flags.limit as usize;
    let (backend, answer) = match context.backend() {
        Backend::Questdb => ("questdb", context.questdb()?.select(&query, limit, time)?),
        Backend::Embedded => {
            let root = lake(context)?;
            if !flags.run {
                let tables = lake_views(&root).iter().map(|view| view.name).collect();
                let lines = Lines { backend: "embedded", query: query.text(), tables, lines: hand_out(&root, &query) };
                emit(as_json, &lines, |l| {
                    format!("# DuckDB; `--run` does it here\n{}\n\n# Polars\n{}", l.lines.duckdb, l.lines.polars)
                })?;
                return Ok(ExitCode::SUCCESS);
            }
            ("embedded", by_duckdb(&root, &query, limit, time)?)
        }
    };
    if answer.truncated {
        let more = format!("there are more than {limit} rows; --limit shows more");
        let _ = writeln!(std::io::stderr(), "warning: {more}");
    }
    if flags.format == SqlFormat::Csv && !context.json {
        return csv(&answer);
    }
    emit(as_json, &Shown { backend, query: query.text(), answer, limit: flags.limit }, |s| text(&s.answer))?;
    Ok(ExitCode::SUCCESS)
}

/// The folder of the embedded store, as other programs find it.
fn lake(context: &Context) -> Result<PathBuf, Problem> {
    let store = open_embedded(&context.root, &context.settings)?;
    let root = store.root();
    root.canonicalize().map_err(|e| io_problem("store_unreadable", &format!("cannot find {}", root.display()), &e))
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
fn csv(answer: &SqlAnswer) -> Result<ExitCode, Problem> {
    let field = |text: String| {
        if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
    };
    let line = |cells: Vec<String>| cells.into_iter().map(field).collect::<Vec<_>>().join(",") + "\n";
    let mut out = line(answer.columns.iter().map(|c| c.name.clone()).collect());
    answer.rows.iter().for_each(|row| out += &line(row.iter().map(cell).collect()));
    match std::io::stdout().lock().write_all(out.as_bytes()) {
        // The reader has seen enough.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(e) => Err(io_problem("stdout_failed", "cannot write to stdout", &e)),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// The command that runs statements by the DuckDB that is here: the program, else the module of a Python.
fn duckdb(statements: &[String]) -> Option<Command> {
    let works = |command: &mut Command| {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    };
    if works(Command::new("duckdb").arg("--version")) {
        let mut command = Command::new("duckdb");
        command.args(["-list", "-noheader", "-nullvalue", NULL, "-separator", "\u{1f}", "-newline", "\u{1e}", "-c"]);
        command.arg(statements.iter().map(|s| format!("{s};\n")).collect::<String>());
        return Some(command);
    }
    let named = std::env::var_os("GHTRADER_PYTHON").map(PathBuf::from);
    let mut known = named.into_iter().chain(["python3", "python"].map(PathBuf::from));
    let python = known.find(|python| works(Command::new(python).args(["-c", "import duckdb"])))?;
    let mut command = Command::new(python);
    command.args(["-c", PYTHON]).args(statements);
    Some(command)
}

fn by_duckdb(root: &Path, query: &Query, limit: usize, time: Duration) -> Result<SqlAnswer, Problem> {
    let mut command = duckdb(&duckdb_statements(root, query, limit + 1)).ok_or_else(|| {
        Problem::new(
            "sql_engine_missing",
            ErrorClass::User,
            "neither the program `duckdb` nor a Python with the module `duckdb` is here",
            "install one (GHTRADER_PYTHON names a Python), or leave --run out and use the line that is printed",
        )
    })?;
    let started = |e: &std::io::Error| io_problem("sql_engine_missing", "cannot start DuckDB", e);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|e| started(&e))?;
    // Both are read while it runs, or it would wait for a reader.
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let out = std::thread::spawn(move || read_all(out));
    let err = std::thread::spawn(move || read_all(err));
    let began = Instant::now();
    let engine = || "DuckDB".to_owned();
    let status = loop {
        match child.try_wait().map_err(|e| started(&e))? {
            Some(status) => break status,
            None if began.elapsed() > time => {
                // Whatever comes back, it has ended when it has been waited for.
                let _ = (child.kill(), child.wait());
                return Err(StoreError::SqlTimeout { engine: engine(), limit_s: time.as_secs_f64() }.into());
            }
            None => std::thread::sleep(LOOK_AGAIN),
        }
    };
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    let said = out.split_once(PARTS).filter(|_| status.success());
    let Some((types, rows)) = said else {
        let why = err.lines().map(str::trim).rfind(|line| line.contains("Error")).or(err.lines().last());
        let why = why.unwrap_or("it said nothing").to_owned();
        return Err(StoreError::SqlFailed { engine: engine(), why }.into());
    };
    Ok(answer(types, rows, limit))
}

fn read_all(source: Option<impl std::io::Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut source) = source {
        // What could be read is shown; a program that broke off is told by its exit.
        let _ = source.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn answer(types: &str, rows: &str, limit: usize) -> SqlAnswer {
    let records = |text: &str| text.split_terminator(ROWS).map(str::to_owned).collect::<Vec<_>>();
    let columns: Vec<SqlColumn> = records(types)
        .iter()
        .filter_map(|row| row.split_once(CELLS))
        .map(|(name, kind)| SqlColumn { name: name.to_owned(), kind: kind.to_owned() })
        .collect();
    let row = |row: &String| row.split(CELLS).zip(&columns).map(|(text, column)| value(text, &column.kind)).collect();
    let mut rows: Vec<Vec<Value>> = records(rows).iter().map(row).collect();
    let truncated = rows.len() > limit;
    rows.truncate(limit);
    SqlAnswer { columns, rows, truncated }
}

/// A value of a type as JSON has it; what JSON cannot hold exactly stays a text.
fn value(text: &str, kind: &str) -> Value {
    if text == NULL {
        return Value::Null;
    }
    match kind {
        "BOOLEAN" => Value::from(text == "true"),
        "DOUBLE" | "FLOAT" => text.parse::<f64>().map_or_else(|_| Value::from(text), Value::from),
        whole if whole.ends_with("INT") || whole == "INTEGER" => {
            text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
        }
        _ => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// D-42: what an engine prints becomes values, and the row behind the limit is told and not shown.
    #[test]
    fn records_become_values() {
        let found = answer(
            "a\u{1f}BIGINT\u{1e}b\u{1f}DOUBLE\u{1e}c\u{1f}VARCHAR\u{1e}",
            "1\u{1f}2.5\u{1f}x, y\u{1e}2\u{1f}\u{1a}\u{1f}\u{1e}3\u{1f}nan\u{1f}z\u{1e}",
            2,
        );
        assert_eq!(found.rows, [vec![json!(1), json!(2.5), json!("x, y")], vec![json!(2), Value::Null, json!("")]]);
        assert!(found.truncated && found.columns.len() == 3);
        assert_eq!((value("nan", "DOUBLE"), value("true", "BOOLEAN")), (Value::Null, json!(true)));
        assert_eq!(
            value("170141183460469231731687303715884105727", "HUGEINT"),
            json!("170141183460469231731687303715884105727")
        );
    }
}
