//! `ghtrader audit`: read from its files, whether a server runs or not.

use super::lineup::time;
use crate::args::Audit as Command;
use crate::context::Context;
use crate::output::{emit, table};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_durable::{Audit, AuditError, AuditRecord};
use serde_json::json;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::process::ExitCode;

pub(crate) fn run(context: &Context, command: Command) -> Result<ExitCode, Problem> {
    let audit = Audit::new(&context.dir("runs_dir").join("audit"));
    match command {
        Command::List { actor, action, last } => {
            let mut newest = VecDeque::new();
            audit
                .read(|record| {
                    let of_actor = actor.as_ref().is_none_or(|a| record.entry.actor == *a);
                    let of_action = action.as_ref().is_none_or(|a| record.entry.action.starts_with(a.as_str()));
                    if of_actor && of_action {
                        newest.push_back(record);
                        if newest.len() > last as usize {
                            newest.pop_front();
                        }
                    }
                })
                .map_err(problem)?;
            emit(context.json, &json!({ "items": newest }), |_| list(newest.make_contiguous()))?;
        }
        Command::Show { seq } => {
            let mut found = None;
            let read = audit.read(|record| {
                if record.seq == seq {
                    found = Some(record);
                }
            });
            // What stands before damage can still be shown.
            let record = match (found, read) {
                (Some(record), _) => record,
                (None, Err(error)) => return Err(problem(error)),
                (None, Ok(verified)) => {
                    let what = format!("the audit has no entry {seq}; it has {}", verified.entries);
                    return Err(Problem::new(
                        "unknown_entry",
                        ErrorClass::User,
                        what,
                        "ghtrader audit list shows numbers",
                    ));
                }
            };
            emit(context.json, &record, show)?;
        }
        Command::Verify => {
            let verified = audit.verify().map_err(problem)?;
            emit(context.json, &json!({ "intact": true, "entries": verified.entries, "head": verified.head }), |_| {
                format!("{} entries, each follows the one before; head {}", verified.entries, verified.head)
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn problem(error: AuditError) -> Problem {
    let what = error.to_string();
    match error {
        AuditError::Broken { .. } => Problem::new(
            "audit_broken",
            ErrorClass::Negative,
            what,
            "entries before it hold; keep the files as they are and find out who changed them",
        ),
        AuditError::Io { source, .. } => {
            crate::context::io_problem("audit_unreadable", "the audit cannot be read", &source)
        }
    }
}

fn list(records: &[AuditRecord]) -> String {
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|r| {
            let e = &r.entry;
            let generation = e.generation.map_or("–".to_owned(), |g| g.to_string());
            vec![
                r.seq.to_string(),
                time(r.time_ns),
                e.actor.clone(),
                e.action.clone(),
                e.subject.clone(),
                generation,
                outcome(r),
                e.reason.replace('\n', " "),
            ]
        })
        .collect();
    table(&["entry", "time (UTC)", "actor", "action", "subject", "gen", "outcome", "reason"], &rows)
}

fn outcome(record: &AuditRecord) -> String {
    serde_json::to_value(record.entry.outcome).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn show(record: &AuditRecord) -> String {
    let e = &record.entry;
    let mut out =
        format!("entry {}  {}\n{}  {}  {}", record.seq, time(record.time_ns), e.action, e.subject, outcome(record));
    let generation = e.generation.map(|g| g.to_string()).unwrap_or_default();
    let evidence = e.evidence.join(", ");
    for (name, value) in [
        ("actor", &e.actor),
        ("role", &e.role),
        ("generation", &generation),
        ("from", &e.from),
        ("to", &e.to),
        ("plan", &e.plan_hash),
        ("operation", &e.operation),
        ("reason", &e.reason),
        ("evidence", &evidence),
        ("before", &record.prev_hash.to_string()),
        ("hash", &record.hash.to_string()),
    ] {
        if !value.is_empty() {
            let _ = write!(out, "\n  {name:<10}  {value}");
        }
    }
    out
}
