//! `ghtrader plugin push` and its neighbours: the registry of a running server, through the control API.

use super::author::PluginCrate;
use super::author::build::build;
use crate::args::RoleName;
use crate::context::{Context, io_problem};
use crate::output::{emit, grouped, table};
use crate::remote::{Remote, escaped};
use ghtrader_core::{Digest, ErrorClass, Problem};
use ghtrader_plugin::{KeyPair, Role};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use ureq::http::Method;

/// Pushes an artefact, or the crate in this folder.
pub(crate) fn push(
    context: &Context,
    artefact: Option<PathBuf>,
    tag: Option<&str>,
    key: Option<&Path>,
) -> Result<(), Problem> {
    let remote = Remote::of(context)?;
    let bytes = match artefact {
        Some(path) => read(&path)?,
        None => build(context, &PluginCrate::find(Path::new("."))?)?.content,
    };
    let signature = key.map(|key| Ok::<_, Problem>(KeyPair::read(key)?.sign(&Digest::of(&bytes)).to_string()));
    let mut pushed = remote.push(&bytes, signature.transpose()?.as_deref())?.body;
    if let Some(tag) = tag {
        let of = |key: &str| pushed[key].as_str().unwrap_or_default().to_owned();
        let path = tag_path(&of("role"), &of("name"), tag);
        let moved = move_tag(&remote, &path, &of("digest"), None, "")?;
        pushed.as_object_mut().map(|p| p.insert("tag".to_owned(), moved));
    }
    emit(context.json, &pushed, |p| {
        let text = |key: &str| p[key].as_str().unwrap_or_default();
        let tagged = tag.map_or(String::new(), |t| format!(", now {}:{t}", text("name")));
        let mut out =
            format!("{}/{}@{}  sha256:{}{tagged}", text("role"), text("name"), text("version"), text("digest"));
        for finding in p["findings"].as_array().into_iter().flatten() {
            let of = |key: &str| finding[key].as_str().unwrap_or_default();
            let _ = write!(out, "\nwarning[{}]: {}\nhelp: {}", of("code"), of("what"), of("remedy"));
        }
        out
    })
}

pub(crate) fn list(context: &Context, role: Option<RoleName>, name: Option<&str>) -> Result<(), Problem> {
    let records = records(&Remote::of(context)?, role.map(Role::from), name)?;
    emit(context.json, &json!({ "items": records }), |_| {
        let rows: Vec<Vec<String>> = records
            .iter()
            .map(|r| {
                let of = |key: &str| r[key].as_str().unwrap_or_default().to_owned();
                let digest = of("digest").chars().take(12).collect();
                let bytes = r["bytes"].as_i64().map_or(String::new(), grouped);
                vec![
                    of("role"),
                    of("name"),
                    of("version"),
                    digest,
                    bytes,
                    of("state"),
                    of("signature"),
                    of("pushed_by"),
                ]
            })
            .collect();
        table(&["role", "name", "version", "digest", "bytes", "state", "signature", "pushed by"], &rows)
    })
}

pub(crate) fn show(context: &Context, plugin: &str) -> Result<(), Problem> {
    let remote = Remote::of(context)?;
    let digest = resolve(&remote, plugin)?;
    let record = remote.get(&format!("/plugins/{digest}"))?.body;
    emit(context.json, &record, |r| {
        let of = |key: &str| r[key].as_str().unwrap_or_default();
        let mut out = format!("{}/{}@{}  {}\nsha256:{digest}", of("role"), of("name"), of("version"), of("state"));
        let about = &r["manifest"]["plugin"];
        if let Some(text) = about["description"].as_str() {
            let _ = write!(out, "\n{text}");
        }
        let names = |value: &Value| {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        };
        let _ = write!(out, "\n\nreads {}", names(&about["inputs"]));
        for p in r["manifest"]["param"].as_array().into_iter().flatten() {
            let _ = write!(out, "\nparameter {} = {}", p["name"].as_str().unwrap_or_default(), p["default"]);
        }
        for check in r["checks"].as_array().into_iter().flatten() {
            let mark = if check["passed"] == true { "ok " } else { "NO " };
            let text = |key: &str| check[key].as_str().unwrap_or_default();
            let _ = write!(out, "\n{mark} {:<18} {}", text("name"), text("detail"));
        }
        if let Ok(cost) = serde_json::from_value::<ghtrader_plugin::CostCard>(r["cost"].clone()) {
            let _ = write!(out, "\n\n{}", cost_card(&cost));
        }
        let users = names(&r["users"]);
        if !users.is_empty() {
            let _ = write!(out, "\n\nused by {users}");
        }
        out
    })
}

