//! `ghtrader lineup`: plan, shadow, swap, roll back and halt through the control API.

mod show;

pub(crate) use show::time;

use crate::args::{Change, Lineup as Command, Mode, Target};
use crate::context::{Context, io_problem};
use crate::output::emit;
use crate::remote::{Remote, escaped};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_trading::LineupFile;
use ghtrader_trading::protocol::{ActivateAt, OperationView, OrderPolicy, Plan};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use ureq::http::Method;

/// Pause between two looks at an operation.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Fewest digits by which a plan is named.
const SHORTEST_HASH: usize = 8;

pub(crate) fn run(context: &Context, command: Command) -> Result<ExitCode, Problem> {
    let remote = Remote::of(context)?;
    match command {
        Command::Plan { file, target } => {
            let plan = plan(&remote, &target, &lineup_file(&file)?)?;
            emit(context.json, &plan, show::plan)?;
        }
        Command::Apply { plan, var, account, how, mode, at, acknowledge } => {
            let plan_hash = whole_hash(context, &plan)?;
            let target = match var {
                Some(var) => Target { var, account },
                None => planned_target(context, &plan_hash, account)?,
            };
            let change = Change { target, how };
            let body = deployment(&plan_hash, mode, at, &acknowledge, &change);
            return finish(context, &remote, change_variety(&remote, &change, "deployments", body)?, change.how.wait);
        }
        Command::Promote { change, at } => {
            let body = json!({ "activate_at": at });
            return finish(context, &remote, change_variety(&remote, &change, "promote", body)?, change.how.wait);
        }
        Command::Rollback { change } => {
            return finish(context, &remote, change_variety(&remote, &change, "rollback", json!({}))?, change.how.wait);
        }
        Command::Halt { change } => {
            return finish(context, &remote, change_variety(&remote, &change, "halt", json!({}))?, change.how.wait);
        }
        Command::Resume { change } => {
            return finish(context, &remote, change_variety(&remote, &change, "resume", json!({}))?, change.how.wait);
        }
        Command::Status { var: Some(var), account } => {
            let answer = remote.get(&place(&Target { var, account }, ""))?;
            emit(context.json, &answer.body, |v| show::varieties(std::slice::from_ref(v)))?;
        }
        Command::Status { var: None, account } => {
            let varieties = remote.list(&with_account("/varieties", account.as_deref()))?;
            emit(context.json, &json!({ "items": varieties }), |_| show::varieties(&varieties))?;
        }
        Command::Shadow { target } => {
            let report = remote.get(&place(&target, "/shadow"))?.body;
            emit(context.json, &report, show::shadow)?;
            return Ok(answer_of(report["gate_open"] == true));
        }
        Command::History { target } => {
            let records = remote.list(&place(&target, "/lineups"))?;
            emit(context.json, &json!({ "items": records }), |_| show::history(&records))?;
        }
        Command::Operations { id: Some(id), cancel: true, account, .. } => {
            let path = operation_path(&id, account.as_deref());
            let answer = remote.send(Method::DELETE, &path, &json!({}), None)?;
            return finish(context, &remote, operation_of(answer.body)?, false);
        }
        Command::Operations { id: Some(id), wait, account, .. } => {
            let operation = operation_of(remote.get(&operation_path(&id, account.as_deref()))?.body)?;
            return finish(context, &remote, operation, wait);
        }
        Command::Operations { id: None, var, account, .. } => {
            let mut path = with_account("/operations", account.as_deref());
            if let Some(var) = var {
                path.push_str(&format!("{}variety={}", if path.contains('?') { '&' } else { '?' }, var.product()));
            }
            let operations = remote.list(&path)?;
            emit(context.json, &json!({ "items": operations }), |_| show::operations(&operations))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn answer_of(yes: bool) -> ExitCode {
    if yes { ExitCode::SUCCESS } else { ExitCode::from(ErrorClass::Negative.exit_code()) }
}

fn with_account(path: &str, account: Option<&str>) -> String {
    account.map_or_else(|| path.to_owned(), |account| format!("{path}?account={}", escaped(account)))
}

fn operation_path(id: &str, account: Option<&str>) -> String {
    with_account(&format!("/operations/{}", escaped(id)), account)
}

/// The path of a variety's part.
fn place(target: &Target, part: &str) -> String {
    with_account(&format!("/varieties/{}{part}", target.var.product()), target.account.as_deref())
}

/// Reads a lineup file; what its references stand for is the server's to find out.
pub(crate) fn lineup_file(path: &Path) -> Result<LineupFile, Problem> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| io_problem("file_unreadable", &format!("cannot read {}", path.display()), &e))?;
    LineupFile::parse(&text, &path.display().to_string())
}

/// Has the server work out what a lineup would change.
pub(crate) fn plan(remote: &Remote, target: &Target, lineup: &LineupFile) -> Result<Value, Problem> {
    let LineupFile { name, features, model, strategy, .. } = lineup;
    let mut body = json!({ "lineup": { "name": name, "features": features, "strategy": strategy } });
    if let Some(model) = model {
        body["lineup"]["model"] = json!(model);
    }
    Ok(remote.send(Method::POST, &place(target, "/plans"), &body, None)?.body)
}

/// The body of a deployment.
pub(crate) fn deployment(
    plan_hash: &str,
    mode: Mode,
    at: ActivateAt,
    acknowledge: &[String],
    change: &Change,
) -> Value {
    let mode = match mode {
        Mode::Shadow => "shadow",
        Mode::Swap => "swap",
    };
    let mut body = json!({ "plan_hash": plan_hash, "mode": mode, "activate_at": at });
    if !acknowledge.is_empty() {
        body["acknowledge"] = json!(acknowledge);
    }
    if let Some(orders) = change.how.order_policy {
        body["order_policy"] = json!(OrderPolicy::from(orders));
    }
    body
}

/// Sends a change of a variety under the generation that it was seen at.
pub(crate) fn change_variety(
    remote: &Remote,
    change: &Change,
    verb: &str,
    mut body: Value,
) -> Result<OperationView, Problem> {
    let target = &change.target;
    if !change.how.reason.is_empty() {
        body["reason"] = json!(change.how.reason);
    }
    if let (Some(orders), true) = (change.how.order_policy, body.get("order_policy").is_none()) {
        body["order_policy"] = json!(OrderPolicy::from(orders));
    }
    let generation = match (change.how.if_match, verb) {
        (Some(generation), _) => Some(generation),
        // A halt is for the moment when nothing is certain, so it does not ask first.
        (None, "halt") => None,
        (None, _) => remote.get(&place(target, ""))?.body["generation"].as_u64(),
    };
    let answer = remote.send(Method::POST, &place(target, &format!("/{verb}")), &body, generation)?;
    operation_of(answer.body)
}

fn operation_of(body: Value) -> Result<OperationView, Problem> {
    OperationView::deserialize(body).map_err(|e| {
        let what = format!("the server's operation is none that this program knows: {e}");
        Problem::new("server_foreign", ErrorClass::Unavailable, what, "use a server of this program's version")
    })
}

/// Follows an operation if asked to, and shows it as it is then.
fn finish(context: &Context, remote: &Remote, operation: OperationView, wait: bool) -> Result<ExitCode, Problem> {
    let operation = if wait { follow(remote, operation)? } else { operation };
    emit(context.json, &operation, show::operation)?;
    // Without waiting, a change that was accepted is all that was asked for.
    Ok(answer_of(!wait || succeeded(&operation)))
}

/// It is where it was to come: at its end, or, for a shadow, beside the active lineup.
pub(crate) fn succeeded(operation: &OperationView) -> bool {
    operation.state == "succeeded" || is_shadowing(operation)
}

fn is_shadowing(operation: &OperationView) -> bool {
    operation.kind == "shadow" && operation.state == "shadowing"
}

/// Looks at an operation until it is where it was to come, its stages with their times on standard error.
pub(crate) fn follow(remote: &Remote, mut operation: OperationView) -> Result<OperationView, Problem> {
    let path = operation_path(&operation.id, Some(&operation.account));
    let mut shown = 0;
    loop {
        for stage in operation.trace.iter().skip(shown) {
            let since_ns = stage.at_ns - operation.trace.first().map_or(stage.at_ns, |first| first.at_ns);
            let _ = writeln!(std::io::stderr(), "{:>8.2} s  {}", since_ns as f64 / 1e9, stage.state);
        }
        shown = operation.trace.len();
        if operation.ended || is_shadowing(&operation) {
            return Ok(operation);
        }
        std::thread::sleep(LOOK_AGAIN);
        operation = operation_of(remote.get(&path)?.body)?;
    }
}

/// The variety and account that a plan of this root was made for.
fn planned_target(context: &Context, plan_hash: &str, account: Option<String>) -> Result<Target, Problem> {
    let unknown = |what: String| {
        Problem::new("unknown_plan", ErrorClass::User, what, "name the variety with --var, or plan again in this root")
    };
    let path = plans_dir(context).join(format!("{plan_hash}.json"));
    let plan = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Plan>(&bytes).ok());
    let plan =
        plan.ok_or_else(|| unknown(format!("there is no plan {plan_hash} in {}", plans_dir(context).display())))?;
    let var = plan.variety.parse().map_err(|e: ghtrader_core::SymbolError| unknown(e.to_string()))?;
    Ok(Target { var, account: Some(account.unwrap_or(plan.account)) })
}

