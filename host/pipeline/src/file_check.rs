//! Whether a file of ticks holds what the pipeline needs, before anything of it is stored.

use ghtrader_core::{Column, L5_LEVELS, TickView};
use ghtrader_market::PlainTicks;
use serde::Serialize;

/// Fewer rows say nothing about rates.
const MIN_ROWS: usize = 32;
/// Largest share of nulls in each of the five core columns.
const MAX_CORE_NULL_RATE: f64 = 0.01;
/// Largest share of nulls over all columns of levels 2 to 5.
const MAX_L5_NULL_RATE: f64 = 0.05;
/// What every part of the pipeline reads.
const CORE: [Column; 5] =
    [Column::bid_price(0), Column::ask_price(0), Column::LastPrice, Column::Volume, Column::OpenInterest];

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// `rows_below_minimum`, `missing_columns`, `core_null_rate_exceeded` or `l5_null_rate_exceeded`.
    pub code: &'static str,
    /// With value and bound.
    pub what: String,
}

/// Share of nulls of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnNulls {
    /// The column.
    pub column: &'static str,
    /// Rows without a value over all rows; 0 without rows.
    pub null_rate: f64,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileCheck {
    /// The symbol, as written.
    pub symbol: Option<String>,
    /// Rows.
    pub rows: usize,
    /// Columns of the tick schema that it does not have. Others than those of the schema are allowed.
    pub missing_columns: Vec<&'static str>,
    /// The core columns.
    pub core: Vec<ColumnNulls>,
    /// Share of null or empty cells over prices and sizes of levels 2 to 5.
    pub l5_null_rate: f64,
    /// All that is wrong.
    pub violations: Vec<Violation>,
    /// Nothing is.
    pub ok: bool,
}

/// Checks the rows of a file.
pub fn check_file(file: &PlainTicks) -> FileCheck {
    let view = file.ticks.view();
    let rows = view.rows();
    let core: Vec<ColumnNulls> = CORE
        .iter()
        .map(|column| ColumnNulls { column: column.name(), null_rate: null_rate(&view, &[*column], f64::is_nan) })
        .collect();
    let deeper: Vec<Column> = (1..L5_LEVELS)
        .flat_map(|level| {
            [Column::bid_price(level), Column::ask_price(level), Column::bid_volume(level), Column::ask_volume(level)]
        })
        .collect();
    let l5_null_rate = null_rate(&view, &deeper, |value| value.is_nan() || value == 0.0);
    let missing_columns: Vec<&'static str> = file.missing.iter().map(|column| column.name()).collect();
    let mut violations = Vec::new();
    let mut violate = |code, what| violations.push(Violation { code, what });
    if rows < MIN_ROWS {
        violate("rows_below_minimum", format!("{rows} rows, at least {MIN_ROWS} are needed"));
    }
    if !missing_columns.is_empty() {
        violate(
            "missing_columns",
            format!("{} columns are missing: {}", missing_columns.len(), missing_columns.join(", ")),
        );
    }
    for nulls in core.iter().filter(|nulls| nulls.null_rate > MAX_CORE_NULL_RATE) {
        let ColumnNulls { column, null_rate } = nulls;
        violate(
            "core_null_rate_exceeded",
            format!(
                "{column} is null in {:.2} % of the rows, at most {:.0} % are allowed",
                null_rate * 100.0,
                MAX_CORE_NULL_RATE * 100.0
            ),
        );
    }
    if l5_null_rate > MAX_L5_NULL_RATE {
        violate(
            "l5_null_rate_exceeded",
            format!(
                "levels 2 to 5 are empty in {:.2} % of their cells, at most {:.0} % are allowed",
                l5_null_rate * 100.0,
                MAX_L5_NULL_RATE * 100.0
            ),
        );
    }
    let ok = violations.is_empty();
    FileCheck { symbol: file.symbol.clone(), rows, missing_columns, core, l5_null_rate, violations, ok }
}

fn null_rate(view: &TickView<'_>, columns: &[Column], empty: fn(f64) -> bool) -> f64 {
    let nulls: usize = columns.iter().map(|c| view.float(*c).iter().filter(|value| empty(**value)).count()).sum();
    if view.rows() == 0 { 0.0 } else { nulls as f64 / (view.rows() * columns.len()) as f64 }
}