/// What a row costs, against what it may.
pub(crate) fn cost_card(cost: &ghtrader_plugin::CostCard) -> String {
    let us = |ns: u64| format!("{:.1}", ns as f64 / 1000.0);
    let mut out = format!(
        "cost over {} rows: {:.0} ns and {:.0} instructions a row; a live call {} µs (p50), {} µs (p99); \
         {:.1} MiB; compiled in {:.0} ms, started in {:.1} ms",
        grouped(cost.rows as i64),
        cost.ns_per_row,
        cost.instructions_per_row,
        us(cost.live_call_ns[0]),
        us(cost.live_call_ns[1]),
        cost.memory_high_water_bytes as f64 / f64::from(1 << 20),
        cost.compile_us as f64 / 1000.0,
        cost.instantiate_us as f64 / 1000.0,
    );
    let rows: Vec<Vec<String>> = cost
        .limits
        .iter()
        .map(|l| {
            let share = if l.limit > 0.0 { 100.0 * l.used / l.limit } else { 0.0 };
            vec![l.name.clone(), format!("{:.3}", l.used), format!("{}", l.limit), format!("{share:.1} %")]
        })
        .collect();
    if !rows.is_empty() {
        let _ = write!(out, "\n{}", table(&["limit", "used", "of", "share"], &rows));
    }
    out
}

/// Shows a tag with its history, or moves it.
pub(crate) fn tag(
    context: &Context,
    name: &str,
    tag: &str,
    version: Option<&str>,
    if_match: Option<u64>,
    reason: &str,
) -> Result<(), Problem> {
    let remote = Remote::of(context)?;
    let (role, name) = role_and_name(&remote, name)?;
    let path = tag_path(&role, &name, tag);
    let history = match version {
        None => remote.get(&path)?.body,
        Some(version) => {
            let reference =
                if version.parse::<Digest>().is_ok() { version.to_owned() } else { format!("{role}/{name}@{version}") };
            move_tag(&remote, &path, &resolve(&remote, &reference)?, if_match, reason)?
        }
    };
    emit(context.json, &history, |h| {
        let mut out = format!(
            "{role}/{name}:{tag} is sha256:{}, generation {}",
            h["digest"].as_str().unwrap_or_default(),
            h["generation"]
        );
        for m in h["moves"].as_array().into_iter().flatten() {
            let of = |key: &str| m[key].as_str().unwrap_or_default();
            let when = super::lineup::time(m["at_ns"].as_i64().unwrap_or_default());
            let digest: String = of("digest").chars().take(12).collect();
            let _ = write!(out, "\n  {when}  {digest}  {}  {}  {}", of("version"), of("actor"), of("reason"));
        }
        out.trim_end().to_owned()
    })
}

fn tag_path(role: &str, name: &str, tag: &str) -> String {
    format!("/plugins/{role}/{}/tags/{}", escaped(name), escaped(tag))
}

fn move_tag(remote: &Remote, path: &str, digest: &str, if_match: Option<u64>, reason: &str) -> Result<Value, Problem> {
    let generation = match if_match {
        Some(generation) => generation,
        None => match remote.get(path) {
            Ok(answer) => answer.generation.or_else(|| answer.body["generation"].as_u64()).unwrap_or(0),
            Err(problem) if problem.code == "unknown_tag" => 0,
            Err(problem) => return Err(problem),
        },
    };
    let mut body = json!({ "digest": digest });
    if !reason.is_empty() {
        body["reason"] = json!(reason);
    }
    Ok(remote.send(Method::PUT, path, &body, Some(generation))?.body)
}

pub(crate) fn diff(context: &Context, a: &str, b: &str) -> Result<(), Problem> {
    let remote = Remote::of(context)?;
    let (from, to) = (resolve(&remote, a)?, resolve(&remote, b)?);
    let diff = remote.get(&format!("/plugins/{from}/diff?with={to}"))?.body;
    emit(context.json, &diff, |d| {
        let identity = |side: &str| d[side]["identity"].as_str().unwrap_or_default().to_owned();
        let cell = |value: &Value| if value.is_null() { "–".to_owned() } else { value.to_string() };
        let rows: Vec<Vec<String>> = d["differences"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| vec![row["path"].as_str().unwrap_or_default().to_owned(), cell(&row["from"]), cell(&row["to"])])
            .collect();
        table(&["what", &identity("from"), &identity("to")], &rows)
    })
}

pub(crate) fn remove(context: &Context, plugin: &str, reason: &str) -> Result<(), Problem> {
    let remote = Remote::of(context)?;
    let digest = resolve(&remote, plugin)?;
    let path = format!("/plugins/{digest}?reason={}", escaped(reason));
    let removed = remote.send(Method::DELETE, &path, &json!({}), None)?.body;
    emit(context.json, &removed, |_| format!("sha256:{digest} is out of sight; its version stays taken"))
}

