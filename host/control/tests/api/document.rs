//! The description of the API is what is checked in, and every route in it answers in the one form.

use crate::world::World;
use axum::body::Body;
use ghtrader_control::openapi_json;
use serde_json::Value;
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
