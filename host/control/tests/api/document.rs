//! The description of the API is what is checked in, and every route in it answers in the one form.

use crate::fake::Fake;
use crate::world::World;
use axum::body::Body;
use ghtrader_control::openapi_json;
use serde_json::{Value, json};
use std::path::Path;

/// C-13. `UPDATE_OPENAPI=1` writes the file anew.
#[tokio::test]
async fn the_checked_in_description_is_the_served_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let made = openapi_json();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept == made, "docs/openapi.json has drifted: run this test once with UPDATE_OPENAPI=1");
    let served = World::new().get("/openapi.json").await;
    assert!(served.bytes == kept.as_bytes());
    assert_eq!(served.body["openapi"], "3.1.0");
}

/// C-12
#[tokio::test]
async fn every_route_refuses_a_stranger_in_the_one_form_and_documents_its_errors() {
    let world = World::new();
    let document: Value = serde_json::from_str(&openapi_json()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 25);
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            if ["/healthz", "/readyz", "/metrics"].contains(&path.as_str()) {
                continue;
            }
            for status in ["400", "401", "403", "429", "500", "503"] {
                let content = &responses[status]["content"]["application/problem+json"];
                assert_eq!(content["schema"]["$ref"], "#/components/schemas/ProblemBody", "{method} {path} {status}");
            }
            let concrete = path.replace("{digest}", &"0".repeat(64)).replace(['{', '}'], "");
            let line = format!("{} {concrete}", method.to_uppercase());
            let answer = world.ask_bare(&line, &[], Body::empty()).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (401, "token_missing"), "{line}");
            if path.ends_with("/events") {
                continue;
            }
            let answer = world.ask(&line, &[], Body::from("{\"surprise\": 1}")).await;
            if answer.status.is_client_error() || answer.status.is_server_error() {
                answer.code();
                let status = answer.status.as_u16().to_string();
                assert!(responses.contains_key(&status), "{line} answers {status}, which it does not document");
            }
        }
    }
}

#[test]
fn every_reference_of_the_description_leads_somewhere() {
    fn walk(value: &Value, root: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(target) = map.get("$ref").and_then(Value::as_str) {
                    let pointer = target.trim_start_matches('#');
                    assert!(root.pointer(pointer).is_some(), "{target}");
                }
                map.values().for_each(|v| walk(v, root));
            }
            Value::Array(list) => list.iter().for_each(|v| walk(v, root)),
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(&openapi_json()).unwrap();
    walk(&document, &document);
}

/// Holds a value against its description, both ways: nothing missing, nothing that is not described.
fn fits(value: &Value, schema: &Value, root: &Value, place: &str) -> Result<(), String> {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        return fits(value, root.pointer(target.trim_start_matches('#')).unwrap(), root, place);
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        let tried: Vec<_> = choices.iter().map(|c| fits(value, c, root, place)).collect();
        return tried.iter().find(|t| t.is_ok()).unwrap_or(&tried[tried.len() - 1]).clone();
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_whole_number = kind == "integer" && kinds.contains(&"number");
    if !kinds.contains(&kind) && !is_whole_number {
        return Err(format!("{place} is {kind}, described as {kinds:?}"));
    }
    if let Some(list) = value.as_array() {
        return list.iter().try_for_each(|item| fits(item, &schema["items"], root, &format!("{place}[]")));
    }
    let (Some(map), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        // A described `null` may be left out only where it is not required.
        if !map.contains_key(name) {
            return Err(format!("{place}.{name} is missing"));
        }
    }
    map.iter().try_for_each(|(name, inner)| match properties.get(name) {
        Some(schema) => fits(inner, schema, root, &format!("{place}.{name}")),
        None => Err(format!("{place}.{name} is not described")),
    })
}

