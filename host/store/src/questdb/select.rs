//! One query of a person's, run by the server.

use super::QuestDbStore;
use super::server::Ask;
use super::tables::{Kind, text};
use crate::sql::{Query, SqlAnswer, SqlColumn, SqlView, row_columns};
use crate::{Dataset, StoreError};
use serde_json::Value;
use std::time::Duration;

impl QuestDbStore {
    /// Runs a query; at most `limit` rows come back, and it may take `time`.
    ///
    /// `ticks`, `main_l5`, `main_schedule` and `days` stand for what holds of the tables of the same name behind the
    /// prefix: those keep the rows of days that have been replaced.
    ///
    /// # Errors
    /// `sql_failed` with the server's word, `sql_timeout`, and those of every access to the server.
    pub fn select(&self, query: &Query, limit: usize, time: Duration) -> Result<SqlAnswer, StoreError> {
        let statement = query.bounded(&self.views(), limit.saturating_add(1));
        let mut answer = self.server.ask(&Ask { statement: &statement, time })?;
        let columns = answer["columns"].as_array().map(Vec::as_slice).unwrap_or_default();
        let columns: Vec<SqlColumn> = columns
            .iter()
            .map(|column| SqlColumn {
                name: column["name"].as_str().unwrap_or_default().to_owned(),
                kind: column["type"].as_str().unwrap_or_default().to_owned(),
            })
            .collect();
        let Value::Array(rows) = answer["dataset"].take() else {
            let why = "it gave no rows".to_owned();
            return Err(StoreError::SqlFailed { engine: self.server.url().to_owned(), why });
        };
        let mut rows: Vec<Vec<Value>> =
            rows.into_iter().filter_map(|row| if let Value::Array(row) = row { Some(row) } else { None }).collect();
        if columns.first().is_some_and(|c| c.name == "QUERY PLAN") {
            // The plan is written for web pages.
            for cell in rows.iter_mut().flatten() {
                *cell = Value::from(plain(text(std::slice::from_ref(cell), 0)));
            }
        }
        let truncated = rows.len() > limit;
        rows.truncate(limit);
        Ok(SqlAnswer { columns, rows, truncated })
    }

    /// What a query may name: rows and schedules that hold.
    fn views(&self) -> Vec<SqlView> {
        let manifest = self.table(Kind::Manifest);
        let rows = |dataset: Dataset, kind: Kind| {
            format!(
                "SELECT {} FROM {} WHERE build IN (SELECT build FROM {manifest} WHERE dataset = '{dataset}' AND state = 'stored')",
                row_columns(dataset == Dataset::MainL5),
                self.table(kind)
            )
        };
        let day = "to_str(trading_day, 'yyyy-MM-dd') AS trading_day";
        let (schedule, head) = (self.table(Kind::MainSchedule), self.table(Kind::ScheduleHead));
        vec![
            SqlView { name: "ticks", sql: rows(Dataset::Ticks, Kind::Ticks) },
            SqlView { name: "main_l5", sql: rows(Dataset::MainL5, Kind::MainL5) },
            SqlView {
                name: "main_schedule",
                sql: format!(
                    "SELECT {day}, variety, main_contract, segment_id FROM {schedule} WHERE schedule_hash IN (SELECT schedule_hash FROM {head})"
                ),
            },
            SqlView {
                name: "days",
                sql: format!(
                    "SELECT dataset, symbol, {day}, row_count, first_ts, last_ts, sha256 FROM {manifest} WHERE state = 'stored'"
                ),
            },
        ]
    }
}

fn plain(html: &str) -> String {
    let named = [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    named.iter().fold(html.to_owned(), |text, (name, sign)| text.replace(name, sign))
}
