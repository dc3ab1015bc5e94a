//! Read-only SQL: what one statement may be, and the tables that it may name on either back end.
//!
//! A statement is cut into its parts here, and only one query passes: comments are taken out, quotes and parentheses have to
//! close, and what is left is run as a subquery. No server is trusted with the rest: the export path of QuestDB 9.3.4
//! answers `TRUNCATE TABLE` with a refusal and empties the table all the same.

mod lake;

pub(crate) use lake::row_columns;
pub use lake::{Handout, SqlView, duckdb_statements, hand_out, lake_views};

use crate::{StoreError, TableColumn, table_parquet};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// Words that no query needs unless they are names, which can be quoted.
const WRITING: &[&str] = &[
    "insert",
    "update",
    "delete",
    "merge",
    "into",
    "create",
    "drop",
    "alter",
    "truncate",
    "rename",
    "copy",
    "backup",
    "checkpoint",
    "snapshot",
    "reindex",
    "vacuum",
    "attach",
    "detach",
    "install",
    "load",
    "pragma",
    "set",
    "reset",
    "call",
    "export",
    "import",
    "grant",
    "revoke",
];

/// Functions of a server that act on it.
const ACTING: &[&str] = &[
    "cancel_query",
    "dump_memory_usage",
    "dump_thread_stacks",
    "flush_query_cache",
    "hydrate_table_metadata",
    "reload_config",
    "simulate_crash",
    "simulate_warnings",
    "touch",
];

/// What a statement asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryKind {
    /// `SELECT …` or `WITH … SELECT …`.
    Rows,
    /// `SHOW …`.
    Show,
    /// `EXPLAIN` of a query.
    Explain,
}

/// One query that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    kind: QueryKind,
    text: String,
    names: BTreeSet<String>,
}

/// The rows that a query gave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SqlAnswer {
    /// Names and types, in order.
    pub columns: Vec<SqlColumn>,
    /// A value a column; a missing one is null.
    pub rows: Vec<Vec<Value>>,
    /// There are more rows than the limit.
    pub truncated: bool,
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SqlColumn {
    /// Its name.
    pub name: String,
    /// Its type as the engine says it.
    #[serde(rename = "type")]
    pub kind: String,
}

impl SqlAnswer {
    /// The rows as a Parquet file. Whole numbers, numbers with a fraction and flags have the engine's type; everything else,
    /// times among it, is the text that the engine gave.
    ///
    /// # Errors
    /// `bad_table` for two columns of one name: name one of them anew by AS.
    pub fn parquet(&self) -> Result<Vec<u8>, StoreError> {
        let columns = self.columns.iter().enumerate().map(|(at, column)| {
            let values = || self.rows.iter().map(move |row| row.get(at).unwrap_or(&Value::Null));
            let all = |fits: fn(&Value) -> bool| values().all(|value| value.is_null() || fits(value));
            let kind = column.kind.to_ascii_uppercase();
            let whole = ["INT", "LONG", "SHORT", "BYTE"].iter().any(|name| kind.contains(name));
            let made = if kind == "BOOLEAN" && all(Value::is_boolean) {
                TableColumn::SomeFlag(values().map(Value::as_bool).collect())
            } else if whole && all(Value::is_i64) {
                TableColumn::SomeInteger(values().map(Value::as_i64).collect())
            } else if matches!(kind.as_str(), "DOUBLE" | "FLOAT" | "REAL") && all(Value::is_number) {
                TableColumn::Number(values().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect())
            } else {
                let text = |value: &Value| match value {
                    Value::Null => None,
                    Value::String(text) => Some(text.clone()),
                    other => Some(other.to_string()),
                };
                TableColumn::SomeText(values().map(text).collect())
            };
            (column.name.as_str(), made)
        });
        table_parquet("the rows of a query", columns.collect(), &[])
    }
}

/// A part of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// A bare word, in lower case.
    Word(String),
    /// A name in double quotes.
    Name(String),
    /// A text in single quotes.
    Text,
    Symbol(char),
}

