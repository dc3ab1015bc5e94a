//! The tables of the embedded store for other engines: DuckDB reads all of them, Polars the rows.

use super::{Query, QueryKind};
use ghtrader_core::Column;
use serde::Serialize;
use std::path::Path;

/// A table as a query over what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SqlView {
    /// Its name: `ticks`, `main_l5`, `main_schedule` or `days`.
    pub name: &'static str,
    /// The query that it stands for.
    pub sql: String,
}

/// Command lines that run a query over the embedded store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Handout {
    /// For the program `duckdb`.
    pub duckdb: String,
    /// For a Python that has `polars`; it knows `ticks` and `main_l5`.
    pub polars: String,
}

/// Columns of rows as SQL names them, by dataset.
pub(crate) fn row_columns(main: bool) -> String {
    let head = ["datetime", "symbol", "trading_day", "seq", "phase"];
    let floats = Column::floats().map(Column::name);
    let tail: &[&str] = if main { &["underlying_contract", "segment_id", "schedule_hash"] } else { &[] };
    head.into_iter().chain(floats).chain(tail.iter().copied()).collect::<Vec<_>>().join(", ")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The tables of a store's folder in DuckDB's words; those without a file are left out, because it refuses to read none.
/// Times are UTC, to the microsecond there; days are texts such as `2025-07-18`.
pub fn lake_views(root: &Path) -> Vec<SqlView> {
    let glob = |below: &str| quoted(&root.join(below).display().to_string());
    let rows = |dataset: &str, main: bool| SqlView {
        name: if main { "main_l5" } else { "ticks" },
        sql: format!(
            "SELECT {} FROM read_parquet({}, hive_partitioning = true, hive_types_autocast = false)",
            row_columns(main),
            glob(&format!("lake/{dataset}/*/*/*.parquet"))
        ),
    };
    let schedule = format!(
        "SELECT unnest.date AS trading_day, variety, unnest.main_contract AS main_contract, unnest.segment_id AS segment_id \
         FROM (SELECT body.variety AS variety, unnest(body.\"rows\") AS unnest FROM read_json({}, columns = {{body: \
         'STRUCT(variety VARCHAR, \"rows\" STRUCT(date VARCHAR, main_contract VARCHAR, segment_id BIGINT)[])'}}))",
        glob("schedule/*.json")
    );
    let days = format!(
        "SELECT body.dataset AS dataset, body.symbol AS symbol, body.trading_day AS trading_day, body.\"rows\" AS row_count, \
         make_timestamp_ns(body.first_ts_ns) AS first_ts, make_timestamp_ns(body.last_ts_ns) AS last_ts, \
         body.sha256 AS sha256 FROM read_json([{}], columns = {{body: 'STRUCT(dataset VARCHAR, symbol VARCHAR, \
         trading_day VARCHAR, \"rows\" BIGINT, first_ts_ns BIGINT, last_ts_ns BIGINT, sha256 VARCHAR)'}})",
        ["ticks", "main_l5"]
            .into_iter()
            .filter(|dataset| is_filled(&root.join("manifest").join(dataset)))
            .map(|dataset| glob(&format!("manifest/{dataset}/*/*.json")))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let all = [
        (rows("ticks", false), "lake/ticks"),
        (rows("main_l5", true), "lake/main_l5"),
        (SqlView { name: "main_schedule", sql: schedule }, "schedule"),
        (SqlView { name: "days", sql: days }, "manifest"),
    ];
    all.into_iter().filter(|(_, folder)| is_filled(&root.join(folder))).map(|(view, _)| view).collect()
}

/// Whether a file lies somewhere below a folder.
fn is_filled(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| {
        let kind = entry.file_type().ok();
        kind.is_some_and(|kind| kind.is_file() || (kind.is_dir() && is_filled(&entry.path())))
    })
}

/// What DuckDB is told, in order, to answer a query that gives at most `limit` rows as texts: the types of its columns, a
/// separator, its rows. It may read the store's folder and nothing else, and keeps nothing.
pub fn duckdb_statements(root: &Path, query: &Query, limit: usize) -> Vec<String> {
    // A query that takes a while would draw its progress among the rows.
    let mut all = vec!["SET enable_progress_bar = false".to_owned(), "SET TimeZone = 'UTC'".to_owned()];
    all.extend(views_of(root, query));
    all.push(format!("SET allowed_directories = [{}]", quoted(&format!("{}/", root.display()))));
    all.push("SET enable_external_access = false".to_owned());
    all.push("SET lock_configuration = true".to_owned());
    let bounded = query.bounded(&[], limit);
    if query.kind() == QueryKind::Explain {
        // Its two columns are texts.
        all.push("SELECT unnest(['explain_key', 'explain_value']), 'VARCHAR'".to_owned());
        all.push(SEPARATOR.to_owned());
        all.push(bounded);
    } else {
        all.push(format!("SELECT column_name, column_type FROM (DESCRIBE {bounded})"));
        all.push(SEPARATOR.to_owned());
        all.push(format!("SELECT COLUMNS(*)::VARCHAR FROM ({bounded})"));
    }
    all
}

const SEPARATOR: &str = "SELECT chr(29)";

/// Definitions of the tables that a query names.
fn views_of(root: &Path, query: &Query) -> Vec<String> {
    let views = lake_views(root).into_iter().filter(|view| query.names(view.name) || query.kind() == QueryKind::Show);
    views.map(|view| format!("CREATE VIEW {} AS {}", view.name, view.sql)).collect()
}

/// Command lines that run a query over a store's folder.
pub fn hand_out(root: &Path, query: &Query) -> Handout {
    let statements: Vec<String> =
        views_of(root, query).into_iter().chain([query.text().to_owned()]).map(|s| s + ";").collect();
    let python = |text: &str| serde_json::Value::from(text).to_string();
    let frames: Vec<(&str, String)> = ["ticks", "main_l5"]
        .into_iter()
        .filter(|name| query.names(name))
        .map(|name| {
            let glob = root.join("lake").join(name).join("*/*/*.parquet").display().to_string();
            let types = "hive_schema={\"symbol\": pl.String, \"trading_day\": pl.String}";
            (name, format!("{name} = pl.scan_parquet({}, hive_partitioning=True, {types})\n", python(&glob)))
        })
        .collect();
    let names: Vec<String> = frames.iter().map(|(name, _)| format!("{name}={name}")).collect();
    let script = format!(
        "import polars as pl\n{}print(pl.SQLContext({}).execute({}).collect())",
        frames.iter().map(|(_, line)| line.as_str()).collect::<String>(),
        names.join(", "),
        python(query.text())
    );
    Handout {
        duckdb: format!("duckdb -c {}", shell(&statements.join("\n"))),
        polars: format!("python3 -c {}", shell(&script)),
    }
}

/// A text as one word of a shell.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
