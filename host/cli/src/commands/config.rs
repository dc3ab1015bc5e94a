//! `ghtrader config`: what holds, and why.

use crate::args::Config;
use crate::context::Context;
use crate::output::{emit, table};
use ghtrader_core::Problem;
use ghtrader_pipeline::origin_name;
use ghtrader_settings::{environment_name, settings};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

pub(crate) fn run(context: &Context, command: Config) -> Result<ExitCode, Problem> {
    match command {
        Config::Show { origin } => show(context, origin)?,
        // Settings that do not hold never get here: `Context::new` names every fault.
        Config::Check => emit(context.json, &json!({ "ok": true, "digest": context.settings.digest() }), |v| {
            format!("the settings are good, digest {}", v["digest"].as_str().unwrap_or_default())
        })?,
        Config::Env => {
            let names: Vec<Value> = settings()
                .iter()
                .map(|s| json!({ "key": s.key.path, "variable": environment_name(s.key.path) }))
                .collect();
            emit(context.json, &json!({ "variables": names }), |_| {
                let rows: Vec<Vec<String>> =
                    settings().iter().map(|s| vec![s.key.path.to_owned(), environment_name(s.key.path)]).collect();
                table(&["key", "variable"], &rows)
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(context: &Context, origin: bool) -> Result<(), Problem> {
    let mut map = Map::new();
    let mut rows = Vec::new();
    for (key, effective) in context.settings.iter() {
        let value = effective.value.as_ref();
        let shown = value.map_or_else(|| "unset".to_owned(), ToString::to_string);
        let body = json!({ "value": value, "origin": origin_name(&effective.origin) });
        map.insert(key.to_owned(), if origin { body } else { json!(value) });
        rows.push(if origin {
            vec![key.to_owned(), shown, origin_name(&effective.origin)]
        } else {
            vec![key.to_owned(), shown]
        });
    }
    let head: &[&str] = if origin { &["key", "value", "origin"] } else { &["key", "value"] };
    emit(context.json, &json!({ "settings": map, "digest": context.settings.digest() }), |_| table(head, &rows))
}
