//! A query that changes nothing, run by whoever can: the server of the store, or a DuckDB that is installed.

use crate::{open_embedded, open_questdb};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_settings::Settings;
use ghtrader_store::{Query, SqlAnswer, SqlColumn, StoreError, duckdb_statements};
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What DuckDB's module does with statements: their rows as its program prints them here.
const PYTHON: &str = "import os, sys, threading, duckdb\nthreading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()\ndb = duckdb.connect()\nfor statement in sys.argv[1:]:\n    cursor = db.execute(statement)\n    for row in iter(cursor.fetchone, None) if statement.startswith(('SELECT', 'EXPLAIN')) else []:\n        sys.stdout.write('\\x1f'.join('\\x1a' if v is None else str(v) for v in row) + '\\x1e')\n";
const NULL: &str = "\u{1a}";
const CELLS: char = '\u{1f}';
const ROWS: char = '\u{1e}';
const PARTS: &str = "\u{1d}\u{1e}";
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Longest statement: it stands twice in one argument of DuckDB, of which Linux takes 128 KiB.
const LONGEST: usize = 32 << 10;
/// What DuckDB is told first where an answer is bounded: the one who asks does not own this machine's memory and disk.
const BOUNDED: [&str; 3] = ["SET memory_limit = '1GB'", "SET threads = 2", "SET temp_directory = ''"];
/// Bytes of a bound that a value takes at least, however short its text is: as much as it takes in memory.
const VALUE: u64 = 32;
/// What is read of an engine's complaints, bytes, and what is shown of one, characters.
const COMPLAINTS: u64 = 1 << 20;
const COMPLAINT: usize = 2_000;

/// How much comes back: a number of rows, or `(rows, bytes)` for somebody who does not own this machine. Then an answer of
/// more bytes is refused, a server of the store is asked for nothing but the four tables, and DuckDB gets little memory.
#[derive(Debug, Clone, Copy)]
pub struct SqlBounds {
    rows: usize,
    bytes: Option<u64>,
}

impl From<usize> for SqlBounds {
    fn from(rows: usize) -> Self {
        Self { rows, bytes: None }
    }
}

impl From<(usize, u64)> for SqlBounds {
    fn from((rows, bytes): (usize, u64)) -> Self {
        Self { rows, bytes: Some(bytes) }
    }
}

/// Runs a statement on the store that the settings of a root choose; no more than `bounds` comes back, and it may take `time`.
/// For the embedded store a DuckDB of this machine runs it, which reads the store's folder and nothing else.
///
/// # Errors
/// `sql_not_read_only`, `sql_too_long`, `answer_too_large`, `sql_failed`, `sql_timeout`, `sql_engine_missing` without a
/// DuckDB, and those of opening the store.
pub fn run_sql(
    root: &Path,
    settings: &Settings,
    statement: &str,
    bounds: impl Into<SqlBounds>,
    time: Duration,
) -> Result<SqlAnswer, Problem> {
    let bounds = bounds.into();
    check_length(statement)?;
    let query = &Query::parse(statement)?;
    if settings.text_of("store.backend") == Some("questdb") {
        let store = open_questdb(root, settings)?;
        return match bounds.bytes {
            None => Ok(store.select(query, bounds.rows, time)?),
            Some(most) => store.select_within(query, bounds.rows, time, most)?.ok_or_else(|| too_large(most)),
        };
    }
    by_duckdb(&lake(root, settings)?, query, bounds, time)
}

/// Refuses what no program can be started with.
fn check_length(statement: &str) -> Result<(), Problem> {
    if statement.len() > LONGEST {
        let what = format!("the query has {} bytes, more than {LONGEST}", statement.len());
        return Err(Problem::new("sql_too_long", ErrorClass::User, what, "ask in a shorter query, or in several"));
    }
    if statement.contains('\0') {
        return Err(StoreError::NotAQuery { why: "it holds the character NUL".to_owned() }.into());
    }
    Ok(())
}

