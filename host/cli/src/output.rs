//! The result goes to stdout, everything else to stderr; with `--json` exactly one document.

use ghtrader_core::Problem;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::Write;

/// Version of the documents that commands print.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// Prints a result: as JSON, or as the text that `human` makes of it.
pub(crate) fn emit<T: Serialize>(json: bool, result: &T, human: impl FnOnce(&T) -> String) -> Result<(), Problem> {
    let text = if json { document(result)?.to_string() } else { human(result) };
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        // The reader has seen enough.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(crate::context::io_problem("stdout_failed", "cannot write to stdout", &e)),
        Ok(()) => Ok(()),
    }
}

/// A result as one JSON object with its schema version.
pub(crate) fn document<T: Serialize>(result: &T) -> Result<Value, Problem> {
    let value = serde_json::to_value(result).map_err(|e| {
        Problem::new(
            "not_json",
            ghtrader_core::ErrorClass::Internal,
            format!("a result is no JSON: {e}"),
            "report this",
        )
    })?;
    Ok(match value {
        Value::Object(mut map) => {
            map.insert("schema_version".to_owned(), json!(SCHEMA_VERSION));
            Value::Object(map)
        }
        other => json!({ "schema_version": SCHEMA_VERSION, "result": other }),
    })
}

/// Shows a failure on stderr; with `--json` as the document on stdout.
pub(crate) fn report_problem(problem: &Problem, json: bool) {
    if json {
        let body = json!({ "schema_version": SCHEMA_VERSION, "error": problem });
        let _ = writeln!(std::io::stdout(), "{body}");
    }
    let _ = writeln!(std::io::stderr(), "{problem}");
}

/// A table for people: columns as wide as their widest cell, numbers to the right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count());
        cells.chain(head.get(column).map(|h| h.chars().count())).max().unwrap_or(0)
    };
    let numeric = |column: usize| {
        let mut cells = rows.iter().filter_map(|r| r.get(column)).filter(|c| !c.is_empty() && *c != "–").peekable();
        cells.peek().is_some() && cells.all(|c| c.starts_with(|x: char| x.is_ascii_digit() || x == '-' || x == '+'))
    };
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(i, c)| {
                let fill = " ".repeat(width(i).saturating_sub(c.chars().count()));
                if numeric(i) { format!("{fill}{c}") } else { format!("{c}{fill}") }
            })
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
    std::iter::once(line(&head)).chain(rows.iter().map(|r| line(r))).collect::<Vec<_>>().join("\n")
}

/// A whole number with thin groups: 1234567 → 1,234,567.
pub(crate) fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if value < 0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up() {
        let rows = vec![vec!["maker".to_owned(), "1".to_owned()], vec!["b".to_owned(), "-20".to_owned()]];
        assert_eq!(table(&["name", "pnl"], &rows), "name   pnl\nmaker    1\nb      -20");
        assert_eq!((grouped(-1_234_567), grouped(12)), ("-1,234,567".to_owned(), "12".to_owned()));
    }

    /// P-04
    #[test]
    fn every_document_names_its_schema() {
        assert_eq!(document(&json!({"a": 1})).map(|d| d["schema_version"].clone()), Ok(json!(1)));
        assert_eq!(document(&[1, 2]).map(|d| d["result"].clone()), Ok(json!([1, 2])));
    }
}
