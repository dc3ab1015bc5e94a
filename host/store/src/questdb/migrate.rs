//! Tables of an older form, brought to the present one in place.
//!
//! What the server says of its tables is compared with what this room needs; there is no version number that could say
//! otherwise. Columns are added, widened and made keys, none is ever dropped: rows that are there stay as they are.

use super::QuestDbOptions;
use super::server::Server;
use super::tables::{Kind, Tables, text};
use crate::StoreError;
use serde::Serialize;
use serde_json::Value;

/// One difference between a table and its present form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaStep {
    /// The table.
    pub table: String,
    /// What is different.
    pub why: String,
    /// The statement that mends it; none where only a person can.
    pub statement: Option<String>,
    #[serde(skip)]
    kind: Kind,
}

/// What keeps the tables of a server from being used, in the order in which it is mended; changes nothing.
///
/// # Errors
/// As [`super::QuestDbStore::open`], but for `questdb_schema`.
pub fn schema_steps(options: &QuestDbOptions) -> Result<Vec<SchemaStep>, StoreError> {
    let (server, tables) = (Server::new(options)?, Tables::new(&options.prefix)?);
    server.greet()?;
    steps(&server, &tables)
}

/// Does what [`schema_steps`] lists, and looks again; gives what was done.
///
/// # Errors
/// `questdb_schema` before anything is done if a step is a person's, and afterwards if a table still differs;
/// `questdb_read_only`, and as [`schema_steps`].
pub fn migrate_schema(options: &QuestDbOptions) -> Result<Vec<SchemaStep>, StoreError> {
    let (server, tables) = (Server::new(options)?, Tables::new(&options.prefix)?);
    let writable = server.greet()?;
    let planned = steps(&server, &tables)?;
    let differs = |step: &SchemaStep| StoreError::ServerSchema {
        url: server.url().to_owned(),
        table: step.table.clone(),
        why: step.why.clone(),
    };
    if let Some(step) = planned.iter().find(|step| step.statement.is_none()) {
        return Err(differs(step));
    }
    if let Some(step) = planned.first().filter(|_| !writable) {
        let (url, why) = (server.url().to_owned(), format!("the table {} cannot be changed", step.table));
        return Err(StoreError::ServerReadOnly { url, why });
    }
    for step in &planned {
        if let Some(statement) = &step.statement {
            server.sql(statement)?;
            // A change of a table is a transaction of it, which is applied later.
            tables.wait_visible(&server, &[step.kind])?;
        }
    }
    match steps(&server, &tables)?.first() {
        Some(step) => Err(differs(step)),
        None => Ok(planned),
    }
}

/// The steps that are left. A difference has to be seen twice, because clients that ask at the same time may disturb each
/// other's answers about tables.
fn steps(server: &Server, tables: &Tables) -> Result<Vec<SchemaStep>, StoreError> {
    let found = compared(server, tables)?;
    if found.is_empty() { Ok(found) } else { compared(server, tables) }
}

fn compared(server: &Server, tables: &Tables) -> Result<Vec<SchemaStep>, StoreError> {
    let there = tables.there(server)?;
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let table = tables.name(kind);
        let mut step = |why: String, statement: Option<String>| {
            all.push(SchemaStep { table: table.clone(), why, statement, kind });
        };
        match there.iter().find(|row| text(row, 0) == table) {
            None => {
                step("it is missing".to_owned(), Some(tables.ddl(kind)));
                continue;
            }
            Some(row) if row.get(1).and_then(Value::as_bool) != Some(true) => {
                // A table changes its kind when the server starts again, which is its owner's to do.
                let why =
                    format!("it has no write-ahead log: say ALTER TABLE {table} SET TYPE WAL, then restart the server");
                step(why, None);
                continue;
            }
            Some(_) => {}
        }
        let found = tables.columns_there(server, kind)?;
        let mut keys_differ = false;
        for (at, (column, expected)) in kind.columns().into_iter().enumerate() {
            let is_key = kind.keys().contains(&column);
            match found.iter().find(|row| text(row, 0) == column) {
                None if at == 0 => step(format!("it has no column {column}, which orders its rows"), None),
                None => {
                    let statement = format!("ALTER TABLE {table} ADD COLUMN {column} {expected}");
                    step(format!("it has no column {column}"), Some(statement));
                    keys_differ |= is_key;
                }
                Some(row) => {
                    let kind_there = text(row, 1);
                    if kind_there != expected {
                        let statement = format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {expected}");
                        // The time that orders the rows cannot change its type.
                        let statement = (at > 0).then_some(statement);
                        step(format!("its column {column} is {kind_there}, not {expected}"), statement);
                    }
                    keys_differ |= (row.get(2).and_then(Value::as_bool) == Some(true)) != is_key;
                }
            }
        }
        if keys_differ {
            let keys = kind.keys().join(", ");
            let statement = format!("ALTER TABLE {table} DEDUP ENABLE UPSERT KEYS({keys})");
            step(format!("its DEDUP UPSERT KEYS are not {keys}"), Some(statement));
        }
    }
    Ok(all)
}