fn too_large(most: u64) -> Problem {
    let what = format!("the answer is larger than {most} bytes, a value counted as {VALUE} at least");
    let remedy = "select fewer columns or rows, or run `ghtrader sql --out FILE` on this machine";
    Problem::new("answer_too_large", ErrorClass::Limit, what, remedy)
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

fn by_duckdb(root: &Path, query: &Query, bounds: SqlBounds, time: Duration) -> Result<SqlAnswer, Problem> {
    let most = bounds.bytes.unwrap_or(u64::MAX);
    let mut statements = Vec::new();
    if bounds.bytes.is_some() {
        // In front, because the last setting that is made for every query locks them all.
        statements.extend(BOUNDED.map(str::to_owned));
    }
    statements.extend(duckdb_statements(root, query, bounds.rows.saturating_add(1)));
    let mut command = duckdb(&statements).ok_or_else(|| {
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
    // Nothing is written to its input, which ends with this process, however that ends; the Python then ends as well.
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|e| started(&e))?;
    // Both are read while it runs, or it would wait for a reader.
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let full = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&full);
    let out = std::thread::spawn(move || {
        let (text, is_cut) = read_some(out, most);
        told.store(is_cut, Ordering::Relaxed);
        text
    });
    let err = std::thread::spawn(move || read_some(err, COMPLAINTS).0);
    let began = Instant::now();
    let engine = || "DuckDB".to_owned();
    let status = loop {
        match child.try_wait().map_err(|e| started(&e))? {
            Some(status) => break status,
            None if full.load(Ordering::Relaxed) || began.elapsed() > time => {
                // Whatever comes back, it has ended when it has been waited for.
                let _ = (child.kill(), child.wait());
                if full.load(Ordering::Relaxed) {
                    return Err(too_large(most));
                }
                return Err(StoreError::SqlTimeout { engine: engine(), limit_s: time.as_secs_f64() }.into());
            }
            None => std::thread::sleep(LOOK_AGAIN),
        }
    };
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    if full.load(Ordering::Relaxed) {
        return Err(too_large(most));
    }
    let said = out.split_once(PARTS).filter(|_| status.success());
    let Some((types, rows)) = said else {
        let why = err.lines().map(str::trim).rfind(|line| line.contains("Error")).or(err.lines().last());
        let why = why.unwrap_or("it said nothing").chars().take(COMPLAINT).collect();
        return Err(StoreError::SqlFailed { engine: engine(), why }.into());
    };
    if !values_fit(rows, most) {
        return Err(too_large(most));
    }
    Ok(answer(types, rows, bounds.rows))
}

/// At most `most` bytes, and whether there were more.
fn read_some(source: Option<impl Read>, most: u64) -> (String, bool) {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        // What could be read is shown; a program that broke off is told by its exit.
        let _ = source.take(most.saturating_add(1)).read_to_end(&mut bytes);
    }
    let is_cut = bytes.len() as u64 > most;
    let text = String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
    (text, is_cut)
}

/// Many short values take more memory than their text.
fn values_fit(rows: &str, most: u64) -> bool {
    rows.matches([CELLS, ROWS]).count() as u64 <= most / VALUE
}

fn answer(types: &str, rows: &str, limit: usize) -> SqlAnswer {
    let columns: Vec<SqlColumn> = types
        .split_terminator(ROWS)
        .filter_map(|row| row.split_once(CELLS))
        .map(|(name, kind)| SqlColumn { name: name.to_owned(), kind: kind.to_owned() })
        .collect();
    let row = |row: &str| row.split(CELLS).zip(&columns).map(|(text, column)| value(text, &column.kind)).collect();
    let mut rows: Vec<Vec<Value>> = rows.split_terminator(ROWS).map(row).collect();
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

    /// C-34: what no program can be started with is refused before one is.
    #[test]
    fn a_query_that_cannot_be_handed_over_is_refused() {
        let check = |statement: &str, expected: Result<(), &str>| {
            assert_eq!(check_length(statement).map_err(|p| p.code), expected, "{} bytes", statement.len());
        };
        let padded = |bytes: usize| format!("SELECT 1{}", " ".repeat(bytes - "SELECT 1".len()));
        check("SELECT 1", Ok(()));
        check(&padded(LONGEST), Ok(()));
        check(&padded(LONGEST + 1), Err("sql_too_long"));
        check("SELECT 'a\0b'", Err("sql_not_read_only"));
    }

    /// C-34: an answer is read up to its bound, whether it is one long text or many short values.
    #[test]
    fn an_answer_is_bounded() {
        let read = |most: u64| read_some(Some(std::io::Cursor::new("12345678")), most);
        assert_eq!(read(8), ("12345678".to_owned(), false));
        assert_eq!(read(7), ("12345678".to_owned(), true));
        assert_eq!(read(2), ("123".to_owned(), true));
        assert_eq!(read(u64::MAX), ("12345678".to_owned(), false));
        let rows = "1\u{1f}2\u{1e}3\u{1f}4\u{1e}";
        assert!(values_fit(rows, 4 * VALUE) && !values_fit(rows, 4 * VALUE - 1));
        let problem = too_large(64 << 20);
        assert_eq!((problem.code, problem.class), ("answer_too_large", ErrorClass::Limit));
    }
}