/// Signs an artefact with a key of this machine.
pub(crate) fn sign(context: &Context, artefact: &Path, key: &Path) -> Result<(), Problem> {
    let (digest, _) = File::open(artefact)
        .and_then(Digest::of_reader)
        .map_err(|e| io_problem("file_unreadable", &format!("cannot read {}", artefact.display()), &e))?;
    let signature = KeyPair::read(key)?.sign(&digest);
    let body = json!({ "digest": digest, "key": signature.key(), "signature": signature.to_string() });
    emit(context.json, &body, |_| signature.to_string())
}

/// Makes a key, or shows the public half of one.
pub(crate) fn keys(context: &Context, path: &Path, new: bool) -> Result<(), Problem> {
    let key = if new {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| {
            let what = format!("the system gives no randomness: {e}");
            Problem::new("no_randomness", ErrorClass::Unavailable, what, "try again")
        })?;
        let key = KeyPair::generate(seed);
        key.write(path)?;
        key
    } else {
        KeyPair::read(path)?
    };
    emit(context.json, &json!({ "file": path, "public_key": key.public(), "id": key.public().id() }), |_| {
        let public = key.public();
        format!("{public}\ntrust it: plugin.trusted_keys = [\"{public}\"] in ghtrader.toml")
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|e| io_problem("file_unreadable", &format!("cannot read {}", path.display()), &e))
}

fn records(remote: &Remote, role: Option<Role>, name: Option<&str>) -> Result<Vec<Value>, Problem> {
    let mut filters = Vec::new();
    filters.extend(role.map(|role| format!("role={role}")));
    filters.extend(name.map(|name| format!("name={}", escaped(name))));
    let query = if filters.is_empty() { String::new() } else { format!("?{}", filters.join("&")) };
    remote.list(&format!("/plugins{query}"))
}

/// The one role and the name that `NAME` or `ROLE/NAME` means.
fn role_and_name(remote: &Remote, text: &str) -> Result<(String, String), Problem> {
    if let Some((role, name)) = text.split_once('/') {
        return Ok((role.to_owned(), name.to_owned()));
    }
    let records = records(remote, None, Some(text))?;
    let mut roles: Vec<&str> = records.iter().filter_map(|r| r["role"].as_str()).collect();
    roles.dedup();
    match roles.as_slice() {
        [role] => Ok(((*role).to_owned(), text.to_owned())),
        [] => Err(unknown_plugin(remote, text)),
        several => {
            let what = format!("there is a {} of the name `{text}`", several.join(" and a "));
            Err(Problem::new("bad_reference", ErrorClass::User, what, format!("write {}/{text}", several[0])))
        }
    }
}

fn unknown_plugin(remote: &Remote, name: &str) -> Problem {
    let known = records(remote, None, None).unwrap_or_default();
    let near = ghtrader_settings::nearest(name, known.iter().filter_map(|r| r["name"].as_str()));
    let remedy = near.map_or("ghtrader plugin list shows them".to_owned(), |near| format!("did you mean `{near}`?"));
    Problem::new("unknown_plugin", ErrorClass::User, format!("no plugin of the name `{name}` was pushed"), remedy)
}

/// The digest that a reference stands for now.
pub(crate) fn resolve(remote: &Remote, reference: &str) -> Result<String, Problem> {
    if let Ok(digest) = reference.parse::<Digest>() {
        return Ok(digest.to_string());
    }
    let found = |value: &Value| value["digest"].as_str().map(str::to_owned);
    if let Some((name, version)) = reference.split_once('@') {
        let (role, name) = role_and_name(remote, name)?;
        let records = remote.list(&format!("/plugins?role={role}&name={}", escaped(&name)))?;
        let versions: Vec<&str> = records.iter().filter_map(|r| r["version"].as_str()).collect();
        return records.iter().find(|r| r["version"] == version).and_then(found).ok_or_else(|| {
            let what = format!("{role}/{name} has no version {version}; there is {}", versions.join(", "));
            Problem::new("unknown_version", ErrorClass::User, what, "ghtrader plugin list shows them")
        });
    }
    let tagged = reference.strip_prefix("sha256:").map_or_else(|| reference.split_once(':'), |_| None);
    let Some((name, tag)) = tagged else {
        let what = format!("`{reference}` is no reference of a plugin");
        let remedy = "write NAME@VERSION, NAME:TAG or sha256:DIGEST with 64 hex digits";
        return Err(Problem::new("bad_reference", ErrorClass::User, what, remedy));
    };
    let (role, name) = role_and_name(remote, name)?;
    let answer = remote.get(&tag_path(&role, &name, tag))?;
    found(&answer.body).ok_or_else(|| {
        Problem::new(
            "server_foreign",
            ErrorClass::Unavailable,
            "a tag without a digest",
            "use a server of this version",
        )
    })
}
