//! `ghtrader token`: who has access to the control API. The file is changed directly; a running server sees it at once.

use crate::args::Token as Command;
use crate::context::Context;
use crate::output::{emit, table};
use ghtrader_control::{TokenRecord, TokenStore, rfc3339, wall_clock_ns};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_durable::{Audit, AuditEntry, Outcome};
use serde_json::{Value, json};
use std::process::ExitCode;

pub(crate) fn run(context: &Context, command: Command) -> Result<ExitCode, Problem> {
    let runs = context.dir("runs_dir");
    let store = TokenStore::new(&runs.join("control"));
    let audit = Audit::new(&runs.join("audit"));
    let now_ns = wall_clock_ns();
    match command {
        Command::Create { role, name, days } => {
            let created = store.create(&name, role, days, now_ns)?;
            record(&audit, now_ns, "token.create", &created.record)?;
            let mut body = shown(&created.record);
            body["token"] = json!(created.secret);
            emit(context.json, &body, |_| {
                let r = &created.record;
                format!("{}\n{} of role {}, shown only now; id {}", created.secret, r.name, r.role, r.id)
            })?;
        }
        Command::List => {
            let tokens = store.list()?;
            let body: Vec<Value> = tokens.iter().map(shown).collect();
            emit(context.json, &json!({ "tokens": body }), |_| {
                let row = |t: &TokenRecord| {
                    let expires = t.expires_at_ns.map_or("never".to_owned(), rfc3339);
                    vec![t.id.clone(), t.name.clone(), t.role.to_string(), expires]
                };
                table(&["id", "name", "role", "expires"], &tokens.iter().map(row).collect::<Vec<_>>())
            })?;
        }
        Command::Revoke { id } => {
            let gone = store.revoke(&id, now_ns)?;
            record(&audit, now_ns, "token.revoke", &gone)?;
            emit(context.json, &shown(&gone), |_| format!("{} is void", gone.name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(token: &TokenRecord) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "created_at": rfc3339(token.created_at_ns),
        "expires_at": token.expires_at_ns.map(rfc3339),
    })
}

fn record(audit: &Audit, now_ns: i64, action: &str, token: &TokenRecord) -> Result<(), Problem> {
    let entry = AuditEntry {
        actor: "terminal".to_owned(),
        role: String::new(),
        action: action.to_owned(),
        subject: "tokens".to_owned(),
        generation: None,
        from: String::new(),
        to: String::new(),
        plan_hash: String::new(),
        operation: String::new(),
        reason: String::new(),
        evidence: vec![token.id.clone(), token.name.clone(), token.role.to_string()],
        outcome: Outcome::Done,
    };
    audit.append(now_ns, entry).map(drop).map_err(|e| {
        let what = format!("`{action}` was carried out, but its audit entry could not be written: {e}");
        Problem::new("audit_unwritable", ErrorClass::Unavailable, what, "mend the cause named")
    })
}
