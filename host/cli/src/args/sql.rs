//! Flags of `ghtrader sql`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// The form of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SqlFormat {
    /// For people
    Table,
    /// With a header; a missing value is an empty field
    Csv,
    /// One document, as with --json
    Json,
    /// A file with the types of the columns; times are texts
    Parquet,
}

fn time(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok().filter(|s| (0.1..=86_400.0).contains(s));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("`{text}` is no time from 0.1s to 86400s"))
}

#[derive(Debug, Args)]
pub(crate) struct Sql {
    /// One SELECT, WITH, SHOW or EXPLAIN
    pub(crate) query: String,
    /// Rows that are shown at most
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) limit: u32,
    /// How long the query may take, such as 10s
    #[arg(long, default_value = "10s", value_name = "SECONDS", value_parser = time)]
    pub(crate) timeout: Duration,
    /// Form of the rows [default: table, or as --out ends]
    #[arg(long, value_enum)]
    pub(crate) format: Option<SqlFormat>,
    /// File for the rows, replaced as a whole
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Embedded store: runs the query by a DuckDB that is installed, instead of printing the lines that do
    #[arg(long)]
    pub(crate) run: bool,
}