fn plans_dir(context: &Context) -> PathBuf {
    context.dir("runs_dir").join("control").join("plans")
}

/// The plan that a hash or its beginning names, among those that were made in this root.
fn whole_hash(context: &Context, given: &str) -> Result<String, Problem> {
    let given = given.strip_prefix("sha256:").unwrap_or(given).to_ascii_lowercase();
    let bad = |what: String, remedy: &str| Err(Problem::new("unknown_plan", ErrorClass::User, what, remedy));
    if given.len() > 64 || given.len() < SHORTEST_HASH || !given.bytes().all(|c| c.is_ascii_hexdigit()) {
        return bad(
            format!("`{given}` is no hash of a plan"),
            "give its first 8 to 64 hex digits, as `ghtrader lineup plan` prints them",
        );
    }
    if given.len() == 64 {
        return Ok(given);
    }
    let folder = plans_dir(context);
    let names = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let names = names.filter_map(|e| Some(e.path().file_stem()?.to_str()?.to_owned()));
    let mut found: Vec<String> = names.filter(|name| name.len() == 64 && name.starts_with(&given)).collect();
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (Some(_), others) => bad(format!("{} plans begin with {given}", others + 1), "give more of its digits"),
        (None, _) => bad(
            format!("no plan in {} begins with {given}", folder.display()),
            "plan again: ghtrader lineup plan FILE --var cu; or give all 64 digits",
        ),
    }
}