impl Query {
    /// Checks a statement.
    ///
    /// # Errors
    /// `sql_not_read_only` for nothing, for more than one statement, for anything but a query, for words that write and for
    /// quotes or parentheses that do not close.
    pub fn parse(statement: &str) -> Result<Self, StoreError> {
        let refuse = |why: String| StoreError::NotAQuery { why };
        let (parts, text) = parts(statement).map_err(refuse)?;
        let mut depth = 0usize;
        for part in &parts {
            match part {
                Part::Symbol('(') => depth += 1,
                Part::Symbol(')') => {
                    depth = depth.checked_sub(1).ok_or_else(|| refuse("a `)` closes nothing".to_owned()))?;
                }
                _ => {}
            }
        }
        if depth > 0 {
            return Err(refuse(format!("{depth} `(` are not closed")));
        }
        if parts.contains(&Part::Symbol(';')) {
            return Err(refuse("there is more than one statement".to_owned()));
        }
        let words: Vec<&str> =
            parts.iter().filter_map(|p| if let Part::Word(w) = p { Some(w.as_str()) } else { None }).collect();
        let first = match parts.iter().find(|part| **part != Part::Symbol('(')) {
            Some(Part::Word(word)) => word.as_str(),
            Some(_) => return Err(refuse("it does not begin with SELECT, WITH, SHOW or EXPLAIN".to_owned())),
            None => return Err(refuse("there is no statement".to_owned())),
        };
        let bare = parts.first() == Some(&Part::Word(first.to_owned()));
        let kind = match first {
            "select" | "with" => QueryKind::Rows,
            "show" | "explain" if !bare => return Err(refuse(format!("`{first}` stands in parentheses"))),
            "show" => QueryKind::Show,
            "explain" if matches!(words.get(1), Some(&"select" | &"with")) => QueryKind::Explain,
            "explain" => return Err(refuse("EXPLAIN is for SELECT and WITH".to_owned())),
            other => return Err(refuse(format!("`{other}` is no query: it has to be SELECT, WITH, SHOW or EXPLAIN"))),
        };
        if let Some(word) = words.iter().find(|word| WRITING.contains(word)) {
            return Err(refuse(format!("it holds the word `{word}`, which queries do not need")));
        }
        if let Some(word) = words.iter().find(|word| ACTING.contains(word)) {
            return Err(refuse(format!("the function `{word}` acts on the server")));
        }
        let names = parts.into_iter().filter_map(|part| match part {
            Part::Word(word) => Some(word),
            Part::Name(name) => Some(name.to_lowercase()),
            Part::Text | Part::Symbol(_) => None,
        });
        Ok(Self { kind, names: names.collect(), text })
    }

    /// What it asks for.
    pub const fn kind(&self) -> QueryKind {
        self.kind
    }

