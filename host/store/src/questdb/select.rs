//! One query of a person's, run by the server.

use super::QuestDbStore;
use super::server::{Ask, LARGEST_ANSWER};
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
        let answer = self.server.ask(&Ask { statement: &statement, time, most: LARGEST_ANSWER })?;
        self.answer_rows(answer.ok_or_else(|| self.failed("its answer is larger than any day".to_owned()))?, limit)
    }

    /// As [`Self::select`], for somebody who may see what holds and nothing else of the server; `None` if the answer has more
    /// than `most` bytes.
    ///
    /// # Errors
    /// As [`Self::select`]; `sql_failed` also for a query that names another table of the server.
    pub fn select_within(
        &self,
        query: &Query,
        limit: usize,
        time: Duration,
        most: u64,
    ) -> Result<Option<SqlAnswer>, StoreError> {
        let ask = |statement: &str| self.server.ask(&Ask { statement, time, most });
        let views = self.views();
        let Some(tables) = ask("SELECT table_name FROM tables()")? else { return Ok(None) };
        let tables = tables["dataset"].as_array().map(Vec::as_slice).unwrap_or_default();
        let tables = tables.iter().filter_map(|row| row[0].as_str());
        if let Some(table) = foreign(query, &views, tables) {
            let why = format!("`{table}` is a table of the server that is not for queries over this line");
            return Err(self.failed(why));
        }
        let answer = ask(&query.bounded(&views, limit.saturating_add(1)))?;
        answer.map(|answer| self.answer_rows(answer, limit)).transpose()
    }

    fn failed(&self, why: String) -> StoreError {
        StoreError::SqlFailed { engine: self.server.url().to_owned(), why }
    }

    fn answer_rows(&self, mut answer: Value, limit: usize) -> Result<SqlAnswer, StoreError> {
        let columns = answer["columns"].as_array().map(Vec::as_slice).unwrap_or_default();
        let columns: Vec<SqlColumn> = columns
            .iter()
            .map(|column| SqlColumn {
                name: column["name"].as_str().unwrap_or_default().to_owned(),
                kind: column["type"].as_str().unwrap_or_default().to_owned(),
            })
            .collect();
        let Value::Array(rows) = answer["dataset"].take() else {
            return Err(self.failed("it gave no rows".to_owned()));
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

/// The first of a server's tables that a query names, quoted or not, and that no definition in front of it stands for.
fn foreign<'a>(query: &Query, views: &[SqlView], mut tables: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // As the server folds names: a sign for a sign.
    let folded = |text: &str| text.chars().filter_map(|c| c.to_lowercase().next()).collect::<String>();
    let text = folded(query.text());
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    tables.find(|table| {
        let name = folded(table);
        let is_defined = query.names(&name) && views.iter().any(|view| view.name == name);
        let stands_alone = |at: usize| !text[..at].ends_with(in_word) && !text[at + name.len()..].starts_with(in_word);
        !is_defined && text.match_indices(name.as_str()).any(|(at, _)| stands_alone(at))
    })
}

fn plain(html: &str) -> String {
    let named = [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    named.iter().fold(html.to_owned(), |text, (name, sign)| text.replace(name, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C-34: a table of the server is found however it is written; a view takes the place of a table of its name.
    #[test]
    fn a_table_that_is_no_view_is_found() {
        let views = [SqlView { name: "ticks", sql: "SELECT 1".into() }];
        let check = |statement: &str, expected: Option<&str>| {
            let query = Query::parse(statement).unwrap();
            let tables = ["ticks", "ghtrader_ticks", "orders"];
            assert_eq!(foreign(&query, &views, tables.into_iter()), expected, "{statement}");
        };
        check("SELECT * FROM ticks", None);
        check("SELECT * FROM \"TICKS\"", None);
        check("SELECT orders_2, my_orders FROM ticks", None);
        check("SELECT * FROM ghtrader_ticks", Some("ghtrader_ticks"));
        check("SELECT * FROM GHTRADER_T\u{130}CKS", Some("ghtrader_ticks"));
        check("SELECT * FROM \"Orders\"", Some("orders"));
        check("SELECT * FROM 'orders'", Some("orders"));
        check("SELECT * FROM 'ticks'", Some("ticks"));
        check("SELECT orders.x FROM ticks", Some("orders"));
        check("SHOW COLUMNS FROM orders", Some("orders"));
    }
}