/// C-13
#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_form_that_is_described() {
    let world = World::new();
    let fake = Fake::start(&world.runs(), "paper");
    let digest = world.push("taker").await;
    fake.state.lock().unwrap().strategy = Some(digest);
    let document: Value = serde_json::from_str(&openapi_json()).unwrap();
    let lineup = json!({ "lineup": { "name": "a", "strategy": { "plugin": "taker@0.1.0" } } }).to_string();
    let plan = world.ask("POST /varieties/cu/plans", &[], lineup.clone()).await;
    let hash = plan.body["plan_hash"].clone();
    let artefact = crate::world::artefact("taker");
    let one = format!("/plugins/{digest}");
    for (template, line, headers, body) in [
        ("/plugins", "POST /plugins", vec![], artefact),
        ("/plugins", "GET /plugins", vec![], vec![]),
        ("/plugins/{digest}", &*format!("GET {one}"), vec![], vec![]),
        (
            "/plugins/{role}/{name}/tags/{tag}",
            "PUT /plugins/strategy/taker/tags/champion",
            vec!["if-match: \"0\""],
            json!({ "digest": digest }).to_string().into_bytes(),
        ),
        ("/plugins/{role}/{name}/tags/{tag}", "GET /plugins/strategy/taker/tags/champion", vec![], vec![]),
        ("/plugins/{role}/{name}/tags", "GET /plugins/strategy/taker/tags", vec![], vec![]),
        ("/varieties", "GET /varieties", vec![], vec![]),
        ("/varieties/{v}", "GET /varieties/cu", vec![], vec![]),
        ("/varieties/{v}/shadow", "GET /varieties/cu/shadow", vec![], vec![]),
        ("/varieties/{v}/lineups", "GET /varieties/cu/lineups", vec![], vec![]),
        ("/varieties/{v}/plans", "POST /varieties/cu/plans", vec![], lineup.into_bytes()),
        (
            "/varieties/{v}/deployments",
            "POST /varieties/cu/deployments",
            vec!["if-match: \"7\""],
            json!({ "plan_hash": hash, "mode": "shadow" }).to_string().into_bytes(),
        ),
        ("/varieties/{v}/halt", "POST /varieties/cu/halt", vec![], vec![]),
        ("/operations", "GET /operations", vec![], vec![]),
        ("/batches", "GET /batches", vec![], vec![]),
        ("/batches", "POST /batches", vec![], br#"{"spec":"version = 1"}"#.to_vec()),
        ("/batches/{id}", "GET /batches/0123456789abcdef", vec![], vec![]),
        ("/operations/{id}", "GET /operations/op-1", vec![], vec![]),
        ("/accounts", "GET /accounts", vec![], vec![]),
        ("/accounts/{account}/status", "GET /accounts/paper/status", vec![], vec![]),
        ("/accounts/{account}/orders", "GET /accounts/paper/orders?variety=cu", vec![], vec![]),
        ("/tokens", "POST /tokens", vec![], br#"{"name":"x","role":"viewer"}"#.to_vec()),
        ("/tokens", "GET /tokens", vec![], vec![]),
        ("/audit", "GET /audit", vec![], vec![]),
        ("/plugins", "GET /plugins?limit=0", vec![], vec![]),
    ] {
        let answer = world.ask(line, &headers, body).await;
        let method = line.split(' ').next().unwrap().to_lowercase();
        let described = &document["paths"][format!("/api/v1{template}")][&method]["responses"];
        let content = &described[answer.status.as_str()]["content"];
        let kind = answer.header("content-type");
        let schema = content[kind].get("schema").unwrap_or_else(|| panic!("{line} gives {} {kind}", answer.status));
        let fit = fits(&answer.body, schema, &document, "");
        assert_eq!(fit, Ok(()), "{line}: {:#}", answer.body);
    }
    let wrong = json!({ "items": [{ "id": 3 }], "total": 1 });
    let schema = &document["components"]["schemas"]["PageOf_Operation"];
    assert!(fits(&wrong, schema, &document, "").is_err(), "the check can fail");
}