    /// The statement without comments and without a `;` at its end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds a word or a quoted name.
    pub fn names(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The query as a subquery of one that gives at most `limit` rows, with the definitions of the tables that it names in
    /// front. Nothing but a query can stand there.
    pub(crate) fn bounded(&self, views: &[SqlView], limit: usize) -> String {
        let named: Vec<String> = views
            .iter()
            .filter(|view| self.names(view.name))
            .map(|view| format!("{} AS ({})", view.name, view.sql))
            .collect();
        let head = if named.is_empty() { String::new() } else { format!("WITH {} ", named.join(", ")) };
        match self.kind {
            QueryKind::Explain => {
                let inner = self.text.get("explain".len()..).unwrap_or_default();
                format!("EXPLAIN {head}SELECT * FROM ({inner})")
            }
            QueryKind::Rows | QueryKind::Show => format!("{head}SELECT * FROM ({}) LIMIT {limit}", self.text),
        }
    }
}

/// Cuts a statement into its parts; gives it back without comments and without `;` at its end.
fn parts(statement: &str) -> Result<(Vec<Part>, String), String> {
    let (mut parts, mut text) = (Vec::new(), String::new());
    let mut chars = statement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '-' if chars.peek() == Some(&'-') => {
                chars.by_ref().find(|c| *c == '\n');
                text.push(' ');
            }
            '/' if chars.peek() == Some(&'*') => {
                chars.next();
                let mut before = ' ';
                let closed = chars.by_ref().any(|c| std::mem::replace(&mut before, c) == '*' && c == '/');
                if !closed {
                    return Err("a comment is not closed".to_owned());
                }
                text.push(' ');
            }
            '\'' | '"' => {
                // A letter right before a quote would change what a backslash inside it means to some engines.
                if c == '\'' && text.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '&') {
                    return Err("a letter stands right before a quote".to_owned());
                }
                text.push(c);
                let mut inside = String::new();
                loop {
                    match chars.next() {
                        None => return Err(format!("a {c} is not closed")),
                        Some(end) if end == c => {
                            text.push(c);
                            if chars.peek() != Some(&c) {
                                break;
                            }
                            chars.next();
                            text.push(c);
                            inside.push(c);
                        }
                        Some(other) => {
                            text.push(other);
                            inside.push(other);
                        }
                    }
                }
                parts.push(if c == '"' { Part::Name(inside) } else { Part::Text });
            }
            '`' | '$' | '\\' | '\0' => return Err(format!("`{}` may stand in quotes only", c.escape_default())),
            c if c.is_alphabetic() || c == '_' => {
                let mut word = String::from(c);
                while let Some(next) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    word.push(next);
                }
                text.push_str(&word);
                parts.push(Part::Word(word.to_lowercase()));
            }
            c if c.is_whitespace() => text.push(c),
            c => {
                text.push(c);
                parts.push(Part::Symbol(c));
            }
        }
    }
    while parts.last() == Some(&Part::Symbol(';')) {
        parts.pop();
    }
    let text = text.trim().trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    if text.contains("*/") && !parts.iter().any(|p| matches!(p, Part::Text | Part::Name(_))) {
        return Err("a comment is closed that was not opened".to_owned());
    }
    Ok((parts, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(statement: &str, expected: Result<(QueryKind, &str), &str>) {
        match (Query::parse(statement), expected) {
            (Ok(query), Ok((kind, text))) => assert_eq!((query.kind, query.text.as_str()), (kind, text), "{statement}"),
            (Err(e), Err(why)) => {
                assert!(e.code() == "sql_not_read_only" && e.to_string().contains(why), "{statement}: {e}");
            }
            (found, expected) => panic!("{statement}: {found:?}, expected {expected:?}"),
        }
    }

    /// D-42
    #[test]
    fn one_query_passes_and_nothing_else() {
        use QueryKind::{Explain, Rows, Show};
        check("select 1", Ok((Rows, "select 1")));
        check("  (SELECT 1) ; ; ", Ok((Rows, "(SELECT 1)")));
        check("with a as (select 1) select * from a", Ok((Rows, "with a as (select 1) select * from a")));
        check("show tables", Ok((Show, "show tables")));
        check("explain select 1", Ok((Explain, "explain select 1")));
        check("select 1 -- ; drop table x\n+ 1", Ok((Rows, "select 1  + 1")));
        check("select /* ; drop */ 1", Ok((Rows, "select   1")));
        check("select 'a;b''; drop table x' s", Ok((Rows, "select 'a;b''; drop table x' s")));
        check("select \"update\" from \"a\"\"; b\"", Ok((Rows, "select \"update\" from \"a\"\"; b\"")));
        check("select '/* -- */' from t", Ok((Rows, "select '/* -- */' from t")));

        check("", Err("no statement"));
        check(" -- nothing", Err("no statement"));
        check(";", Err("no statement"));
        check("select 1; select 2", Err("more than one"));
        check("select 1;;drop table t", Err("more than one"));
        check("drop table t", Err("`drop` is no query"));
        check("INSERT INTO t VALUES (1)", Err("`insert` is no query"));
        check("with a as (select 1) insert into t select * from a", Err("the word `insert`"));
        check("with a as (select 1) UPDATE t set x = 1", Err("the word `update`"));
        check("select * into t from u", Err("the word `into`"));
        check("explain drop table t", Err("EXPLAIN is for"));
        check("explain analyze select 1", Err("EXPLAIN is for"));
        check("(explain select 1)", Err("in parentheses"));
        check("select 1) union (select 2", Err("closes nothing"));
        check("select (1", Err("not closed"));
        check("select 'a", Err("not closed"));
        check("select \"a", Err("not closed"));
        check("select 1 /* a", Err("not closed"));
        check("select 1 */", Err("was not opened"));
        check("select $$'$$", Err("quotes only"));
        check("select e'\\'' ; drop", Err("before a quote"));
        check("select `a`", Err("quotes only"));
        check("select reload_config()", Err("acts on the server"));
        check("'select'", Err("does not begin"));
    }

    /// D-42: only what a query names is defined in front of it, and the query itself stands in parentheses.
    #[test]
    fn a_query_becomes_a_subquery() {
        let views =
            [SqlView { name: "ticks", sql: "SELECT 1".into() }, SqlView { name: "days", sql: "SELECT 2".into() }];
        let bounded = |text: &str| Query::parse(text).unwrap().bounded(&views, 5);
        assert_eq!(bounded("select 3"), "SELECT * FROM (select 3) LIMIT 5");
        assert_eq!(
            bounded("select * from TICKS;"),
            "WITH ticks AS (SELECT 1) SELECT * FROM (select * from TICKS) LIMIT 5"
        );
        assert_eq!(
            bounded("EXPLAIN select * from \"days\""),
            "EXPLAIN WITH days AS (SELECT 2) SELECT * FROM ( select * from \"days\")"
        );
    }

    /// P-38: values keep their types, and what has none is missing in each of them.
    #[test]
    fn an_answer_becomes_a_file() {
        use arrow_array::{Array as _, cast::AsArray as _, types::Float64Type, types::Int64Type};
        use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
        use serde_json::json;
        let column = |name: &str, kind: &str| SqlColumn { name: name.to_owned(), kind: kind.to_owned() };
        let answer = SqlAnswer {
            columns: vec![
                column("n", "LONG"),
                column("x", "DOUBLE"),
                column("ok", "BOOLEAN"),
                column("at", "TIMESTAMP"),
            ],
            rows: vec![vec![json!(7), json!(1.5), json!(true), json!("2025-07-18")], vec![Value::Null; 4]],
            truncated: false,
        };
        let read = |answer: &SqlAnswer| {
            let bytes = bytes::Bytes::from(answer.parquet().unwrap());
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
            reader.map(Result::unwrap).next().unwrap()
        };
        let batch = read(&answer);
        assert_eq!(batch.columns().iter().map(|c| c.null_count()).collect::<Vec<_>>(), [1, 1, 1, 1]);
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), 7);
        assert_eq!(batch.column(1).as_primitive::<Float64Type>().value(0).to_bits(), 1.5f64.to_bits());
        assert!(batch.column(2).as_boolean().value(0));
        assert_eq!(batch.column(3).as_string::<i32>().value(0), "2025-07-18");
        // A number that no column of 64 bits holds is a text.
        let huge = SqlAnswer { rows: vec![vec![json!("170141183460469231731687303715884105727")]], ..answer.clone() };
        let huge = SqlAnswer { columns: vec![column("n", "HUGEINT")], ..huge };
        assert_eq!(read(&huge).column(0).as_string::<i32>().value(0).len(), 39);
        let twice =
            SqlAnswer { columns: vec![column("n", "LONG"), column("n", "LONG")], rows: vec![], truncated: false };
        assert_eq!(twice.parquet().unwrap_err().code(), "bad_table");
    }

    proptest::proptest! {
        /// D-42: whatever is typed, what passes has neither a second statement nor an open quote or parenthesis.
        #[test]
        fn what_passes_is_closed(text in "(select|with| |'|\"|\\(|\\)|;|--|/\\*|\\*/|\n|a|drop){0,14}") {
            if let Ok(query) = Query::parse(&text) {
                let again = Query::parse(query.text()).unwrap();
                proptest::prop_assert_eq!(again.text(), query.text());
                let (parts, _) = parts(query.text()).unwrap();
                proptest::prop_assert!(!parts.contains(&Part::Symbol(';')));
                proptest::prop_assert!(!parts.contains(&Part::Word("drop".to_owned())));
            }
        }
    }
}
