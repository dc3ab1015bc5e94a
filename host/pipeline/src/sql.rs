//! A query that changes nothing, run by whoever can: the server of the store, or a DuckDB that is installed.

use crate::{open_embedded, open_questdb};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_settings::Settings;
use ghtrader_store::{Query, SqlAnswer, SqlColumn, StoreError, duckdb_statements};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What DuckDB's module does with statements: their rows as its program prints them here.
const PYTHON: &str = "import sys, duckdb\ndb = duckdb.connect()\nfor statement in sys.argv[1:]:\n    cursor = db.execute(statement)\n    for row in cursor.fetchall() if statement.startswith(('SELECT', 'EXPLAIN')) else []:\n        sys.stdout.write('\\x1f'.join('\\x1a' if v is None else str(v) for v in row) + '\\x1e')\n";
const NULL: &str = "\u{1a}";
const CELLS: char = '\u{1f}';
const ROWS: char = '\u{1e}';
const PARTS: &str = "\u{1d}\u{1e}";
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Runs a statement on the store that the settings of a root choose; at most `limit` rows come back, and it may take `time`.
/// For the embedded store a DuckDB of this machine runs it, which reads the store's folder and nothing else.
///
/// # Errors
/// `sql_not_read_only`, `sql_failed`, `sql_timeout`, `sql_engine_missing` without a DuckDB, and those of opening the store.
pub fn run_sql(
    root: &Path,
    settings: &Settings,
    statement: &str,
    limit: usize,
    time: Duration,
) -> Result<SqlAnswer, Problem> {
    let query = &Query::parse(statement)?;
    if settings.text_of("store.backend") == Some("questdb") {
        return Ok(open_questdb(root, settings)?.select(query, limit, time)?);
    }
    by_duckdb(&lake(root, settings)?, query, limit, time)
}

/// The folder of the embedded store, as other programs find it.
///
/// # Errors
/// Those of opening it, and `store_unreadable`.
pub fn lake(root: &Path, settings: &Settings) -> Result<PathBuf, Problem> {
    let store = open_embedded(root, settings)?;
    let root = store.root();
    root.canonicalize().map_err(|e| {
        let what = format!("cannot find {}: {e}", root.display());
        Problem::new("store_unreadable", ErrorClass::Unavailable, what, "check the folder of data_dir")
    })
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
    let started = |e: &std::io::Error| {
        Problem::new("sql_engine_missing", ErrorClass::User, format!("cannot start DuckDB: {e}"), "install it anew")
    };
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
